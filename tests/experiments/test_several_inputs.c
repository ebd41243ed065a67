/* Models of several inputs read a data set for each, from any file. A model that puts its inputs side by side is what a
 * model of one input is on rows side by side: weights, labels, answers, scores and what was seen are compared with that
 * one, to the bit. */
#include "data/labels.h"
#include "data/x_where.h"
#include "experiments/eval/evaluator.h"
#include "experiments/jobs/export_job.h"
#include "experiments/jobs/predict_job.h"
#include "teacher/labeler.h"
#include "tests/train/train_support.h"

enum { ROWS = 600, D = 8, A = 3, B = D - A };

static void save(const char *name, rt_h5_item *item, int items)
{ check_ok(rt_h5_save(in_folder(name), "retort-data-1", item, items)); }

/* one.h5: x (N, 8), y. two.h5: left, the first columns of x, and y. bytes.h5: right, the others, which are bytes. */
static int set_up(void **s)
{
    static float x[ROWS][D], left[ROWS][A];
    static uint8_t right[ROWS][B];
    static int32_t y[ROWS];
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    float *noise = random_floats(ROWS * D, 3);
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % 3;
        for (int k = 0; k < D; k++) {
            float v = noise[i * D + k] + 2 * (k == y[i] || k == A + y[i]);
            if (k >= A) v = (float)(right[i][k - A] = (uint8_t)fminf(fmaxf(v * 20 + 100, 0), 255));
            else left[i][k] = v;
            x[i][k] = v;
        }
    }
    free(noise);
    write_data("one.h5", x[0], 2, (uint64_t[]){ROWS, D}, y);
    rt_h5_item in[3] = {{.name = "left", .type = RT_F32, .rank = 2, .dim = {ROWS, A}, .data = left},
                        {.name = "y", .type = RT_I32, .rank = 1, .dim = {ROWS}, .data = y},
                        {.name = "right", .type = RT_U8, .rank = 2, .dim = {ROWS, B}, .data = right}};
    save("two.h5", in, 2);
    save("both.h5", in, 3);
    in[2].name = "r";
    save("bytes.h5", in + 2, 1);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

#define BODY "{'op': 'dense', 'out': 8}, {'op': 'relu'}, {'op': 'dense', 'out': 3}]}"
#define ONE "'model': {'input': [8], 'classes': 3, 'layers': [" BODY
#define TWO "'model': {'inputs': [{'name': 'left', 'shape': [3]}, {'name': 'right', 'shape': [5]}], 'classes': 3, " \
            "'layers': [{'op': 'concat', 'from': ['left', 'right']}, " BODY
#define OF_ONE "'source': '@one.h5'"
#define OF_TWO "'source': '@two.h5', 'x': {'left': 'left', 'right': {'source': '@bytes.h5', 'set': 'r'}}"
#define RUN(model, data, more) \
    "{" model ", 'data': {" data ", 'validation': 90, 'normalize': 'channel'}, " more "'train': {'epochs': 3, " \
    "'batch': 32, 'ema': 0.9, 'accumulate': 2}}"

static void same_run(const char *one, const char *two, const char *name)
{
    cJSON *r[2] = {train(one, "run1"), train(two, name)};
    for (int e = 0; e < 3; e++)
        assert_string_equal(text_of(cJSON_GetArrayItem(cJSON_GetObjectItem(r[0], "history"), e), "digest"),
                            text_of(cJSON_GetArrayItem(cJSON_GetObjectItem(r[1], "history"), e), "digest"));
    check_close("accuracy", number(r[1], "validation_accuracy"), number(r[0], "validation_accuracy"), 0, 0);
    cJSON_Delete(r[0]);
    cJSON_Delete(r[1]);
}

static void training(void **state)
{
    (void)state;
    same_run(RUN(ONE, OF_ONE, ""), RUN(TWO, OF_TWO, ""), "run2");
    same_run(RUN(ONE, OF_ONE, "'augment': {'mixup': 0.4}, "), RUN(TWO, OF_TWO, "'augment': {'mixup': 0.4}, "), "run2");
    /* Inputs that nothing is said of take the sets of their names. */
    same_run(RUN(ONE, OF_ONE, ""), RUN(TWO, "'source': '@both.h5'", ""), "run2");
}

static void make_models(void)
{
    cJSON_Delete(train(RUN(ONE, OF_ONE, ""), "one"));
    cJSON_Delete(train(RUN(TWO, OF_TWO, ""), "two"));
}

