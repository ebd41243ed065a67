#include "experiments/clean/clean_folds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/run_folder.h"
#include "data/source_files.h"
#include "experiments/clean/clean_strata.h"
#include "experiments/eval/eval_data.h"
#include "experiments/jobs/runner.h"
#include "train/trainer.h"

enum { BLOCK = 4096, EPOCHS = 10, SMALL = 8 /* sides of images that convolutions are of no use for */ };

static cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

/* ---- what is asked ---- */

static void read_training(rt_cfg *c, rt_clean_folds *f)
{
    const cJSON *said = rt_cfg_any(c, "train");
    const char *file = cJSON_GetStringValue(said);
    if (!said || c->status) return;
    if (file) c->status = rt_json_file(&f->train, file);
    else if (cJSON_IsObject(said)) f->train = cJSON_Duplicate(said, 1);
    else rt_cfg_fail(c, "train", "a training run's configuration, or a file that holds one, is expected");
    if (c->status && file) c->status = rt_fail_in(c->status, "train");
    const cJSON *data = get(f->train, "data");
    if (!c->status && (cJSON_HasObjectItem(data, "fold") || cJSON_HasObjectItem(data, "test")))
        rt_cfg_fail(c, "train", "has data.fold or data.test, and the folds are drawn here; leave them out");
}

void rt_clean_folds_read(rt_cfg *c, rt_clean_folds *f, const char *out)
{
    *f = (rt_clean_folds){0};
    f->folds = rt_cfg_int(c, "folds", 0, 0, RT_CLEAN_FOLDS);
    if (f->folds == 1) rt_cfg_fail(c, "folds", "are 2 or more: a model is trained without each");
    if (!f->folds) {
        static const char *const key[] = {"train", "seed", "work", "stratify"};
        for (int i = 0; i < 4; i++) rt_cfg_refuse(c, key[i], "belongs to folds");
        return;
    }
    f->seed = rt_cfg_u64(c, "seed", 1);
    f->stratify = rt_cfg_bool(c, "stratify", 1);
    read_training(c, f);
    const char *work = rt_cfg_has(c, "work") ? rt_cfg_string(c, "work", "") : NULL;
    const char *slash = out ? strrchr(out, '/') : NULL, *dot = out ? strrchr(slash ? slash : out, '.') : NULL;
    int n = work ? snprintf(f->folder, sizeof f->folder, "%s", work)
                 : snprintf(f->folder, sizeof f->folder, "%.*s.folds",
                            dot   ? (int)(dot - out)
                            : out ? (int)strlen(out)
                                  : 0,
                            out ? out : "");
    if (n < 0 || n >= (int)1100) rt_cfg_fail(c, "work", "the path is too long");
    if (work && !*work) rt_cfg_fail(c, "work", "a folder is expected");
}

void rt_clean_folds_free(rt_clean_folds *f)
{
    cJSON_Delete(f->train);
    f->train = NULL;
}

/* ---- the experiment ---- */

/* A key of the data that both may tell: what is said here comes first. */
static void take(cJSON *data, const char *key, const cJSON *value)
{
    if (!value) return;
    cJSON_DeleteItemFromObjectCaseSensitive(data, key);
    cJSON_AddItemToObject(data, key, cJSON_Duplicate(value, 1));
}

static void add_seed(cJSON *to, const char *key, uint64_t seed)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    if (seed < (uint64_t)1 << 53) cJSON_AddNumberToObject(to, key, (double)seed);
    else cJSON_AddStringToObject(to, key, text);
}

/* The data of this fold. said: "data" of what is asked. */
static void set_fold(cJSON *data, const rt_clean_folds *f, int i)
{
    char fold[24];
    snprintf(fold, sizeof fold, "%d/%d", i, f->folds);
    cJSON_AddStringToObject(data, "fold", fold);
    if (*f->by) {
        cJSON *by = cJSON_AddObjectToObject(data, "fold_by");
        cJSON_AddStringToObject(by, "source", f->by);
        cJSON_AddStringToObject(by, "digest", f->digest.hex);
        return;
    }
    add_seed(data, "test_seed", f->seed);
}

static cJSON *data_of(const rt_clean_input *in, const cJSON *train)
{
    static const char *const key[] = {"source", "x", "y", "names", "check"};
    cJSON *data = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
        take(data, key[i], get(get(train, "data"), key[i]));
        take(data, key[i], get(in->said, key[i]));
    }
    return data;
}

