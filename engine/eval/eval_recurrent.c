/* engine/eval/eval_recurrent.c - RNN, GRU and LSTM, in double.
 *
 * Per direction: the inputs of all steps times W at once, then a step after the other: h times R, gates, new state.
 * Gates of a GRU stand in the order z r h, of an LSTM i o f c (peepholes i o f), as the standard has them.
 *
 * com.microsoft's DynamicQuantizeLSTM is an LSTM whose weights are bytes, W (directions, in, width) and R (directions,
 * hidden, width), with a scale and a zero point for each direction or for each of its columns. What they are multiplied
 * by is rounded to 256 steps as DynamicQuantizeLinear does: a sequence's input as a whole, and its state in each step.
 * (ONNX Runtime takes the range of all sequences of a batch; here each has its own, as in a batch of one.)
 * Source: github.com/microsoft/onnxruntime, docs/ContribOperators.md. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "engine/eval/eval_quant.h"
#include "engine/eval/layers.h"

typedef enum { RNN, GRU, LSTM } cell_kind;
static const int gates_of[] = {1, 3, 4}, functions_of[] = {1, 2, 3};

typedef enum {
    AFFINE, ELU, HARD_SIGMOID, LEAKY_RELU, RELU, SCALED_TANH, SIGMOID, SOFTPLUS, SOFTSIGN, TANH, THRESHOLDED_RELU
} function_kind;
/* uses: how many of alpha and beta it has. NaN: there is no default. */
static const struct { const char *name; int uses; double alpha, beta; } functions[] = {
    [AFFINE] = {"Affine", 2, 1, 0}, [ELU] = {"Elu", 1, 1, 0}, [HARD_SIGMOID] = {"HardSigmoid", 2, 0.2f, 0.5},
    [LEAKY_RELU] = {"LeakyRelu", 1, 0.01f, 0}, [RELU] = {"Relu", 0, 0, 0}, [SCALED_TANH] = {"ScaledTanh", 2, NAN, NAN},
    [SIGMOID] = {"Sigmoid", 0, 0, 0}, [SOFTPLUS] = {"Softplus", 0, 0, 0}, [SOFTSIGN] = {"Softsign", 0, 0, 0},
    [TANH] = {"Tanh", 0, 0, 0}, [THRESHOLDED_RELU] = {"ThresholdedRelu", 1, 1, 0}};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

typedef struct { function_kind kind; double alpha, beta; } function;

typedef struct {
    cell_kind kind;
    int64_t steps, batch, in, hidden, directions, width;        /* width: gates * hidden */
    int reverse, batch_first, coupled, linear_before_reset, dynamic;
    double clip;                            /* of what functions are given; infinite: none */
    function f[6];                          /* of the first direction, then of the second */
    const int64_t *length;                  /* (batch); NULL: all steps */
    const double *x, *w, *r, *b, *h0, *c0, *peep;
    double *wt, *rt, *sum, *pre, *rec, *h, *c;
    rt_array *real, *bytes;                 /* of what is rounded where it stands */
} recurrent;

static double apply(const recurrent *n, const function *f, double x)
{
    x = x > n->clip ? n->clip : x < -n->clip ? -n->clip : x;
    switch (f->kind) {
    case AFFINE: return f->alpha * x + f->beta;
    case ELU: return x >= 0 ? x : f->alpha * expm1(x);
    case HARD_SIGMOID: return fmin(fmax(f->alpha * x + f->beta, 0), 1);
    case LEAKY_RELU: return x >= 0 ? x : f->alpha * x;
    case RELU: return x > 0 ? x : 0;
    case SCALED_TANH: return f->alpha * tanh(f->beta * x);
    case SIGMOID: return 1 / (1 + exp(-x));
    case SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case SOFTSIGN: return x / (1 + fabs(x));
    case TANH: return tanh(x);
    case THRESHOLDED_RELU: return x > f->alpha ? x : 0;
    }
    return x;
}

/* ---- attributes ---- */

