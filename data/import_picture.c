/* data/import_picture.c - one PNG or JPEG file to 8-bit grey or RGB.
 *
 * Stored numbers are taken as they are: no gamma, no colour profile. 16 bits become 8 by the high byte; grey from
 * colour is (19595 R + 38470 G + 7471 B + 32768) >> 16 (luma of Rec. 601), colour from grey is three times grey; CMYK
 * of inks c, k in 0..255 is ((255 - c) (255 - k) + 127) / 255; transparency is left out or laid on white or black. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <jerror.h>
#include <png.h>

#include "data/files.h"
#include "data/import_parts.h"

/* Deflate packs at most 1032:1. A block of 64 coefficients takes at least two bits in JPEG, or one and a share of a
 * longer run in a progressive scan; chroma at quarter size adds half as much again; arithmetic coding has
 * no such least. Each scan goes over all blocks. */
enum { MAX_SIDE = 32768, MAX_PIXELS = 1 << 27, PNG_PACKING = 1100, JPEG_PIXELS = 1024,
       ARITHMETIC_PIXELS = 1 << 16, SLACK = 1 << 16, MAX_SCANS = 500, MAX_FILE = 1 << 30 };

/* A picture's file. */
typedef struct { char *data; size_t n; } packed;

/* Before memory is taken: what the header tells is within bounds, and the file is long enough to hold it. most: of what
 * `claimed` counts, in one byte of the file. */
static rt_status check_size(const char *path, uint64_t bytes, uint64_t h, uint64_t w, uint64_t claimed, uint64_t most)
{
    if (!h || !w) return rt_fail(RT_INPUT, "%s: has no pixels", path);
    if (h > MAX_SIDE || w > MAX_SIDE || h * w > MAX_PIXELS)
        return rt_fail(RT_INPUT, "%s: %llux%llu is larger than %d pixels a side or %d in all", path,
                       (unsigned long long)h, (unsigned long long)w, MAX_SIDE, MAX_PIXELS);
    if (claimed > bytes * most + SLACK)
        return rt_fail(RT_INPUT,
                       "%s: its header tells %llux%llu pixels, more than its %llu bytes can hold; it is damaged "
                       "or truncated",
                       path, (unsigned long long)h, (unsigned long long)w, (unsigned long long)bytes);
    return RT_OK;
}

rt_status rt_picture_look(const char *path, rt_picture_kind *kind, const char **other)
{
    static const struct { const char *magic; size_t at, n; const char *name; } others[] = {
        {"GIF8", 0, 4, "GIF"}, {"BM", 0, 2, "BMP"}, {"WEBP", 8, 4, "WebP"}, {"II*\0", 0, 4, "TIFF"}, {"MM\0*", 0, 4,
            "TIFF"}, {"ftyp", 4, 4, "HEIC, AVIF or a film"},
        {"\0\0\0\fjP  ", 0, 8, "JPEG 2000"}, {"\xff\x0a", 0, 2, "JPEG XL"}, {"P5", 0, 2, "PNM"}, {"P6", 0, 2, "PNM"},
            {"DICM", 128, 4, "DICOM"}};
    unsigned char m[132] = {0};
    size_t n;
    int fd;
    *kind = RT_PICTURE_NONE;
    *other = NULL;
    RT_TRY(rt_open_input(&fd, path));
    rt_status st = rt_read_some(fd, m, sizeof m, path, &n);
    close(fd);
    RT_TRY(st);
    if (n >= 8 && !memcmp(m, "\211PNG\r\n\032\n", 8)) *kind = RT_PICTURE_PNG;
    else if (n >= 3 && !memcmp(m, "\377\330\377", 3)) *kind = RT_PICTURE_JPEG;
    for (size_t i = 0; i < sizeof others / sizeof *others && !*kind && !*other; i++)
        if (n >= others[i].at + others[i].n && !memcmp(m + others[i].at, others[i].magic, others[i].n))
            *other = others[i].name;
    return RT_OK;
}

/* ---- EXIF (2.32, 4.6.2): a TIFF header, then the first directory's entries ---- */

static unsigned of_two(const unsigned char *p, int big) { return big ? (unsigned)p[0] << 8 | p[1]
                                                         : (unsigned)p[1] << 8 | p[0]; }
static uint32_t of_four(const unsigned char *p, int big)
{
    return big ? (uint32_t)of_two(p, 1) << 16 | of_two(p + 2, 1) : (uint32_t)of_two(p + 2, 0) << 16 | of_two(p, 0);
}

