/* experiments/explain/explain_rows.c - rows and baselines as a model takes them, and its parts as the data has them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_check.h"
#include "engine/memory.h"
#include "experiments/explain/explain_parts.h"

enum { SAMPLE = 1000 /* rows that the mean is of */, CHUNK = 256 };

/* ---- elements ---- */

/* The part of the source that input k of a model reads. */
static int part_of(const rt_explanation *x, const rt_model *m, int k)
{
    const rt_source *s = x->data.x;
    return rt_source_part(s, 0, NULL, NULL) == s ? 0 : rt_source_find_part(s, m->input[k].name);
}

/* Pixel (y, x) of a resized image, as the element of the data's that lies nearest. */
static uint32_t nearest(const rt_row_desc *in, size_t u)
{
    const rt_resize *z = &in->resize;
    size_t c = (size_t)in->shape.dim[2], w = (size_t)in->shape.dim[1];
    double y = ((double)(u / (w * c)) + z->top + 0.5) * z->from_h / z->to_h,
           x = ((double)(u / c % w) + z->left + 0.5) * z->from_w / z->to_w;
    int row = y < z->from_h ? (int)y : z->from_h - 1, column = x < z->from_w ? (int)x : z->from_w - 1;
    return (uint32_t)(((size_t)row * (size_t)z->from_w + (size_t)column) * c + u % c);
}

static rt_status place_side(rt_explanation *x, rt_explain_side *s)
{
    const rt_model *m = s->model[0];
    size_t at = 0;
    for (int k = 0; k < m->inputs; k++) s->parts += m->input[k].size;
    s->place = malloc((s->parts + 1) * sizeof *s->place);
    if (!s->place) return rt_fail(RT_RUN, "out of memory");
    for (int k = 0; k < m->inputs; k++) {
        s->rows[k] = rt_input_rows(&m->input[k]);
        rt_row_desc *in = &s->rows[k];
        if (in->pick) {
            s->pick[k] = malloc(in->size * sizeof(int));
            if (!s->pick[k]) return rt_fail(RT_RUN, "out of memory");
            memcpy(s->pick[k], in->pick, in->size * sizeof(int));
            in->pick = s->pick[k];
        }
        for (size_t u = 0; u < in->size; u++)
            s->place[at + u] = (uint32_t)x->part_of[part_of(x, m, k)] +
                               (in->resize.from_h ? nearest(in, u) : in->pick ? (uint32_t)in->pick[u] : (uint32_t)u);
        at += in->size;
    }
    return RT_OK;
}

rt_status rt_explain_places(rt_explanation *x)
{
    int parts = rt_source_parts(x->data.x);
    for (int p = 0; p < parts; p++) {
        const rt_source *s = rt_source_part(x->data.x, p, NULL, NULL);
        rt_shape shape;
        RT_TRY(rt_source_shape(s, &shape));
        x->elements += rt_shape_count(&shape);
        if (x->elements > RT_EXPLAIN_FLOATS)
            return rt_fail(RT_USAGE, "%s: rows of %zu numbers are too large", x->data.source, x->elements);
        x->part_of[p + 1] = (int)x->elements;
    }
    for (int s = 0; s < x->sides; s++) RT_TRY(place_side(x, &x->side[s]));
    if (x->elements > RT_EXPLAIN_COLUMNS) return RT_OK;
    x->element_name = calloc(x->elements, sizeof *x->element_name);
    if (!x->element_name) return rt_fail(RT_RUN, "out of memory");
    for (int p = 0; p < parts; p++) {
        const rt_source *s = rt_source_part(x->data.x, p, NULL, NULL);
        rt_names columns = {0};
        rt_status st = rt_source_columns(s, &columns);
        for (int i = 0; !st && columns.name && i < columns.count; i++)
            if (!(x->element_name[x->part_of[p] + i] = strdup(columns.name[i]))) st = rt_fail(RT_RUN, "out of memory");
        rt_names_free(&columns);
        RT_TRY(st);
    }
    return RT_OK;
}

const char *rt_explain_element(const rt_explanation *x, size_t e, char room[128])
{
    int p = 0;
    const char *part = "";
    rt_shape s = {0};
    size_t n = 0;
    while ((size_t)x->part_of[p + 1] <= e) p++;
    const rt_source *of = rt_source_part(x->data.x, p, &part, NULL);
    if (x->element_name && x->element_name[e]) return x->element_name[e];
    if (rt_source_shape(of, &s)) return "";
    size_t at = e - (size_t)x->part_of[p], under = rt_shape_count(&s);
    if (*part) n = (size_t)snprintf(room, 128, "%.40s[", part);
    for (int i = 0; i < s.rank && n < 110; i++) {
        under /= (size_t)s.dim[i];
        if (i == s.rank - 1 && i && s.dim[i] == 1) break;            /* one channel */
        n += (size_t)snprintf(room + n, 128 - n, "%s%zu", i ? "," : "", at / under % (size_t)s.dim[i]);
    }
    if (*part) snprintf(room + n, 128 - n, "]");
    return room;
}

