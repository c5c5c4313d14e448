#!/usr/bin/env bash
# Stopping rules, each with the paper's summary and with the calibrated annotator model; `random` is the control.
#   bash scripts/stopping.sh [seeds=3] [records=<prepared name>] [<generate settings>]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe stopping "$@"

one_seed() {
  prepared
  not_looking
  step generate -m experiment=stopping scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  for aggregate in summary calibrated; do # the control spends what empirical_bayes did, where the dice say
    mean=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mean_samples"])' \
      "$outputs/generate/$run-empirical_bayes-$aggregate/cost.json")
    step generate -m experiment=stopping scale="$scale" seed="$seed" name="$run" records="$faces" stopping=random \
      generator.aggregate="$aggregate" stopping.mean_samples="$mean" ${more[@]+"${more[@]}"}
  done
  labels_of blind
  if [[ "$scale" == demo ]]; then # only of drawn faces the truth is known; see figure5.sh for masked human labels
    step evaluate -m experiment=stopping seed="$seed" name="$run-labels" run="$run" records="$outputs/prepare/$faces/truth.jsonl"
  fi
}
for_every_seed one_seed
step report name="$name" experiment=stopping
