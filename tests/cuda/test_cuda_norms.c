/* Kernels of norms and of sums over rows against sums in double at odd shapes, where means are far from 0, too: values,
 * running statistics, gradients, written and added; statistics stand still after a bad step; a row's bits do not depend
 * on the rows beside it; all orders of threads give the same bits. */
#include "tests/cuda/launched.h"

#include "engine/cuda/cuda_columns.h"
#include "engine/cuda/cuda_elements.h"
#include "engine/cuda/pool_launch.h"

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

/* ---- batch norm ---- */

typedef struct { int rows, ch, act; float far; int add; } batch_case;
typedef struct { float *x, *dy, *gamma, *beta; double *y, *dx, *dgamma, *dbeta, *mean, *variance; } batch_numbers;
enum { OLD_MEAN = 3, OLD_VARIANCE = 2 };
static const float momentum = 0.125f, eps = 1e-3f;

/* In double; dy is 0 where the activation bends, as there floats may fall on the other side. */
static batch_numbers numbers_of(const batch_case *k)
{
    size_t ch = (size_t)k->ch, rows = (size_t)k->rows, size = ch * rows;
    batch_numbers b = {random_floats(size, 1), random_floats(size, 2), random_floats(ch, 3), random_floats(ch, 4),
                       doubles(size), doubles(size), doubles(ch), doubles(ch), doubles(ch), doubles(ch)};
    for (size_t i = 0; i < size; i++) b.x[i] = b.x[i] * (0.3f + (float)(i % ch)) + k->far * (float)(i % ch + 1);
    for (size_t c = 0; c < ch && k->act == 2; c++) b.gamma[c] *= 6;          /* some are beyond 6 */
    for (size_t c = 0; c < ch; c++) {
        double sum = 0, square = 0, s1 = 0, s2 = 0, m = (double)rows;
        for (size_t i = c; i < size; i += ch) sum += (double)b.x[i] / m;
        for (size_t i = c; i < size; i += ch) square += ((double)b.x[i] - sum) * ((double)b.x[i] - sum);
        double rstd = 1 / sqrt(square / m + (double)eps), ga = (double)b.gamma[c];
        for (size_t i = c; i < size; i += ch) {
            double h = ((double)b.x[i] - sum) * rstd, z = h * ga + (double)b.beta[c], most = k->act == 2 ? 6 : INFINITY;
            if (k->act && (fabs(z) < 1e-3 || fabs(z - most) < 1e-3)) b.dy[i] = 0;
            b.y[i] = k->act ? fmin(fmax(z, 0), most) : z;
            double dz = k->act && (z <= 0 || z >= most) ? 0 : (double)b.dy[i];
            s1 += dz;
            s2 += dz * h;
        }
        for (size_t i = c; i < size; i += ch) {
            double h = ((double)b.x[i] - sum) * rstd, dz = b.y[i] > 0 && !(k->act == 2 && b.y[i] >= 6) ? b.dy[i] : 0;
            if (!k->act) dz = (double)b.dy[i];
            b.dx[i] = ga * rstd * (dz - s1 / m - h * s2 / m);
        }
        b.dgamma[c] = s2;
        b.dbeta[c] = s1;
        b.mean[c] = OLD_MEAN + (double)momentum * (sum - OLD_MEAN);
        b.variance[c] = OLD_VARIANCE + (double)momentum * (square / (m > 1 ? m - 1 : m) - OLD_VARIANCE);
    }
    return b;
}
static void free_numbers(batch_numbers *b)
{
    float *all[] = {b->x, b->dy, b->gamma, b->beta};
    for (int i = 0; i < 4; i++) free(all[i]);
}

