#!/bin/sh
# Float models as ONNX: what the file is called decides, the manifest, options, refusals; and in an experiment.
. "$2/tests/cli/lib.sh"
make_data 300 d.h5
cat > t.json <<'J'
{"model": {"input": [8, 8, 1], "classes": 3, "layers": [{"op": "conv2d", "out": 4, "kernel": 3, "name": "conv"}, {"op": "batch_norm", "name": "norm"},
   {"op": "relu"}, {"op": "global_avg_pool"}, {"op": "dense", "out": 3, "name": "out"}]},
 "data": {"source": "d.h5", "validation": 50}, "train": {"epochs": 1, "batch": 100}}
J
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
M=T/model.h5
has() { grep -qF -- "$2" "$1" || fail "$1 has no $2"; }
lacks() { ! grep -qF -- "$2" "$1" || fail "$1 has $2"; }

expect 0 "format" "$retort" export $M --out a.onnx --json
has out.txt '"onnx"'
for word in BatchNormalization Conv norm.gamma k2 normalization batch_norm; do has a.onnx $word; done
has a.onnx '"normalized":"inside"'
has a.onnx Reshape                                  # one channel: a Reshape does what a Transpose would
has a.onnx batch
expect 0 "" "$retort" export $M --to onnx --out b.onnx
cmp -s a.onnx b.onnx || fail "two exports of one model differ"
for key in '"format":[[:space:]]*"onnx"' '"model"' '"heads"' '"normalization"' '"provenance"' '"result"' '"xxh128"' '"multiply_adds"'; do
    grep -q "$key" a.onnx.json || fail "the manifest has no $key"
done
lacks a.onnx.json '"program"'
expect 0 "" "$retort" export $M --out f.onnx fold=true layout=nchw --raw-input opset=13
lacks f.onnx BatchNormalization
lacks f.onnx Reshape
has f.onnx '"normalized":"before"'
has f.onnx '"layout":"nchw"'
expect 0 "" "$retort" export $M --out u.onnx input_type=u8 opset=28
has u.onnx Cast
has u.onnx '"type":"u8"'

expect 2 "say the same thing" "$retort" export $M --out x.onnx --raw-input raw_input=true
expect 2 "opset" "$retort" export $M --out x.onnx opset=12
expect 2 "opset" "$retort" export $M --out x.onnx opset=29
expect 2 "bytes cannot be normalised before" "$retort" export $M --out x.onnx input_type=u8 --raw-input
expect 2 "belongs to to=onnx-qdq" "$retort" export $M --out x.onnx int4=packed
expect 2 "belongs to to=onnx" "$retort" export $M --out x.npz layout=nchw
expect 2 "raw_input: belongs to to=onnx" "$retort" export $M --out x.npz --raw-input
expect 2 "its name ends in .onnx, but safetensors is asked for" "$retort" export $M --to safetensors --out x.onnx
expect 2 "exists" "$retort" export $M --out a.onnx
expect 0 "" "$retort" export $M --out a.onnx --force
expect 3 "is no retort model" "$retort" export d.h5 --out x.onnx
[ ! -e x.onnx ] && [ ! -e x.npz ] && [ ! -e x.onnx.json ] || fail "a refusal left a file"

# A quantized model's ONNX is of integers.
"$retort" quantize $M --data d.h5 --out q.h5 quant.calibrate=100 --quiet > /dev/null || fail "quantize"
expect 0 "onnx-qdq" "$retort" export q.h5 --out q.onnx
has q.onnx QuantizeLinear
expect 2 "the model is quantized" "$retort" export q.h5 --to onnx --out x.onnx
"$retort" export q.h5 --out q.q --quiet > /dev/null || fail "program"
expect 0 "onnx-qdq" "$retort" export q.q --out p.onnx
expect 2 "is an integer program" "$retort" export q.q --to onnx --out x.onnx

# It comes back as a quantized model, whose program is the same file; so does what the file itself answers.
expect 0 "to the byte" "$retort" import q.onnx --out back.h5
expect 0 "" "$retort" export back.h5 --out back.q
cmp q.q back.q || fail "the program came back as another one"
expect 0 "" "$retort" export q.onnx --to program --out direct.q
cmp q.q direct.q || fail "the program of the ONNX file is another one"
expect 0 "" "$retort" predict q.h5 --data d.h5 --out 1.npy
expect 0 "" "$retort" predict q.onnx --data d.h5 --out 2.npy
cmp 1.npy 2.npy || fail "the ONNX file answers otherwise"
T=$2/tests/onnx/quantized
expect 0 "those of an integer program" "$retort" import $T/mlp.onnx --out m.h5
expect 0 "" "$retort" export m.h5 --out m.q
expect 0 "node '/a/Gemm' (Gemm): its weights are not symmetric" "$retort" import $T/asymmetric.onnx --out s.h5
expect 2 "computes in float" "$retort" export s.h5 --out s.q

cat > x.json <<'J'
{"name": "x", "out": "X", "steps": [{"name": "student", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4},
   "data": {"source": "d.h5", "validation": 50}, "train": {"epochs": 1}}},
  {"name": "graph", "do": "export", "with": {"input": "${student}", "to": "onnx", "opset": 20}}]}
J
expect 0 "" "$retort" run x.json
has X/graph.onnx Gemm
exit $failed
