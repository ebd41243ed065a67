/* experiments/drift/drift_read.c - both sides side by side: which columns there are, paired by name. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/drift/drift_parts.h"

enum { CHANNELS = 64 };

int rt_drift_add_column(rt_drift_work *w, const char *group, int category, const rt_drift_words *words,
                        const char *fmt, ...)
{
    char name[RT_H5_NAME + 80];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (!(w->columns & (w->columns - 1))) {            /* full at powers of two */
        rt_drift_column *c = realloc(w->column, (size_t)(w->columns ? 2 * w->columns : 1) * sizeof *c);
        if (!c) return -1;
        w->column = c;
    }
    rt_drift_column *c = &w->column[w->columns];
    *c = (rt_drift_column){.name = strdup(name), .group = group, .category = category, .words = words};
    return c->name ? w->columns++ : -1;
}

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

static const char *path_of(const rt_drift_work *w, int side) { return w->side[side].data.source; }

/* ---- fields ---- */

static rt_status new_field(rt_drift_work *w, rt_drift_make make, const char *name, rt_source *const set[2],
                           rt_drift_field **out)
{
    if (w->fields == RT_DRIFT_FIELDS) return rt_fail(RT_USAGE, "there are more than %d data sets", RT_DRIFT_FIELDS);
    rt_drift_field *f = &w->field[w->fields++];
    *f = (rt_drift_field){.make = make, .first = w->columns};
    snprintf(f->name, sizeof f->name, "%s", name);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        f->side[s].set = set[s];
        f->side[s].at = -1;
        if (rt_source_type(set[s]) != RT_TEXT) RT_TRY(rt_source_shape(set[s], &f->side[s].shape));
    }
    *out = f;
    return RT_OK;
}

static rt_status close_field(rt_drift_work *w, rt_drift_field *f)
{
    f->width = w->columns - f->first;
    if (w->columns > RT_DRIFT_COLUMNS)
        return rt_fail(RT_USAGE, "%s: '%s' has more than %d columns; a set of images is told by kind=images",
                       path_of(w, 0), f->name, RT_DRIFT_COLUMNS);
    return RT_OK;
}

static int ignored(const rt_drift_work *w, const char *name)
{
    for (int i = 0; i < w->limits.ignored; i++) if (!strcmp(w->limits.ignore[i], name)) return 1;
    return 0;
}

/* Elements of flat rows: the reference's columns, by name. */
static rt_status add_elements(rt_drift_work *w, const char *prefix, rt_source *const set[2], int named)
{
    rt_drift_field *f;
    rt_names names[RT_DRIFT_SIDES] = {{0}};
    char number[16];
    int *map = NULL, count[RT_DRIFT_SIDES];
    rt_status st = new_field(w, RT_DRIFT_ELEMENTS, *prefix ? prefix : "x", set, &f);
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) {
        count[s] = (int)rt_shape_count(&f->side[s].shape);
        if (named) st = rt_source_columns(set[s], &names[s]);
        if (!st && !names[s].name) {
            rt_names_free(&names[s]);
            st = rt_names_numbered(&names[s], count[s], path_of(w, s));
        }
    }
    if (!st && w->side[0].data.match == RT_MATCH_NAMES) st = rt_names_map(&map, &names[0], &names[1], "column");
    else if (!st && count[0] != count[1])
        st = rt_fail(RT_INPUT, "%s: has %d columns, %s %d; with data.names=position they must be as many",
                     path_of(w, 1), count[1], path_of(w, 0), count[0]);
    if (!st && count[1] > count[0])
        rt_eval_note(w->notes, "%s has %d columns that %s has not; they are not compared.", path_of(w, 1),
                     count[1] - count[0], path_of(w, 0));
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++)
        if (!(f->side[s].pick = calloc((size_t)count[0] + 1, sizeof *map))) st = no_memory();
    for (int i = 0, k = 0; i < count[0] && !st; i++) {
        const char *name = rt_names_at(&names[0], i, number);
        if (ignored(w, name)) continue;
        f->side[0].pick[k] = i;
        f->side[1].pick[k++] = map ? map[i] : i;
        if (rt_drift_add_column(w, "column", 0, NULL, "%s%s%s", prefix, *prefix ? "." : "", name) < 0) st = no_memory();
    }
    for (int s = 0; s < RT_DRIFT_SIDES; s++) rt_names_free(&names[s]);
    free(map);
    return st ? st : close_field(w, f);
}

