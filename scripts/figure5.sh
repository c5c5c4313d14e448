#!/usr/bin/env bash
# Figure 5: on records that carry all three descriptions, mask one at a time, generate it, hold it against the human one.
#   bash scripts/figure5.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>, e.g. budget.usd=20]
# scale=demo: synthetic faces, simulated annotator; scale=paper: Aff-Wild2's photographs, the only ones of the datasets
# with all three, and gpt-4o. Finished stages are reused. -> outputs/figure5/<name>/table.md, one for each seed
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe figure5 "$@"

annotate() { # annotate <settings...>: generate, once for each masked description
  step generate -m experiment=figure5 scale="$scale" seed="$seed" name="$run" records="$faces" "$@" ${more[@]+"${more[@]}"}
}

one_seed() {
  prepared
  # Rules and aggregations; the paper's simple annotation; ours' control, which spends as much at random.
  annotate
  annotate cell='single-${mask}' stopping=uamc generator.aggregate=summary generator.use_prior=false generator.self_verify=false
  for mask in expression va au; do
    mean=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mean_samples"])' \
      "$outputs/generate/$run-empirical_bayes-calibrated-$mask/cost.json")
    annotate mask="$mask" stopping=random stopping.mean_samples="$mean" generator.aggregate=calibrated
  done
  # All of them on the same faces.
  python scripts/figure5.py "$outputs" "$outputs/prepare/$faces/train.jsonl" "$run" uamc-summary \
    "single=Simple annotation (single pass)" "uamc-summary=SEKE (UAMC, summary)" "fixed-summary=Fixed 5, summary" \
    "empirical_bayes-summary=Empirical Bayes, summary" \
    "uamc-calibrated=UAMC, calibrated" "fixed-calibrated=Fixed 5, calibrated" \
    "random-calibrated=Random at our budget, calibrated" "empirical_bayes-calibrated=Ours (empirical Bayes, calibrated)"
}
for_every_seed one_seed
step report name="$name" experiment=figure5
