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
  # Three models of one description see three epochs in all: so one model of three descriptions may, too; and specialists
  # of three epochs each see every row as often as that one.
  step train scale="$scale" seed="$seed" data.path="$run" name="$run-all_long" trainer.max_epochs=3
  step train -m experiment=figure4 scale="$scale" seed="$seed" name="$run" data.keep=expression,va,au \
    cell='${data.keep}_long' trainer.max_epochs=3
  step evaluate -m experiment=figure4 scale="$scale" seed="$seed" name="$run" records="$faces"
}
for_every_seed one_seed
step report name="$name" experiment=figure4
