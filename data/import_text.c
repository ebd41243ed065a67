/* data/import_text.c - text in any encoding to lines of valid UTF-8. */
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/import_parts.h"

enum { RAW = 1 << 16, OUT = 4 * RAW, PIECE = 1 << 16 };

struct rt_text {
    rt_bytes *in;
    char *path, *name;             /* name: of the encoding */
    iconv_t convert;               /* (iconv_t)-1: UTF-8 already */
    char *raw, *out;
    size_t raw_n, at, n;
    int ended, broken;             /* broken: what follows in `out` could not be converted */
    int after_cr, after_end;
    uint64_t line;
    int more, low, high, lead;     /* of a UTF-8 sequence in hand: bytes to come, bounds of the next, its first byte */
};

static const struct { const char *name, *iconv; } aliases[] = {
    {"utf-8", NULL}, {"utf8", NULL}, {"utf-8-sig", NULL}, {"utf-16", "UTF-16LE"}, {"utf16", "UTF-16LE"},
        {"utf-16le", "UTF-16LE"}, {"utf-16be", "UTF-16BE"},
    {"latin1", "ISO-8859-1"}, {"latin-1", "ISO-8859-1"}, {"iso-8859-1", "ISO-8859-1"}, {"windows-1252", "CP1252"},
        {"cp1252", "CP1252"}};

static rt_status fill_raw(rt_text *t)
{
    size_t got;
    RT_TRY(rt_bytes_read(t->in, t->raw + t->raw_n, RAW - t->raw_n, &got));
    t->ended = got < RAW - t->raw_n;
    t->raw_n += got;
    return RT_OK;
}

static void drop_raw(rt_text *t, size_t n)
{
    memmove(t->raw, t->raw + n, t->raw_n - n);
    t->raw_n -= n;
}

/* The encoding by name, or by the byte order mark, which is not part of the text. */
static rt_status choose(rt_text *t, const char *encoding)
{
    static const struct { const char *mark; size_t n; const char *name, *iconv; } marks[] = {
        {"\xff\xfe\0\0", 4, "utf-32le", "UTF-32LE"}, {"\0\0\xfe\xff", 4, "utf-32be", "UTF-32BE"}, {"\xef\xbb\xbf", 3,
            "utf-8", NULL},
        {"\xff\xfe", 2, "utf-16le", "UTF-16LE"}, {"\xfe\xff", 2, "utf-16be", "UTF-16BE"}};
    const char *name = encoding ? encoding : "utf-8", *convert = encoding;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(name, aliases[i].name) == 0) convert = aliases[i].iconv;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (t->raw_n < marks[i].n || memcmp(t->raw, marks[i].mark, marks[i].n)) continue;
        /* Latin-1 and the like have no mark: these bytes would be letters of theirs, but no file starts with them. */
        if (encoding && !(marks[i].iconv && convert && !strncasecmp(marks[i].iconv, convert, 6)) && !(!marks[i].iconv
            && !convert))
            return rt_fail(RT_USAGE, "%s: starts with the byte order mark of %s; it is not %s", t->path,
                           marks[i].name, encoding);
        name = marks[i].name;
        convert = marks[i].iconv;
        drop_raw(t, marks[i].n);
        break;
    }
    if (encoding && convert && strcasecmp(encoding, "utf-16") == 0 && strcmp(name, encoding) == 0 && t->raw_n > 1
        && !t->raw[0] && t->raw[1])
        convert = "UTF-16BE";              /* no mark, and the first letter is below 256 */
    t->name = strdup(name);
    if (!t->name) return rt_fail(RT_RUN, "out of memory");
    if (!convert) return RT_OK;
    t->convert = iconv_open("UTF-8", convert);
    if (t->convert == (iconv_t)-1)
        return rt_fail(RT_USAGE,
                       "--encoding %s: is not known; try utf-8, utf-16, latin1, windows-1252, or a name that 'iconv "
                       "-l' lists", encoding);
    return RT_OK;
}

