/* rt_source: every type, byte order, layout, filter, chunk shape and hole is read to the values that were written; what
 * is damaged, cut short or too large is refused by name. The HDF5 library writes the files, values are recomputed. */
#include <hdf5.h>
#include <libdeflate.h>
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/decode.h"
#include "data/source.h"
#include "tests/support.h"

enum { SHUFFLE = 1, GZIP = 2, FLETCHER = 4, LZF = 8, CHECK_FIRST = 16, LATEST = 32, GROWS = 64 };

typedef struct {
    hid_t type, memory;
    int rank;
    hsize_t dim[4], chunk[4];           /* chunk[0] = 0: contiguous */
    int filters;
    const void *fill;
    hsize_t first, rows;                /* the rows that are written; none: all that data has, or none without data */
    const void *data;
} made;

static char path[64];

/* ---- an LZF encoder, for the library to call: literals, and copies of what was seen before ---- */

static size_t lzf_encode(unsigned char *dst, const unsigned char *src, size_t n)
{
    static int last[1 << 12];
    size_t out = 0, i = 0, literal = 0;
    memset(last, -1, sizeof last);
    while (i <= n) {
        size_t length = 0, distance = 0;
        if (i + 3 <= n) {
            unsigned key = (src[i] * 131u + src[i + 1] * 31u + src[i + 2]) & 4095;
            if (last[key] >= 0 && last[key] < (int)i && (distance = i - (size_t)last[key]) <= 8192)
                while (length < 264 && i + length < n && src[i + length] == src[i + length - distance]) length++;
            last[key] = (int)i;
        }
        if (length < 3 && i < n && i - literal < 32) {
            i++;
            continue;
        }
        if (i > literal) {
            dst[out++] = (unsigned char)(i - literal - 1);
            memcpy(dst + out, src + literal, i - literal);
            out += i - literal;
        }
        if (length >= 3) {
            size_t l = length - 2, d = distance - 1;
            dst[out++] = (unsigned char)((l < 7 ? l : 7) << 5 | d >> 8);
            if (l >= 7) dst[out++] = (unsigned char)(l - 7);
            dst[out++] = (unsigned char)d;
            i += length;
        }
        literal = i;
        if (i == n) break;
    }
    return out;
}

static size_t lzf_filter(unsigned flags, size_t n, const unsigned *values, size_t bytes, size_t *room, void **buffer)
{
    (void)n;
    (void)values;
    if (flags & H5Z_FLAG_REVERSE) return 0;           /* the library is not to read */
    unsigned char *out = malloc(bytes * 2 + 64);
    size_t got = lzf_encode(out, *buffer, bytes);
    free(*buffer);
    *buffer = out;
    *room = bytes * 2 + 64;
    return got;
}

static const H5Z_class2_t lzf_class = {H5Z_CLASS_T_VERS, 32000, 1, 1, "lzf", NULL, NULL, lzf_filter};

/* ---- files ---- */

static hid_t properties(const made *m)
{
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    if (m->chunk[0]) H5Pset_chunk(p, m->rank, m->chunk);
    if (m->filters & CHECK_FIRST) H5Pset_fletcher32(p);
    if (m->filters & SHUFFLE) H5Pset_shuffle(p);
    if (m->filters & GZIP) H5Pset_deflate(p, 4);
    if (m->filters & LZF) H5Pset_filter(p, 32000, H5Z_FLAG_OPTIONAL, 0, NULL);
    if (m->filters & FLETCHER) H5Pset_fletcher32(p);
    if (m->fill) H5Pset_fill_value(p, m->memory, m->fill);
    return p;
}

