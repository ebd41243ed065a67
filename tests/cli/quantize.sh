#!/bin/sh
# Quantized models: made, shown, used by every command as what they are; what cannot be quantized, with a line each.
. "$2/tests/cli/lib.sh"
make_data 700 band.h5
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "layers": [{"op": "reshape", "shape": [8, 8, 1]},
   {"op": "conv2d", "out": 8, "kernel": 3, "padding": 1, "name": "body"}, {"op": "batch_norm"}, {"op": "relu"}, {"op": "max_pool", "kernel": 2},
   {"op": "conv2d", "out": 12, "kernel": 3, "name": "second"}, {"op": "relu"}, {"op": "flatten"}, {"op": "dense", "out": 3, "name": "last"}]},
 "data": {"source": "band.h5", "rows": "0:400", "validation": 60}, "train": {"epochs": 3, "batch": 32}}
X
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
M=T/model.h5
number() { sed -n "s/^[[:space:]]*\"$2\":[[:space:]]*\([-0-9.e]*\),*$/\1/p" "$1" | head -n "${3:-1}" | tail -n 1; }

# The table, the file, its digest; the same bytes by any number of threads and in any integer family.
expect 0 "body                 conv2d then relu            8" "$retort" quantize $M --data band.h5 --out q.h5 quant.input=f32
grep -q "integer_contract         1" out.txt || fail "no contract in: $(cat out.txt)"
grep -q "share fewer than" out.txt && fail "far values where there are none"
awk -F, 'BEGIN { OFS = "," } NR % 20 == 0 { $1 = 10000000 } { print }' band.csv > far.csv
"$retort" import far.csv --label -1 --out far.h5 --quiet > /dev/null || fail "import"
expect 0 "of 64 of its 64 columns half of the values share fewer than 4" "$retort" quantize $M --data far.h5 --out far-q.h5
for f in scalar avx2 avx512vnni; do
    "$retort" quantize $M --data band.h5 --out q1.h5 --force --quiet --threads 3 --int-kernels $f quant.input=f32 > out.txt 2> err.txt ||
        { grep -q "lacks" err.txt && continue; fail "$f: $(cat err.txt)"; }
    cmp -s q.h5 q1.h5 || fail "quantize depends on the threads or on $f"
done
expect 0 "" "$retort" quantize $M --data band.h5 --out q4.h5 --json quant.weights=4 quant.first=5 quant.last=6 quant.layers.second.weights=7 quant.method=mse
[ "$(grep -c '"bits"' out.txt)" -eq 3 ] || fail "bits of other layers than three"
[ "$(number out.txt bits 1) $(number out.txt bits 2) $(number out.txt bits 3)" = "5 7 6" ] || fail "bits of layers: $(grep bits out.txt)"

printf '{"model": "%s", "data": {"source": "band.h5"}, "quant": {"weights": 4, "layers": {"last": {"weights": 5}}}}\n' $M > q.json
expect 0 "" "$retort" quantize --config q.json --out q5.h5 --json
[ "$(number out.txt bits 1) $(number out.txt bits 2) $(number out.txt bits 3)" = "8 4 5" ] || fail "bits of a file: $(grep bits out.txt)"

# What it is, wherever it is used.

expect 0 "int_kernels              scalar" "$retort" info q.h5 --int-kernels scalar
grep -q "^second .* conv2d then relu .* 12" out.txt && fail "info shows bits that are none"
grep -q "^body  *conv2d then relu  *8 " out.txt || fail "info without quantizers: $(cat out.txt)"
expect 0 "" "$retort" eval --student $M --student q.h5 --data band.h5 --out E --json eval.latency_samples=100 eval.seconds=0.05 speed.seconds=0 --int-kernels scalar
grep -q '"int_kernels":[[:space:]]*"scalar"' out.txt || fail "eval does not name the integer kernels"
[ "$(grep -c '"program_bytes"' out.txt)" -eq 1 ] || fail "eval does not say which model is quantized"
grep -q "integer kernels scalar" E/report.html || fail "the report does not name the integer kernels"
expect 0 "" "$retort" label --teacher q.h5 --data band.h5 --out l.h5
expect 0 "integer_contract         1" "$retort" info l.h5
cp l.h5 before.h5
expect 0 "labelled_now             0" "$retort" label --teacher q.h5 --data band.h5 --out l.h5 --kernels scalar --int-kernels scalar
cmp -s l.h5 before.h5 || fail "labels of integers depend on the kernels"
expect 2 "by another teacher" "$retort" label --teacher $M --data band.h5 --out l.h5
expect 0 "" "$retort" predict q.h5 --data band.h5 --out p.npy
"$retort" export l.h5 --out l.npy --quiet > /dev/null || fail "export of labels"
cmp -s p.npy l.npy || fail "predictions are not what the label store has"
"$retort" predict q.h5 --data band.h5 --out s.npy --quiet --int-kernels scalar --threads 1 > /dev/null || fail "predictions in plain C"
cmp -s p.npy s.npy || fail "predictions depend on the integer kernels"
"$retort" predict $M --data band.h5 --out f.npy --quiet > /dev/null || fail "predictions of the float model"
cmp -s p.npy f.npy && fail "predictions of the quantized model are those of the float model"