/* ---- rows ---- */

static void convert(const rt_explain_side *s, const char *raw, size_t bytes, int n, float *x)
{
    for (int r = 0; r < n; r++)
        for (int k = 0; k < s->model[0]->inputs; k++) {
            rt_feed feed = {.raw = raw + (size_t)r * bytes, .rows = 1};
            if (s->rows[k].ids) rt_rows_fill(&s->rows[k], &feed, x, 0, 1);
            else rt_rows_raw(&s->rows[k], x, feed.raw);
            x += s->rows[k].size;
        }
}

static rt_status check_rows(const rt_explanation *x, const uint64_t *row, int n, const char *raw, size_t bytes)
{
    int ids[RT_SOURCE_PARTS] = {0};
    for (int s = 0; s < x->sides; s++) rt_teacher_ids(x->side[s].teacher, x->data.x, ids);
    if (!rt_source_suspect(x->data.x, ids, raw, n)) return RT_OK;
    for (int r = 0; r < n; r++) {
        const rt_source *part;
        const char *fault = rt_source_fault(x->data.x, ids, raw + (size_t)r * bytes, &part);
        if (fault)
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s", rt_source_path(part),
                           (unsigned long long)row[r], rt_source_info(part)->name, fault);
    }
    return RT_OK;
}

rt_status rt_explain_read(rt_explanation *x, const uint64_t *row, int n, float *const to[RT_EXPLAIN_SIDES])
{
    size_t bytes = rt_source_row_bytes(x->data.x);
    int some = bytes > 1 << 20 ? 1 : CHUNK;
    char *raw = malloc(bytes * (size_t)some);
    rt_status st = raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int at = 0; at < n && !st; at += some) {
        int m = n - at < some ? n - at : some;
        st = rt_source_read(x->data.x, row + at, m, raw);
        if (!st) st = check_rows(x, row + at, m, raw, bytes);
        for (int s = 0; s < x->sides && !st; s++)
            if (to[s]) convert(&x->side[s], raw, bytes, m, to[s] + (size_t)at * x->side[s].parts);
        if (!st) st = rt_check_stop();
    }
    free(raw);
    return st;
}

/* ---- baselines ---- */

/* The mean of up to SAMPLE rows, evenly among all of the data's; ids are 0. */
static rt_status mean_rows(rt_explanation *x)
{
    uint64_t all = rt_source_rows(x->data.x), n = all < SAMPLE ? all : SAMPLE, row[CHUNK];
    float *some[RT_EXPLAIN_SIDES] = {0};
    double *sum[RT_EXPLAIN_SIDES] = {0};
    rt_status st = RT_OK;
    for (int s = 0; s < x->sides; s++) {
        some[s] = rt_floats_new(CHUNK * x->side[s].parts);
        sum[s] = calloc(x->side[s].parts, sizeof(double));
        if (!some[s] || !sum[s]) st = rt_fail(RT_RUN, "out of memory");
    }
    for (uint64_t at = 0; at < n && !st; at += CHUNK) {
        int m = n - at < CHUNK ? (int)(n - at) : CHUNK;
        for (int i = 0; i < m; i++) row[i] = (uint64_t)((double)(at + (uint64_t)i) * (double)all / (double)n);
        st = rt_explain_read(x, row, m, some);
        for (int s = 0; s < x->sides && !st; s++)
            for (size_t i = 0; i < (size_t)m * x->side[s].parts; i++)
                sum[s][i % x->side[s].parts] += (double)some[s][i] / (double)n;
    }
    for (int s = 0; s < x->sides; s++) {
        const rt_model *m = x->side[s].model[0];
        size_t at = 0;
        for (int k = 0; k < m->inputs && !st; at += m->input[k++].size)
            for (size_t i = 0; i < (size_t)x->rows * m->input[k].size && !m->input[k].ids; i++)
                x->side[s].base[i / m->input[k].size * x->side[s].parts + at + i % m->input[k].size] =
                    (float)sum[s][at + i % m->input[k].size];
        free(some[s]);
        free(sum[s]);
    }
    return st;
}

/* Along lines of n elements, `step` apart: a Gaussian's weights over +- 3 sigma, divided by those that lie inside. */
static void blur_line(float *to, const float *from, int n, size_t step, double sigma)
{
    int reach = (int)ceil(3 * sigma);
    for (int i = 0; i < n; i++) {
        double sum = 0, weights = 0;
        for (int k = i - reach < 0 ? 0 : i - reach; k <= i + reach && k < n; k++) {
            double w = exp(-0.5 * (k - i) * (k - i) / (sigma * sigma));
            sum += w * (double)from[(size_t)k * step];
            weights += w;
        }
        to[(size_t)i * step] = (float)(sum / weights);
    }
}

