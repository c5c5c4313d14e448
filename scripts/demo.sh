#!/usr/bin/env bash
# The whole loop on synthetic faces and the simulated annotator: prepare, generate, train, evaluate, report.
#   bash scripts/demo.sh [name=demo] [seed=0] [images=7000] [outputs=outputs]     finished stages are reused
set -euo pipefail
cd "$(dirname "$0")/.."
name=demo seed=0 images= outputs=outputs
for argument in "$@"; do
  case "$argument" in
    name=*) name=${argument#*=} ;;
    seed=*) seed=${argument#*=} ;;
    images=*) images=${argument#*=} ;;
    outputs=*) outputs=${argument#*=} ;;
    *) echo "error: $argument: no such setting; use name=, seed=, images= or outputs=" >&2; exit 2 ;;
  esac
done
export WANDB_RUN_GROUP="${WANDB_RUN_GROUP:-$name}" # with wandb=offline all stages are one group

step() { # step <command> <settings...>: run a command and say how long it took
  local began=$SECONDS
  printf '\n\033[1m> python %s.py %s\033[0m\n' "$1" "${*:2}"
  python "$1.py" paths.outputs="$outputs" seed="$seed" "${@:2}"
  printf '  %d s\n' $((SECONDS - began))
}

# 1. Faces: six sub-sources, each with the labels of the dataset it imitates; the true labels in a file of its own.
step prepare source=synthetic name="$name" ${images:+source.images="$images"}

# 2. Instruction data. Human labels are kept in all of it; the rest comes from nobody (inferred from the human labels, no
#    picture is looked at), from one pass without prior, from one pass with it, from SEKE as the paper has it, from five
#    draws in one request read by a calibrated model of the annotator (ours), or from the truth (nothing to annotate).
step generate records="$name" name="$name-blind" generator=blind
step generate records="$name" name="$name-single" generator.use_prior=false generator.self_verify=false
step generate records="$name" name="$name-prior" generator.self_verify=false
step generate records="$name" name="$name-seke"
step generate records="$name" name="$name-calibrated" generator.aggregate=calibrated stopping=fixed
step generate records="$outputs/prepare/$name/truth.jsonl" split=train name="$name-truth"

# 3. How reliable are the generated labels? Only what was generated is scored, against the true labels, and what it gains
#    over not looking.
labels_of() { # labels_of <cell> <evaluate settings...>
  step evaluate benchmark=reliability predictions="$name-$1" records="$outputs/prepare/$name/truth.jsonl" \
    name="$name-labels-$1" "${@:2}"
}
labels_of blind
for labels in single prior seke calibrated; do labels_of "$labels" compare="$name-labels-blind"; done

# 4. One fine-tuned model for each, the untouched base, and the best answer that never looks; FEAB on test subjects that no stage has seen.
step evaluate records="$name" name="$name-constant" system=constant
step evaluate records="$name" name="$name-base" backend.max_new_tokens=192 # it may describe without end
for data in blind single prior seke calibrated truth; do
  step train data.path="$name-$data" name="$name-$data"
  against=()
  if [[ "$data" != blind ]]; then against=(compare="$name-blind"); fi
  step evaluate records="$name" model.path="$name-$data" name="$name-$data" ${against[@]+"${against[@]}"}
done

# 5. What of it was in the frozen tower already? Linear models on its states, fitted to the same rows.
probe="$outputs/linear_probe/$name.jsonl"
if [[ ! -f "$probe" ]]; then
  began=$SECONDS
  printf '\n\033[1m> python scripts/linear_probe.py ... --faces --train data.path=%s-seke\033[0m\n' "$name"
  python scripts/linear_probe.py "$outputs/prepare/$name/test.jsonl" "$probe" --faces \
    --train paths.outputs="$outputs" seed="$seed" data.path="$name-seke"
  printf '  %d s\n' $((SECONDS - began))
fi
step evaluate records="$name" predictions="$probe" name="$name-probe" compare="$name-blind"

# 6. Everything on one page.
step report name="$name"
printf '\ndone in %d s\n' "$SECONDS"
