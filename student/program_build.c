/* student/program_build.c - from a quantized model to an integer program, by way of the lowered graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pass.h"
#include "student/arch.h"
#include "student/program_parts.h"

typedef struct {
    const rt_model *m;
    int bytes;
    rt_lowered low;
    float **field;                   /* values of the lowered graph's fields */
    int *source;                     /* of its tensors: the model's that has the same values */
    int *net_of;                     /* of its tensors: the net's; -1: none yet */
    rt_program *p;
} build;

/* ---- an input of bytes: x' = (u + add[c]) mul[c] = scale (mul[c] / scale) (u - zero) + (zero + add[c]) mul[c] ---- */


static rt_quant input_of_bytes(const rt_input *in)
{
    double sum = 0;
    rt_quant q = {0, 0};
    for (int c = 0; c < in->channels; c++) {
        sum -= (double)in->add[c];
        q.scale = fabsf(in->mul[c]) > q.scale ? fabsf(in->mul[c]) : q.scale;
    }
    q.zero = (int)fmin(fmax(rint(sum / in->channels), 0), 255);
    return q;
}

static int pads(const rt_node *n)
{
    const int *side = n->op == RT_OP_DENSE ? NULL : RT_ATTR(n, rt_conv_attr)->window.pad.side;
    return side && side[0] + side[1] + side[2] + side[3] > 0;
}

int rt_program_takes_bytes(const rt_model *m, double *apart)
{
    const rt_graph *g = m->graph;
    const rt_input *in = &m->input[0];
    const rt_quant q = input_of_bytes(in);
    double most = 0;
    int padded = 0;
    for (int c = 0; c < in->channels; c++) {
        if (!(in->add[c] <= 0 && in->add[c] >= -255) || !(in->mul[c] > 0)) return 0;
        most = fmax(most, fabs((double)q.zero + (double)in->add[c]) * (double)in->mul[c] / (double)q.scale);
    }
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++) {
            if (g->node[i].in[k] != g->input[0]) continue;
            if (!rt_has_weights(&g->node[i]) || g->field[g->node[i].field[0]].users > 1) return 0;
            padded |= pads(&g->node[i]);
        }
    *apart = padded ? most : 0;
    return 1;
}

float *rt_program_weights(const rt_model *m, int node, int bytes, rt_quant *input)
{
    const rt_node *n = &m->graph->node[node];
    const rt_field *f = &m->graph->field[n->field[0]];
    size_t count = f->count, channels = (size_t)f->shape.dim[f->shape.rank - 1];
    float *w = malloc(count * sizeof *w);
    if (!w) return NULL;
    memcpy(w, rt_model_field(m, n->field[0]), count * sizeof *w);
    if (!bytes || n->in[0] != m->graph->input[0]) return w;
    *input = input_of_bytes(&m->input[0]);
    int h, wide, c, groups = n->op == RT_OP_DENSE ? 1 : RT_ATTR(n, rt_conv_attr)->groups;
    rt_shape_hwc(&m->graph->tensor[n->in[0]].shape, &h, &wide, &c);
    rt_net_times_input(w, count / channels, (int)channels, c / groups, groups, m->input[0].mul, m->input[0].channels,
                       input->scale);
    return w;
}

/* ---- the net ---- */

static rt_net_tensor *add_tensor(build *b, int low, int *number)
{
    rt_net *n = &b->p->net;
    rt_net_tensor *more = realloc(n->tensor, (size_t)(n->tensors + 1) * sizeof *more);
    if (!more) return rt_fail(RT_RUN, "out of memory"), NULL;
    n->tensor = more;
    rt_net_tensor *t = &more[n->tensors];
    *t = (rt_net_tensor){0};
    rt_shape_hwc(&b->low.graph->tensor[low].shape, &t->h, &t->w, &t->c);
    *number = n->tensors++;
    b->net_of[low] = *number;
    return t;
}

static const char *layer_of(const build *b, int low) { return rt_arch_layer(b->m->graph, b->source[low]); }

