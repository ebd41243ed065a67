/* engine/cuda/loss_rows.cuh - what losses are of a row, and their gradients; see cuda_losses.h. A row is a team's: a
 * warp's, or, when it is long, a block's: who has it is decided by its length, so that its bits do not depend on other
 * rows. losses.cu has a launch for a loss; chain.cu takes them into that of the last dense layers. */
#ifndef RT_ENGINE_CUDA_LOSS_ROWS_CUH
#define RT_ENGINE_CUDA_LOSS_ROWS_CUH

#include "engine/cuda/cuda_losses.h"
#include "engine/cuda/device_code.h"

namespace {
enum { WARP = 32, BLOCK = 256 };

/* Each of M values becomes its sum over the team of N threads, in a fixed order. */
template <int N, int M, class T> RT_DEVICE void team_sum(T (&v)[M])
{
    RT_UNROLL
    for (int d = WARP / 2; d; d >>= 1) {
        RT_UNROLL
        for (int i = 0; i < M; i++) v[i] += __shfl_xor_sync(~0u, v[i], d);
    }
    if (N == WARP) return;
    RT_SHARED_2D(T, part, M, BLOCK / WARP);
    int warp = (int)threadIdx.x / WARP;
    if (threadIdx.x % WARP == 0) {
        RT_UNROLL
        for (int i = 0; i < M; i++) part[i][warp] = v[i];
    }
    __syncthreads();
    RT_UNROLL
    for (int i = 0; i < M; i++) {
        T s = part[i][0];
        for (int w = 1; w < BLOCK / WARP; w++) s += part[i][w];
        v[i] = s;
    }
    __syncthreads();
}

template <int N, class T> RT_DEVICE T team_sum(T x)
{
    T v[1] = {x};
    team_sum<N, 1, T>(v);
    return v[0];
}

/* The greatest of each; NaN is passed over. */
template <int N, int M> RT_DEVICE void team_max(float (&v)[M])
{
    RT_UNROLL
    for (int d = WARP / 2; d; d >>= 1) {
        RT_UNROLL
        for (int i = 0; i < M; i++) v[i] = fmaxf(v[i], __shfl_xor_sync(~0u, v[i], d));
    }
    if (N == WARP) return;
    RT_SHARED_2D(float, most, M, BLOCK / WARP);
    if (threadIdx.x % WARP == 0) {
        RT_UNROLL
        for (int i = 0; i < M; i++) most[i][threadIdx.x / WARP] = v[i];
    }
    __syncthreads();
    RT_UNROLL
    for (int i = 0; i < M; i++)
        for (int w = 0; w < BLOCK / WARP; w++) v[i] = fmaxf(v[i], most[i][w]);
    __syncthreads();
}

/* A loss's row: what is there of it, and of what the team computes. */
struct loss_row {
    const rt_cuda_loss_now *there;
    const char *block;
    const float *z;                    /* the model's outputs */
    float *g;
    const float *t, *other;            /* the teacher's; those of the partner that they are mixed with, or NULL */
    int row, partner;                  /* -1: no mixture */
    int y[2];                          /* labels of both; -1 where there is none */
    int n, lane, add;
    float lambda, total;
};

template <class T> RT_DEVICE const T *at_offset(const char *block, uint64_t offset)
{
    return offset ? (const T *)(block + offset) : nullptr;
}

/* Row `row` of loss i, whose outputs are at z and whose gradient goes to g; false: it is not there, and its gradient is
 * 0. */
template <int N>
RT_DEVICE bool begin(loss_row *r, int i, int row, const float *z, float *g, int add, int n, const rt_cuda_now *now)
{
    r->row = row;
    r->lane = (int)threadIdx.x % N;
    size_t at = (size_t)r->row * (size_t)n;
    r->z = z;
    r->g = g;
    r->n = n;
    r->add = add;
    if (r->row >= now->rows) {
        for (int j = r->lane; j < n && !add; j += N) r->g[j] = 0;
        return false;
    }
    const int *partner = at_offset<int>(now->block, now->partner);
    r->there = &now->loss[i];
    r->block = now->block;
    r->partner = partner ? partner[r->row] : -1;
    r->lambda = now->lambda;
    r->total = (float)now->total;
    const float *t = at_offset<float>(now->block, r->there->teacher);
    r->t = t ? t + at : nullptr;
    r->other = t && partner && !r->there->teacher_mixed ? t + (size_t)r->partner * (size_t)n : nullptr;
    const int32_t *y = at_offset<int32_t>(now->block, r->there->y);
    r->y[1] = y && r->partner >= 0 ? y[r->partner] : -1;
    r->y[0] = y ? y[r->row] : -1;                      /* last: nothing here waits for it */
    return true;
}

RT_DEVICE void put(const loss_row *r, int j, float g) { r->g[j] = r->add ? r->g[j] + g : g; }

RT_DEVICE float kl_term(float q, float log_q, float log_p) { return q > 0 ? q * (log_q - log_p) : 0.0f; }
RT_DEVICE float log_above_0(float p) { return logf(fmaxf(p, 1e-30f)); }

/* ---- classes ---- */

/* The softmax of z / T: exp((z - most) inverse) / sum. */
struct softmax {
    const float *z;
    float most, inverse, sum;
    __device__ float up(int j) const { return expf((z[j] - most) * inverse); }
    __device__ float at(int j) const { return up(j) / sum; }
};

/* Cross-entropy: the gradient by z_j is all p_j - even w_j, less own[s] where j is label s. */
struct hard_part {
    softmax p;
    const float *w;                    /* weights of classes or NULL */
    int y[2];
    float all, even, own[2], loss;
};

template <int N> RT_DEVICE void hard_of(hard_part *h, const loss_row *r, const rt_loss_desc &d, float most)
{
    h->all = h->even = h->own[0] = h->own[1] = h->loss = 0;
    h->y[0] = h->y[1] = -1;
    h->w = nullptr;
    h->p.z = r->z;
    h->p.most = most;
    h->p.inverse = h->p.sum = 1;
    if (!(d.hard > 0) || !r->there->y) return;
    const float *w = h->w = at_offset<float>(r->block, r->there->class_weight);
    float weight = d.hard * (r->there->hard_scale > 0 ? r->there->hard_scale : 1.0f), scale = weight / r->total;
    float e = d.smoothing, even = e / (float)r->n, lambda = r->partner >= 0 ? r->lambda : 1.0f;
    float part[2] = {lambda, 1.0f - lambda}, sums[3] = {0, 0, 0};           /* of e^z, log p, weights */
    h->y[0] = r->y[0];
    h->y[1] = r->y[1];
    for (int j = r->lane; j < r->n; j += N) {
        float of = w ? w[j] : 1.0f;
        sums[0] += h->p.up(j);
        if (!w || e > 0) sums[1] += of * (most - r->z[j]);
        sums[2] += of;
    }
    team_sum<N>(sums);
    h->p.sum = sums[0];
    float log_sum = logf(sums[0]), smooth = !w || e > 0 ? sums[1] + sums[2] * log_sum : 0;
    for (int s = 0; s < 2; s++) {
        if (h->y[s] < 0) continue;
        float own = (1.0f - e) * (w ? w[h->y[s]] : 1.0f);
        h->loss += weight * part[s] * (own * (most - r->z[h->y[s]] + log_sum) + even * smooth);
        h->all += part[s] * scale * (w ? own + even * sums[2] : 1.0f);
        h->even += part[s] * scale * even;
        h->own[s] = part[s] * scale * own;
    }
}

RT_DEVICE float hard_slope(const hard_part *h, int j)
{
    if (h->y[0] < 0 && h->y[1] < 0) return 0;
    float g = h->all * h->p.at(j) - h->even * (h->w ? h->w[j] : 1.0f);
    if (j == h->y[0]) g -= h->own[0];
    if (j == h->y[1]) g -= h->own[1];
    return g;
}

/* What all of this comes to for most: a label each, and no more classes than threads. */
RT_DEVICE bool is_plain(const loss_row *r, const rt_loss_desc &d)
{
    return r->n <= WARP && d.hard > 0 && !(d.smoothing > 0) && r->partner < 0 && r->there->y && !r->there->class_weight;
}
RT_DEVICE float cross_entropy(const loss_row *r, const rt_loss_desc &d)
{
    const int y = r->y[0];
    const bool mine = r->lane < r->n;
    float z = mine ? r->z[r->lane] : -INFINITY, own = y >= 0 ? r->z[y] : 0.0f, most[1] = {z},
          weight = d.hard * (r->there->hard_scale > 0 ? r->there->hard_scale : 1.0f), scale = weight / r->total;
    team_max<WARP>(most);
    float up = mine ? expf(z - most[0]) : 0.0f, sum = team_sum<WARP>(up);
    if (mine) put(r, r->lane, y < 0 ? 0.0f : scale * (up / sum) - (r->lane == y ? scale : 0.0f));
    return y < 0 ? 0.0f : weight * (most[0] - own + logf(sum));
}

/* The teacher's answer: softmax(t / T), or the mixture of two of them. */
struct answer {
    softmax q, other;
    float lambda;
    bool mixed;
    __device__ float at(int j) const
    {
        return mixed ? lambda * q.at(j) + (1.0f - lambda) * other.at(j) : q.at(j);
    }
};

/* The student's and the teacher's at a temperature; most: of z. */
template <int N>
RT_DEVICE void softmaxes(softmax *p, answer *q, const loss_row *r, float temperature, float most)
{
    float m[2] = {-INFINITY, -INFINITY}, s[3] = {0, 0, 0};
    q->mixed = r->other != nullptr;
    q->lambda = r->lambda;
    for (int j = r->lane; j < r->n; j += N) {
        m[0] = fmaxf(m[0], r->t[j]);
        if (q->mixed) m[1] = fmaxf(m[1], r->other[j]);
    }
    team_max<N>(m);
    p->z = r->z;
    q->q.z = r->t;
    q->other.z = r->other;
    p->most = most;
    q->q.most = m[0];
    q->other.most = m[1];
    p->inverse = q->q.inverse = q->other.inverse = 1.0f / temperature;
    for (int j = r->lane; j < r->n; j += N) {
        s[0] += p->up(j);
        s[1] += q->q.up(j);
        if (q->mixed) s[2] += q->other.up(j);
    }
    team_sum<N>(s);
    p->sum = s[0];
    q->q.sum = s[1];
    q->other.sum = s[2];
}

/* T^2 KL(q || p). */
template <int N> RT_DEVICE float kd(const loss_row *r, const rt_loss_desc &d, const hard_part *h, float most)
{
    softmax p;
    answer q;
    float t = d.temperature, scale = d.soft * t / r->total, kl = 0;
    softmaxes<N>(&p, &q, r, t, most);
    float log_sum = logf(p.sum), shift = logf(p.sum / q.q.sum) + (p.most - q.q.most) * p.inverse;
    for (int j = r->lane; j < r->n; j += N) {
        float a = q.at(j), z = r->z[j];
        if (q.mixed) kl += kl_term(a, log_above_0(a), (z - most) * p.inverse - log_sum);
        else kl += a * ((r->t[j] - z) * p.inverse + shift);
        put(r, j, hard_slope(h, j) + scale * (p.at(j) - a));
    }
    return d.soft * t * t * team_sum<N>(kl);
}

/* The class that the teacher answers: the first of the greatest; 0 where they are NaN. */
template <int N> RT_DEVICE int top_of(const loss_row *r, const answer *q)
{
    unsigned long long top = 0;                       /* the bits of what is not below 0, which grow with it; ~ index */
    for (int j = r->lane; j < r->n; j += N) {
        float x = q->at(j);
        unsigned long long key = (unsigned long long)__float_as_uint(x) << 32 | (0xffffffffu - (unsigned)j);
        if (x >= 0 && key > top) top = key;
    }
    for (int d = WARP / 2; d; d >>= 1) {
        unsigned long long key = __shfl_xor_sync(~0u, top, d);
        if (key > top) top = key;
    }
    if (N > WARP) {
        RT_SHARED(unsigned long long, tops, BLOCK / WARP);
        if (threadIdx.x % WARP == 0) tops[threadIdx.x / WARP] = top;
        __syncthreads();
        for (int w = 0; w < BLOCK / WARP; w++) if (tops[w] > top) top = tops[w];
        __syncthreads();
    }
    return top ? (int)(0xffffffffu - (unsigned)top) : 0;
}

/* What is not the target class is summed, and not 1 - p, of which nothing is left where p is near 1. */
template <int N> RT_DEVICE float dkd(const loss_row *r, const rt_loss_desc &d, const hard_part *h, float most)
{
    softmax p;
    answer q;
    softmaxes<N>(&p, &q, r, d.temperature, most);
    int y = d.teacher_target ? -1 : r->y[0];
    if (y < 0) y = top_of<N>(r, &q);
    float rest[2] = {0, 0}, nckd = 0, t = d.temperature, w = d.soft * r->there->soft_scale * t * t;
    for (int j = r->lane; j < r->n; j += N) {
        if (j == y) continue;
        rest[0] += p.at(j);
        rest[1] += q.at(j);
    }
    team_sum<N>(rest);
    float ps = fmaxf(p.at(y), 1e-12f), pt = q.at(y), rs = fmaxf(rest[0], 1e-12f), rt = rest[1];
    float tckd = kl_term(pt, log_above_0(pt), logf(ps)) + kl_term(rt, log_above_0(rt), logf(rs));
    float slope = (-pt / ps + rt / rs) * ps, scale = w / (t * r->total);
    for (int j = r->lane; j < r->n; j += N) {
        float g = d.alpha * slope * rest[0];
        if (j != y) {
            float s = p.at(j) / rs, u = rt > 1e-12f ? q.at(j) / rt : 1.0f / (float)(r->n - 1);
            nckd += kl_term(u, log_above_0(u), log_above_0(s));
            g = d.beta * (s - u) - d.alpha * slope * p.at(j);
        }
        put(r, j, hard_slope(h, j) + scale * g);
    }
    return w * (d.alpha * tckd + d.beta * team_sum<N>(nckd));
}

/* Logits of mean 0 and unbiased deviation 1. */
struct standard {
    const float *z;
    double mean, inverse;
    __device__ float at(int j) const { return (float)(((double)z[j] - mean) * inverse); }
};

template <int N> RT_DEVICE void standards(standard (&s)[3], const loss_row *r)
{
    double sum[3] = {0, 0, 0}, squares[3] = {0, 0, 0};
    const float *z[3] = {r->z, r->t, r->other};
    for (int j = r->lane; j < r->n; j += N) {
        RT_UNROLL
        for (int i = 0; i < 3; i++) if (z[i]) sum[i] += z[i][j];
    }
    team_sum<N>(sum);
    for (int j = r->lane; j < r->n; j += N) {
        RT_UNROLL
        for (int i = 0; i < 3; i++) {
            double x = z[i] ? z[i][j] - sum[i] / r->n : 0;
            squares[i] += x * x;
        }
    }
    team_sum<N>(squares);
    RT_UNROLL
    for (int i = 0; i < 3; i++) {
        s[i].z = z[i];
        s[i].mean = sum[i] / r->n;
        s[i].inverse = 1.0 / (sqrt(squares[i] / (r->n > 1 ? r->n - 1 : 1)) + 1e-7);
    }
}

/* Of the teacher's standardised logits, or the mixture of two rows of them. */
RT_DEVICE float standard_answer(const standard (&s)[3], const loss_row *r, int j)
{
    return r->other ? r->lambda * s[1].at(j) + (1.0f - r->lambda) * s[2].at(j) : s[1].at(j);
}

template <int N> RT_DEVICE float zscore(const loss_row *r, const rt_loss_desc &d, const hard_part *h)
{
    standard s[3];
    standards<N>(s, r);
    float t = d.temperature, inverse = 1.0f / t, most[2] = {-INFINITY, -INFINITY}, up[2] = {0, 0}, sums[3] = {0, 0, 0};
    for (int j = r->lane; j < r->n; j += N) {
        most[0] = fmaxf(most[0], s[0].at(j));
        most[1] = fmaxf(most[1], standard_answer(s, r, j));
    }
    team_max<N>(most);
    for (int j = r->lane; j < r->n; j += N) {
        up[0] += expf((s[0].at(j) - most[0]) * inverse);
        up[1] += expf((standard_answer(s, r, j) - most[1]) * inverse);
    }
    team_sum<N>(up);
    for (int j = r->lane; j < r->n; j += N) {
        float x = s[0].at(j), p = expf((x - most[0]) * inverse) / up[0],
              q = expf((standard_answer(s, r, j) - most[1]) * inverse) / up[1];
        sums[0] += p - q;
        sums[1] += (p - q) * x;
        sums[2] += kl_term(q, log_above_0(q), log_above_0(p));
    }
    team_sum<N>(sums);
    float mean = sums[0] / (float)r->n, dot = sums[1] / (float)(r->n > 1 ? r->n - 1 : 1);
    float scale = d.soft * t / r->total * (float)s[0].inverse;
    for (int j = r->lane; j < r->n; j += N) {
        float x = s[0].at(j), p = expf((x - most[0]) * inverse) / up[0],
              q = expf((standard_answer(s, r, j) - most[1]) * inverse) / up[1];
        put(r, j, hard_slope(h, j) + scale * (p - q - mean - x * dot));
    }
    return d.soft * t * t * sums[2];
}

template <int N> RT_DEVICE float squares(const loss_row *r, const rt_loss_desc &d, const hard_part *h)
{
    float scale = 2.0f * d.soft / r->total, s = 0;
    for (int j = r->lane; j < r->n; j += N) {
        float t = r->other ? r->lambda * r->t[j] + (1.0f - r->lambda) * r->other[j] : r->t[j], x = r->z[j] - t;
        s += x * x;
        put(r, j, hard_slope(h, j) + scale * x);
    }
    return d.soft * team_sum<N>(s);
}

/* Where the parts of dist's work space begin: six numbers of each column; p and q, in double, as correlations are of
 * what is left of them without their means. */
struct dist_space { double *column, *p, *q; };
RT_DEVICE dist_space dist_parts(float *planes, int rows, int n)
{
    double *at = (double *)planes, *p = at + 6 * (size_t)n;
    dist_space s = {at, p, p + (size_t)rows * (size_t)n};
    return s;
}

/* First part of dist: both softmaxes of the row into planes. */
template <int N>
RT_DEVICE void dist_row(const loss_row *r, const rt_loss_desc &d, const hard_part *h, float most, const dist_space &s)
{
    size_t at = (size_t)r->row * (size_t)r->n;
    double inverse = 1.0 / d.temperature, sum[3] = {0, 0, 0}, lambda = r->other ? r->lambda : 1;
    const float *z[3] = {r->z, r->t, r->other ? r->other : r->t};
    float m[3] = {most, -INFINITY, -INFINITY};
    for (int j = r->lane; j < r->n; j += N) {
        m[1] = fmaxf(m[1], z[1][j]);
        m[2] = fmaxf(m[2], z[2][j]);
    }
    team_max<N>(m);
    for (int j = r->lane; j < r->n; j += N) {
        RT_UNROLL
        for (int i = 0; i < 3; i++) sum[i] += exp(((double)z[i][j] - m[i]) * inverse);
    }
    team_sum<N>(sum);
    for (int j = r->lane; j < r->n; j += N) {
        double p[3];
        RT_UNROLL
        for (int i = 0; i < 3; i++) p[i] = exp(((double)z[i][j] - m[i]) * inverse) / sum[i];
        s.p[at + (size_t)j] = p[0];
        s.q[at + (size_t)j] = lambda * p[1] + (1.0 - lambda) * p[2];
        put(r, j, hard_slope(h, j));
    }
}

/* ---- labels and values, element by element ---- */

/* ln(1 + e^x), without overflow. */
RT_DEVICE float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
RT_DEVICE float sigmoid(float x)
{
    float e = expf(-fabsf(x));
    return (x >= 0 ? 1.0f : e) / (1.0f + e);
}

/* The loss of a real value that is d off, and its derivative. */
RT_DEVICE float real_loss(const rt_loss_desc &c, float d, float *slope)
{
    if (c.hard_kind == RT_HARD_HUBER) {
        bool near = fabsf(d) <= c.delta;
        *slope = near ? d : copysignf(c.delta, d);
        return near ? d * d / 2 : c.delta * (fabsf(d) - c.delta / 2);
    }
    if (c.hard_kind == RT_HARD_QUANTILE) {
        *slope = d > 0 ? 1 - c.level : d < 0 ? -c.level : 0;
        return *slope * d;
    }
    *slope = 2 * d;
    return d * d;
}

/* A row's element with its target at `at`, times weight: what it adds to the gradient before the division, and the
 * loss. */
template <int TASK>
RT_DEVICE float hard_element(const loss_row *r, const rt_loss_desc &d, const void *target, size_t at, float z,
                             float weight, float *g)
{
    const uint8_t *mask = at_offset<uint8_t>(r->block, r->there->mask);
    if (mask && !mask[at]) return 0;
    if (TASK == RT_TASK_MULTILABEL) {
        float y = ((const uint8_t *)target)[at];
        *g += weight * (sigmoid(z) - y);
        return weight * (softplus(z) - y * z);
    }
    float slope, loss = real_loss(d, z - ((const float *)target)[at], &slope);
    *g += weight * slope;
    return weight * loss;
}

template <int TASK> RT_DEVICE float soft_element(const loss_row *r, const rt_loss_desc &d, int j, float *g)
{
    float z = r->z[j], t = r->t[j], lambda = r->lambda;
    if (TASK == RT_TASK_MULTILABEL) {
        float temperature = d.temperature, a = t / temperature, x = z / temperature, q = sigmoid(a),
              kl = q * (softplus(x) - softplus(a) + a - x) + (1 - q) * (softplus(x) - softplus(a));
        if (r->other) {
            float o = r->other[j] / temperature, not_q = lambda * sigmoid(-a) + (1 - lambda) * sigmoid(-o);
            q = lambda * q + (1 - lambda) * sigmoid(o);
            kl = q * (log_above_0(q) + softplus(-x)) + not_q * (log_above_0(not_q) + softplus(x));
        }
        *g += d.soft * temperature * (sigmoid(x) - q);
        return d.soft * temperature * temperature * kl;
    }
    float slope, loss = real_loss(d, z - (r->other ? lambda * t + (1 - lambda) * r->other[j] : t), &slope);
    *g += d.soft * slope;
    return d.soft * loss;
}

/* ---- a row of each kind; what it returns is the row's loss before the division, of the team's first lane ---- */

/* Of classes these are the kinds of soft losses. */
enum { OF_LABELS = 16, OF_VALUES, OF_HINTS };

template <int N, int KIND> RT_DEVICE float classes(const loss_row *r, const rt_loss_desc &d, float *planes, int rows)
{
    if (N == WARP && (KIND == RT_SOFT_NONE || !r->t) && is_plain(r, d)) return cross_entropy(r, d);
    float most[1] = {-INFINITY};
    for (int j = r->lane; j < r->n; j += N) most[0] = fmaxf(most[0], r->z[j]);
    team_max<N>(most);
    hard_part h;
    hard_of<N>(&h, r, d, most[0]);
    float loss = h.loss;
    if (KIND == RT_SOFT_NONE || !r->t) for (int j = r->lane; j < r->n; j += N) put(r, j, hard_slope(&h, j));
    else if (KIND == RT_SOFT_KD) loss += kd<N>(r, d, &h, most[0]);
    else if (KIND == RT_SOFT_DKD) loss += dkd<N>(r, d, &h, most[0]);
    else if (KIND == RT_SOFT_ZSCORE) loss += zscore<N>(r, d, &h);
    else if (KIND == RT_SOFT_MSE) loss += squares<N>(r, d, &h);
    else if (KIND == RT_SOFT_DIST) dist_row<N>(r, d, &h, most[0], dist_parts(planes, rows, r->n));
    return loss;
}

template <int N, int TASK> RT_DEVICE float elements(const loss_row *r, const rt_loss_desc &d)
{
    const rt_cuda_loss_now *l = r->there;
    const void *target = at_offset<void>(r->block, TASK == RT_TASK_MULTILABEL ? l->labels : l->values);
    float weight = d.hard * (l->hard_scale > 0 ? l->hard_scale : 1), own = r->partner >= 0 ? r->lambda : 1, loss = 0;
    bool hard = target && weight > 0,
         soft = r->t && d.soft > 0 && d.kind == (TASK == RT_TASK_MULTILABEL ? RT_SOFT_BKD : RT_SOFT_VALUES);
    for (int j = r->lane; j < r->n; j += N) {
        size_t at = (size_t)r->row * (size_t)r->n + (size_t)j, mixed = (size_t)r->partner * (size_t)r->n + (size_t)j;
        float g = 0, z = r->z[j];
        if (hard) loss += hard_element<TASK>(r, d, target, at, z, own * weight, &g);
        if (hard && r->partner >= 0) loss += hard_element<TASK>(r, d, target, mixed, z, (1 - own) * weight, &g);
        if (soft) loss += soft_element<TASK>(r, d, j, &g);
        put(r, j, g / r->total);
    }
    return team_sum<N>(loss);
}

/* A layer like the teacher's: the mean square, whatever is mixed. */
template <int N> RT_DEVICE float hint(const loss_row *r, const rt_loss_desc &d)
{
    const float *t = at_offset<float>(r->block, r->there->values) + (size_t)r->row * (size_t)r->n;
    float scale = d.hard * 2.0f / ((float)r->n * r->total), s = 0;
    for (int j = r->lane; j < r->n; j += N) {
        float x = r->z[j] - t[j];
        s += x * x;
        put(r, j, scale * x);
    }
    s = team_sum<N>(s);
    return d.hard * s / (float)r->n;
}

/* rows: of the whole step, in whose planes dist works. */
template <int N, int WHAT> RT_DEVICE float loss_of(const loss_row *r, const rt_loss_desc &d, float *planes, int rows)
{
    if constexpr (WHAT == OF_LABELS) return elements<N, RT_TASK_MULTILABEL>(r, d);
    else if constexpr (WHAT == OF_VALUES) return elements<N, RT_TASK_REAL>(r, d);
    else if constexpr (WHAT == OF_HINTS) return hint<N>(r, d);
    else return classes<N, WHAT>(r, d, planes, rows);
}
inline int kind_of(const rt_loss_desc &d)
{
    if (d.task == RT_TASK_MULTILABEL) return OF_LABELS;
    if (d.task == RT_TASK_REAL) return d.hard_kind == RT_HARD_HINT ? OF_HINTS : OF_VALUES;
    return d.soft > 0 && d.kind <= RT_SOFT_MSE ? (int)d.kind : (int)RT_SOFT_NONE;
}

/* ---- the step's end ---- */

/* What rt_k_loss_end does, by a block of THREADS: as many warps for each loss. First the sums of warps into part;
 * behind a barrier each loss before its division; then, by one thread, what the host is told. */
template <int THREADS> RT_DEVICE void add_losses(const rt_loss_sums &e, const rt_cuda_now *now, double *part)
{
    int each = THREADS / WARP / e.losses, warp = (int)threadIdx.x / WARP, l = warp / each;
    int rows = e.batch < now->rows ? e.batch : now->rows;
    double s[1] = {0};
    for (int r = warp % each * WARP + (int)threadIdx.x % WARP; r < rows && l < e.losses; r += each * WARP)
        s[0] += e.rows[(size_t)l * (size_t)e.batch + (size_t)r];
    team_sum<WARP>(s);
    if (threadIdx.x % WARP == 0) part[warp] = s[0];
}
template <int THREADS> RT_DEVICE double loss_of_parts(const rt_loss_sums &e, const double *part, int loss)
{
    int each = THREADS / WARP / e.losses;
    double s = 0;
    for (int w = 0; w < each && loss < e.losses; w++) s += part[loss * each + w];
    return s;
}
template <int THREADS>
RT_DEVICE void tell(const rt_loss_sums &e, const rt_cuda_now *now, const double *part, unsigned long long bad)
{
    rt_cuda_result *to = (e.held && !e.tells ? e.held : e.result) + (now->number - 1) % (uint64_t)e.results;
    double total = 0;
    for (int k = 0; k < e.losses; k++) total += to->loss[k] = loss_of_parts<THREADS>(e, part, k) / now->total;
    for (int k = e.losses; k < RT_MAX_LOSSES; k++) to->loss[k] = 0;
    to->total = total;
    to->epoch = now->epoch;
    to->step = now->step;
    if (!bad && !(fabs(total) < INFINITY)) RT_STORE_WORD(e.trouble->bad, bad = now->number);
    to->bad = bad != 0;
    to->unused = 0;
    if (e.count && e.tells) *e.count = now->number;
}
template <int THREADS> RT_DEVICE void end_losses(const rt_loss_sums &e, const rt_cuda_now *now)
{
    enum { WORDS = sizeof(rt_cuda_result) / sizeof(uint64_t) };
    static_assert(sizeof(rt_cuda_result) % sizeof(uint64_t) == 0, "a result is whole words");
    RT_SHARED(double, part, THREADS / WARP);
    const unsigned long long bad = threadIdx.x == 0 ? RT_LOAD_WORD(e.trouble->bad) : 0;
    add_losses<THREADS>(e, now, part);
    for (int i = (int)threadIdx.x; e.held && i < (e.tells - 1) * WORDS; i += THREADS) {     /* of the steps before */
        size_t at = (size_t)((now->number - (uint64_t)e.tells + (uint64_t)(i / WORDS)) % (uint64_t)e.results) * WORDS +
                    (size_t)(i % WORDS);
        ((uint64_t *)e.result)[at] = ((const uint64_t *)e.held)[at];
    }
    __syncthreads();
    if (threadIdx.x == 0) tell<THREADS>(e, now, part, bad);
}
}
#endif
