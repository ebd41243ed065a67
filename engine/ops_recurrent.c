/* engine/ops_recurrent.c - recurrent layers over rows (T, D): LSTM (Hochreiter & Schmidhuber 1997), GRU (Cho et al.
 * 2014) and the plain one (Elman 1990), from a state of zeros, forward, in reverse or both, beside each other: (T, dirs
 * H), or the last state alone, (dirs H).
 *
 * The gates of a step are x W + h R + bias, h the state before, in the order of ONNX:
 *   lstm  i, o, f, g: c = sigmoid(f) c' + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c)
 *   gru   z, r, n:    h = (1 - sigmoid(z)) tanh(n) + sigmoid(z) h', where n has (sigmoid(r) h') R, or with
 *                     linear_before_reset sigmoid(r) (h' R + recurrent_bias), as PyTorch has it
 *   rnn               h = tanh(the one)
 * weight is (D, dirs gates H), recurrent (dirs, H, gates H), bias (dirs gates H), recurrent_bias (dirs, H).
 *
 * x W of all steps is one product; then the rows of a chunk step together. Training keeps the gates, which become their
 * own gradients on the way back through time. */
#include <string.h>

#include "engine/matrix.h"
#include "engine/ops.h"

enum { WEIGHT, RECURRENT, BIAS, RECURRENT_BIAS };         /* fields */
enum { FORWARD, REVERSE, BOTH };
enum { GRAIN = 16, GRAIN_BYTES = 8 << 20, DW_BLOCK = 48 }; /* rows that step together; what they may take */

typedef struct {
    int t, d, h, gates, dirs, last, before;               /* before: linear_before_reset */
    rt_op_id kind;
    int direction;
    int width;                                            /* dirs gates H: of all gates of a step */
    int state;                                            /* dirs H */
} sizes;

static sizes sizes_of(const rt_graph *g, const rt_node *n)
{
    const rt_recurrent_attr *a = RT_ATTR(n, rt_recurrent_attr);
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    sizes z = {.t = in->dim[0], .d = in->dim[1], .h = a->out, .dirs = a->direction == BOTH ? 2 : 1, .last = a->last,
               .before = a->linear_before_reset, .kind = n->op, .direction = a->direction};
    z.gates = n->op == RT_OP_LSTM ? 4 : n->op == RT_OP_GRU ? 3 : 1;
    z.state = z.dirs * z.h;
    z.width = z.state * z.gates;
    return z;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    char text[64];
    if (in->rank != 2)
        return rt_fail(RT_USAGE, "takes rows of steps, (T, D), and its input is %s", rt_shape_text(in, text));
    sizes z = sizes_of(g, n);
    *out = z.last ? (rt_shape){1, {z.state}} : (rt_shape){2, {z.t, z.state}};
    RT_TRY(rt_graph_param(g, n, "weight", (rt_shape){2, {z.d, z.width}}, RT_INIT_XAVIER, z.d, z.h, 1));
    RT_TRY(rt_graph_param(g, n, "recurrent", (rt_shape){3, {z.dirs, z.h, z.gates * z.h}}, RT_INIT_XAVIER, z.h, z.h, 1));
    RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {z.width}}, RT_INIT_ZERO, z.d, z.h, 0));
    if (!z.before) return RT_OK;
    return rt_graph_param(g, n, "recurrent_bias", (rt_shape){2, {z.dirs, z.h}}, RT_INIT_ZERO, z.h, z.h, 0);
}

/* One direction: where its part of a step begins, and in which order steps come. */
typedef struct { ptrdiff_t gate, state, weights; int first, by; } course;

static course course_of(const sizes *z, int dir)
{
    int back = z->direction == REVERSE || dir == 1;
    return (course){.gate = (ptrdiff_t)dir * z->gates * z->h, .state = (ptrdiff_t)dir * z->h,
                    .weights = (ptrdiff_t)dir * z->h * z->gates * z->h, .first = back ? z->t - 1 : 0,
                    .by = back ? -1 : 1};
}

