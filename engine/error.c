#include "engine/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char message[2048];

/* Bytes of the character at p that a terminal may be shown, 0 when it is none. */
static int shown(const unsigned char *p)
{
    int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
    if ((*p >= 0x80 && *p < 0xc2) || *p > 0xf4 || *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f)) return 0;      /* too long a form; a surrogate */
    if ((*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)) return 0;
    for (int i = 1; i <= more; i++) if ((p[i] & 0xc0) != 0x80) return 0;
    return more + 1;
}

void rt_one_line(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p;) {
        int n = shown(p);
        if (!n) *p = '?';
        p += n ? n : 1;
    }
}

rt_status rt_fail(rt_status code, const char *fmt, ...)
{
    char text[sizeof message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rt_one_line(text);
    memcpy(message, text, sizeof text);
    return code;
}

rt_status rt_fail_in(rt_status code, const char *fmt, ...)
{
    char text[sizeof message];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    size_t used = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    if (used + 3 < sizeof text) {
        size_t room = sizeof text - used - 3, have = strlen(message);
        if (have > room) have = room;
        memcpy(text + used, ": ", 2);
        memcpy(text + used + 2, message, have);
        text[used + 2 + have] = 0;
    }
    rt_one_line(text);
    memcpy(message, text, sizeof text);
    return code;
}

const char *rt_error_message(void) { return message; }

void rt_out_of_memory(void)
{
    static const char text[] = "retort: out of memory\n";
    ssize_t unused = write(2, text, sizeof text - 1);
    (void)unused;
    _exit(RT_RUN);
}
