#!/bin/sh
# Labels, training, evaluation, predictions and a gate on an emulated card: what comes out is the CPU's within rounding, and its own to the bit, whatever
# the order of the card's threads, the host's threads and the place of a row. cuda_end_to_end.sh RETORT ROOT
. "$2/tests/cli/lib.sh"
unset RETORT_DEVICE
export RETORT_EMULATE_ORDER=forward
make_data 240 band.h5

config() { # name model train
    printf '{"model": %s, "data": {"source": "band.h5", "rows": ":180", "validation": 40}, "train": {"epochs": 3, "batch": 20, "lr": 0.05%s}}' "$2" "$3" > "$1.json"
}
config mlp '{"input": [64], "classes": 3, "family": "mlp", "width": 12, "depth": 2}' ''
config cnn '{"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 1}' ', "accumulate": 2, "ema": 0.9, "clip": 1'
config dscnn '{"input": [8, 8, 1], "classes": 3, "family": "dscnn", "width": 4, "depth": 1}' ', "optimizer": "adamw", "drop_last": false'
config resnet '{"input": [8, 8, 1], "classes": 3, "family": "resnet", "width": 4, "depth": 1}' ''
config conv1d '{"input": [64, 1], "classes": 3, "family": "conv1d", "width": 4, "depth": 1}' ''

digest() { sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' "$1/result.json"; }
train() { # folder config options...
    folder=$1 of=$2; shift 2
    "$retort" train "$of" --out "$folder" --quiet "$@" > /dev/null 2> err.txt || fail "train $folder: $(cat err.txt)"
}
# The losses of all epochs, and those of validation, within a limit.
near() { # folder folder limit
    paste -d, "$1/metrics.csv" "$2/metrics.csv" | awk -F, -v limit="$3" '
        NR == 1 { n = NF / 2; next }
        { for (i = 2; i <= 4; i += 2) { d = ($i - $(n + i)) / $i; if (d < 0) d = -d; if (!(d <= limit)) worst = d } rows++ }
        END { if (worst != "" || !rows) { print worst; exit 1 } }' > worst.txt || fail "losses of $1 and $2 differ by $(cat worst.txt)"
}

for m in mlp cnn dscnn resnet conv1d; do
    train "$m-cpu" $m.json --device cpu
    train "$m-gpu" $m.json --device cuda
    near "$m-cpu" "$m-gpu" 1e-4
    [ "$(digest "$m-cpu")" != "$(digest "$m-gpu")" ] || fail "$m: the card's weights are the CPU's to the bit: did it compute?"
    grep -q '"kernels"' "$m-gpu/config.json" && fail "the configuration knows kernels"
done
"$retort" info mlp-gpu/model.h5 --json | grep -q '"kernels":[[:space:]]*"cuda-fp32 sm_90' || fail "the model does not say what trained it: $("$retort" info mlp-gpu/model.h5)"

# The same bits in any order of threads and blocks, and of launches that do not wait for each other, with any number of threads and prefetch of the host's.
config deep '{"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 3}' ', "drop_last": false'
sed -i 's/":180"/":90"/; s/"epochs": 3/"epochs": 1/' deep.json                  # work beside several convolutions
train deep-gpu deep.json --device cuda
for order in reverse random:3; do
    for m in mlp cnn deep; do
        RETORT_EMULATE_ORDER=$order train again $m.json --force --device cuda:0 --threads 1 train.prefetch=0
        [ "$(digest again)" = "$(digest $m-gpu)" ] || fail "$m: another digest in the order $order"
        cmp -s again/metrics.csv $m-gpu/metrics.csv || fail "$m: other metrics in the order $order"
    done
done

# A teacher that sees every view, on the same card.
printf '{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 6, "depth": 1}, "data": {"source": "band.h5", "rows": ":180"}, "teacher": "mlp-gpu/model.h5",
    "loss": {"kind": "kd"}, "augment": {"mixup": 0.3}, "train": {"epochs": 2, "batch": 20}}' > live.json
train live-cpu live.json --device cpu
train live-gpu live.json --device cuda
near live-cpu live-gpu 1e-4

# Lower precisions: near, and not equal.
for p in tf32 bf16; do
    train mlp-$p mlp.json --device cuda train.precision=$p
    near mlp-gpu mlp-$p 0.05
    [ "$(digest mlp-$p)" != "$(digest mlp-gpu)" ] || fail "$p computes as fp32"
    "$retort" info mlp-$p/model.h5 --json | grep -q "\"kernels\":[[:space:]]*\"cuda-$p sm_90" || fail "the model does not name $p"
