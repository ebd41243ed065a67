#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "engine/graph.h"
#include "experiments/registry/registry_parts.h"
#include "student/model.h"
#include "student/quantizers.h"

enum { TRIES = 5, PAPERS = 128, TEACHERS = 64 };

/* What an add brings, read and checked before anything is written. */
typedef struct {
    rt_registry *r;
    const rt_registry_adding *a;
    rt_version v;
    rt_stamp then;                     /* of the model's file, before it was looked at */
    rt_registry_paper paper[PAPERS];
    int papers, evaluations, verdicts; /* evaluations first, then verdicts (before this place), then looks at drift */
    int64_t bytes, parent;
    char *facts, *configuration;
    char configuration_sha256[RT_SHA256];
    char teacher[72], labels[72], data[72], init[72], tool[200], seed[32];
    cJSON *notes;
} adding;

static const char *text_at(const cJSON *j, const char *a, const char *b, const char *c)
{
    j = cJSON_GetObjectItemCaseSensitive(j, a);
    if (b) j = cJSON_GetObjectItemCaseSensitive(j, b);
    if (c) j = cJSON_GetObjectItemCaseSensitive(j, c);
    const char *text = cJSON_GetStringValue(j);
    return text && rt_is_utf8(text) ? text : "";
}

static void copy(char *out, size_t room, const char *first, const char *second)
{
    snprintf(out, room, "%s", *first ? first : second);
    rt_one_line(out);
}

/* ---- what the model says of itself ---- */

static cJSON *facts_of(const rt_model *m)
{
    char shape[64];
    cJSON *j = cJSON_CreateObject(), *inputs = cJSON_AddArrayToObject(j, "inputs");
    for (int i = 0; i < m->inputs; i++)
        cJSON_AddItemToArray(inputs, cJSON_CreateString(rt_shape_text(&m->input[i].shape, shape)));
    cJSON_AddItemToObject(j, "heads", rt_heads_to_json(m->head, m->heads));
    cJSON_AddNumberToObject(j, "layers", m->graph->nodes);
    cJSON_AddNumberToObject(j, "parameters", (double)rt_graph_param_count(m->graph));
    cJSON_AddNumberToObject(j, "macs", rt_graph_macs(m->graph));
    cJSON_AddBoolToObject(j, "quantized", rt_model_quantized(m));
    return j;
}

/* The configuration that it was trained by, and quantized by: equal ones are one object. */
static rt_status take_configuration(adding *x, const cJSON *provenance)
{
    const cJSON *config = cJSON_GetObjectItemCaseSensitive(provenance, "config");
    const cJSON *quantized = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(provenance, "quantized"), "config");
    if (!cJSON_IsObject(config) && !quantized) return RT_OK;
    cJSON *both = cJSON_IsObject(config) ? cJSON_Duplicate(config, 1) : cJSON_CreateObject();
    if (quantized) cJSON_AddItemToObject(both, "quantize", cJSON_Duplicate(quantized, 1));
    rt_json_sort(both);
    x->configuration = rt_json_text(both, 1);
    cJSON_Delete(both);
    if (!x->configuration) return rt_fail(RT_RUN, "out of memory");
    if (strlen(x->configuration) <= RT_REGISTRY_OBJECT_MAX) return RT_OK;
    return rt_fail(RT_INPUT, "%s: its configuration is longer than %d bytes", x->a->model, RT_REGISTRY_OBJECT_MAX);
}

/* The models of an ensemble or a mixture that taught, by digest: theirs is none of a version. */
static void add_teachers(const cJSON *of, cJSON *list)
{
    const cJSON *mix = cJSON_GetObjectItemCaseSensitive(of, "mix"),
                *members = cJSON_GetObjectItemCaseSensitive(mix ? mix : of, mix ? "teachers" : "members");
    for (const cJSON *e = members ? members->child : NULL; e && cJSON_GetArraySize(list) < TEACHERS; e = e->next) {
        const cJSON *told = cJSON_IsString(e) ? e : cJSON_GetObjectItemCaseSensitive(e, "digest");
        const char *digest = cJSON_GetStringValue(told);
        if (digest && strlen(digest) == 32 && strspn(digest, "0123456789abcdef") == 32)
            cJSON_AddItemToArray(list, cJSON_CreateString(digest));
    }
}

