/* student/attribution_path.c - gradients of inputs, at a row and on the line from a baseline to it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/ops.h"
#include "student/attribution_parts.h"
#include "student/quantizers.h"

/* ---- points ---- */

/* Roots of the Legendre polynomial of degree n by Newton's method, and their weights (Abramowitz and Stegun, 25.4.29),
 * brought to (0, 1). */
static void gauss(int n, double *point, double *weight)
{
    for (int i = 0; i < n; i++) {
        double x = cos(3.14159265358979323846 * (i + 0.75) / (n + 0.5)), slope = 1;
        for (int turn = 0; turn < 100; turn++) {
            double p = 1, before = 0;
            for (int k = 1; k <= n; k++) {
                double next = ((2 * k - 1) * x * p - (k - 1) * before) / k;
                before = p;
                p = next;
            }
            slope = n * (x * p - before) / (x * x - 1);
            double step = p / slope;
            x -= step;
            if (fabs(step) < 1e-15) break;
        }
        point[n - 1 - i] = (1 + x) / 2;
        weight[n - 1 - i] = 1 / ((1 - x * x) * slope * slope);
    }
}

void rt_path_points(rt_path path, int steps, double *point, double *weight)
{
    if (path == RT_PATH_GAUSS) {
        gauss(steps, point, weight);
        return;
    }
    for (int s = 0; s < steps; s++) {
        int end = path == RT_PATH_TRAPEZOID && (s == 0 || s == steps - 1);
        point[s] = path == RT_PATH_MIDPOINT ? (s + 0.5) / steps : (double)s / (steps - 1);
        weight[s] = path == RT_PATH_MIDPOINT ? 1.0 / steps : (end ? 0.5 : 1.0) / (steps - 1);
    }
}

/* ---- sessions ---- */

static rt_status add_place(rt_explainer *e, rt_attribution_member *m, rt_session_spec *spec, int input, int field,
                           int tensor)
{
    if (m->places == RT_MAX_OUTPUTS)
        return rt_fail(RT_USAGE, "%s: more than %d inputs and tables; use --method occlusion", rt_attribution_of(e),
                       RT_MAX_OUTPUTS);
    m->place[m->places++] = (rt_attribution_place){input, field};
    spec->wanted[spec->wants++] = tensor;
    return RT_OK;
}

/* Inputs of numbers, and the tables that read inputs of ids. */
static rt_status find_places(rt_explainer *e, rt_attribution_member *m, rt_session_spec *spec)
{
    const rt_graph *g = m->model->graph;
    for (int i = 0; i < m->model->inputs; i++) {
        if (!m->model->input[i].ids) {
            RT_TRY(add_place(e, m, spec, i, -1, g->input[i]));
            continue;
        }
        for (int k = 0; k < g->nodes; k++) {
            const rt_node *n = &g->node[k];
            if (n->op != RT_OP_EMBEDDING || g->tensor[n->in[0]].memory != g->input[i]) continue;
            if (g->field[n->field[0]].users > 1 || g->field[n->field[0]].home != RT_PARAM)
                return rt_fail(RT_USAGE, "%s: the table of '%s' is used by other layers, too; use --method occlusion",
                               rt_attribution_of(e), n->name);
            RT_TRY(add_place(e, m, spec, i, n->field[0], n->out));
        }
    }
    for (int i = 0; i < m->places; i++) if (m->place[i].field >= 0 || !e->ids) return RT_OK;
    return rt_fail(RT_USAGE, "%s: no table reads its ids, so they have no gradient; use --method occlusion",
                   rt_attribution_of(e));
}

/* Its own element for each of the first model's. */
static rt_status match_head(rt_explainer *e, rt_attribution_member *m)
{
    const rt_model *first = e->model[0];
    const rt_head *asked = &first->head[e->spec.head];
    int h = rt_heads_find(m->model->head, m->model->heads, asked, first->heads), *place;
    RT_TRY(rt_heads_place(&place, m->model->head, m->model->heads, rt_attribution_of(e), first->head, first->heads,
                          rt_attribution_of(e), RT_MATCH_NAMES));
    m->from = calloc((size_t)asked->size, sizeof *m->from);
    if (!m->from) {
        free(place);
        return rt_fail(RT_RUN, "out of memory");
    }
    const rt_head *own = &m->model->head[h];
    for (int i = 0; i < own->size; i++) m->from[(place ? place[own->at + i] : asked->at + i) - asked->at] = i;
    free(place);
    m->ask = (rt_ask){.tensor = own->tensor, .task = own->task, .kind = e->spec.ask, .element = e->element};
    if (e->count > 1 && own->task != RT_TASK_REAL) m->ask.kind = RT_ASK_PROBABILITY;
    return RT_OK;
}

