#include "experiments/chances.h"

#include <math.h>

#include "experiments/statistics/statistics.h"

enum { EXACT = 400 };
static const double deviations = 8;    /* of a count around its mean that are summed; beyond lies 1e-15 */

/* log of P(X = k) of X ~ Binomial(n, p), 0 < p < 1 */
static double log_term(double n, double p, double k)
{
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p);
}

static double term(double n, double p, double k)
{
    if (p <= 0) return k == 0;
    if (p >= 1) return k == n;
    return exp(log_term(n, p, k));
}

/* The first and the last count of n at p that matter. */
static void range_of(double n, double p, uint64_t *first, uint64_t *last)
{
    double middle = n * p, away = deviations * sqrt(n * p * (1 - p)) + 10;
    *first = (uint64_t)fmax(0, floor(middle - away));
    *last = (uint64_t)fmin(n, ceil(middle + away));
}

/* The least b of m flips whose score at the limit is above z; m + 1 where there is none. The score rises with b. */
static uint64_t least_b(uint64_t m, uint64_t n, double limit, double z)
{
    uint64_t low = 0, high = m + 1;
    while (low < high) {
        uint64_t b = low + (high - low) / 2;
        if (rt_tango_score(b, m - b, n, limit) > z) high = b;
        else low = b + 1;
    }
    return low;
}

/* By the number m of flips, and b among them: hi <= limit where the score at the limit is at most -z, lo > limit where
 * it is above z. */
static rt_chances by_trinomial(uint64_t n, double psi, double drop, double limit, double z)
{
    rt_chances r = {0};
    double share = psi > 0 ? fmin(1, fmax(0, 0.5 * (psi + drop) / psi)) : 0;     /* of b among flips */
    uint64_t first, last;
    range_of((double)n, psi, &first, &last);
    for (uint64_t m = first; m <= last; m++) {
        uint64_t pass = least_b(m, n, limit, -z), regression = least_b(m, n, limit, z), from, to;
        double p = term((double)n, psi, (double)m);
        range_of((double)m, share, &from, &to);
        for (uint64_t b = from; b <= to; b++) {
            double both = p * term((double)m, share, (double)b);
            if (b < pass) r.pass += both;
            else if (b >= regression) r.regression += both;
            else r.undecided += both;
        }
    }
    return r;
}

rt_chances rt_power_of_number(double error, double drop, double limit, double confidence)
{
    double z = rt_normal_quantile(0.5 + confidence / 2);
    if (!(error > 0)) return (rt_chances){drop <= limit, drop > limit, 0};
    rt_chances r = {.pass = rt_normal_cdf((limit - drop) / error - z),
                    .regression = rt_normal_cdf((drop - limit) / error - z)};
    r.undecided = 1 - r.pass - r.regression;
    return r;
}

rt_chances rt_power_of_share(uint64_t n, double psi, double drop, double limit, double confidence)
{
    double z = rt_normal_quantile(0.5 + confidence / 2);
    if ((double)n * psi <= EXACT) return by_trinomial(n, psi, drop, limit, z);
    return rt_power_of_number(sqrt((psi - drop * drop) / (double)n), drop, limit, confidence);
}

double rt_power_detects(uint64_t n, double psi, double limit, double confidence, double chance)
{
    double low = limit, high = 1;
    if (limit >= 1 || rt_power_of_share(n, 1, 1, limit, confidence).regression < chance) return NAN;
    for (int i = 0; i < 40 && high - low > 1e-7; i++) {
        double drop = low + (high - low) / 2;
        if (rt_power_of_share(n, fmax(psi, drop), drop, limit, confidence).regression < chance) low = drop;
        else high = drop;
    }
    return high;
}

double rt_power_number_detects(double error, double limit, double confidence, double chance)
{
    return limit + (rt_normal_quantile(0.5 + confidence / 2) + rt_normal_quantile(chance)) * error;
}

double rt_power_mcnemar(double n, double psi, double confidence, double chance)
{
    double a = rt_normal_quantile(0.5 + confidence / 2), b = rt_normal_quantile(chance);
    double k = n + b * b, m = a * sqrt(n * psi);
    double root = m * m - k * psi * (a * a - b * b), drop = (m + sqrt(fmax(0, root))) / k;
    return root >= 0 && drop <= psi ? drop : NAN;
}
