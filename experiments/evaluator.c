#include "experiments/evaluator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "data/files.h"
#include "data/identity.h"
#include "data/rows.h"
#include "data/stream.h"
#include "engine/clock.h"
#include "engine/version.h"
#include "experiments/statistics.h"
#include "student/predictor.h"

enum { MAX_MODELS = 32, MAX_TEACHERS = 16, BATCH = 256, SIZES = 4, MAX_CONFUSION = 256 };
static const int batch_size[SIZES] = {1, 16, 64, 256};

typedef struct {
    char name[96];
    const char *path[MAX_TEACHERS];
    int paths;
    rt_model **model;
    rt_predictor *predictor;
    int *answer;                       /* (rows) top-1 */
    float *probability;                /* (rows, K) softmax, for KL against the teacher */
    uint64_t right, right5, *confusion, agree, seen;   /* seen: rows that it was trained or chosen on */
    double nll, kl;
    rt_ece_bin bin[RT_ECE_BINS];
    double *latency;                   /* seconds, batch 1, one thread */
    double cold, rate[SIZES];
    rt_predictor *one, *many[SIZES];
} entry;

typedef struct {
    const char *source, *x, *y;
    rt_rows_config rows;
    rt_check check;
    rt_match match;
    int samples, rounds, speed;
    double seconds;
} settings;

typedef struct {
    settings set;
    entry e[MAX_MODELS];
    int count, classes;
    rt_source *x;
    rt_targets *y;
    rt_rows rows;
    cJSON *notes;                      /* what was assumed or left out */
    rt_digest digest;                  /* of the data */
    int32_t *truth;
    rt_pool *pool, *single;
    const rt_progress *progress;
} evaluation;

/* ---- configuration ---- */

static void add_paths(rt_cfg *c, const char *key, cJSON *v, entry *e)
{
    for (cJSON *p = cJSON_IsArray(v) ? v->child : v; p; p = cJSON_IsArray(v) ? p->next : NULL) {
        if (!cJSON_IsString(p) || e->paths == MAX_TEACHERS) {
            rt_cfg_fail(c, key, "a model file, or a list of up to 16 for an ensemble, is expected");
            return;
        }
        e->path[e->paths++] = p->valuestring;
    }
}

/* "runs/small/model.h5" is called "small", "big.h5" "big". */
static void name_from_path(entry *e)
{
    char text[1024];
    snprintf(text, sizeof text, "%s", e->path[0]);
    char *slash = strrchr(text, '/'), *base = slash ? slash + 1 : text;
    if (strcmp(base, "model.h5") == 0 && slash) {
        *slash = 0;
        slash = strrchr(text, '/');
        base = slash ? slash + 1 : text;
    }
    char *dot = strrchr(base, '.');
    if (dot && dot != base) *dot = 0;
    snprintf(e->name, sizeof e->name, "%.90s%s", base, e->paths > 1 ? "..." : "");
}

static rt_status read_settings(cJSON *config, evaluation *v)
{
    settings *s = &v->set;
    rt_cfg c = rt_cfg_begin(config, "");
    cJSON *teacher = rt_cfg_any(&c, "teacher"), *students = rt_cfg_any(&c, "students"), *names = rt_cfg_array(&c, "names");
    if (!teacher && !students) rt_cfg_fail(&c, "students", "at least one model (\"teacher\" or \"students\") is required");
    if (teacher) add_paths(&c, "teacher", teacher, &v->e[v->count++]);
    for (cJSON *p = cJSON_IsArray(students) ? students->child : students; p; p = cJSON_IsArray(students) ? p->next : NULL) {
        if (v->count == MAX_MODELS) {
            rt_cfg_fail(&c, "students", "at most 32 models can be compared at once");
            break;
        }
        add_paths(&c, "students", p, &v->e[v->count++]);
    }
    for (int i = 0; i < v->count && !c.status; i++) {
        const char *n = cJSON_GetStringValue(cJSON_GetArrayItem(names, i));
        if (n) snprintf(v->e[i].name, sizeof v->e[i].name, "%s", n);
        else name_from_path(&v->e[i]);
    }
    rt_cfg d = rt_cfg_object(&c, "data");
    s->source = rt_cfg_string(&d, "source", NULL);
    s->x = rt_cfg_string(&d, "x", "x");
    s->y = rt_cfg_string(&d, "y", "y");
    rt_rows_read(&d, &s->rows);
    s->check = rt_check_read(&d);
    s->match = rt_match_read(&d);
    rt_cfg_join(&c, &d);
    rt_cfg e = rt_cfg_object(&c, "eval");
    s->samples = rt_cfg_int(&e, "latency_samples", 2000, 64, 10000000);
    s->seconds = rt_cfg_number(&e, "seconds", 0.5, 0.01, 3600);
    s->rounds = rt_cfg_int(&e, "rounds", 5, 1, 1000);
    s->speed = rt_cfg_bool(&e, "speed", 1);
    rt_cfg_join(&c, &e);
    return rt_cfg_end(&c);
}

