#include "data/x_where.h"

#include <stdlib.h>
#include <string.h>

#include "data/source_files.h"

static const char what[] = "a data set's name is expected, or {\"INPUT\": \"data set\"} with {\"source\", \"set\"} "
                           "in place of a set in another file";

static int by_name(const void *a, const void *b)
{ return strcmp(((const rt_x_part *)a)->name, ((const rt_x_part *)b)->name); }

static void sort(rt_x_where *w)
{
    if (w->parts) qsort(w->part, (size_t)w->parts, sizeof w->part[0], by_name);
}

static void read_part(rt_cfg *c, const cJSON *item, rt_x_part *p)
{
    *p = (rt_x_part){.name = item->string, .set = cJSON_GetStringValue(item)};
    if (p->set && !*p->set) rt_cfg_fail(c, "x", what);
    if (p->set) return;
    if (!cJSON_IsObject(item)) {
        rt_cfg_fail(c, "x", what);
        return;
    }
    rt_cfg one = rt_cfg_begin((cJSON *)(uintptr_t)item, "x");
    p->source = rt_cfg_has(&one, "source") ? rt_cfg_source(&one, "source", NULL) : NULL;
    p->set = rt_cfg_file(&one, "set", item->string);
    rt_cfg_join(c, &one);
}

void rt_x_where_read(rt_cfg *c, const char *source, rt_x_where *w)
{
    *w = (rt_x_where){.source = source, .set = "x", .given = rt_cfg_has(c, "x")};
    cJSON *x = w->given ? rt_cfg_any(c, "x") : NULL;
    if (!cJSON_IsObject(x)) {
        w->set = rt_cfg_string(c, "x", "x");
        w->given = w->given && strcmp(w->set, "x");        /* a configuration that was read before says "x" */
        return;
    }
    if (!x->child) rt_cfg_fail(c, "x", what);
    for (const cJSON *p = x->child; p && !c->status; p = p->next) {
        if (w->parts == RT_SOURCE_PARTS) rt_cfg_fail(c, "x", "at most 8 inputs are read");
        else read_part(c, p, &w->part[w->parts++]);
    }
    sort(w);
}

rt_status rt_x_where_settle(rt_x_where *w, cJSON *object, const char *const *input, int inputs)
{
    for (int i = 0; i < w->parts; i++) {
        const char *near = rt_nearest(w->part[i].name, input, inputs);
        int k = 0;
        while (k < inputs && strcmp(input[k], w->part[i].name)) k++;
        if (k == inputs)
            return rt_fail(RT_USAGE, "data.x: no model has an input '%.60s'%s%.60s%s", w->part[i].name,
                           near ? "; is it '" : "", near ? near : "", near ? "'?" : "");
    }
    if (w->given || inputs < 2) return RT_OK;
    cJSON *x = object ? cJSON_CreateObject() : NULL;
    for (int i = 0; i < inputs; i++) {
        w->part[i] = (rt_x_part){.name = input[i], .set = input[i]};
        if (x) cJSON_AddStringToObject(x, input[i], input[i]);
    }
    w->parts = inputs;
    sort(w);
    if (x && !cJSON_ReplaceItemInObjectCaseSensitive(object, "x", x)) return rt_fail(RT_RUN, "out of memory");
    return RT_OK;
}

char *rt_x_where_text(const rt_x_where *w)
{
    cJSON *list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, cJSON_CreateString(w->source));
    for (int i = 0; i < w->parts; i++) {
        const rt_x_part *p = &w->part[i];
        cJSON_AddItemToArray(list, cJSON_CreateString(p->name));
        cJSON_AddItemToArray(list, cJSON_CreateString(p->source ? p->source : w->source));
        cJSON_AddItemToArray(list, cJSON_CreateString(p->set));
    }
    if (!w->parts) cJSON_AddItemToArray(list, cJSON_CreateString(w->set));
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

int rt_x_where_files(const rt_x_where *w, const char **list, int n)
{
    for (int i = 0; i < w->parts; i++) if (w->part[i].source) list[n++] = w->part[i].source;
    return n;
}

static const char *source_of(const rt_x_where *w, int i) { return w->part[i].source ? w->part[i].source : w->source; }

/* A part in the file that another lies in shares what was found there. */
static rt_status open_part(rt_source **out, const rt_x_where *w, int i, rt_source *const *open)
{
    const char *path = source_of(w, i);
    for (int k = 0; k < i; k++)
        if (!strcmp(source_of(w, k), path)) return rt_source_open_in(out, rt_source_file(open[k]), w->part[i].set);
    return rt_source_open(out, path, w->part[i].set);
}

rt_status rt_x_where_shape(const rt_x_where *w, const char *input, int several, rt_shape *shape, const char **path,
                           const char **set)
{
    rt_source *s = NULL;
    rt_h5_file *f;
    int told = w->given;
    *path = w->source;
    *set = w->given || !several ? w->set : input;
    for (int i = 0; i < w->parts; i++) {
        if (strcmp(w->part[i].name, input)) continue;
        told = 1;
        *set = w->part[i].set;
        if (w->part[i].source) *path = w->part[i].source;
    }
    RT_TRY(rt_source_scan(&f, *path));
    if (!told && !rt_h5_find(f, *set) && rt_h5_find(f, several ? w->set : input)) *set = several ? w->set : input;
    rt_status st = rt_source_open_in(&s, f, *set);
    if (!st) st = rt_source_shape(s, shape);
    rt_source_close(s);
    rt_h5_close(f);
    return st;
}

rt_status rt_x_open(rt_source **out, const rt_x_where *w)
{
    rt_source *part[RT_SOURCE_PARTS];
    const char *name[RT_SOURCE_PARTS];
    int home = -1;                     /* the part whose file is the joined source's */
    *out = NULL;
    if (!w->parts) return rt_source_open(out, w->source, w->set);
    for (int i = 0; i < w->parts; i++) {
        name[i] = w->part[i].name;
        rt_status st = open_part(&part[i], w, i, part);
        if (st) {
            for (int k = 0; k < i; k++) rt_source_close(part[k]);
            return rt_fail_in(st, "data.x: input '%s'", name[i]);
        }
        if (home < 0 && (!w->part[i].source || !strcmp(w->part[i].source, w->source))) home = i;
    }
    if (home >= 0) return rt_source_join(out, part, name, w->parts, home);
    for (int i = 0; i < w->parts; i++) rt_source_close(part[i]);
    return rt_fail(RT_USAGE, "data.x: one input at least must lie in data.source, %s, which has the targets",
                   w->source);
}
