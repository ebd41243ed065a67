/* ONNX's own tests through planned models: each test's graph becomes a native model, whose answer to the recorded input
 * must be the recorded output (rtol 1e-3, atol 1e-6 of the output's scale; of halves 1e-2). That row and others, whose
 * values are its own, turned round, are answered alone and in batches of 7 and 64 with the same bits. Inputs of
 * floats are data, all of them, and then the first one alone, the others being constants as weights are; inputs of
 * integers, booleans and texts are constants of the graph always. A lone model has no recorded data: it gets made-up
 * numbers, at odd lengths where it leaves dimensions open, and the evaluator's answers.
 *
 * Told of each test: "planned" with its layers, and how many of them are `call`; "constant" where nothing depends on
 * floats; "refused" with the reason; "WRONG"; "CRASHED". */
#include "tests/onnx/onnx_recorded.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/rng.h"
#include "student/onnx/onnx_lower.h"
#include "student/predictor.h"
#include "tests/onnx/onnx_tensor_file.h"

enum { PLANNED, PARTLY, CONSTANT, REFUSED, WRONG, CRASHED, KINDS, SECONDS = 60, MOST = 64, ROWS = 7, BATCH = 64,
       LARGE = 1 << 24 /* numbers: of more than that no batch is tried but of 7 */ };
static const char *const said[] = {"planned", "partly", "constant", "refused", "WRONG", "CRASHED"};
static int count[KINDS];

typedef struct {
    rt_onnx_file *f;
    rt_region *r; /* has the arrays */
    rt_array *in[MOST], *want[MOST]; /* as the model's inputs and outputs */
    int data[MOST]; /* input i comes with each row */
} test;

/* ---- data ---- */

static int place_of(const rt_eval_graph *g, const int *list, int n, const char *name, int i)
{
    for (int k = 0; k < n; k++)
        if (!strcmp(g->value[list[k]], name)) return k;
    return i < n ? i : -1;
}

/* What the evaluator makes of the inputs. */
static rt_status evaluate(test *t)
{
    const rt_eval_graph *g = t->f->graph;
    rt_array **value = rt_region_list(t->r, (size_t)g->values, sizeof *value);
    rt_eval *e;
    if (!value) return RT_RUN;
    for (int i = 0; i < g->inputs; i++) value[g->input[i]] = t->in[i];
    RT_TRY(rt_eval_new(&e, t->r));
    rt_eval_limit(e, SECONDS);
    RT_TRY(rt_eval_run(e, g, value, 1));
    for (int i = 0; i < g->outputs && i < MOST; i++) t->want[i] = value[g->output[i]];
    return RT_OK;
}

/* A row is of float32: where that rounds an input of doubles, the evaluator's answer to what is left is what is wanted.
 */
static rt_status round_inputs(test *t)
{
    int rounded = 0;
    for (int i = 0; i < t->f->graph->inputs; i++)
        for (size_t k = 0; t->in[i]->type == RT_F64 && k < t->in[i]->count; k++) {
            double x = rt_array_double(t->in[i], k);
            rounded |= x != (double)(float)x && !isnan(x);
            rt_array_put(t->in[i], k, (double)(float)x);
        }
    return rounded ? evaluate(t) : RT_OK;
}

static rt_status read_set(test *t, const char *folder)
{
    const rt_eval_graph *g = t->f->graph;
    char path[9000];
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < MOST; i++) {
            rt_array *a;
            const char *name;
            snprintf(path, sizeof path, "%s/%s_%d.pb", folder, way ? "output" : "input", i);
            if (!there(path)) break;
            RT_TRY(read_tensor(&a, &name, t->r, path));
            int at = way ? place_of(g, g->output, g->outputs, name, i) : place_of(g, g->input, g->inputs, name, i);
            if (at < 0) continue;
            rt_dtype told = way ? t->f->output[at].type : t->f->input[at].type;
            if (a->type == RT_U16 && told == RT_BF16) a->type = told;        /* how older tests have them */
            *(way ? &t->want[at] : &t->in[at]) = a;
        }
    for (int i = 0; i < g->inputs; i++)
        if (!t->in[i]) return rt_fail(RT_INPUT, "no data of input %d", i);
    return round_inputs(t);
}

