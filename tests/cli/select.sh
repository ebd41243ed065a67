#!/bin/sh
# Rows to label: the list against probabilities as they are exported, copies, labelled rows, seeds, and refusals.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
rows_of() { tail -n +2 "$1" | cut -d, -f1; }

# 400 rows of which the last 100 are copies of the first 100, and a model that is unsure of some.
awk 'BEGIN { srand(9); print "a,b,c,kind"
    for (i = 0; i < 400; i++) {
        c = int(rand() * 3); line = ""
        for (k = 0; k < 3; k++) line = line sprintf("%.4f,", rand() + (k == c) * 0.5)
        row[i] = i < 300 ? line "k" c : row[i - 300]
        print row[i] } }' > rows.csv
"$retort" import rows.csv --label kind --out rows.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"model": {"input": [3], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "rows.h5", "validation": 0}, "train": {"epochs": 5, "batch": 32}}
X
expect 0 "" "$retort" train t.json --out T
expect 0 "" "$retort" predict T/model.h5 --data rows.h5 --out P.h5
expect 0 "" "$retort" predict T/model.h5 --data rows.h5 --out P.csv
expect 0 "" "$retort" label --teacher T/model.h5 --data rows.h5 --out L.h5

# Uncertainty by what is exported: the same rows and scores, of copies the first.
for by in entropy margin least-confidence; do
    expect 0 '"rows_that_are_copies":' "$retort" select P.h5 --n 20 --by $by --out $by.csv --json
    [ "$(number rows_that_are_copies out.txt)" = 100 ] || fail "copies: $(cat out.txt)"
    [ "$(number selected out.txt)" = 20 ] || fail "selected: $(cat out.txt)"
    head -1 $by.csv | grep -qx 'row,id,score,why' || fail "titles: $(head -1 $by.csv)"
    # p stands in columns 4 to 6: row,prediction,name,p:k0,p:k1,p:k2,...
    awk -F, -v by=$by 'NR > 1 && $1 < 300 { e = 0; a = -1; b = -1
        for (k = 4; k <= 6; k++) { e -= $k * log($k); if ($k > a) { b = a; a = $k } else if ($k > b) b = $k }
        printf "%.9f %d\n", by == "entropy" ? e : by == "margin" ? 1 - (a - b) : 1 - a, $1 }' P.csv |
        sort -k1,1nr -k2,2n | head -20 > want.txt
    rows_of $by.csv > got.txt
    awk '{ print $2 }' want.txt | cmp -s - got.txt || fail "$by: $(paste want.txt got.txt)"
    tail -n +2 $by.csv | awk -F, '{ print $3 }' | paste want.txt - |
        awk '{ d = $1 - $3; if (d > 1e-5 || d < -1e-5) exit 1 }' || fail "$by: scores"
    tail -n +2 $by.csv | awk -F, '{ print $2 }' | grep -vqE '^[0-9a-f]{32}$' && fail "$by: ids: $(head -3 $by.csv)"
done
# Why: the two best classes, by what is exported.
awk -F, 'NR == FNR { if (FNR > 1) { for (k = 0; k < 3; k++) p[$1, k] = $(4 + k) } next } FNR > 1 { a = -1; for (k = 0; k < 3; k++) if (a < 0 || p[$1, k] > p[$1, a]) a = k
    b = -1; for (k = 0; k < 3; k++) if (k != a && (b < 0 || p[$1, k] > p[$1, b])) b = k
    want = sprintf("k%d %.3f or k%d %.3f", a, p[$1, a], b, p[$1, b]); gsub("\"", "", $4); if ($4 != want) { print $4 ": " want; exit 1 } }' P.csv entropy.csv > bad.txt || fail "why: $(cat bad.txt)"
grep -qE '^[0-9]+,[0-9a-f]{32},[0-9.]+,"?k[012] 0\.[0-9]{3} or k[012] 0\.[0-9]{3}"?$' entropy.csv || fail "why: $(head -3 entropy.csv)"

# A label store says the same, by the data that it was made of; without the data it cannot know copies, and says so.
for by in entropy k-center badge mix; do
    expect 0 "" "$retort" select P.h5 --n 20 --by $by --out p_$by.csv
    expect 0 "" "$retort" select L.h5 --n 20 --by $by --out l_$by.csv
    cmp -s p_$by.csv l_$by.csv || fail "$by: a store and predictions differ: $(diff p_$by.csv l_$by.csv)"
    rows_of p_$by.csv | awk '{ if (seen[$1 % 300]++) exit 1 }' || fail "$by: a copy is chosen, too"
done
mv rows.h5 moved.h5
expect 0 "copies of a row are not known" "$retort" select L.h5 --n 20 --by entropy --out u.csv
expect 0 "rows_that_are_copies" "$retort" select L.h5 --n 20 --by entropy --out d.csv --data moved.h5
cmp -s d.csv l_entropy.csv || fail "--data: $(diff d.csv l_entropy.csv)"
mv moved.h5 rows.h5

