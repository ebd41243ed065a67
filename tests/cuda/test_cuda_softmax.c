/* Kernels of softmax and log softmax against doubles: lines that lie together or apart, short and long; gradients,
 * written and added; large numbers, -infinity and NaN; a line's bits do not depend on those beside it; all orders of
 * threads give the same bits. */
#include "tests/cuda/launched.h"

#include "engine/cuda/cuda_softmax.h"

typedef struct { int outer, d, inner, logs, add; float scale, far; } lines_case;

static float *input_of(const lines_case *k, size_t size)
{
    float *x = random_floats(size, 1);
    for (size_t i = 0; i < size; i++) x[i] = x[i] * k->scale + k->far;
    return x;
}

/* y, then dx. */
static float *lines_of(void *arg, size_t *n)
{
    const lines_case *k = arg;
    size_t size = (size_t)k->outer * (size_t)k->d * (size_t)k->inner;
    float *hx = input_of(k, size), *hdy = random_floats(size, 2), *x = upload(hx, size), *dy = upload(hdy, size),
          *y = upload(NULL, size), *dx = k->add ? upload_all(0.5f, size) : upload(NULL, size);
    rt_softmax_lines l = {.outer = (size_t)k->outer, .inner = (size_t)k->inner, .d = k->d, .logs = k->logs};
    rt_k_softmax(NULL, &l, y, x);
    rt_k_softmax_back(NULL, &l, dx, k->add, y, dy);
    float *a = taken(y, size), *b = taken(dx, size), *all = malloc((*n = 2 * size) * sizeof *all);
    memcpy(all, a, size * sizeof *a);
    memcpy(all + size, b, size * sizeof *b);
    cuda_ok(cudaFree(x));
    cuda_ok(cudaFree(dy));
    float *host[] = {hx, hdy, a, b};
    for (int i = 0; i < 4; i++) free(host[i]);
    return all;
}

static float *copy_of(const float *p, size_t n)
{
    float *c = malloc(n * sizeof *c);
    memcpy(c, p, n * sizeof *c);
    return c;
}

/* What must come, and dx from y as it came. */
static void check_lines(const lines_case *k)
{
    size_t n = 0, d = (size_t)k->d, inner = (size_t)k->inner, size = (size_t)k->outer * d * inner;
    float *got = lines_of((void *)(uintptr_t)k, &n), *x = input_of(k, size), *dy = random_floats(size, 2);
    double *y = doubles(size), *dx = doubles(size);
    for (size_t line = 0; line < (size_t)k->outer * inner; line++) {
        size_t first = line / inner * d * inner + line % inner, end = first + d * inner;
        double most = -INFINITY, sum = 0, s = 0;
        for (size_t i = first; i < end; i += inner) most = fmax(most, (double)x[i]);
        for (size_t i = first; i < end; i += inner) sum += exp((double)x[i] - most);
        for (size_t i = first; i < end; i += inner) {
            double v = (double)x[i] - most - log(sum);
            y[i] = k->logs ? v : exp(v);
            s += (double)dy[i] * (k->logs ? 1 : exp(v));
        }
        for (size_t i = first; i < end; i += inner)
            dx[i] = k->logs ? (double)dy[i] - exp(y[i]) * s : y[i] * ((double)dy[i] - s);
    }
    char name[80];
    snprintf(name, sizeof name, "%s (%d, %d, %d)", k->logs ? "log softmax" : "softmax", k->outer, k->d, k->inner);
    check_tensor(name, "y", copy_of(got, size), y, size, 0, 3e-6);
    if (d > 1) check_tensor(name, "dx", copy_of(got + size, size), dx, size, k->add ? 0.5 : 0, 1e-5);
    else free(dx);
    free(got);
    free(x);
    free(dy);
}

static void test_lines(void **state)
{
    lines_case cases[] = {
        {3, 1, 1, 0, 0, 1, 0}, {7, 10, 1, 0, 0, 3, 0}, {5, 32, 1, 0, 1, 1, 0}, {9, 33, 1, 0, 0, 1, 1000},
        {3, 100, 1, 0, 0, 1, 0}, {2, 200, 1, 0, 1, 1, 0}, {2, 500, 1, 0, 0, 2, 0}, {3, 1000, 1, 0, 0, 1, 0},
        {2, 1024, 1, 0, 1, 1, 0}, {2, 1025, 1, 0, 0, 1, 0}, {2, 3000, 1, 0, 1, 1, 50}, {3, 5, 7, 0, 0, 1, 0},
        {2, 40, 33, 0, 1, 4, 0}, {2, 300, 3, 0, 0, 1, 0}, {2, 1, 5, 0, 0, 1, 0}, {1, 260, 40, 0, 0, 1, 0}};
    (void)state;
    for (int logs = 0; logs < 2; logs++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            lines_case *k = &cases[i];
            k->logs = logs;
            check_lines(k);
            if (k->outer * k->d * k->inner < 4000) check_orders(lines_of, k);
        }
}

/* The first lines of more are those of fewer, to the bit. */
static void test_alone(void **state)
{
    lines_case many[] = {
        {9, 40, 1, 0, 0, 1, 0}, {9, 1100, 1, 1, 0, 1, 0}, {9, 6, 4, 0, 0, 1, 0}, {9, 300, 2, 1, 0, 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        lines_case few = many[i];
        few.outer = 2;
        size_t n = 0, row = (size_t)few.d * (size_t)few.inner;
        float *a = lines_of(&many[i], &n), *b = lines_of(&few, &n);
        assert_memory_equal(a, b, 2 * row * sizeof *a);
        assert_memory_equal(a + 9 * row, b + 2 * row, 2 * row * sizeof *a);
        free(a);
        free(b);
    }
}

/* -infinity has the probability 0; of a NaN, and where all are -infinity, all of the line is NaN, and no other. */
static void check_special(int d, size_t inner, int logs)
{
    size_t size = 3 * (size_t)d * inner;
    float *h = random_floats(size, 4);
    for (size_t i = 0; i < (size_t)d; i++) {
        if (i % 2) h[i * inner] = -INFINITY;
        h[((size_t)d + i) * inner] = -INFINITY;
    }
    h[(2 * (size_t)d + (size_t)d / 2) * inner] = NAN;
    float *x = upload(h, size), *y = upload(NULL, size);
    rt_softmax_lines l = {.outer = 3, .inner = inner, .d = d, .logs = logs};
    rt_k_softmax(NULL, &l, y, x);
    float *got = taken(y, size);
    double sum = 0;
    for (size_t i = 0; i < (size_t)d; i++) {
        float v = got[i * inner];
        if (i % 2) assert_true(v == (logs ? -INFINITY : 0));
        sum += logs ? exp((double)v) : (double)v;
        assert_true(isnan(got[((size_t)d + i) * inner]) && isnan(got[(2 * (size_t)d + i) * inner]));
        if (inner > 1) assert_true(isfinite(got[(2 * (size_t)d + i) * inner + 1]));
    }
    check_close("the sum", sum, 1, 1e-5, 0);
    cuda_ok(cudaFree(x));
    free(got);
    free(h);
}

static void test_special(void **state)
{
    (void)state;
    for (int logs = 0; logs < 2; logs++) {
        check_special(10, 1, logs);
        check_special(70, 1, logs);
        check_special(1500, 1, logs);
        check_special(12, 5, logs);
        check_special(400, 3, logs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_alone),
                                       cmocka_unit_test(test_special)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
