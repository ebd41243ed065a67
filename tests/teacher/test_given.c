/* Answers from files and several teachers as one: by number and by id, of every type, against the numbers that were
 * written; mixtures against their formulas in double; the best by counting; what does not fit is refused. */
#include "data/identity.h"
#include "data/labels.h"
#include "data/npy.h"
#include "data/provenance.h"
#include "data/row_ids.h"
#include "teacher/labeler.h"
#include "tests/teacher/process_scene.h"

enum { N = 300, K = SCENE_CLASSES };

static float *x, *z;                                       /* (N, WIDE) rows, (N, K) logits of a file */
static int32_t key[N], key_of_file[N], y[N];

static void save(const char *name, const rt_h5_item *item, int n)
{
    check_ok(rt_h5_save(in_folder(name), "retort-data-1", item, n));
}

static void write_npy(const char *name, const char *type, const void *data, size_t bytes, int rank, uint64_t rows,
                      uint64_t width)
{
    char head[256];
    uint64_t dim[] = {rows, width};
    FILE *f = fopen(in_folder(name), "wb");
    fwrite(head, 1, rt_npy_header(head, type, dim, rank), f);
    fwrite(data, 1, bytes, f);
    fclose(f);
}

static int set_up(void **s)
{
    if (make_test_folder(s)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    test_device = rt_device_cpu(1);
    x = random_floats(N * SCENE_WIDE, 3);
    z = random_floats(N * K, 4);
    for (int i = 0; i < N; i++) {
        key[i] = (i * 7) % N * 3 + 5;                      /* of the data's rows, in one order */
        key_of_file[i] = i * 3 + 5;                        /* of the file's, in another */
        float want[K];
        double row[SCENE_WIDE];
        for (int c = 0; c < SCENE_WIDE; c++) row[c] = (double)x[i * SCENE_WIDE + c];
        linear_row(want, K, row, SCENE_WIDE);
        y[i] = 0;
        for (int c = 1; c < K; c++) if (want[c] > want[y[i]]) y[i] = c;
        if (i % 10 == 0) y[i] = (y[i] + 1) % K;            /* the linear teacher is right nine times of ten */
        if (i % 25 == 7) y[i] = -1;
    }
    rt_h5_item data[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {N, SCENE_WIDE}, .data = x},
                         {.name = "key", .type = RT_I32, .rank = 1, .dim = {N}, .data = key},
                         {.name = "y", .type = RT_I32, .rank = 1, .dim = {N}, .data = y}};
    rt_h5_item file[] = {{.name = "z", .type = RT_F32, .rank = 2, .dim = {N, K}, .data = z},
                         {.name = "key", .type = RT_I32, .rank = 1, .dim = {N}, .data = key_of_file}};
    save("d.h5", data, 3);
    save("f.h5", file, 2);
    write_npy("z.npy", "<f4", z, sizeof(float) * N * K, 2, N, K);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    free(x);
    free(z);
    return remove_test_folder(s);
}

/* {"teacher": text} opened and bound to d.h5. */
static rt_status open_text(scene *s, const char *text, int marks)
{
    char all[2500];
    memset(s, 0, sizeof *s);
    snprintf(all, sizeof all, "{'teacher': %s}", text);
    s->config = parse_config(all);
    s->notes = cJSON_CreateArray();
    s->progress = (rt_progress){.line = scene_line, .arg = s};
    rt_cfg c = rt_cfg_begin(s->config, "");
    rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a teacher");
    RT_TRY(c.status);
    RT_TRY(rt_teacher_open_spec(&s->t, &spec, NULL));
    return scene_bind(s, "d.h5", marks);
}

static rt_status ask_text(const char *text, int marks, float *to)
{
    scene s;
    rt_status st = open_text(&s, text, marks);
    if (!st) st = scene_ask(&s, 0, N, 77, to, K);
    scene_close(&s);
    return st;
}

/* ---- files ---- */

