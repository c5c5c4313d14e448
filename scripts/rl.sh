#!/usr/bin/env bash
# After fine-tuning: reinforcement from human labels alone, beside four controls from the same labels.
#   bash scripts/rl.sh [name=rl] [seed=0] [seeds=1] [images=3000] [labels=single|seke|calibrated] [steps=45] [prompts=24] [group=4]
#     [outputs=outputs] [records=<prepared set>] [sft=<train run>] [without=<source>] [<settings of algorithm, trainer or model>]
# needs pip install -e '.[rl]'; finished stages are reused
# labels: whose labels the model is fine-tuned on first: one pass's, SEKE's (the default), or the calibrated annotator's.
# prompts, group: faces a step, and answers to each. without: leaves one source out of everything that is trained on; its test
# faces are judged apart: how far does it carry? Where sft= is given, it must not have seen the source either.
# Controls: fine-tuning goes on on the model's own answers in which human labels replace what it said of them (as many steps
# and faces, at the same and at five times the learning rate), reinforcement by the labels of other faces, and fine-tuning
# on the best of as many sampled answers.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe rl "$@"
take images labels steps prompts group sft without
one_scale_only
images=${images:-3000} labels=${labels:-seke} steps=${steps:-45} prompts=${prompts:-24} group=${group:-4}
for setting in steps prompts group; do
  case "${!setting}" in '' | *[!0-9]* | 0) echo "error: $setting=${!setting}: not a number; use 1 or more" >&2; exit 2 ;; esac
done
case "$labels" in
  single) annotator=(generator.use_prior=false generator.self_verify=false) ;;
  seke) annotator=() ;;
  calibrated) annotator=(generator.aggregate=calibrated stopping=fixed) ;;
  *) echo "error: labels=$labels: no such choice; use single, seke or calibrated" >&2; exit 2 ;;
esac
for argument in ${more[@]+"${more[@]}"}; do
  case "$argument" in
    algorithm.prompts=* | algorithm.group_size=*) echo "error: $argument: the controls have as many; use prompts= and group=" >&2; exit 2 ;;
    algorithm.*=* | trainer*=* | model*=*) ;;
    *) no_more "name=, seed=, seeds=, images=, labels=, steps=, prompts=, group=, outputs=, records=, sft= or without=" "$argument" ;;
  esac
done

one_seed() {
  # 1. A model that is fine-tuned on completed labels.
  prepared source=synthetic source.images="$images"
  tuned=$sft
  if [[ -z "$tuned" ]]; then
    tuned=$run-sft
    step generate seed="$seed" records="$faces" name="$run-labels" ${annotator[@]+"${annotator[@]}"}
    step train seed="$seed" data.path="$run-labels" name="$tuned" trainer.precision=auto ${without:+"+data.reader.without=[$without]"}
  fi
  control=$outputs/rl/$run train=$outputs/prepare/$faces/train.jsonl tested=$faces
  if [[ -n "$without" ]]; then
    mkdir -p "$control"
    grep -v "\"source\":\"$without\"" "$train" >"$control/train.jsonl"
    printf '{"image_root": "%s"}' "$(cd "$(dirname "$train")/images" && pwd)" >"$control/manifest.json"
    train=$control/train.jsonl tested=$control/test.jsonl
    python scripts/of_source.py "$outputs/prepare/$faces/test.jsonl" "$without" "$tested"
  fi
  export run seed outputs steps prompts group without faces tuned control train tested
  # 2. Reinforcement, and what it is held against; each is tested on subjects that no stage has seen, where a source is left
  #    out on its own.
  side_by_side "test_of before" "reinforced grpo" "reinforced shuffled" "imitated human" "imitated best"
  side_by_side "test_of grpo" "test_of shuffled" "test_of human" "test_of human5" "test_of best"
  side_by_side "set_beside human" "set_beside human5" "set_beside best" "set_beside shuffled"
}

reinforced() { # reinforced grpo|shuffled
  local settings=()
  if [[ "$1" == shuffled ]]; then settings=(algorithm.shuffle=true); fi
  step train experiment=rl seed="$seed" model.path="$tuned" data.path="$faces" name="$run-$1" trainer.max_steps="$steps" \
    algorithm.prompts="$prompts" algorithm.group_size="$group" ${without:+"data.without=[$without]"} \
    ${settings[@]+"${settings[@]}"} $more_words
}

imitated() { # imitated human|best: fine-tuning goes on, on human labels or on the best of its own answers
  local rows=$control/$1/rows.jsonl faces_asked=$((prompts * steps)) settings=() rate
  if [[ "$1" == best ]]; then settings=(faces="$faces_asked" n="$group"); else settings=(limit="$faces_asked"); fi
  [[ -f "$rows" ]] || python scripts/rl_controls.py "$1" "$train" "$rows" model="$tuned" "${settings[@]}" seed="$seed" outputs="$outputs"
  for rate in 6e-5 3e-4; do
    if [[ "$1 $rate" == "best 3e-4" ]]; then return; fi
    local name=$run-$1
    if [[ "$rate" == 3e-4 ]]; then name+=5; fi
    step train seed="$seed" model.path="$outputs/train/$tuned/model" data.path="$rows" name="$name" trainer.max_steps="$steps" \
      trainer.batch_size="$prompts" trainer.max_epochs=100 trainer.warm_up=0.0 trainer.precision=auto model.lr="$rate"
  done
}

test_of() { # test_of before|<stage>
  if [[ "$1" == before ]]; then
    step evaluate seed="$seed" records="$tested" model.path="$tuned" name="$run-before"
  else
    step evaluate seed="$seed" records="$tested" model.path="$run-$1" name="$run-$1" compare="$run-before" groups=[source]
  fi
}

set_beside() { # set_beside <control>: the same answers of the reinforced model, against a control's
  step evaluate seed="$seed" records="$tested" predictions="$run-grpo" name="$run-grpo-$1" compare="$run-$1"
}

more_words=${more[*]+"${more[*]}"} # an array cannot be exported; none of these settings has a blank
export more_words
export -f step reinforced imitated test_of set_beside
for_every_seed one_seed
step report name="$name"
printf '\nagainst the fine-tuned model, and reinforcement against each control, with 95 %% intervals:\n'
python scripts/rl_controls.py table "$outputs" "$name" seed="$seed" seeds="$seeds"
printf '\ndone in %d s\n' "$SECONDS"
