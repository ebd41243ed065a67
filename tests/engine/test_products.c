/* Products on matrix units: against sums in double, beside the errors of the same family's multiply-adds; odd shapes,
 * what lies around the result, packing in pieces, NaN. */
#include "engine/kernels.h"
#include "tests/support.h"

typedef struct { int rows, k, n; } sample;

static const sample samples[] = {
    {32, 784, 128}, {1, 32, 32},    {16, 33, 31}, {17, 1, 16},  {31, 65, 47},   {33, 31, 17},
    {70, 130, 97},  {64, 1100, 33}, {5, 64, 1},   {128, 7, 64}, {1200, 40, 20},
};
enum { SAMPLES = sizeof samples / sizeof samples[0], GAP = 5 };

#define EACH_FAMILY_WITH_UNITS(k) \
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) \
        if (rt_kernels_runnable(*k) && (*k)->product)

static void need_units(void)
{
    int found = 0;
    EACH_FAMILY_WITH_UNITS(k) found = 1;
    if (!found) skip();
}

/* Root mean square of errors, and their largest in units of 2^-24 sum |x| |w|. */
typedef struct { double square, worst; size_t count; } errors;

static void count_error(errors *e, double got, double want, double size)
{
    double d = fabs(got - want), units = size > 0 ? d / size * 0x1p24 : 0;
    if (!(d >= 0)) fail_msg("got %g, want %g", got, want);
    e->square += d * d;
    e->count++;
    if (units > e->worst) e->worst = units;
}

/* Both ways' errors over one sample: units no worse than the chain of multiply-adds, and each within its bound. */
static void compare_errors(const char *what, const sample *s, const errors *units, const errors *chain, int terms)
{
    double a = sqrt(units->square / (double)units->count), b = sqrt(chain->square / (double)chain->count);
    if (units->worst > 2 + terms)
        fail_msg("%s %d x %d x %d: error of %g units", what, s->rows, s->k, s->n, units->worst);
    if (terms >= 64 && a > b)
        fail_msg("%s %d x %d x %d: rms error %g, of multiply-adds %g", what, s->rows, s->k, s->n, a, b);
}

static void forward(void **state)
{
    (void)state;
    need_units();
    for (int i = 0; i < SAMPLES; i++) {
        const sample *s = &samples[i];
        ptrdiff_t x_ld = s->k + GAP, y_ld = s->n + GAP, w_ld = s->n + 2;
        float *x = random_floats((size_t)(s->rows * x_ld), 1), *w = random_floats((size_t)(s->k * w_ld), 2),
              *bias = random_floats((size_t)s->n, 3);
        float *old = random_floats((size_t)(s->rows * y_ld), 4), *y = random_floats((size_t)(s->rows * y_ld), 4),
              *z = random_floats((size_t)(s->rows * y_ld), 4);
        EACH_FAMILY_WITH_UNITS(k)
            for (int mode = 0; mode < 5; mode++) {
                rt_conv_line a = {.y = y,
                                  .y_px = y_ld,
                                  .x = x,
                                  .x_px = x_ld,
                                  .w = w,
                                  .w_ld = w_ld,
                                  .bias = mode ? bias : NULL,
                                  .px = s->rows,
                                  .kh = 1,
                                  .klen = s->k,
                                  .n = s->n,
                                  .accumulate = mode == 4,
                                  .act = mode == 2   ? RT_ACT_RELU
                                         : mode == 3 ? RT_ACT_RELU6
                                                     : RT_ACT_NONE};
                memcpy(y, old, (size_t)(s->rows * y_ld) * sizeof *y);
                memcpy(z, old, (size_t)(s->rows * y_ld) * sizeof *z);
                if (mode == 4) a.bias = NULL;
                (*k)->product(&a);
                a.y = z;
                (*k)->conv_line(&a);
                errors units = {0}, chain = {0};
                for (int r = 0; r < s->rows; r++)
                    for (int n = 0; n < y_ld; n++) {
                        ptrdiff_t at = r * y_ld + n;
                        if (n >= s->n) {
                            assert_true(y[at] == old[at]);
                            continue;
                        }
                        double sum = mode == 4 ? old[at] : mode ? bias[n] : 0, size = fabs(sum);
                        for (int j = 0; j < s->k; j++) {
                            double p = (double)x[r * x_ld + j] * w[j * w_ld + n];
                            sum += p;
                            size += fabs(p);
                        }
                        if (a.act) sum = sum > 0 ? sum : 0;
                        if (a.act == RT_ACT_RELU6 && sum > 6) sum = 6;
                        count_error(&units, y[at], sum, size);
                        count_error(&chain, z[at], sum, size);
                    }
                compare_errors("product", s, &units, &chain, s->k);
            }
        free(x);
        free(w);
        free(bias);
        free(old);
        free(y);
        free(z);
    }
}

