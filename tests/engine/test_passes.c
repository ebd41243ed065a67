/* Passes: on random graphs, built from the operators' own tables of attributes, the lowered graph gives what the graph
 * as it is written gives, in inference and in training, with shared and frozen weights, and to the bit the same with
 * any number of threads; what is folded is what the formula says; lowering what is lowered changes nothing. */
#include "engine/pass.h"
#include "engine/plan.h"
#include "engine/rng.h"
#include "tests/support.h"

enum { GRAPHS = 8000, NODES = 14, ROWS = 5, BATCH = 6 };

typedef struct { uint64_t seed; uint32_t at; } dice;

static int roll(dice *d, int n)
{
    uint32_t w[4];
    rt_random4(w, d->seed, 99, d->at++, 0, 0, 0);
    return (int)(w[0] % (uint32_t)n);
}

static void random_attribute(dice *d, const rt_attr_spec *s, const rt_shape *in, unsigned char *blob)
{
    void *at = blob + s->at;
    switch (s->kind) {
    case RT_A_INT:
        if (!strncmp(s->name, "depth", 5)) *(int *)at = 1 + roll(d, 3);
        else if (strcmp(s->name, "groups")) *(int *)at = (int)s->low + roll(d, 9);
        else *(int *)at = roll(d, 2) ? 1 : in->dim[in->rank - 1];
        break;
    case RT_A_BOOL: *(int *)at = roll(d, 2); break;
    case RT_A_CHOICE: *(int *)at = roll(d, (int)s->high + 1); break;
    case RT_A_NUMBER:
        if (s->low >= 0) *(float *)at = (float)(s->low + (fmin(s->high, 0.5) - s->low) * (1 + roll(d, 8)) / 8);
        break;
    case RT_A_PAIR: for (int i = 0; i < 2; i++) ((int *)at)[i] = 1 + roll(d, 3); break;
    case RT_A_PADDING: {
        rt_padding *p = at;
        *p = (rt_padding){.given = (int[]){0, 1, 2, 4, RT_PAD_SAME}[roll(d, 5)]};
        for (int i = 0; i < p->given; i++) p->side[i] = roll(d, 2);
        break;
    }
    case RT_A_INTS: {
        rt_ints *list = at;
        *list = (rt_ints){.count = in->rank};
        for (int i = 0; i < in->rank; i++) {
            if (!strcmp(s->name, "axes")) list->value[i] = (i + 1) % in->rank;
            else list->value[i] = (int)s->low > 0 || !strcmp(s->name, "step") ? 1 + roll(d, 3) : roll(d, in->dim[i]);
        }
        break;
    }
    case RT_A_SHAPE: {
        rt_shape *shape = at;
        int count = (int)rt_shape_count(in), first = 1 + roll(d, 4);
        *shape = count % first ? (rt_shape){2, {1, count}} : (rt_shape){3, {first, 1, count / first}};
        break;
    }
    }
}

/* Kinds whose answers grow, jump or are not defined everywhere would make noise of rounding: they are tested alone. */
static int is_tame(const rt_layer_kind *k)
{
    static const rt_unary tame[] = {RT_UNARY_ABS,      RT_UNARY_NEG,          RT_UNARY_ERF,  RT_UNARY_ELU,
                                    RT_UNARY_SELU,     RT_UNARY_CELU,         RT_UNARY_CLIP, RT_UNARY_SOFTPLUS,
                                    RT_UNARY_SOFTSIGN, RT_UNARY_HARD_SIGMOID, RT_UNARY_MISH, RT_UNARY_SIN,
                                    RT_UNARY_COS,      RT_UNARY_ATAN,         RT_UNARY_ASINH};
    for (size_t i = 0; i < sizeof tame / sizeof tame[0]; i++) if (k->unary == tame[i]) return 1;
    switch (k->op) {
    case RT_OP_UNARY: case RT_OP_DIVIDE: case RT_OP_POWER: case RT_OP_MODULO: case RT_OP_LESS: case RT_OP_LESS_OR_EQUAL:
    case RT_OP_GREATER: case RT_OP_GREATER_OR_EQUAL: case RT_OP_EQUAL: case RT_OP_AND: case RT_OP_OR: case RT_OP_XOR:
    case RT_OP_TREES: case RT_OP_DENSE_INT8: case RT_OP_CONV_INT8: case RT_OP_PAIR_INT8:
    case RT_OP_QUANTIZE: case RT_OP_WHERE: case RT_OP_CALL: case RT_OP_REDUCE_PROD:
    case RT_OP_REDUCE_LOG_SUM: case RT_OP_REDUCE_SUM_SQUARE: return 0;
    default: return 1;
    }
}

