"""FastAPI + ONNX Runtime, one thread a session. BENCH_MODEL: the ONNX file."""
import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(os.environ["BENCH_MODEL"], options,
                               providers=["CPUExecutionProvider"])
app = FastAPI()


class Request(BaseModel):
    data: list[list[float]]


@app.post("/predict")
async def predict(q: Request):
    labels, p = session.run(None, {"x": np.asarray(q.data, dtype=np.float32)})
    return {"predictions": labels.tolist(), "probabilities": p.tolist()}
