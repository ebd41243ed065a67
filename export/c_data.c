/* export/c_data.c - the arrays of an exported program: weights in both orders, what sums start from, multipliers,
 * tables, names, and the self test's row. */
#include <stdio.h>
#include <string.h>

#include "export/c_parts.h"

enum { COLUMNS = 118 };

/* Numbers, separated by commas, in lines. */
typedef struct { rt_string *to; size_t line; } list;

static list list_of(rt_string *to) { return (list){to, to->n}; }

static void put_item(list *l, const char *text)
{
    if (l->to->n - l->line + strlen(text) > COLUMNS) {
        rt_put(l->to, "\n");
        l->line = l->to->n;
    }
    rt_put_bytes(l->to, text, strlen(text));
}

static void put_int(list *l, int v)
{
    char text[16];
    snprintf(text, sizeof text, "%d,", v);
    put_item(l, text);
}

static void put_float(list *l, float v)
{
    char text[40];
    snprintf(text, sizeof text, "%af,", (double)v);
    put_item(l, text);
}

static void put_word(list *l, uint32_t v)
{
    char text[16];
    snprintf(text, sizeof text, "0x%08xu,", (unsigned)v);
    put_item(l, text);
}

void rt_c_put_literal(rt_string *s, const char *text)
{
    rt_put(s, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 32 || *p > 126 || *p == '"' || *p == '\\' || *p == '?') rt_put(s, "\\%03o", *p);
        else rt_put_bytes(s, p, 1);
    rt_put(s, "\"");
}

/* Weight of output `out` of group g for input k of tap (r, s); 0 for what is filled up. */
static int weight_at(const rt_net *n, const rt_net_call *c, int g, int out, int r, int s, int k)
{
    int cg = n->tensor[c->in[0]].c / c->groups, ng = c->n / c->groups;
    if (out >= ng) return 0;
    size_t at = ((size_t)(r * c->kw + s) * (size_t)cg + (size_t)k) * (size_t)c->n + (size_t)(g * ng + out);
    return n->weight[c->weight + at];
}

/* Each output's weights together, four outputs at a time. */
static void put_plain(list *l, const rt_net *n, const rt_net_call *c)
{
    int cg = n->tensor[c->in[0]].c / c->groups, ng = c->n / c->groups, inputs = c->kh * c->kw * cg;
    rt_c_runs runs = rt_c_runs_of(n, c);
    for (int g = 0; g < c->groups; g++)
        for (int o = 0; o < (ng + 3) / 4 * 4; o++)
            for (int i = 0; i < runs.column; i++) {
                int tap = i / cg;
                put_int(l, i < inputs ? weight_at(n, c, g, o, tap / c->kw, tap % c->kw, i % cg) : 0);
            }
}

/* 16 outputs' weights of each input together. */
static void put_few(list *l, const rt_net *n, const rt_net_call *c)
{
    int ci = n->tensor[c->in[0]].c, inputs = c->kh * c->kw * ci, filled = rt_c_runs_of(n, c).column;
    for (int b = 0; b < c->n; b += RT_C_WIDTH)
        for (int i = 0; i < filled; i++)
            for (int o = b; o < b + RT_C_WIDTH; o++)
                put_int(l, i < inputs ? weight_at(n, c, 0, o, i / ci / c->kw, i / ci % c->kw, i % ci) : 0);
}

/* Fours of inputs of 16 outputs. */
static void put_lanes(list *l, const rt_net *n, const rt_net_call *c)
{
    int cg = n->tensor[c->in[0]].c / c->groups, ng = c->n / c->groups;
    rt_c_runs runs = rt_c_runs_of(n, c);
    for (int g = 0; g < c->groups; g++)
        for (int b = 0; b < ng; b += RT_C_WIDTH)
            for (int r = 0; r < c->kh; r++)
                for (int u = 0; u < runs.runs; u++)
                    for (int k = 0; k < runs.four; k += 4)
                        for (int i = 0; i < 4 * RT_C_WIDTH; i++) {
                            int at = k + i % 4, s = runs.runs == 1 ? at / cg : u;
                            put_int(l, at < runs.run ? weight_at(n, c, g, b + i / 4, r, s, at % cg) : 0);
                        }
}