expect 0 "int_kernels              scalar" "$retort" bench q.h5 --infer seconds=0.01 rounds=1 batch=3 --int-kernels scalar
expect 0 "samples_per_second" "$retort" bench $M seconds=0.01 rounds=1 batch=3
grep -q int_kernels out.txt && fail "bench of a float model names integer kernels"
expect 2 "is quantized: --infer times its integer program" "$retort" bench q.h5 seconds=0.01

# Training starts from its weights in float, and says so; an ensemble, a teacher in the loop; hints need the float model.
expect 0 "init is quantized" "$retort" train --out I init=q.h5 data.source=band.h5 train.epochs=1 data.validation=60
expect 0 "" "$retort" info I/model.h5
grep -q "integer_program" out.txt && fail "a trained model has quantizers"
expect 0 "" "$retort" train t.json --out K "teacher=[\"q.h5\",\"$M\"]" train.epochs=1
expect 2 "keeps no features of layers" "$retort" train t.json --out H teacher=q.h5 'loss.hints=[{"student": "body", "teacher": "body"}]' train.epochs=1

# An experiment has it as a step.
cat > run.json <<X
{"out": "R", "steps": [{"name": "q", "do": "quantize", "with": {"model": "$M", "data": {"source": "band.h5"}, "quant": {"weights": 4}}},
  {"name": "e", "do": "eval", "with": {"students": ["$M", "\${q}"], "data": {"source": "band.h5"}, "eval": {"speed": false}}}]}
X
expect 0 "report: R/e/report.html" "$retort" run run.json
expect 0 "unchanged" "$retort" run run.json

# What cannot be, a line each.
Q="$retort quantize $M --data band.h5 --out x.h5"
for k in weights=3 weights=9 weights=4.5 first=16 last=0 activations=4 calibrate=0 layers.body.weights=2; do expect 2 "quant." $Q quant.$k; done
expect 2 "did you mean 'second'?" $Q quant.layers.secnd.weights=4
expect 2 "no layer 'relu4' has weights of its own" $Q quant.layers.relu4.weights=4
expect 2 "quant.layers.body.wights: unknown key" $Q quant.layers.body.wights=4
expect 2 "method" $Q quant.method=lsq
expect 3 "800 rows are asked for, but 'x' of band.h5 has 700; let it be quant.calibrate=700" $Q quant.calibrate=800
expect 3 "has 50 in data.rows" $Q --rows 100:150
expect 2 "'u8' needs data of bytes, and 'x' of band.h5 is" $Q quant.input=u8
expect 2 "--out MODEL.h5 is required" "$retort" quantize $M --data band.h5
expect 2 "model: " "$retort" quantize --data band.h5 --out x.h5
expect 2 "say the same thing" "$retort" quantize $M --config q.json --out x.h5
expect 2 "data.source" "$retort" quantize $M --out x.h5
expect 2 "unknown integer kernel family 'avx9'" $Q --int-kernels avx9
expect 2 "--int-kernels does nothing in 'import'" "$retort" import band.csv --out x.h5 --int-kernels avx2
RETORT_INT_KERNELS=avx9 expect 2 "unknown integer kernel family" $Q
expect 3 "" "$retort" quantize band.h5 --data band.h5 --out x.h5
cut -d, -f1-63,65 band.csv > narrow.csv
"$retort" import narrow.csv --label -1 --out narrow.h5 --quiet > /dev/null || fail "import"
expect 3 "(64)" "$retort" quantize $M --data narrow.h5 --out x.h5
{ printf '\223NUMPY\001\000v\000'
  printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (700, 64), }"
  head -c $((340 * 256 + 12)) /dev/zero; printf '\000\000\300\177'; head -c $((360 * 256 - 16)) /dev/zero; } > nan.npy
