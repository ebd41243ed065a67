#!/usr/bin/env python3
"""Writes comparison_reference.h beside itself: answers of a baseline and a candidate to the same rows, and what
scikit-learn, SciPy and statsmodels say of their difference.

pip install numpy scipy scikit-learn; python3 record_comparison.py
"""
import math
import pathlib
import textwrap

import numpy as np
import scipy
import sklearn
from scipy import optimize, stats
from sklearn import metrics as sk

ROWS, K, L = 400, 4, 3
rng = np.random.default_rng(20261126)
truth = rng.choice(K, ROWS, p=[0.4, 0.3, 0.2, 0.1])
signal = rng.normal(size=(ROWS, K)) + 1.6 * np.eye(K)[truth]
country = rng.choice(3, ROWS, p=[0.5, 0.3, 0.2])          # the candidate is worse in the third
base = signal + 0.5 * rng.normal(size=(ROWS, K))
cand = signal + 0.5 * rng.normal(size=(ROWS, K)) + (country == 2)[:, None] * 1.5 * rng.normal(size=(ROWS, K))
label = truth.copy()
label[rng.choice(ROWS, 25, replace=False)] = -1
two = rng.integers(0, 2, ROWS)
two_base = np.stack([np.zeros(ROWS), 1.2 * two - 0.6 + rng.normal(size=ROWS)], 1)
two_cand = two_base + np.stack([np.zeros(ROWS), 0.6 * rng.normal(size=ROWS)], 1)
price = 100 + 10 * rng.normal(size=ROWS)
price_base = price + 2 * rng.normal(size=ROWS)
price_cand = price_base + 1.2 * rng.normal(size=ROWS)
tags = (rng.random((ROWS, L)) < [0.5, 0.3, 0.1]).astype(int)
tags_base = 2 * tags - 1 + 0.8 * rng.normal(size=(ROWS, L))
tags_cand = tags_base + 0.5 * rng.normal(size=(ROWS, L))
f32 = np.float32
base, cand, two_base, two_cand = (a.round(d).astype(f32) for a, d in ((base, 4), (cand, 4), (two_base, 6), (two_cand, 6)))
price, price_base, price_cand, tags_base, tags_cand = (
    a.round(4).astype(f32) for a in (price, price_base, price_cand, tags_base, tags_cand))
seen = label >= 0


