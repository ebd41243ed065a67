#include "data/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/text.h"

rt_match rt_match_read(rt_cfg *data)
{
    static const char *const names[] = {"match", "position", NULL};
    return rt_cfg_choice(data, "names", names, 0) == 1 ? RT_MATCH_POSITION : RT_MATCH_NAMES;
}

void rt_names_free(rt_names *n)
{
    for (int i = 0; i < n->count && n->name; i++) free(n->name[i]);
    free(n->name);
    free(n->order);
    free(n->of);
    *n = (rt_names){0};
}

/* ---- making ---- */

typedef struct { const char *name; int at; } entry;

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

/* Sorts for rt_names_find; *twice is a name that stands twice, or NULL. */
static rt_status sort_names(rt_names *n, const char **twice)
{
    entry *e = malloc(((size_t)n->count + 1) * sizeof *e);
    n->order = malloc(((size_t)n->count + 1) * sizeof *n->order);
    *twice = NULL;
    if (!e || !n->order) {
        free(e);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (int i = 0; i < n->count; i++) e[i] = (entry){n->name[i], i};
    qsort(e, (size_t)n->count, sizeof *e, by_name);
    for (int i = 0; i < n->count; i++) {
        n->order[i] = e[i].at;
        if (i && strcmp(e[i].name, e[i - 1].name) == 0) *twice = e[i].name;
    }
    free(e);
    return RT_OK;
}

static rt_status set_origin(rt_names *n, const char *of)
{
    n->of = of ? strdup(of) : NULL;
    return of && !n->of ? rt_fail(RT_RUN, "out of memory") : RT_OK;
}

rt_status rt_names_numbered(rt_names *out, int count, const char *of)
{
    *out = (rt_names){.count = count};
    return set_origin(out, of);
}

rt_status rt_names_from_json(rt_names *out, const cJSON *list, const char *of, const char *key)
{
    const char *where = of ? of : "the model";
    rt_names n = {0};
    *out = n;
    if (cJSON_IsNull(list)) list = NULL;
    rt_status st = set_origin(&n, of);
    if (!st && list && !cJSON_IsArray(list))
        st = rt_fail(RT_INPUT, "%s: '%s' of its manifest is no list of names", where, key);
    if (!st && list) {
        n.name = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *n.name);
        if (!n.name) st = rt_fail(RT_RUN, "out of memory");
    }
    for (const cJSON *c = list ? list->child : NULL; c && !st; c = c->next) {
        if (!cJSON_IsString(c))
            st = rt_fail(RT_INPUT, "%s: '%s' of its manifest is no list of names: entry %d is no string", where, key,
                         n.count);
        else if (!rt_is_utf8(c->valuestring))
            st = rt_fail(RT_INPUT, "%s: '%s' of its manifest: name %d is not valid UTF-8; import the data again",
                         where, key, n.count);
        else if (!(n.name[n.count] = strdup(c->valuestring))) st = rt_fail(RT_RUN, "out of memory");
        else n.count++;
    }
    const char *twice = NULL;
    if (!st) st = sort_names(&n, &twice);
    if (!st && twice)
        st = rt_fail(RT_INPUT, "%s: '%s' of its manifest has the name '%.100s' twice; give each its own", where, key,
                     twice);
    if (!st && n.name && !n.count) {                    /* an empty list gives no names */
        free(n.name);
        n.name = NULL;
    }
    if (st) rt_names_free(&n);
    else *out = n;
    return st;
}

rt_status rt_names_copy(rt_names *out, const rt_names *n)
{
    const char *twice;
    RT_TRY(rt_names_numbered(out, n->count, n->of));
    if (!n->name) return RT_OK;
    out->name = calloc((size_t)n->count + 1, sizeof *out->name);
    rt_status st = out->name ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < n->count && !st; i++)
        if (!(out->name[i] = strdup(n->name[i]))) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = sort_names(out, &twice);
    if (st) rt_names_free(out);
    return st;
}

cJSON *rt_names_to_json(const rt_names *n)
{
    return n->name ? cJSON_CreateStringArray((const char *const *)n->name, n->count) : NULL;
}

