#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/version.h"
#include "train/checkpoint.h"

enum { MAX_BUFFERS = 9 };

static int buffers_of(rt_trainer *t, rt_buffer b[MAX_BUFFERS])
{
    static const struct { const char *name; rt_buffer_id id; } all[MAX_BUFFERS] = {
        {"params", RT_B_PARAMS}, {"states", RT_B_STATES}, {"m", RT_B_M}, {"v", RT_B_V}, {"ema", RT_B_EMA},
        {"best_params", RT_B_BEST}, {"best_states", RT_B_BEST_STATES}, {"ema_states", RT_B_EMA_STATES},
        {"gradient_sum", RT_B_SUM}};                        /* of a step whose batches are not all done */
    for (int i = 0; i < MAX_BUFFERS; i++) {
        b[i] = (rt_buffer){.name = all[i].name};
        b[i].data = rt_session_buffer(t->session, all[i].id, &b[i].count);
    }
    return MAX_BUFFERS;
}

static char *exact(double v, char text[40])
{
    snprintf(text, 40, "%a", v);
    return text;
}

rt_status rt_train_save(rt_trainer *t)
{
    rt_buffer b[MAX_BUFFERS];
    char text[40], family[RT_FAMILY_TEXT];
    int n = buffers_of(t, b);
    RT_TRY(rt_session_read(t->session, RT_B_ALL));
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "config", t->config_digest);
    cJSON_AddItemReferenceToObject(j, "content", t->content);
    cJSON_AddStringToObject(j, "kernels", rt_device_family(t->opt->device, family));
    cJSON_AddStringToObject(j, "tool", rt_tool());
    cJSON_AddNumberToObject(j, "batches", (double)t->done);
    cJSON_AddNumberToObject(j, "updates", (double)rt_session_updates(t->session));
    cJSON_AddNumberToObject(j, "best_epoch", t->best_epoch);
    cJSON_AddStringToObject(j, "best", exact(t->best, text));
    cJSON_AddStringToObject(j, "epoch_loss", exact(t->epoch_loss, text));
    cJSON_AddNumberToObject(j, "seconds", t->seconds);
    cJSON_AddItemReferenceToObject(j, "history", t->history);
    rt_status st = rt_checkpoint_save(t->folder, t->done, j, b, n, t->first ? 3 : 2);
    cJSON_Delete(j);
    if (!st) t->saved = t->done;
    return st;
}

double rt_train_number(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    return cJSON_IsString(v) ? strtod(v->valuestring, NULL) : cJSON_IsNumber(v) ? v->valuedouble : 0;
}

/* The numbers of a file are used as counts only where they are ones. */
static rt_status check_state(const rt_trainer *t, const cJSON *j)
{
    static const struct { const char *key; double most; } counts[] = {{"batches", 0x1p53}, {"updates", 0x1p53},
                                                                      {"best_epoch", 0x1p30}};
    const cJSON *history = cJSON_GetObjectItemCaseSensitive(j, "history");
    int good = cJSON_IsArray(history);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double v = rt_train_number(j, counts[i].key);
        good &= v >= 0 && v <= counts[i].most && v == floor(v);
    }
    for (const cJSON *e = good ? history->child : NULL; e; e = e->next) good &= cJSON_IsObject(e);
    return good ? RT_OK
                : rt_fail(RT_INPUT,
                          "%s: the state of a checkpoint is damaged; remove the folder or use --force "
                          "to start again",
                          t->folder);
}

rt_status rt_train_load(rt_trainer *t, uint64_t at, int *found)
{
    rt_buffer b[MAX_BUFFERS];
    cJSON *j;
    char family[RT_FAMILY_TEXT];
    int n = buffers_of(t, b);
    *found = 0;
    RT_TRY(rt_checkpoint_load(t->folder, at, &j, b, n));
    if (!j) return RT_OK;
    const char *kernels = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "kernels"));
    const char *config = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "config"));
    rt_status st = rt_train_same_content(t, cJSON_GetObjectItemCaseSensitive(j, "content"), t->folder);
    if (!st && (!config || strcmp(config, t->config_digest)))
        st = rt_fail(RT_USAGE, "%s: belongs to a run with another configuration; use --force to start again",
                     t->folder);
    rt_device_family(t->opt->device, family);
    if (!st && kernels && strcmp(kernels, family) && !t->opt->allow_numeric_change)
        st = rt_fail(RT_USAGE,
                     "%s: was trained with %s, this is %s: results would differ in their last bits; use what it was "
                     "trained with (--kernels, --device, train.precision), or --allow-numeric-change",
                     t->opt->out, kernels, family);
    if (!st) st = check_state(t, j);
    if (!st) {
        t->done = t->saved = (uint64_t)rt_train_number(j, "batches");
        rt_session_set_updates(t->session, (uint64_t)rt_train_number(j, "updates"));
        t->best_epoch = (int)rt_train_number(j, "best_epoch");
        t->best = rt_train_number(j, "best");
        t->epoch_loss = rt_train_number(j, "epoch_loss");
        t->seconds = rt_train_number(j, "seconds");
        cJSON_Delete(t->history);
        t->history = cJSON_DetachItemFromObjectCaseSensitive(j, "history");
        *found = 1;
        st = rt_session_write(t->session, RT_B_ALL);
    }
    cJSON_Delete(j);
    return st;
}
