/* The forms of a verdict: what each says, and that text of others is inert in all of them. */
#include <sys/stat.h>

#include "data/json.h"
#include "experiments/gate/gate_parts.h"
#include "tests/hostile_strings.h"

/* A verdict of each outcome as the gate tells it, with `text` in the place of all that a user or a file names. */
static cJSON *verdict(const char *text, const char *mode)
{
    static const char form[] =
        "{\"format\": \"retort-verdict-1\", \"verdict\": \"regression\", \"exit_code\": 1, \"tool\": \"retort\","
        " \"time\": \"2026-11-26T10:00:00Z\", \"confidence\": 0.95, \"rows\": 10000,"
        " \"baseline\": {\"sha256\": \"8bac0011223344\"}, \"candidate\": {\"sha256\": \"9cde0011223344\"},"
        " \"limits\": ["
        "{\"bound\": \"max_drop\", \"limit\": 0.005, \"outcome\": \"regression\", \"value\": 0.0137, \"lo\": 0.0101,"
        " \"hi\": 0.0173, \"baseline\": 0.915, \"candidate\": 0.9013, \"n\": 10000, \"b\": 300, \"c\": 163,"
        " \"power\": {\"detects\": 0.011, \"undecided_if_unchanged\": 0.38}},"
        "{\"bound\": \"max_drop\", \"limit\": 0.03, \"outcome\": \"undecided\", \"value\": 0.02, \"lo\": 0.01,"
        " \"hi\": 0.04, \"baseline\": 0.9, \"candidate\": 0.88, \"n\": 500, \"b\": 20, \"c\": 10},"
        "{\"bound\": \"max_ratio\", \"limit\": 1.1, \"outcome\": \"not measured\", \"value\": null, \"lo\": null,"
        " \"hi\": null, \"baseline\": null, \"candidate\": null, \"n\": 0},"
        "{\"bound\": \"max\", \"limit\": 0.02, \"outcome\": \"regression\", \"value\": 0.03, \"lo\": 0.025,"
        " \"hi\": 0.036, \"baseline\": null, \"candidate\": 0.03, \"n\": 10000, \"b\": 300, \"c\": 163,"
        " \"waiver\": {\"until\": \"2027-01-31\"}},"
        "{\"bound\": \"max_drop\", \"limit\": 0.03, \"outcome\": \"listed\", \"value\": null, \"lo\": null,"
        " \"hi\": null, \"baseline\": null, \"candidate\": null, \"n\": 7},"
        "{\"bound\": \"max_us\", \"limit\": 500, \"outcome\": \"pass\", \"value\": 120, \"lo\": 110, \"hi\": 130,"
        " \"baseline\": 118, \"candidate\": 120, \"n\": 8000}]}";
    cJSON *v = cJSON_Parse(form);
    assert_non_null(v);
    cJSON_AddStringToObject(v, "mode", mode);
    cJSON *head = cJSON_Parse(
        "{\"task\": \"classes\", \"per_class\": [{\"rows\": 71, \"recall\": {\"baseline\": 0.25, \"candidate\": 0.125,"
        " \"drop\": 0.125, \"lo\": 0.0625, \"hi\": 0.1875}}], \"flips_counted\": 1, \"flips\": [{\"flip\":"
        " \"negative\", \"baseline_confidence\": 0.75, \"candidate_confidence\": 0.5}]}");
    assert_non_null(head);
    static const char *const named[] = {"id", "truth", "baseline", "candidate"};
    for (int i = 0; i < 4; i++) cJSON_AddStringToObject(cJSON_GetObjectItem(head, "flips")->child, named[i], text);
    cJSON_AddStringToObject(cJSON_GetObjectItem(head, "per_class")->child, "name", text);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(v, "heads"), head);
    cJSON *policy = cJSON_AddObjectToObject(v, "policy"), *machine = cJSON_AddObjectToObject(v, "machine");
    cJSON_AddStringToObject(policy, "note", text);
    cJSON_AddStringToObject(v, "command", text);
    cJSON_AddStringToObject(machine, "cpu", text);
    cJSON_AddStringToObject(cJSON_GetObjectItem(v, "baseline"), "name", text);
    cJSON_AddStringToObject(cJSON_GetObjectItem(v, "candidate"), "name", text);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(v, "refused"), cJSON_CreateString(text));
    cJSON_AddItemToArray(cJSON_AddArrayToObject(v, "notes"), cJSON_CreateString(text));
    for (cJSON *l = cJSON_GetObjectItem(v, "limits")->child; l; l = l->next) {
        cJSON *waiver = cJSON_GetObjectItem(l, "waiver");
        char name[256];
        snprintf(name, sizeof name, "recall class=%s", text);
        cJSON_AddStringToObject(l, "name", name);
        cJSON_AddStringToObject(l, "metric", "recall");
        if (!cJSON_IsNumber(cJSON_GetObjectItem(l, "value"))) cJSON_AddStringToObject(l, "reason", text);
        if (waiver) cJSON_AddStringToObject(waiver, "reason", text);
    }
    return v;
}

