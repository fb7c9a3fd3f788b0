#!/usr/bin/env bash
# What the tests of payments talk to: stripe-mock, the service's own stand-in (a Go module, checked by
# hash; with a Go from the registry where there is none), and the Python SDK, whose webhook
# signatures ours are compared with.
set -euo pipefail
venv="$MILLRACE_CACHE/venv"
mock="$MILLRACE_CACHE/stripe-mock"
module="github.com/stripe/stripe-mock"
version="v0.203.0"
sum="h1:EzW7nb/fphqcAkgVRHAaC88OaAZo6SBWSl54cflDTio="
if [ "${1:-}" = "--check" ]; then
    [ -x "$mock" ] && [ -d "$(echo "$venv"/lib/python3*/site-packages/stripe)" ]
    exit
fi
"$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
    --require-hashes -r scripts/requirements/stripe.txt
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT
go="$(command -v go || true)"
if [ -z "$go" ]; then
    python3 -m venv "$tmp/go"
    "$tmp/go/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
        --require-hashes -r scripts/requirements/go.txt
    go="$tmp/go/bin/go"
fi
export GOPATH="$tmp/path" GOCACHE="$tmp/build" GOFLAGS=-modcacherw GOTOOLCHAIN=local GOBIN="$tmp/bin"
got="$("$go" mod download -json "$module@$version" | sed -n 's/.*"Sum": "\(.*\)".*/\1/p')" || {
    echo "setup: $module $version could not be downloaded: is the Go module proxy reachable?" >&2
    exit 1
}
if [ "$got" != "$sum" ]; then
    echo "setup: $module $version has the hash '$got', not $sum" >&2
    exit 1
fi
"$go" install "$module@$version"
mv "$tmp/bin/stripe-mock" "$mock"