def softmax(z):
    e = np.exp(z.astype(float) - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def tango(b, c, n, z=stats.norm.ppf(0.975)):
    """Interval of (b - c) / n: Tango 1998, roots of the score."""
    def score(d):
        d = -d
        B, C = -b - c + (2 * n - c + b) * d, -b * d * (1 - d)
        q = (math.sqrt(max(0, B * B - 8 * n * C)) - B) / (4 * n)
        return (b - c + n * d) / math.sqrt(n * (2 * q + d * (1 - d)))
    return (optimize.brentq(lambda d: score(d) - z, -1 + 1e-12, (b - c) / n, xtol=1e-14),
            optimize.brentq(lambda d: score(d) + z, (b - c) / n, 1 - 1e-12, xtol=1e-14))


def ece(p, y, bins=15):
    conf, ok = p.max(1), p.argmax(1) == y
    i = np.minimum((conf * bins).astype(int), bins - 1)
    return sum(abs(ok[i == k].sum() - conf[i == k].sum()) for k in range(bins)) / len(y)


def brier(p, y):
    return np.mean(((p - np.eye(p.shape[1])[y]) ** 2).sum(1))


def f1s(y, a, k):
    """F1 by class; checked against scikit-learn where values are recorded."""
    hit, truth, answered = (np.bincount(x, minlength=k) for x in (y[y == a], y, a))
    with np.errstate(invalid="ignore"):
        return 2 * hit / (truth + answered)


checks = []


def exact(head, metric, cls, part, x, y, b, c):
    """A share of both sides: right(x), right(y) are truth values by row."""
    n = len(b)
    nb, nc = int((b & ~c).sum()), int((~b & c).sum())
    lo, hi = tango(nb, nc, n)
    checks.append((head, metric, cls, part, x, y, x - y, lo, hi, stats.binomtest(min(nb, nc), nb + nc).pvalue if nb + nc else 1,
                   n, nb, nc, 0))


def boot(head, metric, cls, part, n, rows, of, higher=True):
    """BCa of 3,999 resamples, five times: the mean of its ends, and three standard errors of a sixth time."""
    sign = 1 if higher else -1
    i = np.arange(n)
    vb, vc = of(i)

    def statistic(*j):
        a, b = of(j[0].astype(int))
        return sign * (a - b)
    ends = np.array([stats.bootstrap((i,), statistic, vectorized=False, n_resamples=3999, method="BCa",
                                     random_state=seed).confidence_interval for seed in range(5)])
    low, high = ends.mean(0)
    error = 3 * ends.std(0, ddof=1).max() * math.sqrt(1 + 1 / 5)
    checks.append((head, metric, cls, part, vb, vc, sign * (vb - vc), low, high, -1, rows, 0, 0, error))


for part in [-1, 0, 1, 2]:
    m = seen & ((country == part) | (part < 0))
    y, pb, pc = label[m], softmax(base[m]), softmax(cand[m])
    ab, ac = pb.argmax(1), pc.argmax(1)
    exact("kind", "accuracy", -1, part, (ab == y).mean(), (ac == y).mean(), ab == y, ac == y)
    for k in range(K):
        of = y == k
        exact("kind", "recall", k, part, (ab == k)[of].mean(), (ac == k)[of].mean(), (ab == k)[of], (ac == k)[of])
    if part < 0 or part == 2:
        n = len(y)
        assert np.allclose(f1s(y, ab, K), sk.f1_score(y, ab, average=None, zero_division=0))
        boot("kind", "macro_f1", -1, part, n, n, lambda i: (np.nanmean(f1s(y[i], ab[i], K)), np.nanmean(f1s(y[i], ac[i], K))))
        boot("kind", "nll", -1, part, n, n, lambda i: tuple(-np.mean(np.log(p[i, y[i]])) for p in (pb, pc)), False)
        boot("kind", "brier", -1, part, n, n, lambda i: (brier(pb[i], y[i]), brier(pc[i], y[i])), False)
        boot("kind", "ece", -1, part, n, n, lambda i: (ece(pb[i], y[i]), ece(pc[i], y[i])), False)
        boot("kind", "balanced_accuracy", -1, part, n, n,
             lambda i: tuple(np.mean([(a[i] == k)[y[i] == k].mean() for k in np.unique(y[i])]) for a in (ab, ac)))
        near = (y == 1) | (ab == 1) | (ac == 1)
        yk, bk, ck = (y == 1)[near], (ab == 1)[near], (ac == 1)[near]
        boot("kind", "precision", 1, part, near.sum(), int((y == 1).sum()), lambda i: (yk[i][bk[i]].mean(), yk[i][ck[i]].mean()))
        boot("kind", "f1", 1, part, near.sum(), int((y == 1).sum()),
             lambda i: (f1s(yk[i] * 1, bk[i] * 1, 2)[1], f1s(yk[i] * 1, ck[i] * 1, 2)[1]))
pb, pc = softmax(two_base)[:, 1], softmax(two_cand)[:, 1]
order = [np.argsort(-p, kind="stable") for p in (pb, pc)]


def weighted_area(o, i):
    """Average precision of a resample: rows as often as they are drawn, copies of a row tied."""
    w = np.bincount(i, minlength=ROWS)[o]
    hits, rows = np.cumsum(w * two[o]), np.cumsum(w)
    return (w * two[o] * hits / np.maximum(rows, 1)).sum() / hits[-1]


for p, o in zip((pb, pc), order):
    assert math.isclose(weighted_area(o, np.arange(ROWS)), sk.average_precision_score(two, p))
boot("two", "average_precision", -1, -1, ROWS, ROWS, lambda i: tuple(weighted_area(o, i) for o in order))
boot("price", "rmse", -1, -1, ROWS, ROWS, lambda i: tuple(
    np.sqrt(np.mean((price[i].astype(float) - p[i]) ** 2)) for p in (price_base, price_cand)), False)
boot("price", "mae", -1, -1, ROWS, ROWS, lambda i: tuple(
    np.mean(np.abs(price[i].astype(float) - p[i])) for p in (price_base, price_cand)), False)
boot("price", "r2", -1, -1, ROWS, ROWS,
     lambda i: tuple(1 - np.sum((price[i].astype(float) - p[i]) ** 2) / np.sum((price[i].astype(float) - price[i].astype(
         float).mean()) ** 2) for p in (price_base, price_cand)))
assert math.isclose(checks[-1][4], sk.r2_score(price.astype(float), price_base.astype(float)))
tb, tc = tags_base > 0, tags_cand > 0
exact("tags", "subset_accuracy", -1, -1, (tb == tags).all(1).mean(), (tc == tags).all(1).mean(), (tb == tags).all(1), (tc == tags).all(1))
boot("tags", "hamming", -1, -1, ROWS, ROWS, lambda i: ((tb[i] != tags[i]).mean(), (tc[i] != tags[i]).mean()), False)
boot("tags", "macro_f1", -1, -1, ROWS, ROWS, lambda i: tuple(
    np.mean([f1s(tags[i, j], t[i, j] * 1, 2)[1] for j in range(L)]) for t in (tb, tc)))
assert math.isclose(checks[-1][4], sk.f1_score(tags, tb, average="macro"))

# DeLong by placements, and the flips.
P, N = two == 1, two == 0
v = [((s[P][:, None] > s[N]) + 0.5 * (s[P][:, None] == s[N])) for s in (pb, pc)]
auc = [float(sk.roc_auc_score(two, s)) for s in (pb, pc)]
S = np.cov([a.mean(1) for a in v]) / P.sum() + np.cov([a.mean(0) for a in v]) / N.sum()
sd = math.sqrt(S[0, 0] + S[1, 1] - 2 * S[0, 1])
z = stats.norm.ppf(0.975)
checks.append(("two", "auc", -1, -1, auc[0], auc[1], auc[0] - auc[1], auc[0] - auc[1] - z * sd, auc[0] - auc[1] + z * sd,
               2 * stats.norm.sf(abs(auc[0] - auc[1]) / sd), ROWS, 0, 0, 0))
ok = [softmax(x)[seen].argmax(1) == label[seen] for x in (base, cand)]
a, b, c, d = ((ok[0] & ok[1]).sum(), (ok[0] & ~ok[1]).sum(), (~ok[0] & ok[1]).sum(), (~ok[0] & ~ok[1]).sum())
for name, x, n in [("nfr", b, a + b + c + d), ("btc", a, a + b), ("nfi", b, b + d)]:
    r = stats.binomtest(int(x), int(n)).proportion_ci(method="wilson")
    checks.append(("kind", name, -1, -1, math.nan, x / n, math.nan, r.low, r.high, -1, seen.sum(), b, c, 0))


# ---- macro areas and average precisions of more columns, and numbers of the candidate alone ----
alone = []                             # head, metric, class, value, lo, hi, rows, within


def parts(y, p):
    """Area and DeLong's part of each row, by all pairs: placements less the area over sqrt(m (m - 1))."""
    P, N = p[y], p[~y]
    v = (P[:, None] > N) + 0.5 * (P[:, None] == N)
    area, out = v.mean(), np.zeros(len(y))
    out[y] = (v.mean(1) - area) / math.sqrt(len(P) * (len(P) - 1))
    out[~y] = (v.mean(0) - area) / math.sqrt(len(N) * (len(N) - 1))
    return area, out


def macro_area(columns):
    """(area, parts) of columns (y, p): means over them; the variance against SciPy's bootstrap of rows."""
    r = [parts(y, p) for y, p in columns]
    return np.mean([a for a, _ in r]), np.mean([x for _, x in r], 0)


y, pb, pc = label[seen], softmax(base[seen]), softmax(cand[seen])
of_kind = [[(y == k, p[:, k]) for k in range(K)] for p in (pb, pc)]
of_tags = [[(tags[:, j] == 1, t[:, j].astype(float)) for j in range(L)] for t in (tags_base, tags_cand)]
assert math.isclose(macro_area(of_kind[0])[0], sk.roc_auc_score(y, pb, multi_class="ovr"))
assert math.isclose(macro_area(of_tags[1])[0], sk.roc_auc_score(tags, tags_cand, average="macro"))
for head, columns, rows in [("kind", of_kind, len(y)), ("tags", of_tags, ROWS)]:
    (x, px), (w, pw) = (macro_area(c) for c in columns)
    sd = math.sqrt(((px - pw) ** 2).sum())

    def area_drop(i):
        return np.subtract(*(np.mean([sk.roc_auc_score(t[i], p[i]) for t, p in c]) for c in columns))
    spread = np.std([area_drop(np.random.default_rng(s).integers(0, rows, rows)) for s in range(400)], ddof=1)
    assert abs(spread / sd - 1) < 0.12, (spread, sd)           # 400 resamples: 3 standard errors are 11 %
    checks.append((head, "auc", -1, -1, x, w, x - w, x - w - z * sd, x - w + z * sd, 2 * stats.norm.sf(abs(x - w) / sd),
                   rows, 0, 0, 0))
    sd = math.sqrt((pw ** 2).sum())
    alone.append((head, "auc", -1, w, w - z * sd, w + z * sd, rows, 0))


def precision(columns, i):
    """Mean over columns of the average precision of a resample, equal scores and copies of a row tied."""
    out = []
    for t, group in columns:
        w = np.bincount(i, minlength=len(t))
        hit, row = np.bincount(group, w * t), np.bincount(group, w)
        hits, rows = np.cumsum(hit), np.cumsum(row)
        out.append((hit * hits / np.maximum(rows, 1)).sum() / hits[-1])
    return np.mean(out)


def by_group(columns):
    """Of each row the rank of its score among the distinct ones, from the largest down."""
    return [(t, np.unique(-p, return_inverse=True)[1]) for t, p in columns]


of_kind, of_tags = [by_group(c) for c in of_kind], [by_group(c) for c in of_tags]


for k in range(2):
    assert math.isclose(precision(of_kind[k], np.arange(len(y))), sk.average_precision_score(np.eye(K)[y], (pb, pc)[k]))
    assert math.isclose(precision(of_tags[k], np.arange(ROWS)), sk.average_precision_score(tags, (tags_base, tags_cand)[k]))
boot("kind", "average_precision", -1, -1, len(y), len(y), lambda i: tuple(precision(c, i) for c in of_kind))
boot("tags", "average_precision", -1, -1, ROWS, ROWS, lambda i: tuple(precision(c, i) for c in of_tags))


def worst(p, i):
    d = np.sort(np.abs(price.astype(float) - p)[i])[::-1]
    return d[:-(-len(d) // 10)].mean()


boot("price", "worst_decile", -1, -1, ROWS, ROWS, lambda i: (worst(price_base, i), worst(price_cand, i)), False)


def boot_alone(head, metric, cls, n, rows, of):
    i = np.arange(n)
    ends = np.array([stats.bootstrap((i,), lambda j: of(j.astype(int)), vectorized=False, n_resamples=3999, method="BCa",
                                     random_state=seed).confidence_interval for seed in range(5)])
    low, high = ends.mean(0)
    alone.append((head, metric, cls, of(i), low, high, rows, 3 * ends.std(0, ddof=1).max() * math.sqrt(1 + 1 / 5)))


def share_alone(head, metric, cls, right):
    r = stats.binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    alone.append((head, metric, cls, right.mean(), r.low, r.high, len(right), 0))


ac = pc.argmax(1)
share_alone("kind", "accuracy", -1, ac == y)
share_alone("kind", "recall", 2, (ac == 2)[y == 2])
share_alone("tags", "subset_accuracy", -1, ((tags_cand > 0) == tags).all(1))
boot_alone("kind", "macro_f1", -1, len(y), len(y), lambda i: np.nanmean(f1s(y[i], ac[i], K)))
boot_alone("kind", "nll", -1, len(y), len(y), lambda i: -np.mean(np.log(pc[i, y[i]])))
boot_alone("kind", "average_precision", -1, len(y), len(y), lambda i: precision(of_kind[1], i))
boot_alone("price", "rmse", -1, ROWS, ROWS, lambda i: np.sqrt(np.mean((price[i].astype(float) - price_cand[i]) ** 2)))
area, part = parts(two == 1, softmax(two_cand)[:, 1])
alone.append(("two", "auc", -1, area, area - z * math.sqrt((part ** 2).sum()), area + z * math.sqrt((part ** 2).sum()), ROWS, 0))


def array(kind, name, a):
    flat = ", ".join(f"{x:.7g}" + ("f" if "." in f"{x:.7g}" else ".0f") if kind == "float" else str(int(x)) for x in np.asarray(a).reshape(-1))
    return f"static const {kind} {name}[] = {{{flat}}};"


def value(x):
    return "NAN" if math.isnan(x) else repr(float(x))


text = [f"/* Recorded by record_comparison.py with scikit-learn {sklearn.__version__}, SciPy {scipy.__version__}. */",
        f"enum {{ ROWS = {ROWS}, K = {K}, L = {L} }};"]
body = [array("int32_t", "label", label), array("int32_t", "two_y", two), array("int32_t", "country", country),
        array("float", "kind_base", base), array("float", "kind_cand", cand), array("float", "two_base", two_base),
        array("float", "two_cand", two_cand), array("float", "price_y", price), array("float", "price_base", price_base),
        array("float", "price_cand", price_cand), array("uint8_t", "tags_y", tags), array("float", "tags_base", tags_base),
        array("float", "tags_cand", tags_cand)]
for line in body:
    text += textwrap.wrap(line, 118, subsequent_indent="    ", break_long_words=False)
text += ["/* p -1: not compared; within: of the interval's ends, 0: exact. */", "static const struct {",
         "    const char *head, *metric;", "    int class, country;",
         "    double baseline, candidate, drop, lo, hi, p;", "    uint64_t n, b, c;", "    double within;", "} check[] = {"]
for h, m, k, part, x, y, drop, lo, hi, p, n, nb, nc, error in checks:
    line = (f'{{"{h}", "{m}", {k}, {part}, {value(x)}, {value(y)}, {value(drop)}, {value(lo)}, {value(hi)}, {value(p)}, '
            f"{int(n)}, {int(nb)}, {int(nc)}, {error:.3g}}},")
    text += textwrap.wrap(line, 116, initial_indent="    ", subsequent_indent="     ")
text += ["};", "/* The candidate's own number. */", "static const struct {", "    const char *head, *metric;",
         "    int class;", "    double value, lo, hi;", "    uint64_t n;", "    double within;", "} check_alone[] = {"]
text += [f'    {{"{h}", "{m}", {k}, {value(x)}, {value(lo)}, {value(hi)}, {int(n)}, {error:.3g}}},'
         for h, m, k, x, lo, hi, n, error in alone]
text += ["};", ""]
pathlib.Path(__file__).with_name("comparison_reference.h").write_text("\n".join(text))
