"""Writes small GGUF files: LoRA adapters with made-up weights."""
import random
import struct

STRING, FLOAT = 8, 6


def _text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def gguf(values, tensors):
    """values: {key: str or float}; tensors: [(name, [n, rows], floats)]."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, v in values.items():
        head += _text(key) + (struct.pack("<I", STRING) + _text(v) if isinstance(v, str)
                              else struct.pack("<If", FLOAT, v))
    data = b""
    for name, shape, numbers in tensors:
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", 0, len(data))
        data += struct.pack(f"<{len(numbers)}f", *numbers)
        data += b"\0" * (-len(data) % 32)
    return head + b"\0" * (-len(head) % 32) + data


def lora(width, out, layers, tensor="ffn_down", rank=2, size=0.5, seed=1, architecture="llama", kind="adapter"):
    """For blk.N.<tensor> (width numbers in, out numbers out) of each layer."""
    r = random.Random(seed)
    numbers = lambda n: [r.uniform(-size, size) for _ in range(n)]  # noqa: E731
    tensors = []
    for layer in layers:
        name = f"blk.{layer}.{tensor}.weight"
        tensors += [(name + ".lora_a", [width, rank], numbers(width * rank)),
                    (name + ".lora_b", [rank, out], numbers(rank * out))]
    return gguf({"general.architecture": architecture, "general.type": kind, "adapter.type": "lora",
                 "adapter.lora.alpha": float(rank)}, tensors)
