#!/bin/sh
# tests/faults/setup.sh RETORT FOLDER - small inputs for every command: data, teachers, a label store, students, an experiment.
set -e
retort=$1
cd "$2"
awk 'BEGIN { srand(3); for (i = 0; i < 2600; i++) { c = i % 3
    printf "%.3f,%.3f,%.3f,k%d\n", rand() + (c == 0), rand() + (c == 1), rand() + (c == 2), c } }' > data.csv
head -n 1300 data.csv > test.csv
awk 'BEGIN { srand(5); print "a,b,c,kind,wet,cold,price"; for (i = 0; i < 1500; i++) { a = rand(); b = rand(); c = rand()
    printf "%.3f,%.3f,%.3f,k%d,%d,%s,%s\n", a, b, c, i % 3, (a > b), (i % 7 ? (c > a) "" : ""), i % 5 ? a - b : "" } }' > heads.csv
cat > train.json <<'J'
{"model": {"input": [3], "classes": 3, "layers": [{"op": "dense", "out": 6}, {"op": "batch_norm"}, {"op": "relu"}, {"op": "dense", "out": 3}]},
 "data": {"source": "data.h5", "validation": 100}, "train": {"epochs": 3, "batch": 500, "checkpoint_seconds": 2}}
J
cat > run.json <<'J'
{"name": "chain", "out": "out", "steps": [
 {"name": "data", "do": "import", "with": {"input": "data.csv", "label": "-1"}},
 {"name": "test", "do": "import", "with": {"input": "test.csv", "label": "-1"}},
 {"name": "teacher", "do": "train", "with": {"model": {"input": [3], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
   "data": {"source": "${data}"}, "train": {"epochs": 1, "batch": 500}}},
 {"name": "labels", "do": "label", "with": {"teacher": "${teacher}", "data": {"source": "${data}"}}},
 {"name": "student", "do": "train", "with": {"model": {"input": [3], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
   "data": {"source": "${data}", "labels": "${labels}"}, "train": {"epochs": 1, "batch": 500}}},
 {"name": "weights", "do": "export", "with": {"input": "${student}", "to": "npz"}},
 {"name": "report", "do": "eval", "with": {"teacher": "${teacher}", "students": ["${student}"], "data": {"source": "${test}"}, "eval": {"speed": false}}}]}
J
child=$(dirname "$retort")/tests/child_teacher             # a program that answers (tests/teacher)
if [ -x "$child" ]; then cp "$child" child_teacher; else printf '#!/bin/sh\nexit 1\n' > child_teacher; fi
# Copies of it are no programs, so the loader starts them.
echo '{"command": ["/lib64/ld-linux-x86-64.so.2", "./child_teacher", "3", "right"], "version": "1", "classes": ["k0", "k1", "k2"]}' > program.json
echo '{"command": ["/lib64/ld-linux-x86-64.so.2", "./child_teacher", "3", "env"], "version": "1", "classes": ["k0", "k1", "k2"]}' > answers.json
echo '{"mix": "best", "teachers": ["teacher1.h5", {"from": "array.npy", "classes": ["k0", "k1", "k2"]}], "validation": {"source": "data.h5", "rows": "0:500"}}' > mix.json
cat > policy.json <<'J'
{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.9}, {"metric": "recall", "class": "*", "max_drop": 1},
 {"metric": "file_bytes", "max_ratio": 2}]}
J
cat > heads.json <<'J'
{"model": {"input": [3], "family": "mlp", "width": 4, "depth": 1, "heads": [{"name": "kind", "size": 3},
   {"name": "weather", "task": "multilabel", "size": 2}, {"name": "price", "task": "real", "size": 1}]},
 "data": {"source": "heads.h5", "targets": {"kind": "y"}, "validation": 100},
 "train": {"epochs": 2, "batch": 250, "checkpoint_seconds": 2}}
