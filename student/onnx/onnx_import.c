#include "student/onnx/onnx_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"
#include "student/onnx/onnx_quantized.h"

enum { IDS = 64 /* ids that are tried: fewer than any table has */ };

typedef struct {
    const rt_onnx_file *file;
    const rt_eval_graph *g;
    rt_onnx_bound *bound;              /* (inputs) */
    rt_lower_input *in;
    rt_layout *layout;
    cJSON **normalize;                 /* (inputs) the object that has "mean", or NULL */
    int output[RT_MAX_HEADS], outputs; /* of the graph's: those that answer */
    const char *head[RT_MAX_HEADS];
    rt_task task[RT_MAX_HEADS];
    rt_gives gives;
    cJSON *classes, *notes;
    int program;                       /* it is an integer program that retort wrote */
    cJSON *own_heads, *own_inputs;     /* what a file that retort wrote tells of itself, or NULL */
} importer;

/* Lists that export/onnx_float.c and onnx_qdq.c write; a file of another origin, or whose lists are damaged, has none.
 */
static void read_own(importer *m)
{
    const char *heads = rt_onnx_meta_of(m->file, "heads"), *inputs = rt_onnx_meta_of(m->file, "inputs");
    m->program = rt_onnx_is_own_program(m->file);
    if (m->program) inputs = "[]";
    if (!(m->program || rt_onnx_meta_of(m->file, "retort")) || !heads || !inputs) return;
    if (rt_json_parse(&m->own_heads, heads, strlen(heads), "heads")) m->own_heads = NULL;
    if (rt_json_parse(&m->own_inputs, inputs, strlen(inputs), "inputs")) m->own_inputs = NULL;
    if (cJSON_IsArray(m->own_heads) && cJSON_IsArray(m->own_inputs)) return;
    cJSON_Delete(m->own_heads);
    cJSON_Delete(m->own_inputs);
    m->own_heads = m->own_inputs = NULL;
}

static const cJSON *named_in(const cJSON *list, const char *name)
{
    for (const cJSON *j = list ? list->child : NULL; j; j = j->next) {
        const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "name"));
        if (own && !strcmp(own, name)) return j;
    }
    return NULL;
}

static void note(const importer *m, const char *fmt, const char *a, const char *b)
{
    char text[400];
    if (!m->notes) return;
    snprintf(text, sizeof text, fmt, a, b);
    cJSON_AddItemToArray(m->notes, cJSON_CreateString(text));
}

/* ---- inputs ---- */

static int is_id_type(rt_dtype t) { return t == RT_I64 || t == RT_I32; }

static int input_named(const importer *m, const char *name, size_t length)
{
    for (int i = 0; i < m->g->inputs; i++)
        if (strlen(m->file->input[i].name) == length && !strncmp(m->file->input[i].name, name, length)) return i;
    return -1;
}

/* "NAME != 0" */
static rt_status read_mask(const importer *m, int i, const char *text)
{
    size_t n = strcspn(text, " !");
    const char *rest = text + n;
    while (*rest == ' ') rest++;
    int of = input_named(m, text, n), not_zero = rest[0] == '!' && rest[1] == '=';
    for (rest += not_zero ? 2 : 0; *rest == ' ';) rest++;
    if (!not_zero || strcmp(rest, "0"))
        return rt_fail(RT_USAGE,
                       "inputs.%s: '%.60s' is not understood; \"ids != 0\" marks the ids of the input named ids, a "
                       "number stands for every element",
                       m->file->input[i].name, text);
    if (of < 0 || of == i)
        return rt_fail(RT_USAGE, "inputs.%s: the model has no other input named '%.*s'", m->file->input[i].name, (int)n,
                       text);
    m->bound[i].role = RT_ONNX_PRESENT;
    m->bound[i].of = of;
    return RT_OK;
}

