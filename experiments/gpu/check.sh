#!/bin/sh
# experiments/gpu/check.sh [OUT] [BUILD] - what can only be seen on a card, in under ten minutes. Beside gpu.tar.xz (experiments/gpu/pack.sh) it
# unpacks and tests that; in a source tree it tests BUILD (default build-gpu).
#
# In this order, cheapest first, each step with a limit of its own: the card; the backend's tests; labels, training, evaluation, predictions and a
# gate end to end against the CPU, twice, killed and gone on with; compute-sanitizer's four tools; how a step grows with its batch, from the chain
# of launches alone (batch 1) to the card's work (1,024); labelling, and what it waits for; speed beside PyTorch, and the bars of a step. Writes OUT/gpu.json,
# OUT/gpu.md and a log of each step, and ends with the table. Exit code: 0 when every step that ran is good, 1 when one is not, 4 without a card.
# STEPS="card tests" runs some of them. BUDGET (default 570) seconds bound all; the last step has what the others leave, 250 at most.
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-gpu-check}
mkdir -p "$out" || exit 4
out=$(cd "$out" && pwd)
tmp=$(mktemp -d /tmp/retort-gpu-XXXXXX) || exit 4
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
steps=${STEPS:-card tests parity determinism kills sanitizer batches labelling speed}

if [ -f "$here/gpu.tar.xz" ]; then
    mkdir "$tmp/pack" || exit 4
    { xz -dc "$here/gpu.tar.xz" 2> /dev/null || python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$here/gpu.tar.xz"; } |
        tar -C "$tmp/pack" -xf - || exit 4
    retort=$tmp/pack/bin/retort tests=$tmp/pack/bin models=$tmp/pack/models speed=$tmp/pack/speed.py
    LD_LIBRARY_PATH=$tmp/pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
else
    root=$(cd "$here/../.." && pwd)
    build=${2:-$root/build-gpu}
    retort=$build/retort tests=$build/tests models=$root/experiments/peers/models speed=$root/experiments/gpu/speed.py
fi
# cuBLASLt: of the toolkit, or of a Python package.
for d in /usr/local/cuda/lib64 $(python3 -c 'import sys, glob; print(" ".join(g for p in sys.path for g in glob.glob(p + "/nvidia/*/lib")))' 2> /dev/null); do
    ls "$d"/libcublasLt.so* > /dev/null 2>&1 && LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$d
done
export LD_LIBRARY_PATH
unset RETORT_DEVICE
cd "$tmp" || exit 4

# ---- how a step is kept ----

: > "$tmp/steps.json"
: > "$tmp/steps.md"
bad=0
first=$(date +%s)
note() { echo "$*" >> "$tmp/notes"; }          # a figure or a fault of the step in hand, a line each
# step NAME SECONDS COMMAND...: runs it with its output in OUT/NAME.log
step() {
    name=$1 limit=$2; shift 2
    case " $steps " in *" $name "*) ;; *) return 0 ;; esac
    : > "$tmp/notes"
    left=$((${BUDGET:-570} - $(date +%s) + first))
    [ $limit -le $left ] || limit=$left
    if [ $limit -lt 5 ]; then
        echo "$name: no time is left"
        printf '| %s | not run | | no time was left |\n' "$name" >> "$tmp/steps.md"
        return 0
    fi
    start=$(date +%s)
    export name limit
    timeout -k 5 "$limit" sh -c '. "$0"; "$@"' "$tmp/functions.sh" "$@" > "$out/$name.log" 2>&1 < /dev/null
    code=$?
    took=$(($(date +%s) - start))
    case $code in 0) verdict=good ;; 77) verdict="not run" ;; 124 | 137) verdict="out of time" bad=1 ;; *) verdict=BAD bad=1 ;; esac
    printf '%s{"step": "%s", "verdict": "%s", "code": %d, "seconds": %d, "notes": [%s]}' "$([ -s "$tmp/steps.json" ] && printf ',\n  ')" "$name" "$verdict" "$code" \
        "$took" "$(sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&"/' "$tmp/notes" | paste -sd, -)" >> "$tmp/steps.json"
    printf '| %s | %s | %d s | %s |\n' "$name" "$verdict" "$took" "$(paste -sd';' "$tmp/notes" | sed 's/;/; /g; s/|/\\|/g')" >> "$tmp/steps.md"
    echo "$name: $verdict ($took s)"
}

# ---- the steps ----

