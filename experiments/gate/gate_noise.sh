#!/bin/sh
# What a busy machine does to a gate on latency: sh experiments/gate/gate_noise.sh RETORT [BASELINE.h5 CANDIDATE.h5 TEST.h5]
# 1. Five gates with a busy loop on the same core: those that decide have medians of undisturbed calls within 5 % of the
#    middle one, and ratios within 3 %; the others end with 6.
# 2. Ten gates on all cores: at most one ends with 6. That is a statement about a quiet machine; on another one it tells how
#    loud it was (QUIET=no leaves it out).
# GATE_SECONDS (20): of speed, each. Without files two models of one architecture are trained, whose true ratio is 1.
retort=$(realpath "$1") || exit 2
[ -x "$retort" ] && { [ $# -eq 1 ] || [ $# -eq 4 ]; } || { sed -n '2,8p' "$0"; exit 2; }
seconds=${GATE_SECONDS:-20}
tmp=$(mktemp -d /tmp/retort-noise-XXXXXX) || exit 1
loop=
trap '[ -z "$loop" ] || kill "$loop" 2> /dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
if [ $# -eq 4 ]; then
    a=$(realpath "$2") b=$(realpath "$3") data=$(realpath "$4") rows=
    cd "$tmp" || exit 1
else
    cd "$tmp" || exit 1
    awk 'BEGIN { srand(5); for (i = 0; i < 2000; i++) { c = i % 3; line = ""
        for (y = 0; y < 8; y++) for (x = 0; x < 8; x++) line = line int(rand() * 120 + (int(y / 3) == c ? 100 : 0)) ","
        print line "k" c } }' > band.csv
    "$retort" import band.csv --label -1 --out band.h5 --quiet > out.txt 2>&1 || { cat out.txt; exit 4; }
    echo '{"model": {"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 16}, "data": {"source": "band.h5", "rows": "0:1000"}, "train": {"epochs": 1, "batch": 50}}' > t.json
    for s in 1 2; do "$retort" train t.json --out m$s --seed $s --quiet > out.txt 2>&1 || { cat out.txt; exit 4; }; done
    a=$tmp/m1/model.h5 b=$tmp/m2/model.h5 data=$tmp/band.h5 rows="--rows 1000:"
fi
printf '{"format": "retort-policy-1", "limits": [{"metric": "latency_p50", "max_ratio": 1.1}], "speed": {"seconds": %s}}\n' "$seconds" > p.json
failed=0

of() { awk -v key="\"$1\":" '/"limits":/ { on = 1 } on && $1 == key { gsub(/,/, "", $2); print $2; exit }' v.json; }
control() { awk -v key="\"$1\":" '/"SingleStream":/ { on = 1 } on && $1 == key { gsub(/,/, "", $2); print $2; exit }' v.json; }

# gate NUMBER threads before...: one line, and its numbers into the file "decided" where it decides.
gate() {
    i=$1 threads=$2
    shift 2
    # shellcheck disable=SC2086
    "$@" "$retort" gate --baseline "$a" --candidate "$b" --policy p.json --data "$data" $rows --threads "$threads" --json --quiet > v.json 2> err.txt
    code=$?
    case $code in 0|1|6) ;; *) echo "gate $i: exit $code: $(cat err.txt)"; failed=1; return ;; esac
    printf '| %s | %s | %.2f | %.2f | %.4f | %.4f | %.2f %% | %s |\n' "$i" "$code" "$(of baseline)" "$(of candidate)" "$(of value)" \
        "$(control ratio)" "$(awk "BEGIN { print 100 * $(control disturbed) }")" "$(cut -d' ' -f1 /proc/loadavg)"
    if [ $code -eq 6 ]; then sixes=$((sixes + 1)); else echo "$(of baseline) $(of candidate) $(of value)" >> decided; fi
}

head="| gate | exit | baseline p50, us | candidate p50, us | ratio | A'/A | disturbed | load |
|---|---|---|---|---|---|---|---|"
echo "Beside a busy loop on the same core, $seconds s each:"
echo "$head"
taskset -c 0 sh -c 'while :; do :; done' &
loop=$!
sixes=0
: > decided
for i in 1 2 3 4 5; do gate $i 1 taskset -c 0; done
kill "$loop"
wait "$loop" 2> /dev/null
loop=
away() { # the furthest of a column of "decided" from its middle, in percent
    cut -d' ' -f"$1" decided | sort -g | awk '{ v[NR] = $1 } END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        for (i = 1; i <= NR; i++) { d = v[i] / m - 1; if (d < 0) d = -d; if (d > most) most = d }
        printf "%.1f", 100 * most }'
}
if [ -s decided ]; then
    echo "$(wc -l < decided) decided, $sixes ended with 6: medians within $(away 1) % and $(away 2) % of the middle one, ratios within $(away 3) %"
    awk "BEGIN { exit !($(away 1) <= 5 && $(away 2) <= 5 && $(away 3) <= 3) }" || { echo "FAILED: further apart"; failed=1; }
else echo "none decided: all ended with 6"; fi

if [ "$QUIET" != no ]; then
    echo "On the machine as it is:"
    echo "$head"
    sixes=0
    for i in 1 2 3 4 5 6 7 8 9 10; do gate $i "$(nproc)"; done
    echo "$sixes of 10 ended with 6"
    [ $sixes -le 1 ] || { echo "FAILED: more than 1 of 10 on this machine"; failed=1; }
fi
exit $failed
