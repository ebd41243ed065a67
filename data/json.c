#include "data/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "engine/digest.h"
#include "engine/text.h"

static int by_key(const void *a, const void *b)
{
    return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* The members of an object in the order of their keys; the caller frees the list. NULL when it has none. */
static cJSON **sorted_members(const cJSON *object, size_t *count)
{
    *count = (size_t)cJSON_GetArraySize(object);
    cJSON **list = *count ? malloc(*count * sizeof *list) : NULL;
    if (*count && !list) rt_out_of_memory();
    size_t n = 0;
    for (cJSON *c = object->child; c; c = c->next) list[n++] = c;
    if (n) qsort(list, n, sizeof *list, by_key);
    return list;
}

/* In n log n: the text is not ours, and its keys may be many. */
static rt_status check_keys(const cJSON *object, const char *name)
{
    size_t n;
    cJSON **list = sorted_members(object, &n);
    rt_status st = RT_OK;
    for (size_t i = 1; i < n && !st; i++)
        if (strcmp(list[i - 1]->string, list[i]->string) == 0)
            st = rt_fail(RT_INPUT, "%s: key '%s' is given twice", name, list[i]->string);
    free(list);
    return st;
}

static rt_status check_tree(const cJSON *item, const char *name)
{
    if (cJSON_IsObject(item)) RT_TRY(check_keys(item, name));
    for (const cJSON *c = item->child; c; c = c->next) {
        if (cJSON_IsNumber(c) && !isfinite(c->valuedouble))
            return rt_fail(RT_INPUT, "%s: a number is too large for a double", name);
        RT_TRY(check_tree(c, name));
    }
    return RT_OK;
}

/* cJSON_Minify removes comments and blanks but also line numbers, so comments are blanked here instead. */
static void blank_comments(char *s)
{
    int text = 0;
    for (char *p = s; *p; p++) {
        if (text) {
            if (*p == '\\' && p[1]) p++;
            else if (*p == '"') text = 0;
        } else if (*p == '"') text = 1;
        else if (*p == '/' && p[1] == '/') while (*p && *p != '\n') *p++ = ' ';
        else if (*p == '/' && p[1] == '*') {
            while (*p && !(*p == '*' && p[1] == '/')) { if (*p != '\n') *p = ' '; p++; }
            if (*p) { *p++ = ' '; *p = ' '; }
        }
        if (!*p) break;
    }
}

rt_status rt_json_parse(cJSON **out, const char *text, size_t length, const char *name)
{
    *out = NULL;
    if (length > RT_JSON_MAX_BYTES)
        return rt_fail(RT_INPUT, "%s: %zu bytes of JSON; at most %d are read", name, length, RT_JSON_MAX_BYTES);
    if (memchr(text, 0, length)) return rt_fail(RT_INPUT, "%s: contains a zero byte, so it is no JSON text", name);
    char *copy = malloc(length + 1);
    if (!copy) return rt_fail(RT_RUN, "out of memory");
    memcpy(copy, text, length);
    copy[length] = 0;
    blank_comments(copy);
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(copy, length + 1, &end, 1);
    rt_status st = RT_OK;
    if (!json) {
        int line = 1, column = 1;
        for (const char *p = copy; p < end && *p; p++) {
            column = *p == '\n' ? 1 : column + 1;
            line += *p == '\n';
        }
        st = rt_fail(RT_INPUT, "%s: not valid JSON at line %d, column %d", name, line, column);
    } else st = check_tree(json, name);
    free(copy);
    if (st) cJSON_Delete(json); else *out = json;
    return st;
}

rt_status rt_json_file(cJSON **out, const char *path)
{
    *out = NULL;
    char *text;
    size_t n;
    RT_TRY(rt_read_file(&text, &n, path, RT_JSON_MAX_BYTES));
    rt_status st = rt_json_parse(out, text, n, path);
    free(text);
    return st;
}

static const char seal_key[] = "seal", no_seal[] = "00000000000000000000000000000000";

/* Where the digest stands in the text, or NULL. */
static char *seal_in(char *text)
{
    char *at = NULL;
    for (char *p = text; (p = strstr(p, "\"seal\":")); p++) at = p + sizeof seal_key + 2;
    if (!at) return NULL;
    at += strspn(at, " \t");
    return *at == '"' && strlen(at) > sizeof no_seal && at[sizeof no_seal] == '"' ? at + 1 : NULL;
}

char *rt_json_sealed(cJSON *object)
{
    if (!cJSON_AddStringToObject(object, seal_key, no_seal)) return NULL;
    char *text = rt_json_text(object, 1), *at = text ? seal_in(text) : NULL;
    cJSON_DeleteItemFromObjectCaseSensitive(object, seal_key);
    if (at) memcpy(at, rt_digest_of(text, strlen(text)).hex, sizeof no_seal - 1);
    return text;
}

rt_status rt_json_sealed_file(cJSON **out, const char *path)
{
    char *text, told[sizeof no_seal] = "";
    size_t n;
    *out = NULL;
    RT_TRY(rt_read_file(&text, &n, path, RT_JSON_MAX_BYTES));
    rt_status st = RT_OK;
    char *at = seal_in(text);
    if (at) {
        memcpy(told, at, sizeof no_seal - 1);
        memcpy(at, no_seal, sizeof no_seal - 1);
        if (strcmp(told, rt_digest_of(text, n).hex))
            st = rt_fail(RT_INPUT, "%s: does not match its digest; the file is damaged, or was changed by hand", path);
    }
    if (!st) st = rt_json_parse(out, text, n, path);
    if (!st) cJSON_DeleteItemFromObjectCaseSensitive(*out, seal_key);
    free(text);
    return st;
}

rt_status rt_json_override(cJSON *root, const char *assignment)
{
    const char *eq = strchr(assignment, '=');
    char key[128];
    cJSON *at = root;
    const char *p = assignment;
    if (!eq || eq == assignment)
        return rt_fail(RT_USAGE, "override '%s' is not of the form path.to.key=value", assignment);
    for (;;) {
        const char *dot = memchr(p, '.', (size_t)(eq - p)), *stop = dot ? dot : eq;
        size_t n = (size_t)(stop - p);
        if (n == 0 || n >= sizeof key)
            return rt_fail(RT_USAGE, "override '%s' is not of the form path.to.key=value", assignment);
        memcpy(key, p, n);
        key[n] = 0;
        if (!dot) break;
        cJSON *next = cJSON_GetObjectItemCaseSensitive(at, key);
        if (!next) next = cJSON_AddObjectToObject(at, key);
        if (!cJSON_IsObject(next)) return rt_fail(RT_USAGE, "override '%s': '%s' is not an object", assignment, key);
        at = next;
        p = dot + 1;
    }
    cJSON *value = cJSON_ParseWithOpts(eq + 1, NULL, 1);   /* all of it, or it is a string: 0:900 */
    if (!value) value = cJSON_CreateString(eq + 1);
    if (!value) return rt_fail(RT_RUN, "out of memory");
    cJSON_DeleteItemFromObjectCaseSensitive(at, key);
    if (!cJSON_AddItemToObject(at, key, value)) return rt_fail(RT_RUN, "out of memory");
    return RT_OK;
}

void rt_json_sort(cJSON *j)
{
    if (cJSON_IsObject(j) && j->child) {
        size_t n;
        cJSON **list = sorted_members(j, &n);
        for (size_t i = 0; i < n; i++) {
            list[i]->next = i + 1 < n ? list[i + 1] : NULL;
            list[i]->prev = i ? list[i - 1] : list[n - 1];      /* cJSON's first member points at the last one */
        }
        j->child = list[0];
        free(list);
    }
    for (cJSON *c = j->child; c; c = c->next) rt_json_sort(c);
}

char *rt_json_text(const cJSON *j, int indented)
{
    rt_string t = {0};
    char *text = indented ? cJSON_Print(j) : cJSON_PrintUnformatted(j);
    if (!text) return NULL;
    rt_put_json(&t, text);
    cJSON_free(text);
    if (!t.failed) return t.p;
    free(t.p);
    return NULL;
}

rt_status rt_json_merge(cJSON *into, const cJSON *from)
{
    for (const cJSON *c = from->child; c; c = c->next) {
        cJSON *mine = cJSON_GetObjectItemCaseSensitive(into, c->string);
        if (mine && cJSON_IsObject(mine) && cJSON_IsObject(c)) {
            RT_TRY(rt_json_merge(mine, c));
            continue;
        }
        cJSON *copy = cJSON_Duplicate(c, 1);
        if (!copy) return rt_fail(RT_RUN, "out of memory");
        cJSON_DeleteItemFromObjectCaseSensitive(into, c->string);
        cJSON_AddItemToObject(into, c->string, copy);
    }
    return RT_OK;
}

/* ---- reading ---- */

static void where(const rt_cfg *c, const char *key, char out[224])
{
    snprintf(out, 224, "%s%s%s", c->path, c->path[0] && key[0] ? "." : "", key);
}

void rt_cfg_fail(rt_cfg *c, const char *key, const char *what)
{
    char at[224];
    if (c->status) return;
    where(c, key, at);
    c->status = rt_fail(RT_USAGE, "%s: %s", at, what);
}

void rt_cfg_refuse(rt_cfg *c, const char *key, const char *what)
{
    if (rt_cfg_has(c, key)) rt_cfg_fail(c, key, what);
}

rt_cfg rt_cfg_begin(cJSON *object, const char *path)
{
    rt_cfg c = {.object = object};
    snprintf(c.path, sizeof c.path, "%.*s", (int)sizeof c.path - 1, path);
    if (!cJSON_IsObject(object)) {
        c.status = rt_fail(RT_USAGE, "%s: an object {...} is expected", path[0] ? path : "configuration");
        c.object = NULL;
    }
    return c;
}

static cJSON *look(rt_cfg *c, const char *key)
{
    int i = 0;
    while (i < c->count && strcmp(c->known[i], key)) i++;
    if (i == c->count && i < RT_CFG_KEYS) c->known[c->count++] = key;
    return c->status || !c->object ? NULL : cJSON_GetObjectItemCaseSensitive(c->object, key);
}

int rt_cfg_has(const rt_cfg *c, const char *key)
{ return c->object && cJSON_GetObjectItemCaseSensitive(c->object, key) != NULL; }

rt_cfg rt_cfg_object(rt_cfg *c, const char *key)
{
    char at[224];
    cJSON *o = look(c, key);
    where(c, key, at);
    if (!o && !c->status && c->object) o = cJSON_AddObjectToObject(c->object, key);
    if (c->status) return (rt_cfg){.status = c->status};
    at[sizeof(((rt_cfg *)0)->path) - 1] = 0;
    return rt_cfg_begin(o, at);
}

void rt_cfg_join(rt_cfg *c, rt_cfg *child)
{
    rt_status st = rt_cfg_end(child);
    if (!c->status) c->status = st;
}

/* Letters to add, to leave out, to change, or to swap with their neighbour, to make one word the other. */
static int distance(const char *a, const char *b)
{
    int la = (int)strlen(a), lb = (int)strlen(b), row[3][64];
    if (la > 60 || lb > 60) return 99;
    for (int j = 0; j <= lb; j++) row[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = row[i % 3], *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int d = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < d) d = above[j] + 1;
            if (now[j - 1] + 1 < d) d = now[j - 1] + 1;
            int swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < d) d = before[j - 2] + 1;
            now[j] = d;
        }
    }
    return row[la % 3][lb];
}