/* The rows of a chunk: gates (rows, T, width), states, cells and more (rows, T, state). */
typedef struct {
    const rt_kernels *k;
    float *gates, *states, *cells, *more, *scratch;
    int rows;
} chunk;

/* y[r] (+)= bias + x[r] w for all rows at a step; n columns of w, which is (k, ld). */
static void step_product(const chunk *c, float *y, ptrdiff_t y_row, const float *x, ptrdiff_t x_row, const float *w,
                         ptrdiff_t ld, const float *bias, int k, int n, int accumulate)
{
    c->k->conv_line(&(rt_conv_line){.y = y, .y_px = y_row, .x = x, .x_px = x_row, .w = w, .w_ld = ld, .bias = bias,
                                    .px = c->rows, .kh = 1, .klen = k, .n = n, .accumulate = accumulate});
}

static void act(const rt_kernels *k, float *x, int n, rt_act a) { k->affine_act(x, x, NULL, NULL, (size_t)n, 1, a, 0); }

static void lstm_step(const rt_kernels *k, int h, float *gate, float *state, float *cell, const float *cell_before)
{
    float *i = gate, *o = gate + h, *f = o + h, *g = f + h;
    act(k, gate, 3 * h, RT_ACT_SIGMOID);
    act(k, g, h, RT_ACT_TANH);
    for (int j = 0; j < h; j++) cell[j] = (cell_before ? f[j] * cell_before[j] : 0.0f) + i[j] * g[j];
    k->affine_act(state, cell, NULL, NULL, (size_t)h, 1, RT_ACT_TANH, 0);
    for (int j = 0; j < h; j++) state[j] *= o[j];
}

static void gru_finish(const rt_kernels *k, int h, float *gate, float *state, const float *before)
{
    const float *z = gate;
    float *n = gate + 2 * h;
    act(k, n, h, RT_ACT_TANH);
    for (int j = 0; j < h; j++) state[j] = (1.0f - z[j]) * n[j] + (before ? z[j] * before[j] : 0.0f);
}

/* Rows at step t, the state before at `from`, or NULL. */
static void gru_step(const chunk *c, const sizes *z, const course *d, int t, const float *from, const float *recurrent,
                     const float *recurrent_bias)
{
    ptrdiff_t gate_row = (ptrdiff_t)z->t * z->width, state_row = (ptrdiff_t)z->t * z->state, ld = 3 * (ptrdiff_t)z->h;
    float *gate = c->gates + (ptrdiff_t)t * z->width + d->gate, *state = c->states + (ptrdiff_t)t * z->state + d->state,
          *more = c->more + (ptrdiff_t)t * z->state + d->state;
    int h = z->h;
    if (from) step_product(c, gate, gate_row, from, state_row, recurrent, ld, NULL, h, 2 * h, 1);
    if (z->before && from)
        step_product(c, more, state_row, from, state_row, recurrent + 2 * h, ld, recurrent_bias, h, h, 0);
    for (int r = 0; r < c->rows; r++) {
        float *g = gate + r * gate_row, *m = more + r * state_row;
        act(c->k, g, 2 * h, RT_ACT_SIGMOID);
        const float *reset = g + h;
        if (z->before && !from) memcpy(m, recurrent_bias, (size_t)h * sizeof *m);
        if (z->before) for (int j = 0; j < h; j++) g[2 * h + j] += reset[j] * m[j];
        else for (int j = 0; j < h; j++) m[j] = from ? reset[j] * from[r * state_row + j] : 0.0f;
    }
    if (!z->before && from)
        step_product(c, gate + 2 * h, gate_row, more, state_row, recurrent + 2 * h, ld, NULL, h, h, 1);
    for (int r = 0; r < c->rows; r++)
        gru_finish(c->k, h, gate + r * gate_row, state + r * state_row, from ? from + r * state_row : NULL);
}

