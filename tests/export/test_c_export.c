/* Programs as C: compiled with the compilers that are there, at several levels, with and without vectors, they answer
 * as rt_program_infer does, byte for byte. Each net meets three compilers; RETORT_C_COMPILERS names others, for
 * tests/cross.sh, and each net meets them all: lines of "compiler and flags | what runs its programs". */
#include <sys/wait.h>

#include "data/files.h"
#include "export/exporter.h"
#include "student/calibrate.h"
#include "tests/export/integer_nets.h"

#define WARNINGS "-Wall -Wextra -Wconversion -pedantic -Werror"

/* Forms that this processor may lack, with their instructions in plain C. */
#define EMULATED "gcc -O1 -mavx2 -mfma -include " RETORT_SOURCE_DIR "/tests/export/emulated_lanes.h -DNET_FORM="

static const char *const here[] = {
    "gcc -std=c99 -O0 -fsanitize=undefined -fno-sanitize-recover=all|",
    "gcc -std=c99 -O2 -DNET_FORM=0|",
    "gcc -O3 -ffast-math -march=native|",
    "gcc -O3 -ffast-math -DNET_FORM=0|",
    "gcc -O1 -march=native -fsanitize=undefined -fno-sanitize-recover=all|",
    "clang -O3 -ffast-math -march=native|",
    "clang -std=c99 -O0|",
    "clang -Os -march=native -ffast-math -ffp-contract=fast -DNET_FORM=0|",
#if defined(__x86_64__)
    EMULATED "3|", EMULATED "4|"
#endif
};
enum { HERE = sizeof here / sizeof here[0] - 1 };

static void save(const char *name, const char *ending, const rt_string *s)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s%s", test_folder, name, ending);
    check_ok(rt_write_file(path, s->p, s->n));
}

