#!/usr/bin/env python3
"""Records what ONNX Runtime, the ONNX reference or PyTorch answer, for tests/engine/test_eval_layers.c.

    record_eval_layers.py > eval_layers.txt          (onnx, onnxruntime, torch, numpy)

A case is one node with its inputs; inputs are sixteenths, so that their text is exact. Each case is computed by ONNX
Runtime and by onnx.reference, where they have the operator; their answers must agree, or the case names the one that
keeps to the definition (of the reference wrong: batch norm without training, LRN of more channels than rows,
LpNormalization of p 1, what is left of a text, weights of n-grams, indices of maxima, SAME_LOWER of old pooling; cubic
samples at a border are PyTorch's). The line `by` tells who computed it. A definition of an old opset that neither runs
is recorded through the newer one that means the same (`as_`). `refuse` records what must be refused.
"""
import sys, warnings
import numpy as np, onnx, onnxruntime as ort, torch
from onnx import helper as H, TensorProto as T
from onnx.reference import ReferenceEvaluator
warnings.simplefilter("ignore")
ort.set_default_logger_severity(4)

rng = np.random.default_rng(20)
f32, f64, f16, i64, i32, u8, i8 = (np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.int8)
NAME = {np.dtype(t): n for t, n in ((f32, "f32"), (f64, "f64"), (f16, "f16"), (i64, "i64"), (i32, "i32"), (u8, "u8"),
                                    (i8, "i8"), (np.uint32, "u32"), (np.uint64, "u64"), (np.bool_, "bool"))}
CODE = {"f32": T.FLOAT, "f64": T.DOUBLE, "f16": T.FLOAT16, "i64": T.INT64, "i32": T.INT32, "u8": T.UINT8, "i8": T.INT8,
        "u32": T.UINT32, "u64": T.UINT64, "bool": T.BOOL, "string": T.STRING}

def R(*shape, t=f32, low=-32, high=33): return (rng.integers(low, high, shape) / 16).astype(t)
def P(*shape, t=f32): return R(*shape, t=t, low=1)              # above 0
def I(*shape, t=i64, low=-5, high=6): return rng.integers(low, high, shape).astype(t)
def S(x, *shape): return np.array(x, dtype=object).reshape(shape or (len(x),))

def kind(a): return "string" if a.dtype == object or a.dtype.kind in "US" else NAME[a.dtype]

def text(s): return "".join(c if 33 <= ord(c) < 127 and c != "%" else "".join(f"%{b:02x}" for b in c.encode())
                            for c in s) or "%"

def values(a):
    k = kind(a)
    if k == "string": return " ".join(text(str(v)) for v in a.ravel())
    if k in ("f32", "f64", "f16"): return " ".join(f"{float(v):.{17 if k == 'f64' else 8}g}" for v in a.ravel())
    return " ".join(str(int(v)) for v in a.ravel())

def tensor(word, a):
    if a is None: return f"{word} -"
    a = np.asarray(a)
    return f"{word} {kind(a)} {' '.join(map(str, a.shape))} : {values(a)}".replace("  ", " ").rstrip()

def model(op, version, domain, attrs, inputs, outs):
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    node = H.make_node(op, names, outs, domain=domain, **attrs)
    infos = [H.make_tensor_value_info(n, CODE[kind(np.asarray(x))], np.asarray(x).shape)
             for n, x in zip(names, inputs) if n]
    graph = H.make_graph([node], "g", infos, [H.make_value_info(o, H.make_tensor_type_proto(T.UNDEFINED, None))
                                             for o in outs if o])
    opsets = [H.make_opsetid(domain, version)] + ([H.make_opsetid("", 21)] if domain else [])
    return H.make_model(graph, opset_imports=opsets, ir_version=8 if version < 22 else 10), \
        {n: np.asarray(x) for n, x in zip(names, inputs) if n}

def with_ort(*a):
    m, feed = model(*a)
    for o in m.graph.output: o.ClearField("type")
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(m.SerializeToString(), o, providers=["CPUExecutionProvider"]).run(None, feed)

def with_reference(*a):
    m, feed = model(*a)
    return ReferenceEvaluator(m).run(None, feed)

