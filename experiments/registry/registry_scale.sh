#!/bin/sh
# registry_scale.sh RETORT [WRITERS [ADDS]] - a registry under load: WRITERS (8) processes add ADDS (1,000) versions each, one
# after the other, while every 50th of them is killed at a random moment; what was told as added must be there, under its
# number and with its bytes, verify must be clean, and what killed processes left must be collected. Then 100,000 versions
# (made in the database) are listed. Prints what it measured; exit 1 when something does not hold.
set -u
retort=$(realpath "$1") writers=${2:-8} adds=${3:-1000}
folder=$(mktemp -d "${TMPDIR:-/tmp}/retort-registry-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
awk 'BEGIN { srand(3); for (i = 0; i < 300; i++) { c = i % 3; printf "%.3f,%.3f,k%d\n", rand() + (c == 0), rand() + (c == 1), c } }' > d.csv
"$retort" import d.csv --label -1 --out d.h5 --quiet > /dev/null || exit 1
for i in $(seq "$writers"); do             # a model for each: the told digest tells who added a version
    "$retort" train --out "t$i" --seed "$i" --quiet --kernels scalar data.source=d.h5 model.family=mlp model.width=4 model.depth=1 \
        'model.input=[2]' model.classes=3 train.epochs=1 data.validation=0 > /dev/null || exit 1
done
"$retort" registry init --registry r > /dev/null || exit 1
writer() { # number
    digest=$(sha256sum "t$1/model.h5" | cut -d' ' -f1)
    n=0
    while [ $n -lt "$adds" ]; do
        n=$((n + 1))
        if [ $((n % 50)) -eq 0 ]; then
            "$retort" registry add m "t$1/model.h5" --registry r --json > "out.$1" 2> /dev/null &
            pid=$!
            sleep "0.0$(awk -v s="$1$n" 'BEGIN { srand(s); printf "%02d", int(rand() * 100) }')"
            kill -9 $pid 2> /dev/null
            wait $pid 2> /dev/null || { echo killed >> "killed.$1"; continue; }
        else
            "$retort" registry add m "t$1/model.h5" --registry r --json > "out.$1" 2> "err.$1" || { cat "err.$1"; echo x >> errors; continue; }
        fi
        echo "$(sed -n 's/.*"version":	"m@\([0-9]*\)".*/\1/p' "out.$1") $digest" >> "told.$1"
    done
}
start=$(date +%s)
for i in $(seq "$writers"); do writer "$i" & done
wait
seconds=$(($(date +%s) - start))
[ ! -e errors ] || fail "$(wc -l < errors) adds failed"
cat told.* | sort -n > told
killed=$(cat killed.* 2> /dev/null | wc -l)
"$retort" registry list --registry r --json | sed -n 's/.*"number":	\([0-9]*\).*/\1/p; s/.*"sha256":	"\(.*\)".*/\1/p' | paste -d' ' - - | sort -n > there
[ -z "$(cut -d' ' -f1 told | uniq -d)" ] || fail "a number was told twice: $(cut -d' ' -f1 told | uniq -d | head -n 3)"
lost=$(sort told | comm -23 - "$(sort there > there.s; echo there.s)" | wc -l)
[ "$lost" -eq 0 ] || fail "$lost versions that were told are not there"
last=$(tail -n 1 there | cut -d' ' -f1)
[ "$last" -eq "$(wc -l < there)" ] || fail "numbers have gaps: $last is the last of $(wc -l < there)"
"$retort" registry verify --registry r --quiet > verify.txt || fail "verify: $(tail -n 1 verify.txt)"
"$retort" registry gc --age 0 --registry r > /dev/null || fail gc
"$retort" registry verify --registry r --quiet > verify.txt || fail "verify: $(tail -n 1 verify.txt)"
grep -q '^objects_that_nothing_names *0$' verify.txt || fail "left: $(grep nothing verify.txt)"
echo "$writers writers: $(wc -l < told) adds told, $killed killed, $(wc -l < there) versions, $lost lost, $seconds s"

command -v sqlite3 > /dev/null || { echo "no sqlite3: 100,000 versions are not listed"; exit $failed; }
sqlite3 r/registry.db "BEGIN; WITH RECURSIVE n(i) AS (SELECT $last + 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
 INSERT INTO event (id, model, number, what, time, user) SELECT 1000000 + i, 1, i, 'add', '2027-01-01T00:00:00Z', 'a@b' FROM n;
 WITH RECURSIVE n(i) AS (SELECT $last + 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
 INSERT INTO version (model, number, event, object, digest, facts, parent) SELECT 1, i, 1000000 + i, (SELECT object FROM version LIMIT 1), '0', '{}', 1 FROM n;
 UPDATE model SET last = 100000; COMMIT" || fail "the database could not be filled"
for form in "" --json; do
    best=$(for k in 1 2 3; do
        a=$(date +%s%N); "$retort" registry list --registry r $form > list.txt || echo failed; b=$(date +%s%N)
        echo $(((b - a) / 1000000))
    done | sort -n | head -n 1)
    echo "100,000 versions listed${form:+ ($form)}: $best ms"
done
exit $failed
