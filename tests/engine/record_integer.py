#!/usr/bin/env python3
"""Records what ONNX Runtime's int8 kernels answer, for tests/engine/test_integer.c.

    record_integer.py > integer_reference.h          (onnx, onnxruntime, numpy)

Each case is a QDQ graph of one operator with bytes in and bytes (or logits) out. Inputs and weights come from a hash of
their index that the test computes too; what is recorded is a hash of all output bytes in NHWC, and the first of them.
On CPUs without VNNI ONNX Runtime's kernels saturate in 16 bit unless session.x64quantprecision is set, as it is here.
Behind each case stand the operators that ONNX Runtime ran. Where one is FusedConv it computed in float, and agrees: a
Clip(0, 6) that the range of bytes does not imply, a Relu whose zero point is not 0. HardSwish is float there, too, and
rounds ties of the table otherwise now and then (x = -12.5 scale 0.05 into 0.03, say): this one has none.
"""
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as H, numpy_helper as N, TensorProto as T

f32 = np.float32

def noise(seed, n):
    """n words of 32 bits: the mixer of MurmurHash3 over index and seed."""
    x = (np.arange(n, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345).astype(np.uint32)
    for s, m in ((16, 0x85ebca6b), (13, 0xc2b2ae35)):
        x = ((x ^ (x >> np.uint32(s))).astype(np.uint64) * m).astype(np.uint32)
    return x ^ (x >> np.uint32(16))

def bytes_of(seed, n): return (noise(seed, n) >> np.uint32(24)).astype(np.uint8)
def weights_of(seed, n, q): return ((noise(seed, n) >> np.uint32(8)) % np.uint32(2 * q + 1)).astype(np.int64) - q
def scales_of(seed, n, base): return (f32(base) * (f32(1) + (noise(seed, n) >> np.uint32(16)).astype(f32) / f32(65536))).astype(f32)

def fnv(b):
    h = 14695981039346656037
    for v in b: h = ((h ^ int(v)) * 1099511628211) & (2**64 - 1)
    return h

class Graph:
    def __init__(self): self.nodes, self.init, self.n = [], [], 0
    def const(self, a, name):
        self.init.append(N.from_array(a, name)); return name
    def node(self, op, ins, **kw):
        self.n += 1; out = f"t{self.n}"
        self.nodes.append(H.make_node(op, ins, [out], **kw)); return out
    def q(self, x, s, z, name):
        return self.node("QuantizeLinear", [x, self.const(np.array(s, f32), name + "s"), self.const(np.array(z, np.uint8), name + "z")])
    def dq(self, x, s, z, name, axis=None, t=np.uint8):
        kw = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", [x, self.const(np.array(s, f32), name + "s"), self.const(np.array(z, t), name + "z")], **kw)
    def run(self, inputs, out, kind):
        outs = [H.make_tensor_value_info(out, kind, None)]
        ins = [H.make_tensor_value_info(k, T.UINT8, v.shape) for k, v in inputs.items()]
        m = H.make_model(H.make_graph(self.nodes, "g", ins, outs, self.init), opset_imports=[H.make_opsetid("", 21)])
        m.ir_version = 10
        so = ort.SessionOptions()
        so.add_session_config_entry("session.x64quantprecision", "1")
        so.intra_op_num_threads = 1
        so.log_severity_level = 3
        so.optimized_model_filepath = "/tmp/record_integer.onnx"
        s = ort.InferenceSession(m.SerializeToString(), so, providers=["CPUExecutionProvider"])
        ops = [n.op_type for n in onnx.load("/tmp/record_integer.onnx").graph.node if n.op_type not in ("Transpose", "Reshape")]
        return s.run(None, inputs)[0], " ".join(ops)

NAMES = ["NONE", "RELU", "RELU6", "LEAKY", "GELU", "SILU", "HARDSWISH", "SIGMOID", "TANH"]

def act(g, y, a):
    if a == "RELU": return g.node("Relu", [y])
    if a == "RELU6": return g.node("Clip", [y, g.const(np.array(0, f32), "c0"), g.const(np.array(6, f32), "c6")])
    return y

def nhwc(y): return np.ascontiguousarray(np.moveaxis(y, 1, -1)).reshape(-1)

def conv(seed, h, w, c, n, kh, kw, sh, sw, pad, groups, a, q, sx, zx, sy, zy, logits=0):
    g = Graph(); cg = c // groups
    x = bytes_of(seed, h * w * c).reshape(1, h, w, c).transpose(0, 3, 1, 2).copy()
    wi = weights_of(seed + 1, kh * kw * cg * n, q).reshape(kh, kw, cg, n).transpose(3, 2, 0, 1).astype(np.int8).copy()
    b = (weights_of(seed + 2, n, 2000)).astype(np.int32)
    sw_ = scales_of(seed + 3, n, 0.004)
    X = g.dq("x", sx, zx, "x"); W = g.dq(g.const(wi, "w"), sw_, np.zeros(n, np.int8), "w", 0, np.int8)
    sb = (f32(sx) * sw_).astype(f32)
    B = g.dq(g.const(b, "b"), sb, np.zeros(n, np.int32), "b", 0, np.int32)
    if h == w == kh == kw == 1 and groups == 1:
        y = g.node("Gemm", [g.node("Flatten", [X]), g.node("Transpose", [g.node("Reshape", [W, g.const(np.array([n, c]), "sh")])], perm=[1, 0]), B])
        g = Graph()                               # the plain form: weights (c, n)
        X = g.dq("x", sx, zx, "x")
        W = g.dq(g.const(np.ascontiguousarray(wi.reshape(n, c).T), "w"), sw_, np.zeros(n, np.int8), "w", 1, np.int8)
        B = g.dq(g.const(b, "b"), sb, np.zeros(n, np.int32), "b", 0, np.int32)
        x = x.reshape(1, c)
        y = g.node("Gemm", [X, W, B])
    else:
        y = g.node("Conv", [X, W, B], kernel_shape=[kh, kw], strides=[sh, sw], pads=[pad[0], pad[2], pad[1], pad[3]], group=groups)
    if logits: return g.run({"x": x}, y, T.FLOAT)
    y = g.q(act(g, y, a), sy, zy, "y")
    return g.run({"x": x}, y, T.UINT8)

def pair(op, seed, n, sa, za, sb, zb, sc, zc, a="NONE"):
    g = Graph()
    x = {"a": np.tile(np.arange(256, dtype=np.uint8), 256), "b": np.repeat(np.arange(256, dtype=np.uint8), 256)} if n == 65536 else \
        {"a": bytes_of(seed, n), "b": bytes_of(seed + 1, n)}
    x = {k: v.reshape(1, -1) for k, v in x.items()}
    y = g.node(op, [g.dq("a", sa, za, "a"), g.dq("b", sb, zb, "b")])
    return g.run(x, g.q(act(g, y, a), sc, zc, "c"), T.UINT8)

def concat(seed, px, ca, cb, sa, za, sb, zb, sc, zc):
    g = Graph()
    x = {"a": bytes_of(seed, px * ca).reshape(1, px, ca), "b": bytes_of(seed + 1, px * cb).reshape(1, px, cb)}
    y = g.node("Concat", [g.dq("a", sa, za, "a"), g.dq("b", sb, zb, "b")], axis=2)
    return g.run(x, g.q(y, sc, zc, "c"), T.UINT8)

def pool(op, seed, h, w, c, k, s, pad, sx, zx, sy, zy):
    g = Graph()
    x = bytes_of(seed, h * w * c).reshape(1, h, w, c).transpose(0, 3, 1, 2).copy()
    kw = {} if op == "GlobalAveragePool" else {"kernel_shape": [k, k], "strides": [s, s], "pads": [pad] * 4}
    y = g.node(op, [g.dq("x", sx, zx, "x")], **kw)
    return g.run({"x": x}, g.q(y, sy, zy, "y"), T.UINT8)

def table(name, sx, zx, sy, zy):
    g = Graph()
    x = g.dq("x", sx, zx, "x")
    y = {"SIGMOID": lambda: g.node("Sigmoid", [x]), "TANH": lambda: g.node("Tanh", [x]), "LEAKY": lambda: g.node("LeakyRelu", [x], alpha=0.01),
         "HARDSWISH": lambda: g.node("HardSwish", [x]), "RELU": lambda: g.node("Relu", [x]),
         "SILU": lambda: g.node("Mul", [x, g.node("Sigmoid", [x])]),
         "GELU": lambda: g.node("Gelu", [x], approximate="tanh")}[name]()
    return g.run({"x": np.arange(256, dtype=np.uint8).reshape(1, 256)}, g.q(y, sy, zy, "y"), T.UINT8)

def floats_of(seed, n): return ((noise(seed, n) >> np.uint32(8)).astype(f32) / f32(65536) - f32(128)).astype(f32)

def quantize(seed, n, s, z):
    g = Graph()
    y = g.q("x", s, z, "y")
    m = H.make_model(H.make_graph(g.nodes, "g", [H.make_tensor_value_info("x", T.FLOAT, [n])], [H.make_tensor_value_info(y, T.UINT8, [n])],
                                  g.init), opset_imports=[H.make_opsetid("", 21)])
    m.ir_version = 10
    return ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": floats_of(seed, n)})[0]

CONV = [  # seed h w c n kh kw sh sw pad(t b l r) groups act q sx zx sy zy
    (1, 9, 7, 5, 11, 3, 3, 1, 1, (1, 1, 1, 1), 1, "NONE", 127, .02, 128, .5, 120),
    (11, 12, 10, 16, 32, 3, 3, 1, 1, (1, 1, 1, 1), 1, "RELU", 127, .02, 3, .25, 0),
    (21, 8, 8, 3, 16, 3, 3, 2, 2, (1, 1, 1, 1), 1, "RELU6", 127, .05, 77, 6 / 255., 0),
    (31, 8, 8, 3, 16, 3, 3, 2, 2, (0, 1, 0, 1), 1, "RELU6", 127, .02, 77, .031, 0),
    (41, 8, 8, 8, 16, 3, 3, 1, 1, (1, 1, 1, 1), 1, "RELU6", 127, .02, 77, .04, 20),
    (51, 14, 11, 64, 64, 1, 1, 1, 1, (0, 0, 0, 0), 1, "RELU", 127, .02, 0, .3, 0),
    (61, 13, 9, 24, 24, 3, 3, 1, 1, (1, 1, 1, 1), 24, "RELU", 127, .02, 100, .06, 0),
    (71, 13, 9, 24, 24, 3, 3, 2, 2, (1, 1, 1, 1), 24, "NONE", 127, .02, 100, .08, 130),
    (81, 9, 9, 12, 18, 3, 3, 1, 1, (1, 1, 1, 1), 3, "RELU", 127, .02, 50, .1, 0),
    (91, 1, 60, 6, 32, 1, 5, 1, 1, (0, 0, 2, 2), 1, "RELU", 127, .02, 128, .11, 0),
    (101, 49, 10, 1, 64, 10, 4, 2, 2, (4, 4, 1, 1), 1, "RELU", 127, .02, 128, .1, 0),
    (111, 1, 1, 300, 70, 1, 1, 1, 1, (0, 0, 0, 0), 1, "RELU", 127, .02, 128, .4, 0),
    (121, 1, 1, 784, 128, 1, 1, 1, 1, (0, 0, 0, 0), 1, "NONE", 127, .02, 0, .9, 99),
    (131, 12, 12, 16, 32, 3, 3, 1, 1, (1, 1, 1, 1), 1, "RELU", 7, .02, 128, .04, 0),
    (141, 9, 7, 5, 11, 3, 3, 1, 1, (1, 1, 1, 1), 1, "RELU", 127, .02, 128, .5, 30),
]
LOGITS = [(201, 1, 1, 64, 10, 1, 1, 1, 1, (0, 0, 0, 0), 1, "NONE", 127, .02, 128, 0, 0, 1),
          (211, 1, 1, 300, 70, 1, 1, 1, 1, (0, 0, 0, 0), 1, "NONE", 127, .013, 7, 0, 0, 1)]
PAIR = [("Add", 301, 65536, .02, 128, .03, 100, .045, 120, "NONE"), ("Add", 311, 65536, .0173, 0, .0291, 131, .0312, 0, "RELU"),
        ("Mul", 331, 65536, .02, 128, .03, 100, .0731, 120, "NONE"), ("Mul", 341, 65536, .0173, 0, .0039, 0, .0191, 0, "NONE")]
CONCAT = [(401, 33, 5, 12, .02, 128, .031, 100, .04, 120), (411, 33, 16, 16, .02, 128, .02, 128, .02, 128)]
POOL = [("GlobalAveragePool", 501, 8, 8, 64, 0, 0, 0, .02, 128, .0137, 99), ("GlobalAveragePool", 511, 7, 7, 33, 0, 0, 0, .031, 0, .017, 0),
        ("AveragePool", 521, 12, 12, 19, 2, 2, 0, .02, 128, .0137, 99), ("AveragePool", 531, 13, 11, 19, 3, 2, 1, .02, 128, .0171, 99),
        ("MaxPool", 541, 13, 11, 19, 3, 2, 1, .02, 128, .02, 128), ("MaxPool", 551, 12, 12, 16, 2, 2, 0, .02, 128, .02, 128)]
QUANTIZE = [(601, 1000, .7, 120), (611, 1000, .031, 3), (621, 1000, 1 / 3., 255)]
TABLE = [("SIGMOID", .05, 128, 1 / 256., 0), ("TANH", .04, 128, 1 / 128., 128), ("HARDSWISH", .0513, 120, .03, 12), ("LEAKY", .05, 128, .025, 3),
         ("SILU", .05, 128, .026, 11), ("GELU", .05, 128, .026, 7), ("RELU", .05, 128, .025, 0)]

def emit(kind, fields, y, ops, note=""):
    y = y.reshape(-1)
    raw = y.view(np.uint8) if y.dtype == f32 else y
    if len(ops) > 60: ops = ops.replace("DequantizeLinear ", "")
    print(f"    {{{fields}, \n     0x{fnv(raw):016x}u}},  /* {ops} */".replace(", \n", ",\n"))

if __name__ == "__main__":
    print("/* Made by record_integer.py with ONNX Runtime %s: do not edit. */" % ort.__version__)
    hexf = lambda v: "%.9gf" % f32(v) if f32(v) % 1 else "%.1ff" % v
    print("static const conv_case conv_cases[] = {")
    for c in CONV + LOGITS:
        y, ops = conv(*c)
        if y.ndim == 4: y = nhwc(y)
        seed, h, w, ci, n, kh, kw, sh, sw, pad, gr, a, q, sx, zx, sy, zy = c[:17]
        emit("conv", f"{seed}, {h}, {w}, {ci}, {n}, {kh}, {kw}, {sh}, {sw}, {{{', '.join(map(str, pad))}}}, {gr}, RT_ACT_{a}, {q}, {hexf(sx)}, {zx}, {hexf(sy)}, {zy}, {int(len(c) > 17)}", y, ops)
    print("};\nstatic const pair_case pair_cases[] = {")
    for c in PAIR:
        y, ops = pair(*c)
        op, seed, n, sa, za, sb, zb, sc, zc, a = c
        emit("pair", f"{int(op == 'Mul')}, {hexf(sa)}, {za}, {hexf(sb)}, {zb}, {hexf(sc)}, {zc}, RT_ACT_{a}", y, ops)
    print("};\nstatic const concat_case concat_cases[] = {")
    for c in CONCAT:
        y, ops = concat(*c)
        seed, px, ca, cb, sa, za, sb, zb, sc, zc = c
        emit("concat", f"{seed}, {px}, {ca}, {cb}, {hexf(sa)}, {za}, {hexf(sb)}, {zb}, {hexf(sc)}, {zc}", y, ops)
    print("};\nstatic const pool_case pool_cases[] = {")
    for c in POOL:
        y, ops = pool(*c)
        op, seed, h, w, ci, k, s, pad, sx, zx, sy, zy = c
        if op == "GlobalAveragePool": k = s = pad = 0
        emit("pool", f"{int(op == 'MaxPool')}, {seed}, {h}, {w}, {ci}, {k}, {s}, {pad}, {hexf(sx)}, {zx}, {hexf(sy)}, {zy}", nhwc(y), ops)
    print("};\nstatic const table_case table_cases[] = {")
    for c in TABLE:
        y, ops = table(*c)
        name, sx, zx, sy, zy = c
        emit("table", f"RT_ACT_{name}, {hexf(sx)}, {zx}, {hexf(sy)}, {zy}", y, ops)
    print("};")
    print("static const quantize_case quantize_cases[] = {")
    for c in QUANTIZE: emit("quantize", f"{c[0]}, {c[1]}, {hexf(c[2])}, {c[3]}", quantize(*c), "QuantizeLinear")
    print("};")
