/* The way in for libFuzzer, and for fuzz_replay.c where there is none. */
#include "engine/clock.h"
#include "tests/fuzz/fuzz.h"

enum { SECONDS = 5 /* of computing for an input: by the thread's clock, the machine may be busy with others */ };

char fuzz_folder[64], fuzz_in[96], fuzz_out[96];
static const fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void clean(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", fuzz_folder);
    if (system(command)) return;
}

static const fuzz_target *find(const char *name)
{
    const fuzz_target *const lists[] = {fuzz_of_files, fuzz_of_texts, fuzz_of_stores, fuzz_of_plans,
                                        fuzz_of_programs, fuzz_of_onnx};
    for (int i = 0; i < 6; i++)
        for (const fuzz_target *t = lists[i]; t->name; t++) {
            if (!name) puts(t->name);
            else if (!strcmp(t->name, name)) return t;
        }
    return NULL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("RETORT_FUZZ_TARGET");
    if (*argc == 4 && !strcmp((*argv)[1], "record")) _exit(fuzz_record_plan((*argv)[2], (*argv)[3]));
    if (*argc == 4 && !strcmp((*argv)[1], "program")) _exit(fuzz_record_program((*argv)[2], (*argv)[3]));
    if (*argc == 4 && !strcmp((*argv)[1], "calls")) _exit(fuzz_record_calls((*argv)[2], (*argv)[3]));
    target = find(name);
    if (!target) {
        if (name) fprintf(stderr, "no target '%s'\n", name);
        exit(name ? 2 : 0);
    }
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/retort-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(fuzz_folder)) abort();
    snprintf(fuzz_in, sizeof fuzz_in, "%s/in", fuzz_folder);
    snprintf(fuzz_out, sizeof fuzz_out, "%s/out", fuzz_folder);
    atexit(clean);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double start = rt_thread_seconds();
    target->run(data, size);
    if (rt_thread_seconds() - start > SECONDS) {
        fprintf(stderr, "computed for %.1f s\n", rt_thread_seconds() - start);
        abort();
    }
    return 0;
}
