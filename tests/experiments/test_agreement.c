/* Agreement of two lists against SciPy's values, and where it is not defined; pictures of parts. */
#include <png.h>

#include "experiments/eval/agreement.h"
#include "experiments/eval/comparison_result.h"
#include "tests/experiments/agreement_reference.h"
#include "tests/support.h"

static void against_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
        rt_agreement got;
        check_ok(rt_agree(agreed[i].a, agreed[i].b, agreed[i].n, agreed[i].top, &got));
        check_close("spearman", got.spearman, agreed[i].spearman, 1e-12, 0);
        check_close("cosine", got.cosine, agreed[i].cosine, 1e-12, 0);
        check_close("overlap", got.overlap, agreed[i].overlap, 1e-12, 0);
    }
}

/* By hand: ranks (1.5, 1.5, 3) and (1, 2, 3) correlate with 0.8660; of equal sizes the first are the largest. */
static void by_hand(void **state)
{
    (void)state;
    static const float a[3] = {1, 1, 2}, b[3] = {1, 2, 3}, ones[4] = {1, -1, 1, 1}, late[4] = {0, 0, 5, 5};
    rt_agreement got;
    check_ok(rt_agree(a, b, 3, 1, &got));
    check_close("spearman", got.spearman, sqrt(3) / 2, 1e-12, 0);
    assert_true(got.overlap == 1);
    check_ok(rt_agree(ones, late, 4, 2, &got));
    assert_true(got.overlap == 0);                      /* {0, 1} and {2, 3} */
    check_ok(rt_agree(ones, late, 4, 9, &got));
    assert_true(got.overlap == 1);                      /* all of them */
}

static void not_defined(void **state)
{
    (void)state;
    static const float same[3] = {2, 2, 2}, none[3] = {0, 0, 0}, some[3] = {1, 2, 4}, bad[3] = {1, NAN, 2};
    rt_agreement got;
    check_ok(rt_agree(same, some, 3, 1, &got));
    assert_true(isnan(got.spearman) && isfinite(got.cosine) && isfinite(got.overlap));
    check_ok(rt_agree(some, none, 3, 1, &got));
    assert_true(isnan(got.spearman) && isnan(got.cosine));
    check_ok(rt_agree(some, bad, 3, 1, &got));
    assert_true(isnan(got.spearman) && isnan(got.cosine) && isnan(got.overlap));
    check_ok(rt_agree(some, some, 0, 1, &got));
    assert_true(isnan(got.spearman));
}

/* The picture's pixels, by libpng: for is orange, against blue, opacity sqrt(|sum of channels| / most), nothing clear.
 */
static void pictures(void **state)
{
    (void)state;
    enum { H = 4, W = 5 };
    static const char opening[] = "data:image/png;base64,",
                      digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    float part[H * W * 3] = {0};
    unsigned char file[4096], pixel[H * W * 4];
    part[0] = 4;                                        /* pixel 0: 4 of 4 */
    part[3] = -0.5f, part[4] = -0.5f;                   /* pixel 1: -1 */
    part[6] = 1, part[7] = -1;                          /* pixel 2: nothing */
    part[9] = 40;                                       /* pixel 3: beyond */
    part[12] = NAN;
    char *uri = rt_picture_of_parts(part, H, W, 3, 4);
    assert_non_null(uri);
    assert_int_equal(strncmp(uri, opening, sizeof opening - 1), 0);
    size_t n = 0;
    unsigned word = 0;
    int bits = 0;
    for (const char *c = uri + sizeof opening - 1; *c && *c != '='; c++) {
        word = word << 6 | (unsigned)(strchr(digits, *c) - digits);
        if ((bits += 6) >= 8) file[n++] = (unsigned char)(word >> (bits -= 8));
    }
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&image, file, n));
    image.format = PNG_FORMAT_RGBA;
    assert_true(image.width == W && image.height == H);
    assert_true(png_image_finish_read(&image, NULL, pixel, 0, NULL));
    static const int opacity[5] = {255, 128, 0, 255, 0};
    for (int i = 0; i < 5; i++) assert_int_equal(pixel[4 * i + 3], opacity[i]);
    assert_true(pixel[0] > 200 && pixel[2] < 60 && pixel[4] < 60 && pixel[6] > 200 && pixel[12] > 200);
    free(uri);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_scipy), cmocka_unit_test(by_hand),
                                       cmocka_unit_test(not_defined), cmocka_unit_test(pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