static rt_status add_picture(rt_drift_work *w, const char *prefix, rt_source *const set[2])
{
    static const char *const what[] = {"mean", "contrast", "sharpness", "least", "greatest"};
    rt_drift_field *f;
    char a[64], b[64];
    int h, wide, c, other;
    RT_TRY(new_field(w, RT_DRIFT_PICTURE, *prefix ? prefix : "x", set, &f));
    rt_shape_hwc(&f->side[0].shape, &h, &wide, &c);
    rt_shape_hwc(&f->side[1].shape, &h, &wide, &other);
    if (c != other)
        return rt_fail(RT_INPUT, "%s: rows of '%s' are %s, of %s %s: they have other channels", path_of(w, 1),
                       f->name, rt_shape_text(&f->side[1].shape, a), path_of(w, 0),
                       rt_shape_text(&f->side[0].shape, b));
    if (!rt_shape_equal(&f->side[0].shape, &f->side[1].shape))
        rt_eval_note(w->notes, "rows of '%s' are %s in %s, and %s in %s: sharpness depends on the size.", f->name,
                     rt_shape_text(&f->side[0].shape, a), path_of(w, 0), rt_shape_text(&f->side[1].shape, b),
                     path_of(w, 1));
    const char *group = f->side[0].shape.rank == 3 ? "image" : "signal";
    for (size_t i = 0; i < sizeof what / sizeof what[0]; i++)
        if (rt_drift_add_column(w, group, 0, NULL, "%s%s%s", prefix, *prefix ? "." : "", what[i]) < 0)
            return no_memory();
    for (int k = 0; k < c && c > 1 && c <= CHANNELS; k++)
        for (int i = 0; i < 2; i++)
            if (rt_drift_add_column(w, group, 0, NULL, "%s%schannel %d %s", prefix, *prefix ? "." : "", k, what[i]) < 0)
                return no_memory();
    return close_field(w, f);
}

/* Rows of ids, or of text: how long they are, and one token of each. */
static rt_status add_tokens(rt_drift_work *w, rt_drift_make make, const char *prefix, rt_source *const set[2])
{
    rt_drift_field *f;
    const char *dot = *prefix ? "." : "";
    RT_TRY(new_field(w, make, *prefix ? prefix : "x", set, &f));
    if (make == RT_DRIFT_TEXT && !(f->words = rt_drift_words_new())) return no_memory();
    int good = rt_drift_add_column(w, "text", 0, NULL, "%s%slength", prefix, dot) >= 0;
    if (make == RT_DRIFT_TEXT) good &= rt_drift_add_column(w, "text", 0, NULL, "%s%swords", prefix, dot) >= 0;
    good &= rt_drift_add_column(w, "text", 1, f->words, "%s%stoken", prefix, dot) >= 0;
    return good ? close_field(w, f) : no_memory();
}

static rt_status add_word(rt_drift_work *w, const char *name, rt_source *const set[2], rt_drift_field **f)
{
    RT_TRY(new_field(w, RT_DRIFT_WORD, name, set, f));
    if (!((*f)->words = rt_drift_words_new())) return no_memory();
    if (rt_drift_add_column(w, "column", 1, (*f)->words, "%s", name) < 0) return no_memory();
    return close_field(w, *f);
}

/* ---- labels ---- */

