#include "experiments/jobs/deploy_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/version.h"
#include "export/out_file.h"

enum { FILES = 4, PATH = 4096 };
static const char *const form_names[] = {"program", "onnx-qdq", "c", "onnx"};

typedef struct {
    rt_output *out;
    char path[PATH];
    const void *data;
    size_t n;
} file;

/* Outputs of one export; the first is borrowed, the manifest is the last. */
typedef struct { file f[FILES]; int count; } files;

rt_status rt_program_there(const char *path, int *program)
{
    char begin[8] = "";
    size_t got = 0;
    int fd;
    *program = 0;
    RT_TRY(rt_open_input(&fd, path));
    rt_status st = rt_read_some(fd, begin, sizeof begin, path, &got);
    close(fd);
    *program = got == sizeof begin && !memcmp(begin, "retort-q", sizeof begin);
    return st;
}

rt_status rt_program_open(rt_program **out, rt_model **model, const char *path)
{
    int program;
    rt_model *m;
    rt_status st = RT_OK;
    *out = NULL;
    if (model) *model = NULL;
    RT_TRY(rt_program_there(path, &program));
    if (program) return rt_program_load(out, path);
    RT_TRY(rt_model_load(&m, path));
    if (!rt_model_quantized(m))
        st = rt_fail(RT_USAGE,
                     "%s: computes in float; an integer program needs a quantized model: see 'retort help quantize'",
                     path);
    else {
        st = rt_program_of(out, m);
        if (st) st = rt_fail_in(st, "%s", path);
    }
    if (model && !st) *model = m;
    else rt_model_free(m);
    return st;
}

static rt_status open_float(rt_model **out, const char *path)
{
    int program;
    RT_TRY(rt_program_there(path, &program));
    if (program)
        return rt_fail(RT_USAGE, "%s: is an integer program, whose ONNX is to=onnx-qdq; to=onnx is of float models",
                       path);
    RT_TRY(rt_model_load(out, path));
    rt_status st = rt_model_own_size(*out, path);
    if (!st) return RT_OK;
    rt_model_free(*out);
    *out = NULL;
    return st;
}

/* One more file, beside the others: its lock is taken, and it may be replaced. */
static rt_status add_file(files *s, const char *path, const rt_target *like, const char *const *inputs)
{
    file *f = &s->f[s->count];
    if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
        return rt_fail(RT_USAGE, "%s: is too long for a path", path);
    rt_target t = {.path = f->path, .force = like->force, .config = like->config};
    RT_TRY(rt_output_take(&f->out, &t, inputs));
    s->count++;
    return rt_output_may_replace(f->out, RT_OUTPUT_EXPORT);
}

static rt_status write_file(file *f)
{
    rt_out_file o = rt_out_open(f->out);
    rt_out_put(&o, f->data, f->n);
    return rt_out_close(&o, RT_OK);
}

/* What the run that made the model says of it, when its folder is the model's. A result that cannot be read is told. */
static rt_status add_result(cJSON *j, const char *model, const char *digest, cJSON *notes)
{
    char path[PATH];
    cJSON *r;
    const char *slash = strrchr(model, '/');
    int there, folder = slash ? (int)(slash - model) + 1 : 0;
    if ((size_t)snprintf(path, sizeof path, "%.*sresult.json", folder, model) >= sizeof path) return RT_OK;
    RT_TRY(rt_file_there(path, &there));
    if (!there) return RT_OK;
    rt_status st = rt_json_sealed_file(&r, path);
    if (st == RT_INPUT) {
        char text[2 * PATH];
        snprintf(text, sizeof text, "the manifest has no result of the run: %s", rt_error_message());
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
        return RT_OK;
    }
    RT_TRY(st);
    const char *of = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, "digest"));
    if (of && !strcmp(of, digest)) {
        cJSON_DeleteItemFromObjectCaseSensitive(r, "history");
        cJSON_DeleteItemFromObjectCaseSensitive(r, "model");
        cJSON_AddItemToObject(j, "result", r);
    } else cJSON_Delete(r);
    return RT_OK;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* One of them. */
