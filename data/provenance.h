/* data/provenance.h - which rows of which data an artifact owes to, through all its ancestors.
 *
 * A model's provenance and a label store's manifest hold one flat list, "seen":
 *   {"by": "self" | "init" | "teacher" | "labels",   how these rows came into this artifact
 *    "model": "...",                                 digest of the ancestor that carried them; not with "self"
 *    "data": "...", "source_rows": N,                identity of x, rows of the whole source
 *    "rows": {"range": "a:b", "test": t, "test_seed": s, "fold": "i/n" (where one was left out), "fold_by": {"source",
 *              "set", "digest"} (where a file told which rows it is: without that file, or when it tells others, all
 *              rows of the range count),
 *              "validation": {"range": "a:b", "part": p, "seed": s}}}
 * The rows are those of the range without the test rows drawn from it (rt_rows_select), and, where "validation" is
 * there, the rows drawn for validation from a range of its own (all of its rows where no part is named: the draw was
 * among some that only their labels tell). An ancestor whose file does not say what it was trained on stands as {"by",
 * "model", "unknown": true}. Equal rows of equal data stand once, as their nearest ancestor brought them. */
#ifndef RT_DATA_PROVENANCE_H
#define RT_DATA_PROVENANCE_H

#include "data/rows.h"

/* What a training run takes. validation_range NULL or "": validation rows come out of the range itself. validation 0:
 * all rows of validation_range may have been taken. */
typedef struct {
    const char *data;                  /* identity of x, hex */
    uint64_t source_rows;
    rt_rows_config rows;
    const char *validation_range;
    double validation;
    uint64_t seed;                     /* of the validation draw */
} rt_seen_run;

/* Appends this run's rows to the list as "self". RT_USAGE when a range is none. */
rt_status rt_seen_add(cJSON *seen, const rt_seen_run *);
/* Appends what an ancestor has seen: holder is the provenance of a model or the manifest of a label store, model its
 * digest. An ancestor without a list is noted as unknown. RT_INPUT when its list is longer than any of ours, or an
 * entry of it is no such thing: the list is then part of what was joined. */
rt_status rt_seen_join(cJSON *seen, const cJSON *holder, const char *by, const char *model);

/* How many of `rows` of the source (its identities data, one for each of its parts, NULL after the last: a row whose
 * part was seen counts) stand in the list; by: only entries of this kind, NULL: any. Draws
 * are made anew, so this takes time in proportion to the rows that entries describe. RT_INPUT when an entry cannot be
 * read; name: the file, for the message. */
rt_status rt_seen_count(const cJSON *seen, const char *const *data, uint64_t source_rows, const rt_rows *rows,
                        const char *by, const char *name, uint64_t *count);
/* How many ancestors do not say what they were trained on. */
int rt_seen_unknown(const cJSON *seen);
#endif
