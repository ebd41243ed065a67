#!/bin/sh
# The commands as a user meets them: help, usage errors, and the whole chain on made data.
. "$2/tests/cli/lib.sh"

expect 0 "usage: retort COMMAND" "$retort" --help
expect 0 "retort 0." "$retort" --version
expect 2 "unknown command 'trian'; did you mean 'train'?" "$retort" trian
for c in import info train label quantize eval export run bench; do
    expect 0 "example:" "$retort" $c --help
done
expect 2 "did you mean --force?" "$retort" train --forse
expect 2 "--threads 0" "$retort" train x.json --threads 0
expect 2 "unknown kernel family" "$retort" info x --kernels sse9
expect 2 "--out needs a value" "$retort" train x.json --out
expect 2 "--out FOLDER is required" "$retort" train

make_data 900 band.h5
expect 2 "exists" "$retort" import band.csv --label -1 --out band.h5
cat > t.json <<'X'
{ // comments are allowed
 "model": {"input": [64], "classes": 3, "family": "mlp", "width": 16, "depth": 2},
 "data": {"source": "band.h5", "rows": "0:300", "validation": 60}, "train": {"epochs": 4, "batch": 32}}
X
expect 0 "" "$retort" train t.json --out T --json
grep -q '"validation_accuracy"' out.txt || fail "no validation accuracy in --json"
expect 0 "" "$retort" train t.json --out T
expect 2 "another configuration" "$retort" train t.json --out T train.epochs=5
expect 0 "" "$retort" train t.json --out T train.epochs=5 --force
expect 0 "steps                    28" "$retort" train t.json --out D                          # 240 rows, 4 epochs
expect 0 "steps                    32" "$retort" train t.json --out D2 train.drop_last=false
for f in model.h5 config.json metrics.csv metrics.jsonl result.json; do [ -s T/$f ] || fail "T/$f is missing"; done
[ "$(wc -l < T/metrics.csv)" -eq 6 ] || fail "metrics.csv does not have a line an epoch"
expect 0 "" "$retort" label --teacher T/model.h5 --data band.h5 --out L.h5
expect 0 "all blocks match" "$retort" info L.h5
expect 0 "parameters" "$retort" info T/model.h5 --plan 32 --training
grep -qE "^ +phase [0-9]+: rows in [0-9]+ slots of [0-9]+, chunks of" out.txt || fail "a plan is not printed a line a phase"
! grep -q "in all)" out.txt || fail "a plan is cut"
expect 0 "statistics" "$retort" info band.h5 x
expect 0 "" "$retort" label --teacher T/model.h5 --data band.h5 --out K.h5 labels.topk=1 labels.type=f16
for kind in kd dkd dist zscore mse; do
    expect 0 "" "$retort" train t.json --out S_$kind data.labels=L.h5 data.rows=0:900 data.hard_rows=0:300 loss.kind=$kind model.width=4 augment.mixup=0.2
done
expect 0 "" "$retort" train t.json --out S_top data.labels=K.h5 data.rows= loss.hard=0
expect 0 "" "$retort" train t.json --out S_loop 'teacher=["T/model.h5","S_kd/model.h5"]' augment.mixup=0.2 train.ema=0.9 train.clip=1 train.accumulate=2 train.optimizer=adamw
sed 's/"layers"/"layers"/' > cnn.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]}, {"op": "conv2d", "out": 8, "kernel": 3, "padding": 1, "name": "body"},
   {"op": "batch_norm"}, {"op": "relu"}, {"op": "global_avg_pool", "name": "feature"}, {"op": "dense", "out": 3}]},
 "data": {"source": "band.h5", "validation": 90}, "train": {"epochs": 2, "schedule": "one_cycle", "warmup": 0.5}}
