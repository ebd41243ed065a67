/* Views of rows, pixel by pixel: each is made again here from the random numbers that engine/rng.h documents and the
 * rules in engine/views.h; mixup's lambda by its moments, and finite for any alpha. */
#include "student/model.h"
#include "train/augment.h"
#include "tests/support.h"

enum { H = 6, W = 7, C = 2, PIXELS = H * W * C, ROWS = 9, SEED = 77 };

static rt_model *images(int h, int w, int c, const double *mean, const double *std, int channels)
{
    char text[160];
    rt_model *m;
    snprintf(text, sizeof text, "{\"input\": [%d, %d, %d], \"classes\": 2, \"layers\": [{\"op\": \"flatten\"}, "
             "{\"op\": \"dense\", \"out\": 2}]}", h, w, c);
    cJSON *arch = cJSON_Parse(text);
    check_ok(rt_model_new(&m, arch, 1));
    check_ok(rt_input_set_normalization(&m->input[0], mean, std, channels));
    cJSON_Delete(arch);
    return m;
}

static const double mean[C] = {100, 60}, deviation[C] = {20, 50};
static uint8_t pixel[ROWS][H][W][C];
static uint64_t row_number[ROWS];

static void make_rows(void)
{
    for (int r = 0; r < ROWS; r++) {
        row_number[r] = (uint64_t)r * 1000003 + ((uint64_t)r << 33);       /* numbers above 32 bits are rows, too */
        for (int i = 0; i < PIXELS; i++) ((uint8_t *)pixel[r])[i] = (uint8_t)(r * 41 + i * 3 + 1);
    }
}

typedef struct { int flip, dy, dx, erase, ey, ex, eh, ew; } expected;

/* The words of lane 0: flip, vertical, horizontal, erase or not; lane 1: area, ratio, place. */
static expected rule(const rt_view_desc *a, uint32_t epoch, uint64_t row, int h, int w)
{
    uint32_t r[4], e[4];
    expected x = {0};
    rt_random4(r, SEED, RT_RNG_AUGMENT, epoch, (uint32_t)(row >> 32), (uint32_t)row, 0);
    rt_random4(e, SEED, RT_RNG_AUGMENT, epoch, (uint32_t)(row >> 32), (uint32_t)row, 1);
    x.flip = a->flip && r[0] % 2;
    if (a->shift) {
        x.dy = (int)(r[1] % (uint32_t)(a->shift * 2 + 1)) - a->shift;
        x.dx = (int)(r[2] % (uint32_t)(a->shift * 2 + 1)) - a->shift;
    }
    x.erase = (r[3] >> 8) / 16777216.0 < a->erase;
    double area = (0.02 + 0.31 * ((e[0] >> 8) / 16777216.0)) * h * w;      /* 2 % to 33 % */
    double ratio = pow(0.3, 1 - 2 * ((e[1] >> 8) / 16777216.0));           /* 0.3 to 1 / 0.3, even in the logarithm */
    x.eh = (int)floor(sqrt(area * ratio) + 0.5);
    x.ew = (int)floor(sqrt(area / ratio) + 0.5);
    if (x.eh > h) x.eh = h;
    if (x.ew > w) x.ew = w;
    x.ey = (int)(e[2] % (uint32_t)(h - x.eh + 1));
    x.ex = (int)(e[3] % (uint32_t)(w - x.ew + 1));
    return x;
}

/* Normalised pixel (y, x, c) of row r's view. */
static double want(const expected *q, int r, int y, int x, int c)
{
    if (q->erase && y >= q->ey && y < q->ey + q->eh && x >= q->ex && x < q->ex + q->ew) return 0;  /* the mean */
    int sy = y + q->dy, sx = (q->flip ? W - 1 - x : x) + q->dx;
    double raw = sy < 0 || sy >= H || sx < 0 || sx >= W ? 0 : pixel[r][sy][sx][c];    /* outside: raw 0 */
    return (raw - mean[c]) / deviation[c];
}

