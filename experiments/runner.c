#include "experiments/runner.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/precision.h"
#include "data/run_folder.h"
#include "engine/clock.h"
#include "engine/digest.h"
#include "engine/kernels.h"
#include "engine/version.h"
#include "experiments/evaluator.h"
#include "experiments/export_job.h"
#include "experiments/gate_job.h"
#include "experiments/importer.h"
#include "experiments/predict_job.h"
#include "experiments/quantize_job.h"
#include "teacher/labeler.h"
#include "teacher/spec.h"
#include "train/trainer.h"

enum { MAX_STEPS = 256, STATE_NAME = 96 };
enum { IMPORT, TRAIN, LABEL, QUANTIZE, PREDICT, EVAL, EXPORT, GATE };
static const char *const actions[] = {"import",  "train", "label",  "quantize", "predict",
                                      "eval",    "export", "gate", NULL};

typedef struct {
    const char *name;
    int action;
    cJSON *with;                    /* with references resolved */
    char output[1024];              /* what ${name} stands for */
    char place[1024];               /* folder or file handed to the action */
    char product[1100];             /* the file whose content shows that the step's result is still there */
} step;

typedef struct {
    const char *name, *out, *config;     /* config: the experiment's file */
    rt_run_folder *folder;
    uint64_t seed;
    step step[MAX_STEPS];
    int steps;
    rt_device *device;
    rt_device *cpu;                 /* what calibrates where `device` is a card; NULL: not needed yet */
    const rt_progress *progress;
} experiment;

/* On the device; others are the CPU's. */
static int computes(const step *s)
{ return s->action == TRAIN || s->action == LABEL || s->action == PREDICT || s->action == EVAL || s->action == GATE; }

static void output_of(const experiment *x, step *s)
{
    const char *form = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(s->with, "to"));
    const char *end = s->action == EXPORT          ? rt_export_ending_of(form ? form : "")
                      : s->action == PREDICT && form ? form : "h5";
    if (s->action == TRAIN || s->action == EVAL || s->action == GATE)
        snprintf(s->place, sizeof s->place, "%s/%s", x->out, s->name);
    else snprintf(s->place, sizeof s->place, "%s/%s.%s", x->out, s->name, end);
    snprintf(s->output, sizeof s->output, s->action == TRAIN ? "%.1000s/model.h5" : "%.1000s", s->place);
    snprintf(s->product, sizeof s->product,
             s->action == EVAL ? "%s/evaluation.json" : s->action == GATE ? "%s/verdict.json" : "%s", s->output);
}

/* Replaces ${name} in every string of the tree. */
static rt_status resolve(const experiment *x, int steps, cJSON *j, const char *step_name)
{
    for (cJSON *c = j->child; c; c = c->next) {
        if (c->child) RT_TRY(resolve(x, steps, c, step_name));
        if (!cJSON_IsString(c)) continue;
        char *open;
        while ((open = strstr(c->valuestring, "${"))) {
            char *close = strchr(open, '}'), text[4096];
            const char *value = NULL;
            if (!close) return rt_fail(RT_USAGE, "step '%s': '%s' has no closing brace", step_name, c->valuestring);
            size_t length = (size_t)(close - open - 2);
            for (int i = 0; i < steps; i++) {
                const char *name = x->step[i].name;
                if (strlen(name) == length && strncmp(name, open + 2, length) == 0) value = x->step[i].output;
            }
            if (!value)
                return rt_fail(RT_USAGE, "step '%s': ${%.*s} names no step before this one", step_name, (int)length,
                               open + 2);
            int before = (int)(open - c->valuestring);
            int n = snprintf(text, sizeof text, "%.*s%s%s", before, c->valuestring, value, close + 1);
            if (n < 0 || n >= (int)sizeof text || !cJSON_SetValuestring(c, text))
                return rt_fail(RT_USAGE, "step '%s': a path is too long", step_name);
        }
    }
    return RT_OK;
}

