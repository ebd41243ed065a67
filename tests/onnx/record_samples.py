#!/usr/bin/env python3
"""Records tests/onnx/samples: small ONNX models, rows for them and what ONNX Runtime (PyTorch, where PyTorch exports the
model) answers.  python3 record_samples.py FOLDER.  torch 2.15, onnx 1.23, onnxruntime 1.32.

FOLDER/NAME.onnx, and where a model can be run NAME.txt: a line "rows N width W", then a line of the input's numbers and one
of the answer's for each row. An image's numbers stand channels last, as data sets have them. Models that must be refused
have no NAME.txt."""
import os
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

ROWS = 7
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(16)


def numbers(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def record(name, x, y, image=False):
    rows = x.shape[0]
    x = np.moveaxis(x, 1, -1) if image else x
    with open(f"{out}/{name}.txt", "w") as f:
        y = np.asarray(y).reshape(rows, -1)
        f.write(f"rows {rows} width {y.shape[1]}\n")
        for a, b in zip(x.reshape(rows, -1), y):
            f.write(" ".join("%.6g" % v for v in a) + "\n")
            f.write(" ".join("%.9g" % v for v in b) + "\n")


def rounded(x):
    """As the text has it."""
    return np.array([float("%.6g" % v) for v in x.reshape(-1)], np.float32).reshape(x.shape) if x.dtype == np.float32 else x


def run(name, x, output=0, each=False):
    s = onnxruntime.InferenceSession(f"{out}/{name}.onnx")
    feed = s.get_inputs()[0].name
    if each:
        return np.concatenate([s.run(None, {feed: x[i:i + 1]})[output].reshape(1, -1) for i in range(len(x))])
    return s.run(None, {feed: x})[output]


class Seeded(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.build()
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.3)
                m.running_var.uniform_(0.5, 2)
                nn.init.uniform_(m.weight, 0.5, 1.5)
                nn.init.normal_(m.bias, 0, 0.3)
        self.eval()


def export(name, model, x, image=False, opset=17, dynamic=True, each=False):
    x = rounded(x)
    with torch.no_grad():
        y = torch.cat([model(torch.tensor(x[i:i + 1])).reshape(1, -1) for i in range(len(x))]).numpy()
    torch.onnx.export(model, (torch.tensor(x[:1]),), f"{out}/{name}.onnx", opset_version=opset, dynamo=False,
                      input_names=["x"], output_names=["y"], do_constant_folding=True,
                      dynamic_axes={"x": {0: "n"}, "y": {0: "n"}} if dynamic else None)
    np.testing.assert_allclose(run(name, x, each=each or not dynamic).reshape(len(x), -1), y, rtol=1e-3, atol=1e-5)
    record(name, x, y, image)


class Cnn(Seeded):
    def build(self):
        self.a, self.b = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.c, self.d = nn.Conv2d(5, 5, 3, padding=2, dilation=2, groups=5), nn.Conv2d(5, 6, 1)
        self.e = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.f = nn.Linear(6 * 4 * 3, 4)

    def forward(self, x):
        x = torch.relu(self.b(self.a(x)))
        x = nn.functional.max_pool2d(self.d(torch.relu(self.c(x))), 2, ceil_mode=True)
        x = x + torch.relu(self.e(x))
        x = nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self.f(torch.flatten(x, 1))


class Acts(Seeded):
    def build(self):
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.PReLU(4)
        self.n, self.l = nn.LayerNorm(4), nn.Linear(4, 4)
        self.t = nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, x):                                  # channels last outside, as TensorFlow's exporters write it
        x = nn.functional.pad(x.permute(0, 3, 1, 2), (1, 2, 0, 1), value=0.25)
        x = nn.functional.hardswish(self.b(self.a(x)))
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.t.expand(x.shape[0], 1, 4), x], 1)
        x = nn.functional.gelu(self.n(x))
        x = nn.functional.gelu(self.l(x), approximate="tanh") + nn.functional.silu(x)
        return x[:, 0] * 0.5 + x.mean(1)


class Attend(Seeded):
    def build(self):
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.register_buffer("mask", torch.triu(torch.full((6, 6), -1e4), 1))

    def forward(self, x):
        h = [f(x).reshape(-1, 6, 2, 4).transpose(1, 2) for f in (self.q, self.k, self.v)]
        s = h[0] @ h[1].transpose(2, 3) / 2.0 + self.mask
        y = (torch.softmax(s, -1) @ h[2]).transpose(1, 2).reshape(-1, 6, 8)
        return self.o(y) + x


