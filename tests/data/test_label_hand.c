/* Labels by hand, and smaller copies of a store. */
#include <fcntl.h>
#include <unistd.h>

#include "data/label_append.h"
#include "data/label_pack.h"
#include "data/label_policy.h"
#include "data/files.h"
#include "data/label_scan.h"
#include "data/labels_parts.h"
#include "tests/data/label_stores.h"

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static char store[128], csv[128];

static rt_status give(const char *text, int replace, cJSON **result)
{
    put_text(csv, text);
    return rt_label_append(&(rt_label_append_job){.store = store, .hand = csv, .replace = replace}, result);
}

static int number(const cJSON *r, const char *name) { return cJSON_GetObjectItemCaseSensitive(r, name)->valueint; }

/* The test's rows, of which 130 and 1500 have no label. */
static void write_store(rt_labels_spec spec)
{
    static unsigned char status[ROWS];
    memset(status, RT_LABEL_DONE, sizeof status);
    status[30] = status[1400] = RT_LABEL_BAD_INPUT;
    writing q = {.path = store, .spec = spec, .upto = 3, .force = 1, .mark_bad = 1, .status = status};
    check_ok(write_labels(&q));
}

static int best_of(uint64_t row)
{ return rt_label_facts_of(logits + (row - FIRST) * K, K, 1).best; }

/* ---- by hand ---- */

static rt_status look(void *arg, const rt_label_batch *b)
{
    int *seen = arg;
    for (int i = 0; i < b->n; i++) {
        if (b->status[i] != RT_LABEL_BY_HAND) continue;
        assert_true(b->fact[i].confidence == 1 && b->fact[i].margin == 1 && b->fact[i].entropy == 0);
        assert_int_equal(b->fact[i].best, b->row[i] == 130 ? 5 : b->row[i] == 1500 ? 0 : 2);
        rt_label_facts f = rt_label_facts_at(b, i, &(rt_head){.size = K}, 7);
        assert_true(f.confidence == 1 && f.best == b->fact[i].best);
        (*seen)++;
    }
    return RT_OK;
}

