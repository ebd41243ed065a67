/* experiments/explain/explain_result.c - an explanation as JSON and CSV. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "data/json.h"
#include "engine/version.h"
#include "experiments/explain/explain_parts.h"
#include "experiments/machine.h"
#include "experiments/statistics/statistics.h"

static const char *name_at(const rt_explanation *x, int element, char number[16])
{ return rt_names_at(&x->head->names, element, number); }

/* The model's element that side s is asked about. */
static int asked_of(const rt_explanation *x, int s, int r)
{
    for (int e = 0; e < x->head->size; e++) if (x->side[s].of[e] == x->side[s].element[r]) return e;
    return 0;
}

static cJSON *side_json(const rt_explanation *x, const rt_explain_side *s)
{
    cJSON *j = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(j, "files");
    cJSON_AddStringToObject(j, "name", s->name);
    for (int i = 0; i < s->spec.paths; i++) cJSON_AddItemToArray(list, cJSON_CreateString(s->spec.path[i]));
    cJSON_AddStringToObject(j, "digest", s->digest.hex);
    cJSON_AddBoolToObject(j, "quantized", rt_teacher_quantized(s->teacher) > 0);
    if (x->how.method == RT_BY_INTEGRATED) cJSON_AddNumberToObject(j, "limit", s->limit);
    return j;
}

/* The parts that are largest in size, falling. */
static int largest(const float *v, size_t n, size_t top[RT_EXPLAIN_TOP])
{
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        int at = count < RT_EXPLAIN_TOP ? count++ : RT_EXPLAIN_TOP;
        while (at > 0 && fabsf(v[i]) > fabsf(v[top[at - 1]])) {
            if (at < RT_EXPLAIN_TOP) top[at] = top[at - 1];
            at--;
        }
        if (at < RT_EXPLAIN_TOP) top[at] = i;
    }
    return count;
}

static void add_side_row(const rt_explanation *x, int s, int r, cJSON *j)
{
    const rt_explain_side *side = &x->side[s];
    const float *v = side->told + (size_t)r * x->elements;
    int usable = x->how.method != RT_BY_INTEGRATED || side->steps[r];
    double sum = 0;
    char number[16], room[128];
    size_t top[RT_EXPLAIN_TOP];
    for (size_t e = 0; e < x->elements; e++) sum += (double)v[e];
    if (x->head->task == RT_TASK_CLASSES)
        cJSON_AddStringToObject(j, "answer", name_at(x, side->answer[r], number));
    rt_json_number(j, "value", side->value[r], "not finite");
    if (x->how.method == RT_BY_INTEGRATED) {
        rt_json_number(j, "baseline_value", side->base_value[r], "not finite");
        rt_json_number(j, "residual", side->residual[r], "not finite");
        cJSON_AddNumberToObject(j, "steps", side->steps[r]);
        cJSON_AddBoolToObject(j, "complete", usable);
    }
    if (x->how.method != RT_BY_OCCLUSION) rt_json_number(j, "sum", sum, "the residual is above the limit");
    cJSON *list = cJSON_AddArrayToObject(j, "largest");
    for (int i = 0, n = usable ? largest(v, x->elements, top) : 0; i < n; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "element", rt_explain_element(x, top[i], room));
        cJSON_AddNumberToObject(one, "part", (double)v[top[i]]);
        if (!s) rt_json_number(one, "is", rt_explain_has(x, r, top[i]), "the model does not read it");
        cJSON_AddItemToArray(list, one);
    }
}

static void add_alike(cJSON *j, const rt_agreement *a)
{
    static const char why[] = "all parts are equal, or a row has none";
    rt_json_number(j, "spearman", a->spearman, why);
    rt_json_number(j, "cosine", a->cosine, why);
    rt_json_number(j, "overlap", a->overlap, why);
}

