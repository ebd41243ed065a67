/* Texts: JSON, configurations, architectures, names, rows, provenance, and every sink that they reach. */
#include "data/json.h"
#include "data/names.h"
#include "data/provenance.h"
#include "engine/text.h"
#include "experiments/eval/evaluator.h"
#include "experiments/policy.h"
#include "experiments/importer.h"
#include "experiments/report/report_parts.h"
#include "student/arch.h"
#include "teacher/labeler.h"
#include "tests/fuzz/fuzz.h"
#include "train/trainer.h"

static char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = 0;
    return text;
}

/* What is printed can be read again, and is the same. */
static void json(const uint8_t *data, size_t size)
{
    cJSON *j = NULL, *back = NULL;
    if (fuzz_refused(rt_json_parse(&j, (const char *)data, size, "input"))) return;
    rt_json_sort(j);
    char *text = rt_json_text(j, size & 1), *again = NULL;
    if (!text || !rt_is_utf8(text)) abort();
    if (!rt_json_parse(&back, text, strlen(text), "printed")) {
        again = rt_json_text(back, size & 1);
        if (!again || (strcmp(text, again) && !strstr(text, "\\ufffd"))) abort();      /* which is printed as it is */
    } else if (!strstr(rt_error_message(), "twice")) abort();       /* keys that differ in bytes of no character */
    free(text);
    free(again);
    cJSON_Delete(j);
    cJSON_Delete(back);
}

static void config(const uint8_t *data, size_t size)
{
    static rt_status (*const check[])(cJSON *) = {rt_train_check, rt_label_check, rt_import_check, rt_evaluate_check};
    cJSON *j = NULL;
    char *text = text_of(data, size), *line = strchr(text, '\n');
    size_t n = line ? (size_t)(line - text) : size;
    if (!fuzz_refused(rt_json_parse(&j, text, n, "input")) && cJSON_IsObject(j)) {
        if (line) fuzz_refused(rt_json_override(j, line + 1));
        for (int i = 0; i < 4; i++) {
            cJSON *copy = cJSON_Duplicate(j, 1);
            fuzz_refused(check[i](copy));
            cJSON_Delete(copy);
        }
        rt_policy policy;
        fuzz_refused(rt_policy_take(&policy, cJSON_Duplicate(j, 1), "policy", 20000));
        rt_policy_free(&policy);
    }
    cJSON_Delete(j);
    free(text);
}

static void arch(const uint8_t *data, size_t size)
{
    cJSON *j = NULL;
    rt_graph *g = NULL;
    if (fuzz_refused(rt_json_parse(&j, (const char *)data, size, "input"))) return;
    if (!fuzz_refused(rt_arch_build(&g, j, "model"))) {
        rt_graph_macs(g);
        rt_graph_param_count(g);
        rt_graph_free(g);
    }
    cJSON_Delete(j);
}

/* {"a": [names], "b": [names]} */
static void names(const uint8_t *data, size_t size)
{
    cJSON *j = NULL;
    rt_names a = {0}, b = {0};
    int *map = NULL;
    char text[RT_NAMES_TEXT];
    if (fuzz_refused(rt_json_parse(&j, (const char *)data, size, "input"))) return;
    rt_status st = rt_names_from_json(&a, cJSON_GetObjectItemCaseSensitive(j, "a"), "a.h5", "classes");
    if (!st) st = rt_names_from_json(&b, cJSON_GetObjectItemCaseSensitive(j, "b"), NULL, "columns");
    if (!fuzz_refused(st)) {
        for (int i = 0; i < a.count && a.name; i++) if (rt_names_find(&a, a.name[i]) != i) abort();
        if (strlen(rt_names_text(&a, text)) >= sizeof text) abort();
        fuzz_refused(rt_names_map(&map, &a, &b, "class"));
        free(map);
        map = NULL;
        fuzz_refused(rt_names_permute(&map, &a, &b, "class"));
        free(map);
    }
    rt_names_free(&a);
    rt_names_free(&b);
    cJSON_Delete(j);
}

