#!/bin/sh
# malformed.sh PROGRAM RETORT SOURCE COUNT [FOLDER] - makes the files that are changed, and shows them: see malformed.c.
# COUNT "-": a few cases, for the default tests.
set -e
program=$1 retort=$2 root=$3 count=$4 folder=$5
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir bases
cp "$root"/tests/data/samples/*.h5 bases
awk 'BEGIN { srand(1); for (i = 0; i < 60; i++) { for (k = 0; k < 6; k++) printf "%d,", rand() * 200; print "c" i % 3 } }' > d.csv
"$retort" import d.csv --label -1 --out bases/data.h5 --quiet > /dev/null
cat > model.json <<'X'
{"model": {"input": [6], "classes": 3, "family": "mlp", "width": 4}, "data": {"source": "bases/data.h5", "validation": 0}, "train": {"epochs": 1, "batch": 16}}
X
"$retort" train model.json --out model --quiet > /dev/null
cp model/model.h5 bases/model.h5
for f in model/checkpoint*/*.h5 model/*.ckpt; do [ ! -f "$f" ] || cp "$f" bases/checkpoint.h5; done
"$retort" label --teacher bases/model.h5 --data bases/data.h5 --out bases/labels.h5 --quiet > /dev/null
"$retort" label --teacher bases/model.h5 --data bases/data.h5 --out bases/top.h5 --quiet labels.topk=2 > /dev/null
cat > heads.json <<'X'
{"model": {"input": [6], "family": "mlp", "width": 4, "heads": [{"name": "y", "size": 3}, {"name": "z", "size": 3}]},
 "data": {"source": "bases/data.h5", "validation": 0, "targets": {"z": "y"}}, "train": {"epochs": 1, "batch": 16}}
X
"$retort" train heads.json --out heads --quiet > /dev/null
cp heads/model.h5 bases/headed.h5
"$retort" label --teacher bases/headed.h5 --data bases/data.h5 --out bases/answers.h5 --quiet > /dev/null
[ "$count" != - ] || export MALFORMED_CASES=40 MALFORMED_SECONDS=60
"$program" "$retort" bases "$count" "$folder"
