/* data/h5_run.c - a child at work on an HDF5 file: how it is begun, how it ended, and what that says. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/h5_plan.h"

rt_status rt_h5_run_begin(rt_h5_run *run, const char *path, const rt_h5_request *r, int file, int memory)
{
    int plan[2], end[2];
    if (pipe2(plan, O_CLOEXEC)) return rt_fail(RT_RUN, "%s: no pipe: %s", path, strerror(errno));
    if (pipe2(end, O_CLOEXEC)) {
        rt_status st = rt_fail(RT_RUN, "%s: no pipe: %s", path, strerror(errno));
        close(plan[0]);
        close(plan[1]);
        return st;
    }
    int error = rt_h5_ask(r, (int[RT_H5_FDS]){file, plan[1], end[1], memory});
    close(plan[1]);
    close(end[1]);
    *run = (rt_h5_run){.plan = plan[0], .end = end[0]};
    clock_gettime(CLOCK_MONOTONIC, &run->start);
    if (!error) return RT_OK;
    close(plan[0]);
    close(end[0]);
    if (error == EPIPE)
        return rt_fail(RT_RUN, "%s: the process that starts readers of metadata was killed; is there enough memory?",
                       path);
    return rt_fail(RT_RUN, "%s: could not start a reader process: %s", path, strerror(error));
}

rt_status rt_h5_run_end(rt_h5_run *run, const char *path, rt_h5_exit *e)
{
    *e = (rt_h5_exit){0};
    close(run->plan);                                 /* a child that is not done is ended by this */
    rt_status st = rt_h5_take(run->end, &run->start, path, e, sizeof *e);
    close(run->end);
    if (st == RT_NOTHING) {
        rt_h5_reader_stop();                          /* it is gone: the next scan has another */
        return rt_fail(RT_RUN, "%s: the process that starts readers of metadata was killed; is there enough memory?",
                       path);
    }
    if (!st && e->error)
        return rt_fail(RT_RUN, "%s: could not start a reader process: %s", path, strerror(e->error));
    return st;
}

rt_status rt_h5_ended(const char *path, const char *doing, const rt_h5_request *r, const rt_h5_exit *e)
{
    int killed = WIFSIGNALED(e->status) ? WTERMSIG(e->status) : 0;
    if (killed == SIGXCPU)
        return rt_fail(RT_INPUT, "%s: %s takes over %.0f s of CPU time; the file is damaged or hostile", path, doing,
                       ceil(rt_h5_cpu_budget(r)));
    if (killed == SIGKILL)
        return rt_fail(RT_RUN, "%s: %s: the process that does it was killed; is there enough memory?", path, doing);
    if (killed && e->memory_short)
        return rt_fail(RT_RUN, "%s: %s: the process that does it died (signal %d), with less than %d MiB of memory to"
                       " be had", path, doing, killed, RT_H5_CHILD_BYTES >> 20);
    if (killed)
        return rt_fail(RT_INPUT, "%s: the HDF5 library died %s (signal %d); the file is damaged or hostile", path,
                       doing, killed);
    if (!WEXITSTATUS(e->status))
        return rt_fail(RT_INPUT, "%s: %s ended without a result; the file is damaged or hostile", path, doing);
    return rt_fail(RT_RUN, "%s: %s: the process that does it ended early: %s", path, doing,
                   strerror(WEXITSTATUS(e->status)));
}

rt_status rt_h5_verdict(const char *path, const char *doing, const rt_h5_request *r, const rt_h5_end *end)
{
    int unpacks = r->task == RT_H5_UNPACK;
    switch (end->outcome) {
    case RT_H5_DONE: return RT_OK;
    case RT_H5_UNREADABLE:
        if (unpacks) return rt_fail(RT_INPUT, "%s: %s failed (%s); it is damaged", path, doing, end->text);
        return rt_fail(RT_INPUT, "%s: is no readable HDF5 file (%s); it is damaged, truncated or was not closed",
                       path, end->text);
    case RT_H5_FAULT: return rt_fail(RT_RUN, "%s: reading it failed: %s", path, strerror(end->error));
    case RT_H5_MEMORY: return rt_fail(RT_RUN, "%s: no memory for %s", path, doing);
    case RT_H5_GREEDY:
        return rt_fail(RT_INPUT, "%s: %s takes over %llu MiB of memory; the file is damaged or hostile", path, doing,
                       (unsigned long long)(rt_h5_memory_budget(r) >> 20));
    case RT_H5_NO_FILTER:
        return rt_fail(RT_INPUT, "%s: %s needs filter %d, which HDF5 cannot undo here any more", path, doing,
                       end->error);
    default: return rt_fail(RT_INPUT, "%s: %s was answered with nonsense; the file is hostile", path, doing);
    }
}
