#!/usr/bin/env python3
"""Writes metrics_reference.h beside itself: logits and labels of several cases, and what scikit-learn says of them.

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
NAMES = ["accuracy", "top5", "balanced_accuracy", "macro_f1", "macro_f1_all", "weighted_f1", "mcc", "nll", "brier", "ece",
         "auc", "average_precision"]


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
            numpy.mean(ap) if ap else numpy.nan]


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
         "typedef struct { int classes, rows, y[100]; float z[MOST]; double want[12]; } reference_case;",
         "static const char *const reference_name[12] = {\n    " + ",\n    ".join(
             ", ".join(f'"{n}"' for n in NAMES[i:i + 6]) for i in (0, 6)) + "};",
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
                                                                       for i in (0, 4, 8)) + "}},")
lines.append("};")
pathlib.Path(__file__).with_name("metrics_reference.h").write_text("\n".join(lines) + "\n")
