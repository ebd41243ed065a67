/* A program as teacher: its answers are those of the function that it computes, bit by bit, whatever the rows are of,
 * however they are asked about, and however it is disturbed; what it does wrong is refused by name and row. */

#include "engine/clock.h"
#include "teacher/child.h"
#include "tests/teacher/process_scene.h"

static float *x;
static uint8_t bytes[SCENE_ROWS * SCENE_WIDE];
static double doubles[SCENE_ROWS * SCENE_WIDE];
static int32_t ints[SCENE_ROWS * SCENE_WIDE];
static float want[SCENE_ROWS * SCENE_CLASSES], z[SCENE_ROWS * SCENE_CLASSES];

static void save(const char *name, rt_dtype type, const void *data, int rank, const uint64_t *dim)
{
    rt_h5_item item = {.name = "x", .type = type, .rank = rank, .data = data};
    memcpy(item.dim, dim, (size_t)rank * sizeof *dim);
    check_ok(rt_h5_save(in_folder(name), "retort-data-1", &item, 1));
}

static int set_up(void **s)
{
    uint64_t dim[] = {SCENE_ROWS, SCENE_WIDE}, image[] = {SCENE_ROWS, 2, 3, 1};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(1);
    x = random_floats(SCENE_ROWS * SCENE_WIDE, 21);
    for (int i = 0; i < SCENE_ROWS * SCENE_WIDE; i++) {
        bytes[i] = (uint8_t)((i * 37) % 251);
        doubles[i] = (double)x[i] * 1.000000001;
        ints[i] = (i * 7919) % 5000 - 2500;
    }
    save("f32.h5", RT_F32, x, 2, dim);
    save("u8.h5", RT_U8, bytes, 4, image);
    save("f64.h5", RT_F64, doubles, 2, dim);
    save("i32.h5", RT_I32, ints, 2, dim);
    scene_want(want, x, RT_F32, SCENE_ROWS, SCENE_WIDE);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    free(x);
    return remove_test_folder(s);
}

static void types_and_groups(void **state)
{
    (void)state;
    static const struct { const char *file; rt_dtype type; const void *data; } of[] = {
        {"f32.h5", RT_F32, NULL}, {"u8.h5", RT_U8, bytes}, {"f64.h5", RT_F64, doubles}, {"i32.h5", RT_I32, ints}};
    float expected[SCENE_ROWS * SCENE_CLASSES];
    for (size_t i = 0; i < 4; i++) {
        scene s;
        scene_want(expected, of[i].data ? of[i].data : x, of[i].type, SCENE_ROWS, SCENE_WIDE);
        check_ok(scene_open(&s, "right", SCENE_PLAIN));
        check_ok(scene_bind(&s, of[i].file, 0));
        assert_int_equal(rt_teacher_micro(s.t), 7);
        for (int step = 1; step <= SCENE_ROWS; step += step < 20 ? 6 : 81) {
            memset(z, 0xff, sizeof z);
            check_ok(scene_ask(&s, 0, SCENE_ROWS, step, z, SCENE_CLASSES));
            same_bits(of[i].file, z, expected, SCENE_ROWS * SCENE_CLASSES);
        }
        assert_null(s.notes->child);
        scene_close(&s);
    }
}

static void types_of_answers(void **state)
{
    (void)state;
    static const char *const how[] = {"f8", "big-endian"};
    for (int i = 0; i < 2; i++) {
        check_ok(answers(how[i], SCENE_PLAIN, z));
        same_bits(how[i], z, want, SCENE_ROWS * SCENE_CLASSES);
    }
    check_ok(answers("f2", SCENE_PLAIN, z));
    for (int i = 0; i < SCENE_ROWS * SCENE_CLASSES; i++) assert_true(z[i] == (float)(_Float16)want[i]);
    check_ok(answers("probabilities", SCENE_PLAIN ", 'gives': 'probabilities'", z));
    for (int r = 0; r < SCENE_ROWS; r++) {
        float p[SCENE_CLASSES];
        linear_softmax(p, want + r * SCENE_CLASSES, SCENE_CLASSES);
        for (int k = 0; k < SCENE_CLASSES; k++)
            check_close("log p", z[r * SCENE_CLASSES + k], log(fmax((double)p[k], 1e-30)), 1e-6, 1e-6);
    }
}

