/* cli/cmd_import.c - retort import */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "experiments/importer.h"

/* --shape NAME=3,224,224, and the like for other keys of an input of a model: inputs.NAME.key. */
static rt_status add_inputs(cli_args *a, cJSON *config)
{
    const char *text;
    for (int i = 0; (text = cli_value_at(a, "shape", i)); i++) {
        const char *equals = strrchr(text, '=');
        char name[256];
        cJSON *all = cJSON_GetObjectItemCaseSensitive(config, "inputs"), *list = cJSON_CreateArray();
        if (!all) all = cJSON_AddObjectToObject(config, "inputs");
        if (!equals || equals == text || equals - text > 255)
            return cJSON_Delete(list),
                   rt_fail(RT_USAGE, "--shape %s: NAME=D,D,... is expected, such as images=3,224,224", text);
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        for (const char *p = equals + 1; *p; ) {
            char *end;
            cJSON_AddItemToArray(list, cJSON_CreateNumber((double)strtol(p, &end, 10)));
            if (end == p || (*end && *end != ','))
                return cJSON_Delete(list), rt_fail(RT_USAGE, "--shape %s: '%s' is no number", text, p);
            p = *end ? end + 1 : end;
        }
        cJSON *one = cJSON_GetObjectItemCaseSensitive(all, name);
        if (!one) one = cJSON_AddObjectToObject(all, name);
        cJSON_AddItemToObject(one, "shape", list);
    }
    return RT_OK;
}

/* --target NAME=COLUMN,COLUMN, or --target COLUMN, whose name is the data set's, too. */
static rt_status add_targets(cli_args *a, cJSON *config)
{
    cJSON *all = cli_value_at(a, "target", 0) ? cJSON_AddObjectToObject(config, "targets") : NULL;
    const char *text;
    for (int i = 0; (text = cli_value_at(a, "target", i)); i++) {
        char name[128];
        const char *equals = strchr(text, '=');
        snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - text) : 127, text);
        if (cJSON_GetObjectItemCaseSensitive(all, name))
            return rt_fail(RT_USAGE, "--target: '%.60s' stands twice", name);
        cJSON_AddStringToObject(all, name, equals ? equals + 1 : text);
    }
    return RT_OK;
}

static rt_status read_arguments(cli_args *a, cJSON *config)
{
    static const char *const same[] = {"format", "label", "separator", "decimal", "header", "encoding", "missing",
                                       "classes", "like", "drop", "alpha", "x", "y", "channels",
                                       "output", "gives"};
    static const struct { const char *option, *key; } dashed[] = {{"missing-labels", "missing_labels"},
                                                                  {"no-label", "no_label"}, {"data-root", "data_root"}};
    int h, w, most, end = 0;
    const char *size = cli_value(a, "size");
    RT_TRY(cli_set(config, "input", a->positional[0]));
    if (a->count == 2) RT_TRY(cli_set(config, "labels", a->positional[1]));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) RT_TRY(cli_set_option(a, config, same[i], same[i]));
    for (size_t i = 0; i < 3; i++) RT_TRY(cli_set_option(a, config, dashed[i].option, dashed[i].key));
    if (cli_flag(a, "keep-index")) cJSON_AddTrueToObject(config, "keep_index");
    if (cli_flag(a, "skip-bad")) cJSON_AddTrueToObject(config, "skip_bad");
    RT_TRY(cli_int(a, "max-classes", 0, 1, 1 << 17, &most));
    if (most) cJSON_AddNumberToObject(config, "max_classes", most);
    RT_TRY(add_targets(a, config));
    RT_TRY(add_inputs(a, config));
    RT_TRY(cli_set_option(a, config, "data", "data.source"));
    if (size) {
        if (sscanf(size, "%dx%d%n", &h, &w, &end) != 2 || size[end])
            return rt_fail(RT_USAGE, "--size %s: HxW is expected, such as 32x32", size);
        cJSON_AddItemToObject(config, "size", cJSON_CreateIntArray((int[]){h, w}, 2));
    }
    for (int i = 0; i < a->overrides; i++) RT_TRY(rt_json_override(config, a->override[i]));
    return RT_OK;
}

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out");
    if (!out || a->count < 1)
        return rt_fail(RT_USAGE, "import: INPUT and --out DATA.h5 are required; see 'retort import --help'");
    const char *file = cli_value(a, "config");
    cJSON *config = NULL;
    rt_status st = file ? rt_json_file(&config, file) : RT_OK;
    if (!file) config = cJSON_CreateObject();
    if (!st && !cJSON_IsObject(config)) st = rt_fail(RT_USAGE, "%s: an object {...} is expected", file);
    if (!st) st = read_arguments(a, config);
    if (!st) st = rt_file_names_in(config);
    if (!st)
        st = rt_import(config, &(rt_target){.path = out, .force = cli_flag(a, "force"), .config = file}, &a->progress,
                       result);
    cJSON_Delete(config);
    return st;
}

