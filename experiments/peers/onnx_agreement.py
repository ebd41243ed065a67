#!/usr/bin/env python3
"""Top-1 agreement of imported ONNX models with ONNX Runtime.  python3 onnx_agreement.py RETORT FOLDER|MODEL.onnx... [--rows 512]
(onnxruntime 1.32, h5py, numpy).

Every model with one float input of rank 2 to 4 and a float output of rows of 2 numbers or more is asked about rows of a normal
distribution, and as many that are ten times smaller and larger, by `retort predict` and by ONNX Runtime (one row at a time where the
file has a batch of one). Open dimensions but the batch are 32. Rows whose two best answers differ by less than 1e-5 of the answers'
scale are ties, counted apart. Ends with 1 when another row has another class."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import onnxruntime

p = argparse.ArgumentParser()
p.add_argument("retort")
p.add_argument("paths", nargs="+")
p.add_argument("--rows", type=int, default=512)
p.add_argument("--bytes", type=int, default=64 << 20)
a = p.parse_args()
a.retort = os.path.abspath(a.retort)
onnxruntime.set_default_logger_severity(4)
FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")


def files(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for folder, _, names in sorted(os.walk(path)):
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(".onnx"))


def ask_peer(path, rng):
    """Input, output, rows and ONNX Runtime's answers; None where the model is of another kind."""
    if os.path.getsize(path) > a.bytes:
        return None
    try:
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = 1
        s = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    except Exception:
        return None
    ins = s.get_inputs()
    if len(ins) != 1 or ins[0].type not in FLOATS or not 2 <= len(ins[0].shape) <= 4:
        return None
    shape = [d if isinstance(d, int) else 32 for d in ins[0].shape[1:]]
    rows = a.rows if np.prod(shape) < 20000 else 64
    x = rng.standard_normal([rows] + shape) * np.repeat([1.0, 0.1, 10.0], -(-rows // 3))[:rows].reshape([-1] + [1] * len(shape))
    x = x.astype({"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}[ins[0].type])
    fixed = isinstance(ins[0].shape[0], int)
    for out in s.get_outputs():
        if out.type not in FLOATS:
            continue
        try:
            if fixed and ins[0].shape[0] != 1:
                return None
            y = [s.run([out.name], {ins[0].name: x[i:i + 1]})[0] for i in range(rows)] if fixed else s.run([out.name], {ins[0].name: x})
            y = np.concatenate([v.reshape(1, -1) for v in y]) if fixed else y[0].reshape(rows, -1)
        except Exception:
            return None
        if y.shape[0] == rows and 2 <= y.shape[1] <= 4096 and np.isfinite(y).all():
            return ins[0].name, out.name, shape, x, y.astype(np.float64)
    return None


rng = np.random.default_rng(5)
rows = ties = wrong = asked = refused = 0
for path in files(a.paths):
    peer = ask_peer(path, rng)
    if not peer:
        continue
    name, output, shape, x, y = peer
    with tempfile.TemporaryDirectory() as tmp:
        with h5py.File(f"{tmp}/x.h5", "w") as f:
            f["x"] = x.astype(np.float32) if x.dtype == np.float16 else x
        spec = {"file": os.path.abspath(path), "inputs": {name: {"shape": shape} | ({"layout": "chw"} if len(shape) > 2 else {})}, "output": output}
        with open(f"{tmp}/t.json", "w") as f:
            json.dump(spec, f)
        r = subprocess.run([a.retort, "predict", "t.json", "--data", "x.h5", "--out", "p.npy", "--quiet"], cwd=tmp, capture_output=True, text=True)
        if r.returncode:
            refused += 1
            print(f"refused  {path}: {r.stderr.strip()[:160]}")
            continue
        z = np.load(f"{tmp}/p.npy")
    best = np.sort(y, 1)
    tie = best[:, -1] - best[:, -2] <= 1e-5 * np.abs(y).max(1)
    bad = (z.argmax(1) != y.argmax(1)) & ~tie
    asked, rows, ties, wrong = asked + 1, rows + len(x), ties + int(tie.sum()), wrong + int(bad.sum())
    if bad.any():
        i = int(bad.argmax())
        print(f"DIFFERS  {path}: {int(bad.sum())} of {len(x)} rows, first {i}: {y[i, :8]} against {z[i, :8]}")
print(f"{asked} models, {rows} rows, {ties} ties, {wrong} other classes; agreement outside ties {1 - wrong / max(1, rows - ties):.6f}; {refused} refused")
sys.exit(wrong > 0)
