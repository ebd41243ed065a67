#!/bin/sh
# Odd environments: many threads, large stacks, few descriptors, little memory, no HOME, other locales, folders that cannot be
# written, full disks, and inputs that are no files. Each gives the right result, or ends soon with one clear line.
. "$2/tests/cli/lib.sh"
awk 'BEGIN { srand(7); for (i = 0; i < 300; i++) {
    c = int(rand() * 3); for (k = 0; k < 6; k++) printf "%.2f,", rand() * 50 + c * 40; print "k" c } }' > d.csv
cat > t.json <<'Y'
{"model": {"input": [6], "classes": 3, "family": "mlp", "width": 8}, "data": {"source": "d.h5", "validation": 30}, "train": {"epochs": 2, "batch": 32}}
Y
"$retort" import d.csv --label -1 --out d.h5 --quiet > /dev/null || fail "import"
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
"$retort" label --teacher T/model.h5 --data d.h5 --out L.h5 --quiet > /dev/null || fail "label"
"$retort" export L.h5 --out L.csv --quiet > /dev/null || fail "export"
digest() { grep -o '"digest":[^,]*' "$1/result.json" | tail -n 1; }
want=$(digest T)

# Everything, in an environment that is set up by $1: the same result as before, or one line.
everything() { # what set-up
    what=$1; setup=$2; n=$(echo "$what" | tr -c 'a-z0-9\n' _)
    for step in "import d.csv --label -1 --out $n.h5" "train t.json --out $n" "label --teacher T/model.h5 --data d.h5 --out $n.l.h5" \
        "export L.h5 --out $n.csv" "info d.h5" "eval --student T/model.h5 --data d.h5 --out $n.e eval.speed=false"; do
        (eval "$setup"; exec timeout -k 5 60 "$retort" $step) > out.txt 2> err.txt < /dev/null
        code=$?
        case $code in
            0) ;;
            2|3|4) [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] || fail "$what: $step: not one line: $(cat err.txt)"
               grep -qiE 'damaged|hostile' err.txt && fail "$what: $step: a fault of the machine is called damage: $(cat err.txt)" ;;
            *) fail "$what: $step: exit $code: $(cat err.txt)" ;;
        esac
        [ "$3" = must ] && [ $code -ne 0 ] && fail "$what: $step: exit $code: $(cat err.txt)"
    done
    [ ! -e "$n/result.json" ] || [ "$(digest "$n")" = "$want" ] || fail "$what: another model"
    [ ! -e "$n.csv" ] || cmp -s "$n.csv" L.csv || fail "$what: another export"
}

everything "unlimited stack" "ulimit -s unlimited" must
(ulimit -s 1000000000) 2> /dev/null && everything "a stack of a terabyte" "ulimit -s 1000000000" must
everything "1024 kb of stack" "ulimit -s 1024" must
everything "64 kb of stack" "ulimit -s 64"
(ulimit -s 64; expect 4 "ulimit -s 8192" "$retort" info d.h5; exit $failed) || failed=1
everything "16 descriptors" "ulimit -n 16"
for kb in 400000 200000; do                               # not with a sanitizer, nor where the loader itself needs more
    (ulimit -v $kb; exec "$retort" --version) > /dev/null 2>&1 && everything "$kb kb of memory" "ulimit -v $kb"
done
# OpenBLAS would try for ever to map its work space.
if (ulimit -v 200000; exec "$retort" --version) > /dev/null 2>&1; then
    (ulimit -v 200000; expect 4 "OpenBLAS needs 128 MiB" timeout -s KILL 60 "$retort" clean --find outliers --data d.h5 --out few.csv; exit $failed) || failed=1
    (ulimit -v 200000; expect 4 "OpenBLAS needs 128 MiB" timeout -s KILL 60 "$retort" train t.json --out few --kernels openblas; exit $failed) || failed=1
    [ ! -e few.csv ] || fail "a list was left"
fi
everything "no home" "unset HOME XDG_CACHE_HOME" must
everything "a home that is none" "HOME=relative XDG_CACHE_HOME=/dev/null/x; export HOME XDG_CACHE_HOME" must
everything "no environment" "for v in \$(env | sed -n 's/^\\([A-Za-z_][A-Za-z_0-9]*\\)=.*/\\1/p'); do [ \$v = PATH ] || unset \$v; done" must
everything "turkish" "LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8; export LC_ALL LANG" must
if command -v localedef > /dev/null 2>&1 && mkdir loc && localedef -i de_DE -f UTF-8 loc/de_DE.UTF-8 > /dev/null 2>&1; then
    # glibc keeps a copy of LOCPATH, which a sanitizer calls a leak
    everything "german" "LOCPATH=$tmp/loc LC_ALL=de_DE.UTF-8 ASAN_OPTIONS=detect_leaks=0; export LOCPATH LC_ALL ASAN_OPTIONS" must