"$retort" import nan.npy --out nan.h5 --quiet > /dev/null || fail "import"
expect 3 "row 340 of 'x' contains" "$retort" quantize $M --data nan.h5 --out x.h5 quant.calibrate=700
awk 'BEGIN { for (i = 0; i < 400; i++) { for (k = 0; k < 64; k++) printf "%s,", 0; print "k" i % 3 } }' > dark.csv
"$retort" import dark.csv --label -1 --out dark.h5 --quiet > /dev/null || fail "import"
sed 's/"validation": 60/"validation": 60, "normalize": "none"/' t.json > plain.json
"$retort" train plain.json --out P --quiet > /dev/null || fail "train"
expect 3 "gives 0 for each of 300 rows" "$retort" quantize P/model.h5 --data dark.h5 --out x.h5 quant.input=f32
for op in layer_norm softmax; do
    sed "s/{\"op\": \"flatten\"}/{\"op\": \"flatten\"}, {\"op\": \"$op\", \"name\": \"odd\"}/" t.json > n.json
    "$retort" train n.json --out N_$op --quiet train.epochs=1 > /dev/null || fail "train $op"
    expect 2 "layer 'odd' ($op) has no integer form" "$retort" quantize N_$op/model.h5 --data band.h5 --out x.h5
done
# What is deployed: a line each for what cannot be, and for what is damaged.
"$retort" export q.h5 --out n.q --quiet > /dev/null && "$retort" export q.h5 --out n.c --quiet > /dev/null || fail "export"
expect 0 "plain" "$retort" verify n.q --data band.h5 --rows 0:5 --c n.c --json
for k in selftest bytes answers flips; do
    [ "$(grep -c "\"$k\":[[:space:]]*0,*$" out.txt)" -eq "$(grep -c "\"$k\"" out.txt)" ] || fail "verify of C, $k: $(cat out.txt)"
done
[ "$(grep -c '"us"' out.txt)" -ge 3 ] && [ "$(grep -c '"selftest"' out.txt)" -eq 2 ] || fail "verify of C: $(cat out.txt)"
grep -q '"equal":[[:space:]]*true' out.txt || fail "verify: $(cat out.txt)"
grep -q '"left_out"' out.txt || fail "a program is trained: $(cat out.txt)"
expect 0 '"numbers":' "$retort" verify q.h5 --data band.h5 --rows 0:70 --json
grep -q '"numbers":[[:space:]]*0,$' out.txt || fail "verify of training: $(cat out.txt)"
for name in my-net 2nd a.b _; do expect 2 "is no C identifier" "$retort" export q.h5 --out "$name.c"; done
expect 2 "'string.h' is a header of C" "$retort" export q.h5 --out string.c
expect 2 "computes in float" "$retort" export $M --out x.q
expect 2 "computes in float" "$retort" verify $M
head -c 300 n.q > cut.q
expect 3 "cut.q: " "$retort" export cut.q --out x.c
expect 3 "cut.q: " "$retort" verify cut.q
expect 3 "cut.q: " "$retort" export cut.q --to safetensors --out x.safetensors
{ head -c 700 n.q; printf '\377\000\377'; tail -c +704 n.q; } > flipped.q
expect 3 "flipped.q: does not match its digest" "$retort" export flipped.q --out x.onnx
{ head -c 12 n.q; printf '\007'; tail -c +14 n.q; } > newer.q
expect 3 "newer.q: " "$retort" verify newer.q
expect 3 "takes 64" "$retort" verify n.q --data narrow.h5
expect 5 "1 to 1048576 rows" "$retort" verify n.q --data band.h5 --rows 5:5
expect 2 "are rows of --data" "$retort" verify n.q --rows 0:5
expect 3 "no.c" "$retort" verify n.q --c no.c
rm n_data.c
expect 3 "n_data.c" "$retort" verify n.q --c n.c
expect 2 "give --c NAME.c" "$retort" verify n.q --c n.q
[ ! -e x.h5 ] && [ ! -e x.c ] && [ ! -e x.q ] && [ ! -e x.onnx ] && [ ! -e x.safetensors ] || fail "a refusal left a file"
[ -z "$(find . -name '*tmp-*' -o -name '*lock*')" ] || fail "left behind: $(find . -name '*tmp-*' -o -name '*lock*')"
exit $failed
