#include "experiments/jobs/verify_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/clock.h"
#include "data/import_parts.h"
#include "data/rows.h"
#include "data/source.h"
#include "experiments/jobs/deploy_job.h"
#include "experiments/verify_parts.h"

enum { MADE_UP = 64, ROWS_MOST = 1 << 20, FAMILIES = 8 };

/* ---- rows ---- */

/* Rows as they are in data, bytes or floats, as the program takes them. */
static rt_status take_rows(verify_job *j, const void *raw, rt_dtype type, uint64_t rows, const char *of)
{
    const size_t n = (size_t)rows * j->elements;
    const cJSON *norm = cJSON_GetObjectItemCaseSensitive(rt_program_about(j->p), "normalization"),
                *mul = cJSON_GetObjectItemCaseSensitive(norm, "mul"),
                *add = cJSON_GetObjectItemCaseSensitive(norm, "add");
    const int channels = cJSON_GetArraySize(mul), bytes = rt_program_takes(j->p);
    if (type != RT_U8 && type != RT_F32)
        return rt_fail(RT_INPUT, "%s: rows of %s; u8 or f32 are expected", of, rt_dtype_name(type));
    if (channels < 1 || channels != cJSON_GetArraySize(add))
        return rt_fail(RT_INPUT, "%s: has no normalization", j->spec->input);
    float *scale = calloc(2 * (size_t)channels, sizeof *scale), *shift = scale + channels;
    j->x = malloc(n * (bytes ? 1 : sizeof(float)) + 1);
    if (!scale || !j->x) {
        free(scale);
        return rt_fail(RT_RUN, "out of memory for %zu values", n);
    }
    for (int c = 0; c < channels; c++) {
        scale[c] = (float)cJSON_GetNumberValue(cJSON_GetArrayItem(mul, c));
        shift[c] = (float)cJSON_GetNumberValue(cJSON_GetArrayItem(add, c));
    }
    for (size_t i = 0; i < n; i++) {
        float v = type == RT_U8 ? (float)((const uint8_t *)raw)[i] : ((const float *)raw)[i];
        int c = (int)(i % (size_t)channels);
        if (bytes) ((uint8_t *)j->x)[i] = (uint8_t)fminf(fmaxf(rintf(v), 0), 255);
        else ((float *)j->x)[i] = (v + shift[c]) * scale[c];
    }
    free(scale);
    j->rows = (int)rows;
    return RT_OK;
}

static rt_status make_rows(verify_job *j)
{
    const rt_net_tensor *t = &rt_program_net(j->p)->tensor[0];
    const size_t n = MADE_UP * j->elements;
    uint32_t dice = 1;
    j->x = malloc(n * (rt_program_takes(j->p) ? 1 : sizeof(float)) + 1);
    if (!j->x) return rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < n; i++) {
        dice = dice * 1664525u + 1013904223u;
        if (rt_program_takes(j->p)) ((uint8_t *)j->x)[i] = (uint8_t)(dice >> 24);
        else ((float *)j->x)[i] = t->q.scale * ((float)(dice >> 8) / 65536.0f - (float)t->q.zero);
    }
    j->rows = MADE_UP;
    return RT_OK;
}

/* Columns of the data are the program's, in its order. */
static rt_status check_columns(const verify_job *j, const rt_source *s)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(rt_program_about(j->p), "columns");
    rt_names own = {0}, theirs = {0};
    int *map = NULL;
    if (!list) return RT_OK;
    rt_status st = rt_names_from_json(&own, list, j->spec->input, "columns");
    if (!st) st = rt_source_columns(s, &theirs);
    if (!st) st = rt_names_permute(&map, &theirs, &own, "column");
    if (!st && map)
        st = rt_fail(RT_USAGE, "%s: its columns are in another order than those of %s; write them in that order",
                     rt_source_path(s), j->spec->input);
    free(map);
    rt_names_free(&own);
    rt_names_free(&theirs);
    return st;
}

