#include "experiments/clean/clean_input.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/checks.h"
#include "data/provenance.h"
#include "data/source_files.h"

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

void rt_clean_data_read(rt_cfg *d, rt_clean_input *c)
{
    c->said = d->object;
    c->source = rt_cfg_has(d, "source") ? rt_cfg_source(d, "source", "") : NULL;
    if (c->source) rt_x_where_read(d, c->source, &c->where);
    c->y_given = rt_target_y_read(d, &c->y);
    c->match = rt_match_read(d);
    c->check = rt_check_read(d);
}

/* ---- opening ---- */

static rt_status read_manifest(rt_clean_input *c)
{
    char *text = NULL;
    const rt_h5_dataset *d = rt_h5_find(c->file, "manifest");
    if (!d) return RT_OK;
    RT_TRY(rt_h5_read_all((void **)&text, c->file, "manifest", RT_JSON_MAX_BYTES));
    rt_status st = rt_checks_whole(c->file, d, text, strlen(text));
    if (!st) st = rt_json_parse(&c->manifest, text, strlen(text), c->path);
    free(text);
    return st;
}

/* The head that is meant, among those that are listed. */
static rt_status choose_head(rt_clean_input *c)
{
    char text[RT_NAMES_TEXT];
    c->mine = -1;
    for (int h = 0; h < c->heads; h++) {
        int fits = *c->wanted ? !strcmp(c->wanted, c->head[h].name) : c->head[h].task == RT_TASK_CLASSES;
        if (fits && c->mine >= 0)
            return rt_fail(RT_USAGE, "%s: has several heads of classes: %s; name one with head=NAME", c->path,
                           rt_heads_text(c->head, c->heads, text));
        if (fits) c->mine = h;
    }
    if (c->mine < 0)
        return rt_fail(*c->wanted ? RT_USAGE : RT_INPUT, "%s: has no head %s%s; its heads: %s", c->path,
                       *c->wanted ? "" : "of classes", c->wanted, rt_heads_text(c->head, c->heads, text));
    if (c->head[c->mine].task != RT_TASK_CLASSES)
        return rt_fail(RT_USAGE, "head: '%s' is of %s; labels of classes alone can be judged", c->wanted,
                       rt_task_name(c->head[c->mine].task));
    return RT_OK;
}

/* Rows of a set, each of `width` elements, as predictions hold them. */
static rt_status open_set(rt_clean_input *c, rt_source **s, const char *name, rt_dtype type, size_t width)
{
    RT_TRY(rt_source_open_in(s, c->file, name));
    if (rt_source_rows(*s) == c->rows && rt_source_type(*s) == type &&
        rt_source_row_bytes(*s) == rt_dtype_size(type) * width)
        return RT_OK;
    return rt_fail(RT_INPUT, "%s: is damaged: '%s' is not what the manifest says; make it anew with 'retort predict'",
                   c->path, name);
}

static rt_status open_predictions(rt_clean_input *c)
{
    char name[RT_HEAD_NAME + 16];
    const cJSON *p = get(c->manifest, "predictions"), *seen = get(p, "rows_seen_in_training");
    RT_TRY(rt_heads_from_json(c->head, &c->heads, get(p, "heads"), c->path, "heads"));
    RT_TRY(choose_head(c));
    const rt_head *h = &c->head[c->mine];
    snprintf(name, sizeof name, "classes/%s", h->name);
    if (rt_h5_find(c->file, name))
        return rt_fail(RT_INPUT, "%s: keeps the largest logits of a row alone; predict again without topk", c->path);
    snprintf(name, sizeof name, "logits/%s", h->name);
    const rt_h5_dataset *d;
    RT_TRY(rt_h5_need(&d, c->file, name));
    c->rows = d->rank ? d->dim[0] : 0;
    c->seen = cJSON_IsNumber(seen) ? seen->valuedouble : NAN;
    RT_TRY(open_set(c, &c->z, name, RT_F32, (size_t)h->size));
    RT_TRY(open_set(c, &c->row, "row", RT_U64, 1));
    if (c->rows) RT_TRY(rt_source_read_stored(c->row, 0, 1, &c->first));
    snprintf(name, sizeof name, "truth/%s", h->name);
    if (c->source || !rt_h5_find(c->file, name)) return RT_OK;
    return open_set(c, &c->truth, name, RT_I32, 1);
}