# Features: the first rows of k-center by hand from labelled row 7.
printf 'row,kind\n7,k1\n' > done.csv
expect 0 '"rows_labelled":' "$retort" select P.h5 --n 3 --by k-center --features rows.h5:x --labelled done.csv --out f.csv --json
[ "$(number rows_labelled out.txt)" = 1 ] || fail "rows_labelled: $(cat out.txt)"
centers() { # FROM TO ROW: three rows of [FROM, TO) as far as can be from ROW and each other
    awk -F, -v from="$1" -v to="$2" -v row="$3" 'NR > 1 { for (k = 1; k <= 3; k++) x[NR - 2, k] = $k }
        END { center[1] = row; n = 1
            for (c = 0; c < 3; c++) { best = -1
                for (i = from; i < to; i++) { d = 1e9
                    for (j = 1; j <= n; j++) { s = 0
                        for (k = 1; k <= 3; k++) s += (x[i, k] - x[center[j], k]) ^ 2
                        if (s < d) d = s }
                    if (d > best) { best = d; row = i } }
                center[++n] = row; print row } }' rows.csv
}
centers 0 300 7 > want.txt
rows_of f.csv | cmp -s - want.txt || fail "k-center: $(rows_of f.csv) instead of $(cat want.txt)"
expect 0 "" "$retort" predict T/model.h5 --data rows.h5 --rows 60:260 --out part.h5
printf '77\n' > one.csv
expect 0 "" "$retort" select part.h5 --n 3 --by k-center --features rows.h5 --labelled one.csv --out part.csv
centers 60 260 77 > want.txt
rows_of part.csv | cmp -s - want.txt || fail "k-center of a part: $(rows_of part.csv) instead of $(cat want.txt)"
expect 3 "part.h5 has no row 7" "$retort" select part.h5 --n 3 --labelled done.csv --out n.csv
printf 'row,kind\n7,k1\n9,k0\n7,k1\n' > twice.csv
expect 0 '"rows_labelled":	2,' "$retort" select P.h5 --n 3 --labelled twice.csv --out twice.out.csv --json      # a row counts once
grep -q "far from row 7" f.csv || fail "why: $(cat f.csv)"

# Seeds: the same again, and another; where nothing is drawn a seed is refused.
expect 0 "" "$retort" select P.h5 --n 20 --out s1.csv --seed 1
cmp -s s1.csv p_badge.csv || fail "badge and seed 1 are the default"
expect 0 "" "$retort" select P.h5 --n 20 --by badge --out s2.csv --seed 2
cmp -s s1.csv s2.csv && fail "another seed, the same rows"
expect 2 "seed: does nothing where nothing is drawn" "$retort" select P.h5 --n 20 --by entropy --out n.csv --seed 2

# One line each.
expect 2 "n 401: P.h5 has 400 rows" "$retort" select P.h5 --n 401 --out n.csv
expect 5 "301 rows are asked for, and there are 300 different ones" "$retort" select P.h5 --n 301 --out n.csv
expect 5 "300 rows are asked for, and there are 299 different ones" "$retort" select P.h5 --n 300 --out n.csv --labelled done.csv
expect 2 "by: 'most' is not one of" "$retort" select P.h5 --n 3 --by most --out n.csv
expect 2 "pool: belongs to mix" "$retort" select P.h5 --n 3 --by badge --pool 3 --out n.csv
expect 2 "features: do nothing here" "$retort" select P.h5 --n 3 --by entropy --features rows.h5 --out n.csv
expect 2 "--n and --out" "$retort" select P.h5 --out n.csv
printf 'row,kind\n7,k1\n400,k1\n' > unknown.csv
expect 3 "unknown.csv: line 3: P.h5 has no row 400" "$retort" select P.h5 --n 3 --labelled unknown.csv --out n.csv
printf 'row\nseven\n' > word.csv
expect 3 "word.csv: line 2: a row's number is expected" "$retort" select P.h5 --n 3 --labelled word.csv --out n.csv
head -101 rows.csv > few.csv
"$retort" import few.csv --label kind --out few.h5 --quiet > /dev/null || fail "import"
expect 3 "'x' has 100 rows, and P.h5 has row 100" "$retort" select P.h5 --n 3 --by k-center --features few.h5 --out n.csv
expect 0 "" "$retort" predict T/model.h5 --data rows.h5 --out K.h5 topk=2
expect 2 "predict without topk" "$retort" select K.h5 --n 3 --out n.csv
expect 3 "is no label store" "$retort" select rows.h5 --n 3 --out n.csv
[ -e n.csv ] && fail "something is half-written"
expect 2 "" "$retort" select P.h5 --n 3 --out entropy.csv
expect 0 "" "$retort" select P.h5 --n 3 --out entropy.csv --force
exit $failed
