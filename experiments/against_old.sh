#!/bin/sh
# sh experiments/against_old.sh OLD NEW - is a build of retort as fast as an older one, and does it train to the same bits?
# OLD, NEW: two retort programs. For each model of experiments/peers/models and each kernel family of this machine: the digest of
# the weights after a short training by both; then, with the best family, PAIRS (9) alternating pairs of the same training on
# one thread: the median of the ratios of their CPU times (old / new: above 1 is faster), user and system time of the whole process.
old=$(realpath "$1") new=$(realpath "$2")
root=$(cd "$(dirname "$0")/.." && pwd)
tmp=$(mktemp -d) || exit 4
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 4
pairs=${PAIRS:-9}
failed=0

# rows features classes: whole numbers below 256, a class that depends on them
data() {
    awk -v n="$1" -v f="$2" -v k="$3" 'BEGIN {
        srand(11)
        for (i = 0; i < n; i++) {
            c = i % k; line = ""
            for (j = 0; j < f; j++) line = line int(rand() * 200 + (j % k == c ? 55 : 0)) ","
            print line c
        }
    }'
}

# the CPU seconds of a command, which "times" of a shell of its own gives for its children
cpu_of() {
    sh -c '"$@" > /dev/null 2> err.txt < /dev/null || exit 1; times' sh "$@" | tail -n 1 |
        awk '{ for (i = 1; i <= 2; i++) { split($i, a, "m"); s += a[1] * 60 + a[2] } print s }'
}

for path in ${MODELS:-jet mlp conv1d dscnn cnn resnet8}; do
    model=$root/experiments/peers/models/$path.json
    features=$(tr -d ' \n' < "$model" | sed 's/.*"input":\[\([0-9,]*\)\].*/\1/' | awk -F, '{ p = 1; for (i = 1; i <= NF; i++) p *= $i; print p }')
    classes=$(tr -d ' \n' < "$model" | sed 's/.*"classes":\([0-9]*\).*/\1/')
    case $path in jet) rows=8192 epochs=60 ;; mlp) rows=4096 epochs=30 ;; conv1d) rows=2048 epochs=6 ;; cnn) rows=1024 epochs=4 ;; *) rows=512 epochs=4 ;; esac
    data $rows "$features" "$classes" > $path.csv
    "$old" import $path.csv --label -1 --out $path.h5 --force > /dev/null 2> err.txt || { cat err.txt; exit 4; }
    printf '{"model": %s, "data": {"source": "%s.h5"}, "train": {"epochs": 1, "batch": 128, "lr": 0.01}}' "$(cat "$model")" $path > $path.json
    for family in ${FAMILIES:-scalar avx2 avx512 amx}; do
        "$old" bench --kernels-only rounds=1 seconds=0.001 --kernels $family > /dev/null 2>&1 || continue
        rm -rf O N
        [ $family = scalar ] && short=data.rows=0:256 || short=data.rows=0:$rows
        "$old" train $path.json --out O --kernels $family --quiet --threads 2 $short > /dev/null || exit 4
        "$new" train $path.json --out N --kernels $family --quiet --threads 1 $short > /dev/null || exit 4
        was=$(grep -o '"last_weights_digest":[^,]*' O/result.json) is=$(grep -o '"last_weights_digest":[^,]*' N/result.json)
        if [ "$was" = "$is" ]; then echo "$path $family: same weights"; else echo "$path $family: OTHER WEIGHTS: $was, $is"; failed=1; fi
    done
    for i in $(seq "$pairs"); do
        rm -rf O N
        if [ $((i % 2)) = 0 ]; then
            a=$(cpu_of "$old" train $path.json --out O --threads 1 train.epochs=$epochs)
            b=$(cpu_of "$new" train $path.json --out N --threads 1 train.epochs=$epochs)
        else
            b=$(cpu_of "$new" train $path.json --out N --threads 1 train.epochs=$epochs)
            a=$(cpu_of "$old" train $path.json --out O --threads 1 train.epochs=$epochs)
        fi
        echo "$a $b"
    done | awk '{ print $1 / $2, $1, $2 }' | sort -n |
        awk -v m="$path" '{ r[NR] = $1; a[NR] = $2; b[NR] = $3 } END { i = int((NR + 1) / 2)
            printf "%s training: CPU time of old / new %.3f (%.3f to %.3f; %.2f s and %.2f s at the median)\n", m, r[i], r[1], r[NR], a[i], b[i] }'
done
exit $failed