static rt_status read_rows(verify_job *j)
{
    rt_source *s;
    uint64_t first, end;
    RT_TRY(rt_source_open(&s, j->spec->data, j->spec->x ? j->spec->x : "x"));
    rt_status st = rt_parse_range(j->spec->rows ? j->spec->rows : "", rt_source_rows(s), &first, &end);
    if (!st) st = check_columns(j, s);
    size_t row = rt_source_row_bytes(s);
    if (!st && row != j->elements * rt_dtype_size(rt_source_type(s)))
        st = rt_fail(RT_INPUT, "%s: a row has %zu values, the program takes %zu", j->spec->data,
                     row / rt_dtype_size(rt_source_type(s)), j->elements);
    if (!st && (first == end || end - first > ROWS_MOST))
        st = rt_fail(RT_NOTHING, "%s: 1 to %d rows can be replayed; give --rows A:B", j->spec->data, ROWS_MOST);
    void *raw = st ? NULL : malloc((size_t)(end - first) * row + 1);
    if (!st && !raw) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read_stored(s, first, end - first, raw);
    if (!st) st = take_rows(j, raw, rt_source_type(s), end - first, j->spec->data);
    free(raw);
    rt_source_close(s);
    return st;
}

/* ---- kernels ---- */

double rt_verify_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int best_of(const float *y, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++) if (y[i] > y[best]) best = i;
    return best;
}

void rt_verify_answers(const verify_job *j, const float *got, uint64_t *answers, uint64_t *flips)
{
    int heads;
    const rt_head *head = rt_program_heads(j->p, &heads);
    *answers = *flips = 0;
    for (size_t i = 0; i < (size_t)j->rows * j->width; i++) *answers += memcmp(&got[i], &j->want[i], sizeof *got) != 0;
    for (int r = 0; r < j->rows; r++)
        for (int h = 0; h < heads; h++) {
            const size_t at = (size_t)r * j->width + (size_t)head[h].at;
            if (head[h].task == RT_TASK_CLASSES)
                *flips += best_of(got + at, head[h].size) != best_of(j->want + at, head[h].size);
        }
}

const rt_int_kernels *rt_verify_plain(void)
{
    const rt_int_kernels *const *k = rt_int_kernels_all();
    while (strcmp((*k)->name, "scalar")) k++;
    return *k;
}

rt_status rt_verify_begin(verify_family *f, const verify_job *j, const rt_int_kernels *k)
{
    const rt_net *n = rt_program_net(j->p);
    f->k = k;
    RT_TRY(rt_linked_new(&f->linked, n, k, 1));
    f->context = aligned_alloc(64, (rt_linked_bytes(f->linked) + 63) & ~(size_t)63);
    f->y = calloc((size_t)j->rows * j->width, sizeof *f->y);
    f->differ = calloc((size_t)n->calls, sizeof *f->differ);
    if (!f->context || !f->y || !f->differ) return rt_fail(RT_RUN, "out of memory");
    rt_linked_start(f->linked, f->context);
    return RT_OK;
}

void rt_verify_end(verify_family *f)
{
    rt_linked_free(f->linked);
    free(f->context);
    free(f->y);
    free(f->differ);
}

void rt_verify_row(verify_family *f, const verify_job *j, int row)
{
    double start = rt_verify_seconds();
    rt_linked_infer(f->linked, f->context, f->y + (size_t)row * j->width, (const char *)j->x + (size_t)row * j->row, 1);
    f->seconds += rt_verify_seconds() - start;
}

/* Bytes of each call's output that are not those of the plain-C family. */
static void compare_row(verify_family *f, const verify_family *plain, const rt_net *n)
{
    for (int i = 0; i < n->calls; i++) {
        if (n->call[i].out < 0) continue;
        rt_int_image a = rt_linked_tensor(f->linked, f->context, n->call[i].out),
                     b = rt_linked_tensor(plain->linked, plain->context, n->call[i].out);
        for (int h = 0; h < a.h; h++)
            for (int k = 0; k < a.w * a.c; k++) f->differ[i] += a.p[h * a.row + k] != b.p[h * b.row + k];
    }
}

int rt_verify_describe(cJSON *one, const verify_job *j, double seconds, const uint64_t *differ, const float *y)
{
    uint64_t answers, flips, bytes = 0;
    cJSON *layers = cJSON_CreateArray();
    for (int i = 0; i < rt_program_net(j->p)->calls; i++) {
        if (!differ[i]) continue;
        cJSON *l = cJSON_CreateObject();
        cJSON_AddItemToArray(layers, l);
        cJSON_AddNumberToObject(l, "layer", i);
        cJSON_AddNumberToObject(l, "bytes", (double)differ[i]);
        bytes += differ[i];
    }
    rt_verify_answers(j, y, &answers, &flips);
    cJSON_AddNumberToObject(one, "us", seconds / j->rows * 1e6);
    cJSON_AddNumberToObject(one, "bytes", (double)bytes);
    if (bytes) cJSON_AddItemToObject(one, "layers", layers);
    else cJSON_Delete(layers);
    cJSON_AddNumberToObject(one, "answers", (double)answers);
    cJSON_AddNumberToObject(one, "flips", (double)flips);
    return bytes || answers;
}