static void label(const char *config, const char *out)
{
    cJSON *c = parse_config(config), *r;
    check_ok(rt_label(c, &(rt_target){.path = in_folder(out), .force = 1}, test_device, NULL, &r));
    cJSON_Delete(r);
    cJSON_Delete(c);
}

static void *contents(const char *name, size_t *n)
{
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    char *p = malloc(*n + 1);
    rewind(f);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

static void export(const char *config, const char *out)
{
    cJSON *c = parse_config(config), *r;
    check_ok(rt_export(c, &(rt_target){.path = in_folder(out), .force = 1}, &r));
    cJSON_Delete(r);
    cJSON_Delete(c);
}

static void predict(const char *config, const char *out)
{
    cJSON *c = parse_config(config), *r;
    check_ok(rt_predict_rows(c, &(rt_target){.path = in_folder(out), .force = 1}, test_device, NULL, &r));
    cJSON_Delete(r);
    cJSON_Delete(c);
}

static void same_file(const char *a, const char *b)
{
    size_t na, nb;
    char *pa = contents(a, &na), *pb = contents(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
    free(pa);
    free(pb);
}

static void labels_and_exports(void **state)
{
    (void)state;
    make_models();
    label("{'teacher': '@one/model.h5', 'data': {" OF_ONE "}}", "one.labels");
    label("{'teacher': '@two/model.h5', 'data': {" OF_TWO "}}", "two.labels");
    export("{'input': '@one.labels', 'to': 'npy'}", "one.npy");
    export("{'input': '@two.labels', 'to': 'npy'}", "two.npy");
    same_file("one.npy", "two.npy");
    predict("{'model': '@one/model.h5', 'to': 'npy', 'data': {" OF_ONE "}}", "one_answers.npy");
    predict("{'model': '@two/model.h5', 'to': 'npy', 'data': {" OF_TWO "}}", "two_answers.npy");
    same_file("one_answers.npy", "two_answers.npy");
    /* Students of those labels, and of the teachers beside them. */
#define KD "'loss': {'kind': 'kd', 'temperature': 2}, "
    same_run(RUN(ONE, OF_ONE ", 'labels': '@one.labels'", KD), RUN(TWO, OF_TWO ", 'labels': '@two.labels'", KD),
             "run2");
    same_run(RUN(ONE, OF_ONE, KD "'teacher': '@one/model.h5', 'augment': {'mixup': 0.4}, "),
             RUN(TWO, OF_TWO, KD "'teacher': '@two/model.h5', 'augment': {'mixup': 0.4}, "), "run2");
    /* A teacher that sees another set than its student. */
    same_run(RUN(ONE, OF_ONE, KD "'teacher': '@one/model.h5', "),
             RUN(TWO,
                 "'source': '@two.h5', 'x': {'left': 'left', 'right': {'source': '@bytes.h5', 'set': 'r'}, 'input': "
                 "{'source': '@one.h5', 'set': 'x'}}",
                 KD "'teacher': '@one/model.h5', "),
             "run2");
    /* Labels of these rows, not of others. */
    cJSON *r;
    check_fails(train_with(RUN(TWO, "'source': '@both.h5', 'x': {'left': 'left', 'right': 'right'}, 'labels': "
                               "'@one.labels'", KD), "run3", 1, NULL, &r), RT_INPUT, "labels are of other data");
}

static cJSON *evaluation(const char *config)
{
    cJSON *c = parse_config(config), *e;
    check_ok(rt_evaluate(c, NULL, test_device, NULL, &e));
    cJSON_Delete(c);
    return e;
}

/* An estimate has its value beside an interval. */
static double of_model(const cJSON *e, int i, const char *key)
{
    const cJSON *v = cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(e, "models"), i), key);
    if (!v)
        fail_msg("a model has no '%s': %s", key, cJSON_Print(cJSON_GetArrayItem(cJSON_GetObjectItem(e, "models"), i)));
    return cJSON_IsNumber(v) ? v->valuedouble : number(v, "value");
}

