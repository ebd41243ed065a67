"""Records what NumPy, SciPy and scikit-learn say of the labels that tests/data/policy_labels.h makes, as a C header:
python3 record_label_policy.py > label_policy_reference.h"""
import json

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss

FIRST, ROWS, K = 37, 2600, 4
NAMES = ["ant", "bee", "cat", "dog"]
state = 2026


def draw():
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return state >> 33


Z = np.array([[(draw() % 17 - 8) / 2 for _ in range(K)] for _ in range(ROWS)])
Z[np.arange(ROWS), np.arange(ROWS) % K] += 2
Z[:, 0] += 0.5
labelled = np.arange(ROWS) % 97 != 5
row = np.arange(ROWS) + FIRST


def truth():
    p = softmax(Z / 2, axis=1)
    u = np.array([draw() / 2**31 for _ in range(ROWS)])
    y = np.minimum((p.cumsum(1) <= u[:, None]).sum(1), K - 1)
    return np.where(np.arange(ROWS) % 11 == 0, -1, y)


Y = truth()
CASES = [
    {},
    {"confidence": {"min": 0.6}},
    {"confidence": {"min": 0.4, "max": 0.8}, "margin": {"min": 0.2}, "entropy": {"max": 1.0}},
    {"temperature": 2, "confidence": {"min": 0.5}},
    {"per_class": {"min": {"bee": 0.9, "dog": 0.7}}},
    {"per_class": {"min": [0.5, 0.6, 0.7, 0.8]}},
    {"per_class": {"median_capped": 0.7}},
    {"per_class": {"median_capped": 1}},
    {"per_class": {"top": 100}},
    {"per_class": {"top": 300, "quota": {"ant": 50, "cat": 10}}},
    {"confidence": {"min": 0.5}, "balance": "equal"},
    {"confidence": {"min": 0.5}, "balance": "prior"},
    {"confidence": {"min": 0.5}, "balance": "sqrt"},
    {"per_class": {"median_capped": 0.8, "quota": {"dog": 33}}, "balance": "equal"},
    {"per_class": {"top": 1}},
]


def by_class(given, default):
    if isinstance(given, list):
        return np.array(given, float)
    return np.array([(given or {}).get(n, default) for n in NAMES], float)


def view(policy):
    """The rows that a policy chooses, by sorting."""
    p = softmax(Z / policy.get("temperature", 1), axis=1)
    best, top = p.argmax(1), np.sort(p, 1)[:, ::-1]
    is_ = {"confidence": top[:, 0], "margin": top[:, 0] - top[:, 1], "entropy": entropy(p, axis=1)}
    keep = labelled.copy()
    for m, v in is_.items():
        limits = policy.get(m, {})
        keep &= (v >= limits.get("min", 0)) & (v <= limits.get("max", np.inf))
    per = policy.get("per_class", {})
    keep &= is_["confidence"] >= by_class(per.get("min"), 0)[best]
    rank = np.minimum(np.floor(is_["confidence"] * 2**24), 2**24 - 1).astype(int)
    before = np.bincount(best[labelled], minlength=K)
    if "median_capped" in per:
        median = np.array([np.quantile(rank[labelled & (best == c)], 0.5, method="higher") for c in range(K)])
        keep &= (rank >= median[best]) | (is_["confidence"] >= per["median_capped"])
    passed = np.bincount(best[keep], minlength=K)
    limit = np.minimum(by_class(per.get("quota"), np.inf), per.get("top", np.inf))
    n = np.minimum(limit, passed)
    balance = policy.get("balance", "none")
    if balance != "none":
        weight = {"equal": np.ones(K), "prior": before, "sqrt": np.sqrt(before)}[balance]
        limit = np.minimum(n, np.floor(weight * (n / weight).min() + 1e-9))
    chosen = []
    for c in range(K):
        of_c = np.flatnonzero(keep & (best == c))
        order = np.lexsort((of_c, -rank[of_c]))
        chosen += list(of_c[order][: int(min(limit[c], len(of_c)))])
    return before, passed, np.bincount(best[chosen], minlength=K), row[sorted(chosen)]


def numbers(values):
    return "{" + ", ".join(str(int(v)) for v in values) + "}"


print("/* Made by record_label_policy.py. */\nstatic const policy_case cases[] = {")
for policy in CASES:
    before, passed, after, rows = view(policy)
    text = json.dumps(policy).replace('"', '\\"')
    print(f'    {{"{text}",\n     {numbers(before)}, {numbers(passed)}, {numbers(after)}, {sum(int(r) for r in rows)}u, '
          f"{sum(int(r) ** 2 for r in rows)}u}},")
print("};\n")

have = labelled & (Y >= 0)
nll = lambda t: log_loss(Y[have], softmax(Z[have] / t, axis=1), labels=range(K))
best = minimize_scalar(nll, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-10})


def ece(t):
    p = softmax(Z[have] / t, axis=1)
    confidence, right = p.max(1), p.argmax(1) == Y[have]
    share, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    inside = np.bincount(np.searchsorted(np.linspace(0, 1, 16)[1:-1], confidence), minlength=15)
    return float((np.abs(share - mean) * inside[inside > 0]).sum() / have.sum())


p = softmax(Z[labelled], axis=1)
top = np.sort(p, 1)[:, ::-1]
tenths = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], top[:, 0]), minlength=10)
print("static const struct { double rows, accuracy, temperature, nll_before, nll_after, ece_before, ece_after; } calibrated = {")
print(f"    {have.sum()}, {accuracy_score(Y[have], Z[have].argmax(1)):.17g}, {best.x:.10g}, {nll(1):.15g}, {best.fun:.15g}, "
      f"{ece(1):.15g}, {ece(best.x):.15g}}};")
print("static const struct { double rows, confidence, entropy, margin, agree; int counts[4], tenths[10]; } summed = {")
print(f"    {labelled.sum()}, {top[:, 0].mean():.15g}, {entropy(p, axis=1).mean():.15g}, {(top[:, 0] - top[:, 1]).mean():.15g}, "
      f"{(Z[have].argmax(1) == Y[have]).sum()},\n    {numbers(np.bincount(p.argmax(1), minlength=K))}, {numbers(tenths)}}};")
