#include "experiments/eval/comparison.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"
#include "experiments/eval/comparison_parts.h"
#include "experiments/machine.h"

/* ---- pairing ---- */

static int key_order(const rt_row_key *a, const rt_row_key *b)
{
    for (int i = 0; i < 2; i++) if (a->word[i] != b->word[i]) return a->word[i] < b->word[i] ? -1 : 1;
    return 0;
}

static rt_status sets_differ(const rt_comparison *c, uint64_t alone[RT_SIDES])
{
    const rt_predictions *a = c->p[RT_BASELINE], *b = c->p[RT_CANDIDATE];
    int ways = strcmp(a->id_from, b->id_from) != 0;
    return rt_fail(RT_NOTHING, "%s and %s are not about the same rows: %llu are of the first alone, %llu of the second "
                   "(rows %.8s and %.8s)%s; compare what both have with --common", a->path, b->path,
                   (unsigned long long)alone[0], (unsigned long long)alone[1], a->of_rows.hex, b->of_rows.hex,
                   ways ? "; their rows are called by other columns (--id)" : "");
}

/* Both in the order of their ids; of rows with equal ids the k-th of the one is the k-th of the other, in the order of
 * their truths: a model answers equal rows alike. */
static rt_status pair_rows(rt_comparison *c, int common)
{
    const rt_predictions *a = c->p[RT_BASELINE], *b = c->p[RT_CANDIDATE];
    uint32_t *place[RT_SIDES] = {NULL};
    uint64_t *truth[RT_SIDES] = {NULL}, i = 0, k = 0, alone[RT_SIDES] = {0};
    rt_status st = rt_predictions_order(a, &place[0], &truth[0]);
    if (!st) st = rt_predictions_order(b, &place[1], &truth[1]);
    for (int s = 0; s < RT_SIDES && !st; s++)
        if (!(c->at[s] = calloc(a->rows + 1, sizeof **c->at))) st = rt_fail(RT_RUN, "out of memory");
    if (!st && !(c->id_hash = calloc(a->rows + 1, sizeof *c->id_hash))) st = rt_fail(RT_RUN, "out of memory");
    while (!st && (i < a->rows || k < b->rows)) {
        int o = i == a->rows ? 1 : k == b->rows ? -1 : key_order(&a->key[place[0][i]], &b->key[place[1][k]]);
        if (o < 0) {
            alone[0]++;
            i++;
        } else if (o > 0) {
            alone[1]++;
            k++;
        } else {
            c->id_hash[c->n] = a->key[place[0][i]].word[1];
            c->at[0][c->n] = place[0][i++];
            c->at[1][c->n++] = place[1][k++];
        }
    }
    if (!st && (alone[0] || alone[1]) && !common) st = sets_differ(c, alone);
    if (!st && !c->n) st = rt_fail(RT_NOTHING, "%s and %s have no row in common", a->path, b->path);
    for (int s = 0; s < RT_SIDES; s++) {
        c->info[s].alone = alone[s];
        free(place[s]);
        free(truth[s]);
    }
    return st;
}

/* ---- truths ---- */

/* What element e of the baseline's head is in the candidate's; map NULL: the same. */
static int mapped(const int *map, int e) { return map ? map[e] : e; }

/* (*map)[e]: place of element e of the baseline's head h in the candidate's head k; NULL: the same. */
static rt_status map_head(const rt_comparison *c, int h, int k, rt_match match, int **map)
{
    const rt_predictions *a = c->p[RT_BASELINE], *b = c->p[RT_CANDIDATE];
    const rt_head *to = &b->head[k], *from = &a->head[h];
    *map = NULL;
    if (from->task != to->task || from->size != to->size)
        return rt_fail(RT_INPUT, "%s: head '%s' is of %s (%d), and of %s (%d) in %s: they cannot be compared", b->path,
                       to->name, rt_task_name(to->task), to->size, rt_task_name(from->task), from->size, a->path);
    if (match == RT_MATCH_POSITION) return RT_OK;
    return rt_names_permute(map, &from->names, &to->names, "class");
}

