#!/bin/sh
# import as a user meets it: what is printed, what is refused, and that names carry through training and evaluation.
. "$2/tests/cli/lib.sh"
samples=$root/tests/data/samples

printf ',w,h,kind\n0,1.5,2,owl\n1,3,4,"barn, old"\n2,5,6,\n' > birds.csv
expect 0 "" "$retort" import birds.csv --label kind --out birds.h5
for line in 'rows             3 of (2), f32' "header           yes: line 1 has the column 'kind'" 'separator        ,' \
            'encoding         utf-8' 'columns          2: w, h' 'label column     kind' 'without label    1 rows' \
            'columns hold     1 of whole numbers, 1 with fractions' 'classes          2: barn, old (1), owl (1)' \
            "left out         column '' has no name: an index" "note             rows without a label: 1 ('' 1); y is -1"; do
    grep -qF -- "$line" out.txt || fail "import does not say '$line': $(cat out.txt)"
done
expect 0 '"class_names":' "$retort" import birds.csv --label kind --out birds.h5 --force --json
expect 2 "exists" "$retort" import birds.csv --label kind --out birds.h5
expect 3 "which --missing-labels refuses" "$retort" import birds.csv --label kind --missing-labels refuse --out x.h5
expect 0 "columns          3: Unnamed: 0, w, h" "$retort" import birds.csv --label kind --keep-index --out k.h5
expect 2 "--keep-index takes no value" "$retort" import birds.csv --label kind --keep-index=yes --out x.h5
expect 0 "rows             3 of (1), f32" "$retort" import birds.csv --drop kind,h --out d.h5 header=yes
expect 2 "targets.p: no column is named" "$retort" import birds.csv --label kind --target p= --out x.h5
expect 2 "say the same thing" "$retort" import birds.csv --drop kind --out x.h5 drop=h

# What does not apply, and what is not known.
expect 2 "--label does not apply to npy" "$retort" import "$samples/arrays/bool.npy" --label k --out x.h5
expect 2 "a second file is not read" "$retort" import "$samples/pictures" y.csv --out x.h5
words=$samples/arrays/y_words.npy
expect 2 "--label kind and $words" "$retort" import birds.csv "$words" --label kind --out x.h5
expect 2 "channels: 1 (grey) or 3 (colour)" "$retort" import "$samples/pictures" --channels 2 --out x.h5
expect 2 "--size 7: HxW" "$retort" import "$samples/pictures" --size 7 --out x.h5
expect 2 "--size 7x7x7: HxW" "$retort" import "$samples/pictures" --size 7x7x7 --out x.h5
expect 2 "classes: a name between the commas is empty" "$retort" import birds.csv --label kind --classes owl,,x --out x.h5
expect 2 "decimal: ',' cannot be the separator, too" \
    "$retort" import birds.csv --separator , --decimal , --out x.h5
expect 2 "separator" "$retort" import birds.csv --separator ';;' --out x.h5
expect 2 "header" "$retort" import birds.csv --header maybe --out x.h5
expect 2 "seperator: unknown key; did you mean 'separator'?" "$retort" import birds.csv seperator=, --out x.h5
expect 2 "is an HDF5 file already" "$retort" import birds.h5 --out x.h5
mkfifo pipe
expect 3 "is no regular file" timeout 5 "$retort" import pipe --out x.h5
expect 2 "is an input" "$retort" import birds.csv --label kind --like birds.h5 --out birds.h5 --force
[ -e x.h5 ] && fail "what was refused left a file"

# The same data in other clothes gives the same bytes of x and y.
printf 'w;h;kind\r\n1,5;2;owl\r\n3;4;barn, old\r\n5;6;NaN\r\n' > german.csv
printf '\377\376' > utf16.csv
iconv -f utf-8 -t utf-16le german.csv >> utf16.csv
gzip -c birds.csv > birds.csv.gz
expect 0 "" "$retort" import german.csv --label kind --decimal , --out german.h5
expect 0 "encoding         utf-16le" "$retort" import utf16.csv --label 2 --decimal , --separator ';' --out utf16.h5
expect 0 "" "$retort" import birds.csv.gz --label -1 --out gz.h5
for f in german utf16 gz; do
    "$retort" info birds.h5 x > a.txt; "$retort" info $f.h5 x > b.txt
    [ "$(grep -E 'min|max|mean' a.txt)" = "$(grep -E 'min|max|mean' b.txt)" ] || fail "$f.h5 differs from birds.h5"