X
expect 0 "" "$retort" train cnn.json --out C
expect 0 "" "$retort" train cnn.json --out H 'teacher=C/model.h5' 'loss.hints=[{"student": "body", "teacher": "body"}, {"student": "feature", "teacher": "feature", "weight": 0.5}]'
expect 2 "the model has no layer named 'bodi'" "$retort" train cnn.json --out H2 'teacher=C/model.h5' 'loss.hints=[{"student": "bodi", "teacher": "body"}]'
expect 0 "report: E/report.html" "$retort" eval --teacher T/model.h5 --student S_kd/model.h5 --data band.h5 --rows 300: --out E eval.latency_samples=700 eval.seconds=0.05 speed.seconds=0
for f in evaluation.json report.md report.csv report.html; do [ -s E/$f ] || fail "E/$f is missing"; done
grep -q '"p99_us":[[:space:]]*[0-9]' E/evaluation.json || fail "no p99 from 700 samples"
expect 0 "" "$retort" eval --teacher T/model.h5 --data band.h5 --out E2 eval.latency_samples=100 eval.seconds=0.05 speed.seconds=0
grep -q '"p99_us":[[:space:]]*[0-9]' E2/evaluation.json && fail "a p99 from 100 samples"

# Test rows drawn by seed are those that training left out; rows that a model has seen are named.
expect 0 "" "$retort" train t.json --out TT data.rows= data.test=0.2 train.epochs=1
grep -q '"test_rows_left_out":[[:space:]]*180' TT/result.json || fail "training does not say how many test rows it left out"
expect 0 "report: E3/report.html" "$retort" eval --teacher TT/model.h5 --data band.h5 --out E3 data.test=0.2 eval.speed=false
grep -q "trained or chosen" out.txt && fail "test rows were seen in training"
grep -q '"rows":[[:space:]]*180,' E3/evaluation.json || fail "the test part is not 180 rows"
expect 0 "note: TT was trained or chosen on " "$retort" eval --teacher TT/model.h5 --data band.h5 --out E4 data.test=0.2 data.test_seed=2 eval.speed=false
expect 0 "note: TT was trained or chosen on 720 of these 900 rows" "$retort" eval --teacher TT/model.h5 --data band.h5 --out E5 eval.speed=false
for f in report.md report.html; do grep -q 'on 720 of these 900 rows' E5/$f || fail "E5/$f does not say what was seen"; done
for f in m.safetensors m.npz; do expect 0 "" "$retort" export T/model.h5 --out $f; done
for f in p.csv p.npy; do expect 0 "" "$retort" predict T/model.h5 --data band.h5 --out $f; done
for f in l.csv l.npy; do expect 0 "" "$retort" export L.h5 --out $f; done
expect 0 "the store keeps 1 of 3 classes a row" "$retort" export K.h5 --out k.csv
[ "$(wc -l < p.csv)" -eq 901 ] || fail "p.csv does not have a line a row"
cmp -s p.npy l.npy || fail "labels and predictions of the same model differ"
cat > x.json <<'X'
{"name": "small", "steps": [
  {"name": "data", "do": "import", "with": {"input": "band.csv", "label": "-1"}},
  {"name": "teacher", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp"}, "data": {"source": "${data}", "rows": "0:300"}, "train": {"epochs": 2}}},
  {"name": "labels", "do": "label", "with": {"teacher": "${teacher}", "data": {"source": "${data}"}}},
  {"name": "weights", "do": "export", "with": {"input": "${teacher}", "to": "npz"}},
  {"name": "eval", "do": "eval", "with": {"teacher": "${teacher}", "data": {"source": "${data}"}, "eval": {"speed": false}}}]}
X
expect 0 "report: X/eval/report.html" "$retort" run x.json --out X
expect 0 "unchanged" "$retort" run x.json --out X
[ "$(grep -c ^unchanged out.txt)" -eq 5 ] || fail "a second run does not skip all steps"
printf '%s\n' "$(sed -n 1p band.csv)" >> band.csv
expect 0 "" "$retort" run x.json --out X
[ "$(grep -c ^done out.txt)" -eq 5 ] || fail "changed data does not run its steps again"
rm X/labels.h5
expect 0 "" "$retort" run x.json --out X
[ "$(grep -c ^done out.txt)" -eq 1 ] || fail "a missing output is not made again"
expect 2 "names no step before" "$retort" run x.json --out X2 'steps=[{"name":"a","do":"label","with":{"teacher":"${b}","data":{"source":"x"}}}]'
expect 2 "step 'a'" "$retort" run x.json --out X2 'steps=[{"name":"a","do":"train","with":{"model":{"input":[4],"classes":2,"family":"mlp"},"data":{"source":"x"},"train":{"epoch":2}}}]'
[ -e X2 ] && fail "an experiment with an error left a folder"
expect 2 "out: no folder is told: give --out FOLDER" "$retort" run x.json
expect 0 "" "$retort" label --teacher T/model.h5 --data band.h5 --rows 0:300 --out part.h5
expect 3 "has labels of rows 0:300, but the run takes row " \
    "$retort" train t.json --out S_part data.labels=part.h5 data.rows=0:600 loss.kind=kd

# Every layer that a model can have is in the list, with its keys.
"$retort" help layers > layers.txt
for op in $(sed -n '/^#define RT_OPS/,/^typedef/s/X([A-Z0-9_]*, \([a-z0-9_]*\))/\n\1\n/gp' "$root/engine/graph.h" | grep '^[a-z]'); do
    case $op in input|activation|unary|affine) continue ;; esac          # no layers of their own; affine is made by passes
    grep -q "^$op  *[a-z(]" layers.txt || fail "help layers: no $op"
