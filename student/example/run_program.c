/* Answers rows with an integer program: run_program NET < rows > answers. Rows are (H, W, C) bytes, or floats where the
 * program takes those, and an answer is its heads' floats side by side, both without anything in between.
 *
 *     cc run_program.c $(pkg-config --cflags --libs --static retort) -o run_program */
#include <stdio.h>
#include <stdlib.h>

#include "student/program.h"

int main(int argc, char **argv)
{
    rt_program *p;
    if (argc != 2) {
        fprintf(stderr, "usage: run_program NET < rows > answers\n");
        return RT_USAGE;
    }
    rt_status st = rt_program_load(&p, argv[1]);
    if (st) {
        fprintf(stderr, "%s\n", rt_error_message());
        return (int)st;
    }
    const rt_net_tensor *in = &rt_program_net(p)->tensor[0];
    size_t row = (size_t)in->h * (size_t)in->w * (size_t)in->c * (rt_program_takes(p) ? 1 : sizeof(float));
    size_t width = (size_t)rt_program_width(p);
    void *x = malloc(row), *context = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63); /* one per thread */
    float *y = malloc(width * sizeof *y);
    if (x && y && context) {
        rt_program_start(p, context);
        while (fread(x, row, 1, stdin) == 1) {
            rt_program_infer(p, context, y, x, 1);
            if (fwrite(y, sizeof *y, width, stdout) != width) st = RT_RUN;
        }
    } else st = RT_RUN;
    free(x);
    free(y);
    free(context);
    rt_program_free(p);
    return (int)st;
}
