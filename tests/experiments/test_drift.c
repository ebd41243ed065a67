/* 'retort drift' as a whole, on data that is made here: how often it sees a drift that is none, and that it sees each
 * kind that is planted, by name, with the numbers that were planted. */
#include <fcntl.h>
#include <unistd.h>

#include "data/h5.h"
#include "experiments/drift/drift.h"
#include "experiments/drift/drift_parts.h"
#include "tests/support.h"

enum { D = 5 };
static const char columns[] = "[\"a\", \"b\", \"c\", \"d\", \"e\"]";
static rt_device *cpu;

static int enter(void **state)
{
    cpu = rt_device_cpu(1);
    return !cpu || make_test_folder(state) || chdir(test_folder);
}

static int leave(void **state)
{
    rt_device_close(cpu);
    return chdir("/") || remove_test_folder(state);
}

static void save_items(const char *path, const rt_h5_item *item, int items)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0666);
    assert_true(fd >= 0);
    check_ok(rt_h5_write(fd, path, "test", item, items));
    close(fd);
}

/* A file with x (n, D), y (n) and an extra column of text where there is one. */
static void write_table(const char *path, const float *x, const int32_t *y, const char *text, int n, const char *names,
                        const char *classes)
{
    char manifest[600];
    snprintf(manifest, sizeof manifest, "{\"columns\": %s, \"classes\": %s}", names, classes);
    rt_h5_item item[] = {
        {.name = "x", .type = RT_F32, .element = 4, .rank = 2, .dim = {(uint64_t)n, D}, .data = x},
        {.name = "y", .type = RT_I32, .element = 4, .rank = 1, .dim = {(uint64_t)n}, .data = y},
        {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest), .rank = 0, .data = manifest},
        {.name = "town", .type = RT_TEXT, .element = 8, .rank = 1, .dim = {(uint64_t)n}, .data = text}};
    save_items(path, item, text ? 4 : 3);
}

static cJSON *settings_of(const char *reference, const char *more)
{
    char text[1200];
    snprintf(text, sizeof text, "{\"reference\": {\"source\": \"a.h5\"%s%s}, \"data\": {\"source\": \"b.h5\"}%s%s}",
             *reference ? ", " : "", reference, *more ? ", " : "", more);
    cJSON *j = cJSON_Parse(text);
    if (!j) fail_msg("no JSON: %s", text);
    return j;
}

static cJSON *settings(const char *more) { return settings_of("", more); }

