#include "student/ensemble.h"

#include <math.h>

static void add_softmax(float *sum, const float *z, int k, float w, float t, int first)
{
    float m = z[0] / t;
    for (int i = 1; i < k; i++) m = z[i] / t > m ? z[i] / t : m;
    double s = 0;
    for (int i = 0; i < k; i++) s += exp((double)(z[i] / t - m));
    for (int i = 0; i < k; i++) {
        float q = w * (float)(exp((double)(z[i] / t - m)) / s);
        sum[i] = first ? q : sum[i] + q;
    }
}

/* sum and rest: of p and of 1 - p, each as exact where it is small. */
static void add_sigmoid(float *sum, float *rest, const float *z, int k, float w, float t, int first)
{
    for (int i = 0; i < k; i++) {
        double e = exp(-fabs((double)(z[i] / t)));
        float large = (float)(1 / (1 + e)), small = (float)(e / (1 + e)), p = w * (z[i] < 0 ? small : large);
        sum[i] = first ? p : sum[i] + p;
        rest[i] = w * (z[i] < 0 ? large : small) + (first ? 0 : rest[i]);
    }
}

static void add_values(float *sum, const float *z, int k, float w, float t, double centre, int first)
{
    for (int i = 0; i < k; i++) {
        float v = w * (float)((double)(z[i] / t) - centre);
        sum[i] = v + (first ? 0 : sum[i]);
    }
}

static double mean_of(const float *z, int k, float t)
{
    double sum = 0;
    for (int i = 0; i < k; i++) sum += (double)(z[i] / t);
    return sum / k;
}

void rt_ensemble_add(rt_mix_of of, const rt_head *head, int heads, float *sum, float *rest, const float *z, int rows,
                     float weight, float temperature, int first)
{
    size_t width = (size_t)rt_heads_width(head, heads);
    for (int r = 0; r < rows; r++)
        for (int h = 0; h < heads; h++) {
            size_t at = (size_t)r * width + (size_t)head[h].at;
            int k = head[h].size;
            rt_task task = head[h].task;
            if (task == RT_TASK_REAL) add_values(sum + at, z + at, k, weight, 1, 0, first);
            else if (of == RT_MIX_LOGITS)
                add_values(sum + at, z + at, k, weight, temperature,
                           task == RT_TASK_CLASSES ? mean_of(z + at, k, temperature) : 0, first);
            else if (task == RT_TASK_CLASSES) add_softmax(sum + at, z + at, k, weight, temperature, first);
            else add_sigmoid(sum + at, rest + at, z + at, k, weight, temperature, first);
        }
}

void rt_ensemble_end(rt_mix_of of, const rt_head *head, int heads, float *out, const float *sum, const float *rest,
                     int rows, double weights)
{
    size_t width = (size_t)rt_heads_width(head, heads);
    for (int h = 0; h < heads; h++)
        for (size_t r = 0; r < (size_t)rows; r++)
            for (size_t i = 0; i < (size_t)head[h].size; i++) {
                size_t at = r * width + (size_t)head[h].at + i;
                double s = (double)sum[at];
                if (head[h].task == RT_TASK_REAL || of == RT_MIX_LOGITS) out[at] = (float)(s / weights);
                else if (head[h].task == RT_TASK_CLASSES) out[at] = (float)log(s / weights + 1e-30);
                else out[at] = (float)(log(s + 1e-30) - log((double)rest[at] + 1e-30));
            }
}
