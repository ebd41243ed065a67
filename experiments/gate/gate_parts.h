/* experiments/gate/gate_parts.h - what the files of the gate share: sides, findings, forms. */
#ifndef RT_EXPERIMENTS_GATE_PARTS_H
#define RT_EXPERIMENTS_GATE_PARTS_H

#include "data/source_files.h"
#include "engine/text.h"
#include "experiments/eval/eval_data.h"
#include "experiments/gate/gate.h"
#include "experiments/registry/registry_looks.h"
#include "experiments/gate/verdict.h"
#include "experiments/report/report_parts.h"

/* The anchor takes the baseline's place where a limit is held against it. */
enum { RT_ANCHOR = RT_SIDES, RT_GATE_SIDES };

typedef struct {
    const rt_gate_spec *spec;          /* own, where the anchor is the registry's */
    rt_gate_spec own;
    rt_policy policy;
    /* the registry */
    rt_registry *registry;             /* NULL: nothing is counted */
    char anchor[RT_FOLDER_PATH];       /* the file that it has pinned */
    const char *anchor_file;
    char anchor_name[RT_VERSION_TEXT];     /* "student@12" */
    char release[RT_REGISTRY_NAME];
    rt_look look;
    double alpha;                      /* what this look spends; NAN: nothing is spent */
    rt_finding *found;
    int count, room;
    rt_comparison *comparison;         /* that limits are asked of now */
    cJSON *rows_told;                  /* classes and rows that flipped, of candidate and baseline */
    char sha256[RT_GATE_SIDES][72];    /* "sha256:..." of a side's first file */
    cJSON *notes, *refused, *sides[RT_GATE_SIDES], *speed, *stored;
    double rows;
    double confidence;                 /* of the intervals of answers: the policy's, or what is left to this look */
    /* what a model costs: both sides opened once more */
    rt_teacher *teacher[RT_GATE_SIDES];
    cJSON *model[RT_GATE_SIDES];           /* their files */
    cJSON *data_json;
    rt_eval_data data;
    rt_speed timing;
} rt_gate_work;

/* "sha256:..." of a file, as sha256sum gives it. */
rt_status rt_gate_sha256(char out[72], const char *path);
/* A finding more, of a limit; named as the limit with `what` in the place of "*" (NULL: as it is). NULL when out of
 * memory. */
rt_finding *rt_gate_find(rt_gate_work *, const rt_limit *, const char *what, const char *kernels);
/* Opens the registry, and takes the anchor from it where the policy wants one and none was given: the one of the
 * baseline's name, else of the candidate's. After the digests of files are known. */
rt_status rt_gate_registry(rt_gate_work *);
/* Counts the decision on these rows, before anything is compared, and with it what is left of alpha. RT_NOTHING when
 * the releases are over. */
rt_status rt_gate_count(rt_gate_work *);
/* "test_set" of the verdict; and the verdict as a run of the registry. */
cJSON *rt_gate_test_set(const rt_gate_work *);
rt_status rt_gate_keep(rt_gate_work *, const cJSON *verdict);
/* "look 3 of 12 on this test set, ..." as a sentence without an end; nothing where nothing was counted. */
void rt_gate_put_wear(rt_string *, const cJSON *verdict);
/* The files of a side. */
const char *const *rt_gate_files(const rt_gate_spec *, int side, int *count);
extern const char *const rt_gate_side[RT_GATE_SIDES];      /* "baseline", "candidate", "anchor" */
/* Answers of all sides by this family of kernels ("": whichever is selected): opens the comparison with the baseline,
 * asks it for every limit on answers, describes the sides, closes it; the same with the anchor. */
rt_status rt_gate_answers(rt_gate_work *, const char *kernels);
/* Size and speed, as far as limits ask for them. */
rt_status rt_gate_costs(rt_gate_work *);
/* Speeds of the sides' models that the registry has: told, and nothing is held against them. */
rt_status rt_gate_stored(rt_gate_work *);
/* Closes what rt_gate_costs opened. */
void rt_gate_costs_end(rt_gate_work *);

/* "limit 0.005", value and interval of a limit of a verdict, as every form shows them. */
void rt_gate_put_bound(rt_string *, const cJSON *limit);
void rt_gate_put_value(rt_string *, const cJSON *limit);
void rt_gate_put_interval(rt_string *, const cJSON *limit);
/* What is to be said of a limit in a sentence: value, interval, limit, n, b and c, or why there is none. */
void rt_gate_put_detail(rt_string *, const cJSON *limit);
/* What did not pass comes first, and what matters most of that; of these outcomes with "waived". */
enum { RT_GATE_ORDERS = 6 };
extern const char *const rt_gate_order[RT_GATE_ORDERS];
const cJSON *rt_gate_limits(const cJSON *verdict);         /* the first; NULL */
const char *rt_gate_outcome(const cJSON *limit);
char *rt_gate_title(const cJSON *limit);                   /* "accuracy [avx2]" as plain text; the caller frees */
/* Columns of the table of limits, in Markdown and on the page. */
enum { RT_GATE_COLUMNS = 7 };
extern const rt_table_column rt_gate_columns[RT_GATE_COLUMNS];
/* The limit's title, as plain text. */
void rt_gate_put_title(rt_string *, const cJSON *limit);
/* What the rows can show of each limit, as a table; nothing where nothing is known. before, behind: what stands around
 * it then. */
void rt_gate_put_power(rt_string *, rt_form, const cJSON *verdict, const char *before, const char *behind);
/* "3 regressions, 1 undecided, 12 pass" */
void rt_gate_put_counts(rt_string *, const cJSON *verdict);
/* "v2 (...) against v1 (...) and the anchor v0 (...)", names by `put` */
void rt_gate_put_sides(rt_string *, const cJSON *verdict, void (*put)(rt_string *, const char *));
/* 95 %; of what doubles cannot show as a share, one less what is missing. */
void rt_gate_put_confidence(rt_string *, const cJSON *verdict);
void rt_gate_put_upper(rt_string *, const char *word);

/* As JUnit XML; as a page. */
void rt_gate_junit(rt_string *, const cJSON *verdict);
void rt_gate_page(rt_string *, const cJSON *verdict);
#endif