def close(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape: return False
    if kind(a) == "string": return a.tolist() == b.tolist()
    if a.dtype.kind != "f": return bool((a == b).all())
    loose = 2e-3 if a.dtype == f16 else 3e-6
    a, b = a.astype(f64), b.astype(f64)
    scale = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    return bool(np.allclose(a, b, rtol=0, atol=1e-6 + loose * scale, equal_nan=True))

count, problems = 0, []
def write(op, version, domain, attrs, inputs, outs, wanted, by, name):
    global count
    count += 1
    print(f"\ncase {op} {version} {domain or '-'} {name}\nby {by}")
    for k, v in attrs.items():
        if isinstance(v, str): print(f"attr string {k} {text(v)}")
        elif isinstance(v, (list, tuple)):
            t = "strings" if v and isinstance(v[0], str) else "floats" if v and isinstance(v[0], float) else "ints"
            print(f"attr {t} {k} " + " ".join(text(x) if t == "strings" else f"{x:.9g}" if t == "floats" else str(x)
                                              for x in v))
        else: print(f"attr {'float' if isinstance(v, float) else 'int'} {k} {f'{v:.9g}' if isinstance(v, float) else v}")
    for x in inputs: print(tensor("in", x))
    if wanted is None: print("refused")
    else:
        done = iter(wanted)
        for o in outs: print(tensor("out", next(done) if o else None))

def case(op, version, inputs, outs=1, name="-", domain="", as_=None, by=None, answer=None, **attrs):
    """by: "ort" or "ref" where the other is wrong or without the operator; answer: outputs that something else gave."""
    outs = [f"y{i}" for i in range(outs)] if isinstance(outs, int) else outs
    if answer is not None:
        return write(op, version, domain, attrs, inputs, outs, [np.asarray(a) for a in answer], by, name)
    what = dict(op=op, version=version, attrs=attrs, inputs=inputs)
    what.update(as_ or {})
    a = (what["op"], what["version"], domain, what["attrs"], what["inputs"], outs)
    got, failed = {}, {}
    for n, f in (("ort", with_ort), ("ref", with_reference)):
        if by in (None, n):
            try: got[n] = [np.asarray(x) for x in f(*a)]
            except Exception as e: failed[n] = str(e).strip().splitlines()[-1][:300]
    if not got or (by and by not in got): return problems.append(f"{op} {version} {name}: nobody runs it: {failed}")
    if len(got) == 2 and not all(close(x, y) for x, y in zip(got["ort"], got["ref"])):
        return problems.append(f"{op} {version} {name}: ort {got['ort']} and reference {got['ref']} differ")
    write(op, version, domain, attrs, inputs, outs, got.get("ort") or got["ref"], "+".join(got), name)

def refuse(op, version, inputs, outs=1, name="-", domain="", **attrs):
    outs = [f"y{i}" for i in range(outs)]
    write(op, version, domain, attrs, inputs, outs, None, "definition", name)

# ---- linear ----
print("# Made by record_eval_layers.py with ONNX Runtime", ort.__version__, "onnx", onnx.__version__, "torch",
      torch.__version__.split("+")[0])
for t in (f32, f64): case("MatMul", 13, [R(7, 5, t=t), R(5, 9, t=t)], name=f"plain_{NAME[np.dtype(t)]}")
case("MatMul", 13, [R(2, 270), R(270, 1)], name="longer_than_a_block")
case("MatMul", 9, [R(2, 1, 3, 4), R(3, 4, 5)], name="batches_stretch")
case("MatMul", 13, [R(2, 3, 4), R(4, 5)], name="one_matrix_for_all")
case("MatMul", 13, [R(4), R(2, 4, 3)], name="row")
case("MatMul", 13, [R(2, 3, 4), R(4)], name="column")
case("MatMul", 13, [R(4), R(4)], name="dot")
case("MatMul", 13, [R(2, 0), R(0, 3)], name="nothing_between")
case("MatMul", 9, [I(3, 4), I(4, 2)], name="integers")
case("MatMul", 13, [R(3, 4, t=f16), R(4, 5, t=f16)], name="half")
refuse("MatMul", 13, [R(3, 4), R(5, 2)], name="inner_differs")
refuse("MatMul", 13, [R(3, 4), R(4, 2, t=f64)], name="types_differ")
case("Gemm", 11, [R(5, 7), R(4, 7), R(4)], transB=1, alpha=0.5, beta=2.0, name="dense")
case("Gemm", 13, [R(7, 5), R(7, 4)], transA=1, name="no_bias")
case("Gemm", 13, [R(1, 40), R(6, 40), R(1, 6)], transB=1, name="one_row")
case("Gemm", 9, [I(3, 4, t=i32), I(4, 5, t=i32), I(3, 1, t=i32)], name="integers")
case("Gemm", 7, [R(3, 4, t=f64), R(4, 5, t=f64), R(3, 5, t=f64)], name="double")
g = [R(3, 4), R(4, 5), R(5)]
case("Gemm", 6, g, broadcast=1, name="broadcast_asked_for", as_=dict(version=7, attrs={}))
refuse("Gemm", 6, g, name="broadcast_not_asked_for")
refuse("Gemm", 11, [R(3, 4), R(4, 5), R(4)], name="bias_does_not_stretch")
for e, xs in (("ij,jk->ik", [R(3, 4), R(4, 5)]), ("bij,bjk", [R(2, 3, 4), R(2, 4, 5)]), ("ii->i", [R(4, 4)]),
              ("ii", [R(4, 4)]), ("...ij->...ji", [R(2, 3, 4)]), ("i...,i...->...", [R(3, 2, 4), R(3, 1, 4)]),
              ("bhid,bhjd->bhij", [R(1, 2, 3, 4), R(1, 2, 5, 4)]), ("i,j,k->kij", [R(2), R(3), R(2)]),
              ("bA , aB -> aBbA", [R(2, 3), R(2, 2)])):
    case("Einsum", 12, xs, equation=e, name=text(e), by="ref" if e in ("bA , aB -> aBbA",) else None)
case("Einsum", 12, [I(2, 3), I(3, 2)], equation="ij,jk->ik", name="integers")
refuse("Einsum", 12, [R(3, 4), R(5, 2)], equation="ij,jk->ik", name="sizes_differ")
refuse("Einsum", 12, [R(3, 4)], equation="ij,jk->ik", name="too_few_inputs")
refuse("Einsum", 12, [R(3, 4)], equation="ij->iz", name="unknown_letter")
case("Det", 11, [R(2, 5, 5)], name="batch")
case("Det", 22, [np.array([[0, 2, 1], [3, 0, 0], [0, 1, 4]], f32)], name="pivots", by="ref")

# ---- conv ----
case("Conv", 11, [R(2, 3, 9), R(4, 3, 3), R(4)], strides=[2], pads=[1, 0], name="one_dimension")
case("Conv", 11, [R(1, 4, 7, 6), R(6, 2, 3, 2), R(6)], group=2, pads=[1, 0, 2, 1], strides=[2, 1], name="groups_uneven")
case("Conv", 1, [R(1, 2, 9, 8), R(3, 2, 3, 3)], dilations=[2, 3], kernel_shape=[3, 3], name="dilated",
     as_=dict(version=11))
case("Conv", 11, [R(1, 3, 5, 6), R(3, 1, 3, 3), R(3)], group=3, pads=[1, 1, 1, 1], name="depthwise")
case("Conv", 22, [R(2, 3, 4, 5), R(5, 3, 1, 1), R(5)], name="pointwise")
case("Conv", 11, [R(1, 3, 4, 5), R(5, 3, 1, 1)], strides=[2, 2], name="pointwise_strided")
for p in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    case("Conv", 11, [R(1, 2, 6, 7), R(3, 2, 2, 4)], auto_pad=p, strides=[2, 2], name=p)
case("Conv", 11, [R(1, 2, 4, 5, 4), R(3, 2, 2, 3, 2), R(3)], pads=[1, 0, 1, 0, 1, 0], name="three_dimensions")
case("Conv", 11, [R(1, 2, 5, 5, t=f64), R(3, 2, 3, 3, t=f64)], name="double", by="ref")
case("Conv", 11, [R(1, 36, 6, 5), R(5, 36, 2, 2)], pads=[0, 1, 1, 0], name="wide")
refuse("Conv", 11, [R(1, 2, 5, 5), R(3, 3, 3, 3)], name="channels_differ")
refuse("Conv", 11, [R(1, 2, 2, 5), R(3, 2, 3, 3)], name="kernel_larger_than_image")
refuse("Conv", 11, [R(1, 2, 5, 5), R(3, 2, 3, 3)], strides=[0, 1], name="stride_0")
refuse("Conv", 11, [R(1, 2, 5, 5), R(3, 2, 3, 3)], pads=[1, 1], name="too_few_pads")
refuse("Conv", 11, [R(1, 2, 5, 5), R(3, 2, 3, 3)], kernel_shape=[3, 2], name="kernel_shape_differs")
case("ConvTranspose", 11, [R(1, 2, 3, 4), R(2, 3, 3, 2), R(3)], strides=[2, 3], name="strides")
case("ConvTranspose", 1, [R(2, 4, 5), R(4, 2, 3)], group=2, strides=[2], pads=[1, 2], output_padding=[1],
     name="groups_padded", as_=dict(version=11), by="ort")
case("ConvTranspose", 11, [R(1, 1, 4, 3), R(1, 2, 2, 2)], dilations=[2, 1], name="dilated")
for p in ("SAME_UPPER", "SAME_LOWER"):
    case("ConvTranspose", 11, [R(1, 1, 3, 4), R(1, 2, 4, 3)], auto_pad=p, strides=[2, 2], name=p)
case("ConvTranspose", 11, [R(1, 1, 3, 3), R(1, 1, 4, 3)], strides=[2, 2], output_shape=[7, 6], name="output_shape",
     by="ort")
case("ConvTranspose", 11, [R(1, 1, 2, 3, 2), R(1, 2, 2, 2, 2)], name="three_dimensions", by="ref")
x, w, off = R(1, 2, 4, 4), R(2, 2, 2, 2), R(1, 8, 3, 3, low=-16, high=17)
case("DeformConv", 19, [x, w, off, R(2)], kernel_shape=[2, 2], name="offsets")
case("DeformConv", 22, [R(1, 2, 4, 4), R(2, 1, 2, 2), R(1, 16, 5, 5, low=-16, high=17), None, P(1, 8, 5, 5)], group=2,
     offset_group=2, pads=[1, 1, 1, 1], name="groups_mask", by="ort")
case("CausalConvWithState", 27, [R(2, 3, 5), R(3, 1, 4), R(3), R(2, 3, 3)], outs=2, activation="silu", name="state",
     by="ref")
case("CausalConvWithState", 27, [R(1, 2, 2), R(2, 1, 4)], outs=2, name="short", by="ref")
case("Col2Im", 18, [R(1, 12, 9), np.array([4, 4]), np.array([2, 2])], name="plain")
case("Col2Im", 18, [R(2, 6, 6), np.array([5, 6]), np.array([2, 3])], strides=[2, 2], pads=[1, 0, 0, 1], dilations=[1, 2],
     name="all", by="ref")

# ---- pool ----
case("MaxPool", 12, [R(1, 2, 7, 6)], outs=2, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], name="indices")
case("MaxPool", 8, [R(1, 2, 5, 4)], outs=2, kernel_shape=[2, 2], storage_order=1, name="column_major", by="ort")
case("MaxPool", 10, [R(1, 1, 7, 8)], kernel_shape=[2, 3], dilations=[3, 2], name="dilated")
case("MaxPool", 11, [R(1, 2, 8)], kernel_shape=[3], strides=[2], ceil_mode=1, name="ceil")
case("MaxPool", 11, [R(1, 1, 5, 5)], kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1, pads=[1, 1, 1, 1],
     name="ceil_without_padding_alone", by="ort")
