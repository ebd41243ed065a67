/* Decisions on a test set, counted: once each, whoever counts, whenever they are killed. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/registry/registry_looks.h"
#include "tests/support.h"

enum { WRITERS = 4, EACH = 25 };

static char folder[64];

static int make_registry(void **state)
{
    cJSON *j;
    if (make_test_folder(state)) return -1;
    snprintf(folder, sizeof folder, "%s/r", test_folder);
    check_ok(rt_registry_init(folder, NULL, &j));
    cJSON_Delete(j);
    return 0;
}

static rt_status look(rt_registry *r, const char *test_set, const char *candidate, const char *anchor, int most,
                      rt_look *l)
{
    rt_look_of of = {test_set, "base", candidate, anchor, "policy"};
    return rt_registry_look(r, &of, most, l);
}

static void check_look(const rt_look *l, int number, int decisions, int again)
{
    if (l->number != number || l->decisions != decisions || l->again != again)
        fail_msg("look %d of %d, again %d; want %d, %d, %d", l->number, l->decisions, l->again, number, decisions,
                 again);
}

static void counted(void **state)
{
    (void)state;
    rt_registry *r;
    rt_look l;
    int n;
    check_ok(rt_registry_open(&r, folder, 1));
    check_ok(look(r, "one", "a", "", 2, &l));
    check_look(&l, 1, 1, 0);
    check_ok(look(r, "one", "a", "", 2, &l));
    check_look(&l, 1, 1, 1);
    check_ok(look(r, "other", "a", "", 2, &l));
    check_look(&l, 1, 1, 0);
    check_ok(look(r, "one", "a", "anchor", 2, &l));
    check_look(&l, 2, 2, 0);
    check_ok(look(r, "one", "b", "", 2, &l));             /* two are all there are */
    check_look(&l, 0, 2, 0);
    check_ok(look(r, "one", "a", "", 2, &l));             /* what was counted stays */
    check_look(&l, 1, 2, 1);
    check_ok(look(r, "one", "b", "", 0, &l));
    check_look(&l, 3, 3, 0);
    check_ok(rt_registry_decisions(r, "one", &n));
    assert_int_equal(n, 3);
    check_ok(rt_registry_decisions(r, "none", &n));
    assert_int_equal(n, 0);
    rt_registry_close(r);
}

/* Several at once, each with decisions of its own: every number once. */
static void at_once(void **state)
{
    (void)state;
    rt_registry *r;
    rt_look l;
    pid_t child[WRITERS];
    for (int w = 0; w < WRITERS; w++)
        if (!(child[w] = fork())) {
            char name[32];
            int bad = rt_registry_open(&r, folder, 1) != RT_OK;
            for (int i = 0; i < EACH && !bad; i++) {
                snprintf(name, sizeof name, "%d.%d", w, i);
                bad = look(r, "many", name, "", 0, &l) != RT_OK || !l.number;
            }
            _exit(bad);
        }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(child[w], &status, 0), child[w]);
        assert_int_equal(status, 0);
    }
    char seen[WRITERS * EACH + 1] = {0};
    check_ok(rt_registry_open(&r, folder, 1));
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < EACH; i++) {
            char name[32];
            snprintf(name, sizeof name, "%d.%d", w, i);
            check_ok(look(r, "many", name, "", 0, &l));
            assert_true(l.again && l.decisions == WRITERS * EACH && l.number >= 1 && l.number <= WRITERS * EACH);
            assert_false(seen[l.number]);
            seen[l.number] = 1;
        }
    rt_registry_close(r);
}

/* Killed at any instant: what a process was told is there, and numbers have no holes. */
static void killed(void **state)
{
    (void)state;
    rt_registry *r;
    rt_look l;
    int told = 0;
    for (int turn = 0; turn < 12; turn++) {
        int pipe_of[2], got, last = 0;
        assert_int_equal(pipe(pipe_of), 0);
        pid_t child = fork();
        if (!child) {
            char name[32];
            if (rt_registry_open(&r, folder, 1)) _exit(1);
            for (int i = 0;; i++) {
                snprintf(name, sizeof name, "%d.%d", turn, i);
                if (look(r, "killed", name, "", 0, &l) || write(pipe_of[1], &l.number, sizeof l.number) < 0) _exit(1);
            }
        }
        close(pipe_of[1]);
        if (read(pipe_of[0], &got, sizeof got) == (ssize_t)sizeof got) last = got;
        usleep((useconds_t)(1500 + 3137 * turn));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(pipe_of[0], &got, sizeof got) == (ssize_t)sizeof got) last = got;
        close(pipe_of[0]);
        assert_true(last > told);
        told = last;
        check_ok(rt_registry_open(&r, folder, 1));
        check_ok(look(r, "killed", "mine", turn % 2 ? "x" : "y", 0, &l));
        assert_true(l.decisions >= told);
        rt_registry_close(r);
    }
}

/* A registry that cannot be written tells what there is, counts nothing and leaves nothing behind. */
static void read_only(void **state)
{
    (void)state;
    rt_registry *r;
    rt_look l;
    pid_t child;
    int status;
    check_ok(rt_registry_open(&r, folder, 1));            /* a writer takes away what killed ones left */
    check_ok(look(r, "last", "a", "", 0, &l));
    rt_registry_close(r);
    assert_int_equal(chmod(test_folder, 0755), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    if (!(child = fork())) {
        char journal[96];
        struct stat s;
        snprintf(journal, sizeof journal, "%s/registry.db-journal", folder);
        if (!geteuid() && seteuid(65534)) _exit(2);
        if (rt_registry_open(&r, folder, 0)) _exit(3);
        if (look(r, "one", "c", "", 0, &l)) _exit(4);
        if (l.number || l.decisions != 3 || l.again) _exit(5);
        if (look(r, "one", "a", "", 0, &l) || l.number != 1 || !l.again) _exit(6);
        rt_registry_close(r);
        _exit(stat(journal, &s) ? 0 : 7);
    }
    waitpid(child, &status, 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counted), cmocka_unit_test(at_once), cmocka_unit_test(killed),
                                       cmocka_unit_test(read_only)};
    return cmocka_run_group_tests(tests, make_registry, remove_test_folder);
}
