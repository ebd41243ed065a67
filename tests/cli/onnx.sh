#!/bin/sh
# An ONNX model as a user meets it: imported, looked at, labelled with, asked, evaluated, a teacher in the loop and of a store,
# trained on; from the .onnx file itself and from what import makes of it; bad input.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
samples=$root/tests/onnx/samples
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }

awk 'BEGIN { srand(5)
    for (i = 0; i < 900; i++) { for (k = 0; k < 6; k++) printf "%.4f,", rand() * 2 - 1; print int(rand() * 3) } }' > rows.csv
expect 0 "" "$retort" import rows.csv --label -1 --out d.h5 --quiet

# Imported: what was chosen is said, and stands in the model.
expect 0 "output 'y' is a softmax: probabilities" "$retort" import "$samples/probabilities.onnx" --out t.h5
grep -q '^parameters  *21$' out.txt || fail "parameters: $(cat out.txt)"
expect 0 "record_samples" "$retort" info t.h5 --json
[ "$(number parameters out.txt)" = 21 ] || fail "info: $(cat out.txt)"
expect 2 "exists" "$retort" import "$samples/probabilities.onnx" --out t.h5
expect 0 "" "$retort" import "$samples/probabilities.onnx" --out again.h5 --quiet
cmp -s t.h5 again.h5 || fail "two imports differ"
expect 0 "" "$retort" import "$samples/probabilities.onnx" --out named.h5 --classes c2,c0,c1 --quiet

# The file itself answers as what import makes of it.
for m in t.h5 "$samples/probabilities.onnx"; do
    out=p-$(basename "$m" | tr . -).csv
    expect 0 "" "$retort" predict "$m" --data d.h5 --out "$out"
    expect 0 "" "$retort" label --teacher "$m" --data d.h5 --out "l-$(basename "$m" | tr . -).h5" --json
    [ "$(number rows_labelled out.txt)" = 900 ] || fail "rows_labelled: $(cat out.txt)"
    expect 0 "" "$retort" eval --teacher "$m" --student t.h5 --data d.h5 eval.speed=false --out "e-$out" --json
    cp out.txt "e-$out.txt"
done
cmp -s p-t-h5.csv p-probabilities-onnx.csv || fail "predictions differ"
grep -q '"agreement":[[:space:]]*1[,}]*$' e-p-probabilities-onnx.csv.txt || fail "a model and its file disagree: $(cat e-p-probabilities-onnx.csv.txt)"
expect 0 "" "$retort" export l-t-h5.h5 --out a.npy --quiet
expect 0 "" "$retort" export l-probabilities-onnx.h5 --out b.npy --quiet
cmp -s a.npy b.npy || fail "labels differ"

# What ONNX Runtime recorded for a row, as the predictions have it.
sed -n '2p' "$samples/probabilities.txt" | tr ' ' ',' | sed 's/$/,0/' > one.csv
{ cat one.csv; sed -n '4p' "$samples/probabilities.txt" | tr ' ' ',' | sed 's/$/,1/'; sed -n '6p' "$samples/probabilities.txt" | tr ' ' ',' | sed 's/$/,2/'; } > three.csv
expect 0 "" "$retort" import three.csv --label -1 --out three.h5 --quiet
expect 0 "" "$retort" predict "$samples/probabilities.onnx" --data three.h5 --out three-p.csv
sed -n '3p' "$samples/probabilities.txt" > want.txt
tail -n +2 three-p.csv | head -1 | tr ',' ' ' > got.txt
awk 'NR == FNR { for (i = 1; i <= NF; i++) w[i] = $i; n = NF; next }
    { for (i = 1; i <= n; i++) { best = 1; for (k = 1; k <= NF; k++) { d = $k - w[i]; if (d < 0) d = -d; if (d < best) best = d }
      if (best > 2e-5) bad = 1 } } END { exit bad }' want.txt got.txt || fail "predictions are not those recorded: $(cat want.txt got.txt)"

