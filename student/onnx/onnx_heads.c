/* student/onnx/onnx_heads.c - what the outputs of an ONNX file are: heads, each with a task and what its numbers mean;
 * logits in place of probabilities; names of classes; internal values as features. */
#include <stdio.h>
#include <string.h>

#include "student/onnx/onnx_binding.h"
#include "student/onnx/onnx_quantized.h"

static const char *const tasks[] = {"classes", "multilabel", "real", NULL};
static const char *const gives[] = {"auto", "logits", "probabilities", "values", "embedding", NULL};

static const rt_eval_node *giver_of(const rt_eval_graph *g, int value)
{
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].outputs; k++) if (g->node[i].out[k] == value) return &g->node[i];
    return NULL;
}

/* ---- which values answer ---- */

static int output_named(const rt_onnx_importer *m, const char *name)
{
    for (int i = 0; i < m->g->outputs; i++) if (!strcmp(m->file->output[i].name, name)) return m->g->output[i];
    return -1;
}

/* An output, or a value inside of the graph. */
static int value_named(const rt_onnx_importer *m, const char *name)
{
    int at = output_named(m, name);
    for (int i = 0; i < m->g->values && at < 0 && *name; i++)
        if (m->g->value[i] && !strcmp(m->g->value[i], name)) at = i;
    return at;
}

/* "scores (float32, rank 2), tokens (int64, rank 2)" */
static const char *list_outputs(const rt_onnx_importer *m, char text[600])
{
    int n = 0;
    text[0] = 0;
    for (int i = 0; i < m->g->outputs && n < 600 - 120; i++) {
        const rt_onnx_value *v = &m->file->output[i];
        n += snprintf(text + n, 600 - (size_t)n, "%s%.60s (%s, rank %d)", i ? ", " : "", v->name,
                      v->strange                 ? v->strange
                      : v->type < RT_DTYPE_COUNT ? rt_array_type_name(v->type)
                                                 : "?",
                      v->rank);
    }
    return text;
}

enum { MOST_OUTPUTS = 1024 };          /* among which one is looked for */

/* The only output of a row of numbers, or the only one. */
static rt_status choose_output(const rt_onnx_importer *m, rt_onnx_head *h)
{
    char list[600];
    int likely = -1, several = m->g->outputs > MOST_OUTPUTS;
    for (int i = 0; i < m->g->outputs && !several; i++) {
        const rt_onnx_value *v = &m->file->output[i];
        const rt_eval_node *zip = giver_of(m->g, m->g->output[i]);
        int zipped = zip && !strcmp(zip->op, "ZipMap"),
            is_float = zipped || v->type == RT_F32 || v->type == RT_F16 || v->type == RT_F64 || v->type == RT_BF16;
        if (!is_float || (v->rank != 2 && !zipped && m->g->outputs > 1)) continue;
        several += likely >= 0;
        likely = i;
    }
    if (m->g->outputs == 1) likely = 0;
    if (likely < 0 || several)
        return rt_fail(
            RT_USAGE,
            "output: name the output that answers by \"output\", or several by \"outputs\": {NAME: {\"head\", "
            "\"gives\"}}; the model has %s",
            list_outputs(m, list));
    h->value = m->g->output[likely];
    h->tensor = m->file->output[likely].name;
    if (m->g->outputs > 1) rt_onnx_note(m, "output '%s' answers%s: the only one of a row of numbers", h->tensor, "");
    return RT_OK;
}

static rt_status find_value(const rt_onnx_importer *m, const char *key, const char *name, int *value)
{
    char list[600];
    *value = value_named(m, name);
    if (*value >= 0) return RT_OK;
    return rt_fail(RT_USAGE, "%s: the model has no output and no value inside '%.60s'; its outputs are %s", key, name,
                   list_outputs(m, list));
}

/* A name that a head may have. */
static void head_name(rt_onnx_head *h, const char *from)
{
    int n = 0;
    for (; from[n] && n < RT_HEAD_NAME; n++)
        h->name[n] = (unsigned char)from[n] < 0x20 || from[n] == '/' || from[n] == '.' || from[n] == 0x7f ? '_'
                                                                                                          : from[n];
    while (from[n] && n && ((unsigned char)from[n] & 0xc0) == 0x80) n--;     /* a character is whole */
    h->name[n] = 0;
}

