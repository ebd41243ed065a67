/* What a binding tells of ONNX files (tests/onnx/samples, recorded by tests/onnx/record_bindings.py with PyTorch,
 * torchvision and ONNX Runtime): shapes that the data tell, images that are resized and cropped, views of them, outputs
 * that become heads, inner values as features; what is refused, and how that is told. */
#include "engine/kernels.h"
#include "student/arch.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/support.h"

enum { MOST = 4000, WIDEST = 32 };

static char *in_folder(const char *name)
{
    static char path[4][160];
    static int at;
    snprintf(path[at++ % 4], sizeof path[0], "%s/%s", test_folder, name);
    return path[(at - 1) % 4];
}

static FILE *open_sample(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/onnx/samples/%s.txt", RETORT_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

typedef struct { int rows, width; float x[MOST], y[24 * WIDEST]; } recording;

static recording *read_recording(const char *name, int size)
{
    recording *r = calloc(1, sizeof *r);
    FILE *f = open_sample(name);
    assert_int_equal(fscanf(f, "rows %d width %d", &r->rows, &r->width), 2);
    assert_true(r->rows * size <= MOST && r->rows <= 24 && r->width <= WIDEST);
    for (int i = 0; i < r->rows; i++) {
        for (int k = 0; k < size; k++) assert_int_equal(fscanf(f, "%f", &r->x[i * size + k]), 1);
        for (int k = 0; k < r->width; k++) assert_int_equal(fscanf(f, "%f", &r->y[i * r->width + k]), 1);
    }
    fclose(f);
    return r;
}

static rt_status import(rt_model **m, const char *name, const char *binding, const rt_x_where *x, cJSON *notes)
{
    char path[512];
    rt_onnx_file *f;
    cJSON *b = NULL;
    *m = NULL;
    snprintf(path, sizeof path, "%s/tests/onnx/samples/%s.onnx", RETORT_SOURCE_DIR, name);
    if (binding) check_ok(rt_json_parse(&b, binding, strlen(binding), "binding"));
    check_ok(rt_onnx_read(&f, path, NULL));
    rt_status st = rt_onnx_import(m, f, b, x, notes);
    rt_onnx_close(f);
    cJSON_Delete(b);
    return st;
}

static void refused(const char *name, const char *binding, const rt_x_where *x, rt_status want, const char *part)
{
    rt_model *m;
    check_fails(import(&m, name, binding, x, NULL), want, part);
    assert_null(m);
}

/* A data file with one set. */
static rt_x_where save(const char *file, const char *set, rt_dtype type, const int *dim, int rank, const void *data)
{
    static char kept[8][160];
    static int at;
    char *path = strcpy(kept[at++ % 8], in_folder(file));
    rt_h5_item item = {.name = set, .type = type, .rank = rank, .data = data};
    for (int i = 0; i < rank; i++) item.dim[i] = (uint64_t)dim[i];
    check_ok(rt_h5_save(path, "retort-data-1", &item, 1));
    return (rt_x_where){.source = path, .set = set, .given = strcmp(set, "x") != 0};
}

/* answers (rows, W) of a model bound to the rows of a data set. */
static float *ask(rt_model *m, const rt_x_where *x, int rows, int threads)
{
    rt_source *s;
    rt_predictor *p;
    rt_device *device = rt_device_cpu(threads);
    check_ok(rt_x_open(&s, x));
    check_ok(rt_inputs_bind(m->input, m->inputs, s, RT_MATCH_NAMES, NULL));
    char *raw = malloc((size_t)rows * rt_source_row_bytes(s));
    check_ok(rt_source_read_stored(s, 0, (uint64_t)rows, raw));
    float *y = calloc((size_t)(rows * rt_model_width(m)), sizeof *y);
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = raw, .rows = rows}, y);
    rt_predictor_free(p);
    rt_source_close(s);
    rt_device_close(device);
    free(raw);
    return y;
}

