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

/* What the scene makes is as an undisturbed run makes it, or not there. */
static void check_whole(const scene *s, rt_digest whole[2])
{
    rt_digest now;
    for (int i = 0; i < 2 && s->made[i]; i++) {
        if (access(s->made[i], F_OK)) continue;
        check_ok(rt_digest_file(&now, s->made[i], 0));
        assert_string_equal(now.hex, whole[i].hex);
    }
}

static void each_allocation(const scene *s, int onwards)
{
    char result[sizeof fault->result];
    rt_digest whole[2] = {{{0}}};
    forget_scene(s);
    run_scene(s, WORK, 0, 0, 0);
    if (fault->status) fail_msg("%s: status %d: %s", s->name, fault->status, fault->message);
    strcpy(result, fault->result);
    for (int i = 0; i < 2 && s->made[i]; i++) check_ok(rt_digest_file(&whole[i], s->made[i], 0));
    for (int role = WORK, failures = 0, all = 0; role < ROLES; role++, failures = all = 0) {
        for (int at = 1;; at++) {
            if (at % 2) forget_scene(s);
            run_scene(s, role, at, onwards, ENOMEM);
            if (!fault->failed[0]) break;
            all++;
            failures += fault->status != RT_OK;
            if (fault->status && (fault->status != RT_RUN || !strstr(fault->message, "memory")))
                fail_msg("%s: %s, call %d of role %d: status %d: %s", s->name, fault->failed, at, role, fault->status,
                         fault->message);
            if (!fault->status && strcmp(fault->result, result))
                fail_msg("%s: %s, call %d of role %d fails: another result", s->name, fault->failed, at, role);
            if (s->run != label) check_whole(s, whole);
        }
        print_message("%s, role %d%s: %d failures, %d end it\n", s->name, role, onwards ? " onwards" : "", all,
                      failures);
    }
    run_scene(s, WORK, 0, 0, 0);
    if (fault->status) fail_msg("%s, afterwards: status %d: %s", s->name, fault->status, fault->message);
    assert_string_equal(fault->result, result);
    forget_scene(s);
}

static void one_fails(void **state)
{
    (void)state;
    for (int i = 0; i < SCENES; i++) each_allocation(&scenes[i], 0);
}

static void all_fail(void **state)
{
    (void)state;
    for (int i = 0; i < SCENES; i++) each_allocation(&scenes[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_fails), cmocka_unit_test(all_fail)};
    return cmocka_run_group_tests(tests, make_scenes, remove_scenes);
}
