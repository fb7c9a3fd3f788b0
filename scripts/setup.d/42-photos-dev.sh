#!/usr/bin/env bash
# Photos for the tests of vision: those that scikit-learn and scikit-image carry in their wheels.
set -euo pipefail
dir="$MILLRACE_CACHE/photos"
want="$(sha256sum scripts/requirements/photos.txt | cut -c1-32)"
[ "${1:-}" = "--check" ] && { [ "$(cat "$dir/.of" 2>/dev/null)" = "$want" ]; exit; }
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
echo "$want" >"$dir/.of"
