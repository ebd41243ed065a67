#include "student/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_check.h"
#include "engine/session.h"
#include "student/arch.h"
#include "student/program.h"

enum { BATCH = 32, BINS = 2048, TRIES = 70, FLOATS_MOST = 1 << 30, FEW_STEPS = 4, SORTED_MOST = 1 << 16 };

/* Of a tensor: range, sums by channel (the last dimension), counts over equal parts of the range. */
typedef struct { float low, high; int channels, bad; double *sum; uint32_t *bin; } observed;

typedef struct {
    rt_model *m;
    const rt_calibrate_spec *spec;
    const float *x;
    int rows;
    rt_device *device;
    observed *of;                    /* (tensors) */
    char *range;                     /* (tensors): gets one */
} calibration;

static void see_range(observed *o, const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        o->bad |= !isfinite(v[i]);
        if (v[i] < o->low) o->low = v[i];
        if (v[i] > o->high) o->high = v[i];
        o->sum[i % (size_t)o->channels] += (double)v[i];
    }
}

static void see_bins(observed *o, const float *v, size_t n)
{
    double scale = BINS / ((double)o->high - (double)o->low);
    for (size_t i = 0; i < n; i++) {
        int k = (int)(((double)v[i] - (double)o->low) * scale);
        o->bin[k < 0 ? 0 : k < BINS ? k : BINS - 1]++;
    }
}

/* Runs the model over all rows and shows each tensor's values, some tensors at a time. */
static rt_status each_tensor(calibration *c, void (*see)(observed *, const float *, size_t))
{
    const rt_graph *g = c->m->graph;
    const size_t size = rt_shape_count(&g->tensor[g->input[0]].shape);
    for (int first = 0; first < g->tensors; first += RT_MAX_OUTPUTS) {
        rt_session *s;
        rt_session_spec spec = {.graph = g, .batch = BATCH, .params = c->m->params, .states = c->m->states};
        for (int t = first; t < g->tensors && spec.outputs < RT_MAX_OUTPUTS; t++) spec.output[spec.outputs++] = t;
        RT_TRY(rt_session_new(&s, &spec, c->device));
        rt_status st = RT_OK;
        for (int r = 0; r < c->rows && !st; r += BATCH) {
            int rows = c->rows - r < BATCH ? c->rows - r : BATCH;
            st = rt_session_infer(s, &(rt_step){.rows = rows, .x = {c->x + (size_t)r * size}});
            for (int i = 0; i < spec.outputs && !st; i++)
                see(&c->of[first + i], rt_session_output(s, i),
                    (size_t)rows * rt_shape_count(&g->tensor[first + i].shape));
        }
        rt_session_free(s);
        RT_TRY(st);
    }
    return RT_OK;
}

static rt_status check_ranges(const calibration *c)
{
    const rt_graph *g = c->m->graph;
    for (int t = 0; t < g->tensors; t++) {
        const observed *o = &c->of[t];
        const char *layer = t == g->input[0] ? "input" : rt_arch_layer(g, t);
        if (o->bad)
            return rt_fail(RT_INPUT,
                           "calibration: '%s' gives a value that is not finite; look at the data and the model", layer);
        if (c->range[t] && o->low == 0 && o->high == 0)
            return rt_fail(RT_INPUT,
                           "calibration: '%s' gives 0 for each of %d rows, so its range has no width; take other "
                           "or more rows, or leave the layer out",
                           layer, c->rows);
    }
    return RT_OK;
}

/* Squared error of all values of a histogram with this quantizer. */
static double error_of(const observed *o, rt_quant q)
{
    double width = ((double)o->high - (double)o->low) / BINS, sum = 0;
    for (int k = 0; k < BINS; k++) {
        if (!o->bin[k]) continue;
        double v = (double)o->low + (k + 0.5) * width, r = rint(v / (double)q.scale) + q.zero;
        r = (double)q.scale * ((r < 0 ? 0 : r > 255 ? 255 : r) - q.zero);
        sum += o->bin[k] * (v - r) * (v - r);
    }
    return sum;
}

/* What part of the range keeps the error least. */
static float best_part(const observed *o)
{
    float best = 1;
    double least = error_of(o, rt_quant_of(o->low, o->high));
    for (int i = 1; i < TRIES; i++) {
        float part = 1 - (float)i / 100;
        double e = error_of(o, rt_quant_of(o->low * part, o->high * part));
        if (e < least) {
            least = e;
            best = part;
        }
    }
    return best;
}

static double rounded(double w, double step, int most)
{
    double r = rint(w / step);
    return step * (r < -most ? -most : r > most ? most : r);
}

