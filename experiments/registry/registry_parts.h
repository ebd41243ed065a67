/* experiments/registry/registry_parts.h - what the files of the registry share: its database and its objects. */
#ifndef RT_EXPERIMENTS_REGISTRY_PARTS_H
#define RT_EXPERIMENTS_REGISTRY_PARTS_H

#include <sqlite3.h>

#include "engine/text.h"
#include "experiments/registry/registry.h"

enum { RT_REGISTRY_PATH = 1024, RT_REGISTRY_OBJECT_MAX = RT_JSON_MAX_BYTES /* but for models */ };

struct rt_registry {
    char folder[RT_REGISTRY_PATH];
    sqlite3 *db;
    int dir, objects;                  /* the folder; DIR/objects, -1: there is none */
    int write, begun;
    struct rt_touch { char part[16]; int64_t row; } *touched;      /* rows of this transaction, to be sealed */
    int touches, room, lost;           /* lost: memory ran out */
    double waits_until;                /* of the wait for others at hand */
};

/* ---- SQL ---- */

/* What binds: a letter each: i int64_t, n int64_t of which 0 is NULL, d double of which NAN is NULL, s text (NULL:
 * NULL), t text of which "" is NULL. */
rt_status rt_sql(rt_registry *, sqlite3_stmt **, const char *sql, const char *binds, ...);
/* The next row: *row 0 where there is none. */
rt_status rt_sql_next(rt_registry *, sqlite3_stmt *, int *row);
/* The statement of rt_sql, without rows; finished. */
rt_status rt_sql_run(rt_registry *, const char *sql, const char *binds, ...);
/* The whole number in its first row and column; fallback where there is no row, or NULL. */
rt_status rt_sql_number(rt_registry *, int64_t *out, int64_t fallback, const char *sql, const char *binds, ...);
/* Never NULL. */
const char *rt_sql_text(sqlite3_stmt *, int column);
/* column under key, which outlives the object; NULL is not added. */
void rt_sql_add(cJSON *, const char *key, sqlite3_stmt *, int column);
/* The message of an error of SQLite. */
rt_status rt_sql_failed(rt_registry *, int code);

/* A transaction that changes something: begun with the database's lock held. */
rt_status rt_registry_begin(rt_registry *);
rt_status rt_registry_commit(rt_registry *);
/* The message of an error at hand stays. */
void rt_registry_rollback(rt_registry *);

/* Every row has a seal, a hash of what it holds, so that one bit of the database that turned over is found. What a
 * transaction touches is noted (rt_registry_touch is SQLite's update hook, which neither REPLACE nor a DELETE without
 * WHERE calls: use neither) and sealed before it is committed. */
void rt_registry_touch(void *registry, int what, const char *database, const char *table, sqlite3_int64 row);
rt_status rt_registry_seal(rt_registry *);
/* Calls say for each row whose seal is not its own, is missing, or is of no row. */
rt_status rt_registry_check_seals(rt_registry *, void (*say)(void *arg, const char *what), void *arg);

/* An event, within a transaction: model 0, number 0, detail NULL: none. *id: of its row. */
rt_status rt_registry_event(rt_registry *, int64_t model, int64_t number, const char *what, const char *detail,
                            int64_t *id);

/* SQL: whether a version c was taught by the model of this digest, alone or with others (facts.teachers). */
#define RT_TAUGHT_BY(digest) \
    "(c.teacher = " digest " OR (instr(c.facts, '\"teachers\"') AND json_valid(c.facts) AND EXISTS" \
    " (SELECT 1 FROM json_each(c.facts, '$.teachers') WHERE value = " digest ")))"

/* ---- objects ---- */

/* Bytes of the file at path, durably, as an object; sha256 and *bytes tell which. What is there already is compared,
 * and replaced where it is damaged. */
