#!/usr/bin/env bash
# People where they count: a calibrated annotator's labels, whom to look at, and a guarantee of what is left to the machine.
#   bash scripts/people.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>, e.g. budget.usd=50]
# scale=demo: synthetic faces, simulated annotator; their truth plays the reviewer until the guarantee (at most 5 % of each
# description wrong) is reached, and equal looks by value, by dice and by U_max are held against each other
# (outputs/generate/<name>/people.md). scale=paper: the datasets and gpt-4o; the report shows people whom to look at.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe people "$@"

one_seed() {
  local made=$outputs/generate/$run looks=()
  prepared
  step generate scale="$scale" seed="$seed" name="$run" records="$faces" stopping=fixed generator.aggregate=calibrated \
    ${more[@]+"${more[@]}"}
  step generate name="$run" seed="$seed" review=next guarantee=0.05
  if [[ "$scale" != demo ]]; then return; fi
  python scripts/people.py orders "$run" outputs="$outputs" to="$made/people.md" seed="$seed"
  while [[ -s $made/queue.jsonl && ${#looks[@]} -lt 6 ]]; do # the audit; whom it finds in need; a larger audit, if it must be
    looks+=("$outputs/generate/$run-looks-$((${#looks[@]} + 1)).json")
    python scripts/people.py look "$run" outputs="$outputs" to="${looks[-1]}" seed="$seed"
    step generate name="$run-looked-${#looks[@]}" seed="$seed" review="[$(IFS=,; echo "${looks[*]}")]" # with all before
    step generate name="$run" seed="$seed" review=next guarantee=0.05
  done
}
for_every_seed one_seed
step report name="$name"
