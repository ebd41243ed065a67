/* Text of others in a whole report, a table on a terminal, an exported file and a run's files: each form holds the
 * constructs that it holds for plain names, and no other. */
#include "data/json.h"
#include "engine/text.h"
#include "experiments/report/report.h"
#include "experiments/report/report_parts.h"
#include "tests/hostile_strings.h"

/* Every string "@" of the tree becomes the text. */
static void fill_in(cJSON *j, const char *text)
{
    for (cJSON *c = j->child; c; c = c->next) {
        if (c->child) fill_in(c, text);
        if (cJSON_IsString(c) && !strcmp(c->valuestring, "@")) assert_non_null(cJSON_SetValuestring(c, text));
    }
}

/* A comparison as the evaluator tells it, with the text in all its places. */
static cJSON *comparison(const char *text)
{
    static const char side[] = "{\"name\":\"@\",\"file\":\"@\",\"model_digest\":\"0123456789\",\"data_digest\":"
                               "\"0123456789\",\"rows_digest\":\"0123456789\",\"kernels\":\"@\",\"tool\":\"@\","
                               "\"rows\":9,\"rows_left_out\":1,\"rows_seen_in_training\":2}";
    static const char delta[] = "{\"metric\":\"accuracy\",\"baseline\":0.9,\"candidate\":0.8,\"drop\":0.1,\"lo\":"
                                "0.05,\"hi\":0.15,\"p\":0.01,\"n\":9,\"b\":2,\"c\":1,\"status\":\"measured\","
                                "\"method\":\"@\"}";
    static const char odd[] = "{\"metric\":\"auc\",\"status\":\"undefined\",\"reason\":\"@\"}";
    static const char bins[] = "[{\"count\":3,\"confidence\":0.5,\"accuracy\":0.6,\"lo\":0.2,\"hi\":0.8}]";
    static char form[8000];
    snprintf(form, sizeof form,
             "{\"confidence\":0.95,\"rows\":9,\"baseline\":%s,\"candidate\":%s,\"heads\":[{\"name\":\"@\",\"task\":"
             "\"classes\",\"names\":[\"@\",\"@\"],\"metrics\":[%s,%s],\"per_class\":[{\"name\":\"@\",\"rows\":5,"
             "\"recall\":%s,\"precision\":%s,\"f1\":%s}],\"confusion_difference\":{\"matrix\":[[1,-1],[2,-2]],"
             "\"pairs\":[{\"truth\":\"@\",\"answer\":\"@\",\"baseline\":1,\"candidate\":2}]},\"slices_compared\":1,"
             "\"slices\":[{\"metric\":\"accuracy\",\"column\":\"@\",\"value\":\"@\",\"n\":4,\"drop\":0.1}],"
             "\"found\":[{\"slice\":[\"@\",\"@\"],\"rows\":4,\"confirmed\":%s,\"p_worse_holm\":0.01}],"
             "\"reliability\":{\"baseline\":%s,\"candidate\":%s},\"flips_counted\":2,\"flips\":[{\"id\":\"@\","
             "\"flip\":\"negative\",\"truth\":\"@\",\"baseline\":\"@\",\"candidate\":\"@\",\"picture\":"
             "\"data:image/png;base64,AA==\"},{\"id\":\"@\",\"flip\":\"positive\",\"truth\":\"@\",\"baseline\":"
             "\"@\",\"candidate\":\"@\",\"values\":[1,2]}]}]}",
             side, side, delta, odd, delta, delta, delta, delta, bins, bins);
    cJSON *c = cJSON_Parse(form);
    assert_non_null(c);
    fill_in(c, text);
    return c;
}

/* An evaluation of two models as the evaluator tells it, with `text` in the place of all that a user or a file names.
 */
static cJSON *evaluation(const char *text)
{
    static const char form[] =
        "{\"data\": {\"rows\": 100, \"labelled_rows\": 90, \"classes\": 2}, \"reference\": {\"role\": \"teacher\"},"
        " \"models\": [{\"accuracy\": 0.9, \"accuracy_95\": [0.8, 0.95], \"parameters\": 1000, \"confusion\": [[40, 5],"
        " [4, 41]], \"latency_batch1_1thread\": {\"p50_us\": 3.5, \"samples\": 700}, \"history\": [{\"epoch\": 1,"
        " \"loss\": 0.5}, {\"epoch\": 2, \"loss\": 0.25}], \"reliability\": [{\"accuracy\": 0.5, \"count\": 3}],"
        " \"ece\": 0.1}, {\"accuracy\": 0.8, \"accuracy_95\": [0.7, 0.9], \"parameters\": 100, \"confusion\":"
        " [[30, 15], [4, 41]], \"latency_batch1_1thread\": {\"p50_us\": 1.5, \"samples\": 700}}],"
        " \"machine\": {\"threads\": 2, \"peak_gflops_1thread\": 10}, \"notes\": []}";
    static const char *const of_machine[] = {"cpu", "kernels", "governor", "compiler"};
    cJSON *e = cJSON_Parse(form), *data = cJSON_GetObjectItem(e, "data"),
          *names = cJSON_AddArrayToObject(data, "class_names");
    assert_non_null(e);
    cJSON_AddStringToObject(data, "source", text);
    for (int i = 0; i < 2; i++) cJSON_AddItemToArray(names, cJSON_CreateString(text));
    cJSON_AddStringToObject(cJSON_GetObjectItem(e, "reference"), "name", text);
    for (cJSON *m = cJSON_GetObjectItem(e, "models")->child; m; m = m->next) cJSON_AddStringToObject(m, "name", text);
    for (int i = 0; i < 4; i++) cJSON_AddStringToObject(cJSON_GetObjectItem(e, "machine"), of_machine[i], text);
    for (int i = 0; i < 2; i++) cJSON_AddItemToArray(cJSON_GetObjectItem(e, "notes"), cJSON_CreateString(text));
    cJSON_AddStringToObject(e, "tool", text);
    cJSON_AddStringToObject(e, "commit", text);
    cJSON_AddStringToObject(cJSON_AddObjectToObject(e, "config"), text, text);
    cJSON_AddItemToObject(e, "comparison", comparison(text));
    return e;
}