static cJSON *rows_json(const rt_explanation *x)
{
    cJSON *list = cJSON_CreateArray();
    char number[16];
    for (int r = 0; r < x->rows; r++) {
        cJSON *j = cJSON_CreateObject();
        cJSON_AddNumberToObject(j, "row", (double)x->row[r]);
        if (x->truth && x->truth[r] >= 0) cJSON_AddStringToObject(j, "truth", name_at(x, x->truth[r], number));
        else if (x->truth) cJSON_AddNullToObject(j, "truth");
        cJSON_AddStringToObject(j, "target", name_at(x, asked_of(x, 0, r), number));
        add_side_row(x, 0, r, j);
        if (x->sides > 1) {
            add_side_row(x, 1, r, cJSON_AddObjectToObject(j, "against"));
            add_alike(cJSON_AddObjectToObject(j, "agreement"), &x->alike[r]);
        }
        cJSON_AddItemToArray(list, j);
    }
    return list;
}

/* Mean of the values that are there, with its interval. */
static void add_mean(cJSON *j, const char *key, const double *v, size_t step, int n)
{
    float *there = malloc(((size_t)n + 1) * sizeof *there);
    uint64_t count = 0;
    double mean, range[2];
    const char *method;
    cJSON *m = cJSON_AddObjectToObject(j, key);
    for (int i = 0; i < n && there; i++)
        if (isfinite(v[(size_t)i * step])) there[count++] = (float)v[(size_t)i * step];
    cJSON_AddNumberToObject(m, "rows", (double)count);
    if (count) {
        rt_paired_interval(there, count, &mean, range, &method);
        cJSON_AddNumberToObject(m, "mean", mean);
        cJSON_AddNumberToObject(m, "low", range[0]);
        cJSON_AddNumberToObject(m, "high", range[1]);
    } else cJSON_AddNullToObject(m, "mean");
    free(there);
}

static void add_agreement(const rt_explanation *x, cJSON *j)
{
    enum { STEP = sizeof(rt_agreement) / sizeof(double) };
    if (x->sides < 2) return;
    cJSON *a = cJSON_AddObjectToObject(j, "agreement");
    cJSON_AddNumberToObject(a, "top", x->top);
    add_mean(a, "spearman", &x->alike[0].spearman, STEP, x->rows);
    add_mean(a, "cosine", &x->alike[0].cosine, STEP, x->rows);
    add_mean(a, "overlap", &x->alike[0].overlap, STEP, x->rows);
    cJSON *o = cJSON_AddObjectToObject(a, "with_another_row");
    add_mean(o, "spearman", &x->other[0].spearman, STEP, x->rows);
    add_mean(o, "cosine", &x->other[0].cosine, STEP, x->rows);
    add_mean(o, "overlap", &x->other[0].overlap, STEP, x->rows);
}

typedef struct { size_t e; double size; } ranked;

static int by_size(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    if (p->size != q->size) return p->size > q->size ? -1 : 1;
    return p->e < q->e ? -1 : 1;
}

/* Elements by their mean size over rows, with its interval: of rows that are not too wide to be a list. */
static rt_status add_elements(const rt_explanation *x, const rt_explain_side *s, cJSON *j)
{
    size_t n = x->elements;
    if (n > RT_EXPLAIN_COLUMNS) return RT_OK;
    ranked *list = calloc(n, sizeof *list);
    float *size = malloc(((size_t)x->rows + 1) * sizeof *size);
    char room[128];
    double all = 0;
    if (!list || !size) {
        free(list);
        free(size);
        return rt_fail(RT_RUN, "out of memory");
    }
    int usable = 0;
    for (int r = 0; r < x->rows; r++) usable += rt_explain_usable(x, r);
    for (size_t e = 0; e < n; e++) {
        list[e].e = e;
        for (int r = 0; r < x->rows; r++)
            if (rt_explain_usable(x, r)) list[e].size += fabs((double)s->told[(size_t)r * n + e]) / usable;
        all += list[e].size;
    }
    qsort(list, n, sizeof *list, by_size);
    cJSON *out = cJSON_AddArrayToObject(j, "elements");
    for (size_t i = 0; i < n; i++) {
        double sum = 0, mean, range[2];
        const char *method;
        uint64_t count = 0;
        for (int r = 0; r < x->rows; r++) {
            if (!rt_explain_usable(x, r)) continue;
            double v = (double)s->told[(size_t)r * n + list[i].e];
            sum += v / usable;
            size[count++] = (float)fabs(v);
        }
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "element", rt_explain_element(x, list[i].e, room));
        cJSON_AddNumberToObject(one, "mean_size", list[i].size);
        if (i < 50) {                                              /* resamples cost time, and pages show no more */
            rt_paired_interval(size, count, &mean, range, &method);
            cJSON_AddNumberToObject(one, "low", range[0]);
            cJSON_AddNumberToObject(one, "high", range[1]);
        }
        cJSON_AddNumberToObject(one, "mean", sum);
        rt_json_number(one, "share", all > 0 ? list[i].size / all : (double)NAN, "all parts are 0");
        cJSON_AddItemToArray(out, one);
    }
    free(list);
    free(size);
    return RT_OK;
}

