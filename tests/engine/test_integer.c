/* The integer contract, in every family that runs here: against ONNX Runtime's int8 kernels, whose answers
 * record_integer.py recorded, and against its own text where there is no such kernel. */
#include "engine/int/integer.h"
#include "tests/support.h"

typedef struct {
    int seed, h, w, c, n, kh, kw, sh, sw, pad[4], groups;
    rt_act act;
    int q;
    float sx; int zx;
    float sy; int zy;
    int logits;
    uint64_t hash;
} conv_case;
typedef struct { int mul; float sa; int za; float sb; int zb; float sc; int zc; rt_act act; uint64_t hash; } pair_case;
typedef struct {
    int seed, px, ca, cb;
    float sa;
    int za;
    float sb;
    int zb;
    float sc;
    int zc;
    uint64_t hash;
} concat_case;
typedef struct { int max, seed, h, w, c, k, s, pad; float sx; int zx; float sy; int zy; uint64_t hash; } pool_case;
typedef struct { rt_act act; float sx; int zx; float sy; int zy; uint64_t hash; } table_case;
typedef struct { int seed, n; float s; int z; uint64_t hash; } quantize_case;
#include "tests/engine/integer_reference.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const rt_int_kernels *const *next_family(const rt_int_kernels *const *k)
{
    while (*k && !rt_int_kernels_runnable(*k)) k++;
    return k;
}
#define EACH_FAMILY(k) \
    for (const rt_int_kernels *const *k = next_family(rt_int_kernels_all()); *k; k = next_family(k + 1))

/* As in record_integer.py. */
static uint32_t noise(int seed, size_t i)
{
    uint32_t x = (uint32_t)(i * 2654435761u + (uint64_t)seed * 40503u + 12345u);
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

static uint8_t byte_of(int seed, size_t i) { return (uint8_t)(noise(seed, i) >> 24); }
static int weight_of(int seed, size_t i, int q) { return (int)((noise(seed, i) >> 8) % (uint32_t)(2 * q + 1)) - q; }
static float scale_of(int seed, size_t i, float base)
{
    float s = 1.0f + (float)(noise(seed, i) >> 16) / 65536.0f;
    return base * s;
}

static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211u;
    return h;
}
#define FNV_START 14695981039346656037u

/* An image with a border of zero points, whose pixels are bytes by seed; memory to be freed: p. */
typedef struct { rt_int_image at; uint8_t *memory; } image;

static image image_new(int seed, int h, int w, int c, const int pad[4], int zero)
{
    static const int none[4] = {0};
    if (!pad) pad = none;
    image m;
    ptrdiff_t row = (ptrdiff_t)(w + pad[2] + pad[3]) * c;
    size_t n = (size_t)(row * (h + pad[0] + pad[1])) + RT_INT_SLACK;
    m.memory = malloc(n);
    assert_non_null(m.memory);
    memset(m.memory, zero, n);
    m.at = (rt_int_image){m.memory + pad[0] * row + pad[2] * c, c, row, h, w, c};
    for (int i = 0; i < h && seed >= 0; i++)
        for (int j = 0; j < w * c; j++) m.at.p[i * row + j] = byte_of(seed, (size_t)(i * w * c + j));
    return m;
}

static uint64_t image_hash(const rt_int_image *m)
{
    uint64_t h = FNV_START;
    for (int i = 0; i < m->h; i++)
        for (int j = 0; j < m->w; j++) h = fnv(h, m->p + i * m->row + j * m->px, (size_t)m->c);
    return h;
}

static void *packed_for(const rt_int_kernels *k, const rt_int_conv *a)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, k->conv_bytes(a) + 64), 0);
    k->conv_pack(a, p);
    return p;
}

