# experiments/label_rows.sh - sourced by label_restart.sh and label_scale.sh in a scratch folder: a small data set and a tiny
# teacher of 10 columns, T; then big.h5 of $rows rows, zeros that have no blocks on disk.
awk 'BEGIN { srand(1); for (i = 0; i < 2000; i++) { c = i % 10; line = ""
    for (k = 0; k < 10; k++) line = line sprintf("%.3f,", rand() + (k == c)); print line "c" c } }' > small.csv
"$retort" import small.csv --label -1 --header no --out small.h5 --quiet > log
cat > t.json <<'X'
{"model": {"input": [10], "classes": 10, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "small.h5"},
 "train": {"epochs": 2}}
X
"$retort" train t.json --out T --quiet > log
printf '\223NUMPY\001\000v\000' > big.npy
printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': ($rows, 10), }" >> big.npy
truncate -s $((128 + rows * 40)) big.npy
"$retort" import big.npy --out big.h5 --quiet > log
rm big.npy
sleep 2.1                                              # what is younger is not kept
