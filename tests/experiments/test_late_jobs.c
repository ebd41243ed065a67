/* Jobs on a device that is behind (tests/late_device.h): what they say of it, what they refuse, and that a timing holds
 * all of the work that it counts. */
#include "data/labels.h"
#include "experiments/jobs/bench_job.h"
#include "experiments/eval/evaluator.h"
#include "experiments/jobs/gate_job.h"
#include "experiments/jobs/predict_job.h"
#include "experiments/eval/predictions.h"
#include "experiments/jobs/quantize_job.h"
#include "experiments/jobs/runner.h"
#include "teacher/labeler.h"
#include "tests/late_device.h"
#include "tests/train/train_support.h"

enum { ROWS = 600, DIM = 8 };

static rt_device *cpu, *late;

#define MODEL "{'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1}"

static int set_up(void **s)
{
    uint64_t dim[] = {ROWS, DIM};
    int32_t y[ROWS];
    cJSON *r;
    if (make_test_folder(s)) return 1;
    cpu = rt_device_cpu(2);
    late = late_device(2);
    test_device = cpu;
    float *x = random_floats(ROWS * DIM, 7);
    for (int i = 0; i < ROWS; i++) {
        y[i] = (i * 7 + i / 5) % 3;
        x[i * DIM + y[i]] += 3;
    }
    write_data("x.h5", x, 2, dim, y);
    free(x);
    for (int i = 0; i < 2; i++) {
        char config[400];
        snprintf(config, sizeof config, "{'model': " MODEL ", 'seed': %d, 'data': {'source': '@x.h5', 'rows': ':400'}, "
                 "'train': {'epochs': 3, 'batch': 32}}", i + 1);
        cJSON_Delete(train(config, i ? "b" : "a"));
    }
    cJSON *c = parse_config("{'model': '@a/model.h5', 'data': {'source': '@x.h5', 'rows': ':400'}}");
    rt_status st = rt_quantize(c, &(rt_target){.path = in_folder("q.h5")}, cpu, NULL, &r);
    cJSON_Delete(c);
    cJSON_Delete(r);
    return st != RT_OK;
}

static int tear_down(void **s)
{
    rt_device_close(cpu);
    rt_device_close(late);
    return remove_test_folder(s);
}

static const cJSON *member(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    if (!v) fail_msg("no '%s'", key);
    return v;
}

/* A step takes what it takes to be told of it: a window that did not wait would count steps that nobody has done. */
static void bench_waits(void **s)
{
    (void)s;
    static const char *const more[] = {"", ", 'what': 'infer'", ", 'optimizer': 'adamw', 'loss': 'kd'"};
    for (int i = 0; i < 3; i++) {
        char text[300];
        cJSON *r;
        late_untold = 0;
        snprintf(text, sizeof text, "{'model': " MODEL ", 'seconds': 0.02, 'batch': 16, 'precision': 'tf32'%s}",
                 more[i]);
        cJSON *c = parse_config(text);
        check_ok(rt_bench(c, late, NULL, &r));
        assert_int_equal(late_untold, 0);
        assert_non_null(strstr(text_of(r, "kernels"), "late-tf32 "));
        assert_null(cJSON_GetObjectItemCaseSensitive(r, "peak_gflops_1thread"));
        assert_true(number(r, "samples_per_second") > 0);
        cJSON_Delete(c);
        cJSON_Delete(r);
    }
    cJSON *r, *c = parse_config("{'what': 'kernels'}");
    check_fails(rt_bench(c, late, NULL, &r), RT_USAGE,
                "the kernels that are timed are the CPU's: leave --device late:0");
    cJSON_Delete(c);
    c = parse_config("{'model': " MODEL ", 'qat': 'live'}");
    check_fails(rt_bench(c, late, NULL, &r), RT_USAGE, "qat: late:0 has no quantized kernels");
    cJSON_Delete(c);
}

static int file_has(const char *name, const char *part)
{
    static char text[1 << 20];
    FILE *f = fopen(in_folder(name), "r");
    if (!f) fail_msg("no %s", name);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return strstr(text, part) != NULL;
}

static rt_status evaluate(const char *text, cJSON **r)
{
    cJSON *c = parse_config(text);
    rt_status st = rt_evaluate(c, &(rt_target){.path = in_folder("report"), .force = 1}, late, NULL, r);
    cJSON_Delete(c);
    return st;
}