/* A layer of a random kind over random tensors; refusals (shapes that do not fit) are no failures. */
static void add_layer(dice *d, rt_graph *g, int *reached)
{
    _Alignas(8) unsigned char blob[RT_ATTR_BYTES] = {0};
    /* often one that students are made of, which come first, or an activation */
    const int first[] = {0, 0, 0, RT_OP_AFFINE - 3},
              of[] = {RT_LAYER_KINDS, RT_OP_POSITION - 2, RT_OP_POSITION - 2, RT_ACT_COUNT - 1};
    int pool = roll(d, 4);
    rt_layer_kind kind = rt_layer_kind_at(first[pool] + roll(d, of[pool]));
    const rt_op *op = rt_ops[kind.op];
    if (!is_tame(&kind)) return;
    int in[4] = {0}, inputs = op->min_inputs + roll(d, op->max_inputs > op->min_inputs ? 2 : 1), out;
    const char *share = NULL;
    char name[32];
    for (int i = 0; i < inputs; i++) in[i] = g->tensors - 1 - roll(d, g->tensors < 4 ? g->tensors : 4);
    if (kind.op == RT_OP_ADD || kind.op == RT_OP_MUL)                 /* of one shape, if there is another */
        for (int t = 0; t < g->tensors; t++)
            if (rt_shape_equal(&g->tensor[t].shape, &g->tensor[in[0]].shape) && roll(d, 2)) in[1] = t;
    if (kind.schema) rt_schema_defaults(kind.schema, blob);
    for (int a = 0; kind.schema && a < kind.schema->count; a++)
        if (kind.schema->spec[a].required > 0 || roll(d, 2))
            random_attribute(d, &kind.schema->spec[a], &g->tensor[in[0]].shape, blob);
    rt_layer_function(&kind, blob);
    for (int i = 0; i < g->nodes && !share; i++)
        if (g->node[i].op == kind.op && g->node[i].fields && g->node[i].share < 0 && roll(d, 2)) {
            share = g->node[i].name;
            memcpy(blob, g->node[i].attr, sizeof blob);
        }
    snprintf(name, sizeof name, "%s%d", kind.name, g->nodes);
    if (kind.op == RT_OP_BATCH_NORM) {
        ((rt_batch_norm_attr *)(void *)blob)->eps = 0.1f;             /* or a constant channel is noise times 300 */
        share = NULL;
    }
    if (rt_graph_add(g, kind.op, name, in, inputs, blob, share, &out)) return;
    reached[kind.op]++;
    if (share) reached[RT_OP_COUNT]++;
}

static rt_graph *random_graph(dice *d, int *reached)
{
    rt_graph *g = rt_graph_new();
    rt_shape_attr in = {.shape = {.rank = roll(d, 6) ? 1 + roll(d, 3) : 4}};
    int out;
    for (int i = 0; i < in.shape.rank; i++) in.shape.dim[i] = 1 + roll(d, in.shape.rank == 4 ? 4 : 9);
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &in, NULL, &out));
    if (roll(d, 3) == 0) check_ok(rt_graph_add(g, RT_OP_INPUT, "second", NULL, 0, &in, NULL, &out));
    rt_shape_attr ids = {.shape = {1 + roll(d, 2), {1 + roll(d, 5), 1 + roll(d, 3)}}, .ids = 1};
    if (roll(d, 3) == 0) check_ok(rt_graph_add(g, RT_OP_INPUT, "ids", NULL, 0, &ids, NULL, &out));
    for (int i = 0; i < 60 && g->nodes < NODES; i++) add_layer(d, g, reached);
    if (g->nodes == g->inputs || g->tensor[g->output].type == RT_I32)
        check_ok(rt_graph_add(g, RT_OP_SOFTMAX, "only", &g->input[0], 1, NULL, NULL, &out));
    rt_graph_seal(g);
    const char *frozen[2] = {g->node[roll(d, g->nodes)].name, g->node[roll(d, g->nodes)].name};
    if (roll(d, 2)) (void)rt_graph_freeze(g, frozen, 2);
    return g;
}

static void weigh(void *arg, const rt_loss_io *io)
{
    const float *w = arg;
    const int first = io->row0 * io->n;                      /* the same however rows are cut */
    for (int i = 0; i < io->rows * io->n; i++) io->grad[i] = w[(first + i) % 64] / (float)io->total;
    for (int r = 0; r < io->rows; r++) {
        io->loss[r] = 0;
        for (int i = 0; i < io->n; i++) io->loss[r] += io->value[r * io->n + i] * w[(first + r * io->n + i) % 64];
    }
}

