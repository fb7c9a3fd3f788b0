"""Reports, statistics, budgets and seed 000's usage, over tasks of the stand-in provider."""
import csv
import io
import json
import re
import sqlite3
import time
import uuid
from decimal import Decimal

import pytest
from client import Api
from server import Server


def run(api, prompt="What is AI?", **fields):
    r = api.post("/api/task", {"prompt": prompt, **fields})
    assert r.status == 200, r
    return r.json()


def exact(text):
    """JSON with its numbers as exact decimals."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


# --- reports ----------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["daily", "weekly", "monthly"])
def test_a_report_has_the_seeds_fields(user, kind):
    cost = run(user)["cost"]
    body = user.get(f"/api/report/{kind}").json()
    assert set(body) == {"date", "income", "expenses", "profit", "breakdown"}
    assert body["income"] == 0 and body["expenses"] == cost and body["profit"] == -cost
    assert body["breakdown"] == {"income_breakdown": {"subscription": 0, "micro_payment": 0},
                                 "expense_breakdown": {"api_cost": cost}}
    today = time.gmtime()
    first = {"daily": today, "monthly": (today.tm_year, today.tm_mon, 1, 0, 0, 0, 0, 0, 0),
             "weekly": time.gmtime(time.time() - 86400 * today.tm_wday)}[kind]
    assert body["date"] == time.strftime("%Y-%m-%d", first)


def test_numbers_are_numbers_also_when_there_is_nothing(user):
    for path in ("/api/report/daily", "/api/report/weekly", "/api/report/monthly", "/api/stats"):
        assert "null" not in user.get(path).text


def test_a_report_of_another_day_is_empty(user):
    run(user)
    body = user.get("/api/report/daily?date=2020-02-29").json()
    assert body["date"] == "2020-02-29" and body["expenses"] == 0
    assert user.get("/api/report/weekly?date=2025-01-15").json()["date"] == "2025-01-13"  # a Monday
    assert user.get("/api/report/monthly?date=2025-01-15").json()["date"] == "2025-01-01"


@pytest.mark.parametrize("path,word", [
    ("/api/report/yearly", "daily"), ("/api/report/daily?date=2025-02-29", "date"),
    ("/api/report/daily?date=yesterday!", "date"), ("/api/report/daily?by=week", "by"),
    ("/api/report/daily?format=xml", "format")])
def test_wrong_report_parameters_are_400(user, path, word):
    r = user.get(path)
    assert r.status == 400 and word in r.json()["error"]


def test_lines_add_up_to_the_report(user):
    for i in range(6):
        run(user, f"p{i}", user_id=f"u{i % 3}", provider=("openai", "mistral")[i % 2])
    run(user, "nobody's")
    total = exact(user.get("/api/report/monthly").text)
    for by, n in (("model", 2), ("user", 4), ("day", 1)):
        body = exact(user.get(f"/api/report/monthly?by={by}").text)
        assert len(body["lines"]) == n
        assert sum(x["expenses"] for x in body["lines"]) == total["expenses"] == body["expenses"]
        assert sum(x["requests"] for x in body["lines"]) == 7
        assert all(x["profit"] == x["income"] - x["expenses"] for x in body["lines"])
    users = {x["user_id"]: x["requests"] for x in body_lines(user, "user")}
    assert users == {"u0": 2, "u1": 2, "u2": 2, "": 1}
    models = {(x["provider"], x["model"]) for x in body_lines(user, "model")}
    assert models == {("openai", "gpt-4o-mini"), ("mistral", "mistral-small-latest")}


def body_lines(api, by):
    return api.get(f"/api/report/monthly?by={by}").json()["lines"]


def test_one_end_users_report(user):
    a, b = run(user, "x", user_id="a")["cost"], run(user, "yy y", user_id="b")["cost"]
    assert user.get("/api/report/daily?user_id=a").json()["expenses"] == a
    assert user.get("/api/report/daily?user_id=b").json()["expenses"] == b
    assert user.get("/api/report/daily?user_id=never").json()["expenses"] == 0


def test_csv_holds_the_same_figures(user):
    cost = run(user, user_id='o"dd, name')["cost"]
    r = user.get("/api/report/daily?format=csv")
    assert r.headers["content-type"].startswith("text/csv")
    row = next(csv.DictReader(io.StringIO(r.text)))
    assert row["currency"] == "usd" and float(row["expenses"]) == cost == float(row["api_cost"])
    rows = list(csv.DictReader(io.StringIO(user.get("/api/report/daily?format=csv&by=user").text)))
    assert [x["user_id"] for x in rows] == ['o"dd, name'] and float(rows[0]["expenses"]) == cost
    rows = list(csv.DictReader(io.StringIO(user.get("/api/report/daily?format=csv&by=model").text)))
    assert rows[0]["provider"] == "openai" and rows[0]["requests"] == "1"
    rows = list(csv.DictReader(io.StringIO(user.get("/api/report/daily?format=csv&by=day").text)))
    assert re.match(r"\d{4}-\d\d-\d\d$", rows[0]["date"])


def test_statistics_have_the_seeds_fields(user):
    cost = run(user, user_id="a")["cost"] + run(user, "two", user_id="b")["cost"]
    user.post("/api/task", {"prompt": f"[standin fault=quota] {uuid.uuid4()}", "user_id": "c"})
    body = user.get("/api/stats").json()
    assert set(body) == {"tasks", "users", "financials"}
    assert body["tasks"]["total"] == 3 and body["tasks"]["completed"] == 2
    assert body["tasks"]["total_cost"] == pytest.approx(cost, abs=1e-12)
    assert body["users"] == {"total": 3, "subscriptions": 0}
    assert body["financials"] == {"total_income": 0, "total_expenses": body["tasks"]["total_cost"],
                                  "profit": -body["tasks"]["total_cost"]}


# --- seed 000: usage --------------------------------------------------------------------------

def test_usage_counts_this_month(iris):
    user, dep = iris
    assert user.predict(dep, [5.1, 3.5, 1.4, 0.2]).status == 200
    task = run(user)
    r = user.get(f"/api/usage?userId={user.user['id']}")
    assert r.status == 200
    assert r.json() == {"tokensUsed": task["tokens_used"], "apisCreated": 1, "modelsDeployed": 1,
                        "requestsThisMonth": 2, "costThisMonth": task["cost"]}


def test_user_id_is_the_callers_own(new_user):
    a, b = new_user(), new_user()
    account = a.get("/api/v1/auth/me").json()["account_id"]
    for own in (a.user["id"], a.username, a.email, account):
        assert a.get(f"/api/usage?userId={own}").status == 200, own
    for other in (b.user["id"], b.username, b.email, "user-123", "x"):
        r = a.get(f"/api/usage?userId={other}")
        assert r.status == 403 and r.json()["code"] == "FORBIDDEN" and r.json()["success"] is False
    r = a.get("/api/usage")
    assert r.status == 400 and r.json()["code"] == "INVALID_REQUEST" and "userId" in r.json()["details"]


def test_logged_usage_adds_tokens_and_costs_nothing(user):
    entry = {"endpoint": "/predict", "method": "POST", "tokensUsed": 150, "responseTime": 245}
    r = user.post("/api/usage/log", entry)
    assert r.status == 200 and r.json()["success"] is True and r.json()["id"]
    assert user.post("/api/usage/log", entry).json()["id"] != r.json()["id"]
    usage = user.get(f"/api/usage?userId={user.username}").json()
    assert usage["tokensUsed"] == 300 and usage["costThisMonth"] == 0 and usage["requestsThisMonth"] == 0
    assert user.get("/api/report/daily").json()["expenses"] == 0


@pytest.mark.parametrize("change", [{"endpoint": None}, {"method": ""}, {"tokensUsed": -1}, {"tokensUsed": "x"},
                                    {"responseTime": -1}, {"responseTime": None}, {"tokensUsed": 1.5}])
def test_wrong_log_entries_are_invalid_requests(user, change):
    entry = {"endpoint": "/predict", "method": "POST", "tokensUsed": 150, "responseTime": 245, **change}
    r = user.post("/api/usage/log", entry)
    assert r.status == 400 and r.json()["code"] == "INVALID_REQUEST", r
    assert set(r.json()["details"]) == set(change)


def test_usage_needs_a_key(anonymous):
    for r in (anonymous.get("/api/usage?userId=x"), anonymous.post("/api/usage/log", {})):
        assert r.status == 401 and r.json()["code"] == "UNAUTHORIZED" and r.json()["success"] is False


def test_unknown_paths_answer_in_the_familys_shape(user):
    for path in ("/api/usage/nothing/here", "/api/ai/none", "/api/deploy/none"):
        r = user.get(path)
        assert r.status == 404 and r.json()["code"] == "NOT_FOUND" and r.json()["details"] == {}


def test_explain_tells_how_a_charge_came_about(user):
    task = run(user, user_id="eve")
    charge_id = user.get("/api/task/1").json()["charge_id"]
    k = exact(user.get(f"/api/usage/explain/{charge_id}").text)
    assert k["state"] == "settled" and k["provider"] == "openai" and k["userId"] == "eve"
    assert k["tokens"]["input"] + k["tokens"]["output"] == task["tokens_used"] and k["estimated"] is False
    assert k["priceVersion"].startswith("openai/gpt-4o-mini@")
    assert sum(x["usd"] for x in k["lines"]) == k["cost"] == exact(json.dumps(task["cost"]))
    assert all(x["usd"] == x["tokens"] * x["usdPerMillion"] / 1000000 for x in k["lines"])
    assert k["reserved"] >= k["cost"]
    for wrong in (charge_id + 10 ** 6, "x", 0):
        assert user.get(f"/api/usage/explain/{wrong}").json()["code"] == "NOT_FOUND"


# --- plans ------------------------------------------------------------------------------------

def set_in_database(data_dir, sql, *args):
    with sqlite3.connect(data_dir + "/millrace.db", timeout=10) as db:
        db.execute(sql, args)
        db.commit()


def registered(s, spec):
    name = "p" + uuid.uuid4().hex[:10]
    r = Api(s.host, s.port, None, spec).post("/api/v1/auth/register", {
        "email": f"{name}@example.com", "username": name, "password": "secure-password"})
    api = Api(s.host, s.port, r.json()["access_token"], spec)
    api.username = name
    return api


def test_plans_limit_their_own_family(standin, spec, tmp_path):
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        api = registered(s, spec)
        path = f"/api/usage?userId={api.username}"
        r = api.get(path)
        assert r.status == 200
        assert (r.headers["x-ratelimit-limit"], r.headers["x-ratelimit-remaining"]) == ("1000", "999")
        assert 0 < int(r.headers["x-ratelimit-reset"]) - time.time() < 32 * 86400
        assert api.get("/api/usage?userId=other").headers["x-ratelimit-remaining"] == "998"
        api.get("/api/tasks")  # another family
        assert api.get(path).headers["x-ratelimit-remaining"] == "997"
    account = "UPDATE plan_requests SET requests = 999 WHERE family = 'generator'"
    set_in_database(str(tmp_path), account)
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        api = Api(s.host, s.port, api.token, spec)
        r = api.get(path)
        assert r.status == 200 and r.headers["x-ratelimit-remaining"] == "0"
        r = api.get(path)
        assert r.status == 429 and r.json()["code"] == "INSUFFICIENT_QUOTA", r
        assert r.headers["x-ratelimit-remaining"] == "0" and int(r.headers["retry-after"]) > 0
        assert api.get("/api/tasks").status == 200  # another family
    set_in_database(str(tmp_path), "UPDATE accounts SET tier = 'pro' WHERE kind <> 'operator'")
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        r = Api(s.host, s.port, api.token, spec).get(path)
        # 99,000 are left this month: the burst limit is the tighter one now.
        assert r.status == 200 and r.headers["x-ratelimit-limit"] == "6000"
    set_in_database(str(tmp_path), "UPDATE plan_requests SET requests = 99999")
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        r = Api(s.host, s.port, api.token, spec).get(path)
        assert r.status == 200 and r.headers["x-ratelimit-limit"] == "100000"
        assert Api(s.host, s.port, api.token, spec).get(path).status == 429
    set_in_database(str(tmp_path), "UPDATE accounts SET tier = 'enterprise' WHERE kind <> 'operator'")
    set_in_database(str(tmp_path), "UPDATE plan_requests SET requests = 10000000")
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        assert Api(s.host, s.port, api.token, spec).get(path).status == 200


# --- budgets ----------------------------------------------------------------------------------

def test_a_keys_budget_stops_it_and_is_named(user):
    key = user.post("/api/v1/auth/api-keys", {"name": "small", "monthly_budget_usd": 0.0000001,
                                              "scopes": ["predict", "read"]}).json()["key"]
    r = user.as_(key).post("/api/task", {"prompt": "x"})
    assert r.status == 429 and "budget" in r.json()["error"], r
    assert user.get("/api/tasks").json()["tasks"] == []  # nothing ran
    assert run(user)  # the account has none


def test_the_accounts_budget(user):
    r = user.get("/api/v1/account/budget")
    assert r.status == 200
    assert r.json()["monthly_budget_usd"] is None and r.json()["spent_usd"] == 0
    assert r.json()["timezone"] == "UTC"
    r = user.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 5, "timezone": "Europe/Berlin"})
    assert r.status == 200 and r.json()["monthly_budget_usd"] == 5 and r.json()["timezone"] == "Europe/Berlin", r
    cost = run(user)["cost"]
    body = user.get("/api/v1/account/budget").json()
    assert body["spent_usd"] == cost and body["reserved_usd"] == 0
    assert body["remaining_usd"] == pytest.approx(5 - cost, abs=1e-12)
    user.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 0})
    r = user.post("/api/task", {"prompt": "x"})
    assert r.status == 429 and "budget" in r.json()["error"], r
    user.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": None})
    assert run(user)


@pytest.mark.parametrize("body,field", [({"monthly_budget_usd": -1}, "monthly_budget_usd"),
                                        ({"timezone": "Mars/Olympus"}, "timezone"),
                                        ({"monthly_budget_usd": "x"}, "monthly_budget_usd")])
def test_wrong_budgets_are_named(user, body, field):
    r = user.request("PUT", "/api/v1/account/budget", body)
    assert r.status == 422 and r.json()["error"]["details"]["field"] == field, r


def test_key_holders_see_their_own_budget(user):
    made = user.post("/api/v1/auth/api-keys", {"name": "k", "monthly_budget_usd": 3,
                                               "scopes": ["read", "predict"]}).json()
    key = user.as_(made["key"])
    cost = run(key)["cost"]
    body = key.get("/api/v1/account/budget").json()
    assert body["key"]["monthly_budget_usd"] == 3 and body["key"]["spent_usd"] == cost
    assert key.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 1}).status == 403
    listed = [k for k in user.get("/api/v1/auth/api-keys").json()["items"] if k["id"] == made["id"]][0]
    assert listed["monthly_budget_usd"] == 3


def test_metrics_tell_of_tasks_and_providers(user, anonymous):
    run(user)
    text = anonymous.get("/metrics").text
    assert re.search(r'^millrace_tasks_total\{outcome="completed"\} [1-9]', text, re.M)
    assert re.search(r'^millrace_provider_requests_total\{provider="openai"\} [1-9]', text, re.M)
    for name in ("millrace_tasks_running", "millrace_provider_in_flight", "millrace_provider_breaker_open"):
        assert re.search(rf"^{name}", text, re.M), name
