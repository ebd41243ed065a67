#!/usr/bin/env python3
"""Writes comparison_result_reference.h beside itself: what a comparison tells of the rows of comparison_reference.h
beside its metrics, by scikit-learn, SciPy and numpy: counts of truth and answer, reliability, classes, flips, slices.

pip install numpy scipy scikit-learn; python3 record_comparison_result.py
"""
import pathlib
import re
import textwrap

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics as sk

here = pathlib.Path(__file__).parent
text = (here / "comparison_reference.h").read_text()
ROWS, K, BINS, LEAST = 400, 4, 15, 20


def table(name):
    body = re.search(r"\b%s\[\] = \{(.*?)\};" % name, text, re.S).group(1)
    return np.array([float(x.rstrip("f")) for x in re.findall(r"-?[0-9.e-]+f?", body)])


label = table("label").astype(int)
country = table("country").astype(int)
z = [table(n).astype(np.float32).reshape(ROWS, K).astype(float) for n in ("kind_base", "kind_cand")]
p = [np.exp(s - s.max(1, keepdims=True)) / np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True) for s in z]
answer, sure = [s.argmax(1) for s in p], [s.max(1) for s in p]
seen = label >= 0
right = [a == label for a in answer]
out = []


def put(line):
    out.append(line)


def listed(name, kind, values):
    put("\n".join(textwrap.wrap("static const %s %s[] = {%s};" % (kind, name, ", ".join(values)), 110,
                                subsequent_indent="    ")))


counts = [sk.confusion_matrix(label[seen], a[seen], labels=range(K)) for a in answer]
listed("told_counts", "int", [str(v) for c in counts for v in c.ravel()])

put("static const struct { int side, count; double confidence, accuracy, lo, hi; } told_bin[] = {")
for s in range(2):
    place = np.minimum((sure[s] * BINS).astype(int), BINS - 1)
    for b in range(BINS):
        m = seen & (place == b)
        n, hits = int(m.sum()), int(right[s][m].sum())
        ci = stats.binomtest(hits, n).proportion_ci(method="wilson") if n else None
        put("    {%d, %d, %s}," % (s, n, ", ".join(["%.12g" % v for v in (sure[s][m].mean(), hits / n, ci.low, ci.high)]
                                                 if n else ["NAN"] * 4)))
put("};")

recall = [sk.recall_score(label[seen], a[seen], average=None, labels=range(K)) for a in answer]
precision = [sk.precision_score(label[seen], a[seen], average=None, labels=range(K)) for a in answer]
f1 = [sk.f1_score(label[seen], a[seen], average=None, labels=range(K)) for a in answer]
put("static const struct { int class, rows; double recall, precision, f1; } told_class[] = {   /* drops */")
for k in sorted(range(K), key=lambda k: -(recall[0][k] - recall[1][k])):
    put("    {%d, %d, %.12g, %.12g, %.12g}," % (k, (label == k).sum(), recall[0][k] - recall[1][k],
                                                precision[0][k] - precision[1][k], f1[0][k] - f1[1][k]))
put("};")

lost = sorted(np.flatnonzero(seen & right[0] & ~right[1]), key=lambda i: -sure[1][i])
won = sorted(np.flatnonzero(seen & ~right[0] & right[1]), key=lambda i: -sure[0][i])
assert len(lost) <= 70 and len(lost) + len(won) <= 100
put("static const struct { int row, negative, truth, answer[2]; double sure[2]; } told_flip[] = {")
for i in [*lost, *won]:
    put("    {%d, %d, %d, {%d, %d}, {%.12g, %.12g}}," % (i, i in lost, label[i], answer[0][i], answer[1][i], sure[0][i],
                                                      sure[1][i]))
put("};")

groups = [("class", "c%d" % k, label == k) for k in range(K)]
groups += [("predicted", "c%d" % k, answer[0] == k) for k in range(K)]
groups += [("confidence", "%.1f to %.1f" % (t / 10, (t + 1) / 10), np.minimum((sure[0] * 10).astype(int), 9) == t)
           for t in range(10)]
groups += [("country", name, country == k) for k, name in enumerate(["DE", "FR", "US"])]
slices = []
for column, value, m in groups:
    if m.sum() < LEAST or 20 * m.sum() >= 19 * ROWS or (m & seen).sum() < LEAST:
        continue
    m = m & seen
    b, c = (right[0] & ~right[1])[m].sum(), (~right[0] & right[1])[m].sum()
    worse = stats.norm.sf((b - c) / np.sqrt(b + c)) if b + c else 0.5      # the score of McNemar's test, one-sided
    slices.append((worse, -(b - c) / m.sum(), column, value, m.sum()))
slices.sort()
most = 0
put("static const struct { const char *column, *value; int n; double drop, p, holm; } told_slice[] = {")
for i, (worse, drop, column, value, n) in enumerate(slices):       # Holm 1979: step down
    most = max(most, min(1, (len(slices) - i) * worse))
    put('    {"%s", "%s", %d, %.12g, %.12g, %.12g},' % (column, value, n, -drop, worse, most))
put("};")
(here / "comparison_result_reference.h").write_text(
    "/* Recorded by record_comparison_result.py with scikit-learn %s, SciPy %s. */\n"
    % (sklearn.__version__, scipy.__version__) + "\n".join(out) + "\n")
