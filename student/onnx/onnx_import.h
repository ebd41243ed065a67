/* student/onnx/onnx_import.h - an ONNX file as a native model: what stands for its inputs, what its outputs mean. */
#ifndef RT_STUDENT_ONNX_ONNX_IMPORT_H
#define RT_STUDENT_ONNX_ONNX_IMPORT_H

#include "student/model.h"
#include "student/onnx/onnx_file.h"

/* How the elements of a row's image stand in the data. */
typedef enum { RT_LAYOUT_AUTO, RT_LAYOUT_HWC, RT_LAYOUT_CHW } rt_layout;
/* EMBEDDING: numbers that place a row, VALUES: numbers that are the answer; both make a head of numbers. */
typedef enum { RT_GIVES_AUTO, RT_GIVES_LOGITS, RT_GIVES_PROBABILITIES, RT_GIVES_VALUES, RT_GIVES_EMBEDDING } rt_gives;

/* "(3, height, width)": a row of an input, as the file declares it; and the first of its dimensions that it leaves
 * open, 0: all of them, -1: none. */
const char *rt_onnx_shape_text(const rt_onnx_value *, char text[160]);
int rt_onnx_open_dimension(const rt_onnx_value *);

/* What is told of an import, by flags or as JSON:
 *   {"inputs": {"NAME": {"set": "x", "shape": [3, 224, 224], "layout": "chw", "resize": 256, "crop": [224, 224],
 *                        "scale": x, "mean": [...], "std": [...]}, "mask": "ids != 0", "types": 0},
 *    "output": "NAME", "task": "classes", "gives": "logits", "classes": ["cat", ...],
 *    "outputs": {"NAME": {"head", "task", "gives", "classes"}, ...},           in place of these four
 *    "features": ["VALUE", ...] or {"NAME": "VALUE"}, "shorter": true, "data_root": "FOLDER",
 *    "seconds": 60}
 * shape: of a row, as the file has it, where the file leaves it open; without it the rows of x tell it (NULL: there are
 * none). Outputs, and values inside of the graph, are heads by these names; without "outputs" the one that is told or
 * found is the head "y". Probabilities become log max(p, 1e-30), of labels less log max(1 - p, 1e-30), so that all
 * heads of classes and labels are logits. A feature is a layer of that name beside them. Borrowed. NULL or {}: nothing
 * is told, and all is chosen. shorter: student/lengths.h, where the file leaves the length of its ids open; notes (a
 * list) gets a line about each choice. */
rt_status rt_onnx_import(rt_model **, const rt_onnx_file *, const cJSON *binding, const rt_x_where *x, cJSON *notes);
#endif
