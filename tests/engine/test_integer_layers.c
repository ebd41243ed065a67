/* Layers of integers that stand for numbers against their definitions, to the bit: convolutions of odd windows, groups,
 * gaps and paddings with weights of the whole range, in every family of integer kernels, rows alone and together;
 * quantizers with scales of any shape; sums and products of two. */
#include "engine/graph.h"
#include "engine/int/integer.h"
#include "engine/session.h"
#include "tests/support.h"

static uint32_t seed = 1;

static int dice(int n) { return (int)((seed = seed * 1664525u + 1013904223u) >> 8) % n; }
static int between(int low, int high) { return low + dice(high - low + 1); }

/* What the graph's tensor y is for rows of its input, `batch` of them at a time. */
static void run(rt_graph *g, int y, const float *in, float *out, int rows, int batch)
{
    const size_t size = rt_shape_count(&g->tensor[g->input[0]].shape), width = rt_shape_count(&g->tensor[y].shape);
    rt_device *device = rt_device_cpu(1 + dice(2));
    rt_session *s;
    rt_session_spec spec = {.graph = g, .batch = batch, .outputs = 1, .output = {y}};
    check_ok(rt_session_new(&s, &spec, device));
    for (int r = 0; r < rows; r += batch) {
        int part = rows - r < batch ? rows - r : batch;
        rt_session_infer(s, &(rt_step){.rows = part, .x = {in + (size_t)r * size}});
        memcpy(out + (size_t)r * width, rt_session_output(s, 0), (size_t)part * width * sizeof *out);
    }
    rt_session_free(s);
    rt_device_close(device);
}

static int clamped(double v, int low, int high) { return v < low ? low : v > high ? high : (int)v; }

/* One row by the definition; volatile keeps every rounding. */
static void define(float *y, const float *x, const rt_conv_int8_attr *a, const float *w, const float *step,
                   const float *bias, const int *in, const int *out)
{
    const rt_window *v = &a->window;
    const int h = in[0], width = in[1], c = in[2], cg = c / a->groups, ng = a->out / a->groups;
    float low = 0, high = 0;
    for (int i = 0; i < h * width * c; i++) low = fminf(low, x[i]), high = fmaxf(high, x[i]);
    volatile float range = high > low ? high - low : 1, scale = range / 255, z = -low / scale;
    const int zero = a->gives == 2 ? (int)lrintf(fminf(z, 255)) : a->x_zero;
    for (int oy = 0; oy < out[0]; oy++)
        for (int ox = 0; ox < out[1]; ox++)
            for (int o = 0; o < a->out; o++) {
                uint32_t acc = 0;
                for (int r = 0; r < v->kernel[0]; r++)
                    for (int t = 0; t < v->kernel[1]; t++)
                        for (int i = 0; i < cg; i++) {
                            int py = oy * v->stride[0] - v->pad.side[0] + r * v->dilation[0],
                                px = ox * v->stride[1] - v->pad.side[2] + t * v->dilation[1];
                            if (py < 0 || py >= h || px < 0 || px >= width) continue;
                            float at = x[(py * width + px) * c + o / ng * cg + i];
                            volatile float q = at / scale;
                            int b = a->gives == 2 ? clamped(rint((double)q) + zero, 0, 255) : (int)at;
                            acc += (uint32_t)((b - zero) * (int)w[((r * v->kernel[1] + t) * cg + i) * a->out + o]);
                        }
                if (a->bias && a->gives != 2) acc += ((uint32_t)(int)bias[o] << 16) + (uint32_t)(int)bias[a->out + o];
                volatile float f = (float)(int32_t)acc, m = a->gives == 2 ? scale * step[o] : a->gives ? 1 : step[o],
                               p = f * m;
                *y++ = a->gives == 0 ? (float)clamped(rint((double)p) + a->y_zero, a->y_low, a->y_high)
                       : a->gives == 2 && a->bias ? p + bias[o] : p;
            }
}

