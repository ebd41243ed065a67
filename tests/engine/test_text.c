/* Text of others in each kind of output: inert, valid UTF-8, and still what it was. */
#include <cjson/cJSON.h>

#include "engine/text.h"
#include "tests/hostile_strings.h"

static char *put(void (*sink)(rt_string *, const char *), const char *text)
{
    rt_string t = {0};
    rt_put_bytes(&t, "", 0);
    sink(&t, text);
    assert_false(t.failed);
    return t.p;
}

static void equals(const char *sink, char *got, const char *want)
{
    if (strcmp(got, want)) fail_msg("%s: '%s', want '%s'", sink, got, want);
    free(got);
}

static void characters(void **state)
{
    (void)state;
    static const struct { const char *text; uint32_t c; int n; } is[] = {
        {"a", 'a', 1}, {"\177", 127, 1}, {"\302\200", 0x80, 2}, {"\337\277", 0x7ff, 2}, {"\340\240\200", 0x800, 3},
        {"\355\237\277", 0xd7ff, 3}, {"\356\200\200", 0xe000, 3}, {"\357\277\277", 0xffff, 3},
        {"\360\220\200\200", 0x10000, 4}, {"\364\217\277\277", 0x10ffff, 4}};
    int n;
    for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
        assert_int_equal(rt_character(is[i].text, &n), is[i].c);
        assert_int_equal(n, is[i].n);
    }
    /* Every lead with every second byte, and third and fourth bytes at the borders, against the grammar's ranges. */
    static const unsigned char border[] = {0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (int a = 1; a < 256; a++)
        for (int b = 0; b < 256; b++)
            for (size_t k = 0; k < 100; k++) {
                char text[5] = {(char)a, (char)b, (char)border[k / 10], (char)border[k % 10], 0};
                int want = character_bytes(text), valid = rt_character(text, &n) != RT_NO_CHARACTER;
                if (valid != (want > 0) || n != (want ? want : 1))
                    fail_msg("%02x %02x: %d bytes, want %d", a, b, n, want);
            }
}

static void lines(void **state)
{
    (void)state;
    char text[] = "a\300\257b\355\240\200c\364\220\200\200d\360\237\230\200e\303", room[128];
    rt_one_line(text);
    assert_string_equal(text, "a??b???c????d\360\237\230\200e?");
    for (int i = 0; i < HOSTILE; i++) {
        const char *s = hostile_string(i, room);
        char *want = shown_text(s), *line = strdup(s);
        rt_one_line(line);
        assert_string_equal(line, want);
        equals("plain", put(rt_put_plain, s), want);
        rt_fail(RT_INPUT, "%s: bad", s);
        check_inert("message", rt_error_message(), "");
        rt_fail_in(RT_INPUT, "%s", s);
        check_inert("message", rt_error_message(), "");
        free(line);
        free(want);
    }
    equals("plain", put(rt_put_plain, NULL), "");
}

static void padded(void **state)
{
    (void)state;
    static const struct { const char *text; int width; const char *want;
    } is[] = {{"ab", 4, "ab  "},   {"abcde", 4, "abcd"}, {"\303\244\303\244\303\244", 2, "\303\244\303\244"},
              {"\033[", 3, "?[ "}, {NULL, 2, "  "},      {"\342\200\256x", 3, "?x "}};
    for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
        rt_string t = {0};
        rt_put_padded(&t, is[i].text, is[i].width);
        equals("padded", t.p, is[i].want);
    }
}

