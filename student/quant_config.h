/* student/quant_config.h - how a model is to be quantized, as configurations say it.
 *
 * "quant": {"weights": 8, "activations": 8, "first": 8, "last": 8, "layers": {NAME: {"weights": 4}}, "method":
 * "minmax"|"mse", "bias_correction": true, "calibrate": 300, "input": "auto"|"u8"|"f32"} */
#ifndef RT_STUDENT_QUANT_CONFIG_H
#define RT_STUDENT_QUANT_CONFIG_H

#include "data/json.h"
#include "student/calibrate.h"

typedef enum { RT_QUANT_INPUT_AUTO, RT_QUANT_INPUT_U8, RT_QUANT_INPUT_F32 } rt_quant_input;

/* How training quantizes, beside that. */
typedef struct {
    int learn;                       /* steps of weights below 8 bits are trained */
    int warmup;                      /* epochs in float before */
    double freeze;                   /* the share of the run after which ranges and batch norms stand */
    double step_lr;                  /* factor of the learning rate of steps */
} rt_quant_training;

typedef struct {
    int weights, first, last;        /* bits, 4 to 8 */
    const cJSON *layers;             /* the configuration's, or NULL */
    rt_calibrate_method method;
    int correct, rows;
    rt_quant_input input;
} rt_quant_settings;

/* Reads the object under "quant", whose keys have these defaults; training, or NULL: its keys, too, in place of
 * bias_correction: "method": "lsq"|"minmax"|"mse", "warmup": half of the epochs (0 with init), "freeze": 0.95,
 * "step_lr": 0.1. */
void rt_quant_read(rt_cfg *, rt_quant_settings *, rt_quant_training *training, int epochs);
/* *bytes: the model takes rows as they are in the data, of this type: where they are bytes and it can, unless something
 * else is asked for. x and source name the data; what should be known is added to the notes. RT_USAGE when what is
 * asked for cannot be. */
rt_status rt_quant_choose_input(const rt_quant_settings *, const rt_model *, rt_dtype, const char *x,
                                const char *source, int *bytes, cJSON *notes);
/* bits[i] of each node that has weights of its own, (nodes) ints of the caller's: of a layer that is named what is said
 * of it, else `first` of those that read the input, `last` of those that give a head's answer, `weights` of others.
 * RT_USAGE with the near names for a layer that is none. */
rt_status rt_quant_bits(const rt_quant_settings *, const rt_graph *, const rt_head *, int heads, int *bits);
#endif
