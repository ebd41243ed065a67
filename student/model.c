#include "student/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "student/arch.h"
#include "student/onnx/onnx_import.h"
#include "student/quantizers.h"

/* A model of other heads than one of classes is of format 3, one of several inputs of format 4, a quantized one of
 * format 5, one that resizes images of format 6; in format 1 a manifest had no digest. */
static const char format[] = "retort-model-2", with_heads[] = "retort-model-3", with_inputs[] = "retort-model-4",
                  quantized[] = "retort-model-5", resized[] = "retort-model-6", older[] = "retort-model-1";
static const char no_digest[] = "00000000000000000000000000000000";

/* The architecture alone, without memory for its fields: a file may claim any. */
static rt_status build(rt_model **out, const cJSON *arch)
{
    *out = NULL;
    rt_model *m = calloc(1, sizeof *m);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    m->arch = cJSON_Duplicate(arch, 1);
    m->provenance = cJSON_CreateObject();
    rt_status st = m->arch && m->provenance ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_arch_build(&m->graph, m->arch, "model");
    if (st) rt_model_free(m);
    else *out = m;
    return st;
}

/* Memory for all fields, as zeros, and no names. */
static rt_status take_memory(rt_model *m)
{
    const rt_graph *g = m->graph;
    m->params = rt_floats_new(g->floats[RT_PARAM]);
    m->states = rt_floats_new(g->floats[RT_STATE]);
    if (!m->params || !m->states) return RT_RUN;
    for (; m->inputs < g->inputs; m->inputs++) {
        const rt_tensor *t = &g->tensor[g->input[m->inputs]];
        if (t->type == RT_I32 && !(m->input[m->inputs].ids = rt_graph_ids(g, m->inputs)))
            m->input[m->inputs].ids = INT32_MAX;           /* whole numbers that no table bounds: a mask, say */
        RT_TRY(rt_input_begin(&m->input[m->inputs], g->node[t->producer].name, &t->shape));
    }
    return rt_arch_heads(m->head, &m->heads, g, m->arch, "model");
}

rt_status rt_model_blank(rt_model **out, const cJSON *arch)
{
    RT_TRY(build(out, arch));
    rt_status st = take_memory(*out);
    if (st) {
        rt_model_free(*out);
        *out = NULL;
    }
    return st;
}

rt_status rt_model_new(rt_model **out, const cJSON *arch, uint64_t seed)
{
    RT_TRY(rt_model_blank(out, arch));
    rt_graph_init((*out)->graph, seed, (*out)->params, (*out)->states);
    return RT_OK;
}

void rt_model_free(rt_model *m)
{
    if (!m) return;
    cJSON_Delete(m->arch);
    rt_heads_free(m->head, m->heads);
    for (int i = 0; i < RT_MAX_INPUTS; i++) rt_input_free(&m->input[i]);
    cJSON_Delete(m->provenance);
    rt_graph_free(m->graph);
    free(m->params);
    free(m->states);
    free(m);
}

int rt_model_width(const rt_model *m) { return rt_heads_width(m->head, m->heads); }

void rt_model_outputs(const rt_model *m, int tensor[RT_MAX_HEADS])
{
    for (int h = 0; h < m->heads; h++) tensor[h] = m->head[h].tensor;
}

rt_status rt_model_one_input(const rt_graph *g, const char *of)
{
    char text[RT_NAMES_TEXT];
    int n = 0;
    if (g->inputs == 1) return RT_OK;
    for (int i = 0; i < g->inputs && n < RT_NAMES_TEXT - 70; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%.60s", i ? ", " : "",
                      g->node[g->tensor[g->input[i]].producer].name);
    return rt_fail(RT_USAGE, "%s: has %d inputs (%s), and an integer program reads one",
                   of, g->inputs, text);
}

rt_status rt_model_own_size(const rt_model *m, const char *of)
{
    for (int i = 0; i < m->inputs; i++)
        if (rt_resizing_any(&m->input[i].resizing))
            return rt_fail(RT_USAGE,
                           "%s: resizes images, and what is exported or quantized takes rows of its own size: "
                           "import it without \"resize\" and \"crop\", and use data of that size",
                           of);
    return RT_OK;
}

