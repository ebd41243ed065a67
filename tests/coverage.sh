#!/bin/sh
# tests/coverage.sh BUILD ROOT - runs the tests in a build that counts, and prints lines and branches by folder and file.
# The child that reads HDF5's metadata may write no files, so what runs there alone (data/h5_child*.c) is not counted.
build=$1 root=$2
find "$build" -name '*.gcda' -delete
(cd "$build" && ctest --no-tests=error -j "$(nproc)" --timeout 1800) || exit 1
cd "$root" || exit 4
gcovr --root . --object-directory "$build" --exclude-throw-branches --exclude-unreachable-branches --filter '(engine|data|student|teacher|train|export|experiments|cli)/' \
    --json-summary "$build/coverage.json" --txt "$build/coverage.txt" > /dev/null || exit 4
tr ',{' '\n\n' < "$build/coverage.json" | awk '
    /"branch_covered":/ { bc = $NF + 0 } /"branch_total":/ { bt = $NF + 0 }
    /"filename":/ { f = $NF; gsub(/["]/, "", f) }
    /"line_covered":/ { lc = $NF + 0 }
    /"line_total":/ { if (f != "") {
        d = f; sub(/\/.*/, "", d)
        L[d] += lc; LT[d] += $NF + 0; B[d] += bc; BT[d] += bt
        printf "%-36s lines %5.1f %%  branches %5.1f %%\n", f, 100 * lc / ($NF + 1e-9), bt ? 100 * bc / bt : 100
        f = ""
    } }
    END { print ""; for (d in L) printf "%-36s lines %5.1f %%  branches %5.1f %%\n", d "/", 100 * L[d] / LT[d], BT[d] ? 100 * B[d] / BT[d] : 100 }'
