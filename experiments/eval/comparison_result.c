#include "experiments/eval/comparison_result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/convert.h"
#include "experiments/eval/comparison_parts.h"
#include "experiments/statistics/statistics.h"

enum { MATRIX = 40, PAIRS = 20, SLICES = 60, FLIPS = 100, NEGATIVE = 70, LEAST = 20, VALUES = 8 };
#define RESAMPLED_ROWS 100000 /* above, precision and F1 of each class are left out: they take resamples each */

typedef struct {
    rt_comparison *c;
    const rt_comparison_options *o;
    int h;                             /* the head at hand */
    cJSON *notes;
} writing;

/* ---- answers ---- */

static void add(cJSON *j, const char *key, double v)
{ cJSON_AddItemToObject(j, key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull()); }

cJSON *rt_delta_to_json(const rt_question *q, const rt_delta *d)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "metric", q->metric->name);
    cJSON_AddBoolToObject(j, "higher_is_better", q->metric->higher);
    cJSON_AddBoolToObject(j, "of_both", q->metric->of == RT_OF_PAIR);
    add(j, "baseline", d->baseline);
    add(j, "candidate", d->candidate);
    add(j, "drop", d->drop);
    add(j, "lo", d->lo);
    add(j, "hi", d->hi);
    add(j, "p", d->p);
    cJSON_AddStringToObject(j, "method", d->method);
    cJSON_AddNumberToObject(j, "n", (double)d->n);
    cJSON_AddNumberToObject(j, "b", (double)d->b);
    cJSON_AddNumberToObject(j, "c", (double)d->c);
    cJSON_AddStringToObject(j, "status", rt_delta_status_name(d->status));
    if (d->status) cJSON_AddStringToObject(j, "reason", d->reason);
    return j;
}

static rt_question question(const writing *w, const char *metric)
{
    return (rt_question){.metric = rt_paired_metric_find(w->c->head[w->h].task, metric), .head = w->h, .class = -1,
                         .confidence = w->o->confidence, .seed = w->o->seed};
}

/* What slices and searches are about: a share of right rows, or the error of values. */
static rt_question main_question(const writing *w)
{
    static const char *const metric[RT_TASK_COUNT] = {"accuracy", "subset_accuracy", "mae"};
    return question(w, metric[w->c->head[w->h].task]);
}

static rt_status add_metrics(writing *w, cJSON *j)
{
    cJSON *list = cJSON_AddArrayToObject(j, "metrics");
    int count;
    const rt_paired_metric *m = rt_paired_metrics(&count);
    for (int i = 0; i < count; i++) {
        rt_delta d;
        if (m[i].task != w->c->head[w->h].task || m[i].of == RT_OF_CLASS) continue;
        rt_question q = question(w, m[i].name);
        RT_TRY(rt_comparison_ask(w->c, &q, &d));
        cJSON_AddItemToArray(list, rt_delta_to_json(&q, &d));
    }
    return RT_OK;
}

/* ---- classes ---- */

typedef struct { cJSON *j; double key, second; } sorted;

static int falling(const void *a, const void *b)
{
    const sorted *x = a, *y = b;
    double d = y->key != x->key ? y->key - x->key : y->second - x->second;
    return d > 0 ? 1 : d < 0 ? -1 : 0;
}

/* Objects into the list in falling order of their keys, the first `most` of them. */
static void put_sorted(cJSON *list, sorted *s, int n, int most)
{
    qsort(s, (size_t)n, sizeof *s, falling);
    for (int i = 0; i < n; i++) {
        if (i < most) cJSON_AddItemToArray(list, s[i].j);
        else cJSON_Delete(s[i].j);
    }
}

