#include "experiments/jobs/near_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/near.h"
#include "engine/rng.h"
#include "engine/text.h"
#include "experiments/eval/eval_data.h"
#include "experiments/features.h"
#include "experiments/mask_file.h"
#include "experiments/row_energy.h"

enum { LABELS, DUPLICATES, OUTLIERS };
enum { EUCLID, COSINE };
enum { DISTANCE, ENERGY };
enum { SAMPLE = 1000, CHECKED = 256, WORST = 10, FILES = RT_SOURCE_PARTS + 8 };

static const double of_median = 0.13;                  /* cleanlab 2.9, Datalab's near_duplicate */
static const uint64_t room = (uint64_t)16 << 30;

typedef struct {
    int find, metric, by, k, tables, all, has_within;
    const char *source, *set, *from, *head, *model, *layer;        /* NULL: not given */
    char features[1100], features_set[200], against[1100], against_set[200];       /* file "": not given */
    rt_x_where where;
    double within, share, recall;
    uint64_t exact, seed;
} settings;

/* "FILE.h5[:SET]" of a key, as long as FILE.h5:SET is no file. */
static void read_place(rt_cfg *c, const char *key, char *path, size_t size, char set[200])
{
    int whole = 0;
    *path = 0;
    if (!rt_cfg_has(c, key)) return;
    const char *said = rt_cfg_string(c, key, ""), *colon = strrchr(said, ':');
    if (c->status) return;
    if (!*said) {
        rt_cfg_fail(c, key, "FILE.h5 or FILE.h5:SET is expected");
        return;
    }
    c->status = rt_file_there(said, &whole);
    size_t n = colon && colon[1] && !whole ? (size_t)(colon - said) : strlen(said);
    if (n >= size || strlen(said + n) > 199) rt_cfg_fail(c, key, "the path is too long");
    snprintf(path, size, "%.*s", (int)n, said);
    snprintf(set, 200, "%s", said[n] ? said + n + 1 : "x");
}