/* Class names of a file become words; what its label i is called then is word[i]. */
static rt_status name_classes(rt_drift_field *f, int s, int only)
{
    rt_names classes, columns;
    rt_status st = rt_names_read(rt_source_file(f->side[s].set), &classes, &columns);
    int named = rt_targets_named(rt_source_file(f->side[s].set), rt_source_info(f->side[s].set)->name, only);
    if (!st && classes.name && named) {
        if (!f->words && !(f->words = rt_drift_words_new())) st = no_memory();
        f->side[s].word = calloc((size_t)classes.count + 1, sizeof(int));
        if (!f->side[s].word) st = no_memory();
        f->side[s].classes = classes.count;
        for (int i = 0; i < classes.count && !st; i++)
            f->side[s].word[i] = rt_drift_word(f->words, classes.name[i], strlen(classes.name[i]));
    }
    rt_names_free(&classes);
    rt_names_free(&columns);
    return st;
}

/* Of one number a row that is whole or has class names: classes; else numbers. only: of the only head of classes; -1:
 * no label, but a column like others. */
static rt_status add_label(rt_drift_work *w, const char *name, rt_source *const set[2], const int at[2], int only,
                           rt_drift_field **out)
{
    int label = only >= 0;
    rt_drift_field *f;
    int width[2], whole = 1;
    RT_TRY(new_field(w, RT_DRIFT_LABEL, name, set, &f));
    *out = f;
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        rt_dtype type = rt_source_type(set[s]);
        width[s] = at[s] >= 0 ? 1 : (int)rt_shape_count(&f->side[s].shape);
        f->side[s].at = at[s];
        whole &= rt_dtype_is_integer(type);
        if (width[s] == 1 && label) RT_TRY(name_classes(f, s, only));
    }
    if (width[0] != width[1])
        return rt_fail(RT_INPUT, "%s: '%s' has %d numbers a row, in %s %d", path_of(w, 1), name, width[1],
                       path_of(w, 0), width[0]);
    if (f->words && !f->side[0].word != !f->side[1].word && w->side[0].data.match == RT_MATCH_NAMES) {
        int without = f->side[0].word != NULL;         /* numbers are the names of its classes */
        rt_eval_note(w->notes, "%s names no classes of '%s': its labels are called by their numbers.",
                     path_of(w, without), name);
    }
    int category = width[0] == 1 && label && (whole || f->words);
    for (int i = 0; i < width[0]; i++)
        if (rt_drift_add_column(w, label ? "label" : "column", category, f->words, width[0] == 1 ? "%s" : "%s.%d", name,
                                i) < 0)
            return no_memory();
    return close_field(w, f);
}

/* The label set of a name on one side; NULL: there is none. */
static rt_status open_label(rt_drift_work *w, int s, const char *name, int only, rt_source **set, int *at)
{
    const rt_eval_data *d = &w->side[s].data;
    const cJSON *targets = cJSON_GetObjectItemCaseSensitive(w->side[s].json, "targets");
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(targets, name);
    const char *source = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(told, "source"));
    const cJSON *column = cJSON_GetObjectItemCaseSensitive(told, "column");
    const char *where = cJSON_IsString(told) ? told->valuestring
                                             : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(told, "set"));
    rt_h5_file *file = rt_source_file(d->x);
    const char *x = rt_source_info(d->x) ? rt_source_info(d->x)->name : "";
    *set = NULL;
    *at = cJSON_IsNumber(column) ? column->valueint : -1;
    if (!told && only && d->labelled) {
        where = d->labels.set;
        source = d->labels.source;
        *at = d->labels.column;
    }
    else if (!told && rt_h5_find(file, name)) where = name;
    else if (!told && only && rt_h5_find(file, "y")) where = "y";
    if (!where || !*where || (!told && !source && !strcmp(where, x))) return RT_OK;
    if (source) RT_TRY(rt_source_open(set, source, where));
    else RT_TRY(rt_source_open_in(set, file, where));
    size_t size = rt_dtype_size(rt_source_type(*set));
    if (rt_source_rows(*set) != rt_source_rows(d->x) || rt_source_type(*set) == RT_TEXT ||
        (*at >= 0 && (size_t)*at >= rt_source_row_bytes(*set) / size))
        return rt_fail(RT_INPUT, "%s: '%s' does not hold numbers of each of the %llu rows", rt_source_path(*set), where,
                       (unsigned long long)rt_source_rows(d->x));
    return RT_OK;
}