/* *j NULL: there is none. */
static rt_status read_manifest(const rt_h5_file *f, cJSON **j)
{
    char *text;
    *j = NULL;
    const rt_h5_dataset *d = rt_h5_find(f, "manifest");
    if (!d || (!d->refused[0] && d->type != RT_TEXT)) return RT_OK; /* a set of numbers of this name is none of ours */
    RT_TRY(rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES));
    rt_status st = rt_json_parse(j, text, strlen(text), f->path);
    free(text);
    if (st != RT_INPUT) return st;
    return rt_fail_in(st, "%s: its data set 'manifest' is not the JSON text that it should be", f->path);
}

rt_status rt_names_read_targets(const rt_h5_file *f, const char *set, rt_names *columns)
{
    cJSON *j;
    *columns = (rt_names){0};
    RT_TRY(read_manifest(f, &j));
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(j, "targets");
    rt_status st = rt_names_from_json(columns, cJSON_GetObjectItemCaseSensitive(all, set), f->path, set);
    cJSON_Delete(j);
    return st;
}

rt_status rt_names_read(const rt_h5_file *f, rt_names *classes, rt_names *columns)
{
    cJSON *j = NULL;
    if (classes) *classes = (rt_names){0};
    if (columns) *columns = (rt_names){0};
    rt_status st = read_manifest(f, &j);
    if (!st && classes)
        st = rt_names_from_json(classes, cJSON_GetObjectItemCaseSensitive(j, "classes"), f->path, "classes");
    if (!st && columns)
        st = rt_names_from_json(columns, cJSON_GetObjectItemCaseSensitive(j, "columns"), f->path, "columns");
    cJSON_Delete(j);
    return st;
}

static rt_status lists_agree(const cJSON *a, const cJSON *b, const rt_h5_file *of[2], const char *what, const char *key)
{
    rt_names n[2] = {{0}};
    char text[2][RT_NAMES_TEXT];
    rt_status st = rt_names_from_json(&n[0], a, of[0]->path, key);
    if (!st) st = rt_names_from_json(&n[1], b, of[1]->path, key);
    int same = !st && n[0].count == n[1].count;
    for (int i = 0; same && i < n[0].count; i++) same = !strcmp(n[0].name[i], n[1].name[i]);
    if (!st && !same)
        st = rt_fail(RT_INPUT, "%s: its %s%s%s are %s; those of %s are %s; files of one source need the same",
                     of[1]->path, what, *key ? " of " : "", key, rt_names_text(&n[1], text[1]), of[0]->path,
                     rt_names_text(&n[0], text[0]));
    rt_names_free(&n[0]);
    rt_names_free(&n[1]);
    return st;
}

rt_status rt_names_agree(const rt_h5_file *a, const rt_h5_file *b)
{
    static const char *const key[] = {"classes", "columns"};
    const rt_h5_file *of[2] = {a, b};
    cJSON *m[2] = {NULL}, *t[2];
    rt_status st = RT_OK;
    for (int i = 0; i < 2 && !st; i++) st = read_manifest(of[i], &m[i]);
    for (int i = 0; i < 2; i++) t[i] = cJSON_GetObjectItemCaseSensitive(m[i], "targets");
    for (int k = 0; k < 2 && !st; k++)
        st = lists_agree(cJSON_GetObjectItemCaseSensitive(m[0], key[k]), cJSON_GetObjectItemCaseSensitive(m[1], key[k]),
                         of, key[k], "");
    for (int i = 0; i < 2; i++)
        for (const cJSON *c = t[i] ? t[i]->child : NULL; c && !st; c = c->next)
            st = lists_agree(cJSON_GetObjectItemCaseSensitive(t[0], c->string),
                             cJSON_GetObjectItemCaseSensitive(t[1], c->string), of, "columns", c->string);
    cJSON_Delete(m[0]);
    cJSON_Delete(m[1]);
    return st;
}

rt_status rt_source_columns(const rt_source *s, rt_names *columns)
{
    const rt_h5_dataset *d = rt_source_info(s);
    RT_TRY(rt_names_read(rt_source_file(s), NULL, columns));
    if (!columns->name || (d->rank == 2 && d->dim[1] == (uint64_t)columns->count)) return RT_OK;
    int count = columns->count;
    rt_names_free(columns);
    if (strcmp(d->name, "x")) return rt_names_numbered(columns, 0, rt_source_path(s));    /* names are of x's columns */
    return rt_fail(RT_INPUT, "%s: its manifest names %d columns, which is not how many data set 'x' has",
                   rt_source_path(s), count);
}

