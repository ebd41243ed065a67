/* What a file of ours claims is checked before memory and time are spent on it: models, label stores, checkpoints whose
 * texts tell of more than there is, with checksums that hold. */
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "data/labels.h"
#include "student/arch.h"
#include "student/model.h"
#include "tests/support.h"
#include "train/checkpoint.h"

static char *at(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", test_folder, name);
    return path;
}

/* A model's file: its manifest with the digest that it should have, and `sets` small sets of the names given. */
static void forge_model(const char *arch, const char *rest, const rt_h5_item *sets, int n)
{
    rt_h5_item it[8];
    char zeros[] = "00000000000000000000000000000000", *text = malloc(strlen(arch) + strlen(rest) + 256);
    assert_non_null(text);
    sprintf(text, "{\"format\": \"retort-model-2\", \"manifest_digest\": \"%s\", \"digest\": \"%s\"%s%s%s}", zeros,
            zeros, *arch ? ", \"arch\": " : "", arch, rest);
    memcpy(strstr(text, zeros), rt_digest_of(text, strlen(text)).hex, 32);
    for (int i = 0; i < n; i++) it[i] = sets[i];
    it[n] = (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text};
    remove(at("m.h5"));
    check_ok(rt_h5_save(at("m.h5"), "retort-model-2", it, n + 1));
    free(text);
}

static void refuse_model(const char *part)
{
    rt_model *m;
    check_fails(rt_model_load(&m, at("m.h5")), RT_INPUT, part);
    assert_non_null(strstr(rt_error_message(), "m.h5: "));
    assert_null(m);
}

static void models(void **state)
{
    (void)state;
    static const char huge[] =
        "{\"input\": [300000], \"classes\": 1000, \"layers\": [{\"op\": \"dense\", \"out\": 1000}]}";
    static const char small[] = "{\"input\": [3], \"classes\": 2, \"layers\": [{\"op\": \"dense\", \"out\": 2}]}";
    static const char norm[] = ", \"normalization\": {\"mul\": [1], \"add\": [0]}";
    static float w[8];
    struct rusage before, after;
    clock_t start = clock();
    rt_h5_item bias = {.name = "params/dense1.bias", .type = RT_F32, .rank = 1, .dim = {2}, .data = w};
    rt_h5_item wrong[] = {{.name = "params/dense1.weight", .type = RT_F32, .rank = 2, .dim = {2, 3}, .data = w}, bias};
    rt_h5_item flat[] = {{.name = "params/dense1.weight", .type = RT_F32, .rank = 1, .dim = {6}, .data = w}, bias};
    rt_h5_item good[] = {{.name = "params/dense1.weight", .type = RT_F32, .rank = 2, .dim = {3, 2}, .data = w}, bias};
    getrusage(RUSAGE_SELF, &before);
    forge_model(huge, norm, good, 2);
    refuse_model("does not have the shape that its architecture tells");
    forge_model(huge, norm, NULL, 0);
    refuse_model("has no data set 'params/dense1.weight'");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);         /* 1.2 GB are claimed */
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2);
    forge_model(small, norm, wrong, 2);
    refuse_model("does not have the shape");
    wrong[0].dim[0] = 4;                                 /* (4, 2) in the place of (3, 2), and (3, 1) */
    wrong[0].dim[1] = 2;
    forge_model(small, norm, wrong, 2);
    refuse_model("does not have the shape");
    wrong[0].dim[0] = 3;
    wrong[0].dim[1] = 1;
    forge_model(small, norm, wrong, 2);
    refuse_model("does not have the shape");
    forge_model(small, norm, flat, 2);
    refuse_model("does not have the shape");
    forge_model(small, norm, good, 2);
    refuse_model("its weights do not match their digest");
    forge_model(small, ", \"normalization\": {\"mul\": [\"x\"], \"add\": [0]}", good, 2);
    refuse_model("the normalisation of channel 0");
    forge_model(small, ", \"normalization\": {\"mul\": [1, 2], \"add\": [0]}", good, 2);
    refuse_model("no valid normalisation");
    forge_model("", norm, good, 2);
    refuse_model("its manifest has no architecture: 'arch' is missing");
    forge_model("[1]", norm, good, 2);
    refuse_model("'arch' is missing or no object");
}

