#include "experiments/jobs/quantize_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"
#include "data/identity.h"
#include "data/provenance.h"
#include "data/source_files.h"
#include "engine/version.h"
#include "student/fidelity.h"
#include "student/predictor.h"
#include "student/quant_config.h"

enum { SEED = 1 };

typedef struct {
    const char *path, *source, *x, *rows;
    rt_check check;
    rt_match match;
    rt_quant_settings quant;
} settings;

typedef struct {
    settings set;
    rt_device *device;
    const rt_progress *progress;
    rt_output *out;
    rt_model *model;
    rt_source *data;
    rt_identity *identity;             /* of the data */
    rt_digest from, data_digest;       /* of the float model; of the data */
    rt_seen_run seen;                  /* rows of calibration */
    char range[48];
    int bytes;
    char *raw;                         /* rows of the source */
    float *v;                          /* (rows, input) the same, normalised */
    uint8_t *u;                        /* the same as bytes, where the program takes those */
    rt_program *program;
    rt_fidelity *fidelity;
    cJSON *notes;
} job;

static rt_status read_settings(cJSON *config, settings *s)
{
    memset(s, 0, sizeof *s);
    rt_cfg c = rt_cfg_begin(config, "");
    s->path = rt_cfg_file(&c, "model", NULL);
    rt_cfg d = rt_cfg_object(&c, "data");
    s->source = rt_cfg_source(&d, "source", NULL);
    s->x = rt_cfg_string(&d, "x", "x");
    s->rows = rt_cfg_string(&d, "rows", "");
    s->check = rt_check_read(&d);
    s->match = rt_match_read(&d);
    rt_cfg_join(&c, &d);
    rt_quant_read(&c, &s->quant, NULL, 0);
    return rt_cfg_end(&c);
}

rt_status rt_quantize_check(cJSON *config)
{
    settings s;
    return read_settings(config, &s);
}

static void note(job *q, const char *text) { cJSON_AddItemToArray(q->notes, cJSON_CreateString(text)); }

/* ---- model and data ---- */

static rt_status open_all(job *q)
{
    RT_TRY(rt_model_load_bound(&q->model, q->set.path, NULL,
                               &(rt_x_where){.source = q->set.source, .set = q->set.x, .given = 1}));
    RT_TRY(rt_model_one_input(q->model->graph, q->set.path));
    RT_TRY(rt_model_own_size(q->model, q->set.path));
    q->from = rt_model_digest(q->model);
    if (rt_model_quantized(q->model)) {
        rt_model_unquantize(q->model);
        note(q, "the model is quantized already: its quantizers are made anew, from its weights in float");
    }
    RT_TRY(rt_source_open(&q->data, q->set.source, q->set.x));
    RT_TRY(rt_identity_open(&q->identity, q->data, q->set.check));
    return rt_inputs_bind(q->model->input, 1, q->data, q->set.match, q->notes);
}

/* Which rows; all of the range, where it has no more. */
static rt_status draw_rows(job *q, rt_rows *rows)
{
    const settings *s = &q->set;
    rt_rows all;
    uint64_t want = (uint64_t)s->quant.rows, count = rt_source_rows(q->data);
    RT_TRY(rt_rows_range(&all, s->rows, count));
    if (all.count < want)
        return rt_fail(RT_INPUT, "quant.calibrate: %llu rows are asked for, but '%s' of %s has %llu%s; let it be "
                       "quant.calibrate=%llu, or give more rows", (unsigned long long)want, s->x, s->source,
                       (unsigned long long)all.count, *s->rows ? " in data.rows" : "", (unsigned long long)all.count);
    snprintf(q->range, sizeof q->range, "%llu:%llu", (unsigned long long)all.first, (unsigned long long)all.end);
    q->seen = (rt_seen_run){.data = q->data_digest.hex, .source_rows = count, .rows = {q->range, 0, 1}};
    if (all.count == want) {
        *rows = all;
        return RT_OK;
    }
    q->seen.rows.range = "0:0";
    q->seen.validation_range = q->range;
    q->seen.validation = (double)want;
    q->seen.seed = SEED;
    rt_status st = rt_rows_draw(&all, (double)want, SEED, RT_RNG_SPLIT, "quant.calibrate", rows);
    rt_rows_free(&all);
    return st;
}

static rt_status read_rows(job *q, const rt_rows *rows)
{
    size_t n = rows->count;
    uint64_t *row = malloc(n * sizeof *row);
    if (!row) return rt_fail(RT_RUN, "out of memory for %zu rows", n);
    rt_rows_list(rows, 0, n, row);
    rt_status st = rt_calibrate_rows(&q->v, &q->raw, q->data, row, n, &q->model->input[0]);
    free(row);
    return st;
}

static rt_status copy_bytes(job *q)
{
    const rt_input *in = &q->model->input[0];
    size_t n = in->size * (size_t)q->set.quant.rows;
    if (!q->bytes) return RT_OK;
    q->u = malloc(n + 1);
    if (!q->u) return rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < n; i++) {
        size_t at = in->pick ? (size_t)in->pick[i % in->size] : i % in->size;
        q->u[i] = (uint8_t)q->raw[i / in->size * in->raw_bytes + in->raw_at + at];
    }
    return RT_OK;
}

/* ---- quantizers ---- */