/* Of a channel of weights (rows, n), the part of the step that just fits which keeps the squared error least. */
static float best_step(const float *w, size_t rows, int n, int most)
{
    float top = 0, best = 1.0f / (float)most;
    double least = -1;
    for (size_t r = 0; r < rows; r++) top = fabsf(w[r * (size_t)n]) > top ? fabsf(w[r * (size_t)n]) : top;
    for (int i = 0; i < TRIES && top > 0; i++) {
        float by = top * (1 - (float)i / 100) / (float)most;
        double e = 0;
        for (size_t r = 0; r < rows; r++) {
            double d = (double)w[r * (size_t)n] - rounded((double)w[r * (size_t)n], (double)by, most);
            e += d * d;
        }
        if (least < 0 || e < least) {
            least = e;
            best = by;
        }
    }
    return best;
}

static void set_steps(float *step, const float *w, size_t rows, int n, int most, rt_calibrate_method method)
{
    rt_quant_follow(step, w, rows, n, most);
    for (int o = 0; o < n && method == RT_CALIBRATE_MSE; o++) step[o] = best_step(w + o, rows, n, most);
}

rt_status rt_calibrate_steps(rt_model *m, int node, rt_calibrate_method method)
{
    const rt_graph *g = m->graph;
    const rt_node *n = &g->node[node];
    const rt_field *f = &g->field[n->field[0]];
    const int channels = f->shape.dim[f->shape.rank - 1];
    rt_quant input = {0, 0};
    if (n->share >= 0) return RT_OK;
    float *w = rt_program_weights(m, node, g->quant.bytes, &input);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    set_steps(rt_model_steps(m, node), w, f->count / (size_t)channels, channels, rt_quant_most(g->quant.bits[node]),
              method);
    free(w);
    return RT_OK;
}

/* The mean of input channel k of a node, over rows and pixels, as its weights see it. */
static double mean_of(const calibration *c, const rt_node *n, int k)
{
    const observed *o = &c->of[n->in[0]];
    size_t count = rt_shape_count(&c->m->graph->tensor[n->in[0]].shape) / (size_t)o->channels * (size_t)c->rows;
    return o->sum[k] / (double)count;
}

/* Sums of the weights' errors with the mean input, by output channel. */
static void set_shifts(const calibration *c, int node, const float *w, double scale)
{
    const rt_graph *g = c->m->graph;
    const rt_node *n = &g->node[node];
    const rt_field *f = &g->field[n->field[0]];
    const rt_input *input = &c->m->input[0];
    const int channels = f->shape.dim[f->shape.rank - 1], most = rt_quant_most(g->quant.bits[node]);
    const int groups = n->op == RT_OP_DENSE ? 1 : RT_ATTR(n, rt_conv_attr)->groups;
    const float *step = rt_model_steps(c->m, node);
    float *shift = rt_model_shifts(c->m, node);
    int h, width, in;
    rt_shape_hwc(&g->tensor[n->in[0]].shape, &h, &width, &in);
    for (int o = 0; o < channels; o++) {
        double sum = 0;
        for (size_t r = 0; r < f->count / (size_t)channels; r++) {
            int cg = in / groups, k = o / (channels / groups) * cg + (int)(r % (size_t)cg);
            double v = (double)w[r * (size_t)channels + (size_t)o], mean = mean_of(c, n, k);
            if (scale > 0) mean *= scale / (double)input->mul[input->channels == 1 ? 0 : k];
            sum += (v - rounded(v, (double)step[o], most)) * mean;
        }
        shift[o] = (float)sum;
    }
}

static rt_status set_weights(calibration *c, int node)
{
    rt_quant input = {0, 0};
    RT_TRY(rt_calibrate_steps(c->m, node, c->spec->method));
    if (!c->spec->correct) return RT_OK;
    float *w = rt_program_weights(c->m, node, c->spec->bytes, &input);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    set_shifts(c, node, w, (double)input.scale);
    free(w);
    return RT_OK;
}

static rt_status give_quantizers(calibration *c)
{
    const rt_graph *g = c->m->graph;
    int *bits = calloc((size_t)g->nodes, sizeof *bits);
    if (!bits) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < g->nodes; i++)
        if (rt_has_weights(&g->node[i])) bits[i] = c->spec->bits ? c->spec->bits[i] : 8;
    rt_quantize_spec spec = {.bytes = c->spec->bytes, .bits = bits, .range = c->range, .shift = c->spec->correct};
    rt_status st = rt_model_quantize(c->m, &spec);
    free(bits);
    return st;
}