static void check_views(rt_view_desc a, const int *partner, float lambda)
{
    rt_model *m = images(H, W, C, mean, deviation, C);
    rt_feed f = {.raw = pixel, .rows = ROWS, .row = row_number, .view = &a, .seed = SEED, .partner = partner,
                 .lambda = lambda};
    float got[ROWS][H][W][C];
    int seen[6] = {0};
    rt_input_take(&m->input[0], RT_U8);
    rt_row_desc in = rt_input_rows(&m->input[0]);
    for (f.epoch = 0; f.epoch < 6; f.epoch++) {
        rt_rows_fill(&in, &f, (float *)got, 0, 4);
        rt_rows_fill(&in, &f, (float *)got[4], 4, ROWS - 4);
        for (int r = 0; r < ROWS; r++) {
            expected q = rule(&a, f.epoch, row_number[r], H, W), p = {0};
            if (partner) p = rule(&a, f.epoch, row_number[partner[r]], H, W);
            seen[0] += q.flip;
            seen[1] += q.dy == -a.shift && a.shift;
            seen[2] += q.dx == a.shift && a.shift;
            seen[3] += q.erase;
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++)
                    for (int c = 0; c < C; c++) {
                        double value = want(&q, r, y, x, c);
                        double other = partner ? want(&p, partner[r], y, x, c) : 0;
                        if (partner) value = (double)lambda * value + (1 - (double)lambda) * other;
                        check_close("pixel", got[r][y][x][c], value, 2e-6, 2e-6);
                    }
        }
    }
    if (a.flip) assert_in_range(seen[0], 10, 44);
    if (a.shift) assert_true(seen[1] > 0 && seen[2] > 0);
    if (a.erase > 0) assert_true(seen[3] > 5);
    rt_model_free(m);
}

static void plain(void **s) { (void)s; check_views((rt_view_desc){0}, NULL, 1); }
static void flips(void **s) { (void)s; check_views((rt_view_desc){.flip = 1}, NULL, 1); }
static void shifts(void **s) { (void)s; check_views((rt_view_desc){.shift = 2}, NULL, 1); }
static void erased(void **s) { (void)s; check_views((rt_view_desc){.erase = 0.6}, NULL, 1); }
static void all_at_once(void **s)
{
    (void)s;
    check_views((rt_view_desc){.flip = 1, .shift = 1, .erase = 0.5}, NULL, 1);
}

static void mixtures(void **s)
{
    (void)s;
    static const int partner[ROWS] = {8, 7, 6, 5, 4, 3, 2, 1, 0};
    check_views((rt_view_desc){0}, partner, 0.3f);
    check_views((rt_view_desc){.flip = 1, .shift = 2, .erase = 0.4}, partner, 0.8f);
}

/* Half floats, doubles and one normalisation for all channels take the same way. */
static void other_types(void **s)
{
    (void)s;
    static const double one_mean = 3, one_std = 4;
    double raw[H * W];
    float as_float[H * W], a[H * W], b[H * W];
    for (int i = 0; i < H * W; i++) as_float[i] = (float)(raw[i] = i * 0.25 - 2);
    rt_model *m = images(H, W, 1, &one_mean, &one_std, 1);
    rt_view_desc views = {.flip = 1, .shift = 1};
    rt_feed f = {.raw = raw, .rows = 1, .row = row_number + 3, .view = &views, .seed = SEED, .epoch = 1};
    rt_input_take(&m->input[0], RT_F64);
    rt_row_desc rows = rt_input_rows(&m->input[0]);
    rt_rows_fill(&rows, &f, a, 0, 1);
    f.raw = as_float;
    rt_input_take(&m->input[0], RT_F32);
    rows = rt_input_rows(&m->input[0]);
    rt_rows_fill(&rows, &f, b, 0, 1);
    expected q = rule(&views, 1, row_number[3], H, W);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int sy = y + q.dy, sx = (q.flip ? W - 1 - x : x) + q.dx;
            int in = sy >= 0 && sy < H && sx >= 0 && sx < W;
            check_close("double", a[y * W + x], ((in ? raw[sy * W + sx] : 0) - 3) / 4, 1e-6, 1e-6);
            check_close("float", b[y * W + x], a[y * W + x], 0, 0);
        }
    rt_model_free(m);
}

static double draw(double alpha, uint32_t step, int *partner)
{
    rt_augment a = {.mixup = alpha};
    rt_batch b = {.epoch = 1, .step = step, .rows = ROWS};
    return rt_mixup_draw(&a, SEED, &b, partner);
}

/* Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)), P(< 0.1) as scipy.stats.beta.cdf(0.1, a, a) gives it. */
static void beta_moments(void **s)
{
    (void)s;
    static const struct { double a, below; } of[] = {{0.2, 0.3366898}, {1, 0.1}, {5, 0.00089092}, {0.05, 0.4494691}};
    enum { N = 20000 };
    int partner[ROWS];
    for (int k = 0; k < 4; k++) {
        double sum = 0, square = 0, low = 0, a = of[k].a, variance = 1 / (4 * (2 * a + 1));
        for (uint32_t i = 0; i < N; i++) {
            double x = draw(a, i, partner);
            assert_true(x >= 0 && x <= 1);
            sum += x;
            square += (x - 0.5) * (x - 0.5);
            low += x < 0.1;
        }
        check_close("mean", sum / N, 0.5, 5 * sqrt(variance / N), 0);
        check_close("variance", square / N, variance, 0.006, 0);
        check_close("share below 0.1", low / N, of[k].below, 5 * sqrt(of[k].below / N) + 1e-4, 0);
    }
}

/* However small alpha is, lambda is a number, and 0 and 1 are as likely. */
static void tiny_alpha(void **s)
{
    (void)s;
    static const double alpha[] = {1e-2, 1e-3, 1e-4, 1e-6, 1e-12, 1e-300, 5e-324};
    int partner[ROWS];
    for (int k = 0; k < 7; k++) {
        int high = 0, middle = 0;
        for (uint32_t i = 0; i < 2000; i++) {
            double x = draw(alpha[k], i, partner);
            if (!(x >= 0 && x <= 1)) fail_msg("alpha %g, step %u: lambda is %g", alpha[k], i, x);
            high += x > 0.5;
            middle += x > 0.001 && x < 0.999;
        }
        assert_in_range(high, 880, 1120);
        assert_true(middle <= (k ? 40 : 200));
    }
}

static void partners(void **s)
{
    (void)s;
    int partner[ROWS], seen[ROWS] = {0};
    draw(1, 5, partner);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(partner[i], (int)rt_permute((uint64_t)i, ROWS, SEED, RT_RNG_MIXUP, 1, 5));
        seen[partner[i]]++;
    }
    for (int i = 0; i < ROWS; i++) assert_int_equal(seen[i], 1);
}

/* Draws that were right before stay what they were, to the bit (recorded). */
static void kept_draws(void **s)
{
    (void)s;
    static const struct { double alpha; float lambda[4]; } of[] = {
        {0.1, {0x1p+0f, 0x1p+0f, 0x1.53b684p-7f, 0x1.983732p-8f}},
        {0.2, {0x1.fffa4p-1f, 0x1.fff8aep-1f, 0x1.27d68cp-3f, 0x1.5dd19cp-5f}},
        {1, {0x1.1431d8p-1f, 0x1.97e5ecp-3f, 0x1.3ce442p-2f, 0x1.45f982p-3f}},
        {5, {0x1.07f28cp-1f, 0x1.78dc9cp-2f, 0x1.bcc7eap-2f, 0x1.68bc16p-2f}},
    };
    int partner[ROWS];
    for (int k = 0; k < 4; k++)
        for (uint32_t i = 0; i < 4; i++) assert_true((float)draw(of[k].alpha, i, partner) == of[k].lambda[i]);
}

static void images_only(void **s)
{
    (void)s;
    rt_model *m;
    cJSON *arch = cJSON_Parse("{\"input\": [8], \"classes\": 2, \"layers\": [{\"op\": \"dense\", \"out\": 2}]}");
    check_ok(rt_model_new(&m, arch, 1));
    rt_augment a = {.mixup = 0.2};
    check_ok(rt_augment_check(&a, m->input, 1));
    a.view.shift = 1;
    check_fails(rt_augment_check(&a, m->input, 1), RT_USAGE, "augment.shift: needs images");
    a = (rt_augment){.view = {.erase = 0.1}};
    check_fails(rt_augment_check(&a, m->input, 1), RT_USAGE, "augment.erase: needs images");
    a = (rt_augment){.view = {.flip = 1}};
    check_fails(rt_augment_check(&a, m->input, 1), RT_USAGE, "augment.flip: needs images");
    rt_model_free(m);
    cJSON_Delete(arch);
}

