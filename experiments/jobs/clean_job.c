#include "experiments/jobs/clean_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/text.h"
#include "experiments/clean/clean_folds.h"
#include "experiments/clean/clean_parts.h"
#include "experiments/eval/eval_data.h"
#include "experiments/mask_file.h"
#include "experiments/jobs/near_job.h"

enum { MEMORY = 32 << 20, WORST = 10, MATRIX = 100, GAP = 1 << 16 };

typedef struct {
    const char *from[RT_CLEAN_PARTS];
    rt_clean_input in;                 /* what is true of all parts */
    int count, method, block, all;
    rt_clean_folds folds;
    rt_clean_parts of;                 /* what is open */
    cJSON *notes;
} settings;

typedef struct { uint64_t row; rt_quality_row of; } issue;

/* Where rows go. */
typedef struct {
    settings *s;
    rt_out_file csv;
    rt_mask_file mask;                 /* path NULL: none */
    rt_string text;
    unsigned char keep[GAP];
    issue worst[WORST];                /* by rising quality */
    int worsts;
} sink;

/* What the training says of the data, where nothing else is said of it. */
static void data_of_training(cJSON *data, const cJSON *train)
{
    static const char *const key[] = {"source", "x", "y", "names"};
    const cJSON *of = cJSON_GetObjectItemCaseSensitive(train, "data");
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(of, key[i]);
        if (v && !cJSON_HasObjectItem(data, key[i])) cJSON_AddItemToObject(data, key[i], cJSON_Duplicate(v, 1));
    }
}

static rt_status read_settings(cJSON *config, settings *s, const char *out)
{
    rt_cfg c = rt_cfg_begin(config, "");
    rt_clean_input *in = &s->in;
    *s = (settings){0};
    static const char *const finds[] = {"labels", "duplicates", "outliers", NULL};
    rt_cfg_choice(&c, "find", finds, 0);
    rt_clean_folds_read(&c, &s->folds, out);
    if (!s->folds.folds) {
        s->count = rt_cfg_strings(&c, "from", s->from, RT_CLEAN_PARTS);
        if (!s->count)
            rt_cfg_fail(&c, "from", "predictions, a label store or a file of probabilities are required, or folds");
    } else rt_cfg_refuse(&c, "from", "stands beside folds, which make their own answers; give one of them");
    in->set = rt_cfg_string(&c, "set", "");
    in->wanted = rt_cfg_string(&c, "head", "");
    s->method = rt_cfg_choice(&c, "method", rt_quality_methods, RT_LOW_SELF_CONFIDENCE);
    s->all = rt_cfg_bool(&c, "all", 0);
    s->block = rt_cfg_int(&c, "block", RT_QUALITY_BLOCK, 1, 1 << 20);
    if (*in->set && *in->wanted) rt_cfg_fail(&c, "head", "belongs to predictions and label stores");
    if (*in->set && s->folds.folds) rt_cfg_fail(&c, "set", "belongs to files of other programs");
    rt_cfg d = rt_cfg_object(&c, "data");
    RT_TRY(d.status);
    data_of_training(d.object, s->folds.train);
    rt_clean_data_read(&d, in);
    rt_cfg_join(&c, &d);
    RT_TRY(rt_cfg_end(&c));
    return rt_clean_folds_check(&s->folds, in);
}

/* What is sought: labels that are wrong, unless something else is said. */
static int finds_near(const cJSON *config)
{
    const char *find = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "find"));
    return find && strcmp(find, "labels") != 0;
}

rt_status rt_clean_check(cJSON *config)
{
    settings s;
    if (finds_near(config)) return rt_near_check(config);
    rt_status st = read_settings(config, &s, NULL);
    rt_clean_folds_free(&s.folds);
    return st;
}

/* ---- rows ---- */

static void put_class(rt_string *t, const rt_head *h, int32_t k)
{
    rt_put(t, ",%" PRId32, k);
    if (!h->names.name) return;
    rt_put(t, ",");
    rt_put_csv(t, h->names.name[k]);
}

