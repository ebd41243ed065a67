#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/clock.h"
#include "engine/progress.h"
#include "experiments/machine.h"
#include "experiments/registry/registry_parts.h"

enum { APPLICATION = 0x52545247 /* "RTRG" */, WAIT_SECONDS = 120, PAUSE_NS = 2000000 };

/* Who and when stand in event, once; a removed version's row is gone, and its events stay. */
static const char schema[] =
    "CREATE TABLE seal (part TEXT NOT NULL, row INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (part, row))"
    " WITHOUT ROWID;"
    "CREATE TABLE setting (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL);"
    "CREATE TABLE model (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, model INTEGER REFERENCES model, number INTEGER,"
    " what TEXT NOT NULL, time TEXT NOT NULL, user TEXT NOT NULL, detail TEXT);"
    "CREATE INDEX event_model ON event (model);"
    "CREATE TABLE object (id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),"
    " bytes INTEGER NOT NULL, kind TEXT NOT NULL);"
    "CREATE TABLE version (id INTEGER PRIMARY KEY, model INTEGER NOT NULL REFERENCES model, number INTEGER NOT NULL,"
    " event INTEGER NOT NULL REFERENCES event, object TEXT NOT NULL REFERENCES object (sha256), digest TEXT NOT NULL,"
    " parent INTEGER REFERENCES version, teacher TEXT, labels TEXT, data TEXT, init TEXT,"
    " configuration TEXT REFERENCES object (sha256), tool TEXT, seed TEXT, facts TEXT NOT NULL, note TEXT,"
    " UNIQUE (model, number));"
    "CREATE INDEX version_digest ON version (digest);"
    "CREATE INDEX version_object ON version (object);"
    "CREATE INDEX version_parent ON version (parent);"
    "CREATE INDEX version_teacher ON version (teacher);"
    "CREATE INDEX version_configuration ON version (configuration);"
    "CREATE TABLE evaluation (id INTEGER PRIMARY KEY, version INTEGER NOT NULL REFERENCES version ON DELETE CASCADE,"
    " event INTEGER NOT NULL REFERENCES event, object TEXT NOT NULL REFERENCES object (sha256), name TEXT, data TEXT,"
    " rows INTEGER, time TEXT, tool TEXT, machine TEXT NOT NULL, fingerprint TEXT NOT NULL, UNIQUE (version, object));"
    "CREATE INDEX evaluation_object ON evaluation (object);"
    "CREATE TABLE metric (id INTEGER PRIMARY KEY, evaluation INTEGER NOT NULL REFERENCES evaluation ON DELETE CASCADE,"
    " name TEXT NOT NULL, value REAL NOT NULL, lo REAL, hi REAL, UNIQUE (evaluation, name));"
    "CREATE TABLE gate_run (id INTEGER PRIMARY KEY, event INTEGER NOT NULL REFERENCES event,"
    " object TEXT NOT NULL UNIQUE REFERENCES object (sha256), candidate TEXT NOT NULL, baseline TEXT NOT NULL,"
    " policy TEXT NOT NULL, test_set TEXT, rows INTEGER, mode TEXT, confidence REAL, verdict TEXT NOT NULL,"
    " exit_code INTEGER NOT NULL, time TEXT, fingerprint TEXT NOT NULL, alpha REAL);"
    "CREATE INDEX gate_run_candidate ON gate_run (candidate, baseline);"
    "CREATE INDEX gate_run_test_set ON gate_run (test_set);"
    "CREATE INDEX gate_run_event ON gate_run (event);"
    "CREATE TABLE drift (id INTEGER PRIMARY KEY, version INTEGER NOT NULL REFERENCES version ON DELETE CASCADE,"
    " event INTEGER NOT NULL REFERENCES event, object TEXT NOT NULL REFERENCES object (sha256), reference TEXT,"
    " data TEXT, rows INTEGER, verdict TEXT NOT NULL, exit_code INTEGER NOT NULL, drifts INTEGER, expected REAL,"
    " time TEXT, UNIQUE (version, object));"
    "CREATE INDEX drift_object ON drift (object);"
    "CREATE TABLE look (id INTEGER PRIMARY KEY, event INTEGER NOT NULL REFERENCES event, test_set TEXT NOT NULL,"
    " number INTEGER NOT NULL, baseline TEXT NOT NULL, candidate TEXT NOT NULL, anchor TEXT NOT NULL,"
    " policy TEXT NOT NULL, UNIQUE (test_set, number), UNIQUE (test_set, baseline, candidate, anchor, policy));"
    "CREATE TABLE tag (id INTEGER PRIMARY KEY, model INTEGER NOT NULL REFERENCES model, name TEXT NOT NULL,"
    " version INTEGER NOT NULL REFERENCES version, UNIQUE (model, name));"
    "CREATE INDEX tag_version ON tag (version);"
    "CREATE TABLE tag_log (id INTEGER PRIMARY KEY, event INTEGER NOT NULL REFERENCES event, tag TEXT NOT NULL,"
    " from_number INTEGER, to_number INTEGER, gate_run INTEGER REFERENCES gate_run, reason TEXT);"
    "CREATE INDEX tag_log_event ON tag_log (event);"
    "CREATE TABLE anchor (id INTEGER PRIMARY KEY, event INTEGER NOT NULL REFERENCES event,"
    " model INTEGER NOT NULL REFERENCES model, release TEXT NOT NULL, version INTEGER NOT NULL REFERENCES version,"
    " UNIQUE (model, release));"
    "CREATE INDEX anchor_version ON anchor (version);";

