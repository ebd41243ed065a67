#include "teacher/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/file_name.h"
#include "teacher/teacher_parts.h"

/* ---- kinds ---- */

/* A kind is told by the key that it alone has. */
static const struct { const char *key; rt_teacher_from_spec *read; } kinds[] = {
    {"file", rt_teacher_read_file},
    {"command", rt_teacher_read_process},
    {"from", rt_teacher_read_given},
    {"mix", rt_teacher_read_mix},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void no_kind(rt_cfg *c, const char *list)
{
    const char *names[KINDS], *near = NULL, *key = "";
    char what[240];
    for (int i = 0; i < KINDS; i++) names[i] = kinds[i].key;
    for (const cJSON *k = c->object ? c->object->child : NULL; k && !near; k = k->next)
        if ((near = rt_nearest(k->string, names, KINDS))) key = k->string;
    int n = snprintf(what, sizeof what, "a teacher is told by one of %s, and none is there", list);
    if (near) snprintf(what + n, sizeof what - (size_t)n, "; did you mean '%s'?", near);
    rt_cfg_fail(c, key, what);
}

rt_status rt_teacher_read_object(rt_teacher **out, rt_cfg *c, const rt_x_where *x)
{
    int kind = -1;
    char text[120] = "";
    size_t n = 0;
    if (out) *out = NULL;
    for (int i = 0; i < KINDS && !c->status; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\"", i ? ", " : "", kinds[i].key);
        if (!rt_cfg_has(c, kinds[i].key)) continue;
        if (kind >= 0) rt_cfg_fail(c, kinds[i].key, "tells another kind of teacher than the other keys: give one");
        else kind = i;
    }
    if (kind < 0 && !c->status) no_kind(c, text);
    RT_TRY(c->status);
    RT_TRY(kinds[kind].read(out, c, x));
    if (!out) return RT_OK;
    (*out)->files = rt_teacher_spec_files(c->object, (*out)->path, 0, RT_TEACHER_FILES);
    return RT_OK;
}

/* ---- text, NAME.json and lists ---- */

static int is_json(const char *s)
{
    size_t n = strlen(s);
    return *s == '{' || (n > 5 && !strcmp(s + n - 5, ".json"));
}

/* Puts `to` in the place of *v: of a member of an object where key is told, else of an element of a list. */
static rt_status replace(cJSON *parent, const char *key, cJSON **v, cJSON *to)
{
    cJSON_bool done = key ? cJSON_ReplaceItemInObjectCaseSensitive(parent, key, to)
                          : cJSON_ReplaceItemViaPointer(parent, *v, to);
    if (!done) {
        cJSON_Delete(to);
        return rt_fail(RT_RUN, "out of memory");
    }
    *v = to;
    return RT_OK;
}

static rt_status unfold_text(cJSON *parent, const char *key, cJSON **v)
{
    const char *s = cJSON_GetStringValue(*v);
    cJSON *to;
    if (!s || !is_json(s)) return RT_OK;
    RT_TRY(*s == '{' ? rt_json_parse(&to, s, strlen(s), "a teacher's specification") : rt_json_file(&to, s));
    if (cJSON_IsObject(to)) {
        rt_status st = rt_file_names_in(to);
        if (!st) return replace(parent, key, v, to);
        cJSON_Delete(to);
        return st;
    }
    cJSON_Delete(to);
    return rt_fail(RT_USAGE, "%s: an object {...} that tells a teacher is expected", s);
}

/* A list that holds an object: of one element this element, of several a mix. */
static rt_status unfold_list(cJSON *parent, const char *key, cJSON **v)
{
    int objects = 0;
    for (cJSON *e = (*v)->child; e; e = e->next) {
        RT_TRY(unfold_text(*v, NULL, &e));
        objects += cJSON_IsObject(e);
    }
    if (!objects) return RT_OK;
    if (!(*v)->child->next) return replace(parent, key, v, cJSON_DetachItemFromArray(*v, 0));
    cJSON *mix = cJSON_CreateObject(), *list;
    if (!mix || !cJSON_AddStringToObject(mix, "mix", "probabilities") ||
        !(list = cJSON_AddArrayToObject(mix, "teachers"))) {
        cJSON_Delete(mix);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (cJSON *e; (e = cJSON_DetachItemFromArray(*v, 0));) cJSON_AddItemToArray(list, e);
    return replace(parent, key, v, mix);
}

static rt_status unfold(cJSON *parent, const char *key, cJSON **v)
{
    RT_TRY(unfold_text(parent, key, v));
    return cJSON_IsArray(*v) ? unfold_list(parent, key, v) : RT_OK;
}

rt_status rt_teacher_spec_member(cJSON *list, cJSON **v)
{
    RT_TRY(unfold_text(list, NULL, v));
    if (!cJSON_IsString(*v)) return RT_OK;
    cJSON *file = cJSON_CreateObject();
    if (file && cJSON_AddStringToObject(file, "file", (*v)->valuestring)) return replace(list, NULL, v, file);
    cJSON_Delete(file);
    return rt_fail(RT_RUN, "out of memory");
}

rt_status rt_teacher_spec_unfold(cJSON *object, const char *key)
{
    cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsArray(v)) return v ? unfold_text(object, key, &v) : RT_OK;
    for (cJSON *e = v->child; e; e = e->next) {
        RT_TRY(unfold_text(v, NULL, &e));
        for (cJSON *k = cJSON_IsArray(e) ? e->child : NULL; k; k = k->next) RT_TRY(unfold_text(e, NULL, &k));
    }
    return RT_OK;
}

