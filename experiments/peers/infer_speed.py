"""Inference speed of retort against ONNX Runtime: the same layers in fp32, in one alternating run.

  python3 experiments/peers/infer_speed.py [--retort build/retort] [--models dscnn,...] [--batches 1,64] [--rounds 9]
                                           [--onnx a.onnx,b.onnx] [--threads 1]

With --onnx both sides run the file itself, whose input is named "x" and whose batch is open (export_onnx_models.py).
ONNX Runtime gets its arrays by name or bound before, whichever is faster.

Needs torch, onnx and onnxruntime in the Python that runs it. Rates are rows a second of CPU time, so that other loads
weigh less; batch norms have statistics that are not the identity, so that both sides have them to fold. What counts is
the median of the ratios of pairs.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

WALL = False        # several threads: by the clock on the wall

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)


def exported(name, batch, folder):
    import torch
    import torch_models
    build, shape, _ = torch_models.MODELS[name]
    torch.manual_seed(0)
    model = build()
    for m in model.modules():
        if isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(m.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(m.running_var, 0.5, 1.5)
    path = os.path.join(folder, "%s-%d.onnx" % (name, batch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), torch.randn(batch, *shape), path, input_names=["x"], dynamo=False)
    return path, (batch, *shape)


class Peer:
    def __init__(self, name, batch, folder, threads):
        import numpy
        import onnxruntime
        if name.endswith(".onnx"):
            path = name
            shape = [batch] + onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].shape[1:]
        else:
            path, shape = exported(name, batch, folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.x = numpy.random.default_rng(1).standard_normal(shape, dtype="f4")
        bound = self.session.io_binding()
        bound.bind_cpu_input("x", self.x)
        bound.bind_output(self.session.get_outputs()[0].name)
        self.ways = [lambda: self.session.run(None, {"x": self.x}), lambda: self.session.run_with_iobinding(bound)]
        start = time.perf_counter()
        self.ways[0]()
        self.burst = 4 if time.perf_counter() - start < 0.02 else 1
        self.ways.sort(key=lambda way: -self.rate(0.1, way))

    def rate(self, seconds, way=None):
        way = way or self.ways[0]
        start, rows = time.perf_counter(), 0
        clock = time.perf_counter if WALL else time.process_time
        cpu = clock()
        while time.perf_counter() - start < seconds:
            for _ in range(self.burst):
                way()
            rows += self.burst * len(self.x)
        return rows / (clock() - cpu)


def retort_rate(binary, name, batch, seconds, threads):
    path = name if name.endswith(".onnx") else os.path.join(here, "models", name + ".json")
    out = subprocess.run([binary, "bench", path, "--infer", "--threads", str(threads), "--json", "--quiet",
                          "batch=%d" % batch, "seconds=%g" % (seconds / 3), "rounds=3"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["samples_per_second" if WALL else "samples_per_cpu_second"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--models", default="jet,mlp,cnn,dscnn,conv1d,resnet8")
    p.add_argument("--batches", default="1,64")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--seconds", type=float, default=0.6)
    p.add_argument("--onnx", default="")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    global WALL
    WALL = a.threads > 1
    import onnxruntime
    print("| model | batch | retort rows/CPU-s | ONNX Runtime %s | ratio (min - max) |\n|---|---|---|---|---|" % onnxruntime.__version__)
    with tempfile.TemporaryDirectory() as folder:
        for name in (a.onnx or a.models).split(","):
            for batch in map(int, a.batches.split(",")):
                peer = Peer(name, batch, folder, a.threads)
                pairs = [(retort_rate(a.retort, name, batch, a.seconds, a.threads), peer.rate(a.seconds)) for _ in range(a.rounds)]
                ratios = [mine / theirs for mine, theirs in pairs]
                print("| %s | %d | %.0f | %.0f | **%.2f** (%.2f - %.2f) |" % (
                    os.path.basename(name), batch, *(statistics.median(side) for side in zip(*pairs)), statistics.median(ratios), min(ratios), max(ratios)), flush=True)


if __name__ == "__main__":
    main()
