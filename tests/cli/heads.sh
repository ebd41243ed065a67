#!/bin/sh
# Heads as a user meets them: a CSV with a class, labels and a number, from import to report; files that say what they hold; a
# teacher's answers kept and used; names in another order; what is refused.
. "$2/tests/cli/lib.sh"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }

# kind is where the largest of a, b, c is; wet: a > b; cold: c > 1; price: 2 a - b, of every fifth row not known.
make() { # seed rows file
    awk -v s="$1" -v n="$2" 'BEGIN { srand(s); print "a,b,c,kind,wet,cold,price"
        for (i = 0; i < n; i++) {
            a = rand() * 2; b = rand() * 2; c = rand() * 2
            k = a > b ? (a > c ? "A" : "C") : (b > c ? "B" : "C")
            printf "%.4f,%.4f,%.4f,%s,%d,%d,%s\n", a, b, c, k, (a > b), (c > 1), (i % 5 ? 2 * a - b : "")
        } }' > "$3"
}
make 1 3000 train.csv
make 2 1000 test.csv
for f in train test; do
    expect 0 "target weather" "$retort" import $f.csv --label kind --target weather=wet,cold --target price --out $f.h5
done
grep -q "target price *1: price" out.txt || fail "import does not say the target: $(cat out.txt)"
expect 0 "" "$retort" import test.csv --label kind --target weather=cold,wet --target price --out turned.h5
heads='[{"name": "kind", "size": 3}, {"name": "weather", "task": "multilabel", "size": 2}, {"name": "price", "task": "real", "size": 1}]'
cat > t.json <<X
{"model": {"input": [3], "family": "mlp", "width": 32, "depth": 1, "heads": $heads},
 "data": {"source": "train.h5", "targets": {"kind": "y"}},
 "train": {"epochs": 30, "batch": 32, "lr": 0.02, "monitor": "price.mae"}}
X
expect 0 "head price: " "$retort" train t.json --out T
head -1 T/metrics.csv | grep -q 'validation_kind.accuracy,validation_kind.nll,validation_weather.micro_f1,validation_weather.bce,validation_price.rmse,validation_price.mae' ||
    fail "metrics.csv: $(head -1 T/metrics.csv)"

# Every head is learnt; a test file with its columns in another order means the same.
for data in test turned; do
    expect 0 "" "$retort" eval --student T/model.h5 --data $data.h5 'data.targets={"kind":"y"}' --out E-$data --json eval.speed=false
    cp out.txt $data.json
    for m in accuracy micro_f1 r2; do
        awk -v v="$(number $m $data.json)" 'BEGIN { exit !(v > 0.9) }' || fail "$data: $m is $(number $m $data.json)"
    done
done
for m in accuracy micro_f1 hamming mae; do
    [ "$(number $m test.json)" = "$(number $m turned.json)" ] || fail "$m differs where columns stand in another order"
done
grep -q 'Quality: price (real)' E-test/report.html && grep -q '^## Head weather (multilabel)' E-test/report.md || fail "the report has no heads"
head -1 E-test/report.csv | grep -q '^model,head,accuracy' || fail "report.csv: $(head -1 E-test/report.csv)"
expect 0 multilabel "$retort" info T/model.h5 --json
grep -q '"wet"' out.txt || fail "the model does not know the names of its labels"

# The teacher's answers, kept: the same as asked; a student of two heads learns from them; a part of a store is gone on with.
expect 0 "" "$retort" predict T/model.h5 --data train.h5 --out asked.csv
expect 0 "" "$retort" label --teacher T/model.h5 --data train.h5 --out L.h5 --json
[ "$(number wet out.txt)" -gt 1000 ] || fail "labels are not counted: $(cat out.txt)"
expect 0 "" "$retort" export L.h5 --out kept.csv
cut -d, -f1-9 asked.csv > asked9
cut -d, -f1-9 kept.csv | cmp -s asked9 - || fail "answers kept are not those that are asked for"
head -1 kept.csv | grep -q '^row,kind:prediction,kind:name,kind:p:A,kind:p:B,kind:p:C,weather:p:wet,weather:p:cold,price:price,status$' ||
    fail "titles: $(head -1 kept.csv)"
