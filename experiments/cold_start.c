#include "experiments/cold_start.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/memory.h"
#include "experiments/eval/eval_data.h"
#include "experiments/machine.h"
#include "experiments/statistics/statistics.h"
#include "teacher/spec.h"

extern char **environ;
enum { ANSWER = 1 << 16, LOOK_MS = 100 };
static const double patience = 300;        /* seconds */
static const char *program;

void rt_cold_start_by(const char *path) { program = path; }

/* ---- the new process ---- */

static rt_status answer_row(rt_teacher *t, rt_eval_data *e, cJSON *data, rt_device *device, double *on_data)
{
    const char *input[RT_SOURCE_PARTS];
    uint64_t row = 0;
    int count, inputs = rt_teacher_inputs(t, input, 0);
    RT_TRY(rt_x_where_settle(&e->where, data, input, inputs));
    double start = rt_seconds();
    RT_TRY(rt_x_open(&e->x, &e->where));
    char *raw = malloc(rt_source_row_bytes(e->x) + 64);
    rt_status st = raw ? rt_source_read(e->x, &row, 1, raw) : rt_fail(RT_RUN, "out of memory");
    *on_data = rt_seconds() - start;
    rt_teacher_binding to = {.source = e->x, .match = e->match, .device = device};
    if (!st) st = rt_teacher_bind(t, &to);
    if (!st) st = rt_teacher_ready(t, device, 1, NULL, 0);
    const rt_head *head = rt_teacher_heads(t, &count);
    float *z = st ? NULL : rt_floats_new((size_t)rt_heads_width(head, count));
    if (!st && !z) st = RT_RUN;
    rt_feed q = {.raw = raw, .row = &row, .rows = 1};
    if (!st) st = rt_teacher_ask(t, &q, z);
    free(z);
    free(raw);
    return st;
}

rt_status rt_cold_answer(rt_cfg *c, rt_device *device, cJSON **result)
{
    rt_eval_data e = {0};
    rt_teacher *t = NULL;
    double on_data = 0;
    rt_teacher_spec spec = rt_teacher_spec_read(c, "model",
                                                "a model file, a list of up to 16, or a specification {...}");
    rt_cfg d = rt_cfg_object(c, "data");
    cJSON *data = d.object;
    rt_eval_data_read(&d, &e);
    rt_cfg_join(c, &d);
    RT_TRY(rt_cfg_end(c));
    rt_status st = rt_teacher_open_spec(&t, &spec, &e.where);
    if (!st) st = answer_row(t, &e, data, device, &on_data);
    if (!st) {
        *result = cJSON_CreateObject();
        cJSON_AddNumberToObject(*result, "answered_at", rt_seconds());
        cJSON_AddNumberToObject(*result, "data_seconds", on_data);
        cJSON_AddNumberToObject(*result, "peak_rss_bytes", rt_machine_peak_rss());
    }
    rt_teacher_close(t);
    rt_eval_data_close(&e);
    return st;
}

/* ---- the process that starts it ---- */

