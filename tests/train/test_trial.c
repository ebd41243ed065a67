/* Trials: two that take turns in one process are each what it is alone, and what a run with a folder is, to the bit;
 * they end as runs do; their best model is the one that a run writes; no file is written. */
#include <dirent.h>

#include "tests/train/train_support.h"
#include "train/trial.h"

enum { ROWS = 400, D = 8 };

static int set_up(void **s)
{
    static int32_t y[ROWS];
    uint64_t dim[] = {ROWS, D};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    float *x = random_floats(ROWS * D, 3);
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % 3;
        x[i * D + y[i]] += 2;
    }
    write_data("t.h5", x, 2, dim, y);
    free(x);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

#define CONFIG(SEED, MORE) \
    "{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1, 'dropout': 0.2}, " \
    "'seed': " SEED ", 'data': {'source': '@t.h5', 'validation': 80}, 'augment': {'mixup': 0.3}, " \
    "'train': {'epochs': 6, 'batch': 16, 'ema': 0.9, 'accumulate': 3" MORE "}}"
static const char *const config[2] = {CONFIG("3", ""), CONFIG("4", ", 'optimizer': 'adamw'")};

static const char *digest_at(const cJSON *history, int epoch)
{ return text_of(cJSON_GetArrayItem(history, epoch), "digest"); }

static int files(void)
{
    DIR *d = opendir(test_folder);
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static void taking_turns(void **state)
{
    (void)state;
    rt_trial *t[2];
    cJSON *c[2];
    int ended = 0, before = files(), epoch;
    const rt_model *m;
    rt_sources *shared = rt_sources_new();
    for (int i = 0; i < 2; i++) {
        c[i] = parse_config(config[i]);
        check_ok(rt_trial_open(&t[i], c[i], test_device, shared, NULL));
        assert_true(isnan(rt_trial_best(t[i], &epoch)) && epoch == 0);
        check_fails(rt_trial_model(t[i], &m), RT_USAGE, "before its first epoch");
        assert_int_equal(rt_sources_opened(shared), 1);                /* both read what the first has opened */
    }
    for (int turn = 0; turn < 6; turn++)
        for (int i = 0; i < 2; i++) {
            check_ok(rt_trial_run(t[i], 1 + (turn == 1), &ended));
            if (turn < 4) check_ok(rt_trial_model(t[i], &m));          /* looking changes nothing */
            assert_int_equal(ended, turn >= 4);
        }
    assert_int_equal(files(), before);
    for (int i = 0; i < 2; i++) {
        cJSON *r = train(config[i], i ? "b" : "a"), *history = cJSON_GetObjectItem(r, "history");
        assert_int_equal(cJSON_GetArraySize(rt_trial_history(t[i])), 6);
        for (int e = 0; e < 6; e++) assert_string_equal(digest_at(rt_trial_history(t[i]), e), digest_at(history, e));
        double best = rt_trial_best(t[i], &epoch);
        check_close("best", number(r, "best_epoch"), epoch, 0, 0);
        check_close("value", best, number(r, "validation_accuracy"), 1e-12, 0);
        check_ok(rt_trial_model(t[i], &m));
        assert_string_equal(rt_model_digest(m).hex, text_of(r, "digest"));
        cJSON_Delete(r);
        rt_trial_close(t[i]);
        cJSON_Delete(c[i]);
        assert_int_equal(rt_sources_opened(shared), 1);                /* and one that closes leaves it to the other */
    }
    rt_sources_free(shared);
}

static void patience(void **state)
{
    (void)state;
    rt_trial *t;
    int ended;
    cJSON *c = parse_config(
        "{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1}, "
        "'data': {'source': '@t.h5', 'validation': 80}, 'train': {'epochs': 50, 'batch': 16, 'lr': 1e-9, "
        "'patience': 2}}");
    check_ok(rt_trial_open(&t, c, test_device, NULL, NULL));
    check_ok(rt_trial_run(t, 0, &ended));
    assert_true(ended);
    assert_int_equal(cJSON_GetArraySize(rt_trial_history(t)), 3);
    check_ok(rt_trial_run(t, 5, &ended));
    assert_int_equal(cJSON_GetArraySize(rt_trial_history(t)), 3);
    rt_trial_close(t);
    cJSON_Delete(c);
    c = parse_config("{'model': {'input': [9], 'classes': 3, 'family': 'mlp'}, 'data': {'source': '@t.h5'}}");
    check_fails(rt_trial_open(&t, c, test_device, NULL, NULL), RT_INPUT, "but the model's input is (9)");
    assert_null(t);
    cJSON_Delete(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(taking_turns), cmocka_unit_test(patience)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