static rt_status begin_member(rt_explainer *e, int i, rt_device *device)
{
    rt_attribution_member *m = &e->member[i];
    m->model = e->model[i];
    for (int k = 0; k < m->model->inputs; k++) m->rows[k] = rt_input_rows(&m->model->input[k]);
    rt_session_spec spec = {.graph = m->model->graph, .batch = e->batch, .train = 1, .ask = &m->ask, .rows = m->rows,
                            .states = m->model->states};
    if (!e->ids) spec.params = m->model->params;               /* those of tables are moved */
    RT_TRY(match_head(e, m));
    RT_TRY(find_places(e, m, &spec));
    if (rt_model_quantized(m->model)) {
        RT_TRY(rt_model_qat_begin(&m->qat, m->model, m->model->graph->quant.bytes));
        RT_TRY(rt_model_qat_freeze(&m->qat, m->model));
        spec.qat = &m->qat.qat;
    }
    rt_status st = rt_session_new(&m->session, &spec, device);
    if (st) return st == RT_USAGE ? rt_fail_in(st, "%s: use --method occlusion", rt_attribution_of(e)) : st;
    if (e->ids)
        memcpy(rt_session_buffer(m->session, RT_B_PARAMS, NULL), m->model->params,
               m->model->graph->floats[RT_PARAM] * sizeof(float));
    return RT_OK;
}

rt_status rt_attribution_begin(rt_explainer *e, rt_device *device)
{
    if (e->count > 1 && e->spec.ask == RT_ASK_CENTRED)
        return rt_fail(RT_USAGE, "%s and others: gradients of an ensemble are those of its logits or probabilities "
                       "(explain.of), or use --method occlusion", rt_attribution_of(e));
    e->member = calloc((size_t)e->count, sizeof *e->member);
    if (!e->member) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < e->count; i++) RT_TRY(begin_member(e, i, device));
    return RT_OK;
}

void rt_attribution_end(rt_explainer *e)
{
    for (int i = 0; i < e->count && e->member; i++) {
        rt_session_free(e->member[i].session);
        rt_model_qat_free(&e->member[i].qat);
        free(e->member[i].from);
    }
    free(e->member);
}

/* ---- a point ---- */

/* What ids stand for at point a: a times the table. */
static void move_tables(rt_attribution_member *m, double a)
{
    float *to = rt_session_buffer(m->session, RT_B_PARAMS, NULL);
    for (int i = 0; i < m->places; i++) {
        if (m->place[i].field < 0) continue;
        const rt_field *f = &m->model->graph->field[m->place[i].field];
        for (size_t k = 0; k < f->count; k++)
            to[f->offset + k] = (float)(a * (double)m->model->params[f->offset + k]);
    }
}

/* b + a (x - b) of a row; ids stay. */
static void put_point(const rt_explainer *e, const rt_attribution *io, int row, double a, float *to)
{
    const float *x = io->x + (size_t)row * e->parts, *b = io->base + (size_t)row * e->parts;
    for (int i = 0; i < e->model[0]->inputs; i++)
        for (size_t u = e->at[i]; u < e->at[i + 1]; u++)
            if (e->model[0]->input[i].ids || a == 1) memcpy(to + u, x + u, sizeof *to);
            else to[u] = (float)((double)b[u] + a * ((double)x[u] - (double)b[u]));
}

/* f of the models, and what each member's gradient is times, where it is made of their probabilities. */
static void join_members(rt_explainer *e, int rows)
{
    rt_task task = e->model[0]->head[e->spec.head].task;
    int apart = e->count > 1 && e->spec.ask == RT_ASK_OUTPUT && task != RT_TASK_REAL;
    for (int r = 0; r < rows; r++) {
        double p = 0;
        for (int i = 0; i < e->count; i++) p += (double)rt_session_asked(e->member[i].session)[r] / e->count;
        e->value[r] = p;
        e->factor[r] = 1.0 / e->count;
        if (!apart) continue;
        double rest = task == RT_TASK_CLASSES ? 1 : 1 - p;
        e->value[r] = log(p + 1e-30) - (rest < 1 ? log(rest + 1e-30) : 0);
        e->factor[r] /= fmax(p * rest, 1e-30);
    }
}

