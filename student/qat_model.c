#include "student/qat_model.h"

#include <math.h>
#include <stdlib.h>

rt_status rt_model_qat_begin(rt_model_qat *q, const rt_model *m, int bytes)
{
    const rt_input *in = &m->input[0];
    if (!bytes) return RT_OK;
    q->qat.mul = in->mul;
    q->qat.add = in->add;
    q->qat.channels = in->channels;
    if (in->channels == 1) return RT_OK;
    q->factor = malloc((size_t)in->channels * sizeof *q->factor);
    if (!q->factor) return rt_fail(RT_RUN, "out of memory");
    float most = 0;
    for (int c = 0; c < in->channels; c++) most = fmaxf(most, fabsf(in->mul[c]));
    for (int c = 0; c < in->channels; c++) q->factor[c] = in->mul[c] / most;
    q->qat.factor = q->factor;
    return RT_OK;
}

rt_status rt_model_qat_freeze(rt_model_qat *q, const rt_model *m)
{
    RT_TRY(rt_program_of(&q->program, m));
    q->tensor = malloc((size_t)m->graph->tensors * sizeof *q->tensor);
    if (!q->tensor) return rt_fail(RT_RUN, "out of memory");
    for (int t = 0; t < m->graph->tensors; t++) q->tensor[t] = rt_program_tensor(q->program, t);
    for (int h = 0; h < m->heads; h++) q->head[h] = m->head[h].tensor;
    q->qat.mode = RT_QAT_FROZEN;
    q->qat.net = rt_program_numbers(q->program);
    q->qat.source = rt_program_sources(q->program, &q->qat.sources);
    q->qat.nodes = m->graph->nodes;
    q->qat.tensor = q->tensor;
    q->qat.head = q->head;
    return RT_OK;
}

void rt_model_qat_free(rt_model_qat *q)
{
    free(q->factor);
    free(q->tensor);
    rt_program_free(q->program);
}
