/* Shapes, constants, and what changes a shape alone. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"

/* The dimensions from `start` to `end`, both clamped after what is negative has counted from the end. */
static rt_status shape(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    int64_t rank = x->rank, start = 0, end = rank, n;
    if (c->version >= 15) {
        start = rt_eval_int(c, "start", 0);
        end = rt_eval_int(c, "end", rank);
    }
    if (start < 0) start = start < -rank ? 0 : start + rank;
    if (end < 0) end = end < -rank ? 0 : end + rank;
    if (start > rank) start = rank;
    if (end > rank) end = rank;
    n = end > start ? end - start : 0;
    RT_TRY(rt_eval_make(c, 0, RT_I64, 1, &n, &y));
    for (int64_t i = 0; i < n; i++) ((int64_t *)y->data)[i] = x->dim[start + i];
    return RT_OK;
}

static rt_status size(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(rt_eval_make(c, 0, RT_I64, 0, NULL, &y));
    *(int64_t *)y->data = (int64_t)x->count;
    return RT_OK;
}

static rt_status reshape(rt_eval_call *c)
{
    const rt_array *x;
    const int64_t *want = NULL;
    int64_t dim[RT_ARRAY_RANK], zero = 0;
    int n = -1, open = -1;
    size_t count = 1;
    char text[128];
    rt_eval_consumed(c);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    if (c->version < 5) n = rt_eval_ints(c, "shape", &want);
    else RT_TRY(rt_eval_list(c, 1, &want, &n));
    if (c->version >= 14) zero = rt_eval_int(c, "allowzero", 0);
    if (n < 0) return rt_fail(RT_INPUT, "there is no shape");
    if (n > RT_ARRAY_RANK) return rt_fail(RT_INPUT, "a shape of %d dimensions, %d at most", n, RT_ARRAY_RANK);
    for (int i = 0; i < n; i++) {
        dim[i] = want[i];
        if (want[i] == 0 && !zero) {
            if (i >= x->rank)
                return rt_fail(RT_INPUT, "dimension %d is to be kept of %s", i, rt_array_describe(x, text));
            dim[i] = x->dim[i];
        }
        if (dim[i] < -1 || (dim[i] == -1 && open >= 0))
            return rt_fail(RT_INPUT, "dimension %d of the shape is %lld", i, (long long)dim[i]);
        if (dim[i] == -1) open = i;
        else if (__builtin_mul_overflow(count, (size_t)dim[i], &count))
            return rt_fail(RT_INPUT, "the shape has more elements than %s", rt_array_describe(x, text));
    }
    if (open >= 0) {
        if (!count || x->count % count)
            return rt_fail(RT_INPUT, "dimension %d does not follow from %s", open, rt_array_describe(x, text));
        dim[open] = (int64_t)(x->count / count);
        count = x->count;
    }
    if (count != x->count) return rt_fail(RT_INPUT, "%s does not have %zu elements", rt_array_describe(x, text), count);
    return rt_eval_view(c, 0, x, n, dim);
}

static rt_status flatten(rt_eval_call *c)
{
    const rt_array *x;
    int64_t axis = rt_eval_int(c, "axis", 1), dim[2] = {1, 1};
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    if (axis < 0) axis += x->rank;
    if (axis < 0 || axis > x->rank) return rt_fail(RT_INPUT, "axis %lld is not there", (long long)axis);
    for (int i = 0; i < x->rank; i++) dim[i >= axis] *= x->dim[i];
    return rt_eval_view(c, 0, x, 2, dim);
}

/* Axes of an attribute or, from opset 13 on, of input 1; n -1: none. */
static rt_status axes_of(rt_eval_call *c, const int64_t **list, int *n)
{
    if (c->version >= 13) return rt_eval_list(c, 1, list, n);
    *n = rt_eval_ints(c, "axes", list);
    return RT_OK;
}

static rt_status squeeze(rt_eval_call *c)
{
    const rt_array *x;
    const int64_t *list;
    int64_t dim[RT_ARRAY_RANK];
    int n, rank = 0, flag[RT_ARRAY_RANK] = {0};
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(axes_of(c, &list, &n));
    if (n >= 0) RT_TRY(rt_eval_axes(x->rank, list, n, flag));
    for (int i = 0; i < x->rank; i++) {
        if (n < 0) flag[i] = x->dim[i] == 1;
        if (flag[i] && x->dim[i] != 1)
            return rt_fail(RT_INPUT, "axis %d has %lld elements, not one", i, (long long)x->dim[i]);
        if (!flag[i]) dim[rank++] = x->dim[i];
    }
    return rt_eval_view(c, 0, x, rank, dim);
}

