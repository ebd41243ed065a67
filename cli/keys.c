/* cli/keys.c - the configuration's keys: help, manual pages, completions and README's reference are written from these
 * tables, and a test holds them against what the readers take. Defaults that depend on another key name it. */
#include "cli/cli.h"

#define DATA_SOURCE \
    { \
        "data.source", "", \
            "the data file; or several behind each other: a pattern of names (\"shards/x-*.h5\"), in the order of " \
            "their bytes, or a list of files and patterns. Required" \
    }
#define ELSEWHERE "; or {\"source\", \"set\"} where they lie elsewhere, as many rows as the data"
#define DATA_X \
    {"data.x", "x", "the data set in it; of a model of several inputs {\"INPUT\": \"data set\"}, with {\"source\", " \
     "\"set\"} in place of a set in another file, and without this key the sets of the inputs' names"}
#define DATA_NAMES \
    {"data.names", "match", \
     "match: classes and columns are matched by name; position: number i is number i, whatever " \
     "the names"}
#define DATA_CHECK \
    {"data.check", "known", "known: what DATA.retort-id says of the content is believed while size, times and inode " \
                            "are the same; full: all is hashed again"}
#define DATA_TARGETS \
    { \
        "data.targets", "each head's name", \
            "{\"HEAD\": \"SET\"}, or {\"HEAD\": {\"source\", \"set\", \"column\"}}: where a head's targets lie. " \
            "Labels are 0, 1 or -1 (not known), values numbers, NaN where there is none. \"\" in place of a set: " \
            "no targets" \
    }
#define DATA_ID \
    {"data.id", "none", \
     "what rows are called: a data set of as many rows, or a column of x, of texts or whole numbers, each once. " \
     "Without it a row is called by the XXH3-128 of its bytes"}
#define DATA_SLICES {"data.slices", "none", "a list of columns that rows are grouped by, as data.id names one"}

#define DATA_POLICY \
    {"data.policy", "none", \
     "which rows of the label store are chosen, a file or {\"confidence\": {\"min\", \"max\"}, \"margin\", " \
     "\"entropy\": {the same}, \"per_class\": {\"min\", \"median_capped\", \"top\", \"quota\"}, \"balance\", " \
     "\"weights\": {\"classes\", \"confidence\"}, \"choose\", \"temperature\", \"allow_empty\"}"}
#define DATA_ROWS {"data.rows", "all", "rows of the source, as first:end"}
#define DATA_TEST \
    {"data.test", "0", \
     "share or count of rows drawn for a test: training never touches them, evaluation is about them " \
     "alone"}, \
        {"data.fold", "none", \
         "i/n, in place of data.test: fold i (0 to n - 1) of n equal ones, drawn by the same seed; training never " \
         "touches it, evaluation and prediction are about it alone"}, \
        {"data.fold_by", "drawn", \
         "with fold: a file that tells each row's fold, FILE (its set fold) or {\"source\", \"set\", \"digest\"}: u8 " \
         "of all rows, 255 for none; as clean --folds writes it"}, \
    { \
        "data.test_seed", "1", "seed of that draw" \
    }
#define QUANT_BITS \
    {"quant.weights", "8", "bits of weights, 4 to 8"}, \
        {"quant.activations", "8", "bits of what layers give; 8 alone"}, \
        {"quant.first", "8", "bits of the weights of layers that read the input"}, \
        {"quant.last", "8", "bits of the weights of layers that give a head's answer"}, \
        {"quant.layers", "none", "{\"NAME\": {\"weights\": BITS}}: bits of single layers, before the others"}
#define QUANT_INPUT \
    {"quant.input", "auto", \
     "u8: the model takes bytes as they are in the data; f32: it takes normalised floats; auto: bytes where the data " \
     "are bytes and the model can take them"}

#define PRECISION "fp32", "fp32, tf32 or bf16: on cards, to how many bits factors of products are rounded (not at " \
    "all, 10, 7); weights, sums, statistics and losses are fp32 in all of them. The CPU computes in fp32"