static rt_conv_int8_attr any_layer(int rank, int c)
{
    rt_conv_int8_attr a = {.gives = dice(3), .bias = dice(2), .groups = 1, .x_low = dice(2) ? -128 : 0};
    const int point = rank == 1 || !dice(4), deep = !dice(4);
    a.window = (rt_window){{1, 1}, {1, 1}, {{0}, 4}, {1, 1}};
    for (int i = rank == 2; i < 2 && !point; i++) {
        a.window.kernel[i] = between(1, 4);
        a.window.stride[i] = between(1, 3);
        a.window.dilation[i] = between(1, 3);
        for (int k = 0; k < 2; k++) a.window.pad.side[2 * i + k] = dice(3);
    }
    if (deep) a.groups = c;
    else while (c % (a.groups = between(1, c < 6 ? c : 6))) {}
    a.out = a.groups * between(1, deep ? 2 : 40);
    if (a.gives == 2) a.x_low = 0;
    a.x_zero = a.gives == 2 ? 0 : a.x_low + dice(256);
    a.y_low = dice(2) ? -128 : 0;
    a.y_high = a.y_low + between(100, 255);
    a.y_zero = between(a.y_low, a.y_high);
    return a;
}

/* Returns 0 where the shapes do not go together. */
static int one(int rank, int h, int w, int c, int rows)
{
    rt_conv_int8_attr a = any_layer(rank, c);
    rt_graph *g = rt_graph_new();
    int x, y;
    const rt_shape shape[] = {{1, {c}}, {2, {w, c}}, {3, {h, w, c}}};
    const int in[] = {h, w, c};
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = shape[rank - 1]}, NULL, &x));
    if (rt_graph_add(g, RT_OP_CONV_INT8, "d", &x, 1, &a, NULL, &y)) {
        rt_graph_free(g);
        return 0;
    }
    rt_graph_seal(g);
    const rt_node *n = &g->node[1];
    int out[3];
    rt_shape_hwc(&g->tensor[y].shape, &out[0], &out[1], &out[2]);
    const size_t size = (size_t)(h * w * c), width = rt_shape_count(&g->tensor[y].shape);
    float *rows_in = random_floats((size_t)rows * size, seed), *want = malloc((size_t)rows * width * sizeof *want),
          *got = malloc((size_t)rows * width * sizeof *got), *v[3] = {NULL};
    for (int f = 0; f < n->fields; f++) {
        const size_t count = g->field[n->field[f]].count;
        const char *is = strrchr(g->field[n->field[f]].name, '.') + 1;
        const int at = !strcmp(is, "weight") ? 0 : !strcmp(is, "step") ? 1 : 2,
                  least = dice(3) ? -between(0, 255) : -127, most = least + between(0, 255);     /* of a channel */
        v[at] = rt_graph_constant_values(g, n->field[f]);
        for (size_t i = 0; i < count; i++) {
            if (at == 0) v[at][i] = (float)between(least, most);
            else if (at == 1) v[at][i] = (a.gives == 2 ? 0.01f : 1e-4f) * (float)between(1, 99);
            else if (a.gives == 2) v[at][i] = (float)between(-99, 99) / 7;
            else v[at][i] = i < count / 2 ? (float)between(-2, 2) : (float)dice(65536);
        }
    }
    for (size_t i = 0; i < (size_t)rows * size && a.gives != 2; i++) rows_in[i] = (float)(a.x_low + dice(256));
    for (int r = 0; r < rows; r++)
        define(want + (size_t)r * width, rows_in + (size_t)r * size, RT_ATTR(n, rt_conv_int8_attr), v[0], v[1], v[2],
               in, out);
    for (const rt_int_kernels *const *f = rt_int_kernels_all(); *f; f++) {
        if (!rt_int_kernels_runnable(*f)) continue;
        check_ok(rt_int_kernels_select((*f)->name));
        for (int batch = 1; batch <= rows; batch += rows > 1 ? rows - 1 : 1) {
            run(g, y, rows_in, got, rows, batch);
            for (size_t i = 0; i < (size_t)rows * width; i++)
                if (memcmp(&got[i], &want[i], sizeof *got))
                    fail_msg("rank %d, %dx%dx%d to %dx%dx%d, kernel %dx%d, groups %d, gives %d, number %zu, %d rows at "
                             "once: %a instead of %a in %s", rank, h, w, c, out[0], out[1], out[2], a.window.kernel[0],
                             a.window.kernel[1], a.groups, a.gives, i, batch, (double)got[i], (double)want[i],
                             (*f)->name);
        }
    }
    check_ok(rt_int_kernels_select(NULL));
    rt_graph_free(g);
    free(rows_in);
    free(want);
    free(got);
    return 1;
}

