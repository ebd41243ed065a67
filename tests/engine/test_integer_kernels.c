/* Every family of integer kernels against plain C, bit by bit: random shapes of 1 to 70 channels, strides, borders,
 * groups, weights of 2 to 8 bits, bytes and weights at their ends. Nothing beside the output is written. */
#include "engine/int/integer.h"
#include "tests/engine/emulated.h"
#include "tests/support.h"

static const rt_int_kernels *plain;

static uint64_t state_of_dice = 88172645463325252u;
static int dice(int n)
{
    state_of_dice ^= state_of_dice << 13;
    state_of_dice ^= state_of_dice >> 7;
    state_of_dice ^= state_of_dice << 17;
    return (int)((state_of_dice >> 20) % (uint64_t)n);
}

/* Bytes: all kinds, or only those at the ends. */
static void fill(uint8_t *p, size_t n, int ends)
{
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(ends ? dice(2) * 255 : dice(256));
}

typedef struct { uint8_t *memory; size_t bytes; rt_int_image at; } image;

/* Room for (h, w, c) with `pad` around and `beside` bytes of others behind each pixel's channels. */
static image image_new(int h, int w, int c, int pad, int beside, int ends)
{
    image m;
    ptrdiff_t px = c + beside, row = (w + 2 * pad) * px;
    m.bytes = (size_t)(row * (h + 2 * pad)) + RT_INT_SLACK;
    m.memory = malloc(m.bytes);
    assert_non_null(m.memory);
    fill(m.memory, m.bytes, ends);
    m.at = (rt_int_image){m.memory + pad * row + pad * px, px, row, h, w, c};
    return m;
}

/* The same memory for another family to write to. */
static image image_copy(const image *m)
{
    image n = *m;
    n.memory = malloc(n.bytes);
    assert_non_null(n.memory);
    memcpy(n.memory, m->memory, n.bytes);
    n.at.p = n.memory + (m->at.p - m->memory);
    return n;
}

static void *packed_for(const rt_int_kernels *k, const rt_int_conv *a)
{
    void *p = NULL;
    size_t n = k->conv_bytes(a);
    assert_int_equal(posix_memalign(&p, 64, n + 64), 0);
    memset(p, 0xa5, n + 64);
    k->conv_pack(a, p);
    for (size_t i = n; i < n + 64; i++) assert_int_equal(((uint8_t *)p)[i], 0xa5);
    return p;
}

static const rt_int_kernels *families[8];

static int find_families(void **state)
{
    int n = 0;
    (void)state;
    for (const rt_int_kernels *const *k = rt_int_kernels_all(); *k; k++)
        if (rt_int_kernels_runnable(*k)) families[n++] = *k;
    plain = families[n - 1];
    for (int i = 0; emulated_at(i); i++) families[n++] = emulated_at(i);
    return strcmp(plain->name, "scalar") != 0;
}
#define EACH_FAMILY(k) for (const rt_int_kernels *const *k = families; *k; k++)

typedef struct { int h, w, c, n, kh, kw, sh, sw, groups, bits, ends, kind; } conv_shape;

