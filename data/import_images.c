/* data/import_images.c - a folder of PNG and JPEG files, one sub-folder a class. Every file is read, or counted. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/files.h"
#include "data/import_parts.h"
#include "engine/text.h"

enum { MOST_KINDS = 40, PATH = 4096 };

typedef struct { char *path; int code; unsigned char kind, bad; } file;
typedef struct { char what[48]; uint64_t count; const char *why; } skipped;

typedef struct {
    rt_import_job *job;
    int h, w, c;
    file *file;                    /* in the order of their folders' and their own names */
    uint64_t files, room, links, renamed, bad, alpha, rotated, cmyk, deep, resized;
    skipped skip[MOST_KINDS];
    int skips, code;
    rt_label_set classes;
    char first[PATH], first_bad[700];
    int first_h, first_w;
} album;

static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int not_dots(const struct dirent *d) { return strcmp(d->d_name, ".") && strcmp(d->d_name, ".."); }

static rt_status list(const char *folder, struct dirent ***entry, int *n)
{
    *n = scandir(folder, entry, not_dots, by_bytes);
    return *n < 0 ? rt_fail(rt_errno_status(errno), "%s: %s", folder, strerror(errno)) : RT_OK;
}

static void free_list(struct dirent **entry, int n)
{
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
}

static void count_skipped(album *a, const char *what, const char *why)
{
    int i = 0;
    while (i < a->skips && (strcasecmp(a->skip[i].what, what) || strcmp(a->skip[i].why, why))) i++;
    if (i == a->skips) {
        if (i == MOST_KINDS) i--;
        else {
            a->skips++;
            snprintf(a->skip[i].what, sizeof a->skip[i].what, i == MOST_KINDS - 1 ? "other files" : "%s", what);
            a->skip[i].why = why;
        }
    }
    a->skip[i].count++;
}

static int picture_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot) return 0;
    if (!strcasecmp(dot, ".png")) return RT_PICTURE_PNG;
    return !strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") || !strcasecmp(dot, ".jpe")
        || !strcasecmp(dot, ".jfif") ? RT_PICTURE_JPEG : 0;
}

