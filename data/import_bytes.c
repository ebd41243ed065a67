/* data/import_bytes.c - bytes of a file, a gzip file or a member of a ZIP archive, in order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/files.h"
#include "data/import_parts.h"

enum { INPUT = 1 << 16, GZIP = 16, MOST_PACKING = 1100 };   /* deflate packs at most 1032:1 */

struct rt_bytes {
    char *path;
    int fd;
    uint64_t most;
    int zip, inflating;             /* a member of an archive; it is packed, or this is a gzip file */
    int between, ended;             /* members of a gzip file; its bytes are all read */
    uint64_t at, packed_left, size_left;
    uint32_t crc, crc_want;
    z_stream z;
    unsigned char *input;
};

static rt_status open_sized(const char *path, int *fd, uint64_t *size)
{
    struct stat s;
    RT_TRY(rt_open_input(fd, path));
    if (fstat(*fd, &s) == 0) {
        *size = (uint64_t)s.st_size;
        return RT_OK;
    }
    rt_status st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    close(*fd);
    *fd = -1;
    return st;
}

rt_status rt_bytes_open(rt_bytes **out, const char *path)
{
    uint64_t size = 0;
    unsigned char magic[2];
    size_t n;
    *out = NULL;
    rt_bytes *b = calloc(1, sizeof *b);
    if (!b) return rt_fail(RT_RUN, "out of memory");
    b->fd = -1;
    b->path = strdup(path);
    b->input = malloc(INPUT);
    rt_status st = b->path && b->input ? open_sized(path, &b->fd, &size) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_pread_some(b->fd, magic, sizeof magic, 0, path, &n);
    if (!st && n == sizeof magic && magic[0] == 0x1f && magic[1] == 0x8b) {
        b->inflating = inflateInit2(&b->z, 15 + GZIP) == Z_OK;
        if (!b->inflating) st = rt_fail(RT_RUN, "out of memory");
    }
    b->most = !b->inflating ? size : size < UINT64_MAX / MOST_PACKING ? size * MOST_PACKING : UINT64_MAX;
    if (st) rt_bytes_close(b);
    else *out = b;
    return st;
}

void rt_bytes_close(rt_bytes *b)
{
    if (!b) return;
    if (b->fd >= 0) close(b->fd);
    if (b->inflating) inflateEnd(&b->z);
    free(b->input);
    free(b->path);
    free(b);
}

uint64_t rt_bytes_most(const rt_bytes *b) { return b->most; }

/* At least two more bytes of a gzip file, where it has them. */
static rt_status refill_gz(rt_bytes *b)
{
    size_t n;
    if (b->ended || b->z.avail_in >= 2) return RT_OK;
    memmove(b->input, b->z.next_in ? b->z.next_in : b->input, b->z.avail_in);
    RT_TRY(rt_read_some(b->fd, b->input + b->z.avail_in, INPUT - b->z.avail_in, b->path, &n));
    b->ended = n < INPUT - b->z.avail_in;
    b->z.next_in = b->input;
    b->z.avail_in += (unsigned)n;
    return RT_OK;
}

/* Members one behind the other, as gzip reads them; what follows and is none is left. */
static rt_status read_gz(rt_bytes *b, char *to, size_t n, size_t *got)
{
    while (*got < n) {
        RT_TRY(refill_gz(b));
        if (b->between) {
            if (b->z.avail_in < 2 || b->z.next_in[0] != 0x1f || b->z.next_in[1] != 0x8b) return RT_OK;
            inflateReset(&b->z);
            b->between = 0;
        }
        size_t want = n - *got < 1 << 30 ? n - *got : 1 << 30;
        b->z.next_out = (unsigned char *)to + *got;
        b->z.avail_out = (unsigned)want;
        int code = inflate(&b->z, Z_NO_FLUSH);
        *got += want - b->z.avail_out;
        b->between = code == Z_STREAM_END;
        if (code == Z_MEM_ERROR) return rt_fail(RT_RUN, "out of memory");
        if (code == Z_BUF_ERROR && b->ended && !b->z.avail_in)
            return rt_fail(RT_INPUT, "%s: the gzip data ends too early; the file is truncated", b->path);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return rt_fail(RT_INPUT, "%s: damaged gzip data: %s", b->path, b->z.msg ? b->z.msg : "unknown packing");
    }
    return RT_OK;
}