static rt_status read_input(const importer *m, int i, cJSON *j)
{
    static const char *const layouts[] = {"auto", "hwc", "chw", NULL};
    char at[160];
    int dim[RT_MAX_RANK];
    rt_onnx_bound *b = &m->bound[i];
    if (cJSON_IsNumber(j)) {
        b->role = RT_ONNX_CONST;
        b->value = j->valuedouble;
        return RT_OK;
    }
    if (cJSON_IsString(j)) return read_mask(m, i, j->valuestring);
    snprintf(at, sizeof at, "inputs.%.100s", m->file->input[i].name);
    rt_cfg c = rt_cfg_begin(j, at);
    const char *set = rt_cfg_has(&c, "set") ? rt_cfg_string(&c, "set", NULL) : NULL;
    int rank = rt_cfg_has(&c, "shape") ? rt_cfg_ints(&c, "shape", dim, RT_MAX_RANK, 1, 1 << 24) : 0;
    m->layout[i] = rt_cfg_has(&c, "layout") ? (rt_layout)rt_cfg_choice(&c, "layout", layouts, 0) : RT_LAYOUT_AUTO;
    if (rt_cfg_has(&c, "mean") || rt_cfg_has(&c, "std")) m->normalize[i] = j;
    rt_cfg_any(&c, "mean");
    rt_cfg_any(&c, "std");
    RT_TRY(rt_cfg_end(&c));
    if (set) m->in[i].name = set;
    if (rank) {
        b->rank = rank + 1;
        b->dim[0] = 1;
        for (int k = 0; k < rank; k++) b->dim[k + 1] = dim[k];
    }
    return RT_OK;
}

/* What nobody has told of an input whose name tells it. */
static void guess_role(const importer *m, int i)
{
    const rt_onnx_value *v = &m->file->input[i];
    int of = -1;
    for (int k = 0; k < m->g->inputs && of < 0; k++)
        if (k != i && is_id_type(m->file->input[k].type) && strstr(m->file->input[k].name, "ids") &&
            !strstr(m->file->input[k].name, "type")) of = k;
    if (!is_id_type(v->type) || of < 0) return;
    if (strstr(v->name, "mask")) {
        m->bound[i].role = RT_ONNX_PRESENT;
        m->bound[i].of = of;
        note(m, "input '%s' marks the ids of '%s' that are not 0", v->name, m->file->input[of].name);
    } else if (strstr(v->name, "token_type") || strstr(v->name, "segment")) {
        m->bound[i].role = RT_ONNX_CONST;
        note(m, "input '%s' is 0 everywhere%s", v->name, "");
    }
}

/* "D" for each dimension of a row, as a command line would have them. */
static const char *example(const rt_onnx_value *v)
{
    static const char *const rows[] = {"16", "16", "16", "64,32", "3,224,224", "3,16,224,224"};
    return v->rank >= 0 && v->rank < 6 ? rows[v->rank] : "3,224,224";
}

static rt_status set_shape(const importer *m, int i)
{
    const rt_onnx_value *v = &m->file->input[i];
    rt_onnx_bound *b = &m->bound[i];
    if (v->strange) return rt_fail(RT_INPUT, "input '%s' is a %s, which is not supported", v->name, v->strange);
    if (b->rank) {                                         /* told */
        if (v->rank >= 0 && v->rank != b->rank)
            return rt_fail(RT_USAGE, "inputs.%s.shape: has %d dimensions, the model's input %d besides the batch",
                           v->name, b->rank - 1, v->rank - 1);
        for (int k = 1; k < b->rank; k++)
            if (v->rank > 0 && v->dim[k] >= 0 && v->dim[k] != b->dim[k])
                return rt_fail(RT_USAGE, "inputs.%s.shape: dimension %d is %lld, the model's is %lld", v->name, k,
                               (long long)b->dim[k], (long long)v->dim[k]);
        return RT_OK;
    }
    const rt_onnx_bound *like = b->role == RT_ONNX_PRESENT ? &m->bound[b->of] : NULL;
    for (int k = 0; k < m->g->inputs && b->role == RT_ONNX_CONST && !like; k++)     /* as long as the ids beside it */
        if (m->bound[k].role == RT_ONNX_DATA && m->bound[k].ids) like = &m->bound[k];
    if (like && like->rank && (v->rank < 0 || v->rank == like->rank)) {
        b->rank = like->rank;
        memcpy(b->dim, like->dim, sizeof b->dim);
        return RT_OK;
    }
    if (v->rank < 1)
        return rt_fail(RT_USAGE, "input '%s': the model does not tell its shape; give that of a row: --shape %s=%s",
                       v->name, v->name, example(v));
    b->rank = v->rank;
    b->dim[0] = 1;
    for (int k = 1; k < v->rank; k++) {
        if (v->dim[k] < 0)
            return rt_fail(RT_USAGE,
                           "input '%s': the model leaves dimension %d%s%s%s open; give the shape of a row: --shape "
                           "%s=%s",
                           v->name, k, v->param[k] ? " ('" : "", v->param[k] ? v->param[k] : "",
                           v->param[k] ? "')" : "", v->name, example(v));
        b->dim[k] = v->dim[k];
    }
    if (v->dim[0] > 1) note(m, "input '%s' is of several rows in the file: each is taken by itself%s", v->name, "");
    return RT_OK;
}

