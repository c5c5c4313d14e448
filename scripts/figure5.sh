#!/usr/bin/env bash
# Figure 5: on records that carry all three descriptions, mask one at a time, generate it, hold it against the human one.
#   bash scripts/figure5.sh [name=figure5] [seed=0] [records=<prepared name>] [outputs=outputs] [<generate setting>...]
#   bash scripts/figure5.sh records=feid backend=openai backend.model=gpt-4o budget.usd=20       on Aff-Wild2's photographs
# Without records=, synthetic faces are drawn first. Finished stages are reused. -> outputs/figure5/<name>/table.md
set -euo pipefail
cd "$(dirname "$0")/.."
name=figure5 seed=0 records= outputs=outputs settings=()
for argument in "$@"; do
  case "$argument" in
    name=*) name=${argument#*=} ;;
    seed=*) seed=${argument#*=} ;;
    records=*) records=${argument#*=} ;;
    outputs=*) outputs=${argument#*=} ;;
    *) settings+=("$argument") ;;
  esac
done

# 1. Records: Aff-Wild2's are the only ones of Table 1 with all three.
if [[ -z "$records" ]]; then
  records=$name
  python prepare.py paths.outputs="$outputs" seed="$seed" source=synthetic name="$records"
fi

annotate() { # annotate <settings...>: generate, once for each masked description
  python generate.py -m experiment=figure5 name="$name" paths.outputs="$outputs" seed="$seed" records="$records" "$@" \
    ${settings[@]+"${settings[@]}"}
}

# 2. Rules and aggregations; the paper's simple annotation; ours' control, which spends as much where the dice say.
annotate
annotate cell='single-${mask}' stopping=uamc generator.aggregate=summary generator.use_prior=false generator.self_verify=false
for mask in expression va au; do
  mean=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mean_samples"])' \
    "$outputs/generate/$name-empirical_bayes-calibrated-$mask/cost.json")
  annotate mask="$mask" stopping=random stopping.mean_samples="$mean" generator.aggregate=calibrated
done

# 3. All of them on the same faces.
python scripts/figure5.py "$outputs" "$outputs/prepare/$records/train.jsonl" "$name" uamc-summary \
  "single=Simple annotation (single pass)" "uamc-summary=SEKE (UAMC, summary)" "fixed-summary=Fixed 5, summary" \
  "empirical_bayes-summary=Empirical Bayes, summary" \
  "uamc-calibrated=UAMC, calibrated" "fixed-calibrated=Fixed 5, calibrated" \
  "random-calibrated=Random at our budget, calibrated" "empirical_bayes-calibrated=Ours (empirical Bayes, calibrated)"
python report.py paths.outputs="$outputs" name="$name" experiment=figure5
