/* Losses and their gradients, a launch each; see cuda_losses.h, and loss_rows.cuh for what a row's is. */
#include "engine/cuda/loss_rows.cuh"

namespace {
enum { WARPS = 4 /* of rows in a block */, LONG = 256 /* beyond: a block a row */ };

/* Which row this thread works at. */
template <int N> RT_DEVICE int own_row()
{
    return N == WARP ? (int)blockIdx.x * WARPS + (int)threadIdx.x / WARP : (int)blockIdx.x;
}

template <int N, int WHAT>
__global__ void __launch_bounds__(BLOCK, WHAT < OF_LABELS ? 2 : 1)
    k_loss(rt_loss_desc d, int i, const float *value, float *grad, int add, float *loss_rows, float *planes, int rows,
           int n, const rt_cuda_now *now)
{
    loss_row r;
    int row = own_row<N>();
    if (row >= rows) return;
    size_t at = (size_t)row * (size_t)n;
    bool there = begin<N>(&r, i, row, value + at, grad + at, add, n, now);
    float loss = there ? loss_of<N, WHAT>(&r, d, planes, rows) : 0.0f;
    if (r.lane == 0) loss_rows[row] = loss;
}

/* ---- dist: correlations over the batch, then over each row ---- */

/* Of two rows of numbers: means, deviations with 1e-8 added, correlation r, and r over the deviation without that. */
struct pair {
    double mean_a, mean_b, dev_a, dev_b, r, back;
    /* dr / da at elements a, b. */
    __device__ double slope(double a, double b) const
    {
        return ((b - mean_b) / dev_b - back * (a - mean_a)) / dev_a;
    }
};
RT_DEVICE pair correlated(double mean_a, double mean_b, double aa, double bb, double ab)
{
    pair c = {mean_a, mean_b, sqrt(aa) + 1e-8, sqrt(bb) + 1e-8, 0, 0};
    c.r = ab / (c.dev_a * c.dev_b);
    if (aa > 0) c.back = c.r / sqrt(aa);
    return c;
}

enum { SIDE = 32, DOWN = 8 };          /* columns and groups of rows of a block */

/* The sum over a block's groups of rows, for each column. */
template <int M> RT_DEVICE void group_sum(double (&v)[M])
{
    RT_SHARED_2D(double, part, M * DOWN, SIDE);
    for (int i = 0; i < M; i++) part[i * DOWN + (int)threadIdx.y][threadIdx.x] = v[i];
    __syncthreads();
    for (int i = 0; i < M; i++) {
        v[i] = part[i * DOWN][threadIdx.x];
        for (int k = 1; k < DOWN; k++) v[i] += part[i * DOWN + k][threadIdx.x];
    }
    __syncthreads();
}

__global__ void __launch_bounds__(BLOCK) k_dist_columns(int i, float *planes, int rows, int n, const rt_cuda_now *now)
{
    int j = (int)(blockIdx.x * SIDE + threadIdx.x), there = rows < now->rows ? rows : now->rows;
    if (!now->loss[i].teacher) return;
    dist_space s = dist_parts(planes, rows, n);
    double m[2] = {0, 0}, q[3] = {0, 0, 0};
    for (int r = (int)threadIdx.y; r < there && j < n; r += DOWN) {
        m[0] += s.p[(size_t)r * (size_t)n + (size_t)j];
        m[1] += s.q[(size_t)r * (size_t)n + (size_t)j];
    }
    group_sum(m);
    m[0] /= there;
    m[1] /= there;
    for (int r = (int)threadIdx.y; r < there && j < n; r += DOWN) {
        double x = s.p[(size_t)r * (size_t)n + (size_t)j] - m[0], y = s.q[(size_t)r * (size_t)n + (size_t)j] - m[1];
        q[0] += x * x;
        q[1] += y * y;
        q[2] += x * y;
    }
    group_sum(q);
    if (threadIdx.y || j >= n) return;
    pair c = correlated(m[0], m[1], q[0], q[1], q[2]);
    double *to = s.column + 6 * (size_t)j;
    to[0] = c.mean_a;
    to[1] = c.mean_b;
    to[2] = c.dev_a;
    to[3] = c.dev_b;
    to[4] = c.r;
    to[5] = c.back;
}

template <int N>
__global__ void __launch_bounds__(BLOCK, 2)
    k_dist_rows(rt_loss_desc d, int i, float *grad, float *loss_rows, float *planes, int rows, int n,
                const rt_cuda_now *now)
{
    int row = own_row<N>(), lane = (int)threadIdx.x % N, there = rows < now->rows ? rows : now->rows;
    if (row >= there || !now->loss[i].teacher) return;
    dist_space s = dist_parts(planes, rows, n);
    const double *p = s.p + (size_t)row * (size_t)n, *q = s.q + (size_t)row * (size_t)n;
    float *g = grad + (size_t)row * (size_t)n;
    double m[3] = {0, 0, 0}, c[3] = {0, 0, 0}, t = d.temperature, w = d.soft * t * t, dot = 0;
    for (int j = lane; j < n; j += N) {
        m[0] += p[j];
        m[1] += q[j];
        m[2] += 1.0 - s.column[6 * (size_t)j + 4];
    }
    team_sum<N>(m);
    m[0] /= n;
    m[1] /= n;
    for (int j = lane; j < n; j += N) {
        double x = p[j] - m[0], y = q[j] - m[1];
        c[0] += x * x;
        c[1] += y * y;
        c[2] += x * y;
    }
    team_sum<N>(c);
    pair inter = correlated(m[0], m[1], c[0], c[1], c[2]);
    double of_row = w * d.beta / there, of_column = w * d.gamma / n;
    for (int pass = 0; pass < 2; pass++) {
        for (int j = lane; j < n; j += N) {
            const double *k = s.column + 6 * (size_t)j;
            pair intra = {k[0], k[1], k[2], k[3], k[4], k[5]};
            double slope = -of_row * inter.slope(p[j], q[j]) - of_column * intra.slope(p[j], q[j]);
            if (pass) g[j] += (float)(p[j] * (slope - dot) / t);
            else dot += slope * p[j];
        }
        if (!pass) dot = team_sum<N>(dot);
    }
    if (lane == 0) loss_rows[row] += (float)(w * (d.beta * (1.0 - inter.r) + d.gamma * m[2] / n));
}

enum { ENDERS = 1024 };

__global__ void __launch_bounds__(ENDERS) k_loss_end(rt_loss_sums e, const rt_cuda_now *now)
{
    end_losses<ENDERS>(e, now);
}
}

