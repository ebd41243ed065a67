#!/usr/bin/env python3
"""Records onnx_reference.h: that ONNX Runtime answers as the programs do, and what the files are.

    RETORT_ONNX_FOLDER=FOLDER build/tests/test_onnx | record_onnx.py FOLDER > tests/export/onnx_reference.h

Ends with 1, and says where, when an answer differs; then nothing is recorded.
"""
import os, sys, textwrap
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../experiments/peers"))
import numpy as np, onnx, onnxruntime as ort
from ort_run import run

ROWS = 37    # of onnx_rows in test_onnx.c

def main(folder):
    lines, bad = [l.strip() for l in sys.stdin if l.startswith("    {0x")], 0
    print(f"/* Made by record_onnx.py with ONNX Runtime {ort.__version__}: do not edit. */")
    print("static const struct { uint64_t file, answers; } onnx_reference[] = {")
    for k, line in enumerate(lines):
        path = f"{folder}/{k}"
        want = np.fromfile(path + ".y", "<f4")
        kind = onnx.load(path + ".onnx").graph.input[0].type.tensor_type.elem_type
        x = np.fromfile(path + ".x", np.uint8 if kind == onnx.TensorProto.UINT8 else np.float32).reshape(ROWS, -1)
        for batch in (1, 0):
            y, ops, _ = run(path + ".onnx", x, batch)
            got = np.concatenate(list(y.values()), axis=1).reshape(-1)
            differ = int((got.view(np.uint32) != want.view(np.uint32)).sum())
            bad += differ > 0
            print(f"net {k}, batch {batch}: {differ} of {want.size} differ", file=sys.stderr)
        text = " ".join(f"{o} {ops.count(o)}" for o in sorted(set(ops)))
        print(textwrap.fill(f"/* {text} */", 116, initial_indent="    ", subsequent_indent="     * "))
        print(f"    {line}")
    print("};")
    return bad > 0

if __name__ == "__main__": sys.exit(main(sys.argv[1]))
