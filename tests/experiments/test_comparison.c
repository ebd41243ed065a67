/* A baseline and a candidate: pairing, questions and slices against record_comparison.py. */
#include "data/files.h"
#include "experiments/eval/comparison_result.h"
#include "experiments/eval/predictions_parts.h"
#include "student/metrics.h"
#include "experiments/statistics/statistics.h"
#include "tests/support.h"

#include "tests/experiments/comparison_reference.h"
#include "tests/experiments/comparison_result_reference.h"

static rt_device *device;

static const char *at(const char *name)
{
    static char path[8][160];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", test_folder, name);
    return p;
}

static void names_of(rt_head *head, char letter, int backwards)
{
    cJSON *list = cJSON_CreateArray();
    for (int k = 0; k < head->size; k++) {
        char name[16];
        snprintf(name, sizeof name, "%c%d", letter, backwards ? head->size - 1 - k : k);
        cJSON_AddItemToArray(list, cJSON_CreateString(name));
    }
    rt_names_free(&head->names);
    check_ok(rt_names_from_json(&head->names, list, "test", "names"));
    cJSON_Delete(list);
}

/* Where row r of the tables stands: rows of the candidate lie backwards. */
static uint64_t place(int candidate, uint64_t r) { return candidate ? ROWS - 1 - r : r; }

/* Predictions of a side; the candidate has its classes, labels and rows the other way round. */
static rt_predictions *make(int candidate, int topk, int by_hash)
{
    static const char *const lands[] = {"DE", "FR", "US"};
    rt_predictions *p = calloc(1, sizeof *p);
    rt_row_column *c;
    p->path = strdup(candidate ? "cand.h5" : "base.h5");
    p->source = strdup("data.h5");
    p->rows = ROWS;
    p->topk = topk;
    p->model = rt_digest_of(candidate ? "c" : "b", 1);
    p->data = rt_digest_of("data", 4);
    strcpy(p->kernels, "avx2");
    if (!by_hash) strcpy(p->id_from, "uid");
    check_ok(rt_heads_add(p->head, &p->heads, "kind", RT_TASK_CLASSES, K));
    check_ok(rt_heads_add(p->head, &p->heads, "two", RT_TASK_CLASSES, 2));
    check_ok(rt_heads_add(p->head, &p->heads, "price", RT_TASK_REAL, 1));
    check_ok(rt_heads_add(p->head, &p->heads, "tags", RT_TASK_MULTILABEL, L));
    names_of(&p->head[0], 'c', candidate);
    names_of(&p->head[3], 't', candidate);
    p->id_width = by_hash ? 32 : 8;
    p->id = calloc(ROWS, (size_t)p->id_width);
    p->row = calloc(ROWS, sizeof *p->row);
    check_ok(rt_predictions_add_column(p, "country", 2, &c));
    for (int h = 0; h < p->heads; h++) {
        p->of[h].there = 1;
        check_ok(rt_predicted_room(p, h));
        check_ok(rt_target_rows_new(&p->of[h].y, p->head[h].task, p->head[h].size, ROWS));
    }
    for (uint64_t i = 0; i < ROWS; i++) {
        uint64_t r = place(candidate, i);
        char id[40];
        snprintf(id, sizeof id, "%032x", (unsigned)(1000 + i));
        memcpy(p->id + r * (uint64_t)p->id_width, by_hash ? id : id + 24, by_hash ? 32 : 8);
        p->row[r] = r;
        memcpy(c->text + r * 2, lands[country[i]], 2);
        float z[K];
        int order[K];
        for (int k = 0; k < K; k++) {
            z[candidate ? K - 1 - k : k] = (candidate ? kind_cand : kind_base)[i * K + (uint64_t)k];
            order[k] = k;
        }
        for (int a = 0; a < K; a++)
            for (int b = a + 1; b < K; b++)
                if (z[order[b]] > z[order[a]]) {
                    int swap = order[a];
                    order[a] = order[b];
                    order[b] = swap;
                }
        rt_predicted *q = &p->of[0];
        for (int k = 0; k < q->kept; k++) {
            q->z[r * (uint64_t)q->kept + (uint64_t)k] = q->top ? z[order[k]] : z[k];
            if (q->top) q->top[r * (uint64_t)q->kept + (uint64_t)k] = order[k];
        }
        if (q->top) q->log_sum[r] = (float)rt_score_row(z, K, -1).log_sum;
        q->y.y[r] = label[i] < 0 ? -1 : candidate ? K - 1 - label[i] : label[i];
        memcpy(p->of[1].z + 2 * r, (candidate ? two_cand : two_base) + 2 * i, 2 * sizeof(float));
        p->of[1].y.y[r] = two_y[i];
        p->of[2].z[r] = (candidate ? price_cand : price_base)[i];
        p->of[2].y.values[r] = price_y[i];
        p->of[2].y.mask[r] = 1;
        for (uint64_t k = 0; k < L; k++) {
            uint64_t to = r * L + (candidate ? L - 1 - k : k);
            p->of[3].z[to] = (candidate ? tags_cand : tags_base)[i * L + k];
            p->of[3].y.labels[to] = tags_y[i * L + k];
            p->of[3].y.mask[to] = 1;
        }
    }
    return p;
}

