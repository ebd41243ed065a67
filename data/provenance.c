#include "data/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_folds.h"

/* Each entry costs a draw, and a comparison with each other: what a file may ask of its reader. */
enum { MAX_ENTRIES = 1024, MAX_KEYS = 16 };

static rt_status add_range(cJSON *to, const char *range, uint64_t source_rows)
{
    uint64_t first, end;
    char text[48];
    RT_TRY(rt_parse_range(range, source_rows, &first, &end));
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)first, (unsigned long long)end);
    cJSON_AddStringToObject(to, "range", text);
    return RT_OK;
}

/* Text, because a number holds 53 bits. */
static void add_u64(cJSON *to, const char *key, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    if (v < (uint64_t)1 << 53) cJSON_AddNumberToObject(to, key, (double)v);
    else cJSON_AddStringToObject(to, key, text);
}

static rt_status add_folds(cJSON *to, const rt_seen_run *r)
{
    rt_rows others = {0}, mine = {0};
    rt_digest digest;
    rt_status st = rt_rows_range(&others, r->rows.range, r->source_rows);
    if (!st) st = rt_row_folds_take(&r->rows, r->source_rows, &others, &mine, &digest);
    rt_rows_free(&others);
    rt_rows_free(&mine);
    if (st) return st;
    cJSON *by = cJSON_AddObjectToObject(to, "fold_by");
    cJSON_AddStringToObject(by, "source", r->rows.by);
    cJSON_AddStringToObject(by, "set", r->rows.by_set);
    cJSON_AddStringToObject(by, "digest", digest.hex);
    return RT_OK;
}

rt_status rt_seen_add(cJSON *seen, const rt_seen_run *r)
{
    cJSON *e = cJSON_CreateObject();
    cJSON_AddStringToObject(e, "by", "self");
    cJSON_AddStringToObject(e, "data", r->data);
    add_u64(e, "source_rows", r->source_rows);
    cJSON *rows = cJSON_AddObjectToObject(e, "rows");
    rt_status st = add_range(rows, r->rows.range, r->source_rows);
    cJSON_AddNumberToObject(rows, "test", r->rows.test);
    add_u64(rows, "test_seed", r->rows.test_seed);
    if (r->rows.folds) {
        char text[24];
        snprintf(text, sizeof text, "%d/%d", r->rows.fold, r->rows.folds);
        cJSON_AddStringToObject(rows, "fold", text);
        if (!st && r->rows.by && *r->rows.by) st = add_folds(rows, r);
    }
    if (!st && r->validation_range && *r->validation_range) {
        cJSON *v = cJSON_AddObjectToObject(rows, "validation");
        st = add_range(v, r->validation_range, r->source_rows);
        if (r->validation > 0) {
            cJSON_AddNumberToObject(v, "part", r->validation);
            add_u64(v, "seed", r->seed);
        }
    }
    if (st) cJSON_Delete(e);
    else cJSON_AddItemToArray(seen, e);
    return st;
}

static int same_rows(const cJSON *a, const cJSON *b)
{
    static const char *const key[] = {"data", "source_rows", "rows"};
    for (int i = 0; i < 3; i++) {
        const cJSON *x = cJSON_GetObjectItemCaseSensitive(a, key[i]), *y = cJSON_GetObjectItemCaseSensitive(b, key[i]);
        if (!x || !y || !cJSON_Compare(x, y, 1)) return 0;
    }
    return 1;
}

static int same_unknown(const cJSON *a, const cJSON *b)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(a, "model"), *y = cJSON_GetObjectItemCaseSensitive(b, "model");
    return cJSON_GetObjectItemCaseSensitive(a, "unknown") && cJSON_GetObjectItemCaseSensitive(b, "unknown") && x && y &&
           cJSON_Compare(x, y, 1);
}

static void append(cJSON *seen, cJSON *e)
{
    for (const cJSON *s = seen->child; s; s = s->next)
        if (same_rows(s, e) || same_unknown(s, e)) {
            cJSON_Delete(e);
            return;
        }
    cJSON_AddItemToArray(seen, e);
}

/* What is compared with the others of a list: a file may hold so many of them, and of their keys, that comparing takes
 * minutes. */
static rt_status check_list(const cJSON *list)
{
    if (cJSON_GetArraySize(list) > MAX_ENTRIES)
        return rt_fail(RT_INPUT, "its list of rows seen in training has more than %d entries", MAX_ENTRIES);
    for (const cJSON *s = list ? list->child : NULL; s; s = s->next) {
        const cJSON *rows = cJSON_GetObjectItemCaseSensitive(s, "rows");
        const cJSON *held = cJSON_GetObjectItemCaseSensitive(rows, "validation");
        if (!cJSON_IsObject(s) || cJSON_GetArraySize(s) > MAX_KEYS || cJSON_GetArraySize(rows) > MAX_KEYS ||
            cJSON_GetArraySize(held) > MAX_KEYS)
            return rt_fail(RT_INPUT, "its list of rows seen in training is damaged");
    }
    return RT_OK;
}

