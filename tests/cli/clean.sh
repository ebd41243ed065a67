#!/bin/sh
# Rows whose labels are likely wrong: from predictions, label stores and probabilities, and training without them.
. "$2/tests/cli/lib.sh"
make_data 1500 band.h5
# Rows 100, 117, 134, ... of the second half get the next class.
awk -F, 'BEGIN { OFS = "," } { c = $NF; if (NR > 750 && (NR - 1) % 17 == 15) $NF = c == "k0" ? "k1" : c == "k1" ? "k2" : "k0"; print }' band.csv > noisy.csv
"$retort" import noisy.csv --label -1 --out noisy.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 16}, "data": {"source": "noisy.h5", "rows": "0:700", "validation": 0},
 "train": {"epochs": 5, "batch": 32}}
X
"$retort" train t.json --out T --quiet > /dev/null || fail "train"
expect 0 "" "$retort" predict T/model.h5 --data noisy.h5 --rows 750: --out p.h5
expect 0 "" "$retort" label --teacher T/model.h5 --data noisy.h5 --rows 750: --out l.h5

# The flipped rows are found; predictions and a label store of the same answers give the same rows; so does any block.
expect 0 "" "$retort" clean p.h5 --data noisy.h5 --out a.csv --mask a.h5 --json
grep -q '"rows_seen_in_training":[[:space:]]*0,' out.txt || fail "rows seen"
grep -q '"notes"' out.txt && fail "a note about rows that nobody saw"
awk 'NR > 750 && (NR - 1) % 17 == 15 { print NR - 1 }' band.csv > flipped
sed 1d a.csv | cut -d, -f1 > found
hit=$(sort flipped found | uniq -d | wc -l) all=$(wc -l < flipped) issues=$(wc -l < found)
[ "$all" -eq 44 ] && [ "$hit" -ge 40 ] && [ "$issues" -le 60 ] || fail "$hit of $all flipped rows among $issues"
head -1 a.csv | grep -qx 'row,given,given_name,suggested,suggested_name,self_confidence,normalized_margin,quality,issue' || fail "titles"
sed 1d a.csv | awk -F, '$9 != 1 || $1 <= last || $6 < 0 || $6 > 1 || "k" $2 != $3 { exit 1 } { last = $1 }' || fail "lines: $(head -3 a.csv)"
expect 0 "" "$retort" clean l.h5 --data noisy.h5 --out b.csv --mask b.h5
expect 0 "" "$retort" clean p.h5 --out c.csv block=7
cmp -s a.csv b.csv && cmp -s a.csv c.csv && cmp -s a.h5 b.h5 || fail "the source or the block changes the rows"
expect 0 "" "$retort" clean p.h5 --out all.csv all=true
[ "$(wc -l < all.csv)" -eq 751 ] && [ "$(grep -c ',1$' all.csv)" -eq "$issues" ] || fail "all=true"
for m in low_normalized_margin prune_by_noise_rate prune_by_class both confident_learning predicted_neq_given; do
    expect 0 "" "$retort" clean p.h5 --out m_$m.csv --method $m
    sed 1d m_$m.csv | cut -d, -f1 > found
    [ "$(sort flipped found | uniq -d | wc -l)" -ge 36 ] || fail "$m: $(wc -l < found) rows"
done
sort m_prune_by_class.csv m_prune_by_noise_rate.csv | uniq -d | sort > two
sort -u m_both.csv | cmp -s - two || fail "both is not in both"

# The mask: of all rows, 0 where the CSV has a line; as NPY the same bytes.
expect 0 "" "$retort" clean p.h5 --data noisy.h5 --out a.csv --mask a.npy --force
[ "$(wc -c < a.npy)" -eq 1628 ] || fail "bytes of the mask: $(wc -c < a.npy)"
tail -c 1500 a.npy | od -An -v -tu1 -w1 | awk '$1 == 0 { print NR - 1 }' > zeros
sed 1d a.csv | cut -d, -f1 | cmp -s - zeros || fail "zeros of the mask"
expect 0 "keep" "$retort" info a.h5

