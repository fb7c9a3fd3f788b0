#!/usr/bin/env bash
# Prepares `make bench`: pinned Python environments, the trained models, the Rust and Go peers, wrk.
# Everything lands in ${MILLRACE_CACHE:-~/.cache/millrace}/bench-*. Needs python3, gcc, cargo and go;
# a part whose tool is missing is skipped and its rows are missing from the table.
set -euo pipefail
cd "$(dirname "$0")"
cache="${MILLRACE_CACHE:-$HOME/.cache/millrace}"
models="$cache/bench-models"
mkdir -p "$models"

need() { # tool, Debian package
    command -v "$1" >/dev/null && return
    echo "bench: installing $2"
    if [ "$(id -u)" = 0 ]; then apt-get install -qy "$2" >/dev/null; else sudo apt-get install -qy "$2" >/dev/null; fi
}
need wrk wrk

venv() { # name: its pins are requirements/name.txt
    local dir="$cache/bench-$1" mark
    mark="$dir/.$(sha256sum <"requirements/$1.txt" | cut -c1-16)"
    [ -e "$mark" ] && return
    echo "bench: Python environment $1"
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/pip" install -q --disable-pip-version-check -r "requirements/$1.txt" && touch "$mark"
}
venv sk
for extra in ydf lignum lleaves; do
    venv "$extra" || echo "bench: $extra did not install; its rows will be missing"
done

mark="$models/.$(cat models.py requirements/sk.txt | sha256sum | cut -c1-16)"
if [ ! -e "$mark" ]; then
    echo "bench: training and compiling models"
    "$cache/bench-sk/bin/python" models.py "$models" >"$models/log" 2>&1
    touch "$mark"
fi

gcc -O2 -Wall -o "$cache/bench-tl-loop" peers/c/tl_loop.c -ldl -lm

if command -v cargo >/dev/null; then
    echo "bench: Rust peers"
    python3 peers/rust_lock.py peers/rust
    (cd peers/rust && BENCH_MODEL_DIR="$models" CARGO_TARGET_DIR="$cache/bench-rust" \
        RUSTFLAGS="-C target-cpu=native" cargo build -q --release --locked)
else
    echo "bench: no cargo: the Rust peers will be missing"
fi
if command -v go >/dev/null; then
    echo "bench: Go peer"
    (cd peers/go && CGO_LDFLAGS="-L$models" go build -mod=readonly -o "$cache/bench-go" .)
else
    echo "bench: no go: the Go peer will be missing"
fi
