#include <math.h>
#include <stdlib.h>

#include "student/metrics.h"
#include "student/metrics_parts.h"

int rt_scores_add_values(rt_scores *s, const float *z, const float *y, const uint8_t *mask)
{
    int k = s->size, known = 0;
    uint64_t at = s->rows * (uint64_t)k;
    for (int j = 0; j < k; j++) {
        if (!isfinite(z[j])) return 0;
        known += !mask || mask[j];
    }
    if (!known) return 1;
    for (int j = 0; j < k; j++) {
        int there = !mask || mask[j];
        double d = there ? fabs((double)z[j] - y[j]) : -1;
        if (s->rows < s->room) s->z[at + (uint64_t)j] = (float)d;
        if (!there) continue;
        rt_column_score *c = &s->column[j];
        double step = y[j] - c->mean;
        c->rows++;
        c->near += d <= 0.1 * fabs((double)y[j]);
        c->abs += d;
        c->square += d * d;
        c->most = fmax(c->most, d);
        c->mean += step / (double)c->rows;
        c->spread += step * (y[j] - c->mean);
    }
    s->rows++;
    return 1;
}

/* Mean over the columns that have `least` targets of what `of` gives of each. */
static double mean_over_columns(const rt_scores *s, uint64_t least, double (*of)(const rt_column_score *))
{
    double sum = 0;
    uint64_t n = 0;
    for (int j = 0; j < s->size; j++) {
        if (s->column[j].rows < least) continue;
        sum += of(&s->column[j]);
        n++;
    }
    return rt_ratio(sum, n);
}

static double mae_of(const rt_column_score *c) { return c->abs / (double)c->rows; }
static double rmse_of(const rt_column_score *c) { return sqrt(c->square / (double)c->rows); }
static double near_of(const rt_column_score *c) { return (double)c->near / (double)c->rows; }
static double r2_of(const rt_column_score *c)
{ return c->spread > 0 ? 1 - c->square / c->spread : c->square > 0 ? 0 : 1; }

static double mae(const rt_scores *s) { return mean_over_columns(s, 1, mae_of); }
static double rmse(const rt_scores *s) { return mean_over_columns(s, 1, rmse_of); }
static double r2(const rt_scores *s) { return mean_over_columns(s, 2, r2_of); }
static double near_ones(const rt_scores *s) { return mean_over_columns(s, 1, near_of); }

static double max_error(const rt_scores *s)
{
    if (!s->rows) return NAN;
    double most = 0;
    for (int j = 0; j < s->size; j++) most = fmax(most, s->column[j].most);
    return most;
}

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static double worst_decile(const rt_scores *s)
{
    uint64_t all = s->rows * (uint64_t)s->size, n = 0;
    float *d = s->ranks && s->rows && s->rows <= s->room ? malloc(all * sizeof *d) : NULL;
    if (!d) return NAN;
    for (uint64_t i = 0; i < all; i++)
        if (s->z[i] >= 0) d[n++] = s->z[i];
    qsort(d, n, sizeof *d, falling);
    uint64_t worst = (n + 9) / 10;
    double sum = 0;
    for (uint64_t i = 0; i < worst; i++) sum += d[i];
    free(d);
    return sum / (double)worst;
}

const rt_metric rt_real_metrics[RT_REAL_METRICS] = {
    {"mae", "mean_absolute_error", "mean absolute error, mean over columns", 0, 0, mae, NULL},
    {"rmse", "root_mean_squared_error", "root of the mean squared error, mean over columns", 0, 0, rmse, NULL},
    {"r2", "r2_score", "1 - squared errors / squared deviations of the targets, mean over columns; of a constant "
     "column 1 when it is met, else 0", 1, 0, r2, "no column has two targets"},
    {"max_error", "max_error of all elements", "largest absolute error", 0, 0, max_error, NULL},
    {"worst_decile", "none: NumPy's sort(abs(y - z))[-ceil(n / 10):].mean()",
     "mean of the largest tenth of the elements' absolute errors, rounded up to whole ones", 0, 1, worst_decile, NULL},
    {"within_tenth", "none: NumPy's isclose(z, y, rtol=0.1, atol=0).mean(), columns alike",
     "share of rows within a tenth of the target, mean over columns", 1, 0, near_ones, NULL}};
