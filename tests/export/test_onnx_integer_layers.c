/* Quantized ONNX operators as layers against the evaluator of the same graph, to the bit: of every kind, at odd shapes,
 * with zero points and scales of all sorts, rows alone and together, nothing left to be computed by definition. And
 * what budget files have whose weights are told by their shapes alone. */
#include "export/onnx_write.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/support.h"

enum { ROWS = 5 };
#define MS "com.microsoft"

static uint32_t seed = 1;
static int dice(int n) { return (int)((seed = seed * 1664525u + 1013904223u) >> 8) % n; }
static int between(int low, int high) { return low + dice(high - low + 1); }

/* ---- graphs ---- */

typedef struct { rt_onnx *o; int rank; int64_t dim[5]; int n; } graph;      /* dim of x, its batch 0 */

static graph begin(int opset, int rank, const int64_t *dim)
{
    graph g = {rt_onnx_new(opset, "g"), rank, {0}, 0};
    memcpy(g.dim, dim, (size_t)rank * sizeof *dim);
    rt_onnx_input(g.o, "x", RT_ONNX_F32, rank, dim);
    return g;
}

static const char *name(graph *g) { return rt_onnx_name(g->o, "v%d", g->n++); }

static rt_onnx_node *node(graph *g, const char *op, const char **out, const char *const *in)
{
    *out = name(g);
    return rt_onnx_add(g->o, op, *out, in);
}

static const char *floats(graph *g, int count, float low, float high)
{
    float v[300];
    const int64_t dim = count;
    for (int i = 0; i < count; i++) v[i] = low + (high - low) * (float)dice(1000) / 1000;
    return rt_onnx_const(g->o, name(g), RT_ONNX_F32, count > 0, &dim, count ? v : (v[0] = high, v));
}

/* Whole numbers of a type of one byte, any. */
static const char *bytes(graph *g, int is_signed, int rank, const int64_t *dim, int least, int most)
{
    static uint8_t v[1 << 16];
    size_t count = 1;
    for (int i = 0; i < rank; i++) count *= (size_t)dim[i];
    for (size_t i = 0; i < count; i++) v[i] = (uint8_t)between(least, most);
    return rt_onnx_const(g->o, name(g), is_signed ? RT_ONNX_I8 : RT_ONNX_U8, rank, dim, v);
}

static const char *zero_point(graph *g, int is_signed, int count)
{
    const int64_t dim = count;
    return bytes(g, is_signed, count > 0, &dim, is_signed ? -128 : 0, is_signed ? 127 : 255);
}

static const char *quantized(graph *g, const char *x, int is_signed)
{
    const char *out;
    node(g, "QuantizeLinear", &out, (const char *[]){x, floats(g, 0, 0, 0.02f), zero_point(g, is_signed, 0), NULL});
    return out;
}

static const char *cast(graph *g, const char *x)
{
    const char *out;
    rt_onnx_int(node(g, "Cast", &out, (const char *[]){x, NULL}), "to", RT_ONNX_F32);
    return out;
}

/* ---- both ways ---- */

/* Differing answers of the graph that ends with y; 1e9 and more where it was not imported so. within: steps that are
 * let through. */
