/* student/onnx/onnx_inputs.c - what stands for the inputs of an ONNX file: data sets, masks, constants; the shape and
 * layout of their rows; how rows are resized and normalised. */
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include "student/onnx/onnx_binding.h"

enum { IDS = 64 /* ids that are tried, where no smaller table is known to be read by them */ };

static int is_id_type(rt_dtype t) { return t == RT_I64 || t == RT_I32; }

static int input_named(const rt_onnx_importer *m, const char *name, size_t length)
{
    for (int i = 0; i < m->g->inputs; i++)
        if (strlen(m->file->input[i].name) == length && !strncmp(m->file->input[i].name, name, length)) return i;
    return -1;
}

/* "NAME != 0" */
static rt_status read_mask(const rt_onnx_importer *m, int i, const char *text)
{
    size_t n = strcspn(text, " !");
    const char *rest = text + n;
    while (*rest == ' ') rest++;
    int of = input_named(m, text, n), not_zero = rest[0] == '!' && rest[1] == '=';
    for (rest += not_zero ? 2 : 0; *rest == ' ';) rest++;
    if (!not_zero || strcmp(rest, "0"))
        return rt_fail(RT_USAGE,
                       "inputs.%s: '%.60s' is not understood; \"ids != 0\" marks the ids of the input named ids, a "
                       "number stands for every element",
                       m->file->input[i].name, text);
    if (of < 0 || of == i)
        return rt_fail(RT_USAGE, "inputs.%s: the model has no other input named '%.*s'", m->file->input[i].name, (int)n,
                       text);
    m->bound[i].role = RT_ONNX_PRESENT;
    m->bound[i].of = of;
    return RT_OK;
}

static rt_status read_input(const rt_onnx_importer *m, int i, cJSON *j)
{
    static const char *const layouts[] = {"auto", "hwc", "chw", NULL};
    char at[160];
    int dim[RT_MAX_RANK];
    rt_onnx_bound *b = &m->bound[i];
    if (cJSON_IsNumber(j)) {
        b->role = RT_ONNX_CONST;
        b->value = j->valuedouble;
        return RT_OK;
    }
    if (cJSON_IsString(j)) return read_mask(m, i, j->valuestring);
    snprintf(at, sizeof at, "inputs.%.100s", m->file->input[i].name);
    rt_onnx_told *t = &m->told[i];
    rt_cfg c = rt_cfg_begin(j, at);
    const char *set = rt_cfg_has(&c, "set") ? rt_cfg_string(&c, "set", NULL) : NULL;
    int rank = rt_cfg_has(&c, "shape") ? rt_cfg_ints(&c, "shape", dim, RT_MAX_RANK, 1, 1 << 24) : 0;
    t->layout = rt_cfg_has(&c, "layout") ? (rt_layout)rt_cfg_choice(&c, "layout", layouts, 0) : RT_LAYOUT_AUTO;
    if (rt_cfg_has(&c, "scale") || rt_cfg_has(&c, "mean") || rt_cfg_has(&c, "std")) t->normalize = j;
    static const char *const others[] = {"scale", "mean", "std", "resize", "crop"};
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) rt_cfg_any(&c, others[k]);
    RT_TRY(rt_cfg_end(&c));
    RT_TRY(rt_resizing_read(&t->resize, j, at));
    if (rt_resizing_any(&t->resize) && t->layout == RT_LAYOUT_CHW)
        return rt_fail(RT_USAGE,
                       "%s: \"resize\" and \"crop\" are of images with their channels last in the data; store "
                       "np.transpose(x, (0, 2, 3, 1)), without \"layout\": \"chw\"",
                       at);
    if (set) m->in[i].name = set;
    if (rank) {
        b->rank = rank + 1;
        b->dim[0] = 1;
        for (int k = 0; k < rank; k++) b->dim[k + 1] = dim[k];
    }
    return RT_OK;
}