static void run_course(const chunk *c, const sizes *z, int dir, const float *recurrent, const float *recurrent_bias)
{
    course d = course_of(z, dir);
    ptrdiff_t gate_row = (ptrdiff_t)z->t * z->width, state_row = (ptrdiff_t)z->t * z->state;
    recurrent += d.weights;
    if (recurrent_bias) recurrent_bias += d.state;
    for (int s = 0, t = d.first; s < z->t; s++, t += d.by) {
        ptrdiff_t at = (ptrdiff_t)t * z->state + d.state, before = at - (ptrdiff_t)d.by * z->state;
        float *gate = c->gates + (ptrdiff_t)t * z->width + d.gate;
        if (z->kind == RT_OP_GRU) {
            gru_step(c, z, &d, t, s ? c->states + before : NULL, recurrent, recurrent_bias);
            continue;
        }
        int n = z->gates * z->h;
        if (s) step_product(c, gate, gate_row, c->states + before, state_row, recurrent, n, NULL, z->h, n, 1);
        for (int r = 0; r < c->rows; r++) {
            float *g = gate + r * gate_row, *h = c->states + at + r * state_row;
            if (z->kind == RT_OP_LSTM)
                lstm_step(c->k, z->h, g, h, c->cells + at + r * state_row,
                          s ? c->cells + before + r * state_row : NULL);
            else c->k->affine_act(h, g, NULL, NULL, (size_t)z->h, 1, RT_ACT_TANH, 0);
        }
    }
}

/* value: 0 x, 1 y, 2 gates, 3 states (y, or a temporary of `last`), 4 cells of LSTM or what GRU keeps more */
enum { X, Y, GATES, STATES, MORE, DY, DX, CARRY, CARRY_CELL };

static chunk chunk_of(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int lstm = c->node->op == RT_OP_LSTM;
    float *more = c->value[MORE] >= 0 ? rt_at(x, c->value[MORE], row0) : NULL;
    return (chunk){.k = x->plan->k, .gates = rt_at(x, c->value[GATES], row0),
                   .states = rt_at(x, c->value[STATES], row0), .cells = lstm ? more : NULL, .more = lstm ? NULL : more,
                   .scratch = x->scratch, .rows = rows};
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes z = sizes_of(x->plan->graph, c->node);
    chunk all = chunk_of(c, x, row0, rows);
    const float *bias = z.before ? rt_param(x, c->node, RECURRENT_BIAS) : NULL;
    rt_matrix_product(x->plan->k,
                      &(rt_matrices){.y = all.gates, .y_ld = z.width, .a = rt_at(x, c->value[X], row0), .a_ld = z.d,
                                     .b = rt_param(x, c->node, WEIGHT), .b_ld = z.width, .m = rows * z.t, .k = z.d,
                                     .n = z.width, .scale = 1, .bias = rt_param(x, c->node, BIAS),
                                     .alone = !x->plan->spec.train},
                      x->scratch);
    for (int dir = 0; dir < z.dirs; dir++) run_course(&all, &z, dir, rt_param(x, c->node, RECURRENT), bias);
    if (!z.last) return;
    float *y = rt_at(x, c->value[Y], row0);
    for (int r = 0; r < rows; r++)
        for (int dir = 0; dir < z.dirs; dir++, y += z.h) {
            course d = course_of(&z, dir);
            int t = d.first + (z.t - 1) * d.by;
            memcpy(y, all.states + ((ptrdiff_t)r * z.t + t) * z.state + d.state, (size_t)z.h * sizeof *y);
        }
}

static int grain_of(const sizes *z)
{
    double row = (double)z->t * (z->width + 2.0 * z->state + z->d) * sizeof(float), most = GRAIN_BYTES / row;
    return most < 1 ? 1 : most < GRAIN ? (int)most : GRAIN;
}

static void forward(rt_plan *p, const rt_node *n)
{
    sizes z = sizes_of(p->graph, n);
    size_t state = (size_t)z.t * (size_t)z.state * sizeof(float);
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out),
        gates = rt_plan_temp(p, (size_t)z.t * (size_t)z.width * sizeof(float)),
        states = z.last ? rt_plan_temp(p, state) : out, more = z.kind == RT_OP_RNN ? -1 : rt_plan_temp(p, state);
    rt_note *note = rt_plan_note(p, n);
    note->value = gates;                      /* the others follow it */
    rt_plan_need_scratch(p, rt_matrix_scratch());
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_forward);
    int values[5] = {in, out, gates, states, more};
    memcpy(c->value, values, sizeof values);
    c->grain = grain_of(&z);
}

