/* teacher/process.c - a program in any language as a teacher: rows go out as NPY arrays, answers come back as such.
 *
 *   {"command": ["python3", "teacher.py"],    no shell; sought in PATH where it has no '/'
 *    "version": "3",                          of what the files of the command do not tell; part of its identity
 *    "classes": 10 or ["cat", ...],           what it answers; or "heads": [{"name", "task", "size", "names"}]
 *    "gives": "logits" | "probabilities",     the latter become log max(p, 1e-30), of labels log p - log(1 - p)
 *    "input": "x", "columns": ["a", ...],     which of several inputs; columns of rows by name, in this order
 *    "normalize": {"mean", "std"},            rows are then float32 (x - mean) / std; else as the data has them
 *    "batch": 64, "check": true, "start_seconds": 120, "batch_seconds": 60}
 *
 * Every array that it reads has `batch` rows (the last row again where there are fewer), so that what it answers does
 * not depend on who asks for how many. It answers an array (batch, W) of f16, f32 or f64 to each, in turn, and reads
 * the next one afterwards. A program that ends, or gives no answer in time, is started again and asked again, twice at
 * most for the same rows; an answer of another shape or type, or that is no number, is an error at once. With "check"
 * the first rows after each start, and those of every 256th array, are asked about a second time, moved by one: a
 * program that mixes up rows, or whose answer to a row depends on those beside it, is found so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/npy.h"
#include "data/provenance.h"
#include "engine/memory.h"
#include "student/view_config.h"
#include "teacher/process_parts.h"

static const rt_teacher_kind kind;

static const rt_process_teacher *of(const rt_teacher *t) { return (const rt_process_teacher *)(const void *)t; }
static rt_process_teacher *own(rt_teacher *t) { return (rt_process_teacher *)(void *)t; }

/* ---- specification ---- */

static void read_numbers(rt_cfg *c, const char *key, double **out, int *count)
{
    const cJSON *v = rt_cfg_any(c, key);
    int n = cJSON_IsNumber(v) ? 1 : cJSON_GetArraySize(v), i = 0;
    const cJSON *e = cJSON_IsNumber(v) ? v : v ? v->child : NULL;
    *out = n ? calloc((size_t)n, sizeof **out) : NULL;
    for (; e && i < n && *out && cJSON_IsNumber(e); e = cJSON_IsNumber(v) ? NULL : e->next)
        (*out)[i++] = e->valuedouble;
    if (!n || i < n || n > RT_MAX_CHANNELS)
        rt_cfg_fail(c, key, "a number, or a list with one for each channel, is expected");
    *count = n;
}

static void read_normalize(rt_cfg *c, rt_process_told *s)
{
    if (!rt_cfg_has(c, "normalize")) {
        rt_cfg_any(c, "normalize");
        return;
    }
    int deviations;
    rt_cfg n = rt_cfg_object(c, "normalize");
    read_numbers(&n, "mean", &s->mean, &s->channels);
    read_numbers(&n, "std", &s->std, &deviations);
    if (!n.status && deviations != s->channels) rt_cfg_fail(&n, "std", "as many numbers as in \"mean\" are expected");
    for (int i = 0; i < deviations && !n.status; i++)
        if (!(s->std[i] > 0)) rt_cfg_fail(&n, "std", "must be above 0");
    rt_cfg_join(c, &n);
}

