#!/usr/bin/env python3
"""ONNX files of float models against ONNX's own checker and ONNX Runtime.

  python3 experiments/peers/check_onnx_export.py [--retort build/retort] [--nets cnn,encoder,...] [--speed]

Needs numpy, h5py, onnx and onnxruntime in the Python that runs it. Each net of experiments/peers/models and of
tests/export/float_nets.json is trained for an epoch on random rows, so that batch norms and normalisations are not the
identity; exported at opset 13, 17 and the newest that the installed onnx knows, with every layout, with batch norms
kept and folded, with bytes as input where it takes images, with rows normalised before, and with both types of ids;
checked (full_check); and run at batch 1 and 7. Answers are compared with those of `retort predict`: what counts is, by
head, the greatest difference as a share of the greatest answer. --speed: also rows a second of CPU time at batch 64 on one thread,
of both layouts and of the graph that PyTorch exports of the same layers.
Ends with 1 when a file is refused, an answer is off by more than 1e-5, or two exports of one model differ.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time
import h5py, numpy as np, onnx, onnxruntime as ort

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "../..")
ROWS, LIMIT = 70, 1e-5

def nets():
    for name in ("jet", "mlp", "cnn", "dscnn", "conv1d", "resnet8"):
        with open(os.path.join(here, "models", name + ".json")) as f: yield name, json.load(f)
    with open(os.path.join(root, "tests/export/float_nets.json")) as f:
        for n in json.load(f):
            if n["name"] not in ("trees", "dynamic"): yield n["name"], n["arch"]       # training gives neither

def retort(binary, *args):
    p = subprocess.run([binary, *args, "--json", "--quiet"], capture_output=True, text=True)
    if p.returncode: raise SystemExit("retort %s: %s" % (" ".join(args), p.stderr or p.stdout))
    return json.loads(p.stdout) if p.stdout.strip() else {}

def inputs_of(arch):
    """(name, shape, ids) of each input; (None, shape, False) of a single one without a name."""
    if "inputs" not in arch: return [(None, arch["input"], False)]
    return [(i["name"], i["shape"], i.get("type") == "i32") for i in arch["inputs"]]

def least_ids(arch):
    return min([l["rows"] for l in arch["layers"] if l["op"] == "embedding"]) if "layers" in arch else 0

def heads_of(arch): return arch.get("heads") or [{"name": "y", "size": arch["classes"]}]

def write_data(path, arch, rng):
    """Random rows; images are bytes, as most are. Targets by head, of the size that a first export tells."""
    x = {}
    with h5py.File(path, "w") as f:
        for name, shape, ids in inputs_of(arch):
            if ids: v = rng.integers(0, least_ids(arch), (ROWS, *shape)).astype("i4")
            elif len(shape) == 3: v = rng.integers(0, 256, (ROWS, *shape)).astype("u1")
            else: v = (rng.standard_normal((ROWS, *shape)) * 3 + rng.standard_normal(shape[-1])).astype("f4")
            f[name if len(inputs_of(arch)) > 1 else "x"] = x[name or "input"] = v
        for h in heads_of(arch):
            size, task = size_of(arch, h), h.get("task", "classes")
            if task == "classes": f[h["name"]] = rng.integers(0, size, ROWS).astype("i4")
            elif task == "multilabel": f[h["name"]] = rng.integers(0, 2, (ROWS, size)).astype("i4")
            else: f[h["name"]] = rng.standard_normal((ROWS, size)).astype("f4")
    return x

def size_of(arch, head):
    if "size" in head: return head["size"]
    layer = head.get("layer", head["name"])
    for h in heads_of(arch):
        if h.get("layer", h["name"]) == layer and "size" in h: return h["size"]
    known = {"soft": 3, "drop": 4, "flat": 24}                  # of tests/export/float_nets.json
    return known[layer]

def session(path, threads=1):
    so = ort.SessionOptions()
    so.intra_op_num_threads = so.inter_op_num_threads = threads
    so.log_severity_level = 3
    return ort.InferenceSession(path, so, providers=["CPUExecutionProvider"])

TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64, "tensor(int32)": np.int32}

def feeds(s, model, x):
    """Rows as the graph's inputs, in the order and the type that it asks for, normalised where it says that they are."""
    meta = {p.key: p.value for p in model.metadata_props}
    out = {}
    told = json.loads(meta["inputs"])
    assert len(told) == len(s.get_inputs())
    for i, t, (name, v) in zip(s.get_inputs(), told, x.items()):
        assert i.name == t["name"]
        if t["normalized"] == "before":
            n = json.loads(meta["normalization" if len(told) == 1 else "normalization." + name])
            v = (v.astype("f4") + np.array(n["add"], "f4")) * np.array(n["mul"], "f4")
        v = v.astype(TYPES[i.type])
        out[i.name] = np.ascontiguousarray(np.moveaxis(v, -1, 1)) if t["layout"] == "nchw" else v
        assert list(i.shape[1:]) == list(out[i.name].shape[1:]), (i.shape, out[i.name].shape)
    return out

def answers(s, fed, batch):
    rows = len(next(iter(fed.values())))
    parts = [s.run(None, {k: v[i:i + batch] for k, v in fed.items()}) for i in range(0, rows, batch)]
    return [np.concatenate([p[k] for p in parts]) for k in range(len(s.get_outputs()))]