/* `x` in a new file. */
static void write_set(const made *m)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (m->filters & LATEST) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access), p = properties(m);
    hsize_t most[4];                                  /* only what may grow may have chunks that are longer */
    for (int k = 0; k < m->rank; k++)
        most[k] = m->chunk[k] > m->dim[k] || (k == 0 && m->filters & GROWS) ? H5S_UNLIMITED : m->dim[k];
    hid_t s = H5Screate_simple(m->rank, m->dim, most);
    hid_t d = H5Dcreate2(f, "x", m->type, s, H5P_DEFAULT, p, H5P_DEFAULT);
    assert_true(d >= 0);
    if (m->data && m->rows) {
        hsize_t start[4] = {m->first}, count[4];
        memcpy(count, m->dim, sizeof count);
        count[0] = m->rows;
        hid_t part = H5Screate_simple(m->rank, count, NULL);
        H5Sselect_hyperslab(s, H5S_SELECT_SET, start, NULL, count, NULL);
        assert_true(H5Dwrite(d, m->memory, part, s, H5P_DEFAULT, m->data) >= 0);
        H5Sclose(part);
    } else if (m->data) assert_true(H5Dwrite(d, m->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, m->data) >= 0);
    H5Dclose(d);
    H5Sclose(s);
    H5Pclose(p);
    H5Pclose(access);
    H5Fclose(f);
}

static rt_source *opened(void)
{
    rt_source *s;
    check_ok(rt_source_open(&s, path, "x"));
    return s;
}

/* The row at place i: in order, backwards, scattered, in runs that overlap. */
static uint64_t row_at(int way, uint64_t i, uint64_t rows)
{
    switch (way) {
    case 0: return i;
    case 1: return rows - 1 - i;
    case 2: return rt_permute(i, rows, 7, RT_RNG_TEST, 0, 0);
    default: return (i / 10 * 7 + i % 10) % rows;
    }
}

/* Reads in all the ways that there are and compares with `want`, (rows, row_bytes) little-endian. */
static void check_rows(rt_source *s, const void *want)
{
    uint64_t rows = rt_source_rows(s);
    size_t bytes = rt_source_row_bytes(s);
    uint64_t *row = malloc((rows + 1) * 2 * sizeof *row);
    char *got = malloc(rows * 2 * bytes + 1);
    for (int way = 0; way < 4; way++) {
        uint64_t n = way == 3 ? 2 * rows : rows;
        for (uint64_t i = 0; i < n; i++) row[i] = row_at(way, i, rows);
        memset(got, 0xa5, n * bytes);
        check_ok(rt_source_read(s, row, (int)n, got));
        for (uint64_t i = 0; i < n; i++)
            if (memcmp(got + i * bytes, (const char *)want + row[i] * bytes, bytes))
                fail_msg("way %d: row %d at place %d differs", way, (int)row[i], (int)i);
    }
    for (uint64_t first = 0; first < rows; first += 1 + rows / 5) {
        check_ok(rt_source_read_stored(s, first, rows - first, got));
        assert_memory_equal(got, (const char *)want + first * bytes, (rows - first) * bytes);
    }
    row[0] = rows;
    char message[64];
    snprintf(message, sizeof message, "row %llu is asked for", (unsigned long long)rows);
    check_fails(rt_source_read(s, row, 1, got), RT_INPUT, message);
    check_fails(rt_source_read_stored(s, rows, 1, got), RT_INPUT, message);
    check_fails(rt_source_read_stored(s, 1, UINT64_MAX, got), RT_INPUT, "is asked for");
    check_ok(rt_source_read(s, row, 0, got));
    check_ok(rt_source_read_stored(s, rows, 0, got));
    free(got);
    free(row);
}

static void check_set(const made *m, const void *want)
{
    write_set(m);
    rt_source *s = opened();
    check_rows(s, want);
    rt_source_close(s);
}

/* Bytes that tell every element from its neighbours. */
static unsigned char *pattern(size_t n)
{
    unsigned char *p = malloc(n);
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(i * 2654435761u >> 11 ^ i);
    return p;
}

/* ---- types ---- */

static hid_t small_float(size_t exponent_at, size_t exponent, size_t bias, int big)
{
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(t, 15, exponent_at, exponent, 0, exponent_at);
    H5Tset_size(t, 2);
    H5Tset_ebias(t, bias);
    if (big) H5Tset_order(t, H5T_ORDER_BE);
    return t;
}

static hid_t enumeration(hid_t base)
{
    hid_t t = H5Tenum_create(base);
    int16_t wide = 0;                                 /* in the base's bytes: 0 and 1, little-endian or bytes alike */
    H5Tenum_insert(t, "FALSE", &wide);
    wide = 0x0101;
    H5Tenum_insert(t, "TRUE", &wide);
    return t;
}