static void compare(graph *g, const char *y, rt_op_id op, const char *what, double within)
{
    uint8_t *file;
    size_t n;
    const int64_t any[] = {0, 0, 0, 0};
    rt_onnx_file *f;
    rt_model *m;
    cJSON *binding;
    static const char told[] = "{\"inputs\": {\"x\": {\"layout\": \"chw\"}}, \"gives\": \"values\"}";
    rt_onnx_rename(g->o, y, "y");
    rt_onnx_output(g->o, "y", RT_ONNX_F32, 2, any);
    check_ok(rt_onnx_pack(g->o, &file, &n));
    check_ok(rt_json_parse(&binding, g->rank < 4 ? "{\"gives\": \"values\"}" : told,
                           strlen(g->rank < 4 ? "{\"gives\": \"values\"}" : told), "binding"));
    check_ok(rt_onnx_parse(&f, file, n, NULL));
    if (rt_onnx_import(&m, f, binding, NULL, NULL)) fail_msg("%s: %s", what, rt_error_message());
    int count = 0;
    for (int i = 0; i < m->graph->nodes; i++) {
        count += m->graph->node[i].op == op;
        if (m->graph->node[i].op == RT_OP_CALL)
            fail_msg("%s: %s is computed by definition", what, m->graph->node[i].name);
    }
    if (!count) fail_msg("%s has no layer %s", what, rt_ops[op]->name);
    const size_t size = m->input[0].size;
    const int width = rt_model_width(m);
    float *x = random_floats(ROWS * size, seed), *got = calloc((size_t)(ROWS * width), sizeof *got),
          *alone = calloc((size_t)(ROWS * width), sizeof *got);
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
    check_ok(rt_predict(p, &(rt_feed){.raw = x, .rows = ROWS}, got));
    for (int r = 0; r < ROWS; r++) {
        rt_region *region = rt_region_new((size_t)1 << 28);
        rt_array **value = rt_region_list(region, (size_t)f->graph->values, sizeof *value), *in = NULL;
        rt_eval *e;
        g->dim[0] = 1;
        check_ok(rt_predict(p, &(rt_feed){.raw = x + (size_t)r * size, .rows = 1}, alone + r * width));
        check_ok(rt_eval_new(&e, region));
        check_ok(rt_array_make(&in, region, RT_F32, g->rank, g->dim));
        memcpy(in->data, x + (size_t)r * size, size * sizeof *x);
        value[f->graph->input[0]] = in;
        check_ok(rt_eval_run(e, f->graph, value, 1));
        const rt_array *want = value[f->graph->output[0]];
        assert_int_equal(want->count, width);
        for (int i = 0; i < width; i++) {
            const double is = rt_array_double(want, (size_t)i);
            if (!(fabs((double)got[r * width + i] - is) <= within))
                fail_msg("%s: row %d, number %d is %.9g instead of %.9g", what, r, i, (double)got[r * width + i], is);
        }
        rt_region_free(region);
    }
    assert_memory_equal(got, alone, (size_t)(ROWS * width) * sizeof *got);
    rt_predictor_free(p);
    rt_device_close(device);
    rt_model_free(m);
    rt_onnx_close(f);
    cJSON_Delete(binding);
    rt_onnx_free(g->o);
    free(file); free(x); free(got); free(alone);
}

/* ---- quantizers ---- */

static void quantizers(void **state)
{
    (void)state;
    static const int64_t dims[][4] = {{0, 3, 5, 4}, {0, 6, 7, 2}, {0, 8, 6}};
    for (int i = 0; i < 24; i++) {
        const int rank = i % 3 == 2 ? 3 : 4, is_signed = i / 3 % 2, kind = i / 6, axis = between(1, rank - 1);
        const int64_t *d = dims[i % 3];
        graph g = begin(21, rank, d);
        const char *steps, *again, *scale = NULL, *zero = NULL;
        int64_t block[4] = {1, d[1], d[2], rank == 4 ? d[3] : 1};
        if (kind < 2) {                                    /* of a tensor, of an axis */
            scale = floats(&g, kind ? (int)d[axis] : 0, 0.01f, 0.05f);
            zero = zero_point(&g, is_signed, kind ? (int)d[axis] : 0);
        } else {                                           /* blocks of two; three, the last one short */
            float v[300];
            int count = 1;
            block[axis] = (d[axis] + kind - 1) / kind;
            for (int k = 0; k < rank; k++) count *= (int)block[k];
            for (int k = 0; k < count; k++) v[k] = 0.01f + 0.001f * (float)dice(40);
            scale = rt_onnx_const(g.o, "scales", RT_ONNX_F32, rank, block, v);
            zero = bytes(&g, is_signed, rank, block, is_signed ? -128 : 0, is_signed ? 127 : 255);
        }
        rt_onnx_node *q = node(&g, "QuantizeLinear", &steps, (const char *[]){"x", scale, zero, NULL});
        rt_onnx_int(q, "axis", i % 2 ? axis : axis - rank);
        if (kind > 1) rt_onnx_int(q, "block_size", kind);
        again = floats(&g, kind == 1 ? (int)d[axis] : 0, 0.01f, 0.05f);       /* dequantized otherwise */
        q = node(&g, "DequantizeLinear", &steps,
                 (const char *[]){steps, kind > 1 ? scale : again, kind == 1 || kind > 1 ? zero : NULL, NULL});
        rt_onnx_int(q, "axis", axis);
        if (kind > 1) rt_onnx_int(q, "block_size", kind);
        node(&g, "Flatten", &steps, (const char *[]){steps, NULL});
        compare(&g, steps, RT_OP_QUANTIZE, "quantizers", 0);
    }
}