/* Alpha or beta of each function: a number for every one, or one for every one that uses it, in order. */
static rt_status factors(rt_eval_call *call, recurrent *n, const char *name, int count, int which)
{
    const float *list;
    int given = rt_eval_floats(call, name, &list), users = 0, next = 0;
    for (int i = 0; i < count; i++) users += functions[n->f[i].kind].uses >= which;
    if (given > 0 && given != count && given != users)
        return rt_fail(RT_INPUT, "%s has %d numbers for %d functions", name, given, count);
    for (int i = 0; i < count; i++) {
        int uses = functions[n->f[i].kind].uses >= which;
        double v = which == 1 ? functions[n->f[i].kind].alpha : functions[n->f[i].kind].beta;
        if (given > 0 && uses) v = list[given == count ? i : next++];
        if (uses && isnan(v)) return rt_fail(RT_INPUT, "%s has none for %s", name, functions[n->f[i].kind].name);
        *(which == 1 ? &n->f[i].alpha : &n->f[i].beta) = v;
    }
    return RT_OK;
}

static rt_status read_functions(rt_eval_call *call, recurrent *n)
{
    static const function_kind usual[][3] = {{TANH}, {SIGMOID, TANH}, {SIGMOID, TANH, TANH}};
    const char *const *name;
    int each = functions_of[n->kind], count = each * (int)n->directions;
    int given = rt_eval_strings(call, "activations", &name);
    if (given > 0 && given < count) return rt_fail(RT_INPUT, "activations has %d names; %d are needed", given, count);
    for (int i = 0; i < count; i++) {
        int k = usual[n->kind][i % each];
        if (given > 0)
            for (k = 0; k < FUNCTIONS && strcasecmp(name[i], functions[k].name); k++) {}
        if (k == FUNCTIONS) return rt_fail(RT_INPUT, "activation \"%s\" is unknown", name[i]);
        n->f[i].kind = (function_kind)k;
    }
    RT_TRY(factors(call, n, "activation_alpha", count, 1));
    return factors(call, n, "activation_beta", count, 2);
}

static rt_status read_attributes(rt_eval_call *call, recurrent *n)
{
    const char *direction = rt_eval_string(call, "direction", "forward");
    n->reverse = !strcmp(direction, "reverse");
    n->directions = strcmp(direction, "bidirectional") ? 1 : 2;
    if (n->directions == 1 && !n->reverse && strcmp(direction, "forward"))
        return rt_fail(RT_INPUT, "direction \"%s\" is unknown", direction);
    n->clip = rt_eval_float(call, "clip", INFINITY);
    if (!(n->clip >= 0)) return rt_fail(RT_INPUT, "clip is %g", n->clip);
    if (call->version < 7) rt_eval_int(call, "output_sequence", 0);     /* an output without a name says the same */
    if (call->version >= 14) n->batch_first = rt_eval_int(call, "layout", 0) != 0;
    if (n->kind == LSTM) n->coupled = rt_eval_int(call, "input_forget", 0) != 0;
    if (n->kind == GRU && call->version >= 3)
        n->linear_before_reset = rt_eval_int(call, "linear_before_reset", 0) != 0;
    return read_functions(call, n);
}

/* ---- inputs ---- */

/* Input i as doubles, of this shape. NULL: left out. */
static rt_status part(rt_eval_call *call, int i, const char *what, int rank, const int64_t *dim, const double **to)
{
    const rt_array *a;
    RT_TRY(rt_layer_optional(call, i, RT_EVAL_FLOATS, rank, rank, &a));
    *to = NULL;
    if (!a) return RT_OK;
    RT_TRY(rt_layer_shape(a, what, call->in[0]->type, rank, dim));
    return rt_layer_doubles(call, a, to);
}

