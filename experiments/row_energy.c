#include "experiments/row_energy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/label_scan.h"
#include "experiments/eval/predictions.h"

static double energy_of(const float *z, int k)
{
    double top = z[0], sum = 0;
    for (int j = 1; j < k; j++) if (z[j] > top) top = z[j];
    for (int j = 0; j < k; j++) sum += exp((double)z[j] - top);
    return -(top + log(sum));
}

static rt_status make_room(double **energy, uint64_t rows, const char *path)
{
    if (!rows) return rt_fail(RT_NOTHING, "%s: holds no rows", path);
    *energy = rows < SIZE_MAX / sizeof **energy - 1 ? malloc((rows + 1) * sizeof **energy) : NULL;
    if (!*energy) return rt_fail(RT_RUN, "out of memory for %llu rows", (unsigned long long)rows);
    for (uint64_t r = 0; r < rows; r++) (*energy)[r] = NAN;
    return RT_OK;
}

/* ---- predictions ---- */

static rt_status find_head(const rt_predictions *p, const char *path, const char *name, int *head)
{
    char text[RT_NAMES_TEXT];
    *head = -1;
    for (int h = 0; h < p->heads; h++) {
        int fits = *name ? !strcmp(p->head[h].name, name) : p->head[h].task == RT_TASK_CLASSES;
        if (fits && *head >= 0)
            return rt_fail(RT_USAGE, "%s: has several heads of classes: %s; name one with head=NAME", path,
                           rt_heads_text(p->head, p->heads, text));
        if (fits) *head = h;
    }
    if (*head < 0 || p->head[*head].task != RT_TASK_CLASSES)
        return rt_fail(RT_USAGE, "%s: has no head %s%s of classes; its heads: %s", path, *name ? "" : "at all", name,
                       rt_heads_text(p->head, p->heads, text));
    return RT_OK;
}

static rt_status of_predictions(double **energy, uint64_t *rows, const char *path, const char *name)
{
    rt_predictions *p;
    int h;
    RT_TRY(rt_predictions_read(&p, path));
    rt_status st = find_head(p, path, name, &h);
    *rows = p->rows ? p->row[p->rows - 1] + 1 : 0;
    if (!st) st = make_room(energy, *rows, path);
    for (uint64_t i = 0; i < p->rows && !st; i++) {
        const rt_predicted *q = &p->of[h];
        if (p->row[i] >= *rows) st = rt_fail(RT_INPUT, "%s: its rows do not rise; make it anew", path);
        else
            (*energy)[p->row[i]] = q->log_sum ? -(double)q->log_sum[i]
                                              : energy_of(q->z + i * (uint64_t)q->kept, q->kept);
    }
    rt_predictions_free(p);
    return st;
}

/* ---- label stores ---- */

typedef struct { double *energy; const rt_head *head; } scanning;

static rt_status add_rows(void *arg, const rt_label_batch *b)
{
    const scanning *s = arg;
    for (int i = 0; i < b->n; i++)
        if (b->status[i] == RT_LABEL_DONE)
            s->energy[b->row[i]] = energy_of(b->z + (size_t)i * b->width + s->head->at, s->head->size);
    return RT_OK;
}

static rt_status of_labels(double **energy, uint64_t *rows, const char *path, const char *name)
{
    rt_labels *l;
    scanning s = {0};
    RT_TRY(rt_labels_open(&l, path, 0));
    const rt_labels_spec *spec = rt_labels_info(l);
    *rows = spec->first + spec->rows;
    rt_status st = rt_label_find_head(l, path, name, &s.head);
    if (!st && spec->topk && spec->topk < s.head->size)
        st = rt_fail(RT_INPUT, "%s: keeps the largest logits of a row alone; label again without labels.topk", path);
    if (!st) st = make_room(energy, *rows, path);
    s.energy = *energy;
    if (!st) st = rt_label_scan(l, path, s.head, NULL, NULL, add_rows, &s);
    rt_labels_close(l);
    return st;
}

rt_status rt_row_energies(double **energy, uint64_t *rows, const char *path, const char *head)
{
    int predicted;
    *energy = NULL;
    *rows = 0;
    RT_TRY(rt_predictions_is(path, &predicted));
    return predicted ? of_predictions(energy, rows, path, head) : of_labels(energy, rows, path, head);
}
