#!/usr/bin/env python3
"""EfficientNet-Lite0 (ImageNet-1k) as ONNX, from the weight file of its PyPI package, read without
PyTorch.

    efficientnet.py OUT_DIR EFFICIENTNET_PACKAGE LABELS_PACKAGE

Writes model.onnx (input float [N,3,224,224], (RGB - 127) / 128; outputs prob [N,1000] and embedding
[N,1280]) and labels.txt (a class a line: the first of its WordNet names, lower case, '_' for
blanks). The architecture is the table of the EfficientNet-Lite release (Google, 2020): B0 without
squeeze-and-excite, ReLU6, stem and head at their fixed widths. Batch norms are folded into the
convolutions; strides pad as TensorFlow's SAME, which is what the weights were trained with.
"""
import collections
import glob
import json
import os
import pickle
import struct
import sys

import numpy as np

import onnx_write

EPSILON = 1e-3  # of every batch norm
# repeats, stride of the first, expansion; kernels and widths are the weights' own
STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))


class WeightReader(pickle.Unpickler):
    """The state dict of a file in PyTorch's format before 1.6: three pickles of magic, version and
    machine, a pickle of tensors as views of storages, a pickle of the storages' keys, then each
    storage as a count (int64) and its elements. Nothing but these names is ever called."""
    TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}

    def __init__(self, f):
        super().__init__(f)
        self.types = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda key, offset, shape, strides, *_: (key, offset, shape, strides)
        if module == "torch" and name in self.TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not expected in a weight file")

    def persistent_load(self, pid):
        _, kind, key = pid[:3]
        self.types[key] = self.TYPES[kind]
        return key


def read_weights(path):
    with open(path, "rb") as f:
        for _ in range(3):
            WeightReader(f).load()
        reader = WeightReader(f)
        views = reader.load()
        data = {}
        for key in WeightReader(f).load():
            n = struct.unpack("<q", f.read(8))[0]
            dtype = np.dtype(reader.types[key])
            data[key] = np.frombuffer(f.read(n * dtype.itemsize), dtype)
    out = {}
    for name, (key, offset, shape, strides) in views.items():
        a = data[key]
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides)) if 0 not in shape else 0
        if last >= len(a):
            raise ValueError(f"{name} reaches over the end of its storage")
        out[name] = np.lib.stride_tricks.as_strided(
            a[offset:], shape, [s * a.itemsize for s in strides]).copy()
    return out


class Net:
    def __init__(self, weights):
        self.w = weights
        self.g = onnx_write.Graph("efficientnet-lite0")
        self.zero = self.g.const(np.float32(0), "zero")
        self.six = self.g.const(np.float32(6), "six")

    def conv(self, x, conv, norm, stride=1, groups=1, relu=True):
        kernel = self.w[conv + ".weight"].astype(np.float64)
        scale = self.w[norm + ".weight"] / np.sqrt(
            self.w[norm + ".running_var"].astype(np.float64) + EPSILON)
        bias = self.w[norm + ".bias"] - self.w[norm + ".running_mean"] * scale
        k = kernel.shape[2]
        low = high = (k - 1) // 2
        if stride == 2:  # SAME on an even side: the odd pixel of padding goes to the far end
            low, high = (k - 2) // 2, k - 2 - (k - 2) // 2
        g = self.g
        y = g.node("Conv", [x, g.const((kernel * scale[:, None, None, None]).astype(np.float32)),
                            g.const(bias.astype(np.float32))],
                   kernel_shape=[k, k], strides=[stride, stride], pads=[low, low, high, high],
                   group=groups)
        return g.node("Clip", [y, self.zero, self.six]) if relu else y

    def build(self):
        g = self.g
        x = self.conv(g.input("input", onnx_write.FLOAT, ["N", 3, 224, 224]), "_conv_stem", "_bn0",
                      stride=2)
        block = 0
        for repeats, first_stride, expansion in STAGES:
            for k in range(repeats):
                p = f"_blocks.{block}."
                y = x
                if expansion != 1:
                    y = self.conv(y, p + "_expand_conv", p + "_bn0")
                y = self.conv(y, p + "_depthwise_conv", p + "_bn1",
                              stride=first_stride if k == 0 else 1,
                              groups=self.w[p + "_depthwise_conv.weight"].shape[0])
                y = self.conv(y, p + "_project_conv", p + "_bn2", relu=False)
                x = g.node("Add", [x, y]) if k else y
                block += 1
        x = g.node("GlobalAveragePool", [self.conv(x, "_conv_head", "_bn1")])
        x = g.node("Flatten", [x], "embedding")
        x = g.node("Gemm", [x, g.const(self.w["_fc.weight"]), g.const(self.w["_fc.bias"])],
                   transB=1)
        g.node("Softmax", [x], "prob", axis=1)
        g.output("prob", onnx_write.FLOAT, ["N", 1000])
        g.output("embedding", onnx_write.FLOAT, ["N", 1280])
        return g


def one(pattern):
    found = glob.glob(pattern)
    if len(found) != 1:
        raise SystemExit(f"efficientnet: {pattern} is there {len(found)} times, not once")
    return found[0]


def labels(path):
    with open(path, encoding="utf-8") as f:
        names = json.load(f)
    out = []
    for k in range(1000):
        text = names[str(k)]
        text = (text[0] if isinstance(text, list) else text).split(",")[0].strip()
        out.append(text.lower().replace(" ", "_"))
    if len(names) != 1000 or out[207] != "golden_retriever" or out[698] != "palace":
        raise SystemExit("efficientnet: this is not the standard order of the ImageNet-1k classes")
    return out


def main():
    out, weights, names = sys.argv[1:]
    net = Net(read_weights(one(os.path.join(weights, "*", "models", "efficientnet-lite0-*.pth"))))
    net.build().save(os.path.join(out, "model.onnx"))
    with open(os.path.join(out, "labels.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.write("\n".join(labels(one(os.path.join(names, "*", "imagenet1k_label_to_names.json")))))
        f.write("\n")


if __name__ == "__main__":
    main()
