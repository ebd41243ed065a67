/* engine/ops_norm.c - batch norm (Ioffe & Szegedy 2015) and layer norm (Ba et al. 2016).
 *
 * Batch norm, training: y = act((x - mean) rstd gamma + beta) with mean and variance of the batch over rows and pixels;
 * running statistics r += momentum (batch - r), the variance unbiased, as in PyTorch. Inference uses the running ones.
 * Forward: moments per slot, shifted by the running mean so that nothing cancels; one tile merges the slots in double
 * and makes scale and shift; then y = act(x scale + shift), which is cheap enough to be computed again in the backward
 * pass instead of kept. Backward: dx = gamma rstd (dz - mean(dz) - xhat mean(dz xhat)) = A dz + B x + D per channel. */
#include <math.h>
#include <string.h>

#include "engine/ops.h"

enum { GAMMA, BETA, RUNNING_MEAN, RUNNING_VARIANCE };   /* fields */

static rt_status infer_bn(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    rt_shape c = {1, {out->dim[out->rank - 1]}};
    RT_TRY(rt_graph_param(g, n, "gamma", c, RT_INIT_ONE, 0, 0, 0));
    RT_TRY(rt_graph_param(g, n, "beta", c, RT_INIT_ZERO, 0, 0, 0));
    RT_TRY(rt_graph_state(g, n, "mean", c, RT_INIT_ZERO));
    return rt_graph_state(g, n, "variance", c, RT_INIT_ONE);
}

static void pixels(const rt_plan *p, const rt_node *n, int *px, int *c)
{
    const rt_shape *s = rt_shape_of(p, n->in[0]);
    *c = s->dim[s->rank - 1];
    *px = (int)(rt_shape_count(s) / (size_t)*c);
}

/* Buffers, each of c floats at call->at[0]: scale, shift, mean, rstd, A, B, D. In slots, two arrays of c floats in the
 * room call->at[1]: sum and square; s1 and s2. */
enum { SCALE, SHIFT, MEAN, RSTD, BACK_A, BACK_B, BACK_D, COEFFICIENTS };

static float *coefficient(const rt_call *c, const rt_ctx *x, int which, int channels)
{
    return x->plan->buffer + c->at[0] + (ptrdiff_t)which * channels;
}

static void run_moments(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    float *sum = rt_slot_sums(x, (int)c->at[1], x->slot), *square = sum + ch;
    const float *shift = rt_state(x, c->node, RUNNING_MEAN), *in = rt_at(x, c->value[0], row0);
    float s[64], q[64];
    if (row0 == x->slot_row0) {
        x->plan->k->channel_moments(sum, square, in, shift, (size_t)(rows * px), ch);
        return;
    }
    for (int c0 = 0; c0 < ch; c0 += 64) {           /* later chunks of the slot add on */
        int m = ch - c0 < 64 ? ch - c0 : 64;
        if (m == ch) x->plan->k->channel_moments(s, q, in, shift, (size_t)(rows * px), ch);
        else
            for (int i = 0; i < m; i++) {
                s[i] = q[i] = 0;
                for (int p = 0; p < rows * px; p++) {
                    float d = in[(ptrdiff_t)p * ch + c0 + i] - shift[c0 + i];
                    s[i] += d;
                    q[i] += d * d;
                }
            }
        for (int i = 0; i < m; i++) {
            sum[c0 + i] += s[i];
            square[c0 + i] += q[i];
        }
    }
}

