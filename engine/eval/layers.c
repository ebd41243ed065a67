#include "engine/eval/layers.h"

#include <string.h>

/* ---- inputs ---- */

rt_status rt_layer_optional(const rt_eval_call *c, int i, unsigned types, int low, int high, const rt_array **out)
{
    const rt_array *a = rt_eval_in(c, i);
    *out = a;
    if (!a) return RT_OK;
    RT_TRY(rt_eval_types(c, i, types));
    char text[128];
    if (a->rank < low || a->rank > high)
        return rt_fail(RT_INPUT, "input %d is %s; it must have %s%d dimensions", i, rt_array_describe(a, text),
                       low == high ? "" : a->rank < low ? "at least " : "at most ", a->rank < low ? low : high);
    return RT_OK;
}

rt_status rt_layer_in(const rt_eval_call *c, int i, unsigned types, int low, int high, const rt_array **out)
{
    if (!rt_eval_in(c, i)) return rt_fail(RT_INPUT, "input %d is missing", i);
    return rt_layer_optional(c, i, types, low, high, out);
}

rt_status rt_layer_shape(const rt_array *a, const char *what, rt_dtype type, int rank, const int64_t *dim)
{
    char text[128], want[128];
    if (!a) return RT_OK;
    int same = a->type == type && a->rank == rank;
    rt_array wanted = {.type = type, .rank = rank};
    for (int i = 0; i < rank; i++) {
        same = same && (dim[i] < 0 || a->dim[i] == dim[i]);
        wanted.dim[i] = dim[i];
    }
    return same ? RT_OK : rt_fail(RT_INPUT, "%s is %s, not %s (-1: any)", what, rt_array_describe(a, text),
                                  rt_array_describe(&wanted, want));
}

void rt_layer_load(double *to, const rt_array *a, size_t first, size_t step, size_t n)
{
    if (a->type == RT_F32) {
        const float *x = (const float *)a->data + first;
        for (size_t i = 0; i < n; i++) to[i] = x[i * step];
    } else if (a->type == RT_F64) {
        const double *x = (const double *)a->data + first;
        for (size_t i = 0; i < n; i++) to[i] = x[i * step];
    } else {
        for (size_t i = 0; i < n; i++) to[i] = rt_array_double(a, first + i * step);
    }
}

void rt_layer_store(rt_array *a, size_t first, size_t step, const double *from, size_t n)
{
    if (a->type == RT_F32) {
        float *x = (float *)a->data + first;
        for (size_t i = 0; i < n; i++) x[i * step] = (float)from[i];
    } else {
        for (size_t i = 0; i < n; i++) rt_array_put(a, first + i * step, from[i]);
    }
}

rt_status rt_layer_doubles(rt_eval_call *c, const rt_array *a, const double **out)
{
    *out = a->data;
    if (a->type == RT_F64) return RT_OK;
    double *copy = rt_eval_scratch(c, a->count, sizeof *copy);
    if (!copy) return RT_INPUT;
    rt_layer_load(copy, a, 0, 1, a->count);
    *out = copy;
    return RT_OK;
}

rt_status rt_layer_floats(rt_eval_call *c, const rt_array *a, const float **out)
{
    *out = a->data;
    if (a->type == RT_F32) return RT_OK;
    float *copy = rt_eval_scratch(c, a->count, sizeof *copy);
    if (!copy) return RT_INPUT;
    for (size_t i = 0; i < a->count; i++) copy[i] = (float)rt_array_double(a, i);
    *out = copy;
    return RT_OK;
}

/* ---- windows ---- */

enum { FAR = 1 << 30 };                     /* no size, step or padding is beyond it: sums of products fit 64 bits */

/* A list of n numbers in [low, FAR], or `none` n times. */
static rt_status numbers(rt_eval_call *c, const char *name, int n, int64_t low, int64_t none, int64_t *to)
{
    const int64_t *list;
    int given = rt_eval_ints(c, name, &list);
    if (given > 0 && given != n)
        return rt_fail(RT_INPUT, "%s has %d numbers; %d are needed for its input", name, given, n);
    for (int i = 0; i < n; i++) {
        to[i] = given > 0 ? list[i] : none;
        if (to[i] < low || to[i] > FAR)
            return rt_fail(RT_INPUT, "%s is %lld at %d; it must be %lld or more and no larger than 2^30", name,
                           (long long)to[i], i, (long long)low);
    }
    return RT_OK;
}