static int transactions;               /* of this process */

/* ---- SQLite's errors, and the wait for others ---- */

rt_status rt_sql_failed(rt_registry *r, int code)
{
    int extended = r->db ? sqlite3_extended_errcode(r->db) : code, error = r->db ? sqlite3_system_errno(r->db) : 0;
    const char *path = r->folder;
    if (rt_stopped()) return rt_check_stop();
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rt_fail(RT_RUN, "%s: others have been writing to this registry for %d seconds; try again", path,
                       WAIT_SECONDS);
    case SQLITE_FULL:
        return rt_fail(RT_RUN, "%s: the disk is full, and nothing was added; make room and try again", path);
    case SQLITE_NOMEM: return rt_fail(RT_RUN, "%s: out of memory", path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        if (r->db) sqlite3_file_control(r->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
        if (error == EIO || error == ENXIO)            /* SQLite takes what cannot be read for damage */
            return rt_fail(RT_RUN, "%s/registry.db: cannot be read: %s", path, strerror(error));
        return rt_fail(RT_INPUT,
                       "%s/registry.db: is damaged, or no registry (%s); 'retort registry verify' tells more; "
                       "put back a copy of registry.db, as the models in objects/ are files of their own",
                       path, r->db ? sqlite3_errmsg(r->db) : sqlite3_errstr(code));
    case SQLITE_READONLY:
        if (extended == SQLITE_READONLY_ROLLBACK || extended == SQLITE_READONLY_RECOVERY)
            return rt_fail(RT_RUN,
                           "%s: a change was cut off half way and must be taken back first, by somebody who may "
                           "write there: let them run 'retort registry verify'",
                           path);
        return rt_fail(RT_RUN, "%s: the registry cannot be written", path);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_IOERR:
        if (error == ENOSPC || error == EDQUOT)
            return rt_fail(RT_RUN, "%s: the disk is full, and nothing was added; make room and try again", path);
        return rt_fail(RT_RUN, "%s/registry.db: %s%s%s", path, sqlite3_errstr(code & 0xff), error ? ": " : "",
                       error ? strerror(error) : "");
    default:
        return rt_fail(RT_INPUT, "%s/registry.db: is no registry as this version of retort makes it (%s)", path,
                       r->db ? sqlite3_errmsg(r->db) : sqlite3_errstr(code));
    }
}

/* SQLite asks whether to go on waiting. The pauses differ from process to process, so that none always comes late. */
static int wait_for_others(void *arg, int tries)
{
    rt_registry *r = arg;
    double now = rt_seconds();
    if (!tries) r->waits_until = now + WAIT_SECONDS;
    if (rt_stopped() || now > r->waits_until) return 0;
    long n = tries < 5 ? tries + 1 : 5 + (getpid() + tries) % 7;
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS * n}, NULL);
    return 1;
}