rt_status rt_evaluate_check(cJSON *config)
{
    evaluation *v = calloc(1, sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    rt_status st = read_settings(config, v);
    free(v);
    return st;
}

/* ---- quality ---- */

static void score_row(evaluation *v, entry *e, uint64_t i, const float *z)
{
    int k = v->classes, y = v->truth[i], best = 0, above = 0;
    for (int c = 1; c < k; c++) if (z[c] > z[best]) best = c;
    double sum = 0, max = z[best];
    float *p = e->probability + i * (uint64_t)k;
    for (int c = 0; c < k; c++) sum += exp(z[c] - max);
    for (int c = 0; c < k; c++) p[c] = (float)(exp(z[c] - max) / sum);
    for (int c = 0; c < k; c++) above += z[c] > z[y] || (z[c] == z[y] && c < y);
    double confidence = 1 / sum;
    int b = (int)(confidence * RT_ECE_BINS);
    if (b >= RT_ECE_BINS) b = RT_ECE_BINS - 1;
    e->answer[i] = best;
    e->right += best == y;
    e->right5 += above < 5;
    e->nll += log(sum) + max - z[y];
    e->bin[b].count++;
    e->bin[b].confidence += confidence;
    e->bin[b].right += best == y;
    e->confusion[(size_t)y * (size_t)k + (size_t)best]++;
}

static rt_status score(evaluation *v)
{
    rt_stream *stream;
    rt_stream_spec s = {.x = v->x, .y = v->y, .rows = &v->rows, .classes = v->classes, .batch = BATCH, .keep_tail = 1, .prefetch = 2};
    RT_TRY(rt_stream_open(&stream, &s, 0));
    float *z = rt_floats_new((size_t)BATCH * (size_t)v->classes);
    rt_status st = z ? RT_OK : RT_RUN;
    uint64_t done = 0;
    double start = rt_seconds();
    for (uint64_t g = 0; g < rt_stream_steps(stream) && !st; g++) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        for (int i = 0; i < v->count && !st; i++) {
            entry *e = &v->e[i];
            rt_predict_raw(e->predictor, b->x, rt_source_type(v->x), b->rows, z);
            for (int r = 0; r < b->rows && !st; r++) {
                if (b->y[r] == RT_NO_LABEL) {
                    st = rt_fail(RT_INPUT, "%s: row %llu has no label; evaluate rows that have one (data.rows)", v->set.source, (unsigned long long)b->row[r]);
                    break;
                }
                v->truth[done + (uint64_t)r] = b->y[r];
                for (int c = 0; c < v->classes; c++)
                    if (!isfinite(z[r * v->classes + c])) st = rt_fail(RT_RUN, "%s: gives a logit that is not finite for row %llu", e->path[0], (unsigned long long)b->row[r]);
                if (!st) score_row(v, e, done + (uint64_t)r, z + r * v->classes);
            }
        }
        if (!st) done += (uint64_t)b->rows;
        rt_progress_update(v->progress, "evaluate", (double)done, (double)v->rows.count, (double)done / (rt_seconds() - start + 1e-9), "rows", "");
        if (!st && rt_progress_stopped(v->progress)) st = rt_fail(RT_INTERRUPTED, "interrupted");
    }
    free(z);
    rt_stream_close(stream);
    const entry *t = &v->e[0];
    for (int i = 0; i < v->count && !st; i++) {
        entry *e = &v->e[i];
        for (uint64_t r = 0; r < v->rows.count; r++) {
            e->agree += e->answer[r] == t->answer[r];
            const float *q = t->probability + r * (uint64_t)v->classes, *p = e->probability + r * (uint64_t)v->classes;
            for (int c = 0; c < v->classes; c++) if (q[c] > 0) e->kl += q[c] * (log(q[c]) - log(p[c] > 1e-30f ? p[c] : 1e-30f));
        }
    }
    return st;
}

