/* experiments/verify_c.c - exported C: compiled into a folder of its own, loaded, run. */
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/files.h"
#include "experiments/verify_parts.h"

extern char **environ;
enum { PATH = 4096 };

typedef struct {
    char folder[PATH], name[PATH], own[64];     /* of the C files, and their common name; where it is compiled */
} place;

static const struct { const char *name, *plain; } forms[] = {{"vectors", ""}, {"plain", "=0"}};

static rt_status name_of(place *p, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n < 3 || strcmp(name + n - 2, ".c") || strlen(path) >= PATH - 16)
        return rt_fail(RT_USAGE, "%s: exported C is NAME.c; give --c NAME.c", path);
    snprintf(p->name, sizeof p->name, "%.*s", (int)n - 2, name);
    snprintf(p->folder, sizeof p->folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path) strcpy(p->folder, "/");
    for (const char *q = p->name; *q; q++)
        if (!((*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z') || (*q >= '0' && *q <= '9') || *q == '_'))
            return rt_fail(RT_USAGE, "%s: is not named as exported C is: letters, digits and '_'", path);
    return RT_OK;
}

/* What the library gives beside the network's own functions. */
static rt_status write_glue(const place *p, char path[PATH])
{
    char text[PATH], up[256];
    size_t n = 0;
    for (; p->name[n] && n < sizeof up - 1; n++)
        up[n] = (char)(p->name[n] >= 'a' && p->name[n] <= 'z' ? p->name[n] - 32 : p->name[n]);
    up[n] = 0;
    int size = snprintf(
        text, sizeof text,
        "#include \"%s.h\"\nstatic %s_arena arena;\nint check(void);\nlong row(void);\nint width(void);\n"
        "void run(float *y, const void *x);\nint check(void) { return %s_selftest(&arena); }\n"
        "long row(void) { return (long)sizeof(%s_input) * %s_INPUT; }\nint width(void) { return %s_OUTPUT; }\n"
        "void run(float *y, const void *x) { %s_infer(&arena, y, x); }\n",
        p->name, p->name, p->name, p->name, up, up, p->name);
    snprintf(path, PATH, "%s/glue.c", p->own);
    if (size < 0 || (size_t)size >= sizeof text) return rt_fail(RT_USAGE, "%s: is too long a name", p->name);
    return rt_write_file(path, text, (size_t)size);
}

static rt_status compile(const place *p, int form, const char *library)
{
    char glue[PATH], code[2 * PATH + 16], data[2 * PATH + 16], include[PATH + 2], define[PATH + 8];
    const char *cc = getenv("CC") && *getenv("CC") ? getenv("CC") : "cc";
    RT_TRY(write_glue(p, glue));
    snprintf(code, sizeof code, "%s/%s.c", p->folder, p->name);
    snprintf(data, sizeof data, "%s/%s_data.c", p->folder, p->name);
    snprintf(include, sizeof include, "-I%s", p->folder);
    int n = snprintf(define, sizeof define, "-D%s_FORM%s", p->name, forms[form].plain);
    for (char *q = define + 2; q < define + n; q++) if (*q >= 'a' && *q <= 'z') *q -= 32;
    const char *argv[] = {cc, "-O3", "-march=native", "-fPIC", "-shared", include, glue, code, data, "-o", library,
                          *forms[form].plain ? define : NULL, NULL};
    pid_t pid;
    int status, error = posix_spawnp(&pid, cc, NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (error) return rt_fail(RT_RUN, "%s: %s; CC names another compiler", cc, strerror(error));
    while (waitpid(pid, &status, 0) < 0) if (errno != EINTR) return rt_fail(RT_RUN, "%s: %s", cc, strerror(errno));
    return status ? rt_fail(RT_INPUT, "%s: %s does not compile it", code, cc) : RT_OK;
}

static rt_status run_library(const verify_job *j, const char *library, int form, cJSON *list, int *differs)
{
    int (*check)(void), (*width)(void);
    long (*row)(void);
    void (*run)(float *, const void *);
    void *l = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!l) return rt_fail(RT_RUN, "%s", dlerror());
    const struct {
        const char *name;
        void *to;
    } symbols[] = {{"check", &check}, {"width", &width}, {"row", &row}, {"run", &run}};
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *at = dlsym(l, symbols[i].name);
        memcpy(symbols[i].to, &at, sizeof at);
    }
    float *y = calloc((size_t)j->rows * j->width, sizeof *y);
    rt_status st = y ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st && ((size_t)width() != j->width || (size_t)row() != j->row))
        st = rt_fail(RT_INPUT, "%s: takes or answers other rows than %s", j->spec->c, j->spec->input);
    if (!st) {
        uint64_t answers, flips;
        int wrong = check();
        double start = rt_verify_seconds();
        for (int r = 0; r < j->rows; r++) run(y + (size_t)r * j->width, (const char *)j->x + (size_t)r * j->row);
        double spent = rt_verify_seconds() - start;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        rt_verify_answers(j, y, &answers, &flips);
        cJSON_AddStringToObject(one, "form", forms[form].name);
        cJSON_AddNumberToObject(one, "us", spent / j->rows * 1e6);
        cJSON_AddNumberToObject(one, "selftest", wrong);
        cJSON_AddNumberToObject(one, "answers", (double)answers);
        cJSON_AddNumberToObject(one, "flips", (double)flips);
        *differs |= wrong || answers;
    }
    free(y);
    dlclose(l);
    return st;
}

rt_status rt_verify_c(const verify_job *j, cJSON *list, int *differs)
{
    place p;
    char path[PATH];
    RT_TRY(name_of(&p, j->spec->c));
    strcpy(p.own, "/tmp/retort-verify-XXXXXX");
    if (!mkdtemp(p.own)) return rt_fail(RT_RUN, "%s: %s", p.own, strerror(errno));
    rt_status st = RT_OK;
    for (int form = 0; form < 2 && !st; form++) {
        snprintf(path, sizeof path, "%s/%s.so", p.own, forms[form].name);
        st = compile(&p, form, path);
        if (!st) st = run_library(j, path, form, list, differs);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/glue.c", p.own);
    unlink(path);
    rmdir(p.own);
    return st;
}
