/* Every number of an evaluation against scikit-learn's and SciPy's (evaluator_reference.h, by record_evaluator.py),
 * of models and data whose classes and columns stand in different orders; what is said where there is nothing to say
 * a number of. */
#include "experiments/eval/comparison.h"
#include "tests/experiments/evaluator_models.h"

#include "data/identity.h"
#include "data/provenance.h"
#include "experiments/report/report.h"

static void check_model(const cJSON *m, int i)
{
    const reference_values *w = &want[i];
    double interval[] = {w->low, w->high};
    check_number(m, "accuracy", w->accuracy);
    check_numbers(get(m, "accuracy_95"), "accuracy_95", interval, 2);
    check_number(m, "top5", w->top5);
    check_number(m, "macro_f1", w->macro_f1);
    check_number(m, "macro_f1_all", w->f1_all);
    check_number(m, "weighted_f1", w->weighted);
    check_number(m, "balanced_accuracy", w->balanced);
    check_number(m, "mcc", w->mcc);
    check_number(m, "brier", w->brier);
    check_number(m, "auc", w->auc);
    check_number(m, "average_precision", w->precision_mean);
    check_number(m, "nll", w->nll);
    check_number(m, "ece", w->ece);
    check_number(m, "agreement", i ? w->agreement : NAN);
    check_number(m, "kl_from_teacher", i ? w->kl : NAN);
    check_number(m, "mcnemar_vs_reference.reference_right_only", i ? w->reference_only : NAN);
    check_number(m, "mcnemar_vs_reference.this_right_only", i ? w->this_only : NAN);
    check_number(m, "mcnemar_vs_reference.p", i ? w->p : NAN);
    const cJSON *p = get(m, "per_class");
    check_numbers(get(p, "rows"), "rows", w->rows, K);
    check_numbers(get(p, "answered"), "answered", w->answered, K);
    check_numbers(get(p, "right"), "right", w->right, K);
    check_numbers(get(p, "precision"), "precision", w->precision, K);
    check_numbers(get(p, "recall"), "recall", w->recall, K);
    check_numbers(get(p, "f1"), "f1", w->f1, K);
    for (int y = 0; y < K; y++)
        check_numbers(cJSON_GetArrayItem(get(m, "confusion"), y), "confusion", w->confusion[y], K);
    for (int b = 0; b < 15; b++) {
        const cJSON *bin = cJSON_GetArrayItem(get(m, "reliability"), b);
        check_number(bin, "count", w->bin_count[b]);
        check_number(bin, "confidence", w->bin_confidence[b]);
        check_number(bin, "accuracy", w->bin_accuracy[b]);
    }
    check_number(m, "parameters", K * K + K);
    check_number(m, "macs", K * K);
    check_number(m, "rows_seen_in_training", 0);
}

static void every_number(void **state)
{
    (void)state;
    cJSON *e;
    check_ok(evaluate(config_of("a.h5", "b.h5 c.h5", "data.h5"), NULL, 0, &e));
    for (int i = 0; i < MODELS; i++) check_model(model_of(e, i), i);
    check_number(e, "data.rows", ROWS);
    check_number(e, "data.labelled_rows", LABELLED);
    assert_string_equal(cJSON_GetStringValue(get(get(e, "reference"), "role")), "teacher");
    assert_true(noted(e, "2 of the 40 rows have no label"));
    assert_true(noted(e, "c has its classes in another order than a"));
    cJSON_Delete(e);
}

/* Rows in another number of batches, another order of models: the same numbers, each against its reference. */
static void parts(void **state)
{
    (void)state;
    cJSON *e, *c = config_of("", "a.h5 b.h5", "data.h5");
    override(c, "data.rows=\"0:1\"");
    check_ok(evaluate(c, NULL, 0, &e));
    check_number(e, "data.rows", 1);
    check_number(model_of(e, 0), "accuracy", row_y[0] == 4 ? 0 : get(model_of(e, 0), "accuracy")->valuedouble);
    cJSON_Delete(e);
}

