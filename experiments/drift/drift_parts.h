/* experiments/drift/drift_parts.h - what the files of 'retort drift' share. */
#ifndef RT_EXPERIMENTS_DRIFT_PARTS_H
#define RT_EXPERIMENTS_DRIFT_PARTS_H

#include "engine/text.h"
#include "experiments/drift/drift.h"
#include "experiments/eval/eval_data.h"
#include "experiments/eval/predictions.h"
#include "teacher/spec.h"

enum {
    RT_DRIFT_REFERENCE,
    RT_DRIFT_DATA,
    RT_DRIFT_SIDES
};
enum {
    RT_DRIFT_BINS = 10,                /* of numbers: tenths of the reference's rows */
    RT_DRIFT_GROUPS = 20,              /* of categories: the most frequent ones; then the rest, then unseen ones */
    RT_DRIFT_GUESS = 32,               /* whole numbers with as few values are categories */
    RT_DRIFT_WORDS = 16384,            /* categories of a column that are told apart */
    RT_DRIFT_COLUMNS = 65536,
    RT_DRIFT_FIELDS = 96,
    RT_DRIFT_BLOCK = 1024,             /* rows at once */
    RT_DRIFT_UNLIKE = 10               /* rows that are named */
};

/* ---- what is asked (drift_config.c) ---- */

typedef enum {
    RT_DRIFT_MAX_PSI,
    RT_DRIFT_MAX_KS,
    RT_DRIFT_MAX_MISSING,
    RT_DRIFT_MAX_OUTSIDE,
    RT_DRIFT_MAX_UNSEEN,
    RT_DRIFT_MAX_AUC,
    RT_DRIFT_MAX_UNLIKE,
    RT_DRIFT_MAX_ACCURACY_DROP,
    RT_DRIFT_LIMITS
} rt_drift_limit;
/* Keys, defaults and largest values; those before RT_DRIFT_MAX_AUC may be told of single columns. */
typedef struct { const char *key; double fallback, most; const char *help; } rt_drift_limit_key;
extern const rt_drift_limit_key rt_drift_limit_keys[RT_DRIFT_LIMITS];

typedef struct {
    double alpha, of[RT_DRIFT_LIMITS];
    const cJSON *columns;              /* NAME: {limits of it} */
    const char *ignore[RT_PREDICTIONS_COLUMNS];
    int ignored;
} rt_drift_limits;

enum { RT_DRIFT_AUTO, RT_DRIFT_TABLE, RT_DRIFT_IMAGES, RT_DRIFT_IDS };

typedef struct {
    cJSON *json;                       /* of the configuration */
    rt_eval_data data;
    const char *slice[RT_PREDICTIONS_COLUMNS];
    int slices;
    rt_predictions *predictions;       /* NULL: a data set */
    int opened;
    uint64_t rows;
    rt_rows sample;                    /* of the rows: what is asked of the model, and looked at as a whole */
    uint64_t *at;                      /* (sampled) row numbers of the sample */
    int sampled;
} rt_drift_side;

/* ---- columns (drift_columns.c) ---- */

typedef struct rt_drift_words rt_drift_words;
rt_drift_words *rt_drift_words_new(void);              /* NULL when memory is out */
void rt_drift_words_free(rt_drift_words *);
/* The number of this text, which is added when it is new; RT_DRIFT_WORDS for a new one beyond as many, -1: no memory.
 */
int rt_drift_word(rt_drift_words *, const char *text, size_t n);
const char *rt_drift_word_at(const rt_drift_words *, int i);

typedef struct { uint64_t rows, missing, infinite; double mean, m2, least, most; } rt_drift_moments;

