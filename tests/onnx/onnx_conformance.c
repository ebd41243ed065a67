/* Runs ONNX backend tests: onnx_conformance [--quiet] FOLDER... , where each FOLDER holds model.onnx and
 * test_data_set_N with input_I.pb and output_I.pb, or folders of such. Each test runs in a process of its own. A test
 * passes when all outputs of all sets are as recorded (rtol 1e-3, atol 1e-7 or 1e-6 of the greatest value; integers,
 * booleans, texts equal); it is refused when reading or evaluating says that something is not supported; else it is
 * wrong, crashed or hung, and the program exits with 1. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/onnx/onnx_tensor_file.h"

enum { PASS, REFUSED, WRONG, CRASHED, KINDS, SECONDS = 60 };
static int quiet, count[KINDS];

static int element_differs(const rt_array *a, const rt_array *b, size_t i, double scale)
{
    if (a->type == RT_STRING) return strcmp(rt_array_text(a, i), rt_array_text(b, i)) != 0;
    if (!rt_array_is_float(a)) return rt_array_int(a, i) != rt_array_int(b, i);
    double x = rt_array_double(a, i), y = rt_array_double(b, i),
           loose = a->type == RT_F16 || a->type == RT_BF16 ? 1e-2 : 1e-3;
    if (isnan(y)) return !isnan(x);
    if (isinf(y)) return x != y;
    return !(fabs(x - y) <= fmax(1e-7, 1e-6 * scale) + loose * fabs(y));
}

static int differs(const rt_array *got, const rt_array *want, const char *which)
{
    char a[128], b[128];
    if (got->type != want->type || got->rank != want->rank ||
        memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim)) {
        printf("%s is %s, recorded is %s\n", which, rt_array_describe(got, a), rt_array_describe(want, b));
        return 1;
    }
    double scale = 0;
    for (size_t i = 0; i < want->count && rt_array_is_float(want); i++)
        if (isfinite(rt_array_double(want, i))) scale = fmax(scale, fabs(rt_array_double(want, i)));
    for (size_t i = 0; i < want->count; i++)
        if (element_differs(got, want, i, scale)) {
            printf("%s[%zu] is %.9g '%s', recorded is %.9g '%s'\n", which, i, rt_array_double(got, i),
                   rt_array_text(got, i), rt_array_double(want, i), rt_array_text(want, i));
            return 1;
        }
    return 0;
}

static int input_of(const rt_eval_graph *g, const char *name, int i)
{
    for (int k = 0; k < g->inputs; k++) if (!strcmp(g->value[g->input[k]], name)) return g->input[k];
    return i < g->inputs ? g->input[i] : -1;
}

static int run_set(const rt_onnx_file *f, const char *folder)
{
    const rt_eval_graph *g = f->graph;
    char path[8192];
    rt_region *r = rt_region_new((size_t)2 << 30);
    rt_array **value = rt_region_list(r, (size_t)g->values, sizeof *value), *want;
    const char *name;
    rt_eval *e;
    if (!value || rt_eval_new(&e, r)) return CRASHED;
    rt_eval_limit(e, SECONDS);
    rt_status st = RT_OK;
    for (int i = 0; !st; i++) {
        rt_array *a;
        snprintf(path, sizeof path, "%s/input_%d.pb", folder, i);
        if (!there(path)) break;
        st = read_tensor(&a, &name, r, path);
        int at = st ? -1 : input_of(g, name, i);
        if (at >= 0) value[at] = a;
        for (int k = 0; at >= 0 && k < g->inputs; k++)      /* old tests hold bfloat16 as the integers of its bits */
            if (g->input[k] == at && a->type == RT_U16 && f->input[k].type == RT_BF16) a->type = RT_BF16;
    }
    if (!st) st = rt_eval_run(e, g, value, 1);
    if (st) {
        printf("%s\n", rt_error_message());
        return REFUSED;
    }
    for (int i = 0; i < g->outputs; i++) {
        snprintf(path, sizeof path, "%s/output_%d.pb", folder, i);
        if (!there(path)) break;
        if (read_tensor(&want, &name, r, path)) {
            printf("%s\n", rt_error_message());
            return REFUSED;
        }
        if (want->type == RT_U16 && value[g->output[i]]->type == RT_BF16) want->type = RT_BF16;
        if (differs(value[g->output[i]], want, g->value[g->output[i]])) return WRONG;
    }
    rt_region_free(r);
    return PASS;
}

static int run_test(const char *folder)
{
    char path[4096];
    rt_onnx_file *f;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (rt_onnx_read(&f, path, NULL)) {
        printf("%s\n", rt_error_message());
        return REFUSED;
    }
    int worst = PASS, sets = 0;
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, i);
        if (!there(path)) continue;
        int was = run_set(f, path);
        if (was > worst) worst = was;
        sets++;
    }
    rt_onnx_close(f);
    if (!sets) printf("has no data\n");
    return sets ? worst : WRONG;
}

static void one(const char *folder)
{
    static const char *const said[] = {"pass", "refused", "WRONG", "CRASHED"};
    int pipes[2], status;
    char text[2000] = "";
    if (pipe(pipes)) exit(4);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        dup2(pipes[1], 1);
        close(pipes[0]);
        close(pipes[1]);
        end_after(2 * SECONDS);
        int was = run_test(folder);
        fflush(stdout);
        _exit(10 + was);
    }
    close(pipes[1]);
    size_t n = 0;
    for (ssize_t got; n < sizeof text - 1 && (got = read(pipes[0], text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)got;
    close(pipes[0]);
    waitpid(pid, &status, 0);
    int was = WIFEXITED(status) && WEXITSTATUS(status) >= 10 && WEXITSTATUS(status) < 10 + KINDS
                  ? WEXITSTATUS(status) - 10
                  : CRASHED;
    count[was]++;
    text[strcspn(text, "\n")] = 0;
    if (!quiet || was > REFUSED)
        printf("%s\t%s\t%s\n", said[was], strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder, text);
}

static void walk(const char *folder)
{
    char path[4096];
    struct dirent **list;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (there(path)) {
        one(folder);
        return;
    }
    int n = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
        struct stat s;
        if (list[i]->d_name[0] != '.' && !stat(path, &s) && S_ISDIR(s.st_mode)) walk(path);
        free(list[i]);
    }
    if (n >= 0) free(list);
}

int main(int argc, char **argv)
{
    int from = 1;
    if (argc > 1 && !strcmp(argv[1], "--quiet")) quiet = 1, from = 2;
    if (from >= argc) {
        fprintf(stderr, "onnx_conformance [--quiet] FOLDER...\n");
        return 2;
    }
    for (int i = from; i < argc; i++) walk(argv[i]);
    printf("%d passed, %d refused, %d wrong, %d crashed\n", count[PASS], count[REFUSED], count[WRONG], count[CRASHED]);
    return count[WRONG] + count[CRASHED] > 0;
}
