/* Integer programs: built from models by calibration, equal in every family and however rows come, near the float
 * model; their files, whole or refused; and that inference takes no memory and calls no system. */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/session.h"
#include "tests/student/program_scene.h"

static void *context_of(const rt_program *p)
{
    void *c = NULL;
    assert_int_equal(posix_memalign(&c, 64, rt_program_bytes(p)), 0);
    memset(c, 0xa5, rt_program_bytes(p));
    rt_program_start(p, c);
    return c;
}

/* (ROWS, width), so many rows a call. */
static float *answers(const rt_program *p, const void *rows, size_t row_bytes, int a_call)
{
    void *c = context_of(p);
    float *y = calloc((size_t)(ROWS * rt_program_width(p)), sizeof *y);
    for (int r = 0; r < ROWS; r += a_call)
        rt_program_infer(p, c, y + r * rt_program_width(p), (const char *)rows + (size_t)r * row_bytes,
                         r + a_call < ROWS ? a_call : ROWS - r);
    free(c);
    return y;
}

static const void *rows_of(const scene *s, size_t *row_bytes)
{
    *row_bytes = s->m->input[0].size * (rt_program_takes(s->p) ? 1 : sizeof(float));
    return rt_program_takes(s->p) ? (const void *)s->raw : s->x;
}

/* What the float model answers, head by head. */
static float *float_answers(const scene *s)
{
    int w = rt_model_width(s->m);
    float *y = calloc((size_t)(ROWS * w), sizeof *y);
    rt_session_spec spec = {
        .graph = s->m->graph, .batch = ROWS, .params = s->m->params, .states = s->m->states, .outputs = s->m->heads};
    rt_session *se;
    rt_model_outputs(s->m, spec.output);
    check_ok(rt_session_new(&se, &spec, device));
    rt_session_infer(se, &(rt_step){.rows = ROWS, .x = {s->x}});
    for (int h = 0; h < s->m->heads; h++)
        for (int r = 0; r < ROWS; r++)
            memcpy(y + r * w + s->m->head[h].at, rt_session_output(se, h) + r * s->m->head[h].size,
                   (size_t)s->m->head[h].size * sizeof *y);
    rt_session_free(se);
    return y;
}

/* Power of the float answers over that of the difference, in dB. */
static double snr(const float *want, const float *got, int n)
{
    double signal = 0, noise = 1e-30;
    for (int i = 0; i < n; i++) {
        signal += (double)want[i] * (double)want[i];
        noise += ((double)want[i] - (double)got[i]) * ((double)want[i] - (double)got[i]);
    }
    return 10 * log10(signal / noise);
}

static void near_the_float_model(void **state)
{
    static const double least[ARCHS] = {20, 28, 25, 20, 25};
    (void)state;
    for (int a = 0; a < ARCHS; a++)
        for (int bytes = 0; bytes < 2; bytes++) {
            if (bytes && a == 1) continue;
            size_t row;
            scene s = scene_new(a, bytes, NULL);
            const void *rows = rows_of(&s, &row);
            float *want = float_answers(&s), *got = answers(s.p, rows, row, ROWS);
            double db = snr(want, got, ROWS * rt_program_width(s.p));
            if (!(db > least[a])) fail_msg("model %d, bytes %d: signal to noise is %.1f dB", a, bytes, db);
            free(want);
            free(got);
            scene_free(&s);
        }
}

/* Fewer bits, coarser; MSE and correction do not make it worse than min-max of as many bits. */
static void bits(void **state)
{
    double db[9] = {0}, mse = 0;
    (void)state;
    for (int b = 2; b <= 9; b++) {
        int list[64];
        for (int i = 0; i < 64; i++) list[i] = b < 9 ? b : 4;
        rt_calibrate_spec spec = {
            .bits = list, .method = b < 9 ? RT_CALIBRATE_MINMAX : RT_CALIBRATE_MSE, .correct = b == 9};
        size_t row;
        scene s = scene_new(0, 1, &spec);
        const void *rows = rows_of(&s, &row);
        float *want = float_answers(&s), *got = answers(s.p, rows, row, ROWS);
        *(b < 9 ? &db[b] : &mse) = snr(want, got, ROWS * rt_program_width(s.p));
        free(want);
        free(got);
        scene_free(&s);
    }
    for (int b = 3; b < 8; b++)
        if (!(db[b + 1] > db[b])) fail_msg("%d bits: %.1f dB, %d bits: %.1f dB", b, db[b], b + 1, db[b + 1]);
    if (!(mse > db[4])) fail_msg("4 bits by MSE, corrected: %.1f dB; by min-max: %.1f dB", mse, db[4]);
}

