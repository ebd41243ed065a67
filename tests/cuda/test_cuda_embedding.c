/* Kernels of embeddings and positions: rows as they are, NaN where there is no id; the table's gradient against sums in
 * double, of few and many ids, seldom and often the same, over all borders of pieces and blocks; rows that are not
 * named stay as they are, to the bit; all orders of threads give the same bits. */
#include "tests/cuda/launched.h"

#include "engine/cuda/cuda_embedding.h"

typedef struct { int n, d, rows, way; } ids_case;
enum { SPREAD, ONE, HALF_ONE, RISING, BAD };

static int32_t *ids_of(const ids_case *k)
{
    int32_t *id = malloc((size_t)k->n * sizeof *id);
    uint32_t seed = 7;
    assert_non_null(id);
    for (int i = 0; i < k->n; i++) {
        seed = seed * 1664525u + 1013904223u;
        int any = (int)((seed >> 8) % (uint32_t)k->rows);
        id[i] = k->way == ONE ? k->rows - 1 : k->way == RISING ? (int)((int64_t)i * k->rows / k->n) : any;
        if (k->way == HALF_ONE && seed >> 31) id[i] = 0;
        if (k->way == BAD && any % 3 == 0) id[i] = i % 2 ? -1 : i % 4 ? k->rows : INT32_MIN;
    }
    return id;
}

static float *gradient_of(void *arg, size_t *n)
{
    const ids_case *k = arg;
    size_t size = (size_t)k->n * (size_t)k->d, table = (size_t)k->rows * (size_t)k->d;
    int32_t *hid = ids_of(k), *id = upload_bytes(hid, (size_t)k->n * sizeof *hid);
    float *hdy = random_floats(size, 1), *dy = upload(hdy, size), *dw = upload_all(0.25f, *n = table);
    void *room = upload_bytes(NULL, rt_embedding_room((size_t)k->n, k->d));
    rt_k_embedding_back(NULL, dw, dy, id, (size_t)k->n, k->d, k->rows, room);
    float *got = taken(dw, table);
    cuda_ok(cudaFree(id));
    cuda_ok(cudaFree(dy));
    cuda_ok(cudaFree(room));
    free(hid);
    free(hdy);
    return got;
}

static void check_gradient(ids_case *k)
{
    size_t n = 0, d = (size_t)k->d;
    float *got = gradient_of(k, &n), *dy = random_floats((size_t)k->n * d, 1);
    int32_t *id = ids_of(k);
    double *want = doubles(n), *size = doubles(n);
    char *named = calloc((size_t)k->rows, 1);
    for (size_t i = 0; i < (size_t)k->n; i++) {
        if (id[i] < 0 || id[i] >= k->rows) continue;
        named[id[i]] = 1;
        for (size_t c = 0; c < d; c++) {
            want[(size_t)id[i] * d + c] += (double)dy[i * d + c];
            size[(size_t)id[i] * d + c] += fabs((double)dy[i * d + c]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!named[i / d] && got[i] != 0.25f) fail_msg("row %zu is not named and was changed", i / d);
        double limit = 1e-6 * (size[i] + 0.25);
        if (!(fabs((double)got[i] - want[i] - 0.25) <= limit))
            fail_msg("(%d, %d) of %d, way %d, row %zu: %.9g, want %.9g", k->n, k->d, k->rows, k->way, i / d,
                     (double)got[i], want[i] + 0.25);
    }
    free(got);
    free(dy);
    free(id);
    free(want);
    free(size);
    free(named);
}

static void test_gradient(void **state)
{
    ids_case cases[] = {{1, 1, 1, ONE}, {5, 3, 7, SPREAD}, {64, 16, 1, ONE}, {65, 16, 3, ONE}, {128, 7, 2, RISING},
                        {1000, 20, 50, SPREAD}, {1024, 5, 16, RISING}, {1025, 5, 8, RISING}, {2049, 33, 5, SPREAD},
                        {3000, 4, 100000, SPREAD}, {4100, 3, 40, HALF_ONE}, {700, 300, 40, BAD}, {3100, 2, 9, BAD},
                        {4096, 2, 9, BAD}, {5000, 2, 1, ONE}, {2048, 40, 32, RISING}, {64, 1, 64, RISING},
                        {40, 9, 1, BAD}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_gradient(&cases[i]);
        if (i % 3 == 1) check_orders(gradient_of, &cases[i]);
    }
}

static void test_rows(void **state)
{
    static const ids_case cases[] = {{1, 1, 1, ONE}, {37, 5, 9, BAD}, {300, 16, 12, BAD}, {5, 7, 3, SPREAD}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ids_case *k = &cases[i];
        size_t d = (size_t)k->d, size = (size_t)k->n * d, table = (size_t)k->rows * d;
        int32_t *hid = ids_of(k), *id = upload_bytes(hid, (size_t)k->n * sizeof *hid);
        float *hw = random_floats(table, 2), *w = upload(hw, table), *y = upload(NULL, size);
        rt_k_embedding(NULL, y, w, id, (size_t)k->n, k->d, k->rows);
        float *got = taken(y, size);
        for (size_t j = 0; j < size; j++) {
            int32_t row = hid[j / d];
            if (row < 0 || row >= k->rows) assert_true(isnan(got[j]));
            else assert_true(got[j] == hw[(size_t)row * d + j % d]);
        }
        cuda_ok(cudaFree(id));
        cuda_ok(cudaFree(w));
        free(hid);
        free(hw);
        free(got);
    }
}

static void test_positions(void **state)
{
    static const struct { int rows, n; } cases[] = {{1, 1}, {3, 12}, {7, 33}, {20, 1028}, {5000, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = (size_t)cases[i].n, size = (size_t)cases[i].rows * n;
        float *hx = random_floats(size, 3), *hw = random_floats(n, 4), *x = upload(hx, size), *w = upload(hw, n),
              *y = upload(NULL, size), *to = upload(NULL, size);
        rt_k_position(NULL, y, x, w, (size_t)cases[i].rows, n);
        rt_k_pass_on(NULL, to, x, size, 0);
        rt_k_pass_on(NULL, to, y, size, 1);
        float *got = taken(y, size), *sum = taken(to, size);
        for (size_t j = 0; j < size; j++) {
            assert_true(got[j] == hx[j] + hw[j % n]);
            assert_true(sum[j] == hx[j] + got[j]);
        }
        cuda_ok(cudaFree(x));
        cuda_ok(cudaFree(w));
        float *host[] = {hx, hw, got, sum};
        for (int j = 0; j < 4; j++) free(host[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradient), cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