/* (x - mean) / std by float32, as models normalise. */
static void normalized(void **state)
{
    (void)state;
    float normal[SCENE_ROWS * SCENE_WIDE], expected[SCENE_ROWS * SCENE_CLASSES];
    scene s;
    for (int i = 0; i < SCENE_ROWS * SCENE_WIDE; i++)
        normal[i] = ((float)bytes[i] + (float)-120.5) * (float)(1.0 / 61.25);
    scene_want(expected, normal, RT_F32, SCENE_ROWS, SCENE_WIDE);
    check_ok(scene_open(&s, "right", SCENE_PLAIN ", 'normalize': {'mean': 120.5, 'std': [61.25]}"));
    check_ok(scene_bind(&s, "u8.h5", 0));
    check_ok(scene_ask(&s, 0, SCENE_ROWS, 40, z, SCENE_CLASSES));
    same_bits("normalised", z, expected, SCENE_ROWS * SCENE_CLASSES);
    scene_close(&s);
    check_ok(scene_open(&s, "right", SCENE_PLAIN ", 'normalize': {'mean': [1, 2], 'std': [1, 2]}"));
    check_fails(scene_bind(&s, "f32.h5", 0), RT_USAGE, "normalize: normalisation has 2 channels");
    scene_close(&s);
}

/* Mixed rows, in the type of the rows, more of them than a batch has. */
static void views(void **state)
{
    (void)state;
    enum { MIXED = 20 };
    uint64_t row[MIXED];
    int partner[MIXED];
    float expected[MIXED * SCENE_CLASSES];
    scene s;
    uint8_t mixed[MIXED * SCENE_WIDE];
    const uint8_t *raw = bytes + 10 * SCENE_WIDE;
    for (int r = 0; r < MIXED; r++) {
        row[r] = (uint64_t)(10 + r);
        partner[r] = (r * 7 + 3) % MIXED;
        for (int i = 0; i < SCENE_WIDE; i++)
            mixed[r * SCENE_WIDE + i] = (uint8_t)rint(0.75 * raw[r * SCENE_WIDE + i] +
                                                      0.25 * raw[partner[r] * SCENE_WIDE + i]);
    }
    scene_want(expected, mixed, RT_U8, MIXED, SCENE_WIDE);
    check_ok(scene_open(&s, "right", SCENE_PLAIN));
    check_ok(scene_bind(&s, "u8.h5", 0));
    rt_feed f = {.raw = raw, .row = row, .rows = MIXED, .partner = partner, .lambda = 0.75f};
    check_ok(rt_teacher_ask(s.t, &f, z));
    same_bits("mixed", z, expected, MIXED * SCENE_CLASSES);
    scene_close(&s);
}

/* Twice at most for the same rows, said each time. */
static void tries(void **state)
{
    (void)state;
    scene s;
    char how[60];
    int again = 0;
    snprintf(how, sizeof how, "crash-at %.9g", (double)x[9 * SCENE_WIDE]);
    check_ok(scene_open(&s, how, SCENE_PLAIN));
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_fails(scene_ask(&s, 0, SCENE_ROWS, 50, z, SCENE_CLASSES), RT_RUN, "for the third time");
    for (const char *p = s.said; (p = strstr(p, "it is started again, and asked again about rows 7 to 13")); p++)
        again++;
    assert_int_equal(again, 2);
    assert_int_equal(cJSON_GetArraySize(s.notes), 2);
    scene_close(&s);
}

