/* tests/support.h - what test programs share. */
#ifndef RT_TESTS_SUPPORT_H
#define RT_TESTS_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/error.h"
#include "engine/rng.h"

/* Fails on NaN, too. */
static inline void check_close(const char *what, double got, double want, double absolute, double relative)
{
    double limit = absolute + relative * fabs(want);
    if (!(fabs(got - want) <= limit)) fail_msg("%s: got %.9g, want %.9g (limit %.3g)", what, got, want, limit);
}

static inline void check_ok(rt_status st)
{
    if (st) fail_msg("status %d: %s", st, rt_error_message());
}

static inline void check_fails(rt_status st, rt_status want, const char *part)
{
    if (st != want) fail_msg("status %d, want %d: %s", st, want, rt_error_message());
    if (!strstr(rt_error_message(), part)) fail_msg("message '%s' does not contain '%s'", rt_error_message(), part);
}

/* A scratch folder for a group of tests: set_up makes it, tear_down removes it. */
static char test_folder[32] = "";
static inline int make_test_folder(void **state)
{
    (void)state;
    strcpy(test_folder, "/tmp/retort-test-XXXXXX");
    return mkdtemp(test_folder) == NULL;
}
static inline int remove_test_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", test_folder);
    return system(command);
}

/* Turns a bit of a file over. */
static inline void flip_bit(const char *path, uint64_t at, int bit)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, (long)at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, (long)at, SEEK_SET);
    fputc(c ^ 1 << bit, f);
    fclose(f);
}

/* n values of a normal distribution by (seed, stream); the same everywhere. */
static inline float *random_floats(size_t n, uint32_t stream)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 127) & ~(size_t)63);
    assert_non_null(p);
    rt_normal(p, n, 2024, RT_RNG_TEST, stream);
    return p;
}
#endif
