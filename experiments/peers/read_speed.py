"""Reading speed of retort against h5py: the same file, one thread, rows per CPU-second, in one alternating run.

  python3 experiments/peers/read_speed.py [--bench build/tests/read_bench] [--rounds 9] [--only WORD] [--large]

Needs h5py in the Python that runs it (a virtual environment outside the repository). The files are made in a temporary
folder and are in the page cache when they are read; each pass of retort starts with nothing mapped or decoded. Sequential
reading goes in batches of 128 rows; where chunks cut rows h5py also gets batches as long as a chunk, and everywhere the
faster of `x[a:b]` and `read_direct` counts for it. Half floats are measured against HDF5's conversion and NumPy's. Both
sides alternate A B A B and the median of the ratios counts. --large adds 2^20 chunks to the openings.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

ROWS = 60000


def images(dtype):
    """(N, 28, 28, 1): blobs on black, noisy where they are bright, so that they compress about as photographs do."""
    rng = numpy.random.default_rng(1)
    y, x = numpy.mgrid[0:28, 0:28].astype("f4")
    out = numpy.empty((ROWS, 28, 28, 1), dtype)
    for first in range(0, ROWS, 4000):
        c = rng.uniform(6, 22, (4000, 2, 1, 1)).astype("f4")
        r = rng.uniform(3, 8, (4000, 1, 1)).astype("f4")
        blob = 255 * numpy.exp(-((x - c[:, 0]) ** 2 + (y - c[:, 1]) ** 2) / r ** 2)
        blob = numpy.floor(numpy.clip(blob * rng.uniform(0.8, 1, blob.shape), 0, 255)) * (blob > 8)
        out[first:first + 4000, ..., 0] = blob if dtype == "u1" else blob / 255
    return out


def make(folder, name, data, **how):
    path = os.path.join(folder, name + ".h5")
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=data, **how)
    return path


class Retort:
    def __init__(self, bench, *args):
        self.process = subprocess.Popen([bench, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rate(self, seconds):
        self.process.stdin.write("%g\n" % seconds)
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        if self.process.wait():
            sys.exit("read_bench failed")


class Peer:
    """h5py, one way of reading."""

    def __init__(self, path, access, batch, as_float, way):
        self.file = h5py.File(path, "r")
        self.x, self.access, self.batch, self.at = self.file["x"], access, batch, 0
        self.order = numpy.random.default_rng(2).permutation(self.x.shape[0])
        self.buffer = numpy.empty((batch,) + self.x.shape[1:], "f4" if as_float and way == "hdf5" else self.x.dtype)
        self.as_float, self.way = as_float, way
        self.name = "x[i]" if access == "rows" else "%s, batches of %d" % (way, batch)

    def step(self):
        a, b = self.at, min(self.at + self.batch, self.x.shape[0])
        self.at = b if b < self.x.shape[0] else 0
        if self.access == "rows":
            for i in self.order[a:b]:
                self.x[int(i)]
        elif self.way == "x[a:b]":
            got = self.x[a:b]
            if self.as_float:
                got.astype("f4")
        else:                                     # read_direct; into floats HDF5 converts
            self.x.read_direct(self.buffer, numpy.s_[a:b], numpy.s_[0:b - a])
            if self.as_float and self.way != "hdf5":
                self.buffer[:b - a].astype("f4")
        return b - a

    def rate(self, seconds):
        start, rows = time.process_time(), 0
        while True:
            rows += self.step()
            gone = time.process_time() - start
            if gone >= seconds:
                return rows / gone


def fastest_peer(path, access, batches, as_float, seconds):
    ways = [as_float] if as_float == "hdf5" else ["x[a:b]"] if access == "rows" else ["x[a:b]", "read_direct"]
    peers = [Peer(path, access, batch, as_float, way) for batch in batches for way in ways]
    return max(peers, key=lambda p: (p.rate(seconds / 4), p.rate(seconds / 4))[1])


def compare(label, a, path, access, bar, batches=(128,), as_float=None):
    peer = fastest_peer(path, access, (64,) if access == "rows" else batches, as_float, a.seconds)
    batch = 64 if access == "rows" else 128
    ours = Retort(a.bench, path, "x", access, batch, "float" if as_float else "raw")
    ours.rate(a.seconds), peer.rate(a.seconds / 4)
    pairs = [(ours.rate(a.seconds), peer.rate(a.seconds)) for _ in range(a.rounds)]
    ours.close()
    ratios = sorted(x / y for x, y in pairs)
    mine, theirs = (statistics.median(p[k] for p in pairs) for k in (0, 1))
    ratio = statistics.median(ratios)
    print("| %s | %s | %s | %s (%s) | %.2f (%.2f-%.2f) | %g | %s |" % (
        label, {"seq": "sequential", "rows": "single rows shuffled"}[access], count(mine), count(theirs), peer.name, ratio,
        ratios[0], ratios[-1], bar, "yes" if ratio >= bar else "NO"), flush=True)
    return ratio >= bar


def conversion(label, a, path):
    """Half floats as floats: HDF5 may convert them, or NumPy."""
    good = compare(label + ", HDF5 converts", a, path, "seq", 15, as_float="hdf5")
    return compare(label + ", NumPy converts", a, path, "seq", 1, as_float="numpy") and good


def count(rate):
    return "%.3g M" % (rate / 1e6) if rate >= 1e6 else "%.3g K" % (rate / 1e3) if rate >= 1e3 else "%.0f" % rate


def codecs(u8, f32, mib8, mib32):
    """What hdf5plugin's filters make, read by h5py through them; none where that is not installed."""
    try:
        import hdf5plugin as plugin
    except ImportError:
        print("hdf5plugin is not installed: LZ4, zstd and bitshuffle are left out")
        return []
    kinds = [("lz4", dict(**plugin.LZ4())), ("shuffle + lz4", dict(shuffle=True, **plugin.LZ4())), ("zstd-3", dict(**plugin.Zstd())),
             ("shuffle + zstd-3", dict(shuffle=True, **plugin.Zstd())), ("bitshuffle + lz4", dict(**plugin.Bitshuffle(cname="lz4"))),
             ("bitshuffle + zstd-3", dict(**plugin.Bitshuffle(cname="zstd"))), ("bitshuffle", dict(**plugin.Bitshuffle(cname="none")))]
    return [("%s %s (28,28,1)" % (kind, name), data, dict(chunks=chunks, **how), "seq", 0.5)
            for kind, how in kinds for name, data, chunks in (("u8", u8, mib8), ("f32", f32, mib32))]