static rt_status unsqueeze(rt_eval_call *c)
{
    const rt_array *x;
    const int64_t *list;
    int64_t dim[RT_ARRAY_RANK];
    int n, flag[RT_ARRAY_RANK] = {0};
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(axes_of(c, &list, &n));
    if (n < 0) return rt_fail(RT_INPUT, "there are no axes");
    if (n > RT_ARRAY_RANK - x->rank) return rt_fail(RT_INPUT, "more than %d dimensions", RT_ARRAY_RANK);
    RT_TRY(rt_eval_axes(x->rank + n, list, n, flag));
    for (int i = 0, k = 0; i < x->rank + n; i++) dim[i] = flag[i] ? 1 : x->dim[k++];
    return rt_eval_view(c, 0, x, x->rank + n, dim);
}

static rt_status identity(rt_eval_call *c)
{
    const rt_array *x;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    return rt_eval_view(c, 0, x, x->rank, x->dim);
}

/* ---- what a node itself holds ---- */

static rt_status texts(rt_eval_call *c, int rank, int n, const char *const *list)
{
    rt_array *y;
    int64_t dim = n;
    RT_TRY(rt_eval_make(c, 0, RT_STRING, rank, &dim, &y));
    for (int i = 0; i < n; i++) {
        char *copy = rt_region_text(c->region, list[i], strlen(list[i]));
        if (!copy) return RT_INPUT;
        ((char **)y->data)[i] = copy;
    }
    return RT_OK;
}

static rt_status constant(rt_eval_call *c)
{
    const rt_array *t = rt_eval_tensor(c, "value");
    const int64_t *ints;
    const float *floats;
    const char *const *strings, *text;
    rt_array *y;
    if (t) return rt_eval_view(c, 0, t, t->rank, t->dim);
    if (c->version >= 12) {
        int64_t n;
        if (rt_eval_has(c, "value_float")) {
            RT_TRY(rt_eval_make(c, 0, RT_F32, 0, NULL, &y));
            rt_array_put(y, 0, rt_eval_float(c, "value_float", 0));
            return RT_OK;
        }
        if (rt_eval_has(c, "value_int")) {
            RT_TRY(rt_eval_make(c, 0, RT_I64, 0, NULL, &y));
            rt_array_put_int(y, 0, rt_eval_int(c, "value_int", 0));
            return RT_OK;
        }
        if (rt_eval_has(c, "value_string")) {
            text = rt_eval_string(c, "value_string", "");
            return texts(c, 0, 1, &text);
        }
        if ((n = rt_eval_floats(c, "value_floats", &floats)) >= 0) {
            RT_TRY(rt_eval_make(c, 0, RT_F32, 1, &n, &y));
            for (int64_t i = 0; i < n; i++) ((float *)y->data)[i] = floats[i];
            return RT_OK;
        }
        if ((n = rt_eval_ints(c, "value_ints", &ints)) >= 0) {
            RT_TRY(rt_eval_make(c, 0, RT_I64, 1, &n, &y));
            for (int64_t i = 0; i < n; i++) ((int64_t *)y->data)[i] = ints[i];
            return RT_OK;
        }
        if ((n = rt_eval_strings(c, "value_strings", &strings)) >= 0) return texts(c, 1, (int)n, strings);
    }
    return rt_fail(RT_INPUT, "the constant has no value that is supported");
}

static void fill(rt_array *y, const rt_array *value)
{
    size_t size = rt_dtype_size(y->type), done = y->count > 0;
    if (!y->count) return;
    memcpy(y->data, value->data, size);
    for (; done < y->count; done *= 2)
        memcpy((char *)y->data + done * size, y->data, (done * 2 <= y->count ? done : y->count - done) * size);
}

static rt_status constant_of_shape(rt_eval_call *c)
{
    const rt_array *value = rt_eval_tensor(c, "value");
    const int64_t *dim;
    rt_array *y;
    int n;
    if (value && value->count != 1) return rt_fail(RT_INPUT, "the value is not one element");
    RT_TRY(rt_eval_list(c, 0, &dim, &n));
    if (n < 0) return rt_fail(RT_INPUT, "there is no shape");
    if (n > RT_ARRAY_RANK) return rt_fail(RT_INPUT, "a shape of %d dimensions, %d at most", n, RT_ARRAY_RANK);
    RT_TRY(rt_eval_make(c, 0, value ? value->type : RT_F32, n, dim, &y));
    if (value) fill(y, value);
    return RT_OK;
}