rt_status rt_layer_window_parts(rt_eval_call *c, int n, const int64_t *in, const int64_t *kernel, unsigned flags,
                                rt_layer_window *w, const char **automatic)
{
    int64_t pads[2 * RT_LAYER_SPACE], padded = 0;
    w->n = n;
    w->pixels = w->taps = 1;
    *automatic = flags & RT_LAYER_NO_AUTO_PAD ? "NOTSET" : rt_eval_string(c, "auto_pad", "NOTSET");
    if (kernel && (flags & RT_LAYER_NO_KERNEL || !rt_eval_has(c, "kernel_shape")))
        memcpy(w->kernel, kernel, (size_t)n * sizeof *kernel);
    else RT_TRY(numbers(c, "kernel_shape", n, 1, 0, w->kernel));
    RT_TRY(numbers(c, "strides", n, 1, 1, w->stride));
    RT_TRY(numbers(c, "pads", 2 * n, 0, 0, pads));
    for (int i = 0; i < n; i++) w->dilation[i] = 1;
    if (!(flags & RT_LAYER_NO_DILATION)) RT_TRY(numbers(c, "dilations", n, 1, 1, w->dilation));
    for (int i = 0; i < n; i++) {
        if (kernel && w->kernel[i] != kernel[i])
            return rt_fail(RT_INPUT, "kernel_shape is %lld at %d; the weight has %lld", (long long)w->kernel[i], i,
                           (long long)kernel[i]);
        w->in[i] = in[i];
        if (in[i] > FAR || w->kernel[i] < 1 || w->kernel[i] > FAR)
            return rt_fail(RT_INPUT, "an image of %lld with a kernel of %lld; both must be from 1 to 2^30",
                           (long long)in[i], (long long)w->kernel[i]);
        if (__builtin_mul_overflow(w->taps, w->kernel[i], &w->taps))
            return rt_fail(RT_INPUT, "kernel_shape has more places than memory can hold");
        w->pixels *= in[i];                 /* no more than the input's elements, or 0 of them */
        w->begin[i] = pads[i];
        w->end[i] = pads[n + i];
        padded += pads[i] + pads[n + i];
    }
    if (strcmp(*automatic, "NOTSET") && padded) return rt_fail(RT_INPUT, "both pads and auto_pad are given");
    return RT_OK;
}

rt_status rt_layer_window_read(rt_eval_call *c, int n, const int64_t *in, const int64_t *kernel, unsigned flags,
                               rt_layer_window *w)
{
    const char *automatic;
    RT_TRY(rt_layer_window_parts(c, n, in, kernel, flags, w, &automatic));
    int lower = !strcmp(automatic, "SAME_LOWER"), same = lower || !strcmp(automatic, "SAME_UPPER");
    w->valid = !strcmp(automatic, "VALID");
    if (!same && !w->valid && strcmp(automatic, "NOTSET") && *automatic)
        return rt_fail(RT_INPUT, "auto_pad \"%s\" is unknown", automatic);
    w->places = 1;
    for (int i = 0; i < n; i++) {
        int64_t extent = w->dilation[i] * (w->kernel[i] - 1) + 1;
        if (same) {
            w->out[i] = (in[i] + w->stride[i] - 1) / w->stride[i];
            int64_t pad = (w->out[i] - 1) * w->stride[i] + extent - in[i];
            if (pad < 0 || !in[i]) pad = 0;
            w->begin[i] = lower ? pad - pad / 2 : pad / 2;
            w->end[i] = pad - w->begin[i];
        } else {
            int64_t room = in[i] + w->begin[i] + w->end[i] - extent;
            if (room < 0)
                return rt_fail(RT_INPUT, "a kernel that covers %lld is larger than the image of %lld with its padding",
                               (long long)extent, (long long)in[i]);
            w->out[i] = room / w->stride[i] + 1;
            if (w->ceil && !w->valid && room % w->stride[i] && w->out[i] * w->stride[i] < in[i] + w->begin[i])
                w->out[i]++;                /* but no window begins in the padding behind the image */
        }
        if (__builtin_mul_overflow(w->places, w->out[i], &w->places))
            return rt_fail(RT_INPUT, "the output has more places than memory can hold");
    }
    return RT_OK;
}

