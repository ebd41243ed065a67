#!/bin/sh
# Hostile input by libFuzzer: sh fuzz.sh FOLDER_OF_PROGRAMS RETORT SOURCE. FUZZ_SECONDS (60) for each target, two at a time;
# FUZZ="csv model": only these. Inputs that reach new code are kept in corpus/TARGET beside the programs, and the seconds
# that each target has had in fuzz.count, so that a run that was ended goes on where it stopped; when every target has had
# its seconds, the count begins anew. What breaks a reader is left in found/, and fails this run and the next.
programs=$1
retort=$2
. "$3/tests/fuzz/seeds.sh"
seconds=${FUZZ_SECONDS:-60}
slice=60
cd "$programs" || exit 1
mkdir -p found corpus
rm -rf seeds stopped
make_seeds "$programs/seeds" "$retort" "$3" "$programs/fuzz_inputs" || { echo "fuzz: the seeds cannot be made" >&2; exit 4; }
touch fuzz.count
targets=${FUZZ:-$(./fuzz_inputs)}

had() { awk -v T="$1" '$1 == T { s += $2 } END { print s + 0 }' fuzz.count; }

# One target for some seconds. Memory and time of the readers are part of what is tested.
one() {
    t=$1; n=$2
    mkdir -p "corpus/$t"
    RETORT_FUZZ_TARGET=$t nice -n 15 ./fuzz_inputs -max_total_time="$n" -rss_limit_mb=3000 -malloc_limit_mb=2000 -timeout=60 -report_slow_units=1000 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix=found/"$t"- "corpus/$t" "seeds/$t" > "$t.log" 2>&1
    code=$?
    [ $code -ne 72 ] || { : > stopped; return 0; }               # a signal ended it: nothing is counted, nothing failed
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$t.log")
    [ $code -eq 0 ] || { echo "fuzz $t: FAILED ($code)"; tail -n 40 "$t.log"; return 1; }
    echo "$t $n ${runs:-0}" >> fuzz.count
}

failed=0
while :; do
    pair="" n=0
    for t in $targets; do
        [ "$(had "$t")" -ge "$seconds" ] && continue
        [ -e "failed.$t" ] && continue
        pair="$pair $t"; n=$((n + 1))
        [ $n -eq 2 ] && break
    done
    [ -n "$pair" ] || break
    for t in $pair; do
        left=$((seconds - $(had "$t")))
        [ $left -lt $slice ] || left=$slice
        { one "$t" $left || : > "failed.$t"; } &
    done
    wait
    [ ! -e stopped ] || { rm -f stopped; echo "fuzz: interrupted; the same command goes on"; exit 130; }
done
for t in $targets; do
    if [ -e "failed.$t" ]; then failed=1; rm -f "failed.$t"; continue; fi
    awk -v T="$t" '$1 == T { s += $2; r += $3 } END { printf "fuzz %-10s %5d s %10d inputs\n", T, s, r }' fuzz.count
done
[ $failed -eq 0 ] && [ -z "$FUZZ" ] && mv fuzz.count fuzz.done
exit $failed