def unpacked(u8, f32, mib8, mib32):
    """What retort leaves to the HDF5 library: its own filters, and hdf5plugin's, whose folder retort is told."""
    i16 = u8.astype("i2") - 128
    kinds = [("szip u8 (784)", u8.reshape(-1, 784), dict(chunks=(1337, 784), compression="szip")), ("scale-offset i16", i16, dict(chunks=(668, 28, 28, 1), scaleoffset=0))]
    try:
        import hdf5plugin as plugin
    except ImportError:
        plugin = None
    if plugin:
        os.environ["HDF5_PLUGIN_PATH"] = plugin.PLUGIN_PATH        # h5py has them already
        for name, data, chunks in (("u8", u8, mib8), ("f32", f32, mib32)):
            kinds += [("blosc %s" % name, data, dict(chunks=chunks, **plugin.Blosc())), ("bzip2 %s" % name, data, dict(chunks=chunks, **plugin.BZip2()))]
        kinds += [("blosc2 f32", f32, dict(chunks=mib32, **plugin.Blosc2())), ("zfp f32", f32, dict(chunks=mib32, **plugin.Zfp(reversible=True)))]
    return [("by the library: " + name, data, how, "seq", 0.4) for name, data, how in kinds]


def reading(a, folder):
    u8, f32 = images("u1"), images("f4")
    flat8, flat32, f16 = u8.reshape(ROWS, 784), f32.reshape(ROWS, 784), f32.reshape(ROWS, 784).astype("f2")
    mib8, mib32 = (1337, 28, 28, 1), (334, 28, 28, 1)
    packed = dict(compression="gzip", compression_opts=1, shuffle=True)
    cases = [
        ("contiguous u8", flat8, {}, "seq", 2.5), ("contiguous f32", flat32, {}, "seq", 1.6),
        ("contiguous f16 to f32", f16, {}, "float", 15),
        ("contiguous u8", flat8, {}, "rows", 20), ("contiguous f32", flat32, {}, "rows", 20),
        ("1 MiB chunks u8 (28,28,1)", u8, dict(chunks=mib8), "seq", 2), ("1 MiB chunks u8 (28,28,1)", u8, dict(chunks=mib8), "rows", 100),
        ("1 MiB chunks f32 (28,28,1)", f32, dict(chunks=mib32), "seq", 2),
        ("1 MiB chunks f32 (28,28,1)", f32, dict(chunks=mib32), "rows", 100),
        ("gzip-1 + shuffle u8 (784)", flat8, dict(chunks=(1337, 784), **packed), "seq", 1.6),
        ("gzip-1 + shuffle u8 (28,28,1)", u8, dict(chunks=mib8, **packed), "seq", 1.6),
        ("gzip-1 + shuffle f32 (784)", flat32, dict(chunks=(334, 784), **packed), "seq", 1.6),
        ("gzip-1 + shuffle f32 (28,28,1)", f32, dict(chunks=mib32, **packed), "seq", 1.6),
        ("lzf u8 (28,28,1)", u8, dict(chunks=mib8, compression="lzf"), "seq", 1),
        ("chunks=True u8 (28,28,1)", u8, dict(chunks=True), "auto", 1), ("chunks=True f32 (28,28,1)", f32, dict(chunks=True), "auto", 1),
        ("chunks=True gzip u8 (28,28,1)", u8, dict(chunks=True, compression="gzip"), "auto", 1),
        ("chunks=True gzip f32 (28,28,1)", f32, dict(chunks=True, compression="gzip"), "auto", 1),
        *codecs(u8, f32, mib8, mib32),
        *unpacked(u8, f32, mib8, mib32),
        ("row chunks u8, 16,384", u8[:16384], dict(chunks=(1, 28, 28, 1)), "seq", 1),
    ]
    good = True
    print("| data | access | retort rows/CPU-s | h5py rows/CPU-s (its fastest way) | ratio (min-max) | bar | met |\n|---|---|---|---|---|---|---|")
    for k, (label, data, how, access, bar) in enumerate(cases):
        if a.only not in label:
            continue
        path = make(folder, "set%d" % k, data, **how)
        batches = (128,)
        if access == "auto":
            with h5py.File(path) as f:
                chunk = f["x"].chunks
            label, batches = label + " " + str(chunk).replace(" ", ""), (128, chunk[0])
        if access == "float":
            good &= conversion(label, a, path)
        else:
            good &= compare(label, a, path, "rows" if access == "rows" else "seq", bar, batches)
        os.remove(path)
    return good


