#!/bin/sh
# What training without the rows that 'retort clean --folds' finds is worth: the first ROWS images of Fashion-MNIST, a share of
# whose labels is flipped by a hash of the row's number; three folds, each answered by a small CNN of the others; then a student
# of all rows and one of those that are kept, and the 10,000 test images. Seeds are of the folds, the models and the students.
#
#   sh experiments/clean_gain.sh RETORT train_images.h5 test_images.h5 FOLDER [PYTHON [SHARES [SEEDS]]]
#
# The setting (rows, student, epochs, method) was chosen on seeds 11 and 12, and is told of others. PYTHON needs h5py, numpy,
# cleanlab (experiments/peers/clean_peer.py).
set -e
retort=$1 train=$2 test=$3 work=$4 python=${5:-python3} shares=${6:-0.1 0.2 0.3} seeds=${7:-21 22 23}
rows=${ROWS:-20000} method=${METHOD:-low_self_confidence} epochs=${EPOCHS:-60}
peer=$(dirname "$0")/peers/clean_peer.py
mkdir -p "$work"
for share in $shares; do
    at=$work/$share
    mkdir -p "$at"
    "$python" "$peer" flip "$train" "$at/noisy.h5" "$share"
    cat > "$at/fold.json" <<X
{"model": {"input": [28, 28, 1], "classes": 10, "family": "cnn"}, "data": {"rows": "0:$rows", "validation": 0},
 "train": {"epochs": 10, "lr": 0.05, "nesterov": true}}
X
    cat > "$at/student.json" <<X
{"model": {"input": [28, 28, 1], "classes": 10, "family": "mlp", "width": 128},
 "data": {"source": "$at/noisy.h5", "rows": "0:$rows", "validation": 0}, "train": {"epochs": $epochs, "batch": 128}}
X
    for seed in $seeds; do
        "$retort" clean --folds 3 --seed "$seed" --train "$at/fold.json" --data "$at/noisy.h5" --method "$method" \
            --out "$at/issues$seed.csv" --mask "$at/keep$seed.h5" --work "$at/folds$seed" --force --quiet > "$at/log"
        "$python" "$peer" right "$train" "$at/noisy.h5" "$at/issues$seed.csv" "$rows"
        for kind in all kept; do
            mask=""
            [ $kind = kept ] && mask=data.mask=$at/keep$seed.h5
            "$retort" train "$at/student.json" --out "$at/$kind$seed" --quiet seed="$seed" $mask > "$at/log"
            "$retort" predict "$at/$kind$seed/model.h5" --data "$test" --out "$at/$kind$seed.h5" --force --quiet > "$at/log"
        done
    done
    echo "share $share:"
    # shellcheck disable=SC2086
    "$python" "$peer" gain "$at" $seeds
done