void rt_names_hash(rt_hasher *h, const rt_names *n)
{
    char count[24];
    rt_hasher_add(h, count, (size_t)snprintf(count, sizeof count, "%d;", n->name ? n->count : 0));
    for (int i = 0; i < n->count && n->name; i++) rt_hasher_add(h, n->name[i], strlen(n->name[i]) + 1);
}

/* ---- finding ---- */

int rt_names_find(const rt_names *n, const char *name)
{
    if (!n->name) {                                     /* numbers as they are printed: no sign, no leading zero */
        size_t digits = strspn(name, "0123456789");
        if (!digits || name[digits] || digits > 9 || (digits > 1 && *name == '0')) return -1;
        int v = atoi(name);
        return v < n->count ? v : -1;
    }
    int low = 0, high = n->count - 1;
    while (low <= high) {
        int mid = low + (high - low) / 2, c = strcmp(name, n->name[n->order[mid]]);
        if (c == 0) return n->order[mid];
        if (c < 0) high = mid - 1;
        else low = mid + 1;
    }
    return -1;
}

const char *rt_names_at(const rt_names *n, int i, char number[16])
{
    if (n->name) return n->name[i];
    snprintf(number, 16, "%d", i);
    return number;
}

const char *rt_names_text(const rt_names *n, char text[RT_NAMES_TEXT])
{
    enum { TAIL = 40, NAME = 60 };
    size_t at = 0;
    *text = 0;
    if (!n->name) {
        if (n->count) snprintf(text, RT_NAMES_TEXT, "numbers from 0 to %d, without names", n->count - 1);
        else snprintf(text, RT_NAMES_TEXT, "numbers, without names");
        return text;
    }
    for (int i = 0; i < n->count; i++) {
        size_t size = strlen(n->name[i]), shown = size;
        if (size > NAME)
            for (shown = NAME; (n->name[i][shown] & 0xc0) == 0x80; shown--) {}   /* between two characters */
        if (at + shown + TAIL > RT_NAMES_TEXT) {
            snprintf(text + at, RT_NAMES_TEXT - at, ", ... (%d in all)", n->count);
            break;
        }
        at += (size_t)snprintf(text + at, RT_NAMES_TEXT - at, "%s%.*s%s", i ? ", " : "", (int)shown, n->name[i],
                               shown < size ? "..." : "");
    }
    return text;
}

/* ---- matching ---- */

static const char *owner(const rt_names *n) { return n->of ? n->of : "the model"; }

static rt_status unmatched(const char *name, const rt_names *from, const rt_names *to, const char *what)
{
    char a[RT_NAMES_TEXT], b[RT_NAMES_TEXT];
    const char *remedy = "";
    char plural[16];
    snprintf(plural, sizeof plural, "%s%s", what, strcmp(what, "class") ? "s" : "es");
    if (!from->name || !to->name)
        remedy = "; names cannot be matched with numbers: name them on both sides, or take them by number with "
                 "data.names=position";
    return rt_fail(RT_INPUT, "%s: its %s '%.100s' is not among those of %s; %s of %s: %s; of %s: %s%s", owner(from),
                   what, name, owner(to), plural, owner(from), rt_names_text(from, a), owner(to), rt_names_text(to, b),
                   remedy);
}

rt_status rt_names_map(int **map, const rt_names *from, const rt_names *to, const char *what)
{
    char number[16];
    *map = malloc(((size_t)from->count + 1) * sizeof **map);
    if (!*map) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < from->count; i++) {
        const char *name = rt_names_at(from, i, number);
        (*map)[i] = rt_names_find(to, name);
        if ((*map)[i] >= 0) continue;
        free(*map);
        *map = NULL;
        return unmatched(name, from, to, what);
    }
    return RT_OK;
}

rt_status rt_names_permute(int **map, const rt_names *from, const rt_names *to, const char *what)
{
    char number[16];
    int same = from->count == to->count;
    *map = NULL;
    for (int i = 0; i < to->count; i++) {
        const char *name = rt_names_at(to, i, number);
        if (rt_names_find(from, name) < 0) return unmatched(name, to, from, what);
    }
    RT_TRY(rt_names_map(map, from, to, what));
    for (int i = 0; same && i < from->count; i++) same = (*map)[i] == i;
    if (same) {
        free(*map);
        *map = NULL;
    }
    return RT_OK;
}