static void against_onnx_runtime(const conv_case *t, const rt_int_kernels *k)
{
    int cg = t->c / t->groups, taps = t->kh * t->kw * cg;
    int dense = t->h * t->w == 1;
    image x = image_new(t->seed, t->h, t->w, t->c, t->pad, t->zx);
    int oh = (t->h + t->pad[0] + t->pad[1] - t->kh) / t->sh + 1,
        ow = (t->w + t->pad[2] + t->pad[3] - t->kw) / t->sw + 1;
    image y = image_new(-1, oh, ow, t->n, NULL, 0);
    int8_t *w = malloc((size_t)(taps * t->n));
    int32_t bias[256];
    float sw[256], m[256], b[256], *logits = calloc((size_t)(oh * ow * t->n), sizeof *logits);
    for (int i = 0; i < taps * t->n; i++) w[i] = (int8_t)weight_of(t->seed + 1, (size_t)i, t->q);
    for (int c = 0; c < t->n; c++) {
        sw[c] = scale_of(t->seed + 3, (size_t)c, 0.004f);
        b[c] = (float)weight_of(t->seed + 2, (size_t)c, 2000) * (t->sx * sw[c]);
        m[c] = t->logits ? t->sx * sw[c] : rt_int_multiplier(t->sx, sw[c], t->sy);
    }
    check_ok(rt_int_bias(bias, b, sw, t->sx, t->n));
    check_ok(rt_int_start(bias, bias, t->zx, w, taps, t->n));
    rt_int_conv a = {.x = x.at, .y = y.at, .kh = t->kh, .kw = t->kw, .sh = t->sh, .sw = t->sw, .groups = t->groups,
                     .n = t->n, .w = w, .bias = bias, .m = m, .logits = t->logits ? logits : NULL};
    if (!t->logits) a.range = rt_int_range_of((rt_quant){t->sy, t->zy}, t->act);
    a.x.p -= t->pad[0] * a.x.row + t->pad[2] * a.x.px;
    void *packed = packed_for(k, &a);
    a.packed = packed;
    k->conv(&a);
    uint64_t h = t->logits ? fnv(FNV_START, logits, (size_t)(oh * ow * t->n) * sizeof *logits) : image_hash(&y.at);
    if (h != t->hash)
        fail_msg("%s of seed %d in %s differs from ONNX Runtime's", dense ? "dense" : "conv", t->seed, k->name);
    free(packed); free(w); free(logits); free(x.memory); free(y.memory);
}

static void convolutions(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(conv_cases); i++) EACH_FAMILY(k) against_onnx_runtime(&conv_cases[i], *k);
}

static void pairs(void **state)
{
    (void)state;
    image a = image_new(-1, 256, 256, 1, NULL, 0), b = image_new(-1, 256, 256, 1, NULL, 0);
    for (int i = 0; i < 65536; i++) {
        a.memory[i] = (uint8_t)i;
        b.memory[i] = (uint8_t)(i >> 8);
    }
    for (size_t i = 0; i < COUNT(pair_cases); i++)
        EACH_FAMILY(k) {
            const pair_case *t = &pair_cases[i];
            image y = image_new(-1, 256, 256, 1, NULL, 0);
            rt_quant qa = {t->sa, t->za}, qb = {t->sb, t->zb}, qc = {t->sc, t->zc};
            rt_int_pair p = {.a = a.at, .b = b.at, .y = y.at, .range = rt_int_range_of(qc, t->act)};
            (t->mul ? rt_int_mul_factors : rt_int_add_factors)(&p, qa, qb, qc);
            (t->mul ? (*k)->mul : (*k)->add)(&p);
            if (image_hash(&y.at) != t->hash) fail_msg("pair %zu in %s differs from ONNX Runtime's", i, (*k)->name);
            free(y.memory);
        }
    free(a.memory);
    free(b.memory);
}

static void concats(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(concat_cases); i++)
        EACH_FAMILY(k) {
            const concat_case *t = &concat_cases[i];
            uint8_t table[256];
            rt_quant in[2] = {{t->sa, t->za}, {t->sb, t->zb}}, out = {t->sc, t->zc};
            image y = image_new(-1, 1, t->px, t->ca + t->cb, NULL, 0);
            for (int s = 0, at = 0; s < 2; s++) {
                image x = image_new(t->seed + s, 1, t->px, s ? t->cb : t->ca, NULL, 0);
                rt_int_map m = {x.at, y.at, table};
                m.y.p += at;
                m.y.c = x.at.c;
                at += x.at.c;
                rt_int_table(table, in[s], out, RT_ACT_NONE, 0);
                (*k)->map(&m);
                free(x.memory);
            }
            if (image_hash(&y.at) != t->hash) fail_msg("concat %zu in %s differs from ONNX Runtime's", i, (*k)->name);
            free(y.memory);
        }
}

