/* engine/eval/eval_signal.c - windows, Fourier transforms, the matrix of mel bands; what draws at random is refused.
 * Operators on texts are in eval_signal_more.c. Complex numbers are pairs in a last dimension of 2. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/layers.h"

/* One integer of input i, in [low, high]. */
static rt_status whole(rt_eval_call *call, int i, const char *what, int64_t low, int64_t high, int64_t *out)
{
    const int64_t *list;
    int n;
    RT_TRY(rt_eval_list(call, i, &list, &n));
    if (n != 1) return rt_fail(RT_INPUT, "%s must be one integer", what);
    *out = list[0];
    if (*out < low || *out > high)
        return rt_fail(RT_INPUT, "%s is %lld; it must be from %lld to %lld", what, (long long)*out, (long long)low,
                       (long long)high);
    return RT_OK;
}

/* ---- windows ---- */

enum { LONGEST = 1 << 30 };

/* a - b cos(2 pi i / n) + c cos(4 pi i / n), n the length or, of a symmetric window, one less. */
static rt_status run_window(rt_eval_call *call, double a, double b, double c)
{
    int64_t size = 0;
    rt_dtype type;
    rt_array *y;
    int periodic = rt_eval_int(call, "periodic", 1) != 0;
    RT_TRY(rt_eval_type_of(rt_eval_int(call, "output_datatype", 1), &type));
    RT_TRY(whole(call, 0, "size", 0, LONGEST, &size));
    if (type == RT_STRING || type == RT_BOOL) return rt_fail(RT_INPUT, "a window of %s", rt_array_type_name(type));
    if (size == 1 && !periodic) return rt_fail(RT_INPUT, "a symmetric window of one point, 0 / 0");
    RT_TRY(rt_eval_make(call, 0, type, 1, &size, &y));
    RT_TRY(rt_eval_tick(call, 100 * (double)size));
    double n = (double)(periodic ? size : size - 1);
    for (int64_t i = 0; i < size; i++)
        rt_array_put(y, (size_t)i, a - b * cos(2 * M_PI * (double)i / n) + c * cos(4 * M_PI * (double)i / n));
    return RT_OK;
}

static rt_status run_hann(rt_eval_call *call) { return run_window(call, 0.5, 0.5, 0); }
static rt_status run_hamming(rt_eval_call *call) { return run_window(call, 25.0 / 46, 21.0 / 46, 0); }
static rt_status run_blackman(rt_eval_call *call) { return run_window(call, 0.42, 0.5, 0.08); }

/* ---- Fourier transforms ---- */

typedef struct { double re, im; } pair;

typedef struct {
    int64_t n;
    pair *turn;                             /* (n) exp(-2 pi i k / n), or its conjugates */
    pair *in, *out, *room;                  /* (n) each */
} fourier;

static rt_status fourier_new(rt_eval_call *call, int64_t n, int inverse, fourier *f)
{
    f->n = n;
    f->turn = rt_eval_scratch(call, (size_t)n, sizeof *f->turn);
    f->in = rt_eval_scratch(call, (size_t)n, sizeof *f->in);
    f->out = rt_eval_scratch(call, (size_t)n, sizeof *f->out);
    f->room = rt_eval_scratch(call, (size_t)n, sizeof *f->room);
    if (!f->turn || !f->in || !f->out || !f->room) return RT_INPUT;
    for (int64_t k = 0; k < n; k++) {
        double angle = 2 * M_PI * (double)k / (double)n;
        f->turn[k] = (pair){cos(angle), inverse ? sin(angle) : -sin(angle)};
    }
    return RT_OK;
}

static int64_t least_factor(int64_t n)
{
    for (int64_t p = 2; p * p <= n; p++) if (n % p == 0) return p;
    return n;
}

/* The transform of n numbers that are `step` apart, by Cooley and Tukey: n = p m, p the least prime factor, is p
 * transforms of m numbers each. A prime n is the sum as it is written. */
