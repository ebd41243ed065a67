#!/usr/bin/env python3
"""Writes quantizers_reference.h: what calibration should find, by NumPy in double, from the values themselves.

    record_quantizers.py > quantizers_reference.h

The net: input (6, 5, 4) > conv2d 6, 3x3, padding 1, 2 groups > relu > avg_pool 2 > flatten > dense 3. Numbers are those
of number(i, salt), in the order of the fields.
"""
import numpy as np

ROWS, H, W, C, N, K, OUT = 2000, 6, 5, 4, 6, 3, 3

def number(i, salt):
    i = (np.asarray(i, np.uint64) * np.uint64(2654435761) + np.uint64(salt) * np.uint64(40503)) % np.uint64(2**32)
    i = (i ^ (i >> np.uint64(13))) * np.uint64(1274126177) % np.uint64(2**32)
    return (i >> np.uint64(8)).astype(np.float64) / 2**24 - 0.5

def many(shape, salt, scale, shift=0.0):
    return (number(np.arange(int(np.prod(shape))), salt) * scale + shift).astype(np.float32).astype(np.float64).reshape(shape)

x = many((ROWS, H, W, C), 1, 4, 0.3)
x = x ** 3 / 2
x.flat[7777] = 40                                    # far away: by MSE it is clipped
x = x.astype(np.float32).astype(np.float64)
w1, b1 = many((3, 3, C // 2, N), 2, 1) ** 3, many((N,), 3, 0.2)
w1 = w1.astype(np.float32).astype(np.float64)
w2, b2 = many((H // 2 * (W // 2) * N, OUT), 4, 0.5), many((OUT,), 5, 0.2)

padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
conv = np.zeros((ROWS, H, W, N))
for g in range(2):
    for i in range(3):
        for j in range(3):
            part = padded[:, i:i + H, j:j + W, g * 2:g * 2 + 2]
            conv[..., g * 3:g * 3 + 3] += part @ w1[i, j, :, g * 3:g * 3 + 3]
conv += b1
relu = np.maximum(conv, 0)
pool = relu[:, :H // 2 * 2, :W // 2 * 2].reshape(ROWS, H // 2, 2, W // 2, 2, N).mean((2, 4))

def quantizer(low, high):
    scale = (high - low) / 255
    return scale, np.rint(-low / scale)

def error(v, low, high):
    scale, zero = quantizer(low, high)
    q = np.clip(np.rint(v / scale) + zero, 0, 255)
    return float((((q - zero) * scale - v) ** 2).mean())

def ranges(v):
    low, high = min(v.min(), 0), max(v.max(), 0)
    return low, high, error(v, low, high), min(error(v, low * p, high * p) for p in np.linspace(0.02, 1, 491))

def steps(w, bits, by_mse):
    most = 2 ** (bits - 1) - 1
    w = w.reshape(-1, w.shape[-1])
    out = []
    for c in range(w.shape[1]):
        top = np.abs(w[:, c]).max()
        best = top / most
        if by_mse:                       # the same 70 candidates, by the exact squared error
            tries = [np.float32(np.float32(top) * np.float32(1 - np.float32(i) / np.float32(100)) / np.float32(most)) for i in range(70)]
            errors = [((np.clip(np.rint(w[:, c] / float(s)), -most, most) * float(s) - w[:, c]) ** 2).sum() for s in tries]
            best = tries[int(np.argmin(errors))]
        out.append(float(best))
    return out

def shifts(w, step, bits, mean):
    most = 2 ** (bits - 1) - 1
    q = np.clip(np.rint(w / np.array(step)), -most, most) * np.array(step)
    return ((w - q) * mean).reshape(-1, w.shape[-1]).sum(0)

def put(name, values):
    v = [f"{v:.12g}" for v in np.ravel(values)]
    print(f"static const double {name}[] = {{")
    for i in range(0, len(v), 6): print("    " + ", ".join(v[i:i + 6]) + ",")
    print("};")

print("/* Written by record_quantizers.py: NumPy, in double. */")
for name, v in (("input", x), ("relu", relu), ("pool", pool)):
    put(f"reference_{name}", ranges(v))              # least, greatest, squared error with them, and with the best part
means = x.mean((0, 1, 2))                            # by channel
mean1 = np.stack([means[(np.arange(N)[None, :] // 3) * 2 + np.arange(2)[:, None]]] * 9).reshape(3, 3, 2, N)
mean2 = pool.reshape(ROWS, -1).mean(0)[:, None]
for bits in (8, 4):
    for mse in (0, 1):
        s1, s2 = steps(w1, bits, mse), steps(w2, bits, mse)
        put(f"reference_step1_{bits}_{mse}", s1)
        put(f"reference_step2_{bits}_{mse}", s2)
        put(f"reference_shift1_{bits}_{mse}", shifts(w1, s1, bits, mean1))
        put(f"reference_shift2_{bits}_{mse}", shifts(w2, s2, bits, mean2))