/* {"data": {rows of a source of 1,000}} */
static void rows(const uint8_t *data, size_t size)
{
    enum { ROWS = 1000 };
    cJSON *j = NULL;
    rt_rows_config c;
    rt_rows others = {0}, test = {0};
    if (fuzz_refused(rt_json_parse(&j, (const char *)data, size, "input"))) return;
    rt_cfg d = rt_cfg_begin(j, "data");
    rt_rows_read(&d, &c);
    if (!fuzz_refused(d.status) && !fuzz_refused(rt_rows_select(&c, ROWS, &others, &test))) {
        uint64_t n = 0;
        for (uint64_t r = 0; r < ROWS; r++) {
            if (rt_rows_has(&others, r) && rt_rows_has(&test, r)) abort();
            n += (uint64_t)(rt_rows_has(&others, r) + rt_rows_has(&test, r));
        }
        if (n != others.count + test.count) abort();
    }
    rt_rows_free(&others);
    rt_rows_free(&test);
    cJSON_Delete(j);
}

/* {"seen": [...]} of a file */
static void seen(const uint8_t *data, size_t size)
{
    enum { ROWS = 1000 };
    cJSON *j = NULL, *out = cJSON_CreateArray();
    uint64_t n = 0;
    rt_rows all = rt_rows_between(0, ROWS);
    if (!fuzz_refused(rt_json_parse(&j, (const char *)data, size, "input"))) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, "seen");
        fuzz_refused(rt_seen_join(out, j, "teacher", "digest"));
        if (!fuzz_refused(rt_seen_count(list, (const char *[]){"data", NULL}, ROWS, &all, NULL, "m.h5", &n)) &&
            n > ROWS)
            abort();
        rt_seen_unknown(list);
    }
    cJSON_Delete(out);
    cJSON_Delete(j);
}

/* No control character, no byte of no character. */
static void inert(rt_string *t)
{
    if (t->failed || !t->p || !rt_is_utf8(t->p) || strlen(t->p) != t->n) abort();
    for (const char *p = t->p; *p; p++) if ((unsigned char)*p < 32 || *p == 127) abort();
    free(t->p);
    *t = (rt_string){0};
}

static void sinks(const uint8_t *data, size_t size)
{
    static void (*const sink[])(rt_string *, const char *) = {rt_put_plain, rt_put_html, rt_put_markdown, rt_put_code,
                                                              rt_put_csv};
    char *text = text_of(data, size);
    for (size_t i = 0; i < sizeof sink / sizeof sink[0]; i++) {
        rt_string t = {0};
        rt_put(&t, "%s", "");
        sink[i](&t, text);
        if (i == 1 && strpbrk(t.p, "<>\"'`")) abort();
        inert(&t);
    }
    rt_string t = {0};
    rt_put_padded(&t, text, 20);
    inert(&t);
    rt_fail(RT_INPUT, "%s", text);
    rt_one_line(text);
    if (!rt_is_utf8(text) || !rt_is_utf8(rt_error_message())) abort();
    free(text);
}

/* Curves come from a file beside the model; all else of a report is the evaluator's own. */
static void report(const uint8_t *data, size_t size)
{
    cJSON *j = NULL;
    if (fuzz_refused(rt_json_parse(&j, (const char *)data, size, "input"))) return;
    cJSON *e = cJSON_CreateObject(), *m = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(e, "models"), m);
    cJSON_AddStringToObject(m, "name", "m");
    cJSON_AddItemToObject(m, "history", j);
    rt_string t = {0};
    rt_put(&t, "%s", "");
    rt_plot_curves(&t, e, "loss", NULL, "loss", 1);
    if (t.failed || strstr(t.p, "nan") || strstr(t.p, "inf")) abort();
    free(t.p);
    cJSON_Delete(e);
}

const fuzz_target fuzz_of_texts[] = {{"json", json},   {"config", config}, {"arch", arch},
                                     {"names", names}, {"rows", rows},     {"seen", seen},
                                     {"sinks", sinks}, {"report", report}, {NULL, NULL}};
