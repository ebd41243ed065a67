/* experiments/drift/drift_joint.c - features as wholes: whether a classifier tells the sides apart, and rows unlike
 * any.
 *
 * Features are standardised by the third of the reference's sample that is remembered. A row's distance is the
 * Euclidean one to its fifth nearest neighbour in that third; its conformal p is (1 + other rows of the sample that are
 * as far or farther) / (1 + other rows) (Vovk, Gammerman, Shafer 2005, with the distance of Ramaswamy, Rastogi, Shim
 * 2000): at most 1 % of rows like the reference have p <= 0.01. The classifier is a Parzen window's: a row's score is
 * the mean of exp(-d^2 / (2 h^2)) over rows of the data less the mean over rows of the reference, h the median distance
 * of such rows; the area under its ROC curve is taken on rows that neither mean has (Lopez-Paz, Oquab 2017). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/near.h"
#include "experiments/drift/drift_parts.h"
#include "experiments/statistics/statistics.h"
#include "experiments/statistics/statistics_samples.h"

enum { NEIGHBOURS = 5, WINDOW = 1000, FOR_WIDTH = 200, ROWS_A_TILE = 16, WIDEST = 4096 };
static const double usual = 0.99;

typedef struct {
    rt_drift_work *w;
    int dim;
    float *row[RT_DRIFT_SIDES];        /* (n, dim) standardised, in an order drawn anew */
    int *at[RT_DRIFT_SIDES];           /* (n) place in the sample of the row at each place */
    int n[RT_DRIFT_SIDES], half[RT_DRIFT_SIDES], kept; /* kept: rows of the reference that are remembered */
    double *distance[RT_DRIFT_SIDES];  /* of the reference's other rows; of all of the data */
    double *score[RT_DRIFT_SIDES];     /* of rows behind the windows */
    int window[RT_DRIFT_SIDES], tried[RT_DRIFT_SIDES];
    double width;                      /* 2 h^2 */
} joint;

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

/* ---- features ---- */

/* Without a model: all columns of numbers of the rows themselves. */
static rt_status take_columns(rt_drift_work *w)
{
    int dim = 0;
    for (int i = 0; i < w->fields; i++) {
        const rt_drift_field *f = &w->field[i];
        if (f->make == RT_DRIFT_LABEL && !strcmp(w->column[f->first].group, "label")) continue;
        for (int c = f->first; c < f->first + f->width; c++) dim += !w->column[c].category || w->column[c].guessed;
    }
    if (!dim) return RT_OK;
    if (dim > WIDEST) {
        rt_eval_note(w->notes, "the rows as wholes are not looked at: %d columns are more than %d.", dim, WIDEST);
        return RT_OK;
    }
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        int n = w->side[s].sampled, at = 0;
        w->feature[s] = calloc((size_t)n * (size_t)dim + 1, sizeof(float));
        if (!w->feature[s]) return no_memory();
        for (int i = 0; i < w->fields; i++) {
            const rt_drift_field *f = &w->field[i];
            if (f->make == RT_DRIFT_LABEL && !strcmp(w->column[f->first].group, "label")) continue;
            for (int from = 0; from < n; from += RT_DRIFT_BLOCK) {
                int rows = n - from < RT_DRIFT_BLOCK ? n - from : RT_DRIFT_BLOCK, to = at;
                double *cells = malloc((size_t)rows * (size_t)f->width * sizeof *cells + 8);
                rt_status st = cells ? rt_drift_cells(w, f, s, w->side[s].at + from, rows, cells) : no_memory();
                for (int c = 0; c < f->width && !st; c++) {
                    const rt_drift_column *of = &w->column[f->first + c];
                    if (of->category && !of->guessed) continue;
                    for (int r = 0; r < rows; r++)
                        w->feature[s][(size_t)(from + r) * (size_t)dim + (size_t)to] =
                            (float)cells[(size_t)c * (size_t)rows + (size_t)r];
                    to++;
                }
                free(cells);
                if (st) return st;
            }
            for (int c = f->first; c < f->first + f->width; c++) at += !w->column[c].category || w->column[c].guessed;
        }
    }
    w->dim = dim;
    strcpy(w->feature_of, "columns of numbers");
    return RT_OK;
}

