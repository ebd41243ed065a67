/* tests/experiments/gate_plants.h - pairs of models of which the data hold the answers: every flip is where it is put.
 */
#ifndef RT_TESTS_GATE_PLANTS_H
#define RT_TESTS_GATE_PLANTS_H

#include "data/h5.h"
#include "student/model.h"
#include "tests/support.h"

enum { K = 10, ROWS = 8000, WIDTH = 2 * K + 1, HIDDEN = 512 };

static char room[16][160];

/* NAME in the scratch folder; a text that lives until sixteen others were asked for. */
static inline const char *at(const char *name)
{
    static int turn;
    char *p = room[turn++ % 16];
    snprintf(p, sizeof room[0], "%s/%s", test_folder, name);
    return p;
}

/* ---- data: logits of both sides, and a number that tells rows apart ---- */

typedef enum { SAME, DROP, FLIPS, ONE_CLASS } plant;

/* Whether a side has row i (of its class, number i / K) right. */
static inline int right(plant p, int side, int i)
{
    int of_class = i / K, good = of_class % 10 != 0;
    if (!side) return good;
    switch (p) {
    case DROP: return good && of_class % 50 != 1;                                        /* 2 % */
    case FLIPS: return of_class % 25 == 1 ? 0 : of_class % 50 == 0 || of_class % 50 == 10 ? 1 : good;    /* 4 %, 4 % */
    case ONE_CLASS: return good && !(i % K == 6 && of_class % 10 == 1);
    default: return good;
    }
}

static inline void write_data(const char *name, plant p, int first, int change)
{
    static float x[ROWS][WIDTH];
    static int32_t y[ROWS], country[ROWS];
    memset(x, 0, sizeof x);
    for (int r = 0; r < ROWS; r++) {
        int i = (r + first) % ROWS;
        y[r] = i % K;
        country[r] = i / K / 50 % 4;
        for (int side = 0; side < 2; side++) {
            int answer = right(p, side, i) ? y[r] : (y[r] + 1) % K;
            x[r][side * K + y[r]] = 2;
            x[r][side * K + answer] = 4;
        }
        x[r][2 * K] = (float)i;
    }
    if (change) x[17][2 * K] = 0.5f;
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {ROWS, WIDTH}, .data = x},
                       {.name = "y", .type = RT_I32, .rank = 1, .dim = {ROWS}, .data = y},
                       {.name = "country", .type = RT_I32, .rank = 1, .dim = {ROWS}, .data = country}};
    check_ok(rt_h5_save(at(name), "retort-data-1", it, 3));
}

/* A model that answers with the logits of a side, through so many layers that change nothing. bad: one weight is no
 * number. */
static inline void write_model(const char *name, int side, int layers, int bad, const char *seen)
{
    char arch[1024] = "";
    cJSON *j;
    rt_model *m;
    for (int i = 0; i < layers; i++)
        snprintf(arch + strlen(arch), sizeof arch - strlen(arch), "{\"op\":\"dense\",\"out\":%d},", HIDDEN);
    char text[1400];
    snprintf(text, sizeof text, "{\"input\":[%d],\"classes\":%d,\"layers\":[%s{\"op\":\"dense\",\"out\":%d}]}", WIDTH,
             K, arch, K);
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    check_ok(rt_model_new(&m, j, 1));
    memset(m->params, 0, rt_graph_param_count(m->graph) * sizeof *m->params);
    int in = WIDTH;
    for (int i = 0; i <= layers; i++) {
        int out = i < layers ? HIDDEN : K;
        float *w = m->params + m->graph->field[2 * i].offset;
        for (int c = 0; c < (out < in ? out : in); c++) w[(i < layers ? c : c + side * K) * out + c] = 1;
        in = out;
    }
    if (bad) m->params[m->graph->field[0].offset] = NAN;
    cJSON_AddItemToObject(m->provenance, "seen", seen ? cJSON_Parse(seen) : cJSON_CreateArray());
    check_ok(rt_model_save(m, at(name)));
    rt_model_free(m);
    cJSON_Delete(j);
}

static inline void write_text(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    for (; *text; text++) fputc(*text == '\'' ? '"' : *text, f);
    fclose(f);
}

static const char limits[] = "{'metric': 'accuracy', 'max_drop': 0.014},"
                             "{'metric': 'recall', 'class': '*', 'max_drop': 0.06, 'min_rows': 200},"
                             "{'metric': 'accuracy', 'slice': 'country=*', 'max_drop': 0.04, 'min_rows': 200},"
                             "{'metric': 'nfr', 'max': 0.025}, {'metric': 'file_bytes', 'max_ratio': 1.1}";

/* A policy of these limits and further members. */
static inline void write_policy(const char *name, const char *list, const char *more)
{
    char text[4096];
    snprintf(text, sizeof text, "{'format': 'retort-policy-1', 'limits': [%s]%s}", list, more);
    write_text(name, text);
}

static inline int make_files(void **state)
{
    if (make_test_folder(state)) return -1;
    static const char *const data[] = {"same.h5", "drop.h5", "flips.h5", "class.h5"};
    for (int p = SAME; p <= ONE_CLASS; p++) write_data(data[p], (plant)p, 0, 0);
    write_model("a.h5", 0, 0, 0, NULL);
    write_model("b.h5", 1, 0, 0, NULL);
    write_policy("policy.json", limits, "");
    return 0;
}
#endif
