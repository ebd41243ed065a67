/* teacher/store.c - a label store as a teacher: the answers that another one gave, by row. */
#include <stdlib.h>
#include <string.h>

#include "data/labels.h"
#include "data/provenance.h"
#include "engine/memory.h"
#include "teacher/teacher_parts.h"

typedef struct {
    rt_teacher base;
    rt_labels *labels;
    rt_names no_columns;               /* a store is of rows, whatever their columns */
    int owned;
    int feature[RT_LABEL_FEATURES], features;          /* those that are recalled */
    float *recalled[RT_LABEL_FEATURES];                /* (rows, width) */
} store;

static const rt_teacher_kind kind;

static const store *of(const rt_teacher *t) { return (const store *)(const void *)t; }
static store *own(rt_teacher *t) { return (store *)(void *)t; }

static rt_status make(rt_teacher **out, rt_labels *labels, int owned)
{
    store *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    s->base.kind = &kind;
    s->labels = labels;
    s->owned = owned;
    *out = &s->base;
    return RT_OK;
}

rt_status rt_teacher_open_store(rt_teacher **out, const char *path)
{
    rt_labels *labels;
    RT_TRY(rt_labels_open(&labels, path, 0));
    rt_status st = make(out, labels, 1);
    if (st) rt_labels_close(labels);
    return st;
}

static rt_status twin(rt_teacher **out, const rt_teacher *t) { return make(out, of(t)->labels, 0); }

static void close_store(rt_teacher *t)
{
    if (own(t)->owned) rt_labels_close(own(t)->labels);
    for (int i = 0; i < own(t)->features; i++) free(own(t)->recalled[i]);
    free(t);
}

static const rt_head *heads(const rt_teacher *t, int *count) { return rt_labels_heads(of(t)->labels, count); }
static const rt_names *columns(const rt_teacher *t) { return &of(t)->no_columns; }
static rt_status digest(const rt_teacher *t, rt_digest *d) { return rt_labels_digest(of(t)->labels, d); }
static void hash_names(const rt_teacher *t, rt_hasher *h) { (void)t, (void)h; }        /* its digest holds them */

static rt_status seen(const rt_teacher *t, cJSON *list)
{
    const cJSON *manifest = rt_labels_manifest(of(t)->labels);
    const cJSON *who = cJSON_GetObjectItemCaseSensitive(manifest, "teacher");
    const char *made_by = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(who, "digest"));
    rt_status st = rt_seen_join(list, manifest, "labels", made_by ? made_by : "");
    return st ? rt_fail_in(st, "%s", t->path[0]) : RT_OK;
}

static const cJSON *provenance(const rt_teacher *t, int member)
{ return member ? NULL : rt_labels_manifest(of(t)->labels); }

static rt_status describe(const rt_teacher *t, cJSON *into)
{
    cJSON *manifest = cJSON_Duplicate(rt_labels_manifest(of(t)->labels), 1);
    if (!manifest) return rt_fail(RT_RUN, "out of memory");
    cJSON_DeleteItemFromObjectCaseSensitive(manifest, "seen");
    cJSON_AddItemToObject(into, "labels", manifest);
    return RT_OK;
}

static rt_status bind(rt_teacher *t, const rt_teacher_binding *b)
{
    if (!b->id) return rt_fail(RT_USAGE, "%s: is a label store, and a model is needed here", t->path[0]);
    return rt_labels_check_source(of(t)->labels, b->id, rt_device_pool(b->device), b->progress);
}

static rt_status answer_as(rt_teacher *t, const rt_head *head, int count, const char *asks, rt_match match)
{ return rt_labels_set_heads(of(t)->labels, head, count, asks, match); }

static rt_status kept(rt_teacher *t, int view, const uint64_t *row, int n, float *answers)
{ return rt_labels_read_view(of(t)->labels, view, row, n, answers); }

static const rt_label_views *views(const rt_teacher *t)
{
    const rt_labels_spec *s = rt_labels_info(of(t)->labels);
    return s->views.count ? &s->views : NULL;
}

static rt_status ask(rt_teacher *t, const rt_feed *q, float *answers)
{
    if (q->view || q->partner)
        return rt_fail(RT_USAGE, "%s: a label store has no answers to views of rows", t->path[0]);
    return kept(t, RT_LABEL_NO_VIEW, q->row, q->rows, answers);
}

static void covers(const rt_teacher *t, uint64_t *first, uint64_t *end)
{
    const rt_labels_spec *s = rt_labels_info(of(t)->labels);
    *first = s->first;
    *end = s->first + s->rows;
}

static rt_status remove_unanswered(rt_teacher *t, rt_rows *rows, uint64_t *removed)
{ return rt_labels_remove_bad(of(t)->labels, rows, removed); }

static int top(const rt_teacher *t, int head)
{
    const rt_labels_spec *s = rt_labels_info(of(t)->labels);
    int count, k = s->hard ? 1 : s->topk;
    const rt_head *h = rt_labels_heads(of(t)->labels, &count);
    return k && h[head].task == RT_TASK_CLASSES && k < h[head].size ? k : h[head].size;
}

/* ---- features ---- */

static rt_status find_feature(const rt_teacher *t, const char *layer, int *feature)
{
    char name[RT_HEAD_NAME] = "";
    size_t n = strlen(layer);
    for (size_t i = 0; i < n && n < sizeof name; i++) name[i] = layer[i] == '/' ? '.' : layer[i];
    *feature = rt_labels_find_feature(of(t)->labels, name);
    return *feature >= 0 ? RT_OK
                         : rt_fail(RT_USAGE, "%s: keeps no feature '%.80s'; label again with label.features=%.80s",
                                   t->path[0], layer, layer);
}

static rt_status feature_shape(const rt_teacher *t, const char *layer, rt_shape *shape)
{
    int feature;
    RT_TRY(find_feature(t, layer, &feature));
    *shape = rt_labels_info(of(t)->labels)->feature[feature].shape;
    return RT_OK;
}

static rt_status recall_ready(rt_teacher *t, const char *const *layer, int features, int most)
{
    store *s = own(t);
    for (int i = 0; i < features; i++) {
        RT_TRY(find_feature(t, layer[i], &s->feature[i]));
        size_t width = (size_t)rt_labels_info(s->labels)->feature[s->feature[i]].width;
        s->recalled[i] = rt_floats_new((size_t)most * width);
        s->features = i + 1;
        if (!s->recalled[i]) return rt_fail(RT_RUN, "out of memory for features");
    }
    return RT_OK;
}

static rt_status recall(rt_teacher *t, int view, const uint64_t *row, int n)
{
    store *s = own(t);
    for (int i = 0; i < s->features; i++)
        RT_TRY(rt_labels_read_feature(s->labels, s->feature[i], view, row, n, s->recalled[i]));
    return RT_OK;
}

static const float *feature_of(const rt_teacher *t, int i) { return of(t)->recalled[i]; }

static const rt_teacher_kind kind = {.name = "label store",
                                     .can = RT_TEACHER_KEEPS,
                                     .close = close_store,
                                     .twin = twin,
                                     .heads = heads,
                                     .columns = columns,
                                     .digest = digest,
                                     .hash_names = hash_names,
                                     .seen = seen,
                                     .provenance = provenance,
                                     .describe = describe,
                                     .bind = bind,
                                     .answer_as = answer_as,
                                     .ask = ask,
                                     .kept = kept,
                                     .views = views,
                                     .feature_shape = feature_shape,
                                     .feature = feature_of,
                                     .recall_ready = recall_ready,
                                     .recall = recall,
                                     .covers = covers,
                                     .remove_unanswered = remove_unanswered,
                                     .top = top};