/* As layers see a row: images channels last. */
static rt_status set_layout(const importer *m, int i)
{
    const rt_onnx_bound *b = &m->bound[i];
    rt_lower_input *in = &m->in[i];
    int64_t size = 1;
    const char *own = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(named_in(m->own_inputs, m->file->input[i].name), "layout"));
    if (own && b->rank >= 3 && m->layout[i] == RT_LAYOUT_AUTO)
        m->layout[i] = strcmp(own, "nchw") ? RT_LAYOUT_CHW : RT_LAYOUT_HWC;
    if (m->program && b->rank >= 3 && m->layout[i] == RT_LAYOUT_AUTO) m->layout[i] = RT_LAYOUT_HWC;
    for (int k = 0; k < b->rank; k++) {
        in->order[k] = k;
        if (__builtin_mul_overflow(size, b->dim[k], &size) || size > 1 << 24)
            return rt_fail(RT_INPUT, "input '%s': a row has more than %d numbers", m->file->input[i].name, 1 << 24);
    }
    int chw = b->rank == 4 && m->layout[i] != RT_LAYOUT_CHW && (b->dim[1] <= 4 || b->dim[3] > 4) && b->dim[1] > 1;
    if (m->layout[i] == RT_LAYOUT_HWC || (chw && m->layout[i] == RT_LAYOUT_AUTO)) {
        if (b->rank != 4 && b->rank != 3)
            return rt_fail(RT_USAGE, "inputs.%s.layout: is of images, (C, H, W) in the model, or of lines, (C, T)",
                           m->file->input[i].name);
        for (int k = 1; k < b->rank; k++) in->order[k] = k + 1 < b->rank ? k + 1 : 1;
        if (m->layout[i] == RT_LAYOUT_AUTO)
            note(m, "input '%s': images have their channels last in the data%s; \"layout\": \"chw\" if they come first",
                 m->file->input[i].name, "");
    }
    in->shape.rank = 0;
    for (int k = 1; k < b->rank && b->rank <= 4; k++) in->shape.dim[in->shape.rank++] = (int)b->dim[in->order[k]];
    if (b->rank == 4 && b->dim[1] == 1 && in->order[1] == 1) {     /* one channel: both orders are the same */
        in->order[1] = 2, in->order[2] = 3, in->order[3] = 1;
        in->shape = (rt_shape){3, {(int)b->dim[2], (int)b->dim[3], 1}};
    }
    if (!in->shape.rank) in->shape = (rt_shape){1, {(int)size}};
    return RT_OK;
}

static rt_status bind_inputs(importer *m, cJSON *told)
{
    int data = 0, only = -1;
    for (cJSON *j = told ? told->child : NULL; j; j = j->next) {
        int i = input_named(m, j->string, strlen(j->string));
        if (i < 0) return rt_fail(RT_USAGE, "inputs: the model has no input named '%.60s'", j->string);
        RT_TRY(read_input(m, i, j));
    }
    for (int i = 0; i < m->g->inputs; i++) {
        if (!told || !cJSON_GetObjectItemCaseSensitive(told, m->file->input[i].name)) guess_role(m, i);
        if (m->bound[i].role != RT_ONNX_DATA || !is_id_type(m->file->input[i].type)) continue;
        const cJSON *own = cJSON_GetObjectItemCaseSensitive(named_in(m->own_inputs, m->file->input[i].name), "ids");
        m->bound[i].ids = cJSON_IsNumber(own) && own->valuedouble >= 1 && own->valuedouble < IDS ? own->valueint : IDS;
        m->in[i].ids = 1;
    }
    for (int round = 0; round < 2; round++)                /* masks after what they mark */
        for (int i = 0; i < m->g->inputs; i++)
            if ((m->bound[i].role != RT_ONNX_DATA) == round) RT_TRY(set_shape(m, i));
    for (int i = 0; i < m->g->inputs; i++) {
        if (m->bound[i].role != RT_ONNX_DATA) continue;
        RT_TRY(set_layout(m, i));
        data++;
        only = i;
        if (!m->in[i].name) m->in[i].name = m->file->input[i].name;
    }
    if (!data) return rt_fail(RT_INPUT, "no input is left for data");
    if (data == 1 && !m->in[only].ids) m->in[only].name = "input";
    return RT_OK;
}