class Lstm(Seeded):
    def build(self):
        self.r, self.l = nn.LSTM(3, 4, batch_first=True, bidirectional=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.l(self.r(x)[0][:, -1])


class One(Seeded):
    """Reshape [1, -1] in the graph: a batch of one, fixed."""
    def build(self):
        self.a, self.l = nn.Conv1d(2, 3, 3, padding=1), nn.Linear(15, 3)

    def forward(self, x):
        return self.l(torch.relu(self.a(x)).reshape(1, -1))


def value(name, *dims, t=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, t, dims)


def constant(name, a):
    return numpy_helper.from_array(np.asarray(a), name)


def graph(name, nodes, inputs, outputs, known=(), opset=17, functions=(), domains=(), check=True, x=None, image=False, each=False):
    g = helper.make_graph(nodes, name, inputs, outputs, list(known))
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)] + list(domains), functions=list(functions), ir_version=9,
                          producer_name="record_samples")
    if check:
        onnx.checker.check_model(m)
    onnx.save(m, f"{out}/{name}.onnx")
    if x is not None:
        x = rounded(x)
        record(name, x, run(name, x, each=each), image)


node = helper.make_node
X, Y = value("x", "n", 6), value("y", "n", 3)
W, B = constant("w", numbers(6, 3)), constant("b", numbers(3))

export("cnn", Cnn(), numbers(ROWS, 2, 7, 5), image=True)
export("activations", Acts(), numbers(ROWS, 5, 4, 3))
export("attention", Attend(), numbers(ROWS, 6, 8))
export("lstm", Lstm(), numbers(ROWS, 5, 3))
export("batch_of_one", One(), numbers(ROWS, 2, 5), dynamic=False)

graph("probabilities", [node("Gemm", ["x", "w", "b"], ["z"], alpha=0.5, name="dense"), node("Softmax", ["z"], ["y"], name="soft")],
      [X], [Y], [W, B], x=numbers(ROWS, 6))

then = helper.make_graph([node("Mul", ["z", "two"], ["t"], name="twice")], "then", [], [value("t", "n", 3)], [constant("two", np.float32(2))])
other = helper.make_graph([node("Identity", ["z"], ["e"], name="once")], "else", [], [value("e", "n", 3)])
graph("decided", [node("Shape", ["x"], ["s"], name="shape"), node("Gather", ["s", "one"], ["d"], name="width"),
                  node("Equal", ["d", "six"], ["is"], name="is_six"), node("MatMul", ["x", "w"], ["z"], name="dense"),
                  node("If", ["is"], ["y"], then_branch=then, else_branch=other, name="decide")],
      [X], [Y], [W, constant("one", np.int64(1)), constant("six", np.int64(6))], x=numbers(ROWS, 6))

graph("unsorted", [node("Add", ["z", "b"], ["y"], name="last"), node("Tanh", ["t"], ["z"], name="middle"),
                   node("MatMul", ["x", "w"], ["t"], name="first")], [X], [Y], [W, B], check=False)
# ONNX Runtime takes sorted graphs alone: what it answers to the same nodes in order.
graph("sorted", [node("MatMul", ["x", "w"], ["t"], name="first"), node("Tanh", ["t"], ["z"], name="middle"),
                 node("Add", ["z", "b"], ["y"], name="last")], [X], [Y], [W, B])
x = rounded(numbers(ROWS, 6))
record("unsorted", x, run("sorted", x))
os.remove(f"{out}/sorted.onnx")

scaled = helper.make_function("mine", "Scaled", ["a"], ["c"],
                              [node("Elu", ["a"], ["t"]), node("LeakyRelu", ["a"], ["u"]), node("Add", ["t", "u"], ["c"])],
                              [helper.make_opsetid("", 17)], attributes=[], attribute_protos=[helper.make_attribute("slope", 0.25)])
scaled.node[0].attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="alpha"))
scaled.node[1].attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope"))
scaled.attribute.append("alpha")
graph("functions", [node("MatMul", ["x", "w"], ["t"], name="dense"), node("Scaled", ["t"], ["u"], domain="mine", alpha=2.0, name="given"),
                    node("Scaled", ["u"], ["y"], domain="mine", alpha=1.5, slope=0.5, name="all")],
      [X], [Y], [W], functions=[scaled], domains=[helper.make_opsetid("mine", 1)], x=numbers(ROWS, 6))

