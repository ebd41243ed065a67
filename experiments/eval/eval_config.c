#include <stdio.h>
#include <string.h>

#include "data/file_name.h"
#include "data/precision.h"
#include "experiments/eval/evaluator_parts.h"
#include "experiments/eval/predictions.h"

enum { NAME_OF_FILE = 80 };           /* bytes */
static const char expected[] = "a model file, a list of up to 16 for an ensemble, or a specification {...}";

/* An ensemble is called by its first file. */
static void name_from_path(rt_eval_model *e)
{
    int several = e->spec.object ? cJSON_HasObjectItem(e->spec.object, "teachers") : e->spec.paths > 1;
    rt_file_title(e->name, NAME_OF_FILE + 1, e->spec.path[0]);
    if (several) strcat(e->name, "...");
}

/* The names of the configuration, one a model, or those of the files. */
static void name_models(rt_cfg *c, const cJSON *names, rt_evaluation *v)
{
    int given = names ? cJSON_GetArraySize(names) : 0;
    char what[160];
    if (names && given != v->count) {
        snprintf(what, sizeof what, "%d names for %d models: one for each is expected, the teacher's first", given,
                 v->count);
        rt_cfg_fail(c, "names", what);
        return;
    }
    const cJSON *n = names ? names->child : NULL;
    for (int i = 0; i < v->count; i++, n = n ? n->next : NULL) {
        const char *name = cJSON_GetStringValue(n);
        if (!names) name_from_path(&v->model[i]);
        else if (name && *name && strlen(name) < RT_EVAL_NAME - 8) strcpy(v->model[i].name, name);
        else {
            rt_cfg_fail(c, "names", "texts of 1 to 87 bytes are expected");
            return;
        }
    }
}

static int name_taken(const rt_evaluation *v, int before, const char *name)
{
    for (int i = 0; i < before; i++) if (strcmp(v->model[i].name, name) == 0) return 1;
    return 0;
}

/* A name that stands twice becomes "name (2)", and the note says which file that is. */
static void make_distinct(rt_evaluation *v)
{
    for (int i = 1; i < v->count; i++) {
        char name[RT_EVAL_NAME + 16];
        rt_eval_model *e = &v->model[i];
        snprintf(name, sizeof name, "%s", e->name);
        for (int k = 2; name_taken(v, i, name); k++)
            snprintf(name, sizeof name, "%.*s (%d)", RT_EVAL_NAME - 9, e->name, k);
        if (strcmp(name, e->name) == 0) continue;
        rt_eval_note(v->notes, "two models are called %s: %s is called %s here (\"names\" gives others)", e->name,
                     e->spec.path[0], name);
        memcpy(e->name, name, RT_EVAL_NAME);
    }
}

static void read_eval(rt_cfg *c, rt_evaluation *v)
{
    static const char *const timing[] = {"latency_samples", "seconds", "rounds", "price_per_hour", "copies"};
    rt_cfg e = rt_cfg_object(c, "eval");
    v->set.speed = rt_cfg_bool(&e, "speed", 1);
    v->set.precision = rt_precision_read(&e);
    if (v->set.speed) {
        rt_cfg s = rt_cfg_object(c, "speed");
        v->speed.samples = rt_cfg_int(&e, timing[0], 2000, 64, 10000000);
        v->speed.seconds = rt_cfg_number(&e, timing[1], 1, 0.01, 3600);
        v->speed.rounds = rt_cfg_int(&e, timing[2], 10, 1, RT_SPEED_ROUNDS);
        v->speed.price = rt_cfg_number(&e, timing[3], 0, 0, 1e9);
        v->speed.copies = rt_cfg_int(&e, timing[4], 1, 1, 100000);
        v->speed.most = rt_cfg_number(&s, timing[1], 10, 0, 86400);
        rt_cfg_join(c, &s);
    } else {
        for (int i = 0; i < 5; i++)
            if (rt_cfg_has(&e, timing[i]))
                rt_cfg_fail(&e, timing[i], "does not apply: eval.speed=false leaves timing out");
        rt_cfg_refuse(c, "speed", "does not apply: eval.speed=false leaves timing out");
    }
    rt_cfg_join(c, &e);
}

