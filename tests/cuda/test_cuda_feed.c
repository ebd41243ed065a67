/* The beginning of a step on a card: records of a ring, and rows of every type, picked, at odd addresses, in views and
 * mixtures, as ids, against the CPU's. In several orders of threads, which give the same bits. */
#include "tests/cuda/step_block.h"

#include "engine/views.h"

static void ring(void **state)
{
    (void)state;
    enum { BLOCKS = 3, BYTES = 8192, ROWS = 600 /* of more than one block of threads */ };
    assert_true(sizeof(rt_cuda_now) + ROWS * sizeof(float) <= BYTES);
    for (int order = 0; order < ORDERS; order++) {
        in_order(order);
        char *host = calloc(BLOCKS, BYTES);
        rt_cuda_now now;
        for (int i = 0; i < BLOCKS; i++) {
            memset(&now, i + 1, sizeof now);          /* every byte of it, but for what rows are made of */
            now.block = NULL;
            now.x[1] = sizeof now;
            now.raw = now.where = 0;
            now.rows = 700 + i;
            memcpy(host + (size_t)i * BYTES, &now, sizeof now);
        }
        unsigned long long count = 4294967295ull, *counter = card_put(&count, sizeof count);
        char *at = card_put(host, BLOCKS * BYTES);
        rt_cuda_now *fixed = card_new(sizeof *fixed);
        unsigned none = 0, *ticket = card_put(&none, sizeof none);
        rt_cuda_rows desc = {.size = 1, .type = RT_F32, .channels = 1, .input = 1};
        rt_cuda_rows *on = card_put(&desc, sizeof desc);
        float *dst = card_new(ROWS * sizeof *dst);
        rt_cuda_ring taken = {fixed, at, BYTES, BLOCKS, counter, ticket};
        for (int s = 0; s < 7; s++) {
            rt_k_rows(0, dst, on, 1, ROWS, fixed, &taken);
            card_get(&now, fixed, sizeof now);
            uint64_t turn = (4294967295ull + (uint64_t)s) % BLOCKS;
            assert_ptr_equal(now.block, at + turn * BYTES);
            assert_memory_equal((char *)&now + sizeof now.block, host + turn * BYTES + sizeof now.block,
                                sizeof now - sizeof now.block);
        }
        card_get(&count, counter, sizeof count);
        assert_true(count == 4294967302ull);
        void *all[] = {counter, at, fixed, ticket, on, dst};
        for (size_t i = 0; i < 6; i++) card_ok(cudaFree(all[i]));
        free(host);
    }
    in_order(0);
}

/* What a case is: its input, and what is done with the rows. */
typedef struct {
    rt_shape shape;
    rt_dtype type;
    size_t at, gap;                    /* bytes before and behind the elements in a raw row */
    int channels, pick, ids, rows, there;
    rt_view_desc view;
    int mixed;
    rt_resize resize;
    int held;                          /* the rows become the card's, and are then taken from there */
} scene;

static uint32_t word(uint32_t i, uint32_t lane)
{
    uint32_t r[4];
    rt_random4(r, 9, RT_RNG_TEST, 0, 0, i, lane);
    return r[0];
}

/* A raw element of any type: most values, the greatest and least, halves below the normal range, not numbers. */
static void element(char *to, rt_dtype type, uint32_t i)
{
    uint64_t bits = (uint64_t)word(i, 1) << 32 | word(i, 2);
    float f = (float)(int32_t)word(i, 3) * 0x1p-24f;
    double d = (double)f;
    uint16_t half = (uint16_t)(word(i, 4) % 0x7c00u | (word(i, 5) & 0x8000u)), brain;
    if (i % 11 == 3) half = (uint16_t)(i % 2 ? 0x7c00 : 0x3ff & i);
    if (i % 11 == 4) d = f = (float)(int)f;
    if (i % 13 == 5) d = f = 2147483648.0f;
    if (i % 13 == 6) bits = i % 2 ? ~0ull : 0x8000000000000000ull;
    memcpy(&brain, (char *)&f + 2, 2);
    if (type == RT_F32) memcpy(to, &f, 4);
    else if (type == RT_F64) memcpy(to, &d, 8);
    else if (type == RT_F16) memcpy(to, &half, 2);
    else if (type == RT_BF16) memcpy(to, &brain, 2);
    else memcpy(to, &bits, rt_dtype_size(type));
}

