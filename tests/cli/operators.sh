#!/bin/sh
# Models of operators beyond those of students, from the command line: trained to the same weights with one thread and
# three, better than chance; shown by info; with the same answers whatever rows stand beside a row; refused where integers
# have no form, by the name of the layer.
. "$2/tests/cli/lib.sh"
make_data 400 d.h5
cat > t.json <<'X'
{"model": {"input": [8, 8, 1], "classes": 3, "layers": [
  {"op": "pad", "before": [1, 1, 0], "behind": [1, 1, 0], "mode": "reflect"},
  {"op": "conv2d", "out": 8, "kernel": 3, "name": "c"}, {"op": "mish"},
  {"op": "reduce_mean", "axes": [0, 1], "keep": true, "name": "mean"}, {"op": "dense", "out": 8}, {"op": "sigmoid", "name": "s"},
  {"op": "multiply", "from": ["c", "s"], "name": "scaled"},
  {"op": "add", "operand": [8, 1, 1], "learned": true, "name": "shift"}, {"op": "gelu_erf"},
  {"op": "slice", "step": [2, 2, 1]}, {"op": "permute", "axes": [2, 0, 1]}, {"op": "flatten"}, {"op": "clip", "low": -8, "high": 8},
  {"op": "dense", "out": 3}]},
 "data": {"source": "d.h5"}, "train": {"epochs": 6, "batch": 40, "lr": 0.05}}
X
digest() { sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' "$1"; }
expect 0 "" "$retort" train t.json --out one --threads 1 --json --seed 3
digest out.txt > one.txt
expect 0 "" "$retort" train t.json --out three --threads 3 --json --seed 3
digest out.txt > three.txt
[ -s one.txt ] && cmp -s one.txt three.txt || fail "one thread: $(cat one.txt), three: $(cat three.txt)"

expect 0 "" "$retort" info one/model.h5 --stages
grep -q 'shift: add operand (8, 1, 1) learned, (8, 8, 8) with gradient; operand$' out.txt || fail "info: shift: $(grep shift: out.txt)"
grep -q 'pad1: pad before 1,1,0 behind 1,1,0 mode reflect, (10, 10, 1)$' out.txt || fail "info: pad: $(grep pad1: out.txt)"
grep -q 'mean: reduce_mean axes 0,1 keep, (1, 1, 8) with gradient$' out.txt || fail "info: mean: $(grep mean: out.txt)"
grep -q 'clip13: clip low -8 high 8, (128) with gradient$' out.txt || fail "info: clip: $(grep clip13: out.txt)"
grep -q 'gelu_erf' out.txt || fail "info: no gelu_erf"
expect 0 "" "$retort" info one/model.h5 --plan 16 --training
for what in pad mish multiply add slice permute clip "reduce back" "move back" "operand back"; do
    grep -q "^ *$what " out.txt || fail "the plan has no '$what'"
done

# A row's answer does not depend on the rows beside it.
expect 0 "" "$retort" predict one/model.h5 --data d.h5 --out all.csv --threads 2
expect 0 "" "$retort" predict one/model.h5 --data d.h5 --rows 5:12 --out some.csv --threads 1
head -n 1 all.csv > want.csv
sed -n 7,13p all.csv >> want.csv
cut -d, -f2- want.csv > a.csv
cut -d, -f2- some.csv > b.csv
[ "$(wc -l < b.csv)" -eq 8 ] && cmp -s a.csv b.csv || fail "answers depend on the rows beside: $(diff a.csv b.csv | head -4)"
expect 0 "" "$retort" eval --teacher one/model.h5 --data d.h5 --out E eval.speed=false --json
accuracy=$(sed -n 's/.*"accuracy":[[:space:]]*\([0-9.]*\).*/\1/p' out.txt E/*.json | head -1)
awk -v a="${accuracy:-0}" 'BEGIN { exit !(a > 0.8) }' || fail "accuracy is $accuracy"

expect 2 "layer 'pad1' (pad) has no integer form" "$retort" quantize one/model.h5 --data d.h5 --out q.h5
expect 2 "layers[0].mode: " "$retort" train t.json --out X 'model.layers=[{"op":"pad","before":[1,1,0],"mode":"mirror"}]'
expect 2 "takes two inputs, or one and the shape of an 'operand'" "$retort" train t.json --out X 'model.layers=[{"op":"add"}]'
[ -e X ] && fail "a refused model left a folder"

"$retort" help layers > layers.txt
for name in erf pow clip mish power where reduce_l2 log_softmax gather; do
    grep -q "^$name  *[^ ]" layers.txt || fail "help layers: no $name"
done
grep -q '^  mode \[constant\] (constant reflect edge wrap): ' layers.txt || fail "help layers: no mode"
grep -q '^  axes \[none\] (-6 to 5): ' layers.txt || fail "help layers: axes: $(grep '^  axes' layers.txt)"
exit $failed
