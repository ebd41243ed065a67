#include "student/attribution_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"

enum { BATCH = RT_ATTRIBUTION_BATCH, PATCHES = 1 << 20 };
#define WORK 1.6e9                     /* multiply-adds of a step forward, so that one ends within a second */

const char *const rt_attribution_names[] = {"gradient", "integrated", "occlusion", NULL};
const char *const rt_path_names[] = {"midpoint", "trapezoid", "gauss", NULL};

const char *rt_attribution_of(const rt_explainer *e)
{ return e->model[0]->head[0].names.of ? e->model[0]->head[0].names.of : "the model"; }

/* ---- making one ---- */

/* All members see the same elements in the same places. */
static rt_status check_inputs(const rt_explainer *e)
{
    const rt_model *a = e->model[0];
    for (int i = 1; i < e->count; i++) {
        const rt_model *b = e->model[i];
        int same = a->inputs == b->inputs;
        for (int k = 0; k < a->inputs && same; k++) {
            const rt_input *p = &a->input[k], *q = &b->input[k];
            same = p->size == q->size && !p->ids == !q->ids && !strcmp(p->name, q->name) &&
                   !memcmp(&p->resize, &q->resize, sizeof p->resize);
            for (size_t j = 0; j < p->size && same && (p->pick || q->pick); j++)
                same = (p->pick ? p->pick[j] : (int)j) == (q->pick ? q->pick[j] : (int)j);
        }
        if (!same)
            return rt_fail(RT_USAGE, "%s: its members take their inputs in different ways; explain each alone",
                           rt_attribution_of(e));
    }
    return RT_OK;
}

static rt_status take_room(rt_explainer *e, rt_device *device)
{
    double most = WORK / (rt_graph_macs(e->model[0]->graph) + 1);
    size_t n = (size_t)(e->batch = most < 1 ? 1 : most < BATCH ? (int)most : BATCH);
    for (int i = 0; i < e->model[0]->inputs; i++) {
        const rt_input *in = &e->model[0]->input[i];
        e->at[i + 1] = e->at[i] + in->size;
        e->ids |= in->ids > 0;
    }
    e->parts = e->at[e->model[0]->inputs];
    e->x = rt_floats_new(n * e->parts);
    e->element = calloc(n, sizeof *e->element);
    e->value = calloc(n, sizeof *e->value);
    e->factor = calloc(n, sizeof *e->factor);
    e->z = malloc(n * (size_t)rt_model_width(e->model[0]) * sizeof *e->z);
    if (!e->x || !e->element || !e->value || !e->factor || !e->z) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < e->count; i++) rt_inputs_take(e->model[i]->input, e->model[i]->inputs);
    return rt_predictor_new(&e->predictor, e->model, e->count, device, 0, NULL, 0);
}

rt_status rt_explainer_new(rt_explainer **out, rt_model *const *models, int count, rt_device *device,
                           const rt_attribution_spec *spec)
{
    rt_explainer *e = *out = calloc(1, sizeof *e);
    if (!e) return rt_fail(RT_RUN, "out of memory");
    e->spec = *spec;
    e->model = models;
    e->count = count;
    rt_status st = check_inputs(e);
    if (!st) st = take_room(e, device);
    if (!st && spec->method != RT_BY_OCCLUSION) st = rt_attribution_begin(e, device);
    if (!st) return RT_OK;
    rt_explainer_free(e);
    *out = NULL;
    return st;
}

