#!/bin/sh
# 'retort clean --folds': models that did not see the rows are made, and judge their labels; nothing is made twice.
. "$2/tests/cli/lib.sh"
make_data 1500 band.h5
awk -F, 'BEGIN { OFS = "," } { c = $NF; if ((NR - 1) % 17 == 15) $NF = c == "k0" ? "k1" : c == "k1" ? "k2" : "k0"; print }' band.csv > noisy.csv
"$retort" import noisy.csv --label -1 --out noisy.h5 --quiet > log || fail "import"
awk '(NR - 1) % 17 == 15 { print NR - 1 }' band.csv > flipped
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16}, "data": {"validation": 0}, "train": {"epochs": 5, "batch": 32}}
X
found() { # list: how many flipped rows are in it
    sed 1d "$1" | cut -d, -f1 | sort > rows
    sort flipped | comm -12 - rows | wc -l
}
expect 0 "" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out a.csv --mask a.h5 --json
hit=$(found a.csv) all=$(wc -l < flipped) issues=$(($(wc -l < a.csv) - 1))
[ "$hit" -ge $((all * 9 / 10)) ] && [ "$issues" -le $((all * 13 / 10)) ] || fail "$hit of $all flipped rows among $issues"
# Each row is answered once, by a model that did not see it, and the files say so.
grep -q '"rows_seen_in_training":[[:space:]]*0,' out.txt || fail "rows seen: $(grep seen out.txt)"
grep -q '"rows":[[:space:]]*1500,' out.txt || fail "rows"
grep -q '"notes"' out.txt && fail "a note: $(grep -A3 notes out.txt)"
for i in 0 1 2; do
    "$retort" predict a.folds/model$i/model.h5 --data noisy.h5 --out own$i.csv --quiet data.fold=$i/3 data.fold_by=a.folds/folds.h5 > log || fail "predict $i"
    "$retort" predict a.folds/model$i/model.h5 --data noisy.h5 --out fold$i.h5 --quiet --json data.fold=$i/3 data.fold_by=a.folds/folds.h5 > log || fail "predict $i"
    grep -qE '"rows_seen_in_training":[[:space:]]*0,?$' log || fail "fold $i was seen"
    sed 1d own$i.csv | cut -d, -f1 | sed "s/\$/ $i/"
done | sort -n > folds
cut -d' ' -f1 folds > rows
seq 0 1499 | cmp -s - rows || fail "the folds are no partition"
# Of each class, and of all, every fold has the same number of rows, but for one; and they are drawn, not dealt in order.
awk -F, '{ print $NF }' noisy.csv | paste -d' ' folds - | awk '{ n[$3 " " $2]++; all["all " $2]++; c[$3]; run += $2 == last; last = $2; next_of += $2 == of[$3]; of[$3] = $2 }
    END { c["all"]; for (f = 0; f < 3; f++) n["all " f] = all["all " f]
          for (k in c) for (f = 0; f < 3; f++) for (g = 0; g < 3; g++) if (n[k " " f] - n[k " " g] > 1) bad++
          exit bad > 0 || length(c) != 4 || run < 300 || run > 700 || next_of < 300 || next_of > 700 }' || fail "the folds are not drawn class by class: $(cut -d' ' -f2 folds | sort | uniq -c)"
expect 0 "" "$retort" clean fold0.h5 fold1.h5 fold2.h5 --data noisy.h5 --out b.csv --mask b.h5
cmp -s a.csv b.csv && cmp -s a.h5 b.h5 || fail "the folds' answers by themselves give other rows"
expect 0 "" "$retort" clean fold2.h5 fold0.h5 fold1.h5 --data noisy.h5 --out c.csv block=7
cmp -s a.csv c.csv || fail "order or block change the rows"
expect 3 "which stands in" "$retort" clean fold0.h5 fold1.h5 fold0.h5 --data noisy.h5 --out none.csv
"$retort" predict a.folds/model0/model.h5 --data noisy.h5 --out whole.h5 --quiet > log || fail "predict"
expect 0 "was trained or chosen on 1000 of these rows" "$retort" clean whole.h5 --data noisy.h5 --out w.csv

