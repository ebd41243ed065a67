#!/bin/sh
# 'retort clean --find duplicates' and '--find outliers': what is planted is found, masks leave it out of training, and what makes
# no sense is refused.
. "$2/tests/cli/lib.sh"
# 600 rows of 6 numbers, of which 30 are copies of an earlier row (every 20th, moved by 0.001) and 4 lie far away; a test split of
# 100 rows, 7 of which are rows of the training data.
awk 'BEGIN { srand(11); for (i = 0; i < 600; i++) { line = ""; for (k = 0; k < 6; k++) { v = rand() * 10
    if (i % 20 == 19) v = x[i - 10, k] + (k == 2 ? 0.001 : 0); else if (i % 150 == 77) v += 100; x[i, k] = v; line = line v "," }
    print line (i % 2 ? "b" : "a") > "train.csv" }
    for (i = 0; i < 100; i++) { line = ""; for (k = 0; k < 6; k++) { v = i % 15 == 3 ? x[i * 3, k] : rand() * 10; line = line v "," }
    print line "a" > "test.csv" } }'
"$retort" import train.csv --label -1 --out train.h5 --quiet > log || fail "import"
"$retort" import test.csv --label -1 --out test.h5 --quiet > log || fail "import"

expect 0 '"way":' "$retort" clean --find duplicates --data train.h5 --out d.csv --mask d.h5 --json within=0.01
grep -q '"duplicates":[[:space:]]*30,' out.txt || fail "duplicates: $(grep duplicates out.txt)"
[ "$(head -1 d.csv)" = "row,of,distance" ] || fail "titles"
sed 1d d.csv | awk -F, '$1 % 20 != 19 || $2 != $1 - 10 || $3 < 0.00099 || $3 > 0.00101 { exit 1 }' || fail "pairs: $(head -4 d.csv)"
# Nothing said: 0.13 times the median distance to the nearest, which is far above 0.001 here.
expect 0 "" "$retort" clean --find duplicates --data train.h5 --out e.csv --json
[ "$(wc -l < e.csv)" -eq 31 ] || fail "by default: $(wc -l < e.csv) lines"
expect 0 '"way":	"hashed"' "$retort" clean --find duplicates --data train.h5 --out h.csv --mask h.npy --json within=0.01 exact=0
cmp -s d.csv h.csv || fail "hashed, and other rows"
grep -q '"recall_bound":[[:space:]]*\(0.99\|1\)' out.txt || fail "recall bound: $(grep recall out.txt)"
expect 0 "" "$retort" clean --find duplicates --data train.h5 --out t1.csv within=0.01 exact=0 --threads 1 --seed 1
expect 0 "" "$retort" clean --find duplicates --data train.h5 --out t2.csv within=0.01 exact=0 --threads 2
cmp -s t1.csv t2.csv || fail "threads change the rows"
expect 0 "" "$retort" clean --find duplicates --data train.h5 --out c.csv metric=cosine within=1e-6
[ "$(wc -l < c.csv)" -ge 31 ] || fail "cosine: $(wc -l < c.csv) lines"
# 1 - cosine, computed here; all rows of a column that is twice another lie in the same direction.
expect 0 "" "$retort" clean --find duplicates --data train.h5 --out cw.csv metric=cosine within=0.01
awk -F, 'NR == FNR { for (k = 1; k <= 6; k++) x[FNR - 1, k] = $k; next } FNR > 1 { a = b = c = 0
    for (k = 1; k <= 6; k++) { a += x[$1, k] ^ 2; b += x[$2, k] ^ 2; c += x[$1, k] * x[$2, k] }
    d = 1 - c / sqrt(a * b) - $3; if (d > 2e-6 || d < -2e-6) { print; exit 1 } n++ } END { exit !(n > 30) }' train.csv cw.csv > bad.txt || fail "cosine: $(cat bad.txt; wc -l < cw.csv)"

# Between splits: rows of the training data that stand in the test data.
expect 0 "" "$retort" clean --find duplicates --data train.h5 --against test.h5 --out a.csv --mask a.h5 --json within=1e-6
seq 9 45 299 > want
sed 1d a.csv | cut -d, -f1 | cmp -s - want || fail "leaks: $(cat a.csv)"
sed 1d a.csv | awk -F, '$2 != $1 / 3 || $3 != 0 { exit 1 }' || fail "of which: $(cat a.csv)"
expect 0 "" "$retort" clean --find duplicates --data train.h5 --against test.h5:x --out ah.csv within=1e-6 exact=0
cmp -s a.csv ah.csv || fail "hashed leaks"