/* ---- what was done ---- */

static const cJSON *get(const cJSON *r, const char *key) { return cJSON_GetObjectItemCaseSensitive(r, key); }

static void line(const char *what, const char *text)
{
    printf("%-16s ", what);
    cli_print_text(text);
    putchar('\n');
}

/* Names of a list, the first of them. */
static void names(const char *what, const cJSON *list, const cJSON *rows)
{
    enum { SHOWN = 24 };
    int n = cJSON_GetArraySize(list), i = 0;
    if (!list) return;
    printf("%-16s %d:", what, n);
    const cJSON *r = rows ? rows->child : NULL;
    for (const cJSON *c = list->child; c && i < SHOWN; c = c->next, i++) {
        printf(i ? ", " : " ");
        cli_print_text(c->valuestring);
        if (r) {
            printf(" (%.0f)", r->valuedouble);
            r = r->next;
        }
    }
    printf("%s\n", n > SHOWN ? ", ..." : "");
}

static void show(const cJSON *r)
{
    char text[400];
    if (get(r, "model")) {
        cli_print_tree(r, 0);
        return;
    }
    size_t at = (size_t)snprintf(text, sizeof text, "%.0f of (", get(r, "rows")->valuedouble);
    for (const cJSON *d = get(r, "row_shape")->child; d && at < 300; d = d->next)
        at += (size_t)snprintf(text + at, sizeof text - at, "%.0f%s", d->valuedouble, d->next ? ", " : "");
    snprintf(text + at, sizeof text - at, "), %s", get(r, "type")->valuestring);
    line("data", get(r, "data")->valuestring);
    line("rows", text);
    static const char *const said[][2] = {{"separator", "separator"}, {"decimal", "decimal sign"},
                                          {"encoding", "encoding"}, {"x_array", "x"}, {"y_array", "y"}};
    const cJSON *header = get(r, "header"), *label = get(r, "label_column");
    if (header) {
        snprintf(text, sizeof text, "%s: %s", cJSON_IsTrue(get(header, "present")) ? "yes" : "no",
                 get(header, "why")->valuestring);
        line("header", text);
    }
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) if (get(r, said[i][0]))
        line(said[i][1], get(r, said[i][0])->valuestring);
    names("columns", get(r, "columns"), NULL);
    if (get(r, "columns_with_fractions")) {
        snprintf(text, sizeof text, "%.0f of whole numbers, %.0f with fractions",
                 get(r, "columns_of_whole_numbers")->valuedouble, get(r, "columns_with_fractions")->valuedouble);
        line("columns hold", text);
    }
    if (label && cJSON_IsNumber(label)) printf("%-16s %.0f (from 0)\n", "label column", label->valuedouble);
    else if (label) line("label column", label->valuestring);
    if (!cJSON_IsTrue(get(r, "labels"))) line("labels", "none");
    names("classes", get(r, "class_names"), get(r, "class_rows"));
    for (const cJSON *t = get(r, "targets") ? get(r, "targets")->child : NULL; t; t = t->next) {
        snprintf(text, sizeof text, "target %.80s", t->string);
        names(text, t, NULL);
    }
    if (get(r, "rows_without_label") && get(r, "rows_without_label")->valuedouble > 0)
        printf("%-16s %.0f rows\n", "without label", get(r, "rows_without_label")->valuedouble);
    for (const cJSON *c = get(r, "left_out") ? get(r, "left_out")->child : NULL; c; c = c->next) {
        snprintf(text, sizeof text, "column '%.100s' %s", get(c, "column")->valuestring, get(c, "why")->valuestring);
        line("left out", text);
    }
    for (const cJSON *c = get(r, "skipped")->child; c; c = c->next) {
        snprintf(text, sizeof text, "%.0f %.60s: %.300s", get(c, "count")->valuedouble, get(c, "what")->valuestring,
                 get(c, "why")->valuestring);
        line("skipped", text);
    }
    for (const cJSON *c = get(r, "notes")->child; c; c = c->next) line("note", c->valuestring);
}