static rt_status truths_differ(const rt_comparison *c, int h, uint64_t i)
{
    const rt_predictions *a = c->p[RT_BASELINE], *b = c->p[RT_CANDIDATE];
    char id[RT_PREDICTIONS_ID + 1];
    memcpy(id, a->id + (size_t)c->at[0][i] * (size_t)a->id_width, (size_t)a->id_width);
    id[a->id_width] = 0;
    return rt_fail(RT_NOTHING,
                   "%s and %s do not have the same truth of row '%.80s' (head '%s'): they were not made from "
                   "the same rows (%.8s and %.8s)",
                   a->path, b->path, id, c->head[h].name, a->of_rows.hex, b->of_rows.hex);
}

/* The truth of row i of a side, by the baseline's order of elements. */
static void truth_of(const rt_comparison *c, int side, int h, const rt_target_rows *y, const int *map, uint64_t i,
                     rt_target_rows *to)
{
    size_t k = (size_t)c->head[h].size, r = c->at[side][i];
    if (y->y) {
        int label = y->y[r];
        for (int e = 0; map && label >= 0 && e < (int)k; e++)
            if (map[e] == y->y[r]) label = e;
        to->y[i] = label;
        return;
    }
    for (size_t e = 0; e < k; e++) {
        size_t from = r * k + (size_t)mapped(map, (int)e);
        to->mask[i * k + e] = y->mask[from];
        if (to->labels) to->labels[i * k + e] = y->mask[from] ? y->labels[from] : 0;
        if (to->values) to->values[i * k + e] = y->mask[from] ? y->values[from] : 0;
    }
}

static int truths_equal(const rt_head *head, const rt_target_rows *a, const rt_target_rows *b, uint64_t i)
{
    size_t k = (size_t)head->size;
    if (a->y) return a->y[i] == b->y[i];
    if (memcmp(a->mask + i * k, b->mask + i * k, k)) return 0;
    if (a->labels) return !memcmp(a->labels + i * k, b->labels + i * k, k);
    return !memcmp(a->values + i * k, b->values + i * k, k * sizeof *a->values);
}

/* What is true is said by either side, or alike by both. */
static rt_status take_truths(rt_comparison *c, int h, int other, const int *map, cJSON *notes)
{
    const rt_head *head = &c->head[h];
    const rt_target_rows *own = &c->p[0]->of[h].y, *theirs = other < 0 ? NULL : &c->p[1]->of[other].y;
    int has = own->y || own->mask, they = theirs && (theirs->y || theirs->mask);
    if (!has && !they) return RT_OK;
    RT_TRY(rt_target_rows_new(&c->y[h], head->task, head->size, (int)c->n));
    for (uint64_t i = 0; i < c->n; i++)
        truth_of(c, has ? 0 : 1, h, has ? own : theirs, has ? NULL : map, i, &c->y[h]);
    if (has && they) {
        rt_target_rows second = {0};
        rt_status st = rt_target_rows_new(&second, head->task, head->size, (int)c->n);
        for (uint64_t i = 0; i < c->n && !st; i++) {
            truth_of(c, 1, h, theirs, map, i, &second);
            if (!truths_equal(head, &c->y[h], &second, i)) st = truths_differ(c, h, i);
        }
        rt_target_rows_free(&second);
        return st;
    }
    if (other >= 0)
        rt_eval_note(notes, "head '%s': %s says nothing of what is true; it is taken from %s.", head->name,
                     c->p[has ? 1 : 0]->path, c->p[has ? 0 : 1]->path);
    return RT_OK;
}

/* ---- answers ---- */

static void score_full(const float *z, int k, int y, uint64_t i, rt_facts *f)
{
    rt_row_score s = rt_score_row(z, k, y);
    f->answer[i] = s.answer;
    f->confidence[i] = s.confidence;
    f->nll[i] = s.nll;
    f->brier[i] = s.brier;
    f->above[i] = s.above;
    f->sum[i] = s.sum;
}

/* Of the k largest logits: top by falling logit, in the baseline's classes. */
static void score_top(const rt_predicted *q, size_t r, const int *back, int y, uint64_t i, rt_facts *f)
{
    const float *z = q->z + r * (size_t)q->kept;
    const int32_t *top = q->top + r * (size_t)q->kept;
    int at = 0;
    f->answer[i] = mapped(back, top[0]);
    f->confidence[i] = fmin(1, exp((double)z[0] - q->log_sum[r]));
    while (at < q->kept && mapped(back, top[at]) != y) at++;
    f->above[i] = at;
    f->nll[i] = at < q->kept ? (double)q->log_sum[r] - z[at] : NAN;
    f->brier[i] = NAN;
}

