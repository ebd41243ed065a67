"""Two builds of retort's reading against each other and h5py: compressed chunks read in order, rows per CPU-second.

  python3 experiments/peers/read_ab.py --before OLD/read_bench --after build/tests/read_bench [--rounds 5] [--only WORD]

The files, passes and ways of h5py are those of read_speed.py; here the three take turns in one run, A B C A B C, so that what else
the machine does falls on all of them. Medians of the ratios, with their range, go to MEASURED.md.
"""
import argparse
import os
import statistics
import sys
import tempfile

import read_speed as rs


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--before", required=True)
    p.add_argument("--after", required=True)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.3)
    p.add_argument("--only", default="")
    a = p.parse_args()
    u8, f32 = rs.images("u1"), rs.images("f4")
    mib8, mib32 = (1337, 28, 28, 1), (334, 28, 28, 1)
    gzip = dict(compression="gzip", compression_opts=1, shuffle=True)
    cases = [("gzip-1 + shuffle u8", u8, dict(chunks=mib8, **gzip), "seq", 2), ("gzip-1 + shuffle f32", f32, dict(chunks=mib32, **gzip), "seq", 2),
             *rs.codecs(u8, f32, mib8, mib32)]
    print("| data, in order | before, rows/CPU-s | after | h5py | after/before | before/h5py | after/h5py |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for k, (label, data, how, _, _) in enumerate(cases):
            if a.only not in label:
                continue
            path = rs.make(folder, "set%d" % k, data, **how)
            peer = rs.fastest_peer(path, "seq", (128,), None, a.seconds)
            sides = [rs.Retort(b, path, "x", "seq", 128, "raw") for b in (a.before, a.after)] + [peer]
            for s in sides:
                s.rate(a.seconds / 4)
            rounds = [[s.rate(a.seconds) for s in sides] for _ in range(a.rounds)]
            for s in sides[:2]:
                s.close()
            rates = [rs.count(statistics.median(r[i] for r in rounds)) for i in range(3)]
            ratios = [sorted(r[i] / r[j] for r in rounds) for i, j in ((1, 0), (0, 2), (1, 2))]
            print("| %s | %s | %s" % (label, " | ".join(rates), " | ".join(
                "%.2f (%.2f-%.2f)" % (statistics.median(r), r[0], r[-1]) for r in ratios)) + " |", flush=True)
            os.remove(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
