/* data/labels_code.c - the coding of label stores: columns, top-k, counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_format.h"
#include "engine/kernels.h"
#include "engine/memory.h"

/* Logits of a block from which on threads share it; classes that are looked at together. */
enum { POOL_PAYS = 1 << 16, STEP = 16 };

int rt_label_heads(const rt_labels_spec *s, rt_label_head h[RT_MAX_HEADS])
{
    int column = 0;
    if (!s->heads) h[0] = (rt_label_head){.size = s->classes, .topk = s->topk};
    for (int i = 0; i < s->heads; i++) {
        const rt_head *from = &s->head[i];
        int few = from->task == RT_TASK_CLASSES && s->topk < from->size;
        h[i] = (rt_label_head){.task = from->task, .at = from->at, .size = from->size, .topk = few ? s->topk : 0,
                               .column = column};
        column += h[i].topk ? 3 : 1;
    }
    return s->heads ? s->heads : 1;
}

static void put_column(rt_label_column *c, const char *head, const char *what, rt_dtype type, int width)
{
    snprintf(c->name, sizeof c->name, "labels/%s%s%s", head, *head ? "/" : "", what);
    c->type = type;
    c->width = (uint64_t)width;
}

int rt_label_columns(const rt_labels_spec *s, rt_label_column c[RT_LABEL_COLUMNS])
{
    rt_label_head h[RT_MAX_HEADS];
    int heads = rt_label_heads(s, h), n = 0;
    for (int i = 0; i < heads; i++) {
        const char *name = s->heads ? s->head[i].name : "";
        if (h[i].topk) {
            put_column(&c[n++], name, "topk_id", RT_I32, h[i].topk);
            put_column(&c[n++], name, "topk_logit", s->type, h[i].topk);
            put_column(&c[n++], name, "tail", RT_F32, 1);
        } else if (h[i].task == RT_TASK_REAL) put_column(&c[n++], name, "values", RT_F32, h[i].size);
        else put_column(&c[n++], name, "logits", s->type, h[i].size);
    }
    put_column(&c[n++], "", "status", RT_U8, 1);
    return n;
}

size_t rt_label_column_bytes(const rt_label_column *c) { return rt_dtype_size(c->type) * c->width; }

size_t rt_label_row_bytes(const rt_labels_spec *s)
{
    rt_label_column c[RT_LABEL_COLUMNS];
    size_t bytes = 0;
    for (int i = 0, n = rt_label_columns(s, c); i < n; i++) bytes += rt_label_column_bytes(&c[i]);
    return bytes;
}

double rt_label_store_bytes(const rt_labels_spec *s)
{
    const double headers = 8192;
    return (double)s->rows * (double)rt_label_row_bytes(s) + 4 * (double)rt_label_blocks(s) + headers;
}

uint64_t rt_label_blocks(const rt_labels_spec *s) { return s->rows / RT_LABEL_BLOCK + (s->rows % RT_LABEL_BLOCK != 0); }

uint64_t rt_label_block_rows(const rt_labels_spec *s, uint64_t block)
{
    uint64_t left = s->rows - block * RT_LABEL_BLOCK;
    return left < RT_LABEL_BLOCK ? left : RT_LABEL_BLOCK;
}

/* ---- top-k ---- */

/* What one thread needs for a row: keys and room to sort them, terms of the tail, maxima of groups. */
typedef struct {
    uint64_t *key, *room;
    double *term;
    float *most, *lanes, *confidence;
} workspace;

struct rt_label_coder {
    rt_labels_spec spec;
    rt_pool *pool;
    int threads;
    workspace *work;
    rt_label_head head[RT_MAX_HEADS];
    int heads, columns;
    size_t before[RT_LABEL_COLUMNS];   /* bytes of a row in the columns before this one */
    int32_t *class_of;                 /* (heads, block) best class of each row, of heads of classes */
    float *confidence;                 /* (heads, block) of that class */
    /* of the job at hand */
    const float *logits;
    const unsigned char *status;
    char *block;
    uint64_t rows;
};

