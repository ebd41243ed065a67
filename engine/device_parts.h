/* engine/device_parts.h - what a kind of device brings; nothing outside engine/ includes it. */
#ifndef RT_ENGINE_DEVICE_PARTS_H
#define RT_ENGINE_DEVICE_PARTS_H

#include "engine/device.h"
#include "engine/session.h"

/* A kind of card. `card` is what open made. */
typedef struct {
    const char *name;                                    /* "cuda": names of devices begin with it */
    rt_status (*open)(void **card, int index);
    void (*close)(void *card);
    int (*list)(rt_device_info *, int most, char note[300]);
    rt_status (*check)(const void *card, rt_precision);
    void (*family)(const void *card, rt_precision, char text[RT_FAMILY_TEXT]);
    rt_status (*session)(rt_session **, const rt_session_spec *, rt_device *);
    rt_status (*takes)(const void *card, const rt_session_spec *);       /* rt_session_check; NULL: everything */
    int (*has)(int op);                                  /* rt_device_operator */
    int micro;                                           /* rt_device_micro */
} rt_device_kind;

/* engine/cuda/: the real one, or one that says that this build has none. */
extern const rt_device_kind rt_cuda_device;

struct rt_device {
    const rt_device_kind *kind;                          /* NULL: the CPU */
    void *card;
    int index;
    rt_precision precision;
    char name[16];
    rt_pool *pool;
};

/* What a session is on a kind of device; see session.h. A session begins with one. */
typedef struct {
    void (*end)(rt_session *);
    float *(*buffer)(const rt_session *, rt_buffer_id, size_t *floats);
    rt_status (*read)(rt_session *, unsigned buffers);
    rt_status (*write)(rt_session *, unsigned buffers);
    void (*borrow)(rt_session *, const float *params, const float *states);
    rt_status (*step)(rt_session *, const rt_step *);
    rt_status (*results)(rt_session *, int wait, rt_step_result *, int most, int *count);
    uint64_t (*updates)(const rt_session *);
    void (*set_updates)(rt_session *, uint64_t);
    rt_status (*keep)(rt_session *);
    void (*find_bad)(const rt_session *, char *text, size_t room);
    rt_status (*infer)(rt_session *, const rt_step *);
    rt_status (*ahead)(rt_session *, const rt_step *);   /* NULL: steps are never begun ahead */
    const float *(*output)(const rt_session *, int i);
    size_t (*bytes)(const rt_session *);
    void (*describe)(const rt_session *, void (*line)(void *, const char *), void *);
    rt_status (*profile)(rt_session *, int on);
    const float *(*asked)(const rt_session *);           /* NULL: it refuses to be asked */
    const float *(*gradient)(const rt_session *, int i);
} rt_session_kind;

struct rt_session { const rt_session_kind *kind; };

rt_status rt_session_cpu(rt_session **, const rt_session_spec *, rt_pool *);

/* "the gradient of conv1.weight" in text: where a number of a graph's gradients or weights is not finite, looked for in
 * this order; false: nowhere. */
int rt_graph_find_bad(const rt_graph *, const float *params, const float *grads, char *text, size_t room);
#endif