/* What values mean and what they are for must go together. */
static rt_status check_head(const rt_onnx_head *h, const char *key)
{
    int real = h->gives == RT_GIVES_VALUES || h->gives == RT_GIVES_EMBEDDING;
    if (h->classes && real)
        return rt_fail(RT_USAGE,
                       "%s.classes: an output that gives %s has none; leave them out, or let it give logits or "
                       "probabilities",
                       key, gives[h->gives]);
    if (!h->task_told || h->gives == RT_GIVES_AUTO || real == (h->task == RT_TASK_REAL)) return RT_OK;
    return rt_fail(RT_USAGE, "%s: \"gives\": \"%s\" is of a head of %s, and \"task\" says \"%s\"", key, gives[h->gives],
                   real ? "numbers (real)" : "classes or labels", tasks[h->task]);
}

static rt_status read_head(rt_onnx_importer *m, cJSON *j)
{
    char key[160];
    snprintf(key, sizeof key, "outputs.%.100s", j->string);
    if (m->heads == RT_MAX_HEADS) return rt_fail(RT_USAGE, "outputs: a model has at most %d heads", RT_MAX_HEADS);
    rt_onnx_head *h = &m->head[m->heads++];
    *h = (rt_onnx_head){.tensor = j->string};
    if (!cJSON_IsObject(j))
        return rt_fail(RT_USAGE, "%s: an object {\"head\", \"task\", \"gives\", \"classes\"} is expected", key);
    RT_TRY(find_value(m, "outputs", j->string, &h->value));
    rt_cfg c = rt_cfg_begin(j, key);
    const char *name = rt_cfg_has(&c, "head") ? rt_cfg_string(&c, "head", NULL) : NULL;
    h->task_told = rt_cfg_has(&c, "task");
    h->task = h->task_told ? (rt_task)rt_cfg_choice(&c, "task", tasks, 0) : RT_TASK_CLASSES;
    h->gives = rt_cfg_has(&c, "gives") ? (rt_gives)rt_cfg_choice(&c, "gives", gives, 0) : RT_GIVES_AUTO;
    h->classes = rt_cfg_has(&c, "classes") ? rt_cfg_any(&c, "classes") : NULL;
    RT_TRY(rt_cfg_end(&c));
    if (name && strlen(name) > RT_HEAD_NAME)
        return rt_fail(RT_USAGE, "%s.head: a name has at most %d bytes", key, RT_HEAD_NAME);
    if (name) snprintf(h->name, sizeof h->name, "%s", name);
    else head_name(h, j->string);
    for (int i = 0; i + 1 < m->heads; i++)
        if (!strcmp(m->head[i].name, h->name))
            return rt_fail(RT_USAGE, "%s.head: '%s' is the head of output '%.60s' already; give each its own \"head\"",
                           key, h->name, m->head[i].tensor);
    return check_head(h, key);
}

/* ["TENSOR"], or {"NAME": "TENSOR"}: values that are kept beside the answers. */
static rt_status read_features(rt_onnx_importer *m, const cJSON *list)
{
    if (!cJSON_IsArray(list) && !cJSON_IsObject(list))
        return rt_fail(RT_USAGE, "features: a list of values of the graph is expected, or {NAME: VALUE}");
    for (const cJSON *j = list->child; j; j = j->next) {
        const char *tensor = cJSON_GetStringValue(j), *name = cJSON_IsObject(list) ? j->string : tensor;
        if (!tensor || !*tensor || !*name || strlen(name) > RT_NAME_MAX)
            return rt_fail(RT_USAGE, "features: a list of values of the graph is expected, or {NAME: VALUE}");
        if (m->features == RT_MAX_HEADS)
            return rt_fail(RT_USAGE, "features: at most %d values are kept", RT_MAX_HEADS);
        for (int i = 0; i < m->features; i++)
            if (!strcmp(m->feature[i].name, name)) return rt_fail(RT_USAGE, "features: '%.60s' is there twice", name);
        for (int i = 0; i < m->g->inputs; i++)
            if (!strcmp(m->file->input[i].name, name) || !strcmp(name, "input"))
                return rt_fail(RT_USAGE, "features: '%.60s' is the name of an input; give it another: {NAME: VALUE}",
                               name);
        rt_lower_feature *f = &m->feature[m->features];
        *f = (rt_lower_feature){.name = name, .tensor = tensor};
        RT_TRY(find_value(m, "features", tensor, &f->value));
        m->features++;
    }
    return RT_OK;
}

