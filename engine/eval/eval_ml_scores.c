/* Scores into answers, and the linear models and support vectors that make them. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_ml.h"

rt_status rt_ml_transform_of(rt_eval_call *c, rt_ml_transform *t)
{
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    const char *name = rt_eval_string(c, "post_transform", "NONE");
    for (int i = 0; i < 5; i++)
        if (!strcmp(name, names[i])) {
            *t = (rt_ml_transform)i;
            return RT_OK;
        }
    return rt_fail(RT_INPUT, "post_transform is '%s'", name);
}

static double logistic(double v)
{
    double p = 1 / (1 + exp(-fabs(v)));
    return v < 0 ? 1 - p : p;
}

/* The inverse of the normal distribution, by Winitzki's approximation of the inverse of erf. */
static double probit(double v)
{
    double x = v * 2 - 1, sign = x < 0 ? -1 : 1, rest = (1 - x) * (1 + x);
    if (rest == 0) return x < 0 ? -INFINITY : INFINITY;
    double l = log(rest), a = 2 / (M_PI * 0.147) + 0.5 * l;
    return 1.41421356 * sign * sqrt(sqrt(a * a - l / 0.147) - a);
}

void rt_ml_scores(rt_ml_transform t, double *s, int n)
{
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n && t == RT_ML_PROBIT; i++) s[i] = probit(s[i]);
    if (n < 2 || t == RT_ML_NONE || t == RT_ML_PROBIT) return;
    for (int i = 0; i < n; i++) {
        if (t == RT_ML_LOGISTIC) s[i] = logistic(s[i]);
        top = s[i] > top ? s[i] : top;
    }
    if (t == RT_ML_LOGISTIC) return;
    for (int i = 0; i < n; i++) {
        int is_zero = t == RT_ML_SOFTMAX_ZERO && fabs(s[i]) <= 1e-7;
        s[i] = is_zero ? s[i] * exp(-top) : exp(s[i] - top);
        sum += s[i];
    }
    for (int i = 0; i < n; i++) s[i] = sum == 0 ? 0.5 : s[i] / sum;
}

void rt_ml_two_scores(rt_ml_transform t, double s, int mixed, double out[2])
{
    out[0] = t == RT_ML_LOGISTIC || (mixed && t != RT_ML_PROBIT) ? -s : 1 - s;
    out[1] = s;
    if (t == RT_ML_LOGISTIC || t == RT_ML_PROBIT) rt_ml_scores(t, out, 2);
}

rt_status rt_ml_rows_of(rt_eval_call *c, rt_ml_rows *r)
{
    char text[128];
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &r->x));
    if (r->x->rank < 1 || r->x->rank > 2)
        return rt_fail(RT_INPUT, "%s is not rows of features", rt_array_describe(r->x, text));
    r->rows = r->x->rank > 1 ? (size_t)r->x->dim[0] : 1;
    r->features = (size_t)r->x->dim[r->x->rank - 1];
    return RT_OK;
}

double rt_ml_at(const rt_ml_rows *r, size_t row, size_t feature)
{
    double v = rt_array_double(r->x, row * r->features + feature);
    return r->x->type == RT_F64 ? v : (double)(float)v;
}

rt_status rt_ml_labels_of(rt_eval_call *c, const char *whole, const char *text, rt_ml_labels *l)
{
    int n = rt_eval_ints(c, whole, &l->whole), m = rt_eval_strings(c, text, &l->text);
    if (n > 0 && m > 0) return rt_fail(RT_INPUT, "there are labels both as integers and as text");
    l->n = n > 0 ? n : m > 0 ? m : 0;
    if (m <= 0) l->text = NULL;
    return RT_OK;
}

rt_status rt_ml_labels_make(rt_eval_call *c, const rt_ml_labels *l, size_t rows, rt_array **y)
{
    int64_t n = (int64_t)rows;
    return rt_eval_make(c, 0, l->text ? RT_STRING : RT_I64, 1, &n, y);
}

void rt_ml_label_put(const rt_ml_labels *l, rt_array *y, size_t row, int label)
{
    if (l->text) ((const char **)y->data)[row] = l->text[label];
    else rt_array_put_int(y, row, l->whole[label]);
}

/* ---- linear ---- */