/* Without a teacher nothing is called one, and a model is not compared with itself. */
static void reference(void **state)
{
    (void)state;
    cJSON *e;
    check_ok(evaluate(config_of("", "a.h5 b.h5", "data.h5"), NULL, 0, &e));
    assert_string_equal(cJSON_GetStringValue(get(get(e, "reference"), "role")), "the first model given");
    assert_string_equal(cJSON_GetStringValue(get(get(e, "reference"), "name")), "a");
    check_number(model_of(e, 1), "kl_from_reference", want[1].kl);
    check_number(model_of(e, 0), "kl_from_reference", NAN);
    cJSON_DeleteItemFromObjectCaseSensitive(e, "config");
    char *text = cJSON_Print(e), *table = rt_report_table(e);
    assert_null(strstr(text, "from_teacher"));
    assert_non_null(strstr(table, "no teacher is named"));
    cJSON_free(text);
    free(table);
    cJSON_Delete(e);
    check_ok(evaluate(config_of("", "a.h5", "data.h5"), NULL, 0, &e));
    assert_null(get(e, "reference"));
    check_number(model_of(e, 0), "agreement", NAN);
    check_number(model_of(e, 0), "accuracy", want[0].accuracy);
    cJSON_Delete(e);
}

static void without_labels(void **state)
{
    (void)state;
    static const char *const none[] = {"accuracy", "top5", "macro_f1", "nll", "auc"};
    cJSON *e, *c;
    for (int way = 0; way < 2; way++) {
        c = config_of("a.h5", "b.h5", way ? "data.h5" : "unlabelled.h5");
        if (way) override(c, "data.y=\"\"");
        check_ok(evaluate(c, NULL, 0, &e));
        const cJSON *m = model_of(e, 1);
        check_number(m, "agreement", want[1].agreement);
        check_number(m, "kl_from_teacher", want[1].kl);
        for (int i = 0; i < 5; i++) {
            assert_true(cJSON_IsNull(get(m, none[i])));
            assert_string_equal(cJSON_GetStringValue(get(get(m, "undefined"), none[i])), "no row has a label");
        }
        assert_true(cJSON_IsNull(get(m, "mcnemar_vs_reference")));
        assert_true(noted(e, "none of the 40 rows has a label"));
        cJSON_Delete(e);
    }
    check_fails(evaluate(config_of("", "a.h5", "unlabelled.h5"), NULL, 0, &e), RT_NOTHING, "has no labels");
    c = config_of("", "a.h5", "unlabelled.h5");
    override(c, "data.y=z");
    check_fails(evaluate(c, NULL, 0, &e), RT_INPUT, "'z'");
}

/* What was found where nothing was said is written down, so that the result's configuration gives the result again. */
static void configuration_is_whole(void **state)
{
    (void)state;
    cJSON *e, *again;
    check_ok(evaluate(config_of("a.h5", "b.h5", "unlabelled.h5"), NULL, 0, &e));
    check_ok(evaluate(cJSON_Duplicate(get(e, "config"), 1), NULL, 0, &again));
    assert_true(cJSON_Compare(get(e, "models"), get(again, "models"), 1));
    assert_true(cJSON_Compare(get(e, "config"), get(again, "config"), 1));
    cJSON_Delete(e);
    cJSON_Delete(again);
}

static void few_classes(void **state)
{
    (void)state;
    cJSON *j, *e;
    rt_model *m;
    static const char arch[] = "{\"input\":[7],\"classes\":5,\"layers\":[{\"op\":\"dense\",\"out\":5}]}";
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, 1));
    rt_names classes, columns;
    cJSON *list = names('c', 5, 0), *inputs = names('f', K, 0);
    check_ok(rt_names_from_json(&classes, list, "five", "classes"));
    check_ok(rt_names_from_json(&columns, inputs, "five", "columns"));
    check_ok(rt_model_set_names(m, &classes, &columns));
    check_ok(rt_model_save(m, at("five.h5")));
    check_ok(evaluate(config_of("", "five.h5", "data.h5"), NULL, 0, &e));
    assert_true(cJSON_IsNull(get(model_of(e, 0), "top5")));
    assert_non_null(strstr(get(get(model_of(e, 0), "undefined"), "top5")->valuestring, "1 for any model"));
    cJSON_Delete(e);
    check_fails(evaluate(config_of("a.h5", "five.h5", "data.h5"), NULL, 0, &e), RT_INPUT, "5 classes");
    rt_names_free(&classes);
    rt_names_free(&columns);
    rt_model_free(m);
    cJSON_Delete(inputs);
    cJSON_Delete(list);
    cJSON_Delete(j);
}

