/* engine/cuda/reduce.cu - folds over some dimensions, and the gradients of reductions.
 *
 * A block of 256 threads works on 256 / lanes outputs: each thread folds every lanes-th place of its output, in order,
 * then lanes are folded in a tree. Long ones are cut into parts, which a second kernel folds in the same way. */
#include "engine/cuda/cuda_reduce.h"
#include "engine/cuda/device_functions.cuh"
#include "engine/cuda/device_space.cuh"

enum { FOLD = 256, END_LANES = 8 };

/* A fold so far: a value; of LOG_SUM_EXP the sum of e^(x - m) and the greatest x, m; of FACTORS the product of what is
 * not 0, and how many are. */
struct folded { double s; float m; };

/* Which kernel: one for all that is folded by itself, one for each of the others. */
enum { PLAIN, EXPONENTS, EQUAL, FACTORS, PAIR, HEAVY_PAIR, WHERE };
template <int KIND> struct kind_of { enum { TWO = KIND == EXPONENTS || KIND == FACTORS }; };

static __device__ __forceinline__ bool takes_place(double v, double s, rt_reduce f)
{
    return (f == RT_REDUCE_MAX ? v > s : v < s) || v != v;
}

template <int KIND> static __device__ __forceinline__ folded nothing(rt_reduce f)
{
    if (KIND == EXPONENTS) return {0.0, -rt_infinity()};
    if (KIND == FACTORS) return {1.0, 0.0f};
    if (KIND != PLAIN) return {0.0, 0.0f};
    return {f == RT_REDUCE_PROD ? 1.0 : f == RT_REDUCE_MAX ? -(double)rt_infinity()
            : f == RT_REDUCE_MIN ? (double)rt_infinity() : 0.0, 0.0f};
}

template <int KIND> static __device__ __forceinline__ void fold_both(folded &a, const folded &b, rt_reduce f)
{
    if (KIND == EXPONENTS) {
        if (a.m != a.m || b.s == 0.0) {                            /* b is nothing, unless it is NaN */
            if (b.m != b.m) a = b;
            return;
        }
        float m = b.m > a.m || b.m != b.m ? b.m : a.m;
        a.s = (a.s == 0.0 ? 0.0 : a.s * expf(a.m - m)) + b.s * expf(b.m - m);
        a.m = m;
    } else if (KIND == FACTORS) {
        a.s *= b.s;
        a.m += b.m;
    } else if (KIND != PLAIN) a.s += b.s;
    else if (f == RT_REDUCE_MAX || f == RT_REDUCE_MIN) a.s = takes_place(b.s, a.s, f) ? b.s : a.s;
    else if (f == RT_REDUCE_PROD) a.s *= b.s;
    else a.s += b.s;
}

static __device__ __forceinline__ void fold_exponent(folded &a, float x)
{
    if (x <= a.m) {
        if (x >= -FLT_MAX) a.s += expf(x - a.m);
    } else if (a.m == a.m) {
        a.s = (a.s == 0.0 ? 0.0 : a.s * expf(a.m - x)) + 1.0;
        a.m = x;
    }
}

template <int KIND, class I>
static __device__ __forceinline__ void fold_one(folded &s, const rt_folding &f, const I (&at)[3], float y)
{
    float x = f.x[at[0]];
    if (KIND == EXPONENTS) fold_exponent(s, x);
    else if (KIND == EQUAL) s.s += x >= y && x <= y;
    else if (KIND == FACTORS) {
        if (rt_is_zero(x)) s.m += 1.0f;
        else s.s *= (double)x;
    } else if (KIND == PAIR || KIND == HEAVY_PAIR) {
        float a = f.a ? rt_flushed(f.a[at[1]]) : 0.0f, b = f.b ? rt_flushed(f.b[at[2]]) : 0.0f;
        s.s += (double)(x * rt_binary_slope<KIND == HEAVY_PAIR>(a, b, f.f, f.side));
    } else if (KIND == WHERE) s.s += (int)rt_is_zero(rt_flushed(f.a[at[1]])) == f.side ? (double)x : 0.0;
    else {
        double v = (double)x;
        switch (f.reduce) {
        case RT_REDUCE_L1: s.s += fabs(v); break;
        case RT_REDUCE_L2: case RT_REDUCE_SUM_SQUARE: s.s += v * v; break;
        case RT_REDUCE_PROD: s.s *= v; break;
        case RT_REDUCE_MAX: case RT_REDUCE_MIN: s.s = takes_place(v, s.s, f.reduce) ? v : s.s; break;
        default: s.s += v; break;
        }
    }
}