static void write(rt_predictions *p, const char *name)
{
    rt_output *o;
    const char *none[] = {NULL};
    if (!p->key) check_ok(rt_predictions_keys(p));
    check_ok(rt_predictions_hash_rows(p));
    check_ok(rt_output_take(&o, &(rt_target){.path = at(name), .force = 1}, none));
    check_ok(rt_output_may_replace(o, RT_OUTPUT_PREDICTIONS));
    check_ok(rt_predictions_write(p, o));
    rt_output_end(o);
    rt_predictions_free(p);
}

static rt_status open_pair(const char *a, const char *b, int common, rt_comparison **c)
{
    const char *first = at(a), *second = at(b);
    rt_teacher_spec side[RT_SIDES] = {rt_teacher_of_files(&first, 1), rt_teacher_of_files(&second, 1)};
    rt_comparison_spec spec = {.side = {&side[0], &side[1]}, .common = common, .device = device};
    return rt_comparison_open(c, &spec);
}

static int write_files(void **state)
{
    if (make_test_folder(state) || !(device = rt_device_cpu(0))) return 1;
    write(make(0, 0, 0), "base.h5");
    write(make(1, 0, 0), "cand.h5");
    write(make(1, 2, 0), "top.h5");
    return 0;
}

static int drop_files(void **state)
{
    rt_device_close(device);
    return remove_test_folder(state);
}

static rt_delta ask(rt_comparison *c, const char *head, const char *metric, int class, const rt_slice *slice)
{
    rt_delta d;
    int h = rt_comparison_head(c, head), heads;
    rt_question q = {.metric = rt_paired_metric_find(rt_comparison_heads(c, &heads)[h].task, metric), .head = h,
                     .class = class, .slice = slice, .confidence = 0.95, .seed = 1};
    assert_non_null(q.metric);
    check_ok(rt_comparison_ask(c, &q, &d));
    return d;
}

static void same(const char *what, double got, double want, double within)
{
    if (isnan(want)) assert_true(isnan(got));
    else check_close(what, got, want, within, 0);
}

static void against_reference(void **state)
{
    rt_comparison *c;
    const rt_slice *land;
    int lands;
    (void)state;
    check_ok(open_pair("base.h5", "cand.h5", 0, &c));
    assert_int_equal(rt_comparison_rows(c), ROWS);
    check_ok(rt_comparison_slices(c, 0, "country", &land, &lands));
    assert_int_equal(lands, 3);
    assert_string_equal(land[2].value, "US");
    for (size_t i = 0; i < sizeof check / sizeof *check; i++) {
        char what[80];
        const rt_slice *slice = check[i].country < 0 ? NULL : &land[check[i].country];
        rt_delta d = ask(c, check[i].head, check[i].metric, check[i].class, slice);
        double within = check[i].within, value = strcmp(check[i].head, "price") ? 1e-9 : 1e-6;
        snprintf(what, sizeof what, "%s %d of %s %d", check[i].metric, check[i].class, check[i].head, check[i].country);
        if (d.status) fail_msg("%s: %s", what, d.reason);
        same(what, d.baseline, check[i].baseline, value);
        same(what, d.candidate, check[i].candidate, value);
        same(what, d.drop, check[i].drop, value);
        same(what, d.lo, check[i].lo, within + 1e-9);
        same(what, d.hi, check[i].hi, within + 1e-9);
        if (check[i].p >= 0) same(what, d.p, check[i].p, 1e-9);
        if (d.n != check[i].n || d.b != check[i].b || d.c != check[i].c)
            fail_msg("%s: n %d b %d c %d", what, (int)d.n, (int)d.b, (int)d.c);
    }
    rt_comparison_close(c);
}