/* ---- convolutions ---- */

typedef struct { int64_t c, groups, out, kernel[2], stride[2], gap[2], pads[4]; } window;

static window any_window(int c)
{
    window w = {.c = c, .groups = 1};
    if (!dice(3)) w.groups = c;
    else if (c % 2 == 0 && dice(2)) w.groups = 2;
    w.out = w.groups * between(1, 9);
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = between(1, 3);
        w.stride[i] = between(1, 2);
        w.gap[i] = between(1, 2);
        w.pads[i] = dice(3), w.pads[2 + i] = dice(2);
    }
    return w;
}

static void set_window(rt_onnx_node *n, const window *w)
{
    rt_onnx_ints(n, "kernel_shape", 2, w->kernel);
    rt_onnx_ints(n, "strides", 2, w->stride);
    rt_onnx_ints(n, "dilations", 2, w->gap);
    rt_onnx_ints(n, "pads", 4, w->pads);
    rt_onnx_int(n, "group", w->groups);
}

static const char *weights(graph *g, const window *w, int is_signed)
{
    const int64_t dim[] = {w->out, w->c / w->groups, w->kernel[0], w->kernel[1]};
    return bytes(g, is_signed, 4, dim, is_signed ? -128 : 0, is_signed ? 127 : 255);
}

static const char *int32s(graph *g, int count)
{
    int32_t v[300];
    const int64_t dim = count;
    for (int i = 0; i < count; i++) v[i] = between(-90000, 90000);
    return rt_onnx_const(g->o, name(g), RT_ONNX_I32, 1, &dim, v);
}

static void convolutions(void **state)
{
    (void)state;
    static const int64_t dim[] = {0, 6, 9, 8};
    for (int i = 0; i < 40; i++) {
        graph g = begin(21, 4, dim);
        const window w = any_window(6);
        const int in = dice(2), own = dice(2), each = dice(2) ? (int)w.out : 0, out = dice(2);
        const char *y, *x = quantized(&g, "x", in), *wt = weights(&g, &w, own), *zw = zero_point(&g, own, each);
        if (i % 2) {
            const char *zx = dice(4) ? zero_point(&g, in, 0) : "";
            set_window(node(&g, "ConvInteger", &y, (const char *[]){x, wt, zx, zw, NULL}), &w);
            y = cast(&g, y);
        } else {
            set_window(node(&g, "QLinearConv", &y,
                            (const char *[]){x, floats(&g, 0, 0, 0.03f), zero_point(&g, in, 0), wt,
                                             floats(&g, each, 0.002f, 0.009f), zw, floats(&g, 0, 0, 0.37f),
                                             zero_point(&g, out, 0), dice(2) ? int32s(&g, (int)w.out) : NULL, NULL}),
                       &w);
            node(&g, "DequantizeLinear", &y, (const char *[]){y, floats(&g, 0, 0, 1), zero_point(&g, out, 0), NULL});
        }
        node(&g, "Flatten", &y, (const char *[]){y, NULL});
        compare(&g, y, RT_OP_CONV_INT8, i % 2 ? "ConvInteger" : "QLinearConv", 0);
    }
}

/* Quantized where it stands, each row by itself. */
static void by_range(void **state)
{
    (void)state;
    static const int64_t dim[] = {0, 6, 9, 8};
    for (int i = 0; i < 16; i++) {
        graph g = begin(17, 4, dim);
        const window w = any_window(6);
        const int own = dice(2), each = dice(2) ? (int)w.out : 0;
        const char *x = name(&g), *scale = name(&g), *zero = name(&g), *y, *by;
        const int64_t along[] = {1, w.out, 1, 1};
        float v[100];
        for (int k = 0; k < 100; k++) v[k] = 0.01f + 0.001f * (float)dice(90);
        rt_onnx_node *q = rt_onnx_add(g.o, "DynamicQuantizeLinear", x, (const char *[]){"x", NULL});
        rt_onnx_more(q, scale);
        rt_onnx_more(q, zero);
        set_window(node(&g, "ConvInteger", &y,
                        (const char *[]){x, weights(&g, &w, own), zero, zero_point(&g, own, each), NULL}), &w);
        y = cast(&g, y);
        const char *step = each ? rt_onnx_const(g.o, "s", RT_ONNX_F32, 4, along, v) : floats(&g, 0, 0, 0.02f);
        node(&g, "Mul", &by, (const char *[]){scale, step, NULL});
        node(&g, "Mul", &y, (const char *[]){y, by, NULL});
        if (dice(2))
            node(&g, "Add", &y, (const char *[]){y, rt_onnx_const(g.o, "b", RT_ONNX_F32, 4, along, v), NULL});
        node(&g, "Flatten", &y, (const char *[]){y, NULL});
        compare(&g, y, RT_OP_CONV_INT8, "ConvInteger of a row's range", 0);
    }
}

