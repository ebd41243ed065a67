/* export/out_file.h - files that are written piece by piece and then committed. */
#ifndef RT_EXPORT_OUT_FILE_H
#define RT_EXPORT_OUT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "data/json.h"
#include "data/npy.h"
#include "data/output.h"

typedef struct {
    rt_output *out;               /* borrowed */
    int fd;
    uint64_t at;                  /* bytes put so far */
    rt_hasher *hash;              /* of them */
    rt_status status;             /* of the first failure; later calls do nothing */
} rt_out_file;

/* A file that has no name yet. */
rt_out_file rt_out_open(rt_output *);
void rt_out_put(rt_out_file *, const void *data, size_t n);
/* Gives the file its mark and its name when st and the file's own status are RT_OK; returns the first failure. */
rt_status rt_out_close(rt_out_file *, rt_status st);

/* Arrays as safetensors has them (huggingface/safetensors, format): type F32, I32, I8 or U8. */
typedef struct { const char *name, *type; const int *dim; int rank; const void *data; size_t bytes; } rt_safe_array;
/* Fills and commits the output. meta: of texts; it is freed. */
rt_status rt_write_safetensors(rt_output *, cJSON *meta, const rt_safe_array *, int count);
#endif