static void pools(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pool_cases); i++)
        EACH_FAMILY(k) {
            const pool_case *t = &pool_cases[i];
            rt_int_pool p = {.kh = t->k ? t->k : t->h, .kw = t->k ? t->k : t->w, .sh = t->s, .sw = t->s, .top = t->pad,
                             .left = t->pad, .sx = t->sx, .sy = t->sy, .zx = t->zx};
            int oh = t->k ? (t->h + 2 * t->pad - t->k) / t->s + 1 : 1,
                ow = t->k ? (t->w + 2 * t->pad - t->k) / t->s + 1 : 1;
            image x = image_new(t->seed, t->h, t->w, t->c, NULL, 0), y = image_new(-1, oh, ow, t->c, NULL, 0);
            p.x = x.at;
            p.y = y.at;
            p.range = rt_int_range_of((rt_quant){t->sy, t->zy}, RT_ACT_NONE);
            (t->max ? (*k)->max_pool : (*k)->avg_pool)(&p);
            if (image_hash(&y.at) != t->hash) fail_msg("pool %zu in %s differs from ONNX Runtime's", i, (*k)->name);
            free(x.memory);
            free(y.memory);
        }
}

static void tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(table_cases); i++) {
        const table_case *t = &table_cases[i];
        uint8_t table[256];
        rt_int_table(table, (rt_quant){t->sx, t->zx}, (rt_quant){t->sy, t->zy}, t->act, 0.01f);
        if (fnv(FNV_START, table, 256) != t->hash)
            fail_msg("the table of %s differs from ONNX Runtime's", rt_act_name(t->act));
    }
}

static void inputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(quantize_cases); i++)
        EACH_FAMILY(k) {
            const quantize_case *t = &quantize_cases[i];
            float x[1000];
            uint8_t y[1000];
            for (int j = 0; j < t->n; j++) x[j] = (float)(noise(t->seed, (size_t)j) >> 8) / 65536.0f - 128.0f;
            (*k)->quantize(y, x, (size_t)t->n, t->s, t->z);
            if (fnv(FNV_START, y, (size_t)t->n) != t->hash)
                fail_msg("input %zu in %s differs from ONNX Runtime's", i, (*k)->name);
            const float odd[] = {NAN, INFINITY, -INFINITY, 1e38f, -1e38f, 0.0f, -0.0f};
            const uint8_t want[] = {0, 255, 0, 255, 0, (uint8_t)t->z, (uint8_t)t->z};
            (*k)->quantize(y, odd, COUNT(odd), t->s, t->z);
            assert_memory_equal(y, want, COUNT(odd));
        }
}

/* acc M beyond 32 bits saturates, as does acc at its ends; sums are what they are. */
static void extremes(void **state)
{
    (void)state;
    enum { K = 66000 };
    static uint8_t x[K + RT_INT_SLACK];
    static int8_t w[2 * K];
    for (int sign = -1; sign <= 1; sign += 2)
        EACH_FAMILY(k) {
            memset(x, 255, K);
            for (int i = 0; i < 2 * K; i++) w[i] = (int8_t)(i % 2 ? -127 * sign : 127 * sign);
            uint8_t y[2];
            int32_t bias[2], sums[2];
            float m[2] = {1e6f, 1e6f};
            check_ok(rt_int_start(bias, (const int32_t[2]){0, 0}, 0, w, K, 2));
            rt_int_conv a = {.x = {x, K, K, 1, 1, K}, .y = {y, 2, 2, 1, 1, 2}, .kh = 1, .kw = 1, .sh = 1, .sw = 1,
                             .groups = 1, .n = 2, .w = w, .bias = bias, .m = m, .range = {7, 0, 255}};
            void *packed = packed_for(*k, &a);
            a.packed = packed;
            (*k)->conv(&a);
            assert_int_equal(y[0], sign > 0 ? 255 : 0);
            assert_int_equal(y[1], sign > 0 ? 0 : 255);
            a.sums = sums;
            (*k)->conv(&a);
            assert_int_equal(sums[0], sign * 127 * 255 * K);
            assert_int_equal(sums[1], -sign * 127 * 255 * K);
            free(packed);
        }
}

