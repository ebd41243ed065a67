/* HDF5: files that h5py made (samples/make_samples.py) are read to the values that its script wrote, or named. */
#include "tests/data/h5_support.h"

#define SAMPLES RETORT_SOURCE_DIR "/tests/data/samples/"

/* make_samples.py's element i. */
static double value(size_t i, rt_dtype type)
{
    int v = (int)((37 * i + 11) % 251);
    return type == RT_U8 || type == RT_U16 || type == RT_U32 || type == RT_U64 ? v : v - 100;
}

static void check_set(rt_h5_file *f, const char *name, rt_dtype type, size_t want)
{
    size_t n;
    void *data = h5_read(f, name, type, &n);
    assert_int_equal(n, want);
    for (size_t i = 0; i < n; i++)
        if (h5_element(data, type, i) != value(i, type))
            fail_msg("%s: element %zu is %g, want %g", name, i, h5_element(data, type, i), value(i, type));
    free(data);
}

static rt_h5_file *scan(const char *name)
{
    rt_h5_file *f;
    char path[512];
    snprintf(path, sizeof path, SAMPLES "%s", name);
    check_ok(rt_h5_scan(&f, path));
    return f;
}

static void lzf(void **state)
{
    (void)state;
    rt_h5_file *f = scan("lzf.h5");
    size_t n;
    check_set(f, "x", RT_F32, 300);
    check_set(f, "u", RT_U8, 512);
    check_set(f, "sum", RT_I16, 120);
    int32_t *zero = h5_read(f, "zeros", RT_I32, &n);
    assert_int_equal(n, 3000);
    for (size_t i = 0; i < n; i++) assert_int_equal(zero[i], 0);
    free(zero);
    const rt_h5_dataset *d;
    check_ok(rt_h5_need(&d, f, "zeros"));
    assert_int_equal(d->filter[0], RT_H5_LZF);
    assert_int_equal(d->param[0][2], 4000);
    assert_string_equal(rt_h5_filter_name(d->filter[0]), "lzf");
    check_ok(rt_h5_need(&d, f, "noise"));
    assert_int_equal(d->chunk[0].mask, 1);               /* LZF made it no smaller: stored as it is */
    assert_int_equal(d->chunk[0].bytes, 256);
    unsigned char *noise = h5_read(f, "noise", RT_U8, &n);
    assert_int_equal(noise[0], 139);                     /* numpy.random.default_rng(7) */
    assert_int_equal(noise[255], 63);
    free(noise);
    rt_h5_close(f);
}

static void types(void **state)
{
    (void)state;
    rt_h5_file *f = scan("kinds.h5");
    static const struct { const char *name; rt_dtype type; } big[] = {
        {"i2", RT_I16}, {"u4", RT_U32}, {"i8", RT_I64}, {"f2", RT_F16}, {"f4", RT_F32}, {"f8", RT_F64}};
    for (size_t i = 0; i < sizeof big / sizeof big[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "big/%s", big[i].name);
        assert_true(rt_h5_find(f, name)->swap);
        check_set(f, name, big[i].type, 45);
        snprintf(name, sizeof name, "big/packed_%s", big[i].name);
        check_set(f, name, big[i].type, 45);
    }
    check_set(f, "bf16", RT_BF16, 36);
    check_set(f, "compact", RT_F64, 24);
    assert_non_null(rt_h5_find(f, "compact")->compact);
    check_set(f, "enum", RT_I16, 20);
    size_t n;
    int8_t *bool_value = h5_read(f, "bool", RT_I8, &n);
    assert_int_equal(n, 60);
    for (size_t i = 0; i < n; i++) assert_int_equal(bool_value[i], (int)value(i, RT_I32) % 2 == 0);
    free(bool_value);
    char *text = h5_read(f, "text", RT_TEXT, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(text, "alpha" "be\0\0\0" "gamma", 15);
    free(text);
    float *part = h5_read(f, "part", RT_F32, &n);        /* half of it was written; the fill value is 7 */
    assert_int_equal(n, 80);
    for (size_t i = 0; i < n; i++) assert_true(part[i] == (i < 40 ? value(i, RT_F32) : 7));
    free(part);
    int32_t *never = h5_read(f, "never", RT_I32, &n);
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++) assert_int_equal(never[i], 3);
    free(never);
    rt_h5_close(f);
}

