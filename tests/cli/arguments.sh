#!/bin/sh
# Nothing that is written on the command line is passed over: what does not apply, or is said twice, is an error.
. "$2/tests/cli/lib.sh"

# Help and versions, in every spelling.
for ask in --help -h help; do expect 0 "usage: retort COMMAND" "$retort" $ask; done
expect 0 "usage: retort train CONFIG.json" "$retort" help train
expect 0 "usage: retort train CONFIG.json" "$retort" train -h
expect 2 "unknown command 'trian'; did you mean 'train'?" "$retort" help trian
expect 2 "one command is expected" "$retort" help train eval
expect 0 "retort 0." "$retort" -V
expect 2 "see 'retort --help'" "$retort" ""

# An option or a key twice, in one spelling or in two.
expect 3 "t.h5: No such file" "$retort" label --teacher t.h5 --data a.h5 --data b.h5 --out l.h5     # a list
expect 2 "--data is given twice" "$retort" select p.h5 --n 3 --data a.h5 --data b.h5 --out l.csv
expect 2 "--out is given twice" "$retort" train x.json --out a -o b
expect 2 "--json is given twice" "$retort" info x.h5 --json --json
expect 2 "train.lr=1 and train.lr=2 say the same thing" "$retort" train x.json --out a train.lr=1 train.lr=2
expect 2 "train={} and train.lr=2 say the same thing" "$retort" train x.json --out a train={} train.lr=2
expect 2 "--data and data.source=b.h5 say the same thing" "$retort" label --teacher t.h5 --data a.h5 data.source=b.h5 --out l.h5
expect 2 "--rows and data.rows=0:5 say the same thing" "$retort" eval --student t.h5 --data a.h5 --rows 0:9 data.rows=0:5 --out e
expect 2 "--teacher and teacher=u.h5 say the same thing" "$retort" label --teacher t.h5 teacher=u.h5 --data a.h5 --out l.h5
echo '{"model": {"input": [4], "classes": 2, "family": "mlp"}, "data": {"source": "none.h5"}}' > x.json
expect 2 "--seed and seed=3 say the same thing" "$retort" train x.json --out a --seed 2 seed=3

# Nothing where something is said: an empty value is often a variable that is not set.
expect 2 "--label: its value is empty" "$retort" import x.csv --label "" --out y.h5
expect 2 "--like: its value is empty" "$retort" import x.csv --like= --out y.h5
expect 2 "--kernels: its value is empty" "$retort" train x.json --out a --kernels ""
expect 2 "argument 2 is empty" "$retort" import x.csv "" --out y.h5
expect 2 "--out needs a value, but --force follows" "$retort" train x.json --out --force
for key in data.source data.labels init; do
    expect 2 "$key: a file name is expected, not an empty text" "$retort" train x.json --out a $key=
done
expect 2 'specification {...} is expected, not ""' "$retort" train x.json --out a teacher=
expect 2 "data.test_seed: does nothing without data.test" "$retort" train x.json --out a data.test_seed=4
expect 2 "data.validation: a share below 1 or a whole number" "$retort" train x.json --out a data.validation=1.5
expect 2 "unknown option --data; see" "$retort" train x.json --out a --data y.h5

# What a command has no use for.
for c in info import label eval export bench; do
    expect 2 "--seed does nothing in '$c'" "$retort" $c x --seed 2
done
expect 2 "--threads does nothing in 'import'" "$retort" import x.csv --out y.h5 --threads 2
expect 2 "key=value" "$retort" info x.h5 nonsense.key=3
expect 2 "--training belongs to --plan" "$retort" info x.h5 --training
expect 2 "at most 2 files are taken, so 'c' would do nothing" "$retort" info a b c
expect 2 "at most 1 file is taken, so 'b.json' would do nothing" "$retort" train a.json b.json --out t
expect 2 "the model has no head 'tow bar'" "$retort" train x.json --out a 'data.targets.tow bar=price'
expect 2 "--kernels-only takes no model" "$retort" bench x.json --kernels-only
expect 2 "one of --infer, --kernels-only and --cold" "$retort" bench --infer --kernels-only
expect 2 "batch: unknown key" "$retort" bench --kernels-only batch=3
echo '{"input": [4], "classes": 2, "family": "mlp"}' > m.json
expect 2 "loss: unknown key" "$retort" bench m.json --infer loss=kd
expect 2 "rate: unknown key" "$retort" bench m.json rate=3
expect 2 "unknown option -x" "$retort" train -x
expect 2 "--json takes no value" "$retort" info x --json=yes
expect 2 "--seed -1" "$retort" train x.json --out a --seed -1

# With --json an error is JSON on standard output, whatever went wrong, and still a line on standard error.
for bad in "info none.h5" "train --bogus" "trian" "info"; do
    "$retort" $bad --json > out.txt 2> err.txt
    code=$?
    grep -q '"error":' out.txt && grep -q "\"code\":[[:space:]]*$code" out.txt || fail "no JSON error from $bad --json"
    grep -q '"message":[[:space:]]*".' out.txt || fail "no message in the JSON error of $bad --json"
    [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] || fail "no line of error from $bad --json"
done

# Standard files that are closed do not end up inside of outputs.
make_data 300 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "band.h5"},
 "train": {"epochs": 2}}
X
"$retort" train t.json --out T <&- >&- 2>&- || fail "training with closed standard files"
"$retort" label --teacher T/model.h5 --data band.h5 --out closed.h5 <&- >&- 2>&- || fail "labelling with closed standard files"
expect 0 "" "$retort" label --teacher T/model.h5 --data band.h5 --out open.h5
expect 2 "is a label store, which is exported to csv or npy" "$retort" export open.h5 --out open.npz
expect 2 "is of label stores; 'retort predict' writes" "$retort" export T/model.h5 --out open.csv
expect 3 "none.h5: No such file" "$retort" export none.h5 --out none.csv
cmp -s closed.h5 open.h5 || fail "closed standard files change a label store"

exit $failed
