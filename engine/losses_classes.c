#include <math.h>
#include <string.h>

#include "engine/kernels.h"
#include "engine/losses_parts.h"

enum { L = RT_LANES };

/* Sixteen rows of the batch side by side: element (class j, row r) of a plane lies at [j * L + r]. */
typedef struct {
    const rt_loss_batch *b;
    const rt_loss_io *io;
    int r0, rows, k;                      /* rows are [r0, r0 + rows) of io; lanes from rows on hold zeros */
    float *z, *t, *g, *p, *q, *other;     /* student's and teacher's logits, gradient, and work space */
    float *kept;                          /* focal: the hard loss's gradient */
    float loss[L];
} block;

static void softmax(float *p, float *log_sum, const float *z, float scale, int k)
{ rt_kernels_get()->block_softmax(p, log_sum, z, scale, k); }

/* Rows whose teacher's logits this row's are to be mixed with. */
static const int *soft_partner(const rt_loss_batch *b) { return b->teacher_mixed ? NULL : b->partner; }

/* The teacher's logits of the block's rows into t; those of their partners, where there are any, into other. */
static void load_teacher(block *a)
{
    const int *partner = soft_partner(a->b);
    size_t k = (size_t)a->k;
    int row0 = a->io->row0 + a->r0;
    const float *own = rt_loss_teacher(a->b, row0, a->k);
    if (a->b->stride) {
        for (int r = 0; r < a->rows; r++)
            memcpy(a->q + (size_t)r * k, rt_loss_teacher(a->b, row0 + r, a->k), k * sizeof(float));
        own = a->q;
    }
    rt_kernels_get()->block_in(a->t, own, a->rows, a->k);
    if (!partner) return;
    for (int r = 0; r < a->rows; r++)
        memcpy(a->q + (size_t)r * k, rt_loss_teacher(a->b, partner[row0 + r], a->k), k * sizeof(float));
    rt_kernels_get()->block_in(a->other, a->q, a->rows, a->k);
}

/* q = lambda q + (1 - lambda) other */
static void mix(const block *a)
{
    float lambda = a->b->lambda;
    for (int i = 0; i < a->k * L; i++) a->q[i] = lambda * a->q[i] + (1.0f - lambda) * a->other[i];
}

/* g = weight (p - q) / total; loss = weight CE */
static void hard_block(block *a)
{
    const rt_loss_batch *b = a->b;
    int k = a->k;
    float log_sum[L], share[L] = {0}, mean[L] = {0}, e = b->config.smoothing;
    float weight = b->config.hard * (b->hard_scale > 0 ? b->hard_scale : 1.0f), scale = weight / (float)a->io->total;
    float lambda = b->partner ? b->lambda : 1.0f;
    softmax(a->p, log_sum, a->z, 1.0f, k);
    for (int r = 0; r < a->rows; r++) {
        int at = a->io->row0 + a->r0 + r;
        if (b->y[at] >= 0) share[r] += lambda;
        if (b->partner && b->y[b->partner[at]] >= 0) share[r] += 1.0f - lambda;
    }
    for (int j = 0; j < k; j++)
        for (int r = 0; r < L; r++) {
            a->g[j * L + r] = share[r] * scale * (a->p[j * L + r] - e / (float)k);
            mean[r] += log_sum[r] - a->z[j * L + r];
        }
    for (int r = 0; r < a->rows; r++) {
        int at = a->io->row0 + a->r0 + r, y[2] = {b->y[at], b->partner ? b->y[b->partner[at]] : -1};
        float part[2] = {lambda, 1.0f - lambda}, loss = share[r] * e * mean[r] / (float)k;
        for (int s = 0; s < 2; s++) {
            if (y[s] < 0) continue;
            a->g[y[s] * L + r] -= part[s] * (1.0f - e) * scale;
            loss += part[s] * (1.0f - e) * (log_sum[r] - a->z[y[s] * L + r]);
        }
        a->loss[r] = weight * loss;
    }
}

