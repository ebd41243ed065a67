/* Whole runs against runs of PyTorch; what is kept as best; which labels count; how the input is normalised; that a run
 * goes on after any batch; what a run's folder accepts; that a student learns. */
#include "data/provenance.h"
#include "student/arch.h"
#include "tests/train/in_pieces.h"
#include "tests/train/reference_model.h"

/* Three classes, a normal cloud of 8 dimensions each. */
enum { BAND = 1500 };
static float *band_x;
static int32_t band_y[BAND];

static void make_band(void)
{
    static int32_t other[BAND];
    uint64_t dim[] = {BAND, 8};
    cJSON *r;
    band_x = random_floats(BAND * 8, 7);
    for (int i = 0; i < BAND; i++) {
        band_y[i] = (i * 7 + i / 5) % 3;
        for (int c = 0; c < 8; c++) band_x[i * 8 + c] = band_x[i * 8 + c] * (float)(1 + c % 3) + (float)(10 * c);
        band_x[i * 8 + band_y[i]] += 4 * (float)(1 + band_y[i] % 3);
    }
    write_data("band.h5", band_x, 2, dim, band_y);
    for (int i = 0; i < BAND; i++) other[i] = i < 48 ? band_y[i] : i % 5 == 0 ? 77 : (band_y[i] + 1) % 3;
    write_data("wrong.h5", band_x, 2, dim, other);
    for (int i = 0; i < BAND; i++) other[i] = i < 48 ? band_y[i] : -1;
    write_data("gaps.h5", band_x, 2, dim, other);
    r = train("{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 16, 'depth': 1}, "
              "'data': {'source': '@band.h5', 'rows': ':900'}, 'train': {'epochs': 10, 'batch': 32}}",
              "band-teacher-run");
    cJSON_Delete(r);
    if (link(in_folder("band-teacher-run/model.h5"), in_folder("band-teacher.h5"))) fail_msg("no teacher");
}

static int set_up(void **s)
{
    uint64_t dim[] = {REF_ROWS, REF_IN};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    write_data("ref.h5", ref_x, 2, dim, ref_y);
    write_data("few.h5", ref_x, 2, dim, ref_few);
    write_model("student.h5", ref_student, sizeof ref_student / sizeof ref_student[0]);
    write_model("teacher.h5", ref_teacher, sizeof ref_teacher / sizeof ref_teacher[0]);
    make_band();
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    free(band_x);
    return remove_test_folder(s);
}

/* ---- against PyTorch ---- */

static void reference_run(const ref_run *r)
{
    char config[1600];
    int ce = strcmp(r->kind, "ce") == 0, dkd = strcmp(r->kind, "dkd") == 0, sgd = strcmp(r->optimizer, "sgd") == 0;
    snprintf(config, sizeof config,
             "{'init': '@student.h5', 'seed': %d, 'data': {'source': '@%s', 'validation': 0}, %s'loss': {'kind': '%s', "
             "'hard_mean': '%s'%s}, 'train': {'epochs': %d, 'batch': %d, 'drop_last': false, 'lr': 0.1, "
             "'weight_decay': 0.02, "
             "'warmup': 1, 'optimizer': '%s', %s 'accumulate': %d, 'ema': %g, 'clip': %g%s%s}}",
             REF_SEED, ce ? "ref.h5" : "few.h5", ce ? "" : "'teacher': '@teacher.h5', ", r->kind, r->mean,
             dkd ? ", 'warmup': 2" : "", REF_EPOCHS, REF_BATCH, r->optimizer, sgd ? "'nesterov': true," : "",
             r->accumulate, r->ema, r->clip, *r->fields ? ", 'fields': " : "", r->fields);
    cJSON *result = train(config, "reference"), *history = cJSON_GetObjectItem(result, "history");
    print_message("%s %s, accumulate %d, ema %g, clip %g, mean over %s%s\n", r->kind, r->optimizer, r->accumulate,
                  r->ema, r->clip, r->mean, *r->fields ? ", fields of their own" : "");
    /* AdamW divides by the gradient's own size, and so makes the rounding of small gradients as large as a step. */
    weight_limit = dkd ? 1e-3 : sgd ? 2e-5 : 3e-4;      /* dkd: steps eight times as large */
    for (int e = 0; e < REF_EPOCHS; e++)
        check_close("loss", number(cJSON_GetArrayItem(history, e), "loss"), r->loss[e], 1e-5, dkd ? 1e-4 : 1e-5);
    rt_model *m = load_model("reference");
    each_weight(m, check_weight, r->weights);
    rt_model_free(m);
    cJSON_Delete(result);
}