static cJSON *look(const char *more, rt_status want)
{
    cJSON *config = settings(more), *result;
    rt_status st = rt_drift(config, NULL, cpu, NULL, &result);
    if (st != want) fail_msg("status %d, want %d: %s", st, want, rt_error_message());
    cJSON_Delete(config);
    return result;
}

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }
static double number(const cJSON *j, const char *key)
{
    const cJSON *v = get(j, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static const cJSON *named(const cJSON *list, const char *name)
{
    for (const cJSON *c = list->child; c; c = c->next)
        if (!strcmp(cJSON_GetStringValue(get(c, "name")), name)) return c;
    fail_msg("nothing is called %s", name);
    return NULL;
}

static void check_verdict(const cJSON *r, const char *check, const char *want)
{
    const char *got = cJSON_GetStringValue(get(named(get(r, "checks"), check), "verdict"));
    if (strcmp(got, want))
        fail_msg("%s: %s, want %s: %s", check, got, want, cJSON_PrintUnformatted(named(get(r, "checks"), check)));
}

static double effect(const cJSON *r, const char *check)
{ return number(get(named(get(r, "checks"), check), "effects")->child, "value"); }

/* Rows of a normal distribution, of which a and b go together, one column is skewed, one has few values. */
typedef struct { int n; float *x; int32_t *y; char *town; } rows;

static rows make_rows(int n, uint32_t stream)
{
    static const char *const towns[] = {"Rome", "Oslo", "Bonn"};
    rows r = {n, random_floats((size_t)n * D, stream), calloc((size_t)n, sizeof(int32_t)), calloc((size_t)n, 8)};
    assert_true(r.y && r.town);
    for (int i = 0; i < n; i++) {
        uint32_t w[4];
        float *x = r.x + (size_t)i * D;
        rt_random4(w, 5, RT_RNG_TEST, stream, 1, (uint32_t)i, 0);
        x[1] = 0.6f * x[0] + 0.8f * x[1];
        x[2] = expf(x[2]);
        x[3] = (float)(w[0] % 6);
        r.y[i] = w[1] % 10 < 6 ? 0 : 1 + (int)(w[1] / 16 % 2);
        memcpy(r.town + (size_t)i * 8, towns[w[2] % 3], 4);
    }
    return r;
}

static void save(const char *path, const rows *r)
{ write_table(path, r->x, r->y, r->town, r->n, columns, "[\"ox\", \"cat\", \"dog\"]"); }

static void drop(rows *r)
{
    free(r->x);
    free(r->y);
    free(r->town);
}

/* Two hundred pairs of one distribution: at alpha 0.05 at most ten say drift. Limits are so low that p alone decides.
 */
static void false_alarms(void **state)
{
    (void)state;
    enum { PAIRS = 200 };
    int drifts = 0;
    double unlike = 0, expected = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        rows a = make_rows(300, 100 + 2 * i), b = make_rows(240, 101 + 2 * i);
        save("a.h5", &a);
        save("b.h5", &b);
        cJSON *config = settings_of("\"slices\": [\"town\"]",
                                    "\"limits\": {\"max_psi\": 0, \"max_ks\": 0, \"max_missing\": "
                                    "0, \"max_outside\": 0, \"max_unseen\": 0, \"max_auc\": 0.5, \"max_unlike\": 0}"),
              *result;
        rt_status st = rt_drift(config, NULL, cpu, NULL, &result);
        if (st != RT_GATE && st != RT_UNDECIDED && st != RT_OK) fail_msg("status %d: %s", st, rt_error_message());
        drifts += st == RT_GATE;
        unlike += number(get(result, "unlike"), "share") / PAIRS;
        expected += number(get(result, "unlike"), "expected") / PAIRS;
        cJSON_Delete(config);
        cJSON_Delete(result);
        drop(&a);
        drop(&b);
    }
    print_message("%d of %d pairs without drift say drift\n", drifts, PAIRS);
    check_close("expected", expected, 2.0 / 201, 1e-12, 0);     /* above the 199th of 200 */
    check_close("rows unlike any, of all pairs", unlike, expected, 0.0015, 0);
    if (drifts > PAIRS / 20) fail_msg("%d of %d pairs without drift say drift", drifts, PAIRS);
}

/* Each kind of drift by itself, with what the others say. */
static void planted(void **state)
{
    (void)state;
    enum { N = 4000 };
    static const char sliced[] = "\"seed\": 3";
    rows a = make_rows(N, 1), b = make_rows(N, 2);
    save("a.h5", &a);
    save("b.h5", &b);
    cJSON *r = look(sliced, RT_OK);
    assert_true(number(get(r, "counts"), "none") == cJSON_GetArraySize(get(r, "checks")));
    check_close("rows", number(get(r, "reference"), "rows"), N, 0, 0);
    /* The usual share of rows unlike any is 1 %. */
    check_close("unlike", number(get(r, "unlike"), "share"), 0.01, 0.006, 0);
    cJSON_Delete(r);

    for (int i = 0; i < N; i++) b.x[i * D] += 0.5f;             /* half a deviation */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "distribution a", "drift");
    check_verdict(r, "distribution b", "none");
    check_close("PSI of half a deviation", effect(r, "distribution a"), 0.25, 0.05, 0);
    const cJSON *ks = get(named(get(r, "checks"), "distribution a"), "effects")->child->next;
    check_close("KS of half a deviation", number(ks, "value"), 0.197, 0.02, 0);    /* 2 Phi(1/4) - 1 */
    const cJSON *c = named(get(r, "columns"), "a");
    check_close("mean", number(get(c, "data"), "mean") - number(get(c, "reference"), "mean"), 0.5, 0.06, 0);
    cJSON_Delete(r);
    for (int i = 0; i < N; i++) b.x[i * D] -= 0.5f;

    for (int i = 0; i < N; i++) b.x[i * D] *= 2;                /* the spread alone */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "distribution a", "drift");
    check_verdict(r, "outside a", "drift");
    cJSON_Delete(r);
    for (int i = 0; i < N; i++) b.x[i * D] *= 0.5f;

    for (int i = 0; i < N; i++) b.x[i * D + 1] = -b.x[i * D + 1];      /* correlation alone: no column tells */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "features", "drift");
    check_verdict(r, "distribution a", "none");
    check_verdict(r, "distribution b", "none");
    cJSON_Delete(r);
    for (int i = 0; i < N; i++) b.x[i * D + 1] = -b.x[i * D + 1];

    for (int i = 0; i < N; i += 8) b.x[i * D + 2] = NAN;        /* an eighth is missing */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "missing c", "drift");
    check_verdict(r, "distribution c", "none");
    check_close("missing", effect(r, "missing c"), 0.125, 1e-12, 0);
    cJSON_Delete(r);
    for (int i = 0; i < N; i += 8) b.x[i * D + 2] = 1;

    for (int i = 0; i < N; i += 10) b.x[i * D + 3] = 9;         /* a category that is new */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "unseen d", "drift");
    check_close("unseen", effect(r, "unseen d"), 0.1, 1e-12, 0);
    const cJSON *new = get(named(get(r, "columns"), "d"), "unseen")->child;
    assert_string_equal(cJSON_GetStringValue(get(new, "value")), "9");
    check_close("rows of it", number(new, "rows"), N / 10, 0, 0);
    cJSON_Delete(r);
    for (int i = 0; i < N; i += 10) b.x[i * D + 3] = (float)(i / 10 % 6);

    for (int i = 0; i < N; i += 4) b.y[i] = 2;                  /* a class becomes frequent */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "distribution y", "drift");
    check_verdict(r, "unseen y", "none");
    cJSON_Delete(r);
    for (int i = 0; i < N; i += 4) b.y[i] = -1;                 /* or has no label */
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "missing y", "drift");
    check_verdict(r, "distribution y", "none");
    cJSON_Delete(r);
    for (int i = 0; i < N; i += 4) b.y[i] = 0;

    for (int i = 0; i < N; i += 12)
        for (int k = 0; k < 3; k++) b.x[i * D + k] = k == 2 ? 60 : k ? -3 : 3; /* unlike any */
    save("b.h5", &b);
    r = look("\"limits\": {\"max_ks\": 1, \"max_psi\": 100}", RT_GATE);
    check_verdict(r, "unlike", "drift");
    const cJSON *worst = get(get(r, "unlike"), "rows_unlike")->child;
    for (; worst; worst = worst->next) assert_int_equal((int)number(worst, "row") % 12, 0);
    cJSON_Delete(r);
    drop(&a);
    drop(&b);
}

