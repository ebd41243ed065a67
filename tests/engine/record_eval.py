#!/usr/bin/env python3
"""Records what operators of ONNX answer, for tests/engine/test_eval_ops.c.

    record_eval.py [--each N] [--seed S] [--only OP] [--folder F] > eval_ops.txt      (onnx, onnxruntime, numpy, ml_dtypes)

A case is an operator of an opset with attributes and inputs, and its outputs by onnx.reference, or by ONNX Runtime for
domains ai.onnx.ml and com.microsoft and where the reference has no definition, or a later opset's; those of the oldest
opsets by NumPy. Shapes are small and
odd. Lines: "== op opset domain", "@name kind values" attributes, "< type dims : values" inputs ("< -": left out), ">"
outputs. --folder: each case as a test as ONNX has them, F/N_OP/model.onnx and test_data_set_0, too. What the oracle refuses is told on standard error and left out. More cases than are kept: --each 20 --seed 7,
and test_eval_ops FILE.
"""
import argparse, os, sys, warnings
import ml_dtypes, numpy as np, onnx, onnxruntime as ort
from onnx import helper as H, numpy_helper as N, TensorProto as T
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")
ort.set_default_logger_severity(4)
ap = argparse.ArgumentParser()
ap.add_argument("--each", type=int, default=1)
ap.add_argument("--seed", type=int, default=1)
ap.add_argument("--only", default="")
ap.add_argument("--folder")
args = ap.parse_args()
f4, f8, i4, i8 = np.float32, np.float64, np.int32, np.int64
CASES = []

def case(op, opset, ins, outs=1, domain="", by="ref", **attr):
    """`opset_` is an attribute of that name without the line."""
    CASES.append((op, opset, domain, ins, outs, by, {k.rstrip("_"): v for k, v in attr.items()}))

# ---- what runs a case ----

def model(op, opset, domain, ins, outs, attr, types):
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(ins)]
    node = H.make_node(op, names, [f"o{k}" for k in range(outs)], domain=domain, **attr)
    vi = [H.make_tensor_value_info(n, H.np_dtype_to_tensor_dtype(a.dtype) if a.dtype.kind not in "OU" else T.STRING, a.shape)
          for n, a in zip(names, ins) if n]
    vo = [H.make_tensor_value_info(f"o{k}", types[k] if types else T.UNDEFINED, None) if types else
          onnx.ValueInfoProto(name=f"o{k}") for k in range(outs)]
    imports = [H.make_opsetid(domain, opset)] + ([H.make_opsetid("", 17)] if domain else [])
    return H.make_model(H.make_graph([node], "g", vi, vo), opset_imports=imports, ir_version=10 if opset < 24 or domain else 11)

def answer(op, opset, domain, ins, outs, by, attr):
    feed = {f"i{k}": a for k, a in enumerate(ins) if a is not None}
    m = model(op, opset, domain, ins, outs, attr, None)
    if callable(by): return [np.asarray(v) for v in by()]
    if by == "ort": return ort.InferenceSession(m.SerializeToString()).run(None, feed)
    return ReferenceEvaluator(m).run(None, feed)

# ---- text ----

def number(v): return str(v) if v.dtype.kind == "f" else str(float(v)) if "float" in str(v.dtype) else str(int(v))

def word(s): return '"' + (s.decode() if isinstance(s, bytes) else str(s)) + '"'

def array(a):
    a = np.asarray(a)
    kind = "string" if a.dtype.kind in "OU" else str(a.dtype).replace("float8_", "float8").replace("e8m0fnu", "e8m0").replace("float4_e2m1fn", "float4e2m1")
    return f"{kind} {','.join(map(str, a.shape)) or '-'} : " + " ".join(word(v) if kind == "string" else number(v) for v in a.ravel())

def attribute(name, v):
    if isinstance(v, onnx.TensorProto): return f"@{name} t {array(N.to_array(v))}"
    if isinstance(v, str): return f"@{name} s {word(v)}"
    if isinstance(v, float): return f"@{name} f {f4(v)}"
    if isinstance(v, int): return f"@{name} i {v}"
    v = list(v)
    if v and isinstance(v[0], str): return f"@{name} ss " + " ".join(map(word, v))
    if v and isinstance(v[0], float): return f"@{name} fs " + " ".join(str(f4(x)) for x in v)
    return f"@{name} ii " + " ".join(map(str, v))

def keep(n, op, opset, domain, ins, outs, attr, got):
    """A case as a test of ONNX: its outputs have types and names, o0 and so on."""
    at = f"{args.folder}/{n:05d}_{op}_{opset}/test_data_set_0"
    os.makedirs(at, exist_ok=True)
    types = [H.np_dtype_to_tensor_dtype(np.asarray(g).dtype) if np.asarray(g).dtype.kind not in "OU" else T.STRING for g in got]
    onnx.save(model(op, opset, domain, ins, outs, attr, types), f"{at}/../model.onnx")
    for kind, list in (("input", [(f"i{k}", a) for k, a in enumerate(ins) if a is not None]), ("output", [(f"o{k}", g) for k, g in enumerate(got)])):
        for i, (name, a) in enumerate(list):
            with open(f"{at}/{kind}_{i}.pb", "wb") as f: f.write(N.from_array(np.asarray(a), name).SerializeToString())

def write(op, opset, domain, ins, outs, by, attr):
    global kept
    try: got = answer(op, opset, domain, ins, outs, by, attr)
    except Exception as e:
        print(f"{op} {opset} {by}: {str(e)[:300]}", file=sys.stderr)
        return
    print(f"== {op} {opset} {domain or '-'}")
    for k, v in attr.items(): print(attribute(k, v))
    for a in ins: print("< -" if a is None else "< " + array(a))
    for a in got: print("> " + array(a))
    if args.folder:
        try: keep(kept, op, opset, domain, ins, outs, attr, got)
        except Exception as e: print(f"{op} {opset}: is not kept: {str(e)[:200]}", file=sys.stderr)
        kept += 1

kept = 0

# ---- inputs ----

rng = np.random.default_rng(args.seed)
def real(*shape, scale=2.0, dtype=f4): return (rng.standard_normal(shape) * scale).astype(dtype)
def whole(low, high, *shape, dtype=i8): return rng.integers(low, high, shape).astype(dtype)
def pick(*v): return v[rng.integers(len(v))]
def shape(low=1, high=4, most=5): return tuple(int(rng.integers(1, most)) for _ in range(rng.integers(low, high + 1)))
def axis_of(r, negative=True): return int(rng.integers(-r if negative else 0, r))
def stretch(s):
    """A shape that broadcasts to s."""
    s = [1 if rng.random() < 0.4 else d for d in s]
    return tuple(s[rng.integers(0, len(s)):] if rng.random() < 0.4 else s)
def ints(*v): return np.array(v, i8)

