/* Padding, and the movers of images and sequences. */
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_move.h"
#include "engine/eval/eval_strided.h"

typedef enum { CONSTANT, REFLECT, EDGE, WRAP } pad_mode;

/* Where element i of a padded axis comes from, of n behind `begin` padded ones; -1: nowhere. */
static int64_t pad_from(pad_mode mode, int64_t i, int64_t n)
{
    int64_t turn;
    if (i >= 0 && i < n) return i;
    switch (mode) {
    case EDGE: return i < 0 ? 0 : n - 1;
    case WRAP: return (i % n + n) % n;
    case REFLECT:
        if (n == 1) return 0;
        turn = 2 * (n - 1);
        i = (i % turn + turn) % turn;
        return i < n ? i : turn - i;
    default: return -1;
    }
}

/* map[i] (rank lists of dim[i]) tells where each index of y comes from in x, -1: from nowhere; y[...] is then value. */
static void mapped(rt_array *y, const rt_array *x, int64_t *const *map, const rt_array *value)
{
    int64_t at[RT_ARRAY_RANK] = {0}, step[RT_ARRAY_RANK];
    int last = y->rank - 1;
    rt_array_steps(x->rank, x->dim, step);
    if (!y->rank && y->count) rt_array_copy(y, 0, x, 0);
    for (size_t to = 0; last >= 0 && to < y->count; to += (size_t)y->dim[last]) {
        int64_t base = 0;
        for (int i = 0; i < last && base >= 0; i++) base = map[i][at[i]] < 0 ? -1 : base + map[i][at[i]] * step[i];
        for (int64_t k = 0; k < y->dim[last]; k++) {
            int64_t from = base < 0 || map[last][k] < 0 ? -1 : base + map[last][k];
            if (from >= 0) rt_array_copy(y, to + (size_t)k, x, (size_t)from);
            else if (value) rt_array_copy(y, to + (size_t)k, value, 0);
        }
        for (int i = last - 1; i >= 0 && ++at[i] == y->dim[i]; i--) at[i] = 0;
    }
}

static rt_status mode_of(rt_eval_call *c, pad_mode *mode)
{
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *name = rt_eval_string(c, "mode", "constant");
    for (int i = 0; i < (c->version >= 19 ? 4 : 3); i++)
        if (!strcmp(name, names[i])) {
            *mode = (pad_mode)i;
            return RT_OK;
        }
    return rt_fail(RT_INPUT, "mode '%s' is not known", name);
}

/* What is padded before and behind each axis (rank both), from attributes or inputs. */
static rt_status pads_of(rt_eval_call *c, const rt_array *x, int64_t *before, int64_t *behind)
{
    const int64_t *list, *axes = NULL;
    int n, m = -1, seen[RT_ARRAY_RANK];
    if (c->version >= 18) RT_TRY(rt_eval_list(c, 3, &axes, &m));
    if (c->version >= 11) RT_TRY(rt_eval_list(c, 1, &list, &n));
    else n = rt_eval_ints(c, c->version < 2 ? "paddings" : "pads", &list);
    if (m >= 0) RT_TRY(rt_eval_axes(x->rank, axes, m, seen));
    if (m < 0) m = x->rank;
    if (n != 2 * m) return rt_fail(RT_INPUT, "%d pads for %d axes", n, m);
    for (int i = 0; i < x->rank; i++) before[i] = behind[i] = 0;
    for (int i = 0; i < m; i++) {
        int axis = axes ? (int)(axes[i] < 0 ? axes[i] + x->rank : axes[i]) : i;
        before[axis] = list[i];
        behind[axis] = list[m + i];
    }
    return RT_OK;
}

