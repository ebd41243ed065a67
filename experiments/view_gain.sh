#!/bin/sh
# What labels of views (label.views) give and cost: Fashion-MNIST, a small CNN that learns from the labels of the teacher of
# experiments/fashion.json alone, rows 10000 to 10000 + ROWS, mirrored and moved images. Three ways: labels of rows as they are,
# whatever the view; labels of V views, replayed; the teacher beside the student. Per seed: accuracy on the 10,000 test images,
# CPU seconds of the training (user and system); whether replayed and beside end in the same weights. FASHION names the folder
# that experiments/fashion.json filled, VIEWS the views and epochs, SEEDS the seeds.
set -e
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort} from=${FASHION:-runs/fashion} views=${VIEWS:-8} rows=${ROWS:-10000}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp"
end=$((10000 + rows)) seen="augment.flip=true augment.shift=2"
number() { sed -n "s/.*\"$1\":[[:space:]]*\"*\([-0-9a-f.e+]*\).*/\1/p" "$2" | head -1; }
timed() { # file of the times, command: its CPU seconds
    times=$1; shift
    sh -c '"$@" > /dev/null; times' sh "$@" | tail -1 | tr 'ms' '  ' | awk '{ print $1 * 60 + $2 + $3 * 60 + $4 }' > "$times"
}
label() { timed "$tmp/$1.cpu" "$retort" label --teacher "$from/teacher/model.h5" --data "$from/train_images.h5" --rows 10000:$end --threads 1 --quiet --out "$tmp/$1.h5" $2; }
label rows ""
label views "label.views=$views $seen augment.seed=1"
label q8 "label.views=$views $seen augment.seed=1 labels.topk=5 labels.type=q8"
for s in rows views q8; do echo "labels $s: $(wc -c < "$tmp/$s.h5") bytes, $(cat "$tmp/$s.cpu") CPU-s"; done
for seed in ${SEEDS:-1 2 3}; do
    for how in "rows data.labels=$tmp/rows.h5" "views data.labels=$tmp/views.h5" "q8 data.labels=$tmp/q8.h5" "beside teacher=$from/teacher/model.h5"; do
        name=${how%% *}
        cat > "$tmp/s.json" <<X
{"seed": $seed, "model": {"input": [28, 28, 1], "classes": 10, "family": "cnn", "width": 8, "depth": 2},
 "data": {"source": "$from/train_images.h5", "rows": "10000:$end", "validation": 0},
 "loss": {"kind": "kd", "hard": 0, "soft": 1}, "train": {"epochs": $views, "lr": 0.05, "nesterov": true}}
X
        timed "$tmp/cpu" "$retort" train "$tmp/s.json" --out "$tmp/$name" --force --threads 1 --quiet $seen augment.seed=1 "${how#* }"
        "$retort" eval --student "$tmp/$name/model.h5" --data "$from/test_images.h5" eval.speed=false --out "$tmp/eval" --force --json --quiet > "$tmp/eval.txt" 2> "$tmp/log"
        echo "seed $seed, $name: accuracy $(number accuracy "$tmp/eval.txt"), $(cat "$tmp/cpu") CPU-s, weights $(number last_weights_digest "$tmp/$name/result.json")"
    done
done