const cli_key cli_train_keys[] = {
    {"model", "",
     "{\"input\": [28, 28, 1], \"classes\": 10, \"family\": \"cnn\", \"width\": 16, \"depth\": 3}, or with "
     "\"layers\": [...] in place of a family; 'retort help layers' lists them. Families: mlp, cnn, resnet, "
     "dscnn, conv1d"},
    {"model.input", "", "shape of a row; required"},
    {"model.inputs", "none",
     "[{\"name\", \"shape\", \"type\"}] in place of input: layers name the inputs that they take by \"from\"; "
     "\"type\": \"i32\" is of ids, for an embedding. data.x tells "
     "where the rows of each lie"},
    {"model.classes", "", "outputs of the last layer: short for one head of classes, y; required without heads"},
    {"model.heads", "none",
     "what the model answers: [{\"name\", \"task\": \"classes\"|\"multilabel\"|\"real\", \"size\", \"layer\", "
     "\"names\"}]. The layer is that of the head's name, or of a single head the last; "
     "a family ends with a dense layer for each"},
    {"model.family", "none", "writes the list of layers: mlp, cnn, resnet, dscnn or conv1d"},
    {"model.width", "mlp, dscnn 64; cnn, resnet 16; conv1d 32", "channels of the first stage, or units"},
    {"model.depth", "mlp 2; cnn, conv1d 3; resnet 1; dscnn 4", "stages or layers"},
    {"model.convs", "1", "cnn, conv1d: convolutions a stage"},
    {"model.dropout", "0", "family: rate before the last layer"},
    {"model.activation", "relu", "family: relu, gelu, silu, ..."},
    {"model.layers", "", "the list of layers, in place of a family"},
    {"init", "none", "a model file to start from, in place of model; an ONNX file, too"},
    {"heads", "none",
     "with init: heads in place of some of its own, on the same features: [{\"replace\": HEAD, \"name\", \"task\", "
     "\"size\", \"names\", \"from\": a layer}]; what is left out is as it was"},
    {"teacher", "none",
     "a model file, a list (an ensemble), or a specification, that labels each augmented view; 'retort help teachers'; "
     "or \"peer\": a second student that learns in the same run, each one the other's teacher"},
    {"peer", "the same model",
     "with teacher \"peer\": what differs in the second student, {\"model\" or \"init\", \"init_seed\"}; its folder is "
     "OUT/peer"},
    {"seed", "1", "of everything random"},
    {"init_seed", "seed; of a peer one more", "of first weights and dropout alone"},
    DATA_SOURCE,
    DATA_X,
    {"data.y", "y",
     "classes; -1 is no label, and such a row learns from the teacher alone. The default only where "
     "there is one" ELSEWHERE},
    DATA_TARGETS,
    {"data.labels", "none",
     "a label store, in place of a teacher; {\"source\", \"set\"}: logits of each row, (rows, classes), short for "
     "teacher={\"from\": \"SOURCE:SET\"}"},
    DATA_POLICY,
    {"data.policy_labelled", "keep",
     "rows with a label of the data that is learnt from: keep: they stay, and the policy chooses among the others; "
     "choose: among all"},
    DATA_ROWS,
    {"data.mask", "none",
     "a file whose data set \"keep\" has a number for each row of the source, 0 where it is left out, as 'retort "
     "clean' writes it, or a pattern or list of such; or {\"source\", \"set\"}. Neither trained nor validated on"},
    {"data.hard_rows", "all", "first:end: only there are labels looked at, and validation rows drawn"},
    {"data.validation", "0.1",
     "share or count, drawn by seed among labelled rows; the best epoch on it is kept, the "
     "earliest of equal ones. Where no row has a label, the teacher's answers take their "
     "place"},
    DATA_TEST,
    DATA_NAMES,
    DATA_CHECK,
    {"data.normalize", "auto",
     "auto, channel, all, none, or {\"mean\": [...], \"std\": [...]}; auto is channel, and all "
     "for flat rows of bytes; {\"INPUT\": one of these} for several inputs"},
    {"loss.kind", "ce, kd with a teacher; multilabel bce, bkd with a teacher; real mse",
     "classes: ce, kd, dkd, dist, zscore or mse; multilabel: bce or bkd; real: mse, huber or quantile. Each of "
     "several heads has its own \"loss\": {\"HEAD\": {\"kind\", ...}}"},
    {"loss.hard", "ce, dkd, dist, bce 1; kd, zscore, mse, bkd 0.1; real 1, with a teacher 0.1; with a peer 1",
     "weight of the loss with labels or targets"},
    {"loss.soft", "kd, mse, bkd 0.9; dkd, dist 1; zscore 9; real 0.9", "weight of the teacher's part"},
    {"loss.temperature", "kd, dkd 4; zscore 2; dist, bkd 1", "both logits are divided by it"},
    {"loss.delta", "1", "huber: the error at which the loss becomes linear"},
    {"loss.level", "0.5", "quantile: the share of targets that should lie below the answer"},
    {"loss.label_smoothing", "0", "share of the label that is spread over all classes"},
    {"loss.hard_mean", "batch",
     "what the loss with labels is divided by: batch (all its rows) or labelled (those with a "
     "label)"},
    {"loss.class_weight", "none",
     "of the cross-entropy: a list with a number for each class, or balanced (labelled rows / "
     "(classes x rows of the class), as scikit-learn). With hard_mean labelled it is divided by "
     "the rows' weights, as PyTorch's weight; else by the rows, as Keras' class_weight"},
    {"loss.focal.alpha", "1",
     "kd, dkd, zscore, mse with \"focal\": {}: the teacher's part of a row is times alpha + beta where the teacher is "
     "right, alpha elsewhere (Yan et al. 2021): with the model that is to be replaced as the teacher, fewer rows flip"},
    {"loss.focal.beta", "5", "see loss.focal.alpha"},
    {"loss.alpha", "1", "dkd: weight of the target class's part"},
    {"loss.beta", "dkd 8; dist 1", "dkd: weight of the other classes' part; dist: of the relation between classes"},
    {"loss.gamma", "1", "dist: weight of the relation within a class"},
    {"loss.warmup", "20", "dkd: epochs over which its weight rises"},
    {"loss.target", "label", "dkd: label or teacher. A row without a label has the teacher's answer in its place"},
    {"loss.hints", "none",
     "[{\"student\": layer, \"teacher\": layer, \"weight\": 1}]: feature hints; of a label store its features"},
    {"augment.flip", "false", "images: mirrored left to right, half of them"},
    {"augment.shift", "0", "images: moved by up to so many pixels"},
    {"augment.erase", "0", "images: probability that a rectangle becomes the mean"},
    {"augment.mixup", "0", "Beta(a, a) mixtures of two rows; 0: none"},
    {"augment.input", "the only image", "of several inputs, which is flipped, shifted and erased; mixup mixes all"},
    {"augment.views", "0, or what the label store keeps",
     "how many views of each row there are: epoch e shows view e mod views; 0: another one each epoch, and of a label "
     "store the labels of rows as they are"},
    {"augment.seed", "the run's seed", "of the views; that of the label store, where it keeps some"},
    {"train.epochs", "20", "passes over the training rows"},
    {"train.batch", "128", "rows a step"},
    {"train.drop_last", "true", "an epoch's last batch is left out when it is not full"},
    {"train.accumulate", "1", "batches whose gradients make one update"},
    {"train.optimizer", "sgd", "sgd or adamw"},
    {"train.lr", "sgd 0.05; adamw 0.001", "peak of the learning rate"},
    {"train.weight_decay", "sgd 5e-4; adamw 0.01", "of weights"},
    {"train.decay_all", "false", "biases and norms decay, too"},
    {"train.momentum", "0.9", "sgd"},
    {"train.nesterov", "false", "sgd"},
    {"train.beta1", "0.9", "adamw"},
    {"train.beta2", "0.999", "adamw"},
    {"train.eps", "1e-8", "adamw"},
    {"train.schedule", "cosine", "constant, cosine, step or one_cycle"},
    {"train.warmup", "0", "epochs in which the learning rate rises"},
    {"train.final_lr", "0", "cosine, one_cycle: where it ends"},
    {"train.milestones", "", "step: the epochs at which it falls; required there"},
    {"train.step_gamma", "0.1", "step: by what it is multiplied there"},
    {"train.monitor", "accuracy; multilabel micro_f1; real rmse",
     "the metric on the validation rows by which the best epoch is chosen, of several heads HEAD.METRIC (the first "
     "head's by default); 'retort help metrics' lists them"},
    {"train.patience", "0", "epochs without a better one after which training stops; 0: never"},
    {"train.clip", "0", "largest norm of the gradient; 0: none"},
    {"train.freeze", "none",
     "layers whose weights stay: names, or patterns such as \"conv1*\"; a batch norm that is frozen uses its running "
     "statistics"},
    {"train.fields", "none",
     "[{\"match\", \"lr_scale\", \"grad_scale\", \"weight_decay\", \"low\"}]: weights that are trained "
     "otherwise. match is the name of a layer or of its weights (conv1, conv1.weight) or a pattern such as "
     "\"*.bias\"; lr_scale and grad_scale are factors of train.lr and of the gradient (before train.clip), "
     "weight_decay stands in place of train.weight_decay, low is the least value that an update leaves. Of several "
     "that match, the last that gives a key holds"},
    {"train.ema", "0", "decay of the weights' average that is validated and kept; 0: none"},
    {"train.shuffle_window", "0",
     "how many blocks of rows are mixed with each other: of compressed data its chunks, of other data 1 MiB, for "
     "disks that are slow at single rows. 0: all rows, of compressed data as many blocks as memory holds. The "
     "result's \"order\" says what was mixed, \"mixing\" how well"},
    {"train.checkpoint_every", "1", "epochs"},
    {"train.checkpoint_seconds", "60", "0: at the ends of epochs alone"},
    {"train.prefetch", "4", "batches read ahead; speed only"},
    {"train.readers", "1", "threads that read; speed only"},
    {"train.precision", PRECISION},
    {"quant", "none",
     "quantization-aware training, also with {}: the run gives a model of integers, which each epoch's validation "
     "asks as it is deployed"},
    QUANT_BITS,
    {"quant.method", "lsq",
     "steps of weights. lsq: below 8 bits they are trained, at 8 they fit the greatest weight; minmax: they fit it at "
     "any; mse: what keeps the squared error least, found at the begin of each epoch, and ranges stay as calibrated"},
    {"quant.calibrate", "300", "training rows that the first ranges come from"},
    {"quant.warmup", "half of train.epochs; with init 0", "epochs in float before"},
    {"quant.freeze", "0.95",
     "the share of the run after which ranges and batch norms stand, and rows go forward through the integer program, "
     "without dropout. The run goes on from the average of the weights (train.ema), with norms' statistics of up to "
     "2,048 training rows. Early, at a high rate, training may diverge, which is said; 1: never"},
    {"quant.step_lr", "0.1", "lsq: factor of the learning rate of steps"},
    QUANT_INPUT,
    {NULL, NULL, NULL}};

