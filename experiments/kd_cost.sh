#!/bin/sh
# What a distillation step on cached labels costs over a cross-entropy step: alternating rounds, the best of each.
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
for model in ${MODELS:-jet mlp cnn resnet8}; do
    for round in 1 2 3 4 5 6 7; do
        for loss in ce kd; do
            printf '%s %s ' $model $loss
            "$retort" bench experiments/peers/models/$model.json --threads 1 --json --quiet seconds=0.2 rounds=3 loss=$loss | grep fastest | tr -dc '0-9.\n'
        done
    done
done | awk '{ k = $1 " " $2; if ($3 > best[k]) best[k] = $3; seen[$1] }
            END { for (m in seen) printf "%-8s ce %10.0f/s  kd %10.0f/s  a kd step costs %.3f of a ce step\n", m, best[m " ce"], best[m " kd"], best[m " ce"] / best[m " kd"] }'
