/* Policies: what is read, and what is refused before any work, with the nearest name. */
#include "experiments/policy.h"
#include "tests/support.h"

static long today;

static rt_status take(rt_policy *p, const char *text)
{
    char json[4096], *to = json;
    cJSON *j;
    for (; *text; text++) *to++ = *text == '\'' ? '"' : *text;
    *to = 0;
    check_ok(rt_json_parse(&j, json, strlen(json), "test"));
    return rt_policy_take(p, j, "policy.json", today);
}

#define POLICY(rest) "{'format': 'retort-policy-1', " rest "}"
#define LIMITS(list) POLICY("'limits': [" list "]")

static void refused(const char *text, const char *part)
{
    rt_policy p;
    check_fails(take(&p, text), RT_USAGE, part);
    if (strncmp(rt_error_message(), "policy.json: ", 13)) fail_msg("without the file's name: %s", rt_error_message());
    rt_policy_free(&p);
}

/* The example of the issue of a policy, as it stands there. */
static void whole(void **state)
{
    (void)state;
    rt_policy p;
    check_ok(take(&p, "{'format': 'retort-policy-1', 'mode': 'noninferior', 'confidence': 0.95, 'seed': 1,"
                      "'baseline': 'sha256:8bac000000000000000000000000000000000000000000000000000000000000',"
                      "'limits': ["
                      "{'metric': 'accuracy', 'max_drop': 0.005},"
                      "{'metric': 'macro_f1', 'max_drop_rel': 0.01},"
                      "{'metric': 'recall', 'class': '*', 'max_drop': 0.03, 'min_rows': 200},"
                      "{'metric': 'accuracy', 'slice': 'country=*', 'max_drop': 0.02, 'min_rows': 200},"
                      "{'metric': 'nfr', 'max': 0.02},"
                      "{'metric': 'latency_p50', 'max_ratio': 1.1},"
                      "{'metric': 'latency_p99', 'max_us': 500},"
                      "{'metric': 'file_bytes', 'max_ratio': 1.0}],"
                      "'waivers': [{'limit': 'recall class=6', 'until': '2027-01-31', 'reason': 'known'}]}"));
    static const struct { const char *name; rt_bound bound; double most; uint64_t rows; int each; } want[] = {
        {"accuracy", RT_MAX_DROP, 0.005, 1, 0},
        {"macro_f1", RT_MAX_DROP_REL, 0.01, 1, 0},
        {"recall class=*", RT_MAX_DROP, 0.03, 200, 1},
        {"accuracy slice=country=*", RT_MAX_DROP, 0.02, 200, 1},
        {"nfr", RT_MAX, 0.02, 1, 0},
        {"latency_p50", RT_MAX_RATIO, 1.1, 1, 0},
        {"latency_p99", RT_MAX_US, 500, 1, 0},
        {"file_bytes", RT_MAX_RATIO, 1, 1, 0}};
    assert_int_equal(p.limits, 8);
    for (int i = 0; i < 8; i++) {
        assert_string_equal(p.limit[i].name, want[i].name);
        assert_int_equal(p.limit[i].bound, want[i].bound);
        assert_true(p.limit[i].most == want[i].most && p.limit[i].min_rows == want[i].rows);
        assert_int_equal(p.limit[i].each, want[i].each);
    }
    assert_string_equal(p.limit[3].column, "country");
    assert_true(!p.proven && p.confidence == 0.95 && p.seed == 1 && p.rounds == 40);
    assert_int_equal(p.scenarios, 1u << RT_SINGLE_STREAM);
    assert_non_null(rt_policy_waiver(&p, &p.limit[2], "recall class=6"));
    assert_null(rt_policy_waiver(&p, &p.limit[2], "recall class=66"));
    assert_null(rt_policy_waiver(&p, &p.limit[0], "accuracy"));
    rt_policy_free(&p);
}

