#!/bin/sh
# A gate as a step of an experiment: it passes, or its exit code is the experiment's, with a verdict in its folder; what is
# unchanged is not asked again, and says the same.
. "$2/tests/cli/lib.sh"
make_data 900 d.h5
student() { printf '{"name": "%s", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16, "depth": 1}, "data": {"source": "d.h5", "rows": "0:500", "validation": 50}, "train": {"epochs": %s, "batch": 50, "lr": %s}}}' "$1" "$2" "$3"; }
gate() { printf '{"name": "check", "do": "gate", "with": {"baseline": "%s", "candidate": "%s", "policy": "p.json", "data": {"source": "d.h5", "rows": "500:900"}}}' "$1" "$2"; }
printf '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.1}]}\n' > p.json
after='{"name": "out", "do": "export", "with": {"input": "${good}", "to": "npz"}}'
# shellcheck disable=SC2016
{
    printf '{"name": "x", "steps": [%s, %s, %s, %s]}\n' "$(student good 8 0.05)" "$(student other 8 0.04)" "$(gate '${good}' '${other}')" "$after" > pass.json
    printf '{"name": "x", "steps": [%s, %s, %s, %s]}\n' "$(student good 8 0.05)" "$(student bad 1 0.00001)" "$(gate '${good}' '${bad}')" "$after" > fail.json
    printf '{"name": "x", "steps": [%s, %s]}\n' "$(student good 8 0.05)" "$(gate '${good}' '${good}')" > same.json
}
expect 0 "accuracy" "$retort" run pass.json --out P --quiet
[ -e P/check/verdict.json ] && [ -e P/check/gate.md ] && [ -e P/check/junit.xml ] || fail "no verdict"
grep -q '"verdict":[[:space:]]*"pass"' P/check/verdict.json || fail "the verdict: $(cat P/check/verdict.json)"
[ -e P/out.npz ] || fail "no step after the gate"
expect 0 "unchanged    check" "$retort" run pass.json --out P --quiet
expect 1 "step 'check': the verdict of gate is: regression" "$retort" run fail.json --out F --quiet
grep -q '"verdict":[[:space:]]*"regression"' F/check/verdict.json || fail "the verdict: $(cat F/check/verdict.json)"
[ ! -e F/out.npz ] || fail "a step ran after a gate that failed"
grep -q "accuracy" out.txt || fail "the screen does not say what failed: $(cat out.txt)"
cp F/check/verdict.json was.json
expect 1 "unchanged    check" "$retort" run fail.json --out F --quiet
cmp -s was.json F/check/verdict.json || fail "the gate was asked again"
"$retort" run fail.json --out F --quiet --json > j.json 2> err.txt
[ $? -eq 1 ] && grep -q '"regression"' j.json || fail "as JSON: $(head -c 300 j.json)"
# a policy that changes is asked
printf '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.99}]}\n' > p.json
expect 0 "" "$retort" run fail.json --out F --quiet
grep -q '"verdict":[[:space:]]*"pass"' F/check/verdict.json || fail "the new policy was not asked"
[ -e F/out.npz ] || fail "no step after the gate that passes now"
expect 5 "step 'check'" "$retort" run same.json --out S --quiet
# before anything runs
printf '{"format": "retort-policy-1", "limits": [{"metric": "acuracy", "max_drop": 0.1}]}\n' > p.json
expect 2 "did you mean 'accuracy'" "$retort" run pass.json --out N --quiet
sed 's/"policy": "p.json"/"policy": "none.json"/' pass.json > q.json
expect 3 "policy: 'none.json'" "$retort" run q.json --out N --quiet
sed 's/"policy": "p.json", //' pass.json > q.json
expect 2 "policy" "$retort" run q.json --out N --quiet
sed 's/"candidate": "${other}", //' pass.json > q.json
expect 2 "candidate: a model, predictions" "$retort" run q.json --out N --quiet
[ ! -e N/good ] || fail "a step ran before all were checked"
exit $failed
