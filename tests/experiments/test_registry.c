/* The registry where processes meet, where files are not what they should be, and where there are many. Models are
 * small native ones; expected digests come from sha256sum. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/clock.h"
#include "experiments/registry/registry_parts.h"
#include "student/model.h"
#include "tests/support.h"

enum { WRITERS = 4, ADDS = 12, MANY = 10000, FLIPS = 150 };

static char room[16][200];

static const char *at(const char *name)
{
    static int turn;
    char *p = room[turn++ % 16];
    snprintf(p, sizeof room[0], "%s/%s", test_folder, name);
    return p;
}

static void shell(const char *format, ...)
{
    char command[1200];
    va_list values;
    va_start(values, format);
    vsnprintf(command, sizeof command, format, values);
    va_end(values);
    assert_int_equal(system(command), 0);
}

static void write_model(const char *name, int seed)
{
    cJSON *arch = cJSON_Parse("{\"input\": [2], \"classes\": 3, \"layers\": [{\"op\": \"dense\", \"out\": 3}]}");
    rt_model *m;
    check_ok(rt_model_new(&m, arch, (uint64_t)seed));
    check_ok(rt_model_save(m, at(name)));
    rt_model_free(m);
    cJSON_Delete(arch);
}

static int64_t number(const cJSON *j, const char *key)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(j, key);
    return cJSON_IsNumber(n) ? (int64_t)n->valuedouble : -1;
}

static const char *text(const cJSON *j, const char *key)
{
    const char *t = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));
    return t ? t : "";
}

static rt_registry *opened(const char *name, int write)
{
    rt_registry *r;
    check_ok(rt_registry_open(&r, at(name), write));
    return r;
}

static rt_status add(const char *registry, const char *name, const char *model, cJSON **j)
{
    rt_registry *r;
    rt_registry_adding a = {.name = name, .model = at(model)};
    *j = NULL;
    RT_TRY(rt_registry_open(&r, at(registry), 1));
    rt_status st = rt_registry_add(r, &a, j);
    rt_registry_close(r);
    return st;
}

static void added(const char *registry, const char *name, const char *model, const char *want)
{
    cJSON *j;
    check_ok(add(registry, name, model, &j));
    assert_string_equal(text(j, "version"), want);
    cJSON_Delete(j);
}

static void init(const char *registry)
{
    cJSON *j;
    check_ok(rt_registry_init(at(registry), NULL, &j));
    cJSON_Delete(j);
}

/* What verify finds; -1 where it cannot look. */
static int damage(const char *registry)
{
    rt_registry *r;
    cJSON *j = NULL;
    if (rt_registry_open(&r, at(registry), 0)) return -1;
    rt_status st = rt_registry_verify(r, NULL, &j);
    int n = j ? cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(j, "damaged")) : -1;
    assert_int_equal(st != RT_OK, n != 0);
    cJSON_Delete(j);
    rt_registry_close(r);
    return n;
}

static int set_up(void **state)
{
    if (make_test_folder(state)) return -1;
    write_model("a.h5", 1);
    write_model("b.h5", 2);
    return 0;
}

/* ---- processes ---- */

/* Every add has a number of its own, and no number is left out. */
static void writers_meet(void **state)
{
    static int64_t told[WRITERS * ADDS + 1];
    int pipes[2];
    (void)state;
    init("met");
    assert_int_equal(pipe(pipes), 0);
    for (int w = 0; w < WRITERS; w++)
        if (!fork()) {
            for (int i = 0; i < ADDS; i++) {
                cJSON *j;
                if (add("met", "m", w % 2 ? "a.h5" : "b.h5", &j)) _exit(1);
                int64_t n = strtoll(strchr(text(j, "version"), '@') + 1, NULL, 10);
                if (write(pipes[1], &n, sizeof n) != sizeof n) _exit(2);
                cJSON_Delete(j);
            }
            _exit(0);
        }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close(pipes[1]);
    for (int64_t n; read(pipes[0], &n, sizeof n) == sizeof n;) {
        assert_in_range(n, 1, WRITERS * ADDS);
        assert_int_equal(told[n]++, 0);
    }
    close(pipes[0]);
    for (int i = 1; i <= WRITERS * ADDS; i++) assert_int_equal(told[i], 1);
    assert_int_equal(damage("met"), 0);
}