rt_digest rt_model_digest(const rt_model *m)
{
    rt_hasher *h = rt_hasher_new();
    char *arch = cJSON_PrintUnformatted(m->arch);
    const rt_graph *g = m->graph;
    if (arch) rt_hasher_add(h, arch, strlen(arch));
    cJSON_free(arch);
    for (int i = 0; i < m->inputs; i++) {
        const rt_input *in = &m->input[i];
        rt_hasher_add(h, in->mul, (size_t)in->channels * sizeof *in->mul);
        rt_hasher_add(h, in->add, (size_t)in->channels * sizeof *in->add);
        if (rt_resizing_any(&in->resizing)) rt_hasher_add(h, &in->resizing, sizeof in->resizing);
    }
    rt_quantizers_hash(m, h);
    for (rt_home home = RT_PARAM; home <= RT_CONST; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0;)
            rt_hasher_add(h, rt_model_field(m, i), g->field[i].count * sizeof(float));
    return rt_hasher_end(h);
}

float *rt_model_field(const rt_model *m, int i)
{
    const rt_field *f = &m->graph->field[i];
    return f->home == RT_CONST ? rt_graph_constant_values(m->graph, i)
                               : (f->home == RT_PARAM ? m->params : m->states) + f->offset;
}

/* A field's place in the file: '/' would be a folder there, so it is written as %2F, as are % and control characters.
 * coded 0: as files before had it, whose names had no '/'. */
static void field_path(const rt_field *f, int coded, char path[RT_H5_NAME])
{
    int n = snprintf(path, RT_H5_NAME, "%s/", f->home == RT_PARAM ? "params" : f->home == RT_STATE ? "state" : "const");
    for (const char *c = f->name; *c && n + 4 < RT_H5_NAME; c++)
        if (coded && (*c == '/' || *c == '%' || (unsigned char)*c < 0x20 || *c == 0x7f))
            n += snprintf(path + n, 4, "%%%02X", (unsigned)*c);
        else path[n++] = *c;
    path[n] = 0;
}

static const rt_h5_dataset *find_field(const rt_h5_file *file, const rt_field *f, char path[RT_H5_NAME])
{
    const rt_h5_dataset *d = NULL;
    for (int coded = 1; coded >= 0 && !d; coded--) {
        field_path(f, coded, path);
        d = rt_h5_find(file, path);
    }
    return d;
}

static rt_h5_item field_item(const rt_model *m, int i, char (*name)[RT_H5_NAME])
{
    const rt_field *f = &m->graph->field[i];
    rt_h5_item it = {.type = RT_F32, .rank = f->shape.rank, .data = rt_model_field(m, i)};
    field_path(f, 1, *name);
    it.name = *name;
    for (int k = 0; k < f->shape.rank; k++) it.dim[k] = (uint64_t)f->shape.dim[k];
    return it;
}

/* Where a manifest's text has its own digest: the key stands before all that users name. */
static char *digest_in(char *text)
{
    static const char key[] = "\"manifest_digest\":";
    char *at = strstr(text, key);
    if (!at) return NULL;
    at += sizeof key - 1;
    at += strspn(at, " \t\r\n");
    return *at == '"' && strlen(at + 1) >= sizeof no_digest - 1 ? at + 1 : NULL;
}

static void add_columns(cJSON *j, const rt_input *in)
{
    if (in->columns.name) cJSON_AddItemToObject(j, "columns", rt_names_to_json(&in->columns));
}

/* Of several inputs each has what a single one has in the manifest itself. */
cJSON *rt_model_inputs_json(const rt_model *m)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < m->inputs; i++) {
        cJSON *j = cJSON_CreateObject();
        cJSON_AddItemToArray(list, j);
        cJSON_AddStringToObject(j, "name", m->input[i].name);
        cJSON_AddItemToObject(j, "normalization", rt_input_normalization(&m->input[i]));
        add_columns(j, &m->input[i]);
    }
    return list;
}

