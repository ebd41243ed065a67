/* CRC32C against RFC 3720, B.4; XXH3-128 against the empty string's published value. */
#include "engine/digest.h"
#include "tests/support.h"

static void crc(void **state)
{
    (void)state;
    unsigned char b[32];
    memset(b, 0, 32);
    assert_int_equal(rt_crc32c(0, b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    assert_int_equal(rt_crc32c(0, b, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) b[i] = (unsigned char)i;
    assert_int_equal(rt_crc32c(0, b, 32), 0x46dd794e);
    assert_int_equal(rt_crc32c(rt_crc32c(0, b, 13), b + 13, 19), 0x46dd794e);
    assert_int_equal(rt_crc32c(0, "123456789", 9), 0xe3069283);
}

/* Of many bytes, at any address, against the polynomial bit by bit. */
static void long_crc(void **state)
{
    (void)state;
    enum { MOST = 20000 };
    static unsigned char b[MOST + 8];
    static uint32_t upto[MOST + 1];
    static const int length[] = {0, 1, 7, 1023, 1024, 3071, 3072, 3073, 3080, 6143, 6144, 6150, 9216, 15000, MOST};
    uint32_t x = 12345, c = ~0u;
    for (size_t i = 0; i < sizeof b; i++) b[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
    upto[0] = 0;
    for (int i = 0; i < MOST; i++) {
        c ^= b[i + 3];
        for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        upto[i + 1] = ~c;
    }
    for (size_t i = 0; i < sizeof length / sizeof length[0]; i++) {
        assert_int_equal(rt_crc32c(0, b + 3, (size_t)length[i]), upto[length[i]]);
        for (int first = 1; first < length[i]; first += 1 + length[i] / 5)
            assert_int_equal(rt_crc32c(upto[first], b + 3 + first, (size_t)(length[i] - first)), upto[length[i]]);
    }
}

static void xxh(void **state)
{
    (void)state;
    assert_string_equal(rt_digest_of("", 0).hex, "99aa06d3014798d86001c324468d497f");
    rt_hasher *h = rt_hasher_new();
    rt_hasher_add(h, "ab", 2);
    rt_hasher_add(h, "c", 1);
    assert_string_equal(rt_hasher_end(h).hex, rt_digest_of("abc", 3).hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(crc), cmocka_unit_test(long_crc), cmocka_unit_test(xxh)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
