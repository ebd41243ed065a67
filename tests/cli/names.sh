#!/bin/sh
# Classes and columns by name: a model, a label store and data that have them in other orders give the same answers, and what
# cannot be matched is refused with both lists.
. "$2/tests/cli/lib.sh"

# Three classes that are told apart with ease: class a has u high, b has v, c has w.
awk 'BEGIN {
    srand(3); print "u,v,w,kind"
    for (i = 0; i < 300; i++) {
        c = int(rand() * 3)
        printf "%.3f,%.3f,%.3f,%s\n", (c == 0) * 4 + rand(), (c == 1) * 4 + rand(), (c == 2) * 4 + rand(), substr("abc", c + 1, 1)
    }
}' > abc.csv
columns() { awk -F, -v OFS=, "{ print $1 }" "$2" > "$3"; }                      # "fields" from to
bring() { # name options of import
    name=$1; shift
    "$retort" import "$name.csv" --label kind --out "$name.h5" --quiet "$@" > /dev/null 2> err.txt || fail "import of $name: $(cat err.txt)"
}
# accuracy SHARE model... -- data [key=value ...]: each of the models has it on the data
accuracy() {
    share=$1; models=; shift
    while [ "$1" != -- ]; do models="$models --student $1"; shift; done
    data=$2; shift 2
    rm -rf E
    expect 0 "" "$retort" eval $models --data "$data" --out E eval.speed=false "$@"
    got=$(sed -n 's/^\t\t\t"accuracy":[[:space:]]*\([0-9.e-]*\),$/\1/p' E/evaluation.json | sort -u | tr '\n' ' ')
    [ "$got" = "$share " ] || fail "accuracy $got instead of $share: $models on $data"
}

bring abc
grep -E 'kind|,[ac]$' abc.csv > ac.csv; bring ac
cp abc.csv cba.csv; bring cba --classes c,b,a
columns '$3,$1,$2,$4' abc.csv turned.csv; bring turned --classes b,c,a
columns '$3,"9",$1,$2,$4' abc.csv wide.csv; sed -i '1s/9/t/' wide.csv; bring wide
columns '$1,$2,$4' abc.csv narrow.csv; bring narrow
sed 's/,b$/,d/' abc.csv > adc.csv; bring adc
sed 1d abc.csv > bare.csv
expect 0 "" "$retort" import bare.csv --label -1 --out bare.h5

cat > t.json <<'J'
{"model": {"input": [3], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "abc.h5", "validation": 0},
 "train": {"epochs": 20, "batch": 16, "lr": 0.05}}
J
expect 0 "" "$retort" train t.json --out T
expect 0 "" "$retort" train t.json --out U data.source=turned.h5
T=T/model.h5 U=U/model.h5

# Evaluation: fewer classes, another order of classes, of columns, of both; models of both orders side by side.
for d in abc ac cba turned wide; do accuracy 1 $T $U -- $d.h5; done
grep -q 'in another order than the model' E/evaluation.json || fail "eval does not say that columns were mapped"
grep -q '1 column that the model does not know left out: t' E/evaluation.json || fail "eval does not say which column was left out"
expect 3 "its class 'd' is not among those of T/model.h5; classes of adc.h5: a, c, d; of T/model.h5: a, b, c" \
    "$retort" eval --student $T --data adc.h5 --out E2 eval.speed=false
expect 3 "its column 'w' is not among those of narrow.h5; columns of T/model.h5: u, v, w; of narrow.h5: u, v" \
    "$retort" eval --student $T --data narrow.h5 --out E2 eval.speed=false
expect 3 "of bare.h5: numbers" "$retort" eval --student $T --data bare.h5 --out E2 eval.speed=false
accuracy 1 $T -- bare.h5 data.names=position

# Training goes on from a model whose classes and columns stand otherwise.
echo '{"init": "T/model.h5", "data": {"validation": 60}, "train": {"epochs": 1, "lr": 1e-9}}' > i.json
for d in cba turned wide ac; do
    expect 0 "" "$retort" train i.json --out I_$d data.source=$d.h5
    accuracy 1 I_$d/model.h5 -- abc.h5
    grep -q '"validation_accuracy":[[:space:]]*1,' I_$d/result.json || fail "init on $d: validation is not 1"
done
# Mixed rows are picked as others are: what is learnt of turned columns serves the model's own order.
expect 0 "" "$retort" train i.json --out I_mix data.source=turned.h5 data.validation=0 augment.mixup=0.2 train.lr=0.05 train.epochs=20
accuracy 1 I_mix/model.h5 -- abc.h5
expect 3 "its class 'd' is not among those of T/model.h5" "$retort" train i.json --out I2 data.source=adc.h5
expect 3 "its column 'w' is not among those of narrow.h5" "$retort" train i.json --out I2 data.source=narrow.h5
expect 3 "names 3 classes, but there are 5 classes in the model; set model.classes" "$retort" train t.json --out I2 model.classes=5