typedef struct { float *y, *dx, *dgamma, *dbeta, *mean, *variance; } batch_given;
static batch_given batch_run(const batch_case *k, const batch_numbers *b, unsigned long long bad)
{
    size_t ch = (size_t)k->ch, size = ch * (size_t)k->rows;
    uint64_t words[2] = {bad, 5}, *step = upload_bytes(words, sizeof words);
    float *x = upload(b->x, size), *dy = upload(b->dy, size), *gamma = upload(b->gamma, ch),
          *beta = upload(b->beta, ch), *coefficient = upload(NULL, RT_BN_COEFFICIENTS * ch);
    batch_given g = {.y = upload(NULL, size)};
    g.dx = k->add ? upload_all(0.5f, size) : upload(NULL, size);
    g.dgamma = k->add ? upload_all(0.5f, ch) : upload(NULL, ch);
    g.dbeta = k->add ? upload_all(0.5f, ch) : upload(NULL, ch);
    g.mean = upload_all(OLD_MEAN, ch);
    g.variance = upload_all(OLD_VARIANCE, ch);
    rt_batch_norm bn = {.coefficient = coefficient, .gamma = gamma, .beta = beta, .running_mean = g.mean,
                        .running_variance = g.variance, .bad = (unsigned long long *)(void *)step,
                        .number = step + 1, .momentum = momentum, .eps = eps, .dgamma = g.dgamma, .dbeta = g.dbeta,
                        .add_gamma = k->add, .add_beta = k->add, .act = k->act};
    rt_channels way;
    rt_channels_of(&way, (size_t)k->rows, k->ch, 1);
    way.partial = upload_bytes(NULL, rt_channels_bytes(&way));
    rt_k_batch_moments(NULL, &way, x);
    rt_k_batch_apply(NULL, &way, &bn, g.y, x);
    rt_k_batch_sums(NULL, &way, &bn, x, dy);
    rt_k_batch_back(NULL, &way, &bn, g.dx, k->add, x, dy);
    void *gone[] = {step, x, dy, gamma, beta, coefficient, way.partial};
    cuda_ok(cudaDeviceSynchronize());
    for (int i = 0; i < 7; i++) cuda_ok(cudaFree(gone[i]));
    g.y = taken(g.y, size);
    g.dx = taken(g.dx, size);
    float **small[] = {&g.dgamma, &g.dbeta, &g.mean, &g.variance};
    for (int i = 0; i < 4; i++) *small[i] = taken(*small[i], ch);
    return g;
}

static const batch_case batch_cases[] = {
    {6, 1, 0, 0, 0}, {4000, 1, 1, 0, 0}, {37, 7, 2, 0, 1}, {1501, 16, 1, 0, 0}, {514, 20, 2, 1, 1}, {300, 64, 0, 1, 1},
    {130, 72, 1, 0, 0}, {64, 260, 0, 0, 0}, {2, 5, 0, 0, 0}, {900, 8, 0, 1000, 0}, {1100, 3, 1, 10000, 1},
    {8, 1100, 0, 30, 0}, {600, 1100, 1, 0, 0}};

static void test_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof batch_cases / sizeof *batch_cases; i++) {
        const batch_case *k = &batch_cases[i];
        size_t ch = (size_t)k->ch, size = ch * (size_t)k->rows;
        char name[60];
        snprintf(name, sizeof name, "batch norm (%d, %d), act %d, far %g", k->rows, k->ch, k->act, (double)k->far);
        batch_numbers b = numbers_of(k);
        batch_given g = batch_run(k, &b, 0);
        double plus = k->add ? 0.5 : 0;
        check_tensor(name, "y", g.y, b.y, size, 0, 2e-6);
        check_tensor(name, "dx", g.dx, b.dx, size, plus, k->rows > 2 ? 5e-6 : 2e-5);    /* of two, a small difference */
        check_tensor(name, "dgamma", g.dgamma, b.dgamma, ch, plus, 5e-6);
        check_tensor(name, "dbeta", g.dbeta, b.dbeta, ch, plus, 5e-6);
        check_tensor(name, "mean", g.mean, b.mean, ch, 0, 4e-6);
        check_tensor(name, "variance", g.variance, b.variance, ch, 0, 1e-6);
        free_numbers(&b);
    }
}