static rt_status refill(rt_bytes *b, size_t *n)
{
    *n = b->packed_left < INPUT ? (size_t)b->packed_left : INPUT;
    RT_TRY(rt_pread_all(b->fd, b->input, *n, b->at, b->path));
    b->at += *n;
    b->packed_left -= *n;
    return RT_OK;
}

static rt_status read_member(rt_bytes *b, char *to, size_t n, size_t *got)
{
    if (n > b->size_left) n = (size_t)b->size_left;
    while (*got < n) {
        size_t k = n - *got < 1 << 30 ? n - *got : 1 << 30;
        if (b->inflating) {
            if (b->z.avail_in == 0 && b->packed_left) {
                size_t more;
                RT_TRY(refill(b, &more));
                b->z.next_in = b->input;
                b->z.avail_in = (unsigned)more;
            }
            b->z.next_out = (unsigned char *)to + *got;
            b->z.avail_out = (unsigned)k;
            int code = inflate(&b->z, Z_NO_FLUSH);
            k -= b->z.avail_out;
            if (code != Z_OK && !(code == Z_STREAM_END && k))
                return rt_fail(RT_INPUT, "%s: damaged data in the archive", b->path);
        } else {
            RT_TRY(rt_pread_all(b->fd, to + *got, k, b->at, b->path));
            b->at += k;
        }
        b->crc = (uint32_t)crc32(b->crc, (unsigned char *)to + *got, (unsigned)k);
        *got += k;
        b->size_left -= k;
        if (!b->size_left && b->crc != b->crc_want)
            return rt_fail(RT_INPUT, "%s: a checksum in the archive does not match; the file is damaged", b->path);
    }
    return RT_OK;
}

rt_status rt_bytes_read(rt_bytes *b, void *to, size_t n, size_t *got)
{
    *got = 0;
    if (b->zip) return read_member(b, to, n, got);
    return b->inflating ? read_gz(b, to, n, got) : rt_read_some(b->fd, to, n, b->path, got);
}

/* ---- ZIP (APPNOTE 6.3.10): the central directory is at the end; sizes and offsets may be of 64 bits ---- */

static uint64_t little(const unsigned char *p, int n)
{
    uint64_t v = 0;
    while (n--) v = v << 8 | p[n];
    return v;
}

/* Where the central directory is, from the end record or its 64-bit form. */
static rt_status find_directory(const char *path, int fd, uint64_t size, uint64_t *at, uint64_t *bytes,
                                uint64_t *members)
{
    enum { END = 22, COMMENT = 65535, LOCATOR = 20, END64 = 56 };
    static const char bad[] = "%s: is no ZIP archive, or a truncated one";
    size_t n = size < END + COMMENT + LOCATOR ? (size_t)size : END + COMMENT + LOCATOR;
    if (n < END) return rt_fail(RT_INPUT, bad, path);
    unsigned char *tail = malloc(n), *p = NULL;
    if (!tail) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_pread_all(fd, tail, n, size - n, path);
    for (size_t i = n - END + 1; i-- && !st && !p;) if (!memcmp(tail + i, "PK\5\6", 4)) p = tail + i;
    if (!st && !p) st = rt_fail(RT_INPUT, bad, path);
    if (!st) {
        *members = little(p + 10, 2);
        *bytes = little(p + 12, 4);
        *at = little(p + 16, 4);
        if (p - tail >= LOCATOR && !memcmp(p - LOCATOR, "PK\6\7", 4)) {
            unsigned char e[END64];
            uint64_t where = little(p - LOCATOR + 8, 8);
            st = where > size || size - where < END64 ? rt_fail(RT_INPUT, bad, path)
                : rt_pread_all(fd, e, END64, where, path);
            if (!st && memcmp(e, "PK\6\6", 4)) st = rt_fail(RT_INPUT, bad, path);
            if (!st) {
                *members = little(e + 32, 8);
                *bytes = little(e + 40, 8);
                *at = little(e + 48, 8);
            }
        }
    }
    free(tail);
    if (!st && (*at > size || *bytes > size - *at || *bytes > 1 << 26 || *members > *bytes / 46))
        st = rt_fail(RT_INPUT, bad, path);
    return st;
}

