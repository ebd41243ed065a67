#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/precision.h"
#include "data/source_files.h"
#include "engine/digest.h"
#include "engine/text.h"
#include "student/arch.h"

static void read_hints(rt_cfg *c, rt_train_settings *s)
{
    cJSON *list = rt_cfg_array(c, "hints");
    for (cJSON *h = list ? list->child : NULL; h && !c->status; h = h->next) {
        if (s->hints == RT_MAX_HINTS) {
            rt_cfg_fail(c, "hints", "too many hints");
            return;
        }
        rt_cfg one = rt_cfg_begin(h, "loss.hints[]");
        rt_hint *q = &s->hint[s->hints++];
        q->student = rt_cfg_string(&one, "student", NULL);
        q->teacher = rt_cfg_string(&one, "teacher", NULL);
        q->weight = (float)rt_cfg_number(&one, "weight", 1, 0, 1e6);
        rt_cfg_join(c, &one);
    }
    if (s->hints && s->teachers != 1 && !*s->labels)
        rt_cfg_fail(c, "hints",
                    "need exactly one model under \"teacher\", which then runs beside the student, or a label "
                    "store with features");
}

static rt_cfg read_data(rt_cfg *c, rt_train_settings *s)
{
    static const char *const labelled[] = {"keep", "choose", NULL};
    rt_cfg d = rt_cfg_object(c, "data");
    s->source = rt_cfg_source(&d, "source", NULL);
    rt_x_where_read(&d, s->source, &s->x);
    s->y_given = rt_target_y_read(&d, &s->y);
    rt_rows_read(&d, &s->rows);
    rt_row_mask_read(&d, &s->mask);
    s->check = rt_check_read(&d);
    s->match = rt_match_read(&d);
    s->hard_rows = rt_cfg_string(&d, "hard_rows", "");
    s->validation = rt_rows_part(&d, "validation", 0.1);
    s->labels = rt_cfg_file(&d, "labels", "");
    cJSON *policy = rt_cfg_any(&d, "policy");
    if (policy && !*s->labels) rt_cfg_fail(&d, "policy", "chooses rows of a label store; data.labels names none");
    if (policy && !d.status) d.status = rt_label_policy_read(&s->policy, policy, "data.policy");
    if (policy) s->policy_all = rt_cfg_choice(&d, "policy_labelled", labelled, 0);
    else rt_cfg_refuse(&d, "policy_labelled", "belongs to data.policy, which is not given");
    s->policy_file = policy ? cJSON_GetStringValue(policy) : NULL;
    s->normalize = rt_cfg_any(&d, "normalize");
    if (s->normalize && *s->init) rt_cfg_fail(&d, "normalize", "belongs to the model given by \"init\"");
    return d;
}

/* What is given must be used. */
static void check_use(rt_cfg *c, const rt_train_settings *s)
{
    int soft = rt_train_soft(s), labels = rt_train_labels(s), hard = 0;
    char path[RT_LOSS_PATH], key[RT_LOSS_PATH + 8];
    for (int h = 0; h < s->heads; h++) hard |= s->of[h].loss.desc.hard > 0;
    if (*s->labels && !soft && !s->hints)
        rt_cfg_fail(c, "data.labels", "are not used: loss.kind is ce, or loss.soft 0; leave them out, or choose kd");
    if (s->peer && !soft) rt_cfg_fail(c, "teacher", "is a peer and is not used: choose another loss.kind than ce");
    if (s->peer && !hard)
        rt_cfg_fail(c, "loss.hard", "is 0: two students that learn from each other alone learn nothing");
    if (s->peer && s->quant.on)
        rt_cfg_fail(c, "quant", "and a peer as the teacher do not go together; quantize afterwards");
    if (s->teachers && !soft && !s->hints)
        rt_cfg_fail(c, "teacher", "is not used: loss.kind is ce, or loss.soft 0, and there are no hints; leave it out");
    for (int h = 0; h < s->heads; h++) {
        const rt_loss_config *l = &s->of[h].loss;
        snprintf(key, sizeof key, "%s.hard", rt_loss_path(s, h, path));
        if (!rt_learns_soft(l) && l->desc.hard == 0 && (!s->hints || s->heads > 1))
            rt_cfg_fail(c, key, "is 0, and nothing else is left to learn from");
        if (s->of[h].given && *s->of[h].where.set && s->heads > 1 && !rt_learns_labels(l) && s->validation == 0)
            rt_cfg_fail(c, "data.targets", "has one that is not used: its head's loss.hard and data.validation are 0");
    }
    if (*s->hard_rows && !hard && s->validation == 0)
        rt_cfg_fail(c, "data.hard_rows", "are not used: loss.hard and data.validation are 0; leave them out");
    if (s->y_given && *s->y.set && !labels && s->validation == 0)
        rt_cfg_fail(c, "data.y", "is not used: loss.hard and data.validation are 0; leave it out");
}

