#!/usr/bin/env bash
# EmoVIT's pipeline about an attribute that is no emotion: the type of scene, what somebody does, and the emotion beside them;
# each model beside its untuned base and logistic regression on the same frozen states, fitted on the same rows.
#   bash scripts/emovit_domain.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [steps=<of every model>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, tiny InstructBLIP; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B: give the
# classes of EmoSet's own attributes there, as entries of `domains` in conf/*/experiment/emovit_domain.yaml.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_domain "$@"
take steps
case "$scale" in # demo: a quarter of the steps of scripts/emovit.sh, enough to compare
  demo) base=assets/instructblip_tiny steps=${steps:-330} ;;
  paper) base=Salesforce/instructblip-vicuna-7b steps=${steps:-22800} ;;
esac
scale=emovit_$scale

one_seed() {
  local domain pool
  prepared
  step generate -m experiment=emovit_domain scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  step train -m experiment=emovit_domain scale="$scale" seed="$seed" name="$run" \
    trainer.max_steps="$steps" trainer.max_epochs="$steps"
  step evaluate -m experiment=emovit_domain scale="$scale" seed="$seed" name="$run" records="$faces"
  step evaluate -m experiment=emovit_domain scale="$scale" seed="$seed" name="$run" records="$faces" \
    cell="base-\${domain}" model.path="$base"
  for domain in scene_type human_action emotion; do
    for pool in mean patches; do
      step scripts/linear_probe "$outputs/prepare/$faces/test.jsonl" "$outputs/linear_probe/$run-$pool-$domain.jsonl" \
        --pool "$pool" --attribute "$domain" --says "It is {}." \
        --train experiment=emovit_domain scale="$scale" seed="$seed" name="$run" cell="$domain"
    done
  done
  for pool in mean patches; do
    step evaluate -m experiment=emovit_domain scale="$scale" seed="$seed" name="$run" records="$faces" \
      cell="$pool-\${domain}" predictions="$outputs/linear_probe/$run-\${cell}.jsonl"
  done
}
for_every_seed one_seed
step report name="$name" experiment=emovit_domain