static void check(const scene *c)
{
    size_t size = rt_shape_count(&c->shape), of = rt_dtype_size(c->type), wide = c->pick ? size + 5 : size;
    const rt_resize *z = &c->resize;
    if (z->from_h) wide = (size_t)(z->from_h * z->from_w * c->shape.dim[c->shape.rank - 1]);
    int rows = c->rows, pick[size], partner[rows], k = c->channels;
    float mul[k], add[k];
    uint64_t numbers[rows];
    rt_row_desc in = {.name = "x", .shape = c->shape, .size = size, .type = c->type, .at = c->at,
                      .bytes = c->at + wide * of + c->gap, .pick = c->pick ? pick : NULL, .channels = k, .mul = mul,
                      .add = add, .ids = c->ids, .resize = *z};
    size_t bytes = (size_t)rows * in.bytes, floats = (size_t)rows * size;
    char *raw = malloc(bytes);
    memset(raw, 0x55, bytes);
    for (int r = 0; r < rows; r++) {
        partner[r] = (r * 3 + 1) % c->there;
        numbers[r] = (uint64_t)r * 1000003 + ((uint64_t)r << 33);
        for (size_t i = 0; i < wide; i++)
            element(raw + (size_t)r * in.bytes + c->at + i * of, c->type, (uint32_t)(r * 1000) + (uint32_t)i);
    }
    for (size_t i = 0; i < size; i++) pick[i] = (int)((i * 7 + 3) % wide);
    for (int i = 0; i < k; i++) mul[i] = 0.02f * (float)(i + 1), add[i] = -100.5f + (float)i;
    rt_feed f = {.raw = raw, .rows = c->there, .row = numbers, .view = &c->view, .seed = 77, .epoch = 3,
                 .partner = c->mixed ? partner : NULL, .lambda = c->mixed ? 0.7f : 1};
    float *want = malloc(floats * 4), *got = malloc(floats * 4), *first = malloc(floats * 4);
    rt_rows_fill(&in, &f, want, 0, rows);
    rt_cuda_rows desc = {.at = in.at, .size = size, .type = in.type, .channels = k, .ids = c->ids, .input = 2,
                         .resize = *z};
    rt_shape_hwc(&in.shape, &desc.h, &desc.w, &desc.c);
    desc.mul = card_put(mul, sizeof mul), desc.add = card_put(add, sizeof add);
    desc.pick = c->pick ? card_put(pick, sizeof pick) : NULL;
    rt_cuda_rows *on = card_put(&desc, sizeof desc);
    uint32_t where[rows];
    for (int r = 0; r < rows; r++) where[r] = (uint32_t)((r * 5 + 2) % (rows + (rows % 5 == 0)));    /* all others */
    char *held = c->held ? card_new(bytes + in.bytes) : NULL;
    for (int turn = 0; turn < ORDERS * (1 + c->held); turn++) {
        int order = turn / (1 + c->held);
        in_order(order);
        step_block s = block_new(1, c->there);
        if (!c->held) s.used += c->gap & 1;           /* then nothing is aligned */
        if (!c->held || turn % 2 == 0) s.now.raw = block_add(&s, raw, bytes);
        s.now.row_bytes = in.bytes;
        s.now.held = held;
        s.now.where = c->held ? block_add(&s, where, sizeof where) : 0;
        rt_view_draw draw[rows];
        for (int r = 0; r < c->there && rt_view_moves(&in, &f); r++) draw[r] = rt_view_of(&in, &f, r);
        if (rt_view_moves(&in, &f)) s.now.draw[2] = block_add(&s, draw, (size_t)c->there * sizeof *draw);
        s.now.partner = block_add(&s, f.partner, (size_t)c->there * sizeof(int));
        s.now.lambda = f.lambda;
        void *ring;
        rt_cuda_now *now = block_send(&s, &ring);
        float *dst = card_new(floats * 4);
        unsigned long long turns = 4, *count = card_put(&turns, sizeof turns);
        unsigned none = 0, *ticket = card_put(&none, sizeof none);
        rt_cuda_ring taken = {now, ring, 1 << 20, 1, count, ticket};
        rt_k_rows(0, dst, on, size, rows, now, turn % 3 || c->held ? &taken : NULL);
        card_get(got, dst, floats * 4);
        if (!turn) memcpy(first, got, floats * 4);
        assert_memory_equal(first, got, floats * 4);
        for (size_t i = 0; i < floats; i++) {
            if (c->ids) assert_int_equal(((int32_t *)(void *)got)[i], ((int32_t *)(void *)want)[i]);
            else if (isnan(want[i])) assert_true(isnan(got[i]));
            else if (isinf(want[i])) assert_true(got[i] == want[i]);
            else check_close(rt_dtype_name(c->type), got[i], want[i], 1e-6, 1e-6);
        }
        void *all[] = {ring, now, dst, count, ticket};
        for (size_t i = 0; i < 5; i++) card_ok(cudaFree(all[i]));
    }
    in_order(0);
    void *all[] = {(void *)desc.mul, (void *)desc.add, (void *)desc.pick, on, held};
    for (size_t i = 0; i < 5; i++) card_ok(cudaFree(all[i]));
    free(raw);
    free(want);
    free(got);
    free(first);
}

