#!/usr/bin/env bash
# N of Algorithm 1: label quality, draws and cost. Needs faces whose truth is known, or records with all labels.
#   bash scripts/sweep_n.sh [seeds=3] [records=<prepared name>] [<generate settings>]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe sweep_n "$@"

one_seed() {
  prepared
  not_looking
  step generate -m experiment=sweep_n scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  step generate scale="$scale" seed="$seed" records="$faces" name="$run-n1" generator.self_verify=false ${more[@]+"${more[@]}"}
  labels_of blind
  if [[ "$scale" == demo ]]; then # only of drawn faces the truth is known; see figure5.sh for masked human labels
    step evaluate -m experiment=sweep_n seed="$seed" name="$run-labels" run="$run" records="$outputs/prepare/$faces/truth.jsonl"
  fi
}
for_every_seed one_seed
step report name="$name" experiment=sweep_n
