"""A reader of TensorFlow's frozen graphs (GraphDef): the protobuf wire format by hand, numpy only.
Field numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,tensor,
tensor_shape}.proto."""
import struct

import numpy as np

_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?"}


def _varint(b, at):
    value = shift = 0
    while True:
        byte = b[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")


def fields(b):
    """(field number, wire type, value) of a message; bytes fields are slices."""
    at = 0
    while at < len(b):
        key, at = _varint(b, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(b, at)
        elif kind in (1, 5):
            n = 8 if kind == 1 else 4
            value, at = b[at:at + n], at + n
        elif kind == 2:
            n, at = _varint(b, at)
            value, at = b[at:at + n], at + n
        else:
            raise ValueError(f"wire type {kind} is not used by graphs")
        if at > len(b):
            raise ValueError("a field reaches over the end of its message")
        yield key >> 3, kind, value


def _signed(v):
    return v - (1 << 64) if v >> 63 else v


def _packed_ints(kind, v):
    if kind == 0:
        return [_signed(v)]
    out, at = [], 0
    while at < len(v):
        x, at = _varint(v, at)
        out.append(_signed(x))
    return out


def _shape(b):
    dims = []
    for field, _, v in fields(b):
        if field == 2:
            dims.append(next((_signed(x) for f, _, x in fields(v) if f == 1), 0))
    return dims


def _tensor(b):
    dtype, shape, content = None, [], b""
    listed = []
    for field, kind, v in fields(b):
        if field == 1:
            dtype = v
        elif field == 2:
            shape = _shape(v)
        elif field == 4:
            content = bytes(v)
        elif field == 5:  # float_val, packed or not
            listed += np.frombuffer(bytes(v), "<f4").tolist()
        elif field in (7, 10, 11):  # int_val, int64_val, bool_val
            listed += _packed_ints(kind, v)
    if dtype not in _DTYPES:
        return None
    count = int(np.prod(shape, dtype=np.int64))
    if content:
        return np.frombuffer(content, _DTYPES[dtype]).reshape(shape)
    a = np.array(listed or [0], _DTYPES[dtype])
    if len(a) < count:  # a short list repeats its last value
        a = np.concatenate([a, np.repeat(a[-1:], count - len(a))])
    return a[:count].reshape(shape)


def _attr(b):
    for field, kind, v in fields(b):
        if field == 1:  # list: of integers, or of something that no converter here needs
            return [x for f, k, w in fields(v) if f == 3 for x in _packed_ints(k, w)]
        if field == 2:
            return bytes(v).decode("utf-8", "replace")
        if field == 3:
            return _signed(v)
        if field == 4:
            return struct.unpack("<f", v)[0]
        if field in (5, 6):
            return v
        if field == 7:
            return _shape(v)
        if field == 8:
            return _tensor(v)
    return None


class Node:
    def __init__(self, b):
        self.name = self.op = ""
        self.inputs, self.attr = [], {}
        for field, _, v in fields(b):
            if field == 1:
                self.name = bytes(v).decode()
            elif field == 2:
                self.op = bytes(v).decode()
            elif field == 3:
                self.inputs.append(bytes(v).decode())
            elif field == 5:
                pair = {f: w for f, _, w in fields(v)}
                self.attr[bytes(pair[1]).decode()] = _attr(pair.get(2, b""))


def read(path):
    """Nodes by name, in the file's order."""
    with open(path, "rb") as f:
        b = memoryview(f.read())
    nodes = {}
    for field, _, v in fields(b):
        if field == 1:
            node = Node(v)
            nodes[node.name] = node
    return nodes