static void check_all(const char *what, const float *got, const recording *r)
{
    char text[160];
    double scale = 0;
    for (int i = 0; i < r->rows * r->width; i++) scale = fmax(scale, fabs((double)r->y[i]));
    for (int i = 0; i < r->rows * r->width; i++) {
        snprintf(text, sizeof text, "%s, row %d, answer %d", what, i / r->width, i % r->width);
        check_close(text, (double)got[i], (double)r->y[i], 3e-6 * scale, 1e-5);
    }
}

/* ---- shapes ---- */

static void open_shapes(void **state)
{
    (void)state;
    recording *r = read_recording("open_image", 9 * 12 * 3);
    const int last[] = {r->rows, 9, 12, 3}, first[] = {r->rows, 3, 9, 12}, flat[] = {r->rows, 6},
              four[] = {r->rows, 9, 12, 4};
    float *turned = calloc(MOST, sizeof *turned);
    for (int i = 0; i < r->rows; i++)
        for (int p = 0; p < 108; p++)
            for (int c = 0; c < 3; c++) turned[(i * 3 + c) * 108 + p] = r->x[(i * 108 + p) * 3 + c];
    rt_x_where images = save("images.h5", "x", RT_F32, last, 4, r->x),
               planes = save("planes.h5", "planes", RT_F32, first, 4, turned),
               numbers = save("numbers.h5", "x", RT_F32, flat, 2, r->x),
               other = save("other.h5", "x", RT_F32, four, 4, NULL);
    rt_model *m;
    cJSON *notes = cJSON_CreateArray();
    check_ok(import(&m, "open_image", NULL, &images, notes));
    assert_int_equal(m->input[0].shape.dim[0], 9);
    assert_int_equal(m->input[0].shape.dim[1], 12);
    assert_string_equal(notes->child->valuestring,
                        "input 'x': the data's rows, (9, 12, 3), tell the shape that the model leaves open");
    float *y = ask(m, &images, r->rows, 1);
    check_all("channels last", y, r);
    free(y);
    rt_model_free(m);
    check_ok(import(&m, "open_image", NULL, &planes, NULL));           /* only as channels first can it be its input */
    y = ask(m, &planes, r->rows, 1);
    check_all("channels first", y, r);
    free(y);
    rt_model_free(m);
    /* What is told wins; then the data do not fit, which is told with both shapes when they are bound. */
    check_ok(import(&m, "open_image", "{\"inputs\": {\"x\": {\"shape\": [3, 8, 12]}}}", &images, NULL));
    rt_source *s;
    check_ok(rt_x_open(&s, &images));
    check_fails(rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, NULL), RT_INPUT,
                "rows have the shape (9, 12, 3), but the model's input is (8, 12, 3)");
    rt_source_close(s);
    rt_model_free(m);
    refused("open_image", NULL, NULL, RT_USAGE,
            "leaves dimension 2 ('height') open; the data that is labelled, trained or "
            "evaluated on tells it, or give the shape of a row: --shape x=");
    refused("open_image", NULL, &numbers, RT_INPUT,
            "rows of 'x' have the shape (6), but the model's input is (3, height, width)");
    refused("open_image", NULL, &other, RT_INPUT,
            "rows of 'x' have the shape (9, 12, 4), but the model's input is (3, height, width)");
    refused("open_image", NULL, &(rt_x_where){.source = images.source, .set = "z", .given = 1}, RT_INPUT, "z");
    /* The set of the only input is data.x: another one that is told would be passed over. */
    refused("open_image", "{\"inputs\": {\"x\": {\"set\": \"planes\"}}}", &images, RT_USAGE,
            "inputs.x.set: it is the only input that takes data, and its data set is data.x, x: give data.x=planes");
    refused("open_image", "{\"inputs\": {\"x\": {\"set\": \"x\", \"shape\": [3, 9, 12]}}}", NULL, RT_USAGE,
            "its data set is data.x: give data.x=x and leave \"set\" out");
    check_ok(import(&m, "open_image", "{\"inputs\": {\"x\": {\"set\": \"x\"}}}", &images, NULL));
    rt_model_free(m);
    cJSON_Delete(notes);
    free(turned);
    free(r);
}

