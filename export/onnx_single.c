/* export/onnx_single.c - nodes of an imported graph that are computed row by row (engine/call.h), as they were. What
 * they do with several rows at once is not known, so they stand in a graph that takes a row at a time. */
#include "engine/call.h"
#include "export/onnx_float_parts.h"

static int type_of(rt_dtype t)
{
    switch (t) {
    case RT_U8: return RT_ONNX_U8;
    case RT_I8: return RT_ONNX_I8;
    case RT_U16: return RT_ONNX_U16;
    case RT_I16: return RT_ONNX_I16;
    case RT_U32: return RT_ONNX_U32;
    case RT_I32: return RT_ONNX_I32;
    case RT_U64: return RT_ONNX_U64;
    case RT_I64: return RT_ONNX_I64;
    case RT_F16: return RT_ONNX_F16;
    case RT_BF16: return RT_ONNX_BF16;
    case RT_F32: return RT_ONNX_F32;
    case RT_F64: return RT_ONNX_F64;
    case RT_BOOL: return RT_ONNX_BOOL;
    default: return -1;
    }
}

static void refuse(rt_fo_graph *e, const rt_node *n, const char *why)
{
    if (!e->status) e->status = rt_fail(RT_USAGE, "layer '%s': is a node of an ONNX graph that %s", n->name, why);
}

static const char *cast(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, rt_onnx_type to)
{
    const char *out = rt_fo_own(e, n, what);
    rt_onnx_int(rt_fo_node_of(e, "Cast", out, x, NULL, NULL), "to", to);
    return out;
}

/* Input k of the node: a row of a tensor, a constant, or nothing. */
static const char *input_of(rt_fo_graph *e, const rt_node *n, const rt_onnx_call *c, int k)
{
    const int v = c->graph.node[0].in[k];
    const char *what = rt_onnx_name(e->o, "in%d", k), *x;
    const rt_array *known = v >= 0 ? c->graph.known[v] : NULL;
    if (v < 0) return "";
    if (known) {
        const int type = type_of(known->type);
        if (type > 0) return rt_onnx_const(e->o, rt_fo_own(e, n, what), (rt_onnx_type)type, known->rank, known->dim,
                                           known->data);
        refuse(e, n, "has a constant of texts");
        return "";
    }
    for (int i = 0; i < c->graph.inputs; i++) {
        const int type = type_of(c->in[i].type), ids = e->g->tensor[n->in[i]].type == RT_I32,
                  is = !ids ? RT_ONNX_F32 : e->spec->ids32 ? RT_ONNX_I32 : RT_ONNX_I64;
        if (c->graph.input[i] != v) continue;
        const char *shape = rt_onnx_name(e->o, "%s/shape", what);
        x = rt_fo_chain(e, n, "Reshape", what, rt_fo_take(e, n->in[i], RT_FO_LAST),
                        rt_fo_whole(e, n, shape, c->in[i].rank, c->in[i].dim));
        return type == is ? x : cast(e, n, rt_onnx_name(e->o, "%s_cast", what), x, (rt_onnx_type)type);
    }
    refuse(e, n, "reads what nobody gives");
    return "";
}

static void put_attribute(rt_fo_graph *e, const rt_node *n, rt_onnx_node *p, const rt_eval_attr *a)
{
    switch (a->kind) {
    case RT_EA_FLOAT: rt_onnx_float(p, a->name, a->f[0]); return;
    case RT_EA_INT: rt_onnx_int(p, a->name, a->i[0]); return;
    case RT_EA_STRING: rt_onnx_string(p, a->name, a->s[0]); return;
    case RT_EA_FLOATS: rt_onnx_floats(p, a->name, a->n, a->f); return;
    case RT_EA_INTS: rt_onnx_ints(p, a->name, a->n, a->i); return;
    case RT_EA_STRINGS: rt_onnx_strings(p, a->name, a->n, a->s); return;
    case RT_EA_TENSOR:
        if (type_of(a->t->type) > 0) {
            rt_onnx_tensor_of(p, a->name, (rt_onnx_type)type_of(a->t->type), a->t->rank, a->t->dim, a->t->data);
            return;
        }
        break;
    case RT_EA_GRAPH: break;
    }
    refuse(e, n, "has a graph or texts as an attribute");
}

/* Whether the operator is the same in the file's opset. */
static int is_same(const rt_fo_graph *e, const rt_eval_node *f)
{ return *f->domain || rt_eval_find("", f->op, e->spec->opset) == f->def; }

void rt_fo_put_call(rt_fo_graph *e, const rt_node *n)
{
    const rt_onnx_call *c = RT_ATTR(n, rt_call_attr)->call;
    const rt_eval_node *f = &c->graph.node[0];
    const char *out = rt_fo_unique(e, n->name), **in = rt_onnx_list(e->o, f->inputs), *y = NULL;
    int64_t dim[RT_MAX_RANK + 1];
    const int rank = rt_fo_dims(e, n->out, RT_FO_LAST, dim);
    rt_onnx_node *p = NULL;
    rt_fo_set(e, n->out, RT_FO_LAST, out);
    if (!e->spec->single)
        refuse(e, n, "is computed row by row: give batch=1 for a graph of one row at a time, or use the graph that it "
                     "was imported from");
    else if (!is_same(e, f))
        refuse(e, n, rt_onnx_name(e->o, "is of opset %d, and has another definition in %d: give opset=%d", f->version,
                                  e->spec->opset, f->version));
    for (int k = 0; k < f->inputs && in && !e->status; k++) in[k] = input_of(e, n, c, k);
    if (!in || e->status) return;
    for (int k = 0; k < f->outputs; k++) {
        const char *name = f->out[k] >= 0 ? rt_fo_own(e, n, rt_onnx_name(e->o, "out%d", k)) : "";
        if (k) rt_onnx_more(p, name);
        else p = rt_onnx_add(e->o, f->op, name, in);
        if (f->out[k] == c->output) y = name;
    }
    for (int i = 0; i < f->attrs; i++) put_attribute(e, n, p, &f->attr[i]);
    if (*f->domain) rt_onnx_domain(p, f->domain, f->version);
    if (c->type != RT_F32) y = cast(e, n, "numbers", y, RT_ONNX_F32);
    dim[0] = 1;
    rt_fo_node_of(e, "Reshape", out, y, rt_fo_whole(e, n, "shape", rank, dim), NULL);
}
