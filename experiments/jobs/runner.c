#include "experiments/jobs/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data/precision.h"
#include "engine/clock.h"
#include "engine/kernels.h"
#include "engine/version.h"
#include "experiments/jobs/runner_parts.h"
#include "teacher/spec.h"

enum { STATE_NAME = 96, KINDS = 16, FILES = 2 /* that a step makes */ };

/* Whether the device can do what the step asks of it, before the first step runs. */
static rt_status check_device(const rt_run *x, const rt_run_step *s, cJSON *with)
{
    const char *of = s->kind->precision;
    cJSON *keys = of && *of ? cJSON_GetObjectItemCaseSensitive(with, of) : with;
    if (!(s->kind->is & RT_STEP_COMPUTES)) return RT_OK;
    if (!of || !cJSON_HasObjectItem(keys, "precision")) return RT_OK;
    rt_cfg c = rt_cfg_begin(keys, of);
    rt_status st = rt_device_check_precision(x->device, rt_precision_read(&c));
    return st ? rt_fail_in(st, "%s%sprecision", of, *of ? "." : "") : RT_OK;
}

/* A temperature that a step before will find cannot be read yet: any number stands for it until then. */
static void assume_temperature(const rt_run *x, cJSON *with)
{
    cJSON *data = cJSON_GetObjectItemCaseSensitive(with, "data");
    cJSON *policy = cJSON_GetObjectItemCaseSensitive(data, "policy");
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(policy, "temperature"));
    for (int i = 0; i < x->steps && file; i++)
        if (!strcmp(file, x->step[i].output)) {
            cJSON_ReplaceItemInObjectCaseSensitive(policy, "temperature", cJSON_CreateNumber(1));
            return;
        }
}

static rt_status check_step(const rt_run *x, const rt_run_step *s)
{
    cJSON *copy = cJSON_Duplicate(s->with, 1);
    if (!copy) return rt_fail(RT_RUN, "out of memory");
    assume_temperature(x, copy);
    rt_status st = s->kind->check(x, copy);
    if (!st) st = rt_step_check_files(x, s);
    if (!st) st = check_device(x, s, copy);
    cJSON_Delete(copy);
    return st ? rt_fail_in(st, "step '%s'", s->name) : RT_OK;
}

/* Specifications in files of their own become part of the step, whose references and files are then seen to. */
static rt_status unfold_teachers(rt_run_step *s)
{
    static const char *const key[] = {"teacher", "students", "baseline", "candidate", "model", "against"};
    for (int i = 0; i < s->kind->specifications; i++) {
        rt_status st = rt_teacher_spec_unfold(s->with, key[i]);
        if (st) return rt_fail_in(st, "step '%s'", s->name);
    }
    return RT_OK;
}

static rt_status read_experiment(cJSON *config, const char *out_override, rt_run *x)
{
    const char *actions[KINDS + 1] = {NULL};
    for (int i = 0; rt_step_kinds[i].name; i++) actions[i] = rt_step_kinds[i].name;
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
        rt_run_step *s = &x->step[x->steps];
        if (x->steps == RT_STEPS) return rt_fail(RT_USAGE, "steps: at most %d are supported", RT_STEPS);
        snprintf(at, sizeof at, "steps[%d]", x->steps);
        rt_cfg q = rt_cfg_begin(j, at);
        s->name = rt_cfg_string(&q, "name", NULL);
        int action = rt_cfg_choice(&q, "do", actions, -1);
        rt_cfg w = rt_cfg_object(&q, "with");
        RT_TRY(w.status);
        s->with = w.object;
        s->kind = &rt_step_kinds[action];
        RT_TRY(rt_cfg_end(&q));
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
        if (!*s->name || strspn(s->name, letters) != strlen(s->name) || strlen(s->name) > 64)
            return rt_fail(RT_USAGE, "%s.name: '%.70s' must be up to 64 letters, digits, '_' or '-'", at, s->name);
        for (int i = 0; i < x->steps; i++)
            if (strcmp(x->step[i].name, s->name) == 0)
                return rt_fail(RT_USAGE, "%s.name: two steps are called '%s'", at, s->name);
        if (seeded && s->kind->seeded && s->kind->seeded(s->with) && !cJSON_GetObjectItemCaseSensitive(s->with, "seed"))
            cJSON_AddItemToObject(s->with, "seed", cJSON_Duplicate(rt_cfg_any(&c, "seed"), 1));
        rt_step_place(x, s);
        RT_TRY(unfold_teachers(s));
        RT_TRY(rt_step_resolve(x, s->with, s->name));
        RT_TRY(check_step(x, s));
        x->steps++;
    }
    return x->steps ? RT_OK : rt_fail(RT_NOTHING, "steps: the list is empty");
}

