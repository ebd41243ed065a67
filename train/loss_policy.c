#include "train/loss_policy.h"

#include <stdio.h>
#include <string.h>


/* The weights and temperature that each method's authors train with; kd and mse: the usual 0.1 and 0.9. */
typedef struct { const char *name; double hard, soft, temperature; } loss_recipe;
static const loss_recipe recipe[] = {
    [RT_SOFT_NONE] = {"ce", 1, 0, 0},   [RT_SOFT_KD] = {"kd", 0.1, 0.9, 4},       [RT_SOFT_DKD] = {"dkd", 1, 1, 4},
    [RT_SOFT_DIST] = {"dist", 1, 1, 1}, [RT_SOFT_ZSCORE] = {"zscore", 0.1, 9, 2}, [RT_SOFT_MSE] = {"mse", 0.1, 0.9, 0},
    [RT_SOFT_BKD] = {"bkd", 0.1, 0.9, 1}, [RT_SOFT_VALUES] = {"the teacher's values", 0.1, 0.9, 0},
};

/* Of students that teach each other both losses count alike, and no answer is softened (Zhang et al. 2018, eq. 5). */
static loss_recipe recipe_of(rt_soft_kind kind, rt_soft_giver by)
{
    loss_recipe r = recipe[kind];
    if (by != RT_BY_PEER || kind == RT_SOFT_NONE) return r;
    return (loss_recipe){r.name, 1, 1, r.temperature > 0};
}

const char *rt_soft_name(rt_soft_kind kind) { return recipe[kind].name; }

static void refuse(rt_cfg *c, rt_soft_kind kind, const char *key, const char *of)
{
    char text[120];
    snprintf(text, sizeof text, "belongs to loss.kind %s, not to %s; leave it out", of, recipe[kind].name);
    rt_cfg_refuse(c, key, text);
}

/* Where it is not given, nothing is written into the configuration: older runs are of the same. */
static void read_class_weight(rt_cfg *c, rt_loss_config *l)
{
    static const char what[] = "\"balanced\", or a list with a number from 0 to 1e6 for each class, is expected";
    const cJSON *w = rt_cfg_any(c, "class_weight");
    if (!w) return;
    l->balanced = cJSON_IsString(w) && !strcmp(w->valuestring, "balanced");
    if (l->balanced) return;
    l->class_weight = w;
    int good = cJSON_IsArray(w) && w->child;
    for (const cJSON *e = good ? w->child : NULL; e; e = e->next)
        good &= cJSON_IsNumber(e) && e->valuedouble >= 0 && e->valuedouble <= 1e6;
    if (!good) rt_cfg_fail(c, "class_weight", what);
}

/* Where it is not given, nothing is written, as of class_weight. Defaults: those of the paper's experiments. */
static void read_focal(rt_cfg *c, rt_loss_config *l)
{
    static const char of[] = "weighs the teacher's part row by row; it belongs to loss.kind kd, dkd, zscore and mse";
    if (!rt_cfg_has(c, "focal")) return;
    if (!(l->desc.soft > 0) || l->desc.kind == RT_SOFT_DIST) {
        rt_cfg_refuse(c, "focal", of);
        return;
    }
    rt_cfg f = rt_cfg_object(c, "focal");
    l->focal.on = 1;
    l->focal.alpha = (float)rt_cfg_number(&f, "alpha", 1, 0, 1000);
    l->focal.beta = (float)rt_cfg_number(&f, "beta", 5, 0, 1000);
    rt_cfg_join(c, &f);
}

static const char no_teacher[] = "needs a teacher: give data.labels (a label store) or teacher (a model)";

static void read_hard_mean(rt_cfg *c, rt_loss_config *l)
{
    static const char *const means[] = {"batch", "labelled", NULL};
    if (l->desc.hard > 0) l->labelled_mean = rt_cfg_choice(c, "hard_mean", means, 0);
    else rt_cfg_refuse(c, "hard_mean", "belongs to the hard loss, whose weight loss.hard is 0; leave it out");
}

static void read_classes(rt_cfg *c, rt_loss_config *l, rt_soft_giver by)
{
    static const char *const kinds[] = {"ce", "kd", "dkd", "dist", "zscore", "mse", NULL};
    static const char *const targets[] = {"label", "teacher", NULL};
    rt_soft_kind kind = l->desc.kind = (rt_soft_kind)rt_cfg_choice(c, "kind", kinds,
                                                                   by ? RT_SOFT_KD : RT_SOFT_NONE);
    if (kind != RT_SOFT_NONE && !by) rt_cfg_fail(c, "kind", no_teacher);
    int hot = recipe[kind].temperature > 0, dkd = kind == RT_SOFT_DKD, dist = kind == RT_SOFT_DIST;
    l->desc.hard = (float)rt_cfg_number(c, "hard", recipe_of(kind, by).hard, 0, 1000);
    if (kind != RT_SOFT_NONE) l->desc.soft = (float)rt_cfg_number(c, "soft", recipe_of(kind, by).soft, 0, 1000);
    else refuse(c, kind, "soft", "kd, dkd, dist, zscore and mse");
    if (hot) l->desc.temperature = (float)rt_cfg_number(c, "temperature", recipe_of(kind, by).temperature, 0.01, 1000);
    else refuse(c, kind, "temperature", "kd, dkd, dist and zscore");
    if (dkd) l->desc.alpha = (float)rt_cfg_number(c, "alpha", 1, 0, 1000);
    else refuse(c, kind, "alpha", "dkd");
    if (dkd || dist) l->desc.beta = (float)rt_cfg_number(c, "beta", dkd ? 8 : 1, 0, 1000);
    else refuse(c, kind, "beta", "dkd and dist");
    if (dist) l->desc.gamma = (float)rt_cfg_number(c, "gamma", 1, 0, 1000);
    else refuse(c, kind, "gamma", "dist");
    if (dkd) {
        l->warmup = rt_cfg_int(c, "warmup", 20, 0, 100000);
        l->desc.teacher_target = rt_cfg_choice(c, "target", targets, 0);
    } else {
        refuse(c, kind, "warmup", "dkd");
        refuse(c, kind, "target", "dkd");
    }
    read_focal(c, l);
    if (l->desc.hard > 0) {
        l->desc.smoothing = (float)rt_cfg_number(c, "label_smoothing", 0, 0, 0.999);
        read_hard_mean(c, l);
        read_class_weight(c, l);
    } else {
        rt_cfg_refuse(c, "class_weight", "belongs to the hard loss, whose weight loss.hard is 0; leave it out");
        rt_cfg_refuse(c, "label_smoothing", "belongs to the hard loss, whose weight loss.hard is 0; leave it out");
        read_hard_mean(c, l);
    }
}

