/* Runs on a device that is up to 64 steps behind (tests/late_device.h): weights, metrics and messages are those of the
 * CPU, whole, stopped after every batch, interrupted by a teacher, killed and gone on with; a card that is lost costs
 * nothing that was on disk; another precision is refused where it would change a run half-way. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "teacher/labeler.h"
#include "teacher/teacher.h"
#include "tests/late_device.h"
#include "tests/train/in_pieces.h"
#include "train/trial.h"

enum { ROWS = 1200, DIM = 8 };

static rt_device *cpu, *late;
static int interrupt_at;               /* calls of rt_teacher_ask until one is interrupted; 0: none is */

rt_status __real_rt_teacher_ask(rt_teacher *, const rt_feed *, float *);
rt_status __wrap_rt_teacher_ask(rt_teacher *, const rt_feed *, float *);
rt_status __wrap_rt_teacher_ask(rt_teacher *t, const rt_feed *f, float *answers)
{
    if (interrupt_at && !--interrupt_at) return rt_fail(RT_INTERRUPTED, "interrupted");
    return __real_rt_teacher_ask(t, f, answers);
}

static int set_up(void **s)
{
    uint64_t dim[] = {ROWS, DIM};
    int32_t y[ROWS];
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
    x[950 * DIM + 1] = NAN;
    write_data("bad.h5", x, 2, dim, y);
    free(x);
    cJSON_Delete(train("{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1}, "
                       "'data': {'source': '@x.h5'}, 'train': {'epochs': 2, 'batch': 32}}", "teacher"));
    if (rename(in_folder("teacher/model.h5"), in_folder("teacher.h5"))) return 1;
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(cpu);
    rt_device_close(late);
    return remove_test_folder(s);
}

#define NET "'model': {'input': [8], 'classes': 3, 'layers': [{'op': 'dense', 'out': 12}, {'op': 'batch_norm'}, " \
            "{'op': 'relu'}, {'op': 'dropout', 'rate': 0.1}, {'op': 'dense', 'out': 3}]}, "
#define DATA "'data': {'source': '@x.h5', 'validation': 100}, "

/* What a run may be made of: averages, accumulation, clipping, a tail, each of the optimizers, patience, a teacher. */
static const char *const runs[] = {
    "{" NET DATA "'train': {'epochs': 3, 'batch': 8, 'lr': 0.1, 'drop_last': false}}",
    "{" NET DATA "'train': {'epochs': 3, 'batch': 8, 'accumulate': 3, 'ema': 0.9, 'optimizer': 'adamw', "
        "'drop_last': false}}",
    "{" NET DATA "'augment': {'mixup': 0.3}, 'train': {'epochs': 3, 'batch': 8, 'accumulate': 4, 'clip': 0.5, "
        "'momentum': 0.8, 'ema': 0.8}}",
    "{" NET DATA "'train': {'epochs': 30, 'batch': 64, 'lr': 1e-12, 'schedule': 'constant', 'patience': 3}}",
    "{" NET DATA "'teacher': '@teacher.h5', 'loss': {'kind': 'kd'}, 'train': {'epochs': 2, 'batch': 8}}",
    "{" NET "'data': {'source': '@x.h5', 'validation': 0, 'rows': ':500'}, 'train': {'epochs': 2, 'batch': 4}}",
};
enum { RUNS = sizeof runs / sizeof *runs };

static char *content(const char *folder, const char *name, size_t *n)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(in_folder(path), "rb");
    if (!f) fail_msg("no %s", path);
    char *p = malloc(1 << 20);
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static void same_files(const char *a, const char *b)
{
    static const char *const name[] = {"model.h5", "metrics.csv", "metrics.jsonl", "config.json"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        size_t n, m;
        char *p = content(a, name[i], &n), *q = content(b, name[i], &m);
        if (n != m || memcmp(p, q, n)) fail_msg("%s: %s differs from %s", name[i], b, a);
        free(p);
        free(q);
    }
}

