/* The label store's 8 bits, its columns, and hard labels alone: against NumPy and SciPy, against each other, refused.
 */
#include <unistd.h>

#include "data/label_policy.h"
#include "data/label_scan.h"
#include "tests/data/label_columns_reference.h"
#include "tests/data/label_stores.h"

enum { N = 1500, C = 37 };
static float wide[N * C];
static const rt_labels_spec eight = {.first = FIRST, .rows = N, .classes = C, .type = RT_U8, .columns = 15};

/* As record_label_columns.py. */
static void make_wide(void)
{
    uint64_t state = 2027;
    for (int i = 0; i < N * C; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        wide[i] = (float)((double)((state >> 33) % 40000) / 1000 - 20);
    }
}

static void *set_of(const char *path, const char *name)
{
    rt_h5_file *f;
    void *out;
    check_ok(rt_h5_scan(&f, path));
    check_ok(rt_h5_read_all(&out, f, name, 1 << 26));
    rt_h5_close(f);
    return out;
}

static rt_status write_spec(const char *path, rt_labels_spec spec, const float *z, int threads)
{
    writing q = {.path = path,
                 .spec = spec,
                 .logits = z,
                 .upto = (int)((spec.rows + RT_LABEL_BLOCK - 1) / RT_LABEL_BLOCK),
                 .force = 1,
                 .threads = threads};
    return write_labels(&q);
}

static rt_labels *opened(const char *path)
{
    rt_labels *l;
    check_ok(rt_labels_open(&l, path, 0));
    return l;
}

/* ---- values ---- */

static void recorded(void **state)
{
    (void)state;
    char path[128];
    check_ok(write_spec(in_folder(path, "eight.h5"), eight, wide, 2));
    unsigned char *code = set_of(path, "labels/logits");
    float *scale = set_of(path, "labels/logits_scale"), *offset = set_of(path, "labels/logits_offset");
    float *column[] = {set_of(path, "labels/confidence"), set_of(path, "labels/margin"),
                       set_of(path, "labels/entropy")};
    int32_t *hard = set_of(path, "labels/hard");
    unsigned long long codes = 0;
    for (size_t i = 0; i < N * C; i++) codes += code[i] * (unsigned long long)(i % 251 + 1);
    assert_int_equal(codes, coded.codes);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        int r = known[i].row;
        assert_memory_equal(code + r * C, known[i].code, C);
        assert_true(scale[r] == known[i].scale && offset[r] == known[i].offset);
        assert_int_equal(hard[r], known[i].best);
        check_close("confidence", column[0][r], known[i].confidence, 0, 1e-7);
        check_close("margin", column[1][r], known[i].margin, 1e-7, 1e-6);
        check_close("entropy", column[2][r], known[i].entropy, 1e-7, 1e-6);
    }
    for (int c = 0; c < 3; c++) {
        double sum = 0;
        for (int r = 0; r < N; r++) sum += (double)column[c][r];
        check_close("sum", sum, sums[c], 0, 1e-7);
    }
    rt_labels *l = opened(path);
    double worst[2], logit = 0;
    check_ok(rt_labels_code_error(l, 0, worst));
    check_close("error of a logit", worst[0], coded.logit, 0, 1e-6);
    check_close("error of a probability", worst[1], coded.probability, 0, 1e-6);
    assert_true(worst[0] >= coded.logit && worst[1] >= coded.probability * (1 - 1e-9));      /* never below the truth */
    for (uint64_t r = 0; r < N; r++) {
        float got[C];
        uint64_t row = FIRST + r;
        int best = 0, mine = 0;
        check_ok(rt_labels_read(l, &row, 1, got));
        for (int c = 0; c < C; c++) {
            double d = fabs((double)got[c] - (double)wide[r * C + (uint64_t)c]);
            assert_true(got[c] == (float)code[r * C + (uint64_t)c] * scale[r] + offset[r]);
            if (d > logit) logit = d;
            if (got[c] > got[best]) best = c;
            if (wide[r * C + (uint64_t)c] > wide[r * C + (uint64_t)mine]) mine = c;
        }
        assert_int_equal(best, mine);
    }
    assert_true(logit == coded.logit);
    rt_labels_close(l);
    void *owned[] = {code, scale, offset, hard, column[0], column[1], column[2]};
    for (int i = 0; i < 7; i++) free(owned[i]);
}

