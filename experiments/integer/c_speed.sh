#!/bin/sh
# sh experiments/integer/c_speed.sh BUILD FOLDER [MODEL.json...] - exported C against the integer program that it was exported
# from: with vectors (vector.so) and in plain C (plain.so), both by gcc -O3 -march=native (CC, CFLAGS); with EMX=emx-onnx-cgen
# (1.4.0) also against the C that it makes of the exported ONNX (peer.so).
set -e
build=$(realpath "$1") folder=$2
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
     if [ "$EMX" ]; then
         "$build/retort" export "../$name.q" --out peer.onnx --quiet > /dev/null
         "$EMX" compile peer.onnx peer.c > /dev/null
         # Its rows have the channels first; ours, of a program, are floats with the channels last.
         shape=$(sed -n 's/^void model(int batch, const float [a-z]*\[restrict batch\]\([^ ,]*\), float [a-z]*\[.*batch\]\(.*\)) {/\1 \2/p' peer.c)
         dims=$(echo "${shape% *}" | tr -d '[' | tr ']' ' ') y=${shape#* }
         # shellcheck disable=SC2086
         set -- $dims
         rows=1; for d in "$@"; do rows=$((rows * d)); done
         cat > peer_run.c <<EOF
void model(int batch, const float x[restrict batch]${shape% *}, float y[restrict batch]$y);
_Bool model_load(const char *path) __attribute__((weak));
void run(float *y, const void *x);
void run(float *y, const void *x)
{
    static int ready;
    static float in[$rows];
    const float *v = x;
    if (!ready && model_load) model_load("$PWD/model.bin");
    ready = 1;
    for (int i = 0; i < $rows / $1; i++)
        for (int k = 0; k < $1; k++) in[k * ($rows / $1) + i] = *v++;
    model(1, (const void *)in, (void *)y);
}
EOF
         # shellcheck disable=SC2086
         ${CC:-gcc} ${CFLAGS:--O3 -march=native} -w -fPIC -shared peer_run.c peer.c -o peer.so -lm
     fi
     printf '%-10s' "$name"
     "$build/c_speed" ../"$name.q" ../"$name.x" ./vector.so ./plain.so ${EMX:+./peer.so})
done