/* ---- statements ---- */

static int bind(sqlite3_stmt *s, int at, char kind, va_list *values)
{
    switch (kind) {
    case 'i': return sqlite3_bind_int64(s, at, va_arg(*values, int64_t));
    case 'n': {
        int64_t v = va_arg(*values, int64_t);
        return v ? sqlite3_bind_int64(s, at, v) : sqlite3_bind_null(s, at);
    }
    case 'd': {
        double v = va_arg(*values, double);
        return isnan(v) ? sqlite3_bind_null(s, at) : sqlite3_bind_double(s, at, v);
    }
    default: {
        const char *v = va_arg(*values, const char *);
        if (!v || (kind == 't' && !*v)) return sqlite3_bind_null(s, at);
        return sqlite3_bind_text(s, at, v, -1, SQLITE_TRANSIENT);
    }
    }
}

static rt_status prepare(rt_registry *r, sqlite3_stmt **s, const char *sql, const char *binds, va_list *values)
{
    int code = sqlite3_prepare_v2(r->db, sql, -1, s, NULL);
    for (int i = 0; binds[i] && code == SQLITE_OK; i++) code = bind(*s, i + 1, binds[i], values);
    if (code == SQLITE_OK) return RT_OK;
    rt_status st = rt_sql_failed(r, code);
    sqlite3_finalize(*s);
    *s = NULL;
    return st;
}

rt_status rt_sql(rt_registry *r, sqlite3_stmt **s, const char *sql, const char *binds, ...)
{
    va_list values;
    va_start(values, binds);
    *s = NULL;
    rt_status st = prepare(r, s, sql, binds, &values);
    va_end(values);
    return st;
}

rt_status rt_sql_next(rt_registry *r, sqlite3_stmt *s, int *row)
{
    int code = sqlite3_step(s);
    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) return rt_check_stop();
    return rt_sql_failed(r, code);
}

rt_status rt_sql_run(rt_registry *r, const char *sql, const char *binds, ...)
{
    va_list values;
    sqlite3_stmt *s = NULL;
    va_start(values, binds);
    rt_status st = prepare(r, &s, sql, binds, &values);
    va_end(values);
    if (st) return st;
    int code = sqlite3_step(s);
    if (code != SQLITE_DONE && code != SQLITE_ROW) st = rt_sql_failed(r, code);
    sqlite3_finalize(s);
    return st;
}

rt_status rt_sql_number(rt_registry *r, int64_t *out, int64_t fallback, const char *sql, const char *binds, ...)
{
    va_list values;
    sqlite3_stmt *s = NULL;
    int row = 0;
    *out = fallback;
    va_start(values, binds);
    rt_status st = prepare(r, &s, sql, binds, &values);
    va_end(values);
    if (!st) st = rt_sql_next(r, s, &row);
    if (!st && row && sqlite3_column_type(s, 0) == SQLITE_INTEGER) *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return st;
}

const char *rt_sql_text(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

void rt_sql_add(cJSON *j, const char *key, sqlite3_stmt *s, int column)
{
    int type = sqlite3_column_type(s, column);
    cJSON *value = NULL;
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) value = cJSON_CreateNumber(sqlite3_column_double(s, column));
    else if (type != SQLITE_NULL) value = cJSON_CreateString(rt_sql_text(s, column));
    if (value) cJSON_AddItemToObjectCS(j, key, value);
}

rt_status rt_registry_begin(rt_registry *r)
{
    RT_TRY(rt_sql_run(r, "BEGIN IMMEDIATE", ""));
    r->begun = 1;
    transactions++;
    return RT_OK;
}

rt_status rt_registry_commit(rt_registry *r)
{
    RT_TRY(rt_registry_seal(r));
    RT_TRY(rt_sql_run(r, "COMMIT", ""));
    r->begun = 0;
    transactions--;
    return RT_OK;
}

