#!/bin/sh
# Equal data, seed and kernel family give the same weights as they always gave: digests of short trainings, recorded for
# each family in digests.tsv. Arithmetic that is changed on purpose is recorded anew, with its reason in the changelog:
#   RECORD=1 sh tests/cli/digests.sh build/retort .     replaces the lines of the families that this machine has
. "$2/tests/cli/lib.sh"
table=$root/tests/cli/digests.tsv

# rows features classes: whole numbers below 256 that are the same for every awk
numbers() {
    awk -v n="$1" -v f="$2" -v k="$3" 'BEGIN {
        x = 20251125
        for (i = 0; i < n; i++) {
            line = ""
            for (j = 0; j < f; j++) {
                x = (x * 16807) % 2147483647
                line = line (x % 200 + (j % k == i % k ? 55 : 0)) ","
            }
            print line "k" i % k
        }
    }'
}

numbers 230 64 3 > a.csv
"$retort" import a.csv --label -1 --header no --out a.h5 --quiet > /dev/null || fail "import"
awk -F, '{ sub(/k[0-9]+$/, NR % 3 ? "&" : ""); print }' a.csv > gaps.csv
"$retort" import gaps.csv --label -1 --header no --like a.h5 --out gaps.h5 --quiet > /dev/null || fail "import of gaps"
awk -F, -v OFS=, '{ for (i = 1; i < NF; i++) $i = $i / 8 - 9.5; print }' a.csv > real.csv
"$retort" import real.csv --label -1 --header no --out real.h5 --quiet > /dev/null || fail "import of reals"

# ---- models ----
mlp='"input": [64], "classes": 3, "layers": [{"op": "dense", "out": 70}, {"op": "relu", "name": "h"},
    {"op": "dense", "out": 33}, {"op": "gelu", "name": "g"}, {"op": "dense", "out": 3}]'
big='"input": [64], "classes": 3, "layers": [{"op": "dense", "out": 48}, {"op": "tanh", "name": "u"},
    {"op": "layer_norm"}, {"op": "dense", "out": 40}, {"op": "silu", "name": "v"}, {"op": "dense", "out": 3}]'
net='"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]},
    {"op": "conv2d", "out": 17, "kernel": 3, "padding": 1}, {"op": "batch_norm"}, {"op": "relu", "name": "a"},
    {"op": "conv2d", "out": 17, "kernel": 3, "padding": 1, "bias": false}, {"op": "batch_norm", "name": "b"},
    {"op": "conv2d", "from": "a", "out": 17, "kernel": 1}, {"op": "batch_norm", "name": "c"},
    {"op": "add", "from": ["b", "c"], "name": "d"}, {"op": "relu6"}, {"op": "dropout", "rate": 0.2},
    {"op": "conv2d", "out": 17, "kernel": 3, "groups": 17, "padding": "same", "stride": 2}, {"op": "batch_norm"},
    {"op": "relu", "name": "e"}, {"op": "max_pool", "kernel": 2}, {"op": "conv2d", "out": 9, "kernel": 2},
    {"op": "flatten"}, {"op": "dense", "out": 20}, {"op": "hard_swish"}, {"op": "dense", "out": 3}]'
seq='"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [16, 4]},
    {"op": "conv1d", "out": 12, "kernel": 5, "padding": 2, "stride": 2}, {"op": "batch_norm"}, {"op": "leaky_relu"},
    {"op": "conv1d", "out": 12, "kernel": 3, "padding": 1, "groups": 4}, {"op": "sigmoid", "name": "s"},
    {"op": "avg_pool", "kernel": 2}, {"op": "concat", "from": ["s", "s"]}, {"op": "global_avg_pool"},
    {"op": "softmax"}, {"op": "dense", "out": 3}]'
all='"data": {"source": "a.h5", "validation": 20}, "train": {"epochs": 2, "batch": 32}'
echo "{\"model\": {$mlp}, $all}" > mlp.json
echo "{\"model\": {$big}, $all}" > big.json
echo "{\"model\": {$net}, $all}" > net.json
echo "{\"model\": {$seq}, $all}" > seq.json
echo "{$all}" > none.json

