/* The label store: rows without a label, damage found where it is read. */
#include <fcntl.h>
#include <unistd.h>

#include "data/label_append.h"
#include "data/labels_parts.h"
#include "tests/data/label_stores.h"

/* ---- rows without a label ---- */

static void bad_rows(void **state)
{
    (void)state;
    char path[128];
    rt_labels_spec spec = {.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F16};
    writing q = {.path = in_folder(path, "bad.h5"), .spec = spec, .upto = 3};
    unsigned char status[ROWS], got[4];
    float keep = logits[10], keep2 = logits[(RT_LABEL_BLOCK + 5) * K];
    memset(status, RT_LABEL_DONE, sizeof status);
    logits[10] = NAN;
    check_fails(write_labels(&q), RT_INPUT, "row 101, class 4 is nan, which f16 cannot hold; label.bad_rows=mark");
    logits[10] = 1e5f;
    check_fails(write_labels(&q), RT_INPUT, "use labels.type=f32");
    q.mark_bad = 1;
    check_fails(write_labels(&q), RT_INPUT, "use labels.type=f32");
    logits[10] = keep;
    q.mark_bad = 0;
    logits[(RT_LABEL_BLOCK + 5) * K] = -INFINITY;
    check_fails(write_labels(&q), RT_INPUT, "row 1129, class 0");
    assert_int_equal(labelled_rows(path), RT_LABEL_BLOCK);          /* what was labelled stays */
    q.mark_bad = 1;
    status[3] = RT_LABEL_BAD_INPUT;                                 /* done already: stays as it is */
    status[ROWS - 1] = RT_LABEL_BAD_INPUT;
    q.status = status;
    check_ok(write_labels(&q));
    assert_int_equal(q.summary.status[RT_LABEL_DONE], ROWS - 2);
    assert_int_equal(q.summary.status[RT_LABEL_BAD_INPUT], 1);
    assert_int_equal(q.summary.status[RT_LABEL_BAD_ANSWER], 1);
    rt_labels *l;
    check_ok(rt_labels_open(&l, path, 0));
    uint64_t row[4] = {FIRST + 3, FIRST + RT_LABEL_BLOCK + 5, FIRST + ROWS - 1, FIRST}, removed;
    float z[4 * K];
    check_ok(rt_labels_status(l, row, 4, got));
    assert_int_equal(got[0], RT_LABEL_DONE);
    assert_int_equal(got[1], RT_LABEL_BAD_ANSWER);
    assert_int_equal(got[2], RT_LABEL_BAD_INPUT);
    check_fails(rt_labels_read(l, row, 4, z), RT_INPUT, "row 1129 has no label: the teacher's answer was not finite");
    check_fails(rt_labels_read(l, row + 2, 1, z), RT_INPUT, "row 2224 has no label: it contains NaN");
    rt_rows rows = rt_rows_between(FIRST - 50, FIRST + ROWS + 20);
    uint64_t before = rows.count;
    check_ok(rt_labels_remove_bad(l, &rows, &removed));
    assert_int_equal(removed, 2);
    assert_int_equal(rows.count, before - 2);
    assert_false(rt_rows_has(&rows, row[1]) || rt_rows_has(&rows, row[2]));
    assert_true(rt_rows_has(&rows, FIRST - 1) && rt_rows_has(&rows, FIRST + ROWS) && rt_rows_has(&rows, row[0]));
    rt_rows_free(&rows);
    rt_labels_close(l);
    logits[(RT_LABEL_BLOCK + 5) * K] = keep2;
}

/* ---- damage ---- */

/* A flipped bit anywhere is found when it is read: in rows when they are, in what belongs to all when the store is
 * opened. */
