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

/* The network, and what the library gives beside its own functions: `watch` hands the bytes of each call to `see`. */
static rt_status write_glue(const place *p, char path[PATH])
{
    char text[PATH], up[256];
    size_t n = 0;
    for (; p->name[n] && n < sizeof up - 1; n++)
        up[n] = (char)(p->name[n] >= 'a' && p->name[n] <= 'z' ? p->name[n] - 32 : p->name[n]);
    up[n] = 0;
    int size = snprintf(
        text, sizeof text,
        "typedef void retort_seer(void *who, int call, const void *bytes, int n);\nstatic retort_seer *retort_see;\n"
        "static void *retort_who;\n#define %s_SEE(call, bytes, n) retort_see(retort_who, call, bytes, n)\n"
        "#include \"%s.c\"\nstatic %s_arena arena;\nint check(void);\nlong row(void);\nint width(void);\n"
        "int calls(void);\n"
        "void run(float *y, const void *x);\nvoid watch(float *y, const void *x, retort_seer *see, void *who);\n"
        "static void nothing(void *w, int c, const void *b, int n) { (void)w; (void)c; (void)b; (void)n; }\n"
        "int check(void) { retort_see = nothing; return %s_selftest(&arena); }\n"
        "long row(void) { return (long)sizeof(%s_input) * %s_INPUT; }\nint width(void) { return %s_OUTPUT; }\n"
        "int calls(void) { return %s_CALLS; }\nvoid run(float *y, const void *x) { %s_infer(&arena, y, x); }\n"
        "void watch(float *y, const void *x, retort_seer *see, void *who)\n"
        "{ int wrong = 0; retort_see = see; retort_who = who; %s_run(&arena, y, x, &wrong); }\n",
        up, p->name, p->name, p->name, p->name, up, up, up, p->name, p->name);
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
    const char *argv[] = {cc, "-O3", "-march=native", "-fPIC", "-shared", include, glue, data, "-o", library,
                          *forms[form].plain ? define : NULL, NULL};
    pid_t pid;
    int status, error = posix_spawnp(&pid, cc, NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (error) return rt_fail(RT_RUN, "%s: %s; CC names another compiler", cc, strerror(error));
    while (waitpid(pid, &status, 0) < 0) if (errno != EINTR) return rt_fail(RT_RUN, "%s: %s", cc, strerror(errno));
    return status ? rt_fail(RT_INPUT, "%s: %s does not compile it", code, cc) : RT_OK;
}

/* All three are there. */
static rt_status look_for_files(const place *p)
{
    static const char *const ending[] = {".c", ".h", "_data.c"};
    char path[2 * PATH];
    for (int i = 0; i < 3; i++) {
        int fd;
        snprintf(path, sizeof path, "%s/%s%s", p->folder, p->name, ending[i]);
        RT_TRY(rt_open_input(&fd, path));
        close(fd);
    }
    return RT_OK;
}

/* Of a library: its functions, and what they are compared with. */
typedef void seer(void *who, int call, const void *bytes, int n);
typedef struct {
    int (*check)(void), (*width)(void), (*calls)(void);
    long (*row)(void);
    void (*run)(float *, const void *);
    void (*watch)(float *, const void *, seer *, void *who);
} library;

typedef struct {
    verify_family plain;               /* differ: of the library's bytes */
    const rt_net *n;
    int seen, other;                   /* calls that showed their bytes; one of another size */
} watcher;

static void see(void *who, int call, const void *bytes, int n)
{
    watcher *w = who;
    const uint8_t *p = bytes;
    rt_int_image a;
    w->seen++;
    if (call < 0 || call >= w->n->calls || w->n->call[call].out < 0) {
        w->other = 1;
        return;
    }
    a = rt_linked_tensor(w->plain.linked, w->plain.context, w->n->call[call].out);
    if (n != a.h * a.w * a.c) {
        w->other = 1;
        return;
    }
    for (int h = 0; h < a.h; h++)
        for (int k = 0; k < a.w * a.c; k++) w->plain.differ[call] += a.p[h * a.row + k] != *p++;
}

static rt_status load(library *f, void **handle, const char *path)
{
    const struct {
        const char *name;
        void *to;
    } symbols[] = {{"check", &f->check}, {"width", &f->width}, {"calls", &f->calls},
                   {"row", &f->row},     {"run", &f->run},     {"watch", &f->watch}};
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*handle) return rt_fail(RT_RUN, "%s", dlerror());
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *at = dlsym(*handle, symbols[i].name);
        memcpy(symbols[i].to, &at, sizeof at);
    }
    return RT_OK;
}

/* Rows once for time and answers, once for the bytes of all layers. */
static rt_status run_rows(const verify_job *j, const library *f, int form, cJSON *list, watcher *w, int *differs)
{
    float *y = calloc((size_t)j->rows * j->width, sizeof *y), *again = calloc(j->width, sizeof *again);
    rt_status st = y && again ? RT_OK : rt_fail(RT_RUN, "out of memory");
    double start = rt_verify_seconds();
    for (int r = 0; r < j->rows && !st; r++)
        f->run(y + (size_t)r * j->width, (const char *)j->x + (size_t)r * j->row);
    const double spent = rt_verify_seconds() - start;
    for (int r = 0; r < j->rows && !st; r++) {
        rt_verify_row(&w->plain, j, r);
        f->watch(again, (const char *)j->x + (size_t)r * j->row, see, w);
        st = rt_check_stop();
    }
    if (!st && (!w->seen || w->other))
        st = rt_fail(RT_INPUT,
                     "%s: has other layers than %s, or another version of retort exported it; export it again",
                     j->spec->c, j->spec->input);
    if (!st) {
        cJSON *one = cJSON_CreateObject();
        int wrong = f->check();
        cJSON_AddItemToArray(list, one);
        cJSON_AddStringToObject(one, "form", forms[form].name);
        cJSON_AddNumberToObject(one, "selftest", wrong);
        *differs |= rt_verify_describe(one, j, spent, w->plain.differ, y) || wrong;
    }
    free(y);
    free(again);
    return st;
}

static rt_status run_library(const verify_job *j, const char *path, int form, cJSON *list, int *differs)
{
    library f;
    void *handle;
    watcher w = {.n = rt_program_net(j->p)};
    RT_TRY(load(&f, &handle, path));
    rt_status st = RT_OK;
    if ((size_t)f.width() != j->width || (size_t)f.row() != j->row || f.calls() != w.n->calls)
        st = rt_fail(RT_INPUT, "%s: takes or answers other rows than %s, or has other layers; export it again",
                     j->spec->c, j->spec->input);
    if (!st) st = rt_verify_begin(&w.plain, j, rt_verify_plain());
    if (!st) st = run_rows(j, &f, form, list, &w, differs);
    rt_verify_end(&w.plain);
    dlclose(handle);
    return st;
}

rt_status rt_verify_c(const verify_job *j, cJSON *list, int *differs)
{
    place p;
    char path[PATH];
    RT_TRY(name_of(&p, j->spec->c));
    RT_TRY(look_for_files(&p));
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
