/* teacher/mpi/retort_mpi.c - retort_mpi.so: a counter and agreement among the processes of an mpirun. */
#include <mpi.h>
#include <stdio.h>
#include <time.h>

#include "teacher/cluster_parts.h"

static MPI_Win window;
static uint64_t *counter;
static int rank_of_this;

static int fault(const char *what, int code, char *text)
{
    char reason[MPI_MAX_ERROR_STRING] = "";
    int n;
    MPI_Error_string(code, reason, &n);
    snprintf(text, 256, "%s: %.200s", what, reason);
    return 1;
}

/* Several processes on few cores: none of them may turn while it waits. */
static int wait_asleep(MPI_Request *request)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    int done = 0, code = MPI_SUCCESS;
    while (!done && !(code = MPI_Test(request, &done, MPI_STATUS_IGNORE)))
        if (!done) nanosleep(&nap, NULL);
    return code;
}

static int mpi_begin(int *rank, int *size, char *text)
{
    int given, code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    if (code) return fault("it cannot begin", code, text);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    rank_of_this = *rank;
    code = MPI_Win_allocate(*rank ? 0 : sizeof *counter, sizeof *counter, MPI_INFO_NULL, MPI_COMM_WORLD, &counter,
                            &window);
    if (code) return fault("no window", code, text);
    MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN);
    if (!*rank) *counter = 0;
    code = MPI_Win_lock_all(0, window);
    if (!code) code = MPI_Win_sync(window);
    if (!code) code = MPI_Barrier(MPI_COMM_WORLD);
    return code ? fault("no window", code, text) : 0;
}

static int mpi_take(uint64_t n, uint64_t *at, char *text)
{
    int code = MPI_Fetch_and_op(&n, at, MPI_UINT64_T, 0, 0, MPI_SUM, window);
    if (!code) code = MPI_Win_flush(0, window);
    return code ? fault("the counter", code, text) : 0;
}

static int mpi_most(int mine, int *most, char *text)
{
    MPI_Request request;
    int code = MPI_Iallreduce(&mine, most, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
    if (!code) code = wait_asleep(&request);
    return code ? fault("agreement", code, text) : 0;
}

static void mpi_tick(void)
{
    int flag;
    if (!rank_of_this) MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
}

static int mpi_end(char *text)
{
    MPI_Request request;
    int code = MPI_Ibarrier(MPI_COMM_WORLD, &request);
    if (!code) code = wait_asleep(&request);
    if (!code) code = MPI_Win_unlock_all(window);
    if (!code) code = MPI_Win_free(&window);
    if (!code) code = MPI_Finalize();
    return code ? fault("the end", code, text) : 0;
}

const rt_cluster_calls *retort_mpi_calls(void);
const rt_cluster_calls *retort_mpi_calls(void)
{
    static const rt_cluster_calls calls = {RT_CLUSTER_CALLS, mpi_begin, mpi_take, mpi_most, mpi_tick, mpi_end};
    return &calls;
}
