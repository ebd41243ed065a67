/* data/labels_code.c - the coding of label stores: from answers to the bytes of a block, and what they count. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_format.h"
#include "engine/kernels.h"
#include "engine/memory.h"

/* Logits of a block from which on threads share it. */
enum { POOL_PAYS = 1 << 16, TILES = (RT_LABEL_BLOCK + RT_LABEL_TILE - 1) / RT_LABEL_TILE };

struct rt_label_coder {
    rt_labels_spec spec;
    rt_pool *pool;
    int threads;
    rt_label_work *work;
    rt_label_column column[RT_LABEL_COLUMNS];
    rt_label_head head[RT_MAX_HEADS];
    int heads, columns, features;      /* features: the first one's column */
    int errors;                        /* their column, -1: none */
    int of_views;                      /* by how much the columns of views stand behind the others */
    int32_t *class_of;                 /* (heads, block) best class of each row, of heads of classes */
    float *confidence;                 /* (heads, block) of that class */
    double *error;                     /* (tiles, heads, 2) the largest of a tile */
    double worst[2 * RT_MAX_HEADS];    /* of the planes so far */
    /* of the job at hand */
    rt_label_rows job;                 /* answers NULL: the block is coded */
    int judges;                        /* best classes and confidences are wanted */
    char *at[RT_LABEL_COLUMNS];        /* columns of the plane at hand in the block: those of the rows, or of a view */
    const float *answers, *feature[RT_LABEL_FEATURES];                 /* of that plane */
    const rt_label_facts *fact;
};

/* ---- blocks ---- */

rt_status rt_label_coder_new(rt_label_coder **out, const rt_labels_spec *spec, rt_pool *pool)
{
    rt_label_coder *c = *out = calloc(1, sizeof *c);
    size_t k = (size_t)spec->classes;
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->spec = *spec;
    c->pool = pool;
    c->threads = pool ? rt_pool_threads(pool) : 1;
    c->work = calloc((size_t)c->threads, sizeof *c->work);
    c->heads = rt_label_heads(spec, c->head);
    c->columns = rt_label_columns(spec, c->column);
    c->features = c->head[c->heads - 1].column + c->head[c->heads - 1].columns;
    c->errors = c->column[c->columns - 2 < 0 ? 0 : c->columns - 2].by_block ? c->columns - 2 : -1;
    c->of_views = rt_label_view_column(spec);
    c->class_of = malloc((size_t)c->heads * RT_LABEL_BLOCK * sizeof *c->class_of);
    c->confidence = malloc((size_t)c->heads * RT_LABEL_BLOCK * sizeof *c->confidence);
    c->error = malloc((size_t)c->heads * 2 * TILES * sizeof *c->error);
    int ok = c->work && c->class_of && c->confidence && c->error;
    for (int i = 0; i < c->threads && ok; i++) {
        rt_label_work *w = &c->work[i];
        w->key = malloc((k + 1) * sizeof *w->key);
        w->room = malloc((k + 1) * sizeof *w->room);
        w->term = malloc(2 * k * sizeof *w->term);
        w->most = malloc(k * sizeof *w->most);
        w->lanes = rt_floats_new(2 * RT_LANES * k);
        ok = w->key && w->room && w->term && w->most && w->lanes;
    }
    if (ok) return RT_OK;
    rt_label_coder_free(c);
    *out = NULL;
    return rt_fail(RT_RUN, "out of memory for labels of %d classes", spec->classes);
}

void rt_label_coder_free(rt_label_coder *c)
{
    if (!c) return;
    for (int i = 0; i < c->threads && c->work; i++) {
        free(c->work[i].key);
        free(c->work[i].room);
        free(c->work[i].term);
        free(c->work[i].most);
        free(c->work[i].lanes);
    }
    free(c->work);
    free(c->class_of);
    free(c->confidence);
    free(c->error);
    free(c);
}

/* From now on columns, answers, features and facts are those of this view of the block's rows, or of the rows as they
 * are; errors of blocks and statuses are of all. */
static void turn_to(rt_label_coder *c, char *block, int view)
{
    const rt_label_rows *job = &c->job;
    uint64_t plane = (uint64_t)(view + 1), skip = plane * (job->plane ? job->plane : job->rows);
    for (int i = 0; i < c->columns; i++) {
        const rt_label_column *of = &c->column[i];
        c->at[i] = block;
        if (of->planes && view >= 0)
            c->at[i - c->of_views] = block + (size_t)view * rt_label_piece_bytes(of, job->rows);
        block += rt_label_part_bytes(of, job->rows);
    }
    c->answers = job->answers ? job->answers + skip * (uint64_t)c->spec.classes : NULL;
    c->fact = job->fact ? job->fact + plane * (uint64_t)c->heads * RT_LABEL_BLOCK : NULL;
    for (int i = 0; i < c->spec.features && job->feature; i++)
        c->feature[i] = job->feature[i] + skip * (uint64_t)c->spec.feature[i].width;
}

