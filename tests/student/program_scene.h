/* tests/student/program_scene.h - quantized models of all operators with an integer form, their programs, and rows. */
#ifndef RT_TESTS_PROGRAM_SCENE_H
#define RT_TESTS_PROGRAM_SCENE_H

#include "student/calibrate.h"
#include "student/program.h"
#include "tests/student/random_model.h"

/* Everything that has an integer form: both kinds of input, grouped and depthwise convolutions, norms that fold and one
 * that does not, activations by table, all pools, a maximum of what another layer reads too, add and multiply, concat,
 * reshape, two heads, a head that is read. */
static const char *const archs[] = {
    "{\"input\":[9,9,2],\"classes\":4,\"family\":\"resnet\",\"width\":6,\"depth\":1}",
    "{\"input\":[16],\"classes\":5,\"layers\":[{\"op\":\"dense\",\"out\":64},{\"op\":\"relu\"},"
    "{\"op\":\"dense\",\"out\":19},"
    "{\"op\":\"relu6\"},{\"op\":\"dense\",\"out\":5}]}",
    "{\"input\":[33,3],"
    "\"classes\":6,\"layers\":[{\"op\":\"conv1d\",\"out\":10,\"kernel\":5,\"padding\":2,\"bias\":false},"
    "{\"op\":\"batch_norm\"},{\"op\":\"relu\"},{\"op\":\"max_pool\",\"kernel\":2},"
    "{\"op\":\"conv1d\",\"out\":20,\"kernel\":3},"
    "{\"op\":\"gelu\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":6}]}",
    "{\"input\":[10,8,3],\"heads\":[{\"name\":\"kind\",\"size\":4},"
    "{\"name\":\"age\",\"task\":\"real\",\"size\":2}],\"layers\":["
    "{\"name\":\"c1\",\"op\":\"conv2d\",\"out\":12,\"kernel\":3,\"padding\":1},{\"name\":\"s1\",\"op\":\"silu\"},"
    "{\"name\":\"d\",\"op\":\"conv2d\",\"out\":12,\"kernel\":3,\"padding\":1,\"groups\":12},{\"op\":\"batch_norm\"},"
    "{\"name\":\"r\",\"op\":\"relu6\"},"
    "{\"name\":\"g\",\"op\":\"conv2d\",\"out\":12,\"kernel\":3,\"padding\":\"same\",\"groups\":3},"
    "{\"name\":\"a\",\"op\":\"add\",\"from\":[\"g\",\"s1\"]},{\"name\":\"bn\",\"op\":\"batch_norm\"},"
    "{\"name\":\"h\",\"op\":\"hard_swish\"},"
    "{\"name\":\"m\",\"op\":\"multiply\",\"from\":[\"h\",\"r\"]},"
    "{\"name\":\"cc\",\"op\":\"concat\",\"from\":[\"m\",\"a\"]},"
    "{\"name\":\"ap\",\"op\":\"avg_pool\",\"kernel\":3,\"stride\":2,\"padding\":1},"
    "{\"name\":\"mp\",\"op\":\"max_pool\",\"kernel\":2,\"padding\":1},"
    "{\"op\":\"reshape\",\"shape\":[216]},{\"name\":\"kind\",\"op\":\"dense\",\"out\":4},"
    "{\"name\":\"sg\",\"op\":\"sigmoid\"},"
    "{\"name\":\"age\",\"op\":\"dense\",\"out\":2}]}",
    "{\"input\":[21,3],\"classes\":5,\"layers\":[{\"op\":\"conv1d\",\"out\":9,\"kernel\":3,\"padding\":1},"
    "{\"name\":\"r\",\"op\":\"relu\"},{\"op\":\"max_pool\",\"kernel\":2},{\"name\":\"f\",\"op\":\"flatten\"},"
    "{\"name\":\"q\",\"op\":\"global_avg_pool\",\"from\":\"r\"},"
    "{\"op\":\"concat\",\"from\":[\"f\",\"q\"]},{\"op\":\"dense\",\"out\":5}]}"};
enum { ARCHS = sizeof archs / sizeof archs[0], ROWS = 70 };

static rt_device *device;

static rt_model *make(int which, int images)
{
    rt_model *m = random_model(archs[which], 11 + (uint64_t)which);
    if (images) {
        double mean[3] = {90, 90.4, 89.7}, std[3] = {60, 73, 52}, apart;
        check_ok(rt_input_set_normalization(&m->input[0], mean, std, rt_input_last(&m->input[0])));
        assert_true(rt_program_takes_bytes(m, &apart) && apart <= 0.5);
    }
    return m;
}

typedef struct {
    rt_model *m;
    uint8_t *raw;                    /* (ROWS, input) */
    float *x;                        /* the same, normalised */
    rt_program *p;
} scene;

static scene scene_new(int which, int bytes, const rt_calibrate_spec *spec)
{
    scene s = {.m = make(which, bytes)};
    size_t n = s.m->input[0].size * ROWS;
    s.raw = malloc(n);
    float *noise = random_floats(n, 3);
    for (size_t i = 0; i < n; i++) s.raw[i] = (uint8_t)fminf(fmaxf(90 + 50 * noise[i], 0), 255);
    s.x = noise;
    rt_input_take(&s.m->input[0], RT_U8);
    if (bytes) rt_input_normalize(&s.m->input[0], s.x, s.raw, ROWS);
    rt_calibrate_spec own = spec ? *spec : (rt_calibrate_spec){.correct = 1};
    own.bytes = bytes;
    check_ok(rt_calibrate(s.m, &own, s.x, ROWS, device));
    check_ok(rt_program_of(&s.p, s.m));
    return s;
}

static void scene_free(scene *s)
{
    rt_program_free(s->p);
    rt_model_free(s->m);
    free(s->raw);
    free(s->x);
}

#endif
