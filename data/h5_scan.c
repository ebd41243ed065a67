/* data/h5_scan.c - the plan of an HDF5 file, made in a child process without privileges. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "data/h5.h"

enum { CHILD_SECONDS = 20, MAX_SETS = 4096, MAX_PLAN = 256 << 20 };

static const char *const dtype_names[RT_DTYPE_COUNT] = {
#define X(E, n, s) n,
    RT_DTYPES(X)
#undef X
};
static const size_t dtype_sizes[RT_DTYPE_COUNT] = {
#define X(E, n, s) s,
    RT_DTYPES(X)
#undef X
};
const char *rt_h5_filter_name(int filter)
{
    return filter == RT_H5_DEFLATE ? "deflate" : filter == RT_H5_SHUFFLE ? "shuffle" : filter == RT_H5_FLETCHER32 ? "fletcher32"
         : filter == RT_H5_LZF ? "lzf" : "?";
}

size_t rt_dtype_size(rt_dtype t) { return (unsigned)t < RT_DTYPE_COUNT ? dtype_sizes[t] : 0; }
const char *rt_dtype_name(rt_dtype t) { return (unsigned)t < RT_DTYPE_COUNT ? dtype_names[t] : "?"; }

/* ---- the child ---- */

#if defined(__x86_64__)
#define RT_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define RT_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

#define DENY(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* What a reader of one file never needs. opened: the file is open, so nothing else may be. */
static int deny_calls(int opened)
{
#if defined(RT_AUDIT_ARCH)
    struct sock_filter common[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_AUDIT_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        DENY(__NR_execve), DENY(__NR_execveat), DENY(__NR_socket), DENY(__NR_connect), DENY(__NR_bind), DENY(__NR_clone),
        DENY(__NR_clone3), DENY(__NR_ptrace), DENY(__NR_unlinkat), DENY(__NR_renameat2), DENY(__NR_linkat), DENY(__NR_symlinkat),
        DENY(__NR_truncate), DENY(__NR_ftruncate), DENY(__NR_mkdirat), DENY(__NR_mknodat), DENY(__NR_fchmodat), DENY(__NR_mount),
        DENY(__NR_process_vm_writev), DENY(__NR_kill), DENY(__NR_tkill), DENY(__NR_pwrite64),
#if defined(__x86_64__)
        DENY(__NR_fork), DENY(__NR_vfork), DENY(__NR_unlink), DENY(__NR_rename), DENY(__NR_mkdir), DENY(__NR_creat), DENY(__NR_link),
        DENY(__NR_symlink), DENY(__NR_chmod),
#endif
    };
    struct sock_filter no_open[] = {
        DENY(__NR_openat), DENY(__NR_openat2),
#if defined(__x86_64__)
        DENY(__NR_open),
#endif
    };
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_filter all[128];
    size_t n = sizeof common / sizeof common[0];
    memcpy(all, common, sizeof common);
    if (opened) {
        memcpy(all + n, no_open, sizeof no_open);
        n += sizeof no_open / sizeof no_open[0];
    }
    all[n++] = allow;
    struct sock_fprog program = {(unsigned short)n, all};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
#else
    (void)opened;
    return 0;
#endif
}

static void limit(int what, rlim_t value)
{
    struct rlimit r = {value, value};
    setrlimit(what, &r);
}

static void lock_down(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU, SIGXFSZ, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) signal(fatal[i], SIG_DFL);   /* die, whatever the program installed */
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, CHILD_SECONDS);
    limit(RLIMIT_FSIZE, 0);
#ifndef RETORT_SANITIZE                              /* shadow memory takes more */
    limit(RLIMIT_DATA, (rlim_t)2 << 30);
#endif
    static const char *const unset[] = {"HDF5_PLUGIN_PATH", "HDF5_PLUGIN_PRELOAD", "HDF5_DRIVER", "HDF5_EXT_PREFIX", "HDF5_EXTFILE_PREFIX",
                                        "HDF5_VDS_PREFIX", "HDF5_USE_FILE_LOCKING"};
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++) unsetenv(unset[i]);
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

typedef struct { int fd; uint64_t sent; int count; } channel;

static void send_bytes(channel *c, const void *data, size_t n)
{
    const char *p = data;
    c->sent += n;
    if (c->sent > MAX_PLAN) _exit(9);
    while (n) {
        ssize_t k = write(c->fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) _exit(9);
        p += k;
        n -= (size_t)k;
    }
}

