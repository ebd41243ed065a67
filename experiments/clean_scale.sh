#!/bin/sh
# 'retort clean' on made probabilities that no memory should hold: time, CPU time and anonymous memory.
#
#   sh experiments/clean_scale.sh RETORT FOLDER [PYTHON [ROWS [METHOD]]]
#
# PYTHON needs h5py and numpy. 10 classes in f16 and labels in u8: 21 bytes a row.
set -e
retort=$1 work=$2 python=${3:-python3} rows=${4:-100000000} method=${5:-both}
mkdir -p "$work"
[ -e "$work/scale.h5" ] || "$python" - "$work/scale.h5" "$rows" <<'P'
import sys
import h5py
import numpy as np
rows, k, n = int(sys.argv[2]), 10, 1 << 20
g = np.random.default_rng(1)
with h5py.File(sys.argv[1], "w") as f:
    p = f.create_dataset("p", (rows, k), "f2")
    y = f.create_dataset("y", (rows,), "u1")
    for at in range(0, rows, n):
        m = min(n, rows - at)
        label = g.integers(0, k, m)
        z = g.standard_normal((m, k), np.float32) * 1.5
        z[np.arange(m), np.where(g.random(m) < .1, g.integers(0, k, m), label)] += 3
        q = np.exp(z)
        p[at:at + m], y[at:at + m] = q / q.sum(1, keepdims=True), label
P
rm -f "$work/scale.csv" "$work/scale.keep.h5"
"$retort" clean "$work/scale.h5" --set p --out "$work/scale.csv" --mask "$work/scale.keep.h5" --method "$method" --json \
    > "$work/scale.json" 2> /dev/null &
job=$!
most=0
while kill -0 $job 2> /dev/null; do
    now=$(awk '/^RssAnon/ { print $2 }' /proc/$job/status 2> /dev/null || echo 0)
    [ "${now:-0}" -gt $most ] && most=$now
    cpu=$(awk '{ print ($14 + $15) / 100 }' /proc/$job/stat 2> /dev/null || echo "$cpu")
    sleep 0.2
done
wait $job
echo "$rows rows, $method: $cpu CPU-s, at most $most kB of anonymous memory, $(grep -o '"passes":[^,]*' "$work/scale.json")," \
    "$(($(wc -l < "$work/scale.csv") - 1)) issues"