static double macro_f1(const entry *e, int k)
{
    double sum = 0;
    int present = 0;
    for (int c = 0; c < k; c++) {
        uint64_t hit = e->confusion[(size_t)c * (size_t)k + (size_t)c], truth = 0, answered = 0;
        for (int d = 0; d < k; d++) {
            truth += e->confusion[(size_t)c * (size_t)k + (size_t)d];
            answered += e->confusion[(size_t)d * (size_t)k + (size_t)c];
        }
        if (!truth && !answered) continue;
        present++;
        sum += truth + answered ? 2.0 * (double)hit / (double)(truth + answered) : 0;
    }
    return present ? sum / present : 0;
}

/* ---- speed ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static rt_status measure(evaluation *v)
{
    size_t row = rt_source_row_bytes(v->x);
    char *raw = malloc(row * 256 + 64);
    uint64_t rows[256];
    float *z = rt_floats_new((size_t)256 * (size_t)v->classes);
    rt_status st = raw && z ? RT_OK : rt_fail(RT_RUN, "out of memory");
    rt_dtype type = rt_source_type(v->x);
    for (int i = 0; i < 256; i++) rows[i] = rt_rows_at(&v->rows, (uint64_t)i % v->rows.count);
    if (!st) st = rt_source_read(v->x, rows, 256, raw);
    for (int i = 0; i < v->count && !st; i++) {
        entry *e = &v->e[i];
        st = rt_predictor_new(&e->one, e->model, e->paths, v->single, 1, NULL, 0);
        for (int b = 0; b < SIZES && !st; b++) st = rt_predictor_new(&e->many[b], e->model, e->paths, v->pool, batch_size[b], NULL, 0);
        e->latency = malloc((size_t)v->set.samples * sizeof *e->latency);
        if (!st && !e->latency) st = rt_fail(RT_RUN, "out of memory");
    }
    /* Cold: the first call. Warm-up: until a window of calls is within 5 % of the one before, at most 1 s. */
    for (int i = 0; i < v->count && !st; i++) {
        entry *e = &v->e[i];
        double t = rt_seconds(), start = t, last = 0;
        rt_predict_raw(e->one, raw, type, 1, z);
        e->cold = rt_seconds() - t;
        for (;;) {
            t = rt_seconds();
            for (int k = 0; k < 50; k++) rt_predict_raw(e->one, raw + (size_t)(k % 256) * row, type, 1, z);
            double now = rt_seconds() - t;
            if ((last > 0 && fabs(now - last) < 0.05 * last) || rt_seconds() - start > 1) break;
            last = now;
        }
    }
    int per = (v->set.samples + v->set.rounds - 1) / v->set.rounds, total = v->set.rounds * v->count;
    for (int round = 0, taken = 0; round < v->set.rounds && !st; round++, taken += per)
        for (int i = 0; i < v->count && !st; i++) {
            entry *e = &v->e[i];
            for (int k = taken; k < taken + per && k < v->set.samples; k++) {
                double t = rt_seconds();
                rt_predict_raw(e->one, raw + (size_t)(k % 256) * row, type, 1, z);
                e->latency[k] = rt_seconds() - t;
            }
            for (int b = 0; b < SIZES; b++) {
                double t = rt_seconds(), gone;
                uint64_t n = 0;
                do {
                    rt_predict_raw(e->many[b], raw, type, batch_size[b], z);
                    n += (uint64_t)batch_size[b];
                } while ((gone = rt_seconds() - t) < v->set.seconds / v->set.rounds / SIZES * 2);
                double rate = (double)n / gone;
                if (rate > e->rate[b]) e->rate[b] = rate;
            }
            rt_progress_update(v->progress, "measure", round * v->count + i + 1, total, 1, "runs", e->name);
            if (rt_progress_stopped(v->progress)) st = rt_fail(RT_INTERRUPTED, "interrupted");
        }
    free(raw);
    free(z);
    return st;
}

/* ---- result ---- */

static double file_bytes(const entry *e)
{
    double n = 0;
    struct stat s;
    for (int i = 0; i < e->paths; i++) if (stat(e->path[i], &s) == 0) n += (double)s.st_size;
    return n;
}

