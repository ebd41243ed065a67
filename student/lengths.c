#include "student/lengths.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"
#include "student/arch.h"
#include "student/quantizers.h"

enum { SHORTEST = 8, TRIED = 2 /* rows of each length */ };

/* ---- who can ---- */

/* Why rows of a model always take the whole length; "": nobody expects otherwise; NULL: shorter plans can be tried. */
static const char *why_not(const rt_model *m, const rt_device *device)
{
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(m->arch, "shorter");
    int ids = 0;
    for (int i = 0; i < m->inputs; i++) ids += m->input[i].ids > 0;
    if (!ids) return "";
    if (!cJSON_IsTrue(told)) return "the model does not say that its length is open";
    if (rt_model_quantized(m)) return "it is quantized";
    if (ids < m->inputs) return "not all inputs are ids";
    for (int i = 0; i < m->inputs; i++)
        if (m->input[i].shape.rank != 1 || m->input[i].size != m->input[0].size)
            return "its inputs are not lines of one length";
    if (m->input[0].size <= SHORTEST) return "";
    if (device && !rt_device_is_cpu(device)) return "they are for the CPU";
    return NULL;
}

/* 8, 12, 16, 24, 32, 48, ... below the whole length, as many as the memory allows: then powers of two alone, and of
 * these every second, fourth, ... . each: bytes of a plan. */
static int choose(const rt_model *m, size_t each, int length[RT_LENGTHS])
{
    int all[RT_LENGTHS], n = 0, most = each ? (int)(RT_LENGTHS_BYTES / each) : RT_LENGTHS;
    for (int k = SHORTEST; k < (int)m->input[0].size && n < RT_LENGTHS - 1; k *= 2) {
        all[n++] = k;
        if (k + k / 2 < (int)m->input[0].size) all[n++] = k + k / 2;
    }
    for (int step = 1;; step *= 2) {
        int kept = 0;
        for (int i = n - 1; i >= 0; i--) if ((n - 1 - i) % step == 0) length[kept++] = all[i];
        if (kept > most && kept > 1) continue;
        if (kept > most) return 0;
        for (int i = 0; i < kept / 2; i++) {
            int t = length[i];
            length[i] = length[kept - 1 - i];
            length[kept - 1 - i] = t;
        }
        return kept;
    }
}

/* ---- graphs ---- */

/* A field's values are the first ones of the model's field of its name: -1 when they are not. */
static int field_of(const rt_graph *whole, const rt_field *f)
{
    for (int i = 0; i < whole->fields; i++) {
        const rt_field *w = &whole->field[i];
        if (w->home != f->home || strcmp(w->name, f->name)) continue;
        int k = 0, rank = w->shape.rank;
        if (rank != f->shape.rank) return -1;
        while (k < rank && w->shape.dim[k] == f->shape.dim[k]) k++;
        if (k < rank && f->shape.dim[k] > w->shape.dim[k]) return -1;
        for (int d = 0; d < k && k < rank; d++) if (w->shape.dim[d] != 1) return -1;
        for (int d = k + 1; d < rank; d++) if (w->shape.dim[d] != f->shape.dim[d]) return -1;
        return i;
    }
    return -1;
}

/* The graph reads the model's own weights, where they lie. */
static rt_status share_fields(rt_graph *g, const rt_graph *whole)
{
    size_t end[RT_HOMES] = {0};
    for (int i = 0; i < g->fields; i++) {
        rt_field *f = &g->field[i];
        int k = field_of(whole, f);
        if (k < 0) return rt_fail(RT_INPUT, "the values of '%s' are not known for another length", f->name);
        if (f->home == RT_CONST)
            memcpy(rt_graph_constant_values(g, i), whole->field[k].value, f->count * sizeof(float));
        else f->offset = whole->field[k].offset;
        if (f->offset < end[f->home]) return rt_fail(RT_INPUT, "its weights stand in another order");
        end[f->home] = f->offset + f->count;
    }
    memcpy(g->floats, whole->floats, sizeof g->floats);
    return RT_OK;
}

