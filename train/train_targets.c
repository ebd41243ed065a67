/* train/train_targets.c - labels and values of the rows, and the rows to learn from and to judge by. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_parts.h"

enum { AT_ONCE = 4096, ROOM = 1 << 20 };   /* rows, and elements of targets, that are looked at together */

/* Whether dkd takes its target class from the labels. */
static int dkd_by_label(const rt_loss_config *l) { return l->desc.kind == RT_SOFT_DKD && !l->desc.teacher_target; }

/* The file that holds a head's targets. */
static const char *file_of(const rt_trainer *t, int h)
{ return t->set.of[h].where.source ? t->set.of[h].where.source : t->set.source; }

static void take_y(rt_trainer *t, int h)
{
    rt_target_where *w = &t->set.of[h].where;
    char text[3 * RT_HEAD_NAME + 80];
    snprintf(text, sizeof text, "head '%s' learns from 'y', as the data has no set '%s'; data.y names another",
             t->set.head[h].name, w->set);
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    w->set = "y";
}

static rt_status open_head(rt_trainer *t, int h)
{
    rt_train_settings *s = &t->set;
    rt_target_where *w = &s->of[h].where;
    int single = s->heads == 1;
    char text[RT_TARGETS_TEXT];
    if (!*w->set || (s->validation == 0 && !rt_learns_labels(&s->of[h].loss))) return RT_OK;
    if (!w->source && !rt_h5_find(rt_source_file(t->x), w->set)) {
        /* A single head of another name takes "y", too, which importers write. */
        if (!s->of[h].given && single && rt_h5_find(rt_source_file(t->x), "y")) take_y(t, h);
        else if (!s->of[h].given) return RT_OK;
        else if (single) return rt_fail(RT_INPUT, "data.y: %s has no data set '%s'", s->source, w->set);
        else return rt_fail(RT_INPUT, "data.targets.%s: %s has no data set '%s'", s->head[h].name, s->source, w->set);
    }
    rt_status st = rt_targets_open_head(&t->learn[h].y, t->x, w, &t->model->head[h], s->match);
    if (st) return single ? st : rt_fail_in(st, "head '%s'", s->head[h].name);
    rt_targets_limit(t->learn[h].y, t->hard_first, t->hard_end);
    if (rt_targets_unnamed(t->learn[h].y, s->head[h].name, text))
        cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    if (s->of[h].given) return RT_OK;
    cJSON *data = cJSON_GetObjectItemCaseSensitive(t->config, "data");
    if (single) {
        cJSON_AddStringToObject(data, "y", w->set);
        return RT_OK;
    }
    cJSON *targets = cJSON_GetObjectItemCaseSensitive(data, "targets");
    if (!targets) targets = cJSON_AddObjectToObject(data, "targets");
    cJSON_AddStringToObject(targets, s->head[h].name, w->set);
    return RT_OK;
}

static rt_status open_targets(rt_trainer *t)
{
    for (int h = 0; h < t->set.heads; h++) RT_TRY(open_head(t, h));
    return RT_OK;
}

/* Calls fn for the targets of a head, some rows at a time, in the order of the rows. */
typedef void target_fn(void *arg, const rt_target_rows *, const uint64_t *row, int rows);

static rt_status each_target(const rt_trainer *t, int h, const rt_rows *rows, target_fn *fn, void *arg)
{
    const rt_head *head = &t->set.head[h];
    int most = head->task == RT_TASK_CLASSES || head->size <= ROOM / AT_ONCE ? AT_ONCE : ROOM / head->size;
    uint64_t row[AT_ONCE];
    rt_target_rows y;
    if (!t->learn[h].y) return RT_OK;
    RT_TRY(rt_target_rows_new(&y, head->task, head->size, most));
    rt_status st = RT_OK;
    for (uint64_t i = 0; i < rows->count && !st; i += (uint64_t)most) {
        int n = rows->count - i < (uint64_t)most ? (int)(rows->count - i) : most;
        st = rt_check_stop();
        rt_rows_list(rows, i, (uint64_t)n, row);
        if (!st) st = rt_targets_read_rows(t->learn[h].y, row, n, &y);
        if (!st) fn(arg, &y, row, n);
    }
    rt_target_rows_free(&y);
    return st;
}

