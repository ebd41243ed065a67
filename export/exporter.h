/* export/exporter.h - to formats of others: safetensors and NPZ for weights, CSV and NPY for labels and predictions.
 * Each fills and commits an output (data/output.h) that may be replaced. */
#ifndef RT_EXPORT_EXPORTER_H
#define RT_EXPORT_EXPORTER_H

#include "data/labels.h"
#include "data/output.h"
#include "engine/text.h"
#include "student/model.h"
#include "student/program.h"

/* safetensors (huggingface/safetensors, format): names as in the model file; conv weights stay (KH, KW, C, N), dense
 * (K, N); metadata holds the architecture, the normalisation, the names of classes and columns (JSON) and the
 * digest. */
rt_status rt_export_safetensors(const rt_model *, rt_output *);
/* The arrays of an integer program: tensor.shape (T, 3), tensor.scale, tensor.zero (T), table (tables, 256), and of
 * each call of sums callK.weight s8 (KH, KW, C / groups, N), whatever its bits, callK.step and callK.bias (N).
 * Metadata, as JSON: "calls" (op, in, out or head, kernel, stride, padding, groups, bits, act, table, at), "about"
 * (what the program file says: heads, normalization, columns, provenance), "contract"; "program": the digest of its
 * file. */
rt_status rt_export_program_safetensors(const rt_program *, rt_output *);
/* An uncompressed ZIP of NPY files, as numpy.savez writes; the arrays of strings class_names and columns, where
 * there are names. */
rt_status rt_export_npz(const rt_model *, rt_output *);

/* npy: f32 (rows, W) answers (data/heads.h). csv: row, prediction (the number of the best class), name (its name, where
 * classes have names), then a column of probability for each class, named p:CLASS, or p0, p1, ...; of several heads, or
 * of others, each head's columns with HEAD: before their names: of labels a probability each, of values the values.
 * Names that a spreadsheet would run as a formula get an apostrophe before them. Rows that a store has no label for,
 * and those that are not chosen, are NaN in npy, left out of csv. Behind that csv has what a store keeps in columns
 * (hard, confidence, margin, entropy, of several heads HEAD:hard, ...) and the row's status as a word. Of a store of
 * hard labels csv has no probabilities. */
typedef struct {
    const char *path;                  /* the store's, for messages */
    const rt_rows *chosen;             /* NULL: all are */
    int csv;                           /* else npy */
    int view;                          /* of each row; RT_LABEL_NO_VIEW: of the row as it is */
    int all;                           /* csv: rows without a label, too, with their status alone */
    const char *column;                /* npy: of this column in place of the answers, (rows): "status" u8, "hard" i32,
        -1 where there is no label, "confidence", ... f32, NaN there, "HEAD/hard" of several heads; or
        "features/NAME", (rows, width); NULL */
} rt_label_export;
/* RT_USAGE when the store has no such column or view, or, for npy without one, no logits. */
rt_status rt_export_labels(rt_labels *, const rt_label_export *, rt_output *);

/* A column of a text behind the answers: puts the cell of row r, as it stands in CSV. */
typedef struct {
    char *title;
    void (*put)(const void *of, uint64_t r, rt_string *cell);
    const void *of;
} rt_export_column;
/* The same of answers at hand: z[h] (rows, size) of head h, row (rows) their numbers; columns are left out of npy.
 * RT_NOTHING when there are no rows. */
rt_status rt_export_predictions(const rt_head *, int heads, const float *const *z, const uint64_t *row, uint64_t rows,
                                const rt_export_column *, int columns, rt_output *, int csv);

/* An integer program as C99 (<stdint.h> and <string.h> alone): NAME.h, NAME.c and NAME_data.c. The answer is that of
 * rt_program_infer to the bit, whatever the compiler, its optimisation and the processor: int has 32 bits at least, and
 * numbers are rounded to nearest. NAME_selftest compares the bytes of every layer with those of the row (a row of input
 * as of rt_program_infer; NULL: one that is made up). Equal programs, rows and versions of retort give equal files.
 * A compiler stops where one of the three is of another export.
 * RT_USAGE when the name is no C identifier, RT_INPUT when the row is not finite. The texts are for rt_c_files_free,
 * also after an error. */
typedef struct { rt_string header, code, data; } rt_c_files;
rt_status rt_export_c(const rt_program *, const char *name, const void *row, rt_c_files *);
void rt_c_files_free(rt_c_files *);

/* An integer program as ONNX: weights int8 and biases int32 with their scales per output channel, activations uint8,
 * floats between QuantizeLinear and DequantizeLinear. The input is (batch, C, H, W), (batch, C, T) or (batch, D): bytes
 * as they are in the data (u8), or floats as they are in the data, which are normalised inside, or rounded to bytes.
 * Each head is an output (batch, size) of its name. metadata_props: heads, class_names (class_names.HEAD of several),
 * columns, normalization, contract, digests, provenance, integer (bits of weights, scales and zero points of tensors:
 * what operators do not tell an import). ONNX Runtime's integer kernels answer the same to the bit; where it has none
 * (INT4, a Clip that the range does not imply) it computes in float. *bytes are for the caller to free. RT_USAGE for an
 * opset other than 17 or 21, packed weights before 21, or bytes into a program that takes floats. */
typedef struct {
    int opset;
    enum {
        RT_ONNX_INPUT_AUTO,
        RT_ONNX_INPUT_U8,
        RT_ONNX_INPUT_F32
    } input; /* AUTO: bytes where the program takes them */
    int packed;                      /* weights of 4 bits and less as INT4, two to a byte; else int8 */
} rt_onnx_spec;
/* *packed: how many layers have such weights. */
rt_status rt_export_onnx(const rt_program *, const rt_onnx_spec *, uint8_t **bytes, size_t *n, int *packed);

/* A float model as ONNX: weights as float initializers (shared ones once), each layer as the operators that the opset
 * has for it; dropout is gone. Each input is (batch, ...) of its name, numbers as they are in the data, which are
 * normalised inside; each head an output (batch, size) of its name (an input that has the name of a head gets a number
 * behind it). Convolutions and pools stand with channels first, between Transposes where rows come with channels last.
 * metadata_props: retort (the tool), model (digest), heads, class_names (class_names.HEAD of several), columns,
 * normalization (columns.INPUT, normalization.INPUT of several), inputs (JSON: name, shape of a row, type, layout,
 * normalized: "inside", "before" or "not"), batch_norm, provenance. Equal models and settings give equal files. *bytes
 * are for the caller to free. RT_USAGE for a quantized model, an opset out of range, bytes that would have to be
 * normalised before, and, by layer, what has no export, as nodes of an imported graph that are computed row by row have
 * none unless `single` is set. */
typedef struct {
    int opset;                       /* 13 to 28 */
    int u8;                          /* inputs of numbers are bytes */
    int nchw;                        /* rows of several dimensions come with channels first; else as retort has them */
    int fold;                        /* batch norms go into the weights before them; else they stay */
    int raw;                         /* inputs are normalised already, and the graph does not */
    int ids32;                       /* ids are int32; else int64 */
    int single;                      /* a row at a time; else any number */
} rt_onnx_float_spec;
rt_status rt_export_onnx_float(const rt_model *, const rt_onnx_float_spec *, uint8_t **bytes, size_t *n);
#endif
