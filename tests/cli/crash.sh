#!/bin/sh
# kill -9 at random instants of train and of label: the run that goes on ends in the same bytes.
# KILLS=50 sets how many kills each gets for each kernel family (default 6, so that the default test run stays short).
. "$2/tests/cli/lib.sh"
kills=${KILLS:-6}
make_data 40000 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]}, {"op": "conv2d", "out": 8, "kernel": 3, "padding": 1}, {"op": "batch_norm"},
   {"op": "relu"}, {"op": "max_pool", "kernel": 2, "stride": 2}, {"op": "flatten"}, {"op": "dense", "out": 32}, {"op": "relu"}, {"op": "dense", "out": 3}]},
 "data": {"source": "band.h5", "validation": 200}, "train": {"epochs": 3, "batch": 128, "ema": 0.9, "checkpoint_seconds": 0}}
X
random_sleep() { sleep "$(awk -v s="$1" -v m="$2" 'BEGIN { srand(s); printf "%.3f", rand() * m }')"; }
seconds() { date +%s.%N; }
# A run that is over before the kill proves nothing: it starts again from nothing, with a shorter wait.
sweep() { # family what maximum command...
    family=$1; what=$2; max=$3; shift 3
    n=0; tries=0
    while [ $n -lt "$kills" ]; do
        tries=$((tries + 1))
        "$@" > /dev/null 2>&1 &
        pid=$!
        random_sleep $((tries * 7919 + kills)) "$max"
        if kill -9 $pid 2> /dev/null; then n=$((n + 1)); else rm -rf K K.h5 K.h5.journal; fi
        wait $pid 2> /dev/null
        [ $tries -gt $((kills * 20)) ] && { fail "$family: could not hit $what"; break; }
    done
    "$@" > last.txt 2>&1 || fail "$family: $what does not go on: $(cat last.txt)"
    echo "$family: $n kills of $what in $tries runs"
}
for k in scalar avx2 avx512 amx; do
    "$retort" info band.h5 y --kernels $k > /dev/null 2>&1 || { echo "skipped: $k does not run here"; continue; }
    rm -rf A K A.h5 K.h5 K.h5.journal
    s=$(seconds)
    "$retort" train t.json --out A --quiet --kernels $k > /dev/null || fail "train"
    t=$(awk -v a="$s" -v b="$(seconds)" 'BEGIN { print (b - a) * 0.9 }')
    sweep $k train "$t" "$retort" train t.json --out K --quiet --kernels $k
    cmp -s A/metrics.csv K/metrics.csv || fail "$k: metrics differ after kills"
    [ "$("$retort" info A/model.h5 --quiet | grep '^digest')" = "$("$retort" info K/model.h5 --quiet | grep '^digest')" ] || fail "$k: models differ after kills"
    ls K/checkpoints | grep -q tmp && fail "$k: temporary files stay behind"
    s=$(seconds)
    "$retort" label --teacher A/model.h5 --data band.h5 --out A.h5 --quiet --kernels $k > /dev/null || fail "label"
    t=$(awk -v a="$s" -v b="$(seconds)" 'BEGIN { print (b - a) * 0.9 }')
    sweep $k label "$t" "$retort" label --teacher A/model.h5 --data band.h5 --out K.h5 --quiet --kernels $k
    cmp -s A.h5 K.h5 || fail "$k: label stores differ after kills"
done
exit $failed