static void run_merge(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    int px, ch, room = (int)c->at[1], slots = rt_slots_used(x, room);
    pixels(x->plan, c->node, &px, &ch);
    double count = (double)px * x->run->rows;
    const float *gamma = rt_param(x, c->node, GAMMA), *beta = rt_param(x, c->node, BETA);
    float *running = rt_state(x, c->node, RUNNING_MEAN), *running_var = rt_state(x, c->node, RUNNING_VARIANCE);
    const rt_qat *qat = x->plan->spec.qat;
    float m = qat && qat->norms > 0 ? qat->norms : RT_ATTR(c->node, rt_batch_norm_attr)->momentum;
    for (int i = 0; i < ch; i++) {
        double s = 0, q = 0;
        for (int k = 0; k < slots; k++) {
            s += rt_slot_sums(x, room, k)[i];
            q += rt_slot_sums(x, room, k)[ch + i];
        }
        double d = s / count, var = q / count - d * d, mean = running[i] + d;
        if (var < 0) var = 0;                       /* rounding only; NaN stays NaN */
        double rstd = 1.0 / sqrt(var + RT_ATTR(c->node, rt_batch_norm_attr)->eps);
        coefficient(c, x, MEAN, ch)[i] = (float)mean;
        coefficient(c, x, RSTD, ch)[i] = (float)rstd;
        coefficient(c, x, SCALE, ch)[i] = (float)(gamma[i] * rstd);
        coefficient(c, x, SHIFT, ch)[i] = (float)(beta[i] - mean * gamma[i] * rstd);
        running[i] += m * (float)d;
        running_var[i] += m * ((float)(count > 1 ? var * count / (count - 1) : var) - running_var[i]);
    }
}

static void run_apply(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    x->plan->k->affine_act(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), coefficient(c, x, SCALE, ch),
                           coefficient(c, x, SHIFT, ch), (size_t)(rows * px), ch, RT_ATTR(c->node, rt_epilogue)->act,
                           RT_ATTR(c->node, rt_epilogue)->slope);
}

static ptrdiff_t bn_buffer(rt_plan *p, const rt_node *n)
{
    int px, c;
    pixels(p, n, &px, &c);
    rt_note *note = rt_plan_note(p, n);
    if (note->buffer < 0)
        note->buffer = rt_plan_buffer(p, (size_t)c * (size_t)COEFFICIENTS);
    return note->buffer;
}

static int slot_room(rt_plan *p, const rt_node *n)
{
    const rt_shape *s = rt_shape_of(p, n->out);
    return rt_plan_note(p, n)->room = rt_plan_slot_room(p, 2 * (size_t)s->dim[s->rank - 1]);
}

/* What a batch norm has in the plan while training. Merges wait until something reads a result, so that those of batch
 * norms side by side share a phase. */
enum { BN_NOTHING, BN_MOMENTS, BN_FORWARD, BN_SUMS, BN_BACKWARD };

static void merge_all(rt_plan *p, char waiting, const char *what, void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    for (int i = 0; i < p->graph->nodes; i++)
        if (p->node[i].op == RT_OP_BATCH_NORM && p->note[i].stage == waiting) {
            rt_call *c = rt_plan_tiles(p, what, &p->node[i], 1, fn);
            c->at[0] = bn_buffer(p, &p->node[i]);
            c->at[1] = p->note[i].room;
            p->note[i].stage++;
        }
}

static void apply_bn(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "bn apply", n, run_apply);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = bn_buffer(p, n);
}

/* Training: the first call emits the moments alone; the next, when the output is read, the rest. */
static void forward_bn(rt_plan *p, const rt_node *n)
{
    char *stage = &rt_plan_note(p, n)->stage;
    RT_ASSERT(p->spec.train);
    if (*stage == BN_NOTHING) {
        int in = rt_plan_read(p, n->in[0]);
        rt_call *c = rt_plan_rows(p, "bn moments", n, run_moments);
        c->value[0] = in;
        c->at[0] = bn_buffer(p, n);
        c->at[1] = slot_room(p, n);
        *stage = BN_MOMENTS;
        return;
    } else if (*stage == BN_MOMENTS) {
        merge_all(p, BN_MOMENTS, "bn merge", run_merge);
    }
    apply_bn(p, n);
}

int rt_bn_raw(rt_plan *p, int tensor, ptrdiff_t *scale)
{
    int t = rt_memory_of(p, tensor);
    const rt_node *n = &p->node[p->graph->tensor[t].producer];
    const rt_shape *a = rt_shape_of(p, tensor), *b = rt_shape_of(p, t);
    if (n->op != RT_OP_BATCH_NORM || RT_ATTR(n, rt_epilogue)->act || p->keep[t] || rt_quant_has(p, t)) return -1;
    if (a->dim[a->rank - 1] != b->dim[b->rank - 1]) return -1;         /* a view in which channels are no longer last */
    merge_all(p, BN_MOMENTS, "bn merge", run_merge);
    *scale = bn_buffer(p, n) + SCALE;
    return rt_plan_read(p, n->in[0]);
}

