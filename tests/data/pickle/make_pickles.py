#!/usr/bin/env python3
"""Writes the pickles of this folder. Needs numpy, scipy, scikit-learn, joblib and lz4.

usage: make_pickles.py DIR
"""

import collections
import pickle
import sys
import zlib
from pathlib import Path

import joblib
import numpy as np
import scipy.sparse
from sklearn.neighbors import KDTree
from sklearn.utils import Bunch

ARRAYS = {
    "rows": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(-1, 3, dtype=">i4"),
    "big_endian_float": np.array([0.5, -2], dtype=">f8"),
    "scalar": np.array(3.5),
    "half": np.array([1, -2, 0.5, 6e-8, np.inf], dtype="f2"),
    "text": np.array(["a", "\u00e9\u00df", "x\U0001f600"]),
    "big_endian_text": np.array(["ab", "c"], dtype=">U2"),
    "bytes": np.array([b"ab", b"c"]),
    "objects": np.asfortranarray(np.array([["x", 1], [None, 2.5]], dtype=object)),
    "record": np.array([(1, 2.5, True), (3, 4.5, False)], dtype=[("l", "i8"), ("v", "f8"), ("m", "?")]),
    "bools": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "turned": np.arange(8.0).reshape(2, 2, 2).transpose(1, 0, 2),
    "small": np.array([-1, 5], dtype="i1"),
}
PLAIN = [
    1, -1, 255, 65536, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 2**63, 1.5, -0.0, "a\nb\\c\u1234",
    b"\x00\xff", bytearray(b"xyz"), (1,), (1, 2, 3, 4), [], {}, {7}, frozenset([3]), None, True,
    collections.OrderedDict(a=1), np.float64(1.5), np.int64(-3), np.bool_(True), np.str_("h\u00e9"),
    np.float32(0.5), np.uint8(200), {"deep": [{"er": (1, [2])}]},
]
OBJECTS = {
    "csr": scipy.sparse.csr_matrix(np.array([[0, 1.5, 0], [2, 0, 3]])),
    "tree": KDTree(np.arange(12.0).reshape(6, 2), leaf_size=2),
    "bunch": Bunch(a=1, b=[2]),
}


def main():
    out = Path(sys.argv[1])
    for protocol in range(6):
        for name, value in (("arrays", ARRAYS), ("plain", PLAIN), ("objects", OBJECTS)):
            (out / f"{name}.p{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    joblib.dump(ARRAYS, out / "arrays.joblib")
    for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        joblib.dump(ARRAYS, out / f"arrays.{method}.joblib", compress=(method, 3))
    plain = pickle.dumps(ARRAYS, 2)
    header = b"ZF" + hex(len(plain)).encode().ljust(19)
    (out / "arrays.zf.pkl").write_bytes(header + zlib.compress(plain))
    np.savez_compressed(out / "arrays.npz", x=np.arange(3), y=np.eye(2))


if __name__ == "__main__":
    main()
