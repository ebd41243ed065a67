/* tests/train/train_support.h - what tests of whole training runs share: small data files, runs, weights of a model
 * file. */
#ifndef RT_TESTS_TRAIN_SUPPORT_H
#define RT_TESTS_TRAIN_SUPPORT_H

#include <sys/stat.h>
#include <unistd.h>

#include "data/h5.h"
#include "student/model.h"
#include "student/predictor.h"
#include "tests/support.h"
#include "train/trainer.h"

static rt_device *test_device;

/* A path in the test's folder; valid for the next 8 calls. */
static inline char *in_folder(const char *name)
{
    static char path[8][160];
    static int at;
    at = (at + 1) % 8;
    snprintf(path[at], sizeof path[at], "%s/%s", test_folder, name);
    return path[at];
}

/* x (rows, dims...) f32 and y (rows) i32, NULL: none. */
static inline void write_data(const char *name, const float *x, int rank, const uint64_t *dim, const int32_t *y)
{
    rt_h5_item item[2] = {{.name = "x", .type = RT_F32, .rank = rank, .data = x},
                          {.name = "y", .type = RT_I32, .rank = 1, .dim = {dim[0]}, .data = y}};
    memcpy(item[0].dim, dim, (size_t)rank * sizeof *dim);
    unlink(in_folder(name));
    check_ok(rt_h5_save(in_folder(name), "retort-data-1", item, y ? 2 : 1));
}

/* Configuration text with every ' for ", and every @ for the test's folder and a slash. */
static inline cJSON *parse_config(const char *text)
{
    char all[4096];
    size_t n = 0;
    for (; *text && n < sizeof all - 64; text++) {
        if (*text == '@') n += (size_t)snprintf(all + n, sizeof all - n, "%s/", test_folder);
        else all[n++] = *text == '\'' ? '"' : *text;
    }
    all[n] = 0;
    cJSON *c = cJSON_Parse(all);
    if (!c) fail_msg("no JSON: %s", all);
    return c;
}

static inline rt_status train_with(const char *config, const char *out, int force, const rt_progress *progress,
                                   cJSON **result)
{
    cJSON *c = parse_config(config);
    rt_train_options o = {.out = in_folder(out), .force = force, .device = test_device, .progress = progress};
    rt_status st = rt_train(c, &o, result);
    cJSON_Delete(c);
    return st;
}

/* A run from the beginning; the caller deletes the result. */
static inline cJSON *train(const char *config, const char *out)
{
    cJSON *result;
    check_ok(train_with(config, out, 1, NULL, &result));
    return result;
}

static inline const char *text_of(const cJSON *j, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));
    if (!s) fail_msg("the result has no text '%s'", key);
    return s;
}

static inline double number(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    if (!cJSON_IsNumber(v)) fail_msg("the result has no number '%s'", key);
    return v->valuedouble;
}

/* Trains and keeps last_weights_digest. */
static inline void digest_of_run(const char *config, const char *out, char digest[33])
{
    cJSON *r = train(config, out);
    snprintf(digest, 33, "%s", text_of(r, "last_weights_digest"));
    cJSON_Delete(r);
}

static inline rt_model *load_model(const char *folder)
{
    char name[100];
    rt_model *m;
    snprintf(name, sizeof name, "%s/model.h5", folder);
    check_ok(rt_model_load(&m, in_folder(name)));
    return m;
}
#endif
