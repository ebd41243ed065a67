/* data/import_parts.h - what the importers share: byte streams, text, labels, the file being written. Only
 * data/import_*.c, their tests, and data/label_append.c, which reads CSV, include it. */
#ifndef RT_DATA_IMPORT_PARTS_H
#define RT_DATA_IMPORT_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/types.h"
#include "data/checks.h"
#include "data/import.h"
#include "data/names.h"

typedef struct rt_import_job {
    const rt_import_spec *spec;
    const char *out;                       /* its path */
    rt_output *output;
    rt_stamp input, labels;                /* of the inputs, when the import began */
    cJSON *report;
    rt_names known;                        /* classes that are given: of --classes or --like */
    rt_names columns_like;                 /* columns of --like */
    char *label_like;                      /* its label column, or NULL */
    int size_like[3];                      /* height, width, channels of its pictures, or 0 */
    uint64_t dim_like[2 * RT_H5_RANK];     /* of its rows */
    int rank_like;                         /* 0: it does not say */
    /* what an importer finds */
    char **class_name;                     /* NULL: no labels */
    int classes;
    cJSON *columns;                        /* list of names, or NULL */
    int32_t *y;                            /* a label a row, or NULL */
    struct {
        float *value;
        uint64_t at, check_at;
    } target[RT_IMPORT_TARGETS]; /* (rows, columns); places in the file */
    uint64_t *dropped;                     /* a bit a row of the input that is left out, or NULL */
    /* the file that is being written */
    rt_dtype type;
    int rank, fd;
    uint64_t dim[RT_H5_RANK], start, at, end, next_say;
    double since;
    char *buffer;
    size_t held;
    rt_check_sum check;                    /* of x */
    uint64_t check_at;                     /* where its checksums go */
    uint64_t odd;                          /* values that are no finite numbers */
} rt_import_job;

