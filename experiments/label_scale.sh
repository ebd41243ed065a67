#!/bin/sh
# Labelling at scale: 100 million rows of 40 bytes, a file of 4 GB. How long a labelling of 1,000 of them takes when
# nothing is known of the file, and when it is; what all of them take in time and in anonymous memory. Needs 12 GB of disk.
#   sh experiments/label_scale.sh [FOLDER]      ROWS=100000000
set -e
cd "$(dirname "$0")/.."
retort=$PWD/${RETORT:-build/retort}
tmp=$(mktemp -d -p "${1:-/tmp}")
trap 'rm -rf "$tmp"' EXIT
export rows=${ROWS:-100000000}
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p"; }
cd "$tmp"

# A small data set and a tiny teacher of 10 columns; then a NPY of zeros, which has no blocks on disk, as the large one.
awk 'BEGIN { srand(1); for (i = 0; i < 2000; i++) { c = i % 10; line = ""
    for (k = 0; k < 10; k++) line = line sprintf("%.3f,", rand() + (k == c)); print line "c" c } }' > small.csv
"$retort" import small.csv --label -1 --header no --out small.h5 --quiet > log
cat > t.json <<'X'
{"model": {"input": [10], "classes": 10, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "small.h5"},
 "train": {"epochs": 2}}
X
"$retort" train t.json --out T --quiet > log
printf '\223NUMPY\001\000v\000' > big.npy
printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': ($rows, 10), }" >> big.npy
truncate -s $((128 + rows * 40)) big.npy
"$retort" import big.npy --out big.h5 --quiet > log
rm big.npy
sleep 2.1                                              # what is younger is not kept

label() { "$retort" label --teacher T/model.h5 --data big.h5 --json --quiet data.names=position "$@"; }
for known in unknown spans all; do
    case $known in
    spans) what="with its spans known" ;;
    all) label --rows 0:1000 --check full --out full.h5 > log; what="with the whole source known" ;;
    *) what="of an unknown source" ;;
    esac
    rm -f l.h5*
    s=$(date +%s.%N)
    label --rows 0:1000 --out l.h5 > log
    date +%s.%N | awk -v s="$s" -v w="$what" '{
        printf "label --rows 0:1000 of %d rows, %s: %.3f s", ENVIRON["rows"], w, $1 - s }'
    echo ", to the first row $(number start_seconds < log) s"
done
rm -f big.h5.retort-id
"$retort" label --teacher T/model.h5 --data big.h5 --json --quiet data.names=position --out all.h5 > log & pid=$!
most=0
while kill -0 $pid 2> /dev/null; do
    now=$(awk '/^RssAnon/ { print $2 }' /proc/$pid/status 2> /dev/null || true)
    [ "${now:-0}" -gt $most ] && most=$now
    sleep 0.2
done
wait $pid
echo "all $rows rows, nothing known: $(number seconds < log) s, $(number rows_per_second < log) rows/s," \
     "anonymous memory $((most / 1024)) MiB"
s=$(date +%s.%N)
label --out all.h5 > log
date +%s.%N | awk -v s="$s" '{ printf "the same again, finished: %.3f s\n", $1 - s }'
