/* engine/cuda/cuda_stamps.c - see cuda_stamps.h. Sums of times go round beyond 64 bits, their differences do not. */
#include "engine/cuda/cuda_stamps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


enum { MOST = 4096, EMPTY = 8 /* stamps at first, between which there is nothing */ };

typedef struct { char kernel[64], layer[64]; int back; } place;

struct rt_cuda_stamps {
    unsigned long long *time;          /* device: (MOST, 2) sums of nanoseconds; how many */
    int count, lost, inside;
    place at[MOST];
};

static _Thread_local rt_cuda_stamps *here;
static _Thread_local const char *layer;
static _Thread_local int is_back;

rt_status rt_cuda_stamps_new(rt_cuda_stamps **out, size_t *bytes)
{
    rt_cuda_stamps *s = *out = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    cudaError_t e = cudaMalloc((void **)&s->time, sizeof *s->time * 2 * MOST);
    if (e != cudaSuccess) {
        rt_cuda_stamps_free(s);
        *out = NULL;
        return rt_fail(RT_RUN, "taking device memory for a profile: %s", cudaGetErrorString(e));
    }
    *bytes += sizeof *s->time * 2 * MOST;
    return RT_OK;
}

void rt_cuda_stamps_free(rt_cuda_stamps *s)
{
    if (s && s->time) cudaFree(s->time);
    free(s);
}

void rt_cuda_stamps_launched(const char *what, cudaStream_t stream)
{
    rt_cuda_stamps *s = here;
    if (!s || s->inside) return;
    if (s->count == MOST) {
        s->lost++;
        return;
    }
    place *p = &s->at[s->count];
    snprintf(p->kernel, sizeof p->kernel, "%s", *what == '(' ? what + 1 : what);
    char *end = p->kernel + strcspn(p->kernel, "<)");
    *end = '\0';
    snprintf(p->layer, sizeof p->layer, "%s", layer ? layer : "");
    p->back = is_back;
    s->inside = 1;
    rt_k_stamp(stream, s->time + (ptrdiff_t)2 * s->count++);
    s->inside = 0;
}

rt_status rt_cuda_stamps_clear(rt_cuda_stamps *s, cudaStream_t stream)
{
    cudaError_t e = cudaMemsetAsync(s->time, 0, sizeof *s->time * 2 * MOST, stream);
    s->count = s->lost = 0;
    return e == cudaSuccess ? RT_OK : rt_fail(RT_RUN, "clearing device memory: %s", cudaGetErrorString(e));
}

void rt_cuda_stamps_begin(rt_cuda_stamps *s, cudaStream_t stream)
{
    s->count = s->lost = 0;
    here = s;
    rt_cuda_stamps_layer(NULL, 0);
    rt_k_on_launch(rt_cuda_stamps_launched);
    for (int i = 0; i < EMPTY; i++) rt_cuda_stamps_launched("", stream);
}

void rt_cuda_stamps_end(void)
{
    rt_k_on_launch(NULL);
    here = NULL;
}

void rt_cuda_stamps_layer(const char *name, int back)
{
    layer = name;
    is_back = back;
}

int rt_cuda_stamps_count(const rt_cuda_stamps *s) { return s->count; }

void rt_cuda_stamps_describe(const rt_cuda_stamps *s, void (*line)(void *, const char *), void *arg)
{
    unsigned long long *t = malloc(sizeof *t * 2 * MOST);
    char text[200];
    if (!t || cudaMemcpy(t, s->time, sizeof *t * 2 * MOST, cudaMemcpyDeviceToHost) != cudaSuccess || s->count < EMPTY ||
        !t[1]) {
        line(arg, "no step was timed");
        free(t);
        return;
    }
    double steps = (double)t[1] * 1e3, all = 0, empty = (double)(t[2 * (EMPTY - 1)] - t[2]) / steps / (EMPTY - 2);
    for (int i = EMPTY; i < s->count; i++) {
        const place *p = &s->at[i];
        double us = (double)(t[(ptrdiff_t)2 * i] - t[(ptrdiff_t)2 * i - 2]) / steps - empty;
        all += us;
        snprintf(text, sizeof text, "  %9.2f us  %-26s %s%s", us, p->kernel, p->layer, p->back ? ", back" : "");
        line(arg, text);
    }
    snprintf(text, sizeof text, "%.1f us of %d launches one behind the other, mean of %llu steps; a stamp took %.2f us",
             all, s->count - EMPTY, t[1], empty);
    line(arg, text);
    if (s->lost) snprintf(text, sizeof text, "%d launches more were not timed", s->lost);
    if (s->lost) line(arg, text);
    free(t);
}
