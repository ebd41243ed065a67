#include "train/losses.h"

#include <math.h>
#include <string.h>

void rt_loss_read(rt_cfg *c, rt_loss_config *l, int soft_given)
{
    static const char *const kinds[] = {"ce", "kd", "dkd", "dist", "zscore", "mse", NULL};
    memset(l, 0, sizeof *l);
    l->kind = (rt_soft_kind)rt_cfg_choice(c, "kind", kinds, soft_given ? RT_SOFT_KD : RT_SOFT_NONE);
    if (l->kind != RT_SOFT_NONE && !soft_given) rt_cfg_fail(c, "kind", "needs a teacher: give data.labels (a label store) or teacher (a model)");
    l->hard = (float)rt_cfg_number(c, "hard", l->kind ? 0.1 : 1.0, 0, 1000);
    l->soft = (float)rt_cfg_number(c, "soft", l->kind ? 0.9 : 0.0, 0, 1000);
    l->temperature = (float)rt_cfg_number(c, "temperature", l->kind == RT_SOFT_DIST ? 1 : l->kind == RT_SOFT_ZSCORE ? 2 : 4, 0.01, 1000);
    l->smoothing = (float)rt_cfg_number(c, "label_smoothing", 0, 0, 0.999);
    l->alpha = l->beta = l->gamma = 1;
    if (l->kind == RT_SOFT_DKD) {
        l->alpha = (float)rt_cfg_number(c, "alpha", 1, 0, 1000);
        l->beta = (float)rt_cfg_number(c, "beta", 8, 0, 1000);
        l->warmup = rt_cfg_int(c, "warmup", 20, 0, 100000);
    } else if (l->kind == RT_SOFT_DIST) {
        l->beta = (float)rt_cfg_number(c, "beta", 1, 0, 1000);
        l->gamma = (float)rt_cfg_number(c, "gamma", 1, 0, 1000);
    }
}

int rt_loss_is_whole(const rt_loss_config *l) { return l->kind == RT_SOFT_DIST && l->soft > 0; }

/* out = softmax(scale * z) of rows x k; log_sum[r] = log sum exp(scale z - max), max[r] of scale z. */
static void softmax_rows(float *out, const float *z, float scale, int rows, int k, float *log_sum, float *max)
{
    const rt_kernels *kn = rt_kernels_get();
    size_t n = (size_t)rows * (size_t)k;
    for (int r = 0; r < rows; r++) {
        const float *a = z + (size_t)r * (size_t)k;
        float *o = out + (size_t)r * (size_t)k, m = a[0];
        for (int i = 1; i < k; i++) m = a[i] > m || a[i] != a[i] ? a[i] : m;
        for (int i = 0; i < k; i++) o[i] = (a[i] - m) * scale;
        if (max) max[r] = m * scale;
    }
    kn->exp_n(out, out, n);
    for (int r = 0; r < rows; r++) {
        float *o = out + (size_t)r * (size_t)k, s = 0;
        for (int i = 0; i < k; i++) s += o[i];
        float inverse = 1.0f / s;
        for (int i = 0; i < k; i++) o[i] *= inverse;
        if (log_sum) log_sum[r] = s;
    }
    if (log_sum) kn->log_n(log_sum, log_sum, (size_t)rows);
}

enum { ROWS = 64 };   /* rows handled at a time, for arrays on the stack */

static float lambda_of(const rt_loss_batch *b) { return b->partner ? b->lambda : 1.0f; }

/* Rows whose teacher's logits this row's are to be mixed with. */
static const int *soft_partner(const rt_loss_batch *b) { return b->teacher_mixed ? NULL : b->partner; }

/* grad = hard (p - q) / total; loss = hard CE */
static void hard_rows(const rt_loss_batch *b, const rt_loss_io *io, int r0, int rows, float *p)
{
    int k = io->n;
    float log_sum[ROWS], max[ROWS], scale = b->config.hard / (float)io->total, e = b->config.smoothing, lambda = lambda_of(b);
    const float *z = io->value + (size_t)r0 * (size_t)k;
    softmax_rows(p, z, 1.0f, rows, k, log_sum, max);
    for (int r = 0; r < rows; r++) {
        int at = io->row0 + r0 + r;
        int y[2] = {b->y[at], b->partner ? b->y[b->partner[at]] : -1};
        float share[2] = {lambda, 1.0f - lambda}, total = 0, loss = 0, lse = log_sum[r] + max[r];
        float *g = io->grad + (size_t)(r0 + r) * (size_t)k;
        const float *pr = p + (size_t)r * (size_t)k, *zr = z + (size_t)r * (size_t)k;
        for (int i = 0; i < k; i++) g[i] = 0;
        for (int s = 0; s < 2; s++) {
            if (y[s] < 0 || share[s] == 0.0f) continue;
            total += share[s];
            g[y[s]] -= share[s] * (1.0f - e) * scale;
            loss += share[s] * (1.0f - e) * (lse - zr[y[s]]);
        }
        if (e > 0) {
            float mean = 0;
            for (int i = 0; i < k; i++) mean += lse - zr[i];
            loss += total * e * mean / (float)k;
            for (int i = 0; i < k; i++) g[i] -= total * e / (float)k * scale;
        }
        for (int i = 0; i < k; i++) g[i] += total * scale * pr[i];
        io->loss[r0 + r] = b->config.hard * loss;
    }
}

