/* experiments/statistics/statistics_ks.c - the distribution of the Kolmogorov-Smirnov distance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/statistics/statistics.h"
#include "experiments/statistics/statistics_samples.h"

static const double pi = 3.141592653589793, nothing = 1e-20;

/* ---- two samples, exactly ---- */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* n rows each: 2 (C(2n, n - h) - C(2n, n - 2h) + ...) / C(2n, n), from the last term on. */
static double equal_sizes(uint64_t n, uint64_t h)
{
    double p = 0;
    for (int64_t k = (int64_t)(n / h); k >= 0; k--) {
        double term = 1, at = (double)k * (double)h;
        for (uint64_t j = 0; j < h; j++) term *= ((double)n - at - (double)j) / ((double)n + at + (double)j + 1);
        p = term * (1 - p);
    }
    return fmin(1, 2 * p);
}

/* The share of paths that touch |i b - j a| >= h, i <= m, j <= n; a = m / g, b = n / g. -1: memory is out. */
static double leave_band(int64_t m, int64_t n, int64_t a, int64_t b, int64_t h)
{
    double *u = malloc((size_t)(n + 2) * sizeof *u);
    if (!u) return -1;
    int64_t last = -1;                                 /* of the row before: u beyond it is outside */
    for (int64_t i = 0; i <= m; i++) {
        int64_t low = i * b - h, from = low < 0 ? 0 : low / a + 1, to = (i * b + h - 1) / a;
        if (to > n) to = n;
        double left = 1;                               /* u(i, from - 1) */
        for (int64_t j = from; j <= to; j++) {
            double below = j <= last ? u[j] : 1;
            if (i + j == 0) left = 0;
            else if (i == 0) left = j ? left : 0;      /* straight along an edge */
            else left = j ? ((double)i * below + (double)j * left) / (double)(i + j) : below;
            u[j] = left;
        }
        last = to;
    }
    double p = u[n];
    free(u);
    return p;
}

/* ---- one sample ---- */

/* P(D+ > x) of n rows: sum_j C(n, j) x (x + j/n)^(j-1) (1 - x - j/n)^(n-j), each a binomial term times x / (x + j/n).
 */
static double smirnov(double n, double x)
{
    double sum = 0;
    if (n > 1e6) return exp(-(6 * n * x + 1) * (6 * n * x + 1) / (18 * n));
    for (double j = 0; j <= floor(n * (1 - x)); j++) {
        double p = x + j / n;
        if (p >= 1) break;
        sum += rt_binomial_term(n, p, j) * x / p;
    }
    return fmin(1, sum);
}

/* P(D <= x), n x^2 small enough for a small matrix: n! / n^n times the middle element of its n-th power. */
static double durbin(int n, double x)
{
    enum { MOST = 64 };
    double t[MOST][MOST] = {{0}}, v[MOST] = {0}, next[MOST];
    int k = (int)ceil(n * x), m = 2 * k - 1;
    double h = k - n * x;
    if (m > MOST) return 1;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m && j <= i + 1; j++) t[i][j] = 1;
    for (int i = 0; i < m; i++) {
        t[i][0] -= pow(h, i + 1);
        t[m - 1][i] -= pow(h, m - i);
    }
    if (2 * h > 1) t[m - 1][0] += pow(2 * h - 1, m);
    for (int i = 0; i < m; i++)
        for (int j = 0; j <= i && j < m; j++) t[i][j] /= tgamma(i - j + 2);
    v[k - 1] = 1;
    for (int step = 1; step <= n; step++) {
        for (int j = 0; j < m; j++) {
            double sum = 0;
            for (int i = 0; i < m; i++) sum += v[i] * t[i][j];
            next[j] = sum * step / n;
        }
        memcpy(v, next, sizeof v);
    }
    return v[k - 1];
}