/* Of a specification of a teacher(teacher/spec.h). */
const cli_key cli_teacher_keys[] = {
    {"file", "", "a model or a label store; the keys from here to seconds are of an ONNX file alone"},
    {"inputs", "none",
     "{NAME: {\"set\", \"shape\", \"layout\", \"resize\", \"crop\", \"scale\", \"mean\", \"std\"}}: what stands "
     "for an input: the name of it in data.x; the shape of a row as the model has it, where the file leaves it "
     "open (without it the data's rows tell it); hwc (images have their channels last in the data) or chw; rows "
     "become (x scale - mean) / std, each a number or one for each channel, 1, 0 and 1 where it is not given. "
     "NAME: \"ids != 0\" is a mask of the input ids, NAME: a number this number everywhere. resize: [H, W], or "
     "the length of the shorter side, bilinear as PyTorch has it with align_corners=False (half-pixel centres) "
     "and without antialias, not rounded; crop: [H, W], the middle of it, as torchvision's CenterCrop. Views "
     "(flip, shift, erase) are made of the data's image before"},
    {"output", "the only one of a row of numbers", "the output that answers, or a value inside of the graph"},
    {"outputs", "none",
     "{NAME: {\"head\", \"task\", \"gives\", \"classes\"}} in place of output, task, gives and classes: several "
     "heads. head: "
     "its name, NAME if not given; task: classes, multilabel or real"},
    {"task", "classes; of values and embeddings real", "classes, multilabel (a sigmoid for each label) or real"},
    {"features", "none",
     "[NAME] or {FEATURE: NAME}: values inside of the graph that loss.hints may name as the teacher's layers, images "
     "with "
     "their channels last"},
    {"data_root", "the file's own folder", "where external data lies, through links too"},
    {"shorter", "true",
     "rows of ids that end early go through plans of 8, 12, 16, 24, ... ids, where the file leaves the length open and "
     "padding is found to change no answer ('retort info' says it); false: all take the whole length"},
    {"memory", "1024, and 16 for each MiB", "MiB that an import may take; a small file may generate large weights"},
    {"seconds", "4, and one for each MiB", "of computing that an import may take"},
    {"command", "",
     "a program and its arguments, started without a shell; sought in PATH where it has no '/'. It reads "
     "NPY arrays of `batch` rows on its standard input and answers each with an array (batch, outputs) of "
     "f16, f32 or f64 on its standard output; what it says on its standard error is shown"},
    {"version", "", "required of a command: with the content of the files in it, what it is known by"},
    {"classes", "", "names of the classes that are answered, or how many; of a command this or heads is required"},
    {"heads", "none", "in place of classes: [{\"name\", \"task\", \"size\", \"names\"}], side by side in an answer"},
    {"gives", "logits",
     "logits or probabilities (which become log max(p, 1e-30), of labels less log max(1 - p, 1e-30)); of answers in a "
     "file "
     "also classes: whole numbers, -1 for none; of an ONNX file also values or embedding, which make a head of "
     "numbers"},
    {"input", "none", "of a command: which of several data sets of data.x it reads; of one it reads that"},
    {"columns", "as the data has them", "of a command: names of the columns that it reads, in this order"},
    {"normalize", "none",
     "of a command: {\"mean\", \"std\"}, numbers or one for each channel; it then reads f32, else "
     "rows as the data has them"},
    {"batch", "64", "of a command: rows of every array that it reads; fewer are filled up with the last one"},
    {"check", "true",
     "of a command: the first rows after each start, and those of every 256th array, are asked about twice, in two "
     "orders, and must be answered alike"},
    {"start_seconds", "120", "of a command: until its first answer"},
    {"batch_seconds", "60",
     "of a command: for any other answer. One that comes too late, or a program that ends, and it "
     "is started again and asked again, twice at most for the same rows"},
    {"from", "", "answers made elsewhere: logits.npy, or a set of an HDF5 file, FILE.h5:SET; as --from"},
    {"id", "none",
     "of such a file: a set of it and of the data by which rows are found; without it row i answers row i; "
     "as --id"},
    {"like", "none", "of such a file: a model or label store whose classes it has; as --like"},
    {"mix", "",
     "probabilities, logits or best: several teachers as one. Means of softmax(z / temperature), or of "
     "z / temperature less its mean over the classes; best: the one with the largest accuracy on validation"},
    {"teachers", "", "of a mix: 1 to 16 files or specifications, of any kinds"},
    {"weight", "1", "of a member of a mix"},
    {"temperature", "1", "of a member of a mix: its logits are divided by it"},
    {"validation", "",
     "of best, and required there: {\"source\", \"x\": \"x\", \"y\": \"y\", \"rows\": \"\"}, labelled rows; "
     "they count as seen in training"},
    {NULL, NULL, NULL}};

