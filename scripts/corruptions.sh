#!/usr/bin/env bash
# How robust a model is to light, blur, resolution, occlusion and pose: the same test faces, corrupted, against the clean ones.
#   bash scripts/corruptions.sh [model=demo-seke] [records=demo] [scale=demo|paper] [<evaluate settings>]
# scale=demo wants `make demo` first. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe corruptions "$@"
one_seed_only
take model
model=${model:-demo-seke} faces=${records:-demo}
step evaluate scale="$scale" seed="$seed" name="$name-clean" records="$faces" model.path="$model" ${more[@]+"${more[@]}"}
step prepare -m experiment=corruptions seed="$seed" name="$name" source.records="$faces"
step evaluate -m experiment=corruptions scale="$scale" seed="$seed" name="$name" sets="$name" model.path="$model" \
  compare="$name-clean" ${more[@]+"${more[@]}"}
step report name="$name" experiment=corruptions
