#include "data/label_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/labels_parts.h"

typedef struct {
    const rt_label_pack_job *job;
    rt_labels *store;
    const rt_head *head;
    int heads;
    rt_labels_spec spec;               /* of the copy */
    rt_label_file to;
    float *z, *back, *feature[RT_LABEL_FEATURES];
    rt_label_facts *fact;              /* (planes, heads, block); z and features: planes, too */
    double *term, error[RT_MAX_HEADS][2];
    unsigned char status[RT_LABEL_BLOCK];
} packing;

/* ---- what it is to be ---- */

static int rank_of(rt_dtype t) { return t == RT_F32 ? 2 : t == RT_F16 ? 1 : 0; }
static const char *name_of(rt_dtype t) { return t == RT_U8 ? "q8" : rt_dtype_name(t); }

static rt_status read_type(const packing *p, rt_dtype *type)
{
    static const rt_dtype types[] = {RT_F32, RT_F16, RT_U8};
    const char *said = p->job->type;
    if (!said) return RT_OK;
    for (int i = 0; i < 3; i++) {
        if (strcmp(said, name_of(types[i]))) continue;
        *type = types[i];
        return RT_OK;
    }
    return rt_fail(RT_USAGE, "labels pack: --type '%s' is not f32, f16 or q8", said);
}

static rt_status read_columns(const packing *p, unsigned *columns)
{
    if (!p->job->columns) return RT_OK;
    *columns = 0;
    for (const char *at = p->job->columns; *at;) {
        size_t n = strcspn(at, ",");
        int c = 0;
        while (rt_label_column_names[c] && (strlen(rt_label_column_names[c]) != n ||
                                            strncmp(rt_label_column_names[c], at, n) != 0)) c++;
        if (!rt_label_column_names[c])
            return rt_fail(RT_USAGE, "labels pack: --columns '%.*s' is not hard, confidence, margin or entropy", (int)n,
                           at);
        *columns |= 1u << c;
        at += n + (at[n] == ',');
    }
    return RT_OK;
}

/* What cannot be told from what the store has. */
static rt_status check_columns(const packing *p, const rt_labels_spec *old)
{
    const char *lacks = NULL, *why = NULL;
    for (int h = 0; h < p->heads; h++) {
        int k = p->head[h].size, few = old->topk && old->topk < k;
        if (p->head[h].task != RT_TASK_CLASSES) continue;
        if (p->spec.columns & ~old->columns & RT_COLUMN_MARGIN && (old->hard || (few && old->topk == 1 && k > 2)))
            lacks = "margin";
        if (p->spec.columns & ~old->columns & RT_COLUMN_ENTROPY && (old->hard || few)) lacks = "entropy";
        why = old->hard ? "keeps hard labels alone" : "keeps too few logits to tell it";
    }
    return lacks ? rt_fail(RT_USAGE, "%s: has no column labels/%s, and %s", p->job->store, lacks, why) : RT_OK;
}

static rt_status check_gain(const packing *p, const rt_labels_spec *old)
{
    const rt_labels_spec *s = &p->spec;
    const char *of = p->job->store;
    if (old->hard && !s->hard)
        return rt_fail(RT_USAGE, "%s: keeps hard labels and no labels/logits, which a copy cannot have either", of);
    if (!s->hard && rank_of(s->type) > rank_of(old->type) && !(old->type == RT_U8 && s->topk && s->type == RT_F16))
        return rt_fail(RT_USAGE, "%s: keeps logits in %s, and a copy in %s would be larger and no better", of,
                       name_of(old->type), name_of(s->type));
    if (!s->hard && old->topk && (!s->topk || s->topk > old->topk))
        return rt_fail(RT_USAGE, "%s: keeps %d classes a row, and a copy cannot have more", of, old->topk);
    if (s->hard == old->hard && s->type == old->type && s->topk == old->topk && s->columns == old->columns &&
        s->views.count == old->views.count)
        return rt_fail(RT_USAGE, "%s: the copy would be the same; give --type, --topk, --hard, --columns or --views",
                       of);
    return check_columns(p, old);
}

static rt_status settle(packing *p)
{
    const rt_labels_spec *old = rt_labels_info(p->store);
    const rt_label_pack_job *job = p->job;
    p->spec = *old;
    if (job->hard && (job->type || job->topk))
        return rt_fail(RT_USAGE, "labels pack: --hard keeps no logits, so --%s would do nothing",
                       job->type ? "type" : "topk");
    RT_TRY(read_type(p, &p->spec.type));
    RT_TRY(read_columns(p, &p->spec.columns));
    if (job->topk) p->spec.topk = job->topk;
    if (job->views > old->views.count)
        return rt_fail(RT_USAGE, "%s: has labels of %d views, and a copy cannot have %d", job->store, old->views.count,
                       job->views);
    if (job->views >= 0) p->spec.views.count = job->views;
    if (job->hard || old->hard) {
        p->spec.hard = job->hard || !job->type;
        p->spec.columns |= RT_COLUMN_HARD | RT_COLUMN_CONFIDENCE;
    }
    if (p->spec.hard) {
        p->spec.topk = 0;
        p->spec.type = RT_F32;
    }
    RT_TRY(check_gain(p, old));
    return rt_labels_spec_check(&p->spec, p->head, p->heads);
}

