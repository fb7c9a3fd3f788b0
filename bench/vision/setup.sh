#!/usr/bin/env bash
# The environment of bench/vision/peer.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${MILLRACE_CACHE:-$HOME/.cache/millrace}/bench-vision"
want="$(sha256sum bench/requirements/vision.txt | cut -c1-32)"
[ "$(cat "$venv/.of" 2>/dev/null)" = "$want" ] && exit
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes -r bench/requirements/vision.txt
echo "$want" >"$venv/.of"