rt_status rt_object_put_file(rt_registry *, const char *path, char sha256[RT_SHA256], int64_t *bytes);
rt_status rt_object_put(rt_registry *, const void *data, size_t n, char sha256[RT_SHA256]);
/* Within a transaction: its row, after a look whether its file is there. *gone: it was collected meanwhile, and is to
 * be put again. kind: "model", "evaluation", "verdict", "drift", "configuration". */
rt_status rt_object_refer(rt_registry *, const char *sha256, int64_t bytes, const char *kind, int *gone);
/* The bytes, checked, with a zero behind, for the caller to free. */
rt_status rt_object_read(rt_registry *, char **out, size_t *n, const char *sha256);
rt_status rt_object_json(rt_registry *, cJSON **out, const char *sha256);
/* openat, closed on exec, again where a signal interrupts it. */
int rt_registry_openat(int dir, const char *name, int flags);
/* The SHA-256 and size of a file's bytes. RT_INTERRUPTED when asked to stop. */
rt_status rt_sha256_of_file(char sha256[RT_SHA256], int64_t *bytes, const char *path);
void rt_sha256_of(char sha256[RT_SHA256], const void *data, size_t n);

/* Removes what killed imports left, older than age seconds (dry: only counts). */
rt_status rt_registry_sweep(rt_registry *, double age, int dry, int *count);

/* ---- names ---- */

/* RT_USAGE unless it can be a name, a tag, a release (what: for the message). */
rt_status rt_registry_check_name(const char *name, const char *what);
/* RT_USAGE unless it is valid UTF-8 of 4,000 bytes at most. */
rt_status rt_registry_check_text(const char *text, const char *what);
/* The model of a name; 0 where there is none. */
rt_status rt_registry_model(rt_registry *, const char *name, int64_t *id);
/* RT_INPUT: there is no such name, with the nearest one. */
rt_status rt_registry_no_name(rt_registry *, const char *name);
/* *yes: only versions that passed the gate get this tag. */
rt_status rt_registry_protected(rt_registry *, const char *tag, int *yes);
/* A reference that names a version to be changed: by number or tag. */
rt_status rt_registry_find_exact(rt_registry *, const char *reference, int number_alone, rt_version *);
/* "student@12" */
void rt_version_text(char out[RT_VERSION_TEXT], const rt_version *);

/* ---- measurements ---- */

/* What a version has to take in, read and checked, before any transaction. */
typedef struct {
    cJSON *json;
    char *text;
    size_t bytes;
    char sha256[RT_SHA256];
} rt_registry_paper;
/* What a verdict says of a side ("baseline", "candidate", "anchor"), by version 2's keys: "model_digest",
 * "data_digest", "rows_digest", "sha256", ... of version 1, too; "" where there is nothing. */
const char *rt_verdict_side(const cJSON *verdict, const char *side, const char *key);
/* Reads an evaluation, a verdict or a look at drift from a file; a format that ends in "-" is read in versions 1 and 2.
 */
rt_status rt_registry_paper_read(rt_registry_paper *, const char *path, const char *format);
void rt_registry_paper_free(rt_registry_paper *);
/* The element of "models" that is of this model. NULL with RT_INPUT. */
const cJSON *rt_evaluation_of(const cJSON *evaluation, const char *digest, const char *path);
/* Within a transaction; the object is referred to already. An evaluation or verdict that is there already adds nothing.
 */
rt_status rt_registry_put_evaluation(rt_registry *, const rt_version *, const rt_registry_paper *);
rt_status rt_registry_put_gate(rt_registry *, const rt_version *, const rt_registry_paper *, double alpha, int64_t *id);
rt_status rt_registry_put_drift(rt_registry *, const rt_version *, const rt_registry_paper *);
/* Whether a metric is of the clock: of different machines, or runs, it is not the same thing. */
int rt_metric_is_timed(const char *name);
/* 16 digits that tell machines apart by what changes speed: processor, system, kernels, compiler, threads. */
void rt_machine_fingerprint(char out[17], const cJSON *machine);
#endif