const char *rt_nearest(const char *word, const char *const *names, int count)
{
    const char *best = NULL;
    int least = (int)(strlen(word) + 1) / 3;            /* a letter in three: more is another word */
    for (int i = 0; i < count; i++) {
        int d = distance(word, names[i]);
        if (d <= least && (!best || d < least)) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

rt_status rt_cfg_end(rt_cfg *c)
{
    if (c->status || !c->object) return c->status;
    for (const cJSON *k = c->object->child; k; k = k->next) {
        int known = 0;
        for (int i = 0; i < c->count; i++) known |= strcmp(k->string, c->known[i]) == 0;
        if (known) continue;
        char text[512];
        const char *near = rt_nearest(k->string, c->known, c->count);
        int n = snprintf(text, sizeof text, "unknown key");
        if (near) snprintf(text + n, sizeof text - (size_t)n, "; did you mean '%s'?", near);
        else {
            n += snprintf(text + n, sizeof text - (size_t)n, "; known here:");
            for (int i = 0; i < c->count && n < 480; i++)
                n += snprintf(text + n, sizeof text - (size_t)n, "%s %s", i ? "," : "", c->known[i]);
        }
        rt_cfg_fail(c, k->string, text);
        break;
    }
    return c->status;
}

static void wrong(rt_cfg *c, const char *key, const cJSON *got, const char *expected)
{
    char text[256];
    char *shown = rt_json_text(got, 0);
    snprintf(text, sizeof text, "%s is expected, not %.80s", expected, shown ? shown : "?");
    free(shown);
    rt_cfg_fail(c, key, text);
}

double rt_cfg_number(rt_cfg *c, const char *key, double fallback, double min, double max)
{
    cJSON *v = look(c, key);
    char text[96];
    if (!v) {
        if (!c->status && c->object) cJSON_AddNumberToObject(c->object, key, fallback);
        return fallback;
    }
    snprintf(text, sizeof text, "a number from %g to %g", min, max);
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= min && v->valuedouble <= max)) {
        wrong(c, key, v, text);
        return fallback;
    }
    return v->valuedouble;
}

