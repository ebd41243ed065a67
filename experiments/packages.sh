#!/bin/sh
# Installs the Debian (12, 13) or Ubuntu (24.04) packages that building needs and that are missing; with "test" also
# those of the tests, with "clang" those of its clang and fuzz
# targets, with "format", "coverage", "valgrind", "browser", "aarch64" and "cross" those of these, with "data" the Fashion-MNIST data set. Uses sudo when not root.
set -e
need="gcc libc6-dev make cmake pkg-config git libopenblas-serial-dev libhdf5-dev libcsv-dev libcjson-dev libdeflate-dev libxxhash-dev libjpeg-dev libpng-dev zlib1g-dev libprotobuf-c-dev protobuf-c-compiler libonnx-dev libsqlite3-dev libarchive-dev liblz4-dev libzstd-dev"
for what in "$@"; do
    case $what in
        test) need="$need libcmocka-dev g++ libopenmpi-dev openmpi-bin sqlite3" ;;
        clang) need="$need clang libclang-rt-dev" ;;
        format) need="$need clang-format" ;;
        coverage) need="$need gcovr" ;;
        aarch64) need="$need gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" ;;
        cross) need="$need gcc-i686-linux-gnu libc6-dev-i386-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross gcc-arm-linux-gnueabi libc6-dev-armel-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user" ;;
        browser) need="$need chromium" ;;
        valgrind) need="$need valgrind" ;;
        data) need="$need dataset-fashion-mnist" ;;
    esac
done
missing=
for p in $need; do
    dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get > /dev/null 2>&1; then
    echo "please install the equivalents of:$missing" >&2
    exit 4
fi
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
echo "installing:$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# libjpeg-dev is virtual on some releases; apt resolves it.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