graph("einsum", [node("Einsum", ["x", "x"], ["o"], equation="bi,bj->bij", name="outer"), node("Reshape", ["o", "flat"], ["f"], name="flat"),
                 node("TopK", ["f", "k"], ["t", "i"], name="top"), node("MatMul", ["t", "v"], ["y"], name="dense")],
      [X], [Y], [constant("flat", np.array([-1, 36])), constant("k", np.array([5])), constant("v", numbers(5, 3))], x=numbers(ROWS, 6))

# external data: weights in a file beside the model
def external(name, location):
    w = constant("w", numpy_helper.to_array(W))
    w.ClearField("raw_data")
    w.data_location = TensorProto.EXTERNAL
    for k, v in (("location", location), ("offset", "16"), ("length", str(6 * 3 * 4))):
        w.external_data.add(key=k, value=v)
    graph(name, [node("Gemm", ["x", "w", "b"], ["y"], name="dense")], [X], [Y], [w, B], check=False)


with open(f"{out}/weights.bin", "wb") as f:
    f.write(bytes(16) + numpy_helper.to_array(W).tobytes())
external("external", "weights.bin")
external("external_outside", "../weights.bin")
external("external_link", "link.bin")                       # a link, made by the test
x = rounded(numbers(ROWS, 6))
record("external", x, run("external", x))

# models that are refused
graph("mixes_rows", [node("MatMul", ["x", "w"], ["t"], name="dense"), node("ReduceMean", ["t"], ["m"], axes=[0], name="over_rows"),
                     node("Sub", ["t", "m"], ["y"], name="less")], [X], [Y], [W])
graph("random", [node("RandomUniformLike", ["x"], ["r"], name="dice"), node("Add", ["x", "r"], ["t"], name="sum"),
                 node("MatMul", ["t", "w"], ["y"], name="dense")], [X], [Y], [W])
graph("shape_of_data", [node("NonZero", ["x"], ["i"], name="where_is_it"), node("Cast", ["i"], ["y"], to=1, name="cast")],
      [X], [value("y", 2, None)])
graph("unknown", [node("MatMul", ["x", "w"], ["t"], name="dense"), node("Frobnicate", ["t"], ["u"], domain="mine", name="strange"),
                  node("Wobble", ["u"], ["y"], domain="mine", name="odd")],
      [X], [Y], [W], domains=[helper.make_opsetid("mine", 1)], check=False)
graph("cycle", [node("Add", ["x", "u"], ["t"], name="round"), node("Relu", ["t"], ["u"], name="about"),
                node("MatMul", ["t", "w"], ["y"], name="dense")], [X], [Y], [W], check=False)
graph("two_outputs", [node("Gemm", ["x", "w", "b"], ["y"], name="dense"), node("Relu", ["y"], ["r"], name="relu")],
      [X], [Y, value("r", "n", 3)], [W, B])
graph("open_shape", [node("ReduceMean", ["x"], ["t"], axes=[2], keepdims=0, name="mean"), node("Relu", ["t"], ["y"], name="relu")],
      [value("x", "n", 3, "t")], [Y])

# ids, a mask and token types
I = lambda n: value(n, "n", 5, t=TensorProto.INT64)
graph("ids", [node("Gather", ["table", "ids"], ["e"], name="words"), node("Gather", ["kinds", "token_type_ids"], ["k"], name="kinds_of"),
              node("Add", ["e", "k"], ["s"], name="sum"), node("Cast", ["mask"], ["m"], to=1, name="cast"),
              node("Unsqueeze", ["m", "last"], ["u"], name="wide"), node("Mul", ["s", "u"], ["p"], name="masked"),
              node("ReduceSum", ["p", "axis"], ["t"], keepdims=0, name="over_steps"), node("MatMul", ["t", "w"], ["y"], name="dense")],
      [I("ids"), I("mask"), I("token_type_ids")], [Y],
      [constant("table", numbers(64, 6)), constant("kinds", numbers(2, 6)), constant("last", np.array([2])), constant("axis", np.array([1])), W])
ids = rng.integers(0, 64, (ROWS, 5))
ids[:, 3:] *= rng.integers(0, 2, (ROWS, 2))
s = onnxruntime.InferenceSession(f"{out}/ids.onnx")
record("ids", ids, s.run(None, {"ids": ids, "mask": (ids != 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)})[0])