static cJSON *seen_list(const char *data, const char *by, const char *range)
{
    cJSON *list = cJSON_CreateArray(), *holder = cJSON_CreateObject();
    rt_seen_run run = {.data = data, .source_rows = ROWS, .rows = {.range = range}};
    check_ok(rt_seen_add(list, &run));
    if (strcmp(by, "self") == 0) {
        cJSON_Delete(holder);
        return list;
    }
    cJSON_AddItemToObject(holder, "seen", list);
    cJSON *out = cJSON_CreateArray();
    check_ok(rt_seen_join(out, holder, by, "0123"));
    cJSON_Delete(holder);
    return out;
}

/* Rows that a model or an ancestor was trained on are counted; what is not known is not 0. */
static void seen(void **state)
{
    (void)state;
    rt_source *x;
    rt_digest data;
    check_ok(rt_source_open(&x, at("data.h5"), "x"));
    check_ok(rt_identity_of(&data, x, RT_CHECK_KNOWN, NULL, NULL));
    rt_source_close(x);
    write_model("self.h5", 0, seen_list(data.hex, "self", "0:20"));
    write_model("teacher.h5", 1, seen_list(data.hex, "teacher", "15:40"));
    write_model("other.h5", 2, seen_list("00000000000000000000000000000000", "self", "0:20"));
    write_model("unknown.h5", 2, NULL);
    cJSON *e, *c = config_of("self.h5", "teacher.h5 other.h5 unknown.h5", "data.h5");
    override(c, "data.rows=\"10:30\"");
    check_ok(evaluate(c, NULL, 0, &e));
    check_number(model_of(e, 0), "rows_seen_in_training", 10);
    check_number(model_of(e, 0), "seen.self", 10);
    check_number(model_of(e, 1), "rows_seen_in_training", 15);
    check_number(model_of(e, 1), "seen.self", 0);
    check_number(model_of(e, 1), "seen.teacher", 15);
    check_number(model_of(e, 2), "rows_seen_in_training", 0);
    check_number(model_of(e, 3), "rows_seen_in_training", NAN);
    check_number(model_of(e, 3), "seen.files_that_do_not_say", 1);
    assert_true(noted(e, "self was trained or chosen on 10 of these 20 rows"));
    assert_true(noted(e, "teacher has seen, by its teacher, 15 of these 20 rows"));
    assert_true(noted(e, "unknown: 1 file that it comes from does not say what it was trained on"));
    assert_false(noted(e, "other was") || noted(e, "other has seen") || noted(e, "other:"));
    cJSON_Delete(e);
    /* An ensemble has seen what its members have; rows of two members count once. */
    c = config_of("", "b.h5", "data.h5");
    cJSON *both = cJSON_AddArrayToObject(c, "teacher");
    cJSON_AddItemToArray(both, cJSON_CreateString(at("self.h5")));
    cJSON_AddItemToArray(both, cJSON_CreateString(at("teacher.h5")));
    check_ok(evaluate(c, NULL, 0, &e));
    check_number(model_of(e, 0), "rows_seen_in_training", 40);
    check_number(model_of(e, 0), "seen.self", 20);
    check_number(model_of(e, 0), "seen.teacher", 25);
    cJSON_Delete(e);
}

