/* Labels of views: a store's view v is what the teacher says of the rows that epoch v shows, and a training that
 * replays them is the one that has the teacher beside it, to the bit. */
#include "data/labels.h"
#include "engine/rng.h"
#include "tests/train/in_pieces.h"
#include "teacher/labeler.h"
#include "teacher/teacher.h"

enum { N = 1300, H = 6, W = 5, C = 2, P = H * W * C, K = 3, V = 3 };
static float x[N * P];
static int32_t y[N];

#define NET "'model': {'input': [6, 5, 2], 'classes': 3, 'layers': [{'op': 'conv2d', 'out': %d, 'kernel': 3, " \
            "'padding': 1}, {'op': 'relu', 'name': 'act'}, {'op': 'flatten'}, {'op': 'dense', 'out': 3}]}"
#define SEEN "'augment': {'flip': true, 'shift': 2, 'erase': 0.5%s}"
#define RUN "{" NET ", 'seed': 7, 'data': {'source': '@x.h5', 'validation': 100%s}%s, 'loss': {'kind': 'kd', " \
            "'hard': 0.3%s}, " SEEN ", 'train': {'epochs': %d, 'batch': 64, 'lr': 0.05, 'momentum': 0.9}}"

static void make_data(void)
{
    for (int r = 0; r < N; r++) {
        uint32_t w[4];
        y[r] = r % K;
        for (int i = 0; i < P; i++) {
            rt_random4(w, 5, RT_RNG_SPLIT, 0, 0, (uint32_t)(r * P + i), 0);
            x[r * P + i] = (float)(w[0] >> 8) * 0x1p-24f + (i % W == y[r] ? 0.7f : 0.0f);
        }
    }
}

/* Labels of the data into a store; the result is dropped. */
static rt_status label(const char *config, const char *out, int force)
{
    cJSON *c = parse_config(config), *result = NULL;
    rt_status st = rt_label(c, &(rt_target){.path = in_folder(out), .force = force}, test_device, NULL, &result);
    cJSON_Delete(result);
    cJSON_Delete(c);
    return st;
}

#define LABEL "{'teacher': '@t/model.h5', 'data': {'source': '@%s'}, 'labels': {%s}, 'label': {%s}%s}"
static char *labelling(const char *data, const char *labels, const char *more, const char *augment)
{
    static char text[1000];
    snprintf(text, sizeof text, LABEL, data, labels, more, augment);
    return text;
}

static char *views_of(int count, const char *labels, const char *more, const char *seen)
{
    char how[300], augment[300];
    snprintf(how, sizeof how, "'views': %d%s", count, more);
    snprintf(augment, sizeof augment, ", 'augment': {'flip': true, 'shift': 2, 'erase': 0.5, 'seed': 7%s}", seen);
    return labelling("x.h5", labels, how, augment);
}

