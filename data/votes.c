/* data/votes.c - majority, Dawid-Skene and one-coin models of voters. */
#include "data/votes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double least = 1e-10;     /* what a sum of a confusion is at least */

rt_status rt_votes_new(rt_votes *v, uint64_t rows, int voters, int classes)
{
    *v = (rt_votes){.rows = rows, .voters = voters, .classes = classes, .wide = classes > 254};
    if (voters < 1 || voters > RT_VOTERS)
        return rt_fail(RT_USAGE, "%d voters: 1 to %d are possible", voters, RT_VOTERS);
    if (classes < 2 || classes > RT_VOTE_CLASSES)
        return rt_fail(RT_USAGE, "%d classes: voters vote on 2 to %d", classes, RT_VOTE_CLASSES);
    if ((int64_t)voters * classes * classes > RT_VOTE_CELLS)
        return rt_fail(RT_USAGE, "%d voters of %d classes are too many: voters * classes * classes may be %d", voters,
                       classes, RT_VOTE_CELLS);
    uint64_t row = (uint64_t)voters << v->wide;
    if (rows > SIZE_MAX / 2 / row) return rt_fail(RT_USAGE, "%d votes of so many rows do not fit memory", voters);
    v->vote = calloc(rows * row + 1, 1);
    return v->vote ? RT_OK : rt_fail(RT_RUN, "out of memory: votes take %llu bytes", (unsigned long long)(rows * row));
}

void rt_votes_free(rt_votes *v)
{
    free(v->vote);
    v->vote = NULL;
}

void rt_votes_put(rt_votes *v, uint64_t row, int voter, int said)
{
    uint64_t at = row * (uint64_t)v->voters + (uint64_t)voter;
    if (v->wide) ((uint16_t *)v->vote)[at] = (uint16_t)(said + 1);
    else ((uint8_t *)v->vote)[at] = (uint8_t)(said + 1);
}

int rt_votes_at(const rt_votes *v, uint64_t row, int voter)
{
    uint64_t at = row * (uint64_t)v->voters + (uint64_t)voter;
    return (v->wide ? ((const uint16_t *)v->vote)[at] : ((const uint8_t *)v->vote)[at]) - 1;
}

int rt_votes_majority(const rt_votes *v, uint64_t row, double *p)
{
    int n = 0;
    memset(p, 0, (size_t)v->classes * sizeof *p);
    for (int i = 0; i < v->voters; i++) {
        int said = rt_votes_at(v, row, i);
        if (said < 0) continue;
        p[said]++;
        n++;
    }
    for (int k = 0; k < v->classes && n; k++) p[k] /= n;
    return n;
}

int rt_vote_best(const double *p, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++) if (p[k] > p[best]) best = k;
    return best;
}

int rt_votes_agreed(const rt_votes *v, uint64_t row)
{
    int all = -1, n = 0;
    for (int i = 0; i < v->voters; i++) {
        int said = rt_votes_at(v, row, i);
        if (said < 0) continue;
        if (n++ && said != all) return -1;
        all = said;
    }
    return n > 1 ? all : -1;
}

/* ---- E ---- */

int rt_votes_posterior(const rt_vote_model *m, const rt_votes *v, uint64_t row, double *p, double *log_sum)
{
    size_t k = (size_t)m->classes;
    int n = 0;
    if (m->method == RT_VOTE_MAJORITY) return rt_votes_majority(v, row, p);
    memcpy(p, m->log_prior, k * sizeof *p);
    for (int i = 0; i < v->voters; i++) {
        int said = rt_votes_at(v, row, i);
        if (said < 0) continue;
        const double *of = m->log_confusion + (size_t)i * k * k + (size_t)said;
        for (size_t c = 0; c < k; c++) p[c] += of[c * k];
        n++;
    }
    if (!n) {
        memset(p, 0, k * sizeof *p);
        return 0;
    }
    double top = p[rt_vote_best(p, m->classes)], sum = 0;
    for (size_t c = 0; c < k; c++) sum += p[c] = exp(p[c] - top);
    for (size_t c = 0; c < k; c++) p[c] /= sum;
    if (log_sum) *log_sum = top + log(sum);
    return n;
}

/* ---- M ---- */

static void add_row(rt_vote_model *m, const rt_votes *v, uint64_t row, const double *p, double *prior)
{
    size_t k = (size_t)m->classes;
    for (size_t c = 0; c < k; c++) prior[c] += p[c];
    for (int i = 0; i < v->voters; i++) {
        int said = rt_votes_at(v, row, i);
        if (said < 0) continue;
        double *of = m->confusion + (size_t)i * k * k + (size_t)said;
        for (size_t c = 0; c < k; c++) of[c * k] += p[c];
    }
}

/* The sums of voter i become M. A voter that said nothing is taken to guess. */
static void normalize_confusion(rt_vote_model *m, int i)
{
    size_t k = (size_t)m->classes;
    double *of = m->confusion + (size_t)i * k * k;
    for (size_t c = 0; c < k; c++, of += k) {
        double sum = 0;
        for (size_t l = 0; l < k; l++) sum += of[l] = of[l] < least ? least : of[l];
        for (size_t l = 0; l < k; l++) of[l] /= sum;
    }
}