static void by_number(void **state)
{
    (void)state;
    static float got[N * K];
    static double wide[N * K];
    static unsigned char turned[N * K * 4];
    check_ok(ask_text("{'from': '@z.npy'}", 0, got));
    same_bits("npy", got, z, N * K);
    check_ok(ask_text("{'from': '@f.h5:z', 'classes': ['a', 'b', 'c', 'd']}", 0, got));
    same_bits("h5", got, z, N * K);
    for (int i = 0; i < N * K; i++) {
        wide[i] = (double)z[i];
        for (int b = 0; b < 4; b++) turned[i * 4 + b] = ((unsigned char *)&z[i])[3 - b];
    }
    write_npy("wide.npy", "<f8", wide, sizeof wide, 2, N, K);
    write_npy("turned.npy", ">f4", turned, sizeof turned, 2, N, K);
    check_ok(ask_text("{'from': '@wide.npy'}", 0, got));
    same_bits("f64", got, z, N * K);
    static _Float16 half[N * K];
    for (int i = 0; i < N * K; i++) half[i] = (_Float16)z[i];
    write_npy("half.npy", "<f2", half, sizeof half, 2, N, K);
    check_ok(ask_text("{'from': '@half.npy'}", 0, got));
    for (int i = 0; i < N * K; i++) assert_true(got[i] == (float)half[i]);
    check_ok(ask_text("{'from': '@turned.npy'}", 0, got));
    same_bits("big-endian", got, z, N * K);
}

static void probabilities_and_classes(void **state)
{
    (void)state;
    static float p[N * K], got[N * K];
    static int64_t c[N];
    for (int r = 0; r < N; r++) {
        linear_softmax(p + r * K, z + r * K, K);
        c[r] = r % 5 == 4 ? -1 : r % K;
    }
    p[0] = 0, p[1] = 1, p[2] = 0, p[3] = 0;
    write_npy("p.npy", "<f4", p, sizeof p, 2, N, K);
    write_npy("c.npy", "<i8", c, sizeof c, 1, N, 0);
    check_ok(ask_text("{'from': '@p.npy', 'gives': 'probabilities'}", 0, got));
    for (int i = 0; i < N * K; i++) check_close("log p", got[i], log(fmax((double)p[i], 1e-30)), 1e-6, 1e-6);
    check_ok(ask_text("{'from': '@c.npy', 'gives': 'classes', 'classes': 4}", 1, got));
    for (int r = 0; r < N; r++)
        for (int k = 0; k < K; k++) {
            if (c[r] < 0) assert_true(isnan(got[r * K + k]));
            else check_close("class", got[r * K + k], k == c[r] ? 0 : log(1e-30), 1e-5, 0);
        }
    check_fails(ask_text("{'from': '@c.npy', 'gives': 'classes', 'classes': 4}", 0, got), RT_INPUT,
                "has no finite answer to row 4; label.bad_rows=mark");
    check_fails(ask_text("{'from': '@c.npy', 'gives': 'classes', 'classes': 3}", 1, got), RT_INPUT,
                "says class 3 of row 3, and there are 3");
    check_fails(ask_text("{'from': '@z.npy', 'gives': 'probabilities'}", 0, got), RT_INPUT, "which is no probability");
}

