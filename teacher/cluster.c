#include "teacher/cluster.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "teacher/cluster_parts.h"

#define BEYOND (UINT64_C(1) << 40)         /* more blocks than any store has */

struct rt_cluster {
    void *library;
    const rt_cluster_calls *calls;
    int rank, size;
};

/* What mpirun tells the processes that it starts; 0: it started none. */
static long told_size(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (int i = 0; i < 2; i++) {
        const char *text = getenv(names[i]);
        if (text && *text) return strtol(text, NULL, 10);
    }
    return 0;
}

/* Beside the program, as it is built, or where it is installed. */
static void *load(char *why, size_t room)
{
    static const char *const places[] = {"retort_mpi.so", RETORT_MPI_FROM_BIN};
    char folder[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    void *library = NULL;
    snprintf(why, room, "it is not there");
    if (n <= 0) return NULL;
    folder[n] = 0;
    char *slash = strrchr(folder, '/');
    if (!slash) return NULL;
    *slash = 0;
    for (int i = 0; i < 2 && !library; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        if (access(path, F_OK)) continue;
        library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);        /* the plugins of MPI look for its names */
        if (!library) snprintf(why, room, "%s", dlerror());
    }
    return library;
}

static rt_status failed(const char *text) { return rt_fail(RT_RUN, "MPI: %s", text); }

rt_status rt_cluster_begin(rt_cluster **out, rt_cluster_mode mode)
{
    char text[256];
    long told = told_size();
    *out = NULL;
    if (mode == RT_CLUSTER_OFF || (mode == RT_CLUSTER_AUTO && told < 2)) return RT_OK;
    rt_cluster *c = calloc(1, sizeof *c);
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->library = load(text, sizeof text);
    rt_cluster_symbol *symbol = NULL;
    if (c->library) *(void **)&symbol = dlsym(c->library, RT_CLUSTER_SYMBOL);
    c->calls = symbol ? symbol() : NULL;
    if (c->library && (!c->calls || c->calls->version != RT_CLUSTER_CALLS)) {
        snprintf(text, sizeof text, "it is of another version of retort");
        c->calls = NULL;
    }
    rt_status st = c->calls ? RT_OK :
        rt_fail(RT_RUN, "no MPI in this build: retort_mpi.so cannot be used (%.200s); build with Open MPI or MPICH and "
                "their headers, or start one process a part with --shard I/N", text);
    if (!st && c->calls->begin(&c->rank, &c->size, text)) st = failed(text);
    if (st) {
        free(c);
        return st;
    }
    *out = c;
    return RT_OK;
}

int rt_cluster_rank(const rt_cluster *c) { return c ? c->rank : 0; }
int rt_cluster_size(const rt_cluster *c) { return c ? c->size : 1; }

rt_status rt_cluster_agree(rt_cluster *c, rt_status st)
{
    char text[256], message[1024];
    int most;
    if (!c) return st;
    snprintf(message, sizeof message, "%s", rt_error_message());
    if (c->calls->most(st, &most, text)) return st ? rt_fail(st, "%s", message) : failed(text);
    if (st) return rt_fail(st, "%s", message);
    if (!most) return RT_OK;
    return rt_fail((rt_status)most, "process %d of %d ends because another one failed (exit code %d), which says why",
                   c->rank, c->size, most);
}

rt_status rt_cluster_take(void *cluster, uint64_t n, uint64_t *at)
{
    rt_cluster *c = cluster;
    char text[256];
    return c->calls->take(n, at, text) ? failed(text) : RT_OK;
}

void rt_cluster_tick(rt_cluster *c)
{
    if (c) c->calls->tick();
}

rt_status rt_cluster_end(rt_cluster *c, rt_status st)
{
    char message[1024];
    uint64_t at;
    if (!c) return st;
    snprintf(message, sizeof message, "%s", rt_error_message());
    if (st) {
        (void)rt_cluster_take(c, BEYOND, &at);
        rt_fail(st, "%s", message);
    }
    return rt_cluster_agree(c, st);
}

void rt_cluster_free(rt_cluster *c)
{
    char text[256];
    if (!c) return;
    (void)c->calls->end(text);
    free(c);                               /* the library stays: MPI does not begin twice */
}