# The labels decide, too: rows of another class are of other folds. Without them the folds are those of data.fold alone.
expect 0 "" "$retort" clean --folds 3 --train t.json --data band.h5 --out l.csv
cmp -s a.folds/folds.h5 l.folds/folds.h5 && fail "the labels change no fold"
expect 0 "" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out u.csv stratify=false
[ -e u.folds/folds.h5 ] && fail "folds nobody wanted"
for i in 0 1 2; do "$retort" predict u.folds/model$i/model.h5 --data noisy.h5 --out u$i.h5 --quiet data.fold=$i/3 > log || fail "predict $i"; done
expect 0 "" "$retort" clean u0.h5 u1.h5 u2.h5 --data noisy.h5 --out v.csv
cmp -s u.csv v.csv || fail "folds whatever the labels are others than those of data.fold"
# A model whose folds are gone, or are others now, has seen all rows, as far as anybody knows.
seen() { "$retort" predict a.folds/model0/model.h5 --data noisy.h5 --out seen.h5 --force --quiet --json "$@" | sed -n 's/.*"rows_seen_in_training":[[:space:]]*\([0-9]*\).*/\1/p'; }
cp a.folds/folds.h5 kept.h5
[ "$(seen data.fold=0/3 data.fold_by=kept.h5)" = 0 ] && [ "$(seen)" = 1000 ] || fail "rows seen: $(seen data.fold=0/3 data.fold_by=kept.h5), $(seen)"
cp l.folds/folds.h5 a.folds/folds.h5
[ "$(seen data.fold=0/3 data.fold_by=kept.h5)" = 500 ] || fail "rows seen, other folds: $(seen data.fold=0/3 data.fold_by=kept.h5)"
rm a.folds/folds.h5
[ "$(seen)" = 1500 ] || fail "rows seen, no folds: $(seen)"

# A repeated command trains nothing, and another seed draws other folds.
expect 0 "" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out a.csv --mask a.h5 --force
cmp -s a.csv b.csv || fail "again, and other rows"
grep -c "unchanged, skipped" err.txt | grep -qx 6 || fail "made again: $(cat err.txt)"
expect 0 "" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out s.csv --seed 2
cmp -s a.csv s.csv && fail "the seed changes nothing"
cmp -s a.folds/model0/model.h5 s.folds/model0/model.h5 && fail "the seed changes no model"
expect 0 "" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out th.csv --threads 2 --work w2
cmp -s a.csv th.csv || fail "threads change the rows"

# Killed at any time it goes on to the same.
for after in 0.05 0.15 0.3 0.5; do
    timeout -s KILL $after "$retort" clean --folds 3 --train t.json --data noisy.h5 --out k.csv --mask k.h5 > log 2>&1
    [ -s k.csv ] && break
done
[ -e k.csv ] || expect 0 "" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out k.csv --mask k.h5
cmp -s a.csv k.csv && cmp -s a.h5 k.h5 || fail "killed, and other rows"

# Without a training one that fits is taken, and said.
expect 0 "each model is a mlp of 3 classes" "$retort" clean --folds 2 --data noisy.h5 --out m.csv
[ "$(found m.csv)" -ge $((all * 8 / 10)) ] || fail "$(found m.csv) of $all by the model that fits"
# The data may stand in the training, too, with the rows that are meant.
sed 's/"validation": 0/"source": "noisy.h5", "rows": "0:900", "validation": 0/' t.json > d.json
expect 0 "" "$retort" clean --folds 3 --train d.json --out d.csv --json
grep -q '"rows":[[:space:]]*900,' out.txt || fail "rows of the training: $(grep rows out.txt)"

# In an experiment it is a step like others.
cat > x.json <<'X'
{"out": "R", "seed": 1, "steps": [{"name": "keep", "do": "clean", "with": {"folds": 3, "train": "t.json", "data": {"source": "noisy.h5"}}},
 {"name": "student", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8},
  "data": {"source": "noisy.h5", "validation": 0, "mask": "${keep}"}, "train": {"epochs": 1}}}]}
X
expect 0 "" "$retort" run x.json
cmp -s R/keep.csv a.csv && cmp -s R/keep.h5 a.h5 || fail "the step finds other rows"
grep -q "\"masked_rows_left_out\":[[:space:]]*$issues," R/student/result.json || fail "rows left out"
expect 0 "unchanged" "$retort" run x.json
sed 's/"folds": 3/"folds": 3, "seed": 2/' x.json > y.json
expect 0 "" "$retort" run y.json
cmp -s R/keep.csv s.csv || fail "the step's seed"

