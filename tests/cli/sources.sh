#!/bin/sh
# Rows of several files as one source: whatever takes one file takes a pattern or a list, with the same results.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
text() { sed -n "s/.*\"$1\":[[:space:]]*\"\([^\"]*\)\".*/\1/p" "$2" | head -1; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ: $3"; }

# The rows whole, and cut into three files whose names sort in the order of the rows.
make_data 1500 d.h5
mkdir p
part() { sed -n "$2p" band.csv > part.csv; "$retort" import part.csv --label -1 --like d.h5 --out "p/$1" --quiet > /dev/null || fail "import of $1"; }
part a.h5 1,700
part b.h5 701,701
part c.h5 702,1500
list='["p/a.h5","p/b.h5","p/c.h5"]'

# The content is that of the rows, however they are cut: a model, a store and a run folder do not tell.
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16, "depth": 2},
 "data": {"source": "d.h5", "rows": "0:1200", "validation": 60}, "train": {"epochs": 2, "batch": 32}}
X
losses() { cut -d, -f1-4 "$1/metrics.csv"; }
alike() { [ "$(losses $1)" = "$(losses $2)" ] || fail "training $1 and $2 differ: $3: $(losses $1) $(losses $2)"; }
expect 0 "" "$retort" train t.json --out T
expect 0 "" "$retort" train t.json --out P 'data.source=p/*.h5' --json
alike T P "of one file and of a pattern"
expect 0 "" "$retort" train t.json --out P data.source="$list"
expect 0 "" "$retort" train t.json --out P data.source=d.h5
expect 2 "other" "$retort" train t.json --out P data.source='["p/b.h5","p/a.h5","p/c.h5"]'
expect 2 "other" "$retort" train t.json --out P data.source='["p/a.h5","p/c.h5"]'

expect 0 "" "$retort" label --teacher T/model.h5 --data d.h5 --out one.h5
expect 0 "" "$retort" label --teacher T/model.h5 --data 'p/*.h5' --out pattern.h5
expect 0 "" "$retort" label --teacher T/model.h5 --data p/a.h5 --data p/b.h5 --data p/c.h5 --out list.h5
for f in one pattern list; do
    expect 0 "" "$retort" labels verify $f.h5 --json
    text digest out.txt > $f.digest
done
[ -s one.digest ] || fail "no digest"
same one.digest pattern.digest "labels of the same rows"
same one.digest list.digest "labels of the same rows"
expect 0 "" "$retort" labels summary pattern.h5 --data "$list" --json
[ "$(number rows_labelled out.txt)" = 1500 ] && [ "$(number agree out.txt)" -gt 700 ] || fail "summary: $(cat out.txt)"
expect 0 "" "$retort" labels summary list.h5 --data d.h5
expect 0 "" "$retort" labels calibrate one.h5 --data p/a.h5 --data 'p/[bc].h5' --json
expect 3 "other data" "$retort" labels summary one.h5 --data p/b.h5 --data p/a.h5 --data p/c.h5
expect 3 "other data" "$retort" labels summary one.h5 --data p/a.h5

expect 0 "" "$retort" train t.json --out S1 data.labels=one.h5 data.rows=
expect 0 "" "$retort" train t.json --out S2 data.labels=one.h5 data.rows= 'data.source=p/*'
alike S1 S2 "with cached labels"
expect 0 "" "$retort" predict T/model.h5 --data d.h5 --out one.csv
expect 0 "" "$retort" predict T/model.h5 --data 'p/*.h5' --out parts.csv
same one.csv parts.csv "predictions"
expect 0 "" "$retort" predict T/model.h5 --data "$list" --out parts.h5
expect 0 "" "$retort" predict T/model.h5 --data d.h5 --out whole.h5
expect 0 "" "$retort" eval --student T/model.h5 --data 'p/*.h5' --out E eval.latency_samples=64 eval.seconds=0.01 speed.seconds=0
expect 0 "" "$retort" clean whole.h5 --data d.h5 --out c1.csv --mask k1.h5
expect 0 "" "$retort" clean parts.h5 --data 'p/*.h5' --out c2.csv --mask k2.h5
same c1.csv c2.csv "issues"
expect 0 "" "$retort" clean whole.h5 --data p/a.h5 --data p/b.h5 --data p/c.h5 --out c3.csv
same c1.csv c3.csv "issues of the whole in its parts"
expect 0 "" "$retort" select pattern.h5 --n 5 --by margin --out s1.csv --data d.h5
expect 0 "" "$retort" select pattern.h5 --n 5 --by margin --out s2.csv --data 'p/*.h5:x'
expect 0 "" "$retort" select pattern.h5 --n 5 --by margin --out s3.csv
same s1.csv s2.csv "selected rows"
same s1.csv s3.csv "selected rows"
expect 0 "" "$retort" quantize T/model.h5 --data 'p/*.h5' --rows 600:1000 --out q.h5
expect 0 "" "$retort" verify q.h5 --data 'p/*.h5' --rows 650:750
expect 0 "" "$retort" gate --init T/model.h5 --data 'p/*.h5' --out policy.json