static void convolutions(void **state)
{
    int ran = 0;
    (void)state;
    for (int i = 0; i < 260; i++) {
        const int rank = between(1, 3);
        ran += one(rank, rank == 3 ? between(1, 9) : 1, rank > 1 ? between(1, 12) : 1, between(1, 40), between(1, 4));
    }
    assert_true(ran > 150);
    assert_true(one(1, 1, 1, 300, 150) && one(1, 1, 1, 2000, 2));
}

/* Sums leave 32 bits and wrap, as ONNX has them. */
static void wraps(void **state)
{
    enum { K = 40000 };
    rt_graph *g = rt_graph_new();
    int x, y;
    float *in = malloc(K * sizeof *in), got;
    rt_conv_int8_attr a = {.out = 1, .groups = 1, .gives = 1, .y_high = 255};
    a.window = (rt_window){{1, 1}, {1, 1}, {{0}, 4}, {1, 1}};
    (void)state;
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {1, {K}}}, NULL, &x));
    check_ok(rt_graph_add(g, RT_OP_CONV_INT8, "d", &x, 1, &a, NULL, &y));
    rt_graph_seal(g);
    for (int i = 0; i < K; i++) in[i] = rt_graph_constant_values(g, g->node[1].field[0])[i] = 255;
    for (const rt_int_kernels *const *f = rt_int_kernels_all(); *f; f++) {
        if (!rt_int_kernels_runnable(*f)) continue;
        check_ok(rt_int_kernels_select((*f)->name));
        run(g, y, in, &got, 1, 1);
        assert_true(got == (float)(int32_t)(uint32_t)(255u * 255u * K));
    }
    check_ok(rt_int_kernels_select(NULL));
    rt_graph_free(g);
    free(in);
}

/* Scales of any shape that goes with (3, 4, 5). */
static void quantizers(void **state)
{
    static const rt_shape operand[] = {{0}, {1, {5}}, {2, {4, 1}}, {3, {3, 1, 1}}, {3, {3, 4, 5}}, {3, {3, 1, 5}}};
    enum { ROWS = 6, SIZE = 60 };
    (void)state;
    for (int i = 0; i < 6 * 4; i++) {
        const rt_shape *s = &operand[i % 6];
        rt_quantize_attr a = {.operand = *s, .form = i / 6, .low = i % 2 ? -128 : 0, .high = i % 2 ? 127 : 255};
        rt_graph *g = rt_graph_new();
        float *in = random_floats(ROWS * SIZE, (uint64_t)i + 70), got[ROWS * SIZE];
        int x, y;
        check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {3, {3, 4, 5}}}, NULL, &x));
        check_ok(rt_graph_add(g, RT_OP_QUANTIZE, "q", &x, 1, &a, NULL, &y));
        rt_graph_seal(g);
        float *scale = rt_graph_constant_values(g, g->node[1].field[0]),
              *zero = rt_graph_constant_values(g, g->node[1].field[1]);
        for (size_t k = 0; k < (s->rank ? rt_shape_count(s) : 1); k++) {
            scale[k] = 0.01f * (float)between(1, 9);
            zero[k] = (float)between(a.low, a.high);
        }
        for (int k = 0; k < ROWS * SIZE; k++) in[k] *= a.form == 1 ? 2000 : a.form == 2 ? 40 : 3;
        in[7] = 1e30f, in[8] = -INFINITY, in[9] = 2.5f * scale[0];
        if (a.form < 2) in[11] = NAN;
        run(g, y, in, got, ROWS, ROWS - dice(3));
        for (int k = 0; k < ROWS * SIZE; k++) {
            int at[3] = {k % SIZE / 20, k % 20 / 5, k % 5}, place = 0;
            for (int d = 3 - s->rank; d < 3; d++)
                place = place * s->dim[d - 3 + s->rank] + (s->dim[d - 3 + s->rank] > 1 ? at[d] : 0);
            volatile float v = a.form == 1 ? in[k] * scale[place] : in[k] / scale[place], c = in[k] - zero[place];
            float want = v == v ? (float)clamped(rint((double)v) + (double)zero[place], a.low, a.high) : 0;
            if (a.form == 2) want = c * scale[place];
            if (a.form == 3) want = (want - zero[place]) * scale[place];
            if (memcmp(&got[k], &want, sizeof want))
                fail_msg("form %d, operand %d, number %d: %a instead of %a", a.form, i % 6, k, (double)got[k],
                         (double)want);
        }
        rt_graph_free(g);
        free(in);
    }
}

