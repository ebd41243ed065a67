/* Losses on cards: PyTorch's recorded values; the CPU's at odd shapes, of every kind with labels, weights, masks and
 * mixtures; losses in double and their central differences. In several orders of threads, which give the same bits. */
#include "tests/cuda/step_block.h"
#include "tests/train/loss_cases.h"

#include "engine/cuda/cuda_losses.h"

/* What a card made of a loss: the gradient of each row, the rows' losses. */
typedef struct { float *g, *each; double loss; } made;

static void *copy_rows(const rt_loss_batch *b, int rows, int n)
{
    float *t = malloc((size_t)rows * (size_t)n * sizeof *t);
    for (int r = 0; r < rows; r++)
        memcpy(t + (size_t)r * (size_t)n, rt_loss_teacher(b, r, n), (size_t)n * sizeof *t);
    return t;
}

/* The third loss of a step of `there` rows of a batch of `rows`; g was filled with `before`, which is added to when it
 * is not NAN. */
static made on_card(const rt_loss_batch *b, const float *z, int there, int rows, int total, int n, float before)
{
    enum { I = 2, LOSSES = 3 };
    size_t count = (size_t)rows * (size_t)n, bytes = count * sizeof(float), of_rows = (size_t)rows * sizeof(float);
    made m = {malloc(bytes), malloc(of_rows), 0}, first = {0};
    float *each = calloc(LOSSES, of_rows), *g = malloc(bytes), *of_teacher = b->teacher ? copy_rows(b, rows, n) : NULL;
    for (int order = 0; order < ORDERS; order++) {
        in_order(order);
        step_block s = block_new(1, there);
        rt_cuda_loss_now *l = &s.now.loss[I];
        s.now.total = total;
        s.now.epoch = 3, s.now.step = 4;
        l->y = block_add(&s, b->y, of_rows);
        l->labels = block_add(&s, b->labels, count);
        l->mask = block_add(&s, b->mask, count);
        l->values = block_add(&s, b->values, bytes);
        l->teacher = block_add(&s, of_teacher, bytes);
        l->class_weight = block_add(&s, b->class_weight, (size_t)n * sizeof(float));
        l->hard_scale = b->hard_scale;
        l->soft_scale = b->soft_scale;
        l->teacher_mixed = b->teacher_mixed;
        s.now.partner = block_add(&s, b->partner, of_rows);
        s.now.lambda = b->lambda;
        void *ring;
        rt_cuda_now *now = block_send(&s, &ring);
        for (size_t i = 0; i < count; i++) g[i] = before;
        float *value = card_put(z, bytes), *grad = card_put(g, bytes), *loss_rows = card_put(each, LOSSES * of_rows),
              *planes = card_new(rt_cuda_loss_planes(&b->config, rows, n) * sizeof(float));
        rt_cuda_result result, *results = card_new(sizeof result);
        rt_cuda_trouble none = {0, ~0ull, ~0ull}, *trouble = card_put(&none, sizeof none);
        rt_k_loss(0, &b->config, I, value, grad, !isnan(before), loss_rows + I * rows, planes, rows, n, now);
        rt_k_loss_end(0, &(rt_loss_sums){loss_rows, LOSSES, rows, results, 1, trouble}, now);
        card_get(m.g, grad, bytes);
        card_get(m.each, loss_rows + I * rows, of_rows);
        card_get(&result, results, sizeof result);
        m.loss = result.loss[I];
        assert_true(result.epoch == 3 && result.step == 4 && result.loss[0] == 0);
        if (!order) {
            first = m;
            m = (made){malloc(bytes), malloc(of_rows), 0};
        } else {
            assert_memory_equal(m.g, first.g, bytes);
            assert_memory_equal(m.each, first.each, of_rows);
            assert_memory_equal(&m.loss, &first.loss, sizeof m.loss);
        }
        void *all[] = {ring, now, value, grad, loss_rows, planes, results, trouble};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) card_ok(cudaFree(all[i]));
    }
    in_order(0);
    free(m.g);
    free(m.each);
    free(each);
    free(g);
    free(of_teacher);
    return first;
}

static void end(made m)
{
    free(m.g);
    free(m.each);
}

