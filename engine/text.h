/* engine/text.h - growing text, and the one way for text of others (names, paths, cells, notes, keys) into each kind of
 * output.
 *
 * Whatever the text holds, what is put is inert there, valid UTF-8 (RFC 3629) and one line. What no reader may be shown
 * becomes a '?' each: bytes that are part of no character, control characters (C0, DEL, C1), line and paragraph
 * separators (U+2028, U+2029) and the characters that turn the direction of text around (U+202A to U+202E, U+2066 to
 * U+2069). Everything else can be read back as it was, but for the apostrophe before a formula in CSV.
 *
 * Functions take NULL as empty text. They belong to the thread that owns the rt_string. */
#ifndef RT_ENGINE_TEXT_H
#define RT_ENGINE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Begins as zeros. p ends with a zero byte (NULL while nothing was put) and is for the caller to free; failed: memory
 * ran out, and nothing more is put. */
typedef struct { char *p; size_t n, room; int failed; } rt_string;

void rt_put(rt_string *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));     /* of our own making */
void rt_put_bytes(rt_string *, const void *bytes, size_t n);

/* Terminals, messages, logs: as it is. */
void rt_put_plain(rt_string *, const char *text);
/* The same, cut or padded with blanks to so many characters. */
void rt_put_padded(rt_string *, const char *text, int width);
/* HTML and SVG: between tags and in quoted attributes, never in a script or a style. */
void rt_put_html(rt_string *, const char *text);
/* Markdown (CommonMark, and GitHub's tables, links, mathematics and mentions): a paragraph or a cell of a table. */
void rt_put_markdown(rt_string *, const char *text);
/* Markdown: a code span, which a table cannot hold. */
void rt_put_code(rt_string *, const char *text);
/* A cell of a CSV file (RFC 4180). Line ends and tabs become blanks. Quoted unless it is letters, digits and a few
 * signs. A text that a spreadsheet would run as a formula gets an apostrophe before it: one whose first character other
 * than blanks and characters that nobody sees is = + - @, or a wide or small form of them, and which is no number. */
void rt_put_csv(rt_string *, const char *text);
/* JSON text of a printer (keys, strings and all) that may hold any bytes in its strings: \uXXXX for the characters that
 * the others show as '?', \ufffd for bytes that are part of no character. Everything else stays. */
void rt_put_json(rt_string *, const char *json);

/* Makes text, of which some may come from a file, one line that a terminal may be shown, in its place. */
void rt_one_line(char *text);

/* Whether all of text is valid UTF-8. */
int rt_is_utf8(const char *text);

/* Code point at text and its bytes in *n; RT_NO_CHARACTER and 1 where there is none. */
enum { RT_NO_CHARACTER = 0x110000 };
uint32_t rt_character(const char *text, int *n);
#endif
