/* Pictures against the pixels that Pillow gives (tests/data/samples/make_import_samples.py), and folders as people have
 * them. */
#include <sys/stat.h>

#include "data/import_parts.h"
#include "tests/data/import_support.h"

#define PICTURES SAMPLES "pictures"

static const char *const order[] = {
    "cmyk.jpeg", "exif1.jpg", "exif2.jpg", "exif3.jpg", "exif4.jpg", "exif5.jpg", "exif6.jpg", "exif7.jpg",
        "exif8.jpg", "grey.JPG", "progressive.jpg",
    "really_a.png.jpg", "alpha.png", "deep.png", "deep_rgb.png", "exif.png", "gamma.png", "grey_alpha.png",
        "interlaced.png", "one_bit.png", "palette.png",
    "palette_clear.png"};
enum { FILES = sizeof order / sizeof *order, JPEGS = 12, H = 5, W = 7 };

static void check_pixels(rt_import_spec s, const char *raw, int channels)
{
    static unsigned char want[FILES * H * W * 3 + 1];
    char path[400];
    snprintf(path, sizeof path, PICTURES "/%s.raw", raw);
    size_t one = (size_t)(H * W * channels);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(want, 1, sizeof want, f), FILES * one);
    fclose(f);
    imported r = import(s);
    assert_true(r.type == RT_U8 && r.rank == 4 && r.dim[0] == FILES && r.dim[1] == H && r.dim[2] == W
                && r.dim[3] == (uint64_t)channels);
    for (size_t i = 0; i < FILES; i++) {
        if (memcmp((unsigned char *)r.x + i * one, want + i * one, one))
            fail_msg("pixels of %s for %s differ", order[i], raw);
        assert_int_equal(r.y[i], i >= JPEGS);
    }
    assert_string_equal(names_of(r.manifest, "classes"), "jpeg|png");
    assert_string_equal(names_of(r.report, "class_rows"), "12|10");
    assert_true(noted(&r, "pictures turned as their EXIF orientation says: 8") && noted(&r, "pictures of 16 bits: 2")
                && noted(&r, "CMYK pictures: 1"));
    assert_true(noted(&r, "pictures with transparent pixels: 3") && noted(&r, "another kind than their names say: 1"));
    assert_true(skipped(&r, "files beside the class folders") == 4);
    done(&r);
}

static void pixels(void **state)
{
    (void)state;
    check_pixels((rt_import_spec){.input = PICTURES}, "rgb", 3);
    check_pixels((rt_import_spec){.input = PICTURES, .alpha = RT_ALPHA_DROP, .channels = 3}, "rgb", 3);
    check_pixels((rt_import_spec){.input = PICTURES, .channels = 1}, "grey", 1);
    check_pixels((rt_import_spec){.input = PICTURES, .alpha = RT_ALPHA_WHITE}, "white", 3);
    check_pixels((rt_import_spec){.input = PICTURES, .alpha = RT_ALPHA_BLACK}, "black", 3);
}

/* ---- folders ---- */

static char root[96];

static void copy(const char *from, const char *to)
{
    char command[700];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s/%s')\" && cp '" PICTURES "/%s' '%s/%s'", root, to,
             from, root, to);
    assert_int_equal(system(command), 0);
}

static void touch(const char *name, const char *text, size_t n)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(text, 1, n, f);
    fclose(f);
}

static void fresh(void)
{
    char command[400];
    snprintf(root, sizeof root, "%s/photos", test_folder);
    snprintf(command, sizeof command, "rm -rf %s && mkdir -p %s/cat %s/dog", root, root, root);
    assert_int_equal(system(command), 0);
    copy("png/gamma.png", "cat/1.png");
    copy("png/palette.png", "cat/2.png");
    copy("jpeg/exif1.jpg", "dog/1.jpg");
}

static void other_files(void **state)
{
    (void)state;
    char path[300];
    fresh();
    touch("cat/.DS_Store", "x", 1);
    touch("cat/._1.png", "x", 1);
    touch("cat/notes.txt", "x", 1);
    touch("dog/Thumbs.db", "x", 1);
    touch("dog/a.webp", "RIFF\4\0\0\0WEBPVP8 ", 16);
    touch("dog/b.gif", "GIF89a", 6);
    touch("list.csv", "x", 1);
    copy("png/gamma.png", "loose.png");
    snprintf(path, sizeof path, "%s/cat/more", root);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/.git", root);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/__MACOSX", root);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/cat/3.png", root);
    assert_int_equal(symlink("1.png", path), 0);
    imported r = import((rt_import_spec){.input = root});
    CHECK_Y(r, 0, 0, 0, 1);
    assert_true(skipped(&r, "hidden files") == 2 && skipped(&r, ".txt files") == 1 && skipped(&r, ".db files") == 1
                && skipped(&r, "WebP files") == 1);
    assert_true(skipped(&r, "GIF files") == 1 && skipped(&r, "folders inside class folders") == 1 && skipped(&r,
        "files beside the class folders") == 1);
    assert_true(skipped(&r, "pictures beside the class folders") == 1 && skipped(&r, "hidden files and folders") == 2);
    assert_true(noted(&r, "links to files or folders that are followed: 1"));
    done(&r);
    refuse((rt_import_spec){.input = root, .labels = "y.npy"}, RT_USAGE, "a second file is not read");
    refuse((rt_import_spec){.input = root, .label = "a"}, RT_USAGE, "--label does not apply to images");
    copy("png/gamma.png", "elk/fine.png");
    snprintf(path, sizeof path, "%s/elk/fine.png", root);
    unlink(path);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "class 'elk' would be empty");
    touch("elk/a.webp", "RIFF\4\0\0\0WEBPVP8 ", 16);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "class 'elk' would be empty");
}