static void against_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reference / sizeof reference[0]; i++) {
        rt_loss_batch b = classes_of(i);
        made m = on_card(&b, reference_z, 3, 3, 3, 4, NAN);
        check_close(reference[i].name, m.loss, reference[i].loss, 1e-6, 2e-6);
        for (int k = 0; k < 12; k++) check_close(reference[i].name, m.g[k], reference[i].grad[k], 5e-7, 2e-5);
        end(m);
    }
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        rt_loss_batch b = batch_of(elements[i].name);
        made m = on_card(&b, reference_z, 3, 3, 3, 4, NAN);
        check_close(elements[i].name, m.loss, elements[i].loss, 1e-6, 2e-6);
        for (int k = 0; k < 12; k++) check_close(elements[i].name, m.g[k], elements[i].grad[k], 5e-7, 2e-5);
        end(m);
    }
}

/* ---- losses in double, as engine/losses.h writes them ---- */

enum { MOST = 1024 };                  /* classes */
typedef struct { double p, log_p; } chance;
static void softmax(chance *p, const double *z, double t, int n)
{
    double most = -INFINITY, sum = 0;
    for (int j = 0; j < n; j++) most = fmax(most, z[j] / t);
    for (int j = 0; j < n; j++) sum += exp(z[j] / t - most);
    for (int j = 0; j < n; j++) p[j].log_p = z[j] / t - most - log(sum), p[j].p = exp(p[j].log_p);
}
static void answer(chance *q, const rt_loss_batch *b, int row, int n, int standard)
{
    int mixed = b->partner && !b->teacher_mixed;
    double t = b->config.temperature, z[2][n], mean, dev;
    chance of[2][n];
    for (int s = 0; s < 1 + mixed; s++) {
        const float *from = rt_loss_teacher(b, s ? b->partner[row] : row, n);
        mean = dev = 0;
        for (int j = 0; j < n; j++) mean += (z[s][j] = from[j]) / n;
        for (int j = 0; j < n; j++) dev += (z[s][j] - mean) * (z[s][j] - mean) / (n > 1 ? n - 1 : 1);
        for (int j = 0; j < n && standard; j++) z[s][j] = (z[s][j] - mean) / (sqrt(dev) + 1e-7);
        softmax(of[s], z[s], t, n);
    }
    double own = mixed ? (double)b->lambda : 1;
    for (int j = 0; j < n && standard && mixed; j++) z[0][j] = own * z[0][j] + (1 - own) * z[1][j];
    if (standard) softmax(q, z[0], t, n);
    for (int j = 0; j < n && !standard; j++) {
        q[j].p = own * of[0][j].p + (mixed ? (1 - own) * of[1][j].p : 0);
        q[j].log_p = log(q[j].p);
    }
}
static double kl(const chance *q, const chance *p, int n)
{
    double s = 0;
    for (int j = 0; j < n; j++) s += q[j].p * (q[j].log_p - p[j].log_p);
    return s;
}