int rt_exif_orientation(const unsigned char *p, size_t n)
{
    enum { ORIENTATION = 0x112, SHORT = 3 };
    if (n < 14 || (memcmp(p, "II*\0", 4) && memcmp(p, "MM\0*", 4))) return 1;
    int big = *p == 'M';
    uint32_t at = of_four(p + 4, big);
    if (at > n - 2) return 1;
    size_t entries = of_two(p + at, big);
    for (size_t i = 0; i < entries; i++) {
        size_t e = (size_t)at + 2 + 12 * i;
        if (e + 12 > n) return 1;
        if (of_two(p + e, big) != ORIENTATION || of_two(p + e + 2, big) != SHORT) continue;
        unsigned v = of_two(p + e + 8, big);
        return v >= 1 && v <= 8 ? (int)v : 1;
    }
    return 1;
}

void rt_picture_turn(rt_picture *p, int orientation)
{
    if (orientation < 2 || orientation > 8) return;
    int across = orientation >= 5, h = across ? p->w : p->h, w = across ? p->h : p->w;
    unsigned char *out = malloc((size_t)h * (size_t)w * (size_t)p->c);
    if (!out) rt_out_of_memory();
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int v = y, u = x;                               /* the stored pixel that is seen at (y, x) */
            switch (orientation) {
            case 2: u = w - 1 - x; break;
            case 3: v = h - 1 - y, u = w - 1 - x; break;
            case 4: v = h - 1 - y; break;
            case 5: v = x, u = y; break;
            case 6: v = w - 1 - x, u = y; break;
            case 7: v = w - 1 - x, u = h - 1 - y; break;
            default: v = x, u = h - 1 - y; break;
            }
            memcpy(out + ((size_t)y * (size_t)w + (size_t)x) * (size_t)p->c,
                   p->px + ((size_t)v * (size_t)p->w + (size_t)u) * (size_t)p->c, (size_t)p->c);
        }
    free(p->px);
    p->px = out;
    p->h = h;
    p->w = w;
    p->rotated = 1;
}

/* ---- pixels ---- */

static int over(int colour, int alpha, int ground) { return (colour * alpha + ground * (255 - alpha) + 127) / 255; }

/* n pixels of `from` channels (1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha) to p->c of them; to may be from. */
static void convert(rt_picture *p, unsigned char *to, const unsigned char *px, size_t n, int from, rt_alpha alpha)
{
    for (size_t i = 0; i < n; i++, px += from, to += p->c) {
        int v[3] = {px[0], from < 3 ? px[0] : px[1], from < 3 ? px[0] : px[2]};
        if (from % 2 == 0 && px[from - 1] != 255) {
            p->alpha = 1;
            if (alpha == RT_ALPHA_WHITE || alpha == RT_ALPHA_BLACK)
                for (int c = 0; c < 3; c++) v[c] = over(v[c], px[from - 1], alpha == RT_ALPHA_WHITE ? 255 : 0);
        }
        if (p->c == 1) to[0] = from < 3 ? (unsigned char)v[0]
            : (unsigned char)((19595 * v[0] + 38470 * v[1] + 7471 * v[2] + 32768) >> 16);
        else for (int c = 0; c < 3; c++) to[c] = (unsigned char)v[c];
    }
}

/* ---- PNG ---- */

typedef struct { jmp_buf back; char message[200]; } png_trap;

static void png_fail(png_structp png, png_const_charp message)
{
    png_trap *t = png_get_error_ptr(png);
    snprintf(t->message, sizeof t->message, "%s", message);
    longjmp(t->back, 1);
}
static void png_quiet(png_structp png, png_const_charp message) { (void)png; (void)message; }

typedef struct {
    png_structp png;
    png_infop info;
    const packed *file;
    size_t at;
    unsigned char *wide;
    png_trap trap;
} png_reader;

static void png_take(png_structp png, png_bytep to, size_t n)
{
    png_reader *r = png_get_io_ptr(png);
    if (n > r->file->n - r->at) png_error(png, "the file ends too early");
    memcpy(to, r->file->data + r->at, n);
    r->at += n;
}

