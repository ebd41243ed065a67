/* student/predictor.h - native models, one or an ensemble, as a function from rows to answers.
 *
 * A float model's rows go through plans of a fixed micro-batch, the last one padded, so that a row's answer depends on
 * the row alone and not on how a caller groups rows; rows of ids that end early go through shorter plans where the
 * model allows it (student/lengths.h). A quantized model answers by its integer program, row by row; where that takes
 * bytes, views of rows are rounded to them. An answer is (W) floats, head by head (data/heads.h). An ensemble answers
 * by head: classes log(mean_i softmax(z_i)), labels log(m / (1 - m)) of m = mean_i 1 / (1 + e^-z_i), values mean_i z_i.
 */
#ifndef RT_STUDENT_PREDICTOR_H
#define RT_STUDENT_PREDICTOR_H

#include "engine/session.h"
#include "student/lengths.h"
#include "student/program.h"

typedef struct rt_predictor rt_predictor;

/* Models and device are borrowed. An ensemble's models may have their heads and classes in different orders: answers
 * are given in the first one's; RT_INPUT with both lists when one has other heads or classes. micro 0: chosen by
 * the device, or by the architecture. A quantized model needs the CPU (RT_USAGE). features: tensors of model 0 to keep
 * besides the answer (only for a single float model). */
rt_status rt_predictor_new(rt_predictor **out, rt_model *const *models, int count, rt_device *, int micro,
                           const int *features, int feature_count);
void rt_predictor_free(rt_predictor *);
/* From now on answers are given for these heads (copied), in place of the first model's, their classes matched by name
 * or by position; `of` names who has them. Elements of a head that the models lack are 0, what else they answer is left
 * out. RT_INPUT with both lists when heads of one name differ, or none is common. */
rt_status rt_predictor_set_heads(rt_predictor *, const rt_head *, int count, const char *of, rt_match);
/* Other weights than a float model's own (an average, say); call again, or with NULL, whenever weights have changed. */
void rt_predictor_set_weights(rt_predictor *, int model, const float *params, const float *states);

/* answer (rows, W) to the rows that are asked for, raw rows of the source that the models are bound to. RT_RUN when the
 * device fails. */
rt_status rt_predict(rt_predictor *, const rt_feed *, float *answer);
/* Feature i of the last rt_predict, when its rows fitted one micro-batch. */
const float *rt_predictor_feature(const rt_predictor *, int i);
int rt_predictor_micro(const rt_predictor *);
int rt_predictor_width(const rt_predictor *);
size_t rt_predictor_bytes(const rt_predictor *);       /* of plans, and of contexts of programs */
/* The integer program of model i; NULL: it answers in float. */
const rt_program *rt_predictor_program(const rt_predictor *, int i);
/* The lengths of model i's plans; NULL: it has one, as it is quantized or features are kept. */
const rt_lengths *rt_predictor_lengths(const rt_predictor *, int i);

/* Loads an ensemble: every model must have the same heads. The caller frees each and the array. x:
 * rt_model_load_bound's. */
rt_status rt_models_load(rt_model ***out, const char *const *paths, int count, const rt_x_where *x);
/* rt_inputs_bind for each. */
rt_status rt_models_bind(rt_model *const *, int count, const rt_source *, rt_match, cJSON *notes);
void rt_models_free(rt_model **, int count);
/* One model's digest, or the hash of all digests in order. */
rt_digest rt_models_digest(rt_model *const *, int count);
#endif
