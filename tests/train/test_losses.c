/* Losses against PyTorch's recorded values and gradients, hand-computed numbers, and finite differences for mixtures.
 */
#include "train/loss_policy.h"
#include "tests/support.h"
#include "tests/train/loss_cases.h"

static double run(const rt_loss_batch *b, const float *z, int rows, int k, float *grad)
{
    float loss[64];
    run_rows(b, z, 0, rows, rows, k, grad, loss);
    double s = 0;
    for (int i = 0; i < rows; i++) s += loss[i];
    return s / rows;
}

static void against_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reference / sizeof reference[0]; i++) {
        float grad[12];
        rt_loss_batch b = classes_of(i);
        check_close(reference[i].name, run(&b, reference_z, 3, 4, grad), reference[i].loss, 1e-6, 2e-6);
        for (int k = 0; k < 12; k++) check_close(reference[i].name, grad[k], reference[i].grad[k], 5e-7, 2e-5);
    }
}

static void elements_against_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        float grad[12], wide[3 * 7];
        rt_loss_batch b = batch_of(elements[i].name);
        for (int way = 0; way < 2; way++) {
            check_close(elements[i].name, run(&b, reference_z, 3, 4, grad), elements[i].loss, 1e-6, 2e-6);
            for (int k = 0; k < 12; k++) check_close(elements[i].name, grad[k], elements[i].grad[k], 5e-7, 2e-5);
            for (int r = 0; r < 3; r++) memcpy(wide + r * 7 + 2, reference_t + r * 4, 4 * sizeof(float));
            if (b.teacher) b.teacher = wide + 2;     /* the same as columns 2 to 5 of seven */
            b.stride = 7;
        }
    }
}

/* A head's answers among those of other heads: the same bits as alone. */
static void a_part_of_the_teachers_row(void **state)
{
    (void)state;
    float wide[3 * 9], one[12], two[12];
    int partner[3] = {1, 2, 0};
    for (int r = 0; r < 3; r++) memcpy(wide + r * 9 + 5, reference_t + r * 4, 4 * sizeof(float));
    for (int mixed = 0; mixed < 2; mixed++)
        for (int kind = RT_SOFT_KD; kind <= RT_SOFT_MSE; kind++) {
            rt_loss_batch b = {.config = {.kind = kind, .hard = 0.3f, .soft = 0.7f, .temperature = 3, .alpha = 1,
                                          .beta = 2, .gamma = 1},
                               .y = reference_y, .teacher = reference_t, .partner = mixed ? partner : NULL,
                               .lambda = mixed ? 0.6f : 1, .soft_scale = 1};
            double alone = run(&b, reference_z, 3, 4, one);
            b.teacher = wide + 5;
            b.stride = 9;
            assert_true(run(&b, reference_z, 3, 4, two) == alone);
            assert_memory_equal(one, two, sizeof one);
        }
}

/* Both terms, mixtures and masks: the gradient against central differences. */
static void elements_of_mixtures(void **state)
{
    (void)state;
    static const char *const names[] = {"bce", "mse", "huber", "quantile"};
    int partner[3] = {1, 2, 0};
    for (int n = 0; n < 4; n++)
        for (int way = 0; way < 4; way++) {
            rt_loss_batch b = batch_of(names[n]);
            b.config.hard = 0.4f;
            b.config.soft = 0.6f;
            b.config.kind = n ? RT_SOFT_VALUES : RT_SOFT_BKD;
            b.teacher = reference_t;
            b.partner = partner;
            b.lambda = 0.7f;
            b.teacher_mixed = way & 1;
            b.mask = way & 2 ? reference_mask : NULL;
            float z[12], g[12], unused[12];
            for (int i = 0; i < 12; i++) z[i] = reference_z[i] + 0.013f * (float)(i + 1);    /* off every corner */
            run(&b, z, 3, 4, g);
            double most = 0;
            for (int i = 0; i < 12; i++) {
                float keep = z[i], h = 0.004f;
                z[i] = keep + h;
                double up = run(&b, z, 3, 4, unused);
                z[i] = keep - h;
                double down = run(&b, z, 3, 4, unused);
                z[i] = keep;
                check_close(names[n], g[i], (up - down) / (2 * h), 1e-3, 2e-3);
                most = fmax(most, fabs(g[i]));
            }
            assert_true(most > 0.05);
        }
}

