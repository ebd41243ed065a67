/* tests/fuzz/fuzz.h - targets of the fuzzer: hostile bytes into each reader. One program holds all; RETORT_FUZZ_TARGET
 * names the one that runs (fuzz.sh). A reader may refuse an input with a message, or accept it and then have all of its
 * result readable; nothing else. */
#ifndef RT_TESTS_FUZZ_H
#define RT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/error.h"

typedef struct { const char *name; void (*run)(const uint8_t *data, size_t size); } fuzz_target;

extern const fuzz_target fuzz_of_files[], fuzz_of_texts[], fuzz_of_stores[], fuzz_of_plans[],
    fuzz_of_programs[], fuzz_of_onnx[]; /* a NULL name last */

/* A scratch folder, in memory where the system has such a place; "in" and "out" within it. */
extern char fuzz_folder[64], fuzz_in[96], fuzz_out[96];

static inline void fuzz_put(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(name, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

/* The plan that the reader of metadata makes of a file, as a seed: "fuzz_inputs record FILE PLAN". */
int fuzz_record_plan(const char *file, const char *to);
/* The integer program of a model, without its head, as a seed: "fuzz_inputs program MODEL PROGRAM". */
int fuzz_record_program(const char *model, const char *to);
/* The nodes that an ONNX model's layers `call`, as seeds TO-0, TO-1 ...: "fuzz_inputs calls MODEL TO". */
int fuzz_record_calls(const char *model, const char *to);

/* A refusal has a message. */
static inline int fuzz_refused(rt_status st)
{
    if (st && !*rt_error_message()) abort();
    return st != RT_OK;
}
#endif
