#!/bin/sh
# What answers rest on: parts against a model whose weights are known, their sums, ranks of columns, agreement, flips, quantized
# models, names that are hostile, and refusals.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"

# y depends on "big" most, on "small" less, on "idle" not at all; a column and a class have names that nobody may run.
awk 'BEGIN { srand(4); print "big,=small,idle,<b>x</b>,kind"
    for (i = 0; i < 600; i++) {
        a = rand() * 4 - 2; b = rand() * 4 - 2; c = rand() * 4 - 2; d = rand() * 4 - 2
        printf "%.4f,%.4f,%.4f,%.4f,%s\n", a, b, c, d, (3 * a + b - 0.5 * d > 0) ? "<script>" : "no" } }' > rows.csv
"$retort" import rows.csv --label kind --out rows.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"seed": 2, "model": {"input": [4], "classes": 2, "family": "mlp", "width": 16, "depth": 1},
 "data": {"source": "rows.h5", "validation": 0}, "train": {"epochs": 20, "batch": 32}}
X
expect 0 "" "$retort" train t.json --out T
sed 's/"seed": 2/"seed": 3/; s/"width": 16/"width": 8/' t.json > s.json
expect 0 "" "$retort" train s.json --out S
sed 's/"epochs": 20/"epochs": 1/; s/"validation": 0/"validation": 0, "rows": "0:40"/; s/"batch": 32/"batch": 8/' t.json > weak.json
expect 0 "" "$retort" train weak.json --out W

# Parts of a row sum to the difference of outputs but for the residual that is told, and that is within the limit.
expect 0 "page: why/explanation.html" "$retort" explain T/model.h5 --data rows.h5 --rows 0:200 --out why
head -1 why/attributions.csv | grep -qx "model,row,truth,target,value,baseline_value,residual,steps,big,'=small,idle,<b>x</b>" ||
    head -1 why/attributions.csv | grep -q "big,\"'=small\",idle,\"<b>x</b>\"" || fail "titles: $(head -1 why/attributions.csv)"
awk -F, 'NR > 1 { n++; s = $9 + $10 + $11 + $12; d = $5 - $6; r = s - d - $7; a = d < 0 ? -d : d; q = $7 < 0 ? -$7 : $7
    if (r > 1e-4 || r < -1e-4 || $8 < 64) { print; exit 1 }
    t = ($9<0?-$9:$9) + ($10<0?-$10:$10) + ($11<0?-$11:$11) + ($12<0?-$12:$12); if (a < t / 10) a = t / 10
    if (q > 0.02 * a + 1e-6) { print; exit 1 }
    w = w || s > 1 } END { exit !(n == 100 && w) }' why/attributions.csv > bad.txt || fail "sums: $(cat bad.txt)"
# Columns by rank: big first, then the others, idle last.
grep -A3 'elements by mean' out.txt | sed -n 2p | grep -q '^  big ' || fail "ranks: $(cat out.txt)"
tr -d ' \n\t' < why/explanation.json | grep -o '"element":"[^"]*","mean_size"' | sed 's/"element":"//; s/",.*//' > ranks.txt
[ "$(head -1 ranks.txt)" = big ] && [ "$(sed -n 2p ranks.txt)" = "=small" ] && [ "$(tail -1 ranks.txt)" = idle ] || fail "ranks: $(cat ranks.txt)"
# Hostile names are inert on the page.
grep -q '<script>\|<b>x</b>' why/explanation.html && fail "names run on the page"
grep -q '&lt;script&gt;' why/explanation.html || fail "the class is not named on the page"
grep -q 'https\?://' why/explanation.html && fail "the page asks others"

# Any number of threads, and a second run: the same bytes but for nothing.
export SOURCE_DATE_EPOCH=1700000000
expect 0 "" "$retort" explain T/model.h5 --data rows.h5 --out one --threads 1
expect 0 "" "$retort" explain T/model.h5 --data rows.h5 --out three --threads 3
for f in explanation.json attributions.csv explanation.html; do cmp -s one/$f three/$f || fail "$f depends on threads"; done