template <int KIND> static __device__ __forceinline__ void finish(const rt_folding &f, uint64_t o, const folded &s)
{
    if (KIND == EQUAL || KIND == FACTORS) {
        f.both[o] = s.s;
        if (KIND == FACTORS) f.both[f.kept.places + o] = (double)s.m;
        return;
    }
    double v = s.s;
    if (KIND == EXPONENTS) v = s.m > FLT_MAX || s.m != s.m ? (double)s.m : s.s == 0.0 ? -(double)rt_infinity()
                                                                                      : (double)s.m + log(s.s);
    else if (KIND == PLAIN) {
        if (f.reduce == RT_REDUCE_MEAN) v /= (double)f.gone.places;
        else if (f.reduce == RT_REDUCE_L2) v = sqrt(v);
        else if (f.reduce == RT_REDUCE_LOG_SUM) v = log(v);
    }
    f.out[o] = (float)v + (f.add ? f.out[o] : 0.0f);
}

/* Folds `lanes` neighbours that are `step` apart; the result is the first one's. */
template <int KIND>
static __device__ __forceinline__ void fold_lanes(double *sums, float *seconds, folded &s, int lane, int lanes,
                                                  int step, rt_reduce f)
{
    int t = (int)threadIdx.x;
    sums[t] = s.s;
    if (kind_of<KIND>::TWO) seconds[t] = s.m;
    for (int half = lanes / 2; half; half /= 2) {
        __syncthreads();
        if (lane < half) {
            folded other = {sums[t + half * step], kind_of<KIND>::TWO ? seconds[t + half * step] : 0.0f};
            fold_both<KIND>(s, other, f);
            sums[t] = s.s;
            if (kind_of<KIND>::TWO) seconds[t] = s.m;
        }
    }
}

template <int KIND, class I> static __global__ void __launch_bounds__(FOLD) k_fold(rt_folding f)
{
    RT_SHARED(double, sums, FOLD);
    RT_SHARED(float, seconds, kind_of<KIND>::TWO ? FOLD : 1);
    int t = (int)threadIdx.x, outputs = FOLD / f.lanes, lane = f.across ? t / outputs : t % f.lanes;
    uint64_t o = (uint64_t)blockIdx.x * outputs + (f.across ? t % outputs : t / f.lanes);
    uint64_t part = (f.gone.places + f.splits - 1) / f.splits, first = part * blockIdx.y, last = first + part;
    if (last > f.gone.places) last = f.gone.places;
    folded s = nothing<KIND>(f.reduce);
    if (o < f.kept.places) {
        I from[3] = {};
        rt_places(f.kept, (I)o, from);
        float y = KIND == EQUAL ? f.y[o] : 0.0f;
        RT_UNROLL_N(4)
        for (I i = (I)first + lane; i < (I)last; i += f.lanes) {
            I at[3] = {from[0], from[1], from[2]};
            rt_places(f.gone, i, at);
            fold_one<KIND>(s, f, at, y);
        }
    }
    fold_lanes<KIND>(sums, seconds, s, lane, f.lanes, f.across ? outputs : 1, f.reduce);
    if (lane || o >= f.kept.places) return;
    if (f.splits == 1) finish<KIND>(f, o, s);
    else {
        f.parts[blockIdx.y * f.kept.places + o] = s.s;
        if (kind_of<KIND>::TWO) f.parts[(f.splits + blockIdx.y) * f.kept.places + o] = (double)s.m;
    }
}

template <int KIND> static __global__ void __launch_bounds__(FOLD) k_fold_end(rt_folding f)
{
    RT_SHARED(double, sums, FOLD);
    RT_SHARED(float, seconds, kind_of<KIND>::TWO ? FOLD : 1);
    int t = (int)threadIdx.x, outputs = FOLD / END_LANES, lane = t / outputs;
    uint64_t n = f.kept.places, o = (uint64_t)blockIdx.x * outputs + t % outputs;
    folded s = nothing<KIND>(f.reduce);
    if (o < n)
        for (int i = lane; i < f.splits; i += END_LANES) {
            folded other = {f.parts[i * n + o], kind_of<KIND>::TWO ? (float)f.parts[(f.splits + i) * n + o] : 0.0f};
            fold_both<KIND>(s, other, f.reduce);
        }
    fold_lanes<KIND>(sums, seconds, s, lane, END_LANES, outputs, f.reduce);
    if (!lane && o < n) finish<KIND>(f, o, s);
}

