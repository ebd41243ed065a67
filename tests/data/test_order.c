/* Which rows batches have: recorded orders, every row has its turn, blocks are visited once, batch g by itself. */
#include "data/order.h"
#include "tests/support.h"

static rt_rows subset(const char *range, double test, uint64_t rows)
{
    rt_rows_config c = {range, test, 1};
    rt_rows kept, left;
    check_ok(rt_rows_select(&c, rows, &kept, &left));
    rt_rows_free(&left);
    return kept;
}

/* FNV-1a (64 bits) of the row numbers of three epochs, of rows that are mixed as a whole, at commit a3c9fee: 1,003
 * rows. */
static void recorded(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        double test;
        int batch, keep_tail;
        uint64_t seed, steps, sum;
    } record[] = {
        {"", 0, 32, 1, 5, 32, 0xf3c9b2856a1f271b},          {"", 0, 64, 0, 6, 15, 0x7165583bcb9b9679},
        {"100:900", 0.1, 48, 0, 7, 15, 0xd7e3eeabc55c0f45}, {"3:", 500, 1, 0, 8, 500, 0xb0da540c8da63436},
        {"0:31", 0, 64, 0, 9, 1, 0x99ad0abe604d8cda},       {"", 0.5, 100, 1, 123456789012345, 6, 0xf38f4b3b7d36868b}};
    for (size_t i = 0; i < sizeof record / sizeof *record; i++) {
        rt_rows rows = subset(record[i].range, record[i].test, 1003);
        rt_order o = {.rows = &rows,
                      .batch = record[i].batch,
                      .shuffle = 1,
                      .keep_tail = record[i].keep_tail,
                      .seed = record[i].seed,
                      .block = 1,
                      .window = UINT64_MAX};
        rt_order_reader c;
        rt_order_plan(&o);
        check_ok(rt_order_reader_open(&c, &o));
        uint64_t row[100], sum = 14695981039346656037u;
        for (uint64_t g = 0; g < 3 * o.steps; g++) {
            int n;
            check_ok(rt_order_batch(&c, g, row, &n));
            for (int r = 0; r < n; r++)
                for (int b = 0; b < 64; b += 8) sum = (sum ^ (row[r] >> b & 255)) * 1099511628211u;
        }
        if (o.steps != record[i].steps || sum != record[i].sum)
            fail_msg("order %zu: %llu steps, sum %llx", i, (unsigned long long)o.steps, (unsigned long long)sum);
        rt_order_reader_close(&c);
        rt_rows_free(&rows);
    }
}

enum { MANY = 4096 };
typedef struct { uint64_t rows; const char *range; double test; uint64_t block, window; int batch, keep_tail; } shape;

/* Blocks that a cache of so many loads, oldest out. */
typedef struct { uint64_t block[512], used[512], clock, loads; int slots; } cache;
static void visit(cache *c, uint64_t block)
{
    int oldest = 0;
    c->clock++;
    for (int i = 0; i < c->slots; i++) {
        if (c->used[i] && c->block[i] == block) {
            c->used[i] = c->clock;
            return;
        }
        if (c->used[i] < c->used[oldest]) oldest = i;
    }
    c->block[oldest] = block;
    c->used[oldest] = c->clock;
    c->loads++;
}

/* All batches of so many epochs: times each row came. */
static void run(const shape *s, const rt_rows *rows, rt_order *o, int epochs, int *times)
{
    static uint64_t row[MANY], again[MANY], last_epoch[MANY], this_epoch[MANY];
    static char seen[MANY];
    rt_order_reader c, other;
    int n, m;
    check_ok(rt_order_reader_open(&c, o));
    check_ok(rt_order_reader_open(&other, o));
    uint64_t blocks = rows->end / s->block + 1, moved = 0;
    for (int e = 0; e < epochs; e++) {
        cache held = {.slots = (int)(s->window < 500 ? s->window : 500) + 2};
        uint64_t count = 0;
        memset(seen, 0, sizeof seen);
        for (uint64_t step = 0; step < o->steps; step++) {
            uint64_t g = (uint64_t)e * o->steps + step;
            check_ok(rt_order_batch(&c, g, row, &n));
            for (int r = 0; r < n; r++) {
                assert_true(rt_rows_has(rows, row[r]) && !seen[row[r]]);
                seen[row[r]] = 1;
                times[row[r]]++;
                visit(&held, row[r] / s->block);
                this_epoch[count++] = row[r];
            }
            uint64_t elsewhere =
                (g * 7919 + 3) % ((uint64_t)epochs * o->steps); /* another reader, in another order of batches */
            check_ok(rt_order_batch(&other, elsewhere, again, &m));
            check_ok(rt_order_batch(&other, g, again, &m));
            assert_int_equal(n, m);
            assert_memory_equal(row, again, (size_t)n * sizeof *row);
        }
        assert_int_equal(count, s->keep_tail ? rows->count : o->steps * (uint64_t)o->batch);
        if (o->window && held.loads > blocks + 4)
            fail_msg("%llu loads of %llu blocks", (unsigned long long)held.loads, (unsigned long long)blocks);
        if (e) moved += memcmp(last_epoch, this_epoch, count * sizeof *row) != 0;
        memcpy(last_epoch, this_epoch, sizeof last_epoch);
    }
    if (rows->count > 12) assert_int_equal(moved, epochs - 1);
    rt_order_reader_close(&c);
    rt_order_reader_close(&other);
}

/* A row is left out of an epoch with probability 1 - steps batch / n, apart from what other epochs do: its count is
 * binomial, and nowhere further than six deviations from the mean. That is also checked of the sum over the rows of
 * each block, whose deviation is not that of independent rows but no larger than as if they were left out together. */
