/* student/onnx/onnx_call.h - nodes of ONNX graphs that have no layer of their own, as the layer `call` has them in an
 * architecture:
 *
 *   {"op": "call", "name": ..., "from": [...], "onnx": {"op": "Einsum", "domain": "", "opset": 13, "attributes":
 *    {"equation": {"string": "ij,jk->ik"}}, "inputs": [{"type": "float32", "shape": [1, 3, 4]}, null, {"type": "int64",
 *    "shape": [2], "data": base64 of the elements}], "output": 0}}
 *
 * An input without data is one that depends on data, in the order of "from"; null is one that is left out. */
#ifndef RT_STUDENT_ONNX_ONNX_CALL_H
#define RT_STUDENT_ONNX_ONNX_CALL_H

#include "data/json.h"
#include "engine/call.h"

/* RT_INPUT or RT_USAGE with what is wrong; an unknown operator, and a node that cannot be computed, are. */
rt_status rt_onnx_call_read(rt_onnx_call **, const cJSON *);
void rt_onnx_call_free(void *call);
/* The node as an object, its inputs being values (NULL: not there, or what `varies` says) of the graph; output i
 * answers. NULL where it cannot be written: *why. */
cJSON *rt_onnx_call_write(const rt_eval_node *, rt_array *const *value, const char *varies, int output,
                          const char **why);
#endif