/* The tensor of the net for an output; like: of whose quantizer, -1: of its own. */
static rt_status give_tensor(build *b, int low, int like)
{
    const rt_graph *g = b->low.graph;
    int number, input = g->node[g->tensor[low].producer].op == RT_OP_INPUT;
    rt_net_tensor *t = add_tensor(b, low, &number);
    if (!t) return RT_RUN;
    const float *range = rt_model_range(b->m, b->source[low]);
    if (like >= 0) t->q = b->p->net.tensor[b->net_of[like]].q;
    else if (input && b->bytes) t->q = input_of_bytes(&b->m->input[0]);
    else if (range) t->q = rt_quant_of(range[0], range[1]);
    if (t->q.scale > 0) return RT_OK;
    return rt_fail(RT_USAGE, "%s '%s' was never calibrated: its values have no range; quantize with data that reaches "
                   "it", input ? "input" : "layer", layer_of(b, low));
}

static rt_net_call *add_call(build *b, rt_net_op op, const rt_node *n)
{
    rt_net *net = &b->p->net;
    rt_net_call *more = realloc(net->call, (size_t)(net->calls + 1) * sizeof *more);
    if (!more) return rt_fail(RT_RUN, "out of memory"), NULL;
    net->call = more;
    int *nodes = realloc(b->p->node_of, (size_t)(net->calls + 1) * sizeof *nodes);
    if (!nodes) return rt_fail(RT_RUN, "out of memory"), NULL;
    b->p->node_of = nodes;
    nodes[net->calls] = (int)n->key;
    rt_net_call *c = &more[net->calls++];
    *c = (rt_net_call){.op = op, .in = {n->inputs ? b->net_of[n->in[0]] : -1, n->inputs > 1 ? b->net_of[n->in[1]] : 0},
                       .out = b->net_of[n->out], .head = -1, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .groups = 1};
    rt_act act = rt_node_act(n);
    if (op == RT_NET_CONV || op == RT_NET_ADD || op == RT_NET_MUL) c->act = act;
    return c;
}

static void set_window(rt_net_call *c, const rt_window *w)
{
    c->kh = w->kernel[0];
    c->kw = w->kernel[1];
    c->sh = w->stride[0];
    c->sw = w->stride[1];
    memcpy(c->pad, w->pad.side, sizeof c->pad);
}

static int add_table(build *b, rt_quant x, rt_quant y, rt_act act, float slope)
{
    rt_net *n = &b->p->net;
    uint8_t (*more)[256] = realloc(n->table, (size_t)(n->tables + 1) * sizeof *more);
    if (!more) return rt_fail(RT_RUN, "out of memory"), -1;
    n->table = more;
    rt_int_table(n->table[n->tables], x, y, act, slope);
    return n->tables++;
}

static rt_status take_room(build *b, rt_net_call *c, size_t weights, int channels)
{
    rt_net *n = &b->p->net;
    int8_t *w = realloc(n->weight, n->weights + weights);
    if (w) n->weight = w;
    float *s = realloc(n->step, (n->channels + (size_t)channels) * sizeof *s);
    if (s) n->step = s;
    int32_t *i = realloc(n->bias, (n->channels + (size_t)channels) * sizeof *i);
    if (i) n->bias = i;
    if (!w || !s || !i) return rt_fail(RT_RUN, "out of memory for %zu weights", n->weights + weights);
    c->weight = n->weights;
    c->channel = n->channels;
    c->n = channels;
    n->weights += weights;
    n->channels += (size_t)channels;
    return RT_OK;
}

/* A call whose numbers come from fields of the model: none named yet. */
static rt_net_source *add_source(build *b, const rt_net_call *c)
{
    rt_program *p = b->p;
    rt_net_source *more = realloc(p->source, ((size_t)p->sources + 1) * sizeof *more);
    if (!more) return rt_fail(RT_RUN, "out of memory"), NULL;
    p->source = more;
    more[p->sources] = (rt_net_source){(int)(c - p->net.call), -1, -1, -1, -1, -1, -1, -1, -1, 0, NULL, NULL, 0};
    return &more[p->sources++];
}

