# tests/fuzz/seeds.sh - sourced: make_seeds FOLDER RETORT ROOT FUZZ_INPUTS makes small inputs for each target, with the
# programs themselves.
make_seeds() {
    seeds=$1; program=$2; tree=$3; fuzz_inputs=$4
    for t in json config arch names rows seen sinks report idx npy npz csv image exif h5 codec plan model labels journal checkpoint predictions identity program answers onnx onnx_call; do
        mkdir -p "$seeds/$t"
    done
    cp "$tree"/experiments/*.json "$tree"/experiments/peers/models/*.json "$seeds/json"
    cp "$tree"/experiments/peers/models/*.json "$seeds/arch"
    printf '%s' '{"input": [8, 8, 2], "classes": 3, "family": "resnet", "width": 2}' > "$seeds/arch/family"
    printf '%s' '{"input": [6], "classes": 2, "layers": [{"op": "dense", "out": 4, "name": "a"}, {"op": "relu"}, {"op": "concat", "from": ["a", "relu2"]}, {"op": "dense", "out": 2}]}' > "$seeds/arch/list"
    printf '%s' '{"input": [9, 2], "classes": 2, "layers": [{"op": "conv1d", "out": 4, "kernel": 3, "stride": 2, "padding": "same", "groups": 2}, {"op": "batch_norm", "eps": 0.001}, {"op": "max_pool", "kernel": 2}, {"op": "flatten"}, {"op": "reshape", "shape": [2, 4]}, {"op": "global_avg_pool"}, {"op": "dense", "out": 2}]}' > "$seeds/arch/conv"
    printf '%s\n%s' '{"model": {"input": [6], "classes": 3, "family": "mlp"}, "data": {"source": "a.h5", "hard_rows": "0:9", "test": 0.1}, "loss": {"kind": "kd", "temperature": 4}, "teacher": "t.h5", "augment": {"mixup": 0.2}, "train": {"lr": 0.1, "schedule": {"kind": "cosine"}}, "seed": "18446744073709551615"}' 'train.epochs=3' > "$seeds/config/train"
    printf '%s' '{"input": [6], "family": "mlp", "width": 2, "depth": 1, "heads": [{"name": "a", "size": 2, "names": ["u", "v"]}, {"name": "b", "task": "real", "size": 1}, {"name": "c", "task": "multilabel", "size": 3}]}' > "$seeds/arch/heads"
    printf '%s' '{"input": [6], "heads": [{"name": "a", "layer": "h"}, {"name": "t", "task": "real"}], "layers": [{"op": "dense", "out": 4, "name": "h"}, {"op": "dense", "out": 2, "name": "t"}]}' > "$seeds/arch/layers"
    printf '%s' '{"model": {"input": [6], "family": "mlp", "heads": [{"name": "k", "size": 3}, {"name": "p", "task": "real", "size": 1}, {"name": "t", "task": "multilabel", "size": 2}]}, "data": {"source": "a.h5", "targets": {"k": "y", "p": {"source": "b.h5", "set": "q", "column": 3}}}, "loss": {"k": {"kind": "kd"}, "p": {"kind": "huber", "delta": 0.5}, "t": {"temperature": 2}}, "teacher": "t.h5", "train": {"monitor": "p.mae", "patience": 3}}' > "$seeds/config/heads"
    printf '%s' '{"input": "a.csv", "label": "k", "targets": {"price": "p", "more": ["q", "r"]}}' > "$seeds/config/targets"
    printf '%s\n%s' '{"teacher": ["a.h5", "b.h5"], "data": {"source": "x.h5", "rows": "5:"}, "labels": {"topk": 5, "type": "f16"}}' 'label.bad_rows=mark' > "$seeds/config/label"
    printf '%s' '{"input": "a.csv", "label": "k", "separator": "tab", "classes": "a,b", "drop": ["x", "y"], "size": [5, 7], "channels": 1}' > "$seeds/config/import"
    printf '%s' '{"teacher": "t.h5", "students": ["a.h5", ["b.h5", "c.h5"]], "data": {"source": "x.h5"}, "names": ["a", "b", "c"], "eval": {"latency_samples": 700}}' > "$seeds/config/eval"
printf '%s' '{"format": "retort-policy-1", "mode": "proven", "baseline": "xxh128:00112233445566778899aabbccddeeff", "limits": [{"metric": "recall", "class": "*", "max_drop": 0.1, "min_rows": 9}, {"metric": "accuracy", "slice": "c=*", "max_drop_rel": 0.1}, {"metric": "nfr", "max": 0.1}, {"metric": "accuracy", "min": 0.9}, {"metric": "latency_p99", "max_us": 5}], "waivers": [{"limit": "recall class=6", "until": "2027-01-31", "reason": "r"}], "speed": {"seconds": 1}}' > "$seeds/config/policy"
    printf '%s' '{"a": ["cat", "dog", "\u00e4"], "b": ["dog", "\u00e4", "cat"]}' > "$seeds/names/three"
    printf '%s' '{"a": [], "b": null}' > "$seeds/names/none"
    printf '%s' '{"rows": "10:900", "test": 0.25, "test_seed": 7}' > "$seeds/rows/part"
    printf '%s' '{"seen": [{"by": "self", "data": "data", "source_rows": 1000, "rows": {"range": "0:600", "test": 0.2, "test_seed": 3, "validation": {"range": "0:500", "part": 60, "seed": 5}}}, {"by": "init", "model": "x", "unknown": true}]}' > "$seeds/seen/two"
    { printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 3), }"; head -c 72 /dev/zero; } > "$seeds/answers/logits"
    { printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '>i2', 'fortran_order': False, 'shape': (6,), }"; printf '\0\1\0\2\377\377\0\0\0\1\0\2'; } > "$seeds/answers/classes"
    { printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '<f2', 'fortran_order': False, 'shape': (6, 1), }"; printf '\0\074\0\074\0\074\0\074\0\074\0\074'; } > "$seeds/answers/one"
    printf '%s' '{"teacher": {"command": ["a", "b"], "version": "1", "classes": ["u", "v"], "gives": "probabilities", "normalize": {"mean": [1, 2], "std": [3, 4]}, "columns": ["c"], "batch": 9}, "data": {"source": "x.h5"}}' > "$seeds/config/program"
    printf '%s' '{"teacher": {"mix": "best", "teachers": ["a.h5", {"from": "f.h5:z", "id": "k", "heads": [{"name": "a", "size": 2}]}, {"file": "b.h5"}], "validation": {"source": "v.h5", "rows": "0:9"}}, "data": {"source": "x.h5"}}' > "$seeds/config/mix"
    printf '=1+1 <b>"\140x\140" |a| [l](http://x) \033[2J\302\233\342\200\256 \377\303\244 -1.5' > "$seeds/sinks/all"
    printf '%s' '[{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1e17}, {"epoch": 1e17, "loss": null}]' > "$seeds/report/curve"
    printf '\0\0\010\003\0\0\0\002\0\0\0\002\0\0\0\003abcdefghijkl' > "$seeds/idx/images"
    printf '\0\0\010\001\0\0\0\002\005\001' > "$seeds/idx/labels"
    gzip -c "$seeds/idx/images" > "$seeds/idx/images.gz"
    awk 'BEGIN { srand(1); for (i = 0; i < 40; i++) { for (k = 0; k < 6; k++) printf "%d,", rand() * 200; print "c" i % 3 } }' > "$seeds/csv/plain"
    printf 'a,b,"the ""class"""\n1.5,-2e3,x\n3,4,y\n' > "$seeds/csv/header"
    printf 'II*\0\010\0\0\0\001\0\022\001\003\0\001\0\0\0\006\0\0\0\0\0\0\0' > "$seeds/exif/turned"
    find "$tree/tests/data/samples/arrays" -name '*.npz' -size -8k -exec cp {} "$seeds/npz" \;
    find "$tree/tests/data/samples/arrays" -name '*.npy' -size -8k -exec cp {} "$seeds/npy" \;
    find "$tree/tests/data/samples/pictures" '(' -name '*.png' -o -iname '*.jp*g' ')' -size -8k -exec cp {} "$seeds/image" \;
    find "$tree/tests/data/samples" -name '*.h5' -size -24k -exec cp {} "$seeds/h5" \;
    printf '\0\4\0\0\0\20\0\0\0\0\0\0\0\20\0\0\0\20\0\0\0\20abcdefghijklmnop' > "$seeds/codec/lz4_stored"
    printf '\0\4\0\0\0\40\0\0\0\0\0\0\0\40\0\0\0\40\0\0\0\13\037a\1\0\7\120abcde' > "$seeds/codec/lz4"
    printf '\2\4\1\0\0\44abcdefghijklmnopqrstuvwxyz0123456789' > "$seeds/codec/bits"
    printf '\2\4\0\1\0\44\0\0\0\0\0\0\0\44\0\0\0\40\0\0\0\13\037a\1\0\7\120abcdewxyz' > "$seeds/codec/bits_lz4"
    printf '\1\4\0\0\0\40\050\265\057\375\040\40\1\1\0abcdefghijklmnopqrstuvwxyz012345' > "$seeds/codec/zstd"
    cp "$tree"/tests/onnx/samples/*.onnx "$tree"/tests/onnx/quantized/*.onnx "$seeds/onnx"
    for f in "$tree"/tests/onnx/samples/*.onnx; do "$fuzz_inputs" calls "$f" "$seeds/onnx_call/$(basename "$f" .onnx)" || return 1; done
    printf '%s' '{"op": "Conv", "domain": "", "opset": 11, "attributes": {"pads": {"ints": [1, 0]}, "auto_pad": {"string": "NOTSET"}}, "inputs": [{"type": "float32", "shape": [1, 2, 5]}, {"type": "float32", "shape": [3, 2, 2]}, null], "outputs": 1, "output": 0}' > "$seeds/onnx_call/conv"
    printf '%s' '{"op": "Where", "domain": "", "opset": 16, "attributes": {}, "inputs": [{"type": "bool", "shape": [2]}, {"type": "int64", "shape": [2], "data": "AQAAAAAAAAACAAAAAAAAAA=="}, {"type": "int64", "shape": [2, 1]}], "outputs": 1, "output": 0}' > "$seeds/onnx_call/where"
    printf '%s' '{"op": "LabelEncoder", "domain": "ai.onnx.ml", "opset": 2, "attributes": {"keys_floats": {"floats": [1, 2]}, "values_int64s": {"ints": ["9223372036854775807", 3]}}, "inputs": [{"type": "float32", "shape": [1, 2]}], "outputs": 1, "output": 0}' > "$seeds/onnx_call/label"
    printf '0 1234abcd 00000000\n1 deadbeef 00000000\nsync failed: Input/output error\n' > "$seeds/journal/two"
    printf 'set x f32 100x4 16\n0 00112233445566778899aabbccddeeff\n7 ffeeddccbbaa99887766554433221100\nset y u8 3 1\n0 00112233445566778899aabbccddeeff\n' > "$seeds/identity/two"
    printf '%s\0\0\1\1\1\1\1\1\1\1\1' '{"batches": 3, "history": []}' > "$seeds/checkpoint/state"
    printf '%s\0\1' '{"checkpoints": [{"file": "checkpoint-00000001.h5", "size": 3, "xxh128": "00112233445566778899aabbccddeeff"}]}' > "$seeds/checkpoint/list"
    printf '%s\0' '{"arch": {"input": [6], "classes": 2, "layers": [{"op": "dense", "out": 2, "name": "a"}]}, "normalization": {"mul": [1], "add": [0]}, "classes": ["u", "v"], "columns": ["a", "b", "c", "d", "e", "f"], "provenance": {"seen": []}}' > "$seeds/model/small"
    printf '%s\0' '{"arch": {"input": [6, 6, 2], "classes": 2, "layers": [{"op": "conv2d", "out": 4, "kernel": 3, "padding": 1}, {"op": "batch_norm"}, {"op": "relu"}, {"op": "global_avg_pool"}, {"op": "dense", "out": 2}]}, "normalization": {"mul": [1], "add": [0]}}' > "$seeds/model/conv"
    printf '%s\0' '{"arch": {"input": [6, 6, 2], "classes": 2, "layers": [{"op": "conv2d", "out": 4, "kernel": 3, "padding": 1, "name": "c"}, {"op": "relu", "name": "r"}, {"op": "conv2d", "out": 4, "kernel": 3, "padding": 1, "name": "d"}, {"op": "conv2d", "out": 4, "kernel": 3, "padding": 1, "share": "d", "name": "e"}, {"op": "flatten"}, {"op": "dense", "out": 2, "name": "o"}]}, "normalization": {"mul": [1], "add": [0]}, "quantization": {"contract": 1, "input": "u8", "activations": 8, "weights": {"c": 8, "d": 4, "o": 8}, "ranges": ["r", "d", "e"], "shifts": true}}' > "$seeds/model/quantized"
    printf '%s\0' '{"arch": {"input": [6], "heads": [{"name": "k", "layer": "a"}, {"name": "p", "task": "real", "layer": "b"}], "layers": [{"op": "dense", "out": 2, "name": "a"}, {"op": "dense", "out": 1, "name": "b", "from": "input"}]}, "normalization": {"mul": [1], "add": [0]}, "heads": [{"name": "k", "task": "classes", "size": 2, "names": ["u", "v"]}, {"name": "p", "task": "real", "size": 1}]}' > "$seeds/model/heads"
    printf '%s\0\1\1\0\0\2\1' '{"labels": {"first_row": 0, "rows": 2, "heads": [{"name": "k", "size": 2}, {"name": "t", "task": "multilabel", "size": 2}, {"name": "p", "task": "real", "size": 1}], "coding": "full", "type": "f32"}, "source": {"dataset": "x", "type": "f32", "shape": [2, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/heads"
    printf '%s\0\1\1\0\0\0\1' '{"classes": ["a", "b"], "labels": {"first_row": 0, "rows": 2, "classes": 2, "coding": "full", "type": "f32"}, "source": {"dataset": "x", "type": "f32", "shape": [2, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/full"
    printf '%s\0\1\1\1\0\1\1' '{"labels": {"first_row": 4, "rows": 2, "classes": 2, "coding": "topk", "topk": 1, "type": "f16"}, "source": {"dataset": "x", "type": "f32", "shape": [9, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/top"
    printf '%s\0\1\1\0\0\14\1' '{"labels": {"first_row": 0, "rows": 2, "classes": 2, "coding": "full", "type": "q8", "columns": ["hard", "confidence", "margin", "entropy"]}, "source": {"dataset": "x", "type": "f32", "shape": [2, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/q8"
    printf '%s\0\1\1\0\0\20\1' '{"labels": {"first_row": 0, "rows": 2, "classes": 2, "coding": "hard", "columns": ["hard", "confidence"]}, "source": {"dataset": "x", "type": "f32", "shape": [2, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/hard"
    printf '%s\0\1\1\0\0\040\0\1' '{"labels": {"first_row": 0, "rows": 2, "classes": 2, "coding": "full", "type": "f32"}, "source": {"dataset": "x", "type": "f32", "shape": [2, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/hand"
    printf '%s\0\1\1\0\0\100\1' '{"labels": {"first_row": 0, "rows": 2, "classes": 2, "coding": "full", "type": "f32", "features": [{"name": "f", "width": 2, "type": "f16"}]}, "source": {"dataset": "x", "type": "f32", "shape": [2, 3], "span_rows": 16, "first_span": 0}}' > "$seeds/labels/features"
    of='"model": "m", "model_digest": "00112233445566778899aabbccddeeff", "data": "d.h5", "data_digest": "00112233445566778899aabbccddeeff", "kernels": "avx2", "tool": "retort", "rows_seen_in_training": 0'
    printf '{"format": "retort-predictions-1", "predictions": {%s, "rows": 4, "id": "hash of the row", "id_is_hash": true, "topk": 0, "heads": [{"name": "k", "size": 3}], "slices": [{"name": "land", "set": "slices/land"}]}}\0\0abcdefghijklmnopqrstuvwxyz0123456789' "$of" > "$seeds/predictions/plain"
    printf '{"format": "retort-predictions-1", "predictions": {%s, "rows": 3, "id": "uid", "id_is_hash": false, "topk": 2, "heads": [{"name": "k", "size": 3, "names": ["a", "b", "c"]}], "slices": []}}\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0aaaabbbbccccdddd' "$of" > "$seeds/predictions/top"
    printf '{"format": "retort-predictions-1", "predictions": {%s, "rows": 2, "id": "hash of the row", "id_is_hash": true, "topk": 0, "heads": [{"name": "k", "size": 2}, {"name": "t", "task": "multilabel", "size": 2}, {"name": "p", "task": "real", "size": 1}], "slices": [{"name": "x", "set": "slices/column 0"}]}}\0\0rows and their hashes, and more of them' "$of" > "$seeds/predictions/heads"
    (cd "$seeds" && "$program" import csv/plain --label -1 --out h5/data --format csv --quiet > /dev/null &&
        echo '{"model": {"input": [6], "classes": 3, "family": "mlp", "width": 4, "depth": 1}, "data": {"source": "h5/data", "validation": 0}, "train": {"epochs": 1, "batch": 8}}' > model.json &&
        "$program" train model.json --out run --quiet > /dev/null && cp run/model.h5 h5/model &&
        "$fuzz_inputs" program run/model.h5 program/mlp &&
        echo '{"model": {"input": [6], "heads": [{"name": "y", "size": 3}, {"name": "z", "size": 3}], "layers": [{"op": "reshape", "shape": [3, 2, 1]},
            {"op": "conv2d", "out": 4, "kernel": 2, "padding": 1}, {"name": "s", "op": "silu"}, {"op": "conv2d", "out": 4, "kernel": 3, "padding": 1, "groups": 4},
            {"name": "r", "op": "relu"}, {"name": "a", "op": "add", "from": ["r", "s"]}, {"op": "max_pool", "kernel": 2, "stride": 1}, {"op": "avg_pool", "kernel": 2, "stride": 1},
            {"name": "f", "op": "flatten"}, {"name": "y", "op": "dense", "out": 3}, {"name": "z", "op": "dense", "out": 3, "from": "f"}]},
            "data": {"source": "h5/data", "validation": 0, "targets": {"z": "y"}}, "train": {"epochs": 1, "batch": 8}}' > conv.json &&
        "$program" train conv.json --out conv --quiet > /dev/null && "$fuzz_inputs" program conv/model.h5 program/conv && rm -rf conv conv.json &&
        "$program" label --teacher run/model.h5 --data h5/data --out h5/labels --quiet > /dev/null &&
        "$program" label --teacher run/model.h5 --data h5/data --out h5/top --quiet labels.topk=2 > /dev/null &&
        "$program" export h5/labels --out npy/logits.npy --quiet > /dev/null &&
        "$program" export run/model.h5 --out npz/weights.npz --quiet > /dev/null && rm -rf run model.json) || return 1
    for f in "$seeds"/h5/*; do "$fuzz_inputs" record "$f" "$seeds/plan/$(basename "$f")" || return 1; done
}
