#!/bin/sh
# What an output may take the place of: nothing that is an input, no regular file or not written by a run, whatever the flag.
# And what is left: no locks, no temporary files.
. "$2/tests/cli/lib.sh"
make_data 300 d.h5
cat > t.json <<'J'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1}, "data": {"source": "d.h5", "validation": 50}, "train": {"epochs": 1, "batch": 100}}
J
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
"$retort" label --teacher T/model.h5 --data d.h5 --out l.h5 --quiet > /dev/null || fail "label"
M=T/model.h5
same() { # file that must be as it was
    cmp -s "$1" "keep/$(basename "$1")" || fail "$1 was changed by: $last"
}
mkdir keep
cp d.h5 l.h5 $M band.csv t.json keep
printf 'mine\n' > foreign; cp foreign keep
ln -s foreign to_foreign; ln d.h5 hard.h5; ln -s d.h5 soft.h5; ln -s nothing dangling; mkfifo pipe; mkdir folder
force() { # part of the message, command...
    part=$1; shift; last="$*"
    for f in "" --force; do expect 2 "$part" timeout 20 "$@" $f; done
    for f in d.h5 l.h5 $M band.csv t.json foreign; do same $f; done
}
# inputs, through links of both kinds, and configurations
for out in d.h5 hard.h5 soft.h5 ./folder/../d.h5; do
    force "is an input" "$retort" label --teacher $M --data d.h5 --out $out
    force "is an input" "$retort" predict $M --data d.h5 --out $out
done
force "is an input" "$retort" label --teacher $M --data d.h5 --out $M
force "is an input" "$retort" quantize $M --data d.h5 --out $M
force "is an input" "$retort" quantize $M --data d.h5 --out hard.h5
force "is no regular file" "$retort" quantize $M --data d.h5 --out pipe
force "is no regular file" "$retort" quantize $M --data d.h5 --out folder
force "is an input" "$retort" export $M --to npz --out $M
force "is an input" "$retort" export l.h5 --to npy --out l.h5
force "is an input" "$retort" import band.csv --label -1 --out band.csv
force "is an input" "$retort" import band.csv --label -1 --like d.h5 --out d.h5
cat > label.json <<J
{"teacher": "$M", "data": {"source": "d.h5"}}
J
cp label.json keep
force "is an input" "$retort" label label.json --out label.json
same label.json
force "is an input" "$retort" train t.json teacher=$M --out T
mkdir C; cp t.json C/config.json
expect 2 "is an input" "$retort" train C/config.json --out C
expect 2 "is an input" "$retort" train C/config.json --out C --force
cmp -s t.json C/config.json || fail "the configuration was replaced"
mkdir E; cp d.h5 E/report.csv
force "is an input" "$retort" eval --student $M --data E/report.csv --out E eval.speed=false
cp d.h5 o.h5.journal
force "is an input" "$retort" label --teacher $M --data o.h5.journal --out o.h5
# what is no regular file, or leads to none
for out in pipe folder /dev/null /dev/full; do
    force "is no regular file" "$retort" export $M --to npz --out $out
    force "is no regular file" "$retort" import band.csv --label -1 --out $out
    force "is no regular file" "$retort" label --teacher $M --data d.h5 --out $out
done
[ -p pipe ] && [ -c /dev/null ] || fail "a pipe or a device is gone"
force "is a link to nothing" "$retort" export $M --to npz --out dangling
# files of others
for out in foreign to_foreign; do
    for c in "export $M --to npz" "export l.h5 --to csv" "import band.csv --label -1" "quantize $M --data d.h5" \
        "predict $M --data d.h5 --to h5"; do
        # shellcheck disable=SC2086
        force "" "$retort" $c --out $out
    done
    expect 3 "give another --out" "$retort" label --teacher $M --data d.h5 --out $out
    expect 2 "is not a label store" "$retort" label --teacher $M --data d.h5 --out $out --force
    same foreign
done
mkdir R; cp foreign R/metrics.csv
force "holds no run of retort" "$retort" train t.json --out R
cmp -s foreign R/metrics.csv || fail "a file of others in a folder was replaced"
mkdir G; cp foreign G/report.md
force "was not written by an evaluation" "$retort" eval --student $M --data d.h5 --out G eval.speed=false
mkdir X; cp foreign X/data.step.json
cat > x.json <<'J'
{"name": "x", "out": "X", "steps": [{"name": "data", "do": "import", "with": {"input": "band.csv", "label": "-1"}}]}
J
expect 2 "no run of retort wrote it" "$retort" run x.json
# what other commands wrote is not an experiment's, in whose folder it lies
mkdir Y Y/model; cp l.h5 Y/labels.h5; cp d.h5 Y/data.h5
cat > y.json <<'J'
{"name": "y", "out": "Y", "steps": [{"name": "data", "do": "import", "with": {"input": "band.csv", "label": "-1"}},
 {"name": "model", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
   "data": {"source": "${data}"}, "train": {"epochs": 1, "batch": 500}}},
 {"name": "labels", "do": "label", "with": {"teacher": "${model}", "data": {"source": "${data}"}}}]}
