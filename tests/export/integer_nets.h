/* tests/export/integer_nets.h - small integer programs of every operator, and rows for them, of which some are extreme.
 */
#ifndef RT_TESTS_EXPORT_INTEGER_NETS_H
#define RT_TESTS_EXPORT_INTEGER_NETS_H

#include "engine/kernels.h"
#include "student/calibrate.h"
#include "student/program.h"
#include "tests/student/random_model.h"

/* Both kinds of input, grouped, depthwise and widening depthwise convolutions, strides, paddings that differ by side,
 * all activations by table, all pools, add, multiply, concat, reshape, several heads, one of them read by others. */
static const struct { const char *arch; int bytes;
} nets[] = {                         /* bytes: whether rows of bytes are taken too; 2: only those */
    {"{\"input\":[9,11,2],\"classes\":4,\"layers\":["
     "{\"name\":\"a\",\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1},{\"op\":\"batch_norm\"},"
     "{\"name\":\"r\",\"op\":\"relu\"},"
     "{\"op\":\"conv2d\",\"out\":18,\"kernel\":[3,2],\"stride\":2,\"padding\":[1,0]},{\"op\":\"relu6\"},"
     "{\"op\":\"conv2d\",\"out\":6,\"kernel\":1},{\"op\":\"avg_pool\",\"kernel\":3,\"stride\":2,\"padding\":1},"
     "{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":4}]}",
     1},
    {"{\"input\":[16],\"classes\":5,\"layers\":[{\"op\":\"dense\",\"out\":70},{\"op\":\"relu\"},"
     "{\"op\":\"dense\",\"out\":19},"
     "{\"op\":\"tanh\"},{\"op\":\"dense\",\"out\":5}]}",
     0},
    {"{\"input\":[33,3],\"classes\":6,\"layers\":["
     "{\"op\":\"conv1d\",\"out\":10,\"kernel\":5,\"padding\":2,\"bias\":false},"
     "{\"op\":\"batch_norm\"},{\"op\":\"relu\"},{\"op\":\"max_pool\",\"kernel\":2},"
     "{\"op\":\"conv1d\",\"out\":20,\"kernel\":3},"
     "{\"op\":\"gelu\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":6}]}",
     1},
    {"{\"input\":[10,8,3],\"heads\":[{\"name\":\"kind\",\"size\":4},"
     "{\"name\":\"what it's worth\",\"task\":\"real\",\"size\":2}],"
     "\"layers\":["
     "{\"name\":\"c1\",\"op\":\"conv2d\",\"out\":12,\"kernel\":3,\"padding\":1},{\"name\":\"s1\",\"op\":\"silu\"},"
     "{\"name\":\"d\",\"op\":\"conv2d\",\"out\":12,\"kernel\":3,\"padding\":1,\"groups\":12},{\"op\":\"batch_norm\"},"
     "{\"name\":\"r\",\"op\":\"relu6\"},"
     "{\"name\":\"g\",\"op\":\"conv2d\",\"out\":12,\"kernel\":3,\"padding\":\"same\",\"groups\":3},"
     "{\"name\":\"a\",\"op\":\"add\",\"from\":[\"g\",\"s1\"]},{\"name\":\"bn\",\"op\":\"batch_norm\"},"
     "{\"name\":\"h\",\"op\":\"hard_swish\"},{\"name\":\"m\",\"op\":\"multiply\",\"from\":[\"h\",\"r\"]},"
     "{\"name\":\"w\",\"op\":\"conv2d\",\"out\":24,\"kernel\":2,\"groups\":12},"
     "{\"name\":\"wp\",\"op\":\"max_pool\",\"kernel\":1},"
     "{\"name\":\"cc\",\"op\":\"concat\",\"from\":[\"m\",\"a\"]},"
     "{\"name\":\"ap\",\"op\":\"avg_pool\",\"kernel\":3,\"stride\":2,\"padding\":1},"
     "{\"name\":\"mp\",\"op\":\"max_pool\",\"kernel\":2,\"padding\":1},"
     "{\"name\":\"fl\",\"op\":\"reshape\",\"shape\":[216]},"
     "{\"name\":\"gw\",\"op\":\"global_avg_pool\",\"from\":\"wp\"},"
     "{\"name\":\"kc\",\"op\":\"concat\",\"from\":[\"fl\",\"gw\"]},{\"name\":\"kind\",\"op\":\"dense\",\"out\":4},"
     "{\"name\":\"sg\",\"op\":\"sigmoid\"},{\"name\":\"what it's worth\",\"op\":\"dense\",\"out\":2}]}",
     1},
    {"{\"input\":[13,10,1],\"heads\":[{\"name\":\"kind\",\"size\":4},"
     "{\"name\":\"tags\",\"task\":\"multilabel\",\"size\":3},{\"name\":\"how much\",\"task\":\"real\",\"size\":1}],"
     "\"layers\":["
     "{\"op\":\"conv2d\",\"out\":20,\"kernel\":3,\"padding\":1},{\"op\":\"relu\"},"
     "{\"name\":\"w\",\"op\":\"conv2d\",\"out\":66,\"kernel\":3,\"stride\":2,\"padding\":1},{\"op\":\"relu\"},"
     "{\"name\":\"g\",\"op\":\"global_avg_pool\"},"
     "{\"name\":\"kind\",\"op\":\"dense\",\"out\":4},"
     "{\"name\":\"tags\",\"op\":\"dense\",\"out\":3,\"from\":\"g\"},"
     "{\"name\":\"how much\",\"op\":\"dense\",\"out\":1,\"from\":\"g\"}]}",
     2}};