static void check_conv(const conv_shape *t)
{
    int cg = t->c / t->groups, taps = t->kh * t->kw * cg, most = (1 << (t->bits - 1)) - 1, count = t->h * t->w * t->n;
    image x = image_new((t->h - 1) * t->sh + t->kh, (t->w - 1) * t->sw + t->kw, t->c, dice(3) == 0,
                        dice(4) ? 0 : dice(9), t->ends);
    image y = image_new(t->h, t->w, t->n, dice(3), dice(3) ? 0 : dice(20), 0);
    int8_t *w = malloc((size_t)(taps * t->n));
    int32_t *bias = calloc((size_t)t->n, sizeof *bias);
    float *m = calloc((size_t)t->n, sizeof *m);
    for (int i = 0; i < taps * t->n; i++) w[i] = (int8_t)(t->ends ? dice(3) * most - most : dice(2 * most + 1) - most);
    for (int c = 0; c < t->n; c++)
        m[c] = 2.0f / (float)(1 + most) / sqrtf((float)taps) * (0.5f + (float)dice(1000) / 1e3f);
    int zero = dice(256), low = dice(2) ? zero : 0, high = dice(4) ? 255 : low + dice(256 - low);
    check_ok(rt_int_start(bias, bias, dice(256), w, taps, t->n));
    int32_t *sums = calloc((size_t)count, 2 * sizeof *sums);
    rt_int_conv a = {.x = x.at, .y = y.at, .kh = t->kh, .kw = t->kw, .sh = t->sh, .sw = t->sw, .groups = t->groups,
                     .n = t->n, .w = w, .bias = bias, .m = m, .range = {zero, low, high}};
    image want = image_copy(&y);
    a.y.p = want.at.p;
    if (t->kind == 1) a.logits = (float *)sums;
    if (t->kind == 2) a.sums = sums;
    plain->conv(&a);
    EACH_FAMILY(k) {
        image got = image_copy(&y);
        a.y.p = got.at.p;
        memset(sums + count, 0x55, (size_t)count * sizeof *sums);
        if (t->kind == 1) a.logits = (float *)(sums + count);
        if (t->kind == 2) a.sums = sums + count;
        void *packed = packed_for(*k, &a);
        a.packed = packed;
        (*k)->conv(&a);
        int same = t->kind ? !memcmp(sums, sums + count, (size_t)count * sizeof *sums)
                           : !memcmp(got.memory, want.memory, got.bytes);
        if (!same)
            fail_msg(
                "conv in %s: (%d, %d, %d) to %d channels, kernel %dx%d, stride %d, %d, %d groups, %d bits, ends %d, "
                "kind %d",
                (*k)->name, t->h, t->w, t->c, t->n, t->kh, t->kw, t->sh, t->sw, t->groups, t->bits, t->ends, t->kind);
        free(packed);
        free(got.memory);
    }
    free(sums); free(want.memory); free(w); free(bias); free(m); free(x.memory); free(y.memory);
}

static void convolutions(void **state)
{
    (void)state;
    for (int i = 0; i < 900; i++) {
        conv_shape t = {.h = 1 + dice(5),
                        .w = 1 + dice(i % 9 ? 9 : 35),
                        .c = 1 + dice(70),
                        .n = 1 + dice(i % 5 ? 70 : 150),
                        .kh = 1 + dice(3),
                        .kw = 1 + dice(5),
                        .sh = 1 + dice(2),
                        .sw = 1 + dice(3),
                        .groups = 1,
                        .bits = 2 + dice(7),
                        .ends = dice(4) == 0,
                        .kind = dice(4) ? 0 : 1 + dice(2)};
        switch (i % 6) {
        case 0: t.kh = t.kw = t.sh = t.sw = 1; break;
        case 1: t.h = t.kh = t.kw = 1; t.w = 1 + dice(3); t.c = 1 + dice(700); break;      /* dense */
        case 2: t.groups = t.c; t.n = t.c; t.c = t.n; break;                               /* depthwise */
        case 3: t.groups = 1 + dice(4); t.c = t.groups * (1 + dice(17)); t.n = t.groups * (1 + dice(17)); break;
        case 4: t.groups = t.c = 1 + dice(20); t.n = t.c * (1 + dice(3)); break;           /* depth multiplier */
        default: break;
        }
        check_conv(&t);
    }
}

/* Several lines of several vectors' pixels with few products each, at strides of their own down and across. */
static void lines_of_few_products(void **state)
{
    (void)state;
    for (int i = 0; i < 90; i++)
        check_conv(&(conv_shape){.h = 2 + dice(3), .w = 8 + dice(20), .c = 1 + dice(8), .n = 16 << dice(3),
                                 .kh = 1 + dice(3), .kw = 1 + dice(3), .sh = 1 + i % 3, .sw = 1 + dice(2), .groups = 1,
                                 .bits = 2 + dice(7), .ends = dice(4) == 0});
}

