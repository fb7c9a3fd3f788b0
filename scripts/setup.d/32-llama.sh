#!/usr/bin/env bash
# libllama and libggml for language models, built for this machine's CPU (4 minutes of CPU time),
# with our kernels (src/engine/llm/kernels) in libggml-cpu. llama.h is needed to build the server;
# the library is loaded by the processes that run a model.
# Reads scripts/requirements/llama.txt and scripts/lib/llama.sh.
set -euo pipefail
dir="$MILLRACE_CACHE/llama"
built="$dir/.of" # what it was built from and on which CPU
want="$(cat scripts/requirements/llama.txt scripts/lib/llama.sh cmake/llama_kernels.cmake \
    src/engine/llm/kernels/* | sha256sum | cut -c1-32) $(
    grep -m1 '^flags' /proc/cpuinfo | sha256sum | cut -c1-16)"
if [ "${1:-}" = "--check" ]; then
    [ "$(cat "$built" 2>/dev/null)" = "$want" ] && [ -s "$dir/lib/libllama.so" ] &&
        [ -s "$dir/include/llama.h" ]
    exit
fi
. scripts/lib/llama.sh
mkdir -p "$dir"
tmp="$dir/.build"
rm -rf "$tmp/build" "$tmp/prefix"
llama_fetch "$tmp"
llama_cmake "$tmp" "$tmp/build" -DCMAKE_INSTALL_PREFIX="$tmp/prefix" -DLLAMA_BUILD_COMMON=OFF \
    -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF \
    -DCMAKE_PROJECT_ggml_INCLUDE="$PWD/cmake/llama_kernels.cmake"
cmake --build "$tmp/build" >/dev/null
cmake --install "$tmp/build" --strip >/dev/null
rm -rf "$tmp/prefix/lib/cmake" "$tmp/prefix/lib/pkgconfig"
cp "$tmp/llama.cpp/LICENSE" "$tmp/prefix/LICENSE"
for part in lib include LICENSE; do
    rm -rf "${dir:?}/$part"
    mv "$tmp/prefix/$part" "$dir/$part"
done
rm -rf "$tmp"
echo "$want" >"$built"
