#!/usr/bin/env bash
# EmoVIT from pictures to its score: scenes, instructions, the tuned Q-Former, held-out accuracy beside the untuned base.
#   bash scripts/emovit.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [cross=webemo,emotion6,fi] [feab=<prepared name>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, tiny InstructBLIP; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B.
# cross= asks the model about other scene sets below paths.data, feab= about faces. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit "$@"

cross= feab= below=() settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in
    cross=* | feab=*) printf -v "${setting%%=*}" '%s' "${setting#*=}" ;;
    paths.data=*) below=("$setting") settings+=("$setting") ;;
    *) settings+=("$setting") ;;
  esac
done
case "$scale" in # the paper's question, for the paper's figure; a tiny model only knows wordings that it has met
  demo) base=assets/instructblip_tiny question=taught ;;
  paper) base=Salesforce/instructblip-vicuna-7b question=constrained ;;
esac
scale=emovit_$scale asked=(benchmark.answering="$question")

one_seed() {
  prepared ${below[@]+"${below[@]}"}
  step generate experiment=emovit scale="$scale" seed="$seed" name="$run" records="$faces" ${settings[@]+"${settings[@]}"}
  step train experiment=emovit scale="$scale" seed="$seed" name="$run"
  step evaluate experiment=emovit scale="$scale" seed="$seed" name="$run-base" records="$faces" model.path="$base" "${asked[@]}"
  step evaluate experiment=emovit scale="$scale" seed="$seed" name="$run" records="$faces" "${asked[@]}"
  if [[ -n "$cross" ]]; then
    step prepare -m experiment=emovit_cross seed="$seed" name="$run" source="$cross" ${below[@]+"${below[@]}"}
    step evaluate -m experiment=emovit_cross scale="$scale" seed="$seed" name="$run" cell="$cross" \
      model.path="$run" "${asked[@]}"
  fi
  if [[ -n "$feab" ]]; then
    step evaluate scale="$scale" seed="$seed" name="$run-feab" records="$feab" benchmark=feab_mikels model.path="$run"
  fi
}
for_every_seed one_seed
others=$cross$feab
step report name="$name" experiment="emovit${others:+_cross}"
