#include "train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/version.h"

/* Both files are written anew from the history, which the checkpoints hold: a resumed run has no doubled lines. */
rt_status rt_train_write_metrics(rt_trainer *t)
{
    size_t room = 256 * ((size_t)cJSON_GetArraySize(t->history) + 2), n, m = 0;
    char *csv = malloc(room), *lines = malloc(2 * room);
    rt_status st = csv && lines ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        n = (size_t)snprintf(csv, room, "epoch,loss,validation_accuracy,validation_loss,lr,digest\n");
        for (const cJSON *e = t->history->child; e; e = e->next) {
            const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "digest"));
            n += (size_t)snprintf(csv + n, room - n, "%d,%.9g,", (int)rt_train_number(e, "epoch"), rt_train_number(e, "loss"));
            if (t->held.count) n += (size_t)snprintf(csv + n, room - n, "%.9g,%.9g", rt_train_number(e, "validation_accuracy"), rt_train_number(e, "validation_loss"));
            else n += (size_t)snprintf(csv + n, room - n, ",");
            n += (size_t)snprintf(csv + n, room - n, ",%.9g,%s\n", rt_train_number(e, "lr"), digest ? digest : "");
            char *one = cJSON_PrintUnformatted(e);
            if (one) m += (size_t)snprintf(lines + m, 2 * room - m, "%s\n", one);
            cJSON_free(one);
        }
        lines[m] = 0;
        st = rt_train_write_text(t, "metrics.csv", csv);
        if (!st) st = rt_train_write_text(t, "metrics.jsonl", lines);
    }
    free(csv);
    free(lines);
    return st;
}

rt_digest rt_train_weights_digest(const rt_trainer *t)
{
    const rt_graph *g = t->model->graph;
    rt_hasher *h = rt_hasher_new();
    for (int i = 0; i < g->params; i++) rt_hasher_add(h, t->params + g->param[i].offset, g->param[i].count * sizeof(float));
    for (int i = 0; i < g->states; i++) rt_hasher_add(h, t->model->states + g->state[i].offset, g->state[i].count * sizeof(float));
    return rt_hasher_end(h);
}

rt_status rt_train_finish(rt_trainer *t, cJSON **result)
{
    char path[1200];
    rt_model *m = t->model;
    rt_digest last = rt_train_weights_digest(t);
    memcpy(m->params, t->best_params, m->graph->param_floats * sizeof(float));
    memcpy(m->states, t->best_states, m->graph->state_floats * sizeof(float));
    cJSON *p = m->provenance;
    RT_TRY(rt_identity_unchanged(t->identity));
    static const char *const old[] = {"tool", "kernels", "config", "data", "data_digest", "labels", "teacher_digest", "best_epoch", "seed"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) cJSON_DeleteItemFromObjectCaseSensitive(p, old[i]);
    cJSON_AddStringToObject(p, "tool", rt_tool());
    cJSON_AddStringToObject(p, "kernels", rt_kernels_get()->name);
    cJSON_AddNumberToObject(p, "seed", (double)t->set.seed);
    cJSON_AddStringToObject(p, "data", t->set.source);
    cJSON_AddStringToObject(p, "data_digest", t->data_digest.hex);
    if (t->labels) cJSON_AddItemToObject(p, "labels", cJSON_Duplicate(rt_labels_manifest(t->labels), 1));
    if (t->teacher) cJSON_AddStringToObject(p, "teacher_digest", rt_models_digest(t->teacher, t->set.teachers).hex);
    cJSON_AddNumberToObject(p, "best_epoch", t->best_epoch);
    cJSON_AddItemToObject(p, "config", cJSON_Duplicate(t->config, 1));
    snprintf(path, sizeof path, "%s/model.h5", t->opt->out);
    RT_TRY(rt_model_save(m, path));
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "model", path);
    cJSON_AddStringToObject(r, "digest", rt_model_digest(m).hex);
    cJSON_AddStringToObject(r, "last_weights_digest", last.hex);
    cJSON_AddNumberToObject(r, "epochs", t->set.epochs);
    cJSON_AddNumberToObject(r, "best_epoch", t->best_epoch);
    if (t->held.count) {
        cJSON_AddNumberToObject(r, "validation_accuracy", t->best);
        cJSON_AddStringToObject(r, "validation_against", t->y ? "labels" : "teacher");
        cJSON_AddNumberToObject(r, "validation_rows", (double)t->held.count);
    }
    cJSON_AddNumberToObject(r, "training_rows", (double)t->train.count);
    if (t->test.count) cJSON_AddNumberToObject(r, "test_rows_left_out", (double)t->test.count);
    cJSON_AddNumberToObject(r, "steps", (double)t->done);
    cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
    cJSON_AddNumberToObject(r, "seconds", t->seconds);
    if (t->notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(t->notes, 1));
    cJSON_AddStringToObject(r, "config_digest", t->config_digest);
    cJSON_AddItemToObject(r, "history", cJSON_Duplicate(t->history, 1));
    char *text = cJSON_Print(r);
    rt_status st = text ? rt_train_write_text(t, "result.json", text) : rt_fail(RT_RUN, "out of memory");
    cJSON_free(text);
    if (st) cJSON_Delete(r); else *result = r;
    return st;
}