/* One context, now many rows and now few: each call writes its answers and nothing behind them. */
static void check_turns(const rt_program *p, const float *want, const void *rows, size_t row)
{
    static const int turns[] = {1, 16, 2, 33, 1, 17};
    const size_t width = (size_t)rt_program_width(p);
    void *c = context_of(p);
    float *y = malloc((ROWS + 16) * width * sizeof *y);
    assert_non_null(y);
    for (size_t t = 0, r = 0; t < sizeof turns / sizeof turns[0]; r += (size_t)turns[t++]) {
        memset(y, 0x5a, (ROWS + 16) * width * sizeof *y);
        rt_program_infer(p, c, y, (const char *)rows + r * row, turns[t]);
        assert_memory_equal(y, want + r * width, (size_t)turns[t] * width * sizeof *y);
        const char *behind = (const char *)(y + (size_t)turns[t] * width);
        for (size_t i = 0; i < 16 * width * sizeof *y; i++) assert_int_equal(behind[i], 0x5a);
    }
    free(c);
    free(y);
}

/* The same net with a place for each tensor and a call after the other. */
static void check_kept(const rt_program *p, const rt_int_kernels *k, const float *want, const void *rows)
{
    rt_linked *l;
    void *c = NULL;
    check_ok(rt_linked_new(&l, rt_program_net(p), k, 1));
    assert_int_equal(posix_memalign(&c, 64, rt_linked_bytes(l)), 0);
    rt_linked_start(l, c);
    float *y = calloc((size_t)(ROWS * rt_linked_width(l)), sizeof *y);
    rt_linked_infer(l, c, y, rows, ROWS);
    assert_memory_equal(y, want, (size_t)(ROWS * rt_linked_width(l)) * sizeof *y);
    free(y); free(c);
    rt_linked_free(l);
}

static void families_and_grouping(void **state)
{
    (void)state;
    for (int a = 0; a < ARCHS; a++) {
        size_t row;
        scene s = scene_new(a, a != 1, NULL);
        const void *rows = rows_of(&s, &row);
        float *want = answers(s.p, rows, row, ROWS);
        size_t n = (size_t)(ROWS * rt_program_width(s.p)) * sizeof *want;
        for (const rt_int_kernels *const *k = rt_int_kernels_all(); *k; k++) {
            if (!rt_int_kernels_runnable(*k)) continue;
            check_ok(rt_int_kernels_select((*k)->name));
            rt_program *p;
            check_ok(rt_program_of(&p, s.m));
            check_turns(p, want, rows, row);
            check_kept(p, *k, want, rows);
            for (int a_call = 1; a_call <= ROWS; a_call = 3 * a_call + 2) {
                float *got = answers(p, rows, row, a_call);
                if (memcmp(want, got, n)) fail_msg("model %d in %s, %d rows a call", a, (*k)->name, a_call);
                free(got);
            }
            rt_program_free(p);
        }
        check_ok(rt_int_kernels_select(NULL));
        free(want);
        scene_free(&s);
    }
}

