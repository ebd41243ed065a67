#include "experiments/clean/clean_parts.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD = 1 << 18 /* probabilities of a part that are read ahead, about */ };

static int same_head(const rt_head *a, const rt_head *b)
{
    if (a->size != b->size || !a->names.name != !b->names.name) return 0;
    for (int i = 0; a->names.name && i < a->size; i++)
        if (strcmp(a->names.name[i], b->names.name[i])) return 0;
    return 1;
}

static rt_status make_room(rt_clean_parts *s)
{
    size_t k = (size_t)s->head->size, room = (size_t)s->room;
    s->ahead = calloc((size_t)s->parts, sizeof *s->ahead);
    for (int i = 0; i < s->parts && s->ahead; i++) {
        rt_clean_ahead *a = &s->ahead[i];
        a->row = calloc(room, sizeof *a->row);
        a->y = calloc(room, sizeof *a->y);
        a->p = calloc(room * k, sizeof *a->p);
        if (!a->row || !a->y || !a->p) return rt_fail(RT_RUN, "out of memory");
    }
    return s->ahead ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

rt_status rt_clean_parts_open(rt_clean_parts *s, const char *const *path, int count, const rt_clean_input *input,
                              int block, rt_device *device, const rt_progress *progress)
{
    *s = (rt_clean_parts){.part = calloc((size_t)count, sizeof *s->part), .block = block, .room = block};
    if (!s->part) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < count; i++) {
        rt_clean_input *p = &s->part[i];
        *p = *input;
        p->path = path[i];
        s->parts = i + 1;
        RT_TRY(rt_clean_open(p, block, device, progress));
        if (!same_head(&s->part[0].head[s->part[0].mine], &p->head[p->mine]))
            return rt_fail(RT_INPUT, "%s: has other classes than %s", p->path, s->part[0].path);
        s->rows += p->rows;
        s->source_rows = p->source_rows;
    }
    s->head = &s->part[0].head[s->part[0].mine];
    if (s->room > 1 + AHEAD / s->head->size) s->room = 1 + AHEAD / s->head->size;
    s->at = calloc((size_t)block, sizeof *s->at);
    if (!s->at) return rt_fail(RT_RUN, "out of memory");
    return s->parts > 1 ? make_room(s) : RT_OK;
}

void rt_clean_parts_close(rt_clean_parts *s)
{
    for (int i = 0; i < s->parts; i++) {
        rt_clean_close(&s->part[i]);
        if (!s->ahead) continue;
        free(s->ahead[i].row);
        free(s->ahead[i].y);
        free(s->ahead[i].p);
    }
    free(s->ahead);
    free(s->part);
    free(s->at);
    *s = (rt_clean_parts){0};
}

/* The part's next rows, when those read ahead are all given. */
static rt_status read_ahead(rt_clean_parts *s, int i)
{
    rt_clean_ahead *a = &s->ahead[i];
    rt_clean_input *p = &s->part[i];
    if (a->at < a->count || a->next == p->rows) return RT_OK;
    a->at = 0;
    a->count = p->rows - a->next < (uint64_t)s->room ? (int)(p->rows - a->next) : s->room;
    RT_TRY(rt_clean_read(p, a->next, a->count, a->y, a->p));
    memcpy(a->row, p->at, (size_t)a->count * sizeof *a->row);
    a->next += (uint64_t)a->count;
    return RT_OK;
}

/* The part with the lowest row. */
static rt_status find_lowest(rt_clean_parts *s, int *lowest)
{
    *lowest = -1;
    for (int i = 0; i < s->parts; i++) {
        RT_TRY(read_ahead(s, i));
        const rt_clean_ahead *a = &s->ahead[i], *b = *lowest < 0 ? NULL : &s->ahead[*lowest];
        if (a->at < a->count && (!b || a->row[a->at] < b->row[b->at])) *lowest = i;
    }
    return RT_OK;
}

rt_status rt_clean_parts_read(void *of, uint64_t first, int n, int32_t *y, double *p)
{
    rt_clean_parts *s = of;
    size_t k = (size_t)s->head->size;
    if (s->parts == 1) {
        RT_TRY(rt_clean_read(&s->part[0], first, n, y, p));
        memcpy(s->at, s->part[0].at, (size_t)n * sizeof *s->at);
        return RT_OK;
    }
    if (!first) {
        s->last = 0;
        for (int i = 0; i < s->parts; i++) s->ahead[i].next = 0, s->ahead[i].at = s->ahead[i].count = 0;
    }
    for (int r = 0, i; r < n; r++) {
        RT_TRY(find_lowest(s, &i));
        if (i < 0) return rt_fail(RT_RUN, "%s: has fewer rows than before", s->part[0].path);
        rt_clean_ahead *a = &s->ahead[i];
        if (a->row[a->at] < s->last)
            return rt_fail(RT_INPUT, "%s: has row %llu, which stands in %s, too", s->part[i].path,
                           (unsigned long long)a->row[a->at], s->part[s->before].path);
        s->at[r] = a->row[a->at];
        y[r] = a->y[a->at];
        memcpy(p + (size_t)r * k, a->p + (size_t)a->at * k, k * sizeof *p);
        s->last = a->row[a->at++] + 1;
        s->before = i;
    }
    return RT_OK;
}
