#!/bin/sh
# tests/coverage.sh BUILD ROOT - runs the tests in a build that counts, and prints lines and branches by folder and file, and
# whether the bars hold: data/ 95 % of lines and 85 % of branches, the other folders 90 % of lines. Not counted: kernels of
# instruction sets that this machine lacks; data/h5_sandbox.c and data/h5_unpack_child.c, for a process that is held by the
# sandbox, or is killed when its file is closed, cannot write its counts. Nor are kills and faults, which would break the
# files of the counts.
build=$1 root=$2
find "$build" -name '*.gcda' -delete
export GCOV_ERROR_FILE=/dev/null                       # a line of its own is taken for one of retort
(cd "$build" && ctest --no-tests=error -j "$(nproc)" -E '^signals$')
failed=$?
cd "$root" || exit 4
# The templates of kernels are compiled once a family under the same names, which gcovr takes for one file: see below.
gcovr --root . --object-directory "$build" --exclude-throw-branches --exclude-unreachable-branches --exclude 'engine/cpu/' \
    --exclude 'engine/int/int_(scalar|avx|amx|simd|family|conv|depthwise|elements)' --exclude data/h5_sandbox.c \
    --exclude data/h5_unpack_child.c \
    --filter '(engine|data|student|teacher|train|export|experiments|cli)/' --gcov-ignore-parse-errors \
    --json-summary "$build/coverage.json" > /dev/null || exit 4
tr ',{' '\n\n' < "$build/coverage.json" | awk '
    function share(a, b) { return b ? 100 * a / b : 100 }
    /"branch_covered":/ { bc = $NF + 0 } /"branch_total":/ { bt = $NF + 0 }
    /"filename":/ { f = $NF; gsub(/["]/, "", f) }
    /"line_covered":/ { lc = $NF + 0 }
    /"line_total":/ { if (f != "") {
        d = f; sub(/\/.*/, "", d)
        L[d] += lc; LT[d] += $NF + 0; B[d] += bc; BT[d] += bt
        printf "%-36s lines %5.1f %%  branches %5.1f %%\n", f, share(lc, $NF), share(bc, bt)
        f = ""
    } }
    END {
        print ""
        for (d in L) {
            low = share(L[d], LT[d]) < (d == "data" ? 95 : 90) || (d == "data" && share(B[d], BT[d]) < 85)
            printf "%-36s lines %5.1f %%  branches %5.1f %%%s\n", d "/", share(L[d], LT[d]), share(B[d], BT[d]), low ? "  BELOW ITS BAR" : ""
            bad += low
        }
        exit bad > 0
    }'
bad=$?
for family in scalar avx2 int_scalar int_avx2; do               # each with its templates
    folder=engine/cpu; [ "${family#int_}" = "$family" ] || folder=engine/int
    note=$(find "$build" -name "$family.c.gcno") || continue
    [ -f "${note%.gcno}.gcda" ] || continue
    gcov -n -o "$(dirname "$note")" "$note" 2> /dev/null | awk -v f=$family -v folder=$folder '
        /^File/ { counts = index($0, folder "/") } counts && /^Lines executed/ { split($2, p, "[:%]"); hit += p[2] * $4; all += $4; counts = 0 }
        END { printf "%-36s lines %5.1f %%%s\n", folder "/ (" f ")", hit / all, hit / all < 90 ? "  BELOW ITS BAR" : ""; exit hit / all < 90 }' || bad=1
done
[ $failed -eq 0 ] || { echo "coverage: tests failed, which cover less than they would" >&2; exit 1; }
exit $bad