/* Each head of a file of ours is the output of its name. 0: it has none such. */
static int take_own_heads(rt_onnx_importer *m)
{
    int n = 0;
    for (const cJSON *j = m->own_heads ? m->own_heads->child : NULL; j; j = j->next, n++) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "name")),
                   *task = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "task"));
        int value = name ? output_named(m, name) : -1, kind = 0;
        while (task && kind < 3 && strcmp(task, tasks[kind])) kind++;
        if (value < 0 || kind == 3 || n == RT_MAX_HEADS || strlen(name) > RT_HEAD_NAME) return 0;
        m->head[n] = (rt_onnx_head){.value = value, .tensor = name, .task = (rt_task)kind, .gives = RT_GIVES_LOGITS};
        if (kind == RT_TASK_REAL) m->head[n].gives = RT_GIVES_VALUES;
        snprintf(m->head[n].name, sizeof m->head[n].name, "%s", name);
    }
    return m->heads = n;
}

rt_status rt_onnx_bind_heads(rt_onnx_importer *m, rt_cfg *c)
{
    cJSON *outputs = rt_cfg_has(c, "outputs") ? rt_cfg_any(c, "outputs") : NULL,
          *features = rt_cfg_has(c, "features") ? rt_cfg_any(c, "features") : NULL,
          *classes = rt_cfg_has(c, "classes") ? rt_cfg_any(c, "classes") : NULL;
    const char *output = rt_cfg_has(c, "output") ? rt_cfg_string(c, "output", NULL) : NULL;
    int given = rt_cfg_has(c, "gives"), task = rt_cfg_has(c, "task");
    rt_onnx_head only = {.name = "y", .classes = classes, .task_told = task};
    only.gives = given ? (rt_gives)rt_cfg_choice(c, "gives", gives, 0) : RT_GIVES_AUTO;
    only.task = task ? (rt_task)rt_cfg_choice(c, "task", tasks, 0) : RT_TASK_CLASSES;
    RT_TRY(rt_cfg_end(c));
    if (features) RT_TRY(read_features(m, features));
    if (outputs) {
        const char *other = output ? "output" : given ? "gives" : task ? "task" : classes ? "classes" : NULL;
        if (!cJSON_IsObject(outputs) || !outputs->child)
            return rt_fail(RT_USAGE,
                           "outputs: an object {NAME: {\"head\", \"task\", \"gives\", \"classes\"}} is expected");
        if (other)
            return rt_fail(RT_USAGE, "%s: is of a single output; with \"outputs\" each has its own there", other);
        for (cJSON *j = outputs->child; j; j = j->next) RT_TRY(read_head(m, j));
        return RT_OK;
    }
    if (!output && !given && !task && take_own_heads(m)) {
        m->own = 1;
        if (classes && m->heads == 1) m->head[0].classes = classes;
        return RT_OK;
    }
    m->heads = 1;
    m->head[0] = only;
    m->head[0].tensor = output;
    RT_TRY(check_head(&only, "teacher"));
    return output ? find_value(m, "output", output, &m->head[0].value) : choose_output(m, &m->head[0]);
}

/* ---- logits ---- */

/* What ends with one of these gives probabilities, or what is used as such. */
static int is_classifier(const rt_eval_graph *g, const rt_eval_node *n)
{
    while (n && !strcmp(n->domain, "ai.onnx.ml") && (!strcmp(n->op, "ZipMap") || !strcmp(n->op, "Normalizer")))
        n = giver_of(g, n->in[0]);
    return n && !strcmp(n->domain, "ai.onnx.ml") && strstr(n->op, "Classifier");
}

/* A value more in the row's graph: known (NULL: not), or one that depends on data. */
static rt_status add_value(rt_onnx_row *row, const char *name, rt_array *is, int varies, int *value)
{
    rt_eval_graph *g = row->graph;
    rt_region *r = row->region;
    size_t n = (size_t)g->values;
    const char **names = rt_region_list(r, n + 1, sizeof *names);
    rt_array **known = rt_region_list(r, n + 1, sizeof *known), **all = rt_region_list(r, n + 1, sizeof *all);
    char *moves = rt_region_take(r, n + 1);
    if (!names || !known || !all || !moves) return RT_RUN;
    memcpy(names, g->value, n * sizeof *names);
    memcpy(known, g->known, n * sizeof *known);
    memcpy(all, row->value, n * sizeof *all);
    memcpy(moves, row->varies, n);
    names[n] = name;
    known[n] = all[n] = is;
    moves[n] = (char)varies;
    g->value = names;
    g->known = known;
    row->value = all;
    row->varies = moves;
    *value = g->values++;
    return RT_OK;
}