static void take_teachers(const cJSON *provenance, cJSON *facts)
{
    cJSON *list = cJSON_CreateArray();
    add_teachers(cJSON_GetObjectItemCaseSensitive(provenance, "teacher"), list);
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(provenance, "labels");
    add_teachers(labels, list);
    add_teachers(cJSON_GetObjectItemCaseSensitive(labels, "teacher"), list);
    if (list->child) cJSON_AddItemToObject(facts, "teachers", list);
    else cJSON_Delete(list);
}

static rt_status take_model(adding *x)
{
    rt_model *m;
    char number[32] = "";
    RT_TRY(rt_stamp_at(&x->then, x->a->model));
    RT_TRY(rt_model_load(&m, x->a->model));
    const cJSON *p = m->provenance, *seed = cJSON_GetObjectItemCaseSensitive(p, "seed");
    strcpy(x->v.digest, rt_model_digest(m).hex);
    copy(x->teacher, sizeof x->teacher, text_at(p, "teacher_digest", NULL, NULL),
         text_at(p, "labels", "teacher", "digest"));
    copy(x->labels, sizeof x->labels, text_at(p, "content", "labels", NULL), "");
    copy(x->data, sizeof x->data, text_at(p, "data_digest", NULL, NULL), text_at(p, "quantized", "data_digest", NULL));
    copy(x->init, sizeof x->init, text_at(p, "quantized", "from", NULL), text_at(p, "content", "init", NULL));
    copy(x->tool, sizeof x->tool, text_at(p, "quantized", "tool", NULL), text_at(p, "tool", NULL, NULL));
    if (cJSON_IsNumber(seed)) snprintf(number, sizeof number, "%.0f", seed->valuedouble);
    copy(x->seed, sizeof x->seed, text_at(p, "seed", NULL, NULL), number);
    cJSON *facts = facts_of(m);
    take_teachers(p, facts);
    x->facts = rt_json_text(facts, 0);
    cJSON_Delete(facts);
    rt_status st = x->facts ? take_configuration(x, p) : rt_fail(RT_RUN, "out of memory");
    rt_model_free(m);
    if (!st && x->a->gates) st = rt_sha256_of_file(x->v.sha256, &x->bytes, x->a->model);
    return st;
}

/* ---- papers ---- */

static rt_status take_evaluations(adding *x)
{
    for (int i = 0; i < x->a->evaluations; i++) {
        if (x->papers == PAPERS)
            return rt_fail(RT_USAGE, "at most %d evaluations and verdicts are taken at once", PAPERS);
        rt_registry_paper *p = &x->paper[x->papers];
        RT_TRY(rt_registry_paper_read(p, x->a->evaluation[i], "retort-evaluation-"));
        x->papers++;
        if (!rt_evaluation_of(p->json, x->v.digest, x->a->evaluation[i])) return RT_INPUT;
    }
    x->evaluations = x->papers;
    return RT_OK;
}

static rt_status take_verdicts(adding *x)
{
    for (int i = 0; i < x->a->gates; i++) {
        if (x->papers == PAPERS)
            return rt_fail(RT_USAGE, "at most %d evaluations and verdicts are taken at once", PAPERS);
        rt_registry_paper *p = &x->paper[x->papers];
        RT_TRY(rt_registry_paper_read(p, x->a->gate[i], "retort-verdict-"));
        x->papers++;
        const char *file = rt_verdict_side(p->json, "candidate", "sha256"),
                   *model = rt_verdict_side(p->json, "candidate", "model_digest");
        if (strcmp(file, x->v.sha256) || strcmp(model, x->v.digest))
            return rt_fail(RT_INPUT,
                           "%s: is of another candidate (file sha256:%.12s..., model %.12s...), and this model "
                           "is sha256:%.12s..., %.12s...",
                           x->a->gate[i], file, model, x->v.sha256, x->v.digest);
    }
    return RT_OK;
}