/* ---- backward ---- */

static void pack_recurrent(const rt_call *c, rt_ctx *x, int dir, int unused)
{
    (void)unused;
    sizes z = sizes_of(x->plan->graph, c->node);
    ptrdiff_t n = (ptrdiff_t)z.gates * z.h, from = course_of(&z, dir).weights;
    const float *w = rt_param(x, c->node, RECURRENT) + from;
    float *t = x->plan->buffer + c->at[0] + from;
    for (int i = 0; i < z.h; i++) for (int j = 0; j < n; j++) t[(ptrdiff_t)j * z.h + i] = w[i * n + j];
}

/* Gates become the gradients of what they were made of, dc that of the cell before. */
static void lstm_back(const rt_kernels *k, int h, float *gate, const float *dh, float *dc, const float *cell,
                      const float *cell_before, float *tanh_cell)
{
    float *i = gate, *o = gate + h, *f = o + h, *g = f + h;
    k->affine_act(tanh_cell, cell, NULL, NULL, (size_t)h, 1, RT_ACT_TANH, 0);
    for (int j = 0; j < h; j++) {
        float tc = tanh_cell[j], d = dc[j] + dh[j] * o[j] * (1 - tc * tc), in = i[j], out = o[j], keep = f[j],
              new = g[j];
        i[j] = d * new * in * (1 - in);
        o[j] = dh[j] * tc * out * (1 - out);
        f[j] = cell_before ? d * cell_before[j] * keep * (1 - keep) : 0.0f;
        g[j] = d * in * (1 - new * new);
        dc[j] = d * keep;
    }
}

/* Of all rows: gates become gradients, dh that part of the gradient of the state before that comes past the gates. t_h:
 * transposed weights (3 H, H). */
static void gru_back(const chunk *c, const sizes *z, const course *d, int t, float *dh, const float *before,
                     const float *transposed)
{
    ptrdiff_t gate_row = (ptrdiff_t)z->t * z->width, state_row = (ptrdiff_t)z->t * z->state;
    float *gate = c->gates + (ptrdiff_t)t * z->width + d->gate, *more = c->more + (ptrdiff_t)t * z->state + d->state,
          *reset = c->scratch;
    int h = z->h;
    for (int r = 0; r < c->rows; r++) {
        float *g = gate + r * gate_row, *m = more + r * state_row, *e = dh + (ptrdiff_t)r * h;
        const float *hp = before ? before + r * state_row : NULL;
        for (int j = 0; j < h; j++) {
            float u = g[j], n = g[2 * h + j], dn = e[j] * (1 - u) * (1 - n * n), w = g[h + j];
            g[j] = e[j] * ((hp ? hp[j] : 0.0f) - n) * u * (1 - u);
            g[2 * h + j] = dn;
            if (z->before) {
                g[h + j] = dn * m[j] * w * (1 - w);
                m[j] = dn * w;
            }
            e[j] *= u;
        }
    }
    if (z->before || !before) {
        for (int r = 0; r < c->rows && !z->before; r++) memset(gate + r * gate_row + h, 0, (size_t)h * sizeof *gate);
        return;
    }
    step_product(c, reset, h, gate + 2 * h, gate_row, transposed + (ptrdiff_t)2 * h * h, h, NULL, h, h, 0);
    for (int r = 0; r < c->rows; r++)
        for (int j = 0; j < h; j++) {
            float *g = gate + r * gate_row + h + j, w = *g, into = reset[(ptrdiff_t)r * h + j];
            *g = into * before[r * state_row + j] * w * (1 - w);
            dh[(ptrdiff_t)r * h + j] += into * w;
        }
}