case("MaxPool", 12, [I(1, 2, 5, 5, t=i8, low=-128, high=128)], kernel_shape=[3, 3], strides=[2, 2], name="int8")
case("MaxPool", 12, [I(1, 1, 4, 4, t=u8, low=0, high=256)], kernel_shape=[2, 2], name="uint8")
case("MaxPool", 1, [R(1, 1, 6, 7)], kernel_shape=[3, 3], auto_pad="SAME_LOWER", strides=[2, 2], name="same_lower",
     as_=dict(version=12), by="ort")
case("MaxPool", 12, [R(1, 1, 4, 4, 5)], outs=2, kernel_shape=[2, 3, 2], name="three_dimensions", by="ort")
refuse("MaxPool", 12, [R(1, 1, 4, 4)], name="no_kernel")
refuse("MaxPool", 8, [R(1, 1, 4, 4)], kernel_shape=[2, 2], ceil_mode=1, name="attribute_of_later_opset")
refuse("MaxPool", 11, [I(1, 1, 4, 4, t=u8, low=0)], kernel_shape=[2, 2], name="type_of_later_opset")
refuse("MaxPool", 12, [R(1, 1, 4, 4)], kernel_shape=[1, 1], pads=[2, 0, 0, 0], name="window_in_padding")
for inc in (0, 1):
    case("AveragePool", 7, [R(1, 2, 6, 5)], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 0],
         count_include_pad=inc, name=f"count_include_pad_{inc}", by="ort")
    case("AveragePool", 19, [R(1, 1, 8, 7)], kernel_shape=[3, 3], strides=[3, 2], ceil_mode=1, dilations=[1, 2],
         pads=[1, 1, 1, 1], count_include_pad=inc, name=f"ceil_{inc}", by="ort")
