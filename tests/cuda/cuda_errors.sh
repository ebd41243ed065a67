#!/bin/sh
# What goes wrong with cards, on the emulator: one line with the remedy, the exit code, nothing half-written, nothing computed elsewhere in silence.
# cuda_errors.sh RETORT ROOT
. "$2/tests/cli/lib.sh"
unset RETORT_DEVICE
make_data 160 band.h5
printf '{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "band.h5", "validation": 32},
    "train": {"epochs": 4, "batch": 16}}' > t.json
echo '{"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}' > m.json
digest() { sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' "$1/result.json"; }
"$retort" train t.json --out T --device cuda --quiet > /dev/null 2> err.txt || fail "train: $(cat err.txt)"
"$retort" train t.json --out C --device cpu --quiet > /dev/null 2> err.txt || fail "train: $(cat err.txt)"

# with VARIABLE=VALUE CODE "part" command...: as expect, on such a card
with() {
    setting=$1; shift
    export "RETORT_EMULATE_$setting"
    expect "$@"
    unset "RETORT_EMULATE_${setting%%=*}"
}

# No card to be had.
with DEVICES=none 4 "driver" "$retort" train t.json --out A --device cuda
with DEVICES=old 4 "driver" "$retort" train t.json --out A --device cuda
grep -qE '[0-9]+\.[0-9]+.*[0-9]+\.[0-9]+' err.txt || fail "both versions of an old driver: $(cat err.txt)"
with DEVICES=0 4 "cuda" "$retort" train t.json --out A --device cuda
with DEVICES=2 2 "cuda:5" "$retort" train t.json --out A --device cuda:5
grep -q 'cuda:0.*cuda:1' err.txt || fail "the cards that there are: $(cat err.txt)"
with DEVICES=2 0 "" "$retort" bench m.json --device cuda:1 --quiet seconds=0.01 rounds=1 batch=4
with CAPABILITY=60 4 "6.0" "$retort" train t.json --out A --device cuda
with NO_BLAS=1 4 "cuBLASLt is missing: neither libcublasLt.so.13" "$retort" train t.json --out A --device cuda
RETORT_CUBLASLT=/none/lib.so expect 4 "RETORT_CUBLASLT names /none/lib.so" "$retort" train t.json --out A --device cuda
RETORT_CUBLASLT=/lib/x86_64-linux-gnu/libm.so.6 expect 4 "" "$retort" train t.json --out A --device cuda
with DEVICES=none 0 "driver" "$retort" info --devices
with DEVICES=old 0 "driver" "$retort" info --devices
with DEVICES=2 0 "cuda:1" "$retort" info --devices
with CAPABILITY=60 0 "6.0" "$retort" info --devices
with DEVICES=none 4 '"kind":	"could not run"' "$retort" label --teacher T/model.h5 --data band.h5 --out A.h5 --device cuda --json
grep -q '"message":[[:space:]]*".*driver' out.txt || fail "no JSON error: $(cat out.txt)"
for c in "label --teacher T/model.h5 --data band.h5 --out A.h5" "predict T/model.h5 --data band.h5 --out A.h5" "eval --student T/model.h5 --data band.h5 --out A" \
    "gate --baseline T/model.h5 --candidate C/model.h5 --policy p.json --data band.h5" "bench m.json" "info T/model.h5 --plan 4"; do
    with DEVICES=0 4 "cuda" "$retort" $c --device cuda
done
[ ! -e A ] && [ ! -e A.h5 ] || fail "something was begun: $(ls)"

# Precisions that an older card lacks.
for p in tf32 bf16; do
    with CAPABILITY=75 2 "train.precision" "$retort" train t.json --out A --device cuda train.precision=$p
    grep -q "$p" err.txt && grep -q fp32 err.txt || fail "which precision, and what to do: $(cat err.txt)"
    with CAPABILITY=75 2 "precision" "$retort" bench m.json --device cuda precision=$p
done
with CAPABILITY=75 0 "" "$retort" train t.json --out old-card --device cuda --quiet

# What cards have no operators for, by their names; and quantized models.
printf '{"model": {"input": [8, 8], "classes": 3, "layers": [{"op": "dense", "out": 12}, {"op": "attention", "heads": 2}, {"op": "lstm", "out": 4}, {"op": "flatten"}, {"op": "dense", "out": 3}]},
    "data": {"source": "band.h5"}, "train": {"epochs": 1}}' > att.json
