#include "data/codecs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "data/decode.h"
#include "data/h5.h"

#ifdef RT_WITH_LZ4
#include <lz4.h>
#endif
#ifdef RT_WITH_ZSTD
#include <zstd.h>
#endif

enum { HEAD = 12, TARGET = 8192, LEAST = 128, OF_LZ4 = 2, OF_ZSTD = 3 };

void rt_codec_free(rt_codec_scratch *s)
{
#ifdef RT_WITH_ZSTD
    ZSTD_freeDCtx(s->zstd);
#endif
    free(s->bits);
    free(s->block);
    *s = (rt_codec_scratch){0};
}

const char *rt_codec_lacks(int filter, const uint32_t *param)
{
    int lz4 = filter == RT_H5_LZ4 || (filter == RT_H5_BITSHUFFLE && param[4] == OF_LZ4);
    int zstd = filter == RT_H5_ZSTD || (filter == RT_H5_BITSHUFFLE && param[4] == OF_ZSTD);
#ifndef RT_WITH_LZ4
    if (lz4) return "liblz4";
#endif
#ifndef RT_WITH_ZSTD
    if (zstd) return "libzstd";
#endif
    (void)lz4;
    (void)zstd;
    return NULL;
}

static uint32_t big32(const char *p)
{
    const unsigned char *q = (const unsigned char *)p;
    return (uint32_t)q[0] << 24 | (uint32_t)q[1] << 16 | (uint32_t)q[2] << 8 | q[3];
}

static uint64_t big64(const char *p) { return (uint64_t)big32(p) << 32 | big32(p + 4); }

/* n bytes that are `size` when decompressed, no more and no less. */
static int lz4_block(char *dst, size_t size, const char *src, size_t n)
{
#ifdef RT_WITH_LZ4
    return n <= INT_MAX && size <= INT_MAX && LZ4_decompress_safe(src, dst, (int)n, (int)size) == (int)size;
#else
    (void)dst, (void)size, (void)src, (void)n;
    return 0;
#endif
}

size_t rt_zstd_decode(rt_codec_scratch *s, char *dst, size_t room, const char *src, size_t n)
{
#ifdef RT_WITH_ZSTD
    if (!s->zstd && !(s->zstd = ZSTD_createDCtx())) return 0;
    size_t got = ZSTD_decompressDCtx(s->zstd, dst, room, src, n);
    return ZSTD_isError(got) ? 0 : got;
#else
    (void)s, (void)dst, (void)room, (void)src, (void)n;
    return 0;
#endif
}

size_t rt_lz4_decode(char *dst, size_t room, const char *src, size_t n)
{
    if (n < HEAD) return 0;
    uint64_t all = big64(src), done = 0;
    size_t block = big32(src + 8), at = HEAD;
    if (all > room || !block) return 0;
    while (done < all) {
        size_t size = all - done < block ? (size_t)(all - done) : block;
        if (n - at < 4) return 0;
        size_t stored = big32(src + at);
        at += 4;
        if (stored > n - at) return 0;
        if (stored == size) memcpy(dst + done, src + at, size);
        else if (!lz4_block(dst + done, size, src + at, stored)) return 0;
        at += stored;
        done += size;
    }
    return at == n ? (size_t)all : 0;
}

/* ---- bitshuffle ---- */

void rt_bitunshuffle_plain(char *dst, const char *src, size_t n, size_t element)
{
    memset(dst, 0, n * element);
    for (size_t b = 0; b < element; b++)
        for (size_t k = 0; k < 8; k++) {
            const char *row = src + (8 * b + k) * (n / 8);
            for (size_t i = 0; i < n; i++) dst[i * element + b] |= (char)((row[i / 8] >> i % 8 & 1) << k);
        }
}

/* Bit i of byte k and bit k of byte i change places (Hacker's Delight, 7-3). */
static uint64_t transposed(uint64_t x)
{
    uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aau;
    x ^= t ^ t << 7;
    t = (x ^ x >> 14) & 0x0000cccc0000ccccu;
    x ^= t ^ t << 14;
    t = (x ^ x >> 28) & 0x00000000f0f0f0f0u;
    return x ^ t ^ t << 28;
}

void rt_bitunshuffle(char *dst, const char *src, size_t n, size_t element, char *scratch)
{
    char *plane = element == 1 ? dst : scratch;       /* byte b of all elements behind each other, for every b */
    for (size_t b = 0; b < element; b++) {
        rt_unshuffle(plane + b * n, src + b * n, n, 8);          /* a byte of each of the eight rows, eight elements */
        for (size_t i = 0; i < n; i += 8) {
            uint64_t x;
            memcpy(&x, plane + b * n + i, 8);
            x = transposed(x);
            memcpy(plane + b * n + i, &x, 8);
        }
    }
    if (element > 1) rt_unshuffle(dst, plane, n * element, element);
}

static int scratch_for(rt_codec_scratch *s, size_t bytes)
{
    if (s->room >= bytes) return 1;
    free(s->bits);
    free(s->block);
    s->bits = malloc(bytes);
    s->block = malloc(bytes);
    s->room = s->bits && s->block ? bytes : 0;
    return s->room != 0;
}

/* Bytes of one block, which lie in src[*at..n) as the method has them, in the scratch or src itself; NULL: damaged. */
static const char *block_bytes(rt_codec_scratch *s, uint32_t method, const char *src, size_t n, size_t *at, size_t size)
{
    const char *from = src + *at;
    if (!method) {
        if (n - *at < size) return NULL;
        *at += size;
        return from;
    }
    if (n - *at < 4) return NULL;
    size_t stored = big32(from);
    if (stored > n - *at - 4) return NULL;
    *at += 4 + stored;
    int good = method == OF_LZ4 ? lz4_block(s->block, size, from + 4, stored)
                                : rt_zstd_decode(s, s->block, size, from + 4, stored) == size;
    return good ? s->block : NULL;
}

size_t rt_bitshuffle_decode(rt_codec_scratch *s, const uint32_t *param, char *dst, size_t room, const char *src,
                            size_t n)
{
    size_t element = param[2], block = param[3], at = 0, all = n;
    uint32_t method = param[4];
    if (!element || (method && method != OF_LZ4 && method != OF_ZSTD)) return 0;
    if (method) {
        if (n < HEAD || big64(src) > room) return 0;
        all = (size_t)big64(src);
        block = big32(src + 8) / element;
        at = HEAD;
    } else if (!block) block = TARGET / element / 8 * 8 > LEAST ? TARGET / element / 8 * 8 : LEAST;
    if (all > room || all % element || !block || block % 8) return 0;
    size_t left = all / element, most = left < block ? left : block;
    if (!scratch_for(s, most * element + 8)) return 0;
    while (left >= 8) {
        size_t k = left < block ? left / 8 * 8 : block;
        const char *bits = block_bytes(s, method, src, n, &at, k * element);
        if (!bits) return 0;
        rt_bitunshuffle(dst, bits, k, element, s->bits);
        dst += k * element;
        left -= k;
    }
    if (n - at != left * element) return 0;
    memcpy(dst, src + at, left * element);
    return all;
}
