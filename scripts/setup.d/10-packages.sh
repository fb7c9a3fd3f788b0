#!/usr/bin/env bash
# Debian packages for building the server.
set -euo pipefail
packages=(gcc g++ cmake ninja-build pkg-config make python3 python3-venv python3-pip ca-certificates
    libssl-dev libsqlite3-dev zlib1g-dev libbz2-dev liblzma-dev liblz4-dev libcurl4-openssl-dev
    libwslay-dev libseccomp-dev libargon2-dev libturbojpeg0-dev libpng-dev libwebp-dev
    libtesseract5 tesseract-ocr-eng tzdata)
. "$(dirname "$0")/../lib/apt.sh"
[ "${1:-}" = "--check" ] && { apt_have "${packages[@]}"; exit; }
apt_want "${packages[@]}"