static void read_outliers(rt_cfg *c, settings *s)
{
    static const char *const ways[] = {"distance", "energy", NULL};
    s->by = rt_cfg_choice(c, "by", ways, DISTANCE);
    s->share = rt_cfg_number(c, "share", 0.01, 0, 1);
    if (s->by == DISTANCE) {
        s->k = rt_cfg_int(c, "k", 10, 1, RT_NEAR_MOST);
        s->tables = rt_cfg_int(c, "tables", 32, 1, RT_NEAR_TABLES);
        rt_cfg_refuse(c, "from", "belongs to by=energy; distances are of data, features or a model");
        rt_cfg_refuse(c, "head", "belongs to by=energy");
        return;
    }
    static const char *const others[] = {"k", "tables", "features", "model", "layer", "metric", "exact", "seed"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        rt_cfg_refuse(c, others[i], "does nothing with by=energy, which is of logits");
    s->from = rt_cfg_file(c, "from", NULL);
    s->head = rt_cfg_string(c, "head", "");
}

static void read_duplicates(rt_cfg *c, settings *s)
{
    s->has_within = rt_cfg_has(c, "within");
    if (s->has_within) s->within = rt_cfg_number(c, "within", 0, 0, 1e30);
    s->recall = rt_cfg_number(c, "recall", 0.99, 0, 1);
    read_place(c, "against", s->against, sizeof s->against, s->against_set);
    s->k = 1;
}

static rt_status read_settings(cJSON *config, settings *s)
{
    static const char *const finds[] = {"labels", "duplicates", "outliers", NULL};
    static const char *const metrics[] = {"euclid", "cosine", NULL};
    rt_cfg c = rt_cfg_begin(config, "");
    *s = (settings){0};
    s->find = rt_cfg_choice(&c, "find", finds, LABELS);
    if (s->find == OUTLIERS) read_outliers(&c, s);
    else read_duplicates(&c, s);
    if (s->by == DISTANCE) {
        s->metric = rt_cfg_choice(&c, "metric", metrics, EUCLID);
        s->exact = (uint64_t)rt_cfg_int(&c, "exact", 200000, 0, 1 << 30);
        s->seed = rt_cfg_u64(&c, "seed", 1);
        read_place(&c, "features", s->features, sizeof s->features, s->features_set);
        s->model = rt_cfg_has(&c, "model") ? rt_cfg_file(&c, "model", "") : NULL;
        s->layer = s->model ? rt_cfg_string(&c, "layer", "") : "";
        if (!s->model) rt_cfg_refuse(&c, "layer", "belongs to model");
        if (s->model && *s->features) rt_cfg_fail(&c, "model", "stands beside features; give one of them");
    }
    s->all = s->find == OUTLIERS && rt_cfg_bool(&c, "all", 0);
    rt_cfg d = rt_cfg_object(&c, "data");
    RT_TRY(d.status);
    s->source = rt_cfg_has(&d, "source") ? rt_cfg_file(&d, "source", "") : NULL;
    if (s->source) rt_x_where_read(&d, s->source, &s->where);
    rt_cfg_join(&c, &d);
    if (!c.status && s->by == DISTANCE && !*s->features && !s->source)
        rt_cfg_fail(&c, "data.source", "the rows are required: --data DATA.h5, or features=FILE.h5:SET");
    return rt_cfg_end(&c);
}

rt_status rt_near_check(cJSON *config)
{
    settings s;
    return read_settings(config, &s);
}

/* ---- what is found ---- */

typedef struct {
    const settings *s;
    rt_features x, o;                  /* o: of the other split */
    uint64_t rows, found;
    double *score;                     /* (rows) of outliers */
    rt_near near;
    double within;
    double recall, ratio;              /* of the hashed way, measured: NAN else */
    const char *way;
    cJSON *notes;
} finding;

static double distance_of(const finding *f, double square)
{
    return f->s->metric == COSINE ? square / 2 : sqrt(square);
}
/* Euclid's distance of what is said of the metric. */
static double reach_of(const finding *f, double distance)
{ return f->s->metric == COSINE ? sqrt(2 * distance) : distance; }

static rt_status read_rows(finding *f, rt_features *to, int other, rt_device *device, const rt_progress *progress)
{
    const settings *s = f->s;
    const char *file = other ? s->against : *s->features ? s->features : s->source;
    const char *set = other ? s->against_set : *s->features ? s->features_set : s->where.set ? s->where.set : "x";
    rt_status st;
    if (s->model) {
        rt_x_where there = s->where;
        if (other) there = (rt_x_where){.source = file, .set = set, .given = 1};
        st = rt_features_ask(to, s->model, s->layer, &there, room, device, progress);
    } else if (!other && !*s->features && s->where.parts)
        st = rt_fail(RT_USAGE, "data.x: rows of several data sets are compared by a layer of their model (model=...)");
    else st = rt_features_read(to, file, set, room, progress);
    if (!st && s->metric == COSINE) rt_features_normalize(to);
    return st;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void draw_rows(const finding *f, uint64_t *row, int n)
{
    for (int i = 0; i < n; i++)
        row[i] = rt_permute((uint64_t)i, f->rows, f->s->seed, RT_RNG_NEAR, 0, UINT32_MAX);
}

/* What counts as a copy where nobody says it. */
static rt_status find_within(finding *f, const rt_near_spec *spec)
{
    uint64_t row[SAMPLE];
    double nearest[SAMPLE];
    int n = f->rows < SAMPLE ? (int)f->rows : SAMPLE, there = 0;
    rt_near some;
    rt_near_spec one = *spec;
    one.within = INFINITY;
    one.lower = 0;
    if (f->s->has_within) {
        f->within = f->s->within;
        return RT_OK;
    }
    draw_rows(f, row, n);
    rt_status st = rt_near_some(&some, &one, row, n);
    for (int i = 0; i < n && !st; i++)
        if (some.row[i] != RT_NEAR_NONE) nearest[there++] = distance_of(f, some.square[i]);
    if (there) {
        qsort(nearest, (size_t)there, sizeof *nearest, by_value);
        f->within = of_median * nearest[there / 2];
    }
    rt_near_free(&some);
    return st;
}

/* Of some rows, how many of their nearest the hashed way has found. */
static rt_status check_found(finding *f, const rt_near_spec *spec)
{
    uint64_t row[CHECKED], hits = 0, all = 0;
    int n = f->rows < CHECKED ? (int)f->rows : CHECKED, k = spec->k;
    double theirs = 0, ours = 0;
    rt_near some;
    draw_rows(f, row, n);
    rt_status st = rt_near_some(&some, spec, row, n);
    for (int i = 0; i < n && !st; i++)
        for (int a = 0; a < k; a++) {
            const uint32_t *mine = f->near.row + row[i] * (uint64_t)k;
            uint32_t want = some.row[i * k + a];
            if (want == RT_NEAR_NONE) continue;
            all++;
            for (int b = 0; b < k; b++) hits += mine[b] == want;
            theirs += distance_of(f, some.square[i * k + a]);
            ours += mine[a] == RT_NEAR_NONE ? 0 : distance_of(f, f->near.square[row[i] * (uint64_t)k + (uint64_t)a]);
        }
    if (all) f->recall = (double)hits / (double)all;
    if (theirs > 0) f->ratio = ours / theirs;
    rt_near_free(&some);
    return st;
}

static rt_status find_near(finding *f, rt_device *device, const rt_progress *progress)
{
    const settings *s = f->s;
    int other = *s->against != 0, copies = s->find == DUPLICATES;
    RT_TRY(read_rows(f, &f->x, 0, device, progress));
    if (other) RT_TRY(read_rows(f, &f->o, 1, device, progress));
    f->rows = f->x.rows;
    if (other && f->o.width != f->x.width)
        return rt_fail(RT_INPUT, "against: %s has %d numbers a row, %s %d", f->o.text, f->o.width, f->x.text,
                       f->x.width);
    if (!copies && (uint64_t)s->k >= f->rows)
        return rt_fail(RT_USAGE, "k: %d neighbours are asked for, and %s has %" PRIu64 " rows", s->k, f->x.text,
                       f->rows);
    uint64_t others = other ? f->o.rows : f->rows;
    rt_near_spec spec = {.x = f->x.x, .o = other ? f->o.x : NULL, .rows = f->rows, .others = others,
                         .width = f->x.width, .k = s->k, .within = INFINITY, .lower = copies && !other,
                         .exact = f->rows <= s->exact && others <= s->exact, .recall = s->recall, .tables = s->tables,
                         .seed = s->seed, .pool = rt_device_pool(device), .progress = progress};
    if (f->rows + others >= UINT32_MAX)
        return rt_fail(RT_USAGE, "%s: %" PRIu64 " rows are more than can be compared", f->x.text, f->rows + others);
    if (copies) {
        RT_TRY(find_within(f, &spec));
        spec.within = reach_of(f, f->within);
    }
    RT_TRY(rt_near_find(&f->near, &spec));
    f->way = spec.exact ? "all pairs" : "hashed";
    if (copies) return RT_OK;
    if (!spec.exact) RT_TRY(check_found(f, &spec));
    f->score = calloc(f->rows, sizeof *f->score);
    if (!f->score) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < f->rows; r++) {
        int n = 0;
        for (; n < s->k && f->near.row[r * (uint64_t)s->k + (uint64_t)n] != RT_NEAR_NONE; n++)
            f->score[r] += distance_of(f, f->near.square[r * (uint64_t)s->k + (uint64_t)n]);
        f->score[r] = n ? f->score[r] / n : INFINITY;
    }
    return RT_OK;
}

/* ---- which rows ---- */

typedef struct { double score; uint64_t row; } ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* u8 (rows) 1: is one; the worst, for the result, into `worst`. */
static rt_status choose(finding *f, unsigned char *is, ranked *worst, int *worsts)
{
    const settings *s = f->s;
    ranked *list = malloc((f->rows + 1) * sizeof *list);
    uint64_t n = 0, most = f->rows;
    if (!list) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < f->rows; r++) {
        int copy = s->find == DUPLICATES && f->near.row[r] != RT_NEAR_NONE;
        if (s->find == OUTLIERS && !isnan(f->score[r])) list[n++] = (ranked){f->score[r], r};
        else if (copy) list[n++] = (ranked){-distance_of(f, f->near.square[r]), r};
    }
    if (s->find == OUTLIERS) {
        most = (uint64_t)floor(s->share * (double)n);
        if (!most && s->share > 0 && n) most = 1;
    }
    qsort(list, n, sizeof *list, by_score);
    f->found = n < most ? n : most;
    for (uint64_t i = 0; i < f->found; i++) is[list[i].row] = 1;
    for (*worsts = 0; *worsts < WORST && (uint64_t)*worsts < f->found; ++*worsts) worst[*worsts] = list[*worsts];
    free(list);
    return RT_OK;
}

