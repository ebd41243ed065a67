#!/usr/bin/env python3
"""Records tests/onnx/quantized: models that ONNX Runtime's quantize_static made (QDQ and operators), rows for them, and
what ONNX Runtime's integer kernels answer.  python3 record_quantized.py FOLDER.  torch 2.15, onnx 1.23, onnxruntime 1.32.

FOLDER/NAME.onnx and NAME.txt as record_samples.py has them, numbers in full (9 digits). Which become integer programs and
which stay in float, and why, is for the test to say."""
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from torch import nn

ROWS, CALIBRATE = 40, 64
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(20)


class Rows(CalibrationDataReader):
    def __init__(self, x):
        self.rows = iter([{"x": x[i:i + 1]} for i in range(len(x))])

    def get_next(self):
        return next(self.rows, None)


def answers(path, x):
    """One row a call, by integer kernels that do not saturate."""
    so = ort.SessionOptions()
    so.add_session_config_entry("session.x64quantprecision", "1")
    so.log_severity_level = 3
    s = ort.InferenceSession(path, so, providers=["CPUExecutionProvider"])
    return np.concatenate([s.run(None, {"x": x[i:i + 1]})[0].reshape(1, -1) for i in range(len(x))])


def record(name, x, image):
    y = answers(f"{out}/{name}.onnx", x)
    x = np.moveaxis(x, 1, -1) if image else x
    with open(f"{out}/{name}.txt", "w") as f:
        f.write(f"rows {len(x)} width {y.shape[1]}\n")
        for a, b in zip(x.reshape(len(x), -1), y):
            f.write(" ".join("%.9g" % v for v in a) + "\n" + " ".join("%.9g" % v for v in b) + "\n")


