/* tests/train/in_pieces.h - runs that are interrupted after every batch; of tests that are linked with
 * --wrap=rt_stream_next. */
#ifndef RT_TESTS_TRAIN_IN_PIECES_H
#define RT_TESTS_TRAIN_IN_PIECES_H

#include "data/stream.h"
#include "tests/train/train_support.h"

/* rt_stream_next, as the linker names it when another takes its place. */
rt_status __real_rt_stream_next(rt_stream *, const rt_batch **);
rt_status __wrap_rt_stream_next(rt_stream *, const rt_batch **);

static int stop_at_batches;

rt_status __wrap_rt_stream_next(rt_stream *t, const rt_batch **b)
{
    if (stop_at_batches) rt_ask_to_stop(1);
    return __real_rt_stream_next(t, b);
}

/* Asked to stop at all times, a run ends after each batch at which it can, and goes on from there: how often it was
 * begun. */
static inline int run_in_pieces(const char *config, const char *out, cJSON **result)
{
    rt_status st = RT_INTERRUPTED;
    int turns = 0;
    *result = NULL;
    for (stop_at_batches = 1; st == RT_INTERRUPTED && turns < 100; turns++) {
        st = train_with(config, out, turns == 0, NULL, result);
        rt_ask_to_stop(0);
    }
    stop_at_batches = 0;
    check_ok(st);
    return turns;
}
#endif