static rt_status make_graph(rt_length *p, const rt_model *m, int length, int output[RT_MAX_HEADS])
{
    cJSON *arch;
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    p->length = length;
    RT_TRY(rt_arch_shorten(&arch, m->arch, m->graph, (int)m->input[0].size, length));
    rt_status st = rt_arch_build(&p->graph, arch, "model");
    if (!st) st = rt_arch_heads(head, &count, p->graph, arch, "model");
    if (!st && count != m->heads) st = rt_fail(RT_INPUT, "it has other heads");
    for (int h = 0; h < count && !st; h++) {
        output[h] = head[h].tensor;
        if (head[h].size != m->head[h].size) st = rt_fail(RT_INPUT, "the answer is as long as the row");
    }
    rt_heads_free(head, count);
    cJSON_Delete(arch);
    return st ? st : share_fields(p->graph, m->graph);
}

static rt_status make_plan(rt_length *p, const rt_model *m, int length, int batch, rt_device *device)
{
    rt_session_spec spec = {.batch = batch, .rows = p->rows, .params = m->params, .states = m->states,
                            .outputs = m->heads};
    RT_TRY(make_graph(p, m, length, spec.output));
    spec.graph = p->graph;
    return rt_session_new(&p->session, &spec, device);
}

/* ---- the trial ---- */

/* n ids that are not 0 in the first input, any in others; then padding. What no table bounds is taken for a mask: ones
 * in even rows, ones and zeros in odd ones, whose last is a one. */
static void make_row(const rt_model *m, int32_t *id, int n, int row)
{
    size_t size = m->input[0].size;
    uint32_t w[4];
    memset(id, 0, size * (size_t)m->inputs * sizeof *id);
    for (int i = 0; i < m->inputs; i++)
        for (int k = 0; k < n; k++) {
            const int mask = m->input[i].ids == INT32_MAX, ones = mask && (row % 2 == 0 || k == n - 1);
            uint32_t ids = mask ? 2 : (uint32_t)m->input[i].ids, least = ones || (i == 0 && ids > 1);
            if (k % 4 == 0) rt_random4(w, 0, RT_RNG_TEST, (uint32_t)i, 77, (uint32_t)row, (uint32_t)(k / 4));
            id[(size_t)i * size + (size_t)k] = (int32_t)(least + w[k % 4] % (ids - least));
        }
}

/* How raw rows of make_row become a plan's: each input's ids at its place. */
static void describe(const rt_model *m, rt_row_desc *rows, int length)
{
    size_t size = m->input[0].size;
    for (int i = 0; i < m->inputs; i++) {
        rows[i] = rt_input_rows(&m->input[i]);
        rows[i].type = RT_I32;
        rows[i].pick = NULL;
        rows[i].at = (size_t)i * size * sizeof(int32_t);
        rows[i].bytes = (size_t)m->inputs * size * sizeof(int32_t);
        rows[i].shape = (rt_shape){1, {length}};
        rows[i].size = (size_t)length;
    }
}

static rt_status infer(rt_session *s, const int32_t *id)
{
    rt_feed feed = {.raw = id, .rows = 1};
    return rt_session_infer(s, &(rt_step){.rows = 1, .feed = &feed});
}

/* Whether a plan answers to rows of lengths (before, its own] as the whole one does. */
static rt_status try_plan(rt_length *p, const rt_model *m, rt_session *whole, rt_row_desc *rows, int before,
                          int32_t *id, int *same)
{
    describe(m, rows, (int)m->input[0].size);
    describe(m, p->rows, p->length);
    *same = 1;
    for (int r = 0; r < TRIED && *same; r++) {
        make_row(m, id, r ? p->length : before + 1, p->length + r);
        RT_TRY(infer(whole, id));
        RT_TRY(infer(p->session, id));
        for (int h = 0; h < m->heads && *same; h++) {
            const float *a = rt_session_output(whole, h), *b = rt_session_output(p->session, h);
            double scale = 0;
            for (int k = 0; k < m->head[h].size; k++) scale = fmax(scale, fabs((double)a[k]));
            for (int k = 0; k < m->head[h].size; k++)
                *same &= fabs((double)a[k] - (double)b[k]) <= 1e-5 * scale + 1e-30 && isfinite(b[k]);
        }
    }
    return RT_OK;
}

/* ---- */