typedef struct {
    char *name;
    const char *group;                 /* "column", "image", "text", "label", "answer", "confidence", "entropy" */
    int category, guessed;
    const rt_drift_words *words;       /* of categories; NULL: numbers are their names */
    /* of numbers: cell c is (edge[c - 1], edge[c]], the last one lies beyond */
    double *edge;
    int edges, exact;                  /* exact: every value of both sides is an edge */
    uint64_t *count[RT_DRIFT_SIDES];   /* (edges + 1) */
    /* of categories, by rising code */
    double *code;
    uint64_t *of[RT_DRIFT_SIDES];      /* (codes) */
    int codes, room;
    uint64_t other[RT_DRIFT_SIDES];    /* of categories that are not told apart */
    rt_drift_moments side[RT_DRIFT_SIDES];
    int failed;                        /* memory ran out */
} rt_drift_column;

/* Of pooled values of both sides, which it sorts: what the column is, and its cells. exact: they are all there are. */
rt_status rt_drift_column_cells(rt_drift_column *, double *value, uint64_t n, int exact);
/* Counts n values; NAN is missing. */
void rt_drift_column_add(rt_drift_column *, int side, const double *value, int n);
void rt_drift_column_free(rt_drift_column *);
/* The category of this code, for messages. */
void rt_drift_put_category(rt_string *, const rt_drift_column *, double code);

/* Counts of both sides in the bins of which the index is computed, for the caller to free. Of numbers edge[i] is the
 * upper end of bin i; of categories it is the code, NAN: the rest, INFINITY: unseen ones. RT_RUN. */
typedef struct {
    int bins;
    double edge[RT_DRIFT_GROUPS + 3];
    uint64_t count[RT_DRIFT_SIDES][RT_DRIFT_GROUPS + 3];
} rt_drift_bins;
rt_status rt_drift_column_bins(const rt_drift_column *, rt_drift_bins *);

/* ---- rows (drift_read.c, drift_cells.c) ---- */

typedef enum { RT_DRIFT_ELEMENTS, RT_DRIFT_PICTURE, RT_DRIFT_TOKENS, RT_DRIFT_TEXT, RT_DRIFT_WORD, RT_DRIFT_LABEL }
    rt_drift_make;

/* Columns that are made of one data set of each side. */
typedef struct {
    rt_drift_make make;
    int first, width;                  /* columns */
    char name[RT_H5_NAME];
    rt_drift_words *words;             /* owned */
    struct {
        rt_source *set;
        int owned;
        int *pick;                     /* (width) which element of a row; NULL: as they stand */
        int *word;                     /* of labels: number of class i's name; NULL: the file names none */
        int classes, at;               /* at: the element of a row that a label is; -1: all of them */
        rt_shape shape;
    } side[RT_DRIFT_SIDES];
} rt_drift_field;

typedef struct rt_drift_work {
    rt_drift_side side[RT_DRIFT_SIDES];
    rt_teacher_spec model;             /* paths 0: none */
    rt_drift_limits limits;
    cJSON *limits_json, *limits_file;  /* file: what was read, owned */
    const char *limits_path;           /* NULL: told in the configuration */
    int sample, kind, allow_same;
    uint64_t seed;
    rt_precision precision;
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;
    rt_drift_column *column;
    int columns, streamed;             /* streamed: those before are read, the others held */
    rt_drift_field field[RT_DRIFT_FIELDS];
    int fields;
    /* of the model, or of predictions: (held, rows) of columns from `streamed` on */
    double *held[RT_DRIFT_SIDES];
    uint64_t held_rows[RT_DRIFT_SIDES];
    int helds;
    rt_drift_words *word[RT_DRIFT_FIELDS];             /* of held columns, owned */
    int words;
    rt_head head[RT_MAX_HEADS];
    int heads;
    rt_digest model_digest;
    char kernels[RT_FAMILY_TEXT + 40];
    double *confidence[RT_DRIFT_SIDES][RT_MAX_HEADS];  /* (held_rows) of heads of classes; NULL */
    signed char *right[RT_DRIFT_SIDES][RT_MAX_HEADS];  /* 1, 0, -1: no label; NULL: the side has none */
    float *feature[RT_DRIFT_SIDES];                    /* (sampled, dim) */
    int dim;
    char feature_of[160];              /* what they are */
    /* found */
    struct rt_drift_finding *check;
    int checks, check_room;
    cJSON *accuracy, *unlike;
} rt_drift_work;