def opening(a, folder):
    good = True
    print("\n| opening | CPU-s, median | bar | met |\n|---|---|---|---|")
    for n, bar in [(0, 0.3), (16384, 0.3), (65536, 0.3)] + ([(1 << 20, 3)] if a.large else []):
        label = "%d chunks" % n if n else "contiguous"
        if a.only not in label:
            continue
        path = make(folder, "open", numpy.zeros((n or 1024, 4), "u1"), **(dict(chunks=(1, 4)) if n else {}))
        ours = Retort(a.bench, path, "x", "open")
        seconds = statistics.median(ours.rate(1) for _ in range(5))
        ours.close()
        good &= seconds <= bar
        print("| %s | %.3f | %g | %s |" % (label, seconds, bar, "yes" if seconds <= bar else "NO"), flush=True)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench", default="build/tests/read_bench")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--seconds", type=float, default=0.4)
    p.add_argument("--only", default="", help="cases whose name holds this")
    p.add_argument("--large", action="store_true")
    a = p.parse_args()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print("h5py %s, HDF5 %s, NumPy %s, %s\n" % (h5py.version.version, h5py.version.hdf5_version, numpy.__version__, cpu))
    with tempfile.TemporaryDirectory() as folder:
        good = reading(a, folder)
        good &= opening(a, folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