/* Everything that may jump back is here, between no locals that live on. */
static rt_status png_pixels(png_reader *r, rt_picture *p, const char *path, rt_alpha alpha, int *orientation)
{
    if (setjmp(r->trap.back)) return rt_fail(RT_INPUT, "%s: damaged or truncated PNG data (%s)", path, r->trap.message);
    png_set_user_limits(r->png, MAX_SIDE, MAX_SIDE);
    png_set_read_fn(r->png, r, png_take);
    png_read_info(r->png, r->info);
    png_uint_32 w = png_get_image_width(r->png, r->info), h = png_get_image_height(r->png, r->info);
    RT_TRY(check_size(path, r->file->n, h, w, h * (uint64_t)png_get_rowbytes(r->png, r->info), PNG_PACKING));
    p->deep = png_get_bit_depth(r->png, r->info) == 16;
    png_set_expand(r->png);                              /* palette to RGB, fewer bits to 8, tRNS to alpha */
    png_set_strip_16(r->png);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    size_t from = png_get_channels(r->png, r->info), stride = png_get_rowbytes(r->png, r->info);
    if (from < 1 || from > 4 || stride != from * w) return rt_fail(RT_INPUT, "%s: an unknown kind of PNG", path);
    /* Interlaced rows come in passes, and all are held until the last; others one by one. */
    size_t held = passes > 1 ? h : 1, row = (size_t)w * (size_t)p->c;
    r->wide = calloc(held, stride);
    p->px = malloc(row * h);
    if (!r->wide || !p->px) return rt_fail(RT_RUN, "%s: no memory for %ux%u pixels", path, (unsigned)h, (unsigned)w);
    for (int pass = 0; pass < passes; pass++)
        for (png_uint_32 y = 0; y < h; y++) {
            unsigned char *px = r->wide + (y % held) * stride;
            png_read_row(r->png, px, NULL);
            if (pass == passes - 1) convert(p, p->px + y * row, px, w, (int)from, alpha);
        }
    png_read_end(r->png, r->info);
    p->h = (int)h;
    p->w = (int)w;
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif;
    png_uint_32 n;
    if (png_get_eXIf_1(r->png, r->info, &n, &exif)) *orientation = rt_exif_orientation(exif, n);
#endif
    return RT_OK;
}

static rt_status read_png(rt_picture *p, const packed *file, const char *path, rt_alpha alpha, int *orientation)
{
    png_reader *r = calloc(1, sizeof *r);
    if (!r) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    r->file = file;
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r->trap, png_fail, png_quiet);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info) st = rt_fail(RT_RUN, "out of memory");
    else st = png_pixels(r, p, path, alpha, orientation);
    if (st && strcasestr(r->trap.message, "memory")) st = rt_fail(RT_RUN, "%s: %s", path, r->trap.message);
    png_destroy_read_struct(r->png ? &r->png : NULL, r->info ? &r->info : NULL, NULL);
    free(r->wide);
    free(r);
    return st;
}

/* ---- JPEG ---- */

typedef struct { struct jpeg_error_mgr base; jmp_buf back; char message[JMSG_LENGTH_MAX]; } jpeg_trap;
typedef struct {
    struct jpeg_decompress_struct j;
    jpeg_trap trap;
    struct jpeg_progress_mgr watch;
    const packed *file;
    unsigned char *line;
} jpeg_reader;

static void jpeg_fail(j_common_ptr j)
{
    jpeg_trap *t = (jpeg_trap *)j->err;
    j->err->format_message(j, t->message);
    longjmp(t->back, 1);
}
static void jpeg_quiet(j_common_ptr j) { (void)j; }

/* A scan of a few bytes costs a walk over the whole picture. */
static void jpeg_watch(j_common_ptr j)
{
    jpeg_trap *t = (jpeg_trap *)j->err;
    if (((j_decompress_ptr)j)->input_scan_number <= MAX_SCANS) return;
    snprintf(t->message, sizeof t->message, "has more than %d scans", MAX_SCANS);
    longjmp(t->back, 1);
}