/* What nobody has told of an input whose name tells it. */
static void guess_role(const rt_onnx_importer *m, int i)
{
    const rt_onnx_value *v = &m->file->input[i];
    int of = -1;
    for (int k = 0; k < m->g->inputs && of < 0; k++)
        if (k != i && is_id_type(m->file->input[k].type) && strstr(m->file->input[k].name, "ids") &&
            !strstr(m->file->input[k].name, "type")) of = k;
    if (!is_id_type(v->type) || of < 0) return;
    if (strstr(v->name, "mask")) {
        m->bound[i].role = RT_ONNX_PRESENT;
        m->bound[i].of = of;
        rt_onnx_note(m, "input '%s' marks the ids of '%s' that are not 0", v->name, m->file->input[of].name);
    } else if (strstr(v->name, "token_type") || strstr(v->name, "segment")) {
        m->bound[i].role = RT_ONNX_CONST;
        rt_onnx_note(m, "input '%s' is 0 everywhere%s", v->name, "");
    }
}

/* "D" for each dimension of a row, as a command line would have them. */
static const char *example(const rt_onnx_value *v)
{
    static const char *const rows[] = {"16", "16", "16", "64,32", "3,224,224", "3,16,224,224"};
    return v->rank >= 0 && v->rank < 6 ? rows[v->rank] : "3,224,224";
}

const char *rt_onnx_shape_text(const rt_onnx_value *v, char text[160])
{
    int n = snprintf(text, 160, v->rank < 0 ? "of any shape" : "(");
    for (int k = 1; k < v->rank && n < 100; k++) {
        if (v->dim[k] >= 0) n += snprintf(text + n, 160 - (size_t)n, "%lld", (long long)v->dim[k]);
        else n += snprintf(text + n, 160 - (size_t)n, "%.20s", v->param[k] ? v->param[k] : "?");
        if (k + 1 < v->rank) n += snprintf(text + n, 160 - (size_t)n, ", ");
    }
    if (v->rank >= 0) snprintf(text + n, 160 - (size_t)n, ")");
    return text;
}

int rt_onnx_open_dimension(const rt_onnx_value *v)
{
    for (int k = 1; k < v->rank; k++) if (v->dim[k] < 0) return k;
    return v->rank < 1 ? 0 : -1;
}

static int fits(const rt_onnx_value *v, const int64_t *dim)
{
    for (int k = 1; k < v->rank; k++) if (v->dim[k] >= 0 && v->dim[k] != dim[k]) return 0;
    return 1;
}

/* The model's dimensions for rows of this shape, and how they lie in it: 0 when rows cannot be the input. An image has
 * its channels last in the data, unless the model's own dimensions say that they come first. */
static int fit_row(const rt_onnx_value *v, const rt_shape *row, rt_onnx_told *t, rt_onnx_bound *b)
{
    int64_t as_is[RT_ARRAY_RANK] = {1}, turned[RT_ARRAY_RANK] = {1};
    rt_shape r = *row;
    int rank = v->rank < 1 ? r.rank + 1 : v->rank, last = 0;
    if (rank == 2 && r.rank > 1) r = (rt_shape){1, {(int)rt_shape_count(row)}};
    if (r.rank + 2 == rank && rank > 2) r.dim[r.rank++] = 1;       /* one channel that the data do not tell */
    if (r.rank + 1 != rank || rank > RT_MAX_RANK + 1) return 0;
    for (int k = 0; k < r.rank; k++) as_is[k + 1] = r.dim[k];
    turned[1] = r.dim[r.rank - 1];
    for (int k = 1; k < r.rank; k++) turned[k + 1] = r.dim[k - 1];
    if (v->rank < 1) t->layout = t->layout ? t->layout : RT_LAYOUT_CHW;
    int can_turn = v->rank > 2 && t->layout != RT_LAYOUT_CHW && fits(v, turned) &&
                   (rank == 4 || t->layout == RT_LAYOUT_HWC || row->rank < r.rank);
    int can_stay = t->layout != RT_LAYOUT_HWC && fits(v, as_is);
    if (can_turn && can_stay && t->layout == RT_LAYOUT_AUTO)
        last = r.dim[r.rank - 1] <= 4 || r.dim[0] > 4;             /* both could be: as pictures are */
    else last = can_turn;
    if (!can_turn && !can_stay) return 0;
    b->rank = rank;
    memcpy(b->dim, last ? turned : as_is, sizeof b->dim);
    if (rank == 4 || (rank == 3 && last)) t->layout = last ? RT_LAYOUT_HWC : RT_LAYOUT_CHW;
    return 1;
}