static void same_results(const cJSON *a, const cJSON *b)
{
    assert_string_equal(text_of(a, "last_weights_digest"), text_of(b, "last_weights_digest"));
    assert_string_equal(text_of(a, "digest"), text_of(b, "digest"));
    assert_int_equal((int)number(a, "steps"), (int)number(b, "steps"));
    assert_int_equal((int)number(a, "best_epoch"), (int)number(b, "best_epoch"));
}

/* ---- whole, and in pieces ---- */

static void weights_and_metrics_are_the_cpus(void **s)
{
    (void)s;
    static const int behind[] = {0, 1, 5, RT_QUEUE - 1};
    for (int i = 0; i < RUNS; i++) {
        cJSON *want = train(runs[i], "cpu");
        for (int k = 0; k < 4; k++) {
            late_by = behind[k];
            late_most = late_untold = 0;
            test_device = late;
            cJSON *got = train(runs[i], "late");
            test_device = cpu;
            same_results(want, got);
            same_files("cpu", "late");
            assert_int_equal(late_untold, 0);
            if (i == 0) assert_in_range(late_most, behind[k] + 1, RT_QUEUE + 1);
            cJSON_Delete(got);
        }
        cJSON_Delete(want);
    }
}

/* Without a folder nothing is saved, and so nothing was read for that. */
static void a_trial(void **s)
{
    (void)s;
    char digest[2][33];
    for (int k = 0; k < 2; k++) {
        cJSON *c = parse_config(runs[1]);
        rt_trial *t;
        const rt_model *m;
        int ended = 0;
        check_ok(rt_trial_open(&t, c, k ? late : cpu, NULL, NULL));
        while (!ended) check_ok(rt_trial_run(t, 1, &ended));
        check_ok(rt_trial_model(t, &m));
        strcpy(digest[k], rt_model_digest(m).hex);
        rt_trial_close(t);
        cJSON_Delete(c);
    }
    assert_string_equal(digest[1], digest[0]);
}

static void goes_on_after_every_batch(void **s)
{
    (void)s;
    static const char config[] = "{" NET "'data': {'source': '@x.h5', 'validation': 20, 'rows': ':100'}, "
                                 "'train': {'epochs': 2, 'batch': 10, 'accumulate': 3, 'ema': 0.9, 'optimizer': "
                                 "'adamw', 'drop_last': false}}";
    cJSON *want = train(config, "cpu"), *got;
    test_device = late;
    int turns = run_in_pieces(config, "pieces", &got);
    test_device = cpu;
    assert_int_equal(turns, 17);
    same_results(want, got);
    same_files("cpu", "pieces");
    cJSON_Delete(want);
    cJSON_Delete(got);
}

/* The steps before the one whose teacher was interrupted have told nothing yet; the loss of the epoch has them. */
static void a_teacher_is_interrupted(void **s)
{
    (void)s;
    const char *config = "{" NET DATA "'teacher': '@teacher.h5', 'loss': {'kind': 'kd'}, 'train': {'epochs': 2, "
                         "'batch': 8, 'checkpoint_seconds': 0}}";
    cJSON *want = train(config, "cpu"), *got;
    test_device = late;
    interrupt_at = 100;
    check_fails(train_with(config, "late", 1, NULL, &got), RT_INTERRUPTED, "interrupted after 99 of 274 steps");
    interrupt_at = 60;
    check_fails(train_with(config, "late", 0, NULL, &got), RT_INTERRUPTED, "interrupted after 158 of 274 steps");
    check_ok(train_with(config, "late", 0, NULL, &got));
    test_device = cpu;
    same_results(want, got);
    same_files("cpu", "late");
    cJSON_Delete(want);
    cJSON_Delete(got);
}

/* ---- what goes wrong ---- */

static void message_of(const char *config, char text[1024])
{
    cJSON *r;
    rt_status st = train_with(config, "wrong", 1, NULL, &r);
    if (st != RT_RUN && st != RT_INPUT) fail_msg("status %d: %s", st, rt_error_message());
    snprintf(text, 1024, "%s", rt_error_message());
}