/* Numbers in [-1, 1), small integers, and what the evaluator makes of them. Open dimensions are 5, 7, 3 ... long. */
static rt_status make_set(test *t)
{
    static const int64_t odd[RT_ARRAY_RANK] = {1, 5, 7, 3, 2, 3, 2, 3};
    const rt_eval_graph *g = t->f->graph;
    for (int i = 0; i < g->inputs; i++) {
        const rt_onnx_value *v = &t->f->input[i];
        int64_t dim[RT_ARRAY_RANK];
        uint32_t w[4];
        if (v->strange || v->type == RT_DTYPE_COUNT || v->type == RT_STRING || v->rank < 0)
            return rt_fail(RT_INPUT, "no data can be made up for input '%s'", v->name);
        for (int k = 0; k < v->rank; k++) dim[k] = v->dim[k] < 0 ? odd[k] : v->dim[k];
        RT_TRY(rt_array_make(&t->in[i], t->r, v->type, v->rank, dim));
        for (size_t k = 0; k < t->in[i]->count; k++) {
            rt_random4(w, 1, RT_RNG_TEST, (uint32_t)i, 0, 0, (uint32_t)k);
            if (rt_array_is_float(t->in[i])) rt_array_put(t->in[i], k, 2 * (double)rt_unit(w[0]) - 1);
            else rt_array_put_int(t->in[i], k, v->type == RT_BOOL ? w[0] & 1 : w[0] % 3);
        }
    }
    return evaluate(t);
}

/* ---- comparing ---- */

static int differs(const rt_array *want, const float *got, const char *name, char *text, size_t room)
{
    double scale = 0, loose = want->type == RT_F16 || want->type == RT_BF16 ? 1e-2 : 1e-3;
    for (size_t i = 0; i < want->count; i++)
        if (isfinite(rt_array_double(want, i))) scale = fmax(scale, fabs(rt_array_double(want, i)));
    for (size_t i = 0; i < want->count; i++) {
        double y = rt_array_double(want, i), x = (double)got[i];
        if (isnan(y)                       ? isnan(x)
            : isinf(y) || fabs(y) > 3.4e38 ? x == (double)(float)y || x == y
                                           : fabs(x - y) <= 1e-6 * scale + loose * fabs(y))
            continue;
        snprintf(text, room, "%s[%zu] is %.9g, recorded is %.9g", name, i, x, y);
        return 1;
    }
    return 0;
}

/* Images lie channels last in a row, as data sets have them. */
static int is_image(const rt_array *a) { return a->rank == 4 && a->dim[0] == 1; }

static void put_row(float *to, const rt_array *a, int image)
{
    size_t c = image ? (size_t)a->dim[1] : 1, n = a->count / (c ? c : 1);
    for (size_t i = 0; i < a->count; i++) to[image ? i % n * c + i / n : i] = (float)rt_array_double(a, i);
}

/* The first batch in which a row is not answered as it is alone, to the bit; 0: none. */
static int differs_in(rt_predictor *p, const float *row, size_t size, int width, int most)
{
    float *one = malloc((size_t)(ROWS * width) * sizeof *one), *all = malloc((size_t)(most * width) * sizeof *all);
    int bad = 0;
    if (!one || !all) exit(4);
    for (int b = 0; b < ROWS; b++)
        rt_predict(p, &(rt_feed){.raw = row + (size_t)b * size, .rows = 1}, one + b * width);
    for (int rows = ROWS; rows && !bad; rows = rows < most ? most : 0) {
        rt_predict(p, &(rt_feed){.raw = row, .rows = (uint64_t)rows}, all);
        for (int b = 0; b < rows && !bad; b++)
            if (memcmp(one + b % ROWS * width, all + b * width, (size_t)width * sizeof *one)) bad = rows;
    }
    free(one);
    free(all);
    return bad;
}

static int compare(const test *t, rt_model *m, const int *head, int heads, char *text, size_t room)
{
    size_t size = 0, at = 0;
    int width = rt_model_width(m), bad = 0, most = BATCH;
    for (int i = 0; i < m->inputs; i++) size += m->input[i].size;
    if (size * BATCH > LARGE || (size_t)width * BATCH > LARGE) most = ROWS;
    float *row = malloc((size_t)most * size * sizeof *row), *one = malloc((size_t)width * sizeof *one);
    if (!row || !one) exit(4);
    for (int i = 0, k = 0; i < t->f->graph->inputs; i++) {
        if (!t->data[i]) continue;
        size_t n = t->in[i]->count;
        if (k < m->inputs) m->input[k].raw_at = at * sizeof *row, m->input[k++].raw_bytes = size * sizeof *row;
        put_row(row + at, t->in[i], is_image(t->in[i]));
        for (int b = 1; b < most; b++)
            for (size_t j = 0; j < n; j++) row[(size_t)b * size + at + j] = row[at + (j + (size_t)(b % ROWS)) % n];
        at += n;
    }
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    if (at != size || rt_predictor_new(&p, &m, 1, device, 0, NULL, 0)) {
        snprintf(text, room, "%s", at != size ? "the model has inputs of other sizes" : rt_error_message());
        return 1;
    }
    rt_predict(p, &(rt_feed){.raw = row, .rows = 1}, one);
    if ((bad = differs_in(p, row, size, width, most))) snprintf(text, room, "differs in a batch of %d", bad);
    at = 0;
    for (int i = 0; i < heads && !bad; i++) {
        if (t->want[head[i]]) bad = differs(t->want[head[i]], one + at, t->f->output[head[i]].name, text, room);
        at += (size_t)m->head[i].size;
    }
    rt_predictor_free(p);
    rt_device_close(device);
    free(row);
    free(one);
    return bad;
}

