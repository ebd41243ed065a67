#include "teacher/labeler_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_check.h"
#include "data/source_files.h"
#include "data/targets.h"
#include "student/view_config.h"

/* "I/N" with I from 0 below N. */
static void read_shard(rt_cfg *c, rt_label_settings *s)
{
    enum { MOST = 9999 };
    const char *text = rt_cfg_string(c, "shard", "");
    size_t a = strspn(text, "0123456789"), b = text[a] == '/' ? strspn(text + a + 1, "0123456789") : 0;
    char wrong[160];
    s->take_over = rt_cfg_bool(c, "takeover", 0);
    if (!*text && s->take_over) rt_cfg_fail(c, "takeover", "belongs to a shard (--shard I/N)");
    if (!*text) return;
    if (!a || !b || text[a + 1 + b] || a > 4 || b > 4) {
        rt_cfg_fail(c, "shard", "I/N is wanted: number I, from 0, of N processes, such as 0/4");
        return;
    }
    s->shard = atoi(text);
    s->shards = atoi(text + a + 1);
    if (s->shards && s->shard < s->shards) return;
    snprintf(wrong, sizeof wrong, "%d/%d: of %d shards the numbers are 0 to %d", s->shard, s->shards, s->shards,
             s->shards ? s->shards - 1 : 0);
    rt_cfg_fail(c, "shard", wrong);
}

/* Views of each row: as a training with the same "augment" shows them. */
static void read_views(rt_cfg *c, rt_cfg *l, rt_label_views *v)
{
    *v = (rt_label_views){0};
    if (rt_cfg_has(l, "views")) v->count = rt_cfg_int(l, "views", 0, 0, RT_LABEL_VIEWS);
    if (rt_cfg_has(l, "views") && !v->count)
        rt_cfg_fail(l, "views", "0 are none: give how many are to be kept of each row, or leave it out");
    if (!v->count) {
        if (!c->status && !l->status)
            rt_cfg_refuse(c, "augment", "tells the views of label.views, which are not given");
        return;
    }
    rt_cfg a = rt_cfg_object(c, "augment");
    rt_cfg_refuse(&a, "mixup", "mixes rows and their labels when training shows them; leave it out here");
    rt_view_read(&a, &v->how);
    v->seed = rt_cfg_u64(&a, "seed", 1);
    if (!a.status && !rt_view_is_on(&v->how))
        rt_cfg_fail(l, "views", "are made by augment.flip, augment.shift or augment.erase, and none of them is given: "
                    "all would be the row itself");
    rt_cfg_join(c, &a);
}

rt_status rt_labeler_read(cJSON *config, rt_label_settings *s)
{
    static const char *const types[] = {"f16", "f32", NULL}, *const bad_rows[] = {"refuse", "mark", NULL};
    static const char *const mpi[] = {"auto", "on", "off", NULL};
    memset(s, 0, sizeof *s);
    rt_cfg c = rt_cfg_begin(config, "");
    s->teacher = rt_teacher_spec_read(&c, "teacher", "a model file, a list of up to 16, or a specification {...}");
    if (!s->teacher.paths) rt_cfg_fail(&c, "teacher", "a model file, a list of them, or a specification is required");
    rt_cfg d = rt_cfg_object(&c, "data");
    s->source = rt_cfg_source(&d, "source", NULL);
    rt_x_where_read(&d, s->source, &s->x);
    s->rows = rt_cfg_string(&d, "rows", "");
    rt_target_y_read(&d, &s->y);
    s->check = rt_check_read(&d);
    s->match = rt_match_read(&d);
    rt_cfg_join(&c, &d);
    rt_cfg l = rt_cfg_object(&c, "labels");
    rt_labels_spec_config(&l, &s->kept);
    rt_cfg_join(&c, &l);
    rt_cfg o = rt_cfg_object(&c, "label");
    s->mark_bad = rt_cfg_choice(&o, "bad_rows", bad_rows, 0);
    s->batch = rt_cfg_int(&o, "batch", 0, 0, 1 << 20);
    s->prefetch = rt_cfg_int(&o, "prefetch", 4, 0, 1024);
    s->readers = rt_cfg_int(&o, "readers", 0, 0, 64);
    s->features = rt_cfg_strings(&o, "features", s->feature, RT_LABEL_FEATURES);
    if (s->features) s->feature_type = rt_cfg_choice(&o, "feature_type", types, 0) ? RT_F32 : RT_F16;
    else rt_cfg_refuse(&o, "feature_type", "is of label.features, which are not given");
    read_views(&c, &o, &s->kept.views);
    s->precision = rt_precision_read(&o);
    read_shard(&o, s);
    s->mpi = (rt_cluster_mode)rt_cfg_choice(&o, "mpi", mpi, RT_CLUSTER_AUTO);
    s->price = rt_cfg_number(&o, "price_per_hour", 0, 0, 1e9);
    rt_cfg_join(&c, &o);
    return rt_cfg_end(&c);
}