# Outliers: the four that lie far away.
expect 0 '"farthest":' "$retort" clean --find outliers --data train.h5 --out o.csv --mask o.h5 --json share=0.0067
[ "$(sed 1d o.csv | cut -d, -f1 | tr '\n' ' ')" = "77 227 377 527 " ] || fail "outliers: $(cat o.csv)"
expect 0 '"recall":' "$retort" clean --find outliers --data train.h5 --out oh.csv --json share=0.0067 exact=0
[ "$(sed 1d oh.csv | cut -d, -f1 | tr '\n' ' ')" = "77 227 377 527 " ] || fail "hashed outliers: $(cat oh.csv)"
# One table finds fewer of the nearest, and those that it finds are farther.
expect 0 "" "$retort" clean --find outliers --data train.h5 --out few.csv --json exact=0 tables=1
awk -F'[:,]' '/"recall":/ { r = $2 } /"distance_ratio"/ { d = $2 } END { exit !(r > 0 && r < 1 && d > 1) }' out.txt || fail "one table: $(grep -E 'recall|ratio' out.txt)"
expect 0 "" "$retort" clean --find outliers --data train.h5 --out all.csv all=true k=3
[ "$(wc -l < all.csv)" -eq 601 ] && [ "$(grep -c ',1$' all.csv)" -eq 6 ] || fail "all: $(head -3 all.csv)"

# A mask of each leaves its rows out of training.
cat > t.json <<'X'
{"model": {"input": [6], "classes": 2, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "train.h5", "validation": 0},
 "train": {"epochs": 1}}
X
for m in d.h5=30 h.npy=30 a.h5=7 o.h5=4; do
    file=${m%=*}
    case $file in *.npy) "$retort" import "$file" --out npy.h5 --quiet > log || fail "import $file"
        mask='data.mask={"source": "npy.h5", "set": "x"}' ;; *) mask=data.mask=$file ;; esac
    expect 0 "" "$retort" train t.json --out M --force "$mask"
    grep -q "\"masked_rows_left_out\":[[:space:]]*${m#*=}," M/result.json || fail "$m: $(grep masked M/result.json)"
done

# Features of a model's layer, by the same numbers as a data set of them; the layer before the answer is the default.
"$retort" train t.json --out T --quiet > log || fail "train"
expect 0 "layer '" "$retort" clean --find outliers --data train.h5 --model T/model.h5 --out l.csv all=true
expect 0 "" "$retort" clean --find duplicates --data train.h5 --model T/model.h5 --against test.h5 --out la.csv within=1e-6
[ "$(wc -l < la.csv)" -ge 8 ] || fail "leaks by a layer: $(wc -l < la.csv)"
expect 2 "no layer named 'none'" "$retort" clean --find outliers --data train.h5 --model T/model.h5 layer=none --out n.csv
cut -d, -f1-6 train.csv > f.csv
"$retort" import f.csv --out f.h5 --quiet > log || fail "import of features"
expect 0 "" "$retort" clean --find duplicates --features f.h5 --out f1.csv within=0.01
expect 0 "" "$retort" clean --find duplicates --data train.h5 --features f.h5:x --out f2.csv within=0.01
cmp -s d.csv f1.csv && cmp -s d.csv f2.csv || fail "features of a file"

