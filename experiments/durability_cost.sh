#!/bin/sh
# What it costs that labels are on disk when they are reported: 60,000 Fashion-MNIST images, full logits, with syncs and with syncs
# that do nothing (tests/power/power.c, loaded in both); the median of pairs, each in the other order.
set -e
cd "$(dirname "$0")/.."
sh experiments/packages.sh data
retort=${RETORT:-build/retort} power=${POWER:-build/tests/libpower_preload.so}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/retort-durability-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
from=/usr/share/datasets/fashion-mnist
"$retort" import $from/train-images-idx3-ubyte.gz $from/train-labels-idx1-ubyte.gz --out "$tmp/data.h5" --quiet > "$tmp/log"
for width in 16 32; do
    echo "{\"model\": {\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": $width, \"depth\": 3, \"convs\": 2},
 \"data\": {\"source\": \"$tmp/data.h5\", \"rows\": \"0:1000\"}, \"train\": {\"epochs\": 1}}" > "$tmp/train.json"
    "$retort" train "$tmp/train.json" --out "$tmp/run" --quiet > "$tmp/log"
    label() { # POWER_IGNORE=1 or nothing
        rm -f "$tmp"/labels.h5*
        s=$(date +%s.%N)
        env LD_PRELOAD="$power" POWER_ROOT="$tmp" "$@" "$retort" label --teacher "$tmp/run/model.h5" --data "$tmp/data.h5" --out "$tmp/labels.h5" --quiet > "$tmp/log"
        date +%s.%N | awk -v s="$s" '{ print $1 - s }'
    }
    label > "$tmp/log"
    for round in $(seq "${ROUNDS:-11}"); do
        if [ $((round % 2)) = 0 ]; then with=$(label); without=$(label POWER_IGNORE=1)
        else without=$(label POWER_IGNORE=1); with=$(label); fi
        echo "$with $without"
    done | awk '{ print $1 / $2, $1, $2 }' | sort -n | awk -v w=$width '{ r[NR] = $1 } END { i = int((NR + 1) / 2)
        printf "width %d: syncs cost %.1f %% of labelling (%.1f to %.1f in %d pairs)\n", w, 100 * (r[i] - 1), 100 * (r[1] - 1), 100 * (r[NR] - 1), NR }'
    rm -rf "$tmp/run"
done
