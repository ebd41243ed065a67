/* train/train_heads.c - what each head learns from: its targets and its loss. */
#include <stdio.h>
#include <string.h>

#include "data/files.h"
#include "student/arch.h"
#include "student/replace_heads.h"
#include "train/trainer_parts.h"

int rt_learns_soft(const rt_loss_config *l) { return l->desc.kind != RT_SOFT_NONE && l->desc.soft > 0; }

int rt_learns_labels(const rt_loss_config *l)
{ return l->desc.hard > 0 || l->focal.on || (l->desc.kind == RT_SOFT_DKD && !l->desc.teacher_target); }

int rt_train_soft(const rt_train_settings *s)
{
    int any = 0;
    for (int h = 0; h < s->heads; h++) any |= rt_learns_soft(&s->of[h].loss);
    return any;
}

int rt_train_labels(const rt_train_settings *s)
{
    int any = 0;
    for (int h = 0; h < s->heads; h++) any |= rt_learns_labels(&s->of[h].loss);
    return any;
}

const char *rt_loss_path(const rt_train_settings *s, int head, char text[RT_LOSS_PATH])
{
    if (s->heads > 1) snprintf(text, RT_LOSS_PATH, "loss.%s", s->head[head].name);
    else snprintf(text, RT_LOSS_PATH, "loss");
    return text;
}

/* ---- heads ---- */

static rt_status name_inputs(const rt_graph *g, rt_train_settings *s)
{
    for (int i = 0; i < g->inputs; i++, s->inputs++)
        if (!(s->input[i] = strdup(g->node[g->tensor[g->input[i]].producer].name)))
            return rt_fail(RT_RUN, "out of memory");
    return RT_OK;
}

rt_status rt_train_load_init(rt_train_settings *s, const rt_x_where *x)
{
    RT_TRY(rt_model_load_bound(&s->init_model, s->init, NULL, x));
    return s->replace ? rt_model_replace_heads(&s->init_model, s->replace, s->init_seed, "heads") : RT_OK;
}

/* Those of the architecture, or of the model file that "init" names. A file that is not there yet has none. */
static rt_status find_heads(cJSON *config, rt_train_settings *s)
{
    cJSON *arch = cJSON_GetObjectItemCaseSensitive(config, "model");
    if (!*s->init) {
        rt_graph *g;
        RT_TRY(rt_arch_build(&g, arch, "model"));
        rt_status st = name_inputs(g, s);
        if (!st) st = rt_arch_heads(s->head, &s->heads, g, arch, "model");
        rt_graph_free(g);
        return st;
    }
    int there, data;
    RT_TRY(rt_file_there(s->init, &there));
    if (!there) return RT_OK;
    RT_TRY(rt_file_there(s->source, &data));
    rt_status st = rt_train_load_init(s, data ? &s->x : NULL);
    if (st && !data) return RT_OK;         /* its rows may be to tell a shape that the file leaves open */
    RT_TRY(st);
    const rt_model *m = s->init_model;
    RT_TRY(name_inputs(m->graph, s));
    RT_TRY(rt_heads_copy(s->head, m->head, m->heads));
    s->heads = m->heads;
    return RT_OK;
}

/* ---- losses ---- */

static void read_losses(rt_cfg *loss, rt_train_settings *s, rt_soft_giver by)
{
    if (s->heads == 1) rt_loss_read(loss, &s->of[0].loss, s->head[0].task, by);
    for (int h = 0; h < s->heads && s->heads > 1; h++) {
        if (!strcmp(s->head[h].name, "hints")) rt_cfg_fail(loss, "hints", "are no head; give the head another name");
        rt_cfg one = rt_cfg_object(loss, s->head[h].name);
        rt_loss_read(&one, &s->of[h].loss, s->head[h].task, by);
        rt_cfg_join(loss, &one);
    }
}

/* ---- what an epoch is chosen by ---- */

/* "METRIC" of a single head or "HEAD.METRIC". */
static void read_monitor(rt_cfg *train, rt_train_settings *s)
{
    char head[RT_HEAD_NAME + 1];
    s->monitor_head = 0;
    s->monitor = s->heads ? rt_metric_first(s->head[0].task) : NULL;
    if (!rt_cfg_has(train, "monitor")) return;
    const char *name = rt_cfg_string(train, "monitor", ""), *dot = strchr(name, '.');
    if (!s->heads) return;
    if (dot && dot - name <= RT_HEAD_NAME) {
        snprintf(head, sizeof head, "%.*s", (int)(dot - name), name);
        while (s->monitor_head < s->heads && strcmp(s->head[s->monitor_head].name, head)) s->monitor_head++;
    } else if (s->heads > 1) s->monitor_head = s->heads;
    if (s->monitor_head == s->heads) {
        char text[RT_NAMES_TEXT], what[RT_NAMES_TEXT + 60];
        snprintf(what, sizeof what, "HEAD.METRIC is expected; the heads: %s", rt_heads_text(s->head, s->heads, text));
        rt_cfg_fail(train, "monitor", what);
        s->monitor_head = 0;
        return;
    }
    s->monitor = rt_metric_find(s->head[s->monitor_head].task, dot ? dot + 1 : name);
    if (!s->monitor) rt_cfg_fail(train, "monitor", rt_error_message());
    else if (!rt_metric_fits(s->monitor, s->head[s->monitor_head].size)) {
        char what[200];
        snprintf(what, sizeof what, "%s is not defined here: %s; choose another metric", s->monitor->name,
                 s->monitor->undefined);
        rt_cfg_fail(train, "monitor", what);
    }
    if (s->validation == 0) rt_cfg_refuse(train, "monitor", "needs data.validation above 0");
}

/* ---- all of it ---- */

rt_status rt_train_heads(cJSON *config, rt_train_settings *s, rt_cfg *data, rt_cfg *loss, rt_cfg *train)
{
    RT_TRY(find_heads(config, s));
    rt_target_where where[RT_MAX_HEADS];
    int given[RT_MAX_HEADS];
    rt_target_where_read(data, s->head, s->heads, s->y_given ? &s->y : NULL, where, given);
    for (int h = 0; h < s->heads; h++) {
        s->of[h].where = where[h];
        s->of[h].given = given[h];
    }
    if (s->heads) read_losses(loss, s, s->peer ? RT_BY_PEER : *s->labels || s->teachers ? RT_BY_TEACHER : RT_BY_NOBODY);
    else for (const cJSON *k = loss->object ? loss->object->child : NULL; k; k = k->next) rt_cfg_any(loss, k->string);
    read_monitor(train, s);
    return RT_OK;
}
