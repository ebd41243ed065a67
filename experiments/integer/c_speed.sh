#!/bin/sh
# sh experiments/integer/c_speed.sh BUILD FOLDER [MODEL.json...] - exported C against the integer program that it was exported
# from: with vectors (vector.so) and in plain C (plain.so), both by gcc -O3 -march=native (CC, CFLAGS).
set -e
build=$1 folder=$2
shift 2
here=$(dirname "$0")
[ $# -gt 0 ] || set -- "$here"/../peers/models/*.json
mkdir -p "$folder"
"$build/int_speed" --blocks 1 --save "$folder" "$@" > /dev/null
printf '#include "net.h"\nstatic net_arena arena;\nvoid run(float *y, const void *x);\nvoid run(float *y, const void *x) { net_infer(&arena, y, x); }\n' > "$folder/run.c"
for m in "$@"; do
    name=$(basename "$m" .json)
    rm -rf "$folder/$name"; mkdir "$folder/$name"; cp "$folder/run.c" "$folder/$name"
    "$build/retort" export "$folder/$name.q" --out "$folder/$name/net.c" --quiet > /dev/null
    (cd "$folder/$name"
     for form in vector plain; do
         [ $form = vector ] && how= || how=-DNET_FORM=0
         # shellcheck disable=SC2086
         ${CC:-gcc} ${CFLAGS:--O3 -march=native} $how -fPIC -shared run.c net.c net_data.c -o $form.so
     done
     printf '%-10s' "$name"
     "$build/c_speed" ../"$name.q" ../"$name.x" ./vector.so ./plain.so)
done