# A file more at the end is data that grew: its rows alone are labelled, into the bytes of a store of all.
expect 0 "" "$retort" label --teacher T/model.h5 --data 'p/[ab].h5' --out grown.h5
expect 0 "" "$retort" label --teacher T/model.h5 --data 'p/*.h5' --out grown.h5 --json
[ "$(number labelled_now out.txt)" -lt 1500 ] || fail "all rows are labelled again: $(cat out.txt)"
expect 0 "" "$retort" labels verify grown.h5 --json
[ "$(text digest out.txt)" = "$(cat one.digest)" ] || fail "labels of data that grew"

# Logits of a set in place of a store, in any number of files; too few are refused.
expect 0 "" "$retort" train t.json --out Z1 'data.labels={"source":"whole.h5","set":"logits/y"}' data.rows= data.names=position
expect 0 "" "$retort" train t.json --out Z2 'teacher={"from":"whole.h5:logits/y"}' data.rows= data.names=position
alike Z1 Z2 "labels of a set"
alike Z1 S1 "labels of a set and of a store"
expect 3 "has 1500 rows, and the data p/[ab].h5 has 701" "$retort" train t.json --out no 'data.labels={"source":"whole.h5","set":"logits/y"}' 'data.source=p/[ab].h5' data.rows=
expect 2 "data.labels.set" "$retort" train t.json --out no 'data.labels={"source":"whole.h5"}'

# What a source holds is told by file.
expect 0 "" "$retort" info 'p/*.h5' --json
[ "$(grep -c '"rows":' out.txt)" = 3 ] && grep -q 700 out.txt && grep -q 799 out.txt && grep -q 1500 out.txt || fail "info: $(cat out.txt)"
grep -q '"k2"' out.txt || fail "info tells no classes"
expect 0 "count_by_value" "$retort" info 'p/*.h5' y
expect 0 "imported" "$retort" info 'p/a*.h5'                     # a pattern that fits one file is that file
expect 2 "--plan is for models" "$retort" info 'p/*.h5' --plan 8

# Labels, values and masks that lie elsewhere, in any number of files.
cp -r p other
cat > y.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16, "depth": 2},
 "data": {"source": "d.h5", "y": {"source": "other/*.h5", "set": "y"}, "rows": "0:1200", "validation": 60},
 "train": {"epochs": 2, "batch": 32}}
X
expect 0 "" "$retort" train y.json --out Y
alike T Y "by labels of another source"
expect 0 "" "$retort" train t.json --out Y                         # the labels are the same wherever they lie
expect 0 "" "$retort" eval --student T/model.h5 --data d.h5 --out E2 'data.y={"source":"other/*.h5","set":"y"}' eval.latency_samples=64 eval.seconds=0.01 speed.seconds=0
[ -n "$(number accuracy E/evaluation.json)" ] && [ "$(number accuracy E/evaluation.json)" = "$(number accuracy E2/evaluation.json)" ] || fail "accuracy by labels of another source"
expect 0 "" "$retort" clean whole.h5 --data d.h5 'data.y={"source":"other/*.h5"}' --out c4.csv
same c1.csv c4.csv "issues by labels of another source"
expect 0 "" "$retort" label --teacher T/model.h5 --data d.h5 --out L2.h5 'data.y={"source":["other/a.h5","other/b.h5","other/c.h5"],"set":"y"}' --json
grep -q '"agreement"' out.txt || fail "no agreement: $(cat out.txt)"
expect 3 "'y' has 701 rows, 'x' has 1500" "$retort" train y.json --out no 'data.y={"source":"other/[ab].h5"}'
expect 0 "" "$retort" train t.json --out M1 data.mask=k1.h5
expect 0 "" "$retort" train t.json --out M2 'data.mask={"source":["k[1].h5"]}' 'data.source=p/*.h5'
alike M1 M2 "with a mask"
expect 3 "has 1500 rows, but the data has 701" "$retort" train t.json --out no 'data.source=p/[ab].h5' data.rows= 'data.mask={"source":"k1.h5","set":"keep"}'
expect 2 "data.y" "$retort" train y.json --out no data.y=7
expect 2 "sauce" "$retort" train t.json --out no 'data.y={"sauce":"d.h5"}'