/* 3x3 at stride 1 of many channels, which may go another way; lines of as many pixels as fill matrix units or not. */
static void larger_convolutions(void **state)
{
    (void)state;
    for (int i = 0; i < 120; i++) {
        conv_shape t = {.h = 1 + dice(9), .w = 1 + dice(i % 2 ? 9 : 40), .c = 13 + dice(i % 5 ? 30 : 120),
                        .n = 13 + dice(i % 3 ? 40 : 80), .kh = 3, .kw = 3, .sh = 1, .sw = 1, .groups = 1,
                        .bits = i % 4 ? 8 : 2 + dice(7), .ends = dice(3) == 0, .kind = dice(4) ? 0 : 1 + dice(2)};
        if (i % 4 == 1) t.kh = t.kw = 1;
        check_conv(&t);
    }
    for (int i = 0; i < 60; i++)                          /* whole tiles of 4x4 and parts of some */
        check_conv(&(conv_shape){3 + dice(6), 3 + dice(i % 4 ? 6 : 40), i % 3 ? 16 << dice(3) : 40 + dice(80),
                                 1 + dice(70), 3, 3, 1, 1, 1, 8, dice(3) == 0, dice(4) ? 0 : 1 + dice(2)});
    check_conv(&(conv_shape){5, 6, 256, 32, 3, 3, 1, 1, 1, 8, 1, 2});
    check_conv(&(conv_shape){8, 8, 256, 32, 3, 3, 1, 1, 1, 5, 0, 2});
}

/* All weights and bytes at one end: sums near the greatest that 9 taps of so many channels have. */
static void greatest_sums(void **state)
{
    (void)state;
    static const int channels[] = {16, 64, 112, 115, 116, 160, 256};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++)
        for (int sign = -1; sign < 2; sign += 2) {
            const int c = channels[i], n = 17, taps = 9 * c;
            image x = image_new(10, 10, c, 0, 0, 0);
            int8_t *w = malloc((size_t)(taps * n));
            int32_t *bias = calloc((size_t)n, sizeof *bias), *sums = calloc(2 * 64 * (size_t)n, sizeof *sums);
            float *m = calloc((size_t)n, sizeof *m);
            memset(x.memory, 255, x.bytes);
            memset(w, sign * 127, (size_t)(taps * n));
            rt_int_conv a = {.x = x.at, .y = {.h = 8, .w = 8, .c = n}, .kh = 3, .kw = 3, .sh = 1, .sw = 1, .groups = 1,
                             .n = n, .w = w, .bias = bias, .m = m, .sums = sums};
            plain->conv(&a);
            assert_int_equal(sums[5], sign * 255 * 127 * taps);
            a.sums = sums + 64 * n;
            EACH_FAMILY(k) {
                void *packed = packed_for(*k, &a);
                a.packed = packed;
                (*k)->conv(&a);
                if (memcmp(sums, sums + 64 * n, 64 * (size_t)n * sizeof *sums))
                    fail_msg("%d channels in %s", c, (*k)->name);
                free(packed);
            }
            free(x.memory); free(w); free(bias); free(sums); free(m);
        }
}

