/* export/exporter.h - to formats of others: safetensors and NPZ for weights, CSV and NPY for labels and predictions. */
#ifndef RT_EXPORT_EXPORTER_H
#define RT_EXPORT_EXPORTER_H

#include "data/labels.h"
#include "engine/pool.h"
#include "engine/progress.h"
#include "student/model.h"

/* safetensors (huggingface/safetensors, format): names as in the model file; conv weights stay (KH, KW, C, N), dense (K, N);
 * metadata holds the architecture, the normalisation and the digest. */
rt_status rt_export_safetensors(const rt_model *, const char *path);
/* An uncompressed ZIP of NPY files, as numpy.savez writes. */
rt_status rt_export_npz(const rt_model *, const char *path);

/* npy: f32 (rows, K) logits. csv: row, answer, then one column of probability a class. */
rt_status rt_export_labels(rt_labels *, const char *path, int csv);
rt_status rt_export_predictions(rt_model *const *, int models, rt_source *x, uint64_t first, uint64_t end, const char *path, int csv, rt_pool *, const rt_progress *);
#endif
