#include "experiments/gate/spending.h"

#include <math.h>
#include <stddef.h>

#include "experiments/statistics/statistics.h"

const char *const rt_spending_name[RT_SPENDINGS + 1] = {"none", "obrien_fleming", "pocock", NULL};

static const double least = 1e-12;

double rt_spent(rt_spending how, double alpha, double t)
{
    if (how == RT_SPEND_NONE || t >= 1) return alpha;
    if (t <= 0) return 0;
    if (how == RT_SPEND_POCOCK) return alpha * log1p((exp(1) - 1) * t);
    return 2 * rt_normal_cdf(rt_normal_quantile(alpha / 2) / sqrt(t));
}

double rt_spending_alpha(rt_spending how, double alpha, int look, int looks)
{
    if (how == RT_SPEND_NONE) return alpha;
    return fmax(least, rt_spent(how, alpha, (double)look / looks) - rt_spent(how, alpha, (double)(look - 1) / looks));
}
