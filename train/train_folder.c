#include "train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"

static const char *const format = "retort-run-1";

/* ---- content ---- */

/* What labels and columns mean: the names that data, model and teachers have for them. */
static rt_status names_digest(const rt_trainer *t, rt_digest *out)
{
    rt_names classes, columns;
    rt_status st = rt_names_read(rt_source_file(t->x), &classes, NULL);
    rt_hasher *h = rt_hasher_new();
    rt_names_hash(h, &classes);
    for (int i = 0; i < rt_source_parts(t->x) && !st; i++) {
        st = rt_source_columns(rt_source_part(t->x, i, NULL, NULL), &columns);
        rt_names_hash(h, &columns);
        rt_names_free(&columns);
    }
    rt_heads_hash(h, t->model->head, t->model->heads);
    for (int i = 0; i < t->model->inputs; i++) rt_names_hash(h, &t->model->input[i].columns);
    if (t->teacher) rt_teacher_hash_names(t->teacher, h);
    *out = rt_hasher_end(h);
    rt_names_free(&classes);
    return st;
}

/* What the sets of targets hold: of one head of classes "y" as such, of others the digest of all. */
static rt_status add_targets(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    int plain = rt_heads_plain(s->head, s->heads), any = 0;
    rt_digest d = {0};
    rt_hasher *all = rt_hasher_new();
    rt_status st = RT_OK;
    for (int h = 0; h < s->heads && !st; h++) {
        const rt_target_where *w = &s->of[h].where;
        char text[RT_HEAD_NAME + 64];
        rt_source *y;
        if (!t->learn[h].y) continue;
        st = rt_source_open(&y, w->source ? w->source : s->source, w->set);
        if (!st) st = rt_identity_of(&d, y, s->check, rt_device_pool(t->opt->device), t->opt->progress);
        rt_source_close(y);
        if (st) break;
        int n = snprintf(text, sizeof text, "%s:%d:%s;", s->head[h].name, w->column, d.hex);
        rt_hasher_add(all, text, (size_t)n);
        any = 1;
    }
    rt_digest of_all = rt_hasher_end(all);
    if (!st && any) cJSON_AddStringToObject(t->content, plain ? "y" : "targets", plain ? d.hex : of_all.hex);
    return st;
}

rt_status rt_train_content(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    rt_digest d;
    t->content = cJSON_CreateObject();
    cJSON_AddStringToObject(t->content, "x", t->data_digest.hex);
    RT_TRY(names_digest(t, &d));
    cJSON_AddStringToObject(t->content, "names", d.hex);
    RT_TRY(add_targets(t));
    if (t->teacher) {
        RT_TRY(rt_teacher_digest(t->teacher, &d));
        cJSON_AddStringToObject(t->content, *s->labels ? "labels" : "teacher", d.hex);
    }
    const rt_trainer *other = t->peer ? t->peer : t->first;
    if (other) cJSON_AddStringToObject(t->content, "teacher", other->config_digest);
    if (*s->init) cJSON_AddStringToObject(t->content, "init", t->init_digest.hex);
    if (*s->mask.source) cJSON_AddStringToObject(t->content, "mask", t->mask_digest.hex);
    if (s->rows.folds && *s->rows.by) cJSON_AddStringToObject(t->content, "folds", t->fold_digest.hex);
    return RT_OK;
}

rt_status rt_train_same_content(const rt_trainer *t, const cJSON *kept, const char *where)
{
    static const struct { const char *key, *name; } part[] = {
        {"x", "other data (data.x)"}, {"y", "other class labels (data.y)"},
        {"targets", "other targets (data.targets)"},
        {"names", "other names of classes or columns"}, {"labels", "another label store (data.labels)"},
        {"teacher", "another teacher"}, {"init", "another model to start from (init)"},
        {"mask", "another mask of rows (data.mask)"}, {"folds", "other folds of rows (data.fold_by)"},
    };
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        const char *now = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(t->content, part[i].key));
        const char *then = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(kept, part[i].key));
        if (!now && !then) continue;
        if (!now || !then || strcmp(now, then))
            return rt_fail(RT_USAGE,
                           "%s: was trained with %s: %.32s then, %.32s now; give another --out, or --force to "
                           "replace it",
                           where, part[i].name, then ? then : "none", now ? now : "none");
    }
    return RT_OK;
}

/* ---- folder ---- */

rt_status rt_train_write_text(rt_trainer *t, const char *name, const char *text)
{
    return rt_run_folder_write(t->run, name, text, strlen(text));
}

/* Whether the folder holds the run that is asked for; else an error that says in what they differ. */
static rt_status check_run(const rt_trainer *t, const char *path)
{
    cJSON *run;
    rt_status st = rt_json_sealed_file(&run, path);
    if (st)
        return rt_fail_in(st, "%s: the run cannot be gone on with; give another --out, or --force to replace it",
                          t->opt->out);
    const char *is = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run, "format"));
    const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run, "config_digest"));
    if (!is || strcmp(is, format))
        st = rt_fail(RT_USAGE,
                     "%s: holds a run of another version of retort, which does not tell what data it was trained "
                     "on; give another --out, or --force to replace it",
                     t->opt->out);
    else if (!digest || strcmp(digest, t->config_digest))
        st = rt_fail(RT_USAGE,
                     "%s: holds a run with another configuration; give another --out, or --force to replace it",
                     t->opt->out);
    else st = rt_train_same_content(t, cJSON_GetObjectItemCaseSensitive(run, "content"), t->opt->out);
    cJSON_Delete(run);
    return st;
}