static void run_back_sums(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    float *s1 = rt_slot_sums(x, (int)c->at[1], x->slot), *s2 = s1 + ch;
    if (row0 == x->slot_row0) memset(s1, 0, 2 * (size_t)ch * sizeof *s1);
    x->plan->k->bn_back_sums(s1, s2, rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0),
                             coefficient(c, x, MEAN, ch), coefficient(c, x, SCALE, ch), coefficient(c, x, SHIFT, ch),
                             (size_t)(rows * px), ch, RT_ATTR(c->node, rt_epilogue)->act);
}

static void run_back_merge(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    int px, ch, room = (int)c->at[1], slots = rt_slots_used(x, room);
    pixels(x->plan, c->node, &px, &ch);
    double count = (double)px * x->run->rows;
    float *dgamma = rt_grad(x, c->node, 0), *dbeta = rt_grad(x, c->node, 1);
    for (int i = 0; i < ch; i++) {
        double s1 = 0, s2 = 0, mean = coefficient(c, x, MEAN, ch)[i], rstd = coefficient(c, x, RSTD, ch)[i];
        for (int k = 0; k < slots; k++) {
            s1 += rt_slot_sums(x, room, k)[i];
            s2 += rt_slot_sums(x, room, k)[ch + i];
        }
        if (dgamma) dgamma[i] = (float)(s2 * rstd);
        if (dbeta) dbeta[i] = (float)s1;
        double a = coefficient(c, x, SCALE, ch)[i], b = -a * rstd * rstd * s2 / count;
        coefficient(c, x, BACK_A, ch)[i] = (float)a;
        coefficient(c, x, BACK_B, ch)[i] = (float)b;
        coefficient(c, x, BACK_D, ch)[i] = (float)(-a * s1 / count - b * mean);
    }
}

static void run_back_apply(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    float *dx = rt_at(x, c->value[2], row0);
    size_t count = (size_t)(rows * px);
    float *to = c->flag ? rt_at(x, c->value[3], row0) : dx;
    x->plan->k->affine2(to, rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), coefficient(c, x, BACK_A, ch),
                        coefficient(c, x, BACK_B, ch), coefficient(c, x, BACK_D, ch), count, ch, RT_ACT_NONE);
    if (c->flag) x->plan->k->accumulate(dx, to, count * (size_t)ch);
}

static void backward_bn_early(rt_plan *p, const rt_node *n)
{
    if (rt_plan_note(p, n)->stage >= BN_SUMS) return;
    int in = rt_plan_read(p, n->in[0]),
        da = RT_ATTR(n, rt_epilogue)->act ? rt_plan_grad_own(p, n->out) : rt_plan_grad_read(p, n->out);
    rt_call *c = rt_plan_rows(p, "bn back sums", n, run_back_sums);
    c->value[0] = in;
    c->value[1] = da;
    c->at[0] = bn_buffer(p, n);
    c->at[1] = slot_room(p, n);
    rt_plan_note(p, n)->stage = BN_SUMS;
}

static void backward_bn(rt_plan *p, const rt_node *n)
{
    backward_bn_early(p, n);
    merge_all(p, BN_SUMS, "bn back merge", run_back_merge);
    if (!rt_plan_needs_grad(p, n->in[0])) return;
    int accumulate, in = rt_plan_read(p, n->in[0]), da = rt_plan_grad_read(p, n->out),
                    dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    int temp = accumulate ? rt_plan_temp(p, p->value[dx].row_bytes) : -1;
    rt_call *c = rt_plan_rows(p, "bn back", n, run_back_apply);
    c->value[0] = in;
    c->value[1] = da;
    c->value[2] = dx;
    c->value[3] = temp;
    c->at[0] = bn_buffer(p, n);
    c->flag = accumulate;
}

