#!/bin/sh
# What distillation gains on Fashion-MNIST, over seeds: sh experiments/accuracy.sh [OUT]
#   SEEDS="1 2 3"   PARTS="few all"   RETORT=build/retort
# few: three teachers that know the labels of 10,000 images: a CNN and a ResNet (288,170 and 308,074 parameters), and a ResNet
#      trained on what those two say about all 60,000 images (Xie et al. 2020, "Self-training with Noisy Student");
#   distilled     the student, a CNN of 72,666 parameters, on what the three say about all 60,000 images
#   alone         the same student on the 10,000 labelled images; alone-mixup, its best recipe that was found, with mixup
# all: a teacher that saw all 60,000 labels; the same student on its labels
# Each student is compared on the 10,000 test images by McNemar. Recipes were tuned on images 50,000 to 59,999 of the training
# set, whose labels no run of "few" sees; where the tuning began (views, learning rate, student) had been picked after test
# accuracies were seen, so the figures are no unbiased estimate. The last epoch counts, so that no run needs rows to choose by.
# About two hours on two cores; every step resumes or is skipped when done.
set -e
cd "$(dirname "$0")/.."
out=${1:-runs/accuracy}
retort=${RETORT:-build/retort}
data=/usr/share/datasets/fashion-mnist
mkdir -p "$out"
echo '{}' > "$out/empty.json"
[ -e "$out/train.h5" ] || "$retort" import $data/train-images-idx3-ubyte.gz $data/train-labels-idx1-ubyte.gz --out "$out/train.h5" --quiet > "$out/log"
[ -e "$out/test.h5" ] || "$retort" import $data/t10k-images-idx3-ubyte.gz $data/t10k-labels-idx1-ubyte.gz --out "$out/test.h5" --quiet > "$out/log"
cnn='"input":[28,28,1],"classes":10,"family":"cnn","depth":3,"convs":2'
student="model={$cnn,\"width\":16}"
resnet='model={"input":[28,28,1],"classes":10,"family":"resnet","width":32}'
teacher="model={$cnn,\"width\":32,\"dropout\":0.2}"
views='augment={"flip":true,"shift":2,"erase":0.3}'
mixed='augment={"flip":true,"shift":2,"erase":0.3,"mixup":0.3}'
common="train.lr=0.1 train.nesterov=true data.source=$out/train.h5 data.validation=0"
train() { name=$1; shift; "$retort" train "$out/empty.json" --out "$out/$name" --quiet $common "$@" > "$out/log"; }
label() { name=$1; shift; "$retort" label "$@" --data "$out/train.h5" --out "$out/$name.h5" --quiet > "$out/log"; }
compare() { # folder reference model...
    folder=$1; reference=$2; shift 2; models=
    for m in "$@"; do models="$models --student $out/$m/model.h5"; done
    "$retort" eval --teacher "$out/$reference/model.h5" $models --data "$out/test.h5" --out "$out/$folder" --quiet eval.speed=false > "$out/log"
    awk -F, 'NR > 1 { printf "%s %s  ", $1, $2 }' "$out/$folder/report.csv"
    grep '"p":' "$out/$folder/evaluation.json" | head -n 1 | tr -dc '0-9.e-' | sed 's/^/McNemar p /'
    echo
}
for part in ${PARTS:-few all}; do
    case $part in
    few)
        train teacher-4 "$teacher" "$mixed" train.epochs=150 train.ema=0.99 data.rows=0:10000 --seed 4
        train teacher-5 "$resnet" "$mixed" train.epochs=100 train.ema=0.99 data.rows=0:10000 --seed 5
        label labels-few-1 --teacher "$out/teacher-4/model.h5" --teacher "$out/teacher-5/model.h5"
        train noisy "$resnet" "$mixed" train.epochs=20 train.ema=0.999 data.hard_rows=0:10000 "data.labels=$out/labels-few-1.h5" loss.temperature=1 --seed 6
        label labels-few --teacher "$out/teacher-4/model.h5" --teacher "$out/teacher-5/model.h5" --teacher "$out/noisy/model.h5"
        echo "teachers: $(compare eval-teachers teacher-4 teacher-5 noisy)"
        for seed in ${SEEDS:-1 2 3}; do
            train distilled-$seed "$student" "$views" train.epochs=60 train.ema=0.999 data.hard_rows=0:10000 "data.labels=$out/labels-few.h5" loss.temperature=1 --seed $seed
            train alone-$seed "$student" "$views" train.epochs=150 train.ema=0.999 data.rows=0:10000 --seed $seed
            train alone-mixup-$seed "$student" 'augment={"flip":true,"shift":2,"erase":0.3,"mixup":0.2}' train.epochs=150 train.ema=0.999 data.rows=0:10000 --seed $seed
            echo "seed $seed: $(compare eval-$seed alone-$seed distilled-$seed)  $(compare eval-mixup-$seed alone-mixup-$seed distilled-$seed)"
        done ;;
    all)
        train teacher-all "$teacher" "$mixed" train.epochs=20 train.ema=0.999 --seed 11
        label labels-all --teacher "$out/teacher-all/model.h5"
        for seed in ${SEEDS:-1 2 3}; do
            train all-$seed "$student" "$views" train.epochs=60 train.ema=0.999 "data.labels=$out/labels-all.h5" loss.temperature=1 --seed $seed
            echo "seed $seed, a teacher of all labels: $(compare eval-all-$seed teacher-all all-$seed)"
        done ;;
    *) echo "accuracy.sh: unknown part '$part'; known: few, all" >&2; exit 2 ;;
    esac
done