static int describe_family(cJSON *list, const verify_job *j, const verify_family *f)
{
    cJSON *one = cJSON_CreateObject();
    cJSON_AddItemToArray(list, one);
    cJSON_AddStringToObject(one, "name", f->k->name);
    return rt_verify_describe(one, j, f->seconds, f->differ, f->y);
}

/* The plain-C family's answers go into j->want. */
static rt_status replay(verify_job *j, cJSON *list, int *differs)
{
    verify_family f[FAMILIES] = {0};
    int count = 0;
    double start = rt_seconds();
    rt_status st = RT_OK;
    const rt_int_kernels *const *all = rt_int_kernels_all();
    st = rt_verify_begin(&f[count++], j, rt_verify_plain());
    for (int i = 0; all[i] && !st && count < FAMILIES; i++)
        if (all[i] != rt_verify_plain() && rt_int_kernels_runnable(all[i]))
            st = rt_verify_begin(&f[count++], j, all[i]);
    for (int r = 0; r < j->rows && !st; r++) {
        for (int k = 0; k < count; k++) {
            rt_verify_row(&f[k], j, r);
            if (k) compare_row(&f[k], &f[0], rt_program_net(j->p));
        }
        double spent = rt_seconds() - start;
        rt_progress_update(j->progress, "verify", r + 1, j->rows, spent > 0 ? (r + 1) / spent : 0, "rows", "");
        st = rt_check_stop();
    }
    if (!st) memcpy(j->want, f[0].y, (size_t)j->rows * j->width * sizeof *j->want);
    for (int k = 0; k < count; k++) {
        if (!st) *differs |= describe_family(list, j, &f[k]);
        rt_verify_end(&f[k]);
    }
    return st;
}

/* ---- recorded answers ---- */

/* Array `name` of an NPZ, f32 or u8, of `count` elements a row; NULL in *data, and RT_INPUT, when it is none. */
static rt_status read_array(const rt_zip *z, const char *name, size_t count, void **data, rt_dtype *type,
                            uint64_t *rows)
{
    int at = -1;
    size_t n = strlen(name), got;
    rt_array a = {.in = NULL};
    *data = NULL;
    for (int i = 0; i < z->members; i++)
        if (!strncmp(z->member[i].name, name, n) && !strcmp(z->member[i].name + n, ".npy")) at = i;
    if (at < 0)
        return rt_fail(RT_INPUT, "%s: has no array '%s'; record it with experiments/peers/ort_run.py", z->path, name);
    rt_status st = rt_array_open_member(&a, z, at);
    uint64_t elements = 1;
    for (int i = 1; !st && i < a.rank; i++) elements *= a.dim[i];
    if (!st && (elements != count || a.fortran || a.swap || a.text || a.dim[0] < 1 || a.dim[0] > ROWS_MOST ||
                (a.type != RT_F32 && a.type != RT_U8)))
        st = rt_fail(RT_INPUT, "%s: array '%s' does not have rows of %zu f32 or u8", z->path, name, count);
    if (!st && !(*data = malloc(a.bytes + 1))) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_bytes_read(a.in, *data, a.bytes, &got);
    if (!st && got < a.bytes) st = rt_fail(RT_INPUT, "%s: array '%s' is cut", z->path, name);
    if (!st) *type = a.type, *rows = a.dim[0];
    rt_array_close(&a);
    return st;
}

static rt_status recorded_rows(verify_job *j)
{
    rt_zip z;
    void *raw = NULL;
    rt_dtype type;
    uint64_t rows;
    RT_TRY(rt_zip_open(&z, j->spec->against));
    rt_status st = read_array(&z, "x", j->elements, &raw, &type, &rows);
    if (!st) st = take_rows(j, raw, type, rows, j->spec->against);
    free(raw);
    rt_zip_close(&z);
    return st;
}

