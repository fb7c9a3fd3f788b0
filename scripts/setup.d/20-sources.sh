#!/usr/bin/env bash
# C sources that Debian does not package: llhttp (in the httptools sdist) and yyjson.
set -euo pipefail
dir="$MILLRACE_CACHE/src"
[ "${1:-}" = "--check" ] && { [ -s "$dir/llhttp/llhttp.c" ] && [ -s "$dir/yyjson/yyjson.c" ]; exit; }
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --no-binary :all: \
    --require-hashes -d "$tmp" -r scripts/requirements/sources.txt
mkdir -p "$dir/llhttp" "$dir/yyjson"
tar -xzf "$tmp"/httptools-*.tar.gz -C "$tmp"
tar -xzf "$tmp"/yyjson-*.tar.gz -C "$tmp"
cp "$tmp"/httptools-*/vendor/llhttp/src/*.c "$tmp"/httptools-*/vendor/llhttp/include/llhttp.h \
    "$tmp"/httptools-*/vendor/llhttp/LICENSE* "$dir/llhttp/"
cp "$tmp"/yyjson-*/yyjson/yyjson.[ch] "$tmp"/yyjson-*/LICENSE "$dir/yyjson/"