void rt_registry_rollback(rt_registry *r)
{
    if (r->begun) sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    transactions -= r->begun;
    r->begun = r->touches = r->lost = 0;
}

/* ---- events ---- */

static void who(char out[256])
{
    char host[128] = "", room[2048];
    struct passwd entry, *found = NULL;
    gethostname(host, sizeof host - 1);
    if (!getpwuid_r(geteuid(), &entry, room, sizeof room, &found) && found)
        snprintf(out, 256, "%.100s@%s", found->pw_name, host);
    else snprintf(out, 256, "uid %ld@%s", (long)geteuid(), host);
    rt_one_line(out);
}

rt_status rt_registry_event(rt_registry *r, int64_t model, int64_t number, const char *what, const char *detail,
                            int64_t *id)
{
    char date[32], user[256];
    rt_machine_date(date);
    who(user);
    RT_TRY(rt_sql_run(r, "INSERT INTO event (model, number, what, time, user, detail) VALUES (?, ?, ?, ?, ?, ?)",
                      "nnssst", model, number, what, date, user, detail));
    *id = sqlite3_last_insert_rowid(r->db);
    return RT_OK;
}

/* ---- opening ---- */

static rt_status database_path(const rt_registry *r, char out[RT_FOLDER_PATH], const char *behind)
{
    snprintf(out, RT_FOLDER_PATH, "%s/registry.db%s", r->folder, behind);
    return RT_OK;
}

/* As a URI, for what only a URI says. */
static void immutable_name(const rt_registry *r, char out[3 * RT_FOLDER_PATH + 32])
{
    char path[RT_FOLDER_PATH];
    size_t n = (size_t)sprintf(out, "file:");
    database_path(r, path, "");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        int plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                    strchr("/._-", *p);
        n += (size_t)sprintf(out + n, plain ? "%c" : "%%%02X", *p);
    }
    strcpy(out + n, "?immutable=1");
}

static rt_status pragma(rt_registry *r, const char *name, int64_t *value)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA %s", name);
    return rt_sql_number(r, value, 0, sql, "");
}

static rt_status open_database(rt_registry *r, int flags, int immutable)
{
    char path[RT_FOLDER_PATH], uri[3 * RT_FOLDER_PATH + 32];
    database_path(r, path, "");
    immutable_name(r, uri);
    int code = sqlite3_open_v2(immutable ? uri : path, &r->db,
                               flags | (immutable ? SQLITE_OPEN_URI : 0) | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) return rt_sql_failed(r, code);
    sqlite3_extended_result_codes(r->db, 0);
    sqlite3_busy_handler(r->db, wait_for_others, r);
    sqlite3_update_hook(r->db, rt_registry_touch, r);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    static const char *const settings[] = {"PRAGMA synchronous=EXTRA", "PRAGMA foreign_keys=ON",
                                           "PRAGMA temp_store=MEMORY", "PRAGMA cell_size_check=ON"};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) RT_TRY(rt_sql_run(r, settings[i], ""));
    return RT_OK;
}

static void close_database(rt_registry *r)
{
    sqlite3_close(r->db);
    r->db = NULL;
}

/* SQLite takes a file system without locks for one that others are busy on. Closing a file lets go of the locks that
 * this process has on it, so nobody may be within a transaction. */
static int lacks_locks(const rt_registry *r)
{
    struct flock look = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 1 << 30, .l_len = 1};
    int fd = transactions ? -1 : rt_registry_openat(r->dir, "registry.db", O_RDONLY | O_NOFOLLOW), lacks = 0;
    if (fd >= 0) lacks = fcntl(fd, F_GETLK, &look) && (errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP ||
                                                       errno == EINVAL);
    if (fd >= 0) close(fd);
    return lacks;
}

/* An immutable database is read without a look at what was cut off. */
static rt_status refuse_cut_off(const rt_registry *r)
{
    char journal[RT_FOLDER_PATH];
    struct stat s;
    database_path(r, journal, "-journal");
    if (stat(journal, &s) || !s.st_size) return RT_OK;
    return rt_fail(RT_RUN, "%s: a change was cut off half way and must be taken back first, by somebody who may write "
                   "there: let them run 'retort registry verify'", r->folder);
}