static rt_status hash_step(const rt_run *x, const rt_run_step *s, rt_digest *out)
{
    rt_hasher *h = rt_hasher_new();
    cJSON *with = cJSON_Duplicate(s->with, 1);
    if (with) rt_json_sort(with);
    char *text = with ? cJSON_PrintUnformatted(with) : NULL;
    rt_status st = text ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        char family[RT_FAMILY_TEXT];
        rt_device_set_precision(x->device, RT_P_FP32);     /* the step's own is in its configuration */
        const char *kernels = s->kind->is & RT_STEP_COMPUTES ? rt_device_family(x->device, family)
                                                             : rt_kernels_get()->name;
        rt_hasher_add(h, rt_tool_version(), strlen(rt_tool_version()));
        rt_hasher_add(h, kernels, strlen(kernels));
        rt_hasher_add(h, s->kind->name, strlen(s->kind->name));
        rt_hasher_add(h, text, strlen(text));
        if (s->kind->is & RT_STEP_DAILY) {                 /* waivers end */
            const int64_t day = time(NULL) / 86400;
            rt_hasher_add(h, &day, sizeof day);
        }
        st = rt_step_hash_files(with, s->kind->is & RT_STEP_INPUT_FOLDER, h);
        if (!st && s->kind->depends) st = s->kind->depends(s->with, h);
    }
    cJSON_free(text);
    cJSON_Delete(with);
    *out = rt_hasher_end(h);
    return st;
}

/* What a step leaves beside its output. */
static void state_name(char out[STATE_NAME], const rt_run_step *s, const char *kind)
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
static rt_status take_folder(rt_run *x)
{
    enum { STATES = 2 };
    static const char *const kind[STATES] = {"step", "begun"};
    char (*name)[STATE_NAME] = calloc((size_t)x->steps * STATES, sizeof *name);
    const char **list = calloc((size_t)x->steps * STATES + 1, sizeof *list);
    rt_status st = name && list ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < x->steps * STATES && !st; i++) {
        state_name(name[i], &x->step[i / STATES], kind[i % STATES]);
        list[i] = name[i];
    }
    if (!st) st = rt_run_folder_open(&x->folder, &(rt_target){.path = x->out, .config = x->config}, NULL, list);
    for (int i = 0; i < x->steps * STATES && !st; i++) st = check_ours(x->folder, list[i]);
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

/* The files that a step makes, and what their digests are called in its state. */
static const char *const digest_keys[FILES] = {"output_xxh128", "beside_xxh128"};
static const char *const before_keys[FILES] = {"before", "beside_before"};
static const char *made_file(const rt_run_step *s, int i) { return i ? s->beside : s->product; }

/* *same: the step's last state, and its result, are those of this hash. */
static rt_status unchanged(const char *state_path, const rt_digest *hash, const rt_run_step *s, cJSON **old, int *same)
{
    rt_digest d;
    *same = 0;
    RT_TRY(read_state(state_path, old));
    const char *was = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(*old, "hash"));
    if (!was || strcmp(was, hash->hex)) return RT_OK;
    int all = 1;
    for (int i = 0; i < FILES && *made_file(s, i) && all; i++) {
        const char *made = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(*old, digest_keys[i]));
        RT_TRY(rt_file_there(made_file(s, i), &all));
        if (all) RT_TRY(rt_digest_file(&d, made_file(s, i), 1));
        all = all && made && strcmp(d.hex, made) == 0;
    }
    *same = all;
    return RT_OK;
}