static char *column_at(const rt_label_coder *c, int i) { return c->at[i]; }

/* Where row r of it is. */
static char *entry_at(const rt_label_coder *c, int i, uint64_t r)
{ return column_at(c, i) + r * rt_label_column_bytes(&c->column[i]); }

/* Where a head's best classes or confidences of the block are. */
static size_t judged_at(const rt_label_coder *c, const rt_label_head *h, uint64_t r)
{ return (size_t)(h - c->head) * RT_LABEL_BLOCK + r; }

static void put_floats(void *to, const float *z, rt_dtype type, size_t n)
{
    if (type == RT_F16) rt_kernels_get()->to_f16(to, z, n);
    else memcpy(to, z, n * sizeof *z);
}

static void encode_topk(const rt_label_coder *c, const rt_label_work *w, const rt_label_head *h, uint64_t r,
                        double worst[2])
{
    const rt_labels_spec *s = &c->spec;
    const float *z = c->answers + r * (size_t)s->classes + h->at;
    int32_t id[RT_LABEL_TOPK] = {0};
    float value[RT_LABEL_TOPK], back[RT_LABEL_TOPK], tail, scale, offset;
    char *logit = entry_at(c, h->column + 1, r);
    rt_label_topk(w, z, h->size, h->topk, id, value, &tail);
    rt_label_put_ids(entry_at(c, h->column, r), c->column[h->column].type, id, h->topk);
    memcpy(entry_at(c, h->column + 2, r), &tail, sizeof tail);
    if (!h->coded) {
        put_floats(logit, value, s->type, (size_t)h->topk);
        return;
    }
    rt_label_q8_best((unsigned char *)logit, &scale, &offset, value, id, h->topk);
    memcpy(entry_at(c, h->column + 3, r), &scale, sizeof scale);
    memcpy(entry_at(c, h->column + 4, r), &offset, sizeof offset);
    rt_label_q8_back(back, (const unsigned char *)logit, scale, offset, h->topk);
    rt_label_code_error_best(value, back, h->topk, h->size - h->topk, tail, worst);
}

/* The k best of row r as they are read again. */
static void best_of(const rt_label_coder *c, const rt_label_head *h, uint64_t r, int32_t *id, float *value, float *tail)
{
    const char *logit = entry_at(c, h->column + 1, r);
    float scale, offset;
    rt_label_get_ids(id, entry_at(c, h->column, r), c->column[h->column].type, h->topk);
    memcpy(tail, entry_at(c, h->column + 2, r), sizeof *tail);
    if (!h->coded) {
        rt_to_float(value, logit, c->spec.type, (size_t)h->topk);
        return;
    }
    memcpy(&scale, entry_at(c, h->column + 3, r), sizeof scale);
    memcpy(&offset, entry_at(c, h->column + 4, r), sizeof offset);
    rt_label_q8_back(value, (const unsigned char *)logit, scale, offset, h->topk);
}

static void encode_q8(const rt_label_coder *c, const rt_label_work *w, const rt_label_head *h, uint64_t r,
                      double worst[2])
{
    const float *z = c->answers + r * (size_t)c->spec.classes + h->at;
    unsigned char *q = (unsigned char *)entry_at(c, h->column, r);
    float scale, offset, *back = w->lanes;
    rt_label_q8(q, &scale, &offset, z, h->size);
    memcpy(entry_at(c, h->column + 1, r), &scale, sizeof scale);
    memcpy(entry_at(c, h->column + 2, r), &offset, sizeof offset);
    rt_label_q8_back(back, q, scale, offset, h->size);
    rt_label_code_error(z, back, h->size, h->task == RT_TASK_MULTILABEL, w->term, worst);
}

/* Best class, confidence, margin and entropy, those that are kept. */
static void encode_facts(const rt_label_coder *c, const rt_label_head *h, uint64_t r)
{
    const float *z = c->answers + r * (size_t)c->spec.classes + h->at;
    rt_label_facts f = c->fact ? c->fact[judged_at(c, h, r)] : rt_label_facts_of(z, h->size, 1);
    int32_t best = f.best;
    const void *from[] = {&best, &f.confidence, &f.margin, &f.entropy};
    for (int i = 0; i < 4; i++) if (h->fact[i] >= 0) memcpy(entry_at(c, h->fact[i], r), from[i], 4);
}

