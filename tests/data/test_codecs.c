/* Chunks that HDF5's plugins compressed (samples/make_codecs.py, by h5py and hdf5plugin): read to the values that were
 * written; what is cut, turned over or forged is an error, and no byte outside of what is there is touched. */
#include <sys/stat.h>
#include <unistd.h>

#include "data/codecs.h"
#include "tests/data/codecs_recorded.h"
#include "tests/data/h5_support.h"

#define SAMPLE RETORT_SOURCE_DIR "/tests/data/samples/codecs.h5"

/* make_codecs.py's element i. */
static double value(size_t i, rt_dtype type)
{
    int v = (int)((37 * i + 11) % 251), is_unsigned = type == RT_U8 || type == RT_U16;
    return is_unsigned ? v : v - 100;
}

typedef struct { const char *name; rt_dtype type; size_t count; int filter; uint32_t param[RT_H5_PARAMS]; } sample;
static const sample samples[] = {
    {"lz4", RT_F32, 300, RT_H5_LZ4, {0}},
    {"lz4_blocks", RT_I32, 280, RT_H5_LZ4, {0}},
    {"lz4_cut", RT_U16, 300, RT_H5_LZ4, {0}},
    {"lz4_sum", RT_I16, 120, RT_H5_LZ4, {0}},
    {"zstd", RT_F32, 300, RT_H5_ZSTD, {0}},
    {"zstd_best", RT_I64, 192, RT_H5_ZSTD, {0}},
    {"shuffle_zstd", RT_F32, 300, RT_H5_ZSTD, {0}},
    {"bit", RT_F32, 300, RT_H5_BITSHUFFLE, {0, 0, 4, 0, 0}},
    {"bit_blocks", RT_I16, 300, RT_H5_BITSHUFFLE, {0, 0, 2, 64, 0}},
    {"bit_u1", RT_U8, 770, RT_H5_BITSHUFFLE, {0, 0, 1, 0, 2}},
    {"bit_i2", RT_I16, 550, RT_H5_BITSHUFFLE, {0, 0, 2, 136, 2}},
    {"bit_f4", RT_F32, 440, RT_H5_BITSHUFFLE, {0, 0, 4, 0, 2}},
    {"bit_f8", RT_F64, 264, RT_H5_BITSHUFFLE, {0, 0, 8, 0, 3}},
    {"bit_i8", RT_I64, 45, RT_H5_BITSHUFFLE, {0, 0, 8, 128, 3}},
    {"bit_few", RT_F32, 5, RT_H5_BITSHUFFLE, {0, 0, 4, 0, 2}},
    {"noise_lz4", RT_U8, 400, RT_H5_LZ4, {0}},
    {"noise_zstd", RT_U8, 400, RT_H5_ZSTD, {0}},
    {"noise_bit", RT_U8, 400, RT_H5_BITSHUFFLE, {0, 0, 1, 0, 2}},
};

static void values(void **state)
{
    (void)state;
    rt_h5_file *f;
    unsigned char noise[400];
    uint64_t dice = 1;
    for (int i = 0; i < 400; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (unsigned char)(dice >> 33);
    }
    check_ok(rt_h5_scan(&f, SAMPLE));
    for (size_t k = 0; k < sizeof samples / sizeof *samples; k++) {
        const sample *s = &samples[k];
        const char *lacks = rt_codec_lacks(s->filter, s->param);
        size_t n;
        if (lacks) {
            h5_refused(f, s->name, lacks);
            continue;
        }
        void *data = h5_read(f, s->name, s->type, &n);
        assert_int_equal(n, s->count);
        for (size_t i = 0; i < n; i++) {
            double want = strncmp(s->name, "noise", 5) ? value(i, s->type) : noise[i];
            if (h5_element(data, s->type, i) != want)
                fail_msg("%s: element %zu is %g, want %g", s->name, i, h5_element(data, s->type, i), want);
        }
        free(data);
    }
    h5_refused(f, "blosc", "Blosc (filter 32001)");
    h5_refused(f, "bzip2", "bzip2 (filter 307)");
    rt_h5_close(f);
}

/* ---- in memory ---- */

typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t stored, size;
    int filter;
    uint32_t param[RT_H5_PARAMS];
    rt_dtype type;
} chunk;
static const chunk chunks[] = {
    {"lz4_blocks", recorded_lz4_blocks, sizeof recorded_lz4_blocks, 25 * 7 * 4, RT_H5_LZ4, {0}, RT_I32},
    {"zstd", recorded_zstd, sizeof recorded_zstd, 16 * 6 * 4, RT_H5_ZSTD, {0}, RT_F32},
    {"bit_i2", recorded_bit_i2, sizeof recorded_bit_i2, 33 * 11 * 2, RT_H5_BITSHUFFLE, {0, 0, 2, 136, 2}, RT_I16},
    {"bit_f8", recorded_bit_f8, sizeof recorded_bit_f8, 24 * 11 * 8, RT_H5_BITSHUFFLE, {0, 0, 8, 0, 3}, RT_F64},
    {"bit_blocks",
     recorded_bit_blocks,
     sizeof recorded_bit_blocks,
     60 * 5 * 2,
     RT_H5_BITSHUFFLE,
     {0, 0, 2, 64, 0},
     RT_I16},
};

static rt_codec_scratch scratch;

/* Source and room end where their memory ends, so that AddressSanitizer sees a byte too many. */
static size_t decoded(char *out, size_t room, const chunk *c, const unsigned char *src, size_t n)
{
    char *a = malloc(n ? n : 1), *b = malloc(room + 16);
    memcpy(a, src, n);
    memset(b + room, 0x5a, 16);
    size_t got = c->filter == RT_H5_LZ4    ? rt_lz4_decode(b, room, a, n)
                 : c->filter == RT_H5_ZSTD ? rt_zstd_decode(&scratch, b, room, a, n)
                                           : rt_bitshuffle_decode(&scratch, c->param, b, room, a, n);
    assert_true(got <= room);
    for (int i = 0; i < 16; i++) assert_int_equal(b[room + (size_t)i], 0x5a);
    if (out) memcpy(out, b, got);
    free(a);
    free(b);
    return got;
}

static void recorded(void **state)
{
    (void)state;
    char got[4096];
    for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
        const chunk *c = &chunks[k];
        if (rt_codec_lacks(c->filter, c->param)) continue;
        assert_int_equal(decoded(got, c->size, c, c->bytes, c->stored), c->size);
        for (size_t i = 0; i < c->size / rt_dtype_size(c->type); i++)
            assert_true(h5_element(got, c->type, i) == value(i, c->type));
        assert_int_equal(decoded(NULL, c->size - 1, c, c->bytes, c->stored), 0);       /* no room */
        assert_int_equal(decoded(got, c->size + 7, c, c->bytes, c->stored), c->size);
        unsigned char longer[4096] = {0};
        memcpy(longer, c->bytes, c->stored);
        assert_int_equal(decoded(NULL, c->size + 2, c, longer, c->stored + 1) == c->size, 0); /* more than a chunk */
        for (size_t n = 0; n < c->stored; n++)                                         /* cut: never taken for whole */
            if (decoded(NULL, c->size, c, c->bytes, n) == c->size) fail_msg("%s: is whole with %zu bytes", c->name, n);
    }
}

static void damaged(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
        const chunk *c = &chunks[k];
        unsigned char bytes[4096];
        if (rt_codec_lacks(c->filter, c->param)) continue;
        int refused = 0;
        for (size_t i = 0; i < c->stored * 8; i++) {
            memcpy(bytes, c->bytes, c->stored);
            bytes[i / 8] ^= (unsigned char)(1 << i % 8);
            refused += decoded(NULL, c->size, c, bytes, c->stored) != c->size;
        }
        assert_true(refused > 0 || !c->param[4]);     /* what is only shuffled can be anything */
        for (uint32_t t = 0; t < 20000; t++) {
            uint32_t r[4];
            rt_random4(r, 5, RT_RNG_TEST, t, (uint32_t)k, 0, 0);
            memcpy(bytes, c->bytes, c->stored);
            for (int i = 0; i < 4; i++)
                bytes[r[0] >> 8 * i & 31] = (unsigned char)(r[1] >> 8 * i); /* mostly the head */
            bytes[r[2] % c->stored] = (unsigned char)r[3];
            decoded(NULL, 1 + r[3] % 5000, c, bytes, r[2] % 3 ? c->stored : r[3] % c->stored);
        }
    }
}

