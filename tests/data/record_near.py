#!/usr/bin/env python3
"""Writes near_reference.h: neighbours that scikit-learn's NearestNeighbors finds by brute force (float64) on rows of a
congruential generator.   record_near.py > near_reference.h
"""
import numpy as np
from sklearn.neighbors import NearestNeighbors
import sklearn

M = (1 << 64) - 1


def lcg(n, seed):
    out = np.empty(n, np.float32)
    x = seed
    for i in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) & M
        out[i] = np.float32((x >> 33) / 2 ** 31)
    return out


print(f"/* Made by tests/data/record_near.py with scikit-learn {sklearn.__version__}. */")
CASES = [("euclid", 60, 5, 3, 4), ("cosine", 60, 5, 4, 4), ("euclid", 40, 37, 5, 6)]
print("typedef struct { const char *metric; int rows, width, seed, k; const int *row; const double *distance; } near_case;")
for c, (metric, n, d, seed, k) in enumerate(CASES):
    x = lcg(n * d, seed).reshape(n, d).astype(np.float64)
    nn = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", metric="euclidean" if metric == "euclid" else "cosine").fit(x)
    distance, row = nn.kneighbors(x)
    assert (row[:, 0] == np.arange(n)).all()
    print(f"static const int near_row_{c}[] = {{{', '.join(str(v) for v in row[:, 1:].ravel())}}};")
    print(f"static const double near_distance_{c}[] = {{{', '.join(f'{v:.12g}' for v in distance[:, 1:].ravel())}}};")
print("static const near_case near_cases[] = {")
for c, (metric, n, d, seed, k) in enumerate(CASES):
    print(f'    {{"{metric}", {n}, {d}, {seed}, {k}, near_row_{c}, near_distance_{c}}},')
print("};")
