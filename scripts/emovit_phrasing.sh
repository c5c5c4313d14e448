#!/usr/bin/env bash
# The same model asked for a scene's emotion in eight wordings: how far does its accuracy spread?
#   bash scripts/emovit_phrasing.sh [model=emovit] [records=emovit] [scale=demo|paper] [<evaluate settings>]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe emovit_phrasing "$@"
one_seed_only

model=emovit settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in model=*) model=${setting#*=} ;; *) settings+=("$setting") ;; esac
done
step evaluate -m experiment=emovit_phrasing scale="emovit_$scale" seed="$seed" name="$name" records="${records:-emovit}" \
  model.path="$model" ${settings[@]+"${settings[@]}"}
step report name="$name" experiment=emovit_phrasing
