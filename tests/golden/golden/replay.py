"""Computes a stored model's answers again from its values file alone."""

import numpy as np

from . import data as D
from .store import values_of


def inputs_of(doc, est):
    """The inputs of a values file in the form the model was trained on."""
    rows = doc["inputs"]
    if rows and isinstance(rows[0], str):
        return rows
    names = doc["feature_names"]
    if names is not None:
        return D.mixed_frame(rows, names)
    mixed = any(isinstance(c, str) for r in rows for c in r)
    cells = [[np.nan if c is None else c for c in r] for r in rows]
    return np.array(cells, dtype=object if mixed else np.float64)


def answers(est, doc):
    want_transform = doc.get("transform") is not None
    got = values_of(est, inputs_of(doc, est), want_transform)
    return {k: v for k, v in got.items() if k in doc}