/* score[k] = x . coefficient[k] + intercept[k] */
static void linear(const rt_ml_rows *x, size_t row, const float *w, const float *b, int n, double *score)
{
    for (int k = 0; k < n; k++) {
        score[k] = b ? b[k] : 0;
        for (size_t i = 0; i < x->features; i++) score[k] += rt_ml_at(x, row, i) * w[(size_t)k * x->features + i];
    }
}

static rt_status linear_weights(rt_eval_call *c, size_t features, int n, const float **w, const float **b)
{
    int nw = rt_eval_floats(c, "coefficients", w), nb = rt_eval_floats(c, "intercepts", b);
    if (nw < 0 || (size_t)nw != features * (size_t)n || (nb > 0 && nb != n))
        return rt_fail(RT_INPUT, "%d coefficients and %d intercepts for %d outputs of %zu features", nw, nb, n,
                       features);
    if (nb <= 0) *b = NULL;
    return RT_OK;
}

rt_status rt_eval_linear_regressor(rt_eval_call *c)
{
    rt_ml_transform t = RT_ML_NONE;
    rt_ml_rows x;
    rt_array *y;
    const float *w, *b;
    int64_t n = rt_eval_int(c, "targets", 1), dim[2];
    RT_TRY(rt_ml_transform_of(c, &t));
    RT_TRY(rt_ml_rows_of(c, &x));
    if (n < 1 || n > 1 << 20) return rt_fail(RT_INPUT, "targets is %lld", (long long)n);
    RT_TRY(linear_weights(c, x.features, (int)n, &w, &b));
    double *s = rt_eval_scratch(c, (size_t)n, sizeof *s);
    dim[0] = (int64_t)x.rows, dim[1] = n;
    RT_TRY(rt_eval_make(c, 0, RT_F32, 2, dim, &y));
    for (size_t r = 0; s && r < x.rows; r++) {
        RT_TRY(rt_eval_tick(c, (double)n * (double)x.features));
        linear(&x, r, w, b, (int)n, s);
        rt_ml_scores(t, s, (int)n);
        for (int64_t k = 0; k < n; k++) rt_array_put(y, r * (size_t)n + (size_t)k, s[k]);
    }
    return s ? RT_OK : RT_INPUT;
}

rt_status rt_eval_linear_classifier(rt_eval_call *c)
{
    rt_ml_transform t = RT_ML_NONE;
    rt_ml_labels labels;
    rt_ml_rows x;
    rt_array *label, *scores;
    const float *w, *b;
    rt_eval_int(c, "multi_class", 0);
    RT_TRY(rt_ml_transform_of(c, &t));
    RT_TRY(rt_ml_labels_of(c, "classlabels_ints", "classlabels_strings", &labels));
    RT_TRY(rt_ml_rows_of(c, &x));
    /* There are models with more coefficients than features ask for; the first serve, as in ONNX Runtime. */
    int given = rt_eval_floats(c, "coefficients", &w), n = rt_eval_floats(c, "intercepts", &b);
    if (n <= 0) {
        b = NULL;
        n = x.features && given > 0 ? (int)((size_t)given / x.features) : 0;
    }
    if (labels.n < 2 || n < 1 || (n != labels.n && !(n == 1 && labels.n == 2)) || given < 0 ||
        (size_t)given < (size_t)n * x.features)
        return rt_fail(RT_INPUT, "%d coefficients and %d lines of them for %d labels of %zu features", given, n,
                       labels.n, x.features);
    int64_t dim[2] = {(int64_t)x.rows, labels.n};
    double *s = rt_eval_scratch(c, (size_t)labels.n, sizeof *s);
    if (!s) return RT_INPUT;
    RT_TRY(rt_ml_labels_make(c, &labels, x.rows, &label));
    RT_TRY(rt_eval_make(c, 1, RT_F32, 2, dim, &scores));
    for (size_t r = 0; r < x.rows; r++) {
        int best = 0;
        RT_TRY(rt_eval_tick(c, (double)n * (double)x.features));
        linear(&x, r, w, b, n, s);
        if (n == 1) {
            best = s[0] > 0;
            rt_ml_two_scores(t, s[0], 0, s);
        } else {
            for (int i = 1; i < n; i++) if (s[i] > s[best]) best = i;
            rt_ml_scores(t, s, n);
        }
        rt_ml_label_put(&labels, label, r, best);
        for (int i = 0; i < labels.n; i++) rt_array_put(scores, r * (size_t)labels.n + (size_t)i, s[i]);
    }
    return RT_OK;
}