rt_status rt_train_tune(rt_graph *g, const rt_train_settings *s)
{
    rt_status st = rt_graph_freeze(g, s->freeze, s->frozen);
    if (!st && !g->grad_floats) st = rt_fail(RT_USAGE, "nothing is left to train");
    if (st) return rt_fail_in(st, "train.freeze");
    for (int i = 0; i < s->tuned && !st; i++) {
        st = rt_graph_tune(g, s->tune[i].match, &s->tune[i].to);
        if (st) return rt_fail_in(st, "train.fields[%d].match", i);
    }
    return RT_OK;
}

/* A number that is left alone where it is not given. */
static float tuned(rt_cfg *c, const char *key, double min, double max, int *given)
{
    if (!rt_cfg_has(c, key)) return NAN;
    ++*given;
    return (float)rt_cfg_number(c, key, 0, min, max);
}

static void read_fields(rt_cfg *c, rt_train_settings *s)
{
    cJSON *list = rt_cfg_has(c, "fields") ? rt_cfg_array(c, "fields") : NULL;
    for (cJSON *f = list ? list->child : NULL; f && !c->status; f = f->next) {
        char path[40];
        int given = 0;
        snprintf(path, sizeof path, "train.fields[%d]", s->tuned);
        if (s->tuned == RT_MAX_TUNED) {
            rt_cfg_fail(c, "fields", "are too many");
            return;
        }
        rt_cfg one = rt_cfg_begin(f, path);
        s->tune[s->tuned].match = rt_cfg_string(&one, "match", NULL);
        s->tune[s->tuned++].to = (rt_tuning){.lr_scale = tuned(&one, "lr_scale", 1e-9, 1e9, &given),
                                             .grad_scale = tuned(&one, "grad_scale", 1e-9, 1e9, &given),
                                             .weight_decay = tuned(&one, "weight_decay", 0, 10, &given),
                                             .low = tuned(&one, "low", -1e30, 1e30, &given)};
        if (!given && !one.status)
            rt_cfg_fail(&one, "match", "says for which weights, but nothing about them is given: lr_scale, grad_scale, "
                        "weight_decay or low; what is not to be trained stands in train.freeze");
        rt_cfg_join(c, &one);
    }
}

/* data.labels = {"source", "set"}: logits that lie in a set of their own are a teacher that has its answers. */
static void labels_of_set(rt_cfg *c, cJSON *config)
{
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    cJSON *labels = cJSON_GetObjectItemCaseSensitive(data, "labels");
    if (!cJSON_IsObject(labels)) return;
    if (cJSON_HasObjectItem(config, "teacher"))
        rt_cfg_fail(c, "teacher",
                    "give either data.labels (cached labels) or teacher (labels of every view), not both");
    rt_cfg one = rt_cfg_begin(labels, "data.labels");
    const char *source = rt_cfg_source(&one, "source", NULL), *set = rt_cfg_file(&one, "set", NULL);
    rt_string from = {0};
    rt_put(&from, "%s:%s", source, set);
    rt_cfg_join(c, &one);
    cJSON *teacher = c->status ? NULL : cJSON_AddObjectToObject(config, "teacher");
    if (teacher) cJSON_AddStringToObject(teacher, "from", from.p ? from.p : "");
    if (teacher) cJSON_DeleteItemFromObjectCaseSensitive(data, "labels");
    free(from.p);
}

