#!/usr/bin/env bash
# Table 4: what human prior knowledge and self-verification (SV-UAMC) each gain.
#   bash scripts/table4.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>, e.g. budget.usd=50]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe table4 "$@"

one_seed() {
  prepared
  not_looking
  step generate -m experiment=table4 scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  # At SEKE's cost: as many draws as it may take, in as many requests as it takes (2 draws, 3 more, the description), but
  # neither a rule that looks at them nor a summary.
  step generate scale="$scale" seed="$seed" name="$run-equal" records="$faces" stopping=random 'stopping.stages=[2,5]' \
    stopping.mean_samples=5 generator.aggregate=majority ${more[@]+"${more[@]}"}
  labels_of blind plain prior equal verify both
  step train -m experiment=table4 scale="$scale" seed="$seed" name="$run"
  step evaluate -m experiment=table4 scale="$scale" seed="$seed" name="$run" records="$faces"
}
for_every_seed one_seed
step report name="$name" experiment=table4