static void names(void **state)
{
    (void)state;
    refused(LIMITS("{'metric': 'acuracy', 'max_drop': 0.01}"),
            "limits[0].metric: there is no metric 'acuracy'; did you "
            "mean 'accuracy'?");
    refused(LIMITS("{'metric': 'latency_p95', 'max_ratio': 1.1}"), "did you mean 'latency_p9");
    refused(LIMITS("{'metric': 'AUC', 'max_drop': 0.01}"), "there is no metric 'AUC'");
    refused(LIMITS("{'metric': 'accuracy', 'max_drp': 0.01}"),
            "limits[0].max_drp: unknown key; did you mean 'max_drop'?");
    refused(LIMITS("{'metric': 'accuracy', 'max_drop': 0.01, 'min_row': 5}"), "did you mean 'min_rows'?");
    refused(POLICY("'limit': []"), "unknown key; did you mean 'limits'?");
    refused("{'limits': [{'metric': 'accuracy', 'max_drop': 0.01}]}", "format");
    refused("{'format': 'retort-policy-2'}", "\"retort-policy-1\" is expected");
    refused(POLICY("'mode': 'proved', 'limits': []"), "mode: 'proved' is not one of");
}

static void bounds(void **state)
{
    (void)state;
    refused(LIMITS(""), "nothing could fail");
    refused(LIMITS("{'metric': 'accuracy'}"), "a bound is missing: max_drop or max_drop_rel or min");
    refused(LIMITS("{'metric': 'accuracy', 'max_drop': 0.1, 'max_drop_rel': 0.1}"), "a limit has one bound");
    refused(LIMITS("{'metric': 'accuracy', 'max': 0.1}"), "max: does not apply to 'accuracy', which max_drop or "
                                                          "max_drop_rel or min bounds");
    refused(LIMITS("{'metric': 'nfr', 'max_drop': 0.1}"), "does not apply to 'nfr', which max bounds");
    refused(LIMITS("{'metric': 'nfr', 'max': 1}"), "is a limit that nothing can break");
    refused(LIMITS("{'metric': 'accuracy', 'min': 0}"), "is a limit that nothing can break");
    refused(LIMITS("{'metric': 'ece', 'max': 1}"), "is a limit that nothing can break");
    refused(LIMITS("{'metric': 'mcc', 'min': -1}"), "is a limit that nothing can break");
    refused(LIMITS("{'metric': 'accuracy', 'min': 1.1}"), "min: a number from 0 to 1");
    refused(LIMITS("{'metric': 'rmse', 'min': 1}"), "min: does not apply to 'rmse', which max_drop or max_drop_rel or "
                                                    "max bounds");
    refused(LIMITS("{'metric': 'accuracy', 'min': 0.9, 'against': 'anchor'}"),
            "against: does not apply to a bound of the candidate alone");
    refused(LIMITS("{'metric': 'btc', 'min': 0}"), "is a limit that nothing can break");
    refused(LIMITS("{'metric': 'throughput', 'max_us': 5}"), "max_us: does not apply");
    refused(LIMITS("{'metric': 'accuracy', 'max_drop': -0.1}"), "max_drop: a number from 0");
    refused(LIMITS("{'metric': 'accuracy', 'max_drop': '1 %'}"), "max_drop: a number from 0");
    refused(LIMITS("{'metric': 'file_bytes', 'max_ratio': 0}"), "a ratio above 0");
    refused(LIMITS("{'metric': 'recall', 'max_drop': 0.1}"), "class: is missing");
    refused(LIMITS("{'metric': 'accuracy', 'class': '6', 'max_drop': 0.1}"), "class: does not apply");
    refused(LIMITS("{'metric': 'latency_p50', 'head': 'kind', 'max_ratio': 1.1}"), "head: does not apply");
    refused(LIMITS("{'metric': 'accuracy', 'slice': 'country', 'max_drop': 0.1}"), "slice: COLUMN=VALUE is expected");
    refused(LIMITS("{'metric': 'recall', 'class': '*', 'slice': 'a=*', 'max_drop': 0.1}"),
            "only one of class and slice");
    refused(LIMITS("{'metric': 'accuracy', 'max_drop': 0.1}, {'metric': 'accuracy', 'max_drop': 0.2}"),
            "limits[1]: 'accuracy' has a max_drop already, in limits[0]");
    refused(POLICY("'confidence': 1, 'limits': []"), "confidence: a number from 0.5");
    refused(POLICY("'baseline': 'sha256:8bac', 'limits': []"), "baseline: \"sha256:\" and 64 digits");
}