static void forged(void **state)
{
    (void)state;
    enum { SIZE = 64 };
    unsigned char head[12 + 4 + SIZE] = {0};
    chunk lz4 = {.filter = RT_H5_LZ4}, bit = {.filter = RT_H5_BITSHUFFLE, .param = {0, 0, 4, 0, 2}};
    if (rt_codec_lacks(RT_H5_LZ4, lz4.param)) return;
    head[7] = SIZE;                                   /* 64 bytes in one block, stored as they are */
    head[11] = SIZE;
    head[15] = SIZE;
    assert_int_equal(decoded(NULL, SIZE, &lz4, head, sizeof head), SIZE);
    assert_int_equal(decoded(NULL, SIZE, &lz4, head, sizeof head - 1), 0);
    head[11] = 0;                                     /* blocks of nothing would never end */
    assert_int_equal(decoded(NULL, SIZE, &lz4, head, sizeof head), 0);
    head[11] = SIZE;
    head[12] = 0x80;                                  /* a block of 2 GiB */
    assert_int_equal(decoded(NULL, SIZE, &lz4, head, sizeof head), 0);
    memset(head, 0xff, 12);                           /* more than there can be */
    assert_int_equal(decoded(NULL, SIZE, &lz4, head, sizeof head), 0);
    assert_int_equal(decoded(NULL, SIZE, &bit, head, sizeof head), 0);
    static const uint32_t odd[][2] = {{3, 8}, {4, 4}, {4, 0}, {0, 8}, {0xffffffff, 8}, {128, 8}};   /* element, block */
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        unsigned char zeros[12 + 4 + SIZE] = {0, 0, 0, 0, 0, 0, 0, SIZE};
        bit.param[2] = odd[i][0];
        zeros[11] = (unsigned char)(odd[i][1] * (odd[i][0] & 0xff));
        assert_int_equal(decoded(NULL, SIZE, &bit, zeros, sizeof zeros), 0);
        bit.param[3] = odd[i][1];                     /* not compressed: 12 elements and 7 bytes are no elements of 3 */
        bit.param[4] = 0;
        if (i && odd[i][1]) assert_int_equal(decoded(NULL, SIZE, &bit, zeros, 55), 0);
        bit.param[4] = 2;
    }
    bit.param[4] = 9;
    assert_int_equal(decoded(NULL, SIZE, &bit, head, sizeof head), 0);

    /* A literal, a copy of 26 of it, five literals: 32 bytes. One byte less in the copy is no block of 32. */
    unsigned char block[] = {0, 0,  0,    0,   0, 0, 0, 32,   0,   0,   0,   32,  0,  0,
                             0, 11, 0x1f, 'a', 1, 0, 7, 0x50, 'a', 'b', 'c', 'd', 'e'};
    assert_int_equal(decoded(NULL, 32, &lz4, block, sizeof block), 32);
    block[20] = 6;
    assert_int_equal(decoded(NULL, 32, &lz4, block, sizeof block), 0);
    /* Eight elements of three bytes, and a byte of a ninth. */
    unsigned char odd_end[] = {0, 0, 0,  0,    0,   0, 0, 24,   0,   0,   0,   24,  0,
                               0, 0, 10, 0x1e, 'a', 1, 0, 0x50, 'a', 'b', 'c', 'd', 'e'};
    bit = (chunk){.filter = RT_H5_BITSHUFFLE, .param = {0, 0, 3, 0, 2}};
    assert_int_equal(decoded(NULL, 32, &bit, odd_end, sizeof odd_end), 24);
    odd_end[7] = 25;
    assert_int_equal(decoded(NULL, 32, &bit, odd_end, sizeof odd_end), 0);
}

/* The block that a file does not tell has 8 KiB, as bshuf_default_block_size has it: 2,048 elements of 4 bytes; of 100
 * bytes 80 would be too few, and it is 128. */
