#!/usr/bin/env bash
# The same model asked in eleven wordings: how far do its scores spread?
#   bash scripts/phrasing.sh [model=demo-seke] [records=demo] [scale=demo|paper] [<evaluate settings>]
# scale=demo wants `make demo` first.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe phrasing "$@"
one_seed_only

model=demo-seke settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in model=*) model=${setting#*=} ;; *) settings+=("$setting") ;; esac
done
step evaluate -m experiment=phrasing scale="$scale" seed="$seed" name="$name" records="${records:-demo}" model.path="$model" \
  ${settings[@]+"${settings[@]}"}
step report name="$name" experiment=phrasing
