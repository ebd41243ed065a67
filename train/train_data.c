#include "train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rt_status rt_train_open_data(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    RT_TRY(rt_source_open(&t->x, s->source, s->x));
    RT_TRY(rt_identity_open(&t->identity, t->x, s->check));
    RT_TRY(rt_identity_root(&t->data_digest, t->identity, t->opt->pool, t->opt->progress));
    uint64_t rows = rt_source_rows(t->x);
    RT_TRY(rt_parse_range(s->hard_rows, rows, &t->hard_first, &t->hard_end));
    RT_TRY(rt_rows_select(&s->rows, rows, &t->train, &t->test));
    if (!t->train.count) return rt_fail(RT_NOTHING, "%s: no rows to train on", s->source);
    if (!*s->labels) return RT_OK;
    RT_TRY(rt_labels_open(&t->labels, s->labels, 0));
    RT_TRY(rt_labels_check_source(t->labels, t->identity, t->opt->pool, t->opt->progress));
    const rt_labels_spec *l = rt_labels_info(t->labels);
    rt_soft_kind kind = s->loss.kind;
    if (l->topk && (kind == RT_SOFT_ZSCORE || kind == RT_SOFT_MSE || kind == RT_SOFT_DIST))
        return rt_fail(RT_USAGE,
                       "loss.kind: %s needs all logits, but %s keeps the top %d of %d; use kd or dkd, or label again "
                       "without labels.topk",
                       rt_soft_name(kind), s->labels, l->topk, l->classes);
    return RT_OK;
}

/* ---- names ---- */

/* Whether the data lacks classes of whoever labels it, who has all that it names. */
static int has_more(const rt_names *labeller, const rt_names *data, rt_match match)
{
    if (!labeller->name || match != RT_MATCH_NAMES || data->count >= labeller->count) return 0;
    for (int i = 0; i < data->count; i++) if (rt_names_find(labeller, data->name[i]) < 0) return 0;
    return 1;
}

/* RT_INPUT, with both lists, for a class that the one who labels does not know. */
static rt_status all_known(const rt_names *model, const rt_names *labeller)
{
    int *map;
    if (!model->name || !labeller->name) return RT_OK;
    RT_TRY(rt_names_map(&map, model, labeller, "class"));
    free(map);
    return RT_OK;
}

rt_status rt_train_match_names(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    if (!*s->init) {
        rt_names classes, columns = {0};
        rt_status st = rt_names_read(rt_source_file(t->x), &classes, NULL);
        if (!st) st = rt_source_columns(t->x, &columns);
        const rt_names *from = &classes, *labeller = t->labels ? rt_labels_classes(t->labels)
            : t->teacher ? &t->teacher[0]->head[0].names : NULL;
        if (labeller && (!classes.name || has_more(labeller, &classes, s->match))) from = labeller;
        if (!st) st = rt_model_set_names(t->model, from, &columns);
        rt_names_free(&classes);
        rt_names_free(&columns);
        RT_TRY(st);
    }
    RT_TRY(rt_model_bind(t->model, t->x, s->match, t->notes));
    if (t->teacher) RT_TRY(rt_models_bind(t->teacher, s->teachers, t->x, s->match, t->notes));
    if (t->teacher && s->match == RT_MATCH_NAMES)
        RT_TRY(all_known(&t->model->head[0].names, &t->teacher[0]->head[0].names));
    if (t->labels && s->match == RT_MATCH_NAMES)
        RT_TRY(all_known(&t->model->head[0].names, rt_labels_classes(t->labels)));
    if (t->labels && rt_labels_info(t->labels)->classes != t->model->head[0].size)
        return rt_fail(RT_INPUT, "%s: has labels of %d classes, the model has %d", s->labels,
                       rt_labels_info(t->labels)->classes, t->model->head[0].size);
    if (t->teacher && t->teacher[0]->head[0].size != t->model->head[0].size)
        return rt_fail(RT_USAGE, "%s: the teacher has %d classes, the model has %d", s->teacher[0],
                       t->teacher[0]->head[0].size, t->model->head[0].size);
    return t->labels && s->match == RT_MATCH_NAMES ? rt_labels_set_classes(t->labels, &t->model->head[0].names) : RT_OK;
}

/* ---- class labels ---- */