static char *form_of(void (*form)(rt_string *, const cJSON *), const cJSON *e)
{
    rt_string t = {0};
    form(&t, e);
    assert_false(t.failed);
    assert_non_null(t.p);
    return t.p;
}

static void check_csv_cells(const char *text)
{
    int rows = 0, columns = 0;
    for (int c = 0; c < RT_COLUMNS; c++) columns += rt_columns[c].tasks & 1u << RT_TASK_CLASSES ? 1 : 0;
    for (const char *p = text; *p; p++, rows++) {
        int cells = 0;
        for (;; p++) {
            char *cell = csv_cell(&p);
            if (runs_as_formula(cell)) fail_msg("report.csv: '%s' is a formula", cell);
            free(cell);
            cells++;
            if (*p == '\n') break;
            assert_int_equal(*p, ',');
        }
        assert_int_equal(cells, columns + 1);
    }
    assert_int_equal(rows, 3);
}

static void reports(void **state)
{
    (void)state;
    char room[128];
    cJSON *plain = evaluation("name");
    char *page = form_of(rt_report_html, plain), *md = form_of(rt_report_markdown, plain),
         *table = rt_report_table(plain);
    char *tags = tags_of(page), *signs = signs_of(md);
    for (int i = 0; i < HOSTILE; i++) {
        const char *text = hostile_string(i, room);
        cJSON *e = evaluation(text), *back;
        char *got = form_of(rt_report_html, e), *got_tags = tags_of(got), *want = shown_text(text);
        check_inert("report.html", got, "\n");
        if (strcmp(got_tags, tags)) fail_msg("report.html has other tags with '%s'", text);
        free(got);
        free(got_tags);
        got = form_of(rt_report_markdown, e);
        got_tags = signs_of(got);
        check_inert("report.md", got, "\n");
        if (strcmp(got_tags, signs)) fail_msg("report.md has other signs with '%s': %s", text, got);
        free(got);
        free(got_tags);
        got = form_of(rt_report_csv, e);
        check_inert("report.csv", got, "\n");
        check_csv_cells(got);
        free(got);
        got = rt_report_table(e);
        check_inert("terminal", got, "\n");
        assert_int_equal(lines_of(got), lines_of(table));
        free(got);
        got = rt_json_text(e, 1);
        check_inert("evaluation.json", got, "\n\t");
        check_ok(rt_json_parse(&back, got, strlen(got), "evaluation.json"));
        cJSON_Delete(back);
        cJSON_Delete(e);
        free(got);
        free(want);
    }
    free(page);
    free(md);
    free(table);
    free(tags);
    free(signs);
    cJSON_Delete(plain);
}

/* A curve beside a model may have been written by anybody: it is drawn within bounds, or not at all. */
static void curves(void **state)
{
    (void)state;
    static const char *const history[] = {
        "[{\"epoch\": 1e17, \"loss\": 1}, {\"epoch\": 100000000000000016, \"loss\": 2}]",
        "[{\"epoch\": 1, \"loss\": 1e308}, {\"epoch\": 2, \"loss\": -1e308}]", "[{\"loss\": 1}, {\"epoch\": 3}]",
        "[{\"epoch\": 999999999999999, \"loss\": 1}, {\"epoch\": 999999999999998, \"loss\": 1.5}]",
        "[{\"epoch\": \"1\", \"loss\": [1]}]", "[]"};
    for (size_t i = 0; i < sizeof history / sizeof history[0]; i++) {
        cJSON *e = cJSON_Parse("{\"models\": [{\"name\": \"m\"}]}");
        cJSON_AddItemToObject(cJSON_GetObjectItem(e, "models")->child, "history", cJSON_Parse(history[i]));
        rt_string t = {0};
        rt_plot_curves(&t, e, "loss", NULL, "loss", 1);
        if (t.p && (strstr(t.p, "nan") || strstr(t.p, "inf") || t.n > 20000)) fail_msg("%s: %s", history[i], t.p);
        free(t.p);
        cJSON_Delete(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports), cmocka_unit_test(curves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
