#!/bin/sh
# Voters: columns and stores become a store that training reads; names, abstentions, who is overruled, and refusals.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
near() { awk -v a="$1" -v b="$2" -v d="$3" 'BEGIN { exit !(a - b < d && b - a < d) }' || fail "$4: $1, want $2"; }

# npy FILE COLUMNS: whole numbers on standard input, (rows, columns) or (rows), as an i1 array.
npy() {
    tr -s ' \n' '\n\n' > numbers.txt
    rows=$(($(wc -l < numbers.txt) / $2)); shape="($rows,)"
    [ "$2" = 1 ] || shape="($rows, $2)"
    { printf '\223NUMPY\001\000v\000'
      printf "%-117s\n" "{'descr': '|i1', 'fortran_order': False, 'shape': $shape, }"
      awk '{ printf "%s", $1 < 0 ? "\\377" : sprintf("\\%03o", $1) }' numbers.txt | xargs -0 printf; } > "$1"
}

# Rows of four columns whose class is a sum: kinds k0, k1, k2. Five voters of known quality say what they take a row for.
awk 'BEGIN { srand(5); print "a,b,c,d,kind"
    for (i = 0; i < 1500; i++) { c = int(rand() * 3); line = ""
        for (k = 0; k < 3; k++) line = line sprintf("%.4f,", rand() + (k == c) * 2)
        print line sprintf("%.4f,k%d", rand(), c) } }' > rows.csv
"$retort" import rows.csv --label kind --out rows.h5 --quiet > /dev/null || fail "import"
awk -F, 'BEGIN { srand(11); split("0.9 0.8 0.7 0.6 0.4", right, " "); split("0.9 0.8 0.7 0.6 0.5", cover, " ") }
    NR > 1 { t = substr($5, 2) + 0; print t > "truth.txt"
        for (v = 1; v <= 5; v++) {
            said = rand() < right[v] ? t : (t + 1 + int(rand() * 2)) % 3
            printf "%d%s", rand() < cover[v] && NR != 7 ? said : -1, v < 5 ? " " : "\n" > "votes.txt" } }' rows.csv
npy votes.npy 5 < votes.txt
npy truth.npy 1 < truth.txt
yes -- -1 | head -1500 | npy silent.npy 1
yes 1 | head -1499 | npy short.npy 1
for f in votes truth silent short; do
    "$retort" import $f.npy --out $f.h5 --quiet > /dev/null || fail "import $f"
done

# Dawid-Skene beats the majority, which stands beside it; each voter's accuracy comes out without the truth.
expect 0 "" "$retort" vote votes.h5:x --data rows.h5 --truth truth.h5:x --out V.h5 --json
cp out.txt vote.json
none=$(grep -c '^-1 -1 -1 -1 -1$' votes.txt)
[ "$none" -ge 1 ] || fail "no row without a vote"
[ "$(number rows_labelled vote.json)" = $((1500 - none)) ] || fail "rows_labelled: $(cat vote.json)"
[ "$(number rows_without_vote vote.json)" = "$none" ] || fail "rows_without_vote: $(cat vote.json)"
awk -v m="$(sed -n '/"accuracy":[[:space:]]*{/,/}/s/.*"model":[[:space:]]*\([0-9.]*\).*/\1/p' vote.json)" \
    -v j="$(sed -n '/"accuracy":[[:space:]]*{/,/}/s/.*"majority":[[:space:]]*\([0-9.]*\).*/\1/p' vote.json)" \
    'BEGIN { exit !(m > j + 0.02 && j > 0.75) }' || fail "it is no better than the majority: $(cat vote.json)"
grep '"accuracy_estimate":' vote.json | sed 's/.*:[[:space:]]*//; s/,//' > told.txt
for a in 0.9 0.8 0.7 0.6 0.4; do near "$(head -1 told.txt)" $a 0.06 "a voter's accuracy"; sed -i 1d told.txt; done
grep -q '"confusion":' vote.json || fail "no confusions"
expect 0 "rows_that_differ" "$retort" vote votes.h5:x --data rows.h5 --out V1.h5
grep -q confusion out.txt && fail "confusions in the table"