x = R(1, 1, 6)
case("AveragePool", 11, [x], kernel_shape=[3], strides=[2], pads=[1, 1], ceil_mode=1, count_include_pad=1,
     name="ceil_counts_no_more_than_padding", by="torch",
     answer=[torch.nn.functional.avg_pool1d(torch.tensor(x), 3, 2, 1, True, True).numpy()])
case("AveragePool", 1, [R(2, 2, 5)], kernel_shape=[2], strides=[2], name="first", as_=dict(version=7))
case("AveragePool", 10, [R(1, 1, 5, 6)], kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2], name="same_upper")
case("LpPool", 2, [R(1, 2, 5, 6)], kernel_shape=[2, 3], strides=[1, 2], p=3, name="three")
case("LpPool", 11, [R(1, 1, 5, 4)], kernel_shape=[2, 2], p=1, pads=[1, 0, 0, 1], name="one_padded", by="ort")
case("LpPool", 18, [R(1, 1, 7, 6)], kernel_shape=[2, 2], dilations=[2, 1], ceil_mode=1, strides=[2, 2], name="ceil")
case("LpPool", 1, [R(1, 1, 4, 4)], kernel_shape=[2, 2], p=2.0, name="real_p", as_=dict(version=2, attrs=dict(
    kernel_shape=[2, 2], p=2)))
for op in ("GlobalAveragePool", "GlobalMaxPool"): case(op, 1, [R(2, 3, 4, 5)], name="-")
case("GlobalLpPool", 2, [R(2, 3, 4, 5)], p=3, name="three", by="ort")
case("GlobalLpPool", 1, [R(1, 2, 5)], p=2.0, name="real_p", by="ort", as_=dict(version=2, attrs=dict(p=2)))
u = [R(1, 1, 2, 2), np.array([5, 7, 13, 15]).reshape(1, 1, 2, 2)]
case("MaxUnpool", 9, u, kernel_shape=[2, 2], strides=[2, 2], name="plain", as_=dict(version=11))
case("MaxUnpool", 11, u + [np.array([1, 1, 5, 6])], kernel_shape=[2, 2], strides=[2, 2], name="output_shape", by="ref")
refuse("MaxUnpool", 11, [u[0], u[1] + 3], kernel_shape=[2, 2], strides=[2, 2], name="index_outside")
rois = np.array([[0, 0, 0, 5, 4], [1, 1, 2, 3, 3], [0, 4, 4, 9, 9]], f32)
case("MaxRoiPool", 1, [R(2, 2, 6, 7), rois], pooled_shape=[2, 3], name="plain", by="ort")
case("MaxRoiPool", 22, [R(2, 2, 8, 9), rois * np.array([1, 2, 2, 2, 2], f32)], pooled_shape=[3, 2], spatial_scale=0.5,
     name="scaled", by="ort", as_=dict(version=1))
rois, where = np.array([[0.5, 1, 4.5, 4], [2, 0, 9, 7], [-3, -2, 1, 1]], f32), np.array([0, 1, 0])
for v, more in ((10, {}), (16, {}), (16, dict(coordinate_transformation_mode="output_half_pixel")), (16, dict(mode="max"))):
    for s in (0, 2):
        case("RoiAlign", v, [P(2, 2, 6, 7), rois, where], output_height=2, output_width=3, sampling_ratio=s,
             spatial_scale=0.75, name=f"sampling_{s}", by="ort" if v == 10 or s == 0 else None, **more)
