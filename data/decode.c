#include "data/decode.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "data/codecs.h"
#include "data/files.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct rt_decoder {
    rt_codec_scratch scratch;
    struct libdeflate_decompressor *z;
    char *buffer[2];
    size_t room[2];
};

rt_decoder *rt_decoder_new(void)
{
    rt_decoder *d = calloc(1, sizeof *d);
    if (d && !(d->z = libdeflate_alloc_decompressor())) {
        free(d);
        d = NULL;
    }
    return d;
}

void rt_decoder_free(rt_decoder *d)
{
    if (!d) return;
    libdeflate_free_decompressor(d->z);
    rt_codec_free(&d->scratch);
    free(d->buffer[0]);
    free(d->buffer[1]);
    free(d);
}

/* ---- fletcher32 ---- */

/* Fletcher-32 as HDF5 stores it: over big-endian 16-bit words. */
static uint32_t fletcher32(const unsigned char *p, size_t n)
{
    uint32_t a = 0, b = 0;
    size_t words = n / 2;
    while (words) {
        size_t run = words < 360 ? words : 360;
        words -= run;
        for (; run; run--, p += 2) {
            a += (uint32_t)(p[0] << 8 | p[1]);
            b += a;
        }
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    if (n & 1) {
        a += (uint32_t)(*p << 8);
        b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    return b << 16 | a;
}

/* The last four bytes are the sum of the others, little-endian; HDF5 before 1.6.3 swapped the bytes of its halves. */
static int checksum_holds(const char *p, size_t n)
{
    uint32_t stored;
    if (n < 4) return 0;
    memcpy(&stored, p + n - 4, 4);
    uint32_t sum = fletcher32((const unsigned char *)p, n - 4);
    return stored == sum || stored == ((sum & 0x00ff00ffu) << 8 | (sum & 0xff00ff00u) >> 8);
}

/* ---- LZF ---- */

size_t rt_lzf_decode(char *dst, size_t room, const char *src, size_t n)
{
    const unsigned char *p = (const unsigned char *)src, *end = p + n;
    size_t out = 0;
    while (p < end) {
        size_t control = *p++, length, distance;
        if (control < 32) {
            length = control + 1;
            if (length > (size_t)(end - p) || length > room - out) return 0;
            memcpy(dst + out, p, length);
            p += length;
            out += length;
            continue;
        }
        length = control >> 5;
        if (length == 7) {
            if (p == end) return 0;
            length += *p++;
        }
        length += 2;
        if (p == end) return 0;
        distance = ((control & 31) << 8 | *p++) + 1;
        if (distance > out || length > room - out) return 0;
        char *to = dst + out;
        const char *from = to - distance;
        if (distance >= length) memcpy(to, from, length);
        else for (size_t i = 0; i < length; i++) to[i] = from[i];      /* overlapping: what is written is read again */
        out += length;
    }
    return out;
}

/* ---- shuffle ---- */

static void unshuffle_from(char *dst, const char *src, size_t n, size_t element, size_t first)
{
    size_t count = n / element;
    for (size_t b = 0; b < element; b++)
        for (size_t i = first; i < count; i++) dst[i * element + b] = src[b * count + i];
    memcpy(dst + count * element, src + count * element, n - count * element);
}

void rt_unshuffle_plain(char *dst, const char *src, size_t n, size_t element)
{
    unshuffle_from(dst, src, n, element, 0);
}

#if defined(__SSE2__)
typedef __m128i v16;
static v16 load16(const char *p) { return _mm_loadu_si128((const v16 *)p); }
static void store16(char *p, v16 v) { _mm_storeu_si128((v16 *)p, v); }

/* Each takes 16 elements a turn and returns how many elements it has done. */
static size_t unshuffle2(char *dst, const char *src, size_t count)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        v16 a = load16(src + i), b = load16(src + count + i);
        store16(dst + 2 * i, _mm_unpacklo_epi8(a, b));
        store16(dst + 2 * i + 16, _mm_unpackhi_epi8(a, b));
    }
    return i;
}

static size_t unshuffle4(char *dst, const char *src, size_t count)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        v16 a = load16(src + i), b = load16(src + count + i);
        v16 c = load16(src + 2 * count + i), d = load16(src + 3 * count + i);
        v16 ab0 = _mm_unpacklo_epi8(a, b), ab1 = _mm_unpackhi_epi8(a, b);
        v16 cd0 = _mm_unpacklo_epi8(c, d), cd1 = _mm_unpackhi_epi8(c, d);
        char *to = dst + 4 * i;
        store16(to, _mm_unpacklo_epi16(ab0, cd0));
        store16(to + 16, _mm_unpackhi_epi16(ab0, cd0));
        store16(to + 32, _mm_unpacklo_epi16(ab1, cd1));
        store16(to + 48, _mm_unpackhi_epi16(ab1, cd1));
    }
    return i;
}