static rt_status add_classes(writing *w, cJSON *j)
{
    static const char *const of[] = {"recall", "precision", "f1"};
    const rt_head *head = &w->c->head[w->h];
    cJSON *list = cJSON_AddArrayToObject(j, "per_class");
    sorted *s = calloc((size_t)head->size, sizeof *s);
    rt_status st = s ? RT_OK : rt_fail(RT_RUN, "out of memory");
    char number[16];
    int n = 0;
    for (int k = 0; k < head->size && !st; k++, n++) {
        s[n] = (sorted){cJSON_CreateObject(), -INFINITY, -k};
        cJSON_AddNumberToObject(s[n].j, "class", k);
        cJSON_AddStringToObject(s[n].j, "name", rt_names_at(&head->names, k, number));
        for (int m = 0; m < (w->o->brief || w->c->n > RESAMPLED_ROWS ? 1 : 3) && !st; m++) {
            rt_delta d;
            rt_question q = question(w, of[m]);
            q.class = k;
            st = rt_comparison_ask(w->c, &q, &d);
            if (!m) cJSON_AddNumberToObject(s[n].j, "rows", (double)d.n);
            if (!m && !d.status) s[n].key = d.drop;
            cJSON_AddItemToObject(s[n].j, of[m], rt_delta_to_json(&q, &d));
        }
    }
    if (s) put_sorted(list, s, n, st ? 0 : n);
    free(s);
    return st;
}

/* One answer to one truth, counted. */
typedef struct { uint64_t key; int side; } answered;

static int by_key(const void *a, const void *b)
{
    const answered *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key ? 1 : x->side - y->side;
}

static cJSON *pair_of(const writing *w, int truth, int answer, const double count[2])
{
    const rt_head *head = &w->c->head[w->h];
    char number[16];
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "truth", rt_names_at(&head->names, truth, number));
    cJSON_AddStringToObject(j, "answer", rt_names_at(&head->names, answer, number));
    cJSON_AddNumberToObject(j, "baseline", count[0]);
    cJSON_AddNumberToObject(j, "candidate", count[1]);
    return j;
}