static const rt_attr_spec batch_norm_spec[] = {
    {"momentum", RT_A_NUMBER, offsetof(rt_batch_norm_attr, momentum), 0, 1, 0.1, 0, "of the running statistics"},
    {"eps", RT_A_NUMBER, offsetof(rt_batch_norm_attr, eps), 1e-12, 1, 1e-5, 0, "added to the variance"}};
static const rt_schema batch_norm_schema = {batch_norm_spec, 2, sizeof(rt_batch_norm_attr)};

const rt_op rt_op_batch_norm = {.name = "batch_norm",
                                .help = "(x - mean) / sqrt(variance + eps) gamma + beta, a channel",
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .schema = &batch_norm_schema,
                                .infer = infer_bn,
                                .forward = forward_bn,
                                .backward = backward_bn,
                                .recompute = 1,
                                .backward_early = backward_bn_early};

/* ---- affine: y = act(x scale + shift), a batch norm over known statistics ---- */

static void run_affine(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    x->plan->k->affine_act(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), rt_param(x, c->node, 0),
                           rt_param(x, c->node, 1), (size_t)(rows * (px / x->px)), ch,
                           RT_ATTR(c->node, rt_epilogue)->act, RT_ATTR(c->node, rt_epilogue)->slope);
}

static void forward_affine(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "affine", n, run_affine);
    c->value[0] = in;
    c->value[1] = out;
}

/* dx = scale dy, or on top of what is there. */
static void run_affine_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, ch;
    pixels(x->plan, c->node, &px, &ch);
    float *dx = rt_at(x, c->value[1], row0), *zero = x->scratch, *one = zero + ch;
    for (int i = 0; i < ch; i++) {
        zero[i] = 0;
        one[i] = 1;
    }
    const float *dy = rt_at(x, c->value[0], row0), *scale = rt_param(x, c->node, 0);
    size_t count = (size_t)(rows * (px / x->px));
    if (c->flag) x->plan->k->affine2(dx, dy, dx, scale, one, zero, count, ch, RT_ACT_NONE);
    else x->plan->k->affine_act(dx, dy, scale, zero, count, ch, RT_ACT_NONE, 0);
}

static void backward_affine(rt_plan *p, const rt_node *n)
{
    int px, ch, accumulate, dy = rt_act_back_in_place(p, n);
    pixels(p, n, &px, &ch);
    rt_plan_need_scratch(p, 2 * (size_t)ch);
    int dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_call *c = rt_plan_rows(p, "affine back", n, run_affine_back);
    c->value[0] = dy;
    c->value[1] = dx;
    c->flag = accumulate;
}

const rt_op rt_op_affine = {.name = "affine", .help = "x scale + shift, a channel", .min_inputs = 1, .max_inputs = 1,
                            .positions = 1,
                            .schema = &rt_end_schema,
                            .forward = forward_affine, .backward = backward_affine, .recompute = 1};

/* ---- layer norm, over the last dimensions ---- */

rt_status rt_norm_shape(const rt_node *n, const rt_shape *in, rt_shape *gamma)
{
    char text[64];
    int dims = RT_ATTR(n, rt_layer_norm_attr)->dims;
    if (dims > in->rank)
        return rt_fail(RT_USAGE, "input %s has less than %d dimensions", rt_shape_text(in, text), dims);
    *gamma = (rt_shape){.rank = dims};
    for (int i = 0; i < dims; i++) gamma->dim[i] = in->dim[in->rank - dims + i];
    return RT_OK;
}

int rt_norm_is_alone(const rt_graph *g, const rt_node *n)
{
    (void)g;
    return RT_ATTR(n, rt_layer_norm_attr)->dims <= 1;
}

static void positions(const rt_plan *p, const rt_node *n, int *px, int *d)
{
    const rt_shape *s = rt_shape_of(p, n->in[0]);
    *d = 1;
    for (int i = s->rank - RT_ATTR(n, rt_layer_norm_attr)->dims; i < s->rank; i++) *d *= s->dim[i];
    *px = (int)(rt_shape_count(s) / (size_t)*d);
}

