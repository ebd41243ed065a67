#include "data/label_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/label_policy.h"
#include "data/label_scan.h"
#include "data/provenance.h"
#include "data/sources.h"
#include "data/targets.h"

enum { TENTHS = 10 };

/* A store with what it is held against. */
typedef struct {
    const rt_label_report *r;
    rt_labels *l;
    const rt_head *head;
    rt_rows rows;
    rt_sources *sources;
    rt_source *x;
    rt_targets *y;
    rt_digest part[RT_SOURCE_PARTS];
    int32_t *truth;                    /* (RT_LABEL_BLOCK) of the rows at hand */
    cJSON *warnings;
} job;

static void warn(job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(job *j, const char *fmt, ...)
{
    char text[400];
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    cJSON_AddItemToArray(j->warnings, cJSON_CreateString(text));
}

static rt_status open_data(job *j)
{
    const rt_label_report *r = j->r;
    rt_x_where where = {.source = r->data, .set = r->x ? r->x : "x"};
    rt_identity *id;
    j->sources = rt_sources_new();
    j->truth = malloc(RT_LABEL_BLOCK * sizeof *j->truth);
    if (!j->sources || !j->truth) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(rt_sources_get(j->sources, r->where ? r->where : &where, RT_CHECK_KNOWN, &j->x, &id));
    RT_TRY(rt_labels_check_source(j->l, id, r->pool, r->progress));
    RT_TRY(rt_identity_roots(j->part, id, r->pool, r->progress));
    rt_target_where truth = r->truth ? *r->truth : (rt_target_where){.set = r->y ? r->y : "y", .column = -1};
    truth.only = 1;
    return rt_targets_open_head(&j->y, j->x, &truth, j->head, RT_MATCH_NAMES);
}

static rt_status open_job(job *j, const rt_label_report *r)
{
    *j = (job){.r = r, .warnings = cJSON_CreateArray()};
    RT_TRY(rt_labels_open(&j->l, r->store, 0));
    RT_TRY(rt_label_find_head(j->l, r->store, r->head ? r->head : "", &j->head));
    const rt_labels_spec *s = rt_labels_info(j->l);
    j->rows = rt_rows_between(s->first, s->first + s->rows);
    if (r->rows) {
        uint64_t first, end;
        RT_TRY(rt_parse_range(r->rows, s->first + s->rows, &first, &end));
        if (first < s->first && first < end)
            return rt_fail(RT_USAGE, "%s: has labels from row %" PRIu64 " on, and rows '%s' are asked for", r->store,
                           s->first, r->rows);
        j->rows = rt_rows_between(first, end);
    }
    return r->data ? open_data(j) : RT_OK;
}

static void close_job(job *j)
{
    rt_targets_close(j->y);
    rt_sources_free(j->sources);
    rt_rows_free(&j->rows);
    rt_labels_close(j->l);
    free(j->truth);
    cJSON_Delete(j->warnings);
}

static void add_warnings(job *j, cJSON *to)
{
    if (j->warnings->child) cJSON_AddItemToObject(to, "warnings", cJSON_Duplicate(j->warnings, 1));
}

/* ---- verify ---- */

rt_status rt_label_verify_report(const rt_label_report *r, cJSON **result)
{
    rt_labels *l;
    rt_labels_summary s;
    rt_digest digest;
    *result = NULL;
    RT_TRY(rt_labels_open(&l, r->store, 1));
    int complete = rt_labels_complete(l);
    rt_status st = rt_labels_verify(l);
    if (!st) st = rt_labels_summarize(l, &s);
    if (!st && complete) st = rt_labels_digest(l, &digest);
    if (!st) {
        cJSON *q = *result = cJSON_CreateObject();
        cJSON_AddStringToObject(q, "labels", r->store);
        cJSON_AddNumberToObject(q, "rows", (double)rt_labels_info(l)->rows);
        cJSON_AddNumberToObject(q, "rows_labelled", (double)rt_labels_labelled(s.status));
        cJSON_AddBoolToObject(q, "complete", complete);
        cJSON_AddStringToObject(q, "checksums", complete ? "all blocks match" : "all blocks that are there match");
        if (complete) cJSON_AddStringToObject(q, "digest", digest.hex);
        else cJSON_AddStringToObject(q, "to_finish", "run the same 'retort label' command again");
    }
    rt_labels_close(l);
    return st;
}

/* ---- summary ---- */

typedef struct {
    job *j;
    uint64_t labelled, tenth[TENTHS], *count, *truths;     /* (K) by the teacher's class, by the true one */
    double confidence, entropy, margin;                    /* sums */
    uint64_t compared, agree, certain, at_limit;
    float *low, *high;                                     /* (K) of logits */
} summary;

static rt_status add_rows(void *arg, const rt_label_batch *b)
{
    summary *q = arg;
    job *j = q->j;
    int k = j->head->size;
    if (j->y) RT_TRY(rt_targets_read(j->y, b->row, b->n, j->truth));
    for (int i = 0; i < b->n; i++) {
        const float *v = b->z + (size_t)i * b->width + j->head->at;
        const rt_label_facts *f = &b->fact[i];
        int tenth = (int)ceilf(f->confidence * TENTHS) - 1, limit = 0;
        for (int c = 0; c < k; c++) {
            if (!q->labelled || v[c] < q->low[c]) q->low[c] = v[c];
            if (!q->labelled || v[c] > q->high[c]) q->high[c] = v[c];
            limit |= fabsf(v[c]) >= 65504;
        }
        q->labelled++;
        q->count[f->best]++;
        q->tenth[tenth < 0 ? 0 : tenth >= TENTHS ? TENTHS - 1 : tenth]++;
        q->confidence += (double)f->confidence;
        q->entropy += (double)f->entropy;
        q->margin += (double)f->margin;
        q->certain += b->status[i] != RT_LABEL_BY_HAND && f->confidence >= 1 - 0x1p-24f;
        q->at_limit += (unsigned)limit;
        if (!j->y || j->truth[i] == RT_NO_LABEL) continue;
        q->compared++;
        q->truths[j->truth[i]]++;
        q->agree += j->truth[i] == f->best;
    }
    return RT_OK;
}

static int most_of(const uint64_t *count, int k)
{
    int best = 0;
    for (int c = 1; c < k; c++) if (count[c] > count[best]) best = c;
    return best;
}

void rt_label_warn_classes(cJSON *warnings, const rt_head *head, const char *of, const uint64_t *count,
                           uint64_t labelled, double confidence)
{
    int k = head->size, best = most_of(count, k), none = 0, first = -1;
    char text[400] = "", number[16];
    if (k < 2 || !labelled) return;
    for (int c = 0; c < k; c++) {
        none += !count[c];
        if (!count[c] && first < 0) first = c;
    }
    const char *name = rt_names_at(&head->names, best, number);
    if (count[best] == labelled && labelled > 1)
        snprintf(text, sizeof text, "the teacher's answer%s is the class '%.100s' for all %" PRIu64 " rows; is the "
                 "data what the teacher was trained on?", of, name, labelled);
    else if ((double)count[best] > 0.99 * (double)labelled)
        snprintf(text, sizeof text, "the teacher's answer%s is the class '%.100s' for %.2f %% of the rows", of, name,
                 100 * (double)count[best] / (double)labelled);
    else if (none)
        snprintf(text, sizeof text, "%d of %d classes%s are no row's best, such as '%.100s'", none, k, of,
                 rt_names_at(&head->names, first, number));
    if (text[0]) cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
    if (!(confidence < 1.2 / k)) return;
    snprintf(text, sizeof text, "the teacher's mean confidence is %.4f, near the %.4f of chance", confidence, 1.0 / k);
    cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
}

/* What only the logits tell. */
static void warn_of_logits(summary *q)
{
    job *j = q->j;
    int k = j->head->size, constant = q->labelled > 1;
    double n = (double)q->labelled;
    if (k < 2 || rt_labels_info(j->l)->hard) return;
    for (int c = 0; c < k; c++) constant = constant && q->low[c] == q->high[c];
    if (constant) warn(j, "the logits of all %.0f rows are the same", n);
    if (rt_labels_info(j->l)->type == RT_F16 && (double)q->at_limit > 0.01 * n)
        warn(j, "%" PRIu64 " rows have a logit at the limit of f16: label again with labels.type=f32", q->at_limit);
    if ((double)q->certain > 0.5 * n)
        warn(j, "%" PRIu64 " rows have a confidence that rounds to 1: the logits are saturated, and tell no more than "
             "the class", q->certain);
    if (q->compared && q->agree <= q->truths[most_of(q->truths, k)])
        warn(j, "the teacher agrees with %" PRIu64 " of %" PRIu64 " true classes, no more than the commonest class "
             "would; are its classes those of the data?", q->agree, q->compared);
}

/* What the rows of q say, beside how many there are of each kind. */
static void describe(const summary *q, cJSON *confidence, cJSON *r)
{
    const job *j = q->j;
    double n = (double)q->labelled;
    cJSON *tenths = cJSON_AddArrayToObject(confidence, "histogram");
    for (int i = 0; i < TENTHS; i++) cJSON_AddItemToArray(tenths, cJSON_CreateNumber((double)q->tenth[i]));
    const rt_labels_spec *spec = rt_labels_info(j->l);
    if (!spec->hard || spec->columns & RT_COLUMN_ENTROPY) cJSON_AddNumberToObject(r, "entropy_mean", q->entropy / n);
    if (!spec->hard || spec->columns & RT_COLUMN_MARGIN) cJSON_AddNumberToObject(r, "margin_mean", q->margin / n);
    if (!j->y) return;
    cJSON *a = cJSON_AddObjectToObject(r, "agreement");
    cJSON_AddNumberToObject(a, "rows", (double)q->compared);
    cJSON_AddNumberToObject(a, "agree", (double)q->agree);
    double common = q->compared ? (double)q->truths[most_of(q->truths, j->head->size)] : 0;
    rt_json_number(a, "share", q->compared ? (double)q->agree / (double)q->compared : NAN, "no row has a true class");
    rt_json_number(a, "commonest_class", q->compared ? common / (double)q->compared : NAN, "no row has a true class");
}

static cJSON *describe_all(const summary *q, const uint64_t *status)
{
    const job *j = q->j;
    char number[16];
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "labels", j->r->store);
    cJSON_AddStringToObject(r, "head", j->head->name);
    cJSON_AddNumberToObject(r, "rows", (double)j->rows.count);
    cJSON_AddNumberToObject(r, "rows_labelled", (double)q->labelled);
    if (status[RT_LABEL_BY_HAND]) cJSON_AddNumberToObject(r, "by_hand", (double)status[RT_LABEL_BY_HAND]);
    cJSON_AddNumberToObject(r, "not_yet", (double)status[RT_LABEL_NOT_YET]);
    cJSON_AddNumberToObject(r, "abstained", (double)status[RT_LABEL_ABSTAINED]);
    cJSON_AddNumberToObject(r, "bad_input", (double)status[RT_LABEL_BAD_INPUT]);
    cJSON_AddNumberToObject(r, "bad_answer", (double)status[RT_LABEL_BAD_ANSWER]);
    cJSON *counts = cJSON_AddObjectToObject(r, "class_counts"), *c = cJSON_AddObjectToObject(r, "confidence");
    for (int i = 0; i < j->head->size; i++)
        cJSON_AddNumberToObject(counts, rt_names_at(&j->head->names, i, number), (double)q->count[i]);
    cJSON_AddNumberToObject(c, "mean", q->confidence / (double)q->labelled);
    describe(q, c, r);
    return r;
}