static rt_status add_confusion(writing *w, cJSON *j)
{
    const rt_comparison *c = w->c;
    uint64_t k = (uint64_t)c->head[w->h].size, n = 0;
    answered *list = malloc((2 * c->n + 1) * sizeof *list);
    sorted *pairs = NULL;
    double *matrix = k <= MATRIX ? calloc(k * k, sizeof *matrix) : NULL;
    int found = 0;
    for (uint64_t i = 0; i < c->n && list; i++)
        for (int s = 0; s < RT_SIDES && c->y[w->h].y[i] >= 0; s++)
            list[n++] = (answered){(uint64_t)c->y[w->h].y[i] * k + (uint64_t)c->facts[s][w->h].answer[i], s};
    uint64_t different = 1;
    if (list) qsort(list, n, sizeof *list, by_key);
    for (uint64_t i = 1; i < n; i++) different += list[i].key != list[i - 1].key;
    pairs = malloc((different + 1) * sizeof *pairs);
    if (!list || !pairs || (k <= MATRIX && !matrix)) {
        free(list);
        free(pairs);
        free(matrix);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (uint64_t i = 0, end; i < n; i = end) {
        double count[2] = {0};
        for (end = i; end < n && list[end].key == list[i].key; end++) count[list[end].side]++;
        int truth = (int)(list[i].key / k), answer = (int)(list[i].key % k);
        if (matrix) matrix[list[i].key] = count[1] - count[0];
        if (truth == answer || count[0] == count[1]) continue;
        pairs[found] = (sorted){pair_of(w, truth, answer, count), fabs(count[1] - count[0]), count[1] - count[0]};
        found++;
    }
    cJSON *o = cJSON_AddObjectToObject(j, "confusion_difference"), *m;
    if (matrix) {
        m = cJSON_AddArrayToObject(o, "matrix");
        for (uint64_t y = 0; y < k; y++)
            cJSON_AddItemToArray(m, cJSON_CreateDoubleArray(matrix + y * k, (int)k));
    }
    put_sorted(cJSON_AddArrayToObject(o, "pairs"), pairs, found, PAIRS);
    free(list);
    free(pairs);
    free(matrix);
    return RT_OK;
}

static void add_reliability(const writing *w, cJSON *j)
{
    static const char *const name[RT_SIDES] = {"baseline", "candidate"};
    cJSON *o = cJSON_AddObjectToObject(j, "reliability");
    for (int s = 0; s < RT_SIDES; s++) {
        rt_ece_bin bin[RT_ECE_BINS] = {{0}};
        const rt_facts *f = &w->c->facts[s][w->h];
        cJSON *list = cJSON_AddArrayToObject(o, name[s]);
        for (uint64_t i = 0; i < w->c->n; i++) {
            if (!rt_facts_counts(w->c, w->h, i)) continue;
            rt_ece_bin *b = &bin[rt_ece_bin_of(f->confidence[i])];
            b->count++;
            b->confidence += f->confidence[i];
            b->right += rt_facts_right(w->c, s, w->h, i);
        }
        for (int b = 0; b < RT_ECE_BINS; b++) {
            cJSON *one = cJSON_CreateObject();
            double range[2] = {NAN, NAN}, n = (double)bin[b].count;
            if (bin[b].count) rt_wilson((uint64_t)bin[b].right, bin[b].count, w->o->confidence, range);
            cJSON_AddNumberToObject(one, "count", n);
            add(one, "confidence", bin[b].confidence / n);
            add(one, "accuracy", bin[b].right / n);
            add(one, "lo", range[0]);
            add(one, "hi", range[1]);
            cJSON_AddItemToArray(list, one);
        }
    }
}

/* ---- slices ---- */

static rt_status collect_slices(writing *w, sorted **list, int *count)
{
    const char *const *names;
    int columns = rt_comparison_columns(w->c, w->h, &names), room = 0;
    rt_question q = main_question(w);
    for (int i = 0; i < columns; i++) {
        const rt_slice *slice;
        int n;
        rt_status st = rt_comparison_slices(w->c, w->h, names[i], &slice, &n);
        if (st == RT_INPUT) {                          /* a column that tells every row apart */
            rt_eval_note(w->notes, "%s.", rt_error_message());
            continue;
        }
        RT_TRY(st);
        for (int k = 0; k < n; k++) {
            rt_delta d;
            q.slice = &slice[k];
            if (slice[k].rows < LEAST || 20 * slice[k].rows >= 19 * w->c->n) continue;   /* nor nearly all rows */
            RT_TRY(rt_comparison_ask(w->c, &q, &d));
            if (d.status || d.n < LEAST) continue;
            if (*count == room) {
                sorted *more = realloc(*list, (size_t)(room = 2 * room + 64) * sizeof **list);
                if (!more) return rt_fail(RT_RUN, "out of memory");
                *list = more;
            }
            cJSON *j = rt_delta_to_json(&q, &d);
            cJSON_AddStringToObject(j, "column", slice[k].column);
            cJSON_AddStringToObject(j, "value", slice[k].value);
            cJSON_AddNumberToObject(j, "p_worse", d.p_limit);
            (*list)[(*count)++] = (sorted){j, -d.p_limit, d.drop};
        }
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

static rt_status add_slices(writing *w, cJSON *j)
{
    sorted *list = NULL;
    int count = 0;
    rt_status st = collect_slices(w, &list, &count);
    double *p = calloc((size_t)count + 1, sizeof *p), *adjusted = calloc((size_t)count + 1, sizeof *adjusted);
    if (!st && (!p || !adjusted)) st = rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < count && !st; i++) p[i] = -list[i].key;
    if (!st) st = rt_holm(p, count, adjusted);
    for (int i = 0; i < count && !st; i++) cJSON_AddNumberToObject(list[i].j, "p_worse_holm", adjusted[i]);
    cJSON_AddNumberToObject(j, "slices_compared", count);
    put_sorted(cJSON_AddArrayToObject(j, "slices"), list, count, st ? 0 : SLICES);
    free(list);
    free(p);
    free(adjusted);
    return st;
}

static rt_status add_found(writing *w, cJSON *j)
{
    rt_found_slice *found = calloc(RT_FOUND_MOST, sizeof *found);
    rt_question q = main_question(w);
    int count;
    if (!found) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_find_slices(w->c, &q, found, &count);
    cJSON *list = cJSON_AddArrayToObject(j, "found");
    for (int i = 0; i < count && !st; i++) {
        cJSON *one = cJSON_CreateObject(), *names = cJSON_AddArrayToObject(one, "slice");
        for (int k = 0; k < 2 && *found[i].name[k]; k++)
            cJSON_AddItemToArray(names, cJSON_CreateString(found[i].name[k]));
        cJSON_AddNumberToObject(one, "rows", (double)found[i].rows);
        cJSON_AddItemToObject(one, "searched", rt_delta_to_json(&q, &found[i].searched));
        cJSON_AddItemToObject(one, "confirmed", rt_delta_to_json(&q, &found[i].confirmed));
        cJSON_AddNumberToObject(one, "p_worse", found[i].p);
        cJSON_AddNumberToObject(one, "p_worse_holm", found[i].adjusted);
        cJSON_AddItemToArray(list, one);
    }
    free(found);
    return st;
}

/* ---- flips ---- */

typedef struct { uint64_t i; double key; } flip;

static int by_confidence(const void *a, const void *b)
{
    const flip *x = a, *y = b;
    return x->key < y->key ? 1 : x->key > y->key ? -1 : x->i < y->i ? -1 : x->i > y->i;
}

/* What the row looks like: a picture, or its first numbers. */
static rt_status add_look(const writing *w, cJSON *j, uint64_t i)
{
    rt_source *x = w->o->rows;
    uint64_t row = w->c->p[0]->row[w->c->at[0][i]];
    if (!x || strcmp(w->o->data, w->c->info[0].data) || row >= rt_source_rows(x)) return RT_OK;
    size_t bytes = rt_source_row_bytes(x);
    char *raw = malloc(bytes + 1);
    if (!raw) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_source_read(x, &row, 1, raw);
    char *uri = st ? NULL : rt_picture_of(x, raw);
    if (uri) cJSON_AddStringToObject(j, "picture", uri);
    else if (!st && rt_source_parts(x) == 1 && rt_source_type(x) != RT_TEXT) {
        double v[VALUES];
        size_t n = bytes / rt_dtype_size(rt_source_type(x));
        n = n < VALUES ? n : VALUES;
        rt_to_double(v, raw, rt_source_type(x), n);
        cJSON_AddItemToObject(j, "values", cJSON_CreateDoubleArray(v, (int)n));
    }
    free(uri);
    free(raw);
    return st;
}

static rt_status add_flip(const writing *w, cJSON *list, const flip *f, int negative)
{
    const rt_comparison *c = w->c;
    const rt_predictions *p = c->p[0];
    const rt_names *names = &c->head[w->h].names;
    const rt_facts *a = &c->facts[0][w->h], *b = &c->facts[1][w->h];
    char number[16], id[RT_PREDICTIONS_ID + 1];
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToArray(list, j);
    memcpy(id, p->id + (size_t)c->at[0][f->i] * (size_t)p->id_width, (size_t)p->id_width);
    id[p->id_width] = 0;
    cJSON_AddStringToObject(j, "id", id);
    cJSON_AddNumberToObject(j, "row", (double)p->row[c->at[0][f->i]]);
    cJSON_AddStringToObject(j, "flip", negative ? "negative" : "positive");
    cJSON_AddStringToObject(j, "truth", rt_names_at(names, c->y[w->h].y[f->i], number));
    cJSON_AddStringToObject(j, "baseline", rt_names_at(names, a->answer[f->i], number));
    cJSON_AddStringToObject(j, "candidate", rt_names_at(names, b->answer[f->i], number));
    cJSON_AddNumberToObject(j, "baseline_confidence", a->confidence[f->i]);
    cJSON_AddNumberToObject(j, "candidate_confidence", b->confidence[f->i]);
    return add_look(w, j, f->i);
}

/* Rows that one side alone has right: first those that are lost, the candidate's surest errors first. */
static rt_status add_flips(const writing *w, cJSON *j)
{
    const rt_comparison *c = w->c;
    uint64_t n[2] = {0};
    flip *list[2] = {malloc((c->n + 1) * sizeof(flip)), malloc((c->n + 1) * sizeof(flip))};
    rt_status st = list[0] && list[1] ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < c->n && !st; i++) {
        if (c->y[w->h].y[i] < 0) continue;
        int a = rt_facts_right(c, 0, w->h, i), b = rt_facts_right(c, 1, w->h, i);
        if (a && !b) list[0][n[0]++] = (flip){i, c->facts[1][w->h].confidence[i]};
        if (!a && b) list[1][n[1]++] = (flip){i, c->facts[0][w->h].confidence[i]};
    }
    cJSON *out = cJSON_AddArrayToObject(j, "flips");
    uint64_t room = FLIPS, most = n[1] < FLIPS - NEGATIVE ? FLIPS - n[1] : NEGATIVE;
    for (int k = 0; k < 2 && !st; k++) {
        qsort(list[k], n[k], sizeof(flip), by_confidence);
        uint64_t shown = k ? room : most;
        for (uint64_t i = 0; i < n[k] && i < shown && !st; i++, room--) st = add_flip(w, out, &list[k][i], !k);
    }
    cJSON_AddNumberToObject(j, "flips_counted", (double)(n[0] + n[1]));
    free(list[0]);
    free(list[1]);
    return st;
}

/* ---- all ---- */

cJSON *rt_side_to_json(const rt_side_info *s)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "name", s->name);
    cJSON_AddStringToObject(j, "file", s->path);
    cJSON_AddBoolToObject(j, "stored", s->stored);
    cJSON_AddStringToObject(j, "model_digest", s->model);
    cJSON_AddStringToObject(j, "data_digest", s->data);
    cJSON_AddStringToObject(j, "rows_digest", s->rows);
    cJSON_AddNumberToObject(j, "rows", (double)s->count);
    cJSON_AddNumberToObject(j, "rows_left_out", (double)s->alone);
    cJSON_AddStringToObject(j, "kernels", s->kernels);
    cJSON_AddStringToObject(j, "tool", s->tool);
    add(j, "rows_seen_in_training", s->seen);
    return j;
}