/* Columns and classes by name; a further column of texts. */
static void by_name(void **state)
{
    (void)state;
    enum { N = 2000 };
    rows a = make_rows(N, 1), b = make_rows(N, 2);
    save("a.h5", &a);
    float *x = malloc(N * D * sizeof *x);
    int32_t *y = malloc(N * sizeof *y);
    assert_true(x && y);
    static const int at[D] = {4, 2, 0, 1, 3}, class[3] = {2, 0, 1};
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < D; k++) x[i * D + at[k]] = b.x[i * D + k];
        y[i] = class[b.y[i]];
    }
    save("b.h5", &b);
    cJSON *same = look("", RT_OK);
    write_table("b.h5", x, y, b.town, N, "[\"c\", \"d\", \"b\", \"e\", \"a\"]", "[\"cat\", \"dog\", \"ox\"]");
    cJSON *r = look("", RT_OK);
    for (const cJSON *c = get(same, "columns")->child; c; c = c->next)
        assert_true(cJSON_Compare(c, named(get(r, "columns"), cJSON_GetStringValue(get(c, "name"))), 1));
    cJSON_Delete(r);
    cJSON_Delete(same);
    /* A name that is not there, and by position what is another. */
    write_table("b.h5", x, y, b.town, N, "[\"c\", \"d\", \"b\", \"e\", \"f\"]", "[\"cat\", \"dog\", \"ox\"]");
    cJSON *config = settings("");
    check_fails(rt_drift(config, NULL, cpu, NULL, &r), RT_INPUT,
                "columns of a.h5: a, b, c, d, e; of b.h5: c, d, b, e, f");
    assert_null(r);
    cJSON_Delete(config);
    for (int i = 0; i < N; i++) strncpy(b.town + (size_t)i * 8, i % 5 ? "Rome" : "Paris", 8);
    save("b.h5", &b);
    config = settings_of("\"slices\": [\"town\"]", "");
    assert_int_equal(rt_drift(config, NULL, cpu, NULL, &r), RT_GATE);
    check_verdict(r, "distribution town", "drift");
    check_verdict(r, "unseen town", "drift");
    check_close("Paris", effect(r, "unseen town"), 0.2, 1e-12, 0);
    cJSON_Delete(r);
    cJSON_Delete(config);
    free(x);
    free(y);
    drop(&a);
    drop(&b);
}