static const cli_option options[] = {
    {"out", CLI_VALUE, "DATA.h5", "the data file", NULL},
    {"format", CLI_VALUE, "FORM", "idx, csv, npy, npz or images, in place of what the content says", NULL},
    {"force", CLI_FLAG, NULL, "replace an existing file", NULL},
    {"classes", CLI_VALUE, "A,B,C",
     "all classes, in order; other labels are refused. Without it: numbers in their order and "
     "keeping their value (0, 2 are classes 0 and 2 of 3), or texts in the order of their "
     "bytes",
     "labels"},
    {"like", CLI_VALUE, "DATA.h5|MODEL.h5",
     "classes, columns and their order as in this data file or model; shape of rows, label "
     "column, too",
     NULL},
    {"missing-labels", CLI_VALUE, "HOW", "empty and NaN labels: no-label (the default: y is -1) or refuse", NULL},
    {"no-label", CLI_VALUE, "LABEL", "this label means 'no label', too", NULL},
    {"max-classes", CLI_VALUE, "N", "more are refused (1000; above 100 each must have 3 rows or more)", NULL},
    {"label", CLI_VALUE, "COLUMN", "a name, or a number from 0 (-1 is the last); other columns must be numbers",
     "CSV (plain or gzip)"},
    {"header", CLI_VALUE, "WHAT",
     "line 1 is a header: yes, no, or auto (the default: decided from the first 100 lines, and "
     "said)",
     NULL},
    {"separator", CLI_VALUE, "C", "one character, tab, or blanks (runs of them); found in the file if not given", NULL},
    {"decimal", CLI_VALUE, "C", "'.' (the default) or ','", NULL},
    {"encoding", CLI_VALUE, "NAME",
     "utf-8 (the default, unless a byte order mark says utf-16), utf-16, latin1, "
     "windows-1252, ...",
     NULL},
    {"target", CLI_LIST, "NAME=A,B",
     "columns of numbers that become the data set NAME, (rows, columns), for a head of that name; an empty cell is no "
     "target. May be given more than once",
     NULL},
    {"drop", CLI_VALUE, "A,B", "columns to leave out", NULL},
    {"keep-index", CLI_FLAG, NULL, "keep a first column without a name, which is else left out as an index", NULL},
    {"missing", CLI_VALUE, "HOW", "empty, NA and NaN cells: refuse (the default) or drop (the row)", NULL},
    {"size", CLI_VALUE, "HxW",
     "bring all to this size (mean of the area that a pixel covers); else all must have one size",
     "images (INPUT has one folder of PNG or JPEG files a class)"},
    {"channels", CLI_VALUE, "N",
     "images: 3 (the default) or 1: grey is (19595 R + 38470 G + 7471 B + 32768) >> 16. NPY and "
     "NPZ: first ((N, C, H, W) becomes (N, H, W, C)) or last (they are last already)",
     NULL},
    {"alpha", CLI_VALUE, "HOW",
     "transparent pixels: drop (the default: the colour stored there), white or black (the "
     "ground)",
     NULL},
    {"skip-bad", CLI_FLAG, NULL, "leave out pictures that cannot be read, and count them", NULL},
    {"x", CLI_VALUE, "NAME", "array of an NPZ (x, or the only one, if not given)", "NPY and NPZ"},
    {"y", CLI_VALUE, "NAME", "array with the labels (y, if not given)", NULL},
    {"shape", CLI_LIST, "NAME=D,D",
     "of a row of the model's input NAME, as the model has it, where the file leaves it open. May be given more "
     "than once",
     "models (ONNX)"},
    {"data", CLI_SOURCE, "DATA.h5",
     "data whose rows tell the shapes that the file leaves open and --shape does not give; with data.x=SET, or "
     "data.x={\"INPUT\": \"SET\"}",
     NULL},
    {"output", CLI_VALUE, "NAME", "the output that answers; the only one of a row of numbers, if not given", NULL},
    {"gives", CLI_VALUE, "WHAT",
     "logits, probabilities, or a head of numbers: values, embedding; if not given, probabilities where a softmax ends "
     "the model, or a sigmoid (of labels), else logits",
     NULL},
    {"data-root", CLI_VALUE, "FOLDER",
     "where external data lies, through links too; the model's own folder, without links, "
     "if not given",
     NULL},
    {"config", CLI_VALUE, "FILE.json",
     "all of this as an object, such as a teacher's specification (whose \"file\" is INPUT): \"inputs\": {NAME: "
     "{\"set\": data set, of several inputs, \"shape\", \"layout\": "
     "\"hwc\"|\"chw\", \"resize\", "
     "\"crop\", \"scale\", \"mean\", \"std\"}, NAME: \"ids != 0\" (a mask), NAME: a number}, \"output\", \"task\", "
     "\"gives\", "
     "\"classes\", or \"outputs\": {NAME: {\"head\", \"task\", \"gives\", \"classes\"}}, \"features\", \"shorter\", "
     "\"data_root\", "
     "\"memory\" (MiB), \"seconds\" (of computing; 4, and one more for each MiB of the model, if not given). 'retort "
     "help teachers' "
     "tells "
     "of each",
     NULL},
    {0}};

