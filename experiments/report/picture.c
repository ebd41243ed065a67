/* experiments/report/picture.c - rows that are pictures, for a page. */
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "engine/convert.h"
#include "experiments/eval/comparison_result.h"

static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* RFC 4648, section 4, behind "data:image/png;base64,". */
static char *uri_of(const unsigned char *p, size_t n)
{
    static const char opening[] = "data:image/png;base64,";
    size_t at = sizeof opening - 1;
    char *uri = malloc(at + 4 * ((n + 2) / 3) + 1);
    if (!uri) return NULL;
    memcpy(uri, opening, at);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t w = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        uri[at++] = digit[w >> 18];
        uri[at++] = digit[w >> 12 & 63];
        uri[at++] = i + 1 < n ? digit[w >> 6 & 63] : '=';
        uri[at++] = i + 2 < n ? digit[w & 63] : '=';
    }
    uri[at] = 0;
    return uri;
}

static void to_bytes(unsigned char *to, const void *row, rt_dtype type, size_t n)
{
    double least = INFINITY, most = -INFINITY;
    if (type == RT_U8) {
        memcpy(to, row, n);
        return;
    }
    double *v = malloc(n * sizeof *v);
    if (!v) return;
    rt_to_double(v, row, type, n);
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, v[i]);
        most = fmax(most, v[i]);
    }
    for (size_t i = 0; i < n; i++)
        to[i] = most > least ? (unsigned char)lrint(255 * (v[i] - least) / (most - least)) : 0;
    free(v);
}

/* Pixels as a PNG file in a data URI. */
static char *png_of(const unsigned char *pixel, int width, int height, png_uint_32 format)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height,
                       .format = format};
    png_alloc_size_t bytes = 0;
    unsigned char *file = NULL;
    char *uri = NULL;
    if (png_image_write_get_memory_size(image, bytes, 0, pixel, 0, NULL) && (file = malloc(bytes)) &&
        png_image_write_to_memory(&image, file, &bytes, 0, pixel, 0, NULL)) uri = uri_of(file, bytes);
    png_image_free(&image);
    free(file);
    return uri;
}

int rt_picture_shape(const rt_shape *s, int *height, int *width, int *channels)
{
    *channels = s->rank == 3 ? s->dim[2] : 1;
    if (s->rank < 2 || s->rank > 3 || (*channels != 1 && *channels != 3)) return 0;
    *height = s->dim[0];
    *width = s->dim[1];
    return s->dim[0] >= 4 && s->dim[1] >= 4 && s->dim[0] <= 512 && s->dim[1] <= 512;
}

char *rt_picture_of_row(const void *row, rt_dtype type, int height, int width, int channels)
{
    size_t n = (size_t)height * (size_t)width * (size_t)channels;
    unsigned char *pixel = calloc(n, 1);
    if (!pixel) return NULL;
    to_bytes(pixel, row, type, n);
    char *uri = png_of(pixel, width, height, channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY);
    free(pixel);
    return uri;
}

char *rt_picture_of(const rt_source *x, const void *row)
{
    rt_shape s;
    rt_dtype type = rt_source_type(x);
    int h, w, channels;
    if (rt_source_parts(x) > 1 || type == RT_TEXT || rt_source_shape(x, &s) ||
        !rt_picture_shape(&s, &h, &w, &channels)) return NULL;
    return rt_picture_of_row(row, type, h, w, channels);
}

/* Colours that are told apart without red and green, and by light and dark pages alike: opacity is the amount. */
char *rt_picture_of_parts(const float *part, int height, int width, int channels, double most)
{
    static const unsigned char speaks[2][3] = {{224, 90, 20}, {40, 110, 220}};      /* for, against */
    size_t n = (size_t)height * (size_t)width;
    unsigned char *pixel = calloc(n, 4);
    if (!pixel) return NULL;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++) sum += (double)part[i * (size_t)channels + (size_t)c];
        memcpy(pixel + 4 * i, speaks[sum < 0], 3);
        double share = most > 0 && isfinite(sum) ? fmin(fabs(sum) / most, 1) : 0;
        pixel[4 * i + 3] = (unsigned char)lrint(255 * sqrt(share));
    }
    char *uri = png_of(pixel, width, height, PNG_FORMAT_RGBA);
    free(pixel);
    return uri;
}
