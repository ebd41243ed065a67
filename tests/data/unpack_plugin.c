/* tests/data/unpack_plugin.c - a plugin of HDF5 as users have them, filter 257: bytes exchanged with their index, and
 * on the word of the chunk's first four bytes all that no filter should do. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <H5PLextern.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/data/unpack_plugin.h"

/* Counts, for there is no clock any more; how fast is measured when the plugin is loaded. */
static double a_second;

static void count(double n)
{
    for (volatile double i = 0; i < n; i++) ;
}

static void calibrate(void)
{
    clock_t start = clock();
    count(1e7);
    a_second = 1e7 * CLOCKS_PER_SEC / (double)(clock() - start + 1);
}

/* What the process may do no longer: the errno of each attempt, 0 where one works. */
static void attempts(int32_t *got)
{
    int pair[2];
    void *page;
    got[0] = open("/etc/hostname", O_RDONLY) < 0 ? errno : 0;
    got[1] = open("made.txt", O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
    got[2] = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? errno : 0;
    got[3] = fork() < 0 ? errno : 0;
    got[4] = kill(getppid(), 0) ? errno : 0;
    page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    got[5] = page == MAP_FAILED ? errno : 0;
    got[6] = write(RT_TEST_OTHER_FD, "x", 1) < 0 ? errno : 0;
    got[7] = getenv("TEST_SECRET") ? 0 : ENOENT;
}

static size_t filter(unsigned flags, size_t n, const unsigned *value, size_t bytes, size_t *room, void **buffer)
{
    unsigned char *p = *buffer;
    uint32_t word = 0;
    (void)n, (void)value, (void)room;
    for (size_t i = 0; i < bytes; i++) p[i] ^= (unsigned char)i;
    if (!(flags & H5Z_FLAG_REVERSE) || bytes < 64) return bytes;
    memcpy(&word, p, 4);
    switch (word) {
    case RT_TEST_FAIL: return 0;
    case RT_TEST_SHORT: return bytes - 8;
    case RT_TEST_LONG: return bytes + 4096;
    case RT_TEST_CRASH: raise(SIGSEGV); abort();
    case RT_TEST_LEAVE: _exit(0);
    case RT_TEST_HANG: for (;;) ;
    case RT_TEST_SLOW: count(1.3 * a_second); return bytes;
    case RT_TEST_EAT: while (malloc(1 << 20)) ; return 0;
    case RT_TEST_LOOK: attempts((int32_t *)p + 1); return bytes;
    default: return bytes;
    }
}

static const H5Z_class2_t class = {H5Z_CLASS_T_VERS, RT_TEST_FILTER, 1, 1, "of a test", NULL, NULL, filter};
H5PL_type_t H5PLget_plugin_type(void) { return H5PL_TYPE_FILTER; }
const void *H5PLget_plugin_info(void)
{
    calibrate();
    return &class;
}
