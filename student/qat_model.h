/* student/qat_model.h - what a session of quantization-aware training is told of a model. */
#ifndef RT_STUDENT_QAT_MODEL_H
#define RT_STUDENT_QAT_MODEL_H

#include "engine/qat.h"
#include "student/program.h"

typedef struct {
    rt_qat qat;                      /* for a session; mode and momentum are the caller's */
    float *factor;
    rt_program *program;             /* of a frozen one */
    int *tensor, head[RT_MAX_HEADS];
} rt_model_qat;

/* Of a model whose rows are bytes, or floats; it begins as zero, and is freed also after an error. The model's input
 * is borrowed. */
rt_status rt_model_qat_begin(rt_model_qat *, const rt_model *, int bytes);
/* Ranges and norms stand: the forward pass of sessions from now on is the program of the model, which is quantized, and
 * has the training graph's nodes first. */
rt_status rt_model_qat_freeze(rt_model_qat *, const rt_model *);
void rt_model_qat_free(rt_model_qat *);
#endif
