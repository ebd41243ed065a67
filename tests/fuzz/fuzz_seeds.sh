#!/bin/sh
# The fuzzer's seeds and a few changes of each, without libFuzzer: sh fuzz_seeds.sh FUZZ_INPUTS RETORT SOURCE. RUNS (200) for
# each target, a quarter of that where an input is a file.
. "$3/tests/fuzz/seeds.sh"
runs=${RUNS:-200}
scratch=$(mktemp -d /tmp/retort-fuzz-seeds-XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
make_seeds "$scratch" "$2" "$3" "$1" || { echo "FAILED: seeds"; exit 1; }
failed=0
"$1" > "$scratch/targets" || exit 1
while IFS= read -r t; do
    case $t in json|config|arch|names|rows|seen|sinks|report|exif|codec|model|labels|journal|checkpoint|identity|predictions|program|onnx_call) n=$((runs * 10)) ;; *) n=$((runs / 4)) ;; esac
    RETORT_FUZZ_TARGET=$t timeout 300 "$1" -runs=$n "$scratch/$t" > "$scratch/log" 2>&1 ||
        { echo "FAILED: $t: exit $?: $(tail -n 5 "$scratch/log")"; failed=1; }
done < "$scratch/targets"
exit $failed
