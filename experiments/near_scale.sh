#!/bin/sh
# 'retort clean --find duplicates' and '--find outliers' on a million rows of 64 numbers: a hundred clusters, with PLANTED rows that
# are copies of others, moved by the distance that is asked for; and 100 rows far away. Time, CPU time, memory, what is found; and
# beside it scikit-learn's exact neighbours of 200 rows.
#
#   sh experiments/near_scale.sh RETORT FOLDER [PYTHON [ROWS]]
#
# PYTHON needs h5py, numpy, scikit-learn.
set -e
retort=$1 work=$2 python=${3:-python3} rows=${4:-1000000}
mkdir -p "$work"
[ -e "$work/near.h5" ] || "$python" - "$work/near.h5" "$rows" <<'P'
import sys
import h5py
import numpy as np
rows, width, planted = int(sys.argv[2]), 64, int(sys.argv[2]) // 100
g = np.random.default_rng(1)
centre = g.standard_normal((100, width)).astype(np.float32) * 3
x = centre[g.integers(0, 100, rows)] + g.standard_normal((rows, width), np.float32)
place = g.permutation(rows)[:2 * planted + 100].astype(np.int64)
a, b, far = place[:planted], place[planted:2 * planted], place[2 * planted:]
move = g.standard_normal((planted, width))
x[a] = x[b] + (move * 0.9999 / np.linalg.norm(move, axis=1, keepdims=True)).astype(np.float32)
x[far] += 100 * np.sign(g.standard_normal((100, width))).astype(np.float32)
with h5py.File(sys.argv[1], "w") as f:
    f["x"], f["planted"], f["far"] = x, np.sort(np.stack([a, b], 1), 1), np.sort(far)
P
watch() { # what arguments ...: runs it, and tells what it took
    what=$1; shift
    "$retort" clean --data "$work/near.h5" --force --json "$@" > "$work/near.json" 2> /dev/null &
    job=$! most=0 all=0
    while kill -0 $job 2> /dev/null; do
        now=$(awk '/^RssAnon/ { print $2 }' /proc/$job/status 2> /dev/null || echo 0)
        [ "${now:-0}" -gt $most ] && most=$now
        now=$(awk '/^VmHWM/ { print $2 }' /proc/$job/status 2> /dev/null || echo 0)
        [ "${now:-0}" -gt $all ] && all=$now
        cpu=$(awk '{ print ($14 + $15) / 100 }' /proc/$job/stat 2> /dev/null || echo "$cpu")
        sleep 0.1
    done
    wait $job
    echo "$what: $cpu CPU-s, at most $most kB of anonymous memory ($all kB with pages of the file), $(tr -d '\n\t' < "$work/near.json" |
        grep -o '"way".*"share": *[^,]*' | head -1)"
}
watch duplicates --find duplicates --out "$work/near.csv" within=1 
watch outliers --find outliers --out "$work/far.csv" share=0.0001
"$python" - "$work" <<'P'
import sys
import h5py
import numpy as np
from sklearn.neighbors import NearestNeighbors
work = sys.argv[1]
with h5py.File(work + "/near.h5") as f:
    planted, far, x = f["planted"][:], f["far"][:], f["x"][:]
found = {}
for line in open(work + "/near.csv").readlines()[1:]:
    row, of, d = line.split(",")
    found[int(row)] = int(of)
hits = sum(found.get(int(b)) == int(a) for a, b in planted)
print(f"planted pairs found: {hits} of {len(planted)} ({hits / len(planted):.5f}), {len(found)} rows listed")
rows = [int(line.split(",")[0]) for line in open(work + "/far.csv").readlines()[1:]]
print(f"rows far away among the {len(rows)} listed: {len(set(rows) & set(far.tolist()))} of {len(far)}")
some = planted[:200, 1]
d, j = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(x).kneighbors(x[some].astype(np.float64))
lines = {int(v[0]): (int(v[1]), float(v[2])) for v in (line.split(",") for line in open(work + "/near.csv").readlines()[1:])}
same = sum(r in lines and abs(lines[r][1] - dd[1]) < 1e-4 * dd[1] for r, dd in zip(some.tolist(), d) if j is not None)
print(f"of 200 of them the same distance as scikit-learn's nearest: {same}")
P
