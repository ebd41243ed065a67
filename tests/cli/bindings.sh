#!/bin/sh
# What is told of an ONNX file, as a user tells it: shapes that the data decide, images of another size, several outputs as
# heads, inner values as features. Answers that ONNX Runtime and torchvision recorded (tests/onnx/record_bindings.py); by import,
# from the file itself, teacher and student side by side, in the loop and of a store; bad input.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
samples=$root/tests/onnx/samples
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
has() { grep -qF -- "$2" "$1" || fail "no '$2' in $(cat "$1")"; }

# same NAME P.csv: the classes that predictions have are those of the largest recorded answers.
same() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "prediction") at = i; next } { print $at }' "$2" > got.txt
    awk 'NR > 1 && NR % 2 == 1 { best = 1; for (i = 2; i <= NF; i++) if ($i > $best) best = i; print best - 1 }' "$samples/$1.txt" > want.txt
    cmp -s got.txt want.txt || fail "$1: $2 has the classes $(tr '\n' ' ' < got.txt) and not $(tr '\n' ' ' < want.txt)"
}

for m in open_image eight; do expect 0 "" "$retort" import "$samples/$m.npy" --out $m.h5 --quiet; done

# Shapes that the file leaves open: the data decide, for each command that has data.
expect 0 "to_be_told" "$retort" info "$samples/open_image.onnx"
has out.txt "(3, height, width)"
expect 2 "leaves dimension 2 ('height') open" "$retort" import "$samples/open_image.onnx" --out i.h5
expect 0 "the data's rows, (9, 12, 3), tell the shape" "$retort" import "$samples/open_image.onnx" --out i.h5 --data open_image.h5
expect 0 "" "$retort" predict i.h5 --data open_image.h5 --out p1.csv
expect 0 "" "$retort" predict "$samples/open_image.onnx" --data open_image.h5 --out p2.csv
cmp -s p1.csv p2.csv || fail "the file itself answers otherwise"
same open_image p1.csv
expect 0 "" "$retort" label --teacher "$samples/open_image.onnx" --data open_image.h5 --out l.h5 --json
[ "$(number rows_labelled out.txt)" = 6 ] || fail "rows_labelled: $(cat out.txt)"
expect 0 "" "$retort" eval --teacher "$samples/open_image.onnx" --student i.h5 --data open_image.h5 eval.speed=false --out ev --json
has out.txt '"agreement":	1'
expect 3 "(11, 14, 3)" "$retort" predict i.h5 --data eight.h5 --out no.csv
expect 0 "" "$retort" predict "$samples/open_image.onnx" --data eight.h5 --out p3.csv      # other data, another shape
printf '{"file": "%s", "inputs": {"x": {"shape": [3, 9, 11]}}}' "$samples/open_image.onnx" > told.json
expect 3 "rows have the shape (9, 12, 3), but the model's input is (9, 11, 3)" "$retort" predict told.json --data open_image.h5 --out no.csv
awk 'BEGIN { for (i = 0; i < 9; i++) print i ",1,2,0" }' > flat.csv
expect 0 "" "$retort" import flat.csv --label -1 --out flat.h5 --quiet
expect 3 "rows of 'x' have the shape (3), but the model's input is (3, height, width)" "$retort" label --teacher "$samples/open_image.onnx" --data flat.h5 --out no.h5
expect 3 "nothing.h5" "$retort" import "$samples/open_image.onnx" --out no.h5 --data nothing.h5

# A teacher in the loop whose shape the student's data tell, and a start from such a file.
printf '{"model": {"family": "mlp", "width": 8, "depth": 1, "input": [9, 12, 3], "classes": 4}, "data": {"source": "open_image.h5", "validation": 0}, "teacher": "%s", "loss": {"kind": "kd", "hard": 0}, "train": {"epochs": 2, "batch": 3}}' "$samples/open_image.onnx" > c.json
expect 0 "" "$retort" train c.json --out run --quiet
printf '{"init": "%s", "data": {"source": "open_image.h5", "validation": 0, "labels": "l.h5"}, "loss": {"kind": "kd", "hard": 0}, "train": {"epochs": 1, "batch": 3}}' "$samples/open_image.onnx" > c.json
expect 0 "" "$retort" train c.json --out run2 --quiet
expect 0 "" "$retort" info run2/model.h5
has out.txt "(9, 12, 3)"