/* The compiler's programs answer all rows as the program does. */
static void check_compiler(const char *line, const net_scene *s, int which, const float *want)
{
    char command[1024], path[128];
    const char *bar = strchr(line, '|');
    assert_non_null(bar);
#if defined(__x86_64__)
    if (strstr(line, "emulated_lanes") && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return;
#endif
    snprintf(command, sizeof command, "command -v %.*s > /dev/null", (int)strcspn(line, " |"), line);
    if (system(command)) {
        print_message("not there: %.*s\n", (int)strcspn(line, " |"), line);
        return;
    }
    snprintf(command, sizeof command,
             "cd %s && %.*s " WARNINGS " -I. %s/tests/export/c_driver.c net.c net_data.c -o driver", test_folder,
             (int)(bar - line), line, RETORT_SOURCE_DIR);
    if (system(command)) fail_msg("net %d does not compile: %s", which, command);
    snprintf(command, sizeof command, "cd %s && %s ./driver < rows > answers", test_folder, bar + 1);
    int st = system(command);
    if (st) fail_msg("net %d, %s: ended with %d", which, line, WIFEXITED(st) ? WEXITSTATUS(st) : -1);
    char *got;
    size_t n, row = (size_t)rt_program_width(s->p) * sizeof *want;
    snprintf(path, sizeof path, "%s/answers", test_folder);
    check_ok(rt_read_file(&got, &n, path, 1 << 28));
    assert_int_equal(n, NET_ROWS * row);
    for (int r = 0; r < NET_ROWS; r++)
        if (memcmp(got + (size_t)r * row, (const char *)want + (size_t)r * row, row))
            fail_msg("net %d, %s: row %d has another answer", which, line, r);
    free(got);
}

static void compilers(void **state)
{
    const char *others = getenv("RETORT_C_COMPILERS");
    int scene = 0;
    (void)state;
    for (int a = 0; a < NETS; a++)
        for (int bytes = 0; bytes < 2; bytes++) {
            if (bytes ? !nets[a].bytes : nets[a].bytes == 2) continue;
            net_scene s = net_scene_new(a, bytes);
            rt_c_files f;
            size_t row;
            const void *rows = net_rows(&s, &row);
            char path[128];
            float *want = net_answers(s.p, rows, row);
            check_ok(rt_export_c(s.p, "net", a % 2 ? NULL : (const char *)rows + 5 * row, &f));
            save("net", ".h", &f.header);
            save("net", ".c", &f.code);
            save("net", "_data.c", &f.data);
            rt_c_files_free(&f);
            snprintf(path, sizeof path, "%s/rows", test_folder);
            check_ok(rt_write_file(path, rows, NET_ROWS * row));
            if (others) {
                char *list = strdup(others), *rest = list, *line;
                while ((line = strsep(&rest, "\n"))) if (*line) check_compiler(line, &s, a, want);
                free(list);
            } else {
                check_compiler(here[0], &s, a, want);
                check_compiler(here[1 + scene % HERE], &s, a, want);
                check_compiler(here[1 + (scene + 4) % HERE], &s, a, want);
            }
            scene++;
            free(want);
            net_scene_free(&s);
        }
}

/* No compiler takes files of which one is of another export: here of the same program, with another row. */
static void check_stamps(const rt_c_files *f)
{
    net_scene s = net_scene_new(0, 0);
    rt_c_files other;
    check_ok(rt_export_c(s.p, "small", s.x + 3 * s.m->input[0].size, &other));
    const rt_string *one[] = {&f->header, &f->code, &f->data}, *two[] = {&other.header, &other.code, &other.data};
    static const char *const ending[] = {".h", ".c", "_data.c"};
    char command[512];
    snprintf(command, sizeof command, "cd %s && gcc -fsyntax-only small.c small_data.c 2> errors", test_folder);
    for (int mix = 0; mix < 8; mix++) {
        for (int i = 0; i < 3; i++) save("small", ending[i], mix >> i & 1 ? two[i] : one[i]);
        if ((system(command) == 0) != (mix == 0 || mix == 7)) fail_msg("files of mix %d", mix);
    }
    rt_c_files_free(&other);
    net_scene_free(&s);
}

/* Equal programs give equal files; what a name may be. */
static void files(void **state)
{
    static const char *const bad[] = {"", "1st", "a-b", "a b", "_x", "n\xc3\xa9t", "a.b"};
    (void)state;
    net_scene s = net_scene_new(0, 0), t = net_scene_new(0, 0);
    rt_c_files f, g;
    check_ok(rt_export_c(s.p, "small", NULL, &f));
    check_ok(rt_export_c(t.p, "small", NULL, &g));
    assert_string_equal(f.header.p, g.header.p);
    assert_string_equal(f.code.p, g.code.p);
    assert_string_equal(f.data.p, g.data.p);
    assert_non_null(strstr(f.header.p, "#define SMALL_ARENA_BYTES"));
    assert_non_null(strstr(f.data.p, "\"a \\042quoted\\042 \\303\\251\\077\\077/\""));
    assert_null(strstr(f.code.p, "net_"));
    check_stamps(&f);
    rt_c_files_free(&f);
    rt_c_files_free(&g);
    check_fails(rt_export_c(s.p, "small", s.x, &f), RT_INPUT, "is not finite");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(rt_export_c(s.p, bad[i], NULL, &f), RT_USAGE, "is no C identifier");
    net_scene_free(&s);
    net_scene_free(&t);
}

/* Every head with its task, its place in the answer, and the names of its classes; of the answer as a whole, the width.
 */
static void heads(void **state)
{
    (void)state;
    net_scene s = net_scene_new(4, 1);
    rt_c_files f;
    check_ok(rt_export_c(s.p, "net", NULL, &f));
    const char *const parts[] = {"{\"kind\", \"classes\", 0, 4, net_names0}",
                                 "{\"tags\", \"multilabel\", 4, 3, net_names1}", "{\"how much\", \"real\", 7, 1, 0}",
                                 "net_names0[4] = {\n    \"a \\042quoted",
                                 "net_names1[3] = {\n    \"b\",\n    \"c\",\n    \"d\",\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(f.data.p, parts[i])) fail_msg("no %s in the data", parts[i]);
    assert_non_null(strstr(f.header.p, "#define NET_OUTPUT 8\n#define NET_HEADS 3\n"));
    assert_non_null(strstr(f.code.p, "to (7, 5, 66), relu; 415800 multiply-adds, 4-bit weights"));
    assert_non_null(strstr(f.code.p, "to head how much; 66 multiply-adds, 7-bit weights"));
    rt_c_files_free(&f);
    net_scene_free(&s);
}

/* Programs that were forged behind a digest that fits, and are taken, are exported, whatever numbers nobody uses. */
static void forged(void **state)
{
    uint64_t dice = 88172645463325252u;
    size_t n, text = 0;
    int taken = 0;
    uint8_t *bytes;
    (void)state;
    net_scene s = net_scene_new(3, 1);
    check_ok(rt_program_write(s.p, &bytes, &n));
    uint8_t *bad = malloc(n);
    for (int i = 7; i >= 0; i--) text = text << 8 | bytes[56 + i];
    for (int t = 0; t < 300; t++) {
        rt_program *p;
        rt_c_files f;
        memcpy(bad, bytes, n);
        dice ^= dice << 13; dice ^= dice >> 7; dice ^= dice << 17;
        bad[64 + text + (dice >> 20) % 1400] = t % 2 ? 0 : (uint8_t)(dice >> 8);
        memset(bad + 24, 0, 32);
        rt_digest d = rt_digest_of(bad, n);
        memcpy(bad + 24, d.hex, 32);
        if (rt_program_read(&p, bad, n, "forged")) continue;
        taken++;
        if (rt_program_bytes(p) < 1 << 24) rt_export_c(p, "net", NULL, &f), rt_c_files_free(&f);
        rt_program_free(p);
    }
    assert_true(taken > 30);
    free(bad);
    free(bytes);
    net_scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(heads), cmocka_unit_test(forged),
                                       cmocka_unit_test(compilers)};
    net_device = rt_device_cpu(2);
    int failed = cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
    rt_device_close(net_device);
    return failed;
}
