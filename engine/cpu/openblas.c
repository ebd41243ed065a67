/* engine/cpu/openblas.c - the family openblas-CORE: the plain-C family with dense products by OpenBLAS. CORE names the
 * kernels that OpenBLAS chose for this CPU, on which the bits depend. It works on one thread: ours are the plan's, and
 * how it cuts a product among several would change the bits. */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "engine/cpu/family.h"
#include "engine/dots.h"

enum { COLS = 64, ROWS = 96 };

/* OpenBLAS built for one thread hands the same work space to two callers: they take turns. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int takes_turns;
static pthread_once_t settled = PTHREAD_ONCE_INIT;

static void settle(void)
{
    openblas_set_num_threads(1);
    takes_turns = openblas_get_parallel() == OPENBLAS_SEQUENTIAL;
}

/* OpenBLAS maps its work space with the first product, and where it cannot, it tries again for ever. So room for it is
 * tried here, and then taken by a product that no kernel for small ones computes. Built for several threads it has one
 * for each caller at a time. */
rt_status rt_dots_begin(int threads)
{
    enum { SIDE = 128 };
    static const size_t work = (size_t)128 << 20;
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    static int ready;
    pthread_once(&settled, settle);
    size_t n = work * (size_t)(takes_turns || threads < 1 ? 1 : threads);
    rt_status st = RT_OK;
    pthread_mutex_lock(&one);
    if (ready < (takes_turns ? 1 : threads)) {
        void *room = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED)
            st = rt_fail(RT_RUN, "out of memory: OpenBLAS needs %zu MiB of address space for products (ulimit -v, -d)",
                         n >> 20);
        else {
            munmap(room, n);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIDE, SIDE, SIDE, 1.0f, a, SIDE, a, SIDE, 0.0f, b,
                        SIDE);
            ready = takes_turns ? 1 : threads;
        }
    }
    pthread_mutex_unlock(&one);
    return st;
}

void rt_dots(float *s, ptrdiff_t ld, const float *a, int m, const float *b, int n, int d)
{
    pthread_once(&settled, settle);
    if (takes_turns) pthread_mutex_lock(&turn);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, d, 1.0f, a, d, b, d, 0.0f, s, (int)ld);
    if (takes_turns) pthread_mutex_unlock(&turn);
}

double rt_dots_error(int d)
{
    const double u = 0x1p-24, k = (d + 16.0) * u;
    return k < 0.5 ? k / (1 - k) : 1;
}

/* What a product starts with: 1 where the sum in y goes on. */
static float start(const rt_panels *a)
{
    for (int r = 0; a->bias && !a->accumulate && r < a->rows; r++)
        for (int n = 0; n < a->n; n++) a->y[r * a->y_ld + n] = a->bias[n];
    return a->bias || a->accumulate ? 1.0f : 0.0f;
}

/* A product of matrices may add up a row in another order when it has other rows beside it: rows that must be alone are
 * multiplied one by one. */
static void panel_product(const rt_panels *a)
{
    float beta = start(a);
    const float *w = a->w;
    if (takes_turns) pthread_mutex_lock(&turn);
    for (int n0 = 0; n0 < a->n; n0 += COLS, w += (ptrdiff_t)a->k * COLS) {
        int n = a->n - n0 < COLS ? a->n - n0 : COLS;
        float *y = a->y + n0;
        if (a->left)
            for (int r = 0; r < a->rows; r += ROWS)
                cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, a->rows - r < ROWS ? a->rows - r : ROWS, n, a->k,
                            1.0f, a->x + (ptrdiff_t)r * a->k, ROWS, w, COLS, beta, y + r * a->y_ld, (int)a->y_ld);
        else if (a->alone)
            for (int r = 0; r < a->rows; r++)
                cblas_sgemv(CblasRowMajor, CblasTrans, a->k, n, 1.0f, w, COLS, a->x + r * a->x_ld, 1, beta,
                            y + r * a->y_ld, 1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a->rows, n, a->k, 1.0f, a->x, (int)a->x_ld, w, COLS,
                        beta, y, (int)a->y_ld);
    }
    if (takes_turns) pthread_mutex_unlock(&turn);
    for (int r = 0; a->act && r < a->rows; r++)
        rt_family_scalar.affine_act(a->y + r * a->y_ld, a->y + r * a->y_ld, NULL, NULL, 1, a->n, a->act, 0);
}

static void panel_pack(float *to, const float *w, ptrdiff_t ld, int k, int n)
{
    rt_panels_by(to, w, ld, 1, k, n, COLS);
}
static void panel_pack_transposed(float *to, const float *w, ptrdiff_t ld, int k, int n)
{ rt_panels_by(to, w, 1, ld, k, n, COLS); }
static void panel_pack_left(float *to, const float *x, ptrdiff_t ld, int rows, int k)
{ rt_panels_by(to, x, ld, 1, k, rows, ROWS); }

rt_kernels rt_family_openblas;

void rt_family_openblas_init(void)
{
    static char name[64];
    pthread_once(&settled, settle);
    snprintf(name, sizeof name, "openblas-%s", openblas_get_corename());
    rt_family_openblas = rt_family_scalar;
    rt_family_openblas.name = name;
    rt_family_openblas.panel_cols = COLS;
    rt_family_openblas.panel_rows = ROWS;
    rt_family_openblas.panels_from = 1;              /* all of them */
    rt_family_openblas.panels_dw_from = 1;
    rt_family_openblas.panel_product = panel_product;
    rt_family_openblas.panel_pack = panel_pack;
    rt_family_openblas.panel_pack_transposed = panel_pack_transposed;
    rt_family_openblas.panel_pack_left = panel_pack_left;
}
