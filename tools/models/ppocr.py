#!/usr/bin/env python3
"""The PP-OCRv4 models of the rapidocr-onnxruntime package, and the characters that the recogniser
knows as a text file.

    ppocr.py OUT_DIR PACKAGE

Copies det.onnx (where text is), cls.onnx (upside down or not) and rec.onnx (what it says), and
writes keys.txt, a character a line, from the `character` entry of the recogniser's metadata
(ModelProto.metadata_props, field 14). Class 0 of the recogniser is CTC's blank, class k is line k,
and one more class after the last line is a blank between words.
"""
import glob
import os
import shutil
import sys

import graphdef

FILES = {"det.onnx": "ch_PP-OCRv4_det_infer.onnx", "rec.onnx": "ch_PP-OCRv4_rec_infer.onnx",
         "cls.onnx": "ch_ppocr_mobile_v2.0_cls_infer.onnx"}


def metadata(path):
    with open(path, "rb") as f:
        b = memoryview(f.read())
    out = {}
    for field, _, v in graphdef.fields(b):
        if field == 14:
            pair = {k: bytes(w).decode() for k, _, w in graphdef.fields(v)}
            out[pair[1]] = pair[2]
    return out


def main():
    out, package = sys.argv[1:]
    for name, of in FILES.items():
        found = glob.glob(os.path.join(package, "*", "models", of))
        if len(found) != 1:
            raise SystemExit(f"ppocr: {of} is in the package {len(found)} times, not once")
        shutil.copyfile(found[0], os.path.join(out, name))
    keys = metadata(os.path.join(out, "rec.onnx"))["character"].splitlines()
    if any(not k for k in keys):
        raise SystemExit("ppocr: the list of characters has an empty line")
    with open(os.path.join(out, "keys.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(k + "\n" for k in keys)
    print(f"ppocr: {len(keys)} characters")


if __name__ == "__main__":
    main()
