/* Training of several heads: whole runs against PyTorch's (heads_reference.h), with targets that are missing, alone and
 * with a teacher, in the loop or through a label store; one head given as a list; what is refused; targets from other
 * files. */
#include "teacher/labeler.h"
#include "tests/train/heads_reference.h"
#include "tests/train/train_support.h"

enum { K = 3, L = 4, D = 2 };

#define HEADS "'heads': [{'name': 'kind', 'size': 3}, {'name': 'tags', 'task': 'multilabel', 'size': 4}, " \
    "{'name': 'size', 'task': 'real', 'size': 2}]"
#define NET "{'input': [5], " HEADS ", 'layers': [{'op': 'dense', 'out': 6}, {'op': 'relu', 'name': 'trunk'}, " \
    "{'op': 'dense', 'out': 3, 'name': 'kind'}, {'op': 'dense', 'out': 4, 'name': 'tags', 'from': 'trunk'}, " \
    "{'op': 'dense', 'out': 2, 'name': 'size', 'from': 'trunk'}]}"
#define LINEAR "{'input': [5], " HEADS ", 'layers': [{'op': 'dense', 'out': 3, 'name': 'kind'}, " \
    "{'op': 'dense', 'out': 4, 'name': 'tags', 'from': 'input'}, " \
    "{'op': 'dense', 'out': 2, 'name': 'size', 'from': 'input'}]}"

static void write_model(const char *name, const char *arch, const float *weights, size_t count)
{
    cJSON *j = parse_config(arch);
    rt_model *m;
    size_t n = 0;
    check_ok(rt_model_new(&m, j, 1));
    for (int i = -1; (i = rt_graph_next_field(m->graph, RT_PARAM, i)) >= 0; n += m->graph->field[i].count)
        memcpy(rt_model_field(m, i), weights + n, m->graph->field[i].count * sizeof *weights);
    assert_int_equal(n, count);
    cJSON_AddItemToObject(m->provenance, "seen", cJSON_CreateArray());
    check_ok(rt_model_save(m, in_folder(name)));
    rt_model_free(m);
    cJSON_Delete(j);
}

static void write_targets(const char *name, int with_x)
{
    rt_h5_item item[4] = {{.name = "kind", .type = RT_I8, .rank = 1, .dim = {HEAD_ROWS}, .data = head_kind},
                          {.name = "tags", .type = RT_I8, .rank = 2, .dim = {HEAD_ROWS, L}, .data = head_tags},
                          {.name = "size", .type = RT_F32, .rank = 2, .dim = {HEAD_ROWS, D}, .data = head_size},
                          {.name = "x", .type = RT_F32, .rank = 2, .dim = {HEAD_ROWS, 5}, .data = head_x}};
    check_ok(rt_h5_save(in_folder(name), "retort-data-1", item, with_x ? 4 : 3));
}

static int set_up(void **s)
{
    static int32_t y[HEAD_ROWS];
    uint64_t dim[] = {HEAD_ROWS, 5};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    for (int i = 0; i < HEAD_ROWS; i++) y[i] = head_kind[i];
    write_targets("all.h5", 1);
    write_targets("targets.h5", 0);
    write_data("x.h5", head_x, 2, dim, y);
    write_model("start.h5", NET, head_start, sizeof head_start / sizeof *head_start);
    write_model("teacher.h5", LINEAR, head_teacher, sizeof head_teacher / sizeof *head_teacher);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

#define TRAIN "'train': {'epochs': %d, 'batch': %d, 'lr': 0.05, 'schedule': 'constant', 'momentum': 0, " \
    "'weight_decay': 0}, 'loss': {"

/* soft_from: how the teacher is told. */
static cJSON *run(const head_run *r, const char *data, const char *soft_from, const char *out)
{
    char config[2000], soft[3][120] = {"", "", ""};
    const char *mean = r->labelled ? "labelled" : "batch";
    const char *of_real = !strcmp(r->real, "huber")      ? ", 'delta': 0.5"
                          : !strcmp(r->real, "quantile") ? ", 'level': 0.3"
                                                         : "";
    if (r->soft) {
        snprintf(soft[0], sizeof soft[0], "'kind': 'kd', 'hard': 0.1, 'soft': 0.9, 'temperature': 2, ");
        snprintf(soft[1], sizeof soft[1], "'hard': 0.2, 'soft': 0.7, 'temperature': 1.5, ");
        snprintf(soft[2], sizeof soft[2], "'hard': 0.3, 'soft': 0.6, ");
    }
    snprintf(config, sizeof config,
             "{'init': '@start.h5', 'data': {%s, 'validation': 0%s, " TRAIN
             "'kind': {%s'hard_mean': '%s'}, 'tags': {%s'hard_mean': '%s'}, "
             "'size': {'kind': '%s', %s'hard_mean': '%s'%s}}}",
             data, r->soft ? soft_from : "}", HEAD_EPOCHS, HEAD_ROWS, soft[0], mean, soft[1], mean, r->real, soft[2],
             mean, of_real);
    return train(config, out);
}

static void check_run(const head_run *r, cJSON *result, const char *out)
{
    const cJSON *history = cJSON_GetObjectItem(result, "history");
    rt_model *m = load_model(out);
    size_t n = 0;
    for (int e = 0; e < HEAD_EPOCHS; e++)
        check_close("loss", number(cJSON_GetArrayItem(history, e), "loss"), r->loss[e], 1e-5, 1e-5);
    for (int i = -1; (i = rt_graph_next_field(m->graph, RT_PARAM, i)) >= 0;)
        for (size_t k = 0; k < m->graph->field[i].count; k++)
            check_close(m->graph->field[i].name, rt_model_field(m, i)[k], r->weights[n++], 1e-5, 1e-5);
    rt_model_free(m);
    cJSON_Delete(result);
}

static void runs_of_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof head_runs / sizeof *head_runs; i++) {
        const head_run *r = &head_runs[i];
        print_message("soft %d, mean over labelled %d, %s\n", r->soft, r->labelled, r->real);
        check_run(r, run(r, "'source': '@all.h5'", "}, 'teacher': '@teacher.h5'", "run"), "run");
    }
}