/* How a label store keeps answers: rt_labels_spec_config. */
#define LABELS_KEPT \
    {"labels.type", "f32", \
     "of the logits: f32; f16 takes half the room; q8, in 8 bits with a scale and an offset a row, about a quarter " \
     "where there are many classes: the store tells its largest error"}, \
    {"labels.keep", "logits", "logits, or hard: the best class and its confidence alone, in 9 bytes a row"}, \
    {"labels.columns", "none; with labels.keep=hard hard and confidence", \
     "of [\"hard\", \"confidence\", \"margin\", \"entropy\"], of each head of classes, beside the logits"}, \
    {"labels.topk", "0", "only so many best classes and the tail; 0: all logits"}

const cli_key cli_label_keys[] = {
    {"teacher", "", "a model file, a list (an ensemble), or a specification; as --teacher"},
    DATA_SOURCE,
    DATA_X,
    DATA_ROWS,
    DATA_NAMES,
    DATA_CHECK,
    LABELS_KEPT,
    {"data.y", "none", "true classes in the source, to compare the labels with in the summary" ELSEWHERE},
    {"label.bad_rows", "refuse",
     "rows with NaN or infinity, or without a finite answer: refuse ends the command at the "
     "first (what was labelled stays); mark gives them no label, and training leaves them "
     "out"},
    {"label.views", "none",
     "labels of so many views of each row, too, 1 to 1000: view v is what a training with the same augment shows in "
     "epoch v; as many times the time and the bytes"},
    {"augment.flip", "false", "of label.views: images are mirrored left to right, half of them"},
    {"augment.shift", "0", "of label.views: images are moved by up to so many pixels"},
    {"augment.erase", "0", "of label.views: probability that a rectangle becomes the mean"},
    {"augment.input", "the only image", "of label.views: of several inputs, which is flipped, shifted and erased"},
    {"augment.seed", "1", "of label.views; a training's is its seed, or its augment.seed"},
    {"label.features", "none",
     "layers of a single model, a name or a list: their outputs are kept as labels/features/NAME"},
    {"label.feature_type", "f16", "of label.features: f16 or f32"},
    {"label.batch", "0",
     "rows read at once; 0: 1,024, beside a card 8 to 32 times as many, by the size of a row; speed only"},
    {"label.prefetch", "4", "batches read ahead; speed only"},
    {"label.readers", "0", "threads that read; speed only. 0: 1, beside a card a quarter of --threads, 4 at most"},
    {"label.precision", PRECISION},
    {"label.shard", "none", "\"I/N\": this process is number I, from 0, of N that write one store; as --shard"},
    {"label.takeover", "false", "in the place of a process with the same number that hangs; as --takeover"},
    {"label.mpi", "auto",
     "auto: the processes that mpirun starts write one store; on: whoever started them; off: each is alone"},
    {"label.price_per_hour", "0", "of the machine, in any currency; the result tells the cost"},
    {NULL, NULL, NULL}};