/* Each type in both byte orders and three layouts; as floats, too. */
static void types(void **state)
{
    (void)state;
    enum { N = 40, D = 3 };
    hid_t f16 = small_float(10, 5, 15, 0), f16b = small_float(10, 5, 15, 1), bf16 = small_float(7, 8, 127, 0);
    hid_t bf16b = small_float(7, 8, 127, 1);
    struct { hid_t little, big, memory; rt_dtype type; } all[] = {
#define STANDARD(KIND, NATIVE, type) {H5T_##KIND##LE, H5T_##KIND##BE, H5T_NATIVE_##NATIVE, type}
        STANDARD(STD_U8, UINT8, RT_U8), STANDARD(STD_I8, INT8, RT_I8),
        STANDARD(STD_U16, UINT16, RT_U16), STANDARD(STD_I16, INT16, RT_I16),
        STANDARD(STD_U32, UINT32, RT_U32), STANDARD(STD_I32, INT32, RT_I32),
        STANDARD(STD_U64, UINT64, RT_U64), STANDARD(STD_I64, INT64, RT_I64),
        STANDARD(IEEE_F32, FLOAT, RT_F32), STANDARD(IEEE_F64, DOUBLE, RT_F64),
#undef STANDARD
        {f16, f16b, f16, RT_F16}, {bf16, bf16b, bf16, RT_BF16},
        {enumeration(H5T_STD_I8LE), enumeration(H5T_STD_I8BE), 0, RT_I8}};
    for (size_t t = 0; t < sizeof all / sizeof *all; t++) {
        size_t size = rt_dtype_size(all[t].type);
        unsigned char *data = pattern(N * D * size);
        if (all[t].type == RT_F32 || all[t].type == RT_F64 || all[t].type == RT_F16 || all[t].type == RT_BF16)
            for (size_t i = 0; i < N * D; i++) data[i * size + size - 1] &= 0xbf;    /* no NaN: it may be touched */
        for (int how = 0; how < 8; how++) {
            made m = {how & 1 ? all[t].big : all[t].little, all[t].memory, 2, {N, D}, .data = data};
            if (how >= 2) m.chunk[0] = 7, m.chunk[1] = how >= 6 ? 2 : D;
            if (how >= 4) m.filters = SHUFFLE | GZIP;
            if (!m.memory) m.memory = m.type;
            write_set(&m);
            rt_source *s = opened();
            assert_int_equal(rt_source_type(s), all[t].type);
            assert_int_equal(rt_source_row_bytes(s), D * size);
            check_rows(s, data);
            rt_source_close(s);
        }
        free(data);
    }
}

static void to_float(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {            /* bfloat16: sign, 8 bits of exponent, 7 of fraction */
        uint16_t half = (uint16_t)h;
        float f;
        rt_to_float(&f, &half, RT_BF16, 1);
        int e = (int)(h >> 7 & 255), m = (int)(h & 127);
        double want = e == 255 ? (m ? NAN : INFINITY) : e ? ldexp(128 + m, e - 134) : ldexp(m, -133);
        assert_true(e == 255 && m ? isnan(f) : (double)f == (h >> 15 ? -want : want) && !signbit(f) == !(h >> 15));
    }
    float got[3];
    rt_to_float(got, (uint8_t[]){0, 1, 255}, RT_U8, 3);
    assert_true(got[0] == 0 && got[1] == 1 && got[2] == 255);
    rt_to_float(got, (int8_t[]){-128, -1, 127}, RT_I8, 3);
    assert_true(got[0] == -128 && got[1] == -1 && got[2] == 127);
    rt_to_float(got, (uint16_t[]){0, 256, 65535}, RT_U16, 3);
    assert_true(got[0] == 0 && got[1] == 256 && got[2] == 65535);
    rt_to_float(got, (int16_t[]){-32768, -2, 32767}, RT_I16, 3);
    assert_true(got[0] == -32768 && got[1] == -2 && got[2] == 32767);
    rt_to_float(got, (uint32_t[]){1u << 24, 4294967295u, 3}, RT_U32, 3);
    assert_true(got[0] == 16777216 && got[1] == 4294967296.0f && got[2] == 3);
    rt_to_float(got, (int32_t[]){INT32_MIN, -3, 16777217}, RT_I32, 3);
    assert_true(got[0] == -2147483648.0f && got[1] == -3 && got[2] == 16777216);
    rt_to_float(got, (uint64_t[]){UINT64_MAX, 5, 1ull << 40}, RT_U64, 3);
    assert_true(got[0] == 18446744073709551616.0f && got[1] == 5 && got[2] == 1099511627776.0f);
    rt_to_float(got, (int64_t[]){INT64_MIN, -7, 1ll << 40}, RT_I64, 3);
    assert_true(got[0] == -9223372036854775808.0f && got[1] == -7 && got[2] == 1099511627776.0f);
    rt_to_float(got, (double[]){0.1, -1e300, 1.5}, RT_F64, 3);
    assert_true(got[0] == 0.1f && got[1] == -INFINITY && got[2] == 1.5f);
    rt_to_float(got, (float[]){0.1f, -0.0f, 1e-40f}, RT_F32, 3);
    assert_true(got[0] == 0.1f && signbit(got[1]) && got[2] == 1e-40f);
}

