/* engine/eval/eval_pool.c - windows over images: maximum, average, p-norm, of each channel by itself. What looks at
 * regions, or goes back from a maximum, is in eval_pool_more.c. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

typedef enum { MAXIMUM, AVERAGE, NORM } pool_kind;

typedef struct {
    pool_kind kind;
    rt_layer_window w;
    double p;                               /* of the norm */
    int with_padding;                       /* an average counts what it sees of the padding, too */
    int column_major;                       /* indices */
    const double *x;                        /* one channel */
} pool;

static double power(double v, double p)
{ return p == 2 ? v * v : p == 1 ? fabs(v) : pow(fabs(v), p); }

/* What an average over the padding, too, divides by: the taps of each dimension that lie inside of it. */
static double taps_with_padding(const rt_layer_window *w, const int64_t *o)
{
    double count = 1;
    for (int d = 0; d < w->n; d++) {
        int64_t room = w->in[d] + w->begin[d] + w->end[d] - o[d] * w->stride[d];
        int64_t taps = (room + w->dilation[d] - 1) / w->dilation[d];
        count *= (double)(taps < w->kernel[d] ? taps : w->kernel[d]);
    }
    return count;
}

/* The value at place o; *best gets the pixel of a maximum. NaN with *best = -1: the window has no pixel. */
static double window(const pool *f, const int64_t *o, int64_t *best)
{
    const rt_layer_window *w = &f->w;
    int64_t from[RT_LAYER_SPACE], to[RT_LAYER_SPACE], k[RT_LAYER_SPACE];
    int last = w->n - 1;
    double sum = 0, count = 1;
    *best = -1;
    for (int d = 0; d < w->n; d++) {
        rt_layer_window_taps(w, d, o[d], &from[d], &to[d]);
        if (from[d] >= to[d]) return NAN;
        count *= (double)(to[d] - from[d]);
        k[d] = from[d];
    }
    for (int d = 0; d >= 0;) {
        int64_t line = 0;
        for (d = 0; d < last; d++)
            line = (line + o[d] * w->stride[d] - w->begin[d] + k[d] * w->dilation[d]) * w->in[d + 1];
        int64_t at = line + o[last] * w->stride[last] - w->begin[last] + from[last] * w->dilation[last];
        for (int64_t i = from[last]; i < to[last]; i++, at += w->dilation[last]) {
            double v = f->x[at];
            if (f->kind == AVERAGE) sum += v;
            else if (f->kind == NORM) sum += power(v, f->p);
            else if (*best < 0 || v > sum || (isnan(v) && !isnan(sum))) sum = v, *best = at;
        }
        for (d = last - 1; d >= 0 && ++k[d] == to[d]; d--) k[d] = from[d];
    }
    if (f->kind == MAXIMUM) return sum;
    *best = 0;
    if (f->kind == NORM) return f->p == 2 ? sqrt(sum) : f->p == 1 ? sum : pow(sum, 1 / f->p);
    return sum / (f->with_padding ? taps_with_padding(w, o) : count);
}

static int64_t column_major(const rt_layer_window *w, int64_t pixel)
{
    int64_t at[RT_LAYER_SPACE], index = 0;
    for (int d = w->n - 1; d >= 0; d--) {
        at[d] = pixel % w->in[d];
        pixel /= w->in[d];
    }
    for (int d = w->n - 1; d >= 0; d--) index = index * w->in[d] + at[d];
    return index;
}

static rt_status run_windows(rt_eval_call *call, pool *f, const rt_array *x, rt_array *y, rt_array *indices)
{
    const rt_layer_window *w = &f->w;
    double *in = rt_eval_scratch(call, (size_t)w->pixels, sizeof *in);
    double *out = rt_eval_scratch(call, (size_t)w->places, sizeof *out);
    if (!in || !out) return RT_INPUT;
    f->x = in;
    for (int64_t c = 0; c < x->dim[0] * x->dim[1]; c++) {
        int64_t o[RT_LAYER_SPACE] = {0}, best;
        rt_layer_load(in, x, (size_t)(c * w->pixels), 1, (size_t)w->pixels);
        for (int64_t p = 0; p < w->places; p++) {
            out[p] = window(f, o, &best);
            RT_TRY(rt_eval_tick(call, 8 + (double)w->taps));
            if (best < 0 && (f->kind == MAXIMUM || (f->kind == AVERAGE && !f->with_padding)))
                return rt_fail(RT_INPUT, "a window lies in the padding alone");
            if (best < 0) out[p] = 0;
            if (indices)
                ((int64_t *)indices->data)[c * w->places + p] =
                    c * w->pixels + (f->column_major ? column_major(w, best) : best);
            for (int d = w->n - 1; d >= 0 && ++o[d] == w->out[d]; d--) o[d] = 0;
        }
        rt_layer_store(y, (size_t)(c * w->places), 1, out, (size_t)w->places);
    }
    return RT_OK;
}

