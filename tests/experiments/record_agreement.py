"""Records what tests/experiments/test_agreement.c compares with: python3 record_agreement.py > agreement_reference.h
Spearman's correlation by scipy.stats.spearmanr, cosine by scipy.spatial.distance, overlap of the largest by their sets.
SciPy 1.17, NumPy 2.4."""
import numpy as np
import scipy
from scipy.spatial.distance import cosine
from scipy.stats import spearmanr

rng = np.random.default_rng(11)
lists = []
for n, how in ((5, "plain"), (40, "plain"), (40, "ties"), (40, "zeros"), (300, "alike"), (300, "opposite")):
    a = rng.normal(size=n)
    b = rng.normal(size=n)
    if how == "ties":
        a, b = np.round(a), np.round(b)
    if how == "zeros":
        a[rng.random(n) < 0.6] = 0
        b[rng.random(n) < 0.6] = 0
    if how == "alike":
        b = a ** 3 + 0.2 * b
    if how == "opposite":
        b = -a + 0.1 * b
    lists.append((np.float32(a), np.float32(b)))

print("/* Made by record_agreement.py with SciPy %s; do not edit. */" % scipy.__version__)
rows = []
for i, (a, b) in enumerate(lists):
    for name, v in (("a", a), ("b", b)):
        print("static const float agree_%s%d[%d] = {" % (name, i, len(v)))
        for k in range(0, len(v), 8):
            print("    " + ", ".join("%.9gf" % x if "." in "%.9g" % x or "e" in "%.9g" % x else "%.9g" % x for x in v[k:k + 8]) + ("," if k + 8 < len(v) else "};"))
    a, b = a.astype(np.float64), b.astype(np.float64)
    top = max(3, len(a) // 10)
    best = lambda v: set(np.argsort(-np.abs(v), kind="stable")[:top].tolist())
    rows.append("    {%d, %d, agree_a%d, agree_b%d, %.17g, %.17g, %.17g}," % (len(a), top, i, i, spearmanr(a, b).statistic, 1 - cosine(a, b),
                                                                   len(best(a) & best(b)) / top))
print("static const struct { size_t n, top; const float *a, *b; double spearman, cosine, overlap; } agreed[] = {")
print("\n".join(rows) + "\n};")
