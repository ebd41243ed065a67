/* data/votes.h - weak supervision: what several voters say of rows becomes one distribution over the classes a row.
 *
 * V voters give each row one of K classes or abstain. Votes are held as bytes (two of them above 254 classes), row by
 * row: N * V of them are all the memory that grows with the rows; each iteration goes through them once.
 *
 * Majority: p(k) = votes for k / votes. Ties go to the lower class.
 * Dawid and Skene (Applied Statistics 28, 1979): voter v says l of a row of class k with probability M_v[k][l], voters
 * are independent given the class, and prior[k] is the share of class k. By EM, in double and the log domain:
 *   E: p(k | row) = prior[k] * product over its votes of M_v[k][vote], over the sum of the same over all classes
 *   M: M_v[k][l] = sum of p(k | row) over rows that v says l of, at least 1e-10, over the sum of these over l;
 *      prior[k] = mean of p(k | row) over rows with a vote, unless it is given
 * One coin: M_v[k][k] = a_v and (1 - a_v) / (K - 1) elsewhere; a_v = sum of p(vote | row) over v's votes, over their
 * number, kept within [1e-10, 1 - 1e-10].
 * Both begin from the majority's p and end when the log-likelihood a row gains less than `tolerance`. Rows without a
 * vote take no part. Sums go through the rows in their order: equal votes give equal bits.
 * Threads: one. */
#ifndef RT_DATA_VOTES_H
#define RT_DATA_VOTES_H

#include <stdint.h>

#include "engine/error.h"

enum { RT_VOTERS = 256, RT_VOTE_CLASSES = 4096, RT_VOTE_CELLS = 1 << 26 /* V * K * K is at most that */ };
enum { RT_ABSTAIN = -1 };

typedef enum { RT_VOTE_MAJORITY, RT_VOTE_DAWID_SKENE, RT_VOTE_ONE_COIN } rt_vote_method;

typedef struct {
    uint64_t rows;
    int voters, classes, wide;         /* wide: two bytes a vote */
    void *vote;                        /* (rows, voters): 0 abstains, l + 1 says l */
} rt_votes;

/* RT_USAGE beyond the limits. All abstain at first. */
rt_status rt_votes_new(rt_votes *, uint64_t rows, int voters, int classes);
void rt_votes_free(rt_votes *);
void rt_votes_put(rt_votes *, uint64_t row, int voter, int class_or_abstain);
int rt_votes_at(const rt_votes *, uint64_t row, int voter);

typedef struct {
    rt_vote_method method;
    const double *prior;               /* (K), sums to 1; NULL: learnt */
    double tolerance;
    int iterations;                    /* at most */
    int (*stop)(void);                 /* asked once an iteration; NULL: never */
} rt_vote_options;

typedef struct {
    rt_vote_method method;
    int voters, classes;
    double *prior;                     /* (K) */
    double *confusion;                 /* (V, K true, K said) */
    double *accuracy;                  /* (V) sum over k of prior[k] * M[k][k]; of one coin a_v */
    double *log_confusion, *log_prior; /* what posteriors are made of */
    double *total;                     /* (V) sums while it is fitted */
    double log_likelihood, log_likelihood_start;  /* a row with a vote, at the end and of the start; NAN of majority */
    uint64_t voted;                    /* rows with a vote */
    int iterations, converged;
} rt_vote_model;

/* Also of the majority, whose confusions are those against its own answer. For rt_vote_model_free, also after an error.
 * RT_INPUT when no row has a vote; RT_INTERRUPTED when stop says so. */
rt_status rt_votes_fit(rt_vote_model *, const rt_votes *, const rt_vote_options *);
void rt_vote_model_free(rt_vote_model *);

/* p (K) of a row; returns its votes, and with 0 leaves p zero. */
int rt_votes_majority(const rt_votes *, uint64_t row, double *p);
/* The same of the model; *log_sum (may be NULL) is the logarithm of the row's likelihood. */
int rt_votes_posterior(const rt_vote_model *, const rt_votes *, uint64_t row, double *p, double *log_sum);
/* The first of the largest. */
int rt_vote_best(const double *p, int classes);
/* The class that all voters of the row say, when there are two at least; else -1. */
int rt_votes_agreed(const rt_votes *, uint64_t row);
#endif