/* Disturbed once, or slow, or noisy: the same answers. */
static void disturbed(void **state)
{
    (void)state;
    static const struct { const char *how, *more; int notes; } of[] = {
        {"slow-start 0.3", "", 0}, {"slow 0.02", "", 0}, {"chatty", "", 0}, {"parent", "", 0}, {"pid @pid", "", 0},
        {"crash-once 1 @c1", "", 1}, {"crash-once 2 @c2", "", 1}, {"crash-once 9 @c3", "", 1},
        {"exit-once 16 @c4", "", 1}, {"hang-once 5 @c5", ", 'batch_seconds': 0.4", 1},
        {"hang-once 1 @c6", ", 'start_seconds': 0.4", 1}, {"stays", "", 0}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        scene s;
        char more[200];
        snprintf(more, sizeof more, SCENE_PLAIN "%s", of[i].more);
        check_ok(scene_open(&s, of[i].how, more));
        check_ok(scene_bind(&s, "f32.h5", 0));
        check_ok(scene_ask(&s, 0, SCENE_ROWS, 30, z, SCENE_CLASSES));
        same_bits(of[i].how, z, want, SCENE_ROWS * SCENE_CLASSES);
        assert_int_equal(cJSON_GetArraySize(s.notes), of[i].notes);
        double start = rt_seconds();
        scene_close(&s);
        assert_true(rt_seconds() - start < 3);
    }
}

/* More than pipes hold, both ways, from a program that talks all the time: nobody waits for ever. */
static void much(void **state)
{
    (void)state;
    enum { WIDE = 4000, BIG = 700 };
    uint64_t dim[] = {BIG, WIDE};
    float *big = random_floats((size_t)BIG * WIDE, 5), *got = malloc(sizeof(float) * BIG * SCENE_CLASSES),
          *expected = malloc(sizeof(float) * BIG * SCENE_CLASSES);
    scene s;
    save("big.h5", RT_F32, big, 2, dim);
    scene_want(expected, big, RT_F32, BIG, WIDE);
    check_ok(scene_open(&s, "chatty", "'version': '1', 'classes': 4, 'batch': 350"));
    check_ok(scene_bind(&s, "big.h5", 0));
    check_ok(scene_ask(&s, 0, BIG, BIG, got, SCENE_CLASSES));
    same_bits("many", got, expected, BIG * SCENE_CLASSES);
    assert_int_equal(s.lines, RT_CHILD_SHOWN + 1);
    assert_non_null(strstr(s.said, "child_teacher: ccccc"));
    scene_close(&s);
    free(big);
    free(got);
    free(expected);
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *how, *more; rt_status status; const char *part;
    } of[] = {{"crash-at X", "", RT_RUN,
               "was ended by signal 6 (Aborted) when it was asked about rows 7 to 13, for the third"},
              {"crash-at X", "", RT_RUN, "it said last: reading weights no memory on ?[31mGPU?[0m 0"},
              {"quit 2", "", RT_RUN, "ended with status 4"},
              {"short", "", RT_RUN, "ended with status 0 when it was asked about rows 0 to 6"},
              {"hang 2", ", 'batch_seconds': 0.2", RT_RUN,
               "gave no answer within 0.2 seconds when it was asked about rows 0"},
              {"never-reads", ", 'start_seconds': 0.2", RT_RUN, "gave no answer within 0.2 seconds"},
              {"wider", "", RT_INPUT, "rows 0 to 6 it answers an array of shape (7, 5), where (7, 4) is expected"},
              {"fewer", "", RT_INPUT, "an array of shape (6, 4), where (7, 4)"},
              {"integers", "", RT_INPUT, "it answers i32, where f16, f32 or f64 is expected"},
              {"fortran", "", RT_INPUT, "np.ascontiguousarray"},
              {"nan 2", ", 'check': false", RT_INPUT, "its answer to row 2 is nan, which is no number"},
              {"extra", "", RT_INPUT, ""},
              {"twice", "", RT_INPUT, ""},
              {"reverse", "", RT_INPUT, "it mixes up rows, lets them depend on each other"},
              {"rotate", "", RT_INPUT, "it mixes up rows"},
        {"mean", "", RT_INPUT, "asked twice about row"},
              {"greets", "", RT_INPUT, "writes 'Loading ...', which begins no NPY array"},
              {"writes-only", "", RT_INPUT, "writes 'no array...'"},
              {"right", ", 'gives': 'probabilities'", RT_INPUT, "which is no probability"}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        char more[200], how[60];
        snprintf(more, sizeof more, SCENE_PLAIN "%s", of[i].more);
        snprintf(how, sizeof how, "crash-at %.9g", (double)x[9 * SCENE_WIDE]);
        check_fails(answers(strcmp(of[i].how, "crash-at X") ? of[i].how : how, more, z), of[i].status, of[i].part);
        if (!strstr(rt_error_message(), "child_teacher: ")) fail_msg("no name: %s", rt_error_message());
    }
}