static double class_loss(const rt_loss_batch *b, const double *z, int row, int n)
{
    const rt_loss_desc *c = &b->config;
    double loss = 0, t = c->temperature, t2 = t * t, e = c->smoothing, x[MOST] = {0}, mean = 0, dev = 0;
    chance p[MOST], q[MOST];
    softmax(p, z, 1, n);
    for (int s = 0; s < 1 + (b->partner != NULL) && b->y && c->hard > 0; s++) {
        int y = b->y[s ? b->partner[row] : row];
        double part = !b->partner ? 1 : s ? 1 - (double)b->lambda : (double)b->lambda;
        for (int j = 0; j < n && y >= 0; j++)
            loss -= c->hard * (b->hard_scale > 0 ? (double)b->hard_scale : 1) * part *
                    (b->class_weight ? (double)b->class_weight[j] : 1) * ((j == y) * (1 - e) + e / n) * p[j].log_p;
    }
    if (!b->teacher || !(c->soft > 0) || c->kind == RT_SOFT_DIST) return loss;
    answer(q, b, row, n, c->kind == RT_SOFT_ZSCORE);
    for (int j = 0; j < n; j++) mean += z[j] / n;
    for (int j = 0; j < n; j++) dev += (z[j] - mean) * (z[j] - mean) / (n > 1 ? n - 1 : 1);
    for (int j = 0; j < n; j++) x[j] = c->kind == RT_SOFT_ZSCORE ? (z[j] - mean) / (sqrt(dev) + 1e-7) : z[j];
    softmax(p, x, t, n);
    if (c->kind == RT_SOFT_KD || c->kind == RT_SOFT_ZSCORE) loss += c->soft * t2 * kl(q, p, n);
    if (c->kind == RT_SOFT_MSE)
        for (int j = 0; j < n; j++) {
            double a = rt_loss_teacher(b, row, n)[j];
            if (b->partner && !b->teacher_mixed)
                a = (double)b->lambda * a + (1 - (double)b->lambda) * rt_loss_teacher(b, b->partner[row], n)[j];
            loss += c->soft * (z[j] - a) * (z[j] - a);
        }
    if (c->kind == RT_SOFT_DKD) {
        int y = b->y && !c->teacher_target ? b->y[row] : -1;
        if (y < 0) for (int j = y = 0; j < n; j++) if (q[j].p > q[y].p) y = j;
        double pr = 0, qr = 0, nckd = 0;
        for (int j = 0; j < n; j++) if (j != y) pr += p[j].p, qr += q[j].p;
        for (int j = 0; j < n; j++)
            if (j != y) nckd += q[j].p / qr * log(q[j].p / qr / (p[j].p / pr));
        double tckd = n > 1 ? q[y].p * log(q[y].p / p[y].p) + qr * log(qr / pr) : 0;
        loss += c->soft * (double)b->soft_scale * t2 * (c->alpha * tckd + c->beta * nckd);
    }
    return loss;
}

static double plus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double element(const rt_loss_desc *c, double d)
{
    if (c->hard_kind == RT_HARD_HUBER) return fabs(d) <= c->delta ? d * d / 2 : c->delta * (fabs(d) - c->delta / 2);
    if (c->hard_kind == RT_HARD_QUANTILE) return fmax(-(double)c->level * d, (1 - (double)c->level) * d);
    return d * d;
}

static double element_loss(const rt_loss_batch *b, const double *z, int row, int n)
{
    const rt_loss_desc *c = &b->config;
    double loss = 0, t = c->temperature;
    for (int j = 0; j < n; j++) {
        if (c->hard_kind == RT_HARD_HINT) {
            loss += c->hard * pow(z[j] - b->values[row * n + j], 2) / n;
            continue;
        }
        for (int s = 0; s < 1 + (b->partner != NULL) && (b->values || b->labels); s++) {
            int at = (s ? b->partner[row] : row) * n + j;
            double part = !b->partner ? 1 : s ? 1 - (double)b->lambda : (double)b->lambda;
            if (b->mask && !b->mask[at]) continue;
            loss += part * c->hard * (b->hard_scale > 0 ? (double)b->hard_scale : 1) *
                    (b->labels ? plus(z[j]) - b->labels[at] * z[j] : element(c, z[j] - b->values[at]));
        }
        if (!b->teacher || !(c->soft > 0)) continue;
        int mixed = b->partner && !b->teacher_mixed;
        double own = mixed ? (double)b->lambda : 1, a = rt_loss_teacher(b, row, n)[j],
               o = mixed ? rt_loss_teacher(b, b->partner[row], n)[j] : 0;
        if (c->kind == RT_SOFT_VALUES) loss += c->soft * element(c, z[j] - (own * a + (1 - own) * o));
        if (c->kind == RT_SOFT_BKD) {
            double q = own / (1 + exp(-a / t)) + (1 - own) / (1 + exp(-o / t)), x = z[j] / t;
            loss += c->soft * t * t * (q * (log(q) + plus(-x)) + (1 - q) * (log(1 - q) + plus(x)));
        }
    }
    return loss;
}

static double far(const chance *a, const chance *b, int n, int stride)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) ma += a[i * stride].p / n, mb += b[i * stride].p / n;
    for (int i = 0; i < n; i++) {
        double x = a[i * stride].p - ma, y = b[i * stride].p - mb;
        aa += x * x, bb += y * y, ab += x * y;
    }
    return 1 - ab / ((sqrt(aa) + 1e-8) * (sqrt(bb) + 1e-8));
}

