/* Steps of few launches on the emulated card: chains of small dense layers, with and without their loss, against the
 * CPU; and how many launches a step of the models has that speed is measured on. */
#include "tests/cuda/cuda_scene.h"

#define DENSE(n) "{\"op\": \"dense\", \"out\": " #n "}"
#define RELU "{\"op\": \"relu\"}"
#define NET(input, classes, layers) "{\"input\": " input ", \"classes\": " #classes ", \"layers\": [" layers "]}"
#define SHARED \
    NET("[8]", 3, \
        "{\"op\": \"dense\", \"name\": \"a\", \"out\": 8}, " RELU ", " \
        "{\"op\": \"dense\", \"name\": \"b\", \"out\": 8, \"share\": \"a\"}, {\"op\": \"dropout\", \"rate\": 0}, " \
        DENSE(3))

/* Widths around those of warps, vectors and slices; more layers than a chain has; a last layer with an activation. */
static void shapes(void **state)
{
    (void)state;
    const char *archs[] = {
        NET("[1]", 2, DENSE(1) ", " RELU ", " DENSE(2)),
        NET("[31]", 3, DENSE(33) ", " RELU ", " DENSE(66) ", " RELU ", " DENSE(3)),
        NET("[130]", 7, DENSE(68) ", {\"op\": \"relu6\"}, " DENSE(7) ", " RELU),
        NET("[5]", 70, DENSE(300) ", " RELU ", " DENSE(70)),
        NET("[6]", 4, DENSE(5) ", " RELU ", " DENSE(6) ", " DENSE(7) ", " RELU ", " DENSE(8) ", " DENSE(9) ", " DENSE(8)
            ", " RELU ", " DENSE(7) ", " DENSE(6) ", " RELU ", " DENSE(4)),
        NET("[9]", 4, DENSE(32) ", " RELU ", " DENSE(16) ", " RELU ", " DENSE(8) ", " DENSE(4)),
    };
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        scene_check(&(cuda_scene){.arch = archs[i], .batch = 7, .rows = 5, .steps = 2, .gradient = 5e-5});
        scene_check(&(cuda_scene){.arch = archs[i], .batch = 1, .steps = 1});
    }
    scene_check(&(cuda_scene){.arch = archs[1], .batch = 150, .rows = 140, .steps = 2, .orders = 2});
    scene_check(&(cuda_scene){.arch = archs[1], .batch = 1030, .steps = 1, .orders = 1});
    scene_check(&(cuda_scene){.arch = archs[5], .batch = 258, .steps = 1, .orders = 1});
}

/* A first layer with a launch of its own: columns that vectors divide and such that they do not, and its gradient of
 * what it reads. */
static void first(void **state)
{
    (void)state;
    const char *archs[] = {NET("[300]", 3, DENSE(70) ", " RELU ", " DENSE(3)),
                           NET("[130]", 5, DENSE(128) ", {\"op\": \"relu6\"}, " DENSE(9) ", " RELU ", " DENSE(5)),
                           NET("[9, 9, 2]", 3, "{\"op\": \"conv2d\", \"out\": 3, \"kernel\": 3}, "
                               "{\"op\": \"flatten\"}, " DENSE(100) ", " RELU ", " DENSE(3))};
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        scene_check(&(cuda_scene){.arch = archs[i], .batch = 11, .rows = 10, .steps = 2, .gradient = 5e-5});
    scene_check(&(cuda_scene){.arch = archs[0], .batch = 1030, .steps = 1, .orders = 1});
    scene_check(&(cuda_scene){.arch = archs[0], .batch = 9, .steps = 2, .precision = RT_P_BF16, .forward = 2e-2,
                              .gradient = 6e-2, .drift = 6e-2});
}

/* A first layer's parts of k are held and added up by the next launch, or, where rows are many, added at once: in one
 * order, so that a row has the same bits. */
static void parts(void **state)
{
    (void)state;
    cuda_scene many = {.arch = NET("[300]", 3, DENSE(70) ", " RELU ", " DENSE(3)), .batch = 1030}, few = many;
    rt_model *m = scene_model(many.arch);
    rt_device *card;
    scene_data d = scene_fill(&many, m);
    scene_result at_once = {0}, apart = {0};
    few.batch = 40;
    check_ok(rt_device_open(&card, "cuda", 1));
    scene_answer(&many, m, card, &d, &at_once);
    scene_answer(&few, m, card, &d, &apart);
    assert_memory_equal(apart.answers, at_once.answers, 40 * 3 * sizeof(float));
    scene_free(&apart);
    scene_free(&at_once);
    scene_free_data(&d);
    rt_device_close(card);
    rt_model_free(m);
}

/* Every loss that a row has by itself is taken into the launch; dist is not. */
static void losses(void **state)
{
    (void)state;
    for (rt_soft_kind k = RT_SOFT_NONE; k <= RT_SOFT_MSE; k++)
        scene_check(&(cuda_scene){.arch = NET("[9]", 5, DENSE(12) ", " RELU ", " DENSE(5)), .batch = 10, .rows = 9,
                                  .steps = 2, .drift = 1e-3, .gradient = 1e-4,
                                  .loss = {.kind = k, .hard = 0.4f, .soft = 0.6f, .temperature = 3, .alpha = 1,
                                           .beta = 2, .gamma = 1, .smoothing = 0.1f}});
}