static rt_status quantize(job *q)
{
    const rt_quant_settings *s = &q->set.quant;
    rt_model *m = q->model;
    int *bits = calloc((size_t)m->graph->nodes, sizeof *bits);
    if (!bits) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_quant_bits(s, m->graph, m->head, m->heads, bits);
    rt_calibrate_spec spec = {.method = s->method, .bytes = q->bytes, .bits = bits, .correct = s->correct};
    if (!st) {
        st = rt_calibrate(m, &spec, q->v, s->rows, q->device);
        if (!st) st = rt_program_of(&q->program, m);
        if (st) st = rt_fail_in(st, "%s", q->set.path);
    }
    free(bits);
    if (st) return st;
    q->fidelity = calloc((size_t)rt_program_net(q->program)->calls, sizeof *q->fidelity);
    if (!q->fidelity) return rt_fail(RT_RUN, "out of memory");
    return rt_fidelity_measure(q->fidelity, m, q->program, q->v, q->u, s->rows, q->device);
}

static rt_status note_coarse(job *q)
{
    char text[300] = "";
    const float *range = rt_model_range(q->model, q->model->graph->input[0]);
    if (q->bytes || !range) return RT_OK;
    rt_status st = rt_calibrate_coarse(text, sizeof text, q->model, q->v, q->set.quant.rows, range);
    if (*text) note(q, text);
    return st;
}

static rt_status set_provenance(job *q, const cJSON *config)
{
    cJSON *p = q->model->provenance, *seen = cJSON_CreateArray();
    rt_status st = rt_seen_add(seen, &q->seen);
    if (!st) st = rt_seen_join(seen, p, "init", q->from.hex);
    if (st) {
        cJSON_Delete(seen);
        return rt_fail_in(st, "%s", q->set.path);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(p, "seen");
    cJSON_DeleteItemFromObjectCaseSensitive(p, "quantized");
    cJSON *j = cJSON_AddObjectToObject(p, "quantized");
    cJSON_AddStringToObject(j, "tool", rt_tool());
    cJSON_AddStringToObject(j, "from", q->from.hex);
    cJSON_AddStringToObject(j, "data_digest", q->data_digest.hex);
    cJSON_AddStringToObject(j, "kernels", rt_kernels_get()->name);
    cJSON_AddItemToObject(j, "config", cJSON_Duplicate(config, 1));
    cJSON_AddItemToObject(p, "seen", seen);
    return RT_OK;
}

/* ---- result ---- */

static double size_of(const char *path)
{
    struct stat s;
    return stat(path, &s) ? 0 : (double)s.st_size;
}

static cJSON *result_of(const job *q, const cJSON *config)
{
    const cJSON *method = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(config, "quant"), "method");
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "model", rt_output_path(q->out));
    cJSON_AddStringToObject(r, "digest", rt_model_digest(q->model).hex);
    cJSON_AddStringToObject(r, "from", q->from.hex);
    cJSON_AddItemToObject(r, "method", cJSON_Duplicate(method, 1));
    cJSON_AddBoolToObject(r, "bias_correction", q->set.quant.correct);
    cJSON_AddNumberToObject(r, "calibration_rows", q->set.quant.rows);
    cJSON_AddStringToObject(r, "data_digest", q->data_digest.hex);
    rt_fidelity_describe(r, q->model, q->program, q->fidelity);
    cJSON_AddNumberToObject(r, "float_weight_bytes", 4 * (double)rt_graph_param_count(q->model->graph));
    cJSON_AddNumberToObject(r, "float_file_bytes", (double)q->model->file_bytes);
    cJSON_AddNumberToObject(r, "file_bytes", size_of(rt_output_path(q->out)));
    if (q->notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(q->notes, 1));
    return r;
}

static rt_status run(job *q, const cJSON *config)
{
    rt_rows rows = {0};
    RT_TRY(open_all(q));
    RT_TRY(rt_quant_choose_input(&q->set.quant, q->model, rt_source_type(q->data), q->set.x, q->set.source, &q->bytes,
                                 q->notes));
    rt_status st = draw_rows(q, &rows);
    if (!st) st = read_rows(q, &rows);
    rt_rows_free(&rows);
    if (!st) st = copy_bytes(q);
    if (!st) st = quantize(q);
    if (!st) st = note_coarse(q);
    if (!st) st = rt_identity_root(&q->data_digest, q->identity, rt_device_pool(q->device), q->progress);
    if (!st) st = rt_identity_unchanged(q->identity);
    if (!st) st = set_provenance(q, config);
    if (!st) st = rt_check_stop();
    return st ? st : rt_model_put(q->model, q->out);
}

rt_status rt_quantize(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress,
                      cJSON **result)
{
    job q = {.device = device, .progress = progress};
    *result = NULL;
    RT_TRY(read_settings(config, &q.set));
    const char *const inputs[] = {q.set.path, q.set.source, NULL};
    RT_TRY(rt_output_take(&q.out, out, inputs));
    q.notes = cJSON_CreateArray();
    rt_status st = rt_output_may_replace(q.out, RT_OUTPUT_QUANTIZED);
    if (!st) st = run(&q, config);
    if (!st) *result = result_of(&q, config);
    rt_output_end(q.out);
    rt_program_free(q.program);
    rt_identity_close(q.identity);
    rt_source_close(q.data);
    rt_model_free(q.model);
    void *owned[] = {q.raw, q.v, q.u, q.fidelity};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    cJSON_Delete(q.notes);
    return st;
}
