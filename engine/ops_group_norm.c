/* engine/ops_group_norm.c - group norm (Wu & He 2018), of which instance norm (groups = C) is a case, root mean square
 * norm (Zhang & Sennrich 2019) and local response norm (Krizhevsky et al. 2012). All are of a row alone.
 *
 * Group norm: y = (x - mean) rstd gamma[c] + beta[c], mean and variance over all pixels and the C / groups channels of
 * the group. Root mean square: y = x gamma / sqrt(mean x^2 + eps) over the last dimensions. Local response: y = x /
 * s^beta, s = bias + alpha / size sum x^2 over the channels c - (size - 1) / 2 up to c + size / 2, divisions rounded
 * down. */
#include <math.h>
#include <string.h>

#include "engine/ops.h"

static void pixels(const rt_plan *p, const rt_node *n, int *px, int *c)
{
    const rt_shape *s = rt_shape_of(p, n->in[0]);
    *c = s->dim[s->rank - 1];
    *px = (int)(rt_shape_count(s) / (size_t)*c);
}

/* ---- group norm ---- */

static rt_status infer_group(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    int ch = out->dim[out->rank - 1], groups = RT_ATTR(n, rt_group_norm_attr)->groups;
    if (ch % groups) return rt_fail(RT_USAGE, "%d groups do not divide %d channels", groups, ch);
    RT_TRY(rt_graph_param(g, n, "gamma", (rt_shape){1, {ch}}, RT_INIT_ONE, 0, 0, 0));
    return rt_graph_param(g, n, "beta", (rt_shape){1, {ch}}, RT_INIT_ZERO, 0, 0, 0);
}

/* Mean and rstd of a row's groups out of the moments of its channels about their values in the first pixel. */
static void statistics(float *mean, float *rstd, const float *sum, const float *square, const float *about, int px,
                       int ch, int groups, float eps)
{
    int per = ch / groups;
    double count = (double)px * per;
    for (int q = 0; q < groups; q++) {
        double m = 0, v = 0;
        for (int i = q * per; i < (q + 1) * per; i++) m += ((double)sum[i] + (double)about[i] * px) / count;
        for (int i = q * per; i < (q + 1) * per; i++) {
            double far = m - (double)about[i];
            v += ((double)square[i] - 2 * far * (double)sum[i] + far * far * px) / count;
        }
        mean[q] = (float)m;
        rstd[q] = (float)(1 / sqrt((v < 0 ? 0 : v) + (double)eps));
    }
}

/* value: 0 x, 1 y, 2 means, 3 rstds */
static void run_group(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_group_norm_attr *a = RT_ATTR(c->node, rt_group_norm_attr);
    const rt_kernels *k = x->plan->k;
    const float *gamma = rt_param(x, c->node, 0), *beta = rt_param(x, c->node, 1);
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    float *sum = x->scratch, *square = sum + ch, *scale = square + ch, *shift = scale + ch;
    for (int r = row0; r < row0 + rows; r++) {
        const float *in = rt_at(x, c->value[0], r);
        float *mean = rt_at(x, c->value[2], r), *rstd = rt_at(x, c->value[3], r);
        k->channel_moments(sum, square, in, in, (size_t)px, ch);
        statistics(mean, rstd, sum, square, in, px, ch, a->groups, a->eps);
        for (int i = 0; i < ch; i++) {
            int q = i / (ch / a->groups);
            scale[i] = gamma[i] * rstd[q];
            shift[i] = beta[i] - mean[q] * scale[i];
        }
        k->affine_act(rt_at(x, c->value[1], r), in, scale, shift, (size_t)px, ch, RT_ACT_NONE, 0);
    }
}

static void forward_group(rt_plan *p, const rt_node *n)
{
    int px, ch, in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    pixels(p, n, &px, &ch);
    size_t groups = (size_t)RT_ATTR(n, rt_group_norm_attr)->groups * sizeof(float);
    int mean = rt_plan_note(p, n)->value = rt_plan_temp(p, groups), rstd = rt_plan_temp(p, groups);
    rt_plan_need_scratch(p, 4 * (size_t)ch);
    rt_call *c = rt_plan_rows(p, "group norm", n, run_group);
    int values[4] = {in, out, mean, rstd};
    memcpy(c->value, values, sizeof values);
}