static void every_row_has_its_turn(void **state)
{
    (void)state;
    static const shape shapes[] = {
        {1010, "", 0, 100, 16, 64, 0},     {1010, "", 0, 100, 16, 32, 0},  {1010, "", 0, 100, 3, 64, 0},
        {1010, "", 0, 100, 1, 64, 0},      {1710, "", 0, 100, 16, 190, 0}, {1710, "", 0, 100, 16, 64, 1},
        {1010, "3:997", 0, 100, 4, 64, 0}, {1010, "", 0.3, 100, 4, 64, 0}, {1010, "55:1000", 0.9, 100, 2, 48, 0},
        {2000, "", 0.5, 7, 16, 100, 0},    {999, "", 0, 2, 16, 500, 0},    {999, "", 0, 2, 9, 10, 1},
        {50, "", 0, 100, 16, 32, 0},       {50, "", 0, 7, 2, 32, 0},       {13, "", 0, 4, 1, 5, 0},
        {10, "", 0, 3, 2, 64, 0},          {1003, "", 0, 1, 1, 64, 0},     {1003, "", 0.25, 1, 1, 500, 0},
        {640, "", 0, 64, 4, 64, 0},        {641, "", 0, 64, 4, 64, 0},     {4000, "5:3900", 0.1, 33, 5, 1000, 0}};
    enum { EPOCHS = 400 };
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const shape *s = &shapes[k];
        static int times[MANY];
        memset(times, 0, sizeof times);
        rt_rows rows = subset(s->range, s->test, s->rows);
        rt_order o = {.rows = &rows,
                      .batch = s->batch,
                      .shuffle = 1,
                      .keep_tail = s->keep_tail,
                      .seed = 40 + k,
                      .block = s->block,
                      .window = s->window};
        rt_order_plan(&o);
        run(s, &rows, &o, EPOCHS, times);
        double share = s->keep_tail ? 1 : (double)o.steps * o.batch / (double)rows.count, mean = EPOCHS * share,
               deviation = sqrt(EPOCHS * share * (1 - share));
        for (uint64_t i = 0; i < rows.count; i++) {
            uint64_t r = rt_rows_at(&rows, i);
            if (!(fabs(times[r] - mean) <= 6 * deviation))
                fail_msg("shape %zu: row %llu came %d times, not %.1f", k, (unsigned long long)r, times[r], mean);
        }
        for (uint64_t b = 0; b <= (rows.end - 1) / s->block; b++) {
            double sum = 0, members = 0;
            for (uint64_t r = b * s->block; r < (b + 1) * s->block && r < s->rows; r++) {
                sum += times[r];
                members += rt_rows_has(&rows, r);
            }
            if (members > 0 && !(fabs(sum / members - mean) <= 4.5 * deviation))
                fail_msg("shape %zu: rows of block %llu came %.1f times, not %.1f", k, (unsigned long long)b,
                         sum / members, mean);
        }
        rt_rows_free(&rows);
    }
}

/* What a window mixes: a batch has rows of no more blocks, and a window as large as the data mixes as data without
 * blocks. */
static void windows(void **state)
{
    (void)state;
    rt_rows rows = rt_rows_between(0, 3000);
    uint64_t row[64], whole[64];
    int n;
    for (uint64_t window = 1; window <= 40; window++) {
        rt_order o = {.rows = &rows, .batch = 50, .shuffle = 1, .seed = 3, .block = 100, .window = window};
        rt_order none = {.rows = &rows, .batch = 50, .shuffle = 1, .seed = 3, .block = 1, .window = UINT64_MAX};
        rt_order_reader c, d;
        rt_order_plan(&o);
        rt_order_plan(&none);
        assert_int_equal(o.window, window < 30 ? window : 0);
        check_ok(rt_order_reader_open(&c, &o));
        check_ok(rt_order_reader_open(&d, &none));
        uint64_t most = 0;
        for (uint64_t g = 0; g < 120; g++) {
            char in[30] = {0};
            uint64_t blocks = 0;
            check_ok(rt_order_batch(&c, g, row, &n));
            check_ok(rt_order_batch(&d, g, whole, &n));
            for (int r = 0; r < n; r++) in[row[r] / 100] = 1;
            for (int b = 0; b < 30; b++) blocks += (uint64_t)in[b];
            if (window < 30) assert_true(blocks <= window); /* 100 divides into batches: none crosses windows */
            else assert_memory_equal(row, whole, sizeof *row * (size_t)n);
            if (blocks > most) most = blocks;
        }
        if (window < 30) assert_true(most >= (window < 14 ? window : 14));
        rt_order_reader_close(&c);
        rt_order_reader_close(&d);
    }
}

/* Very many small blocks are taken several at a time; far batches of far epochs come at once. */
static void large(void **state)
{
    (void)state;
    rt_rows rows = subset("", 0.01, 30000000);
    rt_order o = {.rows = &rows, .batch = 1000, .shuffle = 1, .seed = 3, .block = 10, .window = 300};
    rt_order_reader c;
    uint64_t row[1000];
    int n;
    rt_order_plan(&o);
    assert_true(o.block == 30 && o.window == 100 && o.units == 1000000);
    check_ok(rt_order_reader_open(&c, &o));
    check_ok(rt_order_batch(&c, o.steps * 4000000 + o.steps - 1, row, &n));
    assert_int_equal(n, 1000);
    for (int i = 0; i < n; i++) assert_true(rt_rows_has(&rows, row[i]));
    rt_order_reader_close(&c);
    rt_rows_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded), cmocka_unit_test(every_row_has_its_turn),
                                       cmocka_unit_test(windows), cmocka_unit_test(large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