refuse("RoiAlign", 16, [P(2, 1, 4, 4), rois, where + 5], name="image_outside")

# ---- norm ----
x, c = R(2, 3, 4, 5), [R(3), R(3), R(3), P(3)]
case("BatchNormalization", 9, [x] + c, epsilon=0.125, name="inference", by="ort")
case("BatchNormalization", 6, [x] + c, is_test=1, name="is_test", as_=dict(version=9, attrs={}), by="ort")
case("BatchNormalization", 15, [x] + c, outs=3, training_mode=1, momentum=0.75, name="training")
per = [R(3, 4, 5), R(3, 4, 5), R(3, 4, 5), P(3, 4, 5)]
case("BatchNormalization", 7, [x] + per, spatial=0, name="not_spatial", by="numpy",
     answer=[((x - per[2]) / np.sqrt(per[3].astype(f64) + np.float32(1e-5)) * per[0] + per[1]).astype(f32)])
refuse("BatchNormalization", 6, [x] + c, name="training_of_old")
refuse("BatchNormalization", 9, [x] + c, outs=3, name="statistics_of_old")
refuse("BatchNormalization", 9, [x] + c, spatial=1, name="spatial_of_old")
case("InstanceNormalization", 6, [R(2, 3, 4, 3), R(3), R(3)], name="-")
case("LayerNormalization", 17, [R(2, 3, 4), R(4), R(4)], outs=3, name="statistics")
case("LayerNormalization", 17, [R(2, 3, 4), R(3, 4)], axis=1, epsilon=0.5, name="two_axes")
case("LayerNormalization", 17, [R(2, 3, 4), R(2, 1, 4), R(1)], axis=-2, name="stretched", by="ref")
case("LayerNormalization", 17, [R(3, 5, t=f16), R(5, t=f16), R(5, t=f16)], name="half")
case("GroupNormalization", 18, [R(2, 4, 3, 2), R(2), R(2)], num_groups=2, name="by_group")
case("GroupNormalization", 21, [R(2, 4, 3, 2), R(4), R(4)], num_groups=2, name="by_channel")
refuse("GroupNormalization", 21, [R(2, 4, 3), R(2), R(2)], num_groups=2, name="by_group_in_21")
case("RMSNormalization", 23, [R(2, 3, 4), R(4)], name="last")
case("RMSNormalization", 23, [R(2, 3, 4), R(3, 4)], axis=1, epsilon=0.25, name="two_axes")
case("LRN", 13, [R(2, 7, 2, 2)], size=3, alpha=0.5, beta=0.75, bias=2.0, name="odd", by="ort")
x = R(1, 6, 2, 2)
sq = np.stack([np.sum(x[:, max(0, k - 1):min(5, k + 2) + 1].astype(f64) ** 2, 1) for k in range(6)], 1)
case("LRN", 1, [x], size=4, alpha=1.0, beta=0.5, name="even", by="numpy", answer=[(x / (1 + sq / 4) ** 0.5).astype(f32)])
for p in (1, 2): case("LpNormalization", 1, [R(2, 3, 4)], p=p, axis=1, name=f"p_{p}", by="ort")
case("LpNormalization", 22, [np.zeros((2, 3), f32)], name="zero", by="ref")
case("MeanVarianceNormalization", 13, [R(2, 3, 2, 4)], name="usual")
case("MeanVarianceNormalization", 9, [R(2, 3, 4)], axes=[1, -1], name="axes", by="ref")
case("SkipLayerNormalization", 1, [R(2, 3, 8), R(2, 3, 8), R(8), R(8), R(8)], outs=["y0", "", "", "y3"],
     domain="com.microsoft", epsilon=0.0625, name="sum", by="ort")
case("EmbedLayerNormalization", 1, [I(2, 3, t=i32, low=0, high=5), I(2, 3, t=i32, low=0, high=2), R(5, 8), R(4, 8), R(2, 8),
     R(8), R(8), I(2, 3, t=i32, low=0, high=2)], outs=3, domain="com.microsoft", epsilon=0.0625, name="segments", by="ort")

# ---- recurrent ----
def cell(op, gates, d, layout=0, b=True, lens=None, h=True, c=False, p=False, steps=4, batch=2, n=3, H=2):
    st = (batch, d, H) if layout else (d, batch, H)
    xs = [R(*((batch, steps, n) if layout else (steps, batch, n))), R(d, gates * H, n), R(d, gates * H, H)]
    xs += [R(d, 2 * gates * H) if b else None, None if lens is None else np.array(lens, i32), R(*st) if h else None]
    if op == "LSTM": xs += [R(*st) if c else None, R(d, 3 * H) if p else None]
    while xs[-1] is None: xs.pop()
    return xs
two = dict(direction="bidirectional")
case("RNN", 7, cell("RNN", 1, 1, b=False, h=False), outs=2, hidden_size=2, name="plain")
case("RNN", 14, cell("RNN", 1, 2, lens=[4, 2]), outs=2, hidden_size=2, activations=["Affine", "ThresholdedRelu"],
     activation_alpha=[0.5, 0.25], activation_beta=[0.125], name="two_directions_lengths", by="ort", **two)