def math():
    for op, since in dict(Abs=6, Neg=6, Sign=9, Relu=14, Sqrt=6, Exp=6, Log=6, Reciprocal=6, Sin=7, Cos=7, Tan=7, Asin=7,
                          Acos=7, Atan=7, Sinh=9, Cosh=9, Tanh=6, Asinh=9, Acosh=9, Atanh=9, Ceil=6, Floor=6, Round=11, Erf=9,
                          HardSwish=14, Sigmoid=6, Softplus=1, Softsign=1, Mish=18).items():
        x = real(*shape(0, 3))
        if op in ("Log", "Sqrt"): x = np.abs(x)
        if op == "Acosh": x = 1 + np.abs(x)
        if op in ("Asin", "Acos", "Atanh"): x = np.tanh(x)
        case(op, since, [x])
        if op == "Round": case(op, 22, [np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997], f4)])
        if op in ("Abs", "Neg", "Sign", "Relu"): case(op, 14, [whole(-9, 9, 5, dtype=pick(np.int8, i4, i8))])
        if op in ("Sigmoid", "Softplus", "Tanh", "Relu"): case(op, 14, [np.array([-200, -np.inf, np.inf, np.nan, 200, 0], f4)])
    for op, since, attr in (("LeakyRelu", 6, dict(alpha=0.3)), ("Elu", 6, dict(alpha=0.7)), ("Selu", 6, {}),
                            ("Selu", 6, dict(alpha=1.5, gamma=0.5)), ("Celu", 12, dict(alpha=0.5)),
                            ("HardSigmoid", 6, dict(alpha=0.3, beta=0.4)), ("ThresholdedRelu", 10, dict(alpha=0.5)),
                            ("Swish", 24, dict(alpha=0.7)), ("Shrink", 9, dict(lambd=0.7, bias=0.2)), ("Gelu", 20, {}),
                            ("Gelu", 20, dict(approximate="tanh")), ("LeakyRelu", 6, {}), ("HardSigmoid", 6, {})):
        case(op, since, [real(*shape())], **attr)
    case("Gelu", 20, [real(3, 2, dtype=np.float16)])
    for op in ("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min"):
        s = shape(1, 4)
        for t in (f4, f8, i4, i8, np.uint8, np.float16):
            a, b = (real(*s, dtype=t), real(*stretch(s), dtype=t)) if np.dtype(t).kind == "f" else (
                whole(0, 9, *s, dtype=t), whole(1, 5, *stretch(s), dtype=t))
            if np.dtype(t).kind == "i": a = a - t(4)
            if op == "Pow": a = np.abs(a)
            case(op, 15 if op == "Pow" else 14, [b, a] if op in ("Add", "Mul", "Max") and rng.random() < 0.5 else [a, b],
                 **(dict(fmod=1) if op == "Mod" and np.dtype(t).kind == "f" else {}))
    case("Div", 14, [whole(-9, 9, 6), ints(-2, 2, -3, 3, -1, 4)])
    case("Mod", 13, [whole(-9, 9, 6), ints(-2, 2, -3, 3, -1, 4)])
    case("Mod", 13, [whole(-9, 9, 6), ints(-2, 2, -3, 3, -1, 4)], fmod=1)
    case("Pow", 15, [whole(1, 5, 4, dtype=i4), real(4, scale=1)])
    case("Pow", 15, [real(4), ints(0, 1, 2, 3)])
    case("Max", 13, [np.array([np.nan, 1, 2], f4), np.array([0, np.nan, 3], f4)])
    case("PRelu", 9, [real(2, 3, 4), real(3, 1)])
    case("PRelu", 7, [real(2, 3), real(1)])
    for op in ("Max", "Min", "Sum", "Mean"):
        s = shape(2, 3)
        case(op, 13, [real(*s), real(*stretch(s)), real(*stretch(s))])
        case(op, 8, [real(2, 3)])
    case("Clip", 6, [real(3, 4)], min=-0.5, max=0.75)
    case("Clip", 13, [real(3, 4), np.array(-0.5, f4), np.array(0.5, f4)])
    case("Clip", 13, [real(3, 4), None, np.array(0.5, f4)])
    case("Clip", 12, [whole(-9, 9, 5), np.array(2, i8)])
    case("Clip", 13, [real(3), np.array(1, f4), np.array(-1, f4)])
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        s = shape(2, 4)
        case(op, 13, [real(*s)], axis=axis_of(len(s)))
        case(op, 13, [real(*s)])
        case(op, 11, [real(*s)], axis=axis_of(len(s)), by="ort")
        case(op, 9, [real(*s)], by="ort")
    case("Softmax", 13, [np.array([[1e30, -1e30, 3], [-np.inf, 0, 1]], f4)])
    for a in (dict(), dict(exclusive=1), dict(reverse=1), dict(exclusive=1, reverse=1)):
        s = shape(1, 3)
        case("CumSum", 14, [real(*s), np.array(axis_of(len(s)), i4)], **a)
        case("CumSum", 11, [whole(-5, 5, *s), np.array(axis_of(len(s)), i8)], **a)
        case("CumProd", 26, [real(*s), np.array(axis_of(len(s)), i4)], **a)
    for d in ("LEFT", "RIGHT"):
        t = pick(np.uint8, np.uint16, np.uint32, np.uint64)
        case("BitShift", 11, [whole(0, 200, 3, 2, dtype=t), whole(0, 70, 2, dtype=t)], direction=d)
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        case(op, 18, [whole(-9, 99, 3, 2, dtype=i4), whole(-9, 99, 2, dtype=i4)])
    case("BitwiseNot", 18, [whole(0, 99, 4, dtype=pick(np.uint8, np.int16))])
    odd = np.array([np.nan, np.inf, -np.inf, 1], f4)
    case("IsNaN", 13, [odd]); case("IsInf", 20, [odd]); case("IsInf", 10, [odd], detect_negative=0)
    case("IsInf", 10, [odd], detect_positive=0)

def logic():
    for op in ("And", "Or", "Xor"):
        s = shape(1, 3)
        case(op, 7, [rng.random(s) < 0.5, rng.random(stretch(s)) < 0.5])
    case("Not", 1, [rng.random((2, 3)) < 0.5])
    for op, v in (("Equal", 19), ("Less", 13), ("Greater", 13), ("LessOrEqual", 16), ("GreaterOrEqual", 16)):
        s = shape(1, 3)
        for t in (f4, i8, np.uint64): case(op, v, [whole(0, 3, *s, dtype=t), whole(0, 3, *stretch(s), dtype=t)])
        case(op, v, [np.array([np.nan, 1, np.inf, -0.0], f4), np.array([np.nan, np.nan, np.inf, 0.0], f4)])
    case("Equal", 19, [np.array(["a", "bc", ""], object), np.array(["a", "b", ""], object)])
    case("Equal", 13, [np.array([True, False]), np.array([True, True])])
    s = shape(2, 4)
    case("Where", 16, [rng.random(stretch(s)) < 0.5, real(*s), real(*stretch(s))])
    case("Where", 9, [rng.random((2, 1)) < 0.5, np.array(["x", "y"]), np.array([["z"], ["w"]])])

