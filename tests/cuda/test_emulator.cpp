/* What each operation of a kernel gives on the emulated GPU, in several orders of threads and blocks. */
#include "cuda_support.h"

#include <cmath>

/* Blocks. */

__global__ void k_tiled(float *c, const float *a, const float *b, int n)
{
    RT_SHARED_2D(float, as, 16, 17);
    RT_SHARED_2D(float, bs, 16, 17);
    int tx = (int)threadIdx.x, ty = (int)threadIdx.y, row = (int)blockIdx.y * 16 + ty, col = (int)blockIdx.x * 16 + tx;
    float sum = 0;
    for (int k = 0; k < n; k += 16) {
        as[ty][tx] = row < n && k + tx < n ? a[row * n + k + tx] : 0;
        bs[ty][tx] = col < n && k + ty < n ? b[(k + ty) * n + col] : 0;
        __syncthreads();
        for (int i = 0; i < 16; i++) sum += as[ty][i] * bs[i][tx];
        __syncthreads();
    }
    if (row < n && col < n) c[row * n + col] = sum;
}
static void test_blocks(void **)
{
    int n = 37;
    auto a = numbers(37 * 37, 1), b = numbers(37 * 37, 2);
    in_all_orders([&] {
        on_card<float> da(a), db(b), dc(37 * 37);
        RT_LAUNCH(k_tiled, dim3(3, 3), dim3(16, 16), 0, nullptr, dc.at, da.at, db.at, n);
        auto c = dc.read();
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k < n; k++) sum += (double)a[(size_t)(i * n + k)] * b[(size_t)(k * n + j)];
                assert_true(fabs(c[(size_t)(i * n + j)] - sum) < 1e-5);
            }
        return c;
    });
}

/* Every built-in variable, in a grid and a block of three dimensions. */
__global__ void k_places(unsigned *out)
{
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}
static void test_places(void **)
{
    in_all_orders([] {
        on_card<unsigned> out(2 * 3 * 4 * 5 * 3 * 2);
        RT_LAUNCH(k_places, dim3(2, 3, 4), dim3(5, 3, 2), 0, nullptr, out.at);
        auto v = out.read();
        for (unsigned i = 0; i < v.size(); i++) assert_int_equal(v[i], i / 30 * 1000 + i % 30);
        return v;
    });
}

/* A kernel without operations among threads changes stacks twice in all; one with a barrier, once a thread or so. */
__global__ void k_plain(float *x) { x[blockIdx.x * blockDim.x + threadIdx.x] = 1; }
static void test_switches(void **)
{
    on_card<float> x(64 * 256);
    ok(cudaDeviceSynchronize());
    uint64_t before = rt_emulated_switches();
    RT_LAUNCH(k_plain, 64, 256, 0, nullptr, x.at);
    ok(cudaDeviceSynchronize());
#ifndef RT_EMULATE_TSAN                                /* for which each thread has its own */
    assert_int_equal(rt_emulated_switches() - before, 2);
#endif
}

/* Shared memory: NaN until written, dynamic memory beyond 48 KiB, two instances of a template. */
__global__ void k_dynamic(float *out, int n)
{
    RT_SHARED(float, fixed, 32);
    RT_SHARED_DYNAMIC(float, s);
    int t = (int)threadIdx.x;
    if (t == 0) out[1] = s[n - 1], out[2] = fixed[31];
    __syncthreads();
    for (int i = t; i < n; i += 32) s[i] = (float)i;
    fixed[t] = 1;
    __syncthreads();
    if (t == 0) out[0] = s[n - 1] + fixed[31];
}
template <int N, bool B> __global__ void k_template(float *out)
{
    RT_SHARED(float, s, N);
    s[threadIdx.x] = B ? N : -N;
    __syncthreads();
    if (threadIdx.x == 0) out[0] = s[N - 1];
}
static void test_shared(void **)
{
    in_all_orders([] {
        on_card<float> out(3);
        int n = 50000;
        ok(cudaFuncSetAttribute(k_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 4 * n));
        for (int twice = 0; twice < 2; twice++) {
            RT_LAUNCH(k_dynamic, 1, 32, (size_t)n * 4, nullptr, out.at, n);
            auto v = out.read();
            assert_true(v[0] == 50000 && std::isnan(v[1]) && std::isnan(v[2]));
        }
        std::vector<float> both;
        RT_LAUNCH((k_template<64, true>), 1, 64, 0, nullptr, out.at);
        both.push_back(out.read()[0]);
        RT_LAUNCH((k_template<32, false>), 1, 32, 0, nullptr, out.at);
        both.push_back(out.read()[0]);
        assert_true(both[0] == 64 && both[1] == -32);
        return both;
    });
}

