/* Evaluation of heads of labels and values against scikit-learn's numbers (tests/student/elements_reference.h): of
 * single heads, of two together with rows that lack a target; the comparison with the reference by definition; what a
 * model that lacks a head is told; every form of the report. */
#include <unistd.h>

#include "data/h5.h"
#include "engine/device.h"
#include "experiments/eval/comparison.h"
#include "experiments/eval/evaluator.h"
#include "experiments/report/report.h"
#include "experiments/report/report_parts.h"
#include "student/metrics.h"
#include "student/model.h"
#include "tests/student/elements_reference.h"
#include "tests/support.h"

enum { MOST = 64 };

static rt_device *device;

static char *at(const char *name)
{
    static char path[8][160];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", test_folder, name);
    return p;
}

static int set_up(void **state)
{
    device = rt_device_cpu(2);
    return make_test_folder(state);
}

static int tear_down(void **state)
{
    rt_device_close(device);
    return remove_test_folder(state);
}

typedef struct { const char *name; const element_case *c; int named; } part;   /* named: n0, n1, ... */

/* x: the heads' outputs side by side; each head's targets, -1 or NaN where there is none. */
static void write_parts(const char *name, const part *p, int parts)
{
    static float x[MOST * 16], y[2][MOST * 8];
    int rows = 0, width = 0, k = 0;
    rt_h5_item it[3];
    for (int i = 0; i < parts; i++) {
        rows = p[i].c->rows > rows ? p[i].c->rows : rows;
        width += p[i].c->size;
    }
    memset(x, 0, sizeof x);
    for (int i = 0; i < parts; k += p[i++].c->size) {
        const element_case *c = p[i].c;
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < c->size; j++) {
                int e = r * c->size + j, there = r < c->rows && c->mask[e];
                if (r < c->rows) x[r * width + k + j] = c->z[e];
                y[i][e] = there ? c->y[e] : c->task == RT_TASK_REAL ? NAN : -1;
            }
        it[i] = (rt_h5_item){.name = p[i].name, .type = RT_F32, .rank = 2, .dim = {(uint64_t)rows, (uint64_t)c->size},
                             .data = y[i]};
    }
    it[parts] = (rt_h5_item){
        .name = "x", .type = RT_F32, .rank = 2, .dim = {(uint64_t)rows, (uint64_t)width}, .data = x};
    check_ok(rt_h5_save(at(name), "retort-data-1", it, parts + 1));
}

/* Each head's outputs are its inputs times `scale` plus `shift`. */
static void write_identity(const char *name, const part *p, int parts, float scale, float shift)
{
    int width = 0, k = 0;
    for (int i = 0; i < parts; i++) width += p[i].c->size;
    cJSON *arch = cJSON_CreateObject(), *input = cJSON_AddArrayToObject(arch, "input");
    cJSON *heads = cJSON_AddArrayToObject(arch, "heads"), *layers = cJSON_AddArrayToObject(arch, "layers");
    cJSON_AddItemToArray(input, cJSON_CreateNumber(width));
    for (int i = 0; i < parts; i++) {
        cJSON *h = cJSON_CreateObject(), *l = cJSON_CreateObject();
        cJSON_AddStringToObject(h, "name", p[i].name);
        cJSON_AddStringToObject(h, "task", p[i].c->task == RT_TASK_REAL ? "real" : "multilabel");
        cJSON *names = p[i].named ? cJSON_AddArrayToObject(h, "names") : NULL;
        for (int j = 0; j < p[i].c->size && names; j++) {
            char n[16];
            snprintf(n, sizeof n, "n%d", j);
            cJSON_AddItemToArray(names, cJSON_CreateString(n));
        }
        cJSON_AddItemToArray(heads, h);
        cJSON_AddStringToObject(l, "op", "dense");
        cJSON_AddNumberToObject(l, "out", p[i].c->size);
        cJSON_AddStringToObject(l, "name", p[i].name);
        cJSON_AddStringToObject(l, "from", "input");
        cJSON_AddItemToArray(layers, l);
    }
    rt_model *m;
    check_ok(rt_model_new(&m, arch, 1));
    int f = -1;
    for (int i = 0; i < parts; k += p[i++].c->size) {
        int size = p[i].c->size;
        float *w = rt_model_field(m, f = rt_graph_next_field(m->graph, RT_PARAM, f));
        memset(w, 0, (size_t)(width * size) * sizeof *w);
        for (int j = 0; j < size; j++) w[(k + j) * size + j] = scale;
        float *b = rt_model_field(m, f = rt_graph_next_field(m->graph, RT_PARAM, f));
        for (int j = 0; j < size; j++) b[j] = shift;
    }
    cJSON_AddItemToObject(m->provenance, "seen", cJSON_CreateArray());
    check_ok(rt_model_save(m, at(name)));
    rt_model_free(m);
    cJSON_Delete(arch);
}

