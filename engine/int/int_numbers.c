/* engine/int/int_numbers.c - integers, steps and biases of a net's layers, from the floats that they stand for. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/int/net.h"
#include "engine/qat.h"

/* What a layer's numbers are made of. */
typedef struct {
    const rt_net_source *of;
    rt_net *net;
    const rt_net_call *call;
    float *const *field;
    int most, cg;                    /* the greatest weight; input channels of a group */
    float sx;
} layer;

static const float *value_of(const layer *l, int field) { return field >= 0 ? l->field[field] : NULL; }

static float per_channel(const float *v, int channels, int c) { return v[channels == 1 ? 0 : c]; }

/* gamma / sqrt(variance + eps) of the norm that is folded in; 1 where there is none. */
static double norm_at(const layer *l, int c)
{
    const rt_net_source *s = l->of;
    if (s->gamma < 0) return 1;
    return l->field[s->gamma][c] / sqrt((double)l->field[s->variance][c] + (double)s->eps);
}

/* What is added to a channel's sums: its bias, or beta + (bias - mean) norm; and its shift. */
static double added_to(const layer *l, int c, double norm)
{
    const rt_net_source *s = l->of;
    const float *bias = value_of(l, s->bias), *shift = value_of(l, s->shift);
    double own = bias ? (double)bias[c] : 0;
    if (s->gamma >= 0) own = (float)(l->field[s->beta][c] + (own - l->field[s->mean][c]) * norm);
    return own + (shift ? (double)shift[c] * norm : 0);
}

/* A channel's weights, all times norm, by a step that is wider than theirs. */
static void widen(const layer *l, const float *w, int8_t *q, size_t rows, int c, double norm, double used)
{
    size_t n = (size_t)l->call->n;
    for (size_t i = (size_t)c; i < rows * n; i += n)
        q[i] = (int8_t)fmin(fmax(rint((double)w[i] * norm / used), -l->most), l->most);
}

/* Weights (rows, n) by their steps; sign (n) is 1 or -1. Adding and taking away 1.5 2^52 rounds halves to even. */
static void by_steps(int8_t *q, const float *w, const float *step, const double *sign, size_t rows, int n, double most)
{
    for (size_t r = 0; r < rows; r++, w += n, q += n)
        for (int c = 0; c < n; c++) {
            double v = (double)w[c] / (double)step[c];
            v = v > most ? most : v;
            v = v < -most ? -most : v;
            q[c] = (int8_t)(((v + 6755399441055744.0) - 6755399441055744.0) * sign[c]);
        }
}

/* The same of weights that are at their steps, but for the rounding of a float. */
static void at_steps(int8_t *q, const float *w, const float *step, const double *sign, size_t rows, int n)
{
    enum { SOME = 64 };
    for (int c0 = 0; c0 < n; c0 += SOME) {
        float by[SOME];
        int m = n - c0 < SOME ? n - c0 : SOME;
        for (int c = 0; c < m; c++) by[c] = (float)sign[c0 + c] / step[c0 + c];
        for (size_t r = 0; r < rows; r++)
            for (int c = 0; c < m; c++)
                q[r * (size_t)n + (size_t)(c0 + c)] =
                    (int8_t)(int)((w[r * (size_t)n + (size_t)(c0 + c)] * by[c] + 12582912.0f) - 12582912.0f);
    }
}

/* Rows of bytes are x' = (u + add[c]) mul[c] = scale (mul[c] / scale) (u - zero) + (zero + add[c]) mul[c]: the first
 * factor is in the weights, what the second term makes of the sums is this. */
static double offset_of(const layer *l, const int8_t *q, size_t rows, int c, double used)
{
    const rt_net_source *s = l->of;
    const rt_quant x = l->net->tensor[l->call->in[0]].q;
    double sum = 0;
    for (size_t r = 0; r < rows; r++) {
        int k = rt_quant_channel(r, c, l->cg, l->call->groups, l->call->n);
        double mul = (double)per_channel(s->mul, s->channels, k);
        sum += q[r * (size_t)l->call->n + (size_t)c] * used / (mul / (double)x.scale) *
               ((double)x.zero + (double)per_channel(s->add, s->channels, k)) * mul;
    }
    return sum;
}