/* As a file at path, or as the output that is given. */
static rt_status save(const rt_model *m, const char *path, rt_output *output)
{
    const rt_graph *g = m->graph;
    int n = 0, total = g->fields + 1;
    rt_h5_item *it = calloc((size_t)total, sizeof *it);
    char (*name)[RT_H5_NAME] = calloc((size_t)total, sizeof *name);
    cJSON *j = cJSON_CreateObject();
    if (!it || !name || !j) {
        free(it);
        free(name);
        cJSON_Delete(j);
        return rt_fail(RT_RUN, "out of memory");
    }
    int plain = rt_heads_plain(m->head, m->heads);
    const char *kind = rt_model_quantized(m) ? quantized : m->inputs > 1 ? with_inputs : plain ? format : with_heads;
    for (int i = 0; i < m->inputs; i++) if (rt_resizing_any(&m->input[i].resizing)) kind = resized;
    cJSON_AddStringToObject(j, "format", kind);
    cJSON_AddStringToObject(j, "manifest_digest", no_digest);
    cJSON_AddStringToObject(j, "digest", rt_model_digest(m).hex);
    cJSON_AddItemToObject(j, "arch", cJSON_Duplicate(m->arch, 1));
    if (m->inputs > 1) cJSON_AddItemToObject(j, "inputs", rt_model_inputs_json(m));
    else cJSON_AddItemToObject(j, "normalization", rt_input_normalization(&m->input[0]));
    if (!plain) cJSON_AddItemToObject(j, "heads", rt_heads_to_json(m->head, m->heads));
    else if (m->head[0].names.name) cJSON_AddItemToObject(j, "classes", rt_names_to_json(&m->head[0].names));
    if (m->inputs == 1) add_columns(j, &m->input[0]);
    if (rt_model_quantized(m)) cJSON_AddItemToObject(j, "quantization", rt_quantizers_to_json(m));
    cJSON_AddItemToObject(j, "provenance", cJSON_Duplicate(m->provenance, 1));
    char *text = rt_json_text(j, 1), *at = text ? digest_in(text) : NULL;
    cJSON_Delete(j);
    if (at) memcpy(at, rt_digest_of(text, strlen(text)).hex, sizeof no_digest - 1);
    for (rt_home home = RT_PARAM; home <= RT_CONST; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0; n++) it[n] = field_item(m, i, &name[n]);
    rt_status st = text ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (text)
        it[n++] = (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text};
    int fd;
    if (!st && !output) st = rt_h5_save(path, kind, it, n);
    else if (!st) {
        st = rt_output_create(output, &fd);
        if (!st) st = rt_h5_write(fd, path, kind, it, n);
        if (!st) st = rt_output_commit(output);
    }
    free(text);
    free(it);
    free(name);
    return st;
}

rt_status rt_model_save(const rt_model *m, const char *path) { return save(m, path, NULL); }
rt_status rt_model_put(const rt_model *m, rt_output *out) { return save(m, rt_output_path(out), out); }

/* The file has each field, in its shape: only then is memory taken for them. */
static rt_status check_fields(const rt_h5_file *file, const rt_graph *g)
{
    for (rt_home home = RT_PARAM; home <= RT_CONST; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0;) {
            const rt_field *f = &g->field[i];
            char path[RT_H5_NAME];
            const rt_h5_dataset *d = find_field(file, f, path);
            if (!d)
                return rt_fail(RT_INPUT, "%s: has no data set '%s', which its architecture needs", file->path, path);
            int same = d->type == RT_F32 && d->rank == f->shape.rank;
            for (int k = 0; k < d->rank && same; k++) same = d->dim[k] == (uint64_t)f->shape.dim[k];
            if (!same)
                return rt_fail(RT_INPUT, "%s: data set '%s' does not have the shape that its architecture tells",
                               file->path, path);
        }
    return RT_OK;
}