static rt_status write_head(writing *w, cJSON *j)
{
    const rt_comparison *c = w->c;
    const rt_head *head = &c->head[w->h];
    uint64_t labelled = 0;
    for (uint64_t i = 0; i < c->n; i++) labelled += (uint64_t)rt_facts_counts(c, w->h, i);
    cJSON_AddStringToObject(j, "name", head->name);
    cJSON_AddStringToObject(j, "task", rt_task_name(head->task));
    cJSON_AddNumberToObject(j, "size", head->size);
    cJSON *names = rt_names_to_json(&head->names);
    if (names) cJSON_AddItemToObject(j, "names", names);
    cJSON_AddNumberToObject(j, "labelled_rows", (double)labelled);
    if (!c->facts[0][w->h].there || !c->facts[1][w->h].there) {
        cJSON_AddBoolToObject(j, "missing", 1);
        return RT_OK;
    }
    if (!w->o->brief) RT_TRY(add_metrics(w, j));
    if (!labelled) return RT_OK;
    if (w->o->brief && head->task != RT_TASK_CLASSES) return RT_OK;
    if (head->task != RT_TASK_REAL) RT_TRY(add_classes(w, j));
    if (w->o->brief) return add_flips(w, j);
    RT_TRY(add_slices(w, j));
    if (w->o->find && head->task == RT_TASK_CLASSES) RT_TRY(add_found(w, j));
    if (w->o->find && head->task != RT_TASK_CLASSES)
        rt_eval_note(w->notes, "head '%s': slices are sought of heads of classes alone.", head->name);
    if (head->task != RT_TASK_CLASSES) return RT_OK;
    RT_TRY(add_confusion(w, j));
    add_reliability(w, j);
    return add_flips(w, j);
}

