#include "data/file_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct meant {
    struct meant *next;
    char path[RT_MEANT_PATH], called[RT_MEANT_NAME], text[];
} meant;

static struct {
    rt_file_meaning *ask;
    void *arg;
    meant *first;
} names;

void rt_file_names_by(rt_file_meaning *ask, void *arg)
{
    names.ask = ask;
    names.arg = arg;
    for (meant *next; names.first; names.first = next) {
        next = names.first->next;
        free(names.first);
    }
}

rt_status rt_file_name(const char **text)
{
    if (!names.ask) return RT_OK;
    meant *m = names.first;
    while (m && strcmp(m->text, *text)) m = m->next;
    if (!m) {
        size_t n = strlen(*text) + 1;
        m = calloc(1, sizeof *m + n);
        if (!m) return rt_fail(RT_RUN, "out of memory");
        memcpy(m->text, *text, n);
        rt_status st = names.ask(names.arg, m->text, m->path, m->called);
        if (st || !*m->path) {
            free(m);
            return st;
        }
        m->next = names.first;
        names.first = m;
    }
    *text = m->path;
    return RT_OK;
}

const char *rt_file_called(const char *path)
{
    for (const meant *m = names.first; m; m = m->next) if (!strcmp(m->path, path)) return m->called;
    return NULL;
}

/* How many bytes of a file's name come before the ending of a format. */
static size_t before_ending(const char *base, size_t n)
{
    static const char *const ending[] = {".h5", ".hdf5", ".onnx", ".json", ".npy", ".npz", ".csv"};
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
        size_t k = strlen(ending[i]);
        if (n > k && !strncasecmp(base + n - k, ending[i], k)) return n - k;
    }
    return n;
}

void rt_file_title(char *name, size_t room, const char *path)
{
    static const char model[] = "/model.h5";
    const char *called = rt_file_called(path), *base = called ? called : path;
    size_t n = strlen(base), k = sizeof model - 1;
    if (!called) {
        int of_folder = n > k && !strcmp(base + n - k, model);
        if (of_folder) n -= k;
        while (of_folder && n > 1 && base[n - 1] == '/') n--;
        const char *slash = memrchr(base, '/', n);
        if (slash && slash + 1 < base + n) {
            n -= (size_t)(slash + 1 - base);
            base = slash + 1;
        }
        if (!of_folder) n = before_ending(base, n);
        if (of_folder && (!n || strspn(base, ".") >= n)) {             /* "./model.h5" */
            base = model + 1;
            n = before_ending(base, strlen(base));
        }
    }
    if (n >= room) for (n = room - 1; n && ((unsigned char)base[n] & 0xc0) == 0x80; n--) {}
    snprintf(name, room, "%.*s", (int)n, base);
}

rt_status rt_file_names_told(rt_status st)
{
    enum { ROOM = 4096 };
    char text[ROOM], next[ROOM];
    snprintf(text, ROOM, "%s", rt_error_message());
    for (const meant *m = names.first; m; m = m->next) {
        size_t n = 0, k = strlen(m->path);
        if (!strstr(text, m->path)) continue;
        for (const char *p = text, *at; *p && n < ROOM - 1; p = at ? at + k : p + strlen(p)) {
            at = strstr(p, m->path);
            n += (size_t)snprintf(next + n, ROOM - n, "%.*s", at ? (int)(at - p) : (int)strlen(p), p);
            if (at && n < ROOM) n += (size_t)snprintf(next + n, ROOM - n, "%s (%s)", m->called, m->path);
        }
        snprintf(text, ROOM, "%s", next);
    }
    return names.first ? rt_fail(st, "%s", text) : st;
}

static int is_of_models(const char *key)
{
    static const char *const keys[] = {"teacher", "teachers", "student", "students", "init",  "model", "models",
                                       "baseline", "candidate", "anchor", "input", "like", "file", "against"};
    for (size_t i = 0; key && i < sizeof keys / sizeof keys[0]; i++) if (!strcmp(key, keys[i])) return 1;
    return 0;
}

/* Names of layers, classes and columns stand under some of the same keys. */
static int holds_none(const char *key) { return key && (!strcmp(key, "layers") || !strcmp(key, "arch")); }

static rt_status walk(cJSON *j, int of_models)
{
    for (cJSON *e = j->child; e; e = e->next) {
        int here = cJSON_IsArray(j) ? of_models : is_of_models(e->string);
        if (e->child && !holds_none(e->string)) RT_TRY(walk(e, here));
        if (!here || !cJSON_IsString(e) || !*e->valuestring) continue;
        const char *text = e->valuestring;
        RT_TRY(rt_file_name(&text));
        if (text != e->valuestring && !cJSON_SetValuestring(e, text)) return rt_fail(RT_RUN, "out of memory");
    }
    return RT_OK;
}

rt_status rt_file_names_in(cJSON *config) { return config && names.ask ? walk(config, 0) : RT_OK; }