/* The candidate's own number: the baseline does not matter to it, whatever it is. */
static void alone(void **state)
{
    rt_comparison *c;
    int heads;
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        check_ok(open_pair(turn ? "top.h5" : "base.h5", "cand.h5", 0, &c));
        for (size_t i = 0; i < sizeof check_alone / sizeof *check_alone; i++) {
            rt_delta d;
            int h = rt_comparison_head(c, check_alone[i].head), class = check_alone[i].class;
            if (turn && class >= 0) class = K - 1 - class;     /* top.h5 has its classes the other way round */
            rt_question q = {.metric = rt_paired_metric_find(rt_comparison_heads(c, &heads)[h].task,
                                                             check_alone[i].metric),
                             .head = h, .class = class, .confidence = 0.95, .seed = 1, .alone = 1};
            double at = strcmp(check_alone[i].head, "price") ? 1e-9 : 1e-6, within = check_alone[i].within + at;
            check_ok(rt_comparison_ask(c, &q, &d));
            if (d.status) fail_msg("%s of %s: %s", check_alone[i].metric, check_alone[i].head, d.reason);
            same(check_alone[i].metric, d.candidate, check_alone[i].value, at);
            if (!turn) assert_true(isfinite(d.baseline));
            same(check_alone[i].metric, d.lo, check_alone[i].lo, within);
            same(check_alone[i].metric, d.hi, check_alone[i].hi, within);
            assert_true(d.n == check_alone[i].n && !d.b && !d.c && isnan(d.drop) && isnan(d.p));
            /* At an end of the interval the one-sided p of being no worse is 2.5 %. */
            q.limit = q.metric->higher ? d.hi : d.lo;
            check_ok(rt_comparison_ask(c, &q, &d));
            same("p at the end", d.p_limit, 0.025, 1e-3);
        }
        rt_comparison_close(c);
    }
}

/* Equal files in any order of rows, any number of threads, asked in any order: the same bits. */
static void same_bits(void **state)
{
    static const char *const metric[] = {"macro_f1", "ece", "nll"};
    rt_comparison *c[2];
    rt_device *many = device;
    (void)state;
    check_ok(open_pair("base.h5", "cand.h5", 0, &c[0]));
    device = rt_device_cpu(1);
    check_ok(open_pair("base.h5", "cand.h5", 0, &c[1]));
    for (int i = 0; i < 3; i++) {
        rt_delta a = ask(c[0], "kind", metric[i], -1, NULL), b = ask(c[1], "kind", metric[2 - i], -1, NULL);
        b = ask(c[1], "kind", metric[i], -1, NULL);
        assert_memory_equal(&a.drop, &b.drop, sizeof a.drop);
        assert_memory_equal(&a.lo, &b.lo, sizeof a.lo);
        assert_memory_equal(&a.hi, &b.hi, sizeof a.hi);
    }
    rt_comparison_close(c[0]);
    rt_comparison_close(c[1]);
    rt_device_close(device);
    device = many;
}

static void largest_alone(void **state)
{
    rt_comparison *c;
    (void)state;
    check_ok(open_pair("base.h5", "top.h5", 0, &c));
    rt_delta d = ask(c, "kind", "accuracy", -1, NULL);
    same("accuracy", d.drop, check[0].drop, 1e-9);
    same("ece", ask(c, "kind", "ece", -1, NULL).candidate, 0.0613, 0.2);
    d = ask(c, "kind", "nll", -1, NULL);
    assert_int_equal(d.status, RT_UNDEFINED);
    assert_non_null(strstr(d.reason, "largest logits alone"));
    rt_comparison_close(c);
}

static rt_predictions *one_less(int by)
{
    rt_predictions *p = make(1, 0, 0);
    p->rows -= (uint64_t)by;
    return p;
}