static void runs_of_pytorch(void **s)
{
    (void)s;
    for (size_t i = 0; i < sizeof ref_runs / sizeof ref_runs[0]; i++) reference_run(&ref_runs[i]);
}

/* ---- which epoch, which weights ---- */

#define NET "'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1}, "
#define STEADY "{" NET "'data': {'source': '@band.h5', 'rows': ':96', 'validation': 32}, " \
               "'train': {'epochs': %d, 'batch': 16, 'lr': %g, 'schedule': 'constant', 'ema': %g}}"

/* Weights that hardly move: epochs that are equally good. */
static void check_equal_epochs(void)
{
    char config[600];
    snprintf(config, sizeof config, STEADY, 6, 1e-9, 0.0);
    cJSON *r = train(config, "equal"), *history = cJSON_GetObjectItem(r, "history");
    double best = -1;
    int at = 0, equal = 0;
    for (int e = 0; e < 6; e++) {
        double a = number(cJSON_GetArrayItem(history, e), "validation_accuracy");
        equal = a > best ? 1 : equal + (a == best);
        at = a > best ? e + 1 : at;
        best = fmax(best, a);
    }
    assert_true(equal > 1);                                    /* else this says nothing */
    assert_int_equal((int)number(r, "best_epoch"), at);
    cJSON_Delete(r);
}

static void best_epoch_is_the_earliest_of_the_best(void **s)
{
    (void)s;
    char config[600], digest[33];
    check_equal_epochs();
    /* A rate so high that accuracy goes up and down. */
    snprintf(config, sizeof config, STEADY, 8, 1.5, 0.0);
    cJSON *r = train(config, "best"), *history = cJSON_GetObjectItem(r, "history");
    double best = -1, worst = 2;
    int at = 0;
    for (int e = 0; e < 8; e++) {
        double a = number(cJSON_GetArrayItem(history, e), "validation_accuracy");
        if (a > best) {
            best = a;
            at = e + 1;
        }
        worst = fmin(worst, a);
    }
    assert_true(best > worst);                                 /* else this says nothing */
    assert_int_equal((int)number(r, "best_epoch"), at);
    assert_true(number(r, "validation_accuracy") == best);
    snprintf(digest, sizeof digest, "%s", text_of(cJSON_GetArrayItem(history, at - 1), "digest"));
    cJSON_Delete(r);
    /* The model that is kept is that epoch's: a run that ends there, and takes its last epoch, has the same weights. */
    snprintf(config, sizeof config, STEADY, at, 1.5, 0.0);
    r = train(config, "until");
    assert_string_equal(text_of(r, "last_weights_digest"), digest);
    rt_model *kept = load_model("best"), *until = load_model("until");
    if ((int)number(r, "best_epoch") == at)
        assert_memory_equal(kept->params, until->params, kept->graph->floats[RT_PARAM] * sizeof(float));
    rt_model_free(kept);
    rt_model_free(until);
    cJSON_Delete(r);
}

static void averaged_weights_are_what_is_judged_and_kept(void **s)
{
    (void)s;
    char config[600];
    snprintf(config, sizeof config, STEADY, 3, 0.2, 0.98);
    cJSON *r = train(config, "averaged");
    rt_model *m = load_model("averaged");
    assert_string_not_equal(rt_model_digest(m).hex, text_of(r, "last_weights_digest"));
    cJSON_Delete(r);
    snprintf(config, sizeof config, STEADY, 3, 0.2, 0.0);
    r = train(config, "plain");
    rt_model *plain = load_model("plain");
    double distance = 0;
    for (size_t i = 0; i < m->graph->floats[RT_PARAM]; i++) distance += fabs((double)m->params[i] - plain->params[i]);
    assert_true(distance > 1e-3);
    rt_model_free(m);
    rt_model_free(plain);
    cJSON_Delete(r);
}

