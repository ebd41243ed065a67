/* experiments/jobs/step_files.c - the files of an experiment's steps: where their outputs lie, what they refer to, and
 * what is in them. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/source_files.h"
#include "experiments/jobs/export_job.h"
#include "experiments/jobs/runner_parts.h"
#include "train/trainer.h"

void rt_step_place(const rt_run *x, rt_run_step *s)
{
    const rt_step_kind *k = s->kind;
    const char *form = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(s->with, "to"));
    if (k->is & RT_STEP_FOLDER) snprintf(s->place, sizeof s->place, "%s/%s", x->out, s->name);
    else
        snprintf(s->place, sizeof s->place, "%s/%s.%s", x->out, s->name, k->ending_of ? k->ending_of(form) : k->ending);
    snprintf(s->output, sizeof s->output, k->makes ? "%.1000s/%s" : "%.1000s", s->place, k->makes);
    snprintf(s->product, sizeof s->product, k->product ? "%s/%s" : "%s", s->output, k->product);
    *s->beside = 0;
    if (k->beside) snprintf(s->beside, sizeof s->beside, "%s/%s.%s", x->out, s->name, k->beside);
}
/* ---- what they refer to ---- */

rt_status rt_step_resolve(const rt_run *x, cJSON *j, const char *step_name)
{
    for (cJSON *c = j->child; c; c = c->next) {
        if (c->child) RT_TRY(rt_step_resolve(x, c, step_name));
        if (!cJSON_IsString(c)) continue;
        char *open;
        while ((open = strstr(c->valuestring, "${"))) {
            char *close = strchr(open, '}'), text[4096];
            const char *value = NULL;
            if (!close) return rt_fail(RT_USAGE, "step '%s': '%s' has no closing brace", step_name, c->valuestring);
            size_t length = (size_t)(close - open - 2);
            for (int i = 0; i < x->steps; i++) {
                const char *name = x->step[i].name;
                if (strlen(name) == length && strncmp(name, open + 2, length) == 0) value = x->step[i].output;
            }
            if (!value)
                return rt_fail(RT_USAGE, "step '%s': ${%.*s} names no step before this one", step_name, (int)length,
                               open + 2);
            int before = (int)(open - c->valuestring);
            int n = snprintf(text, sizeof text, "%.*s%s%s", before, c->valuestring, value, close + 1);
            if (n < 0 || n >= (int)sizeof text || !cJSON_SetValuestring(c, text))
                return rt_fail(RT_USAGE, "step '%s': a path is too long", step_name);
        }
    }
    return RT_OK;
}

/* The path from the root, without "." and "..", as it is written: it may not be there yet. */
static rt_status whole_path(const char *path, char out[4096])
{
    char text[8192], *save = NULL;
    size_t n = 0;
    *out = 0;
    if (*path != '/' && !getcwd(out, 4096)) return rt_fail(RT_RUN, "the current folder: %s", strerror(errno));
    snprintf(text, sizeof text, "%s/%s", out, path);
    *out = 0;
    for (const char *part = strtok_r(text, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (!strcmp(part, ".")) continue;
        if (!strcmp(part, "..")) while (n && out[--n] != '/') {}
        else n += (size_t)snprintf(out + n, 4096 - n, "/%s", part);
        if (n > 4000) break;
        out[n] = 0;
    }
    return RT_OK;
}

/* Whether a step before makes what this names: its output, or a file in its folder. */
static rt_status made_before(const rt_run *x, const char *path, int *made)
{
    char want[4096], place[4096];
    *made = 0;
    RT_TRY(whole_path(path, want));
    for (int i = 0; i < x->steps && !*made; i++) {
        RT_TRY(whole_path(x->step[i].place, place));
        size_t n = strlen(place);
        *made = !strncmp(want, place, n) && (!want[n] || want[n] == '/');
    }
    return RT_OK;
}

static rt_status check_paths(const rt_run *x, const char *key, const cJSON *v);

int rt_step_file_of(const char *text, char path[4096])
{
    struct stat s;
    const char *colon = strrchr(text, ':');
    size_t n = colon && colon[1] && stat(text, &s) ? (size_t)(colon - text) : strlen(text);
    if (n >= 4096) return 0;
    memcpy(path, text, n);
    path[n] = 0;
    return 1;
}

/* The files of a specification; a command is sought when it is started, and what is no specification has none here. */
static rt_status check_teacher(const rt_run *x, const char *key, const cJSON *v)
{
    static const char *const of[] = {"file", "like", "teachers"};
    const char *from = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "from"));
    const cJSON *labelled = cJSON_GetObjectItemCaseSensitive(v, "validation");
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        RT_TRY(check_paths(x, key, cJSON_GetObjectItemCaseSensitive(v, of[i])));
    if (cJSON_HasObjectItem(v, "mix") && cJSON_IsObject(labelled))
        RT_TRY(check_paths(x, key, cJSON_GetObjectItemCaseSensitive(labelled, "source")));
    if (!from) return RT_OK;
    char path[4096];
    if (!rt_step_file_of(from, path)) return rt_fail(RT_USAGE, "%s: '%.60s...': the path is too long", key, from);
    return check_paths(x, key, &(cJSON){.type = cJSON_String, .valuestring = path});
}