/* Rises with z, and for equal z falls with the class, so that equal logits go to the lower class. z is finite. */
static uint64_t key_of(float z, int c)
{
    uint32_t bits;
    z += 0.0f;                                        /* -0 is 0 */
    memcpy(&bits, &z, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | ~(uint32_t)c;
}

static int class_of(uint64_t key) { return (int)~(uint32_t)key; }

/* Merges from runs of one up, without branches on the keys; the sorted keys, largest first, are in the array
 * returned. */
static uint64_t *sort_falling(uint64_t *a, uint64_t *b, int n)
{
    for (int run = 1; run < n; run *= 2) {
        for (int at = 0; at < n; at += 2 * run) {
            int middle = at + run < n ? at + run : n, end = middle + run < n ? middle + run : n;
            int i = at, j = middle, to = at;
            while (i < middle && j < end) {
                uint64_t x = a[i], y = a[j];
                int first = x > y;
                b[to++] = first ? x : y;
                i += first;
                j += !first;
            }
            while (i < middle) b[to++] = a[i++];
            while (j < end) b[to++] = a[j++];
        }
        uint64_t *t = a;
        a = b;
        b = t;
    }
    return a;
}

/* The k best of z's keys, in the array returned. Each of at least 2 k groups has its largest logit; the k-th largest of
 * those is no larger than the k-th largest of all, so what is below it need not be sorted. */
static const uint64_t *best_keys(const workspace *w, const float *z, int classes, int k)
{
    int depth = classes / (2 * k) < 32 ? classes / (2 * k) : 32, n = 0;
    if (depth < 2) {
        for (int c = 0; c < classes; c++) w->key[c] = key_of(z[c], c);
        return sort_falling(w->key, w->room, classes);
    }
    int groups = classes / depth;                     /* class c is in group c % groups */
    float *most = w->most;
    memcpy(most, z, (size_t)groups * sizeof *most);
    for (int at = groups; at < classes; at += groups) {
        int some = classes - at < groups ? classes - at : groups;
        for (int g = 0; g < some; g++) most[g] = z[at + g] > most[g] ? z[at + g] : most[g];
    }
    for (int g = 0; g < groups; g++) w->key[g] = key_of(most[g], g);
    float least = most[class_of(sort_falling(w->key, w->room, groups)[k - 1])];
    for (int c = 0; c < classes; c += STEP) {         /* most steps hold none */
        int end = classes - c < STEP ? classes : c + STEP, any = 0;
        for (int i = c; i < end; i++) any |= z[i] >= least;
        for (int i = c; i < end && any; i++) {
            w->key[n] = key_of(z[i], i);
            n += z[i] >= least;
        }
    }
    return sort_falling(w->key, w->room, n);
}

/* e[i] = exp(z[i] - max) for -700 <= z - max <= 0 within EXP_ERROR: Cody and Waite's reduction, then Taylor's series to
 * r^11. Plain operations, the same bits on every CPU; the compiler puts several side by side. */
#define EXP_ERROR 1e-14
static inline __attribute__((always_inline)) void exp_body(double *e, const float *z, double max, int n)
{
    const double round = 0x1.8p52, log2e = 1.4426950408889634, high = 0x1.62e42fee00000p-1, low = 0x1.a39ef35793c76p-33;
    for (int i = 0; i < n; i++) {
        double x = z[i] - max, t = x * log2e + round, k = t - round, r = (x - k * high) - k * low, p = 1.0 / 39916800;
        uint64_t bits, power;
        p = p * r + 1.0 / 3628800;
        p = p * r + 1.0 / 362880;
        p = p * r + 1.0 / 40320;
        p = p * r + 1.0 / 5040;
        p = p * r + 1.0 / 720;
        p = p * r + 1.0 / 120;
        p = p * r + 1.0 / 24;
        p = p * r + 1.0 / 6;
        p = p * r + 0.5;
        p = p * r + 1.0;
        p = p * r + 1.0;
        memcpy(&power, &t, sizeof power);             /* the low bits of t are k */
        memcpy(&bits, &p, sizeof bits);
        bits += power << 52;
        memcpy(&e[i], &bits, sizeof bits);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void exp_avx2(double *e, const float *z, double max, int n)
{
    exp_body(e, z, max, n);
}

__attribute__((target("avx512f"))) static void exp_avx512(double *e, const float *z, double max, int n)
{
    exp_body(e, z, max, n);
}
#endif

static void exp_terms(double *e, const float *z, double max, int n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) exp_avx512(e, z, max, n);
    else if (__builtin_cpu_supports("avx2")) exp_avx2(e, z, max, n);
    else
#endif
    exp_body(e, z, max, n);
}

/* Of n values, in STEP lanes that the compiler keeps side by side. */
static float least_of(const float *z, int n)
{
    float lane[STEP];
    int i = STEP;
    for (int k = 0; k < STEP; k++) lane[k] = z[k < n ? k : 0];
    for (; i + STEP <= n; i += STEP)
        for (int k = 0; k < STEP; k++) lane[k] = z[i + k] < lane[k] ? z[i + k] : lane[k];
    for (; i < n; i++) lane[0] = z[i] < lane[0] ? z[i] : lane[0];
    for (int k = 1; k < STEP; k++) lane[0] = lane[k] < lane[0] ? lane[k] : lane[0];
    return lane[0];
}

static double sum_of(const double *e, int n)
{
    double lane[STEP] = {0};
    int i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int k = 0; k < STEP; k++) lane[k] += e[i + k];
    for (; i < n; i++) lane[0] += e[i];
    for (int k = 1; k < STEP; k++) lane[0] += lane[k];
    return lane[0];
}

/* The tail as libm's exp and a sum in the order of the classes give it; where the quick way can be off by no more than
 * rounding to float hides, by the quick way. */
static float tail_of(const workspace *w, const float *z, int classes, int k, const int32_t *id)
{
    double max = z[id[k - 1]], sum = 0;
    if (k == classes) return 0.0f;
    if (least_of(z, classes) - max >= -700) {
        exp_terms(w->term, z, max, classes);
        for (int i = 0; i < k; i++) w->term[id[i]] = 0;
        double tail = max + log(sum_of(w->term, classes) / (classes - k));
        double error = EXP_ERROR + 2.5e-16 * classes + 5e-16 * fabs(max);
        if ((float)(tail - error) == (float)(tail + error)) return (float)tail;
    }
    for (int c = 0; c < classes; c++) w->term[c] = exp(z[c] - max);
    for (int i = 0; i < k; i++) w->term[id[i]] = 0;
    for (int c = 0; c < classes; c++) sum += w->term[c];
    return sum > 0 ? (float)(max + log(sum / (classes - k))) : -1e30f;
}

/* ---- blocks ---- */

rt_status rt_label_coder_new(rt_label_coder **out, const rt_labels_spec *spec, rt_pool *pool)
{
    rt_label_coder *c = *out = calloc(1, sizeof *c);
    rt_label_column column[RT_LABEL_COLUMNS];
    size_t k = (size_t)spec->classes;
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->spec = *spec;
    c->pool = pool;
    c->threads = pool ? rt_pool_threads(pool) : 1;
    c->work = calloc((size_t)c->threads, sizeof *c->work);
    c->heads = rt_label_heads(spec, c->head);
    c->columns = rt_label_columns(spec, column);
    for (int i = 1; i < c->columns; i++) c->before[i] = c->before[i - 1] + rt_label_column_bytes(&column[i - 1]);
    c->class_of = malloc((size_t)c->heads * RT_LABEL_BLOCK * sizeof *c->class_of);
    c->confidence = malloc((size_t)c->heads * RT_LABEL_BLOCK * sizeof *c->confidence);
    int ok = c->work && c->class_of && c->confidence;
    for (int i = 0; i < c->threads && ok; i++) {
        workspace *w = &c->work[i];
        w->key = malloc((k + 1) * sizeof *w->key);
        w->room = malloc((k + 1) * sizeof *w->room);
        w->term = malloc(k * sizeof *w->term);
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
    free(c);
}

/* Where column i of the block in hand starts. */
static char *column_at(const rt_label_coder *c, int i) { return c->block + c->before[i] * c->rows; }

static void put_floats(void *to, const float *z, rt_dtype type, size_t n)
{
    if (type == RT_F16) rt_kernels_get()->to_f16(to, z, n);
    else memcpy(to, z, n * sizeof *z);
}

static void encode_topk(const rt_label_coder *c, const workspace *w, const rt_label_head *h, uint64_t r)
{
    const rt_labels_spec *s = &c->spec;
    const float *z = c->logits + r * (size_t)s->classes + h->at;
    size_t top = (size_t)h->topk;
    int32_t id[RT_LABEL_TOPK] = {0};
    float value[RT_LABEL_TOPK], tail;
    const uint64_t *key = best_keys(w, z, h->size, h->topk);
    for (int i = 0; i < h->topk; i++) {
        id[i] = class_of(key[i]);
        value[i] = z[id[i]];
    }
    tail = tail_of(w, z, h->size, h->topk, id);
    memcpy(column_at(c, h->column) + r * top * sizeof *id, id, top * sizeof *id);
    put_floats(column_at(c, h->column + 1) + r * top * rt_dtype_size(s->type), value, s->type, top);
    memcpy(column_at(c, h->column + 2) + r * sizeof tail, &tail, sizeof tail);
}

static rt_dtype type_of(const rt_label_coder *c, const rt_label_head *h)
{ return h->task == RT_TASK_REAL ? RT_F32 : c->spec.type; }

/* A head's outputs of rows [first, end), all of them. */
static void encode_full(const rt_label_coder *c, const rt_label_head *h, uint64_t first, uint64_t end)
{
    size_t k = (size_t)h->size, width = (size_t)c->spec.classes;
    rt_dtype type = type_of(c, h);
    char *to = column_at(c, h->column);
    const float *z = c->logits + h->at;
    if (k == width) put_floats(to + first * k * rt_dtype_size(type), z + first * k, type, (end - first) * k);
    else
        for (uint64_t r = first; r < end; r++)
            put_floats(to + r * k * rt_dtype_size(type), z + r * width, type, k);
}

/* Rows [first, end) of the block, without those that have no label. */
static void encode_rows(const rt_label_coder *c, const workspace *w, uint64_t first, uint64_t end)
{
    for (uint64_t r = first, next; r < end; r = next + 1) {
        next = r;
        while (next < end && (!c->status || c->status[next] == RT_LABEL_DONE)) next++;
        for (int i = 0; i < c->heads; i++) {
            if (!c->head[i].topk) encode_full(c, &c->head[i], r, next);
            else for (uint64_t row = r; row < next; row++) encode_topk(c, w, &c->head[i], row);
        }
    }
}

/* Where a head's best classes or confidences of the block are. */
static size_t judged_at(const rt_label_coder *c, const rt_label_head *h, uint64_t r)
{ return (size_t)(h - c->head) * RT_LABEL_BLOCK + r; }

/* Best class and confidence of full logits of up to RT_LANES rows, side by side. */
static void judge_full(const rt_label_coder *c, const workspace *w, const rt_label_head *h, uint64_t r, int n)
{
    const rt_kernels *kernels = rt_kernels_get();
    size_t k = (size_t)h->size, to = judged_at(c, h, r);
    const char *stored = column_at(c, h->column) + r * k * rt_dtype_size(c->spec.type);
    float *z = w->lanes, *wide = z + RT_LANES * k, most[RT_LANES], sum[RT_LANES] = {0};
    int32_t best[RT_LANES] = {0};
    if (c->spec.type != RT_F32) rt_to_float(wide, stored, c->spec.type, (size_t)n * k);
    kernels->block_in(z, c->spec.type == RT_F32 ? (const float *)stored : wide, n, h->size);
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
    const rt_labels_spec *s = &c->spec;
    size_t top = (size_t)h->topk, to = judged_at(c, h, r);
    float value[RT_LABEL_TOPK], tail;
    rt_to_float(value, column_at(c, h->column + 1) + r * top * rt_dtype_size(s->type), s->type, top);
    memcpy(&tail, column_at(c, h->column + 2) + r * sizeof tail, sizeof tail);
    memcpy(&c->class_of[to], column_at(c, h->column) + r * top * sizeof(int32_t), sizeof(int32_t));
    double sum = (h->size - h->topk) * exp((double)tail - value[0]);
    for (size_t i = 0; i < top; i++) sum += exp((double)value[i] - value[0]);
    c->confidence[to] = (float)(1 / sum);
}

static void code_tile(void *arg, int tile, int thread)
{
    const rt_label_coder *c = arg;
    const workspace *w = &c->work[thread];
    uint64_t first = (uint64_t)tile * RT_LABEL_TILE;
    uint64_t end = c->rows - first < RT_LABEL_TILE ? c->rows : first + RT_LABEL_TILE;
    if (c->logits) encode_rows(c, w, first, end);
    for (const rt_label_head *h = c->head; h < c->head + c->heads; h++)
        for (uint64_t r = first; r < end && h->task == RT_TASK_CLASSES; r += h->topk ? 1 : RT_LANES) {
            if (h->topk) judge_topk(c, h, r);
            else judge_full(c, w, h, r, end - r < RT_LANES ? (int)(end - r) : RT_LANES);
        }
}

/* What a labelled row adds to a head's counts; its confidence. */
static double count_head(const rt_label_coder *c, const rt_label_head *h, uint64_t r, uint64_t *count)
{
    size_t at = judged_at(c, h, r), k = (size_t)h->size, size = rt_dtype_size(c->spec.type);
    float z;
    if (h->task == RT_TASK_CLASSES) {
        if (c->class_of[at] < 0 || c->class_of[at] >= h->size) return 0;
        count[h->at + c->class_of[at]]++;
        return c->confidence[at];
    }
    const char *stored = column_at(c, h->column) + r * k * size;
    for (size_t i = 0; i < k && h->task == RT_TASK_MULTILABEL; i++) {
        rt_to_float(&z, stored + i * size, c->spec.type, 1);
        count[(size_t)h->at + i] += z > 0;
    }
    return 0;
}

/* Runs the tiles, then counts: sums go in the order of rows. */
static double code(rt_label_coder *c, uint64_t rows, uint64_t *class_count, uint64_t *status_count)
{
    int tiles = (int)((rows + RT_LABEL_TILE - 1) / RT_LABEL_TILE);
    double sum = 0;
    int first_of_classes = 0;
    while (first_of_classes < c->heads && c->head[first_of_classes].task != RT_TASK_CLASSES) first_of_classes++;
    c->rows = rows;
    if (c->pool && rows * (uint64_t)c->spec.classes >= POOL_PAYS) rt_pool_run(c->pool, tiles, code_tile, c);
    else for (int i = 0; i < tiles; i++) code_tile(c, i, 0);
    const unsigned char *status = (const unsigned char *)column_at(c, c->columns - 1);
    for (uint64_t r = 0; r < rows; r++) {
        status_count[status[r] < RT_LABEL_STATUSES ? status[r] : RT_LABEL_NOT_YET]++;
        if (status[r] != RT_LABEL_DONE) continue;
        for (int i = 0; i < c->heads; i++) {
            double confidence = count_head(c, &c->head[i], r, class_count);
            sum += i == first_of_classes ? confidence : 0;
        }
    }
    return sum;
}

double rt_label_encode(rt_label_coder *c, char *block, const float *logits, const unsigned char *status, uint64_t rows,
                       uint64_t *class_count, uint64_t *status_count)
{
    size_t marks = (rt_label_row_bytes(&c->spec) - 1) * rows;
    c->block = block;
    c->logits = logits;
    c->status = status;
    if (status) {
        memset(block, 0, marks);
        memcpy(block + marks, status, rows);
    } else memset(block + marks, RT_LABEL_DONE, rows);
    return code(c, rows, class_count, status_count);
}

double rt_label_count(rt_label_coder *c, char *block, uint64_t rows, uint64_t *class_count, uint64_t *status_count)
{
    c->block = block;
    c->logits = NULL;
    c->status = NULL;
    return code(c, rows, class_count, status_count);
}
