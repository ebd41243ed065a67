#!/usr/bin/env python3
"""Integer programs against ONNX Runtime's fp32 and int8 sessions: microseconds a row, one thread, in alternating rounds.

    speed_against_ort.py INT_SPEED FOLDER NET.json... [--rounds 7]      (torch, onnx, onnxruntime, numpy)

FOLDER gets the programs that int_speed saves; each is written as a QDQ graph, as against_ort.py does, and the same layers
are exported in fp32. A line a net: the program at batch 1 and 64; both sessions with bound inputs and outputs at batch 1 and 64;
the better session's time over the program's, for either batch; the program's 99th percentile at batch 1 by the clock, over calls without an involuntary
switch, and how much of it the better session's median is. Time is otherwise the thread's CPU time; that of ONNX Runtime holds the call from Python, some us.
"""
import os, statistics, subprocess, sys, tempfile, time
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "../peers")]
import numpy as np, onnxruntime as ort
import against_ort, infer_speed
from onnx import helper as H, TensorProto as T

def quantized(folder, name):
    t, calls = against_ort.load(f"{folder}/{name}.q")
    h, w, c = t[0][:3]
    g, y = against_ort.build(t, calls)
    ins = [H.make_tensor_value_info("x", T.FLOAT, ["b"] + ([c] if h * w == 1 else [c, h, w]))]
    m = H.make_model(H.make_graph(g.nodes, "g", ins, [H.make_tensor_value_info(y, T.FLOAT, None)], g.init),
                     opset_imports=[H.make_opsetid("", 21)])
    m.ir_version = 10
    x = np.fromfile(f"{folder}/{name}.x", "<f4").reshape(-1, h, w, c)
    return m.SerializeToString(), x.reshape(len(x), c) if h * w == 1 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))

def session(graph, x):
    """A function: the median CPU time of a call, over its rows, in microseconds."""
    so = ort.SessionOptions()
    so.intra_op_num_threads = so.inter_op_num_threads = 1
    so.log_severity_level = 3
    s = ort.InferenceSession(graph, so, providers=["CPUExecutionProvider"])
    b = s.io_binding()
    b.bind_cpu_input("x", x)
    b.bind_output(s.get_outputs()[0].name)
    def median(seconds=0.1):
        spent, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(spent) < 3:
            start = time.thread_time_ns()
            s.run_with_iobinding(b)
            spent.append(time.thread_time_ns() - start)
        return statistics.median(spent) / 1e3 / len(x)
    median()
    return median

def program(binary, path):
    line = subprocess.run([binary, "--blocks", "25", path], check=True, capture_output=True, text=True).stdout.splitlines()[1]
    words = line.split()
    return [float(words[5]), float(words[words.index("64") + 1]), float(words[words.index("p99") + 1])]

def main(argv):
    rounds = int(argv.pop(argv.index("--rounds") + 1)) if "--rounds" in argv else 7
    binary, folder, *paths = [a for a in argv if a != "--rounds"]
    print(subprocess.run([binary, "--save", folder, *paths], check=True, capture_output=True, text=True).stdout.splitlines()[0])
    print("| net | program, 1 | fp32, 1 | int8, 1 | better / program | program, 64 | fp32, 64 | int8, 64 | better / program | p99, 1 | better / p99 |")
    print("|---" * 11 + "|")
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        graph, x = quantized(folder, name)
        with tempfile.TemporaryDirectory() as d:
            runs = []
            for batch in (1, 64):
                one, shape = infer_speed.exported(name, batch, d)
                rows = np.ascontiguousarray(x[:batch])
                runs += [session(one, rows.reshape(shape)), session(graph, rows)]
        got = [program(binary, path) + [r() for r in runs] for _ in range(rounds)]
        p1, p64, p99, f1, i1, f64, i64 = (statistics.median(c) for c in zip(*got))
        r1, r64, r99 = ([min(g[k], g[k + 1]) / g[own] for g in got] for own, k in ((0, 3), (1, 5), (2, 3)))
        span = lambda r: f"**{statistics.median(r):.2f}** ({min(r):.2f}-{max(r):.2f})"
        print(f"| {name} | {p1:.3f} | {f1:.1f} | {i1:.1f} | {span(r1)} | {p64:.3f} | {f64:.2f} | {i64:.2f} | {span(r64)} | {p99:.3f} | {span(r99)} |",
              flush=True)

if __name__ == "__main__": main(sys.argv[1:])
