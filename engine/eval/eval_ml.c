/* Features and labels of domain ai.onnx.ml. */
#include "engine/eval/eval_ml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"

static rt_status scaler(rt_eval_call *c)
{
    const float *offset, *scale;
    int n = rt_eval_floats(c, "offset", &offset), m = rt_eval_floats(c, "scale", &scale);
    rt_ml_rows x;
    rt_array *y;
    RT_TRY(rt_ml_rows_of(c, &x));
    if (n < 1 || m < 1 || (n != 1 && (size_t)n != x.features) || (m != 1 && (size_t)m != x.features))
        return rt_fail(RT_INPUT, "%d offsets and %d scales for %zu features", n, m, x.features);
    RT_TRY(rt_eval_like(c, 0, RT_F32, x.x, &y));
    for (size_t i = 0; i < x.x->count; i++) {
        size_t k = i % x.features;
        rt_array_put(y, i, (rt_array_double(x.x, i) - offset[n > 1 ? k : 0]) * scale[m > 1 ? k : 0]);
    }
    return RT_OK;
}

/* By the greatest, the sum of absolutes, or the root of the squares of a row; a row of zeros stays. */
static rt_status normalizer(rt_eval_call *c)
{
    const char *norm = rt_eval_string(c, "norm", "MAX");
    int kind = !strcmp(norm, "MAX") ? 0 : !strcmp(norm, "L1") ? 1 : !strcmp(norm, "L2") ? 2 : -1;
    rt_ml_rows x;
    rt_array *y;
    if (kind < 0) return rt_fail(RT_INPUT, "norm '%s' is none of MAX, L1 and L2", norm);
    RT_TRY(rt_ml_rows_of(c, &x));
    RT_TRY(rt_eval_like(c, 0, RT_F32, x.x, &y));
    for (size_t r = 0; r < x.rows; r++) {
        double by = kind ? 0 : -INFINITY;
        for (size_t i = 0; i < x.features; i++) {
            double v = rt_ml_at(&x, r, i);
            by = !kind ? fmax(by, v) : by + (kind == 1 ? fabs(v) : v * v);
        }
        if (kind == 2) by = sqrt(by);
        for (size_t i = 0; i < x.features; i++)
            rt_array_put(y, r * x.features + i, rt_ml_at(&x, r, i) / (by == 0 ? 1 : by));
    }
    return RT_OK;
}

static rt_status imputer(rt_eval_call *c)
{
    const float *reals;
    const int64_t *wholes;
    double bad = rt_eval_float(c, "replaced_value_float", 0);
    int64_t bad_whole = rt_eval_int(c, "replaced_value_int64", 0);
    int n = rt_eval_floats(c, "imputed_value_floats", &reals), m = rt_eval_ints(c, "imputed_value_int64s", &wholes),
        real;
    rt_ml_rows x;
    rt_array *y;
    RT_TRY(rt_ml_rows_of(c, &x));
    real = rt_array_is_float(x.x);
    if (!real) n = m;
    if (n != 1 && (n < 1 || (size_t)n != x.features))
        return rt_fail(RT_INPUT, "%d values for %zu features", n, x.features);
    RT_TRY(rt_eval_like(c, 0, x.x->type, x.x, &y));
    for (size_t i = 0; i < x.x->count; i++) {
        size_t k = n > 1 ? i % x.features : 0;
        double v = rt_array_double(x.x, i);
        if (real && (isnan(bad) ? isnan(v) : v == bad)) rt_array_put(y, i, reals[k]);
        else if (!real && rt_array_int(x.x, i) == bad_whole) rt_array_put_int(y, i, wholes[k]);
        else rt_array_copy(y, i, x.x, i);
    }
    return RT_OK;
}

static rt_status binarizer(rt_eval_call *c)
{
    double threshold = rt_eval_float(c, "threshold", 0);
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    for (size_t i = 0; i < x->count; i++) rt_array_put_int(y, i, rt_array_double(x, i) > threshold);
    return RT_OK;
}

