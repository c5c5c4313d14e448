#!/usr/bin/env bash
# Leave one source out of training, test on it: six models.
#   bash scripts/cross_dataset.sh [scale=demo|paper] [records=<prepared name>] [left_out=disfa,bp4d] [<generate settings>]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe cross_dataset "$@"

out=() settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in left_out=*) out=("$setting") ;; *) settings+=("$setting") ;; esac
done

one_seed() {
  prepared
  step generate scale="$scale" seed="$seed" name="$run" records="$faces" ${settings[@]+"${settings[@]}"}
  step train -m experiment=cross_dataset scale="$scale" seed="$seed" name="$run" ${out[@]+"${out[@]}"}
  step train scale="$scale" seed="$seed" data.path="$run" name="$run-with-all"
  step evaluate -m experiment=cross_dataset scale="$scale" seed="$seed" name="$run" records="$faces" ${out[@]+"${out[@]}"}
  step evaluate scale="$scale" seed="$seed" name="$run-with-all" records="$faces" model.path="$run-with-all" groups="[source]"
}
for_every_seed one_seed
step report name="$name" experiment=cross_dataset