/* Parts by name, sets of the inputs' names, and those of other models beside. */
static void where_rows_lie(void **state)
{
    (void)state;
    const int dim[] = {2, 5, 7};
    rt_x_where w = save("two.h5", "ids", RT_F32, dim, 3, NULL);
    rt_shape s;
    const char *path, *set;
    w.set = "x";
    w.given = 0;
    check_ok(rt_x_where_shape(&w, "ids", 1, &s, &path, &set));         /* of several inputs each has its own */
    assert_int_equal(s.dim[1], 7);
    assert_string_equal(set, "ids");
    check_ok(rt_x_where_shape(&w, "ids", 0, &s, &path, &set));         /* there is no x, but a set of its name */
    assert_string_equal(set, "ids");
    check_fails(rt_x_where_shape(&w, "image", 0, &s, &path, &set), RT_INPUT, "'x'");
    w.given = 1;
    check_fails(rt_x_where_shape(&w, "ids", 0, &s, &path, &set), RT_INPUT, "'x'");
    w.parts = 1;
    w.part[0] = (rt_x_part){.name = "words", .set = "ids"};
    check_ok(rt_x_where_shape(&w, "words", 0, &s, &path, &set));
    assert_string_equal(set, "ids");
    assert_string_equal(path, w.source);
}

/* ---- sizes of images ---- */

/* All that torchvision made of images: of bytes, halves and doubles, as rows and as views that change nothing. */
static void resized(void **state)
{
    (void)state;
    static const float mul[4] = {0.5f, 2, 1, 0.25f}, add[4] = {-3, 1, 0, 7};
    FILE *f = open_sample("resized");
    rt_resizing r;
    rt_shape row = {3, {0}}, to;
    int oh, ow, cases = 0;
    while (fscanf(f, "%d %d %d %d %d %d %d %d %d", &row.dim[0], &row.dim[1], &row.dim[2], &r.resize_h, &r.resize_w,
                  &r.crop_h, &r.crop_w, &oh, &ow) == 9) {
        uint8_t raw[2048];
        double wide[2048];
        float got[2048], viewed[2048];
        size_t n = rt_shape_count(&row), out = (size_t)(oh * ow * row.dim[2]);
        int byte;
        rt_row_desc in = {.name = "x", .mul = mul, .add = add, .channels = row.dim[2], .type = RT_U8, .bytes = n};
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(fscanf(f, "%d", &byte), 1);
            raw[i] = (uint8_t)byte;
            wide[i] = byte;
        }
        check_ok(rt_resizing_of(&r, &row, &to, &in.resize));
        assert_int_equal(to.dim[0], oh);
        assert_int_equal(to.dim[1], ow);
        in.shape = to;
        in.size = out;
        const uint64_t number[1] = {3};
        const rt_view_desc still = {.erase = 1e-12};                   /* a view, in which nothing moves */
        rt_feed plain = {.raw = raw, .rows = 1}, view = {.raw = raw, .rows = 1, .row = number, .view = &still};
        rt_rows_fill(&in, &plain, got, 0, 1);
        rt_rows_fill(&in, &view, viewed, 0, 1);
        assert_memory_equal(got, viewed, out * sizeof *got);
        in.type = RT_F64;
        in.bytes = n * sizeof *wide;
        plain.raw = wide;
        rt_rows_fill(&in, &plain, viewed, 0, 1);
        assert_memory_equal(got, viewed, out * sizeof *got);
        for (size_t i = 0; i < out; i++) {
            float want;
            size_t c = i % (size_t)row.dim[2];
            assert_int_equal(fscanf(f, "%f", &want), 1);
            check_close("resized", (double)got[i], (double)((want + add[c]) * mul[c]), 1e-4, 2e-6);
        }
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 7);
}