/* Rows in a drawn order, by mean and deviation of those that are remembered; what is missing is the mean. */
static rt_status standardise(joint *j)
{
    rt_drift_work *w = j->w;
    size_t dim = (size_t)j->dim;
    double *mean = calloc(dim, sizeof *mean), *scale = calloc(dim, sizeof *scale), *count = calloc(dim, sizeof *count);
    rt_status st = mean && scale && count ? RT_OK : no_memory();
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) {
        size_t n = (size_t)j->n[s];
        j->row[s] = malloc(n * dim * sizeof(float) + 8);
        j->at[s] = malloc(n * sizeof(int) + 8);
        if (!j->row[s] || !j->at[s]) st = no_memory();
        for (size_t i = 0; i < n && !st; i++) {
            j->at[s][i] = (int)rt_permute(i, n, w->seed, RT_RNG_DRIFT, 2, (uint32_t)s);
            memcpy(j->row[s] + i * dim, w->feature[s] + (size_t)j->at[s][i] * dim, dim * sizeof(float));
        }
    }
    for (int pass = 0; pass < 2 && !st; pass++) {
        for (int i = 0; i < j->kept; i++)
            for (size_t c = 0; c < dim; c++) {
                double v = (double)j->row[0][(size_t)i * dim + c];
                if (!isfinite(v)) continue;
                if (pass) scale[c] += (v - mean[c]) * (v - mean[c]);
                else mean[c] += v;
                count[c] += !pass;
            }
        for (size_t c = 0; c < dim; c++)
            if (pass) scale[c] = scale[c] > 0 ? 1 / sqrt(scale[c] / count[c]) : 1;
            else mean[c] = count[c] > 0 ? mean[c] / count[c] : 0;
    }
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++)
        for (size_t i = 0; i < (size_t)j->n[s]; i++)
            for (size_t c = 0; c < dim; c++) {
                float *v = &j->row[s][i * dim + c];
                double z = isnan(*v) ? 0 : ((double)*v - mean[c]) * scale[c];
                *v = (float)fmax(-1e6, fmin(1e6, z));
            }
    free(mean);
    free(scale);
    free(count);
    return st;
}

/* ---- rows unlike any ---- */

/* Of rows [first, first + n) of a side, into its distances. */
static rt_status find_distances(joint *j, int side, int first, int n)
{
    const rt_near_spec spec = {.x = j->row[side] + (size_t)first * (size_t)j->dim, .o = j->row[0], .rows = (uint64_t)n,
                               .others = (uint64_t)j->kept, .width = j->dim, .k = NEIGHBOURS, .within = INFINITY,
                               .exact = 1, .pool = rt_device_pool(j->w->device)};
    rt_near near;
    rt_status st = rt_near_find(&near, &spec);
    for (int i = 0; i < n && !st; i++)
        j->distance[side][i] = sqrt(near.square[(size_t)i * NEIGHBOURS + NEIGHBOURS - 1]);
    rt_near_free(&near);
    return st;
}

typedef struct { double distance; int at; } far_row;

static int farther(const void *a, const void *b)
{
    const far_row *x = a, *y = b;
    return x->distance != y->distance ? (x->distance < y->distance ? 1 : -1) : x->at - y->at;
}

static cJSON *name_rows(const joint *j, const double *usual_distance, int calibrated)
{
    int n = j->n[1];
    far_row *f = malloc((size_t)n * sizeof *f + 8);
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < n && f; i++) f[i] = (far_row){j->distance[1][i], j->at[1][i]};
    if (f) qsort(f, (size_t)n, sizeof *f, farther);
    for (int i = 0; i < n && i < RT_DRIFT_UNLIKE && f; i++) {
        int beyond = 0;
        while (beyond < calibrated && usual_distance[calibrated - 1 - beyond] >= f[i].distance) beyond++;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "row", (double)j->w->side[1].at[f[i].at]);
        cJSON_AddNumberToObject(row, "distance", f[i].distance);
        cJSON_AddNumberToObject(row, "p", (1.0 + beyond) / (1.0 + calibrated));
        cJSON_AddItemToArray(list, row);
    }
    free(f);
    return list;
}

