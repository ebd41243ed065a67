"""Records what tests/student/test_attribution.c compares with: three networks of PyTorch, exported to ONNX
(tests/student/attributions/NAME.onnx), and, computed in double by autograd from the papers' formulas, the gradient of an
output by the input, integrated gradients by three rules, and occlusion.

    python3 record_attributions.py attributions > attribution_reference.h          torch 2.15, onnx 1.23

Images are (H, W, C) in the header; PyTorch has them (C, H, W). Of ids, gradients and paths are those of the embedding."""
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(7)
out = sys.argv[1]


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.c(torch.tanh(self.b(F.relu(self.a(x)))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.b, self.m = nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5)
        self.c = nn.Linear(5, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.n(self.a(x))), 2)
        return self.c(F.gelu(self.m(self.b(x))).mean((2, 3)))


class Words(nn.Module):
    """An embedding, places, one head of attention with a residual, a norm, the mean, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.e, self.p = nn.Embedding(64, 8), nn.Parameter(torch.randn(6, 8) * 0.3)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.n, self.c = nn.LayerNorm(8), nn.Linear(8, 3)

    def inside(self, e):
        x = e + self.p
        a = torch.softmax(self.q(x) @ self.k(x).transpose(-1, -2) / 8 ** 0.5, -1) @ self.v(x)
        return self.c(self.n(x + a).mean(1))

    def forward(self, ids):
        return self.inside(self.e(ids))


def points(rule, n):
    if rule == "midpoint":
        return (np.arange(n) + 0.5) / n, np.full(n, 1 / n)
    if rule == "trapezoid":
        w = np.full(n, 1 / (n - 1))
        w[[0, -1]] /= 2
        return np.linspace(0, 1, n), w
    a, w = np.polynomial.legendre.leggauss(n)
    return (a + 1) / 2, w / 2


def grad(f, x, k):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x)[torch.arange(len(x)), k].sum(), x)[0]


def integrated(f, x, b, k, rule, n):
    a, w = points(rule, n)
    return (x - b) * sum(wi * grad(f, b + ai * (x - b), k) for ai, wi in zip(a, w))


def occluded(f, x, b, k, masks):
    """masks: 0/1 tensors of a row; the mean over those that cover an element of f(x) - f(x with them from b)."""
    rows = torch.arange(len(x))
    whole, total, count = f(x)[rows, k], torch.zeros(x.shape, dtype=torch.double), torch.zeros(x.shape[1:])
    for m in masks:
        d = whole - f(torch.where(m.bool(), b, x))[rows, k]
        total += d.view(-1, *[1] * (x.dim() - 1)) * m
        count += m
    return total / count


def show(name, v):
    v = v.detach().double().flatten().tolist()
    print("static const float %s[%d] = {" % (name, len(v)))
    for i in range(0, len(v), 8):
        print("    " + ", ".join("%.9g" % x for x in v[i:i + 8]) + ("," if i + 8 < len(v) else "};"))


def record(name, f, x, b, masks, last=lambda v: v, given=None):
    with torch.no_grad():
        z = f(x)
        k = z.argmax(1)
    show(name + "_x", last(x) if given is None else given)
    show(name + "_value", z[torch.arange(len(x)), k])
    print("static const int %s_class[%d] = {%s};" % (name, len(x), ", ".join(map(str, k.tolist()))))
    if given is None:
        show(name + "_slope", last(grad(f, x, k)))
    else:
        show(name + "_part", last(grad(f, x, k) * x))
    for rule, n in (("midpoint", 64), ("trapezoid", 64), ("gauss", 20)):
        show("%s_%s" % (name, rule), last(integrated(f, x, b, k, rule, n)))
    if given is None:
        show(name + "_occlusion", last(occluded(f, x, b, k, masks)))


def export(m, args, name):
    m.eval()
    torch.onnx.export(m, args, f"{out}/{name}.onnx", opset_version=17, dynamo=False, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
    return m.double()


print("/* Made by record_attributions.py with PyTorch %s; do not edit. */" % torch.__version__)
mlp = export(Mlp(), torch.zeros(1, 5), "mlp")
x = torch.randn(4, 5).float().double()
record("mlp", mlp, x, torch.zeros_like(x), list(torch.eye(5)))

cnn = Cnn()
for _ in range(20):                                        # running statistics that are not 0 and 1
    cnn(torch.randn(16, 2, 9, 8) * 1.5 + 0.4)
cnn = export(cnn, torch.zeros(1, 2, 9, 8), "cnn")
x = torch.randn(3, 2, 9, 8).float().double()
masks = []
for y0 in range(0, 7, 2):                                  # windows of 4, 2 apart, the last one cut
    for x0 in range(0, 5, 2):
        m = torch.zeros(2, 9, 8)
        m[:, y0:y0 + 4, x0:x0 + 4] = 1
        masks.append(m)
record("cnn", cnn, x, torch.full_like(x, 0.25), masks, last=lambda v: v.movedim(1, -1))

words = export(Words(), torch.zeros(1, 6, dtype=torch.long), "words")
ids = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 53, 10, 0, 0], [8, 7, 8, 7, 3, 1]])
e = words.e(ids).detach()
record("words", words.inside, e, torch.zeros_like(e), None, last=lambda v: v.sum(-1), given=ids)
with torch.no_grad():
    rows, k = torch.arange(3), words(ids).argmax(1)
    parts = []
    for t in range(6):
        less = ids.clone()
        less[:, t] = 0
        parts.append(words(ids)[rows, k] - words(less)[rows, k])
    show("words_occlusion", torch.stack(parts, 1))
