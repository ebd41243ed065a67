/* export/exporter.h - to formats of others: safetensors and NPZ for weights, CSV and NPY for labels and predictions.
 * Each fills and commits an output (data/output.h) that may be replaced. */
#ifndef RT_EXPORT_EXPORTER_H
#define RT_EXPORT_EXPORTER_H

#include "data/labels.h"
#include "teacher/teacher.h"
#include "data/output.h"
#include "engine/pool.h"
#include "engine/progress.h"
#include "engine/text.h"
#include "student/model.h"
#include "student/program.h"

/* safetensors (huggingface/safetensors, format): names as in the model file; conv weights stay (KH, KW, C, N), dense
 * (K, N); metadata holds the architecture, the normalisation, the names of classes and columns (JSON) and the
 * digest. */
rt_status rt_export_safetensors(const rt_model *, rt_output *);
/* An uncompressed ZIP of NPY files, as numpy.savez writes; the arrays of strings class_names and columns, where
 * there are names. */
rt_status rt_export_npz(const rt_model *, rt_output *);

/* npy: f32 (rows, W) answers (data/heads.h). csv: row, prediction (the number of the best class), name (its name, where
 * classes have names), then a column of probability for each class, named p:CLASS, or p0, p1, ...; of several heads, or
 * of others, each head's columns with HEAD: before their names: of labels a probability each, of values the values.
 * Names that a spreadsheet would run as a formula get an apostrophe before them. Rows that a store has no label for are
 * NaN in npy, left out of csv. */
rt_status rt_export_labels(rt_labels *, rt_output *, int csv);
/* The teacher, which computes, is bound to x; heads and classes are its own. */
rt_status rt_export_predictions(rt_teacher *, rt_source *x, uint64_t first, uint64_t end,
                                rt_output *, int csv, rt_pool *, const rt_progress *);

/* An integer program as C99 (<stdint.h> and <string.h> alone): NAME.h, NAME.c and NAME_data.c. The answer is that of
 * rt_program_infer to the bit, whatever the compiler, its optimisation and the processor: int has 32 bits at least, and
 * numbers are rounded to nearest. NAME_selftest compares the bytes of every layer with those of the row (a row of input
 * as of rt_program_infer; NULL: one that is made up). Equal programs, rows and versions of retort give equal files.
 * RT_USAGE when the name is no C identifier, RT_INPUT when the row is not finite. The texts are for rt_c_files_free,
 * also after an error. */
typedef struct { rt_string header, code, data; } rt_c_files;
rt_status rt_export_c(const rt_program *, const char *name, const void *row, rt_c_files *);
void rt_c_files_free(rt_c_files *);
#endif
