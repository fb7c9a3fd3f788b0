#!/usr/bin/env bash
# The Python environment of the tests and generators, pinned by version and hash.
set -euo pipefail
venv="$MILLRACE_CACHE/venv"
[ "${1:-}" = "--check" ] && { "$venv/bin/python" -c "import pytest, requests" 2>/dev/null; exit; }
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
    --require-hashes -r scripts/requirements/test.txt
