/* Support vectors. Pairs of classes vote; with prob_a and prob_b their scores become probabilities by Platt's sigmoids
 * and the second method of Wu, Lin and Weng (2004), as in libsvm. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_ml.h"

typedef enum { LINEAR, POLY, RBF, SIGMOID } kernel_kind;

typedef struct {
    kernel_kind kind;
    double gamma, coef0;
    int degree;
    const float *vector, *weight, *rho;
    int vectors, weights, rhos;        /* numbers of each list; of vectors: elements */
} machine;

static rt_status machine_of(rt_eval_call *c, machine *m)
{
    static const char *const names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    const char *name = rt_eval_string(c, "kernel_type", "LINEAR");
    const float *param;
    int n = rt_eval_floats(c, "kernel_params", &param), kind = -1;
    for (int i = 0; i < 4; i++) if (!strcasecmp(name, names[i])) kind = i;
    if (kind < 0) return rt_fail(RT_INPUT, "kernel_type is '%s'", name);
    m->kind = (kernel_kind)kind;
    if (n >= 3) {
        m->gamma = param[0];
        m->coef0 = param[1];
        m->degree = param[2] > 0 && param[2] < 1000 ? (int)param[2] : 0;
    } else if (kind != LINEAR) return rt_fail(RT_INPUT, "kernel_params are not three");
    m->vectors = rt_eval_floats(c, "support_vectors", &m->vector);
    m->weights = rt_eval_floats(c, "coefficients", &m->weight);
    m->rhos = rt_eval_floats(c, "rho", &m->rho);
    if (m->weights < 1 || m->rhos < 1) return rt_fail(RT_INPUT, "coefficients or rho are missing");
    return RT_OK;
}

static double kernel(const machine *m, kernel_kind kind, const rt_ml_rows *x, size_t row, const float *v)
{
    double s = 0;
    for (size_t i = 0; i < x->features; i++) {
        double a = rt_ml_at(x, row, i), b = v[i];
        s += kind == RBF ? (a - b) * (a - b) : a * b;
    }
    switch (kind) {
    case RBF: return exp(-m->gamma * s);
    case POLY: return pow(s * m->gamma + m->coef0, m->degree);
    case SIGMOID: return tanh(s * m->gamma + m->coef0);
    default: return s;
    }
}

rt_status rt_eval_svm_regressor(rt_eval_call *c)
{
    machine m = {0};
    rt_ml_transform t = RT_ML_NONE;
    rt_ml_rows x;
    rt_array *y;
    int64_t supports = rt_eval_int(c, "n_supports", 0), one_class = rt_eval_int(c, "one_class", 0);
    RT_TRY(rt_ml_transform_of(c, &t));
    RT_TRY(machine_of(c, &m));
    RT_TRY(rt_ml_rows_of(c, &x));
    size_t f = x.features;
    if (supports < 0 || (supports ? (int64_t)m.weights != supports || m.vectors < 0 ||
                                        (size_t)m.vectors / (f + !f) != (size_t)supports || (size_t)m.vectors % (f + !f)
                                  : (size_t)m.weights != f))
        return rt_fail(RT_INPUT, "support_vectors and coefficients do not fit %zu features", f);
    int64_t dim[2] = {(int64_t)x.rows, 1};
    RT_TRY(rt_eval_make(c, 0, RT_F32, 2, dim, &y));
    for (size_t r = 0; r < x.rows; r++) {
        double s = m.rho[0];
        RT_TRY(rt_eval_tick(c, (double)(supports + 1) * (double)f));
        for (int64_t k = 0; k < supports; k++) s += m.weight[k] * kernel(&m, m.kind, &x, r, m.vector + (size_t)k * f);
        if (!supports) s += kernel(&m, LINEAR, &x, r, m.weight);
        if (one_class) s = s > 0 ? 1 : -1;
        rt_ml_scores(t, &s, 1);
        rt_array_put(y, r, s);
    }
    return RT_OK;
}

/* ---- classes ---- */