/* The five best in 8 bits, their numbers in 16: as NumPy has them. */
static void recorded_few(void **state)
{
    (void)state;
    enum { TOP = 5 };
    char path[128];
    rt_labels_spec spec = {.first = FIRST, .rows = N, .classes = C, .type = RT_U8, .topk = TOP};
    check_ok(write_spec(in_folder(path, "few8.h5"), spec, wide, 2));
    unsigned char *code = set_of(path, "labels/topk_logit");
    unsigned short *id = set_of(path, "labels/topk_id");
    float *scale = set_of(path, "labels/topk_scale"), *offset = set_of(path, "labels/topk_offset");
    float *tail = set_of(path, "labels/tail"), got[C];
    unsigned long long codes = 0, ids = 0;
    for (size_t i = 0; i < N * TOP; i++) {
        codes += code[i] * (unsigned long long)(i % 251 + 1);
        ids += id[i] * (unsigned long long)(i % 251 + 1);
    }
    assert_int_equal(codes, few.codes);
    assert_int_equal(ids, few.ids);
    for (size_t i = 0; i < sizeof few_known / sizeof few_known[0]; i++) {
        int r = few_known[i].row;
        assert_memory_equal(code + r * TOP, few_known[i].code, TOP);
        assert_memory_equal(id + r * TOP, few_known[i].id, sizeof few_known[i].id);
        assert_true(scale[r] == few_known[i].scale && offset[r] == few_known[i].offset);
        check_close("tail", tail[r], few_known[i].tail, 1e-5, 1e-5);
    }
    rt_labels *l = opened(path);
    double worst[2];
    check_ok(rt_labels_code_error(l, 0, worst));
    check_close("error of a logit", worst[0], few.logit, 0, 1e-6);
    check_close("error of a probability", worst[1], few.probability, 0, 1e-5);
    for (uint64_t r = 0; r < N; r++) {
        uint64_t row = FIRST + r;
        int best = 0, mine = 0;
        check_ok(rt_labels_read(l, &row, 1, got));
        for (int k = 0; k < TOP; k++)
            assert_true(got[id[r * TOP + (uint64_t)k]] == (float)code[r * TOP + (uint64_t)k] * scale[r] + offset[r]);
        for (int c = 0; c < C; c++) {
            if (got[c] > got[best]) best = c;
            if (wide[r * C + (uint64_t)c] > wide[r * C + (uint64_t)mine]) mine = c;
        }
        assert_int_equal(best, mine);
    }
    rt_labels_close(l);
    void *owned[] = {code, id, scale, offset, tail};
    for (int i = 0; i < 5; i++) free(owned[i]);
    /* More classes than 16 bits number: i32; a near tie whose best class has the higher number. */
    enum { MANY = 65537 };
    float *z = calloc(MANY, sizeof *z);
    z[65536] = 10;
    z[65535] = 9.999f;
    z[1] = -9;
    spec = (rt_labels_spec){.rows = 1, .classes = MANY, .type = RT_U8, .topk = 3};
    check_ok(write_spec(in_folder(path, "many8.h5"), spec, z, 1));
    int32_t *wide_id = set_of(path, "labels/topk_id");
    assert_true(wide_id[0] == 65536 && wide_id[1] == 65535 && wide_id[2] == 0);
    l = opened(path);
    check_ok(rt_labels_read(l, &(uint64_t){0}, 1, z));
    assert_true(z[65536] > z[65535] && z[65535] > 9.9f && z[0] == 0 && z[1] < -1e-5f);
    rt_labels_close(l);
    free(wide_id);
    z[65536] = z[1] = z[0] = 0;
    z[65535] = 7;
    z[300] = 5;
    spec.classes = 65536;                              /* as many as 16 bits number */
    check_ok(write_spec(path, spec, z, 1));
    id = set_of(path, "labels/topk_id");
    assert_true(id[0] == 65535 && id[1] == 300 && id[2] == 0);
    free(id);
    free(z);
}