/* What there is: a registry of this schema, and nothing that acts by itself. */
static rt_status check_schema(rt_registry *r)
{
    int64_t version, application, foreign, tables;
    RT_TRY(pragma(r, "user_version", &version));
    RT_TRY(pragma(r, "application_id", &application));
    RT_TRY(rt_sql_number(r, &tables, 0, "SELECT count(*) FROM sqlite_master", ""));
    if (!tables && !application)
        return rt_fail(RT_INPUT, "%s: is no registry yet; 'retort registry init' makes one", r->folder);
    if (application != APPLICATION)
        return rt_fail(RT_INPUT, "%s/registry.db: is a database of something else, no registry", r->folder);
    if (version != RT_REGISTRY_SCHEMA)
        return rt_fail(RT_INPUT, "%s: is a registry of schema %lld, and this version of retort knows schema %d: use a "
                       "newer retort", r->folder, (long long)version, RT_REGISTRY_SCHEMA);
    RT_TRY(rt_sql_number(r, &foreign, 0,
                         "SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view') OR sql LIKE '%VIRTUAL%'",
                         ""));
    return foreign ? rt_fail(RT_INPUT, "%s/registry.db: has triggers or views, which retort makes none of; it is not "
                             "opened", r->folder)
                   : RT_OK;
}

static rt_status open_folder(rt_registry *r, const char *folder)
{
    if (snprintf(r->folder, sizeof r->folder, "%s", folder) >= (int)sizeof r->folder - 80 || !*folder)
        return rt_fail(RT_USAGE, "'%.60s' is no folder name", folder);
    do r->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (r->dir < 0 && errno == EINTR);
    if (r->dir < 0 && errno == ENOENT)
        return rt_fail(RT_INPUT, "%s: there is no such registry; 'retort registry init' makes one", folder);
    if (r->dir < 0) return rt_fail(rt_errno_status(errno), "%s: %s", folder, strerror(errno));
    do r->objects = openat(r->dir, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    while (r->objects < 0 && errno == EINTR);
    if (r->objects < 0 && rt_errno_status(errno) == RT_RUN)
        return rt_fail(RT_RUN, "%s/objects: %s", folder, strerror(errno));
    return RT_OK;
}

/* Some tool may have made it write-ahead, which network folders and readers of copies cannot have. */
static rt_status take_journal(rt_registry *r)
{
    sqlite3_stmt *s;
    int row;
    RT_TRY(rt_sql(r, &s, "PRAGMA journal_mode", ""));
    rt_status st = rt_sql_next(r, s, &row);
    int other = !st && row && strcmp(rt_sql_text(s, 0), "delete");
    sqlite3_finalize(s);
    return !st && other && r->write ? rt_sql_run(r, "PRAGMA journal_mode=DELETE", "") : st;
}

static rt_registry *blank(void)
{
    rt_registry *r = calloc(1, sizeof *r);
    if (r) r->dir = r->objects = -1;
    return r;
}

rt_status rt_registry_open(rt_registry **out, const char *folder, int write)
{
    rt_registry *r = blank();
    struct stat s;
    *out = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    rt_status st = open_folder(r, folder);
    if (!st && fstatat(r->dir, "registry.db", &s, AT_SYMLINK_NOFOLLOW))
        st = errno == ENOENT ? rt_fail(RT_INPUT, "%s: is no registry: it has no registry.db; 'retort registry init' "
                                       "makes one", folder)
                             : rt_fail(rt_errno_status(errno), "%s/registry.db: %s", folder, strerror(errno));
    if (!st && !S_ISREG(s.st_mode)) st = rt_fail(RT_INPUT, "%s/registry.db: is no regular file", folder);
    r->write = !st && !faccessat(r->dir, ".", W_OK, AT_EACCESS) && !faccessat(r->dir, "registry.db", W_OK, AT_EACCESS);
    if (!st && write && !r->write)
        st = rt_fail(RT_RUN, "%s: the registry cannot be written: %s", folder, strerror(errno));
    if (!st && r->objects < 0)
        st = rt_fail(RT_INPUT, "%s/objects: is no folder; the models of this registry are missing", folder);
    int bare = !st && lacks_locks(r);
    if (bare && write)
        st = rt_fail(RT_RUN,
                     "%s: its file system has no locks, so two could write at once; keep the registry on another "
                     "one",
                     folder);
    if (bare) r->write = 0;
    if (!st && bare) st = refuse_cut_off(r);
    if (!st) st = open_database(r, r->write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, bare);
    if (!st) st = check_schema(r);
    if (!st) st = take_journal(r);
    if (st) rt_registry_close(r);
    else *out = r;
    return st;
}

void rt_registry_close(rt_registry *r)
{
    if (!r) return;
    if (r->db) rt_registry_rollback(r);
    close_database(r);
    if (r->dir >= 0) close(r->dir);
    if (r->objects >= 0) close(r->objects);
    free(r->touched);
    free(r);
}

const char *rt_registry_folder(const rt_registry *r) { return r->folder; }

/* ---- making ---- */

static rt_status check_tags(const char *list)
{
    char text[RT_REGISTRY_NAME + 8];
    if (!*list) return RT_OK;
    for (const char *p = list;; p++) {
        size_t n = strcspn(p, ",");
        snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), p);
        RT_TRY(rt_registry_check_name(text, "tag"));
        p += n;
        if (!*p) return RT_OK;
    }
}

