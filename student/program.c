#include "student/program.h"

#include <stdlib.h>

#include "student/program_parts.h"

rt_status rt_program_finish(rt_program *p)
{
    const rt_int_kernels *k = rt_int_kernels_get();
    if (!k) return RT_RUN;                         /* of the environment, not of the program */
    RT_TRY(rt_net_check(&p->net));
    return rt_linked_new(&p->linked, &p->net, k, 0);
}

void rt_program_free(rt_program *p)
{
    if (!p) return;
    rt_linked_free(p->linked);
    rt_net_free(&p->net);
    rt_heads_free(p->head, p->heads);
    cJSON_Delete(p->about);
    free(p->tensor_of);
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
