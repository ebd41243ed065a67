#!/bin/sh
# What training on a policy's view of pseudo-labels reaches against training on all of them: Fashion-MNIST, a small student, labels of
# two teachers (the one of experiments/fashion.json, and a weak one that saw 500 images), rows 10000 to 30000, three seeds. Every arm
# makes as many updates. Accuracy is on the 10,000 test images; "gain" is the mean over seeds of the difference to "all", with the
# standard error of that mean. FASHION names the folder that experiments/fashion.json filled.
set -e
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
from=${FASHION:-runs/fashion}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp"
number() { grep -o "\"$1\":[^,}]*" | head -1 | tr -dc '0-9.\n'; }
student='{"input": [28, 28, 1], "classes": 10, "family": "mlp", "width": 64, "depth": 2}'
echo "{\"model\": $student, \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"0:500\", \"validation\": 0},
  \"train\": {\"epochs\": 40, \"batch\": 32}}" > "$tmp/weak.json"
"$retort" train "$tmp/weak.json" --out "$tmp/weak" --quiet > "$tmp/log"
"$retort" label --teacher "$tmp/weak/model.h5" --data "$from/train_images.h5" --rows 10000:30000 --out "$tmp/weak.h5" --quiet > "$tmp/log"
arm() { # name policy labels epochs seed: the result's lines of one run
    echo "{\"seed\": $5, \"model\": $student,
      \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"10000:30000\", \"validation\": 0, \"labels\": \"$3\", \"policy\": $2},
      \"loss\": {\"kind\": \"kd\", \"temperature\": 1, \"hard\": 0, \"soft\": 1},
      \"train\": {\"epochs\": $4, \"lr\": 0.05, \"nesterov\": true}}" > "$tmp/run.json"
    "$retort" train "$tmp/run.json" --out "$tmp/run" --force --quiet --json > "$tmp/result"
}
for labels in "$from/labels.h5" "$tmp/weak.h5"; do
    echo "labels of the $([ "$labels" = "$tmp/weak.h5" ] && echo weak || echo strong) teacher"
    "$retort" eval --student "$( [ "$labels" = "$tmp/weak.h5" ] && echo "$tmp/weak" || echo "$from/teacher")/model.h5" \
        --data "$from/train_images.h5" data.rows=10000:30000 eval.speed=false --out "$tmp/eval" --force --json --quiet 2> "$tmp/log" | number accuracy |
        sed 's/^/    right of the labels: /'
    for line in 'all|{"allow_empty":true}' 'confidence|{"confidence":{"min":0.9}}' 'balance|{"balance":"equal","choose":"random"}' \
        'confidence and balance|{"confidence":{"min":0.9},"balance":"equal","choose":"random"}' \
        'top 1000 a class|{"per_class":{"top":1000}}' 'median capped at 0.9|{"per_class":{"median_capped":0.9}}'; do
        name=${line%%|*} policy=${line#*|}
        for seed in 1 2 3; do
            arm "$name" "$policy" "$labels" 1 $seed
            rows=$(number rows_after < "$tmp/result")
            epochs=$(((${EPOCHS:-20} * 20000 + rows / 2) / rows))
            arm "$name" "$policy" "$labels" $epochs $seed
            "$retort" eval --student "$tmp/run/model.h5" --data "$from/test_images.h5" eval.speed=false --out "$tmp/eval" --force --json --quiet 2> "$tmp/log" |
                number accuracy | sed "s/^/$seed $rows $epochs /; s/\$/ $name/"
        done
    done | awk '{ a = $4; seed = $1; n = $2; e = $3; $1 = $2 = $3 = $4 = ""; sub(/^ */, "")
        if (!($0 in count)) { order[++names] = $0; rows[$0] = n; epochs[$0] = e }
        count[$0]++; sum[$0] += a; at[$0, seed] = a }
        END { for (i = 1; i <= names; i++) { m = order[i]; g = q = 0
            for (s = 1; s <= 3; s++) g += (at[m, s] - at["all", s]) / 3
            for (s = 1; s <= 3; s++) q += (at[m, s] - at["all", s] - g) ^ 2
            printf "    %-24s %6d rows x %3d epochs: %.4f (%.4f %.4f %.4f), gain %+.4f +- %.4f\n", m, rows[m], epochs[m], sum[m] / 3,
                at[m, 1], at[m, 2], at[m, 3], g, sqrt(q / 6) } }'
done