static void set_all(rows *r, int column, float v)
{
    for (int i = 0; i < r->n; i++) r->x[i * D + column] = v;
}

/* One row, constants, nothing but NaN, infinities, a limit of nothing: answers, none of them an accident. */
static void odd_data(void **state)
{
    (void)state;
    rows a = make_rows(400, 1), b = make_rows(400, 2), one = make_rows(1, 3);
    save("a.h5", &a);
    save("b.h5", &one);
    cJSON *r = look("", RT_UNDECIDED);
    assert_true(number(get(r, "counts"), "drift") == 0);
    cJSON_Delete(r);
    save("a.h5", &one);
    one.x[0] += 1;
    save("b.h5", &one);
    cJSON_Delete(look("", RT_UNDECIDED));

    set_all(&a, 0, 0.5f);
    set_all(&b, 0, 0.5f);
    save("a.h5", &a);
    save("b.h5", &b);
    r = look("", RT_UNDECIDED);                                 /* 400 rows are few */
    assert_true(effect(r, "distribution a") == 0);
    cJSON_Delete(r);
    set_all(&b, 0, 0.25f);
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "distribution a", "drift");
    check_verdict(r, "outside a", "drift");
    check_close("all of it", effect(r, "outside a"), 1, 1e-12, 0);
    cJSON_Delete(r);

    set_all(&b, 0, NAN);
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "missing a", "drift");
    assert_null(get(named(get(r, "columns"), "a"), "bins"));
    cJSON_Delete(r);
    set_all(&a, 0, NAN);
    save("a.h5", &a);
    r = look("", RT_UNDECIDED);
    check_close("nothing changed", effect(r, "missing a"), 0, 1e-12, 0);
    cJSON_Delete(r);

    for (int i = 0; i < 400; i++) a.x[i * D] = (float)i;
    for (int i = 0; i < 400; i++) b.x[i * D] = i % 4 ? (float)i : INFINITY;
    save("a.h5", &a);
    save("b.h5", &b);
    r = look("", RT_GATE);
    check_verdict(r, "outside a", "drift");
    const cJSON *c = get(named(get(r, "columns"), "a"), "data");
    check_close("infinite", number(c, "infinite"), 100, 0, 0);
    assert_true(isfinite(number(c, "mean")) && cJSON_IsNull(get(c, "greatest")));
    cJSON_Delete(r);
    drop(&a);
    drop(&b);
    drop(&one);
}

