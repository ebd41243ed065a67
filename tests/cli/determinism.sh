#!/bin/sh
# The last batch of an epoch is smaller than the others. One digest for every number of threads, prefetch depth and batch of labelling, for each kernel family.
. "$2/tests/cli/lib.sh"
make_data 1500 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]}, {"op": "conv2d", "out": 16, "kernel": 3, "padding": 1}, {"op": "batch_norm"},
   {"op": "relu", "name": "a"}, {"op": "conv2d", "out": 16, "kernel": 3, "padding": 1}, {"op": "batch_norm", "name": "b"}, {"op": "add", "from": ["b", "a"]}, {"op": "relu"},
   {"op": "dropout", "rate": 0.1}, {"op": "max_pool", "kernel": 2}, {"op": "conv2d", "out": 12, "kernel": 3, "padding": 1}, {"op": "flatten"}, {"op": "dense", "out": 20}, {"op": "gelu"}, {"op": "dense", "out": 3}]},
 "data": {"source": "band.h5", "validation": 100}, "augment": {"mixup": 0.2}, "train": {"epochs": 2, "batch": 48, "drop_last": false, "clip": 1, "ema": 0.9}}
X
cat > dense.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "dense", "out": 70}, {"op": "relu"}, {"op": "dense", "out": 64}, {"op": "gelu"}, {"op": "dense", "out": 3}]},
 "data": {"source": "band.h5", "validation": 100}, "train": {"epochs": 2, "batch": 75, "drop_last": false}}
X
for model in t dense; do for k in scalar avx2 avx512 amx; do
    "$retort" info band.h5 y --kernels $k > /dev/null 2>&1 || { echo "skipped: $k does not run here"; continue; }
    first=
    for threads in 1 2 3 4; do
        for prefetch in 1 8; do
            rm -rf R L.h5
            "$retort" train $model.json --out R --quiet --json --kernels $k --threads $threads train.prefetch=$prefetch train.readers=$prefetch > r.json || fail "train $model $k"
            d=$(grep -o '"last_weights_digest":.*' r.json)
            for batch in 1 100 1024 1500; do
                rm -f L.h5
                "$retort" label --teacher R/model.h5 --data band.h5 --out L.h5 --quiet --kernels $k --threads $threads label.prefetch=$prefetch label.batch=$batch > /dev/null || fail "label $model $k"
                both="$d $(cksum < L.h5)"
                [ -z "$first" ] && first=$both
                [ "$both" = "$first" ] || fail "$model, $k, $threads threads, prefetch $prefetch, batch $batch: $both instead of $first"
            done
        done
    done
    echo "$model $k: $first"
done; done
exit $failed