/* What the sums of an output start from: bias - zx sum of weights; of cells less 128, 128 times that sum more. */
static int32_t start_of(const rt_net *n, const rt_net_call *c, int channel, int less)
{
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    int taps = c->kh * c->kw * (x->c / c->groups);
    int64_t sum = 0;
    for (int t = 0; t < taps; t++) sum += n->weight[c->weight + (size_t)t * (size_t)c->n + (size_t)channel];
    return (int32_t)(n->bias[c->channel + (size_t)channel] - (x->q.zero - less) * sum);
}

/* The channels of a call, those of each group (of a depthwise one, all) filled up to `width`; -1 for what is filled up.
 */
static int lane_channel(const rt_net *n, const rt_net_call *c, int lane, int width)
{
    if (rt_c_depthwise(n, c)) return lane < c->n ? lane : -1;
    int ng = c->n / c->groups, wide = (ng + width - 1) / width * width, i = lane % wide;
    return i < ng ? lane / wide * ng + i : -1;
}

static int lanes_of(const rt_net *n, const rt_net_call *c, int width)
{
    int ng = c->n / c->groups;
    if (rt_c_depthwise(n, c)) return (c->n + width - 1) / width * width;
    return (ng + width - 1) / width * width * c->groups;
}

static void put_starts(rt_string *s, const rt_c_net *e, int i, const char *form, int width, int less)
{
    const rt_net_call *c = &e->n->call[i];
    rt_put(s, "const int32_t %s_%s_s%d[%d] = {\n", e->name, form, i, lanes_of(e->n, c, width));
    list l = list_of(s);
    for (int k = 0; k < lanes_of(e->n, c, width); k++) {
        int channel = lane_channel(e->n, c, k, width);
        put_int(&l, channel < 0 ? 0 : start_of(e->n, c, channel, less));
    }
    rt_put(s, "};\n");
}

static void put_multipliers(rt_string *s, const rt_c_net *e, int i, const char *form, int width)
{
    const rt_net_call *c = &e->n->call[i];
    rt_put(s, "const float %s_%s_m%d[%d] = {\n", e->name, form, i, lanes_of(e->n, c, width));
    list l = list_of(s);
    for (int k = 0; k < lanes_of(e->n, c, width); k++) {
        int channel = lane_channel(e->n, c, k, width);
        put_float(&l, channel < 0 ? 0 : rt_c_multiplier(e->n, c, channel));
    }
    rt_put(s, "};\n");
}

static size_t plain_weights(const rt_net *n, const rt_net_call *c)
{
    int ng = c->n / c->groups;
    if (rt_c_depthwise(n, c)) return (size_t)c->kh * (size_t)c->kw * (size_t)c->n + RT_C_WIDTH;
    int four = rt_c_few(n, c) ? RT_C_WIDTH : 4;
    return (size_t)c->groups * (size_t)((ng + four - 1) / four * four) * (size_t)rt_c_runs_of(n, c).column;
}

static size_t lane_weights(const rt_net *n, const rt_net_call *c)
{
    rt_c_runs r = rt_c_runs_of(n, c);
    return (size_t)lanes_of(n, c, RT_C_WIDTH) * (size_t)c->kh * (size_t)r.runs * (size_t)r.four;
}

