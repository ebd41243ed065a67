/* data/labels_topk.c - the k best logits of a row and what is left of the others. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "data/labels_format.h"

enum { STEP = 16 };                    /* classes that are looked at together */

/* Rises with z, and for equal z falls with the class, so that equal logits go to the lower class. z is finite. */
static uint64_t key_of(float z, int c)
{
    uint32_t bits;
    z += 0.0f;                                        /* -0 is 0 */
    memcpy(&bits, &z, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | ~(uint32_t)c;
}

static int class_of(uint64_t key) { return (int)~(uint32_t)key; }

/* Merges from runs of one up, without branches on the keys; the sorted keys, largest first, are in the array
 * returned. */
static uint64_t *sort_falling(uint64_t *a, uint64_t *b, int n)
{
    for (int run = 1; run < n; run *= 2) {
        for (int at = 0; at < n; at += 2 * run) {
            int middle = at + run < n ? at + run : n, end = middle + run < n ? middle + run : n;
            int i = at, j = middle, to = at;
            while (i < middle && j < end) {
                uint64_t x = a[i], y = a[j];
                int first = x > y;
                b[to++] = first ? x : y;
                i += first;
                j += !first;
            }
            while (i < middle) b[to++] = a[i++];
            while (j < end) b[to++] = a[j++];
        }
        uint64_t *t = a;
        a = b;
        b = t;
    }
    return a;
}

/* The k best of z's keys, in the array returned. Each of at least 2 k groups has its largest logit; the k-th largest of
 * those is no larger than the k-th largest of all, so what is below it need not be sorted. */
static const uint64_t *best_keys(const rt_label_work *w, const float *z, int classes, int k)
{
    int depth = classes / (2 * k) < 32 ? classes / (2 * k) : 32, n = 0;
    if (depth < 2) {
        for (int c = 0; c < classes; c++) w->key[c] = key_of(z[c], c);
        return sort_falling(w->key, w->room, classes);
    }
    int groups = classes / depth;                     /* class c is in group c % groups */
    float *most = w->most;
    memcpy(most, z, (size_t)groups * sizeof *most);
    for (int at = groups; at < classes; at += groups) {
        int some = classes - at < groups ? classes - at : groups;
        for (int g = 0; g < some; g++) most[g] = z[at + g] > most[g] ? z[at + g] : most[g];
    }
    for (int g = 0; g < groups; g++) w->key[g] = key_of(most[g], g);
    float least = most[class_of(sort_falling(w->key, w->room, groups)[k - 1])];
    for (int c = 0; c < classes; c += STEP) {         /* most steps hold none */
        int end = classes - c < STEP ? classes : c + STEP, any = 0;
        for (int i = c; i < end; i++) any |= z[i] >= least;
        for (int i = c; i < end && any; i++) {
            w->key[n] = key_of(z[i], i);
            n += z[i] >= least;
        }
    }
    return sort_falling(w->key, w->room, n);
}

/* e[i] = exp(z[i] - max) for -700 <= z - max <= 0 within EXP_ERROR: Cody and Waite's reduction, then Taylor's series to
 * r^11. Plain operations, the same bits on every CPU; the compiler puts several side by side. */
#define EXP_ERROR 1e-14
static inline __attribute__((always_inline)) void exp_body(double *e, const float *z, double max, int n)
{
    const double round = 0x1.8p52, log2e = 1.4426950408889634, high = 0x1.62e42fee00000p-1, low = 0x1.a39ef35793c76p-33;
    for (int i = 0; i < n; i++) {
        double x = z[i] - max, t = x * log2e + round, k = t - round, r = (x - k * high) - k * low, p = 1.0 / 39916800;
        uint64_t bits, power;
        p = p * r + 1.0 / 3628800;
        p = p * r + 1.0 / 362880;
        p = p * r + 1.0 / 40320;
        p = p * r + 1.0 / 5040;
        p = p * r + 1.0 / 720;
        p = p * r + 1.0 / 120;
        p = p * r + 1.0 / 24;
        p = p * r + 1.0 / 6;
        p = p * r + 0.5;
        p = p * r + 1.0;
        p = p * r + 1.0;
        memcpy(&power, &t, sizeof power);             /* the low bits of t are k */
        memcpy(&bits, &p, sizeof bits);
        bits += power << 52;
        memcpy(&e[i], &bits, sizeof bits);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void exp_avx2(double *e, const float *z, double max, int n)
{
    exp_body(e, z, max, n);
}

__attribute__((target("avx512f"))) static void exp_avx512(double *e, const float *z, double max, int n)
{
    exp_body(e, z, max, n);
}
#endif

void rt_label_exp(double *e, const float *z, double max, int n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) exp_avx512(e, z, max, n);
    else if (__builtin_cpu_supports("avx2")) exp_avx2(e, z, max, n);
    else
#endif
    exp_body(e, z, max, n);
}

/* Of n values, in STEP lanes that the compiler keeps side by side. */
static float least_of(const float *z, int n)
{
    float lane[STEP];
    int i = STEP;
    for (int k = 0; k < STEP; k++) lane[k] = z[k < n ? k : 0];
    for (; i + STEP <= n; i += STEP)
        for (int k = 0; k < STEP; k++) lane[k] = z[i + k] < lane[k] ? z[i + k] : lane[k];
    for (; i < n; i++) lane[0] = z[i] < lane[0] ? z[i] : lane[0];
    for (int k = 1; k < STEP; k++) lane[0] = lane[k] < lane[0] ? lane[k] : lane[0];
    return lane[0];
}

static double sum_of(const double *e, int n)
{
    double lane[STEP] = {0};
    int i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int k = 0; k < STEP; k++) lane[k] += e[i + k];
    for (; i < n; i++) lane[0] += e[i];
    for (int k = 1; k < STEP; k++) lane[0] += lane[k];
    return lane[0];
}

/* What stands for classes whose part vanishes beside the last one kept: so low that its part vanishes, too. */
static float far_below(double kept)
{
    static const double gone = 800, usual = -1e30;         /* exp(-800) is 0 */
    if (kept - gone > usual) return (float)usual;
    return fmaxf(fminf((float)(kept - gone), nextafterf((float)kept, -INFINITY)), -FLT_MAX);
}

/* The tail as libm's exp and a sum in the order of the classes give it; where the quick way can be off by no more than
 * rounding to float hides, by the quick way. */
static float tail_of(const rt_label_work *w, const float *z, int classes, int k, const int32_t *id)
{
    double max = z[id[k - 1]], sum = 0;
    if (k == classes) return 0.0f;
    if (least_of(z, classes) - max >= -700) {
        rt_label_exp(w->term, z, max, classes);
        for (int i = 0; i < k; i++) w->term[id[i]] = 0;
        double tail = max + log(sum_of(w->term, classes) / (classes - k));
        double error = EXP_ERROR + 2.5e-16 * classes + 5e-16 * fabs(max);
        if ((float)(tail - error) == (float)(tail + error)) return (float)tail;
    }
    for (int c = 0; c < classes; c++) w->term[c] = exp(z[c] - max);
    for (int i = 0; i < k; i++) w->term[id[i]] = 0;
    for (int c = 0; c < classes; c++) sum += w->term[c];
    return sum > 0 ? (float)(max + log(sum / (classes - k))) : far_below(max);
}

void rt_label_put_ids(void *to, rt_dtype type, const int32_t *id, int k)
{
    unsigned char *at = to;
    if (type == RT_I32) memcpy(to, id, (size_t)k * sizeof *id);
    else
        for (int i = 0; i < k; i++) {
            uint16_t one = (uint16_t)id[i];
            memcpy(at + (size_t)i * sizeof one, &one, sizeof one);
        }
}

void rt_label_get_ids(int32_t *id, const void *from, rt_dtype type, int k)
{
    const unsigned char *at = from;
    if (type == RT_I32) {
        memcpy(id, from, (size_t)k * sizeof *id);
        return;
    }
    for (int i = 0; i < k; i++) {
        uint16_t one;
        memcpy(&one, at + (size_t)i * sizeof one, sizeof one);
        id[i] = one;
    }
}

int rt_label_topk_back(float *z, int classes, int k, const int32_t *id, const float *value, float tail)
{
    for (int c = 0; c < classes; c++) z[c] = tail;
    for (int j = 0; j < k; j++) {
        if (id[j] < 0 || id[j] >= classes) return 0;
        z[id[j]] = value[j];
    }
    return 1;
}

void rt_label_topk(const rt_label_work *w, const float *z, int classes, int k, int32_t *id, float *value, float *tail)
{
    const uint64_t *key = best_keys(w, z, classes, k);
    for (int i = 0; i < k; i++) {
        id[i] = class_of(key[i]);
        value[i] = z[id[i]];
    }
    *tail = tail_of(w, z, classes, k, id);
}