int rt_cfg_int(rt_cfg *c, const char *key, int fallback, int min, int max)
{
    cJSON *v = c->status || !c->object ? NULL : cJSON_GetObjectItemCaseSensitive(c->object, key);
    char text[96];
    snprintf(text, sizeof text, "a whole number from %d to %d", min, max);
    if (v && (!cJSON_IsNumber(v) || v->valuedouble != floor(v->valuedouble) || v->valuedouble < min ||
              v->valuedouble > max)) {
        look(c, key);
        wrong(c, key, v, text);
        return fallback;
    }
    return (int)rt_cfg_number(c, key, fallback, -2147483648.0, 2147483647.0);
}

uint64_t rt_cfg_u64(rt_cfg *c, const char *key, uint64_t fallback)
{
    cJSON *v = look(c, key);
    if (!v) {
        if (!c->status && c->object) cJSON_AddNumberToObject(c->object, key, (double)fallback);
        return fallback;
    }
    if (cJSON_IsString(v)) {
        char *end;
        errno = 0;
        unsigned long long u = strtoull(v->valuestring, &end, 10);
        if (*v->valuestring >= '0' && *v->valuestring <= '9' && !*end && !errno) return u;
    } else if (cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 9007199254740992.0 &&
               v->valuedouble == floor(v->valuedouble))
        return (uint64_t)v->valuedouble;
    wrong(c, key, v, "a whole number from 0 to 18446744073709551615 (above 2^53 in quotes)");
    return fallback;
}