/* Teacher's softmax at 1/T for these rows into q, mixed with the partners'. */
static void teacher_rows(const rt_loss_batch *b, const rt_loss_io *io, int r0, int rows, float scale, float *q)
{
    int k = io->n;
    const float *t = b->teacher + (size_t)(io->row0 + r0) * (size_t)k;
    softmax_rows(q, t, scale, rows, k, NULL, NULL);
    if (!soft_partner(b)) return;
    for (int r = 0; r < rows; r++) {
        float other[RT_LOSS_MIX_CLASSES], *qr = q + (size_t)r * (size_t)k;
        softmax_rows(other, b->teacher + (size_t)b->partner[io->row0 + r0 + r] * (size_t)k, scale, 1, k, NULL, NULL);
        for (int i = 0; i < k; i++) qr[i] = b->lambda * qr[i] + (1.0f - b->lambda) * other[i];
    }
}

static float kl_term(float q, float log_q, float log_p) { return q > 0 ? q * (log_q - log_p) : 0.0f; }

/* T^2 KL(q || p): adds to loss, and T (p - q) to grad. The logs of p, and of q unless it is a mixture, are read off the
 * logits, so that a step on cached labels needs two softmaxes more and no logarithm per class. */
static void kd_rows(const rt_loss_batch *b, const rt_loss_io *io, int r0, int rows, float *p, float *q, float weight)
{
    int k = io->n;
    size_t n = (size_t)rows * (size_t)k;
    float t = b->config.temperature, inverse = 1.0f / t, scale = weight * t / (float)io->total;
    float ls[ROWS], ms[ROWS], lt[ROWS], mt[ROWS];
    const float *z = io->value + (size_t)r0 * (size_t)k, *y = b->teacher + (size_t)(io->row0 + r0) * (size_t)k;
    float *g = io->grad + (size_t)r0 * (size_t)k;
    softmax_rows(p, z, inverse, rows, k, ls, ms);
    if (soft_partner(b)) teacher_rows(b, io, r0, rows, inverse, q);
    else softmax_rows(q, y, inverse, rows, k, lt, mt);
    for (size_t i = 0; i < n; i++) g[i] += scale * (p[i] - q[i]);
    for (int r = 0; r < rows; r++, z += k, y += k, q += k) {
        float s = 0, base = ls[r] + ms[r];
        if (soft_partner(b)) for (int i = 0; i < k; i++) s += kl_term(q[i], logf(fmaxf(q[i], 1e-30f)), z[i] * inverse - base);
        else for (int i = 0; i < k; i++) s += q[i] * ((y[i] - z[i]) * inverse - (lt[r] + mt[r]) + base);
        io->loss[r0 + r] += weight * t * t * s;
    }
}

static void dkd_row(const rt_loss_config *c, int k, int y, const float *p, const float *q, float *g, float *loss, float weight, float total)
{
    float t = c->temperature, ps = fmaxf(p[y], 1e-12f), pt = q[y], rs = fmaxf(1.0f - p[y], 1e-12f), rt = fmaxf(1.0f - q[y], 0.0f);
    float w = weight * t * t, scale = w / (t * total);
    float tckd = kl_term(pt, logf(fmaxf(pt, 1e-30f)), logf(ps)) + kl_term(rt, logf(fmaxf(rt, 1e-30f)), logf(rs));
    float d = (-pt / ps + rt / rs) * ps;              /* dTCKD/dp_y p_y */
    float nckd = 0;
    for (int j = 0; j < k; j++) {
        float s = 0, u = 0;
        if (j != y) {
            s = p[j] / rs;
            u = rt > 1e-12f ? q[j] / rt : 1.0f / (float)(k - 1);
            nckd += kl_term(u, logf(fmaxf(u, 1e-30f)), logf(fmaxf(s, 1e-30f)));
        }
        g[j] += scale * (c->alpha * d * ((j == y ? 1.0f : 0.0f) - p[j]) + (j == y ? 0.0f : c->beta * (s - u)));
    }
    *loss += w * (c->alpha * tckd + c->beta * nckd);
}