/* The path from the root, without "." and "..", as it is written: it may not be there yet. */
static rt_status whole_path(const char *path, char out[4096])
{
    char text[8192], *save = NULL;
    size_t n = 0;
    *out = 0;
    if (*path != '/' && !getcwd(out, 4096)) return rt_fail(RT_RUN, "the current folder: %s", strerror(errno));
    snprintf(text, sizeof text, "%s/%s", out, path);
    *out = 0;
    for (const char *part = strtok_r(text, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (!strcmp(part, ".")) continue;
        if (!strcmp(part, "..")) while (n && out[--n] != '/') {}
        else n += (size_t)snprintf(out + n, 4096 - n, "/%s", part);
        if (n > 4000) break;
        out[n] = 0;
    }
    return RT_OK;
}

/* Whether a step before makes what this names: its output, or a file in its folder. */
static rt_status made_before(const experiment *x, const char *path, int *made)
{
    char want[4096], place[4096];
    *made = 0;
    RT_TRY(whole_path(path, want));
    for (int i = 0; i < x->steps && !*made; i++) {
        RT_TRY(whole_path(x->step[i].place, place));
        size_t n = strlen(place);
        *made = !strncmp(want, place, n) && (!want[n] || want[n] == '/');
    }
    return RT_OK;
}

static rt_status check_paths(const experiment *x, const char *key, const cJSON *v);

/* The file in "FILE.h5:SET", or the text itself where that is one or has no colon. 0: too long for a path. */
static int file_of(const char *text, char path[4096])
{
    struct stat s;
    const char *colon = strrchr(text, ':');
    size_t n = colon && colon[1] && stat(text, &s) ? (size_t)(colon - text) : strlen(text);
    if (n >= 4096) return 0;
    memcpy(path, text, n);
    path[n] = 0;
    return 1;
}

/* The files of a specification; a command is sought when it is started, and what is no specification has none here. */
static rt_status check_teacher(const experiment *x, const char *key, const cJSON *v)
{
    static const char *const of[] = {"file", "like", "teachers"};
    const char *from = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "from"));
    const cJSON *labelled = cJSON_GetObjectItemCaseSensitive(v, "validation");
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        RT_TRY(check_paths(x, key, cJSON_GetObjectItemCaseSensitive(v, of[i])));
    if (cJSON_HasObjectItem(v, "mix") && cJSON_IsObject(labelled))
        RT_TRY(check_paths(x, key, cJSON_GetObjectItemCaseSensitive(labelled, "source")));
    if (!from) return RT_OK;
    char path[4096];
    if (!file_of(from, path)) return rt_fail(RT_USAGE, "%s: '%.60s...': the path is too long", key, from);
    return check_paths(x, key, &(cJSON){.type = cJSON_String, .valuestring = path});
}

static rt_status check_paths(const experiment *x, const char *key, const cJSON *v)
{
    struct stat s;
    for (const cJSON *c = cJSON_IsArray(v) ? v->child : NULL; c; c = c->next) RT_TRY(check_paths(x, key, c));
    if (cJSON_IsObject(v)) RT_TRY(check_teacher(x, key, v));
    if (!cJSON_IsString(v) || !*v->valuestring || !stat(v->valuestring, &s)) return RT_OK;
    int error = errno, made = 0;
    if (rt_errno_status(error) == RT_INPUT) RT_TRY(made_before(x, v->valuestring, &made));
    if (made) return RT_OK;
    if (rt_errno_status(error) == RT_RUN) return rt_fail(RT_RUN, "%s: '%s': %s", key, v->valuestring, strerror(error));
    return rt_fail(RT_INPUT, "%s: '%s': %s, and no step before this one makes it", key, v->valuestring,
                   strerror(error));
}

/* Every file that the step names is there, or will be. */
static rt_status check_files(const experiment *x, const step *s)
{
    static const char *const key[] = {"input",   "labels",   "like",     "init",      "model",
                                      "teacher", "students", "baseline", "candidate", "data",  "policy"};
    static const char *const of_data[] = {"source", "labels", "policy"}, *const of_sets[] = {"x", "targets", "x"};
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(s->with, "data");
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        RT_TRY(check_paths(x, key[i], cJSON_GetObjectItemCaseSensitive(s->with, key[i])));
    for (int i = 0; i < 3; i++) RT_TRY(check_paths(x, of_data[i], cJSON_GetObjectItemCaseSensitive(data, of_data[i])));
    const cJSON *mask = cJSON_GetObjectItemCaseSensitive(data, "mask");
    RT_TRY(check_paths(x, "mask", cJSON_IsObject(mask) ? cJSON_GetObjectItemCaseSensitive(mask, "source") : mask));
    for (int i = 0; i < 3; i++) {
        const cJSON *sets = cJSON_GetObjectItemCaseSensitive(i == 2 ? s->with : data, of_sets[i]);
        for (const cJSON *c = cJSON_IsObject(sets) ? sets->child : NULL; c; c = c->next)
            RT_TRY(check_paths(x, "source", cJSON_GetObjectItemCaseSensitive(c, "source")));
    }
    return RT_OK;
}

