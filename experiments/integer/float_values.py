"""What bytes between layers cost a quantized model in accuracy: python3 experiments/integer/float_values.py TEST.h5 A.onnx [B.onnx ...]

The models are of `retort export --to onnx-qdq`, TEST.h5 has 'x' and 'y'. Each answers all rows twice in ONNX Runtime: as
it is, and with its weights at their steps but values between layers as floats (each QuantizeLinear and the
DequantizeLinear of its bytes give what they get). Differences are paired by row over all models, with a 95 % interval of
the normal approximation. Ranges of values, learned or not, can win no more than this. Needs onnx, onnxruntime, h5py."""
import math
import sys

import h5py
import numpy as np
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(3)


def in_floats(model):
    """The same graph without the bytes between its layers; what is quantized in the file stays."""
    graph = model.graph
    stored = {i.name for i in graph.initializer} | {i.name for i in graph.input}
    for n in list(graph.node):
        if n.op_type == "QuantizeLinear" or (n.op_type == "DequantizeLinear" and n.input[0] not in stored):
            n.op_type = "Identity"
            del n.input[1:], n.attribute[:]
    return model


def right(model, x, y):
    s = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = s.get_inputs()[0].name
    return np.concatenate([s.run(None, {name: x[i:i + 500]})[0].argmax(1) for i in range(0, len(x), 500)]) == y


with h5py.File(sys.argv[1]) as f:
    rows, y = f["x"][:], f["y"][:]
rows = rows[..., None] if rows.ndim == 3 else rows
bytes_, floats = [], []
for path in sys.argv[2:]:
    model = onnx.load(path)
    of = model.graph.input[0].type.tensor_type
    x = rows.transpose(0, 3, 1, 2) if rows.ndim == 4 else rows
    x = x.astype(np.float32) if of.elem_type == onnx.TensorProto.FLOAT else x
    bytes_.append(right(model, x, y))
    floats.append(right(in_floats(model), x, y))
    print("%s: %.4f, with values in float %.4f" % (path, bytes_[-1].mean(), floats[-1].mean()), flush=True)
a, b = np.concatenate(bytes_), np.concatenate(floats)
lost, won, n = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
d, se = (won - lost) / n, math.sqrt((won + lost - (won - lost) ** 2 / n) / n ** 2)
print("values in float: %+.2f points [%+.2f, %+.2f], %d answers differ" % (100 * d, 100 * (d - 1.96 * se),
                                                                      100 * (d + 1.96 * se), won + lost))