/* What is told of a column, by hand: 2 4 4 4 5 5 7 9 has the mean 5 and 32 as its sum of squares around it. */
static void told(void **state)
{
    static const float of[] = {2, 4, 4, 4, 5, 5, 7, 9};
    static const char *const towns[] = {"Rome", "Oslo", "Bonn"};
    (void)state;
    rows a = make_rows(600, 1), b = make_rows(700, 2);
    set_all(&a, 4, NAN);
    for (int i = 0; i < 8; i++) a.x[i * D + 4] = of[i];
    a.x[8 * D + 4] = INFINITY;
    for (int i = 0; i < 700; i++)
        memcpy(b.town + i * 8, i < 5 ? "Graz\0\0\0" : i < 45 ? "Linz\0\0\0" : towns[i % 3], i < 45 ? 8 : 4);
    save("a.h5", &a);
    save("b.h5", &b);
    cJSON *config = settings_of("\"slices\": [\"town\"]", ""), *r;
    cJSON_AddItemToArray(cJSON_AddArrayToObject(cJSON_GetObjectItem(config, "data"), "slices"),
                         cJSON_CreateString("town"));
    assert_int_equal(rt_drift(config, NULL, cpu, NULL, &r), RT_GATE);
    cJSON_Delete(config);
    const cJSON *e = named(get(r, "columns"), "e"), *m = get(e, "reference"),
                *check = named(get(r, "checks"), "missing e");
    check_close("rows", number(m, "rows"), 600, 0, 0);
    check_close("missing", number(m, "missing"), 591, 0, 0);
    check_close("infinite", number(m, "infinite"), 1, 0, 0);
    check_close("mean", number(m, "mean"), 5, 1e-12, 0);
    check_close("deviation", number(m, "deviation"), 2.1380899352993950, 1e-12, 0);       /* sqrt(32 / 7) */
    check_close("least", number(m, "least"), 2, 0, 0);
    check_close("rows of the reference", number(check, "rows_reference"), 600, 0, 0);
    check_close("rows of the data", number(check, "rows_data"), 700, 0, 0);
    const cJSON *unseen = get(named(get(r, "columns"), "town"), "unseen");
    assert_int_equal(cJSON_GetArraySize(unseen), 2);
    assert_string_equal(cJSON_GetStringValue(get(unseen->child, "value")), "Linz");    /* the most frequent first */
    check_close("rows of Linz", number(unseen->child, "rows"), 40, 0, 0);
    check_close("rows of Graz", number(unseen->child->next, "rows"), 5, 0, 0);
    cJSON_Delete(r);
    drop(&a);
    drop(&b);
}

/* Of more rows than make the cells (131,072) the distance is found at their ends, and is known but for what is told: of
 * t and t^2, evenly spread, it is the most of sqrt(t) - t, a quarter. A cell without its sampled row has two of a side.
 */
static void more_rows_than_make_cells(void **state)
{
    enum { N = 140000 };
    static float x[N];
    static const char manifest[] = "{\"columns\": [\"a\"]}";
    rt_h5_item item[] = {{.name = "x", .type = RT_F32, .element = 4, .rank = 2, .dim = {N, 1}, .data = x},
                         {.name = "manifest", .type = RT_TEXT, .element = sizeof manifest - 1, .data = manifest}};
    (void)state;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < N; i++) {
            double t = (i + 0.5) / N;
            x[i] = (float)(side ? t * t : t);
        }
        save_items(side ? "b.h5" : "a.h5", item, 2);
    }
    cJSON *r = look("", RT_GATE);
    const cJSON *a = named(get(r, "columns"), "a");
    double error = number(a, "ks_error");
    assert_true(error >= 2.0 / N && error < 20.0 / N);
    check_close("distance", number(a, "ks"), 0.25, error + 1.0 / N, 0);
    cJSON_Delete(r);
}

