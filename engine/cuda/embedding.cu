/* engine/cuda/embedding.cu - rows of a table by number, and tables of positions.
 *
 * The gradient of a table: pairs (id, place) are sorted (each is there once, so there is one order), then pieces of 64
 * pairs are added by runs of equal ids. A run that lies within a piece goes to its row of the table; of those that
 * reach over an end, each piece leaves its part, and the piece in which a run begins adds the parts in order. The cost
 * is that of dy and of the sort, whatever the table's size; no two add to one place. */
#include "engine/cuda/device_code.h"

#include "engine/cuda/cuda_embedding.h"

enum { THREADS = 256, SORTED = 1024, PIECE = 64, NO_ID = -1 };

typedef unsigned long long id_key;                    /* id, place; all ones: none */

/* ---- forward ---- */

template <int V>
__global__ void __launch_bounds__(THREADS) k_embedding(float *y, const float *table, const int32_t *ids, size_t n,
                                                       int d, int rows)
{
    size_t m = (size_t)d / V, all = n * m, step = (size_t)gridDim.x * THREADS;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += step) {
        size_t p = i / m, k = (i - p * m) * V;
        int id = ids[p];
        int there = id >= 0 && id < rows;
        const float *from = table + (there ? (size_t)id : 0) * (size_t)d + k;
        float *to = y + p * (size_t)d + k;
        if constexpr (V == 4) {
            float4 v = make_float4(NAN, NAN, NAN, NAN);
            if (there) v = *(const float4 *)(const void *)from;
            *(float4 *)(void *)to = v;
        } else {
            *to = there ? *from : NAN;
        }
    }
}

/* ---- the sort ---- */

/* Blocks of SORTED keys, each in order; what is not there is all ones. */
__global__ void __launch_bounds__(SORTED / 2) k_sort_ids(id_key *keys, const int32_t *ids, size_t n, int rows)
{
    RT_SHARED(id_key, s, SORTED);
    int t = (int)threadIdx.x;
    size_t first = (size_t)blockIdx.x * SORTED;
    for (int i = t; i < SORTED; i += SORTED / 2) {
        size_t p = first + (size_t)i;
        int id = p < n ? ids[p] : NO_ID;
        s[i] = id >= 0 && id < rows ? (id_key)(unsigned)id << 32 | (id_key)p : ~(id_key)0;
    }
    for (int size = 2; size <= SORTED; size *= 2)     /* bitonic: Batcher 1968 */
        for (int far = size / 2; far > 0; far /= 2) {
            __syncthreads();
            int i = 2 * t - (t & (far - 1)), j = i + far;
            id_key a = s[i], b = s[j];
            if ((a > b) == ((i & size) == 0)) s[i] = b, s[j] = a;
        }
    __syncthreads();
    for (int i = t; i < SORTED; i += SORTED / 2) keys[first + (size_t)i] = s[i];
}

/* Two neighbouring runs of `run` keys become one: each key's place is its own plus those before it in the other run.
 * Equal ones are all of ones, which keep their order: those of the first run come first. */
__global__ void __launch_bounds__(THREADS) k_merge_ids(id_key *to, const id_key *from, size_t run, size_t n)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    size_t pair = i / (2 * run) * (2 * run), second = i - pair >= run, own = i - pair - (second ? run : 0);
    size_t low = pair + (second ? 0 : run), high = low + run, begin;
    if (low > n) low = n;
    if (high > n) high = n;
    begin = low;
    id_key key = from[i];
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (from[mid] < key || (second && from[mid] == key)) low = mid + 1;
        else high = mid;
    }
    to[pair + own + (low - begin)] = key;
}

/* ---- sums of runs ---- */

