/* A metric over the versions of a registry: the numbers of its JSON, and a page on which no line joins what cannot be
 * compared and text of others is inert. */
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/registry/history.h"
#include "experiments/statistics/statistics.h"
#include "student/model.h"
#include "tests/hostile_strings.h"

enum { VERSIONS = 7 };

static const char *at(const char *name)
{
    static char room[8][160];
    static int turn;
    char *p = room[turn++ % 8];
    snprintf(p, sizeof room[0], "%s/%s", test_folder, name);
    return p;
}

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

static const char *text_of(const cJSON *j, const char *key)
{
    const char *t = cJSON_GetStringValue(get(j, key));
    return t ? t : "";
}

static double number(const cJSON *j, const char *key)
{
    const cJSON *n = get(j, key);
    return cJSON_IsNumber(n) ? n->valuedouble : NAN;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- a registry ---- */

static char digest[VERSIONS + 1][40], sha256[VERSIONS + 1][72];

static void add_version(rt_registry *r, int i)
{
    cJSON *j, *arch;
    rt_model *m;
    static const char text[] = "{\"input\":[4],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":3}]}";
    check_ok(rt_json_parse(&arch, text, strlen(text), "arch"));
    check_ok(rt_model_new(&m, arch, (uint64_t)i));
    check_ok(rt_model_save(m, at("model.h5")));
    rt_model_free(m);
    cJSON_Delete(arch);
    rt_registry_adding x = {.name = "student", .model = at("model.h5"), .note = i == 3 ? "third" : NULL};
    check_ok(rt_registry_add(r, &x, &j));
    snprintf(digest[i], sizeof digest[i], "%s", text_of(j, "digest"));
    snprintf(sha256[i], sizeof sha256[i], "%s", text_of(j, "sha256"));
    cJSON_Delete(j);
}

/* On `rows` rows of a data set, on a machine with this processor. */
static void add_evaluation(rt_registry *r, int i, double accuracy, double p50, const char *data, const char *cpu)
{
    char text[1024], name[32];
    const char *file = at("evaluation.json");
    snprintf(
        text, sizeof text,
        "{\"format\": \"retort-evaluation-1\", \"tool\": \"retort\", \"data\": {\"digest\": \"%s\", \"rows\": 5000}, "
        "\"machine\": {\"cpu\": \"%s\", \"kernels\": \"avx2\", \"threads\": 2, \"time\": \"2026-11-26T10:00:0%dZ\"}, "
        "\"models\": [{\"name\": \"m\", \"digest\": \"%s\", \"accuracy\": %.4f, \"accuracy_95\": [%.4f, %.4f], "
        "\"latency_batch1_1thread\": {\"p50_us\": %.2f}, \"parameters\": 15, \"nll\": 0.5, "
             "\"kl_from_teacher\": 0.1, \"odd\": 3}]}",
        data, cpu, i, digest[i], accuracy, accuracy - 0.01, accuracy + 0.01, p50);
    write_text("evaluation.json", text);
    snprintf(name, sizeof name, "student@%d", i);
    cJSON *j;
    rt_registry_adding x = {.name = name, .evaluation = &file, .evaluations = 1};
    check_ok(rt_registry_add(r, &x, &j));
    cJSON_Delete(j);
}

