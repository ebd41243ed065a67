#!/bin/sh
# What loss.focal saves in negative flips (rows that the old version has right and the new one wrong): Fashion-MNIST. The old version
# is a small network that saw 10,000 labelled images, the new one twice as wide and on 20,000; three seeds, each with an old version of
# its own. Arms: labels alone; kd from the old version; the same with focal, whose weights (0.2 (1 + 5 r), r: the old version is right)
# are about kd's in all; and only rows that the old version has right. NFR, and accuracy are of `retort eval --baseline --candidate` on the
# 10,000 test images; "change" is against labels alone. FASHION names the folder that
# experiments/fashion.json filled.
set -e
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
from=${FASHION:-runs/fashion}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp"
metric() { tr -d ' \n\t' < "$tmp/result" | grep -o "\"metric\":\"$1\"[^}]*" | head -1 | grep -o '"candidate":[0-9.e-]*' | cut -d: -f2; }
net() { # width rows seed loss labels: a run's configuration
    echo "{\"seed\": $3, \"model\": {\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": $1, \"depth\": 3},
      \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"0:$2\", \"validation\": 0$5}, \"loss\": $4,
      \"augment\": {\"flip\": true}, \"train\": {\"epochs\": ${EPOCHS:-10}, \"lr\": 0.1, \"nesterov\": true}}" > "$tmp/run.json"
}
train() { "$retort" train "$tmp/run.json" --out "$1" --force --quiet > "$tmp/log"; }
for seed in 1 2 3; do
    net 8 10000 $seed '{"kind": "ce"}' ''
    train "$tmp/old"
    "$retort" label --teacher "$tmp/old/model.h5" --data "$from/train_images.h5" --rows 0:20000 --out "$tmp/labels.h5" --force --quiet > "$tmp/log"
    for line in 'labels alone|{"kind":"ce"}' 'kd|{"kind":"kd","hard":1,"soft":1,"temperature":1}' \
        'focal|{"kind":"kd","hard":1,"soft":0.2,"temperature":1,"focal":{"alpha":1,"beta":5}}' \
        'focal, right rows alone|{"kind":"kd","hard":1,"soft":0.2,"temperature":4,"focal":{"alpha":0,"beta":1}}'; do
        name=${line%%|*} loss=${line#*|} labels=", \"labels\": \"$tmp/labels.h5\""
        [ "$name" = 'labels alone' ] && labels=
        net 16 20000 $((seed + 10)) "$loss" "$labels"
        train "$tmp/new"
        "$retort" eval --baseline "$tmp/old/model.h5" --candidate "$tmp/new/model.h5" --data "$from/test_images.h5" eval.speed=false \
            --out "$tmp/eval" --force --json --quiet > "$tmp/result" 2> "$tmp/log"
        echo "$seed $(metric accuracy) $(metric nfr) $name"
    done
done | awk '{ seed = $1; a = $2; f = $3; $1 = $2 = $3 = ""; sub(/^ */, "")
    if (!($0 in count)) order[++names] = $0
    count[$0]++; acc[$0] += a / 3; nfr[$0] += f / 3; at[$0, seed] = a; of[$0, seed] = f }
    END { base = order[1]
        for (i = 1; i <= names; i++) { m = order[i]; g = q = 0
            for (s = 1; s <= 3; s++) g += (at[m, s] - at[base, s]) / 3
            for (s = 1; s <= 3; s++) q += (at[m, s] - at[base, s] - g) ^ 2
            printf "%-24s accuracy %.4f (%.4f %.4f %.4f), change %+.4f +- %.4f; NFR %.4f (%.4f %.4f %.4f), change %+.1f %%\n", m, acc[m],
                at[m, 1], at[m, 2], at[m, 3], g, sqrt(q / 6), nfr[m], of[m, 1], of[m, 2], of[m, 3], 100 * (nfr[m] / nfr[base] - 1) } }'
