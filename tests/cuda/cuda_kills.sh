#!/bin/sh
# Runs on an emulated card that are killed, and go on: the weights, metrics and labels of one that was not. cuda_kills.sh RETORT ROOT
. "$2/tests/cli/lib.sh"
unset RETORT_DEVICE
make_data 200 band.h5
printf '{"model": {"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 1}, "data": {"source": "band.h5", "validation": 40},
    "train": {"epochs": 20, "batch": 16, "accumulate": 3, "ema": 0.9, "drop_last": false, "optimizer": "adamw", "lr": 0.01}}' > t.json
digest() { sed -n 's/.*"last_weights_digest":[[:space:]]*"\([0-9a-f]*\)".*/\1/p' "$1/result.json"; }
"$retort" train t.json --out whole --device cuda --quiet > /dev/null 2> err.txt || fail "train: $(cat err.txt)"

# Half of the kills come at any instant, half soon after a checkpoint of this process: else a slow machine would never go on with anything.
killed=0 ended=0 turn=0 gone_on=0
state() { cat killed/checkpoints/checkpoints.json 2> /dev/null; }
while [ $killed -lt 20 ] && [ $turn -lt 60 ]; do
    turn=$((turn + 1))
    before=$(state)
    "$retort" train t.json --out killed --device cuda > /dev/null 2> err.txt &
    child=$!
    if [ $((turn % 2)) -eq 0 ]; then
        while [ "$(state)" = "$before" ] && kill -0 $child 2> /dev/null; do sleep 0.02; done
        sleep "$(awk -v n=$turn 'BEGIN { srand(n); print 0.1 * rand() }')"
    else
        sleep "$(awk -v n=$turn 'BEGIN { srand(n); print 0.1 + 0.3 * rand() }')"
    fi
    kill -9 $child 2> /dev/null
    wait $child 2> /dev/null
    code=$?
    grep -q "resumed at step" err.txt && gone_on=$((gone_on + 1))
    if [ $code -eq 137 ]; then killed=$((killed + 1)); continue; fi
    [ $code -eq 0 ] || fail "exit $code: $(cat err.txt)"
    ended=$((ended + 1))
    [ "$(digest killed)" = "$(digest whole)" ] || fail "killed $killed times: other weights"
    rm -rf killed
done
[ $killed -eq 20 ] && [ $gone_on -ge 5 ] || fail "$killed of $turn runs were killed, $gone_on went on from a checkpoint"
"$retort" train t.json --out killed --device cuda --quiet > /dev/null 2> err.txt || fail "the last: $(cat err.txt)"
[ -n "$(digest whole)" ] && [ "$(digest killed)" = "$(digest whole)" ] || fail "killed $killed times: other weights"
cmp -s killed/metrics.csv whole/metrics.csv || fail "killed $killed times: other metrics"
echo "killed $killed times, gone on with $gone_on times, ended $((ended + 1)) times"

# A run is asked to stop, and goes on.
"$retort" train t.json --out stopped --device cuda --quiet > /dev/null 2> err.txt &
child=$!
sleep 0.5
kill -TERM $child
wait $child
code=$?
[ $code -eq 130 ] || [ $code -eq 0 ] || fail "stopped: exit $code: $(cat err.txt)"
"$retort" train t.json --out stopped --device cuda --quiet > /dev/null 2> err.txt || fail "after a stop: $(cat err.txt)"
[ "$(digest stopped)" = "$(digest whole)" ] || fail "stopped: other weights"
exit $failed
