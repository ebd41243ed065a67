#include "engine/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static rt_digest to_hex(XXH128_hash_t h)
{
    rt_digest d;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, h);
    for (int i = 0; i < 16; i++) snprintf(d.hex + 2 * i, 3, "%02x", c.digest[i]);
    return d;
}

rt_hasher *rt_hasher_new(void)
{
    XXH3_state_t *s = XXH3_createState();
    if (!s) rt_out_of_memory();
    XXH3_128bits_reset(s);
    return (rt_hasher *)s;
}

void rt_hasher_add(rt_hasher *h, const void *p, size_t n)
{
    if (n) XXH3_128bits_update((XXH3_state_t *)h, p, n);
}

rt_digest rt_hasher_end(rt_hasher *h)
{
    rt_digest d = to_hex(XXH3_128bits_digest((XXH3_state_t *)h));
    XXH3_freeState((XXH3_state_t *)h);
    return d;
}

rt_digest rt_digest_of(const void *p, size_t n) { return to_hex(XXH3_128bits(p, n)); }

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        table[i] = c;
    }
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t c, const unsigned char *p, size_t n)
{
    uint64_t c64 = c;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        c64 = __builtin_ia32_crc32di(c64, w);
    }
    c = (uint32_t)c64;
    for (; n; n--, p++) c = __builtin_ia32_crc32qi(c, *p);
    return c;
}
#endif

uint32_t rt_crc32c(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t c = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc_sse42(c, p, n);
#endif
    pthread_once(&table_once, make_table);
    for (; n; n--, p++) c = (c >> 8) ^ table[(c ^ *p) & 255];
    return ~c;
}
