/* Two students of one run, each the other's teacher: against PyTorch; that a run goes on after any batch; what it is
 * asked in vain. */
#include "tests/train/in_pieces.h"
#include "tests/train/reference_model.h"

static int set_up(void **s)
{
    uint64_t dim[] = {REF_ROWS, REF_IN};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    write_data("few.h5", ref_x, 2, dim, ref_few);
    write_data("ref.h5", ref_x, 2, dim, ref_y);
    write_model("one.h5", ref_student, sizeof ref_student / sizeof ref_student[0]);
    write_model("two.h5", ref_teacher, sizeof ref_teacher / sizeof ref_teacher[0]);
    return test_device ? 0 : 1;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

/* ---- against PyTorch ---- */

#define PAIR "{'init': '@one.h5', 'teacher': 'peer', 'peer': {'init': '@two.h5'}, 'seed': 5, 'data': {'source': " \
             "'@few.h5', 'validation': 0}, 'train': {'epochs': 3, 'batch': 4, 'drop_last': false, 'lr': 0.1, " \
             "'weight_decay': 0.02, 'warmup': 1, 'nesterov': true%s}}"

static char *pair(const char *more)
{
    static char config[800];
    snprintf(config, sizeof config, PAIR, more);
    return config;
}

static void check_against(const char *out, const cJSON *result, int student)
{
    const cJSON *history = cJSON_GetObjectItem(result, "history");
    for (int e = 0; e < REF_EPOCHS; e++)
        check_close(out, number(cJSON_GetArrayItem(history, e), "loss"), peer_loss[student][e], 1e-5, 1e-5);
    rt_model *m = load_model(out);
    weight_limit = 2e-5;
    each_weight(m, check_weight, peer_weights[student]);
    rt_model_free(m);
}

static cJSON *result_in(const char *out)
{
    cJSON *r;
    char path[64];
    snprintf(path, sizeof path, "%s/result.json", out);
    check_ok(rt_json_sealed_file(&r, in_folder(path)));
    return r;
}

static void as_pytorch_has_it(void **s)
{
    (void)s;
    cJSON *r = train(pair(""), "pair"), *second = result_in("pair/peer");
    check_against("pair", r, 0);
    check_against("pair/peer", second, 1);
    const cJSON *told = cJSON_GetObjectItem(r, "peer");
    assert_string_equal(text_of(told, "digest"), text_of(second, "digest"));
    /* Each run's provenance says who taught. */
    rt_model *m = load_model("pair");
    const cJSON *teacher = cJSON_GetObjectItem(m->provenance, "teacher");
    assert_string_equal(text_of(teacher, "kind"), "peer");
    assert_string_equal(text_of(teacher, "config_digest"), text_of(second, "config_digest"));
    rt_model_free(m);
    cJSON_Delete(r);
    cJSON_Delete(second);
}

/* ---- it goes on ---- */

static void goes_on_after_any_batch(void **s)
{
    (void)s;
    static const char *const more[] = {"", ", 'accumulate': 3", ", 'ema': 0.9"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        char config[900];
        cJSON *whole, *pieces;
        snprintf(config, sizeof config, "%s", pair(more[i]));
        whole = train(config, "whole");
        int turns = run_in_pieces(config, "pieces", &pieces);
        assert_true(turns >= 12);
        cJSON *a = result_in("whole/peer"), *b = result_in("pieces/peer");
        assert_string_equal(text_of(whole, "digest"), text_of(pieces, "digest"));
        assert_string_equal(text_of(a, "digest"), text_of(b, "digest"));
        assert_string_not_equal(text_of(a, "digest"), text_of(whole, "digest"));
        for (int e = 0; e < REF_EPOCHS; e++)
            assert_true(number(cJSON_GetArrayItem(cJSON_GetObjectItem(a, "history"), e), "loss") ==
                        number(cJSON_GetArrayItem(cJSON_GetObjectItem(b, "history"), e), "loss"));
        cJSON_Delete(whole);
        cJSON_Delete(pieces);
        cJSON_Delete(a);
        cJSON_Delete(b);
    }
}

/* The second student finished and the first did not, or the second's checkpoint is one ahead. */
static void one_piece(const char *config, int first)
{
    cJSON *r;
    stop_at_batches = 1;
    assert_int_equal(train_with(config, "torn", first, NULL, &r), RT_INTERRUPTED);
    stop_at_batches = 0;
    rt_ask_to_stop(0);
}

/* A kill between the two checkpoints of a step, and damage to the last one of the first student: its one before has its
 * counterpart still. */
static void goes_on_from_the_one_before(void **s)
{
    (void)s;
    char command[900], name[64], config[900];
    snprintf(config, sizeof config, "%s", pair(""));
    cJSON *whole = train(config, "untorn"), *again;
    for (int turn = 0; turn < 5; turn++) one_piece(config, turn == 0);
    snprintf(command, sizeof command, "cp -r '%s' '%s.old'", in_folder("torn/checkpoints"),
             in_folder("torn/checkpoints"));
    assert_int_equal(system(command), 0);
    one_piece(config, 0);                            /* the second student's is one ahead of what was kept */
    snprintf(command, sizeof command, "rm -r '%s' && mv '%s.old' '%s'", in_folder("torn/checkpoints"),
             in_folder("torn/checkpoints"), in_folder("torn/checkpoints"));
    assert_int_equal(system(command), 0);
    for (int n = 99, found = 0; n && !found; n--) {
        snprintf(name, sizeof name, "torn/checkpoints/checkpoint-%08d.h5", n);
        FILE *f = fopen(in_folder(name), "r+b");
        if (!f) continue;
        found = 1;
        fseek(f, 700, SEEK_SET);
        fputc(0x5a, f);
        fclose(f);
    }
    check_ok(train_with(config, "torn", 0, NULL, &again));
    assert_string_equal(text_of(whole, "digest"), text_of(again, "digest"));
    cJSON_Delete(whole);
    cJSON_Delete(again);
}

static void goes_on_where_only_one_ended(void **s)
{
    (void)s;
    cJSON *whole = train(pair(""), "half"), *again;
    unlink(in_folder("half/result.json"));
    unlink(in_folder("half/model.h5"));
    check_ok(train_with(pair(""), "half", 0, NULL, &again));
    assert_string_equal(text_of(whole, "digest"), text_of(again, "digest"));
    assert_string_equal(text_of(cJSON_GetObjectItem(whole, "peer"), "digest"),
                        text_of(cJSON_GetObjectItem(again, "peer"), "digest"));
    cJSON_Delete(again);
    check_ok(train_with(pair(""), "half", 0, NULL, &again));               /* finished: left alone */
    assert_string_equal(text_of(whole, "digest"), text_of(again, "digest"));
    cJSON_Delete(again);
    cJSON_Delete(whole);
}

/* ---- first weights ---- */

#define NEW "{'model': {'input': [5], 'classes': 3, " LAYERS "}, %s'seed': 5, 'data': {'source': '@ref.h5', " \
            "'validation': 4}, 'train': {'epochs': 2, 'batch': 4}}"

static void first_weights_have_their_seed(void **s)
{
    (void)s;
    char config[600];
    snprintf(config, sizeof config, NEW, "'teacher': 'peer', ");
    cJSON *r = train(config, "new"), *second = result_in("new/peer");
    assert_string_not_equal(text_of(r, "digest"), text_of(second, "digest"));      /* seeds 5 and 6 */
    cJSON_Delete(r);
    cJSON_Delete(second);
    snprintf(config, sizeof config, NEW, "'teacher': 'peer', 'peer': {'init_seed': 5}, ");
    r = train(config, "new"), second = result_in("new/peer"); /* the same student twice stays the same */
    assert_string_equal(text_of(r, "digest"), text_of(second, "digest"));
    cJSON_Delete(r);
    cJSON_Delete(second);
    /* So do the first weights of a head that takes another's place: two of one file are not the same student. */
    static const char *const other[] = {"", "'peer': {'init_seed': 5}, "};
    for (int i = 0; i < 2; i++) {
        snprintf(config, sizeof config,
                 "{'init': '@one.h5', 'heads': [{'replace': 'y', 'size': 3}], 'teacher': 'peer', "
                 "%s'seed': 5, 'data': {'source': '@ref.h5', 'validation': 4}, 'train': {'epochs': 1, 'batch': 4}}",
                 other[i]);
        r = train(config, "new"), second = result_in("new/peer");
        assert_int_equal(!strcmp(text_of(r, "digest"), text_of(second, "digest")), i);
        cJSON_Delete(r);
        cJSON_Delete(second);
    }
    /* Alone: another seed of the weights, the same rows; and the seed itself is what it is without. */
    static const char *const seed[] = {"", "'init_seed': 5, ", "'init_seed': 9, "};
    char digest[3][33];
    for (int i = 0; i < 3; i++) {
        snprintf(config, sizeof config, NEW, seed[i]);
        r = train(config, "alone");
        memcpy(digest[i], text_of(r, "digest"), sizeof digest[i]);
        cJSON_Delete(r);
    }
    assert_string_equal(digest[0], digest[1]);
    assert_string_not_equal(digest[0], digest[2]);
}

/* ---- what is refused ---- */

static void refused(const char *config, rt_status status, const char *part)
{
    cJSON *r;
    rt_status st = train_with(config, "refused", 0, NULL, &r);
    if (st != status || !strstr(rt_error_message(), part))
        fail_msg("%s: %d, '%s' instead of %d, '%s'", config, st, rt_error_message(), status, part);
    if (!access(in_folder("refused/run.json"), F_OK)) fail_msg("%s: began a run", config);
}

#define WITH(more, loss) \
    "{'model': {'input': [5], 'classes': 3, " LAYERS "}, " more ", 'data': {'source': '@ref.h5', " \
    "'validation': 0}, 'loss': {" loss "}, 'train': {'epochs': 1, 'batch': 4}}"

static void says_what_cannot_be(void **s)
{
    (void)s;
    refused(WITH("'teacher': 'peer'", "'kind': 'ce'"), RT_USAGE, "peer and is not used");
    refused(WITH("'teacher': 'peer'", "'hard': 0"), RT_USAGE, "learn nothing");
    refused(WITH("'teacher': 'peer', 'peer': {'seed': 2}", ""), RT_USAGE, "model, init and init_seed alone");
    refused(WITH("'teacher': 'peer', 'peer': 7", ""), RT_USAGE, "what differs in the second student");
    refused(WITH("'peer': {'init_seed': 2}", ""), RT_USAGE, "whose teacher is \"peer\"");
    refused(WITH("'teacher': 'peer', 'quant': {'warmup': 0}", ""), RT_USAGE, "quantize afterwards");
    refused(WITH("'teacher': 'peer', 'peer': {'model': {'input': [5], 'classes': 4, 'family': 'mlp'}}", ""), RT_INPUT,
            "peer");
    refused(WITH("'teacher': 'peer', 'peer': {'model': {'input': [5], 'classes': 3, 'family': 'nonesuch'}}", ""),
            RT_USAGE, "peer");
    refused("{'init': '@one.h5', 'teacher': 'peer', 'data': {'source': '@ref.h5', 'labels': '@two.h5'}}", RT_USAGE,
            "data.labels another teacher");
    refused("{'init': '@one.h5', 'teacher': 'peer', 'loss': {'hints': [{'student': 'dense1', 'teacher': 'dense1'}]}, "
            "'data': {'source': '@ref.h5', 'validation': 0}}", RT_USAGE, "hints");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_pytorch_has_it),           cmocka_unit_test(goes_on_after_any_batch),
        cmocka_unit_test(goes_on_from_the_one_before),
        cmocka_unit_test(goes_on_where_only_one_ended), cmocka_unit_test(first_weights_have_their_seed),
        cmocka_unit_test(says_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