/* Every pair of bytes; factors for which doubles do, and others. */
static void pairs(void **state)
{
    enum { SIZE = 256 };
    (void)state;
    for (int i = 0; i < 24; i++) {
        rt_pair_int8_attr a = {.op = i % 2, .low = i % 4 < 2 ? 0 : -128, .high = i % 4 < 2 ? 255 : 127};
        rt_graph *g = rt_graph_new();
        int x, y, in[2];
        float *rows = malloc(2 * SIZE * SIZE * sizeof *rows), *got = malloc(SIZE * SIZE * sizeof *got), s[6];
        check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {2, {2, SIZE}}}, NULL, &x));
        for (int k = 0; k < 2; k++)
            check_ok(rt_graph_add(g, RT_OP_SLICE, k ? "b" : "a", &x, 1,
                                  &(rt_slice_attr){{2, {k, 0}}, {2, {k + 1, SIZE}}, {2, {1, 1}}}, NULL, &in[k]));
        check_ok(rt_graph_add(g, RT_OP_PAIR_INT8, "p", in, 2, &a, NULL, &y));
        rt_graph_seal(g);
        for (int k = 0; k < 3; k++) {
            s[2 * k] = 0.013f * (float)between(1, 99);
            s[2 * k + 1] = (float)between(a.low, a.high);
        }
        if (i >= 16) s[0] *= 1e-6f;                        /* beyond what doubles hold */
        /* 205 times this is 2^-25 + 2^-55: with 1/2 beyond the middle of two floats by less than a double shows. */
        if (i == 20) memcpy(s, (float[]){0.5f, 1, ldexpf(10475530, -56), 0, 1, 1}, sizeof s);
        memcpy(rt_graph_constant_values(g, g->node[3].field[0]), s, sizeof s);
        for (int r = 0; r < SIZE; r++)
            for (int k = 0; k < SIZE; k++) {
                rows[(2 * r) * SIZE + k] = (float)(a.low + r);
                rows[(2 * r + 1) * SIZE + k] = (float)(a.low + k);
            }
        run(g, y, rows, got, SIZE, 100);
        volatile float ra = s[0] / s[4], rb = s[2] / s[4], both = s[0] * s[2], m = both / s[4], zb = rb * s[3];
        const float fx = s[5] - fmaf(ra, s[1], zb);
        for (int k = 0; k < SIZE * SIZE; k++) {
            const float p = (float)(a.low + k / SIZE), q = (float)(a.low + k % SIZE);
            volatile float product = (p - s[1]) * (q - s[3]), scaled = product * m,
                           v = a.op ? scaled + s[5] : fmaf(p, ra, fmaf(q, rb, fx));
            const float want = (float)clamped(rint((double)v), a.low, a.high);
            if (memcmp(&got[k], &want, sizeof want))
                fail_msg("pair %d, %g and %g: %g instead of %g", i, (double)p, (double)q, (double)got[k], (double)want);
        }
        rt_graph_free(g);
        free(rows);
        free(got);
    }
}

