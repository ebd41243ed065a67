/* The label store: resume to the same bytes, codings against plain references, refusals. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/data/label_stores.h"

static void append(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
}

/* ---- writing ---- */

static void resume(void **state)
{
    (void)state;
    char a[128], b[128], journal[160], line[64];
    rt_labels *l;
    in_folder(a, "a.h5");
    in_folder(b, "b.h5");
    snprintf(journal, sizeof journal, "%s.journal", b);
    check_ok(write_blocks(a, plain, "t", 3, 0));
    check_ok(write_blocks(b, plain, "t", 1, 0));
    check_fails(rt_labels_open(&l, b, 0), RT_INPUT, "not finished");
    assert_int_equal(labelled_rows(b), RT_LABEL_BLOCK);
    check_ok(rt_labels_open(&l, b, 1));
    uint64_t row[3] = {FIRST, FIRST + RT_LABEL_BLOCK};
    float got[3 * K];
    check_ok(rt_labels_read(l, row, 1, got));
    check_fails(rt_labels_read(l, row, 2, got), RT_INPUT, "row 1124 is not labelled yet");
    rt_labels_close(l);
    assert_int_equal(access(journal, F_OK), 0);
    check_ok(write_blocks(b, plain, "t", 2, 0));
    assert_int_equal(labelled_rows(b), 2 * RT_LABEL_BLOCK);
    append(journal, "2 deadbeef 01234567\n2 12");       /* a line that lies, and a torn one */
    assert_int_equal(labelled_rows(b), 2 * RT_LABEL_BLOCK);
    int n = snprintf(line, sizeof line, "2 %08x ", 0xdeadbeefu);
    snprintf(line + n, sizeof line - (size_t)n, "%08x\n", rt_crc32c(0, line, (size_t)n));
    append(journal, line);                             /* swallowed by the torn one */
    assert_int_equal(labelled_rows(b), 2 * RT_LABEL_BLOCK);
    check_ok(write_blocks(b, plain, "t", 3, 0));
    files_equal(a, b);
    assert_int_equal(access(journal, F_OK), -1);
    check_ok(write_blocks(b, plain, "t", 3, 0));        /* again: nothing to do, no journal left */
    files_equal(a, b);
    assert_int_equal(access(journal, F_OK), -1);
    check_ok(rt_labels_open(&l, b, 0));
    row[1] = FIRST + ROWS - 1;
    row[2] = 1200;
    check_ok(rt_labels_read(l, row, 3, got));
    for (int i = 0; i < 3; i++) assert_memory_equal(got + i * K, logits + (row[i] - FIRST) * K, K * 4);
    row[0] = FIRST - 1;
    check_fails(rt_labels_read(l, row, 1, got), RT_INPUT, "no label for row 99");
    row[0] = FIRST + ROWS;
    check_fails(rt_labels_read(l, row, 1, got), RT_INPUT, "covers rows 100 to 2224");
    rt_labels_close(l);
}

/* A journal line counts by its own CRC, even where the block's CRC would do: cut and flipped at every byte. */
static void torn_journal(void **state)
{
    (void)state;
    char path[128], journal[160], text[256];
    in_folder(path, "torn.h5");
    snprintf(journal, sizeof journal, "%s.journal", path);
    check_ok(write_blocks(path, plain, "t", 1, 0));
    FILE *f = fopen(journal, "r");
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_int_equal(text[n - 1], '\n');
    assert_int_equal(labelled_rows(path), RT_LABEL_BLOCK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(truncate(journal, (off_t)i), 0);
        assert_int_equal(labelled_rows(path), 0);
        f = fopen(journal, "w");
        fwrite(text, 1, n, f);
        fclose(f);
        if (text[i] == '\n' || text[i] == ' ') continue;
        flip_bit(journal, i, 0);
        assert_int_equal(labelled_rows(path), 0);
        flip_bit(journal, i, 0);
    }
    /* The line holds, the block does not: it is labelled again. */
    flip_bit(path, offset_of(path, "labels/logits") + 5, 0);
    check_ok(write_blocks(path, plain, "t", 3, 0));
    char a[128];
    files_equal(path, in_folder(a, "a.h5"));
}

