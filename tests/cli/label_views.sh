#!/bin/sh
# Labels of views as a user meets them: made in any way the same bytes, in every coding; replayed in training; looked at,
# exported, packed, merged; what is refused, and why.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
place() { LC_ALL=C grep -obUaP "$2" "$1" | LC_ALL=C cut -d: -f1 | head -1; }  # file pattern: offset
size() { wc -c < "$1" | tr -d ' '; }
N=2300 OLD=1400

# f32 images of 6 by 6: a bright column by class. 77.125, whose bytes are unique, marks where they begin in a file.
awk -v n=$N 'BEGIN { srand(5); for (k = 0; k < 36; k++) printf "p%d,", k; print "kind"
    for (i = 0; i < n; i++) { c = int(rand() * 3); line = ""
        for (k = 0; k < 36; k++) line = line (i + k ? sprintf("%.3f,", rand() + (k % 6 == 2 * c) * 0.6) : "77.125,")
        print line "k" c } }' > flat.csv
"$retort" import flat.csv --label kind --out flat.h5 --quiet > /dev/null || fail "import"
at=$(place flat.h5 '\x00\x40\x9a\x42')
awk -F, '{ print $37 }' flat.csv > kinds.csv
images() {                                                       # rows file
    { printf '\223NUMPY\001\000v\000'
      printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': ($1, 6, 6, 1), }"
      tail -c +$((at + 1)) flat.h5 | head -c $((144 * $1)); } > images.npy
    head -n $(($1 + 1)) kinds.csv > some.csv
    "$retort" import images.npy some.csv --out "$2" --quiet > /dev/null || fail "images"
    touch -d 2020-01-01 "$2"
}
images $N all.h5
images $OLD old.h5
cat > t.json <<'X'
{"model": {"input": [6, 6, 1], "classes": 3, "layers": [{"op": "conv2d", "out": 6, "kernel": 3, "padding": 1}, {"op": "relu"}, {"op": "flatten"}, {"op": "dense", "out": 3}]},
 "data": {"source": "all.h5", "validation": 200}, "train": {"epochs": 2, "batch": 64}}
X
expect 0 "" "$retort" train t.json --out T
cat > f.json <<'X'
{"model": {"input": [36], "classes": 3, "family": "mlp", "width": 4, "depth": 1}, "data": {"source": "flat.h5", "validation": 0}, "train": {"epochs": 1}}
X
expect 0 "" "$retort" train f.json --out F
seen="augment.flip=true augment.shift=1 augment.erase=0.3"
label() { "$retort" label --teacher T/model.h5 --data "${data:-all.h5}" label.views=3 $seen --json --quiet "$@"; }

# What it costs is said before; the store says what it is.
expect 0 '"views":' label --out v.h5 --dry-run
guess=$(number store_bytes out.txt)
[ -e v.h5 ] && fail "an estimate wrote"
expect 0 '"views":' label --out v.h5
awk -v a="$guess" -v b="$(size v.h5)" 'BEGIN { exit !(a > 0.98 * b && a < 1.02 * b) }' || fail "estimated $guess bytes of $(size v.h5)"
expect 0 "all blocks match" "$retort" info v.h5 --json
tr -d '\n\t ' < out.txt | grep -q '"views":{"count":3,"seed":"1","flip":true,"shift":1,"erase":0.3' || fail "info does not tell the views: $(cat out.txt)"
expect 0 "disagree" "$retort" labels summary v.h5 --json
said=$(number disagree out.txt)
"$retort" label --teacher T/model.h5 --data all.h5 --out p.h5 --quiet > /dev/null || fail "a store without views"
for s in v p; do expect 0 "" "$retort" export $s.h5 --out $s.csv --quiet; expect 0 "" "$retort" export $s.h5 --out $s.npy --quiet; done
cmp -s v.csv p.csv && cmp -s v.npy p.npy || fail "the rows as they are have other labels"
for v in 0 1 2; do expect 0 "" "$retort" export v.h5 --out v$v.npy view=$v --quiet; expect 0 "" "$retort" export v.h5 --out v$v.csv view=$v --quiet; done
cmp -s v0.npy v1.npy && fail "views are alike"
cut -d, -f2 v.csv > v.answers
for v in 0 1 2; do cut -d, -f2 v$v.csv | paste -d, v.answers -; done | awk -F, '$1 != $2 { n++ } END { print n + 0 }' > disagree
[ "$said" = "$(cat disagree)" ] && [ "$said" -gt 0 ] || fail "views that are of another class than their row: $said, counted $(cat disagree)"
[ "$(wc -l < v0.csv)" = $((N + 1)) ] || fail "a view as CSV"
expect 2 "has views 0 to 2 of each row, and no view 3" "$retort" export v.h5 --out n.npy view=3
expect 2 "label.views keeps those of views" "$retort" export p.h5 --out n.npy view=0
expect 2 "belongs to to=csv and to=npy" "$retort" export T/model.h5 --out n.npz view=0