# Images of another size: resized and cropped, beside a student of the data's own size.
echo '{"file": "'"$samples"'/eight.onnx", "inputs": {"x": {"resize": 9, "crop": [8, 8], "mean": [120, 110, 100], "std": [60, 50, 70]}}}' > eight.json
expect 3 "rows have the shape (11, 14, 3), but the model's input is (8, 8, 3)" "$retort" label --teacher "$samples/eight.onnx" --data eight.h5 --out no.h5
expect 0 "" "$retort" predict eight.json --data eight.h5 --out p.csv
same eight p.csv
sed 's/"file": "[^"]*", //' eight.json > told.json
expect 0 "" "$retort" import "$samples/eight.onnx" --out e.h5 --config told.json --quiet
expect 0 "" "$retort" predict e.h5 --data eight.h5 --out p4.csv
cmp -s p.csv p4.csv || fail "an imported model resizes otherwise"
expect 2 "resizes images" "$retort" export e.h5 --to onnx --out no.onnx
expect 2 "resizes images" "$retort" quantize e.h5 --data eight.h5 --out no.h5 quant.calibrate=3
expect 0 "" "$retort" label --teacher eight.json --data eight.h5 --out le.h5 --quiet
printf '{"model": {"family": "cnn", "width": 4, "depth": 1, "input": [11, 14, 3], "classes": 4}, "data": {"source": "eight.h5", "validation": 0}, "teacher": "eight.json", "loss": {"kind": "kd", "hard": 0}, "augment": {"flip": true, "shift": 2, "erase": 0.5, "mixup": 0.2}, "train": {"epochs": 3, "batch": 5}}' > c.json
expect 0 "" "$retort" train c.json --out small --quiet
expect 0 "" "$retort" eval --teacher eight.json --student small/model.h5 --data eight.h5 eval.speed=false --out ev2 --quiet
for bad in '"resize": 7|shorter side is 7, but the model' '"crop": [9, 8]|the middle (9, 8), but the model' '"resize": "big"|a size [H, W] in pixels' \
    '"crop": [8, 8], "layout": "chw"|without "layout": "chw"'; do
    echo '{"inputs": {"x": {'"${bad%%|*}"'}}}' > b.json
    expect 2 "${bad#*|}" "$retort" import "$samples/eight.onnx" --out no.h5 --config b.json
done

# Several outputs are heads; labels, predictions and students have all of them.
awk 'NR > 1 && NR % 2 == 0 { gsub(" ", ","); print }' "$samples/heads_of.txt" > rows.csv
for i in 1 2 3 4; do cat rows.csv rows.csv > more.csv; mv more.csv rows.csv; done
expect 0 "" "$retort" import rows.csv --out rows.h5 --quiet
cat > heads.json << END
{"file": "$samples/heads_of.onnx", "outputs": {"probs": {"head": "kind", "classes": ["a", "b", "c"]}, "tags": {"task": "multilabel"},
 "vector": {"head": "where", "gives": "embedding"}}, "features": {"inner": "hidden"}}
END
expect 2 "name the output that answers by \"output\", or several by \"outputs\"" "$retort" label --teacher "$samples/heads_of.onnx" --data rows.h5 --out no.h5
expect 0 "" "$retort" info heads.json --json
for part in '"kind"' multilabel '"where"' embedding; do has out.txt "$part"; done
expect 0 "" "$retort" label --teacher heads.json --data rows.h5 --out lh.h5 --json
[ "$(number rows_labelled out.txt)" = 112 ] || fail "rows_labelled: $(cat out.txt)"
expect 0 "" "$retort" info lh.h5
has out.txt "where"
heads='{"name": "kind", "size": 3, "names": ["a", "b", "c"]}, {"name": "tags", "task": "multilabel", "size": 4}, {"name": "where", "task": "real", "size": 5}'
for with in '"source": "rows.h5"}, "teacher": "heads.json"' '"source": "rows.h5", "labels": "lh.h5"}'; do
    none='{"kind": "kd", "hard": 0}'
    printf '{"model": {"family": "mlp", "width": 16, "depth": 1, "input": [6], "heads": [%s]}, "data": {"validation": 0, "targets": {"kind": "", "tags": "", "where": ""}, %s, "loss": {"kind": %s, "tags": {"kind": "bkd", "hard": 0}, "where": {"kind": "mse", "hard": 0}}, "train": {"epochs": 80, "batch": 16, "lr": 0.02, "clip": 5}}' "$heads" "$with" "$none" > c.json
    rm -rf run3 ev3
    expect 0 "" "$retort" train c.json --out run3 --quiet
    expect 0 "" "$retort" eval --teacher heads.json --student run3/model.h5 --data rows.h5 eval.speed=false --out ev3 --json
    awk -v a="$(number agreement out.txt)" 'BEGIN { exit !(a > 0.8) }' || fail "agreement $(number agreement out.txt) of $with"