/* Of the last axis, the elements at these places; of a list, as one row. */
static rt_status feature_extractor(rt_eval_call *c)
{
    const rt_array *x, *at;
    rt_array *y;
    int64_t dim[RT_ARRAY_RANK] = {1};
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, 1u << RT_I64, &at));
    if (!x->rank) return rt_fail(RT_INPUT, "a scalar has no features");
    size_t n = (size_t)x->dim[x->rank - 1], rows = n ? x->count / n : 0;
    int rank = x->rank > 1 ? x->rank : 2;
    if (x->rank > 1) memcpy(dim, x->dim, sizeof dim);
    dim[rank - 1] = (int64_t)at->count;
    RT_TRY(rt_eval_make(c, 0, x->type, rank, dim, &y));
    for (size_t i = 0; i < y->count; i++) {
        int64_t k = rt_array_int(at, i % at->count);
        if (k < 0 || (size_t)k >= n) return rt_fail(RT_INPUT, "feature %lld of %zu", (long long)k, n);
        if (i / at->count < rows) rt_array_copy(y, i, x, i / at->count * n + (size_t)k);
    }
    return RT_OK;
}

/* Rows (a list is one, what is beyond the first axis lies in it) side by side, each cut or filled with zeros to its
 * number of columns. */
static rt_status feature_vectorizer(rt_eval_call *c)
{
    const int64_t *width;
    int n = rt_eval_ints(c, "inputdimensions", &width);
    int64_t dim[2] = {0, 0}, at = 0;
    const rt_array *x;
    rt_array *y;
    if (n != c->inputs) return rt_fail(RT_INPUT, "%d inputdimensions for %d inputs", n, c->inputs);
    for (int i = 0; i < n; i++) {
        RT_TRY(rt_eval_need(c, i, RT_EVAL_NUMBERS, &x));
        int64_t rows = x->rank > 1 ? x->dim[0] : 1;
        if (x->rank < 1 || width[i] < 0 || width[i] > 1 << 24 || (i && rows != dim[0]))
            return rt_fail(RT_INPUT, "input %d is not rows like the others", i);
        dim[0] = rows;
        dim[1] += width[i];
    }
    RT_TRY(rt_eval_make(c, 0, RT_F32, 2, dim, &y));
    for (int i = 0; i < n; at += width[i++]) {
        x = rt_eval_in(c, i);
        int64_t has = dim[0] ? (int64_t)x->count / dim[0] : 0;
        for (int64_t r = 0; r < dim[0]; r++)
            for (int64_t k = 0; k < width[i] && k < has; k++)
                rt_array_put(y, (size_t)(r * dim[1] + at + k), rt_array_double(x, (size_t)(r * has + k)));
    }
    return RT_OK;
}

/* ---- one value for another ---- */

/* Keys in order, the last of those alike alone: at[i] is a place in `keys`. */
typedef struct { const rt_array *keys; size_t *at, n; } table;

static int by_key(const void *p, const void *q, void *of)
{
    size_t a = *(const size_t *)p, b = *(const size_t *)q;
    int r = rt_eval_order(of, a, of, b);
    return r ? r : (a > b) - (a < b);
}

static rt_status table_of(rt_eval_call *c, const rt_array *keys, table *t)
{
    t->keys = keys;
    t->n = 0;
    if (!(t->at = rt_eval_scratch(c, keys->count, sizeof *t->at))) return RT_INPUT;
    for (size_t i = 0; i < keys->count; i++) t->at[i] = i;
    qsort_r(t->at, keys->count, sizeof *t->at, by_key, (void *)keys);
    for (size_t i = 0; i < keys->count; i++)
        if (i + 1 == keys->count || rt_eval_order(keys, t->at[i], keys, t->at[i + 1])) t->at[t->n++] = t->at[i];
    return RT_OK;
}

/* The place of a key; -1: there is none. */
static int64_t look_up(const table *t, const rt_array *x, size_t i)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int r = rt_eval_order(t->keys, t->at[mid], x, i);
        if (!r) return (int64_t)t->at[mid];
        if (r < 0) low = mid + 1;
        else high = mid;
    }
    return -1;
}

/* An attribute's list as an array; NULL where it is not given. */
static rt_status list_of(rt_eval_call *c, const char *name, rt_dtype type, const rt_array **a)
{
    const int64_t *wholes;
    const float *floats;
    const char *const *texts;
    rt_array *made;
    int64_t n = type == RT_I64 ? rt_eval_ints(c, name, &wholes) : type == RT_F32 ? rt_eval_floats(c, name, &floats)
                                                                                 : rt_eval_strings(c, name, &texts);
    if (n <= 0) return RT_OK;
    if (*a) return rt_fail(RT_INPUT, "%s is one list too many", name);
    RT_TRY(rt_eval_temp(c, type, 1, &n, &made));
    memcpy(made->data,
           type == RT_I64   ? (const void *)wholes
           : type == RT_F32 ? (const void *)floats
                            : (const void *)texts,
           (size_t)n * rt_dtype_size(type));
    *a = made;
    return RT_OK;
}