static rt_status take_classes(rt_comparison *c, int side, int h, const rt_predicted *q, const int *map, rt_facts *f)
{
    int k = c->head[h].size;
    size_t n = c->n + 1;
    f->answer = malloc(n * sizeof *f->answer);
    f->above = malloc(n * sizeof *f->above);
    f->confidence = malloc(n * sizeof(double));
    f->nll = malloc(n * sizeof(double));
    f->brier = malloc(n * sizeof(double));
    if (!q->top) f->sum = malloc(n * sizeof(double));
    if (map) f->map = malloc((size_t)k * sizeof *f->map);
    f->from = q;
    float *z = rt_floats_new((size_t)k);
    int *back = map ? malloc((size_t)k * sizeof *back) : NULL;
    rt_status st = RT_OK;
    if (!f->answer || !f->above || !f->confidence || !f->nll || !f->brier || !z || (map && (!back || !f->map)) ||
        (!q->top && !f->sum)) st = rt_fail(RT_RUN, "out of memory");
    for (int e = 0; e < k && back && !st; e++) back[f->map[e] = map[e]] = e;
    for (uint64_t i = 0; i < c->n && !st; i++) {
        size_t r = c->at[side][i];
        int y = c->y[h].y ? c->y[h].y[i] : RT_NO_LABEL;
        if (q->top) score_top(q, r, back, y, i, f);
        else {
            for (int e = 0; e < k; e++) z[e] = q->z[r * (size_t)k + (size_t)mapped(map, e)];
            score_full(z, k, y, i, f);
        }
    }
    free(z);
    free(back);
    return st;
}

static rt_status take_answers(rt_comparison *c, int side, int h, const rt_predicted *q, const int *map)
{
    rt_facts *f = &c->facts[side][h];
    size_t k = (size_t)c->head[h].size;
    f->there = q && q->there;
    if (!f->there) return RT_OK;
    if (c->head[h].task == RT_TASK_CLASSES) return take_classes(c, side, h, q, map, f);
    f->z = rt_floats_new(c->n * k);
    if (!f->z || !(c->centre[h] = c->centre[h] ? c->centre[h] : rt_floats_new(k))) return RT_RUN;
    for (uint64_t i = c->n; i-- > 0 && c->y[h].values;)
        for (size_t e = 0; e < k; e++) if (c->y[h].mask[i * k + e]) c->centre[h][e] = c->y[h].values[i * k + e];
    for (uint64_t i = 0; i < c->n; i++)
        for (size_t e = 0; e < k; e++) f->z[i * k + e] = q->z[c->at[side][i] * k + (size_t)mapped(map, (int)e)];
    return RT_OK;
}

static rt_status take_heads(rt_comparison *c, rt_match match, cJSON *notes)
{
    const rt_predictions *a = c->p[RT_BASELINE], *b = c->p[RT_CANDIDATE];
    int common = 0;
    c->head = c->p[RT_BASELINE]->head;
    c->heads = a->heads;
    for (int h = 0; h < c->heads; h++) {
        int k = rt_heads_find(b->head, b->heads, &a->head[h], a->heads), *map = NULL;
        if (k >= 0 && !b->of[k].there) k = -1;
        rt_status st = k < 0 ? RT_OK : map_head(c, h, k, match, &map);
        if (k < 0) rt_eval_note(notes, "%s has no head '%s' of %s: there is nothing to compare.", b->path,
                                a->head[h].name, a->path);
        else common++;
        if (!st) st = take_truths(c, h, k, map, notes);
        if (!st) st = take_answers(c, RT_BASELINE, h, &a->of[h], NULL);
        if (!st && k >= 0) st = take_answers(c, RT_CANDIDATE, h, &b->of[k], map);
        free(map);
        RT_TRY(st);
    }
    char one[RT_NAMES_TEXT], two[RT_NAMES_TEXT];
    if (!common)
        return rt_fail(RT_INPUT, "%s and %s have no head in common: %s, and %s", a->path, b->path,
                       rt_heads_text(a->head, a->heads, one), rt_heads_text(b->head, b->heads, two));
    return RT_OK;
}

/* ---- sides ---- */

