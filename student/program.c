#include "student/program.h"

#include <stdlib.h>

#include "student/program_parts.h"

enum { CONTEXT_MOST = 256 << 20 };     /* bytes, and 16 a weight */

rt_status rt_program_finish(rt_program *p)
{
    const rt_int_kernels *k = rt_int_kernels_get();
    if (!k) return RT_RUN;                         /* of the environment, not of the program */
    RT_TRY(rt_net_check(&p->net));
    RT_TRY(rt_linked_new(&p->linked, &p->net, k, 0));
    size_t bytes = rt_program_bytes(p), most = CONTEXT_MOST + 16 * p->net.weights;
    if (bytes <= most) return RT_OK;
    return rt_fail(RT_USAGE,
                   "its tensors take %zu MiB a row, and a program of %zu weights may take %zu: give it smaller "
                   "inputs, or fewer channels where they are large",
                   bytes >> 20, p->net.weights, most >> 20);
}

void rt_program_free(rt_program *p)
{
    if (!p) return;
    rt_linked_free(p->linked);
    rt_net_free(&p->net);
    rt_heads_free(p->head, p->heads);
    cJSON_Delete(p->about);
    free(p->tensor_of);
    free(p->node_of);
    free(p->source);
    free(p);
}

size_t rt_program_bytes(const rt_program *p) { return rt_linked_bytes(p->linked); }
void rt_program_start(const rt_program *p, void *context) { rt_linked_start(p->linked, context); }

void rt_program_infer(const rt_program *p, void *context, float *y, const void *rows, int n)
{
    rt_linked_infer(p->linked, context, y, rows, n);
}

int rt_program_takes(const rt_program *p) { return !p->net.floats; }
int rt_program_width(const rt_program *p) { return rt_linked_width(p->linked); }
const rt_net *rt_program_net(const rt_program *p) { return &p->net; }
const cJSON *rt_program_about(const rt_program *p) { return p->about; }
const rt_linked *rt_program_linked(const rt_program *p) { return p->linked; }

const rt_head *rt_program_heads(const rt_program *p, int *count)
{
    *count = p->heads;
    return p->head;
}

int rt_program_tensor(const rt_program *p, int tensor)
{
    return p->tensor_of && tensor >= 0 && tensor < p->tensors ? p->tensor_of[tensor] : -1;
}

int rt_program_node(const rt_program *p, int call) { return p->node_of ? p->node_of[call] : -1; }

rt_net *rt_program_numbers(rt_program *p) { return &p->net; }

const rt_net_source *rt_program_sources(const rt_program *p, int *count)
{
    *count = p->sources;
    return p->source;
}

size_t rt_program_weight_bytes(const rt_program *p, int call)
{
    const rt_net_call *c = &p->net.call[call];
    if (c->op != RT_NET_CONV) return 0;
    size_t n = (size_t)c->kh * (size_t)c->kw * (size_t)(p->net.tensor[c->in[0]].c / c->groups) * (size_t)c->n;
    return (c->bits > 4 ? n : (n + 1) / 2) + (size_t)c->n * (sizeof(float) + sizeof(int32_t));
}
