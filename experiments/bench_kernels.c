#include "experiments/bench_kernels.h"

#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/conv_image.h"
#include "engine/memory.h"
#include "engine/panels.h"
#include "engine/progress.h"
#include "engine/rng.h"
#include "engine/session.h"
#include "engine/winograd.h"
#include "student/model.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef struct { double share, peak; } pair;

static int by_share(const void *a, const void *b)
{ return by_value(&((const pair *)a)->share, &((const pair *)b)->share); }
static int by_peak(const void *a, const void *b)
{ return by_value(&((const pair *)a)->peak, &((const pair *)b)->peak); }

typedef void run_fn(void *arg, int kind);

/* Multiply-adds per second, as the direct sum counts them, over those of a loop in registers that runs right after,
 * each for 0.1 ms or once, as a shared machine changes its clock and what it leaves of a core from one millisecond to
 * the next. CPU time of this thread counts: what others take of the core does not, but what they do to its caches does.
 * Of all such pairs the quarter counts in which the loop was fastest, and of their shares the median. *rate gets the
 * loop's. */
static double share_of_peak(run_fn *run, void *arg, int kind, double flop, double seconds, double *rate)
{
    enum { PAIRS = 4096 };
    pair p[PAIRS];
    const rt_kernels *k = rt_kernels_get();
    double end = rt_seconds() + seconds / 4, probe = rt_seconds();
    double per_round = rt_kernels_fma(k, 1000) / 1000;
    long loop = (long)(1e-4 / (rt_seconds() - probe) * 1000) + 1;
    int n = 0;
    for (int i = 0; i < PAIRS && (i < 16 || (rt_seconds() < end && !rt_stopped())); i++) {
        int times = 0;
        double start = rt_thread_seconds(), gone;
        do {
            run(arg, kind);
            times++;
        } while ((gone = rt_thread_seconds() - start) < 1e-4);
        double middle = rt_thread_seconds();
        rt_kernels_fma(k, loop);
        p[n].peak = per_round * (double)loop / (rt_thread_seconds() - middle);
        p[n].share = flop * times / gone / p[n].peak;
        n++;
    }
    qsort(p, (size_t)n, sizeof p[0], by_peak);
    int fast = n / 4;
    *rate = p[n - fast / 2].peak * 1e-9;
    qsort(p + n - fast, (size_t)fast, sizeof p[0], by_share);
    return p[n - fast / 2].share;
}

/* What is timed of a 3x3 convolution: the direct kernels (dX is the forward kernel over dY, adding to what is there),
 * and the same sums by Winograd, as plans run them, over some images at once. */
enum { FORWARD, DX, DW, WINO_FORWARD, WINO_DW, CONV_KINDS, WINO_IMAGES = 4 };

typedef struct {
    const rt_kernels *k;
    int c, w;
    float *x, *y, *wt, *dw;      /* x (w + 2, w + 2, C), padded; y (w, w, C) */
    rt_wino_shape shape;
    unsigned sums_there;         /* in y, since it was cleared */
    float *images, *out, *planes, *sums, *scratch;   /* (WINO_IMAGES, w, w, C) twice, (36, C, C) twice */
} conv_case;

static void run_conv(void *arg, int kind)
{
    conv_case *b = arg;
    int c = b->c, w = b->w, wp = w + 2;
    switch (kind) {
    case FORWARD: case DX: {
        rt_conv_line a = {.y = b->y,
                          .y_px = c,
                          .x = b->x,
                          .x_px = c,
                          .x_row = wp * c,
                          .w = b->wt,
                          .w_ld = c,
                          .px = w,
                          .lines = w,
                          .y_line = w * c,
                          .x_line = wp * c,
                          .kh = 3,
                          .klen = 3 * c,
                          .kw = 3,
                          .n = c,
                          .accumulate = kind == DX};
        rt_conv_image(b->k, &a);
        if (kind == DX && ++b->sums_there % 4096 == 0) memset(b->y, 0, (size_t)(w * w * c) * sizeof *b->y);
        break;
    }
    case DW: {
        rt_conv_dw a = {.dw = b->dw,
                        .dw_ld = c,
                        .x = b->x,
                        .x_px = c,
                        .x_row = wp * c,
                        .x_line = wp * c,
                        .dy = b->y,
                        .dy_px = c,
                        .dy_line = w * c,
                        .lines = w,
                        .px = w,
                        .kh = 3,
                        .klen = 3 * c,
                        .n = c,
                        .overwrite = 1};
        b->k->conv_dw(&a);
        break;
    }
    case WINO_FORWARD:
        rt_wino_forward(b->k, &b->shape, b->out, b->images, b->planes, NULL, NULL, RT_ACT_NONE, 0, WINO_IMAGES,
                        b->scratch);
        break;
    default:
        rt_wino_grad(b->k, &b->shape, b->sums, b->images, b->out, 0, WINO_IMAGES, b->scratch);
    }
}

