#!/usr/bin/env python3
"""Includes point down only, and every header compiles alone.

Layers as in ARCHITECTURE.md; a file may include its own folder and folders of lower layers.
"""
import os
import re
import subprocess
import sys

ALLOWED = {
    "base": set(),
    "io": {"base"},
    "wire": {"base"},
    "http": {"base", "io", "wire"},
    "store": {"base", "io", "wire"},
    "model": {"base", "io", "wire"},
    "engine": {"base", "io", "wire", "model"},
    "core": {"base", "io", "wire", "http", "store", "model", "engine"},
    "api": {"base", "io", "wire", "http", "store", "model", "engine", "core"},
    "cli": {"base", "io", "wire", "http", "store", "model", "engine", "core", "api"},
}


def main() -> int:
    bad = 0
    headers = []
    for folder, dirs, files in os.walk("src"):
        dirs.sort()
        for name in sorted(files):
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.join(folder, name)
            parts = path.split(os.sep)
            layer = parts[1] if len(parts) > 2 else None
            if name.endswith(".h"):
                headers.append(path)
            if layer is None:
                continue
            if layer not in ALLOWED:
                print(f"{path}: folder src/{layer} is in no layer")
                bad += 1
                continue
            for number, line in enumerate(open(path, encoding="utf-8"), 1):
                m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not m:
                    continue
                target = m.group(1).split("/")[0]
                if target in ALLOWED and target != layer and target not in ALLOWED[layer]:
                    print(f"{path}:{number}: layer {layer} may not include {m.group(1)}")
                    bad += 1
                if "/" in m.group(1) and m.group(1).startswith("."):
                    print(f"{path}:{number}: include from src/, not relatively")
                    bad += 1
    cache = os.environ.get("MILLRACE_CACHE", os.path.expanduser("~/.cache/millrace"))
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-Isrc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    for sub in ("yyjson", "llhttp", "ort"):
        flags += ["-isystem", os.path.join(cache, "src", sub)]
    flags += ["-isystem", os.path.join(cache, "llama", "include")]
    for path in headers:
        run = subprocess.run(["gcc", *flags, "-x", "c", path], capture_output=True, text=True)
        if run.returncode:
            print(f"{path}: does not compile alone\n{run.stderr}")
            bad += 1
    print(f"{len(headers)} headers, {bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
