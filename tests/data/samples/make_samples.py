"""Writes the HDF5 samples of this folder: what HDF5 1.10 cannot write, or others write in their own way.

    python tests/data/samples/make_samples.py      # made with h5py 3.16.0 (HDF5 2.0.0), NumPy 2.4.6

Element i, in row-major order, is (37 i + 11) mod 251, minus 100 where the type has a sign: tests/data/test_h5_samples.c
compares with that, not with what retort or HDF5 1.10 read.
"""
import os

import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def values(shape, dtype):
    a = (37 * np.arange(np.prod(shape)) + 11) % 251
    if np.dtype(dtype).kind != "u":
        a = a - 100
    return a.reshape(shape).astype(dtype)


def create(name, **options):
    return h5py.File(os.path.join(HERE, name), "w", **options)


with create("lzf.h5") as f:
    f.create_dataset("x", data=values((50, 6), "f4"), chunks=(16, 4), compression="lzf", shuffle=True)
    f.create_dataset("u", data=values((64, 8), "u1"), chunks=(32, 8), compression="lzf")
    f.create_dataset("sum", data=values((40, 3), "i2"), chunks=(7, 3), compression="lzf", shuffle=True, fletcher32=True)
    f.create_dataset("zeros", data=np.zeros((300, 10), "i4"), chunks=(100, 10), compression="lzf")   # long matches
    noise = np.random.default_rng(7).integers(0, 256, (32, 8), "u1")
    f.create_dataset("noise", data=noise, chunks=(32, 8), compression="lzf")   # LZF gives up: the chunk is stored as it is

with create("newer.h5", libver="latest") as f:      # layout messages of version 5: HDF5 1.10 cannot open such sets
    f.create_dataset("x", data=values((40, 4), "f4"), chunks=(10, 4), compression="gzip")
    f.create_dataset("plain", data=values((40, 4), "f4"))
    h5py.h5d.create(f.id, b"complex", h5py.h5t.COMPLEX_IEEE_F32LE, h5py.h5s.create_simple((3,)))

with create("kinds.h5", libver="v110") as f:
    f.create_dataset("bool", data=values((30, 2), "i4") % 2 == 0)
    f.create_dataset("enum", data=values((20,), "i2"), dtype=h5py.enum_dtype({"A": 11, "B": 48}, basetype="i2"))
    for t in ("i2", "u4", "i8", "f2", "f4", "f8"):
        f.create_dataset("big/" + t, data=values((9, 5), ">" + t))
        f.create_dataset("big/packed_" + t, data=values((9, 5), ">" + t), chunks=(4, 5), compression="gzip", shuffle=True)
    space = h5py.h5s.create_simple((12, 3))
    bfloat16 = h5py.h5t.IEEE_F32LE.copy()
    bfloat16.set_fields(15, 7, 8, 0, 7)
    bfloat16.set_size(2)
    d = h5py.h5d.create(f.id, b"bf16", bfloat16, space)
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, values((12, 3), "f4"))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    d = h5py.h5d.create(f.id, b"compact", h5py.h5t.IEEE_F64BE, h5py.h5s.create_simple((6, 4)), plist)
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, values((6, 4), "f8"))
    f.create_dataset("text", data=np.array([b"alpha", b"be", b"gamma"], "S5"))
    part = f.create_dataset("part", (20, 4), "f4", chunks=(10, 4), fillvalue=7)
    part[:10] = values((10, 4), "f4")
    f.create_dataset("never", (6, 2), ">i4", fillvalue=3)
    f.create_dataset("strings", data=["a", "bcd"])
    f.create_dataset("record", data=np.zeros(3, [("height", "f4"), ("width", "f4")]))
    f.create_dataset("complex", data=np.zeros(3, "c8"))
    f.create_dataset("when", data=np.zeros(3, "M8[s]").astype(h5py.opaque_dtype("M8[s]")))
    f.create_dataset("array", (3,), np.dtype(("f4", (2,))))
    f.create_dataset("ragged", (3,), h5py.vlen_dtype("i4"))
    f.create_dataset("reference", (3,), h5py.ref_dtype)
    f.create_dataset("empty", data=h5py.Empty("f4"))
    f.create_dataset("long_double", data=np.zeros(3, "g"))
    narrow = h5py.h5t.IEEE_F32LE.copy()                     # an 8-bit floating-point number, E4M3
    narrow.set_fields(7, 3, 4, 0, 3)
    narrow.set_size(1)
    narrow.set_ebias(7)
    h5py.h5d.create(f.id, b"narrow", narrow, h5py.h5s.create_simple((3,)))
    f.create_dataset("scalar", data=5)

with create("extensible.h5", libver="v110") as f:   # HDF5 1.10's look-up by coordinates names wrong chunks here
    f.create_dataset("x", data=values((200, 16), "i2"), chunks=(100, 8), maxshape=(200, None))
    f.create_dataset("z", data=values((13, 9, 4), "i2"), chunks=(5, 4, 3), maxshape=(13, None, 4), compression="gzip")

with create("userblock.h5", userblock_size=1024) as f:
    f.create_dataset("x", data=values((30, 5), "f8"))
    f.create_dataset("packed", data=values((30, 5), "f8"), chunks=(8, 5), compression="gzip")
    f.create_dataset("chunks", data=values((30, 5), "u1"), chunks=(8, 3))
with open(os.path.join(HERE, "userblock.h5"), "r+b") as f:
    f.write(b"MATLAB 7.3 MAT-file, as far as the first bytes go")

with create("links.h5") as f:
    f.create_dataset("data/x", data=values((8, 2), "f4"))
    f["hard"] = f["data/x"]
    f["soft"] = h5py.SoftLink("/data/x")
    f["folder"] = h5py.SoftLink("/data")
    f["dangling"] = h5py.SoftLink("/nowhere/x")
    f["outside"] = h5py.ExternalLink("other.h5", "/data/x")   # a path that this file has, too
    f["through"] = h5py.SoftLink("/outside")
    f["data/up"] = f["/"]
    f["type"] = np.dtype("f4")
    layout = h5py.VirtualLayout((8, 2), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (8, 2))
    f.create_virtual_dataset("virtual", layout)
    f.create_dataset("stored_outside", (8,), "f4", external=[("other.raw", 0, 32)])