rt_status rt_teacher_read_heads(rt_cfg *c, rt_head head[RT_MAX_HEADS], int *heads, const char *of_file)
{
    cJSON *classes = rt_cfg_any(c, "classes"), *list = rt_cfg_any(c, "heads");
    rt_names names = {0};
    *heads = 0;
    if (!c->status && !classes == !list)
        rt_cfg_fail(c, "classes", "give the classes, [\"cat\", ...] or how many, or \"heads\": [...] in their place");
    RT_TRY(c->status);
    if (list) return c->status = rt_heads_from_json(head, heads, list, of_file, "heads");
    int count = cJSON_IsNumber(classes) ? (int)classes->valuedouble : cJSON_GetArraySize(classes);
    if (cJSON_IsNumber(classes) && (classes->valuedouble != count || count < 1)) count = 0;
    if (!count) {
        rt_cfg_fail(c, "classes", "a list of names, or a whole number from 1 on, is expected");
        return c->status;
    }
    c->status = rt_heads_add(head, heads, "y", RT_TASK_CLASSES, count);
    if (!c->status && cJSON_IsArray(classes)) c->status = rt_names_from_json(&names, classes, of_file, "classes");
    if (!c->status && !names.name) c->status = rt_names_numbered(&names, count, of_file);
    if (c->status) return c->status;
    rt_names_free(&head[0].names);
    head[0].names = names;
    return RT_OK;
}

static void free_told(rt_process_told *s)
{
    rt_heads_free(s->head, s->heads);
    rt_names_free(&s->columns);
    free(s->mean);
    free(s->std);
}

static rt_status read_told(rt_cfg *c, rt_process_told *s, const char *name)
{
    static const char *const gives[] = {"logits", "probabilities", NULL};
    s->arguments = rt_cfg_strings(c, "command", s->command, RT_CHILD_ARGUMENTS);
    if (!s->arguments) rt_cfg_fail(c, "command", "the program and its arguments are required: [\"program\", ...]");
    s->version = rt_cfg_string(c, "version", NULL);
    if (!c->status && !*s->version) rt_cfg_fail(c, "version", "a text that is not empty is expected");
    s->probabilities = rt_cfg_choice(c, "gives", gives, 0);
    s->input = rt_cfg_string(c, "input", "");
    s->batch = rt_cfg_int(c, "batch", 64, 1, 65536);
    s->check = rt_cfg_bool(c, "check", 1);
    s->start_seconds = rt_cfg_number(c, "start_seconds", 120, 0.01, 86400);
    s->batch_seconds = rt_cfg_number(c, "batch_seconds", 60, 0.01, 86400);
    read_normalize(c, s);
    const cJSON *columns = rt_cfg_any(c, "columns");
    if (!c->status) c->status = rt_names_from_json(&s->columns, columns, name, "columns");
    if (!c->status) rt_teacher_read_heads(c, s->head, &s->heads, name);
    return rt_cfg_end(c);
}

/* ---- identity ---- */

/* A file of the command by its content, any other argument by its text. */
static rt_status hash_argument(rt_process *p, int i, rt_hasher *h, cJSON *list)
{
    const char *arg = p->told.command[i];
    struct stat s;
    rt_digest d;
    p->file[i] = (i || strchr(arg, '/')) && !stat(arg, &s) && S_ISREG(s.st_mode);
    if (!p->file[i]) {
        rt_hasher_add(h, arg, strlen(arg) + 1);
        cJSON_AddItemToArray(list, cJSON_CreateString(arg));
        return RT_OK;
    }
    RT_TRY(rt_stamp_at(&p->stamp[i], arg));
    RT_TRY(rt_digest_file(&d, arg, 1));
    rt_hasher_add(h, d.hex, sizeof d.hex);
    p->file_bytes += (double)p->stamp[i].size;
    cJSON *file = cJSON_CreateObject();
    cJSON_AddItemToArray(list, file);
    cJSON_AddStringToObject(file, "xxh128", d.hex);
    return RT_OK;
}