/* A convolution and the larger of every two of its pixels in one go, against one after the other. */
static void larger_of_two(void **state)
{
    (void)state;
    int served = 0;
    for (int i = 0; i < 300; i++) {
        const int c = 1 + dice(i % 3 ? 20 : 70), n = 1 + dice(i % 2 ? 70 : 20), kh = 1 + dice(3), kw = 1 + dice(5),
                  sw = 1 + dice(2), h = 1 + dice(3), w = 2 + dice(i % 5 ? 20 : 60), taps = kh * kw * c,
                  ends = dice(4) == 0;
        image x = image_new(h + kh - 1, (w - 1) * sw + kw, c, 0, dice(4) ? 0 : dice(9), ends);
        image whole = image_new(h, w, n, 0, 0, 0), y = image_new(h, w / 2, n, dice(3), dice(3) ? 0 : dice(20), 0);
        image want = image_copy(&y);
        int8_t *weight = malloc((size_t)(taps * n));
        int32_t *bias = calloc((size_t)n, sizeof *bias);
        float *m = calloc((size_t)n, sizeof *m);
        for (int k = 0; k < taps * n; k++) weight[k] = (int8_t)(ends ? dice(3) * 127 - 127 : dice(255) - 127);
        for (int k = 0; k < n; k++) m[k] = i % 7 ? 0.01f / sqrtf((float)taps) : 2.0f;
        check_ok(rt_int_start(bias, bias, dice(256), weight, taps, n));
        const int zero = dice(256), low = dice(2) ? zero : 0;
        rt_int_conv a = {.x = x.at,
                         .y = whole.at,
                         .kh = kh,
                         .kw = kw,
                         .sh = 1,
                         .sw = sw,
                         .groups = 1,
                         .n = n,
                         .w = weight,
                         .bias = bias,
                         .m = m,
                         .range = {zero, low, dice(3) ? 255 : low + dice(256 - low)}};
        plain->conv(&a);
        plain->max_pool(&(rt_int_pool){.x = whole.at, .y = want.at, .kh = 1, .kw = 2, .sh = 1, .sw = 2});
        EACH_FAMILY(k) {
            if (!(*k)->conv_pairs(&a)) continue;
            served++;
            image got = image_copy(&y);
            rt_int_conv b = a;
            b.y = got.at;
            b.pairs = 1;
            void *packed = packed_for(*k, &b);
            b.packed = packed;
            (*k)->conv(&b);
            if (memcmp(got.memory, want.memory, got.bytes))
                fail_msg("pairs of (%d, %d, %d) to %d channels, kernel %dx%d, stride %d, in %s", h, w, c, n, kh, kw, sw,
                         (*k)->name);
            free(packed); free(got.memory);
        }
        free(x.memory); free(whole.memory); free(y.memory); free(want.memory); free(weight); free(bias); free(m);
    }
    assert_true(served > 600);
}

/* A row whose weights are read from their end. */
static void read_backward(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        const int c = 1 + dice(i % 2 ? 70 : 700), n = 1 + dice(200);
        image x = image_new(1, 1, c, 0, 0, i % 5 == 0), y = image_new(1, 1, n, 0, 0, 0);
        int8_t *w = malloc((size_t)(c * n));
        int32_t *bias = calloc((size_t)n, sizeof *bias);
        float *m = calloc((size_t)n, sizeof *m), *logits = calloc(2 * (size_t)n, sizeof *logits);
        for (int k = 0; k < c * n; k++) w[k] = (int8_t)(dice(255) - 127);
        for (int k = 0; k < n; k++) m[k] = 0.002f;
        check_ok(rt_int_start(bias, bias, dice(256), w, c, n));
        rt_int_conv a = {.x = x.at, .y = y.at, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .groups = 1, .n = n, .w = w,
                         .bias = bias, .m = m, .range = {100, 0, 255}, .logits = i % 3 ? NULL : logits};
        image want = image_copy(&y);
        a.y.p = want.at.p;
        plain->conv(&a);
        EACH_FAMILY(k) {
            image got = image_copy(&y);
            void *packed = packed_for(*k, &a);
            rt_int_conv b = a;
            b.packed = packed;
            b.backward = 1;
            b.y.p = got.at.p;
            if (b.logits) b.logits = logits + n;
            (*k)->conv(&b);
            if (memcmp(got.memory, want.memory, got.bytes) ||
                (b.logits && memcmp(logits, logits + n, (size_t)n * sizeof *m)))
                fail_msg("a row of %d to %d channels from its end, in %s", c, n, (*k)->name);
            free(packed); free(got.memory);
        }
        free(w); free(bias); free(m); free(logits); free(x.memory); free(y.memory); free(want.memory);
    }
}

