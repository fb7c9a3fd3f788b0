#!/usr/bin/env python3
"""Resolves the Rust peers to exactly the crates of versions.txt (name, version, sha256).

usage: rust_lock.py DIR [--write]      (--write: takes over what cargo resolves today)

Cargo.lock itself stays out of the repository: it names where the crates came from, which is for
the machine's own configuration to say. Exit 1: a crate is not to be had at its version, or has
other content than it had.
"""

import os
import subprocess
import sys
import tomllib


def cargo(folder, *args):
    subprocess.run(["cargo", *args, "--quiet"], cwd=folder, check=True)


def resolved(folder):
    """{(name, version): sha256} of everything that came from a registry."""
    with open(os.path.join(folder, "Cargo.lock"), "rb") as f:
        packages = tomllib.load(f)["package"]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def series(version):
    """What cargo may exchange for each other: 1.x, 0.2.x, 0.0.3."""
    parts = version.split("+")[0].split(".")
    for i, part in enumerate(parts):
        if part != "0":
            return tuple(parts[: i + 1])
    return tuple(parts)


def step(folder, pins):
    """Moves every crate that can be moved to its pin; True if one was."""
    moved = False
    for name, version in sorted(set(resolved(folder)) - set(pins)):
        for pin in [v for n, v in pins if n == name and series(v) == series(version)]:
            moved |= subprocess.run(["cargo", "update", "--quiet", f"{name}@{version}", "--precise", pin],
                                    cwd=folder, check=False).returncode == 0
    return moved


def main():
    folder = sys.argv[1]
    path = os.path.join(folder, "versions.txt")
    if "--write" in sys.argv:
        cargo(folder, "generate-lockfile")
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(f"{n} {v} {s}\n" for (n, v), s in sorted(resolved(folder).items()))
        return 0
    with open(path, encoding="utf-8") as f:
        pins = {(n, v): s for n, v, s in (line.split() for line in f)}
    if not os.path.exists(os.path.join(folder, "Cargo.lock")) or resolved(folder) != pins:
        cargo(folder, "generate-lockfile")
    for _ in range(8):
        if resolved(folder) == pins or not step(folder, pins):
            break
    have = resolved(folder)
    for name, version in sorted(set(have) | set(pins)):
        if have.get((name, version)) != pins.get((name, version)):
            print(f"crate {name} {version}: resolved {have.get((name, version), 'not')}, "
                  f"pinned {pins.get((name, version), 'not')}", file=sys.stderr)
    return 0 if have == pins else 1


if __name__ == "__main__":
    sys.exit(main())