rt_status rt_seen_join(cJSON *seen, const cJSON *holder, const char *by, const char *model)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(holder, "seen");
    if (!cJSON_IsArray(list)) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "by", by);
        cJSON_AddStringToObject(e, "model", model);
        cJSON_AddTrueToObject(e, "unknown");
        append(seen, e);
        return RT_OK;
    }
    RT_TRY(check_list(list));
    for (const cJSON *s = list->child; s; s = s->next) {
        cJSON *e = cJSON_Duplicate(s, 1);
        const cJSON *of = cJSON_GetObjectItemCaseSensitive(e, "model");
        cJSON_DeleteItemFromObjectCaseSensitive(e, "by");
        cJSON_AddStringToObject(e, "by", by);
        if (!of) cJSON_AddStringToObject(e, "model", model);
        append(seen, e);
    }
    return RT_OK;
}

/* Where the file of the folds is gone, or tells others now, which rows were left out is not known: none counts as such.
 */
static rt_status select_seen(const rt_rows_config *c, uint64_t source_rows, rt_rows *all, rt_rows *test)
{
    rt_status st = rt_rows_select(c, source_rows, all, test);
    if (!st || !c->by || !*c->by || st == RT_INTERRUPTED) return st;
    rt_rows_config whole = {.range = c->range};
    rt_rows_free(all);
    rt_rows_free(test);
    return rt_rows_select(&whole, source_rows, all, test);
}

/* The rows of one entry: *all without the test, and *held of a validation range (empty where there is none). */
static rt_status rows_of(const cJSON *entry, uint64_t source_rows, rt_rows *all, rt_rows *held)
{
    rt_rows test = {0}, pool = {0};
    rt_rows_config c = {0};
    cJSON *rows = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(entry, "rows"), 1);
    rt_cfg r = rt_cfg_begin(rows, "seen.rows");
    c.range = rt_cfg_string(&r, "range", NULL);
    c.test = rt_cfg_number(&r, "test", 0, 0, 1e15);
    c.test_seed = rt_cfg_u64(&r, "test_seed", 1);
    const char *fold = rt_cfg_has(&r, "fold") ? rt_cfg_string(&r, "fold", "") : "";
    rt_status st = r.status;
    if (!st && !rt_rows_fold_of(fold, &c.fold, &c.folds)) st = rt_fail(RT_INPUT, "seen.rows.fold: is none");
    rt_row_folds_read(&r, &c);
    if (!st) st = r.status;
    if (!st) st = select_seen(&c, source_rows, all, &test);
    if (!st && rt_cfg_has(&r, "validation")) {
        rt_cfg v = rt_cfg_object(&r, "validation");
        const char *range = rt_cfg_string(&v, "range", NULL);
        double part = rt_cfg_number(&v, "part", 0, 0, 1e15);
        uint64_t seed = rt_cfg_u64(&v, "seed", 1);
        st = v.status;
        if (!st) st = rt_rows_range(&pool, range, source_rows);
        if (!st) st = rt_rows_remove(&pool, &test);
        if (!st && part > 0) st = rt_rows_draw(&pool, part, seed, RT_RNG_SPLIT, "seen.validation", held);
        else if (!st) {
            *held = pool;
            pool = (rt_rows){0};
        }
    }
    rt_rows_free(&pool);
    rt_rows_free(&test);
    cJSON_Delete(rows);
    return st;
}

static int concerns(const cJSON *e, const char *const *data, const char *by)
{
    const char *d = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "data"));
    const char *b = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "by"));
    while (d && *data && strcmp(d, *data)) data++;
    return d && *data && (!by || (b && strcmp(b, by) == 0));
}

rt_status rt_seen_count(const cJSON *seen, const char *const *data, uint64_t source_rows, const rt_rows *rows,
                        const char *by, const char *name, uint64_t *count)
{
    rt_rows all = {0};
    rt_status st = check_list(seen);
    *count = 0;
    if (st) return rt_fail_in(st, "%s", name);
    for (const cJSON *e = seen ? seen->child : NULL; e && !st; e = e->next) {
        if (!concerns(e, data, by)) continue;
        rt_rows part = {0}, held = {0};
        st = rows_of(e, source_rows, &part, &held);
        if (st) st = rt_fail_in(st == RT_RUN ? st : RT_INPUT, "%s: its list of rows seen in training is damaged", name);
        if (!st) st = rt_rows_add(&all, &part);
        if (!st) st = rt_rows_add(&all, &held);
        rt_rows_free(&part);
        rt_rows_free(&held);
    }
    if (!st) *count = rt_rows_common(rows, &all);
    rt_rows_free(&all);
    return st;
}

int rt_seen_unknown(const cJSON *seen)
{
    int n = 0;
    for (const cJSON *e = seen ? seen->child : NULL; e; e = e->next)
        n += cJSON_GetObjectItemCaseSensitive(e, "unknown") != NULL;
    return n;
}
