#!/usr/bin/env python3
"""Writes tests/data/votes_reference.h: what crowd-kit says of voters, and scikit-activeml and NumPy of rows to select.

Needs crowd-kit 1.4.2, scikit-activeml 1.0.1. crowd-kit stops early of itself (its bound may fall by rounding), so it is
told not to. Cases come from a linear congruential generator, which the tests run, too.
Usage: record_votes.py > votes_reference.h"""
import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene
from skactiveml.pool import CoreSet, uncertainty_scores


def lcg(n, s):
    out = np.empty(n)
    for i in range(n):
        s = (s * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
        out[i] = (s >> 33) / 2**31
    return out


def put(name, a, kind="double"):
    a = np.asarray(a)
    dims = "".join(f"[{d}]" for d in a.shape)
    text = ", ".join(repr(float(x)) if kind == "double" else str(int(x)) for x in a.ravel())
    lines, line = [], "   "
    for word in text.split(" "):
        if len(line) + 1 + len(word) > 118:
            lines.append(line)
            line = "   "
        line += " " + word
    lines.append(line)
    flat = f"[{a.size}]" if a.ndim > 1 else dims
    print(f"static const {kind} {name}{flat} = {{   /* {dims} */\n" + "\n".join(lines) + "};")


print("/* Made by tests/data/record_votes.py: crowd-kit 1.4.2, scikit-activeml 1.0.1, NumPy. */")
N, M, K = 600, 5, 3
true = np.array([0] * 300 + [1] * 200 + [2] * 100)
right, cover = [.9, .8, .7, .6, .4], [.9, .8, .7, .6, .5]
u = lcg(N * M * 3, 7).reshape(N, M, 3)
L = -np.ones((N, M), int)
for j in range(M):
    for i in range(N):
        if u[i, j, 0] < cover[j]:
            L[i, j] = true[i] if u[i, j, 1] < right[j] else (true[i] + 1 + int(u[i, j, 2] * (K - 1))) % K
df = pd.DataFrame([(i, j, L[i, j]) for i in range(N) for j in range(M) if L[i, j] >= 0],
                  columns=["task", "worker", "label"])
voted = np.array(sorted(df.task.unique()))
most = np.array([np.bincount(L[i][L[i] >= 0], minlength=K).argmax() for i in voted])
put("votes_given", (L >= 0).sum(0), "int")
put("majority_accuracy", [(most == true[voted]).mean()])
for name, model in (("ds", DawidSkene(n_iter=500, tol=-1)), ("coin", OneCoinDawidSkene(n_iter=500, tol=-1))):
    model.fit(df)
    p = model.probas_.sort_index()[[0, 1, 2]]
    put(f"{name}_accuracy", [(p.values.argmax(1) == true[p.index.values]).mean()])
    put(f"{name}_prior", model.priors_.reindex([0, 1, 2]).values)
    if name == "coin":
        put("coin_skill", model.skills_.reindex(range(M)).values)
    else:                                       # confusion[voter][true][said]
        put("ds_confusion", np.stack([model.errors_.loc[j].reindex([0, 1, 2])[[0, 1, 2]].values.T for j in range(M)]))
    put(f"{name}_rows", p.index.values[::60], "int")
    put(f"{name}_p", p.values[::60])

X = lcg(80, 11).reshape(40, 2).astype(np.float32).astype(float)
y = np.full(40, np.nan)
y[0] = 0
put("core_set", CoreSet(random_state=0).query(X, y, batch_size=6), "int")
P = lcg(120, 12).reshape(40, 3)
P = (P / P.sum(1, keepdims=True)).astype(np.float32).astype(float)
for name, method in (("entropy", "entropy"), ("margin", "margin_sampling"), ("least", "least_confident")):
    score = uncertainty_scores(P, method=method)
    put(f"{name}_order", np.argsort(-score, kind="stable")[:12], "int")
    put(f"{name}_score", score[np.argsort(-score, kind="stable")[:12]])

# BADGE as scikit-activeml has it, with numbers that are given in place of its generator's: gradients are formed here.
draw = lcg(10, 13)
for name, H in (("badge", X), ("badge_flat", np.ones((40, 1)))):
    g = ((P - np.eye(3)[P.argmax(1)])[:, :, None] * H[:, None, :]).reshape(40, -1)
    d2, pick = (g**2).sum(1), []
    for i in range(10):
        if i == 0:
            k = int(d2.argmax())
            d2 = np.full(40, np.inf)
        else:
            k = int(np.searchsorted(np.cumsum(d2), draw[i] * d2.sum(), side="right"))
        pick.append(k)
        d2 = np.minimum(d2, ((g - g[k])**2).sum(1))
        d2[pick] = 0
    put(f"{name}_rows", pick, "int")
# k-center among the 12 of the largest entropy, from the first of them
pool = np.argsort(-uncertainty_scores(P, method="entropy"), kind="stable")[:12]
pick = [int(pool[0])]
while len(pick) < 4:
    d = np.array([min(((X[i] - X[c])**2).sum() for c in pick) for i in sorted(pool)])
    pick.append(int(sorted(pool)[d.argmax()]))
put("mix_rows", pick, "int")