/* A mixture with itself is the row; one of a row without targets has the other's loss, by its share. */
static void elements_mixed_with_themselves(void **state)
{
    (void)state;
    static const char *const names[] = {"bce", "bkd", "mse", "huber_soft", "quantile"};
    int self[3] = {0, 1, 2}, other[3] = {2, 2, 2};
    for (int n = 0; n < 5; n++) {
        rt_loss_batch b = batch_of(names[n]);
        float g[12], want[12];
        double loss = run(&b, reference_z, 3, 4, want);
        b.partner = self;
        b.lambda = 0.3f;
        check_close(names[n], run(&b, reference_z, 3, 4, g), loss, 1e-6, 1e-6);
        for (int i = 0; i < 12; i++) check_close(names[n], g[i], want[i], 1e-6, 1e-5);
        if (strstr(names[n], "soft") || n == 1) {
            b.partner = other;
            double mixed = run(&b, reference_z, 3, 4, g);
            b.teacher_mixed = 1;                     /* it answered the mixture: its answers are taken as they are */
            assert_true(fabs(mixed - loss) > 0.01);
            check_close(names[n], run(&b, reference_z, 3, 4, g), loss, 0, 0);
            continue;
        }
        b.partner = NULL;
        b.mask = reference_mask;
        loss = run(&b, reference_z, 3, 4, want);
        b.partner = other;                                       /* row 2 has no target at all */
        check_close(names[n], run(&b, reference_z, 3, 4, g), 0.3 * loss, 1e-6, 1e-5);
    }
}

/* The labelled mean counts a row by the part of it that has targets: 3/4 + 1 of 3 rows here. */
static void labelled_elements(void **state)
{
    (void)state;
    rt_loss_batch b = batch_of("bce");
    assert_true(rt_loss_labelled_scale(&b, 3, 4) == 1.0f);
    b.mask = reference_mask;
    check_close("scale", rt_loss_labelled_scale(&b, 3, 4), 3 / 1.75, 1e-6, 0);
    int other[3] = {2, 2, 2};
    b.partner = other;
    b.lambda = 0.25f;
    check_close("mixed", rt_loss_labelled_scale(&b, 3, 4), 3 / (0.25 * 1.75), 1e-5, 0);
    static const uint8_t none[12];
    b.mask = none;
    assert_true(rt_loss_labelled_scale(&b, 3, 4) == 1.0f);
    float g[12];
    assert_true(run(&b, reference_z, 3, 4, g) == 0);
    for (int i = 0; i < 12; i++) assert_true(g[i] == 0);
    b = batch_of("bce");
    float z[2] = {1000, -1000};
    double far = run(&b, z, 1, 2, g);                            /* labels 1, 0: finite and nothing; then reversed */
    assert_true(far == 0 && g[0] == 0 && g[1] == 0);
    z[0] = -1000;
    check_close("far", run(&b, z, 1, 2, g), 1000, 1e-3, 0);
    b = batch_of("bkd");
    assert_true(isfinite(run(&b, z, 1, 2, g)));
}

static cJSON *read_loss(rt_task task, const char *text, int soft, rt_loss_config *l, rt_status want, const char *word)
{
    cJSON *j = cJSON_Parse(text);
    rt_cfg c = rt_cfg_begin(j, "loss");
    rt_loss_read(&c, l, task, soft);
    rt_status st = rt_cfg_end(&c);
    if (want) check_fails(st, want, word);
    else check_ok(st);
    return j;
}

