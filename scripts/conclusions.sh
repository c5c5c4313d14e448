#!/usr/bin/env bash
# What finished labels say of people: an audit of 300 faces (their truth plays the people), the corrected table and its
# forest plot; over 400 further audits how often each interval holds the truth; controls: not looking, dice.
#   bash scripts/conclusions.sh [scale=demo|paper] [seeds=3] [looks=300] [repeats=400] [records=<name>] [<generate settings>]
# scale=paper: the datasets and gpt-4o; the report shows people whom to look at (docs/conclusions.md). Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe conclusions "$@"
take looks repeats

concluded() { # concluded <which labels> <generate settings...>: labels, an audit of them, and what they say of people
  local made=$outputs/generate/$run-$1
  step generate scale="$scale" seed="$seed" records="$faces" name="$run-$1" "${@:2}" ${more[@]+"${more[@]}"}
  step generate name="$run-$1" seed="$seed" review=next n="${looks:-300}" audit=1
  if [[ "$scale" != demo ]]; then return; fi
  python scripts/conclusions.py look "$made" seed="$seed"
  step generate name="$run-$1-audited" seed="$seed" review="$made/look.json"
  step evaluate benchmark=conclusions seed="$seed" records="$faces" predictions="$run-$1-audited" name="$run-$1-says" \
    benchmark.groups=attributes.glasses 'benchmark.regressions=[{outcome: valence, predictors: [AU4, AU12]}]'
}

one_seed() {
  prepared
  not_looking
  concluded seke
  concluded calibrated stopping=fixed generator.aggregate=calibrated
  if [[ "$scale" != demo ]]; then return; fi
  for about in faces people; do
    python scripts/conclusions.py coverage "$outputs/generate/$run-"{seke,calibrated,blind} seed="$seed" about="$about" \
      repeats="${repeats:-400}" looks="${looks:-300}" to="$outputs/generate/$run-coverage-$about.md"
  done
}
for_every_seed one_seed
step report name="$name"