static void describe(rt_comparison *c, int s)
{
    const rt_predictions *p = c->p[s];
    rt_side_info *info = &c->info[s];
    info->path = p->path;
    info->name = p->name;
    info->model = p->model.hex;
    info->data = p->data.hex;
    info->rows = p->of_rows.hex;
    info->kernels = p->kernels;
    info->tool = p->tool;
    info->stored = p->stored;
    info->count = p->rows;
    info->seen = p->seen;
}

/* What a comparison of two sides takes a row beyond their answers: who is right, how sure (comparison_parts.h), where
 * rows stand, twice while they are sorted, and pairs of truth and answer; of labels and values their answers once more.
 */
static double bytes_beside(const rt_head *head, int heads)
{
    double bytes = 2 * (sizeof(uint32_t) + 12 + 32) + sizeof(uint64_t);
    for (int h = 0; h < heads; h++)
        bytes += head[h].task == RT_TASK_CLASSES ? 4 + 2 * 40 : 5.0 * head[h].size + 2 * 4.0 * head[h].size;
    return bytes;
}

/* The answers of models, in the first one's heads. */
static rt_status ask_sides(rt_comparison *c, const rt_comparison_spec *spec, const int *side, int count)
{
    const rt_teacher_spec *model[RT_SIDES];
    rt_predictions *out[RT_SIDES];
    for (int i = 0; i < count; i++) model[i] = spec->side[side[i]];
    rt_predictions_spec ask = {model, count, spec->data, 0, spec->device, spec->progress, spec->notes,
                               bytes_beside(NULL, 0) + 84};
    RT_TRY(rt_predictions_ask(out, &ask));
    for (int i = 0; i < count; i++) c->p[side[i]] = out[i];
    return RT_OK;
}

/* The candidate's answers from a comparison before, unless this baseline has a head that was not asked about then. */
static rt_status take_answered(rt_comparison *c, const rt_comparison_spec *spec)
{
    static const int candidate = RT_CANDIDATE;
    const rt_predictions *a = c->p[RT_BASELINE];
    rt_predictions *b = spec->before->p[RT_CANDIDATE];
    int serves = 1;
    for (int h = 0; h < a->heads; h++) serves &= rt_heads_find(b->head, b->heads, &a->head[h], a->heads) >= 0;
    if (!serves && !b->stored) return ask_sides(c, spec, &candidate, 1);
    c->p[RT_CANDIDATE] = b;
    c->lent = 1;
    return RT_OK;
}

static rt_status open_sides(rt_comparison *c, const rt_comparison_spec *spec, rt_match *match)
{
    int stored[RT_SIDES] = {0}, asked = 0, side[RT_SIDES], sides = spec->before ? RT_CANDIDATE : RT_SIDES;
    const char *files[RT_EVAL_DATA_FILES + 1];
    if (spec->data) {
        RT_TRY(rt_predictions_check(spec->data, files));
        rt_cfg d = rt_cfg_begin(spec->data, "data");
        *match = rt_match_read(&d);
    }
    for (int s = 0; s < sides; s++) {
        const rt_teacher_spec *of = spec->side[s];
        if (of->paths == 1 && !of->object) RT_TRY(rt_predictions_is(of->path[0], &stored[s]));
        if (stored[s]) continue;
        if (!spec->data)
            return rt_fail(RT_USAGE, "%s: is a model, which needs rows to answer: give --data, or predictions in its "
                           "place ('retort predict')", of->path[0]);
        side[asked++] = s;
    }
    if (asked) RT_TRY(ask_sides(c, spec, side, asked));
    for (int s = 0; s < sides; s++) if (stored[s]) RT_TRY(rt_predictions_read(&c->p[s], spec->side[s]->path[0]));
    if (spec->before) RT_TRY(take_answered(c, spec));
    for (int s = 0; s < RT_SIDES; s++) describe(c, s);
    return RT_OK;
}