static void one_coin(rt_vote_model *m, int i)
{
    size_t k = (size_t)m->classes;
    double *of = m->confusion + (size_t)i * k * k, right = 0, all = 0;
    for (size_t c = 0; c < k; c++) {
        right += of[c * k + c];
        for (size_t l = 0; l < k; l++) all += of[c * k + l];
    }
    double a = all > 0 ? right / all : 1.0 / m->classes;
    if (a < least) a = least;
    if (a > 1 - least) a = 1 - least;
    for (size_t c = 0; c < k; c++)
        for (size_t l = 0; l < k; l++) of[c * k + l] = c == l ? a : (1 - a) / (double)(k - 1);
}

static void finish_sums(rt_vote_model *m, const double *given, double *prior)
{
    size_t k = (size_t)m->classes, cells = k * k * (size_t)m->voters;
    for (size_t c = 0; c < k; c++) m->prior[c] = given ? given[c] : prior[c] / (double)m->voted;
    for (int i = 0; i < m->voters; i++) {
        if (m->method == RT_VOTE_ONE_COIN) one_coin(m, i);
        else normalize_confusion(m, i);
    }
    for (size_t c = 0; c < k; c++) m->log_prior[c] = log(m->prior[c]);
    for (size_t c = 0; c < cells; c++) m->log_confusion[c] = log(m->confusion[c]);
}

/* One pass: the posteriors of the parameters at hand (of the majority at the start) into new parameters. Returns the
 * log-likelihood a row of those at hand. */
static double pass(rt_vote_model *m, const rt_votes *v, const double *given, int start, double *p)
{
    size_t k = (size_t)m->classes;
    double sum = 0, *prior = m->total;
    memset(prior, 0, k * sizeof *prior);
    memset(m->confusion, 0, k * k * (size_t)m->voters * sizeof *m->confusion);
    m->voted = 0;
    for (uint64_t r = 0; r < v->rows; r++) {
        double log_sum = 0;
        int n = start ? rt_votes_majority(v, r, p) : rt_votes_posterior(m, v, r, p, &log_sum);
        if (!n) continue;
        m->voted++;
        sum += log_sum;
        add_row(m, v, r, p, prior);
    }
    if (m->voted) finish_sums(m, given, prior);
    return m->voted ? sum / (double)m->voted : 0;
}

/* ---- fitting ---- */

static rt_status allocate(rt_vote_model *m, const rt_votes *v, rt_vote_method method)
{
    size_t k = (size_t)v->classes, cells = k * k * (size_t)v->voters;
    *m = (rt_vote_model){.method = method, .voters = v->voters, .classes = v->classes};
    m->prior = calloc(k, sizeof *m->prior);
    m->log_prior = calloc(k, sizeof *m->log_prior);
    m->total = calloc(k, sizeof *m->total);
    m->confusion = calloc(cells, sizeof *m->confusion);
    m->log_confusion = calloc(cells, sizeof *m->log_confusion);
    m->accuracy = calloc((size_t)v->voters, sizeof *m->accuracy);
    return m->prior && m->log_prior && m->total && m->confusion && m->log_confusion && m->accuracy
               ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

void rt_vote_model_free(rt_vote_model *m)
{
    void *owned[] = {m->prior, m->log_prior, m->total, m->confusion, m->log_confusion, m->accuracy};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    *m = (rt_vote_model){0};
}

/* The parameters are those of the E step whose likelihood is the last: p of the model is p of its own parameters. */
static rt_status iterate(rt_vote_model *m, const rt_votes *v, const rt_vote_options *o, double *p)
{
    double last = -INFINITY;
    for (m->iterations = 0; m->iterations < o->iterations; m->iterations++) {
        if (o->stop && o->stop()) return rt_fail(RT_INTERRUPTED, "interrupted");
        double now = pass(m, v, o->prior, 0, p);
        if (!m->iterations) m->log_likelihood_start = now;
        m->log_likelihood = now;
        m->converged = now - last < o->tolerance;
        if (m->converged) {
            m->iterations++;
            break;
        }
        last = now;
    }
    return RT_OK;
}

rt_status rt_votes_fit(rt_vote_model *m, const rt_votes *v, const rt_vote_options *o)
{
    size_t k = (size_t)v->classes;
    double *p = malloc(k * sizeof *p);
    rt_status st = allocate(m, v, o->method);
    if (!st && !p) st = rt_fail(RT_RUN, "out of memory");
    if (!st) {
        pass(m, v, o->prior, 1, p);
        if (!m->voted) st = rt_fail(RT_INPUT, "no row has a vote: every voter abstains from all %llu rows",
                                    (unsigned long long)v->rows);
    }
    m->log_likelihood = m->log_likelihood_start = NAN;
    if (!st && o->method != RT_VOTE_MAJORITY) st = iterate(m, v, o, p);
    for (int i = 0; i < m->voters && !st; i++)
        for (size_t c = 0; c < k; c++)
            m->accuracy[i] += m->prior[c] * m->confusion[(size_t)i * k * k + c * k + c];
    free(p);
    return st;
}