/* Rows on which a code of 8 bits could break: equal logits, near ties before the best, far from 0, huge, tiny. */
static void odd_rows(void **state)
{
    (void)state;
    enum { ODD = 8, K4 = 4 };
    static const float odd[ODD][K4] = {{3, 3, 3, 3},
                                       {9.999f, 10, 0, 1},
                                       {-0.0f, 0.0f, -0.0f, 0.0f},
                                       {1000, 1001, 999, 1000},
                                       {1e38f, -1e38f, 0, 5},
                                       {1e-42f, 0, 2e-42f, 0},
                                       {5, 5, 0, 5},
                                       {0.9999f, 1, -254, 0}};
    char path[128];
    rt_labels_spec spec = {.rows = ODD, .classes = K4, .type = RT_U8};
    check_ok(write_spec(in_folder(path, "odd.h5"), spec, odd[0], 1));
    rt_labels *l = opened(path);
    for (uint64_t r = 0; r < ODD; r++) {
        float got[K4], low = odd[r][0], high = odd[r][0];
        int best = 0, mine = 0;
        check_ok(rt_labels_read(l, &r, 1, got));
        for (int c = 1; c < K4; c++) {
            low = fminf(low, odd[r][c]);
            high = fmaxf(high, odd[r][c]);
            if (got[c] > got[best]) best = c;
            if (odd[r][c] > odd[r][mine]) mine = c;
        }
        if (r != 5) assert_int_equal(best, mine);
        double step = ((double)high - (double)low) / 255;
        for (int c = 0; c < K4; c++)
            if (fabs((double)got[c] - (double)odd[r][c]) > 1.001 * step + 1e-6 * fabs((double)odd[r][c]) + 1e-37)
                fail_msg("row %d, class %d: %g became %g", (int)r, c, (double)odd[r][c], (double)got[c]);
        assert_true(isfinite(got[0]) && isfinite(got[1]));
    }
    rt_labels_close(l);
    static const float beyond[K4] = {0, 2e38f, 0, 0};
    spec.rows = 1;
    check_fails(write_spec(path, spec, beyond, 1), RT_INPUT,
                "class 1 is 2e+38, which q8 cannot hold; use labels.type=f32");
}

/* Of logits in f32 columns say the very same as a scan of a store without them; f16 and top-k keep what they lose. */
static rt_status compare(void *arg, const rt_label_batch *b)
{
    const rt_label_facts *want = arg;
    for (int i = 0; i < b->n; i++) assert_memory_equal(&b->fact[i], &want[b->row[i] - FIRST], sizeof *want);
    return RT_OK;
}

static void same_facts(void **state)
{
    (void)state;
    static rt_label_facts want[N];
    static const rt_labels_spec spec[] = {
        {.first = FIRST, .rows = N, .classes = C, .type = RT_F32}, {.type = RT_F32, .columns = 15},
        {.type = RT_F16, .columns = 15}, {.type = RT_U8, .columns = 15}, {.type = RT_F32, .topk = 1, .columns = 15},
        {.type = RT_U8, .topk = 4, .columns = 15}, {.type = RT_F32, .hard = 1, .columns = 15}};
    for (int r = 0; r < N; r++) want[r] = rt_label_facts_of(wide + r * C, C, 1);
    for (int i = 0; i < 7; i++) {
        rt_labels_spec s = spec[i];
        char path[128];
        int heads;
        s.first = FIRST;
        s.rows = N;
        s.classes = C;
        check_ok(write_spec(in_folder(path, "facts.h5"), s, wide, 2));
        rt_labels *l = opened(path);
        check_ok(rt_label_scan(l, path, rt_labels_heads(l, &heads), NULL, NULL, compare, want));
        rt_labels_summary sum;
        check_ok(rt_labels_summarize(l, &sum));
        uint64_t count[C] = {0};
        double confidence = 0;
        for (int r = 0; r < N; r++) count[want[r].best]++, confidence += (double)want[r].confidence / N;
        assert_memory_equal(sum.class_count, count, sizeof count);
        check_close("confidence", sum.confidence, confidence, 0, 1e-6);
        rt_labels_close(l);
    }
}

/* Bytes depend on the answers alone: not on threads, nor on where a run was interrupted. */
static void any_way(void **state)
{
    (void)state;
    char a[128], b[128];
    rt_labels_spec spec = plain;
    for (int i = 0; i < 3; i++) {
        spec.type = i == 0 ? RT_U8 : RT_F16;
        spec.hard = i == 2;
        spec.columns = 15;
        writing q = {.path = in_folder(a, "one.h5"), .spec = spec, .upto = 3, .force = 1, .threads = 1};
        check_ok(write_labels(&q));
        q.path = in_folder(b, "more.h5");
        q.threads = 3;
        q.upto = 1;
        check_ok(write_labels(&q));
        assert_int_equal(labelled_rows(b), RT_LABEL_BLOCK);
        q.force = 0;
        q.upto = 3;
        check_ok(write_labels(&q));
        files_equal(a, b);
        q.spec.columns = 7;
        check_fails(write_labels(&q), RT_USAGE, "in another coding");
    }
}