static rt_status check_export(const experiment *x, cJSON *with)
{
    const char *stores[MAX_STEPS + 1];
    int n = 0;
    for (int i = 0; i < x->steps; i++) if (x->step[i].action == LABEL) stores[n++] = x->step[i].output;
    stores[n] = NULL;
    return rt_export_check(with, stores);
}

/* Whether the device can do what the step asks of it, before the first step runs. */
static rt_status check_device(const experiment *x, const step *s, cJSON *with)
{
    static const char *const section[] = {[TRAIN] = "train", [LABEL] = "label", [EVAL] = "eval", [GATE] = ""};
    const char *of = section[s->action];
    cJSON *keys = of && *of ? cJSON_GetObjectItemCaseSensitive(with, of) : with;
    if (!computes(s)) return RT_OK;
    if (s->action == TRAIN) RT_TRY(rt_train_check_device(with, x->device));
    if (!cJSON_HasObjectItem(keys, "precision")) return RT_OK;
    rt_cfg c = rt_cfg_begin(keys, of && *of ? of : "");
    rt_status st = rt_device_check_precision(x->device, rt_precision_read(&c));
    return st ? rt_fail_in(st, "%s%sprecision", of && *of ? of : "", of && *of ? "." : "") : RT_OK;
}

static rt_status check_step(const experiment *x, const step *s)
{
    cJSON *copy = cJSON_Duplicate(s->with, 1);
    if (!copy) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    if (s->action == TRAIN) st = rt_train_check(copy);
    if (s->action == IMPORT) st = rt_import_check(copy);
    if (s->action == LABEL) st = rt_label_check(copy);
    if (s->action == QUANTIZE) st = rt_quantize_check(copy);
    if (s->action == PREDICT) st = rt_predict_check(copy);
    if (s->action == EVAL) st = rt_evaluate_check(copy);
    if (s->action == EXPORT) st = check_export(x, copy);
    if (s->action == GATE) st = rt_gate_check(copy);
    if (!st) st = check_files(x, s);
    if (!st) st = check_device(x, s, copy);
    cJSON_Delete(copy);
    return st ? rt_fail_in(st, "step '%s'", s->name) : RT_OK;
}

/* Specifications in files of their own become part of the step, whose references and files are then seen to. */
static rt_status unfold_teachers(step *s)
{
    static const char *const key[] = {"teacher", "students", "baseline", "candidate", "model"};
    int keys = s->action == PREDICT ? 5 : s->action == TRAIN || s->action == LABEL || s->action == EVAL ? 4 : 0;
    for (int i = 0; i < keys; i++) {
        rt_status st = rt_teacher_spec_unfold(s->with, key[i]);
        if (st) return rt_fail_in(st, "step '%s'", s->name);
    }
    return RT_OK;
}

