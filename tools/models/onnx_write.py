"""A small writer of ONNX files: enough of the protobuf wire format and of onnx.proto3's messages
(field numbers below) for graphs of tensors. Only numpy is needed; the same graph gives the same
bytes everywhere."""
import struct

import numpy as np

FLOAT, UINT8, INT32, INT64 = 1, 2, 6, 7  # TensorProto.DataType
_DTYPES = {"float32": FLOAT, "uint8": UINT8, "int32": INT32, "int64": INT64}


def _varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v > 0x7F:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def _int(field, v):
    return _varint(field << 3) + _varint(v)


def _bytes(field, v):
    v = v.encode() if isinstance(v, str) else v
    return _varint(field << 3 | 2) + _varint(len(v)) + v


def _float(field, v):
    return _varint(field << 3 | 5) + struct.pack("<f", v)


def _tensor(name, a):
    """TensorProto: dims 1, data_type 2, name 8, raw_data 9 (little-endian)."""
    dt = _DTYPES[a.dtype.name]
    return (b"".join(_int(1, d) for d in a.shape) + _int(2, dt) + _bytes(8, name) +
            _bytes(9, np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<")).tobytes()))


def _attribute(name, v):
    """AttributeProto: name 1, f 2, i 3, s 4, t 5, floats 7, ints 8; type 20."""
    head = _bytes(1, name)
    if isinstance(v, bool) or isinstance(v, int):
        return head + _int(3, int(v)) + _int(20, 2)
    if isinstance(v, float):
        return head + _float(2, v) + _int(20, 1)
    if isinstance(v, str):
        return head + _bytes(4, v) + _int(20, 3)
    if isinstance(v, np.ndarray):
        return head + _bytes(5, _tensor("", v)) + _int(20, 4)
    if all(isinstance(x, int) for x in v):
        return head + b"".join(_int(8, x) for x in v) + _int(20, 7)
    return head + b"".join(_float(7, x) for x in v) + _int(20, 6)


def _value(name, elem, shape):
    """ValueInfoProto: name 1, type 2 {tensor_type 1 {elem_type 1, shape 2 {dim 1}}}; a dimension
    is a number (1) or a name (2)."""
    dims = b"".join(_bytes(1, _int(1, d) if isinstance(d, int) else _bytes(2, d)) for d in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, elem) + _bytes(2, dims)))


class Graph:
    """Nodes in the order in which they run."""

    def __init__(self, name):
        self.name = name
        self.nodes, self.tensors, self.ins, self.outs = [], {}, [], []
        self.n_names = 0

    def fresh(self, stem):
        self.n_names += 1
        return f"{stem}_{self.n_names}"

    def const(self, a, name=None):
        """The name of a constant tensor."""
        name = name or self.fresh("c")
        assert name not in self.tensors, name
        self.tensors[name] = a
        return name

    def node(self, op, inputs, outputs=None, **attrs):
        """Adds a node and returns the name of its (first) output."""
        outputs = [outputs] if isinstance(outputs, str) else outputs or [self.fresh(op)]
        self.nodes.append((op, list(inputs), outputs, attrs))
        return outputs[0]

    def input(self, name, elem, shape):
        self.ins.append((name, elem, shape))
        return name

    def output(self, name, elem, shape):
        self.outs.append((name, elem, shape))

    def save(self, path, opset=13, ir_version=8):
        """GraphProto: node 1, name 2, initializer 5, input 11, output 12. NodeProto: input 1,
        output 2, op_type 4, attribute 5. ModelProto: ir_version 1, producer_name 2, graph 7,
        opset_import 8 {version 2}."""
        g = []
        for op, ins, outs, attrs in self.nodes:
            g.append(_bytes(1, b"".join(_bytes(1, n) for n in ins) +
                            b"".join(_bytes(2, n) for n in outs) + _bytes(4, op) +
                            b"".join(_bytes(5, _attribute(k, attrs[k])) for k in sorted(attrs))))
        g.append(_bytes(2, self.name))
        g += [_bytes(5, _tensor(n, a)) for n, a in self.tensors.items()]
        g += [_bytes(11, _value(*v)) for v in self.ins]
        g += [_bytes(12, _value(*v)) for v in self.outs]
        with open(path, "wb") as f:
            f.write(_int(1, ir_version) + _bytes(2, "millrace") + _bytes(7, b"".join(g)) +
                    _bytes(8, _int(2, opset)))