static rt_status calibrate(calibration *c)
{
    const rt_graph *g = c->m->graph;
    int by_mse = c->spec->method == RT_CALIBRATE_MSE;
    for (int t = 0; t < g->tensors; t++) {
        const rt_shape *s = &g->tensor[t].shape;
        observed *o = &c->of[t];
        *o = (observed){.low = INFINITY, .high = -INFINITY, .channels = s->dim[s->rank - 1]};
        o->sum = calloc((size_t)o->channels, sizeof *o->sum);
        if (by_mse) o->bin = calloc(BINS, sizeof *o->bin);
        if (!o->sum || (by_mse && !o->bin)) return rt_fail(RT_RUN, "out of memory");
    }
    RT_TRY(each_tensor(c, see_range));
    RT_TRY(check_ranges(c));
    for (int t = 0; t < g->tensors; t++) {                 /* 0 is a value, too */
        c->of[t].low = fminf(c->of[t].low, 0);
        c->of[t].high = fmaxf(c->of[t].high, 0);
    }
    if (by_mse) RT_TRY(each_tensor(c, see_bins));
    RT_TRY(give_quantizers(c));
    for (int t = 0; t < g->tensors; t++) {
        float *range = rt_model_range(c->m, t), part = range && by_mse ? best_part(&c->of[t]) : 1;
        if (!range) continue;
        range[0] = c->of[t].low * part;
        range[1] = c->of[t].high * part;
    }
    for (int i = 0; i < g->nodes; i++) if (rt_has_weights(&g->node[i])) RT_TRY(set_weights(c, i));
    return rt_quantizers_check(c->m, "calibration");
}

rt_status rt_calibrate(rt_model *m, const rt_calibrate_spec *spec, const float *x, int rows, rt_device *device)
{
    if (rows < 1) return rt_fail(RT_INPUT, "calibration needs at least one row");
    const rt_graph *g = m->graph;
    calibration c = {.m = m, .spec = spec, .x = x, .rows = rows, .device = device,
                     .of = calloc((size_t)g->tensors, sizeof *c.of), .range = calloc((size_t)g->tensors, 1)};
    rt_status st = c.of && c.range ? rt_program_needs(m, spec->bytes, c.range) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = calibrate(&c);
    for (int t = 0; t < g->tensors && c.of; t++) {
        free(c.of[t].sum);
        free(c.of[t].bin);
    }
    free(c.of);
    free(c.range);
    return st;
}

rt_status rt_calibrate_rows(float **x, char **raw, rt_source *source, const uint64_t *row, size_t n, const rt_input *in)
{
    size_t row_bytes = rt_source_row_bytes(source);
    rt_dtype type = rt_source_type(source);
    *x = NULL;
    *raw = NULL;
    if ((double)n * (double)in->size > FLOATS_MOST)
        return rt_fail(RT_USAGE, "quant.calibrate: %zu rows of %zu values do not fit in memory; take fewer", n,
                       in->size);
    *raw = malloc(n * row_bytes + 64);
    *x = rt_floats_new(n * in->size);
    if (!*raw || !*x) return rt_fail(RT_RUN, "out of memory for %zu rows", n);
    RT_TRY(rt_source_read(source, row, (int)n, *raw));
    for (size_t r = 0; r < n; r++) {
        const char *fault = rt_row_fault(*raw + r * row_bytes, type, row_bytes / rt_dtype_size(type));
        if (fault)
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s; calibrate with other rows (data.rows)",
                           rt_source_path(source), (unsigned long long)row[r],
                           rt_source_info(source) ? rt_source_info(source)->name : "x", fault);
    }
    rt_input_normalize(in, *x, *raw, (int)n);
    return RT_OK;
}

static int ascending(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The width between the quartiles of column c; of many values, some that lie evenly among them tell. */
static float middle_of(float *sorted, const float *x, size_t n, int columns, int c)
{
    const size_t each = n / (size_t)columns, apart = (each + SORTED_MOST - 1) / SORTED_MOST,
                 m = (each + apart - 1) / apart;
    for (size_t i = 0; i < m; i++) sorted[i] = x[i * apart * (size_t)columns + (size_t)c];
    qsort(sorted, m, sizeof *sorted, ascending);
    return sorted[m - 1 - m / 4] - sorted[m / 4];
}

rt_status rt_calibrate_coarse(char *text, size_t size, const rt_model *m, const float *x, int rows, const float *range)
{
    const rt_shape *shape = &m->graph->tensor[m->graph->input[0]].shape;
    const int columns = shape->dim[shape->rank - 1];
    const size_t n = rt_shape_count(shape) * (size_t)rows;
    float own[2] = {0, 0}, *sorted = malloc(SORTED_MOST * sizeof *sorted);
    int few = 0;
    *text = 0;
    if (!sorted) return rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < n && !range; i++) {
        own[0] = fminf(own[0], x[i]);
        own[1] = fmaxf(own[1], x[i]);
    }
    if (!range) range = own;
    for (int c = 0; c < columns && n; c++) {
        float width = middle_of(sorted, x, n, columns, c);
        few += width > 0 && width < FEW_STEPS * rt_quant_of(range[0], range[1]).scale;
    }
    free(sorted);
    if (few)
        snprintf(text, size, "quant: the normalised input goes from %g to %g in 255 steps; of %d of its %d columns "
                 "half of the values share fewer than %d: bring far values in (clip them, or take logarithms)",
                 (double)range[0], (double)range[1], few, columns, FEW_STEPS);
    return RT_OK;
}