/* With s1 = sum dy and s2 = sum dy (x - mean) a channel, a = sum gamma s1 and b = sum gamma s2 a group of N values:
 * dx = rstd (dy gamma - a / N - (x - mean) rstd^2 b / N). */
static void run_group_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_kernels *k = x->plan->k;
    int px, ch, groups = RT_ATTR(c->node, rt_group_norm_attr)->groups;
    pixels(x->plan, c->node, &px, &ch);
    int per = ch / groups;
    const float *gamma = rt_param(x, c->node, 0);
    float *s1 = x->scratch, *s2 = s1 + ch, *means = s2 + ch, *by_dy = means + ch, *by_x = by_dy + ch, *rest = by_x + ch,
          *temp = rest + ch;
    float *dgamma = rt_plan_trains(x->plan, c->node, 0) ? rt_slot_grad(x, c->node, 0, row0) : NULL,
          *dbeta = rt_plan_trains(x->plan, c->node, 1) ? rt_slot_grad(x, c->node, 1, row0) : NULL;
    for (int r = row0; r < row0 + rows; r++) {
        const float *in = rt_at(x, c->value[0], r), *mean = rt_at(x, c->value[2], r), *rstd = rt_at(x, c->value[3], r);
        float *dy = rt_at(x, c->value[1], r), *dx = rt_at(x, c->value[4], r);
        for (int i = 0; i < ch; i++) means[i] = mean[i / per];
        memset(s1, 0, 2 * (size_t)ch * sizeof *s1);
        k->bn_back_sums(s1, s2, dy, in, means, gamma, gamma, (size_t)px, ch, RT_ACT_NONE);
        for (int q = 0; q < groups; q++) {
            double a = 0, b = 0, count = (double)px * per, s = rstd[q], m = mean[q];
            for (int i = q * per; i < (q + 1) * per; i++) {
                a += (double)gamma[i] * (double)s1[i];
                b += (double)gamma[i] * (double)s2[i];
            }
            for (int i = q * per; i < (q + 1) * per; i++) {
                by_dy[i] = (float)(s * (double)gamma[i]);
                by_x[i] = (float)(-s * s * s * b / count);
                rest[i] = (float)(-s * a / count + s * s * s * b / count * m);
                if (dgamma) dgamma[i] += s2[i] * rstd[q];
                if (dbeta) dbeta[i] += s1[i];
            }
        }
        k->affine2(c->flag ? temp : dx, dy, in, by_dy, by_x, rest, (size_t)px, ch, RT_ACT_NONE);
        if (c->flag) k->accumulate(dx, temp, (size_t)px * (size_t)ch);
    }
}

static void backward_group(rt_plan *p, const rt_node *n)
{
    int px, ch, accumulate, in = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                            dx = rt_plan_grad_write(p, n->in[0], &accumulate), mean = rt_plan_note(p, n)->value;
    pixels(p, n, &px, &ch);
    rt_plan_need_scratch(p, 6 * (size_t)ch + (accumulate ? (size_t)px * (size_t)ch : 0));
    rt_call *c = rt_plan_rows(p, "group norm back", n, run_group_back);
    int values[5] = {in, dy, mean, mean + 1, dx};
    memcpy(c->value, values, sizeof values);
    c->flag = accumulate;
    for (int i = 0; i < 2; i++) if (rt_plan_trains(p, n, i)) rt_plan_slot_grad(p, n, i);
}

static const rt_attr_spec group_spec[] = {
    {"groups", RT_A_INT, offsetof(rt_group_norm_attr, groups), 1, 1 << 16, 0, 1,
     "equal groups of channels; as many as there are channels is instance norm"},
    {"eps", RT_A_NUMBER, offsetof(rt_group_norm_attr, eps), 1e-12, 1, 1e-5, 0, "added to the variance"}};
static const rt_schema group_schema = {group_spec, sizeof group_spec / sizeof *group_spec, sizeof(rt_group_norm_attr)};

