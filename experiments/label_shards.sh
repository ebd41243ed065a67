#!/bin/sh
# What two shards gain on two cores: seconds of one process, of two copies side by side that label the same rows each into a
# store of its own (what the machine has to give), and of two shards; alternating, ROUNDS rounds, medians. A CNN labels
# Fashion-MNIST, one thread a process. At the end: kept files must be equal.
#   sh experiments/label_shards.sh      ROUNDS=5 IMAGES=60000 WIDTH=24 (of the CNN)
set -e
cd "$(dirname "$0")/.."
sh experiments/packages.sh data
retort=${RETORT:-build/retort} images=${IMAGES:-60000}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/retort-shards-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp"
from=/usr/share/datasets/fashion-mnist
"$retort" import $from/train-images-idx3-ubyte.gz $from/train-labels-idx1-ubyte.gz --out "$tmp/data.h5" --quiet > "$tmp/log"
echo "{\"model\": {\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": ${WIDTH:-24}, \"depth\": 3, \"convs\": 2},
 \"data\": {\"source\": \"$tmp/data.h5\", \"rows\": \"0:1000\"}, \"train\": {\"epochs\": 1}}" > "$tmp/train.json"
"$retort" train "$tmp/train.json" --out "$tmp/run" --quiet > "$tmp/log"
sleep 2.1
label() { "$retort" label --teacher "$tmp/run/model.h5" --data "$tmp/data.h5" --threads 1 --quiet --rows 0:$images "$@" > "$tmp/log.$$"; }
timed() { # what command: seconds
    s=$(date +%s.%N); "$@"; date +%s.%N | awk -v s="$s" '{ printf "%.3f ", $1 - s }'
}
one() { label --out "$tmp/one.h5"; }
copies() { label --out "$tmp/a.h5" & label --out "$tmp/b.h5"; wait; }
shards() { label --out "$tmp/s.h5" --shard 0/2 & label --out "$tmp/s.h5" --shard 1/2; wait; }
for round in $(seq "${ROUNDS:-5}"); do
    rm -f "$tmp"/*.h5.journal* "$tmp"/one.h5 "$tmp"/a.h5 "$tmp"/b.h5 "$tmp"/s.h5
    timed one; timed copies; timed shards; echo
    cmp "$tmp/one.h5" "$tmp/s.h5"
done | tee "$tmp/times" | awk '{ print "one " $1 " s, two copies " $2 " s (x" 2 * $1 / $2 "), two shards " $3 " s (x" $1 / $3 ")" }'
awk '{ print 2 * $1 / $2, $1 / $3, ($1 / $3) / (2 * $1 / $2) }' "$tmp/times" | sort -n | awk '{ a[NR] = $1; b[NR] = $2; c[NR] = $3 }
    END { n = asort_(b); m = asort_(c); i = int((NR + 1) / 2)
        printf "medians: copies side by side %.2f, shards %.2f, of what copies reach %.2f\n", a[i], b[i], c[i] }
    function asort_(v,   x, y, t) { for (x = 2; x <= NR; x++) for (y = x; y > 1 && v[y - 1] > v[y]; y--) { t = v[y]; v[y] = v[y - 1]; v[y - 1] = t }; return NR }'
