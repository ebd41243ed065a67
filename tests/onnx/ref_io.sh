#!/bin/sh
# tests/onnx/ref_io.sh ONNX_PLANNED FOLDER - recorded answers that lie beside models, as ref_io/MODEL/test_data_set_N, through
# planned models: the folder is laid out as ONNX's own tests are, by links, and `onnx_planned --recorded` runs over it.
set -e
planned=$1
root=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find "$root" -type d -path '*/ref_io/*/test_data_set_*' | sort | while read -r set; do
    recorded=$(dirname "$set")
    name=$(basename "$recorded")
    model=$(dirname "$(dirname "$recorded")")/$name.onnx
    [ -e "$model" ] || model=$(find "$(dirname "$(dirname "$recorded")")" -name "$name.onnx" | sort | head -n 1)
    [ -n "$model" ] || { echo "no model for $set" >&2; continue; }
    test="$work/test_$(echo "${recorded#"$root"/}" | tr / _)_${set##*_}"
    mkdir -p "$test"
    ln -s "$model" "$test/model.onnx"
    ln -s "$set" "$test/test_data_set_0"
done
"$planned" --recorded "$work"