static int find_type(hid_t t, rt_h5_dataset *d)
{
    size_t size = H5Tget_size(t);
    H5T_class_t class = H5Tget_class(t);
    d->element = (uint32_t)size;
    if (class == H5T_STRING) {
        if (H5Tis_variable_str(t) > 0) return snprintf(d->refused, sizeof d->refused, "variable-length strings cannot be read; write fixed-length ones");
        d->type = RT_TEXT;
        return 0;
    }
    if (class != H5T_INTEGER && class != H5T_FLOAT)
        return snprintf(d->refused, sizeof d->refused, "its type is neither a number nor a fixed-length string");
    if (size > 1 && H5Tget_order(t) != H5T_ORDER_LE)
        return snprintf(d->refused, sizeof d->refused, "big-endian numbers cannot be read; convert it, for instance with h5py: d[...].astype('<f4')");
    if (class == H5T_INTEGER) {
        int sign = H5Tget_sign(t) == H5T_SGN_2;
        if (H5Tget_precision(t) != 8 * size || (size != 1 && size != 2 && size != 4 && size != 8))
            return snprintf(d->refused, sizeof d->refused, "integers of %zu bits in %zu bytes cannot be read", H5Tget_precision(t), size);
        d->type = size == 1 ? (sign ? RT_I8 : RT_U8) : size == 2 ? (sign ? RT_I16 : RT_U16) : size == 4 ? (sign ? RT_I32 : RT_U32) : sign ? RT_I64 : RT_U64;
        return 0;
    }
    size_t spos, epos, esize, mpos, msize;
    H5Tget_fields(t, &spos, &epos, &esize, &mpos, &msize);
    if (size == 2 && esize == 5 && msize == 10 && spos == 15) d->type = RT_F16;
    else if (size == 4 && esize == 8 && msize == 23 && spos == 31) d->type = RT_F32;
    else if (size == 8 && esize == 11 && msize == 52 && spos == 63) d->type = RT_F64;
    else return snprintf(d->refused, sizeof d->refused, "a floating-point type that is not IEEE half, single or double cannot be read");
    return 0;
}

#if H5_VERSION_GE(1, 14, 0)
typedef struct { rt_h5_dataset *d; } iter_arg;
static uint64_t chunk_index(const rt_h5_dataset *d, const hsize_t *at)
{
    uint64_t i = 0;
    for (int k = 0; k < d->rank; k++) i = i * ((d->dim[k] + d->chunk_dim[k] - 1) / d->chunk_dim[k]) + at[k] / d->chunk_dim[k];
    return i;
}
static int each_chunk(const hsize_t *at, unsigned mask, haddr_t addr, hsize_t size, void *arg)
{
    rt_h5_dataset *d = ((iter_arg *)arg)->d;
    uint64_t i = chunk_index(d, at);
    if (i < d->chunks && size < UINT32_MAX) d->chunk[i] = (rt_h5_chunk){addr, (uint32_t)size, mask};
    return 0;
}
#endif

/* Before 1.14 the library looks chunks up one by one, at a cost that grows with the square of their number. */
#if H5_VERSION_GE(1, 14, 0)
static const int most_chunks = 1 << 20;
#else
static const int most_chunks = 1 << 14;
#endif

static void find_chunks(hid_t id, rt_h5_dataset *d)
{
    d->chunk = calloc(d->chunks ? d->chunks : 1, sizeof *d->chunk);
    if (!d->chunk) _exit(9);
#if H5_VERSION_GE(1, 14, 0)
    iter_arg arg = {d};
    if (H5Dchunk_iter(id, H5P_DEFAULT, each_chunk, &arg) < 0) snprintf(d->refused, sizeof d->refused, "its chunk index cannot be read");
#else
    hsize_t at[RT_H5_RANK] = {0};
    for (uint64_t i = 0; i < d->chunks; i++) {
        unsigned mask = 0;
        haddr_t addr = HADDR_UNDEF;
        hsize_t size = 0;
        if (H5Dget_chunk_info_by_coord(id, at, &mask, &addr, &size) < 0) {
            snprintf(d->refused, sizeof d->refused, "its chunk index cannot be read");
            return;
        }
        if (addr != HADDR_UNDEF && size < UINT32_MAX) d->chunk[i] = (rt_h5_chunk){addr, (uint32_t)size, mask};
        for (int k = d->rank - 1; k >= 0; k--) {
            at[k] += d->chunk_dim[k];
            if (at[k] < d->dim[k]) break;
            at[k] = 0;
        }
    }
#endif
}