static void evaluation_tells_what_was_seen(void **state)
{
    (void)state;
    make_models();
    cJSON *one = evaluation("{'students': ['@one/model.h5'], 'data': {" OF_ONE "}, 'eval': {'speed': false}}");
    cJSON *two = evaluation("{'students': ['@two/model.h5'], 'data': {" OF_TWO
                            "}, 'eval': {'speed': true, 'latency_samples': "
                            "100, 'rounds': 2, 'seconds': 0.1}, 'speed': {'seconds': 0}}");
    static const char *const same[] = {"accuracy", "nll", "ece"};
    for (int i = 0; i < 3; i++) check_close(same[i], of_model(two, 0, same[i]), of_model(one, 0, same[i]), 0, 0);
    check_close("seen", of_model(two, 0, "rows_seen_in_training"), ROWS, 0, 0);
    cJSON_Delete(one);
    cJSON_Delete(two);
    /* Both at once; each has trained on these rows, whatever sets stand beside its own. */
    two = evaluation("{'students': ['@one/model.h5', '@two/model.h5'], 'data': {'source': '@two.h5', 'x': {'left': "
                     "'left', 'right': {'source': '@bytes.h5', 'set': 'r'}, 'input': {'source': '@one.h5', 'set': "
                     "'x'}}}, 'eval': {'speed': false}}");
    for (int i = 0; i < 2; i++) check_close("seen", of_model(two, i, "rows_seen_in_training"), ROWS, 0, 0);
    cJSON_Delete(two);
}

/* Models that read other parts of the rows are compared on rows of all parts. */
static void a_pair(void **state)
{
    (void)state;
    cJSON *e = evaluation("{'baseline': '@one/model.h5', 'candidate': '@two/model.h5', 'data': {'source': '@two.h5', "
                          "'x': {'left': 'left', 'right': {'source': '@bytes.h5', 'set': 'r'}, 'input': {'source': "
                          "'@one.h5', 'set': 'x'}}}, 'eval': {'speed': false}}");
    const cJSON *c = cJSON_GetObjectItem(e, "comparison"), *head = cJSON_GetObjectItem(c, "heads")->child;
    const cJSON *accuracy = cJSON_GetObjectItem(head, "metrics")->child;
    assert_true(number(c, "rows") == ROWS);
    check_close("drop", number(accuracy, "drop"), of_model(e, 0, "accuracy") - of_model(e, 1, "accuracy"), 1e-12, 0);
    cJSON_Delete(e);
}

static void check_train(const char *config, rt_status want, const char *part)
{
    cJSON *r;
    check_fails(train_with(config, "wrong", 1, NULL, &r), want, part);
}

static void what_is_refused(void **state)
{
    (void)state;
    static float few[ROWS - 1][B], odd[ROWS][B];
    odd[7][2] = NAN;
    rt_h5_item in[3] = {{.name = "few", .type = RT_F32, .rank = 2, .dim = {ROWS - 1, B}, .data = few},
                        {.name = "odd", .type = RT_F32, .rank = 2, .dim = {ROWS, B}, .data = odd},
                        {.name = "text", .type = RT_TEXT, .element = 4, .rank = 1, .dim = {ROWS}, .data = odd}};
    save("odd.h5", in, 3);
#define FROM(set) \
    RUN(TWO, "'source': '@two.h5', 'x': {'left': 'left', 'right': {'source': '@odd.h5', 'set': '" set "'}}", "")
    check_train(FROM("few"), RT_INPUT, "odd.h5: data set 'few' has 599 rows, 'left' of ");
    check_train(FROM("odd"), RT_INPUT, "odd.h5: row 7 of 'odd' contains NaN");
    check_train(FROM("text"), RT_INPUT, "odd.h5: data set 'text' is text, not numbers");
    check_train(FROM("none"), RT_INPUT, "data.x: input 'right': ");
    check_train(RUN(TWO, "'source': '@two.h5', 'x': {'left': 'left'}", ""), RT_USAGE,
                "the model has the inputs left, right, and data.x names data sets for left");
    check_train(RUN(TWO, "'source': '@two.h5', 'x': 'left'", ""), RT_USAGE,
                "the model has the inputs left, right, and data.x names one data set, 'left'; name one for each");
    check_train(RUN(TWO, "'source': '@both.h5', 'x': {'left': 'left', 'rigth': 'right'}", ""), RT_USAGE,
                "data.x: no model has an input 'rigth'; is it 'right'?");
    check_train(RUN(TWO, "'source': '@both.h5', 'x': {'left': 5, 'right': 'right'}", ""), RT_USAGE,
                "data.x: a data set's name is expected, or {\"INPUT\": \"data set\"}");
    check_train(RUN(TWO, "'source': '@both.h5', 'x': {'left': {'file': 'a'}, 'right': 'right'}", ""), RT_USAGE, "file");
    check_train(RUN(TWO, "'source': '@both.h5', 'x': {}", ""), RT_USAGE, "data.x: a data set's name is expected");
    check_train(RUN(TWO, "'source': '@one.h5', 'x': {'left': {'source': '@both.h5'}, 'right': {'source': '@both.h5'}}",
                    ""), RT_USAGE, "data.x: one input at least must lie in data.source");
    check_train(RUN(TWO, "'source': '@both.h5'", "'augment': {'flip': true}, "), RT_USAGE,
                "augment.flip: needs images, and no input is one");
    check_train("{" TWO ", 'data': {'source': '@both.h5', 'normalize': {'left': 'all', 'middle': 'all'}}}", RT_USAGE,
                "data.normalize: 'middle' is no input of the model");
}

