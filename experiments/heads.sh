#!/bin/sh
# Heads of labels and of numbers on real data: sh experiments/heads.sh
#   SEEDS="1 2 3"   PARTS="mosaics halves"
# A student that knows the targets of a few rows, with a teacher's answers to the rest and without, over seeds; the rows' errors
# are averaged over the seeds, and the interval of the difference is a bootstrap over rows: below 0 the distilled student is the
# better one. Needs the Fashion-MNIST package; a second run goes on where the first stopped. Report of each: OUT-SEED/report.
set -e
cd "$(dirname "$0")/.."
sh experiments/packages.sh data
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release > /dev/null
cmake --build build -j "$(nproc)" --target retort derive | tail -n 1
out=runs/heads
data=/usr/share/datasets/fashion-mnist
mkdir -p $out
for set in train test; do
    name=$set
    [ $set = train ] || name=t10k
    [ -e $out/$set.h5 ] || build/retort import $data/$name-images-idx3-ubyte.gz $data/$name-labels-idx1-ubyte.gz --out $out/$set.h5 --quiet > /dev/null
    for part in mosaics halves; do [ -e $out/${part}_$set.h5 ] || build/derive $part $out/$set.h5 $out/${part}_$set.h5; done
done
for part in ${PARTS:-mosaics halves}; do
    pairs=
    for seed in ${SEEDS:-1 2 3}; do
        build/retort run experiments/$part.json --out $out/$part-$seed --seed $seed --quiet > $out/$part-$seed.log || { cat $out/$part-$seed.log; exit 1; }
        sed -n '2,$p' $out/$part-$seed/report/report.csv | cut -d, -f1-8 | sed "s/^/$part seed $seed: /"
        pairs="$pairs $out/$part-$seed/alone_answers.npy $out/$part-$seed/student_answers.npy"
    done
    case $part in mosaics) build/derive pool $out/mosaics_test.h5 articles $pairs ;; *) build/derive pool $out/halves_test.h5 profile $pairs ;; esac
done