static cJSON *evaluate_two(const char *first, const char *second, const char *data, const char *more)
{
    char text[900];
    cJSON *config, *e;
    snprintf(text, sizeof text, "{\"students\": [\"%s\"%s%s%s], \"data\": {\"source\": \"%s\"%s}, \"eval\": "
             "{\"speed\": false}}", at(first), second ? ", \"" : "", second ? at(second) : "", second ? "\"" : "",
             at(data), more);
    check_ok(rt_json_parse(&config, text, strlen(text), "test"));
    check_ok(rt_evaluate(config, NULL, device, &(rt_progress){0}, &e));
    cJSON_Delete(config);
    return e;
}

static const cJSON *model_of(const cJSON *e, int i) { return cJSON_GetArrayItem(cJSON_GetObjectItem(e, "models"), i); }

static void check_case(const cJSON *m, const element_case *c, int n)
{
    const char *const *name = c->task == RT_TASK_REAL ? value_metric : label_metric;
    for (int i = 0; i < rt_metrics[c->task].count; i++) {
        char text[80];
        const cJSON *v = cJSON_GetObjectItem(m, name[i]);
        snprintf(text, sizeof text, "case %d, %s", n, name[i]);
        if (!v) fail_msg("%s is missing", text);
        if (isnan(c->want[i]) != cJSON_IsNull(v)) fail_msg("%s: %g is wanted", text, c->want[i]);
        if (cJSON_IsNumber(v)) check_close(text, v->valuedouble, c->want[i], 1e-6, 1e-6);
    }
}

static void single_heads(void **state)
{
    (void)state;
    for (int i = 0; i < ELEMENT_CASES; i++) {
        part p = {"h", &element_reference[i], 0};
        write_parts("data.h5", &p, 1);
        write_identity("one.h5", &p, 1, 1, 0);
        cJSON *e = evaluate_two("one.h5", NULL, "data.h5", "");
        check_case(model_of(e, 0), p.c, i);
        cJSON_Delete(e);
        unlink(at("data.h5"));
        unlink(at("one.h5"));
    }
}

/* Of all elements of the rows. */
static void check_comparison(const cJSON *m, const part *p, int rows, float scale, float shift)
{
    const element_case *c = p->c;
    double agree = 0, kl = 0, away = 0;
    int n = rows * c->size;
    for (int e = 0; e < n; e++) {
        float a = e < c->rows * c->size ? c->z[e] : 0, z = scale * a + shift;
        double q = 1 / (1 + exp(-(double)a)), r = 1 / (1 + exp(-(double)z));
        agree += c->task == RT_TASK_REAL ? fabs((double)z - a) <= 0.1 * fabs((double)a) : (a > 0) == (z > 0);
        kl += q * log(q / r) + (1 - q) * log((1 - q) / (1 - r));
        away += fabs((double)z - a);
    }
    check_close("agreement", cJSON_GetObjectItem(m, "agreement")->valuedouble, agree / n, 1e-12, 0);
    if (c->task == RT_TASK_REAL)
        check_close("distance", cJSON_GetObjectItem(m, "distance_from_reference")->valuedouble, away / n, 1e-6, 1e-6);
    else check_close("kl", cJSON_GetObjectItem(m, "kl_from_reference")->valuedouble, kl / n, 1e-6, 1e-6);
    double mean = 0;
    int labelled = 0;
    for (int r = 0; r < c->rows; r++) {
        double first = 0, this = 0, known = 0;
        for (int j = 0; j < c->size; j++) {
            int e = r * c->size + j;
            float a = c->z[e], z = scale * a + shift;
            if (!c->mask[e]) continue;
            known++;
            first += c->task == RT_TASK_REAL ? fabs((double)a - c->y[e]) : (a > 0) != (c->y[e] != 0);
            this += c->task == RT_TASK_REAL ? fabs((double)z - c->y[e]) : (z > 0) != (c->y[e] != 0);
        }
        if (known > 0) mean += (this - first) / known;
        labelled += known > 0;
    }
    const cJSON *d = cJSON_GetObjectItem(m, "difference_vs_reference"), *range = cJSON_GetObjectItem(d, "interval_95");
    double low = cJSON_GetArrayItem(range, 0)->valuedouble, high = cJSON_GetArrayItem(range, 1)->valuedouble;
    check_close("difference", cJSON_GetObjectItem(d, "mean")->valuedouble, mean / labelled, 1e-6, 1e-5);
    assert_true(low <= mean / labelled + 1e-6 && mean / labelled <= high + 1e-6 && low < high);
}