static rt_status open_error(const rt_onnx_importer *m, int i)
{
    const rt_onnx_value *v = &m->file->input[i];
    int k = rt_onnx_open_dimension(v);
    if (!k)
        return rt_fail(RT_USAGE, "input '%s': the model does not tell its shape; give that of a row: --shape %s=%s",
                       v->name, v->name, example(v));
    return rt_fail(RT_USAGE,
                   "input '%s': the model leaves dimension %d%s%s%s open; the data that is labelled, trained or "
                   "evaluated on tells it, or give the shape of a row: --shape %s=%s",
                   v->name, k, v->param[k] ? " ('" : "", v->param[k] ? v->param[k] : "", v->param[k] ? "')" : "",
                   v->name, example(v));
}

/* What the file leaves open, by the size that images are given, or by the rows of the data. */
static rt_status take_from_data(const rt_onnx_importer *m, int i, int several)
{
    const rt_onnx_value *v = &m->file->input[i];
    rt_onnx_told *t = &m->told[i];
    const char *path, *set, *name = several || m->in[i].ids ? m->in[i].name ? m->in[i].name : v->name : "input";
    char a[64], b[64], c[160];
    rt_shape row, to;
    rt_resize how;
    int h = t->resize.crop_h ? t->resize.crop_h : t->resize.resize_h,
        w = t->resize.crop_h ? t->resize.crop_w : t->resize.resize_w;
    int64_t channels = v->rank == 4 ? v->dim[1] >= 0 ? v->dim[1] : v->dim[3] : -1;
    if (!m->x && w && channels > 0 && channels < 1 << 16) {                     /* all is told */
        to = (rt_shape){3, {h, w, (int)channels}};
        if (fit_row(v, &to, t, &m->bound[i])) return RT_OK;
    }
    if (!m->x) return open_error(m, i);
    RT_TRY(rt_x_where_shape(m->x, name, several, &row, &path, &set));
    to = row;
    rt_status st = rt_resizing_any(&t->resize) ? rt_resizing_of(&t->resize, &row, &to, &how) : RT_OK;
    if (st) return rt_fail_in(st, "input '%s': %s, '%s'", v->name, path, set);
    if (!fit_row(v, &to, t, &m->bound[i]))
        return rt_fail(RT_INPUT, "input '%s': %s: rows of '%s' have the shape %s%s%s, but the model's input is %s",
                       v->name, path, set, rt_shape_text(&row, a), rt_resizing_any(&t->resize) ? ", resized " : "",
                       rt_resizing_any(&t->resize) ? rt_shape_text(&to, b) : "", rt_onnx_shape_text(v, c));
    rt_onnx_note(m, "input '%s': the data's rows, %s, tell the shape that the model leaves open", v->name,
                 rt_shape_text(&to, a));
    return RT_OK;
}

/* The shape that is told. */
static rt_status check_told(const rt_onnx_value *v, const rt_onnx_bound *b)
{
    if (v->rank >= 0 && v->rank != b->rank)
        return rt_fail(RT_USAGE, "inputs.%s.shape: has %d dimensions, the model's input %d besides the batch", v->name,
                       b->rank - 1, v->rank - 1);
    for (int k = 1; k < b->rank; k++)
        if (v->rank > 0 && v->dim[k] >= 0 && v->dim[k] != b->dim[k])
            return rt_fail(RT_USAGE, "inputs.%s.shape: dimension %d is %lld, the model's is %lld", v->name, k,
                           (long long)b->dim[k], (long long)v->dim[k]);
    return RT_OK;
}