static void put_conv(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net_call *c = &e->n->call[i];
    int depthwise = rt_c_depthwise(e->n, c);
    rt_put(s, "\n/* ---- %d ---- */\n", i);
    if (!depthwise) rt_put(s, "#if %s_FORM == 0\n", e->upper);
    rt_put(s, "const int8_t %s_plain_w%d[%zu] = {\n", e->name, i, plain_weights(e->n, c));
    list l = list_of(s);
    if (depthwise)
        for (int k = 0; k < c->kh * c->kw * c->n + RT_C_WIDTH; k++)       /* the last 16 are read, and not used */
            put_int(&l, k < c->kh * c->kw * c->n ? e->n->weight[c->weight + (size_t)k] : 0);
    else (rt_c_few(e->n, c) ? put_few : put_plain)(&l, e->n, c);
    rt_put(s, "};\n");
    put_starts(s, e, i, "plain", depthwise ? RT_C_WIDTH : 1, 0);
    put_multipliers(s, e, i, "plain", depthwise ? RT_C_WIDTH : 1);
    if (depthwise) return;
    rt_put(s, "#else\nconst int8_t %s_lanes_w%d[%zu] = {\n", e->name, i, lane_weights(e->n, c));
    l = list_of(s);
    put_lanes(&l, e->n, c);
    rt_put(s, "};\n#if %s_FORM == 1\n", e->upper);
    put_starts(s, e, i, "lanes", RT_C_WIDTH, 128);
    rt_put(s, "#else\n");
    put_starts(s, e, i, "lanes", RT_C_WIDTH, 0);
    rt_put(s, "#endif\n");
    put_multipliers(s, e, i, "lanes", RT_C_WIDTH);
    rt_put(s, "#endif\n");
}

static void put_average(rt_string *s, const rt_c_net *e, int i)
{
    const rt_net_call *c = &e->n->call[i];
    rt_c_windows w = rt_c_windows_of(e->n, c);
    rt_put(s, "\n/* ---- %d ---- */\nconst float %s_plain_m%d[%d] = {\n", i, e->name, i, w.row_choices * w.choices);
    list l = list_of(s);
    for (int r = 0; r < w.row_choices; r++)
        for (int k = 0; k < w.choices; k++) {
            float part = e->n->tensor[c->in[0]].q.scale / (float)((w.rows + r) * (w.columns + k));
            put_float(&l, part / e->n->tensor[c->out].q.scale);
        }
    rt_put(s, "};\n");
}

static void put_tables(rt_string *s, const rt_c_net *e)
{
    for (int t = 0; t < e->n->tables; t++) {
        rt_put(s, "\nconst uint8_t %s_table%d[256] = {\n", e->name, t);
        list l = list_of(s);
        for (int i = 0; i < 256; i++) put_int(&l, e->n->table[t][i]);
        rt_put(s, "};\n");
    }
}

static void put_heads(rt_string *s, const rt_c_net *e)
{
    int heads;
    const rt_head *head = rt_program_heads(e->p, &heads);
    for (int h = 0; h < heads; h++) {
        if (!head[h].names.name) continue;
        rt_put(s, "\nstatic const char *const %s_names%d[%d] = {\n", e->name, h, head[h].size);
        for (int i = 0; i < head[h].size; i++) {
            rt_put(s, "    ");
            rt_c_put_literal(s, head[h].names.name[i]);
            rt_put(s, ",\n");
        }
        rt_put(s, "};\n");
    }
    rt_put(s, "\nconst %s_head %s_heads[%s_HEADS] = {\n", e->name, e->name, e->upper);
    for (int h = 0; h < heads; h++) {
        rt_put(s, "    {");
        rt_c_put_literal(s, head[h].name);
        rt_put(s, ", ");
        rt_c_put_literal(s, rt_task_name(head[h].task));
        rt_put(s, ", %d, %d, ", head[h].at, head[h].size);
        if (head[h].names.name) rt_put(s, "%s_names%d},\n", e->name, h);
        else rt_put(s, "0},\n");
    }
    rt_put(s, "};\n");
}

static size_t row_of(const rt_net *n)
{
    return (size_t)n->tensor[0].h * (size_t)n->tensor[0].w * (size_t)n->tensor[0].c;
}