# Columns without names have numbers for classes; by position they have those of the data.
expect 0 '"k2":' "$retort" vote votes.h5:x --data rows.h5 --out Y.h5 --json data.names=position
[ "$(number k1 out.txt)" = "$(number 1 vote.json)" ] || fail "names by position: $(cat out.txt)"
expect 0 "" "$retort" export Y.h5 --out Y.csv
head -1 Y.csv | grep -q 'p:k2' || fail "the store does not name its classes: $(head -1 Y.csv)"

# The store: checked, exported with its probabilities, read by training, the same again.
expect 0 "all blocks match" "$retort" info V.h5
grep -q "^abstained  *$none\$" out.txt || fail "info counts no row without a vote: $(cat out.txt)"
expect 0 '"abstained":' "$retort" labels summary Y.h5 --data rows.h5 --json
[ "$(number abstained out.txt)" = "$none" ] || fail "labels summary: $(cat out.txt)"
expect 0 "$none rows have no label and are left out" "$retort" export V.h5 --out V.csv
grep -q '^5,' V.csv && fail "a row without a vote is exported"
[ "$(wc -l < V.csv)" = $((1501 - none)) ] || fail "exported rows: $(wc -l < V.csv)"
cmp -s V.h5 V1.h5 || fail "equal votes give other stores"
cat > t.json <<'X'
{"model": {"input": [4], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "rows.h5", "validation": 300, "labels": "V.h5", "names": "position"}, "loss": {"kind": "kd", "hard": 0},
 "train": {"epochs": 6, "batch": 64}}
X
expect 0 "" "$retort" train t.json --out T
expect 0 "" "$retort" eval --student T/model.h5 --data rows.h5 eval.speed=false --out E --json data.names=position
awk -v a="$(number accuracy out.txt)" 'BEGIN { exit !(a > 0.9) }' || fail "what it teaches: $(cat out.txt)"

# Stores vote by their best class; a store and columns together; the majority is p of the votes.
expect 0 "" "$retort" label --teacher T/model.h5 --data rows.h5 --out L.h5
expect 0 "" "$retort" vote L.h5 votes.h5:x --data rows.h5 --method majority --out M.h5 --json data.names=position
[ "$(grep -c '"voter":' out.txt)" = 6 ] || fail "six voters: $(cat out.txt)"
[ "$(number rows_labelled out.txt)" = 1500 ] || fail "a store says something of each row: $(cat out.txt)"
grep -q log_likelihood out.txt && fail "a majority has no likelihood"
expect 0 "" "$retort" export M.h5 --out M.csv
expect 0 "" "$retort" export L.h5 --out L.csv
for row in 5 6 700; do
    { sed -n $((row + 1))p votes.txt; awk -F, -v r=$row '$1 == r { print $2 }' L.csv; } | tr '\n' ' ' |
        awk -v got="$(awk -F, -v r=$row '$1 == r { print $(NF - 3), $(NF - 2), $(NF - 1) }' M.csv)" '{
            for (i = 1; i <= NF; i++) if ($i >= 0) { n[$i]++; all++ }
            split(got, p, " ")
            for (k = 0; k < 3; k++) { d = p[k + 1] - n[k] / all; if (d > 1e-5 || d < -1e-5) exit 1 } }' ||
        fail "row $row of the majority: $(sed -n $((row + 1))p votes.txt) gives $(grep "^$row," M.csv)"
done

# Voters who agree and are overruled; given priors stay; few voters; a silent one.
expect 0 "overrules voters who all agree in" "$retort" vote votes.h5:x --data rows.h5 --priors 0.98,0.01,0.01 --out O.h5 --json
near "$(sed -n '/"priors":/,/}/s/.*"0":[[:space:]]*\([0-9.]*\).*/\1/p' out.txt)" 0.98 1e-9 "a given prior"
n=$(number count out.txt); [ "${n:-0}" -gt 0 ] || fail "nobody is overruled: $(cat out.txt)"
grep -q '"priors_are":[[:space:]]*"given"' out.txt || fail "it does not say that priors are given"
expect 0 "fewer than three voters" "$retort" vote L.h5 silent.h5:x --data rows.h5 --out W.h5 data.names=position
grep -q "silent.h5:x: abstains from every row" out.txt || fail "a silent voter is not told: $(cat out.txt)"

