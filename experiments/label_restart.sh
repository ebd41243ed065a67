#!/bin/sh
# A labelling of 100 million rows that is killed (kill -9) when nine tenths of them are on disk, and started again: seconds and
# CPU-seconds until the first new row, anonymous memory of both runs, and whether the store is the one of a run that was left
# alone. The source is a file of 4 GB without blocks on disk. Needs 10 GB of disk.
#   sh experiments/label_restart.sh [FOLDER]      ROWS=100000000
set -e
cd "$(dirname "$0")/.."
retort=$PWD/${RETORT:-build/retort} here=$PWD/experiments
tmp=$(mktemp -d -p "${1:-/tmp}")
trap 'rm -rf "$tmp"' EXIT
export rows=${ROWS:-100000000} XDG_CACHE_HOME="$tmp"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p"; }
cd "$tmp"
. "$here/label_rows.sh"
words="label --teacher T/model.h5 --data big.h5 --json --quiet data.names=position"
anonymous() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status" 2> /dev/null || true; }

"$retort" $words --out l.h5 > log & pid=$!
most=0 done=0
while kill -0 $pid 2> /dev/null && [ $done -lt $((rows / 1024 * 9 / 10)) ]; do
    now=$(anonymous $pid); [ "${now:-0}" -gt $most ] && most=$now
    sleep 0.3
    # summary lines FROM-TO and lines of single blocks
    done=$(awk '{ if (split($1, r, "-") == 2) n += r[2] - r[1]; else if ($1 ~ /^[0-9]+$/) n++ } END { print n + 0 }' l.h5.journal 2> /dev/null || echo 0)
done
kill -9 $pid
wait $pid 2> /dev/null || true
echo "killed with $done of $(((rows + 1023) / 1024)) blocks on disk, $(wc -l < l.h5.journal) lines, $(wc -c < l.h5.journal) bytes in the journal; anonymous memory $((most / 1024)) MiB"
"$retort" $words --out l.h5 > log & pid=$!
most=0
while kill -0 $pid 2> /dev/null; do
    now=$(anonymous $pid); [ "${now:-0}" -gt $most ] && most=$now
    sleep 0.2
done
wait $pid
echo "started again: first new row after $(number start_seconds < log) s, $(number start_cpu_seconds < log) CPU-s;" \
     "$(number labelled_now < log) rows, $(number seconds < log) s in all, anonymous memory $((most / 1024)) MiB"
before=$(sha256sum < l.h5)
rm l.h5
"$retort" $words --out l.h5 > log
[ "$before" = "$(sha256sum < l.h5)" ] && echo "the same bytes as of a run that was left alone ($(number seconds < log) s)" || { echo "OTHER BYTES"; exit 1; }
