/* data/identity.h - what a data set is: its content, not its path.
 *
 * The rows are cut into spans of about RT_SPAN_BYTES; the leaf of a span is the XXH3-128 (canonical bytes) of its rows
 * as rt_source_read_stored gives them, whatever the file's layout, filters and byte order. The root is the XXH3-128 of
 * a line of text, "retort-identity-1 TYPE DIM0 DIM1 ...\n", and all leaves. A copy of the data in another file has the
 * same root, and so have the same rows cut into several files behind each other, in the same order. Of data sets side
 * by side (rt_source_join) the root is the XXH3-128 of each one's name, a zero byte and root, as hex with its zero
 * byte.
 *
 * Leaves that were hashed before are known: they are kept in FILE.retort-id beside the data, or in the user's cache
 * folder ($XDG_CACHE_HOME/retort or ~/.cache/retort) where that folder cannot be written, and count as long as size,
 * times, inode and device of the file are what they were. A file that changed in the two seconds before a span was
 * hashed may change again without its times telling, so that leaf is not kept. A kept file that is damaged, foreign or
 * out of date is passed over and made anew; that it cannot be written is no error, as it only saves time. Leaves of
 * parts side by side in several files are not kept; of files behind each other each keeps those of the spans that begin
 * in it, which stay known when others are added behind. */
#ifndef RT_DATA_IDENTITY_H
#define RT_DATA_IDENTITY_H

#include "data/json.h"
#include "data/source.h"
#include "engine/pool.h"
#include "engine/progress.h"

enum { RT_SPAN_BYTES = 16 << 20, RT_LEAF_BYTES = 16 };

/* data.check: "known" (the default) believes what is kept, "full" hashes everything and compares it with what is
 * kept. */
typedef enum { RT_CHECK_KNOWN, RT_CHECK_FULL } rt_check;
rt_check rt_check_read(rt_cfg *data);

typedef struct { unsigned char byte[RT_LEAF_BYTES]; } rt_leaf;           /* all zero: not known */
typedef struct rt_identity rt_identity;

/* Looks up what is known of the source, which is borrowed, and reads none of its rows. Threads: one at a time. */
rt_status rt_identity_open(rt_identity **out, rt_source *, rt_check);
/* Keeps what was hashed, then frees. The message of an error at hand stays. */
void rt_identity_close(rt_identity *);
/* From now on nothing is kept for others, of a job that only looks. */
void rt_identity_write_nothing(rt_identity *);
/* Keeps what was hashed so far, when it is much: long work calls this now and then. */
void rt_identity_keep(rt_identity *);

const rt_h5_dataset *rt_identity_set(const rt_identity *);
uint64_t rt_identity_span_rows(const rt_identity *);
uint64_t rt_identity_spans(const rt_identity *);
int rt_identity_known(const rt_identity *, uint64_t span);
/* Hashes those spans of rows [first, end) that are not known, side by side in the pool when there is one. Both pool and
 * progress may be NULL. RT_INTERRUPTED when asked to stop; RT_INPUT for rows that cannot be read, and with
 * RT_CHECK_FULL for rows that are not what they were though size and times of the file are. */
rt_status rt_identity_know(rt_identity *, uint64_t first, uint64_t end, rt_pool *, const rt_progress *);
/* The leaf of a span that is known. */
rt_leaf rt_identity_leaf(const rt_identity *, uint64_t span);
/* The leaf that the span had when only its first `rows` rows were there: they are hashed where that is not all of it.
 */
rt_status rt_identity_prefix(const rt_identity *, uint64_t span, uint64_t rows, rt_leaf *);
/* Whether the rows that rt_identity_know was asked for are still what they were: as long as size and times of the file
 * are the same, else by hashing them again. RT_INPUT names the file and the first rows that changed. */
rt_status rt_identity_unchanged(rt_identity *);
/* Hashes what is not known and gives the root. */
rt_status rt_identity_root(rt_digest *, rt_identity *, rt_pool *, const rt_progress *);
/* The root of each part of the source (rt_source_parts), in their order. */
rt_status rt_identity_roots(rt_digest[RT_SOURCE_PARTS], rt_identity *, rt_pool *, const rt_progress *);

/* Open, root, unchanged, close in one. */
rt_status rt_identity_of(rt_digest *, rt_source *, rt_check, rt_pool *, const rt_progress *);
#endif
