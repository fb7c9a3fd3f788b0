#!/usr/bin/env bash
# The JavaScript packages of the tests, pinned by version and hash.
set -euo pipefail
dir="$MILLRACE_CACHE/node"
want=scripts/requirements/node
[ "${1:-}" = "--check" ] && { cmp -s "$want/package-lock.json" "$dir/done.json"; exit; }
rm -rf "$dir"
mkdir -p "$dir"
cp "$want/package.json" "$want/package-lock.json" "$dir/"
(cd "$dir" && npm ci --silent --ignore-scripts --no-audit --no-fund)
cp "$dir/package-lock.json" "$dir/done.json"