typedef struct { rt_program *p; rt_model *m; } subject;

static rt_status describe_program(cJSON *j, const rt_program *p)
{
    static const char *const keys[] = {"model", "heads", "normalization", "columns", "provenance"};
    const cJSON *about = rt_program_about(p);
    uint8_t *bytes;
    size_t n;
    RT_TRY(rt_program_write(p, &bytes, &n));
    cJSON_AddNumberToObject(j, "contract", RT_INT_CONTRACT);
    cJSON_AddStringToObject(j, "program", rt_digest_of(bytes, n).hex);
    cJSON_AddStringToObject(j, "input", rt_program_takes(p) ? "u8" : "f32");
    cJSON_AddNumberToObject(j, "multiply_adds", rt_net_macs(rt_program_net(p)));
    free(bytes);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(about, keys[i]);
        if (v) cJSON_AddItemToObject(j, keys[i], cJSON_Duplicate(v, 1));
    }
    return RT_OK;
}

static void describe_model(cJSON *j, const rt_model *m, const rt_onnx_float_spec *spec)
{
    cJSON_AddStringToObject(j, "input", spec->u8 ? "u8" : "f32");
    cJSON_AddNumberToObject(j, "multiply_adds", rt_graph_macs(m->graph));
    cJSON_AddStringToObject(j, "model", rt_model_digest(m).hex);
    cJSON_AddItemToObject(j, "heads", rt_heads_to_json(m->head, m->heads));
    if (m->inputs > 1) cJSON_AddItemToObject(j, "inputs", rt_model_inputs_json(m));
    else cJSON_AddItemToObject(j, "normalization", rt_input_normalization(&m->input[0]));
    if (m->inputs == 1 && m->input[0].columns.name)
        cJSON_AddItemToObject(j, "columns", rt_names_to_json(&m->input[0].columns));
    cJSON_AddItemToObject(j, "provenance", cJSON_Duplicate(m->provenance, 1));
}

static rt_status describe(cJSON **manifest, const rt_deploy_spec *spec, const subject *of, const files *s, cJSON *notes)
{
    cJSON *j = *manifest = cJSON_CreateObject(), *list;
    cJSON_AddStringToObject(j, "format", form_names[spec->form]);
    list = cJSON_AddArrayToObject(j, "files");
    for (int i = 0; i < s->count - 1; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        cJSON_AddStringToObject(one, "file", name_of(s->f[i].path));
        cJSON_AddNumberToObject(one, "bytes", (double)s->f[i].n);
        cJSON_AddStringToObject(one, "xxh128", rt_digest_of(s->f[i].data, s->f[i].n).hex);
    }
    cJSON_AddStringToObject(j, "made_by", rt_tool());
    if (of->p) RT_TRY(describe_program(j, of->p));
    else describe_model(j, of->m, &spec->onnx_float);
    const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "model"));
    return model ? add_result(j, spec->input, model, notes) : RT_OK;
}

/* The bytes of all files but the manifest. */
typedef struct { uint8_t *bytes; rt_c_files c; } texts;

