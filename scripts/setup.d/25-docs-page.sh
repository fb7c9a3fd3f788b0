#!/usr/bin/env bash
# The viewer of /docs (Swagger UI), taken from the sidecar wheel that carries it for offline use.
set -euo pipefail
dir="$MILLRACE_CACHE/docs"
[ "${1:-}" = "--check" ] && { [ -s "$dir/swagger-ui-bundle.js" ] && [ -s "$dir/swagger-ui.css" ]; exit; }
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --only-binary :all: \
    --require-hashes -d "$tmp" -r scripts/requirements/docs.txt
mkdir -p "$dir"
python3 - "$tmp" "$dir" <<'PY'
import glob, os, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(os.path.join(sys.argv[1], "*.whl"))[0])
for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "LICENSE"):
    path = "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist/" + name
    with open(os.path.join(sys.argv[2], name), "wb") as out:
        out.write(wheel.read(path))
PY