static void settings(void **state)
{
    (void)state;
    static const struct { const char *assignment, *message; } bad[] = {
        {"eval.latency_samples=100", "eval.latency_samples: does not apply"},
        {"eval.seconds=1", "eval.seconds: does not apply"},
        {"eval.rounds=2", "eval.rounds: does not apply"},
        {"names=[\"one\"]", "1 names for 2 models"},
        {"names=[\"one\", \"two\", \"three\"]", "3 names for 2 models"},
        {"names=[\"one\", 2]", "names: texts"},
        {"names=[\"one\", \"\"]", "names: texts"},
        {"eval.speeed=true", "did you mean 'speed'"},
        {"students=[[]]", "the list is empty"}};
    cJSON *e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *c = config_of("a.h5", "b.h5", "data.h5");
        override(c, bad[i].assignment);
        check_fails(rt_evaluate_check(c), RT_USAGE, bad[i].message);
        cJSON_Delete(c);
    }
    cJSON *c = config_of("a.h5", "b.h5", "data.h5");
    override(c, "names=[\"big\", \"small\"]");
    check_ok(evaluate(c, NULL, 0, &e));
    assert_string_equal(get(model_of(e, 1), "name")->valuestring, "small");
    cJSON_Delete(e);
}

static void names_are_distinct(void **state)
{
    (void)state;
    cJSON *e, *c = config_of("a.h5", "a.h5 b.h5 c.h5", "data.h5");
    override(c, "names=[\"m\", \"m\", \"m (2)\", \"m\"]");
    check_ok(evaluate(c, NULL, 0, &e));
    assert_string_equal(get(model_of(e, 0), "name")->valuestring, "m");
    assert_string_equal(get(model_of(e, 1), "name")->valuestring, "m (2)");
    assert_string_equal(get(model_of(e, 2), "name")->valuestring, "m (2) (2)");
    assert_string_equal(get(model_of(e, 3), "name")->valuestring, "m (3)");
    assert_true(noted(e, "two models are called m"));
    assert_true(noted(e, "m and m (2) are the same model"));
    check_number(model_of(e, 1), "agreement", 1);
    check_number(model_of(e, 1), "kl_from_teacher", 0);
    cJSON_Delete(e);
    /* A long name is not cut within a character. */
    char name[160] = "";
    for (int i = 0; i < 60; i++) strcat(name, "\xc3\xa4");
    strcat(name, ".h5");
    write_model(name, 0, cJSON_CreateArray());
    check_ok(evaluate(config_of("", name, "data.h5"), NULL, 0, &e));
    assert_int_equal(strlen(get(model_of(e, 0), "name")->valuestring), 80);
    cJSON_Delete(e);
}

/* The curve beside a model is shown only when it is the curve of this model. */
static void history(void **state)
{
    (void)state;
    cJSON *e;
    rt_model *m;
    check_ok(rt_model_load(&m, at("a.h5")));
    for (int own = 0; own < 2; own++) {
        FILE *f = fopen(at("result.json"), "w");
        fprintf(f, "{\"digest\": \"%s\", \"history\": [{\"epoch\": 1, \"loss\": 2}]}\n",
                own ? rt_model_digest(m).hex : "00");
        fclose(f);
        check_ok(evaluate(config_of("", "a.h5 b.h5", "data.h5"), NULL, 0, &e));
        assert_true((get(model_of(e, 0), "history") != NULL) == own);
        assert_null(get(model_of(e, 1), "history"));
        cJSON_Delete(e);
    }
    static const char *const odd[] = {"", "{\"digest\": \"%s\", \"history\": 3}",
                                      "{\"digest\": \"%s\", \"history\": [1]}"};
    for (int i = 0; i < 3; i++) {                     /* no curve; what is no JSON is said */
        FILE *f = fopen(at("result.json"), "w");
        fprintf(f, i ? odd[i] : "%.0s{oops", rt_model_digest(m).hex);
        fclose(f);
        check_ok(evaluate(config_of("", "a.h5", "data.h5"), NULL, 0, &e));
        assert_null(get(model_of(e, 0), "history"));
        assert_true(noted(e, "no training curve of a: ") == (i == 0));
        cJSON_Delete(e);
    }
    remove(at("result.json"));
    rt_model_free(m);
}