# Agreement: with itself 1, with a model that learned the same more than with another row's parts.
expect 0 "rank correlation        1.000" "$retort" explain T/model.h5 --against T/model.h5 --data rows.h5 --out self
expect 0 "agreement with S" "$retort" explain T/model.h5 --against S/model.h5 --data rows.h5 --out both
awk '/rank correlation/ { split($0, p, /[][ ,()]+/); if (p[4] > 0.7 && p[4] > p[7] + 0.2) ok = 1 } END { exit !ok }' out.txt || fail "agreement: $(cat out.txt)"

# What is told of all rows, by what is told of each: mean sizes, means and shares of T's columns; how T and S agree, and T with what
# S says of the next row.
{ tr -d '\n\t ' < both/explanation.json; echo; } > flat.txt
awk -F, 'NR > 1 { s = $1 == "S"; n = s ? ++ns : ++nt; for (k = 0; k < 4; k++) v[s, n, k] = $(9 + k) }
    function rank(s, r, k,   j, above) { above = 0; for (j = 0; j < 4; j++) above += v[s, r, j] < v[s, r, k]; return above }
    function agree(r, q,   k, a, b, c, d) { a = b = c = d = 0
        for (k = 0; k < 4; k++) { a += v[0, r, k] ^ 2; b += v[1, q, k] ^ 2; c += v[0, r, k] * v[1, q, k]; d += (rank(0, r, k) - rank(1, q, k)) ^ 2 }
        cosine = c / sqrt(a * b); spearman = 1 - 6 * d / 60 }
    END { for (r = 1; r <= nt; r++) { agree(r, r); c1 += cosine / nt; s1 += spearman / nt; agree(r, r % nt + 1); c2 += cosine / nt; s2 += spearman / nt
              for (k = 0; k < 4; k++) { size[k] += (v[0, r, k] < 0 ? -v[0, r, k] : v[0, r, k]) / nt; mean[k] += v[0, r, k] / nt } }
          for (k = 0; k < 4; k++) all += size[k]
          print s1, c1, s2, c2; for (k = 0; k < 4; k++) print size[k], mean[k], size[k] / all }' both/attributions.csv > want.txt
sed 's/.*"agreement":{"top":[0-9]*,\(.*\)},"elements".*/\1/' flat.txt | grep -o '"mean":[-0-9.e]*' | sed 's/.*://' | awk '{ v[NR] = $1 }
    END { print v[1], v[2], v[4], v[5] }' > got.txt                                          # the third and the sixth: overlaps
for column in big =small idle '<b>x<\/b>'; do
    sed "s/.*\"element\":\"$column\",\"mean_size\":\([^,]*\),\"low\":[^,]*,\"high\":[^,]*,\"mean\":\([^,]*\),\"share\":\([^}]*\)}.*/\1 \2 \3/" flat.txt
done >> got.txt
paste -d' ' want.txt got.txt | awk '{ h = NF / 2; if (NF != (NR == 1 ? 8 : 6)) exit 1
    for (k = 1; k <= h; k++) { d = $k - $(k + h); if (d > 2e-5 || d < -2e-5) exit 1 } } END { exit NR != 5 }' || fail "of all rows: $(paste -d: want.txt got.txt)"
# The largest parts of a row, by size, whatever their sign.
awk -F, 'NR > 1 && $1 == "T" { best = 9; for (k = 10; k <= 12; k++) if (($k < 0 ? -$k : $k) > ($best < 0 ? -$best : $best)) best = k; neg += $best < 0; printf "%.6f\n", $best }
    END { if (!neg) print "no part is below 0" }' both/attributions.csv > want.txt
sed 's/"row":/\n&/g' flat.txt | sed -n '/^"row":/s/^"row":[^[]*"largest":\[{"element":"[^"]*","part":\([^,]*\),.*/\1/p' | awk '{ printf "%.6f\n", $1 }' > got.txt
cmp -s want.txt got.txt || fail "largest parts: $(paste want.txt got.txt | head -4)"

# All methods agree on what matters; a baseline of another row.
for m in gradient occlusion; do
    expect 0 "$m, 100 rows explained" "$retort" explain T/model.h5 --data rows.h5 --method $m --out $m
    grep -A3 'elements by mean' out.txt | sed -n 2p | grep -q '^  big ' || fail "$m: $(cat out.txt)"
