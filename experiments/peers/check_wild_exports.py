#!/usr/bin/env python3
"""Asks retort about what wild_exports.py wrote: python check_wild_exports.py RETORT FOLDER [NAME_PART...]

Each output of floats is answered by `retort predict` ("gives": "values") and compared with ONNX Runtime's recorded answer:
greatest difference over the output's scale, the bar 1e-4 (halves: 1e-2, as their sums are in halves there), and the same class
outside of ties of 1e-5. Says what is refused, and how many nodes go through `call`. Ends with 1 when anything differs."""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

retort, folder, parts = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
counts = {"ok": 0, "refused": 0, "DIFFERS": 0}


def run(tmp, *args):
    return subprocess.run([retort, *args], cwd=tmp, capture_output=True, text=True, errors="replace")


def ask(tmp, path, feeds, output, width):
    inputs = {}
    with h5py.File(f"{tmp}/x.h5", "w") as f:
        for k, v in feeds.items():
            f["x" if len(feeds) == 1 else k] = v.astype("i4") if v.dtype.kind in "iu" else v.astype("f4")
            inputs[k] = {"shape": list(v.shape[1:]) or [1]} | ({"layout": "chw"} if v.ndim > 2 and v.dtype.kind == "f" else {})
    spec = {"file": path, "inputs": inputs, "output": output, "gives": "values"}
    with open(f"{tmp}/t.json", "w") as f:
        json.dump(spec, f)
    if os.path.exists(f"{tmp}/p.npy"):
        os.remove(f"{tmp}/p.npy")
    r = run(tmp, "predict", "t.json", "--data", "x.h5", "--out", "p.npy", "--quiet")
    if r.returncode:
        return None, r.stderr.strip().splitlines()[-1] if r.stderr.strip() else f"exit {r.returncode}"
    return np.load(f"{tmp}/p.npy").reshape(-1, width), ""


def calls(tmp, path):
    r = run(tmp, "info", "t.json", "--json")
    try:
        return sum(x.get("op", "").startswith("call") for x in json.loads(r.stdout).get("layers", []))
    except (ValueError, AttributeError):
        return -1


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
        for key in [k for k in z.files if k.startswith("out:")]:
            want = z[key].reshape(len(z[key]), -1)
            got, why = ask(tmp, path, feeds, key[4:], want.shape[1])
            if got is None:
                counts["refused"] += 1
                print(f"refused  {name} {key[4:]}: {why[:300]}", flush=True)
                continue
            worst = np.abs(got - want).max() / max(1e-30, np.abs(want).max()) if got.shape == want.shape else float("inf")
            best = np.sort(want, 1)
            tie = best[:, -1] - best[:, -2] <= 1e-5 * np.abs(want).max(1) if want.shape[1] > 1 else np.ones(len(want), bool)
            classes = int(((got.argmax(1) != want.argmax(1)) & ~tie).sum()) if got.shape == want.shape else -1
            good = worst <= loose and (not classes or loose > 1e-4)
            counts["ok" if good else "DIFFERS"] += 1
            print(f"{'ok' if good else 'DIFFERS'}  {name} {key[4:]}: {worst:.1e}, {classes} other classes, {calls(tmp, path)} call", flush=True)
print(", ".join(f"{v} {k}" for k, v in counts.items()))
sys.exit(counts["DIFFERS"] > 0)
