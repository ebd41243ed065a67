#include "experiments/statistics/statistics_samples.h"

#include <math.h>
#include <stdlib.h>

#include "experiments/statistics/statistics.h"

/* ---- ranks ---- */

double rt_above_p(uint64_t n, uint64_t r, uint64_t m, uint64_t k)
{
    double s = (double)(n - r), below = (double)r, all = (double)m, at = (double)k, sum = 0;
    if (k == 0) return 1;
    if (k > m) return 0;
    /* C(s + k, k) C(r - 1 + m - k, m - k) / C(n + m, m) by binomial terms, and its neighbours by their ratio */
    double share = all / ((double)n + all);
    double term = (1 - share) * rt_binomial_term(s + at, share, at) *
                  rt_binomial_term(below - 1 + all - at, share, all - at) /
                  rt_binomial_term((double)n + all, share, all);
    int falls = 0;
    for (double i = at; i <= all && (!falls || term > sum * 1e-18); i++) {
        double ratio = (s + i + 1) / (i + 1) * (all - i) / (below - 1 + all - i);
        sum += term;
        falls = ratio < 1;
        if (i == all) break;
        term *= ratio;
    }
    return fmin(1, sum);
}

typedef struct { double value; int second; } scored;

static int by_score(const void *a, const void *b)
{
    double x = ((const scored *)a)->value, y = ((const scored *)b)->value;
    return x < y ? -1 : x > y;
}

rt_status rt_rank_auc(const double *first, uint64_t n, const double *second, uint64_t m, double *auc, double *p)
{
    uint64_t all = n + m;
    scored *s = malloc((size_t)all * sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < all; i++) s[i] = (scored){i < n ? first[i] : second[i - n], i >= n};
    qsort(s, (size_t)all, sizeof *s, by_score);
    double u = 0, ties = 0, below = 0, size = (double)all, pairs = (double)n * (double)m;
    for (uint64_t i = 0, end; i < all; i = end) {
        double own[2] = {0, 0};
        for (end = i; end < all && s[end].value == s[i].value; end++) own[s[end].second]++;
        double t = own[0] + own[1];
        u += own[1] * (below + own[0] / 2);
        below += own[0];
        ties += t * t * t - t;
    }
    free(s);
    *auc = u / pairs;
    double variance = pairs / 12 * (size + 1 - (all > 1 ? ties / (size * (size - 1)) : 0));
    *p = variance > 0 ? 0.5 * erfc((u - pairs / 2) / sqrt(2 * variance)) : 1;
    return RT_OK;
}

double rt_auc_detects(uint64_t n, uint64_t m, double p)
{
    double pairs = (double)n * (double)m;
    return fmin(1, 0.5 - rt_normal_quantile(p) * sqrt(((double)n + (double)m + 1) / (12 * pairs)));
}

/* ---- counts ---- */

double rt_chi_square_tail(double chi, double df)
{
    double a = df / 2, x = chi / 2;
    if (!(x > 0) || !(df > 0)) return 1;
    double scale = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (double i = a + 1; term > sum * 1e-17; i++) sum += term *= x / i;
        return fmax(0, 1 - scale * sum);
    }
    /* 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), by Lentz's method */
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (int i = 1; i < 100000; i++) {
        double n = -i * (i - a);
        b += 2;
        d = 1 / (n * d + b);
        c = b + n / c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-15) break;
    }
    return fmin(1, scale * h);
}

double rt_chi_square_quantile(double p, double df)
{
    double low = 0, high = df + 10;
    while (rt_chi_square_tail(high, df) > p && high < 1e9) high *= 2;
    for (int i = 0; i < 200; i++) {
        double middle = 0.5 * (low + high);
        if (middle == low || middle == high) break;
        if (rt_chi_square_tail(middle, df) > p) low = middle;
        else high = middle;
    }
    return 0.5 * (low + high);
}

/* P(x) of x among the k of a kind in `all`, when n are drawn. */
static double hypergeometric(double x, double k, double n, double all)
{
    double share = n / all;
    return rt_binomial_term(k, share, x) * rt_binomial_term(all - k, share, n - x) / rt_binomial_term(all, share, n);
}

