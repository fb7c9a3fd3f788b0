"""FastAPI + scikit-learn: the usual way to serve a pickled model. BENCH_MODEL: the joblib file."""
import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["BENCH_MODEL"])
app = FastAPI()


class Request(BaseModel):
    data: list[list[float]]


@app.post("/predict")
def predict(q: Request):
    p = model.predict_proba(np.asarray(q.data, dtype=np.float32))
    return {"predictions": p.argmax(1).tolist(), "probabilities": p.tolist()}