done

# Labels: the CPU's within rounding; a row's bits whatever rows are beside it; the store names the card, and another does not go on with it.
label() { out=$1; shift; "$retort" label --teacher cnn-cpu/model.h5 --data band.h5 --out "$out" --quiet "$@" > /dev/null 2> err.txt || fail "label $out: $(cat err.txt)"; }
numbers() { "$retort" export "$1" --out "$2" --force > /dev/null 2>&1 && sed 1d "$2" | cut -d, -f1,3-; }
label cpu.h5 --device cpu
label gpu.h5 --device cuda
label part.h5 --device cuda --rows 77:240
numbers cpu.h5 cpu.csv > a.txt
numbers gpu.h5 gpu.csv > b.txt
paste -d, a.txt b.txt | awk -F, '{ n = NF / 2; for (i = 2; i <= n; i++) { d = $i - $(n + i); if (d < 0) d = -d; if (!(d <= 2e-5)) bad++ } rows++ } END { exit bad > 0 || rows != 240 }' ||
    fail "labels of the card are not the CPU's"
numbers part.h5 part.csv | cut -d, -f2- > c.txt
sed 1,77d b.txt | cut -d, -f2- | cmp -s - c.txt || fail "a row's label depends on its place"
"$retort" info gpu.h5 --json | grep -q '"kernels":[[:space:]]*"cuda-fp32 sm_90' || fail "the store does not name the card"
expect 2 "computed by cuda-fp32 sm_90" "$retort" label --teacher cnn-cpu/model.h5 --data band.h5 --out gpu.h5 --quiet --device cpu
expect 2 "and this is cuda-bf16 sm_90" "$retort" label --teacher cnn-cpu/model.h5 --data band.h5 --out gpu.h5 --quiet --device cuda label.precision=bf16
expect 0 "labelled_now             0" "$retort" label --teacher cnn-cpu/model.h5 --data band.h5 --out gpu.h5 --device cuda

# Answers, an evaluation and a gate.
expect 0 "kernels                  cuda-fp32 sm_90" "$retort" predict mlp-gpu/model.h5 --data band.h5 --rows 180:240 --out p.h5 --device cuda
expect 0 '"device":	"cuda:0"' "$retort" eval --teacher cnn-cpu/model.h5 --student mlp-gpu/model.h5 --data band.h5 --rows 180:240 --out E --device cuda --json eval.speed=false
grep -q '"kernels":[[:space:]]*"cuda-fp32 sm_90' out.txt || fail "the evaluation does not name the card"
echo '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.9}]}' > p.json
expect 0 "" "$retort" gate --baseline mlp-cpu/model.h5 --candidate mlp-gpu/model.h5 --policy p.json --data band.h5 --rows 180:240 --device cuda --out G
grep -q '"device":[[:space:]]*"cuda:0"' G/verdict.json || fail "the verdict does not name the card"
echo '{"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1}' > bare.json
expect 0 "cuda-fp32 sm_90" "$retort" bench bare.json --device cuda --json seconds=0.01 rounds=1 batch=8
# A profile names every launch of a step, and neither adds to them nor to the rates' rounds.
expect 0 "3 launches in one graph for 8 rows" "$retort" bench bare.json --device cuda --json seconds=0.01 rounds=1 batch=8 profile=true
for k in k_rows k_chain_row k_chain_weights; do grep -qE " us  $k " out.txt || fail "profile: no $k: $(cat out.txt)"; done
grep -qE "us of 3 launches one behind the other, mean of [1-9][0-9]* steps" out.txt || fail "profile: $(cat out.txt)"
echo '{"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 1}' > bare.json
expect 0 " launches in one graph for 8 rows" "$retort" bench bare.json --device cuda --json seconds=0.01 rounds=1 batch=8 profile=true
grep -qE "k_few[a-z_]*weights +conv2d1, back" out.txt || fail "profile: no way back: $(cat out.txt)"
expect 0 "training_plan" "$retort" info mlp-gpu/model.h5 --plan 8 --training --device cuda
grep -qE "[0-9]+ launches in one graph for 8 rows; [0-9.]+ MiB of device memory" out.txt || fail "launches and bytes: $(cat out.txt)"
exit $failed