/* Whoever changes something keeps others out from the first look to the end, and they wait. */
static void a_change_holds_the_lock(void **state)
{
    int status, pipes[2];
    (void)state;
    init("held");
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();                              /* before SQLite has anything open that both would know of */
    if (!child) {
        cJSON *j;
        char go;
        _exit(read(pipes[0], &go, 1) == 1 ? (int)add("held", "m", "a.h5", &j) : 99);
    }
    rt_registry *r = opened("held", 1);
    check_ok(rt_registry_begin(r));
    assert_int_equal(write(pipes[1], "g", 1), 1);
    usleep(400000);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    rt_registry_rollback(r);
    rt_registry_close(r);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Of those who move a tag from the same version, one wins. */
static void tags_race(void **state)
{
    int won = 0;
    (void)state;
    init("race");
    for (int i = 1; i <= 5; i++) {
        char want[8];
        snprintf(want, sizeof want, "m@%d", i);
        added("race", "m", "a.h5", want);
    }
    rt_registry *r = opened("race", 1);
    cJSON *j;
    check_ok(rt_registry_tag(r, &(rt_registry_tagging){.version = "m@1", .tag = "prod", .from = 0}, &j));
    cJSON_Delete(j);
    rt_registry_close(r);
    for (int w = 2; w <= 5; w++)
        if (!fork()) {
            char version[8];
            snprintf(version, sizeof version, "m@%d", w);
            rt_status st = rt_registry_open(&r, at("race"), 1);
            rt_registry_tagging t = {.version = version, .tag = "prod", .from = 1, .reason = "race"};
            if (!st) st = rt_registry_tag(r, &t, &j);
            _exit(st);
        }
    for (int w = 2; w <= 5; w++) {
        int status;
        assert_true(wait(&status) > 0);
        won += WEXITSTATUS(status) == RT_OK;
        assert_true(WEXITSTATUS(status) == RT_OK || WEXITSTATUS(status) == RT_RUN);
    }
    assert_int_equal(won, 1);
}

/* A number is never given twice, also not the highest one. */
static void numbers_are_not_given_again(void **state)
{
    cJSON *j;
    (void)state;
    init("again");
    added("again", "m", "a.h5", "m@1");
    added("again", "m", "b.h5", "m@2");
    rt_registry *r = opened("again", 1);
    check_ok(rt_registry_remove(r, "m@2", NULL, &j));
    cJSON_Delete(j);
    rt_registry_close(r);
    added("again", "m", "b.h5", "m@3");
}

/* ---- who may not write ---- */

static void reads_without_writing(void **state)
{
    (void)state;
    init("kept");
    added("kept", "m", "a.h5", "m@1");
    shell("chmod 755 %s && chmod -R a-w,a+rX %s/kept && find %s/kept | sort > %s/before", test_folder, test_folder,
          test_folder, test_folder);
    int status;
    if (!fork()) {
        rt_registry *r;
        rt_version v;
        cJSON *j = NULL;
        if (!geteuid() && setuid(65534)) _exit(9);
        rt_status st = rt_registry_open(&r, at("kept"), 0);
        if (!st) st = rt_registry_find(r, "m@latest", &v);
        if (!st) st = rt_registry_list(r, &(rt_registry_filter){0}, &j);
        if (st) _exit(1);
        rt_registry_close(r);
        _exit(rt_registry_open(&r, at("kept"), 1) == RT_RUN ? 0 : 2);
    }
    wait(&status);
    assert_int_equal(status, 0);
    shell("find %s/kept | sort | cmp -s - %s/before && chmod -R u+w %s/kept", test_folder, test_folder, test_folder);
}

/* ---- files that are not what they should be ---- */

static void other_databases(void **state)
{
    rt_registry *r;
    sqlite3 *db;
    (void)state;
    init("other");
    assert_int_equal(sqlite3_open(at("other/registry.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
    check_fails(rt_registry_open(&r, at("other"), 0), RT_INPUT,
                "of schema 2, and this version of retort knows schema 1");
    sqlite3_exec(db, "PRAGMA user_version=1; CREATE VIEW v AS SELECT 1", NULL, NULL, NULL);
    check_fails(rt_registry_open(&r, at("other"), 0), RT_INPUT, "triggers or views");
    sqlite3_exec(db, "DROP VIEW v; PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    sqlite3_close(db);
    check_ok(rt_registry_open(&r, at("other"), 1));                  /* and is a rollback journal's again */
    rt_registry_close(r);
    shell("test \"$(sqlite3 %s/other/registry.db 'PRAGMA journal_mode' 2> /dev/null || echo delete)\" = delete",
          test_folder);
    sqlite3_open(at("other/registry.db"), &db);
    sqlite3_exec(db, "PRAGMA application_id=1", NULL, NULL, NULL);
    sqlite3_close(db);
    check_fails(rt_registry_open(&r, at("other"), 0), RT_INPUT, "a database of something else");
    shell("printf 'text that is longer than nothing' > %s/other/registry.db", test_folder);
    check_fails(rt_registry_open(&r, at("other"), 0), RT_INPUT, "no registry");
}

/* A change that somebody made by hand, a row that went, one that came. */
static void rows_by_hand(void **state)
{
    static const char *const changes[] = {"UPDATE version SET note = 'better than it is'",
                                          "UPDATE tag SET version = 2",
                                          "DELETE FROM tag",
                                          "UPDATE model SET last = 1",
                                          "INSERT INTO setting (key, value) VALUES ('x', 'y')",
                                          "UPDATE setting SET value = ''",
                                          "UPDATE event SET user = 'nobody' WHERE id = 2",
                                          "CREATE INDEX more ON tag (name)",
                                          "DELETE FROM seal WHERE row = 1"};
    rt_registry *r;
    cJSON *j;
    (void)state;
    init("hand");
    added("hand", "m", "a.h5", "m@1");
    added("hand", "m", "b.h5", "m@2");
    r = opened("hand", 1);
    check_ok(rt_registry_tag(r, &(rt_registry_tagging){.version = "m@1", .tag = "t", .from = -1}, &j));
    cJSON_Delete(j);
    rt_registry_close(r);
    assert_int_equal(damage("hand"), 0);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        sqlite3 *db;
        shell("rm -rf %s/hand2 && cp -r %s/hand %s/hand2", test_folder, test_folder, test_folder);
        sqlite3_open(at("hand2/registry.db"), &db);
        if (sqlite3_exec(db, changes[i], NULL, NULL, NULL)) fail_msg("%s: %s", changes[i], sqlite3_errmsg(db));
        sqlite3_close(db);
        if (damage("hand2") < 1) fail_msg("not found: %s", changes[i]);
    }
}

static int dump_row(void *arg, int n, char **value, char **name)
{
    rt_hasher *h = arg;
    for (int i = 0; i < n; i++) {
        rt_hasher_add(h, name[i], strlen(name[i]) + 1);
        rt_hasher_add(h, value[i] ? value[i] : "(null)", value[i] ? strlen(value[i]) + 1 : 7);
    }
    return 0;
}

/* Of all rows of all tables; "" where they cannot be read. */
static rt_digest content(const char *registry)
{
    static const char *const tables[] = {"setting",    "model",   "event",    "object", "version",
                                         "evaluation", "metric",  "gate_run", "look",   "drift",
                                         "tag",        "tag_log", "anchor",   "seal",   "sqlite_sequence"};
    char sql[64], path[220];
    sqlite3 *db;
    rt_hasher *h = rt_hasher_new();
    int bad = 0;
    snprintf(path, sizeof path, "%s/registry.db", registry);
    bad |= sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY rowid", tables[i]);
        if (!strcmp(tables[i], "seal")) strcpy(sql, "SELECT * FROM seal ORDER BY part, row");
        bad |= sqlite3_exec(db, sql, dump_row, h, NULL) != SQLITE_OK;
    }
    sqlite3_close(db);
    rt_digest d = rt_hasher_end(h);
    if (bad) d.hex[0] = 0;
    return d;
}

static int byte_at(const char *path, uint64_t place)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, (long)place, SEEK_SET);
    int c = fgetc(f);
    fclose(f);
    return c;
}

/* One bit anywhere: it is found, or what the database holds is what it held. */
static void one_bit(void **state)
{
    struct stat s;
    int found = 0;
    (void)state;
    init("bit");
    added("bit", "m", "a.h5", "m@1");
    added("bit", "m", "b.h5", "m@2");
    rt_registry *r = opened("bit", 1);
    cJSON *j;
    check_ok(rt_registry_tag(r, &(rt_registry_tagging){.version = "m@1", .tag = "t", .from = -1}, &j));
    cJSON_Delete(j);
    rt_registry_close(r);
    rt_digest good = content(at("bit"));
    assert_int_not_equal(good.hex[0], 0);
    assert_int_equal(stat(at("bit/registry.db"), &s), 0);
    for (uint32_t i = 0, tried = 0; tried < FLIPS; i++) {
        uint32_t draw[4];
        rt_random4(draw, 20261126, RT_RNG_TEST, 0, 0, i, 0);
        uint64_t place = ((uint64_t)draw[0] << 32 | draw[1]) % (uint64_t)s.st_size;
        if (!byte_at(at("bit/registry.db"), place)) continue;          /* most of a small database is empty */
        tried++;
        flip_bit(at("bit/registry.db"), place, (int)(draw[2] % 8));
        int n = damage("bit");
        rt_digest now = content(at("bit"));
        found += n != 0;
        if (!n && strcmp(now.hex, good.hex))
            fail_msg("a bit of byte %llu changes what is there and is not found", (unsigned long long)place);
        flip_bit(at("bit/registry.db"), place, (int)(draw[2] % 8));
    }
    assert_true(found > FLIPS * 3 / 4);
    assert_int_equal(damage("bit"), 0);
}

/* ---- many ---- */

static void many_versions(void **state)
{
    char sql[900];
    sqlite3 *db;
    cJSON *j;
    (void)state;
    init("many");
    added("many", "m", "a.h5", "m@1");
    assert_int_equal(sqlite3_open(at("many/registry.db"), &db), SQLITE_OK);
    snprintf(sql, sizeof sql,
             "BEGIN; WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO event (id, model, number, what, time, user) SELECT 1000 + i, 1, i, 'add', 't', 'u' FROM n;"
             " WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO version (model, number, event, object, digest, facts, parent)"
             " SELECT 1, i, 1000 + i, (SELECT object FROM version LIMIT 1), '0', '{}', 1 FROM n;"
             " UPDATE model SET last = %d; COMMIT", MANY, MANY, MANY);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL)) fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    rt_registry *r = opened("many", 0);
    double before = rt_process_seconds();
    check_ok(rt_registry_list(r, &(rt_registry_filter){0}, &j));
    double seconds = rt_process_seconds() - before;
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(j, "versions")), MANY);
    cJSON_Delete(j);
    check_ok(rt_registry_list(r, &(rt_registry_filter){.name = "m", .last = 3}, &j));
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, "versions");
    assert_int_equal(cJSON_GetArraySize(list), 3);
    assert_int_equal(number(list->child, "number"), MANY - 2);
    cJSON_Delete(j);
    rt_registry_close(r);
#ifndef RETORT_SANITIZE
    if (seconds > 0.3) fail_msg("%d versions are listed in %.2f s of the processor", MANY, seconds);
#endif
}

static void references(void **state)
{
    static const char *const yes[] = {"m@1", "student-2@prod", "a.b@v1.2", "sha256:0123abcd", "m@latest"};
    static const char *const no[] = {
        "m",         "@1",       "m@",       "m@1@2", "runs/m@1", "./m@1", "m@a b", "sha256:0123abc", "sha256:XYZ01234",
        "m@best.h5", "m@x.json", "a@b.onnx", "",      "-m@1",     "m@-1"};
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) assert_true(rt_registry_is_reference(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (rt_registry_is_reference(no[i])) fail_msg("'%s' is taken for a reference", no[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),       cmocka_unit_test(writers_meet),    cmocka_unit_test(tags_race),
        cmocka_unit_test(a_change_holds_the_lock),
        cmocka_unit_test(numbers_are_not_given_again),                         cmocka_unit_test(reads_without_writing),
        cmocka_unit_test(other_databases),  cmocka_unit_test(rows_by_hand),    cmocka_unit_test(one_bit),
        cmocka_unit_test(many_versions),
    };
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
