#!/bin/sh
# Teachers that are no models, as a user meets them: a program, whole, killed, slow, noisy, ended and gone on with; answers in
# files; mixtures; in label, train, eval, predict, info and run.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
child=$(dirname "$retort")/tests/child_teacher
[ -x "$child" ] || { echo "no $child"; exit 1; }
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
now() { date +%s%N; }

make_data 3000 d.h5
spec() { # file, then further keys
    printf '{"command": ["%s", "3", "env"], "version": "1", "classes": ["k2", "k0", "k1"]%s}\n' "$child" "$2" > "$1"
}
spec t.json ''
label() { expect 0 "" "$retort" label --data d.h5 --json "$@"; }

# Whatever happens to the program: the same bytes.
label --teacher t.json --out direct.h5
[ "$(number rows_labelled out.txt)" = 3000 ] || fail "rows_labelled: $(cat out.txt)"
grep -q '"k0":' out.txt || fail "classes have no names: $(cat out.txt)"
for how in "crash-once 1 $tmp/c1" "crash-once 20 $tmp/c2" "exit-once 48 $tmp/c3" "slow 0.005" "chatty" "parent" "stays"; do
    CHILD_HOW=$how label --teacher t.json --out other.h5
    cmp -s direct.h5 other.h5 || fail "$how: other labels"
    case $how in *once*) grep -q 'it is started again, and asked again about rows' out.txt || fail "$how is not said: $(cat out.txt)" ;; esac
    rm -f other.h5
done
CHILD_HOW=chatty expect 0 "child_teacher: ccccc" "$retort" label --teacher t.json --data d.h5 --out other.h5
grep -q "has said 1000 lines; what follows is not shown" err.txt || fail "noise is shown without end"
rm -f other.h5
label --teacher "$(cat t.json)" --out other.h5 label.batch=77 --threads 1
cmp -s direct.h5 other.h5 || fail "as text, in other batches: other labels"
rm -f other.h5

# One clear error, with what was labelled before kept.
CHILD_HOW="wider" expect 3 "rows 0 to 63 it answers an array of shape (64, 4), where (64, 3) is expected" "$retort" label --teacher t.json --data d.h5 --out e.h5
CHILD_HOW="reverse" expect 3 "it mixes up rows" "$retort" label --teacher t.json --data d.h5 --out e.h5
CHILD_HOW="nan 2" expect 3 "row 2" "$retort" label --teacher t.json --data d.h5 --out e.h5
CHILD_HOW="quit 1" expect 4 "ended with status 4 when it was asked about rows 0 to 63, for the third time" "$retort" label --teacher t.json --data d.h5 --out e.h5
spec slow.json ', "start_seconds": 0.3'
CHILD_HOW="hang 1" expect 4 "gave no answer within 0.3 seconds" "$retort" label --teacher slow.json --data d.h5 --out e.h5
spec bad.json ', "bacth": 3'
expect 2 "teacher.bacth: unknown key; did you mean 'batch'?" "$retort" label --teacher bad.json --data d.h5 --out e.h5
printf '{"command": ["%s", "3", "env"], "version": "1", "classes": ["k2", "k0", "kx"]}' "$child" > bad.json
expect 3 "k2, k0, kx" "$retort" label --teacher bad.json --data d.h5 --out e2.h5
grep -q "k0, k1, k2" err.txt || fail "the data's classes are not told: $(cat err.txt)"
[ -e e2.h5 ] && fail "bad classes leave a store"

# Killed and interrupted while the program is slow: it goes, too; the same command goes on, to the same bytes.
gone() { for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2> /dev/null || return 0; sleep 0.1; done; ! grep -q '^State:.*[RSD]' "/proc/$1/status" 2> /dev/null; }
for sig in KILL TERM HUP; do
    rm -f k.h5 k.h5.journal pid
    CHILD_HOW="pid $tmp/pid 0.03" "$retort" label --teacher t.json --data d.h5 --out k.h5 --quiet > k.txt 2>&1 &
    us=$!
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do [ -s pid ] && break; sleep 0.1; done
    sleep 0.3
    start=$(now)
    kill -$sig $us
    wait $us
    code=$?
    took=$((($(now) - start) / 1000000))
    [ $sig = KILL ] || [ $code = 130 ] || fail "SIG$sig: exit $code: $(cat k.txt)"
    [ $took -lt 1500 ] || fail "SIG$sig: took $took ms"
    gone "$(cat pid)" || fail "SIG$sig: the program runs on"
    label --teacher t.json --out k.h5
    cmp -s direct.h5 k.h5 || fail "SIG$sig: another store after it went on"
done

# Another version, another teacher: refused.
sed 's/"version": "1"/"version": "2"/' t.json > t2.json
expect 2 "holds labels by another" "$retort" label --teacher t2.json --data d.h5 --out direct.h5