/* ---- outputs ---- */

static const rt_eval_node *giver_of(const rt_eval_graph *g, int value)
{
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].outputs; k++) if (g->node[i].out[k] == value) return &g->node[i];
    return NULL;
}

static rt_status choose_output(importer *m, const char *name)
{
    char list[600];
    int n = 0, likely = -1, several = 0;
    m->outputs = 1;
    for (int i = 0; i < m->g->outputs; i++) {
        const rt_onnx_value *v = &m->file->output[i];
        const rt_eval_node *zip = giver_of(m->g, m->g->output[i]);
        int zipped = zip && !strcmp(zip->op, "ZipMap"),
            is_float = zipped || v->type == RT_F32 || v->type == RT_F16 || v->type == RT_F64 || v->type == RT_BF16;
        if (name && !strcmp(name, v->name)) {
            m->output[0] = i;
            return RT_OK;
        }
        if (is_float && (v->rank == 2 || zipped || m->g->outputs == 1)) {
            several += likely >= 0;
            likely = i;
        }
        if (n < (int)sizeof list - 120)
            n += snprintf(list + n, sizeof list - (size_t)n, "%s%.60s (%s, rank %d)", i ? ", " : "", v->name,
                          v->strange                 ? v->strange
                          : v->type < RT_DTYPE_COUNT ? rt_array_type_name(v->type)
                                                     : "?",
                          v->rank);
    }
    m->output[0] = m->g->outputs == 1 ? 0 : likely;
    if (name || m->output[0] < 0 || several)
        return rt_fail(RT_USAGE, "output%s%.60s: name the output that answers by \"output\"; the model has %s",
                       name ? " " : "", name ? name : "", list);
    if (m->g->outputs > 1)
        note(m, "output '%s' answers%s: the only one of a row of numbers", m->file->output[m->output[0]].name, "");
    return RT_OK;
}

/* Each head of a file of ours is the output of its name. 0: it has none such. */
static int take_own_heads(importer *m)
{
    static const char *const tasks[] = {"classes", "multilabel", "real"};
    int n = 0;
    for (const cJSON *j = m->own_heads ? m->own_heads->child : NULL; j; j = j->next, n++) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "name")),
                   *task = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "task"));
        int at = 0, kind = 0;
        while (name && at < m->g->outputs && strcmp(m->file->output[at].name, name)) at++;
        while (task && kind < 3 && strcmp(task, tasks[kind])) kind++;
        if (!name || at == m->g->outputs || kind == 3 || n == RT_MAX_HEADS) return 0;
        m->output[n] = at;
        m->head[n] = name;
        m->task[n] = (rt_task)kind;
    }
    m->outputs = n;
    return n;
}

/* What ends with one of these gives probabilities, or what is used as such. */
static int is_classifier(const rt_eval_graph *g, const rt_eval_node *n)
{
    while (n && !strcmp(n->domain, "ai.onnx.ml") && (!strcmp(n->op, "ZipMap") || !strcmp(n->op, "Normalizer")))
        n = giver_of(g, n->in[0]);
    return n && !strcmp(n->domain, "ai.onnx.ml") && strstr(n->op, "Classifier");
}