def reduce():
    for op in ("Sum", "Mean", "Prod", "Max", "Min", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"):
        name, moved = "Reduce" + op, 13 if op == "Sum" else 18
        s = shape(1, 4)
        r = len(s)
        some = sorted(rng.permutation(r)[:rng.integers(1, r + 1)].tolist())
        some = [a - r if rng.random() < 0.3 else a for a in some]
        x = np.abs(real(*s)) if op == "LogSum" else real(*s)
        case(name, 11, [x], axes=some, keepdims=int(rng.integers(2)))
        case(name, 11, [x])
        case(name, moved, [x, np.array(some, i8)], keepdims=int(rng.integers(2)))
        case(name, moved, [x, None], keepdims=0)
        case(name, moved, [x, np.array([], i8)], noop_with_empty_axes=1)
        if op not in ("LogSum", "LogSumExp", "L2"): case(name, moved, [whole(-5, 5, *s, dtype=i8 if op == "SumSquare" else pick(i4, i8)), np.array(some, i8)])
        if op not in ("Mean",): case(name, 20, [np.zeros((2, 0, 3), f4), ints(1)], keepdims=1)
    case("ReduceMax", 20, [rng.random((2, 3)) < 0.5, ints(0)])
    case("ReduceMax", 20, [np.array([[1, np.nan], [2, 3]], f4), ints(1)])
    case("ReduceLogSumExp", 18, [np.array([[1000, 1001], [-1000, -1001]], f4), ints(1)])
    for op in ("ArgMax", "ArgMin"):
        s = shape(1, 4)
        for last in (0, 1):
            case(op, 13, [whole(0, 3, *s, dtype=pick(f4, i4, np.uint8))], axis=axis_of(len(s)), keepdims=int(rng.integers(2)),
                 select_last_index=last)
        case(op, 11, [real(*s)])
    for k in (0, 1): case("TopK", 11, [whole(0, 3, 2, 9, dtype=f4), ints(6)], 2, largest=k)
    for k in range(3):
        s = shape(1, 3)
        a = axis_of(len(s))
        n = int(rng.integers(1, s[a] + 1))
        case("TopK", 11, [whole(0, 5, *s, dtype=pick(f4, i8)), ints(n)], 2, axis=a, largest=k % 2)
        case("TopK", 10, [real(*s), ints(n)], 2, axis=a)

def move():
    s = list(shape(1, 4))
    a = axis_of(len(s))
    parts = []
    for _ in range(3):
        s[a] = int(rng.integers(0, 4))
        parts.append(real(*s))
    case("Concat", 13, parts, axis=a)
    case("Concat", 4, [whole(0, 9, 2, 3), whole(0, 9, 2, 1)], axis=1)
    case("Split", 11, [real(4, 6)], 3, axis=1, split=[1, 2, 3])
    case("Split", 2, [real(4, 6)], 2)
    case("Split", 13, [real(4, 6), ints(5, 1)], 2, axis=-1)
    case("Split", 13, [real(4, 6)], 3, axis=1)
    case("Split", 18, [real(7, 2)], 3, num_outputs=3)
    case("Split", 18, [real(7, 2), ints(0, 7)], 2)
    for _ in range(6):
        s = shape(1, 4, 7)
        n = int(rng.integers(1, len(s) + 1))
        axes = rng.permutation(len(s))[:n]
        axes = np.where(rng.random(n) < 0.3, axes - len(s), axes).astype(i8)
        far = rng.integers(-9, 9, n), rng.integers(-9, 9, n)
        case("Slice", 13, [real(*s), far[0], far[1], axes, rng.choice([-3, -2, -1, 1, 2, 3], n)], by="ort")
        case("Slice", 9, [real(*s)], starts=[int(v) for v in far[0]], ends=[int(v) for v in far[1]], axes=[int(v) % len(s) for v in axes])
    big = np.iinfo(i8)
    case("Slice", 13, [real(5, 4), ints(big.max, 0), ints(big.min, big.max), ints(0, 1), ints(-2, big.max)])
    case("Slice", 10, [real(5, 4), np.array([1], i4), np.array([-1], i4)])
    for _ in range(4):
        s = shape(1, 5)
        case("Transpose", 13, [pick(real(*s), whole(0, 9, *s, dtype=np.int8), real(*s, dtype=f8))], perm=[int(v) for v in rng.permutation(len(s))])
    case("Transpose", 21, [real(2, 3, 4)])
    case("Transpose", 21, [real(37, 41)], perm=[1, 0])
    case("Transpose", 21, [np.array([["a", "b"], ["c", ""]])])
    for mode, v in (("constant", 13), ("reflect", 13), ("edge", 13), ("wrap", 19)):
        s = shape(1, 3)
        s = tuple(d + 3 for d in s)
        r = len(s)
        case("Pad", v, [real(*s), rng.integers(0, 3, 2 * r)], mode=mode)
        case("Pad", 19, [real(*s), ints(1, 2), None, ints(-1)], mode=mode)
    case("Pad", 13, [real(3, 2), ints(0, 1, 2, 0), np.array(1.5, f4)])
    case("Pad", 2, [real(3, 2)], pads=[0, 1, 2, 0], value=0.5)
    case("Pad", 13, [real(5, 4), ints(-1, 1, -2, 0)], by="ort")
    case("Pad", 13, [real(5, 4), ints(-1, 1, 2, -1)], mode="edge", by="ort")
    case("Pad", 19, [real(5), ints(7, 9)], mode="wrap")
    s = shape(1, 3)
    case("Tile", 13, [real(*s), rng.integers(0, 4, len(s))])
    case("Expand", 13, [real(3, 1), ints(2, 1, 4)])
    case("Expand", 8, [real(3), ints(1)])
    case("Expand", 8, [np.array(2.5, f4), ints(2, 0, 3)])
    for up in (0, 1):
        case("Trilu", 14, [whole(1, 9, 2, 4, 3), np.array(int(rng.integers(-4, 4)), i8)], upper=up)
    case("Trilu", 14, [real(3, 5)])
    for b in (0, 1): case("ReverseSequence", 10, [real(3, 4, 2), rng.integers(1, 4 if b == 0 else 3, 3 if b == 0 else 4).astype(i8)], batch_axis=b, time_axis=1 - b)
    case("DepthToSpace", 13, [real(1, 8, 2, 3)], blocksize=2)
    case("DepthToSpace", 11, [real(2, 9, 2, 1)], blocksize=3, mode="CRD")
    case("SpaceToDepth", 13, [real(2, 2, 4, 6)], blocksize=2)
    case("CenterCropPad", 18, [real(5, 4, 3), ints(2, 7, 3)])
    case("CenterCropPad", 18, [real(5, 4, 3), ints(8, 3)], axes=[-1, 0])

def index():
    for _ in range(3):
        s = shape(1, 4)
        a = axis_of(len(s))
        case("Gather", 13, [real(*s), rng.integers(-s[a], s[a], shape(0, 2)).astype(pick(i4, i8))], axis=a)
    case("Gather", 13, [np.array(["a", "b"]), ints(1, 0, -1)])
    s = shape(2, 3)
    a = axis_of(len(s))
    t = list(s); t[a] = 3
    where = rng.integers(-s[a], s[a], t)
    case("GatherElements", 13, [real(*s), where], axis=a)
    case("GatherND", 13, [real(3, 2, 4), np.array([[0, 1], [-1, 0]])])
    case("GatherND", 13, [real(2, 3, 4), np.array([[[2], [0]], [[1], [1]]])], batch_dims=1)
    case("GatherND", 11, [real(2, 3), np.array([[1, 2], [0, -3]])])
    one = np.array([[0, 2, 1], [1, -1, 0]])
    case("ScatterElements", 13, [real(2, 4), one, real(2, 3)], axis=1)
    case("ScatterElements", 11, [real(3, 3), one, real(2, 3)])
    for red in ("add", "mul", "max", "min"):
        case("ScatterElements", 18, [real(2, 4), np.array([[0, 0, 1], [1, -1, 1]]), real(2, 3)], axis=-1, reduction=red)
        case("ScatterND", 18, [whole(1, 9, 3, 2, dtype=pick(f4, i8)).astype(f4), np.array([[0], [2], [0]]), real(3, 2)], reduction=red)
    case("ScatterND", 13, [real(4, 3), np.array([[1], [3]]), real(2, 3)])
    case("ScatterND", 11, [real(4, 3), np.array([[1, 2], [-1, 0]]), real(2)])
    case("OneHot", 11, [whole(-4, 6, 2, 3), np.array(4, i8), np.array([-1, 5], f4)], axis=axis_of(3))
    case("OneHot", 11, [real(3, scale=3), ints(3).astype(f4), np.array([0, 1], f4)], by="ort")
    case("NonZero", 13, [whole(0, 2, 3, 2)])
    case("NonZero", 13, [np.zeros((2, 0), f4)])
    case("Compress", 11, [real(3, 4), np.array([1, 0, 1], bool)], axis=0)
    case("Compress", 11, [real(3, 4), np.array([0, 1], bool)], axis=-1)
    case("Compress", 9, [real(3, 2), np.array([0, 1, 0, 0, 1], bool)])
    for srt in (0, 1):
        case("Unique", 11, [whole(0, 4, 7).astype(f4)], 4, sorted=srt)
        case("Unique", 11, [whole(0, 2, 4, 2)], 4, axis=0, sorted=srt, by="ort")
        case("Unique", 11, [whole(0, 2, 2, 5, dtype=f4)], 4, axis=1, sorted=srt, by="ort")
    case("Unique", 11, [np.array(["b", "a", "b"])], 4)
    case("EyeLike", 9, [whole(0, 2, 3, 4)], k=1, dtype=1)
    case("EyeLike", 9, [real(3, 2)], k=-1)
    b = np.sort(rng.random((1, 6, 4)).astype(f4), axis=2)[..., [0, 1, 3, 2]]
    case("NonMaxSuppression", 11, [np.sort(rng.random((2, 6, 2, 2)).astype(f4), axis=2).reshape(2, 6, 4), rng.random((2, 3, 6)).astype(f4),
                                   ints(2), np.array([0.3], f4), np.array([0.2], f4)], by="ort")
    case("NonMaxSuppression", 11, [rng.random((1, 6, 4)).astype(f4), rng.random((1, 1, 6)).astype(f4), ints(4), np.array([0.1], f4)],
         center_point_box=1, by="ort")
    case("TensorScatter", 24, [real(2, 3, 4, 2), real(2, 3, 2, 2), ints(1, 2)])
    case("TensorScatter", 24, [real(2, 3, 4, 2), real(2, 3, 2, 2), ints(3, 0)], mode="circular")

def shapes():
    x = real(2, 3, 4)
    case("Shape", 13, [x]); case("Shape", 15, [x], start=-2); case("Shape", 15, [x], start=1, end=-1); case("Shape", 15, [x], start=5)
    case("Size", 13, [x]); case("Size", 13, [np.array(3, f4)])
    case("Reshape", 13, [x, ints(4, -1)]); case("Reshape", 14, [x, ints(0, 0, -1, 2)])
    case("Reshape", 14, [np.zeros((0, 3), f4), ints(3, 0)], allowzero=1); case("Reshape", 5, [x[:1, :1, :1], np.zeros(0, i8)])
    case("Flatten", 13, [x], axis=axis_of(3)); case("Flatten", 9, [x], axis=0); case("Flatten", 1, [x], axis=3)
    y = real(1, 3, 1, 2)
    case("Squeeze", 11, [y], axes=[0]); case("Squeeze", 13, [y, ints(-2, 0)]); case("Squeeze", 13, [y]); case("Squeeze", 1, [y], axes=[0, 2])
    case("Unsqueeze", 11, [x], axes=[-1, 0]); case("Unsqueeze", 13, [x, ints(4, 1)]); case("Unsqueeze", 1, [x], axes=[1])
    case("Identity", 14, [x]); case("Identity", 14, [np.array(["a", "b"])])
    case("Constant", 12, [], value=N.from_array(whole(0, 9, 2, 2))); case("Constant", 13, [], value_floats=[1.5, -2.0])
    case("Constant", 13, [], value_ints=[3, -4]); case("Constant", 13, [], value_float=0.25); case("Constant", 13, [], value_int=7)
    case("Constant", 13, [], value_string="hey"); case("Constant", 13, [], value_strings=["a", ""])
    case("ConstantOfShape", 9, [ints(2, 3)]); case("ConstantOfShape", 9, [ints(0, 3)], value=N.from_array(np.array([5], i4)))
    case("ConstantOfShape", 9, [np.zeros(0, i8)], value=N.from_array(np.array([True])))
    case("Range", 11, [np.array(1, f4), np.array(3.1, f4), np.array(0.5, f4)])
    case("Range", 11, [np.array(7, i8), np.array(-4, i8), np.array(-3, i8)]); case("Range", 11, [np.array(7, i4), np.array(9, i4), np.array(-3, i4)])
    case("Dropout", 13, [x], 2); case("Dropout", 10, [x], 2, ratio=0.3)
    case("Dropout", 12, [x, np.array(0, f4), np.array(True)], 2)

def casts():
    x = np.array([[-2.5, 3.9, 0], [1e-3, 250.2, -1]], f4)
    for t in (T.INT8, T.INT16, T.INT32, T.INT64, T.BOOL, T.FLOAT16, T.DOUBLE): case("Cast", 13, [x], to=t)
    case("Cast", 13, [np.abs(x)], to=T.UINT8)
    case("Cast", 13, [whole(-300, 300, 5, dtype=i4)], to=T.UINT8); case("Cast", 9, [whole(0, 3, 4)], to=T.BOOL)
    case("Cast", 13, [np.array([2 ** 53 + 1, (2 ** 24 + 1 << 30) + 1, -1], i8)], to=T.FLOAT); case("Cast", 13, [np.array([2 ** 63 + 5], np.uint64)], to=T.DOUBLE)
    case("Cast", 13, [np.array([1e-7, 0.1, 3.14, 1e16, -2.5, 123456.0, 1e-5, np.inf, np.nan], f4)], to=T.STRING)
    case("Cast", 13, [np.array([1 / 3, 1e22, -0.0, 1e-4], f8)], to=T.STRING); case("Cast", 13, [whole(-9, 9, 3)], to=T.STRING)
    case("Cast", 13, [np.array([True, False])], to=T.STRING)
    case("Cast", 13, [np.array(["1.5", "-2e3", "inf", "NaN"])], to=T.FLOAT); case("Cast", 13, [np.array(["15", "-2"])], to=T.INT64)
    case("Cast", 13, [np.array([65504, 65519, 65520, 1e-8, 6e-8, 2.0 ** -24], f4)], to=T.FLOAT16)
    case("CastLike", 15, [x, ints(1)]); case("BitCast", 26, [x], to=T.INT32)

NARROW = dict(FLOAT8E4M3FN="float8_e4m3fn", FLOAT8E4M3FNUZ="float8_e4m3fnuz", FLOAT8E5M2="float8_e5m2",
              FLOAT8E5M2FNUZ="float8_e5m2fnuz", FLOAT4E2M1="float4_e2m1fn", UINT4="uint4", INT4="int4", UINT2="uint2", INT2="int2")
def narrow():
    """Every code, and what lies at, beside and between codes."""
    for name, dtype in NARROW.items():
        d = np.dtype(getattr(ml_dtypes, dtype))
        bits = 8 if "8" in name else 2 if "2" in name and "F" not in name else 4
        codes = np.arange(2 ** bits, dtype=np.uint8).view(d)
        case("Cast", 25, [codes], to=T.FLOAT)
        case("Cast", 25, [codes.reshape(-1, 2)], to=T.FLOAT16)
        if "INT" in name:
            case("Cast", 25, [whole(-40, 40, 12, dtype=i4)], to=getattr(T, name))
            case("QuantizeLinear", 25, [real(2, 9, scale=9), np.array([1.5, 0.75], f4), np.array([1, 0]).astype(d)], axis=0)
        else:
            v = np.sort(codes.astype(f4)[np.isfinite(codes.astype(f4))])
            v = v[rng.permutation(len(v) - 1)[:10]], v
            near = np.concatenate([v[0], (v[1][:-1] + v[1][1:])[rng.permutation(len(v[1]) - 1)[:10]] / 2, [v[1][-1] * f4(1.01), v[1][-1] * 2, -v[1][-1] * 4, np.inf, -np.inf]]).astype(f4)
            for s in (0, 1): case("Cast", 25, [near], to=getattr(T, name), **(dict(saturate=s) if bits == 8 else {}))
            case("QuantizeLinear", 25, [real(2, 9, scale=9), np.array(1.5, f4)], output_dtype=getattr(T, name))
        case("DequantizeLinear", 25, [codes.reshape(2, -1), np.array([0.5, 2], f4)], axis=0)
        if bits < 8: case("Transpose", 25, [codes.reshape(2, -1)])

    e = np.array([0, 1, 100, 127, 128, 254, 255], np.uint8).view(ml_dtypes.float8_e8m0fnu)
    case("Cast", 25, [e], to=T.FLOAT)
    for mode in ("up", "down", "nearest"):
        for s in (0, 1): case("Cast", 25, [np.array([1, 1.5, 1.25, 3, -6, 5.5, 0, 1e-40, 3.4e38, np.nan, np.inf], f4)], to=T.FLOAT8E8M0, round_mode=mode, saturate=s)

def old():
    """Definitions of opsets that neither oracle has any more, by what NumPy makes of their text."""
    a, b, c = real(2, 3, 4), real(3), real(3, 4)
    case("Add", 6, [a, b], by=lambda: [a + b[:, None]], broadcast=1, axis=1)
    case("Mul", 1, [a, c], by=lambda: [a * c], broadcast=1, consumed_inputs=[0, 0])
    case("Sub", 6, [a, np.array([2], f4)], by=lambda: [a - 2], broadcast=1)
    case("Div", 6, [a, a + f4(9)], by=lambda: [a / (a + f4(9))])
    case("Pow", 1, [np.abs(a), c], by=lambda: [np.abs(a) ** c], broadcast=1, axis=1)
    d = whole(0, 2, 2, 3)
    case("Equal", 1, [d, ints(1, 0)], by=lambda: [d == ints(1, 0)[:, None]], broadcast=1, axis=0)
    case("And", 1, [d > 0, np.array([True, False, True])], by=lambda: [(d > 0) & np.array([True, False, True])], broadcast=1)
    case("PRelu", 6, [a, b], by=lambda: [np.where(a < 0, a * b[:, None], a)])
    case("Max", 1, [a, -a], by=lambda: [np.abs(a)], consumed_inputs=[0, 0])
    case("Clip", 1, [a], by=lambda: [np.minimum(a, f4(0.5))], max=0.5)
    case("Selu", 1, [a], by=lambda: [f4(1.0507) * np.where(a > 0, a, f4(1.6732) * np.expm1(a))])
    case("Cast", 1, [a], by=lambda: [a.astype(i4)], to="INT32")
    case("Reshape", 1, [a], by=lambda: [a.reshape(2, 12)], shape=[0, -1])
    case("Tile", 1, [c, np.array(3, f4), np.array(1, f4)], by=lambda: [np.tile(c, (1, 3))])
    case("Pad", 1, [c], by=lambda: [np.pad(c, ((1, 0), (0, 2)), constant_values=0.5)], paddings=[1, 0, 0, 2], value=0.5)
    case("Split", 1, [c, ints(1, 3)], 2, by=lambda: [c[:, :1], c[:, 1:]], axis=1)
    case("TopK", 1, [b], 2, by=lambda: [np.sort(b)[::-1][:2], np.argsort(-b)[:2]], k=2)
    case("Concat", 1, [c, c], by=lambda: [np.concatenate([c, c], 1)])
    case("Dropout", 6, [a], 2, by=lambda: [a, np.ones_like(a)], is_test=1)
    case("Squeeze", 1, [a[:1]], by=lambda: [a[0]])

def quant():
    x = real(2, 3, 4, scale=3)
    for t in (np.uint8, np.int8):
        case("QuantizeLinear", 10, [x, np.array(0.05, f4), np.array(7, t)])
        case("QuantizeLinear", 13, [x, np.array([0.05, 0.2, 1], f4), np.array([7, 0, 3], t)])
        case("DequantizeLinear", 13, [whole(0, 120, 2, 3, 4, dtype=t), np.array([0.05, 0.2, 1, 2], f4), np.array([7, 0, 3, 1], t)], axis=-1, by="ort")
        case("DequantizeLinear", 10, [whole(0, 120, 5, dtype=t), np.array(0.3, f4)], by="ort")
    case("QuantizeLinear", 13, [np.array([0.5, 1.5, 2.5, -0.5], f4), np.array(1, f4), np.array(1, np.int8)])
    case("QuantizeLinear", 19, [np.array([0.5, 1.5, 2.5, -0.5, 1e9, -1e9], f4), np.array(1, f4)])
    case("QuantizeLinear", 21, [real(3, 5), np.abs(real(3, 3)) + f4(0.1), whole(0, 9, 3, 3, dtype=np.uint8)], axis=1, block_size=2)
    case("QuantizeLinear", 21, [x, np.array(0.001, f4)], output_dtype=T.INT16)
    case("DequantizeLinear", 21, [whole(0, 250, 3, 5, dtype=np.uint8), np.abs(real(2, 5)) + f4(0.1), whole(0, 9, 2, 5, dtype=np.uint8)], axis=0, block_size=2)
    case("DequantizeLinear", 19, [whole(-10 ** 9, 10 ** 9, 4, dtype=i4), np.array(1e-3, f4)])
    case("DynamicQuantizeLinear", 11, [x], 3); case("DynamicQuantizeLinear", 11, [np.abs(x)], 3); case("DynamicQuantizeLinear", 11, [-np.abs(x)], 3)
    a, b = whole(0, 255, 2, 3, 5, dtype=np.uint8), whole(-128, 127, 5, 4, dtype=np.int8)
    case("MatMulInteger", 10, [a, b, np.array(9, np.uint8), np.array(-3, np.int8)])
    case("MatMulInteger", 10, [a[0], b, None, whole(-9, 9, 4, dtype=np.int8)])
    case("MatMulInteger", 10, [a[0], b])
    case("QLinearMatMul", 10, [a[0], np.array(0.02, f4), np.array(100, np.uint8), b, np.array(0.01, f4), np.array(3, np.int8), np.array(0.13, f4), np.array(77, np.uint8)], by="ort")
    img, w = whole(0, 255, 2, 4, 5, 6, dtype=np.uint8), whole(-128, 127, 6, 2, 3, 2, dtype=np.int8)
    case("ConvInteger", 10, [img, whole(0, 255, 6, 4, 3, 2, dtype=np.uint8), np.array(9, np.uint8)], pads=[1, 0, 2, 1], strides=[2, 1], by="ort")
    case("ConvInteger", 10, [img, whole(0, 255, 2, 4, 3, 2, dtype=np.uint8)], strides=[2, 2], auto_pad=pick("SAME_UPPER", "SAME_LOWER"), by="ort")
    q = [np.array(0.02, f4), np.array(100, np.uint8)]
    case("QLinearConv", 10, [img, *q, w, np.array([0.01, 0.02, 0.03, 0.01, 0.005, 0.02], f4), np.zeros(6, np.int8), np.array(0.21, f4), np.array(120, np.uint8), whole(-999, 999, 6, dtype=i4)],
         group=2, pads=[1, 1, 0, 0], strides=[1, 2], by="ort")
    case("QLinearConv", 10, [img, *q, w[:, :, 0, 0].reshape(6, 2, 1, 1), np.array(0.01, f4), np.array(0, np.int8), np.array(0.05, f4), np.array(0, np.uint8)], group=2, by="ort")
    ms = dict(domain="com.microsoft", by="ort")
    u = lambda *s: whole(0, 255, *s, dtype=np.uint8)
    z = lambda v: np.array(v, np.uint8)
    s = lambda v: np.array(v, f4)
    case("QLinearAdd", 1, [u(2, 40), s(0.03), z(12), u(2, 40), s(0.05), z(200), s(0.07), z(99)], **ms)
    case("QLinearMul", 1, [u(2, 40), s(0.03), z(12), u(40), s(0.05), z(200), s(0.27), z(99)], **ms)
    case("QLinearGlobalAveragePool", 1, [u(2, 5, 3, 4), s(0.03), z(12), s(0.02), z(9)], **ms)
    case("QLinearGlobalAveragePool", 1, [u(2, 3, 4, 5), s(0.03), z(12), s(0.02), z(9)], channels_last=1, **ms)
    case("QLinearConcat", 1, [s(0.05), z(30), u(2, 3, 2), s(0.03), z(12), u(2, 2, 2), s(0.05), z(30)], axis=1, **ms)
    case("QLinearSigmoid", 1, [u(60), s(0.05), z(120), s(0.004), z(2)], **ms)
    case("QLinearLeakyRelu", 1, [u(60), s(0.05), z(120), s(0.05), z(20)], alpha=0.1, **ms)
    case("QGemm", 1, [u(3, 4), s(0.03), z(12), w[:4, :, 0, 0].reshape(4, 2), s([0.02, 0.01]), np.zeros(2, np.int8), whole(-99, 99, 2, dtype=i4), s(0.11), z(100)], alpha=1.0, transB=0, **ms)
    case("QGemm", 1, [u(3, 4), s(0.03), z(12), whole(-99, 99, 2, 4, dtype=np.int8), s(0.02), np.array(0, np.int8)], transB=1, alpha=0.5, **ms)
    case("DynamicQuantizeMatMul", 1, [real(3, 4), whole(0, 255, 4, 2, dtype=np.uint8), s([0.02, 0.05]), whole(0, 255, 2, dtype=np.uint8), real(2)], **ms)
    case("MatMulIntegerToFloat", 1, [u(3, 4), b[:4], s(0.1), s(0.02), z(8), np.array(3, np.int8), real(4)], **ms)
    case("FusedMatMul", 1, [real(2, 4, 3), real(2, 5, 4)], alpha=0.5, transA=1, transB=1, **ms)
    case("Gelu", 1, [real(3, 4)], **ms); case("BiasGelu", 1, [real(3, 4), real(4)], **ms); case("FastGelu", 1, [real(3, 4), real(4)], **ms)
    case("QuickGelu", 1, [real(3, 4)], alpha=1.3, **ms)
    case("SkipLayerNormalization", 1, [real(2, 3, 4), real(2, 3, 4), real(4), real(4), real(4)], epsilon=1e-5, **ms)
    case("SkipSimplifiedLayerNormalization", 1, [real(2, 3, 4), real(2, 3, 4), real(4)], epsilon=1e-5, **ms)

def ml():
    d = dict(domain="ai.onnx.ml", by="ort")
    x = real(5, 3)
    case("Scaler", 1, [x], offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, 1.0], **d); case("Scaler", 1, [whole(0, 9, 4, 3)], offset=[1.0], scale=[0.5], **d)
    for n in ("MAX", "L1", "L2"): case("Normalizer", 1, [np.vstack([x, np.zeros((1, 3), f4)])], norm=n, **d)
    y = x.copy(); y[1, 1] = y[3, 0] = np.nan
    case("Imputer", 1, [y], imputed_value_floats=[7.0, 8.0, 9.0], replaced_value_float=float("nan"), **d)
    case("Imputer", 1, [whole(0, 3, 4, 2)], imputed_value_int64s=[7], replaced_value_int64=1, **d)
    case("Binarizer", 1, [x], threshold=0.3, **d); case("ArrayFeatureExtractor", 1, [x, ints(2, 0)], **d); case("ArrayFeatureExtractor", 1, [x[0], ints(1)], **d)
    case("FeatureVectorizer", 1, [x, real(5, 2)], inputdimensions=[3, 2], **d)
    case("LabelEncoder", 1, [np.array(["b", "x", "a"])], classes_strings=["a", "b"], default_int64=-7, **d)
    case("LabelEncoder", 1, [ints(1, 0, 9)], classes_strings=["a", "b"], default_string="none", **d)
    case("LabelEncoder", 2, [np.array([1, 2, 3, 5], f4)], keys_floats=[1.0, 3.0, 5.0], values_strings=["one", "three", "five"], default_string="?", **d)
    case("LabelEncoder", 2, [ints(5, 6, 7)], keys_int64s=[7, 5], values_floats=[0.5, 1.5], default_float=-2.0, **d)
    case("LabelEncoder", 2, [np.array(["k", "l"])], keys_strings=["k"], values_int64s=[4], **d)
    case("LabelEncoder", 4, [ints(5, 6, 7)], keys_tensor=N.from_array(ints(5, 7)), values_tensor=N.from_array(np.array([3, 4], np.int16)), default_tensor=N.from_array(np.array([-9], np.int16)), domain="ai.onnx.ml")
    case("CategoryMapper", 1, [np.array(["b", "q"])], cats_strings=["a", "b"], cats_int64s=[10, 20], default_int64=-3, **d)
    case("OneHotEncoder", 1, [ints(3, 5, 4)], cats_int64s=[5, 3], zeros=1, **d); case("OneHotEncoder", 1, [np.array(["u", "v"])], cats_strings=["v", "u", "w"], **d)
    for pt in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"):
        w = [float(v) for v in real(9, scale=0.1)]
        z = np.abs(x) * f4(0.1) + f4(0.3) if pt == "PROBIT" else x
        if pt == "PROBIT": w = [0.2, 0.3, 0.1, 0.15, 0.25, 0.3, 0.35, 0.1, 0.05]
        b = [0.3, 0.35, 0.4]
        case("LinearClassifier", 1, [z], 2, coefficients=w, intercepts=b, classlabels_ints=[4, 5, 9], post_transform=pt, **d)
        if pt != "PROBIT": case("LinearClassifier", 1, [x], 2, coefficients=w[:3], intercepts=[0.1], classlabels_strings=["no", "yes"], post_transform=pt, **d)
        case("LinearRegressor", 1, [z], coefficients=w[:6], intercepts=b[:2], targets=2, post_transform=pt, **d)
        trees(x, pt, d)
    case("LinearRegressor", 1, [x], coefficients=[0.5, 1.0, -1.0], intercepts=[0.1], **d)
    vectors(x, d)