/* What is asked about labels holds for folders, too, or is refused. */
static void labels_of_folders(void **state)
{
    (void)state;
    fresh();
    imported r = import((rt_import_spec){.input = root, .no_label = "dog"});
    CHECK_Y(r, 0, 0, -1);
    assert_string_equal(names_of(r.manifest, "classes"), "cat");
    assert_true(noted(&r, "rows without a label: 1 ('dog' 1)"));
    done(&r);
    refuse((rt_import_spec){.input = root, .max_classes = 1}, RT_INPUT, "has 2 different labels");
    refuse((rt_import_spec){.input = root, .missing_labels_refused = 1}, RT_USAGE,
           "--missing-labels does not apply to images");
    copy("png/gamma.png", "\xe9lan/1.png");
    refuse((rt_import_spec){.input = root}, RT_INPUT, "is no valid UTF-8");
}

static void bad_pictures(void **state)
{
    (void)state;
    static const char html[] = "<html>";
    fresh();
    touch("cat/0.jpg", html, sizeof html);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "photos/cat/0.jpg: is no picture but something else");
    touch("cat/0.jpg", html, 0);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "photos/cat/0.jpg: is no picture but empty");
    fresh();
    char b[2000], path[300];
    FILE *f = fopen(PICTURES "/jpeg/progressive.jpg", "rb");
    size_t n = fread(b, 1, sizeof b, f);
    fclose(f);
    touch("dog/2.jpg", b, n / 2);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "photos/dog/2.jpg: ");
    f = fopen(PICTURES "/png/alpha.png", "rb");
    n = fread(b, 1, sizeof b, f);
    fclose(f);
    touch("cat/0.png", b, n - 20);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "photos/cat/0.png: damaged or truncated PNG data");
    b[16] = 0x7f;                                          /* 2,130,706,439 pixels wide */
    touch("cat/0.png", b, n);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "photos/cat/0.png: ");
    imported r = import((rt_import_spec){.input = root, .skip_bad = 1});
    CHECK_Y(r, 0, 0, 1);
    assert_true(skipped(&r, "pictures that cannot be read") == 2);
    assert_string_equal(names_of(r.report, "class_rows"), "2|1");
    done(&r);
    snprintf(path, sizeof path, "%s/dog/1.jpg", root);
    unlink(path);
    refuse((rt_import_spec){.input = root, .skip_bad = 1}, RT_INPUT, "class 'dog'");
}