/* The same teacher's answers, cached. */
static void through_a_store(void **state)
{
    (void)state;
    cJSON *c = parse_config("{'teacher': '@teacher.h5', 'data': {'source': '@all.h5'}}"), *result;
    rt_target out = {.path = in_folder("labels.h5")};
    check_ok(rt_label(c, &out, test_device, NULL, &result));
    cJSON_Delete(result);
    cJSON_Delete(c);
    for (size_t i = 0; i < sizeof head_runs / sizeof *head_runs; i++)
        if (head_runs[i].soft)
            check_run(&head_runs[i], run(&head_runs[i], "'source': '@all.h5'", ", 'labels': '@labels.h5'}", "stored"),
                      "stored");
}

/* Targets in another file, and as columns of a set. */
static void elsewhere(void **state)
{
    (void)state;
    check_run(&head_runs[0],
              run(&head_runs[0],
                  "'source': '@x.h5', 'targets': {'kind': 'y', 'tags': {'source': '@targets.h5'}, "
                  "'size': {'source': '@targets.h5', 'set': 'size'}}",
                  "", "else"),
              "else");
    static const char *const config =
        "{'model': {'input': [5], 'family': 'mlp', 'width': 4, 'depth': 1, 'heads': [{'name': 'size', 'task': 'real', "
        "'size': 1}]}, 'data': {'source': '@all.h5', 'validation': 0, 'targets': {'size': {'set': 'size', "
        "'column': %d}}}, 'train': {'epochs': 1, 'batch': 8}}";
    double rows[2] = {0};
    for (int column = 0; column < 2; column++) {
        char text[500];
        snprintf(text, sizeof text, config, column);
        cJSON *r = train(text, "column");
        for (int i = 0; i < HEAD_ROWS; i++) rows[column] += !isnan(head_size[i * D + column]);
        check_close("labelled", number(r, "labelled_rows"), rows[column], 0, 0);
        check_close("without a target, or a teacher", number(r, "training_rows"), rows[column], 0, 0);
        cJSON_Delete(r);
    }
    assert_true(rows[0] != rows[1]);                                /* else this says nothing */
}

/* Each head is judged by those validation rows that have its target, or by all where the teacher does. */
static void judged_by(void **state)
{
    (void)state;
    static const char *const config =
        "{'model': {'input': [5], 'family': 'mlp', 'width': 4, 'depth': 1, 'heads': [{'name': 'size', 'task': 'real', "
        "'size': 2}, {'name': 'kind', 'size': 3}]}, 'data': {'source': '@all.h5', 'validation': 6}, "
        "'train': {'epochs': 1, 'batch': 4}}";
    static const char *const by[2] = {"labelled_rows_by_head", "validation_rows_by_head"};
    double want[2] = {0};
    for (int i = 0; i < HEAD_ROWS; i++) {
        want[0] += !isnan(head_size[i * 2]) || !isnan(head_size[i * 2 + 1]);
        want[1] += head_kind[i] >= 0;
    }
    cJSON *r = train(config, "judged");
    for (int h = 0; h < 2; h++) {
        double rows[2];
        for (int k = 0; k < 2; k++) rows[k] = cJSON_GetArrayItem(cJSON_GetObjectItem(r, by[k]), h)->valuedouble;
        check_close("rows with a target", rows[0] + rows[1], want[h], 0, 0);
        assert_true(rows[1] > 0 && rows[1] <= 6);
    }
    cJSON_Delete(r);
}