def forest(n_trees, targets, kind, signs, modes):
    k = {n: [] for n in "treeids nodeids featureids modes values truenodeids falsenodeids missing_value_tracks_true hitrates".split()}
    t = {n: [] for n in "treeids nodeids ids weights".split()}
    for tree in range(n_trees):
        depth = int(rng.integers(1, 4))
        count = 2 ** (depth + 1) - 1
        for i in range(count):
            leaf = i >= count // 2
            for n, v in zip(k, (tree, i, 0 if leaf else int(rng.integers(3)), "LEAF" if leaf else pick(*modes), 0.0 if leaf else float(f4(rng.normal())),
                                0 if leaf else 2 * i + 1, 0 if leaf else 2 * i + 2, int(rng.integers(2)), 1.0)): k[n].append(v)
            if leaf:
                for c in rng.permutation(targets)[:rng.integers(1, targets + 1) if kind == "class" else targets]:
                    for n, v in zip(t, (tree, i, int(c), float(f4(rng.random() - signs)))): t[n].append(v)
    if len(set(t["ids"])) != targets:
        return forest(n_trees, targets, kind, signs, modes)
    return {"nodes_" + n: v for n, v in k.items()} | {f"{kind}_{n}": v for n, v in t.items()}

def trees(x, pt, d):
    y = np.vstack([x, np.full((1, 3), np.nan, f4)])
    modes = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
    if pt != "PROBIT":
        case("TreeEnsembleClassifier", 1, [y], 2, classlabels_int64s=[3, 1, 2], post_transform=pt, **forest(3, 3, "class", 0.5, modes), **d)
        case("TreeEnsembleClassifier", 3, [y], 2, classlabels_strings=["x", "y"], post_transform=pt, **forest(3, 1, "class", 0.5, modes), **d)
        case("TreeEnsembleClassifier", 1, [x], 2, classlabels_int64s=[3, 1], post_transform=pt, base_values=[0.2], **forest(2, 1, "class", 0, modes), **d)
        case("TreeEnsembleClassifier", 1, [x], 2, classlabels_int64s=[7, 8, 9], post_transform=pt, base_values=[0.2, -0.1, 0.3], **forest(2, 3, "class", 0.3, modes), **d)
    for how in ("SUM", "AVERAGE", "MIN", "MAX"):
        if pt == "NONE": case("TreeEnsembleRegressor", 1, [y], n_targets=1, aggregate_function=how, **forest(3, 1, "target", 0.5, modes), **d)
        if pt in ("NONE", "LOGISTIC"):
            case("TreeEnsembleRegressor", 3, [x], n_targets=2, aggregate_function=how, post_transform=pt, base_values=[0.5, -1.0], **forest(3, 2, "target", 0.5, modes), **d)