done

# What info says of numbers, by hand: 2 4 4 4 5 5 7 9 has the mean 5 and the standard deviation 2; shares are of numbers that are there.
printf 'v,k\n2,a\n4,\n4,b\n4,b\n5,b\n5,a\n7,\n9,b\n' > eight.csv
{ printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), }"
  printf '\0\0\0\0\0\0\200\077\0\0\0\0\0\0\200\077\0\0\300\177\0\0\200\077\0\0\300\100\0\0\200\077'; } > gap.npy         # 0 1, 0 1, NaN 1, 6 1
"$retort" import eight.csv --label k --out eight.h5 --quiet > /dev/null && "$retort" import gap.npy --out gap.h5 --quiet > /dev/null || fail "import of eight numbers"
told() { "$retort" info $1.h5 $2 --json | tr -d ' \n\t' | sed 's/.*"statistics":{\([^}]*\)}.*/\1/'; }
[ "$(told eight x)" = '"over_rows":8,"min":2,"max":9,"mean":5,"std":2,"zeros":0,"nan_or_infinite":0' ] || fail "eight numbers: $(told eight x)"
[ "$(told eight y)" = '"over_rows":8,"min":-1,"max":1,"mean":0.25,"std":0.82915619758885,"zeros":0.25,"nan_or_infinite":0,"minus_one":2,"count_by_value":[2,4]' ] ||
    fail "eight labels: $(told eight y)"
case $(told gap x) in *'"max":6,"mean":1.4285714285714'*'"zeros":0.28571428571428'*'"nan_or_infinite":1') ;; *) fail "numbers with a gap: $(told gap x)" ;; esac

# A test file without a class, its columns in another order: the same accuracy as with all.
awk 'BEGIN {
    srand(3); print "a,b,k"
    for (i = 0; i < 300; i++) { c = i % 3; printf "%.3f,%.3f,%s\n", c + rand() * 0.2, rand(), substr("xyz", c + 1, 1) }
}' > all.csv
awk -F, 'NR == 1 || $3 != "y" { print $2 "," $1 "," $3 }' all.csv > two.csv
expect 0 "" "$retort" import all.csv --label k --out all.h5
expect 0 "classes          3: x (100), y (0), z (100)" "$retort" import two.csv --label k --like all.h5 --out two.h5
expect 0 "columns          2: a, b" "$retort" import two.csv --like all.h5 --out two2.h5
cat > m.json <<'X'
{"model": {"input": [2], "classes": 3, "family": "mlp", "width": 16},
 "data": {"source": "all.h5", "validation": 0}, "train": {"epochs": 40, "batch": 32, "lr": 0.1}}
X
expect 0 "" "$retort" train m.json --out M
expect 0 "" "$retort" import two.csv --label k --like M/model.h5 --out two3.h5
for f in two two2 two3; do
    expect 0 "" "$retort" eval --teacher M/model.h5 --data $f.h5 --out E_$f eval.speed=false
    grep -q '"accuracy":[[:space:]]*1,' E_$f/evaluation.json || fail "$f.h5: the accuracy is not 1"
done
printf 'a,b,k\n1,2,owl\n' > other.csv
expect 3 "labels (owl) are none of the classes of all.h5 (x, y, z)" \
    "$retort" import other.csv --label k --like all.h5 --out x.h5

# A step of an experiment is checked before the first one runs.
cat > x.json <<'X'
{"steps": [{"name": "a", "do": "import", "with": {"input": "all.csv", "label": "k"}},
           {"name": "b", "do": "import", "with": {"input": "all.csv", "decimal": ";"}}]}
X
expect 2 "step 'b'" "$retort" run x.json --out X
[ -e X ] && fail "an experiment with an error was begun"
exit $failed