expect 2 "attention" "$retort" train att.json --out A --device cuda
grep -q lstm err.txt || fail "not all that is lacking is named: $(cat err.txt)"
expect 2 "quant: cuda:0 has no quantized kernels" "$retort" train t.json --out A --device cuda quant={}
"$retort" quantize C/model.h5 --data band.h5 --out q.h5 --quiet quant.calibrate=160 > /dev/null 2> err.txt || fail "quantize: $(cat err.txt)"
expect 2 "q.h5: is quantized, and cuda:0 has no quantized kernels" "$retort" label --teacher q.h5 --data band.h5 --out A.h5 --device cuda
expect 2 "q.h5: is quantized, and cuda:0 has no quantized kernels" "$retort" eval --teacher T/model.h5 --student q.h5 --data band.h5 --out E --device cuda
expect 2 "q.h5: is quantized" "$retort" bench q.h5 --infer --device cuda
[ ! -e A.h5 ] && [ ! -e A/run.json ] && [ ! -e E/evaluation.json ] || fail "what was refused left something: $(ls A E)"
expect 2 "--kernels chooses among those of the CPU" "$retort" train t.json --out A --device cuda --kernels scalar

# An experiment is refused before its first step.
printf '{"out": "runs", "steps": [{"name": "a", "do": "import", "with": {"input": "band.csv", "label": "-1"}}, {"name": "b", "do": "train", "with": %s}]}' \
    "$(cat att.json)" > x.json
expect 2 "step 'b': cards cannot compute these layers: attention2 (attention), lstm3 (lstm)" "$retort" run x.json --device cuda --quiet
sed 's/"train": {"epochs": 1}/"quant": {}/; s/"layers": .*}\]}/"layers": [{"op": "flatten"}, {"op": "dense", "out": 3}]}/' x.json > y.json
expect 2 "step 'b': quant: cuda:0 has no quantized kernels" "$retort" run y.json --device cuda --quiet
[ ! -e runs/a.h5 ] || fail "the step before it ran"

# Memory: what is needed and free, before the first step; and a batch that fits.
with MEMORY=1000000 4 "memory" "$retort" train t.json --out A --device cuda train.batch=128 'model={"input": [64], "classes": 3, "family": "mlp", "width": 512, "depth": 2}'
grep -qE 'need|takes' err.txt && grep -q free err.txt || fail "needed and free: $(cat err.txt)"
[ ! -e A/run.json ] || fail "a run that has no room was begun"

# The card is lost in mid-run: what is on disk is named, and the same command goes on to the same weights.
lost=0 named=0
for n in 60 200 330 450 600; do
    rm -rf L
    RETORT_EMULATE_FAIL=$n:lost "$retort" train t.json --out L --device cuda --quiet > /dev/null 2> err.txt
    code=$?
    [ $code -eq 0 ] && continue
    lost=$((lost + 1))
    [ $code -eq 4 ] && [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] || fail "lost at call $n: exit $code: $(cat err.txt)"
    kept=$(sed -n 's|.*the last checkpoint is \(L/checkpoints/checkpoint-[0-9]*\.h5\): the same command goes on from there|\1|p' err.txt)
    if [ "$kept" ]; then
        named=$((named + 1))
        [ -s "$kept" ] || fail "lost at call $n: $kept is not there"
    fi
    "$retort" train t.json --out L --device cuda --quiet > /dev/null 2> err.txt || fail "after call $n: $(cat err.txt)"
    [ "$(digest L)" = "$(digest T)" ] || fail "lost at call $n: other weights"