/* Factors so large that products fit no int: what sat makes of them. */
static void large_factors(void **state)
{
    (void)state;
    static const float factors[] = {0.99999994f, 1.0f, 3.0f, 1e4f, 1e6f, 1e30f};
    for (int i = 0; i < 60; i++) {
        const float by = factors[i % 6];
        const int c = i % 2 ? 64 : 1 + dice(40), depthwise = i % 3 == 2, n = depthwise ? c : 1 + dice(70);
        const int side = i % 3 == 1 || depthwise ? 3 : 1, taps = side * side * (depthwise ? 1 : c), big = 8;
        image x = image_new(big + side - 1, big + side - 1, c, 0, 0, i % 4 == 0), y = image_new(big, big, n, 1, 0, 0),
              want = image_copy(&y);
        int8_t *w = malloc((size_t)(taps * n));
        int32_t *bias = calloc((size_t)n, sizeof *bias);
        float *m = calloc((size_t)n, sizeof *m);
        for (int k = 0; k < taps * n; k++) w[k] = (int8_t)(dice(255) - 127);
        for (int k = 0; k < n; k++) m[k] = dice(3) ? 0.001f : by;
        check_ok(rt_int_start(bias, bias, dice(256), w, taps, n));
        rt_int_conv a = {.x = x.at,
                         .y = want.at,
                         .kh = side,
                         .kw = side,
                         .sh = 1,
                         .sw = 1,
                         .groups = depthwise ? c : 1,
                         .n = n,
                         .w = w,
                         .bias = bias,
                         .m = m,
                         .range = {dice(256), 0, 255}};
        plain->conv(&a);
        image q = image_new(big, big, n, 1, 0, 0), sum = image_copy(&y), product = image_copy(&y);
        rt_int_pair p = {.a = y.at, .b = q.at, .y = sum.at, .ra = by * 0.01f, .rb = by, .fx = -by, .za = dice(256),
                         .zb = dice(256), .range = {dice(256), dice(100), 100 + dice(156)}};
        plain->add(&p);
        p.y = product.at;
        plain->mul(&p);
        EACH_FAMILY(k) {
            image got = image_copy(&y), added = image_copy(&y), times = image_copy(&y);
            void *packed = packed_for(*k, &a);
            rt_int_conv b = a;
            b.packed = packed;
            b.y = got.at;
            (*k)->conv(&b);
            p.y = added.at;
            (*k)->add(&p);
            p.y = times.at;
            (*k)->mul(&p);
            if (memcmp(got.memory, want.memory, got.bytes))
                fail_msg("conv %dx%d by %g in %s", side, side, (double)by, (*k)->name);
            if (memcmp(added.memory, sum.memory, got.bytes)) fail_msg("sum by %g in %s", (double)by, (*k)->name);
            if (memcmp(times.memory, product.memory, got.bytes))
                fail_msg("product by %g in %s", (double)by, (*k)->name);
            free(packed); free(got.memory); free(added.memory); free(times.memory);
        }
        free(w);
        free(bias);
        free(m);
        free(x.memory);
        free(y.memory);
        free(want.memory);
        free(q.memory);
        free(sum.memory);
        free(product.memory);
    }
}

/* Packed for one number of pixels in a line, run with others. */
static void packed_for_more(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        const int c = 32 + dice(80), n = 16 + dice(80), most = 1 + dice(20);
        image x = image_new(1, most, c, 0, 0, 0), y = image_new(1, most, n, 0, 0, 0);
        int8_t *w = malloc((size_t)(c * n));
        int32_t *bias = calloc((size_t)n, sizeof *bias);
        float *m = calloc((size_t)n, sizeof *m);
        for (int k = 0; k < c * n; k++) w[k] = (int8_t)(dice(255) - 127);
        for (int k = 0; k < n; k++) m[k] = 0.002f;
        check_ok(rt_int_start(bias, bias, dice(256), w, c, n));
        rt_int_conv a = {.x = x.at, .y = y.at, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .groups = 1, .n = n, .w = w,
                         .bias = bias, .m = m, .range = {100, 0, 255}};
        EACH_FAMILY(k) {
            void *packed = packed_for(*k, &a);
            for (int rows = 1; rows <= most; rows++) {
                image want = image_copy(&y), got = image_copy(&y);
                rt_int_conv some = a;
                some.x.w = some.y.w = rows;
                some.y.p = want.at.p;
                plain->conv(&some);
                some.packed = packed;
                some.y.p = got.at.p;
                (*k)->conv(&some);
                if (memcmp(got.memory, want.memory, got.bytes))
                    fail_msg("%d of %d rows, %d to %d channels, in %s", rows, most, c, n, (*k)->name);
                free(want.memory); free(got.memory);
            }
            free(packed);
        }
        free(w); free(bias); free(m); free(x.memory); free(y.memory);
    }
}

