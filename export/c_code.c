/* export/c_code.c - NAME.h and NAME.c of an exported program: what a caller sees, the code of its operators, its calls.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "c_templates.h"
#include "data/json.h"
#include "engine/version.h"
#include "export/c_parts.h"

static const char *const act_names[] = {"", ", relu", ", relu6"};

static int is_word(int c) { return isalnum((unsigned char)c) || c == '_'; }

/* The template with the program's name in place of net and NET where they begin a word. */
static void put_template(rt_string *s, const rt_c_net *e, const char *text, const char *end)
{
    while (text < end) {
        const char *word = text;
        while (word < end && !is_word(*word)) word++;
        rt_put_bytes(s, text, (size_t)(word - text));
        for (text = word; text < end && is_word(*text);) text++;
        size_t n = (size_t)(text - word);
        int small = n >= 3 && !strncmp(word, "net", 3), large = n >= 3 && !strncmp(word, "NET", 3);
        if ((small || large) && (n == 3 || word[3] == '_')) {
            rt_put(s, "%s", small ? e->name : e->upper);
            word += 3;
        }
        rt_put_bytes(s, word, (size_t)(text - word));
    }
}

/* Of a template in parts, those that the program has. */
static void put_parts(rt_string *s, const rt_c_net *e, const char *text, const char *const *used)
{
    const char *part = strstr(text, "/*@ ");
    put_template(s, e, text, part ? part : text + strlen(text));
    while (part) {
        const char *name = part + 4, *body = strchr(part, '\n') + 1;
        part = strstr(body, "/*@ ");
        for (int i = 0; used[i]; i++)
            if (!strncmp(name, used[i], strlen(used[i])) && name[strlen(used[i])] == ' ')
                put_template(s, e, body, part ? part : body + strlen(body));
    }
}

void rt_c_put_place(rt_string *s, const rt_c_net *e, int tensor)
{
    int root = e->root[tensor];
    if (!root && !e->n->floats) rt_put(s, "x");
    else rt_put(s, "a->byte + %zu", e->at[root]);
}

static void put_comment(rt_string *s, const char *text)
{
    for (const char *p = text; *p; p++) {
        rt_put_bytes(s, p, 1);
        if (*p == '*' && p[1] == '/') rt_put(s, " ");
        if (*p == '/' && p[1] == '*') rt_put(s, " ");
        if (*p == '\\') rt_put(s, " ");
        if (*p == '?' && p[1] == '?') rt_put(s, " ");
    }
}

void rt_c_put_opening(rt_string *s, const rt_c_net *e, const char *ending, const char *what)
{
    const cJSON *about = rt_program_about(e->p), *model = cJSON_GetObjectItemCaseSensitive(about, "model");
    uint8_t *bytes;
    size_t n;
    rt_put(s, "/* %s%s - %s\n * Made by %s; edit nothing here.\n", e->name, ending, what, rt_tool());
    if (!rt_program_write(e->p, &bytes, &n)) {
        rt_put(s, " * Integer program %s (XXH3, 128 bits), contract %d", rt_digest_of(bytes, n).hex, RT_INT_CONTRACT);
        free(bytes);
    } else s->failed = 1;
    if (cJSON_IsString(model)) {
        rt_put(s, ", of model ");
        put_comment(s, model->valuestring);
    }
    rt_put(s, ". */\n");
}

static size_t row_of(const rt_net *n)
{
    return (size_t)n->tensor[0].h * (size_t)n->tensor[0].w * (size_t)n->tensor[0].c;
}

static size_t tensor_bytes(const rt_net_tensor *t) { return (size_t)t->h * (size_t)t->w * (size_t)t->c; }

