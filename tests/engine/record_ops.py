#!/usr/bin/env python3
"""Answers and gradients of operators by PyTorch, in double, for test_ops_recorded.c:
python3 record_ops.py > ops_reference.h

As record_layers.py, whose values and file these are; here layers may follow each other, and constants have values."""
import json

import numpy as np
import torch
import torch.nn.functional as F

import record_layers as r

ROWS = r.ROWS
r.cases.clear()


def indices(shape):
    k = np.arange(int(np.prod(shape)))
    return torch.tensor(((k * 5 + k * k) % 4 - k % 2 * 2).reshape(shape))


def case(name, inputs, layers, fn, learned=None, constant=None):
    """layers: those behind the positions p0, p1, ...; learned, constant: the shape of a field; fn(xs, field): rows."""
    made, params, xs, number = [], [], [], 0
    for i, shape in enumerate(inputs):
        x = torch.tensor(r.values(ROWS * int(np.prod(shape)), i).reshape((ROWS,) + tuple(shape)))
        made.append({"op": "position", "learned": True, "name": f"p{i}", "from": f"x{i}"})
        t = r.field("table", (int(np.prod(shape[:-1])), shape[-1]), number)
        params.append(t)
        number += 1
        xs.append(x + t.reshape(shape))
    own = None
    if learned:
        own = r.field("operand", learned, number)
        params.append(own)
    if constant:
        own = torch.tensor(r.values(int(np.prod(constant)), 10 + number).reshape(constant))
    y = fn(xs, own).reshape(ROWS, -1)
    w = torch.tensor(r.values(y.numel(), 5).reshape(y.shape))
    grads = torch.autograd.grad((w * y).sum() / ROWS, params)
    text = json.dumps({"inputs": [{"name": f"x{i}", "shape": list(s)} for i, s in enumerate(inputs)],
                       "layers": made + layers})
    out, flat = r.some(y), np.concatenate([r.some(g) for g in grads])
    assert np.isfinite(out).all() and np.isfinite(flat).all(), name
    r.cases.append((name, text, out, flat, y.numel(), sum(p.numel() for p in params)))


# ---- one number ----
plus, soft, none = ("softplus", F.softplus), ("softsign", F.softsign), (None, lambda x: x)


def one(op, fn, before=none, steps=False, **attributes):
    """steps: the derivative is 0, so that the input is added."""
    layers = [{"op": before[0]}] if before[0] else []
    layers.append({"op": op, **attributes, **({"name": "f"} if steps else {})})
    if steps:
        layers.append({"op": "add", "from": ["f", "p0"]})
    shape = (3, 7) if len(r.cases) % 2 else (1, 19)
    case(op + "".join(f" {v}" for v in attributes.values()), [shape], layers,
         lambda x, f: fn(before[1](x[0])) + (x[0] if steps else 0))


one("gelu_erf", F.gelu)
one("exp", torch.exp)
one("log", torch.log, plus)
one("sqrt", torch.sqrt, plus)
one("reciprocal", torch.reciprocal, plus)
one("abs", torch.abs)
one("neg", torch.neg)
one("erf", torch.erf)
one("elu", lambda x: F.elu(x, 0.7), alpha=0.7)
one("selu", F.selu)
one("celu", lambda x: F.celu(x, 1.5), alpha=1.5)
one("softplus", F.softplus)
one("softsign", F.softsign)
one("hard_sigmoid", F.hardsigmoid, alpha=1 / 6, beta=0.5)
one("mish", F.mish)
one("thresholded_relu", lambda x: F.threshold(x, 0.25, 0.0), alpha=0.25)
one("shrink", lambda x: F.softshrink(x, 0.25), lambd=0.25, bias=0.25)
one("shrink", lambda x: F.hardshrink(x, 0.25), lambd=0.25, bias=0)
one("clip", lambda x: torch.clamp(x, -0.5, 0.75), low=-0.5, high=0.75)
one("clip", lambda x: torch.clamp(x, min=0.0), low=0)
for e, before in ((2, none), (3, none), (0.5, plus), (-1, plus), (-2.5, plus), (1.7, plus)):
    one("pow", lambda x: torch.pow(x, e), before, exponent=e)
one("sin", torch.sin)
one("cos", torch.cos)
one("tan", torch.tan, soft)
one("asin", torch.asin, soft)
one("acos", torch.acos, soft)
one("atan", torch.atan)
one("sinh", torch.sinh)
one("cosh", torch.cosh)
one("asinh", torch.asinh)
case("acosh", [(3, 7)], [{"op": "softplus"}, {"op": "exp"}, {"op": "acosh"}],
     lambda x, f: torch.acosh(torch.exp(F.softplus(x[0]))))
one("atanh", torch.atanh, soft)
for op, fn in (("floor", torch.floor), ("ceil", torch.ceil), ("round", torch.round), ("sign", torch.sign),
               ("not", lambda x: (x == 0).double()), ("is_nan", lambda x: x.isnan().double()),
               ("is_inf", lambda x: x.isinf().double())):
    one(op, fn, ("relu", F.relu) if op == "not" else none, True)