static rt_status add_file(album *a, const char *path, rt_picture_kind kind)
{
    if (a->files == a->room) {
        a->room = a->room ? 2 * a->room : 256;
        file *q = realloc(a->file, a->room * sizeof *q);
        if (!q) return rt_fail(RT_RUN, "out of memory");
        a->file = q;
    }
    a->file[a->files] = (file){.path = strdup(path), .code = a->code, .kind = (unsigned char)kind};
    return a->file[a->files++].path ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* A picture that cannot be read is the end, or is counted. */
static rt_status bad_picture(album *a, rt_status st)
{
    if (!a->job->spec->skip_bad || st != RT_INPUT) return st;
    if (!a->bad++) snprintf(a->first_bad, sizeof a->first_bad, "%s", rt_error_message());
    return RT_OK;
}

static rt_status look_at(album *a, const char *path, const char *name)
{
    struct stat s;
    rt_picture_kind kind;
    const char *other, *dot = strrchr(name, '.');
    char what[64];
    if (*name == '.') {
        count_skipped(a, "hidden files", "their names start with '.'");
        return RT_OK;
    }
    if (lstat(path, &s)) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    if (S_ISLNK(s.st_mode)) {
        if (stat(path, &s))
            return bad_picture(a, rt_fail(rt_errno_status(errno), "%s: is a link to nothing that can be read: %s", path,
                                          strerror(errno)));
        a->links += !S_ISDIR(s.st_mode);
    }
    if (S_ISDIR(s.st_mode) || !S_ISREG(s.st_mode)) {
        count_skipped(a, S_ISDIR(s.st_mode) ? "folders inside class folders" : "devices and pipes",
                      "only files in class folders are read");
        return RT_OK;
    }
    rt_status st = rt_picture_look(path, &kind, &other);
    if (st) return bad_picture(a, st);
    if (kind) {
        a->renamed += picture_name(name) != (int)kind;
        return add_file(a, path, kind);
    }
    if (picture_name(name))
        return bad_picture(a, rt_fail(RT_INPUT, "%s: is no picture but %s, whatever its name says%s", path, other
                                      ? other : s.st_size ? "something else" : "empty",
                                                          other ? "; convert it to PNG" : ""));
    snprintf(what, sizeof what, "%s%.20s files", other ? other : dot ? dot : "unnamed", "");
    count_skipped(a, what, other ? "pictures of this kind are not read; convert them to PNG" : "no PNG or JPEG");
    return RT_OK;
}

static rt_status add_class(album *a, const char *folder, const char *name)
{
    struct dirent **entry;
    char path[PATH];
    int n, linked;
    struct stat s;
    uint64_t before = a->files;
    RT_TRY(list(folder, &entry, &n));
    linked = lstat(folder, &s) == 0 && S_ISLNK(s.st_mode);
    a->links += (uint64_t)linked;
    a->code = rt_label_add(&a->classes, name);
    rt_status st = a->code < 0 ? (rt_status)-a->code : RT_OK;
    for (int i = 0; i < n && !st; i++) {
        int k = snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
        st = k >= (int)sizeof path ? rt_fail(RT_INPUT, "%.200s...: the path is too long", path)
            : look_at(a, path, entry[i]->d_name);
    }
    free_list(entry, n);
    if (!st && a->files == before)
        st = rt_fail(RT_INPUT,
                     "%s: has no PNG or JPEG file that can be read, so that class '%.100s' would be empty; remove the "
                     "folder, or fill it%s", folder, name,
                     n ? " (it has other files or folders)" : "");
    return st;
}

static rt_status walk(album *a, const char *folder)
{
    struct dirent **entry;
    char path[PATH];
    struct stat s;
    int n;
    RT_TRY(list(folder, &entry, &n));
    rt_status st = RT_OK;
    for (int i = 0; i < n && !st; i++) {
        const char *name = entry[i]->d_name;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        int there = !stat(path, &s), error = errno;
        if (*name == '.' || strcmp(name, "__MACOSX") == 0)
            count_skipped(a, "hidden files and folders", "their names start with '.', or macOS made them");
        else if (!there && rt_errno_status(error) == RT_RUN) st = rt_fail(RT_RUN, "%s: %s", path, strerror(error));
        else if (!there || !S_ISDIR(s.st_mode)) {
            rt_picture_kind kind = RT_PICTURE_NONE;
            const char *other;
            if (there && S_ISREG(s.st_mode) && (st = rt_picture_look(path, &kind, &other)) == RT_INPUT) st = RT_OK;
            count_skipped(a, kind ? "pictures beside the class folders" : "files beside the class folders",
                          "no folder names their class");
        } else if (!rt_is_utf8(name)) st = rt_fail(RT_INPUT,
                                                   "%s: the name of this folder is no valid UTF-8, and so no class "
                                                   "name; rename it", path);
        else st = add_class(a, path, name);
        if (!st) st = rt_import_stopped(a->job);
    }
    free_list(entry, n);
    if (!st && !a->files)
        st = rt_fail(RT_NOTHING, "%s: no PNG or JPEG files in its sub-folders; one sub-folder a class is expected",
                     folder);
    return st;
}

/* The picture, turned, and of the size of all; its pixels are for the caller to free. */
static rt_status read_one(album *a, const file *f, rt_picture *p)
{
    rt_status st = rt_picture_read(p, f->path, f->kind, a->c, a->job->spec->alpha);
    if (st) return st;
    if (!a->h) {
        a->h = p->h;
        a->w = p->w;
        snprintf(a->first, sizeof a->first, "%s", f->path);
    }
    if (p->h == a->h && p->w == a->w) return RT_OK;
    if (*a->first) {
        st = rt_fail(RT_INPUT,
                     "%s is %dx%d (height x width), and %s is %dx%d; give --size HxW to bring all to one size",
                         f->path, p->h, p->w, a->first, a->h, a->w);
        free(p->px);
        p->px = NULL;
        return st;
    }
    unsigned char *out = malloc((size_t)a->h * (size_t)a->w * (size_t)a->c);
    if (!out) rt_out_of_memory();
    rt_picture_resize(out, a->h, a->w, p);
    free(p->px);
    p->px = out;
    a->resized++;
    return RT_OK;
}

/* With --skip-bad pictures are read once only to know how many there will be; one that cannot be read is taken out. */
static rt_status sort_out(album *a)
{
    uint64_t kept = 0, *left = calloc((size_t)a->classes.count + 1, sizeof *left);
    rt_status st = left ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < a->files && !st; i++) {
        rt_picture p;
        st = rt_picture_read(&p, a->file[i].path, a->file[i].kind, a->c, a->job->spec->alpha);
        if (!st) {
            free(p.px);
            left[a->file[i].code]++;
            file f = a->file[i];
            a->file[i] = a->file[kept];
            a->file[kept++] = f;
        } else st = bad_picture(a, st);
        if (!st) st = rt_import_stopped(a->job);
    }
    for (int i = 0; i < a->classes.count && !st; i++)
        if (!left[i]) st = rt_fail(RT_INPUT,
                                   "%s: no picture of class '%.100s' can be read, and it would be empty (%s)",
                                       a->job->spec->input, a->classes.text[i], a->first_bad);
    for (uint64_t i = kept; i < a->files && !st; i++) free(a->file[i].path);
    if (!st) a->files = kept;
    free(left);
    return st;
}

