/* experiments/registry/registry.h - model versions, tracked as code revisions are: a folder with a database and the
 * files.
 *
 *   DIR/registry.db            SQLite, rollback journal, synchronous=EXTRA; the schema stands in registry.c
 *   DIR/objects/ab/cdef...     files by the SHA-256 of their bytes: models, and what was measured of them
 *
 * A name (letters, digits and . _ -, 100 at most) has versions 1, 2, ...: the database gives the number within the
 * transaction that adds the row, and never gives one twice, also not after a removal. Versions are ordered by number
 * and events by the database's own count; times are what the clock said, and order nothing.
 *
 * An add writes its objects first (synced, then named, then their folder synced) and the row last, so that a row's
 * objects are on disk whenever it was killed; what no row names is collected by rt_registry_collect. Whoever changes a
 * registry holds the database's lock within one transaction, and waits for it up to two minutes. On a folder that
 * cannot be written nothing is written, nor a lock or journal made: its database is opened for reading alone, as
 * immutable where its file system has no locks.
 *
 * A reference is NAME@NUMBER, NAME@TAG, NAME@latest (the highest number) or sha256:DIGEST (or its first 8 digits or
 * more, of one object alone). NAME@latest and sha256:... name nothing that is to be changed.
 *
 * Messages name the registry, the version and the remedy. RT_USAGE: a name, tag or reference that cannot be, or what
 * the rules refuse; RT_INPUT: no registry, a newer schema, something damaged or missing, no such version or tag;
 * RT_RUN: disk full, locked, not writable. A registry belongs to one thread at a time. */
#ifndef RT_EXPERIMENTS_REGISTRY_H
#define RT_EXPERIMENTS_REGISTRY_H

#include "data/json.h"
#include "data/output.h"
#include "data/run_folder.h"
#include "engine/progress.h"

enum { RT_REGISTRY_SCHEMA = 1, RT_REGISTRY_NAME = 101, RT_SHA256 = 65, RT_VERSION_TEXT = 128 };

typedef struct rt_registry rt_registry;

/* Makes the folder and an empty registry in it. protect: tags, with commas between, that only versions which passed the
 * gate get (NULL: "prod"; "": none). Of a registry that is there only that setting is changed, and RT_USAGE when
 * protect is NULL. *result: {"registry", "protected"}. */
rt_status rt_registry_init(const char *folder, const char *protect, cJSON **result);
/* write: whether it will be changed; RT_RUN where the folder cannot be written. */
rt_status rt_registry_open(rt_registry **, const char *folder, int write);
/* Rolls back what was not committed. NULL is fine; the message of an error at hand stays. */
void rt_registry_close(rt_registry *);
const char *rt_registry_folder(const rt_registry *);

/* ---- versions ---- */

/* id: its row; number 0: an object without a version of its own. */
typedef struct {
    int64_t id, model, number;
    char name[RT_REGISTRY_NAME];
    char sha256[RT_SHA256];            /* of its file */
    char digest[33];                   /* of the model (rt_model_digest), which evaluations and provenance name */
} rt_version;

/* What a reference means now. RT_INPUT names what there is. */
rt_status rt_registry_find(rt_registry *, const char *reference, rt_version *);
/* The file of an object. It may be missing: rt_registry_check_object. */
void rt_registry_object(const rt_registry *, char path[RT_FOLDER_PATH], const char *sha256);
/* RT_INPUT when the object is missing, has another size, or, with full, other bytes. */
rt_status rt_registry_check_object(rt_registry *, const char *sha256, int full);

typedef struct {
    const char *name;                  /* NAME: a new version; NAME@NUMBER or NAME@TAG: more of one that is there */
    const char *model;                 /* the file, copied; NULL for one that is there */
    const char *const *evaluation, *const *gate, *const *drift; /* evaluation.json, verdict.json, drift.json */
    int evaluations, gates, drifts;
    const char *origin;                /* of an import: where it comes from; NULL */
    const char *note, *parent;         /* NULL: none; the parent, when not told, is the version that the model began
                                        * from, where the registry has it */
} rt_registry_adding;
/* Reads and checks everything, writes the objects, then the rows. A model that one of its versions already has is a
 * version more, with a note that names it. *result: {"version", "sha256", "digest", "parent", "notes"}. RT_INPUT when a
 * file is damaged, or an evaluation, a verdict or a look at drift is of another model. */
rt_status rt_registry_add(rt_registry *, const rt_registry_adding *, cJSON **result);

/* A gate's verdict (format retort-verdict-1) as a run of this registry, whether its candidate is a version or not; it
 * becomes an object. alpha: what it spends of the error rate (NAN: nothing is counted). *id: of its row. */