typedef struct {
    machine m;
    int classes, vectors, pairs;
    const int64_t *each;               /* vectors of each class */
    const float *a, *b;                /* of the sigmoids; NULL */
    double *k, *pair, *q, *qp;         /* room: of vectors, of pairs, (classes, classes) twice, of classes */
} classifier;

/* Probabilities p (n) of pairwise ones r (n, n). */
static void couple(int n, const double *r, double *q, double *qp, double *p)
{
    for (int t = 0; t < n; t++) {
        p[t] = 1.0 / n;
        q[t * n + t] = 0;
        for (int j = 0; j < n; j++) {
            if (j == t) continue;
            q[t * n + t] += r[j * n + t] * r[j * n + t];
            q[t * n + j] = -r[j * n + t] * r[t * n + j];
        }
    }
    for (int turn = 0; turn < (n > 100 ? n : 100); turn++) {
        double pqp = 0, worst = 0;
        for (int t = 0; t < n; t++) {
            qp[t] = 0;
            for (int j = 0; j < n; j++) qp[t] += q[t * n + j] * p[j];
            pqp += p[t] * qp[t];
        }
        for (int t = 0; t < n; t++) worst = fmax(worst, fabs(qp[t] - pqp));
        if (worst < 0.005 / n) return;
        for (int t = 0; t < n; t++) {
            double d = (-qp[t] + pqp) / q[t * n + t];
            p[t] += d;
            pqp = (pqp + d * (d * q[t * n + t] + 2 * qp[t])) / (1 + d) / (1 + d);
            for (int j = 0; j < n; j++) {
                qp[j] = (qp[j] + d * q[t * n + j]) / (1 + d);
                p[j] /= 1 + d;
            }
        }
    }
}

/* Scores of all pairs, and votes (classes). */
static void vote(classifier *s, const rt_ml_rows *x, size_t row, double *votes)
{
    int e = 0, n = s->vectors, at_i = 0;
    for (int k = 0; k < n; k++) s->k[k] = kernel(&s->m, s->m.kind, x, row, s->m.vector + (size_t)k * x->features);
    memset(votes, 0, (size_t)s->classes * sizeof *votes);
    for (int i = 0; i < s->classes; at_i += (int)s->each[i++]) {
        int at_j = at_i + (int)s->each[i];
        for (int j = i + 1; j < s->classes; at_j += (int)s->each[j++]) {
            double v = s->m.rho[e];
            for (int k = at_i; k < at_i + s->each[i]; k++)
                v += s->m.weight[(size_t)(j - 1) * (size_t)n + (size_t)k] * s->k[k];
            for (int k = at_j; k < at_j + s->each[j]; k++)
                v += s->m.weight[(size_t)i * (size_t)n + (size_t)k] * s->k[k];
            s->pair[e++] = v;
            votes[v > 0 ? i : j]++;
        }
    }
}

static void probabilities(classifier *s, double *p)
{
    int n = s->classes, e = 0;
    double *r = s->q + (size_t)n * (size_t)n;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++, e++) {
            double v = 1 / (1 + exp(s->pair[e] * s->a[e] + s->b[e]));
            v = v < 1e-7 ? 1e-7 : v > 1 - 1e-7 ? 1 - 1e-7 : v;
            r[i * n + j] = v;
            r[j * n + i] = 1 - v;
        }
    couple(n, r, s->q, s->qp, p);
}

