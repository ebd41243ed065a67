/* student/program_parts.h - what building, files and use of a program share. */
#ifndef RT_STUDENT_PROGRAM_PARTS_H
#define RT_STUDENT_PROGRAM_PARTS_H

#include "student/program.h"

struct rt_program {
    rt_net net;
    rt_linked *linked;
    rt_head head[RT_MAX_HEADS];
    int heads;
    cJSON *about;                    /* the file's text */
    int *tensor_of; int tensors;     /* of the graph that it was built from; NULL: it was loaded */
    int *node_of;                    /* (calls) likewise */
    rt_net_source *source; int sources;    /* likewise, of calls with weights */
};

/* Checks and links; RT_INPUT or RT_USAGE with the reason. */
rt_status rt_program_finish(rt_program *);
#endif
