/* engine/int/net.h - integer programs: a flat list of calls over tensors of bytes, as data; and the same linked for
 * this machine's kernels, to be run without allocation, lock or system call. */
#ifndef RT_ENGINE_INT_NET_H
#define RT_ENGINE_INT_NET_H

#include "engine/int/integer.h"

/* CONV serves dense layers, too. MAP is an activation by a table, or one input of a concat. FLOATS gives bytes back as
 * scale (q - zero). */
typedef enum {
    RT_NET_CONV, RT_NET_ADD, RT_NET_MUL, RT_NET_MAX_POOL, RT_NET_AVG_POOL, RT_NET_MAP, RT_NET_RESHAPE, RT_NET_FLOATS,
    RT_NET_OPS
} rt_net_op;

typedef struct { int h, w, c; rt_quant q; } rt_net_tensor;

typedef struct {
    rt_net_op op;
    int in[2], out;                  /* tensors; in[1] of ADD and MUL; out -1: the output `head` */
    int head;                        /* CONV to logits, and FLOATS; else -1 */
    int kh, kw, sh, sw, pad[4];      /* CONV and pools; top, bottom, left, right */
    int groups, n, bits;             /* CONV; bits of a weight, 2 to 8 */
    rt_act act;                      /* CONV, ADD, MUL: NONE, RELU or RELU6 */
    int at;                          /* MAP: the first channel of out that it writes */
    size_t weight, channel;          /* CONV: its first in weight, and in step and bias */
    int table;                       /* MAP */
} rt_net_call;

enum { RT_NET_MOST = 8192, RT_NET_HEADS = 64 };    /* tensors, and calls; outputs */

/* Tensor 0 is the input. Each tensor is written by one call, or by MAPs side by side; each head by one call. */
typedef struct rt_net {
    rt_net_tensor *tensor; int tensors;
    rt_net_call *call;     int calls;
    int floats;                      /* a row of input is floats, to be quantized; else bytes as they are */
    int size[RT_NET_HEADS];          /* floats of a head */
    int heads;
    int8_t *weight;        size_t weights;     /* (kh, kw, C / groups, N) of each call */
    float *step; int32_t *bias; size_t channels;
    uint8_t (*table)[256]; int tables;
} rt_net;

/* RT_INPUT with the call and the reason when it is none that can be run: whatever the numbers are, nothing is read or
 * written outside. (Sums that may leave 32 bits are found by rt_linked_new.) */
rt_status rt_net_check(const rt_net *);
void rt_net_free(rt_net *);          /* what it holds; not itself */
double rt_net_macs(const rt_net *);  /* multiply-adds of CONVs, a row */
/* The output pixels of a window. */
void rt_net_window(const rt_net_call *, const rt_net_tensor *in, int *oh, int *ow);

/* What the numbers of a CONV stand for: fields of the graph that the net is of, -1: none. */
typedef struct rt_net_source {
    int call;
    int weight, step;                /* -1: a norm alone */
    int bias, shift;
    int gamma, beta, mean, variance; /* of the batch norm that is folded in, or of the norm alone */
    float eps;
    const float *mul, *add;          /* (channels, 1 for all) of an input of bytes, as of rt_qat; else NULL */
    int channels;
} rt_net_source;

/* Integers, steps and biases of the source's call from the values of fields; shapes, scales and places stand. RT_USAGE
 * with the channel when one's weights are not finite, or its bias leaves 32 bits. ready: the weights brought to their
 * steps already, which is quicker; or NULL. */
rt_status rt_net_fill(rt_net *, const rt_net_source *, float *const *field, const float *ready);
/* w (rows, n) *= mul[c] / scale of the input channel c that each reads, of a layer of `groups` with cg channels each.
 */
void rt_net_times_input(float *w, size_t rows, int n, int cg, int groups, const float *mul, int channels, float scale);

/* A net bound to kernels: weights packed, buffers placed. Threads may share it. */
typedef struct rt_linked rt_linked;

/* net is borrowed; it was checked. keep: no two tensors share a place, so that rt_linked_tensor has all of them.
 * RT_USAGE for sums that may overflow, RT_RUN when memory is out. */
rt_status rt_linked_new(rt_linked **, const rt_net *, const rt_int_kernels *, int keep);
void rt_linked_free(rt_linked *);
/* After the numbers of call i, a CONV, have changed; contexts stay good. RT_USAGE as of rt_linked_new. Calls may be
 * brought up to date side by side. */
rt_status rt_linked_refresh(rt_linked *, int call);
/* Rows that a context holds side by side, each a pixel of its tensors' lines; 1: one row. */
int rt_linked_rows(const rt_linked *);
size_t rt_linked_bytes(const rt_linked *);     /* of a context */
size_t rt_linked_packed(const rt_linked *);    /* of weights as they are read */
int rt_linked_width(const rt_linked *);        /* floats of an answer: all heads, side by side */
/* Makes these bytes, aligned to 64, a context: one per thread. */
void rt_linked_start(const rt_linked *, void *context);
/* y (rows, width) from x (rows, H, W, C): bytes, or floats. No allocation, lock or system call. */
void rt_linked_infer(const rt_linked *, void *context, float *y, const void *x, int rows);
/* Tensor t of the first of the rows that ran together last, for tests and reports: where it lies in the context, if
 * nothing else does by now. */
rt_int_image rt_linked_tensor(const rt_linked *, void *context, int t);
#endif