/* ---- hard labels ---- */

static rt_rows chosen_by(const char *path, const char *policy)
{
    rt_label_policy *p;
    cJSON *j = cJSON_Parse(policy), *report;
    rt_rows rows = rt_rows_between(FIRST, FIRST + N);
    rt_labels *l = opened(path);
    check_ok(rt_label_policy_read(&p, j, "policy"));
    check_ok(rt_label_policy_apply(p, l, path, &rows, NULL, &report));
    cJSON_Delete(report);
    cJSON_Delete(j);
    rt_label_policy_free(p);
    rt_labels_close(l);
    return rows;
}

static void refused_by(const char *path, const char *policy, const char *why)
{
    rt_label_policy *p;
    cJSON *j = cJSON_Parse(policy), *report = NULL;
    rt_rows rows = rt_rows_between(FIRST, FIRST + N);
    rt_labels *l = opened(path);
    check_ok(rt_label_policy_read(&p, j, "policy"));
    check_fails(rt_label_policy_apply(p, l, path, &rows, NULL, &report), RT_USAGE, why);
    cJSON_Delete(j);
    rt_label_policy_free(p);
    rt_labels_close(l);
}

/* Hard labels and their confidence serve policies as the logits do. */
static void hard(void **state)
{
    (void)state;
    static const char *const policies[] = {
        "{\"confidence\": {\"min\": 0.6}, \"allow_empty\": true}",
        "{\"per_class\": {\"top\": 9}, \"allow_empty\": true}",
        "{\"per_class\": {\"median_capped\": 0.8}, \"balance\": \"equal\", \"allow_empty\": true}",
        "{\"per_class\": {\"quota\": {\"3\": 5}}, \"choose\": \"random\", \"seed\": 4, \"allow_empty\": true}"};
    char full[128], few[128], top[128];
    rt_labels_spec spec = {.first = FIRST, .rows = N, .classes = C, .type = RT_F32};
    check_ok(write_spec(in_folder(full, "full.h5"), spec, wide, 2));
    spec.hard = 1;
    spec.columns = RT_COLUMN_HARD | RT_COLUMN_CONFIDENCE;
    check_ok(write_spec(in_folder(few, "few.h5"), spec, wide, 2));
    for (int i = 0; i < 4; i++) {
        rt_rows a = chosen_by(full, policies[i]), b = chosen_by(few, policies[i]);
        assert_true(a.count > 0);
        assert_int_equal(a.count, b.count);
        assert_int_equal(rt_rows_common(&a, &b), a.count);
        rt_rows_free(&a);
        rt_rows_free(&b);
    }
    refused_by(few, "{\"margin\": {\"min\": 0.1}}", "few.h5 has no column labels/margin, and keeps no logits");
    refused_by(few, "{\"entropy\": {\"max\": 1}}", "has no column labels/entropy");
    refused_by(few, "{\"temperature\": 2, \"confidence\": {\"min\": 0.5}}", "keeps hard labels and no labels/logits");
    rt_labels *l = opened(few);
    float z[2 * C];
    uint64_t row[2] = {FIRST, FIRST + 1499};
    check_ok(rt_labels_read(l, row, 2, z));
    for (int i = 0; i < 2; i++)
        for (int c = 0; c < C; c++)
            check_close("logit", z[i * C + c], c == known[i ? 3 : 0].best ? 0 : log(1e-30), 1e-5, 0);
    rt_labels_close(l);
    spec = (rt_labels_spec){.first = FIRST, .rows = N, .classes = C, .type = RT_F32, .topk = 2};
    check_ok(write_spec(in_folder(top, "top.h5"), spec, wide, 2));
    refused_by(top, "{\"entropy\": {\"max\": 1}}", "has no column labels/entropy; label again without labels.topk");
    spec.columns = RT_COLUMN_ENTROPY;
    check_ok(write_spec(top, spec, wide, 2));
    rt_rows a = chosen_by(full, "{\"entropy\": {\"max\": 1}, \"allow_empty\": true}");
    rt_rows b = chosen_by(top, "{\"entropy\": {\"max\": 1}, \"allow_empty\": true}");
    assert_true(a.count > 0 && a.count < N);
    assert_int_equal(rt_rows_common(&a, &b), a.count);
    assert_int_equal(a.count, b.count);
    rt_rows_free(&a);
    rt_rows_free(&b);
}

