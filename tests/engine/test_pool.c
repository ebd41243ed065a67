/* Every tile runs once, whatever the threads; results do not depend on them. */
#include "engine/pool.h"
#include "tests/support.h"

#include <stdatomic.h>

typedef struct { atomic_int count[5000]; double value[5000]; } work;

static void tile_fn(void *arg, int tile, int thread)
{
    work *w = arg;
    (void)thread;
    atomic_fetch_add(&w->count[tile], 1);
    w->value[tile] = sin(tile);
}

static void each_once(void **state)
{
    (void)state;
    static work w;
    for (int threads = 1; threads <= 8; threads *= 2) {
        rt_pool *p = rt_pool_new(threads);
        assert_non_null(p);
        assert_int_equal(rt_pool_threads(p), threads);
        for (int round = 0; round < 300; round++) {
            int tiles = round * 17 % 500;
            memset(&w, 0, sizeof w);
            rt_pool_run(p, tiles, tile_fn, &w);
            for (int i = 0; i < tiles; i++) {
                assert_int_equal(atomic_load(&w.count[i]), 1);
                assert_true(w.value[i] == sin(i));
            }
            assert_int_equal(atomic_load(&w.count[tiles]), 0);
        }
        rt_pool_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
