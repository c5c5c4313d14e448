#!/usr/bin/env bash
# Figure 6: the same test faces described by models tuned on EmoVIT, MERR-Fine and FEID.
#   bash scripts/figure6.sh [models=table3] [name=figure6] [outputs=outputs] [<settings of scripts/table3.sh>]
# The models are those of scripts/table3.sh, which runs first; finished stages are reused. -> outputs/report/<name>/figure6.html
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe figure6 "$@"
one_seed_only

models=table3 settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in models=*) models=${setting#*=} ;; *) settings+=("$setting") ;; esac
done
bash scripts/table3.sh name="$models" scale="$scale" seed="$seed" outputs="$outputs" ${records:+records="$records"} \
  ${settings[@]+"${settings[@]}"}
step report name="$name" experiment=figure6 models="$models"
