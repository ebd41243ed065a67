/* student/onnx/onnx_wire.c - a walk over the bytes of a protobuf message with a stack of its own, so that depth is
 * known before a parser that calls itself sees it. github.com/protocolbuffers/protobuf, docs: encoding. */
#include "student/onnx/onnx_parts.h"

enum { DEEPEST = 200 };

typedef enum {
    NONE,
    MODEL,
    GRAPH,
    NODE,
    ATTRIBUTE,
    TENSOR,
    SPARSE,
    VALUE,
    TYPE,
    TYPE_OF,
    TYPE_TENSOR,
    SHAPE,
    OTHER,
    FUNCTION,
    TRAINING
} kind;

/* Fields that are messages themselves. */
static const struct { kind in; unsigned field; kind is; } messages[] = {
    {MODEL, 7, GRAPH}, {MODEL, 8, OTHER}, {MODEL, 14, OTHER}, {MODEL, 20, TRAINING}, {MODEL, 25, FUNCTION},
    {TRAINING, 1, GRAPH}, {TRAINING, 2, GRAPH}, {TRAINING, 3, OTHER}, {TRAINING, 4, OTHER},
    {FUNCTION, 7, NODE}, {FUNCTION, 9, OTHER}, {FUNCTION, 11, ATTRIBUTE}, {FUNCTION, 12, VALUE},
    {GRAPH, 1, NODE}, {GRAPH, 5, TENSOR}, {GRAPH, 11, VALUE}, {GRAPH, 12, VALUE}, {GRAPH, 13, VALUE},
    {GRAPH, 14, OTHER}, {GRAPH, 15, SPARSE},
    {NODE, 5, ATTRIBUTE}, {ATTRIBUTE, 5, TENSOR}, {ATTRIBUTE, 6, GRAPH}, {ATTRIBUTE, 10, TENSOR},
    {ATTRIBUTE, 11, GRAPH}, {ATTRIBUTE, 14, TYPE}, {ATTRIBUTE, 15, TYPE}, {ATTRIBUTE, 22, SPARSE},
    {ATTRIBUTE, 23, SPARSE}, {SPARSE, 1, TENSOR}, {SPARSE, 2, TENSOR}, {TENSOR, 3, OTHER}, {TENSOR, 13, OTHER},
    {VALUE, 2, TYPE}, {TYPE, 1, TYPE_TENSOR}, {TYPE, 4, TYPE_OF}, {TYPE, 5, TYPE_OF}, {TYPE, 8, TYPE_TENSOR},
    {TYPE, 9, TYPE_OF}, {TYPE_OF, 1, TYPE}, {TYPE_OF, 2, TYPE},      /* a sequence's, map's or optional's element */
    {TYPE_TENSOR, 2, SHAPE}, {SHAPE, 1, OTHER}};

static kind message_in(kind in, unsigned field)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        if (messages[i].in == in && messages[i].field == field) return messages[i].is;
    return NONE;
}

typedef struct { const unsigned char *at, *end; } bytes;

static int varint(bytes *b, uint64_t *v)
{
    *v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (b->at == b->end) return 0;
        unsigned char c = *b->at++;
        *v |= (uint64_t)(c & 127) << shift;
        if (!(c & 128)) return 1;
    }
    return 0;
}

rt_status rt_onnx_wire(const unsigned char *data, size_t n, rt_wire_kind what)
{
    struct { kind k; const unsigned char *end; } stack[DEEPEST + 1];
    int depth = 0;
    bytes b = {data, data + n};
    stack[0].k = what == RT_WIRE_MODEL ? MODEL : TENSOR;
    stack[0].end = data + n;
    for (;;) {
        while (depth && b.at == stack[depth].end) depth--;
        if (b.at == stack[depth].end) return RT_OK;
        uint64_t tag, v;
        b.end = stack[depth].end;
        size_t at = (size_t)(b.at - data);
        if (!varint(&b, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
            return rt_fail(RT_INPUT, "byte %zu: no field", at);
        switch (tag & 7) {
        case 0:
            if (!varint(&b, &v)) return rt_fail(RT_INPUT, "byte %zu: a number is cut short", at);
            continue;
        case 1: case 5:
            v = (tag & 7) == 1 ? 8 : 4;
            break;
        case 2:
            if (!varint(&b, &v)) return rt_fail(RT_INPUT, "byte %zu: a length is cut short", at);
            break;
        default: return rt_fail(RT_INPUT, "byte %zu: wire type %u is not known", at, (unsigned)(tag & 7));
        }
        if (v > (uint64_t)(b.end - b.at))
            return rt_fail(RT_INPUT, "byte %zu: %llu bytes are announced, %zu are there", at, (unsigned long long)v,
                           (size_t)(b.end - b.at));
        kind k = (tag & 7) == 2 ? message_in(stack[depth].k, (unsigned)(tag >> 3)) : NONE;
        if (k == NONE) {
            b.at += v;
            continue;
        }
        if (depth == DEEPEST) return rt_fail(RT_INPUT, "byte %zu: messages are more than %d deep", at, DEEPEST);
        stack[++depth].k = k;
        stack[depth].end = b.at + v;
    }
}
