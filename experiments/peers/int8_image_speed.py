"""Speed of quantized convolutional nets that are no integer program as a whole, against ONNX Runtime:
    python int8_image_speed.py [--retort build/retort] [--batches 1,16] [--rounds 5] [--seconds 0.5] [--save FOLDER]

One residual net of 32x32 images with HardSwish and squeeze-and-excitation (which have no integer form there), as float and
quantized by ONNX Runtime: QDQ, operators (weights of a channel, and unsigned with any zero point), and quantize_dynamic
(ConvInteger). One thread, alternating; rows a second of CPU time; the median of the ratios of pairs. Layers that retort
computes node by node are counted; answers are compared with a row at a time. Needs numpy, h5py, onnx, onnxruntime, torch.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from torch import nn


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.a, self.b = nn.Conv2d(i, o, 3, stride, 1), nn.Conv2d(o, o, 3, 1, 1)
        self.s = nn.Conv2d(i, o, 1, stride) if i != o else nn.Identity()
        self.d, self.u = nn.Conv2d(o, o // 4, 1), nn.Conv2d(o // 4, o, 1)

    def forward(self, x):
        y = self.b(nn.functional.hardswish(self.a(x)))
        g = torch.sigmoid(self.u(torch.relu(self.d(nn.functional.adaptive_avg_pool2d(y, 1)))))
        return torch.relu(self.s(x) + y * g)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(3, 32, 3, 1, 1)
        self.blocks = nn.Sequential(Block(32, 32, 1), Block(32, 64, 2), Block(64, 128, 2))
        self.last = nn.Linear(128, 10)

    def forward(self, x):
        return self.last(nn.functional.adaptive_avg_pool2d(self.blocks(torch.relu(self.first(x))), 1).flatten(1))


class Rows(CalibrationDataReader):
    def __init__(self, x):
        self.rows = iter([{"x": r[None]} for r in x])

    def get_next(self):
        return next(self.rows, None)


def peer_of(path):
    o = ort.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    o.log_severity_level = 3
    o.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def peer_rate(session, x, seconds):
    start, cpu, rows = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        session.run(None, {"x": x})
        rows += len(x)
    return rows / (time.process_time() - cpu)


def own_rate(retort, model, batch, seconds):
    out = subprocess.run([retort, "bench", model, "--infer", "--threads", "1", "--json", "--quiet", f"batch={batch}",
                          f"seconds={seconds / 3}", "rounds=3"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["samples_per_cpu_second"]


def files(folder):
    model = Net().eval()
    x = np.random.default_rng(0).standard_normal((64, 3, 32, 32)).astype("f4")
    path = lambda n: os.path.join(folder, n + ".onnx")
    torch.onnx.export(model, (torch.tensor(x[:1]),), path("float"), opset_version=17, dynamo=False, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
    made = [("float", path("float"))]
    for name, form, weight, each in (("QDQ", QuantFormat.QDQ, QuantType.QInt8, True),
                                     ("operators", QuantFormat.QOperator, QuantType.QInt8, True),
                                     ("operators, unsigned weights", QuantFormat.QOperator, QuantType.QUInt8, False)):
        to = path(name.replace(", ", "_").replace(" ", "_"))
        quantize_static(path("float"), to, Rows(x), quant_format=form, activation_type=QuantType.QUInt8, weight_type=weight,
                        per_channel=each)
        made.append((name, to))
    quantize_dynamic(path("float"), path("dynamic"), weight_type=QuantType.QUInt8)
    return made + [("quantize_dynamic", path("dynamic"))], x


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--batches", default="1,16")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.5)
    p.add_argument("--save", default="", help="keep the files in this folder")
    a = p.parse_args()
    import h5py
    print(f"| file | by definition | answers apart | batch | retort rows/CPU-s | ONNX Runtime {ort.__version__} | ratio (range) |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        made, x = files(folder)
        if a.save:
            shutil.copytree(folder, a.save, dirs_exist_ok=True)
        data = os.path.join(folder, "x.h5")
        with h5py.File(data, "w") as f:
            f["x"] = np.moveaxis(x, 1, -1)
        for name, path in made:
            model, out = os.path.join(folder, "m.h5"), os.path.join(folder, "y.npy")
            run = lambda *what: subprocess.run([a.retort, *what, "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
            run("import", path, "--out", model)
            run("predict", model, "--data", data, "--out", out)
            info = subprocess.run([a.retort, "info", model, "--json"], check=True, capture_output=True, text=True).stdout
            calls = sum(layer.get("op") == "call" for layer in json.loads(info).get("layers", []))
            session = peer_of(path)
            want = np.concatenate([session.run(None, {"x": r[None]})[0] for r in x])
            apart = np.abs(np.load(out).reshape(want.shape) - want)
            for batch in map(int, a.batches.split(",")):
                pairs = [(own_rate(a.retort, model, batch, a.seconds), peer_rate(session, x[:batch], a.seconds))
                         for _ in range(a.rounds)]
                ratios = [s / t for s, t in pairs]
                print("| %s | %d | %.1e, %d of %d | %d | %.0f | %.0f | **%.2f** (%.2f-%.2f) |" % (
                    name, calls, apart.max() / np.abs(want).max(), (apart > 0).sum(), apart.size, batch,
                    *(statistics.median(s) for s in zip(*pairs)), statistics.median(ratios), min(ratios), max(ratios)), flush=True)


if __name__ == "__main__":
    main()