/* ---- layouts ---- */

/* Chunks that cut rows, hang over, are longer than the data; elements of 1 to 40 bytes; filters alone and together. */
static void chunk_shapes(void **state)
{
    (void)state;
    static const struct { int rank; hsize_t dim[4], chunk[4]; } shape[] = {
        {1, {101}, {10}}, {1, {101}, {1}}, {1, {9}, {100}},
        {2, {53, 13}, {8, 13}}, {2, {53, 13}, {8, 5}}, {2, {53, 13}, {7, 20}}, {2, {53, 13}, {60, 1}},
        {2, {3, 300}, {2, 64}},
        {3, {31, 7, 5}, {8, 7, 5}}, {3, {31, 7, 5}, {8, 3, 5}}, {3, {31, 7, 5}, {8, 7, 2}}, {3, {31, 7, 5}, {40, 4, 4}},
        {3, {2, 40, 3}, {1, 16, 2}}, {4, {29, 6, 5, 3}, {4, 2, 2, 1}}, {4, {29, 6, 5, 1}, {16, 2, 2, 1}},
        {4, {29, 6, 5, 3}, {5, 4, 5, 3}}, {4, {29, 6, 5, 3}, {5, 6, 4, 2}}, {4, {3, 70, 66, 1}, {2, 5, 1, 1}}};
    static const int filters[] = {0, SHUFFLE, GZIP, FLETCHER, LZF, SHUFFLE | GZIP, SHUFFLE | LZF, GZIP | FLETCHER,
                                  SHUFFLE | GZIP | FLETCHER, CHECK_FIRST | SHUFFLE | GZIP, SHUFFLE | FLETCHER,
                                  GZIP | LATEST | GROWS,
                                  CHECK_FIRST | SHUFFLE | LZF | FLETCHER, LATEST, LATEST | GROWS, GZIP | LZF | GROWS};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t k = 0; k < sizeof filters / sizeof *filters; k++) {
            static const size_t sizes[] = {1, 2, 4, 8, 3, 12, 40};
            size_t size = sizes[(i + k) % 7], n = size;
            for (int r = 0; r < shape[i].rank; r++) n *= shape[i].dim[r];
            hid_t text = H5Tcopy(H5T_C_S1);
            H5Tset_size(text, size);
            H5Tset_strpad(text, H5T_STR_NULLPAD);
            hid_t type = size == 1 ? H5T_STD_U8LE : size == 2 ? H5T_STD_U16LE : size == 4 ? H5T_STD_U32LE
                       : size == 8 ? H5T_STD_U64LE : text;
            unsigned char *data = pattern(n);
            for (size_t b = 0; b < n && type == text; b++) data[b] |= 1;
            made m = {.type = type, .memory = type, .rank = shape[i].rank, .filters = filters[k], .data = data};
            memcpy(m.dim, shape[i].dim, sizeof m.dim);
            memcpy(m.chunk, shape[i].chunk, sizeof m.chunk);
            check_set(&m, data);
            free(data);
            H5Tclose(text);
        }
}