static void html(void **state)
{
    (void)state;
    char room[128];
    for (int i = 0; i < HOSTILE; i++) {
        const char *s = hostile_string(i, room);
        char *got = put(rt_put_html, s), *want = shown_text(s);
        check_inert("HTML", got, "");
        if (strpbrk(got, "<>\"'`")) fail_msg("HTML: '%s' became '%s'", s, got);
        equals("HTML", without_references(got), want);
        free(got);
        free(want);
    }
    equals("HTML", put(rt_put_html, "<a b=\"c\" d='e'>&amp;"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;");
    equals("HTML", put(rt_put_html, NULL), "");
}

/* No sign that begins a construct stands without a backslash. */
static void check_markdown(const char *s, const char *got)
{
    size_t digits = strspn(got, "0123456789");
    check_inert("Markdown", got, "");
    for (const char *p = got; *p; p++) {
        if (*p == '\\') {
            p++;
            if (!*p || !strchr("\\`*_[]<>|#~$@{}!^&:.)-+=", *p)) fail_msg("a backslash that escapes nothing: %s", got);
        } else if (*p == '&') assert_true(strncmp(p, "&#32;", 5) == 0), p += 4;
        else if (strchr("`*_[]<>|#~$@{}!^", *p)) fail_msg("Markdown: '%s' became '%s'", s, got);
        else if (*p == ':' && p[1] && p[1] != ' ') fail_msg("Markdown: '%s' became '%s'", s, got);
    }
    if (strchr("-+=> \t", *got) && *got) fail_msg("Markdown: '%s' begins a block: '%s'", s, got);
    if (digits && strchr(".)", got[digits]) && got[digits]) fail_msg("Markdown: '%s' begins a list", got);
    if (strstr(got, "www.")) fail_msg("Markdown: '%s' is a link", got);
}

static void markdown(void **state)
{
    (void)state;
    char room[128];
    for (int i = 0; i < HOSTILE; i++) {
        const char *s = hostile_string(i, room);
        char *got = put(rt_put_markdown, s), *want = shown_text(s), *bare = calloc(strlen(got) + 1, 1), *to = bare;
        check_markdown(s, got);
        for (const char *p = got; *p; p++) *to++ = *p == '\\' ? *++p : *p == '&' ? (p += 4, ' ') : *p;
        equals("Markdown", bare, want);
        free(got);
        free(want);
    }
    equals("Markdown", put(rt_put_markdown, "data_1.h5: 3 of 5, a-b (c=d) 1.5"), "data\\_1.h5: 3 of 5, a-b (c=d) 1.5");
    equals("Markdown", put(rt_put_markdown, NULL), "");
}

/* CommonMark 6.1: a run of backquotes up to the next run of that length; one blank at each side is taken off. */
static void code(void **state)
{
    (void)state;
    char room[128];
    for (int i = 0; i < HOSTILE; i++) {
        const char *s = hostile_string(i, room);
        char *got = put(rt_put_code, s), *want = shown_text(s);
        size_t fence = strspn(got, "`"), n = strlen(got);
        check_inert("code", got, "");
        assert_true(n >= 2 * fence + 1 && fence > 0);
        for (char *p = got + fence; p < got + n;) {
            size_t run = strspn(p, "`");
            if (run == fence && p + run != got + n) fail_msg("code: '%s' ends early", got);
            p += run ? run : 1;
        }
        got[n - fence] = 0;
        char *inside = got + fence;
        size_t m = strlen(inside), blank = strspn(inside, " ");
        if (m >= 2 && inside[0] == ' ' && inside[m - 1] == ' ' && blank < m) {
            inside[m - 1] = 0;
            inside++;
        }
        if (*want && strspn(want, " ") < strlen(want) && strcmp(inside, want))
            fail_msg("code: '%s', want '%s'", inside, want);
        free(got);
        free(want);
    }
    equals("code", put(rt_put_code, "a.h5"), "`a.h5`");
    equals("code", put(rt_put_code, "a`b"), "`` a`b ``");
    equals("code", put(rt_put_code, ""), "`  `");
}

static void csv(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"cat", "cat"},
                                           {"a,b", "\"a,b\""},
                                           {"a \"b\"", "\"a \"\"b\"\"\""},
                                           {"two\nlines", "\"two lines\""},
                                           {"a\r\tb", "\"a  b\""},
                                           {"", "\"\""},
                                           {" a", "\" a\""},
                                           {"a;b", "\"a;b\""},
                                           {"a|b", "\"a|b\""},
                                           {"a'b", "\"a'b\""},
                                           {"=1+1", "\"'=1+1\""},
                                           {"+cmd", "\"'+cmd\""},
                                           {"@SUM(A1)", "\"'@SUM(A1)\""},
                                           {"-x", "\"'-x\""},
                                           {" =1", "\"' =1\""},
                                           {"\t=1", "\"' =1\""},
                                           {"\u00a0=1", "\"'\u00a0=1\""},
                                           {"\u3000=1", "\"'\u3000=1\""},
                                           {"\ufeff=1", "\"'\ufeff=1\""},
                                           {"\uff1d1", "\"'\uff1d1\""},
                                           {"\u200b\u2060 \u00ad-x", "\"'\u200b\u2060 \u00ad-x\""},
                                           {"\033=1", "\"'?=1\""},
                                           {"-1", "-1"},
                                           {"-1.5", "-1.5"},
                                           {"+2.5e3", "+2.5e3"},
                                           {"-.5", "-.5"},
                                           {"-5.", "-5."},
                                           {"-1e-3", "-1e-3"},
                                           {"-", "\"'-\""},
                                           {"-1-1", "\"'-1-1\""},
                                           {"-0x1", "\"'-0x1\""},
                                           {"-inf", "\"'-inf\""},
                                           {"-1e", "\"'-1e\""},
                                           {"-.", "\"'-.\""},
                                           {"-1.5 ", "\"'-1.5 \""},
                                           {"--1", "\"'--1\""},
                                           {"\u00e4\u20ac\U0001f600", "\u00e4\u20ac\U0001f600"},
                                           {"a=1", "a=1"}};
    char room[128];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        equals("CSV", put(rt_put_csv, cases[i][0]), cases[i][1]);
    equals("CSV", put(rt_put_csv, NULL), "\"\"");
    for (int i = 0; i < HOSTILE; i++) {
        const char *s = hostile_string(i, room);
        char *got = put(rt_put_csv, s), *want = shown_text(s);
        const char *p = got;
        check_inert("CSV", got, "");
        char *cell = csv_cell(&p);
        assert_int_equal(*p, 0);
        if (runs_as_formula(cell)) fail_msg("CSV: '%s' became the formula '%s'", s, cell);
        const char *bare = cell + (*cell == '\'' && *s != '\'');
        assert_int_equal(strlen(bare), strlen(want));
        for (size_t k = 0; bare[k]; k++) assert_true(bare[k] == want[k] || (want[k] == '?' && bare[k] == ' '));
        free(cell);
        free(got);
        free(want);
    }
}

