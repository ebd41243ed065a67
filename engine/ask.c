#include "engine/ask.h"

#include <math.h>

static double softmax_row(const float *z, int k, int e, float *g)
{
    double most = -INFINITY, sum = 0;
    for (int j = 0; j < k; j++) most = fmax(most, (double)z[j]);
    for (int j = 0; j < k; j++) sum += exp((double)z[j] - most);
    double p = exp((double)z[e] - most) / sum;
    for (int j = 0; j < k && g; j++) g[j] = (float)(p * ((j == e) - exp((double)z[j] - most) / sum));
    return p;
}

double rt_ask_row(rt_ask_kind kind, rt_task task, const float *z, int k, int e, float *g)
{
    double mean = 0;
    if (kind == RT_ASK_PROBABILITY && task == RT_TASK_CLASSES) return softmax_row(z, k, e, g);
    for (int j = 0; j < k && g; j++) g[j] = (j == e) - (kind == RT_ASK_CENTRED ? 1.0f / (float)k : 0.0f);
    if (kind == RT_ASK_PROBABILITY && task == RT_TASK_MULTILABEL) {
        double p = 1 / (1 + exp(-(double)z[e]));
        if (g) g[e] = (float)(p * (1 - p));
        return p;
    }
    for (int j = 0; j < k; j++) mean += (double)z[j] / k;
    return kind == RT_ASK_CENTRED ? (double)z[e] - mean : (double)z[e];
}
