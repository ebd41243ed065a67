#!/bin/sh
# Predictions as files, and two models compared row by row.
. "$2/tests/cli/lib.sh"
make_data 1500 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16}, "data": {"source": "band.h5", "rows": "0:600", "validation": 0},
 "train": {"epochs": 4, "batch": 32}}
X
"$retort" train t.json --out A --quiet > /dev/null || fail "train"
"$retort" train t.json --out B --quiet train.epochs=1 > /dev/null || fail "train another"
"$retort" quantize A/model.h5 --data band.h5 --out q.h5 --quiet data.rows=0:600 > /dev/null || fail "quantize"
a=A/model.h5 b=B/model.h5 rows="--data band.h5 --rows 600:"

# The same bytes each time, on any number of threads; what is there is replaced by force, and only when it is ours.
for f in h5 csv npy; do
    expect 0 "" "$retort" predict $a $rows --out one.$f --threads 1
    expect 0 "" "$retort" predict $a $rows --out two.$f --threads 3
    cmp -s one.$f two.$f || fail "$f: two runs differ"
    expect 2 "exists" "$retort" predict $a $rows --out one.$f
    expect 0 "" "$retort" predict $a $rows --out one.$f --force
    printf 'mine\n' > mine.$f
    expect 2 "is not" "$retort" predict $a $rows --out mine.$f --force
done
[ "$(wc -l < one.csv)" -eq 901 ] || fail "rows of the CSV"
head -1 one.csv | grep -qx 'row,prediction,name,p:k0,p:k1,p:k2,id,truth' || fail "titles: $(head -1 one.csv)"
expect 2 "is not predictions of retort" "$retort" predict $a $rows --out q.h5 --force
expect 0 "predictions" "$retort" info one.h5

# Bad input: one line, and nothing left.
expect 5 "no rows" "$retort" predict $a --data band.h5 --rows 7:7 --out none.h5
expect 3 "there is no column 'nation'; data sets of as many rows: x, y" "$retort" predict $a $rows --slices nation --out none.h5
expect 3 "have the same id" "$retort" predict $a $rows --id y --out none.h5
expect 2 "topk: belongs to to=h5" "$retort" predict $a $rows --out none.csv topk=2
expect 2 "ends in .csv, but h5" "$retort" predict $a $rows --to h5 --out none.csv
expect 2 "'pdf' is not one of" "$retort" predict $a $rows --out none.pdf
expect 2 "a model and --out FILE are required" "$retort" predict --out none.h5
head -c 20000 one.h5 > cut.h5
for f in cut.h5 band.csv; do expect 3 "$f" "$retort" eval --baseline one.h5 --candidate $f --out none; done
[ ! -e none ] && [ ! -e none.h5 ] && [ ! -e none.csv ] || fail "something was left"

# Models and files give the same comparison; quantized models and the k largest logits too.
drop() { sed -n '/"metric":[[:space:]]*"accuracy"/,/"method"/s/.*"drop":[[:space:]]*\([-0-9.e]*\),.*/\1/p' "$1/evaluation.json" | head -n 1; }
expect 0 "" "$retort" predict $b $rows --out b.h5 topk=2
expect 0 "" "$retort" eval --baseline $a --candidate $b $rows --out E1 eval.speed=false --slices y --find-slices
expect 0 "there is no model to be timed" "$retort" eval --baseline one.h5 --candidate b.h5 --out E2
expect 0 "" "$retort" eval --baseline one.h5 --candidate $b $rows --out E3 eval.speed=false
expect 0 "" "$retort" eval --baseline $a --candidate q.h5 --teacher $a $rows --out E4 eval.speed=false
[ -n "$(drop E1)" ] && [ "$(drop E1)" = "$(drop E2)" ] && [ "$(drop E1)" = "$(drop E3)" ] || fail "drops: $(drop E1), $(drop E2), $(drop E3)"
grep -q 'integers' E4/evaluation.json || fail "a quantized model's family is not said"
sed 's/<h1>/\n&/' E1/report.html | grep -q '^<h1>B against A</h1><p class="sum [a-z]*">accuracy ' || fail "the page of a pair does not begin with the verdict"
awk '/<p class="sum/ { sum = NR } /<td>accuracy<\/td>/ && !row { row = NR } /<h2>/ && !head { head = NR } /Data <b>/ { data = NR } END { exit !(sum && sum < row && row < head && row < data) }' E1/report.html ||
    fail "deltas are not beneath the verdict"