static void add_speed(cJSON *j, const evaluation *v, entry *e)
{
    static const struct { const char *name; double p; } tails[] = {{"p90_us", 0.9}, {"p99_us", 0.99}};
    uint64_t n = (uint64_t)v->set.samples;
    cJSON *l = cJSON_AddObjectToObject(j, "latency_batch1_1thread");
    qsort(e->latency, n, sizeof *e->latency, by_value);
    cJSON_AddNumberToObject(l, "samples", (double)n);
    cJSON_AddNumberToObject(l, "cold_us", e->cold * 1e6);
    cJSON_AddNumberToObject(l, "min_us", e->latency[0] * 1e6);
    cJSON_AddNumberToObject(l, "p50_us", e->latency[n / 2] * 1e6);
    for (int i = 0; i < 2; i++) {
        int64_t at = rt_percentile_index(n, tails[i].p);
        if (at >= 0) cJSON_AddNumberToObject(l, tails[i].name, e->latency[at] * 1e6);
    }
    cJSON *t = cJSON_AddObjectToObject(j, "throughput"), *all = cJSON_AddObjectToObject(t, "by_batch");
    int best = 0;
    for (int b = 0; b < SIZES; b++) {
        char key[16];
        snprintf(key, sizeof key, "%d", batch_size[b]);
        cJSON_AddNumberToObject(all, key, e->rate[b]);
        if (e->rate[b] > e->rate[best]) best = b;
    }
    cJSON_AddNumberToObject(t, "best_rows_per_second", e->rate[best]);
    cJSON_AddNumberToObject(t, "best_batch", batch_size[best]);
    cJSON_AddNumberToObject(t, "threads", rt_pool_threads(v->pool));
}

/* The curve of the run that made the model, when it lies beside it. */
static void add_history(cJSON *j, const entry *e)
{
    char path[1100];
    cJSON *r;
    snprintf(path, sizeof path, "%s", e->path[0]);
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path, sizeof path - (slash ? (size_t)(slash + 1 - path) : 0), "result.json");
    if (!rt_file_exists(path) || rt_json_file(&r, path)) return;
    cJSON *h = cJSON_DetachItemFromObjectCaseSensitive(r, "history");
    if (h) cJSON_AddItemToObject(j, "history", h);
    cJSON_Delete(r);
}

static cJSON *describe(evaluation *v, int i)
{
    entry *e = &v->e[i];
    int k = v->classes;
    double n = (double)v->rows.count, low, high, params = 0, macs = 0, memory = 0;
    cJSON *j = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(j, "files");
    cJSON_AddStringToObject(j, "name", e->name);
    for (int p = 0; p < e->paths; p++) {
        cJSON_AddItemToArray(files, cJSON_CreateString(e->path[p]));
        params += (double)rt_graph_param_count(e->model[p]->graph);
        macs += rt_graph_macs(e->model[p]->graph);
        memory += (double)(e->model[p]->graph->param_floats + e->model[p]->graph->state_floats) * 4;
    }
    cJSON_AddStringToObject(j, "digest", rt_models_digest(e->model, e->paths).hex);
    rt_wilson(e->right, v->rows.count, &low, &high);
    cJSON_AddNumberToObject(j, "rows_seen_in_training", (double)e->seen);
    cJSON_AddNumberToObject(j, "accuracy", (double)e->right / n);
    cJSON_AddItemToObject(j, "accuracy_95", cJSON_CreateDoubleArray((double[]){low, high}, 2));
    if (k > 5) cJSON_AddNumberToObject(j, "top5", (double)e->right5 / n);
    cJSON_AddNumberToObject(j, "macro_f1", macro_f1(e, k));
    cJSON_AddNumberToObject(j, "nll", e->nll / n);
    cJSON_AddNumberToObject(j, "ece", rt_ece(e->bin, v->rows.count));
    cJSON_AddNumberToObject(j, "agreement", (double)e->agree / n);
    cJSON_AddNumberToObject(j, "kl_from_teacher", e->kl / n);
    if (i) {
        uint64_t b = 0, c = 0;
        for (uint64_t r = 0; r < v->rows.count; r++) {
            int was = v->e[0].answer[r] == v->truth[r], is = e->answer[r] == v->truth[r];
            b += was && !is;
            c += !was && is;
        }
        cJSON *m = cJSON_AddObjectToObject(j, "mcnemar_vs_first");
        cJSON_AddNumberToObject(m, "first_right_only", (double)b);
        cJSON_AddNumberToObject(m, "this_right_only", (double)c);
        cJSON_AddNumberToObject(m, "p", rt_mcnemar(b, c));
    }
    cJSON_AddNumberToObject(j, "parameters", params);
    cJSON_AddNumberToObject(j, "macs", macs);
    cJSON_AddNumberToObject(j, "file_bytes", file_bytes(e));
    if (v->set.speed) {
        memory += (double)rt_predictor_bytes(e->one);
        cJSON_AddNumberToObject(j, "peak_memory_bytes", memory);
        add_speed(j, v, e);
    }
    cJSON *bins = cJSON_AddArrayToObject(j, "reliability");
    for (int b = 0; b < RT_ECE_BINS; b++) {
        cJSON *q = cJSON_CreateObject();
        double c = (double)e->bin[b].count;
        cJSON_AddNumberToObject(q, "count", c);
        cJSON_AddNumberToObject(q, "confidence", c > 0 ? e->bin[b].confidence / c : 0);
        cJSON_AddNumberToObject(q, "accuracy", c > 0 ? e->bin[b].right / c : 0);
        cJSON_AddItemToArray(bins, q);
    }
    if (k <= MAX_CONFUSION) {
        cJSON *m = cJSON_AddArrayToObject(j, "confusion");
        for (int y = 0; y < k; y++) {
            cJSON *line = cJSON_CreateArray();
            for (int c = 0; c < k; c++) cJSON_AddItemToArray(line, cJSON_CreateNumber((double)e->confusion[(size_t)y * (size_t)k + (size_t)c]));
            cJSON_AddItemToArray(m, line);
        }
    }
    add_history(j, e);
    return j;
}