/* The files of a pattern, as far as there are any. 0: it is none, or fits none. */
static int files_of(const char *text, rt_source_files *l)
{ return strpbrk(text, "*?[") && !rt_source_files_of(l, text); }

static rt_status check_paths(const rt_run *x, const char *key, const cJSON *v)
{
    struct stat s;
    rt_source_files l;
    for (const cJSON *c = cJSON_IsArray(v) ? v->child : NULL; c; c = c->next) RT_TRY(check_paths(x, key, c));
    if (cJSON_IsObject(v)) RT_TRY(check_teacher(x, key, v));
    if (!cJSON_IsString(v) || !*v->valuestring || !stat(v->valuestring, &s)) return RT_OK;
    int error = errno, made = 0;
    if (files_of(v->valuestring, &l)) {
        rt_status st = RT_OK;
        for (int i = 0; i < l.count && !st; i++)
            if (strcmp(l.path[i], v->valuestring))
                st = check_paths(x, key, &(cJSON){.type = cJSON_String, .valuestring = l.path[i]});
        rt_source_files_free(&l);
        return st;
    }
    if (rt_errno_status(error) == RT_INPUT) RT_TRY(made_before(x, v->valuestring, &made));
    if (made) return RT_OK;
    if (rt_errno_status(error) == RT_RUN) return rt_fail(RT_RUN, "%s: '%s': %s", key, v->valuestring, strerror(error));
    return rt_fail(RT_INPUT, "%s: '%s': %s, and no step before this one makes it", key, v->valuestring,
                   strerror(error));
}

/* "FILE.h5:SET", or a list of them. */
static rt_status check_sets(const rt_run *x, const char *key, const cJSON *v)
{
    char path[4096];
    for (const cJSON *c = cJSON_IsArray(v) ? v->child : NULL; c; c = c->next) RT_TRY(check_sets(x, key, c));
    if (!cJSON_IsString(v)) return RT_OK;
    if (!rt_step_file_of(v->valuestring, path))
        return rt_fail(RT_USAGE, "%s: '%.60s...': the path is too long", key, v->valuestring);
    return check_paths(x, key, &(cJSON){.type = cJSON_String, .valuestring = path});
}

/* An object that tells where rows and labels lie: "data", and what it is compared with. */
static rt_status check_data(const rt_run *x, const cJSON *data)
{
    static const char *const of_data[] = {"source", "labels", "policy"}, *const of_sets[] = {"x", "targets"};
    for (int i = 0; i < 3; i++) RT_TRY(check_paths(x, of_data[i], cJSON_GetObjectItemCaseSensitive(data, of_data[i])));
    const cJSON *mask = cJSON_GetObjectItemCaseSensitive(data, "mask");
    RT_TRY(check_paths(x, "mask", cJSON_IsObject(mask) ? cJSON_GetObjectItemCaseSensitive(mask, "source") : mask));
    const cJSON *y = cJSON_GetObjectItemCaseSensitive(data, "y");
    RT_TRY(check_paths(x, "y", cJSON_GetObjectItemCaseSensitive(y, "source")));
    for (int i = 0; i < 2; i++) {
        const cJSON *sets = cJSON_GetObjectItemCaseSensitive(data, of_sets[i]);
        for (const cJSON *c = cJSON_IsObject(sets) ? sets->child : NULL; c; c = c->next)
            RT_TRY(check_paths(x, "source", cJSON_GetObjectItemCaseSensitive(c, "source")));
    }
    return RT_OK;
}

