#!/bin/sh
# What it costs that labels are on disk when they are reported: the seconds that labelling waits for syncs (tests/power/power.c,
# loaded before the program), of the seconds that it takes: full logits of 30,000 Fashion-MNIST images, one thread, ROUNDS runs
# of each width. Labels are committed about once a second however fast they come, so that the share is that of a longer run, too,
# and a machine that is shared, which makes runs longer, has more syncs, not a smaller share.
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
    for round in $(seq "${ROUNDS:-7}"); do
        rm -f "$tmp"/labels.h5* "$tmp/cost"
        env LD_PRELOAD="$power" POWER_ROOT="$tmp" POWER_COST="$tmp/cost" "$retort" label --teacher "$tmp/run/model.h5" \
            --data "$tmp/data.h5" --out "$tmp/labels.h5" --threads 1 --quiet data.rows=0:30000 > "$tmp/log"
        cat "$tmp/cost"
    done | awk '{ print $1 / $2, $0 }' | sort -n | awk -v w=$width '{ r[NR] = $1; s[NR] = $2; t[NR] = $3; c[NR] = $4 }
        END { i = int((NR + 1) / 2)
        printf "width %d: syncs are %.2f %% of labelling (%.2f to %.2f in %d runs; %.3f s of %.1f s, %.1f s of them CPU)\n", w,
            100 * r[i], 100 * r[1], 100 * r[NR], NR, s[i], t[i], c[i] }'
    rm -rf "$tmp/run"
done
