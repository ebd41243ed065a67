/* Imports ONNX models and compares what the planned model answers with the evaluator of ONNX graphs:
 * onnx_planned [--shape D,D,...] MODEL.onnx...; made-up rows, 64 of them, alone, 7 and all together. "ok", with the
 * greatest difference over the answers' scale; "refused", with the reason; "WRONG" when rows differ by more than 1e-4
 * of the scale, or by a bit between a batch of 7 or 64 and one of 1: then the exit code is 1. One data input of floats.
 * onnx_planned --recorded FOLDER...: ONNX's own tests, and single models (tests/onnx/onnx_recorded.c). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/rng.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/onnx/onnx_recorded.h"

enum { ROWS = 7, BATCH = 64 };
static int wrong;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Element i of a row as the model's input has it, for element `at` of ONNX's order: images change their channels'
 * place. */
static size_t place(const rt_shape *s, const rt_array *x, size_t at)
{
    if (x->rank != 4 || s->rank != 3) return at;
    size_t c = (size_t)x->dim[1], hw = (size_t)(x->dim[2] * x->dim[3]);
    if ((size_t)s->dim[2] != c || (size_t)s->dim[0] != (size_t)x->dim[2]) return at;
    return at % hw * c + at / hw;
}

/* The output that answers. */
static int output_of(const rt_onnx_file *f, const rt_model *m)
{
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(m->provenance, "onnx");
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "output"));
    for (int i = 0; name && i < f->graph->outputs; i++) if (!strcmp(f->output[i].name, name)) return i;
    return 0;
}

static rt_status answers(const rt_onnx_file *f, const rt_model *m, const float *rows, size_t size, float *out,
                         int width, const int64_t *dim, int rank, int logits)
{
    const int apart = m->head[0].task == RT_TASK_MULTILABEL; /* log(p / (1 - p)), each by itself */
    for (int r = 0; r < ROWS; r++) {
        rt_region *g = rt_region_new(RT_ONNX_BUDGET);
        rt_array **value = rt_region_list(g, (size_t)f->graph->values, sizeof *value), *x = NULL;
        rt_eval *e;
        RT_TRY(rt_eval_new(&e, g));
        RT_TRY(rt_array_make(&x, g, f->input[0].type, rank, dim));
        for (size_t i = 0; i < size; i++)
            rt_array_put(x, i, (double)rows[(size_t)r * size + place(&m->input[0].shape, x, i)]);
        value[f->graph->input[0]] = x;
        rt_status st = rt_eval_run(e, f->graph, value, 1);
        const rt_array *y = st ? NULL : value[f->graph->output[output_of(f, m)]];
        if (!st && y->count != (size_t)width)
            st = rt_fail(RT_INPUT, "the evaluator gives %zu numbers, the model %d", y->count, width);
        for (int i = 0; i < width && !st; i++) {
            double v = rt_array_double(y, (size_t)i);
            out[r * width + i] = (float)(!logits ? v : apart ? log(v) - log1p(-v) : log(fmax(v, 1e-30)));
        }
        rt_region_free(g);
        RT_TRY(st);
    }
    return RT_OK;
}

/* Logits are compared up to a constant a row where the file gives probabilities. */
static void center(float *z, int width, int logits)
{
    for (int r = 0; r < ROWS && logits; r++) {
        double mean = 0;
        for (int i = 0; i < width; i++) mean += (double)z[r * width + i] / width;
        for (int i = 0; i < width; i++) z[r * width + i] -= (float)mean;
    }
}

