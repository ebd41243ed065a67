/* experiments/gate/spending.h - a test set that is used again and again: how much of the error that is allowed over all
 * releases one of them may use. Pure functions; any thread may call them.
 *
 * Every decision on the same rows is one more chance to be wrong: twelve at 5 % go wrong somewhere with up to 46 %. A
 * spending function a(t), 0 <= t <= 1, says how much of alpha may be gone when the share t of the releases is over
 * (Lan and DeMets, "Discrete sequential boundaries for clinical trials", 1983). alpha is two-sided, 1 - confidence of
 * the policy; either side (a regression that is none, a pass that should be none) has half of it.
 *   O'Brien-Fleming type   a(t) = 2 - 2 Phi(z(1 - alpha/2) / sqrt(t)): next to nothing at first, most of it at the end
 *   Pocock type            a(t) = alpha ln(1 + (e - 1) t): about the same each time
 * Look i of K is held at alpha_i = a(i/K) - a((i - 1)/K), as an interval of confidence 1 - alpha_i. Looks are at other
 * pairs of models each, not at one sum that grows, so no joint distribution is assumed: the alpha_i add up to alpha,
 * and with them the chance of any error over all K looks stays below it, however the looks depend on each other
 * (Boole's inequality). */
#ifndef RT_EXPERIMENTS_SPENDING_H
#define RT_EXPERIMENTS_SPENDING_H

typedef enum { RT_SPEND_NONE, RT_SPEND_OBRIEN_FLEMING, RT_SPEND_POCOCK, RT_SPENDINGS } rt_spending;
extern const char *const rt_spending_name[RT_SPENDINGS + 1];       /* ended by NULL */

/* What may be gone by the share t of the releases, 0 < alpha < 1; of RT_SPEND_NONE alpha, from the first on. */
double rt_spent(rt_spending, double alpha, double t);
/* alpha_i of look i of `looks`, 1 <= i <= looks; of RT_SPEND_NONE alpha. Never below 1e-12, beyond which an interval
 * of doubles has no end: over 1,000 looks that is 1e-9 more than alpha. */
double rt_spending_alpha(rt_spending, double alpha, int look, int looks);
#endif
