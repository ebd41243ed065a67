#!/bin/sh
# tests/onnx/hostile.sh RETORT FOLDER - imports each file that hostile.py made, and one whose external data is swapped for a link
# while it is read. Told: exit code, CPU seconds, MiB, message. Fails when one is not 0, 2 or 3, takes more than 5 s of CPU and
# one for each MiB of the file, or 1,088 MiB and 16 for each, is refused without a message or by more than one line, or when
# what lies outside of the folder is read.
retort=$(realpath "$1")
cd "$2" || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
one() {
    rm -f "$work"/o.h5
    /usr/bin/time -f "%U %S %M" -o "$work/t" timeout 120 "$retort" import "$1.onnx" --out "$work/o.h5" > "$work/o" 2> "$work/e" < /dev/null
    code=$?
    tail -n 1 "$work/t" | awk -v F="$1" -v C=$code -v L="$(wc -l < "$work/e")" -v M="$(tail -n 1 "$work/e" | cut -c1-160)" -v B="$(wc -c < "$1.onnx")" '{
        B /= 1048576
        bad = (C != 0 && C != 2 && C != 3) || $1 + $2 > 5 + B || $3 > (1088 + 16 * B) * 1024 || (C && L != 1)
        printf "%s\t%s\t%d\t%.2f s\t%d MiB\t%s\n", bad ? "BAD" : "ok", F, C, $1 + $2, $3 / 1024, M }'
}
for f in *.onnx; do [ "$f" = ext_swap.onnx ] || one "${f%.onnx}"; done > "$work/all"
cp data/w.bin data/swap.bin
while :; do ln -sf link.bin data/swap.tmp; mv -f data/swap.tmp data/swap.bin; cp data/w.bin data/swap.tmp; mv -f data/swap.tmp data/swap.bin; done &
swapper=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do one ext_swap; done >> "$work/all"
kill $swapper
cat "$work/all"
awk -F'\t' '{ n++; bad += $1 == "BAD"; c[$3]++; if ($4 + 0 > s) s = $4 + 0; if ($5 + 0 > m) m = $5 + 0 }
    END { printf "%d runs: %d made, %d refused (3), %d asked for more (2); at most %.2f s of CPU, %d MiB; %d bad\n", n, c[0], c[3], c[2], s, m, bad; exit bad > 0 }' "$work/all"
