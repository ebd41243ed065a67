#!/usr/bin/env python3
"""cleanlab beside 'retort clean', for experiments/clean.sh:

    clean_peer.py flip DATA.h5 NOISY.h5 SHARE     labels of SHARE of the rows, by a hash of their numbers, become others
    clean_peer.py probs P.h5 DATA.h5 PROBS.h5     predictions as f64 probabilities with the labels of their rows
    clean_peer.py folds DATA.h5 PROBS.h5 P.h5 ...  the same of several folds' predictions, in one file by row
    clean_peer.py right DATA.h5 NOISY.h5 ISSUES.csv ROWS       precision and recall of a list among the first ROWS
    clean_peer.py compare RETORT DATA.h5 NOISY.h5 PROBS.h5 ...
                                                  each method, each file: rows found by both, precision and recall, time
    clean_peer.py gain FOLDER SEED ...            accuracy with all rows and with those kept, and 95 % of the pooled gain
    clean_peer.py speed RETORT ROWS CLASSES DIR   rows a CPU-second on made probabilities, in turns

needs h5py, numpy and cleanlab.
"""
import os
import resource
import subprocess
import sys
import time
import warnings

import h5py
import numpy as np

METHODS = ["low_self_confidence", "low_normalized_margin", "prune_by_noise_rate", "prune_by_class", "both",
           "confident_learning", "predicted_neq_given"]
warnings.simplefilter("ignore")


def mixed(n):
    x = np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0xD1B54A32D192ED03)
    x ^= x >> np.uint64(31)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(29))


def flip(data, noisy, share):
    with h5py.File(data) as f, h5py.File(noisy, "w") as g:
        y = f["y"][:].astype(np.int32)
        h = mixed(len(y))
        k = int(y.max()) + 1
        wrong = (h >> np.uint64(11)) / float(1 << 53) < float(share)
        other = (y + 1 + (h % np.uint64(k - 1)).astype(np.int32)) % k
        g["x"] = f["x"][:]
        g["y"] = np.where(wrong, other, y).astype(np.int32)
        print(f"{int(wrong.sum())} of {len(y)} labels flipped")


def probs(predictions, data, out):
    with h5py.File(predictions) as f, h5py.File(data) as d, h5py.File(out, "w") as g:
        z = f["logits/y"][:].astype(np.float64)
        z -= z.max(1, keepdims=True)
        p = np.exp(z)
        g["p"] = p / p.sum(1, keepdims=True)
        g["y"] = d["y"][:][f["row"][:].astype(np.int64)]
        g["row"] = f["row"][:]


def folds(noisy, out, *predictions):
    """predictions of all folds as one file, by row"""
    z, row = [], []
    for path in predictions:
        with h5py.File(path) as f:
            z.append(f["logits/y"][:].astype(np.float64))
            row.append(f["row"][:].astype(np.int64))
    z, row = np.concatenate(z), np.concatenate(row)
    order = np.argsort(row)
    z, row = z[order], row[order]
    p = np.exp(z - z.max(1, keepdims=True))
    with h5py.File(noisy) as d, h5py.File(out, "w") as g:
        g["p"], g["y"], g["row"] = p / p.sum(1, keepdims=True), d["y"][:][row], row


def right(data, noisy, issues, rows):
    with h5py.File(data) as f, h5py.File(noisy) as g:
        wrong = (f["y"][:] != g["y"][:])[:int(rows)]
    with open(issues) as f:
        found = np.array([int(line.split(",")[0]) for line in f.readlines()[1:]], int)
    hits = int(wrong[found].sum())
    print(f"{len(found)} rows found, precision {hits / len(found):.4f}, recall {hits / wrong.sum():.4f}", flush=True)


