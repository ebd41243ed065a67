"""Writes codecs.h5, whose chunks HDF5's plugins compressed, and the chunks that tests/data/codecs_recorded.h holds.

    python tests/data/samples/make_codecs.py       # made with h5py 3.16.0 (HDF5 2.0.0), hdf5plugin 7.1.0, NumPy 2.4.6

Element i, in row-major order, is (37 i + 11) mod 251, minus 100 where the type has a sign (make_samples.py); "noise"
is that of the generator below, which no method makes smaller: tests/data/test_codecs.c has both rules again.
"""
import os

import h5py
import hdf5plugin
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def values(shape, dtype):
    a = (37 * np.arange(np.prod(shape)) + 11) % 251
    if np.dtype(dtype).kind != "u":
        a = a - 100
    return a.reshape(shape).astype(dtype)


def noise(n):
    """Bytes of x -> x * 6364136223846793005 + 1442695040888963407 mod 2^64, bits 33 to 40, from x = 1."""
    x, out = 1, []
    for _ in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(x >> 33 & 255)
    return np.array(out, "u1")


bit = hdf5plugin.Bitshuffle
sets = {
    "lz4": (("f4", (50, 6), (16, 6)), hdf5plugin.LZ4()),
    "lz4_blocks": (("i4", (40, 7), (25, 7)), hdf5plugin.LZ4(nbytes=256)),
    "lz4_cut": (("u2", (30, 10), (16, 4)), hdf5plugin.LZ4()),
    "zstd": (("f4", (50, 6), (16, 6)), hdf5plugin.Zstd()),
    "zstd_best": (("i8", (64, 3), (64, 3)), hdf5plugin.Zstd(clevel=22)),
    "bit": (("f4", (50, 6), (16, 6)), bit(cname="none")),
    "bit_blocks": (("i2", (60, 5), (60, 5)), bit(nelems=64, cname="none")),
    "bit_u1": (("u1", (70, 11), (33, 11)), bit(cname="lz4")),
    "bit_i2": (("i2", (50, 11), (33, 11)), bit(nelems=136, cname="lz4")),
    "bit_f4": (("f4", (40, 11), (33, 11)), bit(cname="lz4")),
    "bit_f8": (("f8", (24, 11), (24, 11)), bit(cname="zstd")),
    "bit_i8": (("i8", (9, 5), (9, 5)), bit(nelems=128, cname="zstd", clevel=7)),
    "bit_few": (("f4", (5, 1), (1, 1)), bit(cname="lz4")),          # fewer than eight elements: as they are
}
with h5py.File(os.path.join(HERE, "codecs.h5"), "w", libver="v110") as f:
    for name, ((dtype, shape, chunks), codec) in sets.items():
        f.create_dataset(name, data=values(shape, dtype), chunks=chunks, **codec)
    f.create_dataset("shuffle_zstd", data=values((50, 6), "f4"), chunks=(16, 6), shuffle=True, **hdf5plugin.Zstd())
    f.create_dataset("lz4_sum", data=values((40, 3), "i2"), chunks=(7, 3), fletcher32=True, **hdf5plugin.LZ4())
    for name, codec in (("lz4", hdf5plugin.LZ4(nbytes=64)), ("zstd", hdf5plugin.Zstd()), ("bit", bit(cname="lz4"))):
        f.create_dataset("noise_" + name, data=noise(400).reshape(40, 10), chunks=(33, 10), **codec)
    f.create_dataset("blosc", data=values((50, 6), "f4"), chunks=(16, 6), **hdf5plugin.Blosc())
    f.create_dataset("bzip2", data=values((50, 6), "f4"), chunks=(16, 6), **hdf5plugin.BZip2())

with h5py.File(os.path.join(HERE, "codecs.h5")) as f, open(os.path.join(HERE, "..", "codecs_recorded.h"), "w") as out:
    out.write("/* tests/data/codecs_recorded.h - the first chunk of sets of samples/codecs.h5, as samples/make_codecs.py wrote them. */\n")
    out.write("#ifndef RT_TESTS_CODECS_RECORDED_H\n#define RT_TESTS_CODECS_RECORDED_H\n\n")
    for name in ("lz4_blocks", "zstd", "bit_i2", "bit_f8", "bit_blocks"):
        _, chunk = f[name].id.read_direct_chunk((0,) * f[name].ndim)
        out.write(f"static const unsigned char recorded_{name}[] = {{")
        for i, b in enumerate(chunk):
            out.write(("" if i == 0 else ",") + ("\n    " if i % 24 == 0 else " ") + str(b))
        out.write("};\n")
    out.write("#endif\n")