/* in[row - first]: it has a target of some head. */
typedef struct { const rt_head *head; unsigned char *in; uint64_t first, count; } marks;

static void mark(void *arg, const rt_target_rows *y, const uint64_t *row, int rows)
{
    marks *m = arg;
    for (int r = 0; r < rows; r++)
        if (rt_target_has(y, m->head->task, m->head->size, r)) {
            if (m->in) m->in[row[r] - m->first] = 1;
            m->count++;
        }
}

/* How many of the rows have a target of any head, and of each (NULL: not asked); where `marked` is not NULL, it is for
 * the caller to free and says which. Targets are small: all are looked at before anything is written. */
static rt_status count_labels(const rt_trainer *t, const rt_rows *rows, unsigned char **marked, uint64_t *labelled,
                              uint64_t by[RT_MAX_HEADS])
{
    uint64_t span = rows->count ? rows->end - rows->first : 0;
    int one = t->set.heads == 1 && !marked;                       /* whose count is all that is asked */
    unsigned char *in = one ? NULL : calloc(span + 1, 1);
    rt_status st = in || one ? RT_OK : rt_fail(RT_RUN, "out of memory");
    *labelled = 0;
    for (int h = 0; h < t->set.heads && !st; h++) {
        marks m = {.head = &t->set.head[h], .in = in, .first = rows->first};
        st = each_target(t, h, rows, mark, &m);
        if (by) by[h] = m.count;
        if (one) *labelled = m.count;
    }
    for (uint64_t i = 0; i < span && in && !st; i++) *labelled += in[i];
    if (marked && !st) *marked = in;
    else free(in);
    return st;
}

static void count_classes(void *arg, const rt_target_rows *y, const uint64_t *row, int rows)
{
    uint64_t *count = arg;
    (void)row;
    for (int r = 0; r < rows; r++) if (y->y[r] != RT_NO_LABEL) count[y->y[r]]++;
}

/* "balanced" as scikit-learn's compute_class_weight: rows / (K x rows of the class); 0 of a class without rows. */
static rt_status weigh_head(rt_trainer *t, int h)
{
    const rt_loss_config *l = &t->set.of[h].loss;
    int k = t->set.head[h].size, given = cJSON_GetArraySize(l->class_weight);
    char path[RT_LOSS_PATH];
    if (!l->class_weight && !l->balanced) return RT_OK;
    if (l->class_weight && given != k)
        return rt_fail(RT_USAGE, "%s.class_weight: has %d numbers, the model has %d classes",
                       rt_loss_path(&t->set, h, path), given, k);
    uint64_t *count = calloc((size_t)k, sizeof *count);
    float *weight = t->learn[h].class_weight = calloc((size_t)k, sizeof *weight);
    rt_status st = count && weight ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st && l->balanced) st = each_target(t, h, &t->train, count_classes, count);
    const cJSON *w = l->class_weight ? l->class_weight->child : NULL;
    for (int c = 0; c < k && !st; c++, w = w ? w->next : NULL)
        weight[c] = w ? (float)w->valuedouble
                      : count[c] ? (float)((double)t->learn[h].labelled / ((double)k * (double)count[c])) : 0.0f;
    free(count);
    return st;
}

rt_status rt_train_weigh_classes(rt_trainer *t)
{
    for (int h = 0; h < t->set.heads; h++) RT_TRY(weigh_head(t, h));
    return RT_OK;
}

/* ---- numbers far from 0 and 1 ---- */

typedef struct { int size; double *n, *mean, *square; } moments;