# Names are content: a folder's run is of the names that its data had.
sed '1s/u,v,w/w,v,u/' abc.csv > again.csv; bring again
cp again.h5 kept.h5
cp abc.h5 again.h5
expect 0 "" "$retort" train t.json --out N data.source=again.h5 train.epochs=1
cp kept.h5 again.h5
expect 2 "other names of classes or columns" "$retort" train t.json --out N data.source=again.h5 train.epochs=1

# A label store: the teacher reads columns by name, the student reads logits by name.
for d in abc cba turned wide; do
    expect 0 "" "$retort" label --teacher $T --data $d.h5 --out L_$d.h5
    expect 0 "" "$retort" export L_$d.h5 --out L_$d.csv --to csv
    cmp -s L_abc.csv L_$d.csv || fail "labels of $d.h5 differ from those of abc.h5"
done
head -1 L_abc.csv | grep -qx 'row,prediction,name,p:a,p:b,p:c,status' || fail "the CSV of labels does not name its classes"
sed 1d abc.csv | cut -d, -f4 > truth.txt
sed 1d L_abc.csv | cut -d, -f3 | cmp -s - truth.txt || fail "the names in the CSV of labels are not those of the rows"
for top in "" labels.topk=1; do
    expect 0 "" "$retort" label --teacher $T --data abc.h5 --out L.h5 --force $top
    for hard in 0 0.5; do
        [ "$top$hard" != labels.topk=10.5 ] || continue
        expect 0 "" "$retort" train t.json --out S data.source=cba.h5 data.labels=L.h5 loss.kind=kd loss.hard=$hard --force
        accuracy 1 S/model.h5 -- abc.h5
        expect 0 "" "$retort" info S/model.h5 --json
        tr -d ' \t\n' < out.txt | grep -q '"class_names":\["c","b","a"\]' || fail "the student's classes are not in its data's order"
        tr -d ' \t\n' < out.txt | grep -q '"heads":\[{"name":"y","task":"classes","size":3,"names":\["c","b","a"\],"layer":"[a-z0-9_]*"}\]' ||
            fail "the student's head is not told"
    done
done
# Data without classes: the student's are the teacher's.
cut -d, -f1-3 abc.csv > free.csv
expect 0 "" "$retort" import free.csv --out free.h5
expect 0 "" "$retort" train t.json --out F data.source=free.h5 teacher=$T loss.kind=kd loss.hard=0
accuracy 1 F/model.h5 -- cba.h5

# Data that lacks a class of its teacher: the student has all of the teacher's.
expect 0 "" "$retort" train t.json --out F2 data.source=ac.h5 teacher=$T loss.kind=kd
accuracy 1 F2/model.h5 -- ac.h5
expect 0 "" "$retort" label --teacher $T --data ac.h5 --out Lac.h5
expect 0 "" "$retort" train t.json --out F3 data.source=ac.h5 data.labels=Lac.h5 loss.kind=kd
accuracy 1 F3/model.h5 -- ac.h5
expect 3 "names 3 classes, but there are 2 classes in the model; set model.classes" \
    "$retort" train t.json --out F4 data.source=ac.h5 teacher=$T loss.kind=kd model.classes=2

# A teacher in the loop, and ensembles of models that have classes and columns in different orders.
expect 0 "" "$retort" train t.json --out P data.source=cba.h5 teacher=$U loss.kind=kd loss.hard=0
accuracy 1 P/model.h5 -- abc.h5
expect 0 "" "$retort" train t.json --out Q data.source=wide.h5 'model.input=[4]' "teacher=[\"$T\",\"$U\"]" loss.kind=kd loss.hard=0
accuracy 1 Q/model.h5 -- wide.h5
expect 3 "its column 't' is not among those of abc.h5" "$retort" eval --student Q/model.h5 --data abc.h5 --out E2 eval.speed=false
expect 0 "" "$retort" label --teacher $T --teacher $U --data wide.h5 --out L2.h5
expect 0 "" "$retort" export L2.h5 --to csv --out L2.csv
sed 1d L2.csv | cut -d, -f3 | cmp -s - truth.txt || fail "an ensemble of two orders gives other classes"
expect 0 "" "$retort" predict $U $T --data abc.h5 --out P.csv
head -1 P.csv | grep -qx 'row,prediction,name,p:b,p:c,p:a,id,truth' || fail "an ensemble's CSV does not have the first model's classes"
sed 1d P.csv | cut -d, -f3 | cmp -s - truth.txt || fail "predictions of an ensemble are other classes"
expect 0 "" "$retort" train t.json --out X data.source=adc.h5
expect 3 "is not among those of" "$retort" label --teacher $T --teacher X/model.h5 --data abc.h5 --out L3.h5
expect 3 "is not among those of" "$retort" eval --student $T --student X/model.h5 --data abc.h5 --out E2 eval.speed=false
expect 3 "is not among those of" "$retort" train t.json --out Y data.source=adc.h5 data.labels=L.h5 loss.kind=kd
expect 3 "is not among those of" "$retort" train t.json --out Y data.source=adc.h5 teacher=$T loss.kind=kd