static void put_about(rt_string *s, const rt_c_net *e)
{
    const rt_net *n = e->n;
    size_t plain = 2 * e->column + 4 * e->few, lanes = 2 * e->lines;
    rt_put(s, "/*\n *     static %s_arena arena;                     (one per thread; nothing needs to be set)\n"
           " *     float y[%s_OUTPUT];\n *     %s_infer(&arena, y, row);\n *\n", e->name, e->upper, e->name);
    rt_put(
        s,
        " * %.0f multiply-adds a row. Constants: %zu bytes in plain C, and %zu of the self test. Arena: %zu bytes in "
        "plain C,\n * up to %zu with vectors. Code: C99; of the library it needs memcpy and memset alone.\n *\n",
        rt_net_macs(n), rt_c_flash(e),
        row_of(n) * (n->floats ? 4 : 1) + 4 * ((size_t)n->calls + (size_t)rt_linked_width(e->linked)),
        e->bytes + plain, e->bytes + (plain > lanes ? plain : lanes) + 64);
    const cJSON *about = rt_program_about(e->p);
    static const char *const keys[] = {"normalization", "columns", "provenance"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *j = cJSON_GetObjectItemCaseSensitive(about, keys[i]);
        char *text = j ? rt_json_text(j, 0) : NULL;
        if (text) {
            rt_put(s, " * %s: ", keys[i]);
            put_comment(s, text);
            rt_put(s, "\n");
        }
        free(text);
    }
    rt_put(s, " */\n");
}

void rt_c_put_header(rt_string *s, const rt_c_net *e)
{
    const rt_net *n = e->n;
    const rt_net_tensor *x = &n->tensor[0];
    const char *up = e->upper, *name = e->name;
    rt_c_put_opening(s, e, ".h", "a trained network in integer arithmetic.");
    put_about(s, e);
    rt_put(s, "#ifndef %s_H\n#define %s_H\n\n#include <stdint.h>\n\n", up, up);
    rt_put(s, "/* Of this export: the C files refuse the header of another one. */\n#define %s_EXPORT 0x%su\n\n", up,
           e->stamp);
    rt_put(s, "#define %s_CONTRACT %d\n#define %s_HEIGHT %d\n#define %s_WIDTH %d\n#define %s_CHANNELS %d\n", up,
           RT_INT_CONTRACT, up, x->h, up, x->w, up, x->c);
    rt_put(s, "#define %s_INPUT %zu\n#define %s_OUTPUT %d\n#define %s_HEADS %d\n#define %s_CALLS %d\n\n", up, row_of(n),
           up, rt_linked_width(e->linked), up, n->heads, up, n->calls);
    rt_put(s, "/* An element of a row: %s */\ntypedef %s %s_input;\n\n",
           n->floats ? "a number, normalised (x + add) mul as the comment above has it."
                     : "a byte, as it is in the data.",
           n->floats ? "float" : "uint8_t", name);
    put_template(s, e, net_head_text, net_head_text + strlen(net_head_text));
    rt_put(s, "\n/* Working memory of one row. */\ntypedef struct {\n#if %s_FORM == 0\n    int16_t column[%zu];\n"
           "    %s_cell cell[%zu];\n#else\n    %s_cell cell[%zu];\n#endif\n    uint8_t byte[%zu];\n} %s_arena;\n",
           up, e->column ? e->column : 1, name, e->few ? e->few : 1, name, e->lines ? e->lines : 1,
           e->bytes ? e->bytes : 1, name);
    rt_put(s, "#define %s_ARENA_BYTES sizeof(%s_arena)\n#define %s_ROWS %d\n\n", up, name, up, e->rows ? e->rows : 1);
    put_template(s, e, net_calls_text, net_calls_text + strlen(net_calls_text));
}

/* ---- NAME.c ---- */

void rt_c_put_stamp(rt_string *s, const rt_c_net *e)
{
    rt_put(s, "\n#if %s_EXPORT != 0x%su\n#error \"%s.h is of another export than this file: export all three "
           "files again\"\n#endif\n", e->upper, e->stamp, e->name);
}

static void put_range(rt_string *s, const rt_net *n, const rt_net_call *c)
{
    rt_int_range r = rt_int_range_of(n->tensor[c->out].q, c->act);
    rt_put(s, "{%d.0f, %d.0f, %d}", r.low - r.zero, r.high - r.zero, r.zero);
}

