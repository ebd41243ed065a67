/* data/labels_q8.c - logits in 8 bits: z' = fl(fl(scale q) + offset) in f32, with a scale and an offset for each row.
 *
 * offset is the least logit of the row, scale = (largest - least) / 255, and q the code nearest to z, so that |z - z'|
 * is at most scale / 2 but for rounding. What would share the code of the best logit and stand before it takes the next
 * code below, at most one step off: the best class of the code is that of the answer. Both are f32: with f16 the error
 * of a row far from 0 grows without bound (logits of 1000 +- 1 lie within one step of f16), and of the 100 and more
 * classes for which 8 bits pay, 4 bytes a row are little. */
#include <float.h>
#include <math.h>

#include "data/label_facts.h"
#include "data/labels_format.h"

void rt_label_q8(unsigned char *q, float *scale, float *offset, const float *z, int n)
{
    int best = 0;
    float least = z[0];
    for (int i = 1; i < n; i++) {
        least = z[i] < least ? z[i] : least;
        if (z[i] > z[best]) best = i;
    }
    float step = (float)(((double)z[best] - (double)least) / 255);
    if (!(step >= FLT_MIN)) step = 0;                 /* equal logits, or as good as */
    *scale = step;
    *offset = least;
    for (int i = 0; i < n; i++) {
        double code = step > 0 ? rint(((double)z[i] - (double)least) / step) : 0;
        q[i] = code < 255 ? (unsigned char)code : 255;
    }
    for (int i = 0; i < best; i++) if (q[i] == q[best] && q[i]) q[i]--;
}

void rt_label_q8_best(unsigned char *q, float *scale, float *offset, const float *value, const int32_t *id, int k)
{
    rt_label_q8(q, scale, offset, value, k);
    for (int i = 1; i < k; i++) if (q[i] == q[0] && q[i] && id[i] < id[0]) q[i]--;      /* else it would be the first */
}

void rt_label_q8_back(float *z, const unsigned char *q, float scale, float offset, int n)
{
    for (int i = 0; i < n; i++) z[i] = (float)q[i] * scale + offset;
}

/* exp(z - most) of all, and their sum. */
static double terms_of(double *e, const float *z, int n)
{
    float most = z[0], least = z[0];
    double sum = 0;
    for (int i = 1; i < n; i++) {
        most = z[i] > most ? z[i] : most;
        least = z[i] < least ? z[i] : least;
    }
    if ((double)least - most >= -700) rt_label_exp(e, z, most, n);
    else for (int i = 0; i < n; i++) e[i] = exp((double)z[i] - most);
    for (int i = 0; i < n; i++) sum += e[i];
    return sum;
}

/* Of a logit and of a probability, the largest so far. */
static void take_worst(double worst[2], double d, double of)
{
    worst[0] = d > worst[0] ? d : worst[0];
    worst[1] = of > worst[1] ? of : worst[1];
}

void rt_label_code_error_best(const float *value, const float *decoded, int k, int others, float tail, double worst[2])
{
    double top = value[0], a = others * exp((double)tail - top), b = a;
    for (int i = 0; i < k; i++) {
        a += exp((double)value[i] - top);
        b += exp((double)decoded[i] - top);
    }
    for (int i = 0; i < k; i++) {
        double d = fabs((double)value[i] - (double)decoded[i]);
        take_worst(worst, d, fabs(exp((double)value[i] - top) / a - exp((double)decoded[i] - top) / b));
    }
    double left = others ? exp((double)tail - top) : 0;              /* each of the others changes by the sum alone */
    take_worst(worst, 0, fabs(left / a - left / b));
}

void rt_label_code_error(const float *z, const float *decoded, int n, int independent, double *room, double worst[2])
{
    double *p = room, *q = room + n, a = 1, b = 1;
    if (!independent) {
        a = terms_of(p, z, n);
        b = terms_of(q, decoded, n);
    }
    for (int i = 0; i < n; i++) {
        double d = fabs((double)z[i] - (double)decoded[i]);
        double of = independent ? fabs(1 / (1 + exp(-(double)z[i])) - 1 / (1 + exp(-(double)decoded[i])))
                                : fabs(p[i] / a - q[i] / b);
        take_worst(worst, d, of);
    }
}