/* Whether dkd takes its target class from the labels. */
static int dkd_by_label(const rt_train_settings *s) { return s->loss.kind == RT_SOFT_DKD && !s->loss.teacher_target; }

static rt_status open_targets(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    cJSON *data = cJSON_GetObjectItemCaseSensitive(t->config, "data");
    if (!*s->y || (s->loss.hard == 0 && s->validation == 0 && !dkd_by_label(s))) return RT_OK;
    if (rt_h5_find(rt_source_file(t->x), s->y)) {
        RT_TRY(rt_targets_open(&t->y, t->x, s->y, &t->model->head[0].names, s->match));
        rt_targets_limit(t->y, t->hard_first, t->hard_end);
        if (!s->y_given) cJSON_AddStringToObject(data, "y", s->y);
        return RT_OK;
    }
    if (s->y_given) return rt_fail(RT_INPUT, "data.y: %s has no data set '%s'", s->source, s->y);
    return RT_OK;
}

/* How many of the rows have a label; where in is not NULL, in[row - rows->first] says which. Labels are small: all are
 * looked at before anything is written. */
static rt_status count_labels(const rt_trainer *t, const rt_rows *rows, unsigned char *in, uint64_t *labelled)
{
    enum { AT_ONCE = 4096 };
    uint64_t row[AT_ONCE];
    int32_t y[AT_ONCE];
    *labelled = 0;
    for (uint64_t i = 0; t->y && i < rows->count; i += AT_ONCE) {
        int n = rows->count - i < AT_ONCE ? (int)(rows->count - i) : AT_ONCE;
        RT_TRY(rt_check_stop());
        rt_rows_list(rows, i, (uint64_t)n, row);
        RT_TRY(rt_targets_read(t->y, row, n, y));
        for (int k = 0; k < n; k++) {
            if (y[k] == RT_NO_LABEL) continue;
            ++*labelled;
            if (in) in[row[k] - rows->first] = 1;
        }
    }
    return RT_OK;
}

/* "balanced" as scikit-learn's compute_class_weight: rows / (K x rows of the class); 0 of a class without rows. */
rt_status rt_train_weigh_classes(rt_trainer *t)
{
    enum { AT_ONCE = 4096 };
    const rt_loss_config *l = &t->set.loss;
    int k = t->model->head[0].size, given = cJSON_GetArraySize(l->class_weight), y[AT_ONCE];
    uint64_t row[AT_ONCE], *count = calloc((size_t)k, sizeof *count);
    rt_status st = RT_OK;
    if (l->class_weight && given != k) {
        free(count);
        return rt_fail(RT_USAGE, "loss.class_weight: has %d numbers, the model has %d classes", given, k);
    }
    t->class_weight = l->class_weight || l->balanced ? calloc((size_t)k, sizeof *t->class_weight) : NULL;
    if (!count || (!t->class_weight && (l->class_weight || l->balanced))) st = rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; l->balanced && t->y && i < t->train.count && !st; i += AT_ONCE) {
        int n = t->train.count - i < AT_ONCE ? (int)(t->train.count - i) : AT_ONCE;
        rt_rows_list(&t->train, i, (uint64_t)n, row);
        st = rt_targets_read(t->y, row, n, y);
        for (int r = 0; r < n && !st; r++) if (y[r] != RT_NO_LABEL) count[y[r]]++;
    }
    const cJSON *w = l->class_weight ? l->class_weight->child : NULL;
    for (int c = 0; c < k && t->class_weight && !st; c++, w = w ? w->next : NULL)
        t->class_weight[c] = w ? (float)w->valuedouble
                               : count[c] ? (float)((double)t->labelled / ((double)k * (double)count[c])) : 0.0f;
    free(count);
    return st;
}

/* Leaves only rows with a label in the set. */
static rt_status keep_labelled(const rt_trainer *t, rt_rows *rows)
{
    uint64_t labelled, span = rows->end - rows->first;
    rt_rows kept;
    unsigned char *in = calloc(span + 1, 1);
    rt_status st = in ? count_labels(t, rows, in, &labelled) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_rows_from_blocks(&kept, rows->first, span, 1, in);
    free(in);
    RT_TRY(st);
    rt_rows_free(rows);
    *rows = kept;
    return RT_OK;
}

