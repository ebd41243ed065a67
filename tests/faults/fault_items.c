/* tests/faults/fault_items.c - all that can be done to a command, by number. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "faults.h"

enum { ALLOCATIONS_APART = 10, PRELOAD_CALLS = 3 };      /* calls that the preloaded library makes before main */

uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The i-th kill: first each call once, then pairs without end. */
static int kill_item(const course *c, long i, item *x)
{
    long n = c->whole.changes;
    if (n == 0 || i >= c->items) return 0;
    *x = (item){.plan = {.kind = PLAN_KILL}};
    if (i < n) {
        long step = n * 61 / 100 | 1; /* golden section: any beginning of the list is spread */
        while (n > 1 && step > 1) {
            long a = n, b = step;
            while (b) { long r = a % b; a = b; b = r; }
            if (a == 1) break;
            step += 2;
        }
        x->plan.nth = i * step % n + 1;
    } else {
        uint64_t r = mix((uint64_t)i + 0x9e3779b97f4a7c15u);
        x->plan.nth = (long)(r % (uint64_t)n) + 1;
        x->again = (long)((r >> 32) % (uint64_t)n) + 1;
    }
    return 1;
}

static const struct { int may, error;
} errors[] = {{MAY_ENOSPC, ENOSPC}, {MAY_EIO, EIO},           {MAY_EINTR, EINTR},
              {MAY_ENOMEM, ENOMEM}, {MAY_SHORT, FAULT_SHORT}, {MAY_EMFILE, EMFILE},
              {MAY_EAGAIN, EAGAIN}, {MAY_ENOLCK, ENOLCK},     {MAY_EPERM, EPERM}};
enum { ERRORS = sizeof errors / sizeof errors[0], FOR_EVER = 1 << 30, BURST = 20 };

static long allocation_items(const course *c) { return 2 * (c->allocations / ALLOCATIONS_APART + 1); }

/* All faults are numbered: calls by errors by once and on by places; then allocations; then signals; then inputs that
 * are cut. x NULL: counts. */
static long fault_item(const course *c, long i, item *x)
{
    static const int stops[] = {SIGTERM, SIGINT, SIGHUP};
    long at = 0;
    const traced_call *call;
    for (int k = 0; (call = tracer_call(k)); k++)
        for (int e = 0; e < ERRORS; e++) {
            if (!(call->faults & errors[e].may)) continue;
            long n = 2 * c->whole.count[k];
            if (x && i < at + n) {
                int on = errors[e].error == EINTR || errors[e].error == EAGAIN ? BURST : FOR_EVER;
                *x = (item){.plan = {PLAN_FAIL, k, errors[e].error, (i - at) / 2 + 1, (i - at) % 2 ? on : 1, NULL}};
                return 1;
            }
            at += n;
        }
    long n = allocation_items(c);
    if (x && i < at + n) {
        *x = (item){.memory = {.fail_at = (i - at) / 2 * ALLOCATIONS_APART + 1, .from_there_on = (i - at) % 2}};
        return 1;
    }
    at += n;
    n = c->whole.all - PRELOAD_CALLS;
    if (x && i < at + n) {
        *x = (item){.plan = {.kind = PLAN_SIGNAL, .error = stops[(i - at) % 3], .nth = i - at + 1 + PRELOAD_CALLS}};
        return 1;
    }
    at += n;
    for (int f = 0; input_of(c, f, NULL); f++, at += n)
        if (x && i < at + n) {
            *x = (item){.plan = {.kind = PLAN_CUT, .nth = i - at + 1}, .input = f};
            return 1;
        }
    return at;
}

/* Half of the flips of a command that writes are in what it left behind: killed at a call, or at its end. */
static int flip_item(const course *c, long i, item *x)
{
    uint64_t r = mix((uint64_t)i * 2654435761u + 12345);
    long n = c->whole.changes + c->whole.changes / 4;
    *x = (item){.plan = {.kind = PLAN_NONE}, .draw = r};
    if (n && i % 2) x->plan = (plan){.kind = PLAN_KILL, .nth = (long)((r >> 20) % (uint64_t)n) + 1};
    return 1;
}

int item_of(const course *c, long i, item *x)
{
    if (it.mode == KILLS) return kill_item(c, i, x);
    if (it.mode == FLIPS) return flip_item(c, i, x);
    /* Places near each other fail alike: the order jumps. A prime larger than any list makes every number come once. */
    return i < c->items && (int)fault_item(c, (long)((uint64_t)i * 1000003u % (uint64_t)c->items), x);
}

void describe(const course *c, const item *x, long number, char *text, size_t room)
{
    const plan *p = &x->plan;
    int n = snprintf(text, room, "%s %s item %ld: ", c->scene->name, c->family ? c->family : "-", number);
    text += n, room -= (size_t)n;
    if (it.mode == FLIPS) snprintf(text, room, "a bit of %s", p->kind == PLAN_KILL ? "what a run left" : "an input");
    else if (p->kind == PLAN_KILL && x->again) snprintf(text, room, "kills at calls %ld and %ld", p->nth, x->again);
    else if (p->kind == PLAN_KILL) snprintf(text, room, "kill at call %ld", p->nth);
    else if (p->kind == PLAN_SIGNAL) snprintf(text, room, "signal %d at call %ld", p->error, p->nth);
    else if (p->kind == PLAN_CUT) snprintf(text, room, "%s is cut at call %ld", input_of(c, x->input, NULL), p->nth);
    else if (p->kind == PLAN_FAIL)
        snprintf(text, room, "%s %s at %s %ld%s", tracer_call(p->call)->name, "fails",
                 p->error == FAULT_SHORT ? "(half)" : strerrorname_np(p->error), p->nth, p->burst > 1 ? " and on" : "");
    else
        snprintf(text, room, "no memory at allocation %ld%s", x->memory.fail_at,
                 x->memory.from_there_on ? " and on" : "");
}

long count_faults(const course *c) { return fault_item(c, 0, NULL); }
