/* engine/ops_embedding.c - rows of a table by number: y[t] = w[ids[t]].
 *
 * The gradient of the table is summed by tiles of its rows: a tile zeroes its own, then goes through the batch's ids in
 * their order and adds what concerns it. So bits do not depend on threads, no two write one row, and the table is
 * written once; what each tile reads beside is the ids alone. */
#include <math.h>
#include <string.h>

#include "engine/ops.h"

enum { TILES = 16, TILE_ROWS = 64 };

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_embedding_attr *a = RT_ATTR(n, rt_embedding_attr);
    const rt_tensor *in = &g->tensor[n->in[0]];
    if (in->type != RT_I32)
        return rt_fail(RT_USAGE, "takes ids: an input whose \"type\" is \"i32\"");
    if (in->shape.rank == RT_MAX_RANK) return rt_fail(RT_USAGE, "its input has %d dimensions already", RT_MAX_RANK);
    *out = in->shape;
    out->dim[out->rank++] = a->out;
    /* Normal, deviation 1 / sqrt(out): rows have a length of about 1. */
    return rt_graph_param(g, n, "weight", (rt_shape){2, {a->rows, a->out}}, RT_INIT_HE, 2 * (int64_t)a->out, a->out, 1);
}

/* An id that the table does not have is for whoever reads the data to refuse; here it becomes NaN, never a row. */
static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_embedding_attr *a = RT_ATTR(c->node, rt_embedding_attr);
    size_t n = rt_floats_of(x, c->node->in[0], rows), d = (size_t)a->out;
    const int32_t *id = rt_at(x, c->value[0], row0);
    const float *w = rt_param(x, c->node, 0);
    float *y = rt_at(x, c->value[1], row0);
    for (size_t i = 0; i < n; i++, y += d) {
        if (id[i] >= 0 && id[i] < a->rows) memcpy(y, w + (size_t)id[i] * d, d * sizeof *y);
        else for (size_t k = 0; k < d; k++) y[k] = NAN;
    }
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "embedding", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->weights = 0;                                   /* a row reads what it names, not the table */
    c->work = (double)rt_shape_count(rt_shape_of(p, n->out));
}

static int tiles_of(const rt_embedding_attr *a)
{
    int tiles = (a->rows + TILE_ROWS - 1) / TILE_ROWS;
    return tiles < TILES ? tiles : TILES;
}

static void run_dw(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    const rt_embedding_attr *a = RT_ATTR(c->node, rt_embedding_attr);
    int tiles = tiles_of(a), first = (int)((int64_t)a->rows * tile / tiles),
        end = (int)((int64_t)a->rows * (tile + 1) / tiles);
    size_t n = rt_shape_count(rt_shape_of(x->plan, c->node->in[0])) * (size_t)x->run->rows, d = (size_t)a->out;
    const int32_t *id = rt_at(x, c->value[0], 0);
    const float *dy = rt_at(x, c->value[1], 0);
    float *dw = rt_grad(x, c->node, 0);
    memset(dw + (size_t)first * d, 0, (size_t)(end - first) * d * sizeof *dw);
    for (size_t i = 0; i < n; i++)
        if (id[i] >= first && id[i] < end) x->plan->k->accumulate(dw + (size_t)id[i] * d, dy + i * d, d);
}

static void backward(rt_plan *p, const rt_node *n)
{
    if (!rt_plan_trains(p, n, 0)) return;
    int dy = rt_plan_grad_read(p, n->out), in = rt_plan_read(p, n->in[0]);
    rt_call *c = rt_plan_late_tiles(p, "embedding dW", n, tiles_of(RT_ATTR(n, rt_embedding_attr)), run_dw);
    c->value[0] = in;
    c->value[1] = dy;
}

static const rt_attr_spec spec[] = {
    {"rows", RT_A_INT, offsetof(rt_embedding_attr, rows), 1, 1 << 26, 0, 1, "of the table: ids are 0 to rows - 1"},
    {"out", RT_A_INT, offsetof(rt_embedding_attr, out), 1, 65536, 0, 1, "features of each"}};
static const rt_schema schema = {spec, 2, sizeof(rt_embedding_attr)};

const rt_op rt_op_embedding = {.name = "embedding",
                               .help = "rows of a table by number, of an input of ids",
                               .min_inputs = 1,
                               .max_inputs = 1,
                               .ids = 1,
                               .schema = &schema,
                               .positions = 1,
                               .infer = infer,
                               .forward = forward,
                               .backward = backward};
