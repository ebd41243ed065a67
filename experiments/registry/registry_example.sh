#!/bin/sh
# Ten versions of the quickstart's smallest student through registry and gate. Each is its predecessor trained on for an
# epoch on 5,000 other rows; from the fourth on with a weight decay a hundred times too large, so that each loses a little:
# within the limit against its predecessor, and far beyond it against the anchor of release 1.0, which alone tells.
# After quickstart.sh: sh experiments/registry/registry_example.sh. RUN=its folder, OUT=folder (default runs/registry),
# RETORT=program; VERSIONS, ROWS, LIMIT, GOOD, DRIFT: other sizes, and keys of training up to the third version and after
# it. Ends with the table of history, and its page.
set -e
cd "$(dirname "$0")/../.."
RUN=${RUN:-runs/fashion} OUT=${OUT:-runs/registry} RETORT=${RETORT:-build/retort}
VERSIONS=${VERSIONS:-10} ROWS=${ROWS:-5000} LIMIT=${LIMIT:-0.01}
GOOD=${GOOD:-train.lr=0.01 train.weight_decay=0.0005} DRIFT=${DRIFT:-train.lr=0.01 train.weight_decay=0.05}
for f in student_mlp/model.h5 train_images.h5 test_images.h5 labels.h5; do
    [ -e "$RUN/$f" ] || { echo "$RUN/$f is not there: sh experiments/quickstart.sh makes it" >&2; exit 3; }
done
[ ! -e "$OUT" ] || { echo "$OUT is there: give another OUT, or remove it" >&2; exit 2; }
mkdir -p "$OUT"
registry="$OUT/registry"
retort() { "$RETORT" "$@" --quiet; }

printf '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": %s}]}\n' "$LIMIT" > "$OUT/step.json"
printf '{"format": "retort-policy-1", "releases": %s, "against": "anchor",\n "limits": [{"metric": "accuracy", "max_drop": %s}]}\n' \
    "$((VERSIONS + 2))" "$LIMIT" > "$OUT/release.json"

# add NUMBER MODEL NOTE: its evaluation, and the version
add() {
    retort eval --student "$2" --data "$RUN/test_images.h5" --out "$OUT/eval$1" eval.speed=false > /dev/null
    retort registry add student "$2" --registry "$registry" --eval "$OUT/eval$1/evaluation.json" --note "$3" > /dev/null
}
# verdict POLICY OUT [more]: of version n against the one before, the word alone
verdict() {
    policy=$1
    shift
    "$RETORT" gate --baseline "$before" --candidate "$model" --policy "$policy" --data "$RUN/test_images.h5" --quiet "$@" \
        > "$OUT/screen.txt" 2> "$OUT/message.txt" || case $? in 1 | 6) ;; *) cat "$OUT/message.txt" >&2; exit 4 ;; esac
    sed -n '1s/:.*//p' "$OUT/screen.txt" | tr 'A-Z' 'a-z'
}

retort registry init --registry "$registry" > /dev/null
before="$RUN/student_mlp/model.h5"
add 1 "$before" "of the quickstart"
retort registry tag student@1 --anchor 1.0 --registry "$registry" > /dev/null
retort registry tag student@1 prod --registry "$registry" > /dev/null
printf '%-8s %-30s %s\n' version "against its predecessor alone" "with the anchor"
n=2
while [ "$n" -le "$VERSIONS" ]; do
    keys=$GOOD
    [ "$n" -lt 4 ] || keys=$DRIFT
    # shellcheck disable=SC2086
    retort train --out "$OUT/v$n" init="$before" data.source="$RUN/train_images.h5" data.labels="$RUN/labels.h5" \
        data.validation=0 data.rows="$(((n - 1) * ROWS)):$((n * ROWS))" loss.kind=kd loss.temperature=1 train.epochs=1 \
        train.nesterov=true $keys > /dev/null
    model="$OUT/v$n/model.h5"
    add "$n" "$model" "$keys"
    alone=$(verdict "$OUT/step.json")
    both=$(verdict "$OUT/release.json" --registry "$registry" --out "$OUT/gate$n")
    printf '%-8s %-30s %s\n' "$n" "$alone" "$both"
    [ "$both" != pass ] || retort registry tag "student@$n" prod --registry "$registry" > /dev/null
    before=$model
    n=$((n + 1))
done
"$RETORT" registry history student accuracy --registry "$registry" --html "$OUT/history.html"