static char *junit_of(const cJSON *v)
{
    rt_string t = {0};
    rt_gate_junit(&t, v);
    assert_false(t.failed);
    return t.p;
}

static char *page_of(const cJSON *v)
{
    rt_string t = {0};
    rt_gate_page(&t, v);
    assert_false(t.failed);
    return t.p;
}

/* XML 1.0, section 2.2, production 2, of text that is UTF-8: no control but tab and line ends, and no U+FFFE, U+FFFF.
 */
static void check_xml_characters(const char *text)
{
    check_inert("junit.xml", text, "\n");
    assert_null(strstr(text, "\357\277\276"));
    assert_null(strstr(text, "\357\277\277"));
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* No two cases of a name, and one failure at most in each. */
static void check_cases(const char *xml)
{
    char *name[16];
    int n = 0;
    for (const char *p = xml; (p = strstr(p, " name=\"")); p++) {
        if (strncmp(p - strlen(" classname=\"retort.gate\""), " classname", 10)) continue;
        name[n++] = strndup(p, (size_t)(strchr(p + 7, '"') - p));
    }
    assert_int_equal(n, 7);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) assert_string_not_equal(name[i], name[k]);
    for (int i = 0; i < n; i++) free(name[i]);
}

/* "::error title=...::text": the title ends at the first "::", and holds neither ':' nor ','. */
static void check_commands(const char *text, int lines)
{
    int n = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') + 1, n++) {
        const char *title = strstr(p, " title="), *end = strchr(p, '\n');
        assert_true(!strncmp(p, "::error ", 8) || !strncmp(p, "::warning ", 10) || !strncmp(p, "::notice ", 9));
        const char *colon = strchr(title, ':');
        assert_true(colon < end && colon[1] == ':' && (!strchr(title, ',') || strchr(title, ',') > colon));
        for (const char *c = p; c < end; c++)
            if (*c == '%') assert_true(strchr("0123", c[1]) && strchr("0123456789ABCDEF", c[2]));
    }
    assert_int_equal(n, lines);
}

