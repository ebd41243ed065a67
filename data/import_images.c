/* data/import_images.c - a folder of PNG and JPEG files, one sub-folder a class. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jpeglib.h>
#include <png.h>

#include "data/import.h"

enum { MAX_SIDE = 16384 };

typedef struct { unsigned char *px; int h, w, c; } picture;

static rt_status read_png(picture *p, const char *path)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path)) return rt_fail(RT_INPUT, "%s: %s", path, image.message);
    if (image.width > MAX_SIDE || image.height > MAX_SIDE) {
        png_image_free(&image);
        return rt_fail(RT_INPUT, "%s: is larger than %d pixels a side", path, MAX_SIDE);
    }
    image.format = p->c == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    p->px = malloc(PNG_IMAGE_SIZE(image));
    p->h = (int)image.height;
    p->w = (int)image.width;
    png_color black = {0, 0, 0};
    if (!p->px || !png_image_finish_read(&image, &black, p->px, 0, NULL)) {
        rt_status st = rt_fail(RT_INPUT, "%s: %s", path, p->px ? image.message : "out of memory");
        png_image_free(&image);
        return st;
    }
    return RT_OK;
}

typedef struct { struct jpeg_error_mgr base; jmp_buf back; char message[JMSG_LENGTH_MAX]; } jpeg_trap;

static void jpeg_fail(j_common_ptr j)
{
    jpeg_trap *t = (jpeg_trap *)j->err;
    j->err->format_message(j, t->message);
    longjmp(t->back, 1);
}
static void jpeg_quiet(j_common_ptr j) { (void)j; }

static rt_status read_jpeg(picture *p, const char *path)
{
    struct jpeg_decompress_struct j;
    jpeg_trap trap;
    FILE *f = fopen(path, "rb");
    if (!f) return rt_fail(RT_INPUT, "%s: %s", path, strerror(errno));
    j.err = jpeg_std_error(&trap.base);
    trap.base.error_exit = jpeg_fail;
    trap.base.output_message = jpeg_quiet;
    if (setjmp(trap.back)) {
        jpeg_destroy_decompress(&j);
        fclose(f);
        return rt_fail(RT_INPUT, "%s: %s", path, trap.message);
    }
    jpeg_create_decompress(&j);
    jpeg_stdio_src(&j, f);
    jpeg_read_header(&j, TRUE);
    j.out_color_space = p->c == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&j);
    p->h = (int)j.output_height;
    p->w = (int)j.output_width;
    rt_status st = p->h > MAX_SIDE || p->w > MAX_SIDE ? rt_fail(RT_INPUT, "%s: is larger than %d pixels a side", path, MAX_SIDE) : RT_OK;
    if (!st) {
        p->px = malloc((size_t)p->h * (size_t)p->w * (size_t)p->c);
        if (!p->px) st = rt_fail(RT_RUN, "out of memory");
    }
    while (!st && j.output_scanline < j.output_height) {
        JSAMPROW row = p->px + (size_t)j.output_scanline * (size_t)p->w * (size_t)p->c;
        jpeg_read_scanlines(&j, &row, 1);
    }
    if (!st && trap.base.num_warnings) st = rt_fail(RT_INPUT, "%s: damaged or truncated JPEG data", path);
    jpeg_abort_decompress(&j);
    jpeg_destroy_decompress(&j);
    fclose(f);
    return st;
}

/* Each output pixel is the mean of the input area it covers. */
static void resize(unsigned char *out, int oh, int ow, const picture *p)
{
    for (int y = 0; y < oh; y++)
        for (int x = 0; x < ow; x++)
            for (int c = 0; c < p->c; c++) {
                double y0 = (double)y * p->h / oh, y1 = (double)(y + 1) * p->h / oh, x0 = (double)x * p->w / ow, x1 = (double)(x + 1) * p->w / ow, s = 0;
                for (int v = (int)y0; v < p->h && v < y1; v++)
                    for (int u = (int)x0; u < p->w && u < x1; u++) {
                        double ay = (v + 1 < y1 ? v + 1 : y1) - (v > y0 ? v : y0), ax = (u + 1 < x1 ? u + 1 : x1) - (u > x0 ? u : x0);
                        s += ay * ax * p->px[((size_t)v * (size_t)p->w + (size_t)u) * (size_t)p->c + (size_t)c];
                    }
                out[((size_t)y * (size_t)ow + (size_t)x) * (size_t)p->c + (size_t)c] = (unsigned char)(s / ((y1 - y0) * (x1 - x0)) + 0.5);
            }
}