static rt_dtype type_of(const rt_label_coder *c, const rt_label_head *h)
{ return h->task == RT_TASK_REAL ? RT_F32 : c->spec.type; }

/* A head's outputs of rows [first, end), all of them. */
static void encode_full(const rt_label_coder *c, const rt_label_head *h, uint64_t first, uint64_t end)
{
    size_t k = (size_t)h->size, width = (size_t)c->spec.classes;
    rt_dtype type = type_of(c, h);
    char *to = column_at(c, h->column);
    const float *z = c->answers + h->at;
    if (k == width) put_floats(to + first * k * rt_dtype_size(type), z + first * k, type, (end - first) * k);
    else
        for (uint64_t r = first; r < end; r++)
            put_floats(to + r * k * rt_dtype_size(type), z + r * width, type, k);
}

/* Rows [first, end) of the block, all of which have an answer. */
static void encode_answered(const rt_label_coder *c, const rt_label_work *w, uint64_t first, uint64_t end,
                            double *worst)
{
    for (int i = 0; i < c->heads; i++) {
        const rt_label_head *h = &c->head[i];
        if (!c->spec.hard && !h->topk && !h->coded) encode_full(c, h, first, end);
        for (uint64_t r = first; r < end; r++) {
            if (h->topk) encode_topk(c, w, h, r, worst + 2 * i);
            else if (h->coded) encode_q8(c, w, h, r, worst + 2 * i);
            if (c->spec.columns && h->task == RT_TASK_CLASSES) encode_facts(c, h, r);
        }
    }
    for (int i = 0; i < c->spec.features; i++) {
        const rt_label_feature *f = &c->spec.feature[i];
        size_t width = (size_t)f->width;
        put_floats(entry_at(c, c->features + i, first), c->feature[i] + first * width, f->type,
                   (end - first) * width);
    }
}

/* Rows [first, end) of the block, without those that have no answer. */
static void encode_rows(const rt_label_coder *c, const rt_label_work *w, uint64_t first, uint64_t end, double *worst)
{
    const unsigned char *status = c->job.status;
    for (uint64_t r = first, next; r < end; r = next + 1) {
        next = r;
        while (next < end && (!status || status[next] == RT_LABEL_DONE)) next++;
        encode_answered(c, w, r, next, worst);
    }
}

/* Logits of n rows from r on as they are read again, where they are stored, or in room. */
static const float *full_logits(const rt_label_coder *c, const rt_label_head *h, uint64_t r, int n, float *room)
{
    size_t k = (size_t)h->size;
    const char *stored = entry_at(c, h->column, r);
    if (c->spec.type == RT_F32) return (const float *)(const void *)stored;
    if (!h->coded) rt_to_float(room, stored, c->spec.type, (size_t)n * k);
    for (int i = 0; i < n && h->coded; i++) {
        float scale, offset;
        memcpy(&scale, entry_at(c, h->column + 1, r + (uint64_t)i), sizeof scale);
        memcpy(&offset, entry_at(c, h->column + 2, r + (uint64_t)i), sizeof offset);
        rt_label_q8_back(room + (size_t)i * k, (const unsigned char *)stored + (size_t)i * k, scale, offset, h->size);
    }
    return room;
}

/* Best class and confidence of full logits of up to RT_LANES rows, side by side. */
static void judge_full(const rt_label_coder *c, const rt_label_work *w, const rt_label_head *h, uint64_t r, int n)
{
    const rt_kernels *kernels = rt_kernels_get();
    size_t k = (size_t)h->size, to = judged_at(c, h, r);
    float *z = w->lanes, most[RT_LANES], sum[RT_LANES] = {0};
    int32_t best[RT_LANES] = {0};
    kernels->block_in(z, full_logits(c, h, r, n, z + RT_LANES * k), n, h->size);
    memcpy(most, z, sizeof most);
    for (int i = 1; i < h->size; i++)
        for (int lane = 0; lane < RT_LANES; lane++) {
            float v = z[(size_t)i * RT_LANES + (size_t)lane];
            best[lane] = v > most[lane] ? i : best[lane];
            most[lane] = v > most[lane] ? v : most[lane];
        }
    for (size_t i = 0; i < k; i++)
        for (size_t lane = 0; lane < RT_LANES; lane++) z[i * RT_LANES + lane] -= most[lane];
    kernels->exp_n(z, z, k * RT_LANES);
    for (size_t i = 0; i < k; i++)
        for (size_t lane = 0; lane < RT_LANES; lane++) sum[lane] += z[i * RT_LANES + lane];
    for (int lane = 0; lane < n; lane++) {
        c->class_of[to + (size_t)lane] = best[lane];
        c->confidence[to + (size_t)lane] = 1 / sum[lane];
    }
}