static rt_status lists_of(rt_eval_call *c, const char *const name[4], const rt_array **a)
{
    *a = NULL;
    RT_TRY(list_of(c, name[0], RT_I64, a));
    RT_TRY(list_of(c, name[1], RT_F32, a));
    RT_TRY(list_of(c, name[2], RT_STRING, a));
    if (c->version >= 4) {
        const rt_array *t = rt_eval_tensor(c, name[3]);
        if (t && *a) return rt_fail(RT_INPUT, "%s is one list too many", name[3]);
        if (t) *a = t;
    }
    return *a ? RT_OK : rt_fail(RT_INPUT, "there is no %s nor another list of them", name[0]);
}

static rt_status translate(rt_eval_call *c, const rt_array *keys, const rt_array *values, const rt_array *none)
{
    const rt_array *x;
    rt_array *y;
    table t;
    RT_TRY(rt_eval_need(c, 0, 1u << keys->type, &x));
    if (keys->count != values->count) return rt_fail(RT_INPUT, "%zu keys and %zu values", keys->count, values->count);
    RT_TRY(table_of(c, keys, &t));
    RT_TRY(rt_eval_like(c, 0, values->type, x, &y));
    for (size_t i = 0; i < x->count; i++) {
        int64_t at = look_up(&t, x, i);
        rt_array_copy(y, i, at < 0 ? none : values, at < 0 ? 0 : (size_t)at);
    }
    return RT_OK;
}

static rt_status label_encoder(rt_eval_call *c)
{
    static const char *const key[4] = {"keys_int64s", "keys_floats", "keys_strings", "keys_tensor"};
    static const char *const value[4] = {"values_int64s", "values_floats", "values_strings", "values_tensor"};
    const rt_array *keys, *values, *given;
    rt_array *none;
    int64_t whole = rt_eval_int(c, "default_int64", -1);
    double real = rt_eval_float(c, "default_float", -0.0);
    const char *text = rt_eval_string(c, "default_string", "_Unused");
    RT_TRY(lists_of(c, key, &keys));
    RT_TRY(lists_of(c, value, &values));
    RT_TRY(rt_eval_temp(c, values->type, 0, NULL, &none));
    if (values->type == RT_STRING) *(const char **)none->data = text;
    else if (rt_array_is_float(values)) rt_array_put(none, 0, real);
    else rt_array_put_int(none, 0, whole);
    given = c->version >= 4 ? rt_eval_tensor(c, "default_tensor") : NULL;
    if (given && (given->count != 1 || given->type != values->type))
        return rt_fail(RT_INPUT, "default_tensor is not one value");
    return translate(c, keys, values, given ? given : none);
}

/* Texts to their places in a list, or places to texts: opset 1 of LabelEncoder; CategoryMapper has integers beside. */
static rt_status both_ways(rt_eval_call *c, const char *texts, const char *numbers)
{
    const rt_array *words = NULL, *wholes = NULL, *x;
    rt_array *none, *made;
    int64_t whole = rt_eval_int(c, "default_int64", -1);
    const char *text = rt_eval_string(c, "default_string", "_Unused");
    RT_TRY(rt_eval_need(c, 0, 1u << RT_STRING | 1u << RT_I64, &x));
    RT_TRY(list_of(c, texts, RT_STRING, &words));
    if (numbers) RT_TRY(list_of(c, numbers, RT_I64, &wholes));
    if (!words || (numbers && !wholes)) return rt_fail(RT_INPUT, "%s is missing", texts);
    if (!numbers) {
        RT_TRY(rt_eval_temp(c, RT_I64, 1, words->dim, &made));
        for (size_t i = 0; i < made->count; i++) rt_array_put_int(made, i, (int64_t)i);
        wholes = made;
    }
    RT_TRY(rt_eval_temp(c, x->type == RT_STRING ? RT_I64 : RT_STRING, 0, NULL, &none));
    if (x->type == RT_STRING) rt_array_put_int(none, 0, whole);
    else *(const char **)none->data = text;
    return x->type == RT_STRING ? translate(c, words, wholes, none) : translate(c, wholes, words, none);
}
static rt_status label_encoder_1(rt_eval_call *c) { return both_ways(c, "classes_strings", NULL); }
static rt_status category_mapper(rt_eval_call *c) { return both_ways(c, "cats_strings", "cats_int64s"); }

