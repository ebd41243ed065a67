#!/usr/bin/env python3
"""Integer programs of whole nets against ONNX Runtime's int8 kernels, bit by bit.

    int_speed --save FOLDER MODEL.json...; against_ort.py FOLDER NAME...        (onnx, onnxruntime, numpy)

Each program file is read, written as a QDQ graph and run on the rows that int_speed saved; a line a net: logits that
differ, answers that flipped, and the operators that ONNX Runtime made of the graph. Ends with 1 where something differs.
"""
import os, struct, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/engine"))
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as H, TensorProto as T
from record_integer import Graph, act, f32

CONV, ADD, MUL, MAX_POOL, AVG_POOL, MAP, RESHAPE, FLOATS = range(8)
WORDS = "op in0 in1 out head kh kw sh sw top bottom left right groups n bits act at table zero".split()
ACTS = ["NONE", "RELU", "RELU6"]

def load(path):
    """Tensors (h, w, c, scale, zero) and calls, as student/program_file.c wrote them, of weights of 5 to 8 bits."""
    b = open(path, "rb").read()
    at = 64 + struct.unpack_from("<Q", b, 56)[0]
    def take(form):
        nonlocal at
        v = struct.unpack_from("<" + form, b, at)
        at += struct.calcsize("<" + form)
        return v
    tensors, calls, floats, heads, tables = take("5i")
    take(f"{heads}i")
    t = []
    for _ in range(tensors):
        h, w, c, zero, scale = take("4if")
        t.append((h, w, c, scale, zero))
    c = [dict(zip(WORDS, take("20i"))) for _ in range(calls)]
    at += 256 * tables
    for k in (k for k in c if k["op"] == CONV):
        k["step"], k["bias"] = np.array(take(f"{k['n']}f"), f32), np.array(take(f"{k['n']}i"), np.int32)
        shape = (k["kh"], k["kw"], t[k["in0"]][2] // k["groups"], k["n"])
        k["w"] = np.frombuffer(b, np.int8, int(np.prod(shape)), at).reshape(shape)
        at += k["w"].size
    assert at == len(b) and floats and heads == 1
    return t, c

def build(t, calls):
    g, value = Graph(), {}
    count = iter(range(10**6))
    q = lambda y, k: g.q(y, t[k][3], t[k][4], f"q{next(count)}_")
    dq = lambda k: g.dq(value[k], t[k][3], t[k][4], f"d{next(count)}_")
    value[0] = q("x", 0)
    for k, c in enumerate(calls):
        x, (h, w, ci, sx, _) = dq(c["in0"]), t[c["in0"]]
        if c["op"] == CONV:
            n, step = c["n"], c["step"]
            bias = g.dq(g.const(c["bias"], f"b{k}"), (f32(sx) * step).astype(f32), np.zeros(n, np.int32), f"bq{k}", 0, np.int32)
            if h * w == 1:
                wi = g.const(np.ascontiguousarray(c["w"].reshape(ci, n)), f"w{k}")
                y = g.node("Gemm", [x, g.dq(wi, step, np.zeros(n, np.int8), f"wq{k}", 1, np.int8), bias])
            else:
                wi = g.dq(g.const(c["w"].transpose(3, 2, 0, 1).copy(), f"w{k}"), step, np.zeros(n, np.int8), f"wq{k}", 0, np.int8)
                y = g.node("Conv", [x, wi, bias], kernel_shape=[c["kh"], c["kw"]], strides=[c["sh"], c["sw"]],
                           pads=[c["top"], c["left"], c["bottom"], c["right"]], group=c["groups"])
        elif c["op"] == ADD: y = g.node("Add", [x, dq(c["in1"])])
        elif c["op"] == MAX_POOL: y = g.node("MaxPool", [x], kernel_shape=[c["kh"], c["kw"]], strides=[c["sh"], c["sw"]])
        elif c["op"] == AVG_POOL and (c["kh"], c["kw"]) == (h, w): y = g.node("GlobalAveragePool", [x])
        else: raise SystemExit(f"call {k} is none that this script writes: {c}")
        y = act(g, y, ACTS[c["act"]])
        if c["out"] < 0: return g, y
        value[c["out"]] = q(y, c["out"])
        if c["op"] == AVG_POOL: value[c["out"]] = q(g.node("Flatten", [dq(c["out"])]), c["out"])

def main(folder, names):
    bad = 0
    for name in names:
        t, calls = load(f"{folder}/{name}.q")
        h, w, c = t[0][:3]
        x = np.fromfile(f"{folder}/{name}.x", "<f4").reshape(-1, h, w, c)
        want = np.fromfile(f"{folder}/{name}.y", "<f4").reshape(len(x), -1)
        x = x.reshape(len(x), c) if h * w == 1 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        g, y = build(t, calls)
        ins = [H.make_tensor_value_info("x", T.FLOAT, ["b"] + list(x.shape[1:]))]
        m = H.make_model(H.make_graph(g.nodes, "g", ins, [H.make_tensor_value_info(y, T.FLOAT, None)], g.init),
                         opset_imports=[H.make_opsetid("", 21)])
        m.ir_version = 10
        so = ort.SessionOptions()
        so.add_session_config_entry("session.x64quantprecision", "1")
        so.log_severity_level = 3
        so.optimized_model_filepath = f"{folder}/{name}.optimized.onnx"
        s = ort.InferenceSession(m.SerializeToString(), so, providers=["CPUExecutionProvider"])
        got = np.concatenate([s.run(None, {"x": x[i:i + 1]})[0] for i in range(len(x))]).reshape(len(x), -1)
        ops = [n.op_type for n in onnx.load(so.optimized_model_filepath).graph.node]
        differ, flips = int((got.view(np.uint32) != want.view(np.uint32)).sum()), int((got.argmax(1) != want.argmax(1)).sum())
        bad += differ > 0
        print(f"{name}: {differ} of {want.size} logits differ, {flips} flips;", " ".join(f"{o} {ops.count(o)}" for o in sorted(set(ops))))
    return bad > 0

if __name__ == "__main__": sys.exit(main(sys.argv[1], sys.argv[2:]))
