"""Accuracy of students of integers against the same student in float, on Fashion-MNIST with the quickstart's teacher:
python3 experiments/integer/qat_accuracy.py RETORT FASHION OUT [NET ...]

FASHION is the quickstart's folder (runs/fashion), OUT keeps the runs; what is there already is not run again. For each
net and seed: a student in float, students trained with weights of 8 and of 4 bits, and the float one quantized after
training to both. Differences are paired by row over all seeds, with a 95 % interval of the normal approximation."""
import csv
import json
import math
import os
import subprocess
import sys

retort, fashion, out = sys.argv[1:4]
NETS = {"mlp": ({"family": "mlp", "width": 64, "depth": 2}, {"epochs": 20, "lr": 0.05}, None),
        "cnn": ({"family": "cnn", "width": 16, "depth": 3}, {"epochs": 10, "lr": 0.1}, None),
        "resnet8": ({"family": "resnet", "width": 16, "depth": 1}, {"epochs": 5, "lr": 0.1}, "0:10000")}
nets = sys.argv[4:] or list(NETS)
SEEDS = (1, 2, 3)
KINDS = ("float", "QAT W8", "QAT W4", "PTQ W8", "PTQ W4")
test, train = fashion + "/test_images.h5", fashion + "/train_images.h5"


def run(*command):
    subprocess.run([retort, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def student(net, seed, bits):
    model, how, rows = NETS[net]
    folder = "%s/%s-%d-%s" % (out, net, seed, bits or "float")
    config = {"seed": seed, "model": {"input": [28, 28, 1], "classes": 10, **model},
              "data": {"source": train, "hard_rows": "0:10000", "validation": 0, "labels": fashion + "/labels.h5"},
              "loss": {"kind": "kd", "temperature": 1}, "augment": {"flip": True},
              "train": {"nesterov": True, "ema": 0.999, **how}}
    if rows:
        config["data"]["rows"] = rows
    if bits:
        config["quant"] = {"weights": bits}
    os.makedirs(out, exist_ok=True)
    with open(folder + ".json", "w") as f:
        json.dump(config, f)
    run("train", folder + ".json", "--out", folder, "--threads", "1")
    return folder + "/model.h5"


def quantized(model, bits):
    to = "%s-ptq%d.h5" % (os.path.dirname(model), bits)
    method = "mse" if bits < 8 else "minmax"
    if not os.path.exists(to):
        run("quantize", model, "--data", train, "--out", to, "quant.weights=%d" % bits, "quant.method=" + method)
    return to


def right(model):
    """Whether each row's answer is right."""
    to = model[:-3] + ".csv"
    if not os.path.exists(to):
        run("predict", model, "--data", test, "--out", to)
    with open(to) as f:
        rows = list(csv.DictReader(f))
    return [r["truth"] == r["prediction"] for r in rows]


for net in nets:
    hits = {k: [] for k in KINDS}
    for seed in SEEDS:
        base = student(net, seed, None)
        for kind, model in zip(KINDS, (base, student(net, seed, 8), student(net, seed, 4), quantized(base, 8),
                                       quantized(base, 4))):
            hits[kind] += right(model)
    n = len(hits["float"])
    print("%s: float %.4f (mean of %d seeds, %d rows)" % (net, sum(hits["float"]) / n, len(SEEDS), n), flush=True)
    for kind in KINDS[1:]:
        b = sum(f and not q for f, q in zip(hits["float"], hits[kind]))
        c = sum(q and not f for f, q in zip(hits["float"], hits[kind]))
        d, se = (c - b) / n, math.sqrt((b + c - (b - c) ** 2 / n) / n ** 2)
        print("  %s %.4f  %+.2f points [%+.2f, %+.2f]" % (kind, sum(hits[kind]) / n, 100 * d, 100 * (d - 1.96 * se),
                                                         100 * (d + 1.96 * se)), flush=True)