/* An output never takes the place of a file that an input lies in. */
static void outputs_are_no_inputs(void **state)
{
    (void)state;
    make_models();
    cJSON *c = parse_config("{'teacher': '@two/model.h5', 'data': {" OF_TWO "}}"), *r;
    check_fails(rt_label(c, &(rt_target){.path = in_folder("bytes.h5"), .force = 1}, test_device, NULL, &r), RT_USAGE,
                "bytes.h5");
    cJSON_Delete(c);
    c = parse_config("{'model': '@two/model.h5', 'data': {" OF_TWO "}}");
    check_fails(rt_predict_rows(c, &(rt_target){.path = in_folder("bytes.h5"), .force = 1}, test_device, NULL, &r),
                RT_USAGE, "");
    cJSON_Delete(c);
    rt_source *x;
    check_ok(rt_source_open(&x, in_folder("bytes.h5"), "r"));
    rt_source_close(x);
}

/* Normalisation of each for itself. */
static void normalisation_by_input(void **state)
{
    (void)state;
    rt_model *m;
    cJSON *r = train("{" TWO ", 'data': {'source': '@both.h5', 'normalize': {'left': 'none', 'right': {'mean': [100], "
                     "'std': [20]}}}, 'train': {'epochs': 1}}", "norm");
    assert_string_equal(text_of(cJSON_GetObjectItem(r, "normalization"), "left"), "none");
    assert_string_equal(text_of(cJSON_GetObjectItem(r, "normalization"), "right"), "as given");
    check_ok(rt_model_load(&m, in_folder("norm/model.h5")));
    check_close("mul", m->input[0].mul[0], 1, 0, 0);
    check_close("mean", m->input[1].add[0], -100, 0, 0);
    check_close("deviation", m->input[1].mul[0], 0.05, 1e-9, 0);
    assert_int_equal(m->input[1].channels, 1);
    rt_model_free(m);
    cJSON_Delete(r);
}

/* Ids by an embedding: learnt, labelled with and evaluated; what is no id is told, or marked. */
#define WORDS "'model': {'inputs': [{'name': 'word', 'shape': [2], 'type': 'i32'}, {'name': 'left', 'shape': [3]}], " \
              "'classes': 3, 'layers': [{'op': 'embedding', 'rows': 30, 'out': 6, 'from': 'word'}, {'op': 'flatten', " \
              "'name': 'e'}, {'op': 'concat', 'from': ['e', 'left']}, {'op': 'dense', 'out': 3}]}"
#define OF_WORDS(file) "'source': '@two.h5', 'x': {'left': 'left', 'word': {'source': '@" file "', 'set': 'word'}}"

static void ids(void **state)
{
    (void)state;
    static int64_t word[ROWS][2];
    static float as_float[ROWS][2];
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < 2; k++) as_float[i][k] = (float)(word[i][k] = i % 3 + 3 * (i * 7 % 10));
    rt_h5_item item = {.name = "word", .type = RT_I64, .rank = 2, .dim = {ROWS, 2}, .data = word};
    save("words.h5", &item, 1);
    item.type = RT_F32;
    item.data = as_float;
    save("float.h5", &item, 1);
    item.type = RT_I64;
    item.data = word;
    word[9][1] = 30;
    save("beyond.h5", &item, 1);
    word[9][1] = -1;
    save("negative.h5", &item, 1);
    as_float[11][0] = 2.5f;
    item.type = RT_F32;
    item.data = as_float;
    save("half.h5", &item, 1);
