#!/bin/sh
# What codings of label stores cost and lose: Fashion-MNIST's 60,000 training rows by the teacher of experiments/fashion.json in each
# coding: bytes, the largest error of a logit and of a probability (retort labels pack), CPU-seconds of packing, and what an MLP of
# 64 learns from each on 20,000 rows, accuracy on the 10,000 test images, seeds 1 to 3. FASHION names the folder that
# experiments/fashion.json filled.
set -e
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
from=${FASHION:-runs/fashion}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
"$retort" label --teacher "$from/teacher/model.h5" --data "$from/train_images.h5" --out "$tmp/f32.h5" --quiet > "$tmp/log"
pack() { # name options
    name=$1
    shift
    ( "$retort" labels pack "$tmp/f32.h5" --out "$tmp/$name.h5" "$@" --json --quiet > "$tmp/$name.json"; times ) > "$tmp/times"
    echo "$name: $(number bytes_after "$tmp/$name.json") bytes, logit $(number logit "$tmp/$name.json"), probability $(number probability "$tmp/$name.json"), $(tail -1 "$tmp/times") CPU"
}
echo "f32: $(wc -c < "$tmp/f32.h5") bytes"
pack f16 --type f16
pack q8 --type q8
pack top5 --topk 5
pack hard --hard
for name in f32 f16 q8 top5 hard; do
    line="$name:" temperature=4
    [ $name = hard ] && temperature=1                  # what is certain has no shades
    for seed in 1 2 3; do
        echo "{\"seed\": $seed, \"model\": {\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"mlp\", \"width\": 64, \"depth\": 2},
          \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"10000:30000\", \"y\": \"\", \"validation\": 0, \"labels\": \"$tmp/$name.h5\"},
          \"loss\": {\"kind\": \"kd\", \"hard\": 0, \"temperature\": $temperature}, \"train\": {\"epochs\": 6, \"batch\": 100}}" > "$tmp/s.json"
        "$retort" train "$tmp/s.json" --out "$tmp/s$name$seed" --quiet > "$tmp/log"
        "$retort" eval --student "$tmp/s$name$seed/model.h5" --data "$from/test_images.h5" --out "$tmp/e$name$seed" eval.speed=false --quiet > "$tmp/log"
        line="$line $(number accuracy "$tmp/e$name$seed/evaluation.json")"
    done
    echo "$line"
done
