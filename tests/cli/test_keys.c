/* The tables of cli/keys.c against what the readers of configurations take: every key of an effective configuration is
 * in its table with that default, and every key of a table is known to its reader. */
#include "cli/cli.h"
#include "data/json.h"
#include "experiments/jobs/clean_job.h"
#include "experiments/drift/drift.h"
#include "data/vote_job.h"
#include "experiments/eval/evaluator.h"
#include "experiments/jobs/export_job.h"
#include "experiments/jobs/predict_job.h"
#include "experiments/jobs/quantize_job.h"
#include "experiments/jobs/select_job.h"
#include "teacher/labeler.h"
#include "teacher/teacher_parts.h"
#include "tests/support.h"
#include "train/trainer.h"

enum { MOST = 128 };
static int seen[MOST];

static const cli_key *find(const cli_key *keys, const char *path)
{
    for (int i = 0; keys[i].path; i++)
        if (strcmp(keys[i].path, path) == 0) {
            seen[i] = 1;
            return &keys[i];
        }
    return NULL;
}

static int is_word_of(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || strchr(" ;,", p[-1])) && (!p[n] || strchr(" ;,", p[n]))) return 1;
    return 0;
}

static int is_number_of(const char *text, double x)
{
    for (const char *p = text; *p;) {
        char *end;
        double y = strtod(p, &end);
        if (end != p && y == x) return 1;
        p = end != p ? end : p + 1;
    }
    return 0;
}

/* "", where the table says that there is none. */
static void check_default(const cli_key *k, const cJSON *v)
{
    char text[64];
    int fits = 1;
    if (cJSON_IsBool(v)) fits = is_word_of(k->fallback, cJSON_IsTrue(v) ? "true" : "false");
    else if (cJSON_IsNumber(v)) fits = is_number_of(k->fallback, v->valuedouble);
    else if (cJSON_IsString(v) && !*v->valuestring) fits = is_word_of("all none", k->fallback) || !*k->fallback;
    else if (cJSON_IsString(v)) fits = is_word_of(k->fallback, v->valuestring);
    snprintf(text, sizeof text, "%.40s", cJSON_IsString(v) ? v->valuestring : "");
    if (cJSON_IsNumber(v)) snprintf(text, sizeof text, "%g", v->valuedouble);
    if (!fits) fail_msg("%s: the reader's default is '%s', the table says [%s]", k->path, text, k->fallback);
}

/* given: what was asked for, whose values are no defaults. */
static void check_tree(const cli_key *keys, const char *before, const cJSON *effective, const cJSON *given)
{
    for (const cJSON *v = effective->child; v; v = v->next) {
        char path[256];
        snprintf(path, sizeof path, "%s%s%s", before, *before ? "." : "", v->string);
        const cJSON *asked = given ? cJSON_GetObjectItemCaseSensitive(given, v->string) : NULL;
        const cli_key *k = find(keys, path);
        if (cJSON_IsObject(v) && !strcmp(before, "loss")) check_tree(keys, before, v, asked);     /* a head's own */
        else if (cJSON_IsObject(v) && strcmp(path, "data.normalize") && strcmp(path, "quant.layers"))
            check_tree(keys, path, v, asked);
        else if (!k) fail_msg("%s is no key of the table", path);
        else if (!asked && strcmp(path, "model.layers") && strcmp(path, "model.heads")) check_default(k, v);
    }
}

typedef rt_status check_fn(cJSON *);

static cJSON *parsed(const char *text)
{
    cJSON *j = cJSON_Parse(text);
    if (!j) fail_msg("no JSON: %s", text);
    return j;
}

static void check_config(const cli_key *keys, check_fn *check, const char *text)
{
    cJSON *given = parsed(text), *effective = parsed(text);
    rt_status st = check(effective);
    if (st) fail_msg("%s: %s", text, rt_error_message());
    check_tree(keys, "", effective, given);
    cJSON_Delete(given);
    cJSON_Delete(effective);
}

/* Keys that no configuration above had are known, too: a value that no key takes is refused for what it is, if at all.
 */
static void check_rest(const cli_key *keys, check_fn *check, const char *text)
{
    for (int i = 0; keys[i].path; i++) {
        char override[300];
        if (seen[i]) continue;
        cJSON *c = parsed(text);
        snprintf(override, sizeof override, "%s=[[]]", keys[i].path);
        check_ok(rt_json_override(c, override));
        rt_status st = check(c);
        if (st && strstr(rt_error_message(), "unknown")) fail_msg("%s: %s", keys[i].path, rt_error_message());
        cJSON_Delete(c);
    }
    memset(seen, 0, sizeof seen);
}