static void pairs(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        int h = 1 + dice(4), w = 1 + dice(9), c = 1 + dice(70), pad = dice(2);
        image a = image_new(h, w, c, pad, 0, 0), b = image_new(h, w, c, dice(2), dice(3) ? 0 : 3, 0),
              y = image_new(h, w, c, pad, dice(3) ? 0 : 5, 0), want = image_copy(&y);
        rt_quant qa = {0.01f + (float)dice(100) / 1000, dice(256)}, qb = {0.01f + (float)dice(100) / 1000, dice(256)},
                 qc = {0.001f + (float)dice(100) / 1000, dice(256)};
        for (int mul = 0; mul < 2; mul++) {
            rt_int_pair p = {.a = a.at, .b = b.at, .y = want.at, .range = rt_int_range_of(qc, dice(3))};
            (mul ? rt_int_mul_factors : rt_int_add_factors)(&p, qa, qb, qc);
            (mul ? plain->mul : plain->add)(&p);
            EACH_FAMILY(k) {
                image got = image_copy(&y);
                p.y = got.at;
                (mul ? (*k)->mul : (*k)->add)(&p);
                if (memcmp(got.memory, want.memory, got.bytes))
                    fail_msg("pair %d of (%d, %d, %d) in %s", mul, h, w, c, (*k)->name);
                free(got.memory);
            }
        }
        free(a.memory); free(b.memory); free(y.memory); free(want.memory);
    }
}

static void pools(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        int kh = 1 + dice(3), kw = 1 + dice(3), top = dice(kh), left = dice(kw), c = 1 + dice(70);
        rt_int_pool p = {.kh = kh,
                         .kw = kw,
                         .sh = 1 + dice(3),
                         .sw = 1 + dice(3),
                         .top = top,
                         .left = left,
                         .sx = 0.02f,
                         .sy = 0.001f + (float)dice(40) / 1000,
                         .zx = dice(256)};
        int h = kh + dice(9), w = kw + dice(9), oh = (h + 2 * top - kh) / p.sh + 1, ow = (w + 2 * left - kw) / p.sw + 1;
        image x = image_new(h, w, c, dice(2), dice(3) ? 0 : 3, 0),
              y = image_new(oh, ow, c, dice(2), dice(3) ? 0 : 3, 0);
        image want = image_copy(&y);
        p.x = x.at;
        p.range = rt_int_range_of((rt_quant){p.sy, dice(256)}, RT_ACT_NONE);
        for (int max = 0; max < 2; max++) {
            p.y = want.at;
            (max ? plain->max_pool : plain->avg_pool)(&p);
            EACH_FAMILY(k) {
                image got = image_copy(&y);
                p.y = got.at;
                (max ? (*k)->max_pool : (*k)->avg_pool)(&p);
                if (memcmp(got.memory, want.memory, got.bytes))
                    fail_msg("%s pool %dx%d of (%d, %d, %d) in %s", max ? "max" : "average", kh, kw, h, w, c,
                             (*k)->name);
                free(got.memory);
            }
        }
        free(x.memory); free(y.memory); free(want.memory);
    }
}

/* Against their definitions, written again: the range of numbers among which some are not, sums as floats. */
static void check_floats(float *f, int n)
{
    int32_t *sums = malloc(2 * (size_t)n * sizeof *sums), *total = sums + n;
    float *y = malloc((size_t)n * sizeof *y), low = 0, high = 0;
    f[dice(n)] = NAN;
    for (int i = 0; i < n; i++) {
        sums[i] = dice(1 << 20) - (1 << 19);
        total[i] = dice(1 << 14) - (1 << 13);
        if (f[i] < low) low = f[i];
        if (f[i] > high) high = f[i];
    }
    EACH_FAMILY(k)
        for (int with = 0; with < 2; with++) {
            rt_int_floats a = {n, dice(256), 0.0371f, total, f, with ? f : NULL};
            float l, h;
            (*k)->range(&l, &h, f, (size_t)n);
            assert_memory_equal(&l, &low, sizeof l);
            assert_memory_equal(&h, &high, sizeof h);
            (*k)->floats(y, sums, &a);
            for (int c = 0; c < n; c++) {
                volatile float m = a.scale * f[c], v = (float)(sums[c] - a.zero * total[c]), by = v * m,
                               want = with ? by + f[c] : by;
                if (isnan(want) ? !isnan(y[c]) : memcmp(&y[c], (const float *)&want, sizeof want) != 0)
                    fail_msg("channel %d of %d: %a instead of %a in %s", c, n, (double)y[c], (double)want, (*k)->name);
            }
        }
    free(sums);
    free(y);
}

