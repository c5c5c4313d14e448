#!/usr/bin/env bash
# EmoVIT tuned on instructions of other quality and diversity, for as many steps each: an annotator that misses, mistakes or
# names wrong emotions; one, three or six wordings of the categorical question, asked in a wording that was met and one that was not.
#   bash scripts/emovit_quality.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [steps=<of every model>] [<generate settings>]
# scale=demo: synthetic scenes, simulated annotator, tiny InstructBLIP; scale=paper: EmoSet, BLIP-2, gpt-4o, 7B: the wordings
# alone, as nobody can tell a real annotator how often to err; another one (backend.model=) under another name= shows its quality.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_quality "$@"
take steps
wordings=(wordings-1 clean wordings-6)
case "$scale" in # demo: a quarter of the steps of scripts/emovit.sh, enough to compare
  demo) steps=${steps:-330} cells=("${wordings[@]}" misses-0.3 mistakes-0.3 classes-0.3) ;;
  paper) steps=${steps:-22800} cells=("${wordings[@]}") ;;
esac
scale=emovit_$scale

annotate() { # annotate <cell> [<generate settings>]: its share of errors, or its number of wordings, stands in the cell's name
  local share=${1#*-} misses=0 mistakes=0 classes=0 number=three errors=()
  case "$1" in
    misses-*) misses=$share ;;
    mistakes-*) mistakes=$share ;;
    classes-*) classes=$share ;;
    wordings-1) number=one ;;
    wordings-6) number=six ;;
  esac
  if [[ "$scale" == emovit_demo ]]; then
    errors=(backend.misses="$misses" backend.mistakes="$mistakes" backend.wrong_emotions="$classes")
  fi
  step generate -m experiment=emovit_quality scale="$scale" seed="$seed" name="$run" records="$faces" cell="$1" \
    wordings="$number" ${errors[@]+"${errors[@]}"} "${@:2}"
}

one_seed() {
  local cell listed
  prepared
  for cell in "${cells[@]}"; do annotate "$cell" ${more[@]+"${more[@]}"}; done
  listed=$(IFS=,; echo "${cells[*]}")
  step train -m experiment=emovit_quality scale="$scale" seed="$seed" name="$run" cell="$listed" \
    trainer.max_steps="$steps" trainer.max_epochs="$steps"
  step evaluate -m experiment=emovit_quality scale="$scale" seed="$seed" name="$run" records="$faces" of="$listed" \
    benchmark.answering=taught
  step evaluate -m experiment=emovit_quality scale="$scale" seed="$seed" name="$run" records="$faces" \
    of="$(IFS=,; echo "${wordings[*]}")" cell="\${of}-unmet" benchmark.answering=constrained
}
for_every_seed one_seed
step report name="$name" experiment=emovit_quality