rt_status rt_text_open(rt_text **out, const char *path, const char *encoding)
{
    rt_text *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return rt_fail(RT_RUN, "out of memory");
    t->convert = (iconv_t)-1;
    t->path = strdup(path);
    t->raw = malloc(RAW);
    t->out = malloc(OUT);
    t->line = 1;
    rt_status st = t->path && t->raw && t->out ? rt_bytes_open(&t->in, path) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = fill_raw(t);
    if (!st) st = choose(t, encoding);
    if (st) rt_text_close(t);
    else *out = t;
    return st;
}

void rt_text_close(rt_text *t)
{
    if (!t) return;
    rt_bytes_close(t->in);
    if (t->convert != (iconv_t)-1) iconv_close(t->convert);
    free(t->path);
    free(t->name);
    free(t->raw);
    free(t->out);
    free(t);
}

const char *rt_text_encoding(const rt_text *t) { return t->name; }

/* More UTF-8 into out[0, n). */
static rt_status fill(rt_text *t)
{
    t->at = t->n = 0;
    if (t->broken)
        return rt_fail(RT_INPUT, "%s: line %llu is no valid %s; give the file's --encoding", t->path,
                       (unsigned long long)(t->line + (t->after_end != 0)), t->name);
    while (t->n == 0) {
        if (!t->ended && t->raw_n < RAW) RT_TRY(fill_raw(t));
        if (t->raw_n == 0) return RT_OK;
        if (t->convert == (iconv_t)-1) {
            memcpy(t->out, t->raw, t->raw_n);
            t->n = t->raw_n;
            t->raw_n = 0;
            return RT_OK;
        }
        char *from = t->raw, *to = t->out;
        size_t left = t->raw_n, room = OUT;
        size_t code = iconv(t->convert, &from, &left, &to, &room);
        int why = errno;
        t->n = OUT - room;
        drop_raw(t, t->raw_n - left);
        if (code != (size_t)-1 || why == E2BIG) continue;
        if (why == EINVAL && !t->ended) continue;               /* the rest of a character is still to come */
        t->broken = 1;
        if (t->n == 0) return fill(t);
    }
    return RT_OK;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF; a sequence may go on in the next piece. */
static rt_status check(rt_text *t, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)piece[i];
        if (t->more) {
            if (c < t->low || c > t->high) t->more = -1;
            else t->more--;
            t->low = 0x80;
            t->high = 0xbf;
        } else if (c >= 0x80) {
            t->lead = c;
            t->more = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : -1;
            t->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
            t->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        } else if (!c) {
            return rt_fail(RT_INPUT, "%s: line %llu holds a NUL byte; if the file is UTF-16, give --encoding utf-16",
                           t->path, (unsigned long long)t->line);
        }
        if (t->more < 0)
            return rt_fail(RT_INPUT,
                           "%s: line %llu is no valid UTF-8 (byte 0x%02x); give the file's encoding, such as "
                           "--encoding windows-1252 or latin1", t->path,
                           (unsigned long long)t->line, t->lead);
    }
    return RT_OK;
}

rt_status rt_text_next(rt_text *t, const char **piece, size_t *n, uint64_t *line)
{
    if (t->at == t->n) RT_TRY(fill(t));
    *piece = t->out + t->at;
    *n = t->n - t->at < PIECE ? t->n - t->at : PIECE;
    *line = t->line;
    if (*n == 0) return t->more > 0 ? rt_fail(RT_INPUT,
                                              "%s: the last line ends inside a character; the file is truncated",
                                                  t->path) : RT_OK;
    if (t->after_cr && **piece == '\n') *n = 1;              /* the other half of a line's end */
    else {
        if (t->after_end) t->line++;
        *line = t->line;
        const char *feed = memchr(*piece, '\n', *n);
        if (feed) *n = (size_t)(feed - *piece) + 1;
        const char *back = memchr(*piece, '\r', *n);         /* old Macintosh files have this alone */
        if (back && (back + 1 == *piece + *n || back[1] != '\n')) *n = (size_t)(back - *piece) + 1;
        t->after_end = (*piece)[*n - 1] == '\n' || (*piece)[*n - 1] == '\r';
    }
    t->after_cr = (*piece)[*n - 1] == '\r';
    RT_TRY(check(t, *piece, *n));
    t->at += *n;
    return RT_OK;
}