fi
everything "closed descriptors" "exec 0<&-" must

# A thousand threads: the same bits.
"$retort" train t.json --out threads --threads 1024 --quiet > /dev/null 2> err.txt < /dev/null
code=$?
if [ $code -eq 0 ]; then [ "$(digest threads)" = "$want" ] || fail "1024 threads: another model"
elif [ $code -ne 4 ] || [ "$(grep -c '^retort: ' err.txt)" -ne 1 ]; then fail "1024 threads: exit $code: $(cat err.txt)"; fi
expect 0 "" "$retort" info d.h5 --threads 1024
expect 2 "--threads" "$retort" info d.h5 --threads 1025

# Inputs that are no files: refused at once, by every reader.
mkfifo pipe
mkdir folder
for odd in pipe folder /dev/zero; do
    for step in "info $odd" "train t.json --out O data.source=$odd" "train $odd --out O" "train t.json --out O data.labels=$odd loss.kind=kd" \
        "label --teacher $odd --data d.h5 --out O.h5" "label --teacher T/model.h5 --data $odd --out O.h5" "run $odd" \
        "export $odd --out O.csv" "predict T/model.h5 --data $odd --out O.csv" "import d.csv --labels $odd --out O.h5" \
        "import d.csv --label -1 --like $odd --out O.h5" "eval --student T/model.h5 --data $odd --out O"; do
        timeout -k 5 10 "$retort" $step > out.txt 2> err.txt < /dev/null
        code=$?
        { [ $code -eq 2 ] || [ $code -eq 3 ]; } && [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] ||
            fail "$odd: $step: exit $code: $(cat err.txt)"
    done
done
for odd in pipe /dev/zero; do
    timeout -k 5 10 "$retort" import $odd --format csv --out O.h5 > out.txt 2> err.txt < /dev/null
    [ $? -eq 3 ] || fail "import $odd: $(cat err.txt)"
done
[ -e O.h5 ] || [ -e O ] && fail "an odd input left something"

# Files of which next to nothing is stored: nobody reads their holes for hours.
cp T/model.h5 m.h5
cp d.csv big.csv
printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }" > big.npy
printf 'abcdef' >> big.npy
cat > p.json <<'Y'
{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.9}]}
Y
cat > big.json <<'Y'
{"name": "big", "out": "O", "steps": [{"name": "w", "do": "export", "with": {"input": "m.h5", "to": "npz"}}]}
Y
echo '{"command": ["/bin/cat", "./m.h5"], "version": "1", "classes": ["k0", "k1", "k2"]}' > cat.json
"$retort" registry init --registry R > /dev/null || fail "registry init"
if truncate -s 1T m.h5 big.csv big.npy 2> /dev/null; then
    for step in "gate --baseline T/model.h5 --candidate m.h5 --policy p.json --data d.h5 --out O" "gate --init m.h5 --data d.h5 --out O.json" \
        "run big.json" "import big.npy --out O.h5" "label --teacher cat.json --data d.h5 --out O.h5" "registry add m m.h5 --registry R" \
        "label --from big.npy --gives logits --data d.h5 --out O.h5"; do
        expect 3 "" timeout -k 5 10 "$retort" $step
    done
    expect 3 "NUL byte" timeout -k 5 10 "$retort" import big.csv --label -1 --out O.h5
    expect 0 "" timeout -k 5 10 "$retort" predict m.h5 --data d.h5 --out big.h5      # of a model only what is stored is read
    rm m.h5 big.csv big.npy
fi
[ -e O.h5 ] || [ -e O.json ] || [ -e O/w.npz ] && fail "a file of holes left something"

# Full disks: standard output, and outputs.
"$retort" info d.h5 > /dev/full 2> err.txt
[ $? -eq 4 ] && grep -q 'standard output' err.txt || fail "full standard output: $(cat err.txt)"
if [ "$(id -u)" -eq 0 ] && mkdir disk && mount -t tmpfs -o size=16k tmpfs disk 2> /dev/null; then
    for step in "import d.csv --label -1 --out disk/x.h5" "train t.json --out disk/T" "label --teacher T/model.h5 --data d.h5 --out disk/l.h5" \
        "export L.h5 --out disk/l.csv" "predict T/model.h5 --data d.h5 --out disk/p.h5" \
        "predict T/model.h5 --data d.h5 --out disk/p.csv" "eval --student T/model.h5 --data d.h5 --out disk/E eval.speed=false"; do
        expect 4 "disk/" "$retort" $step
    done
    umount disk
fi
exit $failed