static rt_status label_all(album *a)
{
    rt_import_job *job = a->job;
    memset(a->classes.rows, 0, (size_t)a->classes.count * sizeof *a->classes.rows);
    job->y = malloc((a->files + 1) * sizeof *job->y);
    if (!job->y) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < a->files; i++) {
        job->y[i] = a->file[i].code;
        a->classes.rows[a->file[i].code]++;
    }
    return rt_label_resolve(job, &a->classes, job->spec->input, a->files, RT_LABELS_OF_FOLDERS);
}

static void say(album *a)
{
    rt_import_job *job = a->job;
    for (int i = 0; i < a->skips; i++) rt_import_skipped(job, a->skip[i].what, a->skip[i].count, a->skip[i].why);
    rt_import_skipped(job, "pictures that cannot be read", a->bad, a->first_bad);
    if (a->links) rt_import_note(job, "links to files or folders that are followed: %llu",
                                 (unsigned long long)a->links);
    if (a->renamed) rt_import_note(job,
                                   "pictures of another kind than their names say: %llu; they are read as what they "
                                   "are", (unsigned long long)a->renamed);
}

static void say_pictures(album *a)
{
    rt_import_job *job = a->job;
    if (a->alpha) rt_import_note(job, "pictures with transparent pixels: %llu; %s", (unsigned long long)a->alpha,
                                 job->spec->alpha == RT_ALPHA_WHITE ? "they are laid on white" : job->spec->alpha ==
                                     RT_ALPHA_BLACK ? "they are laid on black"
                                 : "the colours stored under them are taken (--alpha white or black lays them on a "
                                   "ground)");
    if (a->rotated) rt_import_note(job, "pictures turned as their EXIF orientation says: %llu",
                                   (unsigned long long)a->rotated);
    if (a->deep) rt_import_note(job, "pictures of 16 bits: %llu; the high byte is kept", (unsigned long long)a->deep);
    if (a->cmyk) rt_import_note(job, "CMYK pictures: %llu; they are brought to RGB without their colour profile",
                                (unsigned long long)a->cmyk);
    if (a->resized) rt_import_note(job,
                                   "pictures brought to another size: %llu; each pixel of %dx%d is the mean of the "
                                   "area that it covers", (unsigned long long)a->resized, a->h, a->w);
}

static rt_status write_all(album *a)
{
    rt_import_job *job = a->job;
    rt_status st = RT_OK;
    for (uint64_t i = 0; i < a->files && !st; i++) {
        rt_picture p = {.px = NULL};
        st = read_one(a, &a->file[i], &p);
        if (!st && i == 0) st = rt_import_begin(job, RT_U8, 4, (uint64_t[]){a->files, (uint64_t)a->h, (uint64_t)a->w,
            (uint64_t)a->c});
        if (!st) st = rt_import_put(job, p.px, (size_t)a->h * (size_t)a->w * (size_t)a->c);
        if (!st && i % 64 == 0) st = rt_import_stopped(job);
        a->alpha += (uint64_t)p.alpha;
        a->rotated += (uint64_t)p.rotated;
        a->cmyk += (uint64_t)p.cmyk;
        a->deep += (uint64_t)p.deep;
        free(p.px);
    }
    return st ? st : rt_import_end(job);
}

rt_status rt_import_images(rt_import_job *job)
{
    const rt_import_spec *s = job->spec;
    album a = {.job = job, .h = s->height, .w = s->width, .c = s->channels};
    if (!a.h && job->size_like[0]) {
        a.h = job->size_like[0];
        a.w = job->size_like[1];
        rt_import_note(job, "pictures are %dx%d, as in %s", a.h, a.w, s->like);
    }
    if (!a.c) a.c = job->size_like[2] == 1 ? 1 : 3;
    rt_status st = walk(&a, s->input);
    if (!st && s->skip_bad) st = sort_out(&a);
    if (!st) {
        say(&a);
        st = label_all(&a);
    }
    if (!st) st = write_all(&a);
    if (!st) say_pictures(&a);
    for (uint64_t i = 0; i < a.files; i++) free(a.file[i].path);
    free(a.file);
    rt_label_set_free(&a.classes);
    return st;
}