static rt_status make(const rt_deploy_spec *spec, const subject *of, files *s, texts *t, cJSON *notes)
{
    file *f = s->f;
    const rt_program *p = of->p;
    if (spec->form == RT_DEPLOY_ONNX_FLOAT) {
        rt_status st = rt_export_onnx_float(of->m, &spec->onnx_float, &t->bytes, &f[0].n);
        f[0].data = t->bytes;
        return st ? rt_fail_in(st, "%s", spec->input) : RT_OK;
    }
    if (spec->form == RT_DEPLOY_C) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)strlen(name_of(f[0].path)) - 2, name_of(f[0].path));
        RT_TRY(rt_export_c(p, name, NULL, &t->c));
        const rt_string *text[] = {&t->c.code, &t->c.header, &t->c.data};
        for (int i = 0; i < 3; i++) {
            f[i].data = text[i]->p;
            f[i].n = text[i]->n;
        }
        return RT_OK;
    }
    int packed = 0;
    rt_status st = spec->form == RT_DEPLOY_ONNX ? rt_export_onnx(p, &spec->onnx, &t->bytes, &f[0].n, &packed)
                                                : rt_program_write(p, &t->bytes, &f[0].n);
    f[0].data = t->bytes;
    if (!st && packed) {
        char text[160];
        snprintf(text, sizeof text,
                 "%d layers have INT4 weights, with which ONNX Runtime computes in float: slower, and its "
                 "answers may differ",
                 packed);
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    return st;
}

/* NAME.c, which is s->f[0], with the others of C and the manifest. */
static rt_status take_files(const rt_deploy_spec *spec, files *s, const rt_target *out, const char *const *inputs)
{
    char path[PATH];
    const size_t n = strlen(out->path);
    if (spec->form == RT_DEPLOY_C) {
        if (n < 3 || strcmp(out->path + n - 2, ".c"))
            return rt_fail(RT_USAGE, "%s: C code is NAME.c, NAME.h and NAME_data.c; give --out NAME.c", out->path);
        snprintf(path, sizeof path, "%.*s.h", (int)n - 2, out->path);
        RT_TRY(add_file(s, path, out, inputs));
        snprintf(path, sizeof path, "%.*s_data.c", (int)n - 2, out->path);
        RT_TRY(add_file(s, path, out, inputs));
    }
    snprintf(path, sizeof path, "%s.json", out->path);
    return add_file(s, path, out, inputs);
}

static rt_status deploy(const rt_deploy_spec *spec, files *s, const subject *of, cJSON **manifest, texts *t,
                        cJSON *notes)
{
    file *last = &s->f[s->count - 1];
    char *text = NULL;
    RT_TRY(make(spec, of, s, t, notes));
    rt_status st = describe(manifest, spec, of, s, notes);
    if (!st && !(text = rt_json_text(*manifest, 1))) st = rt_fail(RT_RUN, "out of memory");
    last->data = text;
    last->n = text ? strlen(text) : 0;
    for (int i = 0; i < s->count && !st; i++) st = write_file(&s->f[i]);
    free(text);
    return st;
}

rt_status rt_deploy(const rt_deploy_spec *spec, rt_output *first, const rt_target *out, const char *const *inputs,
                    cJSON *result, cJSON *notes)
{
    files s = {.count = 1, .f = {{.out = first}}};
    texts t = {0};
    subject of = {NULL, NULL};
    cJSON *manifest = NULL;
    if ((size_t)snprintf(s.f[0].path, PATH, "%s", out->path) >= PATH - 16)
        return rt_fail(RT_USAGE, "%s: is too long for a path", out->path);
    rt_status st = take_files(spec, &s, out, inputs);
    if (!st && spec->form == RT_DEPLOY_ONNX_FLOAT) st = open_float(&of.m, spec->input);
    else if (!st) st = rt_program_open(&of.p, NULL, spec->input);
    if (!st) st = deploy(spec, &s, &of, &manifest, &t, notes);
    if (!st) {
        static const char *const keys[] = {"files", "program", "contract", "input", "multiply_adds"};
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            if (cJSON_HasObjectItem(manifest, keys[i]))
                cJSON_AddItemToObject(result, keys[i], cJSON_DetachItemFromObjectCaseSensitive(manifest, keys[i]));
        cJSON_AddStringToObject(result, "manifest", s.f[s.count - 1].path);
    }
    for (int i = s.count - 1; i > 0; i--) rt_output_end(s.f[i].out);
    rt_c_files_free(&t.c);
    free(t.bytes);
    cJSON_Delete(manifest);
    rt_program_free(of.p);
    rt_model_free(of.m);
    return st;
}
