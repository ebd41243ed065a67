#!/bin/sh
# tests/cuda/nvcc.sh ROOT - kernels by nvcc, where it is: every file for every architecture that is built for, without
# warnings and without spills; no kernel is empty; and, with the nvcc that tests/cuda/kernels.tsv was made by, the same
# registers and shared memory as there. RECORD=1 writes that table.
root=$1
table=$root/tests/cuda/kernels.tsv
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$nvcc" ] || { echo "nvcc: not on this machine (CUDA 11.8 or later; NVCC=file names it): nothing was compiled"; exit 77; }
version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
tmp=$(mktemp -d) || exit 4
trap 'rm -rf "$tmp"' EXIT
cd "$root" || exit 4
failed=0
compile() {
    name=$(basename "$1" .cu)
    "$nvcc" -std=c++17 -O3 -arch="sm_$2" -cubin -Xptxas -v,-warn-spills -I. "$1" -o "$tmp/$name.$2.cubin" > "$tmp/$name.$2.log" 2>&1 ||
        echo "$1, sm_$2: does not compile" >> "$tmp/failed"
    "$nvcc" -std=c++17 -O3 -arch="compute_$2" -ptx -I. "$1" -o "$tmp/$name.$2.ptx" 2> /dev/null
    grep -i "warning" "$tmp/$name.$2.log" | sed "s|^|$1, sm_$2: |" >> "$tmp/failed"
    # a kernel, its registers, bytes of spills, static shared memory
    c++filt < "$tmp/$name.$2.log" | awk -v file="$name" -v arch="$2" '
        /Compiling entry function/ { k = $0; sub(/.*entry function ./, "", k); sub(/. for .sm_.*/, "", k)
                                     gsub(/\(anonymous namespace\)::/, "", k); sub(/\(.*/, "", k); sub(/^void /, "", k) }
        /bytes stack frame/ { for (i = 2; i <= NF; i++) if ($i == "spill") s += $(i - 2) }
        /Used [0-9]+ registers/ { r = $0; sub(/.*Used /, "", r); sub(/ reg.*/, "", r); m = 0
                                  if ($0 ~ /bytes smem/) { m = $0; sub(/ bytes smem.*/, "", m); sub(/.*[ ,]/, "", m) }
                                  printf "%s\t%s\tsm_%s\t%s\t%s\t%s\n", file, k, arch, r, s + 0, m; s = 0 }' >> "$tmp/table"
    # what neither writes nor traps was compiled to nothing
    awk -v file="$1" -v arch="$2" '
        /^[ \t]*(\.visible )?\.entry/ || /^\.visible \.entry/ { k = $0; sub(/.*\.entry /, "", k); sub(/\(.*/, "", k); does = 0; inside = 1 }
        inside && /st\.global|st\.u|st\.f|st\.v|st\.b|red\.|atom\.|trap|st\.shared|cp\.async/ { does = 1 }
        inside && /^}/ { if (!does) print file ", sm_" arch ": kernel " k " is empty"; inside = 0 }' "$tmp/$name.$2.ptx" >> "$tmp/failed"
}
: > "$tmp/failed"
: > "$tmp/table"
for f in engine/cuda/*.cu; do
    for arch in 75 80 90; do compile "$f" $arch; done
done
sort -o "$tmp/table" "$tmp/table"
awk -F '\t' '$5 > 0 { print $1 ".cu, " $3 ": kernel " $2 " spills " $5 " bytes" }' "$tmp/table" >> "$tmp/failed"
if [ "$RECORD" = 1 ]; then
    { printf '# nvcc %s\n# file\tkernel\tarchitecture\tregisters\tspills\tshared\n' "$version"; cat "$tmp/table"; } > "$table"
elif [ "$version" = "$(sed -n '1s/# nvcc //p' "$table" 2> /dev/null)" ]; then
    grep -v '^#' "$table" | diff - "$tmp/table" > "$tmp/diff" ||
        { echo "kernels.tsv differs; RECORD=1 sh tests/run.sh nvcc writes it anew:"; cat "$tmp/diff"; } >> "$tmp/failed"
else
    echo "nvcc $version: registers are not compared, as the table is of another one"
fi
[ -s "$tmp/failed" ] && { cat "$tmp/failed"; failed=1; }
echo "nvcc $version: $(wc -l < "$tmp/table") kernels of $(ls engine/cuda/*.cu | wc -l) files, for sm_75, sm_80 and sm_90"
exit $failed
