/* student/fidelity.h - how near a quantized model's layers are to those of its float model, on rows of data. */
#ifndef RT_STUDENT_FIDELITY_H
#define RT_STUDENT_FIDELITY_H

#include "engine/device.h"
#include "student/program.h"

/* Of the values that a call of the net gives, over rows: sums of squares of the float model's value and of what the
 * integer program's differs by; how many there are, and how many of the float model's lie outside of the range. */
typedef struct { double signal, noise, values, clipped; } rt_fidelity;

/* of (calls of the program's net). The program is of the model. x (rows, input): normalised floats; raw: the same rows
 * as bytes, where the program takes those, else NULL. Each layer's error includes those of the layers before it.
 * RT_INTERRUPTED when asked to stop. */
rt_status rt_fidelity_measure(rt_fidelity *of, const rt_model *, const rt_program *, const float *x, const uint8_t *raw,
                              int rows, rt_device *);
/* 10 log10(signal / noise), in dB; INFINITY where there is no noise, NAN without a signal. */
double rt_fidelity_db(const rt_fidelity *);
/* A list of the layers that the program computes, the input first: name, operator, bits of weights, range of the
 * output, multiply-adds a row, bytes of weights; with `of`, which may be NULL, clipped share and dB. */
cJSON *rt_fidelity_layers(const rt_model *, const rt_program *, const rt_fidelity *of);
/* The whole: "input", "layers", multiply-adds, bytes of weights, of working memory and of the program's file, contract
 * and family of kernels, into j. */
void rt_fidelity_describe(cJSON *j, const rt_model *, const rt_program *, const rt_fidelity *of);
#endif