/* What had the places of the step's files when it began: digests, "" of nothing. */
typedef struct { char of[FILES][33]; } earlier;

/* A first attempt that was interrupted has left its hash: it goes on; anything else starts again. */
static rt_status was_begun(const char *path, const rt_digest *hash, const rt_run_step *s, earlier *before, int *same)
{
    cJSON *b;
    *before = (earlier){0};
    RT_TRY(read_state(path, &b));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(b, "hash"));
    *same = text && strcmp(text, hash->hex) == 0;
    for (int i = 0; i < FILES && *made_file(s, i); i++) {
        const char *old = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(b, before_keys[i]));
        *same = *same && old;
        if (*same) snprintf(before->of[i], 33, "%s", old);
    }
    cJSON_Delete(b);
    return RT_OK;
}

/* Exports, predictions and lists go before they are made anew when the last success made them, or the attempt that goes
 * on: both are known by digests, also where the file system keeps no marks by which who writes them could tell. */
static rt_status remove_own(const rt_run_step *s, const cJSON *state, int resume, earlier *before)
{
    for (int i = 0; i < FILES && *made_file(s, i) && s->kind->is & RT_STEP_MARKED; i++) {
        rt_digest d = {""};
        int there;
        const char *made = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(state, digest_keys[i]));
        RT_TRY(rt_file_there(made_file(s, i), &there));
        if (there) RT_TRY(rt_digest_file(&d, made_file(s, i), 1));
        int ours = (made && !strcmp(d.hex, made)) || (resume && strcmp(d.hex, before->of[i]));
        if (!resume) snprintf(before->of[i], 33, "%s", d.hex);
        if (!d.hex[0] || !ours) continue;
        if (unlink(made_file(s, i)))
            return rt_fail(RT_RUN, "%s: cannot be removed: %s", made_file(s, i), strerror(errno));
        before->of[i][0] = 0;
    }
    return RT_OK;
}

static rt_status seal(const rt_run *x, const char *name, cJSON *state)
{
    char *text = rt_json_sealed(state);
    rt_status st = text ? rt_run_folder_write(x->folder, name, text, strlen(text)) : rt_fail(RT_RUN, "out of memory");
    free(text);
    cJSON_Delete(state);
    return st;
}

static rt_status keep_state(const rt_run *x, const rt_run_step *s, const rt_digest *hash, const cJSON *result)
{
    rt_digest made[FILES];
    char name[STATE_NAME];
    int n = 0;
    state_name(name, s, "step");
    for (; n < FILES && *made_file(s, n); n++) RT_TRY(rt_digest_file(&made[n], made_file(s, n), 1));
    cJSON *state = cJSON_CreateObject();
    cJSON_AddStringToObject(state, "hash", hash->hex);
    for (int i = 0; i < n; i++) cJSON_AddStringToObject(state, digest_keys[i], made[i].hex);
    cJSON_AddItemToObject(state, "with", cJSON_Duplicate(s->with, 1));
    cJSON_AddItemToObject(state, "result", cJSON_Duplicate(result, 1));
    return seal(x, name, state);
}

static rt_status keep_begun(const rt_run *x, const char *name, const rt_digest *hash, const rt_run_step *s,
                            const earlier *before)
{
    cJSON *begun = cJSON_CreateObject();
    cJSON_AddStringToObject(begun, "hash", hash->hex);
    for (int i = 0; i < FILES && *made_file(s, i); i++)
        cJSON_AddStringToObject(begun, before_keys[i], before->of[i]);
    return seal(x, name, begun);
}

/* A file, or a folder with something in it. */
static rt_status is_taken(const char *path, int *taken)
{
    RT_TRY(rt_file_there(path, taken));
    DIR *d = *taken ? rt_folder_entries(AT_FDCWD, path) : NULL;
    int file = !*taken || errno == ENOTDIR || errno == ELOOP;
    if (!d) return file ? RT_OK : rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    rt_status st = RT_OK;
    *taken = 0;
    for (struct dirent *e; !*taken && !(st = rt_folder_next(d, path, &e)) && e;)
        *taken = strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return st;
}