/* ---- the files ---- */

static rt_status write_list(const finding *f, const unsigned char *is, rt_output *out)
{
    rt_out_file csv = rt_out_open(out);
    rt_string t = {0};
    rt_put(&t, f->s->find == DUPLICATES ? "row,of,distance\n" : "row,score,outlier\n");
    for (uint64_t r = 0; r < f->rows && !csv.status; r++) {
        if (!is[r] && !(f->s->all && !isnan(f->score[r]))) continue;
        if (f->s->find == DUPLICATES)
            rt_put(&t, "%" PRIu64 ",%" PRIu32 ",%.9g\n", r, f->near.row[r], distance_of(f, f->near.square[r]));
        else rt_put(&t, "%" PRIu64 ",%.9g,%d\n", r, f->score[r], is[r]);
        if (t.n < 1 << 16 || t.failed) continue;
        rt_out_put(&csv, t.p, t.n);
        t.n = 0;
    }
    if (!t.failed) rt_out_put(&csv, t.p, t.n);
    rt_status st = rt_out_close(&csv, t.failed ? rt_fail(RT_RUN, "out of memory") : RT_OK);
    free(t.p);
    return st;
}

static rt_status write_mask(const finding *f, unsigned char *is, rt_output *out)
{
    rt_mask_file m = {0};
    rt_status st = rt_mask_begin(&m, out, f->rows);
    for (uint64_t r = 0; r < f->rows; r++) is[r] = !is[r];
    if (!st) st = rt_mask_put(&m, is, f->rows);
    return rt_mask_end(&m, st);
}

