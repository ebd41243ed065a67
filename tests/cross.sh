#!/bin/sh
# sh tests/cross.sh ROOT - exported C by Debian's compilers for other processors, run by qemu-user: the test of C exports with
# these compilers in place of the native ones. i686 computes in the x87's extended precision, armel without a floating-point
# unit; aarch64 also with its dot products. The native forms that this processor lacks are compiled, and not run.
set -e
cd "$1"
build=$PWD/build
cmake -S . -B "$build" -DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Release > /dev/null
cmake --build "$build" -j "$(nproc)" --target test_c_export
list=
add() { # compiler and flags | what runs it
    list="$list$1
"
}
for how in "-std=c99 -O2" "-O3 -ffast-math" "-O0"; do
    add "i686-linux-gnu-gcc $how -static|"
    add "i686-linux-gnu-gcc $how -mfpmath=387 -static|"
    add "aarch64-linux-gnu-gcc $how -static|qemu-aarch64"
    add "arm-linux-gnueabihf-gcc $how -static|qemu-arm"
    add "arm-linux-gnueabi-gcc $how -static|qemu-arm"
    add "riscv64-linux-gnu-gcc $how -static|qemu-riscv64"
done
add "aarch64-linux-gnu-gcc -O2 -march=armv8.2-a+dotprod -static|qemu-aarch64 -cpu max"
add "arm-linux-gnueabihf-gcc -O2 -march=armv8.2-a+dotprod+simd -mfpu=auto -static|qemu-arm -cpu max"
for compiler in i686-linux-gnu-gcc aarch64-linux-gnu-gcc arm-linux-gnueabihf-gcc arm-linux-gnueabi-gcc riscv64-linux-gnu-gcc \
    qemu-aarch64 qemu-arm qemu-riscv64; do
    command -v $compiler > /dev/null || { echo "cross: $compiler is not there" >&2; exit 4; }
done
export RETORT_C_COMPILERS="$list"
exec "$build/tests/test_c_export"