static rt_status make_schema(rt_registry *r, const char *protect)
{
    char *message = NULL;
    int64_t tables, event, same;
    RT_TRY(rt_sql_number(r, &tables, 0, "SELECT count(*) FROM sqlite_master", ""));
    if (!tables) {
        char head[96];
        snprintf(head, sizeof head, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION,
                 RT_REGISTRY_SCHEMA);
        int code = sqlite3_exec(r->db, head, NULL, NULL, &message);
        if (code == SQLITE_OK) code = sqlite3_exec(r->db, schema, NULL, NULL, &message);
        sqlite3_free(message);
        if (code != SQLITE_OK) return rt_sql_failed(r, code);
    } else {
        RT_TRY(check_schema(r));
        if (!protect) return rt_fail(RT_USAGE, "%s: is a registry already; --protect changes which tags it protects",
                                     r->folder);
        RT_TRY(rt_sql_number(r, &same, 0, "SELECT count(*) FROM setting WHERE key = 'protected' AND value = ?", "s",
                             protect));
        if (same) return RT_OK;                    /* the log has changes */
    }
    if (!protect) protect = "prod";
    RT_TRY(rt_sql_run(r, "INSERT INTO setting (key, value) VALUES ('protected', ?) ON CONFLICT (key) DO UPDATE "
                      "SET value = excluded.value", "s", protect));
    return rt_registry_event(r, 0, 0, tables ? "protect" : "init", protect, &event);
}

rt_status rt_registry_init(const char *folder, const char *protect, cJSON **result)
{
    char path[RT_FOLDER_PATH];
    rt_registry *r = blank();
    *result = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    rt_status st = check_tags(protect ? protect : "");
    if (!st && strlen(folder) >= RT_REGISTRY_PATH - 80) st = rt_fail(RT_USAGE, "'%.60s...' is no folder name", folder);
    if (!st) snprintf(path, sizeof path, "%s/objects", folder);
    if (!st) st = rt_make_folder(path);
    if (!st) st = open_folder(r, folder);
    if (!st) st = open_database(r, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 0);
    if (!st) st = rt_registry_begin(r);
    if (!st) st = make_schema(r, protect);
    if (!st) st = rt_registry_commit(r);
    if (!st) st = rt_sync_folder(r->dir, folder);
    if (!st) {
        *result = cJSON_CreateObject();
        cJSON_AddStringToObject(*result, "registry", folder);
        cJSON_AddStringToObject(*result, "protected", protect ? protect : "prod");
    }
    rt_registry_close(r);
    return st;
}