void rt_net_times_input(float *w, size_t rows, int n, int cg, int groups, const float *mul, int channels, float scale)
{
    for (size_t r = 0; r < rows; r++, w += n)
        for (int c = 0; c < n; c++) w[c] *= per_channel(mul, channels, rt_quant_channel(r, c, cg, groups, n)) / scale;
}

/* A layer with weights: integers of the weights as trained, by their own steps; the norm goes into the steps, its sign
 * into the integers. Where a channel's norm is so small that its bias would leave 32 bits, the step is larger and the
 * integers smaller. */
static rt_status fill_weights(layer *l, const float *ready, float *w, double *sign, size_t rows)
{
    const rt_net_source *s = l->of;
    const int n = l->call->n;
    const float *step = l->field[s->step];
    int8_t *q = l->net->weight + l->call->weight;
    const float *from = ready ? ready : l->field[s->weight];
    if (s->mul || !ready) memcpy(w, from, rows * (size_t)n * sizeof *w);
    if (s->mul) rt_net_times_input(w, rows, n, l->cg, l->call->groups, s->mul, s->channels,
                                   l->net->tensor[l->call->in[0]].q.scale);
    for (int c = 0; c < n; c++) sign[c] = norm_at(l, c) < 0 ? -1 : 1;
    if (ready) at_steps(q, s->mul ? w : ready, step, sign, rows, n);
    else by_steps(q, w, step, sign, rows, n, l->most);
    for (int c = 0; c < n; c++) {
        double norm = norm_at(l, c), value = added_to(l, c, norm), own = (double)step[c] * fabs(norm);
        double least = fmax(fabs(value) / (double)l->sx / (1 << 29), (double)FLT_MIN * 1e6 / (double)fminf(l->sx, 1));
        double used = own < least ? least : own;
        if (!isfinite(used) || !(step[c] > 0))
            return rt_fail(RT_USAGE, "the weights of output channel %d are no finite numbers", c);
        if (own < least) widen(l, s->mul || !ready ? w : ready, q, rows, c, norm, used);
        float to = (float)used, with = (float)(value + (s->mul ? offset_of(l, q, rows, c, used) : 0));
        l->net->step[l->call->channel + (size_t)c] = to;
        rt_status st = rt_int_bias(&l->net->bias[l->call->channel + (size_t)c], &with, &to, l->sx, 1);
        if (st) return rt_fail_in(st, "channel %d", c);
    }
    return RT_OK;
}

/* A norm alone: a scale and a shift a channel, as one tap of 127 or -127. */
static rt_status fill_norm(layer *l)
{
    const rt_net_source *s = l->of;
    for (int c = 0; c < l->call->n; c++) {
        double norm = norm_at(l, c);
        float scale = (float)norm, shift = (float)(l->field[s->beta][c] - l->field[s->mean][c] * norm);
        double own = fabs((double)scale) / 127;
        double least = fmax(fabs((double)shift) / (double)l->sx / (1 << 29),
                            (double)FLT_MIN * 1e6 / (double)fminf(l->sx, 1.0f));
        float to = (float)(own < least ? least : own);
        l->net->weight[l->call->weight + (size_t)c] = (int8_t)fmin(fmax(rint((double)scale / (double)to), -127), 127);
        l->net->step[l->call->channel + (size_t)c] = to;
        rt_status st = rt_int_bias(&l->net->bias[l->call->channel + (size_t)c], &shift, &to, l->sx, 1);
        if (st) return rt_fail_in(st, "channel %d", c);
    }
    return RT_OK;
}

rt_status rt_net_fill(rt_net *net, const rt_net_source *s, float *const *field, const float *ready)
{
    const rt_net_call *call = &net->call[s->call];
    layer l = {.of = s, .net = net, .call = call, .field = field, .most = rt_quant_most(call->bits),
               .cg = net->tensor[call->in[0]].c / call->groups, .sx = net->tensor[call->in[0]].q.scale};
    size_t rows = (size_t)call->kh * (size_t)call->kw * (size_t)l.cg;
    if (s->weight < 0) return fill_norm(&l);
    float *w = malloc(rows * (size_t)call->n * sizeof *w);
    double *sign = malloc((size_t)call->n * sizeof *sign);
    rt_status st = w && sign ? fill_weights(&l, ready, w, sign, rows) : rt_fail(RT_RUN, "out of memory");
    free(w);
    free(sign);
    return st;
}
