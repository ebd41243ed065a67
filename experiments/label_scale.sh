#!/bin/sh
# Labelling at scale: 100 million rows of 40 bytes, a file of 4 GB. How long a labelling of 1,000 of them takes when
# nothing is known of the file, and when it is; what all of them take in time and in anonymous memory. Needs 12 GB of disk.
#   sh experiments/label_scale.sh [FOLDER]      ROWS=100000000
set -e
cd "$(dirname "$0")/.."
retort=$PWD/${RETORT:-build/retort} here=$PWD/experiments
tmp=$(mktemp -d -p "${1:-/tmp}")
trap 'rm -rf "$tmp"' EXIT
export rows=${ROWS:-100000000}
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p"; }
cd "$tmp"

. "$here/label_rows.sh"

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