/* ---- products ---- */

static void products(void **state)
{
    (void)state;
    for (int i = 0; i < 32; i++) {
        const int kind = i % 4, in = dice(2), own = dice(2), out = dice(2), k = between(1, 90), n = between(1, 40),
                  each = dice(2) ? n : 0, turned = kind == 3 && dice(2), rows = kind == 3 ? 1 : between(1, 5);
        const int64_t dim[] = {0, rows, k}, flat[] = {0, k}, matrix[] = {turned ? n : k, turned ? k : n};
        graph g = kind == 3 ? begin(17, 2, flat) : begin(17, 3, dim);
        const char *x = quantized(&g, "x", in), *w = bytes(&g, own, 2, matrix, own ? -128 : 0, own ? 127 : 255),
                   *zw = zero_point(&g, own, each), *zx = zero_point(&g, in, 0), *y;
        if (kind == 0) node(&g, "MatMulInteger", &y, (const char *[]){x, w, dice(4) ? zx : "", zw, NULL});
        if (kind == 1 || kind == 2)
            node(&g, "QLinearMatMul", &y,
                 (const char *[]){x, floats(&g, 0, 0, 0.03f), zx, w, floats(&g, each, 0.001f, 0.01f), zw,
                                  floats(&g, 0, 0, 0.4f), zero_point(&g, out, 0), NULL});
        if (kind == 3) {
            const int with_y = dice(2);
            const char *list[] = {x, floats(&g, 0, 0, 0.03f), zx, w, floats(&g, each, 0.001f, 0.01f), zw,
                                  dice(2) ? int32s(&g, n) : "", with_y ? floats(&g, 0, 0, 0.4f) : NULL,
                                  with_y ? zero_point(&g, in, 0) : NULL, NULL};
            rt_onnx_node *q = node(&g, "QGemm", &y, list);
            rt_onnx_domain(q, MS, 1);
            rt_onnx_int(q, "transB", turned);
            if (with_y) y = cast(&g, y);
        } else y = cast(&g, y);
        node(&g, "Flatten", &y, (const char *[]){y, NULL});
        compare(&g, y, RT_OP_CONV_INT8, kind == 0 ? "MatMulInteger" : kind == 3 ? "QGemm" : "QLinearMatMul", 0);
    }
}

