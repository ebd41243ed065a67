#!/bin/sh
# experiments/gpu/pack.sh [BUILD] - packs what check.sh needs on a machine with a card into .gpu/, which git ignores: the program, the
# tests of the backend, all libraries that they load but those of the C library, and the files of the comparison with PyTorch.
#
# Such a machine often has a driver, CUDA's libraries and PyTorch, and none of HDF5, cJSON, libcsv or OpenBLAS. So it is built here, with
#     cmake -S . -B build-gpu -DRETORT_CUDA=on && cmake --build build-gpu -j --target retort card_tests
# carried as one file of some 20 MB beside check.sh, and there run as   sh .gpu/check.sh FOLDER
# The C library there must not be older than the one here. cuBLASLt is not packed: it comes from the CUDA that is there.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build-gpu}
out=$root/.gpu
work=$(mktemp -d /tmp/retort-pack-XXXXXX)
trap 'rm -rf "$work"' EXIT

[ -x "$build/retort" ] || { echo "pack.sh: $build/retort is not there: build it with -DRETORT_CUDA=on" >&2; exit 2; }
if "$build/retort" info --devices | grep -q 'this build has no CUDA'; then
    echo "pack.sh: $build/retort was built without CUDA: configure with -DRETORT_CUDA=on" >&2
    exit 2
fi

mkdir -p "$work/bin" "$work/lib" "$work/models"
cp "$build/retort" "$work/bin/"
find "$build/tests" -maxdepth 2 -type f -name 'test_card_*' -perm -u+x -exec cp {} "$work/bin/" \; 2> /dev/null || true
strip "$work"/bin/*
for f in "$work"/bin/*; do ldd "$f"; done | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    grep -Ev '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*)\.so' | while read -r lib; do cp -L "$lib" "$work/lib/"; done
cp "$root"/experiments/peers/models/*.json "$work/models/"
cp "$root/experiments/peers/torch_models.py" "$root/experiments/gpu/speed.py" "$work/"
"$build/retort" --version > "$work/version.txt"

rm -rf "$out"
mkdir -p "$out"
tar -C "$work" -cf - bin lib models speed.py torch_models.py version.txt | xz --lzma2=preset=2,dict=192MiB > "$out/gpu.tar.xz"
cp "$root/experiments/gpu/check.sh" "$out/"
du -h "$out"/* | sed 's/^/packed: /'
tests=$(find "$work/bin" -name 'test_card_*' | wc -l)
echo "packed: $(cat "$work/version.txt"), $tests test programs; carry .gpu/, then: sh .gpu/check.sh FOLDER"