static void find_layout(hid_t id, rt_h5_dataset *d)
{
    hid_t p = H5Dget_create_plist(id);
    H5D_layout_t layout = H5Pget_layout(p);
    d->offset = UINT64_MAX;
    if (H5Pget_external_count(p) > 0) snprintf(d->refused, sizeof d->refused, "its bytes are in an external file, which is never followed");
    else if (layout == H5D_VIRTUAL) snprintf(d->refused, sizeof d->refused, "it is a virtual data set, which is never followed; copy it into one file");
    else if (layout == H5D_CONTIGUOUS) {
        haddr_t at = H5Dget_offset(id);
        if (at != HADDR_UNDEF) d->offset = at;
    } else if (layout == H5D_CHUNKED) {
        hsize_t dims[RT_H5_RANK];
        d->chunked = 1;
        int rank = H5Pget_chunk(p, RT_H5_RANK, dims), filters = H5Pget_nfilters(p);
        double count = 1;
        for (int i = 0; i < rank && i < d->rank; i++) {
            d->chunk_dim[i] = dims[i] ? dims[i] : 1;
            count *= (double)((d->dim[i] + d->chunk_dim[i] - 1) / d->chunk_dim[i]);
        }
        if (rank != d->rank) snprintf(d->refused, sizeof d->refused, "its chunks have another rank than the data");
        else if (count > most_chunks) snprintf(d->refused, sizeof d->refused, "it has more than %d chunks; rewrite it with larger ones (h5repack)", most_chunks);
        else if (filters > RT_H5_FILTERS) snprintf(d->refused, sizeof d->refused, "it has more than %d filters", RT_H5_FILTERS);
        for (int i = 0; i < filters && !d->refused[0]; i++) {
            unsigned flags, config;
            size_t n = 0;
            char name[64] = "";
            int f = H5Pget_filter2(p, (unsigned)i, &flags, &n, NULL, sizeof name, name, &config);
            if (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32) {
                for (char *q = name; *q; q++) if (*q < 32 || *q > 126) *q = '?';
                snprintf(d->refused, sizeof d->refused, "filter %d (%.40s) is not supported; rewrite it with h5repack -f GZIP=1", f, name);
            }
            d->filter[d->filters++] = f;
        }
        d->chunks = (uint64_t)count;
        if (!d->refused[0]) find_chunks(id, d);
        else d->chunks = 0;
    } else snprintf(d->refused, sizeof d->refused, "its layout is compact; rewrite it as contiguous (h5repack -l CONTI)");
    H5Pclose(p);
}

static herr_t visit(hid_t root, const char *name, const H5L_info_t *info, void *arg)
{
    channel *c = arg;
    rt_h5_dataset d = {0};
    H5O_info_t object;
    if (info->type != H5L_TYPE_HARD || H5Oget_info_by_name(root, name, &object, H5P_DEFAULT) < 0 || object.type != H5O_TYPE_DATASET) return 0;
    if (strlen(name) >= sizeof d.name || ++c->count > MAX_SETS) return 0;
    snprintf(d.name, sizeof d.name, "%s", name);
    hid_t id = H5Dopen2(root, name, H5P_DEFAULT);
    if (id < 0) {
        snprintf(d.refused, sizeof d.refused, "it cannot be opened");
        send_bytes(c, &d, sizeof d);
        return 0;
    }
    hid_t space = H5Dget_space(id), type = H5Dget_type(id);
    hsize_t dims[H5S_MAX_RANK];
    d.rank = H5Sget_simple_extent_dims(space, dims, NULL);
    if (d.rank < 0 || d.rank > RT_H5_RANK) {
        snprintf(d.refused, sizeof d.refused, "it has %d dimensions; at most %d are read", d.rank, RT_H5_RANK);
        d.rank = 0;
    }
    for (int i = 0; i < d.rank; i++) d.dim[i] = dims[i];
    find_type(type, &d);
    if (!d.refused[0]) find_layout(id, &d);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(id);
    rt_h5_chunk *chunks = d.chunk;
    d.chunk = NULL;
    send_bytes(c, &d, sizeof d);
    if (chunks) send_bytes(c, chunks, d.chunks * sizeof *chunks);
    free(chunks);
    return 0;
}