static void two_heads(void **state)
{
    (void)state;
    part p[2] = {{"tags", &element_reference[7], 0}, {"size", &element_reference[9], 0}};
    static const float scale = 0.71f, shift = 0.317f;
    write_parts("two.h5", p, 2);
    write_identity("a.h5", p, 2, 1, 0);
    write_identity("b.h5", p, 2, scale, shift);
    cJSON *e = evaluate_two("a.h5", "b.h5", "two.h5", "");
    const cJSON *heads = cJSON_GetObjectItem(model_of(e, 0), "heads"), *data = cJSON_GetObjectItem(e, "data");
    for (int h = 0; h < 2; h++) {
        const cJSON *one = cJSON_GetArrayItem(cJSON_GetObjectItem(data, "heads"), h);
        int labelled = 0;
        for (int r = 0; r < p[h].c->rows; r++)
            labelled += memchr(p[h].c->mask + r * p[h].c->size, 1, (size_t)p[h].c->size) != NULL;
        assert_string_equal(cJSON_GetObjectItem(one, "name")->valuestring, p[h].name);
        check_close("labelled", cJSON_GetObjectItem(one, "labelled_rows")->valuedouble, labelled, 0, 0);
        check_case(cJSON_GetArrayItem(heads, h), p[h].c, h ? 9 : 7);
        const cJSON *second = cJSON_GetArrayItem(cJSON_GetObjectItem(model_of(e, 1), "heads"), h);
        check_comparison(second, &p[h], 45, scale, shift);
        assert_true(h ||
                    cJSON_IsNull(cJSON_GetObjectItem(second, "mcnemar_vs_reference"))); /* no row has all its labels */
    }
    char *table = rt_report_table(e);
    const char *const said[] = {"head tags (multilabel)", "head size (real)", "micro-F1", "RMSE", "error difference",
                                "have no target"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(table, said[i])) fail_msg("'%s' is not said", said[i]);
    assert_null(strstr(table, "McNemar p    "));
    free(table);
    cJSON_Delete(e);
}

/* A head with names and data without: what is compared stands in the head's order, which is said. */
static void unnamed_columns(void **state)
{
    (void)state;
    part p[2] = {{"tags", &element_reference[7], 1}, {"size", &element_reference[9], 0}};
    write_parts("unnamed.h5", p, 2);
    write_identity("names.h5", p, 2, 1, 0);
    static const char *const how[2] = {"", ", \"names\": \"position\""};
    for (int i = 0; i < 2; i++) {
        cJSON *e = evaluate_two("names.h5", NULL, "unnamed.h5", how[i]);
        char *notes = cJSON_PrintUnformatted(cJSON_GetObjectItem(e, "notes"));
        const char *said = strstr(notes, "head 'tags': the data names no columns of 'tags', which are taken in the");
        assert_int_equal(said != NULL, !i);
        assert_null(strstr(notes, "columns of 'size'"));
        free(notes);
        cJSON_Delete(e);
    }
}