/* The gradient of the states at step t by that of the gates one step on: added to dh. */
static void through_gates(const chunk *c, const sizes *z, const course *d, int t, float *dh, const float *transposed)
{
    ptrdiff_t gate_row = (ptrdiff_t)z->t * z->width, state_row = (ptrdiff_t)z->t * z->state;
    const float *gate = c->gates + (ptrdiff_t)t * z->width + d->gate;
    int h = z->h, n = z->gates * h;
    if (z->kind != RT_OP_GRU) {
        step_product(c, dh, h, gate, gate_row, transposed, h, NULL, n, h, 1);
        return;
    }
    step_product(c, dh, h, gate, gate_row, transposed, h, NULL, 2 * h, h, 1);
    if (z->before)
        step_product(c, dh, h, c->more + (ptrdiff_t)t * z->state + d->state, state_row,
                     transposed + (ptrdiff_t)2 * h * h, h, NULL, h, h, 1);
}

static void back_course(const chunk *c, const sizes *z, int dir, const float *dy, float *dh, float *dc,
                        const float *transposed)
{
    course d = course_of(z, dir);
    ptrdiff_t gate_row = (ptrdiff_t)z->t * z->width, state_row = (ptrdiff_t)z->t * z->state;
    size_t floats = (size_t)c->rows * (size_t)z->h;
    transposed += d.weights;
    memset(dh, 0, floats * sizeof *dh);
    if (dc) memset(dc, 0, floats * sizeof *dc);
    for (int s = z->t - 1, t = d.first + s * d.by; s >= 0; s--, t -= d.by) {
        ptrdiff_t at = (ptrdiff_t)t * z->state + d.state, before = at - (ptrdiff_t)d.by * z->state;
        if (z->kind != RT_OP_GRU) memset(dh, 0, floats * sizeof *dh);
        for (int r = 0; r < c->rows && (!z->last || s == z->t - 1); r++) {
            const float *from = dy + (z->last ? (ptrdiff_t)r * z->state + d.state : r * state_row + at);
            for (int j = 0; j < z->h; j++) dh[(ptrdiff_t)r * z->h + j] += from[j];
        }
        if (s < z->t - 1) through_gates(c, z, &d, t + d.by, dh, transposed);
        if (z->kind == RT_OP_GRU) {
            gru_back(c, z, &d, t, dh, s ? c->states + before : NULL, transposed);
            continue;
        }
        for (int r = 0; r < c->rows; r++) {
            float *g = c->gates + (ptrdiff_t)t * z->width + d.gate + r * gate_row, *e = dh + (ptrdiff_t)r * z->h;
            const float *h = c->states + at + r * state_row;
            if (z->kind == RT_OP_LSTM)
                lstm_back(c->k, z->h, g, e, dc + (ptrdiff_t)r * z->h, c->cells + at + r * state_row,
                          s ? c->cells + before + r * state_row : NULL, c->scratch);
            else for (int j = 0; j < z->h; j++) g[j] = e[j] * (1 - h[j] * h[j]);
        }
    }
}

static void run_backward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes z = sizes_of(x->plan->graph, c->node);
    chunk all = chunk_of(c, x, row0, rows);
    float *dh = rt_at(x, c->value[CARRY], row0),
          *dc = z.kind == RT_OP_LSTM ? rt_at(x, c->value[CARRY_CELL], row0) : NULL;
    all.scratch = rt_at(x, c->value[CARRY_CELL], row0);
    if (z.kind == RT_OP_LSTM) all.scratch = x->scratch;
    for (int dir = 0; dir < z.dirs; dir++)
        back_course(&all, &z, dir, rt_at(x, c->value[DY], row0), dh, dc, x->plan->buffer + c->at[0]);
    if (c->value[DX] < 0) return;
    rt_matrix_product(x->plan->k,
                      &(rt_matrices){.y = rt_at(x, c->value[DX], row0), .y_ld = z.d, .a = all.gates, .a_ld = z.width,
                                     .b = rt_param(x, c->node, WEIGHT), .b_ld = z.width, .b_transposed = 1,
                                     .m = rows * z.t, .k = z.width, .n = z.d, .scale = 1, .accumulate = c->flag},
                      x->scratch);
}

