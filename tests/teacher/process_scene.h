/* tests/teacher/process_scene.h - the program of these tests as a teacher of a data set, and what it should answer. */
#ifndef RT_TESTS_TEACHER_PROCESS_SCENE_H
#define RT_TESTS_TEACHER_PROCESS_SCENE_H

#include "engine/convert.h"
#include "teacher/spec.h"
#include "tests/teacher/linear.h"
#include "tests/train/train_support.h"

enum { SCENE_ROWS = 100, SCENE_WIDE = 6, SCENE_CLASSES = 4 };

/* A teacher, bound and ready; lines: what it was told on standard error, line by line. */
typedef struct {
    rt_teacher *t;
    rt_source *source;
    rt_identity *id;
    cJSON *config, *notes;
    rt_progress progress;
    char said[65536];
    int lines;
} scene;

static inline void scene_line(void *arg, const char *text)
{
    scene *s = arg;
    s->lines++;
    size_t n = strlen(s->said);
    if (n + strlen(text) + 2 < sizeof s->said) sprintf(s->said + n, "%s\n", text);
}

/* "command": ... of the program with these arguments, without braces. */
static inline const char *scene_command(const char *how)
{
    static char text[600];
    size_t n = (size_t)snprintf(text, sizeof text, "'command': ['%s', '%d'", RETORT_CHILD_TEACHER, SCENE_CLASSES);
    for (const char *p = how; *p;) {
        size_t word = strcspn(p, " ");
        n += (size_t)snprintf(text + n, sizeof text - n, ", '%.*s'", (int)word, p);
        p += word + (p[word] == ' ');
    }
    snprintf(text + n, sizeof text - n, "]");
    return text;
}

/* {"teacher": {command, version, classes, and what `more` tells}}, opened as a configuration's. */
static inline rt_status scene_open(scene *s, const char *how, const char *more)
{
    char text[2000];
    memset(s, 0, sizeof *s);
    snprintf(text, sizeof text, "{'teacher': {%s, %s}}", scene_command(how), more);
    s->config = parse_config(text);
    s->notes = cJSON_CreateArray();
    s->progress = (rt_progress){.line = scene_line, .arg = s};
    rt_cfg c = rt_cfg_begin(s->config, "");
    rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a teacher");
    RT_TRY(c.status);
    return rt_teacher_open_spec(&s->t, &spec, NULL);
}

static inline rt_status scene_bind(scene *s, const char *data, int marks)
{
    if (!s->source) {
        RT_TRY(rt_source_open(&s->source, in_folder(data), "x"));
        RT_TRY(rt_identity_open(&s->id, s->source, RT_CHECK_KNOWN));
    }
    rt_teacher_binding to = {.source = s->source, .id = s->id, .notes = s->notes, .progress = &s->progress,
                             .marks = marks, .device = test_device};
    RT_TRY(rt_teacher_bind(s->t, &to));
    return rt_teacher_ready(s->t, test_device, 0, NULL, 0);
}

static inline void scene_close(scene *s)
{
    rt_teacher_close(s->t);
    rt_identity_close(s->id);
    rt_source_close(s->source);
    cJSON_Delete(s->config);
    cJSON_Delete(s->notes);
}

/* Rows [first, first + rows) of the source, `step` at a time. */
static inline rt_status scene_ask(scene *s, int first, int rows, int step, float *z, int width)
{
    size_t bytes = rt_source_row_bytes(s->source);
    char *raw = malloc((size_t)rows * bytes + 64);
    uint64_t *row = malloc((size_t)rows * sizeof *row);
    for (int i = 0; i < rows; i++) row[i] = (uint64_t)(first + i);
    rt_status st = rt_source_read(s->source, row, rows, raw);
    for (int at = 0; at < rows && !st; at += step) {
        rt_feed f = {.raw = raw + (size_t)at * bytes, .row = row + at, .rows = rows - at < step ? rows - at : step};
        st = rt_teacher_ask(s->t, &f, z + (size_t)at * (size_t)width);
    }
    free(raw);
    free(row);
    return st;
}

/* The linear model on raw rows of a type. */
static inline void scene_want(float *z, const void *raw, rt_dtype type, int rows, int wide)
{
    double x[4096];
    for (int r = 0; r < rows; r++) {
        rt_to_double(x, (const char *)raw + (size_t)r * (size_t)wide * rt_dtype_size(type), type, (size_t)wide);
        linear_row(z + r * SCENE_CLASSES, SCENE_CLASSES, x, (size_t)wide);
    }
}

static inline void same_bits(const char *what, const float *got, const float *expected, int n)
{
    for (int i = 0; i < n; i++)
        if (memcmp(&got[i], &expected[i], sizeof *got))
            fail_msg("%s: %d is %.9g, not %.9g", what, i, got[i], expected[i]);
}

#define SCENE_PLAIN "'version': '1', 'classes': 4, 'batch': 7"

/* Opened, asked about all rows of f32.h5, closed. */
static inline rt_status answers(const char *how, const char *more, float *to)
{
    scene s;
    check_ok(scene_open(&s, how, more));
    rt_status st = scene_bind(&s, "f32.h5", 0);
    if (!st) st = scene_ask(&s, 0, SCENE_ROWS, SCENE_ROWS, to, SCENE_CLASSES);
    scene_close(&s);
    return st;
}
#endif