/* What is flipped, moved and erased is the data's image: the view of a row, resized, is what resizing the row's view
 * gives; and a student that takes the image as it is sees the same one. */
static void views(void **state)
{
    (void)state;
    enum { H = 12, W = 10, C = 2, H2 = 7, W2 = 9, ROWS = 16 };
    static const float one[1] = {1}, zero[1] = {0}, mul[1] = {0.5f}, add[1] = {2};
    static float raw[ROWS][H * W * C], own[ROWS][H * W * C], got[ROWS][H2 * W2 * C], want[H2 * W2 * C];
    float *numbers = random_floats(ROWS * H * W * C, 1);
    memcpy(raw, numbers, sizeof raw);
    free(numbers);
    uint64_t row[ROWS];
    int partner[ROWS], differ = 0;
    for (int i = 0; i < ROWS; i++) row[i] = (uint64_t)(100 + i), partner[i] = (i + 5) % ROWS;
    const rt_view_desc v = {.flip = 1, .shift = 3, .erase = 0.5};
    rt_row_desc student = {.name = "x", .shape = {3, {H, W, C}}, .size = H * W * C, .type = RT_F32,
                           .bytes = sizeof raw[0], .channels = 1, .mul = mul, .add = add},
                teacher = student, other;
    teacher.shape = (rt_shape){3, {H2, W2, C}};
    teacher.size = H2 * W2 * C;
    teacher.resize = (rt_resize){H, W, 9, 11, 1, 2};
    other = teacher;                                       /* of rows that are normalised already */
    other.mul = one;
    other.add = zero;
    for (int mixed = 0; mixed < 2; mixed++) {
        rt_feed f = {.raw = raw, .rows = ROWS, .row = row, .view = &v, .seed = 9, .epoch = 4,
                     .partner = mixed ? partner : NULL, .lambda = 0.3f};
        rt_rows_fill(&student, &f, own[0], 0, ROWS);
        rt_rows_fill(&teacher, &f, got[0], 0, 5);                      /* in pieces: each row by itself */
        rt_rows_fill(&teacher, &f, got[5], 5, ROWS - 5);
        for (int i = 0; i < ROWS; i++) {
            rt_rows_fill(&other, &(rt_feed){.raw = own[i], .rows = 1}, want, 0, 1);
            for (int k = 0; k < H2 * W2 * C; k++) check_close("view", (double)got[i][k], (double)want[k], 1e-5, 1e-5);
            differ += memcmp(own[i], raw[i], sizeof raw[i]) != 0;
        }
    }
    assert_true(differ > ROWS);
}

static const char sizes[] =
    "{\"inputs\": {\"x\": {\"resize\": 9, \"crop\": [8, 8], \"mean\": [120, 110, 100], \"std\": [60, "
    "50, 70]}}}";