/* Rows of e->x through all members; of row r element e->element is asked, of the first model's. */
static rt_status step(rt_explainer *e, const rt_attribution *io, const int *row, int rows)
{
    rt_step_result result;
    int n;
    RT_TRY(rt_check_stop());
    for (int i = 0; i < e->count; i++) {
        rt_attribution_member *m = &e->member[i];
        rt_feed feed = {.raw = e->x, .rows = rows};
        for (int r = 0; r < rows; r++) e->element[r] = m->from[io->element[row[r]]];
        RT_TRY(rt_session_step(m->session, &(rt_step){.rows = rows, .total = 1, .feed = &feed}));
        RT_TRY(rt_session_results(m->session, 1, &result, 1, &n));
        if (result.bad)
            return rt_fail(RT_INPUT, "%s: an answer between the baseline and the rows is not finite; their numbers are "
                           "too large for the model", rt_attribution_of(e));
    }
    join_members(e, rows);
    return RT_OK;
}

/* Adds weight times the gradients of row r of the step to sum (U): of numbers df/dx, of ids the part itself; length,
 * where it is not NULL, gets their squares. */
static void gather(const rt_explainer *e, int r, double weight, double *sum, double *square)
{
    for (int i = 0; i < e->count; i++) {
        const rt_attribution_member *m = &e->member[i];
        for (int k = 0; k < m->places; k++) {
            const rt_attribution_place *p = &m->place[k];
            const rt_input *in = &m->model->input[p->input];
            const float *g = rt_session_gradient(m->session, k);
            double *to = sum + e->at[p->input], by = weight * e->factor[r];
            if (!g) continue;
            if (p->field < 0) {
                g += (size_t)r * in->size;
                for (size_t u = 0; u < in->size; u++)
                    to[u] += by * (double)g[u] * (double)in->mul[in->channels == 1 ? 0 : u % (size_t)in->channels];
                continue;
            }
            const rt_field *f = &m->model->graph->field[p->field];
            const size_t d = (size_t)f->shape.dim[1];
            const float *id = e->x + (size_t)r * e->parts + e->at[p->input];
            for (size_t u = 0; u < in->size; u++) {
                int32_t which;
                memcpy(&which, id + u, sizeof which);
                const float *row = m->model->params + f->offset + (size_t)which * d,
                            *slope = g + ((size_t)r * in->size + u) * d;
                for (size_t j = 0; j < d; j++) {
                    to[u] += by * (double)slope[j] * (double)row[j];
                    if (square) square[e->at[p->input] + u] += by * by * (double)slope[j] * (double)slope[j];
                }
            }
        }
    }
}

/* ---- rows ---- */

/* Points of some rows: of each, `points` with their weights, summed into sum (rows, U); with first, f at each row's
 * first point into value. Of ids all rows of a step are at the same point. */
typedef struct {
    const int *row; int rows;
    const double *point, *weight; int points;
    double *sum, *square;              /* NULL: f alone */
    double *value;
} line;

static rt_status walk(rt_explainer *e, const rt_attribution *io, const line *l)
{
    int row[RT_ATTRIBUTION_BATCH], which[RT_ATTRIBUTION_BATCH], n = 0;
    long all = (long)l->rows * l->points;
    double at = -1;
    for (long i = 0; i <= all; i++) {
        int r = (int)(e->ids ? i % l->rows : i / l->points), s = (int)(e->ids ? i / l->rows : i % l->points);
        int full = n == e->batch || i == all || (e->ids && l->point[s] != at);
        if (full && n) {
            RT_TRY(step(e, io, row, n));
            for (int k = 0; k < n; k++) {
                int own = e->ids ? (int)((i - n + k) % l->rows) : (int)((i - n + k) / l->points);
                if (l->sum)
                    gather(e, k, l->weight[which[k]], l->sum + (size_t)own * e->parts,
                           l->square ? l->square + (size_t)own * e->parts : NULL);
                if (l->value && !which[k]) l->value[row[k]] = e->value[k];
            }
            n = 0;
        }
        if (i == all) break;
        if (e->ids && l->point[s] != at) for (int k = 0; k < e->count; k++) move_tables(&e->member[k], l->point[s]);
        at = l->point[s];
        row[n] = l->row[r];
        which[n] = s;
        put_point(e, io, l->row[r], at, e->x + (size_t)n++ * e->parts);
    }
    return RT_OK;
}

