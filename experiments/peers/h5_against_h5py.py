"""Reads every set of every HDF5 file below a folder with retort and with h5py, and compares the values.

    python experiments/peers/h5_against_h5py.py build/tests/h5_dump FOLDER

Needs h5py (newest) and hdf5plugin if there are sets that only plugins decode. Prints one line a set that is not equal,
the reasons for which sets and files are refused, and counts: equal, refused by name, WRONG. A set that h5py lists and
retort does not is wrong, too. Exit status 1 when something is wrong.
"""
import collections
import os
import subprocess
import sys

import h5py
import numpy as np


NUMPY = {"u8": "u1", "i8": "i1", "u16": "u2", "i16": "i2", "u32": "u4", "i32": "i4", "u64": "u8", "i64": "i8",
         "f16": "f2", "f32": "f4", "f64": "f8"}


def walk(group, prefix="", seen=()):
    """Names of everything that is linked, as retort lists them; groups are followed through hard and soft links."""
    for name in group:
        path = prefix + name
        link = group.get(name, getlink=True)
        try:
            item = group[name] if not isinstance(link, h5py.ExternalLink) else None
        except Exception:
            item = None
        if isinstance(item, h5py.Group):
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or len(seen) >= 32:
                yield path, None
            else:
                yield from walk(item, path + "/", seen + (address,))
        else:
            yield path, item if isinstance(item, h5py.Dataset) else None


def texts(a):
    """Fixed-length strings without their padding: retort gives the stored bytes."""
    return [bytes(x).split(b"\0")[0].rstrip(b" ") for x in a.ravel()]


def same(ours, kind, item):
    """'' when the values are equal, else what differs."""
    stored = item.id.get_type()
    if stored.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.BITFIELD) and kind != "text":
        if kind == "bf16":                      # has no NumPy type: h5py converts it to float32, exactly
            theirs = np.empty(item.shape, "<f4")
            item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, theirs, h5py.h5t.IEEE_F32LE)
            return "" if (ours.astype("<u4") << 16).tobytes() == theirs.tobytes() else "values differ"
        theirs = np.asarray(item[()])
        if theirs.dtype == bool:
            theirs = theirs.astype("i1")
        if np.dtype(kind) != theirs.dtype.newbyteorder("="):
            return f"type is {kind}, h5py has {theirs.dtype}"
        return "" if ours.tobytes() == theirs.astype(theirs.dtype.newbyteorder("<")).tobytes() else "values differ"
    if kind == "text":
        theirs = np.asarray(item[()])
        return "" if texts(ours) == texts(theirs) else "texts differ"
    return f"type is {kind}, h5py has {item.dtype}"


def read_ours(program, path):
    """name -> (kind, array or reason); None and the message when the file is refused."""
    run = subprocess.run([program, path], capture_output=True, timeout=600)
    message = run.stderr.decode(errors="replace").strip()
    if run.returncode and not run.stdout:
        return None, message, run.returncode
    sets, data = {}, run.stdout
    while data:
        line, _, data = data.partition(b"\n")
        part = line.split(b"\t")
        name = part[0].decode("utf-8", "surrogateescape")
        if part[1] == b"refused":
            sets[name] = ("refused", b"\t".join(part[2:]).decode(errors="replace"))
            continue
        kind, size = part[1].decode(), int(part[3])
        if len(data) < size:                    # a damaged chunk ended the stream
            sets[name] = ("refused", message)
            break
        shape = tuple(int(n) for n in part[2].split(b","))
        count = int(np.prod(shape, dtype=object))
        if kind == "text":
            dtype = f"S{size // count}" if count else "S1"
        else:
            dtype = "<u2" if kind == "bf16" else "<" + NUMPY[kind]
        sets[name] = (kind, np.frombuffer(data[:size], dtype).reshape(shape))
        data = data[size:]
    return sets, message, run.returncode


def compare_file(program, path, count, reasons):
    sets, message, status = read_ours(program, path)
    if status < 0 or status > 5:
        print(f"WRONG {path}: ended with status {status}")
        count["WRONG"] += 1
    try:
        theirs = h5py.File(path, "r")
        items = dict(walk(theirs, seen=(h5py.h5o.get_info(theirs.id).addr,)))
    except Exception as e:
        count["files that h5py cannot read"] += 1
        if sets is None:
            count["of these refused"] += 1
        return
    if sets is None:
        count["files refused that h5py opens"] += 1
        reasons["file: " + message.replace(path, "FILE")] += 1
        print(f"refused file {path}: {message.replace(path, 'FILE')}")
        return
    count["files compared"] += 1
    for name, item in items.items():
        shown = "".join(c if ord(c) >= 32 and ord(c) != 127 else "?" for c in name)
        if shown not in sets:
            print(f"WRONG {path} {name}: not listed")
            count["WRONG"] += 1
            continue
        kind, ours = sets.pop(shown)
        if kind == "refused":
            count["refused"] += 1
            reasons[ours.replace(path, "FILE").replace(f"'{name}'", "'NAME'")] += 1
            continue
        try:
            bad = same(ours, NUMPY.get(kind, kind), item) if item is not None else "h5py has no such set"
        except Exception as e:
            bad = f"h5py cannot read it: {e}"
            count["read, and not by h5py"] += 1
            print(f"note {path} {name}: {bad}")
            continue
        count["WRONG" if bad else "equal"] += 1
        if bad:
            print(f"WRONG {path} {name}: {bad}")
    for name, (kind, ours) in sets.items():
        if kind != "refused":
            print(f"WRONG {path} {name}: h5py does not list it")
            count["WRONG"] += 1


def main():
    program, folder = sys.argv[1:3]
    count, reasons = collections.Counter(), collections.Counter()
    try:
        import hdf5plugin  # noqa: F401
    except ImportError:
        pass
    for base, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(base, name)
            with open(path, "rb") as f:
                if b"\x89HDF\r\n\x1a\n" not in f.read(1 << 20):
                    continue
            compare_file(program, path, count, reasons)
    for reason, n in reasons.most_common():
        print(f"{n:6d}  {reason}")
    print(", ".join(f"{k}: {v}" for k, v in count.items()))
    return 1 if count["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
