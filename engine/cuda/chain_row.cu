/* The step of a chain, a row a block: values, the loss and gradients of values where rows are few; see cuda_chain.h.
 *
 * It is what k_chain of chain.cu computes, each sum in the same order, so that a row's bits are the same by both. What
 * counts here is how many operations wait for each other: all that comes from far is asked for before anything is
 * waited for, weights, values and gradients stay in shared memory, and what a layer's threads need to know is worked
 * out by the host. */
#include "engine/cuda/chain.cuh"
#include "engine/cuda/loss_rows.cuh"

namespace {
enum { PARTS = RT_CHAIN_PARTS, MOST_ROWS = 256 /* beyond, blocks with more rows read the weights less often */ };

/* Places are in floats in a block's shared memory. Threads lie along 1 << over columns, and beside each other along
 * slices of `per` of k. On the way back thread k begins with column 4 (k & turn), so that those beside it read other
 * banks; turn -1: columns come one by one. */
struct alignas(16) row_layer {
    int w, bias, in, kept;             /* in: what the layer reads, rounded; kept: the same as it is */
    int n, k, per, over;
    int act, act_before, turn, dz;     /* act_before: of the layer before */
    float *y, *dz_before;              /* in device memory */
};

/* What is asked for first: the kernel's first words, which are read where they are. */
struct row_begin {
    const rt_cuda_now *now;
    const float *weights;              /* of which `many` floats go to `copy` */
    const float *x, *bias;             /* inputs of the first layer here; or parts of them, and their bias */
    float *y;                          /* where those go that are added up of parts, else NULL */
    int many, copy, stride;            /* stride: floats from a part to the next */
    int k, in, kept, act, round;
};

struct row_arguments {
    row_begin begin;
    row_layer layer[RT_CHAIN_LAYERS + 1];              /* of the one behind the last: in, kept: the chain's outputs */
    rt_chain_loss loss;
    float *dz;                         /* of the last layer */
    int from, last, stop, part, teacher, unused;
};

template <int ROUND> RT_DEVICE float factor(float x, int round) { return ROUND ? rounded(x, round) : x; }

/* A slice's sum of a column, of weights that lie n apart. */
template <int ROUND> RT_DEVICE float slice_sum(const float *w, const float *x, int n, int count, int round)
{
    float sum = 0;
    int k = 0;
    RT_UNROLL_N(4)
    for (; k + QUAD <= count; k += QUAD) {
        float4 f = *(const float4 *)(const void *)(x + k);
        float v[QUAD];
        RT_UNROLL
        for (int u = 0; u < QUAD; u++, w += n) v[u] = factor<ROUND>(*w, round);
        sum = fmaf(f.w, v[3], fmaf(f.z, v[2], fmaf(f.y, v[1], fmaf(f.x, v[0], sum))));
    }
    RT_UNROLL_N(1)
    for (; k < count; k++, w += n) sum = fmaf(x[k], factor<ROUND>(*w, round), sum);
    return sum;
}

/* Values of the block's row, from layer to layer. */
template <int ROUND> RT_DEVICE void forward(const row_arguments &a, float *all, int row, int round)
{
    const int t = (int)threadIdx.x;
    for (int i = a.from; i <= a.last; i++) {
        const row_layer &l = a.layer[i], &next = a.layer[i + 1];
        const int over = l.over, n = l.n, col = t & ((1 << over) - 1), first = (t >> over) * l.per, rest = l.k - first,
                  count = rest < l.per ? rest : l.per, act = l.act, to = next.in, kept = next.kept,
                  slices = THREADS >> over;
        const float bias = t < n && l.bias >= 0 ? all[l.bias + t] : 0.0f;
        float *y = l.y + row * n + t;
        float *part = all + a.part;
        part[t] = col < n ? slice_sum<ROUND>(all + l.w + first * n + col, all + l.in + first, n, count, round) : 0.0f;
        __syncthreads();
        if (t < n) {
            float v = 0;
            if (slices % 16 == 0) {
                RT_UNROLL_N(16)
                for (int s = 0; s < slices; s++) v += part[(s << over) + t];
            } else {
                RT_UNROLL_N(4)
                for (int s = 0; s < slices; s++) v += part[(s << over) + t];
            }
            *y = v = act_of(v + bias, act);
            if (ROUND && to != kept) all[to + t] = rounded(v, round);
            all[kept + t] = v;
        }
        rt_copy_wait<0>();
        __syncthreads();
    }
}

/* From dz of the last layer, dz of those before it. */
template <int ROUND> RT_DEVICE void back(const row_arguments &a, float *all, int row, int round)
{
    const int k = (int)threadIdx.x;
    for (int i = a.last; i > a.stop; i--) {
        const row_layer &l = a.layer[i];
        const int n = l.n, turn = l.turn, k_all = l.k, act = l.act_before, to = i - 1 > a.stop ? a.layer[i - 1].dz : -1;
        const float slope = k < k_all && act ? slope_of(all[l.kept + k], act) : 1.0f;
        const float *w = all + l.w + k * n, *dz = all + l.dz;
        float *out = l.dz_before + row * k_all + k, sum = 0;
        __syncthreads();
        if (k >= k_all) continue;
        if (turn >= 0) {
            int j = (k & turn) * QUAD;
            RT_UNROLL_N(4)
            for (int u = 0; u < n; u += QUAD) {
                float4 v = *(const float4 *)(const void *)(w + j), d = *(const float4 *)(const void *)(dz + j);
                sum = fmaf(d.y, factor<ROUND>(v.y, round), fmaf(d.x, factor<ROUND>(v.x, round), sum));
                sum = fmaf(d.w, factor<ROUND>(v.w, round), fmaf(d.z, factor<ROUND>(v.z, round), sum));
                j = j + QUAD == n ? 0 : j + QUAD;
            }
        } else {
            RT_UNROLL_N(4)
            for (int j = 0; j < n; j++) sum = fmaf(dz[j], factor<ROUND>(w[j], round), sum);
        }
        *out = sum *= slope;
        if (to >= 0) all[to + k] = factor<ROUND>(sum, round);
    }
}

/* What the first layer here reads: v[0] and, where parts of it are added up, the others. */
RT_DEVICE void ask(float (&v)[PARTS], float &bias, const row_begin &b, int row)
{
    const int t = (int)threadIdx.x;
    const float *from = b.x + row * b.k + t;
    if (t >= b.k) return;
    v[0] = *from;
    if (!b.y) return;
    RT_UNROLL
    for (int i = 1; i < PARTS; i++) v[i] = from[i * b.stride];
    if (b.bias) bias = b.bias[t];
}
RT_DEVICE void take(float *all, const row_begin &b, const float (&v)[PARTS], float bias, int row)
{
    const int t = (int)threadIdx.x;
    float x = v[0];
    if (t >= b.k) return;
    if (b.y) {
        RT_UNROLL
        for (int i = 1; i < PARTS; i++) x += v[i];
        b.y[row * b.k + t] = x = act_of(x + bias, b.act);
    }
    all[b.in + t] = rounded(x, b.round);
    if (b.kept != b.in) all[b.kept + t] = x;
}

template <int WHAT, int ROUND>
__global__ void __launch_bounds__(THREADS, 2) k_chain_row(const RT_CONSTANT row_arguments args)
{
    enum { WORDS = sizeof(row_arguments) / sizeof(uint64_t) };
    static_assert((int)NOW_WORDS <= (int)THREADS && (int)WORDS <= (int)THREADS, "a word of each a thread");
    static_assert(sizeof(row_arguments) % sizeof(uint64_t) == 0, "an argument is whole words");
    RT_SHARED_DYNAMIC(float, all);
    RT_SHARED(uint64_t, record, NOW_WORDS);
    RT_SHARED(uint64_t, words, WORDS);
    const int t = (int)threadIdx.x, row = (int)blockIdx.x;
    const row_begin &b = args.begin;
    uint64_t word = t < NOW_WORDS ? ((const uint64_t *)b.now)[t] : 0;
    uint64_t argument = t < WORDS ? ((const uint64_t *)(const void *)&args)[t] : 0;
    float v[PARTS] = {}, bias = 0;
    ask(v, bias, b, row);
    RT_UNROLL_N(4)
    for (int i = t * QUAD; i < b.many; i += THREADS * QUAD) rt_copy_async(all + b.copy + i, b.weights + i, 16, 1);
    rt_copy_commit();
    if (t < WORDS) words[t] = argument;
    if (t < NOW_WORDS) record[t] = word;
    const row_arguments &a = *(const row_arguments *)(const void *)words;
    take(all, b, v, bias, row);
    rt_copy_wait<0>();
    __syncthreads();
    const rt_cuda_now *now = (const rt_cuda_now *)(const void *)record;
    const row_layer &last = a.layer[a.last];
    float *y = all + a.layer[a.last + 1].kept, *dz = all + last.dz;
    loss_row own = {};
    bool there = false;
    if (t < WARP) {                    /* what the loss reads is on its way while values are computed */
        there = begin<WARP>(&own, 0, row, y, dz, 0, last.n, now);
        if (there && own.t) {
            for (int j = t; j < last.n; j += WARP) rt_copy_async(all + a.teacher + j, own.t + j, 4, 1);
            rt_copy_commit();
            own.t = all + a.teacher;
        }
    }
    forward<ROUND>(a, all, row, b.round);
    if (t < WARP) {
        float loss = there ? loss_of<WARP, WHAT>(&own, a.loss.loss, nullptr, 0) : 0.0f;
        if (t == 0) a.loss.rows[row] = loss;
        for (int j = t; j < last.n; j += WARP) {
            float d = dz[j] * slope_of(y[j], last.act);
            a.dz[row * last.n + j] = d;
            dz[j] = factor<ROUND>(d, b.round);
        }
    }
    back<ROUND>(a, all, row, b.round);
}

/* ---- the launch ---- */

/* Places and pointers of a block; the floats that it takes, or 0 where this launch is not made for the chain: a layer
 * wider than its threads, weights that have no room, a gradient of what the chain reads. */
size_t arguments_of(row_arguments *a, const rt_chain *c, const rt_chain_loss *e, const rt_cuda_now *now)
{
    const float *weights;
    const int many = (int)weights_of(c, &weights), last = c->layers - 1;
    *a = row_arguments{};
    a->from = c->from, a->last = last, a->stop = c->stop;
    a->loss = *e;
    a->dz = c->layer[last].dz;
    int at = many;
    for (int i = c->from; i <= last; i++) {
        const rt_chain_layer *l = &c->layer[i];
        row_layer *to = &a->layer[i];
        if (l->n > THREADS || l->k > THREADS) return 0;
        *to = row_layer{(int)(l->w - weights), l->bias ? (int)(l->bias - weights) : -1};
        to->n = l->n, to->k = l->k, to->over = along(l->n), to->act = l->act;
        to->per = padded((l->k + (THREADS >> to->over) - 1) / (THREADS >> to->over));
        to->in = to->kept = at;
        at += padded(l->k);
        if (c->round) to->kept = at, at += padded(l->k);
        to->dz = at;
        at += padded(l->n);
        int fours = l->n % QUAD == 0 && ((uintptr_t)l->w & 15) == 0, turn = l->n / QUAD - 1;
        to->turn = !fours ? -1 : (turn & (turn + 1)) == 0 ? turn : 0;
        to->y = l->y;
        if (i) to->dz_before = c->layer[i - 1].dz, to->act_before = c->layer[i - 1].act;
    }
    a->layer[last + 1].in = a->layer[last + 1].kept = at;
    a->teacher = at + padded(c->layer[last].n);
    a->part = a->teacher + padded(c->layer[last].n);
    at = a->part + THREADS;
    const rt_chain_layer *first = &c->layer[c->from];
    a->begin = row_begin{now, weights, c->part ? c->part : c->from ? c->layer[0].y : c->x, c->layer[0].bias,
                         c->part ? c->layer[0].y : nullptr, many, 0, c->rows * first->k, first->k,
                         a->layer[c->from].in, a->layer[c->from].kept, c->layer[0].act, c->round};
    return (size_t)at * sizeof(float) > RT_CHAIN_SHARED || ((uintptr_t)weights & 15) ? 0 : (size_t)at;
}
}