static void drop(rt_lengths *q)
{
    for (int i = 0; i < q->plans; i++) {
        rt_session_free(q->plan[i].session);
        rt_graph_free(q->plan[i].graph);
    }
    q->plans = 0;
}

/* All of them, or none with the reason. */
static rt_status make_all(rt_lengths *q, const rt_model *m, rt_session *whole, rt_row_desc *rows, int batch,
                          rt_device *device)
{
    int length[RT_LENGTHS], n = choose(m, rt_session_bytes(whole), length), before = 0;
    int32_t *id = malloc((size_t)q->full * (size_t)m->inputs * sizeof *id);
    rt_status st = id ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!n) snprintf(q->why, sizeof q->why, "plans of more lengths take more than %d MiB", RT_LENGTHS_BYTES >> 20);
    for (int i = 0; i < n && !st && !*q->why; i++) {
        rt_length *p = &q->plan[q->plans++];
        int same = 1;
        st = make_plan(p, m, length[i], batch, device);
        if (!st) st = try_plan(p, m, whole, rows, before, id, &same);
        if (st && st != RT_RUN) {
            snprintf(q->why, sizeof q->why, "length %d: %.200s", length[i], rt_error_message());
            st = RT_OK;
        } else if (!same)
            snprintf(q->why, sizeof q->why, "what is padded changes the answer (tried at length %d)", length[i]);
        before = length[i];
    }
    free(id);
    if (st || *q->why) drop(q);
    return st;
}

rt_status rt_lengths_new(rt_lengths **out, const rt_model *m, rt_session *whole, rt_row_desc *rows, int batch,
                         rt_device *device)
{
    *out = NULL;
    rt_lengths *q = calloc(1, sizeof *q);
    if (!q) return rt_fail(RT_RUN, "out of memory");
    const char *why = why_not(m, device);
    q->full = (int)m->input[0].size;
    if (why) snprintf(q->why, sizeof q->why, "%s", why);
    rt_status st = why ? RT_OK : make_all(q, m, whole, rows, batch, device);
    if (st) rt_lengths_free(q);
    else *out = q;
    return st;
}

void rt_lengths_free(rt_lengths *q)
{
    if (!q) return;
    drop(q);
    free(q);
}

int rt_lengths_of(const rt_lengths *q, const rt_row_desc *rows, int inputs, const rt_feed *f, int i, int32_t *id)
{
    int n = 0, at = 0;
    rt_feed one = {.raw = f->raw, .first = i, .rows = 1};
    for (int k = 0; k < inputs; k++) {
        int end = q->full;
        rt_rows_fill(&rows[k], &one, (float *)(void *)id, 0, 1);
        while (end > n && !id[end - 1]) end--;
        n = end;
    }
    if (!n) return -1;
    while (at < q->plans && q->plan[at].length < n) at++;
    return at < q->plans ? at : -1;
}

void rt_lengths_bind(rt_lengths *q, const rt_row_desc *rows, int inputs)
{
    for (int i = 0; i < q->plans; i++)
        for (int k = 0; k < inputs; k++) {
            q->plan[i].rows[k] = rows[k];
            q->plan[i].rows[k].shape = (rt_shape){1, {q->plan[i].length}};
            q->plan[i].rows[k].size = (size_t)q->plan[i].length;
        }
}

void rt_lengths_borrow(rt_lengths *q, const float *params, const float *states)
{
    for (int i = 0; i < q->plans; i++) rt_session_borrow(q->plan[i].session, params, states);
}

size_t rt_lengths_bytes(const rt_lengths *q)
{
    size_t n = 0;
    for (int i = 0; i < q->plans; i++) n += rt_session_bytes(q->plan[i].session);
    return n;
}

cJSON *rt_lengths_json(const rt_lengths *q)
{
    cJSON *j = cJSON_CreateObject(), *plans = cJSON_AddArrayToObject(j, "plans");
    for (int i = 0; i < q->plans; i++) cJSON_AddItemToArray(plans, cJSON_CreateNumber(q->plan[i].length));
    cJSON_AddItemToArray(plans, cJSON_CreateNumber(q->full));
    if (*q->why) cJSON_AddStringToObject(j, "why_no_shorter", q->why);
    return j;
}