cat > "$tmp/functions.sh" <<'F'
fault() { echo "FAULT: $*"; echo "FAULT: $*" >> "$tmp/notes"; failed=1; }
note() { echo "note: $*"; echo "$*" >> "$tmp/notes"; }
failed=0
run() { "$retort" "$@" --quiet || fault "exit $?: retort $*"; }
digest() { sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' "$1/result.json"; }

# 3 classes, 8 x 8 pictures with a bright band whose place is the class.
data() {
    [ -f band.h5 ] && return
    awk 'BEGIN {
        srand(7)
        for (i = 0; i < 4000; i++) {
            c = int(rand() * 3); line = ""
            for (y = 0; y < 8; y++) for (x = 0; x < 8; x++) line = line int(rand() * 120 + (int(y / 3) == c ? 60 : 0)) ","
            print line "k" c
        }
    }' > band.csv
    "$retort" import band.csv --label -1 --out band.h5 --quiet > /dev/null || fault "no data"
    for m in mlp cnn resnet dscnn; do
        case $m in mlp) shape='[64]' ;; *) shape='[8, 8, 1]' ;; esac
        printf '{"model": {"input": %s, "classes": 3, "family": "%s", "width": 16, "depth": 2}, "data": {"source": "band.h5", "rows": ":3000"}, "train": {"epochs": 4, "batch": 64, "lr": 0.05}}' \
            "$shape" $m > $m.json
    done
}

card() {
    nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader || echo "no nvidia-smi"
    "$retort" --version
    "$retort" info --devices || fault "info --devices"
    "$retort" info --devices --json > "$out/devices.json"
    grep -q '"name":[[:space:]]*"cuda:0"' "$out/devices.json" || { fault "no card"; return 4; }
    note "$(sed -n 's/.*"card":[[:space:]]*"\(.*\)",*/\1/p' "$out/devices.json" | sed -n 2p), $("$retort" --version)"
    data
    return $failed
}

tests() {
    n=0
    for t in $(find "$tests" -maxdepth 2 -type f -name 'test_card_*' -perm -u+x | sort); do
        n=$((n + 1))
        RETORT_MODELS=$models timeout 60 "$t" || fault "$(basename "$t"): exit $?"
    done
    [ $n -gt 0 ] || { note "no test program is there"; return 77; }
    note "$n test programs"
    return $failed
}

# The same run on both: the losses of the first two epochs, some hundred steps, within 1e-3 of the first epoch's in fp32 (what is lost by then is a
# thousandth of that, some rounding of a logit); of all epochs they are told, as differences of the last bits grow with the steps. Accuracies within
# two points in every precision.
parity() {
    data
    for m in mlp cnn resnet dscnn; do
        run train $m.json --out cpu-$m --device cpu
        for p in fp32 tf32 bf16; do
            run train $m.json --out $p-$m --device cuda train.precision=$p
            limit=0.05; [ $p = fp32 ] && limit=0.001
            paste -d, cpu-$m/metrics.csv $p-$m/metrics.csv | awk -F, -v limit=$limit -v what="$m $p" '
                NR == 1 { n = NF / 2; next }
                NR == 2 { begins = $2 }
                { d = ($2 - $(n + 2)) / begins; if (d < 0) d = -d; if (!(d <= worst)) worst = d; if (NR <= 3 && !(d <= early)) early = d
                  a = $3 - $(n + 3); if (a < 0) a = -a; if (!(a <= far)) far = a }
                END { printf "%s: losses differ by %.2g of the first, %.2g in four epochs, accuracy by %.3f\n", what, early, worst, far; exit !(early <= limit && far <= 0.02) }' > line.txt ||
                fault "$(cat line.txt)"
            note "$(cat line.txt)"
        done
    done
    for m in mlp cnn resnet dscnn; do
        note "$m: $("$retort" info fp32-$m/model.h5 --plan 64 --training --device cuda | grep -o '[0-9]* launches in one graph\|[0-9]* steps are launched together' | paste -sd, -)"
    done
    run label --teacher cpu-cnn/model.h5 --data band.h5 --out cpu.h5 --device cpu
    run label --teacher cpu-cnn/model.h5 --data band.h5 --out gpu.h5 --device cuda
    run export cpu.h5 --out cpu.csv
    run export gpu.h5 --out gpu.csv
    paste -d, cpu.csv gpu.csv | awk -F, 'NR > 1 { n = NF / 2; for (i = 3; i <= n; i++) { d = $i - $(i + n); if (d < 0) d = -d; if (!(d <= worst)) worst = d } }
        END { printf "probabilities of labels differ by %.2g\n", worst; exit !(worst <= 1e-4) }' > line.txt || fault "$(cat line.txt)"
    note "$(cat line.txt)"
    run eval --teacher cpu-cnn/model.h5 --student fp32-mlp/model.h5 --data band.h5 --rows 3000:4000 --out E --device cuda eval.latency_samples=200 eval.seconds=0.5 speed.seconds=0
    run predict fp32-mlp/model.h5 --data band.h5 --rows 3000:4000 --out p.h5 --device cuda
    echo '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.2}]}' > policy.json
    run gate --baseline cpu-mlp/model.h5 --candidate fp32-mlp/model.h5 --policy policy.json --data band.h5 --rows 3000:4000 --device cuda --allow-same
    return $failed
}