/* ---- launches ---- */

template <int N>
static void launch(cudaStream_t stream, dim3 grid, dim3 block, const rt_loss_desc &d, int i, const float *value,
                   float *grad, int add, float *loss_rows, float *planes, int rows, int n, const rt_cuda_now *now)
{
#define KIND(WHAT) \
    case WHAT: \
        RT_LAUNCH((k_loss<N, WHAT>), grid, block, 0, stream, d, i, value, grad, add, loss_rows, planes, rows, n, now); \
        break
    switch (kind_of(d)) {
        KIND(RT_SOFT_NONE);
        KIND(RT_SOFT_KD);
        KIND(RT_SOFT_DKD);
        KIND(RT_SOFT_DIST);
        KIND(RT_SOFT_ZSCORE);
        KIND(RT_SOFT_MSE);
        KIND(OF_LABELS);
        KIND(OF_VALUES);
        KIND(OF_HINTS);
    }
#undef KIND
    if (kind_of(d) != RT_SOFT_DIST) return;
    RT_LAUNCH(k_dist_columns, dim3((unsigned)((n + SIDE - 1) / SIDE)), dim3(SIDE, DOWN), 0, stream, i, planes, rows, n,
              now);
    RT_LAUNCH((k_dist_rows<N>), grid, block, 0, stream, d, i, grad, loss_rows, planes, rows, n, now);
}

extern "C" void rt_k_loss(cudaStream_t stream, const rt_loss_desc *desc, int i, const float *value, float *grad,
                          int add, float *loss_rows, float *planes, int rows, int n, const rt_cuda_now *now)
{
    if (n <= LONG)
        launch<WARP>(stream, dim3((unsigned)((rows + WARPS - 1) / WARPS)), dim3(WARPS * WARP), *desc, i, value, grad,
                     add, loss_rows, planes, rows, n, now);
    else
        launch<BLOCK>(stream, dim3((unsigned)rows), dim3(BLOCK), *desc, i, value, grad, add, loss_rows, planes, rows, n,
                      now);
}

extern "C" void rt_k_loss_end(cudaStream_t stream, const rt_loss_sums *sums, const rt_cuda_now *now)
{
    RT_LAUNCH(k_loss_end, dim3(1), dim3(ENDERS), 0, stream, *sums, now);
}