def difference(got, want):
    """The worst head's; want has the heads side by side."""
    worst, at = 0, 0
    for y in got:
        t = want[:, at:at + y.shape[1]]
        assert y.shape == t.shape and np.isfinite(y).all()
        worst, at = max(worst, np.abs(y - t).max() / np.abs(t).max()), at + y.shape[1]
    assert at == want.shape[1]
    return worst

def variants(arch):
    """The settings to try, at each opset."""
    shapes = inputs_of(arch)
    yield []
    yield ["layout=nchw"]
    yield ["fold=true"]
    yield ["layout=nchw", "fold=true", "--raw-input"]
    if any(ids for _, _, ids in shapes): yield ["ids=i32"]
    if all(len(s) == 3 for _, s, ids in shapes if not ids) and not all(ids for _, _, ids in shapes): yield ["input_type=u8"]

def rate(s, fed, seconds):
    start, cpu, rows = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(4): s.run(None, fed)
        rows += 4 * len(next(iter(fed.values())))
    return rows / (time.process_time() - cpu)

def speed(binary, name, model, folder, x):
    """Rows a second of CPU time: nhwc, nchw, folded, and PyTorch's export of the same layers; medians of alternating turns."""
    sys.path.insert(0, here)
    from infer_speed import exported
    sides = {}
    for side, keys in (("nhwc", []), ("nchw", ["layout=nchw"]), ("nhwc, folded", ["fold=true"])):
        path = os.path.join(folder, "%s-%d.onnx" % (name, len(sides)))
        retort(binary, "export", model, "--to", "onnx", "--out", path, *keys)
        s = session(path)
        sides[side] = (s, {k: v[:64] for k, v in feeds(s, onnx.load(path), x).items()})
    path, shape = exported(name, 64, folder)
    sides["PyTorch"] = (session(path), {"x": np.random.default_rng(1).standard_normal(shape, dtype="f4")})
    turns = {k: [] for k in sides}
    for _ in range(7):
        for k, (s, fed) in sides.items(): turns[k].append(rate(s, fed, 0.3))
    return {k: statistics.median(v) for k, v in turns.items()}

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--nets", default="")
    p.add_argument("--speed", action="store_true")
    a = p.parse_args()
    opsets = (13, 17, onnx.defs.onnx_opset_version())
    wanted, bad = set(filter(None, a.nets.split(","))), 0
    print("onnx %s, ONNX Runtime %s\n\n| net | opsets | files | worst difference / greatest answer |\n|---|---|---|---|" % (onnx.__version__, ort.__version__))
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, arch) in enumerate(nets()):
            if wanted and name not in wanted: continue
            rng = np.random.default_rng(number)
            data, run = os.path.join(folder, name + ".h5"), os.path.join(folder, name)
            x = write_data(data, arch, rng)
            config = os.path.join(folder, name + ".json")
            with open(config, "w") as f:
                json.dump({"model": arch, "data": {"source": data, "validation": 10, "names": "position"}, "train": {"epochs": 1, "batch": 20, "lr": 0.01, "clip": 1}}, f)
            retort(a.retort, "train", config, "--out", run)
            model = os.path.join(run, "model.h5")
            truth = os.path.join(folder, name + ".npy")
            sets = {n: n for n, _, _ in inputs_of(arch)}
            retort(a.retort, "predict", model, "--data", data, "--out", truth, "data.names=position", *(["data.x=" + json.dumps(sets)] if len(sets) > 1 else []))
            want, worst, files = np.load(truth), 0, 0
            for opset in opsets:
                for keys in variants(arch):
                    out = os.path.join(folder, "%s-%d-%d.onnx" % (name, opset, files))
                    for path in (out, out + ".again.onnx"):
                        retort(a.retort, "export", model, "--to", "onnx", "--out", path, "opset=%d" % opset, *keys)
                    with open(out, "rb") as f, open(out + ".again.onnx", "rb") as g:
                        if f.read() != g.read(): print("%s, opset %d %s: two exports differ" % (name, opset, keys)); bad = 1
                    onnx.checker.check_model(out, full_check=True)
                    graph = onnx.load(out)
                    assert graph.opset_import[0].version == opset
                    s = session(out)
                    assert [o.name for o in s.get_outputs()] == [h["name"] for h in heads_of(arch)]
                    fed = feeds(s, graph, x)
                    for batch in (1, 7):
                        off = difference(answers(s, fed, batch), want)
                        worst = max(worst, off)
                        if not off <= LIMIT: print("%s, opset %d %s, batch %d: off by %.2g" % (name, opset, keys, batch, off)); bad = 1
                    files += 1
            print("| %s | %s | %d | %.1e |" % (name, ", ".join(map(str, opsets)), files, worst), flush=True)
            if a.speed and number < 6: rates[name] = speed(a.retort, name, model, folder, x)
    if rates:
        print("\n| net, rows a CPU second at batch 64 | %s |\n|---|%s" % (" | ".join(next(iter(rates.values()))), "---|" * 4))
        for name, r in rates.items(): print("| %s | %s |" % (name, " | ".join("%.0f" % v for v in r.values())))
    return bad

if __name__ == "__main__": sys.exit(main())
