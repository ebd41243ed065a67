#include "train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_folds.h"

/* The label store or the models that teach, which must be the one that the configuration calls them. */
/* Labels that are certain have no shades for a temperature to show, and it multiplies their gradient. */
static void note_hard(const rt_trainer *t, int h)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(rt_teacher_provenance(t->teacher, 0), "labels");
    const char *coding = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(labels, "coding"));
    char path[RT_LOSS_PATH], text[RT_LOSS_PATH + 300];
    if (!coding || strcmp(coding, "hard") || !(t->set.of[h].loss.desc.temperature > 1)) return;
    snprintf(text, sizeof text,
             "%.120s keeps hard labels, which are certain: %s.temperature %g makes their gradient larger "
             "and shows nothing more; take 1",
             t->set.labels, rt_loss_path(&t->set, h, path), (double)t->set.of[h].loss.desc.temperature);
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
}

static rt_status open_teacher(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    if (!*s->labels && !s->teachers) return RT_OK;
    RT_TRY(*s->labels ? rt_teacher_open(&t->teacher, &s->labels, 1, NULL)
                      : rt_teacher_open_spec(&t->teacher, &s->teacher, &s->x));
    int keeps = (rt_teacher_abilities(t->teacher) & RT_TEACHER_KEEPS) != 0;
    if (keeps && !*s->labels)
        return rt_fail(RT_USAGE, "teacher: %s is a label store; give it as data.labels", s->teacher.path[0]);
    if (!keeps && *s->labels)
        return rt_fail(RT_INPUT, "%s: is no label store; make one with 'retort label', or give the model as teacher",
                       s->labels);
    if (!keeps) return RT_OK;
    char path[RT_LOSS_PATH];
    int count;
    const rt_head *head = rt_teacher_heads(t->teacher, &count);
    for (int h = 0; h < s->heads; h++) {
        int at = rt_heads_find(head, count, &s->head[h], s->heads);
        rt_soft_kind kind = s->of[h].loss.desc.kind;
        if (at < 0) continue;
        note_hard(t, h);
        int k = rt_teacher_top(t->teacher, at), size = head[at].size;
        if (k < size && (kind == RT_SOFT_ZSCORE || kind == RT_SOFT_MSE || kind == RT_SOFT_DIST))
            return rt_fail(RT_USAGE,
                           "%s.kind: %s needs all logits, but %s keeps the top %d of %d; use kd or dkd, or label again "
                           "with all of them",
                           rt_loss_path(s, h, path), rt_soft_name(kind), s->labels, k, size);
    }
    return RT_OK;
}

/* Rows have what student and teacher read. */
static rt_status settle_x(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    const char *input[RT_SOURCE_PARTS];
    int inputs = 0;
    if (!s->inputs) return RT_OK;          /* init is not there, which is said where it is needed */
    for (int i = 0; i < s->inputs; i++) input[inputs++] = s->input[i];
    if (t->teacher) inputs = rt_teacher_inputs(t->teacher, input, inputs);
    return rt_x_where_settle(&s->x, cJSON_GetObjectItemCaseSensitive(t->config, "data"), input, inputs);
}

/* Of the file that tells the folds, where one does. */
static rt_status digest_folds(rt_trainer *t, uint64_t rows)
{
    rt_rows others, mine = {0};
    const rt_rows_config *c = &t->set.rows;
    if (!c->folds || !*c->by) return RT_OK;
    rt_status st = rt_rows_range(&others, c->range, rows);
    if (!st) st = rt_row_folds_take(c, rows, &others, &mine, &t->fold_digest);
    rt_rows_free(&others);
    rt_rows_free(&mine);
    return st;
}