static void run_dw(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    sizes z = sizes_of(x->plan->graph, c->node);
    rt_panels_dw(x->plan->k, rt_grad(x, c->node, WEIGHT), rt_at(x, c->value[X], 0), rt_at(x, c->value[GATES], 0),
                 x->run->rows * z.t, z.d, z.width, tile, x->scratch);
}

/* Columns n0 .. n0 + n of some rows of dR, by what the states before were multiplied by: x (rows, T, state) at steps
 * `before`, or at the same where it is what they became; dy of row stride dy_px. */
static void part_dr(const rt_kernels *k, const sizes *z, const course *d, float *dr, int k0, int kb, int n0, int n,
                    const float *x, int same, const float *dy, ptrdiff_t dy_px, int rows)
{
    int skip = same ? 0 : 1, px = z->t - skip, ld = z->gates * z->h;
    dr += d->weights + (ptrdiff_t)k0 * ld + n0;
    if (px < 1) {
        for (int i = 0; i < kb; i++) memset(dr + (ptrdiff_t)i * ld, 0, (size_t)n * sizeof *dr);
        return;
    }
    k->conv_dw(&(rt_conv_dw){.dw = dr,
                             .dw_ld = ld,
                             .x = x + (d->by < 0 ? skip : 0) * (ptrdiff_t)z->state + d->state + k0,
                             .x_px = z->state,
                             .x_line = (ptrdiff_t)z->t * z->state,
                             .dy = dy + (d->by > 0 ? skip : 0) * dy_px,
                             .dy_px = dy_px,
                             .dy_line = (ptrdiff_t)z->t * dy_px,
                             .lines = rows,
                             .px = px,
                             .kh = 1,
                             .klen = kb,
                             .n = n,
                             .overwrite = 1});
}

static int dr_blocks(const sizes *z) { return (z->h + DW_BLOCK - 1) / DW_BLOCK; }

static void run_dr(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    sizes z = sizes_of(x->plan->graph, c->node);
    course d = course_of(&z, tile / dr_blocks(&z));
    int k0 = tile % dr_blocks(&z) * DW_BLOCK, kb = z.h - k0 < DW_BLOCK ? z.h - k0 : DW_BLOCK, h = z.h,
        rows = x->run->rows;
    chunk all = chunk_of(c, x, 0, rows);
    float *dr = rt_grad(x, c->node, RECURRENT);
    const rt_kernels *k = x->plan->k;
    const float *gates = all.gates + d.gate, *more = all.more;
    if (z.kind != RT_OP_GRU) {
        part_dr(k, &z, &d, dr, k0, kb, 0, z.gates * h, all.states, 0, gates, z.width, rows);
        return;
    }
    part_dr(k, &z, &d, dr, k0, kb, 0, 2 * h, all.states, 0, gates, z.width, rows);
    if (z.before) part_dr(k, &z, &d, dr, k0, kb, 2 * h, h, all.states, 0, more + d.state, z.state, rows);
    else part_dr(k, &z, &d, dr, k0, kb, 2 * h, h, more, 1, gates + 2 * h, z.width, rows);
}

static void run_db(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    sizes z = sizes_of(x->plan->graph, c->node);
    chunk all = chunk_of(c, x, 0, x->run->rows);
    size_t steps = (size_t)x->run->rows * (size_t)z.t;
    float *db = rt_plan_trains(x->plan, c->node, BIAS) ? rt_grad(x, c->node, BIAS) : NULL,
          *dr = z.before && rt_plan_trains(x->plan, c->node, RECURRENT_BIAS) ? rt_grad(x, c->node, RECURRENT_BIAS)
                                                                             : NULL;
    if (db) {
        memset(db, 0, (size_t)z.width * sizeof *db);
        x->plan->k->channel_sum(db, all.gates, steps, z.width);
    }
    if (dr) {
        memset(dr, 0, (size_t)z.state * sizeof *dr);
        x->plan->k->channel_sum(dr, all.more, steps, z.state);
    }
}

