/* The beginning of a step: its record, and raw rows as rows of inputs; see cuda_feed.h. */
#include "engine/cuda/cuda_feed.h"
#include "engine/cuda/device_code.h"

#include <cstddef>

namespace {
enum { THREADS = 256, FOUR = 4 /* elements of a row that a thread makes */, DOWN = 1024 /* blocks for rows */ };

/* ---- elements of data ---- */

struct half { uint16_t bits; };
struct brain { uint16_t bits; };       /* bfloat16 */

struct no_number { char byte; };       /* text: 0 */

template <class T> RT_DEVICE float as_float(T x) { return (float)x; }
RT_DEVICE float as_float(no_number) { return 0; }
RT_DEVICE float as_float(half x)
{
    uint32_t sign = (uint32_t)(x.bits & 0x8000u) << 16, u = x.bits & 0x7fffu;
    if (u < 0x400u) return __uint_as_float(sign | __float_as_uint((float)u * 0x1p-24f));
    uint32_t normal = (u << 13) + (112u << 23) + (u >= 0x7c00u ? 112u << 23 : 0u);
    return __uint_as_float(sign | normal);
}
RT_DEVICE float as_float(brain x) { return __uint_as_float((uint32_t)x.bits << 16); }
template <class T> RT_DEVICE double as_double(T x) { return (double)x; }
RT_DEVICE double as_double(no_number) { return 0; }
RT_DEVICE double as_double(half x) { return as_float(x); }
RT_DEVICE double as_double(brain x) { return as_float(x); }

/* An id; -1 for what is none. */
RT_DEVICE int32_t as_id(double v) { return v >= 0 && v <= 2147483647.0 && v == floor(v) ? (int32_t)v : -1; }

/* Raw rows of one type; their elements may lie at any address. */
template <class T> struct raw_rows {
    const char *first;
    size_t row_bytes;
    const uint32_t *where;             /* of the rows that are held; NULL: they lie in the block */
    const int *pick;
    bool aligned;
    __device__ T get(int row, size_t j) const
    {
        size_t r = where ? where[row] : (size_t)row;
        const char *at = first + r * row_bytes + (pick ? (size_t)pick[j] : j) * sizeof(T);
        if constexpr (sizeof(T) > 1) {
            if (!aligned) {
                T v;
                for (int i = 0; i < (int)sizeof(T); i++) ((char *)&v)[i] = at[i];
                return v;
            }
        }
        return *(const T *)at;
    }
};

/* Which elements of which rows a thread makes. */
struct span {
    size_t first;                      /* of FOUR in each of its rows */
    int row, step;
};
RT_DEVICE span own_span()
{
    span s = {((size_t)blockIdx.x * blockDim.x + threadIdx.x) * FOUR, (int)(blockIdx.y * blockDim.y + threadIdx.y),
              (int)(gridDim.y * blockDim.y)};
    return s;
}

RT_DEVICE uint32_t word(float x) { return __float_as_uint(x); }
RT_DEVICE uint32_t word(int32_t x) { return (uint32_t)x; }
RT_DEVICE uint32_t word(uint32_t x) { return x; }

/* FOUR values of a row of `size`, or as many as there are. */
template <class T> RT_DEVICE void put(T *row, size_t size, size_t first, const T (&x)[FOUR])
{
    if (size % FOUR == 0) {
        *(uint4 *)(row + first) = make_uint4(word(x[0]), word(x[1]), word(x[2]), word(x[3]));
        return;
    }
    RT_UNROLL
    for (int i = 0; i < FOUR; i++) if (first + (size_t)i < size) row[first + (size_t)i] = x[i];
}

/* ---- rows ---- */

/* (1 - t) a + t b, each operation rounded by itself, as on the CPU: both are shown the same rows, to the bit. */
RT_DEVICE float mix(float a, float b, float t) { return __fadd_rn(__fmul_rn(1.0f - t, a), __fmul_rn(t, b)); }

struct feed_rows {
    rt_cuda_rows in;
    const rt_cuda_now *now;
    const char *block;
    float *dst;
    size_t size;
    int rows, there;                   /* of dst; of those, that are in the block */
    const char *raw;
    const uint32_t *where;
    const rt_view_draw *draw;          /* NULL: rows as they are */
    const int *partner;
};

/* An element of the output: its number; where images are moved, its pixel, too; on channel ch of the normalisation. */
struct element {
    size_t j;
    int y, x;
    unsigned k, ch;
};

/* The raw value of pixel (y, x) of row i's image in its view; what is erased is the mean. */
template <class T>
RT_DEVICE float seen(const feed_rows &f, const raw_rows<T> &raw, int i, int y, int x, const element &e)
{
    bool resized = f.in.resize.from_h != 0;
    int h = resized ? f.in.resize.from_h : f.in.h, w = resized ? f.in.resize.from_w : f.in.w;
    if (f.draw) {
        rt_view_draw d = f.draw[i];
        if (y >= d.ey && y < d.ey + d.eh && x >= d.ex && x < d.ex + d.ew) return -f.in.add[e.ch];
        y += d.dy;
        x = (d.flip ? w - 1 - x : x) + d.dx;
        if (y < 0 || y >= h || x < 0 || x >= w) return 0;
    }
    return as_float(raw.get(i, ((size_t)y * (size_t)w + (size_t)x) * (size_t)f.in.c + e.k));
}

/* Where pixel i of a side of `out`, made of `in` ones, lies: between a and b, t of the way. */
struct between {
    int a, b;
    float t;
};
RT_DEVICE between placed(int i, int in, int out)
{
    float s = fmaxf((float)in / (float)out * ((float)i + 0.5f) - 0.5f, 0.0f);
    between p = {(int)s < in - 1 ? (int)s : in - 1, 0, 0};
    p.b = p.a + (p.a < in - 1);
    p.t = s - (float)p.a;
    return p;
}
template <class T> RT_DEVICE float resized(const feed_rows &f, const raw_rows<T> &raw, int i, const element &e)
{
    const rt_resize &z = f.in.resize;
    between y = placed(e.y + z.top, z.from_h, z.to_h), x = placed(e.x + z.left, z.from_w, z.to_w);
    float a = mix(seen(f, raw, i, y.a, x.a, e), seen(f, raw, i, y.a, x.b, e), x.t),
          b = mix(seen(f, raw, i, y.b, x.a, e), seen(f, raw, i, y.b, x.b, e), x.t);
    return mix(a, b, y.t);
}

/* An element of raw row i, normalised. */
template <class T> RT_DEVICE float normal(const feed_rows &f, const raw_rows<T> &raw, int i, const element &e)
{
    float v;
    if (f.in.resize.from_h) v = resized(f, raw, i, e);
    else if (f.draw) v = seen(f, raw, i, e.y, e.x, e);
    else v = as_float(raw.get(i, e.j));
    return (v + f.in.add[e.ch]) * f.in.mul[e.ch];
}

/* FOUR elements of row r from `first` on. */
template <class T>
RT_DEVICE void values(float (&x)[FOUR], const feed_rows &f, const raw_rows<T> &raw, int r, size_t first)
{
    unsigned channels = (unsigned)f.in.channels, c = (unsigned)f.in.c, pixel = (unsigned)first / c;
    element e = {first, (int)(pixel / (unsigned)f.in.w), (int)(pixel % (unsigned)f.in.w), (unsigned)first % c,
                 channels == 1 ? 0 : (unsigned)(first % channels)};
    for (int i = 0; i < FOUR && e.j < f.size; i++, e.j++) {
        x[i] = normal(f, raw, r, e);
        if (f.partner)
            x[i] = __fadd_rn(__fmul_rn(f.now->lambda, x[i]),
                             __fmul_rn(1.0f - f.now->lambda, normal(f, raw, f.partner[r], e)));
        if (++e.ch == channels) e.ch = 0;
        if (++e.k == c) e.k = 0, e.x++;
        if (e.x == f.in.w) e.x = 0, e.y++;
    }
}

template <class T> RT_DEVICE void fill(const feed_rows &f)
{
    raw_rows<T> raw = {f.raw, (size_t)f.now->row_bytes, f.where, f.in.resize.from_h ? nullptr : f.in.pick,
                       ((uintptr_t)f.raw | (uintptr_t)f.now->row_bytes) % sizeof(T) == 0};
    span s = own_span();
    for (int r = s.row; r < f.rows && s.first < f.size; r += s.step) {
        float x[FOUR] = {0, 0, 0, 0};
        if (f.in.ids) {
            int32_t id[FOUR] = {0, 0, 0, 0};
            for (int i = 0; i < FOUR && s.first + (size_t)i < f.size && r < f.there; i++)
                id[i] = as_id(as_double(raw.get(r, s.first + (size_t)i)));
            put((int32_t *)f.dst + (size_t)r * f.size, f.size, s.first, id);
            continue;
        }
        if (r < f.there) values(x, f, raw, r, s.first);
        put(f.dst + (size_t)r * f.size, f.size, s.first, x);
    }
}

/* Bytes, or floats, as they are, four at a time. */
RT_DEVICE bool plain(const feed_rows &f, int type, unsigned four)
{
    return f.in.type == type && !f.in.ids && !f.in.pick && !f.draw && !f.partner && !f.in.resize.from_h &&
           f.size % FOUR == 0 && ((uintptr_t)f.raw | (uintptr_t)f.now->row_bytes) % four == 0;
}
RT_DEVICE void four_of(float (&x)[FOUR], const uint32_t *from)
{
    uint32_t four = *from;
    RT_UNROLL
    for (int i = 0; i < FOUR; i++) x[i] = (float)(four >> 8 * i & 255u);
}
RT_DEVICE void four_of(float (&x)[FOUR], const float4 *from)
{
    float4 four = *from;
    x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
}
template <class T> RT_DEVICE void fill_plain(const feed_rows &f)
{
    unsigned channels = (unsigned)f.in.channels;
    span s = own_span();
    for (int r = s.row; r < f.rows && s.first < f.size; r += s.step) {
        float x[FOUR] = {0, 0, 0, 0};
        unsigned ch = channels == 1 ? 0 : (unsigned)(s.first % channels);
        if (r < f.there) {
            size_t from = f.where ? f.where[r] : (size_t)r;
            const char *at = f.raw + from * (size_t)f.now->row_bytes + s.first * (sizeof(T) / FOUR);
            four_of(x, (const T *)(const void *)at);
            RT_UNROLL
            for (int i = 0; i < FOUR; i++) {
                x[i] = (x[i] + f.in.add[ch]) * f.in.mul[ch];
                if (++ch == channels) ch = 0;
            }
        }
        put(f.dst + (size_t)r * f.size, f.size, s.first, x);
    }
}

/* Rows that are floats, or ids, already. */
RT_DEVICE void copy(const feed_rows &f, const float *from)
{
    span s = own_span();
    bool fours = f.size % FOUR == 0 && ((uintptr_t)from & 15) == 0;
    for (int r = s.row; r < f.rows && s.first < f.size; r += s.step) {
        size_t at = (size_t)r * f.size + s.first;
        if (fours) {
            uint4 v = r < f.there ? *(const uint4 *)(const void *)(from + at) : make_uint4(0, 0, 0, 0);
            *(uint4 *)(void *)(f.dst + at) = v;
            continue;
        }
        uint32_t x[FOUR] = {0, 0, 0, 0};
        for (int i = 0; i < FOUR && s.first + (size_t)i < f.size && r < f.there; i++)
            x[i] = ((const uint32_t *)from)[at + (size_t)i];
        put((uint32_t *)f.dst + (size_t)r * f.size, f.size, s.first, x);
    }
}

/* Raw rows of the block to where they are held from then on, a word a thread where rows are whole words. */
RT_DEVICE void hold(const feed_rows &f)
{
    size_t bytes = (size_t)f.now->row_bytes, each = bytes % 4 ? bytes : bytes / 4;
    size_t threads = (size_t)blockDim.x * blockDim.y, all = each * (size_t)f.there,
           i = ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * threads + threadIdx.y * blockDim.x + threadIdx.x;
    const uint32_t *where = (const uint32_t *)(f.block + f.now->where);
    const char *from = f.block + f.now->raw;
    for (; i < all; i += threads * gridDim.x * gridDim.y) {
        size_t r = i / each, at = i - r * each;
        char *to = f.now->held + where[r] * bytes;
        if (bytes % 4) to[at] = from[i];
        else ((uint32_t *)to)[at] = ((const uint32_t *)from)[i];
    }
}

RT_DEVICE void make(feed_rows &f)
{
    const rt_cuda_now *now = f.now;
    if (now->x[f.in.input]) return copy(f, (const float *)(f.block + now->x[f.in.input]));
    if (now->where && !now->raw) {
        f.raw = now->held + f.in.at;
        f.where = (const uint32_t *)(f.block + now->where);
    } else f.raw = f.block + now->raw + f.in.at;
    if (now->draw[f.in.input]) f.draw = (const rt_view_draw *)(f.block + now->draw[f.in.input]);
    if (now->partner) f.partner = (const int *)(f.block + now->partner);
    if (plain(f, RT_U8, 4)) return fill_plain<uint32_t>(f);
    if (plain(f, RT_F32, 16)) return fill_plain<float4>(f);
    switch (f.in.type) {
    case RT_U8: return fill<uint8_t>(f);
    case RT_I8: return fill<int8_t>(f);
    case RT_U16: return fill<uint16_t>(f);
    case RT_I16: return fill<int16_t>(f);
    case RT_U32: return fill<uint32_t>(f);
    case RT_I32: return fill<int32_t>(f);
    case RT_U64: return fill<uint64_t>(f);
    case RT_I64: return fill<int64_t>(f);
    case RT_F16: return fill<half>(f);
    case RT_BF16: return fill<brain>(f);
    case RT_F32: return fill<float>(f);
    case RT_F64: return fill<double>(f);
    default: return fill<no_number>(f);
    }
}

__global__ void __launch_bounds__(THREADS, 2)
    k_rows(float *dst, const rt_cuda_rows *desc, size_t size, int rows, const rt_cuda_now *now, rt_cuda_ring ring)
{
    enum { WORDS = sizeof *now / sizeof(uint64_t), ABOUT = sizeof *desc / sizeof(uint64_t) };
    static_assert(sizeof *now % sizeof(uint64_t) == 0, "a record is whole words");
    static_assert(offsetof(rt_cuda_now, block) == 0, "its first word is told here");
    static_assert(sizeof *desc % sizeof(uint64_t) == 0, "so is a description");
    RT_SHARED(uint64_t, record, WORDS);
    RT_SHARED(uint64_t, about, ABOUT);
    int t = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    unsigned all = gridDim.x * gridDim.y, turn = 0;
    const char *block;
    if (!ring.fixed) block = now->block;
    else if (!ring.count) block = ring.blocks + blockIdx.z * ring.bytes;
    else block = ring.blocks + RT_LOAD_WORD(*ring.count) % (unsigned)ring.count_of * ring.bytes;
    if (ring.fixed) ring.fixed += blockIdx.z, dst += blockIdx.z * ring.stride;
    const uint64_t *from = ring.fixed ? (const uint64_t *)block : (const uint64_t *)now;
    if (t < ABOUT) about[t] = ((const uint64_t *)desc)[t];
    for (int i = t; i < WORDS; i += THREADS) record[i] = from[i];
    __syncthreads();                                  /* both are there, and all have read the count */
    feed_rows f = {*(const rt_cuda_rows *)about, (const rt_cuda_now *)record, block, dst, size, rows, 0};
    if (ring.count && t == 0) turn = atomicInc(ring.ticket, all - 1);      /* what it gives is waited for at the end */
    now = f.now;
    f.there = now->rows < rows ? now->rows : rows;
    make(f);
    if (!ring.fixed) return;
    if (now->raw && now->where) hold(f);
    if (blockIdx.x == 0 && blockIdx.y == 0)
        for (int i = t; i < WORDS; i += THREADS)
            ((uint64_t *)ring.fixed)[i] = i ? record[i] : (uint64_t)(uintptr_t)block;
    if (ring.count && t == 0 && turn == all - 1) RT_STORE_WORD(*ring.count, *ring.count + 1);
}
}