/* Version i against version b, and against the anchor (0: none) where it lost `drop`. */
static void add_gate(rt_registry *r, int i, int b, const char *verdict, int anchor, double drop, double recall)
{
    int64_t id;
    cJSON *v = cJSON_CreateObject(), *side, *l;
    int old = i % 2;                       /* as versions before wrote them */
    cJSON_AddStringToObject(v, "format", old ? "retort-verdict-1" : "retort-verdict-2");
    cJSON_AddStringToObject(v, "verdict", verdict);
    cJSON_AddNumberToObject(v, "exit_code", strcmp(verdict, "pass") ? 1 : 0);
    cJSON_AddNumberToObject(v, "rows", 5000);
    for (int s = 0; s < (anchor ? 3 : 2); s++) {
        static const char *const name[] = {"baseline", "candidate", "anchor"};
        int of = s == 0 ? b : s == 1 ? i : anchor;
        side = cJSON_AddObjectToObject(v, name[s]);
        cJSON_AddStringToObject(side, "sha256", sha256[of]);
        cJSON_AddStringToObject(side, old ? "model" : "model_digest", digest[of]);
        cJSON_AddStringToObject(side, old ? "data" : "data_digest", "d1");
        cJSON_AddStringToObject(side, "rows_digest", "rows1");
    }
    cJSON_AddNumberToObject(cJSON_AddObjectToObject(v, "policy"), "seed", i);
    cJSON *limits = cJSON_AddArrayToObject(v, "limits");
    for (int k = 0; k < (anchor ? 2 : 1); k++) {
        cJSON_AddItemToArray(limits, l = cJSON_CreateObject());
        cJSON_AddStringToObject(l, "name", k ? "accuracy against=anchor" : "recall class=6");
        cJSON_AddStringToObject(l, "bound", "max_drop");
        cJSON_AddNumberToObject(l, "limit", k ? 0.02 : 0.1);
        cJSON_AddNumberToObject(l, "value", k ? drop : 0.01);
        cJSON_AddNumberToObject(l, "lo", k ? drop - 0.005 : 0);
        cJSON_AddNumberToObject(l, "hi", k ? drop + 0.005 : 0.02);
        cJSON_AddNumberToObject(l, "candidate", k ? 0.9 - drop : recall);
        cJSON_AddNumberToObject(l, "n", k ? 5000 : 500);
        cJSON_AddNumberToObject(l, "b", 10);
    }
    check_ok(rt_registry_add_gate(r, v, i == 3 ? 0.0125 : NAN, &id));
    cJSON_Delete(v);
}

/* Seven versions: 1 is the anchor of 1.0 and 5 of 2.0; a new machine from 4 on, a new test set from 6 on; 7 has a gate
 * run alone. */
static int make_registry(void **state)
{
    rt_registry *r;
    cJSON *j;
    if (make_test_folder(state)) return -1;
    check_ok(rt_registry_init(at("r"), NULL, &j));
    cJSON_Delete(j);
    check_ok(rt_registry_open(&r, at("r"), 1));
    for (int i = 1; i <= VERSIONS; i++) add_version(r, i);
    add_evaluation(r, 1, 0.90, 10, "d1", "old");
    add_evaluation(r, 2, 0.89, 11, "d1", "old");
    add_evaluation(r, 3, 0.884, 12, "d1", "old");
    add_evaluation(r, 3, 0.885, 6.5, "d1", "new");
    add_evaluation(r, 3, 0.5, 12.5, "other", "old");
    add_evaluation(r, 4, 0.88, 6, "d1", "new");
    add_evaluation(r, 5, 0.87, 7, "d1", "new");
    add_evaluation(r, 6, 0.86, 8, "d2", "new");
    add_gate(r, 2, 1, "pass", 0, 0, 0.9);
    add_gate(r, 3, 2, "undecided", 1, 0.016, 0.88);
    add_gate(r, 3, 2, "undecided", 1, 0.0155, 0.88);
    add_gate(r, 4, 3, "regression", 1, 0.0245, 0.87);
    add_gate(r, 7, 5, "pass", 0, 0, 0.86);
    for (int i = 0; i < 2; i++) {
        check_ok(rt_registry_anchor(r, i ? "student@5" : "student@1", i ? "2.0" : "1.0", &j));
        cJSON_Delete(j);
    }
    rt_registry_tagging t = {.version = "student@4", .tag = "canary", .from = -1};
    check_ok(rt_registry_tag(r, &t, &j));
    cJSON_Delete(j);
    rt_registry_close(r);
    return 0;
}

static cJSON *history_of(const char *metric, int last)
{
    rt_registry *r;
    cJSON *h;
    check_ok(rt_registry_open(&r, at("r"), 0));
    check_ok(rt_history(r, "student", metric, last, &h));
    rt_registry_close(r);
    return h;
}

static const cJSON *version(const cJSON *h, int i)
{
    for (const cJSON *v = get(h, "versions")->child; v; v = v->next) if (number(v, "number") == i) return v;
    fail_msg("no version %d", i);
    return NULL;
}