/* Whether the loss is infinite first, or a row is bad: the message is the CPU's, with its epoch, step and layer. */
static void the_same_messages(void **s)
{
    (void)s;
    static const double rate[] = {0.01, 30, 100, 1000};
    int diverged = 0, refused = 0;
    for (int i = 0; i < 4; i++)
        for (int seed = 1; seed <= 6; seed++) {
            char config[1024], want[1024], got[1024];
            snprintf(config, sizeof config,
                     "{'model': {'input': [8], 'classes': 3, 'layers': [{'op': 'dense', 'out': 12}, {'op': 'relu'}, "
                     "{'op': 'dense', 'out': 3}]}, 'seed': %d, 'data': {'source': '@bad.h5', 'validation': 0, "
                     "'normalize': 'none'}, 'train': {'epochs': 3, 'batch': 8, 'lr': %g, 'schedule': 'constant', "
                     "'weight_decay': 0}}", seed, rate[i]);
            message_of(config, want);
            test_device = late;
            late_by = seed % 2 ? RT_QUEUE - 1 : 3;
            message_of(config, got);
            test_device = cpu;
            assert_string_equal(got, want);
            diverged += strstr(want, "training diverged") != NULL;
            refused += strstr(want, "row 950") != NULL;
        }
    assert_in_range(diverged, 1, 23);
    assert_in_range(refused, 1, 23);
    late_by = RT_QUEUE - 1;
}

static void a_lost_card(void **s)
{
    (void)s;
    const char *config = "{" NET DATA "'train': {'epochs': 3, 'batch': 8}}";
    cJSON *want = train(config, "cpu"), *got;
    test_device = late;
    late_fails = 60;
    check_fails(train_with(config, "late", 1, NULL, &got), RT_RUN,
                "the card is lost; there is no checkpoint yet: the same command begins anew");
    late_fails = 700;
    check_fails(train_with(config, "late", 0, NULL, &got), RT_RUN, "checkpoints/checkpoint-");
    assert_non_null(strstr(rt_error_message(), "00000137.h5: the same command goes on from there"));
    late_fails = 0;
    check_ok(train_with(config, "late", 0, NULL, &got));
    test_device = cpu;
    same_results(want, got);
    same_files("cpu", "late");
    cJSON_Delete(want);
    cJSON_Delete(got);
}

static void another_precision_in_a_run(void **s)
{
    (void)s;
    char all[600];
    const char *config = "{" NET DATA "'train': {'epochs': 4, 'batch': 8%s}}";
    cJSON *r;
    test_device = late;
    late_fails = 500;
    snprintf(all, sizeof all, config, "");
    check_fails(train_with(all, "mixed", 1, NULL, &r), RT_RUN, "the card is lost");
    late_fails = 0;
    snprintf(all, sizeof all, config, ", 'precision': 'tf32'");
    check_fails(train_with(all, "mixed", 0, NULL, &r), RT_USAGE, "use what it was trained with");
    assert_non_null(strstr(rt_error_message(), "this is late-tf32"));
    cJSON *c = parse_config(all);
    rt_train_options o = {.out = in_folder("mixed"), .device = late, .allow_numeric_change = 1};
    check_ok(rt_train(c, &o, &r));
    rt_model *m = load_model("mixed");
    assert_non_null(strstr(text_of(m->provenance, "kernels"), "late-tf32 "));
    rt_model_free(m);
    cJSON_Delete(c);
    cJSON_Delete(r);
    snprintf(all, sizeof all, config, ", 'precision': 'bf16'");
    check_fails(train_with(all, "bf16", 1, NULL, &r), RT_USAGE, "train.precision: late:0 has no bf16");
    snprintf(all, sizeof all, "%s", "{" NET DATA "'quant': {}, 'train': {'epochs': 4}}");
    check_fails(train_with(all, "qat", 1, NULL, &r), RT_USAGE, "quant: late:0 has no quantized kernels");
    test_device = cpu;
}

/* ---- killed ---- */

/* Trains in a process of its own; a byte a line of progress goes into the pipe. */
static void tell_line(void *pipe_end, const char *text)
{
    if (!strncmp(text, "epoch ", 6) && write(*(int *)pipe_end, "e", 1) != 1) _exit(9);
}

