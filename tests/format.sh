#!/bin/sh
# tests/format.sh - brings lines of C beyond 120 columns within them, by .clang-format; the other lines stay as they are.
# Fails when there are some that it cannot break (a long string is broken by hand).
failed=0
for f in $(git ls-files '*.c' '*.h' '*.inc' '*.cu' '*.cuh' '*.cpp'); do
    for turn in 1 2 3 4 5 6; do
        lines=$(awk 'length > 120 { printf " --lines=%d:%d", FNR, FNR }' "$f")
        [ -n "$lines" ] || break
        # shellcheck disable=SC2086
        clang-format -i $lines "$f" || exit 4
    done
    awk -v f="$f" 'length > 120 { printf "%s:%d: %d columns\n", f, FNR, length; n++ } END { exit n > 0 }' "$f" || failed=1
done
exit $failed