static rt_status load_fields(const rt_h5_file *file, rt_model *m)
{
    for (rt_home home = RT_PARAM; home <= RT_CONST; home++)
        for (int i = -1; (i = rt_graph_next_field(m->graph, home, i)) >= 0;) {
            const rt_field *f = &m->graph->field[i];
            char path[RT_H5_NAME];
            float *data;
            find_field(file, f, path);
            RT_TRY(rt_h5_read_all((void **)&data, file, path, f->count * sizeof *data));
            memcpy(rt_model_field(m, i), data, f->count * sizeof *data);
            free(data);
        }
    return RT_OK;
}

static rt_status read_normalization(rt_input *in, const cJSON *j, const char *path)
{
    const cJSON *norm = cJSON_GetObjectItemCaseSensitive(j, "normalization");
    const cJSON *mul = cJSON_GetObjectItemCaseSensitive(norm, "mul");
    const cJSON *add = cJSON_GetObjectItemCaseSensitive(norm, "add");
    int n = cJSON_GetArraySize(mul);
    if (!cJSON_IsArray(mul) || !cJSON_IsArray(add) || n != cJSON_GetArraySize(add) ||
        (n != 1 && n != rt_input_last(in)) || n > RT_MAX_CHANNELS)
        return rt_fail(RT_INPUT, "%s: its manifest has no valid normalisation", path);
    in->channels = n;
    const cJSON *u = mul->child, *v = add->child;
    for (int i = 0; i < n; i++, u = u->next, v = v->next) {
        in->mul[i] = (float)cJSON_GetNumberValue(u);
        in->add[i] = (float)cJSON_GetNumberValue(v);
        if (!isfinite(in->mul[i]) || !isfinite(in->add[i]))
            return rt_fail(RT_INPUT, "%s: the normalisation of channel %d in its manifest is no finite number", path,
                           i);
    }
    rt_status st = rt_resizing_read(&in->resizing, norm, "normalization");
    if (!st && rt_resizing_any(&in->resizing) && in->shape.rank != 3)
        st = rt_fail(RT_USAGE, "\"resize\" is of images, and the input is none");
    return st ? rt_fail_in(RT_INPUT, "%s: its manifest", path) : RT_OK;
}

/* What the manifest tells of input i: in itself, or of several inputs in a list. */
static const cJSON *of_input(const rt_model *m, const cJSON *j, int i)
{
    return m->inputs > 1 ? cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(j, "inputs"), i) : j;
}

static rt_status check_manifest(char *text, const char *path)
{
    char *at = digest_in(text), told[sizeof no_digest] = "";
    if (at) {
        memcpy(told, at, sizeof no_digest - 1);
        memcpy(at, no_digest, sizeof no_digest - 1);
    }
    if (!at || strcmp(told, rt_digest_of(text, strlen(text)).hex))
        return rt_fail(RT_INPUT, "%s: its manifest (names, provenance) does not match its digest; the file is damaged",
                       path);
    return RT_OK;
}

/* Names that the heads got after the architecture was written. */
static rt_status read_head_names(rt_model *m, const cJSON *list, const char *path)
{
    rt_head head[RT_MAX_HEADS];
    int count = 0, same;
    RT_TRY(rt_heads_from_json(head, &count, list, path, "heads"));
    same = count == m->heads;
    for (int i = 0; i < count && same; i++) {
        same = !strcmp(head[i].name, m->head[i].name) && head[i].task == m->head[i].task &&
               head[i].size == m->head[i].size;
        rt_names swap = m->head[i].names;
        m->head[i].names = head[i].names;
        head[i].names = swap;
        free(m->head[i].names.of);
        m->head[i].names.of = strdup(path);
    }
    rt_heads_free(head, count);
    return same ? RT_OK : rt_fail(RT_INPUT, "%s: the heads of its manifest are not those of its architecture", path);
}

static rt_status take_names(rt_names *into, const rt_names *from, int count, const char *what, const char *key)
{
    rt_names copy;
    if (!from || !from->name) return RT_OK;
    if (from->count != count)
        return rt_fail(RT_INPUT, "%s: names %d %s, but there are %d %s in the model; set model.%s to fit",
                       from->of ? from->of : "its manifest", from->count, what, count, what, key);
    RT_TRY(rt_names_copy(&copy, from));
    free(copy.of);
    copy.of = NULL;
    rt_names_free(into);
    *into = copy;
    return RT_OK;
}

