#include "data/label_facts.h"

#include <math.h>

rt_label_facts rt_label_facts_of(const float *z, int classes, double temperature)
{
    int best = 0;
    double sum = 0, dot = 0, second = 0;
    for (int c = 1; c < classes; c++) if (z[c] > z[best]) best = c;
    for (int c = 0; c < classes; c++) {
        double d = ((double)z[c] - (double)z[best]) / temperature, e = exp(d);
        sum += e;
        dot += e * d;
        if (c != best && e > second) second = e;
    }
    double entropy = log(sum) - dot / sum;
    return (rt_label_facts){.best = best,
                            .confidence = (float)(1 / sum),
                            .margin = (float)((1 - second) / sum),
                            .entropy = entropy > 0 ? (float)entropy : 0};     /* below by rounding */
}

rt_label_facts rt_label_facts_certain(int label) { return (rt_label_facts){label, 1, 1, 0}; }

void rt_label_one_hot(float *z, int classes, int label)
{
    const float none = logf(1e-30f);
    for (int c = 0; c < classes; c++) z[c] = c == label ? 0 : none;
}
