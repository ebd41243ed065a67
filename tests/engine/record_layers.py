#!/usr/bin/env python3
"""Answers and gradients of layers by PyTorch, in double, for test_layers.c: record_layers.py > layers_reference.h

Every case is an architecture whose inputs pass through a learned position, so that the gradient of its table is that of
the layer's input. Values are a formula of their number, the same here and there; the loss is the mean over rows of the
sum of weighted outputs."""
import json
import math

import numpy as np
import torch
import torch.nn.functional as F

ROWS = 3
torch.set_default_dtype(torch.float64)


def values(n, s):
    k = np.arange(n, dtype=np.float64)
    return np.sin(0.37 * k * k + 1.13 * k + s).astype(np.float32).astype(np.float64)


def some(v):
    """Of many values every so many, a number that 2 and 3 do not divide."""
    v = v.detach().numpy().ravel()
    return v[::1 if len(v) < 120 else 7 + 6 * (len(v) // 420)]


def field(name, shape, number):
    v = values(int(np.prod(shape)), 10 + number)
    v = (1 + 0.3 * v if name.endswith('gamma') else 0.5 * v).astype(np.float32).astype(np.float64)
    return torch.tensor(v.reshape(shape), requires_grad=True)


cases = []


def case(name, inputs, layer, fields, fn):
    """inputs: shapes; layer: the JSON of the layer, behind the positions; fields: name -> shape of its own, in order;
    fn(x, fields): rows of outputs."""
    layers, params = [], []
    number = 0
    xs = []
    for i, shape in enumerate(inputs):
        x = torch.tensor(values(ROWS * int(np.prod(shape)), i).reshape((ROWS,) + tuple(shape)))
        layers.append({"op": "position", "learned": True, "name": f"p{i}", "from": f"x{i}"})
        t = field('table', (int(np.prod(shape[:-1])), shape[-1]), number)
        params.append(t)
        number += 1
        xs.append(x + t.reshape(shape))
    own = {}
    for n, shape in fields.items():
        own[n] = field(n, shape, number)
        params.append(own[n])
        number += 1
    layers.append(dict(layer, name="layer", **{"from": [f"p{i}" for i in range(len(inputs))]}))
    y = fn(xs, own).reshape(ROWS, -1)
    w = torch.tensor(values(y.numel(), 5).reshape(y.shape))
    loss = (w * y).sum() / ROWS
    grads = torch.autograd.grad(loss, params, allow_unused=True) if params else []
    grads = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, params)]
    text = json.dumps({"inputs": [{"name": f"x{i}", "shape": list(s)} for i, s in enumerate(inputs)], "layers": layers})
    out = some(y)
    flat = np.concatenate([some(g) for g in grads]) if grads else np.zeros(0)
    assert np.isfinite(out).all() and np.isfinite(flat).all(), name
    cases.append((name, text, out, flat, y.numel(), sum(p.numel() for p in params)))


def nchw(x):
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x.permute(0, 2, 1)


def nhwc(x):
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x.permute(0, 2, 1)