typedef struct { float *out[2], *grads, *states; double loss; } outcome;

static outcome run_graph(const rt_graph *g, const int *keep, int train, int plain, rt_pool *pool, const float *x,
                         float *params, const float *states)
{
    static float w[64];
    for (int i = 0; i < 64; i++) w[i] = (float)(i % 7) - 2.9f;
    rt_plan_spec spec = {.graph = g, .batch = BATCH, .train = train, .plain = plain};
    for (int i = 0; i < 2; i++) {
        if (train) spec.loss[spec.losses++] = (rt_loss_spec){.tensor = keep[i], .fn = weigh, .arg = w};
        else spec.output[spec.outputs++] = keep[i];
    }
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    outcome o = {.grads = calloc(g->grad_floats + 1, 4), .states = calloc(g->floats[RT_STATE] + 1, 4)};
    memcpy(o.states, states, g->floats[RT_STATE] * 4);
    size_t nx = rt_shape_count(&g->tensor[g->input[0]].shape) * BATCH;
    rt_run run = {.rows = train ? ROWS : BATCH,
                  .x = {x},
                  .params = params,
                  .states = o.states,
                  .grads = o.grads,
                  .seed = 5};
    float *ids = calloc(BATCH * 16, sizeof *ids);
    for (int i = 1; i < g->inputs; i++) {
        int many = rt_graph_ids(g, i);
        run.x[i] = g->tensor[g->input[i]].type == RT_I32 ? ids : x + nx;
        for (int k = 0; k < BATCH * 16 && many; k++) ((int32_t *)(void *)ids)[k] = k * 7 % many;
    }
    rt_plan_prepare(p, &run);
    rt_plan_run(p, &run);
    for (int i = 0; i < 2 && !train; i++) {
        size_t n = rt_shape_count(&g->tensor[keep[i]].shape) * BATCH;
        o.out[i] = malloc(n * 4);
        memcpy(o.out[i], rt_plan_output(p, i), n * 4);
    }
    o.loss = train ? run.loss[0] + run.loss[1] : 0;
    free(ids);
    rt_plan_free(p);
    return o;
}

static void free_outcome(outcome *o)
{
    free(o->out[0]);
    free(o->out[1]);
    free(o->grads);
    free(o->states);
}

/* Within `part` of the largest. */
static void same(const char *what, const float *a, const float *b, size_t n, double part)
{
    double most = 1e-3;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - b[i]) <= part * most)) fail_msg("%s: %g and %g, of %g", what, a[i], b[i], most);
}

/* What is not frozen has the gradient that it has when nothing is. */
static void compare_frozen(rt_graph *g, const int *keep, rt_pool *pool, const float *x, float *params,
                           const float *states, const float *grads)
{
    int norm = 0, frozen = 0;
    for (int i = 0; i < g->nodes; i++) norm |= g->node[i].op == RT_OP_BATCH_NORM;
    for (int i = 0; i < g->fields; i++) frozen |= g->field[i].flags & RT_F_FROZEN;
    if (norm || !frozen) return;
    rt_field *was = malloc((size_t)g->fields * sizeof *was);
    memcpy(was, g->field, (size_t)g->fields * sizeof *was);
    for (int i = 0; i < g->fields; i++) g->field[i].flags &= ~(unsigned)RT_F_FROZEN;
    rt_graph_seal(g);
    outcome o = run_graph(g, keep, 1, 0, pool, x, params, states);
    for (int i = 0; i < g->fields; i++)
        if (was[i].grad_at != RT_NOWHERE)
            same("beside what is frozen", grads + was[i].grad_at, o.grads + g->field[i].grad_at, was[i].count, 1e-4);
    free_outcome(&o);
    memcpy(g->field, was, (size_t)g->fields * sizeof *was);
    rt_graph_seal(g);
    free(was);
}