static rt_status add_labels(rt_drift_work *w, const char *name, int only)
{
    rt_source *set[RT_DRIFT_SIDES] = {NULL, NULL};
    rt_drift_field *f = NULL;
    int at[RT_DRIFT_SIDES];
    rt_status st = RT_OK;
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) st = open_label(w, s, name, only, &set[s], &at[s]);
    if (!st && set[0] && set[1]) st = add_label(w, name, set, at, only, &f);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        if (f) f->side[s].owned = 1;
        else rt_source_close(set[s]);
    }
    if (!st && !f && (set[0] || set[1]))
        rt_eval_note(w->notes, "%s has no labels '%s', and they are not compared.", path_of(w, set[0] != NULL), name);
    return st;
}

static rt_status add_all_labels(rt_drift_work *w)
{
    const cJSON *targets = cJSON_GetObjectItemCaseSensitive(w->side[0].json, "targets");
    for (const cJSON *t = targets ? targets->child : NULL; t; t = t->next) RT_TRY(add_labels(w, t->string, 0));
    for (int h = 0; h < w->heads; h++)
        if (!cJSON_HasObjectItem(targets, w->head[h].name)) RT_TRY(add_labels(w, w->head[h].name, w->heads == 1));
    return w->heads || targets ? RT_OK : add_labels(w, "y", 1);
}

/* ---- further columns ---- */

static rt_status add_slice(rt_drift_work *w, const char *name)
{
    rt_source *set[RT_DRIFT_SIDES] = {NULL, NULL};
    rt_drift_field *f = NULL;
    rt_status st = RT_OK;
    int text[2] = {0, 0}, at[2] = {-1, -1};
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) {
        st = rt_source_open_in(&set[s], rt_source_file(w->side[s].data.x), name);
        text[s] = !st && rt_source_type(set[s]) == RT_TEXT;
        if (!st && rt_source_rows(set[s]) != rt_source_rows(w->side[s].data.x))
            st = rt_fail(RT_INPUT, "%s: '%s' has %llu rows, the data %llu", path_of(w, s), name,
                         (unsigned long long)rt_source_rows(set[s]),
                         (unsigned long long)rt_source_rows(w->side[s].data.x));
    }
    if (!st && text[0] != text[1])
        st = rt_fail(RT_INPUT, "%s: '%s' is %s, in %s it is %s", path_of(w, 1), name, text[1] ? "text" : "numbers",
                     path_of(w, 0), text[0] ? "text" : "numbers");
    if (!st && text[0]) st = add_word(w, name, set, &f);
    else if (!st) st = add_label(w, name, set, at, -1, &f);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        if (f) f->side[s].owned = 1;
        else rt_source_close(set[s]);
    }
    return st;
}

/* ---- both sides ---- */

