#!/bin/sh
# Whether newer data is like older data: tables by name, classes, images, models, predictions, limits, forms, a step of 'run'.
. "$2/tests/cli/lib.sh"

# rows seed shift header: columns age, income, size, kind and a class; their places are those of the header.
table() {
    awk -v n="$1" -v s="$2" -v shift="$3" -v head="$4" 'BEGIN {
        srand(s); srand(s); OFS = ","; print head; k = split(head, at, ",")
        for (i = 0; i < n; i++) {
            v["age"] = 40 + shift * 4 + 4 * (rand() + rand() + rand() + rand() - 2)
            v["income"] = exp(2 * rand())
            v["size"] = rand() * 100
            v["kind"] = int(rand() * 4)
            c = int(rand() * 3); v["class"] = c == 0 ? "ox" : c == 1 ? "cat" : "dog"
            line = v[at[1]]; for (j = 2; j <= k; j++) line = line OFS v[at[j]]
            print line
        }
    }'
}
import() { "$retort" import "$1.csv" --label class --out "$1.h5" --quiet > log 2>&1 || fail "import of $1: $(cat log)"; }
has() { grep -q "$1" "$2" || fail "no '$1' in $2: $(head -c 600 "$2")"; }
table 3000 1 0 age,income,size,kind,class > a.csv
table 2500 2 0 age,income,size,kind,class > b.csv
table 2500 3 0 size,class,kind,income,age > other_order.csv
table 2500 4 0.5 age,income,size,kind,class > shifted.csv
table 2500 6 0 age,income,size,kind,class | awk -F, 'NR > 1 && NR % 3 == 0 { sub(/[a-z]+$/, "emu") } { print }' > emus.csv
table 2500 7 0 age,income,size,kind,class | awk -F, 'BEGIN { OFS = "," } NR > 1 && NR % 20 == 0 { $3 = 1000 } { print }' > far.csv
table 60 8 0 age,income,size,kind,class > few.csv
table 2500 9 0 age,income,size,class > less.csv
for f in a b other_order shifted emus far few less; do import $f; done

# No drift, also in another order of columns and classes; each kind of drift by name; too few rows are no verdict.
expect 0 "drift: none" "$retort" drift --reference a.h5 --data b.h5 --out none
has '"verdict":[[:space:]]*"none"' none/drift.json
has '"exit_code":[[:space:]]*0' none/drift.json
expect 0 "drift: none" "$retort" drift --reference a.h5 --data other_order.h5
expect 1 "distribution age" "$retort" drift --reference a.h5 --data shifted.h5 --out age
expect 1 "unseen y" "$retort" drift --reference a.h5 --data emus.h5 --out emus
grep -A3 '"unseen":' emus/drift.json | grep -q '"emu"' || fail "the class that is new is not named"
expect 1 "outside size" "$retort" drift --reference a.h5 --data far.h5
expect 6 "too few rows" "$retort" drift --reference a.h5 --data few.h5
grep -q '0 checks drift, 12 undecided, 0 do not' out.txt || fail "the screen of few rows: $(cat out.txt)"
expect 3 "kind" "$retort" drift --reference a.h5 --data less.h5
grep -q 'columns of a.h5: age, income, size, kind; of less.h5: age, income, size$' err.txt || fail "not both lists: $(cat err.txt)"
expect 0 "has not; they are not compared" "$retort" drift --reference less.h5 --data b.h5


# The effect alone decides nothing, nor does p: limits, of all, of a column, of a file, as options.
expect 0 "" "$retort" drift --reference a.h5 --data shifted.h5 --max-psi 1 --max-ks 0.5 limits.max_auc=0.9 limits.max_unlike=1
expect 0 "" "$retort" drift --reference a.h5 --data shifted.h5 'limits.columns={"age": {"max_psi": 1, "max_ks": 0.5}}' limits.max_auc=0.9 limits.max_unlike=1
expect 0 "" "$retort" drift --reference a.h5 --data shifted.h5 'limits.ignore=["age"]'
printf '{"format": "retort-drift-limits-1", "max_psi": 1, "max_ks": 0.5, "max_auc": 0.9, "max_unlike": 1}\n' > limits.json
expect 0 "" "$retort" drift --reference a.h5 --data shifted.h5 --limits limits.json
expect 2 "limits" "$retort" drift --reference a.h5 --data shifted.h5 --limits limits.json limits.max_psi=0.1
expect 2 "say the same thing" "$retort" drift --reference a.h5 --data b.h5 --limits limits.json --max-psi 0.1
printf '{"max_psy": 1}\n' > wrong.json
expect 2 "max_psi" "$retort" drift --reference a.h5 --data b.h5 --limits wrong.json
printf '{"format": "retort-policy-1"}\n' > policy.json
expect 2 "retort-drift-limits-1" "$retort" drift --reference a.h5 --data b.h5 --limits policy.json
expect 2 "limits.columns.age" "$retort" drift --reference a.h5 --data b.h5 'limits.columns={"age": {"max_auc": 1}}'

