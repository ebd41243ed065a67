/* Undoing filters in memory: LZF against bytes that h5py wrote and hostile ones, unshuffle against its plain twin; the
 * cache of blocks under many threads. */
#include <pthread.h>
#include <stdatomic.h>

#include "data/cache.h"
#include "engine/convert.h"
#include "data/decode.h"
#include "tests/support.h"

/* ---- LZF ---- */

/* By h5py 3.16, one chunk, 'lzf': x = i * i // 700 % 251 over 600 bytes, x[100:300] = 7, x[400:450] = x[50:100]. */
static const unsigned char recorded[] = {
    1, 0, 0, 224, 16, 0, 0, 1, 224, 1, 0, 0, 2, 160, 0, 0, 3, 128, 0, 0, 4, 128, 0, 0, 5, 64, 0, 0, 6, 64, 0, 0, 7,
    64, 0, 0, 8, 64, 0, 0, 9, 32, 0, 0, 10, 32, 0, 0, 11, 32, 0, 0, 12, 32, 0, 3, 13, 13, 13, 14, 64, 28, 224, 187, 0,
    31, 128, 129, 130, 131, 132, 132, 133, 134, 135, 136, 137, 138, 139, 139, 140, 141, 142, 143, 144, 145, 146, 147,
    148, 149, 149, 150, 151, 152, 153, 154, 155, 156, 31, 157, 158, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168,
    169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 31, 189, 190,
    191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 215,
    216, 217, 218, 219, 220, 221, 222, 3, 224, 225, 226, 227, 33, 96, 129, 92, 225, 32, 93, 31, 38, 39, 40, 42, 43,
    44, 46, 47, 48, 49, 51, 52, 53, 55, 56, 57, 59, 60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 74, 75, 76, 78, 79, 31,
    80, 82, 83, 85, 86, 87, 89, 90, 92, 93, 94, 96, 97, 99, 100, 101, 103, 104, 106, 107, 109, 110, 111, 113, 114,
    116, 117, 119, 120, 122, 123, 124, 31, 126, 127, 129, 130, 132, 133, 135, 136, 138, 139, 141, 142, 144, 145, 147,
    148, 150, 151, 153, 154, 156, 157, 159, 160, 162, 164, 165, 167, 168, 170, 171, 173, 15, 174, 176, 178, 179, 181,
    182, 184, 185, 187, 189, 190, 192, 193, 195, 197, 198, 32, 186, 9, 205, 206, 208, 209, 211, 213, 214, 216, 218,
    219, 32, 180, 21, 226, 227, 229, 231, 232, 234, 236, 237, 239, 241, 242, 244, 246, 247, 249, 0, 2, 3, 5, 7, 8, 10};

/* dst and src end where their memory ends, so that AddressSanitizer sees a byte too many. */
static size_t decode_exactly(unsigned char *out, size_t room, const unsigned char *src, size_t n)
{
    char *a = malloc(n ? n : 1), *b = malloc(room + 16);
    memcpy(a, src, n);
    memset(b + room, 0x5a, 16);
    size_t got = rt_lzf_decode(b, room, a, n);
    assert_true(got <= room);
    for (int i = 0; i < 16; i++) assert_int_equal(b[room + i], 0x5a);
    char *tight = malloc(room ? room : 1);
    assert_int_equal(rt_lzf_decode(tight, room, a, n), got);
    assert_memory_equal(tight, b, got);
    if (out) memcpy(out, b, got);
    free(tight);
    free(a);
    free(b);
    return got;
}

static void lzf(void **state)
{
    (void)state;
    unsigned char want[600], got[600];
    for (int i = 0; i < 600; i++) want[i] = (unsigned char)(i * i / 700 % 251);
    memset(want + 100, 7, 200);
    memcpy(want + 400, want + 50, 50);
    assert_int_equal(decode_exactly(got, 600, recorded, sizeof recorded), 600);
    assert_memory_equal(got, want, 600);
    assert_int_equal(decode_exactly(NULL, 599, recorded, sizeof recorded), 0);
    for (size_t n = 0; n < sizeof recorded; n++) assert_true(decode_exactly(NULL, 600, recorded, n) < 600);
}