static void images_of_another_size(void **state)
{
    (void)state;
    recording *r = read_recording("eight", 11 * 14 * 3);
    const int dim[] = {r->rows, 11, 14, 3}, small[] = {r->rows, 6, 7, 3}, flat[] = {r->rows, 24},
              grey[] = {r->rows, 11, 14, 1};
    uint8_t *bytes = malloc(MOST);
    for (int i = 0; i < MOST; i++) bytes[i] = (uint8_t)r->x[i];
    rt_x_where as_bytes = save("bytes.h5", "x", RT_U8, dim, 4, bytes),
               as_floats = save("floats.h5", "x", RT_F32, dim, 4, r->x),
               little = save("small.h5", "x", RT_F32, small, 4, NULL), row = save("row.h5", "x", RT_F32, flat, 2, NULL),
               one = save("grey.h5", "x", RT_F32, grey, 4, NULL);
    rt_model *m, *n;
    check_ok(import(&m, "eight", sizes, NULL, NULL));
    float *a = ask(m, &as_bytes, r->rows, 1), *b = ask(m, &as_floats, r->rows, 2);
    check_all("bytes", a, r);
    assert_memory_equal(a, b, (size_t)(r->rows * r->width) * sizeof *a);
    free(b);
    /* It stays with the model. */
    check_ok(rt_model_save(m, in_folder("eight.h5")));
    check_ok(rt_model_load(&n, in_folder("eight.h5")));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    b = ask(n, &as_bytes, r->rows, 1);
    assert_memory_equal(a, b, (size_t)(r->rows * r->width) * sizeof *a);
    free(b);
    n->input[0].resizing.resize_h = 10;
    assert_string_not_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    rt_model_free(n);
    rt_source *s;
    check_ok(rt_x_open(&s, &row));
    check_fails(rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, NULL), RT_INPUT, "rows of (24) are none");
    rt_source_close(s);
    check_ok(rt_x_open(&s, &one));
    check_fails(
        rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, NULL), RT_INPUT,
        "rows have the shape (11, 14, 1); resized so that the shorter side is 9, the middle (8, 8) they are (8, 8, 1), "
        "but the model's input is (8, 8, 3)");
    rt_source_close(s);
    rt_model_free(m);
    check_ok(import(&m, "eight", "{\"inputs\": {\"x\": {\"crop\": [8, 8]}}}", NULL, NULL));
    check_ok(rt_x_open(&s, &little));
    check_fails(rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, NULL), RT_INPUT,
                "images of (6, 7, 3) become (6, 7), and no middle of (8, 8) can be cut out of them");
    rt_source_close(s);
    rt_model_free(m);
    /* Sizes alone tell what the file leaves open. */
    check_ok(import(&m, "open_image", "{\"inputs\": {\"x\": {\"resize\": [20, 30]}}}", NULL, NULL));
    assert_int_equal(m->input[0].shape.dim[1], 30);
    rt_model_free(m);
    check_ok(import(&m, "open_image", "{\"inputs\": {\"x\": {\"resize\": 22}}}", &as_bytes, NULL));
    assert_int_equal(m->input[0].shape.dim[0], 22);
    assert_int_equal(m->input[0].shape.dim[1], 28);
    b = ask(m, &as_bytes, r->rows, 1);
    free(b);
    rt_model_free(m);
    free(a);
    free(bytes);
    free(r);
}

static void bad_sizes(void **state)
{
    (void)state;
    static const struct { const char *model, *input, *part;
    } bad[] = {
        {"eight", "{\"resize\": [8]}",
         "inputs.x.resize: a size [H, W] in pixels is expected, 1 to 16384 each, or the length"},
        {"eight", "{\"resize\": \"8\"}", "inputs.x.resize"},
        {"eight", "{\"resize\": [8, 0]}", "inputs.x.resize"},
        {"eight", "{\"resize\": 8.5}", "inputs.x.resize"},
        {"eight", "{\"resize\": 1e9}", "inputs.x.resize"},
        {"eight", "{\"crop\": 8}", "inputs.x.crop: a size [H, W] in pixels is expected"},
        {"eight", "{\"crop\": [8, 8, 8]}", "inputs.x.crop"},
        {"eight", "{\"resize\": [9, 9]}", "images are resized to (9, 9), but the model's input is (8, 8, 3)"},
        {"eight", "{\"resize\": 9}", "shorter side is 9, but the model's input is (8, 8, 3)"},
        {"eight", "{\"resize\": [9, 9], \"crop\": [7, 8]}", "the middle (7, 8), but the model's input is (8, 8, 3)"},
        {"eight", "{\"resize\": 9, \"crop\": [8, 8], \"layout\": \"chw\"}", "without \"layout\": \"chw\""},
        {"heads_of", "{\"resize\": [2, 3]}", "are of images, (H, W, C), and a row of it is (6)"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"inputs\": {\"x\": %s}%s}", bad[i].input,
                 i == 11 ? ", \"output\": \"size\"" : "");
        refused(bad[i].model, text, NULL, RT_USAGE, bad[i].part);
    }
}

/* ---- outputs ---- */

enum { PROBS = 0, TAGS = 3, HARD = 7, SIZE = 9, VECTOR = 11, HIDDEN = 16, X = 6 };