rt_status rt_label_check(cJSON *config)
{
    rt_label_settings s;
    return rt_labeler_read(config, &s);
}

/* Rows that the teacher has no answer to, known before any is asked about. */
static rt_status count_unanswered(rt_labeler *l)
{
    uint64_t first = l->spec.first, end = first + l->spec.rows, removed;
    rt_rows rows = rt_rows_between(first, end);
    char text[400];
    uint64_t low, high;
    rt_teacher_covers(l->teacher, &low, &high);
    if (first < low || end > high)
        return rt_fail(RT_INPUT, "%s: has answers to rows %llu:%llu alone; give --rows", l->set.teacher.path[0],
                       (unsigned long long)low, (unsigned long long)high);
    rt_status st = rt_teacher_remove_unanswered(l->teacher, &rows, &removed);
    if (!st && removed) {
        while (rt_rows_has(&rows, first)) first++;
        snprintf(text, sizeof text, "%.200s: has no answer to %llu of %llu rows, the first of them row %llu",
                 l->set.teacher.path[0], (unsigned long long)removed, (unsigned long long)l->spec.rows,
                 (unsigned long long)first);
        if (!l->set.mark_bad) st = rt_fail(RT_INPUT, "%s; label.bad_rows=mark gives such rows no label", text);
        else cJSON_AddItemToArray(l->notes, cJSON_CreateString(text));
    }
    rt_rows_free(&rows);
    return st;
}

const rt_head *rt_labeler_classes(const rt_labeler *l)
{
    for (int h = 0; h < l->heads; h++)
        if (l->head[h].task == RT_TASK_CLASSES) return &l->head[h];
    return NULL;
}

/* Whether there are true classes where they are said to be, before any row is labelled. */
static rt_status try_truth(const rt_labeler *l)
{
    const rt_head *head = rt_labeler_classes(l);
    rt_targets *y;
    rt_target_where where = l->set.y;
    where.only = 1;
    if (!*where.set) return RT_OK;
    if (!head) return rt_fail(RT_USAGE, "data.y: is compared with answers of a head of classes, and there is none");
    RT_TRY(rt_targets_open_head(&y, l->x, &where, head, l->set.match));
    rt_targets_close(y);
    return RT_OK;
}