/* NAN: null, or not there. */
static void check_number(const cJSON *v, const char *key, double want)
{
    double got = number(v, key);
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) < 1e-9))
        fail_msg("%s of version %.0f: %g, want %g", key, number(v, "number"), got, want);
}

/* ---- numbers ---- */

static void accuracy(void **state)
{
    (void)state;
    cJSON *h = history_of(NULL, 0);
    static const struct { double value, step, drop, lo, limit; int joined; const char *mark; } want[] = {
        {0.90, NAN, 0, NAN, NAN, 0, ""},                   {0.89, 0.01, 0.01, NAN, NAN, 1, "pass"},
        {0.885, 0.005, 0.0155, 0.0105, 0.02, 1, "undecided"}, {0.88, 0.005, 0.0245, 0.0195, 0.02, 1, "regression"},
        {0.87, 0.01, 0, NAN, NAN, 1, ""},                  {0.86, NAN, NAN, NAN, NAN, 0, ""},
        {NAN, NAN, NAN, NAN, NAN, 0, "pass"}};
    assert_string_equal(text_of(h, "metric"), "accuracy");
    assert_string_equal(text_of(h, "better"), "higher");
    assert_string_equal(text_of(h, "kind"), "quality");
    assert_int_equal(cJSON_GetArraySize(get(h, "versions")), VERSIONS);
    for (int i = 0; i < VERSIONS; i++) {
        const cJSON *v = version(h, i + 1);
        check_number(v, "value", want[i].value);
        check_number(v, "lo", want[i].value - 0.01);
        check_number(v, "hi", want[i].value + 0.01);
        check_number(v, "step", want[i].step);
        check_number(v, "drop", want[i].drop);
        check_number(v, "drop_lo", want[i].lo);
        check_number(v, "drop_limit", want[i].limit);
        assert_int_equal(cJSON_IsTrue(get(v, "joined")), want[i].joined);
        assert_string_equal(text_of(get(v, "gate"), "verdict"), want[i].mark);
    }
    /* Values where no rows were paired, pairs where they were. */
    assert_string_equal(text_of(version(h, 2), "drop_from"), "values");
    assert_string_equal(text_of(version(h, 3), "drop_from"), "pairs");
    assert_string_equal(text_of(get(version(h, 4), "anchor"), "release"), "1.0");
    assert_string_equal(text_of(get(version(h, 5), "anchor"), "release"), "2.0");
    assert_true(number(get(version(h, 6), "anchor"), "number") == 5);
    assert_string_equal(text_of(get(version(h, 3), "gate"), "baseline"), "student@2");
    check_close("alpha", number(get(version(h, 3), "gate"), "alpha"), 0.0125, 0, 0);
    assert_true(number(get(version(h, 3), "gate"), "runs") == 2);
    assert_string_equal(get(version(h, 4), "tags")->child->valuestring, "canary");
    assert_string_equal(get(version(h, 1), "releases")->child->valuestring, "1.0");
    assert_string_equal(text_of(version(h, 3), "note"), "third");
    /* The twice gated third is one decision; 0.0155 is of the newer run. */
    assert_true(number(h, "decisions") == 4);
    cJSON_Delete(h);
    h = history_of("accuracy", 3);
    assert_int_equal(cJSON_GetArraySize(get(h, "versions")), 3);
    assert_true(number(get(h, "versions")->child, "number") == 5);
    cJSON_Delete(h);
}

/* Never one line over two machines: of version 3, which was measured on both, the newest version's counts. */
static void speed(void **state)
{
    (void)state;
    cJSON *h = history_of("latency_batch1_1thread.p50_us", 0);
    static const struct { double value, step, drop; int joined;
    } want[] = {{10, NAN, 0, 0}, {11, 1, 1, 1}, {6.5, NAN, NAN, 0}, {6, -0.5, NAN, 1},
                {7, 1, 0, 1},    {8, 1, 1, 1},  {NAN, NAN, NAN, 0}};
    assert_string_equal(text_of(h, "better"), "lower");
    assert_string_equal(text_of(h, "kind"), "speed");
    for (int i = 0; i < VERSIONS; i++) {
        check_number(version(h, i + 1), "value", want[i].value);
        check_number(version(h, i + 1), "step", want[i].step);
        check_number(version(h, i + 1), "drop", want[i].drop);
        assert_int_equal(cJSON_IsTrue(get(version(h, i + 1), "joined")), want[i].joined);
    }
    const cJSON *machines = get(h, "machines");
    assert_int_equal(cJSON_GetArraySize(machines), 2);
    assert_true(number(version(h, 2), "machine") != number(version(h, 4), "machine"));
    assert_string_equal(text_of(cJSON_GetArrayItem(machines, (int)number(version(h, 2), "machine")), "cpu"), "old");
    cJSON_Delete(h);
}