/* One entry of the directory at p; *used tells its length. */
static rt_status read_entry(const char *path, const unsigned char *p, size_t left, uint64_t file_size,
                            rt_zip_member *m, size_t *used)
{
    if (left < 46 || memcmp(p, "PK\1\2", 4)) return rt_fail(RT_INPUT, "%s: damaged directory of the archive", path);
    size_t name = little(p + 28, 2), extra = little(p + 30, 2), comment = little(p + 32, 2);
    *used = 46 + name + extra + comment;
    if (*used > left) return rt_fail(RT_INPUT, "%s: damaged directory of the archive", path);
    *m = (rt_zip_member){.method = (int)little(p + 10, 2), .crc = (uint32_t)little(p + 16, 4)};
    m->packed = little(p + 20, 4);
    m->size = little(p + 24, 4);
    m->header = little(p + 42, 4);
    uint64_t *const wide[] = {&m->size, &m->packed, &m->header};
    for (const unsigned char *q = p + 46 + name, *end = q + extra; end - q >= 4;) {
        size_t id = little(q, 2), n = little(q + 2, 2), k = 4;
        if (n > (size_t)(end - q) - 4) break;
        for (int i = 0; i < 3 && id == 1; i++)
            if (*wide[i] == UINT32_MAX && k + 8 <= n + 4) {
                *wide[i] = little(q + k, 8);
                k += 8;
            }
        q += 4 + n;
    }
    m->name = strndup((const char *)p + 46, name);
    if (!m->name) return rt_fail(RT_RUN, "out of memory");
    if (little(p + 8, 2) & 1) return rt_fail(RT_INPUT, "%s: '%.100s' is encrypted", path, m->name);
    if (m->header > file_size || m->packed > file_size || (m->method == 0 && m->size != m->packed)
        || m->size / MOST_PACKING > m->packed)
        return rt_fail(RT_INPUT, "%s: impossible sizes in the directory of the archive", path);
    return RT_OK;
}

rt_status rt_zip_open(rt_zip *z, const char *path)
{
    uint64_t size = 0, at = 0, bytes = 0, members = 0;
    unsigned char *directory = NULL;
    int fd;
    *z = (rt_zip){.path = strdup(path)};
    if (!z->path) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(open_sized(path, &fd, &size));
    rt_status st = find_directory(path, fd, size, &at, &bytes, &members);
    if (!st) {
        directory = malloc(bytes + 1);
        z->member = calloc(members + 1, sizeof *z->member);
        if (!directory || !z->member) st = rt_fail(RT_RUN, "out of memory");
    }
    if (!st) st = rt_pread_all(fd, directory, bytes, at, path);
    for (size_t i = 0, used = 0; !st && z->members < (int)members; i += used)
        st = read_entry(path, directory + i, bytes - i, size, &z->member[z->members++], &used);
    free(directory);
    close(fd);
    return st;
}

void rt_zip_close(rt_zip *z)
{
    for (int i = 0; i < z->members; i++) free(z->member[i].name);
    free(z->member);
    free(z->path);
    *z = (rt_zip){0};
}

rt_status rt_bytes_open_member(rt_bytes **out, const rt_zip *z, int member)
{
    const rt_zip_member *m = &z->member[member];
    unsigned char head[30];
    uint64_t size = 0;
    *out = NULL;
    if (m->method != 0 && m->method != 8)
        return rt_fail(RT_INPUT,
                       "%s: '%.100s' is packed by method %d; np.save, np.savez and np.savez_compressed store or "
                       "deflate", z->path, m->name, m->method);
    rt_bytes *b = calloc(1, sizeof *b);
    if (!b) return rt_fail(RT_RUN, "out of memory");
    *b = (rt_bytes){.fd = -1, .zip = 1, .most = m->size, .packed_left = m->packed, .size_left = m->size};
    b->crc_want = m->crc;
    b->path = malloc(strlen(z->path) + strlen(m->name) + 4);
    b->input = malloc(INPUT);
    rt_status st = b->path && b->input ? open_sized(z->path, &b->fd, &size) : rt_fail(RT_RUN, "out of memory");
    if (b->path) sprintf(b->path, "%s: %s", z->path, m->name);
    if (!st) st = size < 30 || m->header > size - 30 ? rt_fail(RT_INPUT, "%s: is outside of the archive", b->path)
        : rt_pread_all(b->fd, head, 30, m->header, z->path);
    if (!st) {
        b->at = m->header + 30 + little(head + 26, 2) + little(head + 28, 2);
        if (memcmp(head, "PK\3\4", 4) || b->at > size || m->packed > size - b->at)
            st = rt_fail(RT_INPUT, "%s: damaged or truncated in the archive", b->path);
    }
    if (!st && m->method == 8) {
        if (inflateInit2(&b->z, -15) == Z_OK) b->inflating = 1;
        else st = rt_fail(RT_RUN, "out of memory");
    }
    if (st) rt_bytes_close(b);
    else *out = b;
    return st;
}
