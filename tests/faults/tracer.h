/* tests/faults/tracer.h - runs a program with ptrace and makes one of its system calls fail, or kills it there.
 *
 * A seccomp filter stops the program at the calls of a table alone, in the program itself, in its threads and in the
 * processes that it starts, whoever makes them: the C library's own calls, too. Calls are counted from the program's
 * entry point on: what the loader does is not the program's. x86-64 only. */
#ifndef RT_TESTS_FAULTS_TRACER_H
#define RT_TESTS_FAULTS_TRACER_H

enum { FAULT_CALLS = 64, FAULT_SHORT = -1 };

typedef enum {
    PLAN_NONE,   /* it just runs */
    PLAN_COUNT,  /* nothing is done: calls are counted */
    PLAN_KILL,   /* SIGKILL on entry to the nth state-changing call of the first process */
    PLAN_SIGNAL, /* signal `error` to the first process on entry to the nth call of the table */
    PLAN_CUT,    /* the file `file` loses its second half on entry to the nth call of the table */
    PLAN_FAIL,   /* the nth call of number `call` fails with errno `error`, or moves half of its bytes */
} plan_kind;

typedef struct {
    plan_kind kind;
    int call;            /* index in the table, of PLAN_FAIL */
    int error;
    long nth;            /* from 1 */
    int burst;           /* this many calls of that number from the nth on; a large number is for ever */
    const char *file;    /* of PLAN_CUT */
} plan;

typedef struct {
    int code;            /* exit code, or -1 */
    int signal;          /* that ended it, or 0 */
    int hung;            /* it was ended after the deadline */
    int orphans;         /* processes that were still there two seconds after the first one had ended */
    int fired;           /* how often the plan did its work */
    int fired_call;      /* index of the call it did its work on first */
    long count[FAULT_CALLS], changes, all;
    double seconds;
} outcome;

typedef struct { const char *name; int faults; } traced_call;
/* What a call may fail with, as bits of `faults`. */
enum { MAY_ENOSPC = 1, MAY_EIO = 2, MAY_EINTR = 4, MAY_ENOMEM = 8, MAY_SHORT = 16, MAY_EMFILE = 32, MAY_EAGAIN = 64,
       MAY_ENOLCK = 128, MAY_EPERM = 256 };

const traced_call *tracer_call(int i);              /* NULL behind the last */

typedef struct {
    const char *folder;          /* where it runs */
    char *const *argv;
    const char *out, *err;       /* files that standard output and standard error go to */
    const char *preload, *preload_plan;      /* a library and its plan's file (preload.h) */
    double deadline;             /* seconds */
} program;

/* Returns 0, or -1 when the program cannot be traced here. */
int tracer_run(const program *, const plan *, outcome *);
#endif
