/* engine/error.h - one way of failing: a status, and a message that names the file, the field and the remedy. */
#ifndef RT_ENGINE_ERROR_H
#define RT_ENGINE_ERROR_H

/* Values are the exit codes of the program. */
typedef enum {
    RT_OK = 0,
    RT_GATE = 1,          /* a comparison was made and failed */
    RT_USAGE = 2,         /* wrong arguments or configuration */
    RT_INPUT = 3,         /* a file or its content is bad */
    RT_RUN = 4,           /* could not run: memory, disk, permissions, diverged */
    RT_NOTHING = 5,       /* nothing to compare or to do it on; not measured */
    RT_UNDECIDED = 6,     /* what was measured shows neither one nor the other, or the machine is too noisy */
    RT_INTERRUPTED = 130
} rt_status;

/* Sets this thread's message (printf style, no newline) and returns code. Messages are one line that a terminal may be
 * shown, whatever the arguments hold (rt_one_line). */
rt_status rt_fail(rt_status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts text before this thread's message, as "text: message", and returns code. */
rt_status rt_fail_in(rt_status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* This thread's last message; valid until its next failure. Never NULL. */
const char *rt_error_message(void);

/* For small things without which nothing can go on: says so on standard error and ends the process with RT_RUN. What is
 * on disk is then as after a kill. */
void rt_out_of_memory(void) __attribute__((noreturn));
/* What rt_out_of_memory calls first, in a process that has nobody to tell on standard error. */
void rt_on_out_of_memory(void (*first)(void));

/* What must hold whatever the input is: in builds for tests (RT_CHECKS) the place is told and the process aborts. */
#ifdef RT_CHECKS
void rt_assert_failed(const char *file, int line, const char *condition) __attribute__((noreturn));
#define RT_ASSERT(cond) ((cond) ? (void)0 : rt_assert_failed(__FILE__, __LINE__, #cond))
#else
#define RT_ASSERT(cond) ((void)sizeof(cond))
#endif

#define RT_TRY(call) do { rt_status rt_try_ = (call); if (rt_try_) return rt_try_; } while (0)
#endif