rt_status rt_train_open_data(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    rt_sources *sources = t->opt->sources;
    if (!sources) sources = t->own_sources = rt_sources_new();
    if (!sources) return RT_RUN;
    RT_TRY(open_teacher(t));
    RT_TRY(settle_x(t));
    RT_TRY(rt_sources_get(sources, &s->x, s->check, &t->x, &t->identity));
    RT_TRY(rt_identity_root(&t->data_digest, t->identity, rt_device_pool(t->opt->device), t->opt->progress));
    RT_TRY(rt_identity_roots(t->part_digest, t->identity, rt_device_pool(t->opt->device), t->opt->progress));
    uint64_t rows = rt_source_rows(t->x);
    RT_TRY(rt_parse_range(s->hard_rows, rows, &t->hard_first, &t->hard_end));
    RT_TRY(rt_rows_select(&s->rows, rows, &t->train, &t->test));
    RT_TRY(digest_folds(t, rows));
    uint64_t before = t->train.count;
    if (*s->mask.source) RT_TRY(rt_row_mask_apply(&s->mask, &t->train, rows, &t->mask_digest));
    t->masked_out = before - t->train.count;
    return t->train.count ? RT_OK : rt_fail(RT_NOTHING, "%s: no rows to train on", s->source);
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

/* Labels and values have the names of their columns, where the data names those. */
static rt_status name_by_targets(rt_trainer *t, int h)
{
    const rt_target_where *w = &t->set.of[h].where;
    rt_head *head = &t->model->head[h];
    rt_names names;
    if (head->task == RT_TASK_CLASSES || head->names.name || w->source || w->column >= 0 || !*w->set) return RT_OK;
    RT_TRY(rt_names_read_targets(rt_source_file(t->x), w->set, &names));
    if (names.name && names.count == head->size) {
        rt_names_free(&head->names);
        head->names = names;
    } else rt_names_free(&names);
    return RT_OK;
}

/* The names that the data has for a head's classes. */
static rt_status classes_of_data(const rt_trainer *t, int h, rt_names *out)
{
    const rt_target_where *w = &t->set.of[h].where;
    rt_source *y = NULL;
    *out = (rt_names){0};
    if (w->source) RT_TRY(rt_source_open(&y, w->source, w->set));
    const rt_h5_file *f = rt_source_file(y ? y : t->x);
    int falls = !*w->set || (t->set.heads == 1 && !t->set.of[h].given && !rt_h5_find(f, w->set));    /* to "y" */
    rt_status st = rt_targets_named(f, falls ? "y" : w->set, w->only) ? rt_names_read(f, out, NULL) : RT_OK;
    rt_source_close(y);
    return st;
}

/* Names of a head's classes, which the model does not name: the data's, or those of whoever labels it (NULL: nobody),
 * when the data has none or fewer. */
static rt_status name_classes(rt_trainer *t, int h, const rt_names *theirs)
{
    rt_names classes;
    if (t->model->head[h].names.name) return RT_OK;
    RT_TRY(classes_of_data(t, h, &classes));
    int take = theirs && (!classes.name || has_more(theirs, &classes, t->set.match));
    rt_status st = rt_model_set_classes(t->model, h, take ? theirs : &classes);
    rt_names_free(&classes);
    return st;
}

/* Names of a new model's outputs and columns. */
static rt_status name_heads(rt_trainer *t)
{
    rt_model *m = t->model;
    rt_names columns;
    int count = 0;
    const rt_head *labeller = t->teacher ? rt_teacher_heads(t->teacher, &count) : NULL;
    for (int h = 0; h < m->heads; h++) {
        int k = labeller ? rt_heads_find(labeller, count, &m->head[h], m->heads) : -1;
        const rt_names *theirs = k >= 0 && labeller[k].task == m->head[h].task ? &labeller[k].names : NULL;
        if (m->head[h].task == RT_TASK_CLASSES) RT_TRY(name_classes(t, h, theirs));
        else if (theirs && theirs->name && !m->head[h].names.name && theirs->count == m->head[h].size) {
            rt_names_free(&m->head[h].names);
            RT_TRY(rt_names_copy(&m->head[h].names, theirs));
        }
    }
    for (int h = 0; h < m->heads; h++) RT_TRY(name_by_targets(t, h));
    rt_status st = RT_OK;
    for (int i = 0; i < m->inputs && !st; i++) {
        int k = rt_source_find_part(t->x, m->input[i].name);
        RT_TRY(rt_source_columns(k < 0 ? t->x : rt_source_part(t->x, k, NULL, NULL), &columns));
        st = rt_model_set_columns(m, i, &columns);
        rt_names_free(&columns);
    }
    return st;
}

/* The labeller has each head that learns from it, with as many outputs, and all its classes. */
static rt_status match_labeller(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    const rt_model *m = t->model;
    int count = 0;
    const rt_head *labeller = t->teacher ? rt_teacher_heads(t->teacher, &count) : NULL;
    char path[RT_LOSS_PATH], text[RT_NAMES_TEXT];
    if (!labeller) return RT_OK;
    for (int h = 0; h < m->heads; h++) {
        int k = rt_heads_find(labeller, count, &m->head[h], m->heads);
        if (k < 0 && rt_learns_soft(&s->of[h].loss))
            return rt_fail(RT_INPUT, "%s: has no head '%s', which %s learns from it; its heads: %s; give %s.soft=0",
                           rt_teacher_path(t->teacher), m->head[h].name, rt_loss_path(s, h, path),
                           rt_heads_text(labeller, count, text), path);
        if (k < 0) continue;
        if (labeller[k].task == RT_TASK_CLASSES && m->head[h].task == RT_TASK_CLASSES) {
            if (s->match == RT_MATCH_NAMES) RT_TRY(all_known(&m->head[h].names, &labeller[k].names));
            if (labeller[k].size != m->head[h].size && *s->labels)
                return rt_fail(RT_INPUT, "%s: has labels of %d classes, the model has %d", s->labels, labeller[k].size,
                               m->head[h].size);
            if (labeller[k].size != m->head[h].size)
                return rt_fail(RT_USAGE, "%s: the teacher has %d classes, the model has %d", s->teacher.path[0],
                               labeller[k].size, m->head[h].size);
        }
    }
    return *s->labels ? rt_teacher_answer_as(t->teacher, m->head, m->heads, NULL, s->match) : RT_OK;
}

rt_status rt_train_match_names(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    if (!*s->init) RT_TRY(name_heads(t));
    RT_TRY(rt_inputs_bind(t->model->input, t->model->inputs, t->x, s->match, t->notes));
    rt_teacher_binding to = {.source = t->x, .id = t->identity, .match = s->match, .device = t->opt->device,
                             .progress = t->opt->progress, .notes = t->notes};
    if (t->teacher) RT_TRY(rt_teacher_bind(t->teacher, &to));
    return match_labeller(t);
}