/* ---- freezing ---- */

/* A frozen layer's weights, and its statistics, are those of the first model to the bit; all others move; gradients and
 * moments have no room for it. */
static void frozen_layers_stay(void **s)
{
    (void)s;
    static const char *const layers = "'model': {'input': [8], 'classes': 3, 'layers': ["
        "{'op': 'dense', 'name': 'a/1', 'out': 40}, {'op': 'batch_norm', 'name': 'a/n'}, {'op': 'relu'}, "
        "{'op': 'dense', 'name': 'b', 'out': 30}, "
        "{'op': 'batch_norm', 'name': 'bn'}, {'op': 'tanh'}, {'op': 'dense', 'name': 'c', 'out': 3}]}, ";
    static const char *const freeze[] = {"", ", 'freeze': ['a*', 'c']", ", 'freeze': 'b*'"};
    static const char *const stays[] = {"", "a/1 a/n c", "b bn"};
    for (int i = 0; i < 3; i++)
        for (int optimizer = 0; optimizer < 2; optimizer++) {
            char config[1024], folder[32], layer[64];
            snprintf(folder, sizeof folder, "freeze-%d-%d", i, optimizer);
            snprintf(config, sizeof config,
                     "{%s'data': {'source': '@band.h5', 'rows': ':96', 'validation': 0}, 'seed': 3, "
                     "'train': {'epochs': 2, 'batch': 16, 'lr': 0.01, 'clip': 1, 'ema': 0.9, 'accumulate': 2, "
                     "'optimizer': '%s'%s}}", layers, optimizer ? "adamw" : "sgd", freeze[i]);
            cJSON *r = train(config, folder), *arch;
            char text[600];
            snprintf(text, sizeof text, "{%s'x': 0}", layers);
            for (char *c = text; *c; c++) if (*c == '\'') *c = '"';
            check_ok(rt_json_parse(&arch, text, strlen(text), "arch"));
            rt_model *m = load_model(folder), *first;
            check_ok(rt_model_new(&first, cJSON_GetObjectItem(arch, "model"), 3));
            for (int f = 0; f < m->graph->fields; f++) {
                const rt_field *q = &m->graph->field[f];
                snprintf(layer, sizeof layer, "%.*s", (int)(strrchr(q->name, '.') - q->name), q->name);
                int same = memcmp(rt_model_field(m, f), rt_model_field(first, f), q->count * sizeof(float)) == 0;
                int want = 0;
                for (const char *w = stays[i]; *w; w += strcspn(w, " "), w += *w == ' ')
                    want |= strlen(layer) == strcspn(w, " ") && strncmp(w, layer, strlen(layer)) == 0;
                if (same != want) fail_msg("%s of %s: %s", q->name, folder, same ? "did not move" : "moved");
            }
            rt_model_free(m);
            rt_model_free(first);
            cJSON_Delete(arch);
            cJSON_Delete(r);
        }
    rt_graph *g;
    cJSON *arch;
    static const char plain[] = "{\"input\":[8],\"classes\":3,\"family\":\"mlp\",\"width\":16,\"depth\":1}";
    check_ok(rt_json_parse(&arch, plain, strlen(plain), "arch"));
    check_ok(rt_arch_build(&g, arch, "arch"));
    size_t all = g->grad_floats;
    check_ok(rt_graph_freeze(g, (const char *[]){"dense2"}, 1));
    assert_int_equal(g->grad_floats, all - 8 * 16 - 16);
    check_fails(rt_graph_freeze(g, (const char *[]){"dense*", "conv*"}, 2), RT_USAGE,
                "no layer that has weights matches 'conv*'; there are: dense2 dense4");
    check_fails(rt_graph_tune(g, "dense2*", &(rt_tuning){NAN, NAN, NAN, 0, 0}), RT_USAGE,
                "no weights that are trained match 'dense2*'; there are: dense4.weight dense4.bias");
    rt_graph_free(g);
    cJSON_Delete(arch);
}