# Training leaves them out, and knows another mask when it sees one.
expect 0 "" "$retort" train t.json --out M --quiet data.rows=700: data.mask=a.h5
grep -q "\"masked_rows_left_out\":[[:space:]]*$issues," M/result.json || fail "rows left out: $(grep masked M/result.json)"
expect 0 "" "$retort" train t.json --out M2 --quiet data.rows=700: 'data.mask={"source": "b.h5", "set": "keep"}'
[ "$(grep '"digest"' M/result.json)" = "$(grep '"digest"' M2/result.json)" ] || fail "equal masks, unequal models"
"$retort" predict T/model.h5 --data noisy.h5 --rows 750:1100 --out less.h5 --quiet > /dev/null || fail "predict less"
"$retort" clean less.h5 --data noisy.h5 --out d.csv --mask d.h5 --quiet > /dev/null || fail "another mask"
expect 2 "another mask of rows" "$retort" train t.json --out M --quiet data.rows=700: data.mask=d.h5
expect 2 "another mask of rows" "$retort" train t.json --out M --quiet data.rows=700:
"$retort" predict T/model.h5 --data noisy.h5 --out whole.h5 --quiet > /dev/null || fail "predict"
expect 0 "was trained or chosen on 700 of these rows" "$retort" clean whole.h5 --data noisy.h5 --out w.csv
"$retort" label --teacher T/model.h5 --data noisy.h5 --out wl.h5 --quiet > /dev/null || fail "label"
expect 0 "was trained or chosen on 700 of these rows" "$retort" clean wl.h5 --data noisy.h5 --out wl.csv

# Several files of rows of their own, in any order: what the whole has.
"$retort" predict T/model.h5 --data noisy.h5 --rows 1100: --out more.h5 --quiet > /dev/null || fail "predict more"
expect 0 "" "$retort" clean more.h5 less.h5 --data noisy.h5 --out parts.csv --mask parts.h5 block=100
cmp -s a.csv parts.csv && cmp -s a.h5 parts.h5 || fail "two parts have other rows than the whole"
expect 3 "which stands in" "$retort" clean more.h5 p.h5 --data noisy.h5 --out none.csv --mask none.h5
expect 2 "say the same thing" "$retort" clean p.h5 from=more.h5 --out none.csv

# Bad input: one line, and nothing left.
make_data 40 small.h5
expect 3 "answers to other rows" "$retort" clean p.h5 --data band.h5 --out none.csv data.x=y
expect 3 "" "$retort" clean l.h5 --data small.h5 --out none.csv
expect 2 "name the labels that are judged with --data" "$retort" clean l.h5 --out none.csv
expect 2 "name it with --data" "$retort" clean p.h5 --out none.csv --mask none.h5
expect 2 "ends in .h5 or .npy" "$retort" clean p.h5 --data noisy.h5 --out none.csv --mask none.csv2
expect 2 "is not one of" "$retort" clean p.h5 --out none.csv --method prune
expect 2 "exists" "$retort" clean p.h5 --out a.csv
expect 2 "has no head age" "$retort" clean p.h5 --out none.csv head=age
expect 3 "is neither predictions" "$retort" clean band.h5 --out none.csv
expect 3 "is no set of (rows, classes) probabilities" "$retort" clean band.h5 --set y --out none.csv
expect 3 "has no data set 'q'" "$retort" clean band.h5 --set q --out none.csv
"$retort" predict T/model.h5 --data noisy.h5 --out k.h5 topk=2 --quiet > /dev/null || fail "topk"
expect 3 "predict again without topk" "$retort" clean k.h5 --out none.csv
expect 3 "is no mask" "$retort" train t.json --out none --quiet 'data.mask={"source": "noisy.h5", "set": "y"}'
expect 3 "a mask has one for each row of the data" "$retort" train t.json --out none --quiet data.source=small.h5 data.rows=: data.mask=a.h5
"$retort" predict T/model.h5 --data small.h5 --out s.h5 --quiet > /dev/null || fail "predict 40"
expect 0 "" "$retort" clean s.h5 --data small.h5 --out s.csv --mask s_keep.h5
expect 3 "a mask has one for each row of the data" "$retort" train t.json --out none --quiet data.mask=s_keep.h5
expect 5 "no rows to train on" "$retort" train t.json --out none --quiet data.rows="$(head -1 zeros):$(($(head -1 zeros) + 1))" data.mask=a.h5
[ ! -e none ] && [ ! -e none.h5 ] && [ ! -e none.csv ] && [ ! -e none.csv2 ] || fail "something was left"
exit $failed
