#!/bin/sh
# Rows of a label store chosen by a policy, as a user meets them: in train, export and run; and what "labels" tells of a store.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }

make_data 3000 d.h5
cat > t.json <<'X'
{"model": {"input": [8, 8, 1], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "d.h5", "rows": "0:300", "validation": 0}, "train": {"epochs": 2, "batch": 32}}
X
expect 0 "" "$retort" train t.json --out T
expect 0 "" "$retort" label --teacher T/model.h5 --data d.h5 --rows 300:3000 --out L.h5
echo '{"confidence": {"min": 0.6}, "balance": "equal"}' > p.json

# The store in figures.
expect 0 "all blocks match" "$retort" labels verify L.h5 --json
[ "$(number rows_labelled out.txt)" = 2700 ] || fail "verify: $(cat out.txt)"
expect 0 "" "$retort" labels summary L.h5 --data d.h5 --json
[ "$(number rows_labelled out.txt)" = 2700 ] && [ "$(number agree out.txt)" -gt 1000 ] || fail "summary: $(cat out.txt)"
sum=0
for c in k0 k1 k2; do sum=$((sum + $(number $c out.txt))); done
[ $sum = 2700 ] || fail "class counts add up to $sum"
expect 0 "" "$retort" labels calibrate L.h5 --data d.h5 --json
grep -q "the loss has no minimum.*2700 of 2700 rows are right" out.txt || fail "a teacher that is always right: $(cat out.txt)"
[ "$(number rows out.txt)" = 2700 ] && [ "$(number seen_by_teacher out.txt)" = 0 ] || fail "calibrate: $(cat out.txt)"

# The view, the same from summary, export and train.
expect 0 "" "$retort" labels summary L.h5 --policy p.json --json
after=$(number rows_after out.txt)
digest=$(sed -n 's/.*"digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' out.txt)
[ "$after" -gt 30 ] && [ "$after" -lt 2700 ] && [ $((after % 3)) = 0 ] || fail "rows after: $after"
for c in k0 k1 k2; do [ "$(number $c out.txt)" = $((after / 3)) ] || fail "class $c is not balanced: $(cat out.txt)"; done
expect 0 "" "$retort" export L.h5 --out all.csv
expect 0 "" "$retort" export L.h5 --out some.csv data.policy=p.json --json
[ "$(number rows_after out.txt)" = "$after" ] || fail "export chooses other rows: $(cat out.txt)"
[ "$(wc -l < some.csv)" = $((after + 1)) ] || fail "exported rows: $(wc -l < some.csv)"
sort all.csv > all.sorted
sort some.csv | comm -13 all.sorted - | grep . && fail "a row is relabelled"
# Per class the surest of those above the threshold, of equal ones the lower rows: as sort has them.
awk -F, 'NR > 1 { p = $4 > $5 ? $4 : $5; if ($6 > p) p = $6; if (p >= 0.6) print $2, p, $1 }' all.csv |
    sort -k1,1n -k2,2gr -k3,3n | awk -v n=$((after / 3)) '{ if (++seen[$1] <= n) print $3 }' | sort > want.txt