double rt_fisher_p(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    double row = (double)a + (double)b, column = (double)a + (double)c, all = row + (double)c + (double)d, sum = 0;
    if (row == 0 || column == 0 || row == all || column == all) return 1;
    double own = hypergeometric((double)a, column, row, all) * (1 + 1e-14);
    double least = fmax(0, row + column - all), most = fmin(row, column);
    /* Both tails, from their ends inwards: the terms rise. */
    for (double x = least; x <= most; x++) {
        double p = hypergeometric(x, column, row, all);
        if (p > own) break;
        sum += p;
        if (x == most) return fmin(1, sum);
    }
    for (double x = most; x >= least; x--) {
        double p = hypergeometric(x, column, row, all);
        if (p > own) break;
        sum += p;
    }
    return fmin(1, sum);
}

typedef struct { uint64_t a, b; } pair;

static int by_rows(const void *x, const void *y)
{
    uint64_t p = ((const pair *)x)->a + ((const pair *)x)->b, q = ((const pair *)y)->a + ((const pair *)y)->b;
    return p < q ? -1 : p > q;
}

static double sum_of(const uint64_t *v, int k)
{
    double sum = 0;
    for (int i = 0; i < k; i++) sum += (double)v[i];
    return sum;
}

rt_status rt_counts_p(const uint64_t *a, const uint64_t *b, int k, rt_counts_result *r)
{
    double n = sum_of(a, k), m = sum_of(b, k), all = n + m;
    int used = 0, rare = 0;
    *r = (rt_counts_result){.p = 1};
    pair *c = malloc(((size_t)k + 1) * sizeof *c), rest = {0, 0};
    if (!c) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < k; i++) if (a[i] + b[i]) c[used++] = (pair){a[i], b[i]};
    qsort(c, (size_t)used, sizeof *c, by_rows);
    double enough = n > 0 && m > 0 ? 5 * all / fmin(n, m) : 0;       /* rows of both for 5 expected in the smaller */
    while (rare < used && ((double)(c[rare].a + c[rare].b) < enough ||
                           (rest.a + rest.b > 0 && (double)(rest.a + rest.b) < enough))) {
        rest.a += c[rare].a;
        rest.b += c[rare++].b;
    }
    int groups = used - rare + (rare > 0);
    r->merged = rare > 1 ? rare : 0;
    if (n > 0 && m > 0 && groups >= 2) {
        for (int i = rare - (rare > 0); i < used; i++) {
            pair g = i < rare ? rest : c[i];
            double row = (double)g.a + (double)g.b, ea = row * n / all, eb = row * m / all;
            r->statistic += ((double)g.a - ea) * ((double)g.a - ea) / ea + ((double)g.b - eb) * ((double)g.b - eb) / eb;
        }
        r->test = RT_COUNTS_CHI_SQUARE;
        r->df = groups - 1;
        r->p = rt_chi_square_tail(r->statistic, r->df);
    } else if (n > 0 && m > 0 && used >= 2) {
        pair top = c[used - 1];
        r->test = RT_COUNTS_FISHER;
        r->merged = used > 2 ? used - 1 : 0;
        r->p = rt_fisher_p(top.a, (uint64_t)n - top.a, top.b, (uint64_t)m - top.b);
    }
    free(c);
    return RT_OK;
}

double rt_psi(const uint64_t *a, const uint64_t *b, int bins)
{
    double n = sum_of(a, bins) + 0.5 * bins, m = sum_of(b, bins) + 0.5 * bins, sum = 0;
    for (int i = 0; i < bins; i++) {
        double p = ((double)a[i] + 0.5) / n, q = ((double)b[i] + 0.5) / m;
        sum += (q - p) * log(q / p);
    }
    return sum;
}

double rt_psi_detects(uint64_t n, uint64_t m, int bins, double p)
{ return bins < 2 ? 0 : rt_chi_square_quantile(p, bins - 1) * (1 / (double)n + 1 / (double)m); }