/* What a row cost there, where it was recorded. */
static rt_status add_time(cJSON *one, const rt_zip *z)
{
    static const char name[] = "microseconds.npy";
    void *us;
    rt_dtype type;
    uint64_t rows;
    int there = 0;
    for (int i = 0; i < z->members; i++) there |= !strcmp(z->member[i].name, name);
    if (!there) return RT_OK;
    rt_status st = read_array(z, "microseconds", 1, &us, &type, &rows);
    if (!st && type == RT_F32 && isfinite(*(float *)us)) cJSON_AddNumberToObject(one, "us", (double)*(float *)us);
    free(us);
    return st;
}

static rt_status recorded_answers(verify_job *j, cJSON *result, int *differs)
{
    rt_zip z;
    int heads;
    const rt_head *head = rt_program_heads(j->p, &heads);
    float *y = calloc((size_t)j->rows * j->width, sizeof *y);
    if (!y) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_zip_open(&z, j->spec->against);
    for (int h = 0; h < heads && !st; h++) {
        void *part;
        rt_dtype type;
        uint64_t rows;
        st = read_array(&z, head[h].name, (size_t)head[h].size, &part, &type, &rows);
        if (!st && (type != RT_F32 || rows != (uint64_t)j->rows))
            st = rt_fail(RT_INPUT, "%s: array '%s' does not have %d rows of f32", j->spec->against, head[h].name,
                         j->rows);
        for (int r = 0; r < j->rows && !st; r++)
            memcpy(y + (size_t)r * j->width + head[h].at, (float *)part + (size_t)r * (size_t)head[h].size,
                   (size_t)head[h].size * sizeof *y);
        free(part);
    }
    if (!st) {
        uint64_t answers, flips;
        cJSON *one = cJSON_AddObjectToObject(result, "onnx");
        st = add_time(one, &z);
        rt_verify_answers(j, y, &answers, &flips);
        cJSON_AddNumberToObject(one, "answers", (double)answers);
        cJSON_AddNumberToObject(one, "flips", (double)flips);
        *differs |= answers > 0;
    }
    rt_zip_close(&z);
    free(y);
    return st;
}

/* ---- all ---- */

static rt_status verify(verify_job *j, cJSON *result, int *differs)
{
    const rt_net *n = rt_program_net(j->p);
    const rt_net_tensor *t = &n->tensor[0];
    j->elements = (size_t)t->h * (size_t)t->w * (size_t)t->c;
    j->row = j->elements * (rt_program_takes(j->p) ? 1 : sizeof(float));
    j->width = (size_t)rt_program_width(j->p);
    RT_TRY(j->spec->data ? read_rows(j) : j->spec->against ? recorded_rows(j) : make_rows(j));
    j->want = calloc((size_t)j->rows * j->width, sizeof *j->want);
    if (!j->want) return rt_fail(RT_RUN, "out of memory");
    cJSON_AddNumberToObject(result, "rows", j->rows);
    cJSON_AddStringToObject(result, "of",
                            j->spec->data      ? j->spec->data
                            : j->spec->against ? j->spec->against
                                               : "made up");
    cJSON_AddNumberToObject(result, "layers", n->calls);
    RT_TRY(replay(j, cJSON_AddArrayToObject(result, "kernels"), differs));
    RT_TRY(rt_verify_training(j, cJSON_AddObjectToObject(result, "training"), differs));
    if (j->spec->c) RT_TRY(rt_verify_c(j, cJSON_AddArrayToObject(result, "c"), differs));
    if (j->spec->against) RT_TRY(recorded_answers(j, result, differs));
    cJSON_AddBoolToObject(result, "equal", !*differs);
    return RT_OK;
}

rt_status rt_verify(const rt_verify_spec *spec, const rt_progress *progress, cJSON **result)
{
    verify_job j = {.spec = spec, .progress = progress};
    int differs = 0;
    *result = NULL;
    if (spec->data && spec->against)
        return rt_fail(RT_USAGE, "recorded answers are of the rows that lie beside them: give --data or --against");
    RT_TRY(rt_program_open(&j.p, &j.m, spec->input));
    cJSON *r = cJSON_CreateObject();
    rt_status st = verify(&j, r, &differs);
    if (!st && differs) st = rt_fail(RT_GATE, "%s: does not answer the same everywhere", spec->input);
    if (st && st != RT_GATE) cJSON_Delete(r);
    else *result = r;
    rt_program_free(j.p);
    rt_model_free(j.m);
    free(j.x);
    free(j.want);
    return st;
}
