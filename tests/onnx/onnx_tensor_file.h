/* tests/onnx/onnx_tensor_file.h - recorded tensors of ONNX's tests. */
#ifndef RT_TESTS_ONNX_TENSOR_FILE_H
#define RT_TESTS_ONNX_TENSOR_FILE_H

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "data/files.h"
#include "student/onnx/onnx_file.h"

/* The process ends after so many seconds of computing: the machine may be busy with others. */
static inline void end_after(unsigned n) { setrlimit(RLIMIT_CPU, &(struct rlimit){n, n}); }

static inline int there(const char *path)
{
    struct stat s;
    return !stat(path, &s);
}

static inline rt_status read_tensor(rt_array **a, const char **name, rt_region *r, const char *path)
{
    char *bytes;
    size_t n;
    RT_TRY(rt_read_file(&bytes, &n, path, 1u << 30));
    rt_status st = rt_onnx_tensor(a, name, r, bytes, n);
    free(bytes);
    return st ? rt_fail_in(st, "%s", path) : RT_OK;
}
#endif