static void an_evaluation_names_the_device(void **s)
{
    (void)s;
    cJSON *r;
    int said = 0;
    check_ok(evaluate("{'teacher': '@a/model.h5', 'students': ['@b/model.h5'], 'data': {'source': '@x.h5', 'rows': "
                      "'400:'}, 'eval': {'precision': 'tf32', 'latency_samples': 64, 'seconds': 0.02, 'rounds': 2}, "
                      "'speed': {'seconds': 0}}", &r));
    const cJSON *m = member(r, "machine");
    assert_non_null(strstr(text_of(m, "kernels"), "late-tf32 "));
    assert_string_equal(text_of(m, "device"), "late:0");
    assert_string_equal(text_of(m, "precision"), "tf32");
    for (const cJSON *n = member(r, "notes")->child; n; n = n->next)
        said |= strstr(n->valuestring, "latency and throughput on late:0 are those of whole calls") != NULL;
    assert_true(said);
    const cJSON *one = member(member(r, "models")->child, "latency_batch1_1thread");
    if (number(one, "disturbed") > 0) fail_msg("calls that wait for a card count as disturbed");
    assert_null(cJSON_GetObjectItemCaseSensitive(m, "peak_gflops_1thread"));
    assert_true(file_has("report/report.html", "retort eval --out FOLDER --device late:0"));
    assert_true(file_has("report/report.html", "kernels late-tf32 "));
    assert_false(file_has("report/report.html", "measured peak"));
    assert_true(file_has("report/report.html", "on Late card"));
    assert_true(file_has("report/report.md", "Computed on Late card"));
    cJSON_Delete(r);
    /* The next one is in its own precision, and that of the next experiment's step, too. */
    check_ok(evaluate("{'students': ['@b/model.h5'], 'data': {'source': '@x.h5'}, 'eval': {'speed': false}}", &r));
    assert_string_equal(text_of(member(r, "machine"), "precision"), "fp32");
    cJSON_Delete(r);
    check_fails(evaluate("{'students': ['@b/model.h5'], 'data': {'source': '@x.h5'}, 'eval': {'precision': 'bf16'}}",
                         &r), RT_USAGE, "eval.precision: late:0 has no bf16");
}

static void quantized_models_are_refused(void **s)
{
    (void)s;
    cJSON *r, *c;
    check_fails(evaluate("{'teacher': '@a/model.h5', 'students': ['@q.h5'], 'data': {'source': '@x.h5'}}", &r),
                RT_USAGE, "q.h5: is quantized, and late:0 has no quantized kernels");
    c = parse_config("{'model': '@q.h5', 'data': {'source': '@x.h5'}}");
    check_fails(rt_predict_rows(c, &(rt_target){.path = in_folder("p.h5")}, late, NULL, &r), RT_USAGE,
                "q.h5: is quantized, and late:0 has no quantized kernels");
    cJSON_Delete(c);
    c = parse_config("{'teacher': '@q.h5', 'data': {'source': '@x.h5'}}");
    check_fails(rt_label(c, &(rt_target){.path = in_folder("l.h5")}, late, NULL, &r), RT_USAGE,
                "q.h5: is quantized, and late:0 has no quantized kernels");
    cJSON_Delete(c);
    assert_int_not_equal(access(in_folder("p.h5"), F_OK), 0);
    assert_int_not_equal(access(in_folder("l.h5"), F_OK), 0);
}

static void predictions_and_verdicts(void **s)
{
    (void)s;
    cJSON *r, *c;
    rt_predictions *p;
    FILE *f = fopen(in_folder("policy.json"), "w");
    fputs("{\"format\": \"retort-policy-1\", \"limits\": [{\"metric\": \"accuracy\", \"max_drop\": 0.5}]}", f);
    fclose(f);
    c = parse_config("{'model': '@a/model.h5', 'data': {'source': '@x.h5', 'rows': '400:'}, 'precision': 'tf32'}");
    check_ok(rt_predict_rows(c, &(rt_target){.path = in_folder("p.h5")}, late, NULL, &r));
    assert_non_null(strstr(text_of(r, "kernels"), "late-tf32 "));
    cJSON_Delete(c);
    cJSON_Delete(r);
    check_ok(rt_predictions_read(&p, in_folder("p.h5")));
    assert_non_null(strstr(p->kernels, "late-tf32 "));
    rt_predictions_free(p);
    c = parse_config("{'baseline': '@p.h5', 'candidate': '@b/model.h5', 'policy': '@policy.json', 'data': {'source': "
                     "'@x.h5', 'rows': '400:'}}");
    check_ok(rt_gate_run(c, &(rt_target){.path = in_folder("gate")}, late, NULL, &r));
    assert_string_equal(text_of(member(r, "machine"), "device"), "late:0");
    assert_non_null(strstr(text_of(member(r, "baseline"), "kernels"), "late-tf32 "));
    assert_null(strstr(text_of(member(r, "candidate"), "kernels"), "late-tf32 "));
    cJSON_Delete(c);
    cJSON_Delete(r);
}