static void unread_layers_are_said(void **s)
{
    (void)s;
    cJSON *r = train("{'model': {'input': [8], 'heads': [{'name': 'y', 'size': 3, 'layer': 'out'}], 'layers': ["
                     "{'op': 'dense', 'out': 3, 'name': 'out'}, {'op': 'relu', 'name': 'a'}, "
                     "{'op': 'dense', 'out': 2, 'name': 'b'}]}, 'data': {'source': '@band.h5', 'rows': ':96'}, "
                     "'train': {'epochs': 1, 'batch': 16}}", "unread");
    assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(r, "notes"), 0)->valuestring,
                        "a, b: no head depends on these layers: they are not trained");
    cJSON_Delete(r);
}

/* ---- which labels count ---- */

#define HARD(data, more) "{" NET "'teacher': '@band-teacher.h5', 'data': {'source': '@" data "', 'rows': ':96', " \
    "'validation': 0" more "}, 'loss': {'hard': 0.5, 'soft': 0.5}, 'train': {'epochs': 2, 'batch': 16}}"

static void labels_outside_hard_rows_are_never_looked_at(void **s)
{
    (void)s;
    char all[33], some[33], wrong[33], none[33];
    digest_of_run(HARD("band.h5", ""), "hard", all);
    digest_of_run(HARD("band.h5", ", 'hard_rows': ':48'"), "hard", some);
    /* from row 48 on other labels, some of no class; and none */
    digest_of_run(HARD("wrong.h5", ", 'hard_rows': ':48'"), "hard", wrong);
    digest_of_run(HARD("gaps.h5", ""), "hard", none);
    assert_string_not_equal(all, some);
    assert_string_equal(some, wrong);
    assert_string_equal(some, none);
}

/* ---- the input's normalisation ---- */

static void normalisation_is_mean_and_deviation_of_the_training_rows(void **s)
{
    (void)s;
    cJSON *r = train("{" NET "'data': {'source': '@band.h5', 'rows': '10:70', 'validation': 0}, "
                     "'train': {'epochs': 1, 'batch': 16}}", "normal");
    rt_model *m = load_model("normal");
    assert_int_equal(m->input[0].channels, 8);
    for (int c = 0; c < 8; c++) {
        double mean = 0, var = 0;
        for (int i = 10; i < 70; i++) mean += band_x[i * 8 + c];
        mean /= 60;
        for (int i = 10; i < 70; i++) var += (band_x[i * 8 + c] - mean) * (band_x[i * 8 + c] - mean);
        check_close("add", m->input[0].add[c], -mean, 1e-6, 1e-5);
        check_close("mul", m->input[0].mul[c], 1 / sqrt(var / 60), 1e-6, 1e-5);
    }
    rt_model_free(m);
    cJSON_Delete(r);
}

/* ---- going on ---- */

/* Asked to stop at all times, a run ends after each batch at which it can, and goes on from there. */
static void goes_on_after_every_batch(void **s)
{
    (void)s;
    static const char config[] = "{'model': {'input': [8], 'classes': 3, 'layers': [{'op': 'dense', 'out': 6}, {'op': "
                                 "'batch_norm'}, {'op': 'relu'}, "
                                 "{'op': 'dense', 'out': 3}]}, 'data': {'source': '@band.h5', 'rows': ':96', "
                                 "'validation': 16}, 'train': {'epochs': 2, "
                                 "'batch': 10, 'accumulate': 3, 'ema': 0.9, 'optimizer': 'adamw', 'drop_last': false}}";
    char whole[33];
    digest_of_run(config, "whole", whole);
    cJSON *r;
    int turns = run_in_pieces(config, "pieces", &r);
    assert_int_equal(turns, 17); /* 8 batches an epoch, each in a run of its own, and the last end */
    assert_string_equal(text_of(r, "last_weights_digest"), whole);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(r, "history")),
                     2); /* both epochs have an end */
    cJSON_Delete(r);
}

#define DEEP \
    "'layers': [{'op': 'dense', 'out': 6, 'name': 'a1'}, {'op': 'batch_norm', 'name': 'a2'}, {'op': 'relu'}, " \
    "{'op': 'dense', 'out': 5, 'name': 'b'}, {'op': 'tanh', 'name': 'f'}, {'op': 'dense', 'out': 3, 'name': 'c'}]"