/* ---- files ---- */

static int add(const char *path, const char **list, int n, int most)
{
    if (path && n < most) list[n++] = path;
    return n;
}

static int add_command(const cJSON *command, const char **list, int n, int most)
{
    struct stat s;
    int before = n;
    for (const cJSON *e = command->child; e; e = e->next) {
        const char *arg = cJSON_GetStringValue(e);
        if (!arg || (e == command->child && !strchr(arg, '/'))) continue;      /* a name that is sought in PATH */
        if (!stat(arg, &s) && S_ISREG(s.st_mode)) n = add(arg, list, n, most);
    }
    return n > before ? n : add(cJSON_GetStringValue(command->child), list, n, most);
}

int rt_teacher_spec_files(const cJSON *v, const char **list, int n, int most)
{
    static const char *const one[] = {"file", "from", "like", "source", "labels"};
    if (cJSON_IsString(v)) return add(v->valuestring, list, n, most);
    if (cJSON_IsArray(v)) {
        for (const cJSON *e = v->child; e; e = e->next) n = rt_teacher_spec_files(e, list, n, most);
        return n;
    }
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(v, "command");
    const cJSON *several = cJSON_GetObjectItemCaseSensitive(v, "teachers");
    const cJSON *labelled = cJSON_GetObjectItemCaseSensitive(v, "validation");
    if (cJSON_IsArray(command)) n = add_command(command, list, n, most);
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++)
        n = add(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, one[i])), list, n, most);
    if (cJSON_IsArray(several)) n = rt_teacher_spec_files(several, list, n, most);
    if (cJSON_IsObject(labelled)) n = rt_teacher_spec_files(labelled, list, n, most);
    return n;
}

/* ---- reading ---- */

rt_teacher_spec rt_teacher_of_files(const char *const *path, int count)
{
    rt_teacher_spec s = {.paths = count < RT_TEACHER_FILES ? count : RT_TEACHER_FILES};
    for (int i = 0; i < s.paths; i++) s.path[i] = path[i];
    return s;
}

static rt_teacher_spec wrong(rt_cfg *c, const char *key, const char *what, const cJSON *v)
{
    char text[400];
    int empty = cJSON_IsArray(v) && !v->child;
    char *shown = rt_json_text(v, 0);
    snprintf(text, sizeof text, "%s%s is expected, not %.80s", empty ? "the list is empty: " : "", what,
             shown ? shown : "?");
    free(shown);
    rt_cfg_fail(c, key, text);
    return (rt_teacher_spec){.object = NULL};
}

/* The value as it is once it is unfolded. */
static rt_teacher_spec take(rt_cfg *c, const char *key, const char *what, cJSON *v)
{
    rt_teacher_spec s = {.object = NULL};
    char path[200];
    if (cJSON_IsObject(v)) {
        snprintf(path, sizeof path, "%.100s%s%.60s", c->path, c->path[0] ? "." : "", key);
        rt_cfg inner = rt_cfg_begin(v, path);
        rt_status st = rt_teacher_read_object(NULL, &inner, NULL);
        if (st) c->status = st;
        s.object = v;
        s.paths = rt_teacher_spec_files(v, s.path, 0, RT_TEACHER_FILES);
        return s;
    }
    int list = cJSON_IsArray(v);
    for (const cJSON *e = list ? v->child : v; e; e = list ? e->next : NULL) {
        if (!cJSON_IsString(e) || !*e->valuestring || s.paths == RT_TEACHER_MODELS) return wrong(c, key, what, v);
        s.path[s.paths++] = e->valuestring;
    }
    return s.paths ? s : wrong(c, key, what, v);
}

rt_teacher_spec rt_teacher_spec_read(rt_cfg *c, const char *key, const char *what)
{
    cJSON *v = rt_cfg_any(c, key);
    if (!v || c->status) return (rt_teacher_spec){.object = NULL};
    c->status = unfold(c->object, key, &v);
    return c->status ? (rt_teacher_spec){.object = NULL} : take(c, key, what, v);
}

rt_teacher_spec rt_teacher_spec_take(rt_cfg *c, const char *key, const char *what, cJSON *list, cJSON *v)
{
    if (!c->status) c->status = unfold(list, NULL, &v);
    return c->status ? (rt_teacher_spec){.object = NULL} : take(c, key, what, v);
}

rt_status rt_teacher_open_spec(rt_teacher **out, const rt_teacher_spec *s, const rt_x_where *x)
{
    *out = NULL;
    if (!s->object) return rt_teacher_open(out, s->path, s->paths, x);
    rt_cfg c = rt_cfg_begin(s->object, "teacher");
    return rt_teacher_read_object(out, &c, x);
}
