#!/usr/bin/env bash
# Prepares bench/gateway: nginx, and pinned LiteLLM, TensorZero and Portkey in the cache.
set -euo pipefail
cd "$(dirname "$0")"
cache="${MILLRACE_CACHE:-$HOME/.cache/millrace}"
if ! command -v nginx >/dev/null; then
    echo "bench: installing nginx-light"
    if [ "$(id -u)" = 0 ]; then apt-get install -qy nginx-light >/dev/null; else sudo apt-get install -qy nginx-light >/dev/null; fi
fi
for peer in litellm tensorzero; do
    dir="$cache/bench-$peer"
    mark="$dir/.$(sha256sum <"../requirements/$peer.txt" | cut -c1-16)"
    [ -e "$mark" ] && continue
    echo "bench: $peer"
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/pip" install -q --disable-pip-version-check -r "../requirements/$peer.txt"
    touch "$mark"
done
portkey="$cache/bench-portkey"
if [ ! -e "$portkey/.1.15.2" ]; then
    echo "bench: portkey"
    rm -rf "$portkey"
    mkdir -p "$portkey"
    npm --prefix "$portkey" install --no-audit --no-fund --silent --ignore-scripts @portkey-ai/gateway@1.15.2
    touch "$portkey/.1.15.2"
fi