/* With a model they are of this one; without they are of the data alone. */
static rt_status take_drifts(adding *x)
{
    x->verdicts = x->papers;
    for (int i = 0; i < x->a->drifts; i++) {
        if (x->papers == PAPERS)
            return rt_fail(RT_USAGE, "at most %d evaluations, verdicts and looks at drift are taken at once", PAPERS);
        rt_registry_paper *p = &x->paper[x->papers];
        RT_TRY(rt_registry_paper_read(p, x->a->drift[i], "retort-drift-1"));
        x->papers++;
        const char *model = text_at(p->json, "model", "digest", NULL);
        if (*model && strcmp(model, x->v.digest))
            return rt_fail(RT_INPUT, "%s: is of another model (%.12s...), and this one is %.12s...", x->a->drift[i],
                           model, x->v.digest);
    }
    return RT_OK;
}

static rt_status put_objects(adding *x)
{
    if (x->a->model) {
        RT_TRY(rt_object_put_file(x->r, x->a->model, x->v.sha256, &x->bytes));
        RT_TRY(rt_stamp_unchanged(&x->then, x->a->model));          /* what was looked at is what was copied */
    }
    if (x->configuration)
        RT_TRY(rt_object_put(x->r, x->configuration, strlen(x->configuration), x->configuration_sha256));
    for (int i = 0; i < x->papers; i++)
        RT_TRY(rt_object_put(x->r, x->paper[i].text, x->paper[i].bytes, x->paper[i].sha256));
    return RT_OK;
}

/* ---- rows ---- */

static rt_status refer_all(adding *x, int *gone)
{
    *gone = 0;
    if (x->a->model) RT_TRY(rt_object_refer(x->r, x->v.sha256, x->bytes, "model", gone));
    if (x->configuration && !*gone)
        RT_TRY(
            rt_object_refer(x->r, x->configuration_sha256, (int64_t)strlen(x->configuration), "configuration", gone));
    for (int i = 0; i < x->papers && !*gone; i++)
        RT_TRY(rt_object_refer(x->r, x->paper[i].sha256, (int64_t)x->paper[i].bytes,
                               i < x->evaluations ? "evaluation" : i < x->verdicts ? "verdict" : "drift", gone));
    return RT_OK;
}

/* The version that the model began from, of this name rather than of another. */
static rt_status find_parent(adding *x)
{
    rt_version p;
    x->parent = 0;
    if (x->a->parent) {
        RT_TRY(rt_registry_find(x->r, x->a->parent, &p));
        x->parent = p.id;
        return RT_OK;
    }
    if (!*x->init) return RT_OK;
    return rt_sql_number(x->r, &x->parent, 0,
                         "SELECT id FROM version WHERE digest = ? ORDER BY model = ? DESC, id DESC LIMIT 1", "si",
                         x->init, x->v.model);
}