static void compare(rt_graph *g, const int *keep, rt_pool *const *pool, const char *what, uint64_t seed)
{
    size_t nx = rt_shape_count(&g->tensor[g->input[0]].shape) * BATCH * 2;
    float *x = random_floats(nx, (uint32_t)seed), *params = calloc(g->floats[RT_PARAM] + 1, 4),
          *states = calloc(g->floats[RT_STATE] + 1, 4);
    rt_graph_init(g, seed, params, states);
    for (int i = 0; i < g->fields; i++)
        for (size_t k = 0; k < g->field[i].count && g->field[i].home != RT_CONST; k++)
            (g->field[i].home == RT_PARAM ? params : states)[g->field[i].offset + k] += 0.01f * (float)(k % 13);
    for (int train = 0; train < 2; train++) {
        char text[160];
        outcome plain = run_graph(g, keep, train, 1, pool[0], x, params, states),
                low = run_graph(g, keep, train, 0, pool[0], x, params, states),
                threads = run_graph(g, keep, train, 0, pool[1], x, params, states);
        for (int i = 0; i < 2 && !train; i++) {
            size_t n = rt_shape_count(&g->tensor[keep[i]].shape) * BATCH;
            snprintf(text, sizeof text, "%s: output %d (%s)", what, i, rt_kernels_get()->name);
            same(text, plain.out[i], low.out[i], n, 2e-5);
            assert_memory_equal(low.out[i], threads.out[i], n * 4);
        }
        snprintf(text, sizeof text, "%s: gradients (%s)", what, rt_kernels_get()->name);
        same(text, plain.grads, low.grads, g->grad_floats, 1e-4);
        assert_memory_equal(low.grads, threads.grads, g->grad_floats * 4);
        assert_memory_equal(low.states, threads.states, g->floats[RT_STATE] * 4);
        if (train) compare_frozen(g, keep, pool[0], x, params, states, low.grads);
        if (train) check_close(what, low.loss, plain.loss, 1e-3, 1e-4);
        for (int i = 0; i < g->fields; i++)          /* frozen statistics stand still */
            if (g->field[i].home == RT_STATE && g->field[i].flags & RT_F_FROZEN) {
                size_t at = g->field[i].offset;
                assert_memory_equal(low.states + at, states + at, g->field[i].count * 4);
            }
        free_outcome(&plain);
        free_outcome(&low);
        free_outcome(&threads);
    }
    free(x);
    free(params);
    free(states);
}

static void count_change(void *arg, const char *name, const char *what, const rt_graph *g, const rt_lowered *low)
{
    (void)what;
    (void)g;
    (void)low;
    if (name) ++*(int *)arg;
}

/* Returns how many passes changed it. */
static int lower_twice(const rt_graph *g, rt_mode mode, const int *keep)
{
    rt_lowered low, again;
    int changes = 0, more = 0;
    check_ok(rt_graph_lower(g, &(rt_lower_spec){.mode = mode, .keep = keep, .keeps = 2}, &low, count_change, &changes));
    int kept[2] = {low.tensor_of[keep[0]], low.tensor_of[keep[1]]};
    check_ok(rt_graph_lower(low.graph, &(rt_lower_spec){.mode = mode, .keep = kept, .keeps = 2}, &again, count_change,
                            &more));
    int apart = 0;                    /* what is left out last keeps layers apart until then */
    for (int i = 0; i < g->nodes; i++) apart |= g->node[i].op == RT_OP_DROPOUT || low.tensor_of[g->node[i].out] < 0;
    assert_true(more == 0 || apart);
    rt_lowered_free(&low);
    rt_lowered_free(&again);
    return changes;
}

static void random_graphs(void **state)
{
    (void)state;
    const char *given = getenv("RT_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 11;
    rt_pool *pool[2] = {rt_pool_new(1), rt_pool_new(3)};
    int reached[RT_OP_COUNT + 1] = {0}, changed = 0, families = 0;
    const rt_kernels *family[8];
    for (const rt_kernels *const *k = rt_kernels_all(); *k && families < 8; k++)
        if (rt_kernels_runnable(*k)) family[families++] = *k;
    for (int i = 0; i < GRAPHS; i++) {
        dice d = {seed + (uint64_t)i, 0};
        char what[40];
        rt_graph *g = random_graph(&d, reached);
        int keep[2] = {g->output, roll(&d, g->tensors)};
        if (rt_graph_input_of(g, keep[1]) >= 0 || g->tensor[keep[1]].type == RT_I32) keep[1] = g->output;
        snprintf(what, sizeof what, "RT_TEST_SEED=%llu", (unsigned long long)(seed + (uint64_t)i));
        check_ok(rt_kernels_select(family[i % families]->name));
        compare(g, keep, pool, what, seed + (uint64_t)i);
        changed += lower_twice(g, RT_INFER, keep) + lower_twice(g, RT_TRAIN, keep) > 0;
        rt_graph_free(g);
    }
    for (int k = 0; k < RT_LAYER_KINDS; k++) {
        rt_layer_kind kind = rt_layer_kind_at(k);
        if (is_tame(&kind) && !reached[kind.op]) fail_msg("no graph had a layer of the kind %s", kind.name);
    }
    assert_true(reached[RT_OP_COUNT] > GRAPHS / 20);          /* shared weights */
    assert_true(changed > GRAPHS / 2);
    rt_pool_free(pool[0]);
    rt_pool_free(pool[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