static void quantizing_is_the_cpus(void **s)
{
    (void)s;
    cJSON *r, *c = parse_config("{'steps': [{'name': 'q', 'do': 'quantize', 'with': {'model': '@b/model.h5', 'data': "
                                "{'source': '@x.h5'}}}]}");
    late_sessions = 0;
    check_ok(rt_experiment_run(c, &(rt_target){.path = in_folder("alone")}, late, NULL, &r));
    assert_int_equal(late_sessions, 0);
    cJSON_Delete(c);
    cJSON_Delete(r);
}

/* Each step in its own precision. A run on another device does all that it computes anew. */
static void an_experiment(void **s)
{
    (void)s;
    const char *text = "{'steps': [{'name': 'l', 'do': 'label', 'with': {'teacher': '@a/model.h5', 'data': {'source': "
                       "'@x.h5'}, 'label': {'precision': 'tf32'}}}, "
                       "{'name': 'p', 'do': 'predict', 'with': {'model': '@b/model.h5', 'data': {'source': '@x.h5'}}}, "
                       "{'name': 'q', 'do': 'quantize', 'with': {'model': '@b/model.h5', 'data': {'source': "
                       "'@x.h5'}}}]}";
    for (int turn = 0; turn < 3; turn++) {
        static const char *const state[3][3] = {{"done", "done", "done"}, {"unchanged", "unchanged", "unchanged"},
                                                {"done", "done", "unchanged"}};
        cJSON *r, *c = parse_config(text);
        if (turn == 2) late_changed = 1;
        check_ok(rt_experiment_run(c, &(rt_target){.path = in_folder("runs")}, late, NULL, &r));
        const cJSON *step = member(r, "steps")->child;
        for (int i = 0; i < 3; i++, step = step->next) assert_string_equal(text_of(step, "state"), state[turn][i]);
        if (!turn) assert_null(strstr(text_of(member(member(r, "steps")->child->next, "result"), "kernels"), "tf32"));
        cJSON_Delete(c);
        cJSON_Delete(r);
    }
    late_changed = 0;
    rt_labels *l;
    check_ok(rt_labels_open(&l, in_folder("runs/l.h5"), 0));
    assert_non_null(strstr(text_of(member(rt_labels_manifest(l), "teacher"), "kernels"), "late-tf32 "));
    rt_labels_close(l);
}

enum { MANY = 70000 };                  /* rows: two groups of 32 blocks, and an end that fills no block */

/* Rows of which some are no numbers and one is far from all others. */
static void write_many(const char *name, int bad, int far)
{
    uint64_t dim[] = {MANY, DIM};
    int32_t *y = calloc(MANY, sizeof *y);
    float *x = random_floats(MANY * DIM, 11);
    for (int i = 0; i < MANY; i++) y[i] = i % 3;
    for (int i = 100; bad && i < MANY; i += 1701) x[i * DIM + i % DIM] = NAN;
    if (far) x[far * DIM] = 1e30f;
    write_data(name, x, 2, dim, y);
    free(x);
    free(y);
}

static rt_status label(const char *config, const char *out, rt_device *device)
{
    cJSON *r, *c = parse_config(config);
    rt_status st = rt_label(c, &(rt_target){.path = in_folder(out)}, device, NULL, &r);
    cJSON_Delete(c);
    cJSON_Delete(r);
    return st;
}

static rt_digest digest_of(const char *store)
{
    rt_labels *l;
    rt_digest d;
    check_ok(rt_labels_open(&l, in_folder(store), 0));
    check_ok(rt_labels_digest(l, &d));
    rt_labels_close(l);
    return d;
}

#define OF_MANY(data, more) "{'teacher': '@a/model.h5', 'data': {'source': '@" data "'}, " more "}"

