/* student/ensemble.h - several answers to the same rows as one, head by head (data/heads.h).
 *
 * Of answers z_i with weights w_i and temperatures T_i, W = sum w_i:
 *   probabilities  classes log(sum_i w_i softmax(z_i / T_i) / W + 1e-30);
 *                  labels log(m + 1e-30) - log(1 - m + 1e-30) of m = sum_i w_i / (1 + e^(-z_i / T_i)) (as sums over W)
 *   logits         classes sum_i w_i (z_i / T_i - mean of z_i / T_i over the classes) / W: centred, as a constant that
 *                  is added to all of a row's logits says nothing; labels sum_i w_i z_i / T_i / W
 *   values of either: sum_i w_i z_i / W */
#ifndef RT_STUDENT_ENSEMBLE_H
#define RT_STUDENT_ENSEMBLE_H

#include "data/heads.h"

typedef enum { RT_MIX_PROBABILITIES, RT_MIX_LOGITS } rt_mix_of;

/* Adds answers z (rows, W) to sum and rest (rows, W), which begin with the first of them; rest is of labels' 1 - p. */
void rt_ensemble_add(rt_mix_of, const rt_head *, int heads, float *sum, float *rest, const float *z, int rows,
                     float weight, float temperature, int first);
/* out (rows, W), which may be sum; weights: the sum of them. */
void rt_ensemble_end(rt_mix_of, const rt_head *, int heads, float *out, const float *sum, const float *rest, int rows,
                     double weights);
#endif