/* (x - mean) / deviation of each row, in place of x; 1 / deviation is kept. */
static void standardize(float *out, const float *z, int rows, int k, float *inverse)
{
    for (int r = 0; r < rows; r++, z += k, out += k) {
        double s = 0, q = 0;
        for (int i = 0; i < k; i++) s += z[i];
        double mean = s / k;
        for (int i = 0; i < k; i++) q += (z[i] - mean) * (z[i] - mean);
        double inv = 1.0 / (sqrt(q / (k > 1 ? k - 1 : 1)) + 1e-7);
        for (int i = 0; i < k; i++) out[i] = (float)((z[i] - mean) * inv);
        if (inverse) inverse[r] = (float)inv;
    }
}

static void zscore_rows(const rt_loss_batch *b, const rt_loss_io *io, int r0, int rows, float *s, float *p, float *q)
{
    int k = io->n;
    float inverse[ROWS], t = b->config.temperature, w = b->config.soft, lambda = b->lambda;
    for (int r = 0; r < rows; r++) {                  /* a mixture of the teacher's standardised logits */
        int at = io->row0 + r0 + r;
        float *qr = q + (size_t)r * (size_t)k, other[RT_LOSS_MIX_CLASSES];
        standardize(qr, b->teacher + (size_t)at * (size_t)k, 1, k, NULL);
        if (soft_partner(b)) {
            standardize(other, b->teacher + (size_t)b->partner[at] * (size_t)k, 1, k, NULL);
            for (int i = 0; i < k; i++) qr[i] = lambda * qr[i] + (1.0f - lambda) * other[i];
        }
    }
    softmax_rows(q, q, 1.0f / t, rows, k, NULL, NULL);
    standardize(s, io->value + (size_t)r0 * (size_t)k, rows, k, inverse);
    softmax_rows(p, s, 1.0f / t, rows, k, NULL, NULL);
    for (int r = 0; r < rows; r++) {
        const float *pr = p + (size_t)r * (size_t)k, *qr = q + (size_t)r * (size_t)k, *sr = s + (size_t)r * (size_t)k;
        float *g = io->grad + (size_t)(r0 + r) * (size_t)k, mean = 0, dot = 0, kl = 0, scale = w * t / (float)io->total;
        for (int i = 0; i < k; i++) {
            mean += pr[i] - qr[i];
            dot += (pr[i] - qr[i]) * sr[i];
            kl += kl_term(qr[i], logf(fmaxf(qr[i], 1e-30f)), logf(fmaxf(pr[i], 1e-30f)));
        }
        mean /= (float)k;
        for (int i = 0; i < k; i++) g[i] += scale * inverse[r] * (pr[i] - qr[i] - mean - sr[i] * dot / (float)(k > 1 ? k - 1 : 1));
        io->loss[r0 + r] += w * t * t * kl;
    }
}

static void mse_rows(const rt_loss_batch *b, const rt_loss_io *io, int r0, int rows)
{
    int k = io->n;
    float w = b->config.soft, lambda = soft_partner(b) ? b->lambda : 1.0f;
    for (int r = 0; r < rows; r++) {
        int at = io->row0 + r0 + r;
        const float *z = io->value + (size_t)(r0 + r) * (size_t)k, *t = b->teacher + (size_t)at * (size_t)k;
        const float *o = soft_partner(b) ? b->teacher + (size_t)b->partner[at] * (size_t)k : t;
        float *g = io->grad + (size_t)(r0 + r) * (size_t)k, s = 0;
        for (int i = 0; i < k; i++) {
            float d = z[i] - (lambda * t[i] + (1.0f - lambda) * o[i]);
            g[i] += w * 2.0f * d / (float)io->total;
            s += d * d;
        }
        io->loss[r0 + r] += w * s;
    }
}

/* 1 - Pearson(a, b) over n elements with a stride; adds weight d/da to da. */
static double pearson(const float *a, const float *b, float *da, int n, size_t stride, double weight)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) {
        ma += a[(size_t)i * stride];
        mb += b[(size_t)i * stride];
    }
    ma /= n;
    mb /= n;
    for (int i = 0; i < n; i++) {
        double x = a[(size_t)i * stride] - ma, y = b[(size_t)i * stride] - mb;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    double na = sqrt(aa) + 1e-8, nb = sqrt(bb) + 1e-8, r = ab / (na * nb);
    for (int i = 0; i < n; i++) {
        double x = (a[(size_t)i * stride] - ma) / na, y = (b[(size_t)i * stride] - mb) / nb;
        da[(size_t)i * stride] -= (float)(weight * (y - r * x) / na);
    }
    return 1.0 - r;
}

