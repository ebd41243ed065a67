/* tests/hostile_strings.h - text that terminals, spreadsheets, browsers and parsers would obey, alone and inside of
 * ordinary names; and what each of them may be shown instead, told apart from engine/text.c. */
#ifndef RT_TESTS_HOSTILE_STRINGS_H
#define RT_TESTS_HOSTILE_STRINGS_H

#include "tests/support.h"

static const char *const hostile_core[] = {
    /* terminals */
    "\033]0;owned\007",
    "\033[2J\033[H",
    "\033P$q\"p\033\\",
    "\r overwritten",
    "\b\b\b",
    "\007",
    "\v\f",
    "\016shifted",
    "\177",
    "\302\233"
    "31mred",
    "\302\235"
    "0;t\302\234",
    "\302\205next line",
    "\302\200\302\237",
    "\342\200\256cod.exe",
    "\342\201\246isolated\342\201\251",
    "\342\200\252left\342\200\254",
    "\342\200\250line",
    "\342\200\251paragraph",
    "two\nlines",
    "tab\there",
    "crlf\r\nretort: done",
    /* no characters */
    "\200",
    "\377\376",
    "\300\257",
    "\340\200\257",
    "\355\240\200",
    "\355\277\277",
    "\364\220\200\200",
    "\370\210\200\200",
    "\303",
    "\342\202",
    "\360\237\230",
    "caf\351",
    "\303\050",
    "\302\302\240",
    /* spreadsheets */
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    " =1+1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\302\240=1+1",
    "\343\200\200=1+1",
    "\357\273\277=1+1",
    "\342\200\213=1+1",
    "\342\201\240=1+1",
    "\342\200\217=1+1",
    "\302\255=1+1",
    "\341\240\216=1+1",
    "\357\274\235"
    "1+1",
    "\357\274\213"
    "1",
    "\357\274\215"
    "1",
    "\357\274\240"
    "1",
    "\357\271\246"
    "1",
    "\342\210\222"
    "1",
    "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://x\",\"y\")",
    "-",
    "--1",
    "-1e",
    "-0x10",
    "-inf",
    "+",
    "\001=1",
    "\363\240\200\201=1",
    "\343\205\244=1",
    /* HTML and SVG */
    "<script>alert(1)</script>",
    "</title><script>x</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onload='x",
    "` onclick=`x",
    "</svg><svg onload=x>",
    "<!-- x",
    "]]>",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "&quot",
    "javascript:alert(1)",
    "</td></tr></table>",
    "<style>*{display:none}",
    "\" style=\"x:y",
    /* Markdown */
    "`code`",
    "``",
    "a`b``c```d",
    "| cell | cell |",
    "[link](http://x)",
    "![image](http://x/y.png)",
    "[ref]: http://x",
    "<http://x>",
    "http://x.example",
    "www.x.example",
    "https://x.example/a_b_c",
    "x@example.org",
    "**bold**",
    "_it_",
    "~~struck~~",
    "# heading",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "23) item",
    "> quote",
    "    code",
    "---",
    "===",
    "```\nfence",
    "~~~",
    "$x$",
    "{{ x }}",
    "{% x %}",
    "&copy;",
    ":smile:",
    "@someone",
    "#12",
    "[^1]",
    "a\\",
    "\\",
    "|",
    "\\|",
    "trailing  ",
    /* JSON and others */
    "\"",
    "\\u0000",
    "\",\"x\":\"",
    "}{",
    "'",
    "%s%n%d",
    "../../etc/passwd",
    "$(id)",
    "${x}",
    "",
    /* text that means nothing bad and must survive */
    "-1.5",
    "+2e3",
    "cat",
    "\303\244\342\202\254\360\237\230\200",
    "\327\251\327\234\327\225\327\235",
    "a b",
    "a,b",
    "a;b",
    "say \"hi\"",
};
enum { HOSTILE_CORE = sizeof hostile_core / sizeof hostile_core[0], HOSTILE = 2 * HOSTILE_CORE };

/* Each alone, and within a name. */
static inline const char *hostile_string(int i, char room[128])
{
    if (i < HOSTILE_CORE) return hostile_core[i];
    snprintf(room, 128, "model %s end", hostile_core[i - HOSTILE_CORE]);
    return room;
}

/* ---- another way of reading UTF-8: by ranges of bytes, as RFC 3629's grammar has them ---- */

static inline int in(unsigned char c, int low, int high) { return c >= low && c <= high; }

static inline int character_bytes(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) return p[0] != 0;
    if (!in(p[1], 0x80, 0xbf)) return 0;
    if (in(p[0], 0xc2, 0xdf)) return 2;
    if (in(p[0], 0xe0, 0xef)) {
        int good = p[0] == 0xe0 ? in(p[1], 0xa0, 0xbf) : p[0] != 0xed || in(p[1], 0x80, 0x9f);
        return good && in(p[2], 0x80, 0xbf) ? 3 : 0;
    }
    if (!in(p[0], 0xf0, 0xf4) || !in(p[2], 0x80, 0xbf) || !in(p[3], 0x80, 0xbf)) return 0;
    return p[0] == 0xf0 ? (in(p[1], 0x90, 0xbf) ? 4 : 0) : p[0] != 0xf4 || in(p[1], 0x80, 0x8f) ? 4 : 0;
}