static void put_conv(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net *n = e->n;
    const rt_net_call *c = &n->call[i];
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    rt_c_runs r = rt_c_runs_of(n, c);
    rt_c_sides side = rt_c_sides_of(n, c);
    int depthwise = rt_c_depthwise(n, c);
    rt_put(s, "static const %s_conv %s_call%d = {\n    %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d,\n    ",
           e->name, e->name, i, side.h, side.w, x->c, side.oh, side.ow, c->n, c->kh, c->kw, c->sh, c->sw, c->pad[0],
           c->pad[2], c->pad[3], c->groups);
    if (depthwise) rt_put(s, "1, 1, 1, ");
    else rt_put(s, "%d, %d, %s_PICK(%d, %d), ", r.runs, r.run, e->upper, r.column, r.four);
    rt_put(s, "%d, ", x->q.zero);
    if (c->out >= 0) put_range(s, n, c);
    else rt_put(s, "{0.0f, 0.0f, 0}");
    if (depthwise) rt_put(s, ",\n    %s_plain_w%d, %s_plain_s%d, %s_plain_m%d};\n", e->name, i, e->name, i, e->name, i);
    else rt_put(s, ",\n    %s_DATA(w%d), %s_DATA(s%d), %s_DATA(m%d)};\n", e->upper, i, e->upper, i, e->upper, i);
}

static void put_pair(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net *n = e->n;
    const rt_net_call *c = &n->call[i];
    rt_int_pair p = {0};
    (c->op == RT_NET_ADD ? rt_int_add_factors : rt_int_mul_factors)(
        &p, n->tensor[c->in[0]].q, n->tensor[c->in[1]].q, n->tensor[c->out].q);
    rt_put(s, "static const %s_pair %s_call%d = {%zu, %d, %d, %af, %af, %af, ", e->name, e->name, i,
           tensor_bytes(&n->tensor[c->out]), p.za, p.zb, (double)p.ra, (double)p.rb, (double)p.fx);
    rt_int_range r = rt_int_range_of(n->tensor[c->out].q, c->act);
    if (c->op == RT_NET_ADD) rt_put(s, "{%d.0f, %d.0f, 0}", r.low, r.high);       /* fx has the zero point */
    else put_range(s, n, c);
    rt_put(s, "};\n");
}

static void put_pool(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net *n = e->n;
    const rt_net_call *c = &n->call[i];
    const rt_net_tensor *x = &n->tensor[c->in[0]], *y = &n->tensor[c->out];
    rt_c_windows w = {0};
    if (c->op == RT_NET_AVG_POOL) w = rt_c_windows_of(n, c);
    rt_put(s, "static const %s_pool %s_call%d = {\n    %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, ",
           e->name, e->name, i, x->h, x->w, x->c, y->h, y->w, c->kh, c->kw, c->sh, c->sw, c->pad[0], c->pad[2],
           x->q.zero, w.rows, w.columns, w.choices);
    put_range(s, n, c);
    if (c->op == RT_NET_AVG_POOL) rt_put(s, ", %s_plain_m%d};\n", e->name, i);
    else rt_put(s, ", 0};\n");
}

static int head_at(const rt_net *n, int head)
{
    int at = 0;
    for (int h = 0; h < head; h++) at += n->size[h];
    return at;
}

