/* data/import.h - other formats to the HDF5 layout that everything else reads:
 *   x (N, ...) numbers as they were, y (N) i32 classes (when there are labels), manifest text (JSON: provenance, class
 *   names, hashes of the inputs). Written under a temporary name and renamed when complete. */
#ifndef RT_DATA_IMPORT_H
#define RT_DATA_IMPORT_H

#include "data/dtype.h"
#include "data/json.h"

/* What an importer fills; the arrays are malloced. */
typedef struct {
    rt_dtype type;
    int rank;                     /* of x, with rows */
    uint64_t dim[8];
    void *x;
    int32_t *y;                   /* NULL: no labels */
    char **class_name;            /* NULL: classes are numbers */
    int classes;                  /* number of names */
} rt_table;

void rt_table_free(rt_table *);
/* x of a (rows, ...) as in rt_table; on failure the message names file, line or offset. */
rt_status rt_import_idx(rt_table *, const char *images, const char *labels);            /* plain or gzip; labels may be NULL */
rt_status rt_import_npy(rt_table *, const char *x, const char *y);
/* label: column name or number (from 0, -1 the last), NULL none. Other columns must be numbers. */
rt_status rt_import_csv(rt_table *, const char *path, const char *label, char separator);
/* One folder a class, with PNG and JPEG files; all images of one size, or resized (box filter) to height x width when given. */
rt_status rt_import_images(rt_table *, const char *folder, int height, int width, int channels);

/* Writes the table; input files are hashed into the manifest. */
rt_status rt_import_write(const rt_table *, const char *out, const char *format, const char *const *inputs, int n_inputs);

/* A whole file, gunzipped if it starts with the gzip magic, at most max bytes. The caller frees. */
rt_status rt_read_maybe_gzip(char **data, size_t *size, const char *path, size_t max);
#endif