/* Weights of bytes as doubles, in the order in which floats have them. */
static rt_status byte_weights(rt_eval_call *call, int i, int scales, const char *what, int64_t d, int64_t rows,
                              int64_t width, const double **to)
{
    const rt_array *w, *scale, *zero;
    RT_TRY(rt_layer_in(call, i, RT_EVAL_BYTES, 3, 3, &w));
    RT_TRY(rt_layer_shape(w, what, w->type, 3, (int64_t[]){d, rows, width}));
    RT_TRY(rt_layer_in(call, scales, 1u << RT_F32, 1, 2, &scale));
    RT_TRY(rt_layer_in(call, scales + 1, 1u << w->type, 1, 2, &zero));
    RT_TRY(rt_layer_shape(scale, "the scale", RT_F32, scale->rank, (int64_t[]){d, width}));
    RT_TRY(rt_layer_shape(zero, "the zero point", w->type, zero->rank, (int64_t[]){d, width}));
    double *copy = rt_eval_scratch(call, w->count, sizeof *copy);
    if (!copy) return RT_INPUT;
    for (int64_t k = 0; k < d * rows * width; k++) {
        int64_t at = k / width / rows, column = k % width, row = k / width % rows, each = at * width + column;
        int64_t whole = rt_array_int(w, (size_t)k) - rt_array_int(zero, (size_t)(zero->rank == 2 ? each : at));
        copy[(at * width + column) * rows + row] =
            (double)whole * rt_array_double(scale, (size_t)(scale->rank == 2 ? each : at));
    }
    *to = copy;
    return RT_OK;
}

/* Lines of n numbers, `apart` from each other, in 256 steps from the least to the greatest of all of them. */
static void in_steps(const recurrent *n, const double *from, int64_t lines, int64_t each, int64_t apart, double *to)
{
    float scale, *real = n->real->data;
    const uint8_t *byte = n->bytes->data;
    int64_t zero;
    rt_array part = *n->real;
    part.count = (size_t)(lines * each);
    for (int64_t i = 0; i < lines * each; i++) real[i] = (float)from[i / each * apart + i % each];
    rt_eval_dynamic(&part, n->bytes, &scale, &zero);
    for (int64_t i = 0; i < lines * each; i++)
        to[i / each * apart + i % each] = (double)((int64_t)byte[i] - zero) * (double)scale;
}

/* Room for that, and the input in such steps. */
static rt_status round_input(rt_eval_call *call, recurrent *n)
{
    int64_t count = n->steps * n->in, room = count > n->hidden ? count : n->hidden;
    double *copy = rt_eval_scratch(call, (size_t)(n->steps * n->batch * n->in), sizeof *copy);
    RT_TRY(rt_eval_temp(call, RT_F32, 1, &room, &n->real));
    RT_TRY(rt_eval_temp(call, RT_U8, 1, &room, &n->bytes));
    if (!copy) return RT_INPUT;
    for (int64_t b = 0; b < n->batch && n->in; b++)
        in_steps(n, n->x + b * n->in, n->length ? n->length[b] : n->steps, n->in, n->batch * n->in, copy + b * n->in);
    n->x = copy;
    return RT_OK;
}

static rt_status read_lengths(rt_eval_call *call, recurrent *n)
{
    int count;
    RT_TRY(rt_eval_list(call, 4, &n->length, &count));
    if (count < 0) return RT_OK;
    if (count != n->batch) return rt_fail(RT_INPUT, "%d lengths of %lld sequences", count, (long long)n->batch);
    for (int i = 0; i < count; i++)
        if (n->length[i] < 0 || n->length[i] > n->steps)
            return rt_fail(RT_INPUT, "a sequence of %lld steps; there are %lld", (long long)n->length[i],
                           (long long)n->steps);
    return RT_OK;
}