# Forms: all four, with hashes; what another wrote is kept; equal runs give equal files; names are inert.
for f in drift.json drift.txt drift.csv drift.html drift.xxh128; do [ -s age/$f ] || fail "no $f"; done
head -1 age/drift.csv | grep -qx 'name,kind,column,group,test,statistic,p,p_holm,effect,value,limit,detects,rows_reference,rows_data,verdict,reason' || fail "titles"
[ "$(grep -c '^"\{0,1\}distribution age"\{0,1\},' age/drift.csv)" -eq 2 ] || fail "age has not psi and ks: $(cat age/drift.csv)"
grep -q '<script' age/drift.html && fail "a script in the page"
has 'The data has drifted' age/drift.html
expect 2 "is there" "$retort" drift --reference a.h5 --data shifted.h5 --out age
SOURCE_DATE_EPOCH=1 "$retort" drift --reference a.h5 --data shifted.h5 --out one --threads 1 --quiet > /dev/null 2>&1
SOURCE_DATE_EPOCH=1 "$retort" drift --reference a.h5 --data shifted.h5 --out two --threads 2 --quiet > /dev/null 2>&1
for f in json txt csv html; do cmp -s one/drift.$f two/drift.$f || fail "threads change drift.$f"; done
"$retort" drift --reference a.h5 --data shifted.h5 --json --quiet > j.json 2> err.txt
[ $? -eq 1 ] || fail "--json ends otherwise"
has '"retort-drift-1"' j.json

# Nothing to compare; one side of another kind.
expect 5 "are the same rows" "$retort" drift --reference a.h5 --data a.h5
expect 0 "" "$retort" drift --reference a.h5 --data a.h5 --allow-same
expect 0 "" "$retort" drift --reference a.h5 --data a.h5 reference.rows=:1500 data.rows=1500:
expect 5 "no rows" "$retort" drift --reference a.h5 --data b.h5 data.rows=5:5
expect 3 "none.h5" "$retort" drift --reference a.h5 --data none.h5
expect 2 "reference" "$retort" drift --data b.h5
expect 2 "data" "$retort" drift --reference a.h5

# A model: how sure it is, what is expected of it, features; the same of predictions, and files of either kind do not mix.
make_data 3000 band.h5
awk -F, 'BEGIN { OFS = ","; srand(5); srand(5) } { for (i = 1; i < NF; i++) $i = int($i * 0.3 + rand() * 130); print }' band.csv > dim.csv
"$retort" import dim.csv --label -1 --out dim.h5 --quiet > /dev/null || fail "import of dim"
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16}, "data": {"source": "band.h5", "rows": "0:1000", "validation": 0},
 "train": {"epochs": 5, "batch": 32}}
X
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
expect 0 "layer 'relu" "$retort" drift --reference band.h5 --data band.h5 reference.rows=1000:2000 data.rows=2000: T/model.h5
grep -q "is expected by confidence thresholds (ATC)" out.txt || fail "no expected accuracy: $(cat out.txt)"
expect 1 "distribution confidence y" "$retort" drift --reference band.h5 --data dim.h5 reference.rows=1000:2000 T/model.h5 --out m
grep -q '^drift     expected_accuracy' out.txt || fail "no drop is expected: $(cat out.txt)"
grep -q '^features,.*,drift,""$' m/drift.csv || fail "features do not tell: $(grep '^features' m/drift.csv)"
"$retort" predict T/model.h5 --data band.h5 --rows 1000:2000 --out p1.h5 --quiet > /dev/null || fail "predict"
"$retort" predict T/model.h5 --data dim.h5 --out p2.h5 --quiet > /dev/null || fail "predict"
expect 1 "distribution confidence y" "$retort" drift --reference p1.h5 --data p2.h5 --out p
# The confidence is the largest probability of a row's answer, as 'predict' writes it.
"$retort" predict T/model.h5 --data band.h5 --rows 1000:2000 --out p1.csv --quiet > /dev/null || fail "predict to CSV"
sure=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^p:/) p[++n] = i; next }
    { top = 0; for (i = 1; i <= n; i++) if ($p[i] > top) top = $p[i]; sum += top } END { printf "%.6f", sum / (NR - 1) }' p1.csv)