static cJSON *training(const rt_clean_folds *f, const rt_clean_input *in, int i)
{
    cJSON *t = cJSON_Duplicate(f->train, 1), *data = get(t, "data"), *of = data_of(in, f->train);
    if (!data) data = cJSON_AddObjectToObject(t, "data");
    for (const cJSON *v = of->child; v; v = v->next) take(data, v->string, v);
    cJSON_Delete(of);
    set_fold(data, f, i);
    if (!cJSON_HasObjectItem(t, "seed")) add_seed(t, "seed", f->seed);
    return t;
}

static cJSON *prediction(const rt_clean_folds *f, const rt_clean_input *in, int i)
{
    char model[40];
    cJSON *p = cJSON_CreateObject(), *data = data_of(in, f->train);
    snprintf(model, sizeof model, "${model%d}", i);
    cJSON_AddStringToObject(p, "model", model);
    take(data, "rows", get(get(f->train, "data"), "rows"));
    set_fold(data, f, i);
    cJSON_AddItemToObject(p, "data", data);
    return p;
}

static void add_step(cJSON *steps, const char *kind, const char *action, int i, cJSON *with)
{
    char name[40];
    cJSON *s = cJSON_CreateObject();
    snprintf(name, sizeof name, "%s%d", kind, i);
    cJSON_AddStringToObject(s, "name", name);
    cJSON_AddStringToObject(s, "do", action);
    cJSON_AddItemToObject(s, "with", with);
    cJSON_AddItemToArray(steps, s);
}

/* Training fails for the configuration alone. */
rt_status rt_clean_folds_check(const rt_clean_folds *f, const rt_clean_input *in)
{
    if (!f->folds) return RT_OK;
    if (!in->source && !*rt_source_in(get(f->train, "data")))
        return rt_fail(RT_USAGE, "folds: name the data with --data DATA.h5");
    if (!f->train) return RT_OK;
    cJSON *t = training(f, in, 0);
    rt_status st = rt_train_check(t);
    cJSON_Delete(t);
    return st ? rt_fail_in(st, "train") : RT_OK;
}

/* ---- a model that fits the data ---- */

/* Classes that the file names, or the highest label there is. */
static rt_status count_classes(const rt_clean_input *in, const rt_source *x, int *classes)
{
    rt_head any = {.name = "y", .task = RT_TASK_CLASSES, .size = 1 << 20, .names = {.count = 1 << 20}};
    rt_target_where where = in->y_given ? in->y : (rt_target_where){.set = "y", .column = -1};
    rt_names names = {0};
    rt_targets *y;
    rt_h5_file *other = NULL;
    *classes = 0;
    where.only = 1;
    rt_status st = where.source ? rt_source_scan(&other, where.source) : RT_OK;
    const rt_h5_file *file = other ? other : rt_source_file(x);
    if (!st && rt_targets_named(file, where.set, 1)) st = rt_names_read(file, &names, NULL);
    rt_h5_close(other);
    if (!st && names.name) *classes = names.count;
    rt_names_free(&names);
    if (st || *classes) return st;
    RT_TRY(rt_targets_open_head(&y, x, &where, &any, in->match));
    uint64_t *row = calloc(BLOCK, sizeof *row);
    int32_t *label = calloc(BLOCK, sizeof *label);
    if (!row || !label) st = rt_fail(RT_RUN, "out of memory");
    for (uint64_t at = 0, rows = rt_source_rows(x); at < rows && !st; at += BLOCK) {
        int n = rows - at < BLOCK ? (int)(rows - at) : BLOCK;
        for (int i = 0; i < n; i++) row[i] = at + (uint64_t)i;
        st = rt_targets_read(y, row, n, label);
        for (int i = 0; i < n && !st; i++) if (label[i] >= *classes) *classes = label[i] + 1;
        if (!st) st = rt_check_stop();
    }
    free(row);
    free(label);
    rt_targets_close(y);
    return st;
}

/* Images of a side of SMALL or more: a small CNN, or as far as they can be halved; signals: conv1d; the rest: an MLP.
 */
static const char *family_of(const rt_shape *s)
{
    if (s->rank == 3 && s->dim[0] >= SMALL && s->dim[1] >= SMALL && s->dim[2] <= 64) return "cnn";
    if (s->rank == 2 && s->dim[0] >= 2 * SMALL && s->dim[1] <= 256) return "conv1d";
    return "mlp";
}