/* Nine decimals, or nine digits of what they would not show. */
static void put_score(rt_string *t, double v)
{
    char text[13] = ",0.";
    if (!(v >= 1e-3 && v < 1)) {
        rt_put(t, ",%.9g", v);
        return;
    }
    uint32_t n = (uint32_t)(v * 1e9 + 0.5);
    if (n > 999999999) n = 999999999;
    for (int i = 11; i > 2; i--, n /= 10) text[i] = (char)('0' + n % 10);
    rt_put_bytes(t, text, 12);
}

static void put_line(sink *k, uint64_t row, const rt_quality_row *r)
{
    const rt_head *h = k->s->of.head;
    rt_put(&k->text, "%" PRIu64, row);
    put_class(&k->text, h, r->given);
    put_class(&k->text, h, r->suggested);
    put_score(&k->text, r->self_confidence);
    put_score(&k->text, r->normalized_margin);
    put_score(&k->text, r->quality);
    rt_put(&k->text, ",%d\n", r->issue);
}

static void put_title(sink *k)
{
    int names = k->s->of.head->names.name != NULL;
    rt_put(&k->text, "row,given,%ssuggested,%sself_confidence,normalized_margin,quality,issue\n",
           names ? "given_name," : "", names ? "suggested_name," : "");
}

static rt_status flush(sink *k)
{
    if (k->text.failed) return rt_fail(RT_RUN, "out of memory");
    rt_out_put(&k->csv, k->text.p, k->text.n);
    k->text.n = 0;
    return k->csv.status;
}

static void note_worst(sink *k, uint64_t row, const rt_quality_row *r)
{
    int i = k->worsts;
    if (i == WORST && !(r->quality < k->worst[WORST - 1].of.quality)) return;
    if (i == WORST) i--;
    else k->worsts++;
    for (; i && r->quality < k->worst[i - 1].of.quality; i--) k->worst[i] = k->worst[i - 1];
    k->worst[i] = (issue){row, *r};
}

static rt_status put_rows(void *to, uint64_t first, int n, const rt_quality_row *r)
{
    sink *k = to;
    const uint64_t *at = k->s->of.at;
    (void)first;
    for (int i = 0; i < n; i++) {
        if (r[i].issue) note_worst(k, at[i], &r[i]);
        if (r[i].issue || (k->s->all && r[i].given >= 0)) put_line(k, at[i], &r[i]);
    }
    RT_TRY(flush(k));
    for (int i = 0, run; k->mask.path && i < n; i += run) {
        RT_TRY(rt_mask_keep(&k->mask, at[i]));
        for (run = 0; run < GAP && i + run < n && at[i + run] == at[i] + (uint64_t)run; run++)
            k->keep[run] = !r[i + run].issue;
        RT_TRY(rt_mask_put(&k->mask, k->keep, (uint64_t)run));
    }
    return RT_OK;
}

/* ---- the result ---- */

static cJSON *row_json(const rt_head *h, const issue *w)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "row", (double)w->row);
    if (h->names.name) {
        cJSON_AddStringToObject(j, "given", h->names.name[w->of.given]);
        cJSON_AddStringToObject(j, "suggested", h->names.name[w->of.suggested]);
    } else {
        cJSON_AddNumberToObject(j, "given", w->of.given);
        cJSON_AddNumberToObject(j, "suggested", w->of.suggested);
    }
    cJSON_AddNumberToObject(j, "self_confidence", w->of.self_confidence);
    cJSON_AddNumberToObject(j, "quality", w->of.quality);
    return j;
}