static void tell_way(const finding *f, cJSON *j)
{
    const settings *s = f->s;
    if (!f->way) return;
    cJSON_AddStringToObject(j, "of", f->x.text);
    if (*s->against) cJSON_AddStringToObject(j, "against", f->o.text);
    cJSON_AddStringToObject(j, "metric", s->metric == COSINE ? "cosine" : "euclid");
    cJSON_AddStringToObject(j, "way", f->way);
    if (f->near.tables) cJSON_AddNumberToObject(j, "tables", f->near.tables);
    if (!isnan(f->near.bound)) {
        cJSON_AddNumberToObject(j, "recall_bound", f->near.bound);
        if (f->near.bound < s->recall)
            rt_eval_note(f->notes,
                         "of pairs that far apart no more than %.4f are sure to be found: %d tables are made at "
                         "most; a smaller \"within\" is found better, and exact=%" PRIu64 " compares all pairs.",
                         f->near.bound, RT_NEAR_TABLES, f->rows);
    }
    if (!isnan(f->recall)) {
        cJSON_AddNumberToObject(j, "recall", f->recall);
        cJSON_AddNumberToObject(j, "distance_ratio", f->ratio);
    }
}

static cJSON *describe(const finding *f, const char *csv, const char *mask, const ranked *worst, int worsts)
{
    const settings *s = f->s;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "file", csv);
    if (mask) cJSON_AddStringToObject(j, "mask", mask);
    cJSON_AddStringToObject(j, "find", s->find == DUPLICATES ? "duplicates" : "outliers");
    if (s->find == OUTLIERS) cJSON_AddStringToObject(j, "by", s->by == ENERGY ? "energy" : "distance");
    tell_way(f, j);
    cJSON_AddNumberToObject(j, "rows", (double)f->rows);
    if (s->find == DUPLICATES) cJSON_AddNumberToObject(j, "within", f->within);
    else if (s->by == DISTANCE) cJSON_AddNumberToObject(j, "k", s->k);
    cJSON_AddNumberToObject(j, s->find == DUPLICATES ? "duplicates" : "outliers", (double)f->found);
    cJSON_AddNumberToObject(j, "share", (double)f->found / (double)f->rows);
    cJSON *list = cJSON_AddArrayToObject(j, s->find == DUPLICATES ? "nearest" : "farthest");
    for (int i = 0; i < worsts; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, "row", (double)worst[i].row);
        if (s->find == DUPLICATES) cJSON_AddNumberToObject(one, "of", f->near.row[worst[i].row]);
        cJSON_AddNumberToObject(one, s->find == DUPLICATES ? "distance" : "score",
                                s->find == DUPLICATES ? -worst[i].score : worst[i].score);
        cJSON_AddItemToArray(list, one);
    }
    if (f->notes->child) cJSON_AddItemToObject(j, "notes", cJSON_Duplicate(f->notes, 1));
    return j;
}

