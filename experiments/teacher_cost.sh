#!/bin/sh
# What the process teacher costs at 10 MB/s of rows: 20,000 rows of 784 bytes in batches of 64 go to a program that computes 5.0176 ms
# for each (its own CPU time, besides reading and writing), so that it takes 10 MB/s. Beside it the same labels from a file,
# which is all of labelling but the program. Overhead: what `retort label` and the program took together, less what the program
# computed: CPU time (the machine may be loaded) of all of it, and without what labelling from a file takes; and wall time in
# the teacher. Medians of rounds that alternate.
set -e
cd "$(dirname "$0")/.."
retort=$(readlink -f "${RETORT:-build/retort}")
child=$(readlink -f "${CHILD:-$(dirname "$retort")/tests/child_teacher}")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rows=20000
{ printf '\223NUMPY\001\000v\000'
  printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': ($rows, 784), }"
  head -c $((rows * 784)) /dev/urandom; } > "$tmp/x.npy"
"$retort" import "$tmp/x.npy" --out "$tmp/x.h5" --quiet > "$tmp/log"
batches=$(((rows + 63) / 64 + 2))                  # and the two that are asked about twice
spec() { echo "{\"command\": [\"$child\", \"10\", $1], \"version\": \"1\", \"classes\": 10}"; }
spec '"busy", "0.0050176"' > "$tmp/busy.json"
spec '"idle"' > "$tmp/free.json"
cpu() { # seconds of CPU that a command and all that it waited for took; its output in log
    sh -c '"$@" > "$0"; times' "$tmp/log" "$@" | tail -1 | sed 's/[ms]/ /g' | awk '{ print $1 * 60 + $2 + $3 * 60 + $4 }'
}
label() { rm -f "$tmp"/l.h5*; cpu "$retort" label "$@" --data "$tmp/x.h5" --out "$tmp/l.h5" --json --quiet; }
number() { grep -o "\"$1\":[^,}]*" "$tmp/log" | tr -dc '0-9.'; }
label --teacher "$tmp/free.json" > /dev/null
"$retort" export "$tmp/l.h5" --out "$tmp/l.npy" --quiet > "$tmp/log"
for round in $(seq "${ROUNDS:-9}"); do
    a=$(label --from "$tmp/l.npy")
    b=$(label --teacher "$tmp/busy.json"); wall=$(number compute_seconds)
    c=$(label --teacher "$tmp/free.json"); free=$(number compute_seconds)
    echo "$a $b $c $wall $free"
done > "$tmp/rounds"
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for i in 1 2 3 4 5; do eval "m$i=$(cut -d' ' -f$i "$tmp/rounds" | median)"; done
awk -v n=$batches -v from="$m1" -v busy="$m2" -v wall="$m4" -v free="$m5" -v idle="$m3" -v r=$rows 'BEGIN {
    work = n * 0.0050176
    printf "%d batches of %.1f ms, %.3f s of work at 10 MB/s of rows\n", n, 5.0176, work
    printf "labelling from a file: %.3f s of CPU; from the program: %.3f s, of which its work %.3f s\n", from, busy, work
    printf "overhead, CPU: %.2f %% with all of labelling, %.2f %% of the process teacher alone\n", 100 * (busy - work) / work, 100 * (busy - work - from) / work
    printf "overhead, wall time in the teacher: %.2f %%\n", 100 * (wall - work) / work
    printf "a program that computes nothing: %.0f rows/s, %.1f MB/s; %.3f s of CPU, which is %.2f %% of that work\n", r / free, r * 784 / free / 1e6, idle - from, 100 * (idle - from) / work }'
