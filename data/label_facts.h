/* data/label_facts.h - what a row's logits say of its class. */
#ifndef RT_DATA_LABEL_FACTS_H
#define RT_DATA_LABEL_FACTS_H

/* Of p = softmax(z / T) over K classes: the best class (the lower of equal ones), its probability, how far the next one
 * is below it, and the entropy -sum p log p in nats, computed in double and rounded to f32, as stores keep them. K 1:
 * confidence and margin 1, entropy 0. A label given by hand is certain: 1, 1, 0. */
typedef struct { int best; float confidence, margin, entropy; } rt_label_facts;
rt_label_facts rt_label_facts_of(const float *z, int classes, double temperature);
rt_label_facts rt_label_facts_certain(int label);

/* Logits of a label that is certain: 0 of its class, the log of 1e-30 of each other one, as a file of classes is read
 * (teacher/given.c). */
void rt_label_one_hot(float *z, int classes, int label);

/* How far a code is from the answer: the largest |z - z'|, and the largest |p - p'| of a probability: of softmax, or,
 * with labels that stand for themselves (independent), of each one's sigmoid. worst[0] and [1] rise to them. room:
 * (2 n). */
void rt_label_code_error(const float *z, const float *decoded, int n, int independent, double *room, double worst[2]);
#endif