/* Warps. */

enum { KINDS = 4, WIDTHS = 3 };
__global__ void k_shuffles(int *out, double *wide, int by)
{
    int t = (int)threadIdx.x, v = 100 + t;
    const int width[WIDTHS] = {32, 8, 2};
    for (int w = 0; w < WIDTHS; w++) {
        out[(w * KINDS + 0) * 64 + t] = __shfl_sync(~0u, v, by, width[w]);
        out[(w * KINDS + 1) * 64 + t] = __shfl_up_sync(~0u, v, (unsigned)by, width[w]);
        out[(w * KINDS + 2) * 64 + t] = __shfl_down_sync(~0u, v, (unsigned)by, width[w]);
        out[(w * KINDS + 3) * 64 + t] = __shfl_xor_sync(~0u, v, by, width[w]);
    }
    wide[t] = __shfl_xor_sync(~0u, 1.0 + t, 1);
}
static void test_shuffles(void **)
{
    for (int by = 0; by < 32; by++)
        in_all_orders([by] {
            on_card<int> out(WIDTHS * KINDS * 64);
            on_card<double> wide(64);
            RT_LAUNCH(k_shuffles, 1, 64, 0, nullptr, out.at, wide.at, by);
            auto v = out.read();
            auto d = wide.read();
            const int width[WIDTHS] = {32, 8, 2};
            for (int w = 0; w < WIDTHS; w++)
                for (int t = 0; t < 64; t++) {                   /* as the CUDA C++ Programming Guide says it */
                    int warp = t / 32 * 32, in = t % width[w], segment = t % 32 - in, x = (t % 32) ^ by;
                    int from[KINDS] = {segment + by % width[w], in >= by ? t % 32 - by : t % 32,
                                       in + by < width[w] ? t % 32 + by : t % 32, x < segment + width[w] ? x : t % 32};
                    for (int k = 0; k < KINDS; k++)
                        assert_int_equal(v[(size_t)((w * KINDS + k) * 64 + t)], 100 + warp + from[k]);
                    assert_true(d[(size_t)t] == 1.0 + (t ^ 1));
                }
            return v;
        });
}

/* Votes of whole warps and of halves that have parted. */
__global__ void k_votes(unsigned *out)
{
    unsigned t = threadIdx.x, lane = t % 32, odd = lane % 2;
    out[t] = __ballot_sync(~0u, lane % 3 == 0);
    if (odd) {
        out[64 + t] = __ballot_sync(0xaaaaaaaau, lane > 15);
    } else {
        out[64 + t] = __ballot_sync(0x55555555u, lane < 3);
        __syncwarp(0x55555555u);
    }
    __syncwarp();
    out[128 + t] = (unsigned)(__any_sync(~0u, lane == t) << 2 | __all_sync(~0u, lane == t) << 1 | __all_sync(~0u, 1));
}
static void test_votes(void **)
{
    in_all_orders([] {
        on_card<unsigned> out(192);
        RT_LAUNCH(k_votes, 1, 64, 0, nullptr, out.at);
        auto v = out.read();
        for (unsigned t = 0; t < 64; t++) {
            assert_int_equal(v[t], 0x49249249);
            assert_int_equal(v[64 + t], t % 2 ? 0xaaaa0000 : 0x5);
            assert_int_equal(v[128 + t], t < 32 ? 7 : 1);
        }
        return v;
    });
}

/* Tensor cores. */

