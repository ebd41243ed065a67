#!/usr/bin/env python3
"""Records what tests/student/test_onnx_binding.c and tests/cli/bindings.sh compare with: models whose shapes are open, models
of several outputs, images that torchvision resizes, sentences of many lengths.  python3 record_bindings.py FOLDER
(tests/onnx/samples).  torch 2.15, torchvision 0.29, onnx 1.23, onnxruntime 1.32.

NAME.onnx, and NAME.txt as record_samples.py writes it. heads_of.txt has the outputs probs (3), tags (4), hard (2), size (2),
vector (5) and the inner value hidden (2, 8) side by side. resized.txt: for each case a line "h w c resize_h resize_w crop_h
crop_w" (resize_w 0: the shorter side; 0 0: none), one of the image's bytes, one of what PyTorch gives."""
import sys

import numpy as np
import onnxruntime
import torch
import torchvision.transforms.functional as F
from onnx import TensorProto, checker, helper, numpy_helper
from torch import nn

out = sys.argv[1]
rng = np.random.default_rng(17)
torch.manual_seed(17)


def numbers(*shape, scale=1.0):
    return np.array(["%.6g" % v for v in (rng.standard_normal(shape) * scale).ravel()], np.float32).reshape(shape)


def record(name, x, *answers):
    rows = len(x)
    if x.dtype != np.float32:                               # rows of the command line's tests
        np.save(f"{out}/{name}.npy", x.astype(np.uint8 if x.ndim == 4 else np.int32))
    y = np.concatenate([np.asarray(a, np.float64).reshape(rows, -1) for a in answers], 1)
    with open(f"{out}/{name}.txt", "w") as f:
        f.write(f"rows {rows} width {y.shape[1]}\n")
        for a, b in zip(x.reshape(rows, -1), y):
            f.write(" ".join("%.6g" % v for v in a) + "\n")
            f.write(" ".join("%.9g" % v for v in b) + "\n")


def value(name, *dims, t=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, t, list(dims))


def graph(name, nodes, inputs, outputs, known):
    g = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(a, n) for n, a in known.items()])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], producer_name="record_bindings")
    m.ir_version = 8
    checker.check_model(m)
    with open(f"{out}/{name}.onnx", "wb") as f:
        f.write(m.SerializeToString())
    return onnxruntime.InferenceSession(m.SerializeToString())


node = helper.make_node

# height and width are open
s = graph("open_image",
          [node("Conv", ["x", "k", "c"], ["t"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", ["t"], ["r"], name="relu"),
           node("GlobalAveragePool", ["r"], ["p"], name="pool"), node("Flatten", ["p"], ["f"], name="flat"),
           node("Gemm", ["f", "w", "b"], ["y"], name="dense")],
          [value("x", "n", 3, "height", "width")], [value("y", "n", 4)],
          {"k": numbers(5, 3, 3, 3, scale=0.5), "c": numbers(5), "w": numbers(5, 4), "b": numbers(4)})
x = rng.integers(0, 256, (6, 9, 12, 3))
record("open_image", x, s.run(None, {"x": np.moveaxis(x, 3, 1).astype(np.float32)})[0])

# several outputs
s = graph("heads_of",
          [node("Reshape", ["x", "two"], ["t"], name="two_by_three"), node("MatMul", ["t", "h"], ["m"], name="inner"),
           node("Relu", ["m"], ["hidden"], name="hidden"), node("Flatten", ["hidden"], ["f"], name="flat"),
           node("MatMul", ["f", "a"], ["scores"], name="scores"), node("Softmax", ["scores"], ["probs"], name="softmax", axis=1),
           node("MatMul", ["f", "b"], ["u"], name="of_tags"), node("Sigmoid", ["u"], ["tags"], name="sigmoid"),
           node("MatMul", ["f", "c"], ["v"], name="of_hard"), node("HardSigmoid", ["v"], ["hard"], name="hard", alpha=0.5, beta=0.5),
           node("MatMul", ["f", "d"], ["size"], name="size"), node("MatMul", ["f", "e"], ["vector"], name="vector")],
          [value("x", "n", 6)],
          [value("probs", "n", 3), value("tags", "n", 4), value("hard", "n", 2), value("size", "n", 2), value("vector", "n", 5)],
          {"two": np.array([-1, 2, 3]), "h": numbers(3, 8), "a": numbers(16, 3), "b": numbers(16, 4, scale=0.4),
           "c": numbers(16, 2, scale=0.4), "d": numbers(16, 2), "e": numbers(16, 5)})
x = numbers(7, 6)
full = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["n", 2, 8])
hidden = np.maximum(x.reshape(-1, 2, 3) @ {i.name: numpy_helper.to_array(i) for i in __import__("onnx").load(f"{out}/heads_of.onnx").graph.initializer}["h"], 0)
record("heads_of", x, *s.run(None, {"x": x}), hidden)

# images, as torchvision resizes them
with open(f"{out}/resized.txt", "w") as f:
    for h, w, c, resize, crop in [(7, 11, 3, (14, 5), None), (9, 6, 1, 12, (12, 12)), (12, 17, 3, 8, (7, 8)), (10, 10, 2, None, (5, 7)),
                                  (5, 5, 4, (5, 5), None), (23, 9, 3, 6, (6, 5)), (6, 13, 1, 9, (8, 8))]:
        image = rng.integers(0, 256, (h, w, c))
        t = torch.tensor(np.moveaxis(image, 2, 0)).float()
        if resize:
            t = F.resize(t, resize, interpolation=F.InterpolationMode.BILINEAR, antialias=False)
        if crop:
            t = F.center_crop(t, crop)
        size = (0, 0) if not resize else (resize, 0) if isinstance(resize, int) else resize
        f.write(" ".join(map(str, (h, w, c, *size, *(crop or (0, 0)), *t.shape[1:]))) + "\n")
        f.write(" ".join(str(v) for v in image.ravel()) + "\n")
        f.write(" ".join("%.9g" % v for v in t.permute(1, 2, 0).reshape(-1).tolist()) + "\n")

# a classifier of images of 8 x 8, asked about images of 11 x 14: resized to 9 on the shorter side, the middle, normalised
s = graph("eight", [node("Flatten", ["x"], ["f"], name="flat"), node("MatMul", ["f", "w"], ["y"], name="dense")],
          [value("x", "n", 3, 8, 8)], [value("y", "n", 4)], {"w": numbers(192, 4, scale=0.3)})
x = rng.integers(0, 256, (5, 11, 14, 3))
t = F.center_crop(F.resize(torch.tensor(np.moveaxis(x, 3, 1)).float(), 9, antialias=False), (8, 8))
t = F.normalize(t, [120.0, 110.0, 100.0], [60.0, 50.0, 70.0])
record("eight", x, s.run(None, {"x": t.numpy()})[0])

# classifiers: their scores are probabilities or not
for name, post in (("classifier_scores", "NONE"), ("classifier_probabilities", "SOFTMAX")):
    n = node("LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", name="linear", post_transform=post, multi_class=1,
             coefficients=[float(v) for v in np.linspace(-1, 1.3, 18)], intercepts=[0.2, -0.4, -0.1], classlabels_ints=[3, 5, 8])
    g = helper.make_graph([n], name, [value("x", "n", 6)], [value("label", "n", t=TensorProto.INT64), value("scores", "n", 3)])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], producer_name="record_bindings")
    m.ir_version = 8
    with open(f"{out}/{name}.onnx", "wb") as f:
        f.write(m.SerializeToString())
    x = np.sin(np.arange(42, dtype=np.float32)).reshape(7, 6).round(3)
    record(name, x, onnxruntime.InferenceSession(m.SerializeToString()).run(["scores"], {"x": x})[0])