static rt_status classifier_of(rt_eval_call *c, classifier *s, int classes, size_t features)
{
    int n = rt_eval_ints(c, "vectors_per_class", &s->each), na, nb;
    na = rt_eval_floats(c, "prob_a", &s->a);
    nb = rt_eval_floats(c, "prob_b", &s->b);
    s->classes = classes;
    RT_TRY(machine_of(c, &s->m));
    for (int i = 0; i < n; i++) {
        if (s->each[i] < 0 || s->each[i] > (1 << 28) - s->vectors)
            return rt_fail(RT_INPUT, "class %d has too many vectors", i);
        s->vectors += (int)s->each[i];
    }
    s->pairs = classes * (classes - 1) / 2;
    if (na <= 0) s->a = NULL;
    if (!s->vectors) {
        s->a = NULL;
        return (size_t)s->m.weights == features * (size_t)classes ? RT_OK
                                                                  : rt_fail(RT_INPUT, "coefficients do not fit");
    }
    if (n != classes || classes < 2 || s->m.rhos < s->pairs || s->m.vectors < 0 ||
        (size_t)s->m.vectors != (size_t)s->vectors * features ||
        (size_t)s->m.weights != (size_t)s->vectors * (size_t)(classes - 1) ||
        (s->a && (na < s->pairs || nb < s->pairs)))
        return rt_fail(RT_INPUT, "vectors, coefficients, rho or probabilities do not fit %d classes", classes);
    s->k = rt_eval_scratch(c, (size_t)s->vectors, sizeof *s->k);
    s->q = rt_eval_scratch(c, 2 * (size_t)classes * (size_t)classes, sizeof *s->q);
    s->qp = rt_eval_scratch(c, (size_t)classes, sizeof *s->qp);
    return s->k && s->q && s->qp ? RT_OK : RT_INPUT;
}

static int greatest(const double *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++) if (v[i] > v[best]) best = i;
    return best;
}

/* One score of two classes: of the first (s > 0) or the second; as two scores, the transform of (-s, s). */
static void one_score(rt_ml_transform t, double s, int two, double *out)
{
    out[0] = two && t != RT_ML_PROBIT ? -s : s;
    out[1] = s;
    rt_ml_scores(t, out, two && t != RT_ML_PROBIT ? 2 : 1);
}

rt_status rt_eval_svm_classifier(rt_eval_call *c)
{
    classifier s = {0};
    rt_ml_transform t = RT_ML_NONE;
    rt_ml_labels labels;
    rt_ml_rows x;
    rt_array *label, *scores;
    RT_TRY(rt_ml_labels_of(c, "classlabels_ints", "classlabels_strings", &labels));
    RT_TRY(rt_ml_transform_of(c, &t));
    RT_TRY(rt_ml_rows_of(c, &x));
    if (labels.n < 1 || labels.n > 4096)
        return rt_fail(RT_INPUT, "%d class labels", labels.n);
    RT_TRY(classifier_of(c, &s, labels.n, x.features));
    int n = labels.n, width = s.vectors && !s.a ? s.pairs : n, one = width == 1;
    double *out = rt_eval_scratch(c, (size_t)(width > 2 ? width : 2), sizeof *out);
    double *votes = rt_eval_scratch(c, (size_t)n, sizeof *votes);
    s.pair = rt_eval_scratch(c, (size_t)s.pairs, sizeof *s.pair);
    if (one && n == 2 && t != RT_ML_PROBIT) width = 2;
    int64_t dim[2] = {(int64_t)x.rows, width};
    if (!out || !votes || !s.pair) return RT_INPUT;
    RT_TRY(rt_ml_labels_make(c, &labels, x.rows, &label));
    RT_TRY(rt_eval_make(c, 1, RT_F32, 2, dim, &scores));
    for (size_t r = 0; r < x.rows; r++) {
        RT_TRY(rt_eval_tick(c, (double)(s.vectors + n) * (double)(x.features + (size_t)n)));
        if (s.vectors) {
            vote(&s, &x, r, votes);
            if (s.a) probabilities(&s, out);
            else memcpy(out, s.pair, (size_t)s.pairs * sizeof *out);
        } else
            for (int i = 0; i < n; i++) {
                out[i] = s.m.rho[0] + kernel(&s.m, LINEAR, &x, r, s.m.weight + (size_t)i * x.features);
                votes[i] = out[i];
            }
        int best = greatest(votes, n);
        rt_ml_label_put(&labels, label, r, best);
        if (one) one_score(t, out[0], n == 2, out);
        else rt_ml_scores(t, out, width);
        for (int i = 0; i < width; i++) rt_array_put(scores, r * (size_t)width + (size_t)i, out[i]);
    }
    return RT_OK;
}