static void cpu_name(char text[128])
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    strcpy(text, "unknown");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(text, 128, "%.120s", strchr(line, ':') + 2);
            text[strcspn(text, "\n")] = 0;
            break;
        }
    if (f) fclose(f);
}

static cJSON *whole_result(evaluation *v, const cJSON *config)
{
    char cpu[128], line[64] = "unknown";
    struct utsname u;
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "format", "retort-evaluation-1");
    cJSON_AddStringToObject(r, "tool", rt_tool());
    cJSON *data = cJSON_AddObjectToObject(r, "data");
    cJSON_AddStringToObject(data, "source", v->set.source);
    cJSON_AddNumberToObject(data, "rows", (double)v->rows.count);
    cJSON_AddNumberToObject(data, "classes", v->classes);
    if (v->set.rows.test > 0) cJSON_AddStringToObject(data, "part", "test");
    cJSON_AddStringToObject(data, "digest", v->digest.hex);
    if (v->e[0].model[0]->class_names.name) cJSON_AddItemToObject(data, "class_names", rt_names_to_json(&v->e[0].model[0]->class_names));
    if (v->notes->child) cJSON_AddItemToObject(data, "notes", cJSON_Duplicate(v->notes, 1));
    cJSON *m = cJSON_AddObjectToObject(r, "machine");
    cpu_name(cpu);
    uname(&u);
    FILE *f = fopen("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "r");
    if (f) {
        if (!fgets(line, sizeof line, f)) strcpy(line, "unknown");
        line[strcspn(line, "\n")] = 0;
        fclose(f);
    }
    cJSON_AddStringToObject(m, "cpu", cpu);
    cJSON_AddStringToObject(m, "system", u.release);
    cJSON_AddStringToObject(m, "governor", line);
    cJSON_AddStringToObject(m, "kernels", rt_kernels_get()->name);
    cJSON_AddStringToObject(m, "compiler", __VERSION__);
    cJSON_AddNumberToObject(m, "threads", rt_pool_threads(v->pool));
    if (v->set.speed) cJSON_AddNumberToObject(m, "peak_gflops_1thread", rt_kernels_peak(rt_kernels_get()));
    cJSON *models = cJSON_AddArrayToObject(r, "models");
    for (int i = 0; i < v->count; i++) cJSON_AddItemToArray(models, describe(v, i));
    cJSON_AddItemToObject(r, "config", cJSON_Duplicate(config, 1));
    return r;
}

/* The test rows where there are some, or the range. */
static rt_status select_rows(const rt_rows_config *c, uint64_t source_rows, rt_rows *out)
{
    rt_rows test;
    rt_status st = rt_rows_select(c, source_rows, out, &test);
    if (!st && c->test > 0) {
        rt_rows swap = *out;
        *out = test;
        test = swap;
    }
    rt_rows_free(&test);
    return st;
}

/* How many of the rows the model was trained or chosen on, as far as its file tells: its data is this data, and a row was
 * neither outside its range nor left for a test. */
