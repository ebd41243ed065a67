#!/bin/sh
# What loss.focal saves in negative flips (rows that the old version has right and the new one wrong): Fashion-MNIST, a CNN of width 8
# that is trained again on a third more data: the old version saw 15,000 labelled images, the new one sees 20,000. Three seeds, each with
# an old version of its own; they run side by side. Arms: labels alone; kd from the old version; focal, whose weights 0.2 (1 + 5 r), r:
# the old version is right, are about kd's in all. NFR and accuracy are of `retort eval --baseline --candidate` on the 10,000 test
# images; "change" is against labels alone, of NFR over all seeds together. FASHION names the folder that experiments/fashion.json filled.
set -e
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
from=${FASHION:-runs/fashion}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp"
net() { # rows seed loss labels: a run's configuration
    echo "{\"seed\": $2, \"model\": {\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": 8, \"depth\": 3},
      \"data\": {\"source\": \"$from/train_images.h5\", \"rows\": \"0:$1\", \"validation\": 0$4}, \"loss\": $3,
      \"augment\": {\"flip\": true}, \"train\": {\"epochs\": ${EPOCHS:-4}, \"lr\": 0.1, \"nesterov\": true}}"
}
metric() { tr -d ' \n\t' < "$2" | grep -o "\"metric\":\"$1\"[^}]*" | head -1 | grep -o '"candidate":[0-9.e-]*' | cut -d: -f2; }
train() { "$retort" train "$1.json" --out "$1" --quiet --threads 1 > "$1.log"; }
arm() { # seed number name loss labels
    trap - EXIT
    new=$tmp/$1.$2
    net 20000 $(($1 + 10)) "$4" "$5" > "$new.json"
    train "$new"
    "$retort" eval --baseline "$tmp/$1/model.h5" --candidate "$new/model.h5" --data "$from/test_images.h5" eval.speed=false --out "$new.eval" \
        --json --quiet > "$new.result" 2> "$new.log"
    echo "$1 $(metric accuracy "$new.result") $(metric nfr "$new.result") $3" | tee /dev/stderr > "$new.line"
}
seed() {
    trap - EXIT
    net 15000 "$1" '{"kind": "ce"}' '' > "$tmp/$1.json"
    train "$tmp/$1"
    "$retort" label --teacher "$tmp/$1/model.h5" --data "$from/train_images.h5" --rows 0:20000 --out "$tmp/$1.h5" --quiet > "$tmp/$1.log"
    arm "$1" 1 'labels alone' '{"kind": "ce"}' '' &
    arm "$1" 2 kd '{"kind": "kd", "hard": 1, "soft": 1, "temperature": 1}' ", \"labels\": \"$tmp/$1.h5\"" &
    arm "$1" 3 focal '{"kind": "kd", "hard": 1, "soft": 0.2, "temperature": 1, "focal": {"alpha": 1, "beta": 5}}' \
        ", \"labels\": \"$tmp/$1.h5\"" &
    wait
}
for s in 1 2 3; do seed $s & done
wait
for n in 1 2 3; do cat "$tmp"/?."$n".line; done | awk '{ seed = $1; a = $2; f = $3; $1 = $2 = $3 = ""; sub(/^ */, "")
    if (!($0 in count)) order[++names] = $0
    count[$0]++; acc[$0] += a / 3; nfr[$0] += f / 3; at[$0, seed] = a; of[$0, seed] = f }
    END { base = order[1]
        for (i = 1; i <= names; i++) { m = order[i]; g = q = 0
            for (s = 1; s <= 3; s++) g += (at[m, s] - at[base, s]) / 3
            for (s = 1; s <= 3; s++) q += (at[m, s] - at[base, s] - g) ^ 2
            printf "%-14s accuracy %.4f (%.4f %.4f %.4f), change %+.4f +- %.4f; NFR %.4f (%.4f %.4f %.4f), change %+.1f %%\n", m, acc[m],
                at[m, 1], at[m, 2], at[m, 3], g, sqrt(q / 6), nfr[m], of[m, 1], of[m, 2], of[m, 3], 100 * (nfr[m] / nfr[base] - 1) } }'
