#!/usr/bin/env python3
"""SSD-MobileNet-v2 (COCO) as ONNX, from TensorFlow's frozen graph, without TensorFlow.

    ssd.py OUT_DIR PACKAGE

Writes model.onnx: input float [N,3,300,300] in -1..1 (the graph's Preprocessor/sub, here in NCHW);
outputs boxes [N,1917,4] and logits [N,1917,91], which are the graph's concat and concat_1. What
comes before and after (scaling, anchors, non-maximum suppression) is the server's. Batch norms and
biases are folded into the convolutions.
"""
import glob
import os
import sys

import numpy as np

import graphdef
import onnx_write

SIDE, ANCHORS, CLASSES = 300, 1917, 91


class Tensor:
    """A value of the ONNX graph, NCHW, of spatial size `side`."""

    def __init__(self, name, side):
        self.name, self.side = name, side


class Conv:
    """A convolution that may still take a scale and a bias: kernel is OIHW, float64."""

    def __init__(self, x, kernel, stride, groups, bias=None):
        self.x, self.kernel, self.stride, self.groups = x, kernel, stride, groups
        self.bias = np.zeros(kernel.shape[0]) if bias is None else bias

    def scaled(self, by):
        by = np.broadcast_to(by.reshape(-1), self.bias.shape)
        return Conv(self.x, self.kernel * by[:, None, None, None], self.stride, self.groups,
                    self.bias * by)

    def shifted(self, by):
        return Conv(self.x, self.kernel, self.stride, self.groups,
                    self.bias + np.broadcast_to(by.reshape(-1), self.bias.shape))


CONSTANT = {"Rsqrt": lambda x: 1 / np.sqrt(x), "Mul": np.multiply, "Add": np.add,
            "Sub": np.subtract}


class Converter:
    def __init__(self, nodes):
        self.nodes, self.done = nodes, {}
        self.g = onnx_write.Graph("ssd-mobilenet-v2-coco")
        self.zero = self.g.const(np.float32(0), "zero")
        self.six = self.g.const(np.float32(6), "six")
        self.g.input("input", onnx_write.FLOAT, ["N", 3, SIDE, SIDE])
        self.done["Preprocessor/sub"] = Tensor("input", SIDE)

    def value(self, name):
        name = name.split(":")[0]
        if name not in self.done:
            self.done[name] = self.convert(self.nodes[name])
        return self.done[name]

    def tensor(self, v):
        """A Tensor; a Conv that nothing more is folded into becomes a node."""
        if isinstance(v, Tensor):
            return v
        if not isinstance(v, Conv):
            raise ValueError("a constant is used where a tensor is expected")
        k, out = v.kernel.shape[2], -(-v.x.side // v.stride)
        pad = max((out - 1) * v.stride + k - v.x.side, 0)  # TensorFlow's SAME
        name = self.g.node(
            "Conv", [v.x.name, self.g.const(v.kernel.astype(np.float32)),
                     self.g.const(v.bias.astype(np.float32))],
            kernel_shape=[k, k], strides=[v.stride, v.stride], group=v.groups,
            pads=[pad // 2, pad // 2, pad - pad // 2, pad - pad // 2])
        return Tensor(name, out)

    def conv(self, n):
        if n.attr["padding"] != "SAME" or n.attr["data_format"] != "NHWC" or \
                n.attr.get("dilations", [1] * 4) != [1] * 4:
            raise ValueError(f"{n.name}: another kind of convolution than expected")
        x = self.settle(n.inputs[0])
        kernel = self.value(n.inputs[1]).astype(np.float64)
        if n.op == "Conv2D":
            return Conv(x, kernel.transpose(3, 2, 0, 1), n.attr["strides"][1], 1)
        h, w, c, m = kernel.shape
        return Conv(x, kernel.transpose(2, 3, 0, 1).reshape(c * m, 1, h, w), n.attr["strides"][1],
                    c)

    def settle(self, name):
        """The tensor of an input that several nodes may use: made once."""
        name = name.split(":")[0]
        self.done[name] = self.tensor(self.value(name))
        return self.done[name]

    def convert(self, n):
        if n.op == "Const":
            return n.attr["value"]
        if n.op == "Identity":
            return self.value(n.inputs[0])
        if n.op in ("Conv2D", "DepthwiseConv2dNative"):
            return self.conv(n)
        if n.op == "Relu6":
            x = self.settle(n.inputs[0])
            return Tensor(self.g.node("Clip", [x.name, self.zero, self.six]), x.side)
        if n.op in CONSTANT or n.op == "BiasAdd":
            return self.arithmetic(n)
        if n.op == "Reshape":
            return self.rows(n)
        if n.op == "ConcatV2":
            parts = [self.value(i).name for i in n.inputs[:-1]]
            return Tensor(self.g.node("Concat", parts, {"concat": "boxes", "concat_1": "logits"}
                                      [n.name], axis=1), 0)
        raise ValueError(f"{n.name}: operation {n.op} is not expected in this graph")

    def arithmetic(self, n):
        args = [self.value(i) for i in n.inputs]
        if all(isinstance(a, np.ndarray) for a in args):
            return CONSTANT[n.op](*[a.astype(np.float64) for a in args])
        if isinstance(args[0], Conv) and isinstance(args[1], np.ndarray):
            by = args[1].astype(np.float64)
            if n.op == "Mul":
                return args[0].scaled(by)
            if n.op in ("Add", "BiasAdd"):
                return args[0].shifted(by)
        if n.op == "Add":
            a, b = self.settle(n.inputs[0]), self.settle(n.inputs[1])
            return Tensor(self.g.node("Add", [a.name, b.name]), a.side)
        raise ValueError(f"{n.name}: {n.op} of these inputs is not expected")

    def rows(self, n):
        """[N, side, side, k * width] as [N, side * side * k, width]; the width is the last of the
        packed dimensions."""
        x = self.settle(n.inputs[0])
        width = int(self.value(self.nodes[n.inputs[1]].inputs[-1]))
        y = self.g.node("Transpose", [x.name], perm=[0, 2, 3, 1])
        return Tensor(self.g.node("Reshape", [y, self.g.const(np.array([0, -1, width], np.int64))]),
                      0)


def main():
    out, package = sys.argv[1:]
    found = glob.glob(os.path.join(package, "*", "models", "frozen_inference_graph.pb"))
    if len(found) != 1:
        raise SystemExit(f"ssd: {len(found)} frozen graphs in the package, not one")
    sys.setrecursionlimit(10000)
    c = Converter(graphdef.read(found[0]))
    c.value("concat")
    c.value("concat_1")
    c.g.output("boxes", onnx_write.FLOAT, ["N", ANCHORS, 4])
    c.g.output("logits", onnx_write.FLOAT, ["N", ANCHORS, CLASSES])
    c.g.save(os.path.join(out, "model.onnx"))


if __name__ == "__main__":
    main()
