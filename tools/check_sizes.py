#!/usr/bin/env python3
"""Functions <= 120 lines and files <= 1,200 lines fail; aims are 80 and 600 (printed).

Generated files (gen_*) are exempt. tools/size_exceptions.txt lists what may be longer; it may only
shrink.
"""
import re
import subprocess
import sys

FUNC_MAX, FILE_MAX, FUNC_AIM, FILE_AIM = 120, 1200, 80, 600


def functions(lines):
    """Yields (name, first line, length) of top-level function bodies in clang-formatted C."""
    start = name = None
    for i, line in enumerate(lines):
        if start is None:
            m = re.match(r"^[A-Za-z_].*?([A-Za-z_]\w*)\(", line)
            if m and not line.startswith(("#", "typedef", "struct {")):
                name, candidate = m.group(1), i
                j = i
                while j < len(lines) and not lines[j].rstrip().endswith(("{", ";", "}")):
                    j += 1
                if j < len(lines) and lines[j].rstrip().endswith("{") and "=" not in lines[i]:
                    start = candidate
        if start is not None and line.startswith("}"):
            yield name, start + 1, i - start + 1
            start = None


def main() -> int:
    try:
        exceptions = {l.split("#")[0].strip() for l in open("tools/size_exceptions.txt")} - {""}
    except FileNotFoundError:
        exceptions = set()
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], capture_output=True, text=True,
                           check=True).stdout.split()
    bad = over = 0
    seen = set()
    for path in files:
        if "/gen_" in path:
            continue
        lines = open(path, encoding="utf-8").read().split("\n")
        if len(lines) > FILE_MAX:
            print(f"{path}: {len(lines)} lines (max {FILE_MAX})")
            bad += 1
        elif len(lines) > FILE_AIM:
            print(f"note {path}: {len(lines)} lines (aim {FILE_AIM})")
        for name, first, length in functions(lines):
            key = f"{path}:{name}"
            if length > FUNC_MAX and key not in exceptions:
                print(f"{path}:{first}: {name} has {length} lines (max {FUNC_MAX})")
                bad += 1
            if length > FUNC_MAX:
                seen.add(key)
            over += length > FUNC_AIM
    for stale in exceptions - seen:
        print(f"tools/size_exceptions.txt: {stale} is no longer too long, remove it")
        bad += 1
    print(f"{len(files)} files, {over} functions over the aim of {FUNC_AIM} lines, {bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