/* The field is derived from a batch norm: which is named, and of its own what that was folded into. */
static void name_norm(const build *b, rt_net_source *s, int field, int *own)
{
    for (int i = 0; i < b->low.recipes; i++) {
        const rt_recipe *r = &b->low.recipe[i];
        if (r->field != field) continue;
        s->gamma = r->from[RT_FROM_GAMMA];
        s->beta = r->from[RT_FROM_BETA];
        s->mean = r->from[RT_FROM_MEAN];
        s->variance = r->from[RT_FROM_VARIANCE];
        s->eps = r->eps;
        *own = r->from[RT_FROM_OWN];
    }
}

/* That no input lets the layer's sums leave 32 bits; linking finds it, too, but knows no names. */
static rt_status check_sums(const build *b, const rt_net_call *c, int taps, const char *name)
{
    const rt_net *n = &b->p->net;
    int32_t *start = malloc((size_t)c->n * sizeof *start);
    if (!start) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_int_start(start, n->bias + c->channel, n->tensor[c->in[0]].q.zero, n->weight + c->weight, taps,
                                c->n);
    free(start);
    return st ? rt_fail_in(st, "layer '%s'", name) : RT_OK;
}

/* Weights, steps and biases of a layer, and what they are of. */
static rt_status set_weights(build *b, rt_net_call *c, const rt_node *n, int node)
{
    const rt_field *f = &b->low.graph->field[n->field[0]];
    const int channels = f->shape.dim[f->shape.rank - 1], *step = b->m->graph->quant.step;
    const char *name = layer_of(b, n->out);
    const rt_input *in = &b->m->input[0];
    if (step[node] < 0) return rt_fail(RT_USAGE, "layer '%s' was never calibrated: its weights have no steps", name);
    RT_TRY(take_room(b, c, f->count, channels));
    rt_net_source *s = add_source(b, c);
    if (!s) return RT_RUN;
    s->weight = n->field[0];
    s->bias = n->fields > 1 ? n->field[1] : -1;
    name_norm(b, s, n->field[0], &s->weight);
    if (s->gamma >= 0) name_norm(b, s, n->field[1], &s->bias);
    s->step = step[node];
    s->shift = b->m->graph->quant.shift[node];
    if (b->bytes && b->m->graph->node[node].in[0] == b->m->graph->input[0]) {
        s->mul = in->mul;
        s->add = in->add;
        s->channels = in->channels;
    }
    rt_status st = rt_net_fill(&b->p->net, s, b->field, NULL);
    if (st) return rt_fail_in(st, "layer '%s'", name);
    return check_sums(b, c, (int)(f->count / (size_t)channels), name);
}

/* A layer with weights; its head gets logits, where its tensor is one and ends with the sum. */
static rt_status put_layer(build *b, const rt_node *n, int head)
{
    rt_net_call *c = add_call(b, RT_NET_CONV, n);
    if (!c) return RT_RUN;
    int node = (int)n->key;
    c->bits = b->m->graph->quant.bits[node];
    if (n->op != RT_OP_DENSE) {
        const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
        set_window(c, &a->window);
        c->groups = a->groups;
    }
    if (head >= 0) {
        c->out = -1;
        c->head = head;
    }
    return set_weights(b, c, n, node);
}

/* A scale and a shift a channel: a depthwise convolution of one tap, whose weights are 127 or -127. */
static rt_status put_affine(build *b, const rt_node *n)
{
    rt_net_call *c = add_call(b, RT_NET_CONV, n);
    int channels = (int)b->low.graph->field[n->field[0]].count, none;
    if (!c) return RT_RUN;
    c->bits = 8;
    c->groups = channels;
    RT_TRY(take_room(b, c, (size_t)channels, channels));
    rt_net_source *s = add_source(b, c);
    if (!s) return RT_RUN;
    name_norm(b, s, n->field[0], &none);
    rt_status st = rt_net_fill(&b->p->net, s, b->field, NULL);
    return st ? rt_fail_in(st, "layer '%s'", layer_of(b, n->out)) : RT_OK;
}