static void lzf_hostile(void **state)
{
    (void)state;
    /* No byte before the first; distance 1 repeated; length or distance behind the end; the longest, 7 + 255 + 2. */
    assert_int_equal(decode_exactly(NULL, 100, (unsigned char[]){0x20, 0}, 2), 0);
    assert_int_equal(decode_exactly(NULL, 100, (unsigned char[]){0, 9, 0x20, 1}, 4), 0);
    unsigned char got[300];
    assert_int_equal(decode_exactly(got, 300, (unsigned char[]){0, 9, 0xe0, 255, 0}, 5), 265);
    for (int i = 0; i < 265; i++) assert_int_equal(got[i], 9);
    assert_int_equal(decode_exactly(NULL, 264, (unsigned char[]){0, 9, 0xe0, 255, 0}, 5), 0);
    assert_int_equal(decode_exactly(NULL, 300, (unsigned char[]){0, 9, 0xe0, 255}, 4), 0);
    assert_int_equal(decode_exactly(NULL, 300, (unsigned char[]){0, 9, 0xe0}, 3), 0);
    assert_int_equal(decode_exactly(NULL, 300, (unsigned char[]){0, 9, 0x20}, 3), 0);
    assert_int_equal(decode_exactly(NULL, 300, (unsigned char[]){1, 9}, 2), 0);
    assert_int_equal(decode_exactly(NULL, 0, (unsigned char[]){0, 9}, 2), 0);
    assert_int_equal(decode_exactly(got, 6, (unsigned char[]){2, 1, 2, 3, 0x20, 2}, 6), 6);
    assert_memory_equal(got, ((unsigned char[]){1, 2, 3, 1, 2, 3}), 6);
    for (uint32_t k = 0; k < 20000; k++) {            /* what was written, with bytes changed, and noise */
        unsigned char bytes[sizeof recorded];
        uint32_t r[4];
        memcpy(bytes, recorded, sizeof bytes);
        for (int change = 0; change < 4; change++) {
            rt_random4(r, 3, RT_RNG_TEST, k, (uint32_t)change, 0, 0);
            bytes[r[0] % sizeof bytes] = (unsigned char)r[1];
            for (int i = 0; i < 8 && k % 4 == 0; i++) bytes[8 * change + i] = (unsigned char)(r[i / 2] >> 8 * (i % 2));
        }
        decode_exactly(NULL, 64 + r[2] % 700, bytes, r[3] % sizeof bytes);
    }
}

/* ---- shuffle ---- */

static void unshuffle(void **state)
{
    (void)state;
    for (size_t element = 1; element <= 20; element++)
        for (size_t n = 0; n < 700; n += n < 80 ? 1 : 37) {
            char *src = malloc(n + 1), *a = malloc(n + 1), *b = malloc(n + 1);
            for (size_t i = 0; i < n; i++) src[i] = (char)(i * 197 + (i >> 8) * 31);
            a[n] = b[n] = 0x5a;
            rt_unshuffle(a, src, n, element);
            rt_unshuffle_plain(b, src, n, element);
            assert_memory_equal(a, b, n + 1);
            size_t count = n / element;
            for (size_t i = 0; i < n; i++)            /* the definition, and what is left over at the end */
                assert_int_equal(b[i], i < count * element ? src[i % element * count + i / element] : src[i]);
            free(src);
            free(a);
            free(b);
        }
}

static void swap_bytes(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 8; size *= 2)
        for (size_t n = 0; n < 40; n++) {
            unsigned char p[321];
            for (size_t i = 0; i < sizeof p; i++) p[i] = (unsigned char)(i * 7);
            rt_swap_bytes(p + 1, n, size);
            for (size_t i = 0; i < 320; i++) {
                size_t from = i < n * size ? i / size * size + size - 1 - i % size : i;
                assert_int_equal(p[i + 1], (unsigned char)((1 + from) * 7));
            }
        }
}

/* ---- cache ---- */

enum { BLOCKS = 200, BYTES = 4096, THREADS = 6 };
typedef struct { _Atomic int loads, failing; _Atomic int busy[BLOCKS]; uint64_t bad; } loader;

static rt_status load(void *arg, uint64_t block, char *data)
{
    loader *l = arg;
    l->loads++;
    if (l->busy[block]++) l->failing = 1000;          /* no two threads load one block */
    for (size_t i = 0; i < BYTES; i++) data[i] = (char)(block * 31 + i);
    l->busy[block]--;
    return block == l->bad ? rt_fail(RT_INPUT, "block %llu is bad", (unsigned long long)block) : RT_OK;
}

typedef struct { rt_cache *cache; loader *l; uint32_t seed; int wrong; } user;

static void *use(void *arg)
{
    user *u = arg;
    for (uint32_t k = 0; k < 3000; k++) {
        uint32_t r[4];
        const char *data;
        int slot;
        rt_random4(r, u->seed, RT_RNG_TEST, k, 0, 0, 0);
        uint64_t block = (k / 500 * 20 + r[0] % 24) % BLOCKS;       /* windows that move on */
        rt_status st = rt_cache_pin(u->cache, block, &data, &slot);
        if (st) {
            u->wrong |= block != u->l->bad;
            continue;
        }
        u->wrong |= block == u->l->bad;
        for (size_t i = r[1] % 64; i < BYTES; i += 64) u->wrong |= data[i] != (char)(block * 31 + i);
        rt_cache_release(u->cache, slot);
    }
    return NULL;
}