# ---- two numbers ----
def two(op, fn, a, b, before=None, steps=False):
    layers, names = [], ["p0", "p1"]
    for i in range(2):
        if before:
            layers.append({"op": before[0], "name": f"b{i}", "from": f"p{i}"})
            names[i] = f"b{i}"
    layers.append({"op": op, "name": "f", "from": names})
    if steps:
        layers += [{"op": "add", "from": ["f", "p0"], "name": "g"}, {"op": "add", "from": ["g", "p1"]}]
    go = before[1] if before else (lambda x: x)
    align = lambda x, n: x.reshape((ROWS,) + (1,) * (n - x.dim()) + tuple(x.shape[1:]))

    def run(x, f):
        n = max(v.dim() for v in x)
        x = [align(v, n) for v in x]
        y = fn(go(x[0]), go(x[1]))
        return y + x[0] + x[1] if steps else y

    case(f"{op} {a} {b}", [a, b], layers, run)


relu = ("relu", F.relu)
two("add", torch.add, (3, 5), (1, 5))
two("add", torch.add, (2, 3, 5), (3, 1))
two("add", torch.add, (1, 1), (4, 17))
two("subtract", torch.sub, (3, 5), (3, 5))
two("subtract", torch.sub, (1, 5), (3, 1))
two("multiply", torch.mul, (4, 3, 2), (4, 1, 1))
two("multiply", torch.mul, (3, 2), (4, 3, 2))
two("multiply", torch.mul, (9, 33), (1, 33))
two("divide", torch.div, (3, 5), (3, 1), plus)
two("divide", torch.div, (5, 1), (5, 4), plus)
two("minimum", torch.minimum, (3, 6), (2, 3, 6))
two("minimum", torch.minimum, (3, 6), (3, 6), relu)
two("maximum", torch.maximum, (3, 6), (1, 6), relu)
two("power", torch.pow, (3, 5), (3, 5), plus)
two("power", torch.pow, (1, 5), (4, 1), plus)
two("prelu", lambda a, b: torch.where(a < 0, a * b, a), (3, 5), (1, 5))
two("modulo", torch.fmod, (3, 5), (3, 5), plus)
two("less", lambda a, b: (a < b).double(), (3, 5), (1, 5), relu, True)
two("less_or_equal", lambda a, b: (a <= b).double(), (3, 5), (3, 1), relu, True)
two("greater", lambda a, b: (a > b).double(), (3, 5), (3, 5), relu, True)
two("greater_or_equal", lambda a, b: (a >= b).double(), (3, 5), (3, 5), relu, True)
two("equal", lambda a, b: (a == b).double(), (3, 5), (3, 5), relu, True)
two("and", lambda a, b: ((a != 0) & (b != 0)).double(), (3, 5), (3, 5), relu, True)
two("or", lambda a, b: ((a != 0) | (b != 0)).double(), (3, 5), (1, 5), relu, True)
two("xor", lambda a, b: ((a != 0) ^ (b != 0)).double(), (3, 5), (3, 5), relu, True)


def operand(op, fn, a, b, learned=True, reverse=False, before=None):
    layers = [{"op": before[0]}] if before else []
    layers.append({"op": op, "operand": list(b), **({"learned": True} if learned else {}),
                   **({"reverse": True} if reverse else {})})

    def run(x, f):
        v = before[1](x[0]) if before else x[0]
        return fn(f, v) if reverse else fn(v, f)

    case(f"{op} of {'its own' if learned else 'a constant'} {b}{' first' if reverse else ''}", [a], layers, run,
         b if learned else None, None if learned else b)


operand("add", torch.add, (4, 5), (5,))
operand("add", torch.add, (4, 5), (4, 1), False)
operand("add", torch.add, (2, 4, 5), (2, 1, 1))
operand("subtract", torch.sub, (4, 19), (1,), True, True)
operand("multiply", torch.mul, (4, 5), (4, 5))
operand("multiply", torch.mul, (6, 3), (3,), False)
operand("divide", torch.div, (4, 5), (5,), True, True, plus)
operand("maximum", torch.maximum, (4, 5), (1,))
operand("power", torch.pow, (4, 5), (5,), True, False, plus)
operand("prelu", lambda a, b: torch.where(a < 0, a * b, a), (3, 4, 2), (2,))
case("where", [(3, 5), (1, 5), (3, 1)],
     [{"op": "relu", "from": "p0"}, {"op": "where", "from": ["relu4", "p1", "p2"], "name": "w"},
      {"op": "add", "from": ["w", "p0"]}],
     lambda x, f: torch.where(F.relu(x[0]) != 0, x[1], x[2]) + x[0])
case("constant rows", [(3, 5)], [{"op": "constant", "shape": [3, 1], "learned": True, "name": "k"},
                                 {"op": "multiply", "from": ["p0", "k"]}], lambda x, f: x[0] * f, (3, 1))


# ---- moves ----
def move(op, size, fn, **attributes):
    case(f"{op} {size} {json.dumps(attributes)[1:-1]}".replace('"', ""), [size], [{"op": op, **attributes}],
         lambda x, f: fn(x[0]))