/* Rows that no chunk was written for, and sets without any bytes, are the fill value, big-endian ones, too. */
static void fill_values(void **state)
{
    (void)state;
    enum { N = 200, D = 6 };
    static float want[N][D];
    for (int how = 0; how < 24; how++) {
        float fill = how % 2 ? 7.25f : -3;
        made m = {how & 2 ? H5T_IEEE_F32BE : H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, {N, D}, .fill = &fill};
        int layout = how / 4, some = layout > 0;      /* never allocated, whole, cut; gzip of both; ragged */
        if (layout) m.chunk[0] = layout == 5 ? 33 : 50, m.chunk[1] = layout % 2 ? D : 4;
        if (layout >= 3) m.filters = SHUFFLE | GZIP;
        if (layout == 5) m.chunk[1] = 5;
        m.first = 100;
        m.rows = 40;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < D; j++) want[i][j] = some && i >= 100 && i < 140 ? (float)(i * D + j) : fill;
        m.data = some ? want[100] : NULL;
        check_set(&m, want);
    }
    static int64_t y[N];
    int64_t minus = -1;
    for (int i = 0; i < N; i++) y[i] = -1;
    made labels = {H5T_STD_I64BE, H5T_NATIVE_INT64, 1, {N}, {64}, .fill = &minus};
    check_set(&labels, y);
    memset(y, 0, sizeof y);
    labels.fill = NULL;                               /* none given: the library's is zero */
    check_set(&labels, y);
}

static void empty(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        made m = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {how % 3 == 1 ? 5 : 0, how % 3 == 0 ? 4 : 0}, .data = NULL};
        if (how >= 3) m.chunk[0] = m.chunk[1] = 2, m.filters = GZIP;
        write_set(&m);
        rt_source *s = opened();
        char none[1];
        uint64_t row[2] = {0, 4};
        assert_int_equal(rt_source_rows(s), m.dim[0]);
        assert_int_equal(rt_source_row_bytes(s), m.dim[1]);
        assert_true(rt_source_block(s) >= 1);
        assert_true(rt_source_window_blocks(s) >= 1);
        check_ok(rt_source_read(s, row, 0, none));
        if (m.dim[0]) check_ok(rt_source_read(s, row, 2, none));
        rt_source_close(s);
    }
}

/* A chunk may say that some of its filters were not applied. */
static void masked_filters(void **state)
{
    (void)state;
    enum { N = 12, D = 5 };
    uint16_t x[N][D];
    for (int i = 0; i < N * D; i++) x[i / D][i % D] = (uint16_t)(i * 517);
    made m = {H5T_STD_U16LE, H5T_NATIVE_UINT16, 2, {N, D}, {4, D}, SHUFFLE | GZIP | FLETCHER, .data = x};
    write_set(&m);
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), d = H5Dopen2(f, "x", H5P_DEFAULT);
    hsize_t at[2] = {4, 0};
    char shuffled[4 * D * 2];
    for (int i = 0; i < 4 * D; i++)
        for (int b = 0; b < 2; b++) shuffled[b * 4 * D + i] = ((char *)x)[2 * (4 * D + i) + b];
    assert_true(H5Dwrite_chunk(d, H5P_DEFAULT, 2 | 4, at, sizeof shuffled, shuffled) >= 0);
    at[0] = 8;
    assert_true(H5Dwrite_chunk(d, H5P_DEFAULT, 7, at, 4 * D * 2, x[8]) >= 0);
    H5Dclose(d);
    H5Fclose(f);
    rt_source *s = opened();
    check_rows(s, x);
    rt_source_close(s);
}

/* ---- damage ---- */

static void flip(uint64_t at, int bit) { flip_bit(path, at, bit); }

/* Every byte of a chunk with a checksum, and of the checksum: a flipped bit is found, under every set of filters;
 * without fletcher32 deflate's own checksum finds it. The other chunks stay readable. */
