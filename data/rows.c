#include "data/rows.h"

#include <stdlib.h>
#include <string.h>

void rt_rows_read(rt_cfg *data, rt_rows_config *c)
{
    c->range = rt_cfg_string(data, "rows", "");
    c->test = rt_cfg_number(data, "test", 0, 0, 1e15);
    c->test_seed = rt_cfg_u64(data, "test_seed", 1);
}

rt_status rt_rows_select(const rt_rows_config *c, uint64_t source_rows, rt_rows *others, rt_rows *test)
{
    *test = (rt_rows){0};
    RT_TRY(rt_rows_range(others, c->range, source_rows));
    return rt_rows_draw(others, c->test, c->test_seed, RT_RNG_HELD, "data.test", test);
}

rt_status rt_parse_range(const char *range, uint64_t rows, uint64_t *first, uint64_t *end)
{
    *first = 0;
    *end = rows;
    if (!*range) return RT_OK;
    const char *colon = strchr(range, ':');
    char *stop;
    if (colon && strspn(range, "0123456789:") == strlen(range) && !strchr(colon + 1, ':')) {
        if (colon != range) *first = strtoull(range, &stop, 10);
        if (colon[1]) *end = strtoull(colon + 1, &stop, 10);
        if (*first <= *end && *end <= rows) return RT_OK;
        return rt_fail(RT_USAGE, "rows '%s' reach outside the %llu rows of the source", range, (unsigned long long)rows);
    }
    return rt_fail(RT_USAGE, "rows '%s' are not of the form first:end, such as 0:10000", range);
}

static rt_status allocate(rt_rows *a, uint64_t count)
{
    *a = (rt_rows){.row = malloc((count + 1) * sizeof *a->row)};
    return a->row ? RT_OK : rt_fail(RT_RUN, "out of memory for %llu row numbers", (unsigned long long)count);
}

rt_status rt_rows_range(rt_rows *out, const char *range, uint64_t source_rows)
{
    uint64_t first, end;
    *out = (rt_rows){0};
    RT_TRY(rt_parse_range(range, source_rows, &first, &end));
    RT_TRY(allocate(out, end - first));
    while (first < end) out->row[out->count++] = first++;
    return RT_OK;
}

rt_status rt_rows_draw(rt_rows *from, double part, uint64_t seed, rt_rng_purpose purpose, const char *what, rt_rows *drawn)
{
    uint64_t n = from->count, take = part < 1 ? (uint64_t)((double)n * part) : (uint64_t)part, stay = 0;
    *drawn = (rt_rows){0};
    if (take >= n && n) return rt_fail(RT_USAGE, "%s takes %llu of %llu rows, which leaves none to train on", what, (unsigned long long)take, (unsigned long long)n);
    RT_TRY(allocate(drawn, take));
    for (uint64_t i = 0; i < n; i++) {
        if (take && rt_permute(i, n, seed, purpose, 0, 0) < take) drawn->row[drawn->count++] = from->row[i];
        else from->row[stay++] = from->row[i];
    }
    from->count = stay;
    return RT_OK;
}

void rt_rows_remove(rt_rows *from, const rt_rows *these)
{
    uint64_t stay = 0, j = 0;
    for (uint64_t i = 0; i < from->count; i++) {
        while (j < these->count && these->row[j] < from->row[i]) j++;
        if (j == these->count || these->row[j] != from->row[i]) from->row[stay++] = from->row[i];
    }
    from->count = stay;
}

uint64_t rt_rows_common(const rt_rows *a, const rt_rows *b)
{
    uint64_t n = 0, j = 0;
    for (uint64_t i = 0; i < a->count; i++) {
        while (j < b->count && b->row[j] < a->row[i]) j++;
        n += j < b->count && b->row[j] == a->row[i];
    }
    return n;
}

void rt_rows_free(rt_rows *a)
{
    free(a->row);
    *a = (rt_rows){0};
}