static void cache_threads(void **state)
{
    (void)state;
    for (int slots = 1; slots < 40; slots += slots < 8 ? 1 : 13) {
        loader l = {.bad = 45};
        rt_cache *c;
        check_ok(rt_cache_new(&c, BLOCKS, BYTES, slots == 1 ? BYTES - 1 : (size_t)slots * BYTES, load, &l));
        assert_int_equal(rt_cache_slots(c), slots);
        user u[THREADS];
        pthread_t t[THREADS];
        for (int i = 0; i < THREADS; i++) {
            u[i] = (user){.cache = c, .l = &l, .seed = (uint32_t)i};
            assert_int_equal(pthread_create(&t[i], NULL, use, &u[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(t[i], NULL);
            assert_int_equal(u[i].wrong, 0);
        }
        assert_true(l.failing < 1000);
        rt_cache_free(c);
    }
}

/* A pass in order goes through few slots, each block loaded once, also by several readers a little apart; what is asked
 * for out of order is kept from then on, all of it. */
static void cache_streams(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20, MANY = 40 };
    for (int readers = 1; readers <= 3; readers += 2) {
        loader l = {.bad = UINT64_MAX};
        rt_cache *c;
        const char *data[3], *lowest = NULL, *highest = NULL;
        int slot[3];
        check_ok(rt_cache_new(&c, MANY, LARGE, (size_t)MANY * LARGE, load, &l));
        assert_int_equal(rt_cache_slots(c), MANY);
        for (uint64_t b = 0; b < MANY; b++) {
            for (int r = 0; r < readers; r++) {
                uint64_t of = b >= (uint64_t)r ? b - (uint64_t)r : 0;
                check_ok(rt_cache_pin(c, of, &data[r], &slot[r]));
                assert_int_equal(data[r][100], (char)(of * 31 + 100));
                if (!lowest || data[r] < lowest) lowest = data[r];
                if (data[r] > highest) highest = data[r];
            }
            for (int r = 0; r < readers; r++) rt_cache_release(c, slot[r]);
        }
        assert_int_equal(l.loads, MANY);
        assert_in_range(highest - lowest, 6 * LARGE, 8 * LARGE);
        for (int again = 0; again < 3; again++)                /* the second pass keeps what the third finds */
            for (uint64_t b = 0; b < MANY; b++) {
                check_ok(rt_cache_pin(c, b, data, slot));
                assert_int_equal(data[0][100], (char)(b * 31 + 100));
                rt_cache_release(c, slot[0]);
            }
        assert_in_range(l.loads, 2 * MANY - 8, 2 * MANY);
        rt_cache_free(c);
    }
}

/* Reading in order loads each block once, whatever the size of the cache; a window that fits is loaded once, too. */
static void cache_loads(void **state)
{
    (void)state;
    for (int slots = 1; slots <= 20; slots++) {
        loader l = {.bad = UINT64_MAX};
        rt_cache *c;
        const char *data;
        int slot;
        check_ok(rt_cache_new(&c, BLOCKS, BYTES, slots == 1 ? 1 : (size_t)slots * BYTES, load, &l));
        for (uint64_t b = 0; b < BLOCKS; b++)
            for (int again = 0; again < 3; again++) {
                check_ok(rt_cache_pin(c, b, &data, &slot));
                assert_int_equal(data[100], (char)(b * 31 + 100));
                rt_cache_release(c, slot);
            }
        assert_int_equal(l.loads, BLOCKS);
        l.loads = 0;
        for (uint64_t k = 0; k < 40 * BLOCKS && slots > 2; k++) {      /* windows of slots - 2, each block 40 times */
            uint64_t window = (uint64_t)slots - 2, w = k / (40 * window), at = w * window + k * 7 % window;
            if (at >= BLOCKS) break;
            check_ok(rt_cache_pin(c, at, &data, &slot));
            rt_cache_release(c, slot);
        }
        assert_true(l.loads <= BLOCKS);
        rt_cache_free(c);
    }
    rt_cache *c;
    check_ok(rt_cache_new(&c, 3, BYTES, 1 << 30, load, NULL));
    assert_int_equal(rt_cache_slots(c), 3);           /* no more than there are blocks */
    rt_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lzf), cmocka_unit_test(lzf_hostile), cmocka_unit_test(unshuffle), cmocka_unit_test(swap_bytes),
        cmocka_unit_test(cache_threads), cmocka_unit_test(cache_loads), cmocka_unit_test(cache_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