/* Row i of the data is that row of the file whose key is its own. */
static void by_id(void **state)
{
    (void)state;
    static float got[N * K], want[N * K];
    for (int i = 0; i < N; i++) memcpy(want + i * K, z + (key[i] - 5) / 3 * K, K * sizeof *want);
    check_ok(ask_text("{'from': '@f.h5:z', 'id': 'key'}", 0, got));
    same_bits("by id", got, want, N * K);
    char text[N][12];
    int32_t other[N];
    memset(text, 0, sizeof text);
    for (int i = 0; i < N; i++) {                          /* as texts; one that nobody has, one twice */
        other[i] = i == 40 ? 100000 : i == 60 ? key_of_file[61] : key_of_file[i];
        snprintf(text[i], sizeof text[i], "%d", other[i]);
    }
    rt_h5_item file[] = {{.name = "z", .type = RT_F32, .rank = 2, .dim = {N, K}, .data = z},
                         {.name = "key", .type = RT_I32, .rank = 1, .dim = {N}, .data = other}};
    save("g.h5", file, 2);
    scene s;
    check_fails(ask_text("{'from': '@g.h5:z', 'id': 'key'}", 0, got), RT_INPUT, ", whose 'key' is '");
    check_ok(open_text(&s, "{'from': '@g.h5:z', 'id': 'key'}", 1));
    check_ok(scene_ask(&s, 0, N, N, got, K));
    assert_int_equal(cJSON_GetArraySize(s.notes), 1);
    assert_non_null(strstr(s.notes->child->valuestring, "1 of its rows have an id that no row of the data has"));
    int without = 0;
    for (int i = 0; i < N; i++) {
        int at = (key[i] - 5) / 3;                         /* rows 40 and 60 lost their ids, 61 shares its own */
        if (at == 40 || at == 60 || at == 61) {
            without++;
            assert_true(isnan(got[i * K]));
        } else same_bits("the rest", got + i * K, want + i * K, K);
    }
    assert_int_equal(without, 3);
    rt_rows rows = rt_rows_between(0, N);
    uint64_t removed;
    check_ok(rt_teacher_remove_unanswered(s.t, &rows, &removed));
    assert_int_equal(removed, 3);
    for (int i = 0; i < N; i++) assert_int_equal(rt_rows_has(&rows, (uint64_t)i), !isnan(got[i * K]));
    rt_rows_free(&rows);
    scene_close(&s);
}

/* Numbers and texts, in any type, with what they have in common and what not. */
static void row_ids(void **state)
{
    (void)state;
    static const double numbers[] = {3, 1, 2, -7, 1e15};
    static const int64_t others[] = {2, -7, 9, 2, 1000000000000000};
    static const double broken[] = {1, 2, 3.5, 4, 5};
    static const char text[5][20] = {"-7", "03", "3", "x", "1000000000000000"};
    rt_h5_item item[] = {{.name = "n", .type = RT_F64, .rank = 1, .dim = {5}, .data = numbers},
                         {.name = "o", .type = RT_I64, .rank = 1, .dim = {5}, .data = others},
                         {.name = "b", .type = RT_F64, .rank = 1, .dim = {5}, .data = broken},
                         {.name = "x", .type = RT_F32, .rank = 2, .dim = {N, SCENE_WIDE}, .data = x},
                         {.name = "t", .type = RT_TEXT, .rank = 1, .dim = {5}, .element = 20, .data = text}};
    save("ids.h5", item, 5);
    rt_source *n, *o, *b, *wide, *t;
    uint64_t *place;
    rt_row_ids counts;
    check_ok(rt_source_open(&n, in_folder("ids.h5"), "n"));
    check_ok(rt_source_open_in(&o, rt_source_file(n), "o"));
    check_ok(rt_source_open_in(&b, rt_source_file(n), "b"));
    check_ok(rt_source_open_in(&wide, rt_source_file(n), "x"));
    check_ok(rt_row_ids_match(&place, n, o, &counts));
    static const uint64_t want[] = {RT_NO_ROW, RT_NO_ROW, RT_ROW_TWICE, 1, 4};
    for (int i = 0; i < 5; i++) assert_true(place[i] == want[i]);
    assert_int_equal(counts.missing, 2);
    assert_int_equal(counts.twice, 1);
    assert_int_equal(counts.unused, 1);
    free(place);
    check_ok(rt_row_ids_match(&place, o, n, &counts));
    static const uint64_t back[] = {RT_ROW_TWICE, 3, RT_NO_ROW, RT_ROW_TWICE, 4};
    for (int i = 0; i < 5; i++) assert_true(place[i] == back[i]);
    assert_int_equal(counts.unused, 2);
    free(place);
    check_ok(rt_source_open_in(&t, rt_source_file(n), "t"));
    check_ok(rt_row_ids_match(&place, n, t, &counts));
    static const uint64_t texts[] = {2, RT_NO_ROW, RT_NO_ROW, 0, 4};
    for (int i = 0; i < 5; i++) assert_true(place[i] == texts[i]);
    assert_int_equal(counts.unused, 2);                    /* "03" is no number as it is printed, nor is "x" */
    free(place);
    check_ok(rt_row_ids_match(&place, t, t, &counts));
    for (int i = 0; i < 5; i++) assert_true(place[i] == (uint64_t)i);
    free(place);
    char said[80];
    assert_string_equal(rt_row_id_text(t, 1, said), "03");
    assert_string_equal(rt_row_id_text(n, 4, said), "1000000000000000");
    rt_source_close(t);
    check_fails(rt_row_ids_match(&place, n, b, &counts), RT_INPUT, "row 2 of 'b' is 3.5, which is no whole number");
    check_fails(rt_row_ids_match(&place, n, wide, &counts), RT_INPUT, "'x' must hold one whole number");
    rt_source_close(wide);
    rt_source_close(b);
    rt_source_close(o);
    rt_source_close(n);
}