static rt_status blur_rows(rt_explanation *x, rt_explain_side *side)
{
    const rt_model *m = side->model[0];
    size_t at = 0;
    for (int k = 0; k < m->inputs; at += m->input[k++].size) {
        const rt_input *in = &m->input[k];
        if (in->shape.rank != 3)
            return rt_fail(RT_USAGE, "%s: blur is a baseline of images, and input '%s' is none; choose another "
                           "explain.baseline", side->name, in->name);
        int h = in->shape.dim[0], w = in->shape.dim[1];
        size_t c = (size_t)in->shape.dim[2];
        double sigma = x->blur > 0 ? x->blur : (h > w ? h : w) / 10.0;
        float *half = rt_floats_new(in->size);
        if (!half) return RT_RUN;
        for (int r = 0; r < x->rows; r++) {
            const float *from = side->x + (size_t)r * side->parts + at;
            float *to = side->base + (size_t)r * side->parts + at;
            for (size_t i = 0; i < (size_t)h * c; i++) {
                size_t line = i / c * (size_t)w * c + i % c;
                blur_line(half + line, from + line, w, c, sigma);
            }
            for (size_t i = 0; i < (size_t)w * c; i++) blur_line(to + i, half + i, h, (size_t)w * c, sigma);
        }
        free(half);
    }
    return RT_OK;
}

static rt_status same_row(rt_explanation *x)
{
    float *one[RT_EXPLAIN_SIDES] = {0};
    rt_status st = RT_OK;
    if (x->base_row >= rt_source_rows(x->data.x))
        return rt_fail(RT_USAGE, "explain.baseline: there is no row %llu, %s has %llu",
                       (unsigned long long)x->base_row, x->data.source,
                       (unsigned long long)rt_source_rows(x->data.x));
    for (int s = 0; s < x->sides; s++)
        if (!(one[s] = rt_floats_new(x->side[s].parts))) st = RT_RUN;
    if (!st) st = rt_explain_read(x, &x->base_row, 1, one);
    for (int s = 0; s < x->sides; s++) {
        for (int r = 0; r < x->rows && !st; r++)
            memcpy(x->side[s].base + (size_t)r * x->side[s].parts, one[s], x->side[s].parts * sizeof(float));
        free(one[s]);
    }
    return st;
}

rt_status rt_explain_baselines(rt_explanation *x)
{
    for (int s = 0; s < x->sides; s++)
        for (int k = 0; k < x->side[s].model[0]->inputs; k++) {
            if (!x->side[s].rows[k].ids || x->base == RT_BASE_ZERO) continue;
            if (x->base == RT_BASE_ROW && x->how.method == RT_BY_OCCLUSION) continue;
            return rt_fail(RT_USAGE, "%s: ids of input '%s' have no such baseline; explain.baseline=zero stands for "
                           "nothing there (id 0 of occlusion, else a table of zeros)", x->side[s].name,
                           x->side[s].rows[k].name);
        }
    switch (x->base) {
    case RT_BASE_ZERO: return RT_OK;                   /* as they begin */
    case RT_BASE_MEAN: return mean_rows(x);
    case RT_BASE_BLUR:
        for (int s = 0; s < x->sides; s++) RT_TRY(blur_rows(x, &x->side[s]));
        return RT_OK;
    case RT_BASE_ROW: return same_row(x);
    }
    return RT_OK;
}

/* ---- what is told ---- */

void rt_explain_tell(rt_explanation *x, int which)
{
    rt_explain_side *s = &x->side[which];
    uint32_t *count = x->how.method == RT_BY_OCCLUSION ? calloc(x->elements, sizeof *count) : NULL;
    for (size_t u = 0; u < s->parts && count; u++) count[s->place[u]]++;
    for (int r = 0; r < x->rows; r++) {
        float *to = s->told + (size_t)r * x->elements;
        for (size_t u = 0; u < s->parts; u++) {
            float v = s->part[(size_t)r * s->parts + u];
            to[s->place[u]] += count ? v / (float)count[s->place[u]] : v;
        }
    }
    free(count);
}

double rt_explain_has(const rt_explanation *x, int r, size_t element)
{
    const rt_explain_side *s = &x->side[0];
    size_t u = 0, end = 0;
    int k = 0, id;
    while (u < s->parts && s->place[u] != element) u++;
    if (u == s->parts) return NAN;
    for (end = s->rows[0].size; u >= end; end += s->rows[++k].size) {}
    const float *v = s->x + (size_t)r * s->parts + u;
    memcpy(&id, v, sizeof id);
    return s->rows[k].ids ? id : (double)*v;
}