const cli_command cli_import = {
    .name = "import",
    .summary = "bring IDX, CSV, NPY, NPZ or image files, or an ONNX model, into HDF5",
    .usage = "INPUT [LABELS] --out DATA.h5 [options]",
    .about =
        "Brings a data set into HDF5: x (rows, ...), y (rows) when there are labels (-1: none), and a manifest with "
        "class names, column names and where it came from. What was assumed and left out is printed; what cannot be "
        "told is asked for.\n\n"
        "INPUT is known by its content. LABELS is a second file, IDX, NPY or CSV, with one label a row.\n\n"
        "An ONNX model becomes a model of retort, with layers that are trained on, labelled with, evaluated and "
        "exported as any others; operators that have no layer here are computed by their definition, and those "
        "that are not known are all named before anything is written. A quantized graph that obeys the integer "
        "contract becomes a quantized model, an export of retort's own the same program to the byte; of others it is "
        "said which node keeps them in float. Other commands take the .onnx file itself, "
        "too: then it is brought in each time.",
    .options = options,
    .examples = "retort import flowers.csv --label species --out flowers.h5\n"
                "retort import new-flowers.csv --label species --like flowers.h5 --out new.h5\n"
                "retort import train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --out train.h5\n"
                "retort import cars.csv --target price --target extras=radio,roof --out cars.h5\n"
                "retort import photos/train --size 64x64 --out train.h5\n"
                "retort import teacher.onnx --out teacher.h5 --shape images=3,96,96\n"
                "retort import mnist.npz --x x_train --y y_train --out train.h5\n"
                "retort import messung.csv --label Klasse --separator ';' --decimal , --encoding windows-1252 "
                "--out messung.h5\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_REGISTRY,
    .files = 2};