static int visible(const struct dirent *d) { return d->d_name[0] != '.'; }

static int is_image(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot) return 0;
    if (strcasecmp(dot, ".png") == 0) return 1;
    return strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ? 2 : 0;
}

static rt_status add_file(rt_table *t, const char *path, int kind, int label, uint64_t *room, int channels)
{
    picture p = {.c = channels};
    rt_status st = kind == 1 ? read_png(&p, path) : read_jpeg(&p, path);
    if (!st && t->dim[1] == 0) {
        t->dim[1] = (uint64_t)p.h;
        t->dim[2] = (uint64_t)p.w;
    }
    size_t size = t->dim[1] * t->dim[2] * (size_t)channels;
    if (!st && t->dim[0] == *room) {
        *room = *room ? 2 * *room : 256;
        void *x = realloc(t->x, *room * size);
        if (x) t->x = x;
        int32_t *y = realloc(t->y, *room * sizeof *y);
        if (y) t->y = y;
        if (!x || !y) st = rt_fail(RT_RUN, "out of memory");
    }
    if (!st) {
        unsigned char *out = (unsigned char *)t->x + t->dim[0] * size;
        if ((uint64_t)p.h == t->dim[1] && (uint64_t)p.w == t->dim[2]) memcpy(out, p.px, size);
        else if (t->type == RT_U8 && t->rank == 4) resize(out, (int)t->dim[1], (int)t->dim[2], &p);
        else st = rt_fail(RT_INPUT, "%s: is %dx%d, but the first image is %llux%llu; give --size HxW to resize all", path, p.h, p.w, (unsigned long long)t->dim[1], (unsigned long long)t->dim[2]);
        t->y[t->dim[0]++] = label;
    }
    free(p.px);
    return st;
}

rt_status rt_import_images(rt_table *t, const char *folder, int height, int width, int channels)
{
    struct dirent **class = NULL;
    int classes = scandir(folder, &class, visible, alphasort);
    if (classes < 0) return rt_fail(RT_INPUT, "%s: %s", folder, strerror(errno));
    rt_status st = RT_OK;
    uint64_t room = 0;
    t->type = RT_U8;
    t->rank = height ? 4 : 0;                /* 0 until written: sizes must agree */
    t->dim[1] = (uint64_t)height;
    t->dim[2] = (uint64_t)width;
    t->dim[3] = (uint64_t)channels;
    t->class_name = calloc((size_t)classes + 1, sizeof *t->class_name);
    if (!t->class_name) st = rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < classes && !st; i++) {
        char sub[4096], path[8192];
        struct dirent **file = NULL;
        snprintf(sub, sizeof sub, "%s/%s", folder, class[i]->d_name);
        int files = scandir(sub, &file, visible, alphasort), taken = 0;
        for (int k = 0; k < files; k++) {
            int kind = is_image(file[k]->d_name);
            if (kind && !st) {
                snprintf(path, sizeof path, "%s/%s", sub, file[k]->d_name);
                st = add_file(t, path, kind, t->classes, &room, channels);
                taken = 1;
            }
            free(file[k]);
        }
        free(file);
        if (taken && !st && !(t->class_name[t->classes++] = strdup(class[i]->d_name))) st = rt_fail(RT_RUN, "out of memory");
    }
    for (int i = 0; i < classes; i++) free(class[i]);
    free(class);
    if (!st && t->dim[0] == 0) st = rt_fail(RT_NOTHING, "%s: no PNG or JPEG files in its sub-folders; one sub-folder a class is expected", folder);
    t->rank = 4;
    return st;
}