template <int KIND> static void fold(cudaStream_t stream, const rt_folding *f)
{
    unsigned outputs = FOLD / (unsigned)f->lanes;
    dim3 grid((unsigned)((f->kept.places + outputs - 1) / outputs), (unsigned)f->splits);
    if (f->kept.narrow && f->gone.narrow) RT_LAUNCH((k_fold<KIND, uint32_t>), grid, FOLD, 0, stream, *f);
    else RT_LAUNCH((k_fold<KIND, uint64_t>), grid, FOLD, 0, stream, *f);
    outputs = FOLD / END_LANES;
    unsigned blocks = (unsigned)((f->kept.places + outputs - 1) / outputs);
    if (f->splits > 1) RT_LAUNCH((k_fold_end<KIND>), blocks, FOLD, 0, stream, *f);
}

extern "C" void rt_k_fold(cudaStream_t stream, const rt_folding *f)
{
    switch (f->what) {
    case RT_FOLDS_REDUCE:
        if (f->reduce == RT_REDUCE_LOG_SUM_EXP) fold<EXPONENTS>(stream, f);
        else fold<PLAIN>(stream, f);
        break;
    case RT_FOLDS_EQUAL: fold<EQUAL>(stream, f); break;
    case RT_FOLDS_FACTORS: fold<FACTORS>(stream, f); break;
    case RT_FOLDS_PAIR:
        if (rt_binary_is_heavy(f->f)) fold<HEAVY_PAIR>(stream, f);
        else fold<PAIR>(stream, f);
        break;
    case RT_FOLDS_WHERE: fold<WHERE>(stream, f); break;
    }
}

/* ---- gradients of reductions ---- */

struct reduce_grad {
    enum { OPERANDS = 1 };
    float *dx;
    const float *dy, *x, *y;
    const double *both;
    rt_reduce f;
    uint64_t outputs;
    double parts;
    int add;

    __device__ float one(float x, float y, float d, uint64_t o) const
    {
        switch (f) {
        case RT_REDUCE_MEAN: return (float)(d / parts);
        case RT_REDUCE_MAX: case RT_REDUCE_MIN: return x >= y && x <= y ? (float)(d / both[o]) : 0.0f;
        case RT_REDUCE_PROD: {
            double zeros = both[outputs + o];
            if (zeros < 0.5) return (float)(d * (both[o] / x));
            return zeros < 1.5 && rt_is_zero(x) ? (float)(d * both[o]) : 0.0f;
        }
        case RT_REDUCE_L1: return x > 0.0f ? d : x < 0.0f ? -d : 0.0f;
        case RT_REDUCE_L2: return y > 0.0f ? d * x / y : 0.0f;
        case RT_REDUCE_SUM_SQUARE: return 2.0f * x * d;
        case RT_REDUCE_LOG_SUM: return (float)(d * exp(-(double)y));
        case RT_REDUCE_LOG_SUM_EXP: return d * expf(x - y);
        default: return d;
        }
    }
    template <int V, class I> __device__ void at(size_t i, const I (&at)[1], const rt_space &s) const
    {
        bool repeat = s.step[0][0] == 0;
        rt_pack<V> d = rt_load_or_repeat<V>(dy + at[0], repeat), r = {}, v = {};
        if (f != RT_REDUCE_SUM && f != RT_REDUCE_MEAN) {
            r = rt_load_or_repeat<V>(y + at[0], repeat);
            v = rt_load<V>(x + i);
        }
        RT_UNROLL
        for (int k = 0; k < V; k++) d.v[k] = one(v.v[k], r.v[k], d.v[k], at[0] + (repeat ? 0 : k));
        rt_store_or_add<V>(dx + i, d, add);
    }
};

extern "C" void rt_k_reduce_grad(cudaStream_t stream, float *dx, const float *dy, const float *x, const float *y,
                                 const double *both, const rt_space *s, rt_reduce f, uint64_t outputs, double parts,
                                 int add)
{
    rt_over(stream, reduce_grad{dx, dy, x, y, both, f, outputs, parts, add}, s, rt_aligned(dx, dy, x, y));
}