const rt_op rt_op_group_norm = {.name = "group_norm",
                                .help = "(x - mean) / sqrt(variance + eps) gamma + beta, a row and group of channels",
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .schema = &group_schema,
                                .infer = infer_group,
                                .forward = forward_group,
                                .backward = backward_group};

/* ---- root mean square norm ---- */

static int width_of(const rt_plan *p, const rt_node *n, size_t *px)
{
    const rt_shape *s = rt_shape_of(p, n->in[0]);
    int d = 1;
    for (int i = s->rank - RT_ATTR(n, rt_layer_norm_attr)->dims; i < s->rank; i++) d *= s->dim[i];
    *px = rt_shape_count(s) / (size_t)d;
    return d;
}

static rt_status infer_rms(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    rt_shape d;
    RT_TRY(rt_norm_shape(n, out, &d));
    return rt_graph_param(g, n, "gamma", d, RT_INIT_ONE, 0, 0, 0);
}

/* value: 0 x, 1 y, 2 rstds */
static void run_rms(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t px;
    int d = width_of(x->plan, c->node, &px);
    x->plan->k->rms_norm(rt_at(x, c->value[1], row0), rt_at(x, c->value[2], row0), rt_at(x, c->value[0], row0),
                         rt_param(x, c->node, 0), (size_t)rows * px / (size_t)x->px, d,
                         RT_ATTR(c->node, rt_layer_norm_attr)->eps);
}

static void forward_rms(rt_plan *p, const rt_node *n)
{
    size_t px;
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    width_of(p, n, &px);
    int rstd = rt_plan_note(p, n)->value = rt_plan_temp(p, px * sizeof(float));
    rt_call *c = rt_plan_rows(p, "rms norm", n, run_rms);
    int values[3] = {in, out, rstd};
    memcpy(c->value, values, sizeof values);
}

static void run_rms_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t px;
    int d = width_of(x->plan, c->node, &px);
    float *dg = rt_plan_trains(x->plan, c->node, 0) ? rt_slot_grad(x, c->node, 0, row0) : x->scratch;
    x->plan->k->rms_norm_back(rt_at(x, c->value[3], row0), dg, rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0),
                              rt_at(x, c->value[2], row0), rt_param(x, c->node, 0),
                              (size_t)rows * px / (size_t)x->px, d, c->flag);
}

static void backward_rms(rt_plan *p, const rt_node *n)
{
    size_t px;
    int accumulate, in = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                    dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_plan_need_scratch(p, (size_t)width_of(p, n, &px));          /* for the gradient of what is not trained */
    rt_call *c = rt_plan_rows(p, "rms norm back", n, run_rms_back);
    int values[4] = {in, dy, rt_plan_note(p, n)->value, dx};
    memcpy(c->value, values, sizeof values);
    c->flag = accumulate;
    if (rt_plan_trains(p, n, 0)) rt_plan_slot_grad(p, n, 0);
}

const rt_op rt_op_rms_norm = {.name = "rms_norm",
                              .help = "x / sqrt(mean x^2 + eps) gamma, a position",
                              .min_inputs = 1,
                              .max_inputs = 1,
                              .schema = &rt_layer_norm_schema,
                              .positions = 1,
                              .alone = rt_norm_is_alone,
                              .infer = infer_rms,
                              .forward = forward_rms,
                              .backward = backward_rms};

/* ---- local response norm ---- */

static rt_status infer_lrn(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    return RT_OK;
}

/* sum[i] = sum of x[first .. last] around i, of n. */
static void window_sums(float *sum, const float *x, int n, int before, int behind)
{
    for (int i = 0; i < n; i++) {
        int from = i < before ? 0 : i - before, to = n - 1 - i < behind ? n - 1 : i + behind;
        float s = 0;
        for (int k = from; k <= to; k++) s += x[k];
        sum[i] = s;
    }
}

