#!/bin/sh
# Where CUDA is: what tests/cuda/include declares is what NVIDIA's headers declare, and device_code.h with everything
# that it offers compiles for each architecture, without a warning, and is empty on none. native.sh SOURCES; 77: no nvcc
root=$1
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2> /dev/null) || { echo "no nvcc here"; exit 77; }
include=$(dirname "$(dirname "$nvcc")")/include
[ -f "$include/cuda_runtime_api.h" ] || include=/usr/include
here=$root/tests/cuda
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0
own="$here/include/cuda_runtime_api.h"
headers='#include <cuda_runtime_api.h>'
if [ -f "$include/cublasLt.h" ]; then
    own="$own $here/include/cublasLt.h"
    headers="$headers
#include <cublasLt.h>"
fi
{
    echo "$headers"
    # shellcheck disable=SC2086
    cat $own | grep -oE '\b(cuda[A-Z][A-Za-z0-9]*|CUBLAS(LT)?_[A-Z0-9_]+|CUDA_R_[0-9A-Z]+) = [0-9]+' |
        sed 's/\(.*\) = \(.*\)/_Static_assert((int)\1 == \2, "\1");/'
    sed -n 's/^#define \(cuda[A-Z][A-Za-z]*\) \(0x[0-9]*\)$/_Static_assert(\1 == \2, "\1");/p' "$here/include/cuda_runtime_api.h"
    # shellcheck disable=SC2086
    cat $own | awk '/^(cudaError_t|const char \*|size_t|cublasStatus_t) ?cu[a-zA-Z]*\(/ { on = 1 } on { print } /;$/ { on = 0 }'
} > "$tmp/same.c"
[ "$(grep -c '^_Static' "$tmp/same.c")" -gt 70 ] && [ "$(grep -c '^cudaError_t' "$tmp/same.c")" -gt 35 ] || { echo "headers not understood"; bad=1; }
${CC:-cc} -I"$include" -fsyntax-only "$tmp/same.c" || { echo "tests/cuda/include differs from $include"; bad=1; }
# 7.5 holds a trap in place of tensor cores; 8.0 and 9.0 hold them.
for arch in 75 80 90; do
    "$nvcc" -std=c++17 -arch=sm_$arch -I"$root" -Xcompiler -Wall,-Wextra -Werror all-warnings --ptx "$here/every_helper.cu" \
        -o "$tmp/$arch.ptx" 2>&1 || { echo "every_helper.cu does not compile for $arch"; bad=1; }
    for text in mma.sync.aligned.m16n8k8 mma.sync.aligned.m16n8k16 cp.async.cg cp.async.ca cp.async.wait_group; do
        if [ $arch = 75 ]; then
            ! grep -q "$text" "$tmp/$arch.ptx" || { echo "$arch has $text"; bad=1; }
        else
            grep -q "$text" "$tmp/$arch.ptx" || { echo "$arch has no $text"; bad=1; }
        fi
    done
done
[ "$(grep -c 'trap;' "$tmp/75.ptx")" -gt "$(grep -c 'trap;' "$tmp/80.ptx")" ] || { echo "75 does not trap"; bad=1; }
exit $bad