static void row_sets(void **state)
{
    rt_comparison *c;
    rt_predictions *p;
    (void)state;
    write(one_less(7), "less.h5");
    check_fails(open_pair("base.h5", "less.h5", 0, &c), RT_NOTHING, "7 are of the first alone, 0 of the second");
    check_ok(open_pair("base.h5", "less.h5", 1, &c));
    assert_int_equal(rt_comparison_rows(c), ROWS - 7);
    assert_int_equal(rt_comparison_side(c, RT_BASELINE)->alone, 7);
    rt_comparison_close(c);
    p = make(1, 0, 0);
    p->of[0].y.y[5] = p->of[0].y.y[5] == 1 ? 2 : 1;
    write(p, "other.h5");
    check_fails(open_pair("base.h5", "other.h5", 0, &c), RT_NOTHING, "do not have the same truth of row");
    p = make(1, 0, 0);
    memcpy(p->id, p->id + 8, 8);
    check_fails(rt_predictions_keys(p), RT_INPUT, "have the same id '");
    rt_predictions_free(p);
    p = make(1, 0, 0);
    for (int i = 0; i < ROWS; i++) p->id[8 * i] = 'x';
    write(p, "nothing.h5");
    check_fails(open_pair("base.h5", "nothing.h5", 1, &c), RT_NOTHING, "no row in common");
    p = make(1, 0, 0);
    names_of(&p->head[0], 'z', 0);
    write(p, "names.h5");
    check_fails(open_pair("base.h5", "names.h5", 0, &c), RT_INPUT, "z0");
    p = make(1, 0, 0);
    p->of[0].z[9] = NAN;
    write(p, "nan.h5");
    check_fails(open_pair("base.h5", "nan.h5", 0, &c), RT_INPUT, "row 2 has a logit of head 'kind' that is not finite");
    check_fails(open_pair("base.h5", "none.h5", 0, &c), RT_INPUT, "none.h5");
}

/* Rows that are equal to the bit have equal hashes: they pair by their truths. */
static void equal_rows(void **state)
{
    rt_comparison *c;
    (void)state;
    for (int candidate = 0; candidate < 2; candidate++) {
        rt_predictions *p = make(candidate, 0, 1);
        uint64_t from = place(candidate, 3);
        for (uint64_t i = 4; i < 9; i++) {       /* rows 4 to 8 are row 3, with truths of their own */
            uint64_t to = place(candidate, i);
            memcpy(p->id + to * 32, p->id + from * 32, 32);
            memcpy(p->of[0].z + to * K, p->of[0].z + from * K, K * sizeof(float));
        }
        write(p, candidate ? "twice_c.h5" : "twice_b.h5");
    }
    check_ok(open_pair("twice_b.h5", "twice_c.h5", 0, &c));
    assert_int_equal(rt_comparison_rows(c), ROWS);
    rt_comparison_close(c);
}

static void slices(void **state)
{
    rt_comparison *c;
    const rt_slice *s;
    int n;
    uint64_t rows = 0;
    (void)state;
    check_ok(open_pair("base.h5", "cand.h5", 0, &c));
    check_ok(rt_comparison_slices(c, 0, "class", &s, &n));
    assert_int_equal(n, K);
    for (int i = 0; i < n; i++) rows += s[i].rows;
    assert_int_equal(rows, 375);
    rt_delta by_class = ask(c, "kind", "accuracy", -1, &s[1]), recall = ask(c, "kind", "recall", 1, NULL);
    same("accuracy of a class is its recall", by_class.drop, recall.drop, 0);
    check_ok(rt_comparison_slices(c, 0, "predicted", &s, &n));
    assert_int_equal(n, K);
    check_ok(rt_comparison_slices(c, 0, "confidence", &s, &n));
    assert_int_equal(n, 10);
    assert_int_equal(s[0].rows, 0);
    rt_delta d = ask(c, "kind", "accuracy", -1, &s[0]);
    assert_int_equal(d.status, RT_UNDEFINED);
    assert_true(isnan(d.drop) && isnan(d.lo));
    check_fails(rt_comparison_slices(c, 0, "nation", &s, &n), RT_INPUT,
                "no slice column 'nation'; there are class, predicted, confidence, country");
    int h = rt_comparison_head(c, "kind");
    rt_question q = {.metric = rt_paired_metric_find(RT_TASK_CLASSES, "recall"), .head = h, .class = 3,
                     .confidence = 0.95, .min_rows = 200};
    check_ok(rt_comparison_ask(c, &q, &d));
    assert_int_equal(d.status, RT_TOO_FEW_ROWS);
    assert_null(rt_paired_metric_find(RT_TASK_CLASSES, "acuracy"));
    assert_non_null(strstr(rt_error_message(), "did you mean 'accuracy'"));
    rt_comparison_close(c);
}