static rt_status read_inputs(rt_eval_call *call, recurrent *n)
{
    const unsigned weights = n->dynamic ? RT_EVAL_BYTES : RT_EVAL_FLOATS;
    const rt_array *x, *w, *r;
    RT_TRY(rt_layer_in(call, 0, n->dynamic ? 1u << RT_F32 : RT_EVAL_FLOATS, 3, 3, &x));
    RT_TRY(rt_layer_in(call, 1, weights, 3, 3, &w));
    RT_TRY(rt_layer_in(call, 2, weights, 3, 3, &r));
    const int64_t own = r->dim[n->dynamic ? 1 : 2];
    n->steps = x->dim[n->batch_first];
    n->batch = x->dim[!n->batch_first];
    n->in = x->dim[2];
    n->hidden = rt_eval_int(call, "hidden_size", own);
    if (n->hidden < 1 || n->hidden > 1 << 24 || n->hidden != own)
        return rt_fail(RT_INPUT, "hidden_size is %lld, and R has %lld", (long long)n->hidden, (long long)own);
    const int64_t h = n->hidden, d = n->directions, states[] = {d, n->batch, h}, states_first[] = {n->batch, d, h};
    n->width = gates_of[n->kind] * h;
    RT_TRY(rt_layer_doubles(call, x, &n->x));
    if (n->dynamic) {
        RT_TRY(byte_weights(call, 1, 8, "W", d, n->in, n->width, &n->w));
        RT_TRY(byte_weights(call, 2, 10, "R", d, h, n->width, &n->r));
    } else {
        RT_TRY(part(call, 1, "W", 3, (int64_t[]){d, n->width, n->in}, &n->w));
        RT_TRY(part(call, 2, "R", 3, (int64_t[]){d, n->width, h}, &n->r));
    }
    RT_TRY(part(call, 3, "B", 2, (int64_t[]){d, 2 * n->width}, &n->b));
    RT_TRY(read_lengths(call, n));
    RT_TRY(part(call, 5, "initial_h", 3, n->batch_first ? states_first : states, &n->h0));
    if (n->kind != LSTM) return RT_OK;
    RT_TRY(part(call, 6, "initial_c", 3, n->batch_first ? states_first : states, &n->c0));
    return part(call, 7, "P", 2, (int64_t[]){d, 3 * h}, &n->peep);
}

static rt_status take_room(rt_eval_call *call, recurrent *n)
{
    size_t rows = (size_t)(n->steps * n->batch), width = (size_t)n->width, states = (size_t)(n->batch * n->hidden);
    n->wt = rt_eval_scratch(call, (size_t)n->in * width, sizeof(double));
    n->rt = rt_eval_scratch(call, (size_t)n->hidden * width, sizeof(double));
    n->pre = rt_eval_scratch(call, rows, width * sizeof(double));
    n->rec = rt_eval_scratch(call, (size_t)n->batch, width * sizeof(double));
    n->sum = rt_eval_scratch(call, states, sizeof(double));
    n->h = rt_eval_scratch(call, states, sizeof(double));
    n->c = rt_eval_scratch(call, states, sizeof(double));
    return n->wt && n->rt && n->pre && n->rec && n->sum && n->h && n->c ? RT_OK : RT_INPUT;
}

/* ---- steps ---- */

static void transpose(double *to, const double *from, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
}

/* State of one direction in or out of (directions, batch, hidden), or (batch, directions, hidden). */
static int64_t state_at(const recurrent *n, int64_t d, int64_t b)
{ return (n->batch_first ? b * n->directions + d : d * n->batch + b) * n->hidden; }

/* Gates from `first` on of sum (batch, hidden or width) = states times R. */
static rt_status times_r(rt_eval_call *call, const recurrent *n, const double *state, int first, int gates, double *to)
{
    int64_t columns = gates * n->hidden;
    memset(to, 0, (size_t)(n->batch * columns) * sizeof *to);
    return rt_layer_product_double(call, n->batch, columns, n->hidden, state, n->hidden, 1, n->rt + first * n->hidden,
                                   n->width, 1, to, columns);
}

static void lstm_cell(const recurrent *n, const function *f, const double *peep, const double *pre, const double *rec,
                      double *h, double *c)
{
    int64_t H = n->hidden;
    for (int64_t j = 0; j < H; j++) {
        double pi = peep ? peep[j] : 0, po = peep ? peep[H + j] : 0, pf = peep ? peep[2 * H + j] : 0;
        double i = apply(n, &f[0], pre[j] + rec[j] + pi * c[j]);
        double forget = n->coupled ? 1 - i : apply(n, &f[0], pre[2 * H + j] + rec[2 * H + j] + pf * c[j]);
        c[j] = forget * c[j] + i * apply(n, &f[1], pre[3 * H + j] + rec[3 * H + j]);
        h[j] = apply(n, &f[0], pre[H + j] + rec[H + j] + po * c[j]) * apply(n, &f[2], c[j]);
    }
}

