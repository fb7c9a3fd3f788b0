#!/usr/bin/env bash
# OpenVINO GenAI and two forms of the model for bench/llm/openvino_peer.py: 8 bits a channel (about
# our quality) and 4 bits a channel (its fastest). Made of the file that bench/llm/setup.sh left:
# to F16 by llama.cpp, to OpenVINO's form by OpenVINO, compressed by its own tool NNCF (1 minute).
set -euo pipefail
cd "$(dirname "$0")/../.."
export MILLRACE_CACHE="${MILLRACE_CACHE:-$HOME/.cache/millrace}"
dir="$MILLRACE_CACHE/bench-openvino"
want="$(cat bench/requirements/openvino.txt bench/llm/openvino_setup.sh | sha256sum | cut -c1-32)"
[ "$(cat "$dir/.of" 2>/dev/null)" = "$want" ] && exit
rm -rf "$dir"
mkdir -p "$dir/f16" "$dir/int4" "$dir/int8"
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes -r bench/requirements/openvino.txt
PYTHONPATH=tools/models python3 -c \
    'import gguf_for_cpu as g, sys; g.convert(*sys.argv[1:], ftype=g.F16)' \
    "$MILLRACE_CACHE/bench-llama/as-shipped.gguf" "$dir/f16/model.gguf"
"$dir/venv/bin/python" - "$dir" >"$dir/nncf.log" 2>&1 <<'PY'
import glob, shutil, sys
import nncf
import openvino
import openvino_genai

root = sys.argv[1]
openvino_genai.LLMPipeline(f"{root}/f16/model.gguf", "CPU", enable_save_ov_model=True)
modes = {"int4": {"mode": nncf.CompressWeightsMode.INT4_SYM, "group_size": -1, "ratio": 1.0},
         "int8": {"mode": nncf.CompressWeightsMode.INT8_SYM}}
for name, how in modes.items():
    model = openvino.Core().read_model(f"{root}/f16/openvino_model.xml")
    openvino.save_model(nncf.compress_weights(model, **how),
                        f"{root}/{name}/openvino_model.xml")
    for part in glob.glob(f"{root}/f16/openvino_*tokenizer*"):
        shutil.copy(part, f"{root}/{name}")
PY
rm -rf "$dir/f16"
echo "$want" >"$dir/.of"