/* Appends a node that reads *value and, unless it is -1, second, and computes it; *value is its output. */
static rt_status append(rt_onnx_row *row, const char *op, int version, const rt_eval_attr *attr, int *value, int second)
{
    rt_eval_graph *g = row->graph;
    size_t nodes = (size_t)g->nodes;
    rt_eval_node *node = rt_region_list(row->region, nodes + 1, sizeof *node);
    int *io = rt_region_list(row->region, 3, sizeof *io);
    rt_array *out = NULL;
    rt_eval *e;
    if (!node || !io) return RT_RUN;
    memcpy(node, g->node, nodes * sizeof *node);
    io[0] = *value;
    io[1] = second;
    RT_TRY(add_value(row, op, NULL, 1, value));
    io[2] = *value;
    node[nodes] = (rt_eval_node){.name = op,
                                 .op = op,
                                 .domain = "",
                                 .in = io,
                                 .inputs = second >= 0 ? 2 : 1,
                                 .out = io + 2,
                                 .outputs = 1,
                                 .attr = attr,
                                 .attrs = attr != NULL,
                                 .version = version,
                                 .def = rt_eval_find("", op, version)};
    g->node = node;
    g->nodes++;
    RT_TRY(rt_eval_new(&e, row->region));
    RT_TRY(rt_eval_one(e, g, &node[nodes], row->value, &out));
    row->value[*value] = out;
    return RT_OK;
}

/* max(v, 1e-30) */
static rt_status at_least(rt_onnx_row *row, int *value)
{
    float *least = rt_region_list(row->region, 1, sizeof *least);
    rt_eval_attr *a = rt_region_list(row->region, 1, sizeof *a);
    if (!least || !a) return RT_RUN;
    *least = 1e-30f;
    *a = (rt_eval_attr){.name = "min", .kind = RT_EA_FLOAT, .n = 1, .f = least};
    return append(row, "Clip", 6, a, value, -1);
}

/* log max(p, 1e-30): logits of probabilities; of labels less log max(1 - p, 1e-30). */
static rt_status take_logarithm(rt_onnx_row *row, int labels, int *value)
{
    int p = *value, rest;
    rt_array *one = NULL;
    RT_TRY(at_least(row, value));
    RT_TRY(append(row, "Log", 13, NULL, value, -1));
    if (!labels) return RT_OK;
    RT_TRY(rt_array_make(&one, row->region, row->value[p]->type, 0, NULL));
    rt_array_put(one, 0, 1);
    RT_TRY(add_value(row, "one", one, 0, &rest));
    RT_TRY(append(row, "Sub", 13, NULL, &rest, p));
    RT_TRY(at_least(row, &rest));
    RT_TRY(append(row, "Log", 13, NULL, &rest, -1));
    return append(row, "Sub", 13, NULL, value, rest);
}

/* The softmax or sigmoid whose answer v is once it was quantized and dequantized; NULL: it is none. */
static const rt_eval_node *quantized_end(const rt_onnx_row *row, int v)
{
    const rt_eval_node *n = giver_of(row->graph, v);
    if (!n || strcmp(n->op, "DequantizeLinear")) return NULL;
    n = giver_of(row->graph, n->in[0]);
    if (!n || strcmp(n->op, "QuantizeLinear")) return NULL;
    n = giver_of(row->graph, n->in[0]);
    return n && !*n->domain && (!strcmp(n->op, "Softmax") || !strcmp(n->op, "Sigmoid")) ? n : NULL;
}

/* The node behind what changes no number, where it is a softmax over the row's numbers, or a sigmoid; also where its
 * probabilities are brought to steps of bytes. */
static const rt_eval_node *last_node(const rt_onnx_row *row, int v, int *softmax, int *sigmoid)
{
    const rt_eval_node *n = giver_of(row->graph, v);
    while (n && !*n->domain && (!strcmp(n->op, "Identity") || !strcmp(n->op, "Flatten")))
        n = giver_of(row->graph, v = n->in[0]);
    if (quantized_end(row, v)) n = quantized_end(row, v), v = n->out[0];
    const rt_array *a = row->value[v];
    *softmax = 0;
    *sigmoid = n && !*n->domain && !strcmp(n->op, "Sigmoid");
    if (!n || *n->domain || strcmp(n->op, "Softmax")) return n;
    int64_t axis = rt_lower_int(n, "axis", n->version < 13 ? 1 : -1);
    *softmax = a->rank >= 1 && (axis < 0 ? axis + a->rank : axis) == a->rank - 1 &&
               (size_t)a->dim[a->rank - 1] == a->count;
    return n;
}

