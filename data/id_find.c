#include "data/id_find.h"

#include <stdlib.h>
#include <string.h>

#include "data/row_ids.h"
#include "engine/progress.h"

enum { BLOCK = 1024, LONGEST = 60 };

typedef struct { const char *id; size_t at; } wanted;

static int by_id(const void *a, const void *b) { return strcmp(((const wanted *)a)->id, ((const wanted *)b)->id); }

/* The same id may be asked for more than once: all of its places get the row. */
static void found(const wanted *list, size_t n, const char *id, uint64_t r, uint64_t *row)
{
    wanted key = {id, 0};
    const wanted *one = bsearch(&key, list, n, sizeof *list, by_id);
    if (!one) return;
    while (one > list && !strcmp(one[-1].id, id)) one--;
    for (; one < list + n && !strcmp(one->id, id); one++) row[one->at] = row[one->at] == RT_NO_ROW ? r : RT_ROW_TWICE;
}

static rt_status check_type(const rt_source *s)
{
    const rt_h5_dataset *d = rt_source_info(s);
    uint64_t each = 1;
    for (int i = 1; i < d->rank; i++) each *= d->dim[i];
    if (d->type == RT_TEXT && d->element > LONGEST)
        return rt_fail(RT_INPUT, "%s: '%s' holds texts of up to %u bytes; ids of at most %d are looked for",
                       rt_source_path(s), d->name, d->element, LONGEST);
    if (each == 1 && (d->type == RT_TEXT || rt_dtype_is_integer(d->type))) return RT_OK;
    return rt_fail(RT_INPUT, "%s: '%s' holds no ids: one whole number or one text a row is expected", rt_source_path(s),
                   d->name);
}

rt_status rt_ids_find(rt_source *s, int content, uint64_t first, uint64_t end, const char *const *id, size_t n,
                      uint64_t *row)
{
    size_t bytes = rt_source_row_bytes(s);
    if (!content) RT_TRY(check_type(s));
    wanted *list = malloc((n + 1) * sizeof *list);
    char *raw = content ? malloc(BLOCK * bytes + 1) : NULL, text[80];
    rt_status st = list && (raw || !content) ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < n && !st; i++) {
        list[i] = (wanted){id[i], i};
        row[i] = RT_NO_ROW;
    }
    if (!st) qsort(list, n, sizeof *list, by_id);
    for (uint64_t at = first; at < end && !st; at += BLOCK) {
        uint64_t rows = end - at < BLOCK ? end - at : BLOCK;
        st = rt_check_stop();
        if (!st && content) st = rt_source_read_stored(s, at, rows, raw);
        for (uint64_t r = 0; r < rows && !st; r++)
            found(list, n, content ? rt_digest_of(raw + r * bytes, bytes).hex : rt_row_id_text(s, at + r, text), at + r,
                  row);
    }
    free(list);
    free(raw);
    return st;
}