/* Eight inputs of 2^24, seven of those, and three of those do not fit an int. */
static void shapes(void **state)
{
    (void)state;
    static const struct { int count; const char *from, *name; } layer[] = {{8, "a", "b"}, {7, "b", "c"}, {3, "c", "d"}};
    char text[2000];
    size_t n = (size_t)sprintf(
        text, "{\"input\": [16777216], \"classes\": 2, \"layers\": [{\"op\": \"relu\", \"name\": \"a\"}");
    for (int k = 0; k < 3; k++) {
        n += (size_t)sprintf(text + n, ", {\"op\": \"concat\", \"name\": \"%s\", \"from\": [", layer[k].name);
        for (int i = 0; i < layer[k].count; i++)
            n += (size_t)sprintf(text + n, "%s\"%s\"", i ? ", " : "", layer[k].from);
        n += (size_t)sprintf(text + n, "]}");
    }
    sprintf(text + n, "]}");
    cJSON *j = cJSON_Parse(text);
    rt_graph *g;
    assert_non_null(j);
    check_fails(rt_arch_build(&g, j, "model"), RT_USAGE, "layer 'd' (concat): the inputs together are too large");
    cJSON_Delete(j);
    j = cJSON_Parse(
        "{\"input\": [3], \"classes\": 2, \"layers\": [{\"op\": \"dense\", \"out\": 2, \"name\": \"a\377\"}]}");
    check_fails(rt_arch_build(&g, j, "model"), RT_USAGE, "valid UTF-8");
    cJSON_Delete(j);
}

static void label_stores(void **state)
{
    (void)state;
    static const char *const spec[][2] = {
        {"\"rows\": \"1152921504606846976\", \"classes\": 2", "bytes can hold"},
        {"\"rows\": \"18446744073709551615\", \"classes\": 2", "is not what the store's manifest tells"},
        {"\"rows\": \"9223372036854775807\", \"classes\": 1048576", "bytes can hold"},
        {"\"rows\": 100000, \"classes\": 1048576", "bytes can hold"},
        {"\"rows\": 4, \"classes\": 2, \"first_row\": \"18446744073709551615\"",
         "is not what the store's manifest tells"},
        {"\"rows\": 4, \"classes\": 2", "manifest.source"}};
    static unsigned char bytes[64];
    for (size_t i = 0; i < sizeof spec / sizeof spec[0]; i++) {
        char text[300];
        rt_labels *l;
        sprintf(text, "{\"labels\": {%s, \"coding\": \"full\", \"type\": \"f32\"}}", spec[i][0]);
        rt_h5_item it[] = {{.name = "labels/status", .type = RT_U8, .rank = 1, .dim = {4}, .data = bytes},
                           {.name = "labels/complete", .type = RT_U8, .rank = 1, .dim = {1}, .data = bytes},
                           {.name = "source/leaves", .type = RT_U8, .rank = 2, .dim = {1, 16}, .data = bytes},
                           {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text}};
        remove(at("l.h5"));
        check_ok(rt_h5_save(at("l.h5"), "retort-labels-2", it, 4));
        clock_t start = clock();
        check_fails(rt_labels_open(&l, at("l.h5"), 1), RT_INPUT, spec[i][1]);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1);
    }
}

/* A checkpoint that is listed with its hash, and holds other buffers than the run has. */
static void checkpoints(void **state)
{
    (void)state;
    float kept[4] = {1, 2, 3, 4}, to[4], m[4] = {0};
    rt_buffer small[] = {{"params", kept, 2}}, right[] = {{"params", to, 4}}, both[] = {{"params", to, 4}, {"m", m, 4}};
    cJSON *state_of = cJSON_CreateObject(), *loaded;
    char folder[160];
    snprintf(folder, sizeof folder, "%s/checkpoints", test_folder);
    check_ok(rt_checkpoint_save(folder, 1, state_of, small, 1, 2));
    check_fails(rt_checkpoint_load(folder, 0, &loaded, right, 1), RT_INPUT, "'params' is not what this run keeps");
    assert_null(loaded);
    small[0].count = 4;
    check_ok(rt_checkpoint_save(folder, 2, state_of, small, 1, 2));
    check_ok(rt_checkpoint_load(folder, 0, &loaded, right, 1));
    assert_true(to[3] == 4);
    cJSON_Delete(loaded);
    check_fails(rt_checkpoint_load(folder, 0, &loaded, both, 2), RT_INPUT, "no checkpoint can be loaded");
    /* The last two are kept, each with its own numbers: the newest is taken, or the one that is asked for. */
    for (int i = 3; i <= 5; i++) {
        kept[0] = (float)i;
        check_ok(rt_checkpoint_save(folder, (uint64_t)i, state_of, small, 1, 2));
    }
    static const int asked[][2] = {{0, 5}, {4, 4}, {5, 5}};
    for (int i = 0; i < 3; i++) {
        check_ok(rt_checkpoint_load(folder, (uint64_t)asked[i][0], &loaded, right, 1));
        assert_true(to[0] == (float)asked[i][1]);
        cJSON_Delete(loaded);
    }
    check_fails(rt_checkpoint_load(folder, 3, &loaded, right, 1), RT_INPUT, "checkpoint-00000003.h5 is not among them");
    snprintf(folder, sizeof folder, "%s/checkpoints/checkpoint-00000003.h5", test_folder);
    assert_int_equal(access(folder, F_OK), -1);
    cJSON_Delete(state_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models), cmocka_unit_test(shapes),
                                       cmocka_unit_test(label_stores), cmocka_unit_test(checkpoints)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
