/* An answer's floats [at, at + size) are a head's: logits of classes and labels, or numbers. */
typedef struct {
    const char *name, *task;
    int at, size;
    const char *const *names;        /* (size), of its classes; 0 where they are known by number */
} net_head;

#ifdef __cplusplus
extern "C" {
#endif

extern const net_head net_heads[NET_HEADS];

/* y (NET_OUTPUT) from x (NET_HEIGHT, NET_WIDTH, NET_CHANNELS). */
void net_infer(net_arena *arena, float *y, const net_input *x);

/* 0 when every layer's bytes and the answer to a recorded row are the recorded ones; else the number, from 1 on, of the
 * first call of net.c that differs. */
int net_selftest(net_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