/* All that it writes, until it ends or we are asked to. */
static rt_status listen(int fd, char text[ANSWER])
{
    size_t n = 0;
    double until = rt_seconds() + patience;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        RT_TRY(rt_check_stop());
        if (rt_seconds() > until) return rt_fail(RT_RUN, "it has not answered within %.0f seconds", patience);
        if (poll(&p, 1, LOOK_MS) <= 0) continue;
        ssize_t got = read(fd, text + n, ANSWER - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    text[n] = 0;
    return RT_OK;
}

static rt_status start(const char *const *argv, pid_t *pid, int *fd)
{
    int end[2];
    posix_spawn_file_actions_t files;
    if (pipe2(end, O_CLOEXEC)) return rt_fail(RT_RUN, "no pipe: %s", strerror(errno));
    int error = posix_spawn_file_actions_init(&files);
    if (!error) error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, end[1], 1);
    if (!error) error = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    if (!error) error = posix_spawn(pid, program, &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(end[1]);
    *fd = end[0];
    if (error) close(end[0]);
    return error ? rt_fail(RT_RUN, "%s: cannot be started: %s", program, strerror(error)) : RT_OK;
}

/* Starts it, and waits for what it has to say: text of ANSWER bytes. */
static rt_status run(const char *const *argv, char *text, double *began)
{
    pid_t pid;
    int fd = -1, status;
    *began = rt_seconds();
    RT_TRY(start(argv, &pid, &fd));
    rt_status st = listen(fd, text);
    close(fd);
    if (st) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return st;
}

static void take(rt_cold *c, const char *text, double began)
{
    cJSON *j = cJSON_Parse(text);
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(j, "answered_at");
    const cJSON *on_data = cJSON_GetObjectItemCaseSensitive(j, "data_seconds");
    const cJSON *rss = cJSON_GetObjectItemCaseSensitive(j, "peak_rss_bytes");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(j, "error");
    const char *said = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
    if (cJSON_IsNumber(at) && cJSON_IsNumber(on_data) && cJSON_IsNumber(rss)) {
        c->took[c->runs++] = at->valuedouble - began - on_data->valuedouble;
        c->rss = fmax(c->rss, rss->valuedouble);
    } else snprintf(c->why, sizeof c->why, "a new process did not answer: %.180s", said ? said : "it said nothing");
    cJSON_Delete(j);
}

/* NAME=VALUE as an argument; NULL when out of memory. */
static char *argument(const char *name, const cJSON *value)
{
    char *json = value ? cJSON_PrintUnformatted(value) : NULL, *out = NULL;
    if (json && asprintf(&out, "%s=%s", name, json) < 0) out = NULL;
    cJSON_free(json);
    return out;
}

rt_status rt_cold_start(rt_cold *c, rt_device *device)
{
    static const char *const other[] = {"id", "slices"};       /* of data, which only a comparison reads */
    int cpu = rt_device_is_cpu(device);
    double began = 0;
    if (!program) snprintf(c->why, sizeof c->why, "the program that would be started is not known");
    if (*c->why || c->runs == RT_COLD_RUNS) return rt_check_stop();
    cJSON *rows = cJSON_Duplicate(c->data, 1);
    for (int i = 0; i < 2; i++) cJSON_DeleteItemFromObjectCaseSensitive(rows, other[i]);
    char *model = argument("model", c->model), *data = argument("data", rows), *text = malloc(ANSWER);
    const char *argv[] = {program,
                          "bench",
                          "what=cold",
                          "once=true",
                          model,
                          data,
                          "--json",
                          "--quiet",
                          "--threads",
                          "1",
                          cpu ? "--kernels" : "--device",
                          cpu ? rt_kernels_get()->name : rt_device_name(device),
                          "--int-kernels",
                          rt_int_kernels_get()->name,
                          NULL};
    rt_status st = model && data && text ? run(argv, text, &began) : rt_fail(RT_RUN, "out of memory");
    if (!st) take(c, text, began);
    else if (st != RT_INTERRUPTED) snprintf(c->why, sizeof c->why, "%.250s", rt_error_message());
    cJSON_Delete(rows);
    free(model);
    free(data);
    free(text);
    return st == RT_INTERRUPTED ? st : RT_OK;
}

void rt_cold_describe(cJSON *into, rt_cold *c)
{
    double median = rt_median_of(c->took, c->runs);
    rt_json_number(into, "cold_start_us", c->runs ? median * 1e6 : NAN, *c->why ? c->why : "it was not measured");
    if (!c->runs) return;
    cJSON *j = cJSON_AddObjectToObject(into, "cold_start");
    cJSON_AddNumberToObject(j, "median_us", median * 1e6);
    cJSON_AddNumberToObject(j, "lowest_us", c->took[0] * 1e6);
    cJSON_AddNumberToObject(j, "highest_us", c->took[c->runs - 1] * 1e6);
    cJSON_AddNumberToObject(j, "runs", c->runs);
    cJSON_AddNumberToObject(j, "peak_rss_bytes", c->rss);
}