# Bad input: one line, and nothing left.
expect 2 "say the same thing" "$retort" clean --folds 3 folds=2 --data noisy.h5 --out none.csv
expect 2 "stands beside folds" "$retort" clean whole.h5 --folds 3 --data noisy.h5 --out none.csv
expect 2 "name the data with --data" "$retort" clean --folds 3 --train t.json --out none.csv
expect 2 "folds: are 2 or more" "$retort" clean folds=1 --data noisy.h5 --out none.csv
expect 2 "belongs to folds" "$retort" clean whole.h5 --train t.json --out none.csv
expect 2 "belongs to folds" "$retort" clean whole.h5 --seed 3 --out none.csv
sed 's/"validation": 0/"validation": 0, "fold": "0\/3"/' t.json > f.json
expect 2 "has data.fold or data.test" "$retort" clean --folds 3 --train f.json --data noisy.h5 --out none.csv
sed 's/"epochs": 5/"epoch": 5/' t.json > f.json
expect 2 "train: train.epoch" "$retort" clean --folds 3 --train f.json --data noisy.h5 --out none.csv
expect 3 "gone.json" "$retort" clean --folds 3 --train gone.json --data noisy.h5 --out none.csv
expect 3 "gone.h5" "$retort" clean --folds 3 --train t.json --data gone.h5 --out none.csv
expect 3 "no data set 'z'" "$retort" clean --folds 3 --data noisy.h5 data.y=z --out none.csv
[ -e none.csv ] || [ -e none.folds ] && fail "something is left: $(ls -d none*)"
for bad in 3/3 1/1 -1/3 0/101 a/3 0/3x three 0/ /3; do
    expect 2 "data.fold: i/n is expected" "$retort" predict a.folds/model0/model.h5 --data noisy.h5 --out none.h5 data.fold=$bad
done
predict() { "$retort" predict a.folds/model0/model.h5 --data noisy.h5 --out none.h5 "$@"; }
expect 2 "it does nothing without that" predict data.fold_by=kept.h5
expect 3 "no data set 'fold'" predict data.fold=0/3 data.fold_by=band.h5
expect 3 "'x' is no list of folds" predict data.fold=0/3 'data.fold_by={"source": "noisy.h5", "set": "x"}'
expect 3 "its folds are others" predict data.fold=0/3 'data.fold_by={"source": "kept.h5", "digest": "00"}'
expect 3 "has fold 2 for row" predict data.fold=0/2 data.fold_by=kept.h5
expect 2 "no row of data.rows is of fold 3" predict data.fold=3/4 data.fold_by=kept.h5
expect 2 "belongs to folds" "$retort" clean whole.h5 stratify=true --out none.csv
# Of three folds a class of three rows has one in each, a class of two is told of.
awk 'BEGIN { print "a,k"; for (i = 0; i < 60; i++) print i * 7 % 60 "," (i < 55 ? "many" : i < 58 ? "three" : "two") }' > rare.csv
"$retort" import rare.csv --label k --out rare.h5 --quiet > log 2>&1 || fail "import: $(cat log)"
echo '{"model": {"input": [1], "classes": 3, "family": "mlp", "width": 2, "depth": 1}, "data": {"validation": 0}, "train": {"epochs": 1, "batch": 8}}' > rare.json
expect 0 "1 of 3 classes have fewer rows than there are folds" "$retort" clean --folds 3 --train rare.json --data rare.h5 --out rare-found.csv
mkdir foreign; cp band.h5 foreign/folds.h5
expect 2 "holds no folds; move it away" "$retort" clean --folds 3 --train t.json --data noisy.h5 --out none.csv --work foreign
cmp -s band.h5 foreign/folds.h5 || fail "a foreign file was replaced"
sed 's/0:900/0:9/' d.json > few.json
expect 2 "9 rows make no 20 folds" "$retort" clean --folds 20 --train few.json --out none.csv
expect 2 "give one of them" "$retort" predict a.folds/model0/model.h5 --data noisy.h5 --out none.h5 data.fold=0/3 data.test=0.1
expect 2 "make no 100 folds" "$retort" predict a.folds/model0/model.h5 --data noisy.h5 --out none.h5 data.fold=0/100 --rows 0:50
exit $failed
