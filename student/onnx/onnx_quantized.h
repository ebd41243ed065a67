/* student/onnx/onnx_quantized.h - an import that may give a quantized model: what the importer knows, brought to
 * student/onnx/onnx_integer.h; and what an export of our own says of the program that it is. */
#ifndef RT_STUDENT_ONNX_ONNX_QUANTIZED_H
#define RT_STUDENT_ONNX_ONNX_QUANTIZED_H

#include "student/onnx/onnx_lower.h"

/* The value of a key of the file's metadata, NULL: it has none. */
const char *rt_onnx_meta_of(const rt_onnx_file *, const char *key);
/* Whether a file is an integer program that export/onnx_qdq.c wrote. */
int rt_onnx_is_own_program(const rt_onnx_file *);

typedef struct {
    const rt_onnx_file *file;
    const rt_onnx_row *row;
    const rt_onnx_bound *bound;        /* (graph inputs) */
    const rt_lower_input *in;
    const int *output; int outputs;    /* values that answer */
    const char *const *head;           /* (outputs) names, and tasks */
    const rt_task *task;
    int own;                           /* the outputs are the heads that the file tells of itself */
} rt_onnx_quantized_spec;

/* *out stays NULL where the graph is not quantized, or, with the reason in the notes (a list, or NULL), is no program
 * by the integer contract. */
rt_status rt_onnx_quantized(rt_model **out, const rt_onnx_quantized_spec *, cJSON *notes);
/* The model of an own program, whose provenance is written: it stands for the model that the program was made of where
 * its program is the same to the byte, and gets its columns. A note says which. */
rt_status rt_onnx_keep_program(rt_model *, const rt_onnx_file *, cJSON *notes);
#endif