# Two heads of classes: the names of "y" are those of the head that learns from it, and of no other set.
sed -E '1s/$/,rank/; s/,a$/,a,2/; s/,b$/,b,0/; s/,c$/,c,1/' abc.csv > rank.csv; bring rank --target rank
cp rank.csv knar.csv; bring knar --target rank --classes c,b,a
cat > two.json <<'J'
{"model": {"input": [3], "heads": [{"name": "kind", "size": 3}, {"name": "rank", "size": 3}], "family": "mlp", "width": 8,
           "depth": 1},
 "data": {"source": "rank.h5", "targets": {"kind": "y"}, "validation": 0}, "train": {"epochs": 20, "batch": 16, "lr": 0.05}}
J
expect 0 "" "$retort" train two.json --out H
expect 0 "" "$retort" train two.json --out H2 data.source=knar.h5 teacher=H/model.h5
expect 0 "" "$retort" train two.json --out H3 data.source=free.h5 data.targets={} teacher=H/model.h5 loss.kind.hard=0 loss.rank.hard=0
for m in H H2 H3; do
    expect 0 "" "$retort" predict $m/model.h5 --data abc.h5 --out $m.csv
    sed 1d $m.csv | cut -d, -f3 | cmp -s - truth.txt || fail "$m names other classes than the rows have"
    rm -rf E
    expect 0 "" "$retort" eval --student $m/model.h5 --data knar.h5 --out E data.targets.kind=y eval.speed=false
    [ "$(grep -c '"accuracy":[[:space:]]*1,' E/evaluation.json)" = 2 ] || fail "$m: an order of classes changes what is right"
done
expect 0 "" "$retort" train two.json --out H4 data.source=knar.h5
expect 0 "H4 has the names of head 'kind' in another order than H: matched by name" "$retort" eval --student H/model.h5 \
    --student H4/model.h5 --data rank.h5 --out E4 data.targets.kind=y eval.speed=false
for m in H H3; do
    head -1 $m.csv | grep -qx 'row,kind:prediction,kind:name,kind:p:a,kind:p:b,kind:p:c,rank:prediction,rank:p0,rank:p1,rank:p2,id' ||
        fail "$m names the classes of another set"
done
# A single head takes y when no set has its name, which is said.
one='model={"input": [3], "heads": [{"name": "sort", "size": 3}], "family": "mlp", "width": 8, "depth": 1}'
expect 0 "head 'sort' learns from 'y', as the data has no set 'sort'" "$retort" train t.json --out I "$one"
expect 0 "head 'sort' is compared with 'y', as the data has no set 'sort'" \
    "$retort" eval --student I/model.h5 --data cba.h5 --out E5 eval.speed=false
expect 0 "" "$retort" train t.json --out R data.source=rank.h5 data.y=rank
expect 0 "" "$retort" predict R/model.h5 --data rank.h5 --out R.csv data.y=rank
head -1 R.csv | grep -q '^row,prediction,p0,p1,p2,id' || fail "the names of y are given to the classes of another set"

# Predictions: names beside numbers, columns by name; nothing replaces what it is made from.
for d in abc turned wide; do
    expect 0 "" "$retort" predict $T --data $d.h5 --out p_$d.csv
    sed 1d p_$d.csv | cut -d, -f3 | cmp -s - truth.txt || fail "predictions of $d.h5 are other classes"
done
expect 2 "is an input of this command" "$retort" export $T --to npz --out $T
expect 2 "is an input of this command" "$retort" predict $T --data abc.h5 --to h5 --out abc.h5
expect 2 "is no regular file" "$retort" export $T --to npz --out /dev/null
expect 2 "unknown option --rows" "$retort" export $T --to npz --rows 0:3 --out m.npz
expect 2 "unknown option --data" "$retort" export L.h5 --data abc.h5 --to csv --out l.csv
exit $failed