/* Keys that only classes have a use for. */
static void refuse_of_classes(rt_cfg *c, const char *task)
{
    static const char *const keys[] = {"label_smoothing", "class_weight", "focal", "alpha", "beta", "gamma", "warmup",
                                       "target"};
    char text[80];
    snprintf(text, sizeof text, "belongs to heads of classes, this is one of %s; leave it out", task);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) rt_cfg_refuse(c, keys[i], text);
}

static void read_multilabel(rt_cfg *c, rt_loss_config *l, rt_soft_giver by)
{
    static const char *const kinds[] = {"bce", "bkd", NULL};
    int soft = rt_cfg_choice(c, "kind", kinds, by != RT_BY_NOBODY);
    if (soft && !by) rt_cfg_fail(c, "kind", no_teacher);
    l->desc.kind = soft ? RT_SOFT_BKD : RT_SOFT_NONE;
    l->desc.hard_kind = RT_HARD_BCE;
    l->desc.hard = (float)rt_cfg_number(c, "hard", recipe_of(l->desc.kind, by).hard, 0, 1000);
    if (soft) {
        l->desc.soft = (float)rt_cfg_number(c, "soft", recipe_of(l->desc.kind, by).soft, 0, 1000);
        l->desc.temperature = (float)rt_cfg_number(c, "temperature", recipe_of(l->desc.kind, by).temperature, 0.01,
                                                   1000);
    } else {
        rt_cfg_refuse(c, "soft", "belongs to loss.kind bkd, not to bce; leave it out");
        rt_cfg_refuse(c, "temperature", "belongs to loss.kind bkd, not to bce; leave it out");
    }
    read_hard_mean(c, l);
    rt_cfg_refuse(c, "delta", "belongs to loss.kind huber; leave it out");
    rt_cfg_refuse(c, "level", "belongs to loss.kind quantile; leave it out");
    refuse_of_classes(c, "labels");
}

static void read_real(rt_cfg *c, rt_loss_config *l, rt_soft_giver by)
{
    static const char *const kinds[] = {"mse", "huber", "quantile", NULL};
    l->desc.hard_kind = (rt_hard_kind)(RT_HARD_MSE + rt_cfg_choice(c, "kind", kinds, 0));
    l->desc.kind = by ? RT_SOFT_VALUES : RT_SOFT_NONE;
    l->desc.hard = (float)rt_cfg_number(c, "hard", recipe_of(l->desc.kind, by).hard, 0, 1000);
    if (by) l->desc.soft = (float)rt_cfg_number(c, "soft", recipe_of(l->desc.kind, by).soft, 0, 1000);
    else rt_cfg_refuse(c, "soft", no_teacher);
    if (l->desc.hard_kind == RT_HARD_HUBER) l->desc.delta = (float)rt_cfg_number(c, "delta", 1, 1e-6, 1e6);
    else rt_cfg_refuse(c, "delta", "belongs to loss.kind huber; leave it out");
    if (l->desc.hard_kind == RT_HARD_QUANTILE) l->desc.level = (float)rt_cfg_number(c, "level", 0.5, 0.001, 0.999);
    else rt_cfg_refuse(c, "level", "belongs to loss.kind quantile; leave it out");
    read_hard_mean(c, l);
    rt_cfg_refuse(c, "temperature", "softens logits, this is a head of values; leave it out");
    refuse_of_classes(c, "values");
}

void rt_loss_read(rt_cfg *c, rt_loss_config *l, rt_task task, rt_soft_giver by)
{
    *l = (rt_loss_config){.desc = {.task = task, .temperature = 1, .alpha = 1, .beta = 1, .gamma = 1}};
    switch (task) {
    case RT_TASK_CLASSES: read_classes(c, l, by); break;
    case RT_TASK_MULTILABEL: read_multilabel(c, l, by); break;
    case RT_TASK_REAL: read_real(c, l, by); break;
    case RT_TASK_COUNT: break;
    }
}

/* How much of row r has a target. */
static double labelled_part(const rt_loss_batch *l, int r, int n)
{
    if (l->config.task == RT_TASK_CLASSES)
        return l->y[r] < 0 ? 0 : l->class_weight ? l->class_weight[l->y[r]] : 1;
    int there = 0;
    for (int j = 0; j < n; j++) there += !l->mask || l->mask[(size_t)r * (size_t)n + (size_t)j];
    return (double)there / n;
}

float rt_loss_labelled_scale(const rt_loss_batch *l, int rows, int n)
{
    double labelled = 0;
    for (int i = 0; i < rows; i++) {
        double own = l->partner ? l->lambda : 1;
        labelled += own * labelled_part(l, i, n);
        if (l->partner) labelled += (1 - own) * labelled_part(l, l->partner[i], n);
    }
    return labelled > 0 ? (float)(rows / labelled) : 1.0f;
}