static rt_status read_experiment(cJSON *config, const char *out_override, experiment *x)
{
    rt_cfg c = rt_cfg_begin(config, "");
    x->name = rt_cfg_string(&c, "name", "experiment");
    if (!out_override && !rt_cfg_has(&c, "out"))
        rt_cfg_fail(&c, "out", "no folder is told: give --out FOLDER, or \"out\" in the experiment");
    x->out = rt_cfg_file(&c, "out", out_override);
    if (out_override) x->out = out_override;
    int seeded = rt_cfg_has(&c, "seed");
    x->seed = rt_cfg_u64(&c, "seed", 1);
    cJSON *steps = rt_cfg_array(&c, "steps");
    if (!steps) rt_cfg_fail(&c, "steps", "a list of steps is required");
    RT_TRY(rt_cfg_end(&c));
    for (cJSON *j = steps->child; j; j = j->next) {
        char at[64];
        step *s = &x->step[x->steps];
        if (x->steps == MAX_STEPS) return rt_fail(RT_USAGE, "steps: at most %d are supported", MAX_STEPS);
        snprintf(at, sizeof at, "steps[%d]", x->steps);
        rt_cfg q = rt_cfg_begin(j, at);
        s->name = rt_cfg_string(&q, "name", NULL);
        s->action = rt_cfg_choice(&q, "do", actions, -1);
        rt_cfg w = rt_cfg_object(&q, "with");
        RT_TRY(w.status);
        s->with = w.object;
        RT_TRY(rt_cfg_end(&q));
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
        if (!*s->name || strspn(s->name, letters) != strlen(s->name) || strlen(s->name) > 64)
            return rt_fail(RT_USAGE, "%s.name: '%.70s' must be up to 64 letters, digits, '_' or '-'", at, s->name);
        for (int i = 0; i < x->steps; i++)
            if (strcmp(x->step[i].name, s->name) == 0)
                return rt_fail(RT_USAGE, "%s.name: two steps are called '%s'", at, s->name);
        if (s->action == TRAIN && seeded && !cJSON_GetObjectItemCaseSensitive(s->with, "seed"))
            cJSON_AddItemToObject(s->with, "seed", cJSON_Duplicate(rt_cfg_any(&c, "seed"), 1));
        output_of(x, s);
        RT_TRY(unfold_teachers(s));
        RT_TRY(resolve(x, x->steps, s->with, s->name));
        RT_TRY(check_step(x, s));
        x->steps++;
    }
    return x->steps ? RT_OK : rt_fail(RT_NOTHING, "steps: the list is empty");
}

enum { MAX_DEPTH = 16 };

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* A folder of images stands for the names and contents of all its files, in the order of their names. */
static rt_status hash_folder(const char *path, int depth, rt_hasher *h)
{
    struct dirent **list;
    rt_status st = RT_OK;
    if (depth == MAX_DEPTH) return rt_fail(RT_INPUT, "%s: folders are nested more than %d deep", path, MAX_DEPTH);
    int n = scandir(path, &list, NULL, by_name);
    if (n < 0) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        char at[4096];
        struct stat s;
        rt_digest d;
        if (!st && strcmp(name, ".") && strcmp(name, "..")) {
            if (snprintf(at, sizeof at, "%s/%s", path, name) >= (int)sizeof at)
                st = rt_fail(RT_INPUT, "%s: the path of '%.40s' is too long", path, name);
            else if (stat(at, &s)) st = rt_fail(rt_errno_status(errno), "%s: %s", at, strerror(errno));
            rt_hasher_add(h, name, strlen(name) + 1);
            if (!st && S_ISDIR(s.st_mode)) st = hash_folder(at, depth + 1, h);
            else if (!st && S_ISREG(s.st_mode) && !(st = rt_digest_file(&d, at, 1))) rt_hasher_add(h, d.hex, 32);
        }
        free(list[i]);
    }
    if (n) free(list);
    return st;
}

/* Every string that names a file stands for its content; the input of an import may be a folder. */
static rt_status hash_files(const cJSON *j, int folders, rt_hasher *h)
{
    for (const cJSON *c = j->child; c; c = c->next) {
        struct stat s;
        rt_digest d;
        if (c->child) RT_TRY(hash_files(c, 0, h));
        if (!cJSON_IsString(c)) continue;
        char path[4096];
        if (!file_of(c->valuestring, path)) continue;
        if (stat(path, &s)) {                              /* most texts name no file */
            if (rt_errno_status(errno) == RT_INPUT) continue;
            return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
        }
        if (S_ISDIR(s.st_mode) && folders && c->string && strcmp(c->string, "input") == 0)
            RT_TRY(hash_folder(path, 0, h));
        if (!S_ISREG(s.st_mode)) continue;
        RT_TRY(rt_digest_file(&d, path, 1));
        rt_hasher_add(h, d.hex, 32);
    }
    return RT_OK;
}