/* The same with weights of classes: g = weight sum over the row's labels of part (W p - w q'), W = sum_k w_k q'_k. */
static void weighted_hard_block(block *a)
{
    const rt_loss_batch *b = a->b;
    const float *w = b->class_weight;
    int k = a->k;
    float log_sum[L], e = b->config.smoothing, even = e / (float)k, all = 0;
    float weight = b->config.hard * (b->hard_scale > 0 ? b->hard_scale : 1.0f), scale = weight / (float)a->io->total;
    float lambda = b->partner ? b->lambda : 1.0f;
    softmax(a->p, log_sum, a->z, 1.0f, k);
    memset(a->g, 0, (size_t)k * L * sizeof *a->g);
    for (int j = 0; j < k; j++) all += w[j];
    for (int r = 0; r < a->rows; r++) {
        int at = a->io->row0 + a->r0 + r, y[2] = {b->y[at], b->partner ? b->y[b->partner[at]] : -1};
        float part[2] = {lambda, 1.0f - lambda}, loss = 0, smooth = 0;
        for (int j = 0; j < k && e > 0; j++) smooth += w[j] * (log_sum[r] - a->z[j * L + r]);
        for (int s = 0; s < 2; s++) {
            if (y[s] < 0) continue;
            float own = (1.0f - e) * w[y[s]], total = own + even * all;
            loss += part[s] * (own * (log_sum[r] - a->z[y[s] * L + r]) + even * smooth);
            for (int j = 0; j < k; j++) a->g[j * L + r] += part[s] * scale * (total * a->p[j * L + r] - even * w[j]);
            a->g[y[s] * L + r] -= part[s] * scale * own;
        }
        a->loss[r] = weight * loss;
    }
}

/* ---- focal ---- */

static int is_right(const float *t, int k, int y)
{
    int top = 0;
    for (int j = 1; j < k; j++) if (t[j] > t[top]) top = j;
    return top == y;
}

/* alpha + beta r of row `at` of the batch. */
static float focus(const rt_loss_batch *b, int at, int k)
{
    float right = 0, part[2] = {b->partner ? b->lambda : 1.0f, 1.0f - b->lambda};
    for (int s = 0; s < (b->partner ? 2 : 1) && b->y; s++) {
        int row = s ? b->partner[at] : at, seen = b->teacher_mixed ? at : row;       /* what the teacher answered */
        right += part[s] * (float)(b->y[row] >= 0 && is_right(rt_loss_teacher(b, seen, k), k, b->y[row]));
    }
    return b->focal.alpha + b->focal.beta * right;
}

/* What the soft loss added to loss (before: hard) and, from 0, to g is weighed row by row; then the hard part comes to
 * it. */
static void focal_block(block *a, const float *hard)
{
    float w[L] = {0};
    for (int r = 0; r < a->rows; r++) {
        w[r] = focus(a->b, a->io->row0 + a->r0 + r, a->k);
        a->loss[r] = hard[r] + w[r] * (a->loss[r] - hard[r]);
    }
    for (int j = 0; j < a->k * L; j += L)
        for (int r = 0; r < L; r++) a->g[j + r] = a->kept[j + r] + w[r] * a->g[j + r];
}

static float kl_term(float q, float log_q, float log_p) { return q > 0 ? q * (log_q - log_p) : 0.0f; }

/* T^2 KL(q || p): adds to loss, and T (p - q) to g. */
static void kd_block(block *a)
{
    int k = a->k;
    float t = a->b->config.temperature, inverse = 1.0f / t, weight = a->b->config.soft,
          scale = weight * t / (float)a->io->total;
    float s[L] = {0}, log_sum[L];
    if (!soft_partner(a->b)) rt_kernels_get()->block_kl(a->g, s, a->p, a->q, a->z, a->t, inverse, scale, k);
    else { /* a mixture of the teacher's answers: its logarithms are not linear */
        softmax(a->p, log_sum, a->z, inverse, k);
        softmax(a->q, NULL, a->t, inverse, k);
        softmax(a->other, NULL, a->other, inverse, k);
        mix(a);
        for (int i = 0; i < k * L; i++) a->other[i] = fmaxf(a->q[i], 1e-30f);
        rt_kernels_get()->log_n(a->other, a->other, (size_t)k * L);
        for (int j = 0; j < k * L; j += L)
            for (int r = 0; r < L; r++) {
                s[r] += kl_term(a->q[j + r], a->other[j + r], a->z[j + r] * inverse - log_sum[r]);
                a->g[j + r] += scale * (a->p[j + r] - a->q[j + r]);
            }
    }
    for (int r = 0; r < L; r++) a->loss[r] += weight * t * t * s[r];
}

