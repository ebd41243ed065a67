/* Kernels of norms within rows and of sums over rows against sums in double at odd shapes, where means are far from 0,
 * too: values, gradients, written and added; a row's bits do not depend on the rows beside it; all orders of threads
 * give the same bits. */
#include "tests/cuda/launched.h"

#include "engine/cuda/cuda_columns.h"
#include "engine/cuda/cuda_elements.h"

enum { ROOM = 1 << 20 };
static double *partial;
static unsigned *tickets;

static int set_up(void **state)
{
    unsigned zero[RT_COLUMN_TICKETS] = {0};
    (void)state;
    partial = upload_bytes(NULL, ROOM);
    tickets = upload_bytes(zero, sizeof zero);
    return 0;
}

static rt_columns columns_of(size_t rows, int n, size_t room)
{
    rt_columns g;
    rt_columns_of(&g, rows, n, 1, room);
    g.partial = partial;
    for (int i = 0; i < RT_COLUMN_TICKETS; i++) g.ticket[i] = tickets + i;
    return g;
}

static void check_tickets(void)
{
    unsigned t[RT_COLUMN_TICKETS];
    cuda_ok(cudaMemcpy(t, tickets, sizeof t, cudaMemcpyDeviceToHost));
    for (int i = 0; i < RT_COLUMN_TICKETS; i++) assert_int_equal(t[i], 0);
}

/* ---- sums of columns ---- */

typedef struct { int rows, n; size_t room; } sums_case;

static float *sums_of(void *arg, size_t *n)
{
    const sums_case *k = arg;
    size_t size = (size_t)k->rows * (size_t)k->n;
    rt_columns g = columns_of((size_t)k->rows, k->n, k->room);
    float *x = random_floats(size, 3), *dx = upload(x, size), *sum = upload(NULL, *n = (size_t)k->n);
    rt_k_column_sums(NULL, &g, sum, dx, 0);
    rt_k_column_sums(NULL, &g, sum, dx, 1);
    free(x);
    free(taken(dx, 1));
    check_tickets();
    return taken(sum, *n);
}

