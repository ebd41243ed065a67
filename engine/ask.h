/* engine/ask.h - what is asked of a model's output when the model is explained: one number of each row, whose gradients
 * by inputs, and by values inside, a session then gives.
 *
 * z: the output of a row, K of them; e: the element that is asked about.
 *   output       z_e
 *   centred      z_e - (1 / K) sum_k z_k: a softmax does not see what all logits have in common, nor does this
 *   probability  softmax(z)_e of classes, 1 / (1 + e^-z_e) of labels; of values it is the output */
#ifndef RT_ENGINE_ASK_H
#define RT_ENGINE_ASK_H

#include "engine/types.h"

typedef enum { RT_ASK_OUTPUT, RT_ASK_CENTRED, RT_ASK_PROBABILITY, RT_ASK_KINDS } rt_ask_kind;

typedef struct {
    int tensor;                    /* (K) floats a row */
    rt_task task;
    rt_ask_kind kind;
    const int *element;            /* (rows) e of each; set before each step */
} rt_ask;

/* The number itself, of one row; g (K, or NULL): its gradient by z. */
double rt_ask_row(rt_ask_kind, rt_task, const float *z, int k, int e, float *g);
#endif