/* Of numbers fifths of the rows, equal ones together: half of all are 7, and the rest, rising, fill what is left of the
 * fifths. */
static void fifths(void **state)
{
    static const uint64_t want[] = {200, 40, 80, 80};
    rt_comparison *c;
    rt_row_column *age;
    const rt_slice *s;
    int n;
    rt_predictions *p = make(0, 0, 0);
    (void)state;
    check_ok(rt_predictions_add_column(p, "age", 0, &age));
    for (int i = 0; i < ROWS; i++) age->number[i] = i % 2 ? 7 : 10 + i;
    write(p, "aged.h5");
    check_ok(open_pair("aged.h5", "cand.h5", 0, &c));
    check_ok(rt_comparison_slices(c, 0, "age", &s, &n));
    assert_int_equal(n, 4);
    for (int i = 0; i < n; i++) assert_int_equal(s[i].rows, want[i]);
    assert_string_equal(s[0].value, "7 to 7");
    assert_string_equal(s[1].value, "10 to 88");
    assert_string_equal(s[3].value, "250 to 408");
    rt_comparison_close(c);
}

/* Further out than 4,000 resamples tell an interval goes on growing as the normal one: by the quantile, as it is at 95
 * %.
 */
static void far_out(void **state)
{
    static const char *const metric[] = {"macro_f1", "nll"};
    static const double alpha[] = {0.05, 0.002, 0.001, 1e-4, 1e-8, 1e-12};
    rt_comparison *c;
    (void)state;
    check_ok(open_pair("base.h5", "cand.h5", 0, &c));
    for (int i = 0; i < 2; i++) {
        rt_delta d, before = {.lo = INFINITY, .hi = -INFINITY};
        double unit = 0;
        for (int k = 0; k < 6; k++) {
            rt_question q = {.metric = rt_paired_metric_find(RT_TASK_CLASSES, metric[i]), .class = -1,
                             .confidence = 1 - alpha[k], .seed = 3};
            check_ok(rt_comparison_ask(c, &q, &d));
            double z = rt_normal_quantile(0.5 + q.confidence / 2), wide = (d.hi - d.lo) / (2 * z);
            if (!k) unit = wide;
            check_close(metric[i], wide, unit, 0, 0.2);
            assert_true(d.lo < before.lo && d.hi > before.hi);
            assert_int_equal(strstr(d.method, "beyond what resamples tell") != NULL, alpha[k] < 0.0015);
            before = d;
        }
    }
    rt_comparison_close(c);
}

/* A drop at the limit is a coin; the p of the limit and the interval tell the same. */
static void limits(void **state)
{
    static const char *const metric[] = {"accuracy", "macro_f1", "nll"};
    rt_comparison *c;
    (void)state;
    check_ok(open_pair("base.h5", "cand.h5", 0, &c));
    for (int i = 0; i < 3; i++) {
        rt_delta d;
        rt_question q = {.metric = rt_paired_metric_find(RT_TASK_CLASSES, metric[i]), .class = -1, .confidence = 0.95,
                         .seed = 3};
        check_ok(rt_comparison_ask(c, &q, &d));
        q.limit = d.lo;
        check_ok(rt_comparison_ask(c, &q, &d));
        check_close(metric[i], d.p_limit, 0.025, 1e-3, 0);
        q.limit = d.drop;
        check_ok(rt_comparison_ask(c, &q, &d));
        check_close(metric[i], d.p_limit, 0.5, 0.02, 0);
        q.relative = 1;
        check_ok(rt_comparison_ask(c, &q, &d));
        double want = (i == 2 ? d.candidate - d.baseline : d.baseline - d.candidate) / d.baseline;
        check_close(metric[i], d.drop, want, 1e-12, 0);
        assert_true(d.lo < d.drop && d.drop < d.hi);
    }
    /* Against itself nothing differs, and the interval still has a width. */
    rt_comparison *same_model;
    check_ok(open_pair("base.h5", "base.h5", 0, &same_model));
    rt_delta d = ask(same_model, "kind", "macro_f1", -1, NULL);
    assert_true(d.drop == 0 && d.lo < -0.005 && d.hi > 0.005);
    rt_comparison_close(same_model);
    rt_comparison_close(c);
}