rt_status rt_comparison_open(rt_comparison **out, const rt_comparison_spec *spec)
{
    rt_match match = RT_MATCH_NAMES;
    rt_comparison *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->device = spec->device;
    rt_status st = open_sides(c, spec, &match);
    if (!st)
        st = rt_machine_room_for(c->p[0]->rows, bytes_beside(c->p[0]->head, c->p[0]->heads), c->p[0]->path,
                                 "compare a part of the rows");
    if (!st) st = pair_rows(c, spec->common);
    if (!st) st = take_heads(c, match, spec->notes);
    for (int s = 0; s < RT_SIDES && !st; s++)
        if (c->info[s].alone)
            rt_eval_note(spec->notes,
                         "%llu of the %llu rows of %s are not among those of the other side, and were left "
                         "out.",
                         (unsigned long long)c->info[s].alone, (unsigned long long)c->p[s]->rows, c->p[s]->path);
    if (!st && strcmp(c->p[0]->kernels, c->p[1]->kernels))
        rt_eval_note(spec->notes, "the answers were computed by kernels of two families (%s, %s): they differ in their "
                     "last digits for that alone.", c->p[0]->kernels, c->p[1]->kernels);
    if (st) rt_comparison_close(c);
    else *out = c;
    return st;
}

void rt_comparison_close(rt_comparison *c)
{
    if (!c) return;
    for (int s = 0; s < RT_SIDES; s++) {
        if (s != RT_CANDIDATE || !c->lent) rt_predictions_free(c->p[s]);
        free(c->at[s]);
        for (int h = 0; h < RT_MAX_HEADS; h++) {
            rt_facts *f = &c->facts[s][h];
            void *owned[] = {f->answer, f->confidence, f->nll, f->brier, f->above, f->sum, f->map, f->z};
            for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
        }
    }
    for (int h = 0; h < RT_MAX_HEADS; h++) {
        rt_target_rows_free(&c->y[h]);
        free(c->centre[h]);
    }
    for (int i = 0; i < RT_RESAMPLES_KEPT; i++) free(c->kept[i].value);
    rt_slices_free(c);
    free(c->columns);
    free(c->id_hash);
    free(c);
}

const rt_side_info *rt_comparison_side(const rt_comparison *c, int side) { return &c->info[side]; }
uint64_t rt_comparison_rows(const rt_comparison *c) { return c->n; }

double rt_comparison_bytes(const rt_comparison *c)
{
    double bytes = (double)c->n * bytes_beside(c->head, c->heads);
    for (int s = 0; s < RT_SIDES; s++) {
        double of_row, answers = rt_predictions_row_bytes(c->p[s], &of_row);
        if (s == RT_CANDIDATE && c->lent) continue;
        bytes += (double)c->p[s]->rows * (answers + (c->p[s]->borrows ? 0 : of_row));
    }
    return bytes;
}

const float *rt_comparison_answers(const rt_comparison *c, int side, int h)
{
    const rt_predictions *p = c->p[side];
    return p->stored || h >= p->heads || !p->of[h].there ? NULL : p->of[h].z;
}

const rt_head *rt_comparison_heads(const rt_comparison *c, int *count)
{
    *count = c->heads;
    return c->head;
}

int rt_comparison_head(const rt_comparison *c, const char *name)
{
    char text[RT_NAMES_TEXT];
    if (!name || !*name) return 0;
    for (int h = 0; h < c->heads; h++) if (!strcmp(c->head[h].name, name)) return h;
    rt_fail(RT_USAGE, "there is no head '%.60s'; heads: %s", name, rt_heads_text(c->head, c->heads, text));
    return -1;
}

/* ---- rows ---- */

static int known_labels(const rt_comparison *c, int h, uint64_t i)
{
    size_t k = (size_t)c->head[h].size, n = 0;
    for (size_t e = 0; e < k; e++) n += c->y[h].mask[i * k + e];
    return (int)n;
}

int rt_facts_counts(const rt_comparison *c, int h, uint64_t i)
{
    if (c->y[h].y) return c->y[h].y[i] >= 0;
    return c->y[h].mask && known_labels(c, h, i) > 0;
}

int rt_facts_right(const rt_comparison *c, int side, int h, uint64_t i)
{
    const rt_facts *f = &c->facts[side][h];
    size_t k = (size_t)c->head[h].size;
    if (c->head[h].task == RT_TASK_CLASSES) return f->answer[i] == c->y[h].y[i];
    if (c->head[h].task == RT_TASK_REAL) return 0;
    for (size_t e = 0; e < k; e++) if ((f->z[i * k + e] > 0) != (c->y[h].labels[i * k + e] != 0)) return 0;
    return 1;
}