static double logit(double p) { return log(fmax(p, 1e-30)) - log(fmax(1 - p, 1e-30)); }

static float *answers(rt_model *m, const recording *r, float *feature)
{
    rt_predictor *p;
    rt_device *device = rt_device_cpu(1);
    float *y = calloc((size_t)(r->rows * rt_model_width(m)), sizeof *y);
    int tensor = feature ? rt_arch_find(m->graph, "hidden") : -1;
    if (feature) assert_true(tensor >= 0);
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, &tensor, feature != NULL));
    rt_predict(p, &(rt_feed){.raw = r->x, .rows = r->rows}, y);
    if (feature) memcpy(feature, rt_predictor_feature(p, 0), (size_t)r->rows * 16 * sizeof *feature);
    rt_predictor_free(p);
    rt_device_close(device);
    return y;
}

static void several_outputs(void **state)
{
    (void)state;
    static const char binding[] =
        "{\"outputs\": {\"probs\": {\"head\": \"kind\", \"classes\": [\"a\", \"b\", \"c\"]}, \"tags\": {\"task\": "
        "\"multilabel\"}, \"hard\": {\"task\": \"multilabel\", \"gives\": \"probabilities\", \"classes\": [\"u\", "
        "\"v\"]}, "
        "\"size\": {\"gives\": \"values\"}, \"vector\": {\"head\": \"where\", \"gives\": \"embedding\"}}, "
        "\"features\": "
        "[\"hidden\"]}";
    static const rt_task task[] = {RT_TASK_CLASSES, RT_TASK_MULTILABEL, RT_TASK_MULTILABEL, RT_TASK_REAL, RT_TASK_REAL};
    static const char *const name[] = {"kind", "tags", "hard", "size", "where"};
    recording *r = read_recording("heads_of", X);
    rt_model *m, *n;
    float *hidden = calloc((size_t)r->rows * 16, sizeof *hidden);
    int floors = 0;
    check_ok(import(&m, "heads_of", binding, NULL, NULL));
    assert_int_equal(m->heads, 5);
    for (int h = 0; h < 5; h++) {
        assert_string_equal(m->head[h].name, name[h]);
        assert_int_equal(m->head[h].task, task[h]);
    }
    assert_string_equal(m->head[0].names.name[2], "c");
    assert_string_equal(m->head[2].names.name[1], "v");
    assert_null(m->head[1].names.name);
    float *y = answers(m, r, hidden);
    for (int i = 0; i < r->rows; i++) {
        const float *z = y + i * 16, *want = r->y + i * r->width;
        double sum = 0;
        for (int k = 0; k < 3; k++) sum += exp((double)z[k]);
        for (int k = 0; k < 3; k++) check_close("probs", exp((double)z[k]) / sum, (double)want[PROBS + k], 1e-6, 1e-5);
        for (int k = 0; k < 4; k++)
            check_close("tags", 1 / (1 + exp(-(double)z[3 + k])), (double)want[TAGS + k], 1e-6, 1e-5);
        for (int k = 0; k < 2; k++) {
            check_close("hard", (double)z[7 + k], logit((double)want[HARD + k]), 2e-5, 1e-5);
            floors += want[HARD + k] == 0 || want[HARD + k] == 1;
        }
        for (int k = 0; k < 2; k++) check_close("size", (double)z[9 + k], (double)want[SIZE + k], 1e-5, 1e-5);
        for (int k = 0; k < 5; k++) check_close("vector", (double)z[11 + k], (double)want[VECTOR + k], 1e-5, 1e-5);
        for (int k = 0; k < 16; k++)
            check_close("hidden", (double)hidden[i * 16 + k], (double)want[HIDDEN + k], 1e-5, 1e-5);
    }
    assert_true(floors > 2);                               /* 0 and 1 are among them */
    check_ok(rt_model_save(m, in_folder("heads.h5")));
    check_ok(rt_model_load(&n, in_folder("heads.h5")));
    float *again = answers(n, r, hidden);
    assert_memory_equal(y, again, (size_t)(r->rows * 16) * sizeof *y);
    const cJSON *from = cJSON_GetObjectItem(n->provenance, "onnx"),
                *where = cJSON_GetObjectItem(cJSON_GetObjectItem(from, "outputs"), "vector");
    assert_string_equal(cJSON_GetObjectItem(where, "gives")->valuestring, "embedding");
    assert_string_equal(cJSON_GetObjectItem(where, "head")->valuestring, "where");
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(from, "features"), "hidden")->valuestring, "hidden");
    free(y);
    free(again);
    free(hidden);
    rt_model_free(m);
    rt_model_free(n);
    free(r);
}