static rt_status read_columns(rt_input *in, const cJSON *j, const char *path)
{
    rt_names columns = {0};
    rt_status st = rt_names_from_json(&columns, cJSON_GetObjectItemCaseSensitive(j, "columns"), path, "columns");
    if (!st) st = take_names(&in->columns, &columns, (int)in->size, "columns", "input");
    rt_names_free(&columns);
    free(in->columns.of);
    in->columns.of = strdup(path);
    in->of = strdup(path);
    return st;
}

/* Lists without names stay as rt_model_new made them. */
static rt_status read_names(rt_model *m, const cJSON *j, const char *path)
{
    rt_names classes = {0};
    rt_status st = rt_names_from_json(&classes, cJSON_GetObjectItemCaseSensitive(j, "classes"), path, "classes");
    const cJSON *heads = cJSON_GetObjectItemCaseSensitive(j, "heads");
    if (!st && heads) st = read_head_names(m, heads, path);
    if (!st) st = rt_model_set_names(m, &classes, NULL);
    for (int i = 0; i < m->inputs && !st; i++) st = read_columns(&m->input[i], of_input(m, j, i), path);
    if (!st) {
        free(m->head[0].names.of);
        m->head[0].names.of = strdup(path);
    } else st = rt_fail_in(RT_INPUT, "%s", path);
    rt_names_free(&classes);
    return st;
}

static int is_known(const char *kind)
{
    static const char *const known[] = {format, with_heads, with_inputs, quantized, resized, older};
    for (size_t i = 0; i < sizeof known / sizeof known[0] && kind; i++) if (!strcmp(kind, known[i])) return 1;
    return 0;
}

/* Whom messages about names name. */
static void belongs_to(rt_model *m, const char *path)
{
    for (int i = 0; i < m->heads; i++) {
        free(m->head[i].names.of);
        m->head[i].names.of = strdup(path);
    }
    for (int i = 0; i < m->inputs; i++) {
        free(m->input[i].columns.of);
        free(m->input[i].of);
        m->input[i].columns.of = strdup(path);
        m->input[i].of = strdup(path);
    }
}

/* An ONNX file, brought in anew each time. */
static rt_status load_onnx(rt_model **out, const char *path, const cJSON *binding, const rt_x_where *x)
{
    rt_onnx_file *f;
    const cJSON *root = cJSON_GetObjectItemCaseSensitive(binding, "data_root"),
                *seconds = cJSON_GetObjectItemCaseSensitive(binding, "seconds"),
                *memory = cJSON_GetObjectItemCaseSensitive(binding, "memory");
    cJSON *notes = cJSON_CreateArray();
    rt_status st = notes ? RT_OK : rt_fail(RT_RUN, "out of memory");
    rt_onnx_spec_read spec = {.data_root = cJSON_GetStringValue(root),
                              .seconds = cJSON_IsNumber(seconds) ? seconds->valuedouble : 0};
    if (cJSON_IsNumber(memory) && memory->valuedouble >= 1 && memory->valuedouble <= 1 << 20)
        spec.budget = (size_t)memory->valuedouble << 20;
    if (!st) st = rt_onnx_read(&f, path, &spec);
    if (st) {
        cJSON_Delete(notes);
        return st;
    }
    st = rt_onnx_import(out, f, binding, x, notes);
    if (st) {
        st = rt_fail_in(st, "%s", path);
        cJSON_Delete(notes);
    } else {
        (*out)->file_bytes = f->bytes;
        belongs_to(*out, path);
        cJSON_AddItemToObject(cJSON_GetObjectItemCaseSensitive((*out)->provenance, "onnx"), "notes", notes);
    }
    rt_onnx_close(f);
    return st;
}

rt_status rt_model_load(rt_model **out, const char *path) { return rt_model_load_bound(out, path, NULL, NULL); }

static rt_status load_native(rt_model **, const char *path);