double rt_facts_p(const rt_comparison *c, int side, int h, uint64_t i, int e)
{
    const rt_facts *f = &c->facts[side][h];
    const float *z = f->from->z + (size_t)c->at[side][i] * (size_t)c->head[h].size;
    return exp((double)z[mapped(f->map, e)] - z[mapped(f->map, f->answer[i])]) / f->sum[i];
}

/* Counts are unsigned: adding a negative number of times wraps around, and comes back. */
static void add_classes(const rt_facts *f, int y, uint64_t i, int64_t times, rt_scores *s)
{
    uint64_t w = (uint64_t)times;
    int answer = f->answer[i];
    s->rows += w;
    s->nll += f->nll[i] * (double)times;
    s->brier += f->brier[i] * (double)times;
    s->right5 += f->above[i] < 5 ? w : 0;
    s->truth[y] += w;
    s->answered[answer] += w;
    rt_ece_bin *bin = &s->bin[rt_ece_bin_of(f->confidence[i])];
    bin->count += w;
    bin->confidence += f->confidence[i] * (double)times;
    if (answer != y) return;
    s->right += w;
    s->hit[y] += w;
    bin->right += (double)times;
}

static void add_labels(const rt_comparison *c, const rt_facts *f, int h, uint64_t i, int64_t times, rt_scores *s)
{
    size_t k = (size_t)c->head[h].size, at = i * k, known = 0, right = 0;
    uint64_t w = (uint64_t)times;
    for (size_t e = 0; e < k; e++) {
        double z = f->z[at + e], near = exp(-fabs(z));
        int truth = c->y[h].labels[at + e] != 0, answer = z > 0;
        if (!c->y[h].mask[at + e]) continue;
        double wrong = (truth ? z < 0 : z > 0) ? 1 / (1 + near) : near / (1 + near);
        known++;
        right += truth == answer;
        s->column[e].rows += w;
        s->truth[e] += truth ? w : 0;
        s->answered[e] += answer ? w : 0;
        s->hit[e] += truth && answer ? w : 0;
        s->nll += (log1p(near) + (truth ? fmax(-z, 0) : fmax(z, 0))) * (double)times;
        s->brier += wrong * wrong * (double)times;
    }
    s->rows += w;
    s->complete += known == k ? w : 0;
    s->right += known == k && right == k ? w : 0;
}

/* Until rt_facts_finish `mean` and `spread` are the sums of what targets are above the centre, and of its squares. */
static void add_values(const rt_comparison *c, const rt_facts *f, int h, uint64_t i, int64_t times, rt_scores *s)
{
    size_t k = (size_t)c->head[h].size, at = i * k;
    for (size_t e = 0; e < k; e++) {
        double y = c->y[h].values[at + e], d = fabs((double)f->z[at + e] - y);
        rt_column_score *to = &s->column[e];
        if (!c->y[h].mask[at + e]) continue;
        to->rows += (uint64_t)times;
        to->near += d <= 0.1 * fabs(y) ? (uint64_t)times : 0;
        to->abs += d * (double)times;
        to->square += d * d * (double)times;
        to->most = fmax(to->most, d);
        y -= c->centre[h][e];
        to->mean += y * (double)times;
        to->spread += y * y * (double)times;
    }
    s->rows += (uint64_t)times;
}

void rt_facts_add(const rt_comparison *c, int side, int h, uint64_t i, int64_t times, rt_scores *s)
{
    const rt_facts *f = &c->facts[side][h];
    switch (c->head[h].task) {
    case RT_TASK_CLASSES: add_classes(f, c->y[h].y[i], i, times, s); break;
    case RT_TASK_MULTILABEL: add_labels(c, f, h, i, times, s); break;
    case RT_TASK_REAL: add_values(c, f, h, i, times, s); break;
    case RT_TASK_COUNT: break;
    }
}

void rt_facts_finish(const rt_scores *from, rt_scores *to, rt_column_score *column)
{
    *to = *from;
    if (from->task != RT_TASK_REAL) return;
    to->column = column;
    for (int e = 0; e < from->size; e++) {
        column[e] = from->column[e];
        double n = (double)column[e].rows;
        column[e].spread = n > 0 ? fmax(0, column[e].spread - column[e].mean * column[e].mean / n) : 0;
        column[e].mean = n > 0 ? column[e].mean / n : 0;
    }
}
