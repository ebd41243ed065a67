#!/usr/bin/env python3
"""Writes statistics_reference.h beside itself: what SciPy gives for tests of statistics.c.

pip install numpy scipy; python3 record_statistics.py
"""
import math
import pathlib

import numpy
import scipy
from scipy.stats import binom, binomtest, norm

rng = numpy.random.default_rng(20260401)


def percentile_index(n, p):
    """n - t with t the largest count such that P(Binomial(n, 1 - p) <= t) <= 0.01; -1 when that is 0."""
    t = int(binom.ppf(0.01, n, 1 - p)) + 2
    while t > 0 and binom.cdf(t, n, 1 - p) > 0.01:
        t -= 1
    return n - t if t > 0 else -1


def wilson(k, n):
    r = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
    return r.low, r.high


lines = [f"/* Recorded by record_statistics.py with SciPy {scipy.__version__}, NumPy {numpy.__version__}. */"]
rows = []
for p in (0.9, 0.99, 0.999):
    sizes = [2, 10, 63, 64, 65, 126, 127, 500, 661, 662, 663, 1306, 1307, 2000, 6635, 6636, 6637, 13104, 13105, 20000,
             100000, 1000000, 9999999, 10000000] + [int(v) for v in rng.integers(64, 300000, 30)]
    rows += [f"{{{n}, {p}, {percentile_index(n, p)}}}" for n in sizes]
lines.append("static const struct { uint64_t n; double p; int64_t index; } percentile_case[] = {")
lines += ["    " + ", ".join(rows[i:i + 4]) + "," for i in range(0, len(rows), 4)]
lines.append("};")

rows = []
pairs = [(150, 130), (150, 100), (30, 20), (15, 5), (0, 5), (1, 0), (7, 7), (0, 0), (200, 800), (5000, 5200),
         (50000, 50500), (499000, 501000), (3, 1000), (0, 1000)]
pairs += [tuple(int(v) for v in rng.integers(0, 400, 2)) for _ in range(10)]
for b, c in pairs:
    want = 1.0 if b == c else min(1.0, 2 * binom.cdf(min(b, c), b + c, 0.5))
    rows.append(f"{{{b}, {c}, {want!r}}}".replace("np.float64(", "").replace(")", ""))
lines.append("static const struct { uint64_t b, c; double p; } mcnemar_case[] = {")
lines += ["    " + ", ".join(rows[i:i + 3]) + "," for i in range(0, len(rows), 3)]
lines.append("};")

rows = []
for n, p, t in [(10, 0.5, 3), (10, 0.5, 9), (100, 0.01, 0), (100, 0.01, 5), (1000, 0.1, 80), (1000, 0.1, 140),
                (10**7, 0.1, 997000), (10**7, 0.1, 1003000), (10**7, 0.001, 9700), (50, 0.9, 40), (20, 0.3, 20)]:
    rows.append(f"{{{n}, {p}, {t}, {float(binom.cdf(t, n, p))!r}}}")
lines.append("static const struct { uint64_t n; double p; uint64_t t; double cdf; } binomial_case[] = {")
lines += ["    " + ", ".join(rows[i:i + 2]) + "," for i in range(0, len(rows), 2)]
lines.append("};")

rows = []
for k, n in [(81, 263), (0, 20), (20, 20), (1, 1), (0, 1), (9150, 10000), (3, 7), (999999, 1000000)]:
    low, high = wilson(k, n)
    rows.append(f"{{{k}, {n}, {float(low)!r}, {float(high)!r}}}")
lines.append("static const struct { uint64_t k, n; double low, high; } wilson_case[] = {")
lines += ["    " + r + "," for r in rows]
lines.append("};")
assert math.isclose(norm.ppf(0.975), 1.959963984540054)
pathlib.Path(__file__).with_name("statistics_reference.h").write_text("\n".join(lines) + "\n")
