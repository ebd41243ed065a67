#include "train/checkpoint.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "data/h5.h"
#include "engine/digest.h"

enum { MAX_BUFFERS = 16 };

static rt_status list_read(const char *folder, cJSON **list)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/checkpoints.json", folder);
    *list = NULL;
    int there;
    RT_TRY(rt_file_there(path, &there));
    return there ? rt_json_sealed_file(list, path) : RT_OK;
}

static void file_name(char text[64], uint64_t batches)
{
    snprintf(text, 64, "checkpoint-%08llu.h5", (unsigned long long)batches);
}

/* checkpoint-12345678.h5 */
static int is_checkpoint(const char *name)
{
    static const char start[] = "checkpoint-";
    if (strncmp(name, start, sizeof start - 1)) return 0;
    name += sizeof start - 1;
    size_t digits = strspn(name, "0123456789");
    return digits >= 8 && !strcmp(name + digits, ".h5");
}

/* Removes checkpoints that are not, or no longer, listed. */
static void sweep(const char *folder, const cJSON *list)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        int listed = 0;
        const cJSON *all = cJSON_GetObjectItemCaseSensitive(list, "checkpoints");
        if (!is_checkpoint(e->d_name)) continue;
        for (const cJSON *c = all ? all->child : NULL; c; c = c->next) {
            const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "file"));
            listed |= file && strcmp(file, e->d_name) == 0;
        }
        if (!listed) unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) closedir(d);
}

rt_status rt_checkpoint_save(const char *folder, uint64_t batches, const cJSON *state, const rt_buffer *b, int buffers,
                             int keep)
{
    char path[1200], file[64];
    rt_h5_item it[MAX_BUFFERS + 1];
    struct stat s;
    rt_digest digest;
    RT_TRY(rt_make_folder(folder));
    file_name(file, batches);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    char *text = rt_json_text(state, 1);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    int n = 0;
    for (int i = 0; i < buffers; i++)
        if (b[i].data && b[i].count)
            it[n++] = (rt_h5_item){
                .name = b[i].name, .type = RT_F32, .rank = 1, .dim = {b[i].count}, .data = b[i].data};
    it[n++] = (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text};
    rt_status st = rt_h5_save(path, "retort-checkpoint-1", it, n);
    free(text);
    RT_TRY(st);
    RT_TRY(rt_digest_file(&digest, path, 0));
    if (stat(path, &s)) return rt_fail(RT_RUN, "%s: vanished while it was written", path);

    cJSON *old, *list = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(list, "checkpoints"),
                *c = cJSON_CreateObject();
    st = list_read(folder, &old);
    cJSON_AddStringToObject(c, "file", file);
    cJSON_AddNumberToObject(c, "size", (double)s.st_size);
    cJSON_AddStringToObject(c, "xxh128", digest.hex);
    cJSON_AddItemToArray(all, c);
    const cJSON *older = old ? cJSON_GetObjectItemCaseSensitive(old, "checkpoints") : NULL;
    for (const cJSON *o = older ? older->child : NULL; o && cJSON_GetArraySize(all) < keep; o = o->next) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "file"));
        if (name && strcmp(name, file)) cJSON_AddItemToArray(all, cJSON_Duplicate(o, 1));
    }
    cJSON_Delete(old);
    text = rt_json_sealed(list);
    snprintf(path, sizeof path, "%s/checkpoints.json", folder);
    if (!st) st = text ? rt_write_file(path, text, strlen(text)) : rt_fail(RT_RUN, "out of memory");
    if (!st) sweep(folder, list);
    free(text);
    cJSON_Delete(list);
    return st;
}

static rt_status load_one(const char *folder, const cJSON *c, cJSON **state, const rt_buffer *b, int buffers)
{
    char path[1200], *text = NULL;
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "file"));
    const char *hash = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "xxh128"));
    rt_digest digest;
    rt_stamp s;
    rt_h5_file *f;
    if (!file || !hash || strchr(file, '/')) return rt_fail(RT_INPUT, "%s/checkpoints.json: damaged", folder);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    RT_TRY(rt_stamp_at(&s, path));
    if ((double)s.size != cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(c, "size")))
        return rt_fail(RT_INPUT, "%s: has another size than its list tells; the file is damaged", path);
    RT_TRY(rt_digest_file(&digest, path, 0));
    if (strcmp(digest.hex, hash)) return rt_fail(RT_INPUT, "%s: does not match its hash; the file is damaged", path);
    RT_TRY(rt_h5_scan(&f, path));
    rt_status st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st) st = rt_json_parse(state, text, strlen(text), path);
    for (int i = 0; i < buffers && !st; i++) {
        float *data;
        if (!b[i].data || !b[i].count) continue;
        const rt_h5_dataset *d = rt_h5_find(f, b[i].name);
        if (d && (d->type != RT_F32 || d->rank != 1 || d->dim[0] != b[i].count))
            st = rt_fail(RT_INPUT, "%s: '%s' is not what this run keeps", path, b[i].name);
        if (!st) st = rt_h5_read_all((void **)&data, f, b[i].name, b[i].count * sizeof *data);
        if (st) break;
        memcpy(b[i].data, data, b[i].count * sizeof *data);
        free(data);
    }
    free(text);
    rt_h5_close(f);
    if (st) {
        cJSON_Delete(*state);
        *state = NULL;
    }
    return st;
}

rt_status rt_checkpoint_load(const char *folder, uint64_t at, cJSON **state, const rt_buffer *b, int buffers)
{
    cJSON *list;
    char only[64];
    file_name(only, at);
    *state = NULL;
    RT_TRY(list_read(folder, &list));
    sweep(folder, list);
    if (!list) return RT_OK;
    rt_status st = at ? rt_fail(RT_INPUT, "%s is not among them", only) : RT_OK;
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(list, "checkpoints");
    for (const cJSON *c = all ? all->child : NULL; c; c = c->next) {
        const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "file"));
        if (at && (!file || strcmp(file, only))) continue;
        if ((st = load_one(folder, c, state, b, buffers)) == RT_OK) break;
    }
    cJSON_Delete(list);
    return st ? rt_fail_in(st, "%s: no checkpoint can be loaded; remove the folder or use --force to start again",
                           folder)
              : RT_OK;
}