/* How far the logits are from the answers, where they are kept in 8 bits. */
static rt_status describe_code(job *j, cJSON *r)
{
    double worst[2];
    int heads, number = (int)(j->head - rt_labels_heads(j->l, &heads));
    if (rt_labels_info(j->l)->type != RT_U8) return RT_OK;
    RT_TRY(rt_labels_code_error(j->l, number, worst));
    cJSON *e = cJSON_AddObjectToObject(r, "code_error");
    cJSON_AddNumberToObject(e, "logit", worst[0]);
    cJSON_AddNumberToObject(e, "probability", worst[1]);
    return RT_OK;
}

/* How often the best class of a view is not that of its row. */
typedef struct { job *j; float *z; size_t room; uint64_t compared, disagree; } consistency;

static int best_of(const rt_label_batch *b, const float *z, int i, const rt_head *head)
{
    const float *v = z + (size_t)i * b->width + head->at;
    int best = 0;
    for (int c = 1; c < head->size; c++) if (v[c] > v[best]) best = c;
    return best;
}

static rt_status compare_views(void *arg, const rt_label_batch *b)
{
    consistency *q = arg;
    const int views = rt_labels_info(q->j->l)->views.count;
    size_t n = (size_t)b->n * b->width;
    if (n > q->room) {
        free(q->z);
        q->room = n;
        q->z = malloc(n * sizeof *q->z);
        if (!q->z) return rt_fail(RT_RUN, "out of memory");
    }
    for (int v = 0; v < views; v++) {
        RT_TRY(rt_labels_read_view(q->j->l, v, b->row, b->n, q->z));
        for (int i = 0; i < b->n; i++) {
            int other = best_of(b, q->z, i, q->j->head) != best_of(b, b->z, i, q->j->head);
            if (b->status[i] == RT_LABEL_BY_HAND) continue;                /* whose label is that of every view */
            q->compared++;
            q->disagree += (uint64_t)other;
        }
    }
    return RT_OK;
}