static int set_up(void **s)
{
    const uint64_t dim[] = {N, H, W, C};
    char teacher[800];
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    make_data();
    write_data("x.h5", x, 4, dim, y);
    snprintf(teacher, sizeof teacher, "{" NET ", 'data': {'source': '@x.h5', 'validation': 100}, "
             "'train': {'epochs': 3}}", 8);
    cJSON_Delete(train(teacher, "t"));
    check_ok(label(views_of(V, "", ", 'features': 'act', 'feature_type': 'f32'", ""), "v.h5", 1));
    return test_device ? 0 : 1;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

/* ---- what is stored ---- */

static rt_labels *opened(const char *name)
{
    rt_labels *l;
    check_ok(rt_labels_open(&l, in_folder(name), 0));
    return l;
}

/* A store of the pixels that a view shows, moved here by hand, holds the same labels as that view of a store. */
static void as_of_moved_pixels(void **s)
{
    (void)s;
    static float moved[N * P], a[N * K], b[N * K];
    const uint64_t dim[] = {N, H, W, C};
    uint64_t row[N];
    const rt_row_desc in = {.shape = {3, {H, W, C}}};
    const rt_view_desc how = {.flip = 1, .shift = 2};
    for (int r = 0; r < N; r++) row[r] = (uint64_t)r;
    const char *seen = ", 'augment': {'flip': true, 'shift': 2, 'seed': 9}";
    check_ok(label(labelling("x.h5", "", "'views': 2", seen), "m.h5", 1));
    for (int v = 0; v < 2; v++) {
        int flipped = 0;
        for (int r = 0; r < N; r++) {
            rt_view_draw d = rt_view_of(&in, &(rt_feed){.row = row, .view = &how, .seed = 9, .epoch = (uint32_t)v}, r);
            flipped += d.flip;
            for (int i = 0; i < H; i++)
                for (int j = 0; j < W; j++)
                    for (int c = 0; c < C; c++) {
                        int from = (d.flip ? W - 1 - j : j) + d.dx, line = i + d.dy;
                        int inside = from >= 0 && from < W && line >= 0 && line < H;
                        moved[((r * H + i) * W + j) * C + c] = inside ? x[((r * H + line) * W + from) * C + c] : 0;
                    }
        }
        assert_true(flipped > N / 3 && flipped < 2 * N / 3);
        write_data("moved.h5", moved, 4, dim, y);
        check_ok(label(labelling("moved.h5", "", "", ""), "direct.h5", 1));
        rt_labels *views = opened("m.h5"), *direct = opened("direct.h5");
        check_ok(rt_labels_read_view(views, v, row, N, a));
        check_ok(rt_labels_read(direct, row, N, b));
        assert_memory_equal(a, b, sizeof a);
        rt_labels_close(views);
        rt_labels_close(direct);
    }
}

/* The rows themselves are in it as in a store without views, and views are what the teacher says when asked. */
static void as_the_teacher_says(void **s)
{
    (void)s;
    static float a[N * K], b[N * K];
    uint64_t row[N];
    rt_source *source;
    rt_teacher *t;
    char path[200];
    const char *paths[] = {path};
    const rt_view_desc how = {.flip = 1, .shift = 2, .erase = 0.5};
    snprintf(path, sizeof path, "%s", in_folder("t/model.h5"));
    check_ok(rt_teacher_open(&t, paths, 1, NULL));
    check_ok(rt_source_open(&source, in_folder("x.h5"), "x"));
    check_ok(rt_teacher_bind(t, &(rt_teacher_binding){.source = source}));
    check_ok(rt_teacher_ready(t, test_device, 0, NULL, 0));
    rt_labels *l = opened("v.h5");
    for (int r = 0; r < N; r++) row[r] = (uint64_t)r;
    rt_feed q = {.raw = x, .row = row, .rows = N};
    int differ = 0;
    for (int v = RT_LABEL_NO_VIEW; v < V; v++) {
        q.view = v < 0 ? NULL : &how;
        q.seed = 7;
        q.epoch = v < 0 ? 0 : (uint32_t)v;
        check_ok(rt_teacher_ask(t, &q, a));
        check_ok(rt_labels_read_view(l, v, row, N, b));
        assert_memory_equal(a, b, sizeof a);
        if (v < 0) check_ok(rt_labels_read(l, row, N, a));
        differ += v > 0 && memcmp(a, b, sizeof a) == 0;
    }
    assert_int_equal(differ, V - 1);
    check_fails(rt_labels_read_view(l, V, row, 1, a), RT_USAGE, "labels of 3 views of each row, and none of view 3");
    rt_labels_close(l);
    rt_teacher_close(t);
    rt_source_close(source);
}

/* ---- replayed ---- */

static const char *run_of(const char *data, const char *teacher, const char *loss, const char *seen, int epochs)
{
    static char text[1000];
    snprintf(text, sizeof text, RUN, 4, data, teacher, loss, seen, epochs);
    return text;
}

#define LOOP ", 'teacher': '@t/model.h5'"
#define STORE ", 'labels': '@v.h5'"
#define HINTS ", 'hints': [{'student': 'act', 'teacher': 'act'}]"

static void same_training(const char *loss, const char *loop_seen, const char *store_seen, int epochs)
{
    char beside[33], kept[33];
    digest_of_run(run_of("", LOOP, loss, loop_seen, epochs), "beside", beside);
    digest_of_run(run_of(STORE, "", loss, store_seen, epochs), "kept", kept);
    assert_string_equal(beside, kept);
}

/* As many epochs as views: the teacher beside the student sees the same. More epochs: views come again, and a teacher
 * beside the student can be shown those, too. */
static void replayed(void **s)
{
    (void)s;
    same_training("", "", "", V);
    same_training("", ", 'views': 3", "", V + 2);
    same_training("", ", 'views': 2", ", 'views': 2", V);
    same_training(HINTS, "", "", V);
}

/* Without views, and with those of rows as they are, something else is learnt. */
static void not_replayed(void **s)
{
    (void)s;
    char with[33], without[33], plain[33];
    check_ok(label(labelling("x.h5", "", "", ""), "p.h5", 1));
    digest_of_run(run_of(STORE, "", "", "", 2), "a", with);
    digest_of_run(run_of(STORE, "", "", ", 'views': 0", 2), "b", without);
    digest_of_run(run_of(", 'labels': '@p.h5'", "", "", "", 2), "c", plain);
    assert_string_equal(without, plain);
    assert_string_not_equal(with, plain);
}

/* Interrupted after every batch, it goes on with the views of the epoch. */
static void in_pieces(void **s)
{
    (void)s;
    char whole[33];
    cJSON *r;
    digest_of_run(run_of(STORE, "", "", "", V + 1), "whole", whole);
    assert_true(run_in_pieces(run_of(STORE, "", "", "", V + 1), "pieces", &r) > 10);
    assert_string_equal(text_of(r, "last_weights_digest"), whole);
    cJSON_Delete(r);
}

/* Each coding keeps views as it keeps rows: a student learns from q8 and top-k views; hard ones are what they are. */
static void coded(void **s)
{
    (void)s;
    static const struct { const char *labels; double most; } way[] = {
        {"'type': 'q8'", 0.05}, {"'type': 'f16'", 0.02}, {"'topk': 2", 0}, {"'topk': 2, 'type': 'q8'", 0.05}};
    static float want[N * K], got[N * K];
    uint64_t row[N];
    for (int r = 0; r < N; r++) row[r] = (uint64_t)r;
    rt_labels *all = opened("v.h5");
    for (size_t i = 0; i < sizeof way / sizeof way[0]; i++) {
        check_ok(label(views_of(V, way[i].labels, "", ""), "c.h5", 1));
        rt_labels *l = opened("c.h5");
        check_ok(rt_labels_verify(l));
        double error[2], most = 0;
        check_ok(rt_labels_code_error(l, 0, error));
        for (int v = RT_LABEL_NO_VIEW; v < V; v++) {
            check_ok(rt_labels_read_view(all, v, row, N, want));
            check_ok(rt_labels_read_view(l, v, row, N, got));
            for (int r = 0; r < N; r++) {
                const float *a = want + r * K, *b = got + r * K;
                int best = a[1] > a[0], of_code = b[1] > b[0];
                best = a[2] > a[best] ? 2 : best;
                of_code = b[2] > b[of_code] ? 2 : of_code;
                for (int c = 0; c < K; c++) most = fmax(most, fabs((double)a[c] - b[c]));
                if (best != of_code || !(fabs((double)a[best] - b[best]) <= way[i].most))
                    fail_msg("%s: view %d, row %d: %g becomes %g", way[i].labels, v, r, a[best], b[best]);
            }
        }
        if (!i) check_close("error of all views", error[0], most, 0, 1e-6);
        rt_labels_close(l);
    }
    rt_labels_close(all);
}

/* ---- refused ---- */

static void refused(const char *config, const char *why)
{
    cJSON *r;
    check_fails(train_with(config, "no", 1, NULL, &r), RT_USAGE, why);
}

static void of_other_views(void **s)
{
    (void)s;
    char other[1000], *at;
    refused(run_of(STORE, "", "", ", 'seed': 8", 2), "made with augment.seed=7; give that, label again, or learn");
    refused(run_of(STORE, "", "", ", 'views': 4", 2), "keeps labels of 3 views of each row; give at most 3");
    snprintf(other, sizeof other, "%s", run_of(STORE, "", "", "", 2));
    at = strstr(other, "'shift': 2");
    memcpy(at, "'shift': 1", 10);
    refused(other, "made with augment.shift=2");
    memcpy(at, "'shift': 2", 10);
    memcpy(strstr(other, "'erase': 0.5"), "'erase': 0.4", 12);
    refused(other, "made with augment.erase=0.5");
    check_ok(label(labelling("x.h5", "", "", ""), "p.h5", 1));
    refused(run_of(", 'labels': '@p.h5'", "", "", ", 'views': 2", 2), "label again with label.views=2");
}

static void of_no_views(void **s)
{
    (void)s;
    check_fails(label(views_of(0, "", "", ""), "n.h5", 1), RT_USAGE, "label.views: 0 are none");
    check_fails(label(views_of(1001, "", "", ""), "n.h5", 1), RT_USAGE, "label.views");
    check_fails(label(labelling("x.h5", "", "'views': 2", ""), "n.h5", 1), RT_USAGE, "none of them is given");
    check_fails(label(labelling("x.h5", "", "", ", 'augment': {'flip': true}"), "n.h5", 1), RT_USAGE, "label.views");
    check_fails(label(views_of(2, "", "", ", 'mixup': 0.2"), "n.h5", 1), RT_USAGE, "mixes rows and their labels");
    check_fails(label(views_of(V, "", "", ", 'input': 'z'"), "n.h5", 1), RT_USAGE, "the model has no input 'z'");
    check_fails(label(views_of(2, "", "", ""), "v.h5", 0), RT_USAGE, "labels of 3 views of each row, and 2 are wanted");
    check_fails(label(labelling("x.h5", "", "", ""), "v.h5", 0), RT_USAGE, "labels of 3 views of each row, and 0");
    check_fails(label(labelling("x.h5", "", "'views': 3, 'features': 'act', 'feature_type': 'f32'",
                                ", 'augment': {'flip': true, 'shift': 2, 'erase': 0.5, 'seed': 6}"), "v.h5", 0),
                RT_USAGE, "labels of other views, made with augment.seed=7");
    check_ok(label(views_of(V, "", ", 'features': 'act', 'feature_type': 'f32'", ""), "v.h5", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_of_moved_pixels), cmocka_unit_test(as_the_teacher_says), cmocka_unit_test(replayed),
        cmocka_unit_test(not_replayed),       cmocka_unit_test(in_pieces),           cmocka_unit_test(coded),
        cmocka_unit_test(of_other_views),     cmocka_unit_test(of_no_views),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
