#!/usr/bin/env bash
# The Python environment of the tests and generators, pinned by version and hash.
set -euo pipefail
venv="$MILLRACE_CACHE/venv"
[ "${1:-}" = "--check" ] && { [ -x "$venv/bin/pytest" ]; exit; }
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
    --require-hashes -r scripts/requirements/test.txt