void rt_layer_window_taps(const rt_layer_window *w, int d, int64_t o, int64_t *from, int64_t *to)
{
    int64_t first = o * w->stride[d] - w->begin[d], step = w->dilation[d];
    *from = first < 0 ? (-first + step - 1) / step : 0;
    int64_t inside = first < w->in[d] ? (w->in[d] - first + step - 1) / step : 0;
    *to = inside < w->kernel[d] ? inside : w->kernel[d];
    if (*from > *to) *from = *to;
}

/* One run of the matrix's line: `n` places along the last dimension from o on, of the tap k there. */
static void run_of_line(const rt_layer_window *w, const char *line, int64_t k, int64_t o, int64_t n, size_t size,
                        char *to)
{
    int d = w->n - 1;
    int64_t at = o * w->stride[d] - w->begin[d] + k * w->dilation[d], s = w->stride[d];
    for (; n && at < 0; n--, at += s, to += size) memset(to, 0, size);
    int64_t inside = n && at < w->in[d] ? (w->in[d] - at + s - 1) / s : 0;
    if (inside > n) inside = n;
    if (!inside) {
        memset(to, 0, (size_t)n * size);
        return;
    }
    if (s == 1) memcpy(to, line + (size_t)at * size, (size_t)inside * size);
    else if (size == sizeof(float))
        for (int64_t i = 0; i < inside; i++) memcpy(to + i * 4, line + (at + i * s) * 4, 4);
    else
        for (int64_t i = 0; i < inside; i++) memcpy(to + i * 8, line + (at + i * s) * 8, 8);
    memset(to + (size_t)inside * size, 0, (size_t)(n - inside) * size);
}

/* Where the line of the image is that place `o` and tap `k` look at, the last dimension left out; -1: outside. */
static int64_t line_of(const rt_layer_window *w, const int64_t *o, const int64_t *k)
{
    int64_t line = 0;
    for (int d = 0; d < w->n - 1; d++) {
        int64_t at = o[d] * w->stride[d] - w->begin[d] + k[d] * w->dilation[d];
        if (at < 0 || at >= w->in[d]) return -1;
        line = line * w->in[d] + at;
    }
    return line * w->in[w->n - 1];
}

static void place_at(const int64_t *dim, int n, int64_t index, int64_t *at)
{
    for (int d = n - 1; d >= 0; d--) {
        at[d] = index % dim[d];
        index /= dim[d];
    }
}

void rt_layer_columns(const rt_layer_window *w, const void *image, int64_t channels, int64_t first, int64_t width,
                      size_t size, void *col)
{
    int last = w->n - 1;
    char *to = col;
    for (int64_t r = 0; r < channels * w->taps; r++) {
        int64_t k[RT_LAYER_SPACE], o[RT_LAYER_SPACE];
        const char *plane = (const char *)image + (size_t)(r / w->taps * w->pixels) * size;
        place_at(w->kernel, w->n, r % w->taps, k);
        place_at(w->out, w->n, first, o);
        for (int64_t p = 0; p < width;) {
            int64_t n = w->out[last] - o[last], line = line_of(w, o, k);
            if (n > width - p) n = width - p;
            if (line < 0) memset(to, 0, (size_t)n * size);
            else run_of_line(w, plane + (size_t)line * size, k[last], o[last], n, size, to);
            to += (size_t)n * size;
            p += n;
            o[last] = 0;
            for (int d = last - 1; d >= 0 && ++o[d] == w->out[d]; d--) o[d] = 0;
        }
    }
}

