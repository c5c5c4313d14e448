#!/usr/bin/env bash
# One question template against eleven: asked as trained, and in other words.
#   bash scripts/templates.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe templates "$@"

one_seed() {
  prepared
  step generate -m experiment=templates scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  step train -m experiment=templates scale="$scale" seed="$seed" name="$run"
  step evaluate -m experiment=templates scale="$scale" seed="$seed" name="$run" records="$faces"
}
for_every_seed one_seed
step report name="$name" experiment=templates
