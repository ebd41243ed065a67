#!/bin/sh
# Labels as a user meets them: rows with NaN, changed data, damage, top-k, one-sided answers, names, what a store says.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
place() { LC_ALL=C grep -obUaP "$2" "$1" | LC_ALL=C cut -d: -f1 | head -1; }  # file pattern: offset
put() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null; }         # file offset bytes

# f32 rows of four columns around one of three centres. 77.125 and 55.5 mark places in the files: their bytes are unique.
awk 'BEGIN { srand(3); print "a,b,c,d,kind"
    for (i = 0; i < 3000; i++) { c = int(rand() * 3); line = ""
        for (k = 0; k < 3; k++) line = line sprintf("%.4f,", rand() + (k == c) * 2)
        print line (i == 1500 || i == 2047 ? 77.125 : i == 2999 ? 55.5 : rand()) ",k" c } }' > good.csv
"$retort" import good.csv --label kind --out good.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"model": {"input": [4], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "good.h5", "validation": 300}, "train": {"epochs": 3, "batch": 64}}
X
expect 0 "" "$retort" train t.json --out T
label() { expect 0 "" "$retort" label --teacher T/model.h5 --json "$@"; }

# What it says: counts by name that add up, confidence, no warning.
label --data good.h5 --out L.h5
[ "$(number rows_labelled out.txt)" = 3000 ] || fail "rows_labelled: $(cat out.txt)"
sum=0
for c in k0 k1 k2; do n=$(number $c out.txt); [ "$n" -gt 700 ] || fail "class $c: $n"; sum=$((sum + n)); done
[ $sum = 3000 ] || fail "class counts add up to $sum"
awk -v c="$(number confidence_mean out.txt)" 'BEGIN { exit !(c > 0.5 && c < 1) }' || fail "confidence: $(cat out.txt)"
grep -q warnings out.txt && fail "a warning without a reason: $(cat out.txt)"
grep -q '"columns":' L.h5 || fail "the store does not name the columns"
expect 0 '"complete":' "$retort" info L.h5 --json
[ "$(number k1 out.txt)" -gt 700 ] || fail "info does not count classes"

# A range without rows, top-k of all classes, an unknown word.
expect 5 "no rows to label" "$retort" label --teacher T/model.h5 --data good.h5 --rows 7:7 --out N.h5
[ -e N.h5 ] && fail "a store of no rows"
expect 2 "leave it out for full logits" "$retort" label --teacher T/model.h5 --data good.h5 --out N.h5 labels.topk=3
expect 2 "label.bad_rows" "$retort" label --teacher T/model.h5 --data good.h5 --out N.h5 label.bad_rows=skip
expect 2 "data.check" "$retort" label --teacher T/model.h5 --data good.h5 --out N.h5 --check some
expect 0 "" "$retort" label --teacher T/model.h5 --data good.h5 --out N.h5 --check full

# Rows with NaN: the values of x, with NaN where 77.125 was in rows 1500 and 2047, imported as an array.
x=$(($(place good.h5 '\x00\x40\x9a\x42') - (1500 * 4 + 3) * 4))
{ printf '\223NUMPY\001\000v\000'
  printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (3000, 4), }"
  tail -c +$((x + 1)) good.h5 | head -c 48000; } > bad.npy
for i in 1 2; do put bad.npy "$(place bad.npy '\x00\x40\x9a\x42')" '\000\000\300\177'; done
expect 0 "" "$retort" import bad.npy --like good.h5 --out bad.h5
expect 3 "row 1500 of 'x' contains NaN or infinity; clean the data first, or let label.bad_rows=mark" "$retort" label --teacher T/model.h5 --data bad.h5 --out B.h5
expect 3 "labelling is not finished" "$retort" train t.json --out S data.source=bad.h5 data.labels=B.h5
expect 0 '"complete":' "$retort" info B.h5 --json
[ "$(number rows_labelled out.txt)" = 1024 ] || fail "what was labelled does not stay: $(cat out.txt)"
[ "$(number not_yet out.txt)" = 1976 ] || fail "what is not yet labelled is not said: $(cat out.txt)"
label --data bad.h5 --out B.h5 label.bad_rows=mark
[ "$(number bad_input out.txt)" = 2 ] && [ "$(number rows_labelled out.txt)" = 2998 ] || fail "marked rows: $(cat out.txt)"
[ "$(number labelled_now out.txt)" = 1976 ] || fail "it does not go on: $(cat out.txt)"
label --data bad.h5 --out B2.h5 label.bad_rows=mark label.batch=77 --threads 1
cmp -s B.h5 B2.h5 || fail "a resumed store differs"
expect 0 "bad_input" "$retort" info B.h5
expect 0 "have no teacher's label and are left out" "$retort" train t.json --out S data.source=bad.h5 data.labels=B.h5 data.validation=0 loss.hard=0
expect 0 "2 rows have no label and are left out" "$retort" export B.h5 --out B.csv
[ "$(wc -l < B.csv)" = 2999 ] || fail "exported rows: $(wc -l < B.csv)"
grep -q '^1500,' B.csv && fail "a row without a label is exported"
grep -q '^1501,' B.csv || fail "a row with a label is not exported"
expect 0 "2 rows have no label and are NaN" "$retort" export B.h5 --out B.npy

