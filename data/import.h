/* data/import.h - other formats to the HDF5 layout that everything else reads:
 *   x (N, ...) numbers as they were, y (N) i32 classes, -1 for a row without a label (when there are labels), manifest
 *   text (JSON: class names "classes", column names "columns", those of other sets "targets", and "imported": what was
 *   read and decided about it).
 * It appears when it is complete (data/output.h). What is assumed is said in the report; what cannot be told
 * is refused with the option that tells it. Memory: a row, a label a row and the decoder's buffers, whatever the size
 * of the data (arrays in Fortran order: the array; pictures: the largest one, of at most 2^27 pixels). */
#ifndef RT_DATA_IMPORT_H
#define RT_DATA_IMPORT_H

#include "data/json.h"
#include "data/output.h"
#include "engine/progress.h"

typedef enum { RT_FORMAT_AUTO, RT_FORMAT_IDX, RT_FORMAT_CSV, RT_FORMAT_NPY, RT_FORMAT_NPZ, RT_FORMAT_IMAGES } rt_format;
typedef enum { RT_HEADER_AUTO, RT_HEADER_YES, RT_HEADER_NO } rt_header;
typedef enum { RT_ALPHA_UNSAID, RT_ALPHA_DROP, RT_ALPHA_WHITE, RT_ALPHA_BLACK } rt_alpha;
typedef enum { RT_CHANNELS_UNSAID, RT_CHANNELS_FIRST, RT_CHANNELS_LAST } rt_channel_place;

enum { RT_IMPORT_LIST = 1024, RT_IMPORT_TARGETS = 8 };

/* Columns that become a data set of their own, (N, columns) f32, NaN where a cell is empty: a head's targets. */
typedef struct { const char *name, *column[RT_IMPORT_LIST]; int columns; } rt_import_target;

/* Zero or NULL everywhere is the default. All texts are borrowed. */
typedef struct {
    rt_format format;
    const char *input;
    const char *labels;                    /* a second file: IDX, NPY, or CSV with one label a row */
    /* labels */
    int missing_labels_refused;            /* else a row whose label is empty or NaN has none: y = -1 */
    const char *no_label;                  /* a label that stands for none, too */
    const char *classes[RT_IMPORT_LIST];   /* all classes, in order */
    int class_count;
    const char *like;                      /* a data file or model: its classes and columns */
    int max_classes;                       /* 0: 1000, and at least 3 rows a class where there are more than 100 */
    /* CSV */
    const char *label;                     /* column: a name, or a number from 0 (-1 the last) */
    char separator;                        /* 0: found; ' ': runs of blanks */
    char decimal;                          /* 0: '.' */
    rt_header header;
    const char *encoding;                  /* NULL: UTF-8, or by the byte order mark; else a name that iconv knows */
    int drop_missing;                      /* rows with a gap are left out, instead of refused */
    const char *drop[RT_IMPORT_LIST];      /* columns left out */
    int drops, keep_index;
    rt_import_target *target;              /* (targets) */
    int targets;
    /* images */
    int height, width, channels;           /* 0: that of the pictures, which must agree; channels 0: 3 */
    rt_alpha alpha;
    int skip_bad;
    /* NPY, NPZ */
    const char *x, *y;                     /* arrays of an NPZ */
    rt_channel_place place;
    const rt_progress *progress;           /* may be NULL; rt_ask_to_stop ends with RT_INTERRUPTED and leaves nothing */
} rt_import_spec;

/* Makes the file, under its lock from the start, and the report for the caller to delete (NULL after an error): rows,
 * row_shape, type, labels, classes (how many), class_names, class_rows, rows_without_label, notes, skipped, and what
 * the format has to say. RT_USAGE for a setting that does not apply to the format or that is missing; RT_INPUT with
 * file and place for bad data; RT_NOTHING when there are no rows. */
rt_status rt_import_run(const rt_import_spec *, const rt_target *out, cJSON **report);

/* By content, then by name; RT_USAGE when it cannot be told. */
rt_status rt_import_format(rt_format *, const char *path);
/* RT_USAGE when something is asked for that does not apply to the input's format; no data is read. */
rt_status rt_import_applies(const rt_import_spec *);
#endif
