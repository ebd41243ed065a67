#!/bin/sh
# Hostile input by libFuzzer: sh fuzz.sh FOLDER_OF_PROGRAMS RETORT SOURCE. FUZZ_SECONDS (60) a target, on all cores.
# Seeds are made here with the program itself; what breaks a reader is left in build-fuzz/found.
programs=$1
retort=$2
root=$3
seconds=${FUZZ_SECONDS:-60}
seeds=$programs/seeds
mkdir -p "$programs/found"
rm -rf "$seeds"
for t in json idx npy npz csv image exif h5 plan; do mkdir -p "$seeds/$t"; done
cp "$root"/experiments/*.json "$root"/experiments/peers/models/*.json "$seeds/json"
printf '\0\0\010\003\0\0\0\002\0\0\0\002\0\0\0\003abcdefghijkl' > "$seeds/idx/images"
printf '\0\0\010\001\0\0\0\002\005\001' > "$seeds/idx/labels"
gzip -c "$seeds/idx/images" > "$seeds/idx/images.gz"
awk 'BEGIN { srand(1); for (i = 0; i < 300; i++) { for (k = 0; k < 6; k++) printf "%d,", rand() * 200; print "c" i % 3 } }' > "$seeds/csv/plain"
printf 'a,b,"the ""class"""\n1.5,-2e3,x\n3,4,y\n' > "$seeds/csv/header"
printf 'II*\0\010\0\0\0\001\0\022\001\003\0\001\0\0\0\006\0\0\0\0\0\0\0' > "$seeds/exif/turned"
cp "$root"/tests/data/samples/*.npz "$seeds/npz" 2> /dev/null
cp "$root"/tests/data/samples/*.npy "$seeds/npy" 2> /dev/null
# A JPEG and a PNG of 4 x 4 pixels.
echo /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6/+b9//j/wAALCAAEAAQBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABwQAAICAgMAAAAAAAAAAAAAAAERAgMAQQQxUf/aAAgBAQAAPwAOQqr5ViIUQAOxp6Xuf//Z | base64 -d > "$seeds/image/jpeg"
echo iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAAXNSR0IArs4c6QAAADRJREFUCJljYFD1yp+y8x6HblD5HKaDB48dO3bs2MGDx44dY4LSx44dPHaMCUofO3bs4EEA60ggUBP1JHcAAAAASUVORK5CYII= | base64 -d > "$seeds/image/png"
cd "$seeds" || exit 1
"$retort" import csv/plain --label -1 --out h5/data --format csv --quiet > /dev/null || exit 1
cat > model.json <<'X'
{"model": {"input": [6], "classes": 3, "family": "mlp", "width": 4}, "data": {"source": "h5/data", "validation": 0}, "train": {"epochs": 1, "batch": 64}}
X
"$retort" train model.json --out model --quiet > /dev/null && cp model/model.h5 h5/model || exit 1
"$retort" label --teacher model/model.h5 --data h5/data --out h5/labels --quiet > /dev/null || exit 1
"$retort" label --teacher model/model.h5 --data h5/data --out h5/top --quiet labels.topk=2 > /dev/null || exit 1
"$retort" export h5/labels --out npy/logits.npy --quiet > /dev/null || exit 1
"$retort" export model/model.h5 --out npz/weights.npz --quiet > /dev/null || exit 1
cd "$programs" || exit 1
for f in "$seeds"/h5/* "$root"/tests/data/samples/*.h5; do ./fuzz_plan record "$f" "$seeds/plan/$(basename "$f")" || exit 1; done
failed=0
for t in json idx npy npz csv image exif h5 plan; do
    echo "fuzz $t: $seconds s on $(nproc) cores, $(ls "$seeds/$t" | wc -l) seeds"
    # Memory bounds of the readers are part of what is tested.
    ./fuzz_$t -max_total_time="$seconds" -fork="$(nproc)" -rss_limit_mb=3000 -malloc_limit_mb=2000 -timeout=30 -max_len=65536 \
        -artifact_prefix=found/"$t"- "$seeds/$t" > "$t.log" 2>&1 || { echo "fuzz $t: FAILED"; tail -n 40 "$t.log"; failed=1; }
    grep -E '^#[0-9]+:' "$t.log" | tail -n 1
done
exit $failed
