#!/bin/sh
# What is wrong is told before anything runs, with the file, the field and a remedy that can be followed.
. "$2/tests/cli/lib.sh"
make_data 200 band.h5
cat > t.json <<'Y'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4}, "data": {"source": "band.h5", "validation": 20}, "train": {"epochs": 1, "batch": 32}}
Y
"$retort" train t.json --out T --quiet > /dev/null || fail "train"

# Seeds up to 2^64 - 1, in decimal.
expect 0 "" "$retort" train t.json --out S1 --quiet --seed 18446744073709551615
grep -q '"seed":.*"18446744073709551615"' S1/config.json || fail "a large seed is not kept: $(grep seed S1/config.json)"
expect 2 "--seed 18446744073709551616: a whole number from 0 to 18446744073709551615" "$retort" train t.json --out S2 --seed 18446744073709551616
expect 2 "from 0 to 18446744073709551615 (above 2^53 in quotes)" "$retort" train t.json --out S2 seed=18446744073709551615
expect 0 "" "$retort" train t.json --out S2 --quiet 'seed="18446744073709551615"'
expect 0 "" "$retort" train t.json --out S3 --quiet --seed 010
grep -q '"seed":.*10,' S3/config.json || fail "--seed 010 is not ten: $(grep seed S3/config.json)"

# A model whose manifest is no JSON is damaged, and no data set; a foreign file may have any "manifest".
LC_ALL=C sed 's/"manifest_digest":/"manifest_digest";/' T/model.h5 > broken.h5
cmp -s broken.h5 T/model.h5 && fail "the manifest was not changed"
expect 3 "broken.h5: not valid JSON" "$retort" info broken.h5
expect 3 "broken.h5: not valid JSON" "$retort" label --teacher broken.h5 --data band.h5 --out B.h5

# Experiments: every step is checked before the first one runs.
experiment() { # second step
    printf '{"out": "runs", "steps": [{"name": "a", "do": "import", "with": {"input": "band.csv", "label": "-1"}},\n%s]}' "$1" > x.json
}
step() { experiment "{\"name\": \"b\", \"do\": \"$1\", \"with\": {$2}}"; }
check() { expect "$1" "$2" "$retort" run x.json; [ -e runs ] && fail "a step ran before: $2"; }
step export '"input": "T/model.h5", "to": "csv"'
check 2 "step 'b': T/model.h5: to=csv is of label stores; 'retort predict' writes"
step predict '"model": "T/model.h5", "to": "npz", "data": {"source": "band.h5"}'
check 2 "step 'b': to: 'npz' is not one of"
step predict '"model": "T/model.h5", "to": "csv", "topk": 3, "data": {"source": "band.h5"}'
check 2 "step 'b': topk: belongs to to=h5"
step export '"input": "T/model.h5", "to": "xls"'
check 2 "step 'b': to: 'xls' is not one of"
step predict '"model": "T/model.h5", "to": "csv", "data": {"source": "none.h5"}'
check 3 "step 'b': source: 'none.h5': No such file or directory, and no step before this one makes it"
step predict '"model": ["T/model.h5", "none.h5"], "data": {"source": "band.h5"}'
check 3 "step 'b': model: 'none.h5'"
step export '"input": "T/model.h5", "to": "csv", "too": "csv"'
check 2 "did you mean 'to'?"
step import '"input": "none.csv", "label": "-1"'
check 3 "step 'b': input: 'none.csv'"
step import '"input": "band.csv", "size": [4, 4]'
check 2 "step 'b': --size does not apply to csv"
step import '"input": "band.csv", "format": "npz", "separator": ";"'
check 2 "step 'b': --separator does not apply to npz"
step train '"model": {"input": [64], "classes": 3, "family": "mlp"}, "data": {"source": "none.h5"}'
check 3 "step 'b': source: 'none.h5'"
step label '"teacher": "none.h5", "data": {"source": "${a}"}'
check 3 "step 'b': teacher: 'none.h5'"
step eval '"students": ["T/model.h5", ["none.h5"]], "data": {"source": "${a}"}'
check 3 "step 'b': students: 'none.h5'"
# What a step before makes may be named by its path, too, and files in its folder.
experiment '{"name": "b", "do": "label", "with": {"teacher": "T/model.h5", "data": {"source": "./runs/../runs/a.h5"}}},
    {"name": "c", "do": "export", "with": {"input": "${b}", "to": "csv"}},
    {"name": "d", "do": "train", "with": {"init": "T/model.h5", "data": {"source": "${a}"}, "train": {"epochs": 1}}},
    {"name": "e", "do": "predict", "with": {"model": "runs/d/model.h5", "to": "csv", "data": {"source": "${a}"}}},
    {"name": "f", "do": "predict", "with": {"model": "runs/d/model.h5", "data": {"source": "${a}"}}}'
expect 0 "" "$retort" run x.json --quiet
[ -s runs/c.csv ] && [ -s runs/e.csv ] && [ -s runs/f.h5 ] || fail "exports of an experiment: $(cat err.txt)"

# Names that say something else than what is asked for.
touch a-file
expect 2 "a-file: is not a folder" "$retort" eval --student T/model.h5 --data runs/a.h5 --out a-file --quiet
expect 2 "a-file/x: cannot make the folder" "$retort" eval --student T/model.h5 --data runs/a.h5 --out a-file/x --quiet
expect 2 "ends in .safetensors, but npz is asked for" "$retort" export T/model.h5 --to npz --out w.safetensors
expect 2 "ends in .csv, but npy is asked for" "$retort" predict T/model.h5 --data runs/a.h5 --to npy --out p.csv
[ ! -e w.safetensors ] && [ ! -e p.csv ] || fail "a refused export left a file"
exit $failed
