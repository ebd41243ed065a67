#!/bin/sh
# What `info` says of a model: its inputs, and the layers that it becomes when it runs, after each pass. The stages are what
# folding (a batch norm into the dense layer before it), fusing (relu into what computes its input) and dropping (dropout, which
# is training's alone) leave of five layers.
. "$2/tests/cli/lib.sh"
awk 'BEGIN { srand(5); for (i = 0; i < 300; i++) { c = i % 3; print c + rand() "," c % 2 + rand() ",k" c } }' > d.csv
"$retort" import d.csv --label -1 --out d.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"model": {"input": [2], "classes": 3, "layers": [{"name": "a", "op": "dense", "out": 6}, {"name": "n", "op": "batch_norm"},
  {"name": "r", "op": "relu"}, {"name": "d", "op": "dropout", "rate": 0.25}, {"name": "z", "op": "dense", "out": 3}]},
 "data": {"source": "d.h5"}, "train": {"epochs": 1, "batch": 50}}
X
expect 0 "" "$retort" train t.json --out T

stages() { sed -n "/^$1\$/,/^class_names/p" out.txt | sed '/^class_names/d'; }   # of a plain answer
cat > inference.txt <<'X'
inference_stages
  -
    pass                     none
    what                     the layers as they are in the model
    layers
      input: input, (2)
      a: dense out 6, (6) with gradient; weight, bias
      n: batch_norm, (6) with gradient; gamma, beta, mean state, variance state
      r: relu, (6) with gradient
      d: dropout rate 0.25, (6) with gradient
      z: dense out 3, (3) with gradient; weight, bias
  -
    pass                     fold_norm
    what                     batch norms go into the weights before them
    layers
      input: input, (2)
      a: dense out 6, (6); folded_weight derived, folded_bias derived
      r: relu, (6)
      d: dropout rate 0.25, (6)
      z: dense out 3, (3) with gradient; weight, bias
  -
    pass                     fuse_act
    what                     activations are computed by the layer before them
    layers
      input: input, (2)
      a: dense out 6 then relu, (6); folded_weight derived, folded_bias derived
      d: dropout rate 0.25, (6)
      z: dense out 3, (3) with gradient; weight, bias
  -
    pass                     identity
    what                     layers that change nothing go
    layers
      input: input, (2)
      a: dense out 6 then relu, (6); folded_weight derived, folded_bias derived
      z: dense out 3, (3) with gradient; weight, bias
X
expect 0 "" "$retort" info T/model.h5 --stages
stages inference_stages | cmp -s inference.txt - || fail "stages of inference: $(stages inference_stages | diff inference.txt -)"
grep -q training_stages out.txt && fail "stages of training that nobody asked for"
expect 0 "" "$retort" info T/model.h5 --stages --training
{ sed 's/^inference/training/;/fold_norm/,$d' inference.txt | sed '$d'
  cat <<'X'
  -
    pass                     fuse_act
    what                     activations are computed by the layer before them
    layers
      input: input, (2)
      a: dense out 6, (6) with gradient; weight, bias
      n: batch_norm then relu, (6) with gradient; gamma, beta, mean state, variance state
      d: dropout rate 0.25, (6) with gradient
      z: dense out 3, (3) with gradient; weight, bias
X
} > training.txt
stages training_stages | cmp -s training.txt - || fail "stages of training: $(stages training_stages | diff training.txt -)"

# Several inputs: each with its name and shape. The right one is in another file.
awk -F, '{ print $1 "," $3 }' d.csv > e.csv
"$retort" import e.csv --label -1 --out e.h5 --quiet > /dev/null || fail "import of one column"
cat > two.json <<'X'
{"model": {"inputs": [{"name": "left", "shape": [2]}, {"name": "right", "shape": [1]}], "classes": 3, "layers":
   [{"op": "concat", "from": ["left", "right"]}, {"op": "dense", "out": 3}]},
 "data": {"source": "d.h5", "x": {"left": "x", "right": {"source": "e.h5", "set": "x"}}}, "train": {"epochs": 1, "batch": 50}}
X
expect 0 "" "$retort" train two.json --out U
expect 0 "" "$retort" info U/model.h5
sed -n '/^inputs/,/^classes/p' out.txt > inputs.txt
cmp -s inputs.txt - <<'X' || fail "two inputs: $(cat inputs.txt)"
inputs
  -
    name                     left
    shape                    (2)
  -
    name                     right
    shape                    (1)
classes                  3
X
exit $failed