/* ---- several heads ---- */

static void heads(void **state)
{
    (void)state;
    char path[128];
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    enum { W = 6 };
    check_ok(rt_heads_add(head, &count, "kind", RT_TASK_CLASSES, 3));
    check_ok(rt_heads_add(head, &count, "tags", RT_TASK_MULTILABEL, 2));
    check_ok(rt_heads_add(head, &count, "size", RT_TASK_REAL, 1));
    rt_labels_spec spec = {.first = FIRST, .rows = ROWS, .classes = W, .type = RT_U8, .columns = 5, .head = head,
                           .heads = count};
    assert_int_equal(rt_labels_spec_check(&spec, head, count), RT_OK);
    check_ok(write_spec(in_folder(path, "heads.h5"), spec, logits, 2));
    float *error = set_of(path, "labels/code_error"), *margin = set_of(path, "labels/kind/margin");
    int32_t *best = set_of(path, "labels/kind/hard");
    rt_labels *l = opened(path);
    double worst[3][2], most[2][2] = {{0}};
    for (int h = 0; h < 3; h++) check_ok(rt_labels_code_error(l, h, worst[h]));
    for (int r = 0; r < ROWS; r++) {
        uint64_t row = FIRST + (uint64_t)r;
        float got[W];
        const float *want = logits + r * W;
        check_ok(rt_labels_read(l, &row, 1, got));
        rt_label_facts f = rt_label_facts_of(want, 3, 1);
        assert_true(f.best == best[r] && f.margin == margin[r]);
        assert_true(got[5] == want[5]);                      /* numbers are kept as they are */
        for (int c = 0; c < 5; c++) most[c > 2][0] = fmax(most[c > 2][0], fabs((double)got[c] - (double)want[c]));
        for (int c = 3; c < 5; c++)
            most[1][1] = fmax(most[1][1], fabs(1 / (1 + exp(-(double)got[c])) - 1 / (1 + exp(-(double)want[c]))));
    }
    for (int h = 0; h < 2; h++) check_close("error", worst[h][0], most[h][0], 0, 1e-6);
    check_close("error of a label", worst[1][1], most[1][1], 0, 1e-6);
    assert_true(worst[2][0] == 0 && most[0][0] > 0 && error[0] > 0 && error[3] > 0);
    rt_labels_close(l);
    free(error);
    free(margin);
    free(best);
    spec.hard = 1;
    check_fails(rt_labels_spec_check(&spec, head, count), RT_USAGE, "head 'size' is of real");
    rt_heads_free(head, count);
}

/* ---- features ---- */

