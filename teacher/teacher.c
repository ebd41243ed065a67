#include "data/targets.h"
#include "teacher/teacher_parts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Whether the file is a label store. What cannot be read at all is for the model's reader to say. */
static rt_status look(const char *path, int *is_store)
{
    rt_h5_file *f;
    *is_store = 0;
    rt_status st = rt_h5_scan(&f, path);
    if (st) return st == RT_INPUT ? RT_OK : st;
    *is_store = rt_h5_find(f, "labels/status") != NULL;
    rt_h5_close(f);
    return RT_OK;
}

rt_status rt_teacher_open(rt_teacher **out, const char *const *path, int count, const rt_x_where *x)
{
    int is_store = 0;
    *out = NULL;
    if (count < 1) return rt_fail(RT_USAGE, "no teacher is given");
    if (count > RT_TEACHER_MODELS)
        return rt_fail(RT_USAGE, "an ensemble has at most %d models, %d are given", RT_TEACHER_MODELS, count);
    for (int i = 0; i < count && !is_store; i++) {
        RT_TRY(look(path[i], &is_store));
        if (is_store && count > 1)
            return rt_fail(RT_USAGE, "%s: is a label store, and answers alone, not in an ensemble", path[i]);
    }
    RT_TRY(is_store ? rt_teacher_open_store(out, path[0]) : rt_teacher_open_models(out, path, count, x));
    (*out)->files = count;
    for (int i = 0; i < count; i++) (*out)->path[i] = path[i];
    return RT_OK;
}

rt_status rt_teacher_read_file(rt_teacher **out, rt_cfg *c, const rt_x_where *x)
{
    static const char *const keys[] = {"inputs",  "output",   "task",      "gives",  "classes",
                                       "outputs", "features", "data_root", "shorter", "memory", "seconds"};
    const char *path = rt_cfg_file(c, "file", NULL);
    cJSON *binding = cJSON_CreateObject();
    if (!binding) rt_out_of_memory();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (rt_cfg_has(c, keys[i])) cJSON_AddItemToObject(binding, keys[i], cJSON_Duplicate(rt_cfg_any(c, keys[i]), 1));
    rt_status st = rt_cfg_end(c);
    if (!st && out && binding->child) st = rt_teacher_open_bound(out, path, binding, x);
    else if (!st && out) st = rt_teacher_open(out, &path, 1, x);
    cJSON_Delete(binding);
    return st;
}

rt_status rt_teacher_keep_asked(rt_teacher_asked to, const rt_head *own, int owned, const char *of, const rt_head *head,
                                int count, const char *asks, rt_match match)
{
    rt_head copy[RT_MAX_HEADS];
    int *place;
    RT_TRY(rt_heads_place(&place, own, owned, of, head, count, asks ? asks : "the model", match));
    rt_status st = rt_heads_copy(copy, head, count);
    if (st) {
        free(place);
        return st;
    }
    rt_heads_free(to.head, *to.heads);
    memcpy(to.head, copy, sizeof copy[0] * (size_t)count);
    *to.heads = count;
    *to.width = rt_heads_width(head, count);
    free(*to.place);
    *to.place = place;
    return RT_OK;
}

rt_status rt_teacher_check_classes(const rt_teacher *t, const rt_teacher_binding *b)
{
    int count, *map;
    rt_names classes;
    const rt_head *head = rt_teacher_heads(t, &count);
    const rt_h5_file *file = rt_source_file(b->source);
    if (b->match != RT_MATCH_NAMES || count != 1 || head->task != RT_TASK_CLASSES || !rt_targets_named(file, "y", 1))
        return RT_OK;
    RT_TRY(rt_names_read(file, &classes, NULL));
    rt_status st = RT_OK;
    if (classes.name && !(st = rt_names_map(&map, &classes, &head->names, "class"))) free(map);
    rt_names_free(&classes);
    return st ? rt_fail_in(st, "%s", rt_teacher_path(t)) : RT_OK;
}

rt_status rt_teacher_twin(rt_teacher **out, const rt_teacher *t)
{
    *out = NULL;
    if (!t->kind->twin) return rt_fail(RT_USAGE, "%s: is a %s, which has no twin", t->path[0], t->kind->name);
    RT_TRY(t->kind->twin(out, t));
    (*out)->files = t->files;
    for (int i = 0; i < t->files; i++) (*out)->path[i] = t->path[i];
    return RT_OK;
}

void rt_teacher_close(rt_teacher *t)
{
    if (t) t->kind->close(t);
}

unsigned rt_teacher_abilities(const rt_teacher *t) { return t->can ? t->can : t->kind->can; }
const char *rt_teacher_path(const rt_teacher *t) { return t->path[0]; }

int rt_teacher_files(const rt_teacher *t, const char **list, int most)
{
    int n = 0;
    for (int i = 0; i < t->files && n < most; i++) list[n++] = t->path[i];
    return t->kind->files ? t->kind->files(t, list, n, most) : n;
}

const rt_head *rt_teacher_heads(const rt_teacher *t, int *count) { return t->kind->heads(t, count); }
const rt_names *rt_teacher_columns(const rt_teacher *t) { return t->kind->columns(t); }

void rt_teacher_ids(const rt_teacher *t, const rt_source *s, int ids[RT_SOURCE_PARTS])
{
    if (t->kind->ids) t->kind->ids(t, s, ids);
}

