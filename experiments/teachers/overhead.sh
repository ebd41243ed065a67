#!/bin/sh
# What a teacher in another program costs beside its own work: sh overhead.sh RETORT [PYTHON]. 9,600 rows of 12 KiB go to a
# program that takes as long as 10 MB/s of rows need, asleep (the clock counts, not the processor), in arrays of BATCH (64); wall time of
# the whole `retort label` and of the program between its first row and its last answer. Median of ROUNDS (3).
set -e
retort=$(realpath "$1"); python=${2:-python3}; rounds=${ROUNDS:-3}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
cat > slow.py <<'X'
import io, os, sys, time, types
import numpy as np
work, first = 0.0, None
rows = types.SimpleNamespace(read=sys.stdin.buffer.read)
while sys.stdin.buffer.peek(1):
    x = np.lib.format.read_array(rows)
    now = time.monotonic()
    first = first or now
    answer = io.BytesIO()
    np.save(answer, np.stack([x.reshape(len(x), -1)[:, i::3].sum(1, dtype="f4") for i in range(3)], 1))
    time.sleep(max(0.0, x.nbytes / 10e6 - (time.monotonic() - now)))
    work += time.monotonic() - now
    sys.stdout.buffer.write(answer.getvalue())
    sys.stdout.buffer.flush()
open(os.environ["TOLD"], "w").write("%.6f %.6f\n" % (work, time.monotonic() - first))
X
"$python" - <<'X'
import h5py, numpy as np
with h5py.File("d.h5", "w") as f:
    d = f.create_dataset("x", (9600, 3072), "f4")
    for i in range(0, 9600, 1200):
        d[i:i + 1200] = np.random.default_rng(i).standard_normal((1200, 3072)).astype("f4")
X
echo "{\"command\": [\"$python\", \"slow.py\"], \"version\": \"1\", \"classes\": [\"a\", \"b\", \"c\"], \"batch\": ${BATCH:-64}}" > t.json
for i in $(seq "$rounds"); do
    rm -f l.h5
    start=$(date +%s.%N)
    TOLD=$work/told; export TOLD
    "$retort" label --teacher t.json --data d.h5 --out l.h5 --quiet > /dev/null
    end=$(date +%s.%N)
    echo "$start $end $(cat told)" | awk '{ printf "%.4f %.4f\n", ($4 - $3) / $3, ($2 - $1 - $3) / $3 }'
done | sort -n > all
awk '{ a[NR] = $1; b[NR] = $2 } END { m = int((NR + 1) / 2)
    printf "beside the work of the program: %.1f %% between its first row and its last answer (%.1f to %.1f), %.1f %% with both programs started\n",
           100 * a[m], 100 * a[1], 100 * a[NR], 100 * b[m] }' all
