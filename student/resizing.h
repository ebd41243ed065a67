/* student/resizing.h - how an image of the data becomes one of the size that a model takes.
 *
 *   "resize": [H, W]   to this size; a number: the shorter side becomes so long, the other W N / H, rounded down
 *   "crop": [H, W]     then the middle of it
 * as torchvision's Resize(..., antialias=False) and CenterCrop have them (engine/views.h has the formula). */
#ifndef RT_STUDENT_RESIZING_H
#define RT_STUDENT_RESIZING_H

#include "data/json.h"
#include "engine/views.h"

enum { RT_RESIZE_MOST = 16384 };       /* pixels of a side */

/* All 0: images are as they are. */
typedef struct {
    int resize_h, resize_w;            /* w 0: the shorter side becomes resize_h */
    int crop_h, crop_w;
} rt_resizing;

static inline int rt_resizing_any(const rt_resizing *r) { return r->resize_h || r->crop_h; }

/* The keys of this object (NULL: none). RT_USAGE with `of` when they are something else. */
rt_status rt_resizing_read(rt_resizing *, const cJSON *object, const char *of);
void rt_resizing_put(const rt_resizing *, cJSON *object);
/* What becomes of rows of this shape: (H, W, C) or (H, W); *to is (H', W', C). RT_INPUT when they are no images, or
 * smaller than what is cut out of them. */
rt_status rt_resizing_of(const rt_resizing *, const rt_shape *row, rt_shape *to, rt_resize *how);
/* "resized to (224, 224), the middle (192, 192)" for messages. */
const char *rt_resizing_text(const rt_resizing *, char text[160]);
#endif