/* What is held against the anchor is two limits of two names, or one where the baseline has its own. */
static void anchors(void **state)
{
    (void)state;
    rt_policy p;
    check_ok(take(&p, LIMITS("{'metric': 'accuracy', 'max_drop': 0.005}, "
                             "{'metric': 'accuracy', 'max_drop': 0.01, 'against': 'anchor'}, "
                             "{'metric': 'recall', 'class': '*', 'max_drop': 0.03, 'against': 'anchor'}, "
                             "{'metric': 'nfr', 'max': 0.1, 'against': 'baseline'}")));
    static const struct { const char *name; double most; int anchor; } want[] = {
        {"accuracy", 0.005, 0},        {"accuracy against=anchor", 0.01, 1},
        {"recall class=*", 0.03, 0},   {"recall against=anchor class=*", 0.03, 1},
        {"nfr", 0.1, 0}};
    assert_true(p.limits == 5 && p.anchored == 2);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(p.limit[i].name, want[i].name);
        assert_true(p.limit[i].most == want[i].most && p.limit[i].anchor == want[i].anchor);
    }
    rt_policy_free(&p);
    /* Of the whole policy: what has two sides, and says nothing else. A waiver is of one side. */
    check_ok(take(&p, POLICY("'against': 'anchor', 'limits': [{'metric': 'accuracy', 'max_drop': 0.1}, "
                             "{'metric': 'latency_p99', 'max_us': 500}, {'metric': 'file_bytes', 'max_ratio': 1}, "
                             "{'metric': 'nfr', 'max': 0.1, 'against': 'baseline'}], 'waivers': [{'limit': "
                             "'accuracy against=anchor', 'until': '2027-01-31', 'reason': 'known'}]")));
    assert_true(p.limits == 6 && p.anchored == 2 && p.limit[1].anchor && p.limit[4].anchor && p.limit[4].cost);
    assert_null(rt_policy_waiver(&p, &p.limit[0], p.limit[0].name));
    assert_non_null(rt_policy_waiver(&p, &p.limit[1], p.limit[1].name));
    /* With its defaults it reads as the same. */
    cJSON *again = cJSON_Duplicate(p.json, 1);
    rt_policy_free(&p);
    check_ok(rt_policy_take(&p, again, "policy.json", today));
    assert_true(p.limits == 6 && p.anchored == 2);
    rt_policy_free(&p);
    refused(LIMITS("{'metric': 'accuracy', 'max_drop': 0.1, 'against': 'anchr'}"), "against: 'anchr' is not one of");
    refused(LIMITS("{'metric': 'latency_p99', 'max_us': 500, 'against': 'anchor'}"),
            "limits[0].against: does not apply to a bound of the candidate alone");
    refused(LIMITS("{'metric': 'nfr', 'max': 0.1, 'against': 'anchor'}, "
                   "{'metric': 'nfr', 'max': 0.2, 'against': 'anchor'}"),
            "limits[1]: 'nfr' has a max already, in limits[0]");
    refused(LIMITS("{'metric': 'nfr', 'max': 0.1}, {'metric': 'nfr', 'max': 0.2, 'against': 'anchor'}, "
                   "{'metric': 'nfr', 'max': 0.3, 'against': 'anchor'}"),
            "limits[2]: 'nfr against=anchor' has a max already, in limits[1]");
}

