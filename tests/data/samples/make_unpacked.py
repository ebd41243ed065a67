"""Writes unpacked.h5 and plugins.h5: chunked sets that need the HDF5 library to be read, by filters of its own or of
plugins, and by types that have to be converted.

    python tests/data/samples/make_unpacked.py       # made with h5py 3.16.0 (HDF5 2.0.0), hdf5plugin 7.1.0, NumPy 2.4.6

Beside each set NAME stands want/NAME, contiguous: what h5py itself reads of it. Element i, in row-major order, is
(37 i + 11) mod 251, minus 100 where the type has a sign (make_samples.py), what does not fit into a type's bits taken
modulo them. plugins.h5 is read where plugins are (RETORT_TEST_PLUGINS in tests/data/test_unpack.c).
"""
import os

import h5py
import hdf5plugin
import numpy as np
from h5py import h5d, h5p, h5s, h5t, h5z

HERE = os.path.dirname(os.path.abspath(__file__))


def values(shape, dtype, bits=0):
    a = (37 * np.arange(np.prod(shape)) + 11) % 251
    if np.dtype(dtype).kind != "u":
        a = a - 100
    if bits:
        a = a % 2 ** bits if np.dtype(dtype).kind == "u" else (a + 2 ** (bits - 1)) % 2 ** bits - 2 ** (bits - 1)
    return a.reshape(shape).astype(dtype)


def low(f, name, file_type, data, chunks, filters, fill=None):
    """A set of a type, and with filters, that h5py's own interface has no words for: (id, parameters), ..."""
    p = h5p.create(h5p.DATASET_CREATE)
    p.set_chunk(chunks)
    for id, params in filters:
        p.set_filter(id, 0, params)
    if fill is not None:
        p.set_fill_value(np.array(fill, data.dtype))
    d = h5d.create(f.id, name.encode(), file_type, h5s.create_simple(data.shape), p)
    if fill is None:
        d.write(h5s.ALL, h5s.ALL, data)
    else:                                                        # the first chunk alone is written
        part = data[: chunks[0]]
        space = d.get_space()
        space.select_hyperslab((0,) * data.ndim, part.shape)
        d.write(h5s.create_simple(part.shape), space, np.ascontiguousarray(part))


def bits(base, precision, offset=0):
    t = base.copy()
    t.set_precision(precision)
    t.set_offset(offset)
    return t


def small_float(size, exponent, mantissa, bias):
    t = (h5t.IEEE_F32LE if size <= 4 else h5t.IEEE_F64LE).copy()
    t.set_fields(exponent + mantissa, mantissa, exponent, 0, mantissa)
    t.set_precision(1 + exponent + mantissa)
    t.set_ebias(bias)
    t.set_size(size)
    return t


def twins(path):
    with h5py.File(path, "a") as f:
        for name in list(f):
            a = f[name][()]
            f.create_dataset("want/" + name, data=a.astype(a.dtype.newbyteorder("<")))