expect 0 "" "$retort" label --teacher T/model.h5 --data train.h5 --out C.h5 labels.type=q8 'labels.columns=["hard","margin"]'
expect 0 "all blocks match" "$retort" labels verify C.h5
expect 0 "" "$retort" export C.h5 --out C.csv
head -1 C.csv | grep -q ',price:price,kind:hard,kind:margin,status$' || fail "columns by head: $(head -1 C.csv)"
awk -F, 'NR > 1 && $2 != $10 { bad++ } END { exit bad > 0 }' C.csv || fail "8 bits have another best class than the teacher"
expect 0 "" "$retort" export C.h5 --out C.npy column=kind/margin
expect 2 "has no column 'price/margin'" "$retort" export C.h5 --out N.npy column=price/margin
printf 'row,label\n1,A\n2,B\n' > hand.csv
expect 2 "head 'price' is no head of classes" "$retort" labels append C.h5 --hand hand.csv --head price
expect 0 "" "$retort" labels append C.h5 --hand hand.csv
expect 0 "" "$retort" export C.h5 --out by_hand.csv
sed -n '3,4s/^\([0-9]*\),[^,]*,\([^,]*\),.*,/\1 \2 /p' by_hand.csv | tr '\n' ' ' | grep -q '^1 A by hand 2 B by hand $' ||
    fail "labels by hand: $(sed -n 3,4p by_hand.csv)"
cut -d, -f7-9 C.csv > others; cut -d, -f7-9 by_hand.csv | cmp -s others - || fail "labels by hand change other heads"
expect 2 "hard labels are of heads of classes, and head" "$retort" label --teacher T/model.h5 --data train.h5 --out N.h5 labels.keep=hard
two='[{"name": "price", "task": "real", "size": 1}, {"name": "weather", "task": "multilabel", "size": 2}]'
cat > s.json <<X
{"model": {"input": [3], "family": "mlp", "width": 16, "depth": 1, "heads": $two},
 "data": {"source": "train.h5", "hard_rows": "0:100", "labels": "L.h5"},
 "loss": {"price": {"kind": "huber"}, "weather": {"temperature": 2}}, "train": {"epochs": 20, "batch": 32, "lr": 0.02}}
X
expect 0 "loss of weather: 0.1 x binary cross-entropy" "$retort" train s.json --out S
expect 0 "S has no head 'kind'" "$retort" eval --teacher T/model.h5 --student S/model.h5 --data test.h5 'data.targets={"kind":"y"}' eval.speed=false --out E2 --force
expect 0 "S/model.h5 has no head 'kind' of T/model.h5" "$retort" eval --baseline T/model.h5 --candidate S/model.h5 --data test.h5 'data.targets={"kind":"y"}' \
    --out E3 eval.speed=false
grep -q '<h2>Head price (real)</h2>' E3/report.html && grep -q '"hamming"' E3/evaluation.json || fail "a pair is not compared by head"
expect 0 "" "$retort" predict T/model.h5 --data test.h5 --out t.h5 'data.targets={"kind":"y"}'
expect 0 "" "$retort" predict S/model.h5 --data test.h5 --out s.h5
expect 0 "rmse" "$retort" eval --baseline t.h5 --candidate s.h5 --out E4
expect 0 "error difference" "$retort" eval --teacher L.h5 --student S/model.h5 --data train.h5 eval.speed=false --out E2 --force

# What cannot be is said.
expect 2 "labels.topk" "$retort" label --teacher S/model.h5 --data train.h5 --out N.h5 labels.topk=2
expect 2 "has the heads" "$retort" label --teacher T/model.h5 --teacher S/model.h5 --data train.h5 --out N.h5
expect 2 "give it as data.labels" "$retort" train t.json --out N teacher=L.h5 
expect 2 "data.targets names the data set of each" "$retort" train t.json --out N data.y=y
expect 2 "for --target" "$retort" import test.csv --target price=cost --out N.h5
[ -e N.h5 ] && fail "a file is left behind"
exit $failed