# axes merged that are side by side in the tensor and not in memory, and the other way round
graph("reshaped", [node("Transpose", ["x"], ["t"], perm=[0, 2, 1, 3], name="turn"), node("Reshape", ["t", "six"], ["r"], name="merge"),
                   node("MatMul", ["r", "v"], ["p"], name="dense"), node("Transpose", ["p"], ["q"], perm=[0, 2, 1], name="back"),
                   node("Flatten", ["q"], ["f"], name="flat"), node("MatMul", ["f", "u"], ["y"], name="last")],
      [value("x", "n", 2, 3, 4)], [Y], [constant("six", np.array([-1, 6, 4])), constant("v", numbers(4, 5)), constant("u", numbers(30, 3))],
      x=numbers(ROWS, 2, 3, 4), image=True)

# a table of fewer rows than ids are tried with, read through a cast
graph("small_table", [node("Cast", ["ids"], ["short"], to=6, name="narrow"), node("Gather", ["table", "short"], ["e"], name="words"),
                      node("ReduceSum", ["e", "axis"], ["t"], keepdims=0, name="over_steps"), node("MatMul", ["t", "w"], ["y"], name="dense")],
      [I("ids")], [Y], [constant("table", numbers(7, 6)), constant("axis", np.array([1])), W])
ids = rng.integers(0, 7, (ROWS, 5))
s = onnxruntime.InferenceSession(f"{out}/small_table.onnx")
record("small_table", ids, s.run(None, {"ids": ids})[0])

# columns of one input that tables of other sizes are read by
graph("columns", [node("Slice", ["ids", "zero", "one", "one"], ["a"], name="first"), node("Squeeze", ["a", "one"], ["b"], name="flat"),
                  node("Gather", ["three", "b"], ["c"], name="small"), node("Gather", ["ids", "four"], ["d"], axis=1, name="last"),
                  node("Gather", ["nine", "d"], ["e"], name="large"), node("Concat", ["c", "e"], ["f"], axis=1, name="both"),
                  node("MatMul", ["f", "w"], ["y"], name="dense")],
      [I("ids")], [Y], [constant("zero", np.array([0])), constant("one", np.array([1])), constant("four", np.int64(4)),
                        constant("three", numbers(3, 2)), constant("nine", numbers(9, 4)), W])
ids = rng.integers(0, 3, (ROWS, 5))
ids[:, 4] = rng.integers(0, 9, ROWS)
s = onnxruntime.InferenceSession(f"{out}/columns.onnx")
record("columns", ids, s.run(None, {"ids": ids})[0])

# a loop of as many turns as a constant says, and a scan over the rows, as skl2onnx writes distances; over their columns backwards
F, N, L = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
turn = helper.make_graph([node("MatMul", ["v_in", "square"], ["m"], name="product"), node("Cast", ["i"], ["fi"], to=F, name="number"),
                          node("Add", ["m", "fi"], ["n"], name="sum"), node("Tanh", ["n"], ["v_out"], name="tanh"),
                          node("ReduceSum", ["v_out", "side"], ["p"], keepdims=1, name="over"), node("Identity", ["go_in"], ["go"], name="on")],
                         "turn", [value("i", t=N), value("go_in", t=L), value("v_in", "n", 6)],
                         [value("go", t=L), value("v_out", "n", 6), value("p", "n", 1)])
away = helper.make_graph([node("Sub", ["points", "row"], ["o"], name="off"), node("ReduceSumSquare", ["o"], ["far"], axes=[1], keepdims=0, name="far"),
                          node("Identity", ["points"], ["points_out"], name="same")],
                         "away", [value("points", 4, 6), value("row", 6)], [value("points_out", 4, 6), value("far", 4)])
column = helper.make_graph([node("Add", ["s", "c"], ["t"], name="add"), node("Relu", ["t"], ["r"], name="relu"), node("Neg", ["r"], ["less"], name="neg")],
                           "column", [value("s", "n"), value("c", "n")], [value("r", "n"), value("less", "n")])