/* ---- a model of it ---- */

/* Up to three dimensions, as rows have; a batch of one is left out. */
static void set_shape(rt_lower_input *in, const rt_array *a)
{
    int first = a->rank > 3 && a->dim[0] == 1;
    in->shape = (rt_shape){1, {(int)a->count}};
    for (int k = 0; k < a->rank; k++) in->order[k] = k;
    if (is_image(a)) in->order[1] = 2, in->order[2] = 3, in->order[3] = 1;
    if (a->rank <= first || a->rank - first > 3) return;
    in->shape.rank = a->rank - first;
    for (int k = first; k < a->rank; k++) in->shape.dim[k - first] = (int)a->dim[in->order[k]];
}

/* The row as the test has it, whole; what is no data is a value that is known. */
static void bind(const test *t, rt_onnx_file *f, rt_eval_graph *g, rt_onnx_bound *bound, rt_lower_input *in)
{
    int data = 0;
    for (int i = 0; i < t->f->graph->inputs; i++) {
        const rt_array *a = t->in[i];
        if (!t->data[i]) {
            g->known[g->input[i]] = t->in[i];
            continue;
        }
        bound[data] = (rt_onnx_bound){.role = RT_ONNX_DATA, .rank = a->rank};
        memcpy(bound[data].dim, a->dim, sizeof a->dim);
        f->input[data] = t->f->input[i];
        f->input[data].type = a->type;
        f->input[data].rank = a->rank;
        memcpy(f->input[data].dim, a->dim, sizeof a->dim);
        if (a->rank) f->input[data].dim[0] = 1;            /* the whole is one row: there are no rows to meet */
        in[data].name = t->f->input[i].name;
        set_shape(&in[data], a);
        data++;
    }
    int k = 0;
    for (int i = 0; i < g->inputs; i++)
        if (t->data[i]) g->input[k++] = g->input[i];
    g->inputs = k;
    if (k == 1) in[0].name = "input";
}

static int calls_in(const rt_model *m)
{
    int n = 0;
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(m->arch, "layers");
    for (const cJSON *j = layers->child; j; j = j->next)
        n += !strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "op")), "call");
    return n;
}

static int is_nothing(const test *t)
{
    for (int i = 0; i < t->f->graph->inputs; i++)
        if (t->data[i] && !t->in[i]->count) return 1;
    return 0;
}

/* The test with these inputs as data. */
static int run_bound(const test *t, char *text, size_t room)
{
    static const char *const heads_named[8] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    rt_onnx_file f = *t->f;
    rt_eval_graph g = *t->f->graph;
    rt_onnx_bound bound[MOST] = {{0}};
    rt_lower_input in[MOST] = {{0}};
    int output[MOST], head[MOST], fused, inputs[MOST];
    rt_lower_wanted want = {.heads = 0};
    rt_onnx_row row;
    rt_model *m = NULL;
    if (is_nothing(t)) {
        snprintf(text, room, "an input without elements");
        return REFUSED;
    }
    f.graph = &g;
    f.input = rt_region_list(t->r, MOST, sizeof *f.input);
    g.known = rt_region_list(t->r, (size_t)g.values, sizeof *g.known);
    memcpy(g.known, t->f->graph->known, (size_t)g.values * sizeof *g.known);
    memcpy(inputs, g.input, (size_t)g.inputs * sizeof *inputs);
    g.input = inputs;
    bind(t, &f, &g, bound, in);
    for (int i = 0; i < g.outputs; i++) output[i] = g.output[i];
    rt_status st = rt_onnx_row_new(&row, &f, bound, output, g.outputs);
    if (!st) {
        for (int i = 0; i < g.outputs; i++) {
            if (!row.varies[row.graph->output[i]]) continue;
            if (want.heads == RT_MAX_HEADS) {
                rt_onnx_row_free(&row);
                snprintf(text, room, "more than %d outputs", RT_MAX_HEADS);
                return REFUSED;
            }
            head[want.heads] = i;
            output[want.heads] = row.graph->output[i];
            want.head[want.heads] = (rt_lower_head){output[want.heads], heads_named[want.heads], RT_TASK_REAL};
            want.heads++;
        }
        if (!want.heads) {
            rt_onnx_row_free(&row);
            return CONSTANT;
        }
        st = rt_onnx_fuse(&row, &fused);
        if (!st) st = rt_onnx_row_trim(&row, output, want.heads);
        if (!st) st = rt_onnx_lower(&m, &row, bound, in, &want);
        rt_onnx_row_free(&row);
    }
    if (st) {
        snprintf(text, room, "%s", rt_error_message());
        return st == RT_RUN ? WRONG : REFUSED;
    }
    if (compare(t, m, head, want.heads, text, room)) return WRONG;
    int calls = calls_in(m);
    snprintf(text, room, "%d layers, %d call", m->graph->nodes, calls);
    rt_model_free(m);
    return calls ? PARTLY : PLANNED;
}