static rt_status put_map(build *b, const rt_node *n, int from, int at, rt_act act, float slope)
{
    rt_net_call *c = add_call(b, RT_NET_MAP, n);
    if (!c) return RT_RUN;
    rt_net *net = &b->p->net;
    c->in[0] = b->net_of[from];
    c->at = at;
    c->table = add_table(b, net->tensor[c->in[0]].q, net->tensor[c->out].q, act, slope);
    return c->table < 0 ? RT_RUN : RT_OK;
}

static rt_status put_concat(build *b, const rt_node *n)
{
    for (int i = 0, at = 0, h, w, c; i < n->inputs; i++, at += c) {
        rt_shape_hwc(&b->low.graph->tensor[n->in[i]].shape, &h, &w, &c);
        RT_TRY(put_map(b, n, n->in[i], at, RT_ACT_NONE, 0));
    }
    return RT_OK;
}

static rt_status put_pool(build *b, const rt_node *n)
{
    rt_net_call *c = add_call(b, n->op == RT_OP_MAX_POOL ? RT_NET_MAX_POOL : RT_NET_AVG_POOL, n);
    if (!c) return RT_RUN;
    const rt_net_tensor *in = &b->p->net.tensor[c->in[0]];
    if (n->op == RT_OP_GLOBAL_AVG_POOL) {
        c->kh = in->h;
        c->kw = in->w;
    } else set_window(c, &RT_ATTR(n, rt_pool_attr)->window);
    return RT_OK;
}

static int is_dilated(const rt_window *w) { return w->dilation[0] > 1 || w->dilation[1] > 1; }

static int has_form(const rt_graph *g, const rt_node *n)
{
    const rt_pool_attr *pool = RT_ATTR(n, rt_pool_attr);
    switch (n->op) {
    case RT_OP_CONV2D: case RT_OP_CONV1D: return !is_dilated(&RT_ATTR(n, rt_conv_attr)->window);
    case RT_OP_MAX_POOL: case RT_OP_AVG_POOL:
        return !is_dilated(&pool->window) && !pool->ceil && !pool->count_padding;
    case RT_OP_ADD: case RT_OP_MUL: return rt_is_plain_pair(g, n);
    case RT_OP_INPUT: case RT_OP_DENSE: case RT_OP_AFFINE: case RT_OP_ACTIVATION:
    case RT_OP_GLOBAL_AVG_POOL:
    case RT_OP_FLATTEN: case RT_OP_RESHAPE: return 1;
    case RT_OP_CONCAT: {
        int axis = RT_ATTR(n, rt_axis_attr)->axis;
        return axis == -1 || axis == g->tensor[n->out].shape.rank - 1;
    }
    default: return 0;
    }
}

static rt_status no_form(const build *b, const rt_node *n)
{
    return rt_fail(RT_USAGE, "layer '%s' (%s) has no integer form%s; leave it out, or keep the model in float",
                   layer_of(b, n->out), rt_layer_name(n),
                   n->op == RT_OP_CONV2D || n->op == RT_OP_CONV1D       ? " with dilation"
                   : n->op == RT_OP_MAX_POOL || n->op == RT_OP_AVG_POOL ? " with dilation, ceil or count_padding"
                                                                        : "");
}

/* The calls of a node, whose output tensor is there. */
static rt_status put_node(build *b, const rt_node *n)
{
    switch (n->op) {
    case RT_OP_DENSE: case RT_OP_CONV2D: case RT_OP_CONV1D: return put_layer(b, n, -1);
    case RT_OP_AFFINE: return put_affine(b, n);
    case RT_OP_ACTIVATION:
        return put_map(b, n, n->in[0], 0, rt_node_act(n), RT_ATTR(n, rt_activation_attr)->end.slope);
    case RT_OP_MAX_POOL: case RT_OP_AVG_POOL: case RT_OP_GLOBAL_AVG_POOL: return put_pool(b, n);
    case RT_OP_ADD: return add_call(b, RT_NET_ADD, n) ? RT_OK : RT_RUN;
    case RT_OP_MUL: return add_call(b, RT_NET_MUL, n) ? RT_OK : RT_RUN;
    case RT_OP_CONCAT: return put_concat(b, n);
    case RT_OP_FLATTEN: case RT_OP_RESHAPE: return add_call(b, RT_NET_RESHAPE, n) ? RT_OK : RT_RUN;
    default: break;
    }
    return no_form(b, n);
}