/* Validation rows are drawn where labels may be seen, among the rows that have one; where none has, they are compared
 * with the teacher. */
static rt_status draw_validation(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    rt_rows pool = {0};
    uint64_t labelled;
    if (s->validation == 0) return RT_OK;
    if (!*s->hard_rows) {
        RT_TRY(count_labels(t, &t->train, NULL, &labelled));
        t->judged = labelled > 0;
        if (!labelled || labelled == t->train.count)
            return rt_rows_draw(&t->train, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held);
    }
    RT_TRY(rt_rows_range(&pool, *s->hard_rows ? s->hard_rows : s->rows.range, rt_source_rows(t->x)));
    rt_status st = rt_rows_remove(&pool, &t->test);
    if (!st) st = count_labels(t, &pool, NULL, &labelled);
    if (!st) t->judged = labelled > 0;
    if (!st && labelled && labelled < pool.count) {
        t->held_of_labelled = 1;
        st = keep_labelled(t, &pool);
    }
    if (!st) st = rt_rows_draw(&pool, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held);
    rt_rows_free(&pool);
    return st ? st : rt_rows_remove(&t->train, &t->held);
}

static rt_status need_labels(const rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    int soft = s->loss.kind != RT_SOFT_NONE && s->loss.soft > 0;
    const char *lack = t->y ? "no row to train on has a label" : "there are no class labels";
    if (dkd_by_label(s))
        return rt_fail(RT_INPUT,
                       "%s: loss.kind dkd needs the class of rows, but %s in '%s'; choose loss.target=teacher, "
                       "which takes the teacher's answer for it",
                       s->source, lack, *s->y ? s->y : "y");
    if (s->loss.hard == 0) return RT_OK;
    if (!t->y)
        return rt_fail(RT_INPUT, "%s: has no labels '%s'; %s", s->source, *s->y ? s->y : "y",
                       soft || s->hints ? "train on a teacher's answers alone with loss.hard=0"
                                        : "name them by data.y, or give a teacher");
    if (!soft && !s->hints)
        return rt_fail(RT_NOTHING, "%s: %s in '%s', and there is no teacher: nothing to learn from", s->source, lack,
                       s->y);
    return RT_OK;
}

/* Rows that the teacher gave no answer for, most often because they hold NaN, take no part. */
static rt_status leave_out_bad(rt_trainer *t)
{
    uint64_t train, held;
    char text[160];
    RT_TRY(rt_labels_remove_bad(t->labels, &t->train, &train));
    RT_TRY(rt_labels_remove_bad(t->labels, &t->held, &held));
    if (!train && !held) return RT_OK;
    snprintf(text, sizeof text, "%llu rows of training and %llu of validation have no teacher's label and are left out",
             (unsigned long long)train, (unsigned long long)held);
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    return RT_OK;
}

rt_status rt_train_select(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    int soft = s->loss.kind != RT_SOFT_NONE && s->loss.soft > 0;
    RT_TRY(open_targets(t));
    RT_TRY(draw_validation(t));
    if (t->labels) RT_TRY(leave_out_bad(t));
    RT_TRY(count_labels(t, &t->train, NULL, &t->labelled));
    if (!t->labelled) RT_TRY(need_labels(t));
    if (!soft && !s->hints && t->labelled < t->train.count) {
        t->unlabelled_out = t->train.count - t->labelled;
        RT_TRY(keep_labelled(t, &t->train));
    }
    if (!t->train.count) return rt_fail(RT_NOTHING, "%s: no rows to train on are left", s->source);
    if (!t->labels) return RT_OK;
    const rt_labels_spec *l = rt_labels_info(t->labels);
    const rt_rows *used[] = {&t->train, &t->held};
    for (int i = 0; i < (t->judged ? 1 : 2); i++) {
        if (!used[i]->count) continue;
        uint64_t low = rt_rows_at(used[i], 0), high = rt_rows_at(used[i], used[i]->count - 1);
        if (low < l->first || high >= l->first + l->rows)
            return rt_fail(RT_INPUT,
                           "%s: has labels of rows %llu:%llu, but the run takes row %llu, too; give data.rows, or "
                           "label them",
                           s->labels, (unsigned long long)l->first, (unsigned long long)(l->first + l->rows),
                           (unsigned long long)(low < l->first ? low : high));
    }
    return RT_OK;
}