static void read_by_task(void **state)
{
    (void)state;
    static const struct { rt_task task; const char *text; int soft; const char *word; } bad[] = {
        {RT_TASK_MULTILABEL, "{\"kind\": \"bkd\"}", 0, "needs a teacher"},
        {RT_TASK_MULTILABEL, "{\"kind\": \"ce\"}", 0, "loss.kind"},
        {RT_TASK_MULTILABEL, "{\"class_weight\": \"balanced\"}", 0, "heads of classes"},
        {RT_TASK_MULTILABEL, "{\"temperature\": 2}", 0, "loss.kind bkd"},
        {RT_TASK_REAL, "{\"soft\": 1}", 0, "needs a teacher"},
        {RT_TASK_REAL, "{\"delta\": 1}", 0, "loss.kind huber"},
        {RT_TASK_REAL, "{\"kind\": \"huber\", \"level\": 0.5}", 1, "loss.kind quantile"},
        {RT_TASK_REAL, "{\"temperature\": 4}", 1, "softens logits"},
        {RT_TASK_REAL, "{\"hard\": 0, \"hard_mean\": \"labelled\"}", 1, "loss.hard is 0"},
        {RT_TASK_CLASSES, "{\"kind\": \"huber\"}", 1, "loss.kind"},
        {RT_TASK_CLASSES, "{\"delta\": 1}", 1, "delta"}};
    rt_loss_config l;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cJSON_Delete(read_loss(bad[i].task, bad[i].text, bad[i].soft, &l, RT_USAGE, bad[i].word));
    cJSON_Delete(read_loss(RT_TASK_MULTILABEL, "{}", 1, &l, RT_OK, NULL));
    assert_true(l.desc.kind == RT_SOFT_BKD && l.desc.hard == 0.1f && l.desc.soft == 0.9f && l.desc.temperature == 1);
    cJSON_Delete(read_loss(RT_TASK_REAL, "{\"kind\": \"quantile\", \"level\": 0.9}", 0, &l, RT_OK, NULL));
    assert_true(l.desc.hard_kind == RT_HARD_QUANTILE && l.desc.kind == RT_SOFT_NONE && l.desc.level == 0.9f &&
                l.desc.hard == 1);
    cJSON_Delete(read_loss(RT_TASK_REAL, "{\"kind\": \"huber\", \"hard_mean\": \"labelled\"}", 1, &l, RT_OK, NULL));
    assert_true(l.desc.hard_kind == RT_HARD_HUBER && l.desc.kind == RT_SOFT_VALUES && l.desc.delta == 1 &&
                l.labelled_mean);
}

/* Rows by what the teacher says of them: values of PyTorch, finite differences of mixtures, and what a row without a
 * label weighs. */
static void focal_against_pytorch(void **state)
{
    (void)state;
    static const rt_loss_focal weights[3] = {{1, 1, 5}, {1, 0.5f, 2}, {1, 0, 1}};
    static const rt_soft_kind kinds[3] = {RT_SOFT_KD, RT_SOFT_MSE, RT_SOFT_ZSCORE};
    for (int i = 0; i < 3; i++) {
        rt_loss_batch b = {.config = {.kind = kinds[i], .hard = 0.3f, .soft = 0.7f, .temperature = i == 2 ? 2 : 4},
                           .focal = weights[i], .y = focal_y, .teacher = reference_t, .lambda = 1, .soft_scale = 1};
        float grad[12], one[12], plain[12];
        check_close(focal[i].name, run(&b, reference_z, 3, 4, grad), focal[i].loss, 1e-6, 2e-6);
        for (int k = 0; k < 12; k++) check_close(focal[i].name, grad[k], focal[i].grad[k], 5e-7, 2e-5);
        b.focal = (rt_loss_focal){1, 1, 0};                       /* all rows as they were: the same as without */
        double same = run(&b, reference_z, 3, 4, one);
        b.focal.on = 0;
        check_close("even", same, run(&b, reference_z, 3, 4, plain), 1e-6, 1e-6);
        for (int k = 0; k < 12; k++) check_close("even", one[k], plain[k], 1e-7, 1e-6);
        b.focal = (rt_loss_focal){1, 2, 7};                       /* nobody knows who is right: alpha */
        b.y = NULL;
        same = run(&b, reference_z, 3, 4, one);
        b.focal.on = 0;
        check_close("no labels", same, 2 * run(&b, reference_z, 3, 4, plain), 1e-6, 1e-6);
        for (int k = 0; k < 12; k++) check_close("no labels", one[k], 2 * plain[k], 1e-6, 1e-6);
    }
}