/* A third of the second country's rows are answered wrong: that is found and confirmed, once, and what of it is within
 * other columns is folded. Of equal models nothing is found. */
static void found_slices(void **state)
{
    rt_comparison *c;
    rt_found_slice found[RT_FOUND_MOST];
    rt_predictions *p = make(0, 0, 0);
    int n, planted = -1, rows = 0;
    (void)state;
    for (uint64_t i = 0; i < ROWS; i++) {
        rows += country[i] == 1;
        if (country[i] == 1 && i % 3 == 0 && label[i] >= 0) p->of[0].z[i * K + ((uint64_t)label[i] + 1) % K] += 20;
    }
    write(p, "planted.h5");
    check_ok(open_pair("base.h5", "planted.h5", 0, &c));
    rt_question q = {.metric = rt_paired_metric_find(RT_TASK_CLASSES, "accuracy"), .class = -1, .confidence = 0.95};
    check_ok(rt_find_slices(c, &q, found, &n));
    for (int i = 0; i < n; i++) {
        int here = !strcmp(found[i].name[0], "country = FR") || !strcmp(found[i].name[1], "country = FR");
        if (here && !*found[i].name[1]) planted = i;
        assert_true(found[i].searched.p_limit < 0.05 && found[i].searched.drop > 0);
        assert_true(found[i].adjusted >= found[i].p && found[i].rows >= 20);
        assert_true(found[i].searched.n + found[i].confirmed.n <= found[i].rows);
        if (here && i != planted && planted >= 0)
            assert_true(found[i].searched.drop >= 1.5 * found[planted].searched.drop);
    }
    assert_true(planted >= 0 && found[planted].adjusted < 0.01);
    assert_int_equal(found[planted].rows, rows);
    rt_comparison_close(c);
    check_ok(open_pair("base.h5", "cand.h5", 0, &c));
    check_ok(rt_find_slices(c, &q, found, &n));
    for (int i = 0; i < n; i++)        /* both would choose rows that the baseline has right */
        assert_false(!strncmp(found[i].name[0], "predicted", 9) && !strncmp(found[i].name[1], "class", 5));
    rt_comparison_close(c);
    check_ok(open_pair("base.h5", "base.h5", 0, &c));
    check_ok(rt_find_slices(c, &q, found, &n));
    assert_int_equal(n, 0);
    rt_comparison_close(c);
}

/* ---- the comparison as JSON, against record_comparison_result.py ---- */

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }
static double number(const cJSON *j, const char *key) { return cJSON_GetNumberValue(get(j, key)); }

static void check_text(const cJSON *j, const char *key, const char *want)
{
    const char *got = cJSON_GetStringValue(get(j, key));
    if (!got || strcmp(got, want)) fail_msg("%s is '%s', not '%s'", key, got ? got : "", want);
}

static void check_class_name(const cJSON *j, const char *key, int class)
{
    char name[16];
    snprintf(name, sizeof name, "c%d", class);
    check_text(j, key, name);
}

static void check_counts(const cJSON *head)
{
    const cJSON *o = get(head, "confusion_difference"), *matrix = get(o, "matrix");
    int pairs = 0;
    double before = INFINITY;
    for (int y = 0; y < K; y++)
        for (int a = 0; a < K; a++) {
            int difference = told_counts[K * K + y * K + a] - told_counts[y * K + a];
            same("difference", cJSON_GetNumberValue(cJSON_GetArrayItem(cJSON_GetArrayItem(matrix, y), a)), difference,
                 0);
            pairs += y != a && difference;
        }
    assert_int_equal(cJSON_GetArraySize(get(o, "pairs")), pairs);
    for (const cJSON *p = get(o, "pairs")->child; p; p = p->next) {
        int y = cJSON_GetStringValue(get(p, "truth"))[1] - '0', a = cJSON_GetStringValue(get(p, "answer"))[1] - '0';
        double apart = fabs(number(p, "candidate") - number(p, "baseline"));
        same("baseline", number(p, "baseline"), told_counts[y * K + a], 0);
        same("candidate", number(p, "candidate"), told_counts[K * K + y * K + a], 0);
        assert_true(y != a && apart > 0 && apart <= before);
        before = apart;
    }
}