#define MODEL "\"model\": {\"input\": [4], \"classes\": 3, \"family\": \"mlp\"}"
#define DATA "\"data\": {\"source\": \"x.h5\"}"

static void train_keys(void **state)
{
    (void)state;
    static const char *const kinds[] = {"ce", "kd", "dkd", "dist", "zscore", "mse"};
    char text[400];
    check_config(cli_train_keys, rt_train_check, "{" MODEL ", " DATA "}");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(text, sizeof text, "{" MODEL ", " DATA ", %s\"loss\": {\"kind\": \"%s\"}}",
                 i ? "\"teacher\": \"t.h5\", " : "", kinds[i]);
        check_config(cli_train_keys, rt_train_check, text);
    }
    check_config(cli_train_keys, rt_train_check, "{" MODEL ", " DATA ", \"train\": {\"optimizer\": \"adamw\"}}");
    check_config(cli_train_keys, rt_train_check,
                 "{" MODEL ", " DATA ", \"train\": {\"schedule\": \"step\", \"milestones\": [3]}}");
    check_config(cli_train_keys, rt_train_check, "{" MODEL ", " DATA ", \"train\": {\"schedule\": \"one_cycle\"}}");
    check_config(cli_train_keys, rt_train_check,
                 "{\"model\": {\"input\": [8, 8, 1], \"classes\": 3, \"family\": \"cnn\"}, " DATA "}");
    static const char *const single[] = {
        "\"task\": \"multilabel\"}]}, ",
        "\"task\": \"multilabel\"}]}, \"teacher\": \"t.h5\", ",
        "\"task\": \"real\"}]}, ",
        "\"task\": \"real\"}]}, \"loss\": {\"kind\": \"huber\"}, \"teacher\": \"t.h5\", ",
        "\"task\": \"real\"}]}, \"loss\": {\"kind\": \"quantile\"}, ",
        "\"task\": \"real\"}, {\"name\": \"b\", \"size\": 2}]}, \"teacher\": \"t.h5\", "};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        snprintf(text, sizeof text,
                 "{\"model\": {\"input\": [4], \"family\": \"mlp\", \"heads\": [{\"name\": \"a\", \"size\": 3, "
                 "%s" DATA "}",
                 single[i]);
        check_config(cli_train_keys, rt_train_check, text);
    }
    check_rest(cli_train_keys, rt_train_check, "{" MODEL ", " DATA "}");
}

static rt_status check_teacher(cJSON *spec)
{
    rt_cfg c = rt_cfg_begin(spec, "");
    return rt_teacher_read_object(NULL, &c, NULL);
}

/* Every key is one of some kind; of members of a mix those of their kind and their share. */
static void teacher_keys(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "{\"file\": \"m.onnx\", \"inputs\": {\"x\": {}}, \"output\": \"y\", \"outputs\": {}, \"task\": \"real\", "
        "\"features\": [], \"data_root\": \".\", \"shorter\": true, \"memory\": 2000, \"seconds\": 4}",
        "{\"command\": [\"a\"], \"version\": \"1\", \"classes\": 3, \"input\": \"a\"}",
        "{\"command\": [\"a\"], \"version\": \"1\", \"heads\": [{\"name\": \"a\", \"size\": 2}], \"columns\": [\"a\"], "
        "\"normalize\": 3}",
        "{\"from\": \"a.h5:z\", \"like\": \"m.h5\", \"id\": \"key\"}",
        "{\"mix\": \"best\", \"teachers\": [\"a.h5\"], \"validation\": {\"source\": \"a.h5\"}}"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cJSON *given = parsed(kinds[i]), *effective = parsed(kinds[i]);
        rt_status st = check_teacher(effective);
        if (cJSON_HasObjectItem(given, "normalize")) check_fails(st, RT_USAGE, "normalize");
        else check_ok(st);
        cJSON_DeleteItemFromObject(effective, "validation");           /* its own defaults are in its own words */
        check_tree(cli_teacher_keys, "", effective, given);
        cJSON_Delete(given);
        cJSON_Delete(effective);
    }
    static const char mix[] = "{\"mix\": \"logits\", \"teachers\": [{\"from\": \"a.npy\"}]}";
    cJSON *given = parsed(mix), *effective = parsed(mix);
    check_ok(check_teacher(effective));
    check_tree(cli_teacher_keys, "", cJSON_GetObjectItem(effective, "teachers")->child,
               cJSON_GetObjectItem(given, "teachers")->child);
    cJSON_Delete(given);
    cJSON_Delete(effective);
    for (int i = 0; cli_teacher_keys[i].path; i++)
        if (!seen[i] && strcmp(cli_teacher_keys[i].path, "validation"))
            fail_msg("%s is no key", cli_teacher_keys[i].path);
    memset(seen, 0, sizeof seen);
}