# ---- convolution ----
def conv(name, shape, out, kernel, stride=1, pad=(0, 0, 0, 0), dilation=1, groups=1, bias=True):
    two = len(shape) == 3
    pair = lambda v: list(v) if isinstance(v, (list, tuple)) else [v, v]
    k, s, d = pair(kernel), pair(stride), pair(dilation)
    layer = {"op": "conv2d" if two else "conv1d", "out": out, "kernel": k, "stride": s, "padding": list(pad),
             "dilation": d, "groups": groups, "bias": bias}
    c = shape[-1]
    taps = k if two else k[1:]
    fields = {"weight": (*taps, c // groups, out)}
    if bias:
        fields["bias"] = (out,)

    def fn(x, f):
        w = f["weight"].permute(3, 2, 0, 1) if two else f["weight"].permute(2, 1, 0)
        b = f.get("bias")
        x = nchw(x[0])
        x = F.pad(x, (pad[2], pad[3], pad[0], pad[1]) if two else (pad[2], pad[3]))
        if two:
            return nhwc(F.conv2d(x, w, b, tuple(s), 0, tuple(d), groups))
        return nhwc(F.conv1d(x, w, b, s[1], 0, d[1], groups))

    case(name, [shape], layer, fields, fn)


conv("conv dilated", (9, 8, 3), 5, 3, 1, (2, 2, 2, 2), 2)
conv("conv dilated, one axis", (7, 11, 2), 17, (3, 2), 1, (0, 1, 3, 0), (1, 3))
conv("conv dilated, strided", (11, 10, 3), 4, 3, (2, 3), (1, 2, 3, 0), (3, 2))
conv("conv dilated by the stride", (12, 9, 2), 3, (2, 3), 2, (1, 0, 2, 1), (2, 4))
conv("conv dilated, grouped", (8, 7, 6), 4, 3, 1, (3, 3, 3, 3), 3, 2)
conv("conv dilated, depthwise", (9, 10, 5), 5, 3, 1, (2, 2, 4, 4), (2, 4), 5)
conv("conv dilated, depthwise, strided", (9, 10, 19), 19, (3, 2), (2, 3), (2, 2, 1, 1), (3, 2), 19, False)
conv("conv dilated beyond the image", (3, 4, 2), 3, 3, 1, (5, 5, 6, 6), (5, 6))
conv("conv1d dilated", (13, 3), 6, 3, 1, (0, 0, 4, 0), 2)
conv("conv1d dilated, strided, depthwise", (14, 4), 4, 4, 3, (0, 0, 2, 1), 2, 4)


# ---- pooling ----
def pool(name, kind, shape, kernel, stride, pad=(0, 0), dilation=1, ceil=False, count=False):
    two = len(shape) == 3
    pair = lambda v: tuple(v) if isinstance(v, (list, tuple)) else (v, v)
    k, s, d = pair(kernel), pair(stride), pair(dilation)
    layer = {"op": kind + "_pool", "kernel": list(k), "stride": list(s), "padding": [pad[0], pad[0], pad[1], pad[1]],
             "dilation": list(d), "ceil": ceil}
    if kind == "avg":
        layer["count_padding"] = count
    one = lambda v: v if two else v[1]

    def fn(x, f):
        x = nchw(x[0])
        if kind == "max":
            return nhwc((F.max_pool2d if two else F.max_pool1d)(x, one(k), one(s), one(pad), one(d), ceil_mode=ceil))
        return nhwc((F.avg_pool2d if two else F.avg_pool1d)(x, one(k), one(s), one(pad), ceil, count))

    case(name, [shape], layer, {}, fn)


pool("max pool dilated", "max", (9, 8, 3), 3, (1, 2), (1, 1), 2)
pool("max pool, ceil", "max", (8, 10, 19), 3, 2, (0, 1), 1, True)
pool("max pool, ceil, dilated", "max", (10, 11, 2), (2, 3), 3, (1, 1), (3, 2), True)
pool("max pool, ceil, last window begins in the padding", "max", (5, 6, 2), 2, 3, (1, 1), 1, True)
pool("max pool of a line, ceil", "max", (9, 4), 4, 3, (0, 2), 1, True)
pool("avg pool, ceil", "avg", (8, 9, 3), 3, 2, (0, 1), 1, True)
pool("avg pool, padding counts", "avg", (7, 6, 5), 3, 2, (1, 1), 1, False, True)
pool("avg pool, ceil, padding counts", "avg", (8, 9, 2), (3, 4), (2, 3), (1, 2), 1, True, True)
pool("avg pool of a line, ceil, padding counts", "avg", (10, 3), 4, 3, (0, 1), 1, True, True)
case("global max pool", [(5, 4, 7)], {"op": "global_max_pool"}, {}, lambda x, f: x[0].amax((1, 2)))


# ---- products of two inputs ----
def matmul(name, a, b, ta=False, tb=False, scale=1.0):
    t = lambda x, on: x.transpose(-1, -2) if on else x

    def fn(x, f):
        p, q = t(x[0], ta), t(x[1], tb)
        while p.dim() < q.dim():
            p = p.unsqueeze(1)
        while q.dim() < p.dim():
            q = q.unsqueeze(1)
        return scale * (p @ q)

    case(name, [a, b], {"op": "matmul", "transpose_a": ta, "transpose_b": tb, "scale": scale}, {}, fn)


matmul("matmul", (5, 7), (7, 3))
matmul("matmul of one row", (1, 19), (19, 33))
matmul("matmul a^T", (7, 5), (7, 18), True, False, 0.25)
matmul("matmul b^T", (5, 9), (17, 9), False, True, -1.5)
matmul("matmul a^T b^T", (6, 5), (3, 6), True, True, 0.5)
matmul("matmul of heads", (3, 5, 4), (3, 4, 6))
matmul("matmul, one right side", (3, 5, 4), (4, 6))
matmul("matmul, one left side", (5, 4), (3, 4, 6))
matmul("matmul, one left side a^T", (4, 5), (3, 6, 4), True, True, 2.0)
matmul("matmul, 1 broadcasts on either side", (2, 1, 3), (1, 3, 5))
matmul("matmul, one right side a^T", (3, 4, 5), (1, 4, 2), True, False)
matmul("matmul of many terms, scaled", (3, 270), (270, 5), False, False, 0.5)
matmul("matmul of many columns", (2, 3), (3, 261))
matmul("matmul a^T of many rows", (3, 101), (3, 2), True)


# ---- attention ----
def attention(name, t, s, d, e, heads, kv=0, causal=False, scale=0.0, mask=None, packed=False):
    groups = kv or heads
    shapes = [(t, (heads + 2 * groups) * d)] if packed else [(t, heads * d), (s, groups * d), (s, groups * e)]
    layer = {"op": "attention", "heads": heads, "causal": causal}
    if kv:
        layer["kv_heads"] = kv
    if scale:
        layer["scale"] = scale
    if mask:
        shapes.append(mask)

    def fn(x, f):
        if packed:
            q, k, v = x[0].split([heads * d, groups * d, groups * d], -1)
        else:
            q, k, v = x[:3]
        split = lambda x, n: x.reshape(ROWS, x.shape[1], n, -1).transpose(1, 2)
        q, k, v = split(q, heads), split(k, groups), split(v, groups)
        k, v = (x.repeat_interleave(heads // groups, 1) for x in (k, v))
        z = q @ k.transpose(-1, -2) * (scale or 1 / math.sqrt(d))
        if mask:
            m = x[-1]
            while m.dim() < 4:
                m = m.unsqueeze(1)
            z = z + m
        if causal:
            z = z.masked_fill(torch.ones(t, s).triu(1).bool(), -math.inf)
        return (z.softmax(-1) @ v).transpose(1, 2)

    case(name, shapes, layer, {}, fn)


attention("attention", 5, 7, 4, 3, 2)
attention("attention of one head", 3, 3, 5, 17, 1)
attention("attention, causal", 6, 6, 3, 3, 2, 0, True)
attention("attention, causal, more keys", 4, 9, 3, 2, 1, 0, True, 0.7)
attention("attention, causal, fewer keys", 7, 3, 2, 2, 1, 0, True)
attention("attention, keys of groups", 5, 4, 3, 2, 4, 2)
attention("attention, packed", 6, 6, 4, 4, 3, 0, False, 0.0, None, True)
attention("attention, packed, groups, mask of keys", 5, 5, 3, 3, 4, 2, False, 0.0, (1, 5), True)
attention("attention, mask of all", 4, 5, 2, 3, 2, 0, False, 1.0, (2, 4, 5))
attention("attention, mask of queries and keys", 4, 5, 2, 3, 2, 0, False, 1.0, (4, 5))
attention("attention, mask of heads and keys", 4, 5, 2, 3, 2, 0, True, 1.0, (2, 1, 5))
attention("attention over blocks", 70, 270, 2, 2, 1)
attention("attention over blocks, causal", 300, 300, 1, 1, 1, 0, True)

# ---- norms ----
def over_last(x, f, dims, eps, rms):
    axes = tuple(range(-dims, 0))
    if rms:
        return x / (x.square().mean(axes, keepdim=True) + eps).sqrt() * f["gamma"]
    return F.layer_norm(x, x.shape[-dims:], f["gamma"], f["beta"], eps)


for op, rms in (("layer_norm", False), ("rms_norm", True)):
    for shape, dims, eps in (((5, 19), 1, 1e-5), ((2, 3, 7), 2, 0.1), ((3, 4, 2), 3, 1e-3), ((2, 33), 1, 0.01)):
        case(f"{op} over {dims} of {shape}", [shape], {"op": op, "dims": dims, "eps": eps},
             {"gamma": shape[-dims:]} if rms else {"gamma": shape[-dims:], "beta": shape[-dims:]},
             lambda x, f: over_last(x[0], f, dims, eps, rms))
for shape, groups, eps in (((4, 5, 6), 3, 1e-5), ((3, 4, 7), 7, 1e-3), ((5, 8), 1, 1e-5), ((2, 3, 34), 2, 0.1)):
    case(f"group norm of {shape} in {groups}", [shape], {"op": "group_norm", "groups": groups, "eps": eps},
         {"gamma": shape[-1:], "beta": shape[-1:]},
         lambda x, f: nhwc(F.group_norm(nchw(x[0]), groups, f["gamma"], f["beta"], eps)))


def lrn(x, size, alpha, beta, bias):
    square = F.pad(x.square(), ((size - 1) // 2, size // 2))
    sums = sum(square[..., i:i + x.shape[-1]] for i in range(size))
    return x / (bias + alpha / size * sums) ** beta


for shape, *how in (((3, 4, 9), 5, 0.5, 0.75, 1.0), ((4, 6), 4, 0.7, 0.5, 2.0), ((2, 2, 3), 7, 1.5, 1.25, 0.5)):
    case(f"lrn of {shape} by {how[0]}", [shape],
         {"op": "lrn", "size": how[0], "alpha": how[1], "beta": how[2], "bias": how[3]}, {},
         lambda x, f: lrn(x[0], *how))
x = torch.randn(2, 9, 3, 4)                      # PyTorch's own, where both center the window
assert torch.allclose(nchw(lrn(nhwc(x), 5, 0.5, 0.75, 1.0)), F.local_response_norm(x, 5, 0.5, 0.75, 1.0))

# ---- recurrent: PyTorch's own where it has the form, else its formula step by step ----
def recurrent(op, t, d, h, direction="forward", last=False, before=False):
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[op]
    dirs = 2 if direction == "bidirectional" else 1
    layer = {"op": op, "out": h, "direction": direction, "last": last}
    fields = {"weight": (d, dirs * gates * h), "recurrent": (dirs, h, gates * h), "bias": (dirs * gates * h,)}
    if op == "gru":
        layer["linear_before_reset"] = before
        if before:
            fields["recurrent_bias"] = (dirs, h)
    order = {"lstm": [0, 2, 3, 1], "gru": [1, 0, 2], "rnn": [0]}[op]           # PyTorch: i f g o; r z n

    def by_torch(x, f):
        net = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[op](d, h, 1, batch_first=True,
                                                                                bidirectional=dirs == 2)
        turned = lambda w: torch.cat([w[..., g * h:(g + 1) * h] for g in order], -1)
        values = {}
        for i, suffix in enumerate(["l0", "l0_reverse"][:dirs]):
            part = slice(i * gates * h, (i + 1) * gates * h)
            values["weight_ih_" + suffix] = turned(f["weight"][:, part]).T
            values["weight_hh_" + suffix] = turned(f["recurrent"][i]).T
            values["bias_ih_" + suffix] = turned(f["bias"][part])
            extra = torch.zeros(gates * h)
            if before:
                extra = torch.cat([torch.zeros(2 * h), f["recurrent_bias"][i]])
            values["bias_hh_" + suffix] = extra
        back = direction == "reverse"
        y, _ = torch.func.functional_call(net, values, (x.flip(1) if back else x,))
        return y.flip(1) if back else y

    def by_steps(x, f):
        def course(xs, w, r, b):
            state, states = torch.zeros(ROWS, h), []
            for s in xs:
                p = s @ w + b
                z = torch.sigmoid(p[:, :h] + state @ r[:, :h])
                reset = torch.sigmoid(p[:, h:2 * h] + state @ r[:, h:2 * h])
                n = torch.tanh(p[:, 2 * h:] + (reset * state) @ r[:, 2 * h:])
                state = (1 - z) * n + z * state
                states.append(state)
            return states
        steps, parts = list(x.unbind(1)), []
        for i in range(dirs):
            part = slice(i * 3 * h, (i + 1) * 3 * h)
            back = direction == "reverse" or i == 1
            states = course(steps[::-1] if back else steps, f["weight"][:, part], f["recurrent"][i], f["bias"][part])
            parts.append(torch.stack(states[::-1] if back else states, 1))
        return torch.cat(parts, -1)

    def fn(x, f):
        y = (by_steps if op == "gru" and not before else by_torch)(x[0], f)
        if not last:
            return y
        ends = [y[:, 0 if direction == "reverse" or i == 1 else -1, i * h:(i + 1) * h] for i in range(dirs)]
        return torch.cat(ends, -1)

    name = (op + (", linear before reset" if before else "") + f" of {t} x {d} to {h}, {direction}" +
            (", last" if last else ""))
    case(name, [(t, d)], layer, fields, fn)


recurrent("lstm", 5, 3, 4)
recurrent("lstm", 4, 2, 17, "reverse")
recurrent("lstm", 3, 5, 3, "bidirectional")
recurrent("lstm", 6, 2, 3, "bidirectional", True)
recurrent("lstm", 3, 3, 50, "forward", True)
recurrent("gru", 5, 3, 4)
recurrent("gru", 4, 2, 5, "reverse", True)
recurrent("gru", 3, 4, 18, "bidirectional")
recurrent("gru", 5, 3, 4, "forward", False, True)
recurrent("gru", 4, 2, 19, "bidirectional", False, True)
recurrent("gru", 4, 3, 5, "bidirectional", True, True)
recurrent("rnn", 5, 3, 6)
recurrent("rnn", 4, 2, 3, "bidirectional")
recurrent("rnn", 3, 4, 5, "reverse", True)

# ---- transposed convolution ----
def conv_transpose(name, shape, out, kernel, stride=1, pad=0, more=0, dilation=1, groups=1, bias=True):
    two = len(shape) == 3
    pair = lambda v: list(v) if isinstance(v, (list, tuple)) else [v, v]
    k, s, p, o, d = (pair(v) for v in (kernel, stride, pad, more, dilation))
    layer = {"op": "conv_transpose2d" if two else "conv_transpose1d", "out": out, "kernel": k, "stride": s,
             "padding": [p[0], p[0], p[1], p[1]], "output_padding": o, "dilation": d, "groups": groups, "bias": bias}
    c = shape[-1]
    fields = {"weight": (*(k if two else k[1:]), out // groups, c)}
    if bias:
        fields["bias"] = (out,)

    def fn(x, f):
        w = f["weight"].permute(3, 2, 0, 1) if two else f["weight"].permute(2, 1, 0)
        one = lambda v: tuple(v) if two else v[1]
        run = F.conv_transpose2d if two else F.conv_transpose1d
        return nhwc(run(nchw(x[0]), w, f.get("bias"), one(s), one(p), one(o), groups, one(d)))

    case(name, [shape], layer, fields, fn)


conv_transpose("conv transpose", (4, 5, 3), 5, 3)
conv_transpose("conv transpose, strided", (4, 3, 2), 18, (3, 2), 2, (1, 0), (1, 1))
conv_transpose("conv transpose, kernel below the stride", (3, 4, 2), 3, (1, 2), 3, 0, 2)
conv_transpose("conv transpose, dilated", (4, 5, 3), 2, 3, 1, (1, 2), 0, (2, 3))
conv_transpose("conv transpose, dilated, strided, grouped", (3, 4, 4), 6, (2, 3), (2, 3), 1, (1, 2), (3, 2), 2)
conv_transpose("conv transpose, depthwise", (4, 3, 5), 5, 3, 2, 1, 1, 1, 5, False)
conv_transpose("conv transpose, depthwise, dilated", (4, 3, 3), 3, (2, 3), (1, 2), (0, 1), (0, 1), 2, 3)
conv_transpose("conv transpose of a line", (6, 4), 3, (1, 4), (1, 3), (0, 2), (0, 1))
conv_transpose("conv transpose of one pixel", (1, 1, 3), 4, 2, 2)


# ---- resize: PyTorch's interpolate where it has the form, else ONNX's formula by a matrix for each axis ----
def weights(n, out, mode, coordinates, nearest, scale, a=-0.75, exclude=False):
    m = torch.zeros(out, n)
    for o in range(out):
        half = (o + 0.5) / scale - 0.5
        x = {"half_pixel": half, "pytorch_half_pixel": half if out > 1 else 0.0,
             "half_pixel_symmetric": n / 2 * (1 - out / (scale * n)) + half,
             "align_corners": o * (n - 1) / (out - 1) if out > 1 else 0.0, "asymmetric": o / scale,
             "tf_half_pixel_for_nn": (o + 0.5) / scale}[coordinates]
        low = math.floor(x)
        if mode == "nearest":
            i = {"floor": low, "ceil": math.ceil(x), "round_prefer_floor": math.ceil(x - 0.5),
                 "round_prefer_ceil": math.floor(x + 0.5)}[nearest]
            parts = [(i, 1.0)]
        elif mode == "linear":
            parts = [(low, 1 - (x - low)), (low + 1, x - low)]
        else:
            def keys(u):
                u = abs(u)
                if u <= 1:
                    return (a + 2) * u ** 3 - (a + 3) * u ** 2 + 1
                return a * u ** 3 - 5 * a * u ** 2 + 8 * a * u - 4 * a
            parts = [(low + i, keys(x - low - i)) for i in range(-1, 3)]
        if exclude:
            parts = [(i, w) for i, w in parts if 0 <= i < n]
            parts = [(i, w / sum(w for _, w in parts)) for i, w in parts]
        for i, w in parts:
            m[o, min(max(i, 0), n - 1)] += w
    return m


def resize(shape, size, mode="nearest", coordinates="half_pixel", nearest="round_prefer_floor", scale=None,
           exclude=False):
    two = len(shape) == 3
    layer = {"op": "resize", "size": list(size), "mode": mode, "coordinates": coordinates, "nearest": nearest,
             "exclude_outside": exclude}
    if scale:
        layer.update(scale_h=scale[0], scale_w=scale[1])
        scale = [float(np.float32(s)) for s in scale]

    def fn(x, f):
        sizes = size[-len(shape) + 1:]
        axes = list(zip(shape[:-1], sizes, scale or [s / n for n, s in zip(shape[:-1], sizes)]))
        ms = [weights(n, s, mode, coordinates, nearest, by, exclude=exclude) for n, s, by in axes]
        y = torch.einsum("yh,xw,bhwc->byxc", *ms, x[0]) if two else torch.einsum("yh,bhc->byc", ms[0], x[0])
        same = {("linear", "half_pixel"): False, ("linear", "align_corners"): True, ("cubic", "align_corners"): True,
                ("cubic", "half_pixel"): False}
        if two and scale is None and not exclude and (mode, coordinates) in same:
            by_torch = F.interpolate(nchw(x[0]), tuple(size), mode="bilinear" if mode == "linear" else "bicubic",
                                     align_corners=same[mode, coordinates])
            assert torch.allclose(y, nhwc(by_torch))
        if two and scale is None and mode == "nearest" and coordinates == "asymmetric" and nearest == "floor":
            assert torch.allclose(y, nhwc(F.interpolate(nchw(x[0]), tuple(size), mode="nearest")))
        return y

    case(f"resize of {shape} to {size}, {mode}, {coordinates}, {nearest}" + (", scales" if scale else "") +
         (", outside excluded" if exclude else ""), [shape], layer, {}, fn)


resize((3, 4, 3), (6, 8), "nearest", "asymmetric", "floor")
resize((5, 4, 2), (3, 7))
resize((4, 6, 2), (6, 4), "nearest", "half_pixel", "round_prefer_ceil")
resize((4, 3, 5), (2, 7), "nearest", "align_corners", "ceil")
resize((4, 5, 2), (7, 3), "nearest", "tf_half_pixel_for_nn", "floor")
resize((3, 4, 3), (6, 9), "linear")
resize((5, 6, 2), (3, 4), "linear", "align_corners")
resize((4, 4, 3), (1, 5), "linear", "pytorch_half_pixel")
resize((3, 5, 2), (4, 8), "linear", "asymmetric")
resize((4, 5, 2), (6, 7), "linear", "half_pixel_symmetric", "floor", (1.6, 1.5))
resize((4, 5, 2), (6, 7), "linear", "half_pixel", "floor", (1.6, 1.5), True)
resize((4, 5, 3), (7, 9), "cubic")
resize((5, 4, 2), (8, 3), "cubic", "align_corners")
resize((5, 4, 2), (3, 7), "cubic", "half_pixel", "floor", None, True)
resize((7, 3), (1, 12), "linear")
resize((6, 4), (1, 4), "nearest", "asymmetric", "floor")
resize((5, 2), (1, 8), "cubic", "asymmetric")
resize((1, 5, 2), (1, 8), "cubic")
resize((1, 4, 2), (1, 6), "linear", "half_pixel", "floor", (1.5, 1.5))

# ---- volumes: depth, padding of it, and so on stand before those of the plane ----
def ncdhw(x):
    return x.permute(0, 4, 1, 2, 3)


def ndhwc(x):
    return x.permute(0, 2, 3, 4, 1)


triple = lambda v: list(v) if isinstance(v, (list, tuple)) else [v, v, v]


def volume(k, s, d, pad):
    return {"kernel": k[1:], "stride": s[1:], "dilation": d[1:], "padding": list(pad[2:]), "depth": k[0],
            "depth_stride": s[0], "depth_dilation": d[0], "depth_padding": list(pad[:2])}


def conv3d(name, shape, out, kernel, stride=1, pad=(0,) * 6, dilation=1, groups=1, bias=True):
    k, s, d = triple(kernel), triple(stride), triple(dilation)
    fields = {"weight": (*k, shape[-1] // groups, out)}
    if bias:
        fields["bias"] = (out,)

    def fn(x, f):
        padded = F.pad(ncdhw(x[0]), (pad[4], pad[5], pad[2], pad[3], pad[0], pad[1]))
        return ndhwc(F.conv3d(padded, f["weight"].permute(4, 3, 0, 1, 2), f.get("bias"), s, 0, d, groups))

    case(name, [shape], dict({"op": "conv3d", "out": out, "groups": groups, "bias": bias}, **volume(k, s, d, pad)),
         fields, fn)


conv3d("conv3d", (4, 5, 6, 3), 5, (2, 3, 2))
conv3d("conv3d, padded unevenly, strided", (5, 4, 6, 2), 17, 3, (2, 1, 2), (1, 2, 0, 1, 2, 0))
conv3d("conv3d dilated", (7, 5, 6, 2), 3, (3, 2, 2), 1, (2, 1, 0, 0, 1, 1), (2, 3, 1))
conv3d("conv3d dilated, strided, grouped", (8, 5, 4, 6), 4, (2, 3, 1), (3, 2, 1), (1, 1, 2, 2, 0, 0), (3, 2, 1), 2)
conv3d("conv3d, depthwise", (4, 5, 4, 5), 5, (3, 2, 3), (1, 2, 1), (1, 1, 0, 1, 1, 1), 1, 5)
conv3d("conv3d, depthwise, strided beyond the kernel", (7, 4, 3, 19), 19, (2, 1, 2), (3, 1, 1), (0, 0) * 3, 1, 19, False)
conv3d("conv3d, planes beyond the volume", (2, 3, 4, 2), 3, (2, 2, 2), (1, 1, 1), (5, 6, 1, 0, 0, 1), (4, 1, 1))
conv3d("conv3d of planes with channels enough for winograd", (3, 6, 7, 16), 18, 3, 1, (1,) * 6)
conv3d("conv3d of one pixel", (3, 4, 3, 5), 6, 1)
conv3d("conv3d along the depth alone", (6, 2, 3, 4), 3, (3, 1, 1), (2, 1, 1), (1, 0, 0, 0, 0, 0))


def pool3d(name, kind, shape, kernel, stride, pad=(0, 0, 0), dilation=1, ceil=False, count=False):
    k, s, d = triple(kernel), triple(stride), triple(dilation)
    layer = dict({"op": kind + "_pool3d", "ceil": ceil},
                 **volume(k, s, d, (pad[0], pad[0], pad[1], pad[1], pad[2], pad[2])))
    if kind == "avg":
        layer["count_padding"] = count

    def fn(x, f):
        x = ncdhw(x[0])
        if kind == "max":
            return ndhwc(F.max_pool3d(x, k, s, pad, d, ceil_mode=ceil))
        return ndhwc(F.avg_pool3d(x, k, s, pad, ceil, count))

    case(name, [shape], layer, {}, fn)


pool3d("max pool of volumes", "max", (4, 6, 4, 5), 2, 2)
pool3d("max pool of volumes, overlapping, padded", "max", (5, 6, 7, 3), (3, 2, 3), (1, 2, 2), (1, 0, 1))
pool3d("max pool of volumes, dilated, ceil", "max", (7, 8, 6, 19), (2, 3, 2), (2, 2, 3), (1, 1, 0), (3, 2, 1), True)
pool3d("max pool of volumes, depth strided beyond the kernel", "max", (8, 3, 4, 2), (2, 3, 1), (3, 1, 2))
pool3d("avg pool of volumes", "avg", (4, 5, 6, 3), (2, 2, 3), (2, 1, 2))
pool3d("avg pool of volumes, padded, ceil", "avg", (6, 5, 7, 4), 3, (2, 2, 3), (1, 0, 1), 1, True)
pool3d("avg pool of volumes, padding counts, ceil", "avg", (6, 8, 5, 2), (3, 2, 3), (2, 3, 2), (1, 1, 1), 1, True, True)


def conv_transpose3d(name, shape, out, kernel, stride=1, pad=0, more=0, dilation=1, groups=1, bias=True):
    k, s, p, o, d = (triple(v) for v in (kernel, stride, pad, more, dilation))
    layer = dict({"op": "conv_transpose3d", "out": out, "groups": groups, "bias": bias, "output_padding": o[1:],
                  "depth_output_padding": o[0]}, **volume(k, s, d, (p[0], p[0], p[1], p[1], p[2], p[2])))
    fields = {"weight": (*k, out // groups, shape[-1])}
    if bias:
        fields["bias"] = (out,)

    def fn(x, f):
        w = f["weight"].permute(4, 3, 0, 1, 2)
        return ndhwc(F.conv_transpose3d(ncdhw(x[0]), w, f.get("bias"), s, p, o, groups, d))

    case(name, [shape], layer, fields, fn)


conv_transpose3d("conv transpose of volumes", (3, 4, 3, 5), 4, 2, 2)
conv_transpose3d("conv transpose of volumes, padded, grouped", (4, 3, 4, 6), 4, 3, (2, 1, 2), (1, 0, 2), (1, 0, 1), 1, 2)
conv_transpose3d("conv transpose of volumes, dilated, no bias", (3, 3, 2, 2), 17, (2, 3, 2), (3, 1, 2), (1, 1, 0), (2, 0, 0), (2, 2, 1), 1, False)
conv_transpose3d("conv transpose of volumes, depthwise, gaps", (2, 3, 3, 5), 5, (1, 2, 3), (3, 2, 1), 0, 0, 1, 5, False)
case("global mean of volumes", [(3, 2, 4, 5)], {"op": "global_avg_pool"}, {}, lambda x, f: x[0].mean((1, 2, 3)))

# ---- the file ----
def numbers(label, v):
    lines, line = [], "   "
    for x in v:
        t = f" {x:.7g}".replace("-0,", "0,") + ","
        if len(line) + len(t) > 118:
            lines.append(line)
            line = "   "
        line += t
    return f"static const double {label}[] = {{\n" + "\n".join(lines + [line]) + "\n};\n"


def main(by="record_layers.py"):
    print(f"/* Written by {by} with PyTorch " + torch.__version__.split("+")[0] + ". */")
    for i, (name, text, out, grads, outputs, params) in enumerate(cases):
        print(numbers(f"out_{i}", out), end="")
        print(numbers(f"grads_{i}", grads if len(grads) else [0]), end="")
    print("static const layer_case layer_cases[] = {")
    for i, (name, text, out, grads, outputs, params) in enumerate(cases):
        quoted, line = [], ""
        for word in text.split(" "):
            if len(line) + len(word.replace('"', '\\"')) > 95:
                quoted.append(line)
                line = ""
            line += word.replace('"', '\\"') + " "
        quoted.append(line.rstrip())
        body = "\n     ".join(f'"{q}"' for q in quoted)
        print(f'    {{"{name}",\n     {body},\n     out_{i}, grads_{i}, {outputs}, {params}}},')
    print("};")


if __name__ == "__main__":
    main()