const cli_key cli_eval_keys[] = {
    {"teacher", "none", "a model file, a list (an ensemble), or a specification; as --teacher"},
    {"students", "none", "a list of model files, or of lists; as --student"},
    {"baseline", "none", "a model file or predictions, or a list of models (an ensemble); as --baseline"},
    {"candidate", "none", "the same; as --candidate"},
    {"names", "from the paths",
     "a list of names for the models, the teacher's first; of a pair the baseline's and the candidate's before"},
    DATA_SOURCE,
    DATA_X,
    {"data.y", "y",
     "the labels; \"\" for none. Agreement and KL are over all rows, the rest over the labelled ones. "
     "The default only where there is one"},
    DATA_TARGETS,
    DATA_ROWS,
    DATA_TEST,
    DATA_NAMES,
    DATA_CHECK,
    DATA_ID,
    DATA_SLICES,
    {"compare.common", "false", "with a baseline: rows that one side lacks are left out and counted; as --common"},
    {"compare.find_slices", "false", "as --find-slices"},
    {"compare.confidence", "0.95", "of intervals"},
    {"compare.seed", "1", "of resamples"},
    {"eval.speed", "true", "false leaves timing out"},
    {"eval.latency_samples", "2000", "timed calls of one row a model"},
    {"eval.seconds", "1", "of throughput, for each model: over all rounds and batch sizes"},
    {"eval.precision", PRECISION},
    {"eval.rounds", "10", "turns of each model, in an order drawn anew each time; speeds are medians over them"},
    {"eval.price_per_hour", "0", "of the machine, in any currency; the result tells the cost of a million rows"},
    {"eval.copies", "1", "of the model that such a machine runs at once, each as fast as measured here"},
    {"speed.seconds", "10",
     "as long as the first model, timed twice, differs from itself by 3 %, or 5 % of calls lost the "
     "CPU, rounds go on for so long; then the machine is too noisy, and there are no ratios"},
    {NULL, NULL, NULL}};