enum { M = 16, N = 8, TILES = 5 };
__global__ void k_tf32(float *c, const float *a, const float *b)
{
    int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    a += blockIdx.x * M * 8, b += blockIdx.x * 8 * N, c += blockIdx.x * M * N;
    uint32_t fa[4] = {rt_tf32(a[g * 8 + t]), rt_tf32(a[(g + 8) * 8 + t]), rt_tf32(a[g * 8 + t + 4]),
                      rt_tf32(a[(g + 8) * 8 + t + 4])};
    uint32_t fb[2] = {rt_tf32(b[t * N + g]), rt_tf32(b[(t + 4) * N + g])};
    float fc[4] = {c[g * N + 2 * t], c[g * N + 2 * t + 1], c[(g + 8) * N + 2 * t], c[(g + 8) * N + 2 * t + 1]};
    rt_mma_tf32(fc, fa, fb);
    c[g * N + 2 * t] = fc[0], c[g * N + 2 * t + 1] = fc[1], c[(g + 8) * N + 2 * t] = fc[2],
                  c[(g + 8) * N + 2 * t + 1] = fc[3];
}
__global__ void k_bf16(float *c, const float *a, const float *b)
{
    int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    a += blockIdx.x * M * 16, b += blockIdx.x * 16 * N, c += blockIdx.x * M * N;
    const float *up = a + g * 16 + 2 * t, *down = up + 8 * 16, *left = b + 2 * t * N + g;
    uint32_t fa[4] = {rt_bf16_pair(up[0], up[1]), rt_bf16_pair(down[0], down[1]), rt_bf16_pair(up[8], up[9]),
                      rt_bf16_pair(down[8], down[9])};
    uint32_t fb[2] = {rt_bf16_pair(left[0], left[N]), rt_bf16_pair(left[8 * N], left[9 * N])};
    float fc[4] = {c[g * N + 2 * t], c[g * N + 2 * t + 1], c[(g + 8) * N + 2 * t], c[(g + 8) * N + 2 * t + 1]};
    rt_mma_bf16(fc, fa, fb);
    c[g * N + 2 * t] = fc[0], c[g * N + 2 * t + 1] = fc[1], c[(g + 8) * N + 2 * t] = fc[2],
                  c[(g + 8) * N + 2 * t + 1] = fc[3];
}
static double rounded(float x, int bits)               /* to so many bits of mantissa after the first */
{
    int e;
    double f = frexp((double)x, &e);
    f = ldexp(f, bits + 1);
    return ldexp(bits == 10 ? round(f) : rint(f), e - bits - 1);     /* halves: tf32 away from 0, else to even */
}
static void tensor_cores(bool half)
{
    size_t k = half ? 16 : 8;
    auto a = numbers(TILES * M * k, 3), b = numbers(TILES * k * N, 4), c = numbers(TILES * M * N, 5);
    in_all_orders([&] {
        on_card<float> da(a), db(b), dc(c);
        if (half)
            RT_LAUNCH(k_bf16, TILES, 32, 0, nullptr, dc.at, da.at, db.at);
        else
            RT_LAUNCH(k_tf32, TILES, 32, 0, nullptr, dc.at, da.at, db.at);
        auto out = dc.read();
        for (size_t i = 0; i < TILES; i++)
            for (size_t r = 0; r < M; r++)
                for (size_t j = 0; j < N; j++) {
                    double sum = c[(i * M + r) * N + j];
                    for (size_t l = 0; l < k; l++)
                        sum += rounded(a[(i * M + r) * k + l], half ? 7 : 10) *
                               rounded(b[(i * k + l) * N + j], half ? 7 : 10);
                    assert_true(fabs(out[(i * M + r) * N + j] - sum) < 2e-6);
                }
        return out;
    });
}
static void test_tf32(void **) { tensor_cores(false); }
static void test_bf16(void **) { tensor_cores(true); }

static void test_rounding(void **)
{
    const struct { uint32_t in, tf32; uint16_t bf16; } cases[] = {
        {0x3f800000, 0x3f800000, 0x3f80}, {0x3f800fff, 0x3f800000, 0x3f80}, {0x3f801000, 0x3f802000, 0x3f80},
        {0x3f803000, 0x3f804000, 0x3f80}, {0x3f808000, 0x3f808000, 0x3f80}, {0x3f818000, 0x3f818000, 0x3f82},
        {0x3f808001, 0x3f808000, 0x3f81}, {0xbf801000, 0xbf802000, 0xbf80}, {0x7f7fffff, 0x7f800000, 0x7f80},
        {0x7f800000, 0x7f800000, 0x7f80}, {0xff800000, 0xff800000, 0xff80}, {0x00000000, 0x00000000, 0x0000},
        {0x80000000, 0x80000000, 0x8000}, {0x00001000, 0x00002000, 0x0000}, {0x00008001, 0x00008000, 0x0001},
    };
    for (auto &c : cases) {
        assert_int_equal(rt_tf32(__uint_as_float(c.in)), c.tf32);
        assert_int_equal(rt_bf16_of(__uint_as_float(c.in)), c.bf16);
        assert_int_equal(__float_as_uint(rt_of_bf16(c.bf16)), (uint32_t)c.bf16 << 16);
    }
    assert_true(std::isnan(rt_of_bf16(rt_bf16_of(NAN))) && std::isnan(__uint_as_float(rt_tf32(NAN))));
    assert_true(std::isnan(rt_of_bf16(rt_bf16_of(__uint_as_float(0xffffffff)))));
    assert_int_equal(rt_bf16_pair(1, 2), 0x40003f80);
}