J
expect 2 "Y/data.h5 is there, and this experiment did not make it" "$retort" run y.json
cmp -s d.h5 Y/data.h5 || fail "an experiment replaced data of others"
rm Y/data.h5
expect 2 "Y/labels.h5 is there, and this experiment did not make it" "$retort" run y.json
cmp -s l.h5 Y/labels.h5 || fail "an experiment replaced labels of others"
rm Y/labels.h5
expect 0 "" "$retort" run y.json
rm -r Y; mkdir Y; "$retort" train t.json --out Y/model --quiet > /dev/null || fail "train"
cp Y/model/model.h5 mine.h5
expect 2 "Y/model is there, and this experiment did not make it" "$retort" run y.json
cmp -s mine.h5 Y/model/model.h5 || fail "an experiment replaced a run of others"
mkdir S; ln -s ../folder S/checkpoints
expect 2 "is no folder" "$retort" train t.json --out S --force
# what a run wrote is replaced by force alone
expect 0 "" "$retort" export $M --to npz --out w.npz
expect 2 "exists" "$retort" export $M --to npz --out w.npz
expect 0 "" "$retort" export $M --to npz --out w.npz --force
printf x >> w.npz
expect 2 "force does not replace it" "$retort" export $M --to npz --out w.npz --force
expect 0 "" "$retort" import band.csv --label -1 --out i.h5
expect 2 "exists" "$retort" import band.csv --label -1 --out i.h5
expect 0 "" "$retort" import band.csv --label -1 --out i.h5 --force
expect 2 "is not data that retort imported" "$retort" import band.csv --label -1 --out l.h5 --force
expect 2 "is not a label store" "$retort" label --teacher $M --data d.h5 --out i.h5 --force
expect 0 "" "$retort" label --teacher $M --data d.h5 --out l.h5 --force
expect 0 "" "$retort" quantize $M --data d.h5 --out q.h5 quant.calibrate=100
expect 2 "exists" "$retort" quantize $M --data d.h5 --out q.h5 quant.calibrate=100
expect 0 "" "$retort" quantize $M --data d.h5 --out q.h5 quant.calibrate=100 --force
cp $M other.h5
expect 2 "is not a model that 'retort quantize' wrote" "$retort" quantize $M --data d.h5 --out other.h5 --force
cmp -s $M other.h5 || fail "a model that was trained was replaced"
expect 0 "" "$retort" train t.json --out N
expect 2 "another configuration" "$retort" train t.json --out N train.epochs=2
expect 0 "" "$retort" train t.json --out N train.epochs=2 --force
# data that changes while it is read is found at the end, and nothing has the output's name
awk 'BEGIN { for (i = 0; i < 15000; i++) { for (k = 0; k < 64; k++) printf "%d.5,", (i * k) % 97; print i % 3 } }' > big.csv
"$retort" import big.csv --label -1 --out big.h5 --quiet > /dev/null || fail "import"
sed 's/"width": 4/"width": 256/' t.json > wide.json
"$retort" train wide.json --out W --quiet > /dev/null || fail "train"
changed() { # file command...
    f=$1; shift
    "$@" > /dev/null 2> err.txt &
    pid=$!
    n=0
    sleep 0.02
    while kill -0 $pid 2> /dev/null; do
        case $f in *.h5) printf "\\$((n = (n + 1) % 8))" | dd of="$f" bs=1 seek=3000001 conv=notrunc 2> /dev/null ;; *) touch "$f" ;; esac
    done
    wait $pid
    [ $? -eq 3 ] && grep -Eq "changed while (it was|they were) read|not as they were written" err.txt || fail "not found: $*: $(cat err.txt)"
}
changed big.csv "$retort" import big.csv --label -1 --out late.h5 --quiet
# shellcheck disable=SC2046
changed big.h5 "$retort" predict $(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo W/model.h5; done) --data big.h5 --to npy \
    --out late.npy data.names=position data.check=full --threads 1 --quiet
[ ! -e late.h5 ] && [ ! -e late.npy ] || fail "data that changed was written"
# standard files are closed: nothing that is said goes into an output
"$retort" label --teacher $M --data d.h5 --out closed.h5 <&- 2>&- > /dev/null || fail "closed descriptors"
"$retort" label --teacher $M --data d.h5 --out open.h5 > /dev/null 2>&1
cmp -s closed.h5 open.h5 || fail "what was said is in the store"
"$retort" import band.csv --label -1 --out closed_i.h5 <&- >&- 2>&- || true
cmp -s closed_i.h5 i.h5 || fail "what was said is in the data"
# a lock that a killed process left is taken over; one that is held says by whom
printf 'retort-lock 1\npid 1\nhost elsewhere\nsince then\ncommand it\n' > .q.csv.retort-lock
expect 0 "" "$retort" export l.h5 --to csv --out q.csv
printf 'mine\n' > .p.csv.retort-lock
expect 2 "did not write" "$retort" export l.h5 --to csv --out p.csv
rm .p.csv.retort-lock
if command -v flock > /dev/null; then
    printf 'retort-lock 1\npid 1\nhost elsewhere\nsince then\ncommand it\n' > .p.csv.retort-lock
    expect 4 "another process is writing to it: 1 on elsewhere since then (it)" flock .p.csv.retort-lock "$retort" export l.h5 --to csv --out p.csv
    rm .p.csv.retort-lock
fi
: > .left.csv.tmp-0123456789abcdef; : > .left.csv.tmp-012345; : > .other.csv.tmp-0123456789abcdef
expect 0 "" "$retort" export l.h5 --to csv --out left.csv
[ ! -e .left.csv.tmp-0123456789abcdef ] && [ -e .left.csv.tmp-012345 ] && [ -e .other.csv.tmp-0123456789abcdef ] || fail "the wrong files were swept"
rm .left.csv.tmp-012345 .other.csv.tmp-0123456789abcdef
left=$(find . -name '*retort-lock' -o -name '*.tmp-*' -o -name '*.journal' ! -name o.h5.journal)
[ -z "$left" ] || fail "left behind: $left"
exit $failed