/* Views that the store has labels of, and how often the teacher takes one for another class. */
static rt_status describe_views(job *j, cJSON *r)
{
    consistency q = {.j = j};
    const rt_label_views *v = &rt_labels_info(j->l)->views;
    if (!v->count) return RT_OK;
    rt_status st = rt_label_scan(j->l, j->r->store, j->head, &j->rows, NULL, compare_views, &q);
    free(q.z);
    RT_TRY(st);
    cJSON *o = cJSON_AddObjectToObject(r, "views");
    cJSON_AddNumberToObject(o, "count", v->count);
    cJSON_AddNumberToObject(o, "compared", (double)q.compared);
    cJSON_AddNumberToObject(o, "disagree", (double)q.disagree);
    rt_json_number(o, "share", q.compared ? (double)q.disagree / (double)q.compared : NAN, "all rows are by hand");
    return RT_OK;
}

/* Goes over the job's rows. For free_summary, also after an error. */
static rt_status look(summary *q, job *j, uint64_t status[RT_LABEL_STATUSES])
{
    size_t k = (size_t)j->head->size;
    *q = (summary){.j = j, .count = calloc(2 * k, sizeof *q->count), .low = calloc(2 * k, sizeof *q->low)};
    if (!q->count || !q->low) return rt_fail(RT_RUN, "out of memory");
    q->truths = q->count + k;
    q->high = q->low + k;
    RT_TRY(rt_label_scan(j->l, j->r->store, j->head, &j->rows, status, add_rows, q));
    return q->labelled ? RT_OK : rt_fail(RT_NOTHING, "%s: none of its rows has a label", j->r->store);
}