def vectors(x, d):
    for kernel, p in (("LINEAR", [0.0, 0.0, 0.0]), ("RBF", [0.3, 0.0, 0.0]), ("POLY", [0.3, 0.5, 2.0]), ("SIGMOID", [0.2, 0.1, 0.0])):
        per = [2, 3, 2]
        n = sum(per)
        k = dict(kernel_type=kernel, kernel_params=p, vectors_per_class=per, support_vectors=[float(v) for v in real(n * 3)],
                 coefficients=[float(v) for v in real(n * 2)], rho=[0.1, -0.2, 0.3])
        case("SVMClassifier", 1, [x], 2, classlabels_ints=[4, 7, 5], **k, **d)
        case("SVMClassifier", 1, [x], 2, classlabels_strings=["a", "b", "c"], prob_a=[-1.0, -1.5, -0.7], prob_b=[0.1, 0.0, 0.2], **k, **d)
        two = dict(k, vectors_per_class=[3, 4], coefficients=[float(v) for v in real(7)], rho=[0.1])
        case("SVMClassifier", 1, [x], 2, classlabels_ints=[4, 7], **two, **d)
        case("SVMClassifier", 1, [x], 2, classlabels_ints=[4, 7], prob_a=[-1.0], prob_b=[0.1], **two, **d)
        case("SVMRegressor", 1, [x], n_supports=4, support_vectors=[float(v) for v in real(12)], coefficients=[float(v) for v in real(4)], rho=[0.2], kernel_type=kernel, kernel_params=p, **d)
    case("SVMRegressor", 1, [x], coefficients=[float(v) for v in real(3)], rho=[0.2], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0], **d)
    case("SVMClassifier", 1, [x], 2, classlabels_ints=[4, 7, 5], coefficients=[float(v) for v in real(9)], rho=[0.1], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0], **d)

