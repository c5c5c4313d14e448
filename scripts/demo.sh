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

# 1. Faces: six sub-sources, each with the labels of the dataset it imitates; the latent truth in a file of its own.
step prepare source=synthetic name="$name" ${images:+source.images="$images"}

# 2. Instruction data. Human labels are kept in all three; the rest comes from one pass without prior, from SEKE, or from
#    the truth (nothing to annotate, only to write down).
step generate records="$name" name="$name-single" generator.use_prior=false generator.self_verify=false
step generate records="$name" name="$name-seke"
step generate records="$outputs/prepare/$name/truth.jsonl" split=train name="$name-truth"

# 3. How reliable are the generated labels? Only what was generated is scored, against the latent truth.
for labels in single seke; do
  step evaluate benchmark=reliability predictions="$name-$labels" records="$outputs/prepare/$name/truth.jsonl" name="$name-labels-$labels"
done

# 4. One fine-tuned model for each, and the untouched base; FEAB on test subjects that no stage has seen.
step evaluate records="$name" name="$name-base" backend.max_new_tokens=192 # it may describe without end
for data in single seke truth; do
  step train data.path="$name-$data" name="$name-$data"
  step evaluate records="$name" model.path="$name-$data" name="$name-$data"
done

# 5. Everything on one page.
step report name="$name"
printf '\ndone in %d s\n' "$SECONDS"