enum { NETS = sizeof nets / sizeof nets[0], NET_ROWS = 40 };

static rt_device *net_device;

/* FNV-1a, 64 bits. */
static inline uint64_t net_fnv(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

typedef struct {
    rt_model *m;
    uint8_t *raw;                    /* (NET_ROWS, input) */
    float *x;                        /* floats of their own, or those bytes, normalised */
    rt_program *p;
} net_scene;

static inline rt_model *net_model(int which, int bytes)
{
    cJSON *names = cJSON_Parse("[\"a \\\"quoted\\\" \\u00e9?\?/\",\"b\",\"c\",\"d\"]");
    rt_model *m = random_model(nets[which].arch, 11 + (uint64_t)which);
    for (int h = 0; h < m->heads; h++) {
        rt_names list;
        if (m->head[h].task == RT_TASK_REAL || m->head[h].size > 4) continue;
        while (cJSON_GetArraySize(names) > m->head[h].size) cJSON_DeleteItemFromArray(names, 0);
        check_ok(rt_names_from_json(&list, names, "test", "classes"));
        check_ok(rt_model_set_classes(m, h, &list));
        rt_names_free(&list);
    }
    cJSON_Delete(names);
    if (bytes) {
        double mean[3] = {90, 90.4, 89.7}, std[3] = {60, 73, 52};
        check_ok(rt_input_set_normalization(&m->input[0], mean, std, rt_input_last(&m->input[0])));
    }
    return m;
}

/* The first rows are extreme: least, greatest, zeros, and of floats infinite, not a number, and beyond the range. */
static inline void net_extremes(net_scene *s, int bytes)
{
    size_t n = s->m->input[0].size;
    const float some[] = {-1e30f, 1e30f, 0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f};
    for (size_t i = 0; i < n; i++) {
        s->raw[i] = 0;
        s->raw[n + i] = 255;
        s->raw[2 * n + i] = i % 2 ? 255 : 0;
        for (int r = 0; r < 3 && !bytes; r++) s->x[(size_t)r * n + i] = some[(i * (size_t)(2 * r + 1) + (size_t)r) % 8];
    }
}

/* Calibrated by the plain-C family, so that programs are the same everywhere. */
static inline net_scene net_scene_new(int which, int bytes)
{
    check_ok(rt_kernels_select("scalar"));
    net_scene s = {.m = net_model(which, bytes)};
    size_t n = s.m->input[0].size * NET_ROWS;
    s.raw = malloc(n);
    s.x = random_floats(n, 3);
    for (size_t i = 0; i < n; i++) s.raw[i] = (uint8_t)fminf(fmaxf(90 + 50 * s.x[i], 0), 255);
    rt_input_take(&s.m->input[0], RT_U8);
    if (bytes) rt_input_normalize(&s.m->input[0], s.x, s.raw, NET_ROWS);
    int bits[64];
    for (int i = 0; i < 64; i++) bits[i] = which == 4 ? (i % 2 ? 4 : 7) : i % 3 == 2 ? 4 : 8;
    check_ok(
        rt_calibrate(s.m, &(rt_calibrate_spec){.bytes = bytes, .bits = bits, .correct = 1}, s.x, NET_ROWS, net_device));
    check_ok(rt_program_of(&s.p, s.m));
    net_extremes(&s, bytes);
    return s;
}

static inline void net_scene_free(net_scene *s)
{
    rt_program_free(s->p);
    rt_model_free(s->m);
    free(s->raw);
    free(s->x);
}

static inline const void *net_rows(const net_scene *s, size_t *row_bytes)
{
    *row_bytes = s->m->input[0].size * (rt_program_takes(s->p) ? 1 : sizeof(float));
    return rt_program_takes(s->p) ? (const void *)s->raw : s->x;
}

/* (NET_ROWS, width) */
static inline float *net_answers(const rt_program *p, const void *rows, size_t row_bytes)
{
    void *c = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63);
    float *y = calloc((size_t)(NET_ROWS * rt_program_width(p)), sizeof *y);
    rt_program_start(p, c);
    for (int r = 0; r < NET_ROWS; r++)
        rt_program_infer(p, c, y + r * rt_program_width(p), (const char *)rows + (size_t)r * row_bytes, 1);
    free(c);
    return y;
}
#endif
