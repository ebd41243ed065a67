#!/bin/sh
# What plans by the length of rows save (student/lengths.h): `retort label` by a text model on rows of ids that are padded to
# TOKENS (64), once with them and once with "shorter": false. Lengths from 3 to TOKENS, uniform, and as sentences have them (a median
# of 13, as SST-2's). CPU time of ROWS (768) rows less that of the first 64: what start-up, plans and their trial take is left out, and
# told beside. Medians of ROUNDS (3) that alternate; answers of both must agree.
#   sh experiments/text_lengths.sh MODEL.onnx [OUTPUT]         the output that answers; the only one, if not given
set -e
model=$(readlink -f "$1")
output=$2
cd "$(dirname "$0")/.."
retort=$(readlink -f "${RETORT:-build/retort}")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp/cache"
rows=${ROWS:-768} tokens=${TOKENS:-64}
for kind in uniform sentences; do
    awk -v n="$rows" -v t="$tokens" -v kind=$kind 'BEGIN {
        srand(11)
        for (i = 0; i < n; i++) {
            u = rand()
            m = kind == "uniform" ? 3 + int(u * (t - 2)) : int(13 * exp(0.6 * (rand() + rand() + rand() + rand() - 2) * 1.73) + 0.5)
            if (m < 3) m = 3
            if (m > t) m = t
            line = ""
            for (k = 0; k < t; k++) line = line (k ? "," : "") (k < m ? 1 + int(rand() * 20000) : 0)
            print line
        } }' > "$tmp/$kind.csv"
    "$retort" import "$tmp/$kind.csv" --header no --out "$tmp/$kind.h5" --quiet > "$tmp/log"
    awk -F, '{ for (i = 1; i <= NF; i++) s += $i != 0 } END { printf "%s: %.1f ids a row of %d\n", k, s / NR, NF }' k=$kind "$tmp/$kind.csv"
done
for shorter in true false; do
    printf '{"shorter": %s%s}' $shorter "${output:+, \"output\": \"$output\"}" > "$tmp/b.json"
    "$retort" import "$model" --config "$tmp/b.json" --gives embedding --data "$tmp/uniform.h5" --out "$tmp/$shorter.h5" --quiet > "$tmp/log"
done
cpu() { # seconds of CPU that a command took
    sh -c '"$@" > "$0"; times' "$tmp/log" "$@" | tail -1 | sed 's/[ms]/ /g' | awk '{ print $1 * 60 + $2 + $3 * 60 + $4 }'
}
label() { # MODEL KIND ROWS
    rm -f "$tmp"/l-"$1".h5*
    cpu "$retort" label --teacher "$tmp/$1.h5" --data "$tmp/$2.h5" --rows 0:"$3" --out "$tmp/l-$1.h5" --threads 1 --json --quiet
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for kind in uniform sentences; do
    for round in $(seq "${ROUNDS:-3}"); do
        for m in true false; do echo "$m $(label $m $kind 64) $(label $m $kind "$rows")"; done
    done > "$tmp/rounds"
    for m in true false; do
        grep "^$m" "$tmp/rounds" | awk '{ print $3 - $2 }' | median > "$tmp/$m.t"
        grep "^$m" "$tmp/rounds" | awk '{ print $2 }' | median > "$tmp/$m.s"
        "$retort" export "$tmp/l-$m.h5" --out "$tmp/$m.csv" --force --quiet > "$tmp/log"
    done
    paste -d, "$tmp/true.csv" "$tmp/false.csv" | awk -F, 'NR > 1 { h = NF / 2
        for (i = 2; i <= h; i++) { d = $i - $(h + i); if (d < 0) d = -d; if (d > worst) worst = d; s = $i < 0 ? -$i : $i; if (s > scale) scale = s } }
        END { printf "answers differ by %.2g of their scale\n", worst / scale; exit !(worst <= 1e-5 * scale) }'
    awk -v k=$kind -v n=$((rows - 64)) -v a="$(cat "$tmp/true.t")" -v b="$(cat "$tmp/false.t")" -v s="$(cat "$tmp/true.s")" -v w="$(cat "$tmp/false.s")" \
        'BEGIN { printf "%s: %.2f s of CPU for %d rows by length, %.2f s at the whole length: %.2fx; the first 64 rows and the start %.2f and %.2f s\n", k, a, n, b, b / a, s, w }'
done
