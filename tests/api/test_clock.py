"""Clocks that jump: summer time, the end of a month, a clock set back. The books must still add up.

The server runs under libfaketime (Debian package faketime); the release binary, because a preloaded
library and the sanitizers do not go together.
"""
import glob
import os
import tempfile
import time

import pytest
from client import ROOT, Api
from server import Server
from standin import Standin

ZONE = "Europe/Berlin"
# Moments (UTC) at which the server starts; each run answers tasks for some seconds and so crosses …
MOMENTS = ["2027-03-27 22:59:58",   # … midnight in Berlin, the last before summer time
           "2027-03-28 00:59:58",   # … 02:00, which becomes 03:00
           "2027-03-28 21:59:58",   # … the end of that day of 23 hours
           "2027-03-31 21:59:58",   # … the end of the month in Berlin, two hours before UTC's
           "2027-03-31 20:00:00",   # set back by two hours
           "2027-10-31 00:59:58"]   # … 03:00, which becomes 02:00


@pytest.fixture(scope="module")
def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") + glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    assert found, "libfaketime is missing: scripts/setup --dev installs it"
    return found[0]


def nano(x):
    return round(x * 1e9)


def run_from(moment, data, library, upstream, n):
    env = {**upstream.env(), "LD_PRELOAD": library, "FAKETIME": f"@{moment}", "TZ": "UTC",
           "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
    server = Server(data_dir=data, flags=["--rate-limits", "off", "--timezone", ZONE, "--log-level", "warn"], env=env,
                    binary=os.path.join(ROOT, "build", "millrace"))
    with server:
        api = Api(server.host, server.port, server.key)
        costs = []
        for i in range(n):
            r = api.post("/api/task", {"prompt": f"{moment} {i} " + "word " * i, "user_id": f"user{i % 3}",
                                       "model": ["gpt-4o-mini", "gpt-4.1-mini"][i % 2]})
            assert r.status == 200, r
            costs.append(nano(r.json()["cost"]))
            if i % 8 == 7:
                time.sleep(0.5)
        return costs, sums(api)


def sums(api):
    def report(kind, **q):
        query = "&".join(f"{k}={v}" for k, v in q.items())
        r = api.get(f"/api/report/{kind}?{query}")
        assert r.status == 200, r
        return r.json()
    stats = api.get("/api/stats").json()
    months = {m: nano(report("monthly", date=m)["expenses"]) for m in ("2027-03-01", "2027-04-01", "2027-10-01",
                                                                       "2027-11-01")}
    days = {f"2027-03-{d:02}": nano(report("daily", date=f"2027-03-{d:02}")["expenses"]) for d in range(1, 32)}
    return stats, months, days


def test_days_months_and_totals_agree_whatever_the_clock_does(library):
    upstream, spent = Standin(), []
    try:
        with tempfile.TemporaryDirectory(prefix="millrace-clock-") as data:
            for moment in MOMENTS:
                costs, (stats, months, days) = run_from(moment, data, library, upstream, 48)
                spent += costs
                assert nano(stats["tasks"]["total_cost"]) == sum(spent)
                assert nano(stats["financials"]["total_expenses"]) == sum(spent)
                assert sum(months.values()) == sum(spent)
                assert sum(days.values()) == months["2027-03-01"]
            assert days["2027-03-27"] and days["2027-03-28"] and days["2027-03-29"] and days["2027-03-31"]
            assert months["2027-04-01"], "the end of the month is Berlin's, not UTC's"
    finally:
        upstream.close()
