/* student/program.h - the integer program of a model: what is deployed. Built from a quantized model; one packed file;
 * run on memory of the caller.
 *
 *     rt_program *p;
 *     if (rt_program_load(&p, "net.q")) ...rt_error_message()
 *     void *context = aligned_alloc(64, rt_program_bytes(p));      // one per thread
 *     rt_program_start(p, context);
 *     rt_program_infer(p, context, answer, rows, n);               // (n, rt_program_width(p)) from (n, H, W, C)
 *
 * File, little-endian: "retort-q", version u32, contract u32, bytes u64, digest (XXH3, 128 bits, of the whole file with
 * zeros in its place), length u64 and JSON text: heads with their names, normalisation and columns of the input,
 * provenance; then the net as rt_program_write has it. Weights of 4 bits and less lie two to a byte. */
#ifndef RT_STUDENT_PROGRAM_H
#define RT_STUDENT_PROGRAM_H

#include "engine/int/net.h"
#include "student/quantizers.h"

/* Weights of a node as they enter the program, for who chooses steps: those of the model, or, of layers that read bytes
 * whose deviation differs by channel, times deviation. (count of the field) for the caller to free; NULL when memory is
 * out. The scale and zero point of such an input in *input. */
float *rt_program_weights(const rt_model *, int node, int bytes, rt_quant *input);
/* Whether the model's input can be bytes: its means lie in [0, 255], and only layers with weights of their own read it.
 * There is one zero point, the rounded mean of means, so where such a layer pads, padding differs from 0 by *apart at
 * most, in steps of the input; the remainder of means that differ enters biases, and is exact elsewhere. */
int rt_program_takes_bytes(const rt_model *, double *apart);
/* Which tensors of the model's graph the program needs a range of, (tensors) bytes of the caller's; bytes: as of
 * rt_quantizers. RT_USAGE with the layer that has no integer form, or when the input cannot be bytes. */
rt_status rt_program_needs(const rt_model *, int bytes, char *range);

typedef struct rt_program rt_program;

/* Of a quantized model. Its text names the model, by digest and provenance; of a model that is an export of a program
 * brought back, unchanged since, those of the model that the program was made of, as provenance.onnx.stands_for ({"as":
 * the model's own digest, "model", "provenance"}) has them: so the program is the same file. RT_USAGE with the layer
 * and the reason: an operator without integer form, a tensor that was never calibrated, sums that may overflow. */
rt_status rt_program_of(rt_program **, const rt_model *);
rt_status rt_program_load(rt_program **, const char *path);
/* The same from memory; `of` names it in messages. RT_INPUT when it was cut or changed anywhere, or is of another
 * version or contract. */
rt_status rt_program_read(rt_program **, const void *bytes, size_t n, const char *of);
/* The bytes of a file, for the caller to free. Equal programs, equal bytes. */
rt_status rt_program_write(const rt_program *, uint8_t **bytes, size_t *n);
rt_status rt_program_save(const rt_program *, const char *path);
size_t rt_program_size(const rt_program *);                /* of the file; 0 when memory is out */
void rt_program_free(rt_program *);

/* Threads may share a program; a context belongs to one of them at a time. */
/* Of a context, aligned to 64: at most 256 MiB and 16 bytes a weight, or there is no program. */
size_t rt_program_bytes(const rt_program *);
void rt_program_start(const rt_program *, void *context);
/* y (n, width): all heads, side by side. rows: (n, H, W, C), bytes or normalised floats. No allocation, lock or system
 * call. */
void rt_program_infer(const rt_program *, void *context, float *y, const void *rows, int n);
int rt_program_takes(const rt_program *);                  /* 1: bytes, 0: floats */
int rt_program_width(const rt_program *);
const rt_head *rt_program_heads(const rt_program *, int *count);
const rt_net *rt_program_net(const rt_program *);
/* The file's text: heads, normalisation, columns, digest of the model, provenance. */
const cJSON *rt_program_about(const rt_program *);
const rt_linked *rt_program_linked(const rt_program *);
/* The tensor of the net that has the values of this one of the model's graph; -1: none, or the program was loaded. */
int rt_program_tensor(const rt_program *, int tensor);
/* The node of the model's graph that a call of the net computes; -1: the program was loaded. */
int rt_program_node(const rt_program *, int call);
/* The same net, whose numbers are to be filled anew (rt_net_fill); what the program itself answers stays as it was. */
rt_net *rt_program_numbers(rt_program *);
/* What the numbers of the net are made of, by fields of the model's graph; NULL: the program was loaded. */
const rt_net_source *rt_program_sources(const rt_program *, int *count);
/* Bytes of a call's weights, steps and biases in a file. */
size_t rt_program_weight_bytes(const rt_program *, int call);
#endif
