#!/bin/sh
# What distillation gains on Fashion-MNIST, over seeds: sh experiments/accuracy.sh [OUT]   SEEDS="1 2 3"
#   alone     the student (below 100 K parameters) on the 10,000 labelled images
#   distilled the same student on a teacher's labels of all 60,000 images; the teacher saw 10,000 labels
#   full      (FULL=1) the same student distilled from a teacher that saw all 60,000 labels
# The same schedule of views and updates for alone and distilled. Each pair is compared on the 10,000 test images by McNemar.
set -e
cd "$(dirname "$0")/.."
out=${1:-runs/accuracy}
retort=${RETORT:-build/retort}
data=/usr/share/datasets/fashion-mnist
mkdir -p "$out"
[ -e "$out/train.h5" ] || "$retort" import $data/train-images-idx3-ubyte.gz $data/train-labels-idx1-ubyte.gz --out "$out/train.h5" --quiet > "$out/log"
[ -e "$out/test.h5" ] || "$retort" import $data/t10k-images-idx3-ubyte.gz $data/t10k-labels-idx1-ubyte.gz --out "$out/test.h5" --quiet > "$out/log"
student='model={"input":[28,28,1],"classes":10,"family":"cnn","width":16,"depth":3,"convs":2}'
teacher='model={"input":[28,28,1],"classes":10,"family":"cnn","width":32,"depth":3,"convs":2,"dropout":0.3}'
views='augment={"flip":true,"shift":1,"erase":0.2}'
recipe="train.lr=0.1 train.nesterov=true data.source=$out/train.h5 data.validation=500"
echo '{}' > "$out/empty.json"
for seed in ${SEEDS:-1 2 3}; do
    run() { name=$1; shift; "$retort" train "$out/empty.json" --out "$out/$name-$seed" --seed $seed --quiet "$@" > "$out/log"; }
    run teacher "$teacher" "$views" $recipe train.epochs=${TEACHER_EPOCHS:-30} train.ema=0.99 data.rows=0:10000
    "$retort" label --teacher "$out/teacher-$seed/model.h5" --data "$out/train.h5" --out "$out/labels-$seed.h5" --quiet > "$out/log"
    # 12 epochs of 60,000 rows and 72 of 10,000: the same number of updates.
    run alone "$student" "$views" $recipe train.epochs=${ALONE_EPOCHS:-72} train.ema=0.99 data.rows=0:10000
    run distilled "$student" 'augment={"flip":true,"shift":1}' $recipe train.epochs=${EPOCHS:-12} train.ema=0.999 data.hard_rows=0:10000 "data.labels=$out/labels-$seed.h5"
    "$retort" eval --teacher "$out/alone-$seed/model.h5" --student "$out/distilled-$seed/model.h5" --student "$out/teacher-$seed/model.h5" --data "$out/test.h5" --out "$out/eval-$seed" --quiet eval.speed=false > "$out/log"
    echo "seed $seed: $(awk -F, 'NR > 1 { printf "%s %s  ", $1, $2 }' "$out/eval-$seed/report.csv") McNemar p $(grep -m 1 '"p":' "$out/eval-$seed/evaluation.json" | tr -dc '0-9.e-')"
done
[ -z "$FULL" ] && exit 0
seed=1
run teacher-full "$teacher" "$views" $recipe train.epochs=${FULL_EPOCHS:-15} train.ema=0.999
"$retort" label --teacher "$out/teacher-full-$seed/model.h5" --data "$out/train.h5" --out "$out/labels-full.h5" --quiet > "$out/log"
run full "$student" 'augment={"flip":true,"shift":1}' $recipe train.epochs=${STUDENT_EPOCHS:-30} train.ema=0.999 "data.labels=$out/labels-full.h5"
"$retort" eval --teacher "$out/teacher-full-$seed/model.h5" --student "$out/full-$seed/model.h5" --data "$out/test.h5" --out "$out/eval-full" --quiet eval.speed=false > "$out/log"
echo "full: $(awk -F, 'NR > 1 { printf "%s %s  ", $1, $2 }' "$out/eval-full/report.csv")"