static rt_status jpeg_pixels(jpeg_reader *r, rt_picture *p, const char *path, int *orientation)
{
    struct jpeg_decompress_struct *j = &r->j;
    if (setjmp(r->trap.back)) return rt_fail(RT_INPUT, "%s: %s", path, r->trap.message);
    jpeg_create_decompress(j);
    jpeg_save_markers(j, JPEG_APP0 + 1, 65535);
    jpeg_mem_src(j, (unsigned char *)r->file->data, r->file->n);
    jpeg_read_header(j, TRUE);
    RT_TRY(check_size(path, r->file->n, j->image_height, j->image_width, (uint64_t)j->image_height * j->image_width,
                      j->arith_code ? ARITHMETIC_PIXELS : JPEG_PIXELS));
    r->watch.progress_monitor = jpeg_watch;
    j->progress = &r->watch;
    for (jpeg_saved_marker_ptr m = j->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && !memcmp(m->data, "Exif\0", 6)) {
            *orientation = rt_exif_orientation(m->data + 6, m->data_length - 6);
            break;
        }
    p->cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    j->out_color_space = p->cmyk ? JCS_CMYK : j->jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(j);
    p->h = (int)j->output_height;
    p->w = (int)j->output_width;
    p->px = malloc((size_t)p->h * (size_t)p->w * (size_t)p->c);
    r->line = malloc((size_t)p->w * 4);
    if (!p->px || !r->line) return rt_fail(RT_RUN, "%s: out of memory", path);
    while (j->output_scanline < j->output_height) {
        unsigned char *to = p->px + (size_t)j->output_scanline * (size_t)p->w * (size_t)p->c;
        JSAMPROW row = r->line;
        jpeg_read_scanlines(j, &row, 1);
        int from = (int)j->output_components;
        for (int i = 0; i < p->w && p->cmyk; i++) {            /* Adobe writes 255 - ink */
            unsigned char *q = r->line + 4 * i, *rgb = r->line + 3 * i;
            int paper = j->saw_Adobe_marker ? 0 : 255, k = paper ^ q[3];
            for (int c = 0; c < 3; c++) rgb[c] = (unsigned char)(((paper ^ q[c]) * k + 127) / 255);
        }
        convert(p, to, r->line, (size_t)p->w, p->cmyk ? 3 : from, RT_ALPHA_DROP);
    }
    if (r->trap.base.num_warnings) return rt_fail(RT_INPUT, "%s: damaged or truncated JPEG data", path);
    jpeg_finish_decompress(j);
    return RT_OK;
}

static rt_status read_jpeg(rt_picture *p, const packed *file, const char *path, int *orientation)
{
    jpeg_reader *r = calloc(1, sizeof *r);
    if (!r) return rt_fail(RT_RUN, "out of memory");
    r->j.err = jpeg_std_error(&r->trap.base);
    r->trap.base.error_exit = jpeg_fail;
    r->trap.base.output_message = jpeg_quiet;
    r->file = file;
    rt_status st = jpeg_pixels(r, p, path, orientation);
    if (st && r->trap.base.msg_code == JERR_OUT_OF_MEMORY) st = rt_fail(RT_RUN, "%s: %s", path, r->trap.message);
    jpeg_destroy_decompress(&r->j);
    free(r->line);
    free(r);
    return st;
}

rt_status rt_picture_read(rt_picture *p, const char *path, rt_picture_kind kind, int channels, rt_alpha alpha)
{
    int orientation = 1;
    *p = (rt_picture){.c = channels};
    packed file;
    RT_TRY(rt_read_file(&file.data, &file.n, path, MAX_FILE));
    rt_status st = kind == RT_PICTURE_PNG ? read_png(p, &file, path, alpha, &orientation)
                                          : read_jpeg(p, &file, path, &orientation);
    free(file.data);
    if (!st) rt_picture_turn(p, orientation);
    else {
        free(p->px);
        p->px = NULL;
    }
    return st;
}

void rt_picture_resize(unsigned char *out, int oh, int ow, const rt_picture *p)
{
    for (int y = 0; y < oh; y++)
        for (int x = 0; x < ow; x++)
            for (int c = 0; c < p->c; c++) {
                double y0 = (double)y * p->h / oh, y1 = (double)(y + 1) * p->h / oh, x0 = (double)x * p->w / ow,
                    x1 = (double)(x + 1) * p->w / ow, s = 0;
                for (int v = (int)y0; v < p->h && v < y1; v++)
                    for (int u = (int)x0; u < p->w && u < x1; u++) {
                        double ay = (v + 1 < y1 ? v + 1 : y1) - (v > y0 ? v : y0), ax = (u + 1 < x1 ? u + 1
                            : x1) - (u > x0 ? u : x0);
                        s += ay * ax * p->px[((size_t)v * (size_t)p->w + (size_t)u) * (size_t)p->c + (size_t)c];
                    }
                out[((size_t)y * (size_t)ow + (size_t)x) * (size_t)p->c + (size_t)c] =
                    (unsigned char)(s / ((y1 - y0) * (x1 - x0)) + 0.5);
            }
}