/* Appends a node of one input to the row's graph and computes it. */
static rt_status append(rt_onnx_row *row, const char *op, int version, const rt_eval_attr *attr, int *value)
{
    rt_eval_graph *g = row->graph;
    rt_region *r = row->region;
    size_t values = (size_t)g->values, nodes = (size_t)g->nodes;
    const char **names = rt_region_list(r, values + 1, sizeof *names);
    rt_array **known = rt_region_list(r, values + 1, sizeof *known), **all = rt_region_list(r, values + 1, sizeof *all),
             *out = NULL;
    char *varies = rt_region_take(r, values + 1);
    rt_eval_node *node = rt_region_list(r, nodes + 1, sizeof *node);
    int *io = rt_region_list(r, 2, sizeof *io);
    rt_eval *e;
    if (!names || !known || !all || !varies || !node || !io) return RT_RUN;
    memcpy(names, g->value, values * sizeof *names);
    memcpy(known, g->known, values * sizeof *known);
    memcpy(all, row->value, values * sizeof *all);
    memcpy(varies, row->varies, values);
    memcpy(node, g->node, nodes * sizeof *node);
    io[0] = *value;
    io[1] = g->values;
    names[values] = op;
    varies[values] = 1;
    node[nodes] = (rt_eval_node){.name = op,
                                 .op = op,
                                 .domain = "",
                                 .in = io,
                                 .inputs = 1,
                                 .out = io + 1,
                                 .outputs = 1,
                                 .attr = attr,
                                 .attrs = attr != NULL,
                                 .version = version,
                                 .def = rt_eval_find("", op, version)};
    g->value = names;
    g->known = known;
    g->node = node;
    g->values++;
    g->nodes++;
    row->value = all;
    row->varies = varies;
    RT_TRY(rt_eval_new(&e, r));
    RT_TRY(rt_eval_one(e, g, &node[nodes], all, &out));
    all[values] = out;
    *value = io[1];
    return RT_OK;
}

/* log max(p, 1e-30): logits of probabilities. */
static rt_status take_logarithm(rt_onnx_row *row, int *value)
{
    float *least = rt_region_list(row->region, 1, sizeof *least);
    rt_eval_attr *a = rt_region_list(row->region, 1, sizeof *a);
    if (!least || !a) return RT_RUN;
    *least = 1e-30f;
    *a = (rt_eval_attr){.name = "min", .kind = RT_EA_FLOAT, .n = 1, .f = least};
    RT_TRY(append(row, "Clip", 6, a, value));
    return append(row, "Log", 13, NULL, value);
}

/* A softmax at the end is left out: its input are the logits, log p plus a constant a row. */
static rt_status strip_softmax(importer *m, rt_onnx_row *row, int *value)
{
    int v = *value;
    const rt_eval_node *n = giver_of(row->graph, v);
    while (n && !*n->domain && (!strcmp(n->op, "Identity") || !strcmp(n->op, "Flatten")))
        n = giver_of(row->graph, v = n->in[0]);
    const rt_array *a = row->value[v];
    int is_softmax = n && !*n->domain && !strcmp(n->op, "Softmax"), last = 0;
    if (is_softmax) {
        int64_t axis = rt_lower_int(n, "axis", n->version < 13 ? 1 : -1);
        last = a->rank >= 1 && (axis < 0 ? axis + a->rank : axis) == a->rank - 1 &&
               (size_t)a->dim[a->rank - 1] == a->count;
    }
    if (m->gives == RT_GIVES_AUTO && is_softmax && last) {
        m->gives = RT_GIVES_PROBABILITIES;
        note(m, "output '%s' is a softmax: probabilities%s", m->file->output[m->output[0]].name, "");
    }
    int of_model = n && !strcmp(n->domain, "ai.onnx.ml") && is_classifier(row->graph, n);
    if (m->gives == RT_GIVES_AUTO && of_model) {
        m->gives = RT_GIVES_PROBABILITIES;
        note(m, "output '%s' is a classifier's: probabilities%s", m->file->output[m->output[0]].name, "");
    }
    if (m->gives != RT_GIVES_PROBABILITIES) return RT_OK;
    if (!is_softmax || !last) return take_logarithm(row, value);
    *value = n->in[0];
    return RT_OK;
}

/* ---- the whole ---- */

static rt_status read_binding(importer *m, cJSON *binding)
{
    static const char *const gives[] = {"auto", "logits", "probabilities", "values", NULL};
    rt_cfg c = rt_cfg_begin(binding, "teacher");
    cJSON *inputs = rt_cfg_has(&c, "inputs") ? rt_cfg_any(&c, "inputs") : NULL;
    const char *output = rt_cfg_has(&c, "output") ? rt_cfg_string(&c, "output", NULL) : NULL;
    m->gives = rt_cfg_has(&c, "gives") ? (rt_gives)rt_cfg_choice(&c, "gives", gives, 0) : RT_GIVES_AUTO;
    rt_cfg_any(&c, "data_root");                           /* for whoever reads the file */
    if (rt_cfg_has(&c, "seconds")) rt_cfg_number(&c, "seconds", 4, 0.001, 1e6);
    m->classes = rt_cfg_has(&c, "classes") ? rt_cfg_any(&c, "classes") : NULL;
    if (inputs && !cJSON_IsObject(inputs)) rt_cfg_fail(&c, "inputs", "an object of input names is required here");
    RT_TRY(rt_cfg_end(&c));
    RT_TRY(bind_inputs(m, inputs));
    if (!output && m->gives == RT_GIVES_AUTO && take_own_heads(m)) {
        m->gives = RT_GIVES_LOGITS;
        return RT_OK;
    }
    RT_TRY(choose_output(m, output));
    m->head[0] = "y";
    return RT_OK;
}