static void label_keys(void **state)
{
    (void)state;
    check_config(cli_label_keys, rt_label_check, "{\"teacher\": \"t.h5\", " DATA "}");
    check_rest(cli_label_keys, rt_label_check, "{\"teacher\": \"t.h5\", " DATA "}");
}

static void eval_keys(void **state)
{
    (void)state;
    check_config(cli_eval_keys, rt_evaluate_check, "{\"teacher\": \"t.h5\", " DATA "}");
    check_config(cli_eval_keys, rt_evaluate_check, "{\"students\": [\"s.h5\"], " DATA "}");
    check_rest(cli_eval_keys, rt_evaluate_check, "{\"teacher\": \"t.h5\", " DATA "}");
}

static void vote_keys(void **state)
{
    (void)state;
    check_config(cli_vote_keys, rt_vote_check, "{\"voters\": [\"a.h5\"], " DATA "}");
    check_rest(cli_vote_keys, rt_vote_check, "{\"voters\": [\"a.h5\"], " DATA "}");
}

static void predict_keys(void **state)
{
    (void)state;
    check_config(cli_predict_keys, rt_predict_check, "{\"model\": \"m.h5\", " DATA "}");
    check_rest(cli_predict_keys, rt_predict_check, "{\"model\": \"m.h5\", " DATA "}");
}

static void select_keys(void **state)
{
    (void)state;
    check_config(cli_select_keys, rt_select_check, "{\"from\": \"p.h5\", \"n\": 3}");
    check_config(cli_select_keys, rt_select_check, "{\"from\": \"p.h5\", \"n\": 3, \"by\": \"mix\"}");
    check_rest(cli_select_keys, rt_select_check, "{\"from\": \"p.h5\", \"n\": 3}");
}

static void drift_keys(void **state)
{
    (void)state;
    check_config(cli_drift_keys, rt_drift_check, "{\"reference\": {\"source\": \"r.h5\"}, " DATA "}");
    check_rest(cli_drift_keys, rt_drift_check, "{\"reference\": {\"source\": \"r.h5\"}, " DATA "}");
}

static void clean_keys(void **state)
{
    (void)state;
    check_config(cli_clean_keys, rt_clean_check, "{\"from\": \"p.h5\"}");
    check_config(cli_clean_keys, rt_clean_check, "{\"from\": \"p.h5\", \"set\": \"p\", " DATA "}");
    check_config(cli_clean_keys, rt_clean_check, "{\"find\": \"duplicates\", " DATA "}");
    check_config(
        cli_clean_keys, rt_clean_check,
        "{\"find\": \"duplicates\", \"features\": \"f.h5:h\", \"against\": \"g.h5\", \"within\": 3, \"recall\": 0.5}");
    check_config(cli_clean_keys, rt_clean_check,
                 "{\"find\": \"outliers\", \"model\": \"m.h5\", \"layer\": \"l\", " DATA "}");
    check_config(cli_clean_keys, rt_clean_check,
                 "{\"find\": \"outliers\", \"by\": \"energy\", \"from\": \"p.h5\"}");
    check_rest(cli_clean_keys, rt_clean_check, "{\"from\": \"p.h5\", " DATA "}");
}

static void quantize_keys(void **state)
{
    (void)state;
    check_config(cli_quantize_keys, rt_quantize_check, "{\"model\": \"m.h5\", " DATA "}");
    check_config(cli_quantize_keys, rt_quantize_check,
                 "{\"model\": \"m.h5\", " DATA ", \"quant\": {\"layers\": {\"a\": {\"weights\": 4}}}}");
    check_rest(cli_quantize_keys, rt_quantize_check, "{\"model\": \"m.h5\", " DATA "}");
}

static void default_words(void **state)
{
    (void)state;
    assert_true(is_word_of("ce; kd with a teacher", "kd") && !is_word_of("ce; kd with a teacher", "k"));
    assert_true(is_number_of("sgd 5e-4; adamw 0.01", 0.01) && !is_number_of("sgd 5e-4; adamw 0.01", 0.1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_words), cmocka_unit_test(train_keys), cmocka_unit_test(teacher_keys),
        cmocka_unit_test(label_keys),    cmocka_unit_test(eval_keys),  cmocka_unit_test(quantize_keys),
        cmocka_unit_test(predict_keys),  cmocka_unit_test(drift_keys), cmocka_unit_test(clean_keys),
        cmocka_unit_test(select_keys),   cmocka_unit_test(vote_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
