#!/usr/bin/env bash
# Do the two judges read the same? The answers of one finished evaluate run, read by rules and by an LLM.
#   bash scripts/judge_agreement.sh run=demo-base [records=demo] [outputs=outputs] [<evaluate setting>...]
#   bash scripts/judge_agreement.sh run=leaky allow_overlap=true     a run that was allowed to overlap, and is marked for it
#   bash scripts/judge_agreement.sh run=gpt-4o records=feid backend@judge_backend=vllm judge_backend.model=Qwen/Qwen3-VL-4B-Instruct
# -> outputs/evaluate/<run>-judged-llm/agreement.md. Rewritings are kept in the ledger: nothing is paid for twice.
set -euo pipefail
cd "$(dirname "$0")/.."
run= records=demo outputs=outputs settings=() both=()
for argument in "$@"; do
  case "$argument" in
    run=*) run=${argument#*=} ;;
    records=*) records=${argument#*=} ;;
    outputs=*) outputs=${argument#*=} ;;
    judge*=* | backend@judge*=*) settings+=("$argument") ;; # the judge by rules has nothing to set
    *) both+=("$argument") ;;
  esac
done
[[ -n "$run" ]] || { echo "error: run=: whose answers are to be read; name a finished evaluate run" >&2; exit 2; }

judged() { # judged <judge> <settings...>: score the run's answers again
  python evaluate.py -m experiment=judge_agreement run="$run" judge="$1" records="$records" ${both[@]+"${both[@]}"} "${@:2}" \
    paths.outputs="$outputs"
}

judged parse
judged llm ${settings[@]+"${settings[@]}"}
python -m seke.benchmark.judging.agreement "$outputs/evaluate/$run-judged-parse" "$outputs/evaluate/$run-judged-llm"