# The same bytes whatever the threads, batches, shards, and where it was interrupted; and of a source that grew.
for coding in labels.type=f32 labels.type=q8 "labels.topk=2 labels.type=q8 labels.columns=entropy" "labels.topk=1 labels.type=f16" labels.keep=hard; do
    label --out one.h5 --force $coding --threads 1 > out.txt || fail "$coding: $(cat out.txt)"
    label --out two.h5 --force $coding --threads 3 label.batch=77 > out.txt || fail "$coding"
    cmp -s one.h5 two.h5 || fail "$coding: bytes depend on threads or batches"
    rm -f two.h5
    "$retort" label --teacher T/model.h5 --data all.h5 label.views=3 $seen --out two.h5 $coding --shard 0/2 --quiet > out0.txt & p=$!
    label --out two.h5 $coding --shard 1/2 > out1.txt || fail "$coding, shard 1: $(cat out1.txt)"
    wait $p || fail "$coding, shard 0: $(cat out0.txt)"
    label --out two.h5 $coding > out.txt || fail "$coding: after shards"
    cmp -s one.h5 two.h5 || fail "$coding: bytes depend on shards"
    rm -f two.h5
    cp old.h5 now.h5; touch -d 2020-01-01 now.h5
    data=now.h5 label --out two.h5 $coding > out.txt || fail "$coding: before it grew"
    cp all.h5 now.h5; touch -d 2020-01-01 now.h5
    data=now.h5 label --out two.h5 $coding > out.txt || fail "$coding: grown: $(cat out.txt)"
    [ "$(number labelled_now out.txt)" = $((N - OLD)) ] || fail "$coding: rows asked again: $(cat out.txt)"
    data=now.h5 label --out three.h5 --force $coding > out.txt
    cmp -s two.h5 three.h5 || fail "$coding: not the bytes of a store of the whole source"
    cut=700                                               # within a block, where the coding can be cut there
    case $coding in *q8*) cut=1024 ;; esac
    for r in 0:$cut $cut:; do label --out part${r%:*}.h5 --force $coding --rows $r > out.txt || fail "$coding: part $r"; done
    rm -f two.h5
    expect 0 "" "$retort" labels merge part$cut.h5 part0.h5 --out two.h5
    cmp -s one.h5 two.h5 || fail "$coding: parts that are merged differ"
    expect 0 "" "$retort" labels verify two.h5
done

