#!/bin/sh
# What labelling from end to end (reading, forward, writing, syncing, the start of the program) reaches of the rate of forward
# passes alone on data in memory: 60,000 Fashion-MNIST images, teachers of two sizes; the median of rounds, each pair in the other order.
set -e
cd "$(dirname "$0")/.."
sh experiments/packages.sh data
retort=${RETORT:-build/retort}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
from=/usr/share/datasets/fashion-mnist
"$retort" import $from/train-images-idx3-ubyte.gz $from/train-labels-idx1-ubyte.gz --out "$tmp/data.h5" --quiet > "$tmp/log"
number() { grep -o "\"$1\":[^,}]*" | tr -dc '0-9.'; }
for threads in 1 2; do
    for width in 16 32; do
        echo "{\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": $width, \"depth\": 3, \"convs\": 2}" > "$tmp/arch.json"
        echo "{\"model\": $(cat "$tmp/arch.json"), \"data\": {\"source\": \"$tmp/data.h5\", \"rows\": \"0:1000\"}, \"train\": {\"epochs\": 1}}" > "$tmp/train.json"
        "$retort" train "$tmp/train.json" --out "$tmp/run" --quiet > "$tmp/log"
        label() {
            rm -f "$tmp"/labels.h5*
            s=$(date +%s.%N)
            "$retort" label --teacher "$tmp/run/model.h5" --data "$tmp/data.h5" --out "$tmp/labels.h5" --threads $threads --quiet > "$tmp/log"
            whole=$(date +%s.%N | awk -v s="$s" '{ print 60000 / ($1 - s) }')
        }
        forward() { pure=$("$retort" bench "$tmp/arch.json" what=infer batch=64 seconds=1 rounds=3 --threads $threads --json --quiet | number samples_per_second); }
        for round in $(seq "${ROUNDS:-7}"); do
            if [ $((round % 2)) = 0 ]; then label; forward; else forward; label; fi
            echo "$whole $pure"
        done | awk '{ print $1 / $2, $1, $2 }' | sort -n | awk -v t=$threads -v w=$width '{ r[NR] = $1; a[NR] = $2; b[NR] = $3 } END { i = int((NR + 1) / 2)
            printf "%d thread(s), width %d: labelling %.0f rows/s, forward alone %.0f rows/s, ratio %.3f (%.3f - %.3f)\n", t, w, a[i], b[i], r[i], r[1], r[NR] }'
        rm -rf "$tmp/run"
    done
done
