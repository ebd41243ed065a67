#!/usr/bin/env python3
"""Records what ONNX Runtime answers with a graph that retort exported.

    ort_run.py MODEL.onnx ROWS --out FILE.npz          (onnx, onnxruntime, numpy)

ROWS: an NPY of rows as they lie in memory, (rows, H, W, C), (rows, T, C) or (rows, D); or an HDF5 file of retort, whose data
set x is taken (h5py). The graph is checked, rows are brought into its order, and each head's answers are kept under its
name, with the rows as "x", the operators that ONNX Runtime made of the graph as "operators", its version, the model's
digest, and the median CPU time of a call with one row as "microseconds". On CPUs without VNNI its kernels saturate in 16 bit unless session.x64quantprecision is set, as it is here.
"""
import argparse, os, sys, tempfile, time
import numpy as np, onnx, onnxruntime as ort

def order(x, shape):
    """Rows (n, ...) channels last as the graph's input: (n, C, ...)."""
    x = x.reshape(len(x), *shape[2:], shape[1]) if len(shape) > 2 else x.reshape(len(x), shape[1])
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))

def run(path, x, batch=1):
    """(answers by head, operators, microseconds) of rows x, so many a call; batch 0: all."""
    onnx.checker.check_model(path, full_check=True)
    so = ort.SessionOptions()
    so.add_session_config_entry("session.x64quantprecision", "1")
    so.intra_op_num_threads = 1
    so.log_severity_level = 3
    with tempfile.TemporaryDirectory() as d:
        so.optimized_model_filepath = os.path.join(d, "optimized.onnx")
        s = ort.InferenceSession(path, so, providers=["CPUExecutionProvider"])
        ops = [n.op_type for n in onnx.load(so.optimized_model_filepath).graph.node]
    i = s.get_inputs()[0]
    x = order(x.astype({"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[i.type]), i.shape)
    step = batch or len(x)
    parts, spent = [], []
    for k in range(0, len(x), step):
        start = time.thread_time()
        parts.append(s.run(None, {i.name: x[k:k + step]}))
        spent.append(time.thread_time() - start)
    return {o.name: np.concatenate([p[k] for p in parts]) for k, o in enumerate(s.get_outputs())}, ops, np.median(spent) * 1e6

def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("model"); a.add_argument("rows"); a.add_argument("--out", required=True)
    a = a.parse_args()
    if a.rows.endswith(".npy"): x = np.load(a.rows)
    else:
        import h5py
        x = h5py.File(a.rows)["x"][:]
    y, ops, us = run(a.model, x)
    meta = {p.key: p.value for p in onnx.load(a.model).metadata_props}
    np.savez(a.out, x=x, operators=np.array(ops), runtime=np.array([ort.__version__]), program=np.array([meta["program"]]),
             microseconds=np.array([us], np.float32), **y)
    print(f"{len(x)} rows;", " ".join(f"{o} {ops.count(o)}" for o in sorted(set(ops))))

if __name__ == "__main__": sys.exit(main())