/* Rows that are mixed up later on are found, too. */
static void mixed_up_later(void **state)
{
    (void)state;
    static const char told[] = "'version': '1', 'classes': 4, 'batch': 2";
    int asks = 0;
    scene s;
    rt_status st = RT_OK;
    check_ok(scene_open(&s, "reverse-from 100", told));
    check_ok(scene_bind(&s, "f32.h5", 0));
    while (!st && asks++ < 10) st = scene_ask(&s, 0, SCENE_ROWS, 50, z, SCENE_CLASSES);
    check_fails(st, RT_INPUT, "it mixes up rows");
    assert_int_equal(asks, 6);                             /* the 257th array is one of the sixth fifty */
    scene_close(&s);
}

/* Without the check of the order a program may mix up rows, as it was told; bad rows may get no number. */
static void allowed(void **state)
{
    (void)state;
    scene s;
    check_ok(answers("mean", SCENE_PLAIN ", 'check': false", z));
    assert_memory_not_equal(z, want, sizeof z);
    check_ok(scene_open(&s, "nan 2", SCENE_PLAIN ", 'check': false"));
    check_ok(scene_bind(&s, "f32.h5", 1));
    check_ok(scene_ask(&s, 0, 7, 7, z, SCENE_CLASSES));
    for (int i = 0; i < 7 * SCENE_CLASSES; i++) assert_int_equal(isnan(z[i]) != 0, i == 2 * SCENE_CLASSES + 1);
    scene_close(&s);
    check_ok(scene_open(&s, "nan 5", SCENE_PLAIN ", 'check': false"));             /* a row that only fills the batch */
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_ok(scene_ask(&s, 0, 5, 5, z, SCENE_CLASSES));
    same_bits("five rows", z, want, 5 * SCENE_CLASSES);
    scene_close(&s);
}