/* Adds n elements, to every s-th from line[at] on where that is inside. */
#define ADD_RUN(T) { \
    const T *x = from; \
    T *y = (T *)image + line; \
    for (int64_t i = 0; i < n; i++, at += s) if (at >= 0 && at < end) y[at] += x[i]; \
    return; \
}
static void add_run(const void *from, int64_t n, void *image, int64_t line, int64_t at, int64_t s, int64_t end,
                    rt_dtype type)
{
    if (type == RT_F32) ADD_RUN(float)
    if (type == RT_F64) ADD_RUN(double)
    ADD_RUN(uint64_t)
}

void rt_layer_columns_add(const rt_layer_window *w, const void *col, int64_t channels, int64_t first, int64_t width,
                          rt_dtype type, void *image)
{
    int last = w->n - 1;
    const char *from = col;
    for (int64_t r = 0; r < channels * w->taps; r++) {
        int64_t k[RT_LAYER_SPACE], o[RT_LAYER_SPACE];
        place_at(w->kernel, w->n, r % w->taps, k);
        place_at(w->out, w->n, first, o);
        for (int64_t p = 0; p < width;) {
            int64_t n = w->out[last] - o[last], line = line_of(w, o, k);
            if (n > width - p) n = width - p;
            if (line >= 0)
                add_run(from, n, image, r / w->taps * w->pixels + line,
                        o[last] * w->stride[last] - w->begin[last] + k[last] * w->dilation[last], w->stride[last],
                        w->in[last], type);
            from += (size_t)n * rt_dtype_size(type);
            p += n;
            o[last] = 0;
            for (int d = last - 1; d >= 0 && ++o[d] == w->out[d]; d--) o[d] = 0;
        }
    }
}

/* ---- products ---- */

/* Blocks of A (64, 256) and of B (256, 256) are copied into strips of 4 lines and 8 columns, so that the inner loop
 * reads both in order: 4 x 8 sums in registers. */
enum { STRIP_M = 4, STRIP_N = 8, BLOCK_M = 64, BLOCK = 256 };
typedef float v4 __attribute__((vector_size(16)));

static void pack(float *to, const float *from, ptrdiff_t strip_step, ptrdiff_t k_step, int64_t width, int64_t k,
                 int strip)
{
    for (int64_t s = 0; s < width; s += strip)
        for (int64_t l = 0; l < k; l++, to += strip)
            for (int i = 0; i < strip; i++)
                to[i] = s + i < width ? from[(s + i) * strip_step + l * k_step] : 0;
}

static void pack_columns(float *to, const float *from, ptrdiff_t k_step, int64_t width, int64_t k)
{
    int64_t s = 0;
    for (; s + STRIP_N <= width; s += STRIP_N)
        for (int64_t l = 0; l < k; l++, to += STRIP_N)
            memcpy(to, from + s + l * k_step, STRIP_N * sizeof *to);
    if (s < width) pack(to, from + s, 1, k_step, width - s, k, STRIP_N);
}

static void tile(int64_t k, const float *a, const float *b, float *c, ptrdiff_t ci, int64_t m, int64_t n)
{
    v4 sum[STRIP_M][2] = {{{0}}};
    for (int64_t l = 0; l < k; l++, a += STRIP_M, b += STRIP_N) {
        v4 b0 = *(const v4 *)b, b1 = *(const v4 *)(b + 4);
        for (int i = 0; i < STRIP_M; i++) {
            v4 x = {a[i], a[i], a[i], a[i]};
            sum[i][0] += x * b0;
            sum[i][1] += x * b1;
        }
    }
    float all[STRIP_M][STRIP_N];
    memcpy(all, sum, sizeof all);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ci + j] += all[i][j];
}

/* Few lines: B is read once, where it is. */
static void lines_by_columns(int64_t n, int64_t k, const float *a, ptrdiff_t al, const float *b, ptrdiff_t bl, float *c)
{
    for (int64_t j0 = 0; j0 < n; j0 += BLOCK) {
        int64_t width = n - j0 < BLOCK ? n - j0 : BLOCK;
        float sum[BLOCK] = {0};
        for (int64_t l = 0; l < k; l++) {
            const float x = a[l * al], *line = b + l * bl + j0;
            for (int64_t j = 0; j < width; j++) sum[j] += x * line[j];
        }
        for (int64_t j = 0; j < width; j++) c[j0 + j] += sum[j];
    }
}