static rt_status hash_step(const experiment *x, const step *s, rt_digest *out)
{
    rt_hasher *h = rt_hasher_new();
    cJSON *with = cJSON_Duplicate(s->with, 1);
    if (with) rt_json_sort(with);
    char *text = with ? cJSON_PrintUnformatted(with) : NULL;
    rt_status st = text ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        char family[RT_FAMILY_TEXT];
        rt_device_set_precision(x->device, RT_P_FP32);     /* the step's own is in its configuration */
        const char *kernels = computes(s) ? rt_device_family(x->device, family) : rt_kernels_get()->name;
        rt_hasher_add(h, rt_version(), strlen(rt_version()));
        rt_hasher_add(h, kernels, strlen(kernels));
        rt_hasher_add(h, actions[s->action], strlen(actions[s->action]));
        rt_hasher_add(h, text, strlen(text));
        if (s->action == GATE) {                           /* waivers end */
            const int64_t day = time(NULL) / 86400;
            rt_hasher_add(h, &day, sizeof day);
        }
        st = hash_files(with, s->action == IMPORT, h);
    }
    cJSON_free(text);
    cJSON_Delete(with);
    *out = rt_hasher_end(h);
    return st;
}

/* What a step leaves beside its output. */
static void state_name(char out[STATE_NAME], const step *s, const char *kind)
{
    snprintf(out, STATE_NAME, "%s.%s.json", s->name, kind);
}

static rt_status check_ours(const rt_run_folder *f, const char *name)
{
    char path[RT_FOLDER_PATH];
    cJSON *j = NULL;
    int has;
    RT_TRY(rt_run_folder_has(f, name, &has));
    if (!has) return RT_OK;
    rt_run_folder_path(f, path, name);
    rt_status st = rt_json_sealed_file(&j, path);
    int ours = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(j, "hash"));
    cJSON_Delete(j);
    if (ours || st == RT_RUN) return st;
    return rt_fail(RT_USAGE,
                   "%s: is there and no run of retort wrote it, or it is damaged; move it away, or give another "
                   "--out",
                   path);
}

/* The folder with its lock; what it holds under the names of states is ours. */
static rt_status take_folder(experiment *x)
{
    enum { KINDS = 2 };
    static const char *const kind[KINDS] = {"step", "begun"};
    char (*name)[STATE_NAME] = calloc((size_t)x->steps * KINDS, sizeof *name);
    const char **list = calloc((size_t)x->steps * KINDS + 1, sizeof *list);
    rt_status st = name && list ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < x->steps * KINDS && !st; i++) {
        state_name(name[i], &x->step[i / KINDS], kind[i % KINDS]);
        list[i] = name[i];
    }
    if (!st) st = rt_run_folder_open(&x->folder, &(rt_target){.path = x->out, .config = x->config}, NULL, list);
    for (int i = 0; i < x->steps * KINDS && !st; i++) st = check_ours(x->folder, list[i]);
    free(list);
    free(name);
    return st;
}

/* A state that is there, or NULL: one that is damaged counts as none, one that the machine does not give is an error.
 */
static rt_status read_state(const char *path, cJSON **state)
{
    int there;
    *state = NULL;
    RT_TRY(rt_file_there(path, &there));
    rt_status st = there ? rt_json_sealed_file(state, path) : RT_OK;
    return st == RT_INPUT ? RT_OK : st;
}

/* *same: the step's last state, and its result, are those of this hash. */
static rt_status unchanged(const char *state_path, const rt_digest *hash, const step *s, cJSON **old, int *same)
{
    rt_digest d;
    *same = 0;
    RT_TRY(read_state(state_path, old));
    const char *was = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(*old, "hash"));
    const char *made = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(*old, "output_xxh128"));
    if (!was || !made || strcmp(was, hash->hex)) return RT_OK;
    RT_TRY(rt_file_there(s->product, same));
    if (*same) RT_TRY(rt_digest_file(&d, s->product, 1));
    *same = *same && strcmp(d.hex, made) == 0;
    return RT_OK;
}

static rt_status perform(const experiment *x, step *s, int stale, cJSON **result)
{
    rt_train_options o = {
        .out = s->place, .force = stale, .config = x->config, .device = x->device, .progress = x->progress};
    rt_target out = {.path = s->place, .force = 1, .config = x->config};
    switch (s->action) {
    case IMPORT: return rt_import(s->with, &out, x->progress, result);
    case TRAIN: return rt_train(s->with, &o, result);
    case LABEL:
        out.force = stale;
        return rt_label(s->with, &out, x->device, x->progress, result);
    case QUANTIZE: return rt_quantize(s->with, &out, x->cpu ? x->cpu : x->device, x->progress, result);
    case PREDICT: return rt_predict_rows(s->with, &out, x->device, x->progress, result);
    case EXPORT: return rt_export(s->with, &out, result);
    case GATE: return rt_gate_run(s->with, &out, x->device, x->progress, result);
    default:
        out.force = 0;
        return rt_evaluate(s->with, &out, x->device, x->progress, result);
    }
}

