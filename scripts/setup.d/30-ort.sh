#!/usr/bin/env bash
# libonnxruntime.so for serving ONNX models; nothing of it is needed to build.
set -euo pipefail
dir="$MILLRACE_CACHE/ort"
version=1.32.0
if [ "$(uname -m)" != x86_64 ]; then
    [ "${1:-}" = "--check" ] || echo "setup: no pinned ONNX Runtime for $(uname -m): set MILLRACE_ORT to a libonnxruntime.so to serve ONNX models"
    exit 0
fi
[ "${1:-}" = "--check" ] && { [ -s "$dir/libonnxruntime.so" ] && [ -s "$dir/libonnxruntime.so.$version" ]; exit; }
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --only-binary :all: \
    --implementation cp --python-version 3.11 --platform manylinux_2_28_x86_64 \
    --require-hashes -d "$tmp" -r scripts/requirements/ort.txt
mkdir -p "$dir"
python3 - "$tmp" "$dir" "$version" <<'PY'
import glob, os, sys, zipfile
tmp, out, version = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(os.path.join(tmp, "*.whl"))[0])
members = {"onnxruntime/capi/libonnxruntime.so." + version: "libonnxruntime.so." + version,
           "onnxruntime/LICENSE": "LICENSE", "onnxruntime/ThirdPartyNotices.txt": "ThirdPartyNotices.txt"}
for member, name in members.items():
    with open(os.path.join(out, name + ".new"), "wb") as f:
        f.write(wheel.read(member))
    os.replace(os.path.join(out, name + ".new"), os.path.join(out, name))
PY
ln -sf "libonnxruntime.so.$version" "$dir/libonnxruntime.so"