graph("loops", [node("Loop", ["three", "", "x"], ["v", "piled"], body=turn, name="loop"),
                node("Scan", ["known", "v"], ["k", "d"], body=away, num_scan_inputs=1, name="scan"),
                node("ReduceSum", ["v", "side"], ["first"], keepdims=0, name="start"),
                node("Scan", ["first", "v"], ["last", "c"], body=column, num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1],
                     scan_output_axes=[1], scan_output_directions=[1], name="columns"),
                node("Transpose", ["piled"], ["q"], perm=[1, 0, 2], name="turn"), node("Flatten", ["q"], ["f"], name="flat"),
                node("Unsqueeze", ["last", "side"], ["u"], name="wide"),
                node("Concat", ["d", "c", "f", "u"], ["all"], axis=1, name="all"), node("MatMul", ["all", "wide_w"], ["y"], name="dense")],
      [X], [Y], [constant("three", np.int64(3)), constant("side", np.array([1])), constant("square", numbers(6, 6, scale=0.4)),
                 constant("known", numbers(4, 6)), constant("wide_w", numbers(14, 3))], x=numbers(ROWS, 6))


class Volumes(Seeded):
    def build(self):
        self.net = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2, ceil_mode=True), nn.Conv3d(4, 6, (1, 2, 2), groups=2, dilation=(1, 1, 2)),
                                 nn.ConvTranspose3d(6, 3, 2, 2), nn.Upsample(scale_factor=(2, 1, 1.5), mode="trilinear"), nn.AvgPool3d((2, 1, 3), 2, count_include_pad=False))
        self.out = nn.Linear(18, 3)

    def forward(self, x):
        return self.out(self.net(x).flatten(1)[:, :18])


export("volumes", Volumes(), numbers(ROWS, 2, 4, 5, 7))

# what ONNX Runtime's optimizer fuses: products with an activation, convolutions with a sum besides; every activation
def fused_sample(kinds=(("Relu", []), ("Sigmoid", []), ("Tanh", []), ("LeakyRelu", [0.3]), ("Clip", [-0.4, 0.7]), ("HardSigmoid", [0.3, 0.4]), ("", []))):
    nodes, known, last = [node("Reshape", ["x", "shape"], ["image"], name="image")], [constant("shape", np.array([0, 2, 3, 4]))], "image"
    ms = dict(domain="com.microsoft")
    for i, (name, numbers_of) in enumerate(kinds):
        how = {"activation": name} if name else {}
        if numbers_of:
            how["activation_params"] = [float(v) for v in numbers_of]
        more = [last] if i % 3 == 1 else []
        known += [constant(f"k{i}", numbers(2, 2, 3, 3, scale=0.5)), constant(f"c{i}", numbers(2))]
        nodes.append(node("FusedConv", [last, f"k{i}", f"c{i}"] + more, [f"v{i}"], name=f"conv {i}", pads=[1, 1, 1, 1], **how, **ms))
        last = f"v{i}"
    nodes.append(node("Flatten", [last], ["flat"], name="flat"))
    last = "flat"
    for i, (name, how) in enumerate((("LeakyRelu", dict(activation_alpha=0.2)), ("Elu", dict(activation_alpha=0.7)), ("Selu", dict(activation_alpha=1.5, activation_gamma=1.1)), ("Softsign", {}), ("Softplus", {}),
                                     ("HardSigmoid", dict(activation_alpha=0.25, activation_beta=0.45)), ("ThresholdedRelu", dict(activation_alpha=0.4)), ("Relu", {}), ("Sigmoid", {}), ("Tanh", {}))):
        known += [constant(f"w{i}", numbers(24, 24, scale=0.3)), constant(f"b{i}", numbers(24))]
        nodes.append(node("FusedGemm", [last, f"w{i}", f"b{i}"], [f"g{i}"], name=f"gemm {i}", transA=0, transB=i % 2, alpha=1.0 + i % 3 / 2, beta=1.0 - i % 2 / 4, activation=name, **how, **ms))
        last = f"g{i}"
    graph("fused", nodes, [value("x", "n", 24)], [value(last, "n", 24)], known, domains=[helper.make_opsetid("com.microsoft", 1)], check=False, x=numbers(ROWS, 24))
    bad = helper.make_node("FusedGemm", ["x", "w0"], ["y"], name="odd", activation="Wave", **ms)
    graph("fused_odd", [bad], [value("x", "n", 24)], [value("y", "n", 24)], [k for k in known if k.name == "w0"], domains=[helper.make_opsetid("com.microsoft", 1)], check=False)


fused_sample()

