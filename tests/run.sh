#!/bin/sh
# Installs what the tests need, builds, and runs them all: sh tests/run.sh. `sh tests/run.sh TARGET` runs a deeper one:
#   asan   everything under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan   everything under ThreadSanitizer
#   clang  a build with clang, warnings as errors, and the tests
#   fuzz   hostile bytes into every reader, with libFuzzer, FUZZ_SECONDS (60) each, two at a time; goes on
#   malformed  changed and hostile files, forged manifests, MALFORMED_SECONDS (600); goes on. MALFORMED_FOLDER: yours, too
#   kills  kill -9 on entry to every state-changing system call of every command, once and twice, KILLS_SECONDS (600); goes on
#   inject  failing calls, failing allocations and signals in every command, INJECT_SECONDS (600); goes on
#   flips  one bit turned over in a file that retort wrote, before each command that reads it, FLIPS_SECONDS (600); goes on
#   signals  20 signals at random times into each command, and how long it takes to end
#   races  two to four processes with one output, RACES_SECONDS (600); goes on
#   powercut  the power fails in every command, on ext4 that is shut down where a loop image can be mounted (root), else in a
#          model of what POSIX promises, POWERCUT_SECONDS (600); goes on
#   registry  8 processes add 1,000 versions each to one registry, some of them killed; 100,000 versions listed
#   coverage  which lines and branches the tests run, a folder and a file each
#   valgrind  memory errors of a sample of the tests, in the scalar family
#   aarch64  the kernels for CPUs without a vector family here, cross-compiled and run by qemu-user: what openblas-CORE computes
#   cross  exported C by the compilers of i686, aarch64, armhf, armel and riscv64, run by qemu-user
#   nvcc   kernels for cards by nvcc, where it is: no warnings, no spills, registers as recorded
#   bench  training and inference speed of the networks in experiments/peers/models, and the kernels' share of the peak
#   format  lines of C beyond 120 columns are brought within them
#   browser  every page laid out by headless Chromium, narrow and wide, light and dark
#   help   this list
#   mutants  plants faults one by one and fails when the tests pass all the same, MUTANT_SECONDS (3600); goes on
set -e
if [ "$1" = help ]; then sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "$0"; exit; fi
folder_from=$PWD
cd "$(dirname "$0")/.."
target=${1:-default}
wants=test
[ "$target" != clang ] && [ "$target" != fuzz ] || wants="test clang"
[ "$target" != browser ] || wants="test browser"
[ "$target" != format ] || wants=format
[ "$target" != aarch64 ] || wants="test aarch64"
[ "$target" != cross ] || wants="test cross"
[ "$target" != coverage ] && [ "$target" != valgrind ] || wants="test $target"
sh experiments/packages.sh $wants
jobs=$(nproc)
flags="-DCMAKE_BUILD_TYPE=Release"
case $target in
    default) build=build ;;
    asan) build=build-asan; flags="-DRETORT_SANITIZE=address,undefined" ;;
    tsan) build=build-tsan; flags="-DRETORT_SANITIZE=thread" ;;
    clang) build=build-clang; flags="$flags -DCMAKE_C_COMPILER=clang -DCMAKE_C_FLAGS=-Werror" ;;
    fuzz) build=build-fuzz; flags="-DCMAKE_C_COMPILER=clang -DRETORT_FUZZ=ON" ;;
    coverage) build=build-coverage; flags="-DRETORT_COVERAGE=ON" ;;
    valgrind) build=build-valgrind; flags="-DCMAKE_BUILD_TYPE=RelWithDebInfo -DRETORT_VALGRIND=ON" ;;
    kills|inject|flips|signals|malformed|races|powercut|registry|bench|browser) build=build ;;
    format) exec sh tests/format.sh ;;
    aarch64) exec sh tests/aarch64.sh "$PWD" ;;
    cross) exec sh tests/cross.sh "$PWD" ;;
    nvcc) exec sh tests/cuda/nvcc.sh "$PWD" ;;
    mutants) exec sh tests/mutants/run.sh "$PWD" ;;
    *) echo "tests/run.sh: unknown target '$target'; known: asan, tsan, clang, fuzz, malformed, kills, inject, flips, signals, races, powercut, registry, coverage, valgrind, aarch64, cross, nvcc, bench, browser, format, mutants, help" >&2; exit 2 ;;
esac
cmake -S . -B $build -DRETORT_TESTS=ON $flags > /dev/null
cmake --build $build -j "$jobs"
if [ "$target" = fuzz ]; then exec sh tests/fuzz/fuzz.sh "$PWD/$build/tests" "$PWD/$build/retort" "$PWD"; fi
if [ "$target" = browser ]; then exec sh tests/browser.sh "$PWD/$build/retort" "$PWD"; fi
if [ "$target" = bench ]; then
    for m in experiments/peers/models/*.json; do
        for how in "" --infer; do
            echo "$m $how"
            $build/retort bench "$m" $how --threads 1 rounds=5 seconds=0.5 --quiet
        done
    done
    exec $build/retort bench --kernels-only --threads 1 rounds=15 seconds=0.2 --quiet
fi
if [ "$target" = races ]; then
    exec sh tests/races/races.sh "$PWD/$build/retort" "$PWD" "$PWD/$build/tests/libraces_preload.so" "${RACES_SECONDS:-600}" "$PWD/$build/races.count"
fi
if [ "$target" = registry ]; then exec sh experiments/registry/registry_scale.sh "$PWD/$build/retort"; fi
if [ "$target" = powercut ]; then
    exec sh tests/power/power.sh "$PWD/$build/retort" "$PWD" "$PWD/$build/tests/libpower_preload.so" "${POWERCUT_SECONDS:-600}" "$PWD/$build/powercut.count"
fi
if [ "$target" = kills ] || [ "$target" = inject ] || [ "$target" = flips ]; then
    case $target in
        kills) FAULTS_SECONDS=${KILLS_SECONDS:-600} ;;
        inject) FAULTS_SECONDS=${INJECT_SECONDS:-600} ;;
        flips) FAULTS_SECONDS=${FLIPS_SECONDS:-600} ;;
    esac
    export FAULTS_SECONDS FAULTS_STATE="$PWD/$build/$target.count"
    exec $build/tests/faults "$target" "$PWD/$build/retort" "$PWD/tests/faults/setup.sh" "$PWD/$build/tests/libfaults_preload.so"
fi
if [ "$target" = malformed ]; then
    [ -z "$MALFORMED_FOLDER" ] || MALFORMED_FOLDER=$(cd "$folder_from" && cd "$MALFORMED_FOLDER" && pwd)
    exec sh tests/malformed/malformed.sh "$PWD/$build/tests/malformed" "$PWD/$build/retort" "$PWD" "$PWD/$build/malformed.count" "$MALFORMED_FOLDER"
fi
cd $build
if [ "$target" = signals ]; then SIGNALS=20 exec ctest --no-tests=error --output-on-failure -V -R '^signals$' --timeout 3600; fi
if [ "$target" = coverage ]; then exec sh ../tests/coverage.sh "$PWD" "$(cd .. && pwd)"; fi
if [ "$target" = valgrind ]; then exec sh ../tests/valgrind.sh "$PWD" "$(cd .. && pwd)"; fi
# Tests that measure nothing may share the machine.
exec ctest --no-tests=error --output-on-failure -j "$jobs"