static void appended(void **state)
{
    (void)state;
    rt_labels *l;
    rt_labels_summary before, after;
    uint64_t count[K], row[] = {130, 1500, 2000, 2001}, removed;
    unsigned char status[4];
    float z[4 * K];
    cJSON *r;
    rt_digest was, is;
    write_store(plain);
    check_ok(rt_labels_open(&l, store, 0));
    check_ok(rt_labels_summarize(l, &before));
    memcpy(count, before.class_count, sizeof count);
    check_ok(rt_labels_digest(l, &was));
    rt_labels_close(l);
    check_ok(give("id,label , row\na,5,130\nb,,1999\nc, 0 ,1500\n\nd,2,2000\n", 0, &r));
    assert_int_equal(number(r, "new"), 3);
    assert_int_equal(number(r, "without_label"), 1);
    assert_int_equal(number(r, "by_hand"), 3);
    assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(r, "columns_not_read"), 0)->valuestring, "id");
    cJSON_Delete(r);
    check_ok(rt_labels_open(&l, store, 0));
    check_ok(rt_labels_verify(l));
    check_ok(rt_labels_summarize(l, &after));
    count[5]++;
    count[0]++;
    count[2]++;
    count[best_of(2000)]--;
    assert_memory_equal(after.class_count, count, sizeof count);
    assert_int_equal(after.status[RT_LABEL_BY_HAND], 3);
    assert_int_equal(after.status[RT_LABEL_DONE], ROWS - 3);
    assert_int_equal(after.status[RT_LABEL_BAD_INPUT], 0);
    double teacher = (double)rt_label_facts_of(logits + (2000 - FIRST) * K, K, 1).confidence;
    check_close("confidence", after.confidence, (before.confidence * (ROWS - 2) - teacher + 3) / ROWS, 0, 1e-6);
    check_ok(rt_labels_digest(l, &is));
    assert_string_not_equal(was.hex, is.hex);
    check_ok(rt_labels_status(l, row, 4, status));
    assert_true(status[0] == 4 && status[1] == 4 && status[2] == 4 && status[3] == 1);
    check_ok(rt_labels_read(l, row, 4, z));
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < K; c++)
            check_close("logit", z[i * K + c], c == (i ? i == 1 ? 0 : 2 : 5) ? 0 : log(1e-30), 1e-5, 0);
    assert_memory_equal(z + 3 * K, logits + (2001 - FIRST) * K, K * sizeof *z);
    rt_rows rows = rt_rows_between(FIRST, FIRST + ROWS);
    check_ok(rt_labels_remove_bad(l, &rows, &removed));
    assert_int_equal(removed, 0);
    int heads, seen = 0;
    check_ok(rt_label_scan(l, store, rt_labels_heads(l, &heads), NULL, NULL, look, &seen));
    assert_int_equal(seen, 3);
    rt_labels_close(l);
    /* The same command goes on with it, and changes nothing; another label is refused but for --replace. */
    char copy[128];
    rt_digest file, again;
    check_ok(rt_digest_file(&file, store, 0));
    writing q = {.path = store, .spec = plain, .upto = 3, .mark_bad = 1};
    check_ok(write_labels(&q));
    check_ok(rt_digest_file(&again, store, 0));
    assert_string_equal(file.hex, again.hex);
    check_fails(give("row;label\n2000;3\n", 0, &r), RT_INPUT, "gives row 2000 the label '3', and");
    check_ok(give("row;label\r\n2000;2\r\n", 0, &r));
    assert_int_equal(number(r, "same"), 1);
    cJSON_Delete(r);
    check_ok(rt_digest_file(&again, store, 0));
    assert_string_equal(file.hex, again.hex);
    check_ok(give("row\tlabel\n2000\t3\n2223\t1\n", 1, &r));
    assert_int_equal(number(r, "replaced"), 1);
    assert_int_equal(number(r, "by_hand"), 4);
    cJSON_Delete(r);
    /* In one go or in several: the same file. */
    snprintf(copy, sizeof copy, "%s/first.h5", test_folder);
    assert_int_equal(rename(store, copy), 0);
    write_store(plain);
    check_ok(give("row,label\n2223,1\n130,5\n2000,3\n1500,0\n2000,3\n", 0, &r));
    cJSON_Delete(r);
    files_equal(store, copy);
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *text, *why; rt_status st; } bad[] = {
        {"row,label\n99,1\n", "line 2: ", RT_INPUT},
        {"row,label\n2225,1\n", "it covers rows 100 to 2224", RT_INPUT},
        {"row,label\n200,1\n300,6\n", "line 3: '6' is no class of", RT_INPUT},
        {"row,label\n200,01\n", "'01' is no class", RT_INPUT},
        {"row,label\n200,1\n201,2\n200,4\n", "lines 2 and 4 give row 200 two labels, '1' and '4'", RT_INPUT},
        {"row,label\n-200,1\n", "'-200' is no number of a row", RT_INPUT},
        {"row,label\n200.0,1\n", "'200.0' is no number of a row", RT_INPUT},
        {"row,label\n99999999999999999999,1\n", "is no number of a row", RT_INPUT},
        {"row,label\n200\n", "has 1 cells", RT_INPUT},
        {"200,1\n", "line 1 must name the columns 'row' and 'label'", RT_INPUT},
        {"row,label,row\n200,1,4\n", "names column 'row' or 'label' twice", RT_INPUT},
        {"", "line 1 must name", RT_INPUT},
        {"row,label\n", "gives no row a label", RT_NOTHING},
        {"row,label\n200,\"1\n", "is never closed", RT_INPUT}};
    cJSON *r;
    rt_digest before, after;
    write_store(plain);
    check_ok(rt_digest_file(&before, store, 0));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_fails(give(bad[i].text, 0, &r), bad[i].st, bad[i].why);
        assert_null(r);
        check_ok(rt_digest_file(&after, store, 0));
        assert_string_equal(before.hex, after.hex);
    }
    char other[128];
    rt_label_append_job job = {.store = in_folder(other, "none.h5"), .hand = csv};
    check_fails(rt_label_append(&job, &r), RT_INPUT, "none.h5: is not there");
    put_text(csv, "row,label\n200,1\n");
    job.store = data;
    check_fails(rt_label_append(&job, &r), RT_INPUT, "data.h5: is no label store");
    flip_bit(store, offset_of(store, "labels/logits") + 4 * RT_LABEL_BLOCK * K, 2);
    check_fails(give("row,label\n200,1\n", 0, &r), RT_INPUT, "block 1 is damaged");
}