/* One row of a block: its elements are L apart. */
static void dkd_row(const rt_loss_desc *c, int k, int y, const float *p, const float *q, float *g, float *loss,
                    float weight, float total)
{
    float t = c->temperature, ps = fmaxf(p[y * L], 1e-12f), pt = q[y * L], rs = fmaxf(1.0f - p[y * L], 1e-12f),
          rt = fmaxf(1.0f - q[y * L], 0.0f);
    float w = weight * t * t, scale = w / (t * total);
    float tckd = kl_term(pt, logf(fmaxf(pt, 1e-30f)), logf(ps)) + kl_term(rt, logf(fmaxf(rt, 1e-30f)), logf(rs));
    float d = (-pt / ps + rt / rs) * ps;              /* dTCKD/dp_y p_y */
    float nckd = 0;
    for (int j = 0; j < k; j++) {
        float s = 0, u = 0;
        if (j != y) {
            s = p[j * L] / rs;
            u = rt > 1e-12f ? q[j * L] / rt : 1.0f / (float)(k - 1);
            nckd += kl_term(u, logf(fmaxf(u, 1e-30f)), logf(fmaxf(s, 1e-30f)));
        }
        g[j * L] += scale * (c->alpha * d * ((j == y ? 1.0f : 0.0f) - p[j * L]) + (j == y ? 0.0f : c->beta * (s - u)));
    }
    *loss += w * (c->alpha * tckd + c->beta * nckd);
}

static void dkd_block(block *a)
{
    const rt_loss_desc *c = &a->b->config;
    float inverse = 1.0f / c->temperature;
    softmax(a->p, NULL, a->z, inverse, a->k);
    softmax(a->q, NULL, a->t, inverse, a->k);
    if (soft_partner(a->b)) {
        softmax(a->other, NULL, a->other, inverse, a->k);
        mix(a);
    }
    for (int r = 0; r < a->rows; r++) {
        int y = a->b->y && !c->teacher_target ? a->b->y[a->io->row0 + a->r0 + r] : -1;
        if (y < 0) {                                  /* no label: the teacher's answer is the target class */
            y = 0;
            for (int j = 1; j < a->k; j++) if (a->q[j * L + r] > a->q[y * L + r]) y = j;
        }
        dkd_row(c, a->k, y, a->p + r, a->q + r, a->g + r, &a->loss[r], c->soft * a->b->soft_scale, (float)a->io->total);
    }
}

/* (x - mean) / deviation of each row; 1 / deviation is kept. */
static void standardize(float *out, const float *z, int k, float *inverse)
{
    for (int r = 0; r < L; r++) {
        double s = 0, q = 0;
        for (int j = 0; j < k; j++) s += z[j * L + r];
        double mean = s / k;
        for (int j = 0; j < k; j++) q += (z[j * L + r] - mean) * (z[j * L + r] - mean);
        double inv = 1.0 / (sqrt(q / (k > 1 ? k - 1 : 1)) + 1e-7);
        for (int j = 0; j < k; j++) out[j * L + r] = (float)((z[j * L + r] - mean) * inv);
        inverse[r] = (float)inv;
    }
}

static void zscore_block(block *a)
{
    int k = a->k;
    float inverse[L], unused[L], t = a->b->config.temperature, w = a->b->config.soft,
                                 scale = w * t / (float)a->io->total;
    standardize(a->q, a->t, k, unused);
    if (soft_partner(a->b)) {                         /* a mixture of the teacher's standardised logits */
        standardize(a->other, a->other, k, unused);
        mix(a);
    }
    softmax(a->q, NULL, a->q, 1.0f / t, k);
    float *s = a->other;
    standardize(s, a->z, k, inverse);
    softmax(a->p, NULL, s, 1.0f / t, k);
    for (int r = 0; r < a->rows; r++) {
        const float *p = a->p + r, *q = a->q + r, *z = s + r;
        float mean = 0, dot = 0, kl = 0;
        for (int j = 0; j < k * L; j += L) {
            mean += p[j] - q[j];
            dot += (p[j] - q[j]) * z[j];
            kl += kl_term(q[j], logf(fmaxf(q[j], 1e-30f)), logf(fmaxf(p[j], 1e-30f)));
        }
        mean /= (float)k;
        for (int j = 0; j < k * L; j += L)
            a->g[j + r] += scale * inverse[r] * (p[j] - q[j] - mean - z[j] * dot / (float)(k > 1 ? k - 1 : 1));
        a->loss[r] += w * t * t * kl;
    }
}

