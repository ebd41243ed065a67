#!/bin/sh
# 'retort gate' as a build runs it: exit codes, outputs, and the lines of the examples for GitHub and GitLab.
. "$2/tests/cli/lib.sh"
make_data 3000 band.h5
cat > t.json <<'Y'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16}, "data": {"source": "band.h5", "rows": "0:1000", "validation": 0}, "train": {"epochs": 6, "batch": 32}}
Y
"$retort" train t.json --out good --quiet > /dev/null || fail "train"
"$retort" train t.json --out better --quiet train.epochs=7 > /dev/null || fail "train another"
"$retort" train t.json --out bad --quiet train.epochs=1 train.lr=1e-5 > /dev/null || fail "train a bad one"
rows="--data band.h5 --rows 1000:"
g() { a=$1 b=$2 p=$3; shift 3; "$retort" gate --baseline "$a/model.h5" --candidate "$b/model.h5" --policy "$p" $rows --quiet "$@"; }
policy() { printf '{"format": "retort-policy-1", "limits": [%s]%s}\n' "$1" "$2" > "$3"; }
policy '{"metric": "accuracy", "max_drop": 0.1}, {"metric": "recall", "class": "*", "max_drop": 0.15}, {"metric": "nfr", "max": 0.1}' "" p.json

# A policy for a baseline.
expect 0 "accuracy" "$retort" gate --init good/model.h5 $rows --out init.json --quiet
expect 2 "--force" "$retort" gate --init good/model.h5 $rows --out init.json --quiet
expect 0 "" "$retort" gate --init good/model.h5 $rows --out init.json --force --quiet
grep -q "sha256:$(sha256sum good/model.h5 | cut -d' ' -f1)" init.json || fail "the policy does not name its baseline"
expect 2 "but the policy is for the baseline sha256:" g bad good init.json
expect 2 "--policy does not apply to --init" "$retort" gate --init good/model.h5 $rows --out x.json --policy p.json
expect 2 "--policy is required" "$retort" gate --baseline good/model.h5 --candidate bad/model.h5

# Exit codes, and what stands there.
expect 0 "PASS: better" g good better p.json --out pass
expect 1 "regression: accuracy: drop" g good bad p.json --out fail
[ "$(wc -l < out.txt)" -le 24 ] || fail "more than a screen: $(wc -l < out.txt) lines"
for f in verdict.json gate.md junit.xml gate.html gate.xxh128; do [ -s "fail/$f" ] || fail "no $f"; done
(cd fail && { ! command -v xxhsum > /dev/null || xxhsum -q -c gate.xxh128 > /dev/null; }) || fail "hashes"
head -n 1 fail/gate.md | grep -qx -- '<!-- retort-gate -->' || fail "no marker for one comment"
! command -v xmllint > /dev/null || xmllint --noout fail/junit.xml || fail "junit.xml"
! command -v xmllint > /dev/null || xmllint --html --noout fail/gate.html || fail "gate.html"
sed 's/<h1>/\n&/' fail/gate.html | grep -q '^<h1>bad (.*) against good (.*)</h1><p class="sum bad">REGRESSION: [0-9]* regressions*' || fail "the page does not begin with the verdict"
grep -q '<h3>Classes, by drop of recall</h3>' fail/gate.html && grep -q '<h3>Rows that flipped</h3>' fail/gate.html || fail "the page has no classes or flips"
# The same rows flip as in an evaluation of both, and classes lose as much recall.
expect 0 "" "$retort" eval --baseline good/model.h5 --candidate bad/model.h5 $rows --out ev eval.speed=false --quiet
for what in flips_counted '"row"' '"flip"' '"values"' '_confidence"' '"class":[[:space:]]*[0-9]'; do
    grep "$what" fail/verdict.json | tr -d '\t,' > a.txt
    sed -n '/"comparison":/,$p' ev/evaluation.json | grep "$what" | tr -d '\t,' > b.txt
    [ -s a.txt ] && cmp -s a.txt b.txt || fail "$what: a verdict and an evaluation differ: $(diff a.txt b.txt | head -4)"
done
# Rows of several inputs have no look.
cut -d, -f1-32,65 band.csv > l.csv && cut -d, -f33-64 band.csv > r.csv
"$retort" import l.csv --label -1 --out l.h5 --quiet > /dev/null && "$retort" import r.csv --out r.h5 --quiet > /dev/null || fail "import of both"
x='{"left": "x", "right": {"source": "r.h5", "set": "x"}}'
cat > two.json <<Y
{"model": {"classes": 3, "inputs": [{"name": "left", "shape": [32]}, {"name": "right", "shape": [32]}], "layers": [{"op": "concat", "from": ["left", "right"]}, {"op": "dense", "out": 3}]},
 "data": {"source": "l.h5", "rows": "0:1000", "validation": 0, "x": $x}, "train": {"epochs": 3, "batch": 32}}
