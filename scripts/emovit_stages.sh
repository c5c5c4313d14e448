#!/usr/bin/env bash
# EmoVIT's stages at equal steps: categorical instructions, conversations as well, reasoning as well; the last row goes through
# the three mixtures in turn, a third of the steps each (a curriculum).
#   bash scripts/emovit_stages.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [steps=<of every model>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, tiny InstructBLIP; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_stages "$@"
take steps
case "$scale" in # the paper's question, for the paper's figure; a tiny model only knows wordings that it has met
  demo) base=assets/instructblip_tiny question=taught ;;
  paper) base=Salesforce/instructblip-vicuna-7b question=constrained ;;
esac
# As many as the epochs of conf/train/emovit/at_<scale>.yaml have with all three kinds: 3 of 3,520 rows, 4 of 45,600; 8 a step.
case "$scale" in demo) steps=${steps:-1320} ;; paper) steps=${steps:-22800} ;; esac
scale=emovit_$scale asked=(benchmark.answering="$question")

tune() { # tune <steps> <stage> <cell> [<train settings>]
  step train -m experiment=emovit_stages scale="$scale" seed="$seed" name="$run" stage="$2" cell="$3" \
    trainer.max_steps="$1" trainer.max_epochs="$1" "${@:4}"
}

one_seed() {
  local third=$((steps / 3)) from=$base stage
  prepared
  step generate experiment=emovit scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  for stage in categorical conversation reasoning; do tune "$steps" "$stage" "$stage"; done
  for stage in categorical conversation; do
    tune "$third" "$stage" "then_$stage" model.path="$from"
    from=$outputs/train/$run-then_$stage/model
  done
  tune $((steps - 2 * third)) reasoning curriculum model.path="$from"
  step evaluate experiment=emovit scale="$scale" seed="$seed" name="$run-base" records="$faces" model.path="$base" "${asked[@]}"
  step evaluate -m experiment=emovit_stages scale="$scale" seed="$seed" name="$run" records="$faces" "${asked[@]}"
}
for_every_seed one_seed
step report name="$name" experiment=emovit_stages
