#!/bin/sh
# What rows that 'retort select' chooses teach against as many random ones: Fashion-MNIST, 200 labelled rows among the
# first 20,000, a small CNN of them answers the rest, 300 more get their label, and a new model learns from the 500.
# Seeds draw the first rows, the random ones, the weights and the order. Gain: accuracy on the 10,000 test images less that of
# random rows, its standard error over seeds, 95 % of it over test rows (one value a row, the mean over seeds, as all are asked the
# same rows), and of all seeds together the test rows that only one of the two answers right, with z of McNemar's test (both of these
# models; the standard error is of the method).
#
#   FASHION=runs/fashion RETORT=build/retort SEEDS="1 2 3" sh experiments/select_gain.sh
set -e
cd "$(dirname "$0")/.."
retort=$(realpath "${RETORT:-build/retort}")
from=$(realpath "${FASHION:-runs/fashion}")
first=${FIRST:-200} more=${MORE:-300} pool=${POOL:-20000} epochs=${EPOCHS:-60}
ways=${WAYS:-random
entropy
margin
least-confidence
k-center
badge
mix
k-center --features
badge --features
mix --features}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
# mask FILE: the rows on standard input are kept, of 60,000
mask() {
    { printf '\223NUMPY\001\000v\000'
      printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': (60000,), }"
      awk '{ keep[$1] = 1 } END { for (i = 0; i < 60000; i++) printf "%d", keep[i] }' | tr '01' '\000\001'; } > mask.npy
    rm -f "$1"
    "$retort" import mask.npy --out "$1" --quiet > log
}
# learn FOLDER MASK SEED
learn() {
    echo "{\"seed\": $3, \"model\": {\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": 8, \"depth\": 3},
      \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"0:$pool\", \"validation\": 0,
        \"mask\": {\"source\": \"$2\", \"set\": \"x\"}},
      \"train\": {\"epochs\": $epochs, \"batch\": 32, \"lr\": 0.05, \"nesterov\": true}}" > run.json
    "$retort" train run.json --out "$1" --force --quiet > log
    rm -f answers.csv
    "$retort" predict "$1/model.h5" --data "$from/test_images.h5" --out answers.csv --quiet > log
}
for seed in ${SEEDS:-1 2 3}; do
    # a permutation of the pool by a congruential generator
    awk -v n="$pool" -v x=$((seed * 7919)) 'BEGIN { for (i = 0; i < n; i++) { x = (x * 1103515245 + 12345) % 2147483648; print x, i } }' |
        sort -n | awk '{ print $2 }' > order.txt
    head -n "$first" order.txt > labelled.csv
    mask first.h5 < labelled.csv
    learn start first.h5 $seed
    "$retort" predict start/model.h5 --data "$from/train_images.h5" --rows 0:"$pool" --out pool.h5 --force --quiet > log
    echo "$ways" | while IFS= read -r line; do
        by=${line%% *} features=
        [ "$by" = "$line" ] || features="--features $from/train_images.h5:x"
        if [ "$by" = random ]; then tail -n +$((first + 1)) order.txt | head -n "$more" > chosen.txt
        else
            # shellcheck disable=SC2086
            "$retort" select pool.h5 --n "$more" --by "$by" $features --labelled labelled.csv --out chosen.csv --force --quiet > log
            tail -n +2 chosen.csv | cut -d, -f1 > chosen.txt
        fi
        cat labelled.csv chosen.txt | mask both.h5
        learn then both.h5 $seed
        awk -F, -v seed=$seed -v by="$line" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "truth") t = i; next }
            { printf "%s %d", seed, $2 == $t; print " " NR, by }' answers.csv
    done
done | awk '{ s = $1; hit = $2; row = $3; $1 = $2 = $3 = ""; sub(/^ */, ""); n[s, $0]++; right[s, $0] += hit
    if (!($0 in seen)) { seen[$0] = 1; order[++k] = $0 }
    if (!(s in known)) { known[s] = 1; seed[++seeds] = s }
    if ($0 == "random") base[s, row] = hit
    more[$0, row] += hit - base[s, row]; if (row > rows) rows = row
    if ($0 == "random") next
    if (hit && !base[s, row]) won[$0]++
    else if (!hit && base[s, row]) lost[$0]++ }
    END { for (i = 1; i <= k; i++) { m = order[i]; a = g = q = e = 0; each = ""
        for (j = 1; j <= seeds; j++) { s = seed[j]
            acc = right[s, m] / n[s, m]; d[j] = acc - right[s, "random"] / n[s, "random"]
            a += acc / seeds; g += d[j] / seeds; each = each sprintf(" %.4f", acc) }
        for (j = 1; j <= seeds; j++) q += (d[j] - g) ^ 2
        for (r = 1; r <= rows; r++) e += (more[m, r] / seeds - g) ^ 2
        e = 1.96 * sqrt(e / (rows - 1) / rows)
        printf "%-22s %.4f (%s) gain %+.4f +- %.4f [%+.4f, %+.4f]", m, a, substr(each, 2), g,
            (seeds > 1 ? sqrt(q / seeds / (seeds - 1)) : 0), g - e, g + e
        if (won[m] + lost[m]) printf ", %d against %d, z %.1f", won[m], lost[m], (won[m] - lost[m]) / sqrt(won[m] + lost[m])
        printf "\n" } }'