J
{
    "$retort" import data.csv --label -1 --out data.h5 --quiet
    "$retort" import test.csv --label -1 --out test.h5 --quiet
    touch -d '2020-01-01' data.h5 test.h5
    for seed in 1 2; do
        "$retort" train train.json --out t$seed --seed $seed --quiet --kernels scalar
        cp t$seed/model.h5 teacher$seed.h5
        rm -r t$seed
    done
    for seed in 1 2; do "$retort" quantize teacher$seed.h5 --data data.h5 --out integer$seed.h5 --quiet --kernels scalar; done
    "$retort" export integer2.h5 --out out.c --quiet
    rm integer2.h5
    "$retort" label --teacher teacher1.h5 --data data.h5 --out labels.h5 --quiet --kernels scalar
    "$retort" export labels.h5 --out array.npy --quiet
    "$retort" predict teacher1.h5 --data data.h5 --out preds.h5 --quiet --kernels scalar
    {   printf '\223NUMPY\001\000v\000'             # the same numbers as images of three pixels
        printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (2600, 1, 3, 1), }"
        tail -c +129 array.npy; } > pixels.npy
    "$retort" import pixels.npy --out views.h5 --quiet
    touch -d '2020-01-01' views.h5
    "$retort" train --out t 'model={"input": [1, 3, 1], "classes": 3, "layers": [{"op": "flatten"}, {"op": "dense", "out": 3}]}' data.source=views.h5 'data.y={"source": "data.h5", "set": "y"}' train.epochs=1 --quiet --kernels scalar
    cp t/model.h5 teacherv.h5
    rm -r t
    cp labels.h5 outh.h5
    printf 'row,label\n3,k1\n1500,k2\n' > hand.csv
    "$retort" labels append outh.h5 --hand hand.csv --quiet
    printf 'row,label\n3,k1\n4,k0\n1024,k2\n' > hand.csv
    head -n 1500 data.csv > first.csv                  # of a source that grew
    "$retort" import first.csv --label -1 --out first.h5 --quiet
    touch -d '2020-01-01' first.h5
    "$retort" label --teacher teacher1.h5 --data first.h5 --out outg.h5 --quiet
    "$retort" label --teacher teacher1.h5 --data data.h5 --rows 0:1300 --out part0.h5 --quiet
    "$retort" label --teacher teacher1.h5 --data data.h5 --rows 1300: --out part1.h5 --quiet
    if [ -x "$child" ]; then                           # a shard that was killed when it had a block
        CHILD_HOW="slow 1.5" "$retort" label --teacher answers.json --data data.h5 --out outs.h5 --shard 0/2 --quiet &
        while ! grep -q '^[0-9]' outs.h5.journal.0-2 2> /dev/null && kill -0 $!; do sleep 0.05; done
        kill -9 $!
        wait $! 2> /dev/null || true
    else touch outs.h5.journal.0-2 .outs.h5.shard-0-2.retort-lock outs.h5; fi
    "$retort" eval --teacher teacher1.h5 --student teacher2.h5 --data test.h5 --out e eval.speed=false --kernels scalar --quiet
    cp e/evaluation.json evaluation.json
    rm -r e
    "$retort" drift --reference data.h5 --data test.h5 teacher1.h5 --out d --quiet --kernels scalar || [ $? -eq 1 ] || [ $? -eq 6 ]
    cp d/drift.json drift.json
    rm -r d
    "$retort" registry init --registry out
    "$retort" registry add m teacher1.h5 --eval evaluation.json --registry out
    "$retort" registry add m integer1.h5 --registry out
    "$retort" registry tag m@1 prod --registry out
    "$retort" registry export m@1 --out m.tar.gz --registry out
    "$retort" import heads.csv --label kind --target weather=wet,cold --target price --out heads.h5 --quiet
    touch -d '2020-01-01' heads.h5
    "$retort" train heads.json --out t --quiet --kernels scalar
    cp t/model.h5 headed.h5
    rm -r t
    "$retort" label --teacher headed.h5 --data heads.h5 --out answers.h5 --quiet --kernels scalar
    "$retort" registry add gone headed.h5 --registry out
    "$retort" registry rm gone@1 --registry out
} > setup.txt
rm -f ./*.retort-id setup.txt
mkdir -p pictures/a pictures/b
# Two pictures of one pixel: PNG, red and blue.
png() { printf '\211PNG\r\n\032\n\000\000\000\rIHDR\000\000\000\001\000\000\000\001\010\002\000\000\000\220wS\336\000\000\000\014IDAT\170\332'"$1"'\000\000\000\000IEND\256B`\202'; }
png '\143\370\317\300\000\000\003\001\001\000\367\003\101\103' > pictures/a/1.png
png '\143\140\140\370\017\000\001\003\001\000\066\164\021\100' > pictures/b/2.png