/* Layers of the teacher by name; in the store '/' is '.', as it stands between groups there. */
static rt_status find_features(rt_labeler *l)
{
    if (l->set.features && rt_teacher_models(l->teacher) != 1)
        return rt_fail(RT_USAGE, "label.features: are layers of a single model, and the teacher is a%s",
                       rt_teacher_models(l->teacher) > 1 ? "n ensemble" : " teacher without any");
    for (int i = 0; i < l->set.features; i++) {
        rt_label_feature *f = &l->feature[i];
        char *name = l->feature_name[i];
        const char *layer = l->set.feature[i];
        rt_status st = rt_teacher_feature_shape(l->teacher, layer, &f->shape);
        if (st) return rt_fail_in(st, "label.features");
        size_t n = strlen(layer);
        if (n >= RT_HEAD_NAME)
            return rt_fail(RT_USAGE, "label.features: '%.80s...' is longer than %d bytes", layer, RT_HEAD_NAME - 1);
        for (size_t k = 0; k <= n; k++) name[k] = layer[k] == '/' ? '.' : layer[k];
        for (int k = 0; k < i; k++)
            if (!strcmp(name, l->feature_name[k])) return rt_fail(RT_USAGE, "label.features: '%s' stands twice", name);
        size_t width = rt_shape_count(&f->shape);
        if (!width || width > RT_LABEL_FEATURE_WIDTH)
            return rt_fail(RT_USAGE, "label.features: '%s' has %zu numbers a row, and at most %d are kept", layer,
                           width, RT_LABEL_FEATURE_WIDTH);
        f->name = name;
        f->width = (int)width;
        f->type = l->set.feature_type;
    }
    l->spec.feature = l->feature;
    l->spec.features = l->set.features;
    return RT_OK;
}

/* The teacher can look at the views; of a source of several inputs the one that is moved has a name. */
static rt_status settle_views(rt_labeler *l)
{
    const char *input[RT_SOURCE_PARTS];
    rt_label_views *v = &l->spec.views;
    if (!v->count) return RT_OK;
    rt_status st = rt_teacher_check_view(l->teacher, &v->how);
    if (st) return rt_fail_in(st, "label.views");
    if (!v->how.input && rt_source_parts(l->x) > 1 && rt_teacher_inputs(l->teacher, input, 0) == 1)
        v->how.input = input[0];
    return RT_OK;
}

rt_status rt_labeler_open(rt_labeler *l)
{
    const rt_label_settings *s = &l->set;
    uint64_t end;
    RT_TRY(rt_teacher_open_spec(&l->teacher, &s->teacher, &s->x));
    if (!(rt_teacher_abilities(l->teacher) & (RT_TEACHER_COMPUTES | RT_TEACHER_ROWS)))
        return rt_fail(RT_USAGE, "%s: has answers already, and gives none to other rows; a model is needed here",
                       s->teacher.path[0]);
    const char *input[RT_SOURCE_PARTS];
    RT_TRY(rt_x_where_settle(&l->set.x, NULL, input, rt_teacher_inputs(l->teacher, input, 0)));
    RT_TRY(rt_x_open(&l->x, &s->x));
    RT_TRY(rt_identity_open(&l->identity, l->x, s->check));
    if (l->only_looks) rt_identity_write_nothing(l->identity);
    rt_teacher_binding to = {.source = l->x, .id = l->identity, .match = s->match, .marks = s->mark_bad,
                             .device = l->device, .progress = l->progress, .notes = l->notes};
    RT_TRY(rt_teacher_bind(l->teacher, &to));
    l->spec = s->kept;
    RT_TRY(settle_views(l));
    RT_TRY(rt_parse_range(s->rows, rt_source_rows(l->x), &l->spec.first, &end));
    l->spec.rows = end - l->spec.first;
    l->head = rt_teacher_heads(l->teacher, &l->heads);
    l->spec.classes = rt_heads_width(l->head, l->heads);
    l->spec.head = rt_heads_plain(l->head, l->heads) ? NULL : l->head;
    l->spec.heads = l->spec.head ? l->heads : 0;
    RT_TRY(find_features(l));
    if (!l->set.batch) l->set.batch = (int)rt_labeler_together(l);
    RT_TRY(rt_labels_spec_check(&l->spec, l->head, l->heads));
    if (!l->spec.rows) return rt_fail(RT_NOTHING, "%s: there are no rows to label", s->source);
    if (s->check == RT_CHECK_FULL && !l->only_looks)
        RT_TRY(rt_identity_know(l->identity, 0, rt_source_rows(l->x), rt_device_pool(l->device), l->progress));
    RT_TRY(try_truth(l));
    RT_TRY(count_unanswered(l));
    RT_TRY(rt_teacher_digest(l->teacher, &l->digest));
    return rt_teacher_ready(l->teacher, l->device, 0, s->feature, s->features);
}

