/* Mutual learning: two students of one run, each the other's teacher (Zhang et al., "Deep Mutual Learning", 2018,
 * equations 5 and 6). In every step both see the same rows and views; each is asked for its answers with the weights
 * that the step begins with, and then both step. What is asked is the deployed network (statistics of batch norm that
 * run along, no dropout), where the paper takes the training pass's answers.
 *
 * The first student leads: it draws the batches and says when an epoch ends. The second has settings, a session, a
 * history and a folder (OUT/peer) of its own. Checkpoints are written together, the second's first; it keeps three of
 * them, so that both that the first keeps have their counterpart, also where one newer is not the first's yet. */
#include "train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const differs[] = {"model", "init", "init_seed"};
enum { DIFFERS = sizeof differs / sizeof differs[0] };

int rt_train_peer_asked(const cJSON *config)
{
    const char *teacher = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "teacher"));
    return teacher && !strcmp(teacher, "peer");
}

void rt_train_peer_read(rt_cfg *c, rt_train_settings *s)
{
    s->peer = 1;
    rt_cfg_any(c, "teacher");
    if (*s->labels) rt_cfg_fail(c, "teacher", "is a peer, and data.labels another teacher: give one of them");
    if (!rt_cfg_has(c, "peer")) return;
    cJSON *object = rt_cfg_any(c, "peer");
    if (!cJSON_IsObject(object)) {
        rt_cfg_fail(c, "peer", "is what differs in the second student: {\"model\" or \"init\", \"init_seed\"}");
        return;
    }
    for (const cJSON *k = object->child; k; k = k->next) {
        int known = 0;
        for (int i = 0; i < DIFFERS; i++) known |= !strcmp(k->string, differs[i]);
        if (!known)
            rt_cfg_fail(c, "peer", "the second student can differ in model, init and init_seed alone: data, losses and "
                        "steps are those of both");
    }
}

/* The second student's configuration: the first one's, but for what differs; and as its "peer" what the first has. */
static rt_status peer_config(const cJSON *first, const rt_train_settings *s, cJSON **out)
{
    cJSON *c = *out = cJSON_Duplicate(first, 1), *other = cJSON_CreateObject();
    const cJSON *peer = cJSON_GetObjectItemCaseSensitive(first, "peer");
    if (!c || !other) {
        cJSON_Delete(other);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (int i = 0; i < DIFFERS; i++) {
        const cJSON *mine = cJSON_GetObjectItemCaseSensitive(first, differs[i]);
        if (mine) cJSON_AddItemToObject(other, differs[i], cJSON_Duplicate(mine, 1));
    }
    cJSON_DeleteItemFromObjectCaseSensitive(c, "peer");
    cJSON_AddItemToObject(c, "peer", other);
    if (cJSON_HasObjectItem(peer, "model") || cJSON_HasObjectItem(peer, "init")) {
        cJSON_DeleteItemFromObjectCaseSensitive(c, "model");
        cJSON_DeleteItemFromObjectCaseSensitive(c, "init");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(c, "init_seed");
    for (const cJSON *k = peer ? peer->child : NULL; k; k = k->next)
        cJSON_AddItemToObject(c, k->string, cJSON_Duplicate(k, 1));
    if (!cJSON_HasObjectItem(c, "init_seed")) cJSON_AddNumberToObject(c, "init_seed", (double)(s->init_seed + 1));
    return RT_OK;
}

rt_status rt_train_peer_open(rt_trainer *t)
{
    if (!t->set.peer) return RT_OK;
    if (!rt_device_is_cpu(t->opt->device))
        return rt_fail(RT_USAGE, "teacher: a peer is asked for its answers in each step, which is built for the CPU "
                       "alone; leave --device out");
    rt_trainer *p = t->peer = calloc(1, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    snprintf(t->peer_out, sizeof t->peer_out, "%s/peer", t->opt->out);
    t->peer_options = *t->opt;
    t->peer_options.out = t->peer_out;
    *p = (rt_trainer){
        .opt = &t->peer_options, .first = t, .history = cJSON_CreateArray(), .notes = cJSON_CreateArray()};
    RT_TRY(peer_config(t->config, &t->set, &p->config));
    rt_status st = rt_train_settings_read(p->config, &p->set);
    return st ? rt_fail_in(st, "peer") : RT_OK;
}

rt_status rt_train_peer_meet(rt_trainer *t)
{
    rt_trainer *p = t->peer;
    if (!p) return RT_OK;
    for (int i = 0; i < 2; i++) {
        rt_trainer *q = i ? p : t;
        RT_TRY(rt_predictor_new(&q->asked, &q->model, 1, q->opt->device, q->set.batch, NULL, 0));
    }
    rt_status st = rt_predictor_set_heads(p->asked, t->model->head, t->model->heads, "the first student", t->set.match);
    if (!st) st = rt_predictor_set_heads(t->asked, p->model->head, p->model->heads, "the second student", t->set.match);
    if (!st && rt_model_width(t->model) != rt_model_width(p->model))
        st = rt_fail(RT_USAGE, "the students answer %d and %d numbers a row; they need the same heads",
                     rt_model_width(t->model), rt_model_width(p->model));
    return st ? rt_fail_in(st, "peer") : RT_OK;
}

rt_status rt_train_peer_ask(rt_trainer *t)
{
    for (int i = 0; i < 2; i++) {
        rt_trainer *q = i ? t->peer : t, *asks = i ? t : t->peer;
        rt_predictor_set_weights(q->asked, 0, rt_session_buffer(q->session, RT_B_PARAMS, NULL),
                                 rt_session_buffer(q->session, RT_B_STATES, NULL));
        RT_TRY(rt_predict(q->asked, &t->feed, asks->answers));
    }
    return RT_OK;
}

void rt_train_peer_tell(const rt_trainer *t, cJSON *provenance)
{
    const rt_trainer *other = t->peer ? t->peer : t->first;
    if (!other) return;
    cJSON *told = cJSON_AddObjectToObject(provenance, "teacher");
    cJSON_AddStringToObject(told, "kind", "peer");
    cJSON_AddStringToObject(told, "config_digest", other->config_digest);
}

void rt_train_peer_close(rt_trainer *t)
{
    if (!t->peer) return;
    cJSON *config = t->peer->config;
    rt_train_tear_down(t->peer);
    cJSON_Delete(config);
    free(t->peer);
    t->peer = NULL;
}