/* Where step s of a sequence reads and writes; -1: it is over. */
static int64_t time_of(const recurrent *n, int64_t b, int64_t s, int backwards)
{
    int64_t length = n->length ? n->length[b] : n->steps;
    return s >= length ? -1 : backwards ? length - 1 - s : s;
}

static int64_t row_of(const recurrent *n, int64_t b, int64_t t)
{ return n->batch_first ? b * n->steps + t : t * n->batch + b; }

/* rec holds h times R for the gates z and r, and for h, too, when that is linear before its reset. rb: R's bias of the
 * gate h. */
static rt_status gru_step(rt_eval_call *call, recurrent *n, const function *f, const double *rb, int64_t s,
                          int backwards)
{
    int64_t H = n->hidden;
    for (int64_t b = 0; b < n->batch; b++) {
        int64_t t = time_of(n, b, s, backwards);
        double *rec = n->rec + b * n->width, *reset = n->sum + b * H;
        const double *pre = n->pre + row_of(n, b, t < 0 ? 0 : t) * n->width;
        for (int64_t j = 0; j < H; j++) {
            double r = apply(n, &f[0], pre[H + j] + rec[H + j]);
            rec[j] = apply(n, &f[0], pre[j] + rec[j]);                  /* z */
            if (n->linear_before_reset) rec[2 * H + j] = r * (rec[2 * H + j] + (rb ? rb[j] : 0));
            else reset[j] = r * n->h[b * H + j];
        }
    }
    double *own = n->c;                     /* (batch, hidden); a GRU has no c */
    if (!n->linear_before_reset) RT_TRY(times_r(call, n, n->sum, 2, 1, own));
    for (int64_t b = 0; b < n->batch; b++) {
        int64_t t = time_of(n, b, s, backwards);
        if (t < 0) continue;
        const double *pre = n->pre + row_of(n, b, t) * n->width, *rec = n->rec + b * n->width;
        for (int64_t j = 0; j < H; j++) {
            double x = pre[2 * H + j] + (n->linear_before_reset ? rec[2 * H + j] : own[b * H + j] + (rb ? rb[j] : 0));
            double z = rec[j], *h = &n->h[b * H + j];
            *h = (1 - z) * apply(n, &f[1], x) + z * *h;
        }
    }
    return RT_OK;
}

static rt_status step(rt_eval_call *call, recurrent *n, int64_t d, int64_t s, rt_array *y)
{
    int backwards = n->reverse || d == 1;
    int64_t H = n->hidden;
    const function *f = n->f + d * functions_of[n->kind];
    RT_TRY(rt_eval_tick(call, 64 * (double)n->batch * (double)n->width));
    for (int64_t b = 0; b < n->batch && n->dynamic; b++) in_steps(n, n->h + b * H, 1, H, H, n->sum + b * H);
    RT_TRY(times_r(call, n, n->dynamic ? n->sum : n->h, 0, gates_of[n->kind], n->rec));
    if (n->kind == GRU) RT_TRY(gru_step(call, n, f, n->b ? n->b + (2 * d + 1) * n->width + 2 * H : NULL, s, backwards));
    for (int64_t b = 0; b < n->batch; b++) {
        int64_t t = time_of(n, b, s, backwards);
        if (t < 0) continue;
        const double *pre = n->pre + row_of(n, b, t) * n->width, *rec = n->rec + b * n->width;
        double *h = n->h + b * H;
        if (n->kind == LSTM) lstm_cell(n, f, n->peep ? n->peep + d * 3 * H : NULL, pre, rec, h, n->c + b * H);
        if (n->kind == RNN) for (int64_t j = 0; j < H; j++) h[j] = apply(n, f, pre[j] + rec[j]);
        int64_t at = n->batch_first ? (b * n->steps + t) * n->directions + d : (t * n->directions + d) * n->batch + b;
        rt_layer_store(y, (size_t)(at * H), 1, h, (size_t)H);
    }
    return RT_OK;
}