/* start, start + delta, ... before limit. */
static rt_status range(rt_eval_call *c)
{
    const unsigned types = RT_EVAL_FLOATS | 1u << RT_I16 | 1u << RT_I32 | 1u << RT_I64;
    const rt_array *in[3];
    rt_array *y;
    int64_t n = 0;
    if (c->version >= 27) rt_eval_int(c, "stash_type", 1);
    for (int i = 0; i < 3; i++) {
        RT_TRY(rt_eval_need(c, i, i ? 1u << in[0]->type : types, &in[i]));
        if (in[i]->count != 1) return rt_fail(RT_INPUT, "input %d is not one number", i);
    }
    if (rt_array_is_float(in[0])) {
        double start = rt_array_double(in[0], 0), step = rt_array_double(in[2], 0);
        double many = ceil((rt_array_double(in[1], 0) - start) / step);
        if (!isfinite(start) || !isfinite(step) || !(many < 1e15) || step == 0)
            return rt_fail(RT_INPUT, "a range from %g by %g has no end", start, step);
        n = many > 0 ? (int64_t)many : 0;
        RT_TRY(rt_eval_make(c, 0, in[0]->type, 1, &n, &y));
        for (int64_t i = 0; i < n; i++) rt_array_put(y, (size_t)i, start + (double)i * step);
        return RT_OK;
    }
    int64_t start = rt_array_int(in[0], 0), step = rt_array_int(in[2], 0);
    if (!step) return rt_fail(RT_INPUT, "a range by 0 has no end");
    __int128 way = (__int128)rt_array_int(in[1], 0) - start, by = step;
    if (by < 0) way = -way, by = -by;
    way = way > 0 ? (way + by - 1) / by : 0;
    n = way > INT64_MAX ? INT64_MAX : (int64_t)way;
    RT_TRY(rt_eval_make(c, 0, in[0]->type, 1, &n, &y));
    for (int64_t i = 0; i < n; i++)
        rt_array_put_int(y, (size_t)i, (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)step));
    return RT_OK;
}

/* Inference: what comes in goes out, and nothing was dropped. */
static rt_status dropout(rt_eval_call *c)
{
    const rt_array *x, *ratio, *mode;
    rt_array *mask;
    rt_eval_consumed(c);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS, &x));
    if (c->version < 12) rt_eval_float(c, "ratio", 0.5);
    else rt_eval_int(c, "seed", 0);
    if (c->version < 7) rt_eval_int(c, "is_test", 0);
    if (c->version >= 12) {
        RT_TRY(rt_eval_may(c, 1, RT_EVAL_FLOATS, &ratio));
        RT_TRY(rt_eval_may(c, 2, 1u << RT_BOOL, &mode));
        int trains = mode && mode->count && rt_array_int(mode, 0);
        if (trains && !(ratio && ratio->count == 1 && rt_array_double(ratio, 0) == 0))
            return rt_fail(RT_INPUT, "a dropout in training mode is random");
    }
    if (c->outputs > 1 && rt_eval_wants(c, 1)) {
        RT_TRY(rt_eval_like(c, 1, c->version < 10 ? x->type : RT_BOOL, x, &mask));
        for (size_t i = 0; i < mask->count; i++) rt_array_put(mask, i, 1);
    }
    return rt_eval_view(c, 0, x, x->rank, x->dim);
}

const rt_eval_op rt_eval_shape_ops[] = {
    {"", "Shape", 1, 1, 1, 1, shape, 0},
    {"", "Size", 1, 1, 1, 1, size, 0},
    {"", "Reshape", 1, 1, 1, 1, reshape, 0},
    {"", "Reshape", 5, 2, 2, 1, reshape, 0},
    {"", "Flatten", 1, 1, 1, 1, flatten, 0},
    {"", "Squeeze", 1, 1, 1, 1, squeeze, 0},
    {"", "Squeeze", 13, 1, 2, 1, squeeze, 0},
    {"", "Unsqueeze", 1, 1, 1, 1, unsqueeze, 0},
    {"", "Unsqueeze", 13, 2, 2, 1, unsqueeze, 0},
    {"", "Identity", 1, 1, 1, 1, identity, 0},
    {"", "Constant", 1, 0, 0, 1, constant, 0},
    {"", "ConstantOfShape", 9, 1, 1, 1, constant_of_shape, 0},
    {"", "Range", 11, 3, 3, 1, range, 0},
    {"", "Dropout", 1, 1, 1, 2, dropout, 0},
    {"", "Dropout", 12, 1, 3, 2, dropout, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