static rt_status normalize(const importer *m, rt_model *model)
{
    for (int i = 0, k = 0; i < m->g->inputs; i++) {
        if (m->bound[i].role != RT_ONNX_DATA) continue;
        rt_input *in = &model->input[k++];
        const cJSON *mean = m->normalize[i] ? cJSON_GetObjectItemCaseSensitive(m->normalize[i], "mean") : NULL,
                    *std = m->normalize[i] ? cJSON_GetObjectItemCaseSensitive(m->normalize[i], "std") : NULL;
        double a[64], s[64];
        int n = cJSON_IsArray(mean) ? cJSON_GetArraySize(mean) : cJSON_IsArray(std) ? cJSON_GetArraySize(std) : 1;
        if (!mean && !std) continue;
        if (in->channels > 1 || in->mul[0] != 1 || in->add[0] != 0)
            return rt_fail(RT_USAGE, "inputs.%s: \"mean\" and \"std\" are in the file already",
                           m->file->input[i].name);
        if (n < 1 || n > 64) return rt_fail(RT_USAGE, "inputs.%s.mean: has %d numbers", m->file->input[i].name, n);
        for (int c = 0; c < n; c++) {
            const cJSON *x = cJSON_IsArray(mean) ? cJSON_GetArrayItem(mean, c) : mean,
                        *y = cJSON_IsArray(std) ? cJSON_GetArrayItem(std, c) : std;
            if ((mean && !cJSON_IsNumber(x)) || (std && !cJSON_IsNumber(y)))
                return rt_fail(RT_USAGE, "inputs.%s: \"mean\" and \"std\" are a number each, or lists of one a channel",
                               m->file->input[i].name);
            a[c] = mean ? x->valuedouble : 0;
            s[c] = std ? y->valuedouble : 1;
        }
        RT_TRY(rt_input_set_normalization(in, a, s, n));
    }
    return RT_OK;
}

/* Class names that the file has of itself: of our own heads, or of a classifier's labels. */
static rt_status own_names(const importer *m, rt_model *model, const rt_onnx_row *row, int value)
{
    char key[RT_HEAD_NAME + 16];
    for (int h = 0; h < model->heads && m->own_heads; h++) {
        snprintf(key, sizeof key, model->heads > 1 ? "class_names.%s" : "class_names", model->head[h].name);
        const char *text = rt_onnx_meta_of(m->file, key);
        cJSON *list;
        rt_names names = {0};
        if (!text || rt_json_parse(&list, text, strlen(text), key)) continue;
        rt_status st = rt_names_from_json(&names, list, NULL, key);
        if (!st) st = rt_model_set_classes(model, h, &names);
        rt_names_free(&names);
        cJSON_Delete(list);
        RT_TRY(st);
    }
    if (m->own_heads || model->heads != 1) return RT_OK;
    const rt_eval_node *n = giver_of(row->graph, value);
    for (; n && n->inputs; n = giver_of(row->graph, n->in[0]))
        for (int a = 0; a < n->attrs; a++) {
            const rt_eval_attr *q = &n->attr[a];
            if (strncmp(q->name, "classlabels_", 12) || q->n != model->head[0].size) continue;
            cJSON *list = cJSON_CreateArray();
            for (int i = 0; i < q->n; i++) {
                char number[24];
                snprintf(number, sizeof number, "%lld", q->kind == RT_EA_INTS ? (long long)q->i[i] : 0);
                cJSON_AddItemToArray(list, cJSON_CreateString(q->kind == RT_EA_STRINGS ? q->s[i] : number));
            }
            rt_names names = {0};
            rt_status st = rt_names_from_json(&names, list, NULL, q->name);
            if (!st) st = rt_model_set_names(model, &names, NULL);
            rt_names_free(&names);
            cJSON_Delete(list);
            return st;
        }
    return RT_OK;
}

