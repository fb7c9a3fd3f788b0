#!/usr/bin/env python3
"""The service that one would write: FastAPI, Pillow and ONNX Runtime over the same two files.

    peer.py PORT THREADS      THREADS of ONNX Runtime a run; 0: its own choice
"""
import io
import os
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, File, UploadFile
from PIL import Image, ImageOps

CACHE = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
app = FastAPI()


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[2])
    return onnxruntime.InferenceSession(f"{CACHE}/models/{model}/model.onnx", options,
                                        providers=["CPUExecutionProvider"])


def anchors():
    maps, out = (19, 10, 5, 3, 2, 1), []
    scale = [0.2 + 0.15 * i for i in range(6)] + [1.0]
    for m, n in enumerate(maps):
        if m == 0:
            shapes = [(0.1, 1.0), (scale[0], 2.0), (scale[0], 0.5)]
        else:
            shapes = [(scale[m], r) for r in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            shapes.append(((scale[m] * scale[m + 1]) ** 0.5, 1.0))
        for y in range(n):
            for x in range(n):
                out += [((y + 0.5) / n, (x + 0.5) / n, s / r ** 0.5, s * r ** 0.5)
                        for s, r in shapes]
    return np.array(out, np.float32)


def image(data):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


@app.post("/classify")
def classify(image_file: UploadFile = File(alias="image")):
    im = image(image_file.file.read())
    side = int(min(im.size) * 0.875)
    left, top = (im.width - side) // 2, (im.height - side) // 2
    im = im.resize((224, 224), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    x = ((np.asarray(im, np.float32) - 127) / 128).transpose(2, 0, 1)[None]
    prob = CLASSIFIER.run(["prob"], {"input": np.ascontiguousarray(x)})[0][0]
    best = np.argsort(-prob)[:5]
    return {"predictions": [{"class": LABELS[k], "class_id": int(k),
                             "confidence": float(prob[k])} for k in best]}


@app.post("/detect")
def detect(image_file: UploadFile = File(alias="image")):
    im = image(image_file.file.read())
    small = im.resize((300, 300), Image.Resampling.BILINEAR)
    x = (np.asarray(small, np.float32) * (2 / 255) - 1).transpose(2, 0, 1)[None]
    box, logit = DETECTOR.run(["boxes", "logits"], {"input": np.ascontiguousarray(x)})
    box, score = box[0], 1 / (1 + np.exp(-logit[0][:, 1:]))
    cy = box[:, 0] / 10 * ANCHORS[:, 2] + ANCHORS[:, 0]
    cx = box[:, 1] / 10 * ANCHORS[:, 3] + ANCHORS[:, 1]
    h, w = np.exp(box[:, 2] / 5) * ANCHORS[:, 2], np.exp(box[:, 3] / 5) * ANCHORS[:, 3]
    corners = np.clip(np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1), 0, 1)
    at, kind = np.nonzero(score >= 0.4)
    order = np.argsort(-score[at, kind])
    kept = []
    for k in order:
        b, c = corners[at[k]], int(kind[k]) + 1
        if all(c != o["class_id"] or overlap(b, o["corners"]) <= 0.5 for o in kept):
            kept.append({"class_id": c, "confidence": float(score[at[k], kind[k]]), "corners": b})
    size = np.array([im.width, im.height] * 2)
    return {"objects": [{"class_id": o["class_id"], "confidence": o["confidence"],
                         "bbox": [round(v) for v in (o["corners"] * size).tolist()]}
                        for o in kept]}


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


CLASSIFIER, DETECTOR = session("efficientnet-lite0"), session("ssd-mobilenet-v2-coco")
ANCHORS = anchors()
with open(f"{CACHE}/models/efficientnet-lite0/labels.txt", encoding="utf-8") as f:
    LABELS = f.read().splitlines()

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
