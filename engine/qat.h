/* engine/qat.h - quantization-aware training: what a training session does with a graph's quantizers.
 *
 * LIVE: weights before each step, and values where they are made, are brought to the steps of their quantizers, in
 * float: y = s (min(max(rne(x / s) + z, 0), 255) - z). Gradients go straight through (Bengio et al. 2013), but not
 * through a value at an end of its range, which is read off the value itself. A range is that of the steps before
 * (range += momentum (seen - range) when the step is done), batch norms use the batch.
 *
 * FROZEN: ranges and batch norms stand, and the forward pass is the integer program that is deployed, call by call and
 * without dropout; what the backward pass reads are its bytes.
 *
 * Steps that are trained learn as in LSQ (Esser et al. 2020, equations 3 and 5): of a step s of N weights w, most = 2^
 * (bits - 1) - 1, ds = sum dw (rne(w / s) - w / s inside, -most or most beyond) / sqrt(N most), and weights beyond have
 * no gradient. */
#ifndef RT_ENGINE_QAT_H
#define RT_ENGINE_QAT_H

#include "engine/graph.h"

struct rt_linked;

typedef enum { RT_QAT_OFF, RT_QAT_LIVE, RT_QAT_FROZEN } rt_qat_mode;

typedef struct {
    rt_qat_mode mode;
    int follow;                      /* before each step, a step that is not trained becomes max |w| / most */
    float momentum;                  /* of ranges */
    float norms;                     /* LIVE: momentum of batch norms' statistics, read at each step; 0: their own */
    const float *mul, *add;          /* (channels) of rows that are bytes: x = (u + add[c]) mul[c]; NULL: floats */
    int channels;                    /* 1: one for all */
    /* FROZEN: the integer program (NULL: values are brought to steps in float, for tests), whose numbers are made anew;
     * its calls with weights; of the graph's nodes and tensors that it is of: how many nodes, which of the net's
     * tensors each tensor is (-1: none), and which the heads are. */
    struct rt_net *net;
    const struct rt_net_source *source;
    int sources, nodes;
    const int *tensor, *head;
    const float *factor;             /* (channels) that weights which read such rows are multiplied by; NULL: 1 */
    /* FROZEN, for reports: told of rows [row, row + rows) of a step when the program has answered them, y (rows,
     * width), all at once: their tensors lie side by side in the context (rt_linked_tensor). In the pool's threads;
     * NULL: nobody. */
    void (*see)(void *who, const struct rt_linked *, void *context, int row, int rows, const float *y);
    void *who;
} rt_qat;

/* Steps that weights (rows, n) just fit: max over rows |w| / most; 1 / most of a channel of zeros. */
void rt_quant_follow(float *step, const float *w, size_t rows, int n, int most);
/* The greatest number of a weight of so many bits. */
static inline int rt_quant_most(int bits) { return (1 << (bits - 1)) - 1; }
/* Which input channel row r of weights (taps, C / groups, N) reads for output channel o; cg = C / groups. */
static inline int rt_quant_channel(size_t r, int o, int cg, int groups, int n)
{ return o / (n / groups) * cg + (int)(r % (size_t)cg); }
#endif