done
for b in mean row:3; do expect 0 "" "$retort" explain T/model.h5 --data rows.h5 --baseline $b --out base_$b; done
awk -F, '$2 == 3 { for (k = 9; k <= 12; k++) if ($k != 0) exit 1; f = 1 } END { exit 0 }' base_row:3/attributions.csv || fail "row 3 against itself"
expect 0 "explained" "$retort" explain T/model.h5 S/model.h5 --data rows.h5 --out ensemble
expect 0 "explained" "$retort" explain T/model.h5 --data rows.h5 --target '<script>' --out target explain.of=probability

# Flips: rows that the old one has right and the new one wrong, asked about their label.
expect 0 "agreement with T" "$retort" explain W/model.h5 --against T/model.h5 --flips --data rows.h5 --out flips
awk -F, 'NR > 1 && $1 == "W" { if ($3 != $4) exit 1; n++ } END { exit !(n > 0) }' flips/attributions.csv || fail "flips: $(head -3 flips/attributions.csv)"
tr -d ' \n\t' < flips/explanation.json | grep -o '"truth":"[^"]*","target":"[^"]*","answer":"[^"]*"' |
    awk -F'"' '{ if ($4 == $12) exit 1; n++ } END { exit !(n > 0) }' || fail "flips that are none"
expect 5 "no flip to explain" "$retort" explain T/model.h5 --against T/model.h5 --flips --data rows.h5 --out noflips
[ -e noflips ] && fail "a folder without files stays"

# Quantized: the integer program is what is explained, and it is said.
expect 0 "" "$retort" quantize T/model.h5 --data rows.h5 --out Q.h5
expect 0 "its integer program" "$retort" explain Q.h5 --against T/model.h5 --data rows.h5 --out q
expect 0 "explained" "$retort" explain Q.h5 --data rows.h5 --method occlusion --out qo

# Images: drawn, blurred as a baseline, by patches; a page of a flip has pictures of both.
make_data 300 band.h5
printf '{"model": {"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 1}, "data": {"source": "band.h5", "validation": 0},
  "train": {"epochs": 3, "batch": 32}}' > cnn.json
expect 0 "" "$retort" train cnn.json --out C
for how in "--baseline blur" "--method occlusion explain.patch=3 explain.stride=2" "--method gradient --target k1"; do
    # shellcheck disable=SC2086
    expect 0 "rows explained" "$retort" explain C/model.h5 --data band.h5 --rows 0:5 --out img --force $how
    [ "$(grep -o 'data:image/png;base64,' img/explanation.html | wc -l)" = 16 ] || fail "pictures: $how"
done
head -1 img/attributions.csv | grep -q 'steps,"\{0,1\}0,0"\{0,1\},' || head -1 img/attributions.csv | grep -q 'steps,0' || fail "pixels: $(head -1 img/attributions.csv | cut -c1-120)"

# Ids: an ONNX model with an embedding; each id has a part.
printf '3,1,4,1,5,9\n2,6,53,10,0,0\n8,7,8,7,3,1\n' > ids.csv
expect 0 "" "$retort" import ids.csv --out ids.h5
expect 0 "3 rows explained" "$retort" explain "$root/tests/student/attributions/words.onnx" --data ids.h5 --out ids
awk -F, 'NR > 1 { s = 0; for (k = 9; k <= 14; k++) s += $k; d = s - ($5 - $6) - $7; if (d > 1e-4 || d < -1e-4 || NF != 14) exit 1 }' ids/attributions.csv ||
    fail "ids: $(cat ids/attributions.csv)"
expect 0 "3 rows explained" "$retort" explain "$root/tests/student/attributions/words.onnx" --data ids.h5 --out ids --force --method occlusion
expect 2 "have no such baseline" "$retort" explain "$root/tests/student/attributions/words.onnx" --data ids.h5 --out x --baseline mean
printf '3,1,64,1,5,9\n' > beyond.csv
expect 0 "" "$retort" import beyond.csv --out beyond.h5
expect 3 "row 0 of 'x' contains" "$retort" explain "$root/tests/student/attributions/words.onnx" --data beyond.h5 --out x

# A layer without a gradient is named; occlusion does without.
printf '0.3,1,-1,0.5,2,1\n' > six.csv
expect 0 "" "$retort" import six.csv --out six.h5
expect 2 "layer 'outer' (call) has no gradient" "$retort" explain "$root/tests/onnx/samples/einsum.onnx" --data six.h5 --out x
expect 0 "1 rows explained" "$retort" explain "$root/tests/onnx/samples/einsum.onnx" --data six.h5 --out six --method occlusion

