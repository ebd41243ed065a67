#!/usr/bin/env python3
"""Asks retort about what wild_exports.py wrote: python check_wild_exports.py RETORT FOLDER [NAME_PART...]

Each file is brought in by `retort import` and shown by `retort info`; each output of floats is answered by `retort predict`
("gives": "values") and compared with ONNX Runtime's recorded answer: greatest difference over the output's scale, the bar 1e-4
(halves: 1e-2, as their sums are in halves there), and the same class outside of ties of 1e-5. Of quantized files the answer is
right that equals either of ONNX Runtime's, with its optimizations or of the nodes as written. What was imported labels 64 rows (the
recorded ones again and again) with label.batch 1, 7 and 64: all bits are equal, and equal rows have equal ones. Says what is refused,
and how many layers go through `call`. Ends with 1 when anything differs."""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

retort, folder, parts = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
counts = {"ok": 0, "refused": 0, "DIFFERS": 0}
MANY = 64


def run(tmp, *args):
    return subprocess.run([retort, *args], cwd=tmp, capture_output=True, text=True, errors="replace")


def why(r):
    return r.stderr.strip().splitlines()[-1] if r.stderr.strip() else f"exit {r.returncode}"


def bind(tmp, path, feeds):
    inputs, rows = {}, len(next(iter(feeds.values())))
    for name, at in (("x.h5", slice(None)), ("many.h5", np.arange(MANY) % rows)):
        with h5py.File(f"{tmp}/{name}", "w") as f:
            for k, v in feeds.items():
                f["x" if len(feeds) == 1 else k] = (v.astype("i4") if v.dtype.kind in "iu" else v.astype("f4"))[at]
    for k, v in feeds.items():
        inputs[k] = {"shape": list(v.shape[1:]) or [1]} | ({"layout": "chw"} if v.ndim > 2 and v.dtype.kind == "f" else {})
    return {"file": path, "inputs": inputs}


def ask(tmp, spec, output, width):
    with open(f"{tmp}/t.json", "w") as f:
        json.dump(spec | {"output": output, "gives": "values"}, f)
    if os.path.exists(f"{tmp}/p.npy"):
        os.remove(f"{tmp}/p.npy")
    r = run(tmp, "predict", "t.json", "--data", "x.h5", "--out", "p.npy", "--quiet")
    if r.returncode:
        return None, why(r)
    return np.load(f"{tmp}/p.npy").reshape(-1, width), ""


def numbers(f):
    out = []
    f["labels"].visititems(lambda name, d: out.append(d[()]) if isinstance(d, h5py.Dataset) and len(d) == MANY and d.dtype.kind == "f" else None)
    return out


def brought_in(tmp, spec, output, rows):
    """Import, info, labels at three batches: layers, layers by definition, and what is wrong ("")."""
    with open(f"{tmp}/c.json", "w") as f:
        json.dump({k: v for k, v in spec.items() if k != "file"} | {"output": output, "gives": "values"}, f)
    for old in ("m.h5", "l1.h5", "l7.h5", "l64.h5"):
        if os.path.exists(f"{tmp}/{old}"):
            os.remove(f"{tmp}/{old}")
    r = run(tmp, "import", spec["file"], "--config", "c.json", "--out", "m.h5", "--quiet")
    if r.returncode:
        return 0, 0, "import: " + why(r)
    r = run(tmp, "info", "m.h5", "--json")
    if r.returncode:
        return 0, 0, "info: " + why(r)
    layers = json.loads(r.stdout).get("layers", [])
    calls = sum(x.get("op", "").startswith("call") for x in layers)
    first = None
    for batch in (1, 7, 64):
        r = run(tmp, "label", "--teacher", "m.h5", "--data", "many.h5", "--out", f"l{batch}.h5", f"label.batch={batch}", "--quiet")
        if r.returncode:
            return len(layers), calls, f"label.batch={batch}: " + why(r)
        with h5py.File(f"{tmp}/l{batch}.h5") as f:
            got = numbers(f)
        if not got:
            return len(layers), calls, "labels hold no numbers"
        first = first or got
        if any(a.tobytes() != b.tobytes() for a, b in zip(first, got)):
            return len(layers), calls, f"other bits with label.batch={batch}"
    if any(a[i].tobytes() != a[i % rows].tobytes() for a in first for i in range(MANY)):
        return len(layers), calls, "equal rows have other bits"
    return len(layers), calls, ""


def distance(got, want):
    return np.abs(got - want).max() / max(1e-30, np.abs(want).max()) if got.shape == want.shape else float("inf")


for name in sorted(os.listdir(folder)):
    if not name.endswith(".npz"):
        continue
    name = name[:-4]
    path = os.path.abspath(os.path.join(folder, name + ".onnx"))
    if (parts and not any(p in name for p in parts)) or not os.path.exists(path):
        continue
    z = np.load(os.path.join(folder, name + ".npz"))
    feeds = {k[3:]: z[k] for k in z.files if k.startswith("in:")}
    loose = 1e-2 if "fp16" in name else 1e-4
    with tempfile.TemporaryDirectory() as tmp:
        spec = bind(tmp, path, feeds)
        for key in [k for k in z.files if k.startswith("out:")]:
            want = z[key].reshape(len(z[key]), -1)
            got, no = ask(tmp, spec, key[4:], want.shape[1])
            if got is None:
                counts["refused"] += 1
                print(f"refused  {name} {key[4:]}: {no[:300]}", flush=True)
                continue
            raw = z["raw:" + key[4:]].reshape(len(want), -1) if "raw:" + key[4:] in z.files else want
            want = min(want, raw, key=lambda w: distance(got, w))
            worst = distance(got, want)
            best = np.sort(want, 1)
            tie = best[:, -1] - best[:, -2] <= 1e-5 * np.abs(want).max(1) if want.shape[1] > 1 else np.ones(len(want), bool)
            classes = int(((got.argmax(1) != want.argmax(1)) & ~tie).sum()) if got.shape == want.shape else -1
            layers, calls, bad = brought_in(tmp, spec, key[4:], len(want))
            good = worst <= loose and (not classes or loose > 1e-4) and not bad
            counts["ok" if good else "DIFFERS"] += 1
            print(f"{'ok' if good else 'DIFFERS'}  {name} {key[4:]}: {worst:.1e}, {classes} other classes, {layers} layers, {calls} by call{'; ' if bad else ''}{bad[:300]}", flush=True)
print(", ".join(f"{v} {k}" for k, v in counts.items()))
sys.exit(counts["DIFFERS"] > 0)