for d in E1 E2 E3 E4; do grep -q '<h2>Baseline and candidate</h2>' $d/report.html || fail "$d: the page has no comparison"; done
grep -q 'src="data:image' E1/report.html && fail "rows of 64 numbers are no pictures"
expect 0 "baseline and candidate are the same model" "$retort" eval --baseline one.h5 --candidate two.h5 --out E5

# A pass holds 1024 rows: of more, too, the models' own table has each row's own answer, as counted from what predict wrote.
"$retort" train t.json --out C --quiet train.epochs=1 data.rows=0:32 > /dev/null || fail "train a poor one"
right_of() { sed -n 's/.*"right":[[:space:]]*\[\(.*\)\].*/\1/p' "$1/evaluation.json"; }
expect 0 "" "$retort" eval --baseline $a --candidate C/model.h5 --data band.h5 --out E8 eval.speed=false compare.confidence=0.8 compare.seed=2
for m in A C; do
    for f in csv h5; do expect 0 "" "$retort" predict $m/model.h5 --data band.h5 --out all$m.$f; done
    awk -F, 'NR > 1 { right[$NF] += $3 == $NF } END { print right["k0"] ", " right["k1"] ", " right["k2"] }' all$m.csv
done > want.txt
[ "$(sort -u want.txt | wc -l)" -eq 2 ] || fail "two models that answer alike: $(cat want.txt)"
right_of E8 | cmp -s - want.txt || fail "right answers by class in more rows than a pass holds"

# Beside a file the model answers for itself; the file says what its model has seen.
expect 0 "allA.h5 has seen 600 of its rows in training" "$retort" eval --baseline allA.h5 --candidate C/model.h5 --data band.h5 --out E9 eval.speed=false compare.confidence=0.8
[ "$(right_of E9)" = "$(tail -n 1 want.txt)" ] || fail "a model beside a file has others' answers: $(right_of E9)"

# Its confidence: b of n rows flip, and Wilson's interval (1927) at 80 % has the normal distribution's 0.9 quantile. Its seed: others
# are drawn, from the same rows.
field() { sed -n '/"metric":[[:space:]]*"'$2'"/,/"method"/s/.*"'$3'":[[:space:]]*\([-0-9.e]*\).*/\1/p' $1/evaluation.json | head -n 1; }
b=$(paste -d, allA.csv allC.csv | awk -F, -v w="$(head -1 allA.csv | awk -F, '{ print NF }')" 'NR > 1 { b += $3 == $w && $(w + 3) != $w } END { print b }')
awk -v b="$b" -v lo="$(field E8 nfr lo)" -v hi="$(field E8 nfr hi)" 'BEGIN { n = 1500; p = b / n; z = 1.2815515655446004; d = 1 + z * z / n
    m = (p + z * z / (2 * n)) / d; h = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    exit !(b > 100 && lo - m + h < 1e-9 && m - h - lo < 1e-9 && hi - m - h < 1e-9 && m + h - hi < 1e-9) }' || fail "Wilson's interval at 80 %: $b, $(field E8 nfr lo) to $(field E8 nfr hi)"
[ "$(field E8 macro_f1 lo)" != "$(field E9 macro_f1 lo)" ] && [ "$(field E8 macro_f1 drop)" = "$(field E9 macro_f1 drop)" ] || fail "another seed draws the same: $(field E8 macro_f1 lo)"
b=B/model.h5

# Rows that are not the same.
expect 0 "" "$retort" predict $b --data band.h5 --rows 700: --out less.h5
expect 5 "100 are of the first alone, 0 of the second" "$retort" eval --baseline one.h5 --candidate less.h5 --out none
expect 0 "100 of the 900 rows of one.h5 are not among those of the other side" "$retort" eval --baseline one.h5 --candidate less.h5 --out E6 --common
expect 2 "is a model, which needs rows" "$retort" eval --baseline one.h5 --candidate $b --out none
expect 2 "give both" "$retort" eval --baseline one.h5 --out none
expect 2 "belongs to a baseline and a candidate" "$retort" eval --student $a $rows --slices y --out none
expect 3 "there is no column 'nation'" "$retort" eval --baseline $a --candidate $b $rows --slices nation --out none eval.speed=false
[ ! -e none ] || fail "a folder was left"