static rt_status set_shape(const rt_onnx_importer *m, int i, int several)
{
    const rt_onnx_value *v = &m->file->input[i];
    rt_onnx_bound *b = &m->bound[i];
    if (v->strange) return rt_fail(RT_INPUT, "input '%s' is a %s, which is not supported", v->name, v->strange);
    if (b->rank) return check_told(v, b);
    const rt_onnx_bound *like = b->role == RT_ONNX_PRESENT ? &m->bound[b->of] : NULL;
    for (int k = 0; k < m->g->inputs && b->role == RT_ONNX_CONST && !like; k++)     /* as long as the ids beside it */
        if (m->bound[k].role == RT_ONNX_DATA && m->bound[k].ids) like = &m->bound[k];
    if (like && like->rank && (v->rank < 0 || v->rank == like->rank)) {
        b->rank = like->rank;
        memcpy(b->dim, like->dim, sizeof b->dim);
        return RT_OK;
    }
    if (rt_onnx_open_dimension(v) >= 0)
        return b->role == RT_ONNX_DATA ? take_from_data(m, i, several) : open_error(m, i);
    b->rank = v->rank;
    b->dim[0] = 1;
    for (int k = 1; k < v->rank; k++) b->dim[k] = v->dim[k];
    if (v->dim[0] > 1)
        rt_onnx_note(m, "input '%s' is of several rows in the file: each is taken by itself%s", v->name, "");
    return RT_OK;
}

/* Sizes that are told must end at the model's. */
static rt_status check_size(const rt_onnx_importer *m, int i)
{
    const rt_resizing *r = &m->told[i].resize;
    const rt_shape *own = &m->in[i].shape;
    char a[64], text[160];
    int h = r->crop_h ? r->crop_h : r->resize_h, w = r->crop_h ? r->crop_w : r->resize_w;
    if ((!w && (own->dim[0] < own->dim[1] ? own->dim[0] : own->dim[1]) == r->resize_h) ||
        (h == own->dim[0] && w == own->dim[1]))
        return RT_OK;
    return rt_fail(RT_USAGE, "inputs.%s: images are %s, but the model's input is %s", m->file->input[i].name,
                   rt_resizing_text(r, text), rt_shape_text(own, a));
}

/* As layers see a row: images channels last. */
static rt_status set_layout(const rt_onnx_importer *m, int i)
{
    char text[64];
    const rt_onnx_bound *b = &m->bound[i];
    rt_lower_input *in = &m->in[i];
    int64_t size = 1;
    const char *own = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(rt_onnx_own(m->own_inputs, m->file->input[i].name), "layout"));
    if (own && b->rank >= 3 && m->told[i].layout == RT_LAYOUT_AUTO)
        m->told[i].layout = strcmp(own, "nchw") ? RT_LAYOUT_CHW : RT_LAYOUT_HWC;
    if (m->program && b->rank >= 3 && m->told[i].layout == RT_LAYOUT_AUTO) m->told[i].layout = RT_LAYOUT_HWC;
    for (int k = 0; k < b->rank; k++) {
        in->order[k] = k;
        if (__builtin_mul_overflow(size, b->dim[k], &size) || size > 1 << 24)
            return rt_fail(RT_INPUT, "input '%s': a row has more than %d numbers", m->file->input[i].name, 1 << 24);
    }
    int chw = b->rank == 4 && m->told[i].layout != RT_LAYOUT_CHW && (b->dim[1] <= 4 || b->dim[3] > 4) && b->dim[1] > 1;
    if (m->told[i].layout == RT_LAYOUT_HWC || (chw && m->told[i].layout == RT_LAYOUT_AUTO)) {
        if (b->rank < 3 || b->rank > 5)
            return rt_fail(RT_USAGE, "inputs.%s.layout: is of images, (C, H, W) in the model, of lines, (C, T), or of "
                           "volumes, (C, D, H, W)",
                           m->file->input[i].name);
        for (int k = 1; k < b->rank; k++) in->order[k] = k + 1 < b->rank ? k + 1 : 1;
        if (m->told[i].layout == RT_LAYOUT_AUTO)
            rt_onnx_note(
                m, "input '%s': images have their channels last in the data%s; \"layout\": \"chw\" if they come first",
                m->file->input[i].name, "");
    }
    in->shape.rank = 0;
    for (int k = 1; k < b->rank && b->rank <= RT_MAX_RANK + 1; k++)
        in->shape.dim[in->shape.rank++] = (int)b->dim[in->order[k]];
    if (b->rank == 4 && b->dim[1] == 1 && in->order[1] == 1) {     /* one channel: both orders are the same */
        in->order[1] = 2, in->order[2] = 3, in->order[3] = 1;
        in->shape = (rt_shape){3, {(int)b->dim[2], (int)b->dim[3], 1}};
    }
    if (!in->shape.rank) in->shape = (rt_shape){1, {(int)size}};
    if (!rt_resizing_any(&m->told[i].resize)) return RT_OK;
    if (in->shape.rank != 3 || in->ids)
        return rt_fail(RT_USAGE, "inputs.%s: \"resize\" and \"crop\" are of images, (H, W, C), and a row of it is %s",
                       m->file->input[i].name, rt_shape_text(&in->shape, text));
    return check_size(m, i);
}