/* What a JSON reader gets: the text, with U+FFFD for bytes that are part of no character. */
static char *replaced(const char *text)
{
    char *out = calloc(3 * strlen(text) + 1, 1), *to = out;
    while (*text) {
        int n = character_bytes(text);
        if (n) memcpy(to, text, (size_t)n);
        else memcpy(to, "\357\277\275", 3);
        to += n ? n : 3;
        text += n ? n : 1;
    }
    return out;
}

static void json(void **state)
{
    (void)state;
    char room[128];
    for (int i = 0; i < HOSTILE; i++) {
        const char *s = hostile_string(i, room);
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "value", s);
        cJSON_AddNumberToObject(j, s, 1);
        char *printed = cJSON_Print(j), *got = put(rt_put_json, printed), *want = replaced(s);
        cJSON *back = cJSON_Parse(got);
        check_inert("JSON", got, "\n\t");
        assert_non_null(back);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(back, "value")), want);
        assert_string_equal(back->child->next->string, want);
        for (char *p = got; *p; p++) if (*p == '\t') assert_true(p[-1] == '\n' || p[-1] == ':');
        cJSON_Delete(back);
        cJSON_Delete(j);
        cJSON_free(printed);
        free(got);
        free(want);
    }
    equals("JSON", put(rt_put_json, "{\"\302\233\":\"\177\342\200\250\377\"}"),
           "{\"\\u009b\":\"\\u007f\\u2028\\ufffd\"}");
}

/* Text grows by pieces of any size; nothing is put behind a failure. */
static void growing(void **state)
{
    (void)state;
    rt_string t = {0};
    for (int i = 0; i < 3000; i++) {
        rt_put(&t, "%d,", i % 10);
        rt_put_bytes(&t, "ab", 2);
    }
    assert_int_equal(t.n, 12000);
    assert_int_equal(strlen(t.p), 12000);
    assert_string_equal(t.p + 11996, "9,ab");
    t.failed = 1;
    rt_put(&t, "x");
    rt_put_bytes(&t, "x", 1);
    assert_int_equal(t.n, 12000);
    free(t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(characters), cmocka_unit_test(lines), cmocka_unit_test(padded),
                                       cmocka_unit_test(html), cmocka_unit_test(markdown), cmocka_unit_test(code),
                                       cmocka_unit_test(csv), cmocka_unit_test(json), cmocka_unit_test(growing)};
    _Static_assert(HOSTILE >= 200, "strings");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
