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
complete="$outputs/prepare/$records/complete.jsonl"
python scripts/figure5.py complete "$outputs/prepare/$records/train.jsonl" "$complete"

annotate() { # annotate <method> <settings...>: generate, once for each masked description
  for mask in expression va au; do
    python generate.py paths.outputs="$outputs" seed="$seed" records="$complete" name="$name-$1-$mask" \
      "generator.hide=[$mask]" "${@:2}" ${settings[@]+"${settings[@]}"}
  done
}

# 2. The paper's two; what each part of ours adds; ours; and its control, which spends as much where the dice say.
annotate single generator.use_prior=false generator.self_verify=false
annotate seke stopping=uamc
annotate fixed stopping=fixed
annotate seke-calibrated stopping=uamc generator.aggregate=calibrated
annotate fixed-calibrated stopping=fixed generator.aggregate=calibrated
annotate ours stopping=empirical_bayes generator.aggregate=calibrated
for mask in expression va au; do
  mean=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mean_samples"])' "$outputs/generate/$name-ours-$mask/cost.json")
  python generate.py paths.outputs="$outputs" seed="$seed" records="$complete" name="$name-random-$mask" \
    "generator.hide=[$mask]" stopping=random stopping.mean_samples="$mean" generator.aggregate=calibrated ${settings[@]+"${settings[@]}"}
done

# 3. All of them on the same faces.
python scripts/figure5.py table "$outputs" "$complete" "$name" seke \
  "single=Simple annotation (single pass)" "seke=SEKE (UAMC, summary)" "fixed=Fixed 5, summary" \
  "seke-calibrated=UAMC, calibrated" "fixed-calibrated=Fixed 5, calibrated" \
  "random=Random at our budget, calibrated" "ours=Ours (empirical Bayes, calibrated)"