/* Negative pads cut first; what is left is then padded. */
rt_status rt_eval_pad(rt_eval_call *c)
{
    const rt_array *x, *value = NULL;
    rt_array *y, *made;
    int64_t before[RT_ARRAY_RANK], behind[RT_ARRAY_RANK], dim[RT_ARRAY_RANK], *map[RT_ARRAY_RANK];
    pad_mode mode = CONSTANT;
    RT_TRY(mode_of(c, &mode));
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    if (c->version < 11) {
        RT_TRY(rt_eval_temp(c, x->type, 0, NULL, &made));
        rt_array_put(made, 0, rt_eval_float(c, "value", 0));
        value = made;
    } else {
        RT_TRY(rt_eval_may(c, 2, 1u << x->type, &value));
        if (value && value->count != 1) return rt_fail(RT_INPUT, "the value is not one element");
    }
    RT_TRY(pads_of(c, x, before, behind));
    for (int i = 0; i < x->rank; i++)
        if (__builtin_add_overflow(x->dim[i], before[i], &dim[i]) ||
            __builtin_add_overflow(dim[i], behind[i], &dim[i]) || dim[i] < 0)
            return rt_fail(RT_INPUT, "axis %d is padded by %lld and %lld", i, (long long)before[i],
                           (long long)behind[i]);
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &y));
    for (int i = 0; i < x->rank && y->count; i++) {
        int64_t cut = before[i] < 0 ? -before[i] : 0, n = x->dim[i] - cut - (behind[i] < 0 ? -behind[i] : 0);
        if (n < 0) n = 0;
        if (!(map[i] = rt_eval_scratch(c, (size_t)dim[i], sizeof **map))) return RT_INPUT;
        if (!n && mode != CONSTANT) return rt_fail(RT_INPUT, "axis %d has nothing to pad with", i);
        for (int64_t k = 0; k < dim[i]; k++) {
            int64_t from = pad_from(mode, k - (before[i] > 0 ? before[i] : 0), n);
            map[i][k] = from < 0 ? -1 : from + cut;
        }
    }
    mapped(y, x, map, value);
    return RT_OK;
}

rt_status rt_eval_center_crop_pad(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    const int64_t *want, *axes;
    int64_t dim[RT_ARRAY_RANK], *map[RT_ARRAY_RANK];
    int n, m = rt_eval_ints(c, "axes", &axes), seen[RT_ARRAY_RANK];
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(rt_eval_list(c, 1, &want, &n));
    if (m >= 0) RT_TRY(rt_eval_axes(x->rank, axes, m, seen));
    if (n != (m >= 0 ? m : x->rank)) return rt_fail(RT_INPUT, "the shape has %d dimensions, not one an axis", n);
    memcpy(dim, x->dim, sizeof dim);
    for (int i = 0; i < n; i++) dim[m < 0 ? i : axes[i] < 0 ? axes[i] + x->rank : axes[i]] = want[i];
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &y));
    for (int i = 0; i < x->rank && y->count; i++) {
        int64_t has = x->dim[i], first = dim[i] < has ? (has - dim[i]) / 2 : -((dim[i] - has) / 2);
        if (!(map[i] = rt_eval_scratch(c, (size_t)dim[i], sizeof **map))) return RT_INPUT;
        for (int64_t k = 0; k < dim[i]; k++) map[i][k] = k + first >= 0 && k + first < has ? k + first : -1;
    }
    mapped(y, x, map, NULL);
    return RT_OK;
}

/* What lies above (or below) the k-th diagonal of the last two axes stays. */
rt_status rt_eval_trilu(rt_eval_call *c)
{
    int64_t upper = rt_eval_int(c, "upper", 1), k = 0;
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED & ~(1u << RT_STRING), &x));
    if (rt_eval_in(c, 1)) RT_TRY(rt_eval_one_int(c, 1, &k));
    if (x->rank < 2) return rt_fail(RT_INPUT, "the input has fewer than two axes");
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    int64_t rows = x->dim[x->rank - 2], columns = x->dim[x->rank - 1];
    if (k > columns) k = columns;
    if (k < -rows) k = -rows;
    for (size_t i = 0; i < x->count; i++) {
        int64_t row = (int64_t)(i / (size_t)columns) % rows, column = (int64_t)(i % (size_t)columns);
        if (upper ? column - row >= k : column - row <= k) rt_array_copy(y, i, x, i);
    }
    return RT_OK;
}

