/* student/onnx/onnx_fused.c - operators that ONNX Runtime's optimizer makes of two: FusedConv and FusedGemm are put
 * apart into the product, FusedConv's sum with a fourth input, and the activation, so that all that is known of those
 * holds for them, too. Source: ONNX Runtime, docs/ContribOperators.md; conv_activation_fusion.cc and
 * gemm_activation_fusion.cc, which copy an activation's attributes. */
#include <string.h>

#include "student/onnx/onnx_parts.h"

/* Attributes of the activation, in the order of FusedConv's activation_params. */
static const struct { const char *op; const char *param[2]; int version; } activations[] = {
    {"Relu", {NULL, NULL}, 0}, {"Sigmoid", {NULL, NULL}, 0}, {"Tanh", {NULL, NULL}, 0}, {"Softplus", {NULL, NULL}, 0},
    {"Softsign", {NULL, NULL}, 0}, {"LeakyRelu", {"alpha", NULL}, 0}, {"Elu", {"alpha", NULL}, 0},
    {"ThresholdedRelu", {"alpha", NULL}, 0}, {"HardSigmoid", {"alpha", "beta"}, 0}, {"Selu", {"alpha", "gamma"}, 0},
    {"Clip", {"min", "max"}, 6}};                          /* whose bounds are attributes up to opset 10 */
enum { ACTIVATIONS = (int)(sizeof activations / sizeof *activations) };

static const rt_eval_attr *attribute(const rt_eval_node *n, const char *name)
{
    for (int i = 0; i < n->attrs; i++) if (!strcmp(n->attr[i].name, name)) return &n->attr[i];
    return NULL;
}

/* The value of parameter k: activation_params[k] of FusedConv, activation_NAME of FusedGemm. NULL: not given. */
static const float *parameter(const rt_eval_node *n, const char *name, int k)
{
    static const char *const of[][2] = {{"alpha", "activation_alpha"}, {"beta", "activation_beta"},
                                        {"gamma", "activation_gamma"}};
    const rt_eval_attr *list = attribute(n, "activation_params"), *one = NULL;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (!strcmp(of[i][0], name)) one = attribute(n, of[i][1]);
    if (list) return list->kind == RT_EA_FLOATS && k < list->n ? list->f + k : NULL;
    return one && one->kind == RT_EA_FLOAT ? one->f : NULL;
}

static rt_status product(rt_region *r, const rt_eval_node *n, rt_eval_node *part, int out, int version)
{
    rt_eval_attr *attr = rt_region_list(r, (size_t)n->attrs, sizeof *attr);
    int *to = rt_region_list(r, 1, sizeof *to);
    if (!attr || !to) return RT_INPUT;
    *part = *n;
    part->op = n->op + strlen("Fused");
    part->domain = "";
    part->inputs = n->inputs > 3 ? 3 : n->inputs;
    part->attr = attr;
    part->attrs = 0;
    for (int i = 0; i < n->attrs; i++)
        if (strncmp(n->attr[i].name, "activation", strlen("activation"))) attr[part->attrs++] = n->attr[i];
    part->out = to;
    to[0] = out;
    part->version = version;
    part->def = rt_eval_find("", part->op, version);
    return RT_OK;
}

static rt_status sum(rt_region *r, const rt_eval_node *n, rt_eval_node *part, int in, int out, int version)
{
    int *io = rt_region_list(r, 3, sizeof *io);
    if (!io) return RT_INPUT;
    io[0] = in;
    io[1] = n->in[3];
    io[2] = out;
    *part = (rt_eval_node){.name = n->name, .op = "Add", .domain = "", .in = io, .inputs = 2, .out = io + 2,
                           .outputs = 1, .version = version, .def = rt_eval_find("", "Add", version)};
    return RT_OK;
}

static rt_status activation(rt_region *r, const rt_eval_node *n, rt_eval_node *part, int which, int in, int version)
{
    rt_eval_attr *attr = rt_region_list(r, 2, sizeof *attr);
    int *io = rt_region_list(r, 2, sizeof *io);
    if (!attr || !io) return RT_INPUT;
    io[0] = in;
    io[1] = n->out[0];
    version = activations[which].version ? activations[which].version : version;
    *part = (rt_eval_node){.name = n->name, .op = activations[which].op, .domain = "", .in = io, .inputs = 1,
                           .out = io + 1, .outputs = 1, .attr = attr, .version = version};
    for (int k = 0; k < 2 && activations[which].param[k]; k++) {
        const float *value = parameter(n, activations[which].param[k], k);
        if (value)
            attr[part->attrs++] = (rt_eval_attr){.name = activations[which].param[k], .kind = RT_EA_FLOAT, .n = 1,
                                                 .f = value};
    }
    part->def = rt_eval_find("", part->op, version);
    return RT_OK;
}

int rt_onnx_is_fused(const rt_eval_node *n)
{
    return !strcmp(n->domain, "com.microsoft") && n->outputs == 1 && n->out[0] >= 0 &&
           ((!strcmp(n->op, "FusedConv") && n->inputs <= 4) || (!strcmp(n->op, "FusedGemm") && n->inputs <= 3));
}

rt_status rt_onnx_split_fused(rt_region *r, const rt_eval_node *n, const int middle[2], int version,
                              rt_eval_node part[3], int *parts)
{
    const rt_eval_attr *a = attribute(n, "activation");
    int which = -1, adds = n->inputs > 3 && n->in[3] >= 0;
    *parts = 0;
    if (a && a->kind != RT_EA_STRING) return rt_fail(RT_INPUT, "attribute 'activation' is no name");
    for (int i = 0; a && i < ACTIVATIONS; i++) if (!strcmp(activations[i].op, a->s[0])) which = i;
    if (a && *a->s[0] && which < 0)
        return rt_fail(RT_INPUT, "its activation '%s' is not known here; a file without ONNX Runtime's optimizations "
                       "has it as a node of its own", a->s[0]);
    RT_TRY(product(r, n, &part[(*parts)++], adds || which >= 0 ? middle[0] : n->out[0], version));
    if (adds) RT_TRY(sum(r, n, &part[(*parts)++], middle[0], which >= 0 ? middle[1] : n->out[0], version));
    if (which >= 0) RT_TRY(activation(r, n, &part[(*parts)++], which, middle[adds], version));
    return RT_OK;
}