#define LAST "'train': {%s'epochs': 3, 'batch': 10, 'accumulate': 2, 'lr': 0.1, 'weight_decay': 0.01, 'clip': 1, " \
             "'optimizer': '%s', 'drop_last': false}}"

static const float *field_of(const rt_model *m, const char *name, size_t *count)
{
    for (int i = 0; i < m->graph->fields; i++)
        if (!strcmp(m->graph->field[i].name, name)) {
            *count = m->graph->field[i].count;
            return rt_model_field(m, i);
        }
    fail_msg("no field %s", name);
    return NULL;
}

/* Training the last layer alone is training a model of one layer on what the layers before it give: here that model is
 * trained on those values, which were written to a file. */
static void frozen_layers_are_features(void **s)
{
    (void)s;
    static const char *const optimizer[] = {"sgd", "adamw"};
    char config[1024];
    cJSON *r = train("{'model': {'input': [8], 'classes': 3, " DEEP
                     "}, 'data': {'source': '@band.h5', 'rows': ':200'}, "
                     "'train': {'epochs': 2, 'batch': 20}}",
                     "deep");
    cJSON_Delete(r);
    if (rename(in_folder("deep/model.h5"), in_folder("deep.h5"))) fail_msg("no model");
    rt_model *m;
    rt_predictor *p;
    check_ok(rt_model_load(&m, in_folder("deep.h5")));
    int feature = rt_arch_find(m->graph, "f");
    float z[BAND * 3], *f = calloc(BAND * 5, sizeof *f);
    check_ok(rt_predictor_new(&p, &m, 1, test_device, BAND, &feature, 1));
    rt_predict(p, &(rt_feed){.raw = band_x, .rows = BAND}, z);
    memcpy(f, rt_predictor_feature(p, 0), BAND * 5 * sizeof *f);
    write_data("features.h5", f, 2, (uint64_t[]){BAND, 5}, band_y);
    rt_predictor_free(p);
    /* A model of the last layer, with its weights. */
    cJSON *one = parse_config("{'input': [5], 'classes': 3, 'layers': [{'op': 'dense', 'out': 3, 'name': 'c'}]}");
    rt_model *last;
    size_t n = 0;
    check_ok(rt_model_new(&last, one, 1));
    memcpy((float *)field_of(last, "c.weight", &n), field_of(m, "c.weight", &n), 15 * sizeof(float));
    memcpy((float *)field_of(last, "c.bias", &n), field_of(m, "c.bias", &n), 3 * sizeof(float));
    check_ok(rt_model_save(last, in_folder("last.h5")));
    rt_model_free(last);
    cJSON_Delete(one);
    for (int o = 0; o < 2; o++) {
        snprintf(config, sizeof config,
                 "{'init': '@last.h5', 'data': {'source': '@features.h5', 'validation': 0}, " LAST, "", optimizer[o]);
        cJSON_Delete(train(config, "of-features"));
        snprintf(config, sizeof config, "{'init': '@deep.h5', 'data': {'source': '@band.h5', 'validation': 0}, " LAST,
                 "'freeze': ['a*', '[b]'], ", optimizer[o]);
        r = train(config, "frozen");
        cJSON_Delete(r);
        rt_model *whole = load_model("frozen"), *alone = load_model("of-features");
        static const char *const kept[] = {"a1.weight", "a1.bias", "a2.gamma", "a2.beta", "b.weight", "b.bias"};
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            const float *before = field_of(m, kept[i], &n), *now = field_of(whole, kept[i], &n);
            assert_memory_equal(before, now, n * sizeof *now);
        }
        assert_memory_equal(m->states, whole->states, m->graph->floats[RT_STATE] * sizeof(float));
        static const char *const moved[] = {"c.weight", "c.bias"};
        double way = 0;
        for (int i = 0; i < 2; i++) {
            const float *a = field_of(whole, moved[i], &n), *b = field_of(alone, moved[i], &n),
                        *old = field_of(m, moved[i], &n);
            for (size_t k = 0; k < n; k++) {
                check_close(moved[i], a[k], b[k], o ? 2e-4 : 2e-5, 1e-4);
                way = fmax(way, fabs(a[k] - old[k]));
            }
        }
        assert_true(way > 0.01);
        rt_model_free(whole);
        rt_model_free(alone);
    }
    rt_model_free(m);
    free(f);
}