/* Of gate runs, by the name of a limit, with Wilson's interval of its rows. */
static void of_gates(void **state)
{
    (void)state;
    double range[2];
    cJSON *h = history_of("recall class=6", 0);
    rt_wilson(440, 500, 0.95, range);
    check_number(version(h, 1), "value", NAN);
    check_number(version(h, 3), "value", 0.88);
    check_number(version(h, 3), "lo", range[0]);
    check_number(version(h, 7), "value", 0.86);
    check_number(version(h, 4), "step", 0.01);
    assert_string_equal(text_of(version(h, 3), "source"), "gate");
    cJSON_Delete(h);
}

/* Which way is worse, by the tables of metrics and costs; of what is in none that is said. */
static void directions(void **state)
{
    (void)state;
    static const struct { const char *metric, *better, *kind; int notes; } want[] = {
        {"nll", "lower", "quality", 0}, {"kl_from_teacher", "lower", "quality", 0}, {"parameters", "lower", "size", 0},
        {"odd", "higher", "quality", 1}, {"recall class=6", "higher", "quality", 0}};
    for (int i = 0; i < 5; i++) {
        cJSON *h = history_of(want[i].metric, 0);
        assert_string_equal(text_of(h, "better"), want[i].better);
        assert_string_equal(text_of(h, "kind"), want[i].kind);
        assert_int_equal(cJSON_GetArraySize(get(h, "notes")), want[i].notes);
        cJSON_Delete(h);
    }
}

static void refusals(void **state)
{
    (void)state;
    rt_registry *r;
    cJSON *h;
    check_ok(rt_registry_open(&r, at("r"), 0));
    check_fails(rt_history(r, "student", "acuracy", 0, &h), RT_NOTHING, "did you mean 'accuracy'?");
    assert_null(h);
    check_fails(rt_history(r, "student", "recall class=7", 0, &h), RT_NOTHING, "did you mean 'recall class=6'?");
    check_fails(rt_history(r, "studnt", NULL, 0, &h), RT_INPUT, "did you mean 'student'?");
    rt_registry_close(r);
}

/* ---- the page ---- */

static char *page_of(const cJSON *h)
{
    rt_string t = {0};
    rt_history_html(&t, h);
    assert_false(t.failed);
    return t.p;
}

/* Points of each line of the first figure, as "2 4": where lines begin and end. */
static void check_lines(const char *metric, const char *want)
{
    cJSON *h = history_of(metric, 0);
    char *page = page_of(h), got[64] = "";
    const char *end = strstr(page, "</svg>");
    for (const char *p = strstr(page, "<polyline"); p && p < end; p = strstr(p + 1, "<polyline")) {
        int n = 0;
        p = strstr(p, "points=\"") + 8;
        for (const char *c = p; *c != '"'; c++) n += *c == ',';
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", *got ? " " : "", n);
    }
    assert_string_equal(got, want);
    free(page);
    cJSON_Delete(h);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part)) n++;
    return n;
}