static void specification(void **state)
{
    (void)state;
    static const struct { const char *text; rt_status status; const char *part;
    } of[] = {
        {"{'command': ['a'], 'classes': 4}", RT_USAGE, "teacher.version"},
        {"{'command': ['a'], 'version': '', 'classes': 4}", RT_USAGE, "teacher.version: a text that is not empty"},
        {"{'command': [], 'version': '1', 'classes': 4}", RT_USAGE, "teacher.command"},
        {"{'command': ['a'], 'version': '1'}", RT_USAGE, "teacher.classes: give the classes"},
        {"{'command': ['a'], 'version': '1', 'classes': 4, 'heads': []}", RT_USAGE,
         "teacher.classes: give the classes"},
        {"{'command': ['a'], 'version': '1', 'classes': 2.5}", RT_USAGE, "teacher.classes: a list of names"},
        {"{'command': ['a'], 'version': '1', 'classes': ['a', 'a']}", RT_INPUT, "twice"},
        {"{'command': ['a'], 'version': '1', 'classes': 4, 'bach': 3}", RT_USAGE,
         "teacher.bach: unknown key; did you mean 'batch'?"},
        {"{'command': ['a'], 'version': '1', 'classes': 4, 'gives': 'logit'}", RT_USAGE, "did you mean 'logits'?"},
        {"{'command': ['a'], 'version': '1', 'classes': 4, 'normalize': {'mean': 1}}", RT_USAGE,
         "teacher.normalize.std"},
        {"{'command': ['a'], 'version': '1', 'classes': 4, 'normalize': {'mean': 1, 'std': 0}}", RT_USAGE, "above 0"},
        {"{'comand': ['a'], 'version': '1', 'classes': 4}", RT_USAGE, "teacher.comand: a teacher is told by one of"},
        {"{'comand': ['a'], 'version': '1', 'classes': 4}", RT_USAGE, "did you mean 'command'?"},
        {"{'command': ['a'], 'file': 'b', 'version': '1', 'classes': 4}", RT_USAGE, "another kind of teacher"},
        {"'{\\'command\\': 3}'", RT_USAGE, "teacher.command: a text or a list"},
        {"'{command: 3}'", RT_INPUT, "a teacher's specification: not valid JSON"},
        {"'@none.json'", RT_INPUT, "none.json"},
        {"'@list.json'", RT_USAGE, "an object {...} that tells a teacher is expected"},
        {"5", RT_USAGE, "teacher: a teacher is expected"},
        {"[]", RT_USAGE, "teacher: the list is empty"}};
    FILE *f = fopen(in_folder("list.json"), "w");
    fputs("[1]", f);
    fclose(f);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, "{'teacher': %s}", of[i].text);
        cJSON *j = parse_config(text);
        rt_cfg c = rt_cfg_begin(j, "");
        rt_teacher_spec_read(&c, "teacher", "a teacher");
        check_fails(c.status, of[i].status, of[i].part);
        cJSON_Delete(j);
    }
    scene s;
    char text[200];
    snprintf(text, sizeof text, "{'teacher': {'command': ['@no-such'], 'version': '1', 'classes': 4}}");
    memset(&s, 0, sizeof s);
    s.config = parse_config(text);
    s.notes = cJSON_CreateArray();
    rt_cfg c = rt_cfg_begin(s.config, "");
    rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a teacher");
    check_ok(rt_teacher_open_spec(&s.t, &spec, NULL));
    check_fails(scene_bind(&s, "f32.h5", 0), RT_INPUT, "no-such: cannot be started: No such file");
    scene_close(&s);
}

/* The same through a file and as text. */
static void in_a_file(void **state)
{
    (void)state;
    FILE *f = fopen(in_folder("t.json"), "w");
    fprintf(f, "// the teacher\n{\"command\": [\"%s\", \"4\", \"right\"], \"version\": \"1\", \"classes\": 4}\n",
            RETORT_CHILD_TEACHER);
    fclose(f);
    rt_digest d[2];
    for (int i = 0; i < 2; i++) {
        cJSON *j = parse_config(i ? "{'teacher': ['@t.json']}" : "{'teacher': '@t.json'}");
        rt_cfg c = rt_cfg_begin(j, "");
        rt_teacher *t;
        rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a teacher");
        check_ok(c.status);
        assert_true(cJSON_IsObject(cJSON_GetObjectItem(j, "teacher")));
        assert_string_equal(spec.path[0], RETORT_CHILD_TEACHER);
        check_ok(rt_teacher_open_spec(&t, &spec, NULL));
        check_ok(rt_teacher_digest(t, &d[i]));
        rt_teacher_close(t);
        cJSON_Delete(j);
    }
    assert_string_equal(d[0].hex, d[1].hex);
}

/* Heads of every task, side by side; a student that asks for one has that alone. */
static void heads(void **state)
{
    (void)state;
    static const char told[] =
        "'version': '1', 'batch': 9, 'heads': [{'name': 'kind', 'size': 2, 'names': ['a', 'b']}, "
        "{'name': 'wet', 'task': 'multilabel', 'size': 1}, {'name': 'price', 'task': 'real', 'size': 1}]";
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    scene s;
    check_ok(scene_open(&s, "right", told));
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_ok(scene_ask(&s, 0, SCENE_ROWS, 30, z, SCENE_CLASSES));
    same_bits("heads", z, want, SCENE_ROWS * SCENE_CLASSES);
    check_ok(rt_heads_add(head, &count, "price", RT_TASK_REAL, 1));
    check_ok(rt_teacher_answer_as(s.t, head, count, "the student", RT_MATCH_NAMES));
    check_ok(scene_ask(&s, 0, 20, 20, z, 1));
    for (int r = 0; r < 20; r++) assert_true(z[r] == want[r * SCENE_CLASSES + 3]);
    rt_heads_free(head, count);
    scene_close(&s);
}

