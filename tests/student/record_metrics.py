#!/usr/bin/env python3
"""Writes metrics_reference.h and elements_reference.h beside itself: answers and truth of several cases, and what
scikit-learn says of them.

Logits are multiples of 1/8, so that ties are common: in probabilities, in answers and among the five largest.

pip install numpy scipy scikit-learn; python3 record_metrics.py
"""
import pathlib
import warnings

import numpy
import sklearn
from scipy.special import log_softmax, softmax
from sklearn import metrics

rng = numpy.random.default_rng(20261125)
LABELS = ["subset_accuracy", "hamming", "micro_f1", "macro_f1", "macro_f1_all", "weighted_f1", "jaccard", "bce", "brier",
          "auc", "average_precision"]
VALUES = ["mae", "rmse", "r2", "max_error", "worst_decile", "within_tenth"]
NAMES = ["accuracy", "top5", "balanced_accuracy", "macro_f1", "macro_f1_all", "weighted_f1", "mcc", "nll", "brier", "ece",
         "auc", "average_precision", "adaptive_ece"]


def text(v):
    v = float(v)
    return "NAN" if numpy.isnan(v) else repr(int(v)) if v == int(v) else repr(v)


def top5(z, y):
    """Among equal logits the lower class comes first, as in retort; scikit-learn's order of ties is its sort's."""
    order = numpy.argsort(-z, axis=1, kind="stable")[:, :5]
    value = float(numpy.mean([y[i] in order[i] for i in range(len(y))]))
    nudged = z - 1e-9 * numpy.arange(z.shape[1])
    assert abs(metrics.top_k_accuracy_score(y, nudged, k=5, labels=range(z.shape[1])) - value) < 1e-12
    return value


def ece(p, y, bins=15):
    confidence, right = p.max(1), p.argmax(1) == y
    where = numpy.minimum((confidence * bins).astype(int), bins - 1)
    return sum(abs((right[where == b]).mean() - confidence[where == b].mean()) * (where == b).mean()
               for b in range(bins) if (where == b).any())


def adaptive_ece(p, y, bins=15):
    """Groups of equal size by confidence; equal confidences (to 1e-12: sums have an order) stay together."""
    confidence, right = p.max(1), p.argmax(1) == y
    order, n, error, at = numpy.argsort(confidence, kind="stable"), len(y), 0, 0
    for b in range(bins):
        end = (b + 1) * n // bins
        while at < end < n and confidence[order[end]] - confidence[order[end - 1]] < 1e-12:
            end += 1
        if end > at:
            error += abs(right[order[at:end]].sum() - confidence[order[at:end]].sum())
            at = end
    return error / n


def values(z, y):
    k, p, a = z.shape[1], softmax(z.astype(numpy.float64), axis=1), z.argmax(1)
    onehot = numpy.eye(k)[y]
    columns = [1] if k == 2 else range(k)
    auc = [metrics.roc_auc_score(onehot[:, c], p[:, c]) for c in columns if 0 < onehot[:, c].sum() < len(y)]
    ap = [metrics.average_precision_score(onehot[:, c], p[:, c]) for c in columns if onehot[:, c].sum()]
    brier = metrics.brier_score_loss(y, p, labels=range(k), scale_by_half=False)
    assert abs(brier - ((p - onehot) ** 2).sum(1).mean()) < 1e-12
    # scikit-learn clips probabilities at 2.2e-16; here there are smaller ones, too.
    nll = -log_softmax(z.astype(numpy.float64), axis=1)[numpy.arange(len(y)), y].mean()
    assert p[numpy.arange(len(y)), y].min() < 1e-15 or abs(metrics.log_loss(y, p, labels=range(k)) - nll) < 1e-12
    if k > 2 and len(set(y)) == k:
        assert abs(metrics.roc_auc_score(y, p, multi_class="ovr") - numpy.mean(auc)) < 1e-12
        assert abs(metrics.average_precision_score(onehot, p, average="macro") - numpy.mean(ap)) < 1e-12
    return [metrics.accuracy_score(y, a), top5(z, y) if k > 5 else numpy.nan, metrics.balanced_accuracy_score(y, a),
            metrics.f1_score(y, a, average="macro"),
            metrics.f1_score(y, a, average="macro", labels=range(k), zero_division=0),
            metrics.f1_score(y, a, average="weighted"), metrics.matthews_corrcoef(y, a),
            nll, brier, ece(p, y), numpy.mean(auc) if auc else numpy.nan,
            numpy.mean(ap) if ap else numpy.nan, adaptive_ece(p, y)]


def case(k, rows, classes, spread, help_):
    y = rng.choice(classes, rows)
    z = rng.integers(-spread, spread + 1, (rows, k)) / 8
    z[numpy.arange(rows), y] += help_
    return z.astype(numpy.float32), y