# Started cold: by itself, and beside the rounds of an evaluation, a new process that holds as much more as the model is larger.
"$retort" train t.json --out W --quiet train.epochs=1 data.rows=0:32 model.width=2048 model.depth=2 > /dev/null || fail "train a wide one"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" out.txt | head -1; }
for m in A W; do
    expect 0 '"runs":	2' "$retort" bench $m/model.h5 --cold --data band.h5 rounds=2 --json
    awk "BEGIN { exit !($(number lowest_us) > 100 && $(number lowest_us) <= $(number median_us) && $(number median_us) <= $(number highest_us)) }" ||
        fail "cold start: $(cat out.txt)"
    [ $m = A ] && small=$(number peak_rss_bytes)
done
awk "BEGIN { d = $(number peak_rss_bytes) - $small; exit !(d > 16e6 && d < 200e6) }" || fail "peak memory: $small and $(number peak_rss_bytes)"
expect 3 "a new process did not answer: none.h5" "$retort" bench none.h5 --cold --data band.h5
expect 2 "belongs to --cold" "$retort" bench $a --data band.h5
expect 0 "" "$retort" eval --baseline $a --candidate q.h5 $rows --out E7 eval.latency_samples=64 eval.seconds=0.02 eval.rounds=1 speed.seconds=0 --slices y data.id=
cp E7/evaluation.json out.txt
awk "BEGIN { exit !($(number cold_start_us) > 100 && $(number peak_rss_bytes) > 1e6) }" && [ "$(grep -c '"cold_start":' E7/evaluation.json)" -eq 2 ] ||
    fail "an evaluation starts nothing cold"

# More rows than there is memory for are told before anybody is asked: what they take, and what there is.
{ printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (20000000, 1), }"; head -c 20000000 /dev/zero; } > many.npy
awk 'BEGIN { print "a,k"; for (i = 0; i < 40; i++) print i % 7 "," i % 2 }' > tiny.csv
"$retort" import many.npy --out many.h5 --quiet > out.txt 2>&1 && "$retort" import tiny.csv --label k --out tiny.h5 --quiet > out.txt 2>&1 || fail "import: $(cat out.txt)"
echo '{"model": {"input": [1], "classes": 2, "family": "mlp", "width": 2, "depth": 1}, "data": {"source": "tiny.h5", "validation": 0}, "train": {"epochs": 1}}' > tiny.json
for s in 1 2; do "$retort" train tiny.json --out T$s --seed $s --quiet > /dev/null || fail "train a tiny one"; done
# An instrumented program cannot start within so little.
if (ulimit -v 2000000; "$retort" --version) > /dev/null 2>&1; then
(ulimit -v 2000000; expect 4 "20000000 rows take about 2e+03 MB of memory (100 bytes each)" "$retort" predict T1/model.h5 --data many.h5 --out none.h5 data.names=position; exit $failed) || failed=1
(ulimit -v 2000000; expect 4 "MB are free: ask about a part of them" "$retort" eval --baseline T1/model.h5 --candidate T2/model.h5 --data many.h5 --out none data.names=position eval.speed=false; exit $failed) || failed=1
fi
[ ! -e none ] && [ ! -e none.h5 ] || fail "something was left"

# Files of more rows than are read at once (65536): each row is found in the other by its id.
awk 'BEGIN { print "a,k"; for (i = 0; i < 66000; i++) { a = i * 7919 % 66000 / 9429; print a "," i % 2 } }' > long.csv
"$retort" import long.csv --label k --out long.h5 --quiet > out.txt 2>&1 || fail "import: $(cat out.txt)"
expect 0 "" "$retort" predict T1/model.h5 --data long.h5 --out long1.h5
expect 0 "" "$retort" predict T2/model.h5 --data long.h5 --rows 100: --out long2.h5
expect 5 "100 are of the first alone, 0 of the second" "$retort" eval --baseline long1.h5 --candidate long2.h5 --out none

# A step of an experiment.
cat > x.json <<X
{"out": "run", "steps": [{"name": "a", "do": "predict", "with": {"model": "$a", "data": {"source": "band.h5", "rows": "600:"}}},
 {"name": "b", "do": "predict", "with": {"model": "$b", "data": {"source": "band.h5", "rows": "600:"}}},
 {"name": "e", "do": "eval", "with": {"baseline": "\${a}", "candidate": "\${b}"}}]}
X
expect 0 "" "$retort" run x.json --quiet
cmp -s run/a.h5 one.h5 || fail "predictions of an experiment are others"
[ "$(drop run/e)" = "$(drop E1)" ] || fail "an experiment compares otherwise"
exit $failed