static void damage(void **state)
{
    (void)state;
    char path[128], a[128], command[320];
    static const char *const head[] = {"labels/block_crc32c", "labels/status_count", "labels/class_count",
                                       "labels/confidence_mean", "source/leaves", "labels/head_crc32c", "manifest"};
    rt_labels *l;
    uint64_t row[2] = {FIRST + 1023, FIRST + 1024};
    float z[2 * K];
    in_folder(path, "damage.h5");
    in_folder(a, "a.h5");
    snprintf(command, sizeof command, "cp %s %s", a, path);
    assert_int_equal(system(command), 0);
    for (int column = 0; column < 2; column++) {
        uint64_t at = offset_of(path, column ? "labels/status" : "labels/logits"), size = column ? 1 : K * 4;
        for (uint64_t byte = 0; byte < size * RT_LABEL_BLOCK; byte += 1000) {
            flip_bit(path, at + byte, 0);                     /* in block 0: block 1 is read, block 0 is not */
            check_ok(rt_labels_open(&l, path, 0));
            check_ok(rt_labels_read(l, row + 1, 1, z));
            check_fails(rt_labels_read(l, row, 2, z), RT_INPUT, "block 0 (rows from 100) is damaged");
            unsigned char status;
            check_fails(rt_labels_status(l, row, 1, &status), RT_INPUT, "block 0");
            check_fails(rt_labels_verify(l), RT_INPUT, "block 0");
            rt_labels_close(l);
            flip_bit(path, at + byte, 0);
        }
    }
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        uint64_t at = offset_of(path, head[i]);
        flip_bit(path, at + 3, 0);
        if (!rt_labels_open(&l, path, 0)) fail_msg("%s is damaged and read", head[i]);
        flip_bit(path, at + 3, 0);
    }
    check_ok(rt_labels_open(&l, path, 0));
    check_ok(rt_labels_verify(l));
    rt_labels_close(l);
}

/* Of a store that is not complete too: every bit of the manifest, and its checksum, before anybody reads it or copies
 * it. One that was cut at its very end has the checksum of all, one of an older version none: they are read. */
static void damage_of_unfinished(void **state)
{
    (void)state;
    char path[128], csv[128], whole[128];
    static const uint32_t none = 0;
    static const unsigned char zero = 0;
    rt_labels *l;
    cJSON *r = NULL;
    rt_digest before, after;
    check_ok(write_blocks(in_folder(path, "part.h5"), plain, "t", 1, 0));
    FILE *f = fopen(in_folder(csv, "hand.csv"), "w");
    fputs("row,label\n130,5\n", f);
    fclose(f);
    uint64_t at = offset_of(path, "manifest"), head = offset_of(path, "labels/head_crc32c"), size = 0;
    rt_h5_file *h;
    check_ok(rt_h5_scan(&h, path));
    size = rt_h5_find(h, "manifest")->element;
    rt_h5_close(h);
    assert_true(size > 300);
    for (uint64_t bit = 0; bit < 8 * (size + sizeof none); bit++) {
        uint64_t byte = bit / 8 < size ? at + bit / 8 : head + bit / 8 - size;
        flip_bit(path, byte, (int)(bit % 8));
        check_fails(rt_labels_open(&l, path, 1), RT_INPUT, "part.h5");
        if (bit % 601 == 0 || bit == 8 * size + 5) {
            check_ok(rt_digest_file(&before, path, 0));
            check_fails(rt_labels_open(&l, path, 0), RT_INPUT, "part.h5");             /* as train and export do */
            for (int goes_on = 0; goes_on < 2; goes_on++) {
                rt_status st = goes_on ? write_blocks(path, plain, "t", 3, 0)
                                       : rt_label_append(&(rt_label_append_job){.store = path, .hand = csv}, &r);
                if (st != RT_INPUT || !strstr(rt_error_message(), "part.h5"))
                    fail_msg("bit %d: status %d: %s", (int)bit, st, rt_error_message());
            }
            check_ok(rt_digest_file(&after, path, 0));
            assert_string_equal(before.hex, after.hex);
        }
        flip_bit(path, byte, (int)(bit % 8));
    }
    flip_bit(path, head, 5);
    check_fails(rt_labels_open(&l, path, 1), RT_INPUT, "the manifest of this unfinished store, or its checksum, is");
    flip_bit(path, head, 5);
    int fd = open(path, O_RDWR);
    uint32_t told;
    assert_int_equal(pread(fd, &told, sizeof told, (off_t)head), sizeof told);
    assert_int_equal(pwrite(fd, &none, sizeof none, (off_t)head), sizeof none);        /* of an older version */
    check_ok(rt_labels_open(&l, path, 1));
    assert_true(rt_labels_has_block(l, 0) && !rt_labels_has_block(l, 1));
    rt_labels_close(l);
    assert_int_equal(pwrite(fd, &told, sizeof told, (off_t)head), sizeof told);
    close(fd);
    check_ok(rt_label_append(&(rt_label_append_job){.store = path, .hand = csv}, &r)); /* grown by hand: read on */
    cJSON_Delete(r);
    check_ok(rt_labels_open(&l, path, 1));
    rt_labels_close(l);
    check_ok(write_blocks(path, plain, "t", 3, 0));
    in_folder(whole, "whole.h5");
    check_ok(write_blocks(whole, plain, "t", 3, 0));
    check_ok(rt_label_append(&(rt_label_append_job){.store = whole, .hand = csv}, &r));
    cJSON_Delete(r);
    files_equal(path, whole);
    fd = open(whole, O_RDWR);                                                          /* killed before the last byte */
    assert_int_equal(pwrite(fd, &zero, 1, (off_t)offset_of(whole, "labels/complete")), 1);
    close(fd);
    check_ok(rt_labels_open(&l, whole, 1));
    assert_false(rt_labels_complete(l));
    rt_labels_close(l);
    at = offset_of(whole, "manifest");
    for (uint64_t byte = 0; byte < size; byte += 5) {
        flip_bit(whole, at + byte, (int)(byte % 8));
        check_fails(rt_labels_open(&l, whole, 1), RT_INPUT, "whole.h5");
        flip_bit(whole, at + byte, (int)(byte % 8));
    }
}

