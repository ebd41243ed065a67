/* A report's forms show the numbers of the evaluation, and its folder loses no file that a run did not write. */
#include <ctype.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/clock.h"
#include "experiments/report/report.h"
#include "experiments/report/report_parts.h"
#include "tests/experiments/evaluator_models.h"

/* What each column shows, told apart from the report's own table. */
/* limit: how far a cell may lie from its number; below 0: of the number, where a cell has four digits of it. */
static const struct { const char *title, *path; double limit; } column[] = {
    {"accuracy", "accuracy", 6e-5},
    {"top-5", "top5", 6e-5},
    {"macro-F1", "macro_f1", 6e-5},
    {"balanced accuracy", "balanced_accuracy", 6e-5},
    {"weighted F1", "weighted_f1", 6e-5},
    {"MCC", "mcc", 6e-5},
    {"AUC", "auc", 6e-5},
    {"average precision", "average_precision", 6e-5},
    {"Brier", "brier", 6e-5},
    {"NLL", "nll", 6e-5},
    {"ECE", "ece", 6e-5},
    {"agreement", "agreement", 6e-5},
    {"KL", "kl_from_teacher", 6e-5},
    {"McNemar p", "mcnemar_vs_reference.p", 6e-4},
    {"rows seen", "rows_seen_in_training", 0},
    {"parameters", "parameters", 0},
    {"MACs", "macs", 0},
    {"file bytes", "file_bytes", 60},
    {"p50 us", "latency_batch1_1thread.p50_us", 6e-3},
    {"p99 us", "latency_batch1_1thread.p99_us", 6e-3},
    {"p99 us undisturbed", "latency_batch1_1thread.undisturbed.p99_us", 6e-3},
    {"disturbed calls", "latency_batch1_1thread.disturbed", 0},
    {"rows/s", "throughput.rows_per_second", 0},
    {"J/million rows", "energy.joules_per_million", 0},
    {"cost/million rows", "cost.per_million", -6e-4},
    {"cold start us", "cold_start_us", 6e-3},
    {"peak RSS bytes", "cold_start.peak_rss_bytes", 60}};
enum { COLUMNS = sizeof column / sizeof column[0] };