/* What a call is, in words. */
static void put_words(rt_string *s, const rt_c_net *e, int i)
{
    static const char *const what[RT_NET_OPS] = {"sums", "add", "multiply", "maximum", "average", "table", "view",
                                                 "floats"};
    const rt_net *n = e->n;
    const rt_net_call *c = &n->call[i];
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    int oh = x->h, ow = x->w, heads;
    rt_put(s, "    /* %d: %s", i, what[c->op]);
    if (c->op == RT_NET_CONV || c->op == RT_NET_MAX_POOL || c->op == RT_NET_AVG_POOL) {
        rt_put(s, " %dx%d", c->kh, c->kw);
        rt_net_window(c, x, &oh, &ow);
    }
    if (c->op == RT_NET_CONV && c->groups > 1) rt_put(s, ", %d groups", c->groups);
    rt_put(s, ", (%d, %d, %d)", x->h, x->w, x->c);
    if (c->out >= 0)
        rt_put(s, " to (%d, %d, %d)%s", n->tensor[c->out].h, n->tensor[c->out].w, n->tensor[c->out].c,
               act_names[c->act]);
    else {
        rt_put(s, " to head ");
        put_comment(s, rt_program_heads(e->p, &heads)[c->head].name);
    }
    if (c->op == RT_NET_CONV)
        rt_put(s, "; %.0f multiply-adds, %d-bit weights",
               (double)oh * ow * c->n * c->kh * c->kw * (x->c / c->groups), c->bits);
    rt_put(s, " */\n");
}

static void put_call(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net *n = e->n;
    const rt_net_call *c = &n->call[i];
    const char *name = e->name;
    put_words(s, e, i);
    if (c->op == RT_NET_RESHAPE) return;
    static const char *const code[RT_NET_OPS] = {"sums", "add", "mul", "max_pool", "avg_pool", "map", "", "floats"};
    if (rt_c_few(n, c)) rt_put(s, "    %s_PICK(%s_few, %s_sums)(", e->upper, name, name);
    else rt_put(s, "    %s_%s(", name, rt_c_depthwise(n, c) ? "depthwise" : code[c->op]);
    if (c->op == RT_NET_CONV) rt_put(s, "a, ");
    if (c->op == RT_NET_CONV && !rt_c_depthwise(n, c)) {
        if (c->out >= 0) rt_c_put_place(s, e, c->out);
        else rt_put(s, "0");
        if (c->out >= 0) rt_put(s, ", 0, ");
        else rt_put(s, ", y + %d, ", head_at(n, c->head));
    } else {
        if (c->out >= 0) rt_c_put_place(s, e, c->out);
        else rt_put(s, "y + %d", head_at(n, c->head));
        if (c->op == RT_NET_MAP && c->at) rt_put(s, " + %d", c->at);
        rt_put(s, ", ");
    }
    rt_c_put_place(s, e, c->in[0]);
    if (c->op == RT_NET_ADD || c->op == RT_NET_MUL) {
        rt_put(s, ", ");
        rt_c_put_place(s, e, c->in[1]);
    }
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    if (c->op == RT_NET_MAP)
        rt_put(s, ", %s_table%d, %d, %d, %d);\n", name, c->table, x->h * x->w, x->c, n->tensor[c->out].c);
    else if (c->op == RT_NET_FLOATS)
        rt_put(s, ", %zu, %af, %d);\n", tensor_bytes(x), (double)x->q.scale, x->q.zero);
    else rt_put(s, ", &%s_call%d);\n", name, i);
}

/* Whether the output of call i is whole after it. */
static int gives_whole(const rt_net *n, int i)
{
    if (n->call[i].op == RT_NET_RESHAPE) return 0;
    for (int k = i + 1; k < n->calls && n->call[i].out >= 0; k++) if (n->call[k].out == n->call[i].out) return 0;
    return 1;
}

static void put_check(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net *n = e->n;
    const rt_net_call *c = &n->call[i];
    if (!gives_whole(n, i)) return;
    rt_put(s, "    if (wrong) %s_check%s(wrong, %d, ", e->name, c->out >= 0 ? "" : "_floats", i);
    if (c->out >= 0) rt_c_put_place(s, e, c->out);
    else rt_put(s, "y + %d", head_at(n, c->head));
    rt_put(s, ", %zu, %s_test_hash[%d]);\n",
           c->out >= 0 ? tensor_bytes(&n->tensor[c->out]) : (size_t)n->size[c->head], e->name, i);
}