static void compare(const char *path, const rt_onnx_file *f, rt_model *m, const cJSON *notes, double took)
{
    size_t size = m->input[0].size;
    int width = rt_model_width(m), logits = 0, rank = f->input[0].rank;
    int64_t dim[RT_ARRAY_RANK];
    for (const cJSON *n = notes->child; n; n = n->next) logits |= strstr(n->valuestring, "probabilities") != NULL;
    memcpy(dim, f->input[0].dim, sizeof dim);
    dim[0] = 1;
    if (rank == 2) dim[1] = (int64_t)size;                 /* which the file may leave open */
    float *rows = malloc(BATCH * size * sizeof *rows), *want = malloc((size_t)(ROWS * width) * sizeof *want),
          *got = malloc((size_t)(BATCH * width) * sizeof *got), *one = malloc((size_t)(BATCH * width) * sizeof *one);
    uint32_t w[4];
    for (size_t i = 0; i < BATCH * size; i++) {
        rt_random4(w, 1, RT_RNG_TEST, 0, 0, 0, (uint32_t)i);
        rows[i] = 2 * rt_unit(w[0]) - 1;
    }
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    rt_status st = rt_predictor_new(&p, &m, 1, device, 0, NULL, 0);
    int bits = 0;
    if (!st) {
        for (int r = 0; r < BATCH; r++)
            rt_predict(p, &(rt_feed){.raw = rows + (size_t)r * size, .rows = 1}, one + r * width);
        for (int k = BATCH; k; k = k == BATCH ? ROWS : 0) {
            rt_predict(p, &(rt_feed){.raw = rows, .rows = (uint64_t)k}, got);
            bits += memcmp(one, got, (size_t)(k * width) * sizeof *one) != 0;
        }
        rt_predictor_free(p);
        st = answers(f, m, rows, size, want, width, dim, rank, logits);
    }
    double scale = 0, worst = 0;
    if (!st) {
        const int shared = logits && m->head[0].task != RT_TASK_MULTILABEL;
        center(want, width, shared);
        center(got, width, shared);
        for (int i = 0; i < ROWS * width; i++) {
            if (isfinite(want[i])) scale = fmax(scale, fabs((double)want[i]));
            double d = fabs((double)got[i] - (double)want[i]);
            if (d > worst || isnan(d) != isnan(want[i])) worst = isnan(d) ? INFINITY : d;
        }
        worst /= scale > 0 ? scale : 1;
    }
    int bad = !st && (bits || !(worst <= 1e-4));
    wrong += bad;
    printf("%s\t%s\t%.2g\t%d layers\t%.2f s\t%s\n",
           st    ? "refused"
           : bad ? "WRONG"
                 : "ok",
           path, worst, m->graph->nodes, took,
           st     ? rt_error_message()
           : bits ? "rows differ by batch"
                  : "");
    rt_device_close(device);
    free(rows);
    free(want);
    free(got);
    free(one);
}

int main(int argc, char **argv)
{
    cJSON *binding = NULL;
    int from = 1;
    rt_kernels_select(NULL);
    if (argc > 2 && !strcmp(argv[1], "--recorded")) return onnx_recorded(argc - 2, argv + 2);
    if (argc > 2 && !strcmp(argv[1], "--binding")) {
        if (rt_json_parse(&binding, argv[2], strlen(argv[2]), "binding")) return 2;
        from = 3;
    }
    for (int i = from; i < argc; i++) {
        rt_onnx_file *f;
        rt_model *m = NULL;
        cJSON *notes = cJSON_CreateArray();
        double start = seconds();
        rt_status st = rt_onnx_read(&f, argv[i], NULL);
        if (!st) {
            st = rt_onnx_import(&m, f, binding, NULL, notes);
            if (!st && (f->graph->inputs != 1 || m->inputs != 1 || m->input[0].ids))
                st = rt_fail(RT_INPUT, "not one input of numbers");
        }
        if (st) printf("refused\t%s\t%s\n", argv[i], rt_error_message());
        else compare(argv[i], f, m, notes, seconds() - start);
        fflush(stdout);
        rt_model_free(m);
        cJSON_Delete(notes);
        if (!st || m) rt_onnx_close(f);
    }
    cJSON_Delete(binding);
    return wrong > 0;
}
