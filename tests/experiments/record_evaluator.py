#!/usr/bin/env python3
"""Writes evaluator_reference.h beside itself: rows, labels, three hand-made models, and what scikit-learn and SciPy
say of the models' answers.

A model is a diagonal weight matrix and a bias, so that its logits are d * x + b; all values are multiples of 1/32 and
small, so that any way of adding them up gives the same floats. Class 5 is in no label; class 6 is in no label and in no
answer of model 0. Rows 4 and 17 have no label. In rows 2 and 9 the largest logit of model 0 stands twice.

pip install numpy scipy scikit-learn; python3 record_evaluator.py
"""
import pathlib
import warnings

import numpy
import scipy
import sklearn
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest, entropy
from sklearn import metrics

K, ROWS, BINS = 7, 40, 15
UNLABELLED = (4, 17)
rng = numpy.random.default_rng(20260428)

y = rng.integers(0, 5, ROWS)
x = rng.integers(-12, 13, (ROWS, K)) / 8
for i in range(ROWS):                                   # most rows are easy
    if rng.random() < 0.7:
        x[i, y[i]] += 1.5
x[:, 6] -= 4
x[2, :2] = 3.5
x[9, 1], x[9, 3] = 4, 4
x[11] = [0, 0.125, 0.25, 0.125, 0.25, 0, -4]            # a confidence of about 1/5
labelled = numpy.array([i not in UNLABELLED for i in range(ROWS)])
diagonal = [[1] * K, [0.5, 1, 1.5, 0.75, 1, 1, 0.5], [2, 1, 0.5, 1, 2, -1, 1]]
bias = [[0] * K, [0.25, 0, -0.25, 0, 0.5, 0, 2.5], [0, 0.5, 1, 0, -0.5, 0.75, 3.25]]

lines = [f"/* Recorded by record_evaluator.py with scikit-learn {sklearn.__version__}, SciPy {scipy.__version__}, NumPy "
         f"{numpy.__version__}. */", "#include <math.h>",
         f"enum {{ ROWS = {ROWS}, K = {K}, MODELS = 3, LABELLED = {int(labelled.sum())} }};"]


def text(v):
    """A C number; NAN where there is none."""
    v = float(v)
    return "NAN" if numpy.isnan(v) else repr(int(v)) if v == int(v) else repr(v)


def array(values, width=14):
    rows = [text(v) for v in numpy.ravel(values)]
    return "{" + ",\n     ".join(", ".join(rows[i:i + width]) for i in range(0, len(rows), width)) + "}"


def declare(kind, name, dims, values):
    lines.append(f"static const {kind} {name}{dims} =\n    {array(values)};")


declare("float", "row_x", "[ROWS * K]", x)
declare("int", "row_y", "[ROWS]", numpy.where(labelled, y, -1))
declare("float", "diagonal", "[MODELS * K]", diagonal)
declare("float", "bias", "[MODELS * K]", bias)

z = [x * numpy.array(diagonal[m]) + numpy.array(bias[m]) for m in range(3)]
answer = [v.argmax(1) for v in z]
probability = [softmax(v, axis=1) for v in z]
lines.append("""typedef struct {
    double accuracy, low, high, top5, macro_f1, nll, ece, agreement, kl, reference_only, this_only, p;
    double balanced, f1_all, weighted, mcc, brier, auc, precision_mean;
    double rows[K], answered[K], right[K], precision[K], recall[K], f1[K], confusion[K][K];
    double bin_count[15], bin_confidence[15], bin_accuracy[15];
} reference_values;
static const reference_values want[MODELS] = {""")
truth = y[labelled]
for m in range(3):
    ordered = numpy.sort(z[m], axis=1)                  # tools differ on ties there: scikit-learn takes the last
    border = [i for i in range(ROWS) if labelled[i] and ordered[i, K - 5] == ordered[i, K - 6] == z[m][i, y[i]]]
    assert not border, (m, border)
    a, p = answer[m][labelled], probability[m][labelled]
    hits = int((a == truth).sum())
    interval = binomtest(hits, len(truth)).proportion_ci(confidence_level=0.95, method="wilson")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top5 = metrics.top_k_accuracy_score(truth, z[m][labelled], k=5, labels=range(K))
        top4 = metrics.top_k_accuracy_score(truth, z[m][labelled], k=4, labels=range(K))
        top6 = metrics.top_k_accuracy_score(truth, z[m][labelled], k=6, labels=range(K))
        nll = metrics.log_loss(truth, p, labels=range(K))
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, a, labels=range(K),
                                                                           zero_division=numpy.nan)
        macro = metrics.f1_score(truth, a, average="macro")
    confusion = metrics.confusion_matrix(truth, a, labels=range(K))
    confidence, right = p.max(1), a == truth
    bins = numpy.minimum((confidence * BINS).astype(int), BINS - 1)
    count = numpy.bincount(bins, minlength=BINS)
    with numpy.errstate(invalid="ignore"):
        mean_confidence = numpy.bincount(bins, confidence, BINS) / count
        mean_right = numpy.bincount(bins, right, BINS) / count
    ece = numpy.nansum(count / len(truth) * numpy.abs(mean_right - mean_confidence))
    agreement = metrics.accuracy_score(answer[0], answer[m])
    kl = numpy.mean([entropy(probability[0][i], probability[m][i]) for i in range(ROWS)])
    first = answer[0][labelled] == truth
    b, c = int((first & ~right).sum()), int((~first & right).sum())
    p_value = binomtest(min(b, c), b + c).pvalue if b + c else 1.0
    onehot = numpy.eye(K)[truth]
    there = onehot.sum(0) > 0
    more = [metrics.balanced_accuracy_score(truth, a),
            metrics.f1_score(truth, a, average="macro", labels=range(K), zero_division=0),
            metrics.f1_score(truth, a, average="weighted"), metrics.matthews_corrcoef(truth, a),
            metrics.brier_score_loss(truth, p, labels=range(K), scale_by_half=False),
            metrics.roc_auc_score(onehot[:, there], p[:, there], average="macro"),
            metrics.average_precision_score(onehot[:, there], p[:, there], average="macro")]
    f1_there = numpy.where(confusion.sum(0) + confusion.sum(1) > 0, f1, numpy.nan)
    assert top4 < top5 < top6 and (m == 0 or (b != c and p_value < 1)), (top4, top5, top6, b, c, p_value)
    assert abs(nll + numpy.mean(log_softmax(z[m][labelled], axis=1)[numpy.arange(len(truth)), truth])) < 1e-12
    assert abs(numpy.nanmean(f1_there) - macro) < 1e-12
    single = [hits / len(truth), interval.low, interval.high, top5, macro, nll, ece, agreement, kl, b, c, p_value]
    lines.append("    {" + ",\n     ".join(", ".join(text(v) for v in single[i:i + 4]) for i in (0, 4, 8)) + ",")
    lines.append("     " + ",\n     ".join(", ".join(text(v) for v in more[i:i + 4]) for i in (0, 4)) + ",")
    groups = [confusion.sum(1), confusion.sum(0), numpy.diag(confusion), precision, recall, f1_there, confusion, count,
              mean_confidence, mean_right]
    nested = [array(g, 5) if g is not confusion else "{" + ",\n      ".join(array(r) for r in g) + "}" for g in groups]
    lines.append("     " + ",\n     ".join(nested) + "},")
lines.append("};")
assert sorted(set(truth)) == [0, 1, 2, 3, 4] and 6 not in answer[0] and 5 in answer[0]
pathlib.Path(__file__).with_name("evaluator_reference.h").write_text("\n".join(lines) + "\n")