expect 3 "take them by number with data.names=position" "$retort" vote L.h5 votes.h5:x --data rows.h5 --out N.h5

# One line each, and nothing half-written.
expect 3 "every voter abstains from all 1500 rows" "$retort" vote silent.h5:x --data rows.h5 --out N.h5
expect 3 "has 1499 rows, 'x' has 1500" "$retort" vote votes.h5:x short.h5:x --data rows.h5 --out N.h5
expect 3 "is no label store" "$retort" vote L.h5 rows.h5 --out N.h5
expect 2 "a list of 3 shares" "$retort" vote votes.h5:x --data rows.h5 --out N.h5 --priors 0.5,0.5
expect 2 "the shares add up to 1.2" "$retort" vote votes.h5:x --data rows.h5 --out N.h5 --priors 0.5,0.5,0.2
expect 2 "a list of 3 shares" "$retort" vote votes.h5:x --data rows.h5 --out N.h5 --priors some
expect 2 "a majority has none" "$retort" vote votes.h5:x --data rows.h5 --out N.h5 --priors uniform --method majority
expect 2 "vote.method" "$retort" vote votes.h5:x --data rows.h5 --out N.h5 --method glad
expect 2 "voters and --out" "$retort" vote --out N.h5
expect 3 "No such file" "$retort" vote nobody.h5 --data rows.h5 --out N.h5
expect 3 "is no label store" "$retort" vote rows.h5 --data rows.h5 --out N.h5
sed 's/k2$/k9/' rows.csv > other.csv
"$retort" import other.csv --label kind --out other.h5 --quiet > /dev/null || fail "import"
sed 's/rows.h5/other.h5/; s/"labels": "V.h5", "names": "position"//; s/300, /300/; s/, "loss": .*/,/' t.json > o.json
expect 0 "" "$retort" train o.json --out U
expect 0 "" "$retort" label --teacher U/model.h5 --data rows.h5 --out B.h5
expect 0 "" "$retort" train o.json --out G data.source=rows.h5
expect 0 "" "$retort" label --teacher G/model.h5 --data rows.h5 --out A.h5
expect 3 "k9" "$retort" vote A.h5 B.h5 --data rows.h5 --out N.h5
expect 0 "" "$retort" vote A.h5 B.h5 A.h5 --data rows.h5 --out P.h5 data.names=position
expect 0 "" "$retort" label --teacher G/model.h5 --data rows.h5 --rows 0:1000 --out R.h5
expect 3 "votes on rows 0:1000, A.h5 on 0:1500" "$retort" vote A.h5 R.h5 --data rows.h5 --out N.h5
sed 's/^2/3/' rows.csv > changed.csv
"$retort" import changed.csv --label kind --out changed.h5 --quiet > /dev/null || fail "import"
expect 3 "are not what was labelled" "$retort" vote A.h5 --data changed.h5 --out N.h5
expect 2 "" "$retort" vote A.h5 --data rows.h5 --out A.h5
[ -e N.h5 ] && fail "something is half-written"

# With too few descriptors: all of it, nothing, or what the same command goes on with.
for n in 9 11 12 13 14 15 16 17 18 20; do
    (ulimit -n $n; exec "$retort" vote A.h5 B.h5 A.h5 --data rows.h5 --out N.h5 data.names=position) > out.txt 2> err.txt < /dev/null
    code=$?
    case $code in
        0) cmp -s N.h5 P.h5 || fail "$n descriptors: another store" ;;
        4) [ "$(grep -c '^retort: ' err.txt)" -eq 1 ] || fail "$n descriptors: $(cat err.txt)"
           [ ! -e N.h5 ] || grep -q '^[0-9]' N.h5.journal || fail "$n descriptors: a store that nothing was written to is left"
           expect 0 "" "$retort" vote A.h5 B.h5 A.h5 --data rows.h5 --out N.h5 data.names=position     # what was begun goes on
           cmp -s N.h5 P.h5 && [ ! -e N.h5.journal ] || fail "$n descriptors: another store after going on" ;;
        *) fail "$n descriptors: exit $code: $(cat err.txt)" ;;
    esac
    rm -f N.h5
done
exit $failed