cases = [case(7, 60, range(7), 12, 1), case(7, 40, [0, 2, 3], 12, 0.5), case(3, 50, range(3), 6, 0.25),
         case(2, 80, range(2), 8, 0.5), case(2, 9, [1], 8, 0), case(2, 12, [0], 8, 0), case(6, 1, [4], 8, 0),
         case(5, 30, [1], 4, 0), case(12, 100, range(12), 3, 0.25)]
y = rng.choice(4, 40)
cases.append((numpy.zeros((40, 4), numpy.float32), y))                          # every answer is the first class
z = rng.integers(-3, 4, (30, 3)).astype(numpy.float32) * 40                      # probabilities of 0 and 1
cases.append((z, rng.choice(3, 30)))
lines = [f"/* Recorded by record_metrics.py with scikit-learn {sklearn.__version__}, NumPy {numpy.__version__}. */",
         "#include <math.h>", f"enum {{ CASES = {len(cases)}, MOST = 1200 }};",
         "typedef struct { int classes, rows, y[100]; float z[MOST]; double want[13]; } reference_case;",
         "static const char *const reference_name[13] = {\n    " + ",\n    ".join(
             ", ".join(f'"{n}"' for n in NAMES[i:i + 6]) for i in (0, 6, 12)) + "};",
         "static const reference_case reference[CASES] = {"]
for z, y in cases:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = values(z, y)
    numbers = [text(v) for v in z.ravel()]
    body = ",\n      ".join(", ".join(numbers[i:i + 15]) for i in range(0, len(numbers), 15))
    lines.append(f"    {{{z.shape[1]}, {z.shape[0]},\n     {{{', '.join(str(v) for v in y[:30])}"
                 + ("".join(",\n      " + ", ".join(str(v) for v in y[i:i + 30]) for i in range(30, len(y), 30)))
                 + f"}},\n     {{{body}}},\n     {{" + ",\n      ".join(", ".join(text(v) for v in want[i:i + 4])
                                                                       for i in (0, 4, 8, 12)) + "}},")
lines.append("};")
pathlib.Path(__file__).with_name("metrics_reference.h").write_text("\n".join(lines) + "\n")


# ---- labels and values: elements with a mask ----

def of_labels(z, y, m):
    a, p, k = (z > 0).astype(int), 1 / (1 + numpy.exp(-z.astype(numpy.float64))), z.shape[1]
    full, columns, there = m.all(1), [m[:, j] for j in range(k)], m.any(1)
    if not m.any():
        return [numpy.nan] * len(LABELS)
    flat = lambda v: v[m]
    f1 = numpy.array([metrics.f1_score(y[c, j], a[c, j], zero_division=numpy.nan) if c.any() else numpy.nan
                      for j, c in enumerate(columns)])
    weight = numpy.array([y[c, j].sum() for j, c in enumerate(columns)])
    both = [(y[c, j], z[c, j]) for j, c in enumerate(columns)]
    auc = [metrics.roc_auc_score(t, v) for t, v in both if 0 < t.sum() < len(t)]
    ap = [metrics.average_precision_score(t, v) for t, v in both if t.sum()]
    weighted = numpy.nansum(f1 * weight) / weight.sum() if weight.sum() else 0
    seen = numpy.nanmean(f1) if not numpy.isnan(f1).all() else numpy.nan
    if m.all() and k > 1:
        score = lambda average, zero: metrics.f1_score(y, a, average=average, zero_division=zero)
        assert abs(score("macro", 0) - numpy.nan_to_num(f1).mean()) < 1e-12
        assert numpy.isclose(score("macro", numpy.nan), seen, equal_nan=True, atol=1e-12)
        assert abs(score("weighted", 0) - weighted) < 1e-12
        assert abs(score("micro", 0) - metrics.f1_score(y.ravel(), a.ravel(), zero_division=0)) < 1e-12
        assert abs(metrics.jaccard_score(y, a, average="micro", zero_division=0)
                   - metrics.jaccard_score(y.ravel(), a.ravel(), zero_division=0)) < 1e-12
        assert abs(metrics.hamming_loss(y, a) - (y != a).mean()) < 1e-12
        if len(auc) == k:
            assert abs(metrics.roc_auc_score(y, z, average="macro") - numpy.mean(auc)) < 1e-12
            assert abs(metrics.average_precision_score(y, z, average="macro") - numpy.mean(ap)) < 1e-12
    return [metrics.accuracy_score(y[full], a[full]) if full.any() else numpy.nan,
            metrics.zero_one_loss(flat(y), flat(a)), metrics.f1_score(flat(y), flat(a), zero_division=0), seen,
            numpy.nan_to_num(f1).mean(), weighted, metrics.jaccard_score(flat(y), flat(a), zero_division=0),
            metrics.log_loss(flat(y), flat(p), labels=[0, 1]),
            metrics.brier_score_loss(flat(y), flat(p), labels=[0, 1]),
            numpy.mean(auc) if auc else numpy.nan, numpy.mean(ap) if ap else numpy.nan]