rt_status rt_registry_add_gate(rt_registry *, const cJSON *verdict, double alpha, int64_t *id);

/* The tag of a version; number 0: none. from: the number that the tag must have now (0: none, -1: whatever it has),
 * else RT_NOTHING: of several who move it from the same one, one wins. version NULL: the tag is taken away. A protected
 * tag moves when the latest gate run of that version against the one that has the tag passed, or with a reason; the
 * first one needs neither. *result: {"tag", "version", "sha256", "from", "gate_run", "reason"}. */
typedef struct {
    const char *version, *tag;         /* NAME@NUMBER or NAME@TAG; to take the tag away NAME */
    int64_t from;
    int remove;
    const char *reason;                /* NULL: none */
} rt_registry_tagging;
rt_status rt_registry_tag(rt_registry *, const rt_registry_tagging *, cJSON **result);
/* Pins a version as the anchor of a release, which cannot be pinned again; the latest pin of a name is its anchor. */
rt_status rt_registry_anchor(rt_registry *, const char *version, const char *release, cJSON **result);
/* The anchor of a name. RT_INPUT when there is none. */
rt_status rt_registry_anchor_of(rt_registry *, const char *name, rt_version *, char release[RT_REGISTRY_NAME]);
/* Removes a version, NAME@NUMBER; its file stays until rt_registry_collect. RT_USAGE names the tags, anchors and
 * versions that hold it. */
rt_status rt_registry_remove(rt_registry *, const char *version, const char *reason, cJSON **result);

/* ---- looking ---- */

typedef struct {
    const char *name, *tag;            /* of this name; that have this tag. NULL: all */
    const char *teacher, *data, *labels, *configuration;   /* digests, or their beginnings */
    int last;                          /* of each name so many of the highest numbers; 0: all */
} rt_registry_filter;
/* {"registry", "versions": [{"version", "name", "number", "time", "user", "bytes", "sha256", "digest", "tags",
 * "anchors", "parent", "accuracy", "note"}]}, by name and number. RT_USAGE where a filter is of what no version of the
 * registry has, with what they have. */
rt_status rt_registry_list(rt_registry *, const rt_registry_filter *, cJSON **result);
/* All of one version: lineage with the versions that the digests are of, evaluations with their metrics, gate runs,
 * looks at drift, tags, anchors, children. */
rt_status rt_registry_show(rt_registry *, const char *reference, cJSON **result);
/* What happened to a name, or (NULL) to all, in order: {"events": [{"event", "time", "user", "what", "version", ...}]},
 * and "clock_set_back" where a time is before the one of an earlier event. */
rt_status rt_registry_log(rt_registry *, const char *name, cJSON **result);
/* {"a", "b", "metadata": [{"key", "a", "b"}], "configuration": [...], "metrics": [{"key", "a", "b", "difference"}],
 * "lineage": [...], "sizes": [...]}: what differs, and of metrics all that both have. */
rt_status rt_registry_diff(rt_registry *, const char *a, const char *b, cJSON **result);

/* ---- keeping ---- */

/* Removes objects that no row names and that are older than age seconds, and what killed writers left; dry: only tells.
 * *result: {"objects": [{"sha256", "bytes"}], "bytes", "removed"}. */
rt_status rt_registry_collect(rt_registry *, double age, int dry, cJSON **result);
/* The database's own check, every reference and every object's bytes. *result: {"objects", "bytes", "versions",
 * "damaged": [{"what", "sha256", "of"}], "unreferenced"}. RT_INPUT when something is damaged, with the result. */
rt_status rt_registry_verify(rt_registry *, const rt_progress *, cJSON **result);

/* One version with its evaluations and gate runs as an archive, .tar.zst or .tar.gz by its name, whose bytes depend on
 * the version alone; and an archive as a new version. experiments/registry/registry_archive.c tells the format. */
rt_status rt_registry_export(rt_registry *, const char *reference, const rt_target *, cJSON **result);
/* name NULL: that of the archive. Nothing is added unless all of it holds. */
rt_status rt_registry_import(rt_registry *, const char *path, const char *name, cJSON **result);

/* ---- references in the place of model files ---- */

/* Whether text has the form of a reference: it may still be the name of a file. */
int rt_registry_is_reference(const char *text);
/* For rt_file_names_by: path is the file of the version that text refers to, whose bytes are checked; called is
 * NAME@NUMBER. path "": text is no reference, or there is a file of this name, which goes first. told: what the user
 * should read, or "". RT_INPUT where it is a reference and folder is NULL. */
enum { RT_TOLD = 400 };
rt_status rt_registry_resolve(const char *folder, const char *text, char path[RT_FOLDER_PATH],
                              char called[RT_VERSION_TEXT], char told[RT_TOLD]);
#endif