static rt_status transform(rt_eval_call *call, const fourier *f, const pair *in, int64_t step, int64_t n, pair *out)
{
    if (n <= 1) {
        if (n) *out = *in;
        return RT_OK;
    }
    int64_t p = least_factor(n), m = n / p;
    for (int64_t r = 0; r < p; r++) RT_TRY(transform(call, f, in + r * step, step * p, m, out + r * m));
    for (int64_t k = 0; k < m; k++) {
        for (int64_t q = 0; q < p; q++) {
            pair sum = {0, 0};
            RT_TRY(rt_eval_tick(call, 4 * (double)p));
            for (int64_t r = 0; r < p; r++) {
                pair x = out[r * m + k], w = f->turn[r * (q * m + k) % n * (f->n / n)];
                sum.re += x.re * w.re - x.im * w.im;
                sum.im += x.re * w.im + x.im * w.re;
            }
            f->room[q] = sum;
        }
        for (int64_t q = 0; q < p; q++) out[q * m + k] = f->room[q];
    }
    return RT_OK;
}

typedef struct {
    const rt_array *x;
    int axis, inverse, onesided;
    int64_t length, out;                    /* of the transform, and what is given of it */
} dft;

static rt_status dft_read(rt_eval_call *call, dft *f)
{
    int64_t axis = call->version < 20 ? rt_eval_int(call, "axis", 1) : -2;
    f->inverse = rt_eval_int(call, "inverse", 0) != 0;
    f->onesided = rt_eval_int(call, "onesided", 0) != 0;
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, RT_ARRAY_RANK, &f->x));
    if (rt_eval_in(call, 2)) RT_TRY(whole(call, 2, "axis", -RT_ARRAY_RANK, RT_ARRAY_RANK, &axis));
    RT_TRY(rt_eval_axis(axis, f->x->rank, &f->axis));
    int last = f->x->rank - 1;
    if (f->axis == last) return rt_fail(RT_INPUT, "axis %lld holds the parts of complex numbers", (long long)axis);
    if (f->x->dim[last] != 1 && f->x->dim[last] != 2)
        return rt_fail(RT_INPUT, "the last dimension is %lld; it must be 1 or 2", (long long)f->x->dim[last]);
    if (f->onesided && !f->inverse && f->x->dim[last] == 2) return rt_fail(RT_INPUT, "onesided of complex numbers");
    f->length = f->onesided && f->inverse ? 2 * (f->x->dim[f->axis] - 1) : f->x->dim[f->axis];
    if (rt_eval_in(call, 1)) RT_TRY(whole(call, 1, "dft_length", 1, LONGEST, &f->length));
    if (f->length < 1 || f->length > LONGEST) return rt_fail(RT_INPUT, "a transform of length %lld",
                                                             (long long)f->length);
    f->out = f->onesided && !f->inverse ? f->length / 2 + 1 : f->length;
    return RT_OK;
}

/* What is transformed: the line from `first` on, cut or filled up with 0; of one half of a spectrum both. */
static void dft_line(const dft *f, size_t first, size_t step, pair *in)
{
    int64_t parts = f->x->dim[f->x->rank - 1], given = f->x->dim[f->axis];
    int half = f->inverse && f->onesided;
    int64_t n = half ? f->length / 2 + 1 : f->length;
    memset(in, 0, (size_t)f->length * sizeof *in);
    for (int64_t i = 0; i < n && i < given; i++) {
        in[i].re = rt_array_double(f->x, first + (size_t)i * step);
        if (parts == 2) in[i].im = rt_array_double(f->x, first + (size_t)i * step + 1);
    }
    if (!half) return;
    in[0].im = 0;
    for (int64_t i = n; i < f->length; i++) in[i] = (pair){in[f->length - i].re, -in[f->length - i].im};
    if (f->length % 2 == 0) in[f->length / 2].im = 0;
}