/* A flipped bit in what is by hand is found when the store is opened, or by verify. */
static void damage(void **state)
{
    (void)state;
    static const char *const sets[] = {"hand/row", "hand/label", "labels/status", "manifest"};
    cJSON *r;
    write_store(plain);
    check_ok(give("row,label\n100,1\n101,2\n", 0, &r));
    cJSON_Delete(r);
    for (int i = 0; i < 4; i++)
        for (uint64_t byte = 0; byte < 2; byte++) {
            rt_labels *l = NULL;
            uint64_t at = offset_of(store, sets[i]) + byte;
            flip_bit(store, at, 1);
            rt_status st = rt_labels_open(&l, store, 0);
            if (!st) st = rt_labels_verify(l);
            rt_labels_close(l);
            if (st != RT_INPUT) fail_msg("%s, byte %d: damaged and not found", sets[i], (int)byte);
            flip_bit(store, at, 1);
        }
}

/* A store that is not finished keeps what is labelled, and what people said waits for the rest: the same file as of a
 * finished one. Blocks that were done are not done again: other answers to them would be in the file. */
static void unfinished(void **state)
{
    (void)state;
    static const char text[] = "row,label\n130,5\n1500,0\n1501,2\n2200,1\n";
    char whole[128], journal[160];
    cJSON *r;
    rt_labels *l;
    rt_labels_summary s;
    write_store(plain);
    check_ok(give(text, 0, &r));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(r, "complete")));
    cJSON_Delete(r);
    assert_int_equal(rename(store, in_folder(whole, "whole.h5")), 0);
    for (int blocks = 0; blocks < 3; blocks++) {
        static unsigned char status[ROWS];
        float *others = malloc((size_t)ROWS * K * sizeof *others);
        memset(status, RT_LABEL_DONE, sizeof status);
        status[30] = status[1400] = RT_LABEL_BAD_INPUT;
        writing q = {.path = store, .spec = plain, .upto = blocks, .force = 1, .mark_bad = 1, .status = status};
        check_ok(write_labels(&q));
        for (int twice = 0; twice < 2; twice++) {
            check_ok(give(text, 0, &r));
            assert_int_equal(number(r, "by_hand"), 4);
            assert_true(cJSON_IsFalse(cJSON_GetObjectItem(r, "complete")));
            cJSON_Delete(r);
        }
        check_ok(rt_labels_open(&l, store, 1));
        check_ok(rt_labels_verify(l));
        check_ok(rt_labels_summarize(l, &s));
        assert_int_equal(s.status[RT_LABEL_BY_HAND], blocks ? blocks == 1 ? 1 : 3 : 0);
        assert_int_equal(s.status[RT_LABEL_NOT_YET], blocks == 2 ? 77 : ROWS - blocks * RT_LABEL_BLOCK);
        rt_labels_close(l);
        memcpy(others, logits, (size_t)ROWS * K * sizeof *others);
        memset(others, 0, (size_t)blocks * RT_LABEL_BLOCK * K * sizeof *others);
        q.logits = others;
        q.upto = 3;
        q.force = 0;
        check_ok(write_labels(&q));
        files_equal(store, whole);
        snprintf(journal, sizeof journal, "%s.journal", store);
        assert_int_equal(access(journal, F_OK), -1);
        free(others);
    }
}

