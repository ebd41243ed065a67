#!/bin/sh
# What a label store holds, as a user meets it: 8 bits, columns, hard labels alone, labels by hand, smaller copies, exports.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
size() { wc -c < "$1" | tr -d ' '; }

awk 'BEGIN { srand(9); print "a,b,c,d,kind"
    for (i = 0; i < 3000; i++) { c = int(rand() * 3); line = ""
        for (k = 0; k < 3; k++) line = line sprintf("%.4f,", rand() + (k == c) * 0.6)
        print line rand() ",k" c } }' > d.csv
"$retort" import d.csv --label kind --out d.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"model": {"input": [4], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "d.h5", "validation": 300}, "train": {"epochs": 2, "batch": 64}}
X
expect 0 "" "$retort" train t.json --out T
label() { expect 0 "" "$retort" label --teacher T/model.h5 --data d.h5 --json "$@"; }

# Codings and columns; the same bytes whatever the threads and batches; what the summary says of the error.
all='labels.columns=["hard","confidence","margin","entropy"]'
label --out f32.h5
label --out q8.h5 labels.type=q8 "$all" --threads 1
label --out q8b.h5 labels.type=q8 "$all" --threads 3 label.batch=77
cmp -s q8.h5 q8b.h5 || fail "8 bits depend on threads or batches"
expect 0 "code_error" "$retort" labels summary q8.h5 --json
awk -v e="$(number probability out.txt)" 'BEGIN { exit !(e > 0 && e < 0.02) }' || fail "error of a probability: $(cat out.txt)"
label --out hard.h5 labels.keep=hard
[ "$(size hard.h5)" -lt "$(size f32.h5)" ] || fail "hard labels are not smaller"
expect 0 "all blocks match" "$retort" labels verify hard.h5
expect 0 "" "$retort" labels summary hard.h5 --json
grep -q entropy_mean out.txt && fail "an entropy that is not there"
refuse() { expect "$1" "$2" "$retort" label --teacher T/model.h5 --data d.h5 --out N.h5 "$3" ${4:+"$4"}; }
refuse 2 "labels.type" labels.type=q4

refuse 2 "labels.keep=hard keeps none" labels.keep=hard labels.type=f16
refuse 2 '"hard", "confidence"' 'labels.columns=["colour"]'
expect 2 "in another coding" "$retort" label --teacher T/model.h5 --data d.h5 --out q8.h5 labels.type=q8
[ -e N.h5 ] && fail "a refused command left a store"

# A policy on hard labels chooses what it chooses on logits; what they cannot serve names what is not there.
echo '{"confidence": {"min": 0.5}, "balance": "equal"}' > p.json
for s in f32 hard; do
    expect 0 "" "$retort" export $s.h5 --out $s.csv data.policy=p.json --json
    cut -d, -f1-3 $s.csv > $s.rows