static void weight_gradient(void **state)
{
    (void)state;
    need_units();
    for (int i = 0; i < SAMPLES; i++) {
        const sample *s = &samples[i];
        ptrdiff_t x_ld = s->k + GAP, dy_ld = s->n + 1, dw_ld = s->n + GAP;
        float *x = random_floats((size_t)(s->rows * x_ld), 1), *dy = random_floats((size_t)(s->rows * dy_ld), 2),
              *old = random_floats((size_t)(s->k * dw_ld), 3);
        float *dw = random_floats((size_t)(s->k * dw_ld), 3), *z = random_floats((size_t)(s->k * dw_ld), 3);
        EACH_FAMILY_WITH_UNITS(k) {
            size_t bytes = (*k)->product_bytes(s->rows, s->n);
            char *whole = aligned_alloc(64, (bytes + 63) & ~(size_t)63),
                 *pieces = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
            assert_non_null(whole);
            assert_non_null(pieces);
            memset(whole, 0xff, bytes);
            memset(pieces, 0xff, bytes);
            (*k)->product_pack(whole, dy, dy_ld, 0, s->rows, s->rows, s->n);
            for (int r = 0, step = 1; r < s->rows; r += step, step = step % 7 + 1)
                (*k)->product_pack(pieces, dy, dy_ld, r, r + step < s->rows ? r + step : s->rows, s->rows, s->n);
            assert_memory_equal(whole, pieces, bytes);
            for (int overwrite = 0; overwrite < 2; overwrite++) {
                rt_conv_dw a = {.dw = dw,
                                .dw_ld = dw_ld,
                                .x = x,
                                .x_px = x_ld,
                                .dy = dy,
                                .dy_px = dy_ld,
                                .lines = 1,
                                .px = s->rows,
                                .kh = 1,
                                .klen = s->k,
                                .n = s->n,
                                .overwrite = overwrite};
                memcpy(dw, old, (size_t)(s->k * dw_ld) * sizeof *dw);
                memcpy(z, old, (size_t)(s->k * dw_ld) * sizeof *z);
                (*k)->product_dw(&a, whole);
                a.dw = z;
                (*k)->conv_dw(&a);
                errors units = {0}, chain = {0};
                for (int j = 0; j < s->k; j++)
                    for (int n = 0; n < dw_ld; n++) {
                        ptrdiff_t at = j * dw_ld + n;
                        if (n >= s->n) {
                            assert_true(dw[at] == old[at]);
                            continue;
                        }
                        double sum = overwrite ? 0 : old[at], size = fabs(sum);
                        for (int r = 0; r < s->rows; r++) {
                            double p = (double)x[r * x_ld + j] * dy[r * dy_ld + n];
                            sum += p;
                            size += fabs(p);
                        }
                        count_error(&units, dw[at], sum, size);
                        count_error(&chain, z[at], sum, size);
                    }
                compare_errors("product_dw", s, &units, &chain, s->rows);
            }
            free(whole);
            free(pieces);
        }
        free(x);
        free(dy);
        free(old);
        free(dw);
        free(z);
    }
}

/* Floats of all exponents at which their three parts can be held: one product alone is as good as fp32's own. */
static void one_term(void **state)
{
    (void)state;
    need_units();
    enum { N = 512 };
    EACH_FAMILY_WITH_UNITS(k)
        for (int e = -60; e <= 60; e += 7) {
            float *w = random_floats(N, (uint32_t)(e + 100)), y[N], x = ldexpf(1.2345678f, -e);
            for (int i = 0; i < N; i++) w[i] = ldexpf(w[i], e);
            (*k)->product(&(rt_conv_line){
                .y = y, .y_px = N, .x = &x, .x_px = 1, .w = w, .w_ld = N, .px = 1, .kh = 1, .klen = 1, .n = N});
            for (int i = 0; i < N; i++) check_close("a product", y[i], (double)x * w[i], 0, 0x1p-23);
            free(w);
        }
}

static void not_a_number(void **state)
{
    (void)state;
    need_units();
    enum { K = 40, N = 20 };
    EACH_FAMILY_WITH_UNITS(k)
        for (int side = 0; side < 2; side++) {
            float *x = random_floats(2 * K, 1), *w = random_floats(K * N, 2), y[2 * N];
            if (side) w[3 * N + 7] = NAN; else x[K + 9] = NAN;
            (*k)->product(&(rt_conv_line){
                .y = y, .y_px = N, .x = x, .x_px = K, .w = w, .w_ld = N, .px = 2, .kh = 1, .klen = K, .n = N});
            for (int r = 0; r < 2; r++)
                for (int n = 0; n < N; n++) assert_int_equal(isnan(y[r * N + n]) != 0, side ? n == 7 : r == 1);
            free(x);
            free(w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(weight_gradient),
                                       cmocka_unit_test(one_term), cmocka_unit_test(not_a_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