/* run.json of any version, or no run of ours. */
static rt_status check_ours(const rt_trainer *t, const char *path)
{
    cJSON *run = NULL;
    rt_status st = rt_json_file(&run, path);
    const char *is = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run, "format"));
    int ours = is && !strncmp(is, "retort-run-", 11);
    cJSON_Delete(run);
    if (st == RT_RUN || st == RT_INTERRUPTED || ours) return ours ? RT_OK : st;
    return rt_fail(RT_USAGE,
                   "%s: is there and no run of retort wrote it, so --force does not replace %s; move it away, or "
                   "give another --out",
                   path, t->opt->out);
}

/* A result counts when the model that it names is there and is the one that it tells. */
static rt_status read_result(rt_trainer *t, cJSON **result)
{
    char path[1200];
    int there;
    rt_model *m = NULL;
    snprintf(path, sizeof path, "%s/result.json", t->opt->out);
    RT_TRY(rt_file_there(path, &there));
    if (!there) return RT_OK;
    rt_status st = rt_json_sealed_file(result, path);
    const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(*result, "digest"));
    snprintf(path, sizeof path, "%s/model.h5", t->opt->out);
    if (!st) st = rt_model_load(&m, path);
    if (!st && (!digest || strcmp(digest, rt_model_digest(m).hex)))
        st = rt_fail(RT_INPUT, "%s: is another model", path);
    rt_model_free(m);
    if (!st || st == RT_RUN) return st;
    char text[700];
    snprintf(text, sizeof text, "finished before, but %s; made again", rt_error_message());
    rt_progress_line(t->opt->progress, text);
    cJSON_Delete(*result);
    *result = NULL;
    return RT_OK;
}

/* run.json says that the folder is a run's, and which: it is the first file to be written and the last to be replaced.
 */
static const char *const outputs[] = {"result.json", "model.h5", "metrics.csv", "metrics.jsonl", "config.json",
                                      "checkpoints/checkpoints.json", "run.json", NULL};
enum { OUTPUTS = sizeof outputs / sizeof outputs[0] - 2 };           /* without run.json */

rt_status rt_train_take_folder(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    const rt_target target = {.path = t->opt->out, .force = t->opt->force, .config = t->opt->config};
    const char *inputs[RT_TEACHER_FILES + RT_SOURCE_PARTS + RT_MAX_HEADS + 6] = {s->source, s->labels, s->init};
    int n = rt_x_where_files(&s->x, inputs, 3);
    for (int i = 0; i < s->teachers; i++) inputs[n++] = s->teacher.path[i];
    if (s->policy_file) inputs[n++] = s->policy_file;
    for (int h = 0; h < s->heads; h++) if (s->of[h].where.source) inputs[n++] = s->of[h].where.source;
    if (*s->mask.source) inputs[n++] = s->mask.source;
    RT_TRY(rt_run_folder_open(&t->run, &target, inputs, outputs));
    return rt_run_folder_sweep(t->run, "checkpoints");
}

/* What no run wrote stays: a folder without run.json is ours to fill only as far as it does not hold what we would
 * replace. */
static rt_status check_foreign(const rt_trainer *t)
{
    for (int i = 0, has; i < OUTPUTS; i++) {
        RT_TRY(rt_run_folder_has(t->run, outputs[i], &has));
        if (has)
            return rt_fail(RT_USAGE, "%s/%s: is there, but the folder holds no run of retort; move it away, or give "
                           "another --out", t->opt->out, outputs[i]);
    }
    return RT_OK;
}

static rt_status write_config(rt_trainer *t)
{
    char *text = rt_json_text(t->config, 1);
    rt_status st = text ? rt_train_write_text(t, "config.json", text) : rt_fail(RT_RUN, "out of memory");
    free(text);
    return st;
}

/* A run from its beginning. Old results are gone, and known to be gone, before run.json speaks of the new one. */
static rt_status start_folder(rt_trainer *t)
{
    for (int i = 0; i < OUTPUTS; i++) RT_TRY(rt_run_folder_remove(t->run, outputs[i]));
    RT_TRY(rt_run_folder_sync(t->run, "checkpoints"));
    RT_TRY(rt_run_folder_sync(t->run, "."));
    cJSON *run = cJSON_CreateObject();
    cJSON_AddStringToObject(run, "format", format);
    cJSON_AddStringToObject(run, "config_digest", t->config_digest);
    cJSON_AddItemReferenceToObject(run, "content", t->content);
    char *text = rt_json_sealed(run);
    rt_status st = text ? rt_train_write_text(t, "run.json", text) : rt_fail(RT_RUN, "out of memory");
    free(text);
    cJSON_Delete(run);
    return st ? st : write_config(t);
}

rt_status rt_train_folder(rt_trainer *t, int *done, cJSON **result)
{
    char path[RT_FOLDER_PATH];
    int has;
    *done = 0;
    rt_run_folder_path(t->run, path, "run.json");
    RT_TRY(rt_run_folder_has(t->run, "run.json", &has));
    if (!has) {
        RT_TRY(check_foreign(t));
        return start_folder(t);
    }
    if (t->opt->force) {
        RT_TRY(check_ours(t, path));
        return start_folder(t);
    }
    RT_TRY(check_run(t, path));
    RT_TRY(rt_run_folder_has(t->run, "config.json", &has));
    if (!has) RT_TRY(write_config(t));                                          /* killed between the two */
    RT_TRY(read_result(t, result));
    if (*result) {                                 /* the folder may have been moved */
        rt_run_folder_path(t->run, path, "model.h5");
        cJSON_ReplaceItemInObjectCaseSensitive(*result, "model", cJSON_CreateString(path));
    }
    *done = *result != NULL;
    return RT_OK;
}