/* Of several inputs the image alone moves, or the one that is named; rows stand side by side in one raw row. */
static void one_of_several(void **s)
{
    (void)s;
    enum { P = H * W * C, N = 3 };
    static unsigned char raw[ROWS][P + 16];
    float got[ROWS][P], alone[ROWS][P], flat[ROWS][N];
    rt_model *m = images(H, W, C, mean, deviation, C), *two = images(H, W, C, mean, deviation, C);
    rt_input other = {0};
    check_ok(rt_input_begin(&other, "table", &(rt_shape){1, {N}}));
    for (int r = 0; r < ROWS; r++) {
        memcpy(raw[r] + 8, pixel[r], P);
        for (int k = 0; k < N; k++) raw[r][k] = (unsigned char)(r * 5 + k);
    }
    two->input[0].name = "image";
    rt_input in[2] = {other, two->input[0]};
    for (int i = 0; i < 2; i++) {
        rt_input_take(&in[i], RT_U8);
        in[i].raw_at = (size_t)i * 8;
        in[i].raw_bytes = sizeof raw[0];
    }
    rt_input_take(&m->input[0], RT_U8);
    rt_augment a = {.view = {.flip = 1, .shift = 1}}, b = a;
    check_ok(rt_augment_check(&a, in, 2));
    assert_string_equal(a.view.input, "image");
    check_ok(rt_augment_check(&b, m->input, 1));
    rt_feed rows = {.raw = raw, .rows = ROWS, .row = row_number, .view = &a.view, .seed = SEED, .epoch = 3}, one = rows;
    one.raw = pixel;
    one.view = &b.view;
    const rt_row_desc table = rt_input_rows(&in[0]), image = rt_input_rows(&in[1]), only = rt_input_rows(&m->input[0]);
    rt_rows_fill(&image, &rows, got[0], 0, ROWS);
    rt_rows_fill(&table, &rows, flat[0], 0, ROWS);
    rt_rows_fill(&only, &one, alone[0], 0, ROWS);
    assert_memory_equal(got, alone, sizeof got);
    for (int r = 0; r < ROWS; r++) for (int k = 0; k < N; k++) assert_true(flat[r][k] == (float)(r * 5 + k));
    int partner[ROWS];
    for (int r = 0; r < ROWS; r++) partner[r] = (r + 1) % ROWS;
    rt_feed mix = {.raw = raw, .rows = ROWS, .partner = partner, .lambda = 0.25f};
    rt_rows_fill(&table, &mix, flat[0], 0, ROWS);
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < N; k++)
            check_close("mixed", flat[r][k], 0.25 * (r * 5 + k) + 0.75 * (partner[r] * 5 + k), 1e-4, 1e-6);
    /* A part of a batch is what it is in the whole; what is asked for beyond it is 0. */
    float part[3][N];
    mix.first = 4;
    mix.rows = 2;
    rt_rows_fill(&table, &mix, part[0], 0, 3);
    assert_memory_equal(part, flat[4], 2 * sizeof part[0]);
    for (int k = 0; k < N; k++) assert_true(part[2][k] == 0);
    a = (rt_augment){.view = {.erase = 1, .input = "table"}};
    check_fails(rt_augment_check(&a, in, 2), RT_USAGE, "augment.erase: needs images, but the model's input has 1 dim");
    a.view.input = "none";
    check_fails(rt_augment_check(&a, in, 2), RT_USAGE, "augment.input: the model has no input 'none'");
    a = (rt_augment){.mixup = 1, .view = {.input = "image"}};
    check_fails(rt_augment_check(&a, in, 2), RT_USAGE, "augment.input: is not used");
    rt_input images2[2] = {in[1], in[1]};
    a = (rt_augment){.view = {.flip = 1}};
    check_fails(rt_augment_check(&a, images2, 2), RT_USAGE, "2 inputs that are images; augment.input names one");
    rt_input_free(&in[0]);
    rt_model_free(two);
    rt_model_free(m);
}

int main(void)
{
    make_rows();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(one_of_several),
        cmocka_unit_test(flips),
        cmocka_unit_test(shifts),
        cmocka_unit_test(erased),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(mixtures),
        cmocka_unit_test(other_types),
        cmocka_unit_test(beta_moments),
        cmocka_unit_test(tiny_alpha),
        cmocka_unit_test(partners),
        cmocka_unit_test(kept_draws),
        cmocka_unit_test(images_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