static rt_status find_unlike(joint *j)
{
    rt_drift_work *w = j->w;
    int calibrated = j->n[0] - j->kept, n = j->n[1], r = (int)ceil(usual * (calibrated + 1));
    rt_drift_finding *c = rt_drift_new_finding(w, "unlike", -1);
    if (!c) return no_memory();
    c->test = "precedence";
    c->effects = 1;
    c->effect[0] = (rt_drift_effect){"share", RT_DRIFT_BY_ABOVE, NAN, w->limits.of[RT_DRIFT_MAX_UNLIKE], NAN};
    c->rows[0] = (uint64_t)calibrated;
    c->rows[1] = (uint64_t)n;
    c->r = (uint64_t)r;
    if (r > calibrated) {
        c->p = 1;
        snprintf(c->reason, sizeof c->reason, "the reference's sample has %d rows, and 148 are needed", j->n[0]);
        return RT_OK;
    }
    j->distance[0] = malloc((size_t)calibrated * sizeof(double) + 8);
    j->distance[1] = malloc((size_t)n * sizeof(double) + 8);
    if (!j->distance[0] || !j->distance[1]) return no_memory();
    RT_TRY(find_distances(j, 0, j->kept, calibrated));         /* enough of them, and so more than NEIGHBOURS kept */
    RT_TRY(find_distances(j, 1, 0, n));
    rt_sort_doubles(j->distance[0], (uint64_t)calibrated);
    double usual_most = j->distance[0][r - 1];
    uint64_t beyond = 0;
    for (int i = 0; i < n; i++) beyond += j->distance[1][i] > usual_most;
    c->statistic = (double)beyond;
    c->effect[0].value = (double)beyond / n;
    c->p = rt_above_p((uint64_t)calibrated, (uint64_t)r, (uint64_t)n, beyond);
    w->unlike = cJSON_CreateObject();
    cJSON_AddStringToObject(w->unlike, "features", w->feature_of);
    cJSON_AddNumberToObject(w->unlike, "dimensions", j->dim);
    cJSON_AddNumberToObject(w->unlike, "remembered", j->kept);
    cJSON_AddNumberToObject(w->unlike, "calibrated", calibrated);
    cJSON_AddNumberToObject(w->unlike, "rows", n);
    cJSON_AddNumberToObject(w->unlike, "distance_99", usual_most);
    cJSON_AddNumberToObject(w->unlike, "beyond", (double)beyond);
    cJSON_AddNumberToObject(w->unlike, "share", (double)beyond / n);
    cJSON_AddNumberToObject(w->unlike, "expected", (double)(calibrated + 1 - r) / (calibrated + 1));
    cJSON_AddItemToObject(w->unlike, "rows_unlike", name_rows(j, j->distance[0], calibrated));
    return RT_OK;
}

/* ---- the classifier ---- */

typedef struct { joint *j; int side, first, n; } part;

static void score_tile(void *arg, int tile, int thread)
{
    part *p = arg;
    const joint *j = p->j;
    (void)thread;
    for (int i = tile * ROWS_A_TILE; i < p->n && i < (tile + 1) * ROWS_A_TILE && !rt_stopped(); i++) {
        const float *row = j->row[p->side] + (size_t)(p->first + i) * (size_t)j->dim;
        double mean[RT_DRIFT_SIDES] = {0, 0};
        for (int s = 0; s < RT_DRIFT_SIDES; s++) {
            for (int k = 0; k < j->window[s]; k++)
                mean[s] += exp(-rt_near_square(row, j->row[s] + (size_t)k * (size_t)j->dim, j->dim) / j->width);
            mean[s] /= j->window[s];
        }
        j->score[p->side][i] = mean[1] - mean[0];
    }
}

