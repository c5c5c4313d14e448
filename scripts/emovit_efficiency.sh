#!/usr/bin/env bash
# EmoVIT's data efficiency: tuned on 10, 25, 50 and 100 % of the instructions, for equal steps and for equal epochs, beside
# logistic regression on the same frozen states, fitted on the same rows.
#   bash scripts/emovit_efficiency.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [steps=<of every share>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, tiny InstructBLIP; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_efficiency "$@"
take steps
case "$scale" in # as many steps as the scale's epochs have with all rows; the question as in scripts/emovit.sh
  demo) steps=${steps:-1320} question=taught ;;
  paper) steps=${steps:-22800} question=constrained ;;
esac
scale=emovit_$scale asked=(benchmark.answering="$question") shares=(0.1 0.25 0.5 1)

one_seed() {
  local pool
  prepared
  step generate experiment=emovit scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  step train -m experiment=emovit_efficiency scale="$scale" seed="$seed" name="$run" \
    trainer.max_steps="$steps" trainer.max_epochs="$steps"
  step train -m experiment=emovit_efficiency scale="$scale" seed="$seed" name="$run" budget=epochs data.share=0.1,0.25,0.5
  step evaluate -m experiment=emovit_efficiency scale="$scale" seed="$seed" name="$run" records="$faces" "${asked[@]}"
  for pool in mean patches; do
    step scripts/linear_probe "$outputs/prepare/$faces/test.jsonl" "$outputs/linear_probe/$run-$pool-{share}.jsonl" \
      --pool "$pool" --shares "${shares[@]}" --train experiment=emovit scale="$scale" seed="$seed" name="$run"
    step evaluate -m experiment=emovit_efficiency scale="$scale" seed="$seed" name="$run" records="$faces" \
      cell="$pool-0.1,$pool-0.25,$pool-0.5,$pool-1" predictions="$outputs/linear_probe/$run-\${cell}.jsonl" "${asked[@]}"
  done
}
for_every_seed one_seed
step report name="$name" experiment=emovit_efficiency