static void add_moments(void *arg, const rt_target_rows *y, const uint64_t *row, int rows)
{
    const moments *m = arg;
    (void)row;
    for (int e = 0; e < rows * m->size; e++) {
        int c = e % m->size;
        if (!y->mask[e]) continue;
        double step = y->values[e] - m->mean[c];
        m->mean[c] += step / ++m->n[c];
        m->square[c] += step * (y->values[e] - m->mean[c]);
    }
}

/* Numbers are learnt as they are, from weights made for numbers near 0 and 1: where they are not, that is said. */
static rt_status note_scale(rt_trainer *t, int h)
{
    static const double far = 10;
    const rt_head *head = &t->set.head[h];
    char text[300];
    if (head->task != RT_TASK_REAL || !t->learn[h].y) return RT_OK;
    double *v = calloc(3 * (size_t)head->size, sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    moments m = {head->size, v, v + head->size, v + 2 * head->size};
    rt_status st = each_target(t, h, &t->train, add_moments, &m);
    for (int c = 0; c < head->size && !st; c++) {
        double deviation = m.n[c] > 1 ? sqrt(m.square[c] / m.n[c]) : 0;
        if (m.n[c] < 2 || deviation == 0 || (deviation < far && deviation > 1 / far && fabs(m.mean[c]) < far)) continue;
        snprintf(text, sizeof text,
                 "head '%s', column %d: targets of mean %.5g and deviation %.5g are learnt as they are; "
                 "training is easiest near 0 and 1",
                 head->name, c, m.mean[c], deviation);
        cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
        break;                                                       /* one column tells enough */
    }
    free(v);
    return st;
}

/* ---- which rows ---- */

/* Leaves only rows with a label in the set. */
static rt_status keep_labelled(const rt_trainer *t, rt_rows *rows)
{
    uint64_t labelled, span = rows->end - rows->first;
    rt_rows kept;
    unsigned char *in = NULL;
    rt_status st = count_labels(t, rows, &in, &labelled, NULL);
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
    uint64_t labelled, by[RT_MAX_HEADS];
    if (s->validation == 0) return RT_OK;
    if (!*s->hard_rows) {
        RT_TRY(count_labels(t, &t->train, NULL, &labelled, by));
        for (int h = 0; h < s->heads; h++) t->learn[h].judged = by[h] > 0;
        if (!labelled || labelled == t->train.count)
            return rt_rows_draw(&t->train, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held);
    }
    RT_TRY(rt_rows_range(&pool, *s->hard_rows ? s->hard_rows : s->rows.range, rt_source_rows(t->x)));
    rt_status st = rt_rows_remove(&pool, &t->test);
    if (!st) st = count_labels(t, &pool, NULL, &labelled, by);
    for (int h = 0; h < s->heads && !st; h++) t->learn[h].judged = by[h] > 0;
    if (!st && labelled && labelled < pool.count) {
        t->held_of_labelled = 1;
        st = keep_labelled(t, &pool);
    }
    if (!st) st = rt_rows_draw(&pool, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held);
    rt_rows_free(&pool);
    return st ? st : rt_rows_remove(&t->train, &t->held);
}

/* Validation rows that judge a head: those with a target, or all where the teacher does. */
static rt_status count_held(rt_trainer *t)
{
    uint64_t any, by[RT_MAX_HEADS] = {0};
    if (t->set.heads > 1) RT_TRY(count_labels(t, &t->held, NULL, &any, by));
    for (int h = 0; h < t->set.heads; h++) {
        rt_learner *l = &t->learn[h];
        l->held = l->judged ? by[h] : rt_learns_soft(&t->set.of[h].loss) ? t->held.count : 0;
    }
    return RT_OK;
}

static rt_status need_labels(const rt_trainer *t, int h)
{
    const rt_train_settings *s = &t->set;
    const rt_loss_config *l = &s->of[h].loss;
    const rt_target_where *w = &s->of[h].where;
    int soft = rt_learns_soft(l), single = s->heads == 1, classes = s->head[h].task == RT_TASK_CLASSES;
    const char *set = *w->set ? w->set : single ? "y" : s->head[h].name, *file = file_of(t, h);
    const char *lack = !t->learn[h].y ? classes ? "there are no class labels" : "there are no targets"
                                      : "no row to train on has a label";
    char path[RT_LOSS_PATH], how[RT_LOSS_PATH + 80];
    rt_loss_path(s, h, path);
    if (dkd_by_label(l))
        return rt_fail(RT_INPUT,
                       "%s: %s.kind dkd needs the class of rows, but %s in '%s'; choose %s.target=teacher, "
                       "which takes the teacher's answer for it",
                       file, path, lack, set, path);
    if (l->desc.hard == 0) return RT_OK;
    snprintf(how, sizeof how, "train on a teacher's answers alone with %s.hard=0", path);
    if (!t->learn[h].y)
        return rt_fail(RT_INPUT, "%s: has no labels '%s'; %s", file, set,
                       soft || s->hints ? how : single ? "name them by data.y, or give a teacher"
                                                       : "name them by data.targets, or give a teacher");
    if (!soft && !s->hints)
        return rt_fail(RT_NOTHING, "%s: %s in '%s', and there is no teacher: nothing to learn from", file, lack, set);
    return RT_OK;
}

/* Rows that the teacher gave no answer for, most often because they hold NaN, take no part. */
static rt_status leave_out_bad(rt_trainer *t)
{
    uint64_t train, held;
    char text[160];
    RT_TRY(rt_teacher_remove_unanswered(t->teacher, &t->train, &train));
    RT_TRY(rt_teacher_remove_unanswered(t->teacher, &t->held, &held));
    if (!train && !held) return RT_OK;
    snprintf(text, sizeof text, "%llu rows of training and %llu of validation have no teacher's label and are left out",
             (unsigned long long)train, (unsigned long long)held);
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    return RT_OK;
}

/* The label store, or the teacher in the loop, has answers to the rows that ask for them. */
static rt_status check_covered(const rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    uint64_t first, end;
    rt_teacher_covers(t->teacher, &first, &end);
    const rt_rows *used[] = {&t->train, &t->held};
    int judged = 1;
    for (int h = 0; h < s->heads; h++) judged &= t->learn[h].judged;
    for (int i = 0; i < (judged ? 1 : 2); i++) {
        if (!used[i]->count) continue;
        uint64_t low = rt_rows_at(used[i], 0), high = rt_rows_at(used[i], used[i]->count - 1);
        if (low < first || high >= end)
            return rt_fail(RT_INPUT,
                           "%s: has labels of rows %llu:%llu, but the run takes row %llu, too; give data.rows, or "
                           "label them",
                           rt_teacher_path(t->teacher), (unsigned long long)first, (unsigned long long)end,
                           (unsigned long long)(low < first ? low : high));
    }
    return RT_OK;
}

/* Rows that have a label of the data which is learnt from. */
static rt_status find_labelled(const rt_trainer *t, rt_rows *out)
{
    uint64_t first = t->train.first, span = t->train.end - first;
    unsigned char *in = calloc(span + 1, 1);
    rt_status st = in ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int h = 0; h < t->set.heads && !st; h++) {
        marks m = {.head = &t->set.head[h], .in = in, .first = first};
        if (rt_learns_labels(&t->set.of[h].loss)) st = each_target(t, h, &t->train, mark, &m);
    }
    if (!st) st = rt_rows_from_blocks(out, first, span, 1, in);
    free(in);
    return st;
}