/* Undecided where rows are few, none where they are many, drift only beyond the limit: of one and the same shift. */
static void both_are_needed(void **state)
{
    (void)state;
    static const struct { int n; float shift; const char *verdict; } of[] = {
        {60, 0.3f, "undecided"}, {60, 0, "undecided"}, {8000, 0.1f, "none"}, {8000, 0.5f, "drift"}, {600, 3, "drift"}};
    for (size_t k = 0; k < sizeof of / sizeof of[0]; k++) {
        rows a = make_rows(of[k].n, 1), b = make_rows(of[k].n, 2);
        for (int i = 0; i < b.n; i++) b.x[i * D] += of[k].shift;
        save("a.h5", &a);
        save("b.h5", &b);
        cJSON *config = settings(""), *r;
        rt_drift(config, NULL, cpu, NULL, &r);
        assert_non_null(r);
        check_verdict(r, "distribution a", of[k].verdict);
        const cJSON *c = named(get(r, "checks"), "distribution a");
        if (of[k].shift == 0.1f && !(number(c, "p_holm") < 1e-4)) fail_msg("0.1 of 8000 rows is significant");
        cJSON_Delete(config);
        cJSON_Delete(r);
        drop(&a);
        drop(&b);
    }
}

/* Images: brighter, flatter, blurred; the numbers by hand of one of them. */
static void images(void **state)
{
    (void)state;
    enum { N = 1500, H = 6, W = 5, C = 2, SIZE = H * W * C };
    static uint8_t x[2][N * SIZE];
    rt_h5_item item = {.name = "x", .type = RT_U8, .element = 1, .rank = 4, .dim = {N, H, W, C}};
    for (int kind = 0; kind < 4; kind++) {
        for (int s = 0; s < 2; s++) {
            float *noise = random_floats(N * SIZE, (uint32_t)(20 + s));
            for (int i = 0; i < N * SIZE; i++) {
                float v = 20 * noise[i];
                if (s && kind == 2) v *= 0.8f;
                if (s && kind == 3 && i % SIZE >= C) v = 10 * (noise[i] + noise[i - C]); /* as bright, less sharp */
                v += 120 + (s && kind == 1 ? 3 : 0);
                x[s][i] = (uint8_t)fmaxf(0, fminf(255, roundf(v)));
            }
            free(noise);
            item.data = x[s];
            save_items(s ? "b.h5" : "a.h5", &item, 1);
        }
        cJSON *r = look("\"limits\": {\"max_auc\": 1, \"max_unlike\": 1}", kind ? RT_GATE : RT_OK);
        if (kind != 2) check_verdict(r, "distribution mean", kind == 1 ? "drift" : "none");
        if (kind == 2) check_verdict(r, "distribution contrast", "drift");
        if (kind == 3) check_verdict(r, "distribution sharpness", "drift");
        if (kind == 1) check_verdict(r, "distribution channel 1 mean", "drift");
        cJSON_Delete(r);
    }
    /* One image: mean, deviation, and the variance of the Laplacian of the channels' mean, by hand. */
    double mean = 0, square = 0, edge = 0, edge2 = 0;
    for (int i = 0; i < SIZE; i++) mean += x[0][i];
    mean /= SIZE;
    for (int i = 0; i < SIZE; i++) square += (x[0][i] - mean) * (x[0][i] - mean);
    for (int r = 1; r < H - 1; r++)
        for (int c = 1; c < W - 1; c++) {
            double l = 0;
            for (int k = 0; k < C; k++)
#define AT(r, c) (double)x[0][((r) * W + (c)) * C + k]
                l += (AT(r - 1, c) + AT(r + 1, c) + AT(r, c - 1) + AT(r, c + 1) - 4 * AT(r, c)) / C;
            edge += l;
            edge2 += l * l;
        }
    item.dim[0] = 1;
    item.data = x[0];
    save_items("a.h5", &item, 1);
    cJSON *r = look("", RT_UNDECIDED);
    double inside = (H - 2) * (W - 2);
    check_close("mean", number(get(named(get(r, "columns"), "mean"), "reference"), "mean"), mean, 1e-9, 0);
    check_close("contrast", number(get(named(get(r, "columns"), "contrast"), "reference"), "mean"), sqrt(square / SIZE),
                1e-9, 0);
    check_close("sharpness", number(get(named(get(r, "columns"), "sharpness"), "reference"), "mean"),
                edge2 / inside - edge / inside * (edge / inside), 1e-9, 0);
    cJSON_Delete(r);
}

