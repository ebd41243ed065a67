#include "student/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"
#include "student/arch.h"
#include "student/program.h"

enum { BATCH = 32, BINS = 2048, TRIES = 70 };

/* Of a tensor: range, sums by channel (the last dimension), counts over equal parts of the range. */
typedef struct { float low, high; int channels, bad; double *sum; uint32_t *bin; } observed;

typedef struct {
    rt_model *m;
    const rt_calibrate_spec *spec;
    const float *x;
    int rows;
    rt_pool *pool;
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
        RT_TRY(rt_session_new(&s, &spec, c->pool));
        for (int r = 0; r < c->rows; r += BATCH) {
            int rows = c->rows - r < BATCH ? c->rows - r : BATCH;
            rt_session_infer(s, &(rt_step){.rows = rows, .x = {c->x + (size_t)r * size}});
            for (int i = 0; i < spec.outputs; i++)
                see(&c->of[first + i], rt_session_output(s, i),
                    (size_t)rows * rt_shape_count(&g->tensor[first + i].shape));
        }
        rt_session_free(s);
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

/* The step of one output channel of weights (rows, n). */
static float step_of(const float *w, size_t rows, int n, int most, int by_mse)
{
    float top = 0;
    for (size_t r = 0; r < rows; r++) top = fabsf(w[r * (size_t)n]) > top ? fabsf(w[r * (size_t)n]) : top;
    if (!(top > 0)) return 1.0f / (float)most;
    float best = top / (float)most;
    double least = -1;
    for (int i = 0; i < (by_mse ? TRIES : 0); i++) {
        float step = top * (1 - (float)i / 100) / (float)most;
        double e = 0;
        for (size_t r = 0; r < rows; r++) {
            double d = (double)w[r * (size_t)n] - rounded((double)w[r * (size_t)n], (double)step, most);
            e += d * d;
        }
        if (least < 0 || e < least) {
            least = e;
            best = step;
        }
    }
    return best;
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
    const int channels = f->shape.dim[f->shape.rank - 1], most = (1 << (g->quant.bits[node] - 1)) - 1;
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
    const rt_graph *g = c->m->graph;
    const rt_node *n = &g->node[node];
    const rt_field *f = &g->field[n->field[0]];
    const int channels = f->shape.dim[f->shape.rank - 1], most = (1 << (g->quant.bits[node] - 1)) - 1;
    rt_quant input = {0, 0};
    float *w = rt_program_weights(c->m, node, c->spec->bytes, &input), *step = rt_model_steps(c->m, node);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    for (int o = 0; o < channels && n->share < 0; o++)
        step[o] = step_of(w + o, f->count / (size_t)channels, channels, most, c->spec->method == RT_CALIBRATE_MSE);
    if (c->spec->correct) set_shifts(c, node, w, (double)input.scale);
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

rt_status rt_calibrate(rt_model *m, const rt_calibrate_spec *spec, const float *x, int rows, rt_pool *pool)
{
    if (rows < 1) return rt_fail(RT_INPUT, "calibration needs at least one row");
    const rt_graph *g = m->graph;
    calibration c = {.m = m, .spec = spec, .x = x, .rows = rows, .pool = pool,
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
