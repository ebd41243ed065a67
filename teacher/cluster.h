/* teacher/cluster.h - processes that mpirun started, and the counter that they have in common.
 *
 * MPI is in a library of its own, retort_mpi.so, that is loaded when it is wanted, so that no other run knows of it. */
#ifndef RT_TEACHER_CLUSTER_H
#define RT_TEACHER_CLUSTER_H

#include <stdint.h>

#include "engine/error.h"

/* Whether to look for others: where mpirun (Open MPI's or MPICH's) says that there are some; always; never. */
typedef enum { RT_CLUSTER_AUTO, RT_CLUSTER_ON, RT_CLUSTER_OFF } rt_cluster_mode;

typedef struct rt_cluster rt_cluster;

/* NULL when this process is alone, which all functions below take. RT_RUN when others are wanted or there and the
 * library of MPI is not. All but the first wait for all others; one thread of each. */
rt_status rt_cluster_begin(rt_cluster **out, rt_cluster_mode);
/* From 0; 1 alone. */
int rt_cluster_rank(const rt_cluster *);
int rt_cluster_size(const rt_cluster *);
/* When all have come here: what this one has, with its message; else the highest status of the others, with a message
 * that says so. */
rt_status rt_cluster_agree(rt_cluster *, rt_status);
/* The counter, one for all: *at is what it was, and it is n more now. Of a rt_cluster; as rt_labels_job wants it. */
rt_status rt_cluster_take(void *cluster, uint64_t n, uint64_t *at);
/* Called now and then between others: lets the counter of rank 0 be read by those that have no other way to it. */
void rt_cluster_tick(rt_cluster *);
/* As agree, at the end of the work; one that failed lets the others find nothing more on the counter. */
rt_status rt_cluster_end(rt_cluster *, rt_status);
/* Waits for all; the message of an error at hand stays. */
void rt_cluster_free(rt_cluster *);
#endif
