
void net_infer(net_arena *arena, float *y, const net_input *x)
{
    net_run(arena, y, x, 0);
}

int net_selftest(net_arena *arena)
{
    float y[NET_OUTPUT];
    uint32_t bits;
    int wrong = 0, i;
    net_run(arena, y, net_test_x, &wrong);
    for (i = 0; i < NET_OUTPUT && !wrong; i++) {
        memcpy(&bits, &y[i], sizeof bits);
        if (bits != net_test_y[i]) wrong = NET_CALLS + 1;
    }
    return wrong;
}