/* All that an answer may depend on. */
static rt_status identify(rt_process *p)
{
    const rt_process_told *s = &p->told;
    static const char mark[] = "retort-process-1";
    rt_hasher *h = rt_hasher_new();
    p->about = cJSON_CreateObject();
    cJSON *about = cJSON_AddObjectToObject(p->about, "process"), *list = cJSON_AddArrayToObject(about, "command");
    rt_hasher_add(h, mark, sizeof mark);
    rt_status st = RT_OK;
    for (int i = 0; i < s->arguments && !st; i++) st = hash_argument(p, i, h, list);
    cJSON_AddStringToObject(about, "version", s->version);
    cJSON_AddStringToObject(about, "gives", s->probabilities ? "probabilities" : "logits");
    cJSON_AddNumberToObject(about, "batch", s->batch);
    if (*s->input) cJSON_AddStringToObject(about, "input", s->input);
    if (s->mean) {
        cJSON *n = cJSON_AddObjectToObject(about, "normalize");
        cJSON_AddItemToObject(n, "mean", cJSON_CreateDoubleArray(s->mean, s->channels));
        cJSON_AddItemToObject(n, "std", cJSON_CreateDoubleArray(s->std, s->channels));
    }
    cJSON_AddItemToObject(about, "heads", rt_heads_to_json(s->head, s->heads));
    if (s->columns.name) cJSON_AddItemToObject(about, "columns", rt_names_to_json(&s->columns));
    char *text = cJSON_PrintUnformatted(about);
    if (text) rt_hasher_add(h, text, strlen(text) + 1);
    else if (!st) st = rt_fail(RT_RUN, "out of memory");
    cJSON_free(text);
    p->digest = rt_hasher_end(h);
    return st;
}

/* ---- life ---- */

static void free_process(rt_process *p)
{
    char how[8];
    if (p->running) rt_child_end(&p->child, 1, how, 0);
    free_told(&p->told);
    if (p->bound) rt_input_free(&p->in);
    cJSON_Delete(p->about);
    free(p);
}

static void close_process(rt_teacher *t)
{
    rt_process_teacher *q = own(t);
    void *mine[] = {q->place, q->body, q->reply, q->x, q->z, q->again};
    for (size_t i = 0; i < sizeof mine / sizeof mine[0]; i++) free(mine[i]);
    rt_heads_free(q->head, q->heads);
    if (q->owned && q->process) free_process(q->process);
    free(q);
}

rt_status rt_teacher_read_process(rt_teacher **out, rt_cfg *c, const rt_x_where *x)
{
    (void)x;
    rt_process *p = calloc(1, sizeof *p);
    rt_process_teacher *q = calloc(1, sizeof *q);
    const char *name[RT_TEACHER_FILES] = {"the command"};
    rt_status st = p && q ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) rt_teacher_spec_files(c->object, name, 0, 1);
    if (!st) st = read_told(c, &p->told, name[0]);
    if (!st && out) {
        p->name = name[0];
        st = identify(p);
    }
    if (st || !out) {
        if (p) free_process(p);
        free(q);
        return st;
    }
    q->base.kind = &kind;
    q->process = p;
    q->owned = 1;
    q->width = rt_heads_width(p->told.head, p->told.heads);
    *out = &q->base;
    return RT_OK;
}

/* It asks the same program. */
static rt_status twin(rt_teacher **out, const rt_teacher *t)
{
    rt_process_teacher *q = calloc(1, sizeof *q);
    if (!q) return rt_fail(RT_RUN, "out of memory");
    q->base.kind = &kind;
    q->process = of(t)->process;
    q->width = rt_heads_width(q->process->told.head, q->process->told.heads);
    *out = &q->base;
    return RT_OK;
}

static const rt_head *heads(const rt_teacher *t, int *count)
{
    *count = of(t)->process->told.heads;
    return of(t)->process->told.head;
}

static const rt_names *columns(const rt_teacher *t) { return &of(t)->process->told.columns; }

static int inputs(const rt_teacher *t, const char *name[RT_SOURCE_PARTS], int n)
{
    rt_input in = {.name = of(t)->process->told.input};
    return *in.name ? rt_inputs_list(&in, 1, name, n) : n;
}

static rt_status digest(const rt_teacher *t, rt_digest *d)
{
    *d = of(t)->process->digest;
    return RT_OK;
}