static void check_bins(const cJSON *head)
{
    const cJSON *sides = get(head, "reliability");
    enum { BINS = sizeof told_bin / sizeof *told_bin / 2 };
    for (int i = 0; i < 2 * BINS; i++) {
        const cJSON *b = cJSON_GetArrayItem(get(sides, told_bin[i].side ? "candidate" : "baseline"), i % BINS);
        same("count", number(b, "count"), told_bin[i].count, 0);
        same("confidence", number(b, "confidence"), told_bin[i].confidence, 1e-9);
        same("accuracy", number(b, "accuracy"), told_bin[i].accuracy, 1e-9);
        same("lo", number(b, "lo"), told_bin[i].lo, 1e-9);
        same("hi", number(b, "hi"), told_bin[i].hi, 1e-9);
    }
}

static void check_classes(const cJSON *head)
{
    const cJSON *c = get(head, "per_class")->child;
    for (int i = 0; i < K; i++, c = c->next) {
        same("class", number(c, "class"), told_class[i].class, 0);
        check_class_name(c, "name", told_class[i].class);
        same("rows", number(c, "rows"), told_class[i].rows, 0);
        same("recall", number(get(c, "recall"), "drop"), told_class[i].recall, 1e-9);
        same("precision", number(get(c, "precision"), "drop"), told_class[i].precision, 1e-9);
        same("f1", number(get(c, "f1"), "drop"), told_class[i].f1, 1e-9);
    }
    assert_null(c);
}

/* Rows of the data begin with their number. */
static void check_flips(const cJSON *head)
{
    enum { FLIPS = sizeof told_flip / sizeof *told_flip };
    const cJSON *f = get(head, "flips")->child;
    same("flips", number(head, "flips_counted"), FLIPS, 0);
    for (int i = 0; i < FLIPS; i++, f = f->next) {
        char id[16];
        snprintf(id, sizeof id, "%08x", 1000u + (unsigned)told_flip[i].row);
        check_text(f, "id", id);
        same("row", number(f, "row"), told_flip[i].row, 0);
        check_text(f, "flip", told_flip[i].negative ? "negative" : "positive");
        check_class_name(f, "truth", told_flip[i].truth);
        check_class_name(f, "baseline", told_flip[i].answer[0]);
        check_class_name(f, "candidate", told_flip[i].answer[1]);
        same("sure", number(f, "baseline_confidence"), told_flip[i].sure[0], 1e-9);
        same("sure", number(f, "candidate_confidence"), told_flip[i].sure[1], 1e-9);
        same("value", cJSON_GetNumberValue(get(f, "values")->child), told_flip[i].row, 0);
    }
    assert_null(f);
}

static void check_slices(const cJSON *head)
{
    enum { SLICES = sizeof told_slice / sizeof *told_slice };
    const cJSON *s = get(head, "slices")->child;
    same("slices", number(head, "slices_compared"), SLICES, 0);
    for (int i = 0; i < SLICES; i++, s = s->next) {
        check_text(s, "column", told_slice[i].column);
        check_text(s, "value", told_slice[i].value);
        same("n", number(s, "n"), told_slice[i].n, 0);
        same("drop", number(s, "drop"), told_slice[i].drop, 1e-9);
        same("p", number(s, "p_worse"), told_slice[i].p, 1e-9);
        same("p by Holm", number(s, "p_worse_holm"), told_slice[i].holm, 1e-8);
    }
    assert_null(s);
}

static void as_json(void **state)
{
    rt_comparison *c;
    rt_source *x;
    cJSON *j, *notes = cJSON_CreateArray();
    float rows[ROWS][2];
    (void)state;
    for (int i = 0; i < ROWS; i++) rows[i][0] = (float)(rows[i][1] = (float)i);
    rt_h5_item it = {.name = "x", .type = RT_F32, .rank = 2, .dim = {ROWS, 2}, .data = rows};
    check_ok(rt_h5_save(at("rows.h5"), "retort-data-1", &it, 1));
    check_ok(rt_source_open(&x, at("rows.h5"), "x"));
    check_ok(open_pair("base.h5", "cand.h5", 0, &c));
    rt_comparison_options o = {.confidence = 0.95, .seed = 1, .rows = x, .data = rt_comparison_side(c, 0)->data};
    check_ok(rt_comparison_result(c, &o, notes, &j));
    const cJSON *head = get(j, "heads")->child;
    check_text(head, "name", "kind");
    same("rows", number(j, "rows"), ROWS, 0);
    same("labelled", number(head, "labelled_rows"), 375, 0);
    check_counts(head);
    check_bins(head);
    check_classes(head);
    check_flips(head);
    check_slices(head);
    cJSON_Delete(j);
    cJSON_Delete(notes);
    rt_source_close(x);
    rt_comparison_close(c);
}