/* The manifest of a store that is not complete is not gone on with when it is damaged: what is written last would cover
 * the damage. Neither half-written nor whole heads are taken for damage. */
static void damage_before_the_end(void **state)
{
    (void)state;
    char path[128];
    static const unsigned char zero = 0;
    check_ok(write_blocks(in_folder(path, "half.h5"), plain, "t", 1, 0));
    uint64_t at = offset_of(path, "manifest"), head = offset_of(path, "labels/head_crc32c");
    for (uint64_t byte = 0; byte < 440; byte += 7) {
        flip_bit(path, at + byte, (int)(byte % 8));
        rt_status st = write_blocks(path, plain, "t", 3, 0);
        if (st != RT_INPUT && st != RT_USAGE)
            fail_msg("byte %d of the manifest is damaged, and gone on with", (int)byte);
        if (!strstr(rt_error_message(), "half.h5")) fail_msg("%s", rt_error_message());
        flip_bit(path, at + byte, (int)(byte % 8));
    }
    flip_bit(path, head, 5);
    check_fails(write_blocks(path, plain, "t", 3, 0), RT_INPUT, "does not match its checksum");
    flip_bit(path, head, 5);
    check_ok(write_blocks(path, plain, "t", 3, 0));
    files_equal(path, in_folder((char[128]){0}, "a.h5"));
    /* Killed before the last byte: all blocks named, the head whole. */
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, &zero, 1, (off_t)offset_of(path, "labels/complete")), 1);
    close(fd);
    check_fails(write_blocks(path, plain, "t", 3, 0), RT_INPUT, "does not match its checksum"); /* no block is named */
}

static int set_up_store(void **state)
{
    char path[128];
    return set_up(state) || write_blocks(in_folder(path, "a.h5"), plain, "t", 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_rows), cmocka_unit_test(damage),
                                       cmocka_unit_test(damage_of_unfinished),
                                       cmocka_unit_test(damage_before_the_end)};
    return cmocka_run_group_tests(tests, set_up_store, tear_down);
}