static void judge_topk(const rt_label_coder *c, const rt_label_head *h, uint64_t r)
{
    size_t top = (size_t)h->topk, to = judged_at(c, h, r);
    int32_t id[RT_LABEL_TOPK];
    float value[RT_LABEL_TOPK], tail;
    best_of(c, h, r, id, value, &tail);
    c->class_of[to] = id[0];
    double sum = (h->size - h->topk) * exp((double)tail - value[0]);
    for (size_t i = 0; i < top; i++) sum += exp((double)value[i] - value[0]);
    c->confidence[to] = (float)(1 / sum);
}

/* What a store keeps of best class and confidence stands before what its logits say. */
static void judge_rows(const rt_label_coder *c, const rt_label_work *w, const rt_label_head *h, uint64_t first,
                       uint64_t end)
{
    size_t to = judged_at(c, h, first), n = (size_t)(end - first);
    if (h->fact[0] < 0 || h->fact[1] < 0)
        for (uint64_t r = first; r < end; r += h->topk ? 1 : RT_LANES) {
            if (h->topk) judge_topk(c, h, r);
            else judge_full(c, w, h, r, end - r < RT_LANES ? (int)(end - r) : RT_LANES);
        }
    if (h->fact[0] >= 0) memcpy(&c->class_of[to], entry_at(c, h->fact[0], first), n * sizeof *c->class_of);
    if (h->fact[1] >= 0) memcpy(&c->confidence[to], entry_at(c, h->fact[1], first), n * sizeof *c->confidence);
}

static void code_tile(void *arg, int tile, int thread)
{
    const rt_label_coder *c = arg;
    const rt_label_work *w = &c->work[thread];
    uint64_t first = (uint64_t)tile * RT_LABEL_TILE;
    uint64_t end = c->job.rows - first < RT_LABEL_TILE ? c->job.rows : first + RT_LABEL_TILE;
    double *worst = c->error + (size_t)tile * 2 * (size_t)c->heads;
    memset(worst, 0, 2 * (size_t)c->heads * sizeof *worst);
    if (c->answers) encode_rows(c, w, first, end, worst);
    for (const rt_label_head *h = c->head; h < c->head + c->heads && c->judges; h++)
        if (h->task == RT_TASK_CLASSES) judge_rows(c, w, h, first, end);
}

/* What a labelled row adds to a head's counts; its confidence. */
static double count_head(const rt_label_coder *c, const rt_label_head *h, uint64_t r, uint64_t *count)
{
    size_t at = judged_at(c, h, r), k = (size_t)h->size;
    float z;
    if (c->job.by_hand && c->job.by_hand[at] >= 0) {
        count[h->at + c->job.by_hand[at]]++;
        return 1;
    }
    if (h->task == RT_TASK_CLASSES) {
        if (c->class_of[at] < 0 || c->class_of[at] >= h->size) return 0;
        count[h->at + c->class_of[at]]++;
        return c->confidence[at];
    }
    if (h->task != RT_TASK_MULTILABEL) return 0;
    const float *all = h->coded ? full_logits(c, h, r, 1, c->work[0].lanes) : NULL;
    const char *stored = entry_at(c, h->column, r);
    for (size_t i = 0; i < k; i++) {
        if (!all) rt_to_float(&z, stored + i * rt_dtype_size(c->spec.type), c->spec.type, 1);
        count[(size_t)h->at + i] += (all ? all[i] : z) > 0;
    }
    return 0;
}

/* The largest errors of the block, of each head with a code, rounded up to f32. */
static void put_errors(const rt_label_coder *c)
{
    float *to = (float *)(void *)column_at(c, c->errors), all[2 * RT_MAX_HEADS] = {0};
    for (int i = 0; i < c->heads; i++)
        for (int e = 0; e < 2 && c->head[i].error >= 0; e++) {
            double worst = c->worst[2 * i + e];
            float up = (float)worst;
            all[2 * c->head[i].error + e] = (double)up < worst ? nextafterf(up, INFINITY) : up;
        }
    memcpy(to, all, rt_label_column_bytes(&c->column[c->errors]));
}