uint64_t rt_labeler_together(const rt_labeler *l)
{
    enum { LEAST = 8, MOST = 32, BYTES = 32 << 20 };       /* of rows; planes of views lie a block apart */
    if (rt_device_is_cpu(l->device) || l->spec.views.count) return RT_LABEL_BLOCK;
    uint64_t blocks = BYTES / (RT_LABEL_BLOCK * (uint64_t)rt_source_row_bytes(l->x) + 1);
    return RT_LABEL_BLOCK * (blocks < LEAST ? LEAST : blocks < MOST ? blocks : MOST);
}

int rt_labeler_readers(const rt_labeler *l)
{
    enum { MOST = 4, SHARE = 4 };
    int some = rt_device_threads(l->device) / SHARE;
    if (l->set.readers) return l->set.readers;
    return rt_device_is_cpu(l->device) || some < 1 ? 1 : some < MOST ? some : MOST;
}

/* A plane: answers and features from its `skip`th row on. */
static rt_status ask_plane(const rt_labeler *l, const rt_feed *q, uint64_t skip, float *answers, float *const *feature)
{
    size_t width = (size_t)l->spec.classes, bytes = rt_source_row_bytes(l->x);
    int micro = l->spec.features ? rt_teacher_micro(l->teacher) : 0;
    answers += skip * width;
    if (!l->spec.features) return rt_teacher_ask(l->teacher, q, answers);
    for (int at = 0, n; at < q->rows; at += n) {       /* features are those of the last micro-batch */
        n = micro && q->rows - at > micro ? micro : q->rows - at;
        rt_feed part = *q;
        part.raw = (const char *)q->raw + (size_t)at * bytes;
        part.row = q->row + at;
        part.rows = n;
        RT_TRY(rt_teacher_ask(l->teacher, &part, answers + (size_t)at * width));
        for (int i = 0; i < l->spec.features; i++) {
            size_t wide = (size_t)l->feature[i].width;
            memcpy(feature[i] + (skip + (size_t)at) * wide, rt_teacher_feature(l->teacher, i),
                   (size_t)n * wide * sizeof(float));
        }
    }
    return RT_OK;
}

rt_status rt_labeler_ask(const rt_labeler *l, const rt_feed *q, uint64_t plane, float *answers, float *const *feature)
{
    const rt_label_views *v = &l->spec.views;
    rt_feed view = *q;
    RT_TRY(ask_plane(l, q, 0, answers, feature));
    view.view = &v->how;
    view.seed = v->seed;
    for (int i = 0; i < v->count; i++) {
        view.epoch = (uint32_t)i;
        if (rt_stopped()) return rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
        RT_TRY(ask_plane(l, &view, (uint64_t)(i + 1) * plane, answers, feature));
    }
    return RT_OK;
}

void rt_labeler_close(rt_labeler *l)
{
    cJSON_Delete(l->notes);
    rt_identity_close(l->identity);
    rt_source_close(l->x);
    rt_teacher_close(l->teacher);
}

rt_status rt_labeler_refuse(const rt_labeler *l, const rt_batch *batch, int r)
{
    const rt_source *part;
    int ids[RT_SOURCE_PARTS] = {0};
    rt_teacher_ids(l->teacher, l->x, ids);
    const char *fault = rt_source_fault(l->x, ids, batch->x + (size_t)r * rt_source_row_bytes(l->x), &part);
    return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s, or let label.bad_rows=mark give such rows no label "
                   "and go on from here",
                   rt_source_path(part), (unsigned long long)batch->row[r], rt_source_info(part)->name, fault);
}