static rt_status note_twins(adding *x)
{
    sqlite3_stmt *s;
    int row;
    cJSON_Delete(x->notes);
    x->notes = cJSON_CreateArray();
    RT_TRY(rt_sql(x->r, &s, "SELECT m.name, v.number FROM version v JOIN model m ON m.id = v.model WHERE v.object = ? "
                  "ORDER BY v.id DESC LIMIT 1", "s", x->v.sha256));
    rt_status st = rt_sql_next(x->r, s, &row);
    if (!st && row) {
        char text[RT_VERSION_TEXT + 60];
        snprintf(text, sizeof text, "%s@%lld is this same file already", rt_sql_text(s, 0),
                 (long long)sqlite3_column_int64(s, 1));
        cJSON_AddItemToArray(x->notes, cJSON_CreateString(text));
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status insert_version(adding *x)
{
    rt_registry *r = x->r;
    int64_t event;
    RT_TRY(rt_sql_run(r, "INSERT OR IGNORE INTO model (name) VALUES (?)", "s", x->v.name));
    RT_TRY(rt_registry_model(r, x->v.name, &x->v.model));
    RT_TRY(rt_sql_run(r, "UPDATE model SET last = last + 1 WHERE id = ?", "i", x->v.model));
    RT_TRY(rt_sql_number(r, &x->v.number, 0, "SELECT last FROM model WHERE id = ?", "i", x->v.model));
    RT_TRY(find_parent(x));
    RT_TRY(note_twins(x));
    RT_TRY(rt_registry_event(r, x->v.model, x->v.number, x->a->origin ? "import" : "add",
                             x->a->origin, &event));
    RT_TRY(rt_sql_run(r,
                      "INSERT INTO version (model, number, event, object, digest, parent, teacher, labels, data, init, "
                      "configuration, tool, seed, facts, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      "iiissntttttttst", x->v.model, x->v.number, event, x->v.sha256, x->v.digest, x->parent,
                      x->teacher, x->labels, x->data, x->init, x->configuration_sha256, x->tool, x->seed, x->facts,
                      x->a->note));
    x->v.id = sqlite3_last_insert_rowid(r->db);
    return RT_OK;
}

static rt_status insert_papers(adding *x)
{
    int64_t id;
    for (int i = 0; i < x->evaluations; i++) RT_TRY(rt_registry_put_evaluation(x->r, &x->v, &x->paper[i]));
    for (int i = x->evaluations; i < x->verdicts; i++)
        RT_TRY(rt_registry_put_gate(x->r, &x->v, &x->paper[i], NAN, &id));
    for (int i = x->verdicts; i < x->papers; i++) RT_TRY(rt_registry_put_drift(x->r, &x->v, &x->paper[i]));
    return RT_OK;
}

/* What killed processes or a collection took away between the objects and the rows is written again. */
static rt_status write_all(adding *x)
{
    for (int i = 0; i < TRIES; i++) {
        int gone = 0;
        rt_status st = put_objects(x);
        if (!st) st = rt_registry_begin(x->r);
        if (!st) st = refer_all(x, &gone);
        if (!st && !gone && x->a->model) st = insert_version(x);
        if (!st && !gone) st = insert_papers(x);
        if (!st && !gone) st = rt_registry_commit(x->r);
        rt_registry_rollback(x->r);
        if (st || !gone) return st;
    }
    return rt_fail(RT_RUN, "%s: its objects are removed by others again and again", x->r->folder);
}

static cJSON *result_of(adding *x)
{
    char name[RT_VERSION_TEXT];
    cJSON *j = cJSON_CreateObject();
    rt_version_text(name, &x->v);
    cJSON_AddStringToObject(j, "version", name);
    cJSON_AddStringToObject(j, "sha256", x->v.sha256);
    cJSON_AddStringToObject(j, "digest", x->v.digest);
    cJSON_AddNumberToObject(j, "evaluations", x->evaluations);
    cJSON_AddNumberToObject(j, "gate_runs", x->verdicts - x->evaluations);
    cJSON_AddNumberToObject(j, "drifts", x->papers - x->verdicts);
    cJSON_AddItemToObject(j, "notes", x->notes);
    x->notes = NULL;
    return j;
}

static rt_status check_words(const adding *x)
{
    const rt_registry_adding *a = x->a;
    if (a->note) RT_TRY(rt_registry_check_text(a->note, "note"));
    if (a->model) return rt_registry_check_name(a->name, "name");
    if (a->note || a->parent)
        return rt_fail(RT_USAGE, "%s: a note or a parent is given when a version is added, with its model", a->name);
    if (!a->evaluations && !a->gates && !a->drifts)
        return rt_fail(
            RT_USAGE, "%s: a model, or evaluations, verdicts or looks at drift of this version, are required", a->name);
    return RT_OK;
}

rt_status rt_registry_add(rt_registry *r, const rt_registry_adding *a, cJSON **result)
{
    adding *x = calloc(1, sizeof *x);
    *result = NULL;
    if (!x) return rt_fail(RT_RUN, "out of memory");
    x->r = r;
    x->a = a;
    x->notes = cJSON_CreateArray();
    rt_status st = check_words(x);
    if (!st && a->model && a->parent) st = find_parent(x);             /* before anything is copied */
    if (!st && a->model) {
        snprintf(x->v.name, sizeof x->v.name, "%s", a->name);
        st = take_model(x);
    } else if (!st) st = rt_registry_find_exact(r, a->name, 0, &x->v);
    if (!st) st = take_evaluations(x);
    if (!st) st = take_verdicts(x);
    if (!st) st = take_drifts(x);
    if (!st) st = write_all(x);
    if (!st) *result = result_of(x);
    for (int i = 0; i < x->papers; i++) rt_registry_paper_free(&x->paper[i]);
    cJSON_Delete(x->notes);
    free(x->facts);
    free(x->configuration);
    free(x);
    return st;
}
