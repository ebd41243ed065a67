/* tests/engine/session_step.h - a step of a session and what it gave. */
#ifndef TESTS_SESSION_STEP_H
#define TESTS_SESSION_STEP_H

#include "engine/session.h"
#include "tests/support.h"

static inline rt_step_result session_step(rt_session *s, const rt_step *step)
{
    rt_step_result r;
    int n;
    check_ok(rt_session_step(s, step));
    check_ok(rt_session_results(s, 1, &r, 1, &n));
    assert_int_equal(n, 1);
    return r;
}
#endif