# Changed data, changed labels.
sed 's/,55.5,/,55.6,/' good.csv > changed.csv
expect 0 "" "$retort" import changed.csv --label kind --like good.h5 --out changed.h5
expect 2 "holds labels of other data: rows 0 to 2999" "$retort" label --teacher T/model.h5 --data changed.h5 --out L.h5
expect 3 "are not what was labelled" "$retort" train t.json --out S2 data.source=changed.h5 data.labels=L.h5
cp good.h5 copy.h5
label --data copy.h5 --out L.h5
[ "$(number labelled_now out.txt)" = 0 ] || fail "the same rows in another file are labelled again"
cp L.h5 D.h5
"$retort" export L.h5 --out L.npy --quiet > /dev/null || fail "export"
at=
for i in 1030 1031 1032 1033 1034; do                  # bytes of a row with no line feed in them, which grep does not find
    row=$(tail -c $((3000 * 12)) L.npy | tail -c +$((i * 12 + 1)) | head -c 12 | od -An -tx1 | sed 's/ /\\x/g')
    [ -n "$at" ] || at=$(place D.h5 "$row")
done
put D.h5 "$at" '\377\377'
expect 3 "block 1 (rows from 1024) is damaged" "$retort" train t.json --out S3 data.labels=D.h5
expect 3 "block 1 (rows from 1024) is damaged" "$retort" export D.h5 --out D.csv
expect 3 "block 1 (rows from 1024) is damaged" "$retort" info D.h5

# One class for all rows is said; so is what a damaged or missing FILE.retort-id changes: nothing.
awk 'BEGIN { print "a,b,c,d,kind"; for (i = 0; i < 100; i++) print "9,0,0,0,k0" }' > one.csv
"$retort" import one.csv --label kind --out one.h5 --quiet > /dev/null || fail "import of one class"
expect 0 "for all 100 rows" "$retort" label --teacher T/model.h5 --data one.h5 --out one-labels.h5
sleep 2.1
label --data good.h5 --out I.h5
[ -s good.h5.retort-id ] || fail "what was hashed is not kept"
for how in damage remove none; do
    [ $how = damage ] && put good.h5.retort-id 60 x
    [ $how = remove ] && rm good.h5.retort-id
    rm -f I2.h5
    label --data good.h5 --out I2.h5
    cmp -s I.h5 I2.h5 || fail "$how: another store"
done

# Teachers whose classes have another order agree by name; those of other classes do not.
sed 's/,k0$/,z/' good.csv > turned.csv                 # k0 becomes the last class
"$retort" import turned.csv --label kind --out turned.h5 --quiet > /dev/null || fail "import of turned classes"
expect 0 "" "$retort" train t.json --out U data.source=turned.h5
expect 3 "class" "$retort" label --teacher T/model.h5 --teacher U/model.h5 --data good.h5 --out M.h5
[ -e M.h5 ] && fail "a refused ensemble left a store"
# Of many classes, the tree shows the largest alone, in order; JSON has them all.
awk 'BEGIN { srand(5); for (i = 0; i < 1200; i++) { c = int(24 * rand() * rand()); print c / 4 + rand() / 9 "," c % 4 + rand() / 9 ",k" c } }' > many.csv
"$retort" import many.csv --label -1 --out many.h5 --quiet > /dev/null || fail "import of 24 classes"
echo '{"model": {"input": [2], "classes": 24, "family": "mlp", "width": 32, "depth": 1}, "data": {"source": "many.h5"}, "train": {"epochs": 8, "batch": 50}}' > m.json
expect 0 "" "$retort" train m.json --out M
expect 0 "" "$retort" label --teacher M/model.h5 --data many.h5 --out M1.h5 --json
sed -n '/"class_counts"/,/}/s/.*"\(k[0-9]*\)":[[:space:]]*\([0-9]*\).*/\2/p' out.txt | sort -rn > all
[ "$(wc -l < all)" = 24 ] || fail "JSON does not count 24 classes: $(cat out.txt)"
expect 0 "class_counts, largest 20 of 24" "$retort" label --teacher M/model.h5 --data many.h5 --out M2.h5
sed -n '/largest 20 of 24/,$s/^[[:space:]]*k[0-9]*[:[:space:]]*\([0-9]*\)$/\1/p' out.txt > largest
head -n 20 all | cmp -s - largest || fail "not the largest classes in order: $(cat all out.txt)"

exit $failed