/* Its elements are some of those of its first input, or of one of several. */
static int only_moves(const rt_eval_node *n)
{
    static const char *const ops[] = {"Cast", "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice",
                                      "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) if (!strcmp(n->op, ops[i])) return !*n->domain;
    return 0;
}

/* Rows of a table that is constant, or is quantized and so kept; 0: it is none. */
static int64_t rows_of_table(const rt_eval_graph *g, int value)
{
    enum { STEPS = 4 };
    for (int step = 0; step < STEPS && value >= 0; step++) {
        const rt_array *table = g->known[value];
        const rt_eval_node *giver = NULL;
        if (table) return table->rank ? table->dim[0] : 0;
        for (const rt_eval_node *n = g->node; n < g->node + g->nodes && !giver; n++)
            if (n->outputs == 1 && n->out[0] == value) giver = n;
        if (!giver || !giver->inputs || *giver->domain) return 0;
        if (strcmp(giver->op, "DequantizeLinear") && strcmp(giver->op, "QuantizeLinear") && strcmp(giver->op, "Cast") &&
            strcmp(giver->op, "Identity"))
            return 0;
        value = giver->in[0];
    }
    return 0;
}

/* The table that input i of a node picks rows from; -1: none. */
static int table_of(const rt_eval_node *n, int i)
{
    if (!*n->domain && !strcmp(n->op, "Gather") && i == 1) return n->in[0];
    if (!strcmp(n->domain, "com.microsoft") && !strcmp(n->op, "EmbedLayerNormalization") && i < 2 && n->inputs > 4)
        return n->in[i ? 4 : 2];
    return -1;
}

/* Its elements are numbers made of those of its inputs, one by one. */
static int counts(const rt_eval_node *n)
{
    static const char *const ops[] = {"Abs", "Add", "Clip", "Max", "Min", "Mod", "Mul", "Sub", "Where"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) if (!strcmp(n->op, ops[i])) return !*n->domain;
    return 0;
}

/* The greatest number of a constant, 0 where it is none or below. */
static int64_t greatest(const rt_array *a)
{
    int64_t most = 0;
    for (size_t i = 0; a && i < a->count && !rt_array_is_float(a) && a->type != RT_STRING; i++)
        if (rt_array_int(a, i) > most) most = rt_array_int(a, i);
    return most < 1 << 30 ? most : 1 << 30;
}

enum { NO_IDS = -1 };

/* How far above the ids the numbers lie that a node gives; NO_IDS: it gives none. Of several ways, as of ids below 0
 * that count from a table's end, the one that stays lowest. */
static int64_t above_ids(const rt_eval_graph *g, const rt_eval_node *n, const int64_t *above)
{
    int64_t least = NO_IDS;
    const int number = counts(n), reads = number || !strcmp(n->op, "Concat") ? n->inputs : 1;
    if (!number && !only_moves(n)) return NO_IDS;
    for (int i = !strcmp(n->op, "Where"); i < reads && i < n->inputs; i++) {
        const int64_t own = n->in[i] >= 0 ? above[n->in[i]] : NO_IDS;
        if (own != NO_IDS && (least == NO_IDS || own < least)) least = own;
    }
    for (int i = 0; i < n->inputs && least != NO_IDS && !strcmp(n->op, "Add"); i++)
        if (n->in[i] >= 0) least += greatest(g->known[n->in[i]]);
    return least;
}

/* Rows of the smallest constant table that an input, or what is made of it number by number, picks from, less what is
 * added to it; IDS at most. Nodes come behind what they read. */
static int ids_to_try(const rt_eval_graph *g, int value)
{
    int64_t least = IDS, *above = malloc((size_t)g->values * sizeof *above);
    if (!above) return IDS;
    for (int v = 0; v < g->values; v++) above[v] = v == value ? 0 : NO_IDS;
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++) {
        for (int i = 0; i < n->inputs && i < 2; i++) {
            int table = n->in[i] >= 0 && above[n->in[i]] != NO_IDS ? table_of(n, i) : -1;
            int64_t rows = table >= 0 ? rows_of_table(g, table) : 0;
            if (rows <= 0) continue;
            rows -= above[n->in[i]];
            if (rows < least) least = rows > 1 ? rows : 1;
        }
        const int64_t gives = above_ids(g, n, above);
        for (int i = 0; i < n->outputs && gives != NO_IDS; i++) if (n->out[i] >= 0) above[n->out[i]] = gives;
    }
    free(above);
    return (int)least;
}