/* Weights of the rows that the policy chose, and of those that stay whatever it says: the mean of the others', so that
 * they come as often as they would without weights. */
static rt_status weigh_labelled(rt_row_weights *w, const rt_rows *chosen, const rt_rows *labelled)
{
    uint64_t first = w->first < labelled->first ? w->first : labelled->first;
    uint64_t end = w->end > labelled->end ? w->end : labelled->end, sum = 0, row;
    rt_row_weights all;
    RT_TRY(rt_row_weights_new(&all, first, end));
    for (uint64_t i = 0; i < chosen->count; i++) {
        row = rt_rows_at(chosen, i);
        sum += all.weight[row - first] = w->weight[row - w->first];
    }
    uint64_t mean = (sum + chosen->count / 2) / (chosen->count ? chosen->count : 1);
    for (uint64_t i = 0; i < labelled->count; i++)
        all.weight[rt_rows_at(labelled, i) - first] = (uint16_t)(mean ? mean : 1);
    rt_row_weights_free(w);
    *w = all;
    return RT_OK;
}

/* The policy chooses among the rows without a label of the data; the others are put back. */
static rt_status apply_policy(rt_trainer *t, rt_labels *l)
{
    const rt_train_settings *s = &t->set;
    rt_rows labelled = {0};
    if (!s->policy_all) RT_TRY(find_labelled(t, &labelled));
    rt_status st = RT_OK;
    if (labelled.count && labelled.count == t->train.count)
        st = rt_fail(RT_USAGE,
                     "data.policy: all %llu rows have a label of the data that is learnt from, and stay whatever the "
                     "policy says; data.policy_labelled=choose chooses among them, too; data.hard_rows or loss.hard "
                     "tell which labels are learnt from", (unsigned long long)labelled.count);
    if (!st && labelled.count) st = rt_rows_remove(&t->train, &labelled);
    if (!st) st = rt_label_policy_apply(s->policy, l, s->labels, &t->train, &t->weights, &t->policy);
    if (!st && t->weights.weight && labelled.count) st = weigh_labelled(&t->weights, &t->train, &labelled);
    if (!st && labelled.count) st = rt_rows_add(&t->train, &labelled);
    if (!st) cJSON_AddNumberToObject(t->policy, "labelled_kept", (double)labelled.count);
    rt_rows_free(&labelled);
    return st;
}

