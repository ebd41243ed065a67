/* student/model.h - a native model: architecture, parameters, how its input is normalised; and its file.
 *
 * File: HDF5; params/<layer>.<field> and state/<layer>.<field> as f32, manifest (text, JSON): architecture, input
 * normalisation, class names, provenance (tool, commit, config, seed, hashes of data and teacher), digest of weights. */
#ifndef RT_STUDENT_MODEL_H
#define RT_STUDENT_MODEL_H

#include "data/json.h"
#include "data/source.h"
#include "engine/digest.h"
#include "engine/graph.h"
#include "engine/memory.h"

enum { RT_MAX_CHANNELS = 4096 };

typedef struct {
    cJSON *arch;                     /* with "layers" */
    rt_graph *graph;
    float *params, *states;          /* flat, 64-byte aligned, as the graph lays them out */
    int classes;
    int channels;                    /* of the normalisation: 1 or the input's last dimension */
    float *mul, *add;                /* x' = (x + add[c]) mul[c] */
    cJSON *class_names;              /* list of strings, or NULL */
    cJSON *provenance;               /* object */
} rt_model;

/* A new model with first values by seed; arch is copied. Normalisation is the identity. */
rt_status rt_model_new(rt_model **out, const cJSON *arch, uint64_t seed);
void rt_model_free(rt_model *);
/* mean and standard deviation per channel; count 1 or the channels of the input. */
rt_status rt_model_set_normalization(rt_model *, const double *mean, const double *std, int count);
/* Hash of architecture, normalisation, parameters and states. */
rt_digest rt_model_digest(const rt_model *);
rt_status rt_model_save(const rt_model *, const char *path);
/* RT_INPUT when it is no model, damaged (the digest is checked) or of another format version. */
rt_status rt_model_load(rt_model **out, const char *path);
/* RT_INPUT when rows of this source cannot be this model's input; names both shapes. */
rt_status rt_model_accepts(const rt_model *, const rt_source *);
/* dst (rows, input) from raw rows of a source. */
void rt_model_normalize(const rt_model *, float *dst, const void *raw, rt_dtype, int rows);
size_t rt_model_input_size(const rt_model *);
#endif
