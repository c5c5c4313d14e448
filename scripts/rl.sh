#!/usr/bin/env bash
# After fine-tuning: reinforcement from human labels alone, beside four controls from the same labels.
#   bash scripts/rl.sh [name=rl] [seed=0] [images=3000] [steps=45] [outputs=outputs] [records=<prepared set>] [sft=<train run>]
#     [without=<source>] [<settings of algorithm, trainer or model>]           needs pip install -e '.[rl]'
# without: leaves one source out of everything that is trained on; its test faces are judged apart: how far does it carry?
# Controls: fine-tuning goes on on the model's own answers in which human labels replace what it said of them (as many steps
# and faces, at the same and at five times the learning rate), reinforcement by the labels of other faces, and fine-tuning
# on the best of 8 sampled answers. Where sft= is given, it must not have seen the source either.
set -euo pipefail
cd "$(dirname "$0")/.."
name=rl seed=0 images=3000 steps=45 outputs=outputs records= sft= without= more=()
for argument in "$@"; do
  case "$argument" in
    name=* | seed=* | images=* | steps=* | outputs=* | records=* | sft=* | without=*) printf -v "${argument%%=*}" '%s' "${argument#*=}" ;;
    algorithm.*=* | trainer*=* | model*=*) more+=("$argument") ;;
    *) echo "error: $argument: no such setting; use name=, seed=, images=, steps=, outputs=, records=, sft= or without=" >&2; exit 2 ;;
  esac
done
case "$steps" in '' | *[!0-9]* | 0) echo "error: steps=$steps: not a number; use 1 or more" >&2; exit 2 ;; esac
export WANDB_RUN_GROUP="${WANDB_RUN_GROUP:-$name}" # with wandb=offline all stages are one group

step() { # step <command> <settings...>: run a command and say how long it took
  local began=$SECONDS
  printf '\n\033[1m> python %s.py %s\033[0m\n' "$1" "${*:2}"
  python "$1.py" paths.outputs="$outputs" seed="$seed" "${@:2}"
  printf '  %d s\n' $((SECONDS - began))
}

# 1. A model that is fine-tuned on completed labels.
faces=${records:-$name} left=()
if [[ -n "$without" ]]; then left=("data.without=[$without]"); fi
if [[ -z "$records" ]]; then step prepare source=synthetic name="$name" source.images="$images"; fi
if [[ -z "$sft" ]]; then
  sft=$name-sft
  step generate records="$faces" name="$name-seke"
  step train data.path="$name-seke" name="$sft" trainer.precision=bf16-mixed ${without:+"+data.reader.without=[$without]"}
fi

# 2. Reinforcement, and the same by labels that say nothing.
rl=(experiment=rl model.path="$sft" data.path="$faces" trainer.max_steps="$steps"
  ${left[@]+"${left[@]}"} ${more[@]+"${more[@]}"})
step train "${rl[@]}" name="$name-grpo"
step train "${rl[@]}" name="$name-shuffled" algorithm.shuffle=true trainer.keep_best=false

# 3. Fine-tuning goes on: on human labels, and on the best of its own answers.
control=$outputs/rl/$name train=$outputs/prepare/$faces/train.jsonl
if [[ -n "$without" ]]; then
  mkdir -p "$control"
  grep -v "\"source\":\"$without\"" "$train" >"$control/train.jsonl"
  printf '{"image_root": "%s"}' "$(cd "$(dirname "$train")/images" && pwd)" >"$control/manifest.json"
  train=$control/train.jsonl
fi
common=(model.path="$outputs/train/$sft/model" trainer.max_steps="$steps" trainer.warm_up=0.0 trainer.precision=bf16-mixed)
[[ -f "$control/human/rows.jsonl" ]] ||
  python scripts/rl_controls.py human "$train" "$control/human/rows.jsonl" model="$sft" limit=$((12 * steps)) seed="$seed" outputs="$outputs"
[[ -f "$control/best/rows.jsonl" ]] ||
  python scripts/rl_controls.py best "$train" "$control/best/rows.jsonl" model="$sft" faces=$((12 * steps)) seed="$seed" outputs="$outputs"
step train "${common[@]}" data.path="$control/human/rows.jsonl" name="$name-human" trainer.batch_size=12 trainer.max_epochs=100 model.lr=6e-5
step train "${common[@]}" data.path="$control/human/rows.jsonl" name="$name-human5" trainer.batch_size=12 trainer.max_epochs=100 model.lr=3e-4
step train "${common[@]}" data.path="$control/best/rows.jsonl" name="$name-best" trainer.batch_size=12 trainer.max_epochs=100 model.lr=6e-5

# 4. All of them on test subjects that no stage has seen; where a source is left out, on its own.
tested=$faces
if [[ -n "$without" ]]; then
  tested=$control/test.jsonl
  python scripts/of_source.py "$outputs/prepare/$faces/test.jsonl" "$without" "$tested"
fi
step evaluate records="$tested" model.path="$sft" name="$name-before"
for cell in human human5 best shuffled grpo; do
  step evaluate records="$tested" model.path="$name-$cell" name="$name-$cell" compare="$name-before" groups=[source]
done
printf '\nagainst the fine-tuned model, 95 %% intervals by subject:\n'
python scripts/rl_controls.py table "$outputs" "$name-before" "$name"-{human,human5,best,shuffled,grpo}
printf '\ndone in %d s\n' "$SECONDS"