static void files(void **state)
{
    (void)state;
    for (int a = 0; a < ARCHS; a++) {
        int list[64];
        for (int i = 0; i < 64; i++) list[i] = i % 2 ? 4 : 7;
        scene s = scene_new(a, a != 1, &(rt_calibrate_spec){.bits = list});
        uint8_t *bytes, *again;
        size_t n, m, row;
        check_ok(rt_program_write(s.p, &bytes, &n));
        rt_program *p;
        check_ok(rt_program_read(&p, bytes, n, "memory"));
        check_ok(rt_program_write(p, &again, &m));
        assert_int_equal(n, m);
        assert_memory_equal(bytes, again, n);
        const void *rows = rows_of(&s, &row);
        float *want = answers(s.p, rows, row, 9), *got = answers(p, rows, row, ROWS);
        assert_memory_equal(want, got, (size_t)(ROWS * rt_program_width(p)) * sizeof *want);
        int heads;
        assert_string_equal(rt_program_heads(p, &heads)[0].name, s.m->head[0].name);
        assert_int_equal(heads, s.m->heads);
        rt_program_free(p);
        for (size_t i = 0; i < n; i += i < 200 ? 1 : 1 + n / 300) {
            bytes[i] ^= (uint8_t)(1 << i % 8);
            check_fails(rt_program_read(&p, bytes, n, "memory"), RT_INPUT, "memory: ");
            bytes[i] ^= (uint8_t)(1 << i % 8);
            check_fails(rt_program_read(&p, bytes, i, "memory"), RT_INPUT, "memory: ");
        }
        free(bytes); free(again); free(want); free(got);
        scene_free(&s);
    }
}

/* The installed example gives the same answers. */
static void the_example(void **state)
{
    (void)state;
    scene s = scene_new(3, 1, NULL);
    size_t row, width = (size_t)rt_program_width(s.p);
    const void *rows = rows_of(&s, &row);
    float *want = answers(s.p, rows, row, ROWS), *got = calloc(ROWS * width + 1, sizeof *got);
    char path[128], command[512];
    snprintf(path, sizeof path, "%s/net.q", test_folder);
    check_ok(rt_program_save(s.p, path));
    snprintf(command, sizeof command, "%s/rows", test_folder);
    check_ok(rt_write_file(command, rows, row * ROWS));
    snprintf(command, sizeof command, "%s %s < %s/rows", RETORT_RUN_PROGRAM, path, test_folder);
    FILE *f = popen(command, "r");
    assert_int_equal(fread(got, sizeof *got, ROWS * width + 1, f), ROWS * width);
    assert_int_equal(pclose(f), 0);
    assert_memory_equal(want, got, ROWS * width * sizeof *got);
    flip_bit(path, 999, 3);
    snprintf(command, sizeof command, "%s %s < /dev/null 2> /dev/null", RETORT_RUN_PROGRAM, path);
    f = popen(command, "r");
    assert_int_equal(WEXITSTATUS(pclose(f)), RT_INPUT);
    free(want);
    free(got);
    scene_free(&s);
}

static void seal(uint8_t *bytes, size_t n)
{
    memset(bytes + 24, 0, 32);
    rt_digest d = rt_digest_of(bytes, n);
    memcpy(bytes + 24, d.hex, 32);
}

/* With a digest that fits, any damage is either refused or a program that runs within its memory. */
static void hostile(void **state)
{
    uint64_t dice = 88172645463325252u;
    int refused = 0, taken = 0;
    (void)state;
    for (int a = 0; a < ARCHS; a++) {
        scene s = scene_new(a, a != 1, NULL);
        uint8_t *bytes, *bad;
        size_t n, row;
        check_ok(rt_program_write(s.p, &bytes, &n));
        const void *rows = rows_of(&s, &row);
        bad = malloc(n);
        size_t text = 64, net = 0;
        for (int i = 7; i >= 0; i--) net = net << 8 | bytes[56 + i];
        for (int t = 0; t < 1500; t++) {
            memcpy(bad, bytes, n);
            for (int k = 0; k < 1 + t % 3; k++) {
                dice ^= dice << 13; dice ^= dice >> 7; dice ^= dice << 17;
                size_t at = text + net + (dice >> 20) % 2200;
                if (at < n) bad[at] = t % 2 ? (uint8_t)(dice >> 8) : (uint8_t)(bad[at] ^ 1 << (dice & 7));
            }
            seal(bad, n);
            rt_program *p;
            rt_status st = rt_program_read(&p, bad, n, "memory");
            if (st) {
                check_fails(st, RT_INPUT, "memory: ");
                refused++;
                continue;
            }
            taken++;
            if (rt_program_bytes(p) < 1 << 22 && rt_program_takes(p) == rt_program_takes(s.p) &&
                (size_t)rt_program_net(p)->tensor[0].h * (size_t)rt_program_net(p)->tensor[0].w *
                        (size_t)rt_program_net(p)->tensor[0].c ==
                    s.m->input[0].size) {
                float *y = answers(p, rows, row, 3);
                free(y);
            }
            rt_program_free(p);
        }
        memcpy(bad, bytes, n);
        bad[12] = 9;
        seal(bad, n);
        rt_program *p;
        check_fails(rt_program_read(&p, bad, n, "memory"), RT_INPUT,
                    "computes by version 9 of the integer contract; this version has 1");
        bad[8] = 3;
        seal(bad, n);
        check_fails(rt_program_read(&p, bad, n, "memory"), RT_INPUT, "of format 3; this version reads 1");
        free(bytes); free(bad);
        scene_free(&s);
    }
    assert_true(refused > 500 && taken > 500);
}