static rt_status run_dft(rt_eval_call *call)
{
    dft f;
    fourier t;
    rt_array *y;
    RT_TRY(dft_read(call, &f));
    int last = f.x->rank - 1;
    int64_t dim[RT_ARRAY_RANK], from[RT_ARRAY_RANK], to[RT_ARRAY_RANK];
    memcpy(dim, f.x->dim, sizeof dim);
    dim[f.axis] = f.out;
    dim[last] = f.inverse && f.onesided ? 1 : 2;
    RT_TRY(rt_eval_make(call, 0, f.x->type, f.x->rank, dim, &y));
    RT_TRY(fourier_new(call, f.length, f.inverse, &t));
    rt_array_steps(f.x->rank, f.x->dim, from);
    rt_array_steps(y->rank, y->dim, to);
    double by = f.inverse ? 1 / (double)f.length : 1;
    size_t inner = (size_t)(to[f.axis] / dim[last]), lines = y->count / (size_t)(f.out * dim[last]);
    for (size_t l = 0; l < lines; l++) {
        size_t outer = l / inner, i = l % inner;
        dft_line(&f, outer * (size_t)(from[f.axis] * f.x->dim[f.axis]) + i * (size_t)f.x->dim[last],
                 (size_t)from[f.axis], t.in);
        RT_TRY(transform(call, &t, t.in, 1, t.n, t.out));
        size_t first = outer * (size_t)(to[f.axis] * f.out) + i * (size_t)dim[last];
        for (int64_t k = 0; k < f.out; k++) {
            rt_array_put(y, first + (size_t)(k * to[f.axis]), t.out[k].re * by);
            if (dim[last] == 2) rt_array_put(y, first + (size_t)(k * to[f.axis]) + 1, t.out[k].im * by);
        }
    }
    return RT_OK;
}

/* Transforms of frames of a signal (batch, length, 1 or 2), each times the window. */
static rt_status run_stft(rt_eval_call *call)
{
    const rt_array *x, *window;
    rt_array *y;
    fourier t;
    int64_t step = 1, length = 0;
    int onesided = rt_eval_int(call, "onesided", 1) != 0;
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, 3, &x));
    RT_TRY(whole(call, 1, "frame_step", 1, LONGEST, &step));
    RT_TRY(rt_layer_optional(call, 2, RT_EVAL_FLOATS, 1, 1, &window));
    length = window ? window->dim[0] : x->dim[1];
    if (rt_eval_in(call, 3)) RT_TRY(whole(call, 3, "frame_length", 1, LONGEST, &length));
    RT_TRY(rt_layer_shape(window, "the window", x->type, 1, &length));
    int64_t parts = x->dim[2];
    if ((parts != 1 && parts != 2) || (onesided && parts == 2))
        return rt_fail(RT_INPUT, "a signal of %lld numbers a place%s", (long long)parts, onesided ? ", onesided" : "");
    if (length < 1 || length > x->dim[1])
        return rt_fail(RT_INPUT, "frames of %lld of a signal of %lld", (long long)length, (long long)x->dim[1]);
    int64_t frames = (x->dim[1] - length) / step + 1, bins = onesided ? length / 2 + 1 : length;
    RT_TRY(rt_eval_make(call, 0, x->type, 4, (int64_t[]){x->dim[0], frames, bins, 2}, &y));
    RT_TRY(fourier_new(call, length, 0, &t));
    for (int64_t l = 0; l < x->dim[0] * frames; l++) {
        int64_t first = l / frames * x->dim[1] + l % frames * step;
        for (int64_t i = 0; i < length; i++) {
            double w = window ? rt_array_double(window, (size_t)i) : 1;
            t.in[i].re = w * rt_array_double(x, (size_t)((first + i) * parts));
            t.in[i].im = parts == 2 ? w * rt_array_double(x, (size_t)((first + i) * parts + 1)) : 0;
        }
        RT_TRY(transform(call, &t, t.in, 1, t.n, t.out));
        for (int64_t k = 0; k < bins; k++) {
            rt_array_put(y, (size_t)((l * bins + k) * 2), t.out[k].re);
            rt_array_put(y, (size_t)((l * bins + k) * 2 + 1), t.out[k].im);
        }
    }
    return RT_OK;
}

/* ---- MelWeightMatrix ---- */

/* Column b is a triangle over the bins of a transform whose ends and top are equally far apart on the mel scale,
 * mel(f) = 2595 log10(1 + f / 700). Steps are of bands + 2, as the standard's own definition in Python has it. */