/* "classes" and one head that says the same are one thing; a head beside another learns as it does alone. */
static void one_thing(void **state)
{
    (void)state;
#define RUN "{'model': {'input': [5], %s}, 'data': {'source': '@all.h5', 'validation': 0%s}, " \
    "'train': {'epochs': 3, 'batch': 8, 'weight_decay': 0}}"
#define TWO \
    "'layers': [{'op': 'dense', 'out': 3, 'name': 'kind'}, {'op': 'dense', 'out': 2, 'name': 'size', 'from': 'input'}]"
    static const char *const one[2] = {
        "'classes': 3, 'layers': [{'op': 'dense', 'out': 3, 'name': 'kind'}]",
        "'heads': [{'name': 'y'}], 'layers': [{'op': 'dense', 'out': 3, 'name': 'kind'}]"};
    static const char *const beside[2] = {"'heads': [{'name': 'kind'}], " TWO,
                                          "'heads': [{'name': 'size', 'task': 'real'}, {'name': 'kind'}], " TWO};
    char digest[2][33], config[600];
    float *w[2];
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(config, sizeof config, RUN, one[i], ", 'y': 'kind'");
        digest_of_run(config, "one", digest[i]);
        snprintf(config, sizeof config, RUN, beside[i], ", 'rows': '1:7'"); /* all with a class: no row is left out */
        cJSON_Delete(train(config, "two"));
        rt_model *m = load_model("two");
        count = m->graph->field[0].count;
        w[i] = malloc(count * sizeof(float));
        memcpy(w[i], rt_model_field(m, 0), count * sizeof(float));
        rt_model_free(m);
    }
    assert_string_equal(digest[0], digest[1]);
    assert_int_equal(count, 15);
    assert_memory_equal(w[0], w[1], count * sizeof(float));
    free(w[0]);
    free(w[1]);
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *config, *says; rt_status st;
    } bad[] = {
        {"{'model': " NET ", 'data': {'source': '@all.h5', 'y': 'kind'}}", "data.targets names the data set of each",
         RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'kinds': 'kind'}}}",
         "the model has no head 'kinds'", RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'kind': 'none'}}}",
         "data.targets.kind: ", RT_INPUT},
        {"{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'kind': 'tags'}}}",
         "does not hold one whole number", RT_INPUT},
        {"{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'size': 'tags'}}}",
         "holds 4 values a row, the head has 2", RT_INPUT},
        {"{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'tags': {'set': 'size', 'column': 2}}}}",
         "so there is no column 2", RT_INPUT},
        {"{'model': " NET ", 'data': {'source': '@all.h5'}, 'loss': {'kind': {'kind': 'mse'}}}", "needs a teacher",
         RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5'}, 'loss': {'tags': {'kind': 'kd'}}}", "loss.tags.kind",
         RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5'}, 'loss': {'size': {'temperature': 2}}}", "softens logits",
         RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5'}, 'loss': {'hard': 1}}", "unknown key", RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5'}, 'train': {'monitor': 'accuracy'}}",
         "HEAD.METRIC is expected", RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@all.h5'}, 'train': {'monitor': 'kind.rmse'}}",
         "there is no metric 'rmse'", RT_USAGE},
        {"{'model': " NET ", 'data': {'source': '@x.h5', 'targets': {'kind': 'y'}}}", "has no labels 'tags'", RT_INPUT},
        {"{'model': {'input': [5], 'heads': [{'name': 'a', 'task': 'real', 'size': 2}], 'family': 'mlp'}, "
         "'data': {'source': '@all.h5', 'y': 'size'}, 'teacher': '@start.h5'}",
         "has no head 'a'", RT_INPUT}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cJSON *r;
        check_fails(train_with(bad[i].config, "bad", 1, NULL, &r), bad[i].st, bad[i].says);
    }
}

/* An empty set: the head has no targets, though the data has some, and learns from the teacher alone. */
static void no_targets(void **state)
{
    (void)state;
    cJSON *r = train("{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'tags': ''}, 'validation': 0.4}, "
                     "'teacher': '@teacher.h5', 'loss': {'tags': {'hard': 0, 'soft': 1}}, "
                     "'train': {'epochs': 1, 'batch': 4}}", "none"), *no;
    assert_null(strstr(text_of(r, "last_weights_digest"), "nan"));
    cJSON_Delete(r);
    check_fails(
        train_with("{'model': " NET ", 'data': {'source': '@all.h5', 'targets': {'tags': ''}}}", "none", 1, NULL, &no),
        RT_INPUT, "has no labels 'tags'");
}

