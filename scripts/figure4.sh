#!/usr/bin/env bash
# Figure 4: trained on one description only, against on all three.
#   bash scripts/figure4.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe figure4 "$@"

one_seed() {
  prepared
  step generate scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  step train -m experiment=figure4 scale="$scale" seed="$seed" name="$run"
  step evaluate -m experiment=figure4 scale="$scale" seed="$seed" name="$run" records="$faces"
}
for_every_seed one_seed
step report name="$name" experiment=figure4