/* Ids: rows become shorter; a token becomes frequent. Text: words. */
static void tokens(void **state)
{
    (void)state;
    enum { N = 3000, T = 12 };
    static int32_t id[N * T];
    static char text[N * 72];
    for (int kind = 0; kind < 3; kind++) {
        for (int s = 0; s < 2; s++) {
            memset(id, 0, sizeof id);
            memset(text, 0, sizeof text);
            for (int i = 0; i < N; i++) {
                uint32_t w[4];
                rt_random4(w, 9, RT_RNG_TEST, (uint32_t)s, 0, (uint32_t)i, 0);
                int length = 2 + (int)(w[0] % (s && kind == 1 ? 6 : 10));
                for (int k = 0; k < length; k++) {
                    rt_random4(w, 9, RT_RNG_TEST, (uint32_t)s, 1, (uint32_t)i, (uint32_t)k);
                    id[i * T + k] = k == 0 ? 1 : s && kind == 2 && w[1] % 4 == 0 ? 77 : 1 + (int)(w[0] % 50);
                    size_t at = strlen(text + i * 72);
                    if (at < 66) snprintf(text + i * 72 + at, 72 - at, "%s%c%s", at ? " " : "",
                                          'a' + id[i * T + k] % 20, id[i * T + k] == 77 ? "new" : "");
                }
            }
            rt_h5_item item[] = {{.name = "x", .type = RT_I32, .element = 4, .rank = 2, .dim = {N, T}, .data = id},
                                 {.name = "t", .type = RT_TEXT, .element = 72, .rank = 1, .dim = {N}, .data = text}};
            save_items(s ? "b.h5" : "a.h5", item, 2);
        }
        cJSON *r = look("\"kind\": \"ids\"", kind ? RT_GATE : RT_OK);
        check_verdict(r, "distribution length", kind == 1 ? "drift" : "none");
        check_verdict(r, "unseen token", kind == 2 ? "drift" : "none");
        /* A quarter of all but the first of 2 to 11 tokens: (1 - (1/2 + ... + 1/11) / 10) / 4. */
        if (kind == 2) check_close("of the new token", effect(r, "unseen token"), 0.1995, 0.025, 0);
        cJSON_Delete(r);
        cJSON *config = settings_of("\"x\": \"t\"", "");
        assert_int_equal(rt_drift(config, NULL, cpu, NULL, &r), kind ? RT_GATE : RT_OK);
        check_verdict(r, "distribution words", kind == 1 ? "drift" : "none");
        check_verdict(r, "unseen token", kind == 2 ? "drift" : "none");
        cJSON_Delete(r);
        cJSON_Delete(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(planted),         cmocka_unit_test(by_name),
                                       cmocka_unit_test(odd_data),        cmocka_unit_test(told),
                                       cmocka_unit_test(more_rows_than_make_cells),
        cmocka_unit_test(both_are_needed), cmocka_unit_test(images),
                                       cmocka_unit_test(tokens),          cmocka_unit_test(false_alarms)};
    return cmocka_run_group_tests(tests, enter, leave);
}
