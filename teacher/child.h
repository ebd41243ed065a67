/* teacher/child.h - a program that is asked over its standard input and answers on its standard output.
 *
 * It is started without a shell, in a process group of its own, with nothing open but its three pipes, and is ended
 * with that group: also when this process, or the thread that started it, is gone (PR_SET_PDEATHSIG). What it writes on
 * standard error is shown line by line, and its end is kept for messages. Bytes are sent and taken side by side, so
 * that neither side waits for the other for ever, however much it writes. One thread at a time. */
#ifndef RT_TEACHER_CHILD_H
#define RT_TEACHER_CHILD_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "engine/error.h"
#include "engine/progress.h"

enum { RT_CHILD_ARGUMENTS = 64, RT_CHILD_PARTS = 4, RT_CHILD_SAID = 800, RT_CHILD_LINE = 400, RT_CHILD_SHOWN = 1000 };

typedef enum { RT_CHILD_FINE, RT_CHILD_ENDED, RT_CHILD_LATE, RT_CHILD_STOPPED } rt_child_state;

typedef struct {
    const char *name;                          /* for lines and messages; borrowed */
    const rt_progress *progress;               /* NULL: its standard error is not shown */
    pid_t pid;                                 /* 0: none is running */
    int in, out, err;                          /* our ends of its standard input, output and error; -1: closed */
    struct iovec left[RT_CHILD_PARTS];         /* what is still to be sent */
    int parts, shown;
    char line[RT_CHILD_LINE + 1], said[RT_CHILD_SAID];   /* a line that is not ended; the last bytes that it wrote */
    size_t line_bytes, said_bytes;
} rt_child;

/* Starts command[0], sought in PATH where it has no '/'. RT_INPUT when there is no such program, RT_RUN when the
 * machine cannot start it. */
rt_status rt_child_start(rt_child *, const char *name, const char *const *command, int arguments,
                         const rt_progress *);
/* Gives it these bytes to read, which must stay until they are sent: rt_child_read sends them. */
void rt_child_send(rt_child *, const struct iovec *, int parts);
int rt_child_sending(const rt_child *);                /* not all of them are taken */
/* n bytes of its output into `to`, until rt_seconds() is `until`. RT_CHILD_ENDED when its output ends before, or it
 * takes no more input; RT_CHILD_STOPPED when the process was asked to stop. */
rt_child_state rt_child_read(rt_child *, void *to, size_t n, double until);
/* Whether output is there that was not read. */
int rt_child_more(rt_child *);
/* Ends it and takes its end, as text of at most `room` bytes: "ended with status 3", "was ended by signal 9 (Killed)".
 * patient: its input is closed and it has a second to end by itself. Nothing where none is running. */
void rt_child_end(rt_child *, int patient, char *how, size_t room);
/* The end of what it wrote on standard error, as one line; "" for nothing. */
const char *rt_child_said(rt_child *, char text[RT_CHILD_SAID + 1]);
#endif
