/* Heads of a graph: their places in the answer, and what is refused; a model's head of classes. */
#include "student/arch.h"
#include "student/model.h"
#include "tests/support.h"

static rt_model *make(void)
{
    static const char arch[] = "{\"input\":[4,4,1],\"classes\":3,\"layers\":[{\"op\":\"conv2d\",\"out\":2,\"kernel\":3,"
                               "\"name\":\"conv\"},{\"op\":\"flatten\",\"name\":\"flat\"},{\"op\":\"dense\",\"out\":5,"
                               "\"name\":\"five\"},{\"op\":\"dense\",\"out\":3,\"name\":\"three\"}]}";
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, 1));
    cJSON_Delete(j);
    return m;
}

static void classes_are_a_head(void **state)
{
    (void)state;
    rt_model *m = make();
    const rt_head *h = &m->head[0];
    assert_int_equal(m->heads, 1);
    assert_string_equal(h->name, "y");
    assert_string_equal(h->layer, "three");
    assert_int_equal(h->task, RT_TASK_CLASSES);
    assert_int_equal(h->size, 3);
    assert_int_equal(h->at, 0);
    assert_int_equal(h->tensor, m->graph->output);
    assert_int_equal(h->names.count, 3);
    assert_null(h->names.name);
    rt_model_free(m);
}

static void places(void **state)
{
    (void)state;
    rt_model *m = make();
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    assert_int_equal(rt_heads_width(head, count), 0);
    check_ok(rt_heads_add(head, &count, m->graph, "kind", RT_TASK_CLASSES, rt_arch_find(m->graph, "three")));
    check_ok(rt_heads_add(head, &count, m->graph, "tags", RT_TASK_MULTILABEL, rt_arch_find(m->graph, "five")));
    check_ok(rt_heads_add(head, &count, m->graph, "price", RT_TASK_REAL, rt_arch_find(m->graph, "three")));
    assert_int_equal(count, 3);
    assert_int_equal(head[0].at, 0);
    assert_int_equal(head[1].at, 3);
    assert_int_equal(head[2].at, 8);
    assert_int_equal(rt_heads_width(head, count), 11);
    assert_string_equal(head[1].layer, "five");
    assert_int_equal(head[1].task, RT_TASK_MULTILABEL);
    assert_int_equal(head[2].task, RT_TASK_REAL);
    rt_heads_free(head, count);
    rt_model_free(m);
}

static void refused(void **state)
{
    (void)state;
    rt_model *m = make();
    rt_head head[RT_MAX_HEADS];
    int count = 0, three = rt_arch_find(m->graph, "three");
    check_fails(rt_heads_add(head, &count, m->graph, "map", RT_TASK_REAL, rt_arch_find(m->graph, "conv")), RT_USAGE,
                "head 'map': layer 'conv' gives");
    assert_int_equal(count, 0);
    for (int i = 0; i < RT_MAX_HEADS; i++) {
        char name[] = {(char)('a' + i), 0};
        check_ok(rt_heads_add(head, &count, m->graph, name, RT_TASK_REAL, three));
        if (i == 0) check_fails(rt_heads_add(head, &count, m->graph, "a", RT_TASK_REAL, three), RT_USAGE, "two heads");
    }
    check_fails(rt_heads_add(head, &count, m->graph, "one more", RT_TASK_REAL, three), RT_USAGE, "at most 8 heads");
    assert_int_equal(count, RT_MAX_HEADS);
    rt_heads_free(head, count);
    rt_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes_are_a_head), cmocka_unit_test(places),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