/* The two sides are the first models. */
static void read_pair(rt_cfg *c, rt_evaluation *v)
{
    static const char *const key[RT_SIDES] = {"baseline", "candidate"};
    rt_eval_pair *p = &v->pair;
    cJSON *side[RT_SIDES] = {rt_cfg_any(c, key[0]), rt_cfg_any(c, key[1])};
    for (int s = 0; s < RT_SIDES && (side[0] || side[1]); s++) {
        rt_eval_model *e = &v->model[v->count++];
        if (side[s]) e->spec = rt_teacher_spec_read(c, key[s], expected);
        else rt_cfg_fail(c, key[s], "a baseline is compared with a candidate: give both");
        p->spec[s] = e->spec;
        p->on = 1;
    }
    if (!side[0] && !side[1]) {
        rt_cfg_refuse(c, "compare", "belongs to a baseline and a candidate");
        return;
    }
    rt_cfg q = rt_cfg_object(c, "compare");
    p->common = rt_cfg_bool(&q, "common", 0);
    p->find = rt_cfg_bool(&q, "find_slices", 0);
    p->confidence = rt_cfg_number(&q, "confidence", 0.95, 0.5, 0.9999);
    p->seed = rt_cfg_u64(&q, "seed", 1);
    rt_cfg_join(c, &q);
}

/* What only a comparison needs of the data. */
static void read_columns(rt_cfg *d, const rt_eval_pair *p)
{
    const char *slice[RT_PREDICTIONS_COLUMNS];
    if (!p->on) {
        rt_cfg_refuse(d, "id", "belongs to a baseline and a candidate");
        rt_cfg_refuse(d, "slices", "belongs to a baseline and a candidate");
        return;
    }
    rt_cfg_string(d, "id", "");
    rt_cfg_strings(d, "slices", slice, RT_PREDICTIONS_COLUMNS);
}

rt_status rt_eval_read(cJSON *config, rt_evaluation *v)
{
    rt_eval_settings *s = &v->set;
    rt_cfg c = rt_cfg_begin(config, "");
    read_pair(&c, v);
    rt_teacher_spec teacher = rt_teacher_spec_read(&c, "teacher", expected);
    cJSON *students = rt_cfg_any(&c, "students");
    cJSON *names = rt_cfg_array(&c, "names");
    if (teacher.paths) v->model[v->count++].spec = teacher;
    s->teacher = teacher.paths && !v->pair.on;
    if (students && !cJSON_IsArray(students))
        v->model[v->count++].spec = rt_teacher_spec_read(&c, "students", expected);
    for (int i = 0; cJSON_IsArray(students) && i < cJSON_GetArraySize(students) && !c.status; i++) {
        if (v->count == RT_EVAL_MODELS) rt_cfg_fail(&c, "students", "at most 32 models can be compared at once");
        else v->model[v->count++].spec = rt_teacher_spec_take(&c, "students", expected, students,
                                                              cJSON_GetArrayItem(students, i));
    }
    if (!v->count) rt_cfg_fail(&c, "students", "at least one model (\"teacher\" or \"students\") is required");
    if (!c.status) name_models(&c, names, v);
    v->pair.data = !v->pair.on || rt_cfg_has(&c, "data");
    if (v->pair.data) {
        rt_cfg d = rt_cfg_object(&c, "data");
        rt_eval_data_read(&d, &v->data);
        read_columns(&d, &v->pair);
        rt_cfg_join(&c, &d);
    }
    read_eval(&c, v);
    RT_TRY(rt_cfg_end(&c));
    make_distinct(v);
    return RT_OK;
}
