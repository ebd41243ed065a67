#!/bin/sh
# tests/valgrind.sh BUILD ROOT - memory errors and definite leaks of test programs without long numerics, and of a short chain
# of commands, in the scalar family (valgrind knows no AVX-512).
build=$1
tmp=$(mktemp -d) || exit 4
trap 'rm -rf "$tmp"' EXIT
export RETORT_KERNELS=scalar
failed=0 run=0
check() {
    run=$((run + 1))
    valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=yes \
        --log-file="$tmp/log" "$@" > "$tmp/out" 2>&1
    code=$?
    [ ! -s "$tmp/log" ] && [ $code -eq 0 ] && return
    echo "valgrind: exit $code: $*"
    head -n 40 "$tmp/log"
    tail -n 5 "$tmp/out"
    failed=1
}
for t in test_json test_names test_targets test_labels test_label_damage test_label_heads test_rows test_source test_identity \
         test_import_csv test_import_images test_import_arrays test_provenance test_quantizers test_optimizer test_losses test_heads \
         test_evaluator test_votes test_select; do
    check "$build/tests/$t"
done
cd "$tmp" || exit 4
awk 'BEGIN { srand(3); for (i = 0; i < 200; i++) { c = i % 3; print rand() + (c == 0) "," rand() + (c == 1) "," rand() + (c == 2) ",k" c } }' > d.csv
echo '{"model": {"input": [3], "classes": 3, "family": "mlp", "width": 4, "depth": 1}, "data": {"source": "d.h5"}, "train": {"epochs": 2}}' > t.json
echo '{"model": {"input": [3], "family": "mlp", "width": 4, "depth": 1, "heads": [{"name": "y", "size": 3}, {"name": "z", "size": 3}]},
 "data": {"source": "d.h5", "targets": {"z": "y"}}, "train": {"epochs": 2}}' > h.json
retort=$build/retort
check "$retort" import d.csv --label -1 --out d.h5
check "$retort" train t.json --out T --threads 2
check "$retort" label --teacher T/model.h5 --data d.h5 --out L.h5
check "$retort" train t.json --out S data.labels=L.h5
check "$retort" eval --teacher T/model.h5 --student S/model.h5 --data d.h5 --out E eval.speed=false
check "$retort" predict S/model.h5 --data d.h5 --out p.csv
check "$retort" export S/model.h5 --out w.npz
check "$retort" train h.json --out H --threads 2
check "$retort" label --teacher H/model.h5 --data d.h5 --out A.h5
check "$retort" train h.json --out G data.labels=A.h5
check "$retort" eval --teacher A.h5 --student G/model.h5 --data d.h5 --out F eval.speed=false 'data.targets={"z":"y"}'
check "$retort" export A.h5 --out a.csv
check "$retort" info A.h5
check "$retort" info d.h5
check "$retort" info S/model.h5 --plan 8 --training
check "$retort" quantize S/model.h5 --data d.h5 --out q.h5 quant.method=mse quant.calibrate=200
check "$retort" label --teacher q.h5 --data d.h5 --out Q.h5
check "$retort" info q.h5 --stages --training
for form in q onnx c; do check "$retort" export q.h5 --out net.$form; done
[ $failed -eq 0 ] && echo "valgrind: $run runs, nothing found"
exit $failed