/* ---- blocks ---- */

static rt_status take_room(packing *p)
{
    size_t width = (size_t)p->spec.classes, rows = RT_LABEL_BLOCK, planes = 1 + (size_t)p->spec.views.count;
    p->z = malloc(planes * rows * width * sizeof *p->z);
    p->back = malloc(rows * width * sizeof *p->back);
    p->term = malloc(2 * width * sizeof *p->term);
    p->fact = calloc(planes * (size_t)p->heads * rows, sizeof *p->fact);
    int ok = p->z && p->back && p->term && p->fact;
    for (int i = 0; i < p->spec.features && ok; i++) {
        p->feature[i] = malloc(planes * rows * (size_t)p->spec.feature[i].width * sizeof *p->feature[i]);
        ok = p->feature[i] != NULL;
    }
    return ok ? RT_OK : rt_fail(RT_RUN, "out of memory for labels of %d classes", p->spec.classes);
}

/* How far the coded block is from what the store says, over rows that have the teacher's answer. */
static void measure(packing *p, int view, uint64_t rows)
{
    size_t width = (size_t)p->spec.classes;
    const float *z = p->z + (size_t)(view + 1) * rows * width;
    rt_label_decode(p->to.coder, p->to.buffer, view, rows, p->back);
    for (uint64_t r = 0; r < rows; r++)
        for (int h = 0; h < p->heads && p->status[r] == RT_LABEL_DONE; h++) {
            size_t at = r * width + (size_t)p->head[h].at;
            if (p->head[h].task != RT_TASK_REAL)
                rt_label_code_error(z + at, p->back + at, p->head[h].size, p->head[h].task == RT_TASK_MULTILABEL,
                                    p->term, p->error[h]);
        }
}

/* A plane of the block's rows, as the store has it. */
static rt_status read_plane(packing *p, int view, const uint64_t *row, uint64_t rows, unsigned char *status)
{
    uint64_t plane = (uint64_t)(view + 1), skip = plane * rows;
    RT_TRY(rt_labels_read_stored(p->store, view, row, (int)rows, p->z + skip * (uint64_t)p->spec.classes,
                                 p->fact + plane * (uint64_t)p->heads * RT_LABEL_BLOCK, status));
    for (int i = 0; i < p->spec.features; i++)
        RT_TRY(rt_labels_read_feature_stored(p->store, i, view, row, (int)rows,
                                             p->feature[i] + skip * (uint64_t)p->spec.feature[i].width));
    return RT_OK;
}

static rt_status pack_block(packing *p, uint64_t b)
{
    uint64_t row[RT_LABEL_BLOCK], rows = rt_label_block_rows(&p->spec, b);
    unsigned char same[RT_LABEL_BLOCK];
    const float *feature[RT_LABEL_FEATURES];
    for (uint64_t i = 0; i < rows; i++) row[i] = p->spec.first + b * RT_LABEL_BLOCK + i;
    for (int v = RT_LABEL_NO_VIEW; v < p->spec.views.count; v++)
        RT_TRY(read_plane(p, v, row, rows, v < 0 ? p->status : same));
    for (int i = 0; i < p->spec.features; i++) feature[i] = p->feature[i];
    rt_label_rows these = {.answers = p->z, .feature = feature, .status = p->status, .fact = p->fact};
    if (!memchr(p->status, RT_LABEL_NOT_YET, rows)) {
        int all = 1;
        for (uint64_t i = 0; i < rows && all; i++) all = p->status[i] == RT_LABEL_DONE;
        if (all) these.status = NULL;
    }
    rt_label_file_encode(&p->to, b, &these);
    for (int v = RT_LABEL_NO_VIEW; v < p->spec.views.count; v++) measure(p, v, rows);
    return rt_label_file_write(&p->to, b);
}

static rt_status pack_all(packing *p, rt_output *out, const char *manifest)
{
    static const unsigned char one = 1;
    uint64_t count, leaves;
    const rt_leaf *leaf = rt_labels_leaves(p->store, &count);
    RT_TRY(rt_label_file_make(&p->to, out, manifest));
    leaves = rt_label_fixed_bytes(&p->to, RT_LABEL_LEAVES);
    if (leaves != count * sizeof *leaf) return rt_fail(RT_INPUT, "%s: is damaged: its leaves", p->job->store);
    RT_TRY(rt_pwrite_all(p->to.fd, leaf, leaves, p->to.fixed[RT_LABEL_LEAVES], p->to.path));
    for (uint64_t b = 0; b < p->to.blocks; b++) {
        rt_progress_update(p->job->progress, "pack", (double)b, (double)p->to.blocks, 0, "blocks", "");
        RT_TRY(rt_check_stop());
        RT_TRY(pack_block(p, b));
    }
    RT_TRY(rt_label_file_put_head(&p->to));
    RT_TRY(rt_pwrite_all(p->to.fd, &one, 1, p->to.fixed[RT_LABEL_COMPLETE], p->to.path));
    return rt_output_commit(out);
}

