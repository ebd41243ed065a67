#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/digest.h"
#include "experiments/registry/registry_parts.h"

enum { TABLES = 32 };

/* ---- sums ---- */

static int64_t sum_of(rt_hasher *h)
{
    rt_digest d = rt_hasher_end(h);
    char half[17];
    memcpy(half, d.hex, 16);
    half[16] = 0;
    return (int64_t)strtoull(half, NULL, 16);
}

/* Of the row at hand, its columns from the first one on: kinds and values. */
static int64_t sum_of_row(sqlite3_stmt *s, int first)
{
    rt_hasher *h = rt_hasher_new();
    for (int i = first; i < sqlite3_column_count(s); i++) {
        int kind = sqlite3_column_type(s, i), n = 0;
        const void *value = NULL;
        int64_t whole;
        double number;
        if (kind == SQLITE_INTEGER) {
            whole = sqlite3_column_int64(s, i);
            value = &whole, n = sizeof whole;
        } else if (kind == SQLITE_FLOAT) {
            number = sqlite3_column_double(s, i);
            value = &number, n = sizeof number;
        } else if (kind != SQLITE_NULL) {
            value = sqlite3_column_text(s, i);
            n = sqlite3_column_bytes(s, i);
        }
        rt_hasher_add(h, &kind, sizeof kind);
        rt_hasher_add(h, &n, sizeof n);
        if (n && value) rt_hasher_add(h, value, (size_t)n);
    }
    return sum_of(h);
}

/* What the tables are: row 0 of part "schema". */
static rt_status sum_of_schema(rt_registry *r, int64_t *sum)
{
    sqlite3_stmt *s;
    int row = 1;
    RT_TRY(rt_sql(r, &s, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name", ""));
    rt_hasher *h = rt_hasher_new();
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        int64_t one = sum_of_row(s, 0);
        rt_hasher_add(h, &one, sizeof one);
    }
    *sum = sum_of(h);
    sqlite3_finalize(s);
    return st;
}

/* ---- sealing ---- */

void rt_registry_touch(void *registry, int what, const char *database, const char *table, sqlite3_int64 row)
{
    rt_registry *r = registry;
    (void)what;
    (void)database;
    if (!strncmp(table, "sqlite_", 7)) return;
    if (r->touches == r->room) {
        int room = 2 * r->room + 64;
        struct rt_touch *more = realloc(r->touched, (size_t)room * sizeof *more);
        r->lost |= !more;
        if (!more) return;
        r->touched = more;
        r->room = room;
    }
    struct rt_touch *t = &r->touched[r->touches++];
    snprintf(t->part, sizeof t->part, "%s", table);
    t->row = row;
}

static int by_part(const void *a, const void *b)
{
    const struct rt_touch *x = a, *y = b;
    int order = strcmp(x->part, y->part);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

/* The names of tables are those of the schema, which holds no others. */
static rt_status select_row(rt_registry *r, sqlite3_stmt **s, const char *part, const char *how)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT rowid, * FROM \"%.15s\"%s", part, how);
    return rt_sql(r, s, sql, "");
}

static rt_status put_seal(rt_registry *r, sqlite3_stmt *put, sqlite3_stmt *take, const struct rt_touch *t,
                          const int64_t *sum)
{
    sqlite3_stmt *s = sum ? put : take;
    int row;
    sqlite3_reset(s);
    sqlite3_bind_text(s, 1, t->part, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, t->row);
    if (sum) sqlite3_bind_int64(s, 3, *sum);
    return rt_sql_next(r, s, &row);
}

static rt_status seal_all(rt_registry *r, sqlite3_stmt *put, sqlite3_stmt *take)
{
    sqlite3_stmt *s = NULL;
    const char *part = "";
    rt_status st = RT_OK;
    for (int i = 0; i < r->touches && !st; i++) {
        const struct rt_touch *t = &r->touched[i];
        int row;
        if (i && !by_part(t, t - 1)) continue;
        if (strcmp(part, t->part)) {
            sqlite3_finalize(s);
            st = select_row(r, &s, part = t->part, " WHERE rowid = ?");
            if (st) break;
        }
        sqlite3_reset(s);
        sqlite3_bind_int64(s, 1, t->row);
        st = rt_sql_next(r, s, &row);
        int64_t sum = !st && row ? sum_of_row(s, 1) : 0;
        if (!st) st = put_seal(r, put, take, t, row ? &sum : NULL);
    }
    sqlite3_finalize(s);
    return st;
}