/* Parts of a row from what was summed. */
static void put_parts(const rt_explainer *e, const rt_attribution *io, int row, const double *sum)
{
    for (int i = 0; i < e->model[0]->inputs; i++)
        for (size_t u = e->at[i], k = (size_t)row * e->parts + u; u < e->at[i + 1]; u++, k++)
            io->part[k] = (float)(e->model[0]->input[i].ids ? sum[u]
                                                            : sum[u] * ((double)io->x[k] - (double)io->base[k]));
}

static rt_status gradients(rt_explainer *e, const rt_attribution *io, const int *row, int rows, double *sum,
                           double *square)
{
    static const double one = 1;
    line l = {row, rows, &one, &one, 1, sum, square, io->value};
    RT_TRY(walk(e, io, &l));
    for (int r = 0; r < rows; r++) {
        put_parts(e, io, row[r], sum + (size_t)r * e->parts);
        for (int i = 0; i < e->model[0]->inputs && io->slope; i++)
            for (size_t u = e->at[i]; u < e->at[i + 1]; u++) {
                size_t k = (size_t)r * e->parts + u;
                io->slope[(size_t)row[r] * e->parts + u] =
                    (float)(e->model[0]->input[i].ids ? sqrt(square[k]) : sum[k]);
            }
    }
    return RT_OK;
}

/* What the parts' sum is off by; *within: no more than the limit. */
static double residual_of(const rt_explainer *e, const rt_attribution *io, int row, int *within)
{
    double sum = 0, all = 0, difference = io->value[row] - io->base_value[row];
    for (size_t u = 0; u < e->parts; u++) {
        double part = (double)io->part[(size_t)row * e->parts + u];
        sum += part;
        all += fabs(part);
    }
    *within = fabs(sum - difference) <= e->spec.limit * fmax(fabs(difference), all / 10);
    return sum - difference;
}

static rt_status integrate(rt_explainer *e, const rt_attribution *io, int *row, int rows, double *sum)
{
    static const double ends[2] = {0, 1}, one = 1;
    double point[RT_PATH_MOST], weight[RT_PATH_MOST];
    line l = {row, rows, &ends[1], &one, 1, NULL, NULL, io->value};
    RT_TRY(walk(e, io, &l));
    l.point = &ends[0];
    l.value = io->base_value;
    RT_TRY(walk(e, io, &l));
    l = (line){row, rows, point, weight, 0, sum, NULL, NULL};
    for (int steps = e->spec.steps; l.rows; steps *= 2) {
        int left = 0;
        rt_path_points(e->spec.path, steps, point, weight);
        l.points = steps;
        memset(sum, 0, (size_t)l.rows * e->parts * sizeof *sum);
        RT_TRY(walk(e, io, &l));
        for (int r = 0; r < l.rows; r++) {
            int within, at = row[r];
            put_parts(e, io, at, sum + (size_t)r * e->parts);
            io->residual[at] = residual_of(e, io, at, &within);
            io->steps[at] = within ? steps : 0;
            if (within) continue;
            if (steps * 2 <= e->spec.most) row[left++] = at;
            else for (size_t u = 0; u < e->parts; u++) io->part[(size_t)at * e->parts + u] = NAN;
        }
        l.rows = left;
    }
    return RT_OK;
}

rt_status rt_attribution_paths(rt_explainer *e, const rt_attribution *io, const rt_progress *progress)
{
    int row[RT_ATTRIBUTION_BATCH], most = e->batch;
    double *sum = malloc(2 * (size_t)most * e->parts * sizeof *sum), since = rt_seconds();
    rt_status st = sum ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int first = 0; first < io->rows && !st; first += most) {
        int n = io->rows - first < most ? io->rows - first : most;
        for (int r = 0; r < n; r++) row[r] = first + r;
        memset(sum, 0, 2 * (size_t)n * e->parts * sizeof *sum);
        st = e->spec.method == RT_BY_GRADIENT ? gradients(e, io, row, n, sum, sum + (size_t)n * e->parts)
                                              : integrate(e, io, row, n, sum);
        double spent = rt_seconds() - since;
        rt_progress_update(progress, "explain", first + n, io->rows, spent > 0 ? (first + n) / spent : 0, "rows", "");
    }
    free(sum);
    return st;
}