const cli_key cli_predict_keys[] = {
    {"model", "", "a model file, or a list (an ensemble), in place of the arguments"},
    DATA_SOURCE,
    DATA_X,
    {"data.y", "y",
     "the labels, which are kept as truth; \"\" for none. The default only where there is one" ELSEWHERE},
    DATA_TARGETS,
    DATA_ROWS,
    DATA_TEST,
    DATA_NAMES,
    DATA_CHECK,
    DATA_ID,
    DATA_SLICES,
    {"to", "h5; as --out ends", "h5, csv or npy; as --to"},
    {"topk", "0", "to h5: of classes, the so many largest logits of a row; 0: all"},
    {"precision", PRECISION},
    {NULL, NULL, NULL}};

const cli_key cli_clean_keys[] = {
    {"find", "labels", "labels, duplicates or outliers; as --find"},
    {"from", "", "predictions, a label store or a file of probabilities, or a list, in place of the arguments"},
    {"folds", "0", "in place of from: so many models each answer the fold that they were trained without; as --folds"},
    {"stratify", "true",
     "with folds: each has the same number of rows of each class, but for one; false: drawn whatever the labels"},
    {"train", "a model that fits", "with folds: the configuration of 'retort train', or its file; as --train"},
    {"seed", "1",
     "with folds of the draw, and of trainings that name none; duplicates, outliers: of draws and planes; as "
     "--seed"},
    {"work", "OUT.folds", "with folds: the folder of models and answers; as --work"},
    {"set", "none",
     "the data set (rows, classes) of probabilities in a file of another program, f16, f32 "
     "or f64; as --set"},
    {"head", "the only one of classes", "of several heads of classes, the one whose labels are judged"},
    {"method", "low_self_confidence",
     "low_self_confidence, low_normalized_margin, prune_by_noise_rate, prune_by_class, both, confident_learning, "
     "predicted_neq_given; as --method"},
    {"all", "false", "the CSV has every row that has a label (outliers: a score), not those found alone"},
    {"block", "4096", "rows read at a time; memory only"},
    {"data.source", "none",
     "the data file with the labels; predictions have them as truth, a file with --set may hold them itself. A label "
     "store needs it, and so does a mask of predictions"},
    DATA_X,
    {"data.y", "y", "the data set of labels" ELSEWHERE},
    DATA_NAMES,
    DATA_CHECK,
    {"features", "the rows", "duplicates, outliers: FILE.h5[:SET]; as --features"},
    {"model", "none", "duplicates, outliers: a model file; as --model"},
    {"layer", "none", "with model: the layer whose values are compared; none: what its first head is computed from"},
    {"metric", "euclid", "duplicates, outliers: euclid, or cosine: 1 - the cosine of the angle"},
    {"exact", "200000", "duplicates, outliers: up to so many rows all pairs are compared, above rows are hashed"},
    {"within", "0.13 of the median",
     "duplicates: the distance up to which a row is a copy; without it 0.13 times the "
     "median distance of drawn rows to their nearest"},
    {"against", "none", "duplicates: FILE.h5[:SET]; as --against"},
    {"recall", "0.99", "duplicates: tables are added until the bound reaches it (64 at most)"},
    {"by", "distance", "outliers: distance or energy"},
    {"k", "10", "outliers: neighbours whose distances are averaged"},
    {"share", "0.01", "outliers: of the rows that have a score, so many are listed"},
    {"tables", "32", "outliers: orders of the hashed way"},
    {NULL, NULL, NULL}};

const cli_key cli_vote_keys[] = {
    {"voters", "", "label stores, and sets of whole numbers as DATA.h5:SET, in place of the arguments"},
    {"truth", "none", "DATA.h5:SET, classes that are known of some rows; as --truth"},
    {"data.source", "that of the first store, else the first voter's file", "whose rows are voted on; as --data"},
    {"data.x", "x", "the data set in it, {\"INPUT\": \"data set\"} of several; without data.source the store's own"},
    DATA_NAMES,
    DATA_CHECK,
    {"vote.method", "dawid-skene", "dawid-skene, one-coin or majority; as --method"},
    {"vote.priors", "learn",
     "how rows are spread over classes: learn, uniform, or a list of shares, one for each class in their order, which "
     "stay as they are; as --priors"},
    {"vote.tolerance", "1e-9", "the model is done when the log-likelihood of a row gains less"},
    {"vote.iterations", "1000", "passes through the votes, at most"},
    LABELS_KEPT,
    {NULL, NULL, NULL}};