static void refusals(void **state)
{
    (void)state;
    enum { K = 67000 };
    static int8_t w[K];
    int32_t bias = 0;
    float sw = 0.01f, b = 1e30f, nan = NAN;
    memset(w, 127, sizeof w);
    check_fails(rt_int_start(&bias, &bias, 0, w, K, 1), RT_USAGE, "channel 0 may leave 32 bits");
    check_ok(rt_int_start(&bias, &bias, 0, w, 66000, 1));
    check_fails(rt_int_start(&bias, &bias, 255, w, 34000, 1), RT_USAGE, "channel 0 may leave 32 bits");
    memset(w, -128, sizeof w);
    check_fails(rt_int_start(&bias, &(int32_t){0}, 0, w, 66000, 1), RT_USAGE, "channel 0 may leave 32 bits");
    memset(w, 127, sizeof w);
    check_fails(rt_int_start(&bias, (const int32_t[1]){INT32_MIN}, 0, w, 1, 1), RT_USAGE, "bias -2147483648 steps");
    check_fails(rt_int_bias(&bias, &b, &sw, 0.1f, 1), RT_USAGE, "which leave 32 bits");
    check_fails(rt_int_bias(&bias, &nan, &sw, 0.1f, 1), RT_USAGE, "which leave 32 bits");
    float half = 0.0025f;                         /* 2.5 steps: to the even one */
    check_ok(rt_int_bias(&bias, &half, &sw, 0.1f, 1));
    assert_int_equal(bias, 2);
    check_ok(rt_int_start(&bias, &bias, 3, w, 10, 1));
    assert_int_equal(bias, 2 - 3 * 1270);
    check_fails(rt_int_kernels_select("mmx"), RT_USAGE, "known: auto, amx_int8, avx512vnni, avxvnni, avx2, scalar");
    check_ok(rt_int_kernels_select("scalar"));
    assert_string_equal(rt_int_kernels_get()->name, "scalar");
    check_ok(rt_int_kernels_select(NULL));
}

/* A family that is named and is not there is an error, no reason to take another. First of all: it is asked once. */
static void family_of_the_environment(void **state)
{
    (void)state;
    setenv("RETORT_INT_KERNELS", "mmx", 1);
    assert_null(rt_int_kernels_get());
    assert_non_null(strstr(rt_error_message(), "unknown integer kernel family 'mmx'"));
    setenv("RETORT_INT_KERNELS", "scalar", 1);
    assert_string_equal(rt_int_kernels_get()->name, "scalar");
    unsetenv("RETORT_INT_KERNELS");
    check_ok(rt_int_kernels_select(NULL));
}

/* Numbers of which every other order of these roundings, and none at all, gives another float: of NumPy's float32. */
static void multipliers(void **state)
{
    (void)state;
    static const float recorded[][4] = {{0x1.4e4928p-5f, 0x1.1e03bcp-10f, 0x1.5cf70cp-5f, 0x1.11fbbep-10f},
                                        {0x1.51ed9p-4f, 0x1.0f761ep-6f, 0x1.50baf2p-5f, 0x1.106d4cp-5f},
                                        {0x1.523b66p-4f, 0x1.86800ep-6f, 0x1.654ba8p-4f, 0x1.71aa4p-6f},
                                        {0x1.58797ap-8f, 0x1.b5ff1ap-5f, 0x1.8b2f3p-5f, 0x1.7dcb04p-8f},
                                        {0x1.573646p-6f, 0x1.2d38fep-4f, 0x1.a7b86ap-6f, 0x1.e7fa8p-5f}};
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++) {
        const float *r = recorded[i], m = rt_int_multiplier(r[0], r[1], r[2]);
        assert_memory_equal(&m, &r[3], sizeof m);
    }
}

static void ranges(void **state)
{
    (void)state;
    rt_int_range r = rt_int_range_of((rt_quant){6.0f / 255, 0}, RT_ACT_RELU6);
    assert_int_equal(r.high, 255);
    r = rt_int_range_of((rt_quant){0.04f, 20}, RT_ACT_RELU6);
    assert_int_equal(r.low, 20);
    assert_int_equal(r.high, 170);
    r = rt_int_range_of((rt_quant){0.04f, 20}, RT_ACT_RELU);
    assert_int_equal(r.high, 255);
    r = rt_int_range_of((rt_quant){0.04f, 20}, RT_ACT_NONE);
    assert_int_equal(r.low, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(family_of_the_environment),
        cmocka_unit_test(convolutions), cmocka_unit_test(pairs),    cmocka_unit_test(concats),
        cmocka_unit_test(pools),        cmocka_unit_test(tables),   cmocka_unit_test(inputs),
        cmocka_unit_test(extremes),     cmocka_unit_test(refusals), cmocka_unit_test(ranges),
        cmocka_unit_test(multipliers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
