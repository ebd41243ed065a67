/* student/onnx/onnx_import.h - an ONNX file as a native model: what stands for its inputs, what its outputs mean. */
#ifndef RT_STUDENT_ONNX_ONNX_IMPORT_H
#define RT_STUDENT_ONNX_ONNX_IMPORT_H

#include "student/model.h"
#include "student/onnx/onnx_file.h"

/* How the elements of a row's image stand in the data. */
typedef enum { RT_LAYOUT_AUTO, RT_LAYOUT_HWC, RT_LAYOUT_CHW } rt_layout;
typedef enum { RT_GIVES_AUTO, RT_GIVES_LOGITS, RT_GIVES_PROBABILITIES, RT_GIVES_VALUES } rt_gives;

/* What is told of an import, by flags or as JSON:
 *   {"inputs": {"NAME": {"set": "x", "shape": [3, 224, 224], "layout": "chw", "mean": [...], "std": [...]},
 *    "mask": "ids != 0", "types": 0}, "output": "NAME", "gives": "logits", "classes": ["cat", ...], "data_root":
 * "FOLDER", "seconds": 60} shape: of a row, as the file has it, where the file leaves it open. Borrowed. NULL or {}:
 * nothing is told, and all is chosen; notes (a list) gets a line about each choice. */
rt_status rt_onnx_import(rt_model **, const rt_onnx_file *, const cJSON *binding, cJSON *notes);
#endif