/* Asynchronous copies: three stages, sizes of 4, 8 and 16, zeros behind the end. What is read too early is NaN. */
template <int BYTES, int EARLY> __global__ void k_async(float *out, const float *in, int n)
{
    enum { PER = BYTES / 4, TILE = 32 * PER, STAGES = 3 };
    RT_SHARED_2D(float, s, STAGES, TILE);
    int t = (int)threadIdx.x, tiles = (n + TILE - 1) / TILE;
    float sum = 0;
    for (int i = 0; i < STAGES - 1; i++) {
        int at = i * TILE + t * PER;
        if (i < tiles) rt_copy_async(&s[i][t * PER], in + at, BYTES, at < n);
        rt_copy_commit();
    }
    for (int i = 0; i < tiles; i++) {
        int next = i + STAGES - 1, at = next * TILE + t * PER;
        rt_copy_wait<STAGES - 2 + EARLY>();
        __syncthreads();
        if (next < tiles) rt_copy_async(&s[next % STAGES][t * PER], in + at, BYTES, at < n);
        rt_copy_commit();
        for (int k = 0; k < TILE; k++) sum += s[i % STAGES][k] * (float)(1 + (k + t) % 3);
    }
    rt_copy_wait<0>();
    out[t] = sum;
}
template <int BYTES> static void async_copies()
{
    enum { PER = BYTES / 4, TILE = 32 * PER };
    int n = 4 * TILE + 5 * PER;
    auto x = numbers((size_t)n, 9);
    in_all_orders([&] {
        on_card<float> in(x), out(32);
        RT_LAUNCH((k_async<BYTES, 0>), 1, 32, 0, nullptr, out.at, in.at, n);
        auto v = out.read();
        for (int t = 0; t < 32; t++) {
            double sum = 0;
            for (int i = 0; i < n; i++) sum += (double)x[(size_t)i] * (1 + (i % TILE + t) % 3);
            assert_true(fabs(v[(size_t)t] - sum) < 1e-4);
        }
#ifndef RT_EMULATE_TSAN                                /* it says so */
        RT_LAUNCH((k_async<BYTES, 1>), 1, 32, 0, nullptr, out.at, in.at, n);
        for (float each : out.read()) assert_true(std::isnan(each));
#endif
        return v;
    });
}
static void test_async(void **)
{
    async_copies<4>();
    async_copies<8>();
    async_copies<16>();
}
static void test_async_plain(void **)                  /* below 8.0 it is a plain copy */
{
    setenv("RETORT_EMULATE_CAPABILITY", "75", 1);
    rt_emulated_reset();
    auto x = numbers(64);
    on_card<float> in(x), out(32);
    RT_LAUNCH((k_async<4, 0>), 1, 32, 0, nullptr, out.at, in.at, 64);
    auto v = out.read();
#ifndef RT_EMULATE_TSAN
    RT_LAUNCH((k_async<4, 1>), 1, 32, 0, nullptr, out.at, in.at, 64);
    assert_memory_equal(v.data(), out.read().data(), 128);
#endif
    assert_false(std::isnan(v[0]));
    unsetenv("RETORT_EMULATE_CAPABILITY");
}

/* Atomics, and sums by the last block: the same bits in every order. */
__global__ void k_last_block(float *out, float *part, unsigned *ticket, const float *x, int n)
{
    RT_SHARED(float, s, 8);
    RT_SHARED(int, last, 1);
    int t = (int)threadIdx.x, at = (int)(blockIdx.x * blockDim.x) + t;
    float v = at < n ? x[at] : 0;
    for (int k = 16; k; k >>= 1) v += __shfl_down_sync(~0u, v, (unsigned)k);
    if (t % 32 == 0) s[t / 32] = v;
    __syncthreads();
    if (t == 0) {
        float sum = 0;
        for (unsigned w = 0; w < blockDim.x / 32; w++) sum += s[w];
        part[blockIdx.x] = sum;
        __threadfence();
        last[0] = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last[0]) return;
    __threadfence();
    if (t == 0) {
        float sum = 0;
        for (unsigned b = 0; b < gridDim.x; b++) sum += part[b];
        out[0] = sum;
    }
}
static void test_last_block(void **)
{
    auto x = numbers(5000, 6);
    double sum = 0;
    for (float v : x) sum += v;
    in_all_orders([&] {
        on_card<float> in(x), part(20), out(1);
        on_card<unsigned> ticket(std::vector<unsigned>{0});
        for (int twice = 0; twice < 2; twice++) {
            ok(cudaMemset(out.at, 0xff, 4));
            RT_LAUNCH(k_last_block, 20, 256, 0, nullptr, out.at, part.at, ticket.at, in.at, 5000);
            assert_true(fabs(out.read()[0] - sum) < 1e-3);
            assert_int_equal(ticket.read()[0], 0);
        }
        return out.read();
    });
}

