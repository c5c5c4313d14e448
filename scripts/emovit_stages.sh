#!/usr/bin/env bash
# EmoVIT's stages: tuned on categorical instructions, on conversations as well, on reasoning as well.
#   bash scripts/emovit_stages.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, tiny InstructBLIP; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_stages "$@"
case "$scale" in # the paper's question, for the paper's figure; a tiny model only knows wordings that it has met
  demo) base=assets/instructblip_tiny question=taught ;;
  paper) base=Salesforce/instructblip-vicuna-7b question=constrained ;;
esac
scale=emovit_$scale asked=(benchmark.answering="$question")

one_seed() {
  prepared
  step generate experiment=emovit scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  step train -m experiment=emovit_stages scale="$scale" seed="$seed" name="$run"
  step evaluate experiment=emovit scale="$scale" seed="$seed" name="$run-base" records="$faces" model.path="$base" "${asked[@]}"
  step evaluate -m experiment=emovit_stages scale="$scale" seed="$seed" name="$run" records="$faces" "${asked[@]}"
}
for_every_seed one_seed
step report name="$name" experiment=emovit_stages
