#!/bin/sh
# Wrong labels that are known: a share of Fashion-MNIST's is flipped, two models each answer the half that the other
# learnt, and 'retort clean' and cleanlab judge the same probabilities; then training with and without the rows found.
#
#   sh experiments/clean.sh RETORT train_images.h5 test_images.h5 FOLDER [PYTHON [SHARE [SEEDS]]]
#
# The data is that of experiments/fashion.json (runs/fashion). PYTHON needs h5py, numpy, cleanlab.
set -e
retort=$1 train=$2 test=$3 work=$4 python=${5:-python3} share=${6:-0.1} seeds=${7:-1 2 3}
peer=$(dirname "$0")/peers/clean_peer.py
mkdir -p "$work"
cd "$(dirname "$0")/.." || exit 1
cat > "$work/half.json" <<X
{"model": {"input": [28, 28, 1], "classes": 10, "family": "mlp", "width": 128},
 "data": {"source": "$work/noisy.h5", "validation": 0}, "train": {"epochs": 5, "batch": 128}}
X
"$python" "$peer" flip "$train" "$work/noisy.h5" "$share"
for half in 0:30000,30000:60000 30000:60000,0:30000; do
    learnt=${half%,*} asked=${half#*,} name=$work/half${half%%:*}
    "$retort" train "$work/half.json" --out "$name" --quiet data.rows="$learnt" > /dev/null
    "$retort" predict "$name/model.h5" --data "$work/noisy.h5" --rows "$asked" --out "$name.h5" --force --quiet > /dev/null
    "$python" "$peer" probs "$name.h5" "$work/noisy.h5" "$name.probs.h5"
done
"$python" "$peer" compare "$retort" "$train" "$work/noisy.h5" "$work/half0.probs.h5" "$work/half30000.probs.h5"
"$retort" clean "$work/half0.h5" "$work/half30000.h5" --data "$work/noisy.h5" --out "$work/issues.csv" --mask "$work/keep.h5" \
    --force --quiet > /dev/null
for seed in $seeds; do
    for kind in all kept; do
        mask=""
        [ $kind = kept ] && mask=data.mask=$work/keep.h5
        "$retort" train "$work/half.json" --out "$work/$kind$seed" --quiet seed=$seed train.epochs=30 $mask > /dev/null
        "$retort" predict "$work/$kind$seed/model.h5" --data "$test" --out "$work/$kind$seed.h5" --force --quiet > /dev/null
    done
done
# shellcheck disable=SC2086
"$python" "$peer" gain "$work" $seeds
"$python" "$peer" speed "$retort" 1000000 10 "$work"