/* A first attempt that was interrupted has left its hash: it goes on; anything else starts again. before: the digest of
 * what had the output's place when it began, "" of nothing. */
static rt_status was_begun(const char *path, const rt_digest *hash, char before[33], int *same)
{
    cJSON *b;
    before[0] = 0;
    RT_TRY(read_state(path, &b));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(b, "hash"));
    const char *old = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(b, "before"));
    *same = text && old && strcmp(text, hash->hex) == 0;
    if (*same) snprintf(before, 33, "%s", old);
    cJSON_Delete(b);
    return RT_OK;
}

/* An export, or predictions, go before it is made anew when the last success made it, or the attempt that goes on: both
 * are known by digests, also where the file system keeps no marks by which the export itself could tell. */
static rt_status remove_own_export(const step *s, const cJSON *state, int resume, char before[33])
{
    rt_digest d = {""};
    int there;
    const char *made = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(state, "output_xxh128"));
    if (s->action != EXPORT && s->action != PREDICT) return RT_OK;
    RT_TRY(rt_file_there(s->product, &there));
    if (there) RT_TRY(rt_digest_file(&d, s->product, 1));
    int ours = (made && !strcmp(d.hex, made)) || (resume && strcmp(d.hex, before));
    if (!resume) snprintf(before, 33, "%s", d.hex);
    if (!d.hex[0] || !ours) return RT_OK;
    if (unlink(s->product)) return rt_fail(RT_RUN, "%s: cannot be removed: %s", s->product, strerror(errno));
    before[0] = 0;
    return RT_OK;
}

static rt_status keep_state(const experiment *x, const step *s, const rt_digest *hash, const cJSON *result)
{
    rt_digest made;
    char name[STATE_NAME];
    state_name(name, s, "step");
    RT_TRY(rt_digest_file(&made, s->product, 1));
    cJSON *state = cJSON_CreateObject();
    cJSON_AddStringToObject(state, "hash", hash->hex);
    cJSON_AddStringToObject(state, "output_xxh128", made.hex);
    cJSON_AddItemToObject(state, "with", cJSON_Duplicate(s->with, 1));
    cJSON_AddItemToObject(state, "result", cJSON_Duplicate(result, 1));
    char *text = rt_json_sealed(state);
    rt_status st = text ? rt_run_folder_write(x->folder, name, text, strlen(text)) : rt_fail(RT_RUN, "out of memory");
    free(text);
    cJSON_Delete(state);
    return st;
}

static rt_status keep_begun(const experiment *x, const char *name, const rt_digest *hash, const char *before)
{
    cJSON *begun = cJSON_CreateObject();
    cJSON_AddStringToObject(begun, "hash", hash->hex);
    cJSON_AddStringToObject(begun, "before", before);
    char *text = rt_json_sealed(begun);
    rt_status st = text ? rt_run_folder_write(x->folder, name, text, strlen(text)) : rt_fail(RT_RUN, "out of memory");
    free(text);
    cJSON_Delete(begun);
    return st;
}

static rt_status do_step(const experiment *x, int i, const rt_digest *hash, const cJSON *old, cJSON *entry,
                         cJSON **result)
{
    step *s = (step *)&x->step[i];
    char begun[STATE_NAME], path[RT_FOLDER_PATH], line[256], before[33];
    state_name(begun, s, "begun");
    rt_run_folder_path(x->folder, path, begun);
    int resume;
    RT_TRY(was_begun(path, hash, before, &resume));
    RT_TRY(remove_own_export(s, old, resume, before));
    RT_TRY(keep_begun(x, begun, hash, before));
    snprintf(line, sizeof line, "[%d/%d] %s: %s", i + 1, x->steps, s->name, actions[s->action]);
    rt_progress_line(x->progress, line);
    double start = rt_seconds();
    rt_status st = perform(x, s, !resume, result);
    if (st && !(s->action == GATE && *result)) {           /* a verdict is a result, whatever it says */
        cJSON_Delete(*result);
        *result = NULL;
        return rt_fail_in(st, "step '%s'", s->name);
    }
    RT_TRY(keep_state(x, s, hash, *result));
    cJSON_AddStringToObject(entry, "state", "done");
    cJSON_AddNumberToObject(entry, "seconds", rt_seconds() - start);
    return RT_OK;
}

