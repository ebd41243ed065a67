/* student/onnx/onnx_budget.c - how much memory an import may take: by the size of the file, and, where weights are told
 * by their shapes alone, by those. */
#include <string.h>

#include "student/onnx/onnx_parts.h"

enum { LEAST = 1 << 30, COPIES = 4 /* as evaluated, in the order of layers, the model's, and one on the way */ };
#define FILLED_MOST ((size_t)1 << 30)

size_t rt_onnx_budget_of(size_t bytes)
{ return bytes > (RT_ONNX_BUDGET - LEAST) / RT_ONNX_EACH ? RT_ONNX_BUDGET : LEAST + RT_ONNX_EACH * bytes; }

/* Whether all who read a value multiply by it: what fills their weights is not more than what such weights would be. */
static int is_weight(const rt_eval_graph *g, int value)
{
    static const char *const ops[] = {"Conv", "ConvTranspose", "Gemm", "MatMul"};
    int readers = 0;
    for (int i = 0; i < g->outputs; i++) if (g->output[i] == value) return 0;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++) {
            const rt_eval_node *n = &g->node[i];
            int multiplies = 0;
            if (n->in[k] != value) continue;
            for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
                multiplies |= k == 1 && !*n->domain && !strcmp(n->op, ops[o]);
            if (!multiplies || readers++) return 0;
        }
    return readers;
}

size_t rt_onnx_filled(const rt_eval_graph *g)
{
    size_t all = 0;
    for (int i = 0; i < g->nodes; i++) {
        const rt_eval_node *n = &g->node[i];
        const rt_array *shape = n->inputs && n->in[0] >= 0 ? g->known[n->in[0]] : NULL;
        size_t bytes = sizeof(float);
        if (*n->domain || strcmp(n->op, "ConstantOfShape") || !shape || shape->rank != 1 || shape->count < 2 ||
            shape->count > 5 || !rt_array_is_integer(shape) || !is_weight(g, n->out[0]))
            continue;
        for (size_t k = 0; k < shape->count; k++) {
            const int64_t d = rt_array_int(shape, k);
            if (d < 1 || (uint64_t)d > FILLED_MOST / bytes) return 0;         /* nobody's weights */
            bytes *= (size_t)d;
        }
        if ((all += bytes) > FILLED_MOST) return 0;
    }
    return COPIES * all;
}