/* Of two inputs that depend on data: exact while sums stay below 2^24, which long ones do not. */
static void of_two(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        const int in = dice(2), own = dice(2), out = dice(2), k = between(3, 60);
        const int64_t dim[] = {0, 7, k}, turn[] = {0, 2, 1};
        graph g = begin(17, 3, dim);
        const char *a = quantized(&g, "x", in), *b, *y;
        rt_onnx_ints(node(&g, "Transpose", &b, (const char *[]){"x", NULL}), "perm", 3, turn);
        b = quantized(&g, b, own);
        if (i % 2) {
            node(&g, "MatMulInteger", &y, (const char *[]){a, b, zero_point(&g, in, 0), zero_point(&g, own, 0), NULL});
        } else
            node(&g, "QLinearMatMul", &y,
                 (const char *[]){a, floats(&g, 0, 0, 0.03f), zero_point(&g, in, 0), b, floats(&g, 0, 0, 0.01f),
                                  zero_point(&g, own, 0), floats(&g, 0, 0, 0.4f), zero_point(&g, out, 0), NULL});
        y = cast(&g, y);
        node(&g, "Flatten", &y, (const char *[]){y, NULL});
        compare(&g, y, RT_OP_MATMUL, "a product of two", 0);
    }
    /* 300 x 255 x 255 > 2^24 */
    graph g = begin(17, 3, (const int64_t[]){0, 2, 300});
    const char *a = quantized(&g, "x", 0), *b, *y;
    uint8_t *file;
    size_t n, calls = 0;
    rt_onnx_file *f;
    rt_model *m;
    cJSON *binding;
    rt_onnx_ints(node(&g, "Transpose", &b, (const char *[]){a, NULL}), "perm", 3, (const int64_t[]){0, 2, 1});
    node(&g, "MatMulInteger", &y, (const char *[]){a, b, NULL});
    y = cast(&g, y);
    node(&g, "Flatten", &y, (const char *[]){y, NULL});
    rt_onnx_rename(g.o, y, "y");
    rt_onnx_output(g.o, "y", RT_ONNX_F32, 2, (const int64_t[]){0, 0});
    check_ok(rt_onnx_pack(g.o, &file, &n));
    check_ok(rt_json_parse(&binding, "{\"gives\": \"values\"}", 19, "binding"));
    check_ok(rt_onnx_parse(&f, file, n, NULL));
    check_ok(rt_onnx_import(&m, f, binding, NULL, NULL));
    for (int i = 0; i < m->graph->nodes; i++) calls += m->graph->node[i].op == RT_OP_CALL;
    assert_int_equal(calls, 1);
    rt_model_free(m);
    rt_onnx_close(f);
    rt_onnx_free(g.o);
    cJSON_Delete(binding);
    free(file);
}

/* ---- pairs, averages, tables ---- */

static void others(void **state)
{
    (void)state;
    static const char *const ops[] = {"QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu",
                                      "QLinearGlobalAveragePool"};
    static const rt_op_id layers[] = {RT_OP_PAIR_INT8, RT_OP_PAIR_INT8, RT_OP_CONCAT, RT_OP_QUANTIZE, RT_OP_QUANTIZE,
                                      RT_OP_REDUCE_SUM};
    static const int64_t dim[] = {0, 6, 5, 4};
    for (int i = 0; i < 24; i++) {
        const int kind = i % 6, s = i / 6 % 2;
        graph g = begin(17, 4, dim);
        const char *a = quantized(&g, "x", s), *b, *y, *scale[3], *zero[3];
        node(&g, i > 11 && kind < 2 ? "GlobalMaxPool" : "Identity", &b, (const char *[]){"x", NULL});
        b = i > 17 && kind < 2 ? bytes(&g, s, 2, (const int64_t[]){5, 1}, 0, 90) : quantized(&g, b, s);
        for (int k = 0; k < 3; k++) {
            scale[k] = floats(&g, 0, 0, 0.01f * (float)between(1, 9));
            zero[k] = zero_point(&g, s, 0);
        }
        const char *pair[] = {a, scale[0], zero[0], b, scale[1], zero[1], scale[2], zero[2], NULL},
                   *one[] = {a, scale[0], zero[0], scale[1], zero[1], NULL},
                   *join[] = {scale[2], zero[2], a, scale[0], zero[0], b, scale[1], zero[1], NULL};
        rt_onnx_node *n = node(&g, ops[kind], &y, kind < 2 ? pair : kind == 2 ? join : one);
        rt_onnx_domain(n, MS, 1);
        if (kind == 2) rt_onnx_int(n, "axis", between(1, 3));
        if (kind == 4) rt_onnx_float(n, "alpha", 0.2f);
        if (kind == 5) rt_onnx_int(n, "channels_last", 0);
        node(&g, "DequantizeLinear", &y, (const char *[]){y, floats(&g, 0, 0, 1), zero_point(&g, s, 0), NULL});
        node(&g, "Flatten", &y, (const char *[]){y, NULL});
        compare(&g, y, layers[kind], ops[kind], 0);
    }
}

/* Operators of floats between DequantizeLinear and QuantizeLinear: one layer of integers, which is the same where the
 * floats of the definition do not come upon the other side of a half. */
