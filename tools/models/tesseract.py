#!/usr/bin/env python3
"""The English data of Debian's tesseract-ocr-eng, copied into the model's folder.

    tesseract.py OUT_DIR
"""
import os
import shutil
import sys

DATA = "/usr/share/tesseract-ocr/5/tessdata/eng.traineddata"


def main():
    if not os.path.exists(DATA):
        raise SystemExit(f"tesseract: {DATA} is missing: install tesseract-ocr-eng")
    shutil.copyfile(DATA, os.path.join(sys.argv[1], "eng.traineddata"))


if __name__ == "__main__":
    main()