static void child(int fd, int out)
{
    char name[64];
    channel c = {.fd = out};
    lock_down();
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
    deny_calls(0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    hid_t file = H5Fopen(name, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) _exit(3);
    deny_calls(1);
    if (H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, &c) < 0) _exit(4);
    rt_h5_dataset end = {0};
    end.rank = -1;
    send_bytes(&c, &end, sizeof end);
    _exit(0);
}

/* ---- the parent ---- */

static rt_status collect(int fd, char **data, size_t *size, const char *path)
{
    size_t room = 1 << 16, n = 0;
    char *p = malloc(room);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (p) {
        if (n == room) {
            char *q = room < MAX_PLAN ? realloc(p, room * 2) : NULL;
            if (!q) break;
            p = q;
            room *= 2;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        long left = (CHILD_SECONDS + 5 - (now.tv_sec - start.tv_sec)) * 1000L;
        struct pollfd f = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&f, 1, (int)left) == 0) {
            free(p);
            return rt_fail(RT_INPUT, "%s: reading its metadata takes over %d s; the file is damaged or hostile", path, CHILD_SECONDS);
        }
        ssize_t k = read(fd, p + n, room - n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            *data = p;
            *size = n;
            return RT_OK;
        }
        n += (size_t)k;
    }
    free(p);
    return rt_fail(RT_RUN, "%s: its metadata does not fit into memory", path);
}

/* The plan is as untrusted as the file: every number is checked before it is used. */
static rt_status check_set(rt_h5_dataset *d, uint64_t file_size, const char *path)
{
    d->name[sizeof d->name - 1] = d->refused[sizeof d->refused - 1] = 0;
    for (char *q = d->name; *q; q++) if ((unsigned char)*q < 32 || *q == 127) *q = '?';
    if (d->rank < 0 || d->rank > RT_H5_RANK || (unsigned)d->type >= RT_DTYPE_COUNT || d->filters < 0 || d->filters > RT_H5_FILTERS)
        return rt_fail(RT_INPUT, "%s: damaged metadata", path);
    if (d->refused[0]) return RT_OK;
    uint64_t bytes = d->element, chunk_bytes = d->element;
    int bad = d->element == 0 || (d->type != RT_TEXT && d->element != rt_dtype_size(d->type));
    for (int i = 0; i < d->rank; i++) bad |= __builtin_mul_overflow(bytes, d->dim[i], &bytes);
    if (bad || bytes >> 62) return rt_fail(RT_INPUT, "%s: data set '%s' has an impossible shape", path, d->name);
    if (!d->chunked) {
        if (bytes && (d->offset == UINT64_MAX || d->offset > file_size || bytes > file_size - d->offset))
            snprintf(d->refused, sizeof d->refused, "its bytes lie outside the file, which is truncated or was never written");
        return RT_OK;
    }
    uint64_t grid = 1;
    for (int i = 0; i < d->rank; i++) {
        if (!d->chunk_dim[i] || __builtin_mul_overflow(chunk_bytes, d->chunk_dim[i], &chunk_bytes)) bad = 1;
        if (!bad) bad |= __builtin_mul_overflow(grid, (d->dim[i] + d->chunk_dim[i] - 1) / d->chunk_dim[i], &grid);
    }
    if (bad || grid != d->chunks) return rt_fail(RT_INPUT, "%s: data set '%s' has an impossible chunk grid", path, d->name);
    if (chunk_bytes > (uint64_t)256 << 20) snprintf(d->refused, sizeof d->refused, "its chunks are larger than 256 MiB");
    return RT_OK;
}

static rt_status parse(rt_h5_file *f, const char *data, size_t size)
{
    size_t at = 0;
    for (;;) {
        rt_h5_dataset d;
        if (size - at < sizeof d) return rt_fail(RT_INPUT, "%s: its metadata cannot be read; the file is damaged", f->path);
        memcpy(&d, data + at, sizeof d);
        at += sizeof d;
        if (d.rank == -1) return RT_OK;
        d.chunk = NULL;
        d.compact = NULL;
        size_t table = 0;
        if (d.chunked && d.chunks) {
            if (d.chunks > RT_H5_MAX_CHUNKS || size - at < d.chunks * sizeof *d.chunk) return rt_fail(RT_INPUT, "%s: damaged metadata", f->path);
            table = d.chunks * sizeof *d.chunk;
        }
        RT_TRY(check_set(&d, f->size, f->path));
        rt_h5_dataset *grown = realloc(f->set, (size_t)(f->sets + 1) * sizeof *grown);
        if (!grown) return rt_fail(RT_RUN, "out of memory");
        f->set = grown;
        if (table) {
            d.chunk = malloc(table);
            if (!d.chunk) return rt_fail(RT_RUN, "out of memory");
            memcpy(d.chunk, data + at, table);
            at += table;
        }
        f->set[f->sets++] = d;
        for (uint64_t i = 0; d.chunk && i < d.chunks; i++)
            if (d.chunk[i].bytes && (d.chunk[i].offset > f->size || d.chunk[i].bytes > f->size - d.chunk[i].offset))
                snprintf(f->set[f->sets - 1].refused, sizeof d.refused, "a chunk lies outside the file, which is truncated");
    }
}