static void backward(rt_plan *p, const rt_node *n)
{
    sizes z = sizes_of(p->graph, n);
    int gates = rt_plan_note(p, n)->value, out = z.last ? -1 : rt_plan_read(p, n->out), in = rt_plan_read(p, n->in[0]),
        dy = rt_plan_grad_read(p, n->out), accumulate = 0, dx = -1;
    int states = z.last ? gates + 1 : out, more = z.kind == RT_OP_RNN ? -1 : gates + 1 + (z.last ? 1 : 0);
    size_t state = (size_t)z.h * sizeof(float);
    int carry = rt_plan_temp(p, state), carry_cell = rt_plan_temp(p, state);
    rt_call *t = rt_plan_pack(p, "pack", n, z.dirs, pack_recurrent);
    ptrdiff_t at = t->at[0] = rt_plan_buffer(p, (size_t)z.state * (size_t)(z.gates * z.h));
    if (rt_plan_needs_grad(p, n->in[0])) dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_plan_need_scratch(p, rt_matrix_scratch() + (size_t)z.h);
    rt_call *c = rt_plan_rows(p, "recurrent back", n, run_backward);
    int values[9] = {in, out, gates, states, more, dy, dx, carry, carry_cell};
    memcpy(c->value, values, sizeof values);
    c->at[0] = at;
    c->flag = accumulate;
    c->grain = grain_of(&z);
    rt_plan_need_scratch(p, rt_panels_scratch());
    const struct {
        int trained, tiles;
        const char *what;
        void (*fn)(const rt_call *, rt_ctx *, int, int);
    } late[] = {{rt_plan_trains(p, n, WEIGHT), rt_panels_dw_tiles(p->k, z.d, z.width), "recurrent dW", run_dw},
                {rt_plan_trains(p, n, RECURRENT), z.dirs * dr_blocks(&z), "recurrent dR", run_dr},
                {rt_plan_trains(p, n, BIAS) || rt_plan_trains(p, n, RECURRENT_BIAS), 1, "recurrent db", run_db}};
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        if (!late[i].trained) continue;
        c = rt_plan_late_tiles(p, late[i].what, n, late[i].tiles, late[i].fn);
        memcpy(c->value, values, 5 * sizeof *values);
    }
}

static double macs(const rt_graph *g, const rt_node *n)
{
    sizes z = sizes_of(g, n);
    return (double)z.t * z.width * ((double)z.d + z.h);
}

static const char *const directions[] = {"forward", "reverse", "bidirectional", NULL};

#define SPEC \
    {"out", RT_A_INT, offsetof(rt_recurrent_attr, out), 1, 1 << 14, 0, 1, "features of a direction"}, \
    {"direction", RT_A_CHOICE, offsetof(rt_recurrent_attr, direction), 0, 2, 0, 0, "of the steps; both: side by side", \
     directions}, \
    {"last", RT_A_BOOL, offsetof(rt_recurrent_attr, last), 0, 1, 0, 0, "the last state alone, without steps"}
static const rt_attr_spec spec[] = {SPEC};
static const rt_attr_spec gru_spec[] = {
    SPEC, {"linear_before_reset", RT_A_BOOL, offsetof(rt_recurrent_attr, linear_before_reset), 0, 1, 0, 0,
           "the reset gate multiplies what the state gives, with a bias of its own, not the state (PyTorch)"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_recurrent_attr)};
static const rt_schema gru_schema = {gru_spec, sizeof gru_spec / sizeof *gru_spec, sizeof(rt_recurrent_attr)};

#define OP(NAME, SCHEMA, HELP) {.name = NAME, .help = HELP, .min_inputs = 1, .max_inputs = 1, .schema = &SCHEMA, \
                                .infer = infer, .forward = forward, .backward = backward, .macs = macs}
const rt_op rt_op_lstm = OP("lstm", schema, "long short-term memory over the steps of (T, D); gates i, o, f, g");
const rt_op rt_op_gru = OP("gru", gru_schema, "gated recurrent unit over the steps of (T, D); gates z, r, n");
const rt_op rt_op_rnn = OP("rnn", schema, "tanh(x W + h R + bias) over the steps of (T, D)");