/* (3, 4, 5) beside what broadcasts to it. */
static void unlike_pairs(void **state)
{
    static const rt_ints end[] = {{3, {3, 4, 1}}, {3, {1, 4, 5}}, {3, {1, 1, 5}}, {3, {3, 1, 1}}, {3, {1, 1, 1}}};
    enum { ROWS = 3, SIZE = 60 };
    (void)state;
    for (int i = 0; i < 20; i++) {
        rt_pair_int8_attr a = {.op = i / 5 % 2, .high = 255};
        const rt_ints *e = &end[i % 5];
        rt_graph *g = rt_graph_new();
        int x, y, small, in[2];
        float rows[ROWS * SIZE], got[ROWS * SIZE], s[6];
        check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {3, {3, 4, 5}}}, NULL, &x));
        check_ok(rt_graph_add(g, RT_OP_SLICE, "s", &x, 1,
                              &(rt_slice_attr){{3, {0, 0, 0}}, *e, {3, {1, 1, 1}}}, NULL, &small));
        in[i / 10] = x, in[!(i / 10)] = small;
        check_ok(rt_graph_add(g, RT_OP_PAIR_INT8, "p", in, 2, &a, NULL, &y));
        rt_graph_seal(g);
        for (int k = 0; k < 3; k++) s[2 * k] = 0.01f * (float)between(1, 99), s[2 * k + 1] = (float)dice(256);
        memcpy(rt_graph_constant_values(g, g->node[2].field[0]), s, sizeof s);
        for (int k = 0; k < ROWS * SIZE; k++) rows[k] = (float)dice(256);
        run(g, y, rows, got, ROWS, 1 + dice(ROWS));
        volatile float ra = s[0] / s[4], rb = s[2] / s[4], both = s[0] * s[2], m = both / s[4], zb = rb * s[3];
        const float fx = s[5] - fmaf(ra, s[1], zb);
        for (int k = 0; k < ROWS * SIZE; k++) {
            const int at[3] = {k % SIZE / 20, k % 20 / 5, k % 5};
            int place = 0;
            for (int d = 0; d < 3; d++) place = place * (d ? d == 1 ? 4 : 5 : 1) + (e->value[d] > 1 ? at[d] : 0);
            const float other = rows[k / SIZE * SIZE + place], own = rows[k], p = i / 10 ? other : own,
                        q = i / 10 ? own : other;
            volatile float product = (p - s[1]) * (q - s[3]), scaled = product * m,
                           v = a.op ? scaled + s[5] : fmaf(p, ra, fmaf(q, rb, fx));
            const float want = (float)clamped(rint((double)v), 0, 255);
            if (memcmp(&got[k], &want, sizeof want))
                fail_msg("pair %d, number %d: %g instead of %g", i, k, (double)got[k], (double)want);
        }
        rt_graph_free(g);
    }
}

static void limits(void **state)
{
    (void)state;
    rt_graph *g = rt_graph_new();
    int x, y;
    rt_conv_int8_attr a = {.out = 4, .groups = 1, .y_high = 255, .window = {{3, 3}, {1, 1}, {{0}, 4}, {1, 1}}};
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {3, {5, 5, 6}}}, NULL, &x));
    a.groups = 4;
    check_fails(rt_graph_add(g, RT_OP_CONV_INT8, "d", &x, 1, &a, NULL, &y), RT_USAGE, "4 groups do not divide");
    a.groups = 1, a.x_zero = -3;
    check_fails(rt_graph_add(g, RT_OP_CONV_INT8, "d", &x, 1, &a, NULL, &y), RT_USAGE, "'x_zero' is -3: 0 to 255");
    a.x_zero = 0, a.window.kernel[0] = 6;
    check_fails(rt_graph_add(g, RT_OP_CONV_INT8, "d", &x, 1, &a, NULL, &y), RT_USAGE, "larger than the padded input");
    check_fails(rt_graph_add(g, RT_OP_QUANTIZE, "q", &x, 1, &(rt_quantize_attr){.operand = {2, {5, 5}}, .high = 255},
                             NULL, &y), RT_USAGE, "do not broadcast");
    check_fails(rt_graph_add(g, RT_OP_QUANTIZE, "q", &x, 1,
                             &(rt_quantize_attr){.operand = {4, {2, 5, 5, 6}}, .high = 255}, NULL, &y), RT_USAGE,
                "more elements than its input");
    rt_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions), cmocka_unit_test(wraps),
                                       cmocka_unit_test(quantizers), cmocka_unit_test(pairs),
                                       cmocka_unit_test(unlike_pairs), cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
