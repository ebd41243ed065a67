/* experiments/chances.h - what a test set can show: how probable each verdict of a gate is, and the smallest drop that
 * it finds. Pure functions; any thread may call them. */
#ifndef RT_EXPERIMENTS_CHANCES_H
#define RT_EXPERIMENTS_CHANCES_H

#include <stdint.h>

typedef struct { double pass, regression, undecided; } rt_chances;

/* The chances of the three verdicts on a share (as accuracy) of n >= 1 rows, by Tango's interval at this confidence
 * against a limit on its drop, where the true drop is `drop` and `psi` of rows are right by one side alone
 * (|drop| <= psi <= 1). Exact, by the trinomial of b and c, up to 400 such rows (n psi); of more by the normal
 * approximation of the drop. */
rt_chances rt_power_of_share(uint64_t n, double psi, double drop, double limit, double confidence);
/* The smallest true drop that is called a regression with this chance, where psi of the rows flip (or as many as the
 * drop needs); NAN where none does. */
double rt_power_detects(uint64_t n, double psi, double limit, double confidence, double chance);
/* Both of a number whose drop has this standard error, by the normal distribution. */
rt_chances rt_power_of_number(double error, double drop, double limit, double confidence);
double rt_power_number_detects(double error, double limit, double confidence, double chance);

/* The smallest drop that McNemar's two-sided test at 1 - confidence finds with this chance (Connor 1987): D with
 * D sqrt(n) = z_(1 - alpha/2) sqrt(psi) + z_chance sqrt(psi - D^2). NAN where it would be above psi. An unchanged model
 * passes a limit of D with about this chance. */
double rt_power_mcnemar(double n, double psi, double confidence, double chance);
#endif
