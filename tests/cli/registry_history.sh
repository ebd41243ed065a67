#!/bin/sh
# The worked example of a slow drift in small, and what gate and history say of it: every step passes against its
# predecessor, and the anchor alone stops it.
. "$2/tests/cli/lib.sh"
awk 'BEGIN {
    srand(7)
    for (i = 0; i < 11000; i++) {
        c = int(rand() * 3); line = ""
        for (y = 0; y < 8; y++) for (x = 0; x < 8; x++) line = line int(rand() * 120 + (int(y / 3) == c ? 14 : 0)) ","
        print line "k" c
    }
}' > faint.csv
mkdir run
head -n 6000 faint.csv > first.csv
tail -n +6001 faint.csv > rest.csv
"$retort" import first.csv --label -1 --out run/train_images.h5 --quiet > /dev/null || fail "import"
"$retort" import rest.csv --label -1 --out run/test_images.h5 --quiet > /dev/null || fail "import of the rest"
cat > t.json <<'Y'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16},
 "data": {"source": "run/train_images.h5", "rows": "0:1000", "validation": 0}, "train": {"epochs": 6, "batch": 32}}
Y
"$retort" train t.json --out run/student_mlp --quiet > /dev/null || fail "train"
# From the fourth version on it learns, slowly, from a model that knows little.
"$retort" train t.json --out bad --quiet data.rows=0:40 train.epochs=2 --seed 5 > /dev/null || fail "train a bad one"
"$retort" label --teacher bad/model.h5 --data run/train_images.h5 --out run/labels.h5 --quiet > /dev/null || fail "label"
RUN=$tmp/run OUT=$tmp/out RETORT=$retort VERSIONS=8 ROWS=500 LIMIT=0.035 GOOD="train.lr=1e-5" DRIFT="train.lr=0.02" \
    sh "$root/experiments/registry/registry_example.sh" > example.txt 2> err.txt || fail "the example: $(cat err.txt)"
[ "$(awk 'NR > 1 && NR < 9 { print $2 }' example.txt | sort -u)" = pass ] || fail "a step is caught by itself: $(cat example.txt)"
[ "$(awk 'NR > 1 && NR < 5 { print $3 }' example.txt | sort -u)" = pass ] || fail "the anchor is against what is good"
[ "$(awk 'NR == 8 { print $3 }' example.txt)" = regression ] || fail "the drift is not caught: $(cat example.txt)"
grep -q "has been used for 7 decisions" example.txt || fail "decisions: $(cat example.txt)"
r="--registry out/registry"

# History: as JSON the same numbers, and a page that another parser reads.
expect 0 '"better":	"higher"' "$retort" registry history student accuracy $r --json
grep -q '"drop_from":	"pairs"' out.txt || fail "no drop of pairs: $(cat out.txt)"
[ "$(grep -c '"version":' out.txt)" -eq 8 ] || fail "not eight versions: $(cat out.txt)"
expect 2 "exists" "$retort" registry history student $r --html out/history.html
expect 0 "page: out/history.html" "$retort" registry history student $r --html out/history.html --force --last 4
grep -q "<td>student@8</td>" out/history.html && ! grep -q "<td>student@4</td>" out/history.html || fail "not the last four"
echo "mine" > mine.html
expect 2 "mine.html" "$retort" registry history student $r --html mine.html --force
expect 2 "--force goes with --html" "$retort" registry history student $r --force
expect 5 "did you mean 'accuracy'?" "$retort" registry history student acuracy $r
if command -v xmllint > /dev/null; then xmllint --html --noout out/history.html 2> err.txt || fail "the page: $(head -3 err.txt)"; fi

# A gate by names of versions: one look more, twice; what it says of the rows' wear stands in every form.
cat > spend.json <<'Y'
{"format": "retort-policy-1", "spending": "pocock", "releases": 9, "limits": [{"metric": "accuracy", "max_drop": 0.05},
 {"metric": "accuracy", "max_drop": 0.2, "against": "anchor"}]}
Y
g() { "$retort" gate --baseline student@1 --candidate student@8 --policy spend.json --data run/test_images.h5 --quiet "$@"; }
expect 2 "a registry counts them" "$retort" gate --baseline run/student_mlp/model.h5 --candidate out/v8/model.h5 \
    --policy spend.json --data run/test_images.h5 --quiet
for again in 0 1; do
    expect 6 "look 8 of 9 on this test set" g $r --out "wear$again"
    grep -q "used for 8 decisions" out.txt || fail "the screen: $(cat out.txt)"
    grep -q "alpha 0.00[0-9]* of 0.05 (pocock, two-sided; 0.04" out.txt || fail "alpha: $(cat out.txt)"
    grep -q "<system-out>look 8 of 9 .*used for 8 decisions</system-out>" "wear$again/junit.xml" || fail "junit.xml"
    grep -q "^Look 8 of 9 .*used for 8 decisions\.$" "wear$again/gate.md" || fail "gate.md"
    grep -q '"look":	8' "wear$again/verdict.json" || fail "verdict.json"
    ! command -v xmllint > /dev/null || xmllint --noout "wear$again/junit.xml" || fail "junit.xml is no XML"
done
grep -q "(made before)" out.txt || fail "not said to be made before: $(cat out.txt)"
grep -q "student@8 (.*against student@1 (.*and the anchor student@1 (" out.txt || fail "names: $(cat out.txt)"
sed 's/0.05}/0.06}/' spend.json > other.json
expect 6 "look 9 of 9" "$retort" gate --baseline student@1 --candidate student@8 --policy other.json --data run/test_images.h5 --quiet $r
sed 's/0.05}/0.07}/' spend.json > other.json
expect 5 "used for 9 decisions, and 9 releases were planned" "$retort" gate --baseline student@1 --candidate student@8 \
    --policy other.json --data run/test_images.h5 --quiet $r --out none
[ ! -e none ] || fail "something is left of what is refused"

# As a step of an experiment: skipped while nothing has changed, made anew when another anchor was pinned.
cat > run.json <<'Y'
{"steps": [{"name": "g", "do": "gate", "with": {"baseline": "out/v2/model.h5", "candidate": "out/v3/model.h5",
 "policy": "out/release.json", "registry": "out/registry", "data": {"source": "run/test_images.h5"}}}]}
Y
for want in done unchanged done; do
    "$retort" run run.json --out steps --quiet --json > out.txt 2> err.txt || fail "run: $(cat err.txt)"
    grep -q "\"state\":.*\"$want\"" out.txt || fail "the step is not $want: $(cat out.txt)"
    [ $want != unchanged ] || "$retort" registry tag student@2 --anchor 2.0 $r --quiet > /dev/null || fail "pin"
done
grep -q '"release":	"2.0"' steps/g/verdict.json || fail "not against the new anchor"
exit $failed