done
[ "$(wc -l < f32.rows)" -gt 30 ] && cmp -s f32.rows hard.rows || fail "hard labels choose other rows: $(wc -l f32.rows hard.rows)"
echo '{"margin": {"min": 0.7}}' > m.json
expect 2 "hard.h5 has no column labels/margin" "$retort" export hard.h5 --out N.csv data.policy=m.json
expect 2 "hard.h5: keeps hard labels and no labels/logits" "$retort" labels calibrate hard.h5 --data d.h5
expect 2 "hard.h5: keeps hard labels and no labels/logits" "$retort" select hard.h5 --n 5 --out N.csv
expect 3 "hard.h5: keeps hard labels and no labels/logits" "$retort" clean hard.h5 --data d.h5 --out N.csv
expect 2 "column=hard writes the labels" "$retort" export hard.h5 --out N.npy
cat > s.json <<'X'
{"model": {"input": [4], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
 "data": {"source": "d.h5", "validation": 300, "labels": "hard.h5"}, "train": {"epochs": 2, "batch": 64}}
X
expect 0 "" "$retort" train s.json --out S data.policy=p.json data.policy_labelled=choose
expect 0 "keeps hard labels, which are certain: loss.temperature 4" "$retort" train s.json --out S1 loss.temperature=4
expect 2 "needs all logits, but hard.h5 keeps the top 1 of 3" "$retort" train s.json --out S2 loss.kind=zscore

# Labels by hand: select writes rows, somebody adds a column, they come back, and are never offered again.
expect 0 "" "$retort" select f32.h5 --n 6 --by entropy --out ask.csv
awk -F, 'NR == 1 { print $0 ",label"; next } { print $0 ",k" (NR % 3) }' ask.csv > answered.csv
cp f32.h5 L.h5
expect 0 "" "$retort" labels append L.h5 --hand answered.csv --json
[ "$(number by_hand out.txt)" = 6 ] && [ "$(number new out.txt)" = 6 ] || fail "append: $(cat out.txt)"
cmp -s f32.h5 L.h5 && fail "nothing was appended"
expect 0 "all blocks match" "$retort" labels verify L.h5
expect 0 "" "$retort" labels summary L.h5 --json
[ "$(number by_hand out.txt)" = 6 ] && [ "$(number rows_labelled out.txt)" = 3000 ] || fail "summary: $(cat out.txt)"
expect 0 "by_hand" "$retort" info L.h5
expect 0 "" "$retort" export L.h5 --out L.csv
[ "$(grep -c ',by hand$' L.csv)" = 6 ] || fail "export: $(head -3 L.csv)"
awk -F, 'NR > 1 { print $1 "," $NF }' answered.csv | sort > want
grep ',by hand$' L.csv | cut -d, -f1,3 | sort | cmp -s - want || fail "other labels by hand are exported"
expect 0 "" "$retort" select L.h5 --n 12 --by entropy --out again.csv
cut -d, -f1 ask.csv | tail -n +2 > asked
cut -d, -f1 again.csv | grep -qxF -f asked && fail "a row with a label by hand is offered again"
expect 0 "" "$retort" select L.h5 --n 2994 --by entropy --out most.csv
expect 5 "" "$retort" select L.h5 --n 2995 --by entropy --out N.csv
cp L.h5 before.h5
label --out L.h5
cmp -s L.h5 before.h5 || fail "the same command changes a store with labels by hand"
expect 0 "" "$retort" train s.json --out S3 data.labels=L.h5
expect 0 "" "$retort" vote L.h5 hard.h5 q8.h5 --data d.h5 --out V.h5

# By the hashes that select writes, in place of the rows' numbers.
cp f32.h5 L2.h5
cut -d, -f2- answered.csv > byid.csv
expect 0 "" "$retort" labels append L2.h5 --hand byid.csv --data d.h5
expect 0 "" "$retort" export L2.h5 --out L2.csv
cmp -s L.csv L2.csv || fail "labels by id are others than by row"
printf 'id,label\n%032d,k1\n' 7 > noid.csv
expect 3 "no row of L2.h5 has the id '00000000000000000000000000000007'" "$retort" labels append L2.h5 --hand noid.csv --data d.h5
printf 'id,label\n1,k1\n' > noid.csv
expect 3 "several rows of L2.h5 have the id '1'" "$retort" labels append L2.h5 --hand noid.csv --data d.h5 --id y
expect 3 "line 1 must name the columns 'id' and 'label'" "$retort" labels append L2.h5 --hand want --data d.h5
expect 2 "is a set of --data" "$retort" labels append L2.h5 --hand byid.csv --id y

# Refused by one line, and nothing is changed.
bad() { # message text
    printf "$2" > bad.csv
    expect 3 "$1" "$retort" labels append L.h5 --hand bad.csv --quiet
    [ "$(wc -l < err.txt)" -le 1 ] || fail "more than one line: $(cat err.txt)"
    cmp -s L.h5 before.h5 || fail "a refused list changed the store: $1"
}
bad "covers rows 0 to 2999" 'row,label\n3000,k1\n'
bad "'k7' is no class of L.h5; its classes: k0, k1, k2" 'row,label\n5,k1\n6,k7\n'
bad "'1' is no class" 'row,label\n5,1\n'
bad "lines 2 and 3 give row 5 two labels, 'k1' and 'k2'" 'row,label\n5,k1\n5,k2\n'
bad "must name the columns 'row' and 'label'" '5,k1\n'
bad "by hand; --replace takes the new one" "row,label\n$(sed -n 's/^\([0-9]*\),.*,k0$/\1/p' answered.csv | head -1),k1\n"
expect 3 "no.csv" "$retort" labels append L.h5 --hand no.csv
expect 2 "would do nothing here" "$retort" labels append L.h5 --hand answered.csv --type f16
expect 2 "hand FILE.csv is required" "$retort" labels append L.h5
[ -z "$(find . -name '*.h5.*' ! -name '*.retort-id')" ] || fail "left beside the stores: $(find . -name '*.h5.*')"

# Smaller copies are what labelling so would have made; what is not there is not made.
expect 0 '"probability":' "$retort" labels pack f32.h5 --out pq8.h5 --type q8 --columns hard,confidence,margin,entropy --json
[ "$(number bytes_after out.txt)" = "$(size pq8.h5)" ] || fail "pack: $(cat out.txt)"
for s in q8 pq8; do expect 0 "" "$retort" export $s.h5 --out $s.npy; expect 0 "" "$retort" export $s.h5 --out $s.csv; done
cmp -s q8.npy pq8.npy && cmp -s q8.csv pq8.csv || fail "a packed store says something else"
expect 0 "" "$retort" labels pack L.h5 --out ph.h5 --hard
expect 0 "" "$retort" export ph.h5 --out ph.csv
[ "$(grep -c ',by hand$' ph.csv)" = 6 ] || fail "a copy lost labels by hand"
expect 2 "keeps logits in q8, and a copy in f32 would be larger" "$retort" labels pack q8.h5 --out N.h5 --type f32
expect 2 "keeps hard labels and no labels/logits" "$retort" labels pack hard.h5 --out N.h5 --type f16
expect 2 "the copy would be the same" "$retort" labels pack f32.h5 --out N.h5
expect 2 "out SMALL.h5 is required" "$retort" labels pack f32.h5 --type q8
[ -e N.h5 ] && fail "a refused copy was written"

# One column as an array; rows without a label with their status.
expect 0 "" "$retort" export q8.h5 --out c.npy column=confidence
[ "$(size c.npy)" = $((128 + 4 * 3000)) ] || fail "a column as NPY: $(size c.npy) bytes"
expect 2 "has no column 'colour'; it has: hard, confidence, margin, entropy, status" "$retort" export q8.h5 --out N.npy column=colour
expect 2 "belongs to to=npy" "$retort" export q8.h5 --out N.csv column=hard
{ printf '\223NUMPY\001\000v\000'
  printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"
  printf '\000\000\200\077%.0s' 1 2 3 4; printf '\000\000\300\177%.0s' 1 2 3 4; printf '\000\000\000\077%.0s' 1 2 3 4; } > nan.npy
expect 0 "" "$retort" import nan.npy --like d.h5 --out nan.h5
expect 0 "" "$retort" label --teacher T/model.h5 --data nan.h5 --out B.h5 label.bad_rows=mark
expect 0 "1 rows have no label and are there with their status" "$retort" export B.h5 --out B.csv all=true
sed -n 3p B.csv | grep -qx '1,,,,,,bad input' || fail "a row without a label: $(cat B.csv)"
printf 'row,label\n1,k2\n' > one.csv
expect 0 "" "$retort" labels append B.h5 --hand one.csv
expect 0 "" "$retort" export B.h5 --out B2.csv
sed -n 3p B2.csv | grep -q '^1,2,k2,.*,by hand$' || fail "a label by hand of a bad row: $(cat B2.csv)"

# Features of the teacher: the same bytes whatever the batches; a student learns from them what it learns from the teacher
# beside it; select compares rows by them.
layer=$("$retort" info T/model.h5 --json | tr ',{' '\n\n' | sed -n 's/.*"name":[[:space:]]*"\(dense[0-9]*\)".*/\1/p' | head -1)
label --out F.h5 label.features="$layer" label.feature_type=f32
label --out F2.h5 label.features="$layer" label.feature_type=f32 label.batch=77 --threads 1
cmp -s F.h5 F2.h5 || fail "features depend on batches"
cat > h.json <<X
{"model": {"input": [4], "classes": 3, "layers": [{"op": "dense", "out": 5, "name": "own"}, {"op": "relu"}, {"op": "dense", "out": 3}]},
 "data": {"source": "d.h5", "validation": 300, "y": ""}, "loss": {"kind": "kd", "hard": 0, "hints": [{"student": "own", "teacher": "$layer"}]},
 "train": {"epochs": 2, "batch": 64}}
X
expect 0 "" "$retort" train h.json --out H1 data.labels=F.h5 --json
grep last_weights_digest out.txt > one
expect 0 "" "$retort" train h.json --out H2 teacher=T/model.h5 --json
grep last_weights_digest out.txt | cmp -s - one || fail "features of a store teach something else than the teacher's"
# Where nothing moves, a hint alone is a loss that its weight multiplies.
for w in 1 0.25; do
    expect 0 "" "$retort" train h.json --out H-$w data.labels=F.h5 data.validation=0 loss.soft=0 train.lr=1e-9 train.epochs=1 \
        "loss.hints=[{\"student\": \"own\", \"teacher\": \"$layer\", \"weight\": $w}]"
done
awk -v one="$(number loss H-1/result.json)" -v part="$(number loss H-0.25/result.json)" 'BEGIN { d = 4 * part / one - 1; exit !(one > 0.01 && d * d < 1e-10) }' ||
    fail "losses of a hint: $(number loss H-1/result.json) at weight 1, $(number loss H-0.25/result.json) at 0.25"
expect 0 "" "$retort" train h.json --out H3 data.labels=f32.h5 'loss.hints=[]' --json
grep last_weights_digest out.txt | cmp -s - one && fail "hints teach nothing"
expect 2 "keeps no feature '$layer'; label again with label.features=$layer" "$retort" train h.json --out H4 data.labels=f32.h5
expect 2 "leave one of them out" "$retort" train h.json --out H4 data.labels=F.h5 augment.mixup=0.2
refuse 2 "no layer named 'none'" label.features=none
refuse 2 "label.features, which are not given" label.feature_type=f32
expect 2 "are layers of a single model" "$retort" label --teacher T/model.h5 --teacher T/model.h5 --data d.h5 --out N.h5 label.features="$layer"
expect 0 "" "$retort" select F.h5 --n 4 --by k-center --features "F.h5:features/$layer" --out k.csv
expect 3 "has no feature 'none'" "$retort" select F.h5 --n 4 --by k-center --features F.h5:features/none --out N.csv
expect 0 "" "$retort" export F.h5 --out feature.npy column="features/$layer"
# 3,000 rows are three blocks: by the features that are exported the same rows are chosen, and the same ones are copies.
expect 0 "" "$retort" import feature.npy --out feature.h5
expect 0 "" "$retort" select F.h5 --n 4 --by k-center --features feature.h5:x --out k2.csv
cmp -s k.csv k2.csv || fail "select by features of a store: $(diff k.csv k2.csv)"
expect 0 "" "$retort" clean --find outliers --data d.h5 --features "F.h5:features/$layer" --out o.csv all=true
expect 0 "" "$retort" clean --find outliers --data d.h5 --features feature.h5:x --out o2.csv all=true
cmp -s o.csv o2.csv || fail "outliers by features of a store: $(diff o.csv o2.csv | head -4)"
expect 0 "" "$retort" labels pack F.h5 --out PF.h5 --type q8
expect 0 "" "$retort" export PF.h5 --out feature2.npy column="features/$layer"
cmp -s feature.npy feature2.npy || fail "a copy has other features"
exit $failed