static rt_status describe(packing *p, cJSON **out)
{
    rt_digest digest;
    RT_TRY(rt_labels_digest(p->store, &digest));
    cJSON *m = *out = cJSON_Duplicate(rt_labels_manifest(p->store), 1);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    rt_label_spec_tell(&p->spec, m);
    cJSON *packed = cJSON_GetObjectItemCaseSensitive(m, "packed") ? NULL : cJSON_AddObjectToObject(m, "packed");
    if (packed) {
        const rt_labels_spec *old = rt_labels_info(p->store);
        cJSON_AddStringToObject(packed, "from", digest.hex);
        cJSON_AddStringToObject(packed, "answers",
                                old->hard   ? "hard labels"
                                : old->topk ? "the k best classes and a tail"
                                            : name_of(old->type));
    }
    return RT_OK;
}

/* ---- the whole ---- */

static cJSON *result_of(const packing *p, const rt_target *out)
{
    struct stat before, after;
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "labels", out->path);
    cJSON_AddStringToObject(r, "from", p->job->store);
    cJSON_AddNumberToObject(r, "rows", (double)p->spec.rows);
    cJSON_AddStringToObject(r, "coding", p->spec.hard ? "hard" : p->spec.topk ? "topk" : "full");
    if (!p->spec.hard) cJSON_AddStringToObject(r, "type", name_of(p->spec.type));
    if (p->spec.views.count) cJSON_AddNumberToObject(r, "views", p->spec.views.count);
    cJSON *columns = p->spec.columns ? cJSON_AddArrayToObject(r, "columns") : NULL;
    for (int c = 0; rt_label_column_names[c]; c++)
        if (p->spec.columns >> c & 1) cJSON_AddItemToArray(columns, cJSON_CreateString(rt_label_column_names[c]));
    if (!stat(p->job->store, &before) && !stat(out->path, &after)) {
        cJSON_AddNumberToObject(r, "bytes_before", (double)before.st_size);
        cJSON_AddNumberToObject(r, "bytes_after", (double)after.st_size);
    }
    cJSON *error = cJSON_AddObjectToObject(r, "error");
    for (int h = 0; h < p->heads; h++) {
        if (p->head[h].task == RT_TASK_REAL) continue;
        cJSON *one = cJSON_AddObjectToObject(error, p->head[h].name);
        if (!p->spec.hard) cJSON_AddNumberToObject(one, "logit", p->error[h][0]);
        cJSON_AddNumberToObject(one, "probability", p->error[h][1]);
    }
    return r;
}

static rt_status run(packing *p, const rt_target *target, rt_output *out, cJSON **result)
{
    cJSON *manifest = NULL;
    RT_TRY(rt_output_may_replace(out, RT_OUTPUT_LABELS));
    RT_TRY(rt_labels_open(&p->store, p->job->store, 0));
    p->head = rt_labels_heads(p->store, &p->heads);
    RT_TRY(settle(p));
    RT_TRY(take_room(p));
    RT_TRY(rt_label_file_init(&p->to, target->path, &p->spec, rt_labels_span_rows(p->store), p->job->pool));
    RT_TRY(rt_labels_hand_copy(p->store, &p->to.hand));
    rt_status st = describe(p, &manifest);
    char *text = st ? NULL : rt_json_text(manifest, 1);
    cJSON_Delete(manifest);
    if (!st && !text) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = pack_all(p, out, text);
    free(text);
    if (!st) *result = result_of(p, target);
    return st;
}

rt_status rt_label_pack(const rt_label_pack_job *job, const rt_target *target, cJSON **result)
{
    const char *inputs[] = {job->store, NULL};
    rt_output *out;
    packing *p = calloc(1, sizeof *p);
    *result = NULL;
    if (!p) return rt_fail(RT_RUN, "out of memory");
    p->job = job;
    p->to.fd = -1;
    rt_status st = rt_output_take(&out, target, inputs);
    if (!st) {
        st = run(p, target, out, result);
        rt_output_end(out);
    }
    rt_label_file_free(&p->to);
    rt_labels_close(p->store);
    void *owned[] = {p->z, p->back, p->term, p->fact, p};
    for (int i = 0; i < RT_LABEL_FEATURES; i++) free(p->feature[i]);
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    return st;
}
