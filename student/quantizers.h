/* student/quantizers.h - a model's quantizers: which layers and tensors have them, what they say, and their part of the
 * manifest.
 *
 * "quantization": {"contract": 1, "input": "u8"|"f32", "activations": 8, "weights": {LAYER: bits, ...}, "ranges":
 * [LAYER, ...], "shifts": true|false}; the numbers are fields: params/LAYER.weight_step (N), state/LAYER.range (2), the
 * least and the greatest value of the layer's output, state/LAYER.shift (N), added to the layer's sums. What they were
 * made of stands in the provenance as "quantized". */
#ifndef RT_STUDENT_QUANTIZERS_H
#define RT_STUDENT_QUANTIZERS_H

#include "engine/int/integer.h"
#include "student/model.h"

/* Dense layers and convolutions: what weight quantizers are for. */
int rt_has_weights(const rt_node *);
int rt_model_quantized(const rt_model *);
/* Gives a float model quantizers, whose numbers the caller sets: steps are 1, ranges and shifts 0. RT_RUN when memory
 * is out; the model is then good for nothing but rt_model_free. */
rt_status rt_model_quantize(rt_model *, const rt_quantize_spec *);
/* The float model again, by the same weights. */
void rt_model_unquantize(rt_model *);

/* The least and the greatest value of a tensor, 2 floats; NULL: has no quantizer. */
float *rt_model_range(const rt_model *, int tensor);
/* The steps of a node's weights, and its shifts, (N); NULL: has none. */
float *rt_model_steps(const rt_model *, int node);
float *rt_model_shifts(const rt_model *, int node);

/* RT_INPUT, with the layer, when a range or a step is none that integers can be computed with: not finite, without
 * width, not positive. of: names the file. */
rt_status rt_quantizers_check(const rt_model *, const char *of);
cJSON *rt_quantizers_to_json(const rt_model *);
/* Gives the model, which has no memory yet, the quantizers that a manifest tells. RT_INPUT with the reason. */
rt_status rt_quantizers_from_json(rt_model *, const cJSON *, const char *path);
/* Into a model's digest: what is not in fields. */
void rt_quantizers_hash(const rt_model *, rt_hasher *);
#endif