static void refused_files(void **state)
{
    (void)state;
    static float got[N * K];
    write_npy("fewer.npy", "<f4", z, sizeof(float) * (N - 1) * K, 2, N - 1, K);
    write_npy("cut.npy", "<f4", z, sizeof(float) * (N - 1) * K, 2, N, K);
    write_npy("long.npy", "<f4", z, sizeof(float) * N * K, 2, UINT64_C(1) << 62, K);
    write_npy("flat.npy", "<f4", z, sizeof(float) * N * K, 1, N * K, 0);
    static const struct { const char *text; rt_status status; const char *part; } of[] = {
        {"{'from': '@fewer.npy'}", RT_INPUT, "has 299 rows, and the data"},
        {"{'from': '@cut.npy'}", RT_INPUT, "its header tells 300 rows, it has fewer"},
        {"{'from': '@long.npy'}", RT_INPUT, "it has fewer"},
        {"{'from': '@flat.npy'}", RT_INPUT, "has 1 dimensions; (rows, classes) are expected of logits"},
        {"{'from': '@z.npy', 'gives': 'classes', 'classes': 4}", RT_INPUT, "has 2 dimensions; (rows) are expected"},
        {"{'from': '@f.h5:key', 'gives': 'classes'}", RT_USAGE, "tell what they are"},
        {"{'from': '@f.h5'}", RT_USAGE, "is an HDF5 file; name the data set"},
        {"{'from': '@f.h5:none'}", RT_INPUT, "none"},
        {"{'from': '@none.npy'}", RT_INPUT, "none.npy"},
        {"{'from': '@d.h5.npy', 'clases': 3}", RT_USAGE, "teacher.clases: unknown key; did you mean 'classes'?"},
        {"{'from': '@z.npy', 'classes': 5}", RT_INPUT, "has answers of 4 classes, and 5 are told"},
        {"{'from': '@z.npy', 'id': 'key'}", RT_USAGE, "id: an NPY file has no other set"},
        {"{'from': '@f.h5:z', 'id': 'nokey'}", RT_INPUT, "nokey"},
        {"{'from': '@z.npy', 'classes': 4, 'like': '@f.h5'}", RT_USAGE, "either \"classes\" or \"like\""}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        check_fails(ask_text(of[i].text, 0, got), of[i].status, of[i].part);
    scene s;
    check_ok(open_text(&s, "{'from': '@z.npy'}", 0));
    rt_view_desc view = {.flip = 1};
    uint64_t row = 0;
    check_fails(rt_teacher_ask(s.t, &(rt_feed){.raw = x, .row = &row, .rows = 1, .view = &view}, got), RT_USAGE,
                "none to views");
    usleep(20000);
    write_npy("z.npy", "<f4", x, sizeof(float) * N * K, 2, N, K);      /* changed while it is asked */
    check_fails(scene_ask(&s, 0, 5, 5, got, K), RT_INPUT, "z.npy");
    scene_close(&s);
    write_npy("z.npy", "<f4", z, sizeof(float) * N * K, 2, N, K);
}

/* ---- mixtures ---- */

static void soft(double *p, const float *v, double t)
{
    double sum = 0;
    for (int k = 0; k < K; k++) sum += exp((double)v[k] / t);
    for (int k = 0; k < K; k++) p[k] = exp((double)v[k] / t) / sum;
}

/* Formulas in double, over kinds that differ. */
static void mixtures(void **state)
{
    (void)state;
    static float got[N * K], linear[N * K];
    char text[1200];
    scene_want(linear, x, RT_F32, N, SCENE_WIDE);
    for (int way = 0; way < 2; way++) {
        snprintf(text, sizeof text, "{'mix': '%s', 'teachers': [{'from': '@z.npy', 'weight': 2, 'temperature': 1.5}, "
                 "{%s, 'version': '1', 'classes': 4, 'weight': 0.5}]}", way ? "logits" : "probabilities",
                 scene_command("right"));
        check_ok(ask_text(text, 0, got));
        for (int r = 0; r < N; r++) {
            double p[K], q[K], a = 0, b = 0;
            const float *u = z + r * K, *v = linear + r * K;
            soft(p, u, 1.5);
            soft(q, v, 1);
            for (int k = 0; k < K; k++) {
                a += (double)u[k] / 1.5 / K;
                b += (double)v[k] / K;
            }
            for (int k = 0; k < K; k++) {
                double want = way ? (2 * ((double)u[k] / 1.5 - a) + 0.5 * ((double)v[k] - b)) / 2.5
                                  : log((2 * p[k] + 0.5 * q[k]) / 2.5 + 1e-30);
                check_close(way ? "logits" : "probabilities", got[r * K + k], want, 2e-5, 2e-5);
            }
        }
    }
    static float turned[N * K], centred[N * K];            /* classes by name: d, a, c, b */
    static const int at[K] = {3, 0, 2, 1};
    for (int r = 0; r < N; r++)
        for (int k = 0; k < K; k++) turned[r * K + k] = z[r * K + at[k]];
    write_npy("turned-classes.npy", "<f4", turned, sizeof turned, 2, N, K);
    check_ok(
        ask_text("{'mix': 'logits', 'teachers': [{'from': '@z.npy', 'classes': ['a', 'b', 'c', 'd']}]}", 0, centred));
    check_ok(ask_text("{'mix': 'logits', 'teachers': [{'from': '@z.npy', 'classes': ['a', 'b', 'c', 'd']}, "
                      "{'from': '@turned-classes.npy', 'classes': ['d', 'a', 'c', 'b']}]}", 0, got));
    for (int i = 0; i < N * K; i++) check_close("by name", got[i], centred[i], 1e-6, 1e-6);
    check_ok(ask_text("{'mix': 'probabilities', 'teachers': ['@t.h5', '@u.h5']}", 0, got));
    static float ensemble[N * K];
    check_ok(ask_text("['@t.h5', '@u.h5']", 0, ensemble));
    same_bits("as the ensemble", got, ensemble, N * K);
    check_ok(ask_text("['@t.h5', {'file': '@u.h5'}]", 0, got));
    same_bits("a list with an object", got, ensemble, N * K);
    check_ok(ask_text("{'mix': 'logits', 'teachers': ['@t.h5', '@store.h5']}", 0, got));
    check_ok(ask_text("{'mix': 'logits', 'teachers': ['@t.h5', '@t.h5']}", 0, ensemble));
    same_bits("a store of the same", got, ensemble, N * K);
}

static int write_models(void **state)
{
    if (set_up(state)) return 1;
    for (int i = 0; i < 2; i++) {
        cJSON *arch = parse_config("{'input': [6], 'classes': 4, 'family': 'mlp', 'width': 8, 'depth': 1}"), *r;
        rt_model *m;
        check_ok(rt_model_new(&m, arch, (uint64_t)i + 1));
        cJSON_AddItemToObject(m->provenance, "seen", cJSON_CreateArray());
        check_ok(rt_model_save(m, in_folder(i ? "u.h5" : "t.h5")));
        rt_model_free(m);
        cJSON_Delete(arch);
        if (i) continue;
        cJSON *c = parse_config("{'teacher': '@t.h5', 'data': {'source': '@d.h5'}}");
        char out[160];
        snprintf(out, sizeof out, "%s", in_folder("store.h5"));
        check_ok(rt_label(c, &(rt_target){.path = out}, test_device, NULL, &r));
        cJSON_Delete(r);
        cJSON_Delete(c);
    }
    return 0;
}

/* The one that is right most often, in any place; what was chosen, and on what, is told; its rows count as seen. */
static void best(void **state)
{
    (void)state;
    static float got[N * K], linear[N * K];
    scene_want(linear, x, RT_F32, N, SCENE_WIDE);
    int labelled = 0, right[2] = {0};
    for (int r = 100; r < 250; r++) {
        if (y[r] < 0) continue;
        labelled++;
        for (int w = 0; w < 2; w++) {
            const float *v = (w ? linear : z) + r * K;
            int top = 0;
            for (int k = 1; k < K; k++) if (v[k] > v[top]) top = k;
            right[w] += top == y[r];
        }
    }
    for (int place = 0; place < 2; place++) {
        char text[2200], one[700];
        scene s;
        snprintf(one, sizeof one, "{%s, 'version': '1', 'classes': 4}", scene_command("right"));
        snprintf(text, sizeof text, "{'mix': 'best', 'teachers': [%s, %s], 'validation': {'source': '@d.h5', 'rows': "
                 "'100:250'}}", place ? "{'from': '@z.npy'}" : one, place ? one : "{'from': '@z.npy'}");
        check_ok(open_text(&s, text, 0));
        check_ok(scene_ask(&s, 0, N, 100, got, K));
        same_bits("the best", got, linear, N * K);
        assert_int_equal(cJSON_GetArraySize(s.notes), 1);
        cJSON *told = cJSON_CreateObject(), *seen = cJSON_CreateArray();
        check_ok(rt_teacher_tell(s.t, told));
        const cJSON *mix = cJSON_GetObjectItem(told, "mix"), *list = cJSON_GetObjectItem(mix, "teachers");
        assert_int_equal(cJSON_GetObjectItem(mix, "chosen")->valueint, place);
        assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(mix, "validation"), "labelled_rows")->valueint,
                         labelled);
        for (int w = 0; w < 2; w++) {
            const cJSON *member = cJSON_GetArrayItem(list, w == 1 ? place : !place);
            double accuracy = cJSON_GetObjectItem(member, "accuracy")->valuedouble;
            check_close("accuracy", accuracy, (double)right[w] / labelled, 1e-12, 0);
        }
        check_ok(rt_teacher_seen(s.t, seen));
        rt_rows rows = rt_rows_between(90, 110);
        uint64_t count;
        rt_digest id;
        check_ok(rt_identity_root(&id, s.id, NULL, NULL));
        const char *data[] = {id.hex, NULL};
        check_ok(rt_seen_count(seen, data, N, &rows, "teacher", "test", &count));
        assert_int_equal(count, 10);
        cJSON_Delete(seen);
        cJSON_Delete(told);
        scene_close(&s);
    }
}