static void flipped_bits(void **state)
{
    (void)state;
    enum { N = 12, D = 9 };
    static const int filters[] = {FLETCHER, SHUFFLE | FLETCHER, GZIP, GZIP | FLETCHER, CHECK_FIRST | SHUFFLE,
                                  LZF | FLETCHER};
    unsigned char *data = pattern(N * D * 2);
    for (size_t k = 0; k < sizeof filters / sizeof *filters; k++) {
        made m = {H5T_STD_U16LE, H5T_NATIVE_UINT16, 2, {N, D}, {4, D}, filters[k], .data = data};
        write_set(&m);
        rt_h5_file *f;
        check_ok(rt_h5_scan(&f, path));
        rt_h5_chunk c = rt_h5_find(f, "x")->chunk[1];
        for (uint32_t i = 0; i < c.bytes; i++) {
            uint16_t got[4][D];
            rt_source *s;
            flip(c.offset + i, (int)i % 8);
            check_ok(rt_source_open_in(&s, f, "x"));
            for (int again = 0; again < 2; again++)
                check_fails(rt_source_read_stored(s, 4, 4, got), RT_INPUT, "is damaged");
            check_ok(rt_source_read_stored(s, 8, 4, got));
            assert_memory_equal(got, data + 8 * D * 2, sizeof got);
            rt_source_close(s);
            flip(c.offset + i, (int)i % 8);
        }
        rt_h5_close(f);
    }
    free(data);
}

/* A chunk whose stream is sound and holds other than a chunk's bytes: too few, or more. */
static void chunks_of_another_length(void **state)
{
    (void)state;
    enum { N = 8, D = 300 };
    unsigned char *data = pattern(N * D), stream[2 * N * D];
    struct libdeflate_compressor *z = libdeflate_alloc_compressor(6);
    for (int more = -1; more <= 1; more++) {
        made m = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {N, D}, {4, D}, GZIP, .data = data};
        uint8_t got[4][D];
        write_set(&m);
        size_t n = libdeflate_zlib_compress(z, data, (size_t)(4 * D + more), stream, sizeof stream);
        hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), d = H5Dopen2(f, "x", H5P_DEFAULT);
        assert_true(n && H5Dwrite_chunk(d, H5P_DEFAULT, 0, (hsize_t[]){4, 0}, n, stream) >= 0);
        H5Dclose(d);
        H5Fclose(f);
        rt_source *s = opened();
        check_ok(rt_source_read_stored(s, 0, 4, got));
        if (more) check_fails(rt_source_read_stored(s, 4, 4, got), RT_INPUT, "does not decode to its 1200 bytes");
        else check_ok(rt_source_read_stored(s, 4, 4, got));
        rt_source_close(s);
    }
    libdeflate_free_compressor(z);
    free(data);
}

static void cut_short(void **state)
{
    (void)state;
    enum { N = 3000, D = 100 };
    unsigned char *data = pattern(N * D);
    for (int how = 0; how < 3; how++) {               /* contiguous, chunks from the map, decoded chunks */
        made m = {.type = H5T_STD_U8LE, .memory = H5T_NATIVE_UINT8, .rank = 2, .dim = {N, D}, .data = data};
        if (how) m.chunk[0] = 500, m.chunk[1] = D;
        if (how == 2) m.filters = FLETCHER;
        write_set(&m);
        rt_source *s = opened();
        char got[D];
        uint64_t row[] = {N - 1};
        check_ok(rt_source_read_stored(s, 0, 1, got));
        assert_int_equal(truncate(path, 4096), 0);
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);       /* longer than a tick of the coarse clock */
        check_fails(rt_source_read(s, row, 1, got), RT_INPUT, path);
        check_fails(rt_source_read_stored(s, N - 1, 1, got), RT_INPUT, how < 2 ? "was cut from" : path);
        rt_source_close(s);
        assert_int_equal(rt_source_open(&s, path, "x"), RT_INPUT);
    }
    free(data);
}

/* One chunk that starts at this row, of zeros. */
static void write_chunk(hsize_t row, size_t bytes)
{
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), d = H5Dopen2(f, "x", H5P_DEFAULT);
    hsize_t at[2] = {row, 0};
    char *zeros = calloc(bytes, 1);
    assert_true(H5Dwrite_chunk(d, H5P_DEFAULT, 0, at, bytes, zeros) >= 0);
    free(zeros);
    H5Dclose(d);
    H5Fclose(f);
}

