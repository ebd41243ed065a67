#!/bin/sh
# Bad input: one clear line, the right exit code, and no half-written file.
. "$2/tests/cli/lib.sh"
make_data 200 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8}, "data": {"source": "band.h5", "validation": 20}, "train": {"epochs": 2, "batch": 32}}
X
"$retort" train t.json --out T --quiet > /dev/null || fail "train"

expect 3 "No such file" "$retort" train t.json --out B data.source=none.h5
expect 3 "No such file" "$retort" train none.json --out B
expect 3 "is no HDF5 file" "$retort" train t.json --out B data.source=band.csv
expect 3 "rows have the shape (64), but the model's input is (65)" "$retort" train t.json --out B model.input=[65]
expect 3 "there are 2 classes" "$retort" train t.json --out B model.classes=2
expect 2 "train.epoch: unknown key; did you mean 'epochs'?" "$retort" train t.json --out B train.epoch=2
expect 2 "train.epochs: a whole number from 1" "$retort" train t.json --out B train.epochs=many
expect 2 "needs a teacher" "$retort" train t.json --out B loss.kind=kd
expect 2 "reach outside" "$retort" train t.json --out B data.rows=0:500
expect 5 "no rows" "$retort" train t.json --out B data.rows=5:5 data.validation=0
expect 3 "has no data set 'z'" "$retort" train t.json --out B data.x=z
expect 2 "augment.flip: needs images" "$retort" train t.json --out B augment.flip=true
printf '{"model": {' > broken.json
expect 3 "not valid JSON at line 1" "$retort" train broken.json --out B
[ -e B ] && fail "bad input left a folder: $(ls -R B)"
expect 4 "training diverged" "$retort" train t.json --out D train.lr=1000 train.momentum=0.99 train.weight_decay=9 model.activation=gelu train.epochs=200
[ -e D/model.h5 ] && fail "a diverged run left a model"

for n in 0 100 2000 20000; do
    head -c $n band.h5 > cut.h5
    expect 3 "cut.h5" "$retort" train t.json --out B data.source=cut.h5
    expect 3 "cut.h5" "$retort" info cut.h5
    head -c $n T/model.h5 > cutm.h5
    [ "$n" -lt "$(wc -c < T/model.h5)" ] && expect 3 "cutm.h5" "$retort" label --teacher cutm.h5 --data band.h5 --out BL.h5
done
[ -e BL.h5 ] && fail "bad input left labels"

awk 'NR == 7 { sub(/^[0-9]+/, "nan") } { print }' band.csv > nan.csv
expect 3 "line 7, column 0" "$retort" import nan.csv --label -1 --out nan.h5
: > empty.csv
expect 5 "no records" "$retort" import empty.csv --out empty.h5
expect 3 "No such file" "$retort" import none.csv --out none.h5
expect 2 "no column 'zzz'" "$retort" import band.csv --label zzz --out zzz.h5
for f in nan empty none zzz; do [ -e $f.h5 ] && fail "bad input left $f.h5"; done

expect 3 "is no retort model" "$retort" label --teacher band.h5 --data band.h5 --out BL.h5
awk '{ sub(/^[0-9]+,/, ""); print }' band.csv > narrow.csv
"$retort" import narrow.csv --label -1 --out narrow.h5 --quiet > /dev/null
expect 3 "rows have the shape (63), but the model's input is (64)" "$retort" label --teacher T/model.h5 --data narrow.h5 --out BL.h5
"$retort" label --teacher T/model.h5 --data band.h5 --out L.h5 --quiet > /dev/null || fail "label"
head -n 100 band.csv > half.csv
"$retort" import half.csv --label -1 --out half.h5 --quiet > /dev/null
expect 2 "of other data" "$retort" label --teacher T/model.h5 --data half.h5 --out L.h5
expect 3 "labels are of other data" "$retort" train t.json --out B data.source=half.h5 data.labels=L.h5
[ -e BL.h5 ] && fail "bad input left labels"

# A full disk, by a limit on the size of files.
(small_files 20; "$retort" import band.csv --label -1 --out full.h5 > out.txt 2> err.txt)
code=$?
[ $code -eq 4 ] && grep -q "^retort: " err.txt || fail "full disk at import: exit $code: $(cat err.txt)"
(small_files 8; "$retort" label --teacher T/model.h5 --data band.h5 --out full.h5 labels.type=f32 > out.txt 2> err.txt)
code=$?
[ $code -eq 4 ] && grep -q "^retort: " err.txt || fail "full disk at label: exit $code: $(cat err.txt)"
(small_files 4; "$retort" train t.json --out F --quiet > out.txt 2> err.txt)
code=$?
[ $code -eq 4 ] && grep -q "^retort: " err.txt || fail "full disk at train: exit $code: $(cat err.txt)"
ls full.h5* F/*.tmp* F/checkpoints/*.tmp* > left.txt 2> /dev/null
[ -s left.txt ] && fail "a full disk left: $(cat left.txt)"
if [ "$(id -u)" -eq 0 ] && mkdir disk && mount -t tmpfs -o size=60k tmpfs disk 2> /dev/null; then
    expect 4 "disk" "$retort" import band.csv --label -1 --out disk/full.h5 < /dev/null
    "$retort" import half.csv --label -1 --out disk/half.h5 --quiet > /dev/null 2>&1
    expect 4 "" "$retort" train t.json --out disk/run
    ls disk/*.tmp* disk/run/*.tmp* disk/run/checkpoints/*.tmp* > left.txt 2> /dev/null
    [ -s left.txt ] && fail "a full disk left: $(cat left.txt)"
    umount disk
fi
# A read-only folder (root writes anywhere, so as another user).
mkdir locked
chmod 555 locked
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$tmp"
    cp "$retort" ./retort-copy
    chmod 755 retort-copy
    if command -v setpriv > /dev/null 2>&1; then
        expect 4 "Permission denied" setpriv --reuid 65534 --regid 65534 --clear-groups ./retort-copy import band.csv --label -1 --out locked/x.h5
        expect 4 "Permission denied" setpriv --reuid 65534 --regid 65534 --clear-groups ./retort-copy train t.json --out locked/run
    fi
else
    expect 4 "Permission denied" "$retort" import band.csv --label -1 --out locked/x.h5
fi
exit $failed
