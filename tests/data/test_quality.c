/* Rows that cleanlab finds, by each of its methods, whatever the block and the memory; what a stream's least are. */
#include "data/quality_parts.h"
#include "tests/data/quality_reference.h"
#include "tests/support.h"

typedef struct {
    uint64_t rows, turn;
    int classes, block, changing;
    double *p;
    int32_t *y;
    uint64_t found, hash, next;        /* of the issues that were put */
    rt_quality_row first[5];           /* labelled rows */
    int firsts;
} scene;

static uint64_t lcg_state;
static uint64_t lcg(void)
{
    lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
    return lcg_state >> 33;
}

/* case_of of record_quality.py */
static scene scene_of(uint64_t rows, int classes, int missing, int steps, uint64_t seed, int least, int spread)
{
    scene s = {.rows = rows, .classes = classes};
    s.p = calloc(rows * (uint64_t)classes, sizeof *s.p);
    s.y = calloc(rows, sizeof *s.y);
    lcg_state = seed;
    for (uint64_t r = 0; r < rows; r++) {
        int truth = (int)(lcg() % (uint64_t)classes), sum = 0, left = steps, w[32];
        for (int j = 0; j < classes; j++) w[j] = 1 + (int)(lcg() % 8);
        w[truth] += least + (int)(lcg() % (uint64_t)spread);
        s.y[r] = lcg() % 6 == 0 ? (int32_t)(lcg() % (uint64_t)classes) : truth;
        if (s.y[r] == missing) s.y[r] = -1;
        for (int j = 0; j < classes; j++) sum += w[j];
        for (int j = 0; j < classes; j++) {
            int n = steps * w[j] / sum;
            s.p[r * (uint64_t)classes + (uint64_t)j] = (double)n / steps;
            left -= n;
        }
        s.p[r * (uint64_t)classes + (uint64_t)truth] += (double)left / steps;
    }
    return s;
}

static scene make_scene(uint64_t rows, int classes, int missing, int steps, uint64_t seed)
{ return scene_of(rows, classes, missing, steps, seed, 8, 24); }

static scene scene_a(void)
{
    scene s = {.rows = 60, .classes = 3, .p = malloc(sizeof a_p), .y = malloc(sizeof a_y)};
    memcpy(s.p, a_p, sizeof a_p);
    memcpy(s.y, a_y, sizeof a_y);
    return s;
}

static void free_scene(scene *s)
{
    free(s->p);
    free(s->y);
}

static rt_status read_rows(void *of, uint64_t first, int n, int32_t *y, double *p)
{
    scene *s = of;
    size_t k = (size_t)s->classes;
    assert_true(n >= 1 && n <= s->block && first + (uint64_t)n <= s->rows);
    memcpy(y, s->y + first, (size_t)n * sizeof *y);
    memcpy(p, s->p + first * k, (size_t)n * k * sizeof *p);
    if (s->changing && ++s->turn > 2 && s->changing > 1) y[0] = -1;
    else if (s->changing && s->turn > 2)
        for (size_t i = 0; i < (size_t)n * k; i++) p[i] = s->turn % 2 ? 0.25 : 0.75;
    return RT_OK;
}

static rt_status put_rows(void *to, uint64_t first, int n, const rt_quality_row *row)
{
    scene *s = to;
    assert_int_equal(first, s->next);
    s->next += (uint64_t)n;
    for (int i = 0; i < n; i++) {
        assert_int_equal(row[i].given, s->y[first + (uint64_t)i]);
        if (row[i].given < 0) assert_true(!row[i].issue && isnan(row[i].self_confidence));
        else if (s->firsts < 5) s->first[s->firsts++] = row[i];
        if (!row[i].issue) continue;
        s->found++;
        s->hash = (s->hash ^ (first + (uint64_t)i)) * 0x100000001b3u;
    }
    return RT_OK;
}

static rt_status find(scene *s, rt_quality_method method, int block, size_t memory, rt_quality **q)
{
    rt_quality_input in = {s->rows, s->classes, read_rows, s};
    rt_quality_job job = {.method = method, .block = block, .memory = memory, .put = put_rows, .to = s};
    s->found = s->next = s->turn = 0;
    s->hash = 0xcbf29ce484222325u;
    s->firsts = 0;
    s->block = block;
    return rt_quality_find(q, &in, &job);
}

typedef struct {
    const double *threshold;
    const int64_t *confident, *joint;
    const double (*scores)[3];
    const found_rows *found;
} recorded;

static void check_matrices(const rt_quality *q, const recorded *want)
{
    size_t k = (size_t)q->classes;
    uint64_t given = 0, flagged = 0;
    for (size_t i = 0; i < k; i++) {
        check_close("threshold", q->threshold[i], want->threshold[i], 1e-14, 0);
        given += q->given[i];
        flagged += q->flagged[i];
    }
    for (size_t i = 0; i < k * k; i++) {
        assert_int_equal(q->confident[i], want->confident[i]);
        assert_int_equal(q->joint[i], want->joint[i]);
    }
    assert_int_equal(given, q->labelled);
    assert_int_equal(flagged, q->issues);
}