for axes in ((1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)):
    move("permute", (5, 3, 4), lambda x: x.permute(0, *(1 + a for a in axes)), axes=list(axes))
move("permute", (40, 1, 35), lambda x: x.permute(0, 3, 2, 1), axes=[2, 1, 0])
move("slice", (7, 5), lambda x: x[:, 1:6:2, 1:-1], start=[1, 1], end=[6, -1], step=[2, 1])
move("slice", (7, 5), lambda x: x.flip(1)[:, ::3, 2:], start=[6, -3], end=[-99, 99], step=[-3, 1])
move("pad", (4, 3), lambda x: F.pad(x, (2, 0, 1, 3), value=0.5), before=[1, 2], behind=[3, 0], value=0.5)
move("pad", (4, 3), lambda x: F.pad(x, (-1, 2, 3, -2), value=-1.0), before=[3, -1], behind=[-2, 2], value=-1)
move("pad", (4, 3), lambda x: F.pad(x[:, None], (2, 1, 3, 2), mode="reflect"),
     before=[3, 2], behind=[2, 1], mode="reflect")
move("pad", (4, 3), lambda x: F.pad(x[:, None], (5, 1, 0, 7), mode="replicate"),
     before=[0, 5], behind=[7, 1], mode="edge")
move("pad", (4, 3), lambda x: F.pad(x[:, None], (3, 1, 0, 4), mode="circular"),
     before=[0, 3], behind=[4, 1], mode="wrap")
move("expand", (3, 1), lambda x: x[:, None].expand(ROWS, 2, 3, 4), shape=[2, 1, 4])
move("tile", (3, 4), lambda x: x.repeat(1, 2, 3), repeats=[2, 3])
move("tile", (3, 4), lambda x: x.repeat(1, 1, 2), repeats=[1, 2])
move("gather", (6, 3), lambda x: x[:, indices((9,))], axis=0, shape=[9])
move("gather", (5, 4), lambda x: x[:, :, indices((2, 3))], axis=-1, shape=[2, 3])
case("concat, first axis", [(2, 3), (4, 3)], [{"op": "concat", "axis": 0, "from": ["p0", "p1", "p0"]}],
     lambda x, f: torch.cat([x[0], x[1], x[0]], 1))
case("concat, middle axis", [(3, 2, 4), (3, 1, 4)], [{"op": "concat", "axis": -2, "from": ["p1", "p0"]}],
     lambda x, f: torch.cat([x[1], x[0]], 2))


# ---- reductions and softmax ----
def reduce(name, fn, shape, axes=None, keep=False, before=None):
    layers = [{"op": before[0]}] if before else []
    layers.append({"op": "reduce_" + name, **({"axes": axes} if axes else {}), **({"keep": True} if keep else {})})
    over = [a + 1 if a >= 0 else a for a in axes] if axes else list(range(1, 1 + len(shape)))
    case(f"{name} {shape} {axes}{' keep' if keep else ''}{' ' + before[0] if before else ''}", [shape], layers,
         lambda x, f: fn(before[1](x[0]) if before else x[0], over))


def product(x, over):
    for a in sorted((a % x.dim() for a in over), reverse=True):
        x = x.prod(a)
    return x


s, m = (5, 4, 3), (3, 17)
reduce("sum", lambda x, a: x.sum(a), s, [0, 2])
reduce("sum", lambda x, a: x.sum(a), m, [1])
reduce("mean", lambda x, a: x.mean(a, True), s, [1], True)
reduce("mean", lambda x, a: x.mean(a), s)
reduce("max", lambda x, a: x.amax(a), s, [1])
reduce("max", lambda x, a: x.amax(a), m, [-1])
reduce("min", lambda x, a: x.amin(a), s, [0, 1])
reduce("prod", product, (4, 3), [0], False, relu)
reduce("prod", product, (3, 4), [1])
reduce("prod", product, (3, 2, 2), [0, 2])
reduce("l1", lambda x, a: x.abs().sum(a), s, [-2])
reduce("l2", lambda x, a: x.norm(dim=a), s, [0])
reduce("l2", lambda x, a: x.norm(dim=a), m, [1])
reduce("sum_square", lambda x, a: (x * x).sum(a), s, [1, 2])
reduce("log_sum", lambda x, a: x.sum(a).log(), s, [2], False, plus)
reduce("log_sum_exp", lambda x, a: x.logsumexp(a), s, [0])
reduce("log_sum_exp", lambda x, a: x.logsumexp(a), m, [1])
for axis in (0, 1, 2):
    case(f"softmax {axis}", [s], [{"op": "softmax", "axis": axis}], lambda x, f: x[0].softmax(axis + 1))
    case(f"log softmax {axis}", [s], [{"op": "log_softmax", "axis": axis}], lambda x, f: x[0].log_softmax(axis + 1))
case("log softmax, wide", [(2, 40)], [{"op": "log_softmax"}], lambda x, f: (x[0]).log_softmax(-1))
r.main("record_ops.py")