static rt_status run_mel(rt_eval_call *call)
{
    int64_t bands = 1, length = 1, rate = 1;
    rt_dtype type;
    rt_array *y;
    const rt_array *edge[2];
    RT_TRY(rt_eval_type_of(rt_eval_int(call, "output_datatype", 1), &type));
    RT_TRY(whole(call, 0, "num_mel_bins", 1, 1 << 20, &bands));
    RT_TRY(whole(call, 1, "dft_length", 1, LONGEST, &length));
    RT_TRY(whole(call, 2, "sample_rate", 1, LONGEST, &rate));
    for (int i = 0; i < 2; i++) {
        RT_TRY(rt_layer_in(call, 3 + i, RT_EVAL_FLOATS, 0, 1, &edge[i]));
        if (edge[i]->count != 1) return rt_fail(RT_INPUT, "an edge must be one number");
    }
    if (type == RT_STRING || type == RT_BOOL) return rt_fail(RT_INPUT, "a matrix of %s", rt_array_type_name(type));
    int64_t bins = length / 2 + 1;
    double low = 2595 * log10(1 + rt_array_double(edge[0], 0) / 700);
    double high = 2595 * log10(1 + rt_array_double(edge[1], 0) / 700), step = (high - low) / (double)(bands + 2);
    RT_TRY(rt_eval_make(call, 0, type, 2, (int64_t[]){bins, bands}, &y));
    int64_t *at = rt_eval_scratch(call, (size_t)bands + 2, sizeof *at);
    if (!at) return RT_INPUT;
    for (int64_t i = 0; i < bands + 2; i++) {
        double hertz = 700 * (pow(10, (low + (double)i * step) / 2595) - 1);
        double bin = floor((double)(length + 1) * hertz / (double)rate);
        if (!(bin >= 0 && bin < (double)bins) || (i && (int64_t)bin < at[i - 1]))
            return rt_fail(RT_INPUT, "an edge at %g Hz, which is in none of the %lld bins", hertz, (long long)bins);
        at[i] = (int64_t)bin;
    }
    for (int64_t b = 0; b < bands; b++) {
        int64_t left = at[b], top = at[b + 1], right = at[b + 2];
        RT_TRY(rt_eval_tick(call, 8 * (double)(right - left + 1)));
        for (int64_t j = left; j <= top; j++)
            rt_array_put(y, (size_t)(j * bands + b), left == top ? 1 : (double)(j - left) / (double)(top - left));
        for (int64_t j = top; j < right; j++)
            rt_array_put(y, (size_t)(j * bands + b), (double)(right - j) / (double)(right - top));
    }
    return RT_OK;
}

static rt_status run_random(rt_eval_call *call)
{ return rt_fail(RT_INPUT, "%s draws at random, which is not supported", call->node->op); }

const rt_eval_op rt_eval_signal_ops[] = {
    {"", "HannWindow", 17, 1, 1, 1, run_hann, 0},
    {"", "HammingWindow", 17, 1, 1, 1, run_hamming, 0},
    {"", "BlackmanWindow", 17, 1, 1, 1, run_blackman, 0},
    {"", "DFT", 17, 1, 2, 1, run_dft, 0},
    {"", "DFT", 20, 1, 3, 1, run_dft, 0},
    {"", "STFT", 17, 2, 4, 1, run_stft, 0},
    {"", "MelWeightMatrix", 17, 5, 5, 1, run_mel, 0},
    {"", "TfIdfVectorizer", 9, 1, 1, 1, rt_eval_tfidf, 0},
    {"", "StringNormalizer", 10, 1, 1, 1, rt_eval_string_normalizer, 0},
    {"", "StringConcat", 20, 2, 2, 1, rt_eval_string_concat, 0},
    {"", "StringSplit", 20, 1, 1, 2, rt_eval_string_split, 0},
    {"", "Bernoulli", 15, 1, 1, 1, run_random, RT_EVAL_RANDOM},
    {"", "Multinomial", 7, 1, 1, 1, run_random, RT_EVAL_RANDOM},
    {"", "RandomNormal", 1, 0, 0, 1, run_random, RT_EVAL_RANDOM},
    {"", "RandomNormalLike", 1, 1, 1, 1, run_random, RT_EVAL_RANDOM},
    {"", "RandomUniform", 1, 0, 0, 1, run_random, RT_EVAL_RANDOM},
    {"", "RandomUniformLike", 1, 1, 1, 1, run_random, RT_EVAL_RANDOM},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