/* Per class: rows, issues, the share of its labels that C calls another class, and of the class that is labelled so. */
static cJSON *classes_json(const rt_quality *q, const rt_head *h)
{
    size_t k = (size_t)q->classes;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < k; i++) {
        double row = 0, column = 0, own = (double)q->joint[i * k + i];
        for (size_t j = 0; j < k; j++) {
            row += (double)q->joint[i * k + j];
            column += (double)q->joint[j * k + i];
        }
        cJSON *c = cJSON_CreateObject();
        if (h->names.name) cJSON_AddStringToObject(c, "class", h->names.name[i]);
        else cJSON_AddNumberToObject(c, "class", (double)i);
        cJSON_AddNumberToObject(c, "rows", (double)q->given[i]);
        cJSON_AddNumberToObject(c, "issues", (double)q->flagged[i]);
        if (q->given[i]) cJSON_AddNumberToObject(c, "threshold", q->threshold[i]);
        if (row > 0) cJSON_AddNumberToObject(c, "labels_wrong", 1 - own / row);
        if (column > 0) cJSON_AddNumberToObject(c, "rows_labelled_otherwise", 1 - own / column);
        cJSON_AddItemToArray(list, c);
    }
    return list;
}

static cJSON *matrix_json(const int64_t *m, int k)
{
    cJSON *rows = cJSON_CreateArray();
    for (int i = 0; i < k; i++) {
        cJSON *row = cJSON_CreateArray();
        const int64_t *from = m + (size_t)i * (size_t)k;
        for (int j = 0; j < k; j++) cJSON_AddItemToArray(row, cJSON_CreateNumber((double)from[j]));
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

static void note_seen(cJSON *notes, const rt_clean_input *in)
{
    if (in->seen > 0)
        rt_eval_note(notes,
                     "%s comes from a model that was trained or chosen on %.0f of these rows, or whose ancestors were: "
                     "it believes their labels, wrong ones too. Take answers of models that did not see the rows.",
                     in->path, in->seen);
    if (isnan(in->seen) || in->unknown)
        rt_eval_note(notes, "%s does not say all of what its model was trained on; answers to rows that it saw hide "
                     "wrong labels.", in->path);
}

static void tell_folds(const settings *s, cJSON *j)
{
    cJSON *f = cJSON_AddObjectToObject(j, "folds");
    cJSON_AddNumberToObject(f, "folds", s->folds.folds);
    cJSON_AddStringToObject(f, "drawn", "by seed, whatever the labels");
    cJSON_AddItemToObject(f, "seed", cJSON_CreateNumber((double)s->folds.seed));
    cJSON_AddStringToObject(f, "folder", s->folds.folder);
    if (s->folds.train)
        cJSON_AddItemToObject(f, "model",
                              cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(s->folds.train, "model"), 1));
}

static cJSON *describe(const sink *k, const rt_quality *q, const char *csv)
{
    const settings *s = k->s;
    cJSON *j = cJSON_CreateObject();
    double seen = 0;
    const double wrong = (double)q->issues / (double)q->labelled;
    cJSON_AddStringToObject(j, "file", csv);
    if (k->mask.path) cJSON_AddStringToObject(j, "mask", k->mask.path);
    cJSON_AddStringToObject(j, "method", rt_quality_methods[s->method]);
    cJSON_AddNumberToObject(j, "rows", (double)q->rows);
    cJSON_AddNumberToObject(j, "labelled", (double)q->labelled);
    cJSON_AddNumberToObject(j, "issues", (double)q->issues);
    cJSON_AddNumberToObject(j, "share", wrong);
    cJSON_AddNumberToObject(j, "passes", q->passes);
    if (s->folds.folds) tell_folds(s, j);
    for (int i = 0; i < s->of.parts; i++) {
        seen += s->of.part[i].seen;                    /* NAN, too */
        note_seen(s->notes, &s->of.part[i]);
    }
    if (isnan(seen)) cJSON_AddNullToObject(j, "rows_seen_in_training");
    else cJSON_AddNumberToObject(j, "rows_seen_in_training", seen);
    cJSON_AddItemToObject(j, "classes", classes_json(q, s->of.head));
    if (q->classes <= MATRIX) {
        cJSON_AddItemToObject(j, "confident_joint", matrix_json(q->confident, q->classes));
        cJSON_AddItemToObject(j, "joint", matrix_json(q->joint, q->classes));
    }
    cJSON *worst = cJSON_AddArrayToObject(j, "worst");
    for (int i = 0; i < k->worsts; i++) cJSON_AddItemToArray(worst, row_json(s->of.head, &k->worst[i]));
    if (s->notes->child) cJSON_AddItemToObject(j, "notes", cJSON_Duplicate(s->notes, 1));
    return j;
}

/* ---- all of it ---- */

static rt_status find(sink *k, rt_output *out, rt_output *mask, const rt_progress *progress, cJSON **result)
{
    settings *s = k->s;
    rt_quality *q = NULL;
    rt_quality_input in = {s->of.rows, s->of.head->size, rt_clean_parts_read, &s->of};
    rt_quality_job job = {(rt_quality_method)s->method, s->block, MEMORY, put_rows, k, progress};
    k->csv = rt_out_open(out);
    put_title(k);
    rt_status st = mask ? rt_mask_begin(&k->mask, mask, s->of.source_rows) : RT_OK;
    if (!st) st = rt_quality_find(&q, &in, &job);
    if (!st) st = flush(k);
    if (mask) st = rt_mask_end(&k->mask, st);
    st = rt_out_close(&k->csv, st);
    if (!st) *result = describe(k, q, rt_output_path(out));
    rt_quality_free(q);
    free(k->text.p);
    return st;
}

/* What judges the labels: the files that are named, or those of the folds, which are made first. */
static rt_status open_answers(settings *s, rt_device *device, const rt_progress *progress)
{
    if (s->folds.folds) {
        RT_TRY(rt_clean_folds_run(&s->folds, &s->in, device, progress, s->notes));
        for (; s->count < s->folds.folds; s->count++) s->from[s->count] = s->folds.answers[s->count];
    }
    return rt_clean_parts_open(&s->of, s->from, s->count, &s->in, s->block, device, progress);
}

static rt_status clean_into(settings *s, rt_output *o, rt_output *m, rt_device *device, const rt_progress *progress,
                            cJSON **result)
{
    sink *k = calloc(1, sizeof *k);
    if (!k) return rt_fail(RT_RUN, "out of memory");
    k->s = s;
    rt_status st = open_answers(s, device, progress);
    if (!st && m && !s->of.source_rows)
        st = rt_fail(RT_USAGE, "--mask: how many rows the data has is not known; name it with --data DATA.h5");
    if (!st) st = find(k, o, m, progress, result);
    rt_clean_parts_close(&s->of);
    free(k);
    return st;
}

static rt_status clean_labels(cJSON *config, const rt_target *out, const rt_target *mask, rt_device *device,
                              const rt_progress *progress, cJSON **result)
{
    settings s;
    rt_output *o = NULL, *m = NULL;
    const char *inputs[RT_CLEAN_PARTS + RT_SOURCE_PARTS + 7];
    int n = 0;
    rt_status st = read_settings(config, &s, out->path);
    if (!st) st = rt_mask_check(mask->path);
    s.notes = cJSON_CreateArray();
    for (int i = 0; i < s.count && !st; i++) inputs[n++] = s.from[i];
    if (!st && s.in.source) inputs[n++] = s.in.source;
    if (!st && s.in.y.source) inputs[n++] = s.in.y.source;
    if (!st && s.in.source) n = rt_x_where_files(&s.in.where, inputs, n);
    inputs[n] = NULL;
    if (!st) st = rt_output_take(&o, out, inputs);
    if (!st) st = rt_output_may_replace(o, RT_OUTPUT_EXPORT);
    if (!st && mask->path) st = rt_output_take(&m, mask, inputs);
    if (!st && m) st = rt_output_may_replace(m, RT_OUTPUT_EXPORT);
    if (!st) st = clean_into(&s, o, m, device, progress, result);
    rt_clean_folds_free(&s.folds);
    cJSON_Delete(s.notes);
    rt_output_end(o);
    rt_output_end(m);
    return st;
}

rt_status rt_clean(cJSON *config, const rt_target *out, const rt_target *mask, rt_device *device,
                   const rt_progress *progress, cJSON **result)
{
    *result = NULL;
    return (finds_near(config) ? rt_near_clean : clean_labels)(config, out, mask, device, progress, result);
}