/* P(D <= x) to order n^-3/2; z = x sqrt(n). */
static double pelz_good(double n, double x)
{
    double z2 = n * x * x, z = sqrt(z2), z4 = z2 * z2, z6 = z4 * z2, z8 = z4 * z4, p2 = pi * pi, p4 = p2 * p2;
    double k0 = 0, k1 = 0, k2 = 0, k3 = 0, k2_more = 0, k3_more = 0;
    if (p2 / 8 / z2 > 700) return 0;
    for (int k = (int)ceil(16 * z / pi) + 1; k > 0; k--) {
        double m = 2 * k - 1, m2 = m * m / 4, q = exp(-p2 * m2 / (2 * z2)), i2 = (double)k * k;
        double r = exp(-p2 * i2 / (2 * z2));
        k0 += q;
        k1 += q * (p2 * m2 - z2);
        k2 += q * (6 * z6 + 2 * z4 + p2 * m2 * (2 * z4 - 5 * z2) + p4 * m2 * m2 * (1 - 2 * z2));
        k3 += q * (p4 * p2 * m2 * m2 * m2 * (5 - 30 * z2) + p4 * m2 * m2 * (212 * z4 - 60 * z2) +
                   p2 * m2 * (135 * z4 - 96 * z6) - 30 * z6 - 90 * z8);
        k2_more += r * p2 * i2;
        k3_more += r * (3 * p2 * i2 * z2 - p4 * i2 * i2);
    }
    double root = sqrt(2 * pi), s = sqrt(n);
    k2 = k2 / (72 * z6 * z) - k2_more / (36 * z2 * z);
    k3 = k3 / (6480 * z8 * z2) + k3_more / (216 * z6);
    return root * (k0 / z + k1 / (6 * z4) / s + k2 / n + k3 / (n * s));
}

/* P(D >= x) of n rows. */
static double kolmogorov_tail(double n, double x)
{
    double t = n * x, z2 = t * x;
    if (n < 1 || t <= 0.5) return 1;
    if (x >= 1) return 0;
    if (t <= 1) return 1 - exp(lgamma(n + 1) + n * log((2 * t - 1) / n));
    if (t >= n - 1) return 2 * pow(1 - x, n);
    if (x >= 0.5 || (n <= 140 && z2 > 4) || (n > 140 && z2 >= 2.2)) return z2 >= 370 ? 0 : 2 * smirnov(n, x);
    return 1 - (n <= 140 ? durbin((int)n, x) : pelz_good(n, x));
}

double rt_ks_p(uint64_t n, uint64_t m, double d, int *exact)
{
    double both = (double)n * (double)m / ((double)n + (double)m), p = -1;
    if (exact) *exact = 0;
    if (n <= RT_KS_EXACT && m <= RT_KS_EXACT && 2 * exp(-2 * d * d * both) >= nothing) {
        uint64_t g = common_divisor(n, m), h = (uint64_t)llround(d * (double)(n / g) * (double)m);
        if (h == 0) p = 1;
        else if (n == m) p = equal_sizes(n, h);
        else p = leave_band((int64_t)m, (int64_t)n, (int64_t)(m / g), (int64_t)(n / g), (int64_t)h);
        if (exact) *exact = p >= 0;
    }
    if (p < 0) p = kolmogorov_tail(rint(both), d);
    return fmin(1, fmax(0, p));
}

double rt_ks_detects(uint64_t n, uint64_t m, double p)
{ return fmin(1, sqrt(-log(p / 2) / 2 * ((double)n + (double)m) / ((double)n * (double)m))); }

double rt_ks_distance(const uint64_t *a, const uint64_t *b, int cells)
{
    double n = 0, m = 0, most = 0;
    uint64_t i = 0, j = 0;
    for (int c = 0; c < cells; c++) {
        n += (double)a[c];
        m += (double)b[c];
    }
    for (int c = 0; c < cells; c++) {
        i += a[c];
        j += b[c];
        most = fmax(most, fabs((double)i / n - (double)j / m));
    }
    return n > 0 && m > 0 ? most : 0;
}