/* s and s^-beta of one position; square has room for ch. */
static void denominators(const rt_kernels *k, const rt_lrn_attr *a, float *s, float *power, float *square,
                         const float *x, int ch)
{
    float part = a->alpha / (float)a->size;
    for (int i = 0; i < ch; i++) square[i] = x[i] * x[i];
    window_sums(s, square, ch, (a->size - 1) / 2, a->size / 2);
    for (int i = 0; i < ch; i++) s[i] = a->bias + part * s[i];
    k->log_n(power, s, (size_t)ch);
    for (int i = 0; i < ch; i++) power[i] *= -a->beta;
    k->exp_n(power, power, (size_t)ch);
}

static void run_lrn(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    const float *in = rt_at(x, c->value[0], row0);
    float *y = rt_at(x, c->value[1], row0), *s = x->scratch, *power = s + ch, *square = power + ch;
    for (size_t p = (size_t)rows * (size_t)px / (size_t)x->px; p > 0; p--, in += ch, y += ch) {
        denominators(x->plan->k, RT_ATTR(c->node, rt_lrn_attr), s, power, square, in, ch);
        for (int i = 0; i < ch; i++) y[i] = in[i] * power[i];
    }
}

/* dx[i] = dy[i] s[i]^-beta - 2 alpha beta / size x[i] sum over j whose window holds i of dy[j] x[j] s[j]^(-beta - 1) */
static void run_lrn_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    const rt_lrn_attr *a = RT_ATTR(c->node, rt_lrn_attr);
    const float *in = rt_at(x, c->value[0], row0), *dy = rt_at(x, c->value[1], row0);
    float *dx = rt_at(x, c->value[2], row0), *s = x->scratch, *power = s + ch, *part = power + ch,
          by = -2 * a->alpha * a->beta / (float)a->size;
    for (size_t p = (size_t)rows * (size_t)px / (size_t)x->px; p > 0; p--, in += ch, dy += ch, dx += ch) {
        denominators(x->plan->k, a, s, power, part, in, ch);
        for (int i = 0; i < ch; i++) part[i] = dy[i] * in[i] * power[i] / s[i];
        window_sums(s, part, ch, a->size / 2, (a->size - 1) / 2);
        for (int i = 0; i < ch; i++) {
            float v = dy[i] * power[i] + by * in[i] * s[i];
            dx[i] = c->flag ? dx[i] + v : v;
        }
    }
}

static void forward_lrn(rt_plan *p, const rt_node *n)
{
    int px, ch, in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    pixels(p, n, &px, &ch);
    rt_plan_need_scratch(p, 3 * (size_t)ch);
    rt_call *c = rt_plan_rows(p, "lrn", n, run_lrn);
    c->value[0] = in;
    c->value[1] = out;
}

static void backward_lrn(rt_plan *p, const rt_node *n)
{
    int px, ch, accumulate, in = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                            dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    pixels(p, n, &px, &ch);
    rt_plan_need_scratch(p, 3 * (size_t)ch);
    rt_call *c = rt_plan_rows(p, "lrn back", n, run_lrn_back);
    c->value[0] = in;
    c->value[1] = dy;
    c->value[2] = dx;
    c->flag = accumulate;
}

static const rt_attr_spec lrn_spec[] = {
    {"size", RT_A_INT, offsetof(rt_lrn_attr, size), 1, 1 << 16, 0, 1, "channels of a window"},
    {"alpha", RT_A_NUMBER, offsetof(rt_lrn_attr, alpha), 0, 1e6, 1e-4, 0, "factor of the mean square"},
    {"beta", RT_A_NUMBER, offsetof(rt_lrn_attr, beta), 0, 100, 0.75, 0, "exponent"},
    {"bias", RT_A_NUMBER, offsetof(rt_lrn_attr, bias), 1e-6, 1e6, 1, 0, "added to the mean square"}};
static const rt_schema lrn_schema = {lrn_spec, sizeof lrn_spec / sizeof *lrn_spec, sizeof(rt_lrn_attr)};

const rt_op rt_op_lrn = {.name = "lrn",
                         .help = "x / (bias + alpha / size sum x^2)^beta, the sum over channels beside each other",
                         .min_inputs = 1,
                         .max_inputs = 1,
                         .schema = &lrn_schema,
                         .positions = 1,
                         .infer = infer_lrn,
                         .forward = forward_lrn,
                         .backward = backward_lrn};
