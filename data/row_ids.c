#include "data/row_ids.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/convert.h"
#include "engine/progress.h"

enum { BLOCK = 4096, LONGEST = 1024, DIGITS = 18 };

/* A whole number as word {1, its two's complement}, or {2, it} above INT64_MAX; a text as its XXH3-128. */
typedef struct { uint64_t word[2], row; } id;

static rt_status check_set(const rt_source *s)
{
    rt_dtype type = rt_source_type(s);
    size_t one = type == RT_TEXT ? rt_source_row_bytes(s) : rt_dtype_size(type);
    if (rt_source_row_bytes(s) == one && one <= LONGEST && (uint64_t)rt_source_rows(s) < RT_ROW_TWICE) return RT_OK;
    return rt_fail(RT_INPUT, "%s: '%s' must hold one whole number, or one text of up to %d bytes, a row",
                   rt_source_path(s), rt_source_info(s)->name, LONGEST);
}

static void set_number(id *out, int64_t v)
{
    out->word[0] = 1;
    out->word[1] = (uint64_t)v;
}

static void set_text(id *out, const char *cell, size_t room)
{
    size_t n = strnlen(cell, room), sign = n && cell[0] == '-', digits = 0;
    char text[DIGITS + 2];
    while (sign + digits < n && cell[sign + digits] >= '0' && cell[sign + digits] <= '9') digits++;
    if (digits && sign + digits == n && digits <= DIGITS && (cell[sign] != '0' || n == 1)) {
        memcpy(text, cell, n);
        text[n] = 0;
        set_number(out, strtoll(text, NULL, 10));
        return;
    }
    rt_digest d = rt_digest_of(cell, n);
    for (int i = 0; i < 2; i++) {
        char half[17];
        memcpy(half, d.hex + 16 * i, 16);
        half[16] = 0;
        out->word[i] = strtoull(half, NULL, 16);
    }
    out->word[0] |= UINT64_C(1) << 63;                     /* never a number's */
}

static rt_status set_cell(id *out, const rt_source *s, const char *cell, uint64_t row)
{
    rt_dtype type = rt_source_type(s);
    uint64_t u;
    double v;
    if (type == RT_TEXT) {
        set_text(out, cell, rt_source_row_bytes(s));
        return RT_OK;
    }
    if (type == RT_U64 || type == RT_I64) {
        memcpy(&u, cell, sizeof u);
        out->word[0] = type == RT_U64 && u > INT64_MAX ? 2 : 1;
        out->word[1] = u;
        return RT_OK;
    }
    rt_to_double(&v, cell, type, 1);
    if (!(fabs(v) <= 0x1p53) || v != floor(v))
        return rt_fail(RT_INPUT, "%s: row %llu of '%s' is %g, which is no whole number", rt_source_path(s),
                       (unsigned long long)row, rt_source_info(s)->name, v);
    set_number(out, (int64_t)v);
    return RT_OK;
}

static int by_id(const void *a, const void *b)
{
    const id *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->word[i] != y->word[i]) return x->word[i] < y->word[i] ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int same(const id *a, const id *b) { return a->word[0] == b->word[0] && a->word[1] == b->word[1]; }

/* All ids, sorted. */
static rt_status read_ids(id **out, rt_source *s)
{
    uint64_t rows = rt_source_rows(s);
    size_t bytes = rt_source_row_bytes(s);
    RT_TRY(check_set(s));
    id *list = rows < SIZE_MAX / sizeof *list - 1 ? malloc((rows + 1) * sizeof *list) : NULL;
    char *cells = malloc(BLOCK * bytes + 1);
    rt_status st = list && cells ? RT_OK : rt_fail(RT_RUN, "out of memory for the ids of %llu rows",
                                                   (unsigned long long)rows);
    for (uint64_t at = 0; at < rows && !st; at += BLOCK) {
        uint64_t n = rows - at < BLOCK ? rows - at : BLOCK;
        st = rt_check_stop();
        if (!st) st = rt_source_read_stored(s, at, n, cells);
        for (uint64_t i = 0; i < n && !st; i++) {
            list[at + i].row = at + i;
            st = set_cell(&list[at + i], s, cells + i * bytes, at + i);
        }
    }
    free(cells);
    if (st) free(list);
    else qsort(list, rows, sizeof *list, by_id);
    *out = st ? NULL : list;
    return st;
}

static uint64_t run_of(const id *list, uint64_t at, uint64_t rows)
{
    uint64_t n = 1;
    while (at + n < rows && same(&list[at], &list[at + n])) n++;
    return n;
}

rt_status rt_row_ids_match(uint64_t **place, rt_source *to, rt_source *from, rt_row_ids *counts)
{
    id *a = NULL, *b = NULL;
    uint64_t rows = rt_source_rows(to), others = rt_source_rows(from), i = 0, k = 0;
    *counts = (rt_row_ids){0};
    *place = NULL;
    rt_status st = read_ids(&a, to);
    if (!st) st = read_ids(&b, from);
    uint64_t *p = st ? NULL : malloc((rows + 1) * sizeof *p);
    if (!st && !p) st = rt_fail(RT_RUN, "out of memory for the ids of %llu rows", (unsigned long long)rows);
    while (i < rows && !st) {
        uint64_t n = run_of(a, i, rows), m = 0;
        while (k < others &&
               by_id(&(id){{b[k].word[0], b[k].word[1]}, 0}, &(id){{a[i].word[0], a[i].word[1]}, 0}) < 0) {
            k++;
            counts->unused++;
        }
        if (k < others && same(&a[i], &b[k])) m = run_of(b, k, others);
        for (uint64_t r = i; r < i + n; r++)
            p[a[r].row] = !m ? RT_NO_ROW : n > 1 || m > 1 ? RT_ROW_TWICE : b[k].row;
        *(m ? &counts->twice : &counts->missing) += m && n == 1 && m == 1 ? 0 : n;
        i += n;
        k += m;
    }
    counts->unused += others - k;
    free(a);
    free(b);
    *place = p;
    return st;
}

const char *rt_row_id_text(rt_source *s, uint64_t row, char text[80])
{
    char cell[LONGEST + 1];
    uint64_t u;
    double v;
    rt_dtype type = rt_source_type(s);
    if (rt_source_row_bytes(s) > LONGEST || rt_source_read(s, &row, 1, cell)) return strcpy(text, "?");
    cell[rt_source_row_bytes(s)] = 0;
    memcpy(&u, cell, sizeof u);
    if (type == RT_TEXT) snprintf(text, 80, "%.60s", cell);
    else if (type == RT_U64) snprintf(text, 80, "%llu", (unsigned long long)u);
    else if (type == RT_I64) snprintf(text, 80, "%lld", (long long)u);
    else {
        rt_to_double(&v, cell, type, 1);
        snprintf(text, 80, "%.0f", v);
    }
    return text;
}