cut -d, -f1 some.csv | tail -n +2 | sort > got.txt
same=$(comm -12 want.txt got.txt | wc -l)                         # the seven digits of CSV may swap two rows at the cut
[ "$same" -ge $((after - 3)) ] || fail "$same of $after rows are those that sorting gives"
cat > s.json <<'X'
{"model": {"input": [8, 8, 1], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
 "data": {"source": "d.h5", "rows": "300:3000", "validation": 0, "labels": "L.h5", "policy": "p.json"},
 "loss": {"kind": "kd", "hard": 0, "soft": 1}, "train": {"epochs": 2, "batch": 16}}
X
expect 0 "labelled rows are learnt from" "$retort" train s.json --out S --json
[ "$(number training_rows out.txt)" = "$after" ] || fail "training rows: $(cat out.txt)"
grep -q "\"$digest\"" S/result.json || fail "the result does not name the policy"
grep -qa "$digest" S/model.h5 || fail "the provenance does not name the policy"

expect 0 "" "$retort" train s.json --out V data.validation=500 data.test=200 --json              # neither is chosen from
[ "$(number validation_rows out.txt)" = 500 ] && [ "$(number test_rows_left_out out.txt)" = 200 ] &&
    [ "$(number rows_before out.txt)" = 2000 ] && [ "$(number training_rows out.txt)" = "$(number rows_after out.txt)" ] ||
    fail "validation and test rows: $(cat out.txt)"

# Rows with a label of the data stay, however unsure the teacher is of them, unless it is asked to choose among them, too.
rows_of() { expect 0 "" "$retort" train s.json --out H --force --json "$@"; number training_rows out.txt; }
echo '{"confidence": {"min": 0.97}, "allow_empty": true}' > sure.json
part() { expect 0 "" "$retort" export L.h5 --out part.csv --force data.policy=sure.json --quiet; awk -F, -v a="$1" -v b="$2" 'NR > 1 && $1 >= a && $1 < b' part.csv | wc -l; }
inside=$(part 300 800) outside=$(part 800 3000)
[ "$inside" -lt 400 ] && [ "$outside" -gt 0 ] || fail "the case shows nothing: $inside and $outside rows are sure"
[ "$(rows_of loss.hard=0.5 data.policy=sure.json data.hard_rows=300:800)" = $((500 + outside)) ] || fail "labelled rows are dropped: $(cat out.txt)"
[ "$(number labelled_kept out.txt)" = 500 ] && [ "$(number rows_before out.txt)" = 2200 ] || fail "what stays is not told: $(cat out.txt)"
[ "$(rows_of loss.hard=0.5 data.policy=sure.json data.hard_rows=300:800 data.policy_labelled=choose)" = $((inside + outside)) ] || fail "asked to choose among all: $(cat out.txt)"
[ "$(rows_of loss.hard=0 data.policy=sure.json data.hard_rows=300:800 data.validation=100)" -le $((inside + outside)) ] || fail "labels that are not learnt from keep rows: $(cat out.txt)"
[ "$(rows_of loss.hard=0.5 'data.policy={"confidence": {"min": 0.97}, "allow_empty": true, "weights": {"confidence": 1}}' data.hard_rows=300:800)" = $((500 + outside)) ] || fail "with weights: $(cat out.txt)"
expect 2 "data.policy_labelled=choose chooses among them, too" "$retort" train s.json --out H2 loss.hard=0.5 data.policy=sure.json
expect 2 "data.policy_labelled" "$retort" train t.json --out H2 data.policy_labelled=keep

# What the policy says belongs to the run, where it lies does not.
cp p.json q.json
expect 0 "" "$retort" train s.json --out S data.policy=q.json
expect 0 "" "$retort" train s.json --out S 'data.policy={"balance":"equal","confidence":{"max":1,"min":0.6}}'
echo '{"confidence": {"min": 0.61}, "balance": "equal"}' > q.json
expect 2 "another configuration" "$retort" train s.json --out S data.policy=q.json
expect 2 "another configuration" "$retort" train s.json --out S 'data.policy={}'
expect 2 "p.json" "$retort" export L.h5 --out p.json --to csv data.policy=p.json --force
[ "$(cat p.json)" = '{"confidence": {"min": 0.6}, "balance": "equal"}' ] || fail "the policy was replaced"

# An experiment names it like any file.
cat > e.json <<'X'
{"out": "E", "steps": [{"name": "labels", "do": "label", "with": {"teacher": "T/model.h5", "data": {"source": "d.h5"}}},
  {"name": "rows", "do": "export", "with": {"input": "${labels}", "to": "csv", "data": {"policy": "p.json"}}}]}
X
expect 0 "" "$retort" run e.json
[ "$(wc -l < E/rows.csv)" -gt 30 ] && [ "$(wc -l < E/rows.csv)" -lt 3001 ] || fail "run: $(wc -l < E/rows.csv)"
sed 's/p.json/no.json/' e.json > e2.json
expect 3 "no.json" "$retort" run e2.json --out E2

# Refused, by one line, with nothing written.
expect 3 "no.json" "$retort" train s.json --out N data.policy=no.json
echo '{"confidence": ' > bad.json
expect 3 "bad.json: not valid JSON" "$retort" train s.json --out N data.policy=bad.json
echo '{"confidance": {"min": 0.5}}' > bad.json
expect 2 "did you mean 'confidence'" "$retort" train s.json --out N data.policy=bad.json
echo '{"margin": {"min": 3}}' > bad.json
expect 2 "bad.json.margin.min: a number from 0 to 1" "$retort" export L.h5 --out N.csv data.policy=bad.json
echo '{"head": "colour"}' > bad.json
expect 2 "has no head 'colour'; its heads: y" "$retort" train s.json --out N data.policy=bad.json
expect 2 "has no head 'colour'" "$retort" export L.h5 --out N.csv data.policy=bad.json
echo '{"per_class": {"quota": {"k9": 3}}}' > bad.json
expect 2 "'k9' is no class of L.h5; its classes: k" "$retort" train s.json --out N data.policy=bad.json
echo '{"confidence": {"min": 1}}' > bad.json
expect 5 "chooses none of 2700 rows" "$retort" train s.json --out N data.policy=bad.json
echo '{"per_class": {"quota": {"k1": 0}}}' > bad.json
expect 5 "leaves no row of 1 of 3 classes of L.h5: 'k1'" "$retort" train s.json --out N data.policy=bad.json
expect 5 "allow_empty" "$retort" export L.h5 --out N.csv data.policy=bad.json
echo '{"per_class": {"quota": {"k1": 0}}, "allow_empty": true}' > bad.json
expect 0 "" "$retort" export L.h5 --out one.csv data.policy=bad.json
cut -d, -f3 one.csv | grep -q k1 && fail "a class with a quota of 0 is there"
echo '{"confidence": {"min": 1}, "allow_empty": true}' > bad.json
expect 5 "no rows to train on are left" "$retort" train s.json --out N data.policy=bad.json
expect 2 "chooses rows of a label store" "$retort" train t.json --out N data.policy=p.json
expect 2 "belongs to to=csv" "$retort" export T/model.h5 --out N.npz data.policy=p.json
{ [ -e N.csv ] || [ -e N.npz ] || [ -e N/run.json ]; } && fail "something was written: $(ls)"
expect 2 "did you mean 'summary'?" "$retort" labels sumary L.h5
expect 2 "--policy would do nothing here" "$retort" labels calibrate L.h5 --data d.h5 --policy p.json
expect 2 "--y is a set of --data" "$retort" labels summary L.h5 --y y
expect 2 "--data DATA.h5 with true classes is required" "$retort" labels calibrate L.h5
expect 3 "is no label store" "$retort" labels summary d.h5
expect 3 "has no data set 'z'" "$retort" labels calibrate L.h5 --data d.h5 --y z
cp L.h5 D.h5
at=$(LC_ALL=C grep -obUaP '\x01{64}' D.h5 | head -1 | cut -d: -f1)          # statuses of labelled rows
printf '\003' | dd of=D.h5 bs=1 seek="$at" conv=notrunc 2> /dev/null
expect 3 "is damaged" "$retort" labels verify D.h5
# Weights: rows are drawn in proportion; nothing else of training depends on them, and threads, prefetch and kills change nothing.
cat > w.json <<'X'
{"seed": 5, "model": {"input": [8, 8, 1], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "d.h5", "rows": "300:3000", "validation": 0.1, "labels": "L.h5",
  "policy": {"confidence": {"min": 0.5}, "weights": {"classes": "equal", "confidence": 2}}},
 "loss": {"kind": "kd", "hard": 0, "soft": 1}, "train": {"epochs": 4, "batch": 16}}
X
expect 0 "rows are drawn in proportion" "$retort" train w.json --out W
w=$(grep -o '"digest":[[:space:]]*"[0-9a-f]*"' W/metrics.jsonl | tail -1)
[ -n "$w" ] || fail "no digest"
[ "$(grep -c '"drawn"' W/result.json)" -eq 3 ] || fail "shares of classes: $(grep drawn W/result.json)"
same() { [ "$w" = "$(grep -o '"digest":[[:space:]]*"[0-9a-f]*"' "$1/metrics.jsonl" | tail -1)" ]; }
expect 0 "" "$retort" train w.json --out W2 --threads 2 train.prefetch=0
same W2 || fail "threads or prefetch change weighted training"
expect 0 "" "$retort" train w.json --out W4 'data.policy={"confidence": {"min": 0.5}}'
same W4 && fail "weights change nothing"
for after in 0.05 0.1 0.2; do timeout -s KILL $after "$retort" train w.json --out W3 > log 2>&1; done
expect 0 "" "$retort" train w.json --out W3
same W3 || fail "killed, weighted training goes on to another end"
echo '{"weights": {"classes": "sqrt"}}' > wp.json
expect 0 '"drawn"' "$retort" labels summary L.h5 --json --policy wp.json
expect 2 "an export has each once" "$retort" export L.h5 --out weighted.csv data.policy=wp.json
[ -e weighted.csv ] && fail "an export is left"
exit $failed