case("RNN", 22, cell("RNN", 1, 1), outs=2, hidden_size=2, direction="reverse", clip=0.5, name="reverse_clip",
     as_=dict(version=14), by="ort")
case("GRU", 7, cell("GRU", 3, 1), outs=2, hidden_size=2, name="plain")
case("GRU", 14, cell("GRU", 3, 2, lens=[3, 4]), outs=2, hidden_size=2, linear_before_reset=1, name="linear_lengths",
     by="ort", **two)
case("GRU", 7, cell("GRU", 3, 1), outs=2, hidden_size=2, activations=["HardSigmoid", "Softsign"],
     activation_alpha=[0.3], activation_beta=[0.4], direction="reverse", name="activations", by="ort")
case("LSTM", 7, cell("LSTM", 4, 1, b=False, h=False), outs=3, hidden_size=2, name="plain")
case("LSTM", 14, cell("LSTM", 4, 2, lens=[2, 4], c=True, p=True), outs=3, hidden_size=2, name="peepholes_lengths",
     by="ort", **two)
case("LSTM", 7, cell("LSTM", 4, 1, c=True), outs=3, hidden_size=2, input_forget=1, clip=0.75, name="coupled_clip",
     by="ort")
case("LSTM", 7, cell("LSTM", 4, 1, c=True), outs=3, hidden_size=2, activations=["Sigmoid", "Elu", "ScaledTanh"],
     activation_alpha=[0.5, 1.5], activation_beta=[0.75], name="activations", by="ort")
xs = cell("LSTM", 4, 1, layout=1, c=True)
flip = lambda a: np.ascontiguousarray(np.swapaxes(a, 0, 1))
y = with_ort("LSTM", 14, "", dict(hidden_size=2), [flip(xs[0]), *xs[1:5], flip(xs[5]), flip(xs[6])], ["a", "b", "c"])
case("LSTM", 14, xs, outs=3, hidden_size=2, layout=1, name="batch_first", by="ort",
     answer=[np.transpose(y[0], (2, 0, 1, 3)), flip(y[1]), flip(y[2])])
refuse("LSTM", 7, cell("LSTM", 4, 1), outs=3, hidden_size=3, name="hidden_size_differs")
refuse("LSTM", 7, cell("LSTM", 4, 1), outs=3, hidden_size=2, layout=1, name="layout_of_later_opset")
refuse("GRU", 7, cell("GRU", 3, 1, lens=[3, 5]), outs=2, hidden_size=2, name="longer_than_there_is")
refuse("GRU", 7, cell("GRU", 3, 1), outs=2, hidden_size=2, activations=["Sigmoid", "Swish"], name="unknown_activation")

# ---- attention ----
case("Attention", 23, [R(2, 2, 3, 4), R(2, 2, 5, 4), R(2, 2, 5, 3), R(3, 5)], outs=["y0", "", "", "y3"],
     qk_matmul_output_mode=2, softcap=2.0, name="mask_softcap")
case("Attention", 23, [R(1, 3, 8), R(1, 4, 4), R(1, 4, 6)], q_num_heads=4, kv_num_heads=2, is_causal=1, name="shared_heads")
case("Attention", 24, [R(1, 2, 2, 4), R(1, 2, 2, 4), R(1, 2, 2, 4), None, R(1, 2, 3, 4), R(1, 2, 3, 4)], outs=3,
     is_causal=1, scale=0.25, name="past", by="ref")
case("Attention", 24, [R(2, 1, 2, 4), R(2, 1, 5, 4), R(2, 1, 5, 4), None, None, None, np.array([3, 5])],
     is_causal=1, name="real_keys", by="ref")
case("Attention", 23, [R(1, 1, 2, 3), R(1, 1, 3, 3), R(1, 1, 3, 3), np.array([[0, 0, 0], [1, 0, 1]], bool)],
     outs=["y0", "", "", "y3"], qk_matmul_output_mode=3, name="all_hidden", by="ref")
case("Attention", 25, [R(1, 1, 5, 4), R(1, 1, 6, 4), R(1, 1, 6, 4)], left_window_size=1, right_window_size=2,
     name="window", by="ref")
refuse("Attention", 24, [R(1, 1, 5, 4)] * 3, left_window_size=1, name="window_of_later_opset")
refuse("Attention", 23, [R(1, 3, 9), R(1, 4, 4), R(1, 4, 6)], q_num_heads=4, kv_num_heads=2, name="heads_do_not_divide")
case("RotaryEmbedding", 23, [R(2, 2, 3, 6), R(5, 3), R(5, 3), I(2, 3, low=0, high=5)], name="halves")
case("RotaryEmbedding", 23, [R(2, 3, 12), R(2, 3, 2), R(2, 3, 2)], num_heads=2, rotary_embedding_dim=4, interleaved=1,
     name="interleaved_part", by="ref")
refuse("RotaryEmbedding", 23, [R(1, 2, 1, 6), R(5, 3), R(5, 3), np.array([[5]])], name="position_outside")
q, k, v = R(1, 3, 8), R(1, 3, 4), R(1, 3, 6)
for rule, more in (("linear", []), ("gated", [R(1, 3, 4, high=0)]), ("delta", [None, P(1, 3, 2)]),
                   ("gated_delta", [R(1, 3, 2, high=0), P(1, 3, 1)])):
    case("LinearAttention", 27, [q, k, v, R(1, 2, 2, 3)] + more, outs=2, update_rule=rule, q_num_heads=4, kv_num_heads=2,
         name=rule, by="ref")