/* In strict mode the kernel ends a process at any system call but read, write and exit. */
static void no_system_calls(void **state)
{
    (void)state;
    for (int a = 0; a < ARCHS; a++) {
        size_t row;
        scene s = scene_new(a, a != 1, NULL);
        const void *rows = rows_of(&s, &row);
        float *want = answers(s.p, rows, row, ROWS), *y = calloc((size_t)(ROWS * rt_program_width(s.p)), sizeof *y);
        void *context = context_of(s.p);
        int end[2];
        assert_int_equal(pipe(end), 0);
        pid_t child = fork();
        if (!child) {
            size_t n = (size_t)(ROWS * rt_program_width(s.p)) * sizeof *y;
            if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) _exit(7);
            rt_program_infer(s.p, context, y, rows, ROWS);
            int same = memcmp(y, want, n) == 0;
            if (write(end[1], same ? "+" : "-", 1) != 1) _exit(1);
            __asm__ volatile("" ::: "memory");
            for (;;) syscall(60, 0);                     /* exit; exit_group is not allowed */
        }
        close(end[1]);
        char answer = 0;
        assert_int_equal(read(end[0], &answer, 1), 1);
        assert_int_equal(answer, '+');
        close(end[0]);
        waitpid(child, NULL, 0);
        free(context); free(want); free(y);
        scene_free(&s);
    }
}

static void refusals(void **state)
{
    (void)state;
    scene s = scene_new(0, 1, NULL);
    rt_program *p;
    for (int t = 0; t < s.m->graph->tensors; t++) {
        float *range = rt_model_range(s.m, t), kept[2];
        if (!range) continue;
        memcpy(kept, range, sizeof kept);
        range[0] = range[1] = 0;
        check_fails(rt_program_of(&p, s.m), RT_USAGE, "was never calibrated");
        memcpy(range, kept, sizeof kept);
    }
    rt_model_unquantize(s.m);
    check_fails(rt_program_of(&p, s.m), RT_USAGE, "the model is not quantized");
    check_fails(rt_calibrate(s.m, &(rt_calibrate_spec){0}, s.x, 0, device), RT_INPUT, "at least one row");
    s.x[7] = NAN;
    check_fails(rt_calibrate(s.m, &(rt_calibrate_spec){0}, s.x, ROWS, device), RT_INPUT,
                "'input' gives a value that is not finite");
    memset(s.x, 0, s.m->input[0].size * ROWS * sizeof *s.x);
    check_fails(rt_calibrate(s.m, &(rt_calibrate_spec){0}, s.x, ROWS, device), RT_INPUT,
                "'input' gives 0 for each of 70 rows");
    check_fails(rt_program_load(&p, "/nowhere/net.q"), RT_INPUT, "/nowhere/net.q");
    scene_free(&s);
    static const char soft[] =
        "{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":6},"
    "{\"name\":\"ln\",\"op\":\"layer_norm\"},{\"op\":\"dense\",\"out\":3}]}";
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, soft, strlen(soft), "test"));
    check_ok(rt_model_new(&m, j, 1));
    cJSON_Delete(j);
    float *x = random_floats(8 * ROWS, 4);
    check_fails(rt_calibrate(m, &(rt_calibrate_spec){0}, x, ROWS, device), RT_USAGE,
                "layer 'ln' (layer_norm) has no integer form");
    free(x);
    rt_model_free(m);
}

