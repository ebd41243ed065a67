#include "train/trainer_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"

rt_status rt_train_write_text(rt_trainer *t, const char *name, const char *text)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", t->opt->out, name);
    return rt_write_file(path, text, strlen(text));
}

/* 0: go on (fresh or to resume), 1: already done */
rt_status rt_train_folder(rt_trainer *t, int *done, cJSON **result)
{
    char path[1200];
    cJSON *old = NULL;
    *done = 0;
    RT_TRY(rt_make_folder(t->opt->out));
    snprintf(path, sizeof path, "%s/run.json", t->opt->out);
    if (rt_file_exists(path) && !t->opt->force) {
        RT_TRY(rt_json_file(&old, path));
        const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(old, "config_digest"));
        int same = digest && strcmp(digest, t->config_digest) == 0;
        cJSON_Delete(old);
        if (!same) return rt_fail(RT_USAGE, "%s: holds a run with another configuration; give another --out, or --force to replace it", t->opt->out);
        snprintf(path, sizeof path, "%s/result.json", t->opt->out);
        if (rt_file_exists(path)) {
            *done = 1;
            return rt_json_file(result, path);
        }
        return RT_OK;
    }
    static const char *const stale[] = {"result.json", "model.h5", "metrics.csv", "metrics.jsonl", "checkpoints/checkpoints.json", "run.json"};
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", t->opt->out, stale[i]);
        unlink(path);
    }
    char *text = cJSON_Print(t->config), mark[96];
    rt_status st = text ? rt_train_write_text(t, "config.json", text) : rt_fail(RT_RUN, "out of memory");
    cJSON_free(text);
    snprintf(mark, sizeof mark, "{\"config_digest\": \"%s\"}\n", t->config_digest);
    return st ? st : rt_train_write_text(t, "run.json", mark);
}
