
/* Rows of the input as cells, with their padding: as many as a kernel is high. */
#if NET_FORM == 1
#define CELL(v) ((net_cell)((v) - 128))
#else
#define CELL(v) ((net_cell)(v))
#endif

/* Row yi of the input, or of the padding, into a line. */
static void net_line(net_cell *restrict to, const uint8_t *restrict x, const net_conv *c, int yi)
{
    const int row = c->w * c->c;
    const net_cell zero = CELL(c->zx);
    int e;
    for (e = 0; e < c->left * c->c; e++) to[e] = zero;
    to += e;
    if (yi >= 0 && yi < c->h) {
        x += yi * row;
        for (e = 0; e < row; e++) to[e] = CELL(x[e]);
    } else {
        for (e = 0; e < row; e++) to[e] = zero;
    }
    to += row;
    for (e = 0; e < c->right * c->c; e++) to[e] = zero;
    for (; e < c->right * c->c + 16; e++) to[e] = 0;
}

/* The lines of row i of the output; *filled: rows of the padded input that lines were filled with. */
MAYBE void net_lines(net_arena *arena, const net_cell **line, const uint8_t *x, const net_conv *c, int i, int *filled)
{
    const int width = (c->left + c->w + c->right) * c->c + 16, first = i * c->sh;
    int r;
    for (*filled = net_most(*filled, first); *filled < first + c->kh; ++*filled)
        net_line(arena->cell + *filled % c->kh * width, x, c, *filled - c->top);
    for (r = 0; r < c->kh; r++) line[r] = arena->cell + (first + r) % c->kh * width;
}