void rt_explainer_free(rt_explainer *e)
{
    if (!e) return;
    rt_attribution_end(e);
    rt_predictor_free(e->predictor);
    void *owned[] = {e->x, e->element, e->value, e->factor, e->z, e};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

size_t rt_explainer_parts(const rt_explainer *e) { return e->parts; }

rt_status rt_explainer_answers(rt_explainer *e, const float *x, int rows, float *z)
{
    int micro = rt_predictor_micro(e->predictor);
    size_t width = (size_t)rt_model_width(e->model[0]);
    for (int at = 0; at < rows; at += micro) {
        int n = rows - at < micro ? rows - at : micro;
        rt_feed feed = {.raw = x + (size_t)at * e->parts, .rows = n};
        RT_TRY(rt_predict(e->predictor, &feed, z + (size_t)at * width));
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

/* ---- occlusion ---- */

/* Patch p of an input: parts [first, first + width) of `lines` lines, `stride` apart. */
typedef struct { size_t first, width, stride; int lines; } patch;

static int along(int size, int side, int step) { return size <= side ? 1 : 1 + (size - side + step - 1) / step; }

static size_t patches_of(const rt_explainer *e, int input)
{
    const rt_input *in = &e->model[0]->input[input];
    if (in->ids || in->shape.rank < 2) return in->size;
    if (in->shape.rank != 3) return in->size / (size_t)rt_input_last(in);
    return (size_t)along(in->shape.dim[0], e->spec.patch, e->spec.stride) *
           (size_t)along(in->shape.dim[1], e->spec.patch, e->spec.stride);
}

static patch patch_of(const rt_explainer *e, int input, size_t i)
{
    const rt_input *in = &e->model[0]->input[input];
    size_t c = in->ids || in->shape.rank < 2 ? 1 : (size_t)rt_input_last(in);
    if (in->ids || in->shape.rank != 3) return (patch){e->at[input] + i * c, c, 0, 1};
    int h = in->shape.dim[0], w = in->shape.dim[1], side = e->spec.patch, step = e->spec.stride,
        across = along(w, side, step), y = (int)(i / (size_t)across) * step, x = (int)(i % (size_t)across) * step;
    return (patch){.first = e->at[input] + ((size_t)y * (size_t)w + (size_t)x) * c,
                   .width = (size_t)(w - x < side ? w - x : side) * c,
                   .stride = (size_t)w * c,
                   .lines = h - y < side ? h - y : side};
}

/* Row r with the patch of the baseline, into to; false: nothing changes. */
static int cover(const rt_attribution *io, size_t parts, int r, const patch *p, float *to)
{
    const float *x = io->x + (size_t)r * parts, *b = io->base + (size_t)r * parts;
    int changed = 0;
    memcpy(to, x, parts * sizeof *to);
    for (int i = 0; i < p->lines; i++) {
        size_t at = p->first + (size_t)i * p->stride;
        changed |= memcmp(x + at, b + at, p->width * sizeof *x) != 0;
        memcpy(to + at, b + at, p->width * sizeof *to);
    }
    return changed;
}

static double asked(const rt_explainer *e, const float *z, int element)
{
    const rt_head *h = &e->model[0]->head[e->spec.head];
    return rt_ask_row(e->spec.ask, h->task, z + h->at, h->size, element, NULL);
}

/* Rows with a patch covered, some at a time. */
typedef struct {
    rt_explainer *e;
    const rt_attribution *io;
    int row, waiting;
    patch of[BATCH];
    double *sum;                       /* (U) */
} covering;

static rt_status flush(covering *c)
{
    rt_explainer *e = c->e;
    size_t width = (size_t)rt_model_width(e->model[0]);
    RT_TRY(rt_explainer_answers(e, e->x, c->waiting, e->z));
    for (int i = 0; i < c->waiting; i++) {
        const patch *p = &c->of[i];
        double d = c->io->value[c->row] - asked(e, e->z + (size_t)i * width, c->io->element[c->row]);
        for (int l = 0; l < p->lines; l++)
            for (size_t k = 0; k < p->width; k++) c->sum[p->first + (size_t)l * p->stride + k] += d;
    }
    c->waiting = 0;
    return RT_OK;
}

static rt_status occlude(covering *c, const double *count)
{
    rt_explainer *e = c->e;
    memset(c->sum, 0, e->parts * sizeof *c->sum);
    for (int i = 0; i < e->model[0]->inputs; i++) {
        size_t n = patches_of(e, i);
        for (size_t p = 0; p < n; p++) {
            c->of[c->waiting] = patch_of(e, i, p);
            c->waiting += cover(c->io, e->parts, c->row, &c->of[c->waiting], e->x + (size_t)c->waiting * e->parts);
            if (c->waiting == e->batch) RT_TRY(flush(c));
        }
    }
    RT_TRY(flush(c));
    float *part = c->io->part + (size_t)c->row * e->parts;
    for (size_t u = 0; u < e->parts; u++) part[u] = (float)(c->sum[u] / count[u]);
    return RT_OK;
}

/* How many patches cover each part. */
static rt_status count_patches(const rt_explainer *e, double *count)
{
    for (int i = 0; i < e->model[0]->inputs; i++) {
        size_t n = patches_of(e, i);
        if (n > PATCHES) return rt_fail(RT_USAGE, "%zu patches are too many; give a larger explain.stride", n);
        for (size_t p = 0; p < n; p++) {
            patch q = patch_of(e, i, p);
            for (int l = 0; l < q.lines; l++)
                for (size_t k = 0; k < q.width; k++) count[q.first + (size_t)l * q.stride + k]++;
        }
    }
    for (size_t u = 0; u < e->parts; u++) if (count[u] < 1) count[u] = 1;      /* between patches that leave gaps */
    return RT_OK;
}

static rt_status occlude_rows(rt_explainer *e, const rt_attribution *io, const rt_progress *progress)
{
    covering c = {.e = e, .io = io, .sum = calloc(e->parts, sizeof(double))};
    double *count = calloc(e->parts, sizeof *count), since = rt_seconds();
    size_t width = (size_t)rt_model_width(e->model[0]);
    rt_status st = c.sum && count ? count_patches(e, count) : rt_fail(RT_RUN, "out of memory");
    for (; !st && c.row < io->rows; c.row++) {
        st = rt_explainer_answers(e, io->x + (size_t)c.row * e->parts, 1, e->z);
        for (size_t i = 0; i < width && !st; i++)
            if (!isfinite(e->z[i]))
                st = rt_fail(RT_INPUT, "%s: the answer to row %d of those explained is not finite",
                             rt_attribution_of(e), c.row);
        if (!st) io->value[c.row] = asked(e, e->z, io->element[c.row]);
        if (!st) st = occlude(&c, count);
        double spent = rt_seconds() - since;
        rt_progress_update(progress, "explain", c.row + 1, io->rows, spent > 0 ? (c.row + 1) / spent : 0, "rows", "");
    }
    free(c.sum);
    free(count);
    return st;
}

rt_status rt_explain_rows(rt_explainer *e, const rt_attribution *io, const rt_progress *progress)
{
    if (e->spec.method == RT_BY_OCCLUSION) return occlude_rows(e, io, progress);
    return rt_attribution_paths(e, io, progress);
}