static rt_status infer_ln(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    rt_shape d;
    RT_TRY(rt_norm_shape(n, out, &d));
    RT_TRY(rt_graph_param(g, n, "gamma", d, RT_INIT_ONE, 0, 0, 0));
    return rt_graph_param(g, n, "beta", d, RT_INIT_ZERO, 0, 0, 0);
}

/* value: 2 means, 3 rstds, of each position; 4 dx */
static void run_ln(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, d;
    positions(x->plan, c->node, &px, &d);
    x->plan->k->layer_norm(rt_at(x, c->value[1], row0), rt_at(x, c->value[2], row0), rt_at(x, c->value[3], row0),
                           rt_at(x, c->value[0], row0), rt_param(x, c->node, 0), rt_param(x, c->node, 1),
                           (size_t)rows * (size_t)px / (size_t)x->px, d, RT_ATTR(c->node, rt_layer_norm_attr)->eps);
}

static void forward_ln(rt_plan *p, const rt_node *n)
{
    int px, d, in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    positions(p, n, &px, &d);
    int mean = rt_plan_note(p, n)->value = rt_plan_temp(p, (size_t)px * sizeof(float)),
        rstd = rt_plan_temp(p, (size_t)px * sizeof(float));
    rt_call *c = rt_plan_rows(p, "layer norm", n, run_ln);
    int values[4] = {in, out, mean, rstd};
    memcpy(c->value, values, sizeof values);
}

static void run_ln_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int px, d;
    positions(x->plan, c->node, &px, &d);
    float *dg = rt_plan_trains(x->plan, c->node, 0) ? rt_slot_grad(x, c->node, 0, row0) : x->scratch,
          *db = rt_plan_trains(x->plan, c->node, 1) ? rt_slot_grad(x, c->node, 1, row0) : x->scratch;
    x->plan->k->layer_norm_back(rt_at(x, c->value[4], row0), dg, db, rt_at(x, c->value[1], row0),
                                rt_at(x, c->value[0], row0), rt_at(x, c->value[2], row0), rt_at(x, c->value[3], row0),
                                rt_param(x, c->node, 0), (size_t)rows * (size_t)px / (size_t)x->px, d, c->flag);
}

static void backward_ln(rt_plan *p, const rt_node *n)
{
    int px, d, accumulate, in = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                           dx = rt_plan_grad_write(p, n->in[0], &accumulate), mean = rt_plan_note(p, n)->value;
    positions(p, n, &px, &d);
    rt_plan_need_scratch(p, (size_t)d);              /* for the gradient of what is not trained */
    rt_call *c = rt_plan_rows(p, "layer norm back", n, run_ln_back);
    int values[5] = {in, dy, mean, mean + 1, dx};
    memcpy(c->value, values, sizeof values);
    c->flag = accumulate;
    for (int i = 0; i < 2; i++) if (rt_plan_trains(p, n, i)) rt_plan_slot_grad(p, n, i);
}

static const rt_attr_spec layer_norm_spec[] = {{"eps", RT_A_NUMBER, offsetof(rt_layer_norm_attr, eps), 1e-12, 1, 1e-5,
                                                0, "added to the variance, or the mean square"},
                                               {"dims", RT_A_INT, offsetof(rt_layer_norm_attr, dims), 1, RT_MAX_RANK, 1,
                                                RT_A_LATER, "last dimensions that are normed together"}};
const rt_schema rt_layer_norm_schema = {layer_norm_spec, sizeof layer_norm_spec / sizeof *layer_norm_spec,
                                        sizeof(rt_layer_norm_attr)};

const rt_op rt_op_layer_norm = {.name = "layer_norm",
                                .help = "(x - mean) / sqrt(variance + eps) gamma + beta, a position",
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .schema = &rt_layer_norm_schema,
                                .positions = 1,
                                .alone = rt_norm_is_alone,
                                .infer = infer_ln,
                                .forward = forward_ln,
                                .backward = backward_ln};