static void focal_of_mixtures(void **state)
{
    (void)state;
    int partner[3] = {1, 2, 0};
    static const int32_t known[3] = {3, -1, 1};
    for (int kind = RT_SOFT_KD; kind <= RT_SOFT_MSE; kind++)
        for (int mixed = 0; mixed < 2; mixed++) {
            if (kind == RT_SOFT_DIST) continue;
            rt_loss_batch b = {.config = {.kind = kind, .soft = 0.6f, .temperature = 2, .alpha = 1, .beta = 2},
                               .focal = {1, 0.25f, 3}, .y = known, .teacher = reference_t, .partner = partner,
                               .lambda = 0.7f, .teacher_mixed = mixed, .soft_scale = 1};
            /* Right about rows 0 and 2; where it saw the mixture, its answer for row 0 is row 0's label, not row 1's.
             */
            static const float right[2][3] = {{0.7f, 0.3f, 1}, {0.7f, 0, 0.7f}};
            float z[12], g[12], unused[12], loss[3], plain[3];
            memcpy(z, reference_z, sizeof z);
            run_rows(&b, z, 0, 3, 3, 4, g, loss);
            for (int i = 0; i < 12; i++) {
                float keep = z[i], h = 0.01f;
                z[i] = keep + h;
                double up = run(&b, z, 3, 4, unused);
                z[i] = keep - h;
                double down = run(&b, z, 3, 4, unused);
                z[i] = keep;
                check_close("focal mixture", g[i], (up - down) / (2 * h), 5e-4, 2e-3);
            }
            b.focal.on = 0;
            run_rows(&b, z, 0, 3, 3, 4, unused, plain);
            for (int r = 0; r < 3; r++) {
                assert_true(plain[r] > 1e-3);
                check_close("weight", loss[r] / plain[r], 0.25 + 3 * right[mixed][r], 1e-4, 1e-4);
            }
        }
}

static void focal_is_read(void **state)
{
    (void)state;
    static const struct { rt_task task; const char *text; int soft; const char *word; } bad[] = {
        {RT_TASK_CLASSES, "{\"focal\": {}}", 0, "loss.focal"},
        {RT_TASK_CLASSES, "{\"kind\": \"dist\", \"focal\": {}}", 1, "row by row"},
        {RT_TASK_CLASSES, "{\"kind\": \"kd\", \"soft\": 0, \"focal\": {}}", 1, "row by row"},
        {RT_TASK_CLASSES, "{\"focal\": 3}", 1, "loss.focal"},
        {RT_TASK_CLASSES, "{\"focal\": {\"beta\": -1}}", 1, "loss.focal.beta"},
        {RT_TASK_CLASSES, "{\"focal\": {\"gama\": 1}}", 1, "gama"},
        {RT_TASK_MULTILABEL, "{\"focal\": {}}", 1, "heads of classes"},
        {RT_TASK_REAL, "{\"focal\": {}}", 1, "heads of classes"}};
    rt_loss_config l;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cJSON_Delete(read_loss(bad[i].task, bad[i].text, bad[i].soft, &l, RT_USAGE, bad[i].word));
    cJSON *j = read_loss(RT_TASK_CLASSES, "{\"focal\": {\"alpha\": 0.5}}", 1, &l, RT_OK, NULL);
    assert_true(l.focal.on && l.focal.alpha == 0.5f && l.focal.beta == 5 && l.desc.kind == RT_SOFT_KD);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(j, "focal"), "beta")->valuedouble == 5);
    cJSON_Delete(j);
    j = read_loss(RT_TASK_CLASSES, "{}", 1, &l, RT_OK, NULL);
    assert_true(!l.focal.on && !cJSON_HasObjectItem(j, "focal"));       /* digests of older configurations stay */
    cJSON_Delete(j);
}

/* By hand: two classes, T = 2, z = (0, 0), t = (2 ln 3, 0): q = (3/4, 1/4), p = (1/2, 1/2);
 * T^2 KL = 4 (3/4 ln(3/2) + 1/4 ln(1/2)), gradient T (p - q) = (-1/2, 1/2). */
static void by_hand(void **state)
{
    (void)state;
    float z[2] = {0, 0}, t[2] = {2 * logf(3), 0}, grad[2];
    rt_loss_batch b = {
        .config = {.kind = RT_SOFT_KD, .soft = 1, .temperature = 2}, .teacher = t, .lambda = 1, .soft_scale = 1};
    check_close("kd", run(&b, z, 1, 2, grad), 4 * (0.75 * log(1.5) + 0.25 * log(0.5)), 1e-6, 0);
    check_close("grad", grad[0], -0.5, 1e-6, 0);
    check_close("grad", grad[1], 0.5, 1e-6, 0);
    b.config.soft = 0.5f;
    check_close("weight", run(&b, z, 1, 2, grad), 2 * (0.75 * log(1.5) + 0.25 * log(0.5)), 1e-6, 0);
}