static rt_status one_hot_encoder(rt_eval_call *c)
{
    int64_t zeros = rt_eval_int(c, "zeros", 1), dim[RT_ARRAY_RANK];
    const rt_array *cats = NULL, *x;
    rt_array *y, *whole;
    table t;
    RT_TRY(list_of(c, "cats_int64s", RT_I64, &cats));
    RT_TRY(list_of(c, "cats_strings", RT_STRING, &cats));
    if (!cats) return rt_fail(RT_INPUT, "there are no categories");
    RT_TRY(rt_eval_need(c, 0, cats->type == RT_STRING ? 1u << RT_STRING : (unsigned)RT_EVAL_NUMBERS, &x));
    if (x->rank >= RT_ARRAY_RANK) return rt_fail(RT_INPUT, "more than %d dimensions", RT_ARRAY_RANK);
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank] = (int64_t)cats->count;
    RT_TRY(rt_eval_make(c, 0, RT_F32, x->rank + 1, dim, &y));
    RT_TRY(table_of(c, cats, &t));
    if (cats->type == RT_I64) {
        RT_TRY(rt_eval_temp(c, RT_I64, x->rank, x->dim, &whole));
        for (size_t i = 0; i < x->count; i++) rt_array_put_int(whole, i, rt_array_int(x, i));
        x = whole;
    }
    for (size_t i = 0; i < x->count; i++) {
        int64_t at = look_up(&t, x, i);
        if (at >= 0) ((float *)y->data)[i * cats->count + (size_t)at] = 1;
        else if (!zeros) return rt_fail(RT_INPUT, "element %zu is of no category", i);
    }
    return RT_OK;
}

/* Maps are not supported: what would be their values is passed on. */
static rt_status zip_map(rt_eval_call *c)
{
    rt_ml_labels labels;
    const rt_array *x;
    RT_TRY(rt_ml_labels_of(c, "classlabels_int64s", "classlabels_strings", &labels));
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    if (!x->rank || x->dim[x->rank - 1] != labels.n) return rt_fail(RT_INPUT, "the labels are not one a column");
    return rt_eval_view(c, 0, x, x->rank, x->dim);
}

#define ML "ai.onnx.ml"
const rt_eval_op rt_eval_ml_ops[] = {
    {ML, "Scaler", 1, 1, 1, 1, scaler, 0},
    {ML, "Normalizer", 1, 1, 1, 1, normalizer, 0},
    {ML, "Imputer", 1, 1, 1, 1, imputer, 0},
    {ML, "Binarizer", 1, 1, 1, 1, binarizer, 0},
    {ML, "ArrayFeatureExtractor", 1, 2, 2, 1, feature_extractor, 0},
    {ML, "FeatureVectorizer", 1, 1, -1, 1, feature_vectorizer, 0},
    {ML, "LabelEncoder", 1, 1, 1, 1, label_encoder_1, 0},
    {ML, "LabelEncoder", 2, 1, 1, 1, label_encoder, 0},
    {ML, "CategoryMapper", 1, 1, 1, 1, category_mapper, 0},
    {ML, "OneHotEncoder", 1, 1, 1, 1, one_hot_encoder, 0},
    {ML, "ZipMap", 1, 1, 1, 1, zip_map, 0},
    {ML, "TreeEnsembleClassifier", 1, 1, 1, 2, rt_eval_tree_classifier, 0},
    {ML, "TreeEnsembleRegressor", 1, 1, 1, 1, rt_eval_tree_regressor, 0},
    {ML, "TreeEnsemble", 5, 1, 1, 1, rt_eval_tree_ensemble, 0},
    {ML, "LinearClassifier", 1, 1, 1, 2, rt_eval_linear_classifier, 0},
    {ML, "LinearRegressor", 1, 1, 1, 1, rt_eval_linear_regressor, 0},
    {ML, "SVMClassifier", 1, 1, 1, 2, rt_eval_svm_classifier, 0},
    {ML, "SVMRegressor", 1, 1, 1, 1, rt_eval_svm_regressor, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