/* The mask is of all rows of the data. */
static rt_status check_rows(finding *f)
{
    rt_source *x;
    uint64_t rows;
    if (!f->s->source || (f->s->by == DISTANCE && !*f->s->features)) return RT_OK;
    RT_TRY(rt_x_open(&x, &f->s->where));
    rows = rt_source_rows(x);
    rt_source_close(x);
    if (f->s->by == ENERGY && rows > f->rows) {        /* those behind the last answer have none */
        double *more = realloc(f->score, (rows + 1) * sizeof *more);
        if (!more) return rt_fail(RT_RUN, "out of memory");
        for (f->score = more; f->rows < rows; f->rows++) f->score[f->rows] = NAN;
    }
    if (rows == f->rows) return RT_OK;
    return rt_fail(RT_INPUT, "%s: has %" PRIu64 " rows, %s has %" PRIu64, f->s->source, rows,
                   f->s->by == ENERGY ? f->s->from : f->s->features, f->rows);
}

static rt_status find_into(finding *f, rt_output *o, rt_output *m, rt_device *device, const rt_progress *progress,
                           cJSON **result)
{
    const settings *s = f->s;
    ranked worst[WORST];
    int worsts;
    if (s->by == ENERGY) RT_TRY(rt_row_energies(&f->score, &f->rows, s->from, s->head));
    else RT_TRY(find_near(f, device, progress));
    RT_TRY(check_rows(f));
    unsigned char *is = calloc(f->rows + 1, 1);
    rt_status st = is ? choose(f, is, worst, &worsts) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = write_list(f, is, o);
    if (!st && m) st = write_mask(f, is, m);
    if (!st) *result = describe(f, rt_output_path(o), m ? rt_output_path(m) : NULL, worst, worsts);
    free(is);
    return st;
}

rt_status rt_near_clean(cJSON *config, const rt_target *out, const rt_target *mask, rt_device *device,
                        const rt_progress *progress, cJSON **result)
{
    settings s;
    rt_output *o = NULL, *m = NULL;
    const char *inputs[FILES + 8];
    int n = 0;
    RT_TRY(read_settings(config, &s));
    RT_TRY(rt_mask_check(mask->path));
    const char *const named[] = {s.source, s.from, s.model, s.features, s.against};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) if (named[i]) inputs[n++] = named[i];
    if (s.source) n = rt_x_where_files(&s.where, inputs, n);
    inputs[n] = NULL;
    finding f = {.s = &s, .recall = NAN, .ratio = NAN, .near = {.bound = NAN}, .notes = cJSON_CreateArray()};
    rt_status st = rt_output_take(&o, out, inputs);
    if (!st) st = rt_output_may_replace(o, RT_OUTPUT_EXPORT);
    if (!st && mask->path) st = rt_output_take(&m, mask, inputs);
    if (!st && m) st = rt_output_may_replace(m, RT_OUTPUT_EXPORT);
    if (!st) st = find_into(&f, o, m, device, progress, result);
    rt_near_free(&f.near);
    rt_features_free(&f.x);
    rt_features_free(&f.o);
    free(f.score);
    cJSON_Delete(f.notes);
    rt_output_end(o);
    rt_output_end(m);
    return st;
}