rt_status rt_train_settings_read(cJSON *config, rt_train_settings *s)
{
    memset(s, 0, sizeof *s);
    rt_cfg c = rt_cfg_begin(config, "");
    labels_of_set(&c, config);
    RT_TRY(c.status);
    if (!rt_cfg_any(&c, "model") && !rt_cfg_has(&c, "init"))
        rt_cfg_fail(&c, "model", "an architecture (or \"init\": a model file to start from) is required");
    s->init = rt_cfg_file(&c, "init", "");
    if (*s->init && rt_cfg_has(&c, "model"))
        rt_cfg_fail(&c, "init", "give either \"model\" or \"init\", which brings its own architecture");
    s->seed = s->init_seed = rt_cfg_u64(&c, "seed", 1);
    if (rt_cfg_has(&c, "init_seed")) s->init_seed = rt_cfg_u64(&c, "init_seed", s->seed);
    if (rt_cfg_has(&c, "heads") && !*s->init)
        rt_cfg_fail(&c, "heads",
                    "replaces heads of the model given by \"init\"; those of a new one stand in model.heads");
    s->replace = rt_cfg_has(&c, "heads") ? rt_cfg_array(&c, "heads") : NULL;
    rt_cfg d = read_data(&c, s);
    if (rt_train_peer_asked(config)) rt_train_peer_read(&c, s);
    else rt_cfg_refuse(&c, "peer", "is the second student of a run whose teacher is \"peer\"; leave it out");
    if (!s->peer)
        s->teacher = rt_teacher_spec_read(&c, "teacher", "a model file, a list of up to 16, or a specification {...}");
    s->teachers = s->teacher.paths;
    if (*s->labels && s->teachers)
        rt_cfg_fail(&c, "teacher",
                    "give either data.labels (cached labels) or teacher (labels of every view), not both");
    rt_cfg l = rt_cfg_object(&c, "loss");
    rt_cfg t = rt_cfg_object(&c, "train");
    RT_TRY(c.status);
    rt_status st = rt_train_heads(config, s, &d, &l, &t);
    if (st) return st;
    rt_cfg_join(&c, &d);
    read_hints(&l, s);
    rt_cfg_join(&c, &l);
    rt_cfg a = rt_cfg_object(&c, "augment");
    rt_augment_read(&a, &s->augment);
    rt_cfg_join(&c, &a);
    s->epochs = rt_cfg_int(&t, "epochs", 20, 1, 1000000);
    s->quant.on = rt_cfg_has(&c, "quant");
    if (s->quant.on) rt_quant_read(&c, &s->quant.of, &s->quant.how, s->epochs);
    if (s->quant.on && s->quant.how.warmup >= s->epochs)
        rt_cfg_fail(&c, "quant.warmup", "epochs in float leave none with quantizers: give fewer, or more train.epochs");
    s->batch = rt_cfg_int(&t, "batch", 128, 1, 65536);
    s->drop_last = rt_cfg_bool(&t, "drop_last", 1);
    s->accumulate = rt_cfg_int(&t, "accumulate", 1, 1, 4096);
    rt_optimizer_read(&t, &s->optimizer, s->epochs);
    s->frozen = rt_cfg_strings(&t, "freeze", s->freeze, RT_MAX_FREEZE);
    read_fields(&t, s);
    s->patience = rt_cfg_has(&t, "patience") ? rt_cfg_int(&t, "patience", 0, 0, 1000000) : 0;
    if (s->validation == 0 && s->patience) rt_cfg_fail(&t, "patience", "needs data.validation above 0");
    s->checkpoint_every = rt_cfg_int(&t, "checkpoint_every", 1, 1, 1000000);
    s->checkpoint_seconds = rt_cfg_int(&t, "checkpoint_seconds", 60, 0, 1000000);
    s->shuffle_window = rt_cfg_int(&t, "shuffle_window", 0, 0, 1 << 20);
    s->prefetch = rt_cfg_int(&t, "prefetch", 4, 0, 1024);
    s->workers = rt_cfg_int(&t, "readers", 1, 1, 64);
    if (s->workers > 1 && !s->prefetch) rt_cfg_fail(&t, "readers", "need train.prefetch above 0");
    s->precision = rt_precision_read(&t);
    rt_cfg_join(&c, &t);
    if (s->heads) check_use(&c, s);
    RT_TRY(rt_cfg_end(&c));
    cJSON *arch = cJSON_GetObjectItemCaseSensitive(config, "model");
    if (!arch) return RT_OK;
    rt_graph *g;
    RT_TRY(rt_arch_build(&g, arch, "model"));
    st = rt_train_tune(g, s);
    rt_graph_free(g);
    return st;
}