/* The rows to learn from are those that data.policy chooses; validation rows stay. The store is looked at once more, as
 * what teaches answers as the model asks. */
static rt_status choose_rows(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    rt_labels *l;
    rt_digest kept, now;
    if (!s->policy) return RT_OK;
    RT_TRY(check_covered(t));
    RT_TRY(rt_labels_open(&l, s->labels, 0));
    rt_status st = rt_teacher_digest(t->teacher, &kept);
    if (!st) st = rt_labels_digest(l, &now);
    if (!st && strcmp(kept.hex, now.hex)) st = rt_fail(RT_INPUT, "%s: changed while it was read", s->labels);
    if (!st) st = apply_policy(t, l);
    rt_labels_close(l);
    return st;
}

rt_status rt_train_select(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    int soft = rt_train_soft(s);
    uint64_t by[RT_MAX_HEADS] = {0};
    RT_TRY(open_targets(t));
    RT_TRY(draw_validation(t));
    if (t->teacher) RT_TRY(leave_out_bad(t));
    RT_TRY(choose_rows(t));
    RT_TRY(count_held(t));
    RT_TRY(count_labels(t, &t->train, NULL, &t->labelled, by));
    for (int h = 0; h < s->heads; h++) {
        t->learn[h].labelled = by[h];
        if (!by[h]) RT_TRY(need_labels(t, h));
    }
    if (!soft && !s->hints && t->labelled < t->train.count) {
        t->unlabelled_out = t->train.count - t->labelled;
        RT_TRY(keep_labelled(t, &t->train));
    }
    if (!t->train.count) return rt_fail(RT_NOTHING, "%s: no rows to train on are left", s->source);
    for (int h = 0; h < s->heads; h++) RT_TRY(note_scale(t, h));
    if (t->weights.weight) RT_TRY(rt_row_draws_new(&t->draws, &t->train, &t->weights));
    rt_row_weights_free(&t->weights);
    return t->teacher ? check_covered(t) : RT_OK;
}