static double number_at(const cJSON *j, const char *path)
{
    char text[64], *save = NULL;
    snprintf(text, sizeof text, "%s", path);
    for (char *s = strtok_r(text, ".", &save); s; s = strtok_r(NULL, ".", &save)) j = get(j, s);
    return cJSON_IsNumber(j) ? j->valuedouble : NAN;
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

static int column_of(const char *title)
{
    for (int c = 0; c < COLUMNS; c++) if (strcmp(column[c].title, title) == 0) return c;
    return -1;
}

/* The text of a cell against the number: "-" for none, K, M and G for thousands; exact: as many digits as there are. */
static void check_cell(const cJSON *model, int c, const char *text, int exact)
{
    double want_value = number_at(model, column[c].path), limit = exact ? 0 : column[c].limit;
    char *end;
    if (!isfinite(want_value)) {
        if (*text && strcmp(text, "-")) fail_msg("%s: '%s' where there is no number", column[c].title, text);
        return;
    }
    double got = strtod(text, &end);
    if (end == text) fail_msg("%s: '%s' is no number", column[c].title, text);
    while (*end == ' ') end++;
    got *= *end == 'K' ? 1e3 : *end == 'M' ? 1e6 : *end == 'G' ? 1e9 : 1;
    if (limit < 0) limit *= -want_value;
    if (!exact && want_value >= 100) limit += 0.006 * want_value;
    check_close(column[c].title, got, want_value, limit, 1e-14);
}

static void check_csv(const cJSON *e, const char *text)
{
    int at_column[32], columns = 0;
    const char *line = text;
    assert_true(strncmp(line, "model,", 6) == 0);
    for (const char *p = line + 6; p[-1] != '\n'; p += strcspn(p, ",\n") + 1) {
        char title[40];
        snprintf(title, sizeof title, "%.*s", (int)strcspn(p, ",\n"), p);
        at_column[columns++] = column_of(title);
        assert_true(at_column[columns - 1] >= 0);
    }
    assert_int_equal(columns, COLUMNS);
    for (int i = 0; i < MODELS; i++) {
        line = strchr(line, '\n') + 1;
        const char *p = strchr(line, ',') + 1;
        assert_int_equal(line[0], "abc"[i]);
        for (int c = 0; c < columns; c++, p += strcspn(p, ",\n") + 1) {
            char cell[40];
            snprintf(cell, sizeof cell, "%.*s", (int)strcspn(p, ",\n"), p);
            check_cell(model_of(e, i), at_column[c], cell, 1);
        }
    }
}

/* The cells between open and close, without tags and small type, into cell; returns how many. */
static int cells(const char *line, const char *end, const char *open, char cell[32][64])
{
    int n = 0;
    for (const char *p = strstr(line, open); p && p < end; p = strstr(p, open)) {
        p += strlen(open);
        size_t m = strcspn(p, "<|");
        while (m && isspace((unsigned char)p[m - 1])) m--;
        while (m && isspace((unsigned char)*p)) p++, m--;
        snprintf(cell[n++], 64, "%.*s", (int)m, p);
        p += m;
    }
    return n;
}

static void check_markdown(const cJSON *e, const char *text)
{
    char title[32][64], cell[32][64];
    const char *head = strstr(text, "\n| model |") + 1, *line = strchr(head, '\n') + 1;
    int n = cells(head, line, "|", title);
    for (int i = 0; i < MODELS; i++) {
        line = strchr(line, '\n') + 1;
        assert_int_equal(cells(line, strchr(line, '\n'), "|", cell), n);
        assert_int_equal(cell[0][0], "abc"[i]);
        for (int k = 1; k + 1 < n; k++) check_cell(model_of(e, i), column_of(title[k]), cell[k], 0);
    }
}

/* Both tables of the page; together they show every column that has a number. */
static void check_page(const cJSON *e, const char *text)
{
    int shown = 0;
    for (int t = 0; t < 2; t++) {
        char title[32][64], cell[32][64];
        text = strstr(text, "<table><tr><th>model</th>");
        const char *line = strstr(text, "</tr>");
        int n = cells(text, line, "<th>", title);
        for (int i = 0; i < MODELS; i++) {
            const char *end = strstr(line + 1, "</tr>");
            assert_int_equal(cells(line, end, "<td>", cell), n);
            assert_int_equal(cell[0][0], "abc"[i]);
            for (int k = 1; k < n; k++) check_cell(model_of(e, i), column_of(title[k]), cell[k], 0);
            line = end;
        }
        shown += n - 1;
        text = line;
    }
    int want = 0;
    for (size_t k = 0; k < COLUMNS; k++) {
        int any = 0;
        for (int i = 0; i < MODELS; i++) any |= isfinite(number_at(model_of(e, i), column[k].path));
        want += any;
    }
    assert_true(want >= (int)COLUMNS - 3);         /* energy cannot be read everywhere; nothing is started cold here */
    assert_int_equal(shown, want);
}

static void check_terminal(const cJSON *e)
{
    char *table = rt_report_table(e), wants[64];
    for (int i = 0; i < MODELS; i++) {
        snprintf(wants, sizeof wants, "%.4f", number_at(model_of(e, i), "accuracy"));
        char *line = table;
        for (int k = 0; k <= i; k++) line = strchr(line, '\n') + 1;
        assert_int_equal(*line, "abc"[i]);
        assert_non_null(strstr(line, wants));
    }
    for (const cJSON *n = get(e, "notes")->child; n; n = n->next) assert_non_null(strstr(table, n->valuestring));
    assert_non_null(strstr(table, "compare with a (the teacher)"));
    free(table);
}

static void forms(void **state)
{
    (void)state;
    cJSON *e, *json, *c = config_of("a.h5", "b.h5 c.h5", "data.h5");
    override(c, "eval={\"latency_samples\": 700, \"seconds\": 0.02, \"rounds\": 3, \"price_per_hour\": 2}");
    override(c, "speed.seconds=0");
    check_ok(evaluate(c, at("forms"), 0, &e));
    char *csv = slurp(at("forms/report.csv")), *md = slurp(at("forms/report.md")),
         *page = slurp(at("forms/report.html"));
    check_ok(rt_json_file(&json, at("forms/evaluation.json")));
    assert_string_equal(cJSON_GetStringValue(get(e, "report")), at("forms/report.html"));
    cJSON_DeleteItemFromObjectCaseSensitive(e, "report");
    assert_true(cJSON_Compare(e, json, 1));
    check_csv(json, csv);
    check_markdown(json, md);
    check_page(json, page);
    check_terminal(json);
    for (const cJSON *n = get(json, "notes")->child; n; n = n->next) {
        char plain[64];                        /* up to what a form escapes */
        snprintf(plain, sizeof plain, "%.*s", (int)strcspn(n->valuestring, "<>&'\"|`*_[]\\"), n->valuestring);
        assert_non_null(strstr(page, plain));
        assert_non_null(strstr(md, plain));
    }
    assert_non_null(strstr(page, "compare with a (the teacher)"));
    assert_null(strstr(page, "nan"));
    free(csv);
    free(md);
    free(page);
    cJSON_Delete(json);
    cJSON_Delete(e);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static rt_status run_into(const char *out, int force)
{
    cJSON *e;
    rt_status st = evaluate(config_of("", "a.h5", "data.h5"), out, force, &e);
    cJSON_Delete(e);
    return st;
}

static void keeps_foreign_files(void **state)
{
    (void)state;
    static const char *const file[] = {"evaluation.json", "report.md", "report.csv", "report.html", "report.xxh128"};
    for (int i = 0; i < 5; i++) {
        char folder[32], name[64], *text;
        snprintf(folder, sizeof folder, "foreign%d", i);
        mkdir(at(folder), 0777);
        snprintf(name, sizeof name, "%s/%s", folder, file[i]);
        write_text(at(name), "mine\n");
        for (int force = 0; force < 2; force++)
            check_fails(run_into(at(folder), force), RT_USAGE, "was not written by an evaluation");
        assert_string_equal(text = slurp(at(name)), "mine\n");
        free(text);
    }
}

static void replaces_its_own(void **state)
{
    (void)state;
    static const char *const file[] = {"own/evaluation.json", "own/report.md", "own/report.csv", "own/report.html"};
    check_ok(run_into(at("own"), 0));
    check_ok(run_into(at("own"), 0));
    for (int i = 0; i < 4; i++) {
        FILE *f = fopen(at(file[i]), "a");
        fputs(" ", f);
        fclose(f);
        check_fails(run_into(at("own"), 0), RT_USAGE, strchr(file[i], '/') + 1);
        check_ok(run_into(at("own"), 1));
        unlink(at(file[i]));
        check_ok(run_into(at("own"), 0));
    }
    write_text(at("own/notes.txt"), "mine\n");
    check_ok(run_into(at("own"), 0));
    char *text = slurp(at("own/notes.txt"));
    assert_string_equal(text, "mine\n");
    free(text);
}

/* Links and folders are never replaced, folders that cannot be made are found before the work; a folder that was made
 * for nothing goes again. */
static void places(void **state)
{
    (void)state;
    char *text;
    write_text(at("elsewhere.md"), "mine\n");
    mkdir(at("linked"), 0777);
    assert_int_equal(symlink(at("elsewhere.md"), at("linked/report.md")), 0);
    for (int force = 0; force < 2; force++)
        check_fails(run_into(at("linked"), force), RT_USAGE, "no regular file");
    assert_string_equal(text = slurp(at("elsewhere.md")), "mine\n");
    free(text);
    double start = rt_seconds();
    cJSON *e, *c = config_of("", "a.h5", "data.h5");
    override(c, "eval={\"latency_samples\": 1000000, \"seconds\": 60}");
    check_fails(evaluate(c, at("elsewhere.md/x"), 0, &e), RT_USAGE, "elsewhere.md");
    check_fails(run_into(at("elsewhere.md"), 0), RT_USAGE, "not a folder");
    assert_true(rt_seconds() - start < 5);
    c = config_of("", "none.h5", "data.h5");
    check_fails(evaluate(c, at("early"), 0, &e), RT_INPUT, "none.h5");
    struct stat s;
    assert_true(stat(at("early"), &s) != 0);
    rt_report *r;
    check_ok(rt_report_open(&r, &(rt_target){.path = at("own")}, NULL));
    pid_t child = fork();
    if (child == 0) {
        rt_report *other;
        rt_status st = rt_report_open(&other, &(rt_target){.path = at("own")}, NULL);
        _exit(st == RT_RUN && strstr(rt_error_message(), "another process") ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    rt_report_close(r);
    check_ok(run_into(at("own"), 0));
}

/* A baseline and a candidate whose numbers all differ: each form shows each where it belongs. */
static void pair_forms(void **state)
{
    static const char form[] =
        "{\"comparison\": {\"confidence\": 0.9, \"rows\": 640, \"baseline\": {\"name\": \"old\"}, \"candidate\": "
        "{\"name\": \"new\"}, \"heads\": [{\"name\": \"y\", \"task\": \"classes\", \"metrics\": [{\"metric\": "
        "\"accuracy\", \"status\": \"measured\", \"baseline\": 0.81, \"candidate\": 0.72, \"drop\": 0.09, \"lo\": "
        "0.05, \"hi\": 0.13, \"p\": 0.002, \"b\": 70, \"c\": 12, \"method\": \"a score\"}, {\"metric\": \"nll\", "
        "\"status\": \"measured\", \"baseline\": 0.61, \"candidate\": 0.52, \"drop\": -0.09, \"lo\": -0.13, \"hi\": "
        "-0.05, \"p\": 0.003}, {\"metric\": \"ece\", \"status\": \"measured\", \"baseline\": 0.11, \"candidate\": "
        "0.12, \"drop\": 0.01, \"lo\": -0.02, \"hi\": 0.03, \"p\": 0.4}, {\"metric\": \"auc\", \"status\": "
        "\"undefined\", \"reason\": \"one class\"}], \"per_class\": [{\"name\": \"cat\", \"rows\": 33, \"recall\": "
        "{\"baseline\": 0.41, \"candidate\": 0.31, \"drop\": 0.1, \"lo\": 0.04, \"hi\": 0.16}, \"precision\": "
        "{\"drop\": 0.21}, \"f1\": {\"drop\": 0.15}}], \"confusion_difference\": {\"pairs\": [{\"truth\": \"cat\", "
        "\"answer\": \"dog\", \"baseline\": 4, \"candidate\": 9}]}, \"slices_compared\": 17, \"slices\": "
        "[{\"metric\": \"accuracy\", \"column\": \"country\", \"value\": \"DE\", \"n\": 55, \"baseline\": 0.62, "
        "\"candidate\": 0.6, \"drop\": 0.02, \"lo\": -0.01, \"hi\": 0.06, \"p_worse\": 0.1, \"p_worse_holm\": "
        "0.7}], \"found\": [{\"slice\": [\"a = 1\", \"b = 2\"], \"rows\": 90, \"searched\": {\"n\": 44, \"drop\": "
        "0.3}, \"confirmed\": {\"n\": 46, \"baseline\": 0.92, \"candidate\": 0.7, \"drop\": 0.22, \"lo\": 0.12, "
        "\"hi\": 0.33}, \"p_worse\": 0.0001, \"p_worse_holm\": 0.0004}], \"flips_counted\": 82, \"flips\": "
        "[{\"id\": \"r7\", \"flip\": \"negative\", \"truth\": \"cat\", \"baseline\": \"cat\", \"candidate\": "
        "\"dog\", \"baseline_confidence\": 0.66, \"candidate_confidence\": 0.77, \"values\": [3, 0.5]}]}]}}";
    static const char *const plain[] = {
        "baseline old, candidate new: 640 rows; drop: baseline minus candidate in the bad direction, 90 % interval\n",
        "\naccuracy              0.8100    0.7200    0.0900       0.0500 to 0.1300   70 : 12 worse\n",
        "\nnll                   0.6100    0.5200   -0.0900     -0.1300 to -0.0500         - better\n",
        "\nece                   0.1100    0.1200    0.0100      -0.0200 to 0.0300         - not told apart\n",
        "\nworse on a = 1 and b = 2: 90 rows, drop 0.2200 (0.1200 to 0.3300), p 0.0004 (Holm)\n"};
    static const char *const marked[] = {
        "\nBaseline old, candidate new: 640 rows; ",
        "\n| accuracy | 0.8100 | 0.7200 | 0.0900 | 0.0500 to 0.1300 | 0.002 | 70 : 12 | worse |\n",
        "\n| auc | - | - | - | - | - | - | one class |\n", "drop 0.2200 (0.1200 to 0.3300), p 0.0004 (Holm)\n"};
    static const char *const page[] = {
        "<p class=\"sum bad\">accuracy 0.8100 &rarr; 0.7200, drop 0.0900 (0.0500 to 0.1300): the candidate is "
        "worse</p>",
        "<tr><td>accuracy</td><td>0.8100<b>baseline</b></td><td>0.7200<b>candidate</b></td><td "
        "class=\"bad\">0.0900<b>drop</b></td><td>0.0500 to 0.1300<b>interval</b></td><td>0.002<b>p of no "
        "drop</b></td><td>70 : 12<b>b : c</b></td><td>a score<b>method</b></td><td class=\"x\">worse</td></tr>",
        "<td class=\"good\">-0.0900<b>drop</b></td>",
        "intervals are of 90 %.",
        "<tr><td>cat</td><td>33<b>rows</b></td><td>0.4100<b>recall, baseline</b></td><td>0.3100<b>recall, "
        "candidate</b></td><td class=\"bad\">0.1000<b>drop</b></td><td>0.0400 to "
        "0.1600<b>interval</b></td><td>0.2100<b>drop of precision</b></td><td>0.1500<b>drop of F1</b></td></tr>",
        "<tr><td>cat</td><td>dog<b>answered with</b></td><td>4<b>baseline</b></td><td>9<b>candidate</b></td><td "
        "class=\"bad\">+5<b>difference</b></td></tr>",
        "<tr><td>country = DE</td><td>55<b>rows</b></td><td>0.6200<b>baseline</b></td><td>0.6000<b>candidate</b></td"
        "><td>0.0200<b>drop</b></td><td>-0.0100 to 0.0600<b>interval</b></td><td>0.7<b>p (Holm)</b></td></tr>",
        "<tr><td>a = 1 and b = 2</td><td>46<b>rows</b></td><td>0.9200<b>baseline</b></td><td>0.7000<b>candidate</b><"
        "/td><td class=\"bad\">0.2200<b>drop</b></td><td>0.1200 to 0.3300<b>interval</b></td><td>0.0004<b>p "
        "(Holm)</b></td>",
        "1 of 82: first",
        "<code>3 0.5</code>",
        "<div>truth <b>cat</b></div><div>baseline cat 0.66</div><div>candidate dog 0.77</div><small>r7</small>"};
    (void)state;
    cJSON *e = cJSON_Parse(form);
    assert_non_null(e);
    rt_string text[3] = {{0}};
    rt_put_pair(&text[0], RT_FORM_PLAIN, e);
    rt_put_pair(&text[1], RT_FORM_MARKDOWN, e);
    rt_put_pair_banner(&text[2], e);
    rt_put_pair_page(&text[2], e);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strstr(text[0].p, plain[i])) fail_msg("not on the terminal: %s\n%s", plain[i], text[0].p);
    for (size_t i = 0; i < sizeof marked / sizeof *marked; i++)
        if (!strstr(text[1].p, marked[i])) fail_msg("not in Markdown: %s\n%s", marked[i], text[1].p);
    for (size_t i = 0; i < sizeof page / sizeof *page; i++)
        if (!strstr(text[2].p, page[i])) fail_msg("not on the page: %s\n%s", page[i], text[2].p);
    assert_null(strstr(text[0].p, "auc"));             /* what is not defined is left out there */
    for (int i = 0; i < 3; i++) free(text[i].p);
    cJSON_Delete(e);
}

/* User text stays text in every form. */
static void hostile_names(void **state)
{
    (void)state;
    cJSON *e, *c = config_of("", "a.h5 b.h5", "data.h5");
    override(c, "names=[\"<script>x</script>\", \"=cmd|calc\"]");
    check_ok(evaluate(c, at("hostile"), 0, &e));
    char *csv = slurp(at("hostile/report.csv")), *md = slurp(at("hostile/report.md")),
         *page = slurp(at("hostile/report.html"));
    assert_null(strstr(page, "<script>"));
    assert_non_null(strstr(page, "&lt;script&gt;"));
    assert_null(strstr(md, "<script>"));
    assert_non_null(strstr(csv, "\"'=cmd|calc\""));
    free(csv);
    free(md);
    free(page);
    cJSON_Delete(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(keeps_foreign_files),
                                       cmocka_unit_test(replaces_its_own), cmocka_unit_test(places),
                                       cmocka_unit_test(pair_forms), cmocka_unit_test(hostile_names)};
    return cmocka_run_group_tests(tests, make_models, remove_test_folder);
}