/* Provenance is of a file: what is wrong with it is bad input, and the file is named. */
static void damaged_provenance(void **state)
{
    (void)state;
    rt_source *x;
    rt_digest data;
    rt_model *m;
    cJSON *e;
    check_ok(rt_source_open(&x, at("data.h5"), "x"));
    check_ok(rt_identity_of(&data, x, RT_CHECK_KNOWN, NULL, NULL));
    rt_source_close(x);
    check_ok(rt_model_load(&m, at("a.h5")));
    cJSON_DeleteItemFromObject(m->provenance, "seen");
    cJSON_DeleteItemFromObject(m->provenance, "data_digest");
    cJSON_DeleteItemFromObject(m->provenance, "config");
    cJSON_AddStringToObject(m->provenance, "data_digest", data.hex);
    cJSON *config = cJSON_AddObjectToObject(m->provenance, "config"), *d = cJSON_AddObjectToObject(config, "data");
    cJSON_AddStringToObject(d, "rows", "a:b");
    check_ok(rt_model_save(m, at("damaged.h5")));
    rt_model_free(m);
    check_fails(evaluate(config_of("", "damaged.h5 b.h5", "data.h5"), NULL, 0, &e), RT_INPUT,
                "damaged.h5: its provenance");
    assert_non_null(strstr(rt_error_message(), "rows 'a:b'"));
    cJSON *list = cJSON_Parse("[{\"data\": \"\", \"rows\": {\"range\": \"a:b\"}}]");
    cJSON_ReplaceItemInObject(list->child, "data", cJSON_CreateString(data.hex));
    write_model("damaged2.h5", 0, list);
    check_fails(evaluate(config_of("", "damaged2.h5 b.h5", "data.h5"), NULL, 0, &e), RT_INPUT, "damaged2.h5: its list");
}

static int rising(const void *a, const void *b)
{ return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* Columns of each row's numbers, by two passes in double: slices begin with the least and end with the greatest. */
static void row_statistics(void **state)
{
    static const char *const name[] = {"input.mean", "input.deviation", "input.min", "input.max"};
    const char *file[] = {at("a.h5"), at("b.h5")};
    rt_teacher_spec side[RT_SIDES] = {rt_teacher_of_files(&file[0], 1), rt_teacher_of_files(&file[1], 1)};
    cJSON *data = cJSON_CreateObject();
    rt_device *device = rt_device_cpu(1);
    rt_comparison *c;
    static double v[4][ROWS];
    (void)state;
    cJSON_AddStringToObject(data, "source", at("data.h5"));
    rt_comparison_spec spec = {.side = {&side[0], &side[1]}, .data = data, .device = device};
    check_ok(rt_comparison_open(&c, &spec));
    for (int r = 0; r < ROWS; r++) {
        const float *x = row_x + r * K;
        double sum = 0, square = 0;
        v[2][r] = INFINITY;
        v[3][r] = -INFINITY;
        for (int k = 0; k < K; k++) {
            sum += (double)x[k];
            v[2][r] = fmin(v[2][r], (double)x[k]);
            v[3][r] = fmax(v[3][r], (double)x[k]);
        }
        for (int k = 0; k < K; k++) square += ((double)x[k] - sum / K) * ((double)x[k] - sum / K);
        v[0][r] = sum / K;
        v[1][r] = sqrt(square / K);
    }
    for (int s = 0; s < 4; s++) {
        const rt_slice *slice;
        int count;
        qsort(v[s], ROWS, sizeof **v, rising);
        check_ok(rt_comparison_slices(c, 0, name[s], &slice, &count));
        const char *last = slice[count - 1].value, *to = strstr(last, " to ");
        assert_true(count > 1);
        check_close(name[s], strtod(slice[0].value, NULL), v[s][0], 1e-6, 1e-6);
        check_close(name[s], strtod(to ? to + 4 : last, NULL), v[s][ROWS - 1], 1e-6, 1e-6);
    }
    rt_comparison_close(c);
    rt_device_close(device);
    cJSON_Delete(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number), cmocka_unit_test(parts),       cmocka_unit_test(reference),
        cmocka_unit_test(without_labels), cmocka_unit_test(configuration_is_whole), cmocka_unit_test(few_classes),
        cmocka_unit_test(seen),         cmocka_unit_test(settings),    cmocka_unit_test(names_are_distinct),
        cmocka_unit_test(history), cmocka_unit_test(row_statistics), cmocka_unit_test(damaged_provenance)};
    return cmocka_run_group_tests(tests, make_models, remove_test_folder);
}
