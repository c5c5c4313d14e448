#!/usr/bin/env bash
# The tuned model as a witness of the labels that it lacked: no further call, no further dollar.
#   bash scripts/second_round.sh [name=second] [seed=0] [images=7000] [rounds=1] [draws=4] [epochs=3] [outputs=outputs]
#     [backend=simulated] [records=<prepared set>] [<settings of generate>]
# Finished stages are reused, and a killed one goes on. rounds: the most; no more where held-out labels are foretold no better.
# Subjects are dealt into two folds; a model tuned on one fold's instructions answers the other's faces, shown no label of
# theirs. Its answers are calibrated on the human labels of these faces, like a specialist's table, and heard beside the
# annotator's draws, which the ledger (or the simulation) has already; nothing else is asked. Then a model is tuned on the
# new labels. epochs: of the students, each of which has half of the faces; the models that are compared have the trainer's.
set -euo pipefail
cd "$(dirname "$0")/.."
name=second seed=0 images=7000 rounds=1 draws=4 epochs=3 outputs=outputs records= train=() model=() more=()
for argument in "$@"; do
  case "$argument" in
    name=* | seed=* | images=* | rounds=* | draws=* | epochs=* | outputs=* | records=*) printf -v "${argument%%=*}" '%s' "${argument#*=}" ;;
    trainer*=* | optimizer*=*) train+=("$argument") ;;
    model=* | model.*=*) model+=("$argument") ;;
    *) more+=("$argument") ;;
  esac
done
case "$rounds$draws$epochs" in
  *[!0-9]*) echo "error: rounds=$rounds draws=$draws epochs=$epochs: no numbers; set for example rounds=1" >&2; exit 2 ;;
esac
export WANDB_RUN_GROUP="${WANDB_RUN_GROUP:-$name}" # with wandb=offline all stages are one group

step() { # step <command> <settings...>: run a command and say how long it took
  local began=$SECONDS
  printf '\n\033[1m> python %s.py %s\033[0m\n' "$1" "${*:2}"
  python "$1.py" paths.outputs="$outputs" seed="$seed" "${@:2}"
  printf '  %d s\n' $((SECONDS - began))
}

# 1. The first round, with its control: labels of nobody, and of the calibrated annotator.
faces=${records:-$name}
if [[ -z "$records" ]]; then step prepare source=synthetic name="$name" source.images="$images"; fi
truth=$outputs/prepare/$faces/truth.jsonl
calibrated=(records="$faces" generator.aggregate=calibrated stopping=fixed ${more[@]+"${more[@]}"})
step generate records="$faces" name="$name-blind" generator=blind
step generate name="$name-round0" "${calibrated[@]}"

for ((round = 1; round <= rounds; round++)); do
  before=$name-round$((round - 1)) folds=$outputs/second_round/$name/$round answers=()
  # 2. Two students, each tuned on one fold, answer the other one, with further answers that say how sure they are.
  python scripts/folds.py "$outputs/prepare/$faces/train.jsonl" "$outputs/generate/$before/instructions.jsonl" "$folds"
  for fold in 0 1; do
    student=$name-student$round-$fold
    step train data.path="$folds/$((1 - fold))/instructions.jsonl" name="$student" trainer.max_epochs="$epochs" \
      ${model[@]+"${model[@]}"} ${train[@]+"${train[@]}"}
    step evaluate records="$folds/$fold/records.jsonl" label=true draws="$draws" model.path="$student" \
      name="$student" backend.max_new_tokens=192 ${model[@]+"${model[@]}"}
    answers+=("$outputs/evaluate/$student/predictions.jsonl")
  done
  # 3. Labels by both, and by the annotator and dice: the students' answers about other faces, which must be refused.
  for fold in 0 1; do
    dice=$folds/dice$fold.jsonl
    [[ -f "$dice" ]] || python scripts/made_up_witness.py dice "${answers[fold]}" "$dice" seed="$seed"
  done
  step generate name="$name-round$round" "${calibrated[@]}" generator.reuse="$before" \
    generator.witnesses="[{path: [${answers[0]}, ${answers[1]}], name: student}]"
  step generate name="$name-dice$round" "${calibrated[@]}" generator.reuse="$before" \
    generator.witnesses="[{path: [$folds/dice0.jsonl, $folds/dice1.jsonl], name: dice}]"
  if ! python scripts/held_out.py "$outputs/generate/$before" "$outputs/generate/$name-round$round"; then rounds=$round; fi
done

# 4. How right are the labels, and the models tuned on them?
cells=(round0 blind)
for ((round = 1; round <= rounds; round++)); do cells+=("dice$round" "round$round"); done
for cell in "${cells[@]}"; do
  against=()
  if [[ "$cell" != round0 ]]; then against=(compare="$name-labels-round0"); fi
  if [[ -f "$truth" ]]; then # only of drawn faces the truth is known
    step evaluate benchmark=reliability predictions="$name-$cell" records="$truth" name="$name-labels-$cell" \
      ${against[@]+"${against[@]}"}
  fi
  if [[ "$cell" == dice* ]]; then continue; fi
  step train data.path="$name-$cell" name="$name-$cell" ${model[@]+"${model[@]}"} ${train[@]+"${train[@]}"}
  against=()
  if [[ "$cell" != round0 ]]; then against=(compare="$name-round0"); fi
  step evaluate records="$faces" model.path="$name-$cell" name="$name-$cell" ${model[@]+"${model[@]}"} ${against[@]+"${against[@]}"}
done
step report name="$name"
printf '\ndone in %d s\n' "$SECONDS"