# In the loop, with views; the evaluation; predictions; what it is.
cat > s.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16, "depth": 1}, "teacher": "t.json",
 "data": {"source": "d.h5", "validation": 300}, "augment": {"mixup": 0.2}, "train": {"epochs": 2, "batch": 64}}
X
expect 0 "" "$retort" train s.json --out S
CHILD_HOW="crash-once 30 $tmp/c9" expect 0 "it is started again" "$retort" train s.json --out S2
cmp -s S/model.h5 S2/model.h5 || fail "a teacher that was killed taught otherwise"
expect 0 '"version":' "$retort" info S/model.h5 --json
rm -rf S3
"$retort" train s.json --out S3 train.epochs=40 --quiet > /dev/null 2>&1 &
us=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do ls S3/checkpoints/* > /dev/null 2>&1 && break; sleep 0.1; done
kill -TERM $us
wait $us
[ $? = 130 ] || [ $? = 0 ] || fail "train: exit $?"
rm -rf S5                                             # interrupted while it is waited for: saved, and gone on with to the same bits
CHILD_HOW="slow 0.03" "$retort" train s.json --out S5 > /dev/null 2> s5.txt &
us=$!
sleep 1.5
kill -TERM $us
wait $us
[ $? = 130 ] || fail "train with a slow teacher: exit $?: $(cat s5.txt)"
grep -q "interrupted after [1-9][0-9]* of" s5.txt || fail "where it was interrupted is not said: $(tail -1 s5.txt)"
expect 0 "resumed at step" "$retort" train s.json --out S5
cmp -s S/model.h5 S5/model.h5 || fail "gone on with after its teacher was interrupted, it learnt otherwise"
sed 's/"version": "1"/"version": "7"/' t.json > t7.json
if [ ! -e S3/result.json ]; then
    expect 2 "was trained with another teacher" "$retort" train s.json --out S3 train.epochs=40 teacher=t7.json
fi
expect 0 "" "$retort" eval --teacher t.json --student S/model.h5 --data d.h5 --out E --json eval.latency_samples=64 eval.seconds=0.01 eval.rounds=2 speed.seconds=0
grep -q "it is not timed" out.txt || fail "a process is timed: $(cat out.txt)"
grep -q '"kl_from_teacher' out.txt || fail "no KL: $(head -c 2000 out.txt)"
expect 0 "" "$retort" predict t.json --data d.h5 --out p.npy
expect 0 "" "$retort" export direct.h5 --out direct.npy
tail -c 36000 p.npy > p.raw; tail -c 36000 direct.npy > d.raw
cmp -s p.raw d.raw || fail "predictions are not the labels"
expect 0 '"kind":' "$retort" info t.json --json
grep -q '"process"' out.txt && grep -q '"version":	"1"\|"version": "1"' out.txt || fail "info: $(cat out.txt)"

# Answers from a file: by number, by id, as f16, as classes; the same rows, the same labels.
label --from direct.npy --classes k2,k0,k1 --out from.h5
expect 0 "" "$retort" export from.h5 --out from.npy
cmp -s from.npy direct.npy || fail "labels from a file are not those in it"
sed 's/"teacher": "t.json", *$//; s/"augment": {"mixup": 0.2}, //' s.json > cached.json
expect 0 "" "$retort" train cached.json --out S4 data.labels=from.h5
label --from direct.npy --classes k2,k0,k1 --out from16.h5 labels.type=f16
label --from from.h5:labels/logits --like direct.h5 --out again.h5
expect 0 "" "$retort" export again.h5 --out again.npy
cmp -s again.npy direct.npy || fail "labels from a set are not those in it"
head -n 100 band.csv > few.csv
expect 0 "" "$retort" import few.csv --label -1 --like d.h5 --out few.h5
expect 3 "has 3000 rows, and the data few.h5 has 100: which answers which?" "$retort" label --from direct.npy --data few.h5 --out n.h5
expect 3 "k0, k1, k2" "$retort" label --from direct.npy --classes k2,k0,kz --data d.h5 --out n.h5
expect 2 "belongs to --from" "$retort" label --gives logits --teacher t.json --data d.h5 --out n.h5
expect 2 "either a teacher or --from" "$retort" label --from direct.npy --teacher t.json --data d.h5 --out n.h5
expect 3 "names cannot be matched with numbers" "$retort" label --from d.h5:y --gives classes --classes 3 --data d.h5 --out n.h5
expect 3 "says class 2 of row" "$retort" label --from d.h5:y --gives classes --classes 2 --data d.h5 --out n.h5 data.names=position
label --from d.h5:y --gives classes --classes k0,k1,k2 --out classes.h5
expect 2 "" "$retort" label --from from.h5:labels/logits --like direct.h5 --data d.h5 --out from.h5 --force

# By a set that both files have: here the rows of the one are those of the other backwards, without the last ten.
awk 'BEGIN { print "a,b,key"; for (i = 0; i < 1500; i++) print i % 7 / 8 "," i % 5 / 8 "," i * 3 }' > ids.csv
awk 'BEGIN { print "u,v,w,key"; for (i = 1489; i >= 0; i--) print i / 1024 "," i % 8 / 8 "," 1 "," i * 3 }' > answers.csv
expect 0 "" "$retort" import ids.csv --target key --out ids.h5
expect 0 "" "$retort" import answers.csv --target key --out answers.h5
expect 3 "has no answer to 10 of 1500 rows, the first of them row 1490" "$retort" label --from answers.h5:x --id key --data ids.h5 --out i.h5
[ -e i.h5 ] && fail "rows without answers leave a store"
expect 0 "has no answer to 10 of 1500 rows" "$retort" label --from answers.h5:x --id key --data ids.h5 --out i.h5 --json label.bad_rows=mark
[ "$(number bad_answer out.txt)" = 10 ] && [ "$(number rows_labelled out.txt)" = 1490 ] || fail "rows by id: $(cat out.txt)"
expect 0 "" "$retort" export i.h5 --out i.npy
tail -c 18000 i.npy | od -An -v -tf4 -w12 | awk 'NR <= 1490 && (($1 - (NR - 1) / 1024) ^ 2 > 1e-9 || $2 != (NR - 1) % 8 / 8 || $3 != 1) { print NR - 1 ": " $0; n++ }
    END { exit NR != 1500 || n }' > bad.txt || fail "answers by id are those of other rows: $(head -2 bad.txt)"

# Several: with an object each, chosen by labels, and what was chosen.
cat > mix.json <<'X'
{"mix": "logits", "teachers": [{"file": "S/model.h5", "weight": 2, "temperature": 1.5}, "t.json"]}
X
label --teacher mix.json --out mix.h5
label --teacher S/model.h5 --teacher t.json --out mix2.h5
cat > best.json <<'X'
{"mix": "best", "teachers": ["t.json", {"from": "d.h5:y", "gives": "classes", "classes": ["k0", "k1", "k2"]}], "validation": {"source": "d.h5", "rows": "0:500"}}
X
label --teacher best.json --out best.h5
grep -q 'is the best on 500 labelled rows: accuracy 1.0000' out.txt || fail "the choice is not said: $(cat out.txt)"
expect 0 '"chosen":' "$retort" info best.h5 --json
label --teacher best.json --out best.h5
[ "$(number labelled_now out.txt)" = 0 ] || fail "a finished store of the best is labelled again"

# Of a pair each side is asked about each row once: 3,000 rows are 47 arrays, and starting a program takes some, too.
printf 'tee -a asked.bin | "%s" 3 env\n' "$child" > count.sh
printf '{"command": ["sh", "count.sh"], "version": "1", "classes": ["k2", "k0", "k1"]}\n' > count.json
asked() { grep -a -o NUMPY asked.bin | wc -l; rm -f asked.bin; }
expect 0 "" "$retort" predict count.json --data d.h5 --out once.h5
once=$(asked)
expect 0 "" "$retort" eval --baseline count.json --candidate t.json --data d.h5 --out pair eval.speed=false
pair=$(asked)
[ "$once" -ge 47 ] && [ "$pair" -ge 47 ] && [ "$pair" -lt $((once + 24)) ] || fail "a pair asks $pair times, predict $once"

# A recipe, whose steps name them.
cat > run.json <<'X'
{"name": "teachers", "out": "R", "steps": [
  {"name": "labels", "do": "label", "with": {"teacher": "t.json", "data": {"source": "d.h5"}}},
  {"name": "student", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
   "data": {"source": "d.h5", "labels": "${labels}", "validation": 300}, "train": {"epochs": 1}}},
  {"name": "mixed", "do": "label", "with": {"teacher": {"mix": "probabilities", "teachers": ["${student}", "t.json"]}, "data": {"source": "d.h5"}}},
  {"name": "report", "do": "eval", "with": {"teacher": "t.json", "students": ["${student}", ["${student}", "t.json"]], "data": {"source": "d.h5"}, "eval": {"speed": false}}}]}
X
expect 0 "" "$retort" run run.json
expect 0 "unchanged" "$retort" run run.json
sed -i 's/"version": "1"/"version": "3"/' t.json
"$retort" run run.json > again.txt 2>&1
grep -q "unchanged" again.txt && grep -q "labels.*unchanged" again.txt && fail "another version of a teacher is taken as the same: $(cat again.txt)"
exit $failed
