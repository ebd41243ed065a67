#!/usr/bin/env python3
"""Writes samples_reference.h beside itself: what SciPy, scikit-learn and NumPy give for tests of statistics_samples.c,
statistics_ks.c and of the columns of 'retort drift'.

pip install mpmath numpy scipy scikit-learn; python3 record_samples.py
"""
import pathlib
from math import gcd

import mpmath
import numpy as np
import scipy
import sklearn
from scipy.stats import betabinom, chi2, chi2_contingency, fisher_exact, ks_2samp, kstwo, mannwhitneyu
from scipy.stats._stats_py import _attempt_exact_2kssamp
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(20261126)
lines = [f"/* Recorded by record_samples.py with SciPy {scipy.__version__}, NumPy {np.__version__}, scikit-learn "
         f"{sklearn.__version__}. */", "#include <math.h>", "#include <stdint.h>", ""]


def text(v):
    if isinstance(v, (bool, np.bool_)):
        return str(int(v))
    if isinstance(v, (int, np.integer)):
        return str(int(v))
    v = float(v)
    return "INFINITY" if v == np.inf else "-INFINITY" if v == -np.inf else "NAN" if v != v else repr(v)


def table(head, rows, each=2):
    lines.append(f"static const {head} = {{")
    done = ["{" + ", ".join(text(v) if not isinstance(v, str) else v for v in r) + "}" for r in rows]
    lines.extend("    " + ", ".join(done[i:i + each]) + "," for i in range(0, len(done), each))
    lines.append("};")


# p of a distance: exact as _attempt_exact_2kssamp has it up to 10,000 rows a side, else kstwo.
rows = []
cases = [(1, 1, 1), (1, 1, 0), (1, 5, 1), (5, 1, .4), (2, 3, 2 / 3), (7, 7, 3 / 7), (10, 10, 1), (100, 100, .1), (100, 77, .2), (100, 77, .35),
         (1000, 1000, .061), (1000, 300, .09), (10000, 9999, .02), (9973, 10000, .03), (10000, 10000, .0193), (10000, 1, .7), (10000, 40, .25),
         (10001, 5, .5), (10001, 10001, .015), (20000, 30000, .005), (20000, 30000, .02), (10**6, 10**6, .001),
         (10**6, 10**6, .0005), (3 * 10**6, 3 * 10**6, .002), (10001, 100, .2), (10001, 100, .05), (11000, 1, .9), (12000, 2, .6),
         (30000, 200, .08), (50000, 150, .02), (10**7, 10**7, .0009), (20000, 130, .13), (20000, 141, .12), (20000, 20000, .13)]
for n, m, d in cases:
    g = gcd(n, m)
    if max(n, m) <= 10000:
        ok, _, p = _attempt_exact_2kssamp(n, m, g, d, "two-sided")
        assert ok
    else:
        p = kstwo.sf(d, np.round(n * m / (n + m)))
    rows.append((n, m, float(d), float(p), max(n, m) <= 10000))
table("struct { uint64_t n, m; double d, p; int exact; } ks_case[]", rows)

# Samples with ties, constants, infinite values: ks_2samp of them, PSI by the formula in NumPy, whose bins are tenths of
# the first by the inverted distribution function; what ends several of them is a bin of its own.


def psi(a, b):
    tenths = np.quantile(a, np.arange(1, 10) / 10, method="inverted_cdf")
    both = np.r_[a, b]
    own = [max(both[both < v]) for v in set(tenths) if sum(tenths == v) > 1 and min(both) < v]
    edges = np.unique(np.r_[tenths, own])
    p = np.bincount(np.searchsorted(edges, a), minlength=len(edges) + 1)
    q = np.bincount(np.searchsorted(edges, b), minlength=len(edges) + 1)
    p = (p + .5) / (len(a) + .5 * len(p))
    q = (q + .5) / (len(b) + .5 * len(q))
    return float(np.sum((q - p) * np.log(q / p))), len(edges) + 1


samples = [
    (rng.normal(size=40), rng.normal(size=31)),
    (rng.normal(size=50), rng.normal(.7, 1, size=50)),
    (np.round(rng.normal(size=60), 1) + .01, np.round(rng.normal(.3, 1, size=45), 1) + .01),
    (np.full(20, .5), np.full(15, .5)),
    (np.full(20, .5), np.full(15, .25)),
    (np.full(20, .5), np.array([.5] * 10 + [.75] * 5)),
    (np.array([.5]), np.array([.25])),
    (np.array([.5]), np.array([.5])),
    (np.concatenate([rng.normal(size=30), [np.inf, np.inf, -np.inf]]), np.concatenate([rng.normal(size=30), [-np.inf] * 9])),
    (rng.exponential(size=200), rng.exponential(1.3, size=333)),
    (np.arange(100) + .5, np.arange(50, 150) + .5),
    (np.repeat([1.5, 2.5, 3.5], [80, 15, 5]), np.repeat([1.5, 2.5, 3.5, 9.5], [20, 60, 15, 5])),
]
values, rows = [], []
for a, b in samples:
    r = ks_2samp(a, b, method="exact")
    index, bins = psi(a, b)
    rows.append((len(values), len(a), len(b), float(r.statistic), float(r.pvalue), index, bins))
    values += [*a, *b]
lines.append("static const double sample_value[] = {")
lines += ["    " + ", ".join(text(v) for v in values[i:i + 5]) + "," for i in range(0, len(values), 5)]
lines.append("};")
table("struct { int at, n, m; double d, p, psi; int bins; } sample_case[]", rows, 1)

