/* student/arch.h - architectures from JSON: a list of layers, or a named family with width and depth.
 *
 *   {"input": [28, 28, 1], "classes": 10, "layers": [{"op": "conv2d", "out": 16, "kernel": 3}, {"op": "relu"}, ...]}
 *   {"input": [28, 28, 1], "classes": 10, "family": "cnn", "width": 16, "depth": 3}
 *   {"input": [16], "heads": [{"name": "kind", "size": 4}, {"name": "age", "task": "real", "size": 1}], "family":
 * "mlp"}
 *
 *   {"inputs": [{"name": "left", "shape": [8]}, {"name": "right", "shape": [4]}], "classes": 3, "layers": [{"op":
 * "dense", "name": "l", "out": 6, "from": "left"}, ...]}
 *
 * A head answers by the layer "layer"; without that key, by the layer of its name, or, when it is the only one, by the
 * last layer. A family ends with a dense layer for each head.
 *
 * A layer takes the one before it as input unless "from" names others ("input" is a single input's
 * name). Families only write
 * such a list, so what they build can be printed, changed and given back. */
#ifndef RT_STUDENT_ARCH_H
#define RT_STUDENT_ARCH_H

#include "data/heads.h"
#include "data/json.h"
#include "engine/graph.h"

/* Builds the graph of an architecture; defaults are filled in, and a family's layers are written into the object as
 * "layers". RT_USAGE with the layer and the reason. The caller frees the graph. */
rt_status rt_arch_build(rt_graph **out, cJSON *arch, const char *path);

/* What the built architecture answers: "heads", or one head "y" of classes, with the tensors of the graph. The caller
 * frees them. */
rt_status rt_arch_heads(rt_head out[RT_MAX_HEADS], int *count, const rt_graph *, cJSON *arch, const char *path);

/* The parts of rt_arch_build, for whoever changes an architecture layer by layer: the nodes of its inputs; then a layer
 * of its list, which is number `index`. RT_USAGE with the layer and the reason. */
rt_status rt_arch_inputs(rt_graph *, cJSON *arch, const char *path);
rt_status rt_arch_layer_add(rt_graph *, cJSON *layer, const char *path, int index);

/* The layer that gives this tensor. */
const char *rt_arch_layer(const rt_graph *, int tensor);
/* The output tensor of the layer with this name, -1 when there is none. */
int rt_arch_find(const rt_graph *, const char *layer);

/* Takes layers out of an architecture's list that none of the heads, a list with "layer", depends on. Every layer must
 * name itself and what it reads. */
void rt_arch_prune(cJSON *layers, const cJSON *heads);

extern const char *const rt_arch_families[];   /* ended by NULL */
#endif