/* Where nothing is said a tenth of the rows is kept for validation, and a batch that is not full is left out: 360 rows
 * make three batches of 100. */
static void where_nothing_is_said(void **s)
{
    (void)s;
    cJSON *r = train("{" NET "'data': {'source': '@band.h5', 'rows': ':400'}, 'train': {'epochs': 2, 'batch': 100}}",
                     "plain");
    check_close("validation rows", number(r, "validation_rows"), 40, 0, 0);
    check_close("steps", number(r, "steps"), 2 * 3, 0, 0);
    cJSON_Delete(r);
}

/* ---- monitor, patience, class weights ---- */

#define WATCHED "{" NET "'data': {'source': '@band.h5', 'rows': ':400', 'validation': 100}, " \
                "'train': {'epochs': 8, 'batch': 16, 'lr': 0.3, 'schedule': 'constant', 'monitor': '%s'}}"

/* The best epoch is the one with the best value of the metric, lowest where lower is better; what is kept is its
 * weights. */
static void the_monitored_metric_chooses(void **s)
{
    (void)s;
    static const struct { const char *name, *key; int higher; } watched[] = {
        {"accuracy", "validation_accuracy", 1}, {"nll", "validation_loss", 0}, {"auc", "validation_auc", 1},
        {"brier", "validation_brier", 0}, {"macro_f1", "validation_macro_f1", 1}};
    char config[600], first[33] = "";
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
        snprintf(config, sizeof config, WATCHED, watched[i].name);
        cJSON *r = train(config, "watched"), *h = cJSON_GetObjectItem(r, "history");
        int best = 0, want = (int)number(r, "best_epoch") - 1;
        for (int e = 1; e < 8; e++) {
            double now = number(cJSON_GetArrayItem(h, e), watched[i].key);
            double then = number(cJSON_GetArrayItem(h, best), watched[i].key);
            if (watched[i].higher ? now > then : now < then) best = e;
        }
        assert_int_equal(best, want);
        check_close("accuracy", number(r, "validation_accuracy"),
                    number(cJSON_GetArrayItem(h, best), "validation_accuracy"), 0, 0);
        if (i)
            check_close(watched[i].name, number(r, "monitor_value"),
                        number(cJSON_GetArrayItem(h, best), watched[i].key), 0, 0);
        if (!i) snprintf(first, sizeof first, "%s", text_of(r, "last_weights_digest"));
        assert_string_equal(first, text_of(r, "last_weights_digest"));      /* what is watched changes no weight */
        cJSON_Delete(r);
    }
    cJSON *r;
    snprintf(config, sizeof config, WATCHED, "acuracy");
    check_fails(train_with(config, "watched", 1, NULL, &r), RT_USAGE, "did you mean 'accuracy'");
    snprintf(config, sizeof config, WATCHED, "top5");
    check_fails(train_with(config, "watched", 1, NULL, &r), RT_USAGE,
                "train.monitor: top5 is not defined here: of five classes or fewer it is 1 for any model");
    /* What the validation rows' labels tell is found before there is a folder. */
    static int32_t one[BAND];
    uint64_t dim[] = {BAND, 8};
    write_data("one.h5", band_x, 2, dim, one);
    check_fails(train_with("{" NET "'data': {'source': '@one.h5'}, 'train': {'monitor': 'auc'}}", "never", 1, NULL, &r),
                RT_INPUT, "auc is not defined on the validation rows: all labelled rows are of one class");
    assert_int_equal(access(in_folder("never/run.json"), F_OK), -1);
}

#define PATIENT "{" NET "'data': {'source': '@band.h5', 'rows': ':96', 'validation': 32}, " \
                "'train': {'epochs': 20, 'batch': 16, 'lr': 1e-12, 'schedule': 'constant', 'patience': 3}}"