table("struct { double x, df, p; } chi_square_case[]",
      [(x, df, float(chi2.sf(x, df))) for x, df in [(0.0, 1), (3.5, 1), (1e-8, 1), (50.0, 20), (20.0, 50), (1000.0, 900), (900.0, 1000), (700.0, 3),
                                                    (0.3, 9), (16383.0, 16383), (1400.0, 2)]], 3)

rows = []
for a, b, c, d in [(3, 1, 1, 3), (0, 5000, 7, 4993), (10, 0, 0, 10), (1, 0, 0, 1), (0, 1, 1, 0), (5, 5, 5, 5), (8, 2, 1, 5), (0, 10, 0, 10),
                   (100, 900, 130, 870), (1, 99999, 12, 99988), (2, 20, 30, 3)]:
    rows.append((a, b, c, d, float(fisher_exact([[a, b], [c, d]])[1])))
table("struct { uint64_t a, b, c, d; double p; } fisher_case[]", rows)

# Counts: chi2_contingency without correction of what is left after categories with less than 5 expected rows are put
# together; Fisher's test where one would be left.


def merged(a, b):
    a, b = np.asarray(a), np.asarray(b)
    keep = a + b > 0
    a, b = a[keep], b[keep]
    order = np.argsort(a + b, kind="stable")
    a, b = a[order], b[order]
    need = 5 * (a.sum() + b.sum()) / min(a.sum(), b.sum())
    k = 0
    while k < len(a) and (a[k] + b[k] < need or (k and (a[:k] + b[:k]).sum() < need)):
        k += 1
    if k:
        return [a[:k].sum(), *a[k:]], [b[:k].sum(), *b[k:]]
    return list(a), list(b)


tables = [([30, 20, 50], [25, 30, 45]), ([1000, 2000, 3000, 4000], [900, 2100, 3100, 3900]), ([50, 50, 1, 2, 1], [40, 55, 0, 3, 2]),
          ([100, 3], [90, 12]), ([10, 0], [8, 2]), ([10, 1, 1], [9, 2, 0]), ([500, 300, 2], [480, 310, 0]), ([0, 40, 60], [0, 60, 40]),
          ([50, 50, 0], [30, 30, 40]), (list(rng.integers(0, 40, 30)), list(rng.integers(0, 40, 30))), ([6, 6, 6, 6], [5, 7, 6, 6])]
rows, counts = [], []
for a, b in tables:
    x, y = merged(a, b)
    if len(x) > 1:
        r = chi2_contingency([x, y], correction=False)
        got = (1, float(r.statistic), float(r.pvalue), r.dof)
    else:
        top = int(np.argmax(np.asarray(a) + np.asarray(b)))
        p = fisher_exact([[a[top], sum(a) - a[top]], [b[top], sum(b) - b[top]]])[1]
        got = (2, 0.0, float(p), 0)
    rows.append((len(counts), len(a), *got))
    counts += [*a, *b]
lines.append("static const uint64_t count_value[] = {")
lines += ["    " + ", ".join(text(v) for v in counts[i:i + 16]) + "," for i in range(0, len(counts), 16)]
lines.append("};")
table("struct { int at, k, test; double statistic, p; int df; } count_case[]", rows, 1)

# The chance of k or more of m above the r-th smallest of n, by its terms in 60 digits; SciPy's beta-binomial tail (of
# beta(n + 1 - r, r)) agrees as far as its own lgamma does.
mpmath.mp.dps = 60


def above(n, r, m, k):
    def ln(x):
        return mpmath.loggamma(x + 1)
    s = n - r
    term = mpmath.exp(ln(s + k) - ln(k) - ln(s) + ln(r - 1 + m - k) - ln(m - k) - ln(r - 1) - ln(n + m) + ln(m) + ln(n))
    total = mpmath.mpf(0)
    for i in range(k, m + 1):
        total += term
        if term < total * mpmath.mpf(10) ** -40 and i > k + 1000:
            break
        if i < m:
            term *= mpmath.mpf((s + i + 1) * (m - i)) / ((i + 1) * (r - 1 + m - i))
    assert abs(total - betabinom.sf(k - 1, m, n + 1 - r, r)) <= 1e-4 * total + 1e-11, (n, r, m, k, total)
    return float(total)


rows = [(*c, above(*c)) for c in [
    (2000, 1980, 4000, 60), (100, 100, 50, 1), (100, 100, 50, 5), (10, 5, 10, 10), (99, 99, 200, 0), (5000, 4951, 5000, 40),
    (1, 1, 1, 1), (1000000, 990001, 1000000, 10600), (199, 198, 10, 10)]]
table("struct { uint64_t n, r, m, k; double p; } above_case[]", rows)

rows, values = [], []
for a, b in [(rng.normal(size=30), rng.normal(.8, 1, size=25)), (rng.integers(0, 4, 40), rng.integers(0, 5, 33)),
             (np.ones(5), np.ones(7)), (np.zeros(3), np.ones(4)), (np.ones(3), np.zeros(4)), (np.array([1.]), np.array([2.]))]:
    auc = roc_auc_score(np.r_[np.zeros(len(a)), np.ones(len(b))], np.r_[a, b])
    same = len(set(np.r_[a, b])) == 1
    p = 1.0 if same else mannwhitneyu(b, a, alternative="greater", method="asymptotic", use_continuity=False).pvalue
    rows.append((len(values), len(a), len(b), float(auc), float(p)))
    values += [*map(float, a), *map(float, b)]
lines.append("static const double rank_value[] = {")
lines += ["    " + ", ".join(text(v) for v in values[i:i + 5]) + "," for i in range(0, len(values), 5)]
lines.append("};")
table("struct { int at, n, m; double auc, p; } rank_case[]", rows, 1)

(pathlib.Path(__file__).parent / "samples_reference.h").write_text("\n".join(lines) + "\n")