ms = dict(domain="com.microsoft", by="ort")
shown = lambda *shape: np.maximum(I(*shape, t=i32, low=0, high=2), np.arange(shape[-1], dtype=i32) == 1).astype(i32)
for mask in (None, np.array([3, 2], i32), shown(2, 3), shown(2, 3, 3)):      # some key of each row
    case("Attention", 1, [R(2, 3, 5), R(5, 24), R(24), mask], num_heads=2, name="mask_%d" % np.ndim(mask), **ms)
case("Attention", 1, [R(1, 4, 5), R(5, 20), R(20), None, None, R(1, 1, 4, 4)], num_heads=2, unidirectional=1,
     qkv_hidden_sizes=[8, 8, 4], scale=0.5, name="sizes_bias_causal", **ms)
case("MultiHeadAttention", 1, [R(2, 3, 8), R(2, 5, 8), R(2, 5, 6), R(22), shown(2, 5), R(1, 2, 3, 5)],
     num_heads=2, mask_filter_value=-3.0, name="all", **ms)
case("MultiHeadAttention", 1, [R(1, 3, 8), R(1, 3, 8), R(1, 3, 8)], num_heads=4, unidirectional=1, name="causal", **ms)
refuse("MultiHeadAttention", 1, [R(1, 3, 8), R(1, 3, 8), R(1, 3, 8)], num_heads=3, name="heads", domain="com.microsoft")

# ---- loss ----
for how in ("mean", "sum", "none"):
    case("NegativeLogLikelihoodLoss", 13, [R(3, 4, 2), I(3, 2, low=0, high=4), P(4)], reduction=how, ignore_index=2,
         name=how)
    case("SoftmaxCrossEntropyLoss", 13, [R(3, 4), I(3, low=0, high=4, t=i32)], outs=2, reduction=how, name=how)
case("SoftmaxCrossEntropyLoss", 12, [R(2, 5, 2, 2), I(2, 2, 2, low=0, high=5), P(5)], ignore_index=-1, name="weights")
refuse("NegativeLogLikelihoodLoss", 13, [R(3, 4), np.array([0, 4, 1])], name="target_outside")