static void stale(void **state)
{
    (void)state;
    char a[128], b[128];
    rt_labels_spec other = plain;
    in_folder(a, "s.h5");
    check_ok(write_blocks(a, plain, "t", 3, 0));
    check_fails(write_blocks(a, plain, "t2", 3, 0), RT_USAGE, "another teacher");
    other.type = RT_F16;
    check_fails(write_blocks(a, other, "t", 3, 0), RT_USAGE, "another coding");
    check_ok(write_blocks(a, plain, "t2", 3, 1));
    check_fails(write_blocks(data, plain, "t2", 3, 0), RT_USAGE, "is there and is no label store");
    snprintf(b, sizeof b, "%s.journal", data);
    assert_int_equal(access(b, F_OK), -1);
    assert_int_equal(mkdir(in_folder(b, "folder"), 0777), 0);
    check_fails(write_blocks(b, plain, "t2", 3, 1), RT_USAGE, "no regular file");
    check_fails(write_blocks(in_folder(b, "none/x.h5"), plain, "t", 3, 0), RT_RUN, "No such file");
    static const unsigned char status[4] = {1, 1, 1, 1};
    rt_labels *l;
    rt_h5_item it[] = {{.name = "labels/status", .type = RT_U8, .rank = 1, .dim = {4}, .data = status},
                       {.name = "manifest", .type = RT_TEXT, .element = 2, .data = "{}"}};
    check_ok(rt_h5_save(in_folder(b, "old.h5"), "retort-labels-1", it, 2));
    check_fails(rt_labels_open(&l, b, 1), RT_INPUT,
                "of an older format, which does not say what rows it is of; make it");
    check_fails(write_blocks(b, plain, "t", 3, 0), RT_USAGE, "of an older format");
    check_ok(write_blocks(b, plain, "t", 3, 1));
    assert_int_equal(labelled_rows(b), ROWS);
    other.rows = 0;
    check_fails(write_blocks(in_folder(b, "zero.h5"), other, "t", 1, 1), RT_NOTHING, "no rows");
    assert_int_equal(access(b, F_OK), -1);
}

/* Another process writes: neither a second start nor --force takes its file away. */
static void locked(void **state)
{
    (void)state;
    char path[128];
    int told[2], go[2];
    char c;
    in_folder(path, "locked.h5");
    assert_int_equal(pipe(told) | pipe(go), 0);
    pid_t child = fork();
    if (!child) {
        close(go[1]); /* so that it ends with this process */
        rt_source *x = NULL;
        rt_identity *id = NULL;
        rt_labels_writer *w = NULL;
        cJSON *m = manifest("t");
        int bad = rt_source_open(&x, data, "x") || rt_identity_open(&id, x, RT_CHECK_KNOWN);
        rt_labels_job job = {.source = id};
        bad = bad || rt_labels_begin(&w, &(rt_target){.path = path}, &plain, m, &job) ||
              rt_labels_put(w, 0, logits, NULL);
        if (write(told[1], "x", 1) != 1 || read(go[0], &c, 1) != 1) bad = 1;
        for (uint64_t b = 1; b < 3 && !bad; b++) bad = rt_labels_put(w, b, logits + b * RT_LABEL_BLOCK * K, NULL);
        bad = bad || rt_labels_end(w);
        rt_identity_close(id), rt_source_close(x), cJSON_Delete(m); /* or valgrind counts them as lost */
        _exit(bad);
    }
    assert_int_equal(read(told[0], &c, 1), 1);
    check_fails(write_blocks(path, plain, "t", 3, 0), RT_RUN, "another process");
    check_fails(write_blocks(path, plain, "t", 1, 1), RT_RUN, "another process");
    assert_int_equal(write(go[1], "x", 1), 1);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(labelled_rows(path), ROWS);
    for (int i = 0; i < 2; i++) {
        close(told[i]);
        close(go[i]);
    }
}

/* ---- of what ---- */

