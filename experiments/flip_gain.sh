#!/bin/sh
# What flip-aware training saves in negative flips (rows that the old version has right and the new one wrong), on
# Fashion-MNIST: sh experiments/flip_gain.sh [SETTING...], of
#   data   the same CNN (width 8, 4 epochs), trained again on 20,000 labelled images; the old version saw 15,000 of them
#   wider  a CNN of width 16 on 20,000 after one of width 8 on 10,000 (10 epochs)
#   mlp    the same MLP (width 64, 20 epochs) on 10,000 after 5,000
# Three seeds, each with an old version of its own, side by side. Arms:
#   labels      labels alone: what the others are compared with
#   focal       kd from the old version, weights 0.2 (1 + 5 r), r: the teacher is right
#   mix         the same from the mean of the old version and "labels", weights 0.5 (1 + 5 r)
#   from old... begun from the old version's weights (init), where the nets are the same
# NFR is of the 10,000 test images, over all seeds together; intervals are of 95 %, by 1,000 resamples of the test rows
# (seeds as they are: their own figures stand in brackets). FASHION names the folder that experiments/fashion.json
# filled, OUT one that keeps the models: what is there is not trained again.
set -e
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
from=${FASHION:-runs/fashion}
tmp=${OUT:-$(mktemp -d)}
[ -n "$OUT" ] || trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"
export XDG_CACHE_HOME="$tmp/cache"
focal='{"kind": "kd", "hard": 1, "soft": 0.2, "temperature": 1, "focal": {"alpha": 1, "beta": 5}}'
mixed='{"kind": "kd", "hard": 1, "soft": 0.5, "temperature": 1, "focal": {"alpha": 1, "beta": 5}}'

# What a setting is: rows of the old version, of the new one, epochs, rate, the nets of both.
setting() {
    cnn='"family": "cnn", "depth": 3, "width":'
    case $1 in
        data) before=15000 rows=20000 epochs=4 lr=0.1 first="$cnn 8" second="$cnn 8" ;;
        wider) before=10000 rows=20000 epochs=10 lr=0.1 first="$cnn 8" second="$cnn 16" ;;
        mlp) before=5000 rows=10000 epochs=20 lr=0.02 first='"family": "mlp", "depth": 2, "width": 64' second=$first ;;
        *) echo "flip_gain.sh: there is no setting '$1': data, wider or mlp" >&2; exit 2 ;;
    esac
}
# Trains PATH, asks it, and keeps for each test row whether it was right.
train() { # path seed rows model loss labels
    [ ! -s "$1.right" ] || return 0
    echo "{\"seed\": $2, $4, \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"0:$3\", \"validation\": 0$6}, \"loss\": $5,
      \"augment\": {\"flip\": true}, \"train\": {\"epochs\": $epochs, \"lr\": $lr, \"nesterov\": true}}" > "$1.json"
    "$retort" train "$1.json" --out "$1" --quiet --threads 1 > "$1.log"
    "$retort" predict "$1/model.h5" --data "$from/test_images.h5" --out "$1.csv" --force --quiet --threads 1 > "$1.log"
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print ($at["prediction"] == $at["truth"]) }' "$1.csv" > "$1.part"
    rm "$1.csv"
    mv "$1.part" "$1.right"
}
net() { echo "\"model\": {\"input\": [28, 28, 1], \"classes\": 10, $1}"; }
seed() { # setting seed
    trap - EXIT
    p=$tmp/$1.$2
    setting "$1"
    train "$p.old" "$2" $before "$(net "$first")" '{"kind": "ce"}' ''
    train "$p.labels" $(($2 + 10)) $rows "$(net "$second")" '{"kind": "ce"}' ''
    echo "{\"mix\": \"logits\", \"teachers\": [\"$p.labels/model.h5\", \"$p.old/model.h5\"]}" > "$p.mix.json"
    for by in old/model.h5 mix.json; do
        to=$p.${by%%[./]*}.answers.h5
        [ -s "$to" ] || "$retort" label --teacher "$p.$by" --data "$from/train_images.h5" --rows 0:$rows --out "$to" --quiet > "$p.log"
    done
    old=", \"labels\": \"$p.old.answers.h5\"" mix=", \"labels\": \"$p.mix.answers.h5\""
    train "$p.focal" $(($2 + 10)) $rows "$(net "$second")" "$focal" "$old"
    train "$p.mix" $(($2 + 10)) $rows "$(net "$second")" "$mixed" "$mix"
    [ "$first" = "$second" ] || return 0
    init="\"init\": \"$p.old/model.h5\""
    train "$p.from-old-labels" $(($2 + 10)) $rows "$init" '{"kind": "ce"}' ''
    train "$p.from-old-focal" $(($2 + 10)) $rows "$init" "$focal" "$old"
    train "$p.from-old-mix" $(($2 + 10)) $rows "$init" "$mixed" "$mix"
}
# Lines of old, labels and arm of three seeds: nine columns of 0 and 1.
compare() { # setting arm
    columns=""
    for s in 1 2 3; do columns="$columns $tmp/$1.$s.old.right $tmp/$1.$s.labels.right $tmp/$1.$s.$2.right"; done
    # shellcheck disable=SC2086
    paste $columns | awk -v name="$1 $2" '
        { rows++
          for (s = 0; s < 3; s++) { o = $(3 * s + 1); l = $(3 * s + 2); m = $(3 * s + 3)
              acc[s] += m; gain[s] += m - l; nfr[s] += o && !m
              flips[rows] += o && !m; usual[rows] += o && !l; gains[rows] += m - l } }
        function sort(a, n,    i, j, t) { for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t } }
        END { srand(1)
          for (k = 1; k <= 1000; k++) { f = u = g = 0
              for (i = 0; i < rows; i++) { r = 1 + int(rand() * rows); f += flips[r]; u += usual[r]; g += gains[r] }
              change[k] = 100 * (f / u - 1); points[k] = 100 * g / rows / 3 }
          sort(change, 1000); sort(points, 1000)
          for (r = 1; r <= rows; r++) { F += flips[r]; U += usual[r]; G += gains[r] }
          printf "%-22s accuracy %.4f, change %+.2f [%+.2f, %+.2f] (%+.2f %+.2f %+.2f) points; NFR %.4f (%.4f %.4f %.4f), change %+.1f %% [%+.1f, %+.1f]\n", name,
              (acc[0] + acc[1] + acc[2]) / rows / 3, 100 * G / rows / 3, points[25], points[976], 100 * gain[0] / rows, 100 * gain[1] / rows,
              100 * gain[2] / rows, F / rows / 3, nfr[0] / rows, nfr[1] / rows, nfr[2] / rows, 100 * (F / U - 1), change[25], change[976] }'
}
for one in ${*:-data wider mlp}; do setting "$one"; done
for one in ${*:-data wider mlp}; do
    running=""
    for s in 1 2 3; do
        seed "$one" $s &
        running="$running $!"
    done
    for s in $running; do wait "$s"; done
    for arm in labels focal mix from-old-labels from-old-focal from-old-mix; do
        [ ! -s "$tmp/$one.3.$arm.right" ] || compare "$one" $arm
    done
done