static void every_type(void **state)
{
    (void)state;
    static const rt_shape shapes[] = {{1, {16}}, {1, {7}}, {1, {1}}, {2, {6, 5}}};
    for (int t = 0; t < RT_DATA_TYPES; t++)
        for (int way = 0; way < 16; way++) {
            scene c = {.shape = shapes[way % 4], .type = (rt_dtype)t, .at = way & 4 ? 16 : 0, .gap = way & 8 ? 3 : 0,
                       .channels = way % 4 == 3 && way & 4 ? 5 : 1, .pick = way % 5 == 1, .ids = way % 3 == 2,
                       .rows = 6, .there = way & 1 ? 6 : 4, .mixed = way % 7 == 3};
            check(&c);
        }
}

static void views(void **state)
{
    (void)state;
    static const rt_shape shapes[] = {{3, {6, 7, 2}}, {3, {5, 8, 1}}, {3, {4, 4, 4}}, {3, {1, 3, 3}}};
    static const rt_view_desc views[] = {{0}, {.flip = 1}, {.shift = 3}, {.erase = 1}, {1, 2, 0.5, NULL},
                                         {1, 2, 0.5, "y"}, {1, 2, 0.5, "x"}};
    static const rt_dtype types[] = {RT_U8, RT_F32, RT_I16, RT_F16, RT_U8};
    for (int s = 0; s < 4; s++)
        for (int v = 0; v < 7; v++)
            for (int way = 0; way < 4; way++) {
                scene c = {.shape = shapes[s], .type = types[(v + way) % 5], .at = way & 1 ? 12 : 0,
                           .gap = v % 2 ? 5 : 4, .pick = v % 3 == 2, .rows = 9, .there = 9 - s % 2, .view = views[v],
                           .mixed = way >> 1};
                c.channels = (s + v) % 2 ? shapes[s].dim[2] : 1;
                check(&c);
            }
}

/* Images of another size, larger and smaller, cut out, as they are and in views. */
static void resized(void **state)
{
    (void)state;
    static const rt_shape shapes[] = {{3, {6, 7, 2}}, {3, {5, 8, 1}}, {3, {4, 4, 3}}};
    static const rt_resize sizes[] = {{9, 11, 6, 8, 0, 0}, {3, 2, 8, 8, 1, 0}, {13, 5, 9, 10, 2, 1},
                                       {1, 1, 6, 8, 0, 0}};
    static const rt_view_desc views[] = {{0}, {.flip = 1}, {1, 2, 0.5, NULL}, {.erase = 1}};
    static const rt_dtype types[] = {RT_U8, RT_F32, RT_U16};
    for (int s = 0; s < 3; s++)
        for (int z = 0; z < 4; z++)
            for (int v = 0; v < 4; v++)
                for (int mixed = 0; mixed < 2; mixed++) {
                    scene c = {.shape = shapes[s], .type = types[(z + v) % 3], .at = v % 2 ? 4 : 0, .gap = z % 2,
                               .channels = mixed ? shapes[s].dim[2] : 1, .rows = 7, .there = 6, .view = views[v],
                               .mixed = mixed, .resize = sizes[z]};
                    check(&c);
                }
}