static float *batch_bits(void *arg, size_t *n)
{
    const batch_case *k = arg;
    size_t ch = (size_t)k->ch, size = ch * (size_t)k->rows;
    batch_numbers b = numbers_of(k);
    batch_given g = batch_run(k, &b, 0);
    float *all = malloc((*n = 2 * size + 4 * ch) * sizeof *all), *parts[] = {g.y, g.dx, g.dgamma, g.dbeta, g.mean,
                                                                             g.variance}, *at = all;
    for (int i = 0; i < 6; i++) {
        memcpy(at, parts[i], (i < 2 ? size : ch) * sizeof *at);
        at += i < 2 ? size : ch;
        free(parts[i]);
    }
    double *gone[] = {b.y, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
    for (int i = 0; i < 6; i++) free(gone[i]);
    free_numbers(&b);
    return all;
}

static void test_batch_orders(void **state)
{
    batch_case cases[] = {{1501, 16, 1, 0, 0}, {514, 20, 2, 1, 1}, {300, 64, 0, 1, 1}, {1100, 3, 1, 100, 0},
                          {130, 72, 1, 0, 0}, {200, 1100, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_orders(batch_bits, &cases[i]);
}

/* Running statistics change in the step that is bad itself, not in later ones; one row has the variance 0. */
static void test_batch_states(void **state)
{
    batch_case k = {40, 6, 0, 0, 0};
    (void)state;
    for (int bad = 0; bad <= 6; bad++) {
        batch_numbers b = numbers_of(&k);
        batch_given g = batch_run(&k, &b, (unsigned long long)bad);
        int stands = bad != 0 && bad != 5;
        for (size_t c = 0; c < 6; c++) {
            check_close("mean", g.mean[c], stands ? OLD_MEAN : b.mean[c], 1e-6, 1e-6);
            check_close("variance", g.variance[c], stands ? OLD_VARIANCE : b.variance[c], 1e-6, 1e-6);
        }
        check_tensor("a bad step", "y", g.y, b.y, 240, 0, 2e-6);
        void *gone[] = {g.dx, g.dgamma, g.dbeta, g.mean, g.variance, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
        for (int i = 0; i < 10; i++) free(gone[i]);
        free_numbers(&b);
    }
    k.rows = 1;
    batch_numbers b = numbers_of(&k);
    batch_given g = batch_run(&k, &b, 0);
    for (size_t c = 0; c < 6; c++) {
        check_close("y of one row", g.y[c], b.beta[c], 1e-7, 1e-6);
        check_close("variance of one row", g.variance[c], OLD_VARIANCE * (1 - (double)momentum), 0, 1e-6);
        check_close("dx of one row", g.dx[c], 0, 1e-6 / sqrt((double)eps) * fabs((double)b.gamma[c] * (double)b.dy[c]),
                    0);
    }
    void *gone[] = {g.y, g.dx, g.dgamma, g.dbeta, g.mean, g.variance, b.y, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
    for (int i = 0; i < 12; i++) free(gone[i]);
    free_numbers(&b);
}

/* A NaN spoils its channel and no other. */
static void test_batch_nan(void **state)
{
    batch_case k = {700, 8, 1, 0, 0};
    (void)state;
    batch_numbers b = numbers_of(&k);
    b.x[8 * 300 + 3] = NAN;
    batch_given g = batch_run(&k, &b, 0);
    for (size_t i = 0; i < 5600; i++) assert_int_equal(isnan(g.y[i]) != 0, i % 8 == 3);
    for (size_t i = 0; i < 8; i++) assert_int_equal(isnan(g.mean[i]) && isnan(g.variance[i]), i == 3);
    void *gone[] = {g.y, g.dx, g.dgamma, g.dbeta, g.mean, g.variance, b.y, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
    for (int i = 0; i < 12; i++) free(gone[i]);
    free_numbers(&b);
}

/* An addition and its activation within the norm's launches give the numbers that launches of their own do: y, dx,
 * dgamma, dbeta, the gradient of the other side, written and added. */
static float *joined_bits(const batch_case *k, int joined, size_t *n)
{
    size_t ch = (size_t)k->ch, size = ch * (size_t)k->rows, at = 0;
    batch_numbers b = numbers_of(k);
    float *x = upload(b.x, size), *dy = upload(b.dy, size), *gamma = upload(b.gamma, ch), *beta = upload(b.beta, ch),
          *random = random_floats(size, 9), *other = upload(random, size), *sum = upload(NULL, size),
          *dsum = upload(NULL, size), *coefficient = upload(NULL, RT_BN_COEFFICIENTS * ch), *y = upload(NULL, size),
          *dx = upload_all(0.5f, size), *dother = upload_all(0.25f, size), *mean = upload_all(OLD_MEAN, ch),
          *variance = upload_all(OLD_VARIANCE, ch), *dgamma = upload(NULL, ch), *dbeta = upload(NULL, ch);
    rt_batch_norm bn = {.coefficient = coefficient, .gamma = gamma, .beta = beta, .running_mean = mean,
                        .running_variance = variance, .momentum = momentum, .eps = eps, .dgamma = dgamma,
                        .dbeta = dbeta};
    rt_channels way;
    rt_channels_of(&way, (size_t)k->rows, k->ch, 1);
    way.partial = upload_bytes(NULL, rt_channels_bytes(&way));
    if (joined) {
        bn.act = k->act;
        bn.other = other, bn.dother = dother, bn.add_other = k->add;
    }
    rt_k_batch_moments(NULL, &way, x);
    rt_k_batch_apply(NULL, &way, &bn, joined ? y : sum, x);
    if (!joined) {
        rt_k_add(NULL, y, sum, other, size, (rt_act)k->act, 0);
        rt_k_add_grad(NULL, dsum, 0, dother, k->add, dy, y, size, (rt_act)k->act);
    }
    rt_k_batch_sums(NULL, &way, &bn, x, joined ? dy : dsum);
    rt_k_batch_back(NULL, &way, &bn, dx, k->add, x, joined ? dy : dsum);
    float *parts[] = {y, dx, dother, dgamma, dbeta}, *all = malloc((*n = 3 * size + 2 * ch) * sizeof *all);
    for (int i = 0; i < 5; at += i < 3 ? size : ch, i++) {
        float *got = taken(parts[i], i < 3 ? size : ch);
        memcpy(all + at, got, (i < 3 ? size : ch) * sizeof *all);
        free(got);
    }
    void *gone[] = {x, dy, gamma, beta, other, sum, dsum, coefficient, mean, variance, way.partial};
    for (int i = 0; i < 11; i++) cuda_ok(cudaFree(gone[i]));
    double *numbers[] = {b.y, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
    for (int i = 0; i < 6; i++) free(numbers[i]);
    free(random);
    free_numbers(&b);
    return all;
}

static void test_batch_joined(void **state)
{
    batch_case cases[] = {{300, 64, 1, 0, 0}, {513, 20, 2, 1, 1}, {37, 7, 1, 0, 1}, {1500, 16, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n, m;
        float *one = joined_bits(&cases[i], 1, &n), *two = joined_bits(&cases[i], 0, &m);
        assert_int_equal(n, m);
        for (size_t j = 0; j < n; j++)
            if (one[j] != two[j])
                fail_msg("(%d, %d), %zu: %.9g, not %.9g", cases[i].rows, cases[i].ch, j, (double)one[j],
                         (double)two[j]);
        free(one);
        free(two);
    }
}

/* A pooling within the norm's launches, of what is added, too: the numbers that launches of its own give, to the bit
 * but for means, whose sums go in another order. */
typedef struct { int images, h, w, ch, kh, kw, act, join, add, nan; } pool_case;    /* kh 0: means over images */
typedef struct { float *y, *dx, *dother, *dgamma, *dbeta; uint8_t *won; } pool_given;

static uint8_t *taken_bytes(uint8_t *p, size_t n)
{
    uint8_t *to = malloc(n);
    cuda_ok(cudaMemcpy(to, p, n, cudaMemcpyDeviceToHost));
    cuda_ok(cudaFree(p));
    return to;
}

static size_t pooled_count(const pool_case *k)
{ return (size_t)(k->images * k->ch * (k->kh ? k->h / k->kh * (k->w / k->kw) : 1)); }

static pool_given pooled_run(const pool_case *k, int joined)
{
    batch_case shape = {k->images * k->h * k->w, k->ch, k->act, 0, k->add};
    size_t ch = (size_t)k->ch, size = ch * (size_t)shape.rows, out = pooled_count(k);
    batch_numbers b = numbers_of(&shape);
    for (size_t c = 0; c < ch; c++) b.beta[c] -= c % 3 == 1 ? 9.0f : 0;          /* ties: all taps of some are 0 */
    if (k->nan) b.x[size / 2] = NAN;
    float *hdy = random_floats(out, 12), *random = random_floats(size, 9), *x = upload(b.x, size),
          *dy = upload(hdy, out), *gamma = upload(b.gamma, ch), *beta = upload(b.beta, ch),
          *other = upload(random, size), *coefficient = upload(NULL, RT_BN_COEFFICIENTS * ch),
          *whole = upload(NULL, size), *dwhole = upload(NULL, size), *mean = upload_all(OLD_MEAN, ch),
          *variance = upload_all(OLD_VARIANCE, ch);
    pool_given to = {upload(NULL, out), upload_all(0.5f, size), upload_all(0.25f, size), upload(NULL, ch),
                     upload(NULL, ch), upload_bytes(NULL, out)};
    rt_batch_norm bn = {.coefficient = coefficient, .gamma = gamma, .beta = beta, .running_mean = mean,
                        .running_variance = variance, .momentum = momentum, .eps = eps, .dgamma = to.dgamma,
                        .dbeta = to.dbeta, .act = k->act};
    rt_pool_shape pool = {k->images,
                          k->h,
                          k->w,
                          k->ch,
                          k->kh ? k->h / k->kh : 1,
                          k->kh ? k->w / k->kw : 1,
                          k->kh,
                          k->kw,
                          k->kh,
                          k->kw,
                          1,
                          1,
                          0,
                          0,
                          k->h,
                          k->w,
                          0};
    rt_channels way, back;
    rt_channels_of(&way, (size_t)shape.rows, k->ch, 1);
    back = way;
    way.partial = back.partial = upload_bytes(NULL, rt_channels_bytes(&way));
    if (k->join) bn.other = other, bn.dother = to.dother, bn.add_other = k->add;
    if (joined) {
        bn.pool = k->kh ? (rt_batch_pool){RT_BN_GREATEST, k->w, k->kh, k->kw, k->w / k->kw, 0, to.won}
                        : (rt_batch_pool){RT_BN_AVERAGE, 0, 0, 0, 0, k->h * k->w, NULL};
        rt_channels_pool(&way, &bn.pool);
    }
    rt_k_batch_moments(NULL, &way, x);
    rt_k_batch_apply(NULL, &way, &bn, joined ? to.y : whole, x);
    if (!joined && k->kh) {
        rt_k_max_pool(NULL, &pool, to.y, to.won, whole);
        rt_k_max_pool_back(NULL, &pool, dwhole, dy, to.won, 0);
    } else if (!joined) {
        rt_k_global_avg(NULL, to.y, whole, k->images, k->h * k->w, k->ch);
        rt_k_global_avg_back(NULL, dwhole, dy, k->images, k->h * k->w, k->ch, 0);
    }
    rt_k_batch_sums(NULL, &back, &bn, x, joined ? dy : dwhole);
    rt_k_batch_back(NULL, &back, &bn, to.dx, k->add, x, joined ? dy : dwhole);
    float **floats[] = {&to.y, &to.dx, &to.dother, &to.dgamma, &to.dbeta};
    size_t counts[] = {out, size, size, ch, ch};
    for (int i = 0; i < 5; i++) *floats[i] = taken(*floats[i], counts[i]);
    if (!k->kh) cuda_ok(cudaMemset(to.won, 0, out));
    to.won = taken_bytes(to.won, out);
    void *gone[] = {x, dy, gamma, beta, other, coefficient, whole, dwhole, mean, variance, way.partial};
    for (int i = 0; i < 11; i++) cuda_ok(cudaFree(gone[i]));
    double *numbers[] = {b.y, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
    for (int i = 0; i < 6; i++) free(numbers[i]);
    free(hdy);
    free(random);
    free_numbers(&b);
    return to;
}

static void same_floats(const pool_case *k, const char *what, float *a, float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("(%d, %d, %d, %d), %s, %zu: %.9g, not %.9g", k->images, k->h, k->w, k->ch, what, i, (double)a[i],
                     (double)b[i]);
    free(a);
    free(b);
}

static void test_batch_pooled(void **state)
{
    pool_case cases[] = {
        {3, 28, 28, 16, 2, 2, 1, 0, 0, 0}, {2, 8, 6, 7, 2, 3, 2, 0, 1, 0}, {5, 6, 9, 20, 3, 3, 0, 0, 1, 0},
        {4, 1, 12, 64, 1, 4, 1, 0, 0, 0}, {1, 4, 4, 3, 4, 4, 1, 0, 0, 0}, {3, 6, 6, 8, 2, 2, 1, 0, 0, 1},
        {20, 8, 8, 1028, 2, 2, 1, 0, 0, 0}, {2, 64, 64, 4, 1, 2, 1, 0, 0, 0}, {9, 7, 7, 64, 0, 0, 1, 0, 0, 0},
        {3, 5, 5, 7, 0, 0, 2, 0, 1, 0}, {19, 8, 8, 20, 0, 0, 1, 1, 0, 0}, {2, 3, 2, 5, 0, 0, 0, 1, 1, 0},
        {2, 24, 40, 4, 0, 0, 1, 0, 0, 0}, {35, 1, 1, 16, 0, 0, 1, 1, 0, 0}, {3, 4, 4, 8, 0, 0, 1, 1, 0, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pool_case *k = &cases[i];
        size_t out = pooled_count(k), ch = (size_t)k->ch, size = ch * (size_t)(k->images * k->h * k->w);
        pool_given apart = pooled_run(k, 0), one[3];
        for (int order = 0; order < 3; order++) {
            rt_emulated_order(order, 5);
            one[order] = pooled_run(k, 1);
        }
        rt_emulated_order(RT_EMULATED_FORWARD, 0);
        for (int order = 1; order < 3; order++) {
            for (size_t j = 0; j < out; j++)
                assert_true(!memcmp(&one[order].y[j], &one[0].y[j], sizeof(float)) || isnan(one[0].y[j]));
            float *all[] = {one[order].y, one[order].dx, one[order].dother, one[order].dgamma, one[order].dbeta};
            assert_true(k->nan || !memcmp(one[order].dx, one[0].dx, size * sizeof(float)));
            for (int j = 0; j < 5; j++) free(all[j]);
            free(one[order].won);
        }
        assert_memory_equal(one[0].won, apart.won, k->kh ? out : 0);
        if (k->kh) same_floats(k, "y", one[0].y, apart.y, out);
        else {
            for (size_t j = 0; j < out; j++)
                if (isnan(apart.y[j])) assert_true(isnan(one[0].y[j]));
                else check_close("the mean", one[0].y[j], apart.y[j], 1e-6, 2e-6);
            free(one[0].y);
            free(apart.y);
        }
        same_floats(k, "dx", one[0].dx, apart.dx, size);
        same_floats(k, "the other side's gradient", one[0].dother, apart.dother, size);
        same_floats(k, "dgamma", one[0].dgamma, apart.dgamma, ch);
        same_floats(k, "dbeta", one[0].dbeta, apart.dbeta, ch);
        free(one[0].won);
        free(apart.won);
    }
}

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
        cmocka_unit_test(test_sums), cmocka_unit_test(test_batch), cmocka_unit_test(test_batch_orders),
        cmocka_unit_test(test_batch_states), cmocka_unit_test(test_batch_nan), cmocka_unit_test(test_batch_joined),
        cmocka_unit_test(test_batch_pooled),
        cmocka_unit_test(test_rows), cmocka_unit_test(test_rows_alone), cmocka_unit_test(test_local),
        cmocka_unit_test(test_act_back),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