done
grep -q '^  kernel \[required\] (1 to' layers.txt || fail "help layers: no kernel"
grep -q '^gelu ' layers.txt && grep -q '^  rate \[0.5\]' layers.txt || fail "help layers: no gelu, no rate"
"$retort" help metrics > metrics.txt
for m in accuracy macro_f1 auc ece; do grep -q "^  $m " metrics.txt || fail "help metrics: no $m"; done

# Beyond 65,536 rows inputs are normalised by rows that are evenly thinned, here by every second one: 0, 2, ... 98 have the mean 49
# and the variance 833.
awk 'BEGIN { for (i = 0; i < 70000; i++) print i % 100 "," i % 2 }' > many.csv
"$retort" import many.csv --label -1 --out many.h5 --quiet > /dev/null || fail "import of many rows"
echo '{"model": {"input": [1], "classes": 2, "family": "mlp", "width": 2, "depth": 1}, "data": {"source": "many.h5", "validation": 0}, "train": {"epochs": 1, "batch": 8192}}' > many.json
expect 0 "" "$retort" train many.json --out many
expect 0 "" "$retort" export many/model.h5 --to safetensors --out many.st
grep -aqF '\"mul\":[0.034647945' many.st && grep -aqF '\"add\":[-49]' many.st || fail "normalisation of many rows: $(head -c 400 many.st)"

# Speeds are numbers above 0.
echo '{"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 1}' > b.json
for how in "" "loss=kd optimizer=adamw profile=true" --infer; do
    # shellcheck disable=SC2086
    expect 0 "" "$retort" bench b.json $how seconds=0.02 rounds=2 batch=8 --json price_per_hour=3.6 copies=2
    # Of a multiplication and an addition each: 2 FLOP an answer, 6 with both gradients. 3.6 an hour are 1000 a million seconds.
    awk -v flops="$([ "$how" = --infer ] && echo 2 || echo 6)" -F'[:,]' '/samples_per_second/ { r = $2 } /"macs"/ { m = $2 } /"gflops"/ { g = $2 } /cost_per/ { c = $2 }
        END { d = g / (r * m * flops * 1e-9) - 1; e = c / (1000 / r / 2) - 1; exit !(m > 0 && d * d < 1e-12 && e * e < 1e-12) }' out.txt || fail "bench $how: FLOP or cost: $(cat out.txt)"
    grep -E '"samples_per_second(_median)?":' out.txt | grep -qE ':[[:space:]]*[1-9]' || fail "bench $how: no speed: $(cat out.txt)"
done
expect 0 "" "$retort" bench --kernels-only seconds=0.01 rounds=1 --threads 1 --json
grep -q '"share' out.txt || grep -q 'peak' out.txt || fail "bench --kernels-only: $(head -c 300 out.txt)"
exit $failed