/* The mean is over the batch: twice the same rows, the same loss and half the gradient a row. */
static void mean_over_batch(void **state)
{
    (void)state;
    float z[24], t[24], g1[12], g2[24];
    int32_t y[6];
    for (int i = 0; i < 24; i++) z[i] = reference_z[i % 12], t[i] = reference_t[i % 12];
    for (int i = 0; i < 6; i++) y[i] = reference_y[i % 3];
    for (int kind = RT_SOFT_KD; kind <= RT_SOFT_MSE; kind++) {
        rt_loss_batch b = {
            .config = {.kind = kind, .hard = 0.3f, .soft = 0.7f, .temperature = 3, .alpha = 1, .beta = 2, .gamma = 1},
            .y = y,
            .teacher = t,
            .lambda = 1,
            .soft_scale = 1};
        double one = run(&b, z, 3, 4, g1), two = run(&b, z, 6, 4, g2);
        check_close("loss", two, one, 1e-6, 1e-6);
        for (int i = 0; i < 24; i++) check_close("grad", g2[i], g1[i % 12] / 2, 1e-6, 1e-4);
    }
}

/* Rows without a label take part in the soft loss alone. */
static void unlabelled(void **state)
{
    (void)state;
    float g[12];
    int32_t y[3] = {-1, -1, -1};
    rt_loss_batch b = {.config = {.kind = RT_SOFT_KD, .hard = 1, .soft = 1, .temperature = 4},
                       .y = y,
                       .teacher = reference_t,
                       .lambda = 1,
                       .soft_scale = 1};
    check_close("kd alone", run(&b, reference_z, 3, 4, g), reference[2].loss, 1e-6, 1e-6);
    for (int i = 0; i < 12; i++) check_close("grad", g[i], reference[2].grad[i], 5e-7, 2e-5);
}

static void mixtures(void **state)
{
    (void)state;
    int partner[3] = {1, 2, 0};
    for (int kind = RT_SOFT_NONE; kind <= RT_SOFT_MSE; kind++)
        for (int mixed = 0; mixed < 2; mixed++) {
            rt_loss_batch b = {.config = {.kind = kind,
                                          .hard = 0.4f,
                                          .soft = 0.6f,
                                          .temperature = 2,
                                          .smoothing = 0.1f,
                                          .alpha = 1,
                                          .beta = 2,
                                          .gamma = 1},
                               .y = reference_y,
                               .teacher = reference_t,
                               .partner = partner,
                               .class_weight = kind % 2 ? NULL : reference_w,
                               .lambda = 0.7f,
                               .teacher_mixed = mixed,
                               .soft_scale = 1};
            float z[12], g[12], unused[12];
            memcpy(z, reference_z, sizeof z);
            run(&b, z, 3, 4, g);
            for (int i = 0; i < 12; i++) {
                float keep = z[i], h = 0.01f;
                z[i] = keep + h;
                double up = run(&b, z, 3, 4, unused);
                z[i] = keep - h;
                double down = run(&b, z, 3, 4, unused);
                z[i] = keep;
                check_close("mixture", g[i], (up - down) / (2 * h), 5e-4, 2e-3);
            }
        }
}

/* A mixed row is judged against the mixture of the teacher's answers: T^2 KL(lambda q_i + (1 - lambda) q_partner || p),
 * computed here in double. */
static void the_teacher_of_a_mixture_is_mixed(void **state)
{
    (void)state;
    int partner[3] = {1, 2, 0};
    double lambda = 0.7, temperature = 2, want = 0;
    rt_loss_batch b = {.config = {.kind = RT_SOFT_KD, .soft = 1, .temperature = 2}, .teacher = reference_t,
                       .partner = partner, .lambda = 0.7f, .soft_scale = 1};
    float g[12];
    for (int r = 0; r < 3; r++) {
        double q[3][4], sum[3] = {0};
        const float *z[3] = {reference_z + r * 4, reference_t + r * 4, reference_t + partner[r] * 4};
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 4; k++) sum[i] += q[i][k] = exp(z[i][k] / temperature);
            for (int k = 0; k < 4; k++) q[i][k] /= sum[i];
        }
        for (int k = 0; k < 4; k++) {
            double mixed = lambda * q[1][k] + (1 - lambda) * q[2][k];
            want += temperature * temperature * mixed * log(mixed / q[0][k]) / 3;
        }
    }
    check_close("mixture", run(&b, reference_z, 3, 4, g), want, 1e-6, 1e-5);
}

/* mean over elements of (value - target)^2 times weight, mean over the batch of `total` rows: rows 1 and 2 of 5 here.
 */
