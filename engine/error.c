#include "engine/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef RT_CHECKS
#include <stdlib.h>
#endif

#include "engine/text.h"

static _Thread_local char message[2048];

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

#ifdef RT_CHECKS
void rt_assert_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}
#endif

static void (*out_of_memory_first)(void);

void rt_on_out_of_memory(void (*first)(void)) { out_of_memory_first = first; }

void rt_out_of_memory(void)
{
    if (out_of_memory_first) out_of_memory_first();
    static const char text[] = "retort: out of memory\n";
    ssize_t unused = write(2, text, sizeof text - 1);
    (void)unused;
    _exit(RT_RUN);
}