rt_status rt_model_load_bound(rt_model **out, const char *path, const cJSON *binding, const rt_x_where *x)
{
    int is_onnx;
    *out = NULL;
    RT_TRY(rt_onnx_look(path, &is_onnx));
    if (is_onnx) return load_onnx(out, path, binding, x);
    if (binding && binding->child)
        return rt_fail(RT_USAGE,
                       "%s: is no ONNX file, so \"%s\" does not apply: what a model of retort takes and answers "
                       "stands in its file",
                       path, binding->child->string);
    return load_native(out, path);
}

static rt_status load_native(rt_model **out, const char *path)
{
    rt_h5_file *f;
    char *text = NULL;
    cJSON *j = NULL;
    rt_model *m = NULL;
    *out = NULL;
    RT_TRY(rt_h5_scan(&f, path));
    rt_status st = RT_OK;
    if (!rt_h5_find(f, "manifest")) st = rt_fail(RT_INPUT, "%s: is no retort model: it has no manifest", path);
    if (!st) st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st) st = rt_json_parse(&j, text, strlen(text), path);
    const char *kind = j ? cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "format")) : NULL;
    const char *digest = j ? cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "digest")) : NULL;
    int old = kind && strcmp(kind, older) == 0;
    if (!st && (!is_known(kind) || !digest))
        st = rt_fail(RT_INPUT, "%s: is no retort model of format %s, %s, %s, %s, %s or %s", path, resized, quantized,
                     with_inputs, with_heads, format, older);
    if (!st && !old) st = check_manifest(text, path);
    const cJSON *arch = cJSON_GetObjectItemCaseSensitive(j, "arch");
    if (!st && !cJSON_IsObject(arch))
        st = rt_fail(RT_INPUT, "%s: its manifest has no architecture: 'arch' is missing or no object", path);
    if (!st) {
        st = build(&m, arch);
        if (st) st = rt_fail_in(st == RT_RUN ? RT_RUN : RT_INPUT, "%s", path);
    }
    int has = cJSON_HasObjectItem(j, "quantization");
    if (!st && (!strcmp(kind, quantized) || (has && !strcmp(kind, resized))))
        st = rt_quantizers_from_json(m, cJSON_GetObjectItemCaseSensitive(j, "quantization"), path);
    if (!st) st = check_fields(f, m->graph);
    if (!st) st = take_memory(m);
    for (int i = 0; !st && i < m->inputs; i++) st = read_normalization(&m->input[i], of_input(m, j, i), path);
    if (!st) st = load_fields(f, m);
    if (!st && strcmp(rt_model_digest(m).hex, digest))
        st = rt_fail(RT_INPUT, "%s: its weights do not match their digest; the file is damaged", path);
    if (!st) st = rt_quantizers_check(m, path);
    if (!st) st = read_names(m, j, path);
    if (!st) {
        cJSON *p = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(j, "provenance"), 1);
        if (p) {
            cJSON_Delete(m->provenance);
            m->provenance = p;
        }
        m->file_bytes = f->size;
        *out = m;
    } else rt_model_free(m);
    cJSON_Delete(j);
    free(text);
    rt_h5_close(f);
    return st;
}

/* ---- names, and sources as input ---- */

rt_status rt_model_set_classes(rt_model *m, int h, const rt_names *classes)
{
    return take_names(&m->head[h].names, classes, m->head[h].size, "classes",
                      rt_heads_plain(m->head, m->heads) ? "classes" : "heads");
}

rt_status rt_model_set_columns(rt_model *m, int i, const rt_names *columns)
{ return take_names(&m->input[i].columns, columns, (int)m->input[i].size, "columns", "input"); }

rt_status rt_model_set_names(rt_model *m, const rt_names *classes, const rt_names *columns)
{
    int only = -1, of_classes = 0;
    for (int h = 0; h < m->heads; h++)
        if (m->head[h].task == RT_TASK_CLASSES) {
            of_classes++;
            only = h;
        }
    if (of_classes == 1) RT_TRY(rt_model_set_classes(m, only, classes));
    return m->inputs == 1 ? rt_model_set_columns(m, 0, columns) : RT_OK;
}