/* Nothing is told of what they give: a softmax and a sigmoid say it themselves. */
static void found(void **state)
{
    (void)state;
    recording *r = read_recording("heads_of", X);
    rt_model *m;
    cJSON *notes = cJSON_CreateArray();
    check_ok(import(&m, "heads_of", "{\"output\": \"tags\"}", NULL, notes));
    assert_int_equal(m->head[0].task, RT_TASK_MULTILABEL);
    assert_string_equal(m->head[0].name, "y");
    assert_string_equal(notes->child->valuestring,
                        "output 'tags' is a sigmoid: probabilities of labels, each by itself");
    float *y = answers(m, r, NULL);
    for (int i = 0; i < r->rows; i++)
        for (int k = 0; k < 4; k++)
            check_close("tags", 1 / (1 + exp(-(double)y[i * 4 + k])), (double)r->y[i * r->width + TAGS + k], 1e-6,
                        1e-5);
    free(y);
    rt_model_free(m);
    check_ok(import(&m, "heads_of", "{\"output\": \"tags\", \"gives\": \"logits\"}", NULL, NULL));
    assert_int_equal(m->head[0].task, RT_TASK_CLASSES);
    y = answers(m, r, NULL);                               /* as they are */
    check_close("logits", (double)y[1], (double)r->y[TAGS + 1], 1e-6, 1e-5);
    free(y);
    rt_model_free(m);
    check_ok(import(&m, "heads_of", "{\"output\": \"hidden\", \"gives\": \"embedding\"}", NULL, NULL)); /* within */
    assert_int_equal(m->head[0].size, 16);
    assert_int_equal(m->head[0].task, RT_TASK_REAL);
    y = answers(m, r, NULL);
    for (int k = 0; k < 16; k++)
        check_close("hidden", (double)y[16 + k], (double)r->y[r->width + HIDDEN + k], 1e-5, 1e-5);
    free(y);
    /* Numbers are no classes. */
    rt_head classes[RT_MAX_HEADS] = {{0}};
    int count = 0, *place;
    check_ok(rt_heads_add(classes, &count, "y", RT_TASK_CLASSES, 16));
    check_fails(
        rt_heads_place(&place, m->head, 1, "teacher", classes, 1, "student", RT_MATCH_NAMES), RT_INPUT,
        "its head 'y' is of task real with 16 outputs, that of student of task classes with 16; numbers, such as an "
        "embedding, are learnt by a head of numbers");
    rt_heads_free(classes, count);
    rt_model_free(m);
    check_ok(import(&m, "heads_of", "{\"output\": \"size\", \"features\": {\"inner\": \"m\"}}", NULL, NULL));
    int tensor = rt_arch_find(m->graph, "inner");
    assert_true(tensor >= 0);
    assert_int_equal(rt_shape_count(&m->graph->tensor[tensor].shape), 16);
    rt_model_free(m);
    cJSON_Delete(notes);
    free(r);
}