static rt_status count_seen(const evaluation *v, const rt_model *m, uint64_t *seen)
{
    const cJSON *digest = cJSON_GetObjectItemCaseSensitive(m->provenance, "data_digest"), *config = cJSON_GetObjectItemCaseSensitive(m->provenance, "config");
    *seen = 0;
    if (!cJSON_IsString(digest) || strcmp(digest->valuestring, v->digest.hex)) return RT_OK;
    const cJSON *kept = cJSON_GetObjectItemCaseSensitive(config, "data");
    cJSON *data = cJSON_IsObject(kept) ? cJSON_Duplicate(kept, 1) : cJSON_CreateObject();
    rt_cfg d = rt_cfg_begin(data, "data");
    rt_rows_config c;
    rt_rows others = {0}, test = {0};
    rt_rows_read(&d, &c);
    rt_status st = d.status;
    if (!st) st = rt_rows_select(&c, rt_source_rows(v->x), &others, &test);
    if (!st) *seen = rt_rows_common(&v->rows, &others);
    rt_rows_free(&others);
    rt_rows_free(&test);
    cJSON_Delete(data);
    return st;
}

static rt_status set_up(evaluation *v)
{
    RT_TRY(rt_source_open(&v->x, v->set.source, v->set.x));
    RT_TRY(select_rows(&v->set.rows, rt_source_rows(v->x), &v->rows));
    RT_TRY(rt_identity_of(&v->digest, v->x, v->set.check, v->pool, v->progress));
    if (!v->rows.count) return rt_fail(RT_NOTHING, "%s: no rows to evaluate on", v->set.source);
    v->single = rt_pool_new(1);
    if (!v->single) return RT_RUN;
    for (int i = 0; i < v->count; i++) {
        entry *e = &v->e[i];
        RT_TRY(rt_models_load(&e->model, e->path, e->paths));
        for (int p = 0; p < e->paths; p++) {
            uint64_t seen;
            RT_TRY(rt_model_bind(e->model[p], v->x, v->set.match, v->notes));
            RT_TRY(count_seen(v, e->model[p], &seen));
            if (seen > e->seen) e->seen = seen;
        }
        if (i == 0) v->classes = e->model[0]->classes;
        if (e->model[0]->classes != v->classes) return rt_fail(RT_USAGE, "%s: has %d classes, %s has %d", e->path[0], e->model[0]->classes, v->e[0].path[0], v->classes);
        RT_TRY(rt_predictor_new(&e->predictor, e->model, e->paths, v->pool, 0, NULL, 0));
        if (v->set.match == RT_MATCH_NAMES) RT_TRY(rt_predictor_set_classes(e->predictor, &v->e[0].model[0]->class_names));
        e->answer = malloc(v->rows.count * sizeof *e->answer);
        e->probability = malloc(v->rows.count * (size_t)v->classes * sizeof *e->probability);
        e->confusion = calloc((size_t)v->classes * (size_t)v->classes, sizeof *e->confusion);
        if (!e->answer || !e->probability || !e->confusion) return rt_fail(RT_RUN, "out of memory");
    }
    RT_TRY(rt_targets_open(&v->y, v->x, v->set.y, &v->e[0].model[0]->class_names, v->set.match));
    v->truth = malloc(v->rows.count * sizeof *v->truth);
    return v->truth ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

rt_status rt_evaluate(cJSON *config, rt_pool *pool, const rt_progress *progress, cJSON **result)
{
    evaluation *v = calloc(1, sizeof *v);
    *result = NULL;
    if (!v) return rt_fail(RT_RUN, "out of memory");
    v->pool = pool;
    v->progress = progress;
    v->notes = cJSON_CreateArray();
    rt_status st = read_settings(config, v);
    if (!st) st = set_up(v);
    if (!st) st = score(v);
    if (!st && v->set.speed) st = measure(v);
    if (!st) *result = whole_result(v, config);
    for (int i = 0; i < v->count; i++) {
        entry *e = &v->e[i];
        rt_predictor_free(e->predictor);
        rt_predictor_free(e->one);
        for (int b = 0; b < SIZES; b++) rt_predictor_free(e->many[b]);
        rt_models_free(e->model, e->paths);
        free(e->answer);
        free(e->probability);
        free(e->confusion);
        free(e->latency);
    }
    free(v->truth);
    rt_rows_free(&v->rows);
    rt_source_close(v->x);
    rt_targets_close(v->y);
    cJSON_Delete(v->notes);
    rt_pool_free(v->single);
    free(v);
    return st;
}
