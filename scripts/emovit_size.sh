#!/usr/bin/env bash
# EmoVIT with a small and a larger language model: the same instructions, the same number of steps, each beside its untuned base.
#   bash scripts/emovit_size.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [steps=<of both models>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, two tiny InstructBLIPs; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B and 13B.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_size "$@"
take steps
case "$scale" in # demo: a quarter of the steps of scripts/emovit.sh, enough to compare; the question as in scripts/emovit.sh
  demo) small=assets/instructblip_tiny large=assets/instructblip_tiny_large steps=${steps:-330} question=taught ;;
  paper) small=Salesforce/instructblip-vicuna-7b large=Salesforce/instructblip-vicuna-13b steps=${steps:-22800} question=constrained ;;
esac
scale=emovit_$scale asked=(benchmark.answering="$question")

one_seed() {
  local size
  prepared
  step generate experiment=emovit scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  for size in small large; do
    step train -m experiment=emovit_size scale="$scale" seed="$seed" name="$run" cell="$size" model.path="${!size}" \
      trainer.max_steps="$steps" trainer.max_epochs="$steps"
    step evaluate -m experiment=emovit_size scale="$scale" seed="$seed" name="$run" records="$faces" cell="base-$size" \
      model.path="${!size}" "${asked[@]}"
  done
  step evaluate -m experiment=emovit_size scale="$scale" seed="$seed" name="$run" records="$faces" "${asked[@]}"
}
for_every_seed one_seed
step report name="$name" experiment=emovit_size