/* Adds a column; its number, -1 when memory is out. */
int rt_drift_add_column(rt_drift_work *, const char *group, int category, const rt_drift_words *, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
rt_status rt_drift_read_settings(cJSON *config, rt_drift_work *);
/* Limits that stand in a file of their own. */
rt_status rt_drift_read_limits(rt_drift_work *);
/* Opens both sides, pairs their columns. */
rt_status rt_drift_open(rt_drift_work *);
/* Reads all rows of both sides, and counts. */
rt_status rt_drift_count(rt_drift_work *);
/* cells (width, n) of a field's columns for n rows of a side. */
rt_status rt_drift_cells(rt_drift_work *, const rt_drift_field *, int side, const uint64_t *row, int n, double *cells);
void rt_drift_close(rt_drift_work *);

/* ---- the model (drift_model.c, drift_stored.c) ---- */

/* Asks it about the samples of both sides: columns that are held, and features. */
rt_status rt_drift_ask(rt_drift_work *);
/* The same of files of predictions. */
rt_status rt_drift_take_predictions(rt_drift_work *);
/* Columns of the answers of these heads, and room for them: rows of each side. */
rt_status rt_drift_hold_heads(rt_drift_work *, const uint64_t rows[RT_DRIFT_SIDES]);
/* Row i's answers z (W, as heads[h].at has it) into the held columns. */
void rt_drift_hold_row(rt_drift_work *, int side, uint64_t i, const float *z);

/* ---- what follows (drift_joint.c, drift_judge.c) ---- */

typedef enum { RT_DRIFT_NONE, RT_DRIFT_DRIFTS, RT_DRIFT_OPEN } rt_drift_verdict;
extern const char *const rt_drift_verdict_name[3];
enum { RT_DRIFT_EFFECTS = 2 };
/* What an effect is, by which the least that is significant is found. */
typedef enum {
    RT_DRIFT_BY_PSI,
    RT_DRIFT_BY_KS,
    RT_DRIFT_BY_ABOVE,                 /* share of the data above the r-th smallest of the reference */
    RT_DRIFT_BY_SHARES,                /* difference of two shares, of the reference `base` */
    RT_DRIFT_BY_AUC
} rt_drift_measure;
typedef struct {
    const char *name;
    rt_drift_measure by;
    double value, limit, detects;      /* detects: the least that is significant with these rows, about */
} rt_drift_effect;

typedef struct rt_drift_finding {
    const char *kind;                  /* "distribution", "missing", "outside", "unseen", "features", "unlike", ... */
    int column;                        /* -1: of all */
    const char *test;
    double statistic, p, p_holm;
    uint64_t rows[RT_DRIFT_SIDES], r;  /* that were tested */
    double base;
    int bins, exact;
    rt_drift_effect effect[RT_DRIFT_EFFECTS];
    int effects;
    rt_drift_verdict verdict;
    char reason[200];
} rt_drift_finding;

/* The next check, or NULL when memory is out. */
rt_drift_finding *rt_drift_new_finding(rt_drift_work *, const char *kind, int column);
/* Features of both sides as wholes: the domain classifier, and rows unlike any. */
rt_status rt_drift_joint(rt_drift_work *);
/* Checks of all columns, and of what the model is expected to get right. */
rt_status rt_drift_judge(rt_drift_work *);
/* After all checks: Holm, verdicts; RT_OK, RT_GATE or RT_UNDECIDED without a message. */
rt_status rt_drift_decide(rt_drift_work *, rt_status *decided);

/* ---- forms (drift_forms.c, drift_page.c) ---- */

void rt_drift_csv(rt_string *, const cJSON *result);
/* The checks of a result: drift first, then undecided ones, of these the farthest beyond its limit; the caller frees.
 * NULL when memory is out. */
const cJSON **rt_drift_sorted(const cJSON *checks, int *count);
/* How far a check's farthest effect has gone: 1 is at its limit. */
double rt_drift_reach(const cJSON *check);
void rt_drift_page(rt_string *, const cJSON *result);
#endif