uint32_t rt_c_hash(const rt_c_net *e, const rt_net_call *c)
{
    uint32_t h = 2166136261u;
    if (!gives_whole(e->n, (int)(c - e->n->call))) return 0;
    if (c->out < 0) {
        const float *y = e->answer + head_at(e->n, c->head);
        for (int i = 0; i < e->n->size[c->head]; i++) {
            uint32_t bits;
            memcpy(&bits, &y[i], sizeof bits);
            for (int k = 0; k < 32; k += 8) h = (h ^ (bits >> k & 255)) * 16777619u;
        }
        return h;
    }
    rt_int_image m = rt_linked_tensor(e->linked, e->context, c->out);
    for (int i = 0; i < m.h; i++)
        for (int k = 0; k < m.w * m.c; k++) h = (h ^ m.p[i * m.row + k]) * 16777619u;
    return h;
}

static void put_run(rt_string *s, const rt_c_net *e)
{
    const rt_net *n = e->n;
    const char *name = e->name;
    rt_put(s, "\n/* wrong, where it is not null: 1 + the first call whose output is not the recorded one. */\n"
           "static void %s_run(%s_arena *a, float *y, const %s_input *x, int *wrong)\n{\n", name, name, name);
    if (n->floats) {
        rt_quant q = n->tensor[0].q;
        rt_put(s, "    static const %s_range range = {%d.0f, %d.0f, %d};\n    ", name, -q.zero, 255 - q.zero, q.zero);
        rt_put(s, "%s_quantize(", name);
        rt_c_put_place(s, e, 0);
        rt_put(s, ", x, %s_INPUT, %af, &range);\n", e->upper, (double)q.scale);
    }
    for (int i = 0; i < n->calls; i++) {
        put_call(s, e, i);
        put_check(s, e, i);
    }
    rt_put(s, "}\n");
}

void rt_c_put_code(rt_string *s, const rt_c_net *e)
{
    static const char *const part[RT_NET_OPS] = {NULL, "add", "mul", "max_pool", "avg_pool", "map", NULL, "floats"};
    const rt_net *n = e->n;
    const char *used[RT_NET_OPS + 3];
    int count = 0, has[RT_NET_OPS] = {0}, depthwise = 0, sums = 0, few = 0;
    for (int i = 0; i < n->calls; i++) {
        has[n->call[i].op] = 1;
        depthwise |= rt_c_depthwise(n, &n->call[i]);
        sums |= n->call[i].op == RT_NET_CONV && !rt_c_depthwise(n, &n->call[i]);
        few |= rt_c_few(n, &n->call[i]);
    }
    for (int op = 0; op < RT_NET_OPS; op++) if (has[op] && part[op]) used[count++] = part[op];
    if (n->floats) used[count++] = "quantize";
    used[count] = NULL;
    rt_c_put_opening(s, e, ".c", "the network's operators and calls.");
    put_template(s, e, net_base_text, net_base_text + strlen(net_base_text));
    rt_c_put_stamp(s, e);
    put_parts(s, e, net_ops_text, used);
    if (sums || depthwise) put_template(s, e, net_lines_text, net_lines_text + strlen(net_lines_text));
    if (sums) put_template(s, e, net_plain_text, net_plain_text + strlen(net_plain_text));
    if (few) put_template(s, e, net_few_text, net_few_text + strlen(net_few_text));
    if (sums || depthwise) put_template(s, e, net_lanes_text, net_lanes_text + strlen(net_lanes_text));
    if (depthwise) put_template(s, e, net_depth_text, net_depth_text + strlen(net_depth_text));
    rt_put(s, "\n/* ---- this network ---- */\n\n");
    rt_c_put_extern(s, e);
    rt_put(s, "\n");
    for (int i = 0; i < n->calls; i++) {
        rt_net_op op = n->call[i].op;
        if (op == RT_NET_CONV) put_conv(s, e, i);
        if (op == RT_NET_ADD || op == RT_NET_MUL) put_pair(s, e, i);
        if (op == RT_NET_MAX_POOL || op == RT_NET_AVG_POOL) put_pool(s, e, i);
    }
    put_run(s, e);
    put_template(s, e, net_end_text, net_end_text + strlen(net_end_text));
}
