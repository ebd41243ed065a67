/* Integer programs, forged: an input is what stands in a file behind its digest, which is made good. A program that is
 * accepted is run on a row, and exported. */
#include "data/identity.h"
#include "export/exporter.h"
#include "student/calibrate.h"
#include "student/program.h"
#include "tests/fuzz/fuzz.h"

enum { DIGEST_AT = 24, DIGEST = 32, BODY = DIGEST_AT + DIGEST, CONTEXT_MOST = 1 << 24, ROW_MOST = 1 << 20 };

static void export_program(const rt_program *p)
{
    rt_c_files c;
    uint8_t *onnx;
    size_t n;
    int packed;
    fuzz_refused(rt_export_c(p, "net", NULL, &c));
    rt_c_files_free(&c);
    for (int opset = 17; opset <= 21; opset += 4)
        if (!fuzz_refused(
                rt_export_onnx(p, &(rt_onnx_spec){.opset = opset, .packed = opset == 21}, &onnx, &n, &packed)))
            free(onnx);
}

static void use_program(const rt_program *p)
{
    const rt_net_tensor *t = rt_program_net(p)->tensor;
    size_t row = (size_t)t->h * (size_t)t->w * (size_t)t->c * (rt_program_takes(p) ? 1 : sizeof(float));
    uint8_t *written, *x = NULL;
    size_t n = rt_program_bytes(p);
    void *context = NULL;
    float *y = calloc((size_t)rt_program_width(p) + 1, sizeof *y);
    if (!fuzz_refused(rt_program_write(p, &written, &n))) free(written);
    n = rt_program_bytes(p);
    if (n < CONTEXT_MOST && row < ROW_MOST && rt_net_macs(rt_program_net(p)) < 1e7) {
        x = calloc(1, row + 1);
        if (!x || !y || posix_memalign(&context, 64, n + 64)) abort();
        rt_program_start(p, context);
        rt_program_infer(p, context, y, x, 1);
        export_program(p);
    }
    free(context);
    free(x);
    free(y);
}

static void program(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = {'r', 'e', 't', 'o', 'r', 't', '-', 'q', 1, 0, 0, 0, RT_INT_CONTRACT, 0, 0, 0};
    size_t n = BODY + size;
    uint8_t *bytes = calloc(1, n);
    rt_program *p = NULL;
    if (!bytes) abort();
    memcpy(bytes, head, sizeof head);
    for (int i = 0; i < 8; i++) bytes[16 + i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(bytes + BODY, data, size);
    memcpy(bytes + DIGEST_AT, rt_digest_of(bytes, n).hex, DIGEST);
    if (!fuzz_refused(rt_program_read(&p, bytes, n, "program"))) use_program(p);
    rt_program_free(p);
    free(bytes);
}

int fuzz_record_program(const char *model, const char *to)
{
    enum { ROWS = 4 };
    rt_model *m = NULL;
    rt_program *p = NULL;
    uint8_t *bytes = NULL;
    size_t n;
    rt_device *device = rt_device_cpu(1);
    rt_calibrate_spec spec = {.correct = 1};
    if (rt_model_load(&m, model)) return 1;
    size_t in = m->input[0].size;
    float *x = malloc(ROWS * in * sizeof *x);
    if (!x) return 1;
    for (size_t i = 0; i < ROWS * in; i++) x[i] = (float)(i * 40503 % 1000) / 500 - 1;
    int bad = rt_calibrate(m, &spec, x, ROWS, device) || rt_program_of(&p, m) || rt_program_write(p, &bytes, &n);
    FILE *f = bad ? NULL : fopen(to, "wb");
    if (bad) fprintf(stderr, "%s\n", rt_error_message());
    bad = !f || fwrite(bytes + BODY, 1, n - BODY, f) != n - BODY || fclose(f);
    free(bytes);
    free(x);
    rt_program_free(p);
    rt_model_free(m);
    rt_device_close(device);
    return bad;
}

const fuzz_target fuzz_of_programs[] = {{"program", program}, {NULL, NULL}};
