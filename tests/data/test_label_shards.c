/* Processes that write one label store, each played by a writer of its own here (locks are of open files, not of
 * processes): turns in every order, one that is replaced, journals with summary lines. */
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_parts.h"
#include "tests/support.h"

enum { BLOCKS = 23, ROWS = BLOCKS * RT_LABEL_BLOCK - 500, K = 3 };
static float *logits;
static char data[128], alone[128];
static rt_source *x;

static int set_up(void **state)
{
    if (make_test_folder(state)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    snprintf(data, sizeof data, "%s/d.h5", test_folder);
    snprintf(alone, sizeof alone, "%s/alone.h5", test_folder);
    logits = random_floats((size_t)ROWS * K, 1);
    unsigned char *content = calloc(ROWS, 1);
    rt_h5_item it = {.name = "x", .type = RT_U8, .rank = 2, .dim = {ROWS, 1}, .data = content};
    check_ok(rt_h5_save(data, "retort-data-1", &it, 1));
    free(content);
    check_ok(rt_source_open(&x, data, "x"));
    return 0;
}

static int tear_down(void **state)
{
    rt_source_close(x);
    free(logits);
    return remove_test_folder(state);
}

/* One of the processes. */
typedef struct {
    rt_labels_writer *w;
    rt_identity *id;
    uint64_t first, end;               /* what it was given and has not done */
    int ended, blocks;
} process;

static rt_status begin(process *p, const char *path, int shard, int shards, int take_over)
{
    rt_labels_spec spec = {.rows = ROWS, .classes = K, .type = RT_F32};
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(cJSON_AddObjectToObject(m, "teacher"), "digest", "t");
    *p = (process){0};
    check_ok(rt_identity_open(&p->id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = p->id, .shard = shard, .shards = shards, .take_over = take_over};
    rt_status st = rt_labels_begin(&p->w, &(rt_target){.path = path}, &spec, m, &job);
    cJSON_Delete(m);
    if (st) rt_identity_close(p->id);
    return st;
}

static rt_status end(process *p)
{
    rt_status st = rt_labels_end(p->w);
    rt_identity_close(p->id);
    p->ended = 1;
    return st;
}

/* A block more, or that there is none. */
static rt_status turn(process *p)
{
    if (p->first >= p->end) RT_TRY(rt_labels_next(p->w, &p->first, &p->end));
    if (p->first >= p->end) return RT_NOTHING;
    rt_status st = rt_labels_put(p->w, p->first / RT_LABEL_BLOCK, logits + p->first * K, NULL);
    p->first += RT_LABEL_BLOCK;
    p->blocks++;
    return st;
}

int __real_fdatasync(int);
static process *other;                 /* takes the place of the first one at the sync of this number from here on */
static int at_sync;
static const char *whose;

/* The linker puts it in the place of the system's call (--wrap). */
int __wrap_fdatasync(int fd)
{
    int r = __real_fdatasync(fd);
    if (at_sync && !--at_sync) check_ok(begin(other, whose, 0, 1, 1));
    return r;
}

static void same(const char *path)
{
    rt_digest a, b;
    check_ok(rt_digest_file(&a, alone, 0));
    check_ok(rt_digest_file(&b, path, 0));
    assert_string_equal(a.hex, b.hex);
}

static char *in_folder(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", test_folder, name);
    return path;
}

static uint64_t rows_named(const char *path)
{
    rt_labels *l;
    rt_labels_summary s;
    check_ok(rt_labels_open(&l, path, 1));
    check_ok(rt_labels_verify(l));
    check_ok(rt_labels_summarize(l, &s));
    rt_labels_close(l);
    return s.status[RT_LABEL_DONE];
}

static void by_one(void **state)
{
    (void)state;
    process p;
    check_ok(begin(&p, alone, 0, 0, 0));
    while (!turn(&p)) {}
    assert_int_equal(p.blocks, BLOCKS);
    assert_true(rt_labels_all_done(p.w));
    check_ok(end(&p));
}

/* Two to four processes take turns by chance; each block is labelled once, exactly one completes the store. */
static void turns(void **state)
{
    (void)state;
    char path[128];
    in_folder(path, "turns.h5");
    for (uint32_t seed = 1; seed <= 24; seed++) {
        process p[4];
        int n = 2 + (int)(seed % 3), left = n, blocks = 0, completed = 0, begun = 0;
        uint32_t r = seed * 2654435761u;
        unlink(path);
        while (left) {
            r = r * 1664525 + 1013904223;
            int i = (int)(r >> 24) % n;
            if (i >= begun) {                          /* some come late */
                check_ok(begin(&p[begun], path, begun, n, 0));
                begun++;
                continue;
            }
            if (p[i].ended) continue;
            rt_status st = turn(&p[i]);
            if (!st && r >> 28 == 0) st = rt_labels_commit(p[i].w);
            if (!st) continue;
            assert_int_equal(st, RT_NOTHING);
            /* who ends now may have been told that all is done by somebody else's word, too */
            completed += rt_labels_all_done(p[i].w);
            blocks += p[i].blocks;
            check_ok(end(&p[i]));
            left--;
        }
        assert_int_equal(blocks, BLOCKS);
        assert_true(completed >= 1);
        same(path);
    }
}

/* What a process took and did not do is done by others when it is gone, and not before. */
static void gone(void **state)
{
    (void)state;
    char path[128], journal[160];
    process p, q;
    in_folder(path, "gone.h5");
    snprintf(journal, sizeof journal, "%s.journal.0-2", path);
    check_ok(begin(&p, path, 0, 2, 0));
    check_ok(turn(&p));
    check_ok(rt_labels_commit(p.w));
    check_ok(begin(&q, path, 1, 2, 0));
    while (!turn(&q)) {}
    int taken = BLOCKS - q.blocks;
    assert_true(taken > 1);                            /* p's block, and those that it took with it */
    assert_false(rt_labels_all_done(q.w));
    check_ok(end(&q));
    process lone;
    check_fails(begin(&lone, path, 0, 0, 0), RT_RUN, "its shard 0/2: another process is writing to it");
    check_ok(end(&p));                                 /* without what it took */
    assert_int_equal(access(journal, F_OK), 0);
    assert_int_equal(rows_named(path), (uint64_t)ROWS - (uint64_t)(taken - 1) * RT_LABEL_BLOCK);
    check_ok(begin(&q, path, 1, 2, 0));
    while (!turn(&q)) {}
    assert_int_equal(q.blocks, taken - 1);
    assert_true(rt_labels_all_done(q.w));
    check_ok(end(&q));
    same(path);
    assert_int_equal(access(journal, F_OK), -1);
}

/* Who was replaced commits nothing, wherever it stands: before its commit, and with its line already written. */
static void replaced(void **state)
{
    (void)state;
    char path[128], journal[160];
    process p, q;
    in_folder(path, "replaced.h5");
    snprintf(journal, sizeof journal, "%s.journal.0-1", path);
    check_ok(begin(&p, path, 0, 1, 0));
    check_ok(turn(&p));
    check_ok(rt_labels_commit(p.w));
    check_ok(turn(&p));
    check_fails(begin(&q, path, 0, 1, 0), RT_RUN, "--takeover puts this process in its place");
    check_ok(begin(&q, path, 0, 1, 1));
    assert_int_equal(rows_named(path), RT_LABEL_BLOCK);
    uint64_t block = 1;
    check_ok(rt_label_journal_add(&p.w->journal, &block, 1, p.w->f.crc));       /* between its look and its line */
    assert_int_equal(rows_named(path), RT_LABEL_BLOCK);
    check_fails(rt_labels_commit(p.w), RT_RUN, "another process was put in the place of this shard 0/1");
    assert_int_equal(rows_named(path), RT_LABEL_BLOCK);
    check_fails(turn(&p), RT_RUN, "");
    while (!turn(&q)) {}
    assert_int_equal(q.blocks, BLOCKS - 1);            /* the first one counts */
    check_ok(end(&q));
    same(path);
    assert_int_equal(end(&p), RT_RUN);
    same(path);
    assert_int_equal(access(journal, F_OK), -1);
}

/* Replaced in the midst of its commit: behind the sync of its rows, and behind that of its line. */
static void replaced_while_it_commits(void **state)
{
    (void)state;
    char path[128];
    for (int sync = 1; sync <= 2; sync++) {
        process p, q;
        in_folder(path, sync == 1 ? "midst1.h5" : "midst2.h5");
        check_ok(begin(&p, path, 0, 1, 0));
        check_ok(turn(&p));
        at_sync = sync;
        other = &q;
        whose = path;
        check_fails(rt_labels_commit(p.w), RT_RUN, "another process was put in the place of this shard 0/1");
        assert_int_equal(at_sync, 0);
        while (!turn(&q)) {}
        assert_int_equal(q.blocks, sync == 1 ? BLOCKS : BLOCKS - 1);
        check_ok(end(&q));
        same(path);
        assert_int_equal(end(&p), RT_RUN);
    }
}

/* Nobody completes a store while somebody else reads it back. */
static void last(void **state)
{
    (void)state;
    char path[128];
    process p, q;
    in_folder(path, "last.h5");
    check_ok(begin(&p, path, 0, 2, 0));
    check_ok(begin(&q, path, 1, 2, 0));
    while (!turn(&p)) {}
    assert_true(rt_labels_all_done(p.w));
    assert_int_equal(turn(&q), RT_NOTHING);
    assert_false(rt_labels_all_done(q.w));
    check_ok(end(&q));
    check_ok(end(&p));
    same(path);
}

/* ---- journals ---- */

enum { MANY = 10000 };

/* Summary lines name what the lines before them named, and hold no longer when the file's checksums are not theirs; a
 * journal that is cut or changed names less, and nothing else. */
static void summaries(void **state)
{
    (void)state;
    static unsigned char done[MANY], named[MANY], taken[MANY];
    static uint32_t crc[MANY], got[MANY];
    rt_label_journal j = {.fd = -1};
    snprintf(j.path, sizeof j.path, "%s/j.journal", test_folder);
    for (int i = 0; i < MANY; i++) {
        crc[i] = (uint32_t)i * 2654435761u;
        done[i] = i % 1000 > 20 && i != 5000 ? RT_LABEL_NAMED : RT_LABEL_COUNTED;
    }
    check_ok(rt_label_journal_sum(&j, done, crc, MANY));
    char *text;
    size_t n;
    check_ok(rt_read_file(&text, &n, j.path, 1 << 20));
    assert_true(n < 1000);
    rt_label_named all = {.blocks = MANY, .stored = crc, .crc = got, .named = named, .taken = taken};
    check_ok(rt_label_read_journal(j.path, &all));
    assert_string_equal(all.damaged, "");
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(named[i], done[i] == RT_LABEL_NAMED);
        if (named[i]) assert_int_equal(got[i], crc[i]);
    }
    crc[4100]++;                                       /* a line of 4,096 blocks at most: others hold */
    memset(named, 0, sizeof named);
    check_ok(rt_label_read_journal(j.path, &all));
    assert_true(!named[4100] && !named[4099] && named[4021 - 1000] && named[5100]);
    crc[4100]--;
    for (size_t i = 0; i < n; i++) {
        char was = text[i];
        text[i] ^= 1;
        check_ok(rt_write_file(j.path, text, n));
        text[i] = was;
        memset(named, 0, sizeof named);
        *all.damaged = 0;
        check_ok(rt_label_read_journal(j.path, &all));
        if (strcmp(all.damaged, "j.journal")) fail_msg("byte %d of %d is changed, and nobody says so", (int)i, (int)n);
        for (int k = 0; k < MANY; k++) assert_true(!named[k] || done[k] == RT_LABEL_NAMED);
    }
    for (size_t i = 0; i < n; i++) {
        check_ok(rt_write_file(j.path, text, i));
        *all.damaged = 0;
        check_ok(rt_label_read_journal(j.path, &all));
        assert_string_equal(all.damaged, "");          /* a write that was cut off is no damage */
    }
    free(text);
    unlink(j.path);
    rt_label_journal_close(&j);
    /* lines of what is taken, and of blocks that are beyond the store */
    check_ok(rt_label_journal_open(&j));
    check_ok(rt_label_journal_take(&j, 3, 7));
    check_ok(rt_label_journal_take(&j, 7, MANY + 1));
    memset(taken, 0, sizeof taken);
    check_ok(rt_label_read_journal(j.path, &all));
    for (int i = 0; i < MANY; i++) assert_int_equal(taken[i], i >= 3 && i < 7);
    rt_label_journal_close(&j);
}

/* A restart reads no labels: not even where they cannot be read; and its journal is one of a few lines. */
static void restart(void **state)
{
    (void)state;
    char path[128], journal[160];
    struct stat s;
    process p;
    in_folder(path, "restart.h5");
    snprintf(journal, sizeof journal, "%s.journal", path);
    check_ok(begin(&p, path, 0, 0, 0));
    for (int b = 0; b < 20; b++) {
        check_ok(turn(&p));
        check_ok(rt_labels_commit(p.w));
    }
    uint64_t at = p.w->f.at[0];
    assert_int_equal(stat(journal, &s), 0);
    assert_true(s.st_size > 20 * 15);
    check_ok(end(&p));
    flip_bit(path, at + 5, 0);                         /* found at the end alone */
    check_ok(begin(&p, path, 0, 0, 0));
    assert_int_equal(stat(journal, &s), 0);
    assert_true(s.st_size < 40);
    assert_int_equal(rt_labels_rows_done(p.w), 20 * RT_LABEL_BLOCK);
    while (!turn(&p)) {}
    assert_int_equal(p.blocks, 4);                     /* the three that were left, and the damaged one */
    check_ok(end(&p));
    same(path);
    /* checksums in the file that are damaged cost their blocks, and nothing else */
    unlink(path);
    check_ok(begin(&p, path, 0, 0, 0));
    for (int b = 0; b < 5; b++) check_ok(turn(&p));
    check_ok(end(&p));
    check_ok(begin(&p, path, 0, 0, 0));                /* now a summary line */
    uint64_t crcs = p.w->f.fixed[RT_LABEL_CRC];
    check_ok(end(&p));
    flip_bit(path, crcs + 4 * 2, 3);
    check_ok(begin(&p, path, 0, 0, 0));
    assert_int_equal(rt_labels_rows_done(p.w), 0);
    while (!turn(&p)) {}
    check_ok(end(&p));
    same(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_one),   cmocka_unit_test(turns), cmocka_unit_test(gone),
                                       cmocka_unit_test(replaced), cmocka_unit_test(replaced_while_it_commits),
                                       cmocka_unit_test(last),      cmocka_unit_test(summaries),
                                       cmocka_unit_test(restart)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
