#!/usr/bin/env python3
"""What 'retort drift' says of shifts that are planted in images, with and against the labels.

drift_shifts.py RETORT DATA.h5 MODEL.h5 OTHER.gz FOLDER: DATA.h5 has x (N, H, W, 1) u8 and y, of which 10,000 rows each are the
reference and the data; OTHER.gz is an IDX file of images of the same size, which take the place of 8 % of the rows.
"""
import gzip
import json
import pathlib
import subprocess
import sys

import h5py
import numpy as np

retort, source, model, other, folder = sys.argv[1:6]
folder = pathlib.Path(folder)
folder.mkdir(exist_ok=True)
with h5py.File(source) as f:
    x, y, manifest = f["x"][:], f["y"][:], f["manifest"][()]


def write(name, x, y):
    with h5py.File(folder / name, "w") as f:
        f["x"], f["y"], f["manifest"] = x, y, manifest


rng = np.random.default_rng(1)
order = rng.permutation(len(x))
a, b = order[:10000], order[10000:20000]
write("reference.h5", x[a], y[a])
v = x[b].astype("f4")
blur = v.copy()
blur[:, 1:-1, 1:-1] = (4 * v[:, 1:-1, 1:-1] + v[:, :-2, 1:-1] + v[:, 2:, 1:-1] + v[:, 1:-1, :-2] + v[:, 1:-1, 2:]) / 8
digits = x[b].copy()
images = np.frombuffer(gzip.open(other).read()[16:], "u1").reshape(-1, *x.shape[1:])
digits[:800] = images[:800]
few = np.r_[b[y[b] != 6], b[y[b] == 6][:200]]
cases = {"nothing": (x[b], y[b]), "15 % brighter": (np.clip(v * 1.15, 0, 255).astype("u1"), y[b]),
         "noise of 12 of 255": (np.clip(v + rng.normal(0, 12, v.shape), 0, 255).astype("u1"), y[b]),
         "blur": (blur.astype("u1"), y[b]), "a fifth of class 6": (x[few], y[few]), "8 % digits": (digits, y[b])}
print("| planted | verdict | checks that drift | accuracy | expected (ATC) | unlike |\n|---|---|---|---|---|---|")
for name, (images, labels) in cases.items():
    write("data.h5", images, labels)
    out = subprocess.run([retort, "drift", "--reference", folder / "reference.h5", "--data", folder / "data.h5", model,
                          "--quiet", "--json"], capture_output=True, text=True)
    r = json.loads(out.stdout)
    found = [c["name"] for c in r["checks"] if c["verdict"] == "drift"]
    accuracy = r["accuracy"][0]
    print(f"| {name} | {r['verdict']} | {', '.join(found) or 'none'} | {accuracy['data']:.4f} | {accuracy['expected_atc']:.4f} | "
          f"{100 * r['unlike']['share']:.2f} % |", flush=True)