static void mse_block(block *a)
{
    float w = a->b->config.soft, scale = 2.0f * w / (float)a->io->total, s[L] = {0};
    size_t n = (size_t)a->k * L;
    memcpy(a->q, a->t, n * sizeof(float));
    if (soft_partner(a->b)) mix(a);
    for (int j = 0; j < a->k * L; j += L)
        for (int r = 0; r < L; r++) {
            float d = a->z[j + r] - a->q[j + r];
            a->g[j + r] += scale * d;
            s[r] += d * d;
        }
    for (int r = 0; r < L; r++) a->loss[r] += w * s[r];
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

/* First half of dist: the rows of its planes p and q. */
static void dist_block(block *a, float *p, float *q)
{
    const rt_kernels *kn = rt_kernels_get();
    float inverse = 1.0f / a->b->config.temperature;
    size_t at = (size_t)a->r0 * (size_t)a->k;
    softmax(a->p, NULL, a->z, inverse, a->k);
    softmax(a->q, NULL, a->t, inverse, a->k);
    if (soft_partner(a->b)) {
        softmax(a->other, NULL, a->other, inverse, a->k);
        mix(a);
    }
    kn->block_out(p + at, a->p, a->rows, a->k);
    kn->block_out(q + at, a->q, a->rows, a->k);
}

/* Second half, all rows at once: dp collects the gradient by p, then goes through the softmax. */
static void dist_whole(const rt_loss_batch *b, const rt_loss_io *io, const float *p, const float *q, float *dp)
{
    int k = io->n, rows = io->rows;
    const rt_loss_desc *c = &b->config;
    double t2 = (double)c->temperature * c->temperature, w = c->soft * t2, intra = 0;
    memset(dp, 0, (size_t)rows * (size_t)k * sizeof *dp);
    for (int j = 0; j < k; j++) intra += pearson(p + j, q + j, dp + j, rows, (size_t)k, w * c->gamma / k);
    for (int r = 0; r < rows; r++) {
        size_t at = (size_t)r * (size_t)k;
        double inter = pearson(p + at, q + at, dp + at, k, 1, w * c->beta / rows), dot = 0;
        for (int i = 0; i < k; i++) dot += (double)dp[at + (size_t)i] * p[at + (size_t)i];
        for (int i = 0; i < k; i++)
            io->grad[at + (size_t)i] += (float)(p[at + (size_t)i] * (dp[at + (size_t)i] - dot) / c->temperature);
        io->loss[r] += (float)(w * (c->beta * inter + c->gamma * intra / k));
    }
}

void rt_loss_classes(const rt_loss_batch *b, const rt_loss_io *io)
{
    const rt_loss_desc *c = &b->config;
    const rt_kernels *kn = rt_kernels_get();
    int k = io->n, soft = b->teacher && c->soft > 0;
    size_t plane = (size_t)k * L, whole = (size_t)io->rows * (size_t)k;
    float *s = io->scratch;
    for (int r0 = 0; r0 < io->rows; r0 += L) {
        block a = {.b = b,
                   .io = io,
                   .r0 = r0,
                   .rows = io->rows - r0 < L ? io->rows - r0 : L,
                   .k = k,
                   .z = s,
                   .t = s + plane,
                   .g = s + 2 * plane,
                   .p = s + 3 * plane,
                   .q = s + 4 * plane,
                   .other = s + 5 * plane,
                   .kept = s + 6 * plane};
        size_t at = (size_t)r0 * (size_t)k;
        kn->block_in(a.z, io->value + at, a.rows, k);
        if (c->hard > 0 && b->y && b->class_weight) weighted_hard_block(&a);
        else if (c->hard > 0 && b->y) hard_block(&a);
        else memset(a.g, 0, plane * sizeof(float));
        float hard[L];
        if (soft && b->focal.on) {
            memcpy(hard, a.loss, sizeof hard);
            memcpy(a.kept, a.g, plane * sizeof(float));
            memset(a.g, 0, plane * sizeof(float));
        }
        if (soft) {
            load_teacher(&a);
            switch (c->kind) {
            case RT_SOFT_NONE: case RT_SOFT_BKD: case RT_SOFT_VALUES: break;     /* none, or of another task */
            case RT_SOFT_KD: kd_block(&a); break;
            case RT_SOFT_DKD: dkd_block(&a); break;
            case RT_SOFT_DIST: dist_block(&a, io->planes, io->planes + whole); break;
            case RT_SOFT_ZSCORE: zscore_block(&a); break;
            case RT_SOFT_MSE: mse_block(&a); break;
            }
        }
        if (soft && b->focal.on) focal_block(&a, hard);
        kn->block_out(io->grad + at, a.g, a.rows, k);
        memcpy(io->loss + r0, a.loss, (size_t)a.rows * sizeof(float));
    }
    if (soft && c->kind == RT_SOFT_DIST) dist_whole(b, io, io->planes, io->planes + whole, io->planes + 2 * whole);
}
