# Sourced by setup steps: apt_have PKG… (are all installed?), apt_want PKG… (install the missing).
# A program from elsewhere (nodejs on PATH) counts as installed.
apt_missing() {
    local p
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q "ok installed" && continue
        [ "$p" = nodejs ] && command -v node >/dev/null && continue
        [ "$p" = npm ] && command -v npm >/dev/null && continue
        [ "$p" = ccache ] && command -v ccache >/dev/null && continue
        echo "$p"
    done
}

apt_have() { [ -z "$(apt_missing "$@")" ]; }

apt_want() {
    local missing
    missing="$(apt_missing "$@")"
    [ -n "$missing" ] || return 0
    echo "setup: installing $(echo "$missing" | tr '\n' ' ')"
    local sudo=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "setup: need root or sudo for apt-get" >&2; return 1; }
        sudo="sudo"
    fi
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