static rt_status run_step(const experiment *x, int i, cJSON *list, cJSON *summary)
{
    const step *s = &x->step[i];
    char path[RT_FOLDER_PATH], name[STATE_NAME], line[256];
    rt_digest hash;
    cJSON *old, *result = NULL, *entry = cJSON_CreateObject();
    rt_status st = RT_OK;
    cJSON_AddItemToArray(list, entry);
    cJSON_AddStringToObject(entry, "name", s->name);
    cJSON_AddStringToObject(entry, "do", actions[s->action]);
    cJSON_AddStringToObject(entry, "output", s->output);
    state_name(name, s, "step");
    rt_run_folder_path(x->folder, path, name);
    RT_TRY(hash_step(x, s, &hash));
    int same;
    RT_TRY(unchanged(path, &hash, s, &old, &same));
    if (same) {
        snprintf(line, sizeof line, "[%d/%d] %s: unchanged, skipped", i + 1, x->steps, s->name);
        rt_progress_line(x->progress, line);
        cJSON_AddStringToObject(entry, "state", "unchanged");
        result = cJSON_DetachItemFromObjectCaseSensitive(old, "result");
    } else st = do_step(x, i, &hash, old, entry, &result);
    cJSON_Delete(old);
    state_name(name, s, "begun");
    if (!st) st = rt_run_folder_remove(x->folder, name);
    if (st) {
        cJSON_Delete(result);
        return st;
    }
    if (result && s->action == GATE) {
        snprintf(line, sizeof line, "step '%s'", s->name);
        st = rt_gate_status(result, line);
    }
    if (result && s->action == EVAL) {
        cJSON_DeleteItemFromObjectCaseSensitive(summary, "evaluation");
        cJSON_DeleteItemFromObjectCaseSensitive(summary, "report");
        snprintf(path, sizeof path, "%s/report.html", s->output);
        cJSON_AddStringToObject(summary, "report", path);
        cJSON_AddItemToObject(summary, "evaluation", result);
    } else if (result) {
        cJSON_DeleteItemFromObjectCaseSensitive(result, "history");
        cJSON_AddItemToObject(entry, "result", result);
    }
    return st;
}

rt_status rt_experiment_run(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress,
                            cJSON **result)
{
    experiment *x = calloc(1, sizeof *x);
    *result = NULL;
    if (!x) return rt_fail(RT_RUN, "out of memory");
    x->device = device;
    x->progress = progress;
    x->config = out->config;
    rt_status st = read_experiment(config, out->path, x);
    for (int i = 0; i < x->steps && !st && !x->cpu && !rt_device_is_cpu(device); i++)
        if (x->step[i].action == QUANTIZE && !(x->cpu = rt_device_cpu(rt_device_threads(device)))) st = RT_RUN;
    if (!st) st = take_folder(x);
    if (!st) {
        cJSON *r = *result = cJSON_CreateObject();
        cJSON_AddStringToObject(r, "name", x->name);
        cJSON_AddStringToObject(r, "out", x->out);
        cJSON *list = cJSON_AddArrayToObject(r, "steps");
        double start = rt_seconds();
        for (int i = 0; i < x->steps && !st; i++) {
            st = run_step(x, i, list, r);
            cJSON *entry = cJSON_GetArrayItem(list, i);
            if (st && !cJSON_GetObjectItemCaseSensitive(entry, "state"))
                cJSON_AddStringToObject(entry, "state", st == RT_INTERRUPTED ? "interrupted" : "failed");
            if (!st && rt_stopped())
                st = rt_fail(RT_INTERRUPTED, "interrupted after step '%s'; the same command goes on from here",
                             x->step[i].name);
        }
        cJSON_AddNumberToObject(r, "seconds", rt_seconds() - start);
    }
    rt_run_folder_close(x->folder);
    rt_device_close(x->cpu);
    free(x);
    return st;
}