rt_status rt_h5_scan(rt_h5_file **out, const char *path)
{
    *out = NULL;
    rt_h5_file *f = calloc(1, sizeof *f);
    if (!f) return rt_fail(RT_RUN, "out of memory");
    snprintf(f->path, sizeof f->path, "%s", path);
    f->users = 1;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat s;
    unsigned char magic[8];
    rt_status st = RT_OK;
    int pipes[2] = {-1, -1};
    if (f->fd < 0 || fstat(f->fd, &s)) st = rt_fail(RT_INPUT, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(s.st_mode)) st = rt_fail(RT_INPUT, "%s: is not a file", path);
    else f->size = (uint64_t)s.st_size;
    if (!st && (pread(f->fd, magic, 8, 0) != 8 || memcmp(magic, "\211HDF\r\n\032\n", 8)))
        st = rt_fail(RT_INPUT, "%s: is no HDF5 file; bring other formats in with 'retort import'", path);
    if (!st && pipe2(pipes, O_CLOEXEC)) st = rt_fail(RT_RUN, "%s: no pipe: %s", path, strerror(errno));
    if (st) {
        rt_h5_close(f);
        return st;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        child(f->fd, pipes[1]);
    }
    close(pipes[1]);
    char *data = NULL;
    size_t size = 0;
    if (pid < 0) st = rt_fail(RT_RUN, "%s: could not start a reader process: %s", path, strerror(errno));
    else st = collect(pipes[0], &data, &size, path);
    close(pipes[0]);
    if (pid > 0) {
        int status;
        if (st) kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) ;
        if (!st && WIFSIGNALED(status)) st = rt_fail(RT_INPUT, "%s: the HDF5 library died reading its metadata (signal %d); the file is damaged or hostile", path, WTERMSIG(status));
        else if (!st && WEXITSTATUS(status)) st = rt_fail(RT_INPUT, "%s: is no readable HDF5 file; it is damaged, truncated or was not closed", path);
    }
    if (!st) st = parse(f, data, size);
    free(data);
    if (st) rt_h5_close(f);
    else *out = f;
    return st;
}

void rt_h5_close(rt_h5_file *f)
{
    if (!f || --f->users > 0) return;
    if (f->fd >= 0) close(f->fd);
    for (int i = 0; i < f->sets; i++) free(f->set[i].chunk);
    free(f->set);
    free(f);
}

const rt_h5_dataset *rt_h5_find(const rt_h5_file *f, const char *name)
{
    while (*name == '/') name++;
    for (int i = 0; i < f->sets; i++)
        if (strcmp(f->set[i].name, name) == 0) return &f->set[i];
    return NULL;
}

rt_status rt_h5_read_all(void **out, const rt_h5_file *f, const char *name, uint64_t max_bytes)
{
    const rt_h5_dataset *d = rt_h5_find(f, name);
    *out = NULL;
    if (!d) return rt_fail(RT_INPUT, "%s: has no data set '%s'", f->path, name);
    if (d->refused[0]) return rt_fail(RT_INPUT, "%s: data set '%s': %s", f->path, name, d->refused);
    if (d->chunked) return rt_fail(RT_INPUT, "%s: data set '%s' is not contiguous as this tool writes it", f->path, name);
    uint64_t bytes = d->element;
    for (int i = 0; i < d->rank; i++) bytes *= d->dim[i];
    if (bytes > max_bytes) return rt_fail(RT_INPUT, "%s: data set '%s' has %llu bytes; at most %llu are expected", f->path, name, (unsigned long long)bytes, (unsigned long long)max_bytes);
    char *p = aligned_alloc(64, (bytes + 64) & ~(uint64_t)63);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_pread_all(f->fd, p, bytes, d->offset, f->path);
    p[bytes] = 0;
    if (st) free(p); else *out = p;
    return st;
}