NBIT, SCALE, GZIP, SHUFFLE, SUM = h5z.FILTER_NBIT, h5z.FILTER_SCALEOFFSET, 1, 2, 3
ours = os.path.join(HERE, "unpacked.h5")
with h5py.File(ours, "w", libver="v110") as f:
    f.create_dataset("szip", data=values((50, 6), "f4"), chunks=(16, 6), compression="szip")
    f.create_dataset("szip_ec", data=values((40, 32), "i2"), chunks=(33, 32), compression="szip", compression_opts=("ec", 16))
    f.create_dataset("szip_cut", data=values((30, 10, 3), "u1"), chunks=(16, 4, 2), compression="szip")
    f.create_dataset("scale_i4", data=values((50, 6), "i4"), chunks=(16, 6), scaleoffset=0)
    f.create_dataset("scale_u1", data=values((50, 6), "u1"), chunks=(7, 6), scaleoffset=0)
    f.create_dataset("scale_f4", data=values((50, 6), "f4") / 8, chunks=(16, 6), scaleoffset=2)
    f.create_dataset("scale_f8", data=values((50, 6), "f8") / 8, chunks=(16, 4), scaleoffset=3)
    f.create_dataset("scale_big", data=values((50, 6), ">i2"), chunks=(16, 6), scaleoffset=0)
    f.create_dataset("scale_lzf", data=values((64, 6), "i8"), chunks=(16, 6), scaleoffset=0, compression="lzf")
    low(f, "scale_gzip_sum", h5t.STD_I32LE, values((50, 6), "i4"), (16, 6), [(SCALE, (2, 0)), (GZIP, (4,)), (SUM, ())])
    f.create_dataset("scale_lz4", data=values((64, 6), "i4"), chunks=(16, 6), scaleoffset=0, **hdf5plugin.LZ4())
    f.create_dataset("scale_bits", data=values((64, 6), "i4"), chunks=(16, 6), scaleoffset=0,
                     **hdf5plugin.Bitshuffle(cname="none"))
    low(f, "bits_u2", bits(h5t.STD_U16LE, 12), values((50, 6), "u2", 12), (16, 6), [(NBIT, ())])
    low(f, "bits_i4", bits(h5t.STD_I32LE, 17, 5), values((50, 6), "i4", 17), (16, 6), [(NBIT, ())])
    low(f, "bits_big", bits(h5t.STD_I32BE, 9), values((50, 6), "i4", 9), (16, 4), [(NBIT, ())])
    low(f, "bits_i1", bits(h5t.STD_I8LE, 5), values((50, 6), "i1", 5), (16, 6), [(NBIT, ()), (GZIP, (4,))])
    low(f, "bits_f4", small_float(4, 6, 13, 31), values((50, 6), "f4") / 4, (16, 6), [(NBIT, ())])
    low(f, "bits_f3", small_float(3, 8, 15, 127), values((50, 6), "f4"), (16, 6), [(SHUFFLE, ()), (GZIP, (4,))])
    low(f, "bits_f8", small_float(8, 9, 30, 255), values((50, 6), "f8") / 4, (16, 6), [(NBIT, ())])
    low(f, "bits_plain", bits(h5t.STD_I16LE, 11), values((50, 6), "i2", 11), (16, 6), [])
    low(f, "bits_fill", bits(h5t.STD_I16BE, 11), values((50, 6), "i2", 11), (16, 6), [(NBIT, ())], fill=-77)
    low(f, "scale_fill", h5t.STD_I32LE, values((50, 6), "i4"), (16, 6), [(SCALE, (2, 0))], fill=-5)
    f.create_dataset("rows_1", data=values((300, 5), "i4"), chunks=(1, 5), scaleoffset=0)
    f.create_dataset("line", data=values((301,), "u2"), chunks=(64,), scaleoffset=0)
twins(ours)

plugins = os.path.join(HERE, "plugins.h5")
with h5py.File(plugins, "w", libver="v110") as f:
    kinds = {"blosc": hdf5plugin.Blosc(), "blosc_zstd": hdf5plugin.Blosc(cname="zstd", shuffle=2), "bzip2": hdf5plugin.BZip2(),
             "blosc2": hdf5plugin.Blosc2(), "zfp": hdf5plugin.Zfp(reversible=True), "sz3": hdf5plugin.SZ3(absolute=0.1),
             "sz": hdf5plugin.SZ(absolute=0.1), "sperr": hdf5plugin.Sperr(rate=16)}
    for name, how in kinds.items():
        shape = (64, 32) if name == "sperr" else (50, 6)
        f.create_dataset(name, data=values(shape, "f4"), chunks=(32, 32) if name == "sperr" else (16, 6), **how)
    f.create_dataset("blosc_bits", data=values((50, 6), "f4"), chunks=(16, 6), shuffle=True, fletcher32=True, **hdf5plugin.Blosc())
    f.create_dataset("blosc_big", data=values((50, 6), ">i4"), chunks=(16, 6), **hdf5plugin.Blosc())
twins(plugins)