# What cannot be one is refused in a line that names the files.
expect 3 "no file has such a name" "$retort" label --teacher T/model.h5 --data 'p/*.hdf5' --out no.h5
expect 2 "twice" "$retort" label --teacher T/model.h5 --data p/a.h5 --data p/a.h5 --out no.h5
ln p/a.h5 p/again.h5
expect 2 "also as p/a.h5" "$retort" label --teacher T/model.h5 --data 'p/*.h5' --out no.h5
rm p/again.h5
expect 2 "a file, a pattern" "$retort" train t.json --out no data.source=[]
expect 2 "a file, a pattern" "$retort" train t.json --out no 'data.source=["d.h5",3]'
expect 2 "is no list of files" "$retort" label --teacher T/model.h5 --data '["d.h5"' --out no.h5
cut -d, -f1-63,65 band.csv > narrow.csv
"$retort" import narrow.csv --label -1 --out narrow.h5 --quiet > /dev/null || fail import
expect 3 "p/a.h5 has rows of (64) f32, narrow.h5 of (63) f32" "$retort" label --teacher T/model.h5 --data p/a.h5 --data narrow.h5 --out no.h5
sed 's/,k1$/,other/' band.csv > named.csv
"$retort" import named.csv --label -1 --out named.h5 --quiet > /dev/null || fail import
expect 3 "named.h5: its classes are" "$retort" label --teacher T/model.h5 --data p/a.h5 --data named.h5 --out no.h5
grep -q "those of p/a.h5" err.txt || fail "one file alone is named: $(cat err.txt)"
awk -F, 'NR == 1 { for (i = 1; i < NF; i++) printf "c%d,", i; print "label" } 1' band.csv > head.csv
"$retort" import head.csv --label label --out head.h5 --quiet > /dev/null || fail import
expect 3 "its columns are" "$retort" label --teacher T/model.h5 --data p/a.h5 --data head.h5 --out no.h5
expect 3 "No such file" "$retort" label --teacher T/model.h5 --data p/a.h5 --data p/gone.h5 --out no.h5
head -c 3000 p/c.h5 > p/cut.h5
expect 3 "p/cut.h5" "$retort" label --teacher T/model.h5 --data 'p/*.h5' --out no.h5
rm p/cut.h5
expect 2 "is an input of this command (p/b.h5)" "$retort" label --teacher T/model.h5 --data 'p/*.h5' --out p/b.h5 --force
expect 2 "is an input of this command (other/b.h5)" "$retort" label --teacher T/model.h5 --data d.h5 --out other/b.h5 --force 'data.y={"source":"other/*.h5"}'
expect 2 "is an input of this command (other/b.h5)" "$retort" predict T/model.h5 --data d.h5 --out other/b.h5 --force 'data.y={"source":"other/*.h5"}'
[ ! -e no.h5 ] && [ ! -e no ] || fail "something half-written: $(ls)"

# A file that is changed is another content.
cp -r p moved
expect 0 "" "$retort" label --teacher T/model.h5 --data 'moved/*.h5' --out pattern.h5
part b2.h5 1,1
mv p/b2.h5 moved/b.h5
expect 2 "other data" "$retort" label --teacher T/model.h5 --data 'moved/*.h5' --out pattern.h5

# A step of an experiment runs again when a file of its pattern changed.
cat > e.json <<'X'
{"steps": [{"name": "t", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
   "data": {"source": "moved/*.h5", "validation": 0}, "train": {"epochs": 1, "batch": 32}}}]}
X
expect 0 "" "$retort" run e.json --out R
cp R/t/model.h5 before.h5
expect 0 "" "$retort" run e.json --out R
same before.h5 R/t/model.h5 "nothing changed"
cp p/b.h5 moved/b.h5
expect 0 "" "$retort" run e.json --out R --json
cmp -s before.h5 R/t/model.h5 && fail "a step is not run again though a file of its pattern changed"
exit $failed
