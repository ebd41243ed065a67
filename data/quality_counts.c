/* data/quality_counts.c - the matrices of confident learning, rounded as numpy and cleanlab round them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/quality_parts.h"

/* numpy's sum of doubles (pairwise, eight at a time): the last bit decides what a half is rounded to. */
static double sum_of(const double *a, size_t n)
{
    double r[8], s = 0;
    if (n < 8) {
        for (size_t i = 0; i < n; i++) s += a[i];
        return s;
    }
    if (n > 128) {
        size_t half = n / 2;
        half -= half % 8;
        return sum_of(a, half) + sum_of(a + half, n - half);
    }
    size_t i = 8;
    memcpy(r, a, sizeof r);
    for (; i + 8 <= n; i += 8) for (int j = 0; j < 8; j++) r[j] += a[i + (size_t)j];
    s = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) s += a[i];
    return s;
}

typedef struct { double over; int at; } rest;

static int by_rest(const void *a, const void *b)
{
    const rest *x = a, *y = b;
    return x->over != y->over ? (x->over > y->over) - (x->over < y->over) : (x->at > y->at) - (x->at < y->at);
}

/* Whole numbers near `exact` whose sum is that of `exact`, rounded: those furthest off give way (cleanlab's
 * round_preserving_sum). */
static void round_row(int64_t *out, const double *exact, int n, double *whole, rest *order)
{
    double wanted = nearbyint(sum_of(exact, (size_t)n));
    for (int i = 0; i < n; i++) whole[i] = nearbyint(exact[i]);
    for (;;) {
        double missing = wanted - sum_of(whole, (size_t)n);
        if (fabs(missing) < 0.5) break;
        int up = missing > 0, changes = fabs(missing) < n ? (int)fabs(missing) : n;
        for (int i = 0; i < n; i++) order[i] = (rest){exact[i] - whole[i], i};
        qsort(order, (size_t)n, sizeof *order, by_rest);
        for (int i = 0; i < changes; i++) whole[order[up ? n - 1 - i : i].at] += up ? 1 : -1;
    }
    for (int i = 0; i < n; i++) out[i] = (int64_t)whole[i];
}

rt_status rt_quality_calibrate(int64_t *joint, const int64_t *confident, const uint64_t *given, int classes)
{
    size_t k = (size_t)classes;
    double *exact = calloc(k * k, sizeof *exact), *whole = calloc(k, sizeof *whole), rows = 0;
    rest *order = calloc(k, sizeof *order);
    if (exact && whole && order) {
        for (size_t i = 0; i < k; i++) {
            double sum = 0;
            for (size_t j = 0; j < k; j++) sum += (double)confident[i * k + j];
            for (size_t j = 0; j < k; j++)
                exact[i * k + j] = (double)confident[i * k + j] / fmax(sum, 1e-100) * (double)given[i];
            rows += (double)given[i];
        }
        double all = fmax(sum_of(exact, k * k), 1e-100);
        for (size_t i = 0; i < k * k; i++) exact[i] = exact[i] / all * rows;
        for (size_t i = 0; i < k; i++) round_row(joint + i * k, exact + i * k, classes, whole, order);
    }
    rt_status st = exact && whole && order ? RT_OK : rt_fail(RT_RUN, "out of memory");
    free(exact);
    free(whole);
    free(order);
    return st;
}

void rt_quality_prune(int64_t *take, const int64_t *joint, int classes)
{
    size_t k = (size_t)classes;
    for (size_t i = 0; i < k; i++) {
        const int64_t *from = joint + i * k;
        int64_t *to = take + i * k, stays = from[i] > 1 ? from[i] : 1;
        double others = -1;
        for (size_t j = 0; j < k; j++) others += from[j] != 0;
        double less = (double)(stays - from[i]) / fmax(others, 1);
        for (size_t j = 0; j < k; j++) {
            double left = (double)from[j] - less;
            to[j] = left > 0 ? (int64_t)left : 0;
        }
        to[i] = stays;
    }
}
