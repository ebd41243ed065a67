#!/bin/sh
# 'retort run' with steps that judge labels: calibrate, clean, vote, select. Each is skipped when nothing changed, made anew when
# what it made is gone or was changed, and refused before the first step where its configuration is wrong.
. "$2/tests/cli/lib.sh"
make_data 900 band.h5
cat > q.json <<'X'
{"name": "quality", "out": "R", "seed": 3, "steps": [
  {"name": "half", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 12},
    "data": {"source": "band.h5", "rows": "0:400", "validation": 0}, "train": {"epochs": 1, "batch": 64}}},
  {"name": "labels", "do": "label", "with": {"teacher": "${half}", "data": {"source": "band.h5"}}},
  {"name": "warm", "do": "calibrate", "with": {"labels": "${labels}", "data": {"source": "band.h5", "rows": "400:"}}},
  {"name": "answers", "do": "predict", "with": {"model": "${half}", "data": {"source": "band.h5", "rows": "400:"}}},
  {"name": "keep", "do": "clean", "with": {"from": "${answers}", "method": "predicted_neq_given", "data": {"source": "band.h5"}}},
  {"name": "voted", "do": "vote", "with": {"voters": ["${labels}", "band.h5:y"], "vote": {"method": "majority"}}},
  {"name": "todo", "do": "select", "with": {"from": "${answers}", "n": 5, "by": "margin"}},
  {"name": "student", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8},
    "data": {"source": "band.h5", "rows": "400:", "validation": 0, "labels": "${voted}", "mask": "${keep}",
      "policy": {"temperature": "${warm}", "confidence": {"min": 0.4}}},
    "loss": {"kind": "kd", "hard": 0, "soft": 1}, "train": {"epochs": 1, "batch": 32}}}]}
X
state() { # step: what the last run did
    sed -n "s/^\(done\|unchanged\|failed\)  *$1 .*/\1/p" out.txt
}
all() { # state of all steps
    [ "$(grep -c "^$1 " out.txt)" -eq 8 ] || fail "not all $1: $(cat out.txt)"
}
expect 0 "" "$retort" run q.json
all "done"
cp R/keep.h5 keep.h5
cp R/keep.csv keep.csv
cp R/warm.json warm.json
# What the commands themselves make of the same is the same.
"$retort" clean R/answers.h5 --data band.h5 --method predicted_neq_given --out own.csv --mask own.h5 --quiet > log || fail "clean"
cmp -s own.csv R/keep.csv && cmp -s own.h5 R/keep.h5 || fail "a step cleans in another way than the command"
[ "$(wc -l < R/keep.csv)" -gt 2 ] || fail "nothing was found: $(cat R/keep.csv)"
"$retort" select R/answers.h5 --n 5 --by margin --out own_todo.csv --quiet > log || fail "select"
cmp -s own_todo.csv R/todo.csv || fail "a step selects in another way than the command"
"$retort" labels calibrate R/labels.h5 --data band.h5 --rows 400: --json > own.json || fail "calibrate"
t=$(grep '"temperature"' R/warm.json | tr -dc '0-9.')
[ "$t" = "$(grep '"temperature"' own.json | tr -dc '0-9.')" ] && [ -n "$t" ] || fail "temperature $t"
grep -q "\"temperature\":[[:space:]]*$t" R/student/result.json || fail "the policy has no temperature $t: $(grep temperature R/student/result.json)"
expect 0 "" "$retort" run q.json
all "unchanged"

# The second file of a step counts, and so does a file that was changed.
rm R/keep.csv
expect 0 "" "$retort" run q.json
[ "$(state keep)$(state student)$(state todo)" = "doneunchangedunchanged" ] || fail "list gone: $(cat out.txt)"
cmp -s R/keep.csv keep.csv && cmp -s R/keep.h5 keep.h5 || fail "not the same list and mask again"
rm R/todo.csv R/warm.json R/voted.h5
expect 0 "" "$retort" run q.json
[ "$(state todo)$(state warm)$(state voted)$(state student)" = "donedonedoneunchanged" ] || fail "files gone: $(cat out.txt)"
cmp -s R/warm.json warm.json || fail "another temperature"
printf 'x' >> R/keep.csv
expect 2 "step 'keep'" "$retort" run q.json
rm R/keep.csv
sed 's/predicted_neq_given/low_self_confidence/' q.json > q2.json
expect 0 "" "$retort" run q2.json
[ "$(state keep)$(state answers)" = "doneunchanged" ] || fail "another method: $(cat out.txt)"

# Wrong configurations are found before the first step runs.
refused() { # code message sed
    sed "$3" q.json > bad.json
    expect "$1" "$2" "$retort" run bad.json --out B
    [ -e B ] && fail "$2: a folder is left"
}
refused 2 "step 'keep': method" 's/predicted_neq_given/prune/'
refused 2 "step 'todo': n" 's/"n": 5/"n": 0/'
refused 2 "step 'todo': seed: does nothing" 's/"n": 5/"n": 5, "seed": 2/'
refused 2 "step 'voted': vote.method" 's/"majority"/"most"/'
refused 2 "step 'warm'" 's/"labels": "${labels}", "data"/"data"/'
refused 3 "no step before this one makes it" 's/"labels": "${labels}", "data"/"labels": "gone.h5", "data"/'
refused 3 "no step before this one makes it" 's/"voters": \["${labels}"/"voters": ["gone.h5"/'
refused 3 "no step before this one makes it" 's/"from": "${answers}", "n"/"from": "gone.h5", "n"/'
refused 3 "gone.json" 's/"temperature": "${warm}"/"temperature": "gone.json"/'
expect 0 "calibrate" "$retort" run --help
# The recipe, on other data.
mv band.h5 train_images.h5
make_data 200 test_images.h5
sed -e 's#runs/fashion/##g' -e 's/\[28, 28, 1\], "classes": 10/[64], "classes": 3/' -e 's/"epochs": 30/"epochs": 2/' \
    -e 's/"data": {"source": "test_images.h5"}}}$/"data": {"source": "test_images.h5"}, "eval": {"speed": false}}}/' \
    "$root/experiments/quality.json" > recipe.json
expect 0 "" "$retort" run recipe.json --out Q
[ "$(grep -c '^done ' out.txt)" -eq 8 ] || fail "the recipe: $(cat out.txt)"
[ -s Q/issues.h5 ] && [ -s Q/issues.csv ] && [ -s Q/leaks.csv ] && [ "$(wc -l < Q/ask.csv)" -eq 21 ] && [ "$(wc -l < Q/odd.csv)" -eq 3 ] ||
    fail "files of the recipe: $(ls Q)"
expect 0 "" "$retort" run recipe.json --out Q
[ "$(grep -c '^unchanged ' out.txt)" -eq 8 ] || fail "the recipe again: $(cat out.txt)"
exit $failed
