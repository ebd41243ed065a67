/* student/program_model.h - the way back: a quantized model whose integer program is the one given. */
#ifndef RT_STUDENT_PROGRAM_MODEL_H
#define RT_STUDENT_PROGRAM_MODEL_H

#include "student/program.h"

/* What a net does not tell. All is borrowed. */
typedef struct {
    const rt_head *head; int heads;  /* names, tasks, classes of the net's heads */
    const float *mul, *add;          /* (channels) how floats are normalised, or what bytes stand for: as of rt_input */
    int channels;
    const char *const *name;         /* (calls) what a call's layer is called; NULL in it, or NULL: by its operator */
} rt_net_origin;

/* Layers in the order of the net's calls; weights are its integers times their steps, ranges those that give its
 * scales and zero points. The program of the model is built, and has the net's tensors, calls and numbers to the bit,
 * or there is no model: RT_USAGE with the call that has no layer of its own, or whose numbers no floats give (the net
 * was checked by rt_net_check). The net stays the caller's. */
rt_status rt_model_of_net(rt_model **, const rt_net *, const rt_net_origin *);
#endif