static void lacks_a_head(void **state)
{
    (void)state;
    part p[2] = {{"tags", &element_reference[7], 0}, {"size", &element_reference[9], 0}};
    write_parts("lack.h5", p, 2);
    write_identity("whole.h5", p, 2, 1, 0);
    cJSON *arch = cJSON_Parse(
        "{\"input\": [8], \"heads\": [{\"name\": \"size\", \"task\": \"real\", \"size\": 3}, {\"name\": "
        "\"more\", \"size\": 2}], \"family\": \"mlp\", \"width\": 4, \"depth\": 1}");
    rt_model *m;
    check_ok(rt_model_new(&m, arch, 1));
    check_ok(rt_model_save(m, at("lacks.h5")));
    rt_model_free(m);
    cJSON_Delete(arch);
    cJSON *e = evaluate_two("whole.h5", "lacks.h5", "lack.h5", ""),
          *heads = cJSON_GetObjectItem(model_of(e, 1), "heads");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(heads, 0), "missing")));
    assert_null(cJSON_GetObjectItem(cJSON_GetArrayItem(heads, 0), "micro_f1"));
    assert_true(cJSON_IsNumber(cJSON_GetObjectItem(cJSON_GetArrayItem(heads, 1), "rmse")));
    char *notes = cJSON_PrintUnformatted(cJSON_GetObjectItem(e, "notes")), *table = rt_report_table(e);
    assert_non_null(strstr(notes, "lacks has no head 'tags' of whole"));
    assert_non_null(table);
    assert_non_null(strstr(notes, "lacks has a head 'more' that whole has not"));
    free(table);
    cJSON_free(notes);
    cJSON_Delete(e);
}

/* A page shows the confusion, and names beside curves, of those models that have the head. */
static void lacks_a_head_of_classes(void **state)
{
    (void)state;
    cJSON *e = evaluate_two("lacks.h5", "whole.h5", "lack.h5", ", \"targets\": {\"more\": {\"set\": \"tags\", "
                            "\"column\": 1}}");
    static const char *const curve[2] = {"[{\"epoch\": 1, \"loss\": 2, \"validation_more.nll\": 1}]",
                                         "[{\"epoch\": 1, \"loss\": 2}]"};
    for (int i = 0; i < 2; i++)
        cJSON_AddItemToObject(cJSON_GetArrayItem(cJSON_GetObjectItem(e, "models"), i), "history",
                              cJSON_Parse(curve[i]));
    rt_string page = {0};
    rt_report_html(&page, e);
    assert_non_null(page.p);
    assert_non_null(strstr(page.p, "<h2>Confusion: more (classes)</h2>"));
    assert_non_null(strstr(page.p, "Confusion: lacks"));
    assert_null(strstr(page.p, "Confusion: whole"));
    char *figure = strstr(page.p, "Training curves: validation nll");
    assert_non_null(figure);
    *strstr(figure, "</figure>") = 0;
    assert_non_null(strstr(figure, ">lacks</text>"));
    assert_null(strstr(figure, ">whole</text>"));
    free(page.p);
    cJSON_Delete(e);
}

/* A model of one head beside one of two has its curve in that head's figure, and only there; what is defined is what
 * the page has. No set named: no targets. */
static void single_beside_two(void **state)
{
    (void)state;
    part p[2] = {{"tags", &element_reference[7], 0}, {"size", &element_reference[9], 0}};
    write_parts("both.h5", p, 2);
    write_identity("both-model.h5", p, 2, 1, 0);
    char text[300];
    int d = p[1].c->size;
    cJSON *arch;
    snprintf(text, sizeof text, "{\"input\":[%d],\"heads\":[{\"name\":\"size\",\"task\":\"real\",\"size\":%d}],"
             "\"layers\":[{\"op\":\"dense\",\"out\":%d}]}", p[0].c->size + d, d, d);
    check_ok(rt_json_parse(&arch, text, strlen(text), "test"));
    rt_model *m;
    check_ok(rt_model_new(&m, arch, 1));
    check_ok(rt_model_save(m, at("size-model.h5")));
    rt_model_free(m);
    cJSON_Delete(arch);
    cJSON *e = evaluate_two("both-model.h5", "size-model.h5", "both.h5", ", \"targets\": {\"tags\": \"\"}");
    const cJSON *heads = cJSON_GetObjectItem(model_of(e, 0), "heads");
    assert_false(cJSON_IsNumber(cJSON_GetObjectItem(cJSON_GetArrayItem(heads, 0), "micro_f1")));
    assert_true(cJSON_IsNumber(cJSON_GetObjectItem(cJSON_GetArrayItem(heads, 1), "rmse")));
    static const char *const curve[2] = {
        "[{\"epoch\": 1, \"loss\": 2, \"validation_size.rmse\": 1, \"validation_tags.micro_f1\": 0.5}]",
        "[{\"epoch\": 1, \"loss\": 2, \"validation_rmse\": 3, \"validation_micro_f1\": 0.7}]"};
    for (int i = 0; i < 2; i++)
        cJSON_AddItemToObject(cJSON_GetArrayItem(cJSON_GetObjectItem(e, "models"), i), "history",
                              cJSON_Parse(curve[i]));
    rt_string page = {0};
    rt_report_html(&page, e);
    assert_non_null(page.p);
    assert_null(strstr(page.p, "Wilson"));
    assert_null(strstr(page.p, "softmax"));
    assert_non_null(strstr(page.p, "Labels: p of a label: the logistic function"));
    assert_non_null(strstr(page.p, "<dt>McNemar p</dt>"));
    static const char *const title[2] = {"Training curves: validation micro_f1", "Training curves: validation rmse"};
    for (int i = 0; i < 2; i++) {
        char *figure = strstr(page.p, title[i]), *end = figure ? strstr(figure, "</figure>") : NULL;
        assert_non_null(end);
        *end = 0;
        assert_non_null(strstr(figure, ">both-model</text>"));
        assert_int_equal(strstr(figure, ">size-model</text>") != NULL, i);
        *end = '<';
    }
    free(page.p);
    cJSON_Delete(e);
}