static int keeps_scale(const rt_node *n)
{ return n->op == RT_OP_MAX_POOL || n->op == RT_OP_FLATTEN || n->op == RT_OP_RESHAPE; }

/* Which head a tensor of the lowered graph is from `after` on; -1: none. */
static int head_of(const build *b, int low, int after)
{
    for (int h = after; h < b->m->heads; h++) if (b->low.tensor_of[b->m->head[h].tensor] == low) return h;
    return -1;
}

/* Whether the node's sums are a head's logits and nothing else. */
static int is_head_alone(const build *b, const rt_node *n)
{
    return head_of(b, n->out, 0) >= 0 && rt_has_weights(n) && rt_node_act(n) == RT_ACT_NONE &&
           !b->low.graph->tensor[n->out].consumers;
}

static rt_status put_all(build *b)
{
    const rt_graph *g = b->low.graph;
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        int sums = rt_has_weights(n) && rt_node_act(n) == RT_ACT_NONE;
        if (!is_head_alone(b, n)) RT_TRY(give_tensor(b, n->out, keeps_scale(n) ? n->in[0] : -1));
        if (n->op == RT_OP_INPUT) continue;
        if (!is_head_alone(b, n)) RT_TRY(put_node(b, n));
        for (int h = head_of(b, n->out, 0); h >= 0; h = head_of(b, n->out, h + 1)) {
            if (sums) {
                RT_TRY(put_layer(b, n, h));
                continue;
            }
            rt_net_call *c = add_call(b, RT_NET_FLOATS, n);
            if (!c) return RT_RUN;
            c->in[0] = b->net_of[n->out];
            c->out = -1;
            c->head = h;
        }
    }
    return RT_OK;
}

static rt_status mark_needs(const build *b, char *range)
{
    const rt_graph *g = b->low.graph;
    memset(range, 0, (size_t)b->m->graph->tensors);
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        if (!has_form(g, n)) return no_form(b, n);
        if (!is_head_alone(b, n) && !keeps_scale(n) && !(n->op == RT_OP_INPUT && b->bytes))
            range[b->source[n->out]] = 1;
    }
    return RT_OK;
}

/* Heads, and what a table computes from, stay as they are: other activations than ReLU are calls of their own. */
static rt_status lower(build *b)
{
    const rt_graph *g = b->m->graph;
    int *keep = malloc((size_t)(g->nodes + RT_MAX_HEADS) * sizeof *keep), keeps = b->m->heads;
    if (!keep) return rt_fail(RT_RUN, "out of memory");
    rt_model_outputs(b->m, keep);
    for (int i = 0; i < g->nodes; i++) {
        rt_act act = g->node[i].op == RT_OP_ACTIVATION ? rt_node_act(&g->node[i]) : RT_ACT_NONE;
        if (act > RT_ACT_RELU6) keep[keeps++] = g->node[i].in[0];
    }
    rt_lower_spec spec = {.mode = RT_INFER, .keep = keep, .keeps = keeps};
    rt_status st = rt_graph_lower(g, &spec, &b->low, NULL, NULL);
    free(keep);
    return st;
}

static rt_status find_values(build *b)
{
    const rt_graph *low = b->low.graph, *g = b->m->graph;
    b->field = calloc((size_t)low->fields + 1, sizeof *b->field);
    b->source = malloc(((size_t)low->tensors + 1) * sizeof *b->source);
    b->net_of = malloc(((size_t)low->tensors + 1) * sizeof *b->net_of);
    if (!b->field || !b->source || !b->net_of) return rt_fail(RT_RUN, "out of memory");
    for (int t = 0; t < low->tensors; t++) b->source[t] = b->net_of[t] = -1;
    for (int t = 0; t < g->tensors; t++) if (b->low.tensor_of[t] >= 0) b->source[b->low.tensor_of[t]] = t;
    for (int i = 0; i < low->fields; i++) {
        b->field[i] = i < g->fields ? rt_model_field(b->m, i) : rt_floats_new(low->field[i].count);
        if (!b->field[i]) return RT_RUN;
    }
    for (int i = 0; i < b->low.recipes; i++) rt_recipe_run(low, &b->low.recipe[i], b->field);
    return RT_OK;
}