/* Numbers of 0 to 1 that sum to 1, as far as the row tells. */
static int sums_to_one(const rt_array *a)
{
    double sum = 0;
    for (size_t i = 0; i < a->count; i++) {
        double v = rt_array_double(a, i);
        if (!(v >= 0 && v <= 1)) return 0;
        sum += v;
    }
    return sum > 0.999 && sum < 1.001;
}

/* What nobody has told of a head, from the node that gives its value. */
static void guess_head(const rt_onnx_importer *m, rt_onnx_head *h, const rt_onnx_row *row, const rt_eval_node *n,
                       int softmax, int sigmoid)
{
    if (h->gives != RT_GIVES_AUTO) return;
    h->gives = RT_GIVES_LOGITS;
    if (h->task_told && h->task == RT_TASK_REAL) h->gives = RT_GIVES_VALUES;
    else if (softmax && h->task == RT_TASK_CLASSES) {
        h->gives = RT_GIVES_PROBABILITIES;
        rt_onnx_note(m, "output '%s' is a softmax: probabilities%s", h->tensor, "");
    } else if (sigmoid && (!h->task_told || h->task == RT_TASK_MULTILABEL)) {
        h->gives = RT_GIVES_PROBABILITIES;
        h->task = RT_TASK_MULTILABEL;
        rt_onnx_note(m, "output '%s' is a sigmoid: probabilities of labels, each by itself%s", h->tensor, "");
    } else if (n && !strcmp(n->domain, "ai.onnx.ml") && is_classifier(row->graph, n)) {
        int one = rt_array_is_float(row->value[h->value]) && sums_to_one(row->value[h->value]);
        if (one) h->gives = RT_GIVES_PROBABILITIES;
        rt_onnx_note(m, "output '%s' is a classifier's: %s", h->tensor,
                     one ? "probabilities" : "scores, taken as logits, for they do not sum to 1");
    }
}

/* One number a row tells no classes: it is a label's where logits or probabilities are told, else a number. */
static rt_status take_one_number(const rt_onnx_importer *m, rt_onnx_head *h, const rt_onnx_row *row)
{
    int softmax, sigmoid;
    if (h->task != RT_TASK_CLASSES || h->gives == RT_GIVES_VALUES || h->gives == RT_GIVES_EMBEDDING ||
        row->value[h->value]->count != 1)
        return RT_OK;
    if (h->task_told)
        return rt_fail(RT_USAGE,
                       "output '%s' is one number a row, which tells no classes: its \"task\" is \"multilabel\" "
                       "(one label) or \"real\"",
                       h->tensor);
    last_node(row, h->value, &softmax, &sigmoid);
    if (sigmoid || h->gives != RT_GIVES_AUTO) {
        h->task = RT_TASK_MULTILABEL;
        return RT_OK;
    }
    h->gives = RT_GIVES_VALUES;
    rt_onnx_note(m,
                 "output '%s' is one number a row: a head of numbers%s; \"task\": \"multilabel\" if it is the logit of "
                 "a label",
                 h->tensor, "");
    return RT_OK;
}

/* A softmax at the end is left out: its input are the logits, log p plus a constant a row; so is a sigmoid of labels.
 */
rt_status rt_onnx_take_logits(rt_onnx_importer *m, rt_onnx_row *row, int *value)
{
    for (int i = 0; i < m->heads; i++) {
        rt_onnx_head *h = &m->head[i];
        int softmax, sigmoid;
        value[i] = h->value;
        if (!m->own) RT_TRY(take_one_number(m, h, row));
        if (h->gives == RT_GIVES_VALUES || h->gives == RT_GIVES_EMBEDDING) {
            h->task = RT_TASK_REAL;
            continue;
        }
        if (m->own) continue;
        const rt_eval_node *n = last_node(row, h->value, &softmax, &sigmoid);
        guess_head(m, h, row, n, softmax, sigmoid);
        if (h->gives != RT_GIVES_PROBABILITIES) continue;
        int labels = h->task == RT_TASK_MULTILABEL;
        if (quantized_end(row, h->value))
            rt_onnx_note(m, "output '%s' is rounded to steps of bytes in the file; the logits before it are not%s",
                         h->tensor, "");
        if (labels ? sigmoid : softmax) value[i] = n->in[0];
        else RT_TRY(take_logarithm(row, labels, &value[i]));
    }
    return RT_OK;
}