/* All floats as data, then the first one: the better of both, or the worst where one is wrong. */
static int run_set(test *t, char *text, size_t room)
{
    char other[1000] = "";
    int floats = 0, first = -1;
    if (t->f->graph->inputs > MOST || t->f->graph->outputs > MOST) {
        snprintf(text, room, "more than %d inputs or outputs", MOST);
        return REFUSED;
    }
    for (int i = 0; i < t->f->graph->inputs; i++) {
        t->data[i] = rt_array_is_float(t->in[i]);
        if (t->data[i] && first < 0) first = i;
        floats += t->data[i];
    }
    if (!floats) return CONSTANT;
    int was = run_bound(t, text, room);
    if (floats == 1 || was >= WRONG) return was;
    for (int i = 0; i < t->f->graph->inputs; i++) t->data[i] = i == first;
    int is = run_bound(t, other, sizeof other);
    if (is < WRONG && is >= was) return was;
    snprintf(text, room, "%s", other);
    return is;
}

static int run_test(const char *path, char *text, size_t room)
{
    char name[8192];
    int worst = PLANNED, sets = 0, single = strlen(path) > 5 && !strcmp(path + strlen(path) - 5, ".onnx");
    rt_onnx_file *f;
    snprintf(name, sizeof name, "%s%s", path, single ? "" : "/model.onnx");
    if (rt_onnx_read(&f, name, NULL)) {
        snprintf(text, room, "%s", rt_error_message());
        return REFUSED;
    }
    for (int i = 0; i < (single ? 1 : 10); i++) {
        test t = {.f = f, .r = rt_region_new((size_t)2 << 30)};
        snprintf(name, sizeof name, "%s/test_data_set_%d", path, i);
        if (!single && !there(name)) continue;
        rt_status st = single ? make_set(&t) : read_set(&t, name);
        if (st) snprintf(text, room, "%s", rt_error_message());
        int was = st ? REFUSED : run_set(&t, text, room);
        if (was > worst) worst = was;
        rt_region_free(t.r);
        sets++;
        if (worst >= REFUSED) break;
    }
    rt_onnx_close(f);
    if (!sets) snprintf(text, room, "has no data");
    return sets ? worst : REFUSED;
}

/* In a process of its own: what crashes there is told. */
static void one(const char *path)
{
    int pipes[2], status;
    char text[1200] = "";
    if (pipe(pipes)) exit(4);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        close(pipes[0]);
        end_after(2 * SECONDS);
        int was = run_test(path, text, sizeof text);
        if (write(pipes[1], text, strlen(text)) < 0) _exit(0);
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
    text[strcspn(text, "\n")] = 0;
    count[was]++;
    printf("%s\t%s\t%s\n", said[was], strrchr(path, '/') ? strrchr(path, '/') + 1 : path, text);
}

static void walk(const char *path)
{
    char name[4096];
    struct dirent **list;
    struct stat s;
    if (stat(path, &s)) return;
    snprintf(name, sizeof name, "%s/model.onnx", path);
    if (!S_ISDIR(s.st_mode) || there(name)) {
        one(path);
        return;
    }
    int n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        size_t length = strlen(list[i]->d_name);
        snprintf(name, sizeof name, "%s/%s", path, list[i]->d_name);
        int model = length > 5 && !strcmp(list[i]->d_name + length - 5, ".onnx");
        if (list[i]->d_name[0] != '.' && !stat(name, &s) && (S_ISDIR(s.st_mode) || model)) walk(name);
        free(list[i]);
    }
    if (n >= 0) free(list);
}

int onnx_recorded(int folders, char **folder)
{
    for (int i = 0; i < folders; i++) walk(folder[i]);
    printf("%d planned, %d partly by definition, %d constant, %d refused, %d wrong, %d crashed\n", count[PLANNED],
           count[PARTLY], count[CONSTANT], count[REFUSED], count[WRONG], count[CRASHED]);
    return count[WRONG] + count[CRASHED] > 0;
}