const cli_key cli_explain_keys[] = {
    {"model", "", "model files, or {\"file\": ...}, in place of the argument"},
    {"against", "none", "the same; as --against"},
    {"explain.method", "integrated", "integrated, gradient or occlusion; as --method"},
    {"explain.of", "output",
     "output (a logit, a number), centred (a logit less the mean of all, which a softmax alone sees) or probability"},
    {"explain.head", "the first", "of several heads, which is explained"},
    {"explain.target", "predicted; with flips label", "predicted, label, or a class by name or number; as --target"},
    {"explain.baseline", "zero",
     "what stands for nothing there: zero (of the data's units; of ids, id 0 for occlusion, else a table of zeros), "
     "mean (of up to 1,000 rows of the data), blur (the image, blurred) or row:N; as --baseline"},
    {"explain.blur", "a tenth of the longer side", "blur: standard deviation in pixels"},
    {"explain.path", "midpoint", "integrated: midpoint, trapezoid or gauss, where points lie on the line"},
    {"explain.steps", "64", "integrated: points; doubled for rows whose residual is above the limit; as --steps"},
    {"explain.most_steps", "1024", "integrated: how far they are doubled"},
    {"explain.limit", "0.02; of a quantized model 0.1",
     "integrated: a row has parts where |sum of parts - (f(row) - f(baseline))| is at most this times the greater of "
     "|f(row) - f(baseline)| and a tenth of the sum of |part|"},
    {"explain.patch", "4", "occlusion: pixels of a square's side"},
    {"explain.stride", "half a patch", "occlusion: pixels from square to square"},
    {"explain.most", "100", "rows that are explained, evenly among data.rows; with flips the first so many"},
    {"explain.top", "a tenth, at least 3", "elements whose overlap is counted with --against"},
    {"explain.flips", "false", "rows that --against has right and the model has wrong; as --flips"},
    DATA_SOURCE,
    DATA_X,
    {"data.y", "y", "the labels. The default only where there is one"},
    DATA_TARGETS,
    DATA_ROWS,
    DATA_TEST,
    DATA_NAMES,
    DATA_CHECK,
    {NULL, NULL, NULL}};

const cli_key cli_select_keys[] = {
    {"from", "", "predictions or a label store, in place of the argument"},
    {"n", "", "how many rows; as --n"},
    {"by", "badge", "entropy, margin, least-confidence, k-center, badge or mix; as --by"},
    {"seed", "1", "of k-center and badge; as --seed"},
    {"pool", "10", "of mix; as --pool"},
    {"features", "none", "FILE.h5[:SET]; as --features"},
    {"data", "none", "FILE.h5[:SET]; as --data"},
    {"labelled", "none", "a CSV file; as --labelled"},
    {NULL, NULL, NULL}};

const cli_key cli_gate_keys[] = {
    DATA_SOURCE,
    DATA_X,
    {"data.y", "y", "the labels. The default only where there is one" ELSEWHERE},
    DATA_TARGETS,
    DATA_ROWS,
    DATA_TEST,
    DATA_NAMES,
    DATA_CHECK,
    DATA_ID,
    DATA_SLICES,
    {"precision", PRECISION},
    {NULL, NULL, NULL}};

const cli_key cli_drift_keys[] = {
    {"reference.source", "", "as --reference"},
    {"reference.x", "x", "the rows: a data set, or {\"INPUT\": \"data set\"} of several"},
    {"reference.y", "y", "the labels; \"\": none. The default only where there is one"},
    {"reference.targets", "each head's name", "{\"HEAD\": \"SET\"}: labels of several heads"},
    {"reference.slices", "none",
     "a list of further data sets of one number or one text a row, which are looked at, too"},
    {"reference.rows", "all", "rows of the source, as first:end"},
    {"reference.test", "0", "share or count of rows drawn for a test: those are looked at alone"},
    {"reference.test_seed", "1", "seed of that draw"},
    {"reference.names", "match", "match: columns and classes pair by name; position: as they stand"},
    {"reference.check", "known", "known: DATA.retort-id is believed; full: all is hashed again"},
    {"data.source", "", "as --data"},
    {"data.x", "x", "the same of the newer data; what is not told is as of the reference"},
    {"data.y", "y", "the labels"},
    {"data.targets", "each head's name", "labels of several heads"},
    {"data.slices", "none", "belongs to the reference, whose sets are looked for by name"},
    DATA_ROWS,
    DATA_TEST,
    DATA_NAMES,
    DATA_CHECK,
    {"model", "none", "a model, a list of them, or a specification, in place of the argument"},
    {"limits", "none",
     "a file of limits in place of the keys below: {\"format\": \"retort-drift-limits-1\", \"max_psi\": ...}"},
    {"limits.alpha", "0.05", "chance of a drift that is none, over all checks together"},
    {"limits.max_psi", "0.1", "population stability index of a column; below 0.1 is small, from 0.25 on large"},
    {"limits.max_ks", "0.1", "largest distance of the two distribution functions of a column of numbers"},
    {"limits.max_missing", "0.05", "change of the share of missing values of a column"},
    {"limits.max_outside", "0.02", "share of values outside of the reference's range"},
    {"limits.max_unseen", "0.02",
     "share of rows of categories that the reference has not, above what is expected of it"},
    {"limits.max_auc", "0.6", "of a classifier that tells the sides apart by features"},
    {"limits.max_unlike", "0.035", "share of rows farther from the reference than 99 % of itself"},
    {"limits.max_accuracy_drop", "0.05", "expected drop of the accuracy"},
    {"limits.columns", "none", "{\"NAME\": {\"max_psi\": X, ...}}: limits of single columns, by the first five keys"},
    {"limits.ignore", "none", "a list of columns that are not looked at"},
    {"limits.format", "none", "of a file: \"retort-drift-limits-1\""},
    {"sample", "10000",
     "rows of each side, drawn by seed, that the model is asked about, and that are looked at as wholes"},
    {"kind", "auto",
     "table, images or ids: what rows of numbers are; auto: flat ones a table, others images, and ids "
     "where the model takes ids"},
    {"seed", "1", "of samples and draws; as --seed"},
    {"allow_same", "false", "as --allow-same"},
    {"precision", PRECISION},
    {NULL, NULL, NULL}};