static void free_summary(summary *q)
{
    free(q->count);
    free(q->low);
}

static rt_status summarize(job *j, cJSON **result)
{
    uint64_t status[RT_LABEL_STATUSES];
    rt_label_policy *p = NULL;
    cJSON *chosen = NULL;
    summary q = {0};
    rt_status st = RT_OK;
    cJSON file = {.type = cJSON_String, .valuestring = (char *)(uintptr_t)j->r->policy};
    if (j->r->policy) st = rt_label_policy_read(&p, &file, "--policy");
    if (!st && p) st = rt_label_policy_apply(p, j->l, j->r->store, &j->rows, NULL, &chosen);
    if (!st) st = look(&q, j, status);
    if (!st) {
        *result = describe_all(&q, status);
        st = describe_code(j, *result);
        if (!st) st = describe_views(j, *result);
    }
    if (!st) {
        if (chosen) cJSON_AddItemToObject(*result, "policy", cJSON_Duplicate(chosen, 1));
        warn_of_logits(&q);
        rt_label_warn_classes(j->warnings, j->head, "", q.count, q.labelled, q.confidence / (double)q.labelled);
        add_warnings(j, *result);
    }
    rt_label_policy_free(p);
    cJSON_Delete(chosen);
    free_summary(&q);
    return st;
}