static void say_of_sides(const writing *w)
{
    const rt_side_info *a = &w->c->info[0], *b = &w->c->info[1];
    if (!strcmp(a->model, b->model))
        rt_eval_note(w->notes, "baseline and candidate are the same model (digest %.8s): nothing is compared.",
                     a->model);
    for (int s = 0; s < RT_SIDES; s++)
        if (w->c->info[s].seen > 0)
            rt_eval_note(w->notes, "%s has seen %.0f of its rows in training: its figures say nothing about new data.",
                         w->c->info[s].path, w->c->info[s].seen);
}

rt_status rt_comparison_result(rt_comparison *c, const rt_comparison_options *o, cJSON *notes, cJSON **result)
{
    writing w = {.c = c, .o = o, .notes = notes};
    cJSON *j = cJSON_CreateObject();
    *result = NULL;
    cJSON_AddNumberToObject(j, "confidence", o->confidence);
    cJSON_AddNumberToObject(j, "seed", (double)o->seed);
    cJSON_AddNumberToObject(j, "rows", (double)c->n);
    cJSON_AddNumberToObject(j, "memory_bytes", rt_comparison_bytes(c));
    cJSON_AddItemToObject(j, "baseline", rt_side_to_json(&c->info[RT_BASELINE]));
    cJSON_AddItemToObject(j, "candidate", rt_side_to_json(&c->info[RT_CANDIDATE]));
    if (!o->brief) say_of_sides(&w);
    cJSON *heads = cJSON_AddArrayToObject(j, "heads");
    rt_status st = RT_OK;
    for (w.h = 0; w.h < c->heads && !st; w.h++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(heads, one);
        st = write_head(&w, one);
    }
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}