/* parts (pieces, 2, d): of each piece its first run, where that began before, and its last, where it goes on. */
__global__ void __launch_bounds__(THREADS) k_sum_ids(float *table, float *parts, const float *dy, const id_key *keys,
                                                     size_t n, int d, int wide)
{
    int t = (int)threadIdx.x, each = THREADS / wide, col0 = t % wide;
    size_t piece = (size_t)blockIdx.x * each + t / wide, first = piece * PIECE;
    if (t / wide >= each || first >= n) return;
    int before = first > 0 && keys[first - 1] >> 32 == keys[first] >> 32;
    for (int c = col0; c < d; c += wide) {
        id_key id = keys[first] >> 32;
        float sum = 0;
        int open = before;
        for (int i = 0; i < PIECE; i += 4) {          /* n and PIECE are multiples of 4: rows in flight */
            id_key k[4];
            float v[4];
            RT_UNROLL
            for (int u = 0; u < 4; u++) {
                k[u] = keys[first + i + u];
                v[u] = k[u] == ~(id_key)0 ? 0.0f : dy[(size_t)(unsigned)k[u] * (size_t)d + c];
            }
            RT_UNROLL
            for (int u = 0; u < 4; u++) {
                if (k[u] >> 32 != id) {
                    if (open) parts[2 * piece * (size_t)d + c] = sum;
                    else table[(size_t)id * (size_t)d + c] += sum;
                    open = 0;
                    sum = 0;
                    id = k[u] >> 32;
                }
                sum += v[u];
            }
        }
        if (id == ~(id_key)0 >> 32) continue;
        int behind = first + PIECE < n && keys[first + PIECE] >> 32 == id;
        if (open) parts[2 * piece * (size_t)d + c] = sum;          /* all of the piece, or its end */
        else if (behind) parts[(2 * piece + 1) * (size_t)d + c] = sum;
        else table[(size_t)id * (size_t)d + c] += sum;
    }
}

/* The runs that begin in a piece and reach over its end. */
__global__ void __launch_bounds__(THREADS) k_join_ids(float *table, const float *parts, const id_key *keys, size_t n,
                                                      int d, int wide)
{
    int t = (int)threadIdx.x, each = THREADS / wide;
    size_t piece = (size_t)blockIdx.x * each + t / wide, first = piece * PIECE, end = first + PIECE;
    if (t / wide >= each || end >= n) return;
    id_key id = keys[end - 1] >> 32;
    if (id == ~(id_key)0 >> 32 || keys[end] >> 32 != id) return;
    if (keys[first] >> 32 == id && first > 0 && keys[first - 1] >> 32 == id) return;      /* it began before */
    size_t last = end / PIECE;                        /* the piece in which it ends: a search among first keys */
    size_t low = last + 1, high = n / PIECE;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (keys[mid * PIECE] >> 32 == id) low = mid + 1;
        else high = mid;
    }
    last = low - 1;
    for (int c = t % wide; c < d; c += wide) {
        float sum = parts[(2 * piece + 1) * (size_t)d + c];
        RT_UNROLL_N(4)
        for (size_t p = piece + 1; p <= last; p++) sum += parts[2 * p * (size_t)d + c];
        table[(size_t)id * (size_t)d + c] += sum;
    }
}

/* ---- positions ---- */

template <int V>
__global__ void __launch_bounds__(THREADS) k_position(float *y, const float *x, const float *w, size_t rows, size_t n)
{
    size_t k = ((size_t)blockIdx.x * THREADS + threadIdx.x) * V;
    if (k >= n) return;
    if constexpr (V == 4) {
        float4 b = *(const float4 *)(const void *)(w + k);
        RT_UNROLL_N(4)
        for (size_t r = blockIdx.y; r < rows; r += gridDim.y) {
            float4 a = *(const float4 *)(const void *)(x + r * n + k);
            *(float4 *)(void *)(y + r * n + k) = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
        }
    } else {
        float b = w[k];
        for (size_t r = blockIdx.y; r < rows; r += gridDim.y) y[r * n + k] = x[r * n + k] + b;
    }
}

template <int V> __global__ void __launch_bounds__(THREADS) k_pass_on(float *to, const float *from, size_t n, int add)
{
    size_t step = (size_t)gridDim.x * THREADS * V;
    for (size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) * V; i < n; i += step) {
        if constexpr (V == 4) {
            float4 v = *(const float4 *)(const void *)(from + i);
            if (add) {
                float4 o = *(const float4 *)(const void *)(to + i);
                v = make_float4(o.x + v.x, o.y + v.y, o.z + v.z, o.w + v.w);
            }
            *(float4 *)(void *)(to + i) = v;
        } else {
            to[i] = add ? to[i] + from[i] : from[i];
        }
    }
}

