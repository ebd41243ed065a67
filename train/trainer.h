/* train/trainer.h - one training run from one configuration: data, model, losses, optimizer, checkpoints, result.
 *
 * The output folder holds: config.json (effective), model.h5 (the best epoch on validation data, or the last), best.h5
 * while running, metrics.csv and metrics.jsonl (a line an epoch), result.json (written last: the run is done),
 * checkpoints. A folder of the same configuration resumes, bit-identical; a finished one is left alone; another one is
 * refused without force. Nothing is chosen on test data: validation rows come out of the training rows, by seed. */
#ifndef RT_TRAIN_TRAINER_H
#define RT_TRAIN_TRAINER_H

#include "data/json.h"
#include "data/sources.h"
#include "engine/device.h"
#include "engine/progress.h"

typedef struct {
    const char *out;               /* folder */
    int force;                     /* replace another run's folder */
    const char *config;            /* the file that the configuration came from, or NULL */
    int allow_numeric_change;      /* resume with other kernels: of another family, card, precision or library */
    rt_device *device;
    rt_sources *sources;           /* shared with other runs of the process; NULL: own */
    const rt_progress *progress;
} rt_train_options;

/* config becomes the effective configuration. *result (freed by the caller) is the content of result.json. */
rt_status rt_train(cJSON *config, const rt_train_options *, cJSON **result);

/* "teacher" is "peer": two students train in one run, each the other's teacher (train/train_peer.c); the second one's
 * folder is OUT/peer, the result's "peer" tells of it. */
int rt_train_peer_asked(const cJSON *config);

/* RT_USAGE when the device has no quantized kernels, which "quant" needs. */
rt_status rt_train_check_quant(const rt_device *);
/* What a configuration that was checked asks of the device, as far as it is known before data is touched: quantized
 * kernels, and operators of its "model". RT_USAGE when the device lacks some. */
rt_status rt_train_check_device(const cJSON *config, const rt_device *);

/* Reads and checks a configuration without touching data: the errors a user should see before an experiment starts. */
rt_status rt_train_check(cJSON *config);
#endif