#define LEARN(file, more, epochs) \
    "{" WORDS ", 'data': {" OF_WORDS(file) ", 'validation': 90}, " more "'train': {'epochs': " epochs \
                                           ", 'batch': 32, " \
                                           "'lr': 0.2}}"
    cJSON *r = train(LEARN("words.h5", "", "12"), "words"), *q = train(LEARN("float.h5", "", "12"), "floats");
    check_close("accuracy", number(r, "validation_accuracy"), 1, 0, 0);        /* by the first of the ids alone */
    assert_string_equal(text_of(r, "last_weights_digest"), text_of(q, "last_weights_digest"));
    assert_string_equal(text_of(cJSON_GetObjectItem(r, "normalization"), "word"), "ids");
    cJSON_Delete(r);
    cJSON_Delete(q);
    check_train(LEARN("beyond.h5", "", "1"), RT_INPUT,
                "beyond.h5: row 9 of 'word' contains 30, which is no id: those of the model's embedding are 0 to 29");
    check_train(LEARN("negative.h5", "", "1"), RT_INPUT, "row 9 of 'word' contains -1, which is no id");
    check_train(LEARN("half.h5", "", "1"), RT_INPUT, "row 11 of 'word' contains 2.5, which is no id");
    check_train(LEARN("words.h5", "'augment': {'mixup': 0.2}, ", "1"), RT_USAGE,
                "augment.mixup: mixes numbers, and input "
                "'word' is of ids");
    cJSON *e = evaluation(
        "{'students': ['@words/model.h5'], 'data': {" OF_WORDS("words.h5") "}, 'eval': {'speed': false}}");
    check_close("accuracy", of_model(e, 0, "accuracy"), 1, 0, 0);
    cJSON_Delete(e);
    label("{'teacher': '@words/model.h5', 'data': {" OF_WORDS("beyond.h5") "}, 'label': {'bad_rows': 'mark'}}",
          "marked");
    rt_labels *l;
    rt_labels_summary sum;
    check_ok(rt_labels_open(&l, in_folder("marked"), 0));
    check_ok(rt_labels_summarize(l, &sum));
    assert_int_equal(sum.status[RT_LABEL_BAD_INPUT], 1);
    assert_int_equal(sum.status[RT_LABEL_DONE], ROWS - 1);
    rt_labels_close(l);
    cJSON *c = parse_config("{'teacher': '@words/model.h5', 'data': {" OF_WORDS("beyond.h5") "}}");
    check_fails(rt_label(c, &(rt_target){.path = in_folder("refused")}, test_device, NULL, &r), RT_INPUT,
                "row 9 of 'word' contains 30, which is no id");
    cJSON_Delete(c);
    /* Layers that take numbers, and heads. */
    check_train(
        "{'model': {'inputs': [{'name': 'w', 'shape': [2], 'type': 'i32'}], 'classes': 3, 'layers': [{'op': 'dense', "
        "'out': 3}]}, 'data': {'source': '@two.h5'}}",
        RT_USAGE, "takes numbers, and 'w' gives ids; put an embedding between them");
    check_train("{'model': {'input': [2], 'classes': 3, 'layers': [{'op': 'embedding', 'rows': 5, 'out': 3}]}, 'data': "
                "{'source': '@two.h5'}}", RT_USAGE, "takes ids: an input whose \"type\" is \"i32\"");
}

/* A run that goes on from a model has its constants, not those that the formula gives. */
static void constants_of_init(void **state)
{
    (void)state;
    rt_model *m;
    cJSON *arch = parse_config("{'input': [2, 4], 'classes': 3, 'layers': [{'op': 'position'}, {'op': 'flatten'}, "
                               "{'op': 'dense', 'out': 3}]}"), *r;
    char digest[2][33];
    check_ok(rt_model_new(&m, arch, 1));
    cJSON_Delete(arch);
    for (int i = 0; i < 2; i++) {
        int f = rt_graph_next_field(m->graph, RT_CONST, -1);
        for (int k = 0; k < 8 && i; k++) rt_model_field(m, f)[k] = (float)k;
        check_ok(rt_model_save(m, in_folder("start.h5")));
        r = train("{'init': '@start.h5', 'data': {'source': '@one.h5', 'validation': 90}, 'train': {'epochs': 1}}",
                  "on");
        memcpy(digest[i], text_of(r, "last_weights_digest"), sizeof digest[i]);
        cJSON_Delete(r);
    }
    rt_model_free(m);
    assert_string_not_equal(digest[0], digest[1]);
    check_ok(rt_model_load(&m, in_folder("on/model.h5")));
    assert_true(rt_model_field(m, rt_graph_next_field(m->graph, RT_CONST, -1))[5] == 5);
    rt_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(training),
                                       cmocka_unit_test(labels_and_exports),
                                       cmocka_unit_test(evaluation_tells_what_was_seen), cmocka_unit_test(a_pair),
                                       cmocka_unit_test(what_is_refused),
                                       cmocka_unit_test(outputs_are_no_inputs),
                                       cmocka_unit_test(normalisation_by_input),
                                       cmocka_unit_test(ids),
                                       cmocka_unit_test(constants_of_init)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