void rt_train_settings_free(rt_train_settings *s)
{
    rt_heads_free(s->head, s->heads);
    s->heads = 0;
    for (int i = 0; i < s->inputs; i++) free(s->input[i]);
    s->inputs = 0;
    rt_model_free(s->init_model);
    s->init_model = NULL;
    rt_label_policy_free(s->policy);
    s->policy = NULL;
}

rt_status rt_train_check(cJSON *config)
{
    rt_train_settings s;
    rt_status st = rt_train_settings_read(config, &s);
    rt_train_settings_free(&s);
    return st;
}

rt_status rt_train_check_device(const cJSON *config, const rt_device *d)
{
    rt_loss_batch none = {.config = {.task = RT_TASK_REAL}};
    const cJSON *loss = cJSON_GetObjectItemCaseSensitive(config, "loss");
    none.focal.on = cJSON_HasObjectItem(loss, "focal");
    for (const cJSON *head = loss ? loss->child : NULL; head; head = head->next)
        none.focal.on |= cJSON_HasObjectItem(head, "focal");
    cJSON *arch = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(config, "model"), 1);
    rt_status st = cJSON_HasObjectItem(config, "quant") ? rt_train_check_quant(d) : RT_OK;
    rt_model *m = NULL;
    if (!st && arch && !rt_device_is_cpu(d)) st = rt_model_new(&m, arch, 1);
    if (m) {
        rt_session_spec spec = {.graph = m->graph, .batch = 1, .train = 1, .losses = m->heads};
        for (int h = 0; h < m->heads; h++) {
            spec.loss[h].tensor = m->head[h].tensor;
            spec.loss[h].batch = &none;
        }
        st = rt_session_check(&spec, d);
    }
    rt_model_free(m);
    cJSON_Delete(arch);
    return st;
}

static void drop(cJSON *from, const char *const *key)
{
    for (; *key; key++) cJSON_DeleteItemFromObjectCaseSensitive(from, *key);
}

/* What decides the result, without what only decides speed, and without paths: what lies there is rt_train_content. */
void rt_train_config_digest(rt_trainer *t)
{
    static const char *const places[] = {"init", "teacher", NULL};
    static const char *const data[] = {"source", "x", "y", "targets", "labels", "check", "mask", NULL};
    static const char *const speed[] = {"prefetch", "readers", "checkpoint_every", "checkpoint_seconds",
                                        "precision", NULL};          /* which is part of the kernels' family */
    cJSON *c = cJSON_Duplicate(t->config, 1);
    drop(c, places);
    drop(cJSON_GetObjectItemCaseSensitive(c, "data"), data);
    if (t->set.policy)                       /* what the file says, wherever it lies */
        cJSON_ReplaceItemInObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(c, "data"), "policy",
                                               cJSON_Duplicate(rt_label_policy_effective(t->set.policy), 1));
    drop(cJSON_GetObjectItemCaseSensitive(c, "train"), speed);
    rt_json_sort(c);
    char *text = cJSON_PrintUnformatted(c);
    snprintf(t->config_digest, sizeof t->config_digest, "%s",
             rt_digest_of(text ? text : "", text ? strlen(text) : 0).hex);
    cJSON_free(text);
    cJSON_Delete(c);
}