/* Leaves blocks of the store that are spread evenly, so many that they hold about `most` rows. */
static rt_status thin_out(job *j, uint64_t most)
{
    const rt_labels_spec *s = rt_labels_info(j->l);
    uint64_t blocks = (s->rows + RT_LABEL_BLOCK - 1) / RT_LABEL_BLOCK, few = most / RT_LABEL_BLOCK;
    if (blocks <= few || !few) return RT_OK;
    unsigned char *in = calloc(blocks, 1);
    if (!in) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < few; i++) in[(uint64_t)(((double)i + 0.5) * ((double)blocks / (double)few))] = 1;
    rt_status st = rt_rows_from_blocks(&j->rows, s->first, s->rows, RT_LABEL_BLOCK, in);
    free(in);
    return st;
}

rt_status rt_label_glance(const rt_label_report *r, uint64_t most, cJSON *warnings, cJSON **result)
{
    job j;
    summary q = {0};
    uint64_t status[RT_LABEL_STATUSES];
    *result = NULL;
    rt_status st = open_job(&j, r);
    if (!st) st = thin_out(&j, most);
    if (!st) st = look(&q, &j, status);
    if (!st) {
        cJSON *o = *result = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "rows", (double)q.labelled);
        describe(&q, cJSON_AddObjectToObject(o, "confidence"), o);
        warn_of_logits(&q);
        while (j.warnings->child) cJSON_AddItemToArray(warnings, cJSON_DetachItemFromArray(j.warnings, 0));
    }
    free_summary(&q);
    close_job(&j);
    return st;
}

rt_status rt_label_summary_report(const rt_label_report *r, cJSON **result)
{
    job j;
    *result = NULL;
    rt_status st = open_job(&j, r);
    if (!st) st = summarize(&j, result);
    close_job(&j);
    return st;
}

/* ---- calibrate ---- */

static const double least_scale = 1e-3, most_scale = 1e3;      /* of 1 / T */

/* Sums over rows at one scale b = 1 / T. */
typedef struct {
    job *j;
    double scale, nll, slope, curve;                 /* the loss, its first and second derivative by b */
    uint64_t rows, right, in[RT_ECE_BINS], hit[RT_ECE_BINS];
    double confident[RT_ECE_BINS];
} fit;

static rt_status add_losses(void *arg, const rt_label_batch *rows)
{
    fit *q = arg;
    job *j = q->j;
    int k = j->head->size;
    RT_TRY(rt_targets_read(j->y, rows->row, rows->n, j->truth));
    for (int i = 0; i < rows->n; i++) {
        const float *v = rows->z + (size_t)i * rows->width + j->head->at;
        double sum = 0, first = 0, second = 0;
        int best = 0, y = j->truth[i];
        if (y == RT_NO_LABEL || rows->status[i] == RT_LABEL_BY_HAND) continue;      /* not the teacher's */
        for (int c = 1; c < k; c++) if (v[c] > v[best]) best = c;
        for (int c = 0; c < k; c++) {
            double d = (double)v[c] - (double)v[best], e = exp(q->scale * d);
            sum += e;
            first += e * d;
            second += e * d * d;
        }
        double of_y = (double)v[y] - (double)v[best], mean = first / sum, confidence = 1 / sum;
        q->nll += log(sum) - q->scale * of_y;
        q->slope += mean - of_y;
        q->curve += second / sum - mean * mean;
        int b = (int)ceil(confidence * RT_ECE_BINS) - 1;
        b = b < 0 ? 0 : b >= RT_ECE_BINS ? RT_ECE_BINS - 1 : b;
        q->rows++;
        q->right += best == y;
        q->in[b]++;
        q->hit[b] += best == y;
        q->confident[b] += confidence;
    }
    return RT_OK;
}

static rt_status measure(job *j, double scale, fit *q)
{
    *q = (fit){.j = j, .scale = scale};
    RT_TRY(rt_label_scan(j->l, j->r->store, j->head, &j->rows, NULL, add_losses, q));
    return q->rows ? RT_OK : rt_fail(RT_NOTHING, "%s: no labelled row has a true class in '%s' of %s", j->r->store,
                                     rt_targets_set(j->y), rt_targets_path(j->y));
}

