#!/usr/bin/env python3
"""Writes repr.txt: bits of a double and Python's repr of it (exponent without '+' and zeros)."""
import pathlib
import random
import struct

random.seed(5)
vals = [0.0, -0.0, 1.0, -1.0, 0.1, 0.98, 1 / 3, 2 / 3, 1e-4, 9.999e-5, 1e-5, 1e-7, 1e15, 1e16,
        9999999999999998.0, 9007199254740993.0, 2.0**54, 1e17, 1e21, 1e22, 1e23, 5e-324,
        2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, 9e15,
        123456789.123, 0.3, 0.30000000000000004, 1.5e-323, 4.35, 100.0, 1234567.0,
        9.5367431640625e-07, 0.00012345, 2.5e-8, 5e-05, 72057594037927936.0, 1.2e-300, 8.41e21,
        9.109e-31, 299792458.0, 6.02214076e23, 90071992547409.92, 9999999999999.98]
vals += [float("1e%d" % e) for e in range(-300, 300, 13)]
vals += [2.0**p for p in range(-1070, 1020, 17)]
vals += [random.random() for _ in range(150)]
vals += [round(random.random() * 100, random.randint(0, 5)) for _ in range(60)]
while len(vals) < 600:
    v = struct.unpack("<d", struct.pack("<Q", random.getrandbits(64)))[0]
    if v == v and abs(v) != float("inf"):
        vals.append(v)


def text(v):
    s = repr(v)
    if "e" in s:
        mantissa, exponent = s.split("e")
        s = mantissa + "e" + str(int(exponent))
    return s


rows = ["%016x %s\n" % (struct.unpack("<Q", struct.pack("<d", v))[0], text(v)) for v in vals]
pathlib.Path(__file__).with_name("repr.txt").write_text("".join(rows))