# ---- runs: name, model, keys ----
runs() {
    cat <<'T'
sgd mlp train.nesterov=true
sgd-real mlp data.source=real.h5 train.schedule=one_cycle train.warmup=1
adamw net train.optimizer=adamw train.schedule=step train.milestones=[1]
accumulate-clip-ema net train.accumulate=3 train.drop_last=false train.clip=0.5 train.ema=0.9
sequence seq train.decay_all=true train.weight_decay=0.02 loss.label_smoothing=0.1
views net augment.mixup=0.3 data.normalize=channel
scaled seq data.normalize=all train.batch=50 train.drop_last=false
gaps mlp data.source=gaps.h5 data.labels=full.h5
gaps-labelled mlp data.source=gaps.h5 data.labels=full.h5 loss.hard_mean=labelled data.hard_rows=0:150
half mlp data.labels=half.h5 loss.temperature=2
top mlp data.labels=top.h5
ensemble net data.labels=both.h5 loss.kind=mse train.lr=0.001
live net teacher=T/model.h5 augment.mixup=0.2
live-both seq teacher=["T/model.h5","U/model.h5"] loss.kind=kd
dkd mlp data.labels=full.h5 loss.kind=dkd loss.warmup=2
dist mlp data.labels=full.h5 loss.kind=dist
zscore net data.labels=full.h5 loss.kind=zscore
hints mlp teacher=T/model.h5 loss.hints=[{"student":"h","teacher":"u"},{"student":"g","teacher":"v","weight":0.5}]
init none init=T/model.h5 train.lr=0.001 train.optimizer=adamw
T
}

train() { # folder, configuration, keys...
    folder=$1 config=$2; shift 2
    "$retort" train $config --out "$folder" --quiet --json --kernels $family --threads 2 "$@" > r.json 2> err.txt ||
        { fail "$family $folder: $(cat err.txt)"; echo none; return; }
    sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' r.json
}

label() { "$retort" label --data a.h5 --quiet --kernels $family "$@" > /dev/null || fail "label $family $*"; }

for family in scalar avx2 avx512 amx; do
    "$retort" info a.h5 y --kernels $family > /dev/null 2>&1 || { echo "skipped: $family does not run here"; continue; }
    if [ -z "$RECORD" ] && ! grep -q "^$family " "$table"; then
        echo "skipped: nothing is recorded for $family"; continue
    fi
    rm -rf T U *.h5.journal full.h5 half.h5 top.h5 both.h5
    { echo "$family teacher $(train T big.json)"; echo "$family other-teacher $(train U mlp.json --seed 5)"; } > new.tsv
    label --teacher T/model.h5 --out full.h5
    label --teacher T/model.h5 --out half.h5 labels.type=f16
    label --teacher T/model.h5 --out top.h5 labels.topk=2
    label --teacher T/model.h5 --teacher U/model.h5 --out both.h5
    runs > list
    while read -r name model keys; do
        echo "$family $name $(train "R-$name" $model.json $keys < /dev/null)" >> new.tsv
        rm -rf "R-$name"
    done < list
    for net_file in "$root"/experiments/peers/models/*.json; do
        name=$(basename "$net_file" .json)
        shape=$(tr -d ' \n' < "$net_file" | sed 's/.*"input":\[\([0-9,]*\)\].*/\1/')
        classes=$(tr -d ' \n' < "$net_file" | sed 's/.*"classes":\([0-9]*\).*/\1/')
        features=$(echo "$shape" | awk -F, '{ p = 1; for (i = 1; i <= NF; i++) p *= $i; print p }')
        if [ ! -f "p-$name.h5" ]; then
            numbers 40 "$features" "$classes" > p.csv
            "$retort" import p.csv --label -1 --header no --out "p-$name.h5" --quiet > /dev/null || fail "import $name"
        fi
        printf '{"model": %s, "data": {"source": "%s", "validation": 0}, ' "$(cat "$net_file")" "p-$name.h5" > p.json
        echo '"train": {"epochs": 1, "batch": 20, "lr": 0.01}}' >> p.json
        echo "$family peer-$name $(train P p.json)" >> new.tsv
        rm -rf P
    done
    if [ -n "$RECORD" ]; then
        { grep -v "^$family " "$table" 2> /dev/null; cat new.tsv; } > merged.tsv
        cp merged.tsv "$table"
        echo "$family: $(wc -l < new.tsv) digests recorded"
        continue
    fi
    grep "^$family " "$table" > was.tsv
    if cmp -s was.tsv new.tsv; then echo "$family: $(wc -l < new.tsv) equal"
    else fail "$family: other weights: $(diff was.tsv new.tsv | grep '^[<>]')"; fi
done
exit $failed
