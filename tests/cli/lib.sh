# tests/cli/lib.sh - sourced by the command line tests: a scratch folder, small data, checks.
retort=$1
root=$2
tmp=$(mktemp -d /tmp/retort-cli-XXXXXX) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
cd "$tmp" || exit 1
failed=0

fail() { echo "FAILED: $*"; failed=1; }

# A data set that can be learnt: 3 classes, 8 x 8 grey images with a bright band whose place is the class. No Python.
make_data() { # rows file
    awk -v n="$1" 'BEGIN {
        srand(7)
        for (i = 0; i < n; i++) {
            c = int(rand() * 3); line = ""
            for (y = 0; y < 8; y++) for (x = 0; x < 8; x++) line = line int(rand() * 120 + (int(y / 3) == c ? 100 : 0)) ","
            print line "k" c
        }
    }' > band.csv
    "$retort" import band.csv --label -1 --out "$2" --quiet > /dev/null || fail "import of made data"
}

# No file grows beyond so many blocks; those of a build that counts lines (tests/coverage.sh) are spared.
small_files() { # blocks
    ulimit -f "$1"
    GCOV_PREFIX=$tmp/counts GCOV_ERROR_FILE=/dev/null
    export GCOV_PREFIX GCOV_ERROR_FILE
}

# expect CODE "part of the message" command...
expect() {
    want=$1; part=$2; shift 2
    "$@" > out.txt 2> err.txt < /dev/null
    got=$?
    [ $got -eq "$want" ] || fail "exit $got instead of $want: $*: $(cat err.txt)"
    if [ -n "$part" ]; then
        grep -qF -- "$part" err.txt || grep -qF -- "$part" out.txt || fail "no '$part' from: $*: $(cat err.txt)"
    fi
    if [ "$want" -ne 0 ] && [ "$want" -ne 130 ]; then
        [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] || fail "not one clear line from: $*: $(cat err.txt)"
    fi
}