# a while loop as tf2onnx writes a recurrent layer: no number of turns, or one that is never reached, a counter among the states, its condition computed from it
again = helper.make_graph([node("Gather", ["steps", "at"], ["now"], axis=0, name="now"), node("MatMul", ["now", "inward"], ["p"], name="inward"), node("MatMul", ["h", "back"], ["q"], name="back"),
                           node("Add", ["p", "q"], ["s"], name="sum"), node("Tanh", ["s"], ["h_out"], name="tanh"), node("Add", ["at", "one"], ["at_out"], name="count"),
                           node("Cast", ["at_out"], ["f"], to=F, name="float"), node("Less", ["f", "limit"], ["below"], name="below"), node("Less", ["i", "far"], ["near"], name="near"),
                           node("And", ["below", "near"], ["go"], name="and")],
                          "again", [value("i", t=N), value("go_in", t=L), value("at", t=N), value("h", "n", 4)], [value("go", t=L), value("at_out", t=N), value("h_out", "n", 4)])
graph("while_loop", [node("Reshape", ["x", "rows"], ["line"], name="line"), node("Transpose", ["line"], ["steps"], perm=[1, 0, 2], name="steps"),
                     node("Shape", ["x"], ["shape"], name="shape"), node("Gather", ["shape", "zero"], ["batch"], name="batch"), node("Unsqueeze", ["batch", "side"], ["b"], name="b"),
                     node("Concat", ["b", "four"], ["hs"], axis=0, name="hs"), node("ConstantOfShape", ["hs"], ["h0"], name="h0"),
                     node("Loop", ["", "yes", "zero", "h0"], ["end", "h1"], body=again, name="while"), node("Sub", ["end", "two"], ["end_less"], name="back by two"),
                     node("Loop", ["many", "yes", "end_less", "h1"], ["end2", "h2"], body=again, name="while again"),
                     node("Add", ["h1", "h2"], ["h3"], name="both"), node("MatMul", ["h3", "w"], ["y"], name="dense")],
      [X], [Y], [constant("rows", np.array([0, 3, 2])), constant("zero", np.int64(0)), constant("one", np.int64(1)), constant("two", np.int64(2)), constant("side", np.array([0])), constant("four", np.array([4])),
                 constant("yes", np.bool_(True)), constant("many", np.int64(2 ** 40)), constant("limit", np.float32(3)), constant("far", np.int64(100)),
                 constant("inward", numbers(2, 4)), constant("back", numbers(4, 4, scale=0.5)), constant("w", numbers(4, 3))], x=numbers(ROWS, 6))

# ids that count from a table's end where they are below 0, chosen and multiplied; columns of ids whose rows of one table lie behind each other
ids = rng.integers(0, 3, (ROWS, 3))
graph("counted_ids", [node("Less", ["ids", "none"], ["below"], name="below"), node("Add", ["ids", "all"], ["wrapped"], name="wrapped"), node("Where", ["below", "wrapped", "ids"], ["own"], name="own"),
                      node("Gather", ["first", "own"], ["a"], name="first"), node("Cast", ["below"], ["one"], to=N, name="one"), node("Mul", ["one", "wrapped"], ["l"], name="left"),
                      node("Not", ["below"], ["above"], name="above"), node("Cast", ["above"], ["other"], to=N, name="other"), node("Mul", ["ids", "other"], ["r"], name="right"),
                      node("Add", ["l", "r"], ["same"], name="same"), node("Gather", ["first", "same"], ["b"], name="again"),
                      node("Add", ["ids", "starts"], ["rows"], name="starts"), node("Gather", ["behind", "rows"], ["c"], name="behind"),
                      node("Concat", ["a", "b", "c"], ["wide"], axis=2, name="wide"), node("Flatten", ["wide"], ["flat"], name="flat"), node("MatMul", ["flat", "w"], ["y"], name="dense")],
      [value("ids", "n", 3, t=N)], [Y], [constant("none", np.int64(0)), constant("all", np.int64(5)), constant("first", numbers(5, 2)), constant("starts", np.array([0, 5, 12])),
                                        constant("behind", numbers(15, 2)), constant("w", numbers(18, 3, scale=0.4))])
s = onnxruntime.InferenceSession(f"{out}/counted_ids.onnx")
record("counted_ids", ids, s.run(None, {"ids": ids})[0])

# one number a row: of a head of numbers, unless it is told to be a label's
graph("one_number", [node("MatMul", ["x", "w1"], ["h"], name="first"), node("Tanh", ["h"], ["t"], name="tanh"), node("MatMul", ["t", "w2"], ["y"], name="second")],
      [X], [value("y", "n", 1)], [constant("w1", numbers(6, 4)), constant("w2", numbers(4, 1))], x=numbers(ROWS, 6))