static rt_status fit_model(rt_clean_folds *f, const rt_clean_input *in, cJSON *notes)
{
    rt_source *x;
    rt_shape shape;
    int classes = 0;
    rt_x_where where = in->where;
    RT_TRY(rt_x_open(&x, &where));
    rt_status st = rt_source_parts(x) > 1 || rt_source_type(x) == RT_TEXT
                       ? rt_fail(RT_USAGE, "%s: no model fits its rows by itself; give --train RUN.json", in->source)
                       : rt_source_shape(x, &shape);
    if (!st) st = count_classes(in, x, &classes);
    rt_source_close(x);
    if (!st && classes < 2)
        st = rt_fail(RT_NOTHING, "%s: has labels of fewer than two classes", in->source);
    if (st) return st;
    const char *family = family_of(&shape);
    cJSON *t = f->train = cJSON_CreateObject(), *m = cJSON_AddObjectToObject(t, "model");
    cJSON *input = cJSON_AddArrayToObject(m, "input");
    for (int i = 0; i < shape.rank; i++) cJSON_AddItemToArray(input, cJSON_CreateNumber((double)shape.dim[i]));
    if (!shape.rank) cJSON_AddItemToArray(input, cJSON_CreateNumber(1));
    cJSON_AddNumberToObject(m, "classes", classes);
    cJSON_AddStringToObject(m, "family", family);
    if (!strcmp(family, "mlp")) cJSON_AddNumberToObject(m, "width", 128);
    cJSON_AddNumberToObject(cJSON_AddObjectToObject(t, "data"), "validation", 0);
    cJSON *how = cJSON_AddObjectToObject(t, "train");
    cJSON_AddNumberToObject(how, "epochs", EPOCHS);
    cJSON_AddNumberToObject(how, "lr", 0.05);
    cJSON_AddTrueToObject(how, "nesterov");
    rt_eval_note(notes,
                 "no training was given: each model is a %s of %d classes, trained for %d epochs; --train RUN.json "
                 "names another.",
                 family, classes, EPOCHS);
    return RT_OK;
}

/* Draws the folds into folds.h5 of the folder. */
static rt_status draw_strata(rt_clean_folds *f, const rt_clean_input *in, cJSON *notes)
{
    static const char *const name[] = {"folds.h5", NULL};
    const char *range = cJSON_GetStringValue(get(get(f->train, "data"), "rows"));
    char path[RT_FOLDER_PATH];
    rt_run_folder *folder;
    rt_strata *s;
    RT_TRY(rt_strata_draw(&s, in, range ? range : "", f->folds, f->seed));
    rt_status st = rt_run_folder_open(&folder, &(rt_target){.path = f->folder}, NULL, name);
    if (!st) {
        rt_run_folder_path(folder, path, name[0]);
        st = rt_strata_save(s, path);
        rt_run_folder_close(folder);
    }
    f->digest = s->digest;
    if (!st && s->rare)
        rt_eval_note(notes, "%d of %d classes have fewer rows than there are folds: whoever answers such a row may know"
                     " nothing of its class.", s->rare, s->classes);
    if (!st) snprintf(f->by, sizeof f->by, "%s", path);
    rt_strata_free(s);
    return st;
}

rt_status rt_clean_folds_run(rt_clean_folds *f, const rt_clean_input *in, rt_device *device,
                             const rt_progress *progress, cJSON *notes)
{
    cJSON *result = NULL;
    if (!f->train) RT_TRY(fit_model(f, in, notes));
    if (f->stratify) RT_TRY(draw_strata(f, in, notes));
    cJSON *e = cJSON_CreateObject(), *steps = cJSON_AddArrayToObject(e, "steps");
    cJSON_AddStringToObject(e, "name", "folds");
    for (int i = 0; i < f->folds; i++) {
        add_step(steps, "model", "train", i, training(f, in, i));
        add_step(steps, "answers", "predict", i, prediction(f, in, i));
        snprintf(f->answers[i], sizeof f->answers[i], "%.1100s/answers%d.h5", f->folder, i);
    }
    rt_status st = rt_experiment_run(e, &(rt_target){.path = f->folder}, device, progress, &result);
    cJSON_Delete(result);
    cJSON_Delete(e);
    return st;
}