/* While a shard labels nobody else writes: it would go on with the file that was. */
static void while_a_shard_labels(void **state)
{
    (void)state;
    int dir = open(test_folder, O_RDONLY | O_DIRECTORY);
    rt_lock lock = RT_LOCK_FREE;
    rt_digest before, after;
    cJSON *r;
    writing q = {.path = store, .spec = plain, .upto = 1, .force = 1};
    check_ok(write_labels(&q));
    check_ok(rt_digest_file(&before, store, 0));
    check_ok(rt_lock_take(&lock, dir, ".store.h5.shard-0-2.retort-lock", store));
    check_fails(give("row,label\n130,5\n", 0, &r), RT_RUN, "its shard 0/2");
    check_ok(rt_digest_file(&after, store, 0));
    assert_string_equal(before.hex, after.hex);
    rt_lock_release(&lock);
    check_ok(give("row,label\n130,5\n", 0, &r));
    cJSON_Delete(r);
    unlink(in_folder((char[128]){0}, ".store.h5.shard-0-2.retort-lock"));
    close(dir);
}

/* Killed between the lines for the new file and its rename, or behind it: blocks of either file are there. */
static void swapped(void **state)
{
    (void)state;
    char journal[160], kept[160], old[128];
    cJSON *r;
    rt_labels *l;
    writing q = {.path = store, .spec = plain, .upto = 2, .force = 1};
    check_ok(write_labels(&q));
    q.force = 0;
    check_ok(write_labels(&q));                  /* its journal has summary lines alone, as append makes it */
    snprintf(journal, sizeof journal, "%s.journal", store);
    snprintf(kept, sizeof kept, "%s.kept", store);
    in_folder(old, "old.h5");
    char *text[2];
    size_t n[2];
    rt_digest file;
    assert_int_equal(link(store, old), 0);                     /* the old file; append makes another one */
    check_ok(rt_read_file(&text[0], &n[0], journal, 1 << 20));
    check_ok(give("row,label\n130,5\n1500,0\n", 0, &r));
    cJSON_Delete(r);
    check_ok(rt_read_file(&text[1], &n[1], journal, 1 << 20));
    assert_true(n[0] != n[1] || memcmp(text[0], text[1], n[0]));
    assert_int_equal(rename(journal, kept), 0);
    FILE *f = fopen(journal, "w");                            /* as it is when the new file is about to be renamed */
    for (int i = 0; i < 2; i++) fwrite(text[i], 1, n[i], f);
    fclose(f);
    for (int which = 0; which < 2; which++) {                 /* with the new file, then with the old one */
        if (which) assert_int_equal(rename(old, store), 0);
        check_ok(rt_labels_open(&l, store, 1));
        check_ok(rt_labels_verify(l));
        assert_true(rt_labels_has_block(l, 0) && rt_labels_has_block(l, 1) && !rt_labels_has_block(l, 2));
        rt_labels_close(l);
    }
    flip_bit(journal, n[0] / 2, 1);                           /* what is done is not known: nothing is written */
    check_ok(rt_digest_file(&file, store, 0));
    check_fails(give("row,label\n130,5\n1500,0\n", 0, &r), RT_INPUT, "a line of store.h5.journal is damaged");
    rt_digest still;
    check_ok(rt_digest_file(&still, store, 0));
    assert_string_equal(file.hex, still.hex);
    free(text[0]);
    free(text[1]);
    unlink(kept);
}