/* Weights that hardly move are never better than in epoch 1: three epochs later all ends, also in pieces. */
static void patience_ends_a_run(void **s)
{
    (void)s;
    char whole[33];
    cJSON *r = train(PATIENT, "patient");
    assert_int_equal((int)number(r, "stopped_after_epoch"), 4);
    assert_int_equal((int)number(r, "best_epoch"), 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(r, "history")), 4);
    assert_int_equal((int)number(r, "steps"), 16);
    snprintf(whole, sizeof whole, "%s", text_of(r, "last_weights_digest"));
    cJSON_Delete(r);
    check_ok(train_with(PATIENT, "patient", 0, NULL, &r));                 /* it is finished */
    assert_int_equal((int)number(r, "stopped_after_epoch"), 4);
    cJSON_Delete(r);
    run_in_pieces(PATIENT, "patient-pieces", &r);
    assert_int_equal((int)number(r, "stopped_after_epoch"), 4);
    assert_string_equal(text_of(r, "last_weights_digest"), whole);
    cJSON_Delete(r);
}

#define WEIGHED \
    "{" NET "'data': {'source': '@gaps.h5', 'validation': 0}, 'loss': {'hard_mean': '%s', 'class_weight': %s}, " \
    "'train': {'epochs': 2, 'batch': 16}}"

/* Balanced weights are rows / (K x rows of the class), over the rows that have a label; of a class of twice the weight
 * a row counts as two. */
static void classes_are_weighed(void **s)
{
    (void)s;
    char config[700], list[200], balanced[33];
    int count[3] = {0};
    for (int i = 0; i < 48; i++) count[band_y[i]]++;
    snprintf(config, sizeof config, WEIGHED, "labelled", "'balanced'");
    cJSON *r = train(config, "weighed"), *w = cJSON_GetObjectItem(r, "class_weight");
    for (int c = 0; c < 3; c++)
        check_close("weight", cJSON_GetArrayItem(w, c)->valuedouble, 48.0 / (3.0 * count[c]), 0, 1e-6);
    snprintf(balanced, sizeof balanced, "%s", text_of(r, "last_weights_digest"));
    cJSON_Delete(r);
    snprintf(list, sizeof list, "[%.17g, %.17g, %.17g]", 48.0 / (3.0 * count[0]), 48.0 / (3.0 * count[1]),
             48.0 / (3.0 * count[2]));
    snprintf(config, sizeof config, WEIGHED, "labelled", list);
    r = train(config, "weighed");
    assert_string_equal(text_of(r, "last_weights_digest"), balanced);
    cJSON_Delete(r);
    /* The labelled mean does not depend on the scale of the weights, the batch's does. */
    double loss[4];
    static const char *const mean[] = {"labelled", "labelled", "batch", "batch"}, *const weights[] = {"[1,1,1]",
                                                                                                      "[4,4,4]"};
    for (int i = 0; i < 4; i++) {
        snprintf(config, sizeof config, WEIGHED, mean[i], weights[i % 2]);
        r = train(config, "weighed");
        loss[i] = number(cJSON_GetArrayItem(cJSON_GetObjectItem(r, "history"), 0), "loss");
        cJSON_Delete(r);
    }
    check_close("labelled", loss[1], loss[0], 0, 1e-6);
    assert_true(loss[3] > 2 * loss[2]);
    snprintf(config, sizeof config, WEIGHED, "batch", "[1, 2]");
    check_fails(train_with(config, "weighed", 1, NULL, &r), RT_USAGE, "has 2 numbers, the model has 3 classes");
    snprintf(config, sizeof config, WEIGHED, "batch", "[1, 2, -1]");
    check_fails(train_with(config, "weighed", 1, NULL, &r), RT_USAGE, "loss.class_weight");
}

/* ---- what a folder knows ---- */

#define FOLDER(source, epochs) "{" NET "'data': {'source': '@" source "', 'validation': 16}, " \
    "'train': {'epochs': " epochs ", 'batch': 16}}"

