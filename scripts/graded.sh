#!/usr/bin/env bash
# Graded questions (how much, 0 to 5, and in per cent) against yes and no: 1 and 2 draws against 5, and what not looking has.
#   bash scripts/graded.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>, e.g. budget.usd=50]
# scale=demo: synthetic faces, simulated annotator, held against their truth, and a world whose grades know no more than its yes;
# scale=paper: the records with all three descriptions, their action units masked, and gpt-4o. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe graded "$@"

one_seed() {
  prepared
  local masked=() right=(records="$outputs/prepare/$faces/truth.jsonl") cells=binary1,binary2,binary5,graded1,graded2
  if [[ "$scale" == paper ]]; then
    masked=(complete=true 'generator.hide=[au]')
    right=(records="$outputs/prepare/$faces/train.jsonl" benchmark.against=manual)
  fi
  not_looking ${masked[@]+"${masked[@]}"}
  step generate -m experiment=graded scale="$scale" seed="$seed" name="$run" records="$faces" \
    ${masked[@]+"${masked[@]}"} ${more[@]+"${more[@]}"}
  if [[ "$scale" == demo ]]; then # nothing is graded 1 or more that this annotator would not call active
    step generate experiment=graded scale="$scale" seed="$seed" name="$run-blunt2" records="$faces" cell=graded2 \
      backend.grading.middle=1.0 ${more[@]+"${more[@]}"}
    cells=$cells,blunt2
  fi
  step evaluate -m experiment=graded seed="$seed" name="$run-labels" run="$run" cell="$cells,blind" "${right[@]}"
}
for_every_seed one_seed
step report name="$name" experiment=graded