static void page(void **state)
{
    (void)state;
    check_lines("accuracy", "5 1");
    check_lines("latency_batch1_1thread.p50_us", "2 4");
    check_lines("parameters", "6");
    cJSON *h = history_of("accuracy", 0);
    char *html = page_of(h);
    assert_int_equal(count(html, "<svg viewBox=\"0 0 1100"), 2);           /* wide and narrow, of both figures */
    assert_int_equal(count(html, "<svg viewBox=\"0 0 460"), 2);
    assert_int_equal(count(html, "role=\"img\"><title>"), 4);
    assert_int_equal(count(html, "</title><desc>"), 4);
    assert_int_equal(count(html, "<path class=\"vr\""), 5);                /* version 4 four times, and the key */
    assert_int_equal(count(html, "class=\"gap\""), 5);
    assert_non_null(strstr(html, "another test set: the line breaks"));
    assert_non_null(strstr(html, "used for 4 decisions"));
    assert_non_null(strstr(html, "limit 0.02"));
    for (const char *const *no = (const char *const[]){"<script", "http:", "https:", "src=", "NaN", "nan", "inf", NULL};
         *no; no++)
        if (strstr(html, *no)) fail_msg("the page has '%s'", *no);
    free(html);
    cJSON_Delete(h);
    h = history_of("latency_batch1_1thread.p50_us", 0);
    html = page_of(h);
    assert_non_null(
        strstr(html, "another machine: speeds of two machines are not comparable, and the line breaks"));
    free(html);
    char *screen = rt_history_screen(h);
    assert_non_null(strstr(screen, "another machine"));
    free(screen);
    cJSON_Delete(h);
}

/* Text of others in every place of a history: the tags of a page are those of a plain one. */
static void put_everywhere(cJSON *j, const char *text)
{
    for (cJSON *e = j->child; e; e = e->next) {
        if (cJSON_IsString(e) && strcmp(e->string ? e->string : "", "kind") &&
            strcmp(e->string ? e->string : "", "verdict"))
            cJSON_SetValuestring(e, text);
        put_everywhere(e, text);
    }
}

static void hostile(void **state)
{
    (void)state;
    cJSON *h = history_of("accuracy", 0);
    char room[128], even[128], *plain, *got, *tags, *mine, *screen = rt_history_screen(h);
    cJSON_AddItemToArray(cJSON_GetObjectItem(h, "notes"), cJSON_CreateString("note"));
    for (int i = 0; i < HOSTILE; i++) {
        const char *text = hostile_string(i, room);
        if (!*text) continue;
        memset(even, 'a', sizeof even);                    /* as long, as some words stand where they have room */
        even[strlen(text)] = 0;
        cJSON *c = cJSON_Duplicate(h, 1);
        put_everywhere(c, even);
        plain = page_of(c);
        tags = tags_of(plain);
        cJSON_Delete(c);
        c = cJSON_Duplicate(h, 1);
        put_everywhere(c, text);
        got = page_of(c);
        check_inert("history.html", got, "\n");
        mine = tags_of(got);
        if (strcmp(mine, tags)) fail_msg("other tags with '%s': %s", text, got);
        free(mine);
        free(got);
        free(plain);
        free(tags);
        got = rt_history_screen(c);
        check_inert("terminal", got, "\n");
        assert_int_equal(lines_of(got), lines_of(screen) + 1);
        free(got);
        cJSON_Delete(c);
    }
    free(screen);
    cJSON_Delete(h);
}

/* A verdict that is gone is told; the rest is shown. */
static void damaged(void **state)
{
    (void)state;
    cJSON *h;
    char path[RT_FOLDER_PATH], name[72] = "";
    rt_registry *r;
    check_ok(rt_registry_open(&r, at("r"), 0));
    cJSON *shown;
    check_ok(rt_registry_show(r, "student@4", &shown));
    for (const cJSON *g = get(shown, "gate_runs")->child; g; g = g->next)
        snprintf(name, sizeof name, "%s", text_of(g, "object"));
    cJSON_Delete(shown);
    rt_registry_object(r, path, name);
    assert_int_equal(unlink(path), 0);
    check_ok(rt_history(r, "student", NULL, 0, &h));
    assert_non_null(strstr(get(h, "notes")->child->valuestring, "student@4: "));
    check_number(version(h, 4), "value", 0.88);
    assert_string_equal(text_of(get(version(h, 4), "gate"), "verdict"), "regression");
    assert_string_equal(text_of(version(h, 4), "drop_from"), "values");
    check_number(version(h, 4), "drop", 0.02);
    cJSON_Delete(h);
    rt_registry_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accuracy), cmocka_unit_test(speed), cmocka_unit_test(of_gates), cmocka_unit_test(directions),
        cmocka_unit_test(refusals), cmocka_unit_test(page),  cmocka_unit_test(hostile),  cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, make_registry, remove_test_folder);
}