int rt_teacher_inputs(const rt_teacher *t, const char *name[RT_SOURCE_PARTS], int n)
{ return t->kind->inputs ? t->kind->inputs(t, name, n) : n; }

rt_status rt_teacher_digest(const rt_teacher *t, rt_digest *d) { return t->kind->digest(t, d); }
void rt_teacher_hash_names(const rt_teacher *t, rt_hasher *h) { t->kind->hash_names(t, h); }
rt_status rt_teacher_seen(const rt_teacher *t, cJSON *seen) { return t->kind->seen(t, seen); }
const cJSON *rt_teacher_provenance(const rt_teacher *t, int member) { return t->kind->provenance(t, member); }
rt_status rt_teacher_bind(rt_teacher *t, const rt_teacher_binding *b) { return t->kind->bind(t, b); }
rt_status rt_teacher_ask(rt_teacher *t, const rt_feed *q, float *answers) { return t->kind->ask(t, q, answers); }

rt_status rt_teacher_describe(const rt_teacher *t, cJSON *provenance)
{
    rt_digest d;
    cJSON *told;
    if (t->kind->describe) return t->kind->describe(t, provenance);
    RT_TRY(t->kind->digest(t, &d));
    if (!cJSON_AddStringToObject(provenance, "teacher_digest", d.hex) ||
        !(told = cJSON_AddObjectToObject(provenance, "teacher")))
        return rt_fail(RT_RUN, "out of memory");
    return rt_teacher_tell(t, told);
}

rt_teacher_cost rt_teacher_costs(const rt_teacher *t)
{ return t->kind->costs ? t->kind->costs(t) : (rt_teacher_cost){0}; }

rt_model *const *rt_teacher_native(const rt_teacher *t, int *count)
{ return t->kind->native ? t->kind->native(t, count) : NULL; }
int rt_teacher_models(const rt_teacher *t) { return t->kind->models ? t->kind->models(t) : 0; }
const char *rt_teacher_kind_name(const rt_teacher *t) { return t->kind->name; }

rt_status rt_teacher_tell(const rt_teacher *t, cJSON *into)
{ return t->kind->tell ? t->kind->tell(t, into) : RT_OK; }

int rt_teacher_quantized(const rt_teacher *t) { return t->kind->quantized ? t->kind->quantized(t) : 0; }

rt_status rt_teacher_answer_as(rt_teacher *t, const rt_head *head, int count, const char *of, rt_match match)
{ return t->kind->answer_as(t, head, count, of, match); }

rt_status rt_teacher_ready(rt_teacher *t, rt_device *device, int micro, const char *const *feature, int features)
{
    if (t->kind->ready) return t->kind->ready(t, device, micro, feature, features);
    return features ? rt_fail(RT_USAGE, "%s: is a %s, and has no layers to learn from", t->path[0], t->kind->name)
                    : RT_OK;
}

const char *rt_teacher_last_features(const rt_teacher *t)
{ return t->kind->last_features ? t->kind->last_features(t) : NULL; }

rt_status rt_teacher_feature_shape(const rt_teacher *t, const char *layer, rt_shape *shape)
{
    if (t->kind->feature_shape) return t->kind->feature_shape(t, layer, shape);
    return rt_fail(RT_USAGE, "%s: is a %s, and has no layers to learn from", t->path[0], t->kind->name);
}

int rt_teacher_micro(const rt_teacher *t) { return t->kind->micro ? t->kind->micro(t) : 0; }
const float *rt_teacher_feature(const rt_teacher *t, int i) { return t->kind->feature(t, i); }

rt_status rt_teacher_check_view(const rt_teacher *t, rt_view_desc *v)
{
    if (t->kind->check_view && rt_teacher_abilities(t) & RT_TEACHER_COMPUTES) return t->kind->check_view(t, v);
    return rt_fail(RT_USAGE, "%s: is a %s, which has answers to rows and none to views of them", t->path[0],
                   t->kind->name);
}

rt_status rt_teacher_kept(void *teacher, int view, const uint64_t *row, int n, float *answers)
{
    rt_teacher *t = teacher;
    return t->kind->kept(t, view, row, n, answers);
}

const rt_label_views *rt_teacher_views(const rt_teacher *t) { return t->kind->views ? t->kind->views(t) : NULL; }

rt_status rt_teacher_recall_ready(rt_teacher *t, const char *const *feature, int features, int most)
{
    if (!features) return RT_OK;
    if (t->kind->recall_ready) return t->kind->recall_ready(t, feature, features, most);
    return rt_fail(RT_USAGE, "%s: is a %s, and keeps no features", t->path[0], t->kind->name);
}

rt_status rt_teacher_recall(rt_teacher *t, int view, const uint64_t *row, int n)
{ return t->kind->recall ? t->kind->recall(t, view, row, n) : RT_OK; }

void rt_teacher_covers(const rt_teacher *t, uint64_t *first, uint64_t *end)
{
    *first = 0;
    *end = UINT64_MAX;
    if (t->kind->covers) t->kind->covers(t, first, end);
}

rt_status rt_teacher_remove_unanswered(rt_teacher *t, rt_rows *rows, uint64_t *removed)
{
    *removed = 0;
    return t->kind->remove_unanswered ? t->kind->remove_unanswered(t, rows, removed) : RT_OK;
}

int rt_teacher_top(const rt_teacher *t, int head)
{
    int count;
    const rt_head *h = t->kind->heads(t, &count);
    return t->kind->top ? t->kind->top(t, head) : h[head].size;
}
