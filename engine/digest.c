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

/* ---- CRC-32C (Castagnoli), reflected ---- */

enum { LANE = 1024 /* bytes; a power of two */, BYTES = 4 };

static uint32_t table[256];
static uint32_t behind[BYTES][256];    /* of byte i of a state its share in the state behind LANE bytes of 0 */
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        table[i] = c;
    }
    /* The state behind zeros is linear in the state: bit by bit, behind one byte, then behind twice as many. */
    uint32_t bit[32], twice[32];
    for (int i = 0; i < 32; i++) bit[i] = table[(uint32_t)1 << i & 255] ^ ((uint32_t)1 << i) >> 8;
    for (int bytes = 1; bytes < LANE; bytes *= 2) {
        for (int i = 0; i < 32; i++) {
            twice[i] = 0;
            for (int k = 0; k < 32; k++) if (bit[i] >> k & 1) twice[i] ^= bit[k];
        }
        memcpy(bit, twice, sizeof bit);
    }
    for (int i = 0; i < 32; i++)
        for (uint32_t b = 0; b < 256; b++) if (b >> i % 8 & 1) behind[i / 8][b] ^= bit[i];
}

static uint32_t skip_lane(uint32_t c)
{ return behind[0][c & 255] ^ behind[1][c >> 8 & 255] ^ behind[2][c >> 16 & 255] ^ behind[3][c >> 24]; }

#if defined(__x86_64__)
static uint64_t word_at(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* An instruction waits three clocks for the one before it: three lanes go side by side. */
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t c, const unsigned char *p, size_t n)
{
    uint64_t c64 = c;
    for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
        uint64_t second = 0, third = 0;
        for (int i = 0; i < LANE; i += 8) {
            c64 = __builtin_ia32_crc32di(c64, word_at(p + i));
            second = __builtin_ia32_crc32di(second, word_at(p + LANE + i));
            third = __builtin_ia32_crc32di(third, word_at(p + 2 * LANE + i));
        }
        c64 = skip_lane(skip_lane((uint32_t)c64) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    for (; n >= 8; n -= 8, p += 8) c64 = __builtin_ia32_crc32di(c64, word_at(p));
    c = (uint32_t)c64;
    for (; n; n--, p++) c = __builtin_ia32_crc32qi(c, *p);
    return c;
}
#endif

uint32_t rt_crc32c(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t c = ~crc;
    pthread_once(&table_once, make_table);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc_sse42(c, p, n);
#endif
    for (; n; n--, p++) c = (c >> 8) ^ table[(c ^ *p) & 255];
    return ~c;
}