/* Of the first rows of both windows. */
static rt_status find_width(joint *j)
{
    int n[2], pairs = 0;
    for (int s = 0; s < 2; s++) n[s] = j->window[s] < FOR_WIDTH ? j->window[s] : FOR_WIDTH;
    int all = n[0] + n[1];
    double *d = malloc((size_t)all * (size_t)all / 2 * sizeof *d + 8);
    if (!d) return no_memory();
    for (int a = 0; a < all; a++)
        for (int b = 0; b < a; b++) {
            const float *x = a < n[0] ? j->row[0] + (size_t)a * (size_t)j->dim
                                      : j->row[1] + (size_t)(a - n[0]) * (size_t)j->dim;
            const float *y = b < n[0] ? j->row[0] + (size_t)b * (size_t)j->dim
                                      : j->row[1] + (size_t)(b - n[0]) * (size_t)j->dim;
            d[pairs++] = rt_near_square(x, y, j->dim);
        }
    double middle = rt_median_of(d, pairs);
    j->width = middle > 0 ? 2 * middle : 1;
    free(d);
    return RT_OK;
}

static rt_status classify(joint *j)
{
    rt_drift_work *w = j->w;
    rt_drift_finding *c = rt_drift_new_finding(w, "features", -1);
    double auc, p;
    if (!c) return no_memory();
    c->test = "rank_sum";
    c->effects = 1;
    c->effect[0] = (rt_drift_effect){"auc", RT_DRIFT_BY_AUC, NAN, w->limits.of[RT_DRIFT_MAX_AUC], NAN};
    c->p = 1;
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        j->window[s] = j->half[s] < WINDOW ? j->half[s] : WINDOW;
        int rest = j->n[s] - j->half[s];
        j->tried[s] = rest < WINDOW ? rest : WINDOW;
        c->rows[s] = (uint64_t)j->tried[s];
        j->score[s] = malloc((size_t)j->tried[s] * sizeof(double) + 8);
        if (!j->score[s]) return no_memory();
    }
    if (j->window[0] < 2 || j->window[1] < 2) {
        snprintf(c->reason, sizeof c->reason, "each side needs 4 rows");
        return RT_OK;
    }
    RT_TRY(find_width(j));
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        part of = {j, s, j->half[s], j->tried[s]};
        rt_pool_run(rt_device_pool(w->device), (of.n + ROWS_A_TILE - 1) / ROWS_A_TILE, score_tile, &of);
    }
    RT_TRY(rt_check_stop());
    RT_TRY(rt_rank_auc(j->score[0], (uint64_t)j->tried[0], j->score[1], (uint64_t)j->tried[1], &auc, &p));
    c->statistic = auc;
    c->effect[0].value = auc;
    c->p = p;
    cJSON *f = w->unlike ? w->unlike : (w->unlike = cJSON_CreateObject());
    cJSON_AddNumberToObject(f, "auc", auc);
    cJSON_AddNumberToObject(f, "auc_rows_reference", j->tried[0]);
    cJSON_AddNumberToObject(f, "auc_rows_data", j->tried[1]);
    return RT_OK;
}

rt_status rt_drift_joint(rt_drift_work *w)
{
    if (!w->feature[0]) RT_TRY(take_columns(w));
    if (!w->feature[0] || !w->feature[1]) return RT_OK;
    joint *j = calloc(1, sizeof *j);
    if (!j) return no_memory();
    j->w = w;
    j->dim = w->dim;
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        j->n[s] = w->side[s].sampled;
        j->half[s] = j->n[s] / 2;
    }
    j->kept = j->n[0] / 3;
    rt_status st = standardise(j);
    if (!st) st = find_unlike(j);
    if (!st) st = classify(j);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        free(j->row[s]);
        free(j->at[s]);
        free(j->distance[s]);
        free(j->score[s]);
    }
    free(j);
    return st;
}