int rt_cfg_bool(rt_cfg *c, const char *key, int fallback)
{
    cJSON *v = look(c, key);
    if (!v) {
        if (!c->status && c->object) cJSON_AddBoolToObject(c->object, key, fallback);
        return fallback;
    }
    if (!cJSON_IsBool(v)) {
        wrong(c, key, v, "true or false");
        return fallback;
    }
    return cJSON_IsTrue(v);
}

const char *rt_cfg_string(rt_cfg *c, const char *key, const char *fallback)
{
    cJSON *v = look(c, key);
    if (!v) {
        if (!fallback) rt_cfg_fail(c, key, "a string is required here");
        else if (*fallback && !c->status && c->object) cJSON_AddStringToObject(c->object, key, fallback);
        return fallback ? fallback : "";
    }
    if (!cJSON_IsString(v)) {
        wrong(c, key, v, "a string");
        return fallback ? fallback : "";
    }
    return v->valuestring;
}

const char *rt_cfg_file(rt_cfg *c, const char *key, const char *fallback)
{
    const char *s = rt_cfg_string(c, key, fallback);
    if (!*s && rt_cfg_has(c, key)) rt_cfg_fail(c, key, "a file name is expected, not an empty text");
    return s;
}

int rt_cfg_choice(rt_cfg *c, const char *key, const char *const *names, int fallback)
{
    const char *s = rt_cfg_string(c, key, fallback < 0 ? NULL : names[fallback]);
    int count = 0;
    for (; names[count]; count++)
        if (strcmp(s, names[count]) == 0) return count;
    if (c->status) return fallback < 0 ? 0 : fallback;
    char text[512];
    const char *near = rt_nearest(s, names, count);
    int n = snprintf(text, sizeof text, "'%.60s' is not one of", s);
    for (int i = 0; i < count && n < 420; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s %s", i ? "," : "", names[i]);
    if (near) snprintf(text + n, sizeof text - (size_t)n, "; did you mean '%s'?", near);
    rt_cfg_fail(c, key, text);
    return fallback < 0 ? 0 : fallback;
}

int rt_cfg_ints(rt_cfg *c, const char *key, int *out, int max, int low, int high)
{
    cJSON *v = look(c, key);
    char text[120];
    if (!v) return 0;
    snprintf(text, sizeof text, "a whole number from %d to %d or a list of up to %d of them", low, high, max);
    int n = 0, ok = cJSON_IsNumber(v) || (cJSON_IsArray(v) && v->child);
    for (const cJSON *e = cJSON_IsArray(v) ? v->child : v; ok && e; e = cJSON_IsArray(v) ? e->next : NULL) {
        ok = n < max && cJSON_IsNumber(e) && e->valuedouble == floor(e->valuedouble) && e->valuedouble >= low &&
             e->valuedouble <= high;
        if (ok) out[n++] = (int)e->valuedouble;
    }
    if (!ok) {
        wrong(c, key, v, text);
        return 0;
    }
    return n;
}

int rt_cfg_strings(rt_cfg *c, const char *key, const char **out, int max)
{
    cJSON *v = look(c, key);
    char text[80];
    int n = 0, ok = cJSON_IsString(v) || (cJSON_IsArray(v) && v->child);
    if (!v) return 0;
    for (const cJSON *e = cJSON_IsArray(v) ? v->child : v; ok && e; e = cJSON_IsArray(v) ? e->next : NULL) {
        ok = n < max && cJSON_IsString(e) && *e->valuestring;
        if (ok) out[n++] = e->valuestring;
    }
    if (ok) return n;
    snprintf(text, sizeof text, "a text or a list of up to %d of them", max);
    wrong(c, key, v, text);
    return 0;
}

cJSON *rt_cfg_array(rt_cfg *c, const char *key)
{
    cJSON *v = look(c, key);
    if (v && !cJSON_IsArray(v)) {
        wrong(c, key, v, "a list [...]");
        return NULL;
    }
    return v;
}

cJSON *rt_cfg_any(rt_cfg *c, const char *key) { return look(c, key); }

void rt_json_number(cJSON *j, const char *key, double value, const char *reason)
{
    if (isfinite(value)) {
        cJSON_AddNumberToObject(j, key, value);
        return;
    }
    cJSON *undefined = cJSON_GetObjectItemCaseSensitive(j, "undefined");
    if (!undefined) undefined = cJSON_AddObjectToObject(j, "undefined");
    cJSON_AddNullToObject(j, key);
    cJSON_AddStringToObject(undefined, key, reason);
}