def of_values(z, y, m):
    z, y = z.astype(numpy.float64), y.astype(numpy.float64)
    if not m.any():
        return [numpy.nan] * len(VALUES)
    d = numpy.sort(abs(z - y)[m])
    c = [(y[m[:, j], j], z[m[:, j], j]) for j in range(z.shape[1]) if m[:, j].any()]
    mean = lambda f, least=1: numpy.mean([f(t, v) for t, v in c if len(t) >= least] or [numpy.nan])
    if m.all() and len(z) > 1:
        for f in (metrics.mean_absolute_error, metrics.root_mean_squared_error, metrics.r2_score):
            assert abs(f(y, z) - mean(f)) < 1e-12
    return [mean(metrics.mean_absolute_error), mean(metrics.root_mean_squared_error), mean(metrics.r2_score, 2),
            metrics.max_error(y[m], z[m]), d[-((len(d) + 9) // 10):].mean(),
            mean(lambda t, v: numpy.isclose(v, t, rtol=0.1, atol=0).mean())]


def elements(task, k, rows, missing, label=None):
    z = rng.integers(-12, 13, (rows, k)) / 8
    y = rng.integers(0, 2, (rows, k)) if task == "MULTILABEL" else z + rng.integers(-4, 5, (rows, k)) / 16
    if label is not None:
        y[:, label[0]] = label[1]
    m = rng.random((rows, k)) >= missing
    return task, z.astype(numpy.float32), y.astype(numpy.float32), m


cases = [elements("MULTILABEL", 4, 50, 0), elements("MULTILABEL", 4, 50, 0.3), elements("MULTILABEL", 1, 20, 0),
         elements("MULTILABEL", 3, 1, 0), elements("MULTILABEL", 3, 25, 0, (1, 0)),
         elements("MULTILABEL", 3, 25, 0, (2, 1)), elements("MULTILABEL", 3, 4, 1), elements("MULTILABEL", 5, 40, 0.9), elements("REAL", 1, 60, 0),
         elements("REAL", 3, 45, 0), elements("REAL", 3, 45, 0.4), elements("REAL", 2, 1, 0),
         elements("REAL", 2, 20, 0, (1, 3)), elements("REAL", 2, 5, 1)]
task, z, y, m = elements("MULTILABEL", 3, 12, 0)
cases.append((task, -abs(z), 0 * y, m))                                          # nothing is there, nothing answered
task, z, y, m = elements("REAL", 1, 7, 0)
cases.append((task, 0 * z + 2, 0 * y + 2, m))                                    # a constant, met
lines = [f"/* Recorded by record_metrics.py with scikit-learn {sklearn.__version__}, NumPy {numpy.__version__}. */",
         "#include <math.h>", '#include "engine/types.h"', f"enum {{ ELEMENT_CASES = {len(cases)}, ELEMENTS = 200 }};",
         "typedef struct { rt_task task; int size, rows; float z[ELEMENTS], y[ELEMENTS]; unsigned char mask[ELEMENTS];",
         "                 double want[11]; } element_case;"]
for name, names in (("label", LABELS), ("value", VALUES)):
    lines.append(f"static const char *const {name}_metric[{len(names)}] = {{" + ",\n    ".join(
        ", ".join(f'"{n}"' for n in names[i:i + 6]) for i in range(0, len(names), 6)) + "};")
lines.append("static const element_case element_reference[ELEMENT_CASES] = {")
wrap = lambda v: ",\n      ".join(", ".join(v[i:i + 15]) for i in range(0, len(v), 15))
for task, z, y, m in cases:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = of_labels(z, y.astype(int), m) if task == "MULTILABEL" else of_values(z, y, m)
    want = [text(v) for v in want]
    lines.append(f"    {{RT_TASK_{task}, {z.shape[1]}, {z.shape[0]},\n     {{{wrap([text(v) for v in z.ravel()])}}},"
                 f"\n     {{{wrap([text(v) for v in y.ravel()])}}},\n     {{{wrap([str(int(v)) for v in m.ravel()])}}},"
                 "\n     {" + ",\n      ".join(", ".join(want[i:i + 4]) for i in range(0, len(want), 4)) + "}},")
lines.append("};")
pathlib.Path(__file__).with_name("elements_reference.h").write_text("\n".join(lines) + "\n")