static void default_blocks(void **state)
{
    (void)state;
    static const struct {
        size_t element, block, n;
    } c[] = {{4, 2048, 5005}, {8, 1024, 1100}, {3, 2728, 3000}, {100, 128, 301}};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        size_t bytes = c[i].n * c[i].element, element = c[i].element;
        unsigned char *want = malloc(bytes), *stored = calloc(bytes, 1), *to = stored;
        char *got = malloc(bytes);
        for (size_t k = 0; k < bytes; k++) want[k] = (unsigned char)(k * 197 + (k >> 7) * 31);
        for (size_t at = 0; at < c[i].n;) { /* each block by the definition of rt_bitunshuffle, the other way */
            size_t left = c[i].n - at, n = left < c[i].block ? left / 8 * 8 : c[i].block;
            if (!n) {
                memcpy(to, want + at * element, left * element);
                break;
            }
            for (size_t e = 0; e < n; e++)
                for (size_t b = 0; b < element; b++)
                    for (size_t k = 0; k < 8; k++)
                        to[(8 * b + k) * (n / 8) + e / 8] |= (unsigned char)((want[(at + e) * element + b] >> k & 1)
                                                                             << e % 8);
            to += n * element;
            at += n;
        }
        chunk bit = {.filter = RT_H5_BITSHUFFLE, .param = {0, 0, (uint32_t)element, 0, 0}};
        assert_int_equal(decoded(got, bytes, &bit, stored, bytes), bytes);
        assert_memory_equal(got, want, bytes);
        free(want);
        free(stored);
        free(got);
    }
}

/* ---- bits ---- */

static void bits(void **state)
{
    (void)state;
    for (size_t element = 1; element <= 20; element++)
        for (size_t n = 8; n < 900; n += n < 80 ? 8 : 104) {
            size_t bytes = n * element;
            char *src = malloc(bytes), *a = malloc(bytes), *b = malloc(bytes), *room = malloc(bytes);
            for (size_t i = 0; i < bytes; i++) src[i] = (char)(i * 197 + (i >> 7) * 31 + i * i / 5);
            rt_bitunshuffle(a, src, n, element, room);
            rt_bitunshuffle_plain(b, src, n, element);
            assert_memory_equal(a, b, bytes);
            free(src);
            free(a);
            free(b);
            free(room);
        }
    /* The definition by a case: bit 0 of element 3 alone; bit 7 of the upper byte of element 9. */
    char src[32] = {0}, got[32];
    src[0] = 1 << 3;
    src[(8 * 1 + 7) * 2 + 1] = 1 << 1;
    rt_bitunshuffle_plain(got, src, 16, 2);
    for (int i = 0; i < 32; i++) assert_int_equal((unsigned char)got[i], i == 6 ? 1 : i == 19 ? 128 : 0);
}

/* ---- in a file ---- */

/* A chunk that is damaged in the file is named; others of the set are read. */
static void in_a_file(void **state)
{
    (void)state;
    char path[64], command[256];
    snprintf(path, sizeof path, "%s/codecs.h5", test_folder);
    snprintf(command, sizeof command, "cp %s %s", SAMPLE, path);
    assert_int_equal(system(command), 0);
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    int tried = 0;
    for (size_t k = 0; k < sizeof samples / sizeof *samples; k++) {
        const sample *s = &samples[k];
        const rt_h5_dataset *d = rt_h5_find(f, s->name);
        if (rt_codec_lacks(s->filter, s->param) || !strncmp(s->name, "bit", 3) || d->chunks < 2) continue;
        const rt_h5_chunk *c = &d->chunk[0];
        FILE *w = fopen(path, "r+b");
        fseek(w, (long)c->offset, SEEK_SET);
        for (uint32_t i = 0; i < c->bytes; i++) fputc(0xff, w);
        fclose(w);
        rt_source *x;
        uint64_t row = 0, last = d->dim[0] - 1;
        double v[16];
        check_ok(rt_source_open_in(&x, f, s->name));
        check_fails(rt_source_read(x, &row, 1, v), RT_INPUT, "is damaged");
        assert_non_null(strstr(rt_error_message(), s->name));
        check_ok(rt_source_read(x, &last, 1, v));
        rt_source_close(x);
        tried++;
    }
    assert_true(tried >= 5 || rt_codec_lacks(RT_H5_LZ4, samples[0].param) ||
                rt_codec_lacks(RT_H5_ZSTD, samples[0].param));
    rt_h5_close(f);
}

static int tear_down(void **state)
{
    rt_codec_free(&scratch);
    return remove_test_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values),   cmocka_unit_test(recorded),
                                       cmocka_unit_test(damaged),  cmocka_unit_test(forged),
                                       cmocka_unit_test(bits),     cmocka_unit_test(default_blocks),
                                       cmocka_unit_test(in_a_file)};
    return cmocka_run_group_tests(tests, make_test_folder, tear_down);
}