static rt_comparison *pair_of(const char *a, const char *b, const rt_comparison *before)
{
    char text[300];
    const char *first = at(a), *second = at(b);
    rt_teacher_spec side[RT_SIDES] = {rt_teacher_of_files(&first, 1), rt_teacher_of_files(&second, 1)};
    rt_comparison *c;
    cJSON *data;
    snprintf(text, sizeof text, "{\"source\": \"%s\"}", at("both.h5"));
    check_ok(rt_json_parse(&data, text, strlen(text), "test"));
    rt_comparison_spec spec = {.side = {&side[0], &side[1]}, .before = before, .data = data, .device = device};
    check_ok(rt_comparison_open(&c, &spec));
    cJSON_Delete(data);
    return c;
}

static void check_candidate(rt_comparison *c, rt_comparison *want, const char *head, const char *metric)
{
    rt_comparison *of[2] = {c, want};
    rt_delta d[2];
    for (int i = 0; i < 2; i++) {
        rt_question q = {.metric = rt_paired_metric_find(RT_TASK_COUNT, metric), .class = -1, .confidence = 0.95,
                         .head = rt_comparison_head(of[i], head)};
        check_ok(rt_comparison_ask(of[i], &q, &d[i]));
        assert_int_equal(d[i].status, RT_MEASURED);
    }
    check_close(metric, d[0].baseline, d[1].baseline, 0, 0);
    check_close(metric, d[0].candidate, d[1].candidate, 0, 0);
    check_close(metric, d[0].lo, d[1].lo, 0, 0);
    assert_string_equal(rt_comparison_side(c, 1)->model, rt_comparison_side(want, 1)->model);
}

/* A candidate is asked once for two baselines: the second comparison does not need its file. Where it was asked about
 * fewer heads than the second one has, it is asked again. */
static void asked_once(void **state)
{
    (void)state;
    part p[2] = {{"tags", &element_reference[7], 0}, {"size", &element_reference[9], 0}};
    write_identity("again.h5", p, 2, 1.5f, 0.1f);
    rt_comparison *of_size = pair_of("size-model.h5", "again.h5", NULL);
    rt_comparison *of_both = pair_of("both-model.h5", "again.h5", NULL);
    rt_comparison *more = pair_of("both-model.h5", "again.h5", of_size);
    check_candidate(more, of_both, "tags", "micro_f1");
    check_candidate(more, of_both, "size", "rmse");
    rt_comparison_close(more);
    unlink(at("again.h5"));
    rt_comparison *fewer = pair_of("size-model.h5", "again.h5", of_both);
    check_candidate(fewer, of_size, "size", "rmse");
    rt_comparison_close(fewer);
    rt_comparison_close(of_size);
    rt_comparison_close(of_both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(single_heads), cmocka_unit_test(two_heads),
                                       cmocka_unit_test(unnamed_columns), cmocka_unit_test(lacks_a_head),
                                       cmocka_unit_test(lacks_a_head_of_classes), cmocka_unit_test(single_beside_two),
                                       cmocka_unit_test(asked_once)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