static void features(void **state)
{
    (void)state;
    enum { D = 5 };
    static const rt_label_feature feature[] = {{"pool", D, RT_F32}, {"last", 1, RT_F16}};
    char path[128];
    rt_labels_spec spec = {
        .first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32, .feature = feature, .features = 2};
    float *pool = random_floats((size_t)ROWS * D, 21), *last = random_floats((size_t)ROWS, 22), z[3 * D];
    rt_source *x;
    rt_identity *id;
    rt_labels_writer *w;
    cJSON *m = manifest("t");
    check_ok(rt_source_open(&x, data, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id};
    check_ok(rt_labels_begin(&w, &(rt_target){.path = in_folder(path, "features.h5"), .force = 1}, &spec, m, &job));
    for (uint64_t b = 0; b < 3; b++) {
        size_t at = (size_t)b * RT_LABEL_BLOCK;
        const float *of[] = {pool + at * D, last + at};
        check_ok(rt_labels_put_planes(w, b, &(rt_label_planes){logits + at * K, of, NULL}));
    }
    check_ok(rt_labels_end(w));
    rt_labels *l = opened(path);
    assert_int_equal(rt_labels_find_feature(l, "pool"), 0);
    assert_int_equal(rt_labels_find_feature(l, "none"), -1);
    uint64_t row[3] = {FIRST + 2000, FIRST, FIRST + ROWS - 1};
    check_ok(rt_labels_read_feature(l, 0, RT_LABEL_NO_VIEW, row, 3, z));
    for (int i = 0; i < 3; i++) assert_memory_equal(z + i * D, pool + (row[i] - FIRST) * D, sizeof(float) * D);
    check_ok(rt_labels_read_feature(l, 1, RT_LABEL_NO_VIEW, row, 3, z));
    for (int i = 0; i < 3; i++) check_close("f16", z[i], last[row[i] - FIRST], 1e-6, 5e-4);
    check_ok(rt_labels_read(l, row, 1, z));
    assert_memory_equal(z, logits + (row[0] - FIRST) * K, sizeof(float) * K);
    rt_labels_close(l);
    flip_bit(path, offset_of(path, "labels/features/pool") + 4444, 3);
    check_ok(rt_labels_open(&l, path, 0));
    check_fails(rt_labels_verify(l), RT_INPUT, "block 0");
    rt_labels_close(l);
    rt_identity_close(id);
    rt_source_close(x);
    cJSON_Delete(m);
    free(pool);
    free(last);
}

/* ---- damage ---- */

/* A flipped bit in any set is found: when the store is opened, or by verify. */
static void damage(void **state)
{
    (void)state;
    static const char *const eights[] = {"labels/logits", "labels/logits_scale", "labels/logits_offset", "labels/hard",
                                         "labels/confidence", "labels/margin", "labels/entropy", "labels/code_error",
                                         "labels/status", "labels/block_crc32c", "labels/status_count",
                                         "labels/class_count", "labels/confidence_mean", "source/leaves",
                                         "labels/head_crc32c", "manifest"};
    char path[128];
    check_ok(write_spec(in_folder(path, "damage8.h5"), eight, wide, 2));
    for (size_t i = 0; i < sizeof eights / sizeof eights[0]; i++) {
        rt_labels *l = NULL;
        uint64_t at = offset_of(path, eights[i]);
        for (int byte = 0; byte < 4; byte++) {
            flip_bit(path, at + (uint64_t)byte, (byte * 3 + 1) % 8);
            rt_status st = rt_labels_open(&l, path, 0);
            if (!st) st = rt_labels_verify(l);
            rt_labels_close(l);
            l = NULL;
            if (st != RT_INPUT) fail_msg("%s, byte %d: damaged and not found", eights[i], byte);
            flip_bit(path, at + (uint64_t)byte, (byte * 3 + 1) % 8);
        }
    }
    rt_labels *l = opened(path);
    check_ok(rt_labels_verify(l));
    rt_labels_close(l);
}

/* Manifests that tell what cannot be. */
static void hostile(void **state)
{
    (void)state;
    static const struct { const char *find, *put, *why; } lies[] = {
        {"\"q8\"", "\"q4\"", "manifest.labels.type"},
        {"\"entropy\"", "\"entrope\"", "manifest.labels.columns"},
        {"\"margin\"", "\"hard\"  ", "names a column twice"}};
    char path[128];
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        rt_labels *l = NULL;
        check_ok(write_spec(in_folder(path, "lies.h5"), eight, wide, 2));
        char *text = set_of(path, "manifest"), *at = strstr(text, lies[i].find);
        if (!at) fail_msg("'%s' is not in the manifest", lies[i].find);
        memcpy(at, lies[i].put, strlen(lies[i].put));
        FILE *f = fopen(path, "r+");
        assert_int_equal(fseek(f, (long)offset_of(path, "manifest"), SEEK_SET), 0);
        fwrite(text, 1, strlen(text), f);
        fclose(f);
        free(text);
        check_fails(rt_labels_open(&l, path, 1), RT_INPUT, lies[i].why);
    }
}

static int set_up_wide(void **state)
{
    make_wide();
    return set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded),   cmocka_unit_test(recorded_few),
        cmocka_unit_test(odd_rows),   cmocka_unit_test(same_facts),
        cmocka_unit_test(any_way),
        cmocka_unit_test(hard), cmocka_unit_test(heads), cmocka_unit_test(features), cmocka_unit_test(damage),
        cmocka_unit_test(hostile)};
    return cmocka_run_group_tests(tests, set_up_wide, tear_down);
}
