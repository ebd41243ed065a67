# A teacher for retort: rows come as NPY arrays on standard input, answers go as NPY arrays to standard output; print to standard error.
#   {"command": ["python3", "experiments/teachers/linear.py", "weights.npy"], "version": "1", "classes": ["cat", "dog"]}
import io, sys, types
import numpy as np
weights = np.load(sys.argv[1])                                     # (features, classes): put your model here
rows = types.SimpleNamespace(read=sys.stdin.buffer.read)           # a pipe has no position, which numpy would ask a file for
while sys.stdin.buffer.peek(1):
    x = np.lib.format.read_array(rows)
    answer = io.BytesIO()
    np.save(answer, (x.reshape(len(x), -1) @ weights).astype(np.float32))
    sys.stdout.buffer.write(answer.getvalue())
    sys.stdout.buffer.flush()