/* Sums of 70,000 weights of 8 bits may leave 32 bits, those of 7 bits not. */
static void overflow(void **state)
{
    enum { WIDE = 70000, SOME = 3 };
    static const char wide[] =
        "{\"input\":[70000],\"classes\":2,\"layers\":[{\"op\":\"dense\",\"name\":\"wide\",\"out\":2}]}";
    float *x = calloc((size_t)SOME * WIDE, sizeof *x);
    (void)state;
    for (int i = 0; i < SOME * WIDE; i++) x[i] = (float)(i % 17) / 8;
    for (int bits = 7; bits <= 8; bits++) {
        cJSON *j;
        rt_model *m;
        rt_program *p;
        int list[2] = {bits, bits};
        check_ok(rt_json_parse(&j, wide, strlen(wide), "test"));
        check_ok(rt_model_new(&m, j, 1));
        cJSON_Delete(j);
        for (int i = 0; i < 2 * WIDE; i++) rt_model_field(m, 0)[i] = 0.01f;
        check_ok(rt_calibrate(m, &(rt_calibrate_spec){.bits = list}, x, SOME, device));
        if (bits == 7) check_ok(rt_program_of(&p, m));
        else check_fails(rt_program_of(&p, m), RT_USAGE, "layer 'wide': sums of output channel 0 may leave 32 bits");
        if (bits == 7) rt_program_free(p);
        rt_model_free(m);
    }
    free(x);
}

/* A file of a few kilobytes does not ask for gigabytes: so many large tensors at a time are refused, fewer are not. */
static void budget(void **state)
{
    (void)state;
    for (int many = 2; many <= 5; many += 3) {
        char text[2048] = "{\"input\":[1024,1024,1],\"classes\":2,\"layers\":[", one[120];
        for (int i = 0; i < many; i++) {
            snprintf(one, sizeof one,
                     "{\"op\":\"conv2d\",\"out\":64,\"kernel\":1,\"from\":\"input\",\"name\":\"c%d\"},", i);
            strcat(text, one);
        }
        for (int i = 0; i + 1 < many; i++) {
            snprintf(one, sizeof one, "{\"op\":\"add\",\"name\":\"a%d\",\"from\":[\"%c%d\",\"c%d\"]},", i,
                     i ? 'a' : 'c', i ? i - 1 : 0, i + 1);
            strcat(text, one);
        }
        strcat(text, "{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":2}]}");
        cJSON *j;
        rt_model *m;
        rt_program *p;
        int bits[64] = {0};
        char range[64];
        check_ok(rt_json_parse(&j, text, strlen(text), "test"));
        check_ok(rt_model_new(&m, j, 1));
        cJSON_Delete(j);
        check_ok(rt_program_needs(m, 0, range));
        for (int i = 0; i < m->graph->nodes; i++) bits[i] = rt_has_weights(&m->graph->node[i]) ? 8 : 0;
        check_ok(rt_model_quantize(m, &(rt_quantize_spec){.bits = bits, .range = range}));
        for (int t = 0; t < m->graph->tensors; t++) if (rt_model_range(m, t)) rt_model_range(m, t)[1] = 1;
        if (many > 2)
            check_fails(rt_program_of(&p, m), RT_USAGE, "its tensors take 384 MiB a row, and a program of 448");
        else check_ok(rt_program_of(&p, m));
        if (many == 2) {
            assert_true(rt_program_bytes(p) > 128 << 20 && rt_program_bytes(p) <= 256 << 20);
            rt_program_free(p);
        }
        rt_model_free(m);
    }
}

static int set_up(void **state) { return make_test_folder(state) || !(device = rt_device_cpu(2)); }
static int tear_down(void **state)
{
    rt_device_close(device);
    return remove_test_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(near_the_float_model),  cmocka_unit_test(bits),
                                       cmocka_unit_test(families_and_grouping), cmocka_unit_test(files),
                                       cmocka_unit_test(the_example),           cmocka_unit_test(hostile),
                                       cmocka_unit_test(no_system_calls),       cmocka_unit_test(refusals),
                                       cmocka_unit_test(budget),                cmocka_unit_test(overflow)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
