#!/usr/bin/env python3
"""Power cuts under load: only what was flushed to the disk survives, and that must be enough.

    tests/crash/power.py [--cycles N] [--seed S] [--control] --shim powercut.so

The shim (powercut.c) keeps every file as of its last fsync and every folder as of its own. After
kill -9 the data dir is rebuilt from that. Every second cut is strict (nothing else survives); the
others are torn: of what was not flushed, a random half of the 512-byte sectors and of the folder
entries survives too, as on a real disk. Metering is synchronous in half of the cycles: then no
acknowledged prediction may be missing either.

--control runs the database with synchronous=NORMAL and must find something lost: a check that
cannot fail proves nothing.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from load import MODEL, Truth, check, start_clients
from client import Api
from server import Server

SECTOR = 512


class Shadow:
    """What the disk holds: files and folders as of their last flush."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder

    def entries(self, key):
        try:
            with open(os.path.join(self.folder, key + ".dir"), encoding="utf-8") as f:
                return dict(reversed(line.rstrip("\n").split(" ", 1)) for line in f)
        except FileNotFoundError:
            return None

    def content(self, key):
        try:
            with open(os.path.join(self.folder, key), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None


def statx_key():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)

    class Timestamp(ctypes.Structure):
        _fields_ = [("sec", ctypes.c_int64), ("nsec", ctypes.c_uint32), ("pad", ctypes.c_int32)]

    class Statx(ctypes.Structure):
        _fields_ = [("mask", ctypes.c_uint32), ("blksize", ctypes.c_uint32), ("attributes", ctypes.c_uint64),
                    ("nlink", ctypes.c_uint32), ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32),
                    ("mode", ctypes.c_uint16), ("pad1", ctypes.c_uint16), ("ino", ctypes.c_uint64),
                    ("size", ctypes.c_uint64), ("blocks", ctypes.c_uint64), ("attributes_mask", ctypes.c_uint64),
                    ("atime", Timestamp), ("btime", Timestamp), ("ctime", Timestamp), ("mtime", Timestamp),
                    ("rest", ctypes.c_uint64 * 16)]

    def key(path):
        sx = Statx()
        # AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME
        if libc.statx(-100, path.encode(), 0x100, 0x100 | 0x800, ctypes.byref(sx)):
            raise OSError(ctypes.get_errno(), path)
        return f"{sx.ino}.{sx.btime.sec}{sx.btime.nsec:09d}"
    return key


def mix(old, new, rng):
    """Bytes between the flushed and the unflushed state: each differing sector from either."""
    size = len(new) if rng.random() < 0.5 else len(old)
    old, new = old.ljust(size, b"\0")[:size], new.ljust(size, b"\0")[:size]
    if old == new:
        return old
    out = bytearray(old)
    for at in range(0, size, SECTOR):
        if rng.random() < 0.5:
            out[at:at + SECTOR] = new[at:at + SECTOR]
    return bytes(out)


def rebuild(path, out, shadow, key, rng):
    """Writes to `out` what the disk holds of folder `path`. rng None: strictly what was flushed."""
    os.makedirs(out, exist_ok=True)
    now = {}
    for e in os.scandir(path):
        now[e.name] = key(e.path)
    flushed = shadow.entries(key(path))
    names = dict(flushed or {})
    if rng:
        for name, ident in now.items():
            if name not in names and rng.random() < 0.5:
                names[name] = ident
        for name in list(names):
            if name not in now and rng.random() < 0.5:
                del names[name]
    for name, ident in names.items():
        here = os.path.join(path, name)
        same = now.get(name) == ident
        if same and os.path.isdir(here):
            rebuild(here, os.path.join(out, name), shadow, key, rng)
            continue
        kept = shadow.content(ident)
        if shadow.entries(ident) is not None:
            os.makedirs(os.path.join(out, name), exist_ok=True)  # a folder that was removed since
            continue
        data = kept or b""
        if rng and same:
            with open(here, "rb") as f:
                data = mix(data, f.read(), rng)
        target = os.path.join(out, name)
        with open(target, "wb") as f:
            f.write(data)
        if same:
            os.chmod(target, os.stat(here).st_mode & 0o777)
        elif name.endswith(".key"):
            os.chmod(target, 0o600)