done
# A feature is learnt from; an embedding is no classes.
printf '{"model": {"input": [6], "layers": [{"op": "dense", "out": 16}, {"op": "relu", "name": "flat"}, {"op": "reshape", "name": "act", "shape": [2, 8]}, {"op": "flatten", "name": "on"}, {"op": "dense", "name": "kind", "out": 3}, {"op": "dense", "name": "tags", "out": 4, "from": "on"}, {"op": "dense", "name": "where", "out": 5, "from": "on"}], "heads": [%s]}, "data": {"source": "rows.h5", "validation": 0, "targets": {"kind": "", "tags": "", "where": ""}}, "teacher": "heads.json", "loss": {"kind": {"kind": "kd", "hard": 0}, "tags": {"kind": "bkd", "hard": 0}, "where": {"kind": "mse", "hard": 0}, "hints": [{"student": "act", "teacher": "inner"}]}, "train": {"epochs": 1, "batch": 16, "lr": 0.001, "clip": 1}}' "$heads" > c.json
expect 0 "" "$retort" train c.json --out run4 --quiet
printf '{"file": "%s", "output": "vector", "gives": "embedding"}' "$samples/heads_of.onnx" > vector.json
printf '{"model": {"family": "mlp", "input": [6], "classes": 5}, "data": {"source": "rows.h5", "validation": 0}, "teacher": "vector.json", "loss": {"kind": "kd", "hard": 0}, "train": {"epochs": 1}}' > c.json
expect 3 "numbers, such as an embedding, are learnt by a head of numbers" "$retort" train c.json --out no
expect 0 "" "$retort" label --teacher vector.json --data rows.h5 --out lv.h5 --quiet
sed 's/, "teacher": "vector.json"//; s/"validation": 0/"validation": 0, "labels": "lv.h5"/' c.json > d.json
expect 3 "numbers, such as an embedding, are learnt by a head of numbers" "$retort" train d.json --out no
for bad in '{"outputs": {"prob": {}}}|no output and no value inside' '{"outputs": {"probs": {"gives": "odds"}}}|odds' '{"outputs": {"probs": {}}, "gives": "logits"}|is of a single output' \
    '{"output": "size", "features": ["hide"]}|features' '{"output": "vector", "gives": "embedding", "classes": ["a"]}|has none'; do
    echo "${bad%%|*}" > b.json
    expect 2 "${bad#*|}" "$retort" import "$samples/heads_of.onnx" --out no.h5 --config b.json
done

# Sentences that end early take shorter plans where that changes nothing, which info says; a row's answer is that of any company.
for m in sentence sentence_unmasked; do
    expect 0 "" "$retort" import "$samples/$m.npy" --out $m.h5 --quiet
    expect 0 "" "$retort" import "$samples/$m.onnx" --out m-$m.h5 --data $m.h5 --quiet
    expect 0 "" "$retort" predict m-$m.h5 --data $m.h5 --out p-$m.csv
    same $m p-$m.csv
done
expect 0 "8 12 16 24" "$retort" info m-sentence.h5
expect 0 "what is padded changes the answer (tried at length 8)" "$retort" info m-sentence_unmasked.h5
expect 0 "" "$retort" predict "$samples/sentence.onnx" --data sentence.h5 --out p-file.csv
cmp -s p-sentence.csv p-file.csv || fail "the file itself answers otherwise"
for i in 0 5 12; do
    expect 0 "" "$retort" predict m-sentence.h5 --data sentence.h5 --rows $i:$((i + 1)) --out p-$i.csv
    [ "$(tail -1 p-$i.csv | cut -d, -f2-)" = "$(sed -n "$((i + 2))p" p-sentence.csv | cut -d, -f2-)" ] || fail "row $i alone has another answer"
done
expect 0 "" "$retort" label --teacher "$samples/sentence.onnx" --data sentence.h5 --out ls1.h5 --quiet
expect 0 "" "$retort" label --teacher m-sentence.h5 --data sentence.h5 --out ls2.h5 --quiet label.batch=2
for l in ls1 ls2; do expect 0 "" "$retort" export $l.h5 --out $l.npy --quiet; done
cmp -s ls1.npy ls2.npy || fail "labels depend on how rows are read"
# A small file may make large weights: memory is bounded, and told.
echo '{"memory": 1}' > b.json
expect 3 '"memory" of' "$retort" import "$samples/sentence.onnx" --out no.h5 --data sentence.h5 --config b.json
echo '{"memory": 900}' > b.json
expect 0 "" "$retort" import "$samples/sentence.onnx" --out m900.h5 --data sentence.h5 --config b.json --quiet
echo '{"memory": 0}' > b.json
expect 2 "memory" "$retort" import "$samples/sentence.onnx" --out no.h5 --data sentence.h5 --config b.json
echo '{"shorter": "never"}' > b.json
expect 2 "shorter" "$retort" import "$samples/sentence.onnx" --out no.h5 --data sentence.h5 --config b.json

for left in no no.h5 no.csv no.onnx; do [ ! -e $left ] || fail "bad input leaves $left"; done
exit $failed
