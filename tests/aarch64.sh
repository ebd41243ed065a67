#!/bin/sh
# sh tests/aarch64.sh ROOT - the kernels of a CPU that has no vector family here, cross-compiled for aarch64 and run by qemu-user:
# dispatch takes openblas-CORE, and its products and those of the plain-C family are tested against sums in double and against
# the direct kernels. Libraries for arm64 come from Debian's packages and are unpacked into the build folder.
set -e
cd "$1"
build=$PWD/build-aarch64
root=$build/sysroot
mkdir -p "$root"
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
if [ ! -e "$build/unpacked" ]; then
    $as_root dpkg --add-architecture arm64
    $as_root apt-get update -qq
    (cd "$build" && apt-get download -qq libopenblas-serial-dev:arm64 libopenblas0-serial:arm64 libgfortran5:arm64 libcmocka-dev:arm64 libcmocka0:arm64)
    for package in "$build"/*.deb; do dpkg -x "$package" "$root"; done
    touch "$build/unpacked"
fi
lib=$root/usr/lib/aarch64-linux-gnu
aarch64-linux-gnu-gcc -std=gnu17 -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra -Werror -D_GNU_SOURCE -I. \
    -I"$root/usr/include" -I"$root/usr/include/aarch64-linux-gnu/openblas-serial" \
    tests/engine/test_panels.c engine/panels.c engine/memory.c engine/error.c engine/text.c engine/rng.c engine/clock.c engine/cpu/scalar.c \
    engine/cpu/openblas.c engine/cpu/dispatch.c -o "$build/test_panels" \
    -L"$lib" -L"$lib/openblas-serial" -lopenblas -lcmocka -lm -lpthread -Wl,--allow-shlib-undefined
exec qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$lib/openblas-serial:$lib" "$build/test_panels"