/* Quotients at and beside the middle between two numbers, far outside, and none at all. */
static void inputs_at_their_worst(void **state)
{
    (void)state;
    static const float scales[] = {0.031f, 1 / 255.0f, 1.5e-37f, 3e30f, 7.0f, 0.1f, 1e-12f};
    enum { N = 3 * 256 * 5 + 9 };
    float *f = malloc(N * sizeof *f);
    uint8_t *want = malloc(2 * N);
    assert_true(f && want);
    for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++)
        for (int zero = 0; zero < 256; zero += 51) {
            for (int i = 0; i < N; i++) {
                float half = ((float)(i / 15 - zero) + 0.5f * (float)(i % 3)) * scales[s];
                f[i] = i % 5 == 1 ? nextafterf(half, INFINITY) : i % 5 == 2 ? nextafterf(half, -INFINITY) : half;
                if (i % 97 == 5) f[i] = (float[]){NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 0x1p31f * scales[s]}[i % 6];
            }
            plain->quantize(want, f, N, scales[s], zero);
            EACH_FAMILY(k) {
                (*k)->quantize(want + N, f, N, scales[s], zero);
                for (int i = 0; i < N; i++)
                    if (want[i] != want[N + i])
                        fail_msg("%.9g by %.9g, zero %d, in %s: %d, not %d", (double)f[i], (double)scales[s], zero,
                                 (*k)->name, want[N + i], want[i]);
            }
        }
    free(f); free(want);
}

static void maps_and_inputs(void **state)
{
    (void)state;
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)dice(256);
    for (int i = 0; i < 60; i++) {
        int h = 1 + dice(4), w = 1 + dice(9), c = 1 + dice(70);
        image x = image_new(h, w, c, dice(2), 0, 0), y = image_new(h, w, c, dice(2), dice(5), 0), want = image_copy(&y);
        plain->map(&(rt_int_map){x.at, want.at, table});
        float *f = random_floats((size_t)(h * w * c), 7);
        uint8_t *q = malloc(2 * (size_t)(h * w * c));
        plain->quantize(q, f, (size_t)(h * w * c), 0.031f, 100);
        EACH_FAMILY(k) {
            image got = image_copy(&y);
            (*k)->map(&(rt_int_map){x.at, got.at, table});
            assert_memory_equal(got.memory, want.memory, got.bytes);
            (*k)->quantize(q + h * w * c, f, (size_t)(h * w * c), 0.031f, 100);
            assert_memory_equal(q, q + h * w * c, (size_t)(h * w * c));
            free(got.memory);
        }
        check_floats(f, h * w * c);
        free(x.memory); free(y.memory); free(want.memory); free(f); free(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions),
                                       cmocka_unit_test(larger_convolutions),
                                       cmocka_unit_test(greatest_sums),
                                       cmocka_unit_test(larger_of_two),
                                       cmocka_unit_test(read_backward),
                                       cmocka_unit_test(large_factors),
                                       cmocka_unit_test(packed_for_more),
                                       cmocka_unit_test(pairs),
                                       cmocka_unit_test(pools),
                                       cmocka_unit_test(inputs_at_their_worst),
                                       cmocka_unit_test(maps_and_inputs),
                                       cmocka_unit_test(lines_of_few_products)};
    return cmocka_run_group_tests(tests, find_families, NULL);
}