# Several inputs, by their names: a part for each number of each.
cut -d, -f1,2,5 rows.csv > l.csv && cut -d, -f3,4 rows.csv > r.csv
"$retort" import l.csv --label kind --out l.h5 --quiet > /dev/null && "$retort" import r.csv --out r.h5 --quiet > /dev/null || fail "import of both"
x='{"left": "x", "right": {"source": "r.h5", "set": "x"}}'
cat > two.json <<X
{"model": {"classes": 2, "inputs": [{"name": "left", "shape": [2]}, {"name": "right", "shape": [2]}],
   "layers": [{"op": "dense", "out": 6, "name": "l", "from": "left"}, {"op": "dense", "out": 6, "name": "r", "from": "right"},
              {"op": "concat", "from": ["l", "r"]}, {"op": "relu"}, {"op": "dense", "out": 2}]},
 "data": {"source": "l.h5", "x": $x, "validation": 0}, "train": {"epochs": 20, "batch": 32}}
X
expect 0 "" "$retort" train two.json --out two
expect 0 "rows explained" "$retort" explain two/model.h5 --data l.h5 --rows 0:50 --out of_two "data.x=$x"
awk -F, 'NR > 1 { n++; d = $9 + $10 + $11 + $12 - ($5 - $6) - $7; for (k = 9; k <= 12; k++) s[k] += $k < 0 ? -$k : $k; if (NF != 12 || d > 1e-4 || d < -1e-4) exit 1 }
    END { exit !(n == 50 && s[9] > s[10] && s[10] > s[11]) }' of_two/attributions.csv || fail "two inputs: $(head -3 of_two/attributions.csv)"

# A step of an experiment.
printf '{"name": "e", "out": "steps", "steps": [{"name": "why", "do": "explain", "with": {"model": "T/model.h5", "against": "S/model.h5",
  "data": {"source": "rows.h5"}}}]}' > run.json
expect 0 "" "$retort" run run.json
[ -s steps/why/explanation.html ] || fail "a step leaves no page"
expect 0 "skipped" "$retort" run run.json --json
sed 's/"against"/"agianst"/' run.json > bad.json
expect 2 "agianst" "$retort" run bad.json

# Refused: before work where that can be known, by name.
expect 2 "--out FOLDER is required" "$retort" explain T/model.h5 --data rows.h5
expect 2 "a model is required" "$retort" explain --data rows.h5 --out x
expect 2 "explain.method" "$retort" explain T/model.h5 --data rows.h5 --out x --method integratd
expect 2 "zero, mean, blur or row:N" "$retort" explain T/model.h5 --data rows.h5 --out x --baseline row:-1
expect 2 "there is no row 600" "$retort" explain T/model.h5 --data rows.h5 --out x --baseline row:600
expect 2 "blur is a baseline of images" "$retort" explain T/model.h5 --data rows.h5 --out x --baseline blur
expect 2 "belongs to explain.method integrated" "$retort" explain T/model.h5 --data rows.h5 --out x --method gradient --steps 4
expect 2 "needs --against" "$retort" explain T/model.h5 --data rows.h5 --out x --flips
expect 2 "none of predicted, label" "$retort" explain T/model.h5 --data rows.h5 --out x --target maybe
expect 2 "explain.head" "$retort" explain T/model.h5 --data rows.h5 --out x explain.head=nobody
expect 5 "the least residual is above" "$retort" explain T/model.h5 --data rows.h5 --out x explain.limit=0 explain.most_steps=64
mkdir mine && echo mine > mine/explanation.html
expect 2 "not written by an explanation" "$retort" explain T/model.h5 --data rows.h5 --out mine
grep -qx mine mine/explanation.html || fail "a foreign file was replaced"
echo changed >> one/explanation.html
expect 2 "was changed since" "$retort" explain T/model.h5 --data rows.h5 --out one
expect 0 "" "$retort" explain T/model.h5 --data rows.h5 --out one --force
printf 'big,=small,idle,<b>x</b>\n1,2,1e300,4\n1,2,3,4\n' > nan.csv
"$retort" import nan.csv --out nan.h5 --quiet > /dev/null 2>&1 || fail "import nan"
expect 3 "row 0 of 'x' contains" "$retort" explain T/model.h5 --data nan.h5 --out x
exit $failed
