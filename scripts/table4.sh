#!/usr/bin/env bash
# Table 4: what human prior knowledge and self-verification (SV-UAMC) each buy.
#   bash scripts/table4.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>, e.g. budget.usd=50]
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe table4 "$@"

one_seed() {
  prepared
  step generate -m experiment=table4 scale="$scale" seed="$seed" name="$run" records="$faces" ${more[@]+"${more[@]}"}
  if [[ "$scale" == demo ]]; then # the latent truth is known there: how right are the labels themselves?
    for cell in plain prior verify both; do
      step evaluate benchmark=reliability seed="$seed" predictions="$run-$cell" name="$run-labels-$cell" \
        records="$outputs/prepare/$faces/truth.jsonl"
    done
  fi
  step train -m experiment=table4 scale="$scale" seed="$seed" name="$run"
  step evaluate -m experiment=table4 scale="$scale" seed="$seed" name="$run" records="$faces"
}
for_every_seed one_seed
step report name="$name" experiment=table4