static rt_status open_labels(rt_clean_input *c)
{
    RT_TRY(rt_labels_open(&c->labels, c->path, 0));
    const rt_labels_spec *spec = rt_labels_info(c->labels);
    int count;
    const rt_head *list = rt_labels_heads(c->labels, &count);
    if (spec->hard)
        return rt_fail(RT_INPUT, "%s: keeps hard labels and no labels/logits, by which labels are judged; label again "
                       "without labels.keep=hard", c->path);
    if (spec->topk)
        return rt_fail(RT_INPUT, "%s: keeps the largest logits of a row alone; label again without labels.topk",
                       c->path);
    RT_TRY(rt_heads_copy(c->head, list, count));
    c->heads = count;
    c->rows = spec->rows;
    c->first = spec->first;
    return choose_head(c);
}

/* A set of probabilities stands for one head without names. */
static rt_status open_probabilities(rt_clean_input *c)
{
    rt_shape shape;
    RT_TRY(rt_source_open_in(&c->z, c->file, c->set));
    RT_TRY(rt_source_shape(c->z, &shape));
    rt_dtype type = rt_source_type(c->z);
    if (shape.rank != 1 || shape.dim[0] < 2 || (type != RT_F16 && type != RT_F32 && type != RT_F64))
        return rt_fail(RT_INPUT, "%s: '%s' is no set of (rows, classes) probabilities in f16, f32 or f64", c->path,
                       c->set);
    c->rows = rt_source_rows(c->z);
    c->seen = NAN;
    return rt_heads_add(c->head, &c->heads, "y", RT_TASK_CLASSES, (int)shape.dim[0]);
}

static rt_status find_kind(rt_clean_input *c)
{
    RT_TRY(rt_h5_scan(&c->file, c->path));
    RT_TRY(read_manifest(c));
    c->kind = *c->set ? RT_CLEAN_SET : get(c->manifest, "predictions") ? RT_CLEAN_PREDICTIONS : RT_CLEAN_LABELS;
    if (c->kind == RT_CLEAN_LABELS && !get(c->manifest, "labels"))
        return rt_fail(RT_INPUT,
                       "%s: is neither predictions (retort predict) nor a label store; of another file of "
                       "probabilities name their data set with set=NAME", c->path);
    if (c->kind == RT_CLEAN_PREDICTIONS) return open_predictions(c);
    return c->kind == RT_CLEAN_LABELS ? open_labels(c) : open_probabilities(c);
}

/* ---- the data ---- */

/* What the store's teacher has seen of the rows. */
static rt_status count_seen(rt_clean_input *c, rt_device *device, const rt_progress *progress)
{
    rt_digest part[RT_SOURCE_PARTS];
    const char *data[RT_SOURCE_PARTS + 1] = {NULL};
    const cJSON *seen = get(rt_labels_manifest(c->labels), "seen");
    const rt_labels_spec *spec = rt_labels_info(c->labels);
    rt_rows rows = rt_rows_between(spec->first, spec->first + spec->rows);
    uint64_t count;
    c->seen = NAN;
    if (!cJSON_IsArray(seen)) return RT_OK;
    RT_TRY(rt_identity_roots(part, c->identity, rt_device_pool(device), progress));
    for (int p = 0; p < rt_source_parts(c->x); p++) data[p] = part[p].hex;
    RT_TRY(rt_seen_count(seen, data, c->source_rows, &rows, NULL, c->path, &count));
    c->seen = (double)count;
    c->unknown = rt_seen_unknown(seen);
    return RT_OK;
}