static void put_test(rt_string *s, const rt_c_net *e)
{
    const rt_net *n = e->n;
    rt_put(s, "\n/* ---- the self test: a row, and what came of it in the reference ---- */\n");
    rt_put(s, "const %s_input %s_test_x[%s_INPUT] = {\n", e->name, e->name, e->upper);
    list l = list_of(s);
    for (size_t i = 0; i < row_of(n); i++) {
        if (n->floats) put_float(&l, ((const float *)e->row)[i]);
        else put_int(&l, ((const uint8_t *)e->row)[i]);
    }
    rt_put(s, "};\n/* the bytes of each call's output, hashed */\nconst uint32_t %s_test_hash[%s_CALLS] = {\n", e->name,
           e->upper);
    l = list_of(s);
    for (int i = 0; i < n->calls; i++) put_word(&l, rt_c_hash(e, &n->call[i]));
    rt_put(s, "};\n/* the bits of the answer */\nconst uint32_t %s_test_y[%s_OUTPUT] = {\n", e->name, e->upper);
    l = list_of(s);
    for (int i = 0; i < rt_linked_width(e->linked); i++) {
        uint32_t bits;
        memcpy(&bits, &e->answer[i], sizeof bits);
        put_word(&l, bits);
    }
    rt_put(s, "};\n");
}

void rt_c_put_data(rt_string *s, const rt_c_net *e)
{
    rt_c_put_opening(s, e, "_data.c",
                     "weights, biases, scales (hexadecimal: their bits), tables, the self test's row.");
    rt_put(s, "#include \"%s.h\"\n", e->name);
    rt_c_put_stamp(s, e);
    rt_put(s, "\n");
    rt_c_put_extern(s, e);
    put_heads(s, e);
    put_tables(s, e);
    for (int i = 0; i < e->n->calls; i++) {
        if (e->n->call[i].op == RT_NET_CONV) put_conv(s, e, i);
        if (e->n->call[i].op == RT_NET_AVG_POOL) put_average(s, e, i);
    }
    put_test(s, e);
}

void rt_c_put_extern(rt_string *s, const rt_c_net *e)
{
    const rt_net *n = e->n;
    for (int i = 0; i < n->calls; i++) {
        const rt_net_call *c = &n->call[i];
        if (c->op == RT_NET_AVG_POOL) rt_put(s, "extern const float %s_plain_m%d[];\n", e->name, i);
        if (c->op != RT_NET_CONV) continue;
        if (rt_c_depthwise(n, c))
            rt_put(s, "extern const int8_t %s_plain_w%d[];\nextern const int32_t %s_plain_s%d[];\n"
                   "extern const float %s_plain_m%d[];\n", e->name, i, e->name, i, e->name, i);
        else
            rt_put(s, "extern const int8_t %s_DATA(w%d)[];\nextern const int32_t %s_DATA(s%d)[];\n"
                   "extern const float %s_DATA(m%d)[];\n", e->upper, i, e->upper, i, e->upper, i);
    }
    for (int t = 0; t < n->tables; t++) rt_put(s, "extern const uint8_t %s_table%d[256];\n", e->name, t);
    rt_put(s, "extern const %s_input %s_test_x[];\nextern const uint32_t %s_test_hash[], %s_test_y[];\n", e->name,
           e->name, e->name, e->name);
}

size_t rt_c_flash(const rt_c_net *e)
{
    size_t bytes = (size_t)e->n->tables * 256;
    for (const rt_net_call *c = e->n->call; c < e->n->call + e->n->calls; c++) {
        if (c->op == RT_NET_CONV) bytes += plain_weights(e->n, c) + 8 * (size_t)c->n;
        if (c->op == RT_NET_AVG_POOL) {
            rt_c_windows w = rt_c_windows_of(e->n, c);
            bytes += 4 * (size_t)w.row_choices * (size_t)w.choices;
        }
    }
    return bytes;
}