/* Of several heads of classes each has its own. */
static void of_heads(void **state)
{
    (void)state;
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    check_ok(rt_heads_add(head, &count, "kind", RT_TASK_CLASSES, 3));
    check_ok(rt_heads_add(head, &count, "size", RT_TASK_REAL, 1));
    check_ok(rt_heads_add(head, &count, "place", RT_TASK_CLASSES, 2));
    rt_labels_spec spec = {.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32, .columns = 3, .head = head,
                           .heads = count};
    static unsigned char status[ROWS];
    char whole[128];
    cJSON *r;
    rt_labels *l;
    for (int upto = 3; upto > 0; upto -= 2) {                 /* finished; a block of it */
        memset(status, RT_LABEL_DONE, sizeof status);
        status[30] = RT_LABEL_BAD_INPUT;
        writing q = {.path = store, .spec = spec, .upto = upto, .force = 1, .mark_bad = 1, .status = status};
        check_ok(write_labels(&q));
        put_text(csv, "row,label\n130,1\n200,2\n1500,0\n");
        rt_label_append_job job = {.store = store, .hand = csv};
        check_fails(rt_label_append(&job, &r), RT_USAGE, "several heads of classes: kind (classes, 3), size");
        job.head = "size";
        check_fails(rt_label_append(&job, &r), RT_USAGE, "its head 'size' is no head of classes");
        job.head = "place";
        check_fails(rt_label_append(&job, &r), RT_INPUT, "line 3: '2' is no class");
        job.head = "kind";
        check_ok(rt_label_append(&job, &r));
        if (upto == 3) assert_int_equal(number(r, "without_answer"), 1);
        cJSON_Delete(r);
        put_text(csv, "row,label\n200,1\n201,0\n");
        job.head = "place";
        check_ok(rt_label_append(&job, &r));
        assert_int_equal(number(r, "by_hand"), 5);
        cJSON_Delete(r);
        q.force = 0;
        q.upto = 3;
        check_ok(write_labels(&q));
        if (upto == 3) assert_int_equal(rename(store, in_folder(whole, "whole.h5")), 0);
    }
    files_equal(store, whole);
    check_ok(rt_labels_open(&l, store, 0));
    check_ok(rt_labels_verify(l));
    uint64_t row[] = {130, 200, 201, 202, 1500};
    unsigned char is[5];
    float z[5 * K];
    rt_label_facts f[5];
    check_ok(rt_labels_status(l, row, 5, is));
    assert_memory_equal(is, ((unsigned char[]){3, 4, 4, 1, 4}), 5);
    check_ok(rt_labels_read(l, row + 1, 4, z));
    for (int i = 0; i < 4; i++) {
        const float *want = logits + (row[i + 1] - FIRST) * K, *got = z + i * K;
        int kind = i == 0 ? 2 : i == 3 ? 0 : -1, place = i == 0 ? 1 : i == 1 ? 0 : -1;
        for (int c = 0; c < 3; c++)
            check_close("kind", got[c], kind < 0 ? want[c] : c == kind ? 0 : (float)log(1e-30), 1e-5, 0);
        assert_true(got[3] == want[3]);
        for (int c = 0; c < 2; c++)
            check_close("place", got[4 + c], place < 0 ? want[4 + c] : c == place ? 0 : (float)log(1e-30), 1e-5, 0);
    }
    check_ok(rt_labels_read_columns(l, 0, RT_LABEL_NO_VIEW, row + 1, 4, f));
    assert_true(f[0].best == 2 && f[0].confidence == 1 && f[1].confidence < 1 && f[3].best == 0);
    check_ok(rt_labels_read_columns(l, 2, RT_LABEL_NO_VIEW, row + 1, 4, f));
    assert_true(f[0].best == 1 && f[1].best == 0 && f[1].confidence == 1 && f[3].confidence < 1);
    assert_true(rt_labels_is_by_hand(l, 0, 200) && !rt_labels_is_by_hand(l, 0, 201) && rt_labels_is_by_hand(l, 2, 201));
    rt_labels_close(l);
    static const char *const sets[] = {"hand/row", "hand/label", "hand/head"};
    for (int i = 0; i < 3; i++) {
        uint64_t at = offset_of(store, sets[i]);
        flip_bit(store, at, 1);
        check_fails(rt_labels_open(&l, store, 0), RT_INPUT, "labels by hand are not what its manifest tells");
        flip_bit(store, at, 1);
    }
    rt_heads_free(head, count);
}

