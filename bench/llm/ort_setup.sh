#!/usr/bin/env bash
# onnxruntime-genai and its form of the model for bench/llm/ort_peer.py, of the file that
# bench/llm/setup.sh left: read by transformers, written by the peer's own builder in 4 bits by
# blocks of 32. The builder needs torch: 6 GB on disk.
set -euo pipefail
cd "$(dirname "$0")/../.."
export MILLRACE_CACHE="${MILLRACE_CACHE:-$HOME/.cache/millrace}"
dir="$MILLRACE_CACHE/bench-ortgenai"
want="$(cat bench/requirements/ortgenai.txt bench/llm/ort_setup.sh | sha256sum | cut -c1-32)"
[ "$(cat "$dir/.of" 2>/dev/null)" = "$want" ] && exit
rm -rf "$dir"
mkdir -p "$dir/source"
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes -r bench/requirements/ortgenai.txt
cp "$MILLRACE_CACHE/bench-llama/as-shipped.gguf" "$dir/source/model.gguf"
"$dir/venv/bin/python" - "$dir/source" >"$dir/build.log" 2>&1 <<'PY'
import sys
import torch
import transformers

path = sys.argv[1]
model = transformers.AutoModelForCausalLM.from_pretrained(path, gguf_file="model.gguf",
                                                          dtype=torch.float32)
# It holds plain floats by now, but still calls itself quantised and would not be written.
model.is_quantized, model.hf_quantizer = False, None
del model.config.quantization_config
model.save_pretrained(path)
transformers.AutoTokenizer.from_pretrained(path, gguf_file="model.gguf").save_pretrained(path)
PY
"$dir/venv/bin/python" -m onnxruntime_genai.models.builder -i "$dir/source" -o "$dir/int4" \
    -p int4 -e cpu --extra_options int4_accuracy_level=4 int4_block_size=32 hf_token=false \
    >>"$dir/build.log" 2>&1
rm -rf "$dir/source"
echo "$want" >"$dir/.of"