static void hostile(void **state)
{
    (void)state;
    static const char *const more[] = {"::error::x", "::stop-commands::x", "%0A::error::x", "##[error]x", "a,b:c%3A",
                                       "\357\277\276", "\357\277\277", "<![CDATA[ x ]]>", "<!-- retort-gate -->"};
    enum { MORE = sizeof more / sizeof more[0] };
    cJSON *plain = verdict("name", "noninferior");
    char *screen = rt_gate_screen(plain), *md = rt_gate_markdown(plain), *xml = junit_of(plain);
    char *page = page_of(plain), *signs = signs_of(md), *tags = tags_of(xml), *page_tags = tags_of(page), room[128];
    assert_true(HOSTILE + MORE >= 200);
    for (int i = 0; i < HOSTILE + MORE; i++) {
        const char *text = i < HOSTILE ? hostile_string(i, room) : more[i - HOSTILE];
        cJSON *v = verdict(text, "noninferior");
        char *got = rt_gate_screen(v), *marks;
        check_inert("terminal", got, "\n");
        assert_int_equal(lines_of(got), lines_of(screen));
        free(got);
        got = rt_gate_markdown(v);
        marks = signs_of(got);
        check_inert("gate.md", got, "\n");
        assert_int_equal(count(got, "<!-- retort-gate -->"), 1);
        if (strcmp(marks, signs) && *text) fail_msg("gate.md has other signs with '%s': %s", text, got);
        free(got);
        free(marks);
        got = junit_of(v);
        marks = tags_of(got);
        check_xml_characters(got);
        check_cases(got);
        if (strcmp(marks, tags) && *text) fail_msg("junit.xml has other tags with '%s': %s", text, got);
        free(got);
        free(marks);
        got = page_of(v);
        marks = tags_of(got);
        check_inert("gate.html", got, "\n\t");
        if (strcmp(marks, page_tags)) fail_msg("gate.html has other tags with '%s': %s", text, got);
        free(got);
        free(marks);
        got = rt_gate_annotations(v);
        check_inert("annotations", got, "\n");
        check_commands(got, 5);
        free(got);
        cJSON_Delete(v);
    }
    free(screen);
    free(md);
    free(xml);
    free(signs);
    free(tags);
    free(page);
    free(page_tags);
    cJSON_Delete(plain);
}

/* All documents at once, by a parser of somebody else. */
static void well_formed(void **state)
{
    (void)state;
    char path[64], command[128], room[128];
    if (system("command -v xmllint > /dev/null")) skip();
    for (int i = 0; i < HOSTILE; i++) {
        cJSON *v = verdict(hostile_string(i, room), i % 2 ? "proven" : "noninferior");
        char *xml = junit_of(v);
        snprintf(path, sizeof path, "%s/%d.xml", test_folder, i);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(xml, f);
        fclose(f);
        free(xml);
        cJSON_Delete(v);
    }
    snprintf(command, sizeof command, "xmllint --noout %s/*.xml", test_folder);
    assert_int_equal(system(command), 0);
}

/* One screen, however much there is to say. */
static void one_screen(void **state)
{
    (void)state;
    cJSON *v = verdict("six", "noninferior"), *limits = cJSON_GetObjectItem(v, "limits");
    for (int i = 0; i < 300; i++) {
        cJSON_AddItemToArray(limits, cJSON_Duplicate(limits->child, 1));
        cJSON_AddItemToArray(cJSON_GetObjectItem(v, "notes"), cJSON_CreateString("a note"));
        cJSON_AddItemToArray(cJSON_GetObjectItem(v, "refused"), cJSON_CreateString("a reason"));
    }
    char *screen = rt_gate_screen(v);
    assert_int_equal(lines_of(screen), 24);
    assert_non_null(strstr(screen, "and 294 more, in verdict.json"));
    assert_non_null(strstr(screen, "note: and 298 more, in verdict.json"));              /* of 301, three are shown */
    assert_non_null(strstr(screen, "not comparable: and 299 more, in verdict.json"));    /* and two */
    free(screen);
    cJSON_Delete(v);
}

