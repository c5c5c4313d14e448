#!/usr/bin/env bash
# Figure 5: on records that carry all three descriptions, mask one at a time, generate it, hold it against the human one.
#   bash scripts/figure5.sh [scale=demo|paper] [seeds=3] [records=<prepared name>] [<generate settings>, e.g. budget.usd=20]
#   bash scripts/figure5.sh annotator=none [...]     the control alone: what the other two descriptions say of the masked
#                                                    one, in other people's labels; asks nobody, looks at no picture
# scale=demo: synthetic faces, simulated annotator; scale=paper: Aff-Wild2's photographs, the only ones of the datasets
# with all three, and gpt-4o. Finished stages are reused. -> outputs/figure5/<name>/table.md, one for each seed
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe figure5 "$@"
take annotator
case "$annotator" in '' | none) ;; *) echo "error: annotator=$annotator: no such choice; use none, or leave it out" >&2; exit 2 ;; esac

annotate() { # annotate <settings...>: generate, once for each masked description
  step generate -m experiment=figure5 scale="$scale" seed="$seed" name="$run" records="$faces" "$@" ${more[@]+"${more[@]}"}
}

methods() { # methods <reference> <method=label>...: all of them on the same faces
  python scripts/figure5.py --control blind "$outputs" "$outputs/prepare/$faces/train.jsonl" "$run" "$1" \
    "blind=Not looking (no picture, no call, \$0)" "${@:2}"
}

one_seed() {
  local mask mean own
  prepared
  own_of_control
  step generate -m experiment=figure5_blind scale="$scale" seed="$seed" name="$run" records="$faces" ${own[@]+"${own[@]}"}
  if [[ "$annotator" == none ]]; then methods blind; return; fi
  # Rules and aggregations; the paper's simple annotation; ours' control, which spends as much at random.
  annotate
  annotate cell='single-${mask}' stopping=uamc generator.aggregate=summary generator.use_prior=false generator.self_verify=false
  for mask in expression va au; do
    mean=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mean_samples"])' \
      "$outputs/generate/$run-empirical_bayes-calibrated-$mask/cost.json")
    annotate mask="$mask" stopping=random stopping.mean_samples="$mean" generator.aggregate=calibrated
  done
  methods uamc-summary \
    "single=Simple annotation (single pass)" "uamc-summary=SEKE (UAMC, summary)" "fixed-summary=Fixed 5, summary" \
    "empirical_bayes-summary=Empirical Bayes, summary" \
    "uamc-calibrated=UAMC, calibrated" "fixed-calibrated=Fixed 5, calibrated" \
    "random-calibrated=Random at our budget, calibrated" "empirical_bayes-calibrated=Ours (empirical Bayes, calibrated)"
}
for_every_seed one_seed
step report name="$name" experiment=figure5