determinism() {
    data
    for m in mlp cnn resnet dscnn; do
        for p in fp32 tf32 bf16; do
            for turn in 1 2; do run train $m.json --out t$turn --force --device cuda --threads $turn train.precision=$p train.accumulate=2 train.ema=0.9; cp -r t$turn t$turn-$m-$p; done
            [ -n "$(digest t1)" ] && [ "$(digest t1)" = "$(digest t2)" ] || fault "$m $p: two runs, two digests"
        done
    done
    [ $failed -eq 0 ] && note "4 models, 3 precisions: equal digests twice"
    # A row's answer does not depend on the rows beside it.
    "$retort" train cnn.json --out d --device cuda --quiet > /dev/null || fault "train"
    run label --teacher d/model.h5 --data band.h5 --out whole.h5 --device cuda
    run label --teacher d/model.h5 --data band.h5 --rows 1030:4000 --out part.h5 --device cuda
    run export whole.h5 --out whole.csv
    run export part.h5 --out part.csv
    sed 1d whole.csv | sed 1,1030d | cut -d, -f2- > a.txt
    sed 1d part.csv | cut -d, -f2- > b.txt
    cmp -s a.txt b.txt && note "answers do not depend on a row's place" || fault "answers depend on a row's place"
    return $failed
}

# Killed at any instant and gone on with; a run that ends meanwhile is compared and begun anew, until 10 of each were killed: of a net whose steps
# are launched one by one, with accumulation, and of one whose steps are launched together.
kills() {
    data
    killed_of cnn "train.epochs=60 train.accumulate=3 train.ema=0.9"
    killed_of mlp "train.epochs=1500 train.ema=0.9 train.drop_last=false"
    return $failed
}
killed_of() {
    model=$1 more=$2
    rm -rf whole killed
    run train $model.json --out whole --device cuda $more
    n=0 whole=0
    while [ $n -lt 10 ]; do
        "$retort" train $model.json --out killed --device cuda --quiet $more > /dev/null &
        child=$!
        sleep "$(awk -v n=$n 'BEGIN { srand(n); print 0.3 + 1.2 * rand() }')"
        kill -9 $child 2> /dev/null
        wait $child 2> /dev/null
        if [ $? -eq 137 ]; then n=$((n + 1)); continue; fi
        [ "$(digest whole)" = "$(digest killed)" ] || fault "killed $n times: another digest"
        whole=$((whole + 1))
        rm -rf killed
    done
    run train $model.json --out killed --device cuda $more
    [ -n "$(digest whole)" ] && [ "$(digest whole)" = "$(digest killed)" ] || fault "$model, killed $n times: another digest"
    [ $failed -ne 0 ] || note "$model: killed $n times, ended $((whole + 1)) times: the same digest"
}

sanitizer() {
    tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null) || { note "no compute-sanitizer here"; return 77; }
    # Over the test programs: whole commands have a child that is locked down, which the tool cannot follow.
    clean=0
    for t in $(find "$tests" -maxdepth 2 -type f -name 'test_card_*' -perm -u+x | sort); do
        for what in memcheck synccheck initcheck racecheck; do
            left=$((limit - $(date +%s) + begun)) most=15
            [ $left -gt 10 ] || { echo "$(basename "$t") $what: no time left"; continue; }
            [ $left -gt $most ] || most=$left
            timeout $most "$tool" --tool $what --error-exitcode 99 "$t" > san.txt 2>&1
            case $? in
                0) clean=$((clean + 1)); echo "$(basename "$t") $what: 0 findings" ;;
                124) echo "$(basename "$t") $what: out of time" ;;
                *) cat san.txt; fault "$(basename "$t") $what: $(grep SUMMARY san.txt | tail -n 1)" ;;
            esac
        done
    done
    note "$clean times 0 findings: see sanitizer.log for which, and what time was left for"
    return $failed
}

# Microseconds a training step of retort alone: what stays at batch 1 is the chain of launches and the host's calls.
batches() {
    for m in jet mlp cnn conv1d dscnn resnet8; do
        line="$m:"
        for b in 1 128 1024; do
            r=$("$retort" bench "$models/$m.json" --device cuda --json --quiet batch=$b seconds=0.2 rounds=3) || fault "bench $m, batch $b"
            line="$line $(echo "$r" | sed -n 's/.*"samples_per_second":[[:space:]]*\([0-9.e+]*\).*/\1/p' | head -n 1 | awk -v b=$b '{ printf "%.1f", b / $1 * 1e6 }')"
        done
        note "$line us a step of 1, 128, 1,024 rows"
    done
    return $failed
}