/* ---- names ---- */

static rt_status set_classes(rt_model *model, int h, const cJSON *list, const char *key)
{
    rt_names names = {0};
    rt_status st = rt_names_from_json(&names, list, NULL, key);
    if (!st && names.count && names.count != model->head[h].size)
        st = rt_fail(RT_INPUT, "%s: names %d classes, and head '%s' has %d", key, names.count,
                     model->head[h].name, model->head[h].size);
    if (!st) st = rt_model_set_classes(model, h, &names);
    rt_names_free(&names);
    return st;
}

/* Class names of a file of ours. */
static rt_status own_names(const rt_onnx_importer *m, rt_model *model, int h)
{
    char key[RT_HEAD_NAME + 16];
    cJSON *list;
    snprintf(key, sizeof key, model->heads > 1 ? "class_names.%s" : "class_names", model->head[h].name);
    const char *text = rt_onnx_meta_of(m->file, key);
    if (!text || rt_json_parse(&list, text, strlen(text), key)) return RT_OK;
    rt_status st = set_classes(model, h, list, key);
    cJSON_Delete(list);
    return st;
}

/* The node before `end` that gives the value; NULL: none. */
static const rt_eval_node *giver_before(const rt_eval_graph *g, int value, const rt_eval_node *end)
{
    for (const rt_eval_node *n = end; n-- > g->node;)
        for (int k = 0; k < n->outputs; k++) if (n->out[k] == value) return n;
    return NULL;
}

/* Those of a classifier's labels. Nodes stand behind those whose outputs they read. */
static rt_status labels_of(rt_model *model, int h, const rt_onnx_row *row, int value)
{
    const rt_eval_graph *g = row->graph;
    const rt_eval_node *n = giver_before(g, value, g->node + g->nodes);
    for (; n && n->inputs; n = giver_before(g, n->in[0], n))
        for (int a = 0; a < n->attrs; a++) {
            const rt_eval_attr *q = &n->attr[a];
            if (strncmp(q->name, "classlabels_", 12) || q->n != model->head[h].size) continue;
            cJSON *list = cJSON_CreateArray();
            for (int i = 0; i < q->n; i++) {
                char number[24];
                snprintf(number, sizeof number, "%lld", q->kind == RT_EA_INTS ? (long long)q->i[i] : 0);
                cJSON_AddItemToArray(list, cJSON_CreateString(q->kind == RT_EA_STRINGS ? q->s[i] : number));
            }
            rt_status st = set_classes(model, h, list, q->name);
            cJSON_Delete(list);
            return st;
        }
    return RT_OK;
}

rt_status rt_onnx_name_heads(const rt_onnx_importer *m, rt_model *model, const rt_onnx_row *row, const int *value)
{
    for (int h = 0; h < m->heads; h++) {
        if (m->head[h].classes) RT_TRY(set_classes(model, h, m->head[h].classes, "classes"));
        else if (m->own_heads) RT_TRY(own_names(m, model, h));
        else if (m->head[h].task != RT_TASK_REAL) RT_TRY(labels_of(model, h, row, value[h]));
    }
    return RT_OK;
}

void rt_onnx_tell_heads(const rt_onnx_importer *m, cJSON *from)
{
    if (m->heads == 1) {
        cJSON_AddStringToObject(from, "output", m->head[0].tensor);
        cJSON_AddStringToObject(from, "gives", gives[m->head[0].gives]);
    } else {
        cJSON *list = cJSON_AddObjectToObject(from, "outputs");
        for (int i = 0; i < m->heads; i++) {
            cJSON *j = cJSON_CreateObject();
            cJSON_AddStringToObject(j, "head", m->head[i].name);
            cJSON_AddStringToObject(j, "gives", gives[m->head[i].gives]);
            cJSON_AddItemToObject(list, m->head[i].tensor, j);
        }
    }
    cJSON *features = m->features ? cJSON_AddObjectToObject(from, "features") : NULL;
    for (int i = 0; i < m->features; i++)
        cJSON_AddStringToObject(features, m->feature[i].name, m->feature[i].tensor);
}
