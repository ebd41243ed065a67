#!/bin/sh
# Layers that exports ask for, from a configuration to a file and back: trained, shown with what they were told, asked again
# out of the file, resumed, and refused by name where they have no integer form.
. "$2/tests/cli/lib.sh"
make_data 400 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]},
   {"op": "conv2d", "out": 8, "kernel": 3, "padding": 2, "dilation": 2, "name": "wide"}, {"op": "group_norm", "groups": 4},
   {"op": "lrn", "size": 3}, {"op": "max_pool", "kernel": 3, "stride": 2, "ceil": true, "name": "pool"},
   {"op": "conv_transpose2d", "out": 8, "kernel": 2, "stride": 2, "name": "up"},
   {"op": "resize", "size": [4, 6], "mode": "linear", "coordinates": "align_corners", "name": "sized"},
   {"op": "reshape", "shape": [24, 8], "name": "steps"}, {"op": "dense", "out": 24},
   {"op": "attention", "heads": 2, "causal": true, "name": "seen"}, {"op": "rms_norm", "name": "even"},
   {"op": "matmul", "from": ["even", "even"], "transpose_a": true, "scale": 0.1, "name": "gram"},
   {"op": "gru", "out": 6, "direction": "bidirectional", "linear_before_reset": true, "name": "read"},
   {"op": "lstm", "out": 5, "last": true, "name": "told"}, {"op": "dense", "out": 3, "name": "last"}]},
 "data": {"source": "band.h5", "rows": "0:300", "validation": 60}, "train": {"epochs": 2, "batch": 32}}
X
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
"$retort" train t.json --out U --quiet --threads 3 > /dev/null || fail "train with three threads"
cmp -s T/model.h5 U/model.h5 || fail "weights depend on the threads"

expect 0 "" "$retort" info T/model.h5
for part in "out 8 kernel 3x3 padding 2 dilation 2x2" "groups 4" "size 3" "kernel 3x3 stride 2x2 ceil" "out 8 kernel 2x2 stride 2x2" \
    "size 4x6 mode linear coordinates align_corners" "heads 2 causal" "transpose_a scale 0.1" \
    "out 6 direction bidirectional linear_before_reset" "out 5 last"; do
    grep -qF -- "$part" out.txt || fail "info does not say '$part': $(cat out.txt)"
done

# The same answers for the rows together and one at a time.
"$retort" predict T/model.h5 --data band.h5 --out all.npy --quiet > /dev/null || fail "predict"
"$retort" predict T/model.h5 --data band.h5 --out one.npy --quiet --threads 2 data.rows=0:400 > /dev/null || fail "predict again"
cmp -s all.npy one.npy || fail "answers depend on the threads"

sed 's/{"op": "conv2d"[^}]*"wide"}/{"op": "conv2d", "out": 8, "kernel": 3, "name": "wide"}/; s/"ceil": true, //' t.json > plain.json
"$retort" train plain.json --out P --quiet > /dev/null || fail "train of a model without dilation"
expect 2 "layer 'wide' (conv2d) has no integer form with dilation" "$retort" quantize T/model.h5 --data band.h5 --out q.h5
expect 2 "(group_norm) has no integer form" "$retort" quantize P/model.h5 --data band.h5 --out q.h5

# What is told wrongly is named with its place.
sed 's/"heads": 2/"heads": 5/' t.json > bad.json
expect 2 "does not fall into 15 heads" "$retort" train bad.json --out B
sed 's/bidirectional/sideways/' t.json > bad.json
expect 2 "model.layers[12].direction: 'sideways' is not one of forward, reverse, bidirectional" "$retort" train bad.json --out B
sed 's/"scale": 0.1/"scale": "much"/' t.json > bad.json
expect 2 "model.layers[11].scale" "$retort" train bad.json --out B

# Every layer is in the help, with its keys.
expect 0 "direction [forward] (forward reverse bidirectional)" "$retort" help layers
for part in "attention  " "conv_transpose2d" "trees  " "dilation [1] (1 to 1024)" "coordinates [half_pixel] (half_pixel"; do
    grep -qF -- "$part" out.txt || fail "the help lacks '$part'"
done
exit $failed