# A teacher in the loop, and of a store: a student that learns from either agrees with it more than chance does.
more='"loss": {"kind": "kd"}, "train": {"epochs": 12, "batch": 32}, "seed": 1'
for with in "}, \"teacher\": \"$samples/probabilities.onnx\"" ', "labels": "l-probabilities-onnx.h5"}'; do
    printf '{"model": {"family": "mlp", "width": 16, "depth": 1, "input": [6], "classes": 3}, "data": {"source": "d.h5", "validation": 0.2%s, %s}' "$with" "$more" > c.json
    rm -rf run ev
    expect 0 "" "$retort" train c.json --out run --quiet
    [ -f run/model.h5 ] || { fail "no student of $with"; continue; }
    expect 0 "" "$retort" eval --teacher "$samples/probabilities.onnx" --student run/model.h5 --data d.h5 eval.speed=false --out ev --json
    agreement=$(number agreement out.txt)
    awk -v a="$agreement" 'BEGIN { exit !(a > 0.85) }' || fail "agreement with the teacher is $agreement: $with"
done

# Shapes that the file leaves open.
expect 2 "--shape x=" "$retort" import "$samples/open_shape.onnx" --out o.h5
expect 0 "" "$retort" import "$samples/open_shape.onnx" --out o.h5 --shape x=3,2 --quiet
expect 2 "has 3 dimensions" "$retort" import "$samples/open_shape.onnx" --out o2.h5 --shape x=3,2,2
expect 2 "no input named 'z'" "$retort" import "$samples/open_shape.onnx" --out o2.h5 --shape z=3,2
expect 2 "name the output that answers" "$retort" import "$samples/two_outputs.onnx" --out o2.h5
expect 0 "" "$retort" import "$samples/two_outputs.onnx" --out o2.h5 --output r --quiet

# External data: beside the model; outside and behind links only where that is told.
expect 0 "" "$retort" import "$samples/external.onnx" --out x.h5 --quiet
mkdir e
cp "$samples/external_link.onnx" "$samples/external_outside.onnx" e
cp "$samples/weights.bin" e/real.bin
cp "$samples/weights.bin" .
ln -s real.bin e/link.bin
expect 3 "is a link; --data-root names a folder" "$retort" import e/external_link.onnx --out x2.h5
expect 0 "" "$retort" import e/external_link.onnx --out x2.h5 --data-root e --quiet
expect 3 "'../weights.bin' leads out of" "$retort" import e/external_outside.onnx --out x3.h5 --data-root e

# Refused, by the node's name, and nothing is left.
for bad in "unknown:2 nodes of operators that are not known here: node 'strange'" "mixes_rows:node 'over_rows' (ReduceMean) mixes rows" \
    "random:node 'dice'" "shape_of_data:node 'where_is_it' (NonZero)" "cycle:the graph has a cycle"; do
    expect 3 "${bad#*:}" "$retort" import "$samples/${bad%%:*}.onnx" --out no.h5
    expect 3 "${bad#*:}" "$retort" label --teacher "$samples/${bad%%:*}.onnx" --data d.h5 --out no.h5
    [ ! -e no.h5 ] || fail "${bad%%:*} leaves a file"
done
head -c 150 "$samples/probabilities.onnx" > short.onnx
expect 3 "short.onnx" "$retort" import short.onnx --out no.h5
printf '\010\010\022' > tiny.onnx
expect 3 "tiny.onnx" "$retort" import tiny.onnx --out no.h5
expect 3 "(7, 5, 2)" "$retort" predict "$samples/cnn.onnx" --data d.h5 --out no.csv
[ ! -e no.h5 ] && [ ! -e no.csv ] || fail "bad input leaves a file"
# A teacher's specification tells an import all that it tells a command that takes the teacher.
printf '{"file": "%s", "inputs": {"x": {"shape": [3, 2]}}, "classes": ["a", "b", "c"]}' "$samples/open_shape.onnx" > spec.json
expect 0 "" "$retort" import "$samples/open_shape.onnx" --out spec.h5 --config spec.json --quiet
printf '{"classes": ["a", "b"], "inputs": {"x": {"shape": [3, 2]}}}' > b.json
expect 3 "classes: names 2 classes, and head" "$retort" import "$samples/open_shape.onnx" --out no.h5 --config b.json
expect 2 "file: is another file than the one that is imported" "$retort" import "$samples/cnn.onnx" --out no.h5 --config spec.json
expect 2 "MODEL.onnx --config spec.json" "$retort" import spec.json --out no.h5
printf '{"layout": "chw"}' > b.json
expect 2 "layout: unknown key; known here: input, inputs, output, task, gives, classes, outputs, features" "$retort" import "$samples/cnn.onnx" --out no.h5 --config b.json
printf '{"seconds": 0}' > b.json
expect 2 "seconds" "$retort" import "$samples/cnn.onnx" --out no.h5 --config b.json
exit $failed