const cli_key cli_export_keys[] = {
    DATA_POLICY,
    {"all", "false", "labels to csv: rows without a label, too, with their status alone"},
    {"view", "none; the row as it is",
     "labels to csv or npy: of this view of each row, of those that label.views keeps, from 0"},
    {"column", "none; the answers",
     "labels to npy: status, hard, confidence, margin, entropy (HEAD/hard of several heads) or features/NAME, where "
     "the store has it"},
    {"opset", "17", "to onnx: 13 to 28; to onnx-qdq: 17 or 21"},
    {"input_type", "auto",
     "u8: bytes as they are in the data (to onnx-qdq: of a model quantized so); f32: numbers as they "
     "are there; auto: to onnx f32, to onnx-qdq what the program takes"},
    {"layout", "nhwc",
     "to onnx: rows of several dimensions with channels last, as retort has them, or first (nchw). Inside, "
     "convolutions have them first: nhwc costs a Transpose of the input"},
    {"fold", "false",
     "to onnx: batch norms go into the weights before them, or become a scale and a shift; else they are "
     "BatchNormalization, for who trains or imports the graph"},
    {"raw_input", "false", "to onnx: rows are normalised before they come, and the graph does not; as --raw-input"},
    {"ids", "i64", "to onnx: the type of an input of ids, i64 or i32"},
    {"batch", "0",
     "to onnx: 1: the graph takes a row at a time, which nodes of an imported graph need that have no layer of their "
     "own; 0: any number"},
    {"int4", "widened",
     "to onnx-qdq: weights of 4 bits and less as int8, or packed as INT4 (opset 21), with which ONNX "
     "Runtime computes in float"},
    {NULL, NULL, NULL}};

const cli_key cli_quantize_keys[] = {
    {"model", "", "the model file, in place of the argument"},
    DATA_SOURCE,
    DATA_X,
    DATA_ROWS,
    DATA_NAMES,
    DATA_CHECK,
    QUANT_BITS,
    {"quant.method", "minmax",
     "minmax: ranges and steps reach the greatest value; mse: what keeps the squared error least"},
    {"quant.bias_correction", "true", "biases make up for the mean error of rounded weights"},
    {"quant.calibrate", "300", "rows that ranges come from, drawn among data.rows"},
    QUANT_INPUT,
    {NULL, NULL, NULL}};

const cli_key cli_run_keys[] = {
    {"name", "experiment", "for messages"},
    {"out", "", "the folder of all steps; as --out"},
    {"seed", "1", "of every step that has none of its own"},
    {"steps", "",
     "[{\"name\": NAME, \"do\": \"import\"|\"train\"|\"label\"|\"vote\"|\"calibrate\"|\"clean\"|\"select\"|"
     "\"quantize\"|\"predict\"|\"eval\"|\"export\"|\"gate\"|\"drift\", \"with\": the configuration of that command}]"},
    {NULL, NULL, NULL}};

const cli_key cli_bench_keys[] = {
    {"batch", "128", "rows a step"},
    {"seconds", "1", "of each round; kernels take a quarter each"},
    {"rounds", "3", "on a shared machine many short ones tell most; with --cold starts, 5"},
    {"once", "false", "with --cold: this process is the new one, and tells when it had the answer"},
    {"optimizer", "sgd", "training: sgd or adamw"},
    {"loss", "ce", "training: ce or kd"},
    {"qat", "off", "training: live or frozen, a step of quantization-aware training (before quant.freeze, after it)"},
    {"weights", "8", "with qat: bits of weights, 4 to 8"},
    {"profile", "false", "seconds of each call of the plan, on a card microseconds of each launch, of a round more"},
    {"price_per_hour", "0", "of the machine, in any currency; the result tells the cost of a million samples"},
    {"copies", "1", "of the model that such a machine runs at once, each as fast as measured here"},
    {"precision", PRECISION},
    {NULL, NULL, NULL}};