# Rows of 28 x 28 bytes: half a million in each of eight files, read for the third time. Behind the first row the whole's rate beside
# those of its parts by themselves, each while it works: the source's readers together (until a row is in memory and checked), the teacher (copies to
# and from the card included), and what writes the store. The bar: nine tenths of the least.
labelling() {
    python3 - << 'P' || { note "no python3 that writes the rows"; return 77; }
import os
rows = 1 << 19
for name, shape, kind, write in (("rows.npy", (rows, 28, 28, 1), "|u1", lambda n: os.urandom(n * 784)), ("y.npy", (rows,), "|u1", lambda n: bytes(i % 10 for i in range(n)))):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with open(name, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        for at in range(0, rows, 8192): f.write(write(8192))
P
    run import rows.npy y.npy --channels last --out rows-1.h5
    rm -f rows.npy y.npy
    for i in 2 3 4 5 6 7 8; do cp rows-1.h5 rows-$i.h5; done
    for m in mlp cnn resnet8; do
        printf '{"model": %s, "data": {"source": "rows-1.h5", "rows": ":2000"}, "train": {"epochs": 1}}' "$(sed 's/\[32, 32, 3\]/[28, 28, 1]/' "$models/$m.json")" > label.json
        run train label.json --out label-$m --device cuda
        for turn in 1 2 3; do
            rm -f big.h5
            "$retort" label --teacher label-$m/model.h5 --data 'rows-*.h5' --out big.h5 --device cuda --json --quiet > label.txt || fault "label: exit $?"
        done
        cat label.txt
        note "$m: $(awk -F: '{ gsub(/[",[:space:]]/, "", $1); v[$1] = $2 + 0 }
            END { t = v["seconds"] - v["start_seconds"]; n = v["labelled_now"] / 1e6
                  all = n / t; source = n / v["reading_seconds"]; teacher = n / v["compute_seconds"]; store = n / v["writing_seconds"]
                  least = source < teacher ? source : teacher; if (store < least) least = store
                  printf "%.2f M rows a second: %.2f of the least of source %.2f, teacher %.2f, store %.2f (waits: %.2f for rows, %.2f for the store)",
                      all, all / least, source, teacher, store, v["source_seconds"] / t, v["store_seconds"] / t }' label.txt)"
    done
    return $failed
}

speed() {
    python3 -c 'import torch; assert torch.cuda.is_available()' || { note "no PyTorch with CUDA here: retort alone"; }
    python3 "$speed" --retort "$retort" --models-folder "$models" --budget $((limit - 15)) --json "$out/speed.json" --markdown "$out/speed.md" || fault "speed.py: exit $?"
    cat "$out/speed.md"
    # The bars of a step of batch 128 in fp32, in microseconds.
    for bar in mlp:20 cnn:110 resnet8:400; do
        us=$(python3 -c 'import json, sys; print(*["%.1f" % r["us_per_step"] for r in json.load(open(sys.argv[1]))["rows"] if r["model"] == sys.argv[2] and r["precision"] == "fp32" and "us_per_step" in r])' "$out/speed.json" "${bar%:*}" 2> /dev/null)
        [ -n "$us" ] && note "${bar%:*}: $us us a step, the bar is ${bar#*:}: $(awk -v u="$us" -v b="${bar#*:}" 'BEGIN { print u <= b ? "met" : "not met" }')"
    done
    return $failed
}
begun=$(date +%s)
F
export retort tests models speed out tmp

step card 20 card
[ "${code:-0}" -ne 4 ] || { cat "$out/card.log"; exit 4; }
step tests 120 tests
step parity 100 parity
step determinism 60 determinism
step kills 70 kills
step sanitizer 120 sanitizer
step batches 40 batches
step labelling 60 labelling
step speed 250 speed

{
    printf '{"tool": "%s", "date": "%s", "steps": [\n  ' "$("$retort" --version)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    cat "$tmp/steps.json"
    printf '\n]'
    [ -f "$out/devices.json" ] && { printf ', "devices": '; cat "$out/devices.json"; }
    [ -f "$out/speed.json" ] && { printf ', "speed": '; cat "$out/speed.json"; }
    printf '}\n'
} > "$out/gpu.json"
{
    printf '# %s on a card, %s\n\n' "$("$retort" --version)" "$(date -u +%Y-%m-%d)"
    printf '| step | verdict | took | |\n|---|---|---|---|\n'
    cat "$tmp/steps.md"
    [ -f "$out/speed.md" ] && { echo; cat "$out/speed.md"; }
} > "$out/gpu.md"
cat "$out/gpu.md"
exit $bad