/* The sum over rows; of row `alone` when that is not -1 and no other row depends on it. */
static double sum_of(const rt_loss_batch *b, const double *z, int rows, int n, int alone)
{
    const rt_loss_desc *c = &b->config;
    double s = 0, w = (double)c->soft * c->temperature * c->temperature;
    int dist = c->task == RT_TASK_CLASSES && c->kind == RT_SOFT_DIST && b->teacher && c->soft > 0;
    for (int r = 0; r < rows; r++)
        if (alone < 0 || dist || r == alone)
            s += (c->task == RT_TASK_CLASSES ? class_loss : element_loss)(b, z + r * n, r, n);
    if (!dist) return s;
    chance *p = malloc((size_t)(rows * n) * sizeof *p), *q = malloc((size_t)(rows * n) * sizeof *q);
    for (int r = 0; r < rows; r++) {
        softmax(p + r * n, z + r * n, c->temperature, n);
        answer(q + r * n, b, r, n, 0);
    }
    for (int r = 0; r < rows; r++) s += w * c->beta * far(p + r * n, q + r * n, n, 1);
    for (int j = 0; j < n; j++) s += rows * w * c->gamma * far(p + j, q + j, rows, n) / n;
    free(p);
    free(q);
    return s;
}

/* Values and gradients of rows of n against those: relative to the greatest of a row's gradients. */
static void check_double(const char *name, const rt_loss_batch *b, const float *z, int rows, int total, int n,
                         const made *m)
{
    int count = rows * n, step = count > 300 ? count / 150 : 1;
    double *x = malloc((size_t)count * sizeof *x), h = 1e-5, most[rows];
    for (int i = 0; i < count; i++) x[i] = z[i];
    check_close(name, m->loss, sum_of(b, x, rows, n, -1) / total, 1e-6, 2e-5);
    for (int r = 0; r < rows; r++) {
        most[r] = 0;
        for (int j = 0; j < n; j++) most[r] = fmax(most[r], fabs(m->g[r * n + j]));
    }
    for (int i = 0; i < count; i += step) {
        x[i] = z[i] + h;
        double up = sum_of(b, x, rows, n, i / n);
        x[i] = z[i] - h;
        double slope = (up - sum_of(b, x, rows, n, i / n)) / (2 * h * total);
        x[i] = z[i];
        check_close(name, m->g[i], slope, (n > 1 ? 1e-8 : 1e-7) + 2e-5 * most[i / n], 0);
    }
    free(x);
}

/* ---- made batches ---- */

typedef struct {
    int32_t *y, *partner;
    uint8_t *labels, *mask;
    float *z, *values, *teacher, *weight;
} material;

static float number(uint32_t i, uint32_t lane)
{
    uint32_t r[4];
    rt_random4(r, 5, RT_RNG_TEST, 0, 0, i, lane);
    return rt_unit(r[0]) * 2 - 1;
}

