#!/usr/bin/env bash
# What tuning forgets: FEAB and questions that are not about emotion, of the base, tuned on FEID alone, and with replay.
#   bash scripts/forgetting.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [labels=<generate run>]
#                              [tested=<pictures>] [questions=<pictures>] [<train settings>]
# labels=    takes the instructions of a finished run, and asks no annotator
# tested=    limits the pictures of each evaluation, questions= those that are drawn for the general set
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe forgetting "$@"
take labels tested questions

kinds=[glasses,beard,hair,place,action,ground,air]
if [[ "$scale" == demo ]]; then kinds=[description,glasses,beard,hair]; fi # what the tiny base was pre-trained on
limit=()
if [[ -n "$tested" ]]; then limit=("limit=$tested"); fi

one_seed() {
  local general=(benchmark=general records="$run-general" scale="$scale" seed="$seed" ${limit[@]+"${limit[@]}"})
  prepared
  step prepare seed="$seed" source=synthetic_questions source.kinds="$kinds" source.images="${questions:-1600}" name="$run-general"
  if [[ -z "$labels" ]]; then step generate scale="$scale" seed="$seed" name="$run" records="$faces"; fi
  step train scale="$scale" seed="$seed" data.path="${labels:-$run}" name="$run-feid" ${more[@]+"${more[@]}"}
  step train -m experiment=forgetting scale="$scale" seed="$seed" name="$run" labels="${labels:-$run}" ${more[@]+"${more[@]}"}
  step evaluate scale="$scale" seed="$seed" records="$faces" name="$run-base" ${limit[@]+"${limit[@]}"}
  step evaluate "${general[@]}" name="$run-base-general"
  step evaluate -m experiment=forgetting scale="$scale" seed="$seed" records="$faces" name="$run" ${limit[@]+"${limit[@]}"}
  step evaluate -m experiment=forgetting "${general[@]}" name="$run" cell='${tuned}-general' compare="$run-base-general"
}
for_every_seed one_seed
step report name="$name" experiment=forgetting