static void spending(void **state)
{
    (void)state;
    rt_policy p;
    check_ok(
        take(&p, POLICY("'spending': 'obrien_fleming', 'releases': 12, 'limits': [{'metric': 'nfr', 'max': 0.1}]")));
    assert_true(p.spending == RT_SPEND_OBRIEN_FLEMING && p.releases == 12);
    rt_policy_free(&p);
    check_ok(take(&p, LIMITS("{'metric': 'nfr', 'max': 0.1}")));
    assert_true(p.spending == RT_SPEND_NONE && p.releases == 0 && !p.anchored);
    rt_policy_free(&p);
    refused(POLICY("'spending': 'pocock', 'limits': []"), "releases: is missing");
    refused(POLICY("'spending': 'pocok', 'releases': 4, 'limits': []"), "spending: 'pocok' is not one of");
    refused(POLICY("'spending': 'pocock', 'releases': 1001, 'limits': []"), "releases: ");
    refused(POLICY("'spending': 'pocock', 'releases': 1.5, 'limits': []"), "releases: ");
    refused(POLICY("'spendings': 'pocock', 'limits': []"), "did you mean 'spending'?");
}

static void dates(void **state)
{
    (void)state;
    static const struct { const char *date; long days; } want[] = {
        {"1970-01-01", 0},     {"2000-02-29", 11016}, {"2026-11-26", 20783}, {"2027-01-31", 20849}, {"2100-02-29", -1},
        {"2027-02-29", -1},    {"2027-13-01", -1},    {"2027-00-10", -1},    {"27-01-31", -1},      {"2027-1-31", -1},
        {"2027-01-31T00", -1}, {"-027-01-31", -1},    {"", -1},              {"tomorrow", -1}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) assert_int_equal(rt_days(want[i].date), want[i].days);
}

#define WAIVED(list) \
    POLICY("'limits': [{'metric': 'recall', 'class': '*', 'max_drop': 0.1}, {'metric': 'accuracy', 'slice': 'c=*', " \
           "'max_drop': 0.1}, {'metric': 'nfr', 'max': 0.1}], 'waivers': [" list "]")
#define WAIVER(limit, until, reason) WAIVED("{'limit': '" limit "', 'until': '" until "', 'reason': '" reason "'}")

static void waivers(void **state)
{
    (void)state;
    rt_policy p;
    refused(WAIVER("recall class=6", "2026-11-25", "known"),
            "the waiver of 'recall class=6' has expired on 2026-11-25");
    refused(WAIVER("recall class=6", "soon", "known"), "until: a date");
    refused(WAIVER("recall class=6", "2027-01-31", ""), "reason: is empty");
    refused(WAIVER("recal class=*", "2027-01-31", "known"),
            "waives nothing: no limit has this name; did you mean 'recall "
            "class=*'?");
    refused(WAIVED("{'limit': 'nfr', 'until': '2027-01-31'}"), "reason");
    check_ok(take(&p, WAIVER("accuracy slice=c=DE", "2026-11-26", "known")));      /* until holds that day, too */
    assert_non_null(rt_policy_waiver(&p, &p.limit[1], "accuracy slice=c=DE"));
    assert_null(rt_policy_waiver(&p, &p.limit[1], "accuracy slice=c=FR"));
    rt_policy_free(&p);
    check_ok(take(&p, WAIVER("recall class=*", "2027-01-31", "known")));           /* of each */
    assert_non_null(rt_policy_waiver(&p, &p.limit[0], "recall class=6"));
    rt_policy_free(&p);
}

static void baselines(void **state)
{
    (void)state;
    rt_policy p;
    check_ok(
        take(&p, POLICY("'baseline': 'xxh128:00112233445566778899aabbccddeeff', 'limits': [{'metric': 'nfr', 'max': "
                        "0.1}]")));
    check_ok(rt_policy_check_baseline(&p, "b.h5", "sha256:1", "xxh128:00112233445566778899aabbccddeeff"));
    check_fails(rt_policy_check_baseline(&p, "b.h5", "sha256:1", "xxh128:ff"), RT_USAGE,
                "b.h5: is xxh128:ff, but the policy is for the baseline xxh128:0011");
    rt_policy_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole),   cmocka_unit_test(names),
                                       cmocka_unit_test(bounds),  cmocka_unit_test(anchors),
                                       cmocka_unit_test(spending), cmocka_unit_test(dates),
                                       cmocka_unit_test(waivers), cmocka_unit_test(baselines)};
    today = rt_days("2026-11-26");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