Y
"$retort" train two.json --out two1 --quiet > /dev/null && "$retort" train two.json --out two2 --quiet train.epochs=1 train.lr=1e-5 > /dev/null || fail "train of two inputs"
"$retort" gate --baseline two1/model.h5 --candidate two2/model.h5 --policy p.json --data l.h5 --rows 1000: --quiet --out two "data.x=$x" > out.txt 2> err.txt
code=$?
case $code in 0|1|6) grep -q "Rows that flipped" two/gate.html || fail "no flips of two inputs: $(cat out.txt)" ;; *) fail "a gate of two inputs: $code, $(cat err.txt)" ;; esac
command=$(sed -n 's/.*"command":[[:space:]]*"\(retort gate .*\)",$/\1/p' fail/verdict.json | sed 's/\\"/"/g')
eval "\"\$retort\" ${command#retort }" --quiet > out.txt 2> err.txt
[ $? -eq 1 ] || fail "the command of the verdict: $command: $(cat err.txt)"
for d in fail FOLDER; do sed -n '/"limits":/,/"machine":/p' $d/verdict.json > $d.txt; done
cmp -s fail.txt FOLDER.txt || fail "the command of the verdict decides otherwise"
expect 2 "is there; give another folder, or --force" g good better p.json --out fail
# A disk that is full, as far as this process may write: nothing is left.
(small_files 1; g good better p.json --out none > out.txt 2> err.txt)
[ $? -eq 4 ] && [ "$(wc -l < err.txt)" -eq 1 ] && [ ! -e none ] || fail "a full disk: $(cat err.txt; ls none)"
expect 1 "" g good bad p.json --out fail --force
# Of a version that wrote no page: its folder is ours, and a page that stands there is not.
rm fail/gate.html && sed -i '/gate.html/d' fail/gate.xxh128
expect 1 "" g good bad p.json --out fail --force
sed -i '/gate.html/d' fail/gate.xxh128 && echo mine > fail/gate.html
expect 2 "gate.html was not written by a gate" g good bad p.json --out fail --force
grep -qx mine fail/gate.html || fail "a page of somebody else is gone"
expect 2 "did you mean 'accuracy'?" sh -c "sed s/accuracy/acuracy/ p.json > q.json; '$retort' gate --baseline good/model.h5 --candidate bad/model.h5 --policy q.json $rows --out none"
expect 5 "are the same file" g good good p.json --out none
expect 5 "was trained or chosen on 1000 of these" "$retort" gate --baseline good/model.h5 --candidate better/model.h5 --policy p.json --data band.h5 --quiet
expect 3 "none.h5" "$retort" gate --baseline good/model.h5 --candidate none.h5 --policy p.json $rows --out none
expect 2 "needs" "$retort" gate --baseline good/model.h5 --candidate bad/model.h5 --policy
expect 2 "keys of data, and precision" g good bad p.json eval.speed=false
[ ! -e none ] || fail "something is left of a gate that could not be"
policy '{"metric": "accuracy", "max_drop": 0}' "" tight.json
expect 6 "undecided: accuracy" g good better tight.json
policy '{"metric": "accuracy", "max_drop": 0}' ', "mode": "proven"' tight.json
expect 0 "undecided" g good better tight.json
expect 0 '"exit_code":	0' g good better p.json --json
expect 1 '"kind":	"failed"' g good bad p.json --json
g good better p.json --kernels all --json > out.txt 2> err.txt || fail "all kernels: $(cat err.txt)"
grep -q '"kernels":.*"scalar"' out.txt || fail "no limit for plain C: $(cat out.txt)"

# Predictions in place of models; a file that ends early; a full disk.
for m in good bad; do "$retort" predict $m/model.h5 $rows --out $m.h5 --quiet > /dev/null || fail "predict"; done
expect 1 "regression: accuracy" "$retort" gate --baseline good.h5 --candidate bad.h5 --policy p.json --quiet
head -c 3000 bad.h5 > short.h5
expect 3 "short.h5" "$retort" gate --baseline good.h5 --candidate short.h5 --policy p.json --out none --quiet
[ ! -e none ] || fail "something is left of a truncated file"
expect 2 "are predictions" "$retort" gate --baseline good.h5 --candidate bad.h5 --policy p.json --kernels all --quiet

# GitHub: annotations are commands, the summary is added to.
echo "before" > summary.md
GITHUB_STEP_SUMMARY=summary.md g good bad p.json --github > out.txt 2> err.txt
[ $? -eq 1 ] || fail "with --github: $(cat err.txt)"
grep -q '^::error title=retort gate%3A regression accuracy::drop ' err.txt || fail "no annotation: $(cat err.txt)"
head -n 1 summary.md | grep -qx before && grep -q '^## REGRESSION' summary.md || fail "summary: $(cat summary.md)"

# The examples: their lines run as a build runs them, on a pair that holds and on one that does not.
mkdir bin ci
ln -s "$retort" bin/retort
cp good/model.h5 ci/baseline.h5
tail -n +1001 band.csv > rest.csv                                       # rows that nobody has seen
"$retort" import rest.csv --label -1 --out ci/test.h5 --quiet > /dev/null || fail "import of the rest"
lines() { # of a block "key: |" or of a list "key:" in a YAML file
    awk -v key="$2" '$1 == key { at = match($0, /[^ ]/); on = 1; next }
        on && NF { if (match($0, /[^ ]/) <= at) on = 0 }
        on { sub(/^ *(- )?/, ""); print }' "$root/experiments/ci/$1"
}
lines github.yml run: > github.sh
lines gitlab.yml script: > gitlab.sh
for f in github gitlab; do
    grep -q "retort gate" $f.sh || fail "no line of $f.yml: $(cat $f.sh)"
    for m in better bad; do
        cp $m/model.h5 ci/candidate.h5
        cp p.json ci/policy.json
        want=0
        [ $m = bad ] && want=1
        (cd ci && PATH="$tmp/bin:$PATH" BASELINE=baseline.h5 CANDIDATE=candidate.h5 TEST=test.h5 POLICY=policy.json \
            GITHUB_STEP_SUMMARY="$tmp/ci/summary.md" sh -e ../$f.sh) > out.txt 2> err.txt
        got=$?
        [ $got -eq $want ] || fail "$f.yml with $m: exit $got: $(cat err.txt)"
        [ -s ci/gate/junit.xml ] || fail "$f.yml leaves no junit.xml"
    done
done
grep -q "exit_codes: \[6\]" "$root/experiments/ci/gitlab.yml" || fail "gitlab.yml does not allow 6"
exit $failed
