/* tests/experiments/binomial_draw.h - counts of flips for simulated test sets. */
#ifndef RT_TESTS_BINOMIAL_DRAW_H
#define RT_TESTS_BINOMIAL_DRAW_H

#include <math.h>
#include <stdint.h>

/* A draw of Binomial(n, p): the least k whose cumulative probability is above u, from ten deviations below the mean. */
static inline uint64_t binomial(double n, double p, double u)
{
    double k = fmax(0, floor(n * p - 10 * sqrt(n * p * (1 - p)) - 10));
    double term = exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p)), sum = term;
    while (sum <= u && k < n) {
        term *= (n - k) / (k + 1) * p / (1 - p);
        k++;
        sum += term;
    }
    return (uint64_t)k;
}

#endif
