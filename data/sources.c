#include "data/sources.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    char *path, *set;
    rt_check check;
    rt_source *source;
    rt_identity *identity;
} entry;

struct rt_sources { entry *first; };

rt_sources *rt_sources_new(void)
{
    rt_sources *s = calloc(1, sizeof *s);
    if (!s) rt_fail(RT_RUN, "out of memory");
    return s;
}

static void close_entry(entry *e)
{
    rt_identity_close(e->identity);
    rt_source_close(e->source);
    free(e->path);
    free(e->set);
    free(e);
}

void rt_sources_free(rt_sources *s)
{
    while (s && s->first) {
        entry *e = s->first;
        s->first = e->next;
        close_entry(e);
    }
    free(s);
}

rt_status rt_sources_get(rt_sources *s, const char *path, const char *set, rt_check check, rt_source **source,
                         rt_identity **identity)
{
    entry *e = s->first;
    while (e && (strcmp(e->path, path) || strcmp(e->set, set) || e->check != check)) e = e->next;
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e) return rt_fail(RT_RUN, "out of memory");
        e->path = strdup(path);
        e->set = strdup(set);
        e->check = check;
        rt_status st = e->path && e->set ? rt_source_open(&e->source, path, set) : rt_fail(RT_RUN, "out of memory");
        if (!st) st = rt_identity_open(&e->identity, e->source, check);
        if (st) {
            close_entry(e);
            return st;
        }
        e->next = s->first;
        s->first = e;
    }
    *source = e->source;
    *identity = e->identity;
    return RT_OK;
}

int rt_sources_opened(const rt_sources *s)
{
    int n = 0;
    for (const entry *e = s->first; e; e = e->next) n++;
    return n;
}