static material material_of(int rows, int n)
{
    size_t count = (size_t)rows * (size_t)n;
    material m = {malloc((size_t)rows * 4), malloc((size_t)rows * 4), malloc(count), malloc(count),
                  malloc(count * 4), malloc(count * 4), malloc(count * 4), malloc((size_t)n * 4)};
    for (int r = 0; r < rows; r++) {
        m.y[r] = r % 3 == 1 ? -1 : (r * 7 + 1) % n;
        m.partner[r] = (r * 5 + 2) % rows;
    }
    for (uint32_t i = 0; i < count; i++) {
        m.z[i] = 4 * number(i, 0);
        m.values[i] = 4 * number(i, 1);
        m.teacher[i] = 5 * number(i, 2);
        m.labels[i] = number(i, 3) > 0;
        m.mask[i] = number(i, 4) > -0.5f;
    }
    for (uint32_t j = 0; j < (uint32_t)n; j++) m.weight[j] = 1.2f + number(j, 5);
    return m;
}
static void material_end(material m)
{
    void *all[] = {m.y, m.partner, m.labels, m.mask, m.z, m.values, m.teacher, m.weight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Kinds of losses by number, and in `way` a bit for each of mixture, the teacher's own mixture, weights or masks,
 * smoothing and scales. */
enum { CLASSES = 6, KINDS = CLASSES + 5, WAYS = 16 };
static rt_loss_batch made_batch(const material *m, int kind, int way)
{
    static const rt_hard_kind hards[] = {RT_HARD_BCE, RT_HARD_MSE, RT_HARD_HUBER, RT_HARD_QUANTILE, RT_HARD_HINT};
    rt_loss_batch b = {.config = {.hard = 0.4f, .soft = 0.7f, .temperature = 1.7f, .alpha = 0.8f, .beta = 1.5f,
                                  .gamma = 0.6f, .delta = 1.1f, .level = 0.8f},
                       .lambda = 1, .soft_scale = 1};
    b.teacher = m->teacher;
    if (kind < CLASSES) {
        b.config.kind = (rt_soft_kind)kind;
        b.y = m->y;
        if (way & 4) b.class_weight = m->weight;
        if (way & 8) b.config.smoothing = 0.1f, b.soft_scale = 0.5f, b.config.teacher_target = way & 1;
    } else {
        b.config.hard_kind = hards[kind - CLASSES];
        b.config.task = kind == CLASSES ? RT_TASK_MULTILABEL : RT_TASK_REAL;
        b.config.kind = kind == CLASSES ? RT_SOFT_BKD : RT_SOFT_VALUES;
        if (kind == CLASSES) b.labels = m->labels;
        else b.values = m->values;
        if (way & 4) b.mask = m->mask;
        if (b.config.hard_kind == RT_HARD_HINT) b.teacher = NULL, b.config.kind = RT_SOFT_NONE;
    }
    if (way & 8) b.hard_scale = 1.3f;
    if (way & 1) b.partner = m->partner, b.lambda = 0.3f;
    if (way & 2) b.teacher_mixed = 1;
    return b;
}

static const int shapes[][2] = {{1, 1}, {3, 2}, {5, 10}, {4, 33}, {3, 256}, {4, 257}, {3, 700}, {37, 3}};

static void every_kind(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        int rows = shapes[s][0], n = shapes[s][1], count = rows * n;
        material m = material_of(rows, n);
        float *g = malloc((size_t)count * 4), *each = malloc((size_t)rows * 4);
        for (int kind = 0; kind < KINDS; kind++)
            for (int way = (int)(s % 2); way < WAYS; way += count > 500 ? 5 : 1) {
                char name[80];
                rt_loss_batch b = made_batch(&m, kind, way);
                snprintf(name, sizeof name, "kind %d, way %d, (%d, %d)", kind, way, rows, n);
                made a = on_card(&b, m.z, rows, rows, rows, n, NAN);
                check_double(name, &b, m.z, rows, rows, n, &a);
                run_rows(&b, m.z, 0, rows, rows, n, g, each);
                for (int r = 0; r < rows; r++) {
                    double most = 0;
                    for (int j = 0; j < n; j++) most = fmax(most, fabs(g[r * n + j]));
                    check_close(name, a.each[r], each[r], 2e-6, 2e-5);
                    double limit = (n > 1 ? 1e-8 : 1e-7) + (kind == RT_SOFT_DIST ? 5e-4 : 5e-5) * most;
                    for (int j = 0; j < n; j++) check_close(name, a.g[r * n + j], g[r * n + j], limit, 0);
                }
                end(a);
            }
        material_end(m);
        free(g);
        free(each);
    }
}

/* A part of a batch that others share, rows that are not there, gradients that are added to. */
static void parts_of_batches(void **state)
{
    (void)state;
    enum { ROWS = 7, N = 12, THERE = 5, TOTAL = 20 };
    material m = material_of(ROWS, N);
    for (int r = 0; r < ROWS; r++) m.partner[r] %= THERE;
    for (int kind = 0; kind < KINDS; kind++)
        for (int way = 0; way < 2; way++) {
            float g[ROWS * N], each[ROWS];
            rt_loss_batch b = made_batch(&m, kind, way);
            made a = on_card(&b, m.z, THERE, ROWS, TOTAL, N, NAN), c = on_card(&b, m.z, THERE, ROWS, TOTAL, N, 0.25f);
            run_rows(&b, m.z, 0, THERE, TOTAL, N, g, each);
            double sum = 0;
            for (int i = 0; i < ROWS * N; i++) {
                if (i < THERE * N) check_close("gradient", a.g[i], g[i], 2e-6, 2e-5);
                else assert_true(a.g[i] == 0);
                check_close("sum", c.g[i], a.g[i] + 0.25, 1e-7, 0);
            }
            for (int r = 0; r < ROWS; r++) {
                if (r < THERE) check_close("loss", a.each[r], each[r], 2e-6, 2e-5);
                else assert_true(a.each[r] == 0);
                sum += a.each[r];
            }
            check_close("mean", a.loss, sum / TOTAL, 0, 1e-12);
            end(a);
            end(c);
        }
    material_end(m);
}

/* Without labels, without a teacher, and without weight, there is nothing of that part. */
static void parts_that_are_not_there(void **state)
{
    (void)state;
    enum { ROWS = 3, N = 9 };
    material m = material_of(ROWS, N);
    for (int kind = 0; kind < KINDS - 1; kind++)
        for (int without = 0; without < 6; without++) {
            float g[ROWS * N], each[ROWS];
            rt_loss_batch b = made_batch(&m, kind, 0);
            if (without == 0) b.y = NULL, b.labels = NULL, b.values = NULL;
            if (without == 1) b.teacher = NULL;
            if (without == 2) b.config.hard = 0;
            if (without == 3) b.config.soft = 0;
            if (without == 4) b.config.hard = b.config.soft = 0;
            if (without == 5) b.config.kind = kind < CLASSES ? RT_SOFT_BKD : RT_SOFT_KD;
            made a = on_card(&b, m.z, ROWS, ROWS, ROWS, N, NAN);
            run_rows(&b, m.z, 0, ROWS, ROWS, N, g, each);
            for (int i = 0; i < ROWS * N; i++) check_close("gradient", a.g[i], g[i], 2e-6, 2e-5);
            for (int r = 0; r < ROWS; r++) check_close("loss", a.each[r], each[r], 2e-6, 2e-5);
            end(a);
        }
    material_end(m);
}

/* A target class whose chance is nearly 1 leaves the others what they share exactly, where 1 - p would not. */
static void sure_answers(void **state)
{
    (void)state;
    const float z[6] = {17, 0.5f, -1, 3, 21, 2}, t[6] = {12, 1, 0.5f, 0, 11, 4};
    const int32_t y[2] = {0, 1};
    rt_loss_batch b = {.config = {.kind = RT_SOFT_DKD, .soft = 1, .temperature = 1, .alpha = 1, .beta = 1}, .y = y,
                       .teacher = t, .lambda = 1, .soft_scale = 1};
    made a = on_card(&b, z, 2, 2, 2, 3, NAN);
    check_double("dkd", &b, z, 2, 2, 3, &a);
    end(a);
}

/* The teacher's class is the first of its greatest, also behind the first warp's width. */
static void ties(void **state)
{
    (void)state;
    enum { N = 300 };
    float z[N], t[N], g[N], each[1];
    for (int first = 0; first < N; first += 43) {
        for (int j = 0; j < N; j++) z[j] = number((uint32_t)j, 6), t[j] = j == first || j % 50 == 49 ? 2 : -1;
        rt_loss_batch b = {.config = {.kind = RT_SOFT_DKD, .soft = 1, .temperature = 1, .alpha = 1, .beta = 1},
                           .teacher = t, .lambda = 1, .soft_scale = 1};
        made a = on_card(&b, z, 1, 1, 1, N, NAN);
        run_rows(&b, z, 0, 1, 1, N, g, each);
        check_close("loss", a.each[0], each[0], 0, 2e-5);
        for (int j = 0; j < N; j++) check_close("gradient", a.g[j], g[j], 1e-7, 1e-4);
        end(a);
    }
}

/* One value that is not finite makes its row's loss so, of all kinds, and no other's that is not mixed with it. */
static void not_finite(void **state)
{
    (void)state;
    enum { ROWS = 5, N = 40 };
    material m = material_of(ROWS, N);
    m.z[2 * N + 39] = NAN;
    for (int kind = 0; kind < KINDS; kind++) {
        rt_loss_batch b = made_batch(&m, kind, 0);
        m.y[2] = 3;
        made a = on_card(&b, m.z, ROWS, ROWS, ROWS, N, NAN);
        for (int r = 0; r < ROWS; r++)
            if (kind != RT_SOFT_DIST) assert_int_equal(!isfinite(a.each[r]), r == 2);
        assert_false(isfinite(a.loss));
        end(a);
    }
    material_end(m);
}

/* ---- the end of a step ---- */

static void ends(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 5, 15}, batches[] = {1, 7, 33, 260, 2100};
    for (size_t c = 0; c < 5; c++)
        for (size_t k = 0; k < 5; k++) {
            enum { RESULTS = 3 };
            int losses = counts[c], batch = batches[k], rows = batch - batch / 5;
            size_t n = (size_t)(losses * batch);
            float *each = malloc(n * sizeof *each);
            for (size_t i = 0; i < n; i++) each[i] = number((uint32_t)i, 7);
            for (int l = 0; l < losses; l++) for (int r = rows; r < batch; r++) each[l * batch + r] = NAN;
            rt_cuda_result first[RESULTS], result[RESULTS];
            for (int order = 0; order < ORDERS; order++) {
                in_order(order);
                step_block s = block_new(5, rows);
                s.now.total = 77;
                s.now.epoch = 8, s.now.step = 9;
                void *ring;
                rt_cuda_now *now = block_send(&s, &ring);
                memset(result, 1, sizeof result);
                rt_cuda_trouble none = {0, ~0ull, ~0ull}, *trouble = card_put(&none, sizeof none);
                rt_cuda_result *results = card_put(result, sizeof result);
                float *loss_rows = card_put(each, n * sizeof *each);
                rt_k_loss_end(0, &(rt_loss_sums){loss_rows, losses, batch, results, RESULTS, trouble}, now);
                card_get(result, results, sizeof result);
                card_get(&none, trouble, sizeof none);
                assert_true(none.bad == 0 && result[1].bad == 0 && result[1].epoch == 8 && result[1].step == 9);
                assert_true(result[0].unused == 0x01010101 && result[2].unused == 0x01010101);
                double total = 0;
                for (int l = 0; l < RT_MAX_LOSSES; l++) {
                    double sum = 0;
                    for (int r = 0; r < rows && l < losses; r++) sum += each[l * batch + r];
                    check_close("loss", result[1].loss[l], sum / 77, 1e-13, 1e-13);
                    total += sum / 77;
                }
                check_close("total", result[1].total, total, 1e-13, 1e-13);
                if (!order) memcpy(first, result, sizeof first);
                assert_memory_equal(first, result, sizeof first);
                void *all[] = {ring, now, trouble, results, loss_rows};
                for (size_t i = 0; i < 5; i++) card_ok(cudaFree(all[i]));
            }
            in_order(0);
            free(each);
        }
}

