#include "engine/eval/eval_strided.h"

#include <string.h>

/* One line of n elements, `step` apart. */
static void line(char *y, const char *x, size_t size, int64_t n, int64_t step)
{
    if (step == 1) {
        memcpy(y, x, (size_t)n * size);
        return;
    }
#define X(T) for (int64_t i = 0; i < n; i++) ((T *)(void *)y)[i] = ((const T *)(const void *)x)[i * step]
    switch (size) {
    case 1: X(uint8_t); break;
    case 2: X(uint16_t); break;
    case 4: X(uint32_t); break;
    default: X(uint64_t); break;
    }
#undef X
}

/* Dimensions of one are dropped, and neighbours that are one walk are joined. */
static int joined(int rank, const int64_t *dim, const int64_t *step, int64_t *d, int64_t *s)
{
    int n = 0;
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 1) continue;
        if (n && s[n - 1] == step[i] * dim[i]) {
            d[n - 1] *= dim[i];
            s[n - 1] = step[i];
        } else {
            d[n] = dim[i];
            s[n++] = step[i];
        }
    }
    return n;
}

/* (rows, n) with rows that are one element apart in x: by squares, so that what a line of memory holds is used. */
static void turned(char *y, const char *x, size_t size, int64_t rows, int64_t n, int64_t step)
{
    enum { SQUARE = 16 };
    for (int64_t r = 0; r < rows; r += SQUARE)
        for (int64_t k = 0; k < n; k += SQUARE)
            for (int64_t i = r; i < rows && i < r + SQUARE; i++) {
                int64_t m = n - k < SQUARE ? n - k : SQUARE;
                line(y + (size_t)(i * n + k) * size, x + (i + k * step) * (int64_t)size, size, m, step);
            }
}

void rt_eval_strided(void *out, const void *in, size_t size, int rank, const int64_t *dim, const int64_t *step)
{
    int64_t d[RT_STRIDED_RANK + 1], s[RT_STRIDED_RANK + 1], at[RT_STRIDED_RANK] = {0};
    char *y = out;
    const char *x = in;
    for (int i = 0; i < rank; i++) if (!dim[i]) return;
    int n = joined(rank, dim, step, d, s), last, square;
    if (!n) {
        memcpy(y, x, size);
        return;
    }
    square = n > 1 && s[n - 2] == 1 && s[n - 1] > 1;
    last = n - 1 - square;
    int64_t run = square ? d[n - 2] * d[n - 1] : d[n - 1];
    for (;;) {
        if (square) turned(y, x, size, d[n - 2], d[n - 1], s[n - 1]);
        else line(y, x, size, run, s[n - 1]);
        y += (size_t)run * size;
        int i = last - 1;
        for (; i >= 0; i--) {
            x += s[i] * (int64_t)size;
            if (++at[i] < d[i]) break;
            x -= s[i] * d[i] * (int64_t)size;
            at[i] = 0;
        }
        if (i < 0) return;
    }
}