done
[ $lost -ge 2 ] && [ $named -ge 1 ] || fail "the card was lost in $lost runs, of which $named had a checkpoint"
# Any call may fail: never a crash, never a result that is not one.
n=1 failures=0
while [ $n -lt 400 ]; do
    rm -rf L
    RETORT_EMULATE_FAIL=$n "$retort" train t.json --out L --device cuda --quiet train.epochs=1 > /dev/null 2> err.txt
    code=$?
    case $code in
        0) ;;
        4) failures=$((failures + 1)); [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] || fail "call $n: $(cat err.txt)" ;;
        *) fail "call $n: exit $code: $(cat err.txt)" ;;
    esac
    [ $code -eq 0 ] && [ ! -e L/result.json ] && fail "call $n: no result"
    n=$((n + 23))
done
[ $failures -ge 3 ] || fail "only $failures of the failing calls were noticed"
# A label store keeps its blocks.
make_data 2500 big.h5
RETORT_EMULATE_FAIL=cudaEventSynchronize:3:lost "$retort" label --teacher T/model.h5 --data big.h5 --out S.h5 --device cuda --quiet label.batch=1024 > /dev/null 2> err.txt
code=$?
if [ $code -eq 4 ]; then
    grep -q "of 2500 rows are labelled and on disk: the same command goes on from there" err.txt || fail "what is kept: $(cat err.txt)"
else fail "label was not interrupted: exit $code: $(cat err.txt)"; fi
expect 0 "" "$retort" label --teacher T/model.h5 --data big.h5 --out S.h5 --device cuda --quiet
expect 0 "" "$retort" label --teacher T/model.h5 --data big.h5 --out S2.h5 --device cuda --quiet
cmp -s S.h5 S2.h5 || fail "a store that went on is another one"

# A run belongs to its card, precision and library.
rm -rf L
"$retort" train t.json --out L --device cuda --quiet train.epochs=40 > /dev/null 2> err.txt &
child=$!
while [ ! -e L/checkpoints/checkpoints.json ] && kill -0 $child 2> /dev/null; do sleep 0.02; done
kill -9 $child 2> /dev/null
wait $child 2> /dev/null
[ ! -e L/result.json ] || fail "the run ended too soon to be gone on with"
with CAPABILITY=80 2 "was trained with cuda-fp32 sm_90" "$retort" train t.json --out L --device cuda train.epochs=40
grep -q "this is cuda-fp32 sm_80" err.txt || fail "both cards: $(cat err.txt)"
expect 2 "this is cuda-bf16 sm_90" "$retort" train t.json --out L --device cuda train.epochs=40 train.precision=bf16
expect 2 "was trained with cuda-fp32 sm_90" "$retort" train t.json --out L --device cpu train.epochs=40
expect 0 "" "$retort" train t.json --out L --device cpu train.epochs=40 --allow-numeric-change --quiet

# A loss that is not finite: epoch, step and layer as on the CPU.
for lr in 1000 300; do
    sed "s/\"batch\": 16/\"batch\": 16, \"lr\": $lr, \"schedule\": \"constant\", \"weight_decay\": 0/" t.json > nan.json
    "$retort" train nan.json --out N --force --device cpu --quiet > /dev/null 2> cpu.txt
    a=$?
    "$retort" train nan.json --out N --force --device cuda --quiet > /dev/null 2> gpu.txt
    b=$?
    [ $a -eq $b ] && cmp -s cpu.txt gpu.txt || fail "diverged: exit $a and $b: $(cat cpu.txt gpu.txt)"
    grep -q "training diverged" cpu.txt && seen=1
done
[ "$seen" ] || fail "no run diverged: $(cat cpu.txt)"
exit $failed
