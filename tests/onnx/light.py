#!/usr/bin/env python3
"""ONNX's light models as tests with what is recorded of them.  python3 light.py LIGHT_FOLDER TO (onnx, numpy).

TO/NAME/model.onnx (a link) and test_data_set_0: the input that ONNX's own runner makes up (0, 1/n, 2/n ... of n numbers,
onnx/backend/test/runner) and the output that lies beside the model. For onnx_conformance and onnx_planned --recorded."""
import glob, os, shutil, sys
import numpy as np, onnx
from onnx import numpy_helper

for path in sorted(glob.glob(f"{sys.argv[1]}/*.onnx")):
    name = os.path.basename(path)[:-5]
    to = f"{sys.argv[2]}/{name}"
    os.makedirs(f"{to}/test_data_set_0", exist_ok=True)
    if not os.path.islink(f"{to}/model.onnx"):
        os.symlink(os.path.abspath(path), f"{to}/model.onnx")
    g = onnx.load(path).graph                  # weights are listed as inputs, too
    given = {i.name for i in g.initializer} | {o for n in g.node for o in n.output}
    x, = [i for i in g.input if i.name not in given]
    shape = [d.dim_value or 1 for d in x.type.tensor_type.shape.dim]
    n = int(np.prod(shape))
    a = (np.arange(n).reshape(shape) / n).astype(np.float32)
    with open(f"{to}/test_data_set_0/input_0.pb", "wb") as f:
        f.write(numpy_helper.from_array(a, x.name).SerializeToString())
    shutil.copy(path[:-5] + "_output_0.pb", f"{to}/test_data_set_0/output_0.pb")