static pid_t begin_run(const char *config, int *from)
{
    int fd[2];
    if (pipe(fd)) fail_msg("pipe");
    pid_t child = fork();
    if (child) {
        close(fd[1]);
        *from = fd[0];
        return child;
    }
    close(fd[0]);
    test_device = late_device(2);                  /* threads do not outlive a fork */
    rt_progress progress = {.line = tell_line, .arg = &fd[1]};
    cJSON *r;
    rt_status st = train_with(config, "killed", 0, &progress, &r);
    if (st) fprintf(stderr, "%s\n", rt_error_message());
    _exit((int)st);
}

static void killed_and_gone_on_with(void **s)
{
    (void)s;
#if defined(__SANITIZE_THREAD__)
    skip();                            /* it knows no threads that begin in a process forked beside a pool */
#endif
    static const char config[] = "{" NET "'data': {'source': '@x.h5', 'validation': 100, 'rows': ':500'}, "
                                 "'train': {'epochs': 60, 'batch': 8, 'accumulate': 3, 'ema': 0.9, 'optimizer': "
                                 "'adamw', 'drop_last': false}}";
    cJSON *want = train(config, "cpu"), *got;
    int kills = 0, status = 0;
    for (int turn = 0;; turn++) {
        int from;
        char byte;
        pid_t child = begin_run(config, &from);
        if (kills < 25 && read(from, &byte, 1) == 1) {
            usleep((useconds_t)(turn * 7919 % 15000));
            kill(child, SIGKILL);
        }
        waitpid(child, &status, 0);
        close(from);
        if (WIFEXITED(status)) break;
        kills++;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_in_range(kills, 20, 25);
    check_ok(train_with(config, "killed", 0, NULL, &got));            /* it is finished: the result is read */
    same_results(want, got);
    same_files("cpu", "killed");
    cJSON_Delete(want);
    cJSON_Delete(got);
}

/* ---- labels ---- */

static rt_status label(rt_device *d, const char *out, const char *precision, int force, cJSON **r)
{
    char all[600];
    snprintf(all, sizeof all, "{'teacher': '@teacher.h5', 'data': {'source': '@x.h5'}, 'label': {'batch': 1024, "
             "'precision': '%s'}}", precision);
    cJSON *c = parse_config(all);
    rt_status st = rt_label(c, &(rt_target){.path = in_folder(out), .force = force}, d, NULL, r);
    cJSON_Delete(c);
    return st;
}

/* A block of 1,024 rows is asked about in 22 calls; the second of the next one fails. */
static void labels(void **s)
{
    (void)s;
    cJSON *r;
    size_t n, m;
    check_ok(label(cpu, "cpu.h5", "fp32", 1, &r));
    cJSON_Delete(r);
    late_fails = 7;
    check_fails(label(late, "late.h5", "fp32", 0, &r), RT_RUN,
                "the card is lost; 1024 of 1200 rows are labelled and on disk: the same command goes on from there");
    late_fails = 0;
    check_fails(label(late, "late.h5", "tf32", 0, &r), RT_USAGE, "holds labels of this teacher that were computed by ");
    assert_non_null(strstr(rt_error_message(), "and this is late-tf32 "));
    check_ok(label(late, "late.h5", "fp32", 0, &r));
    assert_int_equal((int)number(r, "labelled_now"), 1200 - 1024);
    cJSON_Delete(r);
    char *a = content(".", "cpu.h5", &n), *b = content(".", "late.h5", &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
    check_ok(label(late, "late.h5", "tf32", 1, &r));
    cJSON_Delete(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_and_metrics_are_the_cpus), cmocka_unit_test(a_trial),
        cmocka_unit_test(goes_on_after_every_batch),
        cmocka_unit_test(a_teacher_is_interrupted),         cmocka_unit_test(the_same_messages),
        cmocka_unit_test(a_lost_card),                      cmocka_unit_test(another_precision_in_a_run),
        cmocka_unit_test(killed_and_gone_on_with),          cmocka_unit_test(labels)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
