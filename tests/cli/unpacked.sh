#!/bin/sh
# Chunks that the HDF5 library unpacks in a child are a source like any other: labels of them, by one process or shards, are
# those of the same rows stored plainly, and one goes on where the other stopped. Filters that nobody has are named.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
unset HDF5_PLUGIN_PATH
child=$(dirname "$retort")/tests/child_teacher
[ -x "$child" ] || { echo "skipped: $child is not built"; exit 77; }
for f in unpacked plugins; do cp "$root/tests/data/samples/$f.h5" .; done
touch -d 2020-01-01 unpacked.h5
echo "{\"command\": [\"$child\", \"3\", \"env\"], \"version\": \"1\", \"classes\": [\"a\", \"b\", \"c\"]}" > t.json
export CHILD_HOW=right
label() { "$retort" label --teacher t.json --data "${data:-unpacked.h5}" --json --quiet "$@"; }
labelled() { sed -n 's/.*"labelled_now":[[:space:]]*\([0-9]*\).*/\1/p' out.txt; }
rows() { "$retort" export "$1" --out rows.npy --force --quiet > /dev/null || fail "export $1"; cksum < rows.npy; }

"$retort" info unpacked.h5 > out.txt || fail "info"
for what in szip n-bit scale-offset "scale-offset lzf" "scale-offset deflate fletcher32"; do
    grep -q "filters  *$what\$" out.txt || fail "info names no $what: $(grep filters out.txt)"
done
for x in rows_1 szip bits_big; do
    label data.x=$x --out $x.h5 > out.txt || fail "$x"
    label data.x=want/$x --out want.$x.h5 > out.txt || fail "want/$x"
    [ "$(rows $x.h5)" = "$(rows want.$x.h5)" ] || fail "$x: other labels than of the plain rows"
done
for i in 0 1 2; do label data.x=rows_1 --out s.h5 --shard $i/3 > s$i.txt 2> s$i.err & pids="$pids $!"; done
for p in $pids; do wait "$p" || fail "a shard: $(cat s?.err)"; done
cmp -s s.h5 rows_1.h5 || fail "three shards are not the bytes of one process"
# A copy of the file whose chunks are others', or none: the content is the same, and so are its labels.
cp unpacked.h5 copy.h5
data=copy.h5 label data.x=rows_1 --out rows_1.h5 > out.txt || fail "a copy"
[ "$(labelled)" = 0 ] || fail "a copy is labelled again: $(labelled)"
# In a list with other files, each with its own way of being read.
data='["unpacked.h5", "copy.h5"]' label data.x=scale_i4 --out two.h5 > out.txt || fail "two files"
[ "$(labelled)" = 100 ] || fail "two files: $(labelled) rows"
# A model learns from them as from the plain rows, to the bit.
for x in szip want/szip; do
    cat > run.json <<X
{"model": {"input": [6], "family": "mlp", "width": 8, "classes": 3}, "data": {"source": "unpacked.h5", "x": "$x", "labels": "szip.h5", "validation": 0},
 "loss": {"hard": 0}, "train": {"epochs": 2, "batch": 16}}
X
    "$retort" train run.json --out "run.$(basename "$(dirname "$x")")" --quiet > log 2>&1 || fail "train on $x: $(cat log)"
done
predicted() { "$retort" predict "$1/model.h5" --data unpacked.h5 --out p.npy --force --quiet data.x=want/szip > log 2>&1 || fail "predict: $(cat log)"; cksum < p.npy; }
[ "$(predicted run..)" = "$(predicted run.want)" ] || fail "other weights"

expect 3 "Blosc (filter 32001), and HDF5 has no plugin for it here: name its folder in HDF5_PLUGIN_PATH" "$retort" label --teacher t.json --data plugins.h5 data.x=blosc --out none.h5
HDF5_PLUGIN_PATH=/nowhere expect 3 "bzip2 (filter 307)" "$retort" label --teacher t.json --data plugins.h5 data.x=bzip2 --out none.h5
mkdir odd; echo "no library" > odd/libodd.so
HDF5_PLUGIN_PATH="$tmp/odd" expect 3 "ZFP (filter 32013)" "$retort" label --teacher t.json --data plugins.h5 data.x=zfp --out none.h5
[ -e none.h5 ] && fail "a refused set left a store"
head -c $(($(wc -c < unpacked.h5) / 2)) unpacked.h5 > half.h5
expect 3 "half.h5: " "$retort" label --teacher t.json --data half.h5 data.x=scale_i4 --out none.h5
exit $failed