/* What is there before a step has begun for the first time is another's work, whatever wrote it. */
static rt_status check_places(const rt_run *x, const rt_run_step *s, const char *begun, const cJSON *old)
{
    const char *const place[FILES] = {s->place, s->beside};
    int before = old != NULL, taken = 0;
    if (!before) RT_TRY(rt_run_folder_has(x->folder, begun, &before));
    for (int i = 0; i < FILES && *place[i] && !before; i++) {
        RT_TRY(is_taken(place[i], &taken));
        if (taken)
            return rt_fail(RT_USAGE,
                           "step '%s': %s is there, and this experiment did not make it; move it away, or give another "
                           "--out",
                           s->name, place[i]);
    }
    return RT_OK;
}

static rt_status do_step(const rt_run *x, int i, const rt_digest *hash, const cJSON *old, cJSON *entry,
                         cJSON **result)
{
    rt_run_step *s = (rt_run_step *)&x->step[i];
    char begun[STATE_NAME], path[RT_FOLDER_PATH], line[256];
    earlier before;
    state_name(begun, s, "begun");
    rt_run_folder_path(x->folder, path, begun);
    int resume;
    RT_TRY(check_places(x, s, begun, old));
    RT_TRY(was_begun(path, hash, s, &before, &resume));
    RT_TRY(remove_own(s, old, resume, &before));
    RT_TRY(keep_begun(x, begun, hash, s, &before));
    snprintf(line, sizeof line, "[%d/%d] %s: %s", i + 1, x->steps, s->name, s->kind->name);
    rt_progress_line(x->progress, line);
    double start = rt_seconds();
    rt_status st = s->kind->perform(x, s, !resume, result);
    if (st && !(s->kind->is & RT_STEP_VERDICT && *result)) {           /* a verdict is a result, whatever it says */
        cJSON_Delete(*result);
        *result = NULL;
        return rt_fail_in(st, "step '%s'", s->name);
    }
    RT_TRY(keep_state(x, s, hash, *result));
    cJSON_AddStringToObject(entry, "state", "done");
    cJSON_AddNumberToObject(entry, "seconds", rt_seconds() - start);
    return RT_OK;
}

/* What the experiment ends with after a verdict. */
static rt_status verdict_of(const rt_run_step *s, const cJSON *result)
{
    const char *what = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "verdict"));
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(result, "exit_code");
    if (!cJSON_IsNumber(code)) return rt_fail(RT_RUN, "step '%s': %s gave no verdict", s->name, s->kind->name);
    return code->valueint ? rt_fail((rt_status)code->valueint, "step '%s': the verdict of %s is: %s", s->name,
                                    s->kind->name, what ? what : "?")
                          : RT_OK;
}

static rt_status run_step(const rt_run *x, int i, cJSON *list, cJSON *summary)
{
    const rt_run_step *s = &x->step[i];
    char path[RT_FOLDER_PATH], name[STATE_NAME], line[256];
    rt_digest hash;
    cJSON *old, *result = NULL, *entry = cJSON_CreateObject();
    rt_status st = RT_OK;
    cJSON_AddItemToArray(list, entry);
    cJSON_AddStringToObject(entry, "name", s->name);
    cJSON_AddStringToObject(entry, "do", s->kind->name);
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
    if (result && s->kind->is & RT_STEP_VERDICT) {
        st = verdict_of(s, result);
    }
    if (result && s->kind->is & RT_STEP_EVALUATION) {
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
    rt_run *x = calloc(1, sizeof *x);
    *result = NULL;
    if (!x) return rt_fail(RT_RUN, "out of memory");
    x->device = device;
    x->progress = progress;
    x->config = out->config;
    rt_status st = read_experiment(config, out->path, x);
    for (int i = 0; i < x->steps && !st && !x->cpu && !rt_device_is_cpu(device); i++)
        if (x->step[i].kind->is & RT_STEP_CALIBRATES && !(x->cpu = rt_device_cpu(rt_device_threads(device))))
            st = RT_RUN;
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