told=$(grep -A6 '"name":	"confidence y"' m/drift.json | sed -n 's/.*"mean":	\([0-9.]*\),/\1/p')
awk -v a="$sure" -v b="$told" 'BEGIN { exit !(a > 0.4 && a - b < 1e-5 && b - a < 1e-5) }' || fail "confidence $told, and predictions have $sure"
for key in expected_atc expected_doc; do
    [ "$(grep "\"$key\"" m/drift.json)" = "$(grep "\"$key\"" p/drift.json)" ] || fail "predictions have another $key"
done
expect 2 "both sides are of one kind" "$retort" drift --reference p1.h5 --data dim.h5
expect 2 "answers already" "$retort" drift --reference p1.h5 --data p2.h5 T/model.h5

# A registry keeps it with a version: of this model, or of data alone; it is found, checked, carried along and collected.
"$retort" registry init --registry G --quiet > /dev/null 2> err.txt || fail "registry: $(cat err.txt)"
expect 0 "" "$retort" registry add student T/model.h5 --drift m/drift.json --registry G
expect 0 "" "$retort" registry add student@1 --drift age/drift.json --drift m/drift.json --registry G
"$retort" registry show student@1 --registry G --json > show.json 2> err.txt || fail "show: $(cat err.txt)"
[ "$(grep -c '"verdict":[[:space:]]*"drift"' show.json)" -eq 2 ] || fail "not two looks at drift: $(grep verdict show.json)"
has '"expected_accuracy":[[:space:]]*0[.]' show.json
expect 0 "drift" "$retort" registry log student --registry G
expect 0 "" "$retort" registry verify --registry G
expect 0 "" "$retort" registry gc --age 0 --registry G
expect 0 "" "$retort" registry verify --registry G
expect 0 "" "$retort" registry export student@1 --out v.tar.gz --registry G
expect 0 "" "$retort" registry import v.tar.gz --name other --registry G
"$retort" registry show other@1 --registry G --json > other.json 2> err.txt || fail "show: $(cat err.txt)"
[ "$(grep -c '"verdict":[[:space:]]*"drift"' other.json)" -eq 2 ] || fail "an archive loses looks at drift"
sed 's/"lr": *0.1//; s/"epochs": 5/"epochs": 4/' t.json > t2.json
"$retort" train t2.json --out T2 --quiet > /dev/null || fail "train"
expect 3 "is of another model" "$retort" registry add student T2/model.h5 --drift m/drift.json --registry G
expect 3 "retort drift" "$retort" registry add student@1 --drift limits.json --registry G
object=$(find G/objects -type f | while read -r f; do grep -q 'retort-drift-1' "$f" && echo "$f"; done | head -1)
chmod u+w "$object" && sed -i 's/"seed"/"sead"/' "$object"
expect 3 "a look at drift of" "$retort" registry verify --registry G

# A step: its verdict ends the experiment, its page stays.
printf '{"name": "x", "steps": [{"name": "look", "do": "drift", "with": {"reference": {"source": "a.h5"}, "data": {"source": "%s"}}}]}\n' b.h5 > run.json
expect 0 "" "$retort" run run.json --out R --quiet
expect 0 "unchanged    look" "$retort" run run.json --out R --quiet
sed 's/b.h5/shifted.h5/' run.json > run2.json
expect 1 "the verdict of drift is: drift" "$retort" run run2.json --out R2 --quiet
has '^drift     distribution age' out.txt
[ -s R2/look/drift.html ] || fail "no page of the step"
sed 's/b.h5/nowhere.h5/' run.json > run3.json
expect 3 "nowhere.h5" "$retort" run run3.json --out R3 --quiet
exit $failed