/* What counts errors, losses or new errors is better the less there is of it; everything else the more. */
static void directions(void **state)
{
    static const char *const less = " nll brier ece adaptive_ece hamming bce rmse mae max_error worst_decile nfr nfi ";
    int count, seen = 0;
    const rt_paired_metric *m = rt_paired_metrics(&count);
    (void)state;
    for (int i = 0; i < count; i++) {
        char word[64];
        snprintf(word, sizeof word, " %s ", m[i].name);
        if (!m[i].higher != !!strstr(less, word))
            fail_msg("%s: %s is better", m[i].name, m[i].higher ? "more" : "less");
        seen += !m[i].higher;
    }
    assert_int_equal(seen, 6 + 5 + 4);                  /* of classes, labels, numbers */
}

/* Elements of a truth that are not known are none of the file's, and the others are what they were. */
static void what_is_not_known(void **state)
{
    rt_predictions *p = make(0, 0, 0), *was = make(0, 0, 0), *got;
    (void)state;
    for (uint64_t i = 0; i < p->rows; i++) p->of[2].y.mask[i] = i % 3 != 0;
    for (uint64_t i = 0; i < p->rows * L; i++) p->of[3].y.mask[i] = i % 4 != 1;
    write(p, "gaps.h5");
    check_ok(rt_predictions_read(&got, at("gaps.h5")));
    assert_int_equal(got->rows, was->rows);
    for (uint64_t i = 0; i < was->rows; i++) {
        assert_int_equal(got->of[2].y.mask[i], i % 3 != 0);
        if (i % 3) assert_true(got->of[2].y.values[i] == was->of[2].y.values[i]);
    }
    for (uint64_t i = 0; i < was->rows * L; i++) {
        assert_int_equal(got->of[3].y.mask[i], i % 4 != 1);
        if (i % 4 != 1) assert_int_equal(got->of[3].y.labels[i], was->of[3].y.labels[i]);
    }
    rt_predictions_free(got);
    rt_predictions_free(was);
}

static void damage(void **state)
{
    char *bytes;
    size_t n;
    (void)state;
    check_ok(rt_read_file(&bytes, &n, at("base.h5"), 1 << 26));
    for (size_t cut = 0; cut < n; cut += n / 40 + 1) {
        rt_predictions *p = NULL;
        check_ok(rt_write_file(at("cut.h5"), bytes, cut));
        assert_int_not_equal(rt_predictions_read(&p, at("cut.h5")), RT_OK);
        assert_null(p);
    }
    int found = 0;
    for (size_t place = 5000; place < n; place += n / 60) {
        rt_predictions *p = NULL;
        check_ok(rt_write_file(at("flip.h5"), bytes, n));
        flip_bit(at("flip.h5"), place, 3);
        found += rt_predictions_read(&p, at("flip.h5")) != RT_OK;
        rt_predictions_free(p);
    }
    assert_true(found > 30);           /* the rest are bytes between the sets, which hold nothing */
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_reference), cmocka_unit_test(alone),
                                       cmocka_unit_test(same_bits),
                                       cmocka_unit_test(largest_alone),
                                       cmocka_unit_test(row_sets),
                                       cmocka_unit_test(equal_rows),
                                       cmocka_unit_test(slices), cmocka_unit_test(fifths),
                                       cmocka_unit_test(limits), cmocka_unit_test(far_out),
                                       cmocka_unit_test(found_slices),
                                       cmocka_unit_test(as_json),
                                       cmocka_unit_test(directions), cmocka_unit_test(what_is_not_known),
                                       cmocka_unit_test(damage)};
    return cmocka_run_group_tests(tests, write_files, drop_files);
}
