/* Kernels of batch norm against sums in double at odd shapes, where means are far from 0, too: values, running
 * statistics, gradients, written and added; statistics stand still after a bad step; what is joined to a norm - an
 * addition, a pooling, another norm - gives what launches of its own do; all orders of threads give the same bits. */
#include "tests/cuda/launched.h"

#include "engine/cuda/cuda_columns.h"
#include "engine/cuda/cuda_elements.h"
#include "engine/cuda/pool_launch.h"

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

/* A norm on the other side of a joined addition, made along, gives the numbers that launches of its own do, but for
 * roundings: nvcc makes a product and a sum one operation here and two there. */
enum { SIDE_PARTS = 8 };                              /* y, both dx, dgamma, dbeta twice, a running mean */
static void side_run(const batch_case *k, int along, float *(*parts)[SIDE_PARTS])
{
    size_t ch = (size_t)k->ch, size = ch * (size_t)k->rows;
    batch_numbers b = numbers_of(k);
    float *random = random_floats(size, 9), *x = upload(b.x, size), *x2 = upload(random, size),
          *dy = upload(b.dy, size), *gamma = upload(b.gamma, ch), *beta = upload(b.beta, ch),
          *values = upload(NULL, size),
          *dz = upload(NULL, size), *kept[2] = {upload(NULL, RT_BN_COEFFICIENTS * ch),
                                                upload(NULL, RT_BN_COEFFICIENTS * ch)};
    float *to[SIDE_PARTS] = {upload(NULL, size), upload_all(0.5f, size), upload_all(0.25f, size), upload(NULL, ch),
                             upload(NULL, ch), upload(NULL, ch), upload(NULL, ch), upload_all(OLD_MEAN, ch)};
    float *mean = upload_all(OLD_MEAN, ch),
          *variance[2] = {upload_all(OLD_VARIANCE, ch), upload_all(OLD_VARIANCE, ch)};
    rt_channels way, way2;
    rt_channels_of(&way, (size_t)k->rows, k->ch, 1);
    way2 = way;
    way.partial = upload_bytes(NULL, rt_channels_bytes(&way));
    way2.partial = upload_bytes(NULL, rt_channels_bytes(&way));
    rt_batch_norm side = {.coefficient = kept[1], .gamma = beta, .beta = gamma, .running_mean = to[7],
                          .running_variance = variance[1], .momentum = momentum, .eps = eps, .dgamma = to[5],
                          .dbeta = to[6], .parts = way2.partial},
                  bn = {.coefficient = kept[0], .gamma = gamma, .beta = beta, .running_mean = mean,
                        .running_variance = variance[0], .momentum = momentum, .eps = eps, .dgamma = to[3],
                        .dbeta = to[4], .act = k->act, .other = along ? x2 : values, .dother = along ? to[2] : dz,
                        .add_other = along && k->add, .side = along ? &side : NULL};
    rt_k_batch_moments(NULL, &way2, x2);
    if (!along) rt_k_batch_apply(NULL, &way2, &side, values, x2);
    rt_k_batch_moments(NULL, &way, x);
    rt_k_batch_apply(NULL, &way, &bn, to[0], x);
    rt_k_batch_sums(NULL, &way, &bn, x, dy);
    rt_k_batch_back(NULL, &way, &bn, to[1], k->add, x, dy);
    if (!along) {
        rt_k_batch_sums(NULL, &way2, &side, x2, dz);
        rt_k_batch_back(NULL, &way2, &side, to[2], k->add, x2, dz);
    }
    for (int i = 0; i < SIDE_PARTS; i++) (*parts)[i] = taken(to[i], i < 3 ? size : ch);
    void *gone[] = {x, x2, dy, gamma, beta, values, dz, kept[0], kept[1], mean, variance[0], variance[1], way.partial,
                    way2.partial};
    for (int i = 0; i < 14; i++) cuda_ok(cudaFree(gone[i]));
    double *numbers[] = {b.y, b.dx, b.dgamma, b.dbeta, b.mean, b.variance};
    for (int i = 0; i < 6; i++) free(numbers[i]);
    free(random);
    free_numbers(&b);
}

static void test_batch_side(void **state)
{
    batch_case cases[] = {{300, 64, 1, 0, 0}, {513, 20, 2, 1, 1}, {37, 7, 1, 0, 1}, {5000, 16, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const batch_case *k = &cases[i];
        float *one[SIDE_PARTS], *two[SIDE_PARTS];
        side_run(k, 1, &one);
        side_run(k, 0, &two);
        for (int j = 0; j < SIDE_PARTS; j++) {
            size_t n = (size_t)k->ch * (j < 3 ? (size_t)k->rows : 1);
            for (size_t q = 0; q < n; q++)
                if (!(fabsf(one[j][q] - two[j][q]) <= 1e-6f * (1 + fabsf(two[j][q]))))
                    fail_msg("(%d, %d), %d, %zu: %.9g, not %.9g", k->rows, k->ch, j, q, (double)one[j][q],
                             (double)two[j][q]);
            free(one[j]);
            free(two[j]);
        }
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
    rt_pool_shape pool = {.rows = k->images, .h = k->h, .w = k->w, .c = k->ch, .kh = k->kh, .kw = k->kw, .sh = k->kh,
                          .sw = k->kw, .dh = 1, .dw = 1, .hp = k->h, .wp = k->w};
    if (k->kh) pool.oh = k->h / k->kh, pool.ow = k->w / k->kw;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch), cmocka_unit_test(test_batch_orders), cmocka_unit_test(test_batch_states),
        cmocka_unit_test(test_batch_nan), cmocka_unit_test(test_batch_joined), cmocka_unit_test(test_batch_side),
        cmocka_unit_test(test_batch_pooled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