static double ece(const fit *q)
{
    double e = 0;
    for (int b = 0; b < RT_ECE_BINS; b++) e += fabs((double)q->hit[b] - q->confident[b]);
    return e / (double)q->rows;
}

/* Newton's steps within a bracket that the slope's sign narrows. */
static rt_status find_scale(job *j, const fit *at_one, fit *best)
{
    double low = least_scale, high = most_scale;
    *best = *at_one;
    for (int i = 0; i < 200; i++) {
        double b = best->scale;
        if (best->slope > 0) high = b;
        else low = b;
        double next = best->curve > 0 ? b - best->slope / best->curve : 0;
        if (!(next > low && next < high)) next = sqrt(low * high);
        if (best->slope == 0 || fabs(next - b) <= 1e-9 * b) break;
        RT_TRY(measure(j, next, best));
    }
    return RT_OK;
}

static rt_status count_seen(job *j, uint64_t *seen)
{
    const cJSON *manifest = rt_labels_manifest(j->l);
    const char *data[RT_SOURCE_PARTS + 1] = {NULL};
    cJSON *list = cJSON_CreateArray();
    for (int p = 0; p < rt_source_parts(j->x); p++) data[p] = j->part[p].hex;
    rt_status st = rt_seen_join(list, manifest, "labels", "");
    if (!st) st = rt_seen_count(list, data, rt_source_rows(j->x), &j->rows, NULL, j->r->store, seen);
    if (!st && *seen)
        warn(j,
             "the teacher has seen %" PRIu64 " of these %" PRIu64 " rows in training: the temperature is of rows that "
             "it knows; give --rows that it does not",
             *seen, j->rows.count);
    else if (!st && rt_seen_unknown(list))
        warn(j, "the store does not say what the teacher was trained on; whether it knows these rows is not known");
    cJSON_Delete(list);
    return st;
}

static rt_status calibrate(job *j, cJSON **result)
{
    fit one, best;
    uint64_t seen = 0;
    int top = rt_labels_info(j->l)->topk;
    if (rt_labels_info(j->l)->hard)
        return rt_fail(RT_USAGE, "%s: keeps hard labels and no labels/logits, without which there is no temperature to "
                       "find; label again without labels.keep=hard", j->r->store);
    RT_TRY(count_seen(j, &seen));
    RT_TRY(measure(j, 1, &one));
    RT_TRY(find_scale(j, &one, &best));
    if (one.right == one.rows || best.scale < 1.001 * least_scale || best.scale > 0.999 * most_scale)
        warn(j, "the loss has no minimum between temperatures of 0.001 and 1000: %" PRIu64 " of %" PRIu64 " rows are "
             "right", one.right, one.rows);
    if (top && top < j->head->size)
        warn(j, "the store keeps the top %d of %d logits: the others stand with equal parts of what is left", top,
             j->head->size);
    double n = (double)one.rows;
    cJSON *r = *result = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "labels", j->r->store);
    cJSON_AddStringToObject(r, "head", j->head->name);
    cJSON_AddNumberToObject(r, "rows", n);
    cJSON_AddNumberToObject(r, "seen_by_teacher", (double)seen);
    cJSON_AddNumberToObject(r, "accuracy", (double)one.right / n);
    cJSON_AddNumberToObject(r, "temperature", 1 / best.scale);
    cJSON_AddNumberToObject(r, "nll_before", one.nll / n);
    cJSON_AddNumberToObject(r, "nll_after", best.nll / n);
    cJSON_AddNumberToObject(r, "ece_before", ece(&one));
    cJSON_AddNumberToObject(r, "ece_after", ece(&best));
    cJSON_AddNumberToObject(r, "bins", RT_ECE_BINS);
    add_warnings(j, r);
    return RT_OK;
}

rt_status rt_label_calibrate_report(const rt_label_report *r, cJSON **result)
{
    job j;
    *result = NULL;
    if (!r->data) return rt_fail(RT_USAGE, "labels calibrate: --data DATA.h5 with true classes is required");
    rt_status st = open_job(&j, r);
    if (!st) st = calibrate(&j, result);
    close_job(&j);
    return st;
}
