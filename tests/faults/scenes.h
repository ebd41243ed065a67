/* tests/faults/scenes.h - the commands that are run into faults. What they make is "out" or begins with it. */
#ifndef RT_TESTS_FAULTS_SCENES_H
#define RT_TESTS_FAULTS_SCENES_H

typedef struct {
    const char *name;
    const char *needs;           /* inputs, of those that setup.sh makes */
    const char *command;         /* without --quiet, --threads, --kernels */
    int families;                /* takes --kernels */
    int reads;                   /* changes no file: there is nothing to kill */
} scene;

static const scene scenes[] = {
    {"import-csv", "data.csv", "import data.csv --label -1 --out out.h5 --force", 0, 0},
    {"import-npy", "array.npy", "import array.npy --out out.h5 --force", 0, 0},
    {"import-pictures", "pictures", "import pictures --out out.h5 --force", 0, 0},
    {"label-full", "data.h5 teacher1.h5", "label --teacher teacher1.h5 --data data.h5 --out out.h5", 1, 0},
    {"label-topk", "data.h5 teacher1.h5", "label --teacher teacher1.h5 --data data.h5 --out out.h5 labels.topk=2", 1,
     0},
    {"label-f16", "data.h5 teacher1.h5", "label --teacher teacher1.h5 --data data.h5 --out out.h5 labels.type=f16", 1,
     0},
    {"label-two", "data.h5 teacher1.h5 teacher2.h5",
     "label --teacher teacher1.h5 --teacher teacher2.h5 --data data.h5 --out out.h5 label.bad_rows=mark", 1, 0},
    {"label-program", "data.h5 child_teacher program.json", "label --teacher program.json --data data.h5 --out out.h5",
     0, 0},
    {"label-from", "data.h5 array.npy", "label --from array.npy --classes k0,k1,k2 --data data.h5 --out out.h5", 0, 0},
    {"label-mix", "data.h5 array.npy teacher1.h5 mix.json", "label --teacher mix.json --data data.h5 --out out.h5", 1,
     0},
    {"quantize", "teacher1.h5 data.h5", "quantize teacher1.h5 --data data.h5 --out out.h5 quant.method=mse --force", 1,
     0},
    {"label-quantized", "data.h5 integer1.h5", "label --teacher integer1.h5 --data data.h5 --out out.h5", 1, 0},
    {"train-ce", "data.h5 train.json", "train train.json --out out", 1, 0},
    {"train-kd", "data.h5 labels.h5 train.json",
     "train train.json --out out data.labels=labels.h5 train.optimizer=adamw train.ema=0.9 train.accumulate=2", 1, 0},
    {"train-loop", "data.h5 teacher1.h5 train.json",
     "train train.json --out out teacher=teacher1.h5 augment.mixup=0.2 train.accumulate=3 train.drop_last=false", 1, 0},
    {"train-hints", "data.h5 teacher1.h5 train.json",
     "train train.json --out out teacher=teacher1.h5 loss.hints=[{\"student\":\"relu3\",\"teacher\":\"relu3\"}]", 1, 0},
    {"train-init", "data.h5 teacher1.h5",
     "train --out out init=teacher1.h5 data.source=data.h5 train.epochs=2 train.batch=1000 loss.kind=ce", 1, 0},
    {"train-peer", "data.h5 train.json", "train train.json --out out teacher=peer train.ema=0.9", 1, 0},
    {"train-quant", "data.h5 train.json",
     "train train.json --out out quant.weights=4 quant.freeze=0.7 train.ema=0.9 train.accumulate=2", 1, 0},
    {"run", "data.csv test.csv run.json", "run run.json", 1, 0},
    {"export-npz", "teacher1.h5", "export teacher1.h5 --out out.npz --force", 0, 0},
    {"export-safetensors", "teacher1.h5", "export teacher1.h5 --out out.safetensors --force", 0, 0},
    {"predict-csv", "teacher1.h5 data.h5", "predict teacher1.h5 --data data.h5 --rows 0:1100 --out out.csv --force", 1,
     0},
    {"predict", "teacher1.h5 data.h5", "predict teacher1.h5 --data data.h5 --rows 0:1100 --out out.h5 --force", 1, 0},
    {"export-labels", "labels.h5", "export labels.h5 --out out.npy --force", 0, 0},
    {"export-program", "integer1.h5", "export integer1.h5 --out out.q --force", 0, 0},
    {"export-onnx", "integer1.h5", "export integer1.h5 --out out.onnx --force", 0, 0},
    {"export-c", "integer1.h5", "export integer1.h5 --out out.c --force", 0, 0},
    {"export-c-over", "integer1.h5 out.c out.h out_data.c out.c.json", "export integer1.h5 --out out.c --force", 0, 0},
    {"eval", "teacher1.h5 teacher2.h5 data.h5",
     "eval --teacher teacher1.h5 --student teacher2.h5 --data data.h5 --out out eval.speed=false", 1, 0},
    {"gate", "teacher1.h5 teacher2.h5 test.h5 policy.json",
     "gate --baseline teacher1.h5 --candidate teacher2.h5 --policy policy.json --data test.h5 --out out --force", 1, 0},
    {"gate-init", "teacher1.h5 test.h5", "gate --init teacher1.h5 --data test.h5 --out out.json --force", 1, 0},
    {"import-heads", "heads.csv",
     "import heads.csv --label kind --target weather=wet,cold --target price --out out.h5 --force", 0, 0},
    {"label-heads", "heads.h5 headed.h5", "label --teacher headed.h5 --data heads.h5 --out out.h5 labels.topk=2", 1, 0},
    {"train-heads", "heads.h5 heads.json answers.h5", "train heads.json --out out data.labels=answers.h5", 1, 0},
    {"train-heads-loop", "heads.h5 heads.json headed.h5", "train heads.json --out out teacher=headed.h5", 1, 0},
    {"export-heads", "answers.h5", "export answers.h5 --out out.csv --force", 0, 0},
    {"eval-heads", "headed.h5 answers.h5 heads.h5",
     "eval --teacher answers.h5 --student headed.h5 --data heads.h5"
     " data.targets={\"kind\":\"y\"} --out out eval.speed=false",
     1, 0},
    {"registry-init", "teacher1.h5", "registry init --registry out", 0, 0},
    {"registry-add", "teacher2.h5 out evaluation.json",
     "registry add m teacher2.h5 --eval evaluation.json --registry out", 0, 0},
    {"registry-tag", "out", "registry tag m@2 prod --reason better --registry out", 0, 0},
    {"registry-rm", "out", "registry rm m@2 --registry out", 0, 0},
    {"registry-gc", "out", "registry gc --age 0 --registry out", 0, 0},
    {"registry-import", "out m.tar.gz", "registry import m.tar.gz --registry out", 0, 0},
    {"registry-export", "out", "registry export m@1 --registry out --out out.tar.gz --force", 0, 0},
    {"registry-list", "out", "registry list --registry out", 0, 1},
    {"registry-show", "out", "registry show m@prod --registry out", 0, 1},
    {"registry-predict", "out data.h5",
     "predict m@prod --registry out --data data.h5 --rows 0:100 --out out.csv --force --kernels scalar", 0, 0},
    {"info-answers", "answers.h5", "info answers.h5", 0, 1},
    {"info-data", "data.h5", "info data.h5", 0, 1},
    {"info-labels", "labels.h5", "info labels.h5", 0, 1},
    {"info-quantized", "integer1.h5", "info integer1.h5", 0, 1},
    {"info-model", "teacher1.h5", "info teacher1.h5 --plan 8 --training", 1, 1},
};
enum { SCENES = sizeof scenes / sizeof scenes[0] };
#endif
