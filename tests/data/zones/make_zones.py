#!/usr/bin/env python3
"""Writes golden.txt: what Python's zoneinfo says about zones and rules.

    Z <zone> <offset at 1970-01-01> <change:offset> …        1970 to 2026-07-01
    R <POSIX TZ string> <offset at 2026-01-01> <change:offset> …   2026 to 2041, from the rule alone
    M <zone> <date> <seconds>                                 the day's first moment

Python takes the zero-based days of a rule ("59", not "J59") for one-based ones: test_zone.c has
such a rule by hand, as glibc reads it. Later years are checked by rules written here, so that new zone data cannot make the test fail.
"""
import datetime as dt
import io
import random
import struct
import zoneinfo

ZONES = """UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon Europe/Moscow Europe/Istanbul
Europe/Chisinau Atlantic/Azores Africa/Casablanca Africa/Cairo Africa/Lagos Africa/Johannesburg
America/New_York America/Chicago America/Los_Angeles America/Anchorage America/St_Johns
America/Sao_Paulo America/Argentina/Buenos_Aires America/Santiago America/Havana America/Caracas
America/Nuuk Asia/Kathmandu Asia/Kolkata Asia/Tehran Asia/Tokyo Asia/Pyongyang Asia/Shanghai
Asia/Gaza Asia/Beirut Asia/Amman Australia/Sydney Australia/Lord_Howe Australia/Eucla
Pacific/Auckland Pacific/Chatham Pacific/Apia Pacific/Kiritimati Pacific/Honolulu Pacific/Easter
Antarctica/Troll""".split()
RULES = """CET-1CEST,M3.5.0,M10.5.0/3 EST5EDT,M3.2.0,M11.1.0 <+1030>-10:30<+11>-11,M10.1.0,M4.1.0
<-03>3 NPT-5:45 IST-1GMT0,M10.5.0,M3.5.0/1 EET-2EEST,M3.4.4/50,M10.4.4/50 <+14>-14
<-02>2<-01>,M3.5.0/-1,M10.5.0/0 NZST-12NZDT,M9.5.0,M4.1.0/3 <+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45
CST5CDT,M3.2.0/0,M11.1.0/1 <+00>0<+02>-2,M3.5.0/1,M10.5.0/3 AAA3BBB,J60/2,J300/2
XXX3EEDT4,0/0,J365/23""".split()


def off(tz, t):
    d = dt.datetime.fromtimestamp(t, dt.timezone.utc).astimezone(tz).utcoffset()
    return d.days * 86400 + d.seconds


def changes(tz, a, b):
    out, t, o = [], a, off(tz, a)
    while t < b:
        n = min(t + 6 * 3600, b)
        p = off(tz, n)
        if p != o:
            lo, hi = t, n
            while hi - lo > 1:
                mid = (lo + hi) // 2
                if off(tz, mid) == o:
                    lo = mid
                else:
                    hi = mid
            out.append((hi, off(tz, hi)))
            t, o = hi, off(tz, hi)
        else:
            t, o = n, p
    return out


def by_rule(text):
    """A TZif file whose only content is the rule. Its time type stands for times before all."""
    def block(version, size):
        head = b"TZif" + version + bytes(15) + struct.pack(">6L", 0, 0, 0, 1, 1, 4)
        return head + struct.pack(">q" if size == 8 else ">l", -2**31 + 1) + b"\0" + struct.pack(">lbB", 0, 0, 0) + b"AAA\0"
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(block(b"3", 4) + block(b"3", 8) + b"\n" + text.encode() + b"\n"))


def midnight(tz, day):
    want = dt.datetime(day.year, day.month, day.day)
    t = int(want.replace(tzinfo=dt.timezone.utc).timestamp()) - 16 * 3600
    while dt.datetime.fromtimestamp(t, dt.timezone.utc).astimezone(tz).replace(tzinfo=None) < want:
        t += 60
    return t


def stamp(*a):
    return int(dt.datetime(*a, tzinfo=dt.timezone.utc).timestamp())


def main():
    rng = random.Random(4)
    with open("golden.txt", "w") as f:
        for z in ZONES:
            tz = zoneinfo.ZoneInfo(z)
            c = changes(tz, 0, stamp(2026, 7, 1))
            print("Z", z, off(tz, 0), *(f"{t}:{o}" for t, o in c), file=f)
            days = {dt.date(2026, 6, 1), dt.date(2000, 2, 29), dt.date(1999, 12, 31)}
            for t, _ in rng.sample(c, min(6, len(c))):
                day = dt.datetime.fromtimestamp(t, dt.timezone.utc).date()
                if day.year >= 1972:
                    days |= {day + dt.timedelta(n) for n in (-1, 0, 1, 2)}
            if z == "Pacific/Apia":
                days |= {dt.date(2011, 12, n) for n in (29, 30, 31)}
            if z == "America/Sao_Paulo":
                days |= {dt.date(2018, 11, n) for n in (3, 4, 5)} | {dt.date(2019, 2, n) for n in (16, 17)}
            if z == "America/St_Johns":
                days |= {dt.date(2006, 10, n) for n in (28, 29, 30)}
            for d in sorted(days):
                print("M", z, d, midnight(tz, d), file=f)
        for r in RULES:
            tz = by_rule(r)
            a = stamp(2026, 1, 1)
            print("R", r, off(tz, a), *(f"{t}:{o}" for t, o in changes(tz, a, stamp(2041, 1, 1))), file=f)


if __name__ == "__main__":
    main()