static float dot(int64_t k, const float *a, const float *b)
{
    v4 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, x[4], y[4];
    int64_t l = 0;
    for (; l + 16 <= k; l += 16) {
        memcpy(x, a + l, sizeof x);
        memcpy(y, b + l, sizeof y);
        s0 += x[0] * y[0];
        s1 += x[1] * y[1];
        s2 += x[2] * y[2];
        s3 += x[3] * y[3];
    }
    s0 = (s0 + s1) + (s2 + s3);
    float sum = (s0[0] + s0[1]) + (s0[2] + s0[3]);
    for (; l < k; l++) sum += a[l] * b[l];
    return sum;
}

static rt_status few_lines(rt_eval_call *call, int64_t m, int64_t n, int64_t k, const float *a, ptrdiff_t ai,
                           ptrdiff_t al, const float *b, ptrdiff_t bl, ptrdiff_t bj, float *c, ptrdiff_t ci)
{
    for (int64_t p = 0; p < k; p += BLOCK) {
        int64_t kb = k - p < BLOCK ? k - p : BLOCK;
        for (int64_t i = 0; i < m; i++) {
            RT_TRY(rt_eval_tick(call, (double)n * (double)kb));
            const float *x = a + i * ai + p * al;
            if (bj == 1) lines_by_columns(n, kb, x, al, b + p * bl, bl, c + i * ci);
            else
                for (int64_t j = 0; j < n; j++) c[i * ci + j] += dot(kb, x, b + j * bj + p);
        }
    }
    return RT_OK;
}

rt_status rt_layer_product(rt_eval_call *call, int64_t m, int64_t n, int64_t k, const float *a, ptrdiff_t ai,
                           ptrdiff_t al, const float *b, ptrdiff_t bl, ptrdiff_t bj, float *c, ptrdiff_t ci,
                           float *room)
{
    if (m < STRIP_M && (bj == 1 || (bl == 1 && al == 1)))
        return few_lines(call, m, n, k, a, ai, al, b, bl, bj, c, ci);
    float *pa = room, *pb = room + BLOCK_M * BLOCK;
    for (int64_t j = 0; j < n; j += BLOCK)
        for (int64_t l = 0; l < k; l += BLOCK) {
            int64_t nb = n - j < BLOCK ? n - j : BLOCK, kb = k - l < BLOCK ? k - l : BLOCK;
            if (bj == 1) pack_columns(pb, b + l * bl + j, bl, nb, kb);
            else pack(pb, b + l * bl + j * bj, bj, bl, nb, kb, STRIP_N);
            for (int64_t i = 0; i < m; i += BLOCK_M) {
                int64_t mb = m - i < BLOCK_M ? m - i : BLOCK_M;
                RT_TRY(rt_eval_tick(call, (double)mb * (double)nb * (double)kb));
                pack(pa, a + i * ai + l * al, ai, al, mb, kb, STRIP_M);
                for (int64_t t = 0; t < nb; t += STRIP_N)
                    for (int64_t s = 0; s < mb; s += STRIP_M)
                        tile(kb, pa + s * kb, pb + t * kb, c + (i + s) * ci + j + t, ci,
                             mb - s < STRIP_M ? mb - s : STRIP_M, nb - t < STRIP_N ? nb - t : STRIP_N);
            }
        }
    return RT_OK;
}

rt_status rt_layer_product_double(rt_eval_call *call, int64_t m, int64_t n, int64_t k, const double *a, ptrdiff_t ai,
                                  ptrdiff_t al, const double *b, ptrdiff_t bl, ptrdiff_t bj, double *c, ptrdiff_t ci)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t l0 = 0; l0 < k; l0 += BLOCK) {
            RT_TRY(rt_eval_tick(call, (double)n * BLOCK));
            for (int64_t l = l0; l < k && l < l0 + BLOCK; l++) {
                const double x = a[i * ai + l * al], *line = b + l * bl;
                double *to = c + i * ci;
                if (bj == 1)
                    for (int64_t j = 0; j < n; j++) to[j] += x * line[j];
                else
                    for (int64_t j = 0; j < n; j++) to[j] += x * line[j * bj];
            }
        }
    return RT_OK;
}
