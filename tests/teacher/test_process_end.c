/* What is left of a program that was a teacher, however it ended or its user did: no process, no descriptor. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "engine/clock.h"
#include "tests/teacher/process_scene.h"

static float z[SCENE_ROWS * SCENE_CLASSES];

static int set_up(void **s)
{
    uint64_t dim[] = {SCENE_ROWS, SCENE_WIDE};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(1);
    float *x = random_floats(SCENE_ROWS * SCENE_WIDE, 21);
    write_data("f32.h5", x, 2, dim, NULL);
    free(x);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* Of this process, dead ones that nobody waited for included. */
static int children(void)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], text[512] = "", state;
        int parent = 0;
        snprintf(path, sizeof path, "/proc/%.200s/stat", e->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(text, sizeof text, f) && strrchr(text, ')'))
            n += sscanf(strrchr(text, ')') + 1, " %c %d", &state, &parent) == 2 && parent == getpid();
        if (f) fclose(f);
    }
    closedir(d);
    return n;
}

static void nothing_left(void **state)
{
    (void)state;
    static const char *const how[] = {"right", "parent", "quit 2", "crash-once 2 @left", "reverse", "stays", "twice"};
    check_ok(answers("right", SCENE_PLAIN, z));            /* what reads HDF5 is a process, too, and stays */
    int before = open_descriptors(), family = children();
    for (size_t i = 0; i < sizeof how / sizeof how[0]; i++) {
        (void)!answers(how[i], SCENE_PLAIN, z);
        assert_int_equal(children(), family);
        assert_int_equal(open_descriptors(), before);
    }
}

/* The program that runs has no descriptor but its three. */
static void nothing_open(void **state)
{
    (void)state;
    scene s;
    char line[64] = "", folder[64];
    int leak = open("/dev/null", O_RDONLY);                /* without CLOEXEC */
    check_ok(scene_open(&s, "pid @open", SCENE_PLAIN));
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_ok(scene_ask(&s, 0, 7, 7, z, SCENE_CLASSES));
    FILE *f = fopen(in_folder("open"), "r");
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    snprintf(folder, sizeof folder, "/proc/%d/fd", atoi(line));
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) if (e->d_name[0] != '.') assert_in_range(atoi(e->d_name), 0, 2);
    closedir(d);
    close(leak);
    scene_close(&s);
}

/* Gone within a second: not there, or dead and not yet collected by whoever inherited it. */
static int gone(int pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (int i = 0; i < 100; i++) {
        FILE *f = fopen(path, "r");
        if (!f) return 1;
        if (!fgets(text, sizeof text, f)) text[0] = 0;
        fclose(f);
        char *paren = strrchr(text, ')');
        if (!paren || paren[2] == 'Z') return 1;
        usleep(10000);
    }
    return 0;
}

/* Killed while it is waited for: the program goes, too, though it neither reads nor writes. */
static void killed_with_us(void **state)
{
    (void)state;
    unlink(in_folder("pid2"));
    pid_t us = fork();
    if (us == 0) {
        scene s;
        if (scene_open(&s, "pid @pid2 1000", SCENE_PLAIN)) _exit(1);
        if (scene_bind(&s, "f32.h5", 0)) _exit(1);
        (void)!scene_ask(&s, 0, 50, 50, z, SCENE_CLASSES);
        _exit(0);
    }
    char line[64] = "";
    for (int i = 0; i < 300 && !strchr(line, '\n'); i++) {
        FILE *f = fopen(in_folder("pid2"), "r");
        if (f && !fgets(line, sizeof line, f)) line[0] = 0;
        if (f) fclose(f);
        usleep(10000);
    }
    int pid = atoi(line);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, 0), 0);
    kill(us, SIGKILL);
    assert_int_equal(waitpid(us, NULL, 0), us);
    assert_true(gone(pid));
}

/* What the program started goes with it. */
static void group_goes(void **state)
{
    (void)state;
    char line[64] = "";
    scene s;
    check_ok(scene_open(&s, "parent @inner", SCENE_PLAIN));
    check_ok(scene_bind(&s, "f32.h5", 0));
    check_ok(scene_ask(&s, 0, SCENE_ROWS, 50, z, SCENE_CLASSES));
    for (int i = 0; i < 300 && !strchr(line, '\n'); i++) {
        FILE *f = fopen(in_folder("inner"), "r");
        if (f && !fgets(line, sizeof line, f)) line[0] = 0;
        if (f) fclose(f);
        usleep(10000);
    }
    int pid = atoi(line);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, 0), 0);
    scene_close(&s);
    assert_true(gone(pid));
}

static void stop(int sig)
{
    (void)sig;
    rt_ask_to_stop(1);
}

/* Asked to stop while a program computes: within a second, and it is gone. */
static void stopped(void **state)
{
    (void)state;
    static const char *const how[] = {"hang 3", "never-reads", "writes-only"};
    signal(SIGALRM, stop);
    for (int i = 0; i < 2; i++) {
        scene s;
        check_ok(scene_open(&s, how[i], SCENE_PLAIN));
        check_ok(scene_bind(&s, "f32.h5", 0));
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 200000}}, NULL);
        double start = rt_seconds();
        check_fails(scene_ask(&s, 0, SCENE_ROWS, 50, z, SCENE_CLASSES), RT_INTERRUPTED, "interrupted");
        scene_close(&s);
        assert_true(rt_seconds() - start < 1);
        rt_ask_to_stop(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_left), cmocka_unit_test(nothing_open),
                                       cmocka_unit_test(killed_with_us), cmocka_unit_test(group_goes),
                                       cmocka_unit_test(stopped)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