static void other_data(void **state)
{
    (void)state;
    char path[128], copy[128], short_path[128];
    rt_labels *l;
    rt_source *x;
    rt_identity *id;
    in_folder(path, "of.h5");
    in_folder(copy, "copy.h5");
    write_source(copy);                                /* the same rows in another file */
    writing q = {.path = path, .source = copy, .spec = plain, .upto = 1};
    check_ok(write_labels(&q));
    q.source = NULL;
    check_ok(write_labels(&q));
    uint64_t at = offset_of(copy, "x");
    /* in no span of the block that is done */
    flip_bit(copy, at + (uint64_t)(FIRST + 2 * RT_LABEL_BLOCK + 1) * WIDTH * 4, 0);
    q.source = copy;
    check_ok(write_labels(&q));
    flip_bit(copy, at + (uint64_t)(FIRST + 3) * WIDTH * 4, 0);
    check_fails(write_labels(&q), RT_USAGE, "holds labels of other data: rows 100 to 1023 of the source have changed");
    flip_bit(copy, at + (uint64_t)(FIRST + 3) * WIDTH * 4, 0);
    q.upto = 3;
    check_ok(write_labels(&q));

    check_ok(rt_labels_open(&l, path, 0));             /* labelled with the changed row */
    check_ok(rt_source_open(&x, copy, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    check_ok(rt_labels_check_source(l, id, NULL, NULL));
    rt_identity_close(id);
    rt_source_close(x);
    check_ok(rt_source_open(&x, data, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    check_fails(rt_labels_check_source(l, id, NULL, NULL), RT_INPUT, "rows 2048 to 2224 are not what was labelled");
    rt_identity_close(id);
    rt_source_close(x);
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {SOURCE_ROWS - 1, WIDTH}, .data = content}};
    check_ok(rt_h5_save(in_folder(short_path, "short.h5"), "retort-data-1", it, 1));
    check_ok(rt_source_open(&x, short_path, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    check_fails(rt_labels_check_source(l, id, NULL, NULL), RT_INPUT, "of other data");
    rt_identity_close(id);
    rt_source_close(x);
    q.source = short_path;
    check_fails(write_labels(&q), RT_USAGE, "of other data");
    rt_labels_close(l);
}

/* Rows that change under the labeller are not reported as done. */
static void changing(void **state)
{
    (void)state;
    char path[128], copy[128];
    rt_source *x;
    rt_identity *id;
    rt_labels_writer *w;
    cJSON *m = manifest("t");
    in_folder(path, "changing.h5");
    write_source(in_folder(copy, "copy2.h5"));
    check_ok(rt_source_open(&x, copy, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id};
    check_ok(rt_labels_begin(&w, &(rt_target){.path = path}, &plain, m, &job));
    check_ok(rt_labels_put(w, 0, logits, NULL));
    check_ok(rt_labels_commit(w));
    check_ok(rt_labels_put(w, 1, logits + RT_LABEL_BLOCK * K, NULL));
    usleep(20000);
    flip_bit(copy, offset_of(copy, "x") + (uint64_t)(FIRST + 1300) * WIDTH * 4, 0);
    check_fails(rt_labels_commit(w), RT_INPUT, "rows 1024 to 2047 were changed while they were read");
    assert_int_not_equal(rt_labels_end(w), RT_OK);
    rt_identity_close(id);
    rt_source_close(x);
    cJSON_Delete(m);
    assert_int_equal(labelled_rows(path), RT_LABEL_BLOCK);
}

/* ---- codings ---- */

static void codings(void **state)
{
    (void)state;
    char path[128];
    for (int topk = 0; topk <= 3; topk += 3)
        for (int half = 0; half < 2; half++) {
            rt_labels_spec spec = {.rows = ROWS, .classes = K, .topk = topk, .type = half ? RT_F16 : RT_F32};
            rt_labels *l;
            snprintf(path, sizeof path, "%s/code%d%d.h5", test_folder, topk, half);
            check_ok(write_blocks(path, spec, "t", 3, 0));
            check_ok(rt_labels_open(&l, path, 0));
            for (uint64_t r = 0; r < ROWS; r += 97) {
                float z[K];
                const float *want = logits + r * K;
                double a = 0, b = 0;
                int best = 0, got = 0;
                check_ok(rt_labels_read(l, &r, 1, z));
                for (int c = 0; c < K; c++) {
                    a += exp(want[c]);
                    b += exp(z[c]);
                    if (want[c] > want[best]) best = c;
                    if (z[c] > z[got]) got = c;
                    if (!topk) check_close("logit", z[c], want[c], 1e-6, half ? 5e-4 : 0);
                }
                check_close("total probability", b, a, 0, half ? 2e-3 : 1e-5);
                assert_int_equal(best, got);
            }
            rt_labels_close(l);
        }
}

/* Top-k by the definition: k times the best class that is left, the lower of equal ones; the tail in double with
 * libm. */
static void plain_topk(const float *z, int classes, int k, int32_t *id, float *value, float *tail)
{
    double sum = 0;
    for (int i = 0; i < k; i++) {
        int best = -1;
        for (int c = 0; c < classes; c++) {
            int used = 0;
            for (int j = 0; j < i; j++) used |= id[j] == c;
            if (!used && (best < 0 || z[c] > z[best])) best = c;
        }
        id[i] = best;
        value[i] = z[best];
    }
    for (int c = 0; c < classes; c++) {
        int used = 0;
        for (int j = 0; j < k; j++) used |= id[j] == c;
        if (!used) sum += exp(z[c] - (double)value[k - 1]);
    }
    *tail = sum > 0                 ? (float)(value[k - 1] + log(sum / (classes - k)))
            : value[k - 1] > -1e29f ? -1e30f
                                    : nextafterf(value[k - 1], -INFINITY);
    if (sum == 0) assert_true(exp((double)*tail - (double)value[k - 1]) == 0);         /* vanishes, as they do */
}

static void topk_bytes(void **state)
{
    (void)state;
    static const int shape[][2] = {{2, 1}, {3, 2}, {7, 3}, {16, 15}, {40, 4}, {63, 8}, {100, 9}, {257, 64}, {1000, 5},
                                   {1030, 250}, {1100, 512}};
    enum { N = 40 };
    char path[128];
    for (size_t q = 0; q < sizeof shape / sizeof shape[0]; q++) {
        int classes = shape[q][0], k = shape[q][1];
        float *z = random_floats((size_t)N * (size_t)classes, (uint32_t)(100 + q)), *got;
        int32_t *got_id, id[512];
        float value[512], tail, *got_value, *got_tail;
        for (int c = 0; c < classes; c++) {
            z[c] = 1.5f;                               /* all equal */
            z[classes + c] = (float)(c % 3);           /* many ties */
            z[2 * classes + c] = c % 2 ? 0.0f : -0.0f; /* equal zeros of two signs */
            z[3 * classes + c] = -(float)c;            /* falling, and rising */
            z[4 * classes + c] = (float)c;
            z[5 * classes + c] = c == classes / 2 ? 900 : -900.0f * (float)(c % 2);   /* terms that vanish */
            z[6 * classes + c] = c ? -3e38f : 3e38f;
            z[7 * classes + c] *= 200;
            z[9 * classes + c] = -1e36f * ((float)(c + 1) / (float)classes); /* below what stands for what vanishes */
            z[8 * classes + c] = (float)((int)(z[8 * classes + c] * 4)) / 4;
        }
        writing w = {.path = in_folder(path, "topk.h5"), .logits = z, .upto = 1, .force = 1,
                     .spec = {.rows = N, .classes = classes, .topk = k, .type = RT_F32}};
        check_ok(write_labels(&w));
        rt_h5_file *f;
        check_ok(rt_h5_scan(&f, path));
        check_ok(rt_h5_read_all((void **)&got_id, f, "labels/topk_id", 1 << 24));
        check_ok(rt_h5_read_all((void **)&got_value, f, "labels/topk_logit", 1 << 24));
        check_ok(rt_h5_read_all((void **)&got_tail, f, "labels/tail", 1 << 24));
        rt_h5_close(f);
        for (int r = 0; r < N; r++) {
            plain_topk(z + (size_t)r * (size_t)classes, classes, k, id, value, &tail);
            assert_memory_equal(got_id + r * k, id, (size_t)k * 4);
            assert_memory_equal(got_value + r * k, value, (size_t)k * 4);
            if (memcmp(&got_tail[r], &tail, 4))
                fail_msg("tail of row %d, top %d of %d: %.9g, want %.9g", r, k, classes, (double)got_tail[r],
                         (double)tail);
        }
        rt_labels *l;
        check_ok(rt_labels_open(&l, path, 0));
        got = malloc((size_t)classes * sizeof *got);
        for (uint64_t r = 0; r < N; r++) {
            check_ok(rt_labels_read(l, &r, 1, got));
            plain_topk(z + r * (size_t)classes, classes, k, id, value, &tail);
            for (int j = 0; j < k; j++) assert_true(got[id[j]] == value[j]);
            for (int c = 0, others = 0; c < classes; c++) {
                others += got[c] == tail;
                if (c == classes - 1) assert_true(others >= classes - k);
            }
        }
        rt_labels_close(l);
        free(got);
        free(got_id);
        free(got_value);
        free(got_tail);
        free(z);
    }
}

/* Counts and mean confidence against a plain sum, in each coding and after a resume. */
static void counts(void **state)
{
    (void)state;
    char path[128];
    for (int topk = 0; topk <= 3; topk += 3) {
        uint64_t want[K] = {0};
        double confidence = 0;
        for (int r = 0; r < ROWS; r++) {
            const float *z = logits + r * K;
            double sum = 0;
            int best = 0;
            for (int c = 0; c < K; c++) if (z[c] > z[best]) best = c;
            for (int c = 0; c < K; c++) sum += exp((double)z[c] - z[best]);
            want[best]++;
            confidence += 1 / sum / ROWS;
        }
        writing q = {.path = in_folder(path, topk ? "count3.h5" : "count0.h5"), .spec = plain, .upto = 2};
        q.spec.topk = topk;
        check_ok(write_labels(&q));
        q.upto = 3;
        check_ok(write_labels(&q));
        assert_memory_equal(q.counts, want, sizeof want);
        check_close("confidence", q.summary.confidence, confidence, 0, 1e-6);
        rt_labels *l;
        rt_labels_summary s;
        check_ok(rt_labels_open(&l, path, 0));
        check_ok(rt_labels_summarize(l, &s));
        assert_memory_equal(s.class_count, want, sizeof want);
        check_close("stored confidence", s.confidence, confidence, 0, 1e-6);
        assert_int_equal(s.status[RT_LABEL_DONE], ROWS);
        int heads;
        const rt_head *head = rt_labels_heads(l, &heads);
        cJSON *json = rt_labels_class_counts(&s, head, heads);
        assert_int_equal(cJSON_GetObjectItem(json, "4")->valuedouble, want[4]);
        cJSON_Delete(json);
        rt_labels_close(l);
    }
}

/* Logits in the order of other names: as the student has its classes, in every coding. */
static void class_order(void **state)
{
    (void)state;
    /* place of the store's class c in the student's order: no involution */
    static const int to[K] = {3, 0, 5, 1, 2, 4};
    static const char *const name[K] = {"a", "b", "c", "d", "e", "f"};
    const char *turned[K];
    for (int c = 0; c < K; c++) turned[to[c]] = name[c];
    cJSON *classes = cJSON_CreateStringArray(name, K), *order = cJSON_CreateStringArray(turned, K);
    cJSON *other = cJSON_Duplicate(order, 1);
    cJSON_ReplaceItemInArray(other, 2, cJSON_CreateString("g"));
    rt_head student = {.name = (char *)"y", .size = K}, stranger = student;
    check_ok(rt_names_from_json(&student.names, order, "s.h5", "classes"));
    check_ok(rt_names_from_json(&stranger.names, other, "s.h5", "classes"));
    for (int topk = 0; topk <= 3; topk += 3) {
        char path[128];
        rt_labels *l;
        writing q = {.path = in_folder(path, topk ? "order3.h5" : "order0.h5"), .upto = 1, .classes = classes,
                     .spec = {.rows = RT_LABEL_BLOCK, .classes = K, .topk = topk, .type = RT_F32}};
        check_ok(write_labels(&q));
        q.classes = order;
        check_fails(write_labels(&q), RT_USAGE, "by a teacher with other classes");
        check_ok(rt_labels_open(&l, path, 0));
        int heads;
        assert_string_equal(rt_labels_heads(l, &heads)[0].names.name[5], "f");
        uint64_t row[2] = {7, 900};
        float own[2 * K], got[2 * K];
        check_ok(rt_labels_read(l, row, 2, own));
        check_fails(rt_labels_set_heads(l, &stranger, 1, "s.h5", RT_MATCH_NAMES), RT_INPUT,
                    "s.h5: its class 'g' is not among those of ");
        check_ok(rt_labels_set_heads(l, &student, 1, "s.h5", RT_MATCH_NAMES));
        check_ok(rt_labels_read(l, row, 2, got));
        for (int i = 0; i < 2; i++)
            for (int c = 0; c < K; c++) {
                assert_true(got[i * K + to[c]] == own[i * K + c]);
                if (!topk) assert_true(own[i * K + c] == logits[row[i] * K + (uint64_t)c]);
            }
        rt_labels_close(l);
    }
    cJSON_Delete(classes);
    cJSON_Delete(order);
    cJSON_Delete(other);
    rt_names_free(&student.names);
    rt_names_free(&stranger.names);
}

/* The digest is of what is said, and nothing else. */
static void digest(void **state)
{
    (void)state;
    char path[128];
    rt_labels *l;
    rt_digest one, two, three;
    check_ok(rt_labels_open(&l, in_folder(path, "a.h5"), 0));
    check_ok(rt_labels_digest(l, &one));
    rt_labels_close(l);
    check_ok(rt_labels_open(&l, in_folder(path, "b.h5"), 0));
    check_ok(rt_labels_digest(l, &two));
    rt_labels_close(l);
    assert_string_equal(one.hex, two.hex);
    logits[7] += 1;
    check_ok(write_blocks(in_folder(path, "c.h5"), plain, "t", 3, 0));
    logits[7] -= 1;
    check_ok(rt_labels_open(&l, path, 0));
    check_ok(rt_labels_digest(l, &three));
    rt_labels_close(l);
    assert_string_not_equal(one.hex, three.hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume),      cmocka_unit_test(torn_journal), cmocka_unit_test(stale),
        cmocka_unit_test(locked),      cmocka_unit_test(other_data),   cmocka_unit_test(changing),
        cmocka_unit_test(class_order), cmocka_unit_test(codings),      cmocka_unit_test(topk_bytes),
        cmocka_unit_test(counts),      cmocka_unit_test(digest)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
