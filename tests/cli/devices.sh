#!/bin/sh
# --device and precision: where they are taken, what is said where they do nothing, or there is no card. Nothing is ever computed elsewhere than asked
# for. In a build with CUDA the messages of tests/cuda are about cards that are there.
. "$2/tests/cli/lib.sh"
unset RETORT_DEVICE

# What there is.
expect 0 "cpu " "$retort" info --devices
expect 0 '"operators_of_the_cpu_alone"' "$retort" info --devices --json
for op in attention lstm trees; do grep -q "operators_of_the_cpu_alone.*\"$op\"" out.txt || fail "cards have $op?"; done
grep -q '"precisions":[[:space:]]*\["fp32"\]' out.txt || fail "the CPU's precisions: $(cat out.txt)"
cards=$(grep -c '"name":[[:space:]]*"cuda:' out.txt)
expect 2 "--devices is about no file, so 'x.h5' would do nothing" "$retort" info --devices x.h5
expect 2 "--plan does not apply to --devices" "$retort" info --devices --plan 3
expect 2 "--device does not apply to --devices" "$retort" info --devices --device cpu
expect 2 "--device belongs to --plan" "$retort" info x.h5 --device cpu

# Names.
for name in gpu cuda: cuda:x cuda:-1 cuda:1x cuda:99999 CPU cuda0; do
    expect 2 "no device is called \"$name\"" "$retort" bench x.json --device "$name"
    RETORT_DEVICE=$name expect 2 "RETORT_DEVICE: no device is called \"$name\"" "$retort" bench x.json
done
expect 2 "--device: its value is empty" "$retort" bench x.json --device ""
expect 2 "--device is given twice" "$retort" bench x.json --device cpu --device cpu
for c in import quantize export verify; do
    expect 2 "--device does nothing in '$c'" "$retort" $c x --device cuda
    RETORT_DEVICE=cuda "$retort" $c none.h5 --out y.h5 > /dev/null 2> err.txt
    grep -q cuda err.txt && fail "$c looks at RETORT_DEVICE: $(cat err.txt)"
done
for shell in bash zsh fish; do
    "$retort" help completion $shell > help.txt
    grep -q -e "-l device\|--device" help.txt || fail "$shell completes no --device"
done
"$retort" help man train > help.txt
grep -q '\\-\\-device' help.txt || fail "no --device in the manual page"
"$retort" help man > help.txt
grep -q RETORT_DEVICE help.txt || fail "no RETORT_DEVICE in the manual page"
expect 0 "--json --quiet --device --threads" "$retort" train --help

make_data 300 band.h5
echo '{"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}' > m.json
printf '{"model": %s, "data": {"source": "band.h5"}, "train": {"epochs": 2, "batch": 32}}' "$(cat m.json)" > t.json

# A card where there is none, or a hundredth: an error of the machine, or of the argument; nothing is left behind, and nothing runs on the CPU.
if [ "$cards" -eq 0 ]; then want=4; else want=2; fi
for c in "train t.json --out A" "label --teacher T/model.h5 --data band.h5 --out l.h5" "predict T/model.h5 --data band.h5 --out p.h5" \
    "eval --student T/model.h5 --data band.h5 --out E" "gate --baseline a.h5 --candidate b.h5 --policy p.json" "bench m.json" "run x.json --out R" \
    "info T/model.h5 --plan 8"; do
    expect $want "cuda:99" "$retort" $c --device cuda:99
    RETORT_DEVICE=cuda:99 expect $want "cuda:99" "$retort" $c
    expect $want '"message":' "$retort" $c --device cuda:99 --json
    grep -q "\"code\":[[:space:]]*$want" out.txt || fail "the JSON of $c: $(cat out.txt)"
done
[ ! -e A ] && [ ! -e l.h5 ] && [ ! -e p.h5 ] && [ ! -e E ] && [ ! -e R ] || fail "something was begun: $(ls)"

