/* student/onnx/onnx_binding.h - what the parts of an import share: what is told of a file, and what was chosen. */
#ifndef RT_STUDENT_ONNX_ONNX_BINDING_H
#define RT_STUDENT_ONNX_ONNX_BINDING_H

#include "student/onnx/onnx_import.h"
#include "student/onnx/onnx_lower.h"

/* What is told of an input beside what it is. */
typedef struct {
    rt_layout layout;
    cJSON *normalize;                  /* the object that has "mean", or NULL */
    rt_resizing resize;                /* of the data's image to that of the model */
} rt_onnx_told;

/* A head, and the value that answers it. */
typedef struct {
    int value;                         /* of the file's graph */
    const char *tensor;                /* its name there */
    char name[RT_HEAD_NAME + 1];
    rt_task task;
    int task_told;
    rt_gives gives;
    cJSON *classes;                    /* a list of names; NULL: none are told */
} rt_onnx_head;

typedef struct rt_onnx_importer {
    const rt_onnx_file *file;
    const rt_eval_graph *g;
    const rt_x_where *x;               /* the rows that it will be asked about, or NULL */
    rt_onnx_bound *bound;              /* (inputs) */
    rt_lower_input *in;
    rt_onnx_told *told;
    rt_onnx_head head[RT_MAX_HEADS];
    int heads;
    rt_lower_feature feature[RT_MAX_HEADS];
    int features;
    cJSON *notes;
    int program;                       /* it is an integer program that retort wrote */
    int whole;                         /* rows take the whole length, also where the file leaves it open */
    int own;                           /* the heads are those that it tells of itself */
    cJSON *own_heads, *own_inputs;     /* what a file that retort wrote tells of itself, or NULL */
} rt_onnx_importer;

void rt_onnx_note(const rt_onnx_importer *, const char *fmt, const char *a, const char *b);
/* What a file that retort wrote says of the thing of this name in one of its lists. */
const cJSON *rt_onnx_own(const cJSON *list, const char *name);

/* onnx_inputs.c: what stands for the inputs (told: "inputs" of the binding, or NULL), and their normalisation once the
 * model is there. */
rt_status rt_onnx_bind_inputs(rt_onnx_importer *, cJSON *told);
rt_status rt_onnx_normalize(const rt_onnx_importer *, rt_model *);
/* onnx_heads.c: which values answer, and as what; then, once there is a row, the values (heads) that are their logits;
 * then the names of classes, and what the model's provenance says. */
rt_status rt_onnx_bind_heads(rt_onnx_importer *, rt_cfg *);
rt_status rt_onnx_take_logits(rt_onnx_importer *, rt_onnx_row *, int *value);
rt_status rt_onnx_name_heads(const rt_onnx_importer *, rt_model *, const rt_onnx_row *, const int *value);
void rt_onnx_tell_heads(const rt_onnx_importer *, cJSON *provenance);
#endif