/* A classifier's scores are logits, unless they are probabilities; its labels are the classes' names. */
static void classifiers(void **state)
{
    (void)state;
    for (int probabilities = 0; probabilities < 2; probabilities++) {
        const char *name = probabilities ? "classifier_probabilities" : "classifier_scores";
        recording *r = read_recording(name, X);
        rt_model *m;
        check_ok(import(&m, name, NULL, NULL, NULL));
        assert_string_equal(m->head[0].names.name[1], "5");
        assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(m->provenance, "onnx"), "gives")->valuestring,
                            probabilities ? "probabilities" : "logits");
        float *y = answers(m, r, NULL);
        for (int i = 0; i < r->rows * 3; i++)
            check_close(name, probabilities ? exp((double)y[i]) : (double)y[i], (double)r->y[i], 1e-6, 1e-5);
        free(y);
        rt_model_free(m);
        free(r);
    }
}

static void bad_outputs(void **state)
{
    (void)state;
    static const struct { const char *binding, *part;
    } bad[] = {
        {"{}", "name the output that answers by \"output\", or several by \"outputs\""},
        {"{\"outputs\": {}}", "outputs: an object {NAME:"},
        {"{\"outputs\": [\"probs\"]}", "outputs: an object {NAME:"},
        {"{\"outputs\": {\"probs\": \"kind\"}}", "outputs.probs: an object {\"head\""},
        {"{\"outputs\": {\"prob\": {}}}",
         "no output and no value inside 'prob'; its outputs are probs (float32, rank 2)"},
        {"{\"outputs\": {\"probs\": {\"heads\": \"a\"}}}", "heads"},
        {"{\"outputs\": {\"probs\": {\"head\": \"a\"}, \"tags\": {\"head\": \"a\"}}}",
         "'a' is the head of output 'probs' already"},
        {"{\"outputs\": {\"probs\": {\"task\": \"real\", \"gives\": \"probabilities\"}}}", "\"task\" says \"real\""},
        {"{\"outputs\": {\"size\": {\"task\": \"classes\", \"gives\": \"values\"}}}", "\"task\" says \"classes\""},
        {"{\"outputs\": {\"vector\": {\"gives\": \"embedding\", \"classes\": [\"a\"]}}}",
         "an output that gives embedding has none"},
        {"{\"outputs\": {\"vector\": {\"gives\": \"vector\"}}}", "vector"},
        {"{\"outputs\": {\"probs\": {}}, \"output\": \"tags\"}", "output: is of a single output"},
        {"{\"outputs\": {\"probs\": {}}, \"gives\": \"logits\"}", "gives: is of a single output"},
        {"{\"outputs\": {\"probs\": {}}, \"classes\": [\"a\"]}", "classes: is of a single output"},
        {"{\"outputs\": {\"probs\": {\"head\": \"a/b\"}}}", "a/b"},
        {"{\"output\": \"probs\", \"features\": \"hidden\"}", "features: a list"},
        {"{\"output\": \"probs\", \"features\": [7]}", "features: a list"},
        {"{\"output\": \"probs\", \"features\": [\"hide\"]}", "no output and no value inside 'hide'"},
        {"{\"output\": \"probs\", \"features\": [\"hidden\", \"hidden\"]}", "'hidden' is there twice"},
        {"{\"output\": \"probs\", \"features\": {\"x\": \"hidden\"}}", "'x' is the name of an input"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused("heads_of", bad[i].binding, NULL, RT_USAGE, bad[i].part);
    refused("heads_of", "{\"outputs\": {\"probs\": {\"classes\": [\"a\", \"b\"]}}}", NULL, RT_INPUT, "2");
    refused("heads_of", "{\"output\": \"size\", \"features\": [\"h\"]}", NULL, RT_INPUT,
            "'h' does not depend on the data");
}

int main(void)
{
    rt_kernels_select(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_shapes),     cmocka_unit_test(where_rows_lie),
        cmocka_unit_test(resized),         cmocka_unit_test(views),
        cmocka_unit_test(images_of_another_size), cmocka_unit_test(bad_sizes),
        cmocka_unit_test(several_outputs), cmocka_unit_test(found),
        cmocka_unit_test(classifiers),     cmocka_unit_test(bad_outputs)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
