/* Where there is no libFuzzer: fuzz_inputs [-runs=N] FILE|FOLDER... runs the target on each file as it is, then N times
 * on one of them with some bytes changed, by a fixed seed. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_FILES = 4096, MOST_BYTES = 1 << 20 };
typedef struct { uint8_t *data; size_t size; } input;
static input inputs[MOST_FILES];
static int count;
static uint64_t state = 2024;

static uint64_t draw(uint64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return below ? (state >> 33) % below : 0;
}

static void take(const char *path)
{
    struct stat s;
    struct dirent *e;
    DIR *d = opendir(path);
    while (d && (e = readdir(d))) {
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.') take(name);
    }
    if (d) {
        closedir(d);
        return;
    }
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &s) || s.st_size > MOST_BYTES || count == MOST_FILES) {
        if (f) fclose(f);
        return;
    }
    input *in = &inputs[count];
    in->data = malloc((size_t)s.st_size + 1);
    if (!in->data) abort();
    in->size = fread(in->data, 1, (size_t)s.st_size, f);
    fclose(f);
    count++;
}

/* A copy of just its size, so that a sanitizer sees a byte beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) abort();
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

/* Bytes changed, cut, doubled or taken from another input. */
static void change(uint8_t *p, size_t *size, size_t room)
{
    static const uint8_t liked[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', ',', '9', '-', '\n', '='};
    for (uint64_t n = 1 + draw(6); n; n--) {
        size_t at = (size_t)draw(*size);
        const input *other = &inputs[draw((uint64_t)count)];
        switch (*size ? draw(5) : 4) {
        case 0: p[at] ^= (uint8_t)(1u << draw(8)); break;
        case 1: p[at] = liked[draw(sizeof liked)]; break;
        case 2: p[at] = (uint8_t)draw(256); break;
        case 3: {
            size_t more = (size_t)draw(*size - at);
            if (draw(2)) *size -= more;
            else if (*size + more <= room) {
                memmove(p + at + more, p + at, *size - at);
                *size += more;
            }
            break;
        }
        default:
            if (other->size && *size < room) {
                size_t from = (size_t)draw(other->size), k = (size_t)draw(64);
                if (k > other->size - from) k = other->size - from;
                if (k > room - *size) k = room - *size;
                memmove(p + at + k, p + at, *size - at);
                memcpy(p + at, other->data + from, k);
                *size += k;
            }
        }
    }
}

int main(int argc, char **argv)
{
    static uint8_t room[2 * MOST_BYTES];
    long runs = 0;
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "-runs=", 6)) runs = strtol(argv[i] + 6, NULL, 10);
        else take(argv[i]);
    }
    for (int i = 0; i < count; i++) run(inputs[i].data, inputs[i].size);
    for (long i = 0; i < runs && count; i++) {
        const input *in = &inputs[draw((uint64_t)count)];
        size_t size = in->size;
        memcpy(room, in->data, size);
        change(room, &size, sizeof room);
        run(room, size);
    }
    printf("%d inputs, %ld changed ones\n", count, count ? runs : 0);
    for (int i = 0; i < count; i++) free(inputs[i].data);
    return count ? 0 : 1;
}