static void hash_names(const rt_teacher *t, rt_hasher *h)
{
    rt_heads_hash(h, of(t)->process->told.head, of(t)->process->told.heads);
    rt_names_hash(h, &of(t)->process->told.columns);
}

/* Nothing is known of what it was trained on. */
static rt_status seen(const rt_teacher *t, cJSON *list)
{ return rt_seen_join(list, of(t)->process->about, "teacher", of(t)->process->digest.hex); }

static const cJSON *provenance(const rt_teacher *t, int member) { return member ? NULL : of(t)->process->about; }

static rt_status tell(const rt_teacher *t, cJSON *into) { return rt_json_merge(into, of(t)->process->about); }

static rt_teacher_cost costs(const rt_teacher *t)
{ return (rt_teacher_cost){.file_bytes = of(t)->process->file_bytes}; }

/* ---- rows ---- */

static rt_status note(cJSON *notes, const char *name, rt_dtype type)
{
    char text[300];
    if (!notes) return RT_OK;
    snprintf(text, sizeof text, "%.100s: %s values of the data are sent as f32", name, rt_dtype_name(type));
    return cJSON_AddItemToArray(notes, cJSON_CreateString(text)) ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* The data set among those side by side that it reads. */
static rt_status find_part(const rt_process *p, const rt_source *s, const rt_source **part, const char **name)
{
    int joined = rt_source_part(s, 0, NULL, NULL) != s, k = 0;
    if (joined && !*p->told.input)
        return rt_fail(RT_USAGE, "%s: reads one data set, and data.x names %d; tell its name by \"input\"", p->name,
                       rt_source_parts(s));
    if (joined && (k = rt_source_find_part(s, p->told.input)) < 0)
        return rt_fail(RT_USAGE, "%s: reads '%s', and data.x has no such input", p->name, p->told.input);
    *part = rt_source_part(s, k, NULL, NULL);
    *name = *p->told.input ? p->told.input : "x";
    return RT_OK;
}

/* Columns that it does not name are taken as the data has them. */
static rt_status bind_input(rt_process *p, const rt_teacher_binding *b, const rt_source *part, const char *name)
{
    const rt_process_told *s = &p->told;
    rt_shape shape;
    RT_TRY(rt_source_shape(part, &shape));
    if (s->columns.name) shape = (rt_shape){1, {s->columns.count}};
    if (p->bound) rt_input_free(&p->in);
    memset(&p->in, 0, sizeof p->in);
    p->bound = 1;
    RT_TRY(rt_input_begin(&p->in, name, &shape));
    if (s->mean) {
        rt_status st = rt_input_set_normalization(&p->in, s->mean, s->std, s->channels);
        if (st) return rt_fail_in(st, "%s: normalize", p->name);
    }
    RT_TRY(s->columns.name ? rt_names_copy(&p->in.columns, &s->columns) : rt_source_columns(part, &p->in.columns));
    p->in.of = strdup(p->name);
    if (!p->in.of) return rt_fail(RT_RUN, "out of memory");
    return rt_inputs_bind(&p->in, 1, b->source, b->match, b->notes);
}

static rt_status bind(rt_teacher *t, const rt_teacher_binding *b)
{
    rt_process *p = own(t)->process;
    const rt_source *part = NULL;
    const char *name = NULL;
    RT_TRY(find_part(p, b->source, &part, &name));
    RT_TRY(bind_input(p, b, part, name));
    const rt_h5_dataset *set = rt_source_info(part);
    rt_dtype stored = rt_source_type(part);
    p->type = p->told.mean || !rt_npy_type(stored) ? RT_F32 : stored;
    if (p->type != stored && !p->told.mean) RT_TRY(note(b->notes, p->name, stored));
    p->rank = p->told.columns.name ? 2 : set->rank;
    for (int i = 1; i < set->rank; i++) p->dim[i] = set->dim[i];
    if (p->told.columns.name) p->dim[1] = p->in.size;
    p->row_bytes = p->in.size * rt_dtype_size(p->type);
    p->progress = b->progress;
    p->notes = b->notes;
    p->marks = b->marks;
    return rt_teacher_check_classes(t, b);
}

static rt_status answer_as(rt_teacher *t, const rt_head *head, int count, const char *asks, rt_match match)
{
    rt_process_teacher *q = own(t);
    const rt_process *p = q->process;
    return rt_teacher_keep_asked((rt_teacher_asked){q->head, &q->heads, &q->width, &q->place}, p->told.head,
                                 p->told.heads, p->name, head, count, asks, match);
}

/* A twin, which is timed, sends what it is asked for; whose answers are kept, always the same number of rows. */
static rt_status ready(rt_teacher *t, rt_device *device, int micro, const char *const *feature, int features)
{
    rt_process_teacher *q = own(t);
    rt_process *p = q->process;
    (void)device, (void)feature;
    if (features) return rt_fail(RT_USAGE, "%s: is a process, and has no layers to learn from", p->name);
    size_t n = (size_t)(q->micro = q->owned || !micro ? p->told.batch : micro);
    size_t width = (size_t)rt_heads_width(p->told.head, p->told.heads);
    if (p->row_bytes > (size_t)RT_SOURCE_ROW_BYTES * 2 / n)
        return rt_fail(RT_USAGE, "%s: %zu rows of %zu bytes are more than is sent at once; give a smaller \"batch\"",
                       p->name, n, p->row_bytes);
    q->body = malloc(n * p->row_bytes + 64);
    q->reply = malloc(n * width * sizeof(double) + 64);
    q->x = rt_floats_new(n * p->in.size);
    q->z = rt_floats_new(n * width);
    q->again = rt_floats_new(n * width);
    if (!q->body || !q->reply || !q->x || !q->z || !q->again) return rt_fail(RT_RUN, "out of memory");
    return q->owned ? rt_process_start(p) : RT_OK;
}

static rt_status ask(rt_teacher *t, const rt_feed *q, float *answers)
{
    rt_process_teacher *p = own(t);
    size_t width = (size_t)p->width, from = (size_t)rt_heads_width(p->process->told.head, p->process->told.heads);
    for (int at = 0; at < q->rows; at += p->micro) {
        int rows = q->rows - at < p->micro ? q->rows - at : p->micro;
        float *out = answers + (size_t)at * width;
        RT_TRY(rt_process_ask(p, q, at, rows, p->z));
        if (!p->place) {
            memcpy(out, p->z, (size_t)rows * width * sizeof *out);
            continue;
        }
        memset(out, 0, (size_t)rows * width * sizeof *out);
        for (size_t r = 0; r < (size_t)rows; r++)
            for (size_t c = 0; c < from; c++)
                if (p->place[c] >= 0) out[r * width + (size_t)p->place[c]] = p->z[r * from + c];
    }
    return RT_OK;
}

static rt_status check_view(const rt_teacher *t, rt_view_desc *v)
{ return rt_view_check(v, &of(t)->process->in, 1); }

static int micro_of(const rt_teacher *t) { return of(t)->micro; }

static const rt_teacher_kind kind = {.name = "process",
                                     .can = RT_TEACHER_COMPUTES,
                                     .close = close_process,
                                     .twin = twin,
                                     .heads = heads,
                                     .columns = columns,
                                     .inputs = inputs,
                                     .digest = digest,
                                     .hash_names = hash_names,
                                     .seen = seen,
                                     .provenance = provenance,
                                     .tell = tell,
                                     .costs = costs,
                                     .bind = bind,
                                     .answer_as = answer_as,
                                     .ready = ready,
                                     .check_view = check_view,
                                     .ask = ask,
                                     .micro = micro_of};