static void test_sums(void **state)
{
    static const sums_case cases[] = {{1, 1, ROOM}, {5, 1, ROOM}, {5000, 1, ROOM}, {7, 10, ROOM}, {2000, 10, ROOM},
                                      {333, 16, ROOM}, {3000, 16, ROOM}, {100, 33, ROOM}, {700, 36, ROOM},
                                      {257, 130, ROOM}, {70, 1028, ROOM}, {3, 4096, ROOM}, {300, 1300, ROOM},
                                      {300, 1300, 50000}, {200, 1300, 1000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sums_case k = cases[i];
        size_t n = 0, size = (size_t)k.rows * (size_t)k.n;
        char name[40];
        snprintf(name, sizeof name, "(%d, %d)", k.rows, k.n);
        float *got = sums_of(&k, &n), *x = random_floats(size, 3);
        double *want = doubles(n);
        for (size_t j = 0; j < size; j++) want[j % n] += 2 * (double)x[j];
        free(x);
        check_tensor(name, "sum", got, want, n, 0, 1e-6);
        check_orders(sums_of, &k);
    }
}

static const float eps = 1e-3f;

/* ---- within rows ---- */

typedef struct { int rows, px, ch, groups, rms, add; float far; } row_case;

/* y, dx, dgamma, dbeta one behind the other. */
static float *rows_of(void *arg, size_t *n)
{
    const row_case *k = arg;
    size_t ch = (size_t)k->ch, size = (size_t)k->rows * (size_t)k->px * ch,
           stats = (size_t)k->rows * (size_t)k->groups;
    float *hx = random_floats(size, 5), *hdy = random_floats(size, 6), *hg = random_floats(ch, 7),
          *hb = random_floats(ch, 8);
    for (size_t i = 0; i < size; i++) hx[i] = hx[i] * (1 + (float)(i % 3)) + k->far;
    float *x = upload(hx, size), *dy = upload(hdy, size), *gamma = upload(hg, ch), *beta = upload(hb, ch),
          *keep = upload(NULL, 3 * stats), *y = upload(NULL, size),
          *dx = k->add ? upload_all(0.5f, size) : upload(NULL, size),
          *dgamma = k->add ? upload_all(0.5f, ch) : upload(NULL, ch),
          *dbeta = k->add ? upload_all(0.5f, ch) : upload(NULL, ch);
    rt_row_norm norm = {.rows = (size_t)k->rows, .px = k->px, .ch = k->ch, .groups = k->groups, .rms = k->rms,
                        .eps = eps, .keep = keep, .gamma = gamma, .beta = k->rms ? NULL : beta};
    rt_columns g;
    rt_columns_of(&g, (size_t)k->rows * (size_t)k->px, k->ch, k->groups == 1 || k->ch / k->groups % 4 == 0, ROOM);
    g.partial = partial;
    for (int i = 0; i < RT_COLUMN_TICKETS; i++) g.ticket[i] = tickets + i;
    rt_k_row_norm(NULL, &norm, y, x);
    rt_k_row_norm_sums(NULL, &g, &norm, x, dy, dgamma, k->add, k->rms ? NULL : dbeta, k->add);
    rt_k_row_norm_back(NULL, &norm, dx, k->add, x, dy);
    float *gone[] = {x, dy, gamma, beta, keep}, *parts[] = {taken(y, size), taken(dx, size), taken(dgamma, ch), NULL};
    if (k->rms) cuda_ok(cudaFree(dbeta));
    else parts[3] = taken(dbeta, ch);
    for (int i = 0; i < 5; i++) cuda_ok(cudaFree(gone[i]));
    check_tickets();
    float *all = calloc(*n = 2 * (size + ch), sizeof *all), *at = all;
    for (int i = 0; i < 4; i++) {
        size_t m = i < 2 ? size : ch;
        if (parts[i]) memcpy(at, parts[i], m * sizeof *at);
        at += m;
        free(parts[i]);
    }
    float *host[] = {hx, hdy, hg, hb};
    for (int i = 0; i < 4; i++) free(host[i]);
    return all;
}

/* The same in double, without what was there. */
static double *rows_in_double(const row_case *k)
{
    size_t ch = (size_t)k->ch, px = (size_t)k->px, size = (size_t)k->rows * px * ch, per = ch / (size_t)k->groups;
    float *x = random_floats(size, 5), *dy = random_floats(size, 6), *gamma = random_floats(ch, 7),
          *beta = random_floats(ch, 8);
    double *all = doubles(2 * (size + ch)), *y = all, *dx = y + size, *dgamma = dx + size, *dbeta = dgamma + ch;
    for (size_t i = 0; i < size; i++) x[i] = x[i] * (1 + (float)(i % 3)) + k->far;
    for (size_t r = 0; r < (size_t)k->rows; r++)
        for (size_t q = 0; q < (size_t)k->groups; q++) {
            double m = 0, v = 0, s1 = 0, s2 = 0, count = (double)(px * per);
#define EACH \
    for (size_t p = 0; p < px; p++) \
        for (size_t c = q * per, i = (r * px + p) * ch + c; c < (q + 1) * per; c++, i++)
            EACH m += (double)x[i] / count;
            if (k->rms) m = 0;
            EACH v += ((double)x[i] - m) * ((double)x[i] - m) / count;
            double rstd = 1 / sqrt(v + (double)eps);
            EACH {
                double h = ((double)x[i] - m) * rstd, g = (double)dy[i] * (double)gamma[c];
                y[i] = h * (double)gamma[c] + (k->rms ? 0 : (double)beta[c]);
                s1 += k->rms ? 0 : g / count;
                s2 += g * h / count;
                dgamma[c] += (double)dy[i] * h;
                dbeta[c] += k->rms ? 0 : (double)dy[i];
            }
            EACH dx[i] = rstd * ((double)dy[i] * (double)gamma[c] - s1 - ((double)x[i] - m) * rstd * s2);
#undef EACH
        }
    float *host[] = {x, dy, gamma, beta};
    for (int i = 0; i < 4; i++) free(host[i]);
    return all;
}

static double *part_of(const double *all, size_t n)
{
    double *p = doubles(n);
    memcpy(p, all, n * sizeof *p);
    return p;
}
static float *floats_of(const float *all, size_t n)
{
    float *p = malloc(n * sizeof *p);
    memcpy(p, all, n * sizeof *p);
    return p;
}

static void test_rows(void **state)
{
    row_case cases[] = {
        {3, 1, 1, 1, 0, 0, 0}, {5, 1, 7, 1, 0, 0, 0}, {4, 1, 32, 1, 0, 1, 0}, {9, 1, 33, 1, 0, 0, 5},
        {6, 1, 100, 1, 0, 0, 0}, {300, 1, 12, 1, 0, 1, 0}, {3, 1, 200, 1, 0, 0, 3000}, {5, 1, 500, 1, 0, 0, 0},
        {4, 1, 1000, 1, 0, 1, 0}, {3, 1, 1024, 1, 0, 0, 1000}, {2, 1, 1025, 1, 0, 0, 0}, {2, 1, 3000, 1, 0, 1, 1000},
        {4, 1, 5, 1, 1, 0, 0}, {7, 1, 96, 1, 1, 1, 0}, {2, 1, 700, 1, 1, 0, 1}, {2, 1, 1500, 1, 1, 1, 0},
        {3, 5, 6, 3, 0, 0, 0}, {2, 49, 8, 2, 0, 1, 0}, {2, 1, 12, 4, 0, 0, 0}, {2, 300, 8, 2, 0, 1, 100},
        {2, 64, 12, 12, 0, 0, 0}, {3, 17, 32, 4, 0, 0, 10}, {2, 9, 5, 1, 0, 0, 0}, {40, 33, 12, 3, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        row_case *k = &cases[i];
        size_t n = 0, ch = (size_t)k->ch, size = (size_t)k->rows * (size_t)k->px * ch;
        char name[60];
        snprintf(name, sizeof name, "%s (%d, %d, %d), %d groups", k->rms ? "rms" : "norm", k->rows, k->px, k->ch,
                 k->groups);
        float *got = rows_of(k, &n);
        double *want = rows_in_double(k), plus = k->add ? 0.5 : 0;
        check_tensor(name, "y", floats_of(got, size), part_of(want, size), size, 0, 2e-6);
        if (size > 3) /* of a single value it is 0 */
            check_tensor(name, "dx", floats_of(got + size, size), part_of(want + size, size), size, plus, 5e-6);
        check_tensor(name, "dgamma", floats_of(got + 2 * size, ch), part_of(want + 2 * size, ch), ch, plus, 5e-6);
        if (!k->rms)
            check_tensor(name, "dbeta", floats_of(got + 2 * size + ch, ch), part_of(want + 2 * size + ch, ch), ch, plus,
                         5e-6);
        free(got);
        free(want);
        if (size < 4000) check_orders(rows_of, k);
    }
}

/* The first rows of more are those of fewer, to the bit. */
static void test_rows_alone(void **state)
{
    row_case many[] = {{7, 1, 40, 1, 0, 0, 0}, {7, 1, 1100, 1, 0, 0, 0}, {7, 6, 8, 2, 0, 0, 0}, {7, 1, 40, 1, 1, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        row_case few = many[i];
        few.rows = 2;
        size_t n = 0, row = (size_t)few.px * (size_t)few.ch;
        float *a = rows_of(&many[i], &n), *b = rows_of(&few, &n);
        assert_memory_equal(a, b, 2 * row * sizeof *a);
        assert_memory_equal(a + 7 * row, b + 2 * row, 2 * row * sizeof *a);
        free(a);
        free(b);
    }
}

/* ---- local response norm ---- */

typedef struct { int positions, ch, size, add; } local_case;
static const float local_alpha = 0.3f, local_beta = 0.75f, local_bias = 1.5f;

static float *local_of(void *arg, size_t *n)
{
    const local_case *k = arg;
    size_t size = (size_t)k->positions * (size_t)k->ch;
    float *hx = random_floats(size, 9), *hdy = random_floats(size, 10), *x = upload(hx, size), *dy = upload(hdy, size),
          *y = upload(NULL, size), *dx = k->add ? upload_all(0.5f, size) : upload(NULL, size),
          *room = upload(NULL, 2 * size);
    rt_local_norm norm = {.positions = (size_t)k->positions, .ch = k->ch, .size = k->size, .alpha = local_alpha,
                          .beta = local_beta, .bias = local_bias};
    rt_k_local_norm(NULL, &norm, y, x);
    rt_k_local_norm_back(NULL, &norm, dx, k->add, x, dy, room);
    float *a = taken(y, size), *b = taken(dx, size), *all = malloc((*n = 2 * size) * sizeof *all);
    memcpy(all, a, size * sizeof *a);
    memcpy(all + size, b, size * sizeof *b);
    float *gone[] = {x, dy, room}, *host[] = {hx, hdy, a, b};
    for (int i = 0; i < 3; i++) cuda_ok(cudaFree(gone[i]));
    for (int i = 0; i < 4; i++) free(host[i]);
    return all;
}

static void test_local(void **state)
{
    local_case cases[] = {{5, 3, 5, 0}, {7, 8, 1, 1}, {3, 20, 4, 0}, {2, 300, 7, 1}, {4, 6, 20, 0}, {1, 1, 2, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        local_case *k = &cases[i];
        size_t n = 0, ch = (size_t)k->ch, size = (size_t)k->positions * ch;
        float *got = local_of(k, &n), *x = random_floats(size, 9), *dy = random_floats(size, 10);
        double *y = doubles(size), *dx = doubles(size), by = (double)local_alpha / k->size, b = (double)local_beta;
        for (size_t p = 0; p < size; p += ch)
            for (int c = 0; c < k->ch; c++) {
                double s = (double)local_bias, v = (double)x[p + (size_t)c], g = (double)dy[p + (size_t)c];
                int from = c - (k->size - 1) / 2, to = c + k->size / 2;
                for (int j = from; j <= to; j++)
                    if (j >= 0 && j < k->ch) s += by * (double)x[p + (size_t)j] * (double)x[p + (size_t)j];
                y[p + (size_t)c] = v * pow(s, -b);
                dx[p + (size_t)c] += g * pow(s, -b);
                for (int j = from; j <= to; j++)
                    if (j >= 0 && j < k->ch)
                        dx[p + (size_t)j] -= 2 * by * b * (double)x[p + (size_t)j] * g * v * pow(s, -b - 1);
            }
        check_tensor("local", "y", floats_of(got, size), y, size, 0, 2e-6);
        check_tensor("local", "dx", floats_of(got + size, size), dx, size, k->add ? 0.5 : 0, 5e-6);
        free(got);
        free(x);
        free(dy);
        check_orders(local_of, k);
    }
}

/* ---- derivatives from what activations gave ---- */

static void test_act_back(void **state)
{
    static const size_t counts[] = {1, 3, 4, 1000, 5003};
    (void)state;
    for (int act = 1; act <= 3; act++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            size_t n = counts[i];
            float *hy = random_floats(n, 11), *hx = random_floats(n, 12);
            for (size_t j = 0; j < n; j++) {
                hy[j] *= 5;
                if (act < 3 && (hy[j] < 0 || j % 7 == 0)) hy[j] = 0;
                if (act == 2 && hy[j] > 6) hy[j] = 6;
            }
            float *x = upload(hx, n), *y = upload(hy, n);
            rt_k_act_back(NULL, x, y, act, 0.25f, n);
            float *got = taken(x, n);
            for (size_t j = 0; j < n; j++) {
                float by = act == 3 ? (hy[j] < 0 ? 0.25f : 1) : hy[j] > 0 && !(act == 2 && hy[j] >= 6) ? 1 : 0;
                assert_true(got[j] == hx[j] * by);
            }
            cuda_ok(cudaFree(y));
            free(got);
            free(hx);
            free(hy);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),  cmocka_unit_test(test_rows),     cmocka_unit_test(test_rows_alone),
        cmocka_unit_test(test_local), cmocka_unit_test(test_act_back),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