def retort_rows(retort, path, method):
    out = path + ".csv"
    if os.path.exists(out):
        os.remove(out)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([retort, "clean", path, "--set", "p", "--out", out, "--method", method, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(out) as f:
        rows = np.array([int(line.split(",")[0]) for line in f.readlines()[1:]], int)
    return rows, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cleanlab_rows(path, method):
    from cleanlab.filter import find_label_issues
    start = time.process_time()
    with h5py.File(path) as f:
        p, y = f["p"][:], f["y"][:]
    rows = np.flatnonzero(find_label_issues(y, p, filter_by=method, n_jobs=1))
    return rows, time.process_time() - start


def stable_rows(path, method):
    """numpy's own sort leaves open, and to the machine, which of equal values comes first."""
    own = np.argsort
    np.argsort = lambda a, *args, **kw: own(a, *args, **{**kw, "kind": "stable"})
    try:
        return cleanlab_rows(path, method)[0]
    finally:
        np.argsort = own


def compare(retort, data, noisy, *files):
    with h5py.File(data) as f, h5py.File(noisy) as g:
        wrong = f["y"][:] != g["y"][:]
    print("| method | rows | not in both | with a stable sort | precision | recall | cleanlab precision | recall |\n"
          "|---|---|---|---|---|---|---|---|")
    for m in METHODS:
        found, differ, tied, hits, theirs, their_hits, all_wrong = 0, 0, 0, 0, 0, 0, 0
        for path in files:
            with h5py.File(path) as f:
                bad = wrong[f["row"][:].astype(np.int64)]
            r, c = retort_rows(retort, path, m)[0], cleanlab_rows(path, m)[0]
            differ += len(set(r) ^ set(c))
            tied += len(set(r) ^ set(stable_rows(path, m)))
            found, hits = found + len(r), hits + int(bad[r].sum())
            theirs, their_hits, all_wrong = theirs + len(c), their_hits + int(bad[c].sum()), all_wrong + int(bad.sum())
        print(f"| {m} | {found} | {differ} | {tied} | {hits / found:.4f} | {hits / all_wrong:.4f} | {their_hits / theirs:.4f} | "
              f"{their_hits / all_wrong:.4f} |")


def speed(retort, rows, classes, folder):
    rows, k = int(rows), int(classes)
    g = np.random.default_rng(1)
    y = g.integers(0, k, rows).astype(np.int32)
    z = g.standard_normal((rows, k)) * 1.5
    z[np.arange(rows), np.where(g.random(rows) < .1, g.integers(0, k, rows), y)] += 3
    p = np.exp(z)
    path = os.path.join(folder, "made.h5")
    with h5py.File(path, "w") as f:
        f["p"], f["y"] = p / p.sum(1, keepdims=True), y
    print("| method | retort, rows a CPU-second | cleanlab | ratio (least - most) | not in both |\n|---|---|---|---|---|")
    for m in METHODS:
        ours, theirs = [], []
        for _ in range(3):
            r, a = retort_rows(retort, path, m)
            c, b = cleanlab_rows(path, m)
            ours.append(a)
            theirs.append(b)
        q = [b / a for a, b in zip(ours, theirs)]
        print(f"| {m} | {rows / np.median(ours):,.0f} | {rows / np.median(theirs):,.0f} | {np.median(q):.2f} "
              f"({min(q):.2f} - {max(q):.2f}) | {len(set(r) ^ set(c))} |", flush=True)


def gain(folder, *seeds):
    by_row = 0
    for seed in seeds:
        right = []
        for kind in ("all", "kept"):
            with h5py.File(os.path.join(folder, f"{kind}{seed}.h5")) as f:
                right.append(f["logits/y"][:].argmax(1) == f["truth/y"][:])
        print(f"seed {seed}: accuracy {right[0].mean():.4f} with all rows, {right[1].mean():.4f} with those that are kept")
        by_row = by_row + (right[1].astype(float) - right[0]) / len(seeds)
    e = 1.96 * by_row.std(ddof=1) / np.sqrt(len(by_row))     # test rows are the same for all seeds: one value a row
    print(f"pooled: {by_row.mean():+.4f} [{by_row.mean() - e:+.4f}, {by_row.mean() + e:+.4f}]")


if __name__ == "__main__":
    {"flip": flip, "probs": probs, "compare": compare, "gain": gain, "speed": speed,
     "folds": folds, "right": right}[sys.argv[1]](*sys.argv[2:])