/* What each form tells of a regression: value, interval, limit, b and c. */
static void says(void **state)
{
    (void)state;
    cJSON *v = verdict("six", "noninferior");
    char *screen = rt_gate_screen(v), *md = rt_gate_markdown(v), *xml = junit_of(v), *notes = rt_gate_annotations(v);
    assert_int_equal(strncmp(md, "<!-- retort-gate -->\n## REGRESSION: ", 35), 0);
    assert_int_equal(strncmp(screen, "REGRESSION: six (9cde0011) against six (8bac0011)\n", 48), 0);
    assert_non_null(strstr(screen,
                           "10000 rows, 95 %, noninferior: 1 regression, 1 not measured, 1 undecided, 1 waived, "
                           "1 pass, 1 listed"));
    static const char *const detail = "drop 0.0137 [0.0101, 0.0173], limit max_drop 0.005; baseline 0.915, candidate "
                                      "0.9013; n 10000, b 300, c 163";
    assert_non_null(strstr(notes, detail));
    assert_non_null(strstr(xml, detail));
    assert_non_null(
        strstr(xml, "<testsuite name=\"retort gate\" tests=\"7\" failures=\"4\" errors=\"0\" skipped=\"2\""));
    assert_int_equal(count(xml, "<failure "), 4);
    assert_non_null(strstr(xml, "waived until 2027-01-31: six"));
    assert_non_null(strstr(md, "waived until 2027-01-31: six"));
    static const char *const rows[] = {
        "\n| **regression** | recall class=six | 0.915 | 0.9013 | 0.0137 | [0.0101, 0.0173] | max_drop 0.005 | 10000 | "
        "300, 163 |\n| **not measured** | recall class=six | - | - | - |  | max_ratio 1.1 | 0 |  |\n",
        "| **undecided** | recall class=six | 0.9 | 0.88 | 0.02 | [0.01, 0.04] | max_drop 0.03 | 500 | 20, 10 |\n",
        "| **waived** | recall class=six | - | 0.03 | 0.03 | [0.025, 0.036] | max 0.02 | 10000 | 300, 163 |\n",
        "| pass | recall class=six | 118 | 120 | 120 | [110, 130] | max_us 500 | 8000 |  |\n| listed | "};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strstr(md, rows[i])) fail_msg("not in gate.md: %s of %s", rows[i], md);
    assert_non_null(strstr(md, "| 0.011 | 38 % |"));
    char *page = page_of(v);                       /* the verdict is the first that it says */
    const char *banner = strstr(page, "</h1>");
    static const char first[] = "</h1><p class=\"sum bad\">REGRESSION: 1 regression, 1 not measured, 1 undecided, ";
    assert_int_equal(strncmp(banner, first, sizeof first - 1), 0);
    static const char *const cells[] = {"<td class=\"bad\">regression<b>", "0.915<b>baseline", "0.9013<b>candidate",
                                        "0.0137<b>", "[0.0101, 0.0173]<b>", "max_drop 0.005<b>", "10000<b>n",
                                        "300, 163<b>", "<td>0.011<b>", "<td>38 %<b>",
                                        "<td>six</td><td>71<b>rows</b></td><td>0.2500<b>recall, baseline</b></td>"
                                        "<td>0.1250<b>recall, candidate</b></td><td class=\"bad\">0.1250<b>drop</b>"
                                        "</td><td>0.0625 to 0.1875<b>interval</b></td></tr>",
                                        "<div>baseline six 0.75</div><div>candidate six 0.50</div>"};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        if (!strstr(page, cells[i])) fail_msg("not on the page: %s", cells[i]);
    assert_non_null(strstr(page, "waived until 2027-01-31: six"));
    free(page);
    assert_int_equal(count(notes, "::error "), 3);
    assert_int_equal(count(notes, "::warning "), 1);
    assert_int_equal(count(notes, "::notice "), 1);
    free(xml);
    cJSON_Delete(v);
    v = verdict("six", "proven");                  /* what is undecided does not fail there */
    xml = junit_of(v);
    assert_int_equal(count(xml, "<failure "), 3);
    free(screen);
    free(md);
    free(xml);
    free(notes);
    /* A drop that is a share of the baseline's value says so; a confidence that rounds to 100 % is told by its
     * distance. */
    cJSON_ReplaceItemInObject(cJSON_GetObjectItem(v, "limits")->child, "bound", cJSON_CreateString("max_drop_rel"));
    cJSON_SetNumberValue(cJSON_GetObjectItem(v, "confidence"), 0.9999975);
    screen = rt_gate_screen(v), md = rt_gate_markdown(v), notes = rt_gate_annotations(v);
    assert_non_null(strstr(notes, "::relative drop 0.0137 [0.0101, 0.0173], limit max_drop_rel 0.005;"));
    assert_non_null(strstr(screen, "10000 rows, 1 - 2.5e-06, proven: "));
    assert_non_null(strstr(md, "10000 rows, 1 - 2.5e-06, proven: "));
    free(screen);
    free(md);
    free(notes);
    cJSON_Delete(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hostile), cmocka_unit_test(well_formed),
                                       cmocka_unit_test(one_screen), cmocka_unit_test(says)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