/* Behind other layers, whose gradient the chain gives; beside a layer that reads the same; two heads of one trunk. */
static void within(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = NET("[4, 4, 2]", 3, "{\"op\": \"conv2d\", \"out\": 4, \"kernel\": 3}, " RELU
                                          ", {\"op\": \"flatten\"}, " DENSE(9) ", " RELU ", " DENSE(3)),
                              .batch = 6, .rows = 5, .steps = 2});
    scene_check(&(cuda_scene){.arch = NET("[4, 4, 2]", 3, "{\"op\": \"conv2d\", \"out\": 4, \"kernel\": 3}, "
                                          "{\"op\": \"flatten\", \"name\": \"f\"}, " DENSE(9) ", " RELU
                                          ", {\"op\": \"dense\", \"name\": \"a\", \"out\": 3}, "
                                          "{\"op\": \"dense\", \"name\": \"b\", \"out\": 3, \"from\": \"f\"}, "
                                          "{\"op\": \"add\", \"from\": [\"a\", \"b\"]}"),
                              .batch = 6, .rows = 5, .steps = 2});
    scene_check(&(cuda_scene){.arch = SHARED, .batch = 6, .steps = 2});
}

/* Both factors rounded; without ReLU, whose derivative jumps where a sum is rounded across 0. */
static void rounded(void **state)
{
    (void)state;
    for (rt_precision p = RT_P_TF32; p <= RT_P_BF16; p++)
        scene_check(&(cuda_scene){.arch = NET("[40]", 5, DENSE(24) ", " DENSE(12) ", " DENSE(5)), .batch = 9,
                                  .steps = 2, .precision = p, .forward = p == RT_P_TF32 ? 2e-3 : 2e-2,
                                  .gradient = p == RT_P_TF32 ? 4e-3 : 4e-2, .drift = p == RT_P_TF32 ? 1e-2 : 6e-2});
    /* The bias's gradient is the sum of gradients as they are: where inputs are next to nothing, it is as exact. */
    for (rt_precision p = RT_P_TF32; p <= RT_P_BF16; p++)
        scene_check(&(cuda_scene){.arch = NET("[6]", 5, "{\"op\": \"dense\", \"out\": 8, \"bias\": false}, " DENSE(5)),
                                  .batch = 9, .steps = 1, .precision = p, .scale = 1e-30f, .drift = 1e-4});
}

/* The update by the launch that makes the gradients: both optimizers, averages. */
static void updates(void **state)
{
    (void)state;
    const char *arch = NET("[9]", 5, DENSE(40) ", " RELU ", " DENSE(5));
    scene_check(
        &(cuda_scene){.arch = arch,
                      .batch = 8,
                      .rows = 5,
                      .steps = 5,
                      .update = {.kind = RT_SGD, .momentum = 0.9, .nesterov = 1, .ema = 0.9, .weight_decay = 0.02}});
    scene_check(&(cuda_scene){.arch = arch, .batch = 8, .steps = 5, .drift = 2e-3,
                              .update = {.kind = RT_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .ema = 0.5,
                                         .weight_decay = 0.1}});
}

/* ---- launches ---- */

static void first_line(void *arg, const char *text)
{
    int *count = arg;
    if (*count < 0) *count = atoi(text);
}

static int launches(const rt_model *m, rt_device *card, int train, double clip)
{
    rt_update_desc update = {.kind = RT_SGD, .momentum = 0.9, .clip = clip};
    rt_loss_batch loss = {.config = {.hard = 1}, .hard_scale = 1, .soft_scale = 1, .lambda = 1};
    rt_session_spec spec = {.graph = m->graph, .batch = 128, .train = train, .params = m->params, .states = m->states};
    rt_session *s;
    int count = -1;
    if (train) {
        spec.losses = 1;
        spec.update = &update;
        spec.loss[0].tensor = m->head[0].tensor;
        spec.loss[0].batch = &loss;
    } else {
        spec.outputs = 1;
        spec.output[0] = m->head[0].tensor;
    }
    check_ok(rt_session_new(&s, &spec, card));
    rt_session_describe(s, first_line, &count);
    rt_session_free(s);
    return count;
}

/* A step costs what its launches do, so their number is a bar of its own. */
static void of_models(void **state)
{
    (void)state;
    static const struct { const char *name; int train, infer; } models[] = {
        {"jet", 3, 2}, {"mlp", 4, 3}, {"cnn", 26, 8}, {"conv1d", 25, 8}, {"dscnn", 69, 12}, {"resnet8", 64, 15}};
    rt_device *card;
    int bad = 0;
    check_ok(rt_device_open(&card, "cuda", 1));
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char *text = scene_text(models[i].name);
        rt_model *m = scene_model(text);
        int train = launches(m, card, 1, 0), clipped = launches(m, card, 1, 1), infer = launches(m, card, 0, 0);
        printf("%s: %d launches a training step, %d with clipping, %d of inference\n", models[i].name, train, clipped,
               infer);
        int more = models[i].train < 10 ? 2 : 1;                  /* clipping needs the norm before the update */
        bad += train != models[i].train || clipped != train + more || infer != models[i].infer;
        rt_model_free(m);
        free(text);
    }
    rt_device_close(card);
    if (bad) fail_msg("%d models have other numbers of launches", bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes),  cmocka_unit_test(first),
                                       cmocka_unit_test(parts),   cmocka_unit_test(losses),
                                       cmocka_unit_test(within),  cmocka_unit_test(rounded),
                                       cmocka_unit_test(updates), cmocka_unit_test(of_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
