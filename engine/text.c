#include "engine/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- growing ---- */

static int make_room(rt_string *t, size_t more)
{
    if (t->failed) return 0;
    if (t->n + more < t->room) return 1;
    size_t room = 2 * (t->n + more + 512);
    char *p = realloc(t->p, room);
    if (!p) {
        t->failed = 1;
        return 0;
    }
    t->p = p;
    t->room = room;
    return 1;
}

void rt_put_bytes(rt_string *t, const void *bytes, size_t n)
{
    if (!make_room(t, n)) return;
    memcpy(t->p + t->n, bytes, n);
    t->n += n;
    t->p[t->n] = 0;
}

static void put_text(rt_string *t, const char *text) { rt_put_bytes(t, text, strlen(text)); }

void rt_put(rt_string *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int need = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (need < 0 || !make_room(t, (size_t)need)) return;
    va_start(ap, fmt);
    t->n += (size_t)vsnprintf(t->p + t->n, t->room - t->n, fmt, ap);
    va_end(ap);
}

/* ---- characters ---- */

uint32_t rt_character(const char *text, int *n)
{
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    int more = *p < 0x80 ? 0 : *p < 0xc0 ? -1 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : *p < 0xf8 ? 3 : -1;
    *n = 1;
    if (more < 0) return RT_NO_CHARACTER;
    uint32_t c = more ? *p & (0x3fu >> more) : *p;
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) return RT_NO_CHARACTER;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return RT_NO_CHARACTER;
    *n = more + 1;
    return c;
}