/* What is known of a shape: of each kind, and of the loop in registers, one figure a round. */
enum { PEAK = CONV_KINDS, FIGURES };
typedef struct { int c, w; double figure[FIGURES][RT_BENCH_ROUNDS]; } conv_result;

static rt_status bench_conv(const rt_kernels *k, conv_result *r, int round, double seconds)
{
    int c = r->c, w = r->w;
    size_t nx = (size_t)((w + 2) * (w + 2) * c), ny = (size_t)(w * w * c), nw = (size_t)(9 * c * c),
           nm = (size_t)(RT_WINO_PLANES * c * c);
    conv_case b = {.k = k,
                   .c = c,
                   .w = w,
                   .x = rt_floats_new(nx),
                   .y = rt_floats_new(ny),
                   .wt = rt_floats_new(nw),
                   .dw = rt_floats_new(nw),
                   .shape = {w, w, c, w, w, c, 1, 1},
                   .images = rt_floats_new(WINO_IMAGES * ny),
                   .out = rt_floats_new(WINO_IMAGES * ny),
                   .planes = rt_floats_new(nm),
                   .sums = rt_floats_new(nm)};
    b.scratch = rt_floats_new(rt_wino_scratch(&b.shape));
    double flop = 2.0 * w * w * 9 * c * c;
    int ok = b.x && b.y && b.wt && b.dw && b.images && b.out && b.planes && b.sums && b.scratch;
    if (ok) {
        rt_normal(b.x, nx, 1, RT_RNG_TEST, 0);
        rt_normal(b.wt, nw, 1, RT_RNG_TEST, 1);
        rt_normal(b.images, WINO_IMAGES * ny, 1, RT_RNG_TEST, 2);
        rt_wino_weights(k, b.planes, b.wt, c, c);
        for (int kind = 0; kind < CONV_KINDS; kind++) {
            run_conv(&b, kind);
            r->figure[kind][round] = share_of_peak(run_conv, &b, kind, flop * (kind < WINO_FORWARD ? 1 : WINO_IMAGES),
                                                   seconds, &r->figure[PEAK][round]);
        }
    }
    float *owned[] = {b.x, b.y, b.wt, b.dw, b.images, b.out, b.planes, b.sums, b.scratch};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    return ok ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* What is timed of a dense layer: the products as plans run them, weights packed on the way but in inference, where
 * they have been packed before. */
enum { DENSE_FORWARD, DENSE_DX, DENSE_DW, DENSE_INFER, DENSE_KINDS };

typedef struct { const rt_kernels *kn; int m, k, n; float *x, *w, *y, *dw, *packed, *scratch; } dense_case;

static void run_dense(void *arg, int kind)
{
    const dense_case *b = arg;
    if (kind == DENSE_DW) {
        for (int t = 0; t < rt_panels_dw_tiles(b->kn, b->k, b->n); t++)
            rt_panels_dw(b->kn, b->dw, b->x, b->y, b->m, b->k, b->n, t, b->scratch);
        return;
    }
    int dx = kind == DENSE_DX, in = dx ? b->n : b->k, out = dx ? b->k : b->n;
    rt_panels_product a = {.x_ld = in,
                           .y_ld = out,
                           .w = b->w,
                           .w_ld = b->n,
                           .packed = kind == DENSE_INFER ? b->packed : NULL,
                           .k = in,
                           .n = out,
                           .transposed = dx};
    for (int r = 0; r < b->m; r += RT_PANEL_TILE_ROWS) {
        a.x = (dx ? b->y : b->x) + (size_t)r * (size_t)in;
        a.y = (dx ? b->x : b->y) + (size_t)r * (size_t)out;
        a.rows = b->m - r < RT_PANEL_TILE_ROWS ? b->m - r : RT_PANEL_TILE_ROWS;
        for (int g = 0; g < rt_panels_groups(out); g++) rt_panels_run(b->kn, &a, g, b->scratch);
    }
}

enum { DENSE_PEAK = DENSE_KINDS, DENSE_FIGURES };
typedef struct { int m, k, n; double figure[DENSE_FIGURES][RT_BENCH_ROUNDS]; } dense_result;

static rt_status bench_dense(const rt_kernels *kn, dense_result *r, int round, double seconds)
{
    size_t nx = (size_t)r->m * (size_t)r->k, ny = (size_t)r->m * (size_t)r->n, nw = (size_t)r->k * (size_t)r->n;
    dense_case b = {kn, r->m, r->k, r->n, rt_floats_new(nx), rt_floats_new(nw), rt_floats_new(ny), rt_floats_new(nw),
                    rt_floats_new(rt_panels_floats(r->k, r->n)), rt_floats_new(rt_panels_scratch())};
    int ok = b.x && b.w && b.y && b.dw && b.packed && b.scratch;
    if (ok) {
        rt_normal(b.w, nw, 1, RT_RNG_TEST, 1);
        rt_panels_product a = {.w = b.w, .w_ld = b.n, .k = b.k, .n = b.n};
        for (int g = 0; g < rt_panels_groups(b.n); g++) rt_panels_pack(kn, b.packed, &a, g);
        for (int kind = 0; kind < DENSE_KINDS; kind++) {
            rt_normal(b.x, nx, 1, RT_RNG_TEST, 0);         /* dX writes over x, forward over y */
            rt_normal(b.y, ny, 1, RT_RNG_TEST, 2);
            run_dense(&b, kind);
            r->figure[kind][round] = share_of_peak(run_dense, &b, kind, 2.0 * (double)nx * b.n, seconds,
                                                   &r->figure[DENSE_PEAK][round]);
        }
    }
    float *owned[] = {b.x, b.w, b.y, b.dw, b.packed, b.scratch};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    return ok ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* A stack as in an encoder's feed-forward layers, in inference on one thread: STACK times D to WIDE to D, TOKENS rows.
 */
enum { STACK = 6, STACK_D = 384, STACK_WIDE = 1536, STACK_TOKENS = 64 };
typedef struct { rt_session *session; rt_step step; } stack_case;

static void run_stack(void *arg, int kind)
{
    stack_case *b = arg;
    (void)kind;
    rt_session_infer(b->session, &b->step);
}

static cJSON *stack_arch(void)
{
    int input = STACK_D;
    cJSON *arch = cJSON_CreateObject();
    cJSON_AddItemToObject(arch, "input", cJSON_CreateIntArray(&input, 1));
    cJSON_AddNumberToObject(arch, "classes", STACK_D);
    cJSON *layers = cJSON_AddArrayToObject(arch, "layers");
    for (int i = 0; i < 2 * STACK; i++) {
        cJSON *l = cJSON_CreateObject();
        cJSON_AddStringToObject(l, "op", "dense");
        cJSON_AddNumberToObject(l, "out", i % 2 ? STACK_D : STACK_WIDE);
        cJSON_AddItemToArray(layers, l);
    }
    return arch;
}

static rt_status bench_stack(double seconds, double *share)
{
    rt_model *m = NULL;
    stack_case b = {0};
    cJSON *arch = stack_arch();
    rt_device *device = rt_device_cpu(1);
    float *x = rt_floats_new(STACK_TOKENS * STACK_D);
    rt_status st = device && x ? rt_model_new(&m, arch, 1) : RT_RUN;
    if (!st) {
        rt_session_spec spec = {.graph = m->graph, .batch = STACK_TOKENS, .params = m->params, .states = m->states,
                                .outputs = m->heads};
        rt_model_outputs(m, spec.output);
        st = rt_session_new(&b.session, &spec, device);
    }
    if (!st) {
        double peak;
        rt_normal(x, STACK_TOKENS * STACK_D, 1, RT_RNG_TEST, 0);
        b.step = (rt_step){.rows = STACK_TOKENS, .x = {x}};
        run_stack(&b, 0);
        *share = share_of_peak(run_stack, &b, 0, 2.0 * STACK_TOKENS * rt_graph_macs(m->graph), seconds, &peak);
    }
    rt_session_free(b.session);
    rt_model_free(m);
    rt_device_close(device);
    cJSON_Delete(arch);
    free(x);
    return st;
}

static void add_figures(cJSON *to, double (*figure)[RT_BENCH_ROUNDS], const char *const *names, int count, int rounds)
{
    for (int f = 0; f < count; f++) {
        qsort(figure[f], (size_t)rounds, sizeof(double), by_value);
        cJSON_AddNumberToObject(to, names[f], figure[f][rounds / 2]);
    }
}

static cJSON *entry(cJSON *list)
{
    cJSON *q = cJSON_CreateObject();
    cJSON_AddItemToArray(list, q);
    return q;
}

enum { CONV_SHAPES = 7, DENSE_SHAPES = 3 };
typedef struct {
    conv_result conv[CONV_SHAPES];
    dense_result dense[DENSE_SHAPES];
    double stack[1][RT_BENCH_ROUNDS];
} results;

static void add_results(cJSON *result, results *r, int rounds)
{
    static const char *const conv[] = {"forward_of_peak",          "dx_of_peak",          "dw_of_peak",
                                       "winograd_forward_of_peak", "winograd_dw_of_peak", "peak_gflops"},
                             *const dense[] = {"forward_of_peak", "dx_of_peak", "dw_of_peak", "inference_of_peak",
                                               "peak_gflops"}, *const stack[] = {"inference_of_peak"};
    cJSON *list = cJSON_AddArrayToObject(result, "conv3x3");
    for (int i = 0; i < CONV_SHAPES; i++) {
        cJSON *q = entry(list);
        cJSON_AddNumberToObject(q, "channels", r->conv[i].c);
        cJSON_AddNumberToObject(q, "image", r->conv[i].w);
        add_figures(q, r->conv[i].figure, conv, FIGURES, rounds);
    }
    list = cJSON_AddArrayToObject(result, "dense");
    for (int i = 0; i < DENSE_SHAPES; i++) {
        cJSON *q = entry(list);
        cJSON_AddNumberToObject(q, "rows", r->dense[i].m);
        cJSON_AddNumberToObject(q, "in", r->dense[i].k);
        cJSON_AddNumberToObject(q, "out", r->dense[i].n);
        add_figures(q, r->dense[i].figure, dense, DENSE_FIGURES, rounds);
    }
    cJSON *q = cJSON_AddObjectToObject(result, "dense_stack");
    cJSON_AddNumberToObject(q, "rows", STACK_TOKENS);
    cJSON_AddNumberToObject(q, "in", STACK_D);
    cJSON_AddNumberToObject(q, "wide", STACK_WIDE);
    cJSON_AddNumberToObject(q, "times", STACK);
    add_figures(q, r->stack, stack, 1, rounds);
}

/* Rounds over all shapes, so that what disturbs a second spoils few figures of each; the median over the rounds counts.
 */
rt_status rt_bench_kernels(int rounds, double seconds, cJSON *result)
{
    static const int conv[CONV_SHAPES][2] = {{16, 32}, {16, 28}, {32, 16}, {32, 14}, {64, 8}, {64, 7}, {128, 8}},
                     dense[DENSE_SHAPES][3] = {{64, 768, 3072}, {256, 384, 1536}, {1024, 384, 1536}};
    const rt_kernels *k = rt_kernels_get();
    results *r = calloc(1, sizeof *r);
    rt_status st = r ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int round = 0; !st && round < rounds; round++) {
        for (int i = 0; !st && i < CONV_SHAPES; i++) {
            r->conv[i].c = conv[i][0];
            r->conv[i].w = conv[i][1];
            st = bench_conv(k, &r->conv[i], round, seconds);
            if (!st) st = rt_check_stop();
        }
        for (int i = 0; !st && i < DENSE_SHAPES; i++) {
            r->dense[i].m = dense[i][0];
            r->dense[i].k = dense[i][1];
            r->dense[i].n = dense[i][2];
            st = bench_dense(k, &r->dense[i], round, seconds);
            if (!st) st = rt_check_stop();
        }
        if (!st) st = bench_stack(seconds, &r->stack[0][round]);
    }
    if (!st) add_results(result, r, rounds);
    free(r);
    return st;
}
