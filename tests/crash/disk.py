"""A data dir on a disk whose unflushed bytes die with the power; used with the shim powercut.c."""
import os
import shutil

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

    def server(self, flags, env=None):
        env = {**(env or {}), "LD_PRELOAD": self.shim, "POWERCUT_ROOT": self.data, "POWERCUT_SHADOW": self.folder}
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