/* The rows that the answers are of are those of the data. */
static rt_status open_rows(rt_clean_input *c, rt_device *device, const rt_progress *progress)
{
    rt_digest root;
    RT_TRY(rt_x_open(&c->x, &c->where));
    c->source_rows = rt_source_rows(c->x);
    RT_TRY(rt_identity_open(&c->identity, c->x, c->check));
    if (c->kind == RT_CLEAN_LABELS) {
        RT_TRY(rt_labels_check_source(c->labels, c->identity, rt_device_pool(device), progress));
        return count_seen(c, device, progress);
    }
    RT_TRY(rt_identity_root(&root, c->identity, rt_device_pool(device), progress));
    const char *of = cJSON_GetStringValue(get(get(c->manifest, "predictions"), "data_digest"));
    if (of && !strcmp(of, root.hex)) return RT_OK;
    return rt_fail(RT_INPUT,
                   "%s: holds answers to other rows than those of %s; predict them, or name the file that was "
                   "predicted",
                   c->path, c->source);
}

static rt_status open_truth(rt_clean_input *c)
{
    rt_target_where where = c->y_given ? c->y : (rt_target_where){.set = "y", .column = -1};
    where.only = 1;
    if (c->truth) return RT_OK;
    if (!*where.set) return rt_fail(RT_USAGE, "data.y: is empty; the labels are what is judged");
    if (c->kind == RT_CLEAN_SET && c->source && strcmp(c->source, c->path) && !where.source) where.source = c->source;
    if (c->kind == RT_CLEAN_PREDICTIONS && !c->source && !where.source)
        return rt_fail(RT_INPUT, "%s: holds no truth of head '%s'; name the labels with --data FILE data.y=SET",
                       c->path, c->head[c->mine].name);
    return rt_targets_open_head(&c->y_of, c->kind == RT_CLEAN_SET ? c->z : c->x, &where, &c->head[c->mine], c->match);
}