/* Columns by name, in the order that the program wants them. */
static void columns(void **state)
{
    (void)state;
    static const char manifest[] =
        "{\"format\": \"retort-data-1\", \"columns\": [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]}";
    static const int at[] = {5, 0, 3};
    float turned[SCENE_ROWS * 3], expected[SCENE_ROWS * SCENE_CLASSES];
    rt_h5_item item[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {SCENE_ROWS, SCENE_WIDE}, .data = x},
                         {.name = "manifest", .type = RT_TEXT, .element = sizeof manifest - 1, .data = manifest}};
    scene s;
    check_ok(rt_h5_save(in_folder("named.h5"), "retort-data-1", item, 2));
    for (int r = 0; r < SCENE_ROWS; r++)
        for (int c = 0; c < 3; c++) turned[r * 3 + c] = x[r * SCENE_WIDE + at[c]];
    scene_want(expected, turned, RT_F32, SCENE_ROWS, 3);
    check_ok(scene_open(&s, "right", SCENE_PLAIN ", 'columns': ['f', 'a', 'd']"));
    check_ok(scene_bind(&s, "named.h5", 0));
    check_ok(scene_ask(&s, 0, SCENE_ROWS, 30, z, SCENE_CLASSES));
    same_bits("columns", z, expected, SCENE_ROWS * SCENE_CLASSES);
    scene_close(&s);
    check_ok(scene_open(&s, "right", SCENE_PLAIN ", 'columns': ['f', 'x']"));
    check_fails(scene_bind(&s, "named.h5", 0), RT_INPUT, "'x'");
    scene_close(&s);
}

static rt_digest digest_of(const char *command, const char *more)
{
    char text[1000];
    rt_digest d;
    rt_teacher *t;
    snprintf(text, sizeof text, "{'teacher': {'command': [%s], %s}}", command, more);
    cJSON *j = parse_config(text);
    rt_cfg c = rt_cfg_begin(j, "");
    rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a teacher");
    check_ok(c.status);
    check_ok(rt_teacher_open_spec(&t, &spec, NULL));
    check_ok(rt_teacher_digest(t, &d));
    rt_teacher_close(t);
    cJSON_Delete(j);
    return d;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");
    fputs(text, f);
    fclose(f);
}

/* What it is: its version and the content of its files, not where they lie; and what decides its answers. */
static void identity(void **state)
{
    (void)state;
    static const char one[] = "'version': '1', 'classes': 4";
    static const char *const other[] = {"'version': '2', 'classes': 4", "'version': '1', 'classes': 5",
                                        "'version': '1', 'classes': ['a', 'b', 'c', 'd']",
                                        "'version': '1', 'classes': 4, 'batch': 8",
                                        "'version': '1', 'classes': 4, 'gives': 'probabilities'",
                                        "'version': '1', 'classes': 4, 'normalize': {'mean': 1, 'std': 2}"};
    write_text("w1", "weights");
    write_text("w2", "weights");
    write_text("w3", "weights!");
    rt_digest d = digest_of("'prog', '@w1', '-k'", one);
    assert_string_equal(digest_of("'prog', '@w2', '-k'", one).hex, d.hex);
    assert_string_equal(digest_of("'prog', '@w1', '-k'", "'version': '1', 'classes': 4, 'start_seconds': 7").hex,
                        d.hex);
    assert_string_not_equal(digest_of("'prog', '@w3', '-k'", one).hex, d.hex);
    assert_string_not_equal(digest_of("'prog', '@w1', '-j'", one).hex, d.hex);
    assert_string_not_equal(digest_of("'prog', '-k', '@w1'", one).hex, d.hex);
    assert_string_not_equal(digest_of("'grog', '@w1', '-k'", one).hex, d.hex);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_string_not_equal(digest_of("'prog', '@w1', '-k'", other[i]).hex, d.hex);
    scene s;                                               /* weights that change while it runs are not taken up */
    rt_status st;
    write_text("flag", "");
    unlink(in_folder("flag"));
    check_ok(scene_open(&s, "exit-once 3 @flag @w1", SCENE_PLAIN));
    check_ok(scene_bind(&s, "f32.h5", 0));
    write_text("w1", "other weights");
    st = scene_ask(&s, 0, SCENE_ROWS, 50, z, SCENE_CLASSES);
    check_fails(st, RT_INPUT, "w1");
    cJSON *seen = cJSON_CreateArray(), *said = cJSON_CreateObject();
    check_ok(rt_teacher_seen(s.t, seen));
    check_ok(rt_teacher_describe(s.t, said));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(seen->child, "unknown")));
    const cJSON *process = cJSON_GetObjectItem(cJSON_GetObjectItem(said, "teacher"), "process");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(process, "version")), "1");
    assert_non_null(cJSON_GetObjectItem(said, "teacher_digest"));
    cJSON_Delete(seen);
    cJSON_Delete(said);
    scene_close(&s);
}