static void between_pairs(void **state)
{
    (void)state;
    static const int64_t dim[] = {0, 6, 9, 8};
    for (int i = 0; i < 12; i++) {
        graph g = begin(21, 4, dim);
        const window w = any_window(6);
        const int in = dice(2), own = dice(2), out = dice(2), relu = i % 2, each = dice(2) ? (int)w.out : 0;
        const int64_t outs = w.out;
        const char *x = quantized(&g, "x", in), *wt = weights(&g, &w, own), *y, *zero = zero_point(&g, out, 0),
                   *scale = floats(&g, 0, 0, 0.02f), *step = floats(&g, 0, 0, 0.5f);
        float sw[60], sb[60];
        int32_t b[60];
        for (int k = 0; k < w.out; k++) {
            sw[k] = 0.001f * (float)between(1, 9);
            if (!each) sw[k] = sw[0];
            sb[k] = sw[k] * 0.02f;
            b[k] = between(-3000, 3000);
        }
        node(&g, "DequantizeLinear", &x, (const char *[]){x, scale, zero_point(&g, in, 0), NULL});
        rt_onnx_int(node(&g, "DequantizeLinear", &wt,
                         (const char *[]){wt, rt_onnx_const(g.o, "sw", RT_ONNX_F32, each > 0, &outs, sw),
                                          zero_point(&g, own, each), NULL}), "axis", 0);
        const char *bias = rt_onnx_const(g.o, "b", RT_ONNX_I32, 1, &outs, b);
        rt_onnx_int(node(&g, "DequantizeLinear", &bias,
                         (const char *[]){bias, rt_onnx_const(g.o, "sb", RT_ONNX_F32, 1, &outs, sb), NULL}), "axis", 0);
        set_window(node(&g, "Conv", &y, (const char *[]){x, wt, bias, NULL}), &w);
        if (relu) node(&g, "Relu", &y, (const char *[]){y, NULL});
        node(&g, "QuantizeLinear", &y, (const char *[]){y, step, zero, NULL});
        node(&g, "DequantizeLinear", &y, (const char *[]){y, floats(&g, 0, 0, 1), zero, NULL});
        node(&g, "Flatten", &y, (const char *[]){y, NULL});
        compare(&g, y, RT_OP_CONV_INT8, "Conv between pairs", 1);
    }
}

/* ---- memory ---- */

/* A product whose weights are a constant filled by its shape; readers of it. */
static size_t budget(int64_t k, int64_t n, const char *op, int readers)
{
    const int64_t dim[] = {0, k}, shape[] = {k, n}, two = 2;
    graph g = begin(17, 2, dim);
    const char *w, *y = "x", *of = rt_onnx_const(g.o, "shape", RT_ONNX_I64, 1, &two, shape);
    uint8_t *file;
    size_t size, bytes_of;
    rt_onnx_file *f;
    node(&g, "ConstantOfShape", &w, (const char *[]){of, NULL});
    for (int i = 0; i < readers; i++) node(&g, op, &y, (const char *[]){"x", w, NULL});
    rt_onnx_rename(g.o, y, "y");
    rt_onnx_output(g.o, "y", RT_ONNX_F32, 2, (const int64_t[]){0, n});
    check_ok(rt_onnx_pack(g.o, &file, &size));
    check_ok(rt_onnx_parse(&f, file, size, NULL));
    bytes_of = f->budget - 16 * size - ((size_t)1 << 30);
    rt_onnx_close(f);
    rt_onnx_free(g.o);
    free(file);
    return bytes_of;
}

static void filled(void **state)
{
    (void)state;
    assert_int_equal(budget(25088, 4096, "MatMul", 1), 4 * (size_t)25088 * 4096 * 4);        /* of VGG-19 */
    assert_int_equal(budget(25088, 4096, "Gemm", 1), 4 * (size_t)25088 * 4096 * 4);
    assert_int_equal(budget(25088, 4096, "MatMul", 2), 0);
    assert_int_equal(budget(25088, 4096, "Add", 1), 0);
    assert_int_equal(budget(1 << 14, 1 << 14, "MatMul", 1), (size_t)4 << 30);
    assert_int_equal(budget(1 << 14, (1 << 14) + 1, "MatMul", 1), 0);
    assert_int_equal(budget((int64_t)1 << 40, (int64_t)1 << 40, "MatMul", 1), 0);
    assert_int_equal(budget(-4, 4, "MatMul", 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantizers), cmocka_unit_test(convolutions), cmocka_unit_test(by_range),
        cmocka_unit_test(products), cmocka_unit_test(of_two), cmocka_unit_test(others), cmocka_unit_test(between_pairs),
        cmocka_unit_test(filled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