static rt_status add_part(rt_drift_work *w, const char *prefix, rt_source *const set[2], int ids, int named)
{
    rt_shape shape[RT_DRIFT_SIDES];
    int text = rt_source_type(set[0]) == RT_TEXT;
    char a[64], b[64];
    if (text != (rt_source_type(set[1]) == RT_TEXT))
        return rt_fail(RT_INPUT, "%s: '%s' is %s, in %s it is %s", path_of(w, 1), *prefix ? prefix : "x",
                       text ? "numbers" : "text", path_of(w, 0), text ? "text" : "numbers");
    if (text) return add_tokens(w, RT_DRIFT_TEXT, prefix, set);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) RT_TRY(rt_source_shape(set[s], &shape[s]));
    if (w->kind == RT_DRIFT_IDS || (w->kind == RT_DRIFT_AUTO && ids))
        return add_tokens(w, RT_DRIFT_TOKENS, prefix, set);
    if (w->kind == RT_DRIFT_TABLE || (w->kind == RT_DRIFT_AUTO && shape[0].rank == 1 && shape[1].rank == 1))
        return add_elements(w, prefix, set, named);
    if (shape[0].rank == shape[1].rank && shape[0].rank > 1 && shape[0].rank <= 3) return add_picture(w, prefix, set);
    return rt_fail(RT_INPUT, "%s: rows are %s, of %s %s: that does not pair as images; kind=table takes their numbers",
                   path_of(w, 1), rt_shape_text(&shape[1], a), path_of(w, 0), rt_shape_text(&shape[0], b));
}

/* The rows as data sets side by side, by name. ids: from the model, by the reference's parts. */
static rt_status pair_sides(rt_drift_work *w, const int *ids)
{
    rt_source *x[RT_DRIFT_SIDES] = {w->side[0].data.x, w->side[1].data.x};
    for (int i = 0; i < rt_source_parts(x[0]); i++) {
        rt_source *part[RT_DRIFT_SIDES];
        const char *name, *other;
        size_t at;
        part[0] = rt_source_part(x[0], i, &name, &at);
        int k = rt_source_parts(x[0]) > 1 ? rt_source_find_part(x[1], name) : 0;
        if (k < 0 || rt_source_parts(x[0]) != rt_source_parts(x[1]))
            return rt_fail(RT_INPUT, "%s: has no data set for '%s' beside its others", path_of(w, 1), name);
        part[1] = rt_source_part(x[1], k, &other, &at);
        RT_TRY(add_part(w, rt_source_parts(x[0]) > 1 ? name : "", part, ids && ids[i] > 0, rt_source_parts(x[0]) == 1));
    }
    RT_TRY(add_all_labels(w));
    for (int i = 0; i < w->side[0].slices; i++) RT_TRY(add_slice(w, w->side[0].slice[i]));
    w->streamed = w->columns;
    return RT_OK;
}

/* The sample of a side: all its rows where they are few enough. */
static rt_status draw_sample(rt_drift_work *w, rt_drift_side *s, int side)
{
    rt_rows from = rt_rows_between(0, s->rows);
    s->sampled = s->rows < (uint64_t)w->sample ? (int)s->rows : w->sample;
    s->at = malloc(((size_t)s->sampled + 1) * sizeof *s->at);
    if (!s->at) return no_memory();
    if ((uint64_t)s->sampled == s->rows) s->sample = from;
    else RT_TRY(rt_rows_draw(&from, s->sampled, w->seed + (uint64_t)side, RT_RNG_DRIFT, "sample", &s->sample));
    for (int i = 0; i < s->sampled; i++) {
        uint64_t member = rt_rows_at(&s->sample, (uint64_t)i);
        s->at[i] = s->predictions ? member : rt_rows_at(&s->data.rows, member);
    }
    rt_rows_free(&from);
    return RT_OK;
}

static rt_status refuse_same(const rt_drift_work *w)
{
    const rt_drift_side *a = &w->side[0], *b = &w->side[1];
    const char *x = a->predictions ? a->predictions->of_rows.hex : a->data.digest.hex;
    const char *y = b->predictions ? b->predictions->of_rows.hex : b->data.digest.hex;
    int same = !strcmp(x, y) && a->rows == b->rows;
    if (same && !a->predictions)
        same = rt_rows_common(&a->data.rows, &b->data.rows) == a->rows;
    if (!same || w->allow_same) return RT_OK;
    return rt_fail(RT_NOTHING, "%s and %s are the same rows (%.8s...): nothing is compared; --allow-same compares them "
                   "with themselves", a->data.source, b->data.source, x);
}