rt_status rt_eval_reverse_sequence(rt_eval_call *c)
{
    int64_t batch = rt_eval_int(c, "batch_axis", 1), time = rt_eval_int(c, "time_axis", 0);
    const rt_array *x;
    rt_array *y;
    const int64_t *length;
    int n;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(rt_eval_list(c, 1, &length, &n));
    if (x->rank < 2 || batch < 0 || batch > 1 || time != 1 - batch)
        return rt_fail(RT_INPUT, "batch_axis and time_axis are not 0 and 1, or 1 and 0");
    if (n != x->dim[batch]) return rt_fail(RT_INPUT, "%d lengths for %lld rows", n, (long long)x->dim[batch]);
    for (int i = 0; i < n; i++)
        if (length[i] < 0 || length[i] > x->dim[time])
            return rt_fail(RT_INPUT, "length %d is %lld of %lld", i, (long long)length[i], (long long)x->dim[time]);
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    size_t size = rt_dtype_size(x->type), bytes = x->count ? x->count / (size_t)(x->dim[0] * x->dim[1]) * size : 0;
    for (int64_t i = 0; bytes && i < x->dim[0]; i++)
        for (int64_t k = 0; k < x->dim[1]; k++) {
            int64_t b = batch ? k : i, t = batch ? i : k, from = t < length[b] ? length[b] - 1 - t : t;
            memcpy((char *)y->data + (size_t)(i * x->dim[1] + k) * bytes,
                   (const char *)x->data + (size_t)(batch ? from * x->dim[1] + k : i * x->dim[1] + from) * bytes,
                   bytes);
        }
    return RT_OK;
}

static rt_status block_of(rt_eval_call *c, const rt_array **x, int64_t *b, int *crd)
{
    const char *mode = "DCR";
    int reads_mode = *c->node->op == 'D' ? c->version >= 11 : c->version >= 28;
    *b = rt_eval_int(c, "blocksize", 0);
    if (reads_mode) mode = rt_eval_string(c, "mode", mode);
    *crd = !strcmp(mode, "CRD");
    if (!*crd && strcmp(mode, "DCR")) return rt_fail(RT_INPUT, "mode '%s' is neither DCR nor CRD", mode);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, x));
    if ((*x)->rank != 4) return rt_fail(RT_INPUT, "the input has %d axes, not 4", (*x)->rank);
    if (*b < 1 || *b > 1 << 20) return rt_fail(RT_INPUT, "blocksize is %lld", (long long)*b);
    return RT_OK;
}

/* (N, b, b, C, H, W), or (N, C, b, b, H, W) of CRD, becomes (N, C, H, b, W, b). */
rt_status rt_eval_depth_to_space(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    int64_t b;
    int crd;
    RT_TRY(block_of(c, &x, &b, &crd));
    int64_t n = x->dim[0], h = x->dim[2], w = x->dim[3], out = x->dim[1] / (b * b), area = h * w;
    if (x->dim[1] % (b * b)) return rt_fail(RT_INPUT, "%lld channels are not blocks", (long long)x->dim[1]);
    int64_t dim[4] = {n, out, 0, 0}, d[6] = {n, out, h, b, w, b};
    if (__builtin_mul_overflow(h, b, &dim[2]) || __builtin_mul_overflow(w, b, &dim[3]))
        return rt_fail(RT_INPUT, "the image is too large");
    RT_TRY(rt_eval_make(c, 0, x->type, 4, dim, &y));
    if (!y->count) return RT_OK;
    int64_t one = crd ? area : out * area, step[6] = {x->dim[1] * area, crd ? b * b * area : area, w, b * one, 1, one};
    rt_eval_strided(y->data, x->data, rt_dtype_size(x->type), 6, d, step);
    return RT_OK;
}

/* (N, C, H, b, W, b) becomes (N, b, b, C, H, W), or (N, C, b, b, H, W) of CRD. */
rt_status rt_eval_space_to_depth(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    int64_t b;
    int crd;
    RT_TRY(block_of(c, &x, &b, &crd));
    int64_t n = x->dim[0], in = x->dim[1], h = x->dim[2] / b, w = x->dim[3] / b, dim[4] = {n, 0, h, w};
    if (x->dim[2] % b || x->dim[3] % b)
        return rt_fail(RT_INPUT, "%lld x %lld is not blocks", (long long)x->dim[2], (long long)x->dim[3]);
    if (__builtin_mul_overflow(in, b * b, &dim[1])) return rt_fail(RT_INPUT, "the image is too deep");
    RT_TRY(rt_eval_make(c, 0, x->type, 4, dim, &y));
    if (!y->count) return RT_OK;
    int64_t line = w * b, plane = h * b * line;
    int64_t d[6] = {n, b, b, in, h, w}, step[6] = {in * plane, line, 1, plane, b * line, b};
    int64_t d2[6] = {n, in, b, b, h, w}, step2[6] = {in * plane, plane, line, 1, b * line, b};
    rt_eval_strided(y->data, x->data, rt_dtype_size(x->type), 6, crd ? d2 : d, crd ? step2 : step);
    return RT_OK;
}
