/* student/view_config.h - which views of rows a configuration asks for (engine/views.h): "augment" of a training, and
 * of a labelling whose labels are replayed in one. */
#ifndef RT_STUDENT_VIEW_CONFIG_H
#define RT_STUDENT_VIEW_CONFIG_H

#include "data/json.h"
#include "engine/views.h"
#include "student/input.h"

/* "flip", "shift", "erase" and "input" of the object. */
void rt_view_read(rt_cfg *, rt_view_desc *);
/* Whether it shows other views than the rows themselves. */
int rt_view_is_on(const rt_view_desc *);
/* Sets input where it was not given and the model has several. RT_USAGE when it is no image, or there is none or more
 * than one, of which none is named. */
rt_status rt_view_check(rt_view_desc *, const rt_input *, int inputs);
#endif