/* The only input that takes data takes data.x: another set that is told of it would be passed over in silence. */
static rt_status check_set(const rt_onnx_importer *m, int i, const cJSON *told)
{
    const char *name = m->file->input[i].name;
    const cJSON *j = cJSON_GetObjectItemCaseSensitive(told, name);
    const char *set = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "set"));
    if (!set || (m->x && !strcmp(m->x->set, set))) return RT_OK;
    return rt_fail(RT_USAGE,
                   "inputs.%s.set: it is the only input that takes data, and its data set is data.x%s%s: give "
                   "data.x=%s and leave \"set\" out",
                   name, m->x ? ", " : "", m->x ? m->x->set : "", set);
}

enum { MOST_INPUTS = 1024 };           /* more than any network has */

rt_status rt_onnx_bind_inputs(rt_onnx_importer *m, cJSON *told)
{
    int data = 0, only = -1, several = -1;
    if (m->g->inputs > MOST_INPUTS)
        return rt_fail(RT_INPUT, "has %d inputs, at most %d are looked at", m->g->inputs, MOST_INPUTS);
    for (cJSON *j = told ? told->child : NULL; j; j = j->next) {
        int i = input_named(m, j->string, strlen(j->string));
        if (i < 0) return rt_fail(RT_USAGE, "inputs: the model has no input named '%.60s'", j->string);
        RT_TRY(read_input(m, i, j));
    }
    for (int i = 0; i < m->g->inputs; i++) {
        if (!told || !cJSON_GetObjectItemCaseSensitive(told, m->file->input[i].name)) guess_role(m, i);
        several += m->bound[i].role == RT_ONNX_DATA;
    }
    if (several >= RT_MAX_INPUTS)
        return rt_fail(RT_USAGE,
                       "takes data by %d inputs, and a model has at most %d; constants are told by numbers, as "
                       "\"inputs\": {\"%.60s\": 0}",
                       several + 1, RT_MAX_INPUTS, m->file->input[0].name);
    for (int i = 0; i < m->g->inputs; i++) {
        if (m->bound[i].role != RT_ONNX_DATA || !is_id_type(m->file->input[i].type)) continue;
        const cJSON *own = cJSON_GetObjectItemCaseSensitive(rt_onnx_own(m->own_inputs, m->file->input[i].name), "ids");
        m->bound[i].ids = ids_to_try(m->g, m->g->input[i]);
        if (cJSON_IsNumber(own) && own->valuedouble >= 1 && own->valuedouble < m->bound[i].ids)
            m->bound[i].ids = own->valueint;
        m->in[i].ids = 1;
    }
    for (int i = 0; i < m->g->inputs && !several; i++)
        if (m->bound[i].role == RT_ONNX_DATA) RT_TRY(check_set(m, i, told));
    for (int round = 0; round < 2; round++)                /* masks after what they mark */
        for (int i = 0; i < m->g->inputs; i++)
            if ((m->bound[i].role != RT_ONNX_DATA) == round) RT_TRY(set_shape(m, i, several > 0));
    for (int i = 0; i < m->g->inputs; i++) {
        if (m->bound[i].role != RT_ONNX_DATA) continue;
        RT_TRY(set_layout(m, i));
        data++;
        only = i;
        if (!m->in[i].name) m->in[i].name = m->file->input[i].name;
    }
    if (!data) return rt_fail(RT_INPUT, "no input is left for data");
    if (data == 1 && !m->in[only].ids) m->in[only].name = "input";
    return RT_OK;
}