/* A small file may claim much: that costs neither memory nor time, and what is too large is refused by name. */
static void claims(void **state)
{
    (void)state;
    rt_source *s;
    made wide = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {8, 1ull << 31}, {1, 1 << 20}, GZIP, .data = NULL};
    write_set(&wide);
    write_chunk(0, 1);
    check_fails(rt_source_open(&s, path, "x"), RT_INPUT, "a row takes 2147483648 bytes, at most 268435456 are read");
    made block = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {1 << 12, 1 << 20}, {1 << 12, 1 << 10}, GZIP, .data = NULL};
    write_set(&block);
    write_chunk(0, 1);
    check_fails(rt_source_open(&s, path, "x"), RT_INPUT, "4096 rows of 1048576 bytes lie in chunks that must be");
    block.filters = 0;                                /* nothing is decoded: read from the map */
    write_set(&block);
    write_chunk(0, 1 << 22);
    s = opened();
    char *row = malloc(1 << 20);
    check_ok(rt_source_read_stored(s, 4095, 1, row));
    rt_source_close(s);
    block.dim[0] = 2000;
    block.chunk[0] = 1000;
    block.filters = GZIP;
    write_set(&block);
    write_chunk(1000, 1);
    s = opened();
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (uint64_t i = 0; i < 1000; i += 99) check_ok(rt_source_read_stored(s, i, 1, row));
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);        /* KiB; a block is 1 GB */
    rt_source_close(s);
    free(row);
}

/* ---- what others ask ---- */

static void blocks_and_windows(void **state)
{
    (void)state;
    made m = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {1000, 1 << 20}, {25, 1 << 20}, .data = NULL};
    for (int how = 0; how < 4; how++) {               /* map; 25 MiB blocks decoded; 100 MiB; rows cut, no filters */
        m.filters = how == 1 || how == 2 ? GZIP : 0;
        m.chunk[0] = how == 2 ? 100 : 25;
        m.chunk[1] = how == 3 ? 1 << 10 : 1 << 20;
        write_set(&m);
        write_chunk(0, how % 3 ? 1 : 25 * m.chunk[1]);
        rt_source *s = opened();
        assert_int_equal(rt_source_block(s), how == 0 ? 1 : how == 2 ? 100 : 25);
        assert_int_equal(rt_source_window_blocks(s), how == 1 ? 256 / 25 - 2 : how == 2 ? 1 : INT_MAX);
        rt_source_close(s);
    }
    made small = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {30, 8}, {7, 8}, GZIP, .data = NULL};
    write_set(&small);
    write_chunk(0, 1);
    rt_source *s = opened();
    assert_int_equal(rt_source_window_blocks(s), 5);  /* all blocks are held */
    rt_source_close(s);
    small.chunk[0] = 100;
    write_set(&small);
    write_chunk(0, 1);
    s = opened();
    assert_int_equal(rt_source_block(s), 30);
    rt_source_close(s);
}

/* Two sets side by side: one in compressed chunks, one that lies in one piece, of rows whose bytes are no multiple
 * of 8. */
