"""The models of the speed comparison, as PyTorch modules: the same layers as experiments/peers/models/*.json."""
import torch
from torch import nn


def mlp(*sizes):
    layers = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i + 2 < len(sizes):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def block2d(cin, cout, k=3, s=1, p=1, groups=1):
    return [nn.Conv2d(cin, cout, k, s, p, groups=groups, bias=False), nn.BatchNorm2d(cout), nn.ReLU()]


def cnn():
    return nn.Sequential(*block2d(1, 16), nn.MaxPool2d(2), *block2d(16, 32), nn.MaxPool2d(2), *block2d(32, 64),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def dscnn():
    layers = block2d(1, 64, (10, 4), 2, (4, 1))
    for _ in range(4):
        layers += block2d(64, 64, 3, 1, 1, groups=64) + block2d(64, 64, 1, 1, 0)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def conv1d():
    def block(cin, cout, k):
        return [nn.Conv1d(cin, cout, k, padding=k // 2, bias=False), nn.BatchNorm1d(cout), nn.ReLU()]
    return nn.Sequential(*block(6, 32, 5), nn.MaxPool1d(2), *block(32, 64, 5), nn.MaxPool1d(2), *block(64, 64, 3),
                         nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 6))


class Residual(nn.Module):
    def __init__(self, cin, cout, s):
        super().__init__()
        self.body = nn.Sequential(*block2d(cin, cout, 3, s), nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout))
        self.skip = nn.Identity() if s == 1 and cin == cout else nn.Sequential(
            nn.Conv2d(cin, cout, 1, s, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


def resnet8():
    return nn.Sequential(*block2d(3, 16), Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


MODELS = {  # name: (builder, input shape in PyTorch's order, classes)
    "jet": (lambda: mlp(16, 64, 32, 32, 5), (16,), 5),
    "mlp": (lambda: mlp(784, 128, 64, 10), (784,), 10),
    "cnn": (cnn, (1, 28, 28), 10),
    "dscnn": (dscnn, (1, 49, 10), 12),
    "conv1d": (conv1d, (6, 128), 6),
    "resnet8": (resnet8, (3, 32, 32), 10),
}


def variants(name):
    """(memory format, compiled) pairs that make sense for a model."""
    image = len(MODELS[name][1]) == 3
    for fmt in ("nchw", "nhwc") if image else ("nchw",):
        for compiled in (False, True):
            yield fmt, compiled


class Trainer:
    """One training step after another on data already in memory: forward, cross-entropy, backward, SGD with momentum.
    qat: of quantization-aware training, as torch.ao prepares it (FX graph mode, x86); "frozen": observers are off, and
    batch norms use their running statistics."""

    def __init__(self, name, batch, fmt, compiled, qat="off"):
        build, shape, classes = MODELS[name]
        torch.manual_seed(0)
        self.batch = batch
        model = build()
        self.x = torch.randn(batch, *shape)
        if fmt == "nhwc":
            model = model.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.y = torch.randint(0, classes, (batch,))
        if qat != "off":
            from torch.ao.quantization import disable_observer, get_default_qat_qconfig_mapping
            from torch.ao.quantization.quantize_fx import prepare_qat_fx
            model = prepare_qat_fx(model.train(), get_default_qat_qconfig_mapping("x86"), (self.x,))
            model(self.x)                                  # observers have seen a batch
            if qat == "frozen":
                model.apply(disable_observer).apply(torch.ao.nn.intrinsic.qat.freeze_bn_stats)
        self.opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, foreach=True)
        self.loss = nn.CrossEntropyLoss()
        self.model = torch.compile(model) if compiled else model

    def step(self):
        self.opt.zero_grad(set_to_none=True)
        self.loss(self.model(self.x), self.y).backward()
        self.opt.step()
