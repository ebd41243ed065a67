/* tests/teacher/linear.h - what the program of these tests answers, computed in one place: z[k] = sum_i w(k, i) x[i] in
 * double, rounded to float at the end. */
#ifndef RT_TESTS_TEACHER_LINEAR_H
#define RT_TESTS_TEACHER_LINEAR_H

#include <math.h>
#include <stddef.h>

static inline double linear_weight(int k, size_t i) { return (double)((int)((i * 7 + (size_t)k * 13) % 11) - 5) / 8; }

static inline void linear_row(float *z, int classes, const double *x, size_t n)
{
    for (int k = 0; k < classes; k++) {
        double sum = k * 0.25;
        for (size_t i = 0; i < n; i++) sum += linear_weight(k, i) * x[i];
        z[k] = (float)sum;
    }
}

static inline void linear_softmax(float *p, const float *z, int classes)
{
    double most = z[0], sum = 0;
    for (int k = 1; k < classes; k++) most = z[k] > most ? z[k] : most;
    for (int k = 0; k < classes; k++) sum += exp(z[k] - most);
    for (int k = 0; k < classes; k++) p[k] = (float)(exp(z[k] - most) / sum);
}
#endif