rt_status rt_step_check_files(const rt_run *x, const rt_run_step *s)
{
    static const char *const key[] = {"input",   "labels",   "like",     "init",      "model",
                                      "teacher", "students", "baseline", "candidate", "policy", "from",
                                      "labelled", "train", "limits"};
    static const char *const with_set[] = {"voters", "truth", "features", "against", "data"};
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        if (strcmp(key[i], "teacher") || !rt_train_peer_asked(s->with))
            RT_TRY(check_paths(x, key[i], cJSON_GetObjectItemCaseSensitive(s->with, key[i])));
    const cJSON *peer = cJSON_GetObjectItemCaseSensitive(s->with, "peer");
    RT_TRY(check_paths(x, "peer.init", cJSON_GetObjectItemCaseSensitive(peer, "init")));
    for (size_t i = 0; i < sizeof with_set / sizeof with_set[0]; i++)
        RT_TRY(check_sets(x, with_set[i], cJSON_GetObjectItemCaseSensitive(s->with, with_set[i])));
    RT_TRY(check_data(x, cJSON_GetObjectItemCaseSensitive(s->with, "data")));
    RT_TRY(check_data(x, cJSON_GetObjectItemCaseSensitive(s->with, "reference")));
    const cJSON *sets = cJSON_GetObjectItemCaseSensitive(s->with, "x");
    for (const cJSON *c = cJSON_IsObject(sets) ? sets->child : NULL; c; c = c->next)
        RT_TRY(check_paths(x, "source", cJSON_GetObjectItemCaseSensitive(c, "source")));
    return RT_OK;
}

/* ---- what is in them ---- */

enum { MAX_DEPTH = 16 };

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* A folder of images stands for the names and contents of all its files, in the order of their names. */
static rt_status hash_folder(const char *path, int depth, rt_hasher *h)
{
    struct dirent **list;
    rt_status st = RT_OK;
    if (depth == MAX_DEPTH) return rt_fail(RT_INPUT, "%s: folders are nested more than %d deep", path, MAX_DEPTH);
    int n = scandir(path, &list, NULL, by_name);
    if (n < 0) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        char at[4096];
        struct stat s;
        rt_digest d;
        if (!st && strcmp(name, ".") && strcmp(name, "..")) {
            if (snprintf(at, sizeof at, "%s/%s", path, name) >= (int)sizeof at)
                st = rt_fail(RT_INPUT, "%s: the path of '%.40s' is too long", path, name);
            else if (stat(at, &s)) st = rt_fail(rt_errno_status(errno), "%s: %s", at, strerror(errno));
            rt_hasher_add(h, name, strlen(name) + 1);
            if (!st && S_ISDIR(s.st_mode)) st = hash_folder(at, depth + 1, h);
            else if (!st && S_ISREG(s.st_mode) && !(st = rt_digest_file(&d, at, 1))) rt_hasher_add(h, d.hex, 32);
        }
        free(list[i]);
    }
    if (n) free(list);
    return st;
}

rt_status rt_step_hash_files(const cJSON *j, int folders, rt_hasher *h)
{
    for (const cJSON *c = j->child; c; c = c->next) {
        struct stat s;
        rt_digest d;
        rt_source_files l;
        if (c->child) RT_TRY(rt_step_hash_files(c, 0, h));
        if (!cJSON_IsString(c)) continue;
        char path[4096];
        if (!rt_step_file_of(c->valuestring, path)) continue;
        if (stat(path, &s)) {                              /* most texts name no file */
            if (rt_errno_status(errno) != RT_INPUT) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
            if (files_of(path, &l)) {
                rt_status st = RT_OK;
                for (int i = 0; i < l.count && !st; i++)
                    if (!(st = rt_digest_file(&d, l.path[i], 1))) rt_hasher_add(h, d.hex, 32);
                rt_source_files_free(&l);
                RT_TRY(st);
            }
            continue;
        }
        if (S_ISDIR(s.st_mode) && folders && c->string && strcmp(c->string, "input") == 0)
            RT_TRY(hash_folder(path, 0, h));
        if (!S_ISREG(s.st_mode)) continue;
        RT_TRY(rt_digest_file(&d, path, 1));
        rt_hasher_add(h, d.hex, 32);
    }
    return RT_OK;
}