/* Rows that stay on the card from one step to the next, of whole words or not. */
static void held(void **state)
{
    (void)state;
    for (int way = 0; way < 16; way++) {
        scene c = {.shape = way & 1 ? (rt_shape){3, {5, 8, 1}} : (rt_shape){1, {way & 2 ? 70000 : 10}},
                   .type = way & 4 ? RT_U8 : RT_U16, .at = way & 8 ? 4 : 0, .gap = way % 3, .channels = 1, .rows = 6,
                   .there = 5, .view = {.flip = 1, .shift = 1}, .mixed = way / 2 % 2, .held = 1};
        check(&c);
    }
}

/* Whole bytes four at a time, on one, three and four channels, over more than a block of threads. */
static void bytes(void **state)
{
    (void)state;
    static const rt_shape shapes[] = {{3, {28, 28, 1}}, {3, {30, 36, 3}}, {3, {4, 8, 4}}, {1, {2052}}, {1, {2051}}};
    for (int s = 0; s < 5; s++)
        for (int way = 0; way < 4; way++) {
            scene c = {.shape = shapes[s], .type = RT_U8, .at = way & 1 ? 4 : 0, .gap = way & 2 ? 2 : 0, .rows = 3,
                       .there = 3 - way / 2, .channels = s < 3 ? shapes[s].dim[2] : 1};
            check(&c);
        }
}

/* More rows than the grid has come in turns. */
static void many_rows(void **state)
{
    (void)state;
    check(&(scene){.shape = {1, {1028}}, .type = RT_U8, .rows = 1030, .there = 1027, .channels = 1});
    check(&(scene){.shape = {1, {1028}}, .type = RT_I8, .rows = 1030, .there = 1026, .channels = 1});
    check(&(scene){.shape = {1, {1028}}, .type = RT_I8, .rows = 1029, .there = 1026, .channels = 1, .ids = 1});
}

/* Rows that are floats already, and ids, keep their bits. */
static void rows_in_place(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4, 7, 1030};
    enum { ROWS = 5, THERE = 3 };
    for (int k = 0; k < 4; k++)
        for (int order = 0; order < ORDERS; order++) {
            size_t n = ROWS * sizes[k];
            uint32_t *x = malloc(n * 4), *got = malloc(n * 4);
            for (size_t i = 0; i < n; i++) x[i] = word((uint32_t)i, 7);    /* any bits */
            in_order(order);
            step_block s = block_new(1, THERE);
            s.now.x[1] = block_add(&s, x, THERE * sizes[k] * 4);
            void *ring;
            rt_cuda_now *now = block_send(&s, &ring);
            rt_cuda_rows desc = {.size = sizes[k], .type = RT_U8, .channels = 1, .input = 1}, *on;
            on = card_put(&desc, sizeof desc);
            float *dst = card_new(n * 4);
            rt_k_rows(0, dst, on, sizes[k], ROWS, now, NULL);
            card_get(got, dst, n * 4);
            for (size_t i = 0; i < n; i++) assert_int_equal(got[i], i < THERE * sizes[k] ? x[i] : 0);
            void *all[] = {ring, now, on, dst};
            for (size_t i = 0; i < 4; i++) card_ok(cudaFree(all[i]));
            free(x);
            free(got);
        }
    in_order(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring), cmocka_unit_test(every_type), cmocka_unit_test(views), cmocka_unit_test(resized),
        cmocka_unit_test(held), cmocka_unit_test(bytes),
        cmocka_unit_test(many_rows), cmocka_unit_test(rows_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
