/* tests/coverage_wrap.c - for the build that counts: every end of a process writes its counts. */
#include <errno.h>

extern void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);

void __wrap__exit(int code)
{
    int error = errno;
    __gcov_dump();
    errno = error;
    __real__exit(code);
}
