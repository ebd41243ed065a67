#!/bin/sh
# Each planted fault of faults.cu is caught: by the emulator itself, by different answers in different orders, by
# AddressSanitizer, by ThreadSanitizer; and kernels without faults pass in all. faults.sh FAULTS CXX SOURCES
exec 2> /dev/null                          # where the shell reports the programs that have aborted
ulimit -c 0
faults=$1 cxx=$2 root=$3
here=$root/tests/cuda
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() { echo "FAILED: $*"; bad=1; }

# says NAME TEXT [ENVIRONMENT]: ends by a signal, with a line that has the kernel, block, thread and TEXT.
says() {
    out=$(env ${3:-X=} "$faults" "$1" 2>&1)
    code=$?
    [ $code -ge 128 ] || fail "$1: ended with $code"
    case $out in *"emulator: kernel $1, "*"$2"*) ;; *) fail "$1: says '$out', not '$2'" ;; esac
    [ "$(printf '%s\n' "$out" | grep -c emulator)" = 1 ] || fail "$1: not one line: $out"
}
line() { grep -n "$1" "$here/faults.cu" | head -n "${2:-1}" | tail -n 1 | cut -d: -f1; }
says divergent "block (0,0,0), thread (0,0,0): waits at the __syncthreads() of faults.cu:$(line 'T < 100) __syncthreads') where 156 threads"
says two_barriers "thread (128,0,0): is at the __syncthreads() of faults.cu:$(($(line 'T < 128)') + 3)) while others wait at that of faults.cu:$(($(line 'T < 128)') + 1))"
says early_exit "where 156 threads of the block have ended"
says dead_lane "names lane 21, which has ended"
says lane_ends "names lane 31, which has ended"
says outside_mask "from lane 20, which is not in the mask"
says not_in_mask "is not in its own mask"
says mixed "while lanes of its mask are in that at"
says half_warp "that never arrive"
says part_mma "without a whole warp"
says mma "need compute capability 8.0" RETORT_EMULATE_CAPABILITY=75
says trap "thread (77,0,0): __trap()"
says many_threads "1 to 1024 threads a block"
says no_blocks "blocks in x"
says big_static "more than 48 KiB of shared memory with array more"
says dynamic "of which the launch gives none"
says big_dynamic "need cudaFuncSetAttribute"
says copy_unwaited "has not waited for"
says copy_misaligned "not aligned"
says copy_to_global "outside shared memory"
says far_out "thread (9,0,0): touches byte 20000 of an allocation of 1024 bytes"
says shared_before "touches memory that is not the device's"
says freed "touches memory that is not the device's"
says deep "touches memory that is not the device's"
out=$("$faults" host_touches 2>&1) && fail "host_touches: passed"
case $out in *"the host touches byte 12 of an allocation of 1024 bytes"*) ;; *) fail "host_touches: says '$out'" ;; esac
out=$("$faults" no_such 2>&1)
[ $? = 2 ] || fail "no_such: passed"

# What is not written is NaN; an order that a kernel leans on changes the answer, and only then.
case $("$faults" unwritten) in *" 156 of 256 NaN") ;; *) fail "unwritten: $("$faults" unwritten)" ;; esac
differ() { [ "$("$faults" "$1" forward)" != "$("$faults" "$1" reverse)" ] || [ "$("$faults" "$1" forward)" != "$("$faults" "$1" random)" ]; }
for name in missing_sync loop_sync block_race thread_race warp_race copy_early; do
    differ $name || fail "$name: the same in every order"
done
! differ correct || fail "correct: differs"
case $("$faults" correct) in *" 0 of 256 NaN") ;; *) fail "correct: $("$faults" correct)" ;; esac

# build KIND DEFINITION: into $tmp/KIND, instrumented but for the emulator itself; 1: this compiler has no such sanitizer.
build() {
    echo 'int main() { return 0; }' > "$tmp/none.cpp"
    "$cxx" -fsanitize="$1" "$tmp/none.cpp" -o "$tmp/none" 2> /dev/null || { echo "no $1 sanitizer here: its faults are not tested"; return 1; }
    flags="-std=c++17 -g -w -DRT_CUDA_EMULATED -D$2 -I$root -I$here -I$here/include"
    for part in emulator emulated_runtime emulated_streams; do
        # shellcheck disable=SC2086
        "$cxx" -O1 $flags -c "$here/$part.cpp" -o "$tmp/$part.o" 2>&1 || exit 1
    done
    # shellcheck disable=SC2086
    "$cxx" -O1 -fno-omit-frame-pointer -fsanitize="$1" $flags -x c++ -c "$here/faults.cu" -o "$tmp/faults.o" 2>&1 || exit 1
    "$cxx" -fsanitize="$1" "$tmp"/faults.o "$tmp"/emul*.o -pthread -o "$tmp/$1" 2>&1 || exit 1
}
# reports KIND NAME TEXT
reports() {
    out=$($start "$tmp/$1" "$2" 2>&1) && fail "$1, $2: passed"
    case $out in *"$3"*) ;; *) fail "$1, $2: no '$3' in: $(printf '%s' "$out" | head -n 5)" ;; esac
}
silent() {
    for order in forward reverse random; do
        out=$($start "$tmp/$1" "$2" $order 2>&1) || fail "$1, $2, $order: $(printf '%s' "$out" | head -n 12)"
        [ "$out" = "$("$faults" "$2")" ] || fail "$1, $2, $order: $out"
    done
}
start=
if build address RT_EMULATE_ASAN; then
    reports address just_out heap-buffer-overflow
    reports address just_out_read heap-buffer-overflow
    reports address freed heap-use-after-free
    reports address shared_out use-after-poison
    reports address shared_before use-after-poison
    reports address host_touches use-after-poison
    silent address correct
fi
if build thread RT_EMULATE_TSAN; then
    # Where addresses are more random than it knows, it starts without that.
    "$tmp/thread" correct > /dev/null 2>&1 || start="setarch $(uname -m) -R"
    for name in missing_sync loop_sync block_race thread_race warp_race copy_early no_fence; do
        reports thread $name "data race"
    done
    silent thread correct
fi
exit $bad