static rt_status open_data(rt_drift_work *w, int *ids)
{
    rt_teacher *t = NULL;
    rt_status st = RT_OK;
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) {
        rt_drift_side *d = &w->side[s];
        const char *input[RT_SOURCE_PARTS];
        int inputs = 0;
        if (w->model.paths) st = rt_teacher_open_spec(&t, &w->model, &d->data.where);
        if (!st && t) inputs = rt_teacher_inputs(t, input, 0);
        for (int i = 0; i < d->data.where.parts && !w->model.paths; i++) input[inputs++] = d->data.where.part[i].name;
        if (!st) st = rt_eval_data_open(&d->data, d->json, input, inputs, w->device, w->progress);
        d->opened = !st;
        d->rows = d->data.rows.count;
        if (!st && t && !s) {
            int count;
            const rt_head *head = rt_teacher_heads(t, &count);
            rt_teacher_ids(t, d->data.x, ids);
            st = rt_heads_copy(w->head, head, count);
            w->heads = st ? 0 : count;
            if (!st) st = rt_teacher_digest(t, &w->model_digest);
        }
        rt_teacher_close(t);
        t = NULL;
    }
    return st;
}

rt_status rt_drift_open(rt_drift_work *w)
{
    int ids[RT_SOURCE_PARTS] = {0}, stored[RT_DRIFT_SIDES];
    for (int s = 0; s < RT_DRIFT_SIDES; s++) RT_TRY(rt_predictions_is(w->side[s].data.source, &stored[s]));
    if (stored[0] != stored[1])
        return rt_fail(RT_USAGE, "%s is a file of predictions, and %s is not: both sides are of one kind",
                       path_of(w, stored[1]), path_of(w, stored[0]));
    if (stored[0] && w->model.paths)
        return rt_fail(RT_USAGE, "%s: predictions hold a model's answers already; give data, or leave %s out",
                       path_of(w, 0), w->model.path[0]);
    for (int s = 0; s < RT_DRIFT_SIDES && stored[0]; s++) {
        RT_TRY(rt_predictions_read(&w->side[s].predictions, path_of(w, s)));
        w->side[s].rows = w->side[s].predictions->rows;
        if (!w->side[s].rows) return rt_fail(RT_NOTHING, "%s: holds no rows", path_of(w, s));
    }
    if (!stored[0]) RT_TRY(open_data(w, ids));
    RT_TRY(refuse_same(w));
    for (int s = 0; s < RT_DRIFT_SIDES; s++) RT_TRY(draw_sample(w, &w->side[s], s));
    return stored[0] ? RT_OK : pair_sides(w, ids);
}

void rt_drift_close(rt_drift_work *w)
{
    for (int i = 0; i < w->fields; i++) {
        rt_drift_field *f = &w->field[i];
        rt_drift_words_free(f->words);
        for (int s = 0; s < RT_DRIFT_SIDES; s++) {
            if (f->side[s].owned) rt_source_close(f->side[s].set);
            free(f->side[s].pick);
            free(f->side[s].word);
        }
    }
    for (int i = 0; i < w->columns; i++) rt_drift_column_free(&w->column[i]);
    for (int i = 0; i < w->words; i++) rt_drift_words_free(w->word[i]);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        rt_drift_side *d = &w->side[s];
        free(w->held[s]);
        free(w->feature[s]);
        free(d->at);
        if (d->sample.word) rt_rows_free(&d->sample);
        for (int h = 0; h < RT_MAX_HEADS; h++) {
            free(w->confidence[s][h]);
            free(w->right[s][h]);
        }
        rt_predictions_free(d->predictions);
        rt_eval_data_close(&d->data);
    }
    rt_heads_free(w->head, w->heads);
    cJSON_Delete(w->limits_file);
    cJSON_Delete(w->accuracy);
    cJSON_Delete(w->unlike);
    cJSON_Delete(w->notes);
    free(w->column);
    free(w->check);
}
