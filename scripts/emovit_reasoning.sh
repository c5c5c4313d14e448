#!/usr/bin/env bash
# Affective reasoning of a model and of its untuned base: free answers about test scenes, marked by two judges.
#   bash scripts/emovit_reasoning.sh [model=emovit] [records=emovit] [scale=demo|paper] [<evaluate settings>]
# scale=demo: the questions that the pipeline writes about the test scenes, and simulated judges, whose marks say nothing
# of any model, for 100 of the scenes; scale=paper: the benchmark's own questions, gpt-4o and gpt-4.1. Wants scripts/emovit.sh first.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_reasoning "$@"
one_seed_only

model=emovit faces=${records:-emovit} settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in model=*) model=${setting#*=} ;; *) settings+=("$setting") ;; esac
done
case "$scale" in
  demo)
    step generate experiment=emovit scale=emovit_demo seed="$seed" name="$name-asked" \
      records="$outputs/prepare/$faces/test.jsonl" \
      generator.counts.categorical=0 generator.counts.conversation=0 generator.counts.reasoning=null
    base=assets/instructblip_tiny
    judged=(limit=100 benchmark.max_tokens=64 benchmark.questions_from="$name-asked" backend@judge_backend=simulated_scenes
      backend@second_judge_backend=simulated_scenes second_judge_backend.seed=1 '~second_judge_backend.model')
    ;;
  paper) base=Salesforce/instructblip-vicuna-7b judged=() ;;
esac
ask() { # ask <name> <model>
  step evaluate benchmark=affective_reasoning scale="emovit_$scale" seed="$seed" name="$1" records="$faces" \
    model.path="$2" ${judged[@]+"${judged[@]}"} ${settings[@]+"${settings[@]}"}
}
ask "$name-base" "$base"
ask "$name" "$model"
step report name="$name"
