#include "data/sources.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    char *key;                     /* where it lies, as text */
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
    free(e->key);
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

rt_status rt_sources_get(rt_sources *s, const rt_x_where *where, rt_check check, rt_source **source,
                         rt_identity **identity)
{
    entry *e = s->first;
    char *key = rt_x_where_text(where);
    if (!key) return rt_fail(RT_RUN, "out of memory");
    while (e && (strcmp(e->key, key) || e->check != check)) e = e->next;
    if (e) free(key);
    else {
        e = calloc(1, sizeof *e);
        if (!e) {
            free(key);
            return rt_fail(RT_RUN, "out of memory");
        }
        e->key = key;
        e->check = check;
        rt_status st = rt_x_open(&e->source, where);
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
