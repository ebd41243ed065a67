/* engine/plan_frozen.c - the forward pass of a frozen quantization-aware training step: the integer program itself.
 *
 * Each row (of a flat net, each 16 rows) has a context of the program in one value of the plan, in which all tensors
 * stay until the backward pass has read them; a reader has the bytes that it needs brought back to floats on its way.
 * The program's numbers are made anew from the weights before each step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/int/net.h"
#include "engine/memory.h"
#include "engine/ops.h"

struct rt_plan_frozen {
    rt_linked *linked;
    size_t context;                  /* bytes, a multiple of 64 */
    int rows;                        /* that a context holds */
    int blob, answers;               /* values: contexts, and what the program answers */
    int *tensor;                     /* of a tensor of the lowered graph: the net's that has its bytes; -1 */
    int *answer;                     /* of a tensor that is a head: its answer's value; -1 */
    atomic_int fault;                /* 1 + the source whose numbers cannot be */
};

static const rt_net *net_of(const rt_plan *p) { return p->spec.qat->net; }

/* A tensor of the lowered graph has the bytes of that tensor of the net which is the last of the source's tensors in
 * both: in the net a norm and an activation stand at the place of the sums that they begin from. */
static void map_tensors(rt_plan *p, const rt_graph *source)
{
    struct rt_plan_frozen *q = p->frozen;
    for (int t = 0; t < p->graph->tensors; t++) q->tensor[t] = -1;
    for (int t = 0; t < source->quant.tensors; t++) {
        int low = p->low.tensor_of[t], net = p->spec.qat->tensor[t], last = 1;
        for (int k = t + 1; k < source->quant.tensors; k++)
            last &= p->low.tensor_of[k] != low && p->spec.qat->tensor[k] != net;
        if (low >= 0 && net >= 0 && last) q->tensor[low] = net;
    }
}

rt_status rt_frozen_begin(rt_plan *p, const rt_graph *source)
{
    const rt_int_kernels *k = rt_int_kernels_get();
    struct rt_plan_frozen *q;
    if (!p->spec.qat || !p->spec.qat->net) return RT_OK;
    if (!k) return RT_RUN;
    q = p->frozen = calloc(1, sizeof *q);
    if (!q) return rt_fail(RT_RUN, "out of memory for a plan");
    q->blob = q->answers = -1;
    q->tensor = malloc(((size_t)p->graph->tensors + 1) * sizeof *q->tensor);
    q->answer = malloc(((size_t)p->graph->tensors + 1) * sizeof *q->answer);
    if (!q->tensor || !q->answer) return rt_fail(RT_RUN, "out of memory for a plan");
    for (int t = 0; t < p->graph->tensors; t++) q->answer[t] = -1;
    map_tensors(p, source);
    RT_TRY(rt_linked_new(&q->linked, net_of(p), k, 1));
    q->context = (rt_linked_bytes(q->linked) + 63) & ~(size_t)63;
    q->rows = rt_linked_rows(q->linked);
    return RT_OK;
}

void rt_frozen_end(rt_plan *p)
{
    if (!p->frozen) return;
    rt_linked_free(p->frozen->linked);
    free(p->frozen->tensor);
    free(p->frozen->answer);
    free(p->frozen);
}

const char *rt_plan_fault(const rt_plan *p)
{
    int at = p->frozen ? p->frozen->fault - 1 : -1;
    if (at < 0) return NULL;
    const rt_net_source *s = &p->spec.qat->source[at];
    return p->graph->field[s->weight >= 0 ? s->weight : s->gamma].name;
}

/* ---- numbers ---- */

/* The field that has the source's weights at their steps. */
static int ready_field(const rt_plan *p, const rt_net_source *s)
{
    for (int i = 0; i < p->low.recipes; i++)
        if (p->low.recipe[i].kind == RT_QUANT_WEIGHT && p->low.recipe[i].from[RT_FROM_OWN] == s->weight)
            return p->low.recipe[i].field;
    return -1;
}

static void run_numbers(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    struct rt_plan_frozen *q = x->plan->frozen;
    const rt_net_source *s = &x->plan->spec.qat->source[tile];
    (void)c;
    (void)unused;
    int ready = ready_field(x->plan, s);
    if (rt_net_fill(x->plan->spec.qat->net, s, x->plan->field, ready >= 0 ? x->plan->field[ready] : NULL) ||
        rt_linked_refresh(q->linked, s->call))
        q->fault = 1 + tile;
}

/* ---- rows ---- */

/* The context of a row; values of one phase lie by chunks. */
static char *context_of(const rt_ctx *x, int row)
{
    const struct rt_plan_frozen *q = x->plan->frozen;
    int first = x->plan->value[q->blob].local ? x->chunk0 : 0;
    return (char *)rt_at(x, q->blob, first) + (size_t)((row - first) / q->rows) * q->context;
}

static void to_bytes(const rt_qat *qat, uint8_t *u, const float *v, size_t n)
{
    size_t m = (size_t)qat->channels;
    for (size_t i = 0; i < n; i += m)
        for (size_t k = 0; k < m; k++) u[i + k] = (uint8_t)(int)rintf(v[i + k] / qat->mul[k] - qat->add[k]);
}

