#!/bin/sh
# Signals at random times end every command within a second, in all its phases; what was begun goes on. SIGNALS=20 sets how
# many each command gets (default 1).
. "$2/tests/cli/lib.sh"
signals=${SIGNALS:-1}
limit=2000                                             # milliseconds, on a machine that others use, too
make_data 20000 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]}, {"op": "conv2d", "out": 16, "kernel": 3, "padding": 1}, {"op": "batch_norm"},
   {"op": "relu"}, {"op": "flatten"}, {"op": "dense", "out": 64}, {"op": "relu"}, {"op": "dense", "out": 3}]},
 "data": {"source": "band.h5", "validation": 9000}, "train": {"epochs": 1, "batch": 128}}
X
cat > arch.json <<'X'
{"input": [28, 28, 1], "classes": 10, "family": "cnn", "width": 16, "depth": 3}
X
cat > run.json <<'X'
{"out": "run", "steps": [{"name": "d", "do": "import", "with": {"input": "band.csv", "label": "-1"}},
  {"name": "l", "do": "label", "with": {"teacher": "T/model.h5", "data": {"source": "${d}"}}},
  {"name": "e", "do": "predict", "with": {"model": "T/model.h5", "data": {"source": "${d}"}, "to": "csv"}}]}
X
"$retort" train t.json --out T --quiet train.epochs=1 data.rows=0:10000 > /dev/null || fail "train"
cat > policy.json <<'X'
{"format": "retort-policy-1", "limits": [{"metric": "macro_f1", "max_drop": 0.1}, {"metric": "recall", "class": "*", "max_drop": 0.1},
  {"metric": "latency_p50", "max_ratio": 1.1}], "speed": {"seconds": 86400, "samples": 10000000}}
X
ms() { echo $(($(date +%s%N) / 1000000)); }
turn=0
# hit SECONDS command...: a signal within that time, each time another one
hit() {
    most=$1; shift
    turn=$((turn + 1))
    case $((turn % 3)) in 0) sig=INT ;; 1) sig=TERM ;; 2) sig=HUP ;; esac
    # A shell lets what runs beside it ignore SIGINT, and the program keeps to that.
    env --default-signal=INT "$@" > out.txt 2> err.txt < /dev/null &
    pid=$!
    begun=0                                            # before it is loaded it does not know of signals
    while [ $begun -lt 300 ] && grep -q '^SigCgt:.0*$' /proc/$pid/status 2> /dev/null; do sleep 0.01; begun=$((begun + 1)); done
    sleep "$(awk -v s=$((turn * 7919)) -v m="$most" 'BEGIN { srand(s); rand(); printf "%.3f", 0.05 + rand() * m }')"
    before=$(ms)
    kill -$sig $pid 2> /dev/null
    wait $pid
    code=$?
    took=$(($(ms) - before))
    [ $code -eq 130 ] || [ $code -eq 0 ] || fail "exit $code after SIG$sig: $*: $(cat err.txt)"
    [ $took -le $limit ] || fail "$took ms after SIG$sig: $*"
    [ $code -ne 130 ] || grep -q '^retort: .*interrupted' err.txt || fail "no word of it after SIG$sig: $*: $(cat err.txt)"
    [ "$signals" -eq 1 ] || echo "SIG$sig, exit $code, $took ms: $*"
}
i=0
while [ $i -lt "$signals" ]; do
    i=$((i + 1))
    hit 0.3 "$retort" import band.csv --label -1 --out x.h5 --force
    hit 0.8 "$retort" train t.json --out K --quiet train.epochs=1000
    hit 0.4 "$retort" train t.json --out L --quiet teacher=T/model.h5 data.validation=15000
    hit 0.3 "$retort" label --teacher T/model.h5 --data band.h5 --out k.h5 --quiet
    hit 0.3 "$retort" quantize T/model.h5 --data band.h5 --out q.h5 --quiet --force quant.calibrate=20000 quant.method=mse
    hit 0.8 "$retort" eval --teacher T/model.h5 --data band.h5 --out E --quiet eval.latency_samples=10000000 eval.seconds=1000
    hit 1 "$retort" gate --baseline T/model.h5 --candidate T/model.h5 --allow-same --policy policy.json --data band.h5 --out G --quiet
    hit 0.2 "$retort" predict T/model.h5 --data band.h5 --out p.csv --force
    hit 0.5 "$retort" bench arch.json --quiet seconds=100
    hit 0.5 "$retort" bench --kernels-only --quiet seconds=100
    hit 0.3 "$retort" run run.json --quiet
    hit 0.1 "$retort" info band.h5
done
"$retort" label --teacher T/model.h5 --data band.h5 --out k.h5 --quiet > out.txt 2>&1 || fail "label does not go on: $(cat out.txt)"
"$retort" run run.json --quiet > out.txt 2>&1 || fail "run does not go on: $(cat out.txt)"
left=$(find . -name '*tmp-*')
[ -z "$left" ] || fail "temporary files stay behind: $left"
# nohup means it.
nohup "$retort" train t.json --out N --quiet train.epochs=10 > out.txt 2>&1 < /dev/null &
pid=$!
sleep 0.1
kill -HUP $pid
wait $pid || fail "SIGHUP ended what nohup had started: $(cat out.txt)"
# A second signal ends at once, whatever is going on.
"$retort" train t.json --out K --quiet train.epochs=1000 > out.txt 2>&1 < /dev/null &
pid=$!
sleep 0.3
kill -TERM $pid
kill -HUP $pid 2> /dev/null
wait $pid
code=$?
[ $code -eq 129 ] || [ $code -eq 143 ] || [ $code -eq 130 ] || fail "exit $code after two signals"
exit $failed