static int together(const void *a, const void *b, const void *c, size_t n)
{
    return n % 4 == 0 && (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 15) == 0;
}

static unsigned grid_of(size_t n, size_t each)
{
    size_t b = (n + each - 1) / each;
    return (unsigned)(b < 1 ? 1 : b > 1u << 20 ? 1u << 20 : b);
}

extern "C" void rt_k_embedding(cudaStream_t s, float *y, const float *table, const int32_t *ids, size_t n, int d,
                               int rows)
{
    if (together(y, table, NULL, (size_t)d))
        RT_LAUNCH((k_embedding<4>), dim3(grid_of(n * (size_t)d / 4, THREADS)), dim3(THREADS), 0, s, y, table, ids, n, d,
                  rows);
    else
        RT_LAUNCH((k_embedding<1>), dim3(grid_of(n * (size_t)d, THREADS)), dim3(THREADS), 0, s, y, table, ids, n, d,
                  rows);
}

static size_t keys_of(size_t n) { return (n + SORTED - 1) / SORTED * SORTED; }

extern "C" size_t rt_embedding_room(size_t n, int d)
{
    size_t m = keys_of(n);
    return 2 * m * sizeof(id_key) + m / PIECE * 2 * (size_t)d * sizeof(float);
}

extern "C" void rt_k_embedding_back(cudaStream_t s, float *dtable, const float *dy, const int32_t *ids, size_t n, int d,
                                    int rows, void *room)
{
    size_t m = keys_of(n), pieces = m / PIECE;
    id_key *keys = (id_key *)room, *other = keys + m;
    float *parts = (float *)(void *)(other + m);
    RT_LAUNCH(k_sort_ids, dim3((unsigned)(m / SORTED)), dim3(SORTED / 2), 0, s, keys, ids, n, rows);
    for (size_t run = SORTED; run < m; run *= 2) {
        RT_LAUNCH(k_merge_ids, dim3((unsigned)((m + THREADS - 1) / THREADS)), dim3(THREADS), 0, s, other, keys, run, m);
        id_key *swap = keys;
        keys = other;
        other = swap;
    }
    int wide = 32;
    while (wide < d && wide < THREADS) wide *= 2;
    dim3 grid((unsigned)((pieces + THREADS / wide - 1) / (THREADS / wide)));
    RT_LAUNCH(k_sum_ids, grid, dim3(THREADS), 0, s, dtable, parts, dy, keys, m, d, wide);
    RT_LAUNCH(k_join_ids, grid, dim3(THREADS), 0, s, dtable, parts, keys, m, d, wide);
}

extern "C" void rt_k_position(cudaStream_t s, float *y, const float *x, const float *w, size_t rows, size_t n)
{
    int vec = together(x, y, w, n) ? 4 : 1;
    size_t wide = (n + (size_t)(vec * THREADS) - 1) / (size_t)(vec * THREADS), tall = 4096 / wide + 1;
    dim3 grid((unsigned)wide, (unsigned)(rows < tall ? rows : tall));
    if (vec == 4) RT_LAUNCH((k_position<4>), grid, dim3(THREADS), 0, s, y, x, w, rows, n);
    else RT_LAUNCH((k_position<1>), grid, dim3(THREADS), 0, s, y, x, w, rows, n);
}

extern "C" void rt_k_pass_on(cudaStream_t s, float *to, const float *from, size_t n, int add)
{
    if (together(to, from, NULL, n))
        RT_LAUNCH((k_pass_on<4>), dim3(grid_of(n / 4, THREADS)), dim3(THREADS), 0, s, to, from, n, add);
    else
        RT_LAUNCH((k_pass_on<1>), dim3(grid_of(n, THREADS)), dim3(THREADS), 0, s, to, from, n, add);
}