rt_status rt_registry_seal(rt_registry *r)
{
    sqlite3_stmt *put = NULL, *take = NULL;
    int64_t schema, there;
    if (r->lost) return rt_fail(RT_RUN, "%s: out of memory", r->folder);
    if (r->touches) qsort(r->touched, (size_t)r->touches, sizeof *r->touched, by_part);
    rt_status st = rt_sql(r, &put, "INSERT OR REPLACE INTO seal (part, row, sum) VALUES (?, ?, ?)", "");
    if (!st) st = rt_sql(r, &take, "DELETE FROM seal WHERE part = ? AND row = ?", "");
    if (!st) st = seal_all(r, put, take);
    if (!st) st = rt_sql_number(r, &there, 0, "SELECT 1 FROM seal WHERE part = 'schema'", "");
    if (!st && !there) {
        st = sum_of_schema(r, &schema);
        if (!st) st = put_seal(r, put, take, &(struct rt_touch){.part = "schema"}, &schema);
    }
    sqlite3_finalize(put);
    sqlite3_finalize(take);
    r->touches = 0;
    return st;
}

/* ---- checking ---- */

typedef struct {
    rt_registry *r;
    void (*say)(void *, const char *);
    void *arg;
} checking;

static void tell(const checking *c, const char *part, int64_t row, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "registry.db: row %lld of table %.40s %s", (long long)row, part, what);
    c->say(c->arg, text);
}

/* Rows and seals of a part in their order, side by side. */
static rt_status check_part(const checking *c, const char *part)
{
    sqlite3_stmt *rows = NULL, *seals = NULL;
    int row = 1, seal = 1;
    rt_status st = select_row(c->r, &rows, part, " ORDER BY rowid");
    if (!st) st = rt_sql(c->r, &seals, "SELECT row, sum FROM seal WHERE part = ? ORDER BY row", "s", part);
    if (!st) st = rt_sql_next(c->r, rows, &row);
    if (!st) st = rt_sql_next(c->r, seals, &seal);
    while (!st && (row || seal)) {
        int64_t a = row ? sqlite3_column_int64(rows, 0) : INT64_MAX,
                b = seal ? sqlite3_column_int64(seals, 0) : INT64_MAX;
        if (a < b) tell(c, part, a, "was not written by retort");
        else if (a > b) tell(c, part, b, "is gone");
        else if (sum_of_row(rows, 1) != sqlite3_column_int64(seals, 1))
            tell(c, part, a, "was changed by something else");
        if (row && a <= b) st = rt_sql_next(c->r, rows, &row);
        if (!st && seal && b <= a) st = rt_sql_next(c->r, seals, &seal);
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(seals);
    return st;
}

rt_status rt_registry_check_seals(rt_registry *r, void (*say)(void *, const char *), void *arg)
{
    checking c = {r, say, arg};
    char part[TABLES][16];
    sqlite3_stmt *s;
    int n = 0, row = 1;
    int64_t is, was;
    RT_TRY(sum_of_schema(r, &is));
    RT_TRY(rt_sql_number(r, &was, 0, "SELECT sum FROM seal WHERE part = 'schema' AND row = 0", ""));
    if (is != was) say(arg, "registry.db: its tables are not those that retort made");
    RT_TRY(rt_sql(r, &s,
                  "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name != 'seal' "
                  "ORDER BY name",
                  ""));
    rt_status st = RT_OK;
    while (!st && n < TABLES && !(st = rt_sql_next(r, s, &row)) && row)
        if (!strchr(rt_sql_text(s, 0), '"')) snprintf(part[n++], sizeof part[0], "%s", rt_sql_text(s, 0));
    sqlite3_finalize(s);
    for (int i = 0; i < n && !st; i++) st = check_part(&c, part[i]);
    return st;
}
