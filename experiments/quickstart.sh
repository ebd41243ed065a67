#!/bin/sh
# The main job on real data, from nothing: installs packages, builds, distils Fashion-MNIST, writes a report.
# A second run goes on where the first one stopped, or finds all done. OUT=folder (default runs/fashion), THREADS=n.
set -e
cd "$(dirname "$0")/.."
sh experiments/packages.sh data
echo "building ..."
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DRETORT_TESTS=OFF -DRETORT_CUDA=off > /dev/null
cmake --build build -j "$(nproc)" --target retort | tail -n 1
exec build/retort run experiments/fashion.json --out "${OUT:-runs/fashion}" ${THREADS:+--threads "$THREADS"}