/* ---- pack ---- */

static void *set_of(const char *path, const char *name, size_t *bytes)
{
    rt_h5_file *f;
    void *out;
    check_ok(rt_h5_scan(&f, path));
    const rt_h5_dataset *d = rt_h5_find(f, name);
    *bytes = d ? d->element : 0;
    for (int i = 0; d && i < d->rank; i++) *bytes *= (size_t)d->dim[i];
    check_ok(rt_h5_read_all(&out, f, name, 1 << 26));
    rt_h5_close(f);
    return out;
}

static void same_set(const char *a, const char *b, const char *name)
{
    size_t n, m;
    void *x = set_of(a, name, &n), *y = set_of(b, name, &m);
    assert_int_equal(n, m);
    if (memcmp(x, y, n)) fail_msg("%s differs between %s and %s", name, a, b);
    free(x);
    free(y);
}

static cJSON *packed(const char *to, rt_label_pack_job job)
{
    cJSON *r;
    rt_pool *pool = rt_pool_new(2);
    job.store = store;
    job.pool = pool;
    check_ok(rt_label_pack(&job, &(rt_target){.path = to, .force = 1}, &r));
    rt_pool_free(pool);
    return r;
}

static double error_of(cJSON *r, const char *what)
{
    double e = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(r, "error"), "y"), what)->valuedouble;
    cJSON_Delete(r);
    return e;
}

/* A copy is what labelling so would have made, byte for byte, with the labels by hand. */
static void as_labelled(void **state)
{
    (void)state;
    static const struct { rt_label_pack_job job; rt_labels_spec spec; const char *sets[6]; } cases[] = {
        {{.type = "q8"}, {.type = RT_U8}, {"labels/logits", "labels/logits_scale", "labels/logits_offset",
                                            "labels/code_error"}},
        {{.type = "f16", .columns = "entropy,hard"}, {.type = RT_F16, .columns = 9},
         {"labels/logits", "labels/hard", "labels/entropy"}},
        {{.topk = 2}, {.type = RT_F32, .topk = 2}, {"labels/topk_id", "labels/topk_logit", "labels/tail"}},
        {{.hard = 1}, {.type = RT_F32, .hard = 1, .columns = 3}, {"labels/hard", "labels/confidence"}}};
    char to[128], direct[128];
    cJSON *r;
    for (int i = 0; i < 4; i++) {
        rt_labels_spec spec = cases[i].spec;
        spec.first = FIRST;
        spec.rows = ROWS;
        spec.classes = K;
        write_store(spec);
        check_ok(give("row,label\n130,5\n2000,2\n", 0, &r));
        cJSON_Delete(r);
        assert_int_equal(rename(store, in_folder(direct, "direct.h5")), 0);
        write_store(plain);
        check_ok(give("row,label\n130,5\n2000,2\n", 0, &r));
        cJSON_Delete(r);
        cJSON_Delete(packed(in_folder(to, "packed.h5"), cases[i].job));
        for (int k = 0; cases[i].sets[k]; k++) same_set(to, direct, cases[i].sets[k]);
        static const char *const all[] = {"labels/status", "labels/block_crc32c", "labels/status_count",
                                          "labels/class_count", "labels/confidence_mean", "source/leaves", "hand/row",
                                          "hand/label"};
        for (int k = 0; k < 8; k++) same_set(to, direct, all[k]);
        rt_labels *l;
        check_ok(rt_labels_open(&l, to, 0));
        check_ok(rt_labels_verify(l));
        rt_labels_close(l);
    }
}