static void hints(void **state)
{
    (void)state;
    enum { N = 6 };
    float *v = random_floats(2 * N, 3), *t = random_floats(5 * N, 4), grad[2 * N], loss[2];
    rt_loss_batch h = {.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_HINT, .hard = 0.8f}, .values = t};
    rt_loss_io io = {.value = v, .grad = grad, .loss = loss, .row0 = 1, .rows = 2, .total = 5, .n = N};
    rt_loss_spec spec = rt_loss_spec_of(&h, 0, N);
    spec.fn(spec.arg, &io);
    for (int r = 0; r < 2; r++) {
        double want = 0;
        for (int i = 0; i < N; i++) {
            double d = (double)v[r * N + i] - t[(r + 1) * N + i];
            want += 0.8 * d * d / N;
            check_close("gradient", grad[r * N + i], 2 * 0.8 * d / (N * 5.0), 1e-7, 1e-5);
        }
        check_close("loss", loss[r], want, 1e-7, 1e-5);
    }
    free(v);
    free(t);
}

/* A row's loss and gradient are the same bits wherever it stands among the rows (dist apart, which correlates rows). */
static void any_place(void **state)
{
    (void)state;
    enum { ROWS = 37, K = 21 };
    float *z = random_floats(ROWS * K, 1), *t = random_floats(ROWS * K, 2), g[ROWS * K], one[K], loss[ROWS], alone;
    int32_t y[ROWS];
    int partner[ROWS];
    for (int i = 0; i < ROWS; i++) y[i] = i % 5 ? i % K : -1, partner[i] = (i + 11) % ROWS;
    for (int mixed = 0; mixed < 2; mixed++)
        for (int kind = RT_SOFT_NONE; kind <= RT_SOFT_MSE; kind++) {
            if (kind == RT_SOFT_DIST) continue;
            rt_loss_batch b = {.config = {.kind = kind,
                                          .hard = 0.3f,
                                          .soft = kind ? 0.7f : 0,
                                          .temperature = 3,
                                          .smoothing = 0.1f,
                                          .alpha = 1,
                                          .beta = 2,
                                          .gamma = 1},
                               .y = y,
                               .teacher = kind ? t : NULL,
                               .partner = mixed ? partner : NULL,
                               .lambda = mixed ? 0.6f : 1,
                               .soft_scale = 1};
            run_rows(&b, z, 0, ROWS, ROWS, K, g, loss);
            for (int r = 0; r < ROWS; r++) {
                run_rows(&b, z + r * K, r, 1, ROWS, K, one, &alone);
                assert_memory_equal(&alone, &loss[r], sizeof alone);
                assert_memory_equal(one, g + r * K, sizeof one);
            }
        }
    free(z); free(t);
}

/* Far-off logits: finite, and the right limits. */
static void extremes(void **state)
{
    (void)state;
    float z[4] = {500, -500, 0, 100}, t[4] = {-400, 400, 0, 0}, g[4];
    int32_t y[1] = {1};
    for (int kind = RT_SOFT_NONE; kind <= RT_SOFT_MSE; kind++) {
        rt_loss_batch b = {
            .config =
                {.kind = kind, .hard = 1, .soft = kind ? 1 : 0, .temperature = 1, .alpha = 1, .beta = 1, .gamma = 1},
            .y = y,
            .teacher = t,
            .lambda = 1,
            .soft_scale = 1};
        double loss = run(&b, z, 1, 4, g);
        assert_true(isfinite(loss) && loss >= 999);
        for (int i = 0; i < 4; i++) assert_true(isfinite(g[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_pytorch),
                                       cmocka_unit_test(by_hand),
                                       cmocka_unit_test(focal_against_pytorch),
                                       cmocka_unit_test(focal_of_mixtures),
                                       cmocka_unit_test(focal_is_read),
                                       cmocka_unit_test(elements_against_pytorch),
                                       cmocka_unit_test(a_part_of_the_teachers_row),
                                       cmocka_unit_test(elements_of_mixtures),
                                       cmocka_unit_test(elements_mixed_with_themselves),
                                       cmocka_unit_test(labelled_elements),
                                       cmocka_unit_test(read_by_task),
                                       cmocka_unit_test(mean_over_batch),
                                       cmocka_unit_test(unlabelled),
                                       cmocka_unit_test(mixtures),
                                       cmocka_unit_test(any_place),
                                       cmocka_unit_test(extremes),
                                       cmocka_unit_test(the_teacher_of_a_mixture_is_mixed),
                                       cmocka_unit_test(hints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