static void unreadable_types(void **state)
{
    (void)state;
    rt_h5_file *f = scan("kinds.h5");
    h5_refused(f, "strings", "variable-length strings");
    h5_refused(f, "record", "compound, records of 2 fields (height, width)");
    h5_refused(f, "complex", "complex numbers");
    h5_refused(f, "when", "opaque: 8 bytes an element with the tag 'NUMPY:<M8[s]'");
    h5_refused(f, "array", "array: elements are arrays");
    h5_refused(f, "ragged", "lists of different lengths");
    h5_refused(f, "reference", "references");
    h5_refused(f, "empty", "data space is null");
    h5_refused(f, "long_double", "16 bytes with 15 bits of exponent and 64 of mantissa");
    h5_refused(f, "narrow", "1 bytes with 4 bits of exponent and 3 of mantissa");
    rt_source *s;
    check_fails(rt_source_open_in(&s, f, "scalar"), RT_INPUT, "single value");
    rt_h5_close(f);
}

/* What only a newer library can open is in the list all the same. */
static void newer(void **state)
{
    (void)state;
    rt_h5_file *f = scan("newer.h5");
    const rt_h5_dataset *d = rt_h5_find(f, "x");
    assert_int_equal(f->sets, 3);
    assert_non_null(d);
    if (d->refused[0]) h5_refused(f, "x", "libver='v110'");
    else check_set(f, "x", RT_F32, 160);
    assert_true(rt_h5_find(f, "complex")->refused[0]);
    check_set(f, "plain", RT_F32, 160);
    check_fails(rt_h5_need(&d, f, "y"), RT_INPUT, "has no data set 'y'; it has: complex (unreadable), plain, x");
    rt_h5_close(f);
}

static void extensible_array(void **state)
{
    (void)state;
    rt_h5_file *f = scan("extensible.h5");
    check_set(f, "x", RT_I16, 3200);
    check_set(f, "z", RT_I16, 468);
    rt_h5_close(f);
}

static void user_block(void **state)
{
    (void)state;
    rt_h5_file *f = scan("userblock.h5");
    check_set(f, "x", RT_F64, 150);
    check_set(f, "packed", RT_F64, 150);
    check_set(f, "chunks", RT_U8, 150);
    rt_h5_close(f);
}

static void links(void **state)
{
    (void)state;
    rt_h5_file *f = scan("links.h5");
    static const char *const same[] = {"data/x", "hard", "soft", "folder/x"};
    for (int i = 0; i < 4; i++) check_set(f, same[i], RT_F32, 16);
    check_set(f, "/soft", RT_F32, 16);
    h5_refused(f, "dangling", "soft link to '/nowhere/x', which leads to nothing");
    h5_refused(f, "outside", "link to '/data/x' in the file 'other.h5', which is never followed");
    h5_refused(f, "through", "soft link to '/outside', which leads to nothing");
    h5_refused(f, "data/up", "back to a group that holds it");
    h5_refused(f, "folder/up", "back to a group that holds it");
    h5_refused(f, "type", "stored type");
    h5_refused(f, "virtual", "virtual data set");
    h5_refused(f, "stored_outside", "external file");
    assert_int_equal(f->sets, 12);
    assert_int_equal(f->cut, 0);
    rt_h5_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lzf), cmocka_unit_test(types), cmocka_unit_test(unreadable_types), cmocka_unit_test(newer),
        cmocka_unit_test(extensible_array), cmocka_unit_test(user_block), cmocka_unit_test(links)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