/* Bytes of a character that is obeyed or is none; 0 where it may be shown. */
static inline int live_bytes(const char *p)
{
    static const char *const live[] = {"\342\200\250", "\342\200\251", "\342\200\252", "\342\200\253", "\342\200\254",
                                       "\342\200\255", "\342\200\256", "\342\201\246", "\342\201\247", "\342\201\250",
                                       "\342\201\251"};
    int n = character_bytes(p);
    if (!n) return 1;
    if (n == 1) return (unsigned char)*p < 32 || *p == 127;
    if (n == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0) return 2;
    for (size_t i = 0; i < sizeof live / sizeof live[0]; i++) if (n == 3 && !memcmp(p, live[i], 3)) return 3;
    return 0;
}

/* The text with a '?' for each of those. */
static inline char *shown_text(const char *text)
{
    char *out = calloc(strlen(text) + 1, 1), *to = out;
    assert_non_null(out);
    while (*text) {
        int live = live_bytes(text), n = live ? live : character_bytes(text);
        if (live) *to++ = '?';
        else for (int i = 0; i < n; i++) *to++ = text[i];
        text += n;
    }
    return out;
}

/* Nothing that is obeyed but the line ends and tabs that the writer puts there, and all of it UTF-8. */
static inline void check_inert(const char *sink, const char *text, const char *own)
{
    for (const char *p = text; *p;) {
        int n = live_bytes(p);
        if (n && !strchr(own, *p)) fail_msg("%s: byte %d is %02x: %s", sink, (int)(p - text), (unsigned char)*p, text);
        p += n ? n : character_bytes(p);
    }
}

/* ---- readers of what was written ---- */

/* One cell of RFC 4180 at *p, which moves behind it; the caller frees. */
static inline char *csv_cell(const char **p)
{
    const char *s = *p;
    char *out = calloc(strlen(s) + 1, 1), *to = out;
    assert_non_null(out);
    if (*s == '"') {
        for (s++; *s && (*s != '"' || s[1] == '"'); s += *s == '"' ? 2 : 1) *to++ = *s;
        assert_int_equal(*s, '"');
        s++;
        assert_non_null(strchr(",\n", *s));               /* the end of the text, too */
    } else while (*s && *s != ',' && *s != '\n') {
        assert_int_not_equal(*s, '"');
        *to++ = *s++;
    }
    *p = s;
    return out;
}

/* Whether a spreadsheet may run it: what is left without blanks and marks that nobody sees begins with a sign. */
static inline int runs_as_formula(const char *cell)
{
    static const char *const unseen[] = {" ", "\302\240", "\302\255", "\343\200\200", "\357\273\277", "\342\200\213",
                                         "\342\200\217", "\342\201\240", "\341\240\216", "\343\205\244",
                                         "\363\240\200\201", "?"};
    static const char *const sign[] = {"=", "+", "-", "@", "\357\274\235", "\357\274\213", "\357\274\215",
                                       "\357\274\240", "\357\271\246", "\342\210\222"};
    char *end;
    if (!cell[strspn(cell, "+-.0123456789eE")] && strtod(cell, &end) != HUGE_VAL && end > cell && !*end) return 0;
    for (size_t i = 0; i < sizeof unseen / sizeof unseen[0]; i++)
        if (!strncmp(cell, unseen[i], strlen(unseen[i]))) {
            cell += strlen(unseen[i]);
            i = (size_t)-1;
        }
    for (size_t i = 0; i < sizeof sign / sizeof sign[0]; i++) if (!strncmp(cell, sign[i], strlen(sign[i]))) return 1;
    return 0;
}

/* Text of HTML or Markdown with its references resolved; the caller frees. */
static inline char *without_references(const char *text)
{
    static const char *const name[][2] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""},
                                          {"&#39;", "'"}, {"&#96;", "`"}, {"&#32;", " "}};
    char *out = calloc(strlen(text) + 1, 1), *to = out;
    assert_non_null(out);
    while (*text) {
        size_t i = 0, n = sizeof name / sizeof name[0];
        while (*text == '&' && i < n && strncmp(text, name[i][0], strlen(name[i][0]))) i++;
        if (*text == '&') {
            if (i == n) fail_msg("a reference of nobody's: %s", text);
            *to++ = *name[i][1];
            text += strlen(name[i][0]);
        } else *to++ = *text++;
    }
    return out;
}

/* The tags of a page with the names of their attributes: what is between quotes, and text, is left out. */
static inline char *tags_of(const char *page)
{
    char *out = calloc(strlen(page) + 1, 1), *to = out;
    int inside = 0, quoted = 0;
    for (; *page; page++) {
        if (!inside && *page == '<') inside = 1;
        if (inside && *page == '"') quoted = !quoted;
        if (inside && !quoted) *to++ = *page;
        if (inside && !quoted && *page == '>') inside = 0;
    }
    return out;
}

/* Signs of Markdown that no backslash stands before, outside of spans of code. */
static inline char *signs_of(const char *text)
{
    char *out = calloc(strlen(text) + 1, 1), *to = out;
    for (; *text; text++) {
        if (*text == '`') {
            size_t fence = strspn(text, "`");
            const char *end = text + fence;
            while (*end && strspn(end, "`") != fence) end += *end == '`' ? strspn(end, "`") : 1;
            assert_true(*end);
            *to++ = '`';
            text = end + fence - 1;
        } else if (*text == '\\') text++;
        else if (!strncmp(text, "&#32;", 5)) text += 4;
        else if (strchr("*_[]<>|#~!$@{}\n", *text) || (*text == ':' && text[1] == '/')) *to++ = *text;
    }
    return out;
}

static inline int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}
#endif
