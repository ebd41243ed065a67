#include "data/mapped.h"

#include <pthread.h>
#include <signal.h>

static _Thread_local rt_mapped *volatile reading;
static struct sigaction before;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    rt_mapped *m = reading;
    const char *at = info->si_addr;
    if (m && at >= m->from && at < m->end) {
        reading = NULL;
        siglongjmp(m->back, 1);
    }
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(sig, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(sig);
    else signal(sig, SIG_DFL);         /* the instruction is run again, and ends the process as it would have */
}

/* Not blocked while it is handled: the handler is left by a jump. */
static void init(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGBUS, &action, &before);
}

void rt_mapped_init(void) { pthread_once(&once, init); }

void rt_mapped_begin(rt_mapped *m, const void *map, size_t bytes)
{
    m->from = map;
    m->end = m->from + bytes;
    reading = m;
}

void rt_mapped_end(void) { reading = NULL; }