static rt_status finish(const importer *m, rt_model *model, const rt_onnx_row *row, int value)
{
    RT_TRY(normalize(m, model));
    if (!m->classes) RT_TRY(own_names(m, model, row, value));
    else {
        rt_names names = {0};
        rt_status st = rt_names_from_json(&names, m->classes, NULL, "classes");
        if (!st) st = rt_model_set_names(model, &names, NULL);
        rt_names_free(&names);
        RT_TRY(st);
    }
    /* what a model of ours was trained on stays known through its export */
    const char *text = m->own_heads ? rt_onnx_meta_of(m->file, "provenance") : NULL;
    static const char *const kept[] = {"data", "data_digest", "seen"};
    cJSON *known = NULL, *item;
    if (text && rt_json_parse(&known, text, strlen(text), "provenance")) known = NULL;
    for (size_t i = 0; known && i < sizeof kept / sizeof kept[0]; i++)
        if ((item = cJSON_DetachItemFromObjectCaseSensitive(known, kept[i])))
            cJSON_AddItemToObject(model->provenance, kept[i], item);
    cJSON_Delete(known);
    cJSON *from = cJSON_AddObjectToObject(model->provenance, "onnx");
    cJSON_AddStringToObject(from, "digest", m->file->digest.hex);
    cJSON_AddStringToObject(from, "producer", m->file->producer);
    cJSON_AddStringToObject(from, "producer_version", m->file->producer_version);
    cJSON_AddStringToObject(from, "output", m->file->output[m->output[0]].name);
    return RT_OK;
}

static rt_status import(importer *m, rt_model **out, cJSON *binding)
{
    rt_onnx_row row;
    int value[RT_MAX_HEADS], fused = 0;
    RT_TRY(read_binding(m, binding));
    RT_TRY(rt_onnx_row_new(&row, m->file, m->bound, m->output, m->outputs));
    for (int i = 0; i < m->outputs; i++) value[i] = row.graph->output[m->output[i]];
    rt_status st = m->gives == RT_GIVES_VALUES || m->own_heads ? RT_OK : strip_softmax(m, &row, &value[0]);
    if (m->gives == RT_GIVES_VALUES) m->task[0] = RT_TASK_REAL;
    rt_onnx_quantized_spec spec = {m->file, &row, m->bound, m->in, value, m->outputs, m->head, m->task,
                                   m->own_heads && m->gives == RT_GIVES_LOGITS};
    if (!st) st = rt_onnx_quantized(out, &spec, m->notes);
    int quantized = !st && *out;
    if (!st && !quantized) st = rt_onnx_fuse(&row, &fused);
    if (!st && !quantized) st = rt_onnx_row_trim(&row, value, m->outputs);
    if (!st && !quantized) st = rt_onnx_lower(out, &row, m->bound, m->in, value, m->outputs, m->head, m->task);
    if (!st) st = finish(m, *out, &row, value[0]);
    if (!st && quantized && m->program) st = rt_onnx_keep_program(*out, m->file, m->notes);
    if (st && *out) {
        rt_model_free(*out);
        *out = NULL;
    }
    rt_onnx_row_free(&row);
    return st;
}

rt_status rt_onnx_import(rt_model **out, const rt_onnx_file *f, const cJSON *binding, cJSON *notes)
{
    size_t n = (size_t)f->graph->inputs + 1;
    importer m = {.file = f, .g = f->graph, .notes = notes};
    cJSON *own = binding ? cJSON_Duplicate(binding, 1) : cJSON_CreateObject();
    *out = NULL;
    m.bound = calloc(n, sizeof *m.bound);
    m.in = calloc(n, sizeof *m.in);
    m.layout = calloc(n, sizeof *m.layout);
    m.normalize = calloc(n, sizeof *m.normalize);
    rt_status st = RT_OK;
    if (!own || !m.bound || !m.in || !m.layout || !m.normalize) st = rt_fail(RT_RUN, "out of memory");
    if (!st) read_own(&m);
    if (!st) st = import(&m, out, own);
    cJSON_Delete(m.own_heads);
    cJSON_Delete(m.own_inputs);
    cJSON_Delete(own);
    free(m.bound);
    free(m.in);
    free(m.layout);
    free(m.normalize);
    return st;
}