static int is_control(uint32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

/* What a terminal or a page obeys instead of showing it. */
static int is_shown(uint32_t c)
{
    return c < RT_NO_CHARACTER && !is_control(c) && c != 0x2028 && c != 0x2029 && !(c >= 0x202a && c <= 0x202e) &&
           !(c >= 0x2066 && c <= 0x2069);
}

int rt_is_utf8(const char *text)
{
    for (int n; *text; text += n) if (rt_character(text, &n) == RT_NO_CHARACTER) return 0;
    return 1;
}

void rt_one_line(char *text)
{
    char *to = text;
    for (int n; *text; text += n) {
        if (is_shown(rt_character(text, &n))) {
            memmove(to, text, (size_t)n);
            to += n;
        } else *to++ = '?';
    }
    *to = 0;
}

/* Puts the character and returns it, or a '?'. *text moves on. */
static uint32_t put_shown(rt_string *t, const char **text)
{
    int n;
    uint32_t c = rt_character(*text, &n);
    rt_put_bytes(t, is_shown(c) ? *text : "?", is_shown(c) ? (size_t)n : 1);
    *text += n;
    return c;
}

/* ---- sinks ---- */

void rt_put_plain(rt_string *t, const char *text)
{
    while (text && *text) put_shown(t, &text);
}

void rt_put_padded(rt_string *t, const char *text, int width)
{
    int put = 0;
    for (; text && *text && put < width; put++) put_shown(t, &text);
    rt_put(t, "%*s", width - put, "");
}

void rt_put_html(rt_string *t, const char *text)
{
    while (text && *text) {
        const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '"'
            ? "&quot;" : *text == '\'' ? "&#39;" : *text == '`' ? "&#96;" : NULL;
        if (as) {
            put_text(t, as);
            text++;
        } else put_shown(t, &text);
    }
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* Whether the character at p, before which start is the text's first, needs a backslash: signs with a meaning anywhere;
 * '.' and ')' of a list's number, '-' '+' '=' of a list or a rule, only where they begin a line; ':' and "www." of what
 * is made a link without any other sign. */
static int is_sign(const char *start, const char *p)
{
    size_t digits = 0;
    if (strchr("\\`*_[]<>|#~&$@{}!^", *p)) return 1;
    if (*p == ':') return p[1] && p[1] != ' ';
    while (is_digit(start[digits])) digits++;
    if (*p == '.' && p > start && (p[-1] == 'w' || p[-1] == 'W')) return 1;
    if (*p == '.' || *p == ')') return digits && p == start + digits;
    return p == start && strchr("-+=", *p);
}

void rt_put_markdown(rt_string *t, const char *text)
{
    while (text && *text == ' ') {                     /* four of them would begin a block of code */
        put_text(t, "&#32;");
        text++;
    }
    const char *start = text;
    while (text && *text) {
        if (is_sign(start, text)) put_text(t, "\\");
        put_shown(t, &text);
    }
}

void rt_put_code(rt_string *t, const char *text)
{
    size_t longest = 0;
    for (const char *p = text ? text : ""; *p; p += strcspn(p, "`")) {
        size_t run = strspn(p, "`");
        if (run > longest) longest = run;
        p += run;
    }
    for (size_t i = 0; i <= longest; i++) put_text(t, "`");
    put_text(t, longest || !text || !*text || *text == ' ' ? " " : "");
    rt_put_plain(t, text);
    put_text(t, longest || !text || !*text || *text == ' ' ? " " : "");
    for (size_t i = 0; i <= longest; i++) put_text(t, "`");
}

/* ---- CSV ---- */

/* Blanks, and what leaves no mark: spreadsheets may skip both before a formula. */
static int is_unseen(uint32_t c)
{
    static const uint32_t range[][2] = {{0xa0, 0xa0}, {0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c}, {0x115f, 0x1160},
        {0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x200f}, {0x202f, 0x202f}, {0x205f, 0x2065},
        {0x206a, 0x206f}, {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
        {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff}};
    if (!is_shown(c) || c == ' ') return 1;
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++) if (c >= range[i][0] && c <= range[i][1]) return 1;
    return 0;
}

/* = + - @ in their usual, wide, small, raised and lowered forms, and the minus sign. */
static int begins_formula(uint32_t c)
{
    static const uint32_t sign[] = {'=', '+', '-', '@', 0x207a, 0x207b, 0x207c, 0x208a, 0x208b, 0x208c, 0x2212, 0xfe62,
                                    0xfe63, 0xfe66, 0xfe6b, 0xff0b, 0xff0d, 0xff1d, 0xff20};
    for (size_t i = 0; i < sizeof sign / sizeof sign[0]; i++) if (c == sign[i]) return 1;
    return 0;
}

/* Decimal numbers only, in the C locale's form, and nothing else around them. */
static int is_number(const char *s)
{
    size_t whole, part = 0;
    s += *s == '+' || *s == '-';
    s += whole = strspn(s, "0123456789");
    if (*s == '.') s += 1 + (part = strspn(s + 1, "0123456789"));
    if (!whole && !part) return 0;
    if (*s == 'e' || *s == 'E') {
        s += 1 + (s[1] == '+' || s[1] == '-');
        if (!is_digit(*s)) return 0;
        s += strspn(s, "0123456789");
    }
    return !*s;
}

static int is_formula(const char *text)
{
    int n;
    uint32_t c = ' ';
    for (const char *p = text; *p && is_unseen(c = rt_character(p, &n)); p += n) ;
    return begins_formula(c) && !is_number(text);
}

/* Letters, digits, signs that separate no cells in any country, and characters beyond ASCII. */
static int is_bare(const char *text)
{
    const char *p = text;
    for (; *p; p++) {
        int letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || is_digit(*p);
        if (!letter && !strchr("+-._:=()%/", *p) && (*p & 0x80) == 0) return 0;
    }
    return p > text;
}

void rt_put_csv(rt_string *t, const char *text)
{
    if (!text) text = "";
    int formula = is_formula(text), quoted = formula || !is_bare(text);
    if (quoted) put_text(t, "\"");
    if (formula) put_text(t, "'");
    while (*text) {
        if (*text == '"') put_text(t, "\"");
        if (*text == '\n' || *text == '\r' || *text == '\t') {
            put_text(t, " ");
            text++;
        } else put_shown(t, &text);
    }
    if (quoted) put_text(t, "\"");
}

/* ---- JSON ---- */

/* Printers have escaped what is below U+0020 inside strings; outside of them are only their own line ends and tabs. */
void rt_put_json(rt_string *t, const char *json)
{
    const char *clean = json;
    for (int n; *json; json += n) {
        uint32_t c = rt_character(json, &n);
        if (c < 0x20 || is_shown(c)) continue;
        rt_put_bytes(t, clean, (size_t)(json - clean));
        rt_put(t, "\\u%04x", c == RT_NO_CHARACTER ? 0xfffd : (unsigned)c);
        clean = json + n;
    }
    put_text(t, clean);
}