static void refused_mixtures(void **state)
{
    (void)state;
    static float got[N * K];
    write_npy("three.npy", "<f4", z, sizeof(float) * N * 3, 2, N, 3);
    static const struct { const char *text; rt_status status; const char *part;
    } of[] = {
        {"{'mix': 'mean', 'teachers': ['@t.h5']}", RT_USAGE, "'mean' is not one of probabilities, logits, best"},
        {"{'mix': 'logits'}", RT_USAGE, "teacher.teachers: a list of 1 to 16"},
        {"{'mix': 'logits', 'teachers': ['@t.h5', '@three.npy']}", RT_INPUT, "three.npy"},
        {"{'mix': 'logits', 'teachers': ['@t.h5', {'from': '@three.npy'}]}", RT_INPUT, "has 3 classes, "},
        {"{'mix': 'logits', 'teachers': ['@t.h5', {'from': '@z.npy', 'classes': ['a', 'b', 'c', 'd']}]}", RT_INPUT,
         "a, b, c, d"},
        {"{'mix': 'logits', 'teachers': ['@t.h5', {'file': '@u.h5', 'wieght': 2}]}", RT_USAGE,
         "teacher.teachers[1].wieght: unknown key; did you mean 'weight'?"},
        {"{'mix': 'logits', 'teachers': ['@t.h5', {'file': '@u.h5', 'weight': 0}]}", RT_USAGE, "teachers[1].weight"},
        {"{'mix': 'logits', 'teachers': [{'mix': 'logits', 'teachers': ['@t.h5']}]}", RT_USAGE, "a mix within a mix"},
        {"{'mix': 'logits', 'teachers': ['@t.h5'], 'validation': {'source': 'a'}}", RT_USAGE,
         "belongs to \"mix\": \"best\""},
        {"{'mix': 'best', 'teachers': ['@t.h5']}", RT_USAGE, "teacher.validation: labelled rows to choose on"},
        {"{'mix': 'best', 'teachers': [{'file': '@t.h5', 'weight': 2}], 'validation': {'source': '@d.h5'}}", RT_USAGE,
         "teachers[0].weight: does not apply"},
        {"{'mix': 'best', 'teachers': ['@t.h5'], 'validation': {'source': '@d.h5', 'rows': '7:8'}}", RT_NOTHING,
         "no row of 'y' has a label"}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        check_fails(ask_text(of[i].text, 0, got), of[i].status, of[i].part);
}

/* Shares and members are its identity. */
static void identity_of_mixtures(void **state)
{
    (void)state;
    static const char *const of[] = {"{'mix': 'logits', 'teachers': ['@t.h5', '@u.h5']}",
                                     "{'mix': 'probabilities', 'teachers': ['@t.h5', '@u.h5']}",
                                     "{'mix': 'logits', 'teachers': ['@u.h5', '@t.h5']}",
                                     "{'mix': 'logits', 'teachers': ['@t.h5', {'file': '@u.h5', 'weight': 2}]}",
                                     "{'mix': 'logits', 'teachers': ['@t.h5', {'file': '@u.h5', 'temperature': 2}]}",
                                     "{'mix': 'logits', 'teachers': ['@t.h5', '@t.h5']}"};
    enum { COUNT = sizeof of / sizeof of[0] };
    rt_digest d[COUNT], twin;
    for (int i = 0; i < COUNT; i++) {
        scene s;
        rt_teacher *t;
        check_ok(open_text(&s, of[i], 0));
        check_ok(rt_teacher_digest(s.t, &d[i]));
        check_ok(rt_teacher_twin(&t, s.t));
        check_ok(rt_teacher_digest(t, &twin));
        assert_string_equal(d[i].hex, twin.hex);
        check_ok(rt_teacher_ready(t, test_device, 1, NULL, 0));
        float one[K], two[K];
        check_ok(rt_teacher_ask(t, &(rt_feed){.raw = x, .rows = 1}, one));
        check_ok(scene_ask(&s, 0, 1, 1, two, K));
        for (int k = 0; k < K; k++) check_close("twin", one[k], two[k], 1e-5, 1e-5);
        assert_int_equal(rt_teacher_models(s.t), 2);
        assert_int_equal(rt_teacher_abilities(s.t), RT_TEACHER_COMPUTES | RT_TEACHER_TIMED);
        rt_teacher_close(t);
        scene_close(&s);
        for (int k = 0; k < i; k++) assert_string_not_equal(d[i].hex, d[k].hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_number), cmocka_unit_test(probabilities_and_classes), cmocka_unit_test(by_id),
        cmocka_unit_test(row_ids), cmocka_unit_test(refused_files), cmocka_unit_test(mixtures), cmocka_unit_test(best),
        cmocka_unit_test(refused_mixtures), cmocka_unit_test(identity_of_mixtures)};
    return cmocka_run_group_tests(tests, write_models, tear_down);
}
