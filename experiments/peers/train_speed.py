"""Training speed of retort against PyTorch: the same model, batch and optimizer, in one alternating run.

  python3 experiments/peers/train_speed.py [--retort build/retort] [--models jet,mlp,...] [--threads 1,2] [--rounds 9]
                                           [--qat live|frozen]

Needs torch in the Python that runs it (a virtual environment outside the repository). PyTorch takes the best of NCHW and
NHWC, eager and compiled, found in a first pass; then retort and PyTorch alternate A B A B and the median of the ratios
counts, of CPU time with one thread and of the clock with more. Both sides train on data already in memory, batch 128, SGD with momentum 0.9 and weight decay 5e-4.
--qat: steps of quantization-aware training on both sides, before and after ranges and batch norms stand; PyTorch's by
its FX graph mode, eager.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))


def torch_worker(name, batch, fmt, compiled, threads, qat):
    """A PyTorch process that answers each line on stdin with a rate measured over that many seconds."""
    sys.path.insert(0, here)
    import torch
    import torch_models
    torch.set_num_threads(threads)
    trainer = torch_models.Trainer(name, batch, fmt, compiled, qat)
    for _ in range(10):
        trainer.step()
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        seconds, start, cpu, steps = float(line), time.perf_counter(), time.process_time(), 0
        while True:
            for _ in range(4):
                trainer.step()
            steps += 4
            gone = time.perf_counter() - start
            if gone >= seconds:
                break
        print(steps * batch / (gone if threads > 1 else time.process_time() - cpu), flush=True)


class Torch:
    def __init__(self, name, batch, fmt, compiled, threads, qat):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, str(batch), fmt, str(int(compiled)), str(threads), qat],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
        self.version = self.process.stdout.readline().split()

    def rate(self, seconds):
        self.process.stdin.write("%g\n" % seconds)
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def retort_rate(binary, name, batch, threads, seconds, qat):
    out = subprocess.run([binary, "bench", os.path.join(here, "models", name + ".json"), "--threads", str(threads), "--json", "--quiet",
                          "batch=%d" % batch, "seconds=%g" % seconds, "rounds=1", "qat=" + qat], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        name, batch, fmt, compiled, threads, qat = sys.argv[2:8]
        return torch_worker(name, int(batch), fmt, compiled == "1", int(threads), qat)
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--models", default="jet,mlp,cnn,dscnn,conv1d,resnet8")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--qat", default="off", choices=("off", "live", "frozen"))
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--seconds", type=float, default=0.6)
    a = p.parse_args()
    sys.path.insert(0, here)
    import torch_models
    print("| model | threads | retort samples/s | PyTorch samples/s | PyTorch variant | ratio (min - max) | retort GFLOP/s | peak |")
    print("|---|---|---|---|---|---|---|---|")
    for threads in map(int, a.threads.split(",")):
        for name in a.models.split(","):
            best = None
            for fmt, compiled in torch_models.variants(name):
                if compiled and a.qat != "off":
                    continue
                try:
                    t = Torch(name, a.batch, fmt, compiled, threads, a.qat)
                    rate = max(t.rate(0.5) for _ in range(3))
                except Exception:
                    continue
                if best is None or rate > best[0]:
                    if best:
                        best[1].close()
                    best = (rate, t, fmt, "compiled" if compiled else "eager")
                else:
                    t.close()
            ours, theirs, ratios, info = [], [], [], {}
            for _ in range(a.rounds):
                info = retort_rate(a.retort, name, a.batch, threads, a.seconds, a.qat)
                ours.append(info["samples_per_second" if threads > 1 else "samples_per_cpu_second"])
                theirs.append(best[1].rate(a.seconds))
                ratios.append(ours[-1] / theirs[-1])
            best[1].close()
            print("| %s | %d | %.0f | %.0f | %s %s | **%.2f** (%.2f - %.2f) | %.0f | %.0f |" % (
                name, threads, statistics.median(ours), statistics.median(theirs), best[2], best[3], statistics.median(ratios), min(ratios), max(ratios),
                info["gflops"], info["peak_gflops_1thread"]), flush=True)
    print("\nPyTorch %s, retort %s" % (" ".join(best[1].version[1:]), subprocess.run([a.retort, "--version"], capture_output=True, text=True).stdout.strip()))


if __name__ == "__main__":
    main()