/* The error that is told is the largest there is. */
static void errors(void **state)
{
    (void)state;
    static const rt_label_pack_job jobs[] = {{.type = "q8"}, {.type = "f16"}, {.topk = 2}};
    char to[128];
    write_store(plain);
    for (int i = 0; i < 3; i++) {
        cJSON *r = packed(in_folder(to, "packed.h5"), jobs[i]);
        double logit = 0, probability = 0;
        rt_labels *l;
        check_ok(rt_labels_open(&l, to, 0));
        for (uint64_t row = FIRST; row < FIRST + ROWS; row++) {
            float z[K];
            const float *want = logits + (row - FIRST) * K;
            double a = 0, b = 0;
            if (row == 130 || row == 1500) continue;
            check_ok(rt_labels_read(l, &row, 1, z));
            for (int c = 0; c < K; c++) a += exp((double)z[c]), b += exp((double)want[c]);
            for (int c = 0; c < K; c++) {
                logit = fmax(logit, fabs((double)z[c] - (double)want[c]));
                probability = fmax(probability, fabs(exp((double)z[c]) / a - exp((double)want[c]) / b));
            }
        }
        rt_labels_close(l);
        assert_true(logit > 0 && probability > 0);
        cJSON *copy = cJSON_Duplicate(r, 1);
        check_close("logit", error_of(r, "logit"), logit, 0, 1e-6);
        check_close("probability", error_of(copy, "probability"), probability, 0, 1e-6);
    }
}

/* What is not there is not made. */
static void no_gain(void **state)
{
    (void)state;
    static const struct { rt_labels_spec spec; rt_label_pack_job job; const char *why; } cases[] = {
        {{.type = RT_F32}, {.type = "f32"}, "the copy would be the same"},
        {{.type = RT_F32}, {.type = "f64"}, "'f64' is not f32, f16 or q8"},
        {{.type = RT_F32}, {.columns = "hard,colour"}, "'colour' is not hard"},
        {{.type = RT_F32}, {.topk = 6}, "leave it out for full logits"},
        {{.type = RT_F32}, {.hard = 1, .type = "f16"}, "--hard keeps no logits, so --type would do nothing"},
        {{.type = RT_F16}, {.type = "f32"}, "keeps logits in f16, and a copy in f32"},
        {{.type = RT_U8}, {.type = "f16"}, "keeps logits in q8"},
        {{.type = RT_F32, .topk = 2}, {.topk = 3}, "keeps 2 classes a row"},
        {{.type = RT_F32, .topk = 2}, {.columns = "entropy"}, "has no column labels/entropy, and keeps too few logits"},
        {{.type = RT_F32, .hard = 1, .columns = 3}, {.type = "f16"}, "keeps hard labels and no labels/logits"},
        {{.type = RT_F32, .hard = 1, .columns = 3}, {.columns = "margin"}, "has no column labels/margin"}};
    char to[128];
    in_folder(to, "gain.h5");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_labels_spec spec = cases[i].spec;
        rt_label_pack_job job = cases[i].job;
        cJSON *r;
        spec.first = FIRST;
        spec.rows = ROWS;
        spec.classes = K;
        write_store(spec);
        job.store = store;
        check_fails(rt_label_pack(&job, &(rt_target){.path = to}, &r), RT_USAGE, cases[i].why);
        assert_int_equal(access(to, F_OK), -1);
    }
    cJSON *r;
    rt_label_pack_job job = {.store = store, .hard = 1};
    check_fails(rt_label_pack(&job, &(rt_target){.path = store, .force = 1}, &r), RT_USAGE, "");
}

static int set_up_names(void **state)
{
    if (set_up(state)) return 1;
    in_folder(store, "store.h5");
    in_folder(csv, "hand.csv");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unfinished),  cmocka_unit_test(swapped),
                                       cmocka_unit_test(of_heads),    cmocka_unit_test(while_a_shard_labels),
                                       cmocka_unit_test(appended),    cmocka_unit_test(refused),
                                       cmocka_unit_test(damage),      cmocka_unit_test(as_labelled),
                                       cmocka_unit_test(errors),      cmocka_unit_test(no_gain)};
    return cmocka_run_group_tests(tests, set_up_names, tear_down);
}
