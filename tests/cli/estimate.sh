#!/bin/sh
# label --dry-run tells what the run would take and writes nothing; what label says of its answers when it is done.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
holds() { awk "BEGIN { exit !($1) }" || fail "$2: $1: $(cat out.txt)"; }

make_data 5000 d.h5
cat > t.json <<'X2'
{"model": {"input": [8, 8, 1], "classes": 3, "family": "mlp", "width": 8, "depth": 1},
 "data": {"source": "d.h5", "rows": ":200", "validation": 50}, "train": {"epochs": 1, "batch": 50}}
X2
expect 0 "" "$retort" train t.json --out T
label() { "$retort" label --teacher T/model.h5 --data d.h5 --out L.h5 --json "$@"; }
rm -f d.h5.retort-id
rm -rf cache
sleep 2.1                                              # what is known of data that just changed is not kept anyway

# Nothing is written, not even what is known of the data; and it is so with and without a price.
touch before after
find . -type f | sort > before
expect 0 '"would_write":' label --dry-run label.price_per_hour=36
find . -type f | sort > after
cmp -s before after || fail "files after a dry run: $(diff before after)"
holds "$(number rows out.txt) == 5000 && $(number rows_labelled out.txt) == 0" "rows"
holds "$(number rows_tried out.txt) >= 3000 && $(number rows_tried out.txt) <= 5000" "rows tried"
holds "$(number least out.txt) < $(number median out.txt) && $(number median out.txt) < $(number most out.txt)" "rates at three places"
told=$(number seconds out.txt)
rest=$(number start_seconds out.txt)
median=$(number median out.txt)
holds "($told - $rest - 5000 / $median) ^ 2 < 1e-8" "seconds of 5000 rows"
holds "($(number cost out.txt) - $told / 100) ^ 2 < 1e-12" "cost at 36 an hour is a hundredth a second"
bytes=$(number store_bytes out.txt)
holds "$(number free_bytes out.txt) > 0 && $(number memory_bytes out.txt) > 1000000" "free and used"

# The real run: as many bytes as foretold, cost by time, and a summary that can be computed from what is exported.
expect 0 "" label label.price_per_hour=36 data.y=y
holds "($(number cost out.txt) - $(number seconds out.txt) / 100) ^ 2 < 1e-8" "cost of the run"
is=$(wc -c < L.h5)
holds "($bytes - $is) ^ 2 < 8192 ^ 2" "a store of $is bytes"
"$retort" export L.h5 --out L.csv --quiet > /dev/null || fail "export"
tr -d '\n\t ' < out.txt > flat
awk -F, 'BEGIN { n = 0 } NR == FNR { truth[NR - 1] = $65; next }       # band.csv has a row a line, without a header
    FNR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^p:k[0-2]$/) { column[n] = i; name[n++] = substr($i, 3) } next }
    { best = 0; h = 0
      for (k = 0; k < n; k++) { p = $(column[k]); if (p > $(column[best])) best = k; if (p > 0) h -= p * log(p) }
      tenth[int($(column[best]) * 10 - 1e-9)]++; entropy += h; agree += truth[FNR - 2] == name[best]; rows++ }
    END { printf "%d %.9f", agree, entropy / rows; for (i = 0; i < 10; i++) printf "%s%d", i ? "," : " ", tenth[i] }' \
    band.csv L.csv > want
read -r agree entropy tenths < want
grep -q "\"histogram\":\[$tenths\]" flat || fail "histogram is not $tenths: $(cat out.txt)"
holds "$(number agree out.txt) == $agree && $agree > 2500 && $agree < 5000" "agreement, $agree by the exported logits"
holds "($(number entropy_mean out.txt) - $entropy) ^ 2 < 1e-9" "entropy, $entropy by the exported logits"

# A store that is there counts as done; another teacher's or coding's is refused as the run would refuse it.
expect 0 "" label --dry-run
holds "$(number rows_labelled out.txt) == 5000 && $(number seconds out.txt) == $(number start_seconds out.txt)" "done"
expect 2 "holds other labels" label --dry-run labels.type=f16
expect 2 "holds other labels" label --dry-run --rows :100
expect 0 "" label --dry-run labels.type=f16 --force
expect 5 "no rows to label" label --dry-run --rows 7:7
expect 2 "is an input" "$retort" label --teacher T/model.h5 --data d.h5 --out d.h5 --dry-run
expect 0 "its folder is not there" "$retort" label --teacher T/model.h5 --data d.h5 --out no/such/L.h5 --dry-run
expect 3 "no data set 'z'" label --force data.y=z
expect 2 "price_per_hour" label --dry-run label.price_per_hour=-1

# A row that the run would stop at stops the estimate, and is no obstacle where such rows are marked.
{ printf '\223NUMPY\001\000v\000'
  printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (300, 2), }"
  head -c 1600 /dev/zero; printf '\000\000\300\177'; head -c 796 /dev/zero; } > n.npy     # NaN in row 200
echo '{"model": {"input": [2], "classes": 2, "family": "mlp", "width": 4, "depth": 1}, "data": {"source": "n2.h5"}, "train": {"epochs": 1, "batch": 50}}' > n.json
awk 'BEGIN { print "a,b,kind"; for (i = 0; i < 300; i++) print i % 7 "," i % 3 ",k" i % 2 }' > n2.csv
"$retort" import n2.csv --label kind --out n2.h5 --quiet > /dev/null || fail "import"
"$retort" import n.npy --like n2.h5 --out n.h5 --quiet > /dev/null || fail "import of a row with NaN"
expect 0 "" "$retort" train n.json --out N
expect 3 "row 200 of 'x' contains NaN" "$retort" label --teacher N/model.h5 --data n.h5 --out NL.h5 --dry-run
expect 0 "" "$retort" label --teacher N/model.h5 --data n.h5 --out NL.h5 --dry-run label.bad_rows=mark
exit $failed
