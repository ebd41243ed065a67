/* Memory that is not to be had: whichever allocation of a piece of work fails, alone or with all that follow, the work
 * ends with RT_RUN and says so, or does what it would have done; what it was to make is there whole or not at all, and
 * the next run succeeds. The linker puts the functions below in the place of the C library's (--wrap). */
#include "tests/data/data_scenes.h"

#define WRAP(name, parameters, arguments)                                                                              \
    void *__real_##name parameters;                                                                                    \
    void *__wrap_##name parameters;                                                                                    \
    void *__wrap_##name parameters { return fault_turn(#name) ? NULL : __real_##name arguments; }

WRAP(malloc, (size_t n), (n))
WRAP(calloc, (size_t k, size_t n), (k, n))
WRAP(realloc, (void *p, size_t n), (p, n))
WRAP(aligned_alloc, (size_t by, size_t n), (by, n))

char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    char *p = __wrap_malloc(strlen(s) + 1);
    return p ? strcpy(p, s) : NULL;
}

char *__wrap_strndup(const char *s, size_t most);
char *__wrap_strndup(const char *s, size_t most)
{
    size_t n = strnlen(s, most);
    char *p = __wrap_malloc(n + 1);
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

static void one_fails(void **state)
{
    (void)state;
    for (int i = 0; i < SCENES; i++) each_call(&scenes[i], 0, ENOMEM, "memory");
}

static void all_fail(void **state)
{
    (void)state;
    for (int i = 0; i < SCENES; i++) each_call(&scenes[i], 1, ENOMEM, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_fails), cmocka_unit_test(all_fail)};
    return cmocka_run_group_tests(tests, make_scenes, remove_scenes);
}