template <int WHAT> static void launch(cudaStream_t stream, const row_arguments &a, int rows, size_t bytes)
{
    if (a.begin.round) RT_LAUNCH((k_chain_row<WHAT, 1>), dim3((unsigned)rows), dim3(THREADS), bytes, stream, a);
    else RT_LAUNCH((k_chain_row<WHAT, 0>), dim3((unsigned)rows), dim3(THREADS), bytes, stream, a);
}

extern "C" int rt_k_chain_row(cudaStream_t stream, const rt_chain *c, const rt_chain_loss *e, const rt_cuda_now *now)
{
    row_arguments a;
    if (c->rows > MOST_ROWS || c->dx) return 0;
    const size_t bytes = arguments_of(&a, c, e, now) * sizeof(float);
    if (!bytes) return 0;
    switch (kind_of(e->loss)) {
    case RT_SOFT_KD: launch<RT_SOFT_KD>(stream, a, c->rows, bytes); break;
    case RT_SOFT_DKD: launch<RT_SOFT_DKD>(stream, a, c->rows, bytes); break;
    case RT_SOFT_ZSCORE: launch<RT_SOFT_ZSCORE>(stream, a, c->rows, bytes); break;
    case RT_SOFT_MSE: launch<RT_SOFT_MSE>(stream, a, c->rows, bytes); break;
    case OF_LABELS: launch<OF_LABELS>(stream, a, c->rows, bytes); break;
    case OF_VALUES: launch<OF_VALUES>(stream, a, c->rows, bytes); break;
    case OF_HINTS: launch<OF_HINTS>(stream, a, c->rows, bytes); break;
    default: launch<RT_SOFT_NONE>(stream, a, c->rows, bytes);
    }
    return 1;
}
