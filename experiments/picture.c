/* experiments/picture.c - rows that are pictures, for a page. */
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "engine/convert.h"
#include "experiments/comparison_result.h"

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

char *rt_picture_of(const rt_source *x, const void *row)
{
    rt_shape s;
    rt_dtype type = rt_source_type(x);
    if (rt_source_parts(x) > 1 || type == RT_TEXT || rt_source_shape(x, &s)) return NULL;
    int channels = s.rank == 3 ? s.dim[2] : 1;
    if (s.rank < 2 || s.rank > 3 || (channels != 1 && channels != 3) || s.dim[0] < 4 || s.dim[1] < 4 ||
        s.dim[0] > 512 || s.dim[1] > 512) return NULL;
    size_t n = rt_shape_count(&s);
    unsigned char *pixel = calloc(n, 1), *file = NULL;
    char *uri = NULL;
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)s.dim[1], .height = (png_uint_32)s.dim[0],
                       .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    png_alloc_size_t bytes = 0;
    if (pixel) {
        to_bytes(pixel, row, type, n);
        if (png_image_write_get_memory_size(image, bytes, 0, pixel, 0, NULL) && (file = malloc(bytes)) &&
            png_image_write_to_memory(&image, file, &bytes, 0, pixel, 0, NULL)) uri = uri_of(file, bytes);
    }
    png_image_free(&image);
    free(pixel);
    free(file);
    return uri;
}