/* value: 0 the rows, at the steps of their quantizer; 1 contexts; 2 answers. */
static void run_program(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const struct rt_plan_frozen *q = x->plan->frozen;
    const rt_qat *qat = x->plan->spec.qat;
    size_t size = rt_shape_count(rt_shape_of(x->plan, x->plan->graph->input[0]));
    for (int r = row0; r < row0 + rows; r += q->rows) {
        int n = row0 + rows - r < q->rows ? row0 + rows - r : q->rows;
        const void *in = rt_at(x, c->value[0], r);
        if (!net_of(x->plan)->floats) {
            to_bytes(qat, (uint8_t *)x->scratch, in, size * (size_t)n);
            in = x->scratch;
        }
        rt_linked_start(q->linked, context_of(x, r));
        rt_linked_infer(q->linked, context_of(x, r), rt_at(x, c->value[2], r), in, n);
        if (qat->see) qat->see(qat->who, q->linked, context_of(x, r), r, n, rt_at(x, c->value[2], r));
    }
}

/* at[0]: floats into a row's answer; flag: of them. */
static void run_head(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int width = rt_linked_width(x->plan->frozen->linked);
    const float *from = (const float *)rt_at(x, c->value[0], row0) + c->at[0];
    float *to = rt_at(x, c->value[1], row0);
    for (int r = 0; r < rows; r++, from += width, to += c->flag) memcpy(to, from, (size_t)c->flag * sizeof *to);
}

/* A head's answer is not what its layer gives to others, which is bytes. */
static void emit_heads(rt_plan *p)
{
    const rt_qat *qat = p->spec.qat;
    struct rt_plan_frozen *q = p->frozen;
    int at = 0;
    for (int h = 0; h < qat->net->heads; at += qat->net->size[h++]) {
        int t = p->low.tensor_of[qat->head[h]], size = qat->net->size[h];
        if (t < 0) continue;                         /* no loss asks for it */
        q->answer[t] = qat->net->heads == 1 ? q->answers : rt_plan_temp(p, (size_t)size * sizeof(float));
        if (qat->net->heads == 1) return;
        rt_call *c = rt_plan_rows(p, "head", NULL, run_head);
        c->value[0] = q->answers;
        c->value[1] = q->answer[t];
        c->at[0] = at;
        c->flag = size;
    }
}

int rt_frozen_answer(const rt_plan *p, int t) { return p->frozen ? p->frozen->answer[t] : -1; }

void rt_frozen_forward(rt_plan *p)
{
    struct rt_plan_frozen *q = p->frozen;
    const rt_graph *g = p->graph;
    size_t size = rt_shape_count(rt_shape_of(p, g->input[0]));
    size_t batch = (size_t)p->spec.batch, groups = (batch + (size_t)q->rows - 1) / (size_t)q->rows;
    size_t share = (q->context + (size_t)q->rows - 1) / (size_t)q->rows,
           all = (groups * q->context + batch - 1) / batch;
    rt_plan_pack(p, "integers", NULL, p->spec.qat->sources, run_numbers);
    rt_plan_need_scratch(p, (size * (size_t)q->rows + 3) / 4 + 16);
    int in = rt_plan_read(p, g->input[0]);
    q->blob = rt_plan_temp(p, ((share > all ? share : all) + 63) & ~(size_t)63);
    q->answers = rt_plan_temp(p, (size_t)rt_linked_width(q->linked) * sizeof(float));
    rt_call *c = rt_plan_rows(p, "program", NULL, run_program);
    c->value[0] = in;
    c->value[1] = q->blob;
    c->value[2] = q->answers;
    c->grain = q->rows;
    c->work = rt_graph_macs(g) / 4;
    emit_heads(p);
}

/* ---- readers ---- */

/* flag: the net's tensor; as floats, in order. */
static void run_floats(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const struct rt_plan_frozen *q = x->plan->frozen;
    const rt_net_tensor *t = &net_of(x->plan)->tensor[c->flag];
    float *y = rt_at(x, c->value[1], row0);
    for (int r = row0, n; r < row0 + rows; r += n) {
        rt_int_image m = rt_linked_tensor(q->linked, context_of(x, r), c->flag);
        const uint8_t *from = m.p + (q->rows > 1 ? r % q->rows : 0) * m.c;
        n = q->rows - r % q->rows;                   /* rows of a line lie side by side */
        n = row0 + rows - r < n ? row0 + rows - r : n;
        for (int i = 0; i < t->h; i++, from += m.row, y += n * t->w * t->c)
            x->plan->k->from_bytes(y, from, (size_t)(n * t->w * t->c), t->q.scale, t->q.zero);
    }
}

int rt_frozen_read(rt_plan *p, int t)
{
    const struct rt_plan_frozen *q = p->frozen;
    if (!q || q->blob < 0 || q->tensor[t] < 0) return -1;
    int to = rt_plan_write(p, t);
    rt_call *c = rt_plan_rows(p, "floats", &p->node[p->graph->tensor[t].producer], run_floats);
    c->value[0] = q->blob;
    c->value[1] = to;
    c->flag = q->tensor[t];
    c->work = c->weights = 0;
    return to;
}

int rt_frozen_has(const rt_plan *p, const rt_node *n)
{ return p->frozen && n->op != RT_OP_INPUT && (int)n->key < p->spec.qat->nodes; }