# sentences: a mask hides what is padded; without it the padding has a say
class Sentence(nn.Module):
    def __init__(self, masked, width=16, heads=2, longest=40):
        super().__init__()
        self.masked, self.heads = masked, heads
        self.words, self.places = nn.Embedding(64, width), nn.Embedding(longest, width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.f1, self.f2, self.last = nn.Linear(width, 24), nn.Linear(24, width), nn.Linear(width, 3)
        self.register_buffer("ids", torch.arange(longest)[None])

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).permute(0, 2, 1, 3)

    def forward(self, input_ids, attention_mask):
        x = self.words(input_ids) + self.places(self.ids[:, :input_ids.shape[1]])
        s = self.split(self.q(x)) @ self.split(self.k(x)).transpose(2, 3) / 8 ** 0.5
        if self.masked:
            s = s + (1 - attention_mask[:, None, None].float()) * torch.finfo(torch.float32).min
        y = (s.softmax(-1) @ self.split(self.v(x))).permute(0, 2, 1, 3).reshape(x.shape)
        x = self.n1(x + self.o(y))
        x = self.n2(x + self.f2(nn.functional.gelu(self.f1(x))))
        m = attention_mask[:, :, None].float() if self.masked else torch.ones_like(x[:, :, :1])
        return self.last((x * m).sum(1) / m.sum(1).clamp(min=1e-9))


def sentence(name, masked, tokens=24, dynamic=True):
    torch.manual_seed(3)
    m = Sentence(masked).eval()
    lengths = [24, 1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 17, 20, 23, 4, 11, 24, 0]
    ids = np.zeros((len(lengths), tokens), np.int64)
    for row, n in zip(ids, lengths):
        row[:n] = rng.integers(1, 64, n)
    ids[10, 4] = 0                                          # a gap is no end
    mask = (ids != 0).astype(np.int64)
    names = {"input_names": ["input_ids", "attention_mask"] if masked else ["input_ids"], "output_names": ["y"]}
    if dynamic:
        names["dynamic_axes"] = {k: {0: "n", 1: "tokens"} for k in names["input_names"]} | {"y": {0: "n"}}
    else:
        names["dynamic_axes"] = {k: {0: "n"} for k in names["input_names"]} | {"y": {0: "n"}}
    args = (torch.tensor(ids[:1]), torch.tensor(mask[:1]))
    torch.onnx.export(m, args, f"{out}/{name}.onnx", opset_version=17, dynamo=False, **names)
    feed = {"input_ids": ids, "attention_mask": mask} if masked else {"input_ids": ids}
    record(name, ids, onnxruntime.InferenceSession(f"{out}/{name}.onnx").run(None, feed)[0])


sentence("sentence", True)
sentence("sentence_unmasked", False)
sentence("sentence_fixed", True, dynamic=False)
