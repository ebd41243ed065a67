"""Training speed of retort on a card against PyTorch on the same card: the same models, batch and optimizer, in one alternating run.

  python3 experiments/gpu/speed.py --retort build-gpu/retort --models-folder experiments/peers/models [--precisions fp32,tf32,bf16]
                                   [--budget 230] [--json F] [--markdown F]

PyTorch, with its batch on the card: eager, compiled, and compiled with CUDA graphs (mode="reduce-overhead"), the images NCHW and NHWC; of each group
the best counts. retort: 'retort bench MODEL --device cuda', which keeps its batch on the card, too. Both sides in the same precision: fp32 is
fp32 in products and convolutions (PyTorch's own default has TF32 in convolutions), tf32 TF32 in both, bf16 autocast. Medians of alternating rounds.
What does not fit into the budget is said and left out. Without PyTorch, or without a card for it, retort is timed alone.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
SECONDS = 0.3


def find_models():
    for p in (here, os.path.join(here, "..", "peers")):
        if os.path.exists(os.path.join(p, "torch_models.py")):
            sys.path.insert(0, p)
            return


def worker(name, batch, precision, seconds):
    """Prepares every variant, prints their names, then answers each line (a variant) with a rate."""
    find_models()
    import torch
    import torch_models
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    build, shape, classes = torch_models.MODELS[name]
    end = time.time() + seconds

    def make(fmt, mode):
        torch.manual_seed(0)
        model, x = build().cuda(), torch.randn(batch, *shape, device="cuda")
        if fmt == "nhwc":
            model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        y = torch.randint(0, classes, (batch,), device="cuda")
        opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, foreach=True)
        loss = torch.nn.CrossEntropyLoss()
        run = model if mode == "eager" else torch.compile(model, mode=None if mode == "compiled" else "reduce-overhead")

        def step():
            opt.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
                value = loss(run(x), y)
            value.backward()
            opt.step()
        for _ in range(12):
            step()
        torch.cuda.synchronize()
        return step

    def rate(step, seconds):
        torch.cuda.synchronize()
        start, steps = time.perf_counter(), 0
        while True:
            for _ in range(16):
                step()
            steps += 16
            if time.perf_counter() - start >= seconds:
                torch.cuda.synchronize()
                return steps * batch / (time.perf_counter() - start)

    ready, formats = {}, ("nchw", "nhwc") if len(shape) == 3 else ("nchw",)
    for mode in ("eager", "graphs", "compiled"):
        for fmt in formats:
            if time.time() > end:
                break
            try:
                ready[mode + " " + fmt] = make(fmt, mode)
            except Exception as e:
                print("%s %s %s: %s" % (name, mode, fmt, str(e).splitlines()[:1]), file=sys.stderr, flush=True)
    print(json.dumps({"torch": torch.__version__, "card": torch.cuda.get_device_name(0), "variants": list(ready)}), flush=True)
    for line in sys.stdin:
        what, seconds = line.rsplit(" ", 1)
        print(rate(ready[what], float(seconds)), flush=True)


class Torch:
    def __init__(self, name, batch, precision, seconds):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker", name, str(batch), precision, str(seconds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = None

    def variants(self):
        """Those that are ready; waits until all are."""
        if self.about is None:
            line = self.process.stdout.readline()
            self.about = json.loads(line) if line else {"variants": []}
        return self.about["variants"]

    def rate(self, variant, seconds=SECONDS):
        self.process.stdin.write("%s %g\n" % (variant, seconds))
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(20)
        except Exception:
            self.process.kill()


def bench(binary, folder, name, batch, precision, seconds=SECONDS):
    r = subprocess.run([binary, "bench", os.path.join(folder, name + ".json"), "--device", "cuda", "--json", "--quiet", "batch=%d" % batch,
                        "seconds=%g" % seconds, "rounds=1", "precision=" + precision], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip())
    return json.loads(r.stdout)


def compare(a, name, precision, torch, end):
    """One row: medians of alternating rounds of retort and the best of each group of variants."""
    row = {"model": name, "precision": precision}
    variants, best = torch.variants() if torch else [], {}
    for group in ("eager", "compiled"):
        mine = [v for v in variants if v.startswith("eager") == (group == "eager")]
        if mine:
            best[group] = max(mine, key=lambda v: torch.rate(v, 0.15))
    ours, theirs = [], {g: [] for g in best}
    for _ in range(a.rounds):
        info = bench(a.retort, a.models_folder, name, a.batch, precision)
        ours.append(info["samples_per_second"])
        row["kernels"] = info["kernels"]
        for g in best:
            theirs[g].append(torch.rate(best[g]))
        if time.time() > end:
            break
    row["rounds"], row["samples_per_second"] = len(ours), statistics.median(ours)
    row["us_per_step"] = a.batch / row["samples_per_second"] * 1e6
    for g in best:
        ratio = [x / y for x, y in zip(ours, theirs[g])]
        row[g] = {"variant": best[g], "samples_per_second": statistics.median(theirs[g]), "us_per_step": a.batch / statistics.median(theirs[g]) * 1e6,
                  "ratio": statistics.median(ratio), "least": min(ratio), "most": max(ratio)}
    return row


def line_of(row):
    if "error" in row:
        return "| %s | %s | %s | | | |" % (row["model"], row["precision"], row["error"].replace("|", "\\|"))
    cells = []
    for g in ("eager", "compiled"):
        cells.append("%.1f (%s)" % (row[g]["us_per_step"], row[g]["variant"]) if g in row else "")
        cells.append("**%.2f** (%.2f - %.2f)" % (row[g]["ratio"], row[g]["least"], row[g]["most"]) if g in row else "")
    return "| %s | %s | %.1f | %s |" % (row["model"], row["precision"], row["us_per_step"], " | ".join(cells))


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        return worker(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--retort", default="build-gpu/retort")
    p.add_argument("--models-folder", default=os.path.join(here, "..", "peers", "models"))
    p.add_argument("--models", default="mlp,cnn,resnet8,jet,dscnn,conv1d")
    p.add_argument("--precisions", default="fp32,bf16,tf32")
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--budget", type=float, default=230, help="seconds")
    p.add_argument("--json")
    p.add_argument("--markdown")
    a = p.parse_args()
    end = time.time() + a.budget
    precisions = a.precisions.split(",")
    can = subprocess.run([sys.executable, "-c", "import torch, sys; sys.exit(not torch.cuda.is_available())"], stderr=subprocess.DEVNULL).returncode == 0
    lines = ["| model | precision | retort us a step | PyTorch eager | retort is faster by | PyTorch compiled | retort is faster by |", "|---|---|---|---|---|---|---|"]
    rows, left, about = [], [], {}
    for k, precision in enumerate(precisions):
        names = a.models.split(",")
        if k and end - time.time() < 60:                       # what precedes has the time that it needs
            left += ["%s %s" % (n, precision) for n in names]
            continue
        share = (end - time.time()) * (0.5 if k == 0 else 0.4)
        workers = {n: Torch(n, a.batch, precision, share) for n in names} if can else {}       # they compile side by side, and are timed alone
        for w in workers.values():                             # all are ready before the first is timed
            w.variants()
            about = w.about if "torch" in w.about else about
        for n in names:
            if time.time() > end - 5:
                left.append("%s %s" % (n, precision))
                continue
            try:
                rows.append(compare(a, n, precision, workers.get(n), end))
            except Exception as e:
                rows.append({"model": n, "precision": precision, "error": str(e)[-200:]})
            lines.append(line_of(rows[-1]))
            print(lines[-1], flush=True)
        for w in workers.values():
            w.close()
    text = "\n".join(lines) + "\n\nMicroseconds a step of batch %d, medians of alternating rounds; in brackets the ratios' range. PyTorch %s, %s; retort: %s.\n" % (
        a.batch, about.get("torch", "was not there"), about.get("card", "-"), next((r["kernels"] for r in rows if "kernels" in r), "-"))
    if left:
        text += "\nNot measured, for want of time: %s.\n" % ", ".join(left)
    if a.markdown:
        open(a.markdown, "w").write(text)
    if a.json:
        json.dump({"batch": a.batch, "rows": rows, "left": left, "pytorch": about}, open(a.json, "w"), indent=1)
    if not a.markdown:
        print(text)
    if any("error" in r for r in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
