#include "acknowledged.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1024, BLOCKS = 1 << 12 };

/* The number behind a word at the beginning of a line, or behind a JSON key. */
static long number_behind(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        const char *p = at + strspn(at, " \t\"");
        if (strncmp(p, word, n) || (p[n] != ' ' && p[n] != '"' && p[n] != '\t')) continue;
        p += n;
        p += strspn(p, " \t\":");
        return strncmp(p, "true", 4) ? atol(p) : 1;
    }
    return -1;
}

labelling labelling_of(const char *printed)
{
    labelling l = {number_behind(printed, "rows"), number_behind(printed, "labelled_now")};
    return l;
}

void store_of(const char *command, char *name, size_t room)
{
    const char *at = strstr(command, "--out ");
    size_t skip = 6;
    if (!at && (at = strstr(command, "append "))) skip = 7;
    snprintf(name, room, "%.*s", at ? (int)strcspn(at + skip, " ") : 0, at ? at + skip : "");
}

/* Blocks that whole lines name: "BLOCK CRC CRC" and "FROM-TO CRC CRC". */
static int read_journal(const char *path, unsigned char *named)
{
    FILE *f = fopen(path, "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        unsigned long a, b;
        unsigned crc, own;
        int whole = strchr(line, '\n') != NULL;
        if (sscanf(line, "%lu-%lu %8x %8x", &a, &b, &crc, &own) != 4) {
            if (sscanf(line, "%lu %8x %8x", &a, &crc, &own) != 3) continue;
            b = a + 1;
        }
        for (unsigned long i = a; whole && i < b && i < BLOCKS; i++) named[i] = 1;
    }
    if (f) fclose(f);
    return f != NULL;
}

static int info_of(const char *folder, const char *store, const char *info, char *text, size_t room)
{
    char command[4096];
    snprintf(command, sizeof command,
             "cd '%s' && test -f '%s' && env -u LD_PRELOAD %s '%s' --json --quiet 2> /dev/null", folder, store, info,
             store);
    FILE *f = popen(command, "r");
    size_t n = f ? fread(text, 1, room - 1, f) : 0;
    text[n] = 0;
    return f && !pclose(f);
}

long labelled_in(const char *folder, const char *store, const char *info)
{
    static char text[1 << 16];
    return info_of(folder, store, info, text, sizeof text) ? number_behind(text, "rows_labelled") : -1;
}

/* Of rows [from, to) those that are counted. */
static long counted(long from, long to, labelling whole)
{
    long first = whole.rows - whole.now;
    from = from < first ? first : from;
    to = to > whole.rows ? whole.rows : to;
    return to > from ? to - from : 0;
}

long acknowledged(const char *folder, const char *store, const char *info, labelling whole)
{
    static unsigned char named[BLOCKS];
    static char text[1 << 16];
    long rows = 0;
    int journals = 0;
    memset(named, 0, sizeof named);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[2048];
        if (e->d_name[0] == '.' || !strstr(e->d_name, ".journal")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        journals += read_journal(path, named);
    }
    if (d) closedir(d);
    for (long b = 0; b < BLOCKS; b++) if (named[b]) rows += counted(b * BLOCK, (b + 1) * BLOCK, whole);
    if (journals || !info_of(folder, store, info, text, sizeof text) || number_behind(text, "complete") != 1)
        return rows;
    return counted(0, number_behind(text, "rows"), whole);
}