# Energy: predictions and a label store of the same answers give the same, by -log sum exp.
"$retort" predict T/model.h5 --data train.h5 --out p.h5 --quiet > log || fail "predict"
"$retort" predict T/model.h5 --data train.h5 --out p3.h5 --quiet topk=1 > log || fail "predict"
"$retort" label --teacher T/model.h5 --data train.h5 --out labels.h5 --quiet > log || fail "label"
"$retort" export labels.h5 --to csv --out labels.csv --quiet > log || fail "export"
expect 0 "" "$retort" clean p.h5 --find outliers by=energy all=true --out ep.csv --mask ep.h5
expect 0 "" "$retort" clean p3.h5 --find outliers by=energy all=true --out ep3.csv
expect 0 "" "$retort" clean labels.h5 --find outliers by=energy all=true --out el.csv
cmp -s ep.csv el.csv || fail "energies of predictions and of a store"
paste -d, ep.csv ep3.csv | sed 1d | awk -F, '($2 - $5) ^ 2 > 1e-8 { exit 1 }' || fail "energies of topk"
"$retort" predict T/model.h5 --data train.h5 --rows 100:200 --out part.h5 --quiet > log || fail "predict"
expect 0 "" "$retort" clean part.h5 --find outliers by=energy all=true --data train.h5 --out epart.csv --mask epart.h5
[ "$(wc -l < epart.csv)" -eq 101 ] || fail "energies of a part: $(wc -l < epart.csv)"
sed -n 102,201p ep.csv | cut -d, -f1-2 > one
sed 1d epart.csv | cut -d, -f1-2 | cmp -s one - || fail "energies of a part are others"

# In an experiment.
cat > x.json <<'X'
{"out": "R", "steps": [{"name": "once", "do": "clean", "with": {"find": "duplicates", "within": 0.01, "data": {"source": "train.h5"}}},
 {"name": "student", "do": "train", "with": {"model": {"input": [6], "classes": 2, "family": "mlp", "width": 8, "depth": 1},
  "data": {"source": "train.h5", "validation": 0, "mask": "${once}"}, "train": {"epochs": 1}}}]}
X
expect 0 "" "$retort" run x.json
cmp -s R/once.csv d.csv && cmp -s R/once.h5 d.h5 || fail "a step finds other rows"
expect 0 "unchanged" "$retort" run x.json

# Bad input: one line, and nothing left.
head -5 train.csv > few.csv
"$retort" import few.csv --label -1 --out few.h5 --quiet > log || fail "import"
{ printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"
  printf '\0\0\0\0\0\0\0\0\0\0\200\077\0\0\300\177\0\0\0\0\0\0\0\0'; } > nan.npy
"$retort" import nan.npy --out nan.h5 --quiet > log || fail "import"
expect 2 "k: 10 neighbours are asked for, and few.h5:x has 5 rows" "$retort" clean --find outliers --data few.h5 --out n.csv
expect 3 "row 1 of 'x' contains NaN" "$retort" clean --find outliers --features nan.h5 --out n.csv k=1
expect 3 "has 600 rows, f5.h5 has 5" sh -c 'cut -d, -f1-6 few.csv > f5.csv; "$0" import f5.csv --out f5.h5 --quiet > log
    "$0" clean --find duplicates --data train.h5 --features f5.h5 --out n.csv' "$retort"
cut -d, -f1-3 f.csv > narrow.csv
"$retort" import narrow.csv --out narrow.h5 --quiet > log || fail "import"
expect 3 "has 3 numbers a row" "$retort" clean --find duplicates --data train.h5 --against narrow.h5 --out n.csv
expect 2 "is not one of" "$retort" clean --find copies --data train.h5 --out n.csv
expect 2 "the rows are required" "$retort" clean --find duplicates --out n.csv
expect 2 "unknown key" "$retort" clean --find duplicates --data train.h5 --out n.csv share=0.1
expect 2 "unknown key" "$retort" clean --find outliers --data train.h5 --out n.csv within=1
expect 2 "does nothing with by=energy" "$retort" clean p.h5 --find outliers by=energy k=3 --out n.csv
expect 2 "give one of them" "$retort" clean --find duplicates --data train.h5 --features f.h5 --model T/model.h5 --out n.csv
expect 2 "belongs to model" "$retort" clean --find duplicates --data train.h5 layer=x --out n.csv
expect 2 "ends in .h5 or .npy" "$retort" clean --find duplicates --data train.h5 --out n.csv --mask n.txt
expect 2 "" "$retort" clean --find duplicates --data train.h5 --out train.h5 --force
expect 2 "exists" "$retort" clean --find duplicates --data train.h5 --out d.csv
expect 3 "has no data set 'z'" "$retort" clean --find duplicates --features f.h5:z --out n.csv
expect 3 "keeps the largest" "$retort" clean p3.h5 --data train.h5 --out n.csv
[ -e n.csv ] && fail "a list is left"
exit $failed