static void launch(cudaStream_t stream, float *dst, const rt_cuda_rows *desc, size_t size, int rows,
                   const rt_cuda_now *now, const rt_cuda_ring &ring, int steps)
{
    size_t fours = (size + FOUR - 1) / FOUR;
    unsigned x = 1;
    while (x < THREADS && x < fours) x *= 2;
    unsigned y = THREADS / x, down = ((unsigned)rows + y - 1) / y;
    if (down > DOWN) down = DOWN;
    RT_LAUNCH(k_rows, dim3((unsigned)((fours + x - 1) / x), down, (unsigned)steps), dim3(x, y), 0, stream, dst, desc,
              size, rows, now, ring);
}

extern "C" void rt_k_rows(cudaStream_t stream, float *dst, const rt_cuda_rows *desc, size_t size, int rows,
                          const rt_cuda_now *now, const rt_cuda_ring *ring)
{
    launch(stream, dst, desc, size, rows, now, ring ? *ring : rt_cuda_ring{}, 1);
}

extern "C" void rt_k_rows_ahead(cudaStream_t stream, float *dst, const rt_cuda_rows *desc, size_t size, int rows,
                                const rt_cuda_ring *ring, int steps)
{
    launch(stream, dst, desc, size, rows, nullptr, *ring, steps);
}