/* Classes by name, as a student has them, and against the names of the data. */
static void names(void **state)
{
    (void)state;
    static const char told[] = "'version': '1', 'classes': ['d', 'a', 'c', 'b']";
    static const int at[] = {3, 0, 2, 1};                  /* of the teacher's k-th class among a, b, c, d */
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    scene s;
    cJSON *list = parse_config("['a', 'b', 'c', 'd']"), *others = parse_config("['a', 'b', 'c', 'e']");
    check_ok(rt_heads_add(head, &count, "kind", RT_TASK_CLASSES, 4));
    rt_names_free(&head[0].names);
    check_ok(rt_names_from_json(&head[0].names, list, "the student", "classes"));
    check_ok(scene_open(&s, "right", told));
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_ok(rt_teacher_answer_as(s.t, head, count, "the student", RT_MATCH_NAMES));
    check_ok(scene_ask(&s, 0, 10, 10, z, 4));
    for (int r = 0; r < 10; r++)
        for (int k = 0; k < 4; k++) assert_true(z[r * 4 + at[k]] == want[r * 4 + k]);
    rt_names_free(&head[0].names);
    check_ok(rt_names_from_json(&head[0].names, others, "the student", "classes"));
    rt_status st = rt_teacher_answer_as(s.t, head, count, "the student", RT_MATCH_NAMES);
    check_fails(st, RT_INPUT, "d, a, c, b");
    check_fails(st, RT_INPUT, "a, b, c, e");
    scene_close(&s);
    rt_heads_free(head, count);
    cJSON_Delete(list);
    cJSON_Delete(others);
}

/* A twin asks the same program, in batches of its own. */
static void twins(void **state)
{
    (void)state;
    scene s;
    rt_teacher *twin;
    check_ok(scene_open(&s, "right", SCENE_PLAIN));
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_ok(rt_teacher_twin(&twin, s.t));
    check_ok(rt_teacher_ready(twin, test_device, 1, NULL, 0));
    assert_int_equal(rt_teacher_micro(twin), 1);
    check_ok(rt_teacher_ask(twin, &(rt_feed){.raw = x, .rows = 3}, z));
    same_bits("twin", z, want, 3 * SCENE_CLASSES);
    rt_teacher_close(twin);
    check_ok(scene_ask(&s, 0, 20, 20, z, SCENE_CLASSES));
    same_bits("after the twin", z, want, 20 * SCENE_CLASSES);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_and_groups), cmocka_unit_test(types_of_answers), cmocka_unit_test(normalized),
        cmocka_unit_test(views), cmocka_unit_test(tries), cmocka_unit_test(disturbed), cmocka_unit_test(much),
        cmocka_unit_test(refused), cmocka_unit_test(allowed), cmocka_unit_test(mixed_up_later),
        cmocka_unit_test(specification), cmocka_unit_test(in_a_file), cmocka_unit_test(identity),
        cmocka_unit_test(names), cmocka_unit_test(heads), cmocka_unit_test(columns), cmocka_unit_test(twins)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