static void side_by_side(void **state)
{
    (void)state;
    enum { N = 57, P = 13, Q = 5, ROW = 16 + 24 };
    unsigned char *a = pattern(N * P), want[N][ROW];
    float *b = random_floats(N * Q, 5);
    memset(want, 0, sizeof want);
    for (int r = 0; r < N; r++) {
        memcpy(want[r], a + r * P, P);
        memcpy(want[r] + 16, b + r * Q, Q * sizeof *b);
    }
    rt_source *part[2], *s;
    const char *const name[2] = {"first", "second"}, *got;
    size_t at;
    check_ok((write_set(&(made){H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {N, P}, {10, P}, GZIP, .data = a}),
              rt_source_open(&part[0], path, "x")));
    char first[sizeof path], second[sizeof path + 4];
    snprintf(first, sizeof first, "%s", path);
    snprintf(path + strlen(path), sizeof path - strlen(path), "2");
    snprintf(second, sizeof second, "%s", path);
    check_ok((write_set(&(made){H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, {N, Q}, {0}, .data = b}),
              rt_source_open(&part[1], path, "x")));
    snprintf(path, sizeof path, "%s", first);
    check_ok(rt_source_join(&s, part, name, 2, 1));
    assert_int_equal(rt_source_row_bytes(s), ROW);
    assert_int_equal(rt_source_parts(s), 2);
    assert_string_equal(rt_source_path(s), second);
    assert_ptr_equal(rt_source_part(s, 1, &got, &at), part[1]);
    assert_string_equal(got, "second");
    assert_int_equal(at, 16);
    assert_int_equal(rt_source_find_part(s, "first"), 0);
    assert_int_equal(rt_source_find_part(s, "third"), -1);
    assert_int_equal(rt_source_find_part(part[0], ""), -1);
    assert_int_equal(rt_source_block(s), 10);         /* those of the part that is decoded */
    assert_int_equal(rt_source_window_blocks(s), 6);
    check_rows(s, want);
    rt_source_close(s);
    /* Rows that are not as many, and rows too large together. */
    check_ok((write_set(&(made){H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {N + 1, P}, {0}, .data = NULL}),
              rt_source_open(&part[0], path, "x")));
    check_ok(rt_source_open(&part[1], second, "x"));
    check_fails(rt_source_join(&s, part, name, 2, 1), RT_INPUT, "has 58 rows, 'x' of ");
    assert_null(s);
    for (int i = 0; i < 2; i++)
        check_ok((write_set(&(made){H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {2, 200 << 20}, {1, 1 << 20}, .data = NULL}),
                  rt_source_open(&part[i], path, "x")));
    check_fails(rt_source_join(&s, part, name, 2, 0), RT_INPUT, "a row of all inputs takes 419430400 bytes");
    unlink(second);
    free(a);
    free(b);
}

/* ---- threads ---- */

enum { T_ROWS = 4000, T_WIDTH = 70, T_THREADS = 6 };
typedef struct { rt_source *s; const unsigned char *want; uint32_t seed; int bad; } job;

static void *read_scattered(void *arg)
{
    job *j = arg;
    for (uint32_t k = 0; k < 300 && !j->bad; k++) {
        uint64_t row[16];
        unsigned char got[16][T_WIDTH];
        for (uint64_t i = 0; i < 16; i++)
            row[i] = rt_permute((k * 16 + i) % T_ROWS, T_ROWS, j->seed, RT_RNG_TEST, 0, 0);
        j->bad = rt_source_read(j->s, row, 16, got) != RT_OK;
        for (int i = 0; i < 16; i++) j->bad |= memcmp(got[i], j->want + row[i] * T_WIDTH, T_WIDTH) != 0;
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    unsigned char *data = pattern(T_ROWS * T_WIDTH);
    for (int how = 0; how < 4; how++) {
        made m = {H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {T_ROWS, T_WIDTH}, {how == 3 ? 1 : 60, how == 2 ? 33 : T_WIDTH},
                  how ? GZIP : 0, .data = data};
        write_set(&m);
        job j[T_THREADS];
        pthread_t thread[T_THREADS];
        rt_source *s = opened();
        for (int i = 0; i < T_THREADS; i++) {
            j[i] = (job){.s = s, .want = data, .seed = (uint32_t)i};
            assert_int_equal(pthread_create(&thread[i], NULL, read_scattered, &j[i]), 0);
        }
        for (int i = 0; i < T_THREADS; i++) {
            pthread_join(thread[i], NULL);
            assert_int_equal(j[i].bad, 0);
        }
        rt_source_close(s);
    }
    free(data);
}

static int set_up(void **state)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (make_test_folder(state) || H5Zregister(&lzf_class) < 0) return 1;
    snprintf(path, sizeof path, "%s/set.h5", test_folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types), cmocka_unit_test(to_float), cmocka_unit_test(chunk_shapes),
        cmocka_unit_test(fill_values), cmocka_unit_test(empty), cmocka_unit_test(masked_filters),
        cmocka_unit_test(flipped_bits), cmocka_unit_test(chunks_of_another_length), cmocka_unit_test(cut_short),
        cmocka_unit_test(claims),
        cmocka_unit_test(blocks_and_windows), cmocka_unit_test(side_by_side),
        cmocka_unit_test(many_threads)};
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