def make(name, model, shape, image=False, activation=QuantType.QUInt8, weight=QuantType.QInt8, format=QuantFormat.QDQ,
         per_channel=True, opset=17, **extra):
    """extra: extra_options of quantize_static."""
    torch.manual_seed(len(name))
    model.eval()
    x = rng.standard_normal((CALIBRATE, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory() as d:
        torch.onnx.export(model, (torch.tensor(x[:1]),), f"{d}/f.onnx", opset_version=opset, dynamo=False, input_names=["x"],
                          output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
        quantize_static(f"{d}/f.onnx", f"{out}/{name}.onnx", Rows(x), quant_format=format, per_channel=per_channel,
                        activation_type=activation, weight_type=weight, extra_options=extra)
    record(name, rng.standard_normal((ROWS, *shape)).astype(np.float32) * 1.3, image)


class Residual(nn.Module):
    """Every kind of layer that has an integer form in both."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.c, self.d = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.e = nn.Conv2d(8, 12, (3, 1), stride=2)
        self.p, self.q = nn.MaxPool2d(2), nn.Linear(12 + 8, 5)
        self.b.running_mean.normal_(0, 0.3)
        self.b.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = torch.relu(self.b(self.a(x)))
        x = self.p(torch.relu(x + self.d(nn.functional.relu6(self.c(x)))))
        y = torch.sigmoid(self.e(x))
        z = torch.cat([torch.flatten(nn.functional.adaptive_avg_pool2d(t, 1), 1) for t in (y, x)], 1)
        return self.q(z)


class Lines(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.a, self.b, self.c = nn.Conv1d(2, 6, 3, padding=1), nn.Conv1d(6, 6, 3), nn.Linear(6 * 9, 4)

    def forward(self, x):
        x = nn.functional.max_pool1d(torch.relu(self.a(x)), 2)
        return self.c(torch.flatten(torch.tanh(self.b(x)), 1))


class Flat(nn.Module):
    """An image in ONNX's order becomes a row."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.a, self.b, self.c = nn.Conv2d(2, 4, 3), nn.Linear(4 * 4 * 5, 7), nn.Linear(7, 3, bias=False)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.flatten(torch.relu(self.a(x)), 1))))


class Mlp(nn.Module):
    def __init__(self, end=None):
        super().__init__()
        torch.manual_seed(6)
        self.a, self.b, self.c, self.end = nn.Linear(16, 24), nn.Linear(24, 12), nn.Linear(12, 4), end

    def forward(self, x):
        x = self.c(nn.functional.leaky_relu(self.b(torch.relu(self.a(x))), 0.1))
        return self.end(x) if self.end else x


make("residual", Residual(), (3, 9, 8), image=True)
make("signed", Residual(), (3, 9, 8), image=True, activation=QuantType.QInt8)
make("lines", Lines(), (2, 22), image=True)
make("flat", Flat(), (2, 6, 7), image=True)
make("mlp", Mlp(), (16,))
make("mlp_tensor", Mlp(), (16,), per_channel=False)
make("mlp_operators", Mlp(), (16,), format=QuantFormat.QOperator)
make("residual_operators", Residual(), (3, 9, 8), image=True, format=QuantFormat.QOperator)
make("flat_operators", Flat(), (2, 6, 7), image=True, format=QuantFormat.QOperator)
make("unsigned_weights", Mlp(), (16,), weight=QuantType.QUInt8, per_channel=False, WeightSymmetric=True)
make("asymmetric", Mlp(), (16,), weight=QuantType.QUInt8, per_channel=False)
make("sixteen", Mlp(), (16,), activation=QuantType.QUInt16, weight=QuantType.QInt8)
make("softmax", Mlp(nn.Softmax(1)), (16,))
make("normed", Mlp(nn.LayerNorm(4)), (16,))


class Tokens(nn.Module):
    """Linear layers over the tokens of a row."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.a, self.b, self.c = nn.Linear(12, 40), nn.Linear(40, 12, bias=False), nn.Linear(12, 3)
        self.n = nn.LayerNorm(12)

    def forward(self, x):
        return self.c(self.n(x + self.b(nn.functional.gelu(self.a(x)))).mean(1))


def dynamic(name, model, shape, image=False, **settings):
    model.eval()
    with tempfile.TemporaryDirectory() as d:
        torch.onnx.export(model, (torch.zeros(1, *shape),), f"{d}/f.onnx", opset_version=17, dynamo=False, input_names=["x"],
                          output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
        quantize_dynamic(f"{d}/f.onnx", f"{out}/{name}.onnx", **settings)
    record(name, rng.standard_normal((ROWS, *shape)).astype(np.float32) * 1.3, image)


dynamic("dynamic", Mlp(), (16,), weight_type=QuantType.QInt8, per_channel=True)
dynamic("dynamic_tokens", Tokens(), (9, 12), weight_type=QuantType.QInt8)
dynamic("dynamic_unsigned", Mlp(), (16,), weight_type=QuantType.QUInt8)

# bytes that are given in one scale and taken in another
m = onnx.load(f"{out}/mlp.onnx")
taken = [n for n in m.graph.node if n.op_type == "DequantizeLinear" and "Relu" in n.input[0]][0]
m.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.017, np.float32), "another"))
taken.input[1] = "another"
onnx.save(m, f"{out}/rescaled.onnx")


# graphs that are no integer program: something in floats stands between, exact, so that bytes are the same
class Mixed(nn.Module):
    """Convolutions that are dilated, strided, grouped, depthwise and padded on one side, and what goes by pairs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(8)
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=2, dilation=2), nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.c, self.d = nn.Conv2d(8, 12, (3, 2), stride=2, groups=4), nn.Conv2d(12, 12, 1)
        self.p, self.q = nn.ZeroPad2d((1, 0, 2, 1)), nn.Linear(24, 5)

    def forward(self, x):
        x = torch.relu(self.a(x))
        x = torch.abs(self.c(self.p(x + self.b(x))) - 0.25)
        y = nn.functional.leaky_relu(self.d(x), 0.1)
        z = torch.cat([x * torch.sigmoid(y), nn.functional.max_pool2d(y, 3, 1, 1)], 1)
        return self.q(torch.flatten(nn.functional.adaptive_avg_pool2d(z, 1), 1))


class Attend(nn.Module):
    """Products of two inputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(9)
        self.a, self.b, self.c = nn.Linear(12, 24), nn.Linear(12, 24, bias=False), nn.Linear(24, 3)

    def forward(self, x):
        q, k = (f(x).reshape(x.shape[0], 7, 3, 8).transpose(1, 2) for f in (self.a, self.b))
        s = torch.abs(q @ k.transpose(2, 3))
        return self.c((s @ k).transpose(1, 2).reshape(x.shape[0], 7, 24))


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(10)
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, stride=2, groups=6)
        self.c, self.d = nn.Conv2d(6, 9, 1, bias=False), nn.Linear(9, 4)

    def forward(self, x):
        x = torch.relu(self.c(torch.relu(self.b(torch.relu(self.a(x))))))
        return self.d(torch.amax(x, (2, 3)))


for kind, settings in (("mixed_operators", {}), ("mixed_unsigned", {"weight": QuantType.QUInt8, "per_channel": False})):
    make(kind, Mixed(), (3, 11, 10), image=True, format=QuantFormat.QOperator, **settings)
make("mixed_pairs", Mixed(), (3, 11, 10), image=True)
make("attend_operators", Attend(), (7, 12), format=QuantFormat.QOperator)
dynamic("dynamic_conv", Turned(), (3, 9, 8), image=True, weight_type=QuantType.QUInt8)