/* Two metrics of each head an epoch, the best by the monitored one; csv and result tell the same. */
static void monitored(void **state)
{
    (void)state;
    static const char *const keys[] = {"validation_kind.accuracy", "validation_kind.nll", "validation_tags.micro_f1",
                                       "validation_tags.bce", "validation_size.rmse", "validation_size.mae",
                                       "validation_size.r2"};
    cJSON *r = train("{'model': " NET
                     ", 'data': {'source': '@all.h5', 'validation': 0.4}, 'train': {'epochs': 6, 'batch': 4, "
                     "'lr': 0.02, 'monitor': 'size.r2'}}",
                     "monitor"),
          *history = cJSON_GetObjectItem(r, "history");
    double best = -INFINITY;
    int at = 0, e = 0;
    for (const cJSON *h = history->child; h; h = h->next) {
        e++;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) (void)number(h, keys[i]);
        if (number(h, "validation_size.r2") <= best) continue;
        best = number(h, "validation_size.r2");
        at = e;
    }
    check_close("best epoch", number(r, "best_epoch"), at, 0, 0);
    check_close("value", number(r, "monitor_value"), best, 0, 0);
    assert_string_equal(text_of(r, "monitor"), "size.r2");
    cJSON_Delete(r);
}

/* Targets far from 0 and 1 are learnt as they are, which is said. */
static void far_targets(void **state)
{
    (void)state;
    float far[HEAD_ROWS];
    for (int i = 0; i < HEAD_ROWS; i++) far[i] = (float)(500 + 30 * (i % 2));
    rt_h5_item item[2] = {{.name = "price", .type = RT_F32, .rank = 1, .dim = {HEAD_ROWS}, .data = far},
                          {.name = "x", .type = RT_F32, .rank = 2, .dim = {HEAD_ROWS, 5}, .data = head_x}};
    check_ok(rt_h5_save(in_folder("far.h5"), "retort-data-1", item, 2));
    for (int i = 0; i < 2; i++) {
        cJSON *r = train(
            i ? "{'model': {'input': [5], 'heads': [{'name': 'size', 'task': 'real', 'size': 2}], 'family': 'mlp'}, "
                "'data': {'source': '@all.h5'}, 'train': {'epochs': 1, 'batch': 8, 'lr': 1e-3}}"
              : "{'model': {'input': [5], 'heads': [{'name': 'price', 'task': 'real', 'size': 1}], 'family': 'mlp'}, "
                "'data': {'source': '@far.h5', 'validation': 0}, 'train': {'epochs': 1, 'batch': 8, 'lr': 1e-6}}",
            "far");
        const cJSON *notes = cJSON_GetObjectItem(r, "notes");
        if (i) assert_null(notes);
        else
            assert_non_null(
                strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "of mean 515 and deviation 15 are learnt"));
        cJSON_Delete(r);
    }
}

/* A head with names and data without: columns are taken in the head's order, which is said. */
static void unnamed_columns(void **state)
{
    (void)state;
    static const char *const config =
        "{'model': {'input': [5], 'heads': [{'name': 'size', 'task': 'real', 'size': 2%s}], 'family': 'mlp'}, "
        "'data': {'source': '@all.h5'%s}, 'train': {'epochs': 1, 'batch': 8, 'lr': 1e-3}}";
    static const char *const how[3][2] = {
        {", 'names': ['long', 'wide']", ""}, {", 'names': ['long', 'wide']", ", 'names': 'position'"}, {"", ""}};
    for (int i = 0; i < 3; i++) {
        char text[500];
        snprintf(text, sizeof text, config, how[i][0], how[i][1]);
        cJSON *r = train(text, "unnamed");
        const cJSON *notes = cJSON_GetObjectItem(r, "notes");
        if (i) assert_null(notes);
        else
            assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring,
                                   "head 'size': the data names no columns of 'size', which are taken in the head's "
                                   "order: long, wide"));
        cJSON_Delete(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_of_pytorch), cmocka_unit_test(through_a_store),
                                       cmocka_unit_test(elsewhere),       cmocka_unit_test(judged_by),
                                       cmocka_unit_test(one_thing),       cmocka_unit_test(refused),
                                       cmocka_unit_test(no_targets),      cmocka_unit_test(monitored),
                                       cmocka_unit_test(far_targets),     cmocka_unit_test(unnamed_columns)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