static void changed_content_is_refused(void **s)
{
    (void)s;
    uint64_t dim[] = {BAND, 8};
    cJSON *r;
    char first[33];
    write_data("moving.h5", band_x, 2, dim, band_y);
    write_data("same.h5", band_x, 2, dim, band_y);
    digest_of_run(FOLDER("moving.h5", "1"), "content", first);
    /* Equal content under another path is the same run; a finished one is only read. */
    check_ok(train_with(FOLDER("same.h5", "1"), "content", 0, NULL, &r));
    assert_string_equal(text_of(r, "last_weights_digest"), first);
    cJSON_Delete(r);
    /* Other values of x, then other labels. */
    band_x[5] += 1;
    write_data("moving.h5", band_x, 2, dim, band_y);
    check_fails(train_with(FOLDER("moving.h5", "1"), "content", 0, NULL, &r), RT_USAGE, "content");
    band_x[5] -= 1;
    band_y[7] = (band_y[7] + 1) % 3;
    write_data("moving.h5", band_x, 2, dim, band_y);
    check_fails(train_with(FOLDER("moving.h5", "1"), "content", 0, NULL, &r), RT_USAGE, "content");
    band_y[7] = (band_y[7] + 2) % 3;
    /* A model file that is gone is not reported as there. */
    unlink(in_folder("content/model.h5"));
    rt_status st = train_with(FOLDER("same.h5", "1"), "content", 0, NULL, &r);
    if (!st) {
        rt_model *m = load_model("content");
        rt_model_free(m);
        cJSON_Delete(r);
    }
}

/* ---- learning ---- */

static double accuracy_of(const char *folder, int first, int end)
{
    rt_model *m = load_model(folder);
    rt_predictor *p;
    float *z = calloc((size_t)(end - first) * 3, sizeof *z);
    int right = 0;
    check_ok(rt_predictor_new(&p, &m, 1, test_device, 0, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = band_x + first * 8, .rows = end - first}, z);
    for (int i = first; i < end; i++) {
        const float *a = z + (i - first) * 3;
        right += (a[1] > a[0] ? (a[2] > a[1] ? 2 : 1) : a[2] > a[0] ? 2 : 0) == band_y[i];
    }
    rt_predictor_free(p);
    rt_model_free(m);
    free(z);
    return (double)right / (end - first);
}

/* A teacher of many rows is right on new ones; a student of its answers beats one of the few labels that it has. */
static void a_student_learns_from_its_teacher(void **s)
{
    (void)s;
    static const char student[] =
        "{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 16, 'depth': 1}, 'data': {'source': "
        "'@gaps.h5', "
        "'rows': ':900', 'validation': 0, 'hard_rows': ':12'}, %s'train': {'epochs': 20, 'batch': 16}, 'seed': %d}";
    double alone = 0, taught = 0;
    assert_true(accuracy_of("band-teacher-run", 900, BAND) >= 0.95);
    for (int seed = 1; seed <= 2; seed++) {
        char config[600];
        cJSON *r;
        snprintf(config, sizeof config, student, "'loss': {'hard': 1}, ", seed);
        r = train(config, "alone");
        assert_int_equal((int)number(r, "training_rows"), 12);
        cJSON_Delete(r);
        snprintf(config, sizeof config, student, "'teacher': '@band-teacher.h5', ", seed);
        r = train(config, "taught");
        assert_int_equal((int)number(r, "training_rows"), 900);
        assert_int_equal((int)number(r, "labelled_rows"), 12);
        cJSON_Delete(r);
        alone += accuracy_of("alone", 900, BAND) / 2;
        taught += accuracy_of("taught", 900, BAND) / 2;
    }
    if (!(taught >= 0.94 && taught > alone + 0.01)) fail_msg("alone %g, taught %g", alone, taught);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_pytorch),
        cmocka_unit_test(best_epoch_is_the_earliest_of_the_best),
        cmocka_unit_test(averaged_weights_are_what_is_judged_and_kept),
        cmocka_unit_test(frozen_layers_stay),
        cmocka_unit_test(unread_layers_are_said),
        cmocka_unit_test(frozen_layers_are_features),
        cmocka_unit_test(labels_outside_hard_rows_are_never_looked_at),
        cmocka_unit_test(normalisation_is_mean_and_deviation_of_the_training_rows),
        cmocka_unit_test(goes_on_after_every_batch),
        cmocka_unit_test(where_nothing_is_said), cmocka_unit_test(the_monitored_metric_chooses),
        cmocka_unit_test(patience_ends_a_run),
        cmocka_unit_test(classes_are_weighed),
        cmocka_unit_test(changed_content_is_refused),
        cmocka_unit_test(a_student_learns_from_its_teacher),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