/* A sentence about what was assumed or left out, for the user. */
void rt_import_note(rt_import_job *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* count of something that was not imported; nothing when count is 0. */
void rt_import_skipped(rt_import_job *, const char *what, uint64_t count, const char *why);
/* RT_INTERRUPTED when the user asked to stop. */
rt_status rt_import_stopped(const rt_import_job *);

/* ---- the file: begin with type and shape (dim[0] rows), then all bytes of x in order, then end ---- */
rt_status rt_import_begin(rt_import_job *, rt_dtype, int rank, const uint64_t *dim);
rt_status rt_import_put(rt_import_job *, const void *data, size_t bytes);
rt_status rt_import_end(rt_import_job *);

/* ---- bytes: a regular file, gunzipped where it is gzip, or a member of a ZIP archive ---- */
typedef struct rt_bytes rt_bytes;
typedef struct { char *name; uint64_t header, packed, size; uint32_t crc; int method; } rt_zip_member;
typedef struct { char *path; rt_zip_member *member; int members; } rt_zip;

rt_status rt_bytes_open(rt_bytes **, const char *path);
rt_status rt_bytes_open_member(rt_bytes **, const rt_zip *, int member);
/* *got < n only at the end. RT_INPUT for damaged data. */
rt_status rt_bytes_read(rt_bytes *, void *to, size_t n, size_t *got);
/* No more than this many bytes can come out of it. */
uint64_t rt_bytes_most(const rt_bytes *);
void rt_bytes_close(rt_bytes *);
rt_status rt_zip_open(rt_zip *, const char *path);
void rt_zip_close(rt_zip *);

/* ---- text: valid UTF-8 without NUL, whatever the file's encoding, in pieces of lines ---- */
typedef struct rt_text rt_text;
rt_status rt_text_open(rt_text **, const char *path, const char *encoding);
/* The next piece: at most one line with its end, of at most 64 KiB; n 0 at the end. Valid until the next call. */
rt_status rt_text_next(rt_text *, const char **piece, size_t *n, uint64_t *line);
const char *rt_text_encoding(const rt_text *);
void rt_text_close(rt_text *);

/* ---- CSV records ---- */
typedef struct rt_csv rt_csv;
typedef struct {
    int cells;
    uint64_t line;                         /* where it starts, from 1 */
    const char *text;
    const size_t *at;                      /* cell i is text + at[i] */
} rt_record;
static inline const char *rt_cell(const rt_record *r, int i) { return r->text + r->at[i]; }

typedef struct {
    char separator, decimal;
    int skip;                              /* lines before the first record */
    rt_header header;                      /* yes or no */
    int short_header, trailing;            /* the header lacks the index's name; the last column is nothing */
    char why[200];                         /* about the header */
} rt_csv_form;

rt_status rt_csv_open(rt_csv **, const char *path, const char *encoding, char separator, int skip);
/* cells 0 at the end of the file. The record is valid until the next call. */
rt_status rt_csv_next(rt_csv *, rt_record *);
uint64_t rt_csv_blank_lines(const rt_csv *);
int rt_csv_hash(const rt_csv *);           /* line 1 started with "# ", which is left out */
const char *rt_csv_encoding(const rt_csv *);
void rt_csv_close(rt_csv *);
/* Finds what the settings leave open; RT_USAGE when it cannot be told whether line 1 is a header. */
rt_status rt_csv_find_form(rt_import_job *, const char *path, rt_csv_form *);
/* A separator that would fit better than this one, or 0. */
char rt_csv_better_separator(const char *path, const char *encoding, char than);
const char *rt_separator_name(char separator);

/* ---- numbers as people write them ---- */
typedef enum { RT_CELL_NUMBER, RT_CELL_MISSING, RT_CELL_TEXT } rt_cell_kind;
typedef struct {
    double v;
    int64_t i;                             /* when whole */
    char whole;                            /* the text is a whole number that i holds */
    char f32, f64;                         /* the type holds what is written, as well as decimals are ever held */
} rt_number;
rt_cell_kind rt_cell_read(const char *text, char decimal, rt_number *);
/* Whether the text would be a number with the other decimal sign. */
int rt_cell_other_decimal(const char *text, char decimal);

/* ---- labels ---- */
typedef struct {
    char **text;
    uint64_t *rows;
    int count, room;
    int *slot, slots;
    int *small;                            /* codes of small whole numbers, -1 unknown */
} rt_label_set;

enum { RT_LABELS_OF_FOLDERS = 1 };

/* The code of a label, which is counted; below 0, minus a status with its message, when there is no memory for it or
 * when there are too many different ones. */
int rt_label_add(rt_label_set *, const char *text);
int rt_label_add_whole(rt_label_set *, int64_t);
void rt_label_set_free(rt_label_set *);
/* Sets job's classes, and replaces the codes in job->y (of rows rows) by classes. where: file and column. */
rt_status rt_label_resolve(rt_import_job *, const rt_label_set *, const char *where, uint64_t rows, int flags);
/* job->y from spec->labels for this many rows of the input. */
rt_status rt_import_labels(rt_import_job *, uint64_t rows);
/* "a, b, c, ... (120)" */
void rt_list_text(char *out, size_t room, const char *const *names, int count);

/* ---- arrays: IDX and NPY headers, and their data ---- */
typedef struct {
    const char *path;
    rt_bytes *in;
    char member[200];                      /* of an NPZ, else "" */
    rt_dtype type;
    int swap, fortran, boolean, text;      /* text: bytes of an element that is text; UTF-32 when wide */
    int wide, rank;
    uint64_t dim[RT_H5_RANK], bytes;
} rt_array;

rt_status rt_array_open(rt_array *, const char *path);                 /* IDX or NPY, by its first bytes */
rt_status rt_array_open_member(rt_array *, const rt_zip *, int member);
void rt_array_close(rt_array *);
rt_status rt_array_labels(rt_import_job *, rt_array *, uint64_t rows);
rt_status rt_array_data(rt_import_job *, rt_array *);                  /* begins, puts all rows */

/* ---- pictures ---- */
typedef struct {
    unsigned char *px;                     /* (h, w, c), malloced */
    int h, w, c;
    int alpha, rotated, cmyk, deep;        /* transparency was met, EXIF turned it, CMYK and 16 bits were converted */
} rt_picture;
typedef enum { RT_PICTURE_NONE, RT_PICTURE_PNG, RT_PICTURE_JPEG } rt_picture_kind;

/* By the file's first bytes; name of another known kind in *other, or NULL. */
rt_status rt_picture_look(const char *path, rt_picture_kind *, const char **other);
rt_status rt_picture_read(rt_picture *, const char *path, rt_picture_kind, int channels, rt_alpha);
/* Orientation (1 to 8) of an EXIF block that starts with its TIFF header; 1 when it has none. */
int rt_exif_orientation(const unsigned char *tiff, size_t n);
void rt_picture_turn(rt_picture *, int orientation);
/* out (h, w, c): each pixel is the mean of the area that it covers. */
void rt_picture_resize(unsigned char *out, int h, int w, const rt_picture *);

rt_status rt_import_csv(rt_import_job *);
rt_status rt_import_arrays(rt_import_job *);
rt_status rt_import_npz(rt_import_job *);
rt_status rt_import_images(rt_import_job *);
#endif