rt_status rt_explain_result(rt_explanation *x, const cJSON *config, cJSON **result)
{
    cJSON *j = *result = cJSON_CreateObject();
    char date[32];
    rt_machine_date(date);
    cJSON_AddStringToObject(j, "format", "retort-explanation-1");
    cJSON_AddStringToObject(j, "tool", rt_tool());
    cJSON_AddStringToObject(j, "time", date);
    cJSON_AddStringToObject(j, "method", rt_attribution_names[x->how.method]);
    cJSON *d = cJSON_AddObjectToObject(j, "data");
    cJSON_AddStringToObject(d, "source", x->data.source);
    cJSON_AddStringToObject(d, "digest", x->data.digest.hex);
    cJSON_AddNumberToObject(d, "rows", (double)x->data.rows.count);
    cJSON_AddNumberToObject(d, "elements", (double)x->elements);
    cJSON_AddNumberToObject(j, "rows_explained", x->rows - x->incomplete);
    cJSON_AddNumberToObject(j, "rows_above_limit", x->incomplete);
    cJSON_AddItemToObject(j, "model", side_json(x, &x->side[0]));
    if (x->sides > 1) cJSON_AddItemToObject(j, "against", side_json(x, &x->side[1]));
    cJSON_AddStringToObject(j, "head", x->head->name);
    add_agreement(x, j);
    RT_TRY(add_elements(x, &x->side[0], j));
    cJSON_AddItemToObject(j, "rows", rows_json(x));
    if (x->notes->child) cJSON_AddItemToObject(j, "notes", cJSON_Duplicate(x->notes, 1));
    cJSON_AddItemToObject(j, "config", cJSON_Duplicate(config, 1));
    return RT_OK;
}

void rt_explain_csv(rt_string *t, const rt_explanation *x)
{
    char room[128], number[16];
    rt_put(t, "model,row,truth,target,value,baseline_value,residual,steps");
    for (size_t e = 0; e < x->elements; e++) {
        rt_put(t, ",");
        rt_put_csv(t, rt_explain_element(x, e, room));
    }
    rt_put(t, "\n");
    for (int s = 0; s < x->sides; s++)
        for (int r = 0; r < x->rows; r++) {
            const rt_explain_side *side = &x->side[s];
            int path = x->how.method == RT_BY_INTEGRATED;
            rt_put_csv(t, side->name);
            rt_put(t, ",%" PRIu64 ",", x->row[r]);
            if (x->truth && x->truth[r] >= 0) rt_put_csv(t, name_at(x, x->truth[r], number));
            rt_put(t, ",");
            rt_put_csv(t, name_at(x, asked_of(x, s, r), number));
            rt_put(t, ",%.9g", side->value[r]);
            if (path) rt_put(t, ",%.9g,%.9g,%d", side->base_value[r], side->residual[r], side->steps[r]);
            else rt_put(t, ",,,");
            for (size_t e = 0; e < x->elements; e++) {
                float v = side->told[(size_t)r * x->elements + e];
                if (isfinite(v)) rt_put(t, ",%.9g", (double)v);
                else rt_put(t, ",");
            }
            rt_put(t, "\n");
        }
}
