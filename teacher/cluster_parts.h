/* teacher/cluster_parts.h - what teacher/cluster.c asks of retort_mpi.so. */
#ifndef RT_TEACHER_CLUSTER_PARTS_H
#define RT_TEACHER_CLUSTER_PARTS_H

#include <stdint.h>

enum { RT_CLUSTER_CALLS = 1 };             /* raised when the table changes */

/* Each returns 0, or fills text (256) and returns 1. */
typedef struct {
    int version;
    int (*begin)(int *rank, int *size, char *text);
    int (*take)(uint64_t n, uint64_t *at, char *text);     /* fetch and add */
    int (*most)(int mine, int *most, char *text);          /* of all processes, which wait for each other asleep */
    void (*tick)(void);
    int (*end)(char *text);
} rt_cluster_calls;

/* The name of the function that gives the table. */
#define RT_CLUSTER_SYMBOL "retort_mpi_calls"
typedef const rt_cluster_calls *rt_cluster_symbol(void);
#endif