__global__ void k_atomics(unsigned *u, int *i, unsigned long long *l)
{
    unsigned t = threadIdx.x;
    atomicAdd(&u[0], t);
    atomicInc(&u[1], 6u);
    atomicMax(&u[2], t * 7 % 61);
    atomicMin(&u[3], 1000 - t);
    atomicOr(&u[4], 1u << t % 32);
    atomicCAS(&u[5], 0u, 5u);
    atomicCAS(&u[5], 1u, 6u);
    atomicMax(&i[0], -(int)t);
    atomicSub(&i[1], (int)t);
    atomicAdd(l, 1ull << 40);
}
static void test_atomics(void **)
{
    in_all_orders([] {
        on_card<unsigned> u(std::vector<unsigned>{0, 0, 0, ~0u, 0, 0});
        on_card<int> i(std::vector<int>{-100, 0});
        on_card<unsigned long long> l(std::vector<unsigned long long>{1});
        RT_LAUNCH(k_atomics, 1, 100, 0, nullptr, u.at, i.at, l.at);
        auto v = u.read();
        unsigned expected[] = {4950, 100 % 7, 60, 901, ~0u, 5};
        assert_memory_equal(v.data(), expected, sizeof expected);
        assert_int_equal(i.read()[0], 0);
        assert_int_equal(i.read()[1], -4950);
        assert_true(l.read()[0] == 1 + (100ull << 40));
        return v;
    });
}
/* Atomic sums of floats have no order: they do not compile. */
template <class T, class = decltype(atomicAdd((T *)nullptr, T()))> static constexpr bool adds(int) { return true; }
template <class T> static constexpr bool adds(...) { return false; }
static_assert(adds<int>(0) && adds<unsigned>(0) && adds<unsigned long long>(0), "integers");
static_assert(!adds<float>(0) && !adds<double>(0), "floats");

__global__ void k_functions(double *out, float x, int n)
{
    double v[] = {fabs(rsqrtf(x) - 1 / sqrt((double)x)),
                  fabs(expf(x) - exp((double)x)),
                  fabs(logf(x) - log((double)x)),
                  fabs(tanhf(x) - tanh((double)x)),
                  fabs(erff(x) - erf((double)x)),
                  fabs(fmaf(x, x, -x * x)) > 0 ? 0.0 : 1.0,
                  __fmaf_rn(x, x, -__fmul_rn(x, x)) == fmaf(x, x, -x * x) ? 0.0 : 1.0,
                  (double)(__popc(0xf0f0u) - 8),
                  (double)(__ffs(8) - 4),
                  (double)(__ffs(0)),
                  (double)(__clz(1) - 31),
                  (double)(min(3, -4) + 4),
                  (double)(max(3u, 4u) - 4),
                  (double)min(1.5f, 0.5f) - 0.5,
                  (double)(__umulhi(0x80000000u, 6u) - 3),
                  (double)(__float2int_rn(2.5f) - 2),
                  __ldg(out + n - 1) - 7};
    for (int i = 0; i < n; i++) out[i] = i < (int)(sizeof v / sizeof v[0]) ? v[i] : 0;
    float4 f = make_float4(1, 2, 3, 4);
    uint2 u = make_uint2(5, 6);
    if (f.w * f.y + (float)u.y != 14) out[0] = 1;
}
static void test_functions(void **)
{
    on_card<double> out(std::vector<double>(20, 7.0));
    RT_LAUNCH(k_functions, 1, 1, 0, nullptr, out.at, 0.7f, 20);
    for (double v : out.read()) assert_true(fabs(v) < 2e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_places),     cmocka_unit_test(test_switches),
        cmocka_unit_test(test_shared),     cmocka_unit_test(test_shuffles),   cmocka_unit_test(test_votes),
        cmocka_unit_test(test_tf32),       cmocka_unit_test(test_bf16),       cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_async),      cmocka_unit_test(test_last_block), cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_functions),  cmocka_unit_test(test_async_plain),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