/* Codes, or judges, the plane at hand. */
static void run_tiles(rt_label_coder *c)
{
    uint64_t rows = c->job.rows;
    int tiles = (int)((rows + RT_LABEL_TILE - 1) / RT_LABEL_TILE);
    if (c->pool && rows * (uint64_t)c->spec.classes >= POOL_PAYS) rt_pool_run(c->pool, tiles, code_tile, c);
    else for (int i = 0; i < tiles; i++) code_tile(c, i, 0);
    for (int i = 0; i < 2 * c->heads; i++)
        for (int t = 0; t < tiles; t++) c->worst[i] = fmax(c->worst[i], c->error[t * 2 * c->heads + i]);
}

/* Sums go in the order of rows. */
static double count_rows(rt_label_coder *c, uint64_t *class_count, uint64_t *status_count)
{
    uint64_t rows = c->job.rows;
    int first_of_classes = 0;
    double sum = 0;
    while (first_of_classes < c->heads && c->head[first_of_classes].task != RT_TASK_CLASSES) first_of_classes++;
    unsigned char *status = (unsigned char *)column_at(c, c->columns - 1);
    for (uint64_t r = 0; r < rows; r++) {
        for (int i = 0; i < c->heads && c->job.by_hand; i++)
            if (c->job.by_hand[judged_at(c, &c->head[i], r)] >= 0 && (c->heads == 1 || rt_label_is_there(status[r])))
                status[r] = RT_LABEL_BY_HAND;
        status_count[status[r] < RT_LABEL_STATUSES ? status[r] : RT_LABEL_NOT_YET]++;
        if (!rt_label_is_there(status[r])) continue;
        for (int i = 0; i < c->heads; i++) {
            double confidence = count_head(c, &c->head[i], r, class_count);
            sum += i == first_of_classes ? confidence : 0;
        }
    }
    return sum;
}

double rt_label_encode(rt_label_coder *c, char *block, const rt_label_rows *job, uint64_t *class_count,
                       uint64_t *status_count)
{
    c->job = *job;
    turn_to(c, block, RT_LABEL_NO_VIEW);
    char *status = column_at(c, c->columns - 1);
    if (job->status) {
        memset(block, 0, (size_t)(status - block));
        memcpy(status, job->status, job->rows);
    } else memset(status, RT_LABEL_DONE, job->rows);
    memset(c->worst, 0, sizeof c->worst);
    c->judges = 1;
    run_tiles(c);
    double sum = count_rows(c, class_count, status_count);
    c->judges = 0;
    for (int v = 0; v < c->spec.views.count; v++) {
        turn_to(c, block, v);
        run_tiles(c);
    }
    if (c->errors >= 0) put_errors(c);
    return sum;
}

/* A head's answer to row r. */
static void decode_row(const rt_label_coder *c, const rt_label_head *h, uint64_t r, float *z)
{
    if (c->spec.hard) {
        int32_t best;
        memcpy(&best, entry_at(c, h->fact[0], r), sizeof best);
        rt_label_one_hot(z, h->size, best);
    } else if (h->topk) {
        int32_t id[RT_LABEL_TOPK];
        float value[RT_LABEL_TOPK], tail;
        best_of(c, h, r, id, value, &tail);
        rt_label_topk_back(z, h->size, h->topk, id, value, tail);
    } else if (h->coded) full_logits(c, h, r, 1, z);
    else rt_to_float(z, entry_at(c, h->column, r), type_of(c, h), (size_t)h->size);
}

void rt_label_decode(rt_label_coder *c, const char *block, int view, uint64_t rows, float *answers)
{
    c->job = (rt_label_rows){.rows = rows};
    turn_to(c, (char *)(uintptr_t)block, view);
    for (uint64_t r = 0; r < rows; r++)
        for (int h = 0; h < c->heads; h++)
            decode_row(c, &c->head[h], r, answers + r * (size_t)c->spec.classes + c->head[h].at);
}

double rt_label_count(rt_label_coder *c, char *block, uint64_t rows, const int32_t *by_hand, uint64_t *class_count,
                      uint64_t *status_count)
{
    c->job = (rt_label_rows){.rows = rows, .by_hand = by_hand};
    turn_to(c, block, RT_LABEL_NO_VIEW);
    c->judges = 1;
    run_tiles(c);
    return count_rows(c, class_count, status_count);
}
