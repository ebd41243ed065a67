"""Records what NumPy and SciPy say of logits that tests/data/test_label_columns.c makes, too, as a C header: the code in 8
bits by its definition, its largest errors, and confidence, margin and entropy:
python3 record_label_columns.py > label_columns_reference.h"""
import numpy as np
from scipy.special import softmax
from scipy.stats import entropy

ROWS, K = 1500, 37
state = 2027


def draw():
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return state >> 33


z = np.array([[(draw() % 40000) / 1000 - 20 for _ in range(K)] for _ in range(ROWS)]).astype(np.float32)
low, high = z.min(1, keepdims=True), z.max(1, keepdims=True)
scale = ((high.astype(np.float64) - low) / 255).astype(np.float32)
code = np.clip(np.rint((z.astype(np.float64) - low) / scale.astype(np.float64)), 0, 255).astype(np.int64)
best = z.argmax(1)
before = np.arange(K)[None, :] < best[:, None]
code -= before & (code == code[np.arange(ROWS), best][:, None])
code = code.astype(np.uint8)
back = code * scale + low
assert back.dtype == np.float32 and (back.argmax(1) == best).all()
p, q = softmax(z.astype(np.float64), axis=1), softmax(back.astype(np.float64), axis=1)
ordered = np.sort(p, axis=1)
facts = np.stack([ordered[:, -1], ordered[:, -1] - ordered[:, -2], entropy(p, axis=1)]).astype(np.float32)
print("/* By record_label_columns.py: NumPy %s. */" % np.__version__)
print("static const struct { double logit, probability; unsigned long long codes; } coded = {%.17g, %.17g, %d};" % (
    np.abs(z.astype(np.float64) - back).max(), np.abs(p - q).max(),
    (code.astype(np.uint64) * (np.arange(ROWS * K, dtype=np.uint64).reshape(ROWS, K) % 251 + 1)).sum()))
print("static const struct { int row, best; unsigned char code[%d]; float scale, offset, confidence, margin, entropy; } "
      "known[] = {" % K)
for r in (0, 1, 700, 1499):
    print("    {%d, %d, {%s},\n     %s}," % (r, best[r], ", ".join(map(str, code[r])), ", ".join(
        float(x).hex() + "f" for x in (scale[r, 0], low[r, 0], *facts[:, r]))))
print("};")
print("static const double sums[] = {%s};      /* of confidence, margin, entropy */" % ", ".join(
    "%.17g" % x for x in facts.astype(np.float64).sum(1)))

# The five best in 8 bits: the best class stays the first of the best, whatever shares its code.
TOP = 5
ids = np.argsort(-z.astype(np.float64), axis=1, kind="stable")[:, :TOP]
value = np.take_along_axis(z, ids, 1)
few_scale = ((value[:, :1].astype(np.float64) - value[:, -1:]) / 255).astype(np.float32)
few = np.rint((value.astype(np.float64) - value[:, -1:]) / few_scale.astype(np.float64)).clip(0, 255).astype(np.int64)
few -= (few == few[:, :1]) & (ids < ids[:, :1])
few_back = few.astype(np.uint8) * few_scale + value[:, -1:]
assert few_back.dtype == np.float32
rest = np.exp(z.astype(np.float64)).sum(1) - np.exp(value.astype(np.float64)).sum(1)
tail = rest / (K - TOP)
whole = lambda v: np.exp(v.astype(np.float64)).sum(1) + rest
off = np.abs(np.exp(value.astype(np.float64)) / whole(value)[:, None] - np.exp(few_back.astype(np.float64)) / whole(few_back)[:, None])
print("static const struct { double logit, probability; unsigned long long codes, ids; } few = {%.17g, %.17g, %d, %d};" % (
    np.abs(value.astype(np.float64) - few_back).max(), max(off.max(), np.abs(tail / whole(value) - tail / whole(few_back)).max()),
    (few.astype(np.uint64) * (np.arange(ROWS * TOP, dtype=np.uint64).reshape(ROWS, TOP) % 251 + 1)).sum(),
    (ids.astype(np.uint64) * (np.arange(ROWS * TOP, dtype=np.uint64).reshape(ROWS, TOP) % 251 + 1)).sum()))
print("static const struct { int row; unsigned short id[%d]; unsigned char code[%d]; float scale, offset, tail; } few_known[] = {" % (TOP, TOP))
for r in (0, 1, 700, 1499):
    print("    {%d, {%s}, {%s}, %s}," % (r, ", ".join(map(str, ids[r])), ", ".join(map(str, few[r])), ", ".join(
        float(x).hex() + "f" for x in (few_scale[r, 0], value[r, -1], np.float32(np.log(tail[r]))))))
print("};")
