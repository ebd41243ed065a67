#!/bin/sh
# Names, keys and paths that terminals, spreadsheets and browsers would obey, from end to end: what is printed and written is
# inert, and every line of an error is one line.
. "$2/tests/cli/lib.sh"
esc=$(printf '\033') bel=$(printf '\007') c1=$(printf '\302\233') turn=$(printf '\342\200\256') wide=$(printf '\357\274\235')
nbsp=$(printf '\302\240')

# No control character but line ends and tabs, no C1 control, no character that turns text around, and valid UTF-8.
inert() { # file what
    [ "$(LC_ALL=C tr -d '\n\t\040-\176\200-\377' < "$1" | wc -c)" -eq 0 ] || fail "$2: control characters: $(cat -v "$1" | head -n 20)"
    for bad in "$turn" "$c1" "$(printf '\302\205')" "$(printf '\342\200\250')" "$(printf '\342\201\246')"; do
        LC_ALL=C grep -qF "$bad" "$1" && fail "$2: $(LC_ALL=C grep -F "$bad" "$1" | head -n 1 | cat -v)"
    done
    iconv -f UTF-8 -t UTF-8 < "$1" > /dev/null 2>&1 || fail "$2: no valid UTF-8"
}

# said what command...: both streams.
said() {
    what=$1; shift
    "$@" > out.txt 2> err.txt < /dev/null
    inert out.txt "$what"
    inert err.txt "$what (errors)"
}

# Classes and columns of a CSV file: what its cells hold is kept in the file, and shown without effect.
{
    echo "${esc}]0;owned${bel},b${turn}cd,=1+1,a<b>\"x\",kind" | sed 's/a<b>"x"/"a<b>""x"""/'
    for i in 1 2 3 4 5 6 7 8 9 10; do
        echo "$i,2,3,4,=cmd|x"
        echo "$i,3,4,1,$nbsp=1+1"
        echo "$i,1,2,9,${esc}[2J<script>|\`x\`"
        echo "$i,9,1,3,-1.5"
        echo "$i,4,1,7,${wide}1${c1}31m"
    done
} > h.csv
said "import" "$retort" import h.csv --label kind --header yes --out h.h5
[ -e h.h5 ] || fail "import: $(cat err.txt)"
said "info of data" "$retort" info h.h5
said "info of data, JSON" "$retort" info h.h5 --json
cat > t.json <<'Y'
{"model": {"input": [4], "classes": 5, "family": "mlp", "width": 4}, "data": {"source": "h.h5", "validation": 10}, "train": {"epochs": 2, "batch": 10}}
Y
said "train" "$retort" train t.json --out T
[ -e T/model.h5 ] || fail "train: $(cat err.txt)"
for f in config.json run.json result.json metrics.csv metrics.jsonl; do inert T/$f "train: $f"; done
said "train of a head" "$retort" train t.json --out H 'model={"input": [4], "family": "mlp", "heads": [{"name": "a,\"b", "size": 5}, {"name": "c", "size": 5}]}' \
    'data.targets={"a,\"b": "y", "c": "y"}'
grep -q '^epoch,loss,"validation_a,""b.accuracy","validation_a,""b.nll",validation_c.accuracy,validation_c.nll,lr,digest$' H/metrics.csv ||
    fail "metrics.csv has another title: $(head -n 1 H/metrics.csv)"
said "info of a model" "$retort" info T/model.h5 --plan 4
said "info of a model, JSON" "$retort" info T/model.h5 --json
said "label" "$retort" label --teacher T/model.h5 --data h.h5 --out L.h5
said "info of labels" "$retort" info L.h5
said "export" "$retort" export L.h5 --out L.csv
said "predictions" "$retort" predict T/model.h5 --data h.h5 --out P.csv
for f in L.csv P.csv; do
    inert $f "$f"
    LC_ALL=C grep -qE '(^|,)"?[[:space:]]*[=@+]' $f && fail "$f has a live formula: $(head -n 3 $f)"
    LC_ALL=C grep -qE "(^|,)\"?($nbsp|$wide)" $f && fail "$f has a live formula: $(head -n 3 $f)"
    LC_ALL=C grep -qF ',-1.5,' $f || fail "$f: -1.5 is no number any more: $(head -n 3 $f)"
done
said "export of weights" "$retort" export T/model.h5 --out T.safetensors

# An evaluation whose data, models and notes have such names.
name="$(printf 'd\140a\033[2J')<img src=x onerror=alert(1)>|[l](http:)$turn"
cp h.h5 "$name.h5"
said "eval" "$retort" eval --teacher T/model.h5 --data "$name.h5" --out E eval.speed=false "names=[\"${nbsp}=1+1 <b>|\`$turn\"]"
[ -e E/report.html ] || fail "eval: $(cat err.txt)"
for f in report.html report.md report.csv evaluation.json; do inert E/$f "eval: $f"; done
grep -qE '<img|<b>|onerror=alert\(1\)>[^&]' E/report.html && ! grep -q '&lt;img' E/report.html && fail "report.html holds markup"
grep -qF '<img' E/report.html && fail "report.html holds markup"
grep -qE '(^|[^\\`])<' E/report.md && ! grep -q '``.*<img.*``' E/report.md && fail "report.md holds markup: $(head -n 5 E/report.md)"
LC_ALL=C grep -qE "^\"?($nbsp)*=" E/report.csv && fail "report.csv has a live formula"

# Errors: a path, a key, a value, a layer, an option, a data set.
for bad in "$esc]0;x$bel" "a${c1}31m" "a${turn}b" "two
lines" "$(printf 'b\377\376')"; do
    said "no such file" "$retort" info "$bad.h5"
    [ "$(wc -l < err.txt)" -eq 1 ] || fail "not one line: $(cat err.txt)"
    said "key" "$retort" train t.json --out B "$bad=3"
    said "value" "$retort" train t.json --out B "train.lr=$bad"
    said "layer" "$retort" train t.json --out B "model={\"input\": [4], \"classes\": 5, \"layers\": [{\"op\": \"dense\", \"out\": 5, \"name\": \"a\", \"from\": \"$bad\"}]}"
    said "option" "$retort" info h.h5 "--$bad"
    said "command" "$retort" "$bad"
    said "error as JSON" "$retort" info "$bad.h5" --json
    said "set" "$retort" info h.h5 "$bad"
    said "column" "$retort" import h.csv --label "$bad" --header yes --out B.h5
    said "folder" "$retort" eval --teacher T/model.h5 --data h.h5 --out "$bad" eval.speed=false
    said "experiment" "$retort" run t.json --out "$bad"
done
exit $failed
