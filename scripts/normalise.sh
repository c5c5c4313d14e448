#!/usr/bin/env bash
# What counts as U = 1 where Algorithm 1 decides: the sweep of generator.normalise, with chance as the control.
#   bash scripts/normalise.sh [seeds=3] [records=<prepared name>] [<generate settings>]
# scale=demo: synthetic faces, simulated annotator; scale=paper: the datasets, gpt-4o. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe normalise "$@"

one_seed() {
  prepared
  not_looking
  step generate -m experiment=normalise scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  mean=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mean_samples"])' \
    "$outputs/generate/$run-empirical/cost.json")
  step generate scale="$scale" seed="$seed" name="$run-dice" records="$faces" stopping=random 'stopping.stages=[2,5]' \
    stopping.mean_samples="$mean" ${more[@]+"${more[@]}"}
  step generate scale="$scale" seed="$seed" name="$run-all" records="$faces" stopping=fixed ${more[@]+"${more[@]}"}
  labels_of blind coin theoretical usual empirical dice all
}
for_every_seed one_seed
step report name="$name" experiment=normalise