enum { MOST_CHANNELS = 64 };

/* Number c of a key, which is one number or a list of n; none: it is not given. */
static rt_status number_of(const cJSON *j, const char *input, const char *key, int c, double none, double *x)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, key),
                *item = cJSON_IsArray(list) ? cJSON_GetArrayItem(list, c) : list;
    *x = list ? item ? item->valuedouble : NAN : none;
    if (list && (!cJSON_IsNumber(item) || !isfinite(*x)))
        return rt_fail(RT_USAGE, "inputs.%s.%s: is a number, or a list of one a channel, as many as of the others",
                       input, key);
    if (none == 1 && !(*x > 0)) return rt_fail(RT_USAGE, "inputs.%s.%s: is above 0", input, key);
    return RT_OK;
}

/* (x scale - mean) / std as (x - a) / s, of n channels. */
static rt_status read_normalization(const cJSON *j, const char *input, double *a, double *s, int *n)
{
    static const char *const keys[] = {"scale", "mean", "std"};
    *n = 1;
    for (int k = 0; k < 3; k++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, keys[k]);
        if (cJSON_IsArray(list) && *n < 2) *n = cJSON_GetArraySize(list);
        if (*n < 1 || *n > MOST_CHANNELS)
            return rt_fail(RT_USAGE, "inputs.%s.%s: has %d numbers", input, keys[k], *n);
        if (cJSON_IsArray(list) && cJSON_GetArraySize(list) != *n)
            return rt_fail(RT_USAGE, "inputs.%s.%s: has %d numbers, another key %d", input, keys[k],
                           cJSON_GetArraySize(list), *n);
    }
    for (int c = 0; c < *n; c++) {
        double scale, mean, std;
        RT_TRY(number_of(j, input, "scale", c, 1, &scale));
        RT_TRY(number_of(j, input, "mean", c, 0, &mean));
        RT_TRY(number_of(j, input, "std", c, 1, &std));
        a[c] = mean / scale;
        s[c] = std / scale;
    }
    return RT_OK;
}

rt_status rt_onnx_normalize(const rt_onnx_importer *m, rt_model *model)
{
    for (int i = 0, k = 0; i < m->g->inputs; i++) {
        if (m->bound[i].role != RT_ONNX_DATA) continue;
        rt_input *in = &model->input[k++];
        in->resizing = m->told[i].resize;
        double a[64], s[64];
        int n = 0;
        if (!m->told[i].normalize) continue;
        if (in->channels > 1 || in->mul[0] != 1 || in->add[0] != 0)
            return rt_fail(RT_USAGE, "inputs.%s: \"scale\", \"mean\" and \"std\" are in the file already",
                           m->file->input[i].name);
        RT_TRY(read_normalization(m->told[i].normalize, m->file->input[i].name, a, s, &n));
        RT_TRY(rt_input_set_normalization(in, a, s, n));
    }
    return RT_OK;
}