/* A model that was brought back from the export of a program, and is as it came, stands for the one that the program
 * was made of. */
static const cJSON *stands_for(const rt_model *m, const char *digest)
{
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(m->provenance, "onnx"),
                                                         "stands_for");
    const char *as = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "as"));
    return as && !strcmp(as, digest) ? from : NULL;
}

static cJSON *about(const rt_model *m)
{
    const rt_digest own = rt_model_digest(m);
    const cJSON *from = stands_for(m, own.hex);
    const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "model"));
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "normalization", rt_input_normalization(&m->input[0]));
    cJSON_AddItemToObject(j, "heads", rt_heads_to_json(m->head, m->heads));
    if (m->input[0].columns.name) cJSON_AddItemToObject(j, "columns", rt_names_to_json(&m->input[0].columns));
    cJSON_AddStringToObject(j, "model", model ? model : own.hex);
    const cJSON *made = from ? cJSON_GetObjectItemCaseSensitive(from, "provenance") : m->provenance;
    cJSON_AddItemToObject(j, "provenance", cJSON_Duplicate(made, 1));
    return j;
}

static rt_status fill(build *b)
{
    rt_program *p = b->p;
    const rt_graph *g = b->m->graph;
    p->net.floats = !b->bytes;
    p->net.heads = b->m->heads;
    for (int h = 0; h < b->m->heads; h++) p->net.size[h] = b->m->head[h].size;
    RT_TRY(rt_heads_copy(p->head, b->m->head, b->m->heads));
    p->heads = b->m->heads;
    if (!(p->about = about(b->m))) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(put_all(b));
    p->tensors = g->tensors;
    p->tensor_of = malloc((size_t)g->tensors * sizeof *p->tensor_of);
    if (!p->tensor_of) return rt_fail(RT_RUN, "out of memory");
    for (int t = 0; t < g->tensors; t++)
        p->tensor_of[t] = b->low.tensor_of[t] < 0 ? -1 : b->net_of[b->low.tensor_of[t]];
    return rt_program_finish(p);
}

/* The lowered graph, and the values that it computes with. */
static rt_status begin(build *b, const rt_model *m, int bytes)
{
    double apart;
    *b = (build){.m = m, .bytes = bytes};
    RT_TRY(rt_model_one_input(m->graph, "the model"));
    if (bytes && !rt_program_takes_bytes(m, &apart))
        return rt_fail(RT_USAGE, "the input cannot be bytes: a mean is outside of [0, 255], or a layer without weights "
                       "of its own reads it; let it be floats");
    RT_TRY(lower(b));
    return find_values(b);
}

static void end(build *b)
{
    for (int i = b->m->graph->fields; b->field && i < b->low.graph->fields; i++) free(b->field[i]);
    free(b->field);
    free(b->source);
    free(b->net_of);
    rt_lowered_free(&b->low);
}

rt_status rt_program_needs(const rt_model *m, int bytes, char *range)
{
    build b;
    rt_status st = begin(&b, m, bytes);
    if (!st) st = mark_needs(&b, range);
    end(&b);
    return st;
}

rt_status rt_program_of(rt_program **out, const rt_model *m)
{
    build b;
    *out = NULL;
    if (!rt_model_quantized(m)) return rt_fail(RT_USAGE, "the model is not quantized; 'retort quantize' makes it so");
    rt_status st = begin(&b, m, m->graph->quant.bytes);
    if (!st && !(b.p = calloc(1, sizeof *b.p))) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = fill(&b);
    end(&b);
    if (st) rt_program_free(b.p);
    else *out = b.p;
    return st;
}