# Packed as labelled; views can be left out; what is not there is not made.
for coding in "--type q8:labels.type=q8" "--topk 2:labels.topk=2" "--topk 2 --type q8:labels.topk=2 labels.type=q8" "--hard:labels.keep=hard"; do
    label --out one.h5 --force ${coding#*:} > out.txt || fail "$coding"
    expect 0 '"views":' "$retort" labels pack v.h5 --out two.h5 --force ${coding%%:*} --json
    for v in 0 2; do for s in one two; do expect 0 "" "$retort" export $s.h5 --out $s.csv --force view=$v --quiet; done
        cmp -s one.csv two.csv || fail "$coding: view $v of a copy is another one"; done
done
expect 0 "" "$retort" labels pack v.h5 --out few.h5 --views 1
expect 0 "" "$retort" export few.h5 --out few.npy view=0 --quiet
cmp -s few.npy v0.npy || fail "a view that is kept changed"
expect 2 "no view 1" "$retort" export few.h5 --out few1.npy view=1
expect 0 "" "$retort" labels pack v.h5 --out none.h5 --views 0
[ "$(size none.h5)" -lt $(($(size v.h5) / 2)) ] || fail "views are not left out: $(size none.h5) bytes"
expect 2 "has labels of 3 views, and a copy cannot have 4" "$retort" labels pack v.h5 --out n.h5 --views 4
label --out part0.h5 --force --rows 0:$cut labels.keep=hard augment.seed=2 > out.txt || fail "a part of other views"
expect 2 "is in another coding than" "$retort" labels merge part0.h5 part$cut.h5 --out n.h5

# Labels by hand stand before every view's; what the teacher said stays beside.
printf 'row,label\n3,k1\n1500,k2\n' > hand.csv
cp v.h5 h.h5
expect 0 "" "$retort" labels append h.h5 --hand hand.csv
for s in v h; do expect 0 "" "$retort" export $s.h5 --out $s.csv --force view=1 --quiet; done
awk -F, 'NR == FNR { a[$1] = $0; next } a[$1] != $0 { print $1, $2 }' v.csv h.csv > differ
grep -q '^3 1$' differ && grep -q '^1500 2$' differ && [ "$(wc -l < differ)" -eq 2 ] || fail "rows by hand in a view: $(cat differ)"

# Replayed in training: as the teacher beside the student; nothing that does not match.
cat > s.json <<'X'
{"model": {"input": [6, 6, 1], "classes": 3, "layers": [{"op": "conv2d", "out": 3, "kernel": 3, "padding": 1}, {"op": "relu"}, {"op": "flatten"}, {"op": "dense", "out": 3}]},
 "data": {"source": "all.h5", "validation": 200}, "loss": {"kind": "kd", "hard": 0.2}, "train": {"epochs": 3, "batch": 64},
 "augment": {"flip": true, "shift": 1, "erase": 0.3}}
X
student() { out=$1; shift; expect 0 "" "$retort" train s.json --out $out --json "$@"; grep last_weights_digest out.txt > $out.digest; }
student S1 teacher=T/model.h5
student S2 data.labels=v.h5
cmp -s S1.digest S2.digest || fail "replayed views teach something else than the teacher: $(cat S1.digest S2.digest)"
student S3 data.labels=p.h5
cmp -s S1.digest S3.digest && fail "labels of rows as they are teach the same"
student S4 data.labels=v.h5 augment.views=0
cmp -s S3.digest S4.digest || fail "augment.views=0 is not the labels of rows as they are"
student S5 teacher=T/model.h5 train.epochs=5 augment.views=3
student S6 data.labels=v.h5 train.epochs=5
cmp -s S5.digest S6.digest || fail "views that come again teach something else than the teacher"
expect 2 "made with augment.seed=1" "$retort" train s.json --out N data.labels=v.h5 seed=2
student S7 data.labels=v.h5 seed=2 augment.seed=1
expect 2 "made with augment.shift=1" "$retort" train s.json --out N data.labels=v.h5 augment.shift=2
expect 2 "give at most 3" "$retort" train s.json --out N data.labels=v.h5 augment.views=4
expect 2 "keeps labels of rows as they are alone; label again with label.views=2" "$retort" train s.json --out N data.labels=p.h5 augment.views=2
expect 0 "the run shows none: rows are learnt as they are" "$retort" train t.json --out S8 data.labels=v.h5

# Refused in one line, and nothing is left.
refuse() { code=$1 why=$2; shift 2; expect "$code" "$why" "$retort" label --data all.h5 --out N.h5 "$@"; [ -e N.h5 ] && fail "a refused command left a store"; }
refuse 2 "0 are none: give how many" --teacher T/model.h5 label.views=0 augment.flip=true
refuse 2 "label.views" --teacher T/model.h5 label.views=1001 augment.flip=true
refuse 2 "none of them is given" --teacher T/model.h5 label.views=2
refuse 2 "tells the views of label.views, which are not given" --teacher T/model.h5 augment.flip=true
refuse 2 "mixes rows and their labels" --teacher T/model.h5 label.views=2 augment.flip=true augment.mixup=0.1
refuse 2 "has answers to rows and none to views of them" --teacher "{\"from\": \"p.npy\", \"like\": \"T/model.h5\"}" label.views=2 augment.flip=true
expect 2 "needs images" "$retort" label --teacher F/model.h5 --data flat.h5 --out N.h5 label.views=2 augment.flip=true
expect 2 "labels of 3 views of each row, and 2 are wanted; give label.views=3" "$retort" label --teacher T/model.h5 --data all.h5 --out v.h5 label.views=2 $seen
expect 2 "labels of 3 views of each row, and 0 are wanted" "$retort" label --teacher T/model.h5 --data all.h5 --out v.h5
expect 2 "other views, made with augment.shift=1" "$retort" label --teacher T/model.h5 --data all.h5 --out v.h5 label.views=3 augment.flip=true augment.erase=0.3
expect 2 "other views, made with augment.seed=1" label --out v.h5 augment.seed=9
expect 2 "holds other labels" "$retort" label --teacher T/model.h5 --data all.h5 --out v.h5 label.views=3 $seen augment.seed=9 --dry-run

# A flipped bit in a view is found.
cp v.h5 bad.h5
printf '\377' | dd of=bad.h5 bs=1 seek=$(($(size v.h5) / 2)) conv=notrunc 2> /dev/null
expect 3 "is damaged" "$retort" labels verify bad.h5

exit $failed
