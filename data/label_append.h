/* data/label_append.h - labels that people gave, into a label store. */
#ifndef RT_DATA_LABEL_APPEND_H
#define RT_DATA_LABEL_APPEND_H

#include "data/json.h"
#include "engine/progress.h"

typedef struct {
    const char *store;
    const char *hand;                  /* a CSV file with columns "row" and "label" */
    const char *data, *x, *id; /* where the CSV has a column "id" and no "row": the labelled data, its set ("x"),
and the set of ids; id NULL: ids are hashes of the rows, as 'retort select' writes them. NULL: rows are
numbers */
    const char *head;                  /* whose classes the labels are; NULL: the only one of classes */
    int replace;                       /* a row that has another label by hand already gets the new one */
    const rt_progress *progress;       /* may be NULL */
} rt_label_append_job;

/* Line 1 of the CSV names its columns; "row" is the number of a row of the source (with data: "id" what it is called),
 * "label" one of the store's classes, by name (by number where they have no names), empty: none. Other columns are not
 * looked at. The store is written anew beside the old one and takes its place when it is on disk: the rows get the
 * status RT_LABEL_BY_HAND, and count as what they were given; what the teacher said of them stays in the other columns.
 * Of several heads a row that the teacher gave no answer to has none for the others: its label is kept, and its status
 * stays ("without_answer"). A store that is not complete keeps what was labelled, and labelling goes on from there;
 * labels of rows that are not labelled yet wait for them. {"labels", "hand", "rows_given" (lines with a label), "new",
 * "same", "replaced", "without_label", "by_hand" (labels of the whole store), "without_answer", "complete",
 * "columns_not_read"}. RT_INPUT, and nothing is changed, for rows that the store does not have, ids that no row or
 * several have, classes that it does not know, a row with two labels, and a store that is damaged; RT_USAGE for a head
 * that is none of classes, or is one of several and not named; RT_RUN when another process has it. */
rt_status rt_label_append(const rt_label_append_job *, cJSON **result);
#endif