/* All rows at once: p, q softmaxes; dp collects the gradient by p, then goes through the softmax. */
static void dist_whole(const rt_loss_batch *b, const rt_loss_io *io, float *p, float *q, float *dp)
{
    int k = io->n, rows = io->rows;
    const rt_loss_config *c = &b->config;
    double t2 = (double)c->temperature * c->temperature, w = c->soft * t2, intra = 0;
    memset(dp, 0, (size_t)rows * (size_t)k * sizeof *dp);
    for (int r0 = 0; r0 < rows; r0 += ROWS) {
        int n = rows - r0 < ROWS ? rows - r0 : ROWS;
        softmax_rows(p + (size_t)r0 * (size_t)k, io->value + (size_t)r0 * (size_t)k, 1.0f / c->temperature, n, k, NULL, NULL);
        teacher_rows(b, io, r0, n, 1.0f / c->temperature, q + (size_t)r0 * (size_t)k);
    }
    for (int j = 0; j < k; j++) intra += pearson(p + j, q + j, dp + j, rows, (size_t)k, w * c->gamma / k);
    for (int r = 0; r < rows; r++) {
        size_t at = (size_t)r * (size_t)k;
        double inter = pearson(p + at, q + at, dp + at, k, 1, w * c->beta / rows), dot = 0;
        for (int i = 0; i < k; i++) dot += (double)dp[at + (size_t)i] * p[at + (size_t)i];
        for (int i = 0; i < k; i++) io->grad[at + (size_t)i] += (float)(p[at + (size_t)i] * (dp[at + (size_t)i] - dot) / c->temperature);
        io->loss[r] += (float)(w * (c->beta * inter + c->gamma * intra / k));
    }
}

void rt_loss_fn_logits(void *arg, const rt_loss_io *io)
{
    const rt_loss_batch *b = arg;
    const rt_loss_config *c = &b->config;
    int k = io->n;
    size_t plane = (size_t)io->rows * (size_t)k;
    float *s0 = io->scratch, *s1 = s0 + plane, *s2 = s1 + plane, t = c->temperature;
    for (int r0 = 0; r0 < io->rows; r0 += ROWS) {
        int rows = io->rows - r0 < ROWS ? io->rows - r0 : ROWS;
        size_t at = (size_t)r0 * (size_t)k;
        if (c->hard > 0 && b->y) hard_rows(b, io, r0, rows, s0 + at);
        else {
            memset(io->grad + at, 0, (size_t)rows * (size_t)k * sizeof(float));
            memset(io->loss + r0, 0, (size_t)rows * sizeof(float));
        }
        if (!b->teacher || c->soft <= 0) continue;
        if (c->kind == RT_SOFT_DKD) {
            softmax_rows(s0 + at, io->value + at, 1.0f / t, rows, k, NULL, NULL);
            teacher_rows(b, io, r0, rows, 1.0f / t, s1 + at);
        }
        if (c->kind == RT_SOFT_KD) kd_rows(b, io, r0, rows, s0 + at, s1 + at, c->soft);
        else if (c->kind == RT_SOFT_ZSCORE) zscore_rows(b, io, r0, rows, s2 + at, s0 + at, s1 + at);
        else if (c->kind == RT_SOFT_MSE) mse_rows(b, io, r0, rows);
        else if (c->kind == RT_SOFT_DKD)
            for (int r = 0; r < rows; r++) {
                size_t row = at + (size_t)r * (size_t)k;
                int y = b->y ? b->y[io->row0 + r0 + r] : -1;
                if (y < 0) {                          /* no label: the teacher's answer is the target class */
                    y = 0;
                    for (int i = 1; i < k; i++) if (s1[row + (size_t)i] > s1[row + (size_t)y]) y = i;
                }
                dkd_row(c, k, y, s0 + row, s1 + row, io->grad + row, &io->loss[r0 + r], c->soft * b->soft_scale, (float)io->total);
            }
    }
    if (c->kind == RT_SOFT_DIST && b->teacher && c->soft > 0) dist_whole(b, io, s0, s1, s2);
}

void rt_loss_fn_hint(void *arg, const rt_loss_io *io)
{
    const rt_hint_batch *h = arg;
    size_t n = (size_t)io->n;
    for (int r = 0; r < io->rows; r++) {
        const float *v = io->value + (size_t)r * n, *t = h->target + (size_t)(io->row0 + r) * n;
        float *g = io->grad + (size_t)r * n, s = 0, scale = h->weight * 2.0f / ((float)n * (float)io->total);
        for (size_t i = 0; i < n; i++) {
            float d = v[i] - t[i];
            g[i] = scale * d;
            s += d * d;
        }
        io->loss[r] = h->weight * s / (float)n;
    }
}