static rt_status run_pool(rt_eval_call *call, pool *f, unsigned types, int dilates)
{
    const rt_array *x;
    rt_array *y, *indices = NULL;
    RT_TRY(rt_layer_in(call, 0, types, 3, RT_ARRAY_RANK, &x));
    RT_TRY(rt_layer_window_read(call, x->rank - 2, x->dim + 2, NULL, dilates ? 0 : RT_LAYER_NO_DILATION, &f->w));
    int64_t dim[RT_ARRAY_RANK] = {x->dim[0], x->dim[1]};
    memcpy(dim + 2, f->w.out, (size_t)f->w.n * sizeof *dim);
    RT_TRY(rt_eval_make(call, 0, x->type, x->rank, dim, &y));
    if (f->kind == MAXIMUM && call->outputs > 1) RT_TRY(rt_eval_make(call, 1, RT_I64, x->rank, dim, &indices));
    return y->count ? run_windows(call, f, x, y, indices) : RT_OK;
}

static rt_status run_average_pool(rt_eval_call *call)
{
    pool f = {.kind = AVERAGE};
    if (call->version >= 7) f.with_padding = rt_eval_int(call, "count_include_pad", 0) != 0;
    if (call->version >= 10) f.w.ceil = rt_eval_int(call, "ceil_mode", 0) != 0;
    return run_pool(call, &f, RT_EVAL_FLOATS, call->version >= 19);
}

static rt_status run_max_pool(rt_eval_call *call)
{
    pool f = {.kind = MAXIMUM};
    if (call->version >= 8) f.column_major = rt_eval_int(call, "storage_order", 0) != 0;
    if (call->version >= 10) f.w.ceil = rt_eval_int(call, "ceil_mode", 0) != 0;
    unsigned bytes = call->version >= 12 ? 1 << RT_I8 | 1 << RT_U8 : 0;
    return run_pool(call, &f, RT_EVAL_FLOATS | bytes, call->version >= 10);
}

/* p is a real number in the first definition, and whole since. */
static rt_status norm_of(rt_eval_call *call, double *p)
{
    *p = call->version < 2 ? rt_eval_float(call, "p", 2) : (double)rt_eval_int(call, "p", 2);
    return *p > 0 ? RT_OK : rt_fail(RT_INPUT, "p is %g; it must be above 0", *p);
}

static rt_status run_lp_pool(rt_eval_call *call)
{
    pool f = {.kind = NORM};
    RT_TRY(norm_of(call, &f.p));
    if (call->version >= 18) f.w.ceil = rt_eval_int(call, "ceil_mode", 0) != 0;
    return run_pool(call, &f, RT_EVAL_FLOATS, call->version >= 18);
}

/* ---- one window over all of the image ---- */

static rt_status run_global(rt_eval_call *call, pool_kind kind, double p)
{
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, RT_ARRAY_RANK, &x));
    int64_t dim[RT_ARRAY_RANK] = {x->dim[0], x->dim[1]};
    for (int i = 2; i < x->rank; i++) dim[i] = 1;
    RT_TRY(rt_eval_make(call, 0, x->type, x->rank, dim, &y));
    size_t pixels = y->count ? x->count / y->count : 1;
    if (!pixels) return rt_fail(RT_INPUT, "an image without pixels");
    for (size_t c = 0; c < y->count; c++) {
        RT_TRY(rt_eval_tick(call, (double)pixels));
        double sum = kind == MAXIMUM ? rt_array_double(x, c * pixels) : 0;
        for (size_t i = 0; i < pixels; i++) {
            double v = rt_array_double(x, c * pixels + i);
            if (kind == MAXIMUM) sum = v > sum || isnan(v) ? v : sum;
            else sum += kind == AVERAGE ? v : power(v, p);
        }
        rt_array_put(y, c, kind == AVERAGE ? sum / (double)pixels : kind == MAXIMUM ? sum : pow(sum, 1 / p));
    }
    return RT_OK;
}

static rt_status run_global_average(rt_eval_call *call) { return run_global(call, AVERAGE, 0); }
static rt_status run_global_max(rt_eval_call *call) { return run_global(call, MAXIMUM, 0); }

static rt_status run_global_lp(rt_eval_call *call)
{
    double p;
    RT_TRY(norm_of(call, &p));
    return run_global(call, NORM, p);
}

const rt_eval_op rt_eval_pool_ops[] = {
    {"", "AveragePool", 1, 1, 1, 1, run_average_pool, 0},
    {"", "MaxPool", 1, 1, 1, 1, run_max_pool, 0},
    {"", "MaxPool", 8, 1, 1, 2, run_max_pool, 0},
    {"", "LpPool", 1, 1, 1, 1, run_lp_pool, 0},
    {"", "GlobalAveragePool", 1, 1, 1, 1, run_global_average, 0},
    {"", "GlobalMaxPool", 1, 1, 1, 1, run_global_max, 0},
    {"", "GlobalLpPool", 1, 1, 1, 1, run_global_lp, 0},
    {"", "MaxUnpool", 9, 2, 3, 1, rt_eval_max_unpool, 0},
    {"", "MaxRoiPool", 1, 2, 2, 1, rt_eval_max_roi_pool, 0},
    {"", "RoiAlign", 10, 3, 3, 1, rt_eval_roi_align, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