/* The first step whose loss is not finite is kept; what comes after is bad, too. */
static void troubles(void **state)
{
    (void)state;
    static const float bads[] = {NAN, INFINITY, -INFINITY};
    rt_cuda_trouble none = {0, ~0ull, ~0ull}, t;
    for (int i = 0; i < 3; i++) {
        rt_cuda_trouble *trouble = card_put(&none, sizeof none);
        rt_cuda_result r, *result = card_new(sizeof r);
        for (uint64_t number = 1; number < 6; number++) {
            float each[4] = {1, 2, 3, number == 3 || number == 4 ? bads[(i + (int)number) % 3] : 4};
            step_block s = block_new(number, 2);
            void *ring;
            rt_cuda_now *now = block_send(&s, &ring);
            float *loss_rows = card_put(each, sizeof each);
            rt_k_loss_end(0, &(rt_loss_sums){loss_rows, 2, 2, result, 1, trouble}, now);
            card_get(&r, result, sizeof r);
            card_get(&t, trouble, sizeof t);
            assert_int_equal(r.bad, number >= 3);
            assert_true(t.bad == (number >= 3 ? 3 : 0) && t.weight == ~0ull && t.gradient == ~0ull);
            assert_int_equal(!isfinite(r.total), number == 3 || number == 4);
            void *all[] = {ring, now, loss_rows};
            for (size_t k = 0; k < 3; k++) card_ok(cudaFree(all[k]));
        }
        card_ok(cudaFree(trouble));
        card_ok(cudaFree(result));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_pytorch), cmocka_unit_test(every_kind), cmocka_unit_test(parts_of_batches),
        cmocka_unit_test(parts_that_are_not_there), cmocka_unit_test(sure_answers), cmocka_unit_test(ties),
        cmocka_unit_test(not_finite), cmocka_unit_test(ends), cmocka_unit_test(troubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
