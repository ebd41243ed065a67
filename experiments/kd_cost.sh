#!/bin/sh
# What a distillation step on cached labels costs over a cross-entropy step: the median over rounds of the ratio of neighbours,
# each round in the other order.
cd "$(dirname "$0")/.."
retort=${RETORT:-build/retort}
rate() { "$retort" bench "experiments/peers/models/$1.json" --threads 1 --json --quiet seconds=0.05 rounds=5 loss="$2" | grep samples_per_cpu_second | tr -dc '0-9.'; }
for model in ${MODELS:-jet mlp cnn resnet8}; do
    for round in $(seq "${ROUNDS:-15}"); do
        if [ $((round % 2)) = 0 ]; then ce=$(rate "$model" ce) kd=$(rate "$model" kd); else kd=$(rate "$model" kd) ce=$(rate "$model" ce); fi
        echo "$ce $kd"
    done | awk '{ print $1 / $2, $1, $2 }' | sort -n |
        awk -v m="$model" '{ r[NR] = $1; c[NR] = $2; k[NR] = $3 } END { i = int((NR + 1) / 2)
            printf "%-8s ce %9.0f/s  kd %9.0f/s  a kd step costs %.3f of a ce step (quartiles %.3f, %.3f)\n", m, c[i], k[i], r[i], r[int((NR + 3) / 4)], r[int((3 * NR + 1) / 4)] }'
done