static size_t unshuffle8(char *dst, const char *src, size_t count)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        v16 pair[4][2], quad[2][4];
        for (int k = 0; k < 4; k++) {
            v16 a = load16(src + (size_t)(2 * k) * count + i), b = load16(src + (size_t)(2 * k + 1) * count + i);
            pair[k][0] = _mm_unpacklo_epi8(a, b);
            pair[k][1] = _mm_unpackhi_epi8(a, b);
        }
        for (int k = 0; k < 2; k++)
            for (int h = 0; h < 2; h++) {
                quad[k][2 * h] = _mm_unpacklo_epi16(pair[2 * k][h], pair[2 * k + 1][h]);
                quad[k][2 * h + 1] = _mm_unpackhi_epi16(pair[2 * k][h], pair[2 * k + 1][h]);
            }
        for (int h = 0; h < 4; h++) {
            store16(dst + 8 * i + 32 * h, _mm_unpacklo_epi32(quad[0][h], quad[1][h]));
            store16(dst + 8 * i + 32 * h + 16, _mm_unpackhi_epi32(quad[0][h], quad[1][h]));
        }
    }
    return i;
}

void rt_unshuffle(char *dst, const char *src, size_t n, size_t element)
{
    size_t count = n / element, done = 0;
    if (element == 2) done = unshuffle2(dst, src, count);
    else if (element == 4) done = unshuffle4(dst, src, count);
    else if (element == 8) done = unshuffle8(dst, src, count);
    unshuffle_from(dst, src, n, element, done);
}
#else
void rt_unshuffle(char *dst, const char *src, size_t n, size_t element) { rt_unshuffle_plain(dst, src, n, element); }
#endif

/* ---- a chunk ---- */

static char *buffer_of(rt_decoder *z, int which, size_t room)
{
    if (z->room[which] < room) {
        free(z->buffer[which]);
        z->buffer[which] = malloc(room);
        z->room[which] = z->buffer[which] ? room : 0;
    }
    return z->buffer[which];
}

static size_t element_of(const rt_h5_dataset *d, int i) { return d->param[i][0] ? d->param[i][0] : d->element; }

/* Whether undoing filter i of the chunk takes its bytes from one buffer to another. */
static int moves(const rt_h5_dataset *d, const rt_h5_chunk *c, int i)
{
    if (c->mask >> i & 1 || d->filter[i] == RT_H5_FLETCHER32) return 0;
    return d->filter[i] != RT_H5_SHUFFLE || element_of(d, i) > 1;
}

/* Undoes filter i: n bytes of a become the bytes of b, at most room. Their number, 0 when damaged. */
static size_t undo(rt_decoder *z, const rt_h5_dataset *d, int i, char *b, size_t room, const char *a, size_t n)
{
    size_t got = 0;
    switch (d->filter[i]) {
    case RT_H5_DEFLATE:
        return libdeflate_zlib_decompress(z->z, a, n, b, room, &got) == LIBDEFLATE_SUCCESS ? got : 0;
    case RT_H5_LZF:
        return rt_lzf_decode(b, room, a, n);
    case RT_H5_LZ4:
        return rt_lz4_decode(b, room, a, n);
    case RT_H5_ZSTD:
        return rt_zstd_decode(&z->scratch, b, room, a, n);
    case RT_H5_BITSHUFFLE:
        return rt_bitshuffle_decode(&z->scratch, d->param[i], b, room, a, n);
    case RT_H5_SHUFFLE:
        if (n > room) return 0;
        rt_unshuffle(b, a, n, element_of(d, i));
        return n;
    default:
        return 0;
    }
}

rt_status rt_decode_chunk(rt_decoder *z, const rt_h5_file *f, const rt_h5_dataset *d, const rt_h5_chunk *c,
                          size_t chunk_bytes, char *dst)
{
    /* Filters in between may leave more bytes than the chunk has: checksums, and what did not shrink, in small blocks.
     */
    size_t exact = chunk_bytes + RT_DECODE_SLACK, between = chunk_bytes + chunk_bytes / 4 + 1024, n = c->bytes;
    int steps = 0, side = 0;
    for (int i = 0; i < d->filters; i++) steps += moves(d, c, i);
    if (n > (steps ? between : exact)) goto damaged;
    char *at = steps ? buffer_of(z, 0, between) : dst;
    if (!at || (steps > 1 && !buffer_of(z, 1, between))) return rt_fail(RT_RUN, "out of memory for a chunk");
    RT_TRY(rt_pread_all(f->fd, at, n, c->offset, f->path));
    for (int i = d->filters - 1; i >= 0; i--) {
        if (!(c->mask >> i & 1) && d->filter[i] == RT_H5_FLETCHER32) {
            if (!checksum_holds(at, n)) goto damaged;
            n -= 4;
        }
        if (!moves(d, c, i)) continue;
        char *to = --steps ? z->buffer[side ^= 1] : dst;
        n = undo(z, d, i, to, steps ? between : exact, at, n);
        if (!n) goto damaged;
        at = to;
    }
    if (n == chunk_bytes) return RT_OK;
damaged:
    return rt_fail(RT_INPUT, "%s: data set '%s': the chunk at byte %llu is damaged: it does not decode to its %zu"
                   " bytes, or differs from its checksum", f->path, d->name,
                   (unsigned long long)c->offset, chunk_bytes);
}