static void check_case(scene s, const recorded *want)
{
    static const int block[] = {1, 7, 64, 4096};
    static const size_t memory[] = {64, 4096, 1 << 20};      /* only bins; bins, then keys; keys */
    int most = 0, least = 99;
    for (int m = 0; rt_quality_methods[m]; m++) {
        assert_string_equal(rt_quality_methods[m], want->found[m].method);
        for (int i = 0; i < 12; i++) {
            rt_quality *q;
            check_ok(find(&s, (rt_quality_method)m, block[i % 4], memory[i / 4], &q));
            if (s.found != want->found[m].rows || s.hash != want->found[m].hash)
                fail_msg("%s, block %d, memory %zu: %llu rows, cleanlab has %llu", rt_quality_methods[m], block[i % 4],
                         memory[i / 4], (unsigned long long)s.found, (unsigned long long)want->found[m].rows);
            assert_int_equal(q->issues, s.found);
            assert_int_equal(s.next, s.rows);
            check_matrices(q, want);
            for (int r = 0; r < 5; r++) {
                check_close("self-confidence", s.first[r].self_confidence, want->scores[r][0], 1e-15, 0);
                check_close("margin", s.first[r].normalized_margin, want->scores[r][1], 1e-15, 0);
                check_close("quality", s.first[r].quality, want->scores[r][2], 1e-14, 0);
            }
            if (q->passes > most) most = q->passes;
            if (q->passes < least) least = q->passes;
            rt_quality_free(q);
        }
    }
    assert_int_equal(least, 3);                              /* methods that cut nowhere */
    assert_true(most > 5);                                   /* little memory was little */
    free_scene(&s);
}

static void cleanlabs_rows(void **state)
{
    (void)state;
    recorded a = {a_threshold, a_confident, a_joint, a_scores, a_found};
    recorded b = {b_threshold, b_confident, b_joint, b_scores, b_found};
    recorded c = {c_threshold, c_confident, c_joint, c_scores, c_found};
    recorded d = {d_threshold, d_confident, d_joint, d_scores, d_found};
    check_case(scene_of(500, 5, 5, 32, 11, 1, 3), &d);
    check_case(scene_a(), &a);
    check_case(make_scene(400, 6, 4, 64, 7), &b);
    check_case(make_scene(3000, 21, 21, 256, 9), &c);
}

/* The n least of a stream against a sorted list: values of all sizes, signs, and many equal ones. */
static void least_of_streams(void **state)
{
    (void)state;
    enum { N = 5000 };
    double *v = malloc(N * sizeof *v), special[] = {-1, -1e-300, -0.0, 0, 5e-324, 1e-200, 0.5, 1};
    lcg_state = 3;
    for (int i = 0; i < N; i++)
        v[i] = i % 3 ? special[lcg() % 8] : (double)(lcg() % 1000) / 1000 * (lcg() % 2 ? 1 : 1e-30);
    for (uint64_t take = 0; take <= N; take += take < 4 ? 1 : 357) {
        for (size_t memory = 16; memory <= 1 << 17; memory *= 8) {
            rt_least s = rt_least_of(take, N);
            void *room;
            for (size_t open; check_ok(rt_least_begin(&s, 1, memory, &room, &open)), open;) {
                for (int i = 0; i < N; i++) rt_least_see(&s, rt_quality_key(v[i]));
                check_ok(rt_least_end(&s, 1, room));
            }
            uint64_t taken = 0;
            double last = -2, least_left = 2;
            for (int i = 0; i < N; i++) {
                if (rt_least_takes(&s, rt_quality_key(v[i]))) {
                    assert_true(v[i] < least_left);          /* of equal ones the first */
                    if (v[i] > last) last = v[i];
                    taken++;
                } else if (v[i] < least_left) least_left = v[i];
            }
            assert_int_equal(taken, take);
            assert_true(last <= least_left);
        }
    }
    free(v);
}

static void what_cannot_be(void **state)
{
    (void)state;
    rt_quality *q;
    scene s = make_scene(400, 6, 4, 64, 7);
    s.classes = 1;
    check_fails(find(&s, RT_PRUNE_BY_CLASS, 64, 1 << 20, &q), RT_INPUT, "1 classes");
    s.classes = 6;
    s.changing = 1;
    check_fails(find(&s, RT_LOW_SELF_CONFIDENCE, 400, 64, &q), RT_INPUT, "changed while they were read");
    s.changing = 2;
    check_fails(find(&s, RT_LOW_SELF_CONFIDENCE, 400, 1 << 20, &q), RT_INPUT, "changed while they were read");
    s.changing = 0;
    for (uint64_t r = 0; r < s.rows; r++) s.y[r] = -1;
    check_fails(find(&s, RT_LOW_SELF_CONFIDENCE, 64, 1 << 20, &q), RT_NOTHING, "none of 400 rows has a label");
    assert_null(q);
    free_scene(&s);
}

/* One label for all rows, or one row for each label: nothing to go for, and nothing that fails. */
static void few_labels(void **state)
{
    (void)state;
    for (int m = 0; rt_quality_methods[m]; m++) {
        rt_quality *q;
        scene s = make_scene(6, 6, 9, 64, 5);
        for (int r = 0; r < 6; r++) s.y[r] = r;
        check_ok(find(&s, (rt_quality_method)m, 4, 1 << 20, &q));
        if (m == RT_PRUNE_BY_CLASS || m == RT_PRUNE_BY_NOISE_RATE || m == RT_PRUNE_BOTH) assert_int_equal(s.found, 0);
        rt_quality_free(q);
        free_scene(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cleanlabs_rows), cmocka_unit_test(least_of_streams),
                                       cmocka_unit_test(what_cannot_be), cmocka_unit_test(few_labels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