rt_status rt_clean_open(rt_clean_input *c, int block, rt_device *device, const rt_progress *progress)
{
    RT_TRY(find_kind(c));
    if (!c->source && c->y_given && c->kind == RT_CLEAN_PREDICTIONS)
        return rt_fail(RT_USAGE, "data.y: names a data set of --data DATA.h5, which is not given");
    if (c->kind == RT_CLEAN_LABELS && !c->source)
        return rt_fail(RT_USAGE, "%s: is a label store; name the labels that are judged with --data DATA.h5", c->path);
    if (c->kind == RT_CLEAN_SET) c->source_rows = c->rows;
    else if (c->source) RT_TRY(open_rows(c, device, progress));
    RT_TRY(open_truth(c));
    if (!c->rows) return rt_fail(RT_NOTHING, "%s: holds no rows", c->path);
    size_t n = (size_t)block, width = (size_t)rt_heads_width(c->head, c->heads);
    c->room = block;
    c->at = calloc(n, sizeof *c->at);
    c->answer = calloc(n * width, sizeof *c->answer);
    c->raw = calloc(n, c->kind == RT_CLEAN_SET ? rt_source_row_bytes(c->z) : 1);
    return c->at && c->answer && c->raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

void rt_clean_close(rt_clean_input *c)
{
    rt_targets_close(c->y_of);
    rt_identity_close(c->identity);
    rt_source_close(c->x);
    rt_source_close(c->z);
    rt_source_close(c->row);
    rt_source_close(c->truth);
    rt_labels_close(c->labels);
    rt_heads_free(c->head, c->heads);
    cJSON_Delete(c->manifest);
    if (c->file) rt_h5_close(c->file);
    free(c->at);
    free(c->answer);
    free(c->raw);
}

/* ---- rows ---- */

static void softmax(double *p, const float *z, int k)
{
    double top = z[0], sum = 0;
    for (int j = 1; j < k; j++) if (z[j] > top) top = z[j];
    for (int j = 0; j < k; j++) sum += p[j] = exp((double)z[j] - top);
    for (int j = 0; j < k; j++) p[j] /= sum;
}

static rt_status need_finite(const rt_clean_input *c, const float *z, int i)
{
    for (int j = 0; j < c->head[c->mine].size; j++)
        if (!isfinite(z[j]))
            return rt_fail(RT_INPUT, "%s: row %llu has a logit that is not finite", c->path,
                           (unsigned long long)c->at[i]);
    return RT_OK;
}

static rt_status read_predictions(rt_clean_input *c, uint64_t first, int n, double *p)
{
    int k = c->head[c->mine].size;
    RT_TRY(rt_source_read_stored(c->row, first, (uint64_t)n, c->at));
    RT_TRY(rt_source_read_stored(c->z, first, (uint64_t)n, c->answer));
    if (!first) c->last = 0;
    for (int i = 0; i < n; i++) {
        if (c->at[i] < c->last || (c->source_rows && c->at[i] >= c->source_rows))
            return rt_fail(RT_INPUT, "%s: its rows do not rise, or lie outside the data; make it anew", c->path);
        c->last = c->at[i] + 1;
        RT_TRY(need_finite(c, c->answer + (size_t)i * (size_t)k, i));
        softmax(p + (size_t)i * (size_t)k, c->answer + (size_t)i * (size_t)k, k);
    }
    return RT_OK;
}

/* Rows without an answer have no label here either, as nothing can be said of them. */
static rt_status read_labels(rt_clean_input *c, uint64_t first, int n, double *p)
{
    uint64_t from = rt_labels_info(c->labels)->first + first, *there = c->at;
    int k = c->head[c->mine].size, width = rt_heads_width(c->head, c->heads), count = 0;
    for (int i = 0; i < n; i++) c->at[i] = from + (uint64_t)i;
    RT_TRY(rt_labels_status(c->labels, c->at, n, c->raw));
    for (int i = 0; i < n; i++)
        if (rt_label_is_there(c->raw[i])) there[count++] = from + (uint64_t)i;
    if (count) RT_TRY(rt_labels_read(c->labels, there, count, c->answer));
    for (int i = 0; i < n; i++) c->at[i] = from + (uint64_t)i;
    count = 0;
    for (int i = 0; i < n; i++) {
        double *to = p + (size_t)i * (size_t)k;
        const float *z = c->answer + (size_t)count * (size_t)width + c->head[c->mine].at;
        count += rt_label_is_there(c->raw[i]);
        if (rt_label_is_there(c->raw[i])) {
            RT_TRY(need_finite(c, z, i));
            softmax(to, z, k);
        } else for (int j = 0; j < k; j++) to[j] = 1.0 / k;
    }
    return RT_OK;
}

static rt_status read_probabilities(rt_clean_input *c, uint64_t first, int n, double *p)
{
    size_t k = (size_t)c->head[c->mine].size, all = (size_t)n * k;
    rt_dtype type = rt_source_type(c->z);
    RT_TRY(rt_source_read_stored(c->z, first, (uint64_t)n, type == RT_F64 ? (void *)p : (void *)c->raw));
    if (type != RT_F64) {
        rt_to_float(c->answer, c->raw, type, all);
        for (size_t i = 0; i < all; i++) p[i] = c->answer[i];
    }
    for (int i = 0; i < n; i++) c->at[i] = first + (uint64_t)i;
    for (size_t i = 0; i < all; i++)
        if (!(p[i] >= -1e-6 && p[i] <= 1 + 1e-6))
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' has %g for class %llu, which is no probability", c->path,
                           (unsigned long long)(first + i / k), c->set, p[i], (unsigned long long)(i % k));
    return RT_OK;
}

rt_status rt_clean_read(void *of, uint64_t first, int n, int32_t *y, double *p)
{
    rt_clean_input *c = of;
    RT_TRY(c->kind == RT_CLEAN_PREDICTIONS ? read_predictions(c, first, n, p)
           : c->kind == RT_CLEAN_LABELS    ? read_labels(c, first, n, p)
                                           : read_probabilities(c, first, n, p));
    if (!c->truth) RT_TRY(rt_targets_read(c->y_of, c->at, n, y));
    else RT_TRY(rt_source_read_stored(c->truth, first, (uint64_t)n, y));
    for (int i = 0; i < n; i++) {
        if (y[i] < RT_NO_LABEL || y[i] >= c->head[c->mine].size)
            return rt_fail(RT_INPUT, "%s: is damaged: a truth is no class", c->path);
        if (c->kind == RT_CLEAN_LABELS && !rt_label_is_there(c->raw[i])) y[i] = RT_NO_LABEL;
    }
    return RT_OK;
}
