/* data/labels_journal.c - which blocks of a label store are on disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"
#include "data/labels_format.h"

rt_status rt_label_journal_path(char *out, size_t room, const char *path)
{
    int n = snprintf(out, room, "%s.journal", path);
    return n < 0 || (size_t)n >= room ? rt_fail(RT_USAGE, "%.60s...: the path is too long", path) : RT_OK;
}

rt_status rt_label_read_journal(const char *journal, uint64_t blocks, uint32_t *crc, unsigned char *named,
                                char failed[RT_LABEL_FAILED])
{
    enum { MOST = 1 << 30 };
    struct stat s;
    char *text;
    size_t all;
    if (failed) failed[0] = 0;
    if (stat(journal, &s))
        return errno == ENOENT ? RT_OK : rt_fail(rt_errno_status(errno), "%s: %s", journal, strerror(errno));
    RT_TRY(rt_read_file(&text, &all, journal, MOST));
    for (const char *at = text, *end; (end = memchr(at, '\n', all - (size_t)(at - text))); at = end + 1) {
        char line[128];
        unsigned long long b;
        unsigned is, own;
        int n = 0;
        snprintf(line, sizeof line, "%.*s", end - at < (ptrdiff_t)sizeof line ? (int)(end - at) : 0, at);
        if (failed && !strncmp(line, RT_LABEL_SYNC_MARK, sizeof RT_LABEL_SYNC_MARK - 1))
            snprintf(failed, RT_LABEL_FAILED, "%s", line + sizeof RT_LABEL_SYNC_MARK - 1);
        if (sscanf(line, "%llu %8x %n%8x", &b, &is, &n, &own) != 3 || n <= 0 || b >= blocks) continue;
        if (rt_crc32c(0, line, (size_t)n) != own) continue;
        crc[b] = is;
        named[b] = 1;
    }
    free(text);
    return RT_OK;
}