/* What is written beside the asking is what is written by who asks. */
static void labels_are_the_cpus(void **s)
{
    (void)s;
    static const char *const config[] = {
        OF_MANY("many.h5", "'label': {'bad_rows': 'mark'}"),
        OF_MANY("many.h5", "'label': {'bad_rows': 'mark', 'batch': 5000}, 'labels': {'type': 'f16', 'topk': 2}"),
        OF_MANY("many.h5", "'label': {'bad_rows': 'mark', 'features': ['relu3']}"),
        "{'teacher': ['@a/model.h5', '@b/model.h5'], 'data': {'source': '@many.h5', 'rows': '3:20001'}, 'label': "
        "{'bad_rows': 'mark'}}"};
    write_many("many.h5", 1, 0);
    for (int i = 0; i < 4; i++) {
        char a[16], b[16];
        snprintf(a, sizeof a, "cpu%d.h5", i);
        snprintf(b, sizeof b, "late%d.h5", i);
        late_ahead = late_misasked = 0;
        check_ok(label(config[i], a, cpu));
        check_ok(label(config[i], b, late));
        assert_string_equal(digest_of(a).hex, digest_of(b).hex);
        assert_int_equal(late_misasked, 0);
        assert_int_equal(late_ahead, i == 2 ? 1 : RT_AHEAD);           /* features are of one micro-batch */
    }
}

/* A row whose answer the store cannot hold ends the run with the line that the CPU's run ends with. */
static void what_cannot_be_written_is_told(void **s)
{
    (void)s;
    static const int far[] = {5, 9000, MANY - 1};
    char said[2][400];
    for (int i = 0; i < 3; i++) {
        write_many("far.h5", 0, far[i]);
        for (int k = 0; k < 2; k++) {
            remove(in_folder("f.h5"));
            assert_int_equal(label(OF_MANY("far.h5", "'labels': {'type': 'f16'}"), "f.h5", k ? late : cpu), RT_INPUT);
            snprintf(said[k], sizeof said[k], "%s", rt_error_message());
            assert_non_null(strstr(said[k], "which f16 cannot hold"));
        }
        assert_string_equal(said[0], said[1]);
    }
}

/* What was answered before the card was lost is on disk, and the same command goes on from there. */
static void a_card_is_lost(void **s)
{
    (void)s;
    write_many("sure.h5", 0, 0);
    check_ok(label(OF_MANY("sure.h5", "'labels': {}"), "sure_cpu.h5", cpu));
    rt_digest want = digest_of("sure_cpu.h5");
    for (int n = 1; n < 360; n += 73) {
        remove(in_folder("lost.h5"));
        late_fails = n;
        assert_int_equal(label(OF_MANY("sure.h5", "'labels': {}"), "lost.h5", late), RT_RUN);
        assert_non_null(strstr(rt_error_message(), "the card is lost; "));
        late_fails = 0;
        check_ok(label(OF_MANY("sure.h5", "'labels': {}"), "lost.h5", late));
        assert_string_equal(digest_of("lost.h5").hex, want.hex);
    }
}

/* After an error of one of two nets, what the other had begun is not taken for what is asked next. */
static void an_error_forgets_what_was_begun(void **s)
{
    (void)s;
    enum { N = 100 };
    char of[2][300];
    snprintf(of[0], sizeof of[0], "%s", in_folder("a/model.h5"));
    snprintf(of[1], sizeof of[1], "%s", in_folder("b/model.h5"));
    const char *const path[] = {of[0], of[1]};
    rt_model **m;
    rt_predictor *p[2];
    float *x = random_floats(2 * N * DIM, 5), z[2][N * 3];
    check_ok(rt_models_load(&m, path, 2, NULL));
    check_ok(rt_predictor_new(&p[0], m, 2, cpu, 48, NULL, 0));
    check_ok(rt_predictor_new(&p[1], m, 2, late, 48, NULL, 0));
    const rt_feed a = {.raw = x, .rows = N}, b = {.raw = x + N * DIM, .rows = N};
    for (int n = 1; n < 8; n++) {
        late_misasked = 0;
        late_fails = n;
        assert_int_equal(rt_predict(p[1], &a, z[1]) != RT_OK, n <= 6);         /* two nets, three steps of 48 rows */
        late_fails = 0;
        check_ok(rt_predict(p[0], &b, z[0]));
        check_ok(rt_predict(p[1], &b, z[1]));
        assert_memory_equal(z[0], z[1], sizeof z[0]);
        assert_int_equal(late_misasked, 0);
    }
    rt_predictor_free(p[0]);
    rt_predictor_free(p[1]);
    rt_models_free(m, 2);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bench_waits), cmocka_unit_test(an_evaluation_names_the_device),
        cmocka_unit_test(quantized_models_are_refused), cmocka_unit_test(predictions_and_verdicts),
        cmocka_unit_test(quantizing_is_the_cpus), cmocka_unit_test(an_experiment),
        cmocka_unit_test(labels_are_the_cpus), cmocka_unit_test(what_cannot_be_written_is_told),
        cmocka_unit_test(a_card_is_lost), cmocka_unit_test(an_error_forgets_what_was_begun)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