static void sizes(void **state)
{
    (void)state;
    fresh();
    /* 2 x 2 to 1 x 1, and to 2 x 1: means, rounded half up. */
    static const unsigned char four[] = {11, 20, 30, 41};
    rt_picture p = {.px = (unsigned char *)four, .h = 2, .w = 2, .c = 1};
    unsigned char out[4];
    rt_picture_resize(out, 1, 1, &p);
    assert_int_equal(out[0], 26);
    rt_picture_resize(out, 2, 1, &p);
    assert_true(out[0] == 16 && out[1] == 36);
    p.w = 4, p.h = 1;
    rt_picture_resize(out, 1, 3, &p);                      /* (11 + 20/3) / (4/3), (2/3 20 + 2/3 30) / (4/3), ... */
    assert_true(out[0] == 13 && out[1] == 25 && out[2] == 38);
    char path[300];
    snprintf(path, sizeof path, "%s/dog/tall.png", root);
    FILE *f = fopen(path, "wb");
    static const unsigned char tall[] = {                  /* 1 x 2, grey, 0 and 255 */
        0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0, 1, 0, 0, 0, 2, 8, 0, 0, 0, 0,
            0xb2, 0x41, 0x2c, 0xe6,
        0, 0, 0, 15, 'I', 'D', 'A', 'T', 0x78, 1, 1, 4, 0, 0xfb, 0xff, 0, 0, 0, 0xff, 1, 2, 1, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    fwrite(tall, 1, sizeof tall, f);
    fclose(f);
    unlink(path);
    copy("png/palette.png", "dog/2.png");
    /* doubled: each pixel four times */
    imported r = import((rt_import_spec){.input = root, .height = 10, .width = 14});
    static unsigned char px[FILES * H * W * 3];
    f = fopen(PICTURES "/rgb.raw", "rb");
    assert_int_equal(fread(px, 1, sizeof px, f), sizeof px);
    fclose(f);
    const unsigned char *palette = px + 20 * H * W * 3, *got = (unsigned char *)r.x + 1 * 10 * 14 * 3;
    for (int y = 0; y < 10; y++)
        for (int x = 0; x < 14; x++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(got[(y * 14 + x) * 3 + c], palette[(y / 2 * W + x / 2) * 3 + c]);
    assert_true(noted(&r, "pictures brought to another size: 4"));
    done(&r);
}

static void numbers(void **state)
{
    (void)state;
    char command[400];
    fresh();
    snprintf(command, sizeof command, "rm -rf %s/cat %s/dog", root, root);
    assert_int_equal(system(command), 0);
    copy("png/gamma.png", "10/a.png");
    copy("png/gamma.png", "9/a.png");
    copy("png/gamma.png", "9/b.png");
    copy("png/gamma.png", "00/a.png");
    imported r = import((rt_import_spec){.input = root});
    /* as numeric labels: in the order of numbers, values kept */
    assert_string_equal(names_of(r.manifest, "classes"), "0|1|2|3|4|5|6|7|8|9|10");
    CHECK_Y(r, 0, 10, 9, 9);
    done(&r);
    copy("png/gamma.png", "0/a.png");
    refuse((rt_import_spec){.input = root}, RT_INPUT, "are one class, 0");
    fresh();
    r = import((rt_import_spec){.input = root, .classes = {"dog", "elk", "cat"}, .class_count = 3});
    CHECK_Y(r, 2, 2, 0);
    done(&r);
    refuse((rt_import_spec){.input = root, .classes = {"dog", "elk"}, .class_count = 2}, RT_INPUT,
           "labels (cat) are none of the classes of --classes (dog, elk)");
}

static void exif(void **state)
{
    (void)state;
    static const unsigned char little[] = "II*\0\10\0\0\0\1\0\22\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0",
        big[] = "MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\10\0\0\0\0\0\0";
    assert_int_equal(rt_exif_orientation(little, 26), 6);
    assert_int_equal(rt_exif_orientation(big, 26), 8);
    for (size_t n = 0; n < 22; n++) {                       /* cut anywhere: no orientation,
                                     and no byte behind the end is read */
        unsigned char *cut = malloc(n + 1);
        memcpy(cut, little, n);
        assert_int_equal(rt_exif_orientation(cut, n), 1);
        free(cut);
    }
    unsigned char odd[26];
    memcpy(odd, little, 26);
    odd[18] = 9;
    assert_int_equal(rt_exif_orientation(odd, 26), 1);
    memcpy(odd, little, 26);
    memset(odd + 4, 0xff, 4);
    assert_int_equal(rt_exif_orientation(odd, 26), 1);
    memcpy(odd, little, 26);
    odd[8] = odd[9] = 0xff;                                 /* 65,535 entries; the first is right */
    assert_int_equal(rt_exif_orientation(odd, 26), 6);
}

static uint32_t crc_of(const unsigned char *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

static void big(unsigned char *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i)); }

/* A short file whose header tells of a large picture is refused before memory is taken for it. */
static void claims(void **state)
{
    (void)state;
    unsigned char px[2000];
    char path[300];
    FILE *f;
    fresh();
    snprintf(path, sizeof path, PICTURES "/png/gamma.png");
    assert_non_null(f = fopen(path, "rb"));
    size_t n = fread(px, 1, sizeof px, f);
    fclose(f);
    big(px + 16, 30000);                                 /* width, height, and the CRC of IHDR's type and 13 bytes */
    big(px + 20, 4000);
    big(px + 29, crc_of(px + 12, 17));
    touch("cat/1.png", (char *)px, n);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "cat/1.png: its header tells 4000x30000 pixels, more than its");
    fresh();
    snprintf(path, sizeof path, PICTURES "/jpeg/exif1.jpg");
    assert_non_null(f = fopen(path, "rb"));
    n = fread(px, 1, sizeof px, f);
    fclose(f);
    for (size_t i = 0; i + 9 < n; i++)
        if (px[i] == 0xff && px[i + 1] == 0xc0) {        /* SOF0: length, bits, height, width */
            px[i + 5] = 0x1f;
            px[i + 7] = 0x3f;
            break;
        }
    touch("dog/1.jpg", (char *)px, n);
    refuse((rt_import_spec){.input = root}, RT_INPUT, "dog/1.jpg: its header tells");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pixels), cmocka_unit_test(other_files),
                                       cmocka_unit_test(labels_of_folders), cmocka_unit_test(bad_pictures),
                                       cmocka_unit_test(sizes),
                                       cmocka_unit_test(numbers), cmocka_unit_test(exif), cmocka_unit_test(claims)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
