#!/usr/bin/env bash
# Debian packages for the tests: second compiler, sanitizer runtimes, formatter, clients.
set -euo pipefail
packages=(clang clang-format libclang-rt-14-dev git curl ccache shellcheck prometheus faketime nodejs npm fonts-dejavu-core)
. "$(dirname "$0")/../lib/apt.sh"
[ "${1:-}" = "--check" ] && { apt_have "${packages[@]}"; exit; }
apt_want "${packages[@]}"
