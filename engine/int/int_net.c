/* engine/int/int_net.c - nets as data: what holds in every net that is run. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "engine/int/net.h"

enum { SIDE_MOST = 1 << 20, COUNT_MOST = 1 << 26, WINDOW_MOST = 1024 };

void rt_net_free(rt_net *n)
{
    void *owned[] = {n->tensor, n->call, n->weight, n->step, n->bias, n->table};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    *n = (rt_net){0};
}

void rt_net_window(const rt_net_call *c, const rt_net_tensor *in, int *oh, int *ow)
{
    *oh = (in->h + c->pad[0] + c->pad[1] - c->kh) / c->sh + 1;
    *ow = (in->w + c->pad[2] + c->pad[3] - c->kw) / c->sw + 1;
}

double rt_net_macs(const rt_net *n)
{
    double sum = 0;
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        int oh, ow;
        if (c->op != RT_NET_CONV) continue;
        rt_net_window(c, &n->tensor[c->in[0]], &oh, &ow);
        sum += (double)oh * ow * c->n * c->kh * c->kw * (n->tensor[c->in[0]].c / c->groups);
    }
    return sum;
}

static int is_scale(float s) { return isfinite(s) && s >= FLT_MIN; }
static int between(int v, int low, int high) { return v >= low && v <= high; }

static rt_status check_tensor(const rt_net_tensor *t, int i)
{
    if (!between(t->h, 1, SIDE_MOST) || !between(t->w, 1, SIDE_MOST) || !between(t->c, 1, SIDE_MOST) ||
        (double)t->h * t->w * t->c > COUNT_MOST)
        return rt_fail(RT_INPUT, "tensor %d has the shape (%d, %d, %d), which is none", i, t->h, t->w, t->c);
    if (!is_scale(t->q.scale) || !between(t->q.zero, 0, 255))
        return rt_fail(RT_INPUT, "tensor %d has the scale %.9g and the zero point %d, which are none", i,
                       (double)t->q.scale, t->q.zero);
    return RT_OK;
}

static rt_status check_window(const rt_net_call *c, const rt_net_tensor *in, const char **why)
{
    int ok = between(c->kh, 1, SIDE_MOST) && between(c->kw, 1, SIDE_MOST) && between(c->sh, 1, SIDE_MOST) &&
             between(c->sw, 1, SIDE_MOST);
    for (int i = 0; i < 4; i++) ok = ok && between(c->pad[i], 0, WINDOW_MOST);
    ok = ok && in->h + c->pad[0] + c->pad[1] >= c->kh && in->w + c->pad[2] + c->pad[3] >= c->kw;
    ok = ok && (double)(in->h + c->pad[0] + c->pad[1]) * (in->w + c->pad[2] + c->pad[3]) * in->c <= 2.0 * COUNT_MOST;
    if (!ok) *why = "its window does not fit its input";
    return ok ? RT_OK : RT_INPUT;
}

static rt_status check_conv(const rt_net *n, const rt_net_call *c, const char **why)
{
    const rt_net_tensor *in = &n->tensor[c->in[0]];
    if (!between(c->n, 1, SIDE_MOST) || !between(c->groups, 1, in->c) || in->c % c->groups || c->n % c->groups) {
        *why = "its groups do not divide its channels";
        return RT_INPUT;
    }
    double count = (double)c->kh * c->kw * (in->c / c->groups) * c->n;
    if (count > COUNT_MOST || c->weight > n->weights || count > (double)(n->weights - c->weight) ||
        c->channel > n->channels || (size_t)c->n > n->channels - c->channel) {
        *why = "its weights are not there";
        return RT_INPUT;
    }
    if (!between(c->bits, 2, 8)) {
        *why = "weights have 2 to 8 bits";
        return RT_INPUT;
    }
    const int most = (1 << (c->bits - 1)) - 1;
    for (size_t i = 0; i < (size_t)count; i++)
        if (!between(n->weight[c->weight + i], -most, most)) {
            *why = "a weight is out of range";
            return RT_INPUT;
        }
    for (int k = 0; k < c->n; k++) {
        float step = n->step[c->channel + (size_t)k], s = in->q.scale * step;
        if (!is_scale(step) || !is_scale(s) || (c->out >= 0 && !is_scale(s / n->tensor[c->out].q.scale))) {
            *why = "a step is no positive number, or too small or too large for float";
            return RT_INPUT;
        }
    }
    return RT_OK;
}

static int same_shape(const rt_net_tensor *a, const rt_net_tensor *b)
{
    return a->h == b->h && a->w == b->w && a->c == b->c;
}

/* The shape that the call gives, and what its operator asks of its inputs. */
static rt_status check_op(const rt_net *n, const rt_net_call *c, rt_net_tensor *gives, const char **why)
{
    const rt_net_tensor *in = &n->tensor[c->in[0]];
    *gives = *in;
    switch (c->op) {
    case RT_NET_CONV: case RT_NET_MAX_POOL: case RT_NET_AVG_POOL:
        RT_TRY(check_window(c, in, why));
        rt_net_window(c, in, &gives->h, &gives->w);
        if (c->op == RT_NET_CONV) {
            gives->c = c->n;
            return check_conv(n, c, why);
        }
        for (int i = 0; i < 4; i++)
            if (c->pad[i] >= (i < 2 ? c->kh : c->kw)) {
                *why = "padding must be smaller than the kernel";
                return RT_INPUT;
            }
        return RT_OK;
    case RT_NET_ADD: case RT_NET_MUL:
        if (same_shape(in, &n->tensor[c->in[1]])) return RT_OK;
        *why = "its inputs have different shapes";
        return RT_INPUT;
    case RT_NET_MAP:
        if (between(c->table, 0, n->tables - 1)) return RT_OK;
        *why = "its table is not there";
        return RT_INPUT;
    case RT_NET_RESHAPE: case RT_NET_FLOATS: return RT_OK;
    case RT_NET_OPS: break;
    }
    *why = "its operator is unknown";
    return RT_INPUT;
}

