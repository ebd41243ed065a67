#!/usr/bin/env python3
"""Issues that cleanlab finds, for tests/data/test_quality.c:

    python3 tests/data/record_quality.py > tests/data/quality_reference.h

needs cleanlab (2.9.0) and numpy. Whole numbers make the probabilities of cases B to D, here and in the test alike, so
that they have ties and the same bits. numpy's default sort leaves open which of equal values comes first, and it
differs between machines; the test's rule is the lower row, so cleanlab is run with a stable sort. Where its own sort
gives other rows, the recording says so on standard error.
"""
import os
import sys
import warnings

import cleanlab
import numpy as np
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

METHODS = ["low_self_confidence", "low_normalized_margin", "prune_by_noise_rate", "prune_by_class", "both",
           "confident_learning", "predicted_neq_given"]
MASK = (1 << 64) - 1
warnings.simplefilter("ignore")
own_argsort = np.argsort


def stable(a, *args, **kw):
    return own_argsort(a, *args, **{**kw, "kind": "stable"})


class Lcg:
    def __init__(self, seed):
        self.x = seed

    def next(self):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407) & MASK
        return self.x >> 33


def case_a():
    """60 rows of 3 classes, softmaxes of noise rounded to 4 digits."""
    g = Lcg(1)
    z = 2 * np.array([g.next() / 2**31 for _ in range(180)]).reshape(60, 3)
    for i in range(60):
        z[i, i % 3] += 2
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p = np.round(p, 4)
    p /= p.sum(1, keepdims=True)
    y = np.arange(60) % 3
    for i in (3, 10, 17, 24, 31, 38, 45, 52):
        y[i] = (y[i] + 1) % 3
    return p, y


def case_of(rows, classes, missing, steps, seed, least=8, spread=24):
    """Probabilities are whole numbers over `steps`; labels of class `missing` are none (-1)."""
    g = Lcg(seed)
    p = np.zeros((rows, classes))
    y = np.zeros(rows, int)
    for r in range(rows):
        true = g.next() % classes
        w = [1 + g.next() % 8 for _ in range(classes)]
        w[true] += least + g.next() % spread
        y[r] = g.next() % classes if g.next() % 6 == 0 else true
        if y[r] == missing:
            y[r] = -1
        left = steps
        for j in range(classes):
            n = steps * w[j] // sum(w)
            p[r, j] = n / steps
            left -= n
        p[r, true] += left / steps
    return p, y


def fnv(rows):
    h = 0xcbf29ce484222325
    for r in rows:
        h = ((h ^ int(r)) * 0x100000001b3) & MASK
    return h


def found(p, y, method):
    rows = np.flatnonzero(y >= 0)
    mask = find_label_issues(y[rows], p[rows], filter_by=method, n_jobs=1)
    return rows[mask]


def c_list(values, fmt="%s", width=110):
    lines, line = [], ""
    for v in values:
        t = fmt % v + ", "
        if len(line) + len(t) > width:
            lines.append(line.rstrip())
            line = ""
        line += t
    return "\n    ".join(lines + [line.rstrip()]).rstrip(",")


def record(name, p, y):
    rows = np.flatnonzero(y >= 0)
    np.argsort = stable
    t = get_confident_thresholds(y[rows], p[rows])
    raw = compute_confident_joint(y[rows], p[rows], calibrate=False)
    joint = compute_confident_joint(y[rows], p[rows])
    low = name.lower()
    print(f"\n/* ---- case {name}: {len(y)} rows, {p.shape[1]} classes ---- */")
    print(f"static const double {low}_threshold[] = {{\n    {c_list(t, '%.17g')}}};")
    print(f"static const int64_t {low}_confident[] = {{\n    {c_list(raw.ravel())}}};")
    print(f"static const int64_t {low}_joint[] = {{\n    {c_list(joint.ravel())}}};")
    scores = [get_label_quality_scores(y[rows], p[rows], method=m, adjust_pred_probs=a)
              for m, a in (("self_confidence", False), ("normalized_margin", False), ("self_confidence", True))]
    print(f"static const double {low}_scores[][3] = {{           /* of the first labelled rows */")
    for i in range(5):
        print("    {" + ", ".join("%.17g" % s[i] for s in scores) + "},")
    print("};")
    print(f"static const found_rows {low}_found[] = {{")
    for m in METHODS:
        np.argsort = stable
        r = found(p, y, m)
        np.argsort = own_argsort
        if list(r) != list(found(p, y, m)):
            print(f"case {name}, {m}: other rows with numpy's default sort", file=sys.stderr)
        print(f"    {{\"{m}\", {len(r)}, 0x{fnv(r):016x}}},")
    print("};")


def main():
    print("/* Recorded by tests/data/record_quality.py from cleanlab", cleanlab.__version__, "and numpy",
          np.__version__ + ". */")
    print("#ifndef RT_TESTS_QUALITY_REFERENCE_H\n#define RT_TESTS_QUALITY_REFERENCE_H\n\n#include <stdint.h>\n")
    print("/* Rows that a method finds: how many, FNV-1a of their numbers. */")
    print("typedef struct { const char *method; uint64_t rows, hash; } found_rows;\n")
    p, y = case_a()
    print(f"static const double a_p[] = {{\n    {c_list(p.ravel(), '%.17g')}}};")
    print(f"static const int32_t a_y[] = {{\n    {c_list(y)}}};")
    record("A", p, y)
    record("B", *case_of(400, 6, 4, 64, 7))
    record("C", *case_of(3000, 21, 21, 256, 9))
    record("D", *case_of(500, 5, 5, 32, 11, 1, 3))            # hardly sure of anything
    print("#endif")


if __name__ == "__main__":
    sys.stdout = os.fdopen(os.dup(1), "w")
    main()
    sys.stdout.flush()