# ---- image ----
E0 = np.array([], f32)
def up(v, x, scales, mode): return dict(version=11, op="Resize", inputs=[x, E0, np.array(scales, f32)], attrs=dict(
    mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor"))
x = R(1, 2, 2, 3)
case("Upsample", 1, [x], height_scale=2.0, width_scale=3.0, mode="nearest", name="nearest",
     as_=up(1, x, [1, 1, 2, 3], "nearest"))
case("Upsample", 7, [x], scales=[1.0, 1.0, 2.0, 2.5], mode="linear", name="linear", as_=up(7, x, [1, 1, 2, 2.5], "linear"))
case("Upsample", 9, [x, np.array([1, 1, 2.5, 1.5], f32)], mode="nearest", name="nearest",
     as_=up(9, x, [1, 1, 2.5, 1.5], "nearest"))
refuse("Upsample", 10, [x, np.array([1, 1, 2, 2], f32)], name="gone")
x = R(1, 1, 4, 5)
case("Resize", 10, [x, np.array([1, 1, 0.5, 0.6], f32)], mode="nearest", name="down", by="ort")
case("Resize", 10, [x, np.array([1, 1, 1.5, 2], f32)], mode="linear", name="up", by="ort")
for m in ("nearest", "linear", "cubic"):
    for at in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        sizes = np.array([1, 1, 7, 3])
        case("Resize", 13, [x, None, None, sizes], mode=m, coordinate_transformation_mode=at, name="sizes",
             by="ort" if m == "nearest" else None)
for r in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
    case("Resize", 11, [x, E0, np.array([1, 1, 2, 0.4], f32)], mode="nearest", nearest_mode=r, name=r,
         coordinate_transformation_mode="half_pixel")
case("Resize", 11, [x, E0, np.array([1, 1, 0.5, 1.6], f32)], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5,
     name="cubic_inside")
case("Resize", 11, [x, E0, np.array([1, 1, 2, 2], f32)], mode="nearest", name="for_nearest", by="ort",
     coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor")
case("Resize", 13, [x, np.array([0, 0, 0.4, 0.6, 1, 1, 0.6, 1.2], f32), None, np.array([1, 1, 3, 3])], mode="linear",
     coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=10.0, name="crop")
for m in ("linear", "cubic"):
    case("Resize", 18, [R(1, 1, 8, 9), None, np.array([0.5, 0.4], f32)], mode=m, antialias=1, axes=[2, 3],
         name="antialias", by="ref")
for p in ("not_larger", "not_smaller"):
    case("Resize", 18, [x, None, None, np.array([7, 8])], mode="linear", axes=[2, 3], keep_aspect_ratio_policy=p, name=p)
case("Resize", 19, [x, None, np.array([1, 1, 1, 0.5], f32)], mode="linear",
     coordinate_transformation_mode="half_pixel_symmetric", name="symmetric", by="ref")
case("Resize", 19, [I(1, 1, 3, 3, t=u8, low=0, high=256), None, np.array([1, 1, 1.5, 1.5], f32)], mode="cubic",
     name="uint8", by="ref")
refuse("Resize", 13, [x, None, np.array([1, 1, 2, 2], f32), np.array([1, 1, 8, 10])], name="scales_and_sizes")
refuse("Resize", 13, [x], name="neither")
refuse("Resize", 13, [x, None, np.array([1, 1, 0.1, 0], f32), None], mode="linear", axes=[2], name="axes_of_later_opset")
g = R(1, 3, 2, 2, low=-20, high=21)
for pad in ("zeros", "border", "reflection"):
    for m in ("nearest", "bilinear", "bicubic"):
        for a in (0, 1):
            case("GridSample", 16, [R(1, 1, 4, 5), g], mode=m, padding_mode=pad, align_corners=a, name=f"{pad}_{a}",
                 by="ort" if (m, pad) == ("bicubic", "border") else None,
                 as_=dict(version=20, attrs=dict(padding_mode=pad, align_corners=a,
                                                 mode=dict(nearest="nearest", bilinear="linear", bicubic="cubic")[m])))
far = R(1, 4, 3, 2, low=-96, high=97)
for a in (0, 1):
    case("GridSample", 20, [R(1, 1, 4, 5), far], mode="linear", padding_mode="reflection", align_corners=a, name=f"far_{a}")
case("GridSample", 20, [R(1, 2, 3, 2, 4), R(1, 2, 2, 1, 3, low=-20, high=21)], mode="linear", name="three_dimensions")
case("AffineGrid", 20, [R(2, 2, 3), np.array([2, 1, 3, 4])], name="two_dimensions")
case("AffineGrid", 20, [R(1, 3, 4), np.array([1, 1, 2, 3, 2])], align_corners=1, name="three_dimensions")

# ---- signal ----
for op in ("HannWindow", "HammingWindow", "BlackmanWindow"):
    for p in (0, 1): case(op, 17, [np.array(7)], periodic=p, name=f"periodic_{p}")
case("HannWindow", 17, [np.array(4, i32)], output_datatype=T.DOUBLE, name="double")
refuse("HannWindow", 17, [np.array(-1)], name="below_0")
case("DFT", 17, [R(2, 6, 1)], name="six", by="ref")
case("DFT", 17, [R(1, 3, 7, 2)], axis=2, inverse=1, name="seven_back", by="ref")
case("DFT", 20, [R(2, 8, 1), np.array(12)], onesided=1, name="filled_up", by="ref")
case("DFT", 20, [R(5, 3, 2), np.array(4), np.array(0)], name="cut_first_axis", by="ref")
case("DFT", 20, [R(2, 4, 2), np.array(7)], onesided=1, inverse=1, name="real_back", by="ref")
refuse("DFT", 20, [R(2, 8, 2)], onesided=1, name="onesided_complex")
case("STFT", 17, [R(2, 11, 1), np.array(3), P(6)], name="window")
case("STFT", 17, [R(1, 10, 2), np.array(2), None, np.array(5)], onesided=0, name="complex", by="ref")
case("MelWeightMatrix", 17, [np.array(4), np.array(32), np.array(8192), np.array(100, f32), np.array(4000, f32)],
     name="-")
pool = dict(ngram_counts=[0, 3], ngram_indexes=[1, 0, 3, 2, 4], min_gram_length=1, max_gram_length=2, max_skip_count=1)
for m in ("TF", "IDF", "TFIDF"):
    case("TfIdfVectorizer", 9, [np.array([[1, 2, 3, 2, 3, 1], [5, 1, 2, 2, 3, 3]])], mode=m, pool_int64s=[1, 2, 5, 2, 3, 1, 2],
         weights=[0.5, 2.0, 4.0, 8.0, 0.25], name=m, by="ort", **pool)
case("TfIdfVectorizer", 9, [S(["a", "b", "a", "b", "c"])], mode="TF", pool_strings=["a", "c", "x", "a", "b", "b", "c"],
     name="texts", **pool)
for a in ("LOWER", "UPPER", "NONE"):
    case("StringNormalizer", 10, [S(["Monday", "tuesday", "Wed", "TUESDAY"])], case_change_action=a, is_case_sensitive=1,
         stopwords=["tuesday"], name=a)
case("StringNormalizer", 10, [S(["Monday", "monday"], 1, 2)], is_case_sensitive=0, stopwords=["MONDAY"], name="all_gone",
     case_change_action="UPPER")
case("StringConcat", 20, [S(["a", "b c", ""], 3, 1), S(["1", "22"])], name="stretched", by="ref")
case("StringSplit", 20, [S(["a b  c", " d ", "", "e,f"])], outs=2, name="spaces", by="ref")
case("StringSplit", 20, [S(["a,b,,c", "d", ""], 3, 1)], outs=2, delimiter=",", name="delimiter", by="ref")
case("StringSplit", 20, [S(["a b c d ", "x"])], outs=2, maxsplit=2, name="most", by="ort")
case("StringSplit", 20, [S(["a--b--c", "--"])], outs=2, delimiter="--", maxsplit=1, name="long_delimiter", by="ref")
refuse("RandomNormal", 1, [], shape=[2], name="random")
print(f"\nend {count}")
sys.exit("\n".join(problems))