# The CPU by its name is the CPU; a name on the command line comes before the environment.
"$retort" train t.json --out T --quiet --json > plain.txt || fail "train"
RETORT_DEVICE=cuda:99 "$retort" train t.json --out T2 --quiet --json --device cpu train.precision=fp32 > cpu.txt || fail "train --device cpu"
digest() { sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' "$1"; }
[ -n "$(digest plain.txt)" ] && [ "$(digest plain.txt)" = "$(digest cpu.txt)" ] || fail "--device cpu gives other weights"
# The precision is no part of what a run is: only of what computes it.
expect 0 "" "$retort" train t.json --out T --quiet train.precision=fp32 --device cpu
RETORT_DEVICE=cuda:99 expect 0 "" "$retort" info T/model.h5
RETORT_DEVICE=cpu expect 0 "training_plan" "$retort" info T/model.h5 --plan 8 --training

# Precisions.
echo '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.5}]}' > p.json
for c in "train t.json --out B --device cpu train.precision" "label --teacher T/model.h5 --data band.h5 --out l.h5 label.precision" \
    "predict T/model.h5 --data band.h5 --out p.h5 precision" "eval --student T/model.h5 --data band.h5 --out E eval.precision" \
    "gate --baseline T/model.h5 --candidate T2/model.h5 --policy p.json --data band.h5 precision" "bench m.json precision"; do
    key=${c##* }
    expect 2 "$key: 'fp16' is not one of fp32, tf32, bf16" "$retort" $c=fp16 --quiet
    expect 2 "$key: the precision bf16 needs a card: the CPU computes in fp32" "$retort" $c=bf16 --quiet
    expect 2 "$key: the precision tf32 needs a card" "$retort" $c=tf32 --quiet
done
[ ! -e B/run.json ] && [ ! -e l.h5 ] && [ ! -e p.h5 ] && [ ! -e E/evaluation.json ] || fail "a refused precision left something: $(ls B E)"
expect 2 "keys of data, and precision, are taken here" "$retort" gate --baseline a --candidate b --policy p.json seconds=3
expect 2 "batch: unknown key" "$retort" bench --kernels-only batch=3
expect 2 "precision: unknown key" "$retort" bench --kernels-only precision=fp32

# In an experiment every step has its own, and all are looked at before the first one runs.
experiment() { printf '{"out": "runs", "steps": [%s]}' "$1" > x.json; }
for with in '"label", "with": {"teacher": "T/model.h5", "data": {"source": "band.h5"}, "label": {"precision": "bf16"}}' \
    '"predict", "with": {"model": "T/model.h5", "data": {"source": "band.h5"}, "precision": "bf16"}' \
    '"eval", "with": {"students": ["T/model.h5"], "data": {"source": "band.h5"}, "eval": {"precision": "bf16"}}' \
    '"gate", "with": {"baseline": "T/model.h5", "candidate": "T2/model.h5", "policy": "p.json", "precision": "bf16"}'; do
    experiment "{\"name\": \"a\", \"do\": \"import\", \"with\": {\"input\": \"band.csv\", \"label\": \"-1\"}}, {\"name\": \"b\", \"do\": $with}"
    expect 2 "precision: the precision bf16 needs a card" "$retort" run x.json --quiet
    grep -q "step 'b'" err.txt || fail "which step? $(cat err.txt)"
    [ ! -e runs/a.h5 ] || fail "the step before it ran"
done

# A store says what computed it; other kernels do not go on with it.
expect 0 "" "$retort" label --teacher T/model.h5 --data band.h5 --out s.h5 --quiet --kernels scalar
"$retort" info s.h5 --json | grep -q '"kernels":[[:space:]]*"scalar"' || fail "the store does not name its kernels"
if "$retort" info --kernels avx2 --devices > /dev/null 2>&1; then
    expect 2 "computed by scalar, and this is avx2" "$retort" label --teacher T/model.h5 --data band.h5 --out s.h5 --quiet --kernels avx2
    expect 0 "" "$retort" label --teacher T/model.h5 --data band.h5 --out s.h5 --quiet --kernels avx2 --force
else echo "skipped: avx2 does not run here"; fi
exit $failed
