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
    const struct CMUnitTest tests[] = {cmocka_unit_test(crc), cmocka_unit_test(xxh)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
