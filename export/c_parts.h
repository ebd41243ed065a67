/* export/c_parts.h - what the writers of the C files share. */
#ifndef RT_EXPORT_C_PARTS_H
#define RT_EXPORT_C_PARTS_H

#include "engine/text.h"
#include "student/program.h"

/* Outputs of a block of lanes; inputs that a plain sum is filled up to; most inputs of sums that are computed in one
 * go, where they are filled up to a third of it, or to it. */
enum { RT_C_WIDTH = 16, RT_C_COLUMN = 16, RT_C_FEW = 27 };

/* An integer program on its way into C. */
typedef struct {
    const rt_program *p;
    const rt_net *n;
    const char *name;
    char upper[72];                  /* the name in capitals */
    char stamp[17];                  /* what the three files know each other by: hexadecimal digits */
    int *root;                       /* (tensors) whose bytes it shares: reshaped ones are views */
    size_t *at;                      /* (tensors) its place in the arena */
    size_t bytes;                    /* of all places */
    size_t column, few, lines;       /* the arena's: of plain C long sums' inputs, short sums' cells; cells of lanes */
    int rows;                        /* the highest kernel */
    rt_linked *linked;               /* ran the test row; keeps all tensors */
    void *context;
    float *answer;
    const void *row;                 /* of the self test */
} rt_c_net;

/* root, at, bytes, column, few, lines, rows. RT_RUN when memory is out. */
rt_status rt_c_place(rt_c_net *);
/* A depthwise convolution, which has code of its own. */
int rt_c_depthwise(const rt_net *, const rt_net_call *);
/* A convolution whose sums are so short that plain C has other loops for them. */
int rt_c_few(const rt_net *, const rt_net_call *);
/* Rows and columns of a call's input and output; of 1x1 convolutions on narrow images all rows are one. */
typedef struct { int h, w, oh, ow; } rt_c_sides;
rt_c_sides rt_c_sides_of(const rt_net *, const rt_net_call *);
/* Weights that lie side by side in a row of the kernel, 1 or kw times; filled up to fours; of a plain sum. */
typedef struct { int runs, run, four, column; } rt_c_runs;
rt_c_runs rt_c_runs_of(const rt_net *, const rt_net_call *);
/* M of a call's output channel. */
float rt_c_multiplier(const rt_net *, const rt_net_call *, int channel);
/* M of each number of taps that a window of an average has, (rows, columns) from the least on. */
typedef struct { int rows, columns, row_choices, choices; } rt_c_windows;
rt_c_windows rt_c_windows_of(const rt_net *, const rt_net_call *);

/* NAME_data.c */
void rt_c_put_data(rt_string *, const rt_c_net *);
/* Declarations of what it has, for NAME.c. */
void rt_c_put_extern(rt_string *, const rt_c_net *);
/* Bytes of its arrays in plain C, without the self test. */
size_t rt_c_flash(const rt_c_net *);
/* NAME.h */
void rt_c_put_header(rt_string *, const rt_c_net *);
/* NAME.c */
void rt_c_put_code(rt_string *, const rt_c_net *);
/* A string literal, whatever the text. */
void rt_c_put_literal(rt_string *, const char *);
/* The comment that every file begins with; ending: of the file's name. */
void rt_c_put_opening(rt_string *, const rt_c_net *, const char *ending, const char *what);
/* Stops a compiler that has found the header of another export. */
void rt_c_put_stamp(rt_string *, const rt_c_net *);
/* What follows "tensor t": "x" or its place in the arena. */
void rt_c_put_place(rt_string *, const rt_c_net *, int tensor);
/* Hash of a call's output, as NAME_selftest computes it. */
uint32_t rt_c_hash(const rt_c_net *, const rt_net_call *);
#endif