def adopt(path, folder, key):
    """After a rebuild everything that is there is what the disk holds."""
    with open(os.path.join(folder, key(path) + ".dir"), "w", encoding="utf-8") as f:
        for e in os.scandir(path):
            f.write(f"{key(e.path)} {e.name}\n")
            if e.is_dir(follow_symlinks=False):
                adopt(e.path, folder, key)
            else:
                shutil.copyfile(e.path, os.path.join(folder, key(e.path)))


class Machine:
    """A data dir on a disk whose unflushed bytes die with the power."""

    def __init__(self, top, shim, control):
        self.top, self.shim, self.control, self.n = top, os.path.abspath(shim), control, 0
        self.key = statx_key()
        self.data = os.path.join(top, "data0")
        os.mkdir(self.data)
        self.fresh_shadow()

    def fresh_shadow(self):
        self.folder = os.path.join(self.top, f"shadow{self.n}")
        os.mkdir(self.folder)
        adopt(self.data, self.folder, self.key)

    def server(self, flags):
        env = {"LD_PRELOAD": self.shim, "POWERCUT_ROOT": self.data, "POWERCUT_SHADOW": self.folder}
        if self.control:
            env["POWERCUT_NORMAL"] = "1"
        return Server(data_dir=self.data, flags=flags, env=env)

    def cut(self, rng):
        """The power fails and comes back: the data dir is what the disk held."""
        self.n += 1
        fresh = os.path.join(self.top, f"data{self.n}")
        rebuild(self.data, fresh, Shadow(self.data, self.folder), self.key, rng)
        shutil.rmtree(self.data)
        shutil.rmtree(self.folder)
        self.data = fresh
        self.fresh_shadow()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--shim", required=True)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with open(MODEL, "rb") as f:
        model = f.read()
    truth, problems, cycle = Truth(), [], 0
    with tempfile.TemporaryDirectory(prefix="millrace-power-") as top:
        machine = Machine(top, args.shim, args.control)
        flags = ["--rate-limits", "off", "--log-level", "warn"]
        server = machine.server(flags + ["--metering-sync", "on"])
        server.start()
        key = server.key
        dep = Api(server.host, server.port, key).deploy(model, name="measured").json()["id"]
        for cycle in range(args.cycles):
            sync = cycle % 4 < 2
            stop, before = threading.Event(), truth.acked
            threads = start_clients(server, model, dep, truth, stop)
            time.sleep(rng.uniform(0.05, 0.6))
            server.kill()
            stop.set()
            for t in threads:
                t.join()
            server.close()
            torn = cycle % 2 == 1
            machine.cut(rng if torn else None)
            server = machine.server(flags + ["--metering-sync", "on" if (cycle + 1) % 4 < 2 else "off"])
            try:
                server.start()
            except AssertionError as e:
                problems = [f"the server does not start after the cut: {str(e)[-600:]}"]
                break
            if server.key != key:
                problems = ["the operator's key changed"]
                break
            may_lose = 0 if sync else truth.acked - before
            problems += check(Api(server.host, server.port, server.key), dep, truth, may_lose)
            if not sync and not problems:
                counted = Api(server.host, server.port, server.key).get(f"/api/v1/deployments/{dep}").json()
                truth.acked = min(truth.acked, counted["metrics_summary"]["total_predictions"])
            if problems:
                problems = [f"cycle {cycle} ({'torn' if torn else 'strict'} cut, seed {args.seed}): {p}"
                            for p in problems]
                break
        if not problems:
            status = server.stop()
            if status:
                problems = [f"the server ended with {status}: {server.log_text()[-1000:]}"]
        server.close()
    for p in problems[:5]:
        print(p)
    failed = bool(problems) != args.control
    print(f"{cycle + 1} power cuts{' with synchronous=NORMAL' if args.control else ''}, {truth.acked} predictions "
          f"acknowledged, {len(truth.deployments)} deployments, {len(truth.keys)} keys: "
          + ("something was lost" if problems else "nothing was lost"))
    print("1 passed, 0 failed" if not failed else "0 passed, 1 failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