static rt_status run_direction(rt_eval_call *call, recurrent *n, int64_t d, rt_array *y, rt_array *last_h,
                               rt_array *last_c)
{
    int64_t H = n->hidden, rows = n->steps * n->batch;
    transpose(n->wt, n->w + d * n->width * n->in, n->width, n->in);
    transpose(n->rt, n->r + d * n->width * H, n->width, H);
    for (int64_t i = 0; i < rows * n->width; i++) {
        int64_t j = i % n->width;
        const double *b = n->b ? n->b + 2 * d * n->width : NULL;
        int apart = n->kind == GRU && j >= 2 * H;                       /* R's bias of the gate h is added later */
        n->pre[i] = b ? b[j] + (apart ? 0 : b[n->width + j]) : 0;
    }
    RT_TRY(rt_layer_product_double(call, rows, n->width, n->in, n->x, n->in, 1, n->wt, n->width, 1, n->pre, n->width));
    for (int64_t b = 0; b < n->batch; b++)
        for (int64_t j = 0; j < H; j++) {
            n->h[b * H + j] = n->h0 ? n->h0[state_at(n, d, b) + j] : 0;
            n->c[b * H + j] = n->c0 ? n->c0[state_at(n, d, b) + j] : 0;
        }
    for (int64_t s = 0; s < n->steps; s++) RT_TRY(step(call, n, d, s, y));
    for (int64_t b = 0; b < n->batch; b++) {
        rt_layer_store(last_h, (size_t)state_at(n, d, b), 1, n->h + b * H, (size_t)H);
        if (last_c) rt_layer_store(last_c, (size_t)state_at(n, d, b), 1, n->c + b * H, (size_t)H);
    }
    return RT_OK;
}

static rt_status run_recurrent(rt_eval_call *call, cell_kind kind)
{
    recurrent n = {.kind = kind, .dynamic = *call->node->op == 'D'};
    rt_array *y, *h, *c = NULL;
    RT_TRY(read_attributes(call, &n));
    RT_TRY(read_inputs(call, &n));
    rt_dtype type = call->in[0]->type;
    int64_t states[] = {n.directions, n.batch, n.hidden}, states_first[] = {n.batch, n.directions, n.hidden};
    int64_t all[] = {n.steps, n.directions, n.batch, n.hidden};
    int64_t all_first[] = {n.batch, n.steps, n.directions, n.hidden};
    RT_TRY(rt_eval_make(call, 0, type, 4, n.batch_first ? all_first : all, &y));
    RT_TRY(rt_eval_make(call, 1, type, 3, n.batch_first ? states_first : states, &h));
    if (kind == LSTM) RT_TRY(rt_eval_make(call, 2, type, 3, n.batch_first ? states_first : states, &c));
    if (!n.batch) return RT_OK;
    RT_TRY(take_room(call, &n));
    if (n.dynamic) RT_TRY(round_input(call, &n));
    for (int64_t d = 0; d < n.directions; d++) RT_TRY(run_direction(call, &n, d, y, h, c));
    return RT_OK;
}

static rt_status run_rnn(rt_eval_call *call) { return run_recurrent(call, RNN); }
static rt_status run_gru(rt_eval_call *call) { return run_recurrent(call, GRU); }
static rt_status run_lstm(rt_eval_call *call) { return run_recurrent(call, LSTM); }

const rt_eval_op rt_eval_recurrent_ops[] = {
    {"", "RNN", 1, 3, 6, 2, run_rnn, 0},
    {"", "GRU", 1, 3, 6, 2, run_gru, 0},
    {"", "LSTM", 1, 3, 8, 3, run_lstm, 0},
    {"com.microsoft", "DynamicQuantizeLSTM", 1, 12, 12, 3, run_lstm, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