def in_bytes():
    """What ONNX Runtime's quantizer and its layouts of integers write (domain com.microsoft)."""
    ms = dict(domain="com.microsoft", by="ort")
    u = lambda *s: whole(0, 255, *s, dtype=np.uint8)
    i = lambda *s: whole(-128, 127, *s, dtype=np.int8)
    z, b, s = lambda v: np.array(v, np.uint8), lambda v: np.array(v, np.int8), lambda v: np.array(v, f4)
    for axis, opset in ((-1, 13), (1, 13), (0, 13), (1, 12), (2, 12)):
        case("QLinearSoftmax", 1, [u(2, 3, 5), s(0.03), z(120), s(1 / 256), z(0)], axis=axis, opset_=opset, **ms)
    case("QLinearSoftmax", 1, [i(3, 70), s(0.05), b(-7), s(1 / 256), b(-128)], opset_=13, **ms)
    case("QLinearSoftmax", 1, [u(4, 9), s(0.7), None, s(0.006), z(3)], opset_=11, **ms)
    case("QLinearAveragePool", 1, [u(2, 3, 5, 7), s(0.03), z(12), s(0.02), z(9)], kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 1], **ms)
    case("QLinearAveragePool", 1, [i(1, 4, 6), s(0.03), b(-3), s(0.03), b(5)], kernel_shape=[3], pads=[1, 1], count_include_pad=1, ceil_mode=1, strides=[2], **ms)
    case("QLinearAveragePool", 1, [u(2, 5, 4, 3), s(0.03), z(12), s(0.02), z(9)], kernel_shape=[3, 2], channels_last=1, **ms)
    case("QLinearWhere", 1, [np.array([[True], [False]]), u(2, 3), s(0.03), z(12), u(3), s(0.05), z(99), s(0.06), z(50)], **ms)
    case("QLinearWhere", 1, [rng.random((2, 3)) < 0.5, i(3), s(0.03), b(12), i(2, 1), s(0.05), b(-9), s(0.04), b(0)], **ms)
    case("NhwcMaxPool", 1, [u(2, 5, 7, 3)], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], **ms)
    case("NhwcMaxPool", 1, [i(1, 6, 5, 2)], kernel_shape=[2, 2], dilations=[2, 1], **ms)
    per = s([0.01, 0.02, 0.03, 0.01, 0.005, 0.02])
    case("QLinearConv", 1, [u(2, 5, 6, 4), s(0.02), z(100), i(6, 2, 3, 2), per, np.zeros(6, np.int8), s(0.21), z(120), whole(-999, 999, 6, dtype=i4)],
         channels_last=1, group=2, pads=[1, 1, 0, 0], strides=[1, 2], **ms)
    case("QLinearConv", 1, [u(1, 7, 5, 3), s(0.02), z(7), i(4, 3, 3, 3), s(0.01), b(0), s(0.11), z(120)], channels_last=1, **ms)
    case("MatMulNBits", 1, [real(3, 40), u(5, 2, 16), np.abs(real(5, 2, scale=0.1))], K=40, N=5, bits=4, block_size=32, **ms)
    case("MatMulNBits", 1, [real(2, 3, 48), u(7, 3, 8), np.abs(real(7, 3, scale=0.1)), u(7, 2)], K=48, N=7, bits=4, block_size=16, **ms)
    case("MatMulNBits", 1, [real(2, 32), u(4, 2, 8), np.abs(real(8, scale=0.1)), None, None, real(4)], K=32, N=4, bits=4, block_size=16, **ms)
    case("MatMulNBits", 1, [real(3, 64), u(5, 2, 32), np.abs(real(5, 2, scale=0.01)), u(5, 2)], K=64, N=5, bits=8, block_size=32, **ms)
    attend = [u(2, 3, 4), i(4, 24), real(24), s(0.02), s(0.01)]
    case("QAttention", 1, [*attend, None, z(120), b(0)], num_heads=2, **ms)
    case("QAttention", 1, [*attend, np.array([3, 2], i4), z(100), b(3)], num_heads=4, unidirectional=1, **ms)
    case("QAttention", 1, [u(1, 5, 6), u(6, 18), real(18), s(0.02), np.abs(real(18, scale=0.01)), None, z(120), np.full(18, 128, np.uint8)], num_heads=3, scale=0.5, **ms)
    tables = [u(9, 8), u(6, 8), u(2, 8), u(8), u(8)]
    steps = [s(0.02), s(0.01), s(0.03), s(0.01), s(0.02), z(120), z(99), z(130), z(20), z(128)]
    case("QEmbedLayerNormalization", 1, [whole(0, 9, 2, 5, dtype=i4), whole(0, 2, 2, 5, dtype=i4), *tables, np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], i4), *steps], 2, epsilon=0.0625, **ms)
    case("QEmbedLayerNormalization", 1, [whole(0, 9, 1, 3, dtype=i4), whole(0, 2, 1, 3, dtype=i4), *tables, None, *steps], 2, epsilon=1e-5, **ms)
    for way, each in (("forward", False), ("reverse", True), ("bidirectional", True)):
        d, h = 1 + (way == "bidirectional"), 5
        state = [real(d, 1, h), real(d, 1, h)] if each else [None, None]
        scales = [np.abs(real(*((d, 4 * h) if each else (d,)), scale=0.01)) + f4(0.001) for _ in range(2)]
        zeros = [np.zeros((d, 4 * h) if each else (d,), np.int8) for _ in range(2)]
        case("DynamicQuantizeLSTM", 1, [real(6, 1, 3), i(d, 3, 4 * h), i(d, h, 4 * h), real(d, 8 * h), None, *state, None, scales[0], zeros[0], scales[1], zeros[1]], 3,
             hidden_size=h, direction=way, **ms)
    case("DynamicQuantizeLSTM", 1, [real(4, 1, 3), u(1, 3, 8), u(1, 2, 8), None, np.array([3], i4), None, None, real(1, 6), s([0.02]), np.full(1, 120, np.uint8), s([0.01]), np.full(1, 131, np.uint8)], 3,
         hidden_size=2, **ms)

for _ in range(args.each):
    for make in (math, logic, reduce, move, index, shapes, casts, narrow, old, quant, ml, in_bytes): make()
for c in CASES:
    if not args.only or args.only == c[0]: write(*c)