/* written: channels of a tensor that were. */
static rt_status check_call(const rt_net *n, const rt_net_call *c, int *written, int *answered, const char **why)
{
    int pair = c->op == RT_NET_ADD || c->op == RT_NET_MUL, to_head = c->out == -1;
    rt_net_tensor gives;
    for (int i = 0; i <= pair; i++)
        if (!between(c->in[i], 0, n->tensors - 1) || written[c->in[i]] != n->tensor[c->in[i]].c) {
            *why = "an input is not computed before it";
            return RT_INPUT;
        }
    if (!(to_head ? between(c->head, 0, n->heads - 1) && (c->op == RT_NET_CONV || c->op == RT_NET_FLOATS)
                  : between(c->out, 0, n->tensors - 1) && c->op != RT_NET_FLOATS)) {
        *why = "it has no output of its kind";
        return RT_INPUT;
    }
    if (!between((int)c->act, RT_ACT_NONE, RT_ACT_RELU6)) {
        *why = "its activation has no integer form here";
        return RT_INPUT;
    }
    RT_TRY(check_op(n, c, &gives, why));
    double count = (double)gives.h * gives.w * gives.c;
    if (to_head) {
        *why = "a head's size is not that of what it gives, or two calls give it";
        if (answered[c->head] || count != n->size[c->head]) return RT_INPUT;
        answered[c->head] = 1;
        return RT_OK;
    }
    const rt_net_tensor *out = &n->tensor[c->out];
    *why = "its output has another shape";
    if (c->op == RT_NET_RESHAPE ? count != (double)out->h * out->w * out->c : gives.h != out->h || gives.w != out->w)
        return RT_INPUT;
    if (c->op == RT_NET_MAP) {
        if (c->at != written[c->out] || gives.c > out->c - c->at) return RT_INPUT;
        written[c->out] += gives.c;
        return RT_OK;
    }
    if (c->op != RT_NET_RESHAPE && gives.c != out->c) return RT_INPUT;
    *why = "another call gives its output";
    if (written[c->out]) return RT_INPUT;
    written[c->out] = out->c;
    return RT_OK;
}

rt_status rt_net_check(const rt_net *n)
{
    if (!between(n->tensors, 1, RT_NET_MOST) || !between(n->calls, 1, RT_NET_MOST) ||
        !between(n->heads, 1, RT_NET_HEADS))
        return rt_fail(RT_INPUT, "%d tensors, %d calls and %d heads are no program", n->tensors, n->calls, n->heads);
    for (int i = 0; i < n->tensors; i++) RT_TRY(check_tensor(&n->tensor[i], i));
    for (int i = 0; i < n->heads; i++)
        if (!between(n->size[i], 1, SIDE_MOST)) return rt_fail(RT_INPUT, "head %d has the size %d", i, n->size[i]);
    int *written = calloc((size_t)n->tensors, sizeof *written), answered[RT_NET_HEADS] = {0};
    if (!written) return rt_fail(RT_RUN, "out of memory");
    written[0] = n->tensor[0].c;
    const char *why = "";
    rt_status st = RT_OK;
    for (int i = 0; i < n->calls && !st; i++)
        if (check_call(n, &n->call[i], written, answered, &why))
            st = rt_fail(RT_INPUT, "call %d cannot be: %s", i, why);
    for (int i = 0; i < n->heads && !st; i++)
        if (!answered[i]) st = rt_fail(RT_INPUT, "no call gives head %d", i);
    free(written);
    return st;
}
