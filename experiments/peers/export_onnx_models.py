"""Exports PyTorch models to ONNX in both of its ways: python export_onnx_models.py FOLDER [NAME...]

NAME-legacy.onnx and NAME-dynamo.onnx, with weights by a fixed seed and batch norms that have seen data, and beside each
NAME.npz: "x" (7 rows) and "y" that PyTorch answers. Needs torch, torchvision, onnx, onnxscript.
"""
import os
import sys
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")


class Encoder(nn.Module):
    """BERT's layers on vectors: learned positions, post-norm, GELU by erf, the first position answers."""

    def __init__(self, t=32, d=64, heads=4, layers=2, classes=5, norm_first=False):
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, t, d) * 0.1)
        layer = nn.TransformerEncoderLayer(d, heads, 4 * d, activation="gelu", batch_first=True, norm_first=norm_first)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(d, classes)

    def forward(self, x):
        return self.head(self.layers(x + self.position)[:, 0])


class Attention(nn.Module):
    """Attention spelled out, as models written by hand have it."""

    def __init__(self, t=16, d=32, heads=4):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.norm = nn.LayerNorm(d)
        self.heads, self.head = heads, nn.Linear(d, 3)

    def forward(self, x):
        b, t, d = x.shape
        split = lambda y: y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        p = torch.softmax(q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5, -1)
        y = (p @ v).transpose(1, 2).reshape(b, t, d)
        return self.head(self.norm(x + self.o(y)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind, bidirectional, last):
        super().__init__()
        self.cell = kind(12, 20, num_layers=2, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(20 * (1 + bidirectional), 4)
        self.last = last

    def forward(self, x):
        y, _ = self.cell(x)
        return self.head(y[:, -1] if self.last else y.mean(1))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda i, o, s: [nn.Conv2d(i, o, 3, s, 1), nn.BatchNorm2d(o), nn.ReLU()]
        self.body = nn.Sequential(*block(3, 16, 1), *block(16, 32, 2), nn.MaxPool2d(2), *block(32, 32, 1))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 8 * 8, 48), nn.Tanh(), nn.Dropout(0.3), nn.Linear(48, 10))

    def forward(self, x):
        return self.head(self.body(x))


class Odd(nn.Module):
    """What exporters spell in several nodes: hard-swish, SiLU, GELU by tanh, group norm, PReLU, pooling that rounds up."""

    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(3, 12, 5, 2, (1, 2), dilation=(2, 1), groups=3)
        self.g = nn.GroupNorm(4, 12)
        self.c2 = nn.Conv2d(12, 8, (1, 3), padding=(0, 1), padding_mode="zeros", bias=False)
        self.p = nn.PReLU(8)
        self.t = nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1)
        self.i = nn.InstanceNorm2d(6, affine=True)
        self.head = nn.Linear(6, 7)

    def forward(self, x):
        y = nn.functional.hardswish(self.g(self.c1(x)))
        y = nn.functional.avg_pool2d(nn.functional.silu(y), 3, 2, 1, ceil_mode=True, count_include_pad=False)
        y = self.p(self.c2(y))
        y = nn.functional.gelu(self.i(self.t(y)), approximate="tanh")
        y = nn.functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        return nn.functional.log_softmax(self.head(y.amax((2, 3))), -1)


def models():
    """What is exported where no names are given; and, for timing alone, "speed-..."."""
    for d, t, layers, heads in ((64, 64, 2, 4), (128, 64, 2, 4), (256, 64, 2, 8), (384, 64, 6, 12), (384, 128, 6, 12)):
        if any(n.startswith("speed-") for n in sys.argv[2:]):
            yield f"speed-encoder-{d}x{layers}-t{t}", Encoder(t, d, heads, layers), torch.randn(7, t, d)
    import torchvision.models as tv

    image = lambda s: torch.randn(7, 3, s, s)
    yield "mlp", nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ELU(), nn.Linear(32, 6), nn.Softmax(-1)), torch.randn(7, 20)
    yield "cnn", Cnn(), image(32)
    yield "odd", Odd(), image(33)
    yield "conv1d", nn.Sequential(nn.Conv1d(6, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
                                  nn.Conv1d(16, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 4)), torch.randn(7, 6, 40)
    yield "encoder", Encoder(), torch.randn(7, 32, 64)
    yield "encoder-pre", Encoder(norm_first=True), torch.randn(7, 32, 64)
    yield "attention", Attention(), torch.randn(7, 16, 32)
    for name, kind in (("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn", nn.RNN)):
        yield name, Recurrent(kind, False, True), torch.randn(7, 9, 12)
        yield name + "-both", Recurrent(kind, True, False), torch.randn(7, 9, 12)
    yield "resnet18", tv.resnet18(weights=None, num_classes=10), image(64)
    yield "mobilenet-v2", tv.mobilenet_v2(weights=None, num_classes=10), image(64)
    yield "mobilenet-v3", tv.mobilenet_v3_small(weights=None, num_classes=10), image(64)
    yield "shufflenet", tv.shufflenet_v2_x0_5(weights=None, num_classes=10), image(64)
    yield "squeezenet", tv.squeezenet1_1(weights=None, num_classes=10), image(64)
    yield "densenet", tv.DenseNet(8, (2, 2), 16, num_classes=10), image(64)
    yield "vit", tv.VisionTransformer(32, 8, 2, 4, 64, 128, num_classes=10), image(32)
    yield "convnext", tv.convnext.ConvNeXt([tv.convnext.CNBlockConfig(16, 32, 1), tv.convnext.CNBlockConfig(32, None, 1)], num_classes=10), image(64)
    yield "swin", tv.SwinTransformer([4, 4], 16, [2, 2], [2, 2], [4, 4], num_classes=10), image(32)
    yield "efficientnet", tv.efficientnet_b0(weights=None, num_classes=10), image(64)


def export(folder, name, model, x):
    torch.manual_seed(1)
    for p in model.parameters():
        if p.dim() > 1 and "vit" in name:
            nn.init.xavier_uniform_(p)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(x + 0.1 * torch.randn_like(x))
    model.eval()
    with torch.no_grad():
        y = model(x)
    np.savez(os.path.join(folder, name + ".npz"), x=x.numpy(), y=y.numpy())
    for way in ("legacy", "dynamo"):
        path = os.path.join(folder, f"{name}-{way}.onnx")
        try:
            if way == "legacy":
                torch.onnx.export(model, (x[:1],), path, input_names=["x"], output_names=["y"], dynamo=False, opset_version=17,
                                  dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}})
            else:
                torch.onnx.export(model, (x[:2],), path, input_names=["x"], output_names=["y"], dynamo=True, external_data=False,
                                  dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)
        except Exception as e:  # noqa: BLE001 - which of torch's exporters can do what is not ours
            print(f"{name}-{way}: PyTorch does not export it: {str(e).splitlines()[0][:150]}", file=sys.stderr)


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    torch.manual_seed(0)
    for name, model, x in models():
        if len(sys.argv) < 3 or name in sys.argv[2:]:
            export(sys.argv[1], name, model, x)
