"""A frozen trunk with a new head against the same net from scratch: python transfer.py TRUNK.onnx TRAIN.h5 TEST.h5 [--rows 200]

TRAIN.h5 and TEST.h5 are Fashion-MNIST as 'sh experiments/quickstart.sh' makes them (runs/fashion/train_images.h5,
test_images.h5); the new task sorts its articles into tops, trousers and dresses, shoes, and bags. TRUNK.onnx is a CNN on
images of 28 x 28 that was trained on something else, or on the ten articles. Over three seeds both are trained on the same few
labelled rows; McNemar's test (exact) is over the 3 x 10,000 test rows together. Needs numpy and h5py.
"""
import argparse
import json
import math
import os
import subprocess
import tempfile

import h5py
import numpy as np

GROUP = np.array([0, 1, 0, 1, 0, 2, 0, 2, 3, 2], "i4")


def with_groups(path, out):
    with h5py.File(path) as f, h5py.File(out, "w") as g:
        g["x"], g["group"] = f["x"][:], GROUP[f["y"][:]]


def answers(retort, model, data, folder):
    out = os.path.join(folder, "p.npy")
    subprocess.run([retort, "predict", model, "--data", data, "--out", out, "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return np.load(out).argmax(1)


def mcnemar(b, c):
    n, k = b + c, min(b, c)
    if not n:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * math.exp(max(logs)) * sum(math.exp(v - max(logs)) for v in logs))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("trunk", "train", "test"):
        p.add_argument(name)
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--rows", type=int, default=200)
    p.add_argument("--epochs", type=int, default=40)
    p.add_argument("--layer", default="", help="that the new head reads; the old head's input if not given")
    p.add_argument("--scratch", default="", help="a model file with the architecture that starts from first values; the trunk's if not "
                   "given, which must then have no constants")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train, test = (os.path.join(folder, f) for f in ("train.h5", "test.h5"))
        with_groups(a.train, train)
        with_groups(a.test, test)
        with h5py.File(test) as f:
            truth = f["group"][:]
        info = json.loads(subprocess.run([a.retort, "info", a.trunk, "--json"], check=True, capture_output=True, text=True).stdout)
        h5 = os.path.join(folder, "trunk.h5")
        subprocess.run([a.retort, "import", a.trunk, "--out", h5, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        with h5py.File(a.scratch or h5) as f:
            arch = json.loads(f["manifest"][()].decode())["arch"]
        names = [l["name"] for l in info["layers"]]
        trunk = [l["name"] for l in info["layers"][:names.index(a.layer) + 1 if a.layer else None] if l.get("parameters", 0) > 0]
        head = {"replace": info["heads"][0]["name"] if "heads" in info else "y", "name": "group", "size": 4}
        if a.layer:
            head["from"] = a.layer
        gains = losses = 0
        for seed in (1, 2, 3):
            common = {"seed": seed, "data": {"source": train, "rows": f"0:{a.rows}", "targets": {"group": "group"}},
                      "train": {"epochs": a.epochs, "lr": 0.02, "batch": 50}}
            tuned = dict(common, init=a.trunk, heads=[head])
            frozen = [n for n in trunk if a.layer or n != trunk[-1]]
            tuned["train"] = dict(common["train"], freeze=[n.replace("[", "[[]") for n in frozen])
            scratch = json.loads(json.dumps(arch))
            for key in ("classes", "heads"):
                scratch.pop(key, None)
            layers = scratch["layers"]
            if a.layer and not a.scratch:
                at = [l["name"] for l in layers].index(a.layer)
                layers[at + 1:] = [{"op": "dense", "name": "group", "out": 4, "from": a.layer}]
            else:
                layers[-1].update(out=4, name="group")
            scratch["heads"] = [{"name": "group", "size": 4}]
            good = {}
            for name, config in (("tuned", tuned), ("scratch", dict(common, model=scratch))):
                path, out = os.path.join(folder, name + ".json"), os.path.join(folder, f"{name}{seed}")
                with open(path, "w") as f:
                    json.dump(config, f)
                subprocess.run([a.retort, "train", path, "--out", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
                good[name] = answers(a.retort, os.path.join(out, "model.h5"), test, folder) == truth
            gains += int((good["tuned"] & ~good["scratch"]).sum())
            losses += int((~good["tuned"] & good["scratch"]).sum())
            print(f"seed {seed}: frozen trunk {good['tuned'].mean():.4f}, from scratch {good['scratch'].mean():.4f}", flush=True)
        print(f"right by the frozen trunk alone {gains}, by the other alone {losses}: McNemar p = {mcnemar(gains, losses):.2g}")


if __name__ == "__main__":
    main()
