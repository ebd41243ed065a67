/* student/model.h - a native model: architecture, parameters, how its input is normalised; and its file.
 *
 * File: HDF5; params/<layer>.<field>, state/<layer>.<field> and const/<layer>.<field> as f32, with '/', '%' and control
 * characters of a layer's name percent-coded (%2F); manifest (text, JSON): architecture, input normalisation, names of
 * classes and columns (those of several inputs in a list "inputs"), quantizers (student/quantizers.h), provenance
 * (tool, commit, config, seed, hashes of data and teacher), digest of weights, and the manifest's own digest: of its
 * text with 32 zeros in the place of that digest. */
#ifndef RT_STUDENT_MODEL_H
#define RT_STUDENT_MODEL_H

#include "data/heads.h"
#include "data/output.h"
#include "data/x_where.h"
#include "engine/digest.h"
#include "engine/graph.h"
#include "engine/memory.h"
#include "student/input.h"

typedef struct {
    cJSON *arch;                     /* with "layers" */
    rt_graph *graph;
    float *params, *states;          /* flat, 64-byte aligned, as the graph lays them out */
    rt_head head[RT_MAX_HEADS];
    int heads;
    rt_input input[RT_MAX_INPUTS];   /* in the graph's order */
    int inputs;
    cJSON *provenance;               /* object */
    uint64_t file_bytes;             /* of the file that it was loaded from, or 0 */
} rt_model;

/* A new model with first values by seed; arch is copied. Normalisation is the identity. */
rt_status rt_model_new(rt_model **out, const cJSON *arch, uint64_t seed);
/* The same with zeros as values, for whoever sets them all. */
rt_status rt_model_blank(rt_model **out, const cJSON *arch);
void rt_model_free(rt_model *);
/* Hash of architecture, normalisation, quantizers, parameters and states. */
rt_digest rt_model_digest(const rt_model *);
/* The values of field i of the model's graph. */
float *rt_model_field(const rt_model *, int i);
rt_status rt_model_save(const rt_model *, const char *path);
/* The same as a command's output, whose lock is held; committed. */
rt_status rt_model_put(const rt_model *, rt_output *);
/* RT_INPUT when it is no model, damaged (both digests are checked) or of another format version. */
rt_status rt_model_load(rt_model **out, const char *path);
/* The same; and an ONNX file (rt_onnx_import), of which `binding` (NULL: nothing) tells what its inputs and outputs
 * are, with "data_root" for external data, and the rows of `x` (NULL: there are none) the shapes that it leaves open.
 * RT_USAGE when something is told of a model of ours. rt_model_load reads ONNX files, too. */
rt_status rt_model_load_bound(rt_model **out, const char *path, const cJSON *binding, const rt_x_where *x);
/* Gives a model the names of its classes, where one head alone is of classes, and of its columns, of a single
 * input (copied; NULL or without names: as before). RT_INPUT when their number is not the model's. */
rt_status rt_model_set_names(rt_model *, const rt_names *classes, const rt_names *columns);
/* The columns of input i of several. */
rt_status rt_model_set_columns(rt_model *, int i, const rt_names *columns);
/* The same for head h alone. */
rt_status rt_model_set_classes(rt_model *, int h, const rt_names *classes);
/* RT_USAGE for a graph of several inputs, which an integer program has not; `of` names it. */
rt_status rt_model_one_input(const rt_graph *, const char *of);
/* RT_USAGE for a model that resizes images, which what is deployed does not. */
rt_status rt_model_own_size(const rt_model *, const char *of);
/* What each of several inputs is: [{"name", "normalization", "columns"}], for the caller to delete. */
cJSON *rt_model_inputs_json(const rt_model *);
/* W: floats of an answer. */
int rt_model_width(const rt_model *);
/* The heads' tensors, in their order. */
void rt_model_outputs(const rt_model *, int tensor[RT_MAX_HEADS]);
#endif
