#!/bin/sh
# The command on a report's page does the same again, whatever stands in its paths.
. "$2/tests/cli/lib.sh"
make_data 400 "it's <d> & \"so\".h5"
cat > t.json <<'J'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}, "train": {"epochs": 2, "batch": 50}, "data": {"validation": 50}}
J
for s in 1 2; do
    "$retort" train t.json --out M$s --quiet --seed $s "data.source=it's <d> & \"so\".h5" data.test=0.25 > /dev/null || fail "train"
done
expect 0 "report: E/report.html" "$retort" eval --baseline M1/model.h5 --candidate M2/model.h5 --data "it's <d> & \"so\".h5" --out E \
    data.test=0.25 eval.speed=false compare.confidence=0.9
command=$(sed -n 's/.*<pre>\(retort eval .*\)<\/pre>.*/\1/p' E/report.html |
    sed "s/&quot;/\"/g; s/&#39;/'/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g")
[ -n "$command" ] || fail "no command on the page"
eval "\"\$retort\" ${command#retort }" --quiet > out.txt 2> err.txt || fail "the command fails: $command: $(cat err.txt)"
# all but the clock: the time, and what the machine is
same() { sed '/"time":/d; /"finished/d' "$1/evaluation.json"; }
same E > a.txt
same FOLDER > b.txt
cmp -s a.txt b.txt || fail "it answers otherwise: $(diff a.txt b.txt | head -8)"
if command -v xmllint > /dev/null; then xmllint --html --noout E/report.html 2> err.txt || fail "the page: $(head -3 err.txt)"; fi
exit $failed
